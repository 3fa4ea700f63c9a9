//! As written: a tree that knows, for every key and value, where it stands.
//!
//! The `toml` crate finds all syntax errors at once and gives a span to everything; this
//! turns its tree into our own, in which `${VAR}` has been replaced, nothing is borrowed,
//! and values of several files can stand side by side.

use super::diagnostics::{Problems, SourceId, Sources, Span};
use super::variables::{Expansion, Variables};
use super::words;
use crate::core::sorted::{self, Map};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Tables and lists may be nested so deep; the deepest key there is needs six levels.
const DEEPEST: usize = 24;
/// A key may have so many dotted parts.
const MOST_DOTS: usize = 12;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is written.
    pub value: Value,
    /// A string of which values of variables are a part: as it is to be split into words, where these
    /// have quotes in them.
    pub shielded: Option<Box<str>>,
    /// Where.
    pub span: Span,
}

impl Node {
    /// A value that was not written as a string with variables in it.
    pub fn new(value: Value, span: Span) -> Node {
        Node { value, shielded: None, span }
    }
}

/// What can be written.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Value {
    String(String),
    Integer {
        number: i64,
        /// Whether it was written as `0o…`.
        octal: bool,
    },
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
    /// Something was wrong with it, and that has been said.
    Lost,
}

impl Value {
    /// The kind of value in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer { .. } | Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Lost => "unreadable",
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The place of the key.
    pub key: Span,
    /// Its value.
    pub node: Node,
}

/// Keys and values.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Map<Box<str>, Entry>);

impl Table {
    /// The entry of this key.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// The table under this key, if it is one.
    pub fn table(&self, name: &str) -> Option<&Table> {
        match &self.get(name)?.node.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// All entries in the order in which they were written.
    pub fn in_order(&self) -> Vec<(&str, &Entry)> {
        let mut entries: Vec<_> = self.0.iter().map(|(name, entry)| (&**name, entry)).collect();
        sorted::sort_by_key(&mut entries, |(_, entry)| entry.key);
        entries
    }
}

/// Reads a text that is in `sources` already. Always gives a tree: what could not be
/// read is missing from it, and has been said. Also whether all of it is TOML.
pub fn parse(
    sources: &Sources,
    id: SourceId,
    variables: &Variables,
    problems: &mut Problems,
) -> (Table, bool) {
    let text = sources.get(id).text.as_str();
    let place = |range: std::ops::Range<usize>| Span {
        source: id,
        start: range.start.min(text.len()) as u32,
        end: range.end.min(text.len()) as u32,
    };
    if let Some(range) = overlong_key(text) {
        problems.error(place(range), format!("a key with more than {MOST_DOTS} parts")).mark("here");
        return (Table::default(), false);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut in_list = false;
    for error in &errors {
        // After a list without its end all the rest of the file seems to stand in it.
        let of_list = ["missing comma between array", "unexpected `=` in array"];
        let of_list = of_list.iter().any(|start| error.message().starts_with(start));
        if std::mem::replace(&mut in_list, of_list) && of_list {
            continue;
        }
        let span = place(error.span().unwrap_or(text.len()..text.len()));
        let (message, mark) = in_our_words(error.message(), sources.text(span));
        problems.error(span, message).mark(mark);
    }
    let mut reader = Reader { text, id, variables, problems, literal: errors.is_empty() };
    (reader.table(tree.into_inner(), 0), errors.is_empty())
}

/// The parser's messages are terse; the frequent ones are said as a person would.
fn in_our_words(message: &str, found: &str) -> (String, String) {
    let is = |start: &str| message.starts_with(start);
    let said = |text: &str, mark: &str| (format!("not TOML: {text}"), mark.to_owned());
    if is("duplicate key") {
        (format!("{found:?} is given twice in the same table"), "here again".into())
    } else if is("string values must be quoted") {
        said("a string stands in quotes", &format!("\"{}\"", found.trim()))
    } else if is("invalid basic string, expected `\"`") {
        said("the string does not end", "a `\"` is missing")
    } else if is("invalid literal string, expected `'`") {
        said("the string does not end", "a `'` is missing")
    } else if is("missing comma between array") {
        said("a list goes on without a comma", "a `,` or a `]` is missing before this")
    } else if is("key with no value") {
        said("a key without a value", "= …")
    } else if is("unclosed table") || is("unclosed array") {
        said("a list or a table's name does not end", "a `]` is missing")
    } else {
        said(message, "")
    }
}

/// The parser nests a table for each part of a dotted key, and its tables are dropped
/// recursively: a key of a million parts would overflow the stack. Looks for one.
fn overlong_key(text: &str) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.bytes().filter(|b| *b == b'.').count() > MOST_DOTS
            && let Some(at) = overlong_key_in(line.as_bytes())
        {
            return Some(start + at..start + at + 1);
        }
        start += line.len();
    }
    None
}

