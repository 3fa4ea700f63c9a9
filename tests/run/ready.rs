//! When a service may be depended on.

use crate::needs_namespaces;
use crate::stage::{Place, free_port, supervise};
use crate::support::wait_until;
use std::time::Duration;

/// A way to be ready: the service's key, and what it does when it may go on.
struct Way {
    ready: &'static str,
    then: &'static str,
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const WAYS: [Way; 15] = [
    Way { ready: "notify = true", then: "$ACTOR notify READY=1; exec sleep 1001" },
    Way { ready: "notify = true", then: "$ACTOR notify 'STATUS=nearly\nREADY=1'; exec sleep 1001" },
    Way { ready: "fd = 3", then: "echo up >&3; exec 3>&-; exec sleep 1001" },
    Way { ready: "fd = 7", then: "printf some >&7; echo thing >&7; exec sleep 1001" },
    Way { ready: "fd = 3", then: "printf '%0300d\\n' 7 >&3; exec sleep 1001" },
    Way { ready: "tcp = '127.0.0.1:PORT'", then: "exec $ACTOR serve PORT ${DIR}/answer" },
    Way { ready: "unix = '${DIR}/s'", then: "exec $ACTOR serve ${DIR}/s ${DIR}/answer" },
    Way { ready: "http = 'http://127.0.0.1:PORT/healthz'", then: "exec $ACTOR serve PORT ${DIR}/answer" },
    Way { ready: "http = 'http+unix://${DIR}/s:/healthz'", then: "exec $ACTOR serve ${DIR}/s ${DIR}/answer" },
    Way { ready: "uwsgi = '127.0.0.1:PORT'", then: "exec $ACTOR serve PORT ${DIR}/answer" },
    Way { ready: "exec = ['test', '-e', '${DIR}/ready']", then: "touch ${DIR}/ready; exec sleep 1001" },
    Way { ready: "log = '^listening on [0-9]+$'", then: "echo listening on 80; exec sleep 1001" },
    Way { ready: "file = '${DIR}/pid'", then: "echo $$ > ${DIR}/pid; exec sleep 1001" },
    Way { ready: "file = '${DIR}/pid'", then: "setsid sh -c 'echo $$ > ${DIR}/pid; exec sleep 2001' & wait" },
    Way {
        ready: "file = '${DIR}/pid'",
        then: "(env -i setsid sh -c 'echo $$ > ${DIR}/pid; exec sleep 2001' &); exec sleep 1001",
    },
];

pub fn every_way_to_be_ready_is_heard(place: Place) {
    for Way { ready, then } in &WAYS {
        let config = r#"
            [service.app]
            command = ["sh", "-c", '''echo begun; read line < ${DIR}/go; THEN''']
            ready = { READY, interval = "20ms" }

            [service.web]
            command = ["sh", "-c", "echo web; exec sleep 1002"]
            requires = ["app"]
        "#;
        let config = config.replace("READY,", &format!("{ready},")).replace("THEN", then);
        let config = config.replace("PORT", &free_port().to_string());
        let mut run = supervise(place, &config).gate("go").file("answer", ANSWER).start();
        run.heard("begun");
        run.said("app started");
        // Whatever is asked has been asked, and whatever came was not enough.
        assert!(!run.processes().iter().any(|process| process.command == "sleep 1002"));
        run.open("go");
        run.said("app is ready after");
        run.heard("web");
        run.stops_with(0);
    }
}

pub fn who_is_not_ready_in_time_ends_the_container_with_the_reason(place: Place) {
    let port = free_port().to_string();
    let rows = [
        ("tcp = '127.0.0.1:PORT'", "waited for tcp 127.0.0.1:PORT, last got: connection refused"),
        ("unix = '${DIR}/s'", "/s, last got: no such file or directory"),
        ("file = '${DIR}/pid'", "/pid, last got: no such file or directory"),
        ("exec = ['sh', '-c', 'echo not yet; exit 1']", "last got: not yet"),
        ("exec = ['/nowhere/x']", "last got: cannot execute /nowhere/x: no such file or directory"),
        ("http = 'http://127.0.0.1:PORT/healthz'", "waited for http 127.0.0.1:PORT/healthz, last got: "),
        ("notify = true", "waited for READY=1 on its notify socket, last got: warming up"),
        ("file = '${DIR}/other'", "/other, last got: a pid file of another process (1)"),
        ("fd = 3", "waited for a newline on descriptor 3, last got: nothing"),
        ("log = 'listening'", "waited for a line of log like \"listening\", last got: nothing"),
    ];
    for (ready, expected) in rows {
        let config = r#"
            [service.app]
            command = ["sh", "-c", "$ACTOR notify 'STATUS=warming up'; exec sleep 1001"]
            ready = { READY, interval = "20ms", timeout = "700ms" }
            max_failures = 1

            [service.web]
            command = ["touch", "${DIR}/launched"]
            requires = ["app"]
        "#;
        let config = config.replace("READY", ready).replace("PORT", &port);
        let run = supervise(place, &config).file("other", "1").start();
        let launched = run.path("launched");
        let words = run.ends_with(1);
        let line = words.lines().find(|line| line.contains("was not ready after")).unwrap_or_default();
        let waited = line.split_once("after ").and_then(|(_, rest)| rest.split_once(':'));
        let millis = waited.and_then(|(waited, _)| match waited.split_once(' ')? {
            (count, "ms") => count.parse::<f64>().ok(),
            (count, "s") => count.parse::<f64>().ok().map(|count| 1000.0 * count),
            _ => None,
        });
        // Never early; late only as far as a busy machine is.
        assert!(millis.is_some_and(|millis| (700.0..1500.0).contains(&millis)), "{words}");
        assert!(line.contains(&expected.replace("PORT", &port)), "{words}");
        assert!(!launched.exists(), "{words}");
    }
}

#[test]
fn an_http_probe_takes_only_the_status_it_is_to() {
    needs_namespaces!();
    let port = free_port().to_string();
    let config = r#"
        [service.app]
        command = "${ACTOR} serve PORT ${DIR}/answer"
        ready = { http = "http://127.0.0.1:PORT/", status = "200-299", interval = "20ms", timeout = "700ms" }
        max_failures = 1
    "#;
    let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let run = supervise(Place::Pid1, &config.replace("PORT", &port)).file("answer", answer).start();
    let words = run.ends_with(1);
    assert!(words.contains("503"), "{words}");
}

#[test]
fn who_is_never_ready_is_tried_again_as_often_as_allowed() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; exec sleep 1001"]
        ready = { fd = 3, timeout = "100ms" }
        max_failures = 3
        backoff.initial = "1ms"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    (0..3).for_each(|_| drop(run.heard("begun")));
    let words = run.ends_with(1);
    assert!(words.contains("given up after 3 failures in a row"), "{words}");
}

