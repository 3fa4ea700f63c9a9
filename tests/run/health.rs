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
