//! A command that is written as one string, split as a shell splits words.
//!
//! Quotes, backslashes and comments are what the author has written. In the value of a variable, that
//! `${VAR}` has put there, they mean nothing: as in a shell only blanks separate words in it, and within
//! quotes not even those. So its characters are shielded while the string is split: others stand
//! for them, which are no characters of any text (Unicode's noncharacters).

/// What is special to a shell's splitting, and what stands for it.
const SHIELDS: [(char, char); 4] =
    [('\\', '\u{FDD0}'), ('\'', '\u{FDD1}'), ('"', '\u{FDD2}'), ('#', '\u{FDD3}')];

/// The value of a variable, without anything that would be special.
pub fn shielded(value: &str) -> String {
    value
        .chars()
        .map(|c| SHIELDS.iter().find(|(special, _)| *special == c).map_or(c, |(_, shield)| *shield))
        .collect()
}

/// Whether the character stands for another one.
pub fn is_shield(c: char) -> bool {
    SHIELDS.iter().any(|(_, shield)| *shield == c)
}

/// The words; nothing if a quote is not closed.
pub fn split(text: &str) -> Option<Vec<String>> {
    let mut words = shlex::split(&joined(text))?;
    for word in &mut words {
        if word.contains(is_shield) {
            let plain =
                |c| SHIELDS.iter().find(|(_, shield)| *shield == c).map_or(c, |(special, _)| *special);
            *word = word.chars().map(plain).collect();
        }
    }
    Some(words)
}

/// Lines that end in a backslash go on, but in single quotes.
fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => match rest.next() {
                Some('\n') => {}
                next => out.extend([Some(c), next].into_iter().flatten()),
            },
            ('\'' | '"', None) => {
                quote = Some(c);
                out.push(c);
            }
            _ => {
                quote = quote.filter(|open| *open != c);
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_ends_in_a_backslash_goes_on() {
        assert_eq!(
            split("gunicorn \\\n  --bind :80 \\\n  app:app\n").unwrap(),
            ["gunicorn", "--bind", ":80", "app:app"]
        );
        assert_eq!(split("a b\\\nc \"d\\\ne\" 'f\\\ng'").unwrap(), ["a", "bc", "de", "f\\\ng"]);
        assert_eq!(split("a \\\\\nb").unwrap(), ["a", "\\", "b"], "that is a backslash");
        assert_eq!(split("a\\"), shlex::split("a\\"), "nor anything at the very end");
    }

    #[test]
    fn in_a_value_nothing_is_special_but_blanks() {
        let command = |value: &str| split(&format!("x --title {} -p \"{0}\"", shielded(value))).unwrap();
        assert_eq!(command("it's"), ["x", "--title", "it's", "-p", "it's"]);
        assert_eq!(command("a #b"), ["x", "--title", "a", "#b", "-p", "a #b"]);
        assert_eq!(command("a\\b\"c"), ["x", "--title", "a\\b\"c", "-p", "a\\b\"c"]);
        assert_eq!(command(""), ["x", "--title", "-p", ""]);
        assert_eq!(split("x # y").unwrap(), ["x"], "a comment that is written is one");
    }
}
