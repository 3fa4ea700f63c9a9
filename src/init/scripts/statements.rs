//! Which statement was that? A client's error names a line, and by then the line is gone.
//!
//! So where statements begin is remembered, with their first words, for as much of the stream as can be on
//! its way: what a pipe holds and what a client has read ahead. That is cheap, for it looks at the beginning
//! and the end of each line only. It is no parser: a statement begins on the line after one that ended in
//! `;`, and the body of a function in dollar quotes is one statement. Where a dump is written differently
//! the words that are shown are those of a line before.
//!
//! MySQL's clients name the line on which a statement began, psql names the one on which it ended; the last
//! beginning at or before either is right.

use std::collections::VecDeque;

/// So much of the stream is remembered: more than two pipes and a client's buffer.
const REACH: u64 = 512 * 1024;

/// So many beginnings at most.
const BEGINNINGS: usize = 8 * 1024;

/// So many bytes of a statement are kept.
const HEAD: usize = 96;

/// So many bytes at a line's end are looked at.
const TAIL: usize = 48;

/// The beginnings of the last statements of a stream.
#[derive(Default)]
pub struct Statements {
    beginnings: VecDeque<Beginning>,
    /// Bytes until now.
    bytes: u64,
    /// Lines that have ended.
    lines: u64,
    line: Line,
    /// Whether what comes next is not the beginning of a statement.
    is_within: bool,
    /// The dollar quote that is open: `$$`, `$body$`.
    quote: Option<Vec<u8>>,
}

struct Beginning {
    line: u64,
    offset: u64,
    head: Vec<u8>,
}

/// A line that has come in part: how it begins and how it ends, without white space.
#[derive(Default)]
struct Line {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Statements {
    /// Takes the next bytes of the stream.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (piece, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.line.head.is_empty() && self.line.tail.is_empty() {
                self.judge(piece, piece);
            } else {
                self.line.append(piece);
                let Line { head, tail } = std::mem::take(&mut self.line);
                self.judge(&head, &tail);
                self.line = Line { head, tail };
                self.line.head.clear();
                self.line.tail.clear();
            }
            self.bytes += end as u64 + 1;
            self.lines += 1;
            bytes = rest;
        }
        self.line.append(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// Bytes until now.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The line that is being read, from 1.
    pub fn line(&self) -> u64 {
        self.lines + 1
    }

    /// Whether no statement is open: what comes next begins one, or is a command to the client.
    pub fn is_between(&self) -> bool {
        !self.is_within && self.quote.is_none()
    }

    /// The first words of the statement on this line (from 1), if they are still known.
    pub fn at(&self, line: u64) -> Option<String> {
        // The statement that has no end yet is on the line that has no end yet.
        let unfinished = Some(self.line.head.trim_ascii_start())
            .filter(|head| line == self.line() && !self.is_within && is_beginning(head));
        let found = self.beginnings.iter().rev().find(|beginning| beginning.line <= line);
        unfinished.or(found.map(|found| found.head.as_slice())).map(words)
    }

    /// The first words of the last statement that has begun.
    pub fn last(&self) -> Option<String> {
        self.at(self.line())
    }

    /// A line has ended: `head` and `tail` are its beginning and its end, or both the whole line.
    fn judge(&mut self, head: &[u8], tail: &[u8]) {
        let (head, tail) = (head.trim_ascii_start(), tail.trim_ascii_end());
        if tail.is_empty() {
            return;
        }
        if let Some(quote) = &self.quote {
            let closes = |part: &[u8]| part.windows(quote.len()).any(|window| window == quote.as_slice());
            if closes(&tail[tail.len().saturating_sub(TAIL)..]) || closes(&head[..head.len().min(HEAD)]) {
                self.quote = None;
                self.is_within = !tail.ends_with(b";");
            }
            return;
        }
        if !self.is_within {
            if !is_beginning(head) {
                return;
            }
            self.remember(head);
        }
        self.quote = opened(tail);
        self.is_within = self.quote.is_some() || !tail.ends_with(b";");
        // A client's own commands are lines: \i, \connect, DELIMITER, source.
        if self.is_within && self.quote.is_none() && is_command(head) {
            self.is_within = false;
        }
    }

    fn remember(&mut self, head: &[u8]) {
        let mut kept = Vec::new();
        while let Some(first) = self.beginnings.front() {
            // The one that is still running may have begun long ago.
            let is_far = self.beginnings.len() > 1 && self.beginnings[1].offset + REACH < self.bytes;
            if first.offset + REACH < self.bytes && is_far || self.beginnings.len() >= BEGINNINGS {
                kept = self.beginnings.pop_front().map_or(kept, |old| old.head);
            } else {
                break;
            }
        }
        kept.clear();
        kept.extend_from_slice(&head[..head.len().min(HEAD)]);
        self.beginnings.push_back(Beginning { line: self.lines + 1, offset: self.bytes, head: kept });
    }
}

impl Line {
    fn append(&mut self, piece: &[u8]) {
        // White space at the beginning would use up the room.
        let start = if self.head.is_empty() { piece.trim_ascii_start() } else { piece };
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&start[..start.len().min(room)]);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(TAIL)..]);
        let too_many = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..too_many);
    }
}

