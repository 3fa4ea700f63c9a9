//! From one plan to the next: who stays, who goes, who is replaced, and in which order.

use crate::specs::{health, ms, on, oneshot, plan, ready, satellite, secs, service, stop, tcp};
use crate::stage::Stage;
use minisup::core::difference::ChangeKind;
use minisup::core::ids::{Pid, RequestId};
use minisup::core::input::{Input, Request};
use minisup::core::plan::{Condition, Forward, Health, Kind, Plan, Probe, Restart, ServiceSpec};
use minisup::core::signal::Signal;
use std::rc::Rc;

fn with_command(command: &str, spec: ServiceSpec) -> ServiceSpec {
    let mut spec = spec;
    spec.launch.command = [command.to_owned()].into();
    spec
}

fn another(name: &str) -> ServiceSpec {
    with_command("/bin/other", service(name))
}

fn requiring(on_place: u32, spec: ServiceSpec) -> ServiceSpec {
    ServiceSpec { requires: [on(on_place, Condition::Ready)].into(), ..spec }
}

fn up(names: &[&str], services: impl Into<Box<[ServiceSpec]>>) -> Stage {
    let mut stage = Stage::of(services);
    names.iter().for_each(|name| stage.exec(name));
    stage
}

fn fifty() -> Vec<ServiceSpec> {
    (0..50).map(|i| service(&format!("s{i}"))).collect()
}

#[test]
fn of_fifty_services_one_changes_and_forty_nine_keep_their_pids() {
    let mut stage = Stage::of(fifty());
    (0..50).for_each(|i| stage.exec(&format!("s{i}")));
    let pids = |stage: &Stage| -> Vec<Pid> { (0..50).map(|i| stage.pid(&format!("s{i}"))).collect() };
    let before = pids(&stage);
    let mut services = fifty();
    services[17] = another("s17");
    services.rotate_left(5);
    let update = stage.update(services);
    assert!(stage.is_open(update));
    assert_eq!(stage.signals_to("s17"), [Signal::TERM]);
    stage.exits("s17", 0);
    assert!(stage.is_open(update), "it runs again, but is not up yet");
    stage.exec("s17");
    assert!(stage.is_done(update));
    let after = pids(&stage);
    let changed: Vec<usize> = (0..50).filter(|i| before[*i] != after[*i]).collect();
    assert_eq!(changed, [17]);
    assert_eq!(stage.names()[..2], ["s5", "s6"], "people see the order of the new file");
}

#[test]
fn an_update_that_changes_nothing_is_done_at_once_and_touches_nobody() {
    let mut stage = up(&["a", "b"], [service("a"), requiring(0, service("b"))]);
    let pids = (stage.pid("a"), stage.pid("b"));
    let update = stage.update([service("a"), requiring(0, service("b"))]);
    assert!(stage.is_done(update));
    assert_eq!((stage.pid("a"), stage.pid("b")), pids);
    assert_eq!(stage.phase(), "up");
}

#[test]
fn a_new_service_is_launched_when_what_it_requires_is_there() {
    let mut stage = up(&["a"], [service("a")]);
    let slow = ServiceSpec { ready: ready(Probe::Notify), ..service("db") };
    let update = stage.update([requiring(1, service("app")), slow, service("a")]);
    assert_eq!((stage.state("app"), stage.state("db")), ("Waiting", "Executing"));
    stage.exec("db");
    assert_eq!(stage.state("app"), "Waiting");
    stage.is_ready("db");
    stage.exec("app");
    assert!(stage.is_done(update));
    assert_eq!(stage.names(), ["app", "db", "a"]);
}

#[test]
fn removed_services_go_in_order_by_their_own_stop_signals() {
    let quits = |name: &str| ServiceSpec { stop: stop(&[(Signal::QUIT, secs(3))]), ..service(name) };
    let mut stage = up(&["db", "app", "x"], [quits("db"), requiring(0, quits("app")), service("x")]);
    let update = stage.update([service("x")]);
    assert_eq!(stage.names(), ["x"]);
    assert_eq!(stage.signals_to("app"), [Signal::QUIT]);
    assert_eq!(stage.signals_to("db"), []);
    stage.wait(secs(3));
    assert_eq!(stage.signals_to("app"), [Signal::KILL], "its grace period was its own");
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::QUIT]);
    assert!(stage.is_open(update));
    stage.exits("db", 0);
    assert!(stage.is_done(update));
    let start = stage.start("db");
    assert_eq!(stage.refusal(start), "db has been removed");
}

