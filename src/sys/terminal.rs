//! tty_ioctl(4): whose is the terminal on stdin, for the small init, which hands it over; and how
//! large a terminal is, for tables.

use crate::core::ids::Pid;
use std::ffi::c_int;
use std::os::fd::AsRawFd;

/// Our own process group.
pub fn own_group() -> Pid {
    // SAFETY: cannot fail.
    Pid(unsafe { libc::getpgrp() })
}

/// The group in the foreground of stdin, if that is our controlling terminal.
pub fn foreground() -> Option<Pid> {
    // SAFETY: asks about a number.
    let group = unsafe { libc::tcgetpgrp(0) };
    (group > 0).then_some(Pid(group))
}

/// Puts a group of our session into the foreground. TTOU must be blocked or ignored, else we
/// would be stopped. Where it cannot be done there is nothing to hand over.
pub fn set_foreground(group: Pid) {
    // SAFETY: numbers only.
    unsafe { libc::tcsetpgrp(0, group.0) };
}

/// Gives up our controlling terminal, so that another session can take it. Returns whether we
/// had one and led its session: then the kernel sends our group HUP and CONT.
pub fn give_up() -> bool {
    // SAFETY: numbers only; the argument is not used.
    unsafe { libc::ioctl(0, libc::TIOCNOTTY, 0 as c_int) == 0 && libc::getsid(0) == libc::getpid() }
}

/// The columns and rows of a terminal; `None` if it is none, or does not know.
pub fn window(fd: &impl AsRawFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a winsize we own.
    let asked = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (asked == 0 && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
