//! Rolling: the new process is ready before the old one is asked to end.

use crate::specs::{health, ms, on, ready, secs, service, tcp};
use crate::stage::Stage;
use minisup::core::action::Action;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId};
use minisup::core::input::{Input, Request};
use minisup::core::plan::{Condition, Probe, ServiceSpec};
use minisup::core::signal::Signal;

fn app() -> ServiceSpec {
    ServiceSpec { rolling: true, ready: ready(Probe::Notify), ..service("app") }
}

fn other(command: &str) -> ServiceSpec {
    let mut spec = app();
    spec.launch.command = [command.to_owned()].into();
    spec
}

/// Everything that is of the app runs and is ready.
fn up(services: impl Into<Box<[ServiceSpec]>>) -> Stage {
    let services: Box<[ServiceSpec]> = services.into();
    let mut stage = Stage::of(services.clone());
    for spec in &services {
        for number in 0..spec.instances {
            let name = format!("{}:{number}", spec.name);
            stage.exec(&name);
            if spec.ready.is_some() {
                stage.is_ready(&name);
            }
        }
    }
    stage.take_actions();
    stage
}

/// The process that was launched last, and whose it is.
fn newest(stage: &Stage) -> (InstanceId, Pid) {
    let all = stage.supervisor.all_instances();
    let alive = all.filter_map(|id| Some((id, stage.supervisor.instance(id).pid()?)));
    alive.max_by_key(|(_, pid)| *pid).expect("a process")
}

fn becomes_ready(stage: &mut Stage, (instance, pid): (InstanceId, Pid)) {
    stage.tell(Input::Executed { instance, pid });
    stage.tell(Input::Ready { instance, pid });
}

fn ends(stage: &mut Stage, (instance, pid): (InstanceId, Pid), code: u8) {
    stage.tell(Input::Ended { instance, pid, outcome: Outcome::Exited(code), leftovers: false });
}

fn signals(stage: &mut Stage, pid: Pid) -> Vec<Signal> {
    let of = |action: &Action| match action {
        Action::Signal { pid: to, signal, .. } if *to == pid => Some(*signal),
        _ => None,
    };
    stage.take_actions().iter().filter_map(of).collect()
}

#[test]
fn the_old_process_is_asked_to_end_when_the_new_one_is_ready_and_not_before() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let request = stage.restart("app");
    let new = newest(&stage);
    assert_ne!(new, old);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    assert_eq!(signals(&mut stage, old.1), []);
    assert_eq!(stage.pid("app"), old.1, "the old one is meant by the name");
    stage.tell(Input::Ready { instance: new.0, pid: new.1 });
    assert_eq!(signals(&mut stage, old.1), [Signal::TERM]);
    assert_eq!(stage.pid("app"), new.1);
    assert!(stage.is_open(request), "the old one has not ended");
    ends(&mut stage, old, 0);
    assert!(stage.is_done(request));
    assert_eq!(stage.launches("app"), 2);

    // The next time the first slot is used again.
    stage.restart("app");
    assert_eq!(newest(&stage).0, old.0);
}

#[test]
fn who_is_not_ready_yet_has_nothing_to_lose_and_is_replaced_at_once() {
    let mut stage = Stage::of([app()]);
    stage.exec("app");
    let old = (stage.id("app"), stage.pid("app"));
    let request = stage.restart("app");
    assert_eq!(signals(&mut stage, old.1), [Signal::TERM], "nobody waits for a process that serves nobody");
    assert_eq!(newest(&stage), old, "nor is a second one launched beside it");
    ends(&mut stage, old, 0);
    let new = newest(&stage);
    assert_eq!(new.0, old.0);
    becomes_ready(&mut stage, new);
    assert!(stage.is_done(request));
}

