//! A reload is done when new workers serve; when they do not come it fails, says why, and the old ones serve.

use crate::busy::Busy;
use crate::needs_namespaces;
use crate::stage::{Container, Stage};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// The servers' own sockets: nothing is held.
pub const WEB: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"

[service.web]
preset   = "nginx"
command  = "nginx -e stderr -c FOLDER/nginx.conf"
requires = ["app"]
"#;

pub const GUNICORN: &str = r#"
[service.app]
preset    = "gunicorn"
command   = "gunicorn --bind unix:FOLDER/app.sock --workers 3 app:app"
directory = "FOLDER/app"
"#;

const UWSGI: &str = r#"
[service.app]
preset    = "uwsgi"
command   = "uwsgi --plugin python3 --processes 4 --vacuum --pidfile FOLDER/app.pid --socket FOLDER/app.sock --chmod-socket=666 --ini FOLDER/app/uwsgi.ini"
directory = "FOLDER/app"
"#;

pub const TO_GUNICORN: &str = "proxy_pass http://unix:FOLDER/app.sock;";
const TO_UWSGI: &str = "include /etc/nginx/uwsgi_params; uwsgi_pass twice;";

/// A place with nginx and an app, and somebody who works at it.
pub struct Site {
    pub stage: Stage,
    pub container: Container,
}

impl Site {
    pub fn new(name: &str, pass: &str, app: &str) -> Site {
        Site::of(Stage::new(name, pass), app)
    }

    fn of(stage: Stage, app: &str) -> Site {
        let container = stage.run(&format!("{WEB}{app}"));
        stage.wait_for_page(&container);
        container.wait_for_output("all is up");
        Site { stage, container }
    }

    pub fn minisup(&self, words: &[&str]) -> Output {
        self.stage.minisup(words)
    }

    pub fn does(&self, words: &[&str]) {
        let output = self.minisup(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.container.last_words());
    }

    /// It fails, and says all of this.
    fn refuses(&self, words: &[&str], parts: &[&str]) -> String {
        let output = self.minisup(words);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}\n{}", self.container.last_words());
        for part in parts {
            assert!(said.contains(part), "{words:?} does not say {part:?}: {said}");
        }
        said
    }

    /// A number of `minisup status --json`.
    pub fn number(&self, service: &str, key: &str) -> i32 {
        let output = self.minisup(&["status", service, "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).replace(' ', "");
        // Before that the supervisor speaks of itself.
        let (_, text) = text.split_once("\"instances\":").unwrap_or_else(|| panic!("no instances: {text}"));
        let (_, rest) = text.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key}: {text}"));
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit()).collect();
        digits.parse().unwrap_or_else(|_| panic!("{key} is no number: {text}"))
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.stage.folder.join(name)).unwrap()
    }

    /// Clients ask while something is done; then everything stops. No request has failed until then,
    /// and none that was taken is cut off at the stop. Returns how many there were, and the log.
    pub fn nothing_drops(self, act: impl FnOnce(&Site)) -> (usize, String) {
        let busy = Busy::at(self.stage.address, &self.container);
        act(&self);
        let met = busy.until_stopped(self.container);
        (met.until_then.len(), met.output)
    }
}

/// The processes below this one that run such a program, by the words of their command lines.
pub fn below(pid: i32, words: &str) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.filter(|pid: &i32| command_line(*pid).contains(words)).collect()
}

fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// With an unknown name at its end, and the line where that stands.
fn breaks(site: &Site, name: &str) -> (String, String) {
    let good = site.text(name);
    site.stage.write(name, &format!("{good}\nimport a_module_that_is_not_there\n"));
    let line = good.lines().count() + 2;
    (good, format!("line {line}"))
}

#[test]
fn a_reload_of_nginx_is_done_when_its_new_workers_are_there() {
    needs_namespaces!();
    let site = Site::new("reload-nginx", TO_GUNICORN, GUNICORN);
    let nginx = site.container.services("nginx")[0];
    let (count, output) = site.nothing_drops(|site| {
        for _ in 0..3 {
            let before = below(nginx, "nginx: worker process");
            site.does(&["reload", "web"]);
            let after = below(nginx, "nginx: worker process");
            assert!(after.iter().any(|worker| !before.contains(worker)), "{before:?} {after:?}");
        }
    });
    assert!(output.contains("web has new workers"), "{output}");
    eprintln!("reload-nginx: {count} requests during 3 reloads, none failed");
}

