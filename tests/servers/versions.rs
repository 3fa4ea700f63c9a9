//! What the presets promise, of the servers that NGINX, GUNICORN and UWSGI name: of Debian's if they name
//! none. `make versions` runs these with PyPI's.
//!
//! Readiness is an answer of the application; a reload brings in new code, and code that does not load is
//! refused; logs are opened again; nobody is cut off by a stop; nobody is lost by a replacement.

use crate::busy::{Busy, Met};
use crate::load::Fate;
use crate::needs_namespaces;
use crate::stage::{Container, Stage};
use std::process::Output;
use std::time::Duration;

const APP: &str = r#"
import os, sys, time
from urllib.parse import parse_qs
open("FOLDER/gate", "w").close()
while not os.path.exists("FOLDER/open"):
    time.sleep(0.02)
with open("FOLDER/loaded", "a") as file:
    file.write("x")
WORD = "first"
def app(environ, start_response):
    number = parse_qs(environ["QUERY_STRING"]).get("id", ["-"])[0]
    sys.stderr.write("begun %s\n" % number)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    body = WORD.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"#;

const WEB: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"

[service.web]
preset   = "nginx"
command  = "NGINX -c FOLDER/nginx.conf"
requires = ["app"]
"#;

/// What differs from server to server.
struct Kind {
    name: &'static str,
    pass: &'static str,
    app: String,
    /// Where it listens, and where it writes its log.
    plainly: &'static str,
    /// How many processes load the application: a gunicorn 19 that is reloaded while one still does may end.
    loads: usize,
    /// What it says of code that does not load, if its reload is checked.
    refuses: Option<&'static str>,
}

fn gunicorn() -> Kind {
    let app = "[service.app]\npreset = \"gunicorn\"\ndirectory = \"FOLDER/app\"\n\
        command = \"GUNICORN --workers 3 OPTIONS app:app\"\n";
    Kind {
        name: "gunicorn",
        pass: "proxy_pass http://twice;",
        app: app.replace("GUNICORN", &program("GUNICORN", "gunicorn")),
        plainly: "--bind unix:FOLDER/app.sock --access-logfile FOLDER/app.log",
        loads: 3,
        refuses: Some("SyntaxError"),
    }
}

fn uwsgi() -> Kind {
    // Debian's comes in parts, PyPI's in one.
    let (ours, theirs) = ("uwsgi --plugin python3".to_owned(), std::env::var("UWSGI"));
    let app = "[service.app]\npreset = \"uwsgi\"\ndirectory = \"FOLDER/app\"\n\
        command = \"UWSGI --processes 4 OPTIONS --wsgi-file app.py --callable app\"\n";
    Kind {
        name: "uwsgi",
        pass: "include /etc/nginx/uwsgi_params; uwsgi_pass twice;",
        app: app.replace("UWSGI", &theirs.unwrap_or(ours)),
        plainly: "--socket FOLDER/app.sock --chmod-socket=666 --vacuum --logto FOLDER/app.log --log-master",
        loads: 1,
        refuses: Some("SyntaxError"),
    }
}

fn program(variable: &str, otherwise: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
}

struct Play {
    stage: Stage,
    container: Container,
}

impl Play {
    /// The application behind nginx, both launched; the application waits at its gate.
    fn new(name: &str, kind: &Kind, options: &str, keys: &str) -> Play {
        let stage = Stage::new(name, kind.pass);
        let conf = std::fs::read_to_string(stage.folder.join("nginx.conf")).unwrap();
        let logs = "access_log /dev/stdout; access_log FOLDER/web.log;";
        stage.write("nginx.conf", &conf.replace("access_log /dev/stdout;", logs));
        stage.write("app/app.py", APP);
        let app = kind.app.replace("OPTIONS", options);
        let web = WEB.replace("NGINX", &program("NGINX", "nginx"));
        let container = stage.run(&format!("{web}{app}{keys}"));
        Play { stage, container }
    }

    fn open(&self) {
        self.stage.write("open", "");
        self.stage.wait_for_page(&self.container);
    }

    fn minisup(&self, words: &[&str]) -> Output {
        self.stage.minisup(words)
    }

    fn does(&self, words: &[&str]) {
        let output = self.minisup(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.container.last_words());
    }

