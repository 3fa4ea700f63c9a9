//! Launching against the real kernel: what a child finds, and what is told when it fails.
//!
//! Reaping, signals and trees are in `kernel_life.rs`.

mod support;

use minisup::core::exit::Outcome;
use minisup::core::ids::Pid;
use minisup::core::plan::{Credentials, LaunchExtra, Limit, Resource};
use minisup::core::signal::Signal;
use minisup::sys::launch::{Order, Session, Stage, Stdio, launch};
use minisup::sys::{fd, reap, signals};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use support::container::again;
use support::launching::{environment, failure, helped, output, sh, verdict, words};
use support::seccomp::{Filter, Hanging, NEWER};
use support::{helper, loudly, wait_until};

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        loudly("SKIPPED: only root may change who a child is");
    }
    root
}

/// A file of our own with this content and mode.
fn file(name: &str, content: &str, mode: u32) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn run_path(path: &Path) -> Order<'static> {
    Order { argv: words(&[path.to_str().unwrap()]), ..Order::default() }
}

// What works.

#[test]
fn a_program_found_in_path_runs_and_its_exit_code_is_seen() {
    let (text, outcome) = output(sh("echo hello; exit 7")).unwrap();
    assert_eq!((text.as_str(), outcome), ("hello\n", Outcome::Exited(7)));
}

#[test]
fn a_variable_of_the_launch_replaces_the_shared_one() {
    let mut more_env = words(&[]);
    more_env.push_variable("HOME", "/of/the/launch");
    let (text, _) = output(Order { more_env, ..sh("env | grep ^HOME=") }).unwrap();
    assert_eq!(text, "HOME=/of/the/launch\n");
}

#[test]
fn a_child_can_be_told_its_own_pid() {
    let (text, _) = output(Order { pid_variable: Some("LISTEN_PID"), ..sh("echo $LISTEN_PID $$") }).unwrap();
    let (told, own) = text.trim().split_once(' ').unwrap();
    assert_eq!(told, own);
}

#[test]
fn the_childs_signals_are_clean() {
    let (text, _) = output(sh("exec cat /proc/self/status")).unwrap();
    let field = |name| text.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap_or("").trim();
    let masks = ["SigBlk:", "SigIgn:", "SigCgt:"].map(field);
    assert_eq!(masks, ["0000000000000000"; 3], "{text}");
}

#[test]
fn a_child_leads_a_group_of_its_own_and_a_session_if_asked() {
    // Its pid, its group, its session.
    let ids = "cut -d' ' -f1,5,6 /proc/$$/stat";
    let same = |session| {
        let (text, _) = output(Order { session, ..sh(ids) }).unwrap();
        let numbers: Vec<&str> = text.split_whitespace().collect();
        [numbers[0] == numbers[1], numbers[0] == numbers[2]]
    };
    assert_eq!(same(Session::Inherit), [false, false]);
    assert_eq!(same(Session::Group), [true, false]);
    assert_eq!(same(Session::New), [true, true]);
    assert_eq!(Order::default().session, Session::Group);
}

#[test]
fn nothing_that_is_open_leaks_into_a_child() {
    if !again("nothing_that_is_open_leaks_into_a_child", |c| c) {
        return;
    }
    // As if we had been started with it: open, and not close-on-exec.
    let given = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
    // SAFETY: numbers only.
    unsafe { libc::fcntl(given, libc::F_SETFD, 0) };
    assert_eq!(output(helped(&["descriptors"])).unwrap().0, format!("0\n1\n2\n{given}\n"), "the control");
    fd::mark_inherited();
    assert_eq!(output(helped(&["descriptors"])).unwrap().0, "0\n1\n2\n");
}

#[test]
fn descriptors_are_placed_also_where_others_stand_in_the_way() {
    if !again("descriptors_are_placed_also_where_others_stand_in_the_way", |c| c) {
        return;
    }
    let full = |text: &str| {
        let (read, mut write) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut write, text.as_bytes()).unwrap();
        read.into_raw_fd()
    };
    let (one, two) = (full("one"), full("two"));
    // Each takes the other's number, and one is wanted at a third.
    let fds = [(one, two), (two, one), (one, 9), (two, 7)];
    let script = format!("cat /dev/fd/{one} /dev/fd/{two}; ls /dev/fd");
    let (text, _) = output(Order { fds: &fds, ..sh(&script) }).unwrap();
    assert!(text.starts_with("twoone"), "{text}");
    assert!(text.contains("\n7\n") || text.contains("7\n9\n"), "{text}");
}

