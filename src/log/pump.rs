//! All pipes of all children, and who is read when.
//!
//! A thousand services have two thousand pipes, so a stream is a small struct, not a task:
//! all pipes hang on one epoll, and its one descriptor wakes the loop of PID 1. There
//!
//! ```ignore
//! loop {
//!     select! {
//!         () = pump.ready() => pump.turn(),
//!         // signals, probes, the deadline …
//!     }
//!     while let Some(event) = pump.poll_event() { … }
//! }
//! ```
//!
//! A stream is in one of four modes. *Armed*: epoll says when there is something.
//! *Polled*: it wrote little and often, one write a line; it is off epoll and read once a
//! millisecond, so that a line costs neither it nor us a wake-up, until a read finds
//! nothing. *Filling*: it writes much, and is left alone for a moment so that much can be
//! moved at once (see `splice`). *Waiting*: what it leads to takes no more; it is off epoll, its pipe fills, and
//! the child waits, which is what `when_full = "block"` means.
//!
//! What is held, at most: for each stream the beginning of one line (`max_line`); for each
//! of the two outputs a queue (256 KiB, 64 KiB for our own messages, and the lines of one
//! read); and one read buffer (256 KiB) for all. With the prefix of a 1-byte line 40 bytes
//! long, the lines of one formatted read (64 KiB) are 2.5 MiB at the very worst.

use super::cut::Cutter;
use super::delivery::Desk;
use super::files::{Compression, Files};
use super::follow::Followers;
use super::format::Look;
use super::output::{Notice, Output};
use super::own::{self, Manner};
use super::ring::{self, Rings};
use super::splice::{Filling, Pending};
use super::stamp::Stamp;
use super::stream::{Event, Mode, Source, Stream, StreamId};
use crate::core::ids::{InstanceId, Pid};
use crate::core::plan::{LogLevel, LogPolicy, Sink, Sinks};
use crate::core::secrets::Secrets;
use crate::core::time::Moment;
use ::log::warn;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{isatty, pipe2};
use regex_lite::Regex;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// The largest read.
pub(super) const READ: usize = 256 * 1024;
/// The largest read where each line is formatted.
pub(super) const READ_FORMATTED: usize = 64 * 1024;
/// So many streams at once may have a [`BUSY_PIPE`]: all pipes of a user share 64 MiB, across
/// containers too, and beyond that everybody's new pipes are tiny (pipe-user-pages-soft).
pub(super) const BUSY_PIPES: usize = 16;
/// After so many bytes a turn ends, so that the rest of PID 1 has its turn: about a millisecond.
const TURN: usize = 1024 * 1024;
/// Reads smaller than this are little.
pub(super) const LITTLE: usize = 16 * 1024;
/// Two reads closer than this are often; also the time between two reads of a polled stream.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// So many pipes of one service's instance, each written by a run of it, may wait for the
/// container's log to move. A service that ends again and again while nobody reads would
/// take all descriptors otherwise.
const BACKLOG: usize = 32;
/// Events taken from epoll at once.
const EVENTS: usize = 64;
/// Tokens from here on are outputs.
pub(super) const FIRST_OUTPUT: u64 = u64::MAX - 1;
/// The token of the timer of filling streams; below it are streams.
pub(super) const TIMER: u64 = FIRST_OUTPUT - 1;

/// How the pump learns what time it is: `sys::clock`, handed in from above.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Now, for measuring.
    pub now: fn() -> Moment,
    /// Seconds and nanoseconds since 1970, for stamping.
    pub wall: Wall,
}

/// Seconds and nanoseconds since 1970.
pub type Wall = fn() -> (i64, u32);

