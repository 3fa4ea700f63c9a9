//! MySQL 5.7 and later: `mysqld --initialize-insecure`, a server on a private socket, one batch of SQL.
//!
//! What the official image makes of MYSQL_* is made here, and differently in these points:
//!
//! - Every value is escaped; in the image a quote in a password ends the start, or is SQL.
//! - `MYSQL_ONETIME_PASSWORD` expires root wherever root may come from, not only at `%`.
//! - The temporary server is a child in the foreground, so its death is known at once; its X protocol is off,
//!   which would listen at its usual socket for everybody.
//! - The client is told to obey `source` lines (`--commands`), which newer ones do not by themselves.

use super::family::{self, Family, Kind, rules};
use super::sql::{Batch, account, granted_database, identifier, literal};
use super::{Client, Engine, Failure, Kinds, Known, Remark, Server, Variables, Work};
use crate::init::Request;
use crate::init::trouble::Trouble;
use crate::init::variables::Name;
use crate::init::voice;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// MySQL's own half of what the two servers share.
const KIND: Kind = Kind {
    prefix: "MYSQL",
    servers: &["mysqld"],
    clients: &["mysql"],
    zone_tools: &["mysql_tzinfo_to_sql"],
    known: KNOWN,
    client_option: ("--commands", "--commands"),
    // Comments are part of routines and views, and older clients throw them away.
    client_always: &["--comments"],
};

/// The variables of the official image.
const KNOWN: &[Name] = &[
    Name::secret("MYSQL_ROOT_PASSWORD"),
    Name::plain("MYSQL_ALLOW_EMPTY_PASSWORD"),
    Name::plain("MYSQL_RANDOM_ROOT_PASSWORD"),
    Name::plain("MYSQL_ONETIME_PASSWORD"),
    Name::with_file("MYSQL_ROOT_HOST"),
    Name::with_file("MYSQL_DATABASE"),
    Name::with_file("MYSQL_USER"),
    Name::secret("MYSQL_PASSWORD"),
    Name::plain("MYSQL_INITDB_SKIP_TZINFO"),
];

/// The options that say what root's password is.
const ROOT: [&str; 3] = ["ROOT_PASSWORD", "ALLOW_EMPTY_PASSWORD", "RANDOM_ROOT_PASSWORD"];

/// The longest password of caching_sha2_password, MySQL 8's default, in bytes.
const PASSWORD: usize = 256;

/// For the question where things are: without it the server opens its binary log's index.
const NO_LOG: &str = "--log-bin-index=/tmp/minisup-asks-only.index";

/// MySQL's first start.
pub struct MySql {
    family: Family,
    remarks: Vec<Remark>,
}

impl MySql {
    /// Reads the variables.
    ///
    /// # Errors
    /// A random password is asked for, and there is no /dev/urandom.
    pub fn new(request: &Request) -> Result<MySql, Trouble> {
        let mut family = Family::new(&KIND, request);
        let mut remarks = std::mem::take(&mut family.remarks);
        remarks.extend(check(&family));
        if family.is_set("RANDOM_ROOT_PASSWORD") {
            let password = family::random_password();
            let password = password.map_err(|error| Trouble::io("read", "/dev/urandom", error))?;
            family.set("ROOT_PASSWORD", &password);
        }
        Ok(MySql { family, remarks })
    }

    /// root from elsewhere, if it may.
    fn remote_root(&self) -> Option<String> {
        let host = self.family.text("ROOT_HOST").unwrap_or("%");
        (host != "localhost").then(|| account("root", host))
    }

    fn batch(&self) -> Batch {
        let family = &self.family;
        let password = literal(family.text("ROOT_PASSWORD").unwrap_or(""));
        let mut batch = Batch::new();
        batch.add("committing each statement", "SET autocommit = 1");
        batch.add("looking at the binary log", "SET @minisup_log = @@SESSION.sql_log_bin");
        batch.add("leaving the binary log", "SET @@SESSION.sql_log_bin = 0");
        let what = "setting root's password";
        batch.add(what, format!("ALTER USER 'root'@'localhost' IDENTIFIED BY {password}"));
        batch.add(what, "GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION");
        batch.add(what, "FLUSH PRIVILEGES");
        if let Some(root) = self.remote_root() {
            let what = "creating root from elsewhere";
            batch.add(what, format!("CREATE USER {root} IDENTIFIED BY {password}"));
            batch.add(what, format!("GRANT ALL ON *.* TO {root} WITH GRANT OPTION"));
        }
        batch.add("removing the database \"test\"", "DROP DATABASE IF EXISTS test");
        batch.add("returning to the binary log", "SET @@SESSION.sql_log_bin = @minisup_log");
        let database = family.text("DATABASE");
        if let Some(name) = database {
            let statement = format!("CREATE DATABASE IF NOT EXISTS {}", identifier(name));
            batch.add(format!("creating the database {name:?}"), statement);
        }
        if let (Some(name), Some(password)) = (family.text("USER"), family.text("PASSWORD")) {
            let user = account(name, "%");
            let what = format!("creating the user {name:?}");
            batch.add(what, format!("CREATE USER {user} IDENTIFIED BY {}", literal(password)));
            if let Some(database) = database {
                let what = format!("granting {name:?} all on {database:?}");
                batch.add(what, format!("GRANT ALL ON {}.* TO {user}", granted_database(database)));
            }
        }
        batch
    }
}

