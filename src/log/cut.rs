//! A stream of bytes into lines.
//!
//! Whatever comes in one read goes out in one piece, up to its last newline; only the
//! beginning of an unfinished line is kept. Lines are looked for backwards from the end
//! of a window that is as long as a line may be, so that in the common case (whole lines,
//! none too long) a read of 256 KiB costs a handful of searches, each over one line.
//!
//! A line longer than `max_line` leaves in pieces of that many bytes, each but the last marked
//! as one that continues: no byte is lost, and memory stays bounded. A line that is longer by
//! no more than a sixteenth is left whole: better than a tail of a few bytes.

use memchr::memrchr;

/// Who takes the lines.
pub trait Lines {
    /// One line or more, each ending in a newline and none longer than the limit: the
    /// bytes of `held`, then those of `lines`. Only `lines` has newlines, at least the last byte.
    fn whole(&mut self, held: &[u8], lines: &[u8]);

    /// A piece of a line, without a newline: `held`, then `piece`. If `continues`, the rest
    /// of the line comes next; otherwise the stream ended before its newline.
    fn piece(&mut self, held: &[u8], piece: &[u8], continues: bool);
}

/// The beginning of a line whose end has not come yet: empty, and without memory, most of the time.
#[derive(Default)]
pub struct Cutter {
    held: Vec<u8>,
}

impl Cutter {
    /// Takes what was read and gives on what is whole. Holds at most `max_line` bytes and a
    /// sixteenth of it afterwards.
    pub fn feed(&mut self, data: &[u8], max_line: usize, to: &mut impl Lines) {
        let max_line = max_line.max(1);
        let longest = Cutter::longest(max_line);
        // data[..given] has been given on; data[given..whole] are whole lines.
        let (mut given, mut whole) = (0, 0);
        loop {
            let held = if whole == given { self.held.len() } else { 0 };
            let room = longest - held;
            let rest = &data[whole..];
            if let Some(end) = memrchr(b'\n', &rest[..rest.len().min(room + 1)]) {
                whole += end + 1;
                continue;
            }
            if rest.len() <= room {
                break;
            }
            if whole > given {
                to.whole(&self.held, &data[given..whole]);
                self.held = Vec::new();
            }
            let cut = between_characters(&self.held, rest, max_line);
            if cut < self.held.len() {
                let kept = self.held.split_off(cut);
                to.piece(&self.held, b"", true);
                self.held = kept;
            } else {
                let cut = cut - self.held.len();
                to.piece(&self.held, &rest[..cut], true);
                self.held = Vec::new();
                whole += cut;
            }
            given = whole;
        }
        if whole > given {
            to.whole(&self.held, &data[given..whole]);
            self.held = Vec::new();
        }
        self.held.extend_from_slice(&data[whole..]);
    }

    /// How long a line can be and be left whole.
    pub fn longest(max_line: usize) -> usize {
        max_line + max_line / 16
    }

    /// How much is held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Takes what is held: the caller sees to the line.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The stream has ended: gives on what is held, if anything is.
    pub fn end(&mut self, to: &mut impl Lines) {
        if !self.held.is_empty() {
            to.piece(&self.held, b"", false);
            self.held = Vec::new();
        }
    }
}

/// The largest cut of `head` and `tail` up to `at` that does not tear a UTF-8 character; `at`
/// itself where there is none within the length of a character.
fn between_characters(head: &[u8], tail: &[u8], at: usize) -> usize {
    let byte = |i: usize| head.get(i).or_else(|| tail.get(i - head.len())).copied().unwrap_or_default();
    (at.saturating_sub(3).max(1)..=at).rev().find(|i| byte(*i) & 0xC0 != 0x80).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that came, with `+` for a piece that continues and `$` for an end without newline.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Lines for Seen {
        fn whole(&mut self, held: &[u8], lines: &[u8]) {
            assert_eq!(lines.last(), Some(&b'\n'));
            let all = [held, lines].concat();
            for line in all.split_inclusive(|b| *b == b'\n') {
                self.0.push(String::from_utf8_lossy(line).into_owned());
            }
        }

        fn piece(&mut self, held: &[u8], piece: &[u8], continues: bool) {
            let text = String::from_utf8_lossy(&[held, piece].concat()).into_owned();
            self.0.push(text + if continues { "+" } else { "$" });
        }
    }

    fn cut(chunks: &[&str], max_line: usize) -> Vec<String> {
        let (mut cutter, mut seen) = (Cutter::default(), Seen::default());
        for chunk in chunks {
            cutter.feed(chunk.as_bytes(), max_line, &mut seen);
        }
        cutter.end(&mut seen);
        seen.0
    }

    #[test]
    fn a_line_waits_for_its_end() {
        assert_eq!(cut(&["on", "e\ntw", "o\n"], 100), ["one\n", "two\n"]);
    }

    #[test]
    fn an_end_without_newline_is_kept() {
        assert_eq!(cut(&["one\ntwo"], 100), ["one\n", "two$"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        assert_eq!(cut(&["12345\n1234", "5\n"], 5), ["12345\n", "12345\n"]);
    }

    #[test]
    fn a_line_beyond_the_limit_continues() {
        assert_eq!(cut(&["a\n1234567\nb\n"], 5), ["a\n", "12345+", "67\n", "b\n"]);
        assert_eq!(cut(&["123", "45", "67", "\n"], 5), ["12345+", "67\n"]);
        assert_eq!(cut(&["12345", "6", "7890123"], 5), ["12345+", "67890+", "123$"]);
    }

    #[test]
    fn a_line_only_a_little_longer_is_left_whole() {
        let line = |length: usize| "x".repeat(length) + "\n";
        assert_eq!(cut(&[&line(68)], 64), [line(68)]);
        let (whole, start) = (line(69), "x".repeat(64) + "+");
        assert_eq!(cut(&[&whole], 64), [start.as_str(), "xxxxx\n"]);
        assert_eq!(cut(&[&whole[..67], &whole[67..]], 64), [start.as_str(), "xxxxx\n"]);
    }

    #[test]
    fn a_cut_does_not_tear_a_character() {
        assert_eq!(cut(&["abcdé\n"], 5), ["abcd+", "é\n"]);
        assert_eq!(cut(&["äöü\n"], 1).concat().replace('+', "").len(), "äöü\n".len() + 12, "six torn halves");
    }

    proptest! {
        #[test]
        fn no_chunking_and_no_limit_loses_or_invents_a_byte(
            text in "[ab\n]{0,200}", cuts in prop::collection::vec(1usize..40, 0..20), max_line in 1usize..50
        ) {
            let mut chunks = Vec::new();
            let mut rest = text.as_str();
            for cut in cuts {
                let (chunk, more) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = more;
            }
            chunks.push(rest);
            let seen = cut(&chunks, max_line);
            for line in &seen {
                prop_assert!(line.trim_end_matches(['\n', '+', '$']).len() <= max_line + max_line / 16);
            }
            prop_assert_eq!(&seen.concat().replace(['+', '$'], ""), &text);
            prop_assert_eq!(&seen, &cut(&[&text], max_line), "chunks do not matter");
        }
    }
}
