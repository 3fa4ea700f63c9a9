//! The course of a first start, stage by stage.
//!
//! Each stage ends before its successor is written down, and what is written down is on disk
//! before the successor begins: so the journal never says more than is true. What a crash at any
//! point leaves is one of: nothing; a holder that is begun again or gone on with; a complete
//! data directory.

use super::crew::Crew;
use super::each_start;
use super::engine::{self, Engine, Level, Remark, Variables, Work};
use super::ground::{self, Found, Ground};
use super::journal::{Journal, State, UNDER_WAY};
use super::preflight::Plan;
use super::progress::Progress;
use super::provision;
use super::trouble::Trouble;
use super::voice::tell;
use super::{OnPartial, Request};
use crate::config::Accounts;
use crate::core::plan::Credentials;
use crate::core::time::duration_text;
use crate::sys::{clock, pid1};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Variables that lead to a supervisor, which the temporary server must not find.
const SUPERVISORS: [&str; 7] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "MAINPID",
];

/// Makes the first start, or finds that there is nothing to be done.
///
/// # Errors
/// Why it stopped.
pub fn attempt(request: &Request) -> Result<(), Trouble> {
    let mut crew = Crew::new().map_err(|error| Trouble::Other(format!("cannot begin: {error}")))?;
    let engine = engine::engine(request)?;
    let (who, environment) = identity(request, &*engine)?;
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
        return super::preview::show(&*engine, &work, &ground, &found);
    }
    match found {
        Found::Complete(journal) => later_start(&*engine, &mut work, &ground, Some(&journal)),
        Found::Foreign => foreign(&*engine, &mut work, &ground),
        Found::Nothing | Found::Unfinished(_) => first_start(&*engine, &mut work, &ground, &found),
    }
}

/// Whom children run as, and what they have in their environment.
fn identity(request: &Request, engine: &dyn Engine) -> Result<(Option<Credentials>, Variables), Trouble> {
    let mut environment = request.environment.clone();
    SUPERVISORS.iter().for_each(|name| engine::remove_variable(&mut environment, name));
    let read = |path: &str| fs::read(path).unwrap_or_default();
    let accounts = Accounts::parse(&read("/etc/passwd"), &read("/etc/group"));
    let is_root = pid1::own_uid() == 0;
    let name = match &request.user {
        Some(name) => Some(name.as_str()),
        None if is_root => engine.accounts().iter().copied().find(|name| accounts.user(name).is_some()),
        None => None,
    };
    let Some(name) = name else { return Ok((None, environment)) };
    let (name, group) = name.split_once(':').map_or((name, None), |(name, group)| (name, Some(group)));
    let no_group =
        |group: &str| Trouble::Rules(vec![format!("--user: there is no group {group:?} in /etc/group")]);
    let group = match group {
        Some(group) => Some(accounts.gid(group).ok_or_else(|| no_group(group))?),
        None => None,
    };
    let who = match accounts.user(name) {
        Some(user) => {
            for (variable, value) in user.variables() {
                engine::set_variable(&mut environment, variable, value);
            }
            let gid = group.unwrap_or(user.gid);
            Credentials { uid: user.uid, gid, groups: accounts.groups_of(&user.name, gid).into() }
        }
        None => {
            let uid: u32 = name.parse().map_err(|_| {
                let like = accounts.user_like(name).map(|like| format!(": did you mean {like:?}?"));
                let like = like.unwrap_or_default();
                Trouble::Rules(vec![format!("--user: there is no user {name:?} in /etc/passwd{like}")])
            })?;
            let gid = group.unwrap_or(uid);
            Credentials { uid, gid, groups: [gid].into() }
        }
    };
    if who.uid == pid1::own_uid() {
        return Ok((None, environment));
    }
    if !is_root {
        return Err(Trouble::Rules(vec![format!(
            "--user {name}: only root can become somebody else, and minisup runs as user {}: start the container as \
             root, or leave --user out",
            pid1::own_uid()
        )]));
    }
    Ok((Some(who), environment))
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
        super::preview::since(engine, work, journal).iter().for_each(tell);
    }
    work.data.clone_from(&ground.data);
    prepare(engine, work, &ground.data)?;
    each_start::run(engine, work)
}

