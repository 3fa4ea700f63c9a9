//! Clients that behave, as many as there are.

use crate::needs_namespaces;
use crate::person::{Person, names};
use crate::stage::{Place, Run, supervise};
use crate::support::wait_until;
use minisup::control::wire::{self, ErrorKind, Reply, Request};
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const TWO: &str = r#"
    [service.app]
    command = ["sleep", "1001"]

    [service.web]
    command = ["sleep", "1002"]
    requires = ["app"]
"#;

fn two(place: Place) -> Run {
    let mut run = supervise(place, TWO).start();
    run.said("all is up");
    run
}

/// Ten threads ask everything that there is, all at once.
fn ten_at_once(place: Place) {
    let run = two(place);
    let socket = run.path("minisup.sock");
    std::thread::scope(|scope| {
        for number in 0..10 {
            let socket = &socket;
            scope.spawn(move || {
                let mut person = Person::at(socket).unwrap();
                for round in 0..50 {
                    let reply = match (number + round) % 5 {
                        0 => person.get(&Request::Health),
                        1 => person.get(&Request::Signal { names: names(&["app"]), signal: "CONT".into() }),
                        2 => person.get(&Request::Start { names: names(&["all"]), wait: true }),
                        3 => person.get(&Request::Logs {
                            names: Vec::new(),
                            lines: None,
                            follow: false,
                            last_launch: false,
                        }),
                        _ => Reply::Status(person.status()),
                    };
                    let is_well = match &reply {
                        Reply::Done => true,
                        Reply::Health(health) => health.healthy,
                        Reply::Status(status) => status.instances.iter().all(|it| it.ready),
                        _ => false,
                    };
                    assert!(is_well, "{reply:?}");
                }
            });
        }
    });
    let status = Person::of(&run).status();
    assert_eq!(status.instances.iter().map(|it| it.restarts).sum::<u32>(), 0);
    run.stops_with(0);
}

#[test]
fn ten_clients_at_once_are_all_answered() {
    needs_namespaces!();
    ten_at_once(Place::Pid1);
}

#[test]
fn ten_clients_at_once_are_all_answered_where_newer_calls_are_unknown() {
    needs_namespaces!();
    ten_at_once(Place::OldKernel);
}

#[test]
fn ten_clients_at_once_are_all_answered_where_newer_calls_are_forbidden() {
    needs_namespaces!();
    ten_at_once(Place::OldEngine);
}

#[test]
fn ten_clients_at_once_are_all_answered_by_an_ordinary_process() {
    needs_namespaces!();
    ten_at_once(Place::NotPid1);
}

#[test]
fn requests_sent_all_at_once_are_answered_one_after_the_other() {
    needs_namespaces!();
    let run = two(Place::Pid1);
    let mut person = Person::of(&run);
    let mut bytes = Vec::new();
    for _ in 0..100 {
        bytes.extend(wire::line(&Request::Restart { names: names(&["web"]), wait: true }));
        bytes.extend(wire::line(&Request::Health));
    }
    // Longer than one request may be, in all.
    bytes.extend(wire::line(&Request::Status { names: Vec::new() }).repeat(2000));
    let mut writer = person.stream.get_ref().try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for _ in 0..100 {
        assert_eq!(person.next(), Some(Reply::Done));
        assert!(matches!(person.next(), Some(Reply::Health(health)) if health.healthy));
    }
    for _ in 0..2000 {
        assert!(matches!(person.next(), Some(Reply::Status(_))));
    }
    writing.join().unwrap();
    assert_eq!(person.status().instances[1].restarts, 100);
    run.stops_with(0);
}

#[test]
fn who_says_that_it_will_say_no_more_is_answered_all_the_same() {
    needs_namespaces!();
    let run = two(Place::Pid1);
    let mut person = Person::of(&run);
    person.ask(&Request::Restart { names: names(&["web"]), wait: true });
    person.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(person.next(), Some(Reply::Done));
    person.is_sent_away();
    run.stops_with(0);
}

#[test]
fn who_asks_and_leaves_has_asked_all_the_same() {
    needs_namespaces!();
    let run = two(Place::Pid1);
    let mut person = Person::of(&run);
    person.ask(&Request::Shutdown { timeout: None });
    drop(person);
    assert!(run.ends_with(0).contains("asked to shut down"));
}

