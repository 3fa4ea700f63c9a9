//! MariaDB: mariadb-install-db, a server on a private socket, one batch of SQL.
//!
//! What the official image makes of MARIADB_* (and of the older MYSQL_* names) is made here, and differently
//! in these points:
//!
//! - `MARIADB_USER=root` is refused before anything is touched, as MySQL's image does.
//! - Names the server cannot keep, and privileges that are none, are refused before as well.
//! - With a root hash root@localhost has no password while scripts run, instead of a random one: nobody but
//!   them can reach the server, and a start that was interrupted can go on.
//! - mariadb-install-db is called with `--cross-bootstrap`: it makes no account for a host name that is
//!   another one in the next container.

mod restore;
mod upgrade;

use super::family::{self, Family, Kind, rules};
use super::sql::{Batch, account, granted_database, identifier, literal};
use super::{Client, Engine, Failure, Kinds, Known, Remark, Restoring, Server, Upgrading, Variables, Work};
use crate::init::Request;
use crate::init::directories::write_private;
use crate::init::trouble::Trouble;
use crate::init::variables::Name;
use crate::init::voice;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// MariaDB's own half of what the two servers share.
const KIND: Kind = Kind {
    prefix: "MARIADB",
    servers: &["mariadbd", "mysqld"],
    clients: &["mariadb", "mysql"],
    zone_tools: &["mariadb-tzinfo-to-sql", "mysql_tzinfo_to_sql"],
    known: KNOWN,
    // A client that repeats a failed statement of a megabyte floods the log; we say line and first words.
    client_option: ("--print-query-on-error", "--skip-print-query-on-error"),
    client_always: &[],
};

/// The variables of the official image.
const KNOWN: &[Name] = &[
    Name::secret("MARIADB_ROOT_PASSWORD").formerly("MYSQL_ROOT_PASSWORD"),
    Name::secret("MARIADB_ROOT_PASSWORD_HASH"),
    Name::plain("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD").formerly("MYSQL_ALLOW_EMPTY_PASSWORD"),
    Name::plain("MARIADB_RANDOM_ROOT_PASSWORD").formerly("MYSQL_RANDOM_ROOT_PASSWORD"),
    Name::with_file("MARIADB_ROOT_HOST").formerly("MYSQL_ROOT_HOST"),
    Name::with_file("MARIADB_DATABASE").formerly("MYSQL_DATABASE"),
    Name::with_file("MARIADB_USER").formerly("MYSQL_USER"),
    Name::plain("MARIADB_USER_HOST"),
    Name::secret("MARIADB_PASSWORD").formerly("MYSQL_PASSWORD"),
    Name::secret("MARIADB_PASSWORD_HASH"),
    Name::plain("MARIADB_INITDB_SKIP_TZINFO").formerly("MYSQL_INITDB_SKIP_TZINFO"),
    Name::plain("MARIADB_MYSQL_LOCALHOST_USER"),
    Name::plain("MARIADB_MYSQL_LOCALHOST_GRANTS"),
    Name::plain("MARIADB_HEALTHCHECK_GRANTS"),
    Name::with_file("MARIADB_REPLICATION_USER"),
    Name::secret("MARIADB_REPLICATION_PASSWORD"),
    Name::secret("MARIADB_REPLICATION_PASSWORD_HASH"),
    Name::with_file("MARIADB_MASTER_HOST"),
    Name::with_file("MARIADB_MASTER_PORT"),
    Name::plain("MARIADB_AUTO_UPGRADE"),
    Name::plain("MARIADB_DISABLE_UPGRADE_BACKUP"),
];

/// The options that say what root's password is.
const ROOT: [&str; 4] =
    ["ROOT_PASSWORD", "ROOT_PASSWORD_HASH", "ALLOW_EMPTY_ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD"];

/// What the image's healthcheck.sh logs in with.
const HEALTHCHECK: &str = ".my-healthcheck.cnf";

/// Where the account `healthcheck` may come from.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

/// What the temporary server gets besides what both get.
const TEMPORARY: &[&str] = &[
    "--loose-wsrep_on=OFF",
    "--expire-logs-days=0",
    "--skip-slave-start",
    "--loose-innodb_buffer_pool_load_at_startup=0",
    "--skip-ssl",
];

