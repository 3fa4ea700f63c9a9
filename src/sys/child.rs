//! What a child does between clone(2) and execve(2).
//!
//! It may share our memory, our thread-local storage and our `errno` while we run on. So it
//! calls nothing but the kernel, by instructions of our own; it allocates nothing, frees
//! nothing, panics never, and writes to nothing but its own stack and its own [`Task`].
//! All signals are blocked until the last moment, so no handler of ours runs in it.
//!
//! It returns only when something failed; then it says where, on a pipe, and is gone.
//!
//! Two things are not obvious:
//! - Handlers become default by exec, but signals are unblocked before it, and a handler of
//!   ours that ran then would run in our memory. So every caught signal is made default.
//! - Until Linux 5.16 a core dump ends every process that shares the memory: PID 1 too. So
//!   the signals that dump core get a handler which ends the child by KILL. Exec makes it
//!   default again.

mod descriptors;
mod privileges;

use super::stage::Stage;
use super::syscall::sys;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// What the child writes when it failed.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Report {
    pub(super) stage: i32,
    pub(super) errno: i32,
    pub(super) detail: i32,
}

/// The stage of a report which says that nothing has failed: the child has descriptors of its own now.
pub(super) const PARTED: i32 = -1;

/// One descriptor to place: `from` becomes `to`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Move {
    pub(super) from: c_int,
    pub(super) to: c_int,
    /// `from` is another's `to`: it is copied out of the way first.
    pub(super) lift: bool,
}

/// A C array: the child knows no slices, for slices can panic.
#[derive(Debug)]
pub(super) struct Array<T> {
    pub(super) items: *mut T,
    pub(super) count: usize,
}

/// A session, a group, a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Session {
    /// As minisup itself.
    Inherit,
    /// A process group of its own. Not a session: the kernel's autogroup scheduling
    /// (sched(7)) makes a scheduling group for each, which takes longer than the rest of the
    /// launch and keeps PID 1 from running where its children have just ended.
    #[default]
    Group,
    /// A session of its own, without terminal.
    New,
    /// A process group of its own, in the foreground of the terminal that is stdin, if it is one.
    Foreground,
    /// A session of its own that takes the terminal that is stdin, if it is one and free.
    Terminal,
}

/// Everything the child needs, prepared. Lives until the child no longer needs it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) report: c_int,
    /// Our descriptors are shared at first, and those from this number on left behind; 0: they are the child's own.
    pub(super) part_at: c_int,
    /// From where to where, both included, there is nothing for the child but the report.
    pub(super) gaps: Array<[c_int; 2]>,
    pub(super) session: Session,
    pub(super) moves: Array<Move>,
    /// The first so many moves are stdin, stdout and stderr.
    pub(super) stdio: usize,
    /// Lifted descriptors get numbers from here on.
    pub(super) above: c_int,
    /// Signals to be made default, bit n-1 for signal n.
    pub(super) reset: u64,
    /// The mask it gets at last.
    pub(super) blocked: u64,
    /// Whether our memory is shared.
    pub(super) shares: bool,
    /// Gets the child's pid in decimal, NUL-terminated: room for 11 bytes. Or null.
    pub(super) pid_text: *mut u8,
    /// The mark, see `mark`: kept if it can be.
    pub(super) mark: Option<[u64; 2]>,
    /// The soft and hard limit of open files to give back, if we raised ours.
    pub(super) nofile: *const [u64; 2],
    pub(super) extra: *const Extra,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Paths to try, in order.
    pub(super) candidates: Array<*const c_char>,
}

/// What few services set, prepared.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) umask: Option<u32>,
    pub(super) nice: Option<i32>,
    pub(super) oom_score: Array<u8>,
    pub(super) limits: Array<(c_int, [u64; 2])>,
    pub(super) identity: Option<Identity>,
    /// Bit n for capability n.
    pub(super) capabilities: Option<u64>,
    pub(super) no_new_privileges: bool,
    /// Or null.
    pub(super) directory: *const c_char,
}

/// uid and gid to switch to.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Array<u32>,
    /// It is who we are already; then a refusal to set groups does not matter.
    pub(super) already: bool,
}

