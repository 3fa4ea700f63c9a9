//! Hooks, schedules, changed files and memory, step by step.

use crate::specs::{hooks, ms, on, oneshot, secs, service};
use crate::stage::Stage;
use minisup::core::action::{Action, Change};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, ServiceId};
use minisup::core::input::Input;
use minisup::core::plan::*;
use minisup::core::signal::Signal;

const ALL: [Hook; 4] = [Hook::BeforeStart, Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit];

fn with_hooks(name: &str, all: &[Hook]) -> ServiceSpec {
    ServiceSpec { hooks: hooks(all), ..service(name) }
}

fn nightly(name: &str) -> ServiceSpec {
    let schedule = Some(Box::new(Schedule::Cron("0 3 * * *".into())));
    ServiceSpec { schedule, essential: false, restart: Restart::Never, ..oneshot(name) }
}

/// Which hooks have been ordered since the last time.
fn ordered(stage: &mut Stage) -> Vec<Hook> {
    let hook = |action: Action| match action {
        Action::Hook { hook, .. } => Some(hook),
        _ => None,
    };
    stage.take_actions().into_iter().filter_map(hook).collect()
}

fn hook_ends(stage: &mut Stage, name: &str, hook: Hook) {
    let (instance, pid) = (InstanceId(stage.service(name).0), stage.pid(name));
    stage.tell(Input::HookEnded { instance, pid, hook });
}

fn it_is_time(stage: &mut Stage, name: &str) {
    let service = stage.service(name);
    stage.tell(Input::Scheduled(service));
}

#[test]
fn every_hook_comes_in_its_turn() {
    let mut stage = Stage::of([with_hooks("app", &ALL)]);
    stage.exec("app");
    assert_eq!((stage.state("app"), stage.launches("app")), ("Preparing", 0));
    stage.exits("app", 0);
    assert_eq!((stage.state("app"), stage.launches("app")), ("Executing", 1));
    stage.exec("app");
    assert_eq!(ordered(&mut stage), [Hook::AfterReady]);
    hook_ends(&mut stage, "app", Hook::AfterReady);
    let stop = stage.stop("app");
    assert_eq!(ordered(&mut stage), [Hook::BeforeStop]);
    assert_eq!(stage.signals_to("app"), []);
    hook_ends(&mut stage, "app", Hook::BeforeStop);
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.exits("app", 0);
    assert_eq!(ordered(&mut stage), [Hook::AfterExit]);
    assert!(stage.is_done(stop), "nobody waits for after_exit");
}

#[test]
fn a_before_stop_that_hangs_is_waited_for_as_long_as_the_grace_period() {
    let mut stage = Stage::of([with_hooks("app", &[Hook::BeforeStop])]);
    stage.exec("app");
    stage.stop("app");
    stage.wait(secs(8) - ms(1));
    assert_eq!(stage.signals_to("app"), []);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.wait(secs(8));
    assert_eq!(stage.state("app"), "Killing");
}

#[test]
fn a_before_start_that_hangs_is_stopped_and_counts_as_a_failure() {
    let mut stage = Stage::of([ServiceSpec { max_failures: Some(1), ..with_hooks("app", &ALL) }]);
    stage.exec("app");
    stage.wait(secs(60));
    assert_eq!((stage.state("app"), stage.signals_to("app")), ("Stopping", vec![Signal::TERM]));
    stage.ends("app", Outcome::Killed(Signal::TERM), false);
    assert_eq!(stage.state("app"), "Fatal");
    assert_eq!(stage.exit_code(), 1);
}

#[test]
fn the_last_sweep_waits_for_after_exit_but_not_for_ever() {
    for in_time in [true, false] {
        let mut stage = Stage::of([with_hooks("app", &[Hook::AfterExit])]);
        stage.exec("app");
        let (instance, pid) = (InstanceId(0), stage.pid("app"));
        stage.signal(Signal::TERM);
        stage.exits("app", 0);
        assert_eq!(stage.phase(), "draining");
        match in_time {
            true => stage.tell(Input::HookEnded { instance, pid, hook: Hook::AfterExit }),
            false => stage.wait(secs(9)),
        }
        assert_eq!(stage.phase(), "sweeping");
        assert_eq!(stage.has_swept(Signal::KILL), !in_time);
    }
}

