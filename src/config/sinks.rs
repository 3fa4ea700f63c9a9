//! `stdout` and `stderr`: where a stream of a service goes.
//!
//! A word (`"forward"`, `"inherit"`, `"null"`), a file, a ring, or a list of them. What can only
//! stand alone, and what would hurt (a log file that is a device, two services with one file and two
//! opinions of it) is said here.

use super::diagnostics::{Problems, Span};
use super::file::{Table, Value};
use super::keys;
use super::view::{Field, View, check_keys};
use crate::core::plan::{FileSink, LogFormat, Sink, Sinks};
use crate::core::sorted::Map;
use std::path::PathBuf;

/// What all services know of one another's log files.
pub type Files = Map<PathBuf, (FileSink, Span)>;

/// The largest ring, in bytes.
const RING_MAX: u64 = 16 << 20;

/// Reads `stdout` or `stderr`.
pub fn sinks(view: &View<'_>, name: &'static str, files: &mut Files, problems: &mut Problems) -> Sinks {
    let forward = || Sinks::from([Sink::Forward]);
    let Some(field) = view.get(name) else { return forward() };
    let elements = match &field.node.value {
        Value::Array(list) if list.is_empty() => {
            problems.error(field.span(), format!("{} is an empty list", field.title())).mark("\"null\"?");
            return forward();
        }
        Value::Array(list) => list.iter().map(|node| field.element(node)).collect(),
        _ => vec![field],
    };
    let mut sinks = Vec::new();
    for element in &elements {
        let Some(sink) = sink(*element, files, problems) else { continue };
        if elements.len() > 1 && !sink.is_read() {
            let message = format!("{}: \"inherit\" and \"null\" stand alone", element.title());
            let problem = problems.error(element.span(), message);
            if sink == Sink::Inherit {
                problem.mark("\"forward\"?");
            }
        } else if !sinks.contains(&sink) {
            sinks.push(sink);
        }
    }
    if sinks.is_empty() { forward() } else { sinks.into() }
}

fn sink(field: Field<'_>, files: &mut Files, problems: &mut Problems) -> Option<Sink> {
    let Value::Table(table) = &field.node.value else {
        let words = [("inherit", 0), ("forward", 1), ("null", 2)];
        return match field.choice(&words, problems)? {
            0 => Some(Sink::Inherit),
            1 => Some(Sink::Forward),
            _ => Some(Sink::Null),
        };
    };
    check_keys(table, &[keys::SINK], &field.title(), problems);
    let view = View::new(vec![table]);
    match (view.get("file"), view.get("ring")) {
        (Some(_), Some(ring)) => {
            problems.error(ring.key, "a file is one place and a ring another: make it a list of two");
            None
        }
        (Some(path), None) => file(path, table, files, problems).map(Sink::File),
        (None, Some(ring)) => {
            if let Some((_, entry)) = table.0.iter().find(|(name, _)| &***name != "ring") {
                problems.error(entry.key, "that is for files only");
            }
            let size = ring.size(problems)?;
            if size > RING_MAX || (1..1024).contains(&size) {
                problems.error(ring.span(), "a ring has from 1 KiB to 16 MiB, or 0: none");
                return None;
            }
            Some(Sink::Ring(size as u32))
        }
        (None, None) => {
            let message = format!("{} needs `file` or `ring`", field.title());
            problems.error(field.span(), message).mark("{ file = \"/var/log/x.log\" }");
            None
        }
    }
}

fn file(field: Field<'_>, table: &Table, files: &mut Files, problems: &mut Problems) -> Option<FileSink> {
    let text = field.text(problems)?;
    let path = PathBuf::from(text);
    if !path.is_absolute() || text.ends_with('/') {
        return field.wrong("the absolute path of a file", problems);
    }
    let device = ["/dev", "/proc"].into_iter().any(|folder| path.starts_with(folder));
    if device {
        let instead = if text == "/dev/null" { "\"null\"" } else { "\"forward\" or \"inherit\"" };
        let message = format!("a log file cannot be a device: {text}");
        problems.error(field.span(), message).mark(format!("{instead}, not a file?"));
        return None;
    }
    let view = View::new(vec![table]);
    let formats = [("raw", LogFormat::Raw), ("prefix", LogFormat::Prefix), ("json", LogFormat::Json)];
    let mut size = Some(default_size("max_size"));
    if let Some(field) = view.get("max_size") {
        size = field.size(problems);
        if size.is_some_and(|size| (1..1024).contains(&size)) {
            problems.error(field.span(), "`max_size` must be at least 1 KiB, or 0: never rotated");
        }
    }
    let keep = match view.get("keep") {
        Some(field) => field.integer(0, 1000, problems),
        None => Some(default_size("keep") as i64),
    };
    let compress = view.get("compress").and_then(|field| field.switch(problems)).unwrap_or(false);
    let timestamps = view.get("timestamps").and_then(|field| field.switch(problems)).unwrap_or(false);
    let format = match view.get("format") {
        Some(field) => field.choice(&formats, problems)?,
        None => LogFormat::Raw,
    };
    let max_size = size.filter(|size| *size > 0);
    let sink = FileSink { path: path.clone(), max_size, keep: keep? as u32, compress, format, timestamps };
    match files.get(&path) {
        Some((other, _)) if *other == sink => {}
        Some((_, place)) => {
            let message = format!("{text} is written with other settings elsewhere");
            problems.error(field.span(), message).see(*place, "there");
        }
        None => drop(files.insert(path, (sink.clone(), field.span()))),
    }
    Some(sink)
}

/// A number or size of the key table.
fn default_size(name: &str) -> u64 {
    let key = keys::SINK.iter().find(|key| key.name == name);
    match key.map(|key| key.default) {
        Some(keys::Default::Value(text)) => super::values::size(text.trim_matches('"')).unwrap_or_default(),
        Some(keys::Default::Words(_) | keys::Default::Later(_)) | None => 0,
    }
}
