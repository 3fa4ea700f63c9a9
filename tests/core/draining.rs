//! Stopping everything: order, limits, and the exit code.

use crate::specs::{self, ms, on, oneshot, plan, secs, service};
use crate::stage::Stage;
use minisup::core::exit::Outcome;
use minisup::core::input::{Input, Request};
use minisup::core::plan::{Condition, Restart, ServiceSpec};
use minisup::core::signal::Signal;
use std::time::Duration;

fn after(name: &str, service_number: u32) -> ServiceSpec {
    ServiceSpec { after: [on(service_number, Condition::Ready)].into(), ..service(name) }
}

#[test]
fn a_drain_goes_down_in_reverse_order_also_where_only_after_is_said() {
    let mut stage = Stage::of([service("app"), after("web", 0)]);
    stage.exec("app");
    stage.exec("web");
    stage.signal(Signal::TERM);
    assert_eq!((stage.signals_to("web"), stage.signals_to("app")), (vec![Signal::TERM], vec![]));
    stage.exits("web", 0);
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.exits("app", 143);
    assert_eq!(stage.exit_code(), 0, "how it ends when asked to is its own business");
}

#[test]
fn a_database_outlives_the_application_when_only_a_finished_migration_links_them() {
    let migrate = ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..oneshot("migrate") };
    let app = ServiceSpec { requires: [on(1, Condition::Done)].into(), ..service("app") };
    let mut stage = Stage::of([service("db"), migrate, app]);
    stage.exec("db");
    stage.exec("migrate");
    stage.exits("migrate", 0);
    stage.exec("app");
    stage.signal(Signal::TERM);
    assert_eq!(stage.signals_to("db"), [], "the application may still write to it");
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
}

#[test]
fn a_restart_by_hand_and_a_drain_at_once_end_in_the_drain() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    let restart = stage.restart("app");
    stage.signal(Signal::TERM);
    assert_eq!(stage.refusal(restart), "shutting down");
    stage.exits("app", 0);
    assert_eq!((stage.launches("app"), stage.exit_code()), (1, 0));
}

#[test]
fn whoever_outlives_its_grace_period_is_killed_and_the_container_says_137() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.wait(secs(8));
    assert_eq!(stage.signals_to("app"), [Signal::TERM, Signal::KILL]);
    stage.ends("app", Outcome::Killed(Signal::KILL), false);
    assert_eq!(stage.exit_code(), 137);
}

/// web stops before the app.
fn chain() -> Stage {
    let stop = specs::stop(&[(Signal::QUIT, secs(6)), (Signal::TERM, secs(2))]);
    let mut stage = Stage::of([service("app"), ServiceSpec { stop, ..after("web", 0) }]);
    stage.exec("app");
    stage.exec("web");
    stage
}

/// It hears QUIT now, TERM after so long, and KILL 2 s later, when the app has 2 s left.
fn web_goes_after(stage: &mut Stage, time: Duration) {
    stage.wait(time - ms(1));
    assert_eq!(stage.signals_to("web"), [Signal::QUIT]);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("web"), [Signal::TERM]);
    stage.wait(secs(2));
    assert_eq!(stage.signals_to("web"), [Signal::KILL]);
    assert_eq!(stage.signals_to("app"), []);
    stage.ends("web", Outcome::Killed(Signal::KILL), false);
    assert_eq!(stage.signals_to("app"), [Signal::TERM], "it is asked, 2 s before the end");
    stage.wait(ms(1999));
    assert_eq!(stage.signals_to("app"), []);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("app"), [Signal::KILL], "the shutdown's own limit");
}

#[test]
fn who_stops_first_leaves_time_to_those_behind() {
    let mut stage = chain();
    stage.signal(Signal::TERM);
    web_goes_after(&mut stage, secs(5));
}

#[test]
fn what_the_first_one_does_not_need_those_behind_have_besides() {
    let mut stage = chain();
    stage.signal(Signal::TERM);
    stage.wait(ms(500));
    stage.exits("web", 0);
    stage.wait(ms(7999));
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("app"), [Signal::KILL], "its own grace period");
}

