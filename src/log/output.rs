//! A descriptor that somebody else shares, written without ever waiting.
//!
//! What the descriptor is decides how it is written: see `way`.
//!
//! What does not get through at once is queued; the pump stops reading what leads here
//! until the queue is empty. An error (the reader is gone, the disk is full) loses the
//! lines it hits, is told once, and every later write tries again.

use super::way::Way;
use memchr::memchr_iter;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::stat::{FileStat, fstat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// So many bytes wait for a slow reader before lines of `when_full = "drop"` are dropped.
/// The queue can exceed it by the lines of one read.
pub const QUEUE_LIMIT: usize = 256 * 1024;

/// How much more of the queue is free for minisup's own messages.
pub const OWN_RESERVE: usize = 64 * 1024;

/// A pipe that is busy is grown from 64 KiB (pipe(7)) to this, what an unprivileged process
/// may ask for (/proc/sys/fs/pipe-max-size).
pub const BUSY_PIPE: usize = 1024 * 1024;

/// One of the container's descriptors.
pub struct Output {
    name: &'static str,
    way: Way,
    epoll: Arc<Epoll>,
    token: u64,
    /// It has been full once, and was made larger if that is possible.
    is_grown: bool,
    /// How many bytes it holds if it is a pipe that takes pages of others; 0 if not.
    size: usize,
    /// Registered with epoll for the moment when it takes more.
    is_armed: bool,
    /// What did not get through yet: `queue[sent..]`.
    queue: Vec<u8>,
    sent: usize,
    failing: Option<Errno>,
    /// The last byte that got through is not a newline, or nobody has seen it.
    is_open: bool,
    /// It was so when a failure came.
    is_torn: bool,
    lost_lines: u64,
    lost_own: u64,
    notices: Vec<Notice>,
}

/// What happened to an output that somebody should be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// It cannot be written; told once.
    Failing(Errno),
    /// It can be written again; so many lines were lost.
    Working(u64),
    /// So many of minisup's own messages found the queue full.
    OwnDropped(u64),
}

impl Output {
    /// Writes to what this descriptor stands for; `fd` is a duplicate, closed with the output.
    pub fn new(name: &'static str, fd: OwnedFd, epoll: Arc<Epoll>, token: u64) -> Output {
        let size = pipe_size(&fd);
        Output {
            name,
            way: Way::to(fd),
            size,
            epoll,
            token,
            is_grown: false,
            is_armed: false,
            queue: Vec::new(),
            sent: 0,
            failing: None,
            is_open: false,
            is_torn: false,
            lost_lines: 0,
            lost_own: 0,
            notices: Vec::new(),
        }
    }

    /// `stdout` or `stderr`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether something still waits to get through. Whoever can wait should.
    pub fn is_waiting(&self) -> bool {
        self.sent < self.queue.len() || self.way.inside() > 0
    }

    /// Whether one that cannot wait may still write.
    pub fn has_room(&self) -> bool {
        self.queue.len() - self.sent < QUEUE_LIMIT
    }

    /// Writes whole lines: the bytes of `head`, then those of `body`. What does not get
    /// through at once is kept, what fails is lost.
    pub fn write(&mut self, head: &[u8], body: &[u8]) {
        if !self.mend() {
            self.lost_lines += newlines(head) + newlines(body);
            return;
        }
        if self.is_waiting() {
            self.queue.extend_from_slice(head);
            self.queue.extend_from_slice(body);
            return;
        }
        let (mut done, mut end) = self.way.put_all(head, body);
        let (mut left_head, mut left_body) = after(head, body, done);
        if end == Err(Errno::EAGAIN) && self.grow() {
            let more;
            (more, end) = self.way.put_all(left_head, left_body);
            done += more;
            (left_head, left_body) = after(head, body, done);
        }
        let last = if done > head.len() { body.get(done - head.len() - 1) } else { before(head, done) };
        self.note(last.copied());
        match end {
            Ok(()) => self.works(),
            Err(Errno::EAGAIN) => {
                self.queue.extend_from_slice(left_head);
                self.queue.extend_from_slice(left_body);
            }
            Err(errno) => {
                self.is_torn = self.is_open;
                self.lost_lines += newlines(left_head) + newlines(left_body) + self.way.forget();
                self.fail(errno);
            }
        }
        if self.is_waiting() {
            self.arm();
        }
    }

    /// Writes one message of minisup itself; where even the reserve is full, counts it.
    pub fn write_own(&mut self, line: &[u8]) {
        if self.queue.len() - self.sent >= QUEUE_LIMIT + OWN_RESERVE {
            self.lost_own += 1;
        } else {
            self.write(b"", line);
        }
    }

    /// Epoll says that it takes more: writes what waits. True if nothing waits any more.
    pub fn drain(&mut self) -> bool {
        if !self.is_waiting() {
            self.disarm();
            return true;
        }
        let (done, end) = self.way.put_all(&self.queue[self.sent..], b"");
        self.sent += done;
        self.note(before(&self.queue, self.sent).copied());
        match end {
            Ok(()) => self.works(),
            Err(Errno::EAGAIN) => {}
            Err(errno) => {
                self.is_torn = self.is_open;
                self.lose_queue(errno);
            }
        }
        if self.is_waiting() {
            // Those who cannot wait keep adding: the front must not grow for ever.
            if self.sent >= QUEUE_LIMIT {
                self.queue.drain(..self.sent);
                self.sent = 0;
            }
            return false;
        }
        self.queue = Vec::new();
        self.sent = 0;
        self.disarm();
        if self.lost_own > 0 {
            self.notices.push(Notice::OwnDropped(std::mem::take(&mut self.lost_own)));
        }
        true
    }

