//! What clients ask for, what is done about it, and when they are answered.

use crate::specs::{on, oneshot, ready, satellite, secs, service, tcp};
use crate::stage::Stage;
use minisup::core::exit::Outcome;
use minisup::core::plan::{Condition, Probe, Restart, ServiceSpec};
use minisup::core::signal::Signal;

fn requiring(name: &str, service_number: u32, condition: Condition) -> ServiceSpec {
    ServiceSpec { requires: [on(service_number, condition)].into(), ..service(name) }
}

fn app_on_db() -> Stage {
    let mut stage = Stage::of([service("db"), requiring("app", 0, Condition::Ready)]);
    stage.exec("db");
    stage.exec("app");
    stage
}

#[test]
fn stop_takes_down_the_dependents_first_and_is_answered_when_the_named_one_is_down() {
    let mut stage = app_on_db();
    let stop = stage.stop("db");
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    assert_eq!(stage.signals_to("db"), []);
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    assert!(stage.is_open(stop));
    stage.exits("db", 0);
    assert!(stage.is_done(stop));
    assert_eq!(stage.phase(), "up", "whoever was stopped by hand can be started again");
}

#[test]
fn start_brings_up_what_is_required_but_not_the_dependents() {
    let mut stage = app_on_db();
    stage.stop("db");
    stage.exits("app", 0);
    stage.exits("db", 0);
    let start = stage.start("db");
    stage.exec("db");
    assert!(stage.is_done(start));
    assert_eq!(stage.state("app"), "Stopped");
    stage.stop("db");
    stage.exits("db", 0);
    let start = stage.start("app");
    assert_eq!((stage.state("db"), stage.state("app")), ("Executing", "Waiting"));
    stage.exec("db");
    stage.exec("app");
    assert!(stage.is_done(start));
}

#[test]
fn start_during_a_stop_takes_the_stop_back_and_both_are_answered() {
    let mut stage = app_on_db();
    let stop = stage.stop("db");
    let start = stage.start("app");
    assert_eq!(stage.refusal(stop), "db is to be up again");
    assert!(stage.is_open(start));
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [], "it was never asked to stop");
    stage.exec("app");
    assert!(stage.is_done(start));
}

#[test]
fn restart_replaces_a_process_and_leaves_its_dependents_in_peace() {
    let mut stage = app_on_db();
    let restart = stage.restart("db");
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    assert!(stage.is_open(restart));
    stage.exits("db", 0);
    stage.exec("db");
    assert!(stage.is_done(restart));
    assert_eq!(stage.signals_to("app"), []);
    assert_eq!((stage.launches("db"), stage.launches("app")), (2, 1));
}

#[test]
fn restart_of_a_stopped_service_starts_it_with_what_it_requires() {
    let mut stage = app_on_db();
    stage.stop("db");
    stage.exits("app", 0);
    stage.exits("db", 0);
    let restart = stage.restart("app");
    stage.exec("db");
    stage.exec("app");
    assert!(stage.is_done(restart));
}

#[test]
fn restart_while_the_requirement_is_on_its_way_down_keeps_the_requirement_up() {
    let mut stage = app_on_db();
    stage.stop("db");
    let restart = stage.restart("app");
    stage.exits("app", 0);
    stage.exec("app");
    assert!(stage.is_done(restart));
    assert_eq!((stage.state("db"), stage.signals_to("db")), ("Running", vec![]));
}

#[test]
fn restart_while_the_fork_is_refused_is_answered_when_the_new_process_runs() {
    let mut stage = Stage::of([service("db"), requiring("app", 0, Condition::Ready)]);
    stage.exec("db");
    stage.exits("app", 1);
    stage.refuses = true;
    stage.wait(secs(1));
    stage.exits("db", 1);
    stage.refuses = false;
    stage.wait(secs(60));
    let restart = stage.restart("app");
    stage.exec("db");
    stage.exec("app");
    assert!(stage.is_done(restart));
}

