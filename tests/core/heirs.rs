//! Heirs: a main process ends and leaves another one that goes on in its place.

use crate::specs::{health, ms, on, ready, secs, service, tcp};
use crate::stage::Stage;
use minisup::core::action::{Action, Change};
use minisup::core::exit::Outcome;
use minisup::core::ids::Pid;
use minisup::core::input::{Awaited, Input};
use minisup::core::plan::{Condition, Probe, ServiceSpec};
use minisup::core::signal::Signal;

fn app() -> ServiceSpec {
    ServiceSpec { ready: ready(Probe::Notify), ..service("app") }
}

/// The app runs and is ready, and so is what requires it.
fn up(app: ServiceSpec) -> Stage {
    let web = ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..service("web") };
    let mut stage = Stage::of([app, web]);
    stage.exec("app");
    stage.is_ready("app");
    stage.exec("web");
    stage.take_actions();
    stage
}

/// What was sent to this process, or to its tree.
fn signals(stage: &mut Stage, to: Pid) -> Vec<Signal> {
    let of = |action: &Action| match action {
        Action::Signal { pid, signal, .. } | Action::SignalTree { leader: pid, signal, .. } if *pid == to => {
            Some(*signal)
        }
        _ => None,
    };
    stage.take_actions().iter().filter_map(of).collect()
}

#[test]
fn an_heir_goes_on_as_if_nothing_had_happened() {
    let mut stage = up(app());
    stage.wait(secs(10));
    let wait = stage.await_that("app", Awaited::Stopped);
    let (old, heir) = stage.hands_over("app");
    assert_eq!((stage.state("app"), stage.pid("app"), stage.launches("app")), ("Running", heir, 1));
    assert!(stage.is_open(wait), "it has never been without a process");
    let told = stage.take_actions();
    let app = stage.id("app");
    let expected = [Action::Publish(Box::new(Change::TakenOver { instance: app, from: old, to: heir }))];
    assert_eq!(told, expected, "and nobody is launched, signalled or told to wait");
    assert!(stage.supervisor.snapshot(stage.now).instances[0].ready);

    // What is still heard of the old one means nothing any more.
    stage.tell(Input::Ended { instance: app, pid: old, outcome: Outcome::Exited(9), leftovers: false });
    assert_eq!(stage.pid("app"), heir);
    stage.wait(secs(10));
    stage.exits("app", 7);
    assert_eq!((stage.launches("app"), stage.state("web")), (2, "Running"), "a death like any other");
    assert_eq!(stage.supervisor.instance(app).last, Some(Outcome::Exited(7)));
}

#[test]
fn an_heir_that_does_not_live_long_is_a_failure_in_a_row() {
    let mut stage = up(app());
    stage.wait(secs(10));
    stage.hands_over("app");
    stage.wait(ms(500));
    stage.exits("app", 1);
    assert_eq!((stage.state("app"), stage.supervisor.instance(stage.id("app")).failures), ("Backoff", 1));
}

#[test]
fn who_was_asked_and_has_ended_has_its_heir_asked() {
    let asked = ServiceSpec { ready: ready(tcp()), health: health(tcp()), ..service("app") };
    let mut stage = Stage::of([asked]);
    stage.exec("app");
    stage.wait(ms(0));
    let (_, heir) = stage.hands_over("app");
    stage.take_actions();
    stage.wait(ms(0));
    assert!(stage.take_actions().iter().any(|it| matches!(it, Action::AskReady { pid, .. } if *pid == heir)));
    stage.answers("app", Ok(()));
    stage.wait(ms(0));
    assert_eq!(stage.asked_health(), 1);
    let (_, heir) = stage.hands_over("app");
    stage.take_actions();
    stage.wait(ms(0));
    assert!(
        stage.take_actions().iter().any(|it| matches!(it, Action::AskHealth { pid, .. } if *pid == heir))
    );
    stage.answers("app", Ok(()));
    assert!(stage.supervisor.snapshot(stage.now).instances[0].healthy == Some(true));
}

#[test]
fn the_heir_of_who_is_asked_to_end_is_asked_too_and_has_its_own_time() {
    let mut stage = up(app());
    let stop = stage.stop("app");
    stage.exits("web", 0);
    let old = stage.pid("app");
    assert_eq!(signals(&mut stage, old), [Signal::TERM]);
    stage.wait(secs(7));
    let (_, heir) = stage.hands_over("app");
    assert_eq!(signals(&mut stage, heir), [Signal::TERM]);
    assert!(stage.is_open(stop), "it has not ended");
    stage.wait(secs(7));
    assert_eq!(stage.state("app"), "Stopping");
    stage.wait(secs(1));
    assert_eq!((stage.state("app"), signals(&mut stage, heir)), ("Killing", vec![Signal::KILL]));
    let (_, last) = stage.hands_over("app");
    assert_eq!(signals(&mut stage, last), [Signal::KILL], "no more grace");
    stage.ends("app", Outcome::Killed(Signal::KILL), false);
    assert!(stage.is_done(stop));
    assert_eq!(stage.state("app"), "Stopped");
}

#[test]
fn when_everything_stops_an_heir_ends_like_any_other_and_in_its_turn() {
    let mut stage = up(app());
    stage.signal(Signal::TERM);
    let (_, heir) = stage.hands_over("app");
    assert_eq!(signals(&mut stage, heir), [], "web stands on it");
    stage.exits("web", 0);
    assert_eq!(signals(&mut stage, heir), [Signal::TERM]);
    let (_, heir) = stage.hands_over("app");
    assert_eq!(signals(&mut stage, heir), [Signal::TERM]);
    stage.exits("app", 0);
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn a_replacement_meets_an_heir_on_either_side() {
    let mut stage = up(ServiceSpec { rolling: true, ..app() });
    let request = stage.restart("app");
    let all = stage.supervisor.all_instances();
    let alive = all.filter_map(|id| Some((id, stage.supervisor.instance(id).pid()?)));
    let (new, pid) = alive.max_by_key(|(_, pid)| *pid).unwrap();
    // The one that is to be replaced has an heir: that is the one to be replaced.
    let (_, heir) = stage.hands_over("app");
    let old = stage.id("app");
    stage.tell(Input::Executed { instance: new, pid });
    stage.tell(Input::Ready { instance: new, pid });
    assert_eq!((stage.pid("app"), signals(&mut stage, heir)), (pid, vec![Signal::TERM]));
    // And once more while it ends; and the new one, too.
    let last = Pid(900);
    stage.tell(Input::TakenOver { instance: old, pid: heir, heir: last });
    assert_eq!(signals(&mut stage, last), [Signal::TERM]);
    let (_, next) = stage.hands_over("app");
    assert!(stage.is_open(request), "the old one has not ended");
    stage.tell(Input::Ended { instance: old, pid: last, outcome: Outcome::Exited(0), leftovers: false });
    assert!(stage.is_done(request));
    assert_eq!((stage.pid("app"), stage.state("app")), (next, "Running"));
}
