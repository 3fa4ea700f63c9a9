//! Migrations: scripts of which each runs once on this data, at whichever start finds it new.
//!
//! They run on the real data directory, before the database is ready, with the temporary server: at the first
//! start after the scripts of the first start, and at every later one that finds something new. If there is
//! nothing new, nothing is launched. What ran is known by its SHA-256, so a file may be renamed; one that was
//! changed after it ran is said, loudly, and not run again.
//!
//! Here is nothing that could be moved aside and begun again: it is the real data. So one that was interrupted
//! or failed is not run a second time on its own, for nobody but its author knows how far it got. Changing the
//! file is such a decision, and so are giving it another name and taking it away.

use super::listing::{self, Listing, Script};
use super::preflight::{self, Plan};
use super::progress::Progress;
use super::provision;
use crate::core::exit::Outcome;
use crate::init::engine::{Engine, Kinds, Level, Work};
use crate::init::ground;
use crate::init::in_place;
use crate::init::journal::{self, Journal};
use crate::init::trouble::Trouble;
use crate::init::voice::tell;
use std::io::ErrorKind;
use std::path::Path;

/// Runs what is new in the directory of `request.each_start` on `work.data`. Without one, and without anything
/// new in it, nothing is launched.
///
/// # Errors
/// A script failed or cannot be run; an earlier one did not end; the server cannot be started or stopped.
pub fn run(engine: &dyn Engine, work: &mut Work<'_>) -> Result<(), Trouble> {
    let Some(directory) = work.request.each_start.clone() else { return Ok(()) };
    // On data that is there nothing is restored.
    let kinds = Kinds { backups: false, ..engine.kinds() };
    let listing = match listing::list(&directory, kinds, work.request.order, work.who.as_ref()) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            tell(format_args!("warning: {} is not there: no migrations", directory.display()));
            return Ok(());
        }
        Err(error) => return Err(Trouble::io("read", &directory, error)),
    };
    let (record, name) = Journal::of_data(&work.data)?;
    let known = record.as_ref().map_or(&[][..], |journal| &journal.each_start);
    let Choice { new, said, unfinished } = choose(listing, known)?;
    said.iter().for_each(tell);
    if !unfinished.is_empty() {
        return Err(Trouble::Partial(unfinished.join("\n")));
    }
    if new.scripts.is_empty() {
        return Ok(());
    }
    let plan = preflight::examine(new, &provision::about(engine, work));
    plan.lines().iter().for_each(tell);
    hear(&plan)?;
    let mut record = match record {
        Some(record) => record,
        None => {
            let version = engine.server_version(work)?;
            Journal::begin(engine.name(), &version, &engine.variables())?
        }
    };
    in_place::with_server(
        engine,
        work,
        |engine, work| engine.server(work),
        |engine, work| {
            engine.resume(work)?;
            all(engine, work, &plan, &mut record, name)
        },
    )
}

/// Runs all of a plan, each between two entries of the journal.
fn all(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    plan: &Plan,
    record: &mut Journal,
    name: &str,
) -> Result<(), Trouble> {
    let mut progress =
        Progress::new(plan.len(), plan.weight(), &work.request.environment).called("migrating");
    for (index, item) in plan.items.iter().enumerate() {
        work.crew.check()?;
        let script = &item.script;
        let sha256 = script.sha256().map_err(|error| Trouble::io("read", &script.path, error))?;
        // One that failed and was changed since leaves its place to this one.
        record.each_start.retain(|entry| is_done(entry) || entry.name != script.name);
        record.each_start.push(journal::Script {
            name: script.name.clone(),
            size: script.size,
            sha256,
            began: journal::now(),
            ended: None,
            outcome: None,
        });
        in_place::note(work, record, name)?;
        let ran = provision::one(engine, work, item, index + 1, plan.len(), &mut progress);
        let outcome = match &ran {
            Ok(()) => Outcome::Exited(0).to_string(),
            Err(Trouble::Script(script)) => script.outcome.to_string(),
            Err(Trouble::Asked(signal)) => format!("interrupted by {signal}"),
            Err(_) => "interrupted".to_owned(),
        };
        if let Some(entry) = record.each_start.last_mut() {
            (entry.ended, entry.outcome) = (Some(journal::now()), Some(outcome));
        }
        // What is said to be done is on disk before it is said.
        let synced = ground::sync_all(&work.data);
        let written = in_place::note(work, record, name);
        ran.and(synced).and(written)?;
    }
    Ok(())
}

