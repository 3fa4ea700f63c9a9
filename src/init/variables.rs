//! What the environment asks of a first start: `VAR`, or `VAR_FILE` with the value in a file.
//!
//! The rules are those of the official images (docker-library's `file_env`): empty counts as not set; both
//! of the pair set is an error; of a file's content all newlines at the end and all NUL bytes are dropped,
//! as a shell's `$(< file)` does; afterwards only `VAR` exists. What the images leave to the shell ("No such
//! file or directory" without the variable's name) is said in full here: which variable, which path, what
//! is the matter, and what people usually meant.
//!
//! Files are read by whoever we are at the start, so a secret that only root may read works although the
//! database's user could not open it. All variables are read before anything is refused, so that everything
//! wrong is said at once. No value is ever part of a message: not even Debug shows one.

use super::engine::{Known, Remark};
use crate::core::sorted::Map;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longer than any password, database name or list of arguments; a mistaken path to a dump is not read into memory.
const VALUE_MAX: u64 = 1 << 20;

/// A variable that an engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its official name: `MARIADB_ROOT_PASSWORD`.
    pub name: &'static str,
    /// Its older name, which has the same meaning and gives way: `MYSQL_ROOT_PASSWORD`. Scripts get the value under both.
    pub older: Option<&'static str>,
    /// Whether `NAME_FILE` may hold the path of a file with the value.
    pub has_file: bool,
    /// Whether nobody may see the value.
    pub is_secret: bool,
}

impl Name {
    /// A variable without a `_FILE` form: a switch, usually.
    pub const fn plain(name: &'static str) -> Name {
        Name { name, older: None, has_file: false, is_secret: false }
    }

    /// A variable that may come from a file.
    pub const fn with_file(name: &'static str) -> Name {
        Name { name, older: None, has_file: true, is_secret: false }
    }

    /// A secret, which may come from a file.
    pub const fn secret(name: &'static str) -> Name {
        Name { name, older: None, has_file: true, is_secret: true }
    }

    /// The same with an older name beside it.
    pub const fn formerly(self, older: &'static str) -> Name {
        Name { older: Some(older), ..self }
    }

    /// Its names, the one that counts first.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.older)
    }
}

/// The variables that are set: by official name, never empty, never with a NUL byte.
#[derive(Clone, Default)]
pub struct Given {
    values: Map<&'static str, Value>,
}

#[derive(Clone)]
struct Value {
    value: OsString,
    known: Name,
    file: Option<PathBuf>,
}

/// What was read: the variables, and what is to be said about them.
#[derive(Debug, Default)]
pub struct Reading {
    /// Everything that could be read.
    pub given: Given,
    /// What is to be said about them: errors, with which nothing may be begun, and warnings.
    pub remarks: Vec<Remark>,
}

impl Given {
    /// Reads what `known` names from an environment (`std::env::vars_os()`), opening the files of `_FILE` variables.
    pub fn read(known: &[Name], environment: impl IntoIterator<Item = (OsString, OsString)>) -> Reading {
        let environment = Map::from_iter(environment.into_iter().filter(|(_, value)| !value.is_empty()));
        let mut reading = Reading::default();
        for known in known {
            // The older name is read as well when the newer one counts, as the images do: two that contradict
            // each other within a pair are an error there too.
            let mut found = None;
            for name in known.names() {
                let value = reading.one(known, name, &environment);
                found = found.or(value);
            }
            if let Some((value, file)) = found {
                reading.given.values.insert(known.name, Value { value, known: *known, file });
            }
        }
        reading.warn_of_misnamed(known, &environment);
        reading
    }

    /// The value; `None` if it is not set, or empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name).map(|found| found.value.as_os_str())
    }

    /// The value as bytes: whatever they are, except NUL.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(OsStr::as_bytes)
    }

    /// Whether it has a value. Any text is a yes, even `no` and `0`: so the images read their switches.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The file that a value was read from.
    pub fn file(&self, name: &str) -> Option<&Path> {
        self.values.get(name)?.file.as_deref()
    }

    /// Sets a value: a default, or a password that was just drawn. Empty means to take it away.
    pub fn set(&mut self, known: Name, value: impl Into<OsString>) {
        let value = value.into();
        match value.is_empty() {
            true => self.values.remove(known.name),
            false => self.values.insert(known.name, Value { value, known, file: None }),
        };
    }

    /// What scripts find in their environment: each value under its official name and its older one.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.values.values().flat_map(|found| found.known.names().map(|name| (name, found.value.as_os_str())))
    }

    /// All of them with what they have, as the journal and the second start want them.
    pub fn known(&self, names: &[Name]) -> Vec<Known> {
        let known = |name: &Name| Known {
            name: name.name,
            value: self.get(name.name).map(OsStr::to_owned),
            is_secret: name.is_secret,
        };
        names.iter().map(known).collect()
    }
}

