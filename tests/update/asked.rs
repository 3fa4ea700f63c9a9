//! Updates that a client asks for: the documents of the control socket, and the command.

use crate::needs_namespaces;
use crate::play::{ask, config, pids, stage, up};
use crate::support::MINISUP;
use minisup::control::client::Client;
use minisup::control::wire::{ChangeKind, ErrorKind, Reply, Request, Updated};
use std::process::Command;

const AB: &str =
    "[service.a]\ncommand = 'sleep 1001'\n[service.b]\ncommand = 'sleep 1002'\nstop.grace_period = '2s'\n";

fn document(reply: Reply) -> Updated {
    match reply {
        Reply::Updated(updated) => updated,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dry_run_shows_the_difference_key_by_key_and_does_nothing() {
    needs_namespaces!();
    let run = up(AB);
    let before = pids(&run);
    let text = AB.replace("1001", "1009").replace("'2s'", "'3s'");
    run.write("supervise.toml", &config(&format!("{text}[service.c]\ncommand = 'sleep 1003'\n")));
    let shown = document(ask(&run, &Request::Update { dry_run: true, wait: true }));
    assert!(shown.dry_run);
    let what: Vec<_> = shown.services.iter().map(|it| (it.service.as_str(), it.change)).collect();
    let expected = [("a", ChangeKind::Replaced), ("b", ChangeKind::InPlace), ("c", ChangeKind::Added)];
    assert_eq!(what, expected);
    let key = &shown.services[0].keys[0];
    assert_eq!(
        (key.key.as_str(), key.from.as_str(), key.to.as_str()),
        ("command", "sleep 1001", "sleep 1009")
    );
    assert!(key.needs_restart);
    let key = &shown.services[1].keys[0];
    assert_eq!((key.key.as_str(), key.from.as_str(), key.to.as_str()), ("stop.grace_period", "2s", "3s"));
    assert!(!key.needs_restart);
    assert_eq!(pids(&run), before);
    // Nothing was remembered of it either.
    run.write("supervise.toml", &config(AB));
    let shown = document(ask(&run, &Request::Update { dry_run: true, wait: true }));
    assert_eq!((shown.services.len(), shown.other.len()), (0, 0), "{shown:?}");
    run.stops_with(0);
}

#[test]
fn an_asked_update_is_answered_when_it_is_done() {
    needs_namespaces!();
    let run = up(AB);
    run.write("supervise.toml", &config(&AB.replace("1001", "1009")));
    let done = document(ask(&run, &Request::Update { dry_run: false, wait: true }));
    assert!(!done.dry_run);
    assert_eq!(done.services.len(), 1);
    // At once, without waiting for it.
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1002", "sleep 1009"]);
    run.stops_with(0);
}

#[test]
fn the_answer_to_one_that_fails_has_the_reason_and_the_last_lines() {
    needs_namespaces!();
    let run = up(AB);
    let bad = "[service.bad]\ncommand = ['sh', '-c', 'echo it hurts; exit 3']\nmax_failures = 1\nessential = false\nready = { notify = true }\n";
    run.write("supervise.toml", &config(&format!("{AB}{bad}")));
    match ask(&run, &Request::Update { dry_run: false, wait: true }) {
        Reply::Failed { message, service, log } => {
            assert!(message.contains("bad") && message.contains("exit code 3"), "{message}");
            assert_eq!(service.as_deref(), Some("bad"));
            assert_eq!(log, ["it hurts"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pids(&run).len(), 2);
    run.stops_with(0);
}

#[test]
fn all_that_is_wrong_is_answered_as_minisup_check_prints_it() {
    needs_namespaces!();
    let run = up(AB);
    let before = pids(&run);
    run.write("supervise.toml", &config(&format!("{AB}comand = 'x'\nnice = 77\n")));
    let checked = Command::new(MINISUP)
        .args(["check", "--config"])
        .arg(run.path("supervise.toml"))
        .env("DIR", run.path("").to_str().unwrap().trim_end_matches('/'))
        .output()
        .unwrap();
    let expected = String::from_utf8(checked.stderr).unwrap();
    for dry_run in [true, false] {
        match ask(&run, &Request::Update { dry_run, wait: true }) {
            Reply::Error { error: ErrorKind::BadConfiguration, message } => {
                assert_eq!(message.trim_end(), expected.trim_end());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn the_value_of_a_secret_is_shown_nowhere() {
    needs_namespaces!();
    let app = "[service.app]\ncommand = 'sleep 1001'\nsecrets = ['PASSWORD']\n";
    let mut run =
        stage(app).file("password", "the old one").after("export PASSWORD_FILE=$DIR/password").start();
    run.said("all is up");
    run.write("password", "a new one");
    let shown = document(ask(&run, &Request::Update { dry_run: true, wait: true }));
    let key = &shown.services[0].keys[0];
    assert_eq!(
        (key.key.as_str(), key.from.as_str(), key.to.as_str()),
        ("environment.PASSWORD", "***", "***")
    );
    run.signal(libc::SIGHUP);
    assert!(run.said("update: app replaced").ends_with("app replaced (environment.PASSWORD)"));
    run.said("update: done");
    run.stops_with(0);
}

#[test]
fn a_client_that_goes_away_does_not_take_its_update_along() {
    needs_namespaces!();
    let mut run = stage(AB).gate("go").start();
    run.said("all is up");
    let slow = "[service.slow]\ncommand = ['sh', '-c', 'read line < ${DIR}/go; $ACTOR notify READY=1; exec sleep 1003']\nready = { notify = true }\n";
    run.write("supervise.toml", &config(&format!("{AB}{slow}")));
    let mut client = Client::connect(&run.path("socket")).unwrap();
    client.ask(&Request::Update { dry_run: false, wait: true }).unwrap();
    run.said("slow started");
    drop(client);
    run.open("go");
    run.said("slow is ready");
    run.said("update: done");
    run.stops_with(0);
}

#[test]
fn two_clients_and_a_signal_at_once_are_one_after_the_other() {
    needs_namespaces!();
    let run = up(AB);
    let before = pids(&run);
    run.write("supervise.toml", &config(&AB.replace("1001", "1009")));
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(&run.path("socket")).unwrap()).collect();
    for client in &mut clients {
        client.ask(&Request::Update { dry_run: false, wait: true }).unwrap();
    }
    run.signal(libc::SIGHUP);
    for client in &mut clients {
        document(client.next(Some(crate::support::LONG)).unwrap().expect("a reply"));
    }
    run.process("sleep 1009");
    assert_eq!(pids(&run).get("sleep 1002"), before.get("sleep 1002"));
    // One of them changed it; for the others there was nothing left.
    let words = run.stops_with(0);
    assert_eq!(words.matches("update: a replaced (command), 1 unchanged").count(), 1, "{words}");
}

#[test]
fn the_command_does_the_same() {
    needs_namespaces!();
    let run = up(AB);
    run.write("supervise.toml", &config(&AB.replace("1001", "1009")));
    let dry = run.ask(&["update", "--dry-run"]);
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.status.success() && said.contains("command") && said.contains("sleep 1009"), "{dry:?}");
    assert!(pids(&run).contains_key("sleep 1001"));
    let done = run.ask(&["update"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1002", "sleep 1009"]);
    run.write("supervise.toml", "[service.a\n");
    assert_eq!(run.ask(&["update"]).status.code(), Some(78));
    run.stops_with(0);
}
