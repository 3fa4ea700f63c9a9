//! signal(7): what is caught, who sent it; sending.
//!
//! Caught signals go through signal-hook: its handler notes signal and sender and writes a
//! byte to a socket that the loop polls.

use super::syscall::sys;
use crate::core::ids::Pid;
use crate::core::signal::Signal;
use nix::errno::Errno;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of signals.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Mask(u64);

impl Mask {
    /// No signal.
    pub const NONE: Mask = Mask(0);

    /// All 64.
    pub const ALL: Mask = Mask(u64::MAX);

    /// With this one too.
    #[must_use]
    pub fn with(self, signal: Signal) -> Mask {
        Mask(self.0 | 1 << (signal.number() - 1))
    }

    /// Without this one.
    #[must_use]
    pub fn without(self, signal: Signal) -> Mask {
        Mask(self.0 & !(1 << (signal.number() - 1)))
    }

    /// Whether it is among them.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & 1 << (signal.number() - 1) != 0
    }

    /// Bit n-1 for signal n, as the kernel has it.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// All but those that tell of a fault of our own: what an init can take and pass on. KILL
    /// and STOP are in it and do no harm there.
    pub fn passable() -> Mask {
        const FAULTS: [i32; 7] = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGSYS,
        ];
        FAULTS.into_iter().filter_map(Signal::from_number).fold(Mask::ALL, Mask::without)
    }

    fn to_libc(self) -> libc::sigset_t {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset makes it a set; sigaddset refuses what is no signal.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for number in (1..=64).filter(|n| self.0 & 1 << (n - 1) != 0) {
                libc::sigaddset(set.as_mut_ptr(), number);
            }
            set.assume_init()
        }
    }

    fn from_libc(set: &libc::sigset_t) -> Mask {
        // SAFETY: a set that we were given.
        let has = |number: &i32| unsafe { libc::sigismember(set, *number) == 1 };
        Mask((1..=64).filter(has).fold(0, |bits, number| bits | 1 << (number - 1)))
    }
}

impl FromIterator<Signal> for Mask {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Mask {
        signals.into_iter().fold(Mask::NONE, Mask::with)
    }
}

/// Who sent a signal: another process, as far as the kernel says. The pid is 0 for a sender
/// outside of our PID namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Sender {
    pub pid: i32,
    pub uid: u32,
}

/// Signals that are caught, from now on. Readable (poll(2)) when one has come.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
}

impl Signals {
    /// Catches these. KILL and STOP cannot be, and ILL, FPE and SEGV must not: those are left out.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn catch(wanted: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let never = signal_hook::consts::FORBIDDEN;
        let wanted: Vec<Signal> = wanted.into_iter().filter(|s| !never.contains(&s.number())).collect();
        note_ignored();
        guard_alternate_stack();
        CAUGHT.fetch_or(wanted.iter().copied().collect::<Mask>().0, Ordering::Relaxed);
        let delivery =
            SignalDelivery::with_pipe(read, write, WithOrigin::default(), wanted.iter().map(|s| s.number()))?;
        Ok(Signals { delivery })
    }

    /// Catches one more, if it can be caught. Once more does no harm.
    ///
    /// # Errors
    /// As [`catch`](Self::catch).
    pub fn add(&self, signal: Signal) -> io::Result<()> {
        if signal_hook::consts::FORBIDDEN.contains(&signal.number()) {
            return Ok(());
        }
        CAUGHT.fetch_or(Mask::NONE.with(signal).0, Ordering::Relaxed);
        self.delivery.handle().add_signal(signal.number())
    }

    /// What has come since the last time, in the order of their numbers. The same signal sent
    /// many times may be here once, as signals are.
    pub fn pending(&mut self) -> impl Iterator<Item = (Signal, Option<Sender>)> {
        self.delivery.pending().filter_map(|origin| {
            let sender = origin.process.map(|process| Sender { pid: process.pid, uid: process.uid });
            Some((Signal::from_number(origin.signal)?, sender))
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.delivery.get_read().as_raw_fd()
    }
}

static CAUGHT: AtomicU64 = AtomicU64::new(0);
/// The top bit, which would be signal 64, is only ever set together with what was found.
static IGNORED: AtomicU64 = AtomicU64::new(UNKNOWN);
const UNKNOWN: u64 = u64::MAX;

/// The signals that we ignore because whoever started us did, and PIPE because Rust does.
pub fn ignored() -> Mask {
    note_ignored();
    Mask(IGNORED.load(Ordering::Relaxed))
}

/// The signals that whoever started us has ignored, like nohup's HUP: what a child that is to
/// have no init above it would find. PIPE cannot be told apart from Rust's own and is left out.
pub fn ignored_by_parent() -> Mask {
    Mask(ignored().0 & !(1 << (libc::SIGPIPE - 1)))
}

/// Asks the kernel once what is ignored: the disposition is one of the few things that exec
/// passes on.
fn note_ignored() {
    if IGNORED.load(Ordering::Relaxed) != UNKNOWN {
        return;
    }
    let is_ignored = |number: &i32| {
        // The kernel's own sigaction, for glibc's knows nothing of 32 and 33: handler first.
        let mut action = [0usize; 4];
        // SAFETY: asks only, into memory of ours that is large enough. KILL and STOP too may
        // be asked about.
        let asked = unsafe {
            sys!(SYS_rt_sigaction, *number, std::ptr::null::<usize>(), action.as_mut_ptr(), size_of::<u64>())
        };
        asked == 0 && action[0] == libc::SIG_IGN
    };
    let found = (1..=64).filter(is_ignored).fold(0, |bits, number| bits | 1 << (number - 1));
    IGNORED.store(found, Ordering::Relaxed);
}

/// Rust's own handlers for SEGV and BUS run on an alternate stack, sigaltstack(2), that has
/// room for little more than one frame of a processor with wide registers. Somebody who sends
/// us these and others at once would make one handler interrupt the other until that stack
/// overflows, which is fatal also for PID 1. So while one of them runs, all others wait.
fn guard_alternate_stack() {
    for number in [libc::SIGSEGV, libc::SIGBUS] {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: asks what is done now, and has the same done with more signals blocked.
        unsafe {
            if libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let mut action = action.assume_init();
            if action.sa_flags & libc::SA_ONSTACK != 0 {
                libc::sigfillset(&mut action.sa_mask);
                libc::sigaction(number, &action, std::ptr::null_mut());
            }
        }
    }
}

/// What a child has to make default again, bit n-1 for signal n.
pub(super) fn not_default() -> u64 {
    ignored().0 | CAUGHT.load(Ordering::Relaxed)
}

/// Ignores a signal from now on.
pub fn ignore(signal: Signal) {
    note_ignored();
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(signal.number(), libc::SIG_IGN) };
    IGNORED.fetch_or(Mask::NONE.with(signal).0, Ordering::Relaxed);
}

