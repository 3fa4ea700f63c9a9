//! Launching against the real kernel: what a child finds, and what is told when it fails.
//!
//! Launches that hang are in `kernel_hanging.rs`; reaping, signals and trees in `kernel_life.rs`.

mod support;

use minisup::core::exit::Outcome;
use minisup::core::plan::{Credentials, LaunchExtra, Limit, Resource};
use minisup::sys::launch::{Order, Session, Stage, Stdio, launch};
use minisup::sys::{fd, reap};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use support::container::again;
use support::launching::{environment, failure, helped, output, sh, verdict, words};
use support::seccomp::{Filter, NEWER};
use support::{helper, loudly};

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
fn children_that_leave_our_descriptors_behind_are_launched_like_others() {
    if again("children_that_leave_our_descriptors_behind_are_launched_like_others", |c| c) {
        fd::mark_inherited();
        fd::make_room(1000);
        assert!(fd::children_part());
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
