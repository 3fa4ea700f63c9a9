//! A backup made by mariadb-backup becomes the data directory, as the image does it.
//!
//! mariadb-backup is told of no option files: what is configured to lie elsewhere would be written there, and
//! the final directory is not to be touched yet.

use super::MariaDb;
use crate::init::directories;
use crate::init::engine::family::{self, Family};
use crate::init::engine::{Remark, Restoring, Work, set_variable};
use crate::init::trouble::Trouble;
use crate::init::voice;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where settings of the server that was backed up are kept, under the image's name for them: it is read by a server
/// whose HOME is the data directory.
pub const SETTINGS: &str = ".my.cnf";

/// What a backup is known by: files that mariadb-backup writes, the newer name first.
const SIGNS: [&str; 3] = ["mariadb_backup_checkpoints", "xtrabackup_checkpoints", "backup-my.cnf"];

/// What is to be said about variables when a backup is restored.
pub fn no_effect(family: &Family) -> Option<Remark> {
    /// These are not about a new database.
    const OTHERS: [&str; 3] =
        ["MARIADB_AUTO_UPGRADE", "MARIADB_DISABLE_UPGRADE_BACKUP", "MARIADB_HEALTHCHECK_GRANTS"];
    let names: Vec<&str> = family
        .known()
        .iter()
        .filter(|known| known.value.is_some() && !OTHERS.contains(&known.name))
        .map(|known| known.name)
        .collect();
    (!names.is_empty()).then(|| {
        Remark::warning(format!(
            "a backup is restored, with the accounts and databases that are in it: no effect has {}",
            names.join(", ")
        ))
    })
}

impl Restoring for MariaDb {
    fn restore(&self, work: &mut Work<'_>, backup: &Path) -> Result<(), Trouble> {
        let Some(backup) = root(backup) else {
            return Err(Trouble::Other(
                "what was unpacked is no backup by mariadb-backup: neither it nor the one directory in it has a \
                 mariadb_backup_checkpoints or xtrabackup_checkpoints"
                    .into(),
            ));
        };
        self.backup_program(work, "preparing the backup", &["--prepare".into()], &backup)?;
        let mut data = OsString::from("--datadir=");
        data.push(&work.data);
        self.backup_program(work, "moving the backup", &["--move-back".into(), data], &backup)?;
        let settings = backup.join("backup-my.cnf");
        if let Ok(text) = fs::read(&settings) {
            directories::write_private(work, &work.data.join(SETTINGS), &text)?;
            voice::tell(format_args!(
                "the settings of the server that was backed up are kept in {SETTINGS} of the data directory, where a server \
                 finds them whose HOME it is"
            ));
        }
        match work.data.join("mysql").is_dir() {
            true => Ok(()),
            false => {
                Err(Trouble::Other("the backup has no system tables: was it one of all databases?".into()))
            }
        }
    }
}

impl MariaDb {
    fn backup_program(
        &self,
        work: &mut Work<'_>,
        what: &str,
        words: &[OsString],
        backup: &Path,
    ) -> Result<(), Trouble> {
        let program = family::find(&["mariadb-backup", "mariabackup"], &work.request.environment);
        let mut target = OsString::from("--target-dir=");
        target.push(backup);
        let mut argv = vec![program, "--no-defaults".into()];
        argv.extend(words.iter().cloned());
        argv.push(target);
        let mut task = work.task(what, argv);
        task.environment = self.family.without_secrets(&work.environment);
        task.directory = Some(backup.to_owned());
        set_variable(&mut task.environment, "TMPDIR", &work.private);
        work.crew.run(task)?.success(what).map(drop)
    }
}

/// The directory that is the backup: this one, or the only one in it.
fn root(unpacked: &Path) -> Option<PathBuf> {
    let is_backup = |folder: &Path| SIGNS.iter().any(|sign| folder.join(sign).is_file());
    if is_backup(unpacked) {
        return Some(unpacked.to_owned());
    }
    let entries = fs::read_dir(unpacked).ok()?.flatten().map(|entry| entry.path());
    let mut backups = entries.filter(|path| is_backup(path));
    backups.next().filter(|_| backups.next().is_none())
}
