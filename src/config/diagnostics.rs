//! What is wrong with a configuration, said so that it can be mended.
//!
//! While a configuration is read, findings are collected as [`Problem`]s that point into
//! the sources by byte offsets; nothing stops at the first one. At the end they become
//! [`Diagnostic`]s: self-contained (path, line, column, the line itself), sorted by place,
//! and printed as
//!
//! ```text
//! supervise.toml:3:1: error: unknown key "comand" in [service.app]
//!   3 | comand = "gunicorn app:app"
//!     | ^^^^^^ did you mean "command"?
//! ```

use crate::core::sorted;
use crate::core::sorted::Set;
use std::fmt;
use std::path::{Path, PathBuf};

/// At most so many errors, and so many warnings, are kept: a broken file of 10 MB must not become a broken log.
const MOST_KEPT: usize = 1000;
/// At most so many findings are printed in full.
const MOST_PRINTED: usize = 100;
/// At most so many characters of a line are shown.
const WINDOW: usize = 110;

/// Which source a place is in: an index into [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(pub u32);

/// A place in a source: bytes from `start` up to `end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// Where it is.
    pub source: SourceId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// A part of this place, or the whole of it if the part does not lie in it.
    pub fn part(self, start: usize, length: usize) -> Span {
        let start = self.start.saturating_add(u32::try_from(start).unwrap_or(u32::MAX));
        let end = start.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        if start >= self.start && end <= self.end { Span { start, end, ..self } } else { self }
    }
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file that somebody wrote.
    File(PathBuf),
    /// One of our presets.
    Preset(&'static str),
    /// The defaults of the key table.
    Defaults,
}

/// A text with its line starts.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it came from.
    pub origin: Origin,
    /// All of it.
    pub text: String,
    lines: Vec<u32>,
}

/// All texts of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
    /// Whether pipes and the like are refused.
    pub only_files: bool,
}

impl Sources {
    /// None yet.
    pub fn new(only_files: bool) -> Sources {
        Sources { list: Vec::new(), only_files }
    }

    /// Adds a text.
    pub fn add(&mut self, origin: Origin, text: String) -> SourceId {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        self.list.push(Source { origin, text, lines });
        SourceId(self.list.len() as u32 - 1)
    }

    /// The text of this number.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.list[id.0 as usize]
    }

    /// The text that a place covers.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// The line of a place, counted from 1.
    pub fn line(&self, span: Span) -> u32 {
        self.get(span.source).line_of(span.start) as u32 + 1
    }
}

