//! What to write instead of a key that nobody knows.

use super::diagnostics::did_you_mean;
use super::keys::{INSIDE, Key, SERVICE, SUPERVISOR, TOP};

/// What other supervisors call a key of a service, and what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("args", "command"),
    ("autorestart", "restart"),
    ("autostart", "enabled"),
    ("chdir", "directory"),
    ("cmd", "command"),
    ("count", "instances"),
    ("cwd", "directory"),
    ("depends", "requires"),
    ("depends_on", "requires"),
    ("entrypoint", "command"),
    ("env", "environment"),
    ("env_file", "environment_files"),
    ("exec", "command"),
    ("exec_start", "command"),
    ("exitcodes", "success_codes"),
    ("gid", "group"),
    ("healthcheck", "health"),
    ("killasgroup", "stop.tree"),
    ("kill_signal", "stop.signal"),
    ("logfile", "stdout"),
    ("needs", "requires"),
    ("notify", "ready"),
    ("numprocs", "instances"),
    ("oneshot", "type"),
    ("priority", "requires"),
    ("readiness", "ready"),
    ("replicas", "instances"),
    ("rlimits", "limits"),
    ("run", "command"),
    ("scale", "instances"),
    ("startretries", "max_failures"),
    ("startsecs", "min_uptime"),
    ("stderr_logfile", "stderr"),
    ("stdout_logfile", "stdout"),
    ("stop_grace_period", "stop.grace_period"),
    ("stop_signal", "stop.signal"),
    ("stop_timeout", "stop.grace_period"),
    ("stopasgroup", "stop.to"),
    ("stopsignal", "stop.signal"),
    ("stopwaitsecs", "stop.grace_period"),
    ("uid", "user"),
    ("ulimits", "limits"),
    ("wants", "after"),
    ("watchdog", "health"),
    ("workdir", "directory"),
    ("working_dir", "directory"),
    ("working_directory", "directory"),
];

/// The table that a key stands in, as it is written in a service or at the top level.
fn table_of(name: &str) -> Option<&'static str> {
    let among = |keys: &[Key]| keys.iter().any(|key| key.name == name);
    let inside = || INSIDE.iter().find(|(_, groups)| groups.iter().any(|keys| among(keys)));
    match () {
        () if among(SUPERVISOR) => Some("[supervisor]"),
        () if among(SERVICE) => Some("a service"),
        () if among(TOP) => Some("the top level, before all tables"),
        () => inside().map(|(table, _)| *table),
    }
}

/// What to write instead of a key that nobody knows here.
pub fn of(name: &str, known: &[&str]) -> String {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| *theirs == lower);
    if let Some((_, ours)) =
        elsewhere.filter(|(_, ours)| known.contains(&ours.split('.').next().unwrap_or(ours)))
    {
        return format!("that is `{ours}` here");
    }
    if let Some(near) = known.iter().find(|key| **key == lower) {
        return format!("did you mean \"{near}\"?");
    }
    if let Some(table) = table_of(name) {
        return format!("that belongs into {table}");
    }
    match did_you_mean(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.len() <= 14 => format!("known: {}", known.join(", ")),
        None => String::new(),
    }
}
