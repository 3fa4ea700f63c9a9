//! Variables in templates: what `minisup render` replaces, and what it leaves alone.
//!
//! `$NAME`, `${NAME}`, `${NAME:-text}` (the text may hold further references) and `${NAME:?message}`,
//! of the variables that [`Rules`] name: by default those that are set. Everything else stays byte for
//! byte, for a configuration has `$host` of its own, and is not always UTF-8. Unlike in
//! `supervise.toml`, a reference that nobody knows is no error, but it is told.

use crate::core::sorted::{Map, Set};
use regex_lite::Regex;

/// References in defaults of references in defaults …
const DEEPEST: usize = 16;

/// So many references that were left alone are told.
const MOST_LEFT: usize = 20;

/// Which variables are replaced, and by what.
#[derive(Debug, Default)]
pub struct Rules {
    /// All variables there are.
    pub variables: Map<Vec<u8>, Vec<u8>>,
    /// Only these, and each of them must be set or have a default.
    pub only: Option<Set<String>>,
    /// Only those whose names match somewhere.
    pub matching: Option<Regex>,
}

/// What became of a template.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The output; worthless if there are faults.
    pub bytes: Vec<u8>,
    /// What makes it unusable.
    pub faults: Vec<Remark>,
    /// References that stayed, though they look as if they were meant.
    pub left: Vec<Remark>,
}

/// Something about a place in a template.
#[derive(Debug, PartialEq, Eq)]
pub struct Remark {
    /// Counted from 1.
    pub line: usize,
    /// What is to be said.
    pub text: String,
}

/// One reference.
struct Reference<'t> {
    name: &'t str,
    kind: Kind<'t>,
    /// Its bytes in the template.
    length: usize,
}

