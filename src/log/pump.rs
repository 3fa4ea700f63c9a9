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
//! A stream is in one of three modes. *Armed*: epoll says when there is something.
//! *Polled*: it wrote little and often, one write a line; it is off epoll and read once a
//! millisecond, so that a line costs neither it nor us a wake-up, until a read finds
//! nothing. *Waiting*: what it leads to takes no more; it is off epoll, its pipe fills, and
//! the child waits, which is what `when_full = "block"` means.
//!
//! What is held, at most: for each stream the beginning of one line (`max_line`); for each
//! of the two outputs a queue (256 KiB, 64 KiB for our own messages, and the lines of one
//! read); and one read buffer (256 KiB) for all. With the prefix of a 1-byte line 40 bytes
//! long, the lines of one formatted read (64 KiB) are 2.5 MiB at the very worst.

use super::cut::Cutter;
use super::delivery::{Delivery, Desk};
use super::follow::{Followed, FollowerId, Followers};
use super::format::{Look, Stamp};
use super::output::{BUSY_PIPE, Notice, Output};
use super::own;
use super::ring::{self, Ring, RingLine};
use super::stream::{Event, Mode, Route, Source, Stream, StreamId};
use crate::core::ids::{InstanceId, Pid};
use crate::core::plan::{LogLevel, LogPolicy, Sink, WhenFull};
use crate::core::time::Moment;
use ::log::warn;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{pipe2, read};
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
const READ: usize = 256 * 1024;
/// The largest read where each line is formatted.
const READ_FORMATTED: usize = 64 * 1024;
/// So many streams at once may have a [`BUSY_PIPE`]: all pipes of a user share 64 MiB, across
/// containers too, and beyond that everybody's new pipes are tiny (pipe-user-pages-soft).
const BUSY_PIPES: usize = 16;
/// After so many bytes a turn ends, so that the rest of PID 1 has its turn: about a millisecond.
const TURN: usize = 1024 * 1024;
/// Reads smaller than this are little.
const LITTLE: usize = 16 * 1024;
/// Two reads closer than this are often; also the time between two reads of a polled stream.
const TICK: Duration = Duration::from_millis(1);
/// So many pipes of one service's instance, each written by a run of it, may wait for the
/// container's log to move. A service that ends again and again while nobody reads would
/// take all descriptors otherwise.
const BACKLOG: usize = 32;
/// Events taken from epoll at once.
const EVENTS: usize = 64;
/// Tokens from here on are outputs, below it streams.
const FIRST_OUTPUT: u64 = u64::MAX - 1;

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
    epoll: AsyncFd<EpollFd>,
    /// Stdout and stderr; twice the same if both are the same file.
    outputs: [Arc<Mutex<Output>>; 2],
    look: Look,
    /// That of our own messages.
    own_look: Arc<Mutex<Look>>,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    next_serial: u32,
    polled: Vec<u32>,
    waiting: Vec<u32>,
    /// How many streams have a [`BUSY_PIPE`].
    grown: usize,
    /// Streams with lines dropped and not yet told.
    dropping: Vec<u32>,
    clock: Clock,
    next_tick: Option<Moment>,
    /// A turn has ended before all was read.
    has_more: bool,
    /// The last turn has begun.
    is_last: bool,
    /// By the numbers of the instances; nothing for those who never wrote.
    rings: Vec<Option<Box<Ring>>>,
    followers: Followers,
    desk: Desk,
}

