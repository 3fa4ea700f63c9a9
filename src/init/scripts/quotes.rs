//! What is open at the beginning of a line of SQL: in a literal or a comment nothing is a statement, or a command to
//! the client.
//!
//! As the clients see it, which look for quotes before they look for commands: MySQL's has backslashes in its literals and
//! two more signs of comments, psql has dollar quotes and comments within comments.

use super::look::Dialect;

/// What is open after so many lines.
#[derive(Debug)]
pub struct Quotes {
    /// Whose client reads it.
    pub dialect: Dialect,
    open: Open,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Open {
    Nothing,
    /// Until this byte.
    Quote {
        end: u8,
        has_escapes: bool,
    },
    /// So deep.
    Comment(u32),
    /// Until these bytes.
    Dollar(Vec<u8>),
}

impl Quotes {
    /// At the beginning of a script, where nothing is open.
    pub fn new(dialect: Dialect) -> Quotes {
        Quotes { dialect, open: Open::Nothing }
    }

    /// Whether nothing is open.
    pub fn is_outside(&self) -> bool {
        self.open == Open::Nothing
    }

    /// Takes the next line.
    pub fn take(&mut self, line: &[u8]) {
        let trimmed = line.trim_ascii();
        // The end of COPY's data, in which quotes are none.
        if self.dialect == Dialect::Psql && trimmed == b"\\." {
            self.open = Open::Nothing;
        }
        // A command to the client ends with its line.
        if self.is_outside() && trimmed.starts_with(b"\\") {
            return;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let used = match &self.open {
                Open::Nothing => self.outside(line, line.len() - rest.len()),
                Open::Quote { end, has_escapes } => match (rest[0], *end) {
                    (b'\\', _) if *has_escapes => 2,
                    (byte, end) if byte == end => self.close(1),
                    _ => 1,
                },
                Open::Comment(depth) => match (*depth, self.dialect) {
                    (1, _) if rest.starts_with(b"*/") => self.close(2),
                    (depth, _) if rest.starts_with(b"*/") => self.go_to(Open::Comment(depth - 1), 2),
                    (depth, Dialect::Psql) if rest.starts_with(b"/*") => {
                        self.go_to(Open::Comment(depth + 1), 2)
                    }
                    _ => 1,
                },
                Open::Dollar(end) => match memchr::memmem::find(rest, end) {
                    Some(at) => self.close(at + end.len()),
                    None => return,
                },
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// The byte at this place of a line, where nothing is open. Returns how many are known by it.
    fn outside(&mut self, line: &[u8], at: usize) -> usize {
        let rest = &line[at..];
        let before = at.checked_sub(1).map(|at| line[at]);
        let is_mysql = self.dialect == Dialect::Mysql;
        match rest {
            [b'#', ..] if is_mysql => rest.len(),
            // MySQL wants something that is white after it.
            [b'-', b'-', more @ ..] if !is_mysql || more.first().is_none_or(|byte| *byte <= b' ') => {
                rest.len()
            }
            [b'/', b'*', ..] => self.go_to(Open::Comment(1), 2),
            [end @ (b'\'' | b'"' | b'`'), ..] if is_mysql || *end != b'`' => {
                let has_escapes = match is_mysql {
                    true => *end != b'`',
                    false => *end == b'\'' && matches!(before, Some(b'e' | b'E')),
                };
                self.go_to(Open::Quote { end: *end, has_escapes }, 1)
            }
            [b'$', more @ ..] if !is_mysql && !before.is_some_and(is_of_name) => {
                let tag = more.iter().take_while(|byte| is_of_name(**byte)).count();
                let is_quote = more.get(tag) == Some(&b'$') && !more[0].is_ascii_digit();
                match is_quote {
                    true => self.go_to(Open::Dollar(rest[..tag + 2].to_vec()), tag + 2),
                    false => 1,
                }
            }
            _ => 1,
        }
    }

    fn close(&mut self, used: usize) -> usize {
        self.go_to(Open::Nothing, used)
    }

    fn go_to(&mut self, open: Open, used: usize) -> usize {
        self.open = open;
        used
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each line whether something is open when it begins: `.` nothing, `x` something.
    fn of(dialect: Dialect, text: &str) -> String {
        let mut quotes = Quotes::new(dialect);
        let mut found = String::new();
        for line in text.split_inclusive('\n') {
            found.push(if quotes.is_outside() { '.' } else { 'x' });
            quotes.take(line.as_bytes());
        }
        found
    }

    #[test]
    fn mysqls_literals_and_comments() {
        for (text, expected) in [
            ("a 'b\nc' d\ne", ".x."),
            ("a 'it''s' \"'\" `'`\nb 'it\\'s\n' \"\n\"\ne", "..xx."),
            ("a -- it's\nb # it's\nc--'\nd'\ne", "...x."),
            ("/* it's\n /* */ a\nb", ".x."),
            ("$$ a\nb", ".."),
        ] {
            assert_eq!(of(Dialect::Mysql, text), expected, "{text}");
        }
    }

    #[test]
    fn psqls_literals_and_comments() {
        for (text, expected) in [
            ("a '\\'\nb E'\\'\n' c\nd", "..x."),
            ("/* /* */\n */ a\nb", ".x."),
            ("a $$ it's\n$x$\n$$ b $1 $ax$ '\n$$ $ax$\nc", ".xxx."),
            ("COPY t FROM stdin;\nit's\n\\.\na", "..x."),
            ("\\echo it's\na --'\nb `\nc # '\n'\nd", "....x."),
        ] {
            assert_eq!(of(Dialect::Psql, text), expected, "{text}");
        }
    }
}
