//! What is launched: the command, and what few services set around it.

use super::credentials::Who;
use super::diagnostics::{Problems, Span, did_you_mean};
use super::environment::Environment;
use super::file::Value;
use super::keys;
use super::presets::Preset;
use super::values::{self, CAPABILITIES, capability};
use super::view::{Field, View};
use crate::core::plan::{Heirs, LaunchExtra, Limit, Resource, Sockets};
use crate::core::signal::Signal;
use crate::core::sorted;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A command that a preset may still change.
pub struct Draft<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it is written; the service's name if it is not.
    pub span: Span,
    /// Whether it was written as one string.
    pub one_string: bool,
    /// The working directory, if one is set.
    pub directory: Option<PathBuf>,
    /// Its environment.
    pub environment: &'a Environment,
    /// From the first stop signal to KILL.
    pub grace: Duration,
    /// What the preset changed, in words.
    pub adjusted: Vec<String>,
    /// What the preset would run before a reload.
    pub check: Option<Box<[String]>>,
    /// Sockets that are held for it.
    pub sockets: Option<Sockets>,
    /// It takes every socket that it is given, also one that nobody has configured.
    pub takes_all: bool,
    /// The reload that the preset knows would lose its sockets, or not read the code again.
    pub cannot_reload: bool,
    /// So long the preset's reload waits for new workers: see [`Reload::renews`](crate::core::plan::Reload).
    pub renews: Option<Duration>,
    /// Files in which it says what goes wrong: see [`Reload::logs`](crate::core::plan::Reload).
    pub logs: Vec<PathBuf>,
    /// How an heir of its process is known.
    pub heirs: Option<Heirs>,
    /// Whether a new process stands beside the old one while it is replaced.
    pub rolling: bool,
    /// What would tell where it answers, but cannot be read.
    pub unread: Option<&'static str>,
    /// What makes it open its log files again, where the preset has arranged that.
    pub reopen: Option<Signal>,
}

impl Draft<'_> {
    /// The program's name without its folder.
    pub fn program(&self) -> &str {
        let program = self.argv.first().map_or("", String::as_str);
        program.rsplit('/').next().unwrap_or(program)
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let variables = &self.environment.variables;
        let at = variables.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(variables[at].1.as_str())
    }

    /// Whether a program is in the PATH of its environment.
    pub fn finds(&self, program: &str) -> bool {
        find(program, self.variable("PATH")).is_some()
    }

    /// A path as the service will see it.
    pub fn resolve(&self, path: &str) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(path),
            None => PathBuf::from(path),
        }
    }
}

/// Where a program is looked for without a PATH: as at its launch.
pub const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks for a program as its launch will, with this PATH.
pub fn find(program: &str, path: Option<&str>) -> Option<PathBuf> {
    let folders = path.unwrap_or(USUAL_PATH).split(':');
    folders.map(|folder| Path::new(folder).join(program)).find(|candidate| candidate.is_file())
}

/// The command as written.
pub fn draft<'a>(
    view: &View<'_>,
    service: &'a str,
    key: Span,
    preset: Option<&Preset>,
    environment: &'a Environment,
    grace: Duration,
    problems: &mut Problems,
) -> Draft<'a> {
    let field = view.get("command");
    let written = field.and_then(|field| {
        let before = problems.errors();
        let command = field.command(problems);
        if command.is_none() && problems.errors() == before {
            field.wrong::<()>("a command", problems);
        }
        command
    });
    if field.is_none() {
        let message = format!("the service `{service}` has no command");
        let problem = problems.error(key, message);
        match preset {
            Some(preset) => problem.mark(format!("the preset \"{}\" cannot know it: add one", preset.name)),
            None => problem.mark("add `command = …`"),
        };
    }
    let directory = view.get("directory").and_then(|f| match &f.node.value {
        Value::String(text) => Some(PathBuf::from(text)),
        _ => None,
    });
    Draft {
        service,
        argv: written.map(Vec::from).unwrap_or_default(),
        span: field.map_or(key, |field| field.span()),
        one_string: field.is_some_and(|field| matches!(field.node.value, Value::String(_))),
        directory,
        environment,
        grace,
        adjusted: Vec::new(),
        check: None,
        sockets: None,
        takes_all: false,
        cannot_reload: false,
        renews: None,
        logs: Vec::new(),
        heirs: None,
        rolling: false,
        unread: None,
        reopen: None,
    }
}