/// The kernel's sigaction, not libc's.
#[repr(C)]
struct Disposition {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

const SA_RESTORER: usize = 0x0400_0000;
const DUMPS_CORE: [c_int; 10] = [
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGSYS,
];

type Failure = Report;

/// Ends the step if the call failed.
macro_rules! ok {
    ($stage:ident, $result:expr) => {
        ok!($stage, 0, $result)
    };
    ($stage:ident, $detail:expr, $result:expr) => {{
        let result = $result;
        if result < 0 {
            return Err(failed(Stage::$stage, result, $detail));
        }
        result
    }};
}
use ok;

/// The child's whole life, for clone(2) only: `task` points to a [`Task`] that is complete
/// and that nobody else touches.
pub(super) extern "C" fn child(task: *mut c_void) -> c_int {
    let task = task.cast::<Task>();
    // SAFETY: the caller's word; from here on everything is a system call with memory of the task.
    unsafe {
        if let Err(report) = steps(task) {
            let size = size_of::<Report>();
            sys!(SYS_write, (*task).report, &raw const report, size);
        }
        loop {
            sys!(SYS_exit_group, 127);
        }
    }
}

fn failed(stage: Stage, result: isize, detail: i32) -> Failure {
    Report { stage: stage as i32, errno: result.wrapping_neg() as i32, detail }
}

unsafe fn steps(task: *mut Task) -> Result<(), Failure> {
    // SAFETY: system calls on memory of the task, as `child` demands; so it is in all functions below, and in the files beside.
    unsafe {
        if (*task).part_at > 0 {
            descriptors::part(&*task)?;
        }
        descriptors::place(task)?;
        descriptors::close_gaps(&*task);
        session(&*task)?;
        if !(*task).nofile.is_null() {
            limit(libc::RLIMIT_NOFILE as c_int, &*(*task).nofile)?;
        }
        if let Some(values) = &(*task).mark {
            // Without it there are other ways to know the process again.
            sys!(SYS_prlimit64, 0, libc::RLIMIT_RTTIME, values.as_ptr(), 0);
        }
        if !(*task).extra.is_null() {
            privileges::assume(&*(*task).extra)?;
        }
        if !(*task).pid_text.is_null() {
            decimal(sys!(SYS_getpid) as u32, (*task).pid_text);
        }
        signals(&*task);
        execute(&*task)
    }
}

unsafe fn session(task: &Task) -> Result<(), Failure> {
    let terminal = |result: isize| match result.wrapping_neg() as c_int {
        // No terminal, none of ours, or none at all: then there is nothing to hand over.
        libc::ENOTTY | libc::ENXIO | libc::EPERM | libc::EBADF => 0,
        _ => result,
    };
    // SAFETY: see `steps`.
    unsafe {
        match task.session {
            Session::Inherit => {}
            Session::Group => _ = ok!(Session, sys!(SYS_setpgid, 0, 0)),
            Session::New => _ = ok!(Session, sys!(SYS_setsid)),
            Session::Foreground => {
                ok!(Session, sys!(SYS_setpgid, 0, 0));
                let group = sys!(SYS_getpid) as c_int;
                ok!(Terminal, terminal(sys!(SYS_ioctl, 0, libc::TIOCSPGRP, &raw const group)));
            }
            Session::Terminal => {
                ok!(Session, sys!(SYS_setsid));
                ok!(Terminal, terminal(sys!(SYS_ioctl, 0, libc::TIOCSCTTY, 0)));
            }
        }
    }
    Ok(())
}

unsafe fn limit(resource: c_int, values: &[u64; 2]) -> Result<(), Failure> {
    // SAFETY: see `steps`.
    ok!(Limits, resource, unsafe { sys!(SYS_prlimit64, 0, resource, values.as_ptr(), 0) });
    Ok(())
}

/// Default dispositions; then, last, the mask. These calls cannot fail.
unsafe fn signals(task: &Task) {
    let standard = Disposition { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    // The handler never returns, so the restorer is never called; x86-64 wants one named.
    let handler = end_without_core as *const () as usize;
    let deadly = Disposition { handler, flags: SA_RESTORER, restorer: handler, mask: !0 };
    let nothing = ptr::null_mut::<c_void>();
    // SAFETY: see `steps`; the kernel's signal set is 8 bytes long.
    unsafe {
        let mut left = task.reset;
        while left != 0 {
            let signal = left.trailing_zeros().wrapping_add(1);
            left &= left.wrapping_sub(1);
            sys!(SYS_rt_sigaction, signal, &raw const standard, nothing, 8);
        }
        if task.shares {
            let mut i = 0;
            while i < DUMPS_CORE.len() {
                let signal = *DUMPS_CORE.as_ptr().add(i);
                sys!(SYS_rt_sigaction, signal, &raw const deadly, nothing, 8);
                i = i.wrapping_add(1);
            }
        }
        let blocked = task.blocked;
        sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const blocked, nothing, 8);
    }
}

/// Ends the child as KILL would, and dumps no core. See the head of this file.
extern "C" fn end_without_core(_signal: c_int) {
    // SAFETY: system calls on numbers.
    unsafe {
        loop {
            sys!(SYS_kill, sys!(SYS_getpid), libc::SIGKILL);
        }
    }
}

/// Tries each path as execvp(3) does: what is missing is passed over, what is forbidden is
/// remembered, anything else is final.
unsafe fn execute(task: &Task) -> Result<(), Failure> {
    let mut result = -(libc::ENOENT as isize);
    let mut i = 0;
    while i < task.candidates.count {
        // SAFETY: see `steps`.
        unsafe {
            let path = *task.candidates.items.add(i);
            let this = sys!(SYS_execve, path, task.argv, task.envp);
            match this.wrapping_neg() as c_int {
                libc::ENOENT if sys!(SYS_faccessat, libc::AT_FDCWD, path, libc::F_OK) == 0 => {
                    return Err(failed(Stage::Interpreter, this, 0));
                }
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                libc::EACCES => result = this,
                _ => {
                    result = this;
                    break;
                }
            }
        }
        i = i.wrapping_add(1);
    }
    Err(failed(Stage::Exec, result, 0))
}

/// `number` in decimal, and a NUL.
unsafe fn decimal(number: u32, text: *mut u8) {
    let mut digits: usize = 1;
    let mut rest = number;
    while rest >= 10 {
        rest /= 10;
        digits = digits.wrapping_add(1);
    }
    rest = number;
    // SAFETY: 32 bits are at most 10 digits, and the text has room for 11 bytes.
    unsafe {
        *text.add(digits) = 0;
        while digits > 0 {
            digits = digits.wrapping_sub(1);
            *text.add(digits) = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pids_are_written_in_decimal() {
        for number in [0, 7, 10, 99, 32768, 4_194_304, u32::MAX] {
            let mut text = [b'x'; 11];
            // SAFETY: 11 bytes, as it wants.
            unsafe { super::decimal(number, text.as_mut_ptr()) };
            let end = text.iter().position(|b| *b == 0).unwrap();
            assert_eq!(std::str::from_utf8(&text[..end]).unwrap(), number.to_string());
        }
    }
}