#[test]
fn streams_may_change_places() {
    let (mut read, write) = std::io::pipe().unwrap();
    let order = Order { stdout: Stdio::Fd(2), stderr: Stdio::Fd(write.as_raw_fd()), ..sh("echo out >&2") };
    let mut launched = launch(order).unwrap();
    drop(write);
    verdict(&mut launched).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut read, &mut text).unwrap();
    assert_eq!(text, "out\n");
    reap::wait_for(launched.pid);
}

#[test]
fn a_child_without_input_reads_the_end_at_once() {
    let (text, _) = output(Order { stdin: Stdio::Null, ..sh("cat; echo end") }).unwrap();
    assert_eq!(text, "end\n");
}

#[test]
fn a_hundred_launches_are_on_their_way_at_once() {
    let mut launched: Vec<_> = (0..100).map(|_| launch(sh("exit 5")).unwrap()).collect();
    for one in &mut launched {
        verdict(one).unwrap();
        assert_eq!(reap::wait_for(one.pid).unwrap().outcome, Outcome::Exited(5));
    }
}

#[test]
fn a_verdict_that_nobody_waits_for_harms_nobody() {
    for _ in 0..100 {
        let launched = launch(sh("exit 6")).unwrap();
        drop(launched.verdict);
        assert_eq!(reap::wait_for(launched.pid).unwrap().outcome, Outcome::Exited(6));
    }
}

#[test]
fn launches_leave_no_descriptor_open_however_they_end() {
    if !again("launches_leave_no_descriptor_open_however_they_end", |c| c) {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    output(Order { stdin: Stdio::Null, ..sh("exit 0") }).unwrap();
    let before = open();
    for _ in 0..50 {
        output(sh("exit 0")).unwrap();
        failure(run_path(Path::new("/nowhere")));
    }
    assert_eq!(open(), before);
}

// Who the child is.

#[test]
fn what_few_services_set_is_set() {
    if !is_root() {
        return;
    }
    let limits = [
        Limit { resource: Resource::Nofile, soft: Some(333), hard: Some(444) },
        Limit { resource: Resource::Core, soft: Some(0), hard: None },
    ];
    let extra = LaunchExtra {
        credentials: Some(Credentials { uid: 1234, gid: 2345, groups: [7, 8, 9].into() }),
        directory: Some("/usr".into()),
        umask: Some(0o027),
        nice: Some(17),
        oom_score_adj: Some(321),
        limits: limits.into(),
        no_new_privileges: true,
        capabilities: None,
        satellite: false,
        exports: false,
    };
    let ours = std::fs::read("/proc/self/oom_score_adj").unwrap();
    let script =
        "pwd; cut -d' ' -f19 /proc/$$/stat; cat /proc/$$/oom_score_adj /proc/$$/status /proc/$$/limits";
    let (text, _) = output(Order { extra: Some(&extra), ..sh(script) }).unwrap();
    let mut lines = text.lines();
    assert_eq!([lines.next(), lines.next(), lines.next()], [Some("/usr"), Some("17"), Some("321")]);
    let squeezed: Vec<String> =
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "Uid: 1234 1234 1234 1234",
        "Gid: 2345 2345 2345 2345",
        "Groups: 7 8 9",
        "Umask: 0027",
        "NoNewPrivs: 1",
        "CapEff: 0000000000000000",
        "Max open files 333 444 files",
        "Max core file size 0 unlimited bytes",
    ] {
        assert!(squeezed.iter().any(|have| have == line), "{line:?} is not in {squeezed:#?}");
    }
    // It shared no memory with us, so nothing of it came back.
    assert_eq!(std::fs::read("/proc/self/oom_score_adj").unwrap(), ours);
}

#[test]
fn only_the_capabilities_named_are_left_and_another_user_has_them() {
    if !is_root() {
        return;
    }
    const NET_BIND_SERVICE: u8 = 10;
    let some = [Some(Credentials { uid: 1234, gid: 1234, groups: [].into() }), None];
    for credentials in some {
        let capabilities = Some([NET_BIND_SERVICE].into());
        let extra = LaunchExtra { credentials, capabilities, ..LaunchExtra::default() };
        let (text, _) =
            output(Order { extra: Some(&extra), ..sh("grep Cap /proc/$$/status | tr -d '\\t'") }).unwrap();
        let only = "0000000000000400";
        let expected: String =
            ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:{only}\n")).concat();
        assert_eq!(text, expected);
    }
}

