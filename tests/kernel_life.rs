//! Deaths, signals and trees, against the real kernel: each test is PID 1 of its own.

mod support;

use minisup::core::exit::Outcome;
use minisup::core::ids::Pid;
use minisup::core::plan::{Credentials, LaunchExtra};
use minisup::core::signal::Signal;
use minisup::sys::launch::{Launched, Order, Stdio, launch};
use minisup::sys::signals::{Sender, Signals};
use minisup::sys::sweep::Sweep;
use minisup::sys::tree::{self, Known, Tree};
use minisup::sys::words::Words;
use minisup::sys::{pid1, proc, reap, signals};
use std::cell::RefCell;
use std::os::fd::AsRawFd;
use support::container::again;
use support::launching::{helped, sh, verdict};
use support::{Lines, wait_readable, wait_until};

// Deaths.

#[test]
fn whoever_has_ended_is_taken_once() {
    if !again("whoever_has_ended_is_taken_once", |c| c) {
        return;
    }
    let launched = launch(sh("exit 3")).unwrap();
    let mut taken = None;
    wait_until("a death", || {
        taken = reap::any();
        taken.is_some()
    });
    let death = taken.unwrap();
    assert_eq!((death.pid, death.outcome), (launched.pid, Outcome::Exited(3)));
    assert_eq!(reap::any(), None);
    assert!(!signals::group_exists(death.pid) && !reap::has_children());
}

#[test]
fn a_signal_that_killed_is_told_and_so_is_one_that_stopped() {
    if !again("a_signal_that_killed_is_told_and_so_is_one_that_stopped", |c| c) {
        return;
    }
    let launched = launch(sh("kill -STOP $$; kill -9 $$")).unwrap();
    wait_until("it stops", || reap::is_stopped(launched.pid));
    assert!(reap::is_stopped(launched.pid), "asking changes nothing");
    assert_eq!(reap::any(), None, "it has not ended");
    signals::kill(launched.pid, Signal::CONT).unwrap();
    let death = reap::wait_for(launched.pid).unwrap();
    assert_eq!(death.outcome, Outcome::Killed(Signal::KILL));
    assert!(!reap::is_stopped(launched.pid));
}

// Signals.

#[test]
fn a_signal_comes_with_its_sender_and_all_of_them_can_be_caught() {
    if !again("a_signal_comes_with_its_sender_and_all_of_them_can_be_caught", |c| c) {
        return;
    }
    let all = (1..=64).filter(|n| ![9, 19, 32, 33].contains(n)).filter_map(Signal::from_number);
    let mut caught = Signals::catch(all).unwrap();
    let launched = launch(sh("kill -USR1 1; kill -40 1; kill -TERM 1; exec sleep 3600")).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        wait_readable(&caught);
        seen.extend(caught.pending().filter(|(signal, _)| *signal != Signal::CHLD));
    }
    let sender = Some(Sender { pid: launched.pid.0, uid: 0 });
    for signal in [Signal::USR1, Signal::TERM, Signal::parse("RTMIN+6").unwrap()] {
        assert!(seen.contains(&(signal, sender)), "{seen:?}");
    }
    // And what is caught here is default there, once the shell has made way.
    let name = format!("/proc/{}/comm", launched.pid);
    wait_until("sleep", || std::fs::read_to_string(&name).unwrap() == "sleep\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", launched.pid)).unwrap();
    let field = |name| status.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap().trim();
    assert_eq!(["SigBlk:", "SigIgn:", "SigCgt:"].map(field), ["0000000000000000"; 3]);
    signals::kill(launched.pid, Signal::KILL).unwrap();
    reap::wait_for(launched.pid);
}

#[test]
fn who_is_not_pid_1_cannot_signal_everybody() {
    assert!(!pid1::is_pid1());
    assert_eq!(signals::kill_everything(Signal::CONT), Err(nix::errno::Errno::EPERM));
}

#[test]
fn the_last_sweep_ends_everybody() {
    if !again("the_last_sweep_ends_everybody", |c| c) {
        return;
    }
    let many: Vec<Pid> = (0..5).map(|_| daemon("many", &[]).leader).collect();
    assert!(Sweep::default().signal(Signal::KILL), "there was somebody");
    wait_until("nobody is left", || {
        while reap::any().is_some() {}
        !Sweep::default().signal(Signal::KILL)
    });
    assert!(many.iter().all(|leader| !signals::group_exists(*leader)));
}

#[test]
fn not_as_pid_1_the_last_sweep_ends_our_descendants() {
    if !again("not_as_pid_1_the_last_sweep_ends_our_descendants", |c| c.not_pid1()) {
        return;
    }
    assert_eq!(pid1::take_up().first(), Some(&pid1::Difference::NotPid1));
    daemon("one", &[]);
    assert!(Sweep::default().signal(Signal::KILL));
    wait_until("nobody is left", || {
        while reap::any().is_some() {}
        !Sweep::default().signal(Signal::KILL)
    });
}

