//! SQL of MySQL and MariaDB: values that are text and nothing else, and batches whose statements have names.
//!
//! The escapes are those of the servers' string literals (MariaDB and MySQL manuals, "String Literals") with
//! NO_BACKSLASH_ESCAPES off: every batch switches it off first. Nothing that could end a literal, a line or an
//! identifier remains, and a NUL cannot come: neither the environment nor a `_FILE` gives one.
//!
//! A client that fails names a line of its input. So a batch knows which statement begins at which line, and
//! an error says what could not be done, not what was sent: statements hold passwords.

use std::fmt::Write;

/// A string literal in single quotes.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            // Ends the input of a client on Windows; the servers' own quoting escapes it everywhere.
            '\x1a' => out.push_str("\\Z"),
            _ => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// An identifier in backticks, inside which there is one special character: the backtick.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A database in a GRANT, which is a pattern there: `_` is any character unless it is escaped.
pub fn granted_database(name: &str) -> String {
    identifier(&name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%"))
}

/// A user and where it may come from.
pub fn account(user: &str, host: &str) -> String {
    format!("{}@{}", literal(user), literal(host))
}

/// Statements that are run one after the other by one client, until one fails.
#[derive(Default)]
pub struct Batch {
    statements: Vec<(String, String)>,
}

impl Batch {
    /// A batch whose literals mean what [`literal`] means.
    pub fn new() -> Batch {
        let mut batch = Batch::default();
        batch.add(
            "clearing NO_BACKSLASH_ESCAPES",
            "SET @@SESSION.sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '')",
        );
        batch
    }

    /// Adds a statement, without `;`, and what it is for: `creating the database "shop"`.
    pub fn add(&mut self, what: impl Into<String>, statement: impl Into<String>) {
        self.statements.push((what.into(), statement.into()));
    }

    /// What the client reads.
    pub fn text(&self) -> Vec<u8> {
        let mut text = String::new();
        for (_, statement) in &self.statements {
            // A String takes everything.
            let _ = writeln!(text, "{statement};");
        }
        text.into_bytes()
    }

    /// What the statement is for that this line of the text belongs to, counted from 1.
    pub fn purpose_of_line(&self, line: u64) -> Option<&str> {
        let mut next = 1;
        self.statements.iter().find_map(|(what, statement)| {
            next += statement.bytes().filter(|byte| *byte == b'\n').count() as u64 + 1;
            (line < next).then_some(what.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_its_literal() {
        assert_eq!(literal("a'b\"c\\"), r#"'a\'b\"c\\'"#);
        assert_eq!(literal("a\nb\r\x1a"), r"'a\nb\r\Z'");
        assert_eq!(literal("%_😀 ; -- x"), "'%_😀 ; -- x'");
    }

    #[test]
    fn an_identifier_keeps_all_but_its_backticks() {
        assert_eq!(identifier("a`b'c\\d\n"), "`a``b'c\\d\n`");
        assert_eq!(granted_database("a_b%c\\d"), "`a\\_b\\%c\\\\d`");
        assert_eq!(account("o'b", "10.0.0.%"), r"'o\'b'@'10.0.0.%'");
    }

    #[test]
    fn a_line_of_a_batch_belongs_to_one_statement() {
        let mut batch = Batch::new();
        batch.add("creating", "CREATE DATABASE `a\nb`");
        batch.add("granting", "GRANT ALL");
        assert_eq!(batch.text().iter().filter(|byte| **byte == b'\n').count(), 4);
        assert_eq!(batch.purpose_of_line(1), Some("clearing NO_BACKSLASH_ESCAPES"));
        assert_eq!(batch.purpose_of_line(2), Some("creating"));
        assert_eq!(batch.purpose_of_line(3), Some("creating"));
        assert_eq!(batch.purpose_of_line(4), Some("granting"));
        assert_eq!(batch.purpose_of_line(5), None);
    }
}