#[test]
fn as_somebody_without_an_account_everything_that_needs_no_right_works() {
    if !again("as_somebody_without_an_account_everything_that_needs_no_right_works", |c| c.uid(4321)) {
        return;
    }
    let own = Credentials { uid: 4321, gid: 4321, groups: [].into() };
    let extra = LaunchExtra { credentials: Some(own), nice: Some(19), ..LaunchExtra::default() };
    let (text, _) = output(Order { extra: Some(&extra), ..sh("id -u") }).unwrap();
    assert_eq!(text, "4321\n");
    let other = LaunchExtra {
        credentials: Some(Credentials { uid: 0, gid: 0, groups: [].into() }),
        ..LaunchExtra::default()
    };
    let error = failure(Order { extra: Some(&other), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Groups, libc::EPERM));
    let bold = LaunchExtra { nice: Some(-20), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&bold), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Nice, libc::EACCES));
    assert_eq!(error.to_string(), "cannot set nice to -20: permission denied");
    let bare = LaunchExtra { capabilities: Some([].into()), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&bare), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Capabilities, libc::EPERM));
    let score = LaunchExtra { oom_score_adj: Some(-1000), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&score), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::OomScore, libc::EACCES));
}

// What fails.

#[test]
fn a_missing_program_is_told() {
    let error = failure(run_path(Path::new("/nowhere/nginx")));
    assert_eq!((error.stage, error.errno, error.exit_code()), (Stage::Exec, libc::ENOENT, 127));
    assert_eq!(error.to_string(), "cannot execute /nowhere/nginx: no such file or directory");
    let error = failure(Order { argv: words(&["no-such-program"]), env: environment(), ..Order::default() });
    assert_eq!((error.stage, error.errno, error.exit_code()), (Stage::Exec, libc::ENOENT, 127));
}

#[test]
fn a_file_that_is_no_program_is_told() {
    let error = failure(run_path(&file("plain", "text", 0o644)));
    assert_eq!((error.stage, error.errno, error.exit_code()), (Stage::Exec, libc::EACCES, 126));
    assert!(error.to_string().ends_with(": permission denied"), "{error}");
    let error = failure(run_path(&file("format", "neither ELF nor script", 0o755)));
    assert_eq!((error.stage, error.errno, error.exit_code()), (Stage::Exec, libc::ENOEXEC, 126));
    assert!(
        error.to_string().ends_with("neither a program for this machine nor a script with #!"),
        "{error}"
    );
    let error = failure(run_path(&file("script", "#!/nowhere/sh\n", 0o755)));
    assert_eq!((error.stage, error.exit_code()), (Stage::Interpreter, 127));
    assert!(error.to_string().ends_with("its interpreter does not exist"), "{error}");
    let error = failure(run_path(Path::new("/etc")));
    assert_eq!((error.stage, error.errno), (Stage::Exec, libc::EACCES));
}

#[test]
fn what_is_forbidden_in_path_is_remembered_and_the_search_goes_on() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("path-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["sh", "only-here"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let env = Rc::new(words(&[&format!("PATH=/nowhere:{}:/bin", folder.display())]));
    let argv = words(&["sh", "-c", "exit 3"]);
    let found = output(Order { argv, env: Rc::clone(&env), ..Order::default() }).unwrap();
    assert_eq!(found.1, Outcome::Exited(3));
    let error = failure(Order { argv: words(&["only-here"]), env, ..Order::default() });
    assert_eq!((error.stage, error.errno), (Stage::Exec, libc::EACCES));
}

#[test]
fn a_missing_directory_is_told() {
    let extra = LaunchExtra { directory: Some(PathBuf::from("/nowhere")), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&extra), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Directory, libc::ENOENT));
    assert_eq!(error.to_string(), "cannot change to directory /nowhere: no such file or directory");
}

#[test]
fn a_limit_that_cannot_be_is_told() {
    let upside_down = Limit { resource: Resource::Nofile, soft: Some(20), hard: Some(10) };
    let extra = LaunchExtra { limits: [upside_down].into(), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&extra), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Limits, libc::EINVAL));
    assert_eq!(error.to_string(), "cannot set the limit nofile: invalid argument");
}

#[test]
fn a_descriptor_that_is_not_open_is_told() {
    let error = failure(Order { stdin: Stdio::Fd(4000), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Stdio, libc::EBADF));
    assert_eq!(error.to_string(), "cannot connect stdin: bad file number");
    let error = failure(Order { fds: &[(4000, 3)], ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Descriptors, libc::EBADF));
}

