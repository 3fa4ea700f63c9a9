//! Clients that wait for something, ask for a reload, or go away.

use crate::specs::{health, ms, on, oneshot, ready, secs, service, tcp};
use crate::stage::Stage;
use minisup::core::action::Action;
use minisup::core::exit::Outcome;
use minisup::core::input::{Awaited, Input, Request};
use minisup::core::plan::{Condition, Probe, Reload, ReloadHow, Restart, ServiceSpec};
use minisup::core::signal::Signal;

fn slow(name: &str) -> ServiceSpec {
    ServiceSpec { ready: ready(Probe::Notify), ..service(name) }
}

fn reloading(name: &str) -> ServiceSpec {
    let reload = Reload {
        check: None,
        how: ReloadHow::Signal(Signal::HUP),
        renews: None,
        logs: Box::default(),
        timeout: secs(60),
    };
    ServiceSpec { reload: Some(Box::new(reload)), ..service(name) }
}

#[test]
fn each_wish_is_met_when_it_comes_true() {
    let mut stage =
        Stage::of([ServiceSpec { health: health(tcp()), ..slow("web") }, oneshot("init"), service("x")]);
    let started = stage.await_that("web", Awaited::Started);
    let is_ready = stage.await_that("web", Awaited::Ready);
    let healthy = stage.await_that("web", Awaited::Healthy);
    let done = stage.await_that("init", Awaited::Done);
    stage.exec("web");
    assert!(stage.is_done(started) && stage.is_open(is_ready));
    stage.is_ready("web");
    assert!(stage.is_done(is_ready) && stage.is_open(healthy));
    stage.wait(ms(1));
    stage.answers("web", Ok(()));
    assert!(stage.is_done(healthy));
    stage.exec("init");
    assert!(stage.is_open(done));
    stage.exits("init", 0);
    assert!(stage.is_done(done));
}

#[test]
fn what_is_true_already_is_met_at_once() {
    let mut stage = Stage::of([service("web"), ServiceSpec { enabled: false, ..service("off") }]);
    stage.exec("web");
    let wishes = [(stage.service("web"), Awaited::Healthy), (stage.service("off"), Awaited::Stopped)];
    let wait = stage.ask(Request::Wait(wishes.into()));
    assert!(stage.is_done(wait));
}

#[test]
fn all_instances_and_all_wishes_must_come_true() {
    let mut stage = Stage::of([ServiceSpec { instances: 2, ..service("web") }, slow("app")]);
    let wishes = [(stage.service("web"), Awaited::Ready), (stage.service("app"), Awaited::Ready)];
    let wait = stage.ask(Request::Wait(wishes.into()));
    stage.exec("web:0");
    stage.exec("web:1");
    stage.exec("app");
    assert!(stage.is_open(wait));
    stage.is_ready("app");
    assert!(stage.is_done(wait));
}

#[test]
fn a_wish_that_cannot_come_true_fails_and_says_whose_fault_it_is() {
    let broken = ServiceSpec { max_failures: Some(1), essential: false, ..slow("web") };
    let off = ServiceSpec { enabled: false, ..service("off") };
    let once = ServiceSpec { restart: Restart::Never, ..service("once") };
    let failing = ServiceSpec { essential: false, restart: Restart::Never, ..oneshot("init") };
    let mut stage = Stage::of([broken, off, once, failing, service("x")]);
    let web = stage.await_that("web", Awaited::Ready);
    let off = stage.await_that("off", Awaited::Started);
    let longrun = stage.await_that("x", Awaited::Done);
    let once = stage.await_that("once", Awaited::Healthy);
    let init = stage.await_that("init", Awaited::Done);
    assert_eq!(stage.refusal(off), "off is stopped");
    assert_eq!(stage.refusal(longrun), "x is a longrun: it is never done");
    for name in ["web", "init"] {
        stage.exec(name);
        stage.exits(name, 3);
    }
    assert_eq!(stage.refusal(web), "web is fatal (exit code 3)");
    assert_eq!(stage.culprit(web), Some(stage.id("web")));
    assert_eq!(stage.refusal(init), "init is exited (exit code 3)");
    stage.exec("once");
    assert!(stage.is_done(once), "without a check, ready is healthy");
    stage.exits("once", 0);
    let late = stage.await_that("once", Awaited::Ready);
    assert_eq!(stage.refusal(late), "once is exited (exit code 0)");
}