#[test]
fn a_stop_that_is_no_shutdown_leaves_time_to_nobody_until_it_becomes_one() {
    let mut stage = chain();
    stage.stop("web");
    stage.wait(ms(5999));
    assert_eq!(stage.signals_to("web"), [Signal::QUIT]);
    stage.signal(Signal::TERM);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("web"), [Signal::TERM]);
}

#[test]
fn a_stop_that_is_under_way_when_the_drain_begins_leaves_time_as_well() {
    let mut stage = chain();
    stage.stop("web");
    stage.wait(ms(500));
    stage.signal(Signal::TERM);
    web_goes_after(&mut stage, secs(5));
}

#[test]
fn a_stop_that_is_under_way_when_a_client_shortens_the_drain_leaves_time_as_well() {
    let mut stage = chain();
    stage.signal(Signal::TERM);
    stage.wait(secs(1));
    stage.ask(Request::Shutdown(Some(secs(6))));
    web_goes_after(&mut stage, secs(2));
}

#[test]
fn an_heir_in_a_drain_leaves_as_much_time_as_whom_it_followed() {
    let mut stage = chain();
    stage.signal(Signal::TERM);
    stage.wait(secs(1));
    assert_eq!(stage.signals_to("web"), [Signal::QUIT]);
    stage.hands_over("web");
    web_goes_after(&mut stage, secs(4));
}

#[test]
fn no_time_is_left_to_a_launch_that_the_drain_withdraws() {
    let mut stage = chain();
    stage.wait(secs(1));
    let (instance, pid) = (stage.id("app"), stage.pid("app"));
    let ended = Input::Ended { instance, pid, outcome: Outcome::Exited(0), leftovers: false };
    // Its launch is ordered, and nobody has carried it out yet.
    stage.supervisor.handle(ended, stage.now);
    assert_eq!(stage.state("app"), "Launching");
    stage.signal(Signal::TERM);
    assert_eq!((stage.state("app"), stage.launches("app")), ("Stopped", 1));
    stage.wait(ms(5999));
    assert_eq!(stage.signals_to("web"), [Signal::QUIT]);
    stage.wait(ms(1));
    assert_eq!(stage.signals_to("web"), [Signal::TERM], "its own time");
}

#[test]
fn a_kill_in_an_earlier_life_does_not_spoil_the_exit_code() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.restart("app");
    stage.wait(secs(8));
    stage.ends("app", Outcome::Killed(Signal::KILL), false);
    // The next one is asked to end before it is the program.
    stage.signal(Signal::TERM);
    stage.ends("app", Outcome::Killed(Signal::TERM), false);
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn what_not_even_kill_ends_cannot_hold_up_the_drain_and_shows_in_the_exit_code() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.wait(secs(9));
    assert!(stage.has_swept(Signal::KILL), "also what belongs to nobody gets KILL at the limit");
    assert_eq!(stage.phase(), "draining");
    stage.wait(secs(1));
    assert_eq!((stage.phase(), stage.exit_code()), ("done", 137));
}

#[test]
fn a_second_stop_signal_skips_all_grace_periods_and_the_order() {
    let mut stage = Stage::of([service("app"), after("web", 0)]);
    stage.exec("app");
    stage.exec("web");
    stage.signal(Signal::TERM);
    stage.wait(ms(100));
    stage.signal(Signal::INT);
    assert_eq!(stage.signals_to("app"), [Signal::KILL]);
    assert_eq!(stage.signals_to("web"), [Signal::TERM, Signal::KILL]);
}

#[test]
fn an_echo_of_a_stop_signal_is_no_second_one() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    for _ in 0..3 {
        stage.wait(ms(33));
        stage.signal(Signal::TERM);
    }
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    // However often: time passes all the same.
    stage.wait(ms(1));
    stage.signal(Signal::TERM);
    assert_eq!(stage.signals_to("app"), [Signal::KILL]);
}

#[test]
fn a_second_stop_signal_during_the_last_sweep_kills_what_is_left() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.exits("app", 0);
    assert_eq!(stage.phase(), "sweeping");
    assert!(stage.has_swept(Signal::TERM) && !stage.has_swept(Signal::KILL));
    stage.wait(ms(100));
    stage.signal(Signal::TERM);
    assert!(stage.has_swept(Signal::KILL));
    assert_eq!(stage.exit_code(), 0, "every service ended within its grace period");
}

