//! Processes that leave their service's process group and session: they belong to it all the
//! same.

use crate::needs_namespaces;
use crate::stage::kill;
use crate::stage::{Place, Stage, supervise};
use crate::support::wait_until;
use std::time::Duration;

/// A daemon as daemon(3) makes it: its parent has ended, its session is its own.
fn with_daemon(place: Place, daemon: &str) -> Stage {
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "(DAEMON &); echo made; exec sleep 1001"]
        stop.grace_period = "5s"
        min_uptime = "0s"
    "#;
    supervise(place, &config.replace("DAEMON", daemon))
}

pub fn a_daemon_that_left_its_session_is_ended_with_its_service(place: Place) {
    let mut run = with_daemon(place, "setsid sleep 2001").start();
    run.heard("made");
    let daemon = run.process("sleep 2001");
    assert_eq!(daemon.parent, run.pid(), "not an orphan: {daemon:?}");
    run.signal(libc::SIGTERM);
    run.said("ending the rest of its tree");
    run.ends_within(Duration::from_secs(5), 0);
}

pub fn a_daemon_that_cleared_its_environment_is_ended_too(place: Place) {
    let mut run = with_daemon(place, "env -i setsid sleep 2001").start();
    run.heard("made");
    run.process("sleep 2001");
    run.signal(libc::SIGTERM);
    run.ends_within(Duration::from_secs(5), 0);
}

pub fn what_is_left_of_a_service_is_ended_before_it_is_launched_again(place: Place) {
    let mut run = with_daemon(place, "setsid sleep 2001").start();
    run.heard("made");
    let (main, daemon) = (run.process("sleep 1001"), run.process("sleep 2001"));
    kill(main.pid, libc::SIGKILL);
    run.said("others of its tree live on: ending them first");
    run.said("tree started");
    assert!(run.processes().iter().all(|process| process.pid != daemon.pid), "{daemon:?}");
    run.heard("made");
    run.process("sleep 2001");
    run.stops_with(0);
}

#[test]
fn a_shell_that_waits_for_its_child_is_asked_together_with_it() {
    needs_namespaces!();
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "trap 'echo bye' TERM; echo made; sleep 2001; echo cleaned up"]
        stop = { to = "tree" }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("made");
    run.process("sleep 2001");
    run.signal(libc::SIGTERM);
    run.heard("bye");
    run.heard("cleaned up");
    run.ends_within(Duration::from_secs(5), 0);
}

#[test]
fn a_daemon_that_ignores_term_is_killed_after_the_grace_period() {
    needs_namespaces!();
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "(trap '' TERM; setsid sleep 2001 &); echo made; exec sleep 1001"]
        stop.grace_period = "200ms"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("made");
    run.process("sleep 2001");
    run.signal(libc::SIGTERM);
    run.ends_within(Duration::from_secs(5), 137);
}

#[test]
fn without_the_right_to_look_into_others_environments_daemons_are_ended_too() {
    needs_namespaces!();
    for daemon in ["setsid sleep 2001", "env -i setsid sleep 2001"] {
        let docker = "exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace";
        let mut run = with_daemon(Place::Pid1, daemon).after(docker).start();
        run.heard("made");
        let (main, daemon) = (run.process("sleep 1001"), run.process("sleep 2001"));
        kill(main.pid, libc::SIGKILL);
        run.said("launching it again");
        run.said("tree started");
        assert!(run.processes().iter().all(|process| process.pid != daemon.pid), "{daemon:?}");
        run.process("sleep 2001");
        run.stops_with(0);
    }
}

#[test]
fn a_daemon_of_another_user_is_ended_with_its_service() {
    needs_namespaces!();
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "(setsid sleep 2001 &); echo made; exec sleep 1001"]
        user = "12345"
        group = "12345"
        min_uptime = "0s"
    "#;
    for prelude in ["", "exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace"] {
        let mut run = supervise(Place::Pid1, config).after(prelude).start();
        run.heard("made");
        let (main, daemon) = (run.process("sleep 1001"), run.process("sleep 2001"));
        kill(main.pid, libc::SIGKILL);
        run.said("launching it again");
        run.said("tree started");
        assert!(run.processes().iter().all(|process| process.pid != daemon.pid), "{daemon:?}");
        run.stops_with(0);
    }
}

