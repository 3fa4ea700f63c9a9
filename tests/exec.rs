//! `minisup exec` as the real PID 1, and under the names of other inits. What they too must
//! do is asked of them first, where they are installed.

mod support;

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use support::container::{Container, Running, container};
use support::{Lines, MINISUP, helper, loudly, wait_until};

/// `minisup exec FLAGS -- helper WORDS`.
fn exec(flags: &[&str], words: &[&str]) -> Container {
    container(&[&[MINISUP, "exec"], flags, &["--", helper()], words].concat())
}

const NEVER_PASSED: [i32; 10] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCHLD,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
];

fn passable() -> impl Iterator<Item = i32> {
    // 32 and 33 are glibc's own.
    (1..=64).filter(|n| !NEVER_PASSED.contains(n) && *n != 32 && *n != 33)
}

#[test]
fn every_exit_code_passes_through() {
    needs_namespaces!();
    for code in 0..=255 {
        assert_eq!(exec(&[], &["exit", &code.to_string()]).run().0, code);
    }
}

#[test]
fn every_deadly_signal_passes_through() {
    needs_namespaces!();
    let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    let deadly = (1..=64).filter(|n| !harmless.contains(n) && !stops.contains(n) && *n != 32 && *n != 33);
    for number in deadly {
        assert_eq!(exec(&[], &["die", &number.to_string()]).run().0, 128 + number, "signal {number}");
    }
}

#[test]
fn every_signal_that_can_be_passed_on_arrives() {
    needs_namespaces!();
    let mut running = exec(&[], &["catch"]).start();
    running.stdout.wait_for("ready");
    for number in passable() {
        running.signal(number);
        assert_eq!(running.stdout.next(), Some(number.to_string()));
    }
    running.signal(libc::SIGKILL);
}

#[test]
fn ten_thousand_orphans_leave_no_zombie() {
    needs_namespaces!();
    let mut running = exec(&[], &["orphans", "10000"]).start();
    running.stdout.wait_for("made");
    wait_until("only PID 1 and its command are left", || running.processes().len() == 2);
    assert_eq!(running.zombies(), 0);
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait(), 128 + libc::SIGTERM);
}

#[test]
fn without_an_init_the_orphans_are_zombies() {
    needs_namespaces!();
    // The control: the same command as PID 1 itself, which reaps nobody but its own.
    let mut running = container(&[helper(), "orphans", "100"]).start();
    running.stdout.wait_for("made");
    wait_until("all have ended", || running.zombies() == 100);
}

#[test]
fn a_missing_command_is_127_and_one_that_is_no_program_126() {
    needs_namespaces!();
    let (code, _, stderr) = container(&[MINISUP, "exec", "/nowhere/x"]).run();
    assert_eq!(code, 127);
    assert_eq!(stderr, "minisup exec: cannot execute /nowhere/x: no such file or directory");
    let (code, _, stderr) = container(&[MINISUP, "exec", "/etc/passwd"]).run();
    assert_eq!((code, stderr.as_str()), (126, "minisup exec: cannot execute /etc/passwd: permission denied"));
}

#[test]
fn a_signal_is_for_the_command_alone_or_with_g_for_its_group() {
    needs_namespaces!();
    let mut alone = exec(&[], &["group"]).start();
    alone.stdout.wait_for("ready");
    alone.stdout.wait_for("ready");
    alone.signal(libc::SIGTERM);
    assert_eq!(alone.stdout.rest(), "15");
    let mut both = exec(&["-g"], &["group"]).start();
    both.stdout.wait_for("ready");
    both.stdout.wait_for("ready");
    both.signal(libc::SIGUSR1);
    let mut seen = [both.stdout.next().unwrap(), both.stdout.next().unwrap()];
    seen.sort();
    assert_eq!(seen, ["10", "1010"]);
}

#[test]
fn an_exit_code_can_be_called_a_success() {
    needs_namespaces!();
    assert_eq!(exec(&["-e", "143", "-e", "3"], &["exit", "3"]).run().0, 0);
    assert_eq!(exec(&["-e", "143", "-e", "3"], &["die", "15"]).run().0, 0);
    assert_eq!(exec(&["-e", "3"], &["exit", "4"]).run().0, 4);
}