/// MariaDB's first start.
pub struct MariaDb {
    family: Family,
    remarks: Vec<Remark>,
}

impl MariaDb {
    /// Reads the variables.
    ///
    /// # Errors
    /// A random password is asked for, and there is no /dev/urandom.
    pub fn new(request: &Request) -> Result<MariaDb, Trouble> {
        let mut family = Family::new(&KIND, request);
        let mut remarks = std::mem::take(&mut family.remarks);
        match has_backup(&request.directory) {
            false => {
                remarks.extend(check(&family));
                remarks.extend(migrations_need_a_password(&family, request));
            }
            true => remarks.extend(restore::no_effect(&family)),
        }
        if family.is_set("RANDOM_ROOT_PASSWORD") {
            let password = family::random_password();
            let password = password.map_err(|error| Trouble::io("read", "/dev/urandom", error))?;
            family.set("ROOT_PASSWORD", &password);
        }
        Ok(MariaDb { family, remarks })
    }

    /// What root@localhost logs in with while scripts run.
    fn password(&self) -> Option<&str> {
        let family = &self.family;
        let is_empty = family.is_set("ROOT_PASSWORD_HASH");
        family.text("ROOT_PASSWORD").filter(|_| !is_empty)
    }

    /// All accounts and databases, in one batch.
    fn batch(&self, healthcheck: &str) -> Batch {
        let family = &self.family;
        let mut batch = Batch::new();
        batch.add("looking at the binary log", "SET @minisup_log = @@SESSION.sql_log_bin");
        batch.add("leaving the binary log", "SET @@SESSION.sql_log_bin = 0");
        batch.add("removing needless root accounts", "DROP USER IF EXISTS root@'127.0.0.1', root@'::1'");
        batch.add(
            "removing root of this host's name",
            "EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@', QUOTE(@@hostname))",
        );
        if let Some(password) = self.password() {
            let statement = format!("SET PASSWORD FOR root@localhost = PASSWORD({})", literal(password));
            batch.add("setting root's password", statement);
        }
        self.add_remote_root(&mut batch);
        self.add_local_accounts(&mut batch, healthcheck);
        batch.add("returning to the binary log", "SET @@SESSION.sql_log_bin = @minisup_log");
        if let Some(name) = family.text("DATABASE") {
            let statement = format!("CREATE DATABASE IF NOT EXISTS {}", identifier(name));
            batch.add(format!("creating the database {name:?}"), statement);
        }
        self.add_user(&mut batch);
        self.add_replication(&mut batch);
        batch
    }

    /// root from elsewhere.
    fn add_remote_root(&self, batch: &mut Batch) {
        let family = &self.family;
        let host = family.text("ROOT_HOST").unwrap_or("%");
        if host == "localhost" {
            return;
        }
        let root = account("root", host);
        let secret = match family.text("ROOT_PASSWORD_HASH") {
            Some(hash) => format!("PASSWORD {}", literal(hash)),
            None => literal(self.password().unwrap_or("")),
        };
        let what = format!("creating root@{host:?}");
        batch.add(&what, format!("CREATE USER {root} IDENTIFIED BY {secret}"));
        batch.add(&what, format!("GRANT ALL ON *.* TO {root} WITH GRANT OPTION"));
        batch.add(&what, format!("GRANT PROXY ON ''@'%' TO {root} WITH GRANT OPTION"));
    }

    /// `healthcheck` and `mysql`, which nobody reaches from elsewhere.
    fn add_local_accounts(&self, batch: &mut Batch, healthcheck: &str) {
        let family = &self.family;
        if family.is_set("MYSQL_LOCALHOST_USER") {
            let what = "creating mysql@localhost";
            batch.add(what, "CREATE USER mysql@localhost IDENTIFIED VIA unix_socket");
            if let Some(grants) = family.text("MYSQL_LOCALHOST_GRANTS") {
                batch.add(what, format!("GRANT {grants} ON *.* TO mysql@localhost"));
            }
        }
        self.add_healthcheck(batch, healthcheck);
    }