#[test]
fn a_reload_that_nginx_cannot_carry_out_fails_with_its_reason_though_its_check_succeeds() {
    needs_namespaces!();
    // `nginx -t` does not mind an address that is taken: the nginx that runs may have it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new("reload-taken", TO_GUNICORN, GUNICORN);
    let nginx = site.container.services("nginx")[0];
    let workers = || below(nginx, "nginx: worker process");
    site.nothing_drops(|site| {
        let (conf, before) = (site.text("nginx.conf"), workers());
        let listen = format!("listen {}", site.stage.address);
        let taken = format!("listen {};\n        {listen}", taken.local_addr().unwrap());
        site.stage.write("nginx.conf", &conf.replace(&listen, &taken));
        let reason = ["[emerg]", "bind()", "Address already in use"];
        site.refuses(
            &["reload", "web"],
            &["web was not reloaded: no new worker after", "the old ones go on"],
        );
        site.refuses(&["reload", "web"], &reason);
        assert_eq!(workers(), before, "nobody was touched");
        site.stage.write("nginx.conf", &conf);
        site.does(&["reload", "web"]);
        assert_ne!(workers(), before);
    });
}

#[test]
fn a_reason_that_nginx_writes_into_its_own_error_log_is_shown() {
    needs_namespaces!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    // Where it is named in a file that nginx.conf includes, nobody but nginx knows it.
    for (name, place) in
        [("reload-log", "error_log FOLDER/error.log;"), ("reload-log-far", "include FOLDER/far.conf;")]
    {
        let stage = Stage::new(name, TO_GUNICORN);
        let conf = std::fs::read_to_string(stage.folder.join("nginx.conf")).unwrap();
        stage.write("far.conf", "error_log FOLDER/error.log;");
        stage.write("nginx.conf", &conf.replace("error_log stderr warn;", place));
        let web = WEB.replace("-e stderr ", "");
        let container = stage.run(&format!("{web}{GUNICORN}"));
        stage.wait_for_page(&container);
        let site = Site { stage, container };
        let conf = site.text("nginx.conf");
        let listen = format!("listen {}", site.stage.address);
        let both = format!("listen {};\n        {listen}", taken.local_addr().unwrap());
        site.stage.write("nginx.conf", &conf.replace(&listen, &both));
        let said = site.refuses(&["reload", "web"], &["no new worker after", "still could not bind()"]);
        assert!(said.contains("Address already in use"), "{said}");
        // What was there before is no reason of today.
        site.stage.write("nginx.conf", &conf);
        site.does(&["reload", "web"]);
        site.container.signal(libc::SIGTERM);
        let (code, output) = site.container.wait();
        assert_eq!(code, 0, "{output}");
    }
}

/// Code that loads only as long as nobody means it; and then it takes longer than the check of it took.
const BARE: &str = r#"
import os, sys, time

