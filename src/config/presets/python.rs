//! What a settings file in Python says, as far as that can be seen without Python: names that are given a
//! string, or a list of strings, at the beginning of a line. Whatever else may give a name its value is seen too,
//! but not understood.

/// What a file says of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It does not mention it.
    Nothing,
    /// This, or a list that begins with this.
    Text(String),
    /// Something that only Python could tell.
    Unread,
}

impl Said {
    /// The text, where there is one.
    pub fn text(self) -> Option<String> {
        match self {
            Said::Text(text) => Some(text),
            Said::Nothing | Said::Unread => None,
        }
    }
}

/// What a file says of a name in the end.
pub fn said(settings: &str, name: &str) -> Said {
    let (mut found, mut is_mentioned) = (Said::Nothing, false);
    let mut begin = 0;
    for line in settings.split_inclusive('\n') {
        let rest = &settings[begin..];
        begin += line.len();
        let code = line.split('#').next().unwrap_or("");
        if code.contains("import *") {
            is_mentioned = true;
        }
        let Some((before, behind)) = around(code, name) else { continue };
        is_mentioned = true;
        let is_first = before.trim().is_empty();
        // A line that only uses it changes nothing.
        if !is_first && !code.contains("import ") && right_side(behind).is_none() {
            continue;
        }
        let value = right_side(rest.strip_prefix(name).unwrap_or_default()).and_then(literal);
        match (value, &found) {
            // What stands in an `if` or in a function, or is understood before it is changed, is not known.
            (Some(text), Said::Nothing | Said::Text(_)) => found = Said::Text(text),
            _ => found = Said::Unread,
        }
    }
    match found {
        Said::Nothing if is_mentioned => Said::Unread,
        found => found,
    }
}

/// The right side of `name = …` in a Python file, at the beginning of a line.
pub fn setting<'a>(settings: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| right_side(line.strip_prefix(name)?);
    let text = settings.lines().rev().find_map(value)?;
    Some(text.split('#').next().unwrap_or("").trim())
}

/// What stands before and behind a name where it is a word of its own.
fn around<'a>(code: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    let mut places = code.match_indices(name).map(|(at, _)| (&code[..at], &code[at + name.len()..]));
    places.find(|(before, behind)| !before.ends_with(is_inside) && !behind.starts_with(is_inside))
}

/// What stands behind `=` or `: type =`.
fn right_side(behind: &str) -> Option<&str> {
    let behind = behind.trim_start_matches([' ', '\t']);
    let behind = match behind.strip_prefix(':') {
        Some(kind) => &kind[kind.find(['=', '\n', '#'])?..],
        None => behind,
    };
    let value = behind.strip_prefix('=')?;
    (!value.starts_with('=')).then_some(value)
}

/// A string or a list of strings that nothing is done to: the (first) string.
fn literal(text: &str) -> Option<String> {
    let text = text.trim_start_matches([' ', '\t']);
    let close = match text.chars().next()? {
        '[' => ']',
        '(' => ')',
        _ => {
            let (string, rest) = string(text)?;
            return ends(rest).then_some(string);
        }
    };
    let mut first = None;
    let mut rest = past_comments(&text[1..]);
    while !rest.starts_with(close) {
        let (string, behind) = string(rest)?;
        first = first.or(Some(string));
        rest = past_comments(behind);
        match rest.strip_prefix(',') {
            Some(next) => rest = past_comments(next),
            None if rest.starts_with(close) => {}
            None => return None,
        }
    }
    first.filter(|_| ends(&rest[1..]))
}

/// A plain string, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, rest) = text[1..].split_once(quote)?;
    let is_in_three_quotes = inside.is_empty() && rest.starts_with(quote);
    if is_in_three_quotes || inside.contains(['\\', '\n']) {
        return None;
    }
    Some((inside.to_owned(), rest))
}

/// Whether a statement is over here.
fn ends(rest: &str) -> bool {
    matches!(rest.trim_start_matches([' ', '\t', '\r']).chars().next(), None | Some('\n' | '#' | ';'))
}

/// Where the next word inside a list begins.
fn past_comments(text: &str) -> &str {
    let mut text = text.trim_start();
    while let Some(comment) = text.strip_prefix('#') {
        text = comment.split_once('\n').map_or("", |(_, rest)| rest.trim_start());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_read() {
        for file in [
            "bind = ':1'",
            "import x\nbind=\":1\"  # here\nworkers = 2",
            "bind: str = ':1'",
            "bind = [':1', ':2']",
            "bind = [\n    # the first\n    ':1',  # here\n]\n",
            "bind = (\n  \":1\"\n)",
            "bind = ':2'\nbind = ':1'",
            "bind = ':1'\nprint(f'at {bind}')\nbind_to = bind",
            "rebind = ':2'\nbind_to = ':3'\nbind = ':1'\n# bind = ':4'",
        ] {
            assert_eq!(said(file, "bind"), Said::Text(":1".into()), "{file}");
        }
        assert_eq!(said("# bind = ':4'\nunbind = 1", "bind"), Said::Nothing);
    }

    #[test]
    fn what_only_python_could_tell_is_not() {
        for file in [
            "bind = f'{host}:{port}'",
            "bind = os.getenv('BIND', '0.0.0.0:5000')",
            "bind = '0.0.0.0:' + os.environ['PORT']",
            "bind = '0.0.0.0:%s' % port",
            "bind = '0.0.0.0:{}'.format(port)",
            "bind = ['a' 'b']",
            "bind = [':1', other]",
            "bind = [':1'] + more",
            "bind = '\\x3a1'",
            "bind = '''\n:1'''",
            "if debug:\n    bind = ':1'",
            "if debug: bind = ':1'",
            "bind = ':1'\nif debug:\n    bind = ':2'",
            "bind = []\nbind.append(':1')",
            "bind, workers = ':1', 2",
            "from base import bind",
            "from base import *",
            "globals()['bind'] = ':1'",
        ] {
            assert_eq!(said(file, "bind"), Said::Unread, "{file}");
        }
    }
}
