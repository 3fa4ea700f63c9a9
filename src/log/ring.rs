//! The last lines of an instance, for who asks later: `minisup logs`, and whoever wants to
//! know why it failed.
//!
//! A ring belongs to an instance, not to a process or a stream: it outlives restarts, and
//! stdout and stderr stand in it in the order in which they were read. It has no memory
//! until something is written, and then grows with what is: a service that says ten lines
//! has a ring of a kilobyte. Bytes are kept in runs, as they were read, and cut into lines
//! only when somebody asks; of a read that is larger than the ring only the end is copied.

use super::stream::Std;
use crate::core::ids::InstanceId;
use memchr::{memchr, memrchr};
use std::collections::VecDeque;

/// How large a ring gets where nothing else is said, in bytes.
pub const DEFAULT: u32 = 16 * 1024;

/// The rings of all instances, by their numbers; nothing for those who never wrote.
#[derive(Default)]
pub(super) struct Rings(Vec<Option<Box<Ring>>>);

impl Rings {
    /// The ring of an instance, as large as the larger of its streams' wishes; `None` for 0.
    pub(super) fn of(&mut self, instance: InstanceId, limit: u32) -> Option<&mut Ring> {
        if limit == 0 {
            return None;
        }
        if self.0.len() <= instance.index() {
            self.0.resize_with(instance.index() + 1, || None);
        }
        let ring = self.0[instance.index()].get_or_insert_with(|| Box::new(Ring::new(limit)));
        ring.limit = ring.limit.max(limit);
        Some(ring)
    }

    fn get(&self, instance: InstanceId) -> Option<&Ring> {
        self.0.get(instance.index())?.as_deref()
    }

    pub(super) fn last(&self, instance: InstanceId, count: usize) -> Vec<RingLine> {
        self.get(instance).map_or(Vec::new(), |ring| ring.last(count, instance))
    }

    /// Only those since the last launch.
    pub(super) fn last_of_launch(&self, instance: InstanceId, count: usize) -> Vec<RingLine> {
        self.get(instance).map_or(Vec::new(), |ring| ring.last_from(ring.older, count, instance))
    }

    pub(super) fn has_some(&self, instance: InstanceId) -> bool {
        self.get(instance).is_some()
    }

    /// What is in it is of an earlier launch.
    pub(super) fn begin_launch(&mut self, instance: InstanceId) {
        if let Some(Some(ring)) = self.0.get_mut(instance.index()) {
            ring.older = ring.bytes.len();
        }
    }

    pub(super) fn mark_shown(&mut self, instance: InstanceId) {
        if let Some(Some(ring)) = self.0.get_mut(instance.index()) {
            ring.mark_shown();
        }
    }

    pub(super) fn forget(&mut self, instance: InstanceId) {
        if let Some(ring) = self.0.get_mut(instance.index()) {
            *ring = None;
        }
    }
}

/// One line of a ring, or of a follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingLine {
    /// When it was read: seconds and nanoseconds since 1970.
    pub at: (i64, u32),
    /// Whose.
    pub instance: InstanceId,
    /// On which of its streams.
    pub stream: Std,
    /// The line without its newline, as it was written.
    pub text: Box<[u8]>,
    /// The rest of it comes in the next one, or is not kept.
    pub continues: bool,
    /// Whether it went to the container's output as well.
    pub shown: bool,
}

/// What is true of some lines that were read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) at: (i64, u32),
    pub(super) stream: Std,
    /// The last line is only the beginning of one.
    pub(super) continues: bool,
    pub(super) shown: bool,
}

/// See the head of this file.
pub(super) struct Ring {
    /// Lines, each with its newline.
    bytes: VecDeque<u8>,
    runs: VecDeque<Run>,
    limit: u32,
    /// So many of the bytes were written before the last launch.
    older: usize,
}

struct Run {
    length: u32,
    facts: Facts,
}

impl Ring {
    pub(super) fn new(limit: u32) -> Ring {
        Ring { bytes: VecDeque::new(), runs: VecDeque::new(), limit, older: 0 }
    }

