//! What lies in a directory of scripts: which files, of which kind, in which order.
//!
//! The rules are those of the official images: names that begin with a dot are skipped, there is no
//! recursion, links are followed, and the ending says what a file is. What they leave to the locale is said
//! here: the order is that of bytes (`glob`, as in the C locale) or of numbers (`version`, as `sort -V`).
//! Nothing is opened: what is in the files is for [`super::preflight`].

use crate::config::version;
use crate::core::plan::Credentials;
use crate::core::sorted;
use crate::init::Order;
use crate::init::digest;
use crate::init::engine::Kinds;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How a file is packed. Unpacked by us: the image needs no tools.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Packing {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952): `.gz`.
    Gzip,
    /// xz: `.xz`.
    Xz,
    /// Zstandard (RFC 8878): `.zst`.
    Zstd,
    /// bzip2: `.bz2`.
    Bzip2,
}

impl Packing {
    /// All that are packed, with their endings.
    pub const ENDINGS: [(&'static str, Packing); 4] =
        [(".gz", Packing::Gzip), (".xz", Packing::Xz), (".zst", Packing::Zstd), (".bz2", Packing::Bzip2)];

    /// Its name; nothing for what is not packed.
    pub fn name(self) -> &'static str {
        match self {
            Packing::None => "",
            Packing::Gzip => "gzip",
            Packing::Xz => "xz",
            Packing::Zstd => "zstd",
            Packing::Bzip2 => "bzip2",
        }
    }

    /// By its first bytes.
    pub fn of_magic(opening: &[u8]) -> Packing {
        match opening {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            // A skippable frame may be first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
            _ => Packing::None,
        }
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `.sh`
    Shell,
    /// `.sql`, packed or not.
    Sql(Packing),
    /// `.js`
    JavaScript,
    /// `.tar.gz` and the like, where an engine restores backups.
    Backup(Packing),
}

/// A file that is to be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The directory's path with its name.
    pub path: PathBuf,
    /// Its name in that directory, for people and for journals.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes, as it lies there.
    pub size: u64,
    /// Whether the user that runs it may execute it (access(2), X_OK).
    pub is_executable: bool,
    /// Why it is no file that could be opened: it is a directory, or a link to nothing.
    pub obstacle: Option<String>,
}

impl Script {
    /// The SHA-256 of the file as it lies there, in hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sha256(&self) -> io::Result<String> {
        digest::of(File::open(&self.path)?).map(|(sha256, _)| sha256)
    }
}

/// Something that lies there and is not run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignored {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its size in bytes, if it is a file.
    pub size: Option<u64>,
    /// Why it is not run, and what can be done.
    pub why: String,
    /// Whether it was probably meant to be run.
    pub is_surprising: bool,
}

/// What lies in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// The directory.
    pub directory: PathBuf,
    /// What is run, in order.
    pub scripts: Vec<Script>,
    /// What is not, in the same order.
    pub ignored: Vec<Ignored>,
}

/// Lists a directory for whom its scripts are run as (`None`: ourselves).
///
/// # Errors
/// It cannot be read: the kernel's words. That of a directory that is not there is NotFound.
pub fn list(directory: &Path, kinds: Kinds, order: Order, who: Option<&Credentials>) -> io::Result<Listing> {
    // Scripts run in their own directory, where a path that is relative to ours leads nowhere.
    let directory = &std::path::absolute(directory)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !name.as_bytes().starts_with(b".") {
            paths.push(name);
        }
    }
    sorted::sort_by(&mut paths, |a, b| match order {
        Order::Glob => a.cmp(b),
        Order::Version => version::compare(a.as_bytes(), b.as_bytes()),
    });
    let mut listing = Listing { directory: directory.to_owned(), ..Listing::default() };
    for name in paths {
        let path = directory.join(&name);
        let name = name.to_string_lossy().into_owned();
        // Links are followed.
        let about = fs::metadata(&path);
        match kind(&name, kinds) {
            Some(kind) => listing.scripts.push(Script {
                kind,
                size: about.as_ref().map_or(0, Metadata::len),
                is_executable: about.as_ref().is_ok_and(|about| may_execute(&path, about, who)),
                obstacle: obstacle(&path, about.as_ref()),
                path,
                name,
            }),
            None => {
                let size = about.as_ref().ok().filter(|about| about.is_file()).map(Metadata::len);
                let is_directory = about.is_ok_and(|about| about.is_dir());
                let (why, is_surprising) = why_not(&name, is_directory, kinds);
                listing.ignored.push(Ignored { path, name, size, why, is_surprising });
            }
        }
    }
    // A backup is restored instead of everything else: it has the data already.
    if listing.scripts.iter().any(|script| matches!(script.kind, Kind::Backup(_))) {
        let (backups, others) =
            listing.scripts.into_iter().partition(|script| matches!(script.kind, Kind::Backup(_)));
        listing.scripts = backups;
        listing.ignored.extend(Vec::into_iter(others).map(|script: Script| Ignored {
            size: Some(script.size),
            path: script.path,
            name: script.name,
            why: "a backup is restored instead of running scripts".into(),
            is_surprising: true,
        }));
    }
    Ok(listing)
}

