//! From text to [`Plan`]: as written, then as meant.
//!
//! ```text
//! supervise.toml ─ include ─ file ─► one tree with places ─ view, service ─► Plan
//!                     │        │                              │   │
//!                 more files  variables                  presets  credentials, environment …
//! ```
//!
//! Nothing stops at the first error: each rejected configuration comes back with all that
//! is wrong with it ([`Diagnostics`]), sorted, each finding with its place. And nothing is
//! read from the process: the world a configuration is resolved in is [`Surroundings`].
#![forbid(unsafe_code)]

mod accounts;
mod checks;
pub mod command;
mod credentials;
mod cure;
mod cycles;
mod dependencies;
pub mod diagnostics;
mod entrypoint;
mod environment;
mod file;
mod first_line;
mod hooks;
mod include;
mod init;
pub mod keys;
mod launch;
mod local_time;
pub mod presets;
mod probe;
mod reading;
pub mod schedule;
mod service;
mod sinks;
mod sockets;
mod stop;
mod supervisor;
pub mod template;
pub mod values;
mod variables;
pub mod version;
mod view;
mod watch;
pub mod why;
mod words;

pub use accounts::Accounts;
pub use diagnostics::{Diagnostic, Diagnostics};

use crate::core::ids::ServiceId;
use crate::core::plan::{Credentials, Kind, Plan};
use crate::core::sorted::{Map, Set};
use credentials::Who;
use diagnostics::{Origin, Problems, SourceId, Sources};
use environment::Environments;
use file::{Table, Value};
use service::{Resolved, Shared};
use std::path::{Path, PathBuf};
use variables::Variables;
use view::View;

/// The world a configuration is resolved in: nothing else is read from the process.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Our own environment: what `${VAR}` is replaced from, and what services inherit.
    pub environment: Vec<(String, String)>,
    /// Variables of ours that are not UTF-8, by their lossy names: they are not passed on.
    pub unreadable: Vec<String>,
    /// /etc/passwd and /etc/group.
    pub accounts: Accounts,
    /// Our effective user.
    pub euid: u32,
    /// Our effective group.
    pub egid: u32,
    /// Only regular files are read: for whoever must not wait, or reads for the second time.
    pub only_files: bool,
    /// The words after the image's name, if they are for the service of `[command]`.
    pub arguments: Vec<String>,
    /// Whom minisup has become already; `None`: it will do as `[supervisor] user` says.
    pub became: Option<Became>,
}

/// Whom minisup becomes before it launches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Became {
    /// `None`: it stays who it is.
    credentials: Option<Credentials>,
    /// HOME, USER and LOGNAME of that user.
    variables: Vec<(String, String)>,
}

impl Became {
    fn of(who: &Who<'_>) -> Became {
        let own = |user: &accounts::User| {
            user.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Became {
            credentials: who.credentials.clone(),
            variables: who.user.as_deref().map(own).unwrap_or_default(),
        }
    }
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Surroundings {
        let mut environment = Vec::new();
        let mut unreadable = Vec::new();
        for (name, value) in std::env::vars_os() {
            let lossy = name.to_string_lossy().into_owned();
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => environment.push((name, value)),
                _ => unreadable.push(lossy),
            }
        }
        let read = |path: &str| std::fs::read(path).unwrap_or_default();
        Surroundings {
            environment,
            unreadable,
            accounts: Accounts::parse(&read("/etc/passwd"), &read("/etc/group")),
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            only_files: false,
            arguments: Vec::new(),
            became: None,
        }
    }