#[test]
fn who_does_not_get_ready_is_stopped_and_the_old_one_goes_on() {
    let mut stage = up([app(), ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..service("web") }]);
    stage.exec("web");
    let old = stage.pid("app");
    let request = stage.restart("app");
    let new = newest(&stage);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    stage.wait(secs(61));
    assert_eq!(signals(&mut stage, new.1), [Signal::TERM]);
    assert!(stage.is_open(request));
    ends(&mut stage, new, 0);
    assert_eq!(stage.refusal(request), "app was not replaced: its new process was not ready after 60.0 s");
    assert_eq!(stage.culprit(request), Some(new.0));
    assert_eq!((stage.pid("app"), stage.state("app")), (old, "Running"));
    assert_eq!((stage.phase(), stage.state("web")), ("up", "Running"), "no essential failure");
    // And it can be tried again.
    let request = stage.restart("app");
    let new = newest(&stage);
    becomes_ready(&mut stage, new);
    let old = (stage.supervisor.partner_of(new.0).unwrap(), old);
    ends(&mut stage, old, 0);
    assert!(stage.is_done(request));
}

#[test]
fn several_instances_are_replaced_one_after_the_other() {
    let mut stage = up([ServiceSpec { instances: 3, ..app() }]);
    let olds: Vec<Pid> = (0..3).map(|n| stage.pid(&format!("app:{n}"))).collect();
    let ids: Vec<InstanceId> = (0..3).map(|n| stage.id(&format!("app:{n}"))).collect();
    let request = stage.restart("app");
    for (old, id) in olds.iter().zip(ids) {
        let new = newest(&stage);
        becomes_ready(&mut stage, new);
        let asked: Vec<Pid> = olds.iter().copied().filter(|pid| *pid >= *old).collect();
        assert!(asked.contains(old));
        assert_eq!(signals(&mut stage, *old), [Signal::TERM]);
        assert_eq!(newest(&stage), new, "the next one waits for the end of this one");
        ends(&mut stage, (id, *old), 0);
    }
    assert!(stage.is_done(request));
    assert!((0..3).all(|n| !olds.contains(&stage.pid(&format!("app:{n}")))));
}

#[test]
fn who_ends_by_itself_meanwhile_is_followed_by_its_successor_at_once() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let request = stage.restart("app");
    let new = newest(&stage);
    ends(&mut stage, old, 1);
    assert_eq!(stage.pid("app"), new.1, "no third process");
    assert_eq!(newest(&stage), new);
    becomes_ready(&mut stage, new);
    assert!(stage.is_done(request));
    assert_eq!(stage.state("app"), "Running");
}

#[test]
fn a_stop_during_the_hand_over_ends_both_and_the_restart_has_failed() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let restart = stage.restart("app");
    let new = newest(&stage);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    let stop = stage.stop("app");
    assert_eq!(stage.refusal(restart), "app is to be stopped");
    ends(&mut stage, old, 0);
    assert!(stage.is_open(stop), "its successor has not ended");
    ends(&mut stage, new, 0);
    assert!(stage.is_done(stop));
    assert_eq!(stage.state("app"), "Stopped");
}

#[test]
fn an_update_rolls_and_if_it_fails_the_old_process_goes_on_by_its_own_plan() {
    let mut stage = up([app()]);
    let old = stage.pid("app");
    let mut broken = other("/bin/broken");
    broken.stop = crate::specs::stop(&[(Signal::INT, secs(1))]);
    let update = stage.update([broken.clone()]);
    let new = newest(&stage);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    ends(&mut stage, new, 3);
    assert_eq!(
        stage.refusal(update),
        "app was not replaced: its new process ended before it was ready (exit code 3)"
    );
    assert_eq!((stage.pid("app"), stage.state("app")), (old, "Running"));
    // It is stopped as it was meant to be when it was launched.
    let mended = other("/bin/mended");
    let update = stage.update([mended]);
    let new = newest(&stage);
    becomes_ready(&mut stage, new);
    assert_eq!(signals(&mut stage, old), [Signal::TERM]);
    let id = stage.supervisor.partner_of(new.0).unwrap();
    ends(&mut stage, (id, old), 0);
    assert!(stage.is_done(update));
}