impl Engine for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["mysql"]
    }

    fn variables(&self) -> Vec<Known> {
        self.family.known()
    }

    fn check(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn data_directory(&self, work: &mut Work<'_>) -> Result<PathBuf, Trouble> {
        self.family.data_directory(work, &[NO_LOG])
    }

    fn server_version(&self, work: &mut Work<'_>) -> Result<String, Trouble> {
        Ok(self.family.configuration(work, &[NO_LOG])?.version.clone())
    }

    fn is_data(&self, directory: &Path) -> bool {
        directory.join("mysql").is_dir()
    }

    fn directories(&self, work: &Work<'_>) -> Vec<(PathBuf, u32)> {
        let files = ["socket", "pid-file", "general-log-file", "keyring-file-data", "slow-query-log-file"];
        let mut found = self.family.directories(work, &files);
        // Itself a directory; the server does not start without it.
        let exports = self.family.configured("secure-file-priv").map(PathBuf::from);
        let is_wanted = |path: &PathBuf| path.is_absolute() && !path.starts_with(&work.final_data);
        found.extend(exports.filter(is_wanted).map(|path| (path, 0o750)));
        found
    }

    fn kinds(&self) -> Kinds {
        Kinds { sql: true, ..Kinds::default() }
    }

    fn initialise(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let Server { mut argv, environment, directory, .. } = self.family.temporary(work, &[]);
        argv.push("--initialize-insecure".into());
        let what = "mysqld --initialize-insecure";
        let mut task = work.task(what, argv);
        task.environment = environment;
        task.directory = directory;
        work.crew.run(task)?.success(what)?;
        self.make_certificates(work)
    }

    fn server(&self, work: &Work<'_>) -> Server {
        self.family.temporary(work, &["--loose-mysqlx=OFF"])
    }

    fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        self.family.answers(work)
    }

    fn set_up(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        self.family.know_client(work)?;
        self.family.load_time_zones(work)?;
        self.family.run(work, &self.batch())?;
        let password = self.family.text("ROOT_PASSWORD");
        self.family.log_in_with(work, password)?;
        if let Some(password) = password.filter(|_| self.family.is_set("RANDOM_ROOT_PASSWORD")) {
            voice::tell(format_args!("GENERATED ROOT PASSWORD: {password}"));
            self.family.keep_root_password(work, password)?;
        }
        Ok(())
    }

    fn resume(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        self.family.know_client(work)?;
        self.family.log_in_again(work, self.family.text("ROOT_PASSWORD"))
    }

    fn client(&self, work: &Work<'_>, _script: &Path) -> Client {
        self.family.script_client(work)
    }

    fn environment(&self, work: &Work<'_>) -> Variables {
        self.family.script_environment(work)
    }

    fn prelude(&self) -> &'static str {
        family::PRELUDE
    }

    fn finish(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        if !self.family.is_set("ONETIME_PASSWORD") {
            return Ok(());
        }
        let root = self.remote_root().unwrap_or_else(|| account("root", "localhost"));
        let mut batch = Batch::new();
        batch.add("letting root's password expire", format!("ALTER USER {root} PASSWORD EXPIRE"));
        self.family.run(work, &batch)
    }

    fn failure(&self, stderr: &str) -> Option<Failure> {
        family::failure(stderr)
    }
}

impl MySql {
    /// MySQL 5.7 has a program of its own for its TLS certificates; later servers make them themselves.
    fn make_certificates(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let tool = family::find(&["mysql_ssl_rsa_setup"], &work.request.environment);
        if !Path::new(&tool).is_absolute() || work.data.join("server-key.pem").exists() {
            return Ok(());
        }
        let mut data = OsString::from("--datadir=");
        data.push(&work.data);
        let what = "mysql_ssl_rsa_setup";
        let mut task = work.task(what, [tool, data]);
        task.environment = self.family.without_secrets(&work.environment);
        let ended = work.crew.run(task)?;
        if !ended.is_success() {
            voice::tell("warning: mysql_ssl_rsa_setup failed: the server has no TLS certificate of its own");
        }
        Ok(())
    }
}

/// The rules of MySQL's variables.
fn check(family: &Family) -> Vec<Remark> {
    let mut found = Vec::new();
    found.extend(rules::no_password_option(family, &ROOT));
    found.extend(rules::several_password_options(family, "RANDOM_ROOT_PASSWORD", &["ROOT_PASSWORD"]));
    found.extend(rules::user_is_root(family));
    found.extend(rules::half_a_user(family, &["PASSWORD"]));
    let limits = rules::Limits { user: 32, server: "MySQL" };
    found.extend(rules::names(family, limits, &["USER"], &["ROOT_HOST"]));
    for name in ["ROOT_PASSWORD", "PASSWORD"] {
        if family.text(name).is_some_and(|password| password.len() > PASSWORD) {
            found.push(Remark::warning(format!(
                "{} is longer than {PASSWORD} bytes, which caching_sha2_password (the default since MySQL 8.0) \
                 refuses",
                family.full(name)
            )));
        }
    }
    found
}