    /// The same world after minisup has become somebody else.
    fn seen_by(&self, became: &Became) -> Surroundings {
        let mut around = self.clone();
        if let Some(credentials) = &became.credentials {
            (around.euid, around.egid) = (credentials.uid, credentials.gid);
        }
        if !became.variables.is_empty() {
            around.environment.retain(|(name, _)| !["HOME", "USER", "LOGNAME"].contains(&name.as_str()));
            around.environment.extend(became.variables.iter().cloned());
        }
        around
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A configuration that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What is to run.
    pub plan: Plan,
    /// What works but is hardly meant.
    pub warnings: Vec<Diagnostic>,
    /// All files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Why each service is as it is, in the order of the plan; empty unless asked for.
    pub reasons: Vec<Reasons>,
    /// Whom minisup becomes, or has become.
    pub became: Became,
}

/// Why a service is as it is.
#[derive(Debug)]
pub struct Reasons {
    /// Its preset.
    pub preset: Option<&'static str>,
    /// What the preset changed in its command, in words.
    pub adjusted: Vec<String>,
    /// Who gave each key that is not at its default.
    pub keys: Map<String, why::Source>,
}

/// Where a configuration is looked for when none is named, after `$MINISUP_CONFIG`.
pub const DEFAULT_PATHS: [&str; 4] = [
    "supervise.toml",
    "/etc/minisup/supervise.toml",
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisord.conf",
];

/// The configuration to read when none is named: `$MINISUP_CONFIG`, even if that does not
/// exist, else the first of [`DEFAULT_PATHS`] that does.
pub fn find_default(around: &Surroundings) -> Option<PathBuf> {
    if let Some(named) = around.variable("MINISUP_CONFIG") {
        return Some(PathBuf::from(named));
    }
    DEFAULT_PATHS.iter().map(PathBuf::from).find(|path| Path::exists(path))
}

/// Reads these files, a later one over an earlier one.
///
/// # Errors
/// Everything that is wrong with them, all at once.
pub fn load(files: &[PathBuf], around: &Surroundings) -> Result<Loaded, Diagnostics> {
    read(files, around, false)
}

/// The same, and why each service is as it is. PID 1 has no use for that, and no memory.
///
/// # Errors
/// As [`load`].
pub fn explain(files: &[PathBuf], around: &Surroundings) -> Result<Loaded, Diagnostics> {
    read(files, around, true)
}

fn read(files: &[PathBuf], around: &Surroundings, explain: bool) -> Result<Loaded, Diagnostics> {
    let mut sources = Sources::new(around.only_files);
    let mut problems = Problems::default();
    let variables = Variables(Map::from_iter(around.environment.iter().cloned()));
    let builtin = parse_ours(Origin::Defaults, keys::defaults(), &variables, &mut sources, &mut problems);
    let assembled = include::assemble(files, &variables, &mut sources, &mut problems);
    for name in &around.unreadable {
        problems.warn(format!("the variable {name} is not UTF-8 and is not passed on to services"));
    }
    problems.incomplete = !assembled.whole;
    problems.in_pieces = !assembled.whole && files.len() > 1;
    let plan = match assembled.sound {
        true => Some(resolve(&assembled.tree, &builtin, around, &mut sources, &mut problems, explain)),
        false => None,
    };
    let failed = problems.errors() > 0;
    let (errors, warnings) = problems.finish(&sources);
    match plan {
        Some((plan, became, reasons)) if !failed => {
            Ok(Loaded { plan, warnings, files: assembled.files, reasons, became })
        }
        _ => Err(errors),
    }
}

fn parse_ours(
    origin: Origin,
    text: String,
    variables: &Variables,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Table {
    let id: SourceId = sources.add(origin, text);
    file::parse(sources, id, variables, problems).0
}

fn resolve(
    tree: &Table,
    builtin: &Table,
    around: &Surroundings,
    sources: &mut Sources,
    problems: &mut Problems,
    explain: bool,
) -> (Plan, Became, Vec<Reasons>) {
    view::check_keys(tree, &[keys::TOP], "the file", problems);
    let empty = Table::default();
    let own = |name: &'static str, problems: &mut Problems| match tree.get(name) {
        None => None,
        Some(entry) => match &entry.node.value {
            Value::Table(table) => Some(table),
            _ => {
                let header = if name == "service" { "service.NAME" } else { name };
                problems.error(entry.node.span, format!("`{name}` must be a table: [{header}]"));
                None
            }
        },
    };
    let supervisor = own("supervisor", problems).unwrap_or(&empty);
    let defaults = own("defaults", problems).unwrap_or(&empty);
    let scripts = entrypoint::scripts(tree, builtin, around, sources, problems);
    let services = own("service", problems).unwrap_or(&empty).in_order();
    let services: Vec<(&str, &file::Entry)> =
        scripts.iter().map(|script| (&*script.name, &script.entry)).chain(services).collect();
    let signals = own("signals", problems).unwrap_or(&empty);
    let common = own("environment", problems);
    service::check_service_keys(defaults, "[defaults]", problems);
    sockets::check_references(tree, problems);

    let bottom = builtin.table("service").unwrap_or(&empty);
    // What a dependency means rests on the kinds of all services; errors are said later.
    let mut unsaid = Problems::default();
    let first_starts = first_starts(&services, problems);
    let mut names: Map<&str, (ServiceId, Kind)> = Map::new();
    for ((name, entry), first_start) in services.iter().zip(&first_starts) {
        let layers = match &entry.node.value {
            Value::Table(table) => vec![table, defaults, bottom],
            _ => vec![bottom],
        };
        let kind = service::kind(&View::new(layers), &mut unsaid).unwrap_or(Kind::Longrun);
        let both = first_start.as_deref().map(|it| (it, Kind::Oneshot)).into_iter().chain([(*name, kind)]);
        for (name, kind) in both {
            names.insert(name, (ServiceId(names.len() as u32), kind));
        }
    }

    let view = View::new(vec![supervisor, builtin.table("supervisor").unwrap_or(&empty)]);
    view::check_keys(supervisor, &[keys::SUPERVISOR], "[supervisor]", problems);
    let mut supervisor = supervisor::supervisor(&view, problems);
    supervisor.control_group = credentials::control_group(&view, around, problems);
    let who = credentials::of(&view, around, problems);
    // From here on the world is the one that services will be launched from.
    let became = around.became.clone().unwrap_or_else(|| Became::of(&who));
    let around = &around.seen_by(&became);
    supervisor.credentials = who.credentials;
    let mut layers = |preset: &presets::Preset| {
        let mut parse = |text: String| {
            parse_ours(Origin::Preset(preset.name), text, &Variables::default(), sources, problems)
        };
        let is_there = |name: &&str| around.euid == 0 && around.accounts.user(name).is_some();
        let account = preset.account.filter(is_there).map(|name| parse(format!("user = \"{name}\"\n")));
        presets::Layers { keys: parse(preset.keys.to_owned()), account }
    };
    let presets: Map<&'static str, presets::Layers> =
        used_presets(&services, defaults).map(|preset| (preset.name, layers(preset))).collect();
    let count = names.len();
    let command = tree.get("command").zip(own("command", problems));
    let command = command.and_then(|(at, table)| command::service(table, at.key, &names, problems));
    let signals = supervisor::signals(signals, &names, problems);
    let environments = Environments::new(&around.environment, common, sources, problems);
    let mut all = Shared {
        around,
        sources,
        problems,
        names,
        defaults,
        builtin: bottom,
        presets: &presets,
        arguments: command.filter(|_| !around.arguments.is_empty()).map(|it| (it, &around.arguments[..])),
        environments,
        codes: Set::new(),
        stops: Set::new(),
        sinks: Set::new(),
        files: Map::new(),
        addresses: sockets::Addresses::new(),
        explain,
    };
    let mut resolved: Vec<Resolved> = Vec::with_capacity(count);
    for (at, (name, entry)) in services.iter().enumerate() {
        all.defaults = if at < scripts.len() { &empty } else { defaults };
        let has_command = matches!(&entry.node.value, Value::Table(table) if table.get("command").is_some());
        all.problems.is_piece = all.problems.in_pieces && !has_command;
        let service = service::resolve(name, entry.key, &entry.node, &mut all);
        all.problems.is_piece = false;
        let Some(mut service) = service else { continue };
        resolved.extend(service.first_start.take().map(|first_start| *first_start));
        resolved.push(service);
    }
    if resolved.len() == count {
        entrypoint::put_before(&mut resolved, &scripts);
        presets::put_apps_first(&mut resolved);
        let before = all.problems.errors();
        cycles::check(&resolved, all.problems);
        if all.problems.errors() == before {
            checks::check(&resolved, &supervisor, all.problems);
        }
    }
    let (mut specs, mut reasons) = (Vec::new(), Vec::new());
    for service in resolved {
        specs.push(service.spec);
        if let Some(keys) = service.why {
            let preset = service.preset.map(|preset| preset.name);
            reasons.push(Reasons { preset, adjusted: service.adjusted, keys });
        }
    }
    (Plan { supervisor, signals, services: specs.into() }, became, reasons)
}

/// For each service what the oneshot of its first start is called, if it has one.
fn first_starts(services: &[(&str, &file::Entry)], problems: &mut Problems) -> Vec<Option<String>> {
    let one = |(name, entry): &(&str, &file::Entry)| {
        let Value::Table(table) = &entry.node.value else { return None };
        let scripts = init::asked(table)?;
        let first_start = init::name(name);
        match services.iter().find(|(other, _)| *other == first_start) {
            None => Some(first_start),
            Some((_, theirs)) => {
                init::taken(name, scripts, theirs.key, problems);
                None
            }
        }
    };
    services.iter().map(one).collect()
}

/// The presets that any service names.
fn used_presets<'a>(
    services: &'a [(&'a str, &'a file::Entry)],
    defaults: &'a Table,
) -> impl Iterator<Item = &'static presets::Preset> + use<'a> {
    let named = |table: &Table| match &table.get("preset")?.node.value {
        Value::String(name) => Some(name.clone()),
        _ => None,
    };
    let tables = services.iter().filter_map(|(_, entry)| match &entry.node.value {
        Value::Table(table) => Some(table),
        _ => None,
    });
    let used: Set<String> = tables.chain([defaults]).filter_map(named).collect();
    presets::ALL.iter().filter(move |preset| used.contains(preset.name))
}