impl fmt::Debug for Given {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// All names that must not be in the environment of a server that serves: secrets in both forms, and the
/// paths of all files.
pub fn confidential(known: &[Name]) -> Vec<String> {
    let mut names = Vec::new();
    for known in known {
        for name in known.names() {
            names.extend(known.is_secret.then(|| name.to_owned()));
            names.extend(known.has_file.then(|| format!("{name}_FILE")));
        }
    }
    names
}

impl Reading {
    /// The value under one name, and the file it came from.
    fn one(
        &mut self,
        known: &Name,
        name: &str,
        environment: &Map<OsString, OsString>,
    ) -> Option<(OsString, Option<PathBuf>)> {
        let direct = environment.get(OsStr::new(name));
        let file_name = format!("{name}_FILE");
        let path = environment.get(OsStr::new(&file_name));
        match (direct, path) {
            (None, None) => None,
            (Some(value), None) => {
                if known.is_secret && known.has_file && value.as_bytes().starts_with(b"/run/secrets/") {
                    self.remarks.push(Remark::warning(format!(
                        "the value of {name} looks like the path of a secret: {file_name} would read that file"
                    )));
                }
                Some((value.clone(), None))
            }
            (value, Some(_)) if !known.has_file => {
                self.remarks.push(Remark::warning(format!(
                    "{file_name} has no effect: {name} cannot be given by a file"
                )));
                value.map(|value| (value.clone(), None))
            }
            (Some(_), Some(_)) => {
                self.remarks
                    .push(Remark::error(format!("both {name} and {file_name} are set (but are exclusive)")));
                None
            }
            (None, Some(path)) => {
                let path = Path::new(path);
                match content(path) {
                    Ok(value) => {
                        self.warn_of_content(&file_name, path, &value);
                        (!value.is_empty()).then(|| (OsString::from_vec(value), Some(path.to_owned())))
                    }
                    Err(error) => {
                        self.remarks.push(Remark::error(unreadable(&file_name, path, &error)));
                        None
                    }
                }
            }
        }
    }

    /// What an editor left in the file, and a person would not see.
    fn warn_of_content(&mut self, file_name: &str, path: &Path, value: &[u8]) {
        let path = path.display();
        if value.is_empty() {
            self.remarks
                .push(Remark::warning(format!("{file_name}: {path} is empty, which counts as not set")));
        }
        if value.ends_with(b"\r") {
            self.remarks.push(Remark::warning(format!(
                "{file_name}: the value in {path} ends in a carriage return, which stays part of it: was the file written on Windows?"
            )));
        }
        if value.starts_with(b"\xef\xbb\xbf") {
            self.remarks.push(Remark::warning(format!(
                "{file_name}: {path} begins with a byte order mark, which stays part of the value"
            )));
        }
    }

    /// Names that nobody reads, but that are so near to one we read that they were meant for us.
    fn warn_of_misnamed(&mut self, known: &[Name], environment: &Map<OsString, OsString>) {
        let mut names: Vec<String> = Vec::new();
        for known in known {
            for name in known.names() {
                names.push(name.to_owned());
                names.push(format!("{name}_FILE"));
            }
        }
        // The part before the first `_`: MYSQL, MARIADB, POSTGRES, MONGO.
        let family = |name: &str| name.split_once('_').map(|(family, _)| family.to_owned());
        for given in environment.keys().filter_map(|name| name.to_str()) {
            if names.iter().any(|name| name == given) {
                continue;
            }
            let distance = |name: &&String| strsim::damerau_levenshtein(name, given);
            let same = names.iter().filter(|name| family(name).is_some() && family(name) == family(given));
            let squeezed = |name: &str| name.replace(['_', '-'], "").to_ascii_uppercase();
            let near = same.min_by_key(distance).filter(|name| distance(name) <= 2);
            let near = near.or_else(|| names.iter().find(|name| squeezed(name) == squeezed(given)));
            if let Some(near) = near {
                self.remarks.push(Remark::warning(format!(
                    "{given} is not a variable that is known here: did you mean {near}?"
                )));
            }
        }
    }
}

/// A file's content as `$(< file)` gives it.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(VALUE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > VALUE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is longer than 1 MB, so it is no such value",
        ));
    }
    bytes.retain(|byte| *byte != 0);
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

/// Which variable, which path, what is the matter, and what was probably meant.
fn unreadable(file_name: &str, path: &Path, error: &io::Error) -> String {
    let text = path.as_os_str().as_bytes();
    let is_quoted = |quote| text.len() > 1 && text.starts_with(&[quote]) && text.ends_with(&[quote]);
    let hint = if is_quoted(b'"') || is_quoted(b'\'') {
        "; the quotes are part of the value: write the path without them"
    } else if text.first().is_some_and(u8::is_ascii_whitespace)
        || text.last().is_some_and(u8::is_ascii_whitespace)
    {
        "; the white space around it is part of the value"
    } else if error.kind() == io::ErrorKind::IsADirectory {
        "; when a file that is to be mounted does not exist, an empty directory appears in its place"
    } else if error.kind() == io::ErrorKind::NotFound && path.is_relative() {
        "; it is relative to the working directory: write the whole path"
    } else if error.kind() == io::ErrorKind::NotFound && text.starts_with(b"/run/secrets/") {
        "; is the secret listed for this service, too?"
    } else {
        ""
    };
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => format!("permission denied for user {}", nix::unistd::geteuid()),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot read {}, named by {file_name}: {why}{hint}", path.display())
}

#[cfg(test)]
mod tests;