#[test]
fn whoever_waits_while_somebody_stops_it_is_told() {
    let mut stage = Stage::of([slow("app"), service("x")]);
    stage.exec("app");
    let wait = stage.await_that("app", Awaited::Ready);
    stage.stop("app");
    assert_eq!(stage.refusal(wait), "app is to be stopped");
    let gone = stage.await_that("app", Awaited::Stopped);
    assert!(stage.is_open(gone));
    stage.exits("app", 0);
    assert!(stage.is_done(gone));
}

#[test]
fn a_delay_before_the_next_try_is_not_the_end_of_waiting() {
    let mut stage = Stage::of([slow("app")]);
    stage.exec("app");
    let wait = stage.await_that("app", Awaited::Ready);
    stage.exits("app", 1);
    assert_eq!(stage.state("app"), "Backoff");
    assert!(stage.is_open(wait));
    stage.wait(secs(1));
    stage.exec("app");
    stage.is_ready("app");
    assert!(stage.is_done(wait));
}

#[test]
fn waiting_ends_with_the_drain_but_for_those_who_wait_for_the_end() {
    let mut stage = Stage::of([slow("app")]);
    stage.exec("app");
    let (up, down) = (stage.await_that("app", Awaited::Ready), stage.await_that("app", Awaited::Stopped));
    stage.signal(Signal::TERM);
    assert_eq!(stage.refusal(up), "shutting down");
    assert!(stage.is_open(down));
    stage.exits("app", 0);
    assert!(stage.is_done(down));
}

#[test]
fn a_reload_is_done_when_every_instance_has_reloaded() {
    let mut stage = Stage::of([ServiceSpec { instances: 2, ..reloading("web") }, service("x")]);
    stage.exec("web:0");
    stage.exec("web:1");
    let reload = stage.reload("web");
    stage.has_reloaded("web:1", Ok(()));
    assert!(stage.is_open(reload));
    stage.has_reloaded("web:0", Ok(()));
    assert!(stage.is_done(reload));
    let reload = stage.reload("web");
    stage.has_reloaded("web:0", Err("the check failed: exit code 1"));
    assert_eq!(stage.refusal(reload), "web was not reloaded: the check failed: exit code 1");
}

fn reloads(stage: &mut Stage) -> usize {
    stage.take_actions().iter().filter(|action| matches!(action, Action::Reload { .. })).count()
}

#[test]
fn who_is_not_ready_yet_reloads_when_it_is_and_whoever_asked_waits() {
    let mut stage = Stage::of([ServiceSpec { ready: ready(Probe::Notify), ..reloading("web") }]);
    stage.exec("web");
    let asked = [stage.reload("web"), stage.reload("web")];
    assert_eq!(reloads(&mut stage), 0, "it may still be loading");
    stage.is_ready("web");
    assert_eq!(reloads(&mut stage), 2);
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_done(asked[0]) && stage.is_open(asked[1]));
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_done(asked[1]));

    // A process that never gets ready never reloads; the next one has read everything.
    stage.restart("web");
    stage.exits("web", 0);
    stage.exec("web");
    let asked = stage.reload("web");
    stage.exits("web", 3);
    assert_eq!(stage.refusal(asked), "web ended during its reload (exit code 3)");
    stage.wait(secs(1));
    stage.exec("web");
    stage.is_ready("web");
    assert_eq!(reloads(&mut stage), 0);
}

#[test]
fn who_is_to_be_replaced_by_a_reload_but_is_not_ready_is_replaced_at_once() {
    let mut stage = Stage::of([ServiceSpec { rolling: true, ..slow("web") }]);
    stage.exec("web");
    let asked = stage.reload("web");
    assert_eq!(stage.signals_to("web"), [Signal::TERM]);
    stage.exits("web", 0);
    stage.exec("web");
    stage.is_ready("web");
    assert!(stage.is_done(asked));
}

#[test]
fn a_reload_that_cannot_be_is_refused_with_the_reason() {
    let mut stage = Stage::of([reloading("web"), service("x")]);
    let early = stage.reload("web");
    assert_eq!(stage.refusal(early), "cannot reload web: it is not running");
    let never = stage.reload("x");
    assert_eq!(stage.refusal(never), "cannot reload x: it has no `reload`; a restart replaces its process");
    stage.exec("web");
    let reload = stage.reload("web");
    stage.exits("web", 4);
    assert_eq!(stage.refusal(reload), "web ended during its reload (exit code 4)");
}

