//! `minisup gzip`: compresses an old log file. The supervisor launches it after a rotation.
//!
//! The result appears under its name only when it is complete and on disk, and only then the
//! original goes.

use crate::core::exit::code;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// `minisup gzip`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What is compressed, to FILE.gz; -: standard input, with --to
    file: PathBuf,
    /// Compress to this file instead and leave the original: whoever asked does the rest
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Compresses. Returns 0, or 1 if it could not; then everything is as before.
pub fn run(args: Args) -> u8 {
    let with = |end: &str| {
        let mut name = OsString::from(&args.file);
        name.push(end);
        PathBuf::from(name)
    };
    let done = match &args.to {
        Some(to) => open(&args.file).and_then(|plain| compress(plain, to)),
        None => File::open(&args.file)
            .and_then(|plain| compress(plain, &with(".gz.tmp")))
            .and_then(|()| fs::rename(with(".gz.tmp"), with(".gz")))
            .and_then(|()| fs::remove_file(&args.file)),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            super::complain(format_args!("minisup: cannot compress {}: {error}", args.file.display()));
            code::FAILED
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    match path.as_os_str() == "-" {
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        false => File::open(path),
    }
}

/// Writes the compressed content of `plain` to `to`, on disk when it returns.
fn compress(plain: File, to: &Path) -> io::Result<()> {
    let written = write(plain, to);
    if written.is_err() {
        // There may be none.
        let _ = fs::remove_file(to);
    }
    written
}

fn write(mut plain: File, to: &Path) -> io::Result<()> {
    let about = plain.metadata()?;
    // What is there is left of an earlier try. Nobody's link is followed.
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let mut packed = GzEncoder::new(file, Compression::new(6));
    io::copy(&mut plain, &mut packed)?;
    let file = packed.finish()?;
    file.set_permissions(fs::Permissions::from_mode(about.permissions().mode()))?;
    // Only root may give files away.
    let _ = fchown(&file, Some(about.uid()), Some(about.gid()));
    file.sync_all()
}
