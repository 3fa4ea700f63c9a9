//! What leads to one pipe just as it came, moved there without a look at it.
//!
//! splice(2) hangs the pages of a child's pipe into the container's. That costs no copy, but
//! nobody sees what they hold, and two things must be known of every stream: that no line
//! is open when somebody else writes, and what its last lines are. Both are found at the end
//! of what it has written, so the end is read and only the rest is moved:
//!
//! ```text
//! the child's pipe: │◄──────────── moved unseen ───────────►│◄──────── the end ───────►│
//!                      …   a line ⏎   another line ⏎   one t│hat goes on ⏎   …   ⏎   beg
//! ```
//!
//! - The end is longer than a line may be. So the line that is open between the two ends there,
//!   or is too long, and is cut there as any that is. All this is one step of PID 1: what is written
//!   next, by another stream or by minisup itself, stands at the start of a line, and any
//!   number of streams may lead to one pipe.
//! - The end is no shorter than the instance's ring, and would push out all that is in it
//!   and all that was moved. The ring is emptied first: no two lines stand side by side in it
//!   that did not before.
//!
//! For this much must be in the pipe, and a pump that is quicker than the child never finds
//! much. So a busy stream is left alone for a moment, *filling*, and then looked at. A timer
//! says when: tokio's know only milliseconds, and in one of these a child can fill its pipe
//! of 1 MiB three times.
//!
//! Whatever needs a look at every byte is read as usual: another format, a file, a follower, a
//! watched line, a `max_line` below the default, an output that is no pipe. This is asked each
//! time anew, for each of them may come and go while a stream is open.

use super::cut::Cutter;
use super::pump::{Pump, READ, TIMER, lock};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsFd, BorrowedFd};

/// How many bytes are in a pipe: `sys::fd::pending`, handed in from above.
pub type Pending = fn(BorrowedFd<'_>) -> usize;

/// How long a pipe is left to fill: a child that does nothing but write fills half of it.
const MOMENT_MICROS: i64 = 200;
/// Less is not worth it, for the end is read every time.
const WORTH: usize = 128 * 1024;
/// The default of `max_line`. A line that is moved unseen is not cut.
const USUAL_LINE: u32 = 64 * 1024;
/// To move a page costs about so much less than to read and write it.
const CHEAPER: usize = 8;

/// Streams that are left alone for a moment.
#[derive(Default)]
pub(super) struct Filling {
    streams: Vec<u32>,
    timer: Option<TimerFd>,
}

impl Filling {
    /// Leaves a stream alone until the timer wakes `epoll`. False if there is no timer to be had.
    pub(super) fn add(&mut self, index: u32, epoll: &Epoll) -> bool {
        if self.timer.is_none() {
            self.timer = new_timer(epoll);
        }
        let Some(timer) = &self.timer else { return false };
        let moment = Expiration::OneShot(TimeSpec::microseconds(MOMENT_MICROS));
        if self.streams.is_empty() && timer.set(moment, TimerSetTimeFlags::empty()).is_err() {
            return false;
        }
        self.streams.push(index);
        true
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.streams.retain(|i| *i != index);
    }
}

fn new_timer(epoll: &Epoll) -> Option<TimerFd> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
    epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER)).ok()?;
    Some(timer)
}

/// What a stream's pipe is good for now.
pub(super) enum Worth {
    /// To be read as usual.
    Reading,
    /// It could be moved, but there is too little of it, or too little room for it.
    Waiting,
    /// So many bytes can be moved unseen, and so many after them are to be read.
    Moving(usize, usize),
}

impl Pump {
    /// Lets it move bytes unseen, by this way to know how many there are.
    #[must_use]
    pub fn splicing(mut self, pending: Pending) -> Pump {
        self.pending = Some(pending);
        self
    }

    pub(super) fn worth(&mut self, index: u32) -> Worth {
        let (Some(stream), Some(pending)) = (&self.streams[index as usize], self.pending) else {
            return Worth::Reading;
        };
        let needs_no_look = stream.look.is_verbatim() && stream.max_line >= USUAL_LINE;
        let nobody_looks = stream.files.is_empty() && stream.watch.is_none() && self.followers.is_empty();
        let Some(std) = stream.container else { return Worth::Reading };
        if !stream.is_grown || !needs_no_look || !nobody_looks || stream.dropped > 0 {
            return Worth::Reading;
        }
        let ring = self.rings.of(stream.source.slot(), stream.ring).map_or(0, |ring| ring.limit());
        let end = ring.max(Cutter::longest(stream.max_line as usize) + 1);
        let mut output = lock(&self.outputs[std as usize]);
        if end > READ || !output.takes_pages() {
            return Worth::Reading;
        }
        let unseen = pending(stream.fd.as_fd()).saturating_sub(end);
        if unseen >= WORTH && output.pipe_size().saturating_sub(pending(output.as_fd())) >= WORTH {
            Worth::Moving(unseen, end)
        } else {
            Worth::Waiting
        }
    }

    /// Moves what is worth [`Moving`](Worth::Moving), and reads the end. What that cost, in bytes read.
    pub(super) fn splice(&mut self, index: u32, unseen: usize, end: usize) -> usize {
        let Some(stream) = &mut self.streams[index as usize] else { return 0 };
        let Some(std) = stream.container else { return 0 };
        let moved = {
            let mut output = lock(&self.outputs[std as usize]);
            // The beginning of the line that goes on there.
            output.write(&stream.cutter.take(), b"");
            output.pass(&stream.fd, unseen)
        };
        if let Some(ring) = self.rings.of(stream.source.slot(), stream.ring) {
            ring.clear();
        }
        let read = self.take(index, end);
        let held = self.streams[index as usize].as_ref().map_or(0, |stream| stream.cutter.len());
        // The end of the line did not come, as of a pipe that its child made one of packets (O_DIRECT,
        // pipe(2)): they are read one by one.
        if held == read {
            lock(&self.outputs[std as usize]).tear();
        }
        read + moved / CHEAPER
    }

    /// Looks at those that were left alone.
    pub(super) fn look_again(&mut self) -> usize {
        let streams = std::mem::take(&mut self.filling.streams);
        let moved = streams.into_iter().map(|index| self.serve(index)).sum();
        if self.filling.streams.is_empty()
            && let Some(timer) = &self.filling.timer
        {
            // It is ours; the kernel has no reason to refuse.
            let _ = timer.unset();
        }
        moved
    }
}
