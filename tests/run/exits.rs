//! The container's exit code: what it says of what happened.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};

pub fn the_exit_code_is_that_of_the_essential_failure(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [service.main]
        command = ["sh", "-c", "echo begun; read line < ${DIR}/go; exit 3"]
        restart = "never"

        [service.other]
        command = "sleep 1001"
        "#,
    )
    .gate("go")
    .start();
    run.heard("begun");
    run.said("all is up");
    run.open("go");
    run.said("main is essential and has failed (exit code 3): stopping everything, exit code 3");
    run.ends_with(3);
}

/// A row: what the services are, and the exit code when all is over.
struct Row {
    what: &'static str,
    services: &'static str,
    code: i32,
}

const fn row(what: &'static str, services: &'static str, code: i32) -> Row {
    Row { what, services, code }
}

/// Runs that end by themselves.
const ENDS: [Row; 19] = [
    row("all ended well", "[service.a]\ncommand = 'true'\nrestart = 'never'", 0),
    row(
        "two ended well, one after the other",
        "[service.a]\ncommand = 'true'\nrestart = 'never'\n[service.b]\ncommand = 'sh -c \"sleep 0.1\"'\nrestart = 'never'",
        0,
    ),
    row(
        "a code that is a success",
        "[service.a]\ncommand = 'sh -c \"exit 9\"'\nrestart = 'on-failure'\nsuccess_codes = [0, 9]",
        0,
    ),
    row("the failure's code", "[service.a]\ncommand = 'sh -c \"exit 42\"'\nrestart = 'never'", 42),
    row("255", "[service.a]\ncommand = 'sh -c \"exit 255\"'\nrestart = 'never'", 255),
    row("128 + the signal", "[service.a]\ncommand = ['sh', '-c', 'kill -SEGV $$']\nrestart = 'never'", 139),
    row(
        "0 is a failure where it is no success",
        "[service.a]\ncommand = 'true'\nrestart = 'never'\nsuccess_codes = [1]",
        1,
    ),
    row(
        "0 too early, too often",
        "[service.a]\ncommand = 'true'\nmax_failures = 2\nbackoff.initial = '1ms'",
        1,
    ),
    row(
        "its last code, too often",
        "[service.a]\ncommand = 'sh -c \"exit 7\"'\nmax_failures = 3\nbackoff.initial = '1ms'",
        7,
    ),
    row("a missing program", "[service.a]\ncommand = '/nowhere/x'\nmax_failures = 1", 127),
    row(
        "a missing program in no directory of PATH",
        "[service.a]\ncommand = 'no-such-program'\nmax_failures = 1",
        127,
    ),
    row("a file that is no program", "[service.a]\ncommand = '/etc/hostname'\nmax_failures = 1", 126),
    row("a oneshot that succeeded", "[service.a]\ncommand = 'true'\ntype = 'oneshot'", 0),
    row("a oneshot that failed", "[service.a]\ncommand = 'sh -c \"exit 4\"'\ntype = 'oneshot'", 4),
    row(
        "a oneshot that failed stops the others",
        "[service.a]\ncommand = 'sh -c \"exit 4\"'\ntype = 'oneshot'\n[service.b]\ncommand = 'sleep 1001'\n[service.c]\ncommand = 'sleep 1002'\nrequires = ['a']",
        4,
    ),
    row(
        "a oneshot that succeeded the second time",
        "[service.a]\ncommand = ['sh', '-c', 'test -e ${DIR}/x || { touch ${DIR}/x; exit 4; }']\ntype = 'oneshot'\nrestart = 'on-failure'\nbackoff.initial = '1ms'",
        0,
    ),
    row(
        "failures that are not essential",
        "[service.a]\ncommand = 'sh -c \"exit 4\"'\nrestart = 'never'\nessential = false\n[service.b]\ncommand = 'sh -c \"exit 5\"'\ntype = 'oneshot'\nessential = false",
        0,
    ),
    row(
        "who requires what failed",
        "[service.a]\ncommand = 'sh -c \"exit 4\"'\ntype = 'oneshot'\nessential = false\n[service.b]\ncommand = 'true'\nrequires = ['a']",
        1,
    ),
    row(
        "the first of two failures",
        "[service.a]\ncommand = 'sh -c \"exit 4\"'\nrestart = 'never'\n[service.b]\ncommand = '${ACTOR} obey b 6'\nrestart = 'never'",
        4,
    ),
];

#[test]
fn the_exit_code_when_all_is_over() {
    needs_namespaces!();
    for Row { what, services, code } in &ENDS {
        let mut run = supervise(Place::Pid1, services).start();
        let words = run.last_words();
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.ends_with(*code)));
        assert!(code.is_ok(), "{what}: {words}");
    }
}

/// Runs that are asked to stop.
const ASKED: [Row; 5] = [
    row("ended by the signal itself", "[service.a]\ncommand = ['sh', '-c', 'echo up; exec sleep 1001']", 0),
    row("ended well", "[service.a]\ncommand = '${ACTOR} obey up 0'", 0),
    row("ended with a code, as asked", "[service.a]\ncommand = '${ACTOR} obey up 143'", 0),
    row(
        "had to be killed",
        "[service.a]\ncommand = ['sh', '-c', 'trap \"\" TERM; echo up; exec sleep 1001']\nstop.grace_period = '50ms'",
        137,
    ),
    row(
        "a failure before, that was not essential",
        "[service.a]\ncommand = 'false'\nrestart = 'never'\nessential = false\n[service.b]\ncommand = ['sh', '-c', 'echo up; exec sleep 1001']\nrequires = []",
        0,
    ),
];

#[test]
fn the_exit_code_after_an_asked_stop() {
    needs_namespaces!();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGPWR, libc::SIGRTMIN() + 3] {
        for Row { what, services, code } in &ASKED {
            let mut run = supervise(Place::Pid1, services).start();
            run.heard("up");
            run.said("all is up");
            run.signal(signal);
            let words = run.last_words();
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.ends_with(*code)));
            assert!(code.is_ok(), "{what}, signal {signal}: {words}");
        }
    }
}

#[test]
fn a_configuration_that_is_wrong_is_78_and_nothing_is_launched() {
    needs_namespaces!();
    let wrong = "[service.a]\ncommand = ['touch', '${DIR}/launched']\nuser = 'nobody-of-this-name'\n[service.b]\ncomand = 'x'";
    let run = supervise(Place::Pid1, wrong).start();
    let launched = run.path("launched");
    let words = run.ends_with(78);
    assert!(words.contains("nobody-of-this-name"), "{words}");
    assert!(words.contains("did you mean \"command\"?"), "{words}");
    assert!(!launched.exists());
}

#[test]
fn what_everything_waits_for_ends_everything_when_it_is_gone_for_good() {
    needs_namespaces!();
    let run = supervise(
        Place::Pid1,
        r#"
        [service.app]
        command = ["sh", "-c", "exit 8"]
        max_failures = 2
        backoff.initial = "1ms"
        ready.file = "${DIR}/never"

        [service.web]
        command = ["touch", "${DIR}/launched"]
        requires = ["app"]
        "#,
    )
    .start();
    let launched = run.path("launched");
    let words = run.ends_with(8);
    assert!(words.contains("web waits for app to be ready"), "{words}");
    assert!(!launched.exists(), "{words}");
}
