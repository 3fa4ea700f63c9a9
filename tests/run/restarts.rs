//! Coming back: at once after a good life, ever later after failures, and at last not at all.

use crate::needs_namespaces;
use crate::stage::{Place, Run, kill, supervise};
use crate::support::wait_until;
use std::time::Duration;

pub fn who_is_killed_is_launched_again(place: Place) {
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        min_uptime = "0s"
    "#;
    let mut run = supervise(place, config).start();
    for signal in [libc::SIGKILL, libc::SIGSEGV, libc::SIGTERM] {
        run.said("app started");
        let process = run.process("sleep 1001");
        kill(process.pid, signal);
        run.is_gone(&process);
    }
    run.said("app started");
    run.process("sleep 1001");
    run.stops_with(0);
}

pub fn failures_in_a_row_are_waited_for_ever_longer_and_then_are_fatal(place: Place) {
    let config = r#"
        [service.app]
        command = ["sh", "-c", "date +%s%N; kill -9 $$"]
        max_failures = 5
        backoff = { initial = "100ms", max = "350ms", factor = 2, jitter = 0 }

        [service.other]
        command = ["sleep", "1001"]
    "#;
    let mut run = supervise(place, config).start();
    let launches: Vec<u64> = (0..5).map(|_| run.heard("").parse().unwrap()).collect();
    let words = run.ends_with(137);
    let waits: Vec<_> = launches.windows(2).map(|pair| Duration::from_nanos(pair[1] - pair[0])).collect();
    for (wait, least) in waits.iter().zip([100, 200, 350, 350].map(Duration::from_millis)) {
        // From date to date: what a launch takes varies, the wait itself does not.
        assert!(*wait + Duration::from_millis(20) > least, "{waits:?}, {words}");
        assert!(*wait < least + Duration::from_millis(900), "{waits:?}, {words}");
    }
    for nth in 1..=4 {
        assert!(words.contains(&format!("(failure {nth} of 5)")), "{nth}: {words}");
    }
    assert!(words.contains("given up after 5 failures in a row"), "{words}");
}

/// For how many seconds it has run.
fn uptime(run: &Run) -> f64 {
    let status: serde_json::Value =
        serde_json::from_slice(&run.ask(&["status", "app", "--json"]).stdout).unwrap();
    status["instances"][0]["uptime"].as_f64().unwrap()
}

#[test]
fn a_good_life_makes_up_for_failures() {
    needs_namespaces!();
    // It fails twice, lives, and so on: never three times in a row.
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.app]
        command = ["sh", "-c", '''
            read count < ${DIR}/count; echo $((count + 1)) > ${DIR}/count; echo launch $count
            case $count in 2|5) read line < ${DIR}/go;; esac
            exit 3''']
        min_uptime = "100ms"
        max_failures = 3
        backoff.initial = "1ms"
    "#;
    let mut run = supervise(Place::Pid1, config).file("count", "0\n").gate("go").start();
    for last in ["launch 2", "launch 5"] {
        run.heard(last);
        wait_until("minisup says that it has lived as long as it must", || uptime(&run) > 0.1);
        run.open("go");
    }
    let words = run.ends_with(3);
    assert_eq!(words.matches("launching it again").count(), 2, "{words}");
    assert_eq!(words.matches("failure 2 of 3").count(), 3, "{words}");
}

#[test]
fn without_a_limit_it_is_tried_for_ever() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo launch; exit 1"]
        max_failures = 0
        backoff.initial = "0s"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    (0..200).for_each(|_| drop(run.heard("launch")));
    run.stops_with(0);
}

#[test]
fn on_failure_means_that_a_success_is_the_end() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "test -e ${DIR}/once && exit 0; touch ${DIR}/once; exit 1"]
        restart = "on-failure"
        backoff.initial = "1ms"
    "#;
    let words = supervise(Place::Pid1, config).start().ends_with(0);
    assert!(words.contains("app ended (exit code 0)"), "{words}");
}
