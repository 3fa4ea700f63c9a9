//! `[supervisor]` and `[signals]`.

use super::diagnostics::{Problems, did_you_mean};
use super::file::{Table, Value};
use super::view::View;
use crate::core::ids::ServiceId;
use crate::core::plan::{Forward, Kind, LogFormat, LogLevel, SupervisorSpec};
use crate::core::signal::Signal;
use crate::core::sorted::Map;
use std::path::PathBuf;
use std::time::Duration;

/// Nothing can be stopped in less.
const SHORTEST_SHUTDOWN: Duration = Duration::from_millis(100);

/// `[supervisor]`.
pub fn supervisor(view: &View<'_>, problems: &mut Problems) -> SupervisorSpec {
    let socket = view.get("control_socket").and_then(|f| f.text(problems)).unwrap_or_default();
    let timeout = view.get("shutdown_timeout").and_then(|field| {
        let duration = field.duration(problems)?;
        if duration < SHORTEST_SHUTDOWN {
            problems.error(field.span(), "`shutdown_timeout` must be at least 100ms");
        }
        Some(duration)
    });
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let formats = [("raw", LogFormat::Raw), ("prefix", LogFormat::Prefix), ("json", LogFormat::Json)];
    SupervisorSpec {
        control_socket: PathBuf::from(socket),
        control_group: None,
        shutdown_timeout: timeout.unwrap_or_default(),
        log_level: view.get("log_level").and_then(|f| f.choice(&levels, problems)).unwrap_or(LogLevel::Info),
        log_format: view
            .get("log_format")
            .and_then(|f| f.choice(&formats, problems))
            .unwrap_or(LogFormat::Raw),
        timestamps: view.get("timestamps").and_then(|f| f.switch(problems)).unwrap_or_default(),
        credentials: None,
    }
}

/// `[signals]`: `USR2 = "web"`, `HUP = "web:QUIT"`, `WINCH = "all"`, `PIPE = ""`.
pub fn signals(
    table: &Table,
    names: &Map<&str, (ServiceId, Kind)>,
    problems: &mut Problems,
) -> Box<[(Signal, Forward)]> {
    let view = View::new(vec![table]);
    let mut found: Vec<(Signal, Forward)> = Vec::new();
    for (name, entry) in table.in_order() {
        let Some(signal) = Signal::parse(name) else {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
            let problem = problems.error(entry.key, format!("\"{name}\" is not a signal"));
            if let Some(near) = did_you_mean(bare, Signal::names()) {
                problem.mark(format!("did you mean \"{near}\"?"));
            }
            continue;
        };
        if [Signal::KILL, Signal::STOP, Signal::CHLD].contains(&signal) {
            problems.error(entry.key, format!("{signal} cannot be passed on"));
            continue;
        }
        if found.iter().any(|(known, _)| *known == signal) {
            problems.error(entry.key, format!("{signal} is given twice"));
            continue;
        }
        let Some(field) = view.get(name) else { continue };
        let text = match &entry.node.value {
            Value::String(text) => text.as_str(),
            _ => {
                field.wrong::<()>(r#"a service, "service:SIGNAL", "all" or """#, problems);
                continue;
            }
        };
        let (target, as_signal) = match text.split_once(':') {
            Some((target, other)) => (target, field.signal_named(other, problems)),
            None => (text, Some(signal)),
        };
        let Some(as_signal) = as_signal else { continue };
        let forward = match target {
            "" if text.is_empty() => Forward::Swallow,
            "all" => Forward::All(as_signal),
            name => match names.get(name) {
                Some((service, _)) => Forward::To(*service, as_signal),
                None => {
                    problems.no_service(field.span(), name, names.keys().copied());
                    continue;
                }
            },
        };
        found.push((signal, forward));
    }
    found.into()
}