#[derive(Clone, Copy)]
enum Kind<'t> {
    Bare,
    Braced,
    Default(&'t [u8]),
    Must(&'t [u8]),
}

impl Rules {
    /// Replaces what is to be replaced.
    pub fn render(&self, template: &[u8]) -> Rendered {
        let mut rendered = Rendered::default();
        rendered.bytes.reserve(template.len());
        let mut bytes = Vec::with_capacity(template.len());
        self.into(template, 1, 0, &mut bytes, &mut rendered);
        rendered.bytes = bytes;
        rendered
    }

    fn into(&self, text: &[u8], line: usize, depth: usize, out: &mut Vec<u8>, said: &mut Rendered) {
        let (mut rest, mut line) = (text, line);
        while let Some(at) = memchr::memchr(b'$', rest) {
            let (before, from) = rest.split_at(at);
            line += newlines(before);
            out.extend_from_slice(before);
            let Some(reference) = Reference::at(from).filter(|reference| self.means(reference)) else {
                if let Some(name) = looks_meant(from).filter(|_| said.left.len() < MOST_LEFT) {
                    let text = format!("${{{name}}} stays as it is: there is no such variable");
                    said.left.push(Remark { line, text });
                }
                out.push(b'$');
                rest = &from[1..];
                continue;
            };
            self.replace(&reference, line, depth, out, said);
            let (whole, behind) = from.split_at(reference.length);
            line += newlines(whole);
            rest = behind;
        }
        out.extend_from_slice(rest);
    }

    /// Whether the reference is one of ours.
    fn means(&self, reference: &Reference<'_>) -> bool {
        let name = reference.name;
        let is_named = self.only.as_ref().is_none_or(|only| only.contains(name))
            && self.matching.as_ref().is_none_or(|matching| matching.is_match(name));
        let must_be_set = self.only.is_none() && matches!(reference.kind, Kind::Bare | Kind::Braced);
        is_named && (!must_be_set || self.variables.contains_key(name.as_bytes()))
    }

    fn replace(&self, it: &Reference<'_>, line: usize, depth: usize, out: &mut Vec<u8>, said: &mut Rendered) {
        let value = self.variables.get(it.name.as_bytes());
        let some = value.filter(|value| !value.is_empty());
        let name = it.name;
        let mut fault = |text: String| said.faults.push(Remark { line, text });
        match (it.kind, value, some) {
            (Kind::Bare | Kind::Braced, Some(value), _)
            | (Kind::Default(_) | Kind::Must(_), _, Some(value)) => {
                out.extend_from_slice(value);
            }
            (Kind::Bare | Kind::Braced, None, _) => fault(format!("{name} is not set")),
            (Kind::Default(_), _, None) if depth >= DEEPEST => fault("defaults are nested too deep".into()),
            (Kind::Default(text), _, None) => self.into(text, line, depth + 1, out, said),
            (Kind::Must(b""), _, None) => fault(format!("{name} must be set")),
            (Kind::Must(message), _, None) => fault(format!("{name}: {}", String::from_utf8_lossy(message))),
        }
    }
}

impl<'t> Reference<'t> {
    /// The reference with which this text begins, if it is one.
    fn at(text: &'t [u8]) -> Option<Reference<'t>> {
        let inner = text.strip_prefix(b"$")?;
        let Some(inner) = inner.strip_prefix(b"{") else {
            let name = name(inner)?;
            return Some(Reference { name, kind: Kind::Bare, length: 1 + name.len() });
        };
        let name = name(inner)?;
        let rest = &inner[name.len()..];
        if rest.starts_with(b"}") {
            return Some(Reference { name, kind: Kind::Braced, length: 3 + name.len() });
        }
        let word = rest.strip_prefix(b":")?;
        let end = closing(&word[1.min(word.len())..])?;
        let text = &word[1..1 + end];
        let kind = match word[0] {
            b'-' => Kind::Default(text),
            b'?' => Kind::Must(text),
            _ => return None,
        };
        Some(Reference { name, kind, length: 2 + name.len() + 2 + end + 1 })
    }
}

/// The name at the beginning.
fn name(text: &[u8]) -> Option<&str> {
    let length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let name = str::from_utf8(&text[..length]).ok()?;
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

/// Where the `}` is that belongs to what began before this text.
fn closing(text: &[u8]) -> Option<usize> {
    let mut open = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            b'$' if text.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A reference that nginx has not: in braces, and in capitals.
fn looks_meant(text: &[u8]) -> Option<&str> {
    let name = name(text.strip_prefix(b"${")?)?;
    let is_meant =
        text.get(2 + name.len()) == Some(&b'}') && !name.contains(|c: char| c.is_ascii_lowercase());
    is_meant.then_some(name)
}

fn newlines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(variables: &[(&str, &str)]) -> Rules {
        let bytes = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Rules { variables: variables.iter().map(bytes).collect(), ..Rules::default() }
    }

    fn text(rules: &Rules, template: &str) -> String {
        let rendered = rules.render(template.as_bytes());
        assert_eq!(rendered.faults, []);
        String::from_utf8(rendered.bytes).unwrap()
    }

    #[test]
    fn what_is_set_is_replaced_and_everything_else_stays() {
        let rules = rules(&[("PORT", "80"), ("EMPTY", "")]);
        let kept = "proxy_set_header Host $host; $ $$ $1 ${} ${1} ${host} $(x) `y` ${PORT ${:-x} $";
        assert_eq!(text(&rules, kept), kept);
        assert_eq!(
            text(&rules, "$PORT ${PORT} $PORTS ${PORT}s $$PORT \\$PORT [$EMPTY]"),
            "80 80 $PORTS 80s $80 \\80 []"
        );
    }

    #[test]
    fn a_value_is_never_looked_into() {
        let rules = rules(&[("A", "$B ${B}"), ("B", "b")]);
        assert_eq!(text(&rules, "$A ${C:-$A}"), "$B ${B} $B ${B}");
    }

    #[test]
    fn defaults_count_where_nothing_is_set() {
        let rules = rules(&[("A", "a"), ("EMPTY", "")]);
        assert_eq!(text(&rules, "${A:-x} ${B:-x} ${EMPTY:-x} ${B:-}|"), "a x x |");
        assert_eq!(text(&rules, "${B:-${C:-$A}} ${B:-a}b} ${B:-two\nlines}"), "a ab} two\nlines");
        assert_eq!(text(&rules, "${B:-open"), "${B:-open");
        assert_eq!(text(&rules, "${B:+x} ${B-x} ${B=x}"), "${B:+x} ${B-x} ${B=x}");
    }

    #[test]
    fn what_must_be_set_is_a_fault_with_its_line() {
        let rendered = rules(&[]).render(b"one\ntwo ${A:?say which}\n${B:-\n}${C:?}");
        let said: Vec<_> = rendered.faults.iter().map(|it| (it.line, it.text.as_str())).collect();
        assert_eq!(said, [(2, "A: say which"), (4, "C must be set")]);
    }

    #[test]
    fn only_what_is_listed_counts_and_must_be_there() {
        let mut rules = rules(&[("A", "a"), ("B", "b")]);
        rules.only = Some(["A".to_owned(), "C".to_owned()].into());
        assert_eq!(text(&rules, "$A $B ${B:-x} ${C:-c}"), "a $B ${B:-x} c");
        assert_eq!(rules.render(b"\n$C").faults, [Remark { line: 2, text: "C is not set".into() }]);
        rules.only = None;
        rules.matching = Some(Regex::new("^B").unwrap());
        assert_eq!(text(&rules, "$A $B ${A:-x} ${BC:-x} $BD"), "$A b ${A:-x} x $BD");
    }

    #[test]
    fn a_reference_that_looks_meant_is_told() {
        let rendered = rules(&[]).render(b"$host ${host}\n${SERVER_NAME} $UPPER");
        let text = "${SERVER_NAME} stays as it is: there is no such variable".to_owned();
        assert_eq!(rendered.left, [Remark { line: 2, text }]);
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let rendered = rules(&[("A", "a")]).render(b"\xff$A\xfe\0${A}\xff");
        assert_eq!(rendered.bytes, b"\xffa\xfe\0a\xff");
    }
}
