//! What a single change does to a service.

use crate::needs_namespaces;
use crate::play::{has, lines_until, pids, place, up, update, updated};
use crate::support::wait_until;
use std::time::{Duration, Instant};

#[test]
fn a_command_that_changed_means_a_new_process_and_nobody_else_notices() {
    needs_namespaces!();
    let mut run = up("[service.a]\ncommand = 'sleep 1001'\n[service.b]\ncommand = 'sleep 1002'");
    let before = pids(&run);
    let lines = updated(&mut run, "[service.a]\ncommand = 'sleep 1001'\n[service.b]\ncommand = 'sleep 1003'");
    assert!(has(&lines, "update: b replaced (command), 1 unchanged"), "{lines:#?}");
    let after = pids(&run);
    assert_eq!(after.get("sleep 1001"), before.get("sleep 1001"));
    assert_eq!(after.keys().collect::<Vec<_>>(), ["sleep 1001", "sleep 1003"]);
    run.stops_with(0);
}

#[test]
fn a_grace_period_that_changed_holds_for_the_process_that_runs() {
    needs_namespaces!();
    let deaf = |grace: &str| {
        format!(
            "[service.deaf]\ncommand = ['sh', '-c', \"trap '' TERM; echo deaf; exec sleep 1001\"]\nstop.grace_period = '{grace}'"
        )
    };
    let mut run = up(&deaf("8s"));
    run.heard("deaf");
    let before = pids(&run);
    let lines = updated(&mut run, &deaf("100ms"));
    assert!(has(&lines, "update: deaf in place (stop.grace_period)"), "{lines:#?}");
    assert_eq!(pids(&run), before);
    let began = Instant::now();
    run.signal(libc::SIGTERM);
    run.said("deaf has not ended within its grace period: KILL");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    run.ends_with(137);
}

#[test]
fn a_backoff_that_changed_holds_for_the_next_failure() {
    needs_namespaces!();
    let app = |backoff: &str| {
        format!(
            "[service.app]\ncommand = 'sleep 1001'\nmin_uptime = '1h'\nmax_failures = 0\nbackoff = {{ initial = '{backoff}', max = '200s', jitter = 0 }}"
        )
    };
    let mut run = up(&app("1ms"));
    let before = pids(&run);
    updated(&mut run, &app("100s"));
    assert_eq!(pids(&run), before);
    crate::stage::kill(run.process("sleep 1001").pid, libc::SIGKILL);
    run.said("trying again in 100 s");
    run.stops_with(0);
}

#[test]
fn lines_look_as_the_new_configuration_says_and_new_signals_are_passed_on() {
    needs_namespaces!();
    let app =
        |prefix: bool| format!("[service.app]\ncommand = '${{HELPER}} catch 15'\nlog.prefix = {prefix}");
    let mut run = up(&app(false));
    assert_eq!(run.heard(""), "ready");
    let before = pids(&run);
    // RTMIN+5 would have done nothing to us, and nobody would have heard of it.
    let number = libc::SIGRTMIN() + 5;
    let lines = updated(&mut run, &format!("signals.'RTMIN+5' = 'app'\n{}", app(true)));
    assert!(has(&lines, "app in place (log.prefix)"), "{lines:#?}");
    assert_eq!(pids(&run), before);
    run.signal(number);
    assert_eq!(run.heard(""), format!("app | {number}"));
    run.stops_with(0);
}

#[test]
fn how_much_minisup_says_changes_in_place() {
    needs_namespaces!();
    let app = "[service.app]\ncommand = 'sleep 1001'";
    let mut run = up(app);
    let lines = updated(&mut run, &format!("supervisor.log_level = 'debug'\n{app}"));
    assert!(has(&lines, "update: supervisor.log_level, 1 unchanged"), "{lines:#?}");
    run.signal(libc::SIGUSR2);
    run.said("debug: got USR2");
    run.stops_with(0);
}