    fn add_healthcheck(&self, batch: &mut Batch, password: &str) {
        let grants = self.family.text("HEALTHCHECK_GRANTS").unwrap_or("USAGE");
        for host in LOOPBACK {
            let user = account("healthcheck", host);
            let what = "creating the accounts of the health check";
            batch.add(what, format!("CREATE OR REPLACE USER {user} IDENTIFIED BY {}", literal(password)));
            batch.add(what, format!("GRANT {grants} ON *.* TO {user}"));
        }
    }

    fn add_user(&self, batch: &mut Batch) {
        let family = &self.family;
        let Some(name) = family.text("USER") else { return };
        let secret = match (family.text("PASSWORD_HASH"), family.text("PASSWORD")) {
            (Some(hash), _) => format!("PASSWORD {}", literal(hash)),
            (None, Some(password)) => literal(password),
            (None, None) => return,
        };
        let user = account(name, family.text("USER_HOST").unwrap_or("%"));
        let what = format!("creating the user {name:?}");
        batch.add(what, format!("CREATE USER {user} IDENTIFIED BY {secret}"));
        if let Some(database) = family.text("DATABASE") {
            let what = format!("granting {name:?} all on {database:?}");
            batch.add(what, format!("GRANT ALL ON {}.* TO {user}", granted_database(database)));
        }
    }

    /// The account replicas log in with, or, for a replica, where its primary is.
    fn add_replication(&self, batch: &mut Batch) {
        let family = &self.family;
        let Some(name) = family.text("REPLICATION_USER") else { return };
        let password = family.text("REPLICATION_PASSWORD");
        if let Some(host) = family.text("MASTER_HOST") {
            let port = family.text("MASTER_PORT").unwrap_or("3306");
            let (host, user) = (literal(host), literal(name));
            let password = literal(password.unwrap_or(""));
            batch.add(
                "pointing the replica at its primary",
                format!(
                    "CHANGE MASTER TO MASTER_HOST={host}, MASTER_USER={user}, MASTER_PASSWORD={password}, \
                     MASTER_PORT={port}, MASTER_CONNECT_RETRY=10"
                ),
            );
            return;
        }
        let secret = match (family.text("REPLICATION_PASSWORD_HASH"), password) {
            (Some(hash), _) => format!("PASSWORD {}", literal(hash)),
            (None, Some(password)) => literal(password),
            (None, None) => return,
        };
        let user = account(name, "%");
        let what = format!("creating the replication user {name:?}");
        batch.add(&what, format!("CREATE USER {user} IDENTIFIED BY {secret}"));
        batch.add(&what, format!("GRANT REPLICATION SLAVE ON *.* TO {user}"));
    }

    /// What the image's healthcheck.sh logs in with.
    fn write_healthcheck(&self, work: &Work<'_>, password: &str) -> Result<(), Trouble> {
        let family = &self.family;
        let port = family.configured("port").unwrap_or("3306");
        let socket = family.configured("socket").unwrap_or("/run/mysqld/mysqld.sock");
        let text = format!(
            "[mariadb-client]\nport={port}\nsocket={socket}\nuser=healthcheck\npassword={password}\nprotocol=tcp\n"
        );
        write_private(work, &work.data.join(HEALTHCHECK), text.as_bytes())
    }
}

