//! The course of a first start, stage by stage.
//!
//! Each stage ends before its successor is written down, and what is written down is on disk
//! before the successor begins: so the journal never says more than is true. What a crash at any
//! point leaves is one of: nothing; a holder that is begun again or gone on with; a complete
//! data directory.

use super::crew::Crew;
use super::engine::{self, Engine, Last, Level, Remark, Server, Work};
use super::ground::{self, Found, Ground};
use super::journal::{Journal, State, UNDER_WAY};
use super::scripts::preflight::Plan;
use super::scripts::progress::Progress;
use super::scripts::provision;
use super::trouble::Trouble;
use super::voice::tell;
use super::{OnPartial, Request, directories, identity, in_place, partial, restore};
use crate::core::sorted;
use crate::core::time::duration_text;
use crate::sys::clock;
use std::path::PathBuf;
use std::time::Duration;

/// Makes the first start, or finds that there is nothing to be done.
///
/// # Errors
/// Why it stopped.
pub fn attempt(request: &Request) -> Result<(), Trouble> {
    let mut crew = Crew::new().map_err(|error| Trouble::Other(format!("cannot begin: {error}")))?;
    let engine = engine::engine(request)?;
    let (who, environment) = identity::identity(request, &*engine)?;
    let mut work = Work {
        crew: &mut crew,
        request,
        data: PathBuf::new(),
        final_data: PathBuf::new(),
        private: PathBuf::new(),
        who,
        environment,
    };
    let data = match &request.data_directory {
        Some(given) => given.clone(),
        None => engine.data_directory(&mut work)?,
    };
    let ground = Ground::of(&data, engine.aside())?;
    work.final_data.clone_from(&ground.data);
    let found = ground.look()?;
    if request.dry_run {
        refuse_other(&*engine, &ground, &found)?;
        return super::preview::show(&*engine, &work, &ground, &found);
    }
    match found {
        Found::Complete(journal) => later_start(&*engine, &mut work, &ground, Some(&journal)),
        Found::Foreign => foreign(&*engine, &mut work, &ground),
        Found::Nothing | Found::Unfinished(_) => first_start(&*engine, &mut work, &ground, &found),
    }
}

/// There is data of ours. What is new since is said, and each-start scripts have their turn.
fn later_start(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    journal: Option<&Journal>,
) -> Result<(), Trouble> {
    if ground.holder.exists() {
        // A crash came between the last two steps.
        ground.remove_holder();
    }
    if let Some(journal) = journal {
        refuse_other(engine, ground, &Found::Complete(journal.clone()))?;
        super::preview::since(engine, work, journal).iter().for_each(tell);
    }
    work.data.clone_from(&ground.data);
    directories::prepare(engine, work, &ground.data)?;
    in_place::run(engine, work)
}

/// There is data, and we did not make it: it is used as it is.
fn foreign(engine: &dyn Engine, work: &mut Work<'_>, ground: &Ground) -> Result<(), Trouble> {
    refuse_other(engine, ground, &Found::Foreign)?;
    let data = ground.data.display();
    tell(format_args!(
        "{data} has data that minisup did not make: it is used as it is, and no script is run"
    ));
    if ground.holder.exists() {
        tell(format_args!(
            "what is left of an earlier first start is in {}; remove it if you do not need it",
            ground.holder.display()
        ));
    }
    later_start(engine, work, ground, None)
}

/// What is no data of this database is touched by nobody, whoever made it.
fn refuse_other(engine: &dyn Engine, ground: &Ground, found: &Found) -> Result<(), Trouble> {
    let made = match found {
        Found::Foreign => String::new(),
        Found::Complete(journal) => format!(" (minisup made it for {})", journal.engine),
        Found::Nothing | Found::Unfinished(_) => return Ok(()),
    };
    if engine.is_data(&ground.data) {
        return Ok(());
    }
    let mut content = ground.content()?;
    sorted::sort(&mut content);
    content.truncate(5);
    Err(Trouble::Partial(format!(
        "{} is not empty, and what is in it is no data of {}: {}{made}. Nothing was touched. Move it away, or \
         have the data somewhere else, for example in a directory below it (--data-directory)",
        ground.data.display(),
        engine.name(),
        content.join(", "),
    )))
}

