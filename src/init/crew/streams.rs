//! The streams of a child: what it reads, portion by portion, and what it writes, line by line.

use super::{Feed, Stdin};
use crate::init::voice::{self, Stream};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A feed is asked for so much at a time: as much as a pipe holds (pipe(7)).
const PORTION: usize = 64 * 1024;

/// A line longer than this is passed on in pieces.
const LINE_MAX: usize = 64 * 1024;

/// What a task reads, on its way.
pub(super) struct Input<'a> {
    feed: Option<&'a mut dyn Feed>,
    buffer: Vec<u8>,
    given: usize,
    is_over: bool,
    /// What the child reads itself.
    pub(super) file: Option<OwnedFd>,
    /// Where it is written; none: it is over.
    pub(super) pipe: Option<OwnedFd>,
    /// What the feed could not read.
    pub(super) error: Option<io::Error>,
}

impl<'a> Input<'a> {
    pub(super) fn of(stdin: Stdin<'a>) -> Input<'a> {
        let nothing = Input {
            feed: None,
            buffer: Vec::new(),
            given: 0,
            is_over: true,
            file: None,
            pipe: None,
            error: None,
        };
        match stdin {
            Stdin::Nothing => nothing,
            Stdin::Bytes(buffer) => Input { buffer, ..nothing },
            Stdin::Feed(feed) => Input { feed: Some(feed), is_over: false, ..nothing },
            Stdin::File(file, feed) => Input { feed: Some(feed), file: Some(file), ..nothing },
        }
    }

    /// Whether it is written by us, through a pipe.
    pub(super) fn wants_pipe(&self) -> bool {
        !self.is_over || !self.buffer.is_empty()
    }

    /// Has the next portion, or has closed the pipe at the end.
    pub(super) fn prepare(&mut self) {
        if self.pipe.is_none() || self.given < self.buffer.len() {
            return;
        }
        self.given = 0;
        if let Some(feed) = self.feed.as_mut().filter(|_| !self.is_over) {
            self.buffer.resize(PORTION, 0);
            match feed.fill(&mut self.buffer) {
                Ok(count) => self.buffer.truncate(count),
                Err(error) => {
                    self.error = Some(error);
                    self.buffer.clear();
                }
            }
        } else {
            self.buffer.clear();
        }
        if self.buffer.is_empty() {
            self.close();
        }
    }

    /// Writes as much as the pipe takes, at most some megabytes, so that nothing else waits.
    pub(super) fn give(&mut self) {
        for _ in 0..16 {
            let Some(pipe) = &self.pipe else { return };
            match nix::unistd::write(pipe, &self.buffer[self.given..]) {
                Ok(count) => self.given += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // The reader does not want more; how it ends says why.
                Err(_) => return self.close(),
            }
            self.prepare();
        }
    }

    pub(super) fn close(&mut self) {
        self.is_over = true;
        self.pipe = None;
    }

    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn tick(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.tick();
        }
    }
}

/// One stream of a child.
pub(super) struct Output {
    /// Where it is read; none: it is at its end.
    pub(super) pipe: Option<OwnedFd>,
    stream: Stream,
    forward: Option<String>,
    /// The line that has no end yet.
    line: Vec<u8>,
    /// The end of what was written.
    pub(super) kept: VecDeque<u8>,
    keep: usize,
}

impl Output {
    pub(super) fn new(pipe: OwnedFd, stream: Stream, forward: Option<String>, keep: usize) -> Output {
        Output { pipe: Some(pipe), stream, forward, line: Vec::new(), kept: VecDeque::new(), keep }
    }

    /// Takes what is there, at most some hundred kilobytes, so that nothing else waits.
    /// Returns whether there may be more.
    pub(super) fn read(&mut self) -> bool {
        let mut bytes = [0u8; 16 * 1024];
        for _ in 0..16 {
            let Some(pipe) = &self.pipe else { return false };
            match nix::unistd::read(pipe, &mut bytes) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.take_in(&bytes[..count]),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(_) => self.pipe = None,
            }
        }
        true
    }

    /// Takes all that is still in the pipe, and passes on the last line even without an end.
    pub(super) fn finish(&mut self) {
        while self.read() {}
        self.pipe = None;
        self.pass_on_line();
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let too_many = self.kept.len().saturating_sub(self.keep);
        self.kept.drain(..too_many);
        if self.forward.is_none() {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.ends_with(b"\n") || self.line.len() >= LINE_MAX {
                self.pass_on_line();
            }
        }
    }

    fn pass_on_line(&mut self) {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if let Some(prefix) = self.forward.as_ref().filter(|_| !self.line.is_empty()) {
            voice::pass_on(self.stream, prefix, line);
        }
        self.line.clear();
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept).into()
    }
}
