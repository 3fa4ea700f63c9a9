//! What the tests against the real kernel share.
#![allow(dead_code)]

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Longer than anything takes on a machine that is busy with other things.
pub const LONG: u16 = 30_000;

/// Waits until there is something to be read, or the end.
pub fn wait_readable(fd: &impl AsRawFd) {
    // SAFETY: the descriptor is open as long as its owner is borrowed.
    let fd = unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) };
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, PollTimeout::from(LONG)), Ok(1), "nothing to read in {LONG} ms");
}
