//! What is written down about a first start, and how it survives power loss.
//!
//! One small JSON file. While the first start is under way it lies in the holder, beside the data
//! that is being made; at the end it lies in the data directory itself, so that the two can never
//! be separated. It is written to a file of its own, fsync(2), rename(2), and fsync of the
//! directory: after a crash there is the one before or the one after, never half of one.
//!
//! What the entries speak of is not waited for: the kernel writes the data when it likes, while the next
//! script runs. A process that is killed takes nothing of it with it, and after a loss of power, which
//! takes some, the machine's boot id is another, so that nothing is gone on with. Only before the data
//! is put in its place is all of it flushed: what is called complete has to survive everything.
//!
//! Values of variables are not in it: only a salted SHA-256 of each, enough to say at a later
//! start that one of them differs and has no effect.

use super::digest;
use super::engine::Known;
use super::trouble::Trouble;
use crate::core::sorted::Map;
use crate::sys::clock;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its name in the data directory.
pub const FINAL: &str = ".minisup-initialised.json";

/// What is done to data that we did not make is noted in a file of its own, for the data is not to be taken for ours.
pub const FOREIGN: &str = ".minisup-each-start.json";

/// Its name in the holder.
pub const UNDER_WAY: &str = "journal.json";

/// How this form of the file is called. Another one is not touched.
const VERSION: u32 = 1;

/// No journal is longer; whatever is, is not ours.
const LENGTH_MAX: u64 = 16 << 20;

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Making the data directory, setting up: nothing of it can be gone on with.
    Initialising,
    /// Between scripts: so many as have ended are done, and nothing is half done.
    Provisioned,
    /// Within a script, the last of the list.
    Provisioning,
    /// All is done; the temporary server is being stopped.
    Stopping,
    /// All is done, and on disk; it is being put in its place.
    Moving,
    /// It is in its place.
    Complete,
}

/// What is known about a first start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Journal {
    /// Of this form of the file.
    pub version: u32,
    /// How far it has come.
    pub state: State,
    /// `mariadb`.
    pub engine: String,
    /// As the server says it.
    pub server_version: String,
    /// Ours.
    pub minisup: String,
    /// When it began: RFC 3339, UTC.
    pub began: String,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completed: Option<String>,
    /// What stopped it, if we had the time to note it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped_by: Option<String>,
    /// During which run of the machine (random(4), boot_id): after another, what was not yet on
    /// disk is gone.
    pub boot: String,
    /// Goes before each value that is hashed.
    pub salt: String,
    /// Names of variables with the hashes of their values.
    pub variables: Map<String, String>,
    /// The scripts, in the order in which they were begun.
    pub scripts: Vec<Script>,
    /// Scripts of later starts, each once: migrations.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub each_start: Vec<Script>,
    /// Upgrades of the system tables to another version of the server.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub upgrades: Vec<Upgrade>,
}

/// System tables that followed their server to another version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upgrade {
    /// The version they were of, if that was known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The server's.
    pub to: String,
    /// When it was begun.
    pub began: String,
    /// The file that has them as they were, as soon as it is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backup: Option<String>,
    /// When it ended; none: it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
}

/// One script.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Script {
    /// Its file's name, as far as it is text.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
    /// When it was begun.
    pub began: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    /// How: `exit code 0`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<String>,
}

/// As an object.
impl Serialize for Map<String, String> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Map<String, String> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(HashMap::<String, String>::deserialize(from)?.into_iter().collect())
    }
}

impl Journal {
    /// The journal of a first start that begins now.
    ///
    /// # Errors
    /// There is no /dev/urandom.
    pub fn begin(engine: &str, server_version: &str, variables: &[Known]) -> Result<Journal, Trouble> {
        let salt = random().map_err(|error| Trouble::io("read", "/dev/urandom", error))?;
        let hashed = |known: &Known| {
            let value = known.value.as_ref()?;
            Some((known.name.to_owned(), hash(&salt, known.name, value.as_bytes())))
        };
        Ok(Journal {
            version: VERSION,
            state: State::Initialising,
            engine: engine.to_owned(),
            server_version: server_version.to_owned(),
            minisup: env!("CARGO_PKG_VERSION").to_owned(),
            began: now(),
            completed: None,
            stopped_by: None,
            boot: boot(),
            variables: Map::from_iter(variables.iter().filter_map(hashed)),
            salt,
            scripts: Vec::new(),
            each_start: Vec::new(),
            upgrades: Vec::new(),
        })
    }

