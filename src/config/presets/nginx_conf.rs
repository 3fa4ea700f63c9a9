//! nginx.conf, word by word, as nginx reads it (`ngx_conf_read_token`): a quote or a `#` is one only where a word begins.
//! What stands in the main context is read over `include`, too.

use super::own_file;
use std::path::{Path, PathBuf};

/// So many files at most: one may include itself.
const FILES_MAX: usize = 200;

/// A directive.
#[derive(Debug)]
pub struct Statement {
    /// In how many blocks it stands.
    depth: usize,
    /// Its name and what follows it.
    words: Vec<String>,
}

/// The value of a directive of the main context.
pub fn directive(statements: &[Statement], name: &str) -> Option<String> {
    let is_it = |statement: &&Statement| statement.depth == 0 && statement.words[0] == name;
    statements.iter().filter(is_it).find_map(|statement| statement.words.get(1).cloned())
}

/// The words behind each directive of this name, in any context.
pub fn directives<'a>(statements: &'a [Statement], name: &'a str) -> impl Iterator<Item = &'a [String]> {
    statements
        .iter()
        .filter(move |statement| statement.words[0] == name)
        .map(|statement| &statement.words[1..])
}

/// What a file says, and those that it includes in the main context.
pub fn statements_of(path: &Path) -> Option<Vec<Statement>> {
    let mut found = Vec::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    read(path, folder, &mut FILES_MAX.clone(), &mut found)?;
    Some(found)
}

/// Also what is included by an included file is relative to the folder of the first.
fn read(path: &Path, folder: &Path, left: &mut usize, found: &mut Vec<Statement>) -> Option<()> {
    *left = left.checked_sub(1)?;
    for statement in statements(&own_file(path)?) {
        match &statement.words[..] {
            [name, pattern] if name == "include" && statement.depth == 0 => {
                for path in matching(folder, pattern) {
                    read(&path, folder, left, found);
                }
            }
            _ => found.push(statement),
        }
    }
    Some(())
}

/// The files that an `include` names, sorted.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?', '[']) {
        return vec![folder.join(pattern)];
    }
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    let whole = Path::new(&folder).join(pattern);
    let hides_dots = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let found = glob::glob_with(&whole.to_string_lossy(), hides_dots);
    found.into_iter().flatten().flatten().take(FILES_MAX).collect()
}

/// The directives in a text.
pub fn statements(text: &str) -> Vec<Statement> {
    let (mut found, mut words, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ';' | '{' | '}' => {
                if !words.is_empty() {
                    found.push(Statement { depth, words: std::mem::take(&mut words) });
                }
                match character {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            '#' => drop(rest.find(|c| *c == '\n')),
            quote @ ('"' | '\'') => words.push(word(&mut rest, Some(quote))),
            character if character.is_whitespace() => {}
            character => {
                let mut whole = String::new();
                push(character, &mut rest, &mut whole);
                // "${" is no block.
                if character == '$' && rest.peek() == Some(&'{') {
                    whole.extend(rest.next());
                }
                words.push(whole + &word(&mut rest, None));
            }
        }
    }
    found
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The word until its quote, or until what ends a word without one.
fn word(rest: &mut Characters<'_>, quote: Option<char>) -> String {
    let mut word = String::new();
    while let Some(&next) = rest.peek() {
        let is_variable = next == '{' && word.ends_with('$');
        if quote.is_none() && !is_variable && (next.is_whitespace() || matches!(next, ';' | '{')) {
            break;
        }
        rest.next();
        if Some(next) == quote {
            break;
        }
        push(next, rest, &mut word);
    }
    word
}

/// A character, or the one that a backslash takes what it means from.
fn push(character: char, rest: &mut Characters<'_>, word: &mut String) {
    match (character, rest.peek()) {
        ('\\', Some('"' | '\'' | '\\')) => word.extend(rest.next()),
        ('\\', _) => {
            word.push(character);
            word.extend(rest.next());
        }
        _ => word.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_only_where_a_word_begins() {
        for line in [
            "http { add_header X-A it's; }",
            "http { rewrite ^/a\\\"b$ /x; }",
            "http { rewrite \\\"b$ /x; }",
            "http { rewrite ^/a\\;b$ /x; }",
            "http { rewrite ^/a#b$ /x; }",
            "http { return 200 ${uri}x; }",
            "http { return 200 a${uri}x}; }",
            "http { log_format x 'it\\'s; }' \"{\"; } # '",
            "\"user\" 'x';",
        ] {
            let text = format!("{line}\ndaemon off;\n");
            assert_eq!(directive(&statements(&text), "daemon").as_deref(), Some("off"), "{line}");
        }
        let words = &statements("a 'b c' d\\\"e \"f'\";")[0].words;
        assert_eq!(words[..], ["a", "b c", "d\"e", "f'"]);
    }
}
