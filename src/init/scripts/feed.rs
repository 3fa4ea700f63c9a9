//! A script's bytes on their way into a client.
//!
//! What is packed we feed ourselves: so it needs no tools, how far it is costs nothing to know, and
//! when the server refuses line 12,345 of it we still know which statement that was. What is not packed the
//! client has open itself, and reads at its own speed, as by hand: that file's position is ours, too.
//!
//! A byte order mark at the beginning is left out, for no server wants it. Files that a script names
//! (`source other.dump`, `\i other.sql`) are read by the client itself; how far it is in them is seen in
//! /proc, where the kernel shows the position of each open file (proc(5), fdinfo).

use super::listing::Packing;
use super::progress::{Place, Progress};
use super::statements::Statements;
use super::unpack::Unpacked;
use crate::core::plan::Credentials;
use crate::init::crew::{Feed, Stdin};
use crate::sys::identity;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What feeds a client, or, where the client needs nothing, only watches how far it is.
pub struct Script<'a> {
    content: Option<Unpacked>,
    direct: Option<Direct>,
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

/// A file that the client reads itself, by the description that is ours, too (open(2)).
struct Direct {
    file: File,
    size: u64,
    /// So far lines were counted.
    counted: u64,
    lines: u64,
}

/// What is read at a time to count lines or to find a statement.
const PORTION: usize = 64 * 1024;

impl Direct {
    fn open(path: &Path) -> io::Result<Direct> {
        let mut file = File::open(path)?;
        let mut opening = [0; MARK.len()];
        let begin = match file.read_exact_at(&mut opening, 0) {
            Ok(()) if opening == *MARK => MARK.len() as u64,
            Ok(()) | Err(_) => 0,
        };
        file.seek(SeekFrom::Start(begin))?;
        Ok(Direct { size: file.metadata()?.len(), file, counted: begin, lines: 0 })
    }

    /// Where the client is, and at which line.
    fn place(&mut self) -> (u64, u64) {
        let position = (&self.file).stream_position().unwrap_or(self.counted).min(self.size);
        let mut buffer = [0; PORTION];
        while self.counted < position {
            let wanted = buffer.len().min((position - self.counted) as usize);
            let Ok(count @ 1..) = self.file.read_at(&mut buffer[..wanted], self.counted) else { break };
            self.lines += memchr::memchr_iter(b'\n', &buffer[..count]).count() as u64;
            self.counted += count as u64;
        }
        (position, self.lines + 1)
    }

    /// The first words of the statement on this line; of the last one that was read, if none is named.
    fn statement(&self, line: Option<u64>) -> Option<String> {
        /// The last one begins in here, or nobody wants to read it.
        const NEAR: u64 = 1 << 20;
        let mut at = if line.is_some() { 0 } else { self.counted.saturating_sub(NEAR) };
        let end = if line.is_some() { self.size } else { self.counted };
        let mut statements = Statements::default();
        let mut buffer = [0; PORTION];
        while at < end && line.is_none_or(|line| statements.line() <= line) {
            let wanted = buffer.len().min((end - at) as usize);
            let Ok(count @ 1..) = self.file.read_at(&mut buffer[..wanted], at) else { break };
            let read = &buffer[..count];
            let skipped = if at == 0 && read.starts_with(MARK) { MARK.len() } else { 0 };
            statements.take(&read[skipped..]);
            at += count as u64;
        }
        line.map_or_else(|| statements.last(), |line| statements.at(line))
    }
}

impl<'a> Script<'a> {
    /// Has the client read this file itself, which is not packed. See [`open`](Self::open).
    ///
    /// # Errors
    /// Those of open(2).
    pub fn hand(
        path: &Path,
        files: Vec<(PathBuf, u64)>,
        who: Option<Credentials>,
        progress: &'a mut Progress,
    ) -> io::Result<Script<'a>> {
        let direct = Direct::open(path)?;
        Ok(Script { direct: Some(direct), ..Script::watch(files, who, progress) })
    }

    /// What the client gets as its stdin.
    ///
    /// # Errors
    /// EMFILE.
    pub fn stdin(&mut self) -> io::Result<Stdin<'_>> {
        match &self.direct {
            Some(direct) => Ok(Stdin::File(direct.file.try_clone()?.into(), self)),
            None => Ok(Stdin::Feed(self)),
        }
    }

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
            direct: None,
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
        match &self.direct {
            Some(direct) => direct.statement(Some(line)),
            None => self.statements.at(line),
        }
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
        if let Some(direct) = &mut self.direct {
            let (position, line) = direct.place();
            let is_over = position == direct.size;
            let place = Place { taken: before + self.position + position, given: position, line, is_over };
            let direct = &*direct;
            return self.progress.reached(place, || direct.statement(None));
        }
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