#[test]
fn an_update_waits_until_a_hand_over_is_over() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let restart = stage.restart("app");
    let new = newest(&stage);
    let update = stage.update([other("/bin/y")]);
    becomes_ready(&mut stage, new);
    assert_eq!(newest(&stage), new, "no third process");
    ends(&mut stage, old, 0);
    assert!(stage.is_done(restart) && stage.is_open(update));
    let newer = newest(&stage);
    becomes_ready(&mut stage, newer);
    ends(&mut stage, new, 0);
    assert!(stage.is_done(update));
}

#[test]
fn whoever_requires_a_service_that_rolls_is_left_in_peace_and_rolls_after_it() {
    let web = |command: &str| {
        let mut spec =
            ServiceSpec { requires: [on(0, Condition::Ready)].into(), rolling: true, ..service("web") };
        spec.launch.command = [command.to_owned()].into();
        spec
    };
    let mut stage = up([app(), web("/bin/web")]);
    let (old_app, old_web) = ((stage.id("app"), stage.pid("app")), (stage.id("web"), stage.pid("web")));
    let update = stage.update([other("/bin/y"), web("/bin/other")]);
    let new_app = newest(&stage);
    becomes_ready(&mut stage, new_app);
    assert_eq!(signals(&mut stage, old_web.1), []);
    let new_web = newest(&stage);
    assert_ne!(new_web, new_app, "its requirement is the new one");
    stage.tell(Input::Executed { instance: new_web.0, pid: new_web.1 });
    assert_eq!(signals(&mut stage, old_web.1), [Signal::TERM]);
    ends(&mut stage, old_app, 0);
    ends(&mut stage, old_web, 0);
    assert!(stage.is_done(update));
}

#[test]
fn a_drain_during_the_hand_over_ends_both() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let request = stage.restart("app");
    let new = newest(&stage);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    stage.signal(Signal::TERM);
    assert_eq!(stage.refusal(request), "shutting down");
    ends(&mut stage, new, 0);
    ends(&mut stage, old, 0);
    assert_eq!(stage.exit_code(), 0);
}

/// An update replaces the app while it is on its way up, and a worker still stands on it; then it is ready.
fn ready_since_the_update_began() -> (Stage, (InstanceId, Pid), RequestId) {
    let worker = ServiceSpec { requires: [on(0, Condition::Started)].into(), ..service("worker") };
    let mut stage = Stage::of([app(), worker]);
    stage.exec("app");
    stage.exec("worker");
    let update = stage.update([other("/bin/other")]);
    let worker = (stage.id("worker"), stage.pid("worker"));
    stage.is_ready("app");
    let old = (stage.id("app"), stage.pid("app"));
    ends(&mut stage, worker, 0);
    assert_eq!((signals(&mut stage, old.1), stage.state("app")), (vec![], "Running"));
    (stage, old, update)
}

#[test]
fn who_gets_ready_while_it_waits_to_be_replaced_has_something_to_lose_by_then() {
    let (mut stage, old, update) = ready_since_the_update_began();
    let new = newest(&stage);
    assert_ne!(new, old);
    becomes_ready(&mut stage, new);
    assert_eq!(signals(&mut stage, old.1), [Signal::TERM]);
    assert!(stage.is_open(update));
    ends(&mut stage, old, 0);
    assert!(stage.is_done(update));
}

#[test]
fn an_update_whose_late_hand_over_fails_has_failed() {
    let (mut stage, old, update) = ready_since_the_update_began();
    let new = newest(&stage);
    ends(&mut stage, new, 3);
    let why = "app was not replaced: its new process ended before it was ready (exit code 3)";
    assert_eq!(stage.refusal(update), why);
    assert_eq!((stage.pid("app"), stage.state("app")), (old.1, "Running"));
}

#[test]
fn a_reload_of_who_knows_none_rolls() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let request = stage.reload("app");
    let new = newest(&stage);
    becomes_ready(&mut stage, new);
    ends(&mut stage, old, 0);
    assert!(stage.is_done(request));
}

