//! At the kernel's edge: whatever it refuses, PID 1 goes on and says what was refused.

use crate::needs_namespaces;
use crate::stage::{Place, kill, supervise};
use crate::support::container::Container;
use crate::support::seccomp::Filter;
use minisup::core::admission::EXECUTING_MAX;
use std::time::Duration;

pub fn what_cannot_be_executed_says_why_and_has_the_shells_exit_code(place: Place) {
    let rows = [
        ("command = '/nowhere/x'", 127, "cannot execute /nowhere/x: no such file or directory"),
        ("command = 'no-such-program'", 127, "cannot execute no-such-program: no such file or directory"),
        ("command = '${DIR}/plain'", 126, "/plain: permission denied"),
        ("command = '/etc'", 126, "cannot execute /etc: permission denied"),
        (
            "command = '${DIR}/other-machine'",
            126,
            "/other-machine: neither a program for this machine nor a script with #!",
        ),
        ("command = '${DIR}/interpreter'", 127, "/interpreter: its interpreter does not exist"),
        (
            "command = 'true'\ndirectory = '/nowhere'",
            126,
            "cannot change to directory /nowhere: no such file or directory",
        ),
    ];
    for (service, code, expected) in rows {
        let config = format!("[service.app]\n{service}\nmax_failures = 2\nbackoff.initial = '1ms'");
        let stage = supervise(place, &config)
            .file("plain", "#!/bin/sh\n")
            .file("other-machine", "\x7fELF\x01\x01\x01 of another machine")
            .file("interpreter", "#!/nowhere/sh\n");
        for name in ["other-machine", "interpreter"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(stage.folder().join(name), mode).unwrap();
        }
        let words = stage.start().ends_with(code);
        assert!(words.contains(expected), "{service}: {words}");
        assert!(words.contains("failure 1 of 2"), "{service}: {words}");
    }
}

#[test]
fn a_user_that_does_not_exist_is_told_before_anything_runs() {
    needs_namespaces!();
    let words =
        supervise(Place::Pid1, "[service.app]\ncommand = 'true'\nuser = 'www-dat'").start().ends_with(78);
    assert!(words.contains("supervise.toml:3:8"), "{words}");
    assert!(words.contains("did you mean \"www-data\"?"), "{words}");
}

#[test]
fn a_fork_that_is_refused_is_tried_again_until_it_succeeds() {
    needs_namespaces!();
    // This user may have three processes: minisup, one service, and not the second one.
    let config = r#"
        [service.one]
        command = ["sleep", "1001"]
        restart = "never"

        [service.two]
        command = ["sleep", "1002"]
        restart = "never"
        backoff = { initial = "10ms", max = "50ms" }

        [service.three]
        command = ["sleep", "1003"]
        backoff = { initial = "10ms", max = "50ms" }
    "#;
    let prelude = "exec setpriv --reuid 43210 --regid 43210 --clear-groups --inh-caps -all \
        prlimit --nproc=3";
    let mut run = supervise(Place::Pid1, config).after(prelude).start();
    run.said("one started");
    let refused = run.said("cannot launch");
    assert!(refused.contains("no process for sleep: the limit of processes is reached"), "{refused}");
    run.said("cannot launch");
    let one = run.process("sleep 1001");
    crate::support::wait_until("it ends well enough", || {
        // SAFETY: numbers only.
        unsafe { libc::kill(one.pid, libc::SIGTERM) };
        !run.processes().iter().any(|process| process.pid == one.pid)
    });
    run.ends_with(143);
}

