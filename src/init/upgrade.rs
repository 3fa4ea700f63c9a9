//! System tables follow their server to another version.
//!
//! Whether they have to, the engine knows; whether they may, a variable says. They are kept first, in a file in
//! the data directory, and each step is in the journal: an upgrade that was interrupted is gone on with at the next
//! start, whatever the variable says then, for tables between two versions are worse than either. What was kept
//! before it began is not written over by what is half upgraded.

use super::engine::{Due, Engine, Upgrading, Work};
use super::in_place::{self, with_server};
use super::journal::{self, Journal, Upgrade};
use super::trouble::Trouble;
use super::voice::tell;
use super::{ground, journal::stamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Upgrades the tables of `work.data` if that is due and was asked for. If nothing is due nothing is launched.
///
/// # Errors
/// The server cannot be started, or a program failed; the next start goes on. Or an upgrade to another version
/// than the server's was begun.
pub fn run(engine: &dyn Engine, work: &mut Work<'_>) -> Result<(), Trouble> {
    let Some(upgrading) = engine.upgrading() else { return Ok(()) };
    let (record, name) = Journal::of_data(&work.data)?;
    let begun = record.as_ref().and_then(|record| record.upgrades.last()).filter(|last| last.ended.is_none());
    let due = upgrading.due(work)?;
    if let Some(begun) = begun
        && let version = engine.server_version(work)?
        && !upgrading.is_same(&begun.to, &version)
    {
        return Err(another_version(work, begun, &version));
    }
    let Some(mut due) = due.or_else(|| begun.map(remaining)) else { return Ok(()) };
    if begun.is_some() {
        tell(format_args!("an upgrade to {} was interrupted: going on", due.to));
        due.tables = true;
    } else if !due.is_asked {
        if due.tables {
            tell(skipped(work, &due));
        }
        return Ok(());
    }
    let mut record = match record {
        Some(record) => record,
        None => Journal::begin(engine.name(), &due.to, &engine.variables())?,
    };
    if due.tables {
        upgrade_tables(engine, work, &due, &mut record, name)?;
    }
    if due.accounts {
        with_upgrading(engine, work, |upgrading, work| upgrading.add_accounts(work))?;
    }
    Ok(())
}

fn upgrade_tables(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    due: &Due,
    record: &mut Journal,
    name: &str,
) -> Result<(), Trouble> {
    if record.upgrades.last().is_none_or(|last| last.ended.is_some()) {
        record.upgrades.push(Upgrade {
            from: due.from.clone(),
            to: due.to.clone(),
            began: journal::now(),
            backup: due.is_backed_up.then(|| free_name(work, due)),
            ended: None,
        });
        in_place::note(work, record, name)?;
    }
    let from = due.from.as_deref().unwrap_or("a version that is not known");
    tell(format_args!("upgrading the system tables of {} from {from} to {}", work.data.display(), due.to));
    with_upgrading(engine, work, |upgrading, work| {
        // Named before it is made: once there is a file of that name it is whole, and tables may have changed since.
        let copy =
            record.upgrades.last().and_then(|last| last.backup.as_ref()).map(|name| work.data.join(name));
        if let Some(copy) = copy.filter(|copy| !copy.exists()) {
            keep(upgrading, work, &copy)?;
            tell(format_args!("the system tables as they were are kept in {}", copy.display()));
        }
        upgrading.upgrade(work)
    })?;
    // What is said to be done is on disk before it is said.
    ground::sync_all(&work.data)?;
    if let Some(last) = record.upgrades.last_mut() {
        last.ended = Some(journal::now());
    }
    in_place::note(work, record, name)?;
    tell(format_args!("the system tables are those of {} now", due.to));
    Ok(())
}

/// Has the temporary server of an upgrade while something is done.
fn with_upgrading(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    act: impl FnOnce(&dyn Upgrading, &mut Work<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let server = |engine: &dyn Engine, work: &Work<'_>| match engine.upgrading() {
        Some(upgrading) => upgrading.server(work),
        None => engine.server(work),
    };
    with_server(engine, work, server, |engine, work| match engine.upgrading() {
        Some(upgrading) => act(upgrading, work),
        None => Ok(()),
    })
}

/// A name for the copy that nothing has yet.
fn free_name(work: &Work<'_>, due: &Due) -> String {
    let version: String = due.from.as_deref().unwrap_or("unknown_version").chars().filter(is_plain).collect();
    let name = format!("system_mysql_backup_{version}.sql.gz");
    match work.data.join(&name).symlink_metadata() {
        Ok(_) => format!("system_mysql_backup_{version}-{}.sql.gz", stamp()),
        Err(_) => name,
    }
}

/// Keeps the system tables as they are, packed, in this file.
fn keep(upgrading: &dyn Upgrading, work: &mut Work<'_>, copy: &Path) -> Result<(), Trouble> {
    let (plain, packed) = (work.data.join(".minisup-backup.sql"), work.data.join(".minisup-backup.sql.gz"));
    // What a crash left of an earlier try.
    for left in [&plain, &packed] {
        match fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Trouble::io("remove", left, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    upgrading.back_up(work, &plain)?;
    pack(&plain, &packed).map_err(|error| Trouble::io("write", &packed, error))?;
    ground::give(&packed, work.who.as_ref()).map_err(|error| Trouble::io("give away", &packed, error))?;
    fs::rename(&packed, copy).map_err(|error| Trouble::io("rename", &packed, error))?;
    let _ = fs::remove_file(&plain);
    journal::sync_directory(&work.data)
}

fn is_plain(c: &char) -> bool {
    c.is_ascii_alphanumeric() || "._-+".contains(*c)
}

fn pack(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let out = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let mut packed = GzEncoder::new(out, Compression::fast());
    io::copy(&mut File::open(from)?, &mut packed)?;
    packed.finish()?.sync_all()
}

/// What an upgrade that was begun still needs, if the tables look as if it had ended: to be run once more, which does
/// no harm.
fn remaining(begun: &Upgrade) -> Due {
    Due {
        from: begun.from.clone(),
        to: begun.to.clone(),
        tables: true,
        accounts: false,
        is_asked: true,
        // They may be half upgraded by now.
        is_backed_up: false,
        how_to_ask: "",
    }
}

fn skipped(work: &Work<'_>, due: &Due) -> String {
    let is_of = match &due.from {
        Some(from) => format!("are of {from}"),
        None => "do not say which version they are of".to_owned(),
    };
    format!(
        "the system tables of {} {is_of}, the server is {}: they are not upgraded, for nobody asked for it ({})",
        work.data.display(),
        due.to,
        due.how_to_ask
    )
}

fn another_version(work: &Work<'_>, begun: &Upgrade, version: &str) -> Trouble {
    let copy = begun.backup.as_ref().map(|name| work.data.join(name)).filter(|copy| copy.exists());
    let kept = match copy {
        Some(copy) => format!("as they were they are in {}", copy.display()),
        None => "there is no copy of them as they were".to_owned(),
    };
    Trouble::Partial(format!(
        "an upgrade of the system tables of {data} from {from} to {to} was begun {began} and did not end, and this server \
         is {version}: they may be half of each; {kept}. Nothing was touched\n\
         to end it:                    start with {to}\n\
         to go on with this server:    load that copy into it (--skip-grant-tables), then take the last of \"upgrades\" \
         out of the .minisup-*.json in {data}",
        data = work.data.display(),
        from = begun.from.as_deref().unwrap_or("an unknown version"),
        to = begun.to,
        began = begun.began,
    ))
}
