//! nginx, gunicorn and uWSGI, the real ones, under minisup as PID 1 of a PID namespace.
#![allow(clippy::print_stderr, reason = "a skipped test says so, and a failed one shows what was written")]

mod adoption;
mod asker;
mod busy;
mod counting;
mod drops;
#[path = "../support/gunicorn.rs"]
mod gunicorn;
#[path = "../support/load.rs"]
mod load;
mod long;
mod pid_files;
mod reloads;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod versions;

use load::{Fate, Load, assert_none_was_cut_off};
use stage::{Container, Stage, kill};
use std::time::{Duration, Instant};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

const TO_GUNICORN: &str = "proxy_pass http://unix:FOLDER/app.sock;";
const TO_UWSGI: &str = "include /etc/nginx/uwsgi_params; uwsgi_pass unix:FOLDER/app.sock;";

const NGINX: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"
timestamps     = true

[service.web]
preset   = "nginx"
command  = "nginx -e stderr -c FOLDER/nginx.conf"
requires = ["app"]
"#;

const GUNICORN: &str = r#"
[service.app]
preset    = "gunicorn"
command   = "gunicorn --bind unix:FOLDER/app.sock --workers 4 app:app"
directory = "FOLDER/app"
"#;

const UWSGI: &str = r#"
[service.app]
preset    = "uwsgi"
command   = """
uwsgi --plugin python3 --master --need-app --processes 2 --threads 8 --enable-threads --vacuum
      --socket FOLDER/app.sock --chmod-socket=666 --wsgi-file app.py --callable app
"""
directory = "FOLDER/app"
"#;

/// An app whose import waits until the file `open` is there.
const GATED: &str = r#"
import os, time
print("at the gate", flush=True)
while not os.path.exists("FOLDER/open"):
    time.sleep(0.02)
from app import app
"#;

/// As long as the issue allows for a stop under load. Where the container has the processors it
/// takes half of that; without, the five interpreters of gunicorn, which clean up after their
/// last request for 60 ms of CPU time each, are what it waits for.
const STOP: Duration = Duration::from_secs(2);

#[test]
fn a_stop_under_load_cuts_no_request_of_gunicorn_off_and_exits_with_0() {
    stop_under_load("gunicorn-load", TO_GUNICORN, GUNICORN);
}

#[test]
fn a_stop_under_load_cuts_no_request_of_uwsgi_off_and_exits_with_0() {
    stop_under_load("uwsgi-load", TO_UWSGI, UWSGI);
}

fn stop_under_load(name: &str, pass: &str, app: &str) {
    needs_namespaces!();
    let stage = Stage::new(name, pass);
    let container = stage.run(&format!("{NGINX}{app}"));
    stage.wait_for_page(&container);

    let load = Load::on(stage.address, 16);
    container.wait_until("a hundred answers", || load.answered() >= 100);
    container.wait_until("all of gunicorn", || gunicorn::has_settled(container.pid()));
    let stopped = Instant::now();
    container.signal(SIGTERM);
    let asked = load.until_refused();
    let (code, output) = container.wait();
    let took = stopped.elapsed();

    assert_eq!(code, 0, "{output}");
    let in_work = assert_none_was_cut_off(&asked, &output, stopped);
    eprintln!("{name}: {} requests, {in_work} in work at the stop, which took {took:?}", asked.len());
    assert!(took < STOP, "the stop took {took:?}\n{output}");
}

#[test]
fn a_killed_gunicorn_master_is_back_behind_nginx_with_no_operator() {
    killed_master_is_back("gunicorn-kill", TO_GUNICORN, GUNICORN, "gunicorn");
}

#[test]
fn a_killed_uwsgi_master_is_back_behind_nginx_with_no_operator() {
    killed_master_is_back("uwsgi-kill", TO_UWSGI, UWSGI, "uwsgi");
}

fn killed_master_is_back(name: &str, pass: &str, app: &str, program: &str) {
    needs_namespaces!();
    let stage = Stage::new(name, pass);
    let container = stage.run(&format!("{NGINX}{app}"));
    stage.wait_for_page(&container);

    let master = only(&container, program);
    let nginx = only(&container, "nginx");
    kill(master, SIGKILL);
    container.wait_until("a new master", || container.services(program).iter().any(|pid| *pid != master));
    stage.wait_for_page(&container);
    assert_eq!(only(&container, "nginx"), nginx, "nginx had nothing to do with it");

    container.signal(SIGTERM);
    let (code, output) = container.wait();
    assert_eq!(code, 0, "{output}");
}

