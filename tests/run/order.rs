//! What comes before what.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};

pub fn what_is_required_starts_first_and_stops_last(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [defaults]
        ready = { notify = true }

        [service.web]
        command = "${ACTOR} obey web 0"
        requires = ["app"]

        [service.app]
        command = ["sh", "-c", "read line < ${DIR}/go; exec $ACTOR obey app 3"]
        requires = ["migration", "db"]

        [service.migration]
        command = ["sh", "-c", "echo start migration"]
        type = "oneshot"
        ready = "started"
        requires = ["db"]

        [service.db]
        command = "${ACTOR} obey db 143"
        "#,
    )
    .gate("go")
    .start();
    let mut lines = Vec::new();
    lines.extend([run.heard(""), run.heard("")]);
    run.said("web waits for app to be ready");
    assert!(run.processes().iter().all(|process| !process.command.contains("obey web")));
    run.open("go");
    lines.extend([run.heard(""), run.heard("")]);
    run.said("all is up");
    run.signal(libc::SIGTERM);
    lines.extend([run.heard(""), run.heard(""), run.heard("")]);
    let expected =
        ["start db", "start migration", "start app", "start web", "stop web", "stop app", "stop db"];
    assert_eq!(lines, expected);
    run.ends_with(0);
}

#[test]
fn who_does_not_end_leaves_time_to_those_behind_it() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [supervisor]
        shutdown_timeout = "2s"

        [service.web]
        command = ["sh", "-c", "trap '' TERM; echo start web; while :; do sleep 0.05; done"]
        after = ["app"]

        [service.app]
        command = "${ACTOR} obey app 0"
        "#,
    )
    .start();
    let mut lines = vec![run.heard(""), run.heard("")];
    lines.sort();
    assert_eq!(lines, ["start app", "start web"]);
    run.said("all is up");
    run.signal(libc::SIGTERM);
    // Its own grace period is 8 s: the app would never have been asked.
    assert_eq!(run.heard(""), "stop app");
    run.ends_with(137);
}

#[test]
fn nothing_is_launched_once_the_stop_has_begun() {
    needs_namespaces!();
    // The first one's end makes the second one possible: but everything is stopping.
    let mut run = supervise(
        Place::Pid1,
        r#"
        [service.first]
        command = "${ACTOR} obey first 0"
        type = "oneshot"

        [service.second]
        command = ["touch", "${DIR}/launched"]
        type = "oneshot"
        requires = ["first"]

        [service.again]
        command = ["sh", "-c", "touch ${DIR}/again; exit 1"]
        backoff = { initial = "300s", max = "300s" }
        "#,
    )
    .start();
    run.heard("start first");
    run.said("again failed");
    let launched = run.path("launched");
    run.stops_with(0);
    assert!(!launched.exists());
}

#[test]
fn instances_are_counted_from_zero() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [service.worker]
        command = ["sh", "-c", "echo number ${instance} of $PORT $MINISUP_SERVICE $MINISUP_INSTANCE; exec sleep 1001"]
        instances = 3
        environment = { PORT = "800${instance}" }
        "#,
    )
    .start();
    let mut lines = [run.heard(""), run.heard(""), run.heard("")];
    lines.sort();
    let expected = [0, 1, 2].map(|n| format!("number {n} of 800{n} worker {n}"));
    assert_eq!(lines, expected);
    run.said("worker:2 started");
    run.stops_with(0);
}

#[test]
fn what_is_not_enabled_is_not_launched_and_nobody_waits_for_it() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [service.off]
        command = ["touch", "${DIR}/launched"]
        enabled = "${WITH_OFF:-false}"

        [service.on]
        command = ["sleep", "1001"]
        after = ["off"]
        "#,
    )
    .start();
    run.said("all is up");
    let launched = run.path("launched");
    run.stops_with(0);
    assert!(!launched.exists());
}