#[test]
fn signals_can_be_rewritten_and_swallowed() {
    needs_namespaces!();
    let mut running = exec(&["-r", "TERM:QUIT", "-r", "HUP:0"], &["catch"]).start();
    running.stdout.wait_for("ready");
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGTERM);
    assert_eq!(running.stdout.next().as_deref(), Some("3"));
}

#[test]
fn what_the_command_finds_is_what_we_were_given() {
    needs_namespaces!();
    let status = [MINISUP, "exec", "--", "cat", "/proc/self/status"];
    let (_, text, _) = container(&status).run();
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    let (_, seen, _) = exec(&[], &["descriptors"]).run();
    assert_eq!(seen, "0\n1\n2");
}

/// `minisup exec FLAGS` with our usual parents, around a shell that leaves an orphan.
fn with_orphan(flags: &[&str], stdin: &impl AsRawFd) -> Running {
    let script = format!("{} orphan; read line", helper());
    let command = [&[MINISUP, "exec"], flags, &["--", "sh", "-c", &script]].concat();
    container(&command).not_pid1().stdin(stdin.as_raw_fd()).start()
}

#[test]
fn not_as_pid_1_orphans_are_adopted_with_s() {
    let (input, _open) = std::io::pipe().unwrap();
    let mut adopted = with_orphan(&["-s"], &input);
    assert_eq!(adopted.stdout.next(), Some(format!("adopted {}", adopted.pid())));
}

#[test]
fn not_as_pid_1_orphans_are_not_adopted_without_s_and_one_line_says_so() {
    let (input, _open) = std::io::pipe().unwrap();
    let mut left = with_orphan(&[], &input);
    assert_ne!(left.stdout.next(), Some(format!("adopted {}", left.pid())));
    let line = left.stderr.next().unwrap();
    assert!(line.contains("not PID 1: orphans go to another process"), "{line}");
}

#[test]
fn when_our_parent_ends_the_signal_of_p_comes_and_is_passed_on() {
    let script = format!("{MINISUP} exec -p TERM -- sh -c 'echo ready; exec sleep 3600' & read line");
    let (input, end) = std::io::pipe().unwrap();
    let mut parent = container(&["/bin/sh", "-c", &script]).not_pid1().stdin(input.as_raw_fd()).start();
    parent.stdout.wait_for("ready");
    drop(end);
    // All who could write are gone.
    assert_eq!(parent.stdout.next(), None);
}

/// A new terminal: (our side, the side of the container).
fn terminal() -> (OwnedFd, OwnedFd) {
    let pty = nix::pty::openpty(None, None).unwrap();
    for fd in [&pty.master, &pty.slave] {
        let close = nix::fcntl::FdFlag::FD_CLOEXEC;
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(close)).unwrap();
    }
    // What is typed is not to be mixed with what is said.
    let mut settings = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    settings.local_flags.remove(nix::sys::termios::LocalFlags::ECHO);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &settings).unwrap();
    (pty.master, pty.slave)
}

fn keyboard(master: &OwnedFd) -> std::fs::File {
    master.try_clone().unwrap().into()
}

#[test]
fn the_command_has_the_terminal_and_control_c_comes_once() {
    needs_namespaces!();
    let (master, slave) = terminal();
    let mut keys = keyboard(&master);
    let running = exec(&[], &["terminal"]).terminal(slave).start();
    let mut screen = Lines::new(master);
    assert_eq!(screen.next().as_deref(), Some("foreground 1"));
    screen.wait_for("ready");
    keys.write_all(b"\x03").unwrap();
    screen.wait_for("2");
    running.signal(libc::SIGUSR1);
    assert_eq!(screen.next().as_deref(), Some("10"), "control-C came twice");
}