#[test]
fn a_service_that_puts_itself_in_the_background_leaves_nobody_behind() {
    needs_namespaces!();
    // It ends at once, and its daemon with it: too early, too often.
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "(setsid sleep 2001 &); exit 0"]
        max_failures = 3
        backoff.initial = "1ms"
    "#;
    let words = supervise(Place::Pid1, config).start().ends_with(1);
    assert!(words.contains("others of its tree live on"), "{words}");
}

#[test]
fn with_tree_off_what_left_is_ended_at_the_very_end_only() {
    needs_namespaces!();
    let config = r#"
        [service.tree]
        command = ["sh", "-c", "(setsid sleep 2001 &); echo made; exec sleep 1001"]
        stop.tree = false
        min_uptime = "0s"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.heard("made");
    let (main, daemon) = (run.process("sleep 1001"), run.process("sleep 2001"));
    kill(main.pid, libc::SIGKILL);
    run.heard("made");
    wait_until("two daemons", || {
        run.processes().iter().filter(|process| process.command == "sleep 2001").count() == 2
    });
    assert!(run.processes().iter().any(|process| process.pid == daemon.pid));
    run.stops_with(0);
}

/// Two services that are not ours to look into, each with a daemon.
const TWO: &str = r#"
    [defaults]
    user = "12345"
    group = "12345"
    min_uptime = "0s"

    [service.one]
    command = ["sh", "-c", "(env -i setsid sleep 2001 &); echo made; exec sleep 1001"]

    [service.two]
    command = ["sh", "-c", "(env -i setsid sleep 2002 &); echo made; exec sleep 1002"]
"#;

const AS_DOCKER: &str = "exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace";

#[test]
fn another_services_death_does_not_end_a_daemon() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, TWO).after(AS_DOCKER).start();
    run.heard("made");
    run.heard("made");
    let (one, two) = (run.process("sleep 2001"), run.process("sleep 2002"));
    kill(run.process("sleep 1002").pid, libc::SIGKILL);
    run.said("two ended (killed by KILL): launching it again");
    run.is_gone(&two);
    run.heard("made");
    run.process("sleep 2002");
    assert_eq!(run.process("sleep 2001").pid, one.pid);
    run.stops_with(0);
}

#[test]
fn daemons_of_services_that_died_at_once_are_ended_with_them() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, TWO).after(AS_DOCKER).start();
    run.heard("made");
    run.heard("made");
    let daemons = [run.process("sleep 2001"), run.process("sleep 2002")];
    let mains = [run.process("sleep 1001"), run.process("sleep 1002")];
    run.signal(libc::SIGSTOP);
    wait_until("it has stopped", || run.field("State").starts_with(['T', 't']));
    mains.iter().for_each(|main| kill(main.pid, libc::SIGKILL));
    run.signal(libc::SIGCONT);
    run.said("launching it again");
    run.said("launching it again");
    daemons.iter().for_each(|daemon| run.is_gone(daemon));
    run.heard("made");
    run.heard("made");
    run.stops_with(0);
}

/// `docker exec CONTAINER sh -c 'import &'`: its parent has ended, and it is our child.
#[test]
fn who_came_from_outside_is_not_ended_with_a_service() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.app]
        command = "sleep 1001"

        [service.other]
        command = "sleep 1002"
    "#;
    for environment in ["env -i", "env A=b"] {
        let mut run = supervise(Place::Pid1, config).start();
        run.said("all is up");
        let pid = run.pid().to_string();
        let script = format!("{environment} setsid sleep 2001 >&2 & exit 0");
        let came = ["--target", &pid, "--pid", "--mount", "sh", "-c", &script];
        assert!(std::process::Command::new("nsenter").args(came).status().unwrap().success());
        wait_until("its adoption", || {
            run.processes().iter().any(|it| it.command.starts_with("sleep 2001") && it.parent == run.pid())
        });
        let stranger = run.process("sleep 2001");
        assert!(run.ask(&["restart", "app"]).status.success());
        assert!(run.processes().iter().any(|it| it.pid == stranger.pid), "it was ended with app");
        run.stops_with(0);
    }
}