    fn pid(&self, service: &str) -> i64 {
        let output = self.minisup(&["status", service, "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["instances"][0]["pid"].as_i64().expect("a process")
    }

    fn wait_for(&self, word: &str) {
        self.container.wait_until(word, || self.stage.ask("/") == (Fate::Answered, word.to_owned()));
    }

    /// A log file that was taken away is there again, with what is asked then.
    fn opens_again(&self, log: &str) {
        let file = self.stage.folder.join(log);
        let has = |what: &str| std::fs::read_to_string(&file).is_ok_and(|text| text.contains(what));
        self.container
            .wait_until("a log", || self.stage.ask("/?before").0 == Fate::Answered && has("?before"));
        std::fs::rename(&file, file.with_extension("old")).unwrap();
        self.container.signal(libc::SIGUSR1);
        self.container.wait_until(&format!("{log} again"), || {
            self.stage.ask("/?after").0 == Fate::Answered && has("?after")
        });
    }

    /// Clients ask meanwhile; then everything is stopped. Every request has had its answer.
    fn nothing_drops(self, act: impl FnOnce(&Play)) -> (usize, Duration) {
        let busy = Busy::at(self.stage.address, &self.container);
        act(&self);
        // A log that is nginx's alone tells as much as both.
        let Met { until_then, took, output } = busy.until_stopped(self.container);
        assert!(took < Duration::from_secs(9), "a container's stop would have been over: {took:?}\n{output}");
        (until_then.len(), took)
    }
}

fn lives_as_its_preset_says(kind: &Kind) {
    needs_namespaces!();
    let name = kind.name;
    let play = Play::new(&format!("version-{name}"), kind, kind.plainly, "");
    let socket = play.stage.folder.join("app.sock");
    let gate = play.stage.folder.join("gate");
    play.container.wait_until("an application that loads", || gate.exists());
    play.container.wait_until("its socket", || socket.exists());
    assert!(play.container.services("nginx").is_empty(), "it listens, and is not ready");
    play.open();

    let loaded = play.stage.folder.join("loaded");
    play.container.wait_until("all workers", || {
        std::fs::metadata(&loaded).is_ok_and(|about| about.len() >= kind.loads as u64)
    });

    // New code comes in; the master stays.
    let (app, master) = (play.stage.folder.join("app/app.py"), play.pid("app"));
    let text = std::fs::read_to_string(&app).unwrap();
    std::fs::write(&app, text.replace("first", "second")).unwrap();
    play.does(&["reload", "app"]);
    play.wait_for("second");
    assert_eq!(play.pid("app"), master, "the master stays\n{}", play.container.last_words());
    if let Some(error) = kind.refuses {
        std::fs::write(&app, text.replace("WORD =", "WORD = =")).unwrap();
        let output = play.minisup(&["reload", "app"]);
        let said = format!("{output:?}");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(error) && said.contains("app.py"), "{said}");
        std::fs::write(&app, text.replace("first", "second")).unwrap();
        play.wait_for("second");
    }
    play.does(&["reload", "web"]);

    play.opens_again("app.log");
    play.opens_again("web.log");
    let (count, took) = play.nothing_drops(|_| {});
    eprintln!("{name}: {count} requests, none cut off by a stop that took {took:?}");
}

fn is_replaced_and_nothing_drops(kind: &Kind) {
    needs_namespaces!();
    let name = kind.name;
    let keys = "sockets = { app = \"unix://FOLDER/app.sock\" }\nrestart_mode = \"rolling\"\n";
    let play = Play::new(&format!("version-{name}-rolls"), kind, "", keys);
    play.open();
    let app = play.stage.folder.join("app/app.py");
    let text = std::fs::read_to_string(&app).unwrap();
    let (count, took) = play.nothing_drops(|play| {
        for word in ["second", "third", "fourth"] {
            std::fs::write(&app, text.replace("first", word)).unwrap();
            play.does(&["restart", "app"]);
            play.wait_for(word);
        }
        std::fs::write(&app, text.replace("WORD =", "WORD = =")).unwrap();
        let output = play.minisup(&["restart", "app"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        play.wait_for("fourth");
    });
    eprintln!("{name}: {count} requests while it was replaced 3 times, none lost; the stop took {took:?}");
}

#[test]
fn gunicorn_lives_as_its_preset_says() {
    lives_as_its_preset_says(&gunicorn());
}

#[test]
fn gunicorn_is_replaced_and_nothing_drops() {
    is_replaced_and_nothing_drops(&gunicorn());
}

#[test]
fn uwsgi_lives_as_its_preset_says() {
    lives_as_its_preset_says(&uwsgi());
}

#[test]
fn uwsgi_is_replaced_and_nothing_drops() {
    is_replaced_and_nothing_drops(&uwsgi());
}
