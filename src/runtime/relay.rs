//! What a short-lived process of ours writes: read by us as it comes, handed on to the log if it goes
//! there, and its last lines kept for whoever waits for the process.
//!
//! It is read to the end, however much it is: a pipe that nobody reads holds its writer up for ever. But
//! a writer without an end has no claim on PID 1. What goes on to the log is read as fast as the log takes
//! it; what goes nowhere, a pipe full at a time with a pause after each; and once the process has ended, what its
//! pipe held then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::sleep;

/// So many of the last lines are kept for the answer.
const TAIL_LINES: usize = 10;

/// So much of a line is kept for the answer.
const TAIL_LINE: usize = 1024;

/// So much is read at once, and held while the log takes no more.
const READ: usize = 16 * 1024;

/// So much of what goes nowhere is read before we pause: what a pipe usually holds.
const BREATH: usize = 64 * 1024;

/// So long is that pause: a runtime's timer knows none that is shorter.
const PAUSE: Duration = Duration::from_millis(1);

/// So much is read of what a process had written before it ended: its whole pipe.
const LAST_READ: usize = 1 << 20;

/// The last lines of what is written.
#[derive(Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

/// One stream of a process, read by us on its way to the log.
pub(super) struct Relay {
    pub(super) from: pipe::Receiver,
    pub(super) to: Option<pipe::Sender>,
    pub(super) tail: Arc<Mutex<Tail>>,
    /// Whether the process has ended.
    pub(super) ended: watch::Receiver<bool>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let from = last_lines(bytes);
        if from > 0 {
            self.open.clear();
        }
        for part in bytes[from..].split_inclusive(|byte| *byte == b'\n') {
            let room = TAIL_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim_end().to_string();
        self.open.clear();
        if !line.is_empty() {
            self.lines.push_back(line);
        }
        if self.lines.len() > TAIL_LINES {
            self.lines.pop_front();
        }
    }

    /// The last lines, the oldest first; then there are none.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.end_line();
        self.lines.drain(..).collect()
    }
}

/// Where the last of these lines begin: all before them would be pushed out at once.
fn last_lines(bytes: &[u8]) -> usize {
    let mut from = bytes.len() + 1;
    let mut count = 0;
    for line in bytes.rsplit(|byte| *byte == b'\n') {
        from -= line.len() + 1;
        count += usize::from(!line.trim_ascii().is_empty());
        if count > TAIL_LINES {
            return from;
        }
    }
    0
}

impl Relay {
    /// Hands everything on, also what others write after the process has ended. Says `is_read` once: when
    /// all has been read that was written until then.
    pub(super) async fn run(mut self, is_read: impl FnOnce()) {
        let mut is_read = Some(is_read);
        let mut since_pause = 0;
        let mut pending: Vec<u8> = Vec::new();
        let mut buffer = vec![0u8; READ];
        let mut ended = self.ended.clone();
        loop {
            if self.to.is_none() && since_pause >= BREATH {
                since_pause = 0;
                sleep(PAUSE).await;
            }
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended), if is_read.is_some() => {
                    let mut last = 0;
                    // Not by `try_read`: of a process that has ended at once, the runtime may not have heard yet
                    // that there is something to read.
                    while last < LAST_READ && let Ok(count @ 1..) = nix::unistd::read(&self.from, &mut buffer) {
                        last += count;
                        self.note(&buffer[..count], &mut pending);
                    }
                    // What the log can take of it now, it has before anybody hears of the end.
                    while let Some(to) = &self.to
                        && !pending.is_empty()
                        && let Ok(count) = to.try_write(&pending)
                    {
                        pending.drain(..count);
                    }
                    if let Some(is_read) = is_read.take() {
                        is_read();
                    }
                }
                count = self.from.read(&mut buffer), if pending.is_empty() => match count {
                    Ok(count @ 1..) => {
                        self.note(&buffer[..count], &mut pending);
                        since_pause += count;
                    }
                    Ok(0) | Err(_) => break,
                },
                written = write(&mut self.to, &pending), if !pending.is_empty() => match written {
                    Ok(count) => drop(pending.drain(..count)),
                    Err(_) => {
                        self.to = None;
                        pending.clear();
                    }
                },
            }
        }
        if let Some(is_read) = is_read {
            is_read();
        }
    }

    fn note(&self, bytes: &[u8], pending: &mut Vec<u8>) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        if self.to.is_some() {
            pending.extend_from_slice(bytes);
        }
    }
}

async fn write(to: &mut Option<pipe::Sender>, bytes: &[u8]) -> std::io::Result<usize> {
    match to {
        Some(to) => to.write(bytes).await,
        None => Ok(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole_and_short() {
        let mut tail = Tail::default();
        tail.push(b"first\nsec");
        tail.push(b"ond\n\n  \nthird");
        assert_eq!(tail.take(), ["first", "second", "third"]);
        for number in 0..100 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let lines = tail.take();
        assert_eq!((lines.len(), lines[9].as_str()), (TAIL_LINES, "line 99"));
        tail.push(&[b'x'; 100_000]);
        assert_eq!(tail.take(), ["x".repeat(TAIL_LINE)]);
    }

    #[test]
    fn of_many_lines_at_once_the_last_are_kept_and_none_is_mixed_with_what_came_before() {
        let mut tail = Tail::default();
        tail.push(b"open");
        tail.push(&[b"first\n".repeat(20_000).as_slice(), b"\n \nlast\n\nnot yet en"].concat());
        tail.push(b"ded");
        let lines = tail.take();
        assert_eq!(
            (lines.len(), &lines[7..]),
            (TAIL_LINES, &["first", "last", "not yet ended"].map(String::from)[..])
        );
        tail.push(b"ha");
        tail.push(&[b"lf\n".as_slice(), &b"\n".repeat(1000)].concat());
        assert_eq!(tail.take(), ["half"]);
    }
}