#[test]
fn who_ends_before_it_is_ready_has_failed_whatever_its_code() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "exit 0"]
        ready = { notify = true }
        max_failures = 2
        min_uptime = "0s"
        backoff.initial = "1ms"
    "#;
    let words = supervise(Place::Pid1, config).start().ends_with(1);
    assert!(words.contains("given up after 2 failures in a row"), "{words}");
}

#[test]
fn a_probe_that_hangs_is_given_up_and_ended() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        ready = { exec = ["sleep", "2001"], interval = "20ms", timeout = "300ms" }
        max_failures = 1
    "#;
    let began = std::time::Instant::now();
    let words = supervise(Place::Pid1, config).start().ends_with(1);
    assert!(words.contains("was not ready after"), "{words}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_requirement_may_be_that_it_has_started_only() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        ready = { notify = true }

        [service.web]
        command = ["sh", "-c", "echo web; exec sleep 1002"]
        requires = ["app:started"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("web");
    run.stops_with(0);
}

#[test]
fn nobody_is_ready_by_the_word_of_another_service() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.app]
        command = ["sh", "-c", """
            echo $NOTIFY_SOCKET > ${DIR}/name; echo named; read line < ${DIR}/go
            $ACTOR notify STATUS=mine; read line < ${DIR}/on
            $ACTOR notify READY=1; exec sleep 1001"""]
        ready = { notify = true }

        [service.other]
        command = ["sh", "-c", "read line < ${DIR}/other; NOTIFY_SOCKET=$(cat ${DIR}/name) exec $ACTOR flood READY=1"]
    "#;
    let mut run = supervise(Place::Pid1, config).gate("go").gate("on").gate("other").start();
    run.heard("named");
    run.open("other");
    wait_until("the other one sends", || {
        run.processes().iter().any(|process| process.command.contains("flood READY=1"))
    });
    run.open("go");
    let app = |run: &crate::stage::Run| -> serde_json::Value {
        serde_json::from_slice(&run.ask(&["status", "app", "--json"]).stdout).unwrap()
    };
    // What the other has sent before that has been read by then.
    wait_until("its own word is heard", || app(&run).to_string().contains("mine"));
    assert!(app(&run).to_string().contains("\"starting\""), "{}", app(&run));
    run.open("on");
    run.said("app is ready after");
    run.stops_with(0);
}
