//! Where the data lies, whose it is, and how it gets there.
//!
//! All is made in a **staging** directory, within a **holder** of ours that also has the journal:
//!
//! - *beside*: the data directory is an ordinary directory, or is not there yet. The holder is
//!   `PARENT/.NAME.minisup`, and one rename(2) puts the data into place.
//! - *inside*: the data directory is a mount (a volume), or its parent cannot be written. The
//!   holder is `DATA/.minisup-first-start`, and entry after entry is renamed up; the journal
//!   is last. A crash meanwhile goes on moving.
//!
//! What is left of a first start that did not end is moved aside, dated, and never deleted. What
//! we did not make is never touched.
//!
//! Who is at work there holds the holder, and a file in it: see [`hold`].

use super::crew::Crew;
use super::directories;
use super::hold::{self, Held};
use super::journal::{self, FINAL, Journal, UNDER_WAY};
use super::trouble::Trouble;
use crate::core::plan::Credentials;
use crate::core::sorted;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// The holder's name within a data directory that is a mount.
const INSIDE: &str = ".minisup-first-start";

/// How the names of what was moved aside within a mount begin, unless the engine says otherwise.
pub const ASIDE: &str = ".minisup-failed-";

/// What whoever is at work in a holder has open.
const ALIVE: &str = "alive";

/// With so many remains moved aside there is no further try: a loop must not fill the disk.
const REMAINS_MAX: usize = 3;

/// The place of a first start.
#[derive(Debug)]
pub struct Ground {
    /// Where the data is to lie.
    pub data: PathBuf,
    /// Ours, with the journal.
    pub holder: PathBuf,
    /// Where it is made.
    pub staging: PathBuf,
    way: Way,
    /// How names of what was moved aside within a mount begin.
    aside: &'static str,
}

/// How the data gets into its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Beside,
    Inside,
}

/// What is there.
#[derive(Debug)]
pub enum Found {
    /// Nothing: a first start may begin.
    Nothing,
    /// A first start of ours that did not end, with its journal if it came so far.
    Unfinished(Option<Journal>),
    /// A first start of ours that did.
    Complete(Journal),
    /// Data that we did not make.
    Foreign,
}

impl Ground {
    /// The ground of a data directory, which need not be there. Touches nothing. What is moved aside
    /// within a mount gets a name that begins with `aside`.
    ///
    /// # Errors
    /// It is no directory, or cannot be looked at.
    pub fn of(data: &Path, aside: &'static str) -> Result<Ground, Trouble> {
        let data = real(data)?;
        if let Ok(target) = fs::read_link(&data) {
            return Err(Trouble::Rules(vec![format!(
                "{} is a link to {}, where nothing is: make that directory, or remove the link",
                data.display(),
                target.display()
            )]));
        }
        if let Ok(about) = fs::metadata(&data)
            && !about.is_dir()
        {
            return Err(Trouble::Other(format!("{} is no directory", data.display())));
        }
        let way = way_of(&data);
        let holder = match way {
            Way::Inside => data.join(INSIDE),
            Way::Beside => beside(&data, ".minisup"),
        };
        Ok(Ground { staging: holder.join("data"), data, holder, way, aside })
    }

