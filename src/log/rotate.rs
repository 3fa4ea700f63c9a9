//! Old log files: `x.log.1` is the youngest, `x.log.10` with `keep = 10` the oldest.
//!
//! Only names are moved here; nothing is read or copied. Whether an old one has been compressed
//! shows in its name (`x.log.1.gz`), and both kinds move along together.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The name of an old file: the number 1 is the youngest.
pub(super) fn old(path: &Path, number: u32) -> PathBuf {
    with(path, &format!(".{number}"))
}

/// The name of an old file that is compressed.
pub(super) fn old_gz(path: &Path, number: u32) -> PathBuf {
    with(path, &format!(".{number}.gz"))
}

/// Where a compression that is under way writes: one at a time for each log file.
pub(super) fn unfinished_gz(path: &Path) -> PathBuf {
    with(path, ".gz.tmp")
}

/// `x.log` becomes `x.log.1`, which becomes `x.log.2`, and so on; the one beyond `keep` goes.
///
/// Returns the number up to which it went: old files with a smaller one have moved, those with a
/// larger one have not, and what had this number is gone.
///
/// # Errors
/// The file itself cannot be renamed, or, with `keep` at 0, removed.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<u32> {
    if keep == 0 {
        return fs::remove_file(path).map(|()| 0);
    }
    // A gap is filled: beyond it nothing moves.
    let mut names = Vec::new();
    for number in 1..=keep {
        let found = [old, old_gz].into_iter().find(|name| name(path, number).exists());
        names.extend(found);
        if found.is_none() {
            break;
        }
    }
    let gap = keep.min(names.len() as u32 + 1);
    if names.len() as u32 == keep {
        for name in [old, old_gz] {
            // Usually one of the two is not there.
            let _ = fs::remove_file(name(path, keep));
        }
    }
    for number in (1..gap).rev() {
        let name = names[number as usize - 1];
        let _ = fs::rename(name(path, number), name(path, number + 1));
    }
    fs::rename(path, old(path, 1)).map(|()| gap)
}

/// The numbers of old files that are not compressed, the oldest first.
pub(super) fn uncompressed(path: &Path, keep: u32) -> Vec<u32> {
    (1..=keep).rev().filter(|number| old(path, *number).exists()).collect()
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_along_and_the_oldest_goes() {
        let folder = std::env::temp_dir().join(format!("minisup-rotate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.log");
        for round in 1..=5 {
            fs::write(&path, round.to_string()).unwrap();
            rotate(&path, 3).unwrap();
            if round == 3 {
                fs::rename(old(&path, 1), old_gz(&path, 1)).unwrap();
            }
        }
        let content = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        assert_eq!([old(&path, 1), old(&path, 2), old_gz(&path, 3)].map(content), ["5", "4", "3"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        assert_eq!(uncompressed(&path, 3), [2, 1]);
        // The second one is taken away by somebody: its place is filled, the third stays.
        fs::remove_file(old(&path, 2)).unwrap();
        fs::write(&path, "6").unwrap();
        rotate(&path, 3).unwrap();
        assert_eq!([old(&path, 1), old(&path, 2), old_gz(&path, 3)].map(content), ["6", "5", "3"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
