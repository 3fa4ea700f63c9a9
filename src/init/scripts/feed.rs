//! A script's bytes on their way into a client.
//!
//! We feed clients ourselves: so packed scripts need no tools, how far it is costs nothing to know, and
//! when the server refuses line 12,345 of something packed we still know which statement that was.
//!
//! A byte order mark at the beginning is left out, for no server wants it. Files that a script names
//! (`source other.dump`, `\i other.sql`) are read by the client itself; how far it is in them is seen in
//! /proc, where the kernel shows the position of each open file (proc(5), fdinfo).

use super::listing::Packing;
use super::progress::{Place, Progress};
use super::statements::Statements;
use super::unpack::Unpacked;
use crate::core::plan::Credentials;
use crate::init::crew::Feed;
use crate::sys::identity;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What feeds a client, or, where the client needs nothing, only watches how far it is.
pub struct Script<'a> {
    content: Option<Unpacked>,
    statements: Statements,
    progress: &'a mut Progress,
    /// Files that the client opens itself, in that order, with their sizes.
    files: Vec<(PathBuf, u64)>,
    /// Which of them it reads, and where it is in it.
    file: usize,
    position: u64,
    who: Option<Credentials>,
    has_begun: bool,
    is_over: bool,
}

impl<'a> Script<'a> {
    /// Feeds this file, which may name others that the client will open. `who` the client runs as.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(
        path: &Path,
        packing: Packing,
        files: Vec<(PathBuf, u64)>,
        who: Option<Credentials>,
        progress: &'a mut Progress,
    ) -> io::Result<Script<'a>> {
        let content = Unpacked::open(path, packing)?;
        Ok(Script { content: Some(content), ..Script::watch(files, who, progress) })
    }

    /// Feeds nothing: the client opens these files itself, or it is a `.sh`.
    pub fn watch(
        files: Vec<(PathBuf, u64)>,
        who: Option<Credentials>,
        progress: &'a mut Progress,
    ) -> Script<'a> {
        // What is open is known by its true path.
        let files =
            files.into_iter().map(|(path, size)| (fs::canonicalize(&path).unwrap_or(path), size)).collect();
        Script {
            content: None,
            statements: Statements::default(),
            progress,
            files,
            file: 0,
            position: 0,
            who,
            has_begun: false,
            is_over: false,
        }
    }

    /// The first words of the statement on this line of the unpacked script (from 1), if they are still known.
    pub fn statement(&self, line: u64) -> Option<String> {
        self.statements.at(line)
    }

    /// How many bytes the client got, without a byte order mark.
    pub fn given(&self) -> u64 {
        self.statements.bytes()
    }

    /// The file that the client reads itself just now, if it is at one.
    pub fn file(&self) -> Option<&Path> {
        (self.position > 0).then(|| self.files.get(self.file).map(|(path, _)| path.as_path()))?
    }

    fn report(&mut self) {
        let before: u64 = self.files.iter().take(self.file).map(|(_, size)| *size).sum();
        let place = Place {
            taken: self.content.as_ref().map_or(0, Unpacked::taken) + before + self.position,
            given: self.statements.bytes(),
            line: if self.content.is_some() { self.statements.line() } else { 0 },
            is_over: self.is_over && self.content.is_some(),
        };
        let statements = &self.statements;
        self.progress.reached(place, || statements.last());
    }

    /// Fills as much as there is, as read(2) of a file does.
    fn read_full(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(content) = &mut self.content else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() {
            match content.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Feed for Script<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.read_full(buffer)?;
        if !std::mem::replace(&mut self.has_begun, true) && buffer[..count].starts_with(MARK) {
            buffer.copy_within(MARK.len()..count, 0);
            count -= MARK.len();
            count += self.read_full(&mut buffer[count..])?;
        }
        self.statements.take(&buffer[..count]);
        self.is_over = count == 0;
        if !self.is_over {
            self.report();
        }
        Ok(count)
    }

    fn tick(&mut self) {
        if !self.files.is_empty()
            && let Some((file, position)) = identity::as_seen_by(self.who.as_ref(), || at(&self.files))
            && file >= self.file
        {
            (self.file, self.position) = (file, position);
        }
        self.report();
    }
}

/// Which of these files one of our children has open, the last of them, and where it is in it.
fn at(files: &[(PathBuf, u64)]) -> Option<(usize, u64)> {
    let children = fs::read_to_string("/proc/thread-self/children").ok()?;
    let mut found = None;
    for child in children.split_ascii_whitespace() {
        let Ok(open) = fs::read_dir(format!("/proc/{child}/fd")) else { continue };
        for number in open.filter_map(Result::ok) {
            let Ok(target) = fs::read_link(number.path()) else { continue };
            let Some(which) = files.iter().position(|(path, _)| *path == target) else { continue };
            let info = format!("/proc/{child}/fdinfo/{}", number.file_name().to_string_lossy());
            let Ok(info) = fs::read_to_string(info) else { continue };
            let position = info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
            found = found.max(position.map(|position: u64| (which, position.min(files[which].1))));
        }
    }
    found
}

#[cfg(test)]
mod tests;
