//! How a line looks: raw, prefix, JSON, with or without a time stamp.
//!
//! | format | without | with time stamps |
//! |---|---|---|
//! | raw | `line` | `2026-01-31T23:59:59.999Z line` |
//! | prefix | `web \| line` | `2026-01-31T23:59:59.999Z web \| line` |
//! | JSON | always stamped: `{"time":…,"service":…,"instance":…,"stream":…,"message":…}` | |
//!
//! Raw and prefix pass every byte as it is; JSON replaces what is not UTF-8 by U+FFFD,
//! because JSON has no other way to say it (RFC 8259, section 8.1).

use super::stream::{Source, Std};
use crate::core::plan::{LogFormat, LogPolicy};
use std::io::Write;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Raw, prefix or JSON.
    pub format: LogFormat,
    /// Whether each line is stamped.
    pub timestamps: bool,
}

impl Look {
    /// What a service with this policy gets, where `self` is the supervisor's own look:
    /// a service can ask for more than that, not for less.
    pub fn with(self, policy: &LogPolicy) -> Look {
        let format = match self.format {
            LogFormat::Raw if policy.prefix => LogFormat::Prefix,
            LogFormat::Raw | LogFormat::Prefix | LogFormat::Json => self.format,
        };
        Look { format, timestamps: self.timestamps || policy.timestamps }
    }

    /// Whether a line leaves exactly as it came.
    pub fn is_verbatim(self) -> bool {
        self.format == LogFormat::Raw && !self.timestamps
    }

    /// Whether the clock is asked.
    pub fn is_stamped(self) -> bool {
        self.timestamps || self.format == LogFormat::Json
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
            out.extend_from_slice(source.label().as_bytes());
            out.extend_from_slice(b" | ");
        }
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
        out.extend_from_slice(match self.format {
            LogFormat::Prefix => b"minisup | ",
            LogFormat::Raw | LogFormat::Json => b"minisup: ",
        });
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

/// Appends bytes as the inside of a JSON string.
fn json_text(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\') {
            out.extend_from_slice(&rest[..at]);
            match rest[at] {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\n' => out.extend_from_slice(b"\\n"),
                // Writing to a Vec cannot fail.
                control => drop(write!(out, "\\u{control:04x}")),
            }
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// A moment of the wall clock as RFC 3339 with milliseconds, in UTC:
/// `2026-01-31T23:59:59.999Z`. Written anew only where it has changed.
pub struct Stamp {
    text: [u8; 24],
    millis: u64,
    day: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp { text: *b"1970-01-01T00:00:00.000Z", millis: 0, day: 0 }
    }
}

impl Stamp {
    /// The stamp of this moment: seconds and nanoseconds since 1970.
    pub fn of((seconds, nanos): (i64, u32)) -> Self {
        let mut stamp = Stamp::default();
        stamp.set((seconds, nanos));
        stamp
    }

    /// Its 24 characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Seconds and nanoseconds since 1970; before it is it.
    pub fn set(&mut self, (seconds, nanos): (i64, u32)) {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let millis = seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
        if millis == self.millis {
            return;
        }
        self.millis = millis;
        let day = millis / 86_400_000;
        if day != self.day {
            self.day = day;
            let (year, month, day) = date(day);
            digits(&mut self.text[0..4], year);
            digits(&mut self.text[5..7], month);
            digits(&mut self.text[8..10], day);
        }
        digits(&mut self.text[11..13], millis / 3_600_000 % 24);
        digits(&mut self.text[14..16], millis / 60_000 % 60);
        digits(&mut self.text[17..19], millis / 1000 % 60);
        digits(&mut self.text[20..23], millis % 1000);
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of the month, so many days after 1970-01-01. Asked once a day.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years are always 146,097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{InstanceId, Pid};
    use crate::core::plan::WhenFull;

    fn stamp(millis: u64) -> String {
        let stamp = Stamp::of(((millis / 1000) as i64, (millis % 1000) as u32 * 1_000_000));
        String::from_utf8(stamp.text.to_vec()).unwrap()
    }

    fn line(format: LogFormat, timestamps: bool, text: &[u8], continues: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut source = Source::new("web".into(), InstanceId(4), Some(1), Std::Err);
        source.set_pid(Pid(42));
        Look { format, timestamps }.line(&mut out, &source, &Stamp::default(), text, b"", continues);
        out
    }

    #[test]
    fn stamps_agree_with_date_1() {
        // date -u -d @N +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_199_297, "2026-11-20T18:28:17.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (13_574_563_200, "2400-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(seconds * 1000), text);
        }
        assert_eq!(stamp(1_795_199_297_042), "2026-11-20T18:28:17.042Z");
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
    fn a_service_can_ask_for_more_than_the_supervisor() {
        let look = |format, timestamps| Look { format, timestamps };
        let policy =
            |prefix, timestamps| LogPolicy { prefix, timestamps, max_line: 100, when_full: WhenFull::Block };
        assert_eq!(look(LogFormat::Raw, false).with(&policy(true, true)), look(LogFormat::Prefix, true));
        assert_eq!(look(LogFormat::Json, true).with(&policy(true, false)), look(LogFormat::Json, true));
        assert!(look(LogFormat::Raw, false).with(&policy(false, false)).is_verbatim());
    }

    #[test]
    fn our_own_messages_are_one_line_each() {
        let mut out = Vec::new();
        let raw = Look { format: LogFormat::Raw, timestamps: false };
        raw.own_line(&mut out, &Stamp::default(), "", "web is ready");
        raw.own_line(&mut out, &Stamp::default(), "warning", "two\nlines\n");
        assert_eq!(String::from_utf8(out).unwrap(), "minisup: web is ready\nminisup: warning: two / lines\n");
    }
}