/// See the head of this file.
pub struct Pump {
    pub(super) epoll: AsyncFd<EpollFd>,
    /// Stdout and stderr; twice the same if both are the same file.
    pub(super) outputs: [Arc<Mutex<Output>>; 2],
    look: Look,
    /// That of our own messages.
    own_manner: Arc<Mutex<Manner>>,
    /// Whether prefixes on stdout, and on stderr, are coloured.
    is_coloured: [bool; 2],
    pub(super) streams: Vec<Option<Stream>>,
    pub(super) free: Vec<u32>,
    pub(super) next_serial: u32,
    pub(super) polled: Vec<u32>,
    pub(super) waiting: Vec<u32>,
    pub(super) filling: Filling,
    pub(super) pending: Option<Pending>,
    pub(super) keep: fn(OwnedFd) -> OwnedFd,
    /// How many streams have a [`BUSY_PIPE`].
    pub(super) grown: usize,
    /// Streams with lines dropped and not yet told.
    pub(super) dropping: Vec<u32>,
    pub(super) clock: Clock,
    pub(super) next_tick: Option<Moment>,
    /// A turn has ended before all was read.
    pub(super) has_more: bool,
    /// The last turn has begun.
    pub(super) is_last: bool,
    pub(super) rings: Rings,
    pub(super) files: Files,
    pub(super) followers: Followers,
    pub(super) desk: Desk,
}

pub(super) struct EpollFd(pub(super) Arc<Epoll>);

