//! `schedule`: when a oneshot runs, as a line of crontab(5) or one of its nicknames.

use super::diagnostics::{Problems, did_you_mean};
use super::local_time::LocalTime;
use super::view::{Field, View};
use crate::core::plan::{Kind, Schedule};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

/// Nicknames, with the lines they stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const BOOT: &str = "@reboot";

/// The beginning of a leap year, in seconds since 1970.
const LEAP_YEAR: i64 = 1_704_067_200;

/// `schedule`; in `[defaults]` it is meant for oneshots only.
pub fn schedule(service: &View<'_>, kind: Kind, problems: &mut Problems) -> Option<Box<Schedule>> {
    let field = service.get("schedule")?;
    let text = field.text(problems)?.trim();
    if text == "none" || (kind == Kind::Longrun && field.layer > 0) {
        return None;
    }
    if kind == Kind::Longrun {
        let message = "`schedule` is for oneshots: a longrun runs for ever";
        problems.error(field.key, message).mark("type = \"oneshot\"?");
        return None;
    }
    if text == BOOT {
        return Some(Box::new(Schedule::Boot));
    }
    let line = match NICKNAMES.iter().find(|(name, _)| *name == text) {
        Some((_, line)) => (*line).to_owned(),
        None if text.starts_with('@') => return unknown(field, text, problems),
        None => text.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let fields = line.split(' ').count();
    if fields != 5 {
        let message = format!("`schedule` must have five fields, not {fields}");
        problems.error(field.span(), message).mark("minute hour day month weekday, such as \"30 3 * * *\"");
        return None;
    }
    match parse(&line) {
        Ok(cron) if next(&cron, &TimeZone::UTC, LEAP_YEAR).is_none() => {
            problems.error(field.span(), "`schedule` names a day that never comes");
            None
        }
        Ok(_) => Some(Box::new(Schedule::Cron(line))),
        Err(why) => {
            let problem = problems.error(field.span(), format!("`schedule` is not understood: {why}"));
            problem.mark("minute hour day month weekday, such as \"30 3 * * *\"");
            None
        }
    }
}

/// A line of five fields.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(line: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(line).map_err(|error| error.to_string().trim_end_matches('.').to_lowercase())
}

/// The first moment after this one at which the line says so; both in seconds since 1970.
pub fn next(cron: &Cron, zone: &TimeZone, after: i64) -> Option<i64> {
    let found = cron.find_next_occurrence(&LocalTime::new(after, zone)?, false).ok()?;
    Some(found.seconds())
}

fn unknown<T>(field: Field<'_>, text: &str, problems: &mut Problems) -> Option<T> {
    let problem = problems.error(field.span(), format!("\"{text}\" is no schedule"));
    let known = NICKNAMES.iter().map(|(name, _)| *name).chain([BOOT]);
    if let Some(near) = did_you_mean(text, known) {
        problem.mark(format!("did you mean \"{near}\"?"));
    }
    None
}
