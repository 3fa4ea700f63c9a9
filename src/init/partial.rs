//! What is done about a first start that did not end: whether it can be gone on with, and what people are told.

use super::engine::Engine;
use super::ground::{Found, Ground};
use super::journal::{Journal, State};
use super::scripts::preflight::Plan;
use super::scripts::provision;
use super::trouble::Trouble;
use super::voice::tell;
use super::{OnPartial, Request};

/// Why a first start that did not end cannot be gone on with; `None`: it can.
pub(super) fn why_not_resumed(
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
pub(super) fn refusal(ground: &Ground, found: &Found) -> Trouble {
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
pub(super) fn next_time(request: &Request, journal: &Journal, trouble: &Trouble) {
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
