//! How a line looks: raw, prefix, JSON, with or without a time stamp.
//!
//! | format | without | with time stamps |
//! |---|---|---|
//! | raw | `line` | `2026-01-31T23:59:59.999Z line` |
//! | prefix | `web \| line` | `2026-01-31T23:59:59.999Z web \| line` |
//! | JSON | always stamped: `{"time":…,"service":…,"instance":…,"stream":…,"pid":…,"message":…}` | |
//!
//! Prefixes are as wide as the longest label, so that lines stand below one another; on a
//! terminal each service has its colour.
//!
//! Raw and prefix pass every byte as it is; JSON replaces what is not UTF-8 by U+FFFD,
//! because JSON has no other way to say it (RFC 8259, section 8.1).

use super::stamp::Stamp;
use super::stream::{Source, Std};
use crate::core::plan::{LogFormat, LogPolicy};
use memchr::{memchr, memchr_iter};
use std::io::Write;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Raw, prefix or JSON.
    pub format: LogFormat,
    /// Whether each line is stamped.
    pub timestamps: bool,
    /// Prefixes are filled up with spaces to this width.
    pub width: u8,
    /// Whether prefixes have the colour of their service.
    pub is_coloured: bool,
}

/// Colours of services, as numbers of SGR (console_codes(4)): those that can be read on black and on
/// white. Red is left to errors.
const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

impl Look {
    /// As written.
    pub const PLAIN: Look = Look { format: LogFormat::Raw, timestamps: false, width: 0, is_coloured: false };

    /// What a service with this policy gets, where `self` is the supervisor's own look:
    /// a service can ask for more than that, not for less.
    pub fn with(self, policy: &LogPolicy) -> Look {
        let format = match self.format {
            LogFormat::Raw if policy.prefix => LogFormat::Prefix,
            LogFormat::Raw | LogFormat::Prefix | LogFormat::Json => self.format,
        };
        Look { format, timestamps: self.timestamps || policy.timestamps, ..self }
    }

    /// Whether a line leaves exactly as it came.
    pub fn is_verbatim(self) -> bool {
        self.format == LogFormat::Raw && !self.timestamps
    }

    /// Whether the clock is asked.
    pub fn is_stamped(self) -> bool {
        self.timestamps || self.format == LogFormat::Json
    }