impl Source {
    fn line_of(&self, offset: u32) -> usize {
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    fn place(&self, path: &Path, span: Span) -> Place {
        let line = self.line_of(span.start);
        let mut from = self.lines[line] as usize;
        let mut to = self.lines.get(line + 1).map_or(self.text.len(), |next| *next as usize - 1);
        // Editors of Windows write a mark at the beginning and a return at each end.
        if line == 0 && self.text.starts_with('\u{feff}') {
            from += '\u{feff}'.len_utf8();
        }
        if self.text[from.min(to)..to].ends_with('\r') {
            to -= 1;
        }
        from = from.min(to);
        let at = floor_char(&self.text, (span.start as usize).clamp(from, to));
        let end = floor_char(&self.text, (span.end as usize).clamp(at, to));
        let column = self.text[from..at].chars().count();
        let marked = self.text[at..end].chars().count();
        // A window around the caret: a line may be 10 MB long.
        let skipped = if column > WINDOW * 2 / 3 { column - WINDOW / 3 } else { 0 };
        let shown = self.text[from..to].chars().skip(skipped).take(WINDOW);
        let mut text: String = shown.map(|c| if c == '\t' { ' ' } else { printable(c) }).collect();
        text.truncate(text.trim_end().len());
        let caret = column - skipped;
        Place {
            path: path.to_owned(),
            line: line as u32 + 1,
            column: column as u32 + 1,
            text,
            caret,
            width: marked.clamp(1, WINDOW.saturating_sub(caret).max(1)),
        }
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Nothing that a configuration holds may move the cursor of whoever reads the message.
fn printable(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Severity {
    Error,
    Warning,
}

/// Something found while reading, still pointing into the sources.
#[derive(Clone, Debug)]
pub struct Problem {
    severity: Severity,
    span: Option<Span>,
    path: Option<PathBuf>,
    message: String,
    mark: String,
    notes: Vec<(Option<Span>, String)>,
}

impl Problem {
    /// What stands beside the caret: how to mend it, in a few words.
    pub fn mark(&mut self, text: impl Into<String>) -> &mut Problem {
        self.mark = text.into();
        self
    }

    /// A line below.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Problem {
        self.notes.push((None, text.into()));
        self
    }

    /// A line below that points somewhere else.
    pub fn see(&mut self, span: Span, text: impl Into<String>) -> &mut Problem {
        self.notes.push((Some(span), text.into()));
        self
    }
}

/// Everything found so far. What is said twice about the same place (a default that a
/// thousand services share) is kept once.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    seen: Set<(Option<Span>, String)>,
    errors: usize,
    kept_errors: usize,
    spare: Option<Problem>,
    /// A file could not be read: what is missed may be in it.
    pub incomplete: bool,
    /// The same in layers: of a service without a command the rest may be in it.
    pub in_pieces: bool,
    /// What is looked at is such a piece: only what is wrong [in itself](Self::in_itself) is said.
    pub is_piece: bool,
}

impl Problems {
    /// Something that makes the configuration unusable.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        if self.is_piece {
            return self.spare.insert(Problem::new(Severity::Error, Some(span), None, message.into()));
        }
        self.in_itself(span, message)
    }

    /// The same, whatever may stand beside it: a name or a value that is none.
    pub fn in_itself(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Error, Some(span), None, message.into())
    }

    /// Something that works but is hardly meant.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Warning, Some(span), None, message.into())
    }

    /// A warning without a place.
    pub fn warn(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Warning, None, None, message.into())
    }

    /// A file that could not be read at all.
    pub fn unreadable(&mut self, path: &Path, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Error, None, Some(path.to_owned()), message.into())
    }

    /// A name that no service has.
    pub fn no_service<'a>(&mut self, span: Span, name: &str, known: impl Iterator<Item = &'a str>) {
        if self.incomplete {
            return;
        }
        let problem = self.error(span, format!("there is no service \"{name}\""));
        if let Some(near) = did_you_mean(name, known) {
            problem.mark(format!("did you mean \"{near}\"?"));
        }
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether no more errors are kept: then nobody need take pains over the words.
    pub fn is_full(&self) -> bool {
        self.kept_errors >= MOST_KEPT
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Option<Span>,
        path: Option<PathBuf>,
        message: String,
    ) -> &mut Problem {
        let full = match severity {
            Severity::Error => self.is_full(),
            Severity::Warning => self.list.len() - self.kept_errors >= MOST_KEPT,
        };
        let new = full || span.is_none() || self.seen.insert((span, message.clone()));
        let problem = Problem::new(severity, span, path, message);
        if severity == Severity::Error && new {
            self.errors += 1;
        }
        if !new || full {
            return self.spare.insert(problem);
        }
        self.kept_errors += usize::from(severity == Severity::Error);
        self.list.push(problem);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// All of it, sorted by place, errors and warnings apart.
    pub fn finish(self, sources: &Sources) -> (Diagnostics, Vec<Diagnostic>) {
        let unsaid = self.errors.saturating_sub(self.kept_errors);
        let mut list = self.list;
        sorted::sort_by_key(&mut list, |p| p.span);
        let (errors, warnings): (Vec<_>, Vec<_>) = list.into_iter().partition(Problem::is_error);
        let all = |list: Vec<Problem>| list.into_iter().map(|p| p.resolve(sources)).collect();
        (Diagnostics { list: all(errors), unsaid }, all(warnings))
    }
}

impl Problem {
    fn new(severity: Severity, span: Option<Span>, path: Option<PathBuf>, message: String) -> Problem {
        Problem { severity, span, path, message, mark: String::new(), notes: Vec::new() }
    }

    fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn resolve(self, sources: &Sources) -> Diagnostic {
        let place = |span: Span| {
            let source = sources.get(span.source);
            match &source.origin {
                Origin::File(path) => source.place(path, span),
                Origin::Preset(name) => source.place(Path::new(&format!("(preset {name})")), span),
                Origin::Defaults => source.place(Path::new("(defaults)"), span),
            }
        };
        let notes = self.notes.into_iter().map(|(span, text)| (span.map(place), text)).collect();
        Diagnostic {
            severity: self.severity,
            path: self.path,
            place: self.span.map(place),
            message: self.message,
            mark: self.mark,
            notes,
        }
    }
}

/// A place that people can find: path, line, column, and the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    text: String,
    caret: usize,
    width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// One finding, complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, if it could not be read and so there is no place in it.
    pub path: Option<PathBuf>,
    /// Where.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// How to mend it, in a few words.
    pub mark: String,
    /// More lines, each perhaps about another place.
    pub notes: Vec<(Option<Place>, String)>,
}

