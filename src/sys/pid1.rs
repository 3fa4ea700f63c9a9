//! Whether we are PID 1, and what differs from the usual when we start.
//!
//! PID 1 adopts every orphan of its namespace, and the kernel sends it no signal that it does
//! not catch. Elsewhere prctl(PR_SET_CHILD_SUBREAPER) makes us adopt the orphans among our
//! own descendants, which is all that is ours.

use nix::errno::Errno;
use std::fmt;
use std::path::Path;

/// Whether we are the first process of our PID namespace.
pub fn is_pid1() -> bool {
    // SAFETY: cannot fail.
    unsafe { libc::getpid() == 1 }
}

/// Adopts orphaned descendants from now on: for when we are not PID 1.
///
/// # Errors
/// EINVAL before Linux 3.4; EPERM or ENOSYS by a seccomp filter.
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Whether every orphan among our descendants becomes our child: as PID 1, or as a subreaper. False where a
/// seccomp filter keeps it from us.
pub fn adopts_orphans() -> bool {
    let mut is_subreaper: libc::c_int = 0;
    // SAFETY: the kernel fills in an int that we own.
    let asked = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper, 0, 0, 0) };
    is_pid1() || asked == 0 && is_subreaper == 1
}

/// Asks for a signal when our parent ends: prctl(PR_SET_PDEATHSIG).
///
/// # Errors
/// EINVAL: no such signal.
pub fn set_parent_death_signal(signal: crate::core::signal::Signal) -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) }).map(drop)
}

/// Our own process id.
pub fn own_pid() -> crate::core::ids::Pid {
    // SAFETY: cannot fail.
    crate::core::ids::Pid(unsafe { libc::getpid() })
}

/// Where our own executable is, to be executed again: the kernel's link to it, which is right
/// even if the file has been replaced or removed; without /proc, how we were called.
pub fn own_program() -> String {
    const LINK: &str = "/proc/self/exe";
    let is_there = std::fs::read_link(LINK).is_ok();
    let called = || std::env::args().next().unwrap_or_default();
    if is_there { LINK.to_string() } else { called() }
}

/// Our effective uid.
pub fn own_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether we are that user, in every respect that setuid(2) and setgid(2) change.
pub(super) fn is_identity(uid: u32, gid: u32) -> bool {
    // SAFETY: these cannot fail.
    unsafe { [libc::getuid(), libc::geteuid()] == [uid; 2] && [libc::getgid(), libc::getegid()] == [gid; 2] }
}

/// Something about where we run that differs from a container's usual PID 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Another process is PID 1; we adopt orphans as a subreaper.
    NotPid1,
    /// Another process is PID 1, and we cannot adopt orphans.
    NoSubreaper,
    /// We are not root, so `user` and some limits cannot be set.
    NotRoot(u32),
    /// /proc is not there: what leaves its process group is not found.
    NoProc,
    /// The root file system cannot be written.
    ReadOnlyRoot,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::NotPid1 => write!(f, "not PID 1, but adopting orphans (subreaper)"),
            Difference::NoSubreaper => write!(f, "not PID 1, and orphans go to another process"),
            Difference::NotRoot(uid) => write!(f, "uid {uid}, not root"),
            Difference::NoProc => write!(f, "no /proc"),
            Difference::ReadOnlyRoot => write!(f, "read-only root"),
        }
    }
}

/// Takes up PID 1's duties, or a subreaper's, and says what differs from the usual: for one
/// line of the log. Usually empty.
pub fn take_up() -> Vec<Difference> {
    let mut found = Vec::new();
    if !is_pid1() {
        let adopted = become_subreaper().is_ok();
        found.push(if adopted { Difference::NotPid1 } else { Difference::NoSubreaper });
    }
    let uid = own_uid();
    if uid != 0 {
        found.push(Difference::NotRoot(uid));
    }
    if !Path::new("/proc/self/stat").exists() {
        found.push(Difference::NoProc);
    }
    let root = nix::sys::statvfs::statvfs("/");
    if root.is_ok_and(|root| root.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY)) {
        found.push(Difference::ReadOnlyRoot);
    }
    found
}
