//! The scripts' part of the course: each is run between two entries of the journal.

use super::feed;
use super::listing::{self, Packing};
use super::preflight::{self, About, How, Item, Plan};
use super::progress::Progress;
use crate::core::exit::Outcome;
use crate::init::crew::{Feed, Task};
use crate::init::engine::{self, Engine, Work};
use crate::init::ground::Ground;
use crate::init::journal::{self, Journal, State, UNDER_WAY};
use crate::init::trouble::{ScriptTrouble, Trouble};
use crate::init::voice::tell;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Up to this size a script is read at later starts to see whether it is still the same; of a
/// larger one the size says it.
const READ_MAX: u64 = 16 << 20;

/// Looks at the directory of scripts. One that is not there has none.
///
/// # Errors
/// It cannot be read.
pub fn plan(engine: &dyn Engine, work: &Work<'_>) -> Result<Plan, Trouble> {
    look(engine, work, &work.request.directory)
}

/// Looks at a directory of scripts.
///
/// # Errors
/// It cannot be read.
pub fn look(engine: &dyn Engine, work: &Work<'_>, directory: &Path) -> Result<Plan, Trouble> {
    let kinds = engine.kinds();
    let listing = match listing::list(directory, kinds, work.request.order, work.who.as_ref()) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            listing::Listing { directory: directory.to_owned(), ..listing::Listing::default() }
        }
        Err(error) => return Err(Trouble::io("read", directory, error)),
    };
    Ok(preflight::examine(listing, &about(engine, work)))
}

/// What a plan needs to know.
pub(in crate::init) fn about<'a>(engine: &'a dyn Engine, work: &'a Work<'_>) -> About<'a> {
    let data = work.final_data.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    About {
        engine: engine.name(),
        kinds: engine.kinds(),
        order: work.request.order,
        who: work.who.as_ref(),
        path: engine::variable(&work.environment, "PATH"),
        data,
    }
}

/// Runs what is not done yet, in order.
///
/// # Errors
/// A script failed, the server died, or we were asked to stop.
pub fn scripts(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    journal: &mut Journal,
    plan: &Plan,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let done = journal.scripts.len();
    plan.items.iter().take(done).for_each(|item| progress.skip(item.weight()));
    for (index, item) in plan.items.iter().enumerate().skip(done) {
        work.crew.check()?;
        let script = &item.script;
        let sha256 = script.sha256().map_err(|error| Trouble::io("read", &script.path, error))?;
        journal.begin_script(&script.name, script.size, &sha256);
        journal.write(&ground.holder, UNDER_WAY)?;
        let ran = one(engine, work, item, index + 1, plan.len(), progress);
        let outcome = match &ran {
            Ok(()) => Outcome::Exited(0).to_string(),
            Err(Trouble::Script(script)) => script.outcome.to_string(),
            Err(Trouble::Asked(signal)) => format!("interrupted by {signal}"),
            Err(_) => "interrupted".to_owned(),
        };
        journal.end_script(&outcome);
        ran?;
        journal.enter(State::Provisioned, &ground.holder)?;
    }
    Ok(())
}