/// What is to be done about a directory.
#[derive(Debug, Default)]
struct Choice {
    /// What never ran here.
    new: Listing,
    /// What is to be said about the rest.
    said: Vec<String>,
    /// Why nothing may be run, a message for each.
    unfinished: Vec<String>,
}

/// Compares what lies there with what ran.
fn choose(listing: Listing, known: &[journal::Script]) -> Result<Choice, Trouble> {
    let Listing { directory, scripts, ignored } = listing;
    let mut choice = Choice { new: Listing { directory, ignored, scripts: Vec::new() }, ..Choice::default() };
    let names: Vec<String> = scripts.iter().map(|script| script.name.clone()).collect();
    for script in scripts {
        let sha256 = match &script.obstacle {
            None => script.sha256().map_err(|error| Trouble::io("read", &script.path, error))?,
            // The plan says what is wrong with it.
            Some(_) => String::new(),
        };
        let same = known.iter().find(|entry| is_done(entry) && entry.sha256 == sha256);
        let namesake = known.iter().rev().find(|entry| entry.name == script.name);
        match (same, namesake) {
            // One that was renamed is nothing new, and a second one with the same content may be meant to run.
            (Some(entry), None) if names.contains(&entry.name) => choice.said.push(format!(
                "warning: {} has the same content as {}, which ran ({}), and is NOT run: if it is to be, change anything in it, \
                 such as a comment",
                script.name, entry.name, entry.began
            )),
            (Some(_), _) => {}
            (None, Some(entry)) if is_done(entry) => choice.said.push(changed(&script, entry)),
            (None, Some(entry)) if entry.sha256 == sha256 => {
                choice.unfinished.push(half_done(&script, entry))
            }
            (None, Some(entry)) => {
                choice.said.push(format!(
                    "{} did not end when it ran ({}), and was changed since: it is run",
                    script.name,
                    how(entry)
                ));
                choice.new.scripts.push(script);
            }
            (None, None) => choice.new.scripts.push(script),
        }
    }
    if let Some(first) = choice.new.scripts.first()
        && let Some(later) = known.iter().filter(|entry| is_done(entry)).map(|entry| &entry.name).max()
        && first.name < *later
        && choice.unfinished.is_empty()
    {
        choice.said.push(format!("{} is new and comes before {later}, which has run already", first.name));
    }
    Ok(choice)
}

fn is_done(entry: &journal::Script) -> bool {
    entry.outcome.as_ref().is_some_and(|outcome| *outcome == Outcome::Exited(0).to_string())
}

fn how(entry: &journal::Script) -> &str {
    entry.outcome.as_deref().unwrap_or("nobody saw its end")
}

fn changed(script: &Script, entry: &journal::Script) -> String {
    format!(
        "warning: {} was changed after it ran ({}), and is NOT run again: what is to be done now needs a file of its own",
        script.path.display(),
        entry.began
    )
}

fn half_done(script: &Script, entry: &journal::Script) -> String {
    format!(
        "{path} was begun {began} and did not end ({how}). It may be half done, and only its author can know: nothing was \
         touched\n\
         to run it again from its beginning:  give it another name, or change it\n\
         to go on without it:                 take it out of {directory}",
        path = script.path.display(),
        began = entry.began,
        how = how(entry),
        directory = script.path.parent().unwrap_or(Path::new(".")).display(),
    )
}

