//! A log file of our own: appended to, rotated, and never a reason for anybody to wait.
//!
//! Whatever happens to the file, services go on. A write that fails (a full disk, an I/O error), a
//! file that cannot be opened, is an *outage*: it is told once; 64 KiB of lines wait, later ones
//! are counted; once a second it is tried again, and when it works what waited is written and the
//! count is told. A line of which only a part reached the disk is continued where it was torn.
//!
//! A file that was moved, replaced or removed by somebody, with or without its directory, is
//! noticed with the next line (looked for ten times a second at most) and opened anew.
//!
//! The last part of the path must not be a symbolic link: who may write into the directory could
//! otherwise make us append to any file. And it must be a regular file: one that can make
//! a writer wait has no place here.

use super::format::Look;
use super::output::{after, newlines};
use super::rotate;
use crate::core::plan::FileSink;
use crate::core::time::Moment;
use memchr::{memchr, memrchr};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, lstat};
use nix::sys::uio::writev;
use nix::unistd::write;
use std::fs;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So much waits while a file cannot be written: beyond it lines are lost.
pub const HELD_LIMIT: usize = 64 * 1024;
/// From one try to the next while it cannot be written, or cannot be rotated.
const PAUSE: Duration = Duration::from_secs(1);
/// From one look whether it is still there to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Who may read it, as far as the umask lets them.
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// See the head of this file.
pub(super) struct LogFile {
    path: PathBuf,
    pub(super) sink: FileSink,
    /// How many open streams lead here.
    pub(super) users: u32,
    opened: Option<Opened>,
    outage: Option<Outage>,
    /// What waits to be written.
    held: Vec<u8>,
    /// `held` begins within a line whose beginning is in this file.
    torn_in: Option<Identity>,
    lost: u64,
    looked: Moment,
    /// It could not be rotated: not tried again before this.
    rotate_again: Option<Moment>,
    /// Numbers of old ones to be compressed, the oldest first.
    to_compress: Vec<u32>,
    /// The number of the one that is being compressed, if it is still there.
    compressing: Option<u32>,
    news: Vec<String>,
}

/// Device and inode.
type Identity = (u64, u64);

struct Opened {
    fd: OwnedFd,
    identity: Identity,
    size: u64,
}

struct Outage {
    again: Moment,
}

