//! Why a first start stops, and how each reason is told: what, where, what to do next.

use crate::core::exit::{Outcome, code};
use crate::core::signal::Signal;
use crate::core::time::duration_text;
use crate::sys::launch::LaunchError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// It is not complete, and to be tried again (EX_TEMPFAIL): somebody asked us to stop, or
/// somebody else is at it.
pub const NOT_COMPLETE: u8 = 75;

/// Why it stops.
#[derive(Debug)]
pub enum Trouble {
    /// This signal asked us to.
    Asked(Signal),
    /// The temporary server ended by itself.
    ServerDied {
        /// How.
        outcome: Outcome,
        /// The end of what it wrote.
        tail: String,
    },
    /// It took longer than allowed.
    TooLong {
        /// What did: `the start of the temporary server`.
        what: String,
        /// How long it might.
        limit: Duration,
    },
    /// A program could not be launched.
    Launch {
        /// What for: `asking for the data directory`.
        what: String,
        /// Why not.
        error: LaunchError,
    },
    /// A program of the database ended with an error: initialise, set up, ask.
    Program {
        /// What it was to do: `mariadb-install-db`.
        what: String,
        /// How it ended.
        outcome: Outcome,
        /// The end of what it wrote to stderr, or to stdout if that was nothing.
        tail: String,
    },
    /// A script failed.
    Script(Box<ScriptTrouble>),
    /// Variables or arguments break a rule; each text is a whole message.
    Rules(Vec<String>),
    /// What lies in the scripts' directory cannot be run; each text is a whole message.
    Plan(Vec<String>),
    /// An earlier first start did not end, and we are not to touch what it left; the text says
    /// what to do.
    Partial(String),
    /// Somebody else is at it, in this directory.
    Busy(PathBuf),
    /// A file or directory does not do as it should.
    Io {
        /// What we were doing: `create`, `write`, `move`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Anything else, in words.
    Other(String),
}

/// A script that failed.
#[derive(Debug)]
pub struct ScriptTrouble {
    /// Its path.
    pub path: PathBuf,
    /// Which of how many, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// The line of the (unpacked) script.
    pub line: Option<u64>,
    /// The first words of the statement.
    pub statement: Option<String>,
    /// What the server or the script said.
    pub message: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl Trouble {
    /// An error of a file, in one line at the place where it happened.
    pub fn io(doing: &'static str, path: impl AsRef<Path>, error: impl Into<io::Error>) -> Trouble {
        Trouble::Io { doing, path: path.as_ref().to_owned(), error: error.into() }
    }

    /// Our exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Trouble::Asked(_) | Trouble::Busy(_) => NOT_COMPLETE,
            Trouble::Rules(_) | Trouble::Plan(_) | Trouble::Partial(_) => code::CONFIGURATION,
            Trouble::Script(script) => match script.outcome {
                Outcome::Exited(own @ 1..=125) => own,
                Outcome::Exited(_) | Outcome::Killed(_) => code::FAILED,
            },
            Trouble::ServerDied { .. }
            | Trouble::TooLong { .. }
            | Trouble::Launch { .. }
            | Trouble::Program { .. }
            | Trouble::Io { .. }
            | Trouble::Other(_) => code::FAILED,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Asked(signal) => write!(f, "asked to stop by {signal} before it was complete"),
            Trouble::ServerDied { outcome, tail } => {
                write!(f, "the temporary server ended by itself: {outcome}{}", Tail(tail))
            }
            Trouble::TooLong { what, limit } => {
                write!(f, "{what} took longer than {}", duration_text(*limit))
            }
            Trouble::Launch { what, error } => write!(f, "{what}: {error}"),
            Trouble::Program { what, outcome, tail } => {
                write!(f, "{what} failed: {outcome}{}", Tail(tail))
            }
            Trouble::Script(script) => script.fmt(f),
            Trouble::Rules(texts) | Trouble::Plan(texts) => f.write_str(&texts.join("\n")),
            Trouble::Partial(text) | Trouble::Other(text) => f.write_str(text),
            Trouble::Busy(path) => write!(
                f,
                "somebody else is making this first start: {} is locked. Nothing was touched. \
                 Wait until it is done, or end it; two containers must not share a data directory",
                path.display()
            ),
            Trouble::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "\ngive the directory to the database's user, or start the container as root",
                    ),
                    io::ErrorKind::StorageFull => f.write_str("\nfree some space on that file system"),
                    io::ErrorKind::ReadOnlyFilesystem => {
                        f.write_str("\nmount it writable, for example as a volume")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for ScriptTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script {} of {} failed: {}", self.number, self.of, self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, " ({})", self.outcome)?;
        if let Some(statement) = &self.statement {
            write!(f, "\n  in the statement: {statement}")?;
        }
        write!(f, "{}", Tail(&self.message))
    }
}

/// The end of what a program wrote, each line indented; nothing if it wrote nothing.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LINES: usize = 20;
        let lines: Vec<&str> = self.0.lines().filter(|line| !line.trim().is_empty()).collect();
        let skipped = lines.len().saturating_sub(LINES);
        lines[skipped..].iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_script_is_told_with_its_place_and_gives_its_own_exit_code() {
        let trouble = Trouble::Script(Box::new(ScriptTrouble {
            path: "/docker-entrypoint-initdb.d/2.sql.gz".into(),
            number: 2,
            of: 7,
            line: Some(12_345),
            statement: Some("INSERT INTO salaries VALUES".into()),
            message: "ERROR 1146 (42S02) at line 12345: no such table\n".into(),
            outcome: Outcome::Exited(3),
        }));
        assert_eq!(
            trouble.to_string(),
            "script 2 of 7 failed: /docker-entrypoint-initdb.d/2.sql.gz, line 12345 (exit code 3)\n  \
             in the statement: INSERT INTO salaries VALUES\n  ERROR 1146 (42S02) at line 12345: no such table"
        );
        assert_eq!(trouble.exit_code(), 3);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_shown() {
        let tail: String = (1..=50).map(|n| format!("line {n}\n")).collect();
        let text = Trouble::ServerDied { outcome: Outcome::Exited(1), tail }.to_string();
        assert!(text.ends_with("\n  line 50") && !text.contains("line 30\n") && text.contains("line 31\n"));
    }
}