#[test]
fn with_no_descriptor_left_services_wait_and_come_when_there_is_one() {
    needs_namespaces!();
    // 40 services need 80 descriptors and more; there are 64.
    let mut config = String::new();
    for n in 0..40 {
        config += &format!(
            "[service.s{n}]\ncommand = ['sleep', '{}']\nrestart = 'never'\nsuccess_codes = [0]\nessential = false\nbackoff = {{ initial = '10ms', max = '20ms' }}\n",
            3000 + n
        );
    }
    let mut run = supervise(Place::Pid1, &config).after("ulimit -n 64").start();
    let refused = run.said("cannot launch");
    assert!(refused.contains("too many open files") && refused.ends_with("trying again"), "{refused}");
    // Whoever runs makes room when it ends; and so all of them get their turn.
    let mut ended = 0;
    crate::support::wait_until("all have had their turn", || {
        for process in run.processes().iter().filter(|process| process.command.starts_with("sleep 3")) {
            kill(process.pid, libc::SIGTERM);
            ended += 1;
            run.is_gone(process);
        }
        ended == 40
    });
    run.ends_with(0);
}

#[test]
fn where_abstract_sockets_are_refused_the_temporary_directory_serves() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo at $NOTIFY_SOCKET; $ACTOR notify READY=1; exec sleep 1001"]
        ready = { notify = true }
    "#;
    let mut run = supervise(Place::Pid1, config)
        .after("export TMPDIR=$DIR")
        .with(|container| container.filter(Filter::when(libc::SYS_bind, 2, 2, libc::EPERM)))
        .start();
    let at = run.heard("at /");
    run.said("app is ready");
    let path = std::path::PathBuf::from(at.strip_prefix("at ").unwrap());
    assert!(path.exists() && path.starts_with(run.path("")), "{path:?}");
    let folder = run.path("");
    run.signal(libc::SIGTERM);
    let again = std::fs::read_dir(&folder).unwrap().count();
    assert!(again > 0);
    run.ends_with(0);
}

#[test]
fn a_full_disk_for_that_socket_is_said_and_tried_again() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "$ACTOR notify READY=1; exec sleep 1001"]
        ready = { notify = true }
        backoff = { initial = "10ms", max = "20ms" }
    "#;
    let mut run = supervise(Place::Pid1, config)
        .after("mkdir $DIR/small; mount -t tmpfs -o size=4k,nr_inodes=2 none $DIR/small; touch $DIR/small/x; export TMPDIR=$DIR/small; (read line < $DIR/go; rm $DIR/small/x) &")
        .gate("go")
        .with(|container| container.filter(Filter::when(libc::SYS_bind, 2, 2, libc::EPERM)))
        .start();
    let refused = run.said("cannot launch app");
    assert!(refused.contains("no space left on device"), "{refused}");
    run.said("cannot launch app");
    run.open("go");
    run.said("app is ready");
    run.stops_with(0);
}

#[test]
fn a_full_device_as_stdout_and_stderr_stops_nobody() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; echo line $i >&2; i=$((i+1)); done; touch ${DIR}/done; exec sleep 1001"]
    "#;
    let run = supervise(Place::Pid1, config).after("exec >/dev/full 2>&1").start();
    crate::support::wait_until("it has said all", || run.path("done").exists());
    run.process("sleep 1001");
    run.signal(libc::SIGTERM);
    run.ends_within(Duration::from_secs(5), 0);
}

#[test]
fn closed_standard_descriptors_stop_nobody() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo lost; touch ${DIR}/done; exec sleep 1001"]
    "#;
    let run = supervise(Place::Pid1, config).after("exec <&- >&- 2>&-").start();
    crate::support::wait_until("it runs", || run.path("done").exists());
    let app = run.process("sleep 1001");
    let open = std::fs::read_dir(format!("/proc/{}/fd", app.pid)).unwrap().count();
    assert_eq!(open, 3);
    run.stops_with(0);
}

/// A panic in the loop, and no stub for it: the library that waits for us panics when the kernel
/// refuses to wait. So epoll_wait(2) without a limit of time is refused: PID 1 asks for that
/// when everything is up and nothing is due.
pub fn with_a_fault(container: Container) -> Container {
    // Newer machines have only the call with a mask, whose other arguments are the same.
    #[cfg(target_arch = "x86_64")]
    const WAIT: i64 = libc::SYS_epoll_wait;
    #[cfg(not(target_arch = "x86_64"))]
    const WAIT: i64 = libc::SYS_epoll_pwait;
    container.filter(Filter::when(WAIT, 3, u32::MAX, libc::EBADF))
}