#[test]
fn under_a_shell_control_z_stops_us_too_and_fg_goes_on() {
    let (master, slave) = terminal();
    let mut keys = keyboard(&master);
    let shell =
        [helper(), "shell", MINISUP, "exec", "-s", "--", "sh", "-c", "echo begun; read line; echo got $line"];
    let mut running = container(&shell).not_pid1().terminal(slave).start();
    let mut screen = Lines::new(master);
    screen.wait_for("begun");
    keys.write_all(b"\x1a").unwrap();
    screen.wait_for("stopped");
    keys.write_all(b"hello\n").unwrap();
    screen.wait_for("got hello");
    screen.wait_for("ended 0");
    assert_eq!(running.wait(), 0);
}

/// What is common to the inits whose names we take: flags and command, and the exit code.
struct Case {
    name: &'static str,
    flags: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    script: &'static str,
    code: i32,
}

const fn case(name: &'static str, flags: &'static [&'static str], script: &'static str, code: i32) -> Case {
    Case { name, flags, environment: &[], script, code }
}

const CASES: [Case; 29] = [
    case("tini", &["--"], "exit 7", 7),
    case("tini", &["--"], "kill -TERM $$", 143),
    case("tini", &["-e", "143", "--"], "kill -TERM $$", 0),
    case("tini", &["-e143", "-e", "3", "--"], "exit 3", 0),
    case("tini", &["-vvgs", "--"], "exit 4", 4),
    case("tini", &["-w", "-p", "SIGKILL", "--"], "exit 5", 5),
    case("tini", &["-e", "256"], "exit 0", 1),
    case("tini", &["-p", "SIGNONE"], "exit 0", 1),
    case("tini", &["-z"], "exit 0", 1),
    case("tini", &["--version"], "", 0),
    // Its group gets the signal, so the shell's child gets it too and the shell goes on.
    case("tini", &["-g", "--"], "trap 'exit 9' TERM; sleep 60 & kill -TERM 1; wait", 9),
    case("tini", &["--"], "kill -TERM 1; sleep 60", 143),
    case("dumb-init", &[], "exit 7", 7),
    case("dumb-init", &["-c"], "kill -TERM $$", 143),
    case("dumb-init", &["--single-child", "--"], "exit 3", 3),
    case("dumb-init", &["-r", "15:3", "--rewrite", "1:0"], "trap 'exit 9' QUIT; kill -TERM 1; sleep 1", 9),
    case("dumb-init", &["--rewrite=1:0"], "kill -HUP 1; exit 4", 4),
    case("dumb-init", &["-r", "15"], "exit 0", 1),
    case("dumb-init", &["-r", "99:1"], "exit 0", 1),
    case("dumb-init", &["-z"], "exit 0", 1),
    // A session of its own, or not.
    case("dumb-init", &[], "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]", 0),
    case("dumb-init", &["-c"], "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]", 1),
    Case {
        environment: &[("DUMB_INIT_SETSID", "0")],
        ..case("dumb-init", &[], "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]", 1)
    },
    Case {
        environment: &[("TINI_KILL_PROCESS_GROUP", "1")],
        ..case("tini", &["--"], "trap 'exit 9' TERM; sleep 60 & kill -TERM 1; wait", 9)
    },
    case("catatonit", &["--"], "exit 7", 7),
    case("catatonit", &["-g", "--"], "trap 'exit 9' TERM; sleep 60 & kill -TERM 1; wait", 9),
    case("catatonit", &["--"], "kill -TERM $$", 143),
    case("catatonit", &["--help"], "exit 0", 1),
    case("catatonit", &["-z"], "exit 0", 1),
];

/// A link to minisup with this name.
fn link(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join(name);
    let _ = symlink(MINISUP, &link);
    link
}

fn original(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    if !path.exists() {
        loudly(&format!("SKIPPED: {name} is not installed; only minisup is asked"));
    }
    path.exists().then_some(path)
}

fn ask(program: &Path, case: &Case) -> (i32, String, String) {
    let mut command = vec![program.to_str().unwrap()];
    command.extend(case.flags);
    if !case.script.is_empty() {
        command.extend(["sh", "-c", case.script]);
    }
    let with = |asked: Container, (name, value): &(&str, &str)| asked.env(name, value);
    case.environment.iter().fold(container(&command), with).run()
}

#[test]
fn under_another_inits_name_we_do_as_it_does() {
    needs_namespaces!();
    for case in &CASES {
        let ours = link(case.name);
        for program in original(case.name).iter().chain([&ours]) {
            let (code, _, stderr) = ask(program, case);
            let script = case.script;
            assert_eq!(code, case.code, "{program:?} {:?} {script:?}: {stderr}", case.flags);
        }
    }
}

#[test]
fn what_cannot_be_executed_has_the_exit_code_of_the_name() {
    needs_namespaces!();
    for (name, command, code) in [
        ("tini", "/nowhere", 127),
        ("tini", "/etc/passwd", 126),
        ("dumb-init", "/nowhere", 2),
        ("dumb-init", "/etc/passwd", 2),
        ("catatonit", "/nowhere", 1),
    ] {
        for program in original(name).iter().chain([&link(name)]) {
            let (got, _, stderr) = container(&[program.to_str().unwrap(), command]).run();
            assert_eq!(got, code, "{program:?} {command}: {stderr}");
        }
    }
}

#[test]
fn each_signal_goes_where_the_name_sends_it() {
    needs_namespaces!();
    for name in ["tini", "dumb-init", "catatonit"] {
        let not_passed: &[i32] = match name {
            "tini" => &[libc::SIGTTIN, libc::SIGTTOU],
            _ => &[libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU],
        };
        for program in original(name).iter().chain([&link(name)]) {
            let mut running = container(&[program.to_str().unwrap(), helper(), "catch"]).start();
            running.stdout.wait_for("ready");
            for number in passable().filter(|n| !not_passed.contains(n)) {
                running.signal(number);
                assert_eq!(running.stdout.next(), Some(number.to_string()), "{program:?}");
            }
        }
    }
}

#[test]
fn on_a_terminal_dumb_inits_command_leads_the_session() {
    needs_namespaces!();
    for program in original("dumb-init").iter().chain([&link("dumb-init")]) {
        let (master, slave) = terminal();
        let _running = container(&[program.to_str().unwrap(), helper(), "terminal"]).terminal(slave).start();
        let mut screen = Lines::new(master);
        assert_eq!(screen.next().as_deref(), Some("foreground 1"), "{program:?}");
        assert_eq!(screen.next().as_deref(), Some("session 1"), "{program:?}");
        screen.wait_for("ready");
        keyboard(&screen.owner()).write_all(b"\x03").unwrap();
        screen.wait_for("2");
    }
}

#[test]
fn on_an_old_kernel_or_under_an_old_engine_nothing_is_missing() {
    needs_namespaces!();
    for errno in [libc::ENOSYS, libc::EPERM] {
        assert_eq!(exec(&[], &["exit", "7"]).refusing(errno).run().0, 7);
        assert_eq!(exec(&["-g"], &["die", "9"]).refusing(errno).run().0, 137);
        assert_eq!(container(&[MINISUP, "exec", "/nowhere"]).refusing(errno).run().0, 127);
        let mut running = exec(&[], &["orphans", "100"]).refusing(errno).start();
        running.stdout.wait_for("made");
        wait_until("all orphans are reaped", || running.processes().len() == 2);
        running.signal(libc::SIGTERM);
        assert_eq!(running.wait(), 143);
    }
}

#[test]
fn as_anybody_on_a_read_only_root_without_proc_nothing_is_missing() {
    needs_namespaces!();
    let odd = |words: &[&str]| {
        container(&[&[MINISUP, "exec", "--"], words].concat()).uid(1000).read_only().without_proc()
    };
    assert_eq!(odd(&["sh", "-c", "exit 9"]).run().0, 9);
    assert_eq!(odd(&["sh", "-c", "kill -TERM $$"]).run().0, 143);
    assert_eq!(odd(&["/nowhere"]).run().0, 127);
}
