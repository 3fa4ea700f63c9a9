//! waitid(2), waitpid(2): every child that ended, ours or adopted. Nobody else in PID 1 waits for a child.
//!
//! A pid stays ours until it is reaped, and the kernel gives it to nobody else while there is a
//! process group of that number; so [`any`] takes a child with one call, and what must be
//! done to its group is done afterwards.
//!
//! That a child has ended is told by the [`Bell`], a signalfd(2), and not by a handler: deaths
//! come by the thousand, and a handler costs each of them more than reaping it does.

use crate::core::exit::Outcome;
use crate::core::ids::Pid;
use crate::core::signal::Signal;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A child that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    /// Which.
    pub pid: Pid,
    /// How.
    pub outcome: Outcome,
}

/// Readable (poll(2)) when a child has ended, until it is hushed.
#[derive(Debug)]
pub struct Bell(SignalFd);

impl Bell {
    /// From now on SIGCHLD is blocked and rings the bell. Children get a mask of their own at
    /// launch, and do not inherit this.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn hang() -> Result<Bell, Errno> {
        let mut only = SigSet::empty();
        only.add(Number::SIGCHLD);
        only.thread_block()?;
        SignalFd::with_flags(&only, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Bell)
    }

    /// Until the next child ends. All who have ended before are to be reaped after this.
    pub fn hush(&self) {
        // One signal stands for all that came; nothing there is nothing to hush.
        let mut signal = [0u8; size_of::<libc::signalfd_siginfo>()];
        let _ = nix::unistd::read(self.0.as_fd(), &mut signal);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Takes any child that has ended. By waitpid(2), which has less to tell than waitid(2): of
/// twenty thousand orphans each costs a twentieth less.
#[allow(clippy::disallowed_methods, reason = "the one place that waits for children")]
pub fn any() -> Option<Death> {
    let mut status = 0;
    // SAFETY: the kernel fills in an int that we own. WNOHANG: never EINTR.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let killed = libc::WIFSIGNALED(status).then(|| Signal::from_number(libc::WTERMSIG(status)));
    let outcome = killed.flatten().map_or(Outcome::Exited(libc::WEXITSTATUS(status) as u8), Outcome::Killed);
    Some(Death { pid: Pid(pid), outcome })
}

/// Whether we have any child, alive or to be reaped.
pub fn has_children() -> bool {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).is_ok()
}

/// Whether this child was stopped since the last time we asked: by STOP, by the terminal.
pub fn was_stopped(pid: Pid) -> bool {
    stopped(pid, 0)
}

/// Whether this child is stopped now: by STOP, by the terminal. May be asked again.
pub fn is_stopped(pid: Pid) -> bool {
    stopped(pid, libc::WNOWAIT)
}

/// Whether any child is stopped now. May be asked again.
pub fn is_anybody_stopped() -> bool {
    let asked = waitid(libc::P_ALL, 0, libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT);
    asked.is_ok_and(|(stopped, _, _)| stopped != 0)
}

fn stopped(pid: Pid, flags: libc::c_int) -> bool {
    let asked = waitid(libc::P_PID, pid.0 as libc::id_t, libc::WSTOPPED | libc::WNOHANG | flags);
    asked.is_ok_and(|(stopped, _, _)| stopped == pid.0)
}

/// Waits, really, for one child to end. Not for PID 1's loop.
///
/// Returns `None` if there is no such child.
pub fn wait_for(pid: Pid) -> Option<Death> {
    death(waitid(libc::P_PID, pid.0 as libc::id_t, libc::WEXITED))
}

fn death(answer: Result<(i32, i32, i32), Errno>) -> Option<Death> {
    let (pid, code, status) = answer.ok().filter(|(pid, _, _)| *pid != 0)?;
    let outcome = match (code, Signal::from_number(status)) {
        (libc::CLD_KILLED | libc::CLD_DUMPED, Some(signal)) => Outcome::Killed(signal),
        _ => Outcome::Exited(status as u8),
    };
    Some(Death { pid: Pid(pid), outcome })
}

/// The one call: (pid, CLD_ code, status), all zero when there is nothing to be said now.
#[allow(clippy::disallowed_methods, reason = "the one place that waits for children")]
fn waitid(kind: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> Result<(i32, i32, i32), Errno> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the kernel fills in a siginfo_t that we own.
        match Errno::result(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: all bytes zero is a siginfo_t, and after a success the kernel has
                // left it so or filled in the fields of SIGCHLD.
                let info = unsafe { info.assume_init() };
                // SAFETY: as above.
                return Ok(unsafe { (info.si_pid(), info.si_code, info.si_status()) });
            }
        }
    }
}
