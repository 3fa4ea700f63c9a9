//! The client: what it finds in its environment, what it said when it failed.
//!
//! - Plain clients in scripts are led to the temporary server by MYSQL_HOME: its `my.cnf` is read after
//!   /etc/mysql, and Debian's has a `socket` that would win over MYSQL_UNIX_PORT.
//! - What a failed client says is cut to the server's message: the client repeats the whole statement
//!   before it, and statements hold passwords.

use super::login::option_file;
use super::{Family, option};
use crate::init::crew::{Stdin, Task};
use crate::init::engine::sql::Batch;
use crate::init::engine::{Client, Failure, Variables, Work, remove_variable, set_variable};
use crate::init::trouble::Trouble;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

impl Family {
    /// The client with what all its uses share. `--defaults-extra-file` has to be first.
    fn client_argv(&self, work: &Work<'_>) -> Vec<OsString> {
        let mut argv = vec![self.client.clone(), option("--defaults-extra-file=", &option_file(work))];
        argv.extend(["--protocol=socket", "--user=root", "--host=localhost"].map(OsString::from));
        argv.push(option("--socket=", &self.socket(work)));
        argv.push(format!("--default-character-set={}", self.charset).into());
        argv
    }

    /// A client with our own SQL, which is UTF-8 whatever scripts are.
    pub(super) fn question<'t>(&self, work: &Work<'_>, what: &str, stdin: Stdin<'t>) -> Task<'t> {
        let mut argv = self.client_argv(work);
        argv.pop();
        argv.extend(["--default-character-set=utf8mb4", "--binary-mode"].map(OsString::from));
        let environment = self.client_environment(work);
        Task { what: what.to_owned(), argv, environment, who: work.who.clone(), stdin, ..Task::default() }
    }

    /// The client that reads a script.
    pub fn script_client(&self, work: &Work<'_>) -> Client {
        let mut argv = self.client_argv(work);
        argv.extend(self.kind.client_always.iter().map(OsString::from));
        argv.extend(self.client_option.get().copied().flatten().map(OsString::from));
        argv.extend(self.text("DATABASE").map(|name| format!("--database={name}").into()));
        Client { argv, environment: self.client_environment(work) }
    }

    /// Another tool that logs in as root.
    pub fn tool(
        &self,
        work: &Work<'_>,
        what: &str,
        program: OsString,
        words: impl IntoIterator<Item = OsString>,
    ) -> Task<'static> {
        let mut argv = vec![program, option("--defaults-extra-file=", &option_file(work))];
        argv.extend(["--protocol=socket", "--user=root", "--host=localhost"].map(OsString::from));
        argv.push(option("--socket=", &self.socket(work)));
        argv.extend(words);
        let environment = self.client_environment(work);
        Task { what: what.to_owned(), argv, environment, who: work.who.clone(), ..Task::default() }
    }

    /// Learns what the client can, if there is anything for it to read.
    ///
    /// # Errors
    /// It cannot be launched.
    pub fn know_client(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let has_scripts =
            |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        let mut folders = work.request.each_start.iter().chain([&work.request.directory]);
        if self.client_option.get().is_none() && folders.any(|folder| has_scripts(folder)) {
            let mut task = work.task("a look at the client", [self.client.as_os_str(), OsStr::new("--help")]);
            task.keep = 256 * 1024;
            task.environment = self.without_secrets(&work.environment);
            let help = work.crew.run(task)?.text();
            let (name, option) = self.kind.client_option;
            let has = help.lines().any(|line| line.split_whitespace().next() == Some(name));
            let _ = self.client_option.set(has.then_some(option));
        }
        Ok(())
    }

    /// A client finds our option files only, and no secret in its environment.
    fn client_environment(&self, work: &Work<'_>) -> Variables {
        let mut environment = self.without_secrets(&work.environment);
        lead_astray_no_more(&mut environment);
        // ~/.my.cnf is read last of all, and ~/.mylogin.cnf even later.
        set_variable(&mut environment, "HOME", &work.private);
        remove_variable(&mut environment, "MYSQL_TEST_LOGIN_FILE");
        environment
    }

    /// What scripts find: the variables under all their names, and the way to the temporary server.
    pub fn script_environment(&self, work: &Work<'_>) -> Variables {
        let mut environment = self.without_secrets(&work.environment);
        lead_astray_no_more(&mut environment);
        for (name, value) in self.given.environment() {
            set_variable(&mut environment, name, value);
        }
        if let Some(password) = &*self.taken.borrow() {
            for name in ["MYSQL_ROOT_PASSWORD".to_owned(), self.full("ROOT_PASSWORD")] {
                set_variable(&mut environment, name, password);
            }
        }
        for (name, value) in [
            ("MYSQL_HOME", work.private.as_os_str()),
            ("MYSQL_UNIX_PORT", self.socket(work).as_os_str()),
            ("SOCKET", self.socket(work).as_os_str()),
            ("DATADIR", work.data.as_os_str()),
            ("MINISUP_CLIENT", self.client.as_os_str()),
            ("MINISUP_CLIENT_OPTIONS", option_file(work).as_os_str()),
        ] {
            set_variable(&mut environment, name, value);
        }
        environment
    }

    /// Runs a batch as root.
    ///
    /// # Errors
    /// [`Trouble::Program`], which says what could not be done and what the server said, and no statement.
    pub fn run(&self, work: &mut Work<'_>, batch: &Batch) -> Result<(), Trouble> {
        let what = "setting up the database".to_owned();
        let task = self.question(work, &what, Stdin::Bytes(batch.text()));
        let ended = work.crew.run(task)?;
        if ended.is_success() {
            return Ok(());
        }
        let failure = failure(&ended.complaint()).unwrap_or_default();
        let purpose = failure.line.and_then(|line| batch.purpose_of_line(line));
        Err(Trouble::Program {
            what: purpose.map_or(what, str::to_owned),
            outcome: ended.outcome,
            tail: self.redacted(&failure.message),
        })
    }

    /// A server's message without the values of secrets: the syntax error of a server quotes what it read.
    fn redacted(&self, message: &str) -> String {
        /// Shorter ones would blacken half of every message.
        const SHORTEST: usize = 4;
        let secrets = self.kind.known.iter().filter(|known| known.is_secret);
        let values = secrets.filter_map(|known| self.given.get(known.name)?.to_str());
        let values = values.filter(|value| value.len() >= SHORTEST);
        values.fold(message.to_owned(), |text, value| text.replace(value, "***"))
    }
}

/// What a failed client said last. `at line N in file: '…'` is a line of a file that it was told
/// to read, not of the script.
pub fn failure(stderr: &str) -> Option<Failure> {
    let message = stderr.lines().rev().find(|line| line.starts_with("ERROR "))?;
    let line = message.split_once(" at line ").and_then(|(_, rest)| {
        let (number, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        number.parse().ok().filter(|_| rest.starts_with(':'))
    });
    Some(Failure { line, message: message.to_owned() })
}

/// What scripts that are sourced expect of the images' entrypoint.
pub const PRELUDE: &str = include_str!("prelude.sh");

/// Variables that lead a client elsewhere.
fn lead_astray_no_more(environment: &mut Variables) {
    for name in
        ["MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_PWD", "MYSQL_GROUP_SUFFIX", "MARIADB_HOME", "MYSQL_HOME"]
    {
        remove_variable(environment, name);
    }
}
