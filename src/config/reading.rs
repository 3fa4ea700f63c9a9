//! Opening what a configuration names.
//!
//! At boot a configuration may come through a pipe (`--config <(…)`), and whoever started us
//! waits with us. A running PID 1 must not wait for anybody, and what came through a pipe is
//! gone: then only regular files are read.

use nix::fcntl::OFlag;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file for reading; with `only_files` without ever waiting for whoever might write to it.
///
/// # Errors
/// Whatever open(2) says; `InvalidInput` with words for people if it is no regular file.
pub fn open(path: &Path, only_files: bool) -> io::Result<File> {
    if !only_files {
        return File::open(path);
    }
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is no regular file, and cannot be read a second time",
    ))
}
