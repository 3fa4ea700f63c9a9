//! The scripts' part of the course: what is planned, each run between two entries of the journal.

use super::engine::{Engine, Remark, Work};
use super::ground::Ground;
use super::journal::{self, Journal};
use super::trouble::Trouble;
use std::fs;
use std::path::PathBuf;

/// What is to be run, in order.
#[derive(Debug, Default)]
pub struct Plan {
    files: Vec<PathBuf>,
}

impl Plan {
    /// Whether there is no script.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// What is to be said about them before anything is touched.
    pub fn remarks(&self) -> Vec<Remark> {
        let refused = |file: &PathBuf| {
            Remark::error(format!("{}: this minisup cannot run scripts yet", file.display()))
        };
        self.files.iter().map(refused).collect()
    }

    /// Why scripts that were run already are not those that would be run; `None`: they are.
    pub fn differs_from(&self, done: &[journal::Script]) -> Option<String> {
        (done.len() != self.files.len()).then(|| "the scripts have changed since".to_owned())
    }

    /// What has changed since these were run: new ones, which are not run, and others than they were.
    pub fn since(&self, done: &[journal::Script]) -> Vec<String> {
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = self.files.iter().map(name);
        let new: Vec<String> = names.filter(|name| !done.iter().any(|script| script.name == *name)).collect();
        match new.is_empty() {
            true => Vec::new(),
            false => vec![format!("{} came after the first start and will not run", new.join(", "))],
        }
    }
}

/// Reads the directory of scripts.
///
/// # Errors
/// It cannot be read.
pub fn plan(_engine: &dyn Engine, work: &Work<'_>) -> Result<Plan, Trouble> {
    let entries = match fs::read_dir(&work.request.directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Plan::default()),
        Err(error) => return Err(Trouble::io("read", &work.request.directory, error)),
    };
    let is_hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    let files = entries.flatten().filter(|entry| !is_hidden(entry)).map(|entry| entry.path());
    Ok(Plan { files: files.collect() })
}

/// Runs what is not done yet.
///
/// # Errors
/// A script failed.
pub fn scripts(
    _engine: &dyn Engine,
    _work: &mut Work<'_>,
    _ground: &Ground,
    _journal: &mut Journal,
    _plan: &Plan,
) -> Result<(), Trouble> {
    Ok(())
}

/// Runs each script of the each-start directory that was never run on this data.
///
/// # Errors
/// A script failed.
pub fn each_start(_engine: &dyn Engine, work: &mut Work<'_>) -> Result<(), Trouble> {
    match &work.request.each_start {
        Some(directory) if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) => {
            Err(Trouble::Plan(vec![format!("{}: this minisup cannot run scripts yet", directory.display())]))
        }
        Some(_) | None => Ok(()),
    }
}
