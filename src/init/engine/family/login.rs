//! How clients log in as root, at a first start and at later ones.
//!
//! - The password goes to the client in an option file of the private directory, read after all global ones. An
//!   environment variable (MYSQL_PWD) would give way to a `password` in /etc, and MySQL is about to drop it.
//! - At a later start, for migrations, it is the one in the environment. One that was drawn at random nobody has, so
//!   a first start that is asked for migrations keeps it in a file of the data directory that only the server's user
//!   can read, who can read all the data anyway. An account of our own would own all that migrations define; a server
//!   without grants would run them without an account.

use super::Family;
use crate::init::crew::Stdin;
use crate::init::directories::write_private;
use crate::init::engine::Work;
use crate::init::trouble::Trouble;
use crate::init::voice;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

/// Where a random password is kept, in the data directory.
const KEPT: &str = ".minisup-root-password";

impl Family {
    /// From now on clients log in as root with this password.
    ///
    /// # Errors
    /// A file in the private directory cannot be written.
    pub fn log_in_with(&self, work: &Work<'_>, password: Option<&str>) -> Result<(), Trouble> {
        let escaped =
            password.map_or_else(String::new, |password| format!("\"{}\"", in_option_file(password)));
        let text = format!("[client]\npassword={escaped}\n{PLAIN}");
        write_private(work, &option_file(work), text.as_bytes())?;
        let text = format!("[client]\nsocket={}\n{PLAIN}", self.socket(work).display());
        write_private(work, &work.private.join("my.cnf"), text.as_bytes())?;
        Ok(())
    }

    /// Keeps root's random password, if migrations will need it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_root_password(&self, work: &Work<'_>, password: &str) -> Result<(), Trouble> {
        if work.request.each_start.is_none() {
            return Ok(());
        }
        write_private(work, &work.data.join(KEPT), password.as_bytes())?;
        voice::tell(format_args!(
            "root's random password is kept in {KEPT} of the data directory, for migrations; who changes it has to \
             write the new one there"
        ));
        Ok(())
    }

    /// Logs in at a later start, or after a crash: with what the variables say, or with what was kept. `given` is
    /// what the variables say root@localhost's password is.
    ///
    /// # Errors
    /// The server takes neither.
    pub fn log_in_again(&self, work: &mut Work<'_>, given: Option<&str>) -> Result<(), Trouble> {
        let kept = fs::read_to_string(work.data.join(KEPT)).ok().filter(|text| !text.is_empty());
        let is_random = self.is_set("RANDOM_ROOT_PASSWORD");
        let is_hash = self.is_set("ROOT_PASSWORD_HASH");
        // What `given` is then was drawn just now, for nobody; and beside a hash it is what it was before the hash was set.
        let asked = self.asked.get(&self.full("ROOT_PASSWORD")).and_then(OsStr::to_str);
        let given = if is_random { asked } else { given };
        let mut tries: Vec<Option<&str>> = Vec::new();
        if !is_random || given.is_some() {
            tries.push(given);
        }
        tries.extend(asked.filter(|_| is_hash).map(Some));
        tries.extend(kept.as_deref().map(Some));
        for password in tries {
            self.log_in_with(work, password)?;
            if self.knock(work)? {
                *self.taken.borrow_mut() =
                    password.filter(|_| is_random || password != given).map(str::to_owned);
                return Ok(());
            }
        }
        let name = self.full("ROOT_PASSWORD");
        Err(Trouble::Other(match (is_random, kept) {
            (true, None) => format!(
                "root's password was drawn at random, and was not kept: set {name} to what was said then as GENERATED ROOT \
                 PASSWORD"
            ),
            (_, Some(_)) => format!(
                "root@localhost takes neither {name} nor the password in {KEPT} of the data directory: was it changed since? \
                 Then write the new one into one of them"
            ),
            (false, None) if is_hash => format!(
                "only a hash is known of root@localhost's password: write the password into {KEPT} of the data directory, or \
                 into {name}"
            ),
            (false, None) => {
                format!("root@localhost does not take the password in {name}: was it changed since?")
            }
        }))
    }

    /// Whether the server lets us in.
    fn knock(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        let what = "logging in as root@localhost";
        let task = self.question(work, what, Stdin::Bytes(b"SELECT 1;\n".to_vec()));
        let ended = work.crew.run(task)?;
        match ended.complaint().contains("ERROR 1045") {
            true => Ok(false),
            false => ended.success(what).map(|_| true),
        }
    }
}

pub(super) fn option_file(work: &Work<'_>) -> PathBuf {
    work.private.join("root.cnf")
}

/// MariaDB's clients want TLS from 11.4 on, which the temporary server does not speak; MySQL's read no such group.
const PLAIN: &str = "[client-mariadb]\nskip-ssl\n";

/// A value between quotes in an option file (MySQL manual, "Using Option Files").
fn in_option_file(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            _ => out.push(c),
        }
    }
    out
}
