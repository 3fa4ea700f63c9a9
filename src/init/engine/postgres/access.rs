//! Who is let in: pg_hba.conf, the cluster's and the temporary server's.

use super::{PROGRAM, Postgres, place, rules};
use crate::init::directories::write_private;
use crate::init::engine::Work;
use crate::init::trouble::Trouble;
use std::fs;
use std::path::PathBuf;

impl Postgres {
    /// Lets everybody in by network who can say the password, as the image does.
    pub(super) fn add_host_line(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let method = match &self.settings.method {
            Some(method) => method.clone(),
            None => {
                let what = "asking for password_encryption";
                let mut task = work.task(what, [self.program(PROGRAM)]);
                task.argv.extend(self.arguments.iter().cloned());
                task.argv.extend(["-D".into(), work.data.clone().into_os_string()]);
                task.argv.extend(["-C", "password_encryption"].map(Into::into));
                rules::asked_method(work.crew.run(task)?.success(what)?.text().trim()).to_owned()
            }
        };
        let path = work.data.join("pg_hba.conf");
        let mut text = fs::read_to_string(&path).map_err(|error| Trouble::io("read", &path, error))?;
        text.push('\n');
        if method == "trust" {
            text.push_str(
                "# warning trust is enabled for all connections\n\
                 # see https://www.postgresql.org/docs/current/auth-trust.html\n",
            );
        }
        text.push_str(&format!("host all all all {method}\n"));
        place::write_down(&path, text.as_bytes())
    }

    /// If the cluster's own rules let nobody in by socket who only has a password (`--auth-local=peer`), the
    /// temporary server gets rules of its own: who can open the socket is the server's user anyway.
    pub(super) fn own_rules(&self, work: &Work<'_>) -> Option<PathBuf> {
        let text = fs::read_to_string(work.data.join("pg_hba.conf")).ok()?;
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let local = lines.find(|words| matches!(words[..], ["local", "all", "all", _, ..]))?;
        if ["trust", "scram-sha-256", "md5", "password"].contains(&local[3]) {
            return None;
        }
        let path = work.private.join("pg_hba.conf");
        write_private(work, &path, b"local all all trust\nlocal replication all trust\n").ok()?;
        Some(path)
    }
}
