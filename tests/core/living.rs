//! Getting up, failing, coming back, and being given up.

use crate::specs::{health, on, oneshot, ready, secs, service, tcp};
use crate::stage::Stage;
use minisup::core::admission::EXECUTING_MAX;
use minisup::core::exit::Outcome;
use minisup::core::ids::ServiceId;
use minisup::core::instance::{EXEC_LIMIT, Failure, Fault, State};
use minisup::core::plan::{Condition, Dependency, Health, Probe, ServiceSpec};
use minisup::core::signal::Signal;
use std::time::Duration;

fn requires(list: &[Dependency]) -> Box<[Dependency]> {
    list.into()
}

#[test]
fn dependents_wait_for_all_instances() {
    let app = ServiceSpec { instances: 2, ..service("app") };
    let web = ServiceSpec { requires: requires(&[on(0, Condition::Ready)]), ..service("web") };
    let mut stage = Stage::of([app, web]);
    stage.exec("app:0");
    assert_eq!(stage.state("web"), "Waiting");
    stage.exec("app:1");
    assert_eq!(stage.state("web"), "Executing");
}

#[test]
fn whoever_waits_says_it_once_for_each_wait() {
    let db = ServiceSpec { ready: ready(Probe::Notify), ..service("db") };
    let app = ServiceSpec { requires: requires(&[on(0, Condition::Ready)]), ..service("app") };
    let mut stage = Stage::of([db, app]);
    stage.exec("db");
    assert_eq!(stage.waits_said("app"), 1);
    stage.is_ready("db");
    stage.exec("app");
    stage.exits("db", 1);
    stage.wait(secs(2));
    stage.exits("app", 1);
    assert_eq!((stage.state("app"), stage.waits_said("app")), ("Waiting", 2));
}

#[test]
fn a_passing_check_is_what_those_wait_for_that_require_health() {
    let db = ServiceSpec { health: health(tcp()), ..service("db") };
    let app = ServiceSpec { requires: requires(&[on(0, Condition::Healthy)]), ..service("app") };
    let mut stage = Stage::of([db, app]);
    stage.exec("db");
    stage.wait(Duration::ZERO);
    stage.answers("db", Err("connection refused"));
    assert_eq!(stage.state("app"), "Waiting");
    stage.wait(secs(10));
    stage.answers("db", Ok(()));
    assert_eq!(stage.state("app"), "Executing");
}

#[test]
fn a_oneshot_that_says_it_is_ready_may_be_depended_on_before_it_is_done() {
    let init = ServiceSpec { ready: ready(Probe::Notify), ..oneshot("init") };
    let early = ServiceSpec { requires: requires(&[on(0, Condition::Ready)]), ..service("early") };
    let late = ServiceSpec { requires: requires(&[on(0, Condition::Done)]), ..service("late") };
    let mut stage = Stage::of([init, early, late]);
    stage.exec("init");
    stage.is_ready("init");
    assert_eq!((stage.state("early"), stage.state("late")), ("Executing", "Waiting"));
    stage.exits("init", 0);
    assert_eq!(stage.state("late"), "Executing");
}

#[test]
fn a_oneshot_that_is_done_before_it_said_ready_counts_as_ready() {
    let init = ServiceSpec { ready: ready(Probe::Notify), ..oneshot("init") };
    let app = ServiceSpec { requires: requires(&[on(0, Condition::Ready)]), ..service("app") };
    let mut stage = Stage::of([init, app]);
    stage.exec("init");
    stage.exits("init", 0);
    assert_eq!(stage.state("app"), "Executing");
}

#[test]
fn five_quick_ends_are_fatal_and_the_container_exits_with_the_last_outcome() {
    let mut stage = Stage::of([service("app")]);
    for _ in 0..4 {
        stage.exec("app");
        stage.exits("app", 42);
        assert_eq!(stage.state("app"), "Backoff");
        stage.wait(Duration::from_millis(850));
    }
    stage.exec("app");
    stage.exits("app", 42);
    assert_eq!(stage.state("app"), "Fatal");
    assert_eq!(stage.exit_code(), 42);
}

#[test]
fn an_end_after_a_long_life_is_followed_by_an_immediate_launch_and_forgets_the_failures() {
    let mut stage = Stage::of([service("app")]);
    for _ in 0..20 {
        stage.exec("app");
        stage.exits("app", 1);
        stage.wait(secs(1));
        stage.exec("app");
        stage.wait(secs(1));
        stage.exits("app", 1);
        assert_eq!(stage.state("app"), "Executing");
    }
}

#[test]
fn a_service_that_was_healthy_and_hangs_once_a_day_is_never_given_up() {
    let mut stage = Stage::of([ServiceSpec { health: health(tcp()), ..service("app") }]);
    for _ in 0..20 {
        stage.exec("app");
        stage.wait(Duration::ZERO);
        stage.answers("app", Ok(()));
        for _ in 0..3 {
            stage.wait(secs(10));
            stage.answers("app", Err("timed out"));
        }
        assert_eq!(stage.state("app"), "Stopping");
        stage.exits("app", 0);
        assert_eq!(stage.state("app"), "Backoff");
        stage.wait(Duration::from_millis(100));
    }
}

#[test]
fn a_service_that_never_gets_healthy_is_given_up_like_one_that_never_gets_ready() {
    let mut stage = Stage::of([ServiceSpec { health: health(tcp()), ..service("app") }]);
    for _ in 0..5 {
        stage.exec("app");
        for _ in 0..3 {
            stage.wait(secs(10));
            stage.answers("app", Err("connection refused"));
        }
        stage.exits("app", 0);
        if stage.state("app") == "Backoff" {
            stage.wait(secs(2));
        }
    }
    assert_eq!(stage.state("app"), "Fatal");
    assert_eq!(stage.exit_code(), 1);
}