    /// Whole lines on this page, in place of what it had: the bytes of `held`, then those of `lines`,
    /// which has all newlines.
    pub fn lines<'a>(
        self,
        page: &'a mut Vec<u8>,
        source: &Source,
        stamp: &Stamp,
        held: &[u8],
        lines: &[u8],
    ) -> &'a [u8] {
        let mut before = Vec::with_capacity(192);
        self.before(&mut before, source, stamp);
        if self.format != LogFormat::Json {
            return put_before_each(page, &before, held, lines);
        }
        page.clear();
        let mut lines = lines;
        if !held.is_empty() {
            let end = memchr(b'\n', lines).unwrap_or(lines.len());
            self.line(page, source, stamp, held, &lines[..end], false);
            lines = lines.get(end + 1..).unwrap_or_default();
        }
        let after = self.after(false);
        let mut from = 0;
        for end in memchr_iter(b'\n', lines) {
            page.extend_from_slice(&before);
            json_text(page, &lines[from..end]);
            page.extend_from_slice(after);
            from = end + 1;
        }
        page
    }

    /// Appends one line: the bytes of `head`, then those of `tail`, neither with a newline.
    pub fn line(
        self,
        out: &mut Vec<u8>,
        source: &Source,
        stamp: &Stamp,
        head: &[u8],
        tail: &[u8],
        continues: bool,
    ) {
        self.before(out, source, stamp);
        match (self.format, head.is_empty()) {
            // A character may lie across the two.
            (LogFormat::Json, false) => self.text(out, &[head, tail].concat()),
            (LogFormat::Raw | LogFormat::Prefix | LogFormat::Json, _) => {
                self.text(out, head);
                self.text(out, tail);
            }
        }
        out.extend_from_slice(self.after(continues));
    }

    /// Appends what stands before the text: the same for all lines of one read.
    pub fn before(self, out: &mut Vec<u8>, source: &Source, stamp: &Stamp) {
        if self.format == LogFormat::Json {
            json_before(out, source, stamp);
            return;
        }
        if self.timestamps {
            out.extend_from_slice(stamp.as_bytes());
            out.push(b' ');
        }
        if self.format == LogFormat::Prefix {
            if self.is_coloured {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\x1b[{}m", COLOURS[usize::from(source.colour()) % COLOURS.len()]);
            }
            self.label(out, source.label());
            out.extend_from_slice(if self.is_coloured { b" |\x1b[0m " } else { b" | " });
        }
    }

    fn label(self, out: &mut Vec<u8>, label: &str) {
        out.extend_from_slice(label.as_bytes());
        out.resize(out.len() + usize::from(self.width).saturating_sub(label.len()), b' ');
    }

    /// Appends the text.
    pub fn text(self, out: &mut Vec<u8>, text: &[u8]) {
        match self.format {
            LogFormat::Raw | LogFormat::Prefix => out.extend_from_slice(text),
            LogFormat::Json => json_text(out, text),
        }
    }

    /// What stands behind the text, with the newline.
    pub fn after(self, continues: bool) -> &'static [u8] {
        match (self.format, continues) {
            (LogFormat::Raw | LogFormat::Prefix, false) => b"\n",
            (LogFormat::Raw | LogFormat::Prefix, true) => b" [line continues]\n",
            (LogFormat::Json, false) => b"\"}\n",
            (LogFormat::Json, true) => b"\",\"continues\":true}\n",
        }
    }

    /// Appends one message of minisup itself; `level` is empty for the ordinary ones.
    pub fn own_line(self, out: &mut Vec<u8>, stamp: &Stamp, level: &str, message: &str) {
        // A message is one line, whatever is quoted in it.
        let message = message.trim_end().replace('\n', " / ");
        if self.format == LogFormat::Json {
            out.extend_from_slice(b"{\"time\":\"");
            out.extend_from_slice(stamp.as_bytes());
            out.extend_from_slice(b"\",\"service\":\"minisup\",\"level\":\"");
            out.extend_from_slice(if level.is_empty() { b"info" } else { level.as_bytes() });
            out.extend_from_slice(b"\",\"message\":\"");
            json_text(out, message.as_bytes());
            out.extend_from_slice(b"\"}\n");
            return;
        }
        if self.timestamps {
            out.extend_from_slice(stamp.as_bytes());
            out.push(b' ');
        }
        match self.format {
            LogFormat::Prefix => {
                self.label(out, "minisup");
                out.extend_from_slice(b" | ");
            }
            LogFormat::Raw | LogFormat::Json => out.extend_from_slice(b"minisup: "),
        }
        if !level.is_empty() {
            out.extend_from_slice(level.as_bytes());
            out.extend_from_slice(b": ");
        }
        out.extend_from_slice(message.as_bytes());
        out.push(b'\n');
    }
}

fn json_before(out: &mut Vec<u8>, source: &Source, stamp: &Stamp) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"\",\"service\":\"");
    json_text(out, source.service().as_bytes());
    out.push(b'"');
    if let Some(instance) = source.instance() {
        // Writing to a Vec cannot fail.
        let _ = write!(out, ",\"instance\":{instance}");
    }
    out.extend_from_slice(match source.stream() {
        Std::Out => b",\"stream\":\"stdout\"",
        Std::Err => b",\"stream\":\"stderr\"",
    });
    if let Some(pid) = source.pid() {
        let _ = write!(out, ",\"pid\":{pid}");
    }
    out.extend_from_slice(b",\"message\":\"");
}

