//! Nothing drops: real servers are replaced and reloaded while clients ask without a pause, each
//! request on a connection of its own; and a deploy that is broken leaves the old one serving.

use crate::busy::Busy;
use crate::needs_namespaces;
use crate::stage::{Container, Stage};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::time::Duration;

const WEB: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"

[service.web]
preset       = "nginx"
command      = "nginx -e stderr -c FOLDER/nginx.conf"
requires     = ["app"]
restart_mode = "rolling"
sockets      = { http = "tcp://ADDRESS" }
"#;

const SYNC: &str = r#"
[service.app]
preset       = "gunicorn"
command      = "gunicorn --workers 3 app:app"
directory    = "FOLDER/app"
restart_mode = "rolling"
sockets      = { app = "SOCKET" }
"#;

const UWSGI: &str = r#"
[service.app]
preset       = "uwsgi"
command      = "uwsgi --plugin python3 --processes 8 --wsgi-file app.py --callable app"
directory    = "FOLDER/app"
restart_mode = "rolling"
sockets      = { app = "SOCKET" }
"#;

const UNIX: &str = "unix://FOLDER/app.sock";

/// No request waits for a timer: the shortest of gunicorn's and nginx's are 10 s. That none takes more than its own time
/// and a second is seen by `make soak-servers`, which has the processors for itself; here other tests are at work, and
/// three workers share requests of 300 ms that queue up.
const PATIENCE: Duration = Duration::from_secs(5);

struct Play {
    stage: Stage,
    container: Container,
    /// No request takes longer.
    patience: Duration,
}

impl Play {
    fn new(name: &str, pass: &str, app: &str, socket: &str) -> Play {
        let stage = Stage::new(name, pass);
        let app = app.replace("SOCKET", socket);
        let container = stage.run(&format!("{WEB}{app}"));
        stage.wait_for_page(&container);
        Play { stage, container, patience: PATIENCE }
    }

    fn minisup(&self, words: &[&str]) -> Output {
        self.stage.minisup(words)
    }