#[test]
fn restart_while_the_rest_of_the_old_tree_is_ended_is_answered() {
    let never = ServiceSpec { restart: Restart::Never, ..service("app") };
    let mut stage = Stage::of([never, service("other")]);
    stage.exec("app");
    stage.wait(secs(5));
    stage.ends("app", Outcome::Exited(0), true);
    let restart = stage.restart("app");
    stage.tree_is_gone("app");
    assert_eq!(stage.state("app"), "Executing");
    stage.exec("app");
    assert!(stage.is_done(restart));
}

#[test]
fn restart_of_a_service_that_is_being_stopped_for_its_slowness_forgives_it() {
    let slow = ServiceSpec { ready: ready(Probe::Notify), max_failures: Some(1), ..service("app") };
    let mut stage = Stage::of([slow]);
    stage.exec("app");
    stage.wait(secs(61));
    assert_eq!(stage.state("app"), "Stopping");
    let restart = stage.restart("app");
    stage.exits("app", 0);
    stage.exec("app");
    stage.is_ready("app");
    assert!(stage.is_done(restart));
}

#[test]
fn restart_before_exec_is_honoured_even_if_the_exec_fails() {
    let mut stage = Stage::of([ServiceSpec { restart: Restart::Never, ..service("app") }]);
    let restart = stage.restart("app");
    assert_eq!(stage.state("app"), "Stopping");
    stage.cannot_exec("app");
    assert_eq!(stage.state("app"), "Executing", "at once, without a delay");
    stage.exec("app");
    assert!(stage.is_done(restart));
}

#[test]
fn a_finished_oneshot_runs_again_when_it_is_named_but_not_because_it_is_required() {
    let mut stage = Stage::of([oneshot("migrate"), requiring("app", 0, Condition::Done)]);
    stage.exec("migrate");
    stage.exits("migrate", 0);
    stage.exec("app");
    stage.stop("app");
    stage.exits("app", 0);
    let start = stage.start("app");
    stage.exec("app");
    assert!(stage.is_done(start));
    assert_eq!(stage.launches("migrate"), 1);
    let start = stage.start("migrate");
    stage.exec("migrate");
    assert!(stage.is_open(start), "a oneshot is up when it is done");
    stage.exits("migrate", 0);
    assert!(stage.is_done(start));
    assert_eq!(stage.launches("migrate"), 2);
}

#[test]
fn start_fails_with_the_reason_when_the_service_is_given_up() {
    let broken = ServiceSpec { enabled: false, essential: false, max_failures: Some(1), ..service("app") };
    let mut stage = Stage::of([broken, service("other")]);
    let start = stage.start("app");
    stage.exec("app");
    assert!(stage.is_done(start), "without `ready`, started is all there is to wait for");
    let restart = stage.restart("app");
    stage.exits("app", 0);
    stage.exits("app", 3);
    assert_eq!(stage.refusal(restart), "app is fatal (exit code 3)");
}

#[test]
fn requests_for_several_instances_are_answered_when_all_are_there() {
    let mut stage = Stage::of([ServiceSpec { instances: 3, ..service("app") }, service("other")]);
    ["app:0", "app:1", "app:2"].iter().for_each(|name| stage.exec(name));
    let restart = stage.restart("app");
    for name in ["app:0", "app:1", "app:2"] {
        assert!(stage.is_open(restart));
        stage.exits(name, 0);
        stage.exec(name);
    }
    assert!(stage.is_done(restart));
    let stop = stage.stop("app");
    for name in ["app:2", "app:0", "app:1"] {
        assert!(stage.is_open(stop));
        stage.exits(name, 0);
    }
    assert!(stage.is_done(stop));
}

#[test]
fn every_open_request_is_answered_when_the_drain_begins_or_ends() {
    let mut stage = app_on_db();
    let (restart, stop) = (stage.restart("app"), stage.stop("db"));
    assert!(!stage.is_open(restart) || stage.is_open(stop));
    stage.signal(Signal::TERM);
    assert!(!stage.is_open(restart));
    stage.wait(secs(11));
    assert_eq!(stage.refusal(stop), "a process would not end");
    let late = stage.start("app");
    assert_eq!(stage.refusal(late), "cannot start: shutting down");
}