struct EpollFd(Arc<Epoll>);

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
            own_look: Arc::new(Mutex::new(look)),
            streams: Vec::new(),
            free: Vec::new(),
            next_serial: 0,
            polled: Vec::new(),
            waiting: Vec::new(),
            grown: 0,
            dropping: Vec::new(),
            clock,
            next_tick: None,
            has_more: false,
            is_last: false,
            rings: Vec::new(),
            followers: Followers::default(),
            desk: Desk {
                // Zeroed by the kernel: only the pages that are used are there.
                buffer: vec![0; READ].into_boxed_slice(),
                before: Vec::new(),
                formatted: Vec::new(),
                stamp: Stamp::default(),
                at: (0, 0),
                events: VecDeque::new(),
            },
        })
    }

    /// Sends minisup's own messages (the `log` macros) to the container's stderr.
    pub fn take_own_messages(&self, level: LogLevel) {
        if own::install(Arc::clone(&self.outputs[1]), Arc::clone(&self.own_look), self.clock.wall, level)
            .is_err()
        {
            warn!("minisup's messages go where they went before");
        }
    }

    /// Lines look like this from now on, those of streams that are open too. `of` says which number
    /// stands in an instance's label, and its policy; nothing if it stays as it is.
    pub fn restyle(
        &mut self,
        level: LogLevel,
        look: Look,
        of: impl Fn(InstanceId) -> Option<(Option<u32>, LogPolicy)>,
    ) {
        own::set_level(level);
        self.look = look;
        *self.own_look.lock().unwrap_or_else(PoisonError::into_inner) = look;
        for stream in self.streams.iter_mut().flatten() {
            let Some((number, policy)) = of(stream.source.slot()) else { continue };
            stream.source.set_number(number);
            stream.look = look.with(&policy);
            stream.when_full = policy.when_full;
            stream.max_line = policy.max_line.try_into().unwrap_or(u32::MAX);
        }
    }

    /// Whether a stream with this sink needs a pipe at all; if not, the child gets the
    /// container's own descriptor (`Inherit`) or /dev/null (`Null`).
    pub fn needs_pipe(sink: Sink, is_watched: bool) -> bool {
        match sink {
            Sink::Forward => true,
            Sink::Inherit | Sink::Null => is_watched,
        }
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
        sink: Sink,
        policy: &LogPolicy,
        watch: Option<Regex>,
    ) -> io::Result<(StreamId, OwnedFd)> {
        if self.backlog(&source) >= BACKLOG {
            return Err(io::Error::other(format!(
                "{BACKLOG} pipes of earlier runs wait for a reader of the log"
            )));
        }
        let (fd, childs) = pipe2(OFlag::O_CLOEXEC)?;
        // The two ends are two descriptions: the child's stays blocking.
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let index = self.free.last().copied().unwrap_or(self.streams.len() as u32);
        self.epoll().add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(index)))?;
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let stream = Stream {
            fd,
            serial,
            route: match sink {
                Sink::Forward | Sink::Inherit => Route::Container(source.stream()),
                Sink::Null => Route::Discard,
            },
            mode: Mode::Armed,
            look: self.look.with(policy),
            when_full: policy.when_full,
            is_grown: false,
            max_line: policy.max_line.try_into().unwrap_or(u32::MAX),
            last_read: 0,
            dropped: 0,
            source,
            cutter: Cutter::default(),
            watch: watch.map(Box::new),
        };
        if self.free.pop().is_some() {
            self.streams[index as usize] = Some(stream);
        } else {
            self.streams.push(Some(stream));
        }
        Ok((StreamId { index, serial }, childs))
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

    /// The last lines of an instance, the oldest first, up to what it has written by now. Lines of
    /// several instances are merged by [`RingLine::at`].
    pub fn last_lines(&mut self, instance: InstanceId, count: usize) -> Vec<RingLine> {
        self.catch_up(instance);
        match self.rings.get(instance.index()) {
            Some(Some(ring)) => ring.last(count, instance),
            Some(None) | None => Vec::new(),
        }
    }

    /// Reads what an instance has written by now, but no more than its pipes hold.
    fn catch_up(&mut self, instance: InstanceId) {
        for index in 0..self.streams.len() as u32 {
            let is_its = |stream: &Stream| stream.source.slot() == instance;
            let mut left = BUSY_PIPE;
            while left > 0
                && self.streams[index as usize].as_ref().is_some_and(is_its)
                && !self.must_wait(index)
            {
                match self.read(index) {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
        }
    }

    /// The lines of an instance have been shown by now, in another way than the usual one.
    pub fn mark_shown(&mut self, instance: InstanceId) {
        if let Some(Some(ring)) = self.rings.get_mut(instance.index()) {
            ring.mark_shown();
        }
    }

    /// An instance is no more, or its number is to be another's: nobody asks for its lines again.
    pub fn forget_lines(&mut self, instance: InstanceId) {
        if let Some(ring) = self.rings.get_mut(instance.index()) {
            *ring = None;
        }
    }

    /// From now on the lines of these instances (`None`: of all) wait for [`take_followed`](Self::take_followed),
    /// up to [`QUEUE_LIMIT`](super::follow::QUEUE_LIMIT); [`Event::Followed`] tells when there are some.
    pub fn follow(&mut self, whose: Option<Box<[InstanceId]>>) -> FollowerId {
        self.followers.add(whose)
    }

    /// What has come for a follower, about so many bytes of it; empty when that was all.
    pub fn take_followed(&mut self, id: FollowerId, bytes: usize) -> Followed {
        self.followers.take(id, bytes)
    }

    /// The follower has gone.
    pub fn unfollow(&mut self, id: FollowerId) {
        self.followers.remove(id);
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.desk.events.pop_front()
    }

    /// Returns when [`turn`](Self::turn) has something to do. May be dropped at any time.
    pub async fn ready(&self) {
        if self.has_more {
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
        match self.next_tick {
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
                    index if is_over(event) => self.end(index as u32),
                    index => moved += self.serve(index as u32),
                }
            }
        };
        self.tell();
    }

    /// The last turn, after the last process: reads what is still in the pipes, ends all
    /// lines, and waits for the outputs, but not longer than this. The process ends next.
    pub fn finish(&mut self, within: Duration) {
        self.is_last = true;
        let until = (self.clock.now)() + within;
        // Most have ended and are empty: one question for all of them.
        let mut events = vec![EpollEvent::empty(); self.streams.len().max(1)];
        let count = self.epoll().wait(&mut events, 0u8).unwrap_or(0);
        for event in events[..count].iter().filter(|event| event.data() < FIRST_OUTPUT && is_over(event)) {
            self.end(event.data() as u32);
        }
        // A pipe's worth at most: somebody who is not ours may write for ever.
        let mut left_in = vec![BUSY_PIPE; self.streams.len()];
        loop {
            let mut moved = 0;
            for (index, left) in left_in.iter_mut().enumerate() {
                if *left > 0 && self.streams[index].is_some() && !self.must_wait(index as u32) {
                    let count = self.read(index as u32);
                    *left = left.saturating_sub(count);
                    moved += count;
                }
            }
            let is_waiting = self.outputs.iter().any(|o| lock(o).is_waiting());
            let left = until - (self.clock.now)();
            if left.is_zero() || (moved == 0 && !is_waiting) {
                break;
            }
            if is_waiting {
                self.wait_for_outputs(left);
            }
        }
        for index in 0..self.streams.len() as u32 {
            self.end(index);
        }
        self.tell();
        let until = until.max((self.clock.now)() + TICK);
        while self.outputs.iter().any(|o| lock(o).is_waiting()) {
            let left = until - (self.clock.now)();
            if left.is_zero() {
                break;
            }
            self.wait_for_outputs(left);
        }
        for output in &self.outputs {
            let (name, pending) = {
                let output = lock(output);
                (output.name(), output.pending())
            };
            if pending > 0 {
                warn!("{name} took no more: its last {pending} bytes are lost");
            }
        }
    }

    fn wait_for_outputs(&mut self, at_most: Duration) {
        let guards = self.outputs.each_ref().map(|o| {
            // Both may be one output, and a lock is taken once.
            o.try_lock().ok().filter(|o| o.is_waiting())
        });
        let mut fds: Vec<PollFd> =
            guards.iter().flatten().map(|o| PollFd::new(o.as_fd(), PollFlags::POLLOUT)).collect();
        let timeout = PollTimeout::try_from(at_most + TICK).unwrap_or(PollTimeout::MAX);
        // Interrupted or not: the caller looks at the clock.
        let _ = poll(&mut fds, timeout);
        drop(fds);
        drop(guards);
        for index in 0..self.outputs.len() {
            self.drain(index);
        }
    }

    fn epoll(&self) -> &Epoll {
        &self.epoll.get_ref().0
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id.index as usize)?.as_mut().filter(|s| s.serial == id.serial)
    }

    /// Reads the polled streams if it is time.
    fn tick(&mut self) -> usize {
        if self.next_tick.is_none_or(|at| (self.clock.now)() < at) {
            return 0;
        }
        let mut moved = 0;
        for index in std::mem::take(&mut self.polled) {
            moved += self.serve(index);
        }
        self.next_tick = (!self.polled.is_empty()).then(|| (self.clock.now)() + TICK);
        moved
    }

    /// Something may be there: reads it, unless it leads to where no more goes, and
    /// decides how it will be read next.
    fn serve(&mut self, index: u32) -> usize {
        if self.must_wait(index) {
            self.set_mode(index, Mode::Waiting);
            return 0;
        }
        let moved = self.read(index);
        let now = ((self.clock.now)().as_nanos() / 1_000_000) as u32;
        if let Some(stream) = &mut self.streams[index as usize] {
            let is_often = now.wrapping_sub(stream.last_read) <= TICK.as_millis() as u32 + 1;
            if moved > 0 {
                stream.last_read = now;
            }
            let next = if moved > 0 && moved < LITTLE && is_often { Mode::Polled } else { Mode::Armed };
            self.set_mode(index, next);
        }
        moved
    }

    fn must_wait(&self, index: u32) -> bool {
        match &self.streams[index as usize] {
            Some(Stream { route: Route::Container(std), when_full: WhenFull::Block, .. }) => {
                lock(&self.outputs[*std as usize]).is_waiting()
            }
            Some(_) | None => false,
        }
    }

    fn set_mode(&mut self, index: u32, mode: Mode) {
        let Some(stream) = &mut self.streams[index as usize] else { return };
        let epoll = &self.epoll.get_ref().0;
        let was = std::mem::replace(&mut stream.mode, mode);
        match (was, mode) {
            (Mode::Armed, Mode::Polled | Mode::Waiting) => {
                // It was added; the kernel has no reason to refuse.
                let _ = epoll.delete(&stream.fd);
            }
            (Mode::Polled | Mode::Waiting, Mode::Armed) => {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(index));
                if epoll.add(&stream.fd, event).is_err() {
                    // No memory: look at it again in a moment.
                    stream.mode = Mode::Polled;
                }
            }
            (Mode::Armed, Mode::Armed) | (Mode::Polled | Mode::Waiting, Mode::Polled | Mode::Waiting) => {}
        }
        match stream.mode {
            Mode::Armed => {}
            Mode::Polled => {
                self.polled.push(index);
                self.next_tick.get_or_insert_with(|| (self.clock.now)() + TICK);
            }
            Mode::Waiting => self.waiting.push(index),
        }
    }

    /// Reads once and delivers what came; how much that was.
    fn read(&mut self, index: u32) -> usize {
        let Some(stream) = &mut self.streams[index as usize] else { return 0 };
        let is_plain = stream.look.is_verbatim() && stream.watch.is_none();
        let size = if is_plain { READ } else { READ_FORMATTED };
        let count = loop {
            match read(&stream.fd, &mut self.desk.buffer[..size]) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return 0,
                // An error on a pipe is its end as well.
                Ok(0) | Err(_) => {
                    self.end(index);
                    return 0;
                }
                Ok(count) => break count,
            }
        };
        if count >= LITTLE && !stream.is_grown && self.grown < BUSY_PIPES {
            // Refused, it stays as it is.
            stream.is_grown = fcntl(&stream.fd, FcntlArg::F_SETPIPE_SZ(BUSY_PIPE as i32)).is_ok();
            self.grown += usize::from(stream.is_grown);
        }
        let buffer = std::mem::take(&mut self.desk.buffer);
        self.deliver(index, |cutter, max_line, to| cutter.feed(&buffer[..count], max_line, to));
        self.desk.buffer = buffer;
        count
    }

    /// The stream is over: gives on what is held, tells, and lets go.
    fn end(&mut self, index: u32) {
        if self.streams[index as usize].as_ref().is_some_and(|stream| !stream.cutter.is_empty()) {
            self.deliver(index, |cutter, _, to| cutter.end(to));
        }
        if let Some(stream) = &self.streams[index as usize] {
            self.desk.events.push_back(Event::Closed(StreamId { index, serial: stream.serial }));
            self.release(index);
        }
    }

    fn release(&mut self, index: u32) {
        let Some(stream) = self.streams[index as usize].take() else { return };
        self.free.push(index);
        self.grown -= usize::from(stream.is_grown);
        match stream.mode {
            // The process ends next, and the kernel closes all at once.
            Mode::Armed if self.is_last => std::mem::forget(stream.fd),
            // Closing would do, were it not for children that still hold a copy.
            Mode::Armed => drop(self.epoll().delete(&stream.fd)),
            Mode::Polled => self.polled.retain(|i| *i != index),
            Mode::Waiting => self.waiting.retain(|i| *i != index),
        }
        if stream.dropped > 0 {
            self.dropping.retain(|i| *i != index);
            let (name, count) = (stream.source.label(), stream.dropped);
            warn!("{name} has ended; {count} of its last lines were dropped");
        }
    }

    fn deliver(&mut self, index: u32, cut: impl FnOnce(&mut Cutter, usize, &mut Delivery)) {
        let Some(stream) = &mut self.streams[index as usize] else { return };
        self.desk.at = (self.clock.wall)();
        if stream.look.is_stamped() {
            self.desk.stamp.set(self.desk.at);
        }
        let slot = stream.source.slot().index();
        if self.rings.len() <= slot {
            self.rings.resize_with(slot + 1, || None);
        }
        let ring = self.rings[slot].get_or_insert_with(|| Box::new(Ring::new(ring::DEFAULT)));
        let followers = &mut self.followers;
        let mut cutter = std::mem::take(&mut stream.cutter);
        let output = match stream.route {
            Route::Discard => None,
            Route::Container(std) => Some(lock(&self.outputs[std as usize])),
        };
        let had_dropped = stream.dropped;
        let max_line = stream.max_line as usize;
        let mut delivery =
            Delivery { index, stream: &mut *stream, output, ring, followers, desk: &mut self.desk };
        cut(&mut cutter, max_line, &mut delivery);
        drop(delivery);
        stream.cutter = cutter;
        match (had_dropped, stream.dropped) {
            (0, 1..) => self.dropping.push(index),
            (1.., 0) => self.dropping.retain(|i| *i != index),
            (0, 0) | (1.., 1..) => {}
        }
    }

    /// An output takes more: gives it what waits, and wakes those who wait for it.
    fn drain(&mut self, number: usize) {
        if !lock(&self.outputs[number]).drain() {
            return;
        }
        for index in std::mem::take(&mut self.dropping) {
            self.deliver(index, |_, _, to| to.tell_dropped());
            if self.streams[index as usize].as_ref().is_some_and(|s| s.dropped > 0) {
                self.dropping.push(index);
            }
        }
        for index in std::mem::take(&mut self.waiting) {
            let next = if self.must_wait(index) { Mode::Waiting } else { Mode::Armed };
            self.set_mode(index, next);
        }
    }

    /// Tells what happened to the outputs.
    fn tell(&mut self) {
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
fn is_over(event: &EpollEvent) -> bool {
    !event.events().contains(EpollFlags::EPOLLIN)
}

/// A panic elsewhere while it was held left nothing half done that matters here.
fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
