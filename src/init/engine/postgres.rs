//! PostgreSQL: initdb, a server on a private socket, psql.
//!
//! What the official image makes of POSTGRES_* is made here, and differently in these points, each of which
//! somebody has stumbled over:
//!
//! - Any name and any password works. initdb breaks at quotes in the superuser's name (it puts the name into
//!   SQL as it is) and reads one line of a password file. So initdb gets a password that is thrown
//!   away, and for a name with anything unusual the name `postgres`, which is changed afterwards; names and
//!   passwords reach the server as escaped SQL, on stdin. No secret is ever in a file or an argument.
//! - POSTGRES_INITDB_ARGS is words, not a shell's program ([`rules`]).
//! - A name that PostgreSQL would cut is an error.
//! - The temporary server has its socket in a directory of its own, so nobody takes it for the real one;
//!   PGHOST and PGPORT lead scripts there. Its port is the usual one: it is only the end of the socket's
//!   name, and scripts say `-p 5432`.
//! - Without a locale in the environment the encoding is UTF-8 (the image sets LANG), not SQL_ASCII.
//! - What scripts wrote of the directory's present path into its configuration, and into links (a tablespace), is
//!   corrected before it is put into place.

mod access;
mod initdb;
mod place;
mod rules;
mod telling;

use super::{Client, Engine, Failure, Kinds, Known, Last, Remark, Server, Variables, Work, set_variable};
use crate::core::plan::Credentials;
use crate::core::signal::Signal;
use crate::init::Request;
use crate::init::crew::Stdin;
use crate::init::directories;
use crate::init::trouble::Trouble;
use crate::init::variables::{Given, Name};
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "postgres";
const PASSWORD: &str = "POSTGRES_PASSWORD";
const USER: &str = "POSTGRES_USER";
const DATABASE: &str = "POSTGRES_DB";
const INITDB_ARGS: &str = "POSTGRES_INITDB_ARGS";
const WALDIR: &str = "POSTGRES_INITDB_WALDIR";
const METHOD: &str = "POSTGRES_HOST_AUTH_METHOD";

/// The variables of the official image.
const KNOWN: &[Name] = &[
    Name::secret(PASSWORD),
    Name::with_file(USER),
    Name::with_file(DATABASE),
    Name::with_file(INITDB_ARGS),
    Name::plain(WALDIR),
    Name::plain(METHOD),
    Name::plain("PGDATA"),
    Name::plain("PGPORT"),
    Name::plain("PGUSER"),
];

/// The superuser's name while initdb runs, if the real one is more than initdb can bear.
const PLAIN_NAME: &str = "postgres";

/// Who changes the superuser's name: nobody can change his own.
const RENAMER: &str = "minisup_first_start";

/// Databases that initdb makes.
const THERE_ALREADY: [&str; 3] = ["postgres", "template0", "template1"];

/// What is between the server's port and the socket: `.s.PGSQL.5432`.
const PORT: &str = "5432";

/// Variables of libpq that lead elsewhere, or ask for what a private socket does not have.
const ASTRAY: &[&str] = &[
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGTARGETSESSIONATTRS",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGGSSENCMODE",
    "PGCHANNELBINDING",
];

/// Arguments with which the server says something and ends: there is nothing to be initialised.
const SAYS_AND_ENDS: [&str; 5] = ["--help", "-?", "--version", "-V", "--describe-config"];

/// The variables as they are meant.
struct Settings {
    password: Option<OsString>,
    user: String,
    database: String,
    initdb_args: String,
    waldir: Option<PathBuf>,
    method: Option<String>,
    port: Option<String>,
}

/// PostgreSQL's first start.
pub struct Postgres {
    variables: Given,
    settings: Settings,
    remarks: Vec<Remark>,
    /// The real server's arguments, without its name.
    arguments: Vec<OsString>,
    /// Where the programs are, if not on PATH.
    programs: Option<PathBuf>,
    charset: Option<String>,
    /// What the superuser's password is until it is set.
    provisional: RefCell<Option<String>>,
}

