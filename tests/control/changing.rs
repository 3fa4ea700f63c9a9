//! start, stop, restart, reload, signal, shutdown.

use crate::asking::{USUAL, ask, client, json, status_of, supervisor};
use crate::needs_namespaces;
use crate::support::LONG;
use minisup::control::client::Client;
use minisup::control::wire::{Reply, Request};
use std::process::Stdio;

#[test]
fn stop_waits_until_it_is_down_and_start_until_it_is_ready() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    assert_eq!(ask(&run, &["stop", "web"]).good(), "web: stopped\n");
    assert_eq!(status_of(&run, "web")["pid"], serde_json::Value::Null);
    let said = ask(&run, &["start", "web"]).good();
    let pid = status_of(&run, "web")["pid"].clone();
    assert_eq!(said, format!("web: running, ready, pid {pid}\n"));
    run.stops_with(0);
}

#[test]
fn stop_takes_along_who_requires_it() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let said = ask(&run, &["stop", "app"]).good();
    assert_eq!(said, "app: stopped\nweb: stopped, for it requires app\n");
    assert_eq!(status_of(&run, "web")["state"], "stopped");
    // Nobody goes along twice.
    assert_eq!(ask(&run, &["stop", "app"]).good(), "app: stopped\n");
    ask(&run, &["start", "web"]).good();
    assert_eq!(status_of(&run, "app")["state"], "running");
    run.stops_with(0);
}

#[test]
fn programs_get_the_outcome_as_one_document() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let names = |text: &str| {
        let all = json(text)["instances"].clone();
        all.as_array()
            .unwrap()
            .iter()
            .map(|it| format!("{} {}", it["service"], it["state"]))
            .collect::<Vec<_>>()
    };
    let stopped = ask(&run, &["stop", "app", "--json"]).good();
    assert_eq!(names(&stopped), [r#""app" "stopped""#, r#""web" "stopped""#]);
    for words in [&["start", "web", "--json"][..], &["restart", "web", "--json"], &["wait", "web", "--json"]]
    {
        assert_eq!(names(&ask(&run, words).good()), [r#""web" "running""#], "{words:?}");
    }
    let failed = ask(&run, &["start", "spare", "--json"]);
    assert_eq!((failed.code, failed.stderr.as_str()), (1, ""));
    let failed = json(&failed.stdout);
    assert_eq!(failed["service"], "spare");
    assert!(failed["message"].as_str().unwrap().contains("exit code 3"), "{failed}");
    assert_eq!(failed["log"].as_array().unwrap().len(), 2, "{failed}");
    let unknown = ask(&run, &["start", "spre", "--json"]);
    assert_eq!(unknown.code, 1);
    assert!(json(&unknown.stdout)["message"].as_str().unwrap().contains("did you mean"), "{unknown:?}");
    run.stops_with(0);
}

#[test]
fn restart_replaces_the_process_and_nobody_elses() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (web, app) = (status_of(&run, "web")["pid"].clone(), status_of(&run, "app")["pid"].clone());
    ask(&run, &["restart", "app"]).good();
    assert_ne!(status_of(&run, "app")["pid"], app);
    assert_eq!(status_of(&run, "web")["pid"], web);
    assert_eq!(status_of(&run, "app")["restarts"], 1);
    run.stops_with(0);
}

#[test]
fn globs_and_all_mean_several() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let said = ask(&run, &["restart", "[wa]*"]).good();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(ask(&run, &["stop", "[wa]*"]).good(), "web: stopped\napp: stopped\n");
    ask(&run, &["start", "web"]).good();
    ask(&run, &["stop", "all"]).good();
    for service in ["web", "app"] {
        assert_eq!(status_of(&run, service)["state"], "stopped");
    }
    ask(&run, &["start", "all"]).good();
    for service in ["web", "app"] {
        assert_eq!(status_of(&run, service)["state"], "running");
    }
    assert_eq!(status_of(&run, "spare")["state"], "stopped", "it is not enabled");
    run.stops_with(0);
}

#[test]
fn a_start_that_fails_says_why_with_the_last_lines() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let said = ask(&run, &["start", "spare"]).fails_with(1);
    assert!(said.starts_with("minisup: ") && said.contains("exit code 3"), "{said}");
    // It is not enabled, so "all" does not mean it, and has not failed because of it.
    for words in [&["start", "all"], &["restart", "all"]] {
        ask(&run, words).good();
    }
    assert_eq!(status_of(&run, "spare")["state"], "exited");
    let (_, log) = said.split_once("the last lines of spare:\n").expect(&said);
    let mut lines: Vec<&str> = log.lines().collect();
    // They came by two pipes.
    lines.sort_unstable();
    assert_eq!(lines, ["  cannot read the file", "  giving up"], "{said}");
    run.stops_with(0);
}

