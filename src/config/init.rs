//! `scripts` of a database: its first start, as the oneshot `NAME-init`.
//!
//! The oneshot is a process of our own, `minisup init ENGINE … -- SERVER ARGV…`, that the service
//! requires; so it has a line in every plan, status and log, and the database is launched when it
//! has succeeded. It finds what the service will find: environment, secrets, directory, limits,
//! and the command as it will be launched. But it runs as minisup itself does: it owns what is to
//! be owned and becomes the service's user by itself. What comes before the service comes before
//! it, too. It is not tried again: what it has begun, and what is to be done about that, is told
//! by its journal at the next start.

use super::diagnostics::{Problems, Span};
use super::file::{Entry, Table, Value};
use super::presets::Preset;
use super::probe;
use super::service::Resolved;
use super::values::duration_text;
use super::view::View;
use super::why::Source;
use crate::core::plan::*;
use crate::core::signal::Signal;
use crate::core::sorted::Map;
use std::rc::Rc;
use std::time::Duration;

/// What it is called in a plan: a satellite is our own program, wherever that lies.
pub const OURS: &str = "minisup";

/// The presets whose servers have a first start.
const ENGINES: [&str; 4] = ["mariadb", "mysql", "postgres", "mongodb"];

/// What of the environment only a first start needs, and nobody must find in the server's later: each also with `_FILE`.
fn confidential(engine: &str) -> &'static [&'static str] {
    match engine {
        "mariadb" => &[
            "MARIADB_PASSWORD",
            "MARIADB_PASSWORD_HASH",
            "MARIADB_REPLICATION_PASSWORD",
            "MARIADB_REPLICATION_PASSWORD_HASH",
            "MARIADB_ROOT_PASSWORD",
            "MARIADB_ROOT_PASSWORD_HASH",
            "MYSQL_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
        ],
        "mysql" => &["MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD"],
        "postgres" => &["POSTGRES_PASSWORD"],
        "mongodb" => &["MONGO_INITDB_ROOT_PASSWORD"],
        _ => &[],
    }
}

/// What a service's `scripts` say.
pub struct FirstStart {
    /// Its engine.
    engine: &'static str,
    /// The words of `minisup init`, before the server's own.
    words: Vec<String>,
    /// Where it is written.
    key: Span,
}

/// Where a service's own table asks for a first start; `[defaults]` only has values for those
/// that do.
pub fn asked(table: &Table) -> Option<&Entry> {
    let entry = table.get("scripts")?;
    let is_none = matches!(&entry.node.value, Value::String(text) if text == "none");
    (!is_none).then_some(entry)
}

/// What the oneshot of a service is called.
pub fn name(service: &str) -> String {
    format!("{service}-init")
}

/// Says that somebody else has taken the oneshot's name.
pub fn taken(service: &str, scripts: &Entry, theirs: Span, problems: &mut Problems) {
    let message = format!("`{}` is made by the `scripts` of [service.{service}]", name(service));
    problems.error(theirs, message).mark("call this one otherwise").see(scripts.key, "here");
}