impl LogFile {
    /// The file at this path, opened as soon as there is something to write. Nobody uses it yet.
    pub(super) fn new(path: PathBuf, sink: &FileSink) -> LogFile {
        let to_compress = if sink.compress { rotate::uncompressed(&path, sink.keep) } else { Vec::new() };
        LogFile {
            path,
            sink: sink.clone(),
            users: 0,
            opened: None,
            outage: None,
            held: Vec::new(),
            torn_in: None,
            lost: 0,
            looked: Moment::default(),
            rotate_again: None,
            to_compress,
            compressing: None,
            news: Vec::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How lines look in it.
    pub(super) fn look(&self) -> Look {
        Look { format: self.sink.format, timestamps: self.sink.timestamps, ..Look::PLAIN }
    }

    /// Appends whole lines: the bytes of `head`, then those of `body`, which has all newlines.
    pub(super) fn write(&mut self, head: &[u8], body: &[u8], now: Moment) {
        if self.outage.is_some() {
            self.retry(now);
        }
        if self.outage.is_some() {
            return self.hold(head, body);
        }
        self.look_for(now);
        let _ = self.append(head, body, now);
    }

    /// Tries again to write what waits, if it is time.
    pub(super) fn retry(&mut self, now: Moment) {
        if self.outage.as_ref().is_none_or(|outage| now < outage.again) {
            return;
        }
        self.outage = Some(Outage { again: now + PAUSE });
        self.opened = self.open().ok();
        let Some(opened) = &self.opened else { return };
        if self.torn_in.take_if(|torn_in| *torn_in != opened.identity).is_some() {
            // The beginning of the line is elsewhere.
            let end = memchr(b'\n', &self.held).map_or(self.held.len(), |at| at + 1);
            self.held.drain(..end);
            self.lost += 1;
        }
        let (held, lost) = (std::mem::take(&mut self.held), std::mem::take(&mut self.lost));
        if !self.append(b"", &held, now) {
            self.lost += lost;
            return;
        }
        self.outage = None;
        let lines = match lost {
            0 => "no line was lost".to_owned(),
            1 => "1 line was lost".to_owned(),
            lost => format!("{lost} lines were lost"),
        };
        self.news.push(format!("{} can be written again: {lines}", self.path.display()));
    }

    /// When [`retry`](Self::retry) has something to do.
    pub(super) fn retry_at(&self) -> Option<Moment> {
        self.outage.as_ref().filter(|_| !self.held.is_empty() || self.lost > 0).map(|outage| outage.again)
    }

    /// Opens it anew, as logrotate(8) asks for.
    pub(super) fn reopen(&mut self, now: Moment) {
        self.opened = None;
        if let Some(outage) = &mut self.outage {
            outage.again = now;
        }
        self.retry(now);
    }

    /// Whether nobody would miss it.
    pub(super) fn is_idle(&self) -> bool {
        self.users == 0
            && self.news.is_empty()
            && self.retry_at().is_none()
            && self.to_compress.is_empty()
            && self.compressing.is_none()
    }

    /// What should be told since the last call.
    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The next old file to be compressed, and where to; tell [`compressed`](Self::compressed) how it went.
    ///
    /// The file itself, not its name: that is another one's after the next rotation.
    pub(super) fn compress(&mut self) -> Option<(OwnedFd, PathBuf)> {
        while !self.to_compress.is_empty() {
            let number = self.to_compress.remove(0);
            let old = rotate::old(&self.path, number);
            let how = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            match open(&old, how, Mode::empty()) {
                Ok(fd) => {
                    self.compressing = Some(number);
                    return Some((fd, rotate::unfinished_gz(&self.path)));
                }
                Err(errno) => self.cannot_compress(number, &errno.desc().to_lowercase()),
            }
        }
        None
    }

    fn cannot_compress(&mut self, number: u32, why: &str) {
        let old = rotate::old(&self.path, number);
        self.news.push(format!("cannot compress {}: {why}: it stays as it is", old.display()));
    }

    /// The compression has ended. What was compressed may have moved on since, or have gone.
    pub(super) fn compressed(&mut self, result: Result<(), String>) {
        let unfinished = rotate::unfinished_gz(&self.path);
        let number = self.compressing.take();
        match (result, number) {
            (Ok(()), Some(number)) => {
                if fs::rename(&unfinished, rotate::old_gz(&self.path, number)).is_ok() {
                    let _ = fs::remove_file(rotate::old(&self.path, number));
                }
            }
            (Ok(()), None) => drop(fs::remove_file(&unfinished)),
            (Err(why), number) => {
                let _ = fs::remove_file(&unfinished);
                if let Some(number) = number {
                    self.cannot_compress(number, &why);
                }
            }
        }
    }

    /// Writes it, rotating where it must be. False if that failed: then an outage has begun or goes
    /// on, and what is left is held.
    fn append(&mut self, mut head: &[u8], mut body: &[u8], now: Moment) -> bool {
        while !(head.is_empty() && body.is_empty()) {
            if self.opened.is_none() {
                match self.open() {
                    Ok(opened) => self.opened = Some(opened),
                    Err(why) => {
                        self.fail(&why, now);
                        self.hold(head, body);
                        return false;
                    }
                }
            }
            let Some(opened) = &mut self.opened else { return false };
            let fits = match self.sink.max_size {
                Some(max) if self.rotate_again.is_none_or(|at| at <= now) => {
                    fitting(head, body, opened.size, max)
                }
                Some(_) | None => body.len(),
            };
            if fits == 0 && !body.is_empty() {
                self.rotate(now);
                continue;
            }
            let (part, rest) = body.split_at(fits);
            let (done, result) = put_all(&opened.fd, head, part);
            opened.size += done as u64;
            if let Some(last) = done.checked_sub(1) {
                let last = head.get(last).unwrap_or_else(|| &body[last - head.len()]);
                self.torn_in = (*last != b'\n').then_some(opened.identity);
            }
            if let Err(errno) = result {
                self.opened = None;
                self.fail(&errno.desc().to_lowercase(), now);
                let (head, body) = after(head, body, done);
                self.hold(head, body);
                return false;
            }
            (head, body) = (b"", rest);
        }
        true
    }

    /// Keeps lines until they can be written, as long as there is room: then loses all, so that
    /// there is one gap. What continues a torn line is kept in any case.
    fn hold(&mut self, head: &[u8], body: &[u8]) {
        let mut body = body;
        if self.held.is_empty() && self.torn_in.is_some() {
            let end = memchr(b'\n', body).map_or(body.len(), |at| at + 1);
            self.held.extend_from_slice(head);
            self.held.extend_from_slice(&body[..end]);
            body = &body[end..];
            return self.hold(b"", body);
        }
        let room = HELD_LIMIT.saturating_sub(self.held.len() + head.len());
        let fits = match () {
            () if self.lost > 0 => 0,
            () if body.len() <= room => body.len(),
            () => memrchr(b'\n', &body[..room]).map_or(0, |at| at + 1),
        };
        if fits > 0 {
            self.held.extend_from_slice(head);
            self.held.extend_from_slice(&body[..fits]);
        }
        self.lost += newlines(&body[fits..]);
    }

    fn fail(&mut self, why: &str, now: Moment) {
        if self.outage.is_none() {
            let path = self.path.display();
            self.news.push(format!("cannot write to {path}: {why}: trying again until it works"));
        }
        self.outage = Some(Outage { again: now + PAUSE });
    }

    fn rotate(&mut self, now: Moment) {
        self.rotate_again = None;
        match rotate::rotate(&self.path, self.sink.keep) {
            Ok(gap) => {
                self.opened = None;
                self.compressing = self.compressing.filter(|number| *number != gap);
                if let Some(number) = &mut self.compressing
                    && *number < gap
                {
                    *number += 1;
                }
                if self.sink.compress {
                    self.to_compress = rotate::uncompressed(&self.path, self.sink.keep);
                    self.to_compress.retain(|number| Some(*number) != self.compressing);
                }
            }
            // Somebody has moved it just now.
            Err(error) if error.kind() == ErrorKind::NotFound => self.opened = None,
            Err(error) => {
                let why = Errno::from_raw(error.raw_os_error().unwrap_or_default()).desc().to_lowercase();
                self.news.push(format!("cannot rotate {}: {why}: it grows on", self.path.display()));
                self.rotate_again = Some(now + 60 * PAUSE);
            }
        }
    }

    /// Looks whether the file is still where it was, and as long as we think.
    fn look_for(&mut self, now: Moment) {
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        let Some(opened) = &mut self.opened else { return };
        match lstat(&self.path) {
            Ok(stat) if identity(&stat) == opened.identity => opened.size = stat.st_size as u64,
            Ok(_) | Err(_) => {
                self.opened = None;
                self.news.push(format!("{} was moved or removed: opening it anew", self.path.display()));
            }
        }
    }

    fn open(&self) -> Result<Opened, String> {
        let how = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_CLOEXEC
            | OFlag::O_NOCTTY
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK;
        let mut opened = open(&self.path, how, MODE);
        if matches!(opened, Err(Errno::ENOENT))
            && let Some(folder) = self.path.parent()
        {
            // An error shows again when the file is opened.
            let _ = fs::create_dir_all(folder);
            opened = open(&self.path, how, MODE);
        }
        let words = |errno: Errno| match errno {
            Errno::ELOOP => "it is a symbolic link".to_owned(),
            Errno::ENXIO => "it is no regular file".to_owned(),
            _ => errno.desc().to_lowercase(),
        };
        let fd = opened.map_err(words)?;
        let stat = fstat(&fd).map_err(words)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err("it is no regular file".to_owned());
        }
        Ok(Opened { fd, identity: identity(&stat), size: stat.st_size as u64 })
    }
}

/// How much of `body` goes into a file of this size before it has to be rotated; 0: nothing.
/// A line longer than a whole file has one for itself.
fn fitting(head: &[u8], body: &[u8], size: u64, max: u64) -> usize {
    let all = (head.len() + body.len()) as u64;
    if size + all <= max {
        return body.len();
    }
    let room = max.saturating_sub(size + head.len() as u64).min(body.len() as u64) as usize;
    match memrchr(b'\n', &body[..room]) {
        Some(at) => at + 1,
        None if size > 0 => 0,
        None => memchr(b'\n', body).map_or(body.len(), |at| at + 1),
    }
}

fn put_all(fd: &OwnedFd, head: &[u8], body: &[u8]) -> (usize, Result<(), Errno>) {
    let mut done = 0;
    loop {
        let (head, body) = after(head, body, done);
        let put = match (head.is_empty(), body.is_empty()) {
            (true, true) => return (done, Ok(())),
            (true, false) => write(fd, body),
            (false, _) => writev(fd, &[IoSlice::new(head), IoSlice::new(body)]),
        };
        match put {
            Ok(0) => return (done, Err(Errno::ENOSPC)),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return (done, Err(errno)),
        }
    }
}

fn identity(stat: &FileStat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests;