    /// What is there. Touches nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn look(&self) -> Result<Found, Trouble> {
        let is_empty = self.content()?.is_empty();
        // Where nothing else is left its data was removed by somebody, who did not see the file.
        if let Some(journal) = Journal::read(&self.data.join(FINAL))?.filter(|_| !is_empty) {
            return Ok(Found::Complete(journal));
        }
        let holder = self.holder.symlink_metadata().is_ok();
        let journal = if holder { Journal::read(&self.holder.join(UNDER_WAY))? } else { None };
        if journal.as_ref().is_some_and(|journal| journal.state == journal::State::Moving) {
            return Ok(Found::Unfinished(journal));
        }
        if !is_empty {
            return Ok(Found::Foreign);
        }
        Ok(if holder { Found::Unfinished(journal) } else { Found::Nothing })
    }

    /// Whether the data directory itself stays, and gets its content entry by entry.
    pub fn is_inside(&self) -> bool {
        self.way == Way::Inside
    }

    /// Names in the data directory that are content: not ours, not `lost+found`, and inside of
    /// a mount no name with a dot in front, which is some file system's or tool's own.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn content(&self) -> Result<Vec<String>, Trouble> {
        let entries = match fs::read_dir(&self.data) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Trouble::io("read", &self.data, error)),
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let is_content =
            |name: &String| name != "lost+found" && !name.starts_with('.') && !name.starts_with(self.aside);
        Ok(names.filter(is_content).collect())
    }

    /// Takes the holder, making it if it is not there, and ends what an earlier minisup left running.
    ///
    /// # Errors
    /// [`Trouble::Busy`]: somebody else has it. Or it cannot be made.
    pub fn take(&self, crew: &mut Crew) -> Result<Held, Trouble> {
        let parent = self.holder.parent().unwrap_or(Path::new("/"));
        directories::make_all(parent, 0o755).map_err(|error| Trouble::io("create", parent, error))?;
        loop {
            match DirBuilder::new().mode(0o711).create(&self.holder) {
                Ok(()) => {
                    // The server's user comes through, whatever the umask is.
                    let passable = fs::Permissions::from_mode(0o711);
                    fs::set_permissions(&self.holder, passable)
                        .map_err(|error| Trouble::io("create", &self.holder, error))?;
                    journal::sync_directory(parent)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Trouble::io("create", &self.holder, error)),
            }
            let file = File::open(&self.holder).map_err(|error| Trouble::io("open", &self.holder, error))?;
            let own = file.metadata().map_err(|error| Trouble::io("look at", &self.holder, error))?;
            let lock = hold::lock(file, &self.holder, crew)?;
            // Whoever had it may have ended, and have removed it, between our two steps.
            let is_there = self.holder.metadata().is_ok_and(|there| there.ino() == own.ino());
            if is_there {
                return Held::with(lock, &self.holder.join(ALIVE), crew);
            }
        }
    }

    /// Lets a journal whose data is gone count no more: it gets another name. Whether there was one.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn forget_gone(&self) -> Result<bool, Trouble> {
        let journal = self.data.join(FINAL);
        match keep_old(&journal) {
            Ok(()) => journal::sync_directory(&self.data).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Trouble::io("rename", &journal, error)),
        }
    }

    /// Makes the empty staging directory, the server's user's own.
    ///
    /// # Errors
    /// It cannot be made, or given away.
    pub fn stage(&self, who: Option<&Credentials>) -> Result<(), Trouble> {
        let failed = |error| Trouble::io("create", &self.staging, error);
        match DirBuilder::new().mode(0o700).create(&self.staging) {
            Ok(()) => {}
            // Only an empty one comes so far: see `move_aside`.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        give(&self.staging, who).map_err(|error| Trouble::io("give away", &self.staging, error))?;
        journal::sync_directory(&self.holder)
    }

    /// Whether there is nothing in the staging directory that is worth keeping.
    pub fn is_staging_empty(&self) -> bool {
        fs::read_dir(&self.staging).map_or(true, |mut entries| entries.next().is_none())
    }

    /// What was moved aside by earlier starts.
    pub fn remains(&self) -> Vec<PathBuf> {
        let (folder, start) = match self.way {
            Way::Inside => (self.data.clone(), self.aside.to_owned()),
            Way::Beside => {
                let name = beside(&self.data, ".failed-");
                let parent = self.data.parent().unwrap_or(Path::new("/")).to_owned();
                (parent, name.file_name().unwrap_or_default().to_string_lossy().into_owned())
            }
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
            .map(|entry| entry.path())
            .collect();
        sorted::sort(&mut found);
        found
    }

    /// Moves what an earlier first start left aside, journal and all. Returns where to; `None` if
    /// there was nothing worth keeping. The holder is to be taken anew after this.
    ///
    /// # Errors
    /// [`Trouble::Partial`]: there is too much of that already.
    pub fn move_aside(&self) -> Result<Option<PathBuf>, Trouble> {
        if self.is_staging_empty() {
            return Ok(None);
        }
        let remains = self.remains();
        if remains.len() >= REMAINS_MAX {
            let list: String = remains.iter().map(|path| format!("\n  {}", path.display())).collect();
            return Err(Trouble::Partial(format!(
                "{} first starts have failed here, and what they left fills the disk:{list}\nNothing was touched. \
                 Find out why they failed (each has a journal.json), then remove them: rm -rf{}",
                remains.len(),
                remains.iter().map(|path| format!(" '{}'", path.display())).collect::<String>(),
            )));
        }
        let stamp = journal::stamp();
        let name = |count: usize| {
            let stamp = if count == 0 { stamp.clone() } else { format!("{stamp}-{count}") };
            match self.way {
                Way::Inside => self.data.join(format!("{}{stamp}", self.aside)),
                Way::Beside => beside(&self.data, &format!(".failed-{stamp}")),
            }
        };
        let aside = (0..=REMAINS_MAX).map(name).find(|path| path.symlink_metadata().is_err());
        let aside = aside.unwrap_or_else(|| name(REMAINS_MAX + 1));
        fs::rename(&self.holder, &aside).map_err(|error| Trouble::io("move aside", &self.holder, error))?;
        journal::sync_directory(aside.parent().unwrap_or(Path::new("/")))?;
        Ok(Some(aside))
    }

    /// Puts all that was made into its place, the final journal last, and removes the holder. Goes
    /// on where a crash has left it. The journal in the holder says [`Moving`](journal::State::Moving).
    ///
    /// # Errors
    /// Something cannot be renamed; nothing is lost.
    pub fn put_in_place(&self, complete: &Journal, who: Option<&Credentials>) -> Result<(), Trouble> {
        match self.way {
            Way::Beside if self.staging.exists() => {
                complete.write(&self.staging, FINAL)?;
                give_and_ignore(&self.staging.join(FINAL), who);
                fs::rename(&self.staging, &self.data).map_err(|error| self.in_the_way(error))?;
                journal::sync_directory(self.data.parent().unwrap_or(Path::new("/")))?;
            }
            // A crash came between the renaming and the removal of the holder; but then all is there.
            Way::Beside if !self.data.join(FINAL).exists() => {
                return Err(Trouble::Partial(format!(
                    "what was to be put into place at {} is gone from {}: nothing was touched. Find it, or remove {} \
                     to begin again",
                    self.data.display(),
                    self.staging.display(),
                    self.holder.display()
                )));
            }
            Way::Beside => {}
            Way::Inside => {
                self.move_up(who)?;
                complete.write(&self.data, FINAL)?;
                give_and_ignore(&self.data.join(FINAL), who);
            }
        }
        self.remove_holder();
        Ok(())
    }

    /// What is to be said when the data cannot get its place: somebody is there already.
    fn in_the_way(&self, error: io::Error) -> Trouble {
        let entries = fs::read_dir(&self.data).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        if names.is_empty() && error.kind() != io::ErrorKind::NotADirectory {
            return Trouble::io("put the data into place at", &self.data, error);
        }
        sorted::sort(&mut names);
        names.truncate(5);
        let names = if names.is_empty() { "no directory".to_owned() } else { names.join(", ") };
        Trouble::Partial(format!(
            "the database is complete in {staging}, but something is at {data} that was not there when it was begun ({names}): a \
             script may have written it. Nothing of it was touched. Move it away, then start again, which goes on:  mv '{data}' \
             '{data}.old'",
            data = self.data.display(),
            staging = self.staging.display(),
        ))
    }

    fn move_up(&self, who: Option<&Credentials>) -> Result<(), Trouble> {
        let Ok(staging) = fs::metadata(&self.staging) else { return Ok(()) };
        // Servers look at the mode and the owner of their directory.
        let _ = fs::set_permissions(&self.data, fs::Permissions::from_mode(staging.mode() & 0o7777));
        give_and_ignore(&self.data, who);
        let entries =
            fs::read_dir(&self.staging).map_err(|error| Trouble::io("read", &self.staging, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Trouble::io("read", &self.staging, error))?;
            let to = self.data.join(entry.file_name());
            // What has a dot in front is no content: of data that was there before, perhaps.
            let is_hidden = entry.file_name().as_bytes().starts_with(b".");
            if is_hidden && to.symlink_metadata().is_ok_and(|there| there.is_file()) {
                keep_old(&to).map_err(|error| Trouble::io("move aside", &to, error))?;
            } else if to.symlink_metadata().is_ok() {
                return Err(Trouble::Partial(format!(
                    "{} is there already, and was not made by us: move it away, then start again; all else is ready",
                    to.display()
                )));
            }
            fs::rename(entry.path(), &to).map_err(|error| Trouble::io("put into place", &to, error))?;
        }
        journal::sync_directory(&self.staging)?;
        journal::sync_directory(&self.data)
    }

    /// Removes the holder, which has nothing left but what is ours. What cannot be removed does
    /// no harm: it is tried again at the next start.
    pub fn remove_holder(&self) {
        for name in [UNDER_WAY, "journal.json.new", ALIVE] {
            let _ = fs::remove_file(self.holder.join(name));
        }
        let _ = fs::remove_dir(&self.staging);
        if fs::remove_dir(&self.holder).is_ok() {
            let _ = journal::sync_directory(self.holder.parent().unwrap_or(Path::new("/")));
        }
    }
}

/// Has all that was written to the file system of this directory on disk: syncfs(2), one flush
/// instead of one for each of a thousand files.
///
/// # Errors
/// EIO, ENOSPC: what was written is not all there.
pub fn sync_all(directory: &Path) -> Result<(), Trouble> {
    let file = File::open(directory).map_err(|error| Trouble::io("open", directory, error))?;
    match nix::unistd::syncfs(&file) {
        Ok(()) => Ok(()),
        Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM | nix::errno::Errno::EINVAL) => {
            nix::unistd::sync();
            Ok(())
        }
        Err(errno) => Err(Trouble::io("sync", directory, errno)),
    }
}

