//! Where things of PostgreSQL lie: its programs, its data, its write-ahead log.

use super::PROGRAM;
use crate::core::plan::Credentials;
use crate::core::sorted;
use crate::init::trouble::Trouble;
use crate::init::{directories, ground};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, chown};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where the official images have their data, and where people mount their volumes.
const HOME: &str = "/var/lib/postgresql";

/// Where Debian, Alpine and the project's own packages keep programs that are not on PATH: the part before
/// the version's number, and the part after it.
const PACKAGES: &[(&str, &str)] =
    &[("/usr/lib/postgresql/", "bin"), ("/usr/libexec/postgresql", ""), ("/usr/pgsql-", "bin")];

/// The directory of `postgres`, `initdb` and `psql`: that of the server's own path if it was given with one,
/// else what PATH finds, else where packages put it (the newest version); none: they are looked for by name.
///
/// psql of the same directory is preferred to the one on PATH, which on Debian is a wrapper in Perl that
/// takes three times as long.
pub fn programs(server: Option<&OsStr>, path: Option<&OsStr>) -> Option<PathBuf> {
    let given = server.map(Path::new).filter(|server| server.as_os_str().as_bytes().contains(&b'/'));
    if let Some(given) = given {
        return fs::canonicalize(given).ok().as_deref().and_then(Path::parent).map(Path::to_owned);
    }
    let on_path = path.into_iter().flat_map(std::env::split_paths);
    let on_path = on_path.filter(|directory| directory.join(PROGRAM).is_file());
    for directory in on_path {
        // A link in /usr/bin leads to where the others are.
        let real = fs::canonicalize(directory.join(PROGRAM)).ok();
        let real = real.as_deref().and_then(Path::parent).map(Path::to_owned);
        for directory in real.into_iter().chain([directory]) {
            if directory.join("initdb").is_file() {
                return Some(directory);
            }
        }
    }
    let mut packaged: Vec<(u32, PathBuf)> = Vec::new();
    for (before, after) in PACKAGES {
        let (parent, start) = before.rsplit_once('/').unwrap_or((before, ""));
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(start)?.parse().ok());
            let directory = entry.path().join(after);
            if let Some(version) = version
                && directory.join("initdb").is_file()
            {
                packaged.push((version, directory));
            }
        }
    }
    sorted::sort(&mut packaged);
    packaged.pop().map(|(_, directory)| directory)
}

/// The first number of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
pub fn major(version: &str) -> Option<u32> {
    let word = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    word[..digits].parse().ok()
}

/// Where the image of this version has its data if nobody says otherwise.
pub fn default_data(major: u32) -> PathBuf {
    match major {
        18.. => PathBuf::from(format!("{HOME}/{major}/docker")),
        _ => PathBuf::from(format!("{HOME}/data")),
    }
}

/// Whether a database cluster is there.
pub fn is_cluster(directory: &Path) -> bool {
    fs::metadata(directory.join("PG_VERSION")).is_ok_and(|found| found.len() > 0)
}

/// From 18 on the image has its data one level deeper. Whoever comes with an older volume would get a new
/// and empty database beside his own: that is refused, if there is data where older images had it, or a
/// volume where nobody will look.
///
/// # Errors
/// The refusal, with what was found and what to do.
pub fn refuse_old_layout(data: &Path) -> Result<(), Trouble> {
    let home = Path::new(HOME);
    let major =
        data.strip_prefix(home).ok().and_then(|rest| rest.to_str()?.strip_suffix("/docker")?.parse().ok());
    if is_cluster(data) || major.is_none_or(|major: u32| major < 18) {
        return Ok(());
    }
    let versions =
        fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path().join("docker"));
    let mut places: Vec<PathBuf> = [home.to_owned(), home.join("data")].into_iter().chain(versions).collect();
    sorted::sort(&mut places);
    places.retain(|place| is_cluster(place));
    let mut found: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    if found.is_empty() && is_mount_point(&home.join("data")) {
        found.push(format!("{HOME}/data (unused mount/volume)"));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Trouble::Rules(vec![format!(
        "in 18+, these images keep database data in a directory of its own for each version ({}), so that pg_upgrade \
         --link can work within one volume, which is to be mounted at {HOME}. There is PostgreSQL data, or a volume, \
         where earlier versions kept it:\n  {}\n\
         Mount the volume at {HOME}, and to keep its data upgrade it with pg_upgrade (or dump it with the old version \
         and restore it); to use another place set PGDATA. \
         See https://github.com/docker-library/postgres/pull/1259 and https://github.com/docker-library/postgres/issues/37",
        data.display(),
        found.join("\n  ")
    )]))
}

/// What scripts wrote of the path where the data is made ("$PGDATA/server.crt") becomes the path where it will lie: in
/// configuration, also in a directory of more of it (`include_dir`), and in links, such as those of tablespaces. Nobody is at
/// work there. Whether there was any.
///
/// # Errors
/// A file cannot be read or written.
pub fn forget_staging(data: &Path, final_data: &Path, who: Option<&Credentials>) -> Result<bool, Trouble> {
    let mut has_changed = false;
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| Trouble::io("read", &folder, error))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            // The server's own directories have nothing of this, and many files.
            let is_own = name.as_bytes().starts_with(b"pg_") || name == "base" || name == "global";
            if kind.is_symlink() {
                has_changed |= lead_anew(&path, data, final_data, who)?;
            } else if kind.is_dir() && folder == data && (!is_own || name == "pg_tblspc") {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "conf") {
                has_changed |= write_anew(&path, data, final_data)?;
            }
        }
    }
    Ok(has_changed)
}

