//! Where programs are: of servers, which a user's PATH often does not name, and of scripts.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What execvp(3) takes for a PATH that is not set.
pub const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of this name, as execvp(3) looks for it.
pub fn find(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    if Path::new(name).parent().is_some_and(|parent| !parent.as_os_str().is_empty()) {
        return Some(PathBuf::from(name)).filter(|path| path.exists());
    }
    first(&[name], std::env::split_paths(path.unwrap_or(OsStr::new(USUAL_PATH))))
}

/// The first of these names that is a program in one of these directories.
pub fn first<N: AsRef<OsStr>>(
    names: &[N],
    directories: impl IntoIterator<Item = PathBuf>,
) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = directories.into_iter().collect();
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0);
    names
        .iter()
        .find_map(|name| directories.iter().map(|directory| directory.join(name.as_ref())).find(is_program))
}

/// The first of these names that is a program there, with its path; else the first name.
pub fn first_or_name(names: &[&str], directories: impl IntoIterator<Item = PathBuf>) -> OsString {
    let name = || names.first().map(OsString::from).unwrap_or_default();
    first(names, directories).map_or_else(name, PathBuf::into_os_string)
}