#[test]
fn a_service_with_a_new_name_is_another_service() {
    let mut stage = up(&["old"], [service("old")]);
    let old = stage.pid("old");
    let update = stage.update([service("new")]);
    assert_eq!(stage.signals_to("old"), [Signal::TERM]);
    stage.exec("new");
    assert!(stage.is_open(update));
    stage.exits("old", 0);
    assert!(stage.is_done(update));
    assert_ne!(stage.pid("new"), old);
    assert_eq!(stage.phase(), "up");
}

#[test]
fn dependents_of_a_replaced_service_that_did_not_change_are_left_in_peace() {
    let mut stage = up(&["db", "app"], [service("db"), requiring(0, service("app"))]);
    let app = stage.pid("app");
    let update = stage.update([another("db"), requiring(0, service("app"))]);
    stage.exits("db", 0);
    stage.exec("db");
    assert!(stage.is_done(update));
    assert_eq!((stage.pid("app"), stage.signals_to("app")), (app, vec![]));
}

#[test]
fn a_replaced_dependent_goes_first_and_comes_back_last() {
    let mut stage = up(&["db", "app"], [service("db"), requiring(0, service("app"))]);
    let slow = ServiceSpec { ready: ready(Probe::Notify), ..another("db") };
    let update = stage.update([slow, requiring(0, another("app"))]);
    assert_eq!(stage.signals_to("db"), [], "app still needs it");
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    assert_eq!(stage.state("app"), "Waiting", "not for the old database");
    stage.exits("db", 0);
    stage.exec("db");
    assert_eq!(stage.state("app"), "Waiting");
    stage.is_ready("db");
    stage.exec("app");
    assert!(stage.is_done(update));
}

#[test]
fn a_replaced_process_is_asked_to_end_as_it_was_meant_to_be_when_it_was_launched() {
    let old = ServiceSpec { stop: stop(&[(Signal::INT, secs(2))]), ..service("app") };
    let mut stage = up(&["app"], [old]);
    let new = ServiceSpec { stop: stop(&[(Signal::QUIT, secs(20))]), ..another("app") };
    stage.update([new]);
    assert_eq!(stage.signals_to("app"), [Signal::INT]);
    stage.wait(secs(2));
    assert_eq!(stage.signals_to("app"), [Signal::KILL]);
    stage.exits("app", 0);
    stage.exec("app");
    stage.stop("app");
    assert_eq!(stage.signals_to("app"), [Signal::QUIT], "the new one by the new plan");
}

#[test]
fn a_stop_that_only_got_another_grace_period_changes_in_place() {
    let mut stage = up(&["app"], [service("app")]);
    let pid = stage.pid("app");
    let update = stage.update([ServiceSpec { stop: stop(&[(Signal::QUIT, secs(1))]), ..service("app") }]);
    assert!(stage.is_done(update));
    assert_eq!(stage.pid("app"), pid);
    stage.stop("app");
    assert_eq!(stage.signals_to("app"), [Signal::QUIT]);
}

#[test]
fn whatever_ends_while_it_is_to_be_replaced_is_launched_by_the_new_plan() {
    let old = ServiceSpec { restart: Restart::Never, ..service("db") };
    let mut stage = up(&["db", "app"], [old.clone(), requiring(0, service("app"))]);
    let update = stage.update([with_command("/bin/y", old), requiring(0, another("app"))]);
    stage.exits("db", 7);
    assert_eq!(stage.phase(), "up", "it was about to end anyway");
    stage.exec("db");
    stage.exits("app", 0);
    stage.exec("app");
    assert!(stage.is_done(update));
}

#[test]
fn a_service_can_be_removed_while_it_starts_backs_off_or_waits() {
    let slow = |name: &str| ServiceSpec { ready: ready(Probe::Notify), ..service(name) };
    let mut stage = Stage::of([slow("starting"), slow("executing"), service("failing"), slow("x")]);
    ["starting", "failing", "x"].iter().for_each(|name| stage.exec(name));
    stage.exits("failing", 1);
    stage.is_ready("x");
    assert_eq!(stage.state("failing"), "Backoff");
    assert_eq!(stage.phase(), "boot");
    let update = stage.update([slow("x")]);
    assert_eq!(stage.signals_to("starting"), [Signal::TERM]);
    stage.exits("starting", 0);
    stage.cannot_exec("executing");
    assert!(stage.is_done(update));
    assert_eq!(stage.phase(), "up", "nobody is left to wait for");
    assert_eq!(stage.launches("x"), 1);
}