impl fmt::Display for Diagnostic {
    /// Several lines, without a newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.path) {
            (Some(place), _) => write!(f, "{place}: ")?,
            (None, Some(path)) => write!(f, "{}: ", path.display())?,
            (None, None) => {}
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message: String = self.message.chars().map(printable).collect();
        write!(f, "{severity}: {message}")?;
        let mark: String = self.mark.chars().map(printable).collect();
        let mut gutter = 2;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            gutter = number.len() + 2;
            write!(f, "\n  {number} | {}", place.text)?;
            let caret = format!("{}{} {mark}", " ".repeat(place.caret), "^".repeat(place.width));
            write!(f, "\n{:gutter$} | {}", "", caret.trim_end())?;
        } else if !mark.is_empty() {
            write!(f, "\n   = {mark}")?;
        }
        for (place, text) in &self.notes {
            let text: String = text.chars().map(printable).collect();
            match place {
                Some(place) => write!(f, "\n{:gutter$} = {place}: {text}", "")?,
                None => write!(f, "\n{:gutter$} = {text}", "")?,
            }
        }
        Ok(())
    }
}

/// Why a configuration cannot be used: every error at once, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diagnostics {
    /// The errors.
    pub list: Vec<Diagnostic>,
    /// So many more were found than are kept.
    pub unsaid: usize,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.list.iter().take(MOST_PRINTED).enumerate() {
            let newline = if number > 0 { "\n" } else { "" };
            write!(f, "{newline}{diagnostic}")?;
        }
        match self.unsaid + self.list.len().saturating_sub(MOST_PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more errors"),
        }
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostics {
    /// All of them, and how many there are: what `minisup check` says.
    pub fn report(&self) -> String {
        match self.list.len() + self.unsaid {
            1 => format!("{self}\n\n1 error"),
            count => format!("{self}\n\n{count} errors"),
        }
    }
}

/// The candidate that is most like `wrong`, if one is like it at all.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    if wrong.len() > 100 {
        return None;
    }
    let score = |name: &str| {
        let lower = name.to_lowercase();
        let begins = wrong.len() >= 3 && (lower.starts_with(&wrong) || wrong.starts_with(&lower));
        // Two letters that have changed places in a short word: "wbe".
        let is_slip = wrong.len() >= 3 && strsim::osa_distance(&wrong, &lower) == 1;
        strsim::jaro_winkler(&wrong, &lower).max(if begins {
            0.96
        } else if is_slip {
            0.9
        } else {
            0.0
        })
    };
    let scored = candidates.into_iter().filter(|c| c.len() <= 100).map(|c| (score(c), c));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.8).then_some(best.1)
}