#[test]
fn stopping_a_finished_oneshot_does_not_keep_the_container_up() {
    let mut stage = Stage::of([oneshot("init"), ServiceSpec { restart: Restart::Never, ..service("app") }]);
    stage.exec("init");
    stage.exec("app");
    stage.exits("init", 0);
    let stop = stage.stop("init");
    assert!(stage.is_done(stop));
    stage.exits("app", 0);
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn a_service_stopped_by_hand_keeps_the_container_up_and_holds_up_nobody_who_only_comes_after() {
    let after = ServiceSpec { after: [on(0, Condition::Ready)].into(), ..service("web") };
    let mut stage = Stage::of([service("app"), after]);
    stage.exec("app");
    stage.exec("web");
    stage.wait(secs(5));
    stage.stop("app");
    stage.exits("app", 0);
    stage.exits("web", 1);
    assert_eq!(stage.state("web"), "Executing");
}

#[test]
fn starting_a_disabled_service_does_not_end_the_boot_early() {
    let slow = ServiceSpec { ready: ready(Probe::Notify), ..service("slow") };
    let mut stage = Stage::of([slow, ServiceSpec { enabled: false, ..service("extra") }]);
    stage.start("extra");
    stage.exec("extra");
    assert_eq!(stage.phase(), "boot");
    stage.exec("slow");
    stage.is_ready("slow");
    assert_eq!(stage.phase(), "up");
}

#[test]
fn a_reopen_or_a_forwarded_signal_does_not_hit_a_process_that_is_not_the_program_yet() {
    let mut stage = Stage::of([ServiceSpec { reopen: Some(Signal::USR1), ..service("web") }]);
    stage.signal(Signal::USR1);
    let request = stage.send("web", Signal::HUP);
    assert_eq!(stage.signals_to("web"), []);
    assert_eq!(stage.refusal(request), "cannot signal web: it is not running");
    stage.exec("web");
    stage.signal(Signal::USR1);
    let request = stage.send("web", Signal::HUP);
    assert_eq!(stage.signals_to("web"), [Signal::USR1, Signal::HUP]);
    assert!(stage.is_done(request));
}

#[test]
fn who_still_loads_opens_its_log_files_again_when_it_is_ready() {
    let web = ServiceSpec { reopen: Some(Signal::USR1), ready: ready(tcp()), ..service("web") };
    let mut stage = Stage::of([web]);
    stage.exec("web");
    stage.signal(Signal::USR1);
    stage.signal(Signal::USR1);
    assert_eq!(stage.signals_to("web"), [], "it may not survive it");
    stage.is_ready("web");
    assert_eq!(stage.signals_to("web"), [Signal::USR1], "once is enough");
}

#[test]
fn what_prepares_a_service_does_not_run_beneath_it() {
    let mut stage = Stage::of([satellite("db-init"), requiring("db", 0, Condition::Done)]);
    stage.exec("db-init");
    stage.exits("db-init", 0);
    stage.exec("db");
    let refused = "cannot start db-init: db, which it prepares, is running";
    let (start, restart) = (stage.start("db-init"), stage.restart("db-init"));
    assert_eq!((stage.refusal(start), stage.refusal(restart)), (refused, refused));
    assert_eq!(stage.launches("db-init"), 1);
    let again = stage.restart("db");
    stage.exits("db", 0);
    stage.exec("db");
    assert!(stage.is_done(again));
    assert_eq!(stage.launches("db-init"), 1, "it has done its work");
    stage.stop("db");
    stage.exits("db", 0);
    let start = stage.start("db-init");
    stage.exec("db-init");
    stage.exits("db-init", 0);
    assert!(stage.is_done(start));
}