#[test]
fn what_one_update_removes_the_next_one_brings_back_when_it_is_gone() {
    let mut stage = up(&["app", "x"], [service("app"), service("x")]);
    let id = stage.id("app");
    let removal = stage.update([service("x")]);
    let again = stage.update([service("x"), another("app")]);
    assert!(stage.is_open(removal) && stage.is_open(again));
    assert_eq!(stage.names(), ["x"], "each in its turn");
    stage.exits("app", 0);
    assert!(stage.is_done(removal));
    assert_eq!((stage.id("app"), stage.state("app")), (id, "Executing"));
    assert_eq!(stage.launches("app"), 1, "it is a new one, in the old one's place");
    stage.exec("app");
    assert!(stage.is_done(again));
}

#[test]
fn what_an_update_would_change_is_said_against_the_plan_that_it_will_follow() {
    let mut stage = up(&["app", "x"], [service("app"), service("x")]);
    let changes = |stage: &Stage| {
        let difference = stage.supervisor.difference(&plan([service("x"), service("new")]));
        difference.services.iter().map(|it| (it.name.to_string(), it.kind)).collect::<Vec<_>>()
    };
    let of = |name: &str, kind| (name.to_owned(), kind);
    stage.update([service("x")]);
    assert_eq!(changes(&stage), [of("new", ChangeKind::Added)], "app is in the plan no more");
    // Their turns come when app has ended.
    stage.update([service("x"), another("new")]);
    assert_eq!(changes(&stage), [of("new", ChangeKind::Replaced)]);
    stage.update([service("x"), service("other")]);
    let first = [of("new", ChangeKind::Added), of("other", ChangeKind::Removed)];
    assert_eq!(changes(&stage), first);
    stage.exits("app", 0);
    assert_eq!((stage.names(), changes(&stage)), (vec!["x", "other"], first.to_vec()));
}

#[test]
fn an_update_that_will_never_be_up_does_not_keep_the_next_one_waiting() {
    let broken =
        ServiceSpec { max_failures: None, essential: false, ready: ready(Probe::Notify), ..service("new") };
    let mut stage = up(&["x"], [service("x")]);
    let first = stage.update([service("x"), broken]);
    stage.exec("new");
    stage.exits("new", 1);
    let second = stage.update([service("x"), service("new")]);
    stage.wait(secs(1));
    stage.exec("new");
    assert!(stage.is_done(first) && stage.is_done(second));
}

#[test]
fn an_update_fails_with_the_one_who_failed_and_stays_in_force() {
    let broken = ServiceSpec { max_failures: Some(1), essential: false, ..another("app") };
    let mut stage = up(&["app", "x"], [ServiceSpec { essential: false, ..service("app") }, service("x")]);
    let update = stage.update([ServiceSpec { ready: ready(Probe::Notify), ..broken }, service("x")]);
    stage.exits("app", 0);
    stage.exec("app");
    stage.exits("app", 3);
    assert_eq!(stage.refusal(update), "app is fatal (exit code 3)");
    assert_eq!(stage.culprit(update), Some(stage.id("app")));
    assert_eq!(stage.phase(), "up");
    let fixed = stage.update([another("app"), service("x")]);
    stage.exec("app");
    assert!(stage.is_done(fixed), "who was given up is tried again when anything of it changed");
}

#[test]
fn an_essential_service_that_fails_after_an_update_ends_everything() {
    let mut stage = up(&["app", "x"], [service("app"), service("x")]);
    let broken = ServiceSpec { max_failures: Some(1), ..another("app") };
    let update = stage.update([broken, service("x")]);
    stage.exits("app", 0);
    stage.cannot_exec("app");
    assert_eq!(stage.refusal(update), "app is fatal (exit code 127)");
    assert_eq!(stage.phase(), "draining");
}