#[test]
fn a_gunicorn_killed_again_and_again_backs_off_then_ends_the_container_with_137() {
    needs_namespaces!();
    let stage = Stage::new("gunicorn-fatal", TO_GUNICORN);
    // Longer than any of its lives here, so that each kill is one more failure in a row.
    let app = format!("{GUNICORN}min_uptime = \"1h\"\nbackoff = {{ initial = \"100ms\", jitter = 0 }}\n");
    let container = stage.run(&format!("{NGINX}{app}"));
    stage.wait_for_page(&container);

    let mut killed: Vec<(i32, Instant)> = Vec::new();
    let mut gaps = Vec::new();
    while killed.len() < 5 {
        let mut master = None;
        container.wait_until("the next master", || {
            let is_new = |pid: &i32| !killed.iter().any(|(old, _)| old == pid);
            master = container.services("gunicorn").into_iter().find(is_new);
            master.is_some()
        });
        if let Some((_, at)) = killed.last() {
            gaps.push(at.elapsed());
        }
        killed.push((master.unwrap(), Instant::now()));
        kill(master.unwrap(), SIGKILL);
    }
    let (code, output) = container.wait();
    assert_eq!(code, 137, "128 + KILL, gunicorn's outcome\n{output}");
    let delays = [100, 200, 400, 800];
    for (failure, (delay, gap)) in delays.into_iter().zip(&gaps).enumerate() {
        let said = format!("trying again in {delay} ms (failure {} of 5)", failure + 1);
        assert!(output.contains(&said), "{said}\n{output}");
        // Longer where workers that the killed master left behind end first, or the machine is busy.
        assert!(gap >= &Duration::from_millis(delay), "{gaps:?}\n{output}");
    }
}

#[test]
fn nginx_does_not_start_before_the_app_is_ready() {
    needs_namespaces!();
    let stage = Stage::new("gate", TO_GUNICORN);
    stage.write("app/gated.py", GATED);
    let container = stage.run(&format!("{NGINX}{}", GUNICORN.replace("app:app", "gated:app")));
    // gunicorn listens, and its workers exist: it looks as if it were up.
    container.wait_for_output("at the gate");
    container.wait_until("gunicorn's socket", || stage.folder.join("app.sock").exists());
    assert!(container.services("nginx").is_empty());
    assert_eq!(stage.ask("/").0, Fate::Refused);

    stage.write("open", "");
    stage.wait_for_page(&container);
    container.signal(SIGTERM);
    let (code, output) = container.wait();
    assert_eq!(code, 0, "{output}");
}

/// Its health is no matter of its front page.
const HEALTHZ: &str = r#"
import os
def app(environ, start_response):
    good = environ["PATH_INFO"] == "/" or os.path.exists("FOLDER/open")
    start_response("200 OK" if good else "503 Service Unavailable", [])
    return []
"#;

#[test]
fn uwsgi_is_ready_when_the_path_that_it_is_asked_for_answers() {
    needs_namespaces!();
    let stage = Stage::new("healthz", TO_UWSGI);
    stage.write("app/app.py", HEALTHZ);
    let ready = r#"ready = { uwsgi = "FOLDER/app.sock:/healthz", interval = "20ms" }"#;
    let container = stage.run(&format!("{UWSGI}{ready}\n"));
    container.wait_for_output("GET /healthz");
    container.wait_until("one more", || container.output().matches("GET /healthz").count() >= 3);
    assert!(!container.output().contains("app is ready"), "{}", container.last_words());
    stage.write("open", "");
    container.wait_for_output("app is ready");
    container.signal(SIGTERM);
    let (code, output) = container.wait();
    assert_eq!(code, 0, "{output}");
}

#[test]
fn an_app_that_never_gets_ready_ends_the_container_and_the_message_names_the_probe() {
    needs_namespaces!();
    let stage = Stage::new("never", TO_GUNICORN);
    stage.write("app/gated.py", GATED);
    let app =
        GUNICORN.replace("app:app", "gated:app").replace("--workers 4", "--graceful-timeout 1 --workers 2");
    let probe = r#"ready = { http = "http+unix://FOLDER/app.sock:/healthz", timeout = "2s" }"#;
    let container = stage.run(&format!("{NGINX}{app}{probe}\nmax_failures = 1\n"));
    let began = Instant::now();
    container.wait_for_output("at the gate");
    assert!(container.services("nginx").is_empty());
    let (code, output) = container.wait();

    assert!(began.elapsed() >= Duration::from_secs(2), "{output}");
    assert_ne!(code, 0, "{output}");
    let said = |line: &&str| line.contains("app was not ready after 2.0 s");
    let line = output.lines().find(said).unwrap_or_else(|| panic!("no line says how long\n{output}"));
    assert!(line.contains("http unix:"), "the probe is named: {line}");
    assert!(line.contains("app.sock/healthz"), "and what it asks: {line}");
    assert!(line.contains("last got: "), "and what it last got: {line}");
}

/// The one child of PID 1 with this name.
fn only(container: &Container, program: &str) -> i32 {
    let found = container.services(program);
    assert_eq!(found.len(), 1, "one {program}: {found:?}\n{}", container.last_words());
    found[0]
}