#[test]
fn a_word_with_a_nul_is_told() {
    let error = failure(Order { argv: words(&["true", "a\0b"]), env: environment(), ..Order::default() });
    assert_eq!(error.stage, Stage::Arguments);
    let error = failure(Order::default());
    assert_eq!(error.stage, Stage::Arguments);
}

#[test]
fn without_a_free_descriptor_there_is_no_pipe_and_that_passes() {
    if !again("without_a_free_descriptor_there_is_no_pipe_and_that_passes", |c| c) {
        return;
    }
    let mut held = Vec::new();
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    nix::sys::resource::setrlimit(limit, 30, 30).unwrap();
    while let Ok(one) = std::fs::File::open("/dev/null") {
        held.push(one);
    }
    let error = failure(sh("exit 0"));
    assert_eq!((error.stage, error.errno, error.is_passing()), (Stage::Pipe, libc::EMFILE, true));
    assert_eq!(error.to_string(), "no pipe for sh: too many open files");
    drop(held);
    output(sh("exit 0")).unwrap();
}

#[test]
fn when_the_kernel_refuses_a_process_that_is_told_and_it_passes() {
    let name = "when_the_kernel_refuses_a_process_that_is_told_and_it_passes";
    // What a full process table or a pids cgroup answers.
    if !again(name, |c| c.filter(Filter::new(&[libc::SYS_clone], libc::EAGAIN))) {
        return;
    }
    let error = launch(sh("exit 0")).expect_err("no process");
    assert_eq!((error.stage, error.errno, error.is_passing()), (Stage::Fork, libc::EAGAIN, true));
    assert!(error.to_string().starts_with("no process for sh: "), "{error}");
}

// Execs that hang, as from a dead file system.