/// Lines with their newlines on this page, and `before` before each of them; the first begins with
/// what was held. Short ones are copied as blocks of a fixed size, of which the next one overwrites what
/// is too much: a call of memcpy for each would cost twice as much as all the rest. For the same reason
/// the page is not emptied first: what it has is overwritten.
fn put_before_each<'a>(page: &'a mut Vec<u8>, before: &[u8], held: &[u8], lines: &[u8]) -> &'a [u8] {
    const SMALL: usize = 64;
    const LARGE: usize = 128;
    let mut block = [0; SMALL];
    if let Some(place) = block.get_mut(..before.len()) {
        place.copy_from_slice(before);
    }
    let (mut at, mut from) = (0, 0);
    let mut held = held;
    for end in memchr_iter(b'\n', lines) {
        let length = end + 1 - from;
        let room = at + before.len() + held.len() + length + SMALL + LARGE;
        if page.len() < room {
            page.resize(room + 2 * lines.len(), 0);
        }
        match page[at..].first_chunk_mut::<SMALL>() {
            Some(place) if before.len() <= SMALL => *place = block,
            Some(_) | None => page[at..at + before.len()].copy_from_slice(before),
        }
        at += before.len();
        if !held.is_empty() {
            page[at..at + held.len()].copy_from_slice(held);
            at += std::mem::take(&mut held).len();
        }
        match (page[at..].first_chunk_mut::<LARGE>(), lines[from..].first_chunk::<LARGE>()) {
            (Some(place), Some(line)) if length <= LARGE => *place = *line,
            _ => page[at..at + length].copy_from_slice(&lines[from..=end]),
        }
        at += length;
        from = end + 1;
    }
    &page[..at]
}

/// Appends bytes as the inside of a JSON string.
fn json_text(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        match rest.first() {
            None => return,
            Some(b'"') => out.extend_from_slice(b"\\\""),
            Some(b'\\') => out.extend_from_slice(b"\\\\"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            // Writing to a Vec cannot fail.
            Some(control @ ..0x20) => drop(write!(out, "\\u{control:04x}")),
            Some(_) => {
                // Characters beyond ASCII consist of such bytes only (utf-8(7)).
                let length = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
                for chunk in rest[..length].utf8_chunks() {
                    out.extend_from_slice(chunk.valid().as_bytes());
                    if !chunk.invalid().is_empty() {
                        out.extend_from_slice("\u{FFFD}".as_bytes());
                    }
                }
                rest = &rest[length..];
                continue;
            }
        }
        rest = &rest[1..];
    }
}

