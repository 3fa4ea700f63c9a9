//! Launches that hang on their way, as in an exec from a dead file system: who waits for them, what they stand on,
//! and what of ours they have.

mod support;

use minisup::core::exit::Outcome;
use minisup::core::ids::Pid;
use minisup::core::signal::Signal;
use minisup::sys::launch::{Order, Stage, Stdio, launch};
use minisup::sys::{fd, reap, signals};
use std::io::{PipeReader, Read, pipe, read_to_string};
use std::os::fd::AsRawFd;
use support::container::again;
use support::launching::{sh, verdict, words};
use support::seccomp::Hanging;
use support::{loudly, wait_until};

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
        .map(|lends| launch(Order { lends, ..program("/bin/true") }).unwrap())
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
        let (read, write) = pipe().unwrap();
        let stdout = Stdio::Fd(write.as_raw_fd());
        (read, launch(Order { stdout, lends: vec![write.into()], ..order }).unwrap())
    };
    // Their verdicts are not asked for: all that is lent to them, and their reports, are still open here.
    let mut early = [lend(sh("echo hello")), lend(program("/nowhere"))];
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
    read.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello\n");
    let error = verdict(failing).unwrap_err();
    assert_eq!((error.stage, error.errno), (Stage::Exec, libc::ENOENT));
    assert_eq!(nothing.read(&mut [0]).unwrap(), 0, "and the end of what it wrote");
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
    let Some(hanging) = Hanging::new(&[libc::SYS_close_range, libc::SYS_unshare]) else {
        return loudly("SKIPPED: no seccomp listener");
    };
    let lend = |script| {
        let (read, write) = pipe().unwrap();
        let stdout = Stdio::Fd(write.as_raw_fd());
        let launched = launch(Order { stdout, lends: vec![write.into()], ..sh(script) }).unwrap();
        wait_until("it hangs", || is_in(launched.pid, libc::SYS_close_range));
        (read, launched)
    };
    let said = |read: PipeReader| read_to_string(read).unwrap();

    let (read, mut one) = lend("echo hello");
    assert!(one.verdict.read().is_none());
    // It parts, and closes what lies below and above its report.
    hanging.let_go(3);
    verdict(&mut one).unwrap();
    assert_eq!(said(read), "hello\n", "the end comes: nobody else has it");
    reap::wait_for(one.pid).unwrap();

    let (read, mut copies) = lend("echo hello");
    hanging.answer(1, libc::EINVAL);
    hanging.let_go(3);
    verdict(&mut copies).unwrap();
    assert_eq!(said(read), "hello\n");
    reap::wait_for(copies.pid).unwrap();

    let (read, mut refused) = lend("echo hello");
    hanging.answer(2, libc::ENOMEM);
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

fn program(path: &str) -> Order<'static> {
    Order { argv: words(&[path]), ..Order::default() }
}