#[test]
fn a_service_on_its_way_down_is_not_stopped_early_because_of_its_health() {
    let db = ServiceSpec { health: health(tcp()), ..service("db") };
    let app = ServiceSpec { requires: requires(&[on(0, Condition::Started)]), ..service("app") };
    let mut stage = Stage::of([db, app]);
    stage.exec("db");
    stage.exec("app");
    stage.stop("db");
    for _ in 0..3 {
        stage.wait(secs(2));
        stage.tell(minisup::core::input::Input::Due);
        stage.answers("db", Err("timed out"));
    }
    assert_eq!(stage.signals_to("db"), []);
}

#[test]
fn a_check_or_probe_without_an_interval_does_not_spin() {
    let every_instant = health(tcp()).map(|health| Health { interval: Duration::ZERO, ..*health });
    let mut stage = Stage::of([ServiceSpec { health: every_instant.map(Box::new), ..service("app") }]);
    stage.exec("app");
    for _ in 0..100 {
        stage.wait(Duration::from_millis(1));
        if stage.supervisor.deadline().is_none() {
            stage.answers("app", Ok(()));
        }
    }
    assert!((5..=12).contains(&stage.asked_health()), "{} checks in 100 ms", stage.asked_health());
}

#[test]
fn a_kernel_that_refuses_to_fork_is_asked_again_for_ever_and_never_makes_a_service_fatal() {
    let mut stage = Stage::before_boot(crate::specs::plan([service("app")]));
    stage.refuses = true;
    stage.tell(minisup::core::input::Input::Boot);
    stage.wait(secs(3600));
    assert_eq!(stage.state("app"), "Backoff");
    stage.refuses = false;
    stage.wait(secs(30));
    assert_eq!((stage.state("app"), stage.launches("app")), ("Executing", 1));
}

#[test]
fn what_requires_a_service_that_is_given_up_is_given_up_too() {
    let db = ServiceSpec { essential: false, max_failures: Some(1), ..service("db") };
    let app = ServiceSpec { requires: requires(&[on(0, Condition::Ready)]), ..service("app") };
    let mut stage = Stage::of([db, app]);
    stage.cannot_exec("db");
    assert_eq!((stage.state("db"), stage.state("app")), ("Fatal", "Fatal"));
    assert_eq!(stage.exit_code(), 1);
}

#[test]
fn a_service_that_is_not_ready_in_time_is_stopped_and_ends_the_container_when_it_stays_so() {
    let slow = ServiceSpec { ready: ready(tcp()), max_failures: Some(1), ..service("app") };
    let mut stage = Stage::of([slow]);
    stage.exec("app");
    stage.wait(secs(59));
    assert_eq!(stage.state("app"), "Starting");
    stage.wait(secs(1));
    assert_eq!((stage.state("app"), stage.signals_to("app")), ("Stopping", vec![Signal::TERM]));
    stage.exits("app", 0);
    assert_eq!(stage.exit_code(), 1);
}

#[test]
fn failures_in_a_row_are_shown_until_the_next_run_has_been_long_enough() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.exits("app", 1);
    stage.wait(Duration::from_millis(100));
    stage.exec("app");
    let failures = |stage: &Stage| stage.supervisor.snapshot(stage.now).instances[0].failures;
    assert_eq!(failures(&stage), 1);
    stage.wait(secs(1));
    assert_eq!(failures(&stage), 0);
}

#[test]
fn only_so_many_launches_are_under_way_at_once_and_the_others_follow() {
    let services: Vec<ServiceSpec> = (0..100).map(|n| service(&format!("s{n}"))).collect();
    let mut stage = Stage::of(services);
    let executing = |stage: &Stage| (0..100).filter(|n| stage.state(&format!("s{n}")) == "Executing").count();
    for number in 0..100 {
        assert_eq!(executing(&stage), (100 - number).min(EXECUTING_MAX as usize));
        stage.exec(&format!("s{number}"));
    }
    assert_eq!(stage.phase(), "up");
}

#[test]
fn an_exec_that_does_not_come_is_a_failed_launch_and_makes_room_for_others() {
    let mut services: Vec<ServiceSpec> = (0..EXECUTING_MAX).map(|n| service(&format!("s{n}"))).collect();
    services.push(service("other"));
    let mut stage = Stage::of(services);
    assert_eq!(stage.state("other"), "Waiting");
    stage.wait(EXEC_LIMIT);
    assert_eq!((stage.state("s0"), stage.state("other")), ("Killing", "Executing"));
    assert_eq!(stage.signals_to("s0"), [Signal::KILL]);
    stage.ends("s0", Outcome::Killed(Signal::KILL), false);
    let first = stage.supervisor.instances_of(ServiceId(0)).next().expect("an instance");
    match &stage.supervisor.instance(first).state {
        State::Backoff { cause: Some(Failure::Launch(fault)), .. } => assert_eq!(*fault, Fault::late()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clock_that_goes_back_does_not_make_a_life_shorter() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.wait(secs(5));
    stage.tell(minisup::core::input::Input::Due);
    stage.now = minisup::core::time::Moment::from_nanos(1);
    stage.exits("app", 1);
    assert_eq!(stage.state("app"), "Executing", "it had lived for long: no delay");
}