/// There is data, and we did not make it: it is used as it is.
fn foreign(engine: &dyn Engine, work: &mut Work<'_>, ground: &Ground) -> Result<(), Trouble> {
    let data = ground.data.display();
    if !engine.is_data(&ground.data) {
        let mut content = ground.content()?;
        content.sort();
        content.truncate(5);
        return Err(Trouble::Partial(format!(
            "{data} is not empty, and what is in it is no data of {}: {}. Nothing was touched. Move it away, or \
             have the data somewhere else, for example in a directory below it (--data-directory)",
            engine.name(),
            content.join(", "),
        )));
    }
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
        hear(plan.remarks.clone(), Trouble::Plan)?;
        if work.request.on_partial == OnPartial::Fail && !ground.is_staging_empty() {
            return Err(partial(ground, found));
        }
    }
    let mut held = ground.take(work.crew)?;
    // Somebody else may have been at it until now.
    let found = ground.look()?;
    let journal = match found {
        Found::Complete(journal) => return later_start(engine, work, ground, Some(&journal)),
        Found::Foreign => return foreign(engine, work, ground),
        Found::Nothing => None,
        Found::Unfinished(journal) => journal,
    };
    if let Some(journal) = journal.as_ref().filter(|journal| journal.state == State::Moving) {
        tell("an earlier first start was complete but not yet in its place: going on");
        return finish_moving(engine, work, ground, journal.clone());
    }
    let version = engine.server_version(work)?;
    let journal = match journal {
        Some(journal) => match why_not_resumed(work.request, &journal, engine, &version, &plan) {
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
    let lifeline = held.lifeline.try_clone().map_err(|error| Trouble::io("share", &ground.holder, error))?;
    work.crew.hold(Some(lifeline.into()));
    work.data.clone_from(&ground.staging);
    let made = make(engine, work, ground, &mut journal, &plan, resumed);
    // However it ended, nobody may be left at work in there.
    let stopped = work.crew.stop_server(super::crew::GRACE);
    work.crew.hold(None);
    remove_private(work);
    match made.and(stopped.map(drop)) {
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
            next_time(work.request, &journal, &trouble);
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
        make_directory(&directory, mode, who.as_ref());
    }
    make_private(work)?;
    if !resumed {
        ground.stage(who.as_ref())?;
        tell(format_args!("initialising {} for {}", ground.data.display(), engine.name()));
        progress.stage("making the data directory");
        engine.initialise(work)?;
    } else {
        engine.clear(&work.data);
    }
    progress.stage("starting the temporary server");
    start_server(engine, work)?;
    let was_stopping = journal.state == State::Stopping;
    if resumed && !was_stopping {
        engine.resume(work)?;
        tell(format_args!(
            "going on where an earlier first start was interrupted: {} of {} scripts are done",
            journal.scripts.len(),
            plan.len()
        ));
    } else if !resumed {
        progress.stage("setting up");
        engine.set_up(work)?;
        note(work, ground, journal, State::Provisioned)?;
    }
    if !was_stopping {
        provision::scripts(engine, work, ground, journal, plan, &mut progress)?;
        progress.stage("finishing");
        engine.finish(work)?;
    }
    note(work, ground, journal, State::Stopping)?;
    work.crew.stop_server(work.request.start_timeout)?;
    note(work, ground, journal, State::Moving)?;
    let count = journal.scripts.len();
    let scripts = if count == 1 { "script".to_owned() } else { format!("{count} scripts") };
    let scripts = if count == 0 { String::new() } else { format!(" and {scripts}") };
    tell(format_args!("database{scripts} done in {}", duration_text(rounded(clock::now() - began))));
    Ok(())
}

/// Writes a state down, when all that it says is on disk.
pub(super) fn note(
    work: &Work<'_>,
    ground: &Ground,
    journal: &mut Journal,
    state: State,
) -> Result<(), Trouble> {
    ground::sync_all(&work.data)?;
    journal.state = state;
    journal.write(&ground.holder, UNDER_WAY)
}

fn finish_moving(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    mut journal: Journal,
) -> Result<(), Trouble> {
    journal.state = State::Complete;
    journal.stopped_by = None;
    journal.completed = Some(super::journal::now());
    ground.put_in_place(&journal, work.who.as_ref())?;
    tell(format_args!("{} is ready for its server: {}", ground.data.display(), journal.server_version));
    work.data.clone_from(&ground.data);
    each_start::run(engine, work)
}

/// Launches the temporary server on `work.data`, and returns when it answers.
///
/// # Errors
/// It died, did not answer in time, or we were asked to stop.
pub(super) fn start_server(engine: &dyn Engine, work: &mut Work<'_>) -> Result<(), Trouble> {
    let limit = work.request.start_timeout;
    let (server, end) = (engine.server(work), clock::now() + limit);
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

/// Directories and ownership of data that is there already.
fn prepare(engine: &dyn Engine, work: &Work<'_>, data: &Path) -> Result<(), Trouble> {
    let Some(who) = &work.who else { return Ok(()) };
    for (directory, mode) in engine.directories(work) {
        make_directory(&directory, mode, Some(who));
    }
    let (given, refused) = ground::own(data, who);
    if given > 0 {
        tell(format_args!("{given} files in {} were not user {}'s, and are now", data.display(), who.uid));
    }
    if refused > 0 {
        tell(format_args!(
            "warning: {refused} files in {} belong to somebody else than user {}, and cannot be given away: if the \
             server cannot write there, start the container as their owner (--user)",
            data.display(),
            who.uid
        ));
    }
    Ok(())
}

/// Makes a directory that the server needs, if it can be made; the server says what is wrong if not.
fn make_directory(directory: &Path, mode: u32, who: Option<&Credentials>) {
    if !directory.exists() {
        let made = fs::DirBuilder::new().recursive(true).mode(mode).create(directory);
        // The umask may have taken something.
        let _ = made.and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(mode)));
    }
    if let Err(error) = ground::give(directory, who) {
        tell(format_args!("warning: cannot give {} to the server's user: {error}", directory.display()));
    }
}