#[test]
fn what_is_still_open_at_the_end_is_answered_before_it() {
    needs_namespaces!();
    let mut run = two(Place::Pid1);
    let mut waits = Person::of(&run);
    waits.ask(&Request::Wait { names: names(&["web:stopped"]) });
    let mut hopes = Person::of(&run);
    hopes.ask(&Request::Wait { names: names(&["web:done"]) });
    let mut follows = Person::of(&run);
    follows.follow();
    let mut ends = Person::of(&run);
    // All have been heard when this one is.
    assert_eq!(ends.status().phase, "up");
    assert_eq!(ends.get(&Request::Shutdown { timeout: None }), Reply::Done);
    run.said("everything has stopped");
    assert_eq!(waits.next(), Some(Reply::Done));
    assert!(matches!(hopes.next(), Some(Reply::Failed { .. } | Reply::Error { .. })));
    let mut last = None;
    while let Some(Reply::Event(event)) = follows.next() {
        last = Some(event);
    }
    assert_eq!(last.unwrap().to.as_deref(), Some("done"));
    run.ends_with(0);
}

#[test]
fn while_everything_stops_questions_are_answered() {
    needs_namespaces!();
    let config = r#"
        [service.slow]
        command = ["sh", "-c", "trap 'read go <${DIR}/gate; exit' TERM; echo trapped; while :; do sleep 0.05; done"]
        stop = { grace_period = "60s" }
        [supervisor]
        shutdown_timeout = "90s"
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.heard("trapped");
    let mut person = Person::of(&run);
    assert_eq!(person.get(&Request::Shutdown { timeout: None }), Reply::Done);
    let status = Person::of(&run).status();
    assert_eq!((status.phase.as_str(), status.instances[0].state.as_str()), ("draining", "stopping"));
    assert!(matches!(person.get(&Request::Health), Reply::Health(health) if !health.healthy));
    let start = person.get(&Request::Start { names: names(&["slow"]), wait: true });
    assert!(
        matches!(&start, Reply::Failed { message, .. } if message.contains("shutting down")),
        "{start:?}"
    );
    run.open("gate");
    run.ends_with(0);
}

#[test]
fn an_unknown_name_has_the_one_that_was_meant() {
    needs_namespaces!();
    let run = two(Place::Pid1);
    let mut person = Person::of(&run);
    for (name, said) in [
        ("weeb", "there is no service \"weeb\"; did you mean \"web\"?"),
        ("zz*", "no service is called like \"zz*\""),
        ("web:3", "there is no web:3: web has one instance"),
    ] {
        match person.get(&Request::Status { names: names(&[name]) }) {
            Reply::Error { error, message } => {
                assert_eq!((error, message.as_str()), (ErrorKind::UnknownName, said))
            }
            other => panic!("{other:?}"),
        }
    }
    let of = |person: &mut Person, list: &[&str]| match person.get(&Request::Status { names: names(list) }) {
        Reply::Status(status) => status.instances.into_iter().map(|it| it.service).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&mut person, &["w*", "web:0"]), ["web"]);
    assert_eq!(of(&mut person, &["web", "app"]), ["app", "web"]);
    assert_eq!(of(&mut person, &["all"]), ["app", "web"]);
    run.stops_with(0);
}

#[test]
fn health_counts_what_is_essential_and_wanted() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "read go <${DIR}/gate; touch ${DIR}/ready; exec sleep 1001"]
        ready = { file = "${DIR}/ready", interval = "20ms" }

        [service.migrate]
        type = "oneshot"
        command = "true"

        [service.extra]
        command = "false"
        essential = false
        max_failures = 1
        min_uptime = "1m"
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.said("extra failed");
    let mut person = Person::of(&run);
    let mut health = || match person.get(&Request::Health) {
        Reply::Health(health) => (health.healthy, health.message),
        other => panic!("{other:?}"),
    };
    assert_eq!(health(), (false, "starting: app is not ready".into()));
    run.open("gate");
    run.said("all is up");
    assert_eq!(health(), (true, "healthy: 1 essential service".into()));
    let mut other = Person::of(&run);
    assert_eq!(other.get(&Request::Stop { names: names(&["app"]), wait: true }), Reply::Done);
    assert_eq!(health(), (true, "healthy: no essential service has to run".into()));
    run.stops_with(0);
}