fn overlong_key_in(line: &[u8]) -> Option<usize> {
    let (mut dots, mut at, mut part) = (0, 0, false);
    while at < line.len() {
        match line[at] {
            b'.' if part => {
                dots += 1;
                part = false;
                if dots > MOST_DOTS {
                    return Some(at);
                }
            }
            b' ' | b'\t' => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => {
                // A second word after a space ends the key that was begun.
                if part && at > 0 && matches!(line[at - 1], b' ' | b'\t') {
                    dots = 0;
                }
                part = true;
            }
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < line.len() && line[at] != quote {
                    at += if line[at] == b'\\' && quote == b'"' { 2 } else { 1 };
                }
                part = true;
            }
            _ => (dots, part) = (0, false),
        }
        at += 1;
    }
    None
}

struct Reader<'a> {
    text: &'a str,
    id: SourceId,
    variables: &'a Variables,
    problems: &'a mut Problems,
    /// Variables are only replaced in a text without syntax errors: in what the parser
    /// recovered there may be things that nobody wrote.
    literal: bool,
}

impl Reader<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        let end = self.text.len();
        Span { source: self.id, start: range.start.min(end) as u32, end: range.end.min(end) as u32 }
    }

    fn table(&mut self, table: DeTable<'_>, depth: usize) -> Table {
        let mut entries = Map::new();
        for (key, value) in table {
            let place = self.span(key.span());
            let node = self.node(value, depth + 1);
            let name = key.into_inner().into_owned().into_boxed_str();
            if name.contains('\0') {
                self.problems.error(place, "a key cannot contain a NUL character");
            }
            entries.insert(name, Entry { key: place, node });
        }
        Table(entries)
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let range = value.span();
        let span = self.span(range.clone());
        if depth > DEEPEST {
            self.problems.error(span, format!("nested more than {DEEPEST} levels deep"));
            return Node::new(Value::Lost, span);
        }
        let value = match value.into_inner() {
            DeValue::String(text) => return self.string(text.into_owned(), span),
            DeValue::Integer(written) => match i64::from_str_radix(written.as_str(), written.radix()) {
                Ok(number) => Value::Integer { number, octal: written.radix() == 8 },
                Err(_) => {
                    self.problems.error(span, "a number that is too large");
                    Value::Lost
                }
            },
            DeValue::Float(written) => match written.as_str().parse::<f64>() {
                Ok(number) => Value::Float(number),
                Err(_) => {
                    self.problems.error(span, "not a number");
                    Value::Lost
                }
            },
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(list) => {
                Value::Array(list.into_iter().map(|node| self.node(node, depth + 1)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, depth)),
        };
        Node::new(value, span)
    }

    fn string(&mut self, text: String, span: Span) -> Node {
        // A newline is what the author has made, whichever editor has written it down.
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let text = if written.contains("\r\n") { text.replace("\r\n", "\n") } else { text };
        let with_shields = match self.literal && text.contains("${") {
            true => self.variables.expand_with(&text, words::shielded),
            false => Expansion::Wrong(Vec::new()),
        };
        let shielded = match with_shields {
            Expansion::Text(text) if text.contains(words::is_shield) => Some(text.into()),
            Expansion::Text(_) | Expansion::Wrong(_) => None,
        };
        Node { value: self.expanded(text, span), shielded, span }
    }

    fn expanded(&mut self, text: String, span: Span) -> Value {
        if text.contains('\0') {
            let message = "a NUL character cannot be in a command, a name or a variable";
            self.problems.error(span, message);
            return Value::Lost;
        }
        if !self.literal || !text.contains("${") || self.problems.is_full() {
            return Value::String(text);
        }
        match self.variables.expand(&text) {
            Expansion::Text(text) => Value::String(text),
            Expansion::Wrong(faults) => {
                for fault in faults {
                    // The offset is one of the decoded string; look for the same text in
                    // the source, where escapes may have moved it.
                    let raw = &self.text[span.start as usize..span.end as usize];
                    let place = match raw.match_indices(&fault.reference).nth(fault.occurrence) {
                        Some((at, found)) => span.part(at, found.len()),
                        None => span,
                    };
                    let problem = self.problems.error(place, fault.message).mark(fault.mark);
                    if let Some(note) = fault.note {
                        problem.note(note);
                    }
                }
                Value::Lost
            }
        }
    }
}
