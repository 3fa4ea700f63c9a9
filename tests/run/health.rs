//! The check that never ends.

use crate::needs_namespaces;
use crate::stage::{Place, free_port, supervise};

pub fn who_is_unhealthy_is_launched_again(place: Place) {
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; exec sleep 1001"]
        min_uptime = "0s"
        max_failures = 0
        backoff.initial = "1ms"
        health = { exec = ["sh", "-c", "cat ${DIR}/health; grep -q good ${DIR}/health"], interval = "20ms", failures = 2 }

        [service.web]
        command = ["sh", "-c", "echo web; exec sleep 1002"]
        requires = ["app:healthy"]
    "#;
    let mut run = supervise(place, config).file("health", "not yet").start();
    run.heard("begun");
    run.said("app is unhealthy");
    assert!(!run.processes().iter().any(|process| process.command == "sleep 1002"));
    run.write("health", "good");
    run.said("app is healthy");
    run.heard("web");
    run.write("health", "out of order");
    run.said("last got: out of order");
    run.write("health", "good");
    run.heard("begun");
    run.said("app is healthy");
    run.stops_with(0);
}

#[test]
fn with_no_action_it_is_only_said() {
    needs_namespaces!();
    let port = free_port().to_string();
    let config = r#"
        [service.app]
        command = "${ACTOR} serve PORT ${DIR}/answer"
        health = { http = "http://127.0.0.1:PORT/", interval = "20ms", failures = 1, action = "none" }
    "#;
    let good = "HTTP/1.1 204 No Content\r\n\r\n";
    let mut run = supervise(Place::Pid1, &config.replace("PORT", &port)).file("answer", good).start();
    run.said("app is healthy");
    let first = run.process(crate::stage::actor());
    run.write("answer", "HTTP/1.1 500 Out of order\r\n\r\n");
    run.said("app is unhealthy");
    run.write("answer", good);
    run.said("app is healthy");
    assert_eq!(run.process(crate::stage::actor()).pid, first.pid);
    run.stops_with(0);
}

#[test]
fn who_gives_no_sign_of_life_to_the_watchdog_is_launched_again() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", '''echo begun $WATCHDOG_USEC; for i in 1 2 3 4 5 6; do $ACTOR notify WATCHDOG=1; sleep 0.1; done; echo silent; exec sleep 1001''']
        min_uptime = "0s"
        max_failures = 0
        backoff.initial = "1ms"
        health = { notify = true, interval = "400ms", failures = 1 }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("begun 400000");
    run.said("app is healthy");
    run.heard("silent");
    run.said("no WATCHDOG=1 in time");
    run.heard("begun");
    run.stops_with(0);
}

#[test]
fn a_probe_may_print_as_much_as_it_likes_and_what_counts_is_its_last_line() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        min_uptime = "0s"
        max_failures = 0
        health = { exec = ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; cat ${DIR}/says; grep -q good ${DIR}/says"], interval = "20ms", failures = 1 }
    "#;
    let mut run = supervise(Place::Pid1, config).file("says", "good").start();
    run.said("app is healthy");
    run.write("says", "out of order\n");
    run.said("last got: out of order");
    run.stops_with(0);
}

#[test]
fn a_probe_that_prints_without_end_keeps_nobody_from_anything() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.app]
        command = ["sleep", "1001"]
        min_uptime = "0s"
        max_failures = 0
        health = { exec = ["yes"], interval = "20ms", timeout = "1s", failures = 1 }

        [service.left]
        command = ["sleep", "1002"]
        min_uptime = "0s"
        max_failures = 0
        health = { exec = ["sh", "-c", "yes & exit 1"], interval = "20ms", failures = 1 }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("left is unhealthy: ");
    run.said("last got: no answer in 1s");
    let began = std::time::Instant::now();
    let answer = run.ask(&["status"]);
    assert!(!answer.stdout.is_empty(), "{answer:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    run.stops_with(0);
}

#[test]
fn each_instance_is_asked_with_its_own_environment() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        min_uptime = "0s"
        max_failures = 0
        instances = 2
        backoff.initial = "1ms"
        environment = { MINE = "its number ${instance}" }
        health = { exec = ["sh", "-c", "echo $MINISUP_SERVICE/$MINISUP_INSTANCE has $MINE; exit 1"], interval = "20ms", failures = 1 }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    let words = run.said("app:0 is unhealthy");
    assert!(words.contains("last got: app/0 has its number 0"), "{words}");
    let words = run.said("app:1 is unhealthy");
    assert!(words.contains("last got: app/1 has its number 1"), "{words}");
    run.stops_with(0);
}
