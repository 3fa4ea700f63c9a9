//! Log files on real ones, on a clock of the tests' own.

use super::*;
use crate::core::plan::LogFormat;
use std::io;
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

fn read(fd: OwnedFd) -> String {
    io::read_to_string(fs::File::from(fd)).unwrap()
}

#[test]
fn what_is_compressed_keeps_its_number_while_names_move() {
    let folder = Folder::new();
    let mut file = log_file(folder.0.join("x.log"), 5, true);
    file.write(b"", b"1111\n2222\n", at(0));
    let (from, to) = file.compress().unwrap();
    assert_eq!(to, folder.0.join("x.log.gz.tmp"));
    fs::write(&to, "packed").unwrap();
    file.write(b"", b"3333\n", at(1));
    assert_eq!(read(from), "1111\n", "whoever reads it late reads the same file");
    file.compressed(Ok(()));
    assert_eq!((folder.read("x.log.2.gz"), folder.read("x.log.2")), ("packed".into(), "".into()));
    assert_eq!(read(file.compress().unwrap().0), "2222\n");
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