/// There is no data yet, or not all of it.
fn first_start(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    found: &Found,
) -> Result<(), Trouble> {
    let is_moving = |found: &Found| matches!(found, Found::Unfinished(Some(j)) if j.state == State::Moving);
    let plan = provision::plan(engine, work)?;
    if !is_moving(found) {
        if engine.needs_nothing(!plan.is_empty()) {
            tell(format_args!(
                "{} needs no first start: there is neither a user nor a script to be made",
                engine.name()
            ));
            return Ok(());
        }
        hear(engine.check(), Trouble::Rules)?;
        plan.lines().iter().for_each(tell);
        hear(plan.remarks.clone(), Trouble::Plan)?;
    }
    if ground.is_inside() {
        directories::claim(engine, work, &ground.data)?;
    }
    let mut held = ground.take(work.crew)?;
    directories::remove_left(work, held.left.as_deref());
    // Somebody else may have been at it until now.
    let found = ground.look()?;
    // Not before what was left running there is ended: people are told to remove what it works in.
    let may_go_on = work.request.on_partial != OnPartial::Fail || is_moving(&found);
    if matches!(found, Found::Unfinished(_)) && !may_go_on && !ground.is_staging_empty() {
        return Err(partial::refusal(ground, &found));
    }
    let journal = match found {
        Found::Complete(journal) => return later_start(engine, work, ground, Some(&journal)),
        Found::Foreign => return foreign(engine, work, ground),
        Found::Nothing => None,
        Found::Unfinished(journal) => journal,
    };
    if ground.forget_gone()? {
        tell(format_args!(
            "{} has a journal of minisup, but its data is gone: it is made anew",
            ground.data.display()
        ));
    }
    if let Some(journal) = journal.as_ref().filter(|journal| journal.state == State::Moving) {
        tell("an earlier first start was complete but not yet in its place: going on");
        return finish_moving(engine, work, ground, journal.clone());
    }
    let version = engine.server_version(work)?;
    let journal = match journal {
        Some(journal) => match partial::why_not_resumed(work.request, &journal, engine, &version, &plan) {
            None => Some(journal),
            Some(why) => {
                tell(format_args!("an earlier first start did not end: {why}: beginning again"));
                None
            }
        },
        None => None,
    };
    let resumed = journal.is_some();
    let mut journal = match journal {
        Some(journal) => journal,
        None => {
            if let Some(aside) = ground.move_aside()? {
                tell(format_args!("what it left has been moved to {}", aside.display()));
                drop(held);
                held = ground.take(work.crew)?;
            }
            let journal = Journal::begin(engine.name(), &version, &engine.variables())?;
            journal.write(&ground.holder, UNDER_WAY)?;
            journal
        }
    };
    held.share(work.crew, &ground.holder)?;
    work.data.clone_from(&ground.staging);
    let made = make(engine, work, ground, &mut journal, &plan, resumed);
    // However it ended, nobody may be left at work in there.
    let stopped = work.crew.stop_server(super::crew::GRACE);
    work.crew.hold(None);
    directories::remove_private(work);
    match made.and(stopped) {
        Ok(()) => finish_moving(engine, work, ground, journal),
        Err(trouble) => {
            journal.stopped_by = Some(trouble.to_string());
            let is_lost = resumed && !matches!(trouble, Trouble::Asked(_) | Trouble::Script(_));
            if is_lost {
                journal.state = State::Initialising;
            }
            let _ = journal.write(&ground.holder, UNDER_WAY);
            drop(held);
            if is_lost {
                // What cannot be gone on with is begun again, which happens once: then nothing is resumed.
                tell(format_args!("cannot go on where it was interrupted: {trouble}"));
                return first_start(engine, work, ground, &Found::Unfinished(Some(journal)));
            }
            partial::next_time(work.request, &journal, &trouble);
            Err(trouble)
        }
    }
}

