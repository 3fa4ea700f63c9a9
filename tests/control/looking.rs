//! status, health, logs, events.

use crate::asking::{USUAL, ask, follow, json, stage, status_of, supervisor};
use crate::needs_namespaces;
use crate::support::wait_until;

#[test]
fn status_shows_every_service_in_its_line() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let text = ask(&run, &["status"]).good();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{text}");
    let fields = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(fields(1)[..3], ["web", "running", "ready"], "{text}");
    assert!(fields(1)[3].parse::<u32>().is_ok(), "{text}");
    assert_eq!(fields(3)[..3], ["migrate", "exited", "done"], "{text}");
    assert!(lines[3].ends_with("exit code 0"), "{text}");
    assert_eq!(fields(4)[..4], ["spare", "stopped", "-", "-"], "{text}");
    assert_eq!(lines.len(), 5, "{text}");
    assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
    run.stops_with(0);
}

#[test]
fn status_for_programs_has_the_same() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let status = json(&ask(&run, &["status", "--json"]).good());
    assert_eq!(status["phase"], "up");
    assert_eq!(status["pid"], 1);
    let names: Vec<_> = status["instances"].as_array().unwrap().iter().map(|it| &it["service"]).collect();
    assert_eq!(names, ["web", "app", "migrate", "spare"]);
    let web = &status["instances"][0];
    assert_eq!(
        (&web["state"], &web["ready"], &web["restarts"]),
        (&"running".into(), &true.into(), &0.into())
    );
    assert!(web["memory"].as_u64().unwrap() > 10_000, "{web}");
    run.stops_with(0);
}

#[test]
fn status_of_a_named_service_that_does_not_run_is_3() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    for (words, code) in [
        (&["status", "web"][..], 0),
        (&["status", "migrate"], 0),
        (&["status", "spare"], 3),
        (&["status", "spare", "--json"], 3),
        (&["status", "s*"], 3),
        (&["status"], 0),
    ] {
        assert_eq!(ask(&run, words).code, code, "{words:?}");
    }
    ask(&run, &["stop", "web"]).good();
    assert_eq!(ask(&run, &["status", "web"]).code, 3);
    run.stops_with(0);
}

#[test]
fn status_says_when_a_schedule_runs_next() {
    needs_namespaces!();
    let run = supervisor(
        r#"
        [environment]
        TZ = "EST5"
        [service.backup]
        type = "oneshot"
        command = "true"
        schedule = "30 3 29 2 *"
        [service.warm]
        type = "oneshot"
        command = "true"
        schedule = "@reboot"
        [service.web]
        command = "sleep 1000"
        "#,
    );
    let next = |name: &str| status_of(&run, name)["next_run"].clone();
    let at = next("backup");
    // Half past three in a zone that is five hours behind.
    assert!(at.as_str().is_some_and(|at| at.ends_with("-02-29T08:30:00.000Z")), "{at}");
    let text = ask(&run, &["status"]).good();
    let line = text.lines().find(|line| line.starts_with("backup")).unwrap();
    assert!(line.ends_with("-02-29 08:30 UTC") && line.contains("  next run 20"), "{text}");
    assert_eq!(text.matches("next run").count(), 1, "{text}");
    for name in ["warm", "web"] {
        assert!(next(name).is_null(), "{name}");
    }
    // Whoever stops it stops its schedule, too.
    ask(&run, &["stop", "backup"]).good();
    assert!(next("backup").is_null());
    ask(&run, &["start", "backup"]).good();
    assert_eq!(next("backup"), at);
    run.stops_with(0);
}

#[test]
fn status_says_what_time_a_oneshot_has_and_that_it_was_too_little() {
    needs_namespaces!();
    let config = |limit: &str| {
        format!(
            "[service.app]\ncommand = \"sleep 1000\"\n[service.slow]\ntype = \"oneshot\"\ncommand = \"sleep 1001\"\nessential = false\nmax_failures = 1\ntimeout = \"{limit}\"\n"
        )
    };
    let mut run = crate::asking::stage(&config("10m")).start();
    run.said("slow started");
    assert_eq!(status_of(&run, "slow")["reason"], "has to end within 600 s");
    run.stops_with(0);
    let mut run = crate::asking::stage(&config("20ms")).start();
    run.said("all is up");
    let reason = status_of(&run, "slow")["reason"].clone();
    assert!(reason.as_str().is_some_and(|reason| reason.starts_with("not done after ")), "{reason}");
    run.stops_with(0);
}

