//! What is said before, or instead of, doing something: the plan of a dry run, and at a later
//! start what has changed since the first and has no effect.

use super::engine::{Engine, Level, Work};
use super::ground::{Found, Ground};
use super::journal::{Journal, State};
use super::scripts::preflight::Plan;
use super::trouble::Trouble;
use serde_json::{Value, json};
use std::io::Write;

/// Prints what a start would do now.
///
/// # Errors
/// It would refuse: then the reasons are the trouble.
pub fn show(engine: &dyn Engine, work: &Work<'_>, ground: &Ground, found: &Found) -> Result<(), Trouble> {
    let state = state(found);
    let mut plan = None;
    if matches!(found, Found::Nothing | Found::Unfinished(_)) {
        let mut made = super::scripts::provision::plan(engine, work)?;
        made.remarks = engine.check().into_iter().chain(made.remarks).collect();
        plan = Some(made);
    }
    let since = match found {
        Found::Complete(journal) => since(engine, work, journal),
        Found::Nothing | Found::Unfinished(_) | Found::Foreign => Vec::new(),
    };
    let lines = match work.request.json {
        true => vec![document(engine, ground, &state, plan.as_ref(), &since).to_string()],
        false => {
            let mut lines = vec![format!("data directory  {}", ground.data.display())];
            lines.push(format!("state           {state}"));
            if let Some(plan) = &plan {
                lines.extend(plan.lines());
                lines.extend(plan.remarks.iter().filter_map(|remark| match remark.level {
                    // They are the trouble.
                    Level::Error => None,
                    Level::Warning => Some(format!("warning: {}", remark.text)),
                    Level::Note => Some(remark.text.clone()),
                }));
            }
            lines.into_iter().chain(since).collect()
        }
    };
    let mut out = std::io::stdout().lock();
    // A reader who has gone has the exit code.
    let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    let errors: Vec<String> = plan.iter().flat_map(Plan::errors).map(str::to_owned).collect();
    if errors.is_empty() { Ok(()) } else { Err(Trouble::Rules(errors)) }
}

/// The same for programs: that of the plan, if there is one, with where and how things are.
fn document(
    engine: &dyn Engine,
    ground: &Ground,
    state: &str,
    plan: Option<&Plan>,
    since: &[String],
) -> Value {
    let mut document = plan.map_or_else(|| json!({ "engine": engine.name() }), Plan::json);
    document["data_directory"] = json!(ground.data.to_string_lossy());
    document["state"] = json!(state);
    document["since"] = json!(since);
    document
}

fn state(found: &Found) -> String {
    match found {
        Found::Nothing => "empty: a first start would begin".into(),
        Found::Unfinished(None) => {
            "a first start was begun, and nothing was made: it would begin again".into()
        }
        Found::Unfinished(Some(journal)) => {
            let how_far = match journal.state {
                State::Initialising => "while the data directory was made".to_owned(),
                State::Provisioned => format!("after {} scripts", journal.scripts.len()),
                State::Provisioning => format!("in script {}", journal.scripts.len()),
                State::Stopping => "when all was done, before the server was stopped".to_owned(),
                State::Moving | State::Complete => "when it was put in its place: it would go on".to_owned(),
            };
            format!("a first start, begun {}, was interrupted {how_far}", journal.began)
        }
        Found::Complete(_) => "complete: nothing to be done".into(),
        Found::Foreign => "there is data that minisup did not make: it would be used as it is".into(),
    }
}

/// What a later start says: when and by what the data was made, and what has changed since.
pub fn since(engine: &dyn Engine, work: &Work<'_>, journal: &Journal) -> Vec<String> {
    let scripts = match journal.scripts.len() {
        0 => "no scripts".to_owned(),
        1 => "1 script".to_owned(),
        count => format!("{count} scripts"),
    };
    let mut line = format!(
        "data of {} ({}), initialised {} by minisup {}, {scripts}: nothing to be done",
        journal.engine,
        journal.server_version,
        journal.completed.as_ref().unwrap_or(&journal.began),
        journal.minisup,
    );
    let variables = engine.variables();
    let different = journal.different(&variables);
    if !different.is_empty() {
        line += &format!("; {} differ from the first start and have no effect", different.join(", "));
    }
    let mut lines = vec![line];
    if journal.engine != engine.name() {
        lines.push(format!("warning: this is data of {}, and not of {}", journal.engine, engine.name()));
    }
    if let Ok(plan) = super::scripts::provision::plan(engine, work) {
        lines.extend(super::scripts::provision::since(&plan, &journal.scripts));
    }
    lines
}
