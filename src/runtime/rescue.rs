//! What is done if we ourselves are at fault.
//!
//! A panic in PID 1 must not be its end: the kernel would kill every database in the
//! container with it. It is caught once, around the loop; then everything is stopped with
//! what needs no state: TERM to all, the shutdown timeout, KILL.

use crate::core::signal::Signal;
use crate::sys::{clock, reap, tree};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Runs the loop; `None` if it panicked, and everything has been stopped.
pub(super) fn guard(timeout: Duration, run: impl FnOnce() -> u8) -> Option<u8> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(code) => Some(code),
        Err(_) => {
            log::error!("this is a fault of minisup itself: stopping everything");
            stop_everything(timeout);
            None
        }
    }
}

fn stop_everything(timeout: Duration) {
    let kill_at = clock::now() + timeout;
    tree::sweep(Signal::TERM);
    while reap::has_children() {
        while reap::any().is_some() {}
        if clock::now() >= kill_at {
            tree::sweep(Signal::KILL);
        }
        if clock::now() >= kill_at + Duration::from_secs(1) {
            return;
        }
        clock::pause(Duration::from_millis(10));
    }
}
