//! What psql says when a script fails, and what of it is worth passing on.
//!
//! With `-f` each message has its place: `psql:FILE:LINE: SEVERITY:  text`, where FILE is `<stdin>` for what is
//! fed and a path for what `\i` includes; details, hints and the context follow on lines of their own. After
//! a failure psql goes on to speak only where the script has switched ON_ERROR_STOP off, so what counts is
//! the last error.

use crate::init::engine::Failure;

/// The name that psql gives to its stdin.
const STDIN: &str = "<stdin>";

/// What every message with a place begins with.
const MARK: &str = "psql:";

/// A message of psql.
struct Message<'a> {
    file: &'a str,
    line: u64,
    severity: &'a str,
    text: &'a str,
    more: Vec<&'a str>,
}

/// The error that ended it.
pub fn failure(stderr: &str) -> Option<Failure> {
    let errors: Vec<Message<'_>> = messages(stderr).into_iter().filter(Message::is_error).collect();
    // "connection to server was lost" is what follows from the server's own last words.
    let last_words = errors.iter().rposition(|message| ["FATAL", "PANIC"].contains(&message.severity));
    let last = errors.len().checked_sub(1)?;
    let lost = errors[last].text.contains("connection to server was lost");
    let message = &errors[last_words.filter(|_| lost).unwrap_or(last)];
    let fed = message.file == STDIN;
    let mut text = if fed { String::new() } else { format!("{}:{}: ", message.file, message.line) };
    text.push_str(&format!("{}: {}", message.severity, message.text));
    for line in message.more.iter().filter(|line| !line.trim().is_empty()) {
        text.push('\n');
        text.push_str(line);
    }
    Some(Failure { line: fed.then_some(message.line), message: text })
}

/// All messages that have a place.
fn messages(stderr: &str) -> Vec<Message<'_>> {
    let mut found: Vec<Message<'_>> = Vec::new();
    for line in stderr.lines() {
        match (Message::parse(line), found.last_mut()) {
            (Some(message), _) => found.push(message),
            (None, Some(last)) if !line.starts_with(MARK) => last.more.push(line),
            (None, _) => {}
        }
    }
    found
}

impl<'a> Message<'a> {
    fn parse(line: &'a str) -> Option<Message<'a>> {
        let rest = line.strip_prefix(MARK)?;
        // A path may have colons: the line's number is the first all of digits between two of them.
        for (at, _) in rest.match_indices(':') {
            let (number, rest_of_line) = rest[at + 1..].split_once(": ")?;
            let Ok(number) = number.parse() else { continue };
            let (severity, text) = rest_of_line.split_once(": ").unwrap_or(("", rest_of_line));
            let (severity, text) = (severity.trim(), text.trim());
            return Some(Message { file: &rest[..at], line: number, severity, text, more: Vec::new() });
        }
        None
    }

    /// psql's own say `error` and are not the server's.
    fn is_error(&self) -> bool {
        ["ERROR", "FATAL", "PANIC", "error", "fatal"].contains(&self.severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stderr: &str) -> (Option<u64>, String) {
        let failure = failure(stderr).unwrap();
        (failure.line, failure.message)
    }

    #[test]
    fn an_error_has_its_line_and_its_details() {
        let stderr = "psql:<stdin>:3: NOTICE:  table \"t\" does not exist, skipping\n\
                      psql:<stdin>:7: ERROR:  invalid input syntax for type integer: \"x\"\n\
                      CONTEXT:  COPY t, line 3, column a: \"x\"\n";
        let message = "ERROR: invalid input syntax for type integer: \"x\"\n\
                       CONTEXT:  COPY t, line 3, column a: \"x\"";
        assert_eq!(told(stderr), (Some(7), message.to_owned()));
    }

    #[test]
    fn an_error_of_an_included_file_names_that_file() {
        let stderr = "psql:data/n:1.sql:4: ERROR:  column \"foo\" does not exist\nLINE 3:  foo\n         ^\n";
        let message = "data/n:1.sql:4: ERROR: column \"foo\" does not exist\nLINE 3:  foo\n         ^";
        assert_eq!(told(stderr), (None, message.to_owned()));
    }

    #[test]
    fn psql_s_own_errors_count() {
        let stderr = "psql:<stdin>:2: error: nofile.sql: No such file or directory\n";
        assert_eq!(told(stderr), (Some(2), "error: nofile.sql: No such file or directory".to_owned()));
    }

    #[test]
    fn the_server_s_last_words_go_before_the_lost_connection() {
        let stderr = "psql:<stdin>:2: FATAL:  terminating connection due to administrator command\n\
                      psql:<stdin>:2: server closed the connection unexpectedly\n\
                      \tThis probably means the server terminated abnormally\n\
                      psql:<stdin>:2: error: connection to server was lost\n";
        assert_eq!(told(stderr).1, "FATAL: terminating connection due to administrator command");
    }

    #[test]
    fn where_nothing_has_a_place_nothing_is_made_up() {
        assert_eq!(failure("psql: error: connection to server on socket failed"), None);
    }
}
