//! A program that is run to its end: what it is, what it reads, and how it ended.

use crate::core::exit::Outcome;
use crate::core::plan::Credentials;
use crate::init::engine::Variables;
use crate::init::trouble::Trouble;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// A program that is run to its end.
#[derive(Default)]
pub struct Task<'a> {
    /// What it does, for messages: `mariadb-install-db`, `script 3 of 7, data.sql`.
    pub what: String,
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Its whole environment.
    pub environment: Variables,
    /// Its working directory; none: ours.
    pub directory: Option<PathBuf>,
    /// Whom it runs as; none: as we are.
    pub who: Option<Credentials>,
    /// What it reads.
    pub stdin: Stdin<'a>,
    /// What each line of its output gets in front on its way out; none: it is only kept.
    pub forward: Option<String>,
    /// So many bytes of each stream's end are kept; 0: [`KEPT`].
    pub keep: usize,
    /// So long it may take; none: for ever.
    pub limit: Option<Duration>,
    /// It runs, and runs to its end, even if we have been asked to stop: for stopping cleanly.
    pub belongs_to_stopping: bool,
}

/// What a task reads.
#[derive(Default)]
pub enum Stdin<'a> {
    /// Nothing: it is at its end at once.
    #[default]
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What this gives.
    Feed(&'a mut dyn Feed),
    /// This file from where it is now, read by the task itself; the feed is only told that time passes.
    File(OwnedFd, &'a mut dyn Feed),
}

/// Gives a task its input, portion by portion, as fast as it reads.
pub trait Feed {
    /// Fills the buffer from its beginning; 0 is the end.
    ///
    /// # Errors
    /// Of reading or unpacking; the task is ended, and the error is the trouble.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Called at least once a second while the task runs: for progress.
    fn tick(&mut self) {}
}

/// A task that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// The end of what it wrote to stdout.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Whether its exit code was 0.
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Exited(0)
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it complained of: stderr, or stdout if that was empty.
    pub fn complaint(&self) -> String {
        let is_empty = self.stderr.iter().all(u8::is_ascii_whitespace);
        String::from_utf8_lossy(if is_empty { &self.stdout } else { &self.stderr }).into_owned()
    }

    /// Itself, if it was a success.
    ///
    /// # Errors
    /// [`Trouble::Program`].
    pub fn success(self, what: &str) -> Result<Ended, Trouble> {
        match self.is_success() {
            true => Ok(self),
            false => {
                Err(Trouble::Program { what: what.to_owned(), outcome: self.outcome, tail: self.complaint() })
            }
        }
    }
}