#[test]
fn a_status_tells_what_there_is_to_know() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "$ACTOR notify 'STATUS=warming up'; read go <${DIR}/gate; $ACTOR notify READY=1; exec sleep 1001"]
        ready = { notify = true }
        instances = 2

        [service.web]
        command = ["sleep", "1002"]
        requires = ["app"]

        [service.extra]
        command = ["sh", "-c", "echo one; echo two >&2; exit 3"]
        essential = false
        max_failures = 1
        min_uptime = "1m"
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.said("extra failed");
    let mut person = Person::of(&run);
    let mut instances = Vec::new();
    wait_until("both have spoken", || {
        instances = person.status().instances;
        instances[..2].iter().all(|app| app.said.as_deref() == Some("warming up"))
    });
    let app = &instances[1];
    assert_eq!((app.service.as_str(), app.instance, app.state.as_str()), ("app", Some(1), "starting"));
    assert!(app.wanted && app.essential && !app.ready && app.pid.is_some() && app.uptime.is_some());
    assert!(app.memory.unwrap() > 100_000 && app.memory.unwrap() % 4096 == 0);
    let web = &instances[2];
    assert_eq!((web.instance, web.state.as_str(), web.pid, web.memory), (None, "waiting", None, None));
    assert_eq!(web.reason.as_deref(), Some("waits for app to be ready"));
    let extra = &instances[3];
    assert_eq!((extra.state.as_str(), extra.essential, extra.failures), ("fatal", false, 1));
    assert_eq!(extra.last.as_deref(), Some("exit code 3"));
    match person.get(&Request::Wait { names: names(&["extra"]) }) {
        Reply::Failed { message, service, log } => {
            assert!(message.contains("exit code 3"), "{message}");
            assert_eq!(service.as_deref(), Some("extra"));
            assert_eq!(log, ["one", "two"]);
        }
        other => panic!("{other:?}"),
    }
    run.open("gate");
    run.open("gate");
    assert_eq!(person.get(&Request::Wait { names: names(&["web"]) }), Reply::Done);
    run.stops_with(0);
}

#[test]
fn who_reads_logs_along_gets_every_line_once() {
    needs_namespaces!();
    let config = r#"
        [service.talks]
        command = ["sh", "-c", "i=0; while test $i -lt 20000; do i=$((i + 1)); echo line $i; test $i = 500 && read go <${DIR}/gate; done; exec sleep 1001"]

        [service.other]
        command = ["sh", "-c", "while :; do echo other; sleep 0.01; done"]
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.heard("line 500");
    // Somebody has to read what goes to the container's stdout, or nothing more comes.
    let mut out = std::fs::File::from(run.stdout().owner());
    let reading = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let mut person = Person::of(&run);
    person.ask(&Request::Logs {
        names: names(&["talks"]),
        lines: Some(10),
        follow: true,
        last_launch: false,
    });
    let mut next = 491;
    while next <= 20_000 {
        match person.next() {
            Some(Reply::Log(line)) => {
                assert_eq!(line.message, format!("line {next}"));
                assert_eq!((line.service.as_str(), line.stream.as_str()), ("talks", "stdout"));
                next += 1;
            }
            // It wrote faster than we read: then it must be said how many are missing.
            Some(Reply::Event(event)) if event.event == "dropped" => {
                next += event.message.split(' ').next().unwrap().parse::<u32>().unwrap();
            }
            other => panic!("{other:?}"),
        }
        if next == 501 {
            run.open("gate");
        }
    }
    run.stops_with(0);
    reading.join().unwrap();
}

#[test]
fn a_storm_of_logs_leaves_room_for_questions() {
    needs_namespaces!();
    let config = r#"
        [service.storm]
        command = ["sh", "-c", "yes 'a line of a storm that goes on and on and on' | head -c 300000000"]
        restart = "never"

        [service.calm]
        command = ["sleep", "1001"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    let mut out = std::fs::File::from(run.stdout().owner());
    let reading = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let mut person = Person::of_soon(&run);
    let (mut longest, mut asked) = (Duration::ZERO, 0);
    loop {
        let began = Instant::now();
        let status = person.status();
        longest = longest.max(began.elapsed());
        asked += 1;
        if status.instances[0].state == "exited" {
            break;
        }
    }
    // A machine that does many things at once may take its time; who starves takes for ever.
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(asked > 50, "{asked}");
    run.stops_with(0);
    assert!(reading.join().unwrap() >= 300_000_000);
}