// Trees.

/// What the runtime would know.
#[derive(Default)]
struct Table {
    launched: RefCell<Vec<Pid>>,
    leaders: Vec<(Pid, &'static str)>,
}

impl Known for Table {
    fn is_launched(&self, pid: Pid) -> bool {
        self.launched.borrow().contains(&pid)
    }

    fn is_leader(&self, pid: Pid) -> bool {
        self.leaders.iter().any(|(leader, _)| *leader == pid)
    }

    fn leader(&self, service: &[u8], instance: u32) -> Option<Pid> {
        assert_eq!(instance, 0);
        self.leaders.iter().find(|(_, name)| name.as_bytes() == service).map(|(leader, _)| *leader)
    }
}

impl Table {
    fn of(services: &[&Service]) -> Table {
        let leaders: Vec<_> = services.iter().map(|service| (service.leader, service.name)).collect();
        Table { launched: RefCell::new(leaders.iter().map(|(leader, _)| *leader).collect()), leaders }
    }

    /// The main process ends (its stdin is closed) and is reaped.
    fn end(&self, service: &mut Service) {
        service.input = None;
        reap::wait_for(service.leader).expect("its main process");
        self.launched.borrow_mut().retain(|pid| *pid != service.leader);
    }
}

/// A service with a process that has left its session.
struct Service {
    name: &'static str,
    leader: Pid,
    daemon: Pid,
    input: Option<std::io::PipeWriter>,
}

/// Launches `helper daemon` as the service `name`; `words` go before it, as with env(1).
fn daemon(name: &'static str, words: &[&str]) -> Service {
    daemon_as(name, words, None)
}

fn daemon_as(name: &'static str, words: &[&str], extra: Option<&LaunchExtra>) -> Service {
    let (stdin, input) = std::io::pipe().unwrap();
    let (read, stdout) = std::io::pipe().unwrap();
    let mut more_env = Words::new();
    more_env.push_variable(tree::SERVICE, name);
    more_env.push_variable(tree::INSTANCE, "0");
    let plain = helped(&["daemon"]);
    let argv: Words = words
        .iter()
        .map(std::ffi::OsStr::new)
        .chain([support::helper(), "daemon"].map(std::ffi::OsStr::new))
        .collect();
    let (stdin_fd, stdout_fd) = (Stdio::Fd(stdin.as_raw_fd()), Stdio::Fd(stdout.as_raw_fd()));
    let mut launched: Launched =
        launch(Order { argv, more_env, stdin: stdin_fd, stdout: stdout_fd, extra, ..plain }).unwrap();
    verdict(&mut launched).unwrap();
    drop(stdout);
    let said = Lines::new(read.into()).wait_for("daemon ");
    let daemon = Pid(said.trim_start_matches("daemon ").parse().unwrap());
    Service { name, leader: launched.pid, daemon, input: Some(input) }
}

fn lives(pid: Pid) -> bool {
    proc::process(pid).is_some_and(|process| !process.is_zombie)
}

/// Asks until the tree is empty, reaping as PID 1 does.
fn wait_for_the_end(tree: &mut Tree, leader: Pid, table: &Table) {
    wait_until("the end of the tree", || {
        while reap::any().is_some() {}
        tree.turn([]);
        !tree.has_leftovers(leader, table)
    });
}

#[test]
fn a_service_alone_leaves_nobody() {
    if !again("a_service_alone_leaves_nobody", |c| c) {
        return;
    }
    let launched = launch(sh("exit 0")).unwrap();
    let table = Table::default();
    reap::wait_for(launched.pid);
    let mut tree = Tree::new();
    tree.turn([launched.pid]);
    assert!(!tree.has_leftovers(launched.pid, &table));
    assert!(!tree.signal(launched.pid, Signal::TERM, &table));
}

#[test]
fn who_stays_in_the_group_is_found_and_ended() {
    if !again("who_stays_in_the_group_is_found_and_ended", |c| c) {
        return;
    }
    let launched = launch(sh("sleep 3600 & exit 0")).unwrap();
    let table = Table { leaders: vec![(launched.pid, "a")], ..Table::default() };
    reap::wait_for(launched.pid);
    let mut tree = Tree::new();
    tree.turn([launched.pid]);
    assert!(tree.has_leftovers(launched.pid, &table));
    assert!(tree.signal(launched.pid, Signal::TERM, &table));
    wait_for_the_end(&mut tree, launched.pid, &table);
}

#[test]
fn a_daemon_is_known_by_its_mark_and_only_its_own_service_is_ended() {
    if !again("a_daemon_is_known_by_its_mark_and_only_its_own_service_is_ended", |c| c) {
        return;
    }
    let (mut one, mut two) = (daemon("one", &[]), daemon("two", &[]));
    let table = Table::of(&[&one, &two]);
    let mut tree = Tree::new();
    // Both in one turn, so that nothing but the mark tells them apart.
    table.end(&mut one);
    table.end(&mut two);
    tree.turn([one.leader, two.leader]);
    assert!(tree.has_leftovers(one.leader, &table) && tree.has_leftovers(two.leader, &table));
    assert!(tree.signal(one.leader, Signal::TERM, &table));
    wait_for_the_end(&mut tree, one.leader, &table);
    assert!(!lives(one.daemon) && lives(two.daemon));
}

#[test]
fn a_daemon_without_mark_belongs_to_who_ended_just_then() {
    if !again("a_daemon_without_mark_belongs_to_who_ended_just_then", |c| c) {
        return;
    }
    let mut one = daemon("one", &["env", "-i"]);
    let other = daemon("other", &[]);
    let table = Table::of(&[&one, &other]);
    let mut tree = Tree::new();
    table.end(&mut one);
    tree.turn([one.leader]);
    assert!(tree.has_leftovers(one.leader, &table));
    tree.signal(one.leader, Signal::KILL, &table);
    wait_for_the_end(&mut tree, one.leader, &table);
    assert!(!lives(one.daemon) && lives(other.daemon) && lives(other.leader));
}

#[test]
fn without_the_right_to_read_environments_a_daemon_is_still_found() {
    if !again("without_the_right_to_read_environments_a_daemon_is_still_found", |c| c) {
        return;
    }
    let who = Credentials { uid: 1234, gid: 1234, groups: [].into() };
    let extra = LaunchExtra { credentials: Some(who), ..LaunchExtra::default() };
    if std::fs::metadata(support::helper()).is_err() || !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut one = daemon_as("one", &[], Some(&extra));
    let table = Table::of(&[&one]);
    drop_ptrace();
    assert!(proc::variables(one.daemon, [tree::SERVICE]).is_none(), "the control: we may not read it");
    let mut tree = Tree::new();
    table.end(&mut one);
    tree.turn([one.leader]);
    assert!(tree.has_leftovers(one.leader, &table));
    tree.signal(one.leader, Signal::TERM, &table);
    wait_for_the_end(&mut tree, one.leader, &table);
    assert!(!lives(one.daemon));
}

/// As Docker has it: root without CAP_SYS_PTRACE (19), and without CAP_SYS_ADMIN (21) and
/// CAP_PERFMON (38), which newer kernels let read too.
fn drop_ptrace() {
    let header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    // SAFETY: the layout of capget(2), version 3.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()), 0);
        for low in &mut sets[..2] {
            *low &= !(1 << 19 | 1 << 21);
        }
        for high in &mut sets[3..5] {
            *high &= !(1 << (38 - 32));
        }
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()), 0);
    }
}

