//! Commands around a service's life.

use crate::needs_namespaces;
use crate::stage::{Place, kill, supervise};
use std::time::Duration;

/// Says which hook it is, and of what.
const TELL: &str = r#"["sh", "-c", "echo $MINISUP_EVENT of $MINISUP_SERVICE:$MINISUP_INSTANCE, $MINISUP_OUTCOME $MINISUP_EXIT_CODE."]"#;

pub fn every_hook_has_its_moment_and_knows_it(place: Place) {
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; trap 'echo asked; exit 7' TERM; while :; do sleep 0.02; done"]
        min_uptime = "0s"
        stop.tree = true
        hooks = { before_start = TELL, after_ready = TELL, before_stop = TELL, after_exit = TELL }
    "#;
    let mut run = supervise(place, &config.replace("TELL", TELL)).start();
    assert_eq!(run.heard(""), "before_start of app:0, .");
    // Nobody waits for after_ready.
    let mut both = [run.heard(""), run.heard("")];
    both.sort();
    assert_eq!(both, ["after_ready of app:0, .", "begun"]);
    run.signal(libc::SIGTERM);
    assert_eq!(run.heard(""), "before_stop of app:0, .");
    assert_eq!(run.heard(""), "asked");
    assert_eq!(run.heard(""), "after_exit of app:0, exit code 7 7.");
    run.ends_with(0);
}

#[test]
fn before_start_runs_before_each_launch_and_after_exit_after_each_end() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; exec sleep 1001"]
        min_uptime = "0s"
        hooks = { before_start = TELL, after_exit = TELL }
    "#;
    let mut run = supervise(Place::Pid1, &config.replace("TELL", TELL)).start();
    assert_eq!(run.heard(""), "before_start of app:0, .");
    assert_eq!(run.heard(""), "begun");
    for _ in 0..3 {
        kill(run.process("sleep 1001").pid, libc::SIGKILL);
        // The next launch does not wait for after_exit, but does for before_start.
        let mut all = [run.heard(""), run.heard(""), run.heard("")];
        let place = |line: &str| all.iter().position(|other| other == line);
        assert!(place("before_start of app:0, .") < place("begun"), "{all:?}");
        all.sort();
        assert_eq!(all[0], "after_exit of app:0, killed by KILL 137.");
    }
    run.stops_with(0);
}

#[test]
fn a_before_start_that_fails_is_a_failed_start() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo never"]
        max_failures = 3
        backoff.initial = "1ms"
        hooks.before_start = "sh -c 'echo no such table; exit 42'"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    for _ in 0..3 {
        assert_eq!(run.heard(""), "no such table");
    }
    let words = run.ends_with(42);
    assert!(words.contains("app failed (before_start hook: exit code 42): trying again"), "{words}");
    assert!(words.contains("given up after 3 failures in a row"), "{words}");
}

#[test]
fn a_before_start_that_hangs_is_ended_and_so_is_all_that_it_has_begun() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo never"]
        max_failures = 1
        stop.grace_period = "100ms"
        hooks = { before_start = ["sh", "-c", "trap '' TERM; setsid sleep 1001 & echo hangs; sleep 1002"], timeout = "300ms" }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("hangs");
    let words = run.ends_with(1);
    assert!(words.contains("app failed (before_start hook: not done in time)"), "{words}");
}

#[test]
fn a_stop_ends_a_before_start_that_still_runs() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo never"]
        hooks.before_start = ["sh", "-c", "echo migrating; exec sleep 1001"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("migrating");
    let words = run.stops_with(0);
    assert!(words.contains("app stopped (killed by TERM)"), "{words}");
}

#[test]
fn a_before_stop_that_hangs_delays_the_stop_no_longer_than_the_grace_period() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "trap 'echo asked; exit' TERM; echo begun; while :; do sleep 0.02; done"]
        stop.grace_period = "500ms"
        hooks.before_stop = ["sh", "-c", "echo leaving; exec sleep 1001"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("begun");
    run.said("all is up");
    run.signal(libc::SIGTERM);
    run.heard("leaving");
    run.heard("asked");
    run.said("the before_stop hook of app failed (not done within 500ms)");
    run.ends_within(Duration::from_secs(8), 0);
}

#[test]
fn an_after_exit_that_hangs_does_not_keep_the_container_beyond_its_time() {
    needs_namespaces!();
    let config = r#"
        supervisor.shutdown_timeout = "700ms"

        [service.app]
        command = ["sleep", "1001"]
        hooks.after_exit = ["sh", "-c", "trap '' TERM; echo cleaning; sleep 1002 & wait; sleep 1003"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("app started");
    run.signal(libc::SIGTERM);
    run.heard("cleaning");
    run.ends_within(Duration::from_secs(8), 0);
}

#[test]
fn a_hook_that_cannot_be_executed_says_why() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        hooks = { after_ready = "/no/such/hook", before_stop = "/no/such/hook" }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("the after_ready hook of app failed (cannot execute /no/such/hook");
    run.signal(libc::SIGTERM);
    run.said("the before_stop hook of app failed (cannot execute /no/such/hook");
    run.ends_with(0);
}