#[test]
fn a_start_that_fails_shows_no_lines_of_earlier_launches() {
    needs_namespaces!();
    let services = r#"
        [service.app]
        command = "sleep 1001"
        ready = "started"
        [defaults]
        essential = false
        restart = "never"
        ready = { file = "${DIR}/never" }
        [service.plain]
        command = ["sh", "-c", "echo run $(cat ${DIR}/number); exit 3"]
        enabled = false
        [service.hooked]
        command = ["sh", "-c", "echo run $(cat ${DIR}/number); exit 3"]
        hooks = { before_start = ["sh", "-c", "echo hook $(cat ${DIR}/number)"] }
        enabled = false
    "#;
    let run = supervisor(services);
    for number in ["1", "2", "3"] {
        run.write("number", number);
        // The hook comes before the launch, and what it writes is of it.
        for (service, before) in [("plain", ""), ("hooked", "hook N, ")] {
            let said = ask(&run, &["start", service]).fails_with(1);
            let (_, log) = said.split_once(&format!("the last lines of {service}:\n")).expect(&said);
            let lines: Vec<&str> = log.lines().map(str::trim).collect();
            assert_eq!(lines.join(", "), format!("{before}run N").replace('N', number), "{said}");
        }
    }
    let logs = |last_launch| {
        let names = vec!["plain".to_owned()];
        let mut client = Client::connect(&run.path("socket")).unwrap();
        client.ask(&Request::Logs { names, lines: None, follow: false, last_launch }).unwrap();
        let lines = std::iter::from_fn(|| match client.next(Some(LONG)).unwrap() {
            Some(Reply::Log(line)) => Some(line.message),
            _ => None,
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(logs(true), ["run 3"]);
    assert_eq!(logs(false), ["run 1", "run 2", "run 3"]);
    run.stops_with(0);
}

#[test]
fn without_waiting_it_is_only_asked_for() {
    needs_namespaces!();
    let services = r#"
        [service.slow]
        command = "sleep 1000"
        ready = { file = "${DIR}/up" }
        enabled = false
    "#;
    let run = supervisor(&format!("{services}[service.app]\ncommand = \"sleep 1001\"\n"));
    let said = ask(&run, &["start", "slow", "--no-wait"]).good();
    assert!(said.starts_with("slow: "), "{said}");
    assert_eq!(status_of(&run, "slow")["ready"], false);
    run.write("up", "");
    assert!(ask(&run, &["wait", "slow"]).good().starts_with("slow: running, ready, pid "));
    run.stops_with(0);
}

#[test]
fn a_signal_reaches_the_main_process() {
    needs_namespaces!();
    let services = r#"
        [service.ear]
        command = ["sh", "-c", "trap 'echo heard it' USR1; echo hearing; while :; do sleep 0.05; done"]
        [service.deaf]
        command = "sleep 1000"
        enabled = false
    "#;
    let mut run = supervisor(services);
    run.heard("hearing");
    for name in ["USR1", "SIGUSR1", "10"] {
        assert_eq!(ask(&run, &["signal", name, "ear"]).good(), "");
        run.heard("heard it");
    }
    let said = ask(&run, &["signal", "TERM", "deaf"]).fails_with(1);
    assert!(said.contains("deaf"), "{said}");
    let said = ask(&run, &["signal", "TREM", "ear"]).fails_with(2);
    assert!(said.contains("did you mean TERM?"), "{said}");
    run.stops_with(0);
}

#[test]
fn reload_checks_first_and_says_what_the_check_said() {
    needs_namespaces!();
    let services = r#"
        [service.ear]
        command = ["sh", "-c", "trap 'echo reloading' HUP; echo hearing; while :; do sleep 0.05; done"]
        reload = { signal = "HUP", check = ["sh", "-c", "test ! -e ${DIR}/bad || { echo line 3 is wrong >&2; exit 1; }"] }
    "#;
    let mut run = supervisor(services);
    run.heard("hearing");
    assert_eq!(ask(&run, &["reload", "ear"]).good(), "ear: reloaded\n");
    run.heard("reloading");
    run.write("bad", "");
    let said = ask(&run, &["reload", "ear"]).fails_with(1);
    assert!(said.contains("ear"), "{said}");
    assert_eq!(status_of(&run, "ear")["state"], "running");
    run.stops_with(0);
}

#[test]
fn shutdown_ends_the_container() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    assert_eq!(ask(&run, &["shutdown"]).good(), "shutting down\n");
    run.ends_with(0);
}

#[test]
fn a_shutdown_with_its_own_timeout_kills_who_is_left_then() {
    needs_namespaces!();
    let services = r#"
        [service.stubborn]
        command = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]
        stop = { grace_period = "5m" }
    "#;
    let mut run = supervisor(&format!("shutdown_timeout = \"6m\"\n{services}"));
    run.heard("deaf");
    ask(&run, &["shutdown", "--timeout", "1s"]).good();
    run.ends_with(137);
}

#[test]
fn ten_clients_at_once_all_get_their_answer() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let asked = |number: usize| match number % 4 {
        0 => client(&run, &["health"]),
        1 => client(&run, &["status", "--json", "app"]),
        2 => client(&run, &["signal", "CONT", "app"]),
        _ => client(&run, &["wait", "app"]),
    };
    for _ in 0..5 {
        let mut clients: Vec<_> = (0..10).map(asked).collect();
        let begun: Vec<_> = clients.iter_mut().map(|it| it.stdout(Stdio::piped()).spawn().unwrap()).collect();
        for (number, client) in begun.into_iter().enumerate() {
            let output = client.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            let said = String::from_utf8(output.stdout).unwrap();
            match number % 4 {
                0 => assert!(said.starts_with("healthy: "), "{said}"),
                1 => assert_eq!(json(&said)["pid"], 1),
                2 => assert_eq!(said, ""),
                _ => assert!(said.starts_with("app: running"), "{said}"),
            }
        }
    }
    run.stops_with(0);
}

#[test]
fn who_asks_while_something_is_launched_is_not_taken_for_one_who_has_gone() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    // What is being launched holds the descriptor of a client that has gone until it executes.
    for _ in 0..40 {
        assert!(ask(&run, &["restart", "app", "--no-wait"]).good().starts_with("app: "));
    }
    run.stops_with(0);
}