    /// Whether bytes can be [`pass`](Self::pass)ed to it: it is a pipe, works, and nothing waits.
    pub(super) fn takes_pages(&self) -> bool {
        self.size > 0 && self.failing.is_none() && !self.is_torn && !self.is_waiting()
    }

    /// How many bytes the pipe holds, made larger if that is possible.
    pub(super) fn pipe_size(&mut self) -> usize {
        self.grow();
        self.size
    }

    /// Moves so many bytes from a pipe to this one, or fewer, unseen. The next to write must see to
    /// it that a line ends.
    pub(super) fn pass(&mut self, from: &OwnedFd, count: usize) -> usize {
        let mut moved = 0;
        while moved < count && !self.is_waiting() {
            match splice(from, None, self.way.fd(), None, count - moved, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Ok(0) => break,
                Ok(more) => moved += more,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.grow() => {}
                // Whoever writes next finds out.
                Err(Errno::EAGAIN | Errno::EPIPE | Errno::ENOMEM) => break,
                // Not on this kernel, or not to this pipe.
                Err(_) => {
                    self.size = 0;
                    break;
                }
            }
        }
        self.is_open |= moved > 0;
        moved
    }

    /// The line that was begun will not be ended by who began it: ends it.
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
        self.mend();
    }

    /// What somebody should be told since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// So many bytes have not got through yet.
    pub fn pending(&self) -> usize {
        self.queue.len() - self.sent + self.way.inside()
    }

    /// Whether both stand for the same file: then they must be one output, or their
    /// lines would be mixed.
    pub fn is_same_file(a: impl AsFd, b: impl AsFd) -> bool {
        let identity = |s: FileStat| (s.st_dev, s.st_ino, s.st_rdev);
        matches!((fstat(a), fstat(b)), (Ok(a), Ok(b)) if identity(a) == identity(b))
    }

    /// Ends a line that a failure has torn. False if it still fails.
    fn mend(&mut self) -> bool {
        if self.is_torn {
            match if self.is_waiting() { Err(Errno::EAGAIN) } else { self.way.put(b"\n", b"") } {
                Ok(_) => self.is_open = false,
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    self.queue.push(b'\n');
                    self.arm();
                }
                Err(_) => return false,
            }
            self.is_torn = false;
        }
        true
    }

    /// What got through by now ends in this byte, if there is any news.
    fn note(&mut self, last: Option<u8>) {
        if let Some(last) = last {
            self.is_open = last != b'\n';
        }
    }

    fn works(&mut self) {
        if self.failing.take().is_some() {
            self.notices.push(Notice::Working(std::mem::take(&mut self.lost_lines)));
        }
    }

    fn fail(&mut self, errno: Errno) {
        if self.failing.replace(errno).is_none() {
            self.notices.push(Notice::Failing(errno));
        }
    }

    fn lose_queue(&mut self, errno: Errno) {
        self.lost_lines += newlines(&self.queue[self.sent..]) + self.way.forget();
        self.queue = Vec::new();
        self.sent = 0;
        self.fail(errno);
    }

    /// A pipe that has been full once is made larger, for a sixteenth of the wake-ups. True if
    /// it has just been.
    fn grow(&mut self) -> bool {
        let size = FcntlArg::F_SETPIPE_SZ(BUSY_PIPE as i32);
        let has_grown = !std::mem::replace(&mut self.is_grown, true) && fcntl(self.way.fd(), size).is_ok();
        if has_grown && self.size > 0 {
            self.size = pipe_size(self.way.fd());
        }
        has_grown
    }

    fn arm(&mut self) {
        if !self.is_armed {
            match self.epoll.add(self.way.fd(), EpollEvent::new(EpollFlags::EPOLLOUT, self.token)) {
                Ok(()) => self.is_armed = true,
                // Nothing could ever tell us that it takes more.
                Err(errno) => self.lose_queue(errno),
            }
        }
    }

    fn disarm(&mut self) {
        if std::mem::take(&mut self.is_armed) {
            // It was added; the kernel has no reason to refuse.
            let _ = self.epoll.delete(self.way.fd());
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.way.fd()
    }
}

/// How many bytes it holds; 0 if it is no pipe (fcntl(2)).
fn pipe_size(fd: impl AsFd) -> usize {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).map_or(0, |size| size as usize)
}

/// How many newlines there are.
pub fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Both without their first `done` bytes.
pub(super) fn after<'a>(head: &'a [u8], body: &'a [u8], done: usize) -> (&'a [u8], &'a [u8]) {
    (&head[done.min(head.len())..], &body[done.saturating_sub(head.len())..])
}

/// The last of the first `count` bytes.
fn before(bytes: &[u8], count: usize) -> Option<&u8> {
    count.checked_sub(1).and_then(|last| bytes.get(last))
}

#[cfg(test)]
mod tests;