/// All signals are blocked as long as this lives.
#[derive(Debug)]
pub struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// Blocks all signals.
    pub fn all() -> Blocked {
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are ours; with a valid `how` the call cannot fail.
        unsafe {
            let mut all = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Blocked { before: before.assume_init() }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the mask that `all` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// Blocks all signals until [`unblock_all`]. PID 1 gets no signal that it does not catch: a
/// TERM that comes before our handlers are there would be lost, but a blocked one waits.
pub fn block_all() {
    std::mem::forget(Blocked::all());
}

/// Blocks no signal any more, whatever our parent had blocked.
pub fn unblock_all() {
    // SAFETY: the set is ours; with a valid `how` the call cannot fail.
    unsafe {
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Signals that are blocked and taken one after the other by waiting: sigwaitinfo(2). For the
/// small init, which does nothing else.
#[derive(Debug)]
pub struct Queue {
    taken: libc::sigset_t,
    before: Mask,
}

impl Queue {
    /// Blocks these signals, for ever.
    pub fn take(signals: Mask) -> Queue {
        let taken = signals.to_libc();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are ours; with a valid `how` the call cannot fail.
        let before = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &taken, before.as_mut_ptr());
            before.assume_init()
        };
        Queue { taken, before: Mask::from_libc(&before) }
    }

    /// What was blocked before.
    pub fn before(&self) -> Mask {
        self.before
    }

    /// Waits for the next one.
    pub fn wait(&self) -> Signal {
        loop {
            // SAFETY: a set of ours, and no siginfo asked for.
            let number = unsafe { libc::sigwaitinfo(&self.taken, std::ptr::null_mut()) };
            if let Some(signal) = Signal::from_number(number) {
                return signal;
            }
        }
    }
}

/// Sends a signal to a process.
///
/// # Errors
/// ESRCH, EPERM.
pub fn kill(pid: Pid, signal: Signal) -> Result<(), Errno> {
    debug_assert!(pid.0 > 0);
    send(pid.0, signal.number())
}

/// Sends a signal to a process group, named by the pid of its leader.
///
/// # Errors
/// ESRCH: nobody is in it. EPERM: none of its members may be signalled by us.
pub fn kill_group(group: Pid, signal: Signal) -> Result<(), Errno> {
    // 0 and -1 would mean our own group and everybody.
    debug_assert!(group.0 > 1);
    send(-group.0, signal.number())
}

/// Whether anybody is in the process group, be it a zombie.
pub fn group_exists(group: Pid) -> bool {
    debug_assert!(group.0 > 1);
    send(-group.0, 0) != Err(Errno::ESRCH)
}

/// Sends a signal to every process but ourselves: kill(-1). Does nothing unless we are PID 1
/// of our namespace, for else they are not ours.
///
/// # Errors
/// ESRCH: there is nobody. EPERM: we are not PID 1, or none of them may be signalled.
pub fn kill_everything(signal: Signal) -> Result<(), Errno> {
    if !super::pid1::is_pid1() {
        return Err(Errno::EPERM);
    }
    send(-1, signal.number())
}

fn send(target: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::kill(target, signal) }).map(drop)
}
