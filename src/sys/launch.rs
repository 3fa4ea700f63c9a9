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

use super::child::{Array, Extra, Identity, Move, Report, Task, child};
use super::signals::{self, Blocked};
use super::stack::Stack;
use super::words::Words;
use super::{fd, pid1};
use crate::core::exit::code;
use crate::core::ids::Pid;
use crate::core::plan::{LaunchExtra, Resource};
use nix::errno::Errno;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::rc::Rc;

pub use super::child::{Session, Stage};

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
    /// Session, group and terminal.
    pub session: Session,
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
    held: Option<Held>,
    failure: Option<LaunchError>,
}

/// What the child uses until it has its own memory.
#[derive(Debug)]
struct Held {
    block: Box<Block>,
    stack: Stack,
}

/// A launch that failed: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError {
    /// What was being done.
    pub stage: Stage,
    /// The kernel's answer.
    pub errno: i32,
    /// What it was done to: a program, a directory, a limit.
    pub subject: String,
}

/// Makes a process and sets it on its way. Never waits.
///
/// # Errors
/// [`Stage::Arguments`], [`Stage::Pipe`] and [`Stage::Fork`]: there is no process. All that
/// fails later is told by the verdict, after which the process ends with exit code 127.
pub fn launch(order: Order<'_>) -> Result<Launched, LaunchError> {
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
    let mut block = Block::prepare(order, null, report.as_raw_fd(), shares)
        .map_err(|subject| LaunchError { stage: Stage::Arguments, errno: Errno::EINVAL as i32, subject })?;
    let flags = libc::SIGCHLD | if shares { libc::CLONE_VM } else { 0 };
    let task: *mut Task = &raw mut block.task;
    let pid = {
        // No handler of ours may run in the child.
        let _blocked = Blocked::all();
        // SAFETY: the stack is the child's alone, and it and the task live until the verdict
        // is known or for ever (`Verdict::drop`). `child` keeps to the kernel and to the task.
        unsafe { libc::clone(child, stack.top(), flags, task.cast::<c_void>()) }
    };
    let errno = Errno::last();
    drop(report);
    if pid < 0 {
        let subject = block.argv.first_lossy();
        stack.give_back();
        return Err(LaunchError { stage: Stage::Fork, errno: errno as i32, subject });
    }
    Ok(Launched {
        pid: Pid(pid),
        verdict: Verdict { pipe, held: Some(Held { block, stack }), failure: None },
    })
}

impl Order<'_> {
    fn uses_null(&self) -> bool {
        [self.stdin, self.stdout, self.stderr].contains(&Stdio::Null)
    }

    /// Whether a variable of the shared environment gives way to one of this launch.
    fn replaces(&self, variable: &[u8]) -> bool {
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
                Ok(count) if count == bytes.len() => self.failure = self.explain(bytes),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        if let Some(held) = self.held.take() {
            held.stack.give_back();
        }
        Some(self.failure.clone().map_or(Ok(()), Err))
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
            std::mem::forget(self.held.take());
        }
    }
}

impl LaunchError {
    /// What a shell would answer: 127 if the program was not found, else 126.
    pub fn exit_code(&self) -> u8 {
        match (self.stage, self.errno) {
            (Stage::Exec | Stage::Interpreter, libc::ENOENT | libc::ENOTDIR) => code::NOT_FOUND,
            _ => code::NOT_EXECUTABLE,
        }
    }