impl Postgres {
    /// With the variables of the request's environment, and its server's arguments.
    pub fn new(request: &Request) -> Postgres {
        let reading = Given::read(KNOWN, request.environment.iter().cloned());
        let (variables, mut remarks) = (reading.given, reading.remarks);
        let text = |name| variables.get(name).map(|value| value.to_string_lossy().into_owned());
        let user = text(USER).unwrap_or_else(|| PLAIN_NAME.to_owned());
        let settings = Settings {
            password: variables.get(PASSWORD).map(OsStr::to_owned),
            database: text(DATABASE).unwrap_or_else(|| user.clone()),
            user,
            initdb_args: text(INITDB_ARGS).unwrap_or_default(),
            waldir: variables.get(WALDIR).map(PathBuf::from),
            method: text(METHOD),
            port: text("PGPORT"),
        };
        remarks.extend(rules::remarks(&settings));
        let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-");
        let server = request.server.first().filter(|word| !is_option(word)).map(OsString::as_os_str);
        let arguments = request.server.iter().skip(usize::from(server.is_some())).cloned().collect();
        let path = super::variable(&request.environment, "PATH");
        let programs = place::programs(server, path);
        let charset = request.charset.clone();
        Postgres {
            variables,
            settings,
            remarks,
            arguments,
            programs,
            charset,
            provisional: RefCell::default(),
        }
    }

    /// The path of one of PostgreSQL's programs, or its name for PATH to find.
    fn program(&self, name: &str) -> OsString {
        let found =
            self.programs.as_ref().map(|directory| directory.join(name)).filter(|path| path.is_file());
        found.map_or_else(|| name.into(), PathBuf::into_os_string)
    }

    /// The value of `-D X`, `-DX` or `-c data_directory=X` on the server's command line.
    fn data_argument(&self) -> Option<PathBuf> {
        let mut found = None;
        let mut arguments = self.arguments.iter();
        while let Some(word) = arguments.next() {
            let bytes = word.as_bytes();
            let value = match bytes {
                b"-D" | b"--data-directory" => arguments.next().cloned(),
                b"-c" => arguments.next().and_then(|next| {
                    let next = next.as_bytes();
                    next.strip_prefix(b"data_directory=").map(|path| OsStr::from_bytes(path).to_owned())
                }),
                _ => [&b"-D"[..], b"--data-directory=", b"--data_directory="]
                    .iter()
                    .find_map(|start| bytes.strip_prefix(*start))
                    .map(|path| OsStr::from_bytes(path).to_owned()),
            };
            found = value.map(PathBuf::from).or(found);
        }
        found
    }

    /// Which port is in the name of the socket.
    fn port(&self) -> &str {
        self.settings.port.as_deref().unwrap_or(PORT)
    }

    /// The environment in which libpq finds the temporary server as this user, in this database.
    fn way(&self, work: &Work<'_>, user: &str, database: &str) -> Variables {
        let mut environment = work.environment.clone();
        for name in ASTRAY {
            super::remove_variable(&mut environment, name);
        }
        set_variable(&mut environment, "PGHOST", &work.private);
        set_variable(&mut environment, "PGPORT", self.port());
        set_variable(&mut environment, "PGUSER", user);
        // Not an argument: there, a name with `=` would be taken for a connection string.
        set_variable(&mut environment, "PGDATABASE", database);
        let provisional = self.provisional.borrow();
        let password = provisional.as_ref().map(OsString::from).or_else(|| self.settings.password.clone());
        set_variable(&mut environment, "PGPASSWORD", password.unwrap_or_default());
        environment
    }