    fn does(&self, words: &[&str]) {
        let output = self.minisup(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.container.last_words());
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.stage.folder.join(name)).unwrap()
    }

    /// What the app runs by.
    fn program(&self) -> &'static str {
        if self.read("supervise.toml").contains("\"gunicorn\"") { "gunicorn" } else { "uwsgi" }
    }

    /// It fails with this exit code, and says all of this.
    fn refuses(&self, words: &[&str], code: i32, parts: &[&str]) {
        let output = self.minisup(words);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}\n{}", self.container.last_words());
        assert!(parts.iter().all(|part| said.contains(part)), "{words:?}: {said}");
    }

    /// Clients ask at this address while something is done; then everything stops. Returns how
    /// many requests there were until then: each has had its whole answer, in time.
    fn nothing_drops(self, address: SocketAddr, act: impl FnOnce(&Play)) -> usize {
        let busy = Busy::at(address, &self.container);
        act(&self);
        let met = busy.until_stopped(self.container);
        let slowest = met.until_then.iter().map(|one| one.time.1 - one.time.0).max().unwrap();
        assert!(slowest < self.patience, "{slowest:?}\n{}", met.output);
        met.until_then.len()
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn app_is_replaced(name: &str, pass: &str, app: &str, socket: &str) {
    needs_namespaces!();
    let play = Play::new(name, pass, app, socket);
    let address = play.stage.address;
    let count = play.nothing_drops(address, |play| {
        for _ in 0..4 {
            play.does(&["restart", "app"]);
        }
    });
    eprintln!("{name}: {count} requests while the app was replaced 4 times, none failed");
}

#[test]
fn gunicorns_sync_workers_are_replaced_behind_nginx_and_no_request_fails() {
    app_is_replaced("roll-sync", "proxy_pass http://unix:FOLDER/app.sock;", SYNC, UNIX);
}

#[test]
fn gunicorns_threads_are_replaced_behind_nginx_and_no_request_fails() {
    let upstream = free();
    let app = SYNC.replace("--workers 3", "--workers 2 --threads 4");
    let pass = format!("proxy_pass http://{upstream};");
    app_is_replaced("roll-gthread", &pass, &app, &format!("tcp://{upstream}"));
}

#[test]
fn uwsgi_is_replaced_behind_nginx_and_no_request_fails() {
    let pass = "include /etc/nginx/uwsgi_params; uwsgi_pass twice;";
    app_is_replaced("roll-uwsgi", pass, UWSGI, UNIX);
}

#[test]
fn gunicorn_is_replaced_before_everybodys_eyes_and_no_request_fails() {
    needs_namespaces!();
    let upstream = free();
    let pass = format!("proxy_pass http://{upstream};");
    let play = Play::new("roll-straight", &pass, SYNC, &format!("tcp://{upstream}"));
    play.nothing_drops(upstream, |play| {
        for _ in 0..4 {
            play.does(&["restart", "app"]);
        }
    });
}

#[test]
fn nginx_itself_is_replaced_and_reloaded_and_no_request_fails() {
    needs_namespaces!();
    let play = Play::new("roll-nginx", "proxy_pass http://unix:FOLDER/app.sock;", SYNC, UNIX);
    let address = play.stage.address;
    // Its workers race for each connection: who loses must not wait in accept(2).
    let nginx = play.container.services("nginx")[0];
    let info = std::fs::read_to_string(format!("/proc/{nginx}/fdinfo/3")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
    assert_ne!(i32::from_str_radix(&flags, 8).unwrap() & libc::O_NONBLOCK, 0, "{flags}");
    play.nothing_drops(address, |play| {
        for _ in 0..3 {
            play.does(&["restart", "web"]);
            play.does(&["reload", "web"]);
        }
    });
}

#[test]
fn a_stop_and_start_of_everything_keeps_clients_waiting_and_no_request_fails() {
    needs_namespaces!();
    let app = SYNC.replace("restart_mode = \"rolling\"", "");
    let mut play = Play::new("stop-start", "proxy_pass http://unix:FOLDER/app.sock;", &app, UNIX);
    // They wait in the queue for as long as nobody is there.
    play.patience = crate::support::LONG;
    let address = play.stage.address;
    play.nothing_drops(address, |play| {
        for _ in 0..2 {
            play.does(&["restart", "app"]);
        }
    });
}

#[test]
fn a_broken_app_leaves_the_old_gunicorn_serving_and_says_where_it_is_broken() {
    broken_app("broken-gunicorn", "proxy_pass http://unix:FOLDER/app.sock;", SYNC, "--workers 3");
}

#[test]
fn a_broken_app_leaves_the_old_uwsgi_serving_and_says_where_it_is_broken() {
    let pass = "include /etc/nginx/uwsgi_params; uwsgi_pass twice;";
    broken_app("broken-uwsgi", pass, UWSGI, "--processes 8");
}

/// Restart, reload, and an update that changes an argument.
fn broken_app(name: &str, pass: &str, app: &str, argument: &str) {
    needs_namespaces!();
    let play = Play::new(name, pass, app, UNIX);
    let address = play.stage.address;
    let app = play.read("app/app.py");
    let toml = play.read("supervise.toml");
    play.nothing_drops(address, |play| {
        let old = play.container.services(play.program());
        play.stage.write("app/app.py", &format!("{app}\ndef broken(:\n"));
        let line = app.lines().count() + 2;
        let place = format!("app.py\", line {line}");
        play.refuses(&["restart", "app"], 1, &["app was not replaced", &place, "SyntaxError"]);
        play.refuses(&["reload", "app"], 1, &["app was not re", &place, "SyntaxError"]);
        play.stage.write("supervise.toml", &toml.replace(argument, &argument.replace(['3', '8'], "2")));
        play.refuses(&["update"], 1, &["app was not replaced", &place, "SyntaxError"]);
        assert_eq!(play.container.services(play.program()), old, "the old one, and nobody else");
        // Mended: what was asked for is had.
        play.stage.write("app/app.py", &app);
        play.does(&["restart", "app"]);
        play.does(&["reload", "app"]);
        assert_ne!(play.container.services(play.program()), old);
    });
}

#[test]
fn a_broken_nginx_conf_leaves_the_old_nginx_serving_and_says_where_it_is_broken() {
    needs_namespaces!();
    let play = Play::new("broken-nginx", "proxy_pass http://unix:FOLDER/app.sock;", SYNC, UNIX);
    let address = play.stage.address;
    let conf = play.read("nginx.conf");
    let toml = play.read("supervise.toml");
    play.nothing_drops(address, |play| {
        let old = play.container.services("nginx");
        let broken = conf.replace("worker_processes", "worker_process");
        play.stage.write("nginx.conf", &broken);
        let place = "nginx.conf:2";
        play.refuses(&["reload", "web"], 1, &["web was not reloaded", "worker_process", place]);
        play.refuses(&["restart", "web"], 1, &["web was not replaced", "worker_process", place]);
        play.stage.write("nginx.conf", &conf);
        // An update that leads to another file, which is broken.
        play.stage.write("other.conf", &broken);
        play.stage.write("supervise.toml", &toml.replace("nginx.conf", "other.conf"));
        play.refuses(&["update"], 1, &["web was not replaced", "worker_process", "other.conf:2"]);
        assert_eq!(play.container.services("nginx"), old, "the old one, and nobody else");
        play.stage.write("other.conf", &conf);
        play.does(&["restart", "web"]);
        play.does(&["reload", "web"]);
        assert_ne!(play.container.services("nginx"), old);
        play.stage.write("supervise.toml", &toml);
        play.does(&["update"]);
    });
}