/// Says what the plan says; errors are the trouble.
fn hear(plan: &Plan) -> Result<(), Trouble> {
    for remark in &plan.remarks {
        match remark.level {
            Level::Note => tell(&remark.text),
            Level::Warning => tell(format_args!("warning: {}", remark.text)),
            Level::Error => {}
        }
    }
    let errors: Vec<String> = plan.errors().map(str::to_owned).collect();
    if errors.is_empty() { Ok(()) } else { Err(Trouble::Plan(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::scripts::listing::{Kind, Packing};
    use std::fs;
    use std::path::PathBuf;

    /// A script of this name with this content, and what would be noted of it.
    fn script(directory: &Path, name: &str, content: &str) -> Script {
        fs::write(directory.join(name), content).unwrap();
        Script {
            path: directory.join(name),
            name: name.to_owned(),
            kind: Kind::Sql(Packing::None),
            size: content.len() as u64,
            is_executable: false,
            obstacle: None,
        }
    }

    fn entry(name: &str, content: &str, outcome: Option<&str>) -> journal::Script {
        journal::Script {
            name: name.to_owned(),
            size: content.len() as u64,
            sha256: crate::init::digest::of(content.as_bytes()).unwrap().0,
            began: "2026-11-21T01:30:00Z".to_owned(),
            ended: None,
            outcome: outcome.map(str::to_owned),
        }
    }

    fn chosen(name: &str, scripts: &[(&str, &str)], known: &[journal::Script]) -> (Vec<String>, Choice) {
        let directory: PathBuf =
            std::env::temp_dir().join(format!("minisup-each-{}-{name}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let scripts = scripts.iter().map(|(name, content)| script(&directory, name, content)).collect();
        let listing = Listing { directory: directory.clone(), scripts, ignored: vec![] };
        let choice = choose(listing, known).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        (choice.new.scripts.iter().map(|script| script.name.clone()).collect(), choice)
    }

    const DONE: Option<&str> = Some("exit code 0");

    #[test]
    fn what_ran_is_known_by_its_content() {
        let known = [entry("1.sql", "one", DONE), entry("2.sql", "two", DONE)];
        let (new, choice) =
            chosen("content", &[("1.sql", "one"), ("2-renamed.sql", "two"), ("3.sql", "three")], &known);
        assert_eq!(new, ["3.sql"]);
        assert_eq!((choice.said.len(), choice.unfinished.len()), (0, 0));
    }

    #[test]
    fn a_second_file_with_the_content_of_one_that_ran_is_said_and_not_run() {
        let known = [entry("9.sql", "same", DONE)];
        let (new, choice) = chosen("same", &[("11.sql", "same"), ("9.sql", "same")], &known);
        assert_eq!(new, [""; 0]);
        assert!(
            choice.said[0].contains("11.sql has the same content as 9.sql, which ran"),
            "{:?}",
            choice.said
        );
        let (_, choice) = chosen("same", &[("11.sql", "same")], &known);
        assert_eq!(choice.said.len(), 0, "it was renamed");
    }

    #[test]
    fn what_was_changed_after_it_ran_is_said_and_not_run() {
        let (new, choice) = chosen("changed", &[("1.sql", "other")], &[entry("1.sql", "one", DONE)]);
        assert_eq!(new, [""; 0]);
        assert!(
            choice.said[0]
                .contains("1.sql was changed after it ran (2026-11-21T01:30:00Z), and is NOT run again")
        );
    }

    #[test]
    fn what_did_not_end_is_not_run_again_until_somebody_decides() {
        for outcome in [None, Some("exit code 1")] {
            let known = [entry("1.sql", "one", outcome)];
            let (new, choice) = chosen("half", &[("1.sql", "one"), ("2.sql", "two")], &known);
            assert_eq!(new, ["2.sql"]);
            assert!(choice.unfinished[0].contains("1.sql was begun 2026-11-21T01:30:00Z and did not end"));
            let (new, choice) = chosen("half", &[("1.sql", "one, repaired")], &known);
            assert_eq!((new, choice.unfinished.len()), (vec!["1.sql".to_owned()], 0));
            let (new, choice) = chosen("half", &[("1-again.sql", "one")], &known);
            assert_eq!((new, choice.unfinished.len()), (vec!["1-again.sql".to_owned()], 0));
            let (new, choice) = chosen("half", &[], &known);
            assert_eq!((new.len(), choice.unfinished.len()), (0, 0));
        }
    }

    #[test]
    fn a_new_one_before_an_old_one_is_run_and_said() {
        let (new, choice) =
            chosen("before", &[("1.sql", "one"), ("2.sql", "two")], &[entry("2.sql", "two", DONE)]);
        assert_eq!(new, ["1.sql"]);
        assert_eq!(choice.said, ["1.sql is new and comes before 2.sql, which has run already"]);
    }
}
