//! Directories besides the one that is being made: those that the server is configured to use, the private one of
//! the temporary server's socket, and the ownership of data that was there before us.

use super::engine::{Engine, Work};
use super::ground;
use super::trouble::Trouble;
use super::voice::tell;
use crate::core::plan::Credentials;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Gives a data directory that is there the owner and the mode with which its server starts, if that looks at them. Whether
/// the mode was another one.
///
/// # Errors
/// They cannot be given, and the server would refuse to start for ever.
pub(super) fn claim(engine: &dyn Engine, work: &Work<'_>, data: &Path) -> Result<bool, Trouble> {
    let (Some(refused), Ok(about)) = (engine.refused_mode(), data.metadata()) else { return Ok(false) };
    let own = work.who.as_ref().map_or_else(|| nix::unistd::geteuid().as_raw(), |who| who.uid);
    // Such a server does not run as root at all.
    if own == 0 {
        return Ok(false);
    }
    let _ = ground::give(data, work.who.as_ref());
    let is_wrong = about.mode() & refused != 0;
    if is_wrong {
        let _ = fs::set_permissions(data, fs::Permissions::from_mode(0o700));
    }
    match data.metadata() {
        Ok(now) if now.uid() != own || now.mode() & refused != 0 => Err(Trouble::Rules(vec![format!(
            "{shown} belongs to user {} with mode {:o}, which cannot be changed, and the server starts only in a directory \
             that is its own user's ({own}) and nobody else's: start the container as root, or, if there is no data yet, have it \
             in a directory below, which is made then, for example {shown}/data",
            now.uid(),
            now.mode() & 0o7777,
            shown = data.display(),
        )])),
        Ok(_) | Err(_) => Ok(is_wrong),
    }
}

/// Directories and ownership of data that is there already.
pub(super) fn prepare(engine: &dyn Engine, work: &Work<'_>, data: &Path) -> Result<(), Trouble> {
    if claim(engine, work, data)? {
        tell(format_args!(
            "{} has mode 700 now: with the one that it had its server does not start",
            data.display()
        ));
    }
    let Some(who) = &work.who else { return Ok(()) };
    for (directory, mode) in engine.directories(work) {
        make_directory(&directory, mode, Some(who));
    }
    let (given, refused) = ground::own(data, who);
    if given > 0 {
        tell(format_args!("{given} files in {} were not user {}'s, and are now", data.display(), who.uid));
    }
    if refused > 0 {
        tell(format_args!(
            "warning: {refused} files in {} belong to somebody else than user {}, and cannot be given away: if the \
             server cannot write there, start the container as their owner (--user)",
            data.display(),
            who.uid
        ));
    }
    Ok(())
}

/// Makes a directory that the server needs, if it can be made; the server says what is wrong if not.
pub(super) fn make_directory(directory: &Path, mode: u32, who: Option<&Credentials>) {
    let _ = make_all(directory, mode);
    if let Err(error) = ground::give(directory, who) {
        tell(format_args!("warning: cannot give {} to the server's user: {error}", directory.display()));
    }
}

/// Makes a directory with this mode, unless it is there, and what is missing above it, so that everybody comes through:
/// whatever the umask is, which is meant for the server and the scripts.
///
/// # Errors
/// EACCES, EROFS, ENOTDIR.
pub(super) fn make_all(directory: &Path, mode: u32) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_all(above, 0o755)?;
    }
    match fs::create_dir(directory) {
        Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a file that only the server's user may read.
///
/// # Errors
/// [`Trouble::Io`].
pub(super) fn write_private(work: &Work<'_>, path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let trouble = |error| Trouble::io("write", path, error);
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(trouble)?;
    file.write_all(bytes).map_err(trouble)?;
    if let Some(who) = &work.who {
        std::os::unix::fs::fchown(&file, Some(who.uid), Some(who.gid)).map_err(trouble)?;
    }
    Ok(())
}

/// How the names of private directories begin.
const PRIVATE: &str = "minisup-init-";

/// Whether this is the private directory of a temporary server, now or once.
pub(super) fn is_private(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PRIVATE))
}

/// Where they are: in the first of these where one can be made.
const PLACES: [&str; 3] = ["/run", "/tmp", "/dev/shm"];

/// Makes the private directory of the temporary server's socket, and notes it in what is held.
pub(super) fn make_private(work: &mut Work<'_>) -> Result<(), Trouble> {
    let make = |folder: &str| nix::unistd::mkdtemp(&Path::new(folder).join(format!("{PRIVATE}XXXXXX")));
    let private = PLACES.iter().skip(1).fold(make(PLACES[0]), |made, folder| made.or_else(|_| make(folder)));
    let private =
        private.map_err(|errno| Trouble::io("make a private directory in /run or", "/tmp", errno))?;
    ground::give(&private, work.who.as_ref()).map_err(|error| Trouble::io("give away", &private, error))?;
    let noted = work.crew.note(private.as_os_str().as_bytes());
    work.private = private;
    noted.map_err(|error| Trouble::io("note in the lifeline", &work.private, error))
}

/// Removes the one that somebody left who was killed: it has root's password in it.
pub(super) fn remove_left(work: &Work<'_>, left: Option<&Path>) {
    let Some(left) = left else { return };
    let own = work.who.as_ref().map_or_else(|| nix::unistd::geteuid().as_raw(), |who| who.uid);
    // The note is a file that the server's user may write: so nothing else is removed, and nobody else's.
    let is_in_place =
        left.parent().is_some_and(|parent| PLACES.iter().any(|place| parent == Path::new(place)));
    let is_own = left.symlink_metadata().is_ok_and(|about| about.is_dir() && about.uid() == own);
    if is_in_place && is_private(left) && is_own {
        let _ = fs::remove_dir_all(left);
    }
}

/// Removes it, with all that is in it.
pub(super) fn remove_private(work: &mut Work<'_>) {
    let private = std::mem::take(&mut work.private);
    if !private.as_os_str().is_empty() {
        let _ = fs::remove_dir_all(private);
    }
}
