//! wait, and what waiting commands have in common: timeouts, Ctrl-C, the supervisor's end.

use crate::asking::{SLOW, USUAL, ask, client, status_of, supervisor};
use crate::needs_namespaces;
use crate::support::wait_until;
use std::process::Stdio;
#[test]
fn wait_is_over_when_it_is_true() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    assert!(ask(&run, &["wait", "app", "app:started", "slow:stopped"]).good().contains("app: running"));
    ask(&run, &["start", "slow", "--no-wait"]).good();
    let mut waiting = client(&run, &["wait", "slow:ready"]).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(status_of(&run, "slow")["ready"], false);
    assert!(waiting.try_wait().unwrap().is_none());
    run.write("up", "");
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    run.stops_with(0);
}

#[test]
fn what_does_not_come_in_time_is_said_and_goes_on() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    let said = ask(&run, &["start", "slow", "--timeout", "300ms"]).fails_with(1);
    assert!(said.contains("not within 0.3 s: slow: starting"), "{said}");
    assert!(said.contains("the start of slow goes on"), "{said}");
    assert_eq!(status_of(&run, "slow")["state"], "starting");
    let said = ask(&run, &["wait", "slow", "--timeout", "100ms"]).fails_with(1);
    assert!(said.contains("not within 0.1 s: slow: starting") && !said.contains("goes on"), "{said}");
    run.stops_with(0);
}

#[test]
fn whom_all_leaves_out_is_not_said_to_be_waited_for() {
    needs_namespaces!();
    let services = r#"
        [service.spare]
        command = "sleep 1000"
        enabled = false
        [service.slow]
        command = "sleep 1001"
        ready = { file = "${DIR}/up" }
    "#;
    let mut run = crate::asking::stage(services).start();
    run.said("slow started");
    let said = ask(&run, &["start", "all", "--timeout", "200ms"]).fails_with(1);
    assert!(said.starts_with("minisup: not within 0.2 s: slow: starting"), "{said}");
    assert!(!said.contains("more"), "{said}");
    run.stops_with(0);
}

#[test]
fn what_will_never_be_is_not_waited_for() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let said = ask(&run, &["wait", "migrate:dnoe"]).fails_with(2);
    assert!(said.contains("did you mean"), "{said}");
    let said = ask(&run, &["wait", "web:done"]).fails_with(2);
    assert_eq!(said, "minisup: cannot wait for web:done: a longrun is never done\n");
    assert!(ask(&run, &["wait", "all:done"]).good().contains("migrate: done"));
    let said = ask(&run, &["wait", "spare"]).fails_with(1);
    assert!(said.contains("spare"), "{said}");
    run.stops_with(0);
}

#[test]
fn who_is_interrupted_leaves_going_on_what_was_begun() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    let mut command = std::process::Command::new(crate::support::MINISUP);
    command.args(["start", "slow"]).env("MINISUP_SOCKET", run.path("socket"));
    crate::support::heeds_interrupts(&mut command);
    let waiting = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the start", || status_of(&run, "slow")["state"] == "starting");
    crate::stage::kill(waiting.id() as i32, libc::SIGINT);
    let output = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(said, "minisup: no longer waiting: the start of slow goes on\n");
    run.write("up", "");
    ask(&run, &["wait", "slow"]).good();
    run.stops_with(0);
}

#[test]
fn when_the_supervisor_ends_its_clients_do_too() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    ask(&run, &["start", "slow", "--no-wait"]).good();
    let mut command = client(&run, &["wait", "slow"]);
    let waiting = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it waits", || std::fs::read_link(format!("/proc/{}/exe", waiting.id())).is_ok());
    run.stops_with(0);
    let output = waiting.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    // Refused because everything ends, or met by the end itself.
    assert!([1, 69].contains(&code), "{code}: {}", String::from_utf8_lossy(&output.stderr));
}