/// From an empty staging directory, or from between two scripts, to a complete one whose server
/// has been stopped.
fn make(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    journal: &mut Journal,
    plan: &Plan,
    resumed: bool,
) -> Result<(), Trouble> {
    let began = clock::now();
    let mut progress = Progress::new(plan.len(), plan.weight(), &work.request.environment);
    let who = work.who.clone();
    for (directory, mode) in engine.directories(work) {
        directories::make_directory(&directory, mode, who.as_ref());
    }
    directories::make_private(work)?;
    if !resumed {
        ground.stage(who.as_ref())?;
        tell(format_args!("initialising {} for {}", ground.data.display(), engine.name()));
        match plan.backup() {
            Some(backup) => restore::run(engine, work, ground, journal, backup, &mut progress)?,
            None => {
                progress.stage("making the data directory");
                engine.initialise(work)?;
            }
        }
    } else {
        engine.clear(&work.data, Last::Ours);
    }
    progress.stage("starting the temporary server");
    let server = engine.server(work);
    start_server(engine, work, server)?;
    if plan.backup().is_some() {
        // It has its accounts and its content; that its server answers is all there is to be seen.
        if !resumed {
            journal.enter(State::Provisioned, &ground.holder)?;
        }
    } else if journal.state != State::Stopping {
        fill(engine, work, ground, journal, plan, &mut progress, resumed)?;
    }
    journal.enter(State::Stopping, &ground.holder)?;
    let stopped = work.crew.stop_server(work.request.start_timeout);
    if matches!(stopped, Err(Trouble::Program { .. })) {
        // A server that starts on what is left recovers it, but for what it never does: unlogged tables.
        journal.state = State::Initialising;
    }
    stopped?;
    ground::sync_all(&work.data)?;
    journal.enter(State::Moving, &ground.holder)?;
    let count = journal.scripts.len();
    let scripts = if count == 1 { "script".to_owned() } else { format!("{count} scripts") };
    let scripts = if count == 0 { String::new() } else { format!(" and {scripts}") };
    tell(format_args!("database{scripts} done in {}", duration_text(rounded(clock::now() - began))));
    Ok(())
}

/// Everything in the temporary server: setting up, scripts, what comes after them.
fn fill(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    journal: &mut Journal,
    plan: &Plan,
    progress: &mut Progress,
    resumed: bool,
) -> Result<(), Trouble> {
    if resumed {
        engine.resume(work)?;
        tell(format_args!(
            "going on where an earlier first start was interrupted: {} of {} scripts are done",
            journal.scripts.len(),
            plan.len()
        ));
    } else {
        progress.stage("setting up");
        engine.set_up(work)?;
        journal.enter(State::Provisioned, &ground.holder)?;
    }
    provision::scripts(engine, work, ground, journal, plan, progress)?;
    progress.stage("finishing");
    engine.finish(work)
}

fn finish_moving(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    mut journal: Journal,
) -> Result<(), Trouble> {
    if ground.staging.exists() && engine.settle(work, &ground.staging)? {
        ground::sync_all(&ground.staging)?;
    }
    journal.state = State::Complete;
    journal.stopped_by = None;
    journal.completed = Some(super::journal::now());
    ground.put_in_place(&journal, work.who.as_ref())?;
    tell(format_args!("{} is ready for its server: {}", ground.data.display(), journal.server_version));
    work.data.clone_from(&ground.data);
    in_place::run(engine, work)
}

/// Launches this temporary server on `work.data`, and returns when it answers.
///
/// # Errors
/// It died, did not answer in time, or we were asked to stop.
pub(super) fn start_server(engine: &dyn Engine, work: &mut Work<'_>, server: Server) -> Result<(), Trouble> {
    let limit = work.request.start_timeout;
    let end = clock::now() + limit;
    let who = work.who.clone();
    work.crew.start_server(server, who)?;
    let mut delay = Duration::from_millis(20);
    loop {
        work.crew.check()?;
        if engine.answers(work)? {
            return Ok(());
        }
        if clock::now() >= end {
            return Err(Trouble::TooLong { what: "the start of the temporary server".into(), limit });
        }
        work.crew.pause(delay)?;
        delay = (delay * 2).min(Duration::from_millis(250));
    }
}

/// Says all remarks; those that are errors are the trouble.
fn hear(remarks: Vec<Remark>, trouble: fn(Vec<String>) -> Trouble) -> Result<(), Trouble> {
    let mut errors = Vec::new();
    for remark in remarks {
        match remark.level {
            Level::Note => tell(remark.text),
            Level::Warning => tell(format_args!("warning: {}", remark.text)),
            Level::Error => errors.push(remark.text),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(trouble(errors)) }
}

fn rounded(span: Duration) -> Duration {
    Duration::from_millis(span.as_millis() as u64)
}