#[test]
fn who_was_given_up_for_want_of_something_is_tried_again_when_that_changed() {
    let db = ServiceSpec { essential: false, max_failures: Some(1), ..service("db") };
    let app = requiring(0, ServiceSpec { essential: false, ..service("app") });
    let web = requiring(1, ServiceSpec { essential: false, ..service("web") });
    let mut stage = Stage::of([db.clone(), app.clone(), web.clone(), service("x")]);
    stage.exec("x");
    stage.cannot_exec("db");
    assert_eq!((stage.state("app"), stage.state("web")), ("Fatal", "Fatal"));
    let update = stage.update([with_command("/bin/y", db), app, web, service("x")]);
    ["db", "app", "web"].iter().for_each(|name| stage.exec(name));
    assert!(stage.is_done(update));
}

#[test]
fn more_instances_join_and_surplus_ones_leave() {
    let workers = |instances| ServiceSpec { instances, ..service("w") };
    let mut stage = up(&["w:0", "w:1", "app"], [workers(2), requiring(0, service("app"))]);
    let pids = (stage.pid("w:0"), stage.pid("w:1"));
    let more = stage.update([workers(4), requiring(0, service("app"))]);
    stage.exec("w:2");
    stage.exec("w:3");
    assert!(stage.is_done(more));
    let fewer = stage.update([workers(1), requiring(0, service("app"))]);
    for name in ["w:1", "w:2", "w:3"] {
        assert_eq!(stage.signals_to(name), [Signal::TERM], "although app requires the others");
        stage.exits(name, 0);
    }
    assert!(stage.is_done(fewer));
    assert_eq!(stage.pid("w:0"), pids.0);
    let again = stage.update([workers(2), requiring(0, service("app"))]);
    stage.exec("w:1");
    assert!(stage.is_done(again));
    assert_ne!(stage.pid("w:1"), pids.1);
}

#[test]
fn enabling_starts_a_service_and_disabling_stops_it_with_its_dependents() {
    let disabled = |name: &str| ServiceSpec { enabled: false, ..service(name) };
    let mut stage = up(&["x"], [disabled("db"), requiring(0, disabled("app")), service("x")]);
    let update = stage.update([service("db"), requiring(0, service("app")), service("x")]);
    stage.exec("db");
    stage.exec("app");
    assert!(stage.is_done(update));
    let update = stage.update([disabled("db"), requiring(0, service("app")), service("x")]);
    assert_eq!(stage.signals_to("db"), []);
    stage.exits("app", 0);
    stage.exits("db", 0);
    assert!(stage.is_done(update));
    assert_eq!(stage.phase(), "up");
}

#[test]
fn what_is_started_again_while_it_goes_is_replaced_before_what_it_requires() {
    let mut stage = up(&["db", "app"], [service("db"), requiring(0, service("app"))]);
    stage.update([ServiceSpec { enabled: false, ..another("db") }, requiring(0, another("app"))]);
    assert_eq!(stage.signals_to("app"), [Signal::TERM]);
    stage.start("app");
    assert_eq!(stage.signals_to("db"), [], "the old app still needs it");
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    stage.exits("db", 0);
    stage.exec("db");
    stage.exec("app");
    assert_eq!((stage.state("db"), stage.state("app")), ("Running", "Running"));
}

#[test]
fn what_a_client_has_stopped_stays_stopped() {
    let mut stage = up(&["app", "x"], [service("app"), service("x")]);
    stage.stop("app");
    stage.exits("app", 0);
    let update = stage.update([another("app"), service("x")]);
    assert!(stage.is_done(update));
    assert_eq!(stage.state("app"), "Stopped");
    let start = stage.start("app");
    stage.exec("app");
    assert!(stage.is_done(start));
}

#[test]
fn a_finished_oneshot_runs_again_only_if_it_would_run_otherwise() {
    let mut stage = up(&["init", "x"], [oneshot("init"), service("x")]);
    stage.exits("init", 0);
    let essential = ServiceSpec { essential: false, ..oneshot("init") };
    let update = stage.update([essential.clone(), service("x")]);
    assert!(stage.is_done(update));
    assert_eq!(stage.launches("init"), 1);
    let update = stage.update([with_command("/bin/y", essential), service("x")]);
    stage.exec("init");
    assert!(stage.is_open(update));
    stage.exits("init", 0);
    assert!(stage.is_done(update));
}

