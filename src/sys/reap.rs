//! waitid(2): every child that ended, ours or adopted. Nobody else in PID 1 waits for a child.
//!
//! A pid stays ours until it is reaped: so what must still be done to the process group of a
//! service is done between [`peek`] and [`reap`]. An adopted orphan needs no such care, and
//! [`sweep`] takes each with as few calls as there are.

#![allow(clippy::disallowed_methods, reason = "the one place that waits for children")]

use crate::core::exit::Outcome;
use crate::core::ids::Pid;
use crate::core::signal::Signal;
use std::mem::MaybeUninit;

/// A child that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    /// Which.
    pub pid: Pid,
    /// How.
    pub outcome: Outcome,
}

/// A child that has ended and still has its pid, if there is one. Asked again before
/// [`reap`], it answers the same.
pub fn peek() -> Option<Death> {
    wait(libc::P_ALL, 0, libc::WNOWAIT)
}

/// Takes the child that [`peek`] has seen: its pid may be another's from now on.
pub fn reap(pid: Pid) -> Option<Death> {
    wait(libc::P_PID, pid.0 as libc::id_t, 0)
}

/// Takes any child that has ended.
pub fn any() -> Option<Death> {
    wait(libc::P_ALL, 0, 0)
}

/// Takes at most `most` children that have ended, and says how many. `owned` sees each one
/// before it is reaped, while its process group is still safe to be signalled.
pub fn sweep(most: usize, mut owned: impl FnMut(Death)) -> usize {
    let mut count = 0;
    while count < most
        && let Some(death) = peek()
    {
        owned(death);
        reap(death.pid);
        count += 1;
    }
    count
}

/// Whether we have any child, alive or to be reaped.
pub fn has_children() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills in a siginfo_t that we own.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ECHILD)
}

/// Waits, really, for one child to end. Not for PID 1's loop.
///
/// Returns `None` if there is no such child.
pub fn wait_for(pid: Pid) -> Option<Death> {
    wait_with(libc::P_PID, pid.0 as libc::id_t, libc::WEXITED)
}

fn wait(kind: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> Option<Death> {
    wait_with(kind, id, libc::WEXITED | libc::WNOHANG | flags)
}

fn wait_with(kind: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> Option<Death> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: the kernel fills in a siginfo_t that we own.
        if unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags) } == 0 {
            break;
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
    // SAFETY: all bytes zero is a siginfo_t, and the kernel has filled in what it wanted. After
    // a success these fields are those of SIGCHLD, or zero when no child has ended.
    let (pid, code, status) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    if pid == 0 {
        return None;
    }
    let outcome = match (code, Signal::from_number(status)) {
        (libc::CLD_KILLED | libc::CLD_DUMPED, Some(signal)) => Outcome::Killed(signal),
        _ => Outcome::Exited(status as u8),
    };
    Some(Death { pid: Pid(pid), outcome })
}