#[test]
fn kill_reaches_whole_trees_also_those_who_have_left_the_session() {
    if !again("kill_reaches_whole_trees_also_those_who_have_left_the_session", |c| c) {
        return;
    }
    // The shell stays the parent of one with a session of its own.
    let launched = launch(sh("setsid sleep 3600 & wait")).unwrap();
    let leader = launched.pid;
    let table = Table { launched: RefCell::new(vec![leader]), leaders: vec![(leader, "a")] };
    wait_until("it has left", || tree::descendants(leader).iter().any(|p| p.session != leader.0));
    let left = tree::descendants(leader);
    let mut tree = Tree::new();
    assert!(tree.signal(leader, Signal::KILL, &table));
    reap::wait_for(leader);
    table.launched.borrow_mut().clear();
    wait_for_the_end(&mut tree, leader, &table);
    assert!(!left.is_empty() && left.iter().all(|p| !lives(p.pid)));
}

#[test]
fn without_proc_groups_still_count() {
    if !again("without_proc_groups_still_count", |c| c.without_proc()) {
        return;
    }
    assert!(!proc::is_usable() && pid1::take_up().contains(&pid1::Difference::NoProc));
    let launched = launch(sh("sleep 3600 & exit 0")).unwrap();
    let table = Table::default();
    reap::wait_for(launched.pid);
    let mut tree = Tree::new();
    tree.turn([launched.pid]);
    assert!(tree.has_leftovers(launched.pid, &table));
    assert!(tree.signal(launched.pid, Signal::TERM, &table));
    wait_for_the_end(&mut tree, launched.pid, &table);
}
