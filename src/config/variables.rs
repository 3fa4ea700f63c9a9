//! `${VAR}` in strings, replaced from minisup's own environment.
//!
//! `${VAR}` is an error when VAR is not set; `${VAR:-text}` is `text` when VAR is unset or
//! empty, as in a shell, and `text` may hold further references; `${VAR:?text}` is an error
//! that says `text`. `$${` is a literal `${`. Nothing else is special: `$1`, `$x`, `$(x)`
//! and `$$` stay as they are, so that a command for `sh -c` needs no care.
//!
//! `${instance}` is left alone: it is known only at launch. So is `${socket.NAME}`, which only its
//! service knows.

use super::diagnostics::did_you_mean;
use crate::core::sorted::Map;

/// References in defaults of references in defaults …
const DEEPEST: usize = 16;
/// So many faults of one text are said.
const MOST_FAULTS: usize = 20;

/// The variables that references are replaced from.
#[derive(Clone, Debug, Default)]
pub struct Variables(pub Map<String, String>);

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Expansion {
    /// All references replaced.
    Text(String),
    /// What is wrong with it.
    Wrong(Vec<Fault>),
}

/// A reference that cannot be replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// How it begins in the text.
    pub reference: String,
    /// How many times `reference` stands in the text before it.
    pub occurrence: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub mark: String,
    /// More to say.
    pub note: Option<String>,
}

impl Variables {
    /// Replaces all references.
    pub fn expand(&self, text: &str) -> Expansion {
        self.expand_with(text, str::to_owned)
    }

    /// The same, with what becomes of each value.
    pub fn expand_with(&self, text: &str, valued: fn(&str) -> String) -> Expansion {
        let mut work = Work { variables: self, valued, faults: Vec::new() };
        let out = work.expand(text, text, 0, 0);
        if work.faults.is_empty() { Expansion::Text(out) } else { Expansion::Wrong(work.faults) }
    }
}

struct Work<'a> {
    variables: &'a Variables,
    valued: fn(&str) -> String,
    faults: Vec<Fault>,
}

impl Work<'_> {
    /// `whole` is the text as the user sees it, `offset` where `text` begins in it.
    fn expand(&mut self, whole: &str, text: &str, offset: usize, depth: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            if self.faults.len() >= MOST_FAULTS {
                return out;
            }
            let start = at + found;
            if text[at..start].ends_with('$') {
                out.push_str(&text[at..start - 1]);
                out.push_str("${");
                at = start + 2;
                continue;
            }
            out.push_str(&text[at..start]);
            let Some(length) = closing(&text[start..]) else {
                self.fault(whole, offset + start, 2, "`${` without its `}`", "write $${ for a literal ${");
                return out;
            };
            let inner = &text[start + 2..start + length - 1];
            self.reference(&mut out, whole, inner, offset + start, depth);
            at = start + length;
        }
        out.push_str(&text[at..]);
        out
    }

    fn reference(&mut self, out: &mut String, whole: &str, inner: &str, at: usize, depth: usize) {
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        if inner == "instance" || inner.starts_with("socket.") {
            out.push_str("${");
            out.push_str(inner);
            out.push('}');
            return;
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`${{{}}}` does not name a variable", shortened(inner));
            self.fault(whole, at, inner.len() + 3, message, "write $${ for a literal ${");
            return;
        }
        let value = self.variables.0.get(name);
        if rest.is_empty() {
            match value {
                Some(value) => out.push_str(&(self.valued)(value)),
                None => self.unset(whole, name, at),
            }
        } else if let Some(default) = rest.strip_prefix(":-") {
            match value.filter(|v| !v.is_empty()) {
                Some(value) => out.push_str(&(self.valued)(value)),
                None if depth >= DEEPEST => {
                    self.fault(whole, at, 2, "references nested too deep", "");
                }
                None => {
                    let offset = at + 2 + name.len() + 2;
                    let text = self.expand(whole, default, offset, depth + 1);
                    out.push_str(&text);
                }
            }
        } else if let Some(message) = rest.strip_prefix(":?") {
            match value.filter(|v| !v.is_empty()) {
                Some(value) => out.push_str(&(self.valued)(value)),
                None if message.is_empty() => self.unset(whole, name, at),
                None => {
                    let length = inner.len() + 3;
                    self.fault(whole, at, length, format!("{name} is not set: {message}"), "");
                }
            }
        } else {
            let message = format!("`${{{}}}` is not a way to write a variable", shortened(inner));
            let mark = format!("only ${{{name}}}, ${{{name}:-default}} and ${{{name}:?message}}");
            self.fault(whole, at, inner.len() + 3, message, mark);
        }
    }

    fn unset(&mut self, whole: &str, name: &str, at: usize) {
        let mark = match did_you_mean(name, self.variables.0.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near}? or give a default: ${{{name}:-…}}"),
            None => format!("set it, or give a default: ${{{name}:-…}}"),
        };
        let length = name.len() + 2;
        self.fault(whole, at, length, format!("the environment variable {name} is not set"), mark);
    }

    fn fault(
        &mut self,
        whole: &str,
        at: usize,
        length: usize,
        message: impl Into<String>,
        mark: impl Into<String>,
    ) {
        let reference = whole.get(at..at + length).unwrap_or("${").to_owned();
        let before = whole.get(..at).unwrap_or("");
        let occurrence = before.matches(&reference).count();
        self.faults.push(Fault {
            reference,
            occurrence,
            message: message.into(),
            mark: mark.into(),
            note: None,
        });
    }
}