def lived():
    started = int(open('/proc/self/stat').read().rsplit(')')[-1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf('SC_CLK_TCK')

if os.path.exists('FOLDER/broken'):
    if '--check-config' in sys.argv:
        open('FOLDER/took', 'w').write(str(lived()))
    else:
        enough = time.process_time() + 1.3 * float(open('FOLDER/took').read())
        while time.process_time() < enough:
            pass
        raise RuntimeError('the cupboard is bare')
"#;

#[test]
fn a_reason_that_gunicorn_writes_into_its_own_log_is_shown() {
    needs_namespaces!();
    let stage = Stage::new("reload-gunicorn-log", TO_GUNICORN);
    let code = std::fs::read_to_string(stage.folder.join("app/app.py")).unwrap();
    stage.write("app/app.py", &format!("{code}\n{BARE}"));
    let app = GUNICORN.replace("--workers 3", "--workers 1 --error-logfile FOLDER/app.log");
    let site = Site::of(stage, &app);
    site.stage.write("broken", "");
    site.refuses(
        &["reload", "app"],
        &["it has ended meanwhile (exit code 3)", "RuntimeError: the cupboard is bare"],
    );
    std::fs::remove_file(site.stage.folder.join("broken")).unwrap();
    site.does(&["wait", "app:ready"]);
}

#[test]
fn gunicorn_is_reloaded_only_with_code_that_loads() {
    needs_namespaces!();
    // The check is the service in all respects: its user, its environment, its folder.
    let stage = Stage::new("reload-gunicorn", TO_GUNICORN);
    std::fs::set_permissions(&stage.folder, PermissionsExt::from_mode(0o777)).unwrap();
    let code = std::fs::read_to_string(stage.folder.join("app/app.py")).unwrap();
    let only = "import os\nassert (os.environ['NEEDED'], os.getuid()) == ('yes', 33)\n";
    stage.write("app/app.py", &format!("{code}\n{only}"));
    let app = format!("{GUNICORN}user = \"www-data\"\nenvironment = {{ NEEDED = \"yes\" }}\n");
    let site = Site::of(stage, &app);
    let master = site.container.services("gunicorn")[0];
    let (count, _) = site.nothing_drops(|site| {
        let before = below(master, "gunicorn");
        let (good, line) = breaks(site, "app/app.py");
        site.refuses(
            &["reload", "app"],
            &["app was not reloaded: its check failed", "app.py\"", &line, "ModuleNotFoundError"],
        );
        site.stage.write("app/app.py", &format!("{good}\ndef broken(:\n"));
        site.refuses(&["reload", "app"], &["its check failed", "app.py\"", &line, "SyntaxError"]);
        assert_eq!(below(master, "gunicorn"), before, "nobody was touched");
        site.stage.write("app/app.py", &good);
        site.does(&["reload", "app"]);
        assert!(below(master, "gunicorn").iter().any(|worker| !before.contains(worker)));
    });
    eprintln!("reload-gunicorn: {count} requests, none failed");
}

#[test]
fn uwsgi_is_reloaded_only_with_code_that_loads_and_stays_the_same_process() {
    needs_namespaces!();
    let stage = Stage::new("reload-uwsgi", TO_UWSGI);
    let ini = "[uwsgi]\nwsgi-file = app.py\ncallable = app\n";
    stage.write("app/uwsgi.ini", ini);
    let site = Site::of(stage, UWSGI);
    let master = site.container.services("uwsgi")[0];
    let pid = site.number("app", "pid");
    let (count, output) = site.nothing_drops(|site| {
        let socket =
            || std::os::unix::fs::MetadataExt::ino(&site.stage.folder.join("app.sock").metadata().unwrap());
        let (before, file) = (below(master, "uwsgi"), socket());
        let (good, line) = breaks(site, "app/app.py");
        site.refuses(
            &["reload", "app"],
            &["app was not reloaded: its check failed", "app.py\"", &line, "ModuleNotFoundError"],
        );
        site.stage.write("app/app.py", &format!("{good}\ndef broken(:\n"));
        site.refuses(&["reload", "app"], &["its check failed", "app.py\"", &line, "SyntaxError"]);
        assert_eq!((below(master, "uwsgi"), socket()), (before.clone(), file), "nobody was touched");
        assert_eq!(site.text("app.pid").trim(), pid.to_string(), "nor was its pid file");
        site.stage.write("app/app.py", &good);
        for _ in 0..2 {
            site.does(&["reload", "app"]);
            assert!(below(master, "uwsgi").iter().all(|worker| !before.contains(worker)));
            assert_eq!((site.number("app", "pid"), site.number("app", "restarts")), (pid, 0));
        }
        // With lazy-apps each worker loads the code by itself: the check does so, too.
        site.stage.write("app/uwsgi.ini", &format!("{ini}lazy-apps = true\n"));
        site.does(&["reload", "app"]);
        breaks(site, "app/app.py");
        site.refuses(&["reload", "app"], &["its check failed", "app.py\"", &line, "ModuleNotFoundError"]);
        site.stage.write("app/app.py", &good);
    });
    assert!(!output.contains("app ended"), "{output}");
    eprintln!("reload-uwsgi: {count} requests, none failed");
}

#[test]
fn gunicorn_with_preloaded_code_is_replaced_when_it_is_reloaded_together_with_nginx() {
    needs_namespaces!();
    let app = GUNICORN
        .replace("--bind unix:FOLDER/app.sock", "--preload")
        .replace("directory", "sockets   = { app = \"unix://FOLDER/app.sock\" }\ndirectory");
    let site = Site::new("reload-preload", TO_GUNICORN, &app);
    let pid = site.number("app", "pid");
    let (count, output) = site.nothing_drops(|site| {
        let good = site.text("app/app.py");
        site.stage.write("app/app.py", &format!("{good}\nprint('new code is here', flush=True)\n"));
        site.does(&["reload", "web", "app"]);
        assert_ne!(site.number("app", "pid"), pid);
        site.container.wait_for_output("new code is here");
        breaks(site, "app/app.py");
        site.refuses(&["reload", "app"], &["app was not replaced", "ModuleNotFoundError"]);
    });
    assert!(output.contains("web has new workers"), "{output}");
    eprintln!("reload-preload: {count} requests, none failed");
}
