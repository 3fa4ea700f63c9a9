//! Oneshots that run by the clock.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};

#[test]
fn nobody_waits_for_what_runs_at_boot_by_its_schedule() {
    needs_namespaces!();
    let config = r#"
        [service.warm]
        type = "oneshot"
        schedule = "@reboot"
        command = ["sh", "-c", "read go < ${DIR}/gate; echo warm; exit 3"]

        [service.app]
        command = ["sh", "-c", "echo begun; exec sleep 1001"]
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.said("all is up");
    run.open("gate");
    run.heard("warm");
    // Its failure is its own.
    run.said("warm failed (exit code 3)");
    run.process("sleep 1001");
    run.stops_with(0);
}

#[test]
fn a_container_of_schedules_alone_does_not_end() {
    needs_namespaces!();
    let config = r#"
        [service.report]
        type = "oneshot"
        schedule = "0 0 29 2 *"
        command = "echo never"

        [service.once]
        type = "oneshot"
        command = "echo once"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("once");
    run.said("once is done");
    run.said("all is up");
    assert!(run.processes().is_empty());
    run.stops_with(0);
}

#[test]
fn when_all_that_ran_at_boot_has_ended_all_is_over() {
    needs_namespaces!();
    let config = r#"
        [service.warm]
        type = "oneshot"
        schedule = "@reboot"
        command = "echo warm"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("warm");
    let words = run.ends_with(0);
    assert!(words.contains("all services have ended"), "{words}");
}

/// As long as cron takes: until the next minute, and the one after it.
#[test]
#[ignore = "takes two minutes: make soak"]
fn it_runs_each_minute_unless_its_last_run_is_not_over() {
    needs_namespaces!();
    let config = r#"
        [service.often]
        type = "oneshot"
        schedule = "* * * * *"
        command = ["sh", "-c", "date '+at %S'"]

        [service.slow]
        type = "oneshot"
        schedule = "*/1 * * * *"
        command = ["sh", "-c", "echo slow; exec sleep 1001"]

        # So that nobody waits for a line for longer than tests wait.
        [service.tick]
        command = ["sh", "-c", "while :; do echo tick; sleep 10; done"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("all is up");
    for _ in 0..2 {
        let second = run.heard("at ");
        assert!(second.as_str() <= "at 02", "{second}");
    }
    run.said("it is time for slow, but its last run is not over");
    run.stops_with(0);
}