#[test]
fn an_exec_that_hangs_hangs_alone() {
    if !again("an_exec_that_hangs_hangs_alone", |c| c) {
        return;
    }
    let Some(hanging) = Hanging::new(&[libc::SYS_execve]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    let mut many: Vec<_> = (0..5).map(|_| launch(sh("exit 0")).unwrap()).collect();
    wait_until("all hang", || many.iter().all(|one| is_in_execve(one.pid)));
    assert!(many.iter_mut().all(|one| one.verdict.read().is_none()), "nothing is known yet");
    // It can be ended like any other.
    let mut ended = many.pop().unwrap();
    signals::kill(ended.pid, Signal::TERM).unwrap();
    assert_eq!(reap::wait_for(ended.pid).unwrap().outcome, Outcome::Killed(Signal::TERM));
    assert_eq!(verdict(&mut ended), Ok(()), "no failure to be told: it was killed");
    // What it stands on stays, also when nobody cares for its verdict any more.
    let forgotten = many.pop().unwrap();
    drop(forgotten.verdict);
    many.extend((0..20).map(|_| launch(sh("exit 0")).unwrap()));
    hanging.answer(many.len() + 1, libc::EIO);
    for one in &mut many {
        let error = verdict(one).expect_err("the exec has failed at last");
        assert_eq!((error.stage, error.errno), (Stage::Exec, libc::EIO));
        assert_eq!(reap::wait_for(one.pid).unwrap().outcome, Outcome::Exited(127));
    }
    assert_eq!(reap::wait_for(forgotten.pid).unwrap().outcome, Outcome::Exited(127));
}

#[test]
fn what_we_keep_for_long_is_not_even_copied_for_a_child() {
    if !again("what_we_keep_for_long_is_not_even_copied_for_a_child", |c| c) {
        return;
    }
    let few = fd::keep(fd::pipe().unwrap().0);
    assert!(few.as_raw_fd() < fd::KEPT, "it stays where it is");
    fd::mark_inherited();
    fd::make_room(1000);
    let kept: Vec<_> = (0..200).map(|_| fd::keep(fd::pipe().unwrap().0)).collect();
    assert!(kept.iter().all(|one| one.as_raw_fd() >= fd::KEPT));
    let (_read, write) = fd::pipe().unwrap();
    let Some(hanging) = Hanging::new(&[libc::SYS_execve]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    let mut all: Vec<_> = [vec![write], vec![]]
        .into_iter()
        .map(|lends| launch(Order { lends, ..run_path(Path::new("/bin/true")) }).unwrap())
        .collect();
    wait_until("both hang", || all.iter().all(|one| is_in_execve(one.pid)));
    let [parted, copied] = [&all[0], &all[1]].map(|one| table_size(one.pid));
    assert!(parted <= 256, "room for {parted} descriptors");
    assert!(copied > fd::KEPT as usize, "the control: room for {copied}");
    hanging.let_go(2);
    for one in &mut all {
        verdict(one).unwrap();
        assert_eq!(reap::wait_for(one.pid).unwrap().outcome, Outcome::Exited(0));
    }
}

/// For how many descriptors the kernel has made room (proc_pid_status(5)).
fn table_size(pid: Pid) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    size.trim().parse().unwrap()
}

#[test]
fn who_hangs_has_nothing_that_another_one_waits_for() {
    if !again("who_hangs_has_nothing_that_another_one_waits_for", |c| c) {
        return;
    }
    fd::mark_inherited();
    fd::make_room(1000);
    let Some(hanging) = Hanging::new(&[libc::SYS_execve]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    // By its path, so that each has one execve only.
    let sh = |script| Order { argv: words(&["/bin/sh", "-c", script]), ..Order::default() };
    let lend = |order: Order<'static>| {
        let (read, write) = std::io::pipe().unwrap();
        let stdout = Stdio::Fd(write.as_raw_fd());
        (read, launch(Order { stdout, lends: vec![write.into()], ..order }).unwrap())
    };
    // Their verdicts are not asked for: all that is lent to them, and their reports, are still open here.
    let mut early = [lend(sh("echo hello")), lend(run_path(Path::new("/nowhere")))];
    wait_until("they hang", || early.iter().all(|(_, one)| is_in_execve(one.pid)));
    // One that parts, one that copies, and one with a gap between what it is given.
    let (_read, ready) = fd::pipe().unwrap();
    let fds = [(ready.as_raw_fd(), 50)];
    let late = [
        lend(sh("exit 0")).1,
        launch(sh("exit 0")).unwrap(),
        launch(Order { fds: &fds, lends: vec![ready], ..sh("exit 0") }).unwrap(),
    ];
    wait_until("they hang", || late.iter().all(|one| is_in_execve(one.pid)));
    hanging.let_go(early.len());
    let [(read, one), (nothing, failing)] = &mut early;
    assert_eq!(verdict(one), Ok(()));
    let mut said = String::new();
    std::io::Read::read_to_string(read, &mut said).unwrap();
    assert_eq!(said, "hello\n");
    let error = verdict(failing).unwrap_err();
    assert_eq!((error.stage, error.errno), (Stage::Exec, libc::ENOENT));
    assert_eq!(std::io::Read::read(nothing, &mut [0]).unwrap(), 0, "and the end of what it wrote");
    assert!(late.iter().all(|one| is_in_execve(one.pid)), "they still hang");
    hanging.let_go(late.len());
    for one in early.iter().map(|(_, one)| one).chain(&late) {
        reap::wait_for(one.pid).unwrap();
    }
}

#[test]
fn what_is_lent_stays_until_the_child_has_it_or_is_gone() {
    if !again("what_is_lent_stays_until_the_child_has_it_or_is_gone", |c| c) {
        return;
    }
    fd::mark_inherited();
    fd::make_room(1000);
    assert!(fd::children_part());
    let Some(hanging) = Hanging::new(&[libc::SYS_close_range]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    let lend = |script| {
        let (read, write) = std::io::pipe().unwrap();
        let stdout = Stdio::Fd(write.as_raw_fd());
        let launched = launch(Order { stdout, lends: vec![write.into()], ..sh(script) }).unwrap();
        wait_until("it hangs", || is_in(launched.pid, libc::SYS_close_range));
        (read, launched)
    };
    let said = |read: std::io::PipeReader| std::io::read_to_string(read).unwrap();

    let (read, mut one) = lend("echo hello");
    assert!(one.verdict.read().is_none());
    // It parts, and closes what lies below and above its report.
    hanging.let_go(3);
    verdict(&mut one).unwrap();
    assert_eq!(said(read), "hello\n", "the end comes: nobody else has it");
    reap::wait_for(one.pid).unwrap();

    let (read, mut refused) = lend("echo hello");
    hanging.answer(1, libc::ENOMEM);
    let error = verdict(&mut refused).unwrap_err();
    assert_eq!((error.stage, error.errno), (Stage::Descriptors, libc::ENOMEM));
    assert_eq!(said(read), "");
    reap::wait_for(refused.pid).unwrap();

    let (read, mut killed) = lend("echo hello");
    signals::kill(killed.pid, Signal::KILL).unwrap();
    reap::wait_for(killed.pid).unwrap();
    assert!(killed.verdict.read().is_none(), "it has not said that it has them");
    assert_eq!(killed.verdict.of_dead(), Ok(()));
    assert_eq!(said(read), "");
}

#[test]
fn a_child_that_shares_our_memory_dumps_no_core_and_handles_no_signal_of_ours() {
    if !again("a_child_that_shares_our_memory_dumps_no_core_and_handles_no_signal_of_ours", |c| c) {
        return;
    }
    let mut caught = signals::Signals::catch([Signal::USR1]).unwrap();
    let Some(_hanging) = Hanging::new(&[libc::SYS_execve]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    let quit = Signal::QUIT;
    for (sent, outcome) in
        [(quit, Outcome::Killed(Signal::KILL)), (Signal::USR1, Outcome::Killed(Signal::USR1))]
    {
        let child = launch(sh("exit 0")).unwrap();
        wait_until("it hangs", || is_in_execve(child.pid));
        signals::kill(child.pid, sent).unwrap();
        assert_eq!(reap::wait_for(child.pid).unwrap().outcome, outcome, "{sent}");
    }
    assert_eq!(caught.pending().count(), 0, "a signal for the child came to us");
}

/// Whether the process is in execve(2).
fn is_in_execve(pid: Pid) -> bool {
    is_in(pid, libc::SYS_execve)
}

fn is_in(pid: Pid, call: i64) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    text.split(' ').next() == Some(&call.to_string())
}

// Where it must not matter.

/// Of everything above, what the newer system calls could have to do with.
fn usual_launches() {
    fd::mark_inherited();
    assert_eq!(output(sh("exit 7")).unwrap().1, Outcome::Exited(7));
    assert_eq!(output(helped(&["descriptors"])).unwrap().0, "0\n1\n2\n");
    assert_eq!(failure(run_path(Path::new("/nowhere"))).errno, libc::ENOENT);
    let extra = LaunchExtra { umask: Some(0o077), no_new_privileges: true, ..LaunchExtra::default() };
    assert_eq!(output(Order { extra: Some(&extra), ..sh("umask") }).unwrap().0, "0077\n");
}

#[test]
fn an_old_kernel_is_enough() {
    if again("an_old_kernel_is_enough", |c| c) {
        // Not around the test harness, which cannot make its threads there.
        Filter::new(&NEWER, libc::ENOSYS).apply().unwrap();
        usual_launches();
    }
}

#[test]
fn an_old_container_engine_is_enough() {
    if again("an_old_container_engine_is_enough", |c| c) {
        Filter::new(&NEWER, libc::EPERM).apply().unwrap();
        usual_launches();
    }
}

#[test]
fn where_no_process_may_share_our_memory_it_gets_a_copy() {
    if again("where_no_process_may_share_our_memory_it_gets_a_copy", |c| c) {
        Filter::without_shared_memory(libc::EINVAL).apply().unwrap();
        // SAFETY: refused by the filter.
        let refused =
            unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_VM | libc::CLONE_VFORK, 0, 0, 0, 0) };
        assert_eq!(refused, -1, "the control");
        usual_launches();
    }
}

