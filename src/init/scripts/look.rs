//! What is in one script, as far as can be told before it is run.
//!
//! What people meet: a file written on Windows (CR LF, a byte order mark, UTF-16), characters nobody sees,
//! a dump that is no SQL, a name that does not say how the file is packed, and lines that name other files
//! which are not there. Only the beginning of a large file is looked through.

use super::listing::{Kind, Packing};
use super::quotes::Quotes;
use super::statements::Statements;
use super::unpack::Unpacked;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// So much of a script is looked through, unpacked; of a packed one less, for it costs more.
const REACH: usize = 16 << 20;
const REACH_PACKED: usize = 2 << 20;

/// So many findings of one kind are enough.
const FINDINGS: usize = 3;

/// Whose client will read it: which commands name other files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `source FILE`, `\. FILE`, between statements.
    Mysql,
    /// `\i FILE`, `\ir FILE` and their long names.
    Psql,
    /// None does.
    Other,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// The first bytes, as the file lies there.
    pub opening: Vec<u8>,
    /// How it is packed, by those.
    pub packing: Packing,
    /// There is nothing in it; or, unpacked, nothing but white space.
    pub is_empty: bool,
    /// It begins with a byte order mark in UTF-8.
    pub is_marked: bool,
    /// It is UTF-16.
    pub is_utf16: bool,
    /// It is no text but this.
    pub archive: Option<&'static str>,
    /// How many lines were seen.
    pub lines: u64,
    /// How many of them end in CR LF.
    pub returns: u64,
    /// Characters that nobody sees, outside of quotes, and their lines (from 1).
    pub invisible: Vec<(u64, char)>,
    /// Files that it names for the client to read, and the lines that do.
    pub named: Vec<(u64, PathBuf)>,
}

/// Looks into a file.
///
/// # Errors
/// It cannot be opened, read or unpacked.
pub fn look(path: &Path, kind: Kind, dialect: Dialect) -> io::Result<Look> {
    let mut plain = Unpacked::open(path, Packing::None)?;
    let mut opening = vec![0; 512];
    let count = fill(&mut plain, &mut opening)?;
    opening.truncate(count);
    let mut look = Look {
        packing: Packing::of_magic(&opening),
        is_empty: opening.is_empty(),
        opening,
        ..Look::default()
    };
    let packing = match kind {
        Kind::Sql(packing) => packing,
        Kind::Shell | Kind::JavaScript => Packing::None,
        Kind::Backup(_) => return Ok(look),
    };
    // What is packed otherwise than its name says is not looked into.
    if look.packing != packing || look.is_empty {
        return Ok(look);
    }
    let mut text = Unpacked::open(path, packing)?;
    look.read(&mut text, if packing == Packing::None { REACH } else { REACH_PACKED }, kind, dialect)?;
    Ok(look)
}

impl Look {
    /// Looks through the text, line by line, but no further than `reach`.
    fn read(&mut self, text: &mut impl Read, reach: usize, kind: Kind, dialect: Dialect) -> io::Result<()> {
        let mut statements = Statements::default();
        let mut quotes = Quotes::new(dialect);
        let mut buffer = vec![0; 64 << 10];
        let mut line: Vec<u8> = Vec::new();
        let (mut seen, mut is_blank) = (0, true);
        while seen < reach {
            let count = fill(text, &mut buffer)?;
            let portion = &buffer[..count];
            if seen == 0 {
                self.archive = archive(portion);
                self.is_marked = portion.starts_with(b"\xef\xbb\xbf");
                self.is_utf16 = portion.starts_with(b"\xff\xfe") || portion.starts_with(b"\xfe\xff");
                if self.archive.is_some() || self.is_utf16 {
                    return Ok(());
                }
            }
            if count == 0 {
                break;
            }
            is_blank = is_blank && portion.iter().all(u8::is_ascii_whitespace);
            let start = if seen == 0 && self.is_marked { 3 } else { 0 };
            seen += count;
            for piece in portion[start..].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    self.line(&line, &statements, &mut quotes, kind);
                    statements.take(&line);
                    line.clear();
                } else if line.len() > REACH_PACKED {
                    // Data, and no line that we would look for.
                    quotes.take(&line);
                    statements.take(&line);
                    line.clear();
                }
            }
        }
        self.line(&line, &statements, &mut quotes, kind);
        self.is_empty = is_blank;
        Ok(())
    }

    fn line(&mut self, line: &[u8], statements: &Statements, quotes: &mut Quotes, kind: Kind) {
        if line.is_empty() {
            return;
        }
        self.lines += 1;
        self.returns += u64::from(line.ends_with(b"\r\n"));
        let is_outside = quotes.is_outside();
        if matches!(kind, Kind::Sql(_)) {
            let named = named(line, statements.is_between(), quotes.dialect).filter(|_| is_outside);
            match named {
                Some(named) => self.named.push((statements.line(), named)),
                // What the client reads for itself has no quotes of SQL.
                None => quotes.take(line),
            }
        }
        if is_outside && self.invisible.len() < FINDINGS && !line.is_ascii() {
            self.invisible.extend(invisible(line).map(|found| (statements.line(), found)));
        }
    }
}