#[test]
fn globs_all_and_instances_choose_whom_to_show() {
    needs_namespaces!();
    let run = supervisor(
        "[service.web-a]\ncommand = \"sleep 1000\"\ninstances = 2\n[service.b]\ncommand = \"sleep 1001\"\n",
    );
    let names = |words: &[&str]| {
        let status = json(&ask(&run, &[&["status", "--json"], words].concat()).stdout);
        let name = |it: &serde_json::Value| match it["instance"].as_u64() {
            Some(number) => format!("{}:{number}", it["service"].as_str().unwrap()),
            None => it["service"].as_str().unwrap().to_owned(),
        };
        status["instances"].as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["web*"]), "web-a:0 web-a:1");
    assert_eq!(names(&["web-a:1"]), "web-a:1");
    assert_eq!(names(&["all"]), "web-a:0 web-a:1 b");
    assert_eq!(names(&["b", "web-a", "b"]), "web-a:0 web-a:1 b");
    run.stops_with(0);
}

#[test]
fn watching_in_a_pipe_prints_a_table_for_every_change() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (_client, mut lines) = follow(&run, &["status", "--watch", "app"]);
    lines.wait_for("app   running");
    ask(&run, &["restart", "app"]).good();
    let mut changed = String::new();
    while !changed.contains(" ready") || !changed.contains(" 1 ") {
        changed = lines.wait_for("app ");
    }
    run.stops_with(0);
    while lines.next().is_some() {}
}

#[test]
fn health_says_how_it_is_in_every_phase() {
    needs_namespaces!();
    let services = r#"
        [service.slow]
        command = ["sh", "-c", "trap 'read go <${DIR}/stop; exit 0' TERM; read go <${DIR}/start; touch ${DIR}/up; while :; do sleep 0.05; done"]
        ready = { file = "${DIR}/up" }
        [service.other]
        command = "sleep 1000"
        essential = false
    "#;
    let mut run = crate::asking::stage(services).gate("start").gate("stop").start();
    run.said("slow started");
    let booting = ask(&run, &["health"]);
    assert_eq!((booting.code, booting.stdout.as_str()), (1, "starting: slow is not ready\n"));
    run.open("start");
    run.said("all is up");
    assert_eq!(ask(&run, &["health"]).good(), "healthy: 1 essential service\n");
    assert_eq!(json(&ask(&run, &["health", "--json"]).good())["healthy"], true);
    // What is no essential service, and what was stopped on purpose, does not count.
    ask(&run, &["stop", "other"]).good();
    assert_eq!(ask(&run, &["health"]).code, 0);
    run.signal(libc::SIGTERM);
    run.said("stopping slow");
    let draining = ask(&run, &["health"]);
    assert_eq!(draining.code, 1);
    assert!(draining.stdout.contains("draining"), "{draining:?}");
    run.open("stop");
    run.ends_with(0);
}

#[test]
fn who_fails_its_check_makes_the_container_unhealthy() {
    needs_namespaces!();
    let services = r#"
        [service.web]
        command = "sleep 1000"
        health = { exec = ["test", "!", "-e", "${DIR}/ill"], interval = "20ms", failures = 1, action = "none" }
    "#;
    let run = supervisor(services);
    wait_until("a first check", || ask(&run, &["health"]).code == 0);
    run.write("ill", "");
    wait_until("a check that fails", || ask(&run, &["health"]).code == 1);
    assert_eq!(status_of(&run, "web")["healthy"], false);
    let said = ask(&run, &["health"]).stdout;
    assert!(said.starts_with("unhealthy: web"), "{said}");
    assert_eq!(said.lines().count(), 1);
    run.stops_with(0);
}

