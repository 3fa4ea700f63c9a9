//! Who is read when, and what is read of him.
//!
//! The second half of [`pump`](super::pump), whose head tells the four modes of a stream.

use super::cut::Cutter;
use super::delivery::Delivery;
use super::output::BUSY_PIPE;
use super::pump::{BUSY_PIPES, LITTLE, Pump, READ, READ_FORMATTED, TICK, lock};
use super::splice::Worth;
use super::stream::{Event, Mode, Stream, StreamId};
use crate::core::plan::WhenFull;
use ::log::warn;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::unistd::read;

impl Pump {
    /// Reads the polled streams if it is time.
    pub(super) fn tick(&mut self) -> usize {
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
    pub(super) fn serve(&mut self, index: u32) -> usize {
        if self.must_wait(index) {
            self.set_mode(index, Mode::Waiting);
            return 0;
        }
        let now = ((self.clock.now)().as_nanos() / 1_000_000) as u32;
        let Some(stream) = &self.streams[index as usize] else { return 0 };
        let since = now.wrapping_sub(stream.last_read);
        let is_often = since <= TICK.as_millis() as u32 + 1;
        let was = stream.mode;
        let (moved, next) = match (self.worth(index), was) {
            (Worth::Moving(unseen, end), _) => {
                let next =
                    if since == 0 || unseen + end >= BUSY_PIPE / 2 { Mode::Filling } else { Mode::Polled };
                (self.splice(index, unseen, end), next)
            }
            (Worth::Waiting, Mode::Armed) if is_often => (0, Mode::Filling),
            (Worth::Waiting, Mode::Filling) if since <= TICK.as_millis() as u32 => (0, Mode::Filling),
            (Worth::Waiting | Worth::Reading, _) => match self.read(index) {
                moved @ 1..LITTLE if is_often => (moved, Mode::Polled),
                moved => (moved, Mode::Armed),
            },
        };
        if let Some(stream) = &mut self.streams[index as usize] {
            if moved > 0 {
                stream.last_read = now;
            }
            self.set_mode(index, next);
        }
        moved
    }

    pub(super) fn must_wait(&self, index: u32) -> bool {
        match &self.streams[index as usize] {
            Some(Stream { container: Some(std), when_full: WhenFull::Block, .. }) => {
                lock(&self.outputs[*std as usize]).is_waiting()
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn set_mode(&mut self, index: u32, mode: Mode) {
        let Some(stream) = &mut self.streams[index as usize] else { return };
        let epoll = &self.epoll.get_ref().0;
        let was = std::mem::replace(&mut stream.mode, mode);
        match (was == Mode::Armed, mode == Mode::Armed) {
            (true, false) => {
                // It was added; the kernel has no reason to refuse.
                let _ = epoll.delete(&stream.fd);
            }
            (false, true) => {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(index));
                if epoll.add(&stream.fd, event).is_err() {
                    // No memory: look at it again in a moment.
                    stream.mode = Mode::Polled;
                }
            }
            (true, true) | (false, false) => {}
        }
        if stream.mode == Mode::Filling && !self.filling.add(index, epoll) {
            stream.mode = Mode::Polled;
        }
        match stream.mode {
            Mode::Armed | Mode::Filling => {}
            Mode::Polled => {
                self.polled.push(index);
                self.next_tick.get_or_insert_with(|| (self.clock.now)() + TICK);
            }
            Mode::Waiting => self.waiting.push(index),
        }
    }

    /// Reads once and delivers what came; how much that was.
    pub(super) fn read(&mut self, index: u32) -> usize {
        let Some(stream) = &mut self.streams[index as usize] else { return 0 };
        let is_plain = stream.watch.is_none() && stream.is_verbatim(&mut self.files);
        self.take(index, if is_plain { READ } else { READ_FORMATTED })
    }

    /// The same, so many bytes at most.
    pub(super) fn take(&mut self, index: u32, size: usize) -> usize {
        let Some(stream) = &mut self.streams[index as usize] else { return 0 };
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
    pub(super) fn end(&mut self, index: u32) {
        if self.streams[index as usize].as_ref().is_some_and(|stream| !stream.cutter.is_empty()) {
            self.deliver(index, |cutter, _, to| cutter.end(to));
        }
        if let Some(stream) = &self.streams[index as usize] {
            self.desk.events.push_back(Event::Closed(StreamId { index, serial: stream.serial }));
            self.release(index);
        }
    }

    pub(super) fn release(&mut self, index: u32) {
        let Some(stream) = self.streams[index as usize].take() else { return };
        self.free.push(index);
        self.grown -= usize::from(stream.is_grown);
        stream.files.iter().for_each(|id| self.files.close(*id));
        match stream.mode {
            // The process ends next, and the kernel closes all at once.
            Mode::Armed if self.is_last => std::mem::forget(stream.fd),
            // Closing would do, were it not for children that still hold a copy.
            Mode::Armed => drop(self.epoll().delete(&stream.fd)),
            Mode::Polled => self.polled.retain(|i| *i != index),
            Mode::Filling => self.filling.remove(index),
            Mode::Waiting => self.waiting.retain(|i| *i != index),
        }
        if stream.dropped > 0 {
            self.dropping.retain(|i| *i != index);
            let (name, count) = (stream.source.label(), stream.dropped);
            warn!("{name} has ended; {count} of its last lines were dropped");
        }
    }

    pub(super) fn deliver(&mut self, index: u32, cut: impl FnOnce(&mut Cutter, usize, &mut Delivery)) {
        let Some(stream) = &mut self.streams[index as usize] else { return };
        self.desk.at = (self.clock.wall)();
        self.desk.stamp.set(self.desk.at);
        let ring = self.rings.of(stream.source.slot(), stream.ring);
        let (followers, files) = (&mut self.followers, &mut self.files);
        let mut cutter = std::mem::take(&mut stream.cutter);
        let output = stream.container.map(|std| lock(&self.outputs[std as usize]));
        let had_dropped = stream.dropped;
        let max_line = stream.max_line as usize;
        let (now, desk) = ((self.clock.now)(), &mut self.desk);
        let mut delivery =
            Delivery { index, stream: &mut *stream, output, ring, followers, files, now, desk };
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
    pub(super) fn drain(&mut self, number: usize) {
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
}