/// Makes the private directory of the temporary server's socket.
pub(super) fn make_private(work: &mut Work<'_>) -> Result<(), Trouble> {
    let make = |folder: &str| nix::unistd::mkdtemp(&Path::new(folder).join("minisup-init-XXXXXX"));
    let private = make("/run").or_else(|_| make("/tmp")).or_else(|_| make("/dev/shm"));
    let private =
        private.map_err(|errno| Trouble::io("make a private directory in /run or", "/tmp", errno))?;
    ground::give(&private, work.who.as_ref()).map_err(|error| Trouble::io("give away", &private, error))?;
    work.private = private;
    Ok(())
}

/// Removes it, with all that is in it.
pub(super) fn remove_private(work: &mut Work<'_>) {
    let private = std::mem::take(&mut work.private);
    if !private.as_os_str().is_empty() {
        let _ = fs::remove_dir_all(private);
    }
}

/// Why a first start that did not end cannot be gone on with; `None`: it can.
fn why_not_resumed(
    request: &Request,
    journal: &Journal,
    engine: &dyn Engine,
    version: &str,
    plan: &Plan,
) -> Option<String> {
    let script = || journal.scripts.last().map_or("a script", |script| script.name.as_str());
    let variables = engine.variables();
    if request.on_partial == OnPartial::Quarantine {
        return Some("on_partial = \"quarantine\"".into());
    }
    if journal.engine != engine.name() {
        return Some(format!("it was {}'s", journal.engine));
    }
    match journal.state {
        State::Initialising => return Some("it was interrupted while the data directory was made".into()),
        State::Provisioning => return Some(format!("it was interrupted in {}", script())),
        State::Provisioned | State::Stopping | State::Moving | State::Complete => {}
    }
    if journal.server_version != version {
        return Some(format!("its server was {}, this is {version}", journal.server_version));
    }
    if journal.is_of_another_boot() {
        return Some("the machine was started again since, and may have lost what was written last".into());
    }
    if let [first, ..] = journal.different(&variables)[..] {
        return Some(format!("{first} has changed since"));
    }
    provision::differs(plan, &journal.scripts)
}

/// An unfinished first start that nobody may touch, and what can be done by hand.
fn partial(ground: &Ground, found: &Found) -> Trouble {
    let how_far = match found {
        Found::Unfinished(Some(journal)) => {
            let stopped = journal.stopped_by.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("begun {}, {} scripts begun{stopped}", journal.began, journal.scripts.len())
        }
        Found::Unfinished(None) | Found::Nothing | Found::Complete(_) | Found::Foreign => {
            "without a journal".into()
        }
    };
    let holder = ground.holder.display();
    Trouble::Partial(format!(
        "a first start of {} did not end: {how_far}. Nothing was touched, because on_partial = \"fail\". What it left is in \
         {holder}\n\
         to begin again and keep what is left:  mv '{holder}' '{holder}.kept'\n\
         to begin again and throw it away:      rm -rf '{holder}'\n\
         to have that done at each start:       on_partial = \"retry\" (--on-partial retry)",
        ground.data.display()
    ))
}

/// What the next start is going to do about what is left now.
fn next_time(request: &Request, journal: &Journal, trouble: &Trouble) {
    let what = match (request.on_partial, journal.state) {
        (OnPartial::Fail, _) => "refuses, and says what to do by hand (on_partial = \"fail\")",
        (OnPartial::Retry, State::Provisioned | State::Stopping) => "goes on from here",
        (OnPartial::Retry, State::Moving | State::Complete) => "puts it in its place",
        (OnPartial::Retry, State::Initialising | State::Provisioning) | (OnPartial::Quarantine, _) => {
            "moves what is left aside and begins again"
        }
    };
    if matches!(trouble, Trouble::Asked(_)) {
        tell("stopped cleanly");
    }
    tell(format_args!("the data directory is as empty as before; the next start {what}"));
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