#[test]
fn a_service_may_become_a_oneshot() {
    let mut stage = up(&["job", "x"], [service("job"), service("x")]);
    let update = stage.update([ServiceSpec { kind: Kind::Oneshot, ..service("job") }, service("x")]);
    stage.exits("job", 0);
    stage.exec("job");
    stage.exits("job", 0);
    assert!(stage.is_done(update));
    assert_eq!(stage.state("job"), "Exited");
}

#[test]
fn a_probe_that_was_wrong_is_put_right_while_the_service_starts() {
    let wrong = ServiceSpec { ready: ready(Probe::Notify), ..service("app") };
    let mut stage = up(&["app", "x"], [wrong, service("x")]);
    assert_eq!(stage.state("app"), "Starting");
    let update = stage.update([ServiceSpec { ready: ready(tcp()), ..service("app") }, service("x")]);
    stage.exits("app", 0);
    stage.exec("app");
    stage.wait(ms(1));
    stage.answers("app", Ok(()));
    assert!(stage.is_done(update));
}

#[test]
fn another_health_check_is_asked_of_the_same_process() {
    let checked = |interval| {
        let check = health(tcp()).map(|h| Box::new(Health { interval, ..*h }));
        ServiceSpec { health: check, ..service("app") }
    };
    let mut stage = up(&["app"], [checked(secs(3600))]);
    let pid = stage.pid("app");
    stage.wait(ms(1));
    stage.answers("app", Ok(()));
    let update = stage.update([checked(secs(1))]);
    assert!(stage.is_done(update));
    let before = stage.asked_health();
    stage.wait(ms(1));
    stage.answers("app", Ok(()));
    stage.wait(secs(1));
    assert_eq!(stage.asked_health(), before + 2);
    assert_eq!(stage.pid("app"), pid);
    let update = stage.update([service("app")]);
    assert!(stage.is_done(update));
    stage.wait(secs(60));
    assert_eq!(stage.asked_health(), before + 2);
}

