//! One client: what it has sent and not been asked yet, what it is to get and has not taken.
//!
//! Both are bounded. A line that is too long ends the connection. While a request is open the
//! next ones stay where they are: at first here, up to [`REQUEST_MAX`], then in the kernel. A
//! request is not begun before the answers to the one before are gone. So what a client that
//! does not read costs is one answer, and the events that fit into [`QUEUE_MAX`].

use super::wire::{self, ErrorKind, REQUEST_MAX, Reply};
use crate::core::time::Moment;
use nix::sys::epoll::EpollFlags;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Events and lines of log beyond this are dropped and counted, in bytes: some two thousand
/// events.
pub const QUEUE_MAX: usize = 256 * 1024;

/// What is read at once.
const READ: usize = 16 * 1024;

/// What is to become of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Stays,
    /// The other side is gone, or we have nothing more to say to it.
    Ends,
}

/// What the next line is.
#[derive(Debug)]
pub(super) enum Line {
    /// None yet, or not its turn.
    None,
    Whole(Vec<u8>),
    /// Longer than [`REQUEST_MAX`].
    TooLong,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    /// Tells one client from the next in the same place of the table.
    pub(super) serial: u32,
    input: Vec<u8>,
    /// So much of the input has no newline.
    searched: usize,
    output: Vec<u8>,
    written: usize,
    /// A request is open: it has not had its last reply.
    pub(super) is_asking: bool,
    /// It sends no more, but may still read.
    has_said_all: bool,
    /// Closed as soon as the output is gone.
    is_leaving: bool,
    /// Events that it was too slow for, since the last that it got.
    dropped: u64,
    /// When it last did something.
    pub(super) quiet_since: Moment,
    /// What epoll watches for.
    pub(super) watched: EpollFlags,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, serial: u32, now: Moment) -> Connection {
        Connection {
            stream,
            serial,
            input: Vec::new(),
            searched: 0,
            output: Vec::new(),
            written: 0,
            is_asking: false,
            has_said_all: false,
            is_leaving: false,
            dropped: 0,
            quiet_since: now,
            watched: EpollFlags::empty(),
        }
    }

    /// What has to be watched for now. That the other side is gone is always told.
    pub(super) fn wanted(&self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        let has_room = self.input.len() < REQUEST_MAX;
        flags.set(EpollFlags::EPOLLIN, has_room && !self.has_said_all && !self.is_leaving);
        flags.set(EpollFlags::EPOLLOUT, self.owes());
        flags
    }

    /// Whether there is something that it has not taken.
    pub(super) fn owes(&self) -> bool {
        self.written < self.output.len()
    }

    /// Whether it has taken so much of what it got that more may come.
    pub(super) fn has_room(&self) -> bool {
        self.output.len() - self.written < QUEUE_MAX / 4
    }

    /// Whether it may be closed for doing nothing.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_asking
    }

    /// Whether nothing more can come of it.
    pub(super) fn is_over(&self) -> bool {
        let has_line = self.input.contains(&b'\n');
        !self.owes() && (self.is_leaving || self.has_said_all && !self.is_asking && !has_line)
    }

    /// Reads once.
    pub(super) fn read(&mut self, now: Moment) -> Fate {
        let mut bytes = [0u8; READ];
        let room = READ.min(REQUEST_MAX.saturating_sub(self.input.len()));
        if self.has_said_all || self.is_leaving || room == 0 {
            return Fate::Stays;
        }
        match self.stream.read(&mut bytes[..room]) {
            Ok(0) => self.has_said_all = true,
            Ok(count) => {
                self.input.extend_from_slice(&bytes[..count]);
                self.quiet_since = now;
            }
            Err(error) if is_later(&error) => {}
            Err(_) => return Fate::Ends,
        }
        Fate::Stays
    }

    /// The next request, if it is its turn.
    pub(super) fn next_line(&mut self) -> Line {
        if self.is_asking || self.is_leaving || self.owes() {
            return Line::None;
        }
        let Some(end) = memchr::memchr(b'\n', &self.input[self.searched..]) else {
            self.searched = self.input.len();
            return if self.input.len() >= REQUEST_MAX { Line::TooLong } else { Line::None };
        };
        let rest = self.input.split_off(self.searched + end + 1);
        let mut line = std::mem::replace(&mut self.input, rest);
        line.pop();
        self.searched = 0;
        Line::Whole(line)
    }

    /// Whether [`next_line`](Self::next_line) may have one though the client says nothing.
    pub(super) fn has_more(&self) -> bool {
        !self.is_asking && !self.is_leaving && !self.owes() && self.input.contains(&b'\n')
    }

    /// A reply that must not be lost.
    pub(super) fn send(&mut self, reply: &Reply) -> Fate {
        self.write(&wire::line(reply))
    }

    /// The last reply of the open request.
    pub(super) fn answer(&mut self, reply: &Reply, now: Moment) -> Fate {
        self.is_asking = false;
        self.quiet_since = now;
        self.send(reply)
    }

    /// What is wrong; then the end.
    pub(super) fn refuse(&mut self, error: ErrorKind, message: &str) -> Fate {
        self.is_leaving = true;
        self.input = Vec::new();
        match self.send(&Reply::Error { error, message: message.into() }) {
            Fate::Stays if self.owes() => Fate::Stays,
            Fate::Stays | Fate::Ends => Fate::Ends,
        }
    }

    /// An event or a line of log, as it goes over the wire: dropped if the client is slow.
    pub(super) fn tell(&mut self, line: &[u8]) -> Fate {
        if self.dropped > 0 || self.output.len() - self.written + line.len() > QUEUE_MAX {
            self.dropped += 1;
            return Fate::Stays;
        }
        self.write(line)
    }

    /// How many it has missed, as soon as it has taken all that there was; once.
    pub(super) fn take_dropped(&mut self) -> Option<u64> {
        let is_told = self.dropped > 0 && !self.owes();
        is_told.then(|| std::mem::take(&mut self.dropped))
    }

    fn write(&mut self, line: &[u8]) -> Fate {
        let mut rest = line;
        while !self.owes() && !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Fate::Ends,
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => break,
                Err(_) => return Fate::Ends,
            }
        }
        if !rest.is_empty() {
            if self.written > QUEUE_MAX / 2 {
                self.output.drain(..self.written);
                self.written = 0;
            }
            self.output.extend_from_slice(rest);
        }
        Fate::Stays
    }

    /// Writes what the client takes now.
    pub(super) fn flush(&mut self, now: Moment) -> Fate {
        while self.owes() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Fate::Ends,
                Ok(count) => {
                    self.written += count;
                    self.quiet_since = now;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => return Fate::Stays,
                Err(_) => return Fate::Ends,
            }
        }
        (self.output, self.written) = (Vec::new(), 0);
        Fate::Stays
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
