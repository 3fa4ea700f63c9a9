//! tty_ioctl(4): whose is the terminal on stdin. For the small init, which hands it over.

use crate::core::ids::Pid;
use std::ffi::c_int;

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