/// The length of the reference that `text` begins with, to behind its `}`. As in a
/// shell the first `}` closes it, unless that belongs to a reference inside.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(30) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, Vec<String>> {
        let pairs = [("A", "one"), ("EMPTY", ""), ("PATH", "/bin")];
        let variables = Variables(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
        match variables.expand(text) {
            Expansion::Text(text) => Ok(text),
            Expansion::Wrong(faults) => Err(faults.into_iter().map(|f| f.message).collect()),
        }
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(expand("x${A}y").unwrap(), "xoney");
        assert_eq!(expand("${A}${A}").unwrap(), "oneone");
        assert_eq!(expand("${EMPTY}").unwrap(), "");
    }

    #[test]
    fn a_default_counts_for_unset_and_for_empty() {
        assert_eq!(expand("${B:-two}").unwrap(), "two");
        assert_eq!(expand("${EMPTY:-two}").unwrap(), "two");
        assert_eq!(expand("${A:-two}").unwrap(), "one");
        assert_eq!(expand("${B:-}").unwrap(), "");
    }

    #[test]
    fn a_default_may_hold_references() {
        assert_eq!(expand("${B:-${A}}").unwrap(), "one");
        assert_eq!(expand("${B:-${C:-${A}!}}").unwrap(), "one!");
        assert_eq!(expand("${B:-${C}}").unwrap_err(), ["the environment variable C is not set"]);
        assert_eq!(expand("${A:-${C}}").unwrap(), "one", "an unused default is not looked at");
    }

    #[test]
    fn a_message_is_said() {
        assert_eq!(expand("${B:?give me B}").unwrap_err(), ["B is not set: give me B"]);
        assert_eq!(expand("${EMPTY:?give me}").unwrap_err(), ["EMPTY is not set: give me"]);
        assert_eq!(expand("${A:?give me}").unwrap(), "one");
    }

    #[test]
    fn nothing_else_is_special() {
        for text in ["$1", "$(x)", "$$", "$A", "a$", "${instance}", "{A}", "%(A)s", "$$A"] {
            assert_eq!(expand(text).unwrap(), text);
        }
    }

    #[test]
    fn two_dollars_before_a_brace_are_one() {
        assert_eq!(expand("$${A}").unwrap(), "${A}");
        assert_eq!(expand("$${").unwrap(), "${");
        assert_eq!(expand("$$${A}").unwrap(), "$${A}");
    }

    #[test]
    fn every_wrong_reference_is_said() {
        let wrong = expand("${B} ${C} ${1} ${} ${A-x} ${A").unwrap_err();
        assert_eq!(wrong.len(), 6, "{wrong:?}");
    }

    #[test]
    fn a_deep_default_ends_in_an_error() {
        let text = format!("{}x{}", "${B:-".repeat(1000), "}".repeat(1000));
        assert_eq!(expand(&text).unwrap_err(), ["references nested too deep"]);
    }
}
