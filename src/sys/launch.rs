//! From an order to a running program: clone(2) and execve(2), without waiting and without
//! fork's cost.
//!
//! [`launch`] returns as soon as there is a process; whether its exec succeeds is learned
//! later from a [`Verdict`], a descriptor to be polled. So an exec from a dead file system
//! hangs alone, and many execs run at once.
//!
//! A child that stays who we are shares our memory until it has executed its program
//! (CLONE_VM, as vfork has it, but we do not stop meanwhile): nothing is copied, however
//! large we are. A child that changes its credentials, capabilities or OOM score gets a
//! copy, for those belong to the memory as much as to the process: whoever shares our
//! memory as another user could be traced by that user, and the kernel writes one OOM score
//! for all who share.
//!
//! All that the child needs is prepared here as C arrays, in one place that lives until the
//! pipe of the verdict is at its end: the kernel closes it after the child has left our
//! memory, be it by exec or by its end.
//!
//! Nothing of ours leaks into the child because everything we open is close-on-exec, and
//! what we inherited is marked so at boot ([`fd::mark_inherited`](super::fd::mark_inherited)):
//! no launch walks through descriptors, however many there may be.
//!
//! The kernel does: it copies the whole table for the child (clone(2)), and closes all that is not for it by exec: with a
//! thousand services two thousand pipes, each time. So where there are many ([`fd::make_room`]) a child shares our table
//! at first (CLONE_FILES), and its first step takes from it only what lies below [`fd::KEPT`], where all is that is made
//! for a launch (close_range(2), CLOSE_RANGE_UNSHARE); what we keep for long lies above. Until it has said that it did
//! so nothing that it needs may be closed: [`Order::lends`] are held so long, and the pipe of the report with them.
//!
//! Meanwhile another child may be made, which takes these, too. So each closes at once what is not for it: else who
//! hangs in exec would keep another's verdict, and the end of another's output, from us. A child that has ended
//! before that was done is no matter for waiting: [`Verdict::of_dead`].

use super::child::{PARTED, Report, Task, child};
use super::fd;
use super::prepare::Block;
use super::signals::{self, Blocked};
use super::stack::Stack;
use super::words::Words;
use crate::core::ids::Pid;
use crate::core::plan::LaunchExtra;
use nix::errno::Errno;
use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::rc::Rc;

pub use super::child::Session;
pub use super::stage::{LaunchError, Stage};

/// What is to be launched, and how. `Order { argv, ..Order::default() }` runs `argv` in a
/// process group of its own, with an empty environment, and with our stdin, stdout and stderr.
#[derive(Debug, Default)]
pub struct Order<'a> {
    /// The program and its arguments. Without a `/` in it, the program is searched in the
    /// PATH of the environment below.
    pub argv: Words,
    /// The environment; may be shared by many.
    pub env: Rc<Words>,
    /// Variables of this launch alone, in place of those in `env` with the same names.
    pub more_env: Words,
    /// The name of a variable whose value is the child's own pid, like LISTEN_PID.
    pub pid_variable: Option<&'a str>,
    /// Where it reads.
    pub stdin: Stdio,
    /// Where it writes.
    pub stdout: Stdio,
    /// Where it complains.
    pub stderr: Stdio,
    /// Descriptors of ours and the numbers, above 2, at which the child finds them.
    pub fds: &'a [(RawFd, RawFd)],
    /// Those that are for the child alone: closed here as soon as it has them. If nothing else is given to it, it need
    /// not copy all that we have.
    pub lends: Vec<OwnedFd>,
    /// Session, group and terminal.
    pub session: Session,
    /// By this number the process and its descendants are known again: see [`mark`](super::mark).
    pub mark: Option<u32>,
    /// What few services set.
    pub extra: Option<&'a LaunchExtra>,
    /// Signals that the child has blocked: usually none.
    pub blocked: signals::Mask,
    /// Signals that the child ignores, of those that we ignore: usually none.
    pub ignored: signals::Mask,
}

/// What stdin, stdout or stderr of a child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// Ours.
    #[default]
    Inherit,
    /// /dev/null.
    Null,
    /// This one of ours.
    Fd(RawFd),
}

/// A process that was made.
#[derive(Debug)]
pub struct Launched {
    /// Its id, ours until it is reaped.
    pub pid: Pid,
    /// Whether it runs its program: not known yet.
    pub verdict: Verdict,
}

/// Whether a child executes its program. Readable (poll(2)) when it is known.
///
/// Dropped before it is known, it leaves what the child may still use where it is, for ever:
/// some kilobytes.
#[derive(Debug)]
pub struct Verdict {
    pipe: OwnedFd,
    /// What the child uses until it has descriptors of its own.
    lent: Vec<OwnedFd>,
    held: Option<Held>,
    failure: Option<LaunchError>,
}

/// What the child uses until it has its own memory.
#[derive(Debug)]
struct Held {
    block: Box<Block>,
    stack: Stack,
}