#[test]
fn of_two_services_each_reloads_in_its_own_way() {
    let rolling = ServiceSpec { rolling: true, ready: ready(Probe::Notify), ..service("app") };
    let mut stage = Stage::of([reloading("web"), rolling]);
    stage.exec("web");
    stage.exec("app");
    stage.is_ready("app");
    stage.take_actions();
    let both = |stage: &Stage| Request::Reload([stage.service("web"), stage.service("app")].into());
    let request = stage.ask(both(&stage));
    let actions = stage.take_actions();
    assert!(actions.iter().any(|it| matches!(it, Action::Reload { .. })));
    let launched = actions.iter().find_map(|it| match it {
        Action::Launch { instance } => Some(*instance),
        _ => None,
    });
    let new = launched.expect("a new process of the app");
    let pid = stage.supervisor.instance(new).pid().unwrap();
    let (old, old_pid) = (stage.id("app"), stage.pid("app"));
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_open(request), "the app has not been replaced");
    stage.tell(Input::Executed { instance: new, pid });
    stage.tell(Input::Ready { instance: new, pid });
    let outcome = Outcome::Exited(0);
    stage.tell(Input::Ended { instance: old, pid: old_pid, outcome, leftovers: false });
    assert!(stage.is_done(request));

    // If the one fails, the answer of the other is not taken for that of a later reload.
    let request = stage.ask(both(&stage));
    let coming = stage.supervisor.all_instances().find(|id| stage.supervisor.is_shadow(*id)).unwrap();
    let pid = stage.supervisor.instance(coming).pid().unwrap();
    stage.tell(Input::Ended { instance: coming, pid, outcome: Outcome::Exited(3), leftovers: false });
    assert!(stage.refusal(request).starts_with("app was not replaced"), "{}", stage.refusal(request));
    let later = stage.reload("web");
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_open(later), "that was the first one's");
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_done(later));
}

#[test]
fn two_reloads_of_one_process_are_answered_in_their_order_also_if_the_first_client_goes_away() {
    let mut stage = Stage::of([reloading("web")]);
    stage.exec("web");
    let (first, second) = (stage.reload("web"), stage.reload("web"));
    stage.tell(Input::Abandoned(first));
    stage.has_reloaded("web", Err("the old file was wrong"));
    assert!(stage.is_open(second), "that was the first one's answer");
    stage.has_reloaded("web", Ok(()));
    assert!(stage.is_done(second) && stage.is_open(first));
}

#[test]
fn what_a_client_began_goes_on_when_it_has_gone_and_nobody_is_answered() {
    let db = slow("db");
    let app = ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..service("app") };
    let mut stage = Stage::of([db, app, service("x")]);
    stage.exec("db");
    stage.is_ready("db");
    stage.exec("app");
    let stop = stage.stop("db");
    stage.tell(Input::Abandoned(stop));
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    stage.exits("db", 0);
    assert!(stage.is_open(stop));
}

#[test]
fn a_shutdown_may_have_a_time_of_its_own_which_a_later_one_can_only_shorten() {
    let mut stage = Stage::of([service("stubborn")]);
    stage.exec("stubborn");
    stage.ask(Request::Shutdown(Some(secs(60))));
    stage.wait(secs(7));
    assert_eq!(stage.signals_to("stubborn"), [Signal::TERM]);
    let shorter = stage.ask(Request::Shutdown(Some(ms(500))));
    assert!(stage.is_done(shorter));
    stage.ask(Request::Shutdown(Some(secs(100))));
    stage.wait(ms(499));
    assert_eq!(stage.signals_to("stubborn"), []);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("stubborn"), [Signal::KILL]);
}

#[test]
fn a_snapshot_says_whom_an_instance_waits_for_and_what_a_service_says_of_itself() {
    let after = ServiceSpec { after: [on(0, Condition::Ready)].into(), ..service("web") };
    let mut stage = Stage::of([slow("db"), after]);
    stage.exec("db");
    let (instance, pid) = (stage.id("db"), stage.pid("db"));
    stage.tell(Input::Said { instance, pid, text: "recovering".into() });
    stage.is_ready("db");
    stage.tell(Input::Said { instance, pid, text: "serving".into() });
    let shot = |stage: &Stage| stage.supervisor.snapshot(stage.now).instances;
    assert_eq!(shot(&stage)[0].said.as_deref(), Some("serving"));
    assert_eq!(shot(&stage)[1].waits, None);
    stage.exits("db", 1);
    stage.stop("web");
    stage.exits("web", 0);
    stage.start("web");
    assert_eq!(shot(&stage)[0].said, None, "another process has not said anything yet");
    assert_eq!(shot(&stage)[1].waits, Some((stage.service("db"), Condition::Ready)));
}