    /// Whether the same order may succeed later: something was used up or busy.
    pub fn is_passing(&self) -> bool {
        let used_up = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EINTR];
        used_up.contains(&self.errno) || (self.stage == Stage::Exec && self.errno == libc::ETXTBSY)
    }

    /// The kernel's answer in words, lower case.
    pub fn reason(&self) -> String {
        lower(Errno::from_raw(self.errno).desc())
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.stage {
            Stage::Arguments => return write!(f, "cannot execute {subject:?}: a NUL or nothing at all"),
            Stage::Pipe => write!(f, "cannot launch {subject}: no pipe")?,
            Stage::Fork => write!(f, "cannot launch {subject}: no process")?,
            Stage::Stdio => write!(f, "cannot connect {subject}")?,
            Stage::Descriptors => write!(f, "cannot place descriptor {subject}")?,
            Stage::Session => write!(f, "cannot make a session for {subject}")?,
            Stage::Terminal => write!(f, "cannot hand the terminal to {subject}")?,
            Stage::Nice => write!(f, "cannot set nice to {subject}")?,
            Stage::OomScore => write!(f, "cannot set oom_score_adj to {subject}")?,
            Stage::Limits => write!(f, "cannot set the limit {subject}")?,
            Stage::Groups => write!(f, "cannot set supplementary groups {subject}")?,
            Stage::Group => write!(f, "cannot become group {subject}")?,
            Stage::User => write!(f, "cannot become user {subject}")?,
            Stage::Capabilities => write!(f, "cannot set {subject}")?,
            Stage::NoNewPrivileges => write!(f, "cannot set no_new_privileges")?,
            Stage::Directory => write!(f, "cannot change to directory {subject}")?,
            Stage::Interpreter => {
                return write!(f, "cannot execute {subject}: its interpreter does not exist");
            }
            Stage::Exec if self.errno == libc::ENOEXEC => {
                return write!(
                    f,
                    "cannot execute {subject}: neither a program for this machine nor a script with #!"
                );
            }
            Stage::Exec => write!(f, "cannot execute {subject}")?,
        }
        write!(f, ": {}", self.reason())
    }
}

impl std::error::Error for LaunchError {}

/// The task of a child, and all that its pointers point to.
#[derive(Debug)]
struct Block {
    task: Task,
    argv: Words,
    directory: Option<CString>,
    // Only the task's pointers read these, but for messages.
    _candidates: Words,
    _extra: Option<Box<Extra>>,
    _nofile: Option<Box<[u64; 2]>>,
    _env: Rc<Words>,
    _more_env: Words,
    _pointers: Vec<*const c_char>,
    _paths: Vec<*const c_char>,
    _pid_text: Vec<u8>,
    _moves: Vec<Move>,
    groups: Vec<u32>,
    _limits: Vec<(c_int, [u64; 2])>,
    oom_score: Vec<u8>,
}