#[test]
fn a_fault_of_our_own_stops_everything_and_ends_with_70() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        shutdown_timeout = "1s"

        [service.good]
        command = ["sh", "-c", "trap 'echo last words; exit' TERM; echo up; while :; do sleep 0.02; done"]

        [service.deaf]
        command = ["sh", "-c", "trap '' TERM; (setsid sleep 2001 &); echo up; exec sleep 1001"]
    "#;
    let mut run = supervise(Place::Pid1, config).with(with_a_fault).start();
    run.heard("up");
    run.heard("up");
    run.heard("last words");
    let words = run.ends_with(70);
    assert!(words.contains("this is a fault of minisup itself: stopping everything"), "{words}");
}

/// What hangs on its way to its program: the directory is on a file system that does not answer.
const STUCK: &str = r#"
    command = ["sleep", "1001"]
    directory = "/"
    stop.grace_period = "200ms"
    essential = false
    max_failures = 1
"#;

fn is_in_chdir(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    text.split_whitespace().next() == Some(&libc::SYS_chdir.to_string())
}

#[test]
fn a_launch_that_hangs_holds_up_nobody_else_and_no_shutdown() {
    needs_namespaces!();
    for hurried in [false, true] {
        let grace = if hurried { "400s" } else { "200ms" };
        let config = format!(
            "[supervisor]\nshutdown_timeout = '500s'\n[service.stuck]\n{}\n[service.app]\ncommand = ['sleep', '1002']",
            STUCK.replace("200ms", grace)
        );
        let mut run = supervise(Place::Pid1, &config)
            .with(|container| container.filter(Filter::hanging(&[libc::SYS_chdir])))
            .start();
        run.said("app started");
        crate::support::wait_until("it hangs", || {
            run.processes().iter().any(|process| is_in_chdir(process.pid))
        });
        // In a second status says so.
        let mut status = String::new();
        crate::support::wait_until("status to say why", || {
            let socket = run.path("minisup.sock");
            let words = [crate::support::MINISUP, "--socket", socket.to_str().unwrap(), "status"];
            status = crate::support::container::container(&words).not_pid1().run().1;
            status.contains("perhaps a file system does not answer")
        });
        assert!(status.contains("stuck  launching"), "{status}");
        run.signal(libc::SIGTERM);
        let impatience = hurried.then(|| run.signals_again_and_again(libc::SIGTERM));
        // It knows nothing of TERM yet.
        run.ends_within(Duration::from_secs(5), 137);
        drop(impatience);
    }
}

/// As long as a launch may take, twice: more of them than may be under way at once, and one behind.
#[test]
#[ignore = "takes a minute: make soak"]
fn launches_that_hang_fail_in_time_and_make_room() {
    needs_namespaces!();
    // So that nobody waits for a line for longer than tests wait.
    let mut config =
        String::from("[service.tick]\ncommand = ['sh', '-c', 'while :; do echo tick >&2; sleep 10; done']\n");
    for n in 0..EXECUTING_MAX {
        config += &format!("[service.stuck-{n}]\nafter = ['tick:started']\n{STUCK}");
    }
    config += "[service.last]\nafter = ['tick:started']\ncommand = ['sleep', '1002']\n";
    let run = supervise(Place::Pid1, &config)
        .with(|container| container.filter(Filter::hanging(&[libc::SYS_chdir])));
    let mut run = run.start();
    run.said("tick started");
    let began = std::time::Instant::now();
    let why = run.said("stuck-0 failed");
    assert!(
        why.contains("cannot execute its program within 60 s: perhaps a file system does not answer"),
        "{why}"
    );
    // All of them, for one that a stop finds in the middle of its KILL makes it no good one.
    let (mut given_up, mut is_last_started) = (0, false);
    while given_up < EXECUTING_MAX || !is_last_started {
        let line = run.said("");
        given_up += u32::from(line.contains("stuck-") && line.ends_with(": given up"));
        is_last_started |= line.contains("last started");
    }
    assert!((58..70).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    run.stops_with(0);
}
