//! Who is at work on a directory: two locks (flock(2)).
//!
//! One on the directory itself is ours alone. One on a file in it is inherited by every child, so a temporary
//! server that outlived a minisup that was killed is known, and ended, before anything else is done. In that file is the
//! path of the private directory, which has a password in it: one that was left is removed, too.

use super::crew::{self, Crew};
use super::trouble::Trouble;
use super::voice;
use crate::core::signal::Signal;
use crate::sys::{clock, pid1, proc, signals};
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held while we work: nobody else does.
#[derive(Debug)]
pub struct Held {
    _directory: Flock<File>,
    /// What every child is to hold, too.
    pub lifeline: File,
    /// The private directory of whoever held it last, if that was killed before it could remove it.
    pub left: Option<PathBuf>,
}

/// The lock of a directory, which is open as `file`. Between its launch and its exec a child has its parent's lock open, too: so
/// that of a minisup that was killed may outlive it for a moment, and is waited for.
///
/// # Errors
/// [`Trouble::Busy`]: somebody else has it.
pub fn lock(mut file: File, directory: &Path, crew: &mut Crew) -> Result<Flock<File>, Trouble> {
    const MOMENT: Duration = Duration::from_secs(2);
    let end = clock::now() + MOMENT;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err(_) if clock::now() >= end => return Err(Trouble::Busy(directory.to_owned())),
            Err((file, _)) => file,
        };
        crew.pause(Duration::from_millis(20))?;
    }
}

impl Held {
    /// Takes a directory that is there, with a file of this name in it.
    ///
    /// # Errors
    /// [`Trouble::Busy`]: somebody else has it. Or it cannot be opened.
    pub fn take(directory: &Path, name: &str, crew: &mut Crew) -> Result<Held, Trouble> {
        let file = File::open(directory).map_err(|error| Trouble::io("open", directory, error))?;
        let lock = lock(file, directory, crew)?;
        Held::with(lock, &directory.join(name), crew)
    }

    /// Takes the lifeline, too: ends whoever still holds it.
    ///
    /// # Errors
    /// [`Trouble::Busy`]: somebody does not end. Or it cannot be opened.
    pub fn with(directory: Flock<File>, lifeline: &Path, crew: &mut Crew) -> Result<Held, Trouble> {
        const LENGTH_MAX: u64 = 4096;
        let lifeline = end_leftovers(lifeline, crew)?;
        let mut left = Vec::new();
        // What cannot be read is not removed.
        let _ = (&lifeline).take(LENGTH_MAX).read_to_end(&mut left).and_then(|_| lifeline.set_len(0));
        let left = Some(OsString::from_vec(left)).filter(|left| !left.is_empty()).map(PathBuf::from);
        Ok(Held { _directory: directory, lifeline, left })
    }

    /// Every child from now on holds it as well.
    ///
    /// # Errors
    /// EMFILE.
    pub fn share(&self, crew: &mut Crew, directory: &Path) -> Result<(), Trouble> {
        let copy = self.lifeline.try_clone().map_err(|error| Trouble::io("share", directory, error))?;
        crew.hold(Some(copy.into()));
        Ok(())
    }
}

/// Ends who still holds the lifeline, asking first; then it is ours.
fn end_leftovers(path: &Path, crew: &mut Crew) -> Result<File, Trouble> {
    const ASK: Duration = Duration::from_secs(60);
    const KILL: Duration = Duration::from_secs(70);
    let open = || File::options().read(true).append(true).create(true).open(path);
    let began = clock::now();
    let (mut asked, mut killed) = (false, false);
    loop {
        let file = open().map_err(|error| Trouble::io("open", path, error))?;
        let is_free = file.try_clone().is_ok_and(|copy| {
            // The lock belongs to the open file: to all its copies, and to those in children.
            Flock::lock(copy, FlockArg::LockExclusiveNonblock).map(std::mem::forget).is_ok()
        });
        if is_free {
            return Ok(file);
        }
        let since = clock::now() - began;
        if !asked {
            asked = true;
            voice::tell("what an earlier start left running is being ended");
            signal_leftovers(path, Signal::TERM);
        }
        if since >= ASK && !killed {
            killed = true;
            signal_leftovers(path, Signal::KILL);
        }
        if since >= KILL {
            return Err(Trouble::Busy(path.to_owned()));
        }
        crew.pause(Duration::from_millis(20))?;
    }
}

/// Signals every process that has this file open at the number of the lifeline: nobody else
/// could have it there.
fn signal_leftovers(path: &Path, signal: Signal) {
    let Ok(own) = fs::metadata(path) else { return };
    for process in proc::all() {
        let link = format!("/proc/{}/fd/{}", process.pid, crew::LIFELINE);
        let is_ours = fs::metadata(link).is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
        if is_ours && process.pid != pid1::own_pid() {
            let _ = signals::kill(process.pid, signal);
        }
    }
}
