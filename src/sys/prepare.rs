//! What execve(2), dup3(2), prlimit(2) and their like want to be given: everything that a child
//! needs, as C arrays, made before there is a child.

use super::child::{Array, Extra, Identity, Move, Task};
use super::launch::{Order, Stdio};
use super::stage::{LaunchError, Stage};
use super::words::Words;
use super::{fd, mark, pid1, signals};
use crate::core::plan::{LaunchExtra, Resource};
use crate::core::sorted::Set;
use std::ffi::{CString, c_char, c_int};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::rc::Rc;

/// The task of a child, and all that its pointers point to.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) task: Task,
    pub(super) argv: Words,
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
    _gaps: Vec<[c_int; 2]>,
    groups: Vec<u32>,
    _limits: Vec<(c_int, [u64; 2])>,
    oom_score: Vec<u8>,
}

impl Block {
    /// Everything as C arrays. The error is a word with a NUL in it.
    pub(super) fn prepare(
        order: Order<'_>,
        null: RawFd,
        report: RawFd,
        shares: bool,
        part_at: c_int,
    ) -> Result<Box<Block>, String> {
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
        let mut gaps = if fd::children_part() { gaps(&moves) } else { Vec::new() };
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
            part_at,
            gaps: array(&mut gaps),
            session: order.session,
            moves: array(&mut moves),
            stdio,
            above,
            reset: signals::not_default() & !order.ignored.bits(),
            blocked: order.blocked.bits(),
            shares,
            // SAFETY: within the vector, which has 11 bytes from there on.
            pid_text: if value > 0 { unsafe { pid_text.as_mut_ptr().add(value) } } else { ptr::null_mut() },
            mark: order.mark.and_then(mark::values),
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
            _gaps: gaps,
            groups,
            _limits: limits,
            oom_score,
        }))
    }

    /// The child's report in our words.
    pub(super) fn explain(&self, stage: i32, errno: i32, detail: i32) -> LaunchError {
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

fn array<T>(items: &mut Vec<T>) -> Array<T> {
    Array { items: items.as_mut_ptr(), count: items.len() }
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

/// What lies between and above stdin, stdout, stderr and the targets.
fn gaps(moves: &[Move]) -> Vec<[c_int; 2]> {
    let taken: Set<c_int> = moves.iter().map(|step| step.to).chain(0..3).collect();
    let ends = taken.iter().skip(1).map(|next| next - 1).chain([c_int::MAX]);
    let between = taken.iter().zip(ends).map(|(before, last)| [before + 1, last]);
    between.filter(|[first, last]| first <= last).collect()
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
