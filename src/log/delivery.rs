//! The way of one stream's lines to where they go: matched, counted or formatted, written.

use super::cut::Lines;
use super::files::Files;
use super::follow::Followers;
use super::format::Look;
use super::output::{Output, newlines};
use super::ring::{Facts, Ring};
use super::stamp::Stamp;
use super::stream::{Event, Source, Stream, StreamId};
use crate::core::plan::{LogFormat, WhenFull};
use crate::core::time::Moment;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::MutexGuard;

/// What all streams share while one of them is read.
pub(super) struct Desk {
    pub(super) buffer: Box<[u8]>,
    /// For lines as they should look, one time after another.
    pub(super) page: Vec<u8>,
    pub(super) stamp: Stamp,
    /// When what is delivered was read.
    pub(super) at: (i64, u32),
    pub(super) events: VecDeque<Event>,
}

/// One stream's lines on their way to where they go.
pub(super) struct Delivery<'a> {
    pub(super) index: u32,
    pub(super) stream: &'a mut Stream,
    pub(super) output: Option<MutexGuard<'a, Output>>,
    pub(super) ring: Option<&'a mut Ring>,
    pub(super) files: &'a mut Files,
    pub(super) now: Moment,
    pub(super) followers: &'a mut Followers,
    pub(super) desk: &'a mut Desk,
}

impl Delivery<'_> {
    /// Whether so many lines can go now; if not, counts them as dropped.
    fn takes(&mut self, count: impl FnOnce() -> u64) -> bool {
        let Some(output) = &self.output else { return false };
        match self.stream.when_full {
            // Once it has begun to drop it goes on until nothing waits: one count to tell, not hundreds.
            WhenFull::Drop if !output.has_room() || (self.stream.dropped > 0 && output.is_waiting()) => {
                self.stream.dropped += count();
                false
            }
            WhenFull::Drop | WhenFull::Block => {
                self.tell_dropped();
                true
            }
        }
    }

    /// Says how many lines are missing here, once there is room for it.
    pub(super) fn tell_dropped(&mut self) {
        let Some(output) = &mut self.output else { return };
        if self.stream.dropped == 0 || output.is_waiting() {
            return;
        }
        let text = format!("minisup: {} lines dropped", std::mem::take(&mut self.stream.dropped));
        let (look, source) = (self.stream.look, &self.stream.source);
        // Where nothing else says whose lines these were, the message does.
        let whose = match look.format {
            LogFormat::Raw => format!("minisup: {}:{}", source.label(), text.trim_start_matches("minisup:")),
            LogFormat::Prefix | LogFormat::Json => text,
        };
        let Desk { page, stamp, .. } = &mut *self.desk;
        page.clear();
        look.line(page, source, stamp, whose.as_bytes(), b"", false);
        output.write(b"", page);
    }

    /// For those who ask later, and those who read along.
    fn remember(&mut self, head: &[u8], tail: &[u8], continues: bool, shown: bool) {
        let (source, desk) = (&self.stream.source, &mut *self.desk);
        let facts = Facts { at: desk.at, stream: source.stream(), continues, shown };
        if let Some(ring) = &mut self.ring {
            ring.push(head, tail, facts);
        }
        if !self.followers.is_empty() {
            let woken = |id| desk.events.push_back(Event::Followed(id));
            self.followers.push(source.slot(), head, tail, facts, woken);
        }
    }

    fn find_match(&mut self, held: &[u8], lines: &[u8]) {
        let Some(regex) = &self.stream.watch else { return };
        let mut head = held;
        for line in lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n') {
            let line = if head.is_empty() { Cow::Borrowed(line) } else { Cow::Owned([head, line].concat()) };
            head = b"";
            if regex.is_match(&String::from_utf8_lossy(&line)) {
                let id = StreamId { index: self.index, serial: self.stream.serial };
                self.desk.events.push_back(Event::Matched(id));
                self.stream.watch = None;
                return;
            }
        }
    }
}

impl Lines for Delivery<'_> {
    fn whole(&mut self, held: &[u8], lines: &[u8]) {
        self.find_match(held, lines);
        let takes = self.takes(|| newlines(lines));
        self.remember(held, lines, false, takes);
        let Desk { page, stamp, .. } = &mut *self.desk;
        let source = &self.stream.source;
        if takes && let Some(output) = &mut self.output {
            put(self.stream.look, page, source, stamp, held, lines, |head, body| output.write(head, body));
        }
        for id in &self.stream.files {
            let Some(file) = self.files.get(*id) else { continue };
            put(file.look(), page, source, stamp, held, lines, |head, body| {
                file.write(head, body, self.now);
            });
        }
    }

    fn piece(&mut self, held: &[u8], piece: &[u8], continues: bool) {
        self.find_match(held, piece);
        let takes = self.takes(|| 1);
        self.remember(held, piece, continues, takes);
        let Desk { page, stamp, .. } = &mut *self.desk;
        let source = &self.stream.source;
        if takes && let Some(output) = &mut self.output {
            page.clear();
            self.stream.look.line(page, source, stamp, held, piece, continues);
            output.write(b"", page);
        }
        for id in &self.stream.files {
            let Some(file) = self.files.get(*id) else { continue };
            page.clear();
            file.look().line(page, source, stamp, held, piece, continues);
            file.write(b"", page, self.now);
        }
    }
}

/// Gives whole lines to `write`, as they should look.
fn put(
    look: Look,
    page: &mut Vec<u8>,
    source: &Source,
    stamp: &Stamp,
    held: &[u8],
    lines: &[u8],
    write: impl FnOnce(&[u8], &[u8]),
) {
    if look.is_verbatim() {
        return write(held, lines);
    }
    write(b"", look.lines(page, source, stamp, held, lines));
}