/// `scripts`, if the service's own table has it.
pub fn read(
    table: &Table,
    view: &View<'_>,
    preset: Option<&Preset>,
    problems: &mut Problems,
) -> Option<FirstStart> {
    let entry = asked(table)?;
    if !matches!(entry.node.value, Value::Table(_)) {
        let field = view.get("scripts")?;
        return field
            .wrong(r#"a table such as { directory = "/docker-entrypoint-initdb.d" }, or "none""#, problems);
    }
    let engine = preset.map(|preset| preset.name).filter(|name| ENGINES.contains(name));
    let Some(engine) = engine else {
        let message = "`scripts` are for databases: only their presets know what a first start is";
        problems.error(entry.key, message).mark(format!("preset = \"{}\"?", ENGINES.join("\", \"")));
        return None;
    };
    let mut words = vec![OURS.to_owned(), "init".to_owned(), engine.to_owned()];
    let scripts = view.inside("scripts", "scripts.");
    for (key, option) in
        [("directory", "--directory"), ("each_start", "--each-start"), ("data_directory", "--data-directory")]
    {
        if let Some(path) = scripts.get(key).and_then(|field| field.text(problems)) {
            words.extend([option.to_owned(), path.to_owned()]);
        }
    }
    if let Some(charset) = scripts.get("charset").and_then(|field| field.text(problems)) {
        words.extend(["--charset".to_owned(), charset.to_owned()]);
    }
    for (key, option) in [("timeout", "--script-timeout"), ("start_timeout", "--start-timeout")] {
        if let Some(limit) = scripts.get(key).and_then(|field| probe::some_time(field, problems)) {
            words.extend([option.to_owned(), duration_text(limit)]);
        }
    }
    let policies = ["retry", "quarantine", "fail"].map(|word| (word, word));
    let orders = ["glob", "version"].map(|word| (word, word));
    for (key, option, choices) in
        [("on_partial", "--on-partial", &policies[..]), ("order", "--order", &orders[..])]
    {
        let word = scripts.get(key).and_then(|field| field.choice(choices, problems));
        words.extend(word.into_iter().flat_map(|word| [option.to_owned(), word.to_owned()]));
    }
    Some(FirstStart { engine, words, key: entry.key })
}

impl FirstStart {
    /// The oneshot before this service, which gets no requirement by it; `user` is the service's.
    pub fn oneshot(self, service: &Resolved, user: Option<String>, place: Option<String>) -> Resolved {
        let FirstStart { mut words, key, .. } = self;
        words.extend(user.into_iter().flat_map(|user| ["--user".to_owned(), user]));
        words.push("--".to_owned());
        let of = &service.spec;
        words.extend(of.launch.command.iter().cloned());
        let extra = of.launch.extra.as_deref().cloned().unwrap_or_default();
        let extra = LaunchExtra { credentials: None, capabilities: None, satellite: true, ..extra };
        let grace = of.stop.longest().saturating_sub(of.stop.delay);
        let spec = ServiceSpec {
            name: name(&of.name).into(),
            kind: Kind::Oneshot,
            ready: None,
            health: None,
            restart: Restart::Never,
            rolling: false,
            heirs: None,
            success_codes: Rc::new([0]),
            min_uptime: Duration::ZERO,
            // The server that it launches for itself is to end as cleanly as the service.
            stop: Rc::new(Stop {
                sequence: [(Signal::TERM, grace)].into(),
                delay: Duration::ZERO,
                tree: true,
                to_tree: false,
            }),
            reload: None,
            reopen: None,
            hooks: None,
            schedule: None,
            watch: None,
            memory_limit: None,
            sockets: None,
            stdout: heard(&of.stdout),
            stderr: heard(&of.stderr),
            launch: Launch { command: words.into(), extra: Some(Box::new(extra)), ..of.launch.clone() },
            ..of.clone()
        };
        let why = place.map(|place| {
            let source = Source::Service(place);
            let mut keys = Map::from([("command".to_owned(), source.clone())]);
            for (name, waits) in [("requires", &spec.requires), ("after", &spec.after)] {
                keys.extend((!waits.is_empty()).then(|| (name.to_owned(), source.clone())));
            }
            keys
        });
        Resolved {
            spec,
            preset: None,
            adjusted: Vec::new(),
            name: key,
            command: key,
            directory: None,
            one_string: false,
            requires: service.requires.clone(),
            after: service.after.clone(),
            ordered: true,
            stop: None,
            why,
            first_start: None,
        }
    }

    /// Takes out of the service's environment what only its first start needs, unless its own keys set it. Returns the
    /// names of what was taken.
    pub fn keep_to_itself(&self, service: &mut ServiceSpec) -> Vec<String> {
        let Some(own) = &service.launch.own else { return Vec::new() };
        let is_secret = |name: &str| {
            let known = name.strip_suffix("_FILE").unwrap_or(name);
            confidential(self.engine).contains(&known) && own.iter().all(|own| own != name)
        };
        let (taken, kept): (Vec<_>, Vec<_>) =
            service.launch.environment.iter().cloned().partition(|(name, _)| is_secret(name));
        if !taken.is_empty() {
            service.launch.environment = kept.into();
        }
        taken.into_iter().map(|(name, _)| name).collect()
    }

    /// Where it is written.
    pub fn key(&self) -> Span {
        self.key
    }
}

/// What is said of a first start is never thrown away.
fn heard(sinks: &Sinks) -> Sinks {
    match sinks.contains(&Sink::Null) {
        true => Rc::from([Sink::Forward]),
        false => sinks.clone(),
    }
}