    /// Takes some lines: the bytes of `head`, then those of `tail`. Only the last line may
    /// lack its newline.
    pub(super) fn push(&mut self, head: &[u8], tail: &[u8], mut facts: Facts) {
        let limit = (self.limit as usize).saturating_sub(2 * size_of::<Run>());
        if limit == 0 || head.len() + tail.len() == 0 {
            return;
        }
        let (mut head, mut tail) = (head, tail);
        if head.len() + tail.len() >= limit {
            // Between what is in here and what will be, something is missing.
            self.clear();
            // `tail` has all newlines; what is in front of one within the limit is let go.
            let from = tail.len().saturating_sub(limit - 1);
            let end = tail.len() - usize::from(tail.last() == Some(&b'\n'));
            match memchr(b'\n', &tail[from.min(end)..end]) {
                Some(at) => (head, tail) = (b"", &tail[from + at + 1..]),
                // The last line alone is too long: its beginning is kept.
                None => {
                    if let Some(at) = memrchr(b'\n', &tail[..end]) {
                        (head, tail) = (b"", &tail[at + 1..]);
                    }
                    head = &head[..head.len().min(limit - 1)];
                    tail = &tail[..tail.len().min(limit - 1 - head.len())];
                    facts.continues = true;
                }
            }
        }
        let needs_newline = tail.last().or(head.last()) != Some(&b'\n');
        let length = head.len() + tail.len() + usize::from(needs_newline);
        self.make_room(length);
        self.reserve(length);
        self.bytes.extend(head);
        self.bytes.extend(tail);
        self.bytes.extend(needs_newline.then_some(b'\n'));
        match self.runs.back_mut() {
            Some(last) if !last.facts.continues && last.facts.is_like(&facts) => {
                last.length += length as u32;
                last.facts.continues = facts.continues;
            }
            _ => self.runs.push_back(Run { length: length as u32, facts }),
        }
    }

    /// The last `count` lines, the oldest first.
    pub(super) fn last(&self, count: usize, instance: InstanceId) -> Vec<RingLine> {
        self.last_from(0, count, instance)
    }

    /// The last `count` lines of those that begin behind so many bytes.
    fn last_from(&self, from: usize, count: usize, instance: InstanceId) -> Vec<RingLine> {
        let mut found = Vec::new();
        let mut end = self.bytes.len();
        for run in self.runs.iter().rev() {
            if end <= from {
                break;
            }
            let start = end - run.length as usize;
            let bytes: Vec<u8> = self.bytes.range(start.max(from)..end).copied().collect();
            end = start;
            let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).rsplit(|byte| *byte == b'\n');
            for (number, line) in lines.enumerate() {
                if found.len() == count {
                    break;
                }
                let continues = number == 0 && run.facts.continues;
                found.push(RingLine { text: line.into(), continues, ..run.facts.line(instance) });
            }
        }
        found.reverse();
        found
    }

    /// How many bytes it can take.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Lets go of all lines.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.older = 0;
    }

    /// Everything in it has been shown by now.
    pub(super) fn mark_shown(&mut self) {
        self.runs.iter_mut().for_each(|run| run.facts.shown = true);
    }

    fn used(&self) -> usize {
        self.bytes.len() + self.runs.len() * size_of::<Run>()
    }

    /// Lets go of the oldest lines until so many bytes and a run fit.
    fn make_room(&mut self, length: usize) {
        let needed = length + size_of::<Run>();
        while self.used() + needed > self.limit as usize {
            let Some(run) = self.runs.front_mut() else { return };
            let over = (self.bytes.len() + needed).saturating_sub(self.limit as usize);
            // Of a long run only as much as must be, up to the end of a line.
            let line_end = self
                .bytes
                .range(over.min(run.length as usize)..run.length as usize)
                .position(|b| *b == b'\n');
            let gone = line_end.map_or(run.length as usize, |at| over + at + 1);
            self.bytes.drain(..gone);
            self.older = self.older.saturating_sub(gone);
            run.length -= gone as u32;
            if run.length == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Grows by doubling, but not beyond the limit.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let wanted = needed.next_power_of_two().max(256).min(self.limit as usize).max(needed);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }
}

impl Facts {
    /// Whether lines of both may stand in one run: the same but for microseconds.
    fn is_like(&self, other: &Facts) -> bool {
        let millis = |(seconds, nanos): (i64, u32)| (seconds, nanos / 1_000_000);
        millis(self.at) == millis(other.at) && self.stream == other.stream && self.shown == other.shown
    }