    /// Runs SQL as this user, in the database that is always there.
    fn sql(&self, work: &mut Work<'_>, user: &str, what: &str, sql: String) -> Result<(), Trouble> {
        let mut task = work.task(what, [self.program("psql")]);
        task.argv.extend(
            ["-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", "--quiet", "-f", "-"].map(Into::into),
        );
        task.environment = self.way(work, user, "postgres");
        set_variable(&mut task.environment, "PGCLIENTENCODING", "UTF8");
        // No value may end in the server's log, whatever that is configured to log.
        let quiet = "SET standard_conforming_strings = on; SET log_statement = 'none'; \
                     SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';\n";
        task.stdin = Stdin::Bytes([quiet, &sql].concat().into_bytes());
        work.crew.run(task)?.success(what).map(drop)
    }
}

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["postgres"]
    }

    fn variables(&self) -> Vec<Known> {
        self.variables.known(KNOWN)
    }

    fn check(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn needs_nothing(&self, _: bool) -> bool {
        self.arguments.iter().any(|word| SAYS_AND_ENDS.iter().any(|option| word == option))
    }

    fn data_directory(&self, work: &mut Work<'_>) -> Result<PathBuf, Trouble> {
        if let Some(given) = self.variables.get("PGDATA") {
            let given = PathBuf::from(given);
            place::refuse_old_layout(&given)?;
            return Ok(given);
        }
        if let Some(given) = self.data_argument() {
            return Ok(given);
        }
        let version = self.server_version(work)?;
        let major = place::major(&version)
            .ok_or_else(|| Trouble::Other(format!("cannot tell PostgreSQL's version from {version:?}")))?;
        let data = place::default_data(major);
        place::refuse_old_layout(&data)?;
        Ok(data)
    }

    fn server_version(&self, work: &mut Work<'_>) -> Result<String, Trouble> {
        let what = "asking for the server's version";
        let mut task = work.task(what, [self.program(PROGRAM)]);
        task.argv.push("--version".into());
        let text = work.crew.run(task)?.success(what)?.text();
        Ok(text.trim().trim_start_matches("postgres (PostgreSQL) ").to_owned())
    }

    fn is_data(&self, directory: &Path) -> bool {
        place::is_cluster(directory)
    }

    /// PG_MODE_MASK_GROUP: written by the group, or anything by others.
    fn refused_mode(&self) -> Option<u32> {
        Some(0o027)
    }

    fn directories(&self, _: &Work<'_>) -> Vec<(PathBuf, u32)> {
        vec![(PathBuf::from("/var/run/postgresql"), 0o3775)]
    }

    fn kinds(&self) -> Kinds {
        Kinds { sql: true, ..Kinds::default() }
    }

    fn initialise(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let password = random_password()?;
        self.run_initdb(work, &password)?;
        *self.provisional.borrow_mut() = Some(password);
        self.add_host_line(work)
    }

    fn server(&self, work: &Work<'_>) -> Server {
        let setting = |name: &str, value: &OsStr| {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            ["-c".into(), word]
        };
        let mut argv = vec![self.program(PROGRAM)];
        argv.extend(self.arguments.iter().cloned());
        // What comes last counts, whatever the real server's arguments and configuration say.
        argv.extend(["-D".into(), work.data.clone().into_os_string()]);
        argv.extend(setting("data_directory", work.data.as_os_str()));
        argv.extend(setting("unix_socket_directories", work.private.as_os_str()));
        argv.extend(["-p".into(), self.port().into()]);
        for (name, value) in [
            ("listen_addresses", ""),
            ("external_pid_file", ""),
            // A certificate may be what a script is to make.
            ("ssl", "off"),
            // Its words come to us.
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            // They are read by us.
            ("lc_messages", "C"),
        ] {
            argv.extend(setting(name, OsStr::new(value)));
        }
        if let Some(rules) = self.own_rules(work) {
            argv.extend(setting("hba_file", rules.as_os_str()));
        }
        // "Fast": with TERM it would wait for clients.
        let environment = work.environment.clone();
        Server { argv, environment, stop: Some(Signal::INT), ..Server::default() }
    }

    /// Its pid may be anybody's by now: in a container that was started again it usually is, for pids
    /// begin anew there, and the server would refuse to start. A real server's is left alone: one of ours has its
    /// socket in a private directory, or was killed before it had written so far.
    fn clear(&self, data: &Path, last: Last) {
        let path = data.join("postmaster.pid");
        let text = fs::read(&path).unwrap_or_default();
        let socket = text.split(|byte| *byte == b'\n').nth(4).filter(|line| !line.is_empty());
        let is_private = |socket| directories::is_private(Path::new(OsStr::from_bytes(socket)));
        let is_ours = match last {
            Last::Ours => true,
            Last::OursKilled => socket.is_none_or(is_private),
            Last::Anybody => socket.is_some_and(is_private),
        };
        if is_ours {
            let _ = fs::remove_file(path);
        }
    }

    fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        // What pg_ctl looks at: the server writes its state into the last line, from version 10 on. The socket's
        // directory tells our server's file from one that an earlier server left.
        if let Ok(text) = fs::read(work.data.join("postmaster.pid")) {
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
            let is_ours = lines.get(4) == Some(&work.private.as_os_str().as_bytes());
            match lines.get(7) {
                Some(state) if is_ours && !state.is_empty() => return Ok(*state == b"ready"),
                _ => {}
            }
        }
        let mut task = work.task("asking whether the server answers", [self.program("pg_isready")]);
        task.argv.push("--quiet".into());
        task.environment = self.way(work, self.first_name(), "postgres");
        Ok(work.crew.run(task)?.is_success())
    }

    fn set_up(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let Settings { user, database, password, .. } = &self.settings;
        if self.first_name() != user {
            let provisional = self.provisional.borrow().clone().unwrap_or_default();
            let (renamer, password) = (identifier(RENAMER), literal(&provisional));
            let what = "naming the superuser";
            let sql = format!("CREATE ROLE {renamer} SUPERUSER LOGIN PASSWORD {password};\n");
            self.sql(work, self.first_name(), what, sql)?;
            let sql =
                format!("ALTER ROLE {} RENAME TO {};\n", identifier(self.first_name()), identifier(user));
            self.sql(work, RENAMER, what, sql)?;
            self.sql(work, user, what, format!("DROP ROLE {renamer};\n"))?;
        }
        let password =
            password.as_ref().map_or_else(|| "NULL".to_owned(), |text| literal(&text.to_string_lossy()));
        let mut sql = String::new();
        if !THERE_ALREADY.contains(&database.as_str()) {
            sql.push_str(&format!("CREATE DATABASE {};\n", identifier(database)));
        }
        sql.push_str(&format!("ALTER ROLE {} PASSWORD {password};\n", identifier(user)));
        self.sql(work, user, "setting up user and database", sql)?;
        *self.provisional.borrow_mut() = None;
        Ok(())
    }

    /// Whether scripts can log in at all is known before one is noted as begun.
    fn resume(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let Settings { user, database, .. } = &self.settings;
        let what = format!("logging in as {user:?} to the database {database:?} ({USER}, {DATABASE})");
        let mut task = work.task(&what, [self.program("psql")]);
        task.argv.extend(["--no-password", "--no-psqlrc", "-f", "-"].map(Into::into));
        task.environment = self.way(work, user, database);
        work.crew.run(task)?.success(&what).map(drop)
    }

    fn client(&self, work: &Work<'_>, _: &Path) -> Client {
        let mut argv = vec![self.program("psql")];
        // `-f -`, as only then errors have their line. Includes are found from the working directory.
        argv.extend(["-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", "--quiet"].map(Into::into));
        argv.extend(["-f", "-"].map(Into::into));
        let mut environment = self.way(work, &self.settings.user, &self.settings.database);
        // Its messages are read by us as well, and the server's are in English anyway. Not by PGOPTIONS: `\connect` says
        // them again, and whoever is no superuser may not.
        set_variable(&mut environment, "LC_MESSAGES", "C");
        super::remove_variable(&mut environment, "LANGUAGE");
        Client { argv, environment }
    }

    fn environment(&self, work: &Work<'_>) -> Variables {
        let Settings { user, database, .. } = &self.settings;
        let mut environment = Variables::new();
        for (name, value) in self.variables.environment() {
            set_variable(&mut environment, name, value);
        }
        set_variable(&mut environment, USER, user);
        set_variable(&mut environment, DATABASE, database);
        set_variable(&mut environment, "PGDATA", &work.data);
        set_variable(&mut environment, "PGHOST", &work.private);
        set_variable(&mut environment, "PGPORT", self.port());
        // Where it leads by network it leads nowhere.
        set_variable(&mut environment, "PGHOSTADDR", "");
        if let Some(password) = &self.settings.password {
            set_variable(&mut environment, "PGPASSWORD", password);
        }
        if super::variable(&work.environment, "PGUSER").is_none() {
            set_variable(&mut environment, "PGUSER", user);
        }
        // A plain psql goes to the database with the user's name, as in the image; where there is none, and
        // it would fail, to the one that was asked for.
        let has_own = user == database || THERE_ALREADY.contains(&user.as_str());
        if !has_own && super::variable(&work.environment, "PGDATABASE").is_none() {
            set_variable(&mut environment, "PGDATABASE", database);
        }
        if let Some(programs) = &self.programs {
            let path = super::variable(&work.environment, "PATH").unwrap_or_default();
            let mut path: Vec<PathBuf> = std::env::split_paths(path).collect();
            if !path.contains(programs) {
                path.insert(0, programs.clone());
            }
            if let Ok(path) = std::env::join_paths(path) {
                set_variable(&mut environment, "PATH", path);
            }
        }
        environment
    }

    fn prelude(&self) -> &'static str {
        include_str!("postgres/prelude.sh")
    }

    fn settle(&self, work: &Work<'_>, made: &Path) -> Result<bool, Trouble> {
        place::forget_staging(made, &work.final_data, work.who.as_ref())
    }

    fn failure(&self, stderr: &str) -> Option<Failure> {
        telling::failure(stderr)
    }
}

/// An identifier of SQL, for any name.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal of SQL with standard_conforming_strings, where only the quote is special.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// User and group that a program gets.
fn ids(who: Option<&Credentials>) -> (u32, u32) {
    who.map_or_else(
        || (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
        |who| (who.uid, who.gid),
    )
}

/// Letters and digits nobody can guess.
fn random_password() -> Result<String, Trouble> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0u8; 18];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Trouble::io("read", path, error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
