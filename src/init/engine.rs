//! What the first starts of all databases have in common, as the course sees it.
//!
//! An engine knows its server: its variables and their rules, how a data directory is made, how a
//! temporary server is launched and asked, what is set up in it, how a script gets into it. It
//! knows nothing of staging, journals and crashes: it is given a directory that is empty and
//! is to be filled, and says what went wrong.

pub mod family;
pub mod mariadb;
mod mongodb;
pub mod mysql;
mod postgres;
pub mod sql;
pub mod zones;

use super::Request;
use super::crew::{Crew, Task};
use super::trouble::Trouble;
use crate::core::plan::Credentials;
use crate::core::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A list of environment variables.
pub type Variables = Vec<(OsString, OsString)>;

/// One kind of database. Made by [`engine`] with its variables already read.
pub trait Engine {
    /// As it is named on the command line: `mariadb`.
    fn name(&self) -> &'static str;

    /// Whom the server runs as if we are root and nobody said: the first of these that
    /// /etc/passwd has.
    fn accounts(&self) -> &'static [&'static str];

    /// All variables that it knows, with their values as they are now (a `_FILE` is resolved).
    fn variables(&self) -> Vec<Known>;

    /// What is to be said about variables and arguments. With an error among them nothing is
    /// touched.
    fn check(&self) -> Vec<Remark>;

    /// Whether there is nothing to be initialised at all, as MongoDB without user and scripts.
    fn needs_nothing(&self, has_scripts: bool) -> bool {
        let _ = has_scripts;
        false
    }

    /// Where the data is to lie in the end, asked of the server where it alone knows.
    ///
    /// # Errors
    /// The server cannot be asked, or its configuration is wrong.
    fn data_directory(&self, work: &mut Work<'_>) -> Result<PathBuf, Trouble>;

    /// The server's version, as it says it: `10.11.6-MariaDB`.
    ///
    /// # Errors
    /// It cannot be asked.
    fn server_version(&self, work: &mut Work<'_>) -> Result<String, Trouble>;

    /// Whether this is a data directory of such a server: for one that we did not make.
    fn is_data(&self, directory: &Path) -> bool;

    /// Bits of its data directory's mode with which the server does not start, if it looks at that, and at the owner.
    fn refused_mode(&self) -> Option<u32> {
        None
    }

    /// How the name of a directory in a data directory begins that its server takes for none of its
    /// own: for what is left of a failed first start in a volume.
    fn aside(&self) -> &'static str {
        super::ground::ASIDE
    }

    /// Directories besides the data directory that the server needs (for sockets, logs),
    /// made and given to its user before anything else, with their modes.
    fn directories(&self, work: &Work<'_>) -> Vec<(PathBuf, u32)> {
        let _ = work;
        Vec::new()
    }

    /// Which scripts it takes.
    fn kinds(&self) -> Kinds;

    /// Fills `work.data`, which is there, empty, and the server's user's.
    ///
    /// # Errors
    /// The program that does it failed.
    fn initialise(&self, work: &mut Work<'_>) -> Result<(), Trouble>;

    /// The temporary server, on `work.data` and with its socket in `work.private`.
    fn server(&self, work: &Work<'_>) -> Server;

    /// Whether the temporary server answers: one question through the client, quick.
    ///
    /// # Errors
    /// Not "no": only when no answer can be expected any more.
    fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble>;

    /// Time zones, passwords, database, user, grants.
    ///
    /// # Errors
    /// The server refused something.
    fn set_up(&self, work: &mut Work<'_>) -> Result<(), Trouble>;

    /// Removes what a killed server left in this directory that would keep the next one from starting.
    /// Nobody of ours is at work in it.
    fn clear(&self, data: &Path, last: Last) {
        let _ = (data, last);
    }

    /// Follows its server to another version, if it can.
    fn upgrading(&self) -> Option<&dyn Upgrading> {
        None
    }

    /// Restores backups, if it can.
    fn restoring(&self) -> Option<&dyn Restoring> {
        None
    }

    /// What is needed to talk to the temporary server again after a crash between two scripts:
    /// nothing, or a password that `set_up` would have noted.
    ///
    /// # Errors
    /// It cannot be gone on; all begins again.
    fn resume(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let _ = work;
        Ok(())
    }

    /// The client that reads a script.
    fn client(&self, work: &Work<'_>, script: &Path) -> Client;

    /// What `.sh` scripts find in their environment besides what we have: the official names
    /// and what leads plain clients to the temporary server.
    fn environment(&self, work: &Work<'_>) -> Variables;

    /// Functions of sh for sourced scripts: docker_process_sql and the like.
    fn prelude(&self) -> &'static str;

    /// After the scripts: expire a password, set a hash.
    ///
    /// # Errors
    /// The server refused something.
    fn finish(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let _ = work;
        Ok(())
    }

    /// Has what was made, in the directory `made`, name the place where it will lie, and not the one where it was made. Its
    /// server has been stopped. Whether anything was changed.
    ///
    /// # Errors
    /// A file cannot be changed.
    fn settle(&self, work: &Work<'_>, made: &Path) -> Result<bool, Trouble> {
        let _ = (work, made);
        Ok(false)
    }

    /// What a failed client said: the line of the stream and the message.
    fn failure(&self, stderr: &str) -> Option<Failure>;
}

/// Who was the last at work in a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    /// A temporary server, if anybody: the real one never was.
    Ours,
    /// A temporary server that was killed, or whose minisup was.
    OursKilled,
    /// Anybody.
    Anybody,
}

/// An engine whose system tables have to follow the server to another version.
pub trait Upgrading {
    /// What there is to be done about `work.data`; `None`: nothing.
    ///
    /// # Errors
    /// The server cannot be asked for its version.
    fn due(&self, work: &mut Work<'_>) -> Result<Option<Due>, Trouble>;

    /// Whether data of the one version is used by a server of the other without an upgrade.
    fn is_same(&self, one: &str, other: &str) -> bool;

    /// The temporary server, on data that is of another version.
    fn server(&self, work: &Work<'_>) -> Server;

    /// Writes the system tables into this file, which is not there.
    ///
    /// # Errors
    /// The program that does it failed.
    fn back_up(&self, work: &mut Work<'_>, file: &Path) -> Result<(), Trouble>;

    /// Upgrades the tables.
    ///
    /// # Errors
    /// The program that does it failed.
    fn upgrade(&self, work: &mut Work<'_>) -> Result<(), Trouble>;

    /// Makes accounts that this version expects. On a server of its own.
    ///
    /// # Errors
    /// The server refused something.
    fn add_accounts(&self, work: &mut Work<'_>) -> Result<(), Trouble>;
}

/// What there is to be done about data whose server has another version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The version that the tables are of; none: not known.
    pub from: Option<String>,
    /// The server's.
    pub to: String,
    /// The tables are to be upgraded.
    pub tables: bool,
    /// Accounts are missing.
    pub accounts: bool,
    /// It was asked for; if not, it is only said.
    pub is_asked: bool,
    /// The tables are kept as they were.
    pub is_backed_up: bool,
    /// What asks for it: `MARIADB_AUTO_UPGRADE=1`.
    pub how_to_ask: &'static str,
}

/// An engine that restores backups of data directories.
pub trait Restoring {
    /// Makes what is in `backup`, unpacked, the data directory `work.data`, which is there and empty. What is left
    /// in `backup` is needed no more.
    ///
    /// # Errors
    /// It is no backup, or a program that does it failed.
    fn restore(&self, work: &mut Work<'_>, backup: &Path) -> Result<(), Trouble>;
}

/// The engine of this name, its variables read from `request.environment`.
///
/// # Errors
/// A variable cannot be read, or there is no such engine.
pub fn engine(request: &Request) -> Result<Box<dyn Engine>, Trouble> {
    match request.engine.as_str() {
        "mariadb" => Ok(Box::new(mariadb::MariaDb::new(request)?)),
        "mysql" => Ok(Box::new(mysql::MySql::new(request)?)),
        "mongodb" => Ok(Box::new(mongodb::Mongodb::new(request))),
        "postgres" => Ok(Box::new(postgres::Postgres::new(request))),
        other => Err(Trouble::Other(format!("there is no engine {other:?}"))),
    }
}

/// A variable that an engine knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its official name.
    pub name: &'static str,
    /// Its value, if it is set and not empty.
    pub value: Option<OsString>,
    /// Whether it must never be shown.
    pub is_secret: bool,
}

/// Something to be said about variables, arguments or files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// How bad it is.
    pub level: Level,
    /// A whole message, lower case.
    pub text: String,
}

/// How bad a remark is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Good to know.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Nothing may be touched.
    Error,
}

impl Remark {
    /// An error.
    pub fn error(text: impl Into<String>) -> Remark {
        Remark { level: Level::Error, text: text.into() }
    }

    /// A warning.
    pub fn warning(text: impl Into<String>) -> Remark {
        Remark { level: Level::Warning, text: text.into() }
    }

    /// A note.
    pub fn note(text: impl Into<String>) -> Remark {
        Remark { level: Level::Note, text: text.into() }
    }
}

/// Which scripts an engine takes. Each packing of `.sql` and `.js` is unpacked by us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds {
    /// `.sql`, and packed: `.sql.gz`, `.sql.xz`, `.sql.zst`, `.sql.bz2`.
    pub sql: bool,
    /// `.js`.
    pub javascript: bool,
    /// `.sh` are sourced even if executable.
    pub always_sourced: bool,
    /// `.tar.gz`, `.tar.xz`, `.tar.zst` are backups to be restored instead of all else.
    pub backups: bool,
}

/// The temporary server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Its whole environment; [`Work::environment`] is where to begin.
    pub environment: Variables,
    /// Its working directory; none: ours.
    pub directory: Option<PathBuf>,
    /// What stops it cleanly; none: TERM.
    pub stop: Option<Signal>,
    /// What each line of its output gets in front; none: only its end is kept, for messages.
    pub forward: Option<String>,
}

/// A client that reads a script: on stdin, or as an argument.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Its whole environment; [`Work::environment`] is where to begin.
    pub environment: Variables,
}

/// What a failed client said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failure {
    /// The line of the stream that it read, from 1.
    pub line: Option<u64>,
    /// What the server said.
    pub message: String,
}

/// What an engine works with.
pub struct Work<'a> {
    /// Our children.
    pub crew: &'a mut Crew,
    /// What was asked for.
    pub request: &'a Request,
    /// The directory being filled (staging); empty until it is known.
    pub data: PathBuf,
    /// Where the data will lie in the end; empty until it is known.
    pub final_data: PathBuf,
    /// A directory for the temporary server's socket: mode 0700, the server's user's, its path
    /// short enough for a socket (unix(7): 108 bytes). Empty until there is one.
    pub private: PathBuf,
    /// Whom server, clients and scripts run as; none: as we are.
    pub who: Option<Credentials>,
    /// What every child has in its environment to begin with: ours, without what leads to a
    /// supervisor (NOTIFY_SOCKET, LISTEN_*, WATCHDOG_*), with HOME, USER and LOGNAME of `who`.
    pub environment: Variables,
}

impl Work<'_> {
    /// A program to be run as the server's user with the usual environment, silently, its
    /// output kept.
    pub fn task<W: AsRef<OsStr>>(&self, what: &str, argv: impl IntoIterator<Item = W>) -> Task<'static> {
        Task {
            what: what.to_owned(),
            argv: argv.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: self.environment.clone(),
            who: self.who.clone(),
            ..Task::default()
        }
    }
}

/// Sets a variable in a list, in place of one of that name.
pub fn set_variable(variables: &mut Variables, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
    variables.retain(|(known, _)| known != name.as_ref());
    variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
}

/// Removes a variable from a list.
pub fn remove_variable(variables: &mut Variables, name: impl AsRef<OsStr>) {
    variables.retain(|(known, _)| known != name.as_ref());
}

/// The value of a variable; an empty one is none.
pub fn variable<'a>(variables: &'a Variables, name: &str) -> Option<&'a OsStr> {
    let found = variables.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
}