impl Block {
    /// Everything as C arrays. The error is a word with a NUL in it.
    fn prepare(order: Order<'_>, null: RawFd, report: RawFd, shares: bool) -> Result<Box<Block>, String> {
        let candidates = candidates(&order);
        let mut pid_text = order.pid_variable.map_or(Vec::new(), |name| format!("{name}=").into_bytes());
        let value = pid_text.len();
        if value > 0 {
            pid_text.resize(value + 11, 0);
        }
        let mut pointers = Vec::with_capacity(order.argv.len() + order.env.len() + order.more_env.len() + 3);
        pointers.extend(order.argv.pointers());
        pointers.push(ptr::null());
        let envp = pointers.len();
        if value > 0 {
            pointers.push(pid_text.as_ptr().cast());
        }
        pointers.extend(order.more_env.pointers());
        let shared = order.env.iter().filter(|variable| !order.replaces(variable));
        pointers.extend(shared.map(|variable| variable.as_ptr().cast::<c_char>()));
        pointers.push(ptr::null());
        let mut paths: Vec<*const c_char> = candidates.pointers().collect();
        let (mut moves, stdio) = moves(&order, null);
        let above = lift_conflicts(&mut moves, report);
        let directory = order.extra.and_then(|extra| extra.directory.as_ref());
        let directory = directory.map(|path| CString::new(path.as_os_str().as_bytes()));
        let directory = directory.transpose().map_err(|_| "directory".to_string())?;
        let mut groups =
            order.extra.and_then(|e| e.credentials.as_ref()).map_or(Vec::new(), |c| c.groups.to_vec());
        let mut limits = order.extra.map_or(Vec::new(), prepared_limits);
        let oom = order.extra.and_then(|extra| extra.oom_score_adj);
        let mut oom_score = oom.map_or(Vec::new(), |score| score.to_string().into_bytes());
        let extra = order.extra.map(|extra| {
            Box::new(Extra {
                umask: extra.umask,
                nice: extra.nice,
                oom_score: array(&mut oom_score),
                limits: array(&mut limits),
                identity: extra.credentials.as_ref().map(|credentials| Identity {
                    uid: credentials.uid,
                    gid: credentials.gid,
                    groups: array(&mut groups),
                    already: pid1::is_identity(credentials.uid, credentials.gid),
                }),
                capabilities: extra.capabilities.as_deref().map(capability_bits),
                no_new_privileges: extra.no_new_privileges,
                directory: directory.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            })
        });
        let nofile = fd::raised_nofile().map(Box::new);
        let task = Task {
            report,
            session: order.session,
            moves: array(&mut moves),
            stdio,
            above,
            reset: signals::not_default() & !order.ignored.bits(),
            blocked: order.blocked.bits(),
            shares,
            // SAFETY: within the vector, which has 11 bytes from there on.
            pid_text: if value > 0 { unsafe { pid_text.as_mut_ptr().add(value) } } else { ptr::null_mut() },
            nofile: nofile.as_deref().map_or(ptr::null(), |values| values),
            extra: extra.as_deref().map_or(ptr::null(), |extra| extra),
            argv: pointers.as_ptr(),
            // SAFETY: within the vector: a NULL at least stands there.
            envp: unsafe { pointers.as_ptr().add(envp) },
            candidates: array(&mut paths),
        };
        Ok(Box::new(Block {
            task,
            argv: order.argv,
            directory,
            _candidates: candidates,
            _extra: extra,
            _nofile: nofile,
            _env: order.env,
            _more_env: order.more_env,
            _pointers: pointers,
            _paths: paths,
            _pid_text: pid_text,
            _moves: moves,
            groups,
            _limits: limits,
            oom_score,
        }))
    }

    /// The child's report in our words.
    fn explain(&self, stage: i32, errno: i32, detail: i32) -> LaunchError {
        let stage = Stage::ALL.into_iter().find(|s| *s as i32 == stage).unwrap_or(Stage::Exec);
        let subject = match stage {
            Stage::Stdio => ["stdin", "stdout", "stderr"][detail.clamp(0, 2) as usize].to_string(),
            Stage::Descriptors | Stage::Nice | Stage::Group | Stage::User => detail.to_string(),
            Stage::OomScore => String::from_utf8_lossy(&self.oom_score).into_owned(),
            Stage::Limits => resource_name(detail).to_string(),
            Stage::Groups => format!("{:?}", self.groups),
            Stage::Capabilities if detail >= 0 => format!("capability {detail}"),
            Stage::Capabilities => "capabilities".to_string(),
            Stage::Directory => {
                self.directory.as_ref().map_or(String::new(), |d| d.to_string_lossy().into_owned())
            }
            Stage::Arguments
            | Stage::Pipe
            | Stage::Fork
            | Stage::Session
            | Stage::Terminal
            | Stage::NoNewPrivileges
            | Stage::Interpreter
            | Stage::Exec => self.argv.first_lossy(),
        };
        LaunchError { stage, errno, subject }
    }
}

impl Stage {
    const ALL: [Stage; 18] = [
        Stage::Arguments,
        Stage::Pipe,
        Stage::Fork,
        Stage::Stdio,
        Stage::Descriptors,
        Stage::Session,
        Stage::Terminal,
        Stage::Nice,
        Stage::OomScore,
        Stage::Limits,
        Stage::Groups,
        Stage::Group,
        Stage::User,
        Stage::Capabilities,
        Stage::NoNewPrivileges,
        Stage::Directory,
        Stage::Interpreter,
        Stage::Exec,
    ];
}