/// As much as there is.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What is named like a script, but is none.
fn archive(opening: &[u8]) -> Option<&'static str> {
    match opening {
        [b'P', b'G', b'D', b'M', b'P', ..] => {
            Some("a dump in pg_dump's own format, which only pg_restore reads")
        }
        [b'P', b'K', 3, 4, ..] => Some("a zip archive"),
        _ if opening.get(257..262) == Some(b"ustar") => Some("a tar archive"),
        _ => None,
    }
}

/// The file that a line tells the client to read.
fn named(line: &[u8], is_between: bool, dialect: Dialect) -> Option<PathBuf> {
    let line = line.trim_ascii();
    let (word, rest) = line.split_at(line.iter().position(u8::is_ascii_whitespace)?);
    let rest = rest.trim_ascii();
    let name = match dialect {
        Dialect::Mysql => {
            let is_source = word.eq_ignore_ascii_case(b"source") || word == b"\\.";
            let name = rest.strip_suffix(b";").unwrap_or(rest).trim_ascii_end();
            (is_source && is_between).then_some(name)?
        }
        Dialect::Psql => {
            let is_include = [&b"\\i"[..], b"\\ir", b"\\include", b"\\include_relative"].contains(&word);
            let name = match rest {
                [b'\'', name @ .., b'\''] => name,
                _ => rest.split(u8::is_ascii_whitespace).next()?,
            };
            // What a variable or a program says is not known.
            Some(name).filter(|name| is_include && !name.iter().any(|byte| matches!(byte, b':' | b'`')))?
        }
        Dialect::Other => return None,
    };
    (!name.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// The first character outside of quotes and comments that nobody sees but a parser.
fn invisible(line: &[u8]) -> Option<char> {
    let text = String::from_utf8_lossy(line);
    let found = text.char_indices().find(|(_, c)| {
        matches!(c, '\u{a0}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
    });
    let (place, c) = found?;
    let before = &text[..place];
    let is_outside = ['\'', '"', '`'].iter().all(|quote| before.matches(*quote).count() % 2 == 0);
    let is_comment = before.contains("--") || before.contains('#') || before.contains("/*");
    (is_outside && !is_comment).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8], dialect: Dialect) -> Look {
        let mut look = Look::default();
        look.read(&mut &text[..], REACH, Kind::Sql(Packing::None), dialect).unwrap();
        look
    }

    #[test]
    fn files_that_mysqls_client_will_read_are_found_between_statements_only() {
        let text = b"SELECT 'LOADING departments' as 'INFO';\nsource load_departments.dump ;\nSELECT\n  source from_a_column,\n\
            source\n FROM t;\n\\. more.sql\n-- source no.sql\nSOURCE x y.dump;\n";
        let named = of(text, Dialect::Mysql).named;
        let expected = [(2, "load_departments.dump"), (7, "more.sql"), (9, "x y.dump")];
        assert_eq!(named, expected.map(|(line, name)| (line, PathBuf::from(name))));
        assert_eq!(of(text, Dialect::Other).named, []);
    }

    #[test]
    fn in_literals_and_comments_no_file_is_named() {
        let text = b"/* to load it:\nsource a.sql\n*/;\nINSERT INTO t VALUES ('one;\nsource b.sql\n');\nsource c.sql\n";
        assert_eq!(of(text, Dialect::Mysql).named, [(7, PathBuf::from("c.sql"))]);
        let text = b"/*\n\\i a.sql\n*/\nDO $$\n\\i b.sql\n$$;\nSELECT '\n\\i c.sql\n';\n\\i d.sql\n";
        assert_eq!(of(text, Dialect::Psql).named, [(10, PathBuf::from("d.sql"))]);
    }

    #[test]
    fn files_that_psql_will_read_are_found() {
        let text =
            b"\\i a.sql\n\\ir 'b c.sql'\nSELECT 1\n\\include d.sql\n\\i :variable\n\\i `ls`\nsource e.sql;\n";
        let named = of(text, Dialect::Psql).named;
        let expected = [(1, "a.sql"), (2, "b c.sql"), (4, "d.sql")];
        assert_eq!(named, expected.map(|(line, name)| (line, PathBuf::from(name))));
    }

    #[test]
    fn what_nobody_sees_is_found_outside_of_quotes_and_comments() {
        let text =
            "\u{feff}SELECT\u{a0}1;\nSELECT '\u{a0}\u{200b}';\n-- \u{200b}\nSELECT 1\u{200b};\n".as_bytes();
        let look = of(text, Dialect::Mysql);
        assert_eq!(look.invisible, [(1, '\u{a0}'), (4, '\u{200b}')]);
        assert!(look.is_marked);
    }

    #[test]
    fn what_is_no_text_is_known_by_its_first_bytes() {
        assert!(of(b"PGDMP\x01\x0e", Dialect::Psql).archive.unwrap().contains("pg_restore"));
        assert!(of(b"\xff\xfeS\0E\0", Dialect::Mysql).is_utf16);
        assert!(of(b" \n\t\r\n", Dialect::Mysql).is_empty);
        let look = of(b"a\r\nb\r\nc\n", Dialect::Mysql);
        assert_eq!((look.lines, look.returns, look.is_empty), (3, 2, false));
    }
}