#[test]
fn a_requirement_that_is_lost_while_the_hook_runs_is_waited_for() {
    let app =
        ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..with_hooks("app", &[Hook::BeforeStart]) };
    let mut stage = Stage::of([service("db"), app]);
    stage.exec("db");
    stage.wait(secs(2));
    stage.exec("app");
    stage.exits("db", 1);
    assert_eq!(stage.state("db"), "Executing");
    stage.exits("app", 0);
    assert_eq!(stage.state("app"), "Waiting");
    stage.exec("db");
    assert_eq!((stage.state("app"), stage.launches("app")), ("Executing", 1), "the hook ran once");
}

#[test]
fn a_schedule_starts_its_oneshot_each_time_and_never_twice_at_once() {
    let mut stage = Stage::of([nightly("backup"), oneshot("once")]);
    stage.exec("once");
    stage.exits("once", 0);
    assert_eq!((stage.state("backup"), stage.phase()), ("Stopped", "up"), "there is more to come");
    for code in [0, 1, 0] {
        it_is_time(&mut stage, "backup");
        stage.exec("backup");
        it_is_time(&mut stage, "backup");
        let skipped = |action: &Action| matches!(action, Action::Publish(change) if **change == Change::Skipped(ServiceId(0)));
        assert_eq!(stage.take_actions().iter().filter(|action| skipped(action)).count(), 1);
        stage.exits("backup", code);
        assert_eq!(stage.phase(), "up", "a run that fails is one of many");
    }
    assert_eq!(stage.launches("backup"), 3);
}

#[test]
fn who_is_stopped_by_hand_does_not_run_by_its_schedule_until_it_is_started_again() {
    let mut stage = Stage::of([nightly("backup"), service("app")]);
    stage.exec("app");
    stage.stop("backup");
    it_is_time(&mut stage, "backup");
    assert_eq!(stage.state("backup"), "Stopped");
    stage.start("backup");
    stage.exec("backup");
    stage.exits("backup", 0);
    it_is_time(&mut stage, "backup");
    assert_eq!(stage.launches("backup"), 2);
}

#[test]
fn what_runs_once_at_boot_by_its_schedule_keeps_nobody_waiting() {
    let warm = ServiceSpec { schedule: Some(Box::new(Schedule::Boot)), ..nightly("warm") };
    let mut stage = Stage::of([warm]);
    assert_eq!((stage.state("warm"), stage.phase()), ("Executing", "up"));
    stage.exec("warm");
    stage.exits("warm", 0);
    assert_ne!(stage.phase(), "up", "nothing is to come any more");
}

#[test]
fn changed_files_reload_or_replace_whoever_has_read_them() {
    let reload = Some(Box::new(Reload {
        logs: Box::default(),
        check: None,
        how: ReloadHow::Signal(Signal::HUP),
        renews: None,
        timeout: secs(30),
    }));
    let mut stage = Stage::of([ServiceSpec { reload, ..service("web") }, service("app"), service("new")]);
    stage.exec("web");
    stage.exec("app");
    for name in ["web", "app", "new"] {
        let service = stage.service(name);
        stage.tell(Input::Changed(service));
    }
    let reloads = |action: &Action| matches!(action, Action::Reload { .. });
    assert_eq!(stage.take_actions().iter().filter(|action| reloads(action)).count(), 1);
    let states = ["web", "app", "new"].map(|name| stage.state(name));
    assert_eq!(states, ["Running", "Stopping", "Executing"], "who executes will read the new ones anyway");
    stage.exits("app", 0);
    assert_eq!(stage.state("app"), "Executing");
}

#[test]
fn who_is_too_big_is_launched_again_as_if_it_were_unhealthy() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.wait(secs(100));
    let (instance, pid) = (InstanceId(0), stage.pid("app"));
    stage.tell(Input::Exceeded { instance, pid, used: 2, limit: 1 });
    assert_eq!(stage.state("app"), "Stopping");
    stage.exits("app", 0);
    assert_eq!(stage.state("app"), "Backoff");
    stage.wait(ms(200));
    stage.exec("app");
    stage.stop("app");
    let pid = stage.pid("app");
    stage.tell(Input::Exceeded { instance, pid, used: 2, limit: 1 });
    stage.exits("app", 0);
    assert_eq!(stage.state("app"), "Stopped");
}
