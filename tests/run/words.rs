//! Words after the image's name: `docker run IMAGE WORDS…` with `[command]` in the configuration.

use crate::needs_namespaces;
use crate::stage::{Place, Stage, supervise};
use std::os::unix::fs::PermissionsExt;

/// A stand-in for a server: says how it was launched, answers `--help`, and runs until it is
/// stopped. And a client.
const SERVER: &str = r#"#!/bin/sh
case " $* " in *" --help "*) echo "usage of $0: $*"; exit 5;; esac
[ "$$" = 1 ] && echo alone || echo "launched $0: $*"
trap 'echo stopped; exit 0' TERM
while :; do sleep 0.02; done
"#;
const CLIENT: &str = "#!/bin/sh\necho client $* as a child of $PPID\nexit ${CODE:-0}\n";

const CONFIG: &str = r#"
[supervisor]
control_socket = "${DIR}/socket"
[command]
service = "db"
[service.db]
preset      = "mysql"
command     = ["mysqld", "--datadir=/x"]
user        = "root"
ready       = "started"
environment = { PASSWORD = "${ROOT_PASSWORD:?say it}" }
[service.other]
command = "sleep 1001"
"#;

fn stage(words: &[&str]) -> Stage {
    let stage = supervise(Place::Pid1, CONFIG).file("mysqld", SERVER).file("mysql", CLIENT).words(words);
    let path = format!("{}:/usr/bin:/bin", stage.folder().display());
    for program in ["mysqld", "mysql"] {
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(stage.folder().join(program), executable).unwrap();
    }
    stage.with(move |container| container.env("PATH", &path))
}

fn with_password(words: &[&str]) -> Stage {
    stage(words).with(|container| container.env("ROOT_PASSWORD", "x"))
}

#[test]
fn options_are_the_servers_and_everything_runs() {
    needs_namespaces!();
    let rows = [
        (&[][..], "--datadir=/x"),
        (&["mysqld"][..], "--datadir=/x"),
        (&["--max-connections=5", "-b c"][..], "--max-connections=5 -b c"),
        (&["mysqld", "--a"][..], "--a"),
    ];
    for (words, expected) in rows {
        let mut run = with_password(words).start();
        let line = run.heard("launched");
        assert!(line.ends_with(format!("/mysqld: {expected}").trim_end()), "{line}");
        run.process("sleep 1001");
        run.stops_with(0);
    }
}

#[test]
fn an_update_keeps_the_servers_arguments() {
    needs_namespaces!();
    let mut run = with_password(&["--max-connections=5"]).start();
    run.heard("launched");
    run.said("all is up");
    run.signal(libc::SIGHUP);
    run.said("nothing has changed");
    run.write("supervise.toml", &CONFIG.replace("1001", "1002").replace("--datadir=/x", "--datadir=/y"));
    run.signal(libc::SIGHUP);
    run.process("sleep 1002");
    let before = CONFIG.replace("[\"mysqld\"", "[\"${DIR}/mysqld\"").replace("1001", "1002");
    run.write("supervise.toml", &before);
    run.signal(libc::SIGHUP);
    let line = run.heard("launched");
    assert!(line.ends_with("/mysqld: --max-connections=5"), "{line}");
    run.stops_with(0);
}

#[test]
fn another_command_runs_alone_and_needs_nothing_that_the_services_need() {
    needs_namespaces!();
    let mut run = stage(&["mysql", "-h", "db"]).with(|container| container.env("CODE", "7")).start();
    assert_eq!(run.heard("client"), "client -h db as a child of 1");
    assert!(!run.path("socket").exists(), "no supervisor ran");
    run.ends_with(7);
    let mut run = stage(&["echo", "hello"]).start();
    assert_eq!(run.heard("hello"), "hello");
    run.ends_with(0);
    let run = stage(&["sleep", "1003"]).start();
    run.process("sleep 1003");
    run.stops_with(128 + libc::SIGTERM);
}

#[test]
fn a_question_to_the_server_is_answered_by_it_alone() {
    needs_namespaces!();
    for words in [&["mysqld", "--verbose", "--help"][..], &["--verbose", "--help"]] {
        let mut run = stage(words).start();
        let line = run.heard("usage of");
        assert!(line.ends_with("/mysqld: --verbose --help"), "{line}");
        run.ends_with(5);
    }
}

#[test]
fn what_the_services_lack_is_said_when_they_are_to_run() {
    needs_namespaces!();
    let words = stage(&["--max-connections=5"]).start().ends_with(78);
    assert!(words.contains("say it"), "{words}");
}

#[test]
fn options_that_are_nobodys_are_refused() {
    needs_namespaces!();
    let config = "[service.db]\ncommand = \"sleep 1001\"\n";
    let words = supervise(Place::Pid1, config).words(&["--max-connections=5"]).start().ends_with(2);
    assert!(words.contains("\"--max-connections=5\" begins with \"-\", but no service takes"), "{words}");
}

#[test]
fn a_command_that_is_not_there_has_the_shells_exit_code() {
    needs_namespaces!();
    let words = stage(&["mysqld-is-missing"]).start().ends_with(127);
    assert!(words.contains("mysqld-is-missing"), "{words}");
}