#[test]
fn an_unhealthy_process_is_replaced_as_ever() {
    let sick = ServiceSpec { health: health(tcp()), ..app() };
    let mut stage = up([sick]);
    for _ in 0..2 {
        stage.wait(ms(1));
        stage.answers("app", Err("refused"));
        stage.wait(secs(10));
    }
    stage.answers("app", Err("refused"));
    assert_eq!(stage.state("app"), "Stopping");
    assert_eq!(stage.supervisor.all_instances().count(), 1);
    let _ = stage.ask(Request::Status);
}

/// The app requires a cache, and an update replaces both, by a cache that does not get ready.
fn the_app_waits_for_a_broken_cache() -> (Stage, (InstanceId, Pid), RequestId) {
    let mut stage = up([cache("/bin/cache"), requiring_cache("/bin/app")]);
    let (old_cache, old_app) = ((stage.id("cache"), stage.pid("cache")), (stage.id("app"), stage.pid("app")));
    let update = stage.update([cache("/bin/broken"), requiring_cache("/bin/new")]);
    ends(&mut stage, old_cache, 0);
    stage.exec("cache");
    assert_eq!((stage.pid("app"), stage.state("cache")), (old_app.1, "Starting"));
    (stage, old_app, update)
}

fn cache(command: &str) -> ServiceSpec {
    let mut spec = ServiceSpec { ready: ready(Probe::Notify), ..service("cache") };
    spec.launch.command = [command.to_owned()].into();
    spec
}

fn requiring_cache(command: &str) -> ServiceSpec {
    ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..other(command) }
}

#[test]
fn an_update_does_not_wait_for_a_hand_over_that_waits_for_what_it_mends() {
    let (mut stage, old_app, update) = the_app_waits_for_a_broken_cache();
    // The app stays as the broken update had it, and has not been replaced by that.
    let mended = stage.update([cache("/bin/mended"), requiring_cache("/bin/new")]);
    assert_eq!(stage.refusal(update), "app was not replaced: another update has come, which does");
    let broken = (stage.id("cache"), stage.pid("cache"));
    assert_eq!(signals(&mut stage, broken.1), [Signal::TERM]);
    ends(&mut stage, broken, 0);
    stage.exec("cache");
    stage.is_ready("cache");
    let new_app = newest(&stage);
    assert_ne!(new_app.1, old_app.1);
    becomes_ready(&mut stage, new_app);
    assert_eq!(signals(&mut stage, old_app.1), [Signal::TERM]);
    ends(&mut stage, old_app, 0);
    assert!(stage.is_done(mended));
}

#[test]
fn what_was_put_off_is_launched_by_the_plan_in_force_if_it_ends_before() {
    let (mut stage, old_app, _) = the_app_waits_for_a_broken_cache();
    let mended = stage.update([cache("/bin/mended"), requiring_cache("/bin/new")]);
    let broken = (stage.id("cache"), stage.pid("cache"));
    ends(&mut stage, old_app, 0);
    ends(&mut stage, broken, 0);
    stage.exec("cache");
    stage.is_ready("cache");
    let new_app = newest(&stage);
    becomes_ready(&mut stage, new_app);
    assert!(stage.is_done(mended));
    assert_eq!(newest(&stage), new_app, "and not once more");
}

#[test]
fn an_update_does_not_wait_for_a_successor_that_is_alone_and_never_ready() {
    let mut stage = up([app()]);
    let old = (stage.id("app"), stage.pid("app"));
    let broken = stage.update([other("/bin/broken")]);
    let new = newest(&stage);
    stage.tell(Input::Executed { instance: new.0, pid: new.1 });
    ends(&mut stage, old, 1);
    assert_eq!(stage.pid("app"), new.1, "it is the relaunch");
    let mended = stage.update([other("/bin/mended")]);
    assert_eq!(stage.refusal(broken), "app was not replaced: another update has come, which does");
    assert_eq!(signals(&mut stage, new.1), [Signal::TERM]);
    ends(&mut stage, new, 0);
    let last = newest(&stage);
    becomes_ready(&mut stage, last);
    assert!(stage.is_done(mended));
}