impl Engine for MariaDb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["mysql", "mariadb"]
    }

    fn variables(&self) -> Vec<Known> {
        self.family.known()
    }

    fn check(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    /// It takes any directory for a database, even one with a dot in front, but for its own temporary tables'.
    fn aside(&self) -> &'static str {
        "#sql-minisup-failed-"
    }

    fn data_directory(&self, work: &mut Work<'_>) -> Result<PathBuf, Trouble> {
        self.family.data_directory(work, &[])
    }

    fn server_version(&self, work: &mut Work<'_>) -> Result<String, Trouble> {
        Ok(self.family.configuration(work, &[])?.version.clone())
    }

    fn is_data(&self, directory: &Path) -> bool {
        directory.join("mysql").is_dir()
    }

    fn directories(&self, work: &Work<'_>) -> Vec<(PathBuf, u32)> {
        self.family.directories(work, &["socket", "pid-file"])
    }

    fn kinds(&self) -> Kinds {
        Kinds { sql: true, backups: true, ..Kinds::default() }
    }

    fn initialise(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let program = family::find(&["mariadb-install-db", "mysql_install_db"], &work.request.environment);
        let mut argv = vec![program, "--rpm".into(), "--auth-root-authentication-method=normal".into()];
        let led = self.family.led_into(&work.data, &work.final_data);
        for argument in elsewhere(&self.family.arguments).into_iter().chain(led) {
            let is_split = |byte: &u8| byte.is_ascii_whitespace() || b"*?[".contains(byte);
            if argument.as_bytes().iter().any(is_split) {
                // It is a script of the shell that splits and globs what it passes on.
                voice::tell(format_args!(
                    "warning: mariadb-install-db cannot take the argument {}: the data directory is made without it",
                    argument.display()
                ));
            } else {
                argv.push(argument);
            }
        }
        argv.extend(
            [
                "--skip-test-db",
                "--cross-bootstrap",
                // System tables are of other engines, and time zones are not there yet.
                "--enforce-storage-engine=",
                "--default-time-zone=SYSTEM",
                "--skip-log-bin",
                "--expire-logs-days=0",
                "--loose-innodb_buffer_pool_load_at_startup=0",
                "--loose-innodb_buffer_pool_dump_at_shutdown=0",
            ]
            .map(OsString::from),
        );
        let mut data = OsString::from("--datadir=");
        data.push(&work.data);
        argv.push(data);
        argv.extend(self.family.as_root(work));
        let what = "mariadb-install-db";
        let mut task = work.task(what, argv);
        task.environment = self.family.without_secrets(&work.environment);
        // Temporary tables are named by process number, which two containers with one /tmp share.
        super::set_variable(&mut task.environment, "TMPDIR", &work.private);
        let ended = work.crew.run(task)?;
        match work.data.join("mysql").is_dir() || !ended.is_success() {
            true => ended.success(what).map(drop),
            false => {
                Err(Trouble::Other(format!("{what} has made no system tables in {}", work.data.display())))
            }
        }
    }

    fn server(&self, work: &Work<'_>) -> Server {
        let mut server = self.family.temporary(work, TEMPORARY);
        if work.data.join(restore::SETTINGS).is_file() {
            super::set_variable(&mut server.environment, "HOME", &work.data);
        }
        server
    }

    fn upgrading(&self) -> Option<&dyn Upgrading> {
        Some(self)
    }

    fn restoring(&self) -> Option<&dyn Restoring> {
        Some(self)
    }

    fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        self.family.answers(work)
    }

    fn set_up(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        self.family.know_client(work)?;
        self.family.load_time_zones(work)?;
        let healthcheck =
            family::random_password().map_err(|error| Trouble::io("read", "/dev/urandom", error))?;
        self.family.run(work, &self.batch(&healthcheck))?;
        self.write_healthcheck(work, &healthcheck)?;
        self.family.log_in_with(work, self.password())?;
        if let Some(password) = self.password().filter(|_| self.family.is_set("RANDOM_ROOT_PASSWORD")) {
            voice::tell(format_args!("GENERATED ROOT PASSWORD: {password}"));
            self.family.keep_root_password(work, password)?;
        }
        Ok(())
    }

    fn resume(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        self.family.know_client(work)?;
        self.family.log_in_again(work, self.password())
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
        let Some(hash) = self.family.text("ROOT_PASSWORD_HASH") else { return Ok(()) };
        let mut batch = Batch::new();
        batch.add("leaving the binary log", "SET @@SESSION.sql_log_bin = 0");
        let statement = format!("SET PASSWORD FOR root@localhost = {}", literal(hash));
        batch.add("setting the hash of root's password", statement);
        self.family.run(work, &batch)
    }

    fn failure(&self, stderr: &str) -> Option<Failure> {
        family::failure(stderr)
    }
}

