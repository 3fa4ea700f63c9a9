//! `minisup pid-file`: writes a server's pid file anew, as that server's user. The supervisor launches it when
//! another process of the server has taken the file along.
//!
//! It appears whole, and only if there is none: the server itself may be writing it again by now, and knows better.

use crate::core::exit::code;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `minisup pid-file`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The pid file
    file: PathBuf,
    /// What is to be in it
    pid: u32,
    /// What is in it now, of a process that is gone; without it the file is not there
    #[arg(long, value_name = "PID")]
    instead_of: Option<u32>,
}

/// Writes. Returns 0, also if there is one already, or 1 if it could not.
pub fn run(args: Args) -> u8 {
    match write(&args) {
        Ok(()) => 0,
        Err(error) => {
            super::complain(format_args!("minisup: cannot write {}: {error}", args.file.display()));
            code::FAILED
        }
    }
}

fn write(args: &Args) -> io::Result<()> {
    if let Some(gone) = args.instead_of
        && fs::read_to_string(&args.file)?.trim() == gone.to_string()
    {
        fs::remove_file(&args.file)?;
    }
    let mut beside = OsString::from(&args.file);
    beside.push(".new");
    let beside = Path::new(&beside);
    // What is there is left of an earlier try. Nobody's link is followed.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(beside)?;
    let named = writeln!(file, "{}", args.pid).and_then(|()| fs::hard_link(beside, &args.file));
    fs::remove_file(beside)?;
    match named {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        named => named,
    }
}