/// Makes a process and sets it on its way. Never waits.
///
/// # Errors
/// [`Stage::Arguments`], [`Stage::Pipe`] and [`Stage::Fork`]: there is no process. All that
/// fails later is told by the verdict, after which the process ends with exit code 127.
pub fn launch(mut order: Order<'_>) -> Result<Launched, LaunchError> {
    let program = &order.argv;
    let fail =
        |stage, errno: Errno| LaunchError { stage, errno: errno as i32, subject: program.first_lossy() };
    let nul = [&order.argv, &order.env, &order.more_env].into_iter().any(Words::has_nul);
    if nul || order.argv.is_empty() || order.pid_variable.is_some_and(|name| name.contains('\0')) {
        return Err(fail(Stage::Arguments, Errno::EINVAL));
    }
    let (pipe, report) = fd::report_pipe().map_err(|errno| fail(Stage::Pipe, errno))?;
    let null = if order.uses_null() { fd::null().map_err(|errno| fail(Stage::Stdio, errno))? } else { -1 };
    let stack = Stack::take().map_err(|error| fail(Stage::Fork, errno_of(&error)))?;
    let shares = !order.extra.is_some_and(changes_identity);
    let part_at = if order.can_part(null, report.as_raw_fd()) { fd::KEPT } else { 0 };
    let mut lent = std::mem::take(&mut order.lends);
    let mut block = Block::prepare(order, null, report.as_raw_fd(), shares, part_at)
        .map_err(|subject| LaunchError { stage: Stage::Arguments, errno: Errno::EINVAL as i32, subject })?;
    let mut pid = start(&mut block.task, &stack);
    if (shares || part_at > 0) && matches!(pid, Err(Errno::EINVAL | Errno::EPERM | Errno::ENOSYS)) {
        // Some sandboxes know no child that shares our memory, or our descriptors: it gets a copy.
        (block.task.shares, block.task.part_at) = (false, 0);
        pid = start(&mut block.task, &stack);
    }
    match block.task.part_at {
        0 => drop((report, std::mem::take(&mut lent))),
        _ => lent.push(report),
    }
    match pid {
        Ok(pid) => {
            let held = Some(Held { block, stack });
            Ok(Launched { pid, verdict: Verdict { pipe, lent, held, failure: None } })
        }
        Err(errno) => {
            stack.give_back();
            Err(LaunchError { stage: Stage::Fork, errno: errno as i32, subject: block.argv.first_lossy() })
        }
    }
}

/// Makes the process, which goes its own way at once.
fn start(task: &mut Task, stack: &Stack) -> Result<Pid, Errno> {
    let memory = if task.shares { libc::CLONE_VM } else { 0 };
    let files = if task.part_at > 0 { libc::CLONE_FILES } else { 0 };
    // No handler of ours may run in the child.
    let _blocked = Blocked::all();
    // SAFETY: the stack is the child's alone, and it and the task live until the verdict is
    // known or for ever (`Verdict::drop`). `child` keeps to the kernel and to the task.
    let pid = unsafe {
        libc::clone(child, stack.top(), libc::SIGCHLD | memory | files, ptr::from_mut(task).cast::<c_void>())
    };
    Errno::result(pid).map(Pid)
}

impl Order<'_> {
    /// Whether all that the child needs is there until it has descriptors of its own, and below those that we keep.
    fn can_part(&self, null: RawFd, report: RawFd) -> bool {
        let is_lent = |number: RawFd| self.lends.iter().any(|fd| fd.as_raw_fd() == number);
        let given = [self.stdin, self.stdout, self.stderr].into_iter().filter_map(|stdio| match stdio {
            Stdio::Fd(number) => Some(number),
            Stdio::Inherit | Stdio::Null => None,
        });
        let mut given = given.chain(self.fds.iter().map(|(from, _)| *from));
        !self.lends.is_empty()
            && given.all(|number| number < fd::KEPT && is_lent(number))
            && null < fd::KEPT
            && report < fd::KEPT
            && fd::children_part()
    }

    fn uses_null(&self) -> bool {
        [self.stdin, self.stdout, self.stderr].contains(&Stdio::Null)
    }

    /// Whether a variable of the shared environment gives way to one of this launch.
    pub(super) fn replaces(&self, variable: &[u8]) -> bool {
        let name = variable.split(|b| *b == b'=').next();
        let pid = self.pid_variable.map(str::as_bytes);
        pid == name || self.more_env.iter().any(|more| more.split(|b| *b == b'=').next() == name)
    }
}

impl Verdict {
    /// Whether the program runs, once it is known; `None` before. Never waits. To be asked
    /// until it answers; then it answers the same for ever.
    pub fn read(&mut self) -> Option<Result<(), LaunchError>> {
        loop {
            let mut bytes = [0u8; size_of::<Report>()];
            match nix::unistd::read(&self.pipe, &mut bytes) {
                // The child has said its last word, but is still on its way out: the end of
                // the pipe will follow.
                Ok(count) if count == bytes.len() => {
                    self.lent.clear();
                    if bytes[..4] != PARTED.to_ne_bytes() {
                        self.failure = self.explain(bytes);
                    }
                }
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        self.release();
        Some(self.failure.clone().map_or(Ok(()), Err))
    }

    /// Whether the program ran, of a process that has been reaped.
    pub fn of_dead(&mut self) -> Result<(), LaunchError> {
        self.lent.clear();
        // What it had to say it has said. The end may not have come yet: see `close_gaps`.
        let _ = self.read();
        self.release();
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            held.stack.give_back();
        }
    }

    fn explain(&self, bytes: [u8; size_of::<Report>()]) -> Option<LaunchError> {
        let word = |i: usize| i32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let held = self.held.as_ref()?;
        Some(held.block.explain(word(0), word(4), word(8)))
    }
}

impl AsRawFd for Verdict {
    fn as_raw_fd(&self) -> RawFd {
        self.pipe.as_raw_fd()
    }
}

impl AsFd for Verdict {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if self.held.is_some() && self.read().is_none() {
            std::mem::forget((self.held.take(), std::mem::take(&mut self.lent)));
        }
    }
}

/// Whether the child must have its own memory from the start: see the head of this file.
fn changes_identity(extra: &LaunchExtra) -> bool {
    extra.credentials.is_some()
        || extra.capabilities.is_some()
        || extra.oom_score_adj.is_some()
        || extra.no_new_privileges
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM))
}