#[test]
fn a_sweep_that_is_told_far_too_late_still_sends_kill_before_it_gives_up() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.exits("app", 0);
    stage.oversleep(secs(600));
    stage.wait(ms(0));
    assert!(stage.has_swept(Signal::KILL));
    assert_eq!(stage.phase(), "sweeping");
    stage.wait(secs(1));
    assert_eq!(stage.phase(), "done");
}

#[test]
fn a_container_that_was_paused_at_the_limit_of_its_drain_still_kills_before_it_gives_up() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.wait(secs(9));
    stage.signals_to("app");
    stage.oversleep(secs(600));
    stage.wait(ms(0));
    assert_eq!((stage.phase(), stage.signals_to("app")), ("draining", vec![Signal::KILL]));
    stage.wait(secs(1));
    assert_eq!((stage.phase(), stage.exit_code()), ("done", 137));
}

#[test]
fn a_death_that_is_heard_far_too_late_leaves_time_for_the_last_sweep() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.signal(Signal::TERM);
    stage.oversleep(secs(600));
    stage.ends("app", Outcome::Killed(Signal::KILL), false);
    assert_eq!(stage.phase(), "sweeping");
    stage.wait(ms(500));
    assert_eq!(stage.phase(), "sweeping");
    stage.wait(ms(500));
    assert_eq!(stage.phase(), "done");
}

#[test]
fn when_it_is_done_nothing_is_done_any_more_but_questions_are_answered() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    stage.signal(Signal::TERM);
    stage.wait(secs(60));
    assert_eq!(stage.phase(), "done");
    stage.signals_to("app");
    stage.ends("app", Outcome::Killed(Signal::KILL), true);
    stage.tell(Input::Due);
    assert_eq!(stage.signals_to("app"), []);
    assert_eq!(stage.supervisor.deadline(), None);
    let start = stage.start("app");
    assert_eq!(stage.refusal(start), "cannot start: shutting down");
}

#[test]
fn refused_forks_do_not_hold_up_a_drain() {
    let mut stage = Stage::before_boot(plan([service("app")]));
    stage.refuses = true;
    stage.tell(Input::Boot);
    stage.wait(secs(1));
    stage.signal(Signal::TERM);
    assert_eq!((stage.state("app"), stage.exit_code()), ("Stopped", 0));
}

#[test]
fn the_first_essential_failure_decides_the_exit_code() {
    let quick = |name| ServiceSpec { max_failures: Some(1), ..service(name) };
    let mut stage = Stage::of([quick("a"), quick("b")]);
    stage.exec("a");
    stage.exec("b");
    stage.exits("a", 3);
    stage.exits("b", 4);
    assert_eq!(stage.exit_code(), 3);
}

#[test]
fn when_all_have_ended_well_the_container_ends_with_0() {
    let once = ServiceSpec { restart: Restart::OnFailure, ..service("app") };
    let mut stage = Stage::of([once, oneshot("init"), ServiceSpec { enabled: false, ..service("extra") }]);
    stage.exec("app");
    stage.exec("init");
    stage.exits("app", 0);
    assert_eq!(stage.phase(), "boot");
    stage.exits("init", 0);
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn a_process_that_stopped_itself_is_told_to_go_on_so_that_it_can_end() {
    let mut stage = Stage::of([service("app")]);
    stage.exec("app");
    let (instance, pid) = (stage.id("app"), stage.pid("app"));
    stage.supervisor.handle(Input::Signal(Signal::TERM), stage.now);
    let signals: Vec<_> = std::iter::from_fn(|| stage.supervisor.poll_action()).collect();
    let signal = Signal::TERM;
    assert!(signals.contains(&minisup::core::action::Action::Signal { instance, pid, signal }));
    assert!(signals.contains(&minisup::core::action::Action::Resume { instance, pid }));
}

#[test]
fn a_plan_without_services_ends_at_once_with_0() {
    assert_eq!(Stage::of([]).exit_code(), 0);
}