/// Gives everything below that is not the user's to the user, without following links and without
/// touching what is right. What cannot be given (NFS, no root) is counted, not fatal.
pub fn own(directory: &Path, who: &Credentials) -> (usize, usize) {
    let (mut given, mut refused) = (0, 0);
    let mut folders = vec![directory.to_owned()];
    let mut fix = |path: &Path, about: &fs::Metadata| {
        if about.uid() != who.uid {
            match lchown(path, Some(who.uid), Some(who.gid)) {
                Ok(()) => given += 1,
                Err(_) => refused += 1,
            }
        }
    };
    if let Ok(about) = directory.symlink_metadata() {
        fix(directory, &about);
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            fix(&entry.path(), &about);
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    (given, refused)
}

/// Makes room for a new file of this name: the one that was there is `NAME.old`, or `NAME.old.2` where that is
/// taken, and so on. Nothing is overwritten.
fn keep_old(path: &Path) -> io::Result<()> {
    let name = |number: u32| {
        let mut old = path.as_os_str().to_owned();
        old.push(if number == 1 { ".old".to_owned() } else { format!(".old.{number}") });
        PathBuf::from(old)
    };
    let is_free = |old: &PathBuf| old.symlink_metadata().is_err();
    let free = (1..=u32::MAX).map(name).find(is_free).ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(path, free)
}

/// Gives one file or directory to the user, if it is not theirs.
///
/// # Errors
/// EPERM, EROFS.
pub fn give(path: &Path, who: Option<&Credentials>) -> io::Result<()> {
    let Some(who) = who else { return Ok(()) };
    match path.symlink_metadata()?.uid() == who.uid {
        true => Ok(()),
        false => lchown(path, Some(who.uid), Some(who.gid)),
    }
}

fn give_and_ignore(path: &Path, who: Option<&Credentials>) {
    let _ = give(path, who);
}

/// The path without links, also of what is not there yet.
///
/// # Errors
/// EACCES, ELOOP.
pub fn real(path: &Path) -> Result<PathBuf, Trouble> {
    let absolute = std::path::absolute(path).map_err(|error| Trouble::io("find", path, error))?;
    let mut existing = absolute.as_path();
    let mut missing = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else {
                    return Err(Trouble::io("find", path, error));
                };
                missing.push(name.to_owned());
                existing = parent;
            }
            Err(error) => return Err(Trouble::io("look at", path, error)),
        }
    }
}