/// Whether a statement can begin so: not with nothing, and not with a comment to the end of the line.
fn is_beginning(head: &[u8]) -> bool {
    !(head.is_empty() || head.starts_with(b"--") || head.starts_with(b"#"))
}

/// Whether a line is a command to the client, which needs no `;`.
fn is_command(head: &[u8]) -> bool {
    let is = |word: &[u8]| {
        head.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && head.get(word.len()).is_none_or(u8::is_ascii_whitespace)
    };
    head.starts_with(b"\\") || is(b"delimiter") || is(b"source") || is(b"use")
}

/// The dollar quote that a line ends with, and so opens: `AS $$`, `DO $body$`.
fn opened(tail: &[u8]) -> Option<Vec<u8>> {
    let before = tail.strip_suffix(b"$")?;
    let start = memchr::memrchr(b'$', before)?;
    let is_tag = before[start + 1..].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_tag.then(|| tail[start..].to_vec())
}

/// For people: one line, without what a terminal would obey, without what may be a password.
fn words(head: &[u8]) -> String {
    const WORDS: usize = 80;
    let text = String::from_utf8_lossy(head);
    let lower = text.to_ascii_lowercase();
    let has_secret =
        ["password", "identified", "passphrase", "secret"].iter().any(|word| lower.contains(word));
    let text = match text.find(['\'', '"']).filter(|_| has_secret) {
        Some(quote) => format!("{}…", text[..quote].trim_end()),
        None => text.into_owned(),
    };
    let mut text: String =
        text.trim_end_matches('\u{fffd}').chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > WORDS {
        text = text.chars().take(WORDS - 1).chain(['…']).collect();
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream in portions of this size.
    fn of(text: &str, portion: usize) -> Statements {
        let mut statements = Statements::default();
        text.as_bytes().chunks(portion).for_each(|bytes| statements.take(bytes));
        statements
    }

    const DUMP: &str = "-- a dump\n\n/*!40101 SET NAMES utf8 */;\nCREATE TABLE a (\n  id int,\n  t text\n);\n\
        # more\nINSERT INTO a VALUES\n(1,'x'),\n(2,'y;\n');\n  SELECT 1; SELECT 2;\r\nsource more.dump\nDELIMITER $$\n\
        CREATE PROCEDURE p()\nBEGIN\n  SELECT 3;\n  SELECT 4;\nEND$$\nDELIMITER ;\nCALL p();\nUPDATE a SET";

    #[test]
    fn a_line_leads_to_the_first_words_of_its_statement() {
        for portion in [1, 7, 64, 1000] {
            let statements = of(DUMP, portion);
            for (line, expected) in [
                (3, Some("/*!40101 SET NAMES utf8 */;")),
                (4, Some("CREATE TABLE a (")),
                (7, Some("CREATE TABLE a (")),
                (9, Some("INSERT INTO a VALUES")),
                (10, Some("INSERT INTO a VALUES")),
                (13, Some("SELECT 1; SELECT 2;")),
                (14, Some("source more.dump")),
                (22, Some("CALL p();")),
                (23, Some("UPDATE a SET")),
                (1, None),
            ] {
                assert_eq!(statements.at(line).as_deref(), expected, "line {line}, by {portion}");
            }
            assert_eq!((statements.line(), statements.bytes()), (23, DUMP.len() as u64));
        }
    }

    #[test]
    fn a_body_in_dollar_quotes_is_one_statement() {
        let text = "CREATE FUNCTION f() RETURNS int AS $body$\nBEGIN\n  PERFORM 1;\n  RETURN 2;\nEND;\n$body$ LANGUAGE plpgsql;\nSELECT f();\n";
        let statements = of(text, 1000);
        assert_eq!(statements.at(6).as_deref(), Some("CREATE FUNCTION f() RETURNS int AS $body$"));
        assert_eq!(statements.at(7).as_deref(), Some("SELECT f();"));
    }

    #[test]
    fn a_statement_of_megabytes_is_known_by_its_beginning() {
        let long = format!(
            "INSERT INTO big VALUES {};\nSELECT 1;\n",
            "(1,'xxxxxxxxxxxxxxxxxxxxxxx'),\n".repeat(100_000)
        );
        let statements = of(&long, 65_536);
        assert!(statements.at(99_000).unwrap().starts_with("INSERT INTO big VALUES (1,"));
        assert_eq!(statements.last().as_deref(), Some("SELECT 1;"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let statements = of(&"a;\n".repeat(1_000_000), 65_536);
        assert!(statements.beginnings.len() <= BEGINNINGS);
        assert_eq!(statements.at(1), None, "long gone");
        assert_eq!(statements.at(999_990).as_deref(), Some("a;"));
    }

    #[test]
    fn no_password_and_nothing_a_terminal_obeys_is_shown() {
        assert_eq!(words(b"CREATE USER 'a'@'%' IDENTIFIED BY 'hunter2';"), "CREATE USER…");
        assert_eq!(words(b"SELECT '\x1b[2J';"), "SELECT ' [2J';");
        assert_eq!(words(&[b'x'; 200]).chars().count(), 80);
        assert_eq!(words("SELECT 'ä".as_bytes().split_last().unwrap().1), "SELECT '");
    }
}
