//! Servers that replace themselves: the process that they leave behind is the service's from then on.

use crate::needs_namespaces;
use crate::stage::{Place, Run, Stage, kill, supervise};

/// At USR2 it executes itself once more beside itself. NAME is how that one is told who it is.
const SERVER: &str = r#"
trap 'NAME sh "$DIR/server.sh" heir &' USR2
trap 'exit 0' TERM
trap 'exit 7' HUP
FIRST
test "$1" = heir && (setsid sleep 2001 &)
echo "begun $$"
while :; do sleep 0.02; done
"#;

const CONFIG: &str = r#"
    [supervisor]
    control_socket = "${DIR}/socket"

    [service.web]
    command = ["sh", "${DIR}/server.sh"]
"#;

fn by_file(place: Place) -> Stage {
    let config = format!("{CONFIG}\nready = {{ file = \"${{DIR}}/pid\" }}\n");
    let server = SERVER.replace("NAME", "").replace("FIRST", "echo $$ > \"$DIR/pid\"");
    supervise(place, &config).file("server.sh", &server)
}

fn by_environment(place: Place) -> Stage {
    let server = SERVER.replace("NAME", "GUNICORN_PID=$$").replace("FIRST", "");
    supervise(place, CONFIG).file("server.sh", &server)
}

fn minisup(run: &Run, words: &[&str]) -> (bool, String) {
    let asked = run.ask(words);
    (asked.status.success(), String::from_utf8_lossy(&[asked.stdout, asked.stderr].concat()).into_owned())
}

/// What the service has written as its number.
fn begun(run: &mut Run) -> String {
    run.heard("begun").split_whitespace().last().unwrap().to_owned()
}

fn hands_over_and_goes_on(mut run: Run) {
    let first = begun(&mut run);
    run.said("all is up");
    let server = format!("sh {}", run.path("server.sh").display());
    let old = run.process(&server);
    kill(old.pid, libc::SIGUSR2);
    let heir = begun(&mut run);
    assert!(!run.path("pid").exists() || std::fs::read_to_string(run.path("pid")).unwrap().trim() == heir);
    kill(old.pid, libc::SIGTERM);
    let line = run.said("web goes on");
    assert!(line.contains(&format!("as pid {heir}: pid {first} has handed over to it")), "{line}");
    run.is_gone(&old);
    let (_, status) = minisup(&run, &["status", "web", "--json"]);
    let has = |what: &str| status.replace(' ', "").contains(what);
    assert!(has(&format!("\"pid\":{heir},")) && has("\"restarts\":0,"), "{status}");
    assert!(has("\"state\":\"running\"") && has("\"ready\":true"), "{status}");

    // A signal reaches it, and its end is the service's.
    let daemon = run.process("sleep 2001");
    assert!(minisup(&run, &["signal", "HUP", "web"]).0);
    run.said("web ended (exit code 7), but others of its tree live on");
    let second = begun(&mut run);
    assert_ne!(second, heir);
    run.is_gone(&daemon);

    // Once more, and by a stop all of it ends.
    let old = run.process(&server);
    kill(old.pid, libc::SIGUSR2);
    begun(&mut run);
    kill(old.pid, libc::SIGTERM);
    run.said("web goes on");
    let daemon = run.process("sleep 2001");
    let (stopped, said) = minisup(&run, &["stop", "web"]);
    assert!(stopped, "{said}");
    run.is_gone(&daemon);
    let left = run.processes();
    assert!(left.is_empty(), "{left:?}");
    run.stops_with(0);
}

pub fn an_heir_that_the_pid_file_names_goes_on_in_its_place(place: Place) {
    hands_over_and_goes_on(by_file(place).start());
}

#[test]
fn an_heir_that_its_environment_tells_goes_on_in_its_place() {
    needs_namespaces!();
    hands_over_and_goes_on(by_environment(Place::Pid1).start());
}

#[test]
fn an_orphan_that_nobody_names_is_no_heir() {
    needs_namespaces!();
    // It says that it is somebody's, but not whose death this is.
    let server = SERVER.replace("NAME", "GUNICORN_PID=1").replace("FIRST", "");
    let mut run = supervise(Place::Pid1, CONFIG).file("server.sh", &server).start();
    begun(&mut run);
    run.said("all is up");
    let old = run.process("sh ");
    kill(old.pid, libc::SIGUSR2);
    begun(&mut run);
    kill(old.pid, libc::SIGKILL);
    run.said("web ended (killed by KILL), but others of its tree live on");
    begun(&mut run);
    run.process("sh ");
    run.stops_with(0);
}

#[test]
fn a_stop_reaches_the_heir_of_who_was_asked_to_end() {
    needs_namespaces!();
    let mut run = by_file(Place::Pid1).start();
    begun(&mut run);
    run.said("all is up");
    let old = run.process("sh ");
    kill(old.pid, libc::SIGUSR2);
    begun(&mut run);
    run.signal(libc::SIGTERM);
    run.said("stopping web");
    run.said("web goes on");
    let words = run.ends_with(0);
    assert!(
        words.contains("web stopped (exit code 0)") || words.contains("web ended (exit code 0)"),
        "{words}"
    );
}

#[test]
fn without_the_right_to_look_into_others_environments_an_heir_of_gunicorn_is_known_by_its_words() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        preset  = "gunicorn"
        command = "${DIR}/gunicorn --workers 2 app:app"
        ready   = { log = "begun" }
        user    = "12345"
        group   = "12345"
    "#;
    let server = r#"#!/bin/sh
trap '"$0" "$@" &' USR2
trap 'exit 0' TERM
echo "begun $$"
while :; do sleep 0.02; done
"#;
    let docker = "chmod +x $DIR/gunicorn; exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace";
    let mut run = supervise(Place::Pid1, config).file("gunicorn", server).after(docker).start();
    begun(&mut run);
    run.said("all is up");
    let old = run.process("/bin/sh ");
    kill(old.pid, libc::SIGUSR2);
    let heir = begun(&mut run);
    kill(old.pid, libc::SIGTERM);
    let line = run.said("app goes on");
    assert!(line.contains(&format!("as pid {heir}:")), "{line}");
    run.stops_with(0);
}