    /// Reads one; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or was written by a minisup that knows more.
    pub fn read(path: &Path) -> Result<Option<Journal>, Trouble> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Trouble::io("open", path, error)),
        };
        let mut bytes = Vec::new();
        file.take(LENGTH_MAX).read_to_end(&mut bytes).map_err(|error| Trouble::io("read", path, error))?;
        let unreadable = |why: String| {
            Trouble::Partial(format!(
                "{} makes no sense: {why}. Nothing was touched. If the data beside it is good, remove this file; \
                 if not, move both away",
                path.display()
            ))
        };
        let journal: Journal =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        match journal.version {
            VERSION => Ok(Some(journal)),
            other => Err(unreadable(format!("it has version {other}, this minisup knows {VERSION}"))),
        }
    }

    /// The journal of data that is in its place, with its name there; `None` if there is none yet.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_data(data: &Path) -> Result<(Option<Journal>, &'static str), Trouble> {
        match Journal::read(&data.join(FINAL))? {
            Some(journal) => Ok((Some(journal), FINAL)),
            None => Ok((Journal::read(&data.join(FOREIGN))?, FOREIGN)),
        }
    }

    /// Writes it into this directory under this name: when it returns, it is on disk.
    ///
    /// # Errors
    /// ENOSPC, EROFS, EACCES and the like; then the one before is still there.
    pub fn write(&self, directory: &Path, name: &str) -> Result<(), Trouble> {
        let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
        let failed = |error| Trouble::io("write", &new, error);
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        // What a crash left of an earlier one is nobody's.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &path).map_err(|error| Trouble::io("write", &path, error))?;
        sync_directory(directory)
    }

    /// It has come so far.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn enter(&mut self, state: State, holder: &Path) -> Result<(), Trouble> {
        self.state = state;
        self.write(holder, UNDER_WAY)
    }

    /// A script begins.
    pub fn begin_script(&mut self, name: &str, size: u64, sha256: &str) {
        self.state = State::Provisioning;
        self.scripts.push(Script {
            name: name.to_owned(),
            size,
            sha256: sha256.to_owned(),
            began: now(),
            ended: None,
            outcome: None,
        });
    }

    /// The last script has ended.
    pub fn end_script(&mut self, outcome: &str) {
        if let Some(script) = self.scripts.last_mut() {
            script.ended = Some(now());
            script.outcome = Some(outcome.to_owned());
        }
    }

    /// Whether what was written to disk may be less than what was done: the machine has been
    /// started again since, or does not say whether it has.
    pub fn is_of_another_boot(&self) -> bool {
        self.boot.is_empty() || self.boot != boot()
    }

    /// Names of variables whose values are not those of the first start, or are new, or gone.
    pub fn different<'a>(&'a self, variables: &'a [Known]) -> Vec<&'a str> {
        let mut found = Vec::new();
        for known in variables {
            let now = known.value.as_ref().map(|value| hash(&self.salt, known.name, value.as_bytes()));
            if now.as_ref() != self.variables.get(known.name) {
                found.push(known.name);
            }
        }
        found
    }
}

/// Has the names in a directory on disk.
///
/// # Errors
/// EIO, EACCES.
pub fn sync_directory(directory: &Path) -> Result<(), Trouble> {
    let synced = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(|error| Trouble::io("fsync", directory, error))
}

/// Now, as RFC 3339 in UTC, to the second.
pub fn now() -> String {
    let (seconds, _) = clock::wall();
    jiff::Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}

/// Now, as it may be part of a file's name: `20261121T013000Z`.
pub fn stamp() -> String {
    now().chars().filter(|character| !matches!(character, '-' | ':')).collect()
}

fn boot() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn random() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(digest::hex(&bytes))
}

fn hash(salt: &str, name: &str, value: &[u8]) -> String {
    let text = [salt.as_bytes(), b"\0", name.as_bytes(), b"\0", value].concat();
    // Reading from memory does not fail.
    digest::of(&text[..]).map(|(digits, _)| digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value: &str) -> [Known; 1] {
        [Known { name: "MARIADB_ROOT_PASSWORD", value: Some(value.into()), is_secret: true }]
    }

    #[test]
    fn a_journal_comes_back_as_it_was_written_and_holds_no_value() {
        let folder = std::env::temp_dir().join(format!("minisup-journal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut journal = Journal::begin("mariadb", "10.11.6-MariaDB", &known("geheim")).unwrap();
        journal.begin_script("1.sql", 5, "abc");
        journal.end_script("exit code 0");
        journal.write(&folder, UNDER_WAY).unwrap();
        let text = fs::read_to_string(folder.join(UNDER_WAY)).unwrap();
        assert!(!text.contains("geheim"), "{text}");
        assert_eq!(Journal::read(&folder.join(UNDER_WAY)).unwrap().unwrap(), journal);
        assert_eq!(Journal::read(&folder.join("none")).unwrap(), None);
        fs::write(folder.join(UNDER_WAY), &text.as_bytes()[..text.len() / 2]).unwrap();
        assert!(Journal::read(&folder.join(UNDER_WAY)).is_err(), "half of one is none of ours");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_variable_that_differs_is_named() {
        let journal = Journal::begin("mariadb", "10.11", &known("one")).unwrap();
        assert!(journal.different(&known("one")).is_empty());
        assert_eq!(journal.different(&known("two")), ["MARIADB_ROOT_PASSWORD"]);
    }
}