/// What few services set; `None` if this one sets nothing of it.
pub fn extra(view: &View<'_>, who: &Who<'_>, problems: &mut Problems) -> Option<Box<LaunchExtra>> {
    let bounded = |name: &'static str, low: i64, high: i64, problems: &mut Problems| {
        view.get(name).and_then(|field| field.integer(low, high, problems)).map(|n| n as i32)
    };
    if let Some(field) = view.get("directory")
        && matches!(&field.node.value, Value::String(text) if text.contains("${instance}"))
    {
        let message = "`directory` is the same for all instances";
        problems.error(field.span(), message).mark("${instance} stands in command, environment and probes");
    }
    let extra = LaunchExtra {
        credentials: who.credentials.clone(),
        directory: view.get("directory").and_then(|f| f.text(problems)).map(PathBuf::from),
        umask: view.get("umask").and_then(|field| umask(field, problems)),
        nice: bounded("nice", -20, 19, problems),
        oom_score_adj: bounded("oom_score_adj", -1000, 1000, problems),
        limits: limits(view, problems).into(),
        no_new_privileges: view
            .get("no_new_privileges")
            .and_then(|field| field.switch(problems))
            .unwrap_or_default(),
        capabilities: view.get("capabilities").and_then(|field| capabilities(field, problems)),
        satellite: false,
        exports: false,
    };
    (extra != LaunchExtra::default()).then(|| Box::new(extra))
}

/// Always octal: as a string, or written 0o022. A bare 22 could mean either.
fn umask(field: Field<'_>, problems: &mut Problems) -> Option<u32> {
    let read = match &field.node.value {
        Value::String(text) => {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            u32::from_str_radix(digits, 8).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        }
        Value::Integer { number, octal: true } => u32::try_from(*number).ok(),
        Value::Integer { number, octal: false } => {
            let message = "`umask` must be octal";
            problems.error(field.span(), message).mark(format!("\"{number:03}\", as a string?"));
            return None;
        }
        _ => None,
    };
    read.filter(|mask| *mask <= 0o777).or_else(|| field.wrong("octal, from \"000\" to \"777\"", problems))
}

fn capabilities(field: Field<'_>, problems: &mut Problems) -> Option<Box<[u8]>> {
    let mut numbers = Vec::new();
    for (name, element) in field.texts(problems)? {
        match capability(name) {
            Some(number) => numbers.push(number),
            None => {
                let lower = name.to_lowercase();
                let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
                let problem = problems.error(element.span(), format!("\"{name}\" is not a capability"));
                if let Some(near) = did_you_mean(bare, CAPABILITIES) {
                    problem.mark(format!("did you mean \"{near}\"?"));
                }
            }
        }
    }
    sorted::sort(&mut numbers);
    numbers.dedup();
    Some(numbers.into())
}

const RESOURCES: [(&str, Resource); 13] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rtprio", Resource::Rtprio),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

fn limits(view: &View<'_>, problems: &mut Problems) -> Vec<Limit> {
    if let Some(field) = view.get("limits")
        && !matches!(field.node.value, Value::Table(_))
    {
        field.wrong::<()>("a table such as { nofile = 65536 }", problems);
        return Vec::new();
    }
    let table = view.inside("limits", "limits.");
    let read = |(name, resource)| limit(table.get(name)?, resource, problems);
    RESOURCES.into_iter().filter_map(read).collect()
}

fn limit(field: Field<'_>, resource: Resource, problems: &mut Problems) -> Option<Limit> {
    let Value::Table(table) = &field.node.value else {
        let both = amount(field, resource, problems)?;
        return Some(Limit { resource, soft: both, hard: both });
    };
    super::view::check_keys(table, &[keys::LIMIT], "a limit", problems);
    let inner = View::new(vec![table]);
    let mut part = |name: &'static str| match inner.get(name) {
        Some(field) => amount(field, resource, problems).map(Some),
        None => Some(None),
    };
    let (soft, hard) = (part("soft")?, part("hard")?);
    let Some(either) = soft.or(hard) else {
        return field.wrong("a number, \"unlimited\", or { soft = …, hard = … }", problems);
    };
    let (soft, hard) = (soft.unwrap_or(either), hard.unwrap_or(either));
    if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
        problems.error(field.span(), format!("{}: the soft limit is above the hard one", field.title()));
        return None;
    }
    Some(Limit { resource, soft, hard })
}

/// A number, a size, of processor time seconds, or `None` for "unlimited".
fn amount(field: Field<'_>, resource: Resource, problems: &mut Problems) -> Option<Option<u64>> {
    match &field.node.value {
        Value::String(text) if matches!(text.as_str(), "unlimited" | "infinity") => Some(None),
        Value::Integer { number: -1, .. } => Some(None),
        Value::String(text) if resource == Resource::Cpu => match seconds(text) {
            Some(seconds) => Some(Some(seconds)),
            None => field.wrong("whole seconds, such as 60, \"10m\", or \"unlimited\"", problems),
        },
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            field.size(problems).map(Some)
        }
        Value::Integer { number, .. } if *number >= 0 => Some(Some(*number as u64)),
        _ => field.wrong("a number, \"unlimited\", or { soft = …, hard = … }", problems),
    }
}

/// `60`, or a duration of whole seconds: the kernel counts no parts of them.
fn seconds(text: &str) -> Option<u64> {
    let is_whole = |span: &Duration| span.subsec_nanos() == 0;
    let given = || values::duration(text).ok().filter(is_whole).map(|span| span.as_secs());
    text.parse().ok().or_else(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_its_key() {
        let names: Vec<_> = RESOURCES.iter().map(|(name, _)| *name).collect();
        let keys: Vec<_> = keys::LIMITS.iter().map(|key| key.name).collect();
        assert_eq!(names, keys);
    }
}