    /// A line without its text.
    pub(super) fn line(&self, instance: InstanceId) -> RingLine {
        let Facts { at, stream, shown, continues: _ } = *self;
        RingLine { at, instance, stream, text: Box::default(), continues: false, shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ME: InstanceId = InstanceId(7);

    fn facts(second: i64) -> Facts {
        Facts { at: (second, 0), stream: Std::Out, continues: false, shown: true }
    }

    fn texts(ring: &Ring, count: usize) -> Vec<String> {
        ring.last(count, ME).iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    #[test]
    fn the_last_lines_are_there_with_their_times() {
        let mut ring = Ring::new(DEFAULT);
        ring.push(b"on", b"e\ntwo\n", facts(1));
        ring.push(b"", b"three", Facts { stream: Std::Err, ..facts(2) });
        assert_eq!(texts(&ring, 2), ["two", "three"]);
        let all = ring.last(20, ME);
        let seen: Vec<_> = all.iter().map(|line| (line.at.0, line.stream, line.instance)).collect();
        assert_eq!(seen, [(1, Std::Out, ME), (1, Std::Out, ME), (2, Std::Err, ME)]);
    }

    #[test]
    fn lines_of_earlier_launches_are_told_from_those_of_the_last_one() {
        let mut rings = Rings::default();
        assert_eq!(rings.last_of_launch(ME, 20), []);
        let push = |rings: &mut Rings, text: &str| {
            rings.of(ME, 1024).unwrap().push(b"", text.as_bytes(), facts(1));
            let lines = rings.last_of_launch(ME, 20);
            lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(push(&mut rings, "one\ntwo\n"), ["one", "two"]);
        rings.begin_launch(ME);
        assert_eq!(rings.last_of_launch(ME, 20), []);
        // Read within the same millisecond, they stand in one run.
        assert_eq!(push(&mut rings, "three\n"), ["three"]);
        // Older ones are let go first.
        for _ in 0..100 {
            assert!(push(&mut rings, &format!("{}\n", "x".repeat(50))).iter().all(|line| line.len() >= 5));
        }
        assert_eq!(rings.last_of_launch(ME, 100), rings.last(ME, 100));
        rings.begin_launch(ME);
        assert_eq!(push(&mut rings, "four\n"), ["four"]);
        assert_eq!(push(&mut rings, &"five\n".repeat(500)).first().unwrap(), "five");
    }

    #[test]
    fn empty_lines_are_lines() {
        let mut ring = Ring::new(DEFAULT);
        ring.push(b"", b"\n\na\n\n", facts(1));
        assert_eq!(texts(&ring, 20), ["", "", "a", ""]);
    }

    #[test]
    fn a_silent_service_costs_nothing_and_a_talker_no_more_than_the_limit() {
        let mut ring = Ring::new(DEFAULT);
        assert_eq!((ring.bytes.capacity(), ring.runs.capacity()), (0, 0));
        ring.push(b"", b"hello\n", facts(1));
        assert!(ring.bytes.capacity() <= 256);
        for second in 0..10_000 {
            ring.push(b"", b"a line of some length\nand one more\n", facts(second));
            assert!(ring.used() <= DEFAULT as usize);
        }
        assert!(ring.bytes.capacity() <= DEFAULT as usize);
        assert_eq!(texts(&ring, 2), ["a line of some length", "and one more"]);
    }

    #[test]
    fn of_a_large_read_the_end_is_kept_from_the_start_of_a_line() {
        let mut ring = Ring::new(1024);
        let lines: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        ring.push(b"", lines.as_bytes(), facts(1));
        let seen = texts(&ring, 1000);
        assert!(seen.len() > 50 && seen.len() < 128, "{}", seen.len());
        assert_eq!(seen.first().unwrap(), &format!("line {}", 1000 - seen.len()));
        assert_eq!(seen.last().unwrap(), "line 999");
    }

    #[test]
    fn older_lines_do_not_stand_before_those_of_a_large_read_as_if_none_were_missing() {
        let mut ring = Ring::new(1024);
        ring.push(b"", b"older\n", facts(1));
        let long = "x".repeat(2000);
        ring.push(b"", format!("missing\n{long}\nlast\n").as_bytes(), facts(2));
        assert_eq!(texts(&ring, 20), ["last"]);
    }

    #[test]
    fn of_a_line_longer_than_the_ring_the_beginning_is_kept() {
        let mut ring = Ring::new(256);
        ring.push(b"", b"short\n", facts(1));
        ring.push(b"", &[b"Begin", [b'x'; 1000].as_slice(), b"\n"].concat(), facts(2));
        let all = ring.last(20, ME);
        assert_eq!(all.len(), 1);
        assert!(all[0].continues && all[0].text.starts_with(b"Begin"));
        ring.push(b"", b"after\n", facts(3));
        assert_eq!(texts(&ring, 1), ["after"]);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_end_of_what_was_written(
            writes in prop::collection::vec(("[a-z]{0,40}", 0i64..3), 1..80), limit in 150u32..2000
        ) {
            let mut ring = Ring::new(limit);
            for (line, second) in &writes {
                ring.push(b"", format!("{line}\n").as_bytes(), facts(*second));
                prop_assert!(ring.used() <= limit as usize);
            }
            let seen = texts(&ring, 1000);
            let written: Vec<String> = writes.iter().map(|(line, _)| line.clone()).collect();
            prop_assert!(!seen.is_empty() && written.ends_with(&seen));
        }
    }
}