#[test]
fn what_only_a_new_start_can_apply_is_said() {
    needs_namespaces!();
    let app = "[service.app]\ncommand = 'sleep 1001'";
    let mut run = up(app);
    let before = pids(&run);
    run.write(
        "supervise.toml",
        &format!("[supervisor]\ncontrol_socket = '${{DIR}}/other'\nuser = '12345'\n{app}"),
    );
    run.signal(libc::SIGHUP);
    let lines = lines_until(&mut run, "update: done");
    for key in ["supervisor.control_socket", "supervisor.user"] {
        assert!(
            has(&lines, &format!("{key} has changed: only a new start of minisup applies it")),
            "{lines:#?}"
        );
    }
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn a_service_that_is_no_longer_enabled_stops_and_one_that_is_starts() {
    needs_namespaces!();
    let both = |a: bool, b: bool| {
        format!(
            "[service.a]\ncommand = 'sleep 1001'\nenabled = {a}\n[service.b]\ncommand = 'sleep 1002'\nenabled = {b}"
        )
    };
    let mut run = up(&both(true, false));
    updated(&mut run, &both(false, true));
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1002"]);
    updated(&mut run, &both(true, true));
    assert_eq!(pids(&run).len(), 2);
    run.stops_with(0);
}

#[test]
fn a_service_with_another_name_is_another_service() {
    needs_namespaces!();
    let mut run = up("[service.old]\ncommand = 'sleep 1001'\n[service.rest]\ncommand = 'sleep 1002'");
    let before = pids(&run);
    let lines =
        updated(&mut run, "[service.new]\ncommand = 'sleep 1001'\n[service.rest]\ncommand = 'sleep 1002'");
    assert!(has(&lines, "update: new added, old removed, 1 unchanged"), "{lines:#?}");
    let after = pids(&run);
    assert_ne!(after.get("sleep 1001"), before.get("sleep 1001"));
    assert_eq!(after.get("sleep 1002"), before.get("sleep 1002"));
    run.stops_with(0);
}

#[test]
fn more_and_fewer_instances() {
    needs_namespaces!();
    let app = |count: u32| {
        format!(
            "[service.app]\ncommand = ['sleep', '100${{instance}}']\ninstances = {count}\nlog.prefix = true"
        )
    };
    let mut run = up(&app(2));
    let before = pids(&run);
    updated(&mut run, &app(4));
    let more = pids(&run);
    assert_eq!(more.keys().collect::<Vec<_>>(), ["sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003"]);
    assert!(before.iter().all(|(words, pid)| more.get(words) == Some(pid)), "{before:?} {more:?}");
    updated(&mut run, &app(2));
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn a_variable_of_the_environment_that_changed_means_a_new_process() {
    needs_namespaces!();
    let app = |value: &str| {
        format!(
            "environment.WORD = '{value}'\n[service.app]\ncommand = ['sh', '-c', 'echo $WORD; exec sleep 1001']"
        )
    };
    let mut run = up(&app("one"));
    assert_eq!(run.heard(""), "one");
    updated(&mut run, &app("two"));
    assert_eq!(run.heard(""), "two");
    run.stops_with(0);
}

#[test]
fn an_update_that_changes_nothing_says_so() {
    needs_namespaces!();
    let app = "[service.app]\ncommand = 'sleep 1001'";
    let mut run = up(app);
    let before = pids(&run);
    update(&run, app);
    run.said("update: nothing has changed");
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn a_new_service_that_fails_is_told_with_the_reason() {
    needs_namespaces!();
    let app = "[service.app]\ncommand = 'sleep 1001'\n";
    let mut run = up(app);
    let before = pids(&run);
    let bad = "[service.bad]\ncommand = ['sh', '-c', 'echo it hurts; exit 3']\nmax_failures = 2\nbackoff.initial = '1ms'\nessential = false\nready = { notify = true }";
    update(&run, &format!("{app}{bad}"));
    let lines = lines_until(&mut run, "update: bad is");
    assert!(place(&lines, "given up after 2 failures") < lines.len(), "{lines:#?}");
    assert_eq!(pids(&run), before);
    // It can be mended.
    updated(&mut run, &format!("{app}[service.bad]\ncommand = 'sleep 1002'\nessential = false"));
    wait_until("it runs now", || pids(&run).contains_key("sleep 1002"));
    run.stops_with(0);
}

#[test]
fn an_included_file_and_one_with_variables_are_read_again_too() {
    needs_namespaces!();
    let config =
        "[service.app]\ncommand = ['sh', '-c', 'echo $WORD; exec sleep 1001']\nenvironment_files = ['words']";
    let mut run = crate::play::stage(config).file("words", "WORD=one\n").start();
    run.said("all is up");
    assert_eq!(run.heard(""), "one");
    run.write("words", "WORD=two\n");
    run.signal(libc::SIGHUP);
    run.said("update: app replaced (environment.WORD)");
    assert_eq!(run.heard(""), "two");
    run.said("update: done");
    run.write("more.toml", "[service.more]\ncommand = 'sleep 1002'");
    let text = std::fs::read_to_string(run.path("supervise.toml")).unwrap();
    run.write("supervise.toml", &format!("include = ['*more.toml']\n{text}"));
    run.signal(libc::SIGHUP);
    run.said("update: more added");
    run.process("sleep 1002");
    run.stops_with(0);
}
