//! `stop`: which signals, in which order, with which time between them.
//!
//! `signal` is a name, or a list of names and times: `["QUIT", "5s", "TERM", "2s"]`. The
//! grace period is the whole time from the first signal to KILL. One signal of a list may
//! stand without a time: it gets what the grace period leaves, so `["QUIT", "TERM", "2s"]`
//! with a grace period of 8 s waits 6 s after QUIT. A list with a time for each signal says
//! all by itself.

use super::diagnostics::{Problems, Span};
use super::file::Value;
use super::values::{duration, duration_text};
use super::view::{Field, View};
use crate::core::plan::Stop;
use crate::core::signal::Signal;
use std::time::Duration;

/// No sequence needs more signals.
const MOST_SIGNALS: usize = 16;

/// `stop`, and the place of what says how long it takes.
pub fn stop(service: &View<'_>, problems: &mut Problems) -> Option<(Stop, Span)> {
    if let Some(field) = service.get("stop")
        && !matches!(field.node.value, Value::Table(_))
    {
        return field.wrong(r#"a table such as { signal = "TERM", grace_period = "8s" }"#, problems);
    }
    let table = service.inside("stop", "stop.");
    let signal = table.get("signal")?;
    let grace = table.get("grace_period")?;
    let (period, steps) = (grace.duration(problems), steps(signal, problems));
    let delay = table.get("delay")?.duration(problems);
    let tree = table.get("tree")?.switch(problems);
    let to_tree = table.get("to")?.choice(&[("main", false), ("tree", true)], problems);
    let sequence = timed(&steps?, signal, grace, period?, problems)?;
    let stop = Stop { sequence: sequence.into(), delay: delay?, tree: tree?, to_tree: to_tree? };
    let place = if grace.layer < signal.layer { grace } else { signal };
    Some((stop, place.span()))
}

/// Signals, each with the time that is written behind it.
fn steps(field: Field<'_>, problems: &mut Problems) -> Option<Vec<(Signal, Option<Duration>)>> {
    let elements = match &field.node.value {
        Value::Integer { .. } => return Some(vec![(field.signal(problems)?, None)]),
        _ => field.elements(r#"a signal such as "TERM", or a list of signals and times"#, problems)?,
    };
    let mut steps: Vec<(Signal, Option<Duration>)> = Vec::new();
    for element in elements {
        let time = match &element.node.value {
            // "15" may be a signal, "15s" cannot.
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Signal::parse(text).is_none().then(|| duration(text))
            }
            _ => None,
        };
        match (time, steps.last_mut()) {
            (Some(Ok(time)), Some((_, slot @ None))) => *slot = Some(time),
            (Some(Ok(_)), _) => {
                let message = format!("{}: a time stands behind the signal it belongs to", field.title());
                problems.error(element.span(), message).mark("[\"QUIT\", \"5s\", \"TERM\", \"2s\"]");
                return None;
            }
            (Some(Err(expected)), _) => return element.wrong(&expected, problems),
            (None, _) => {
                let signal = element.signal(problems)?;
                if signal == Signal::KILL && steps.is_empty() && matches!(field.node.value, Value::Array(_)) {
                    problems.warning(element.span(), "KILL comes by itself at the end");
                }
                steps.push((signal, None));
            }
        }
    }
    if steps.is_empty() {
        return field.wrong("at least one signal", problems);
    }
    if steps.len() > MOST_SIGNALS {
        return field.wrong("a list of at most 16 signals", problems);
    }
    Some(steps)
}

/// Every signal with a time.
fn timed(
    steps: &[(Signal, Option<Duration>)],
    signal: Field<'_>,
    grace: Field<'_>,
    period: Duration,
    problems: &mut Problems,
) -> Option<Vec<(Signal, Duration)>> {
    let untimed = steps.iter().filter(|(_, time)| time.is_none()).count();
    let total = steps.iter().filter_map(|(_, time)| *time).fold(Duration::ZERO, Duration::saturating_add);
    if untimed > 1 {
        let message = "only one signal of a sequence may stand without a time";
        problems.error(signal.span(), message).mark("[\"QUIT\", \"5s\", \"TERM\", \"2s\"]");
        return None;
    }
    let beside = grace.layer == signal.layer;
    if untimed == 0 && beside && total != period {
        let message = format!(
            "the times of the sequence are {} together, the grace period is {}",
            duration_text(total),
            duration_text(period)
        );
        problems.error(grace.span(), message).mark("leave one of them out");
        return None;
    }
    let rest = period.saturating_sub(total);
    if untimed == 1 && total > Duration::ZERO && rest.is_zero() {
        let message = format!(
            "the grace period of {} leaves nothing beside the {} of the sequence",
            duration_text(period),
            duration_text(total)
        );
        problems.error(grace.span(), message).see(signal.span(), "the sequence");
        return None;
    }
    Some(steps.iter().map(|(signal, time)| (*signal, time.unwrap_or(rest))).collect())
}
