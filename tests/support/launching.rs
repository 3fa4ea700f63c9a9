//! Launching through `sys::launch`, as the loop of PID 1 would.

use super::{helper, wait_readable};
use minisup::core::exit::Outcome;
use minisup::sys::launch::{LaunchError, Launched, Order, Stdio, launch};
use minisup::sys::reap;
use minisup::sys::words::Words;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::rc::Rc;

pub fn words(list: &[&str]) -> Words {
    list.iter().collect()
}

/// Our own environment.
pub fn environment() -> Rc<Words> {
    Rc::new(Words::inherited())
}

/// A shell that runs this, with our own environment.
pub fn sh(script: &str) -> Order<'static> {
    Order { argv: words(&["sh", "-c", script]), env: environment(), ..Order::default() }
}

/// `helper.c` with these words.
pub fn helped(list: &[&str]) -> Order<'static> {
    Order { argv: words(&[&[helper()], list].concat()), env: environment(), ..Order::default() }
}

/// Waits for the verdict.
pub fn verdict(launched: &mut Launched) -> Result<(), LaunchError> {
    loop {
        if let Some(answer) = launched.verdict.read() {
            return answer;
        }
        wait_readable(&launched.verdict);
    }
}

/// Launches, and returns what it wrote to stdout and how it ended.
pub fn output(mut order: Order<'_>) -> Result<(String, Outcome), LaunchError> {
    let (mut read, write) = std::io::pipe().map_err(|error| LaunchError {
        stage: minisup::sys::launch::Stage::Pipe,
        errno: error.raw_os_error().unwrap_or(0),
        subject: "sh".to_string(),
    })?;
    order.stdout = Stdio::Fd(write.as_raw_fd());
    order.lends.push(write.into());
    let mut launched = launch(order)?;
    let answer = verdict(&mut launched);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    let outcome = reap::wait_for(launched.pid).expect("a child of ours").outcome;
    answer.map(|()| (text, outcome))
}

/// Launches what cannot be launched.
pub fn failure(order: Order<'_>) -> LaunchError {
    output(order).expect_err("it cannot be launched")
}
