//! Much at once.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};
use crate::support::wait_until;

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn orphans(place: Place, count: u32) {
    let config = r#"
        [service.maker]
        command = ["sh", "-c", "read line < ${DIR}/go; exec $HELPER orphans COUNT"]

        [service.other]
        command = ["sleep", "1001"]
    "#;
    let mut run = supervise(place, &config.replace("COUNT", &count.to_string())).gate("go").start();
    run.said("all is up");
    let before = descriptors(run.pid());
    run.open("go");
    run.heard("made");
    wait_until("only the two services are left", || run.processes().len() == 2);
    assert!(run.processes().iter().all(|process| process.state != 'Z'));
    assert_eq!(descriptors(run.pid()), before);
    run.stops_with(0);
}

pub fn orphans_leave_nothing_behind(place: Place) {
    orphans(place, 1000);
}

#[test]
fn ten_thousand_orphans_leave_nothing_behind() {
    needs_namespaces!();
    orphans(Place::Pid1, 10_000);
}

#[test]
fn a_storm_of_signals_does_no_harm() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, "[service.app]\ncommand = 'sleep 1001'").start();
    run.said("all is up");
    let app = run.process("sleep 1001");
    let before = descriptors(run.pid());
    // Its words about them are many more than a pipe holds: somebody has to listen.
    for _ in 0..10_000 {
        run.signal(libc::SIGUSR2);
        run.signal(libc::SIGCHLD);
    }
    run.said("got USR2");
    assert_eq!(run.process("sleep 1001").pid, app.pid);
    assert_eq!(descriptors(run.pid()), before);
    run.stops_with(0);
}

#[test]
fn ten_thousand_real_time_signals_are_all_passed_on_or_counted_by_the_kernel() {
    needs_namespaces!();
    let config = "[signals]\nUSR2 = 'app'\n[service.app]\ncommand = '${HELPER} catch 15'";
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("ready");
    run.said("all is up");
    for _ in 0..10_000 {
        run.signal(libc::SIGUSR2);
    }
    // They merge, as signals do; the last one is never lost.
    assert_eq!(run.heard(""), "12");
    run.stops_with(0);
}

#[test]
fn a_thousand_deaths_at_once_are_a_thousand_launches() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sleep", "1001"]
        instances = 200
        min_uptime = "0s"
        max_failures = 0
        backoff.initial = "0s"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("all is up");
    for _ in 0..5 {
        let all = run.processes();
        assert_eq!(all.len(), 200);
        all.iter().for_each(|process| crate::stage::kill(process.pid, libc::SIGKILL));
        // Not by their pids, which come round again.
        all.iter().for_each(|_| drop(run.said(" started (pid ")));
        wait_until("all are their program", || {
            run.processes().iter().filter(|process| process.command == "sleep 1001").count() == 200
        });
    }
    run.stops_with(0);
}

#[test]
fn a_storm_of_messages_keeps_nobody_from_anything_and_takes_no_room() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.app]
        command = ["sh", "-c", "for i in 1 2 3 4; do $ACTOR flood STATUS=busy & done; exec $ACTOR flood READY=1"]
        ready = { notify = true }

        [service.web]
        command = ["sh", "-c", "echo web; exec sleep 1002"]
        requires = ["app"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("web");
    run.said("all is up");
    for _ in 0..20 {
        let answer = run.ask(&["status"]);
        assert!(answer.status.success(), "{answer:?}");
    }
    let most = run.field("VmHWM");
    let most: u32 = most.split_whitespace().next().unwrap().parse().unwrap();
    assert!(most < 60_000, "{most} kB");
    run.stops_with(0);
}