#[test]
fn an_update_after_the_drain_began_is_refused_and_one_under_way_is_answered() {
    let mut stage = up(&["app", "x"], [service("app"), service("x")]);
    let first = stage.update([another("app"), service("x")]);
    let second = stage.update([service("x")]);
    stage.signal(Signal::TERM);
    let third = stage.update([service("x")]);
    assert_eq!(stage.refusal(first), "shutting down");
    assert_eq!(stage.refusal(second), "shutting down");
    assert_eq!(stage.refusal(third), "cannot update: shutting down");
    stage.exits("app", 0);
    stage.exits("x", 0);
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn in_a_drain_a_surplus_instance_is_asked_to_stop_as_soon_as_nobody_needs_it_any_more() {
    let web = || ServiceSpec { after: [on(0, Condition::Ready)].into(), ..service("web") };
    let two = ServiceSpec { instances: 2, ..service("db") };
    let mut stage = up(&["db", "db:1", "web", "app"], [two, web(), requiring(0, service("app"))]);
    stage.update([service("db"), web()]);
    assert_eq!(stage.signals_to("db:1"), [], "app, which goes too, still needs it");
    stage.signal(Signal::TERM);
    stage.exits("app", 0);
    assert_eq!(stage.signals_to("db:1"), [], "web comes down first");
    stage.exits("web", 0);
    assert_eq!(stage.signals_to("db"), [Signal::TERM]);
    assert_eq!(stage.signals_to("db:1"), [Signal::TERM], "not only KILL when the drain has had its time");
}

#[test]
fn when_an_update_leaves_nothing_to_run_everything_ends() {
    let mut stage = up(&["app"], [service("app")]);
    let update = stage.update([ServiceSpec { enabled: false, ..service("other") }]);
    stage.exits("app", 0);
    assert!(stage.is_done(update));
    assert_eq!(stage.exit_code(), 0);
}

#[test]
fn whoever_waits_for_a_service_that_is_removed_is_told() {
    let slow = ServiceSpec { ready: ready(Probe::Notify), ..service("app") };
    let mut stage = up(&["app", "x"], [slow, service("x")]);
    let wait = stage.await_that("app", minisup::core::input::Awaited::Ready);
    stage.update([service("x")]);
    assert_eq!(stage.refusal(wait), "app is removed");
}

#[test]
fn signals_are_passed_on_as_the_new_plan_says() {
    let forwarding = |to: u32, services: [ServiceSpec; 2]| -> Plan {
        let to = Forward::To(minisup::core::ids::ServiceId(to), Signal::HUP);
        Plan { signals: [(Signal::USR2, to)].into(), ..plan(services) }
    };
    let mut stage = Stage::of_plan(forwarding(0, [service("a"), service("b")]));
    stage.exec("a");
    stage.exec("b");
    let swapped = forwarding(0, [service("b"), service("a")]);
    stage.ask(Request::Update(Rc::new(swapped)));
    stage.signal(Signal::USR2);
    assert_eq!((stage.signals_to("a"), stage.signals_to("b")), (vec![], vec![Signal::HUP]));
}

#[test]
fn an_update_whose_client_has_gone_is_carried_out_unanswered() {
    let mut stage = up(&["a", "b"], [service("a"), service("b")]);
    let first = stage.update([another("a"), service("b")]);
    let second = stage.update([another("a"), another("b")]);
    for id in [first, second] {
        stage.tell(Input::Abandoned(id));
    }
    stage.exits("a", 0);
    assert_eq!(stage.signals_to("b"), [Signal::TERM]);
    stage.exec("a");
    stage.exits("b", 0);
    stage.exec("b");
    let open = |stage: &Stage, id: RequestId| stage.is_open(id);
    assert!(open(&stage, first) && open(&stage, second));
}

#[test]
fn a_snapshot_shows_the_order_of_the_new_plan_and_last_those_that_are_going() {
    let mut stage = up(&["a", "b", "c"], [service("a"), service("b"), service("c")]);
    stage.update([service("c"), service("n"), service("a")]);
    let snapshot = stage.supervisor.snapshot(stage.now);
    let plan = stage.supervisor.plan();
    let shown: Vec<(&str, bool)> =
        snapshot.instances.iter().map(|it| (&*plan.service(it.service).name, it.wanted)).collect();
    assert_eq!(shown, [("c", true), ("n", true), ("a", true), ("b", false)]);
    for it in &snapshot.instances {
        assert_eq!(it.pid, stage.supervisor.instance(it.instance).pid());
    }
    stage.exits("b", 0);
    assert_eq!(stage.supervisor.snapshot(stage.now).instances.len(), 3);
}

#[test]
fn what_has_prepared_a_service_is_not_run_again_when_that_is_replaced() {
    let db = |spec: ServiceSpec| ServiceSpec { requires: [on(0, Condition::Done)].into(), ..spec };
    let mut stage = Stage::of([satellite("db-init"), db(service("db"))]);
    stage.exec("db-init");
    stage.exits("db-init", 0);
    stage.exec("db");
    let update = stage.update([with_command("/bin/other", satellite("db-init")), db(another("db"))]);
    stage.exits("db", 0);
    stage.exec("db");
    assert!(stage.is_done(update));
    assert_eq!((stage.launches("db-init"), stage.launches("db")), (1, 2));
    // Another oneshot is run again when what it does has changed.
    let mut stage = up(&["web", "migrate"], [service("web"), oneshot("migrate")]);
    stage.exits("migrate", 0);
    stage.update([service("web"), with_command("/bin/other", oneshot("migrate"))]);
    assert_eq!(stage.launches("migrate"), 2);
}

#[test]
fn what_is_new_of_a_stopped_service_or_requires_it_is_not_launched() {
    let app = || service("app");
    let web = |instances| requiring(0, ServiceSpec { instances, ..service("web") });
    let mut stage = up(&["app", "web", "other"], [app(), web(1), service("other")]);
    let stop = stage.stop("app");
    stage.exits("web", 0);
    stage.exits("app", 0);
    assert!(stage.is_done(stop));
    // One more of who was taken along, a new one who requires it, and one more of itself.
    let more = ServiceSpec { instances: 2, ..app() };
    let update =
        stage.update([more, web(2), service("other"), requiring(0, service("exporter")), service("free")]);
    stage.exec("free");
    assert!(stage.is_done(update));
    assert_eq!(stage.phase(), "up", "nobody has failed");
    for name in ["app", "web", "exporter"] {
        let service = stage.service(name);
        for id in stage.supervisor.instances_of(service) {
            assert_eq!(stage.supervisor.instance(id).state.name(), "stopped", "{name}");
        }
    }
    // They are started as everything else is.
    let start = stage.start("exporter");
    assert!(stage.is_open(start));
    assert_eq!(stage.state("app"), "Executing");
}