#[test]
fn a_read_only_root_without_proc_is_enough() {
    if again("a_read_only_root_without_proc_is_enough", |c| c.read_only().without_proc()) {
        usual_launches();
        let extra = LaunchExtra { oom_score_adj: Some(5), ..LaunchExtra::default() };
        let error = failure(Order { extra: Some(&extra), ..sh("exit 0") });
        assert_eq!((error.stage, error.errno), (Stage::OomScore, libc::ENOENT));
    }
}

#[test]
fn a_million_possible_descriptors_cost_nothing() {
    if !again("a_million_possible_descriptors_cost_nothing", |c| c) {
        return;
    }
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let quickest = || {
        let once = |_| {
            let start = std::time::Instant::now();
            output(Order { argv: words(&[helper(), "exit", "0"]), ..Order::default() }).unwrap();
            start.elapsed()
        };
        (0..20).map(once).min().unwrap()
    };
    let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
    nix::sys::resource::setrlimit(limit, 256, hard).unwrap();
    let few = quickest();
    let many = hard.min(1 << 20);
    nix::sys::resource::setrlimit(limit, many, hard).unwrap();
    // To close a million numbers takes some hundred times as long as a launch.
    assert!(quickest() < 5 * few, "{few:?} with 256, {:?} with {many}", quickest());
}