/// What is already begun goes on in its own way. A mount cannot be renamed over, and neither can
/// a subvolume (btrfs), or a directory with anything in it.
fn way_of(data: &Path) -> Way {
    if data.join(INSIDE).symlink_metadata().is_ok() {
        return Way::Inside;
    }
    let has_entries = fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some());
    let parent = data.parent().unwrap_or(Path::new("/"));
    let existing = parent.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let is_writable = nix::unistd::access(existing, nix::unistd::AccessFlags::W_OK).is_ok();
    match !is_mount(data) && is_writable && !has_entries {
        true => Way::Beside,
        false if data.exists() => match beside(data, ".minisup").exists() && !is_mount(data) {
            true => Way::Beside,
            false => Way::Inside,
        },
        false => Way::Beside,
    }
}

/// Whether it is where something is mounted, or a file system of its own begins: proc_pid_mountinfo(5), or another device
/// than its parent's.
fn is_mount(path: &Path) -> bool {
    if let Ok(text) = fs::read("/proc/self/mountinfo") {
        let own = path.as_os_str().as_bytes();
        let mut points =
            text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4));
        if points.any(|point| unescaped(point) == own) {
            return true;
        }
    }
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    path.exists() && path.parent().is_some_and(|parent| device(parent) != device(path))
}

/// `\040` is a blank: so blanks, tabs, line ends and backslashes are written there.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match more.get(..3).filter(|_| *first == b'\\').and_then(octal) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

/// `PARENT/.NAME` + end.
fn beside(data: &Path, end: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(data.file_name().unwrap_or_default());
    name.push(end);
    data.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_room_overwrites_nothing() {
        let folder = std::env::temp_dir().join(format!("minisup-ground-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(".my.cnf");
        for content in ["first", "second", "third"] {
            fs::write(&path, content).unwrap();
            keep_old(&path).unwrap();
        }
        let kept = [".my.cnf.old", ".my.cnf.old.2", ".my.cnf.old.3"];
        let kept = kept.map(|name| fs::read_to_string(folder.join(name)).unwrap());
        assert_eq!(kept, ["first", "second", "third"]);
        assert_eq!(keep_old(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(folder).unwrap();
    }
}