/// The link, if it leads below `data`, leads there below `final_data`.
fn lead_anew(
    link: &Path,
    data: &Path,
    final_data: &Path,
    who: Option<&Credentials>,
) -> Result<bool, Trouble> {
    let target = fs::read_link(link).map_err(|error| Trouble::io("read", link, error))?;
    let Ok(rest) = target.strip_prefix(data) else { return Ok(false) };
    let mut new = link.as_os_str().to_owned();
    new.push(".minisup");
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new);
    let made = symlink(final_data.join(rest), &new).and_then(|()| ground::give(&new, who));
    made.and_then(|()| fs::rename(&new, link)).map_err(|error| Trouble::io("link", link, error))?;
    Ok(true)
}

/// The path in a file, wherever it is there.
fn write_anew(path: &Path, data: &Path, final_data: &Path) -> Result<bool, Trouble> {
    let text = fs::read(path).map_err(|error| Trouble::io("read", path, error))?;
    let parts: Vec<&[u8]> = split(&text, data.as_os_str().as_bytes()).collect();
    if parts.len() > 1 {
        write_down(path, &parts.join(final_data.as_os_str().as_bytes()))?;
    }
    Ok(parts.len() > 1)
}

/// Writes a file that survives power loss.
///
/// # Errors
/// Whatever the file system says.
pub fn write_down(path: &Path, text: &[u8]) -> Result<(), Trouble> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(|error| Trouble::io("write", path, error))
}

/// The parts of a text between the places where these bytes are.
fn split<'a>(text: &'a [u8], between: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut start = 0;
    let places = memchr::memmem::find_iter(text, between).chain([text.len()]);
    places.map(move |at| {
        let part = &text[start..at];
        start = at + between.len();
        part
    })
}

/// Whether something is mounted exactly there (proc(5), mountinfo; the fifth field, with spaces as `\040`).
fn is_mount_point(path: &Path) -> bool {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let path = path.as_os_str().as_bytes();
    table.split(|byte| *byte == b'\n').any(|line| line.split(|byte| *byte == b' ').nth(4) == Some(path))
}

/// Makes the write-ahead log's directory one that initdb takes: there, empty, and the server's user's.
///
/// What an earlier attempt of ours left in it, known by the link that leads there from the remains that were
/// moved aside, is moved aside as well. Anything else in it is somebody's and stops us.
///
/// # Errors
/// It holds something that is not ours, or cannot be made or moved.
pub fn prepare_waldir(waldir: &Path, final_data: &Path, owner: Option<(u32, u32)>) -> Result<(), Trouble> {
    let is_empty = match fs::read_dir(waldir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(Trouble::io("read", waldir, error)),
    };
    if !is_empty {
        move_aside(waldir, final_data)?;
    }
    directories::make_all(waldir, 0o700).map_err(|error| Trouble::io("create", waldir, error))?;
    if let Some((uid, gid)) = owner {
        match chown(waldir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            // Whether it can be written there initdb will say.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(error) => return Err(Trouble::io("give to the database's user", waldir, error)),
        }
    }
    Ok(())
}

fn move_aside(waldir: &Path, final_data: &Path) -> Result<(), Trouble> {
    let shown = waldir.display();
    let Some((link, date)) = remains_of(waldir, final_data) else {
        return Err(Trouble::Partial(format!(
            "POSTGRES_INITDB_WALDIR {shown} is not empty, and nothing in it is known to be ours: it may be another \
             database's write-ahead log, without which that one is lost. Nothing was touched. Give an empty directory, \
             or if you are sure: mv {shown} {shown}.old"
        )));
    };
    let name = waldir.file_name().unwrap_or_default().to_string_lossy();
    let aside = waldir.with_file_name(format!(".{name}.{date}"));
    match fs::rename(waldir, &aside) {
        Ok(()) => {}
        Err(error) => {
            return Err(Trouble::Partial(format!(
                "the first start that did not end left its write-ahead log in {shown}, which cannot be moved aside \
                 ({error}): it is a volume, probably. Its data lies in {}, so if that is not needed any more, empty \
                 the directory: find {shown} -mindepth 1 -delete",
                link.parent().unwrap_or(&link).display(),
            )));
        }
    }
    // The remains keep their log.
    fs::remove_file(&link)
        .and_then(|()| symlink(&aside, &link))
        .map_err(|error| Trouble::io("link", &link, error))
}

/// The link to this directory in what was moved aside, and what its name ends in: `failed-…`.
fn remains_of(waldir: &Path, final_data: &Path) -> Option<(PathBuf, String)> {
    let beside = final_data.parent()?;
    let name = final_data.file_name()?.to_string_lossy();
    let mut places: Vec<(PathBuf, String)> = Vec::new();
    for (directory, start) in [(beside, format!(".{name}.")), (final_data, ".minisup-".to_owned())] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name: OsString = entry.file_name();
            let date = name.to_str().and_then(|name| name.strip_prefix(&start));
            if let Some(date) = date.filter(|date| date.starts_with("failed-")) {
                places.push((entry.path(), date.to_owned()));
            }
        }
    }
    sorted::sort(&mut places);
    let links = |(place, date): &(PathBuf, String)| {
        ["pg_wal", "data/pg_wal"].map(|below| (place.join(below), date.clone()))
    };
    let mut links = places.iter().flat_map(links).rev();
    links.find(|(link, _)| fs::read_link(link).is_ok_and(|target| target == waldir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_number() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("postgres"), None);
    }

    #[test]
    fn from_18_on_each_version_has_its_own_place() {
        assert_eq!(default_data(17), Path::new("/var/lib/postgresql/data"));
        assert_eq!(default_data(18), Path::new("/var/lib/postgresql/18/docker"));
    }
}