fn array<T>(items: &mut Vec<T>) -> Array<T> {
    Array { items: items.as_mut_ptr(), count: items.len() }
}

/// Whether the child must have its own memory from the start: see the head of this file.
fn changes_identity(extra: &LaunchExtra) -> bool {
    extra.credentials.is_some()
        || extra.capabilities.is_some()
        || extra.oom_score_adj.is_some()
        || extra.no_new_privileges
}

/// Where the program may be, after execvp(3): the name itself if there is a slash in it, else
/// the name in each directory of PATH.
fn candidates(order: &Order<'_>) -> Words {
    const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut found = Words::new();
    let program = order.argv.iter().next().unwrap_or(b"");
    if program.contains(&b'/') || program.is_empty() {
        found.push(std::ffi::OsStr::from_bytes(program));
        return found;
    }
    let path = order.more_env.variable("PATH").or_else(|| order.env.variable("PATH"));
    for directory in path.unwrap_or(DEFAULT_PATH).split(|b| *b == b':') {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        found.push(std::ffi::OsStr::from_bytes(&[directory, slash, program].concat()));
    }
    found
}

/// What goes where, stdin, stdout and stderr first; and how many of these there are.
fn moves(order: &Order<'_>, null: RawFd) -> (Vec<Move>, usize) {
    let streams = [(order.stdin, 0), (order.stdout, 1), (order.stderr, 2)];
    let from = |stream| match stream {
        Stdio::Inherit => None,
        Stdio::Null => Some(null),
        Stdio::Fd(fd) => Some(fd),
    };
    let place = |(from, to)| Move { from, to, lift: false };
    let mut moves: Vec<Move> =
        streams.into_iter().filter_map(|(stream, to)| Some(place((from(stream)?, to)))).collect();
    let stdio = moves.len();
    moves.extend(order.fds.iter().copied().map(place));
    (moves, stdio)
}

/// Marks what must be copied out of the way first, and says where to: above every target, or
/// 0 if the report pipe may stay where it is.
fn lift_conflicts(moves: &mut [Move], report: RawFd) -> c_int {
    let highest = moves.iter().map(|step| step.to).max().unwrap_or(-1);
    for i in 0..moves.len() {
        let from = moves[i].from;
        moves[i].lift = moves.iter().enumerate().any(|(k, other)| k != i && other.to == from);
    }
    let lifts = moves.iter().any(|step| step.lift || step.to == report);
    if lifts { highest + 1 } else { 0 }
}

fn capability_bits(numbers: &[u8]) -> u64 {
    numbers.iter().filter(|n| **n < 64).fold(0, |bits, number| bits | 1 << number)
}

fn prepared_limits(extra: &LaunchExtra) -> Vec<(c_int, [u64; 2])> {
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
    extra.limits.iter().map(|l| (resource_number(l.resource), [value(l.soft), value(l.hard)])).collect()
}

fn resource_number(resource: Resource) -> c_int {
    let number = match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Rtprio => libc::RLIMIT_RTPRIO,
        Resource::Sigpending => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    number as c_int
}

/// The name a limit has in the configuration.
fn resource_name(number: c_int) -> &'static str {
    const NAMES: [(Resource, &str); 13] = [
        (Resource::As, "as"),
        (Resource::Core, "core"),
        (Resource::Cpu, "cpu"),
        (Resource::Data, "data"),
        (Resource::Fsize, "fsize"),
        (Resource::Memlock, "memlock"),
        (Resource::Msgqueue, "msgqueue"),
        (Resource::Nice, "nice"),
        (Resource::Nofile, "nofile"),
        (Resource::Nproc, "nproc"),
        (Resource::Rtprio, "rtprio"),
        (Resource::Sigpending, "sigpending"),
        (Resource::Stack, "stack"),
    ];
    NAMES.iter().find(|(resource, _)| resource_number(*resource) == number).map_or("?", |(_, name)| name)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM))
}

/// Without the capital letter of a sentence; abbreviations keep theirs.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_string(),
    }
}
