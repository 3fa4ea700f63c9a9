//! Launching, reaping, signalling: against the real kernel.

mod support;

use minisup::core::exit::Outcome;
use minisup::core::ids::Pid;
use minisup::core::plan::LaunchExtra;
use minisup::sys::launch::{LaunchError, Launched, Order, Stage, Stdio, launch};
use minisup::sys::reap;
use minisup::sys::words::Words;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use support::wait_readable;

fn words(list: &[&str]) -> Words {
    list.iter().collect()
}

/// Waits for the verdict, as the loop of PID 1 would.
fn verdict(launched: &mut Launched) -> Result<(), LaunchError> {
    loop {
        if let Some(answer) = launched.verdict.read() {
            return answer;
        }
        wait_readable(&launched.verdict);
    }
}

fn end(pid: Pid) -> Outcome {
    reap::wait_for(pid).expect("a child of ours").outcome
}

/// Launches, and returns what it wrote and how it ended.
fn output(mut order: Order<'_>) -> Result<(String, Outcome), LaunchError> {
    let (mut read, write) = std::io::pipe().unwrap();
    order.stdout = Stdio::Fd(write.as_raw_fd());
    let mut launched = launch(order)?;
    drop(write);
    let answer = verdict(&mut launched);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    let outcome = end(launched.pid);
    answer.map(|()| (text, outcome))
}

fn environment() -> Rc<Words> {
    Rc::new(Words::inherited())
}

fn sh(script: &str) -> Order<'static> {
    Order { argv: words(&["sh", "-c", script]), env: environment(), ..Order::default() }
}

fn failure(order: Order<'_>) -> LaunchError {
    output(order).expect_err("it cannot be launched")
}

#[test]
fn a_program_found_in_path_runs_and_its_exit_code_is_seen() {
    let (text, outcome) = output(sh("echo hello; exit 7")).unwrap();
    assert_eq!((text.as_str(), outcome), ("hello\n", Outcome::Exited(7)));
}

#[test]
fn a_missing_program_is_told_with_stage_and_errno() {
    let error = failure(Order { argv: words(&["/nowhere/nginx"]), ..Order::default() });
    assert_eq!((error.stage, error.errno, error.exit_code()), (Stage::Exec, libc::ENOENT, 127));
    assert_eq!(error.to_string(), "cannot execute /nowhere/nginx: no such file or directory");
}

#[test]
fn a_missing_directory_is_told() {
    let extra = LaunchExtra { directory: Some(PathBuf::from("/nowhere")), ..LaunchExtra::default() };
    let error = failure(Order { extra: Some(&extra), ..sh("exit 0") });
    assert_eq!((error.stage, error.errno), (Stage::Directory, libc::ENOENT));
    assert_eq!(error.to_string(), "cannot change to directory /nowhere: no such file or directory");
}

#[test]
fn the_childs_signals_are_clean() {
    let (text, _) = output(sh("exec cat /proc/self/status")).unwrap();
    let field = |name| text.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap_or("").trim();
    let masks = ["SigBlk:", "SigIgn:", "SigCgt:"].map(field);
    assert_eq!(masks, ["0000000000000000"; 3], "{text}");
}