#[test]
fn events_tell_what_happens_to_people_and_to_programs() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (_people, mut text) = follow(&run, &["events"]);
    let (_program, mut documents) = follow(&run, &["events", "--json"]);
    // They follow when they say so.
    let first = text.next().unwrap();
    assert!(first.contains("following"), "{first}");
    assert_eq!(json(&documents.next().unwrap())["event"], "phase");
    ask(&run, &["stop", "web"]).good();
    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "stopped") {
        let event = json(&documents.next().expect("more events"));
        if event["service"] == "web" && event["event"] == "state" {
            states.push(event["to"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(states.first().unwrap(), "stopping");
    loop {
        let line = text.next().expect("an event about web");
        assert!(line.starts_with("20") && line.as_bytes()[23] == b'Z', "{line}");
        if line.contains("web stopped") {
            break;
        }
    }
    run.stops_with(0);
    while text.next().is_some() {}
}

#[test]
fn events_of_one_service_are_not_mixed_with_those_of_others() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (_client, mut lines) = follow(&run, &["events", "web"]);
    assert!(lines.next().unwrap().ends_with("following; the supervisor is up"));
    ask(&run, &["restart", "app", "web"]).good();
    ask(&run, &["stop", "web"]).good();
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| line.contains("web stopped")) || seen.len() < 4 {
        seen.push(lines.next().expect("more events"));
    }
    assert!(seen.iter().all(|line| line.contains(" web ") || line.ends_with(" web")), "{seen:#?}");
    assert!(ask(&run, &["events", "wbe"]).fails_with(1).contains("did you mean \"web\"?"));
    run.stops_with(0);
}

#[test]
fn a_follower_whose_reader_has_gone_ends() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (mut client, mut lines) = follow(&run, &["events"]);
    lines.next().unwrap();
    drop(lines);
    let ended = || client.0.try_wait().unwrap();
    let mut ended = ended;
    wait_until("its end", || ended().is_some());
    run.stops_with(0);
}

#[test]
fn what_a_service_says_of_itself_is_shown_to_whoever_waits_for_it() {
    needs_namespaces!();
    let services = r#"
        [service.loader]
        command = ["sh", "-c", """
            $ACTOR notify 'STATUS=initialising 3/7, 41 %'
            read go <${DIR}/go
            $ACTOR notify STATUS=
            read go <${DIR}/go
            $ACTOR notify 'READY=1\nSTATUS=serving'
            exec sleep 1000"""]
        ready = { notify = true }
        [service.app]
        command = "sleep 1001"
        requires = ["loader"]
    "#;
    let mut run = crate::asking::stage(services).gate("go").start();
    run.said("app waits for loader");
    wait_until("a status", || !status_of(&run, "loader")["said"].is_null());
    let (_follower, mut events) = follow(&run, &["events", "--json"]);
    events.next().unwrap();
    let health = ask(&run, &["health"]);
    let line = "starting: app waits for loader: initialising 3/7, 41 %";
    assert_eq!((health.code, health.stdout.trim_end()), (1, line));
    assert_eq!(json(&ask(&run, &["health", "--json"]).stdout)["message"], line);
    let shown = ask(&run, &["status"]).good();
    assert_eq!(shown.matches("initialising 3/7, 41 %").count(), 1, "{shown}");
    assert_eq!(status_of(&run, "loader")["said"], "initialising 3/7, 41 %");

    run.open("go");
    wait_until("nothing to say", || status_of(&run, "loader")["said"].is_null());
    assert_eq!(ask(&run, &["health"]).stdout, "starting: loader is not ready\n");
    run.open("go");
    run.said("all is up");
    wait_until("another status", || status_of(&run, "loader")["said"] == "serving");
    assert!(ask(&run, &["status"]).good().contains("serving"));
    let mut said = 0;
    while said < 2 {
        let event = json(&events.next().expect("more events"));
        said += usize::from(event["event"] == "said" && event["service"] == "loader");
    }
    ask(&run, &["stop", "loader"]).good();
    assert!(status_of(&run, "loader")["said"].is_null(), "it ended");
    run.stops_with(0);
    while events.next().is_some() {}
}

#[test]
fn a_check_that_fails_is_said_also_while_something_else_keeps_boot_from_ending() {
    needs_namespaces!();
    let mut run = stage(
        r#"
        [service.app]
        command = "sleep 1000"
        health = { exec = ["false"], interval = "20ms", failures = 1, action = "none" }

        [service.metrics]
        command = "sleep 1001"
        ready = { file = "${DIR}/never", timeout = "10m" }
        essential = false
        "#,
    )
    .start();
    run.said("metrics started");
    wait_until("health says so", || ask(&run, &["health"]).stdout == "unhealthy: app fails its check\n");
    run.stops_with(0);
}
