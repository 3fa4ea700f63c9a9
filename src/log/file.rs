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
    pub(super) fn compress(&mut self) -> Option<(PathBuf, PathBuf)> {
        let number = (!self.to_compress.is_empty()).then(|| self.to_compress.remove(0))?;
        self.compressing = Some(number);
        Some((rotate::old(&self.path, number), rotate::unfinished_gz(&self.path)))
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
                    let old = rotate::old(&self.path, number);
                    self.news.push(format!("cannot compress {}: {why}: it stays as it is", old.display()));
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
mod tests {
    use super::*;
    use crate::core::plan::LogFormat;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("minisup-file-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn log_file(path: PathBuf, max_size: u64, compress: bool) -> LogFile {
        let max_size = Some(max_size);
        let sink = FileSink {
            path: path.clone(),
            max_size,
            keep: 3,
            compress,
            format: LogFormat::Raw,
            timestamps: false,
        };
        LogFile::new(path, &sink)
    }

    #[test]
    fn lines_are_appended_and_the_folder_is_made() {
        let folder = Folder::new();
        let mut file = log_file(folder.0.join("a/b/x.log"), 1 << 20, false);
        file.write(b"on", b"e\ntwo\n", at(0));
        file.write(b"", b"three\n", at(1));
        assert_eq!(folder.read("a/b/x.log"), "one\ntwo\nthree\n");
        assert_eq!(file.take_news(), [""; 0]);
    }

    #[test]
    fn a_file_is_rotated_between_lines_before_it_is_too_large() {
        let folder = Folder::new();
        let mut file = log_file(folder.0.join("x.log"), 10, false);
        file.write(b"", b"1234\n5678\nabcd\n", at(0));
        file.write(b"e", b"fgh\na line that is too long for one\nz\n", at(1));
        let all = ["x.log.3", "x.log.2", "x.log.1", "x.log"].map(|name| folder.read(name));
        assert_eq!(all, ["1234\n5678\n", "abcd\nefgh\n", "a line that is too long for one\n", "z\n"]);
        file.write(b"", b"123456789\n", at(2));
        assert_eq!(folder.read("x.log.3"), "abcd\nefgh\n", "the oldest has gone");
    }

    #[test]
    fn a_full_file_found_at_the_start_is_rotated_first() {
        let folder = Folder::new();
        fs::write(folder.0.join("x.log"), "old and long\n").unwrap();
        let mut file = log_file(folder.0.join("x.log"), 10, false);
        file.write(b"", b"new\n", at(0));
        assert_eq!((folder.read("x.log.1"), folder.read("x.log")), ("old and long\n".into(), "new\n".into()));
    }

    #[test]
    fn a_file_that_is_moved_or_removed_is_opened_anew() {
        let folder = Folder::new();
        let path = folder.0.join("sub/x.log");
        let mut file = log_file(path.clone(), 1 << 20, false);
        file.write(b"", b"one\n", at(0));
        fs::rename(&path, folder.0.join("moved")).unwrap();
        file.write(b"", b"two\n", at(1000));
        fs::remove_dir_all(folder.0.join("sub")).unwrap();
        file.write(b"", b"three\n", at(2000));
        fs::write(&path, "").unwrap();
        file.write(b"", b"four\n", at(3000));
        assert_eq!((folder.read("moved"), folder.read("sub/x.log")), ("one\n".into(), "four\n".into()));
        assert_eq!(file.take_news().len(), 2, "truncated is not moved");
    }

    #[test]
    fn an_outage_is_told_once_and_what_waited_is_written() {
        let folder = Folder::new();
        // A file where a folder should be.
        fs::write(folder.0.join("sub"), "").unwrap();
        let mut file = log_file(folder.0.join("sub/x.log"), 1 << 30, false);
        for number in 0..20_000 {
            file.write(b"", format!("line {number}\n").as_bytes(), at(number / 10));
        }
        let news = file.take_news();
        assert_eq!(news.len(), 1, "{news:?}");
        assert!(news[0].contains("sub/x.log: not a directory"), "{news:?}");
        assert!(file.held.len() <= HELD_LIMIT);
        fs::remove_file(folder.0.join("sub")).unwrap();
        let again = file.retry_at().unwrap();
        file.retry(again);
        let text = folder.read("sub/x.log");
        let arrived = text.lines().count() as u64;
        assert!(arrived > 5000 && text.starts_with("line 0\nline 1\n"));
        let lost = 20_000 - arrived;
        let path = folder.0.join("sub/x.log");
        assert_eq!(
            file.take_news(),
            [format!("{} can be written again: {lost} lines were lost", path.display())]
        );
        assert_eq!(file.retry_at(), None);
    }

    #[test]
    fn neither_a_link_nor_a_device_is_written() {
        let folder = Folder::new();
        fs::write(folder.0.join("precious"), "").unwrap();
        symlink(folder.0.join("precious"), folder.0.join("x.log")).unwrap();
        let mut file = log_file(folder.0.join("x.log"), 1 << 20, false);
        file.write(b"", b"one\n", at(0));
        assert_eq!(folder.read("precious"), "");
        assert!(file.take_news()[0].contains("it is a symbolic link"));
        let fifo = folder.0.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let mut file = log_file(fifo, 1 << 20, false);
        file.write(b"", b"one\n", at(0));
        assert!(file.take_news()[0].contains("it is no regular file"));
    }

    #[test]
    fn what_is_compressed_keeps_its_number_while_names_move() {
        let folder = Folder::new();
        let mut file = log_file(folder.0.join("x.log"), 5, true);
        file.write(b"", b"1111\n2222\n", at(0));
        let (from, to) = file.compress().unwrap();
        assert_eq!((from, to.clone()), (folder.0.join("x.log.1"), folder.0.join("x.log.gz.tmp")));
        fs::write(&to, "packed").unwrap();
        file.write(b"", b"3333\n", at(1));
        file.compressed(Ok(()));
        assert_eq!((folder.read("x.log.2.gz"), folder.read("x.log.2")), ("packed".into(), "".into()));
        assert_eq!(file.compress().unwrap().0, folder.0.join("x.log.1"));
        file.compressed(Err("no reason".into()));
        assert_eq!(folder.read("x.log.1"), "2222\n");
        assert!(file.take_news()[0].contains("no reason"));
        // The one that is being compressed is rotated away: the result has no place any more.
        file.write(b"", b"4444\n", at(2));
        let (_, to) = file.compress().unwrap();
        fs::write(&to, "packed").unwrap();
        for number in 0..4 {
            file.write(b"", format!("{number}{number}{number}{number}\n").as_bytes(), at(3));
        }
        file.compressed(Ok(()));
        assert!(!to.exists());
    }
}