/// Runs one script, the `number`th of so many.
///
/// # Errors
/// It failed; the server died; it took too long; we were asked to stop.
pub fn one(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    item: &Item,
    number: usize,
    of: usize,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let script = &item.script;
    let named = item.named.clone();
    let who = work.who.clone();
    let is_counted = matches!(item.how, How::Feed(_)) || !named.is_empty();
    let mut task = Task {
        what: format!("script {number} of {of}, {}", script.path.display()),
        directory: script.path.parent().map(Path::to_owned),
        who: who.clone(),
        forward: Some(format!("{}: ", script.name)),
        limit: work.request.script_timeout,
        ..Task::default()
    };
    progress.begin(number, &script.name, item.size(), item.weight(), is_counted);
    let mut feed = match &item.how {
        How::Feed(packing) => {
            let client = engine.client(work, &script.path);
            (task.argv, task.environment) = (client.argv, client.environment);
            let opened = match packing {
                Packing::None => feed::Script::hand(&script.path, named, who, progress),
                _ => feed::Script::open(&script.path, *packing, named, who, progress),
            };
            opened.map_err(|error| Trouble::io("open", &script.path, error))?
        }
        How::Hand => {
            let client = engine.client(work, &script.path);
            (task.argv, task.environment) = (client.argv, client.environment);
            feed::Script::watch(named, who, progress)
        }
        How::Shell(way) => {
            task.argv = way.argv(&script.path, engine.prelude());
            task.environment.clone_from(&work.environment);
            for known in engine.variables() {
                engine::remove_variable(&mut task.environment, format!("{}_FILE", known.name));
            }
            for (name, value) in engine.environment(work) {
                engine::set_variable(&mut task.environment, name, value);
            }
            feed::Script::watch(named, who, progress)
        }
        How::Restore(_) | How::Not => {
            return Err(Trouble::Plan(vec![format!("{}: {}", script.path.display(), item.how())]));
        }
    };
    task.stdin = feed.stdin().map_err(|error| Trouble::io("open", &script.path, error))?;
    let ran = work.crew.run(task);
    // How far it came in the end.
    feed.tick();
    let failed = match ran {
        Ok(ended) if ended.is_success() => None,
        Ok(ended) => {
            let complaint = ended.complaint();
            let failure = match item.how {
                How::Feed(_) | How::Hand => engine.failure(&complaint),
                How::Shell(_) | How::Restore(_) | How::Not => None,
            };
            let (line, message) =
                failure.map_or((None, complaint), |failure| (failure.line, failure.message));
            let statement = line.and_then(|line| feed.statement(line));
            Some(ScriptTrouble {
                path: script.path.clone(),
                number,
                of,
                line,
                statement,
                message,
                outcome: ended.outcome,
            })
        }
        Err(trouble) => {
            progress.end(false);
            return Err(trouble);
        }
    };
    progress.end(failed.is_none());
    let Some(failed) = failed else { return Ok(()) };
    // A client whose server died is often the first to notice.
    match work.crew.pause(Duration::from_millis(200)) {
        Err(died @ Trouble::ServerDied { .. }) => {
            tell(format_args!("{} was running", failed.path.display()));
            Err(died)
        }
        Ok(()) | Err(_) => Err(Trouble::Script(Box::new(failed))),
    }
}

/// Why the scripts that were run already are not the first of those that would be run; `None`:
/// they are.
pub fn differs(plan: &Plan, done: &[journal::Script]) -> Option<String> {
    for (index, script) in done.iter().enumerate() {
        let same = plan.items.get(index).filter(|item| item.script.name == script.name);
        let Some(same) = same else {
            return Some(format!("{} was run, and is no longer script {}", script.name, index + 1));
        };
        if !same.script.sha256().is_ok_and(|sha256| sha256 == script.sha256) {
            return Some(format!("{} has changed since it was run", script.name));
        }
    }
    None
}

/// What has changed since these were run, for people: new scripts, which are not run, and others
/// than they were.
pub fn since(plan: &Plan, done: &[journal::Script]) -> Vec<String> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for item in &plan.items {
        let script = &item.script;
        match done.iter().find(|done| done.name == script.name) {
            None => new.push(script.name.as_str()),
            Some(done) if done.size != script.size => changed.push(script.name.as_str()),
            Some(done) if script.size <= READ_MAX => {
                if script.sha256().is_ok_and(|sha256| sha256 != done.sha256) {
                    changed.push(&script.name);
                }
            }
            Some(_) => {}
        }
    }
    let mut lines = Vec::new();
    if !new.is_empty() {
        lines.push(format!(
            "new since the first start, and not run: {}. Scripts run only when the data is made; one that is to run \
             once at the next start belongs into the each-start directory (--each-start)",
            new.join(", ")
        ));
    }
    if !changed.is_empty() {
        lines.push(format!("changed since they were run, and not run again: {}", changed.join(", ")));
    }
    lines
}