impl AsRawFd for EpollFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Pump {
    /// A pump to this process's own stdout and stderr. Call it within a tokio runtime.
    ///
    /// # Errors
    /// No descriptor is free (EMFILE, ENFILE), or no memory.
    pub fn new(look: Look, clock: Clock) -> io::Result<Pump> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Pump::to(stdout, stderr, look, clock)
    }

    /// A pump to these descriptors.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn to(stdout: OwnedFd, stderr: OwnedFd, look: Look, clock: Clock) -> io::Result<Pump> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let is_same = Output::is_same_file(&stdout, &stderr);
        // no-color.org.
        let may_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let is_coloured = [&stdout, &stderr].map(|fd| may_colour && isatty(fd).unwrap_or(false));
        let output = |name, fd, token| Arc::new(Mutex::new(Output::new(name, fd, Arc::clone(&epoll), token)));
        let first = output("stdout", stdout, FIRST_OUTPUT);
        let second = if is_same { Arc::clone(&first) } else { output("stderr", stderr, FIRST_OUTPUT + 1) };
        // Deprecated because a type might close its descriptor early; ours lives as long as the
        // Arc. The replacement is an unsafe function, and this room has none.
        #[expect(deprecated)]
        let epoll = AsyncFd::with_interest(EpollFd(epoll), Interest::READABLE)?;
        Ok(Pump {
            epoll,
            outputs: [first, second],
            look,
            own_manner: Arc::new(Mutex::new(Manner { look, secrets: Secrets::default() })),
            is_coloured,
            streams: Vec::new(),
            free: Vec::new(),
            next_serial: 0,
            polled: Vec::new(),
            waiting: Vec::new(),
            filling: Filling::default(),
            pending: None,
            keep: |fd| fd,
            grown: 0,
            dropping: Vec::new(),
            clock,
            next_tick: None,
            has_more: false,
            is_last: false,
            rings: Rings::default(),
            files: Files::default(),
            followers: Followers::default(),
            desk: Desk {
                // Zeroed by the kernel: only the pages that are used are there.
                buffer: vec![0; READ].into_boxed_slice(),
                page: Vec::new(),
                stamp: Stamp::default(),
                at: (0, 0),
                events: VecDeque::new(),
            },
        })
    }

    /// Has it keep its ends of pipes where this function puts them.
    #[must_use]
    pub fn keeping(mut self, keep: fn(OwnedFd) -> OwnedFd) -> Pump {
        self.keep = keep;
        self
    }

    /// Sends minisup's own messages (the `log` macros) to the container's stderr.
    pub fn take_own_messages(&self, level: LogLevel, secrets: Secrets) {
        self.manner().secrets = secrets;
        let (output, manner) = (Arc::clone(&self.outputs[1]), Arc::clone(&self.own_manner));
        if own::install(output, manner, self.clock.wall, level).is_err() {
            warn!("minisup's messages go where they went before");
        }
    }

    fn manner(&self) -> MutexGuard<'_, Manner> {
        self.own_manner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines go there and look like this from now on, those of streams that are open too. `of` says
    /// which number stands in an instance's label, where its stdout and stderr lead, and its policy;
    /// nothing if it stays as it is. A stream without a pipe stays as it is until the next
    /// launch, and one with a pipe keeps it: `Inherit` means `Forward` here.
    pub fn restyle(
        &mut self,
        level: LogLevel,
        look: Look,
        secrets: Secrets,
        of: impl Fn(InstanceId) -> Option<(Option<u32>, [Sinks; 2], LogPolicy)>,
    ) {
        own::set_level(level);
        self.look = look;
        *self.manner() = Manner { look, secrets };
        for index in 0..self.streams.len() as u32 {
            let Some(stream) = &mut self.streams[index as usize] else { continue };
            let Some((number, sinks, policy)) = of(stream.source.slot()) else { continue };
            stream.source.set_number(number);
            let is_waiting = stream.mode == Mode::Waiting;
            let sinks = &sinks[stream.source.stream() as usize];
            self.lead(index, sinks, &policy);
            if is_waiting {
                // What it waited for may not be where it leads any more.
                self.waiting.retain(|waiting| *waiting != index);
                self.set_mode(index, Mode::Armed);
            }
        }
    }

    /// Whether a stream with these sinks needs a pipe at all; if not, the child gets the
    /// container's own descriptor (`Inherit`) or /dev/null (`Null`).
    pub fn needs_pipe(sinks: &[Sink], is_watched: bool) -> bool {
        is_watched || sinks.iter().any(Sink::is_read)
    }

    /// Makes a pipe for a child's stream. The descriptor is the child's end: blocking,
    /// close-on-exec; close it here once the child has it, or the stream never ends.
    /// A watched `Inherit` becomes `Forward`.
    ///
    /// # Errors
    /// No descriptor is free (EMFILE, ENFILE), no memory, or too many earlier pipes of the same
    /// source are not read because nobody reads the container's: try again later.
    pub fn open(
        &mut self,
        source: Source,
        sinks: &[Sink],
        policy: &LogPolicy,
        watch: Option<Regex>,
    ) -> io::Result<(StreamId, OwnedFd)> {
        if self.backlog(&source) >= BACKLOG {
            return Err(io::Error::other(format!(
                "{BACKLOG} pipes of earlier runs wait for a reader of the log"
            )));
        }
        let (fd, childs) = pipe2(OFlag::O_CLOEXEC)?;
        let fd = (self.keep)(fd);
        // The two ends are two descriptions: the child's stays blocking.
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let index = self.free.last().copied().unwrap_or(self.streams.len() as u32);
        self.epoll().add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(index)))?;
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let stream = Stream {
            fd,
            serial,
            container: None,
            mode: Mode::Armed,
            look: self.look,
            when_full: policy.when_full,
            is_grown: false,
            max_line: 0,
            ring: 0,
            last_read: 0,
            dropped: 0,
            source,
            cutter: Cutter::default(),
            watch: watch.map(Box::new),
            files: Box::default(),
        };
        if self.free.pop().is_some() {
            self.streams[index as usize] = Some(stream);
        } else {
            self.streams.push(Some(stream));
        }
        self.lead(index, sinks, policy);
        Ok((StreamId { index, serial }, childs))
    }

    fn lead(&mut self, index: u32, sinks: &[Sink], policy: &LogPolicy) {
        let Some(stream) = &mut self.streams[index as usize] else { return };
        let std = stream.source.stream();
        let number = stream.source.instance().unwrap_or(0);
        let mut files = Vec::new();
        let mut to_container = false;
        let mut ring = ring::DEFAULT;
        for sink in sinks {
            match sink {
                Sink::Forward | Sink::Inherit => to_container = true,
                Sink::Null => {}
                Sink::File(file) => files.extend(self.files.open(file, number)),
                Sink::Ring(size) => ring = *size,
            }
        }
        let before = std::mem::replace(&mut stream.files, files.into());
        before.iter().for_each(|id| self.files.close(*id));
        stream.container = to_container.then_some(std);
        stream.look = Look { is_coloured: self.is_coloured[std as usize], ..self.look.with(policy) };
        stream.when_full = policy.when_full;
        stream.max_line = policy.max_line.try_into().unwrap_or(u32::MAX);
        stream.ring = ring;
    }

    /// Opens all log files of ours anew, as logrotate(8) asks for.
    pub fn reopen_files(&mut self) {
        self.files.reopen((self.clock.now)());
    }

    /// An old log file that is to be compressed by another process, one at a time. Tell
    /// [`compressed`](Self::compressed) how it went.
    pub fn compress(&mut self) -> Option<Compression> {
        self.files.compress()
    }

    /// The process that compresses has ended; `Err`: why it could not.
    pub fn compressed(&mut self, result: Result<(), String>) {
        self.files.compressed(result);
    }

    /// How many pipes with this label have something to read that does not go on.
    fn backlog(&self, source: &Source) -> usize {
        let waiting = self.waiting.iter().filter_map(|index| self.streams[*index as usize].as_ref());
        waiting.filter(|stream| stream.source.label() == source.label()).count()
    }

    /// Tells the first line that matches from now on.
    pub fn watch(&mut self, id: StreamId, regex: Regex) {
        if let Some(stream) = self.stream(id) {
            stream.watch = Some(Box::new(regex));
        }
    }

    /// Closes a stream unread, as after a launch that failed. Nothing is told of it.
    pub fn forget(&mut self, id: StreamId) {
        if self.stream(id).is_some() {
            self.release(id.index);
        }
    }

    /// The main process of the stream's instance is known now.
    pub fn set_pid(&mut self, id: StreamId, pid: Pid) {
        if let Some(stream) = self.stream(id) {
            stream.source.set_pid(pid);
        }
    }

    /// What one main process wrote to, its heir writes to.
    pub fn hand_over(&mut self, from: Pid, to: Pid) {
        for stream in self.streams.iter_mut().flatten().filter(|stream| stream.source.pid() == Some(from)) {
            stream.source.set_pid(to);
        }
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.desk.events.pop_front()
    }

    /// Returns when [`turn`](Self::turn) has something to do. May be dropped at any time.
    pub async fn ready(&self) {
        if self.has_more || !self.desk.events.is_empty() {
            // Signals and deadlines come first: the runtime sees to them while we yield.
            tokio::task::yield_now().await;
            return;
        }
        let woken = async {
            match self.epoll.readable().await {
                // Cleared before it is read empty: whatever comes in between is told again.
                Ok(mut guard) => guard.clear_ready(),
                // The runtime is shutting down; nobody will ask again.
                Err(_) => std::future::pending().await,
            }
        };
        let file = self.files.retry_at();
        match self.next_tick.into_iter().chain(file).min() {
            None => woken.await,
            Some(at) => drop(timeout(at - (self.clock.now)(), woken).await),
        }
    }

    /// Whether [`turn`](Self::turn) has something to do at once, which nothing tells us of.
    pub fn is_due(&self) -> bool {
        self.has_more || self.next_tick.is_some_and(|at| at <= (self.clock.now)())
    }

    /// Moves what can be moved without waiting, for about a millisecond at most.
    pub fn turn(&mut self) {
        let mut moved = self.tick();
        let mut events = [EpollEvent::empty(); EVENTS];
        self.has_more = loop {
            if moved >= TURN {
                break true;
            }
            let count = match self.epoll().wait(&mut events, 0u8) {
                Ok(0) => break false,
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // Every other error means that the descriptor is no epoll.
                Err(_) => break false,
            };
            for event in &events[..count] {
                // What is left is told again.
                if moved >= TURN {
                    break;
                }
                match event.data() {
                    token @ FIRST_OUTPUT.. => self.drain((token - FIRST_OUTPUT) as usize),
                    TIMER => moved += self.look_again(),
                    index if is_over(event) => self.end(index as u32),
                    index => moved += self.serve(index as u32),
                }
            }
        };
        self.tell();
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll.get_ref().0
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id.index as usize)?.as_mut().filter(|s| s.serial == id.serial)
    }

    /// Tells what happened to the outputs.
    pub(super) fn tell(&mut self) {
        self.files.retry((self.clock.now)());
        for output in &self.outputs {
            let (name, notices) = {
                let mut output = lock(output);
                (output.name(), output.take_notices())
            };
            for notice in notices {
                match notice {
                    Notice::Failing(errno) => {
                        warn!(
                            "cannot write to {name}: {}: lines are lost until it can be written",
                            errno.desc()
                        );
                    }
                    Notice::Working(count) => warn!("{name} can be written again: {count} lines were lost"),
                    Notice::OwnDropped(count) => warn!("{count} messages of minisup were dropped"),
                }
            }
        }
    }
}

/// Whether the pipe is empty and nobody can write to it any more (poll(2)).
pub(super) fn is_over(event: &EpollEvent) -> bool {
    !event.events().contains(EpollFlags::EPOLLIN)
}

/// A panic elsewhere while it was held left nothing half done that matters here.
pub(super) fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