/// The server's arguments without those that say where its data is and who it is: mariadb-install-db acts on
/// them itself, wherever they stand.
fn elsewhere(arguments: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let is =
            |name: &str| bytes.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='));
        match bytes {
            // The value is the next word.
            b"--datadir" | b"--data" | b"--user" | b"-h" | b"-u" => drop(words.next()),
            [b'-', b'h' | b'u', ..] => {}
            _ if ["--datadir", "--data", "--ldata", "--user"].iter().any(|name| is(name)) => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// The rules of MariaDB's variables.
fn check(family: &Family) -> Vec<Remark> {
    let mut found = Vec::new();
    let both = |one: &str, other: &str| family.is_set(one) && family.is_set(other);
    found.extend(rules::no_password_option(family, &ROOT));
    if ["ROOT_PASSWORD", "ALLOW_EMPTY_ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD"]
        .iter()
        .any(|other| both("ROOT_PASSWORD_HASH", other))
    {
        found.push(Remark::error(
            "cannot specify MARIADB_ROOT_PASSWORD_HASH and another MARIADB_ROOT_PASSWORD* option",
        ));
    }
    found.extend(rules::several_password_options(family, "RANDOM_ROOT_PASSWORD", &["ROOT_PASSWORD"]));
    if both("PASSWORD", "PASSWORD_HASH") {
        found.push(Remark::error("cannot specify both MARIADB_PASSWORD and MARIADB_PASSWORD_HASH"));
    }
    found.extend(rules::user_is_root(family));
    found.extend(rules::half_a_user(family, &["PASSWORD", "PASSWORD_HASH"]));
    found.extend(check_replication(family));
    let limits = rules::Limits { user: 128, server: "MariaDB" };
    found.extend(rules::names(family, limits, &["USER", "REPLICATION_USER"], &["ROOT_HOST", "USER_HOST"]));
    found.extend(rules::privileges(family, "MYSQL_LOCALHOST_GRANTS"));
    found.extend(rules::privileges(family, "HEALTHCHECK_GRANTS"));
    let grants = family.text("MYSQL_LOCALHOST_GRANTS");
    if grants.is_some_and(|grants| !grants.trim().eq_ignore_ascii_case("USAGE")) {
        found.push(Remark::warning(
            "MARIADB_MYSQL_LOCALHOST_GRANTS gives mysql@localhost more than USAGE: whoever runs as the \
             server's user needs no password for it",
        ));
    }
    found
}

/// Whether there is a backup among the scripts: it has accounts and passwords of its own.
fn has_backup(directory: &Path) -> bool {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_backup = |name: &OsString| {
        !name.as_bytes().starts_with(b".")
            && [".tar.gz", ".tar.xz", ".tar.zst"].iter().any(|end| name.as_bytes().ends_with(end.as_bytes()))
    };
    names.into_iter().any(|name| is_backup(&name))
}

/// With a hash nobody could log in for migrations, after all else was done.
fn migrations_need_a_password(family: &Family, request: &Request) -> Option<Remark> {
    let each = request.each_start.as_ref().filter(|_| family.is_set("ROOT_PASSWORD_HASH"))?;
    let has_any = std::fs::read_dir(each).is_ok_and(|mut entries| entries.next().is_some());
    has_any.then(|| {
        Remark::error(format!(
            "MARIADB_ROOT_PASSWORD_HASH and migrations ({}): they log in as root, by a password that only its hash is known of. \
             Give MARIADB_ROOT_PASSWORD instead, or have these files among the scripts of the first start",
            each.display()
        ))
    })
}

fn check_replication(family: &Family) -> Vec<Remark> {
    let mut found = Vec::new();
    let is_replica = family.is_set("MASTER_HOST");
    if is_replica && !family.is_set("REPLICATION_USER") {
        found.push(Remark::error(
            "MARIADB_MASTER_HOST needs MARIADB_REPLICATION_USER and MARIADB_REPLICATION_PASSWORD: \
             the replica logs in with them",
        ));
    } else if is_replica && !family.is_set("REPLICATION_PASSWORD") {
        found.push(Remark::error(
            "a replica needs MARIADB_REPLICATION_PASSWORD: it cannot log in with a hash",
        ));
    } else if family.is_set("REPLICATION_USER")
        && !family.is_set("REPLICATION_PASSWORD")
        && !family.is_set("REPLICATION_PASSWORD_HASH")
    {
        found.push(Remark::error(
            "MARIADB_REPLICATION_USER needs MARIADB_REPLICATION_PASSWORD or MARIADB_REPLICATION_PASSWORD_HASH",
        ));
    }
    if family.text("MASTER_PORT").is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        found.push(Remark::error("MARIADB_MASTER_PORT is no port: it has to be a number from 1 to 65535"));
    }
    found
}