/// What a name says; `None`: nothing that is run.
fn kind(name: &str, kinds: Kinds) -> Option<Kind> {
    let unpacked =
        || Packing::ENDINGS.iter().find_map(|(ending, packing)| Some((name.strip_suffix(ending)?, *packing)));
    if name.ends_with(".sh") {
        return Some(Kind::Shell);
    }
    if kinds.javascript && name.ends_with(".js") {
        return Some(Kind::JavaScript);
    }
    if kinds.sql && name.ends_with(".sql") {
        return Some(Kind::Sql(Packing::None));
    }
    let (stem, packing) = unpacked()?;
    if kinds.sql && stem.ends_with(".sql") {
        return Some(Kind::Sql(packing));
    }
    (kinds.backups && packing != Packing::Bzip2 && stem.ends_with(".tar")).then_some(Kind::Backup(packing))
}

/// Why a name is none that is run, what can be done, and whether that is a surprise.
fn why_not(name: &str, is_directory: bool, kinds: Kinds) -> (String, bool) {
    let lower = name.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
    let (why, is_surprising) = if is_directory {
        ("a directory, and what is in it is not looked at", true)
    } else if lower != name && kind(&lower, kinds).is_some() {
        ("capital and small letters are told apart in endings: rename it", true)
    } else if ends(&[".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"]) {
        ("an archive, which is not unpacked: put the files in it here, or unpack it in a .sh", true)
    } else if ends(&[".dump", ".pgdump", ".backup", ".dmp"]) {
        (
            "a dump by its name; one of pg_dump -Fc is loaded by pg_restore in a .sh, one that is SQL needs the ending .sql",
            true,
        )
    } else if ends(&[".zip", ".7z", ".lz4", ".z", ".lzma", ".br", ".lzo", ".rar"]) {
        ("packed in a way that is not unpacked here: pack it as .sql.gz, .sql.xz, .sql.zst or .sql.bz2", true)
    } else if ends(&[".gz", ".xz", ".zst", ".bz2"]) {
        ("packed, but not named .sql and how it is packed: rename it if there is SQL in it", true)
    } else if ends(&[".js"]) {
        ("only MongoDB runs JavaScript", true)
    } else if ends(&[".sql"]) {
        ("MongoDB runs no SQL", true)
    } else if ends(&[".py", ".pl", ".rb", ".php", ".bash", ".zsh", ".envsh"]) {
        ("a program by its name, but only .sh is run; any language does that its #! line names", true)
    } else if ends(&["~", ".bak", ".orig", ".old", ".disabled", ".off", ".swp"]) {
        ("a copy that is not to be run, by its name", false)
    } else if ends(&[".md", ".txt", ".rst", ".adoc"])
        || lower.starts_with("readme")
        || lower.starts_with("license")
    {
        ("a text for people", false)
    } else {
        ("no ending that is run here", true)
    };
    (why.to_owned(), is_surprising)
}

/// Why this is no file that could be opened, if it is none.
fn obstacle(path: &Path, about: Result<&Metadata, &io::Error>) -> Option<String> {
    match about {
        Ok(about) if about.is_file() => None,
        Ok(about) if about.is_dir() => Some(
            "a directory; when a file that is to be mounted does not exist, an empty directory appears in its place"
                .into(),
        ),
        Ok(_) => Some("neither a file nor a link to one".into()),
        Err(error) => Some(match fs::read_link(path) {
            Ok(target) => format!("a link to {}: {error}", target.display()),
            Err(_) => error.to_string(),
        }),
    }
}

/// access(2) with X_OK, for another user: by the bits, and by how the file system is mounted. Like there, a
/// file without any bit is not even root's to run.
fn may_execute(path: &Path, about: &Metadata, who: Option<&Credentials>) -> bool {
    let (uid, gid, groups) = match who {
        Some(who) => (who.uid, who.gid, who.groups.to_vec()),
        None => {
            let groups = nix::unistd::getgroups().unwrap_or_default();
            let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
            (uid.as_raw(), gid.as_raw(), groups.iter().map(|group| group.as_raw()).collect())
        }
    };
    let bit = if uid == 0 {
        0o111
    } else if uid == about.uid() {
        0o100
    } else if gid == about.gid() || groups.contains(&about.gid()) {
        0o010
    } else {
        0o001
    };
    let is_allowed = || statvfs(path).is_ok_and(|system| !system.flags().contains(FsFlags::ST_NOEXEC));
    about.is_file() && about.mode() & bit != 0 && is_allowed()
}

#[cfg(test)]
mod tests;
