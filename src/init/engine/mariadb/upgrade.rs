//! MARIADB_AUTO_UPGRADE: mariadb-upgrade, when the server is another one than the system tables are of.
//!
//! Which version they are of is in a file that mariadb-install-db and mariadb-upgrade write. Nobody's password is
//! known at a later start, so the temporary server has --skip-grant-tables, as the image's has; its socket is where
//! only the server's own user comes, who may read the files anyway.

use super::{HEALTHCHECK, MariaDb};
use crate::init::engine::family;
use crate::init::engine::sql::Batch;
use crate::init::engine::{Due, Engine, Server, Upgrading, Work};
use crate::init::trouble::Trouble;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// The file with the version, by its names: since 11.0, and before.
const VERSION: [&str; 2] = ["mariadb_upgrade_info", "mysql_upgrade_info"];

impl Upgrading for MariaDb {
    fn due(&self, work: &mut Work<'_>) -> Result<Option<Due>, Trouble> {
        let family = &self.family;
        let found = VERSION.iter().find_map(|name| fs::read_to_string(work.data.join(name)).ok());
        let from =
            found.map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned()).filter(|text| !text.is_empty());
        let is_asked = family.text("AUTO_UPGRADE").is_some_and(|value| value != "0");
        let accounts = is_asked && !work.data.join(HEALTHCHECK).exists();
        let to = self.server_version(work)?;
        // An older server than the tables': mariadb-upgrade does not lead back.
        let tables = from.as_deref().is_none_or(|from| release(from) < release(&to));
        Ok((tables || accounts).then(|| Due {
            from,
            to,
            tables,
            accounts,
            is_asked,
            is_backed_up: family.text("DISABLE_UPGRADE_BACKUP") != Some("1"),
            how_to_ask: "MARIADB_AUTO_UPGRADE=1",
        }))
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        release(one) == release(other)
    }

    fn server(&self, work: &Work<'_>) -> Server {
        let mut server = Engine::server(self, work);
        server.argv.push("--skip-grant-tables".into());
        server
    }

    fn back_up(&self, work: &mut Work<'_>, file: &Path) -> Result<(), Trouble> {
        let mut result = OsString::from("--result-file=");
        result.push(file);
        let words = ["--skip-lock-tables", "--replace", "--databases", "mysql"].map(OsString::from);
        let words = words.into_iter().chain([result]);
        self.tool(work, "keeping the system tables", &["mariadb-dump", "mysqldump"], words)
    }

    fn upgrade(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let words = ["--upgrade-system-tables".into()];
        self.tool(work, "mariadb-upgrade", &["mariadb-upgrade", "mysql_upgrade"], words)
    }

    fn add_accounts(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let password =
            family::random_password().map_err(|error| Trouble::io("read", "/dev/urandom", error))?;
        let mut batch = Batch::new();
        batch.add("leaving the binary log", "SET @@SESSION.sql_log_bin = 0");
        batch.add("reading the accounts", "FLUSH PRIVILEGES");
        self.add_healthcheck(&mut batch, &password);
        self.family.run(work, &batch)?;
        self.write_healthcheck(work, &password)
    }
}

impl MariaDb {
    fn tool(
        &self,
        work: &mut Work<'_>,
        what: &str,
        names: &[&str],
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<(), Trouble> {
        let program = family::find(names, &work.request.environment);
        let task = self.family.tool(work, what, program, words);
        work.crew.run(task)?.success(what).map(drop)
    }
}

/// `10.11` of `10.11.6-MariaDB-0+deb12u1`.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_major_and_minor_and_ten_is_more_than_nine() {
        assert_eq!(release("10.11.6-MariaDB-0+deb12u1"), (10, 11));
        assert!(
            release("10.6.21-MariaDB") < release("10.11.6-MariaDB") && release("11.4.2") > release("10.11.6")
        );
        assert_eq!(release("nonsense"), (0, 0));
    }
}
