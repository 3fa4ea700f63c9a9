//! How services that resist are brought to their end, and that nothing takes longer than it may.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};
use std::time::Duration;

/// What a busy machine may add to a time that the configuration gives.
const SLACK: Duration = Duration::from_secs(5);

pub fn who_ignores_term_is_killed_after_its_grace_period(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [service.deaf]
        command = ["sh", "-c", "trap '' TERM; echo deaf; exec sleep 1001"]
        stop.grace_period = "200ms"
        "#,
    )
    .start();
    run.heard("deaf");
    run.signal(libc::SIGTERM);
    run.said("deaf has not ended within its grace period: KILL");
    run.ends_within(SLACK, 137);
}

pub fn who_has_stopped_itself_is_woken_to_end(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [service.asleep]
        command = ["sh", "-c", "trap 'echo ending; exit 0' TERM; echo now; kill -STOP $$; sleep 1001 & wait"]
        "#,
    )
    .start();
    run.heard("now");
    let script = run.process("sh -c trap");
    crate::support::wait_until("it has stopped", || {
        run.processes().iter().any(|p| p.pid == script.pid && p.state == 'T')
    });
    run.signal(libc::SIGTERM);
    run.heard("ending");
    run.ends_within(SLACK, 0);
}

pub fn a_second_term_skips_the_grace_periods(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [supervisor]
        shutdown_timeout = "500s"

        [service.slow]
        command = ["sh", "-c", "trap 'echo asked' TERM; echo begun; while :; do sleep 1001 & wait $!; done"]
        stop.grace_period = "400s"
        "#,
    )
    .start();
    run.heard("begun");
    run.signal(libc::SIGTERM);
    run.heard("asked");
    let impatience = run.signals_again_and_again(libc::SIGTERM);
    run.said("slow gets no more time to end: KILL");
    drop(impatience);
    run.ends_within(SLACK, 137);
}

pub fn a_stop_sequence_is_gone_through(place: Place) {
    let mut run = supervise(
        place,
        r#"
        [service.choosy]
        command = "${HELPER} catch 2"
        stop = { signal = ["QUIT", "100ms", "INT", "60s"], delay = "50ms" }
        "#,
    )
    .start();
    run.heard("ready");
    run.signal(libc::SIGTERM);
    assert_eq!(run.heard(""), libc::SIGQUIT.to_string());
    // And INT ends it.
    let words = run.ends_within(SLACK, 0);
    assert!(words.contains("choosy stopped (killed by INT)"), "{words}");
}

#[test]
fn the_shutdown_timeout_ends_what_has_longer_grace_periods() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [supervisor]
        shutdown_timeout = "300ms"

        [service.a]
        command = ["sh", "-c", "trap '' TERM; echo deaf; exec sleep 1001"]
        stop.grace_period = "400s"

        [service.b]
        command = ["sh", "-c", "trap '' TERM; echo deaf; exec sleep 1002"]
        requires = ["a"]
        stop.grace_period = "400s"
        "#,
    )
    .start();
    run.heard("deaf");
    run.heard("deaf");
    run.signal(libc::SIGTERM);
    run.ends_within(SLACK, 137);
}

#[test]
fn who_closes_its_stdout_is_supervised_as_ever() {
    needs_namespaces!();
    let mut run = supervise(
        Place::Pid1,
        r#"
        [service.mute]
        command = ["sh", "-c", "exec >&- 2>&-; read line < ${DIR}/go; exit 5"]
        restart = "on-failure"
        max_failures = 2
        backoff.initial = "1ms"
        "#,
    )
    .gate("go")
    .start();
    run.said("all is up");
    run.open("go");
    run.said("failure 1 of 2");
    run.open("go");
    run.ends_with(5);
}

/// Two services: one that fills stdout, which nobody reads, and one that is killed.
const FLOOD: &str = r#"
    [service.flood]
    command = ["sh", "-c", "while :; do echo all work and no play makes jack a dull boy; done"]
    stop.grace_period = "1s"

    [service.other]
    command = ["sleep", "1001"]
    min_uptime = "0s"
"#;

#[test]
fn with_nobody_reading_stdout_deaths_are_still_reaped_and_term_answered() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, FLOOD).start();
    run.said("all is up");
    let flood = run.process("sh -c while");
    // It sleeps when its pipe is full, and that is when nobody takes anything from ours.
    crate::support::wait_until("the flood is held up", || is_blocked_in_write(flood.pid));
    let other = run.process("sleep 1001");
    crate::stage::kill(other.pid, libc::SIGKILL);
    run.is_gone(&other);
    run.said("other started");
    run.process("sleep 1001");
    run.signal(libc::SIGTERM);
    run.ends_within(SLACK, 0);
}

#[test]
fn with_nobody_reading_stdout_and_stderr_it_ends_in_time_too() {
    needs_namespaces!();
    let both = FLOOD.replace("; done", "; echo no play >&2; done");
    let run = supervise(Place::Pid1, &both).start();
    let flood = run.process("sh -c while");
    crate::support::wait_until("the flood is held up", || is_blocked_in_write(flood.pid));
    let other = run.process("sleep 1001");
    crate::stage::kill(other.pid, libc::SIGKILL);
    run.is_gone(&other);
    run.process("sleep 1001");
    let began = std::time::Instant::now();
    run.signal(libc::SIGTERM);
    run.ends_unread_with(0);
    assert!(began.elapsed() < SLACK, "it took {:?}", began.elapsed());
}

fn is_blocked_in_write(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    text.split_whitespace().next() == Some(&libc::SYS_write.to_string())
}
