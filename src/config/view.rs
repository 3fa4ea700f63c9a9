//! A table as its reader sees it: several layers, the upper one hiding the lower ones.
//!
//! A service is read through four layers: its own table, its preset, `[defaults]`, and
//! the defaults of the key table. A table inside a service (`stop`, `backoff`, …) is
//! layered in the same way, key by key, so that `stop = { grace_period = "20s" }` keeps
//! the preset's signal. Each typed reader says what is wrong and gives `None`.

use super::cure;
use super::diagnostics::{Problems, Span, did_you_mean};
use super::file::{Entry, Node, Table, Value};
use super::keys::{Default, Key};
use super::values;
use super::words;
use crate::core::signal::Signal;
use std::time::Duration;

/// Layers of one table, the uppermost first.
#[derive(Clone, Debug)]
pub struct View<'a> {
    layers: Vec<&'a Table>,
    /// What stands before the name of a key in messages: `stop.`, or nothing.
    prefix: &'static str,
}

/// A key that was found, with its value.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    prefix: &'static str,
    name: &'a str,
    /// Which layer of its view it was found in; 0 is the uppermost.
    pub layer: usize,
    /// The place of the key.
    pub key: Span,
    /// The value.
    pub node: &'a Node,
}

impl<'a> View<'a> {
    /// Through these layers.
    pub fn new(layers: Vec<&'a Table>) -> View<'a> {
        View { layers, prefix: "" }
    }

    /// The uppermost value of this key.
    pub fn get(&self, name: &'a str) -> Option<Field<'a>> {
        let mut layers = self.layers.iter().enumerate();
        layers.find_map(|(layer, table)| Some(self.field(name, layer, table.get(name)?)))
    }

    /// The value of this key in the uppermost layer itself.
    pub fn own(&self, name: &str) -> Option<&'a Entry> {
        self.layers.first()?.get(name)
    }

    /// All values of this key, the uppermost first.
    pub fn all(&self, name: &'a str) -> impl Iterator<Item = Field<'a>> {
        let layers = self.layers.iter().enumerate();
        layers.filter_map(move |(layer, table)| Some(self.field(name, layer, table.get(name)?)))
    }

    /// Only the uppermost layer that holds any of these keys.
    pub fn layer_with(&self, names: impl Iterator<Item = &'static str> + Clone) -> Option<View<'a>> {
        let has = |layer: &&&Table| names.clone().any(|name| layer.get(name).is_some());
        let layer = self.layers.iter().find(has)?;
        Some(View { layers: vec![*layer], prefix: self.prefix })
    }

    /// The tables under this key, layered. A value that is no table hides those below it.
    pub fn inside(&self, name: &str, prefix: &'static str) -> View<'a> {
        let mut layers = Vec::new();
        for entry in self.layers.iter().filter_map(|layer| layer.get(name)) {
            match &entry.node.value {
                Value::Table(table) => layers.push(table),
                _ => break,
            }
        }
        View { layers, prefix }
    }

    fn field(&self, name: &'a str, layer: usize, entry: &'a Entry) -> Field<'a> {
        Field { prefix: self.prefix, name, layer, key: entry.key, node: &entry.node }
    }
}

/// Says which keys of a table nobody knows, and which are for a later version.
pub fn check_keys(table: &Table, known: &[&[Key]], place: &str, problems: &mut Problems) {
    for (name, entry) in &table.0 {
        let keys = || known.iter().copied().flatten();
        match keys().find(|key| key.name == &**name) {
            Some(Key { default: Default::Later(when), .. }) => {
                let message = format!("`{name}` is not in {when} yet");
                problems.in_itself(entry.key, message).mark("leave it out for now");
            }
            Some(_) => {}
            None if problems.is_full() => {
                problems.in_itself(entry.key, "unknown key");
            }
            None => {
                let mark = cure::of(name, &keys().map(|key| key.name).collect::<Vec<_>>());
                problems.in_itself(entry.key, format!("unknown key \"{name}\" in {place}")).mark(mark);
            }
        }
    }
}

impl<'a> Field<'a> {
    /// The key.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// A field that is not a key's value, such as one element of a list.
    pub fn element(self, node: &'a Node) -> Field<'a> {
        Field { node, ..self }
    }

    /// The place of the value.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// How it is called in messages.
    pub fn title(&self) -> String {
        format!("`{}{}`", self.prefix, self.name)
    }

    /// "`KEY` must be EXPECTED, not …".
    pub fn wrong<T>(&self, expected: &str, problems: &mut Problems) -> Option<T> {
        self.say_wrong(expected, problems);
        None
    }

    fn say_wrong(&self, expected: &str, problems: &mut Problems) {
        match &self.node.value {
            Value::Lost => {}
            // What is wrong with one of them has been said.
            Value::Array(elements) if elements.iter().any(|node| matches!(node.value, Value::Lost)) => {}
            Value::String(text) if !text.is_empty() => {
                problems.in_itself(self.span(), format!("{} must be {expected}", self.title()));
            }
            Value::String(_) => {
                problems.in_itself(self.span(), format!("{} must be {expected}, not empty", self.title()));
            }
            // Of another length it may be right.
            Value::Array(elements) if elements.is_empty() => {
                problems.in_itself(self.span(), format!("{} must be {expected}, not empty", self.title()));
            }
            other => {
                let message = format!("{} must be {expected}, not {}", self.title(), other.kind());
                problems.in_itself(self.span(), message);
            }
        }
    }

    /// A string that is not empty.
    pub fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => self.wrong("a string", problems),
        }
    }

    /// One of these words; says which is near.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.one_of(&names, problems).map(|index| choices[index].1)
    }

    /// Which of these names it is.
    fn one_of(&self, names: &[&str], problems: &mut Problems) -> Option<usize> {
        let expected = || {
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            quoted.join(" or ")
        };
        let Value::String(text) = &self.node.value else {
            return self.wrong(&expected(), problems);
        };
        let found = names.iter().position(|name| name == text);
        if found.is_none() {
            let message = format!("{} must be {}, not \"{text}\"", self.title(), expected());
            let problem = problems.in_itself(self.span(), message);
            if let Some(near) = did_you_mean(text, names.iter().copied()) {
                problem.mark(format!("did you mean \"{near}\"?"));
            }
        }
        found
    }

    /// true or false, also as a word from a variable.
    pub fn switch(&self, problems: &mut Problems) -> Option<bool> {
        let read = match &self.node.value {
            Value::Boolean(value) => Some(*value),
            Value::String(text) => values::switch(text),
            Value::Integer { number: 0, .. } => Some(false),
            Value::Integer { number: 1, .. } => Some(true),
            _ => None,
        };
        read.or_else(|| self.wrong("true or false", problems))
    }

    /// A whole number within bounds, also as a string from a variable.
    pub fn integer(&self, lowest: i64, highest: i64, problems: &mut Problems) -> Option<i64> {
        let read = match &self.node.value {
            Value::Integer { number, .. } => Some(*number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let expected = if highest == i64::MAX || highest == i64::from(u32::MAX) {
            format!("a whole number from {lowest} up")
        } else {
            format!("a whole number from {lowest} to {highest}")
        };
        match read.filter(|n| (lowest..=highest).contains(n)) {
            Some(number) => Some(number),
            None if matches!(self.node.value, Value::Integer { .. }) => {
                problems.in_itself(self.span(), format!("{} must be {expected}", self.title()));
                None
            }
            None => self.wrong(&expected, problems),
        }
    }

    /// A number, perhaps with a fraction.
    pub fn number(&self, lowest: f64, highest: f64, problems: &mut Problems) -> Option<f64> {
        let read = match &self.node.value {
            Value::Integer { number, .. } => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match read.filter(|n| (lowest..=highest).contains(n)) {
            Some(number) => Some(number),
            None => {
                let message = format!("{} must be a number from {lowest} to {highest}", self.title());
                problems.in_itself(self.span(), message);
                None
            }
        }
    }

    /// A duration.
    pub fn duration(&self, problems: &mut Problems) -> Option<Duration> {
        match &self.node.value {
            Value::String(text) => match values::duration(text) {
                Ok(duration) => Some(duration),
                Err(expected) => self.wrong(&expected, problems),
            },
            Value::Integer { number: 0, .. } => Some(Duration::ZERO),
            Value::Integer { number, .. } => {
                let message = format!("{} must be a duration with its unit", self.title());
                problems.in_itself(self.span(), message).mark(format!("\"{number}s\" or \"{number}ms\"?"));
                None
            }
            _ => self.wrong(r#"a duration such as "10s""#, problems),
        }
    }

    /// A size in bytes.
    pub fn size(&self, problems: &mut Problems) -> Option<u64> {
        match &self.node.value {
            Value::String(text) => match values::size(text) {
                Ok(size) => Some(size),
                Err(expected) => self.wrong(&expected, problems),
            },
            Value::Integer { number, .. } if *number >= 0 => Some(*number as u64),
            _ => self.wrong(r#"a size such as "64KiB", or a number of bytes"#, problems),
        }
    }

    /// A signal, by name or number.
    pub fn signal(&self, problems: &mut Problems) -> Option<Signal> {
        match &self.node.value {
            Value::String(text) => self.signal_named(text, problems),
            Value::Integer { number, .. } => {
                let found = i32::try_from(*number).ok().and_then(Signal::from_number);
                found.or_else(|| self.wrong("a signal, from 1 to 64", problems))
            }
            _ => self.wrong(r#"a signal such as "TERM""#, problems),
        }
    }

    /// The signal of this name, which stands somewhere in this field.
    pub fn signal_named(&self, text: &str, problems: &mut Problems) -> Option<Signal> {
        if let Some(signal) = Signal::parse(text) {
            return Some(signal);
        }
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let problem = problems.in_itself(self.span(), format!("\"{text}\" is not a signal"));
        if let Some(near) = did_you_mean(bare, Signal::names()) {
            problem.mark(format!("did you mean \"{near}\"?"));
        }
        None
    }

    /// The elements of a list; a single string is a list of one.
    pub fn elements(&self, expected: &str, problems: &mut Problems) -> Option<Vec<Field<'a>>> {
        match &self.node.value {
            Value::Array(list) => Some(list.iter().map(|node| self.element(node)).collect()),
            Value::String(_) => Some(vec![*self]),
            _ => self.wrong(expected, problems),
        }
    }

    /// A list of strings; a single string is a list of one.
    pub fn texts(&self, problems: &mut Problems) -> Option<Vec<(&'a str, Field<'a>)>> {
        let elements = self.elements("a list of strings", problems)?;
        let texts: Vec<_> = elements.into_iter().map(|e| Some((e.text(problems)?, e))).collect();
        texts.into_iter().collect()
    }

    /// The words of a command, whatever may be wrong with them.
    pub fn words_as_written(&self) -> Vec<String> {
        self.command(&mut Problems::default()).map(Vec::from).unwrap_or_default()
    }

    /// A command: a list, or a string that is split as a shell splits words. `None` also
    /// for an empty list, which takes a lower layer's command away.
    pub fn command(&self, problems: &mut Problems) -> Option<Box<[String]>> {
        match &self.node.value {
            Value::String(text) => {
                let Some(words) = words::split(self.node.shielded.as_deref().unwrap_or(text)) else {
                    let message = format!("{} has a quote that is not closed", self.title());
                    problems.in_itself(self.span(), message);
                    return None;
                };
                if words.first().is_none_or(|program| program.is_empty()) {
                    return self.wrong("a command", problems);
                }
                Some(words.into())
            }
            Value::Array(list) => {
                let words: Option<Vec<String>> = list
                    .iter()
                    .map(|node| match &node.value {
                        Value::String(word) => Some(word.clone()),
                        Value::Integer { number, .. } => Some(number.to_string()),
                        _ => self.element(node).wrong("a list of strings", problems),
                    })
                    .collect();
                let words = words?;
                if words.first().is_some_and(|program| program.is_empty()) {
                    problems.in_itself(self.span(), format!("{} begins with an empty word", self.title()));
                    return None;
                }
                (!words.is_empty()).then(|| words.into())
            }
            _ => self.wrong("a string or a list of strings", problems),
        }
    }
}