/// How many bytes at the beginning mean themselves in a JSON string: ASCII without control
/// characters, quotes and backslashes. Eight are looked at at a time.
#[inline(always)]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of a byte: below 0x20; 0 after the exclusive or; beyond ASCII. A borrow goes
        // up only, so the lowest bit that is set is right.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let special = (control | is_zero(quote) | is_zero(backslash) | word) & HIGH;
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let tail = &bytes[words.len() * 8..];
    let is_plain = |byte: &u8| (0x20..0x80).contains(byte) && *byte != b'"' && *byte != b'\\';
    bytes.len() - tail.len() + tail.iter().position(|byte| !is_plain(byte)).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{InstanceId, Pid};
    use crate::core::plan::WhenFull;

    fn line(format: LogFormat, timestamps: bool, text: &[u8], continues: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut source = Source::new("web".into(), InstanceId(4), Some(1), Std::Err);
        source.set_pid(Pid(42));
        Look { format, timestamps, ..Look::PLAIN }.line(
            &mut out,
            &source,
            &Stamp::default(),
            text,
            b"",
            continues,
        );
        out
    }

    #[test]
    fn each_format_looks_as_the_manual_says() {
        assert_eq!(line(LogFormat::Raw, false, b"hi", false), b"hi\n");
        assert_eq!(line(LogFormat::Raw, true, b"hi", false), b"1970-01-01T00:00:00.000Z hi\n");
        assert_eq!(line(LogFormat::Prefix, false, b"hi", false), b"web:1 | hi\n");
        assert_eq!(
            line(LogFormat::Prefix, true, b"hi", true),
            b"1970-01-01T00:00:00.000Z web:1 | hi [line continues]\n"
        );
    }

    #[test]
    fn json_is_valid_whatever_the_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let text = line(LogFormat::Json, false, &all, true);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!((&value["service"], &value["stream"]), (&"web".into(), &"stderr".into()));
        assert_eq!((&value["instance"], &value["continues"]), (&1.into(), &true.into()));
        assert_eq!(value["pid"], 42);
        assert_eq!(value["message"], String::from_utf8_lossy(&all).as_ref());
    }

    #[test]
    fn json_text_is_the_same_wherever_a_byte_stands() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut text = b"abcdefghijklmnopqrst".to_vec();
                text[at] = byte;
                text.extend_from_slice("é\u{10ffff}\u{80}x".as_bytes());
                let value: serde_json::Value =
                    serde_json::from_slice(&line(LogFormat::Json, false, &text, false)).unwrap();
                assert_eq!(value["message"], String::from_utf8_lossy(&text).as_ref(), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn lines_of_all_lengths_get_their_prefix() {
        let source = Source::new("web".into(), InstanceId(0), None, Std::Out);
        for (format, width) in [(LogFormat::Prefix, 0), (LogFormat::Prefix, 90), (LogFormat::Json, 0)] {
            let look = Look { format, width, ..Look::PLAIN };
            let (mut text, mut expected) = (Vec::new(), Vec::new());
            for length in (0..300).chain([0, 1, 1000, 0]) {
                let line: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
                look.line(&mut expected, &source, &Stamp::default(), &line, b"", false);
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
            let mut page = b"what was there".to_vec();
            let out = look.lines(&mut page, &source, &Stamp::default(), b"", &text);
            assert!(out == expected, "{format:?} {width}");
            let out = look.lines(&mut page, &source, &Stamp::default(), b"held", b"\nnext\n");
            let twice = [b"held", b"next"].map(|line| {
                let mut out = Vec::new();
                look.line(&mut out, &source, &Stamp::default(), line, b"", false);
                out
            });
            assert_eq!(out, twice.concat());
        }
    }

    #[test]
    fn prefixes_stand_below_one_another_and_have_their_colours() {
        let source =
            |name: &str, colour| Source::new(name.into(), InstanceId(0), None, Std::Out).coloured(colour);
        let look = Look { format: LogFormat::Prefix, width: 5, ..Look::PLAIN };
        let (mut out, mut page) = (Vec::new(), Vec::new());
        out.extend_from_slice(look.lines(
            &mut page,
            &source("app", 0),
            &Stamp::default(),
            b"o",
            b"ne\ntwo\n",
        ));
        out.extend_from_slice(look.lines(&mut page, &source("queue", 0), &Stamp::default(), b"", b"three\n"));
        look.own_line(&mut out, &Stamp::default(), "", "hello");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "app   | one\napp   | two\nqueue | three\nminisup | hello\n"
        );
        let mut out = Vec::new();
        let look = Look { is_coloured: true, ..look };
        out.extend_from_slice(look.lines(&mut page, &source("app", 0), &Stamp::default(), b"", b"one\n"));
        out.extend_from_slice(look.lines(&mut page, &source("web", 11), &Stamp::default(), b"", b"one\n"));
        assert_eq!(out, b"\x1b[36mapp   |\x1b[0m one\n\x1b[33mweb   |\x1b[0m one\n");
    }

    #[test]
    fn a_service_can_ask_for_more_than_the_supervisor() {
        let look = |format, timestamps| Look { format, timestamps, ..Look::PLAIN };
        let policy =
            |prefix, timestamps| LogPolicy { prefix, timestamps, max_line: 100, when_full: WhenFull::Block };
        assert_eq!(look(LogFormat::Raw, false).with(&policy(true, true)), look(LogFormat::Prefix, true));
        assert_eq!(look(LogFormat::Json, true).with(&policy(true, false)), look(LogFormat::Json, true));
        assert!(look(LogFormat::Raw, false).with(&policy(false, false)).is_verbatim());
    }

    #[test]
    fn our_own_messages_are_one_line_each() {
        let mut out = Vec::new();
        let raw = Look::PLAIN;
        raw.own_line(&mut out, &Stamp::default(), "", "web is ready");
        raw.own_line(&mut out, &Stamp::default(), "warning", "two\nlines\n");
        assert_eq!(String::from_utf8(out).unwrap(), "minisup: web is ready\nminisup: warning: two / lines\n");
    }
}
