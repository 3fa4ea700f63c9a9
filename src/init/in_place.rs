//! What is done to data that is in its place, before its server starts: an upgrade, then migrations.
//!
//! Here is nothing that could be moved aside and begun again. So it is held while we work, with a lifeline as in
//! a first start: a temporary server that outlived a minisup that was killed is ended before the next one starts.

use super::engine::{self, Engine, Last, Server, Work};
use super::hold::Held;
use super::journal::Journal;
use super::scripts::each_start;
use super::trouble::Trouble;
use super::{directories, ground, start, upgrade};
use std::fs;

/// What whoever is at work in a data directory has open.
const ALIVE: &str = ".minisup-alive";

/// Does all that is due on `work.data`. If nothing is, nothing is launched.
///
/// # Errors
/// An upgrade or a script failed; an earlier one did not end; the server cannot be started or stopped.
pub fn run(engine: &dyn Engine, work: &mut Work<'_>) -> Result<(), Trouble> {
    if work.data.join(ALIVE).exists() {
        // One of ours was killed in the middle of it: what it left would be in the way of the real server.
        let held = Held::take(&work.data, ALIVE, work.crew)?;
        directories::remove_left(work, held.left.as_deref());
        drop(held);
        engine.clear(&work.data, Last::OursKilled);
        let _ = fs::remove_file(work.data.join(ALIVE));
    }
    upgrade::run(engine, work)?;
    each_start::run(engine, work)
}

/// Writes down what is done to `work.data`, as a file of the server's user.
///
/// # Errors
/// As [`Journal::write`].
pub fn note(work: &Work<'_>, record: &Journal, name: &str) -> Result<(), Trouble> {
    record.write(&work.data, name)?;
    let path = work.data.join(name);
    ground::give(&path, work.who.as_ref()).map_err(|error| Trouble::io("give away", &path, error))
}

/// Has a temporary server on `work.data` while something is done.
///
/// # Errors
/// Somebody else is at it; the server cannot be started or stopped; or what is done fails.
pub fn with_server(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    server: impl FnOnce(&dyn Engine, &Work<'_>) -> Server,
    act: impl FnOnce(&dyn Engine, &mut Work<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let held = Held::take(&work.data, ALIVE, work.crew)?;
    held.share(work.crew, &work.data)?;
    let alive = work.data.join(ALIVE);
    ground::give(&alive, work.who.as_ref()).map_err(|error| Trouble::io("give away", &alive, error))?;
    engine.clear(&work.data, Last::Anybody);
    // What an engine knows of a temporary server is of the one before; of the server's configuration it asks again.
    let engine = &*engine::engine(work.request)?;
    directories::make_private(work)?;
    let server = server(engine, work);
    let ran = start::start_server(engine, work, server).and_then(|()| act(engine, work));
    let stopped = work.crew.stop_server(work.request.start_timeout);
    work.crew.hold(None);
    directories::remove_private(work);
    let _ = fs::remove_file(alive);
    ran.and(stopped)
}
