//! `[service.NAME]`: from the table to a [`ServiceSpec`].
//!
//! Each key is read by itself and gets a stand-in when it is wrong, so that all errors of
//! a service are found at once; a plan with stand-ins is never given out.

use super::credentials::{self, Who};
use super::dependencies::dependencies;
use super::diagnostics::{Origin, Problems, Span};
use super::environment::{Environment, Environments, shared};
use super::file::Value;
use super::keys::{self, INSIDE};
use super::launch;
use super::presets::{self, Preset};
use super::view::{Field, View, check_keys};
use super::why::{self, Layer};
use super::{Surroundings, command, hooks, init, probe, schedule, sinks, sockets, stop, watch};
use crate::core::ids::ServiceId;
use crate::core::plan::*;
use crate::core::signal::Signal;
use crate::core::socket::FIRST_FD;
use crate::core::sorted::{self, Map, Set};
use std::rc::Rc;
use std::time::Duration;

use super::diagnostics::Sources;
use super::file::Table;

/// What all services of a configuration share.
pub struct Shared<'a> {
    /// The world.
    pub around: &'a Surroundings,
    /// All texts.
    pub sources: &'a mut Sources,
    /// Everything found so far.
    pub problems: &'a mut Problems,
    /// Names of all services, with whether each is a oneshot.
    pub names: Map<&'a str, (ServiceId, Kind)>,
    /// `[defaults]`.
    pub defaults: &'a Table,
    /// The defaults of the key table.
    pub builtin: &'a Table,
    /// The presets that are used.
    pub presets: &'a Map<&'static str, presets::Layers>,
    /// The service that the words after the image's name are for, and they.
    pub arguments: Option<(&'a str, &'a [String])>,
    /// Environments made so far.
    pub environments: Environments,
    /// Success codes so far.
    pub codes: Set<Rc<[u8]>>,
    /// Stops so far.
    pub stops: Set<Rc<Stop>>,
    /// Lists of sinks so far.
    pub sinks: Set<Sinks>,
    /// Log files so far.
    pub files: sinks::Files,
    /// Addresses that are held for services so far.
    pub addresses: sockets::Addresses,
    /// Whether somebody wants to know why.
    pub explain: bool,
}

/// A service with the places that later checks point at.
pub struct Resolved {
    /// What is meant.
    pub spec: ServiceSpec,
    /// The preset.
    pub preset: Option<&'static Preset>,
    /// What the preset changed in the command, in words.
    pub adjusted: Vec<String>,
    /// The service's name.
    pub name: Span,
    /// The command, or the name if there is none.
    pub command: Span,
    /// The working directory, if one is set.
    pub directory: Option<Span>,
    /// Whether the command was one string.
    pub one_string: bool,
    /// One for each entry of `requires`.
    pub requires: Vec<Span>,
    /// One for each entry of `after`.
    pub after: Vec<Span>,
    /// Whether somebody says what it waits for, be it nothing.
    pub ordered: bool,
    /// What of `stop` somebody wrote into a file.
    pub stop: Option<Span>,
    /// Which layer each key comes from, if somebody wants to know.
    pub why: Option<Map<String, why::Source>>,
    /// The oneshot that makes its first start, to be placed before it.
    pub first_start: Option<Box<Resolved>>,
}

/// Says what is wrong with the keys of a service or of `[defaults]`.
pub fn check_service_keys(table: &Table, place: &str, problems: &mut Problems) {
    check_keys(table, &[keys::SERVICE], place, problems);
    for (name, keys) in INSIDE {
        if let Some(inner) = table.table(name) {
            check_keys(inner, keys, &format!("`{name}` of {place}"), problems);
        }
    }
}

/// Reads one service. `None` only if it is no table at all.
pub fn resolve(name: &str, key: Span, node: &super::file::Node, all: &mut Shared<'_>) -> Option<Resolved> {
    check_name(name, key, all.problems);
    let Value::Table(table) = &node.value else {
        let message = format!("the service `{name}` must be a table: [service.{name}]");
        all.problems.error(node.span, message);
        return None;
    };
    check_service_keys(table, &format!("[service.{name}]"), all.problems);
    let preset = presets::of(&View::new(vec![table, all.defaults]), all.problems);
    let mut layers = vec![(Layer::Service, table)];
    let arguments = all.arguments.filter(|(whose, _)| *whose == name).map(|(_, words)| words);
    if let Some(preset) = preset
        && let Some(known) = all.presets.get(preset.name)
    {
        if let Some(account) = known.account(preset, &View::new(vec![table, all.defaults]), arguments) {
            layers.push((Layer::Preset(preset.name), account));
        }
        layers.push((Layer::Preset(preset.name), &known.keys));
    }
    layers.push((Layer::Defaults, all.defaults));
    let why = all.explain.then(|| why::of(&layers, all.sources));
    let view = View::new(layers.iter().map(|(_, table)| *table).chain([all.builtin]).collect());
    let kind = kind(&view, all.problems).unwrap_or(Kind::Longrun);

    let who = credentials::of(&view, all.around, all.problems);
    let environment = environment(&view, &who, all);
    let problems = &mut *all.problems;
    let (stop, stop_span) = stop::stop(&view, problems).unwrap_or_else(|| {
        let sequence = Box::new([(Signal::TERM, Duration::ZERO)]);
        (Stop { sequence, delay: Duration::ZERO, tree: true, to_tree: false }, key)
    });
    let grace = stop.longest().saturating_sub(stop.delay);
    let held = sockets::sockets(&view, all.around, &mut all.addresses, problems);
    let mut draft = launch::draft(&view, name, key, preset, &environment, grace, problems);
    if let Some(words) = arguments {
        command::replace(&mut draft, words);
    }
    sockets::fill_in(&mut draft.argv, held.as_ref(), draft.span, problems);
    draft.sockets = held;
    draft.rolling = rolling(&view, kind, problems);
    let found = preset.and_then(|preset| (preset.adjust)(&mut draft, problems));
    let first_start = init::read(table, &view, preset, problems);
    let (requires, requires_spans) = dependencies(&view, "requires", name, &all.names, problems);
    let (after, after_spans) = dependencies(&view, "after", name, &all.names, problems);
    let max_failures = integer(&view, "max_failures", 0, u32::MAX, problems);
    let ready = probe::ready(&view, found, problems);
    presets::say_unread(&draft, ready.as_deref(), &view, problems);
    let schedule = schedule::schedule(&view, kind, problems);
    // A run that fails is one of many, unless somebody says otherwise for this service.
    let is_one_of_many = schedule.is_some() && table.get("essential").is_none();
    let hooks = hooks::hooks(&view, kind, ready.is_some(), problems);
    let ready = probe::time_limit(&view, kind, ready, problems);
    let instances = integer(&view, "instances", 1, 10_000, problems).max(1);
    let rolling = draft.rolling;
    let reload = reload(&view, &draft, problems);
    let rolls = rolling || (reload.is_none() && draft.sockets.is_some());
    check_held(&mut draft, ready.as_deref(), (rolling, rolls || instances > 1), &view, problems);
    let spec = ServiceSpec {
        name: name.into(),
        kind,
        enabled: switch(&view, "enabled", problems),
        instances,
        requires: requires.into(),
        after: after.into(),
        ready,
        health: probe::health(&view, problems),
        restart: restart(&view, table, kind, problems),
        rolling,
        heirs: draft.heirs.take().map(Box::new),
        success_codes: shared(&mut all.codes, success_codes(&view, problems)),
        min_uptime: view.get("min_uptime").and_then(|f| f.duration(problems)).unwrap_or_default(),
        backoff: backoff(&view, problems).unwrap_or(NO_BACKOFF),
        max_failures: Some(max_failures).filter(|n| *n > 0),
        essential: switch(&view, "essential", problems) && !is_one_of_many,
        stop: shared(&mut all.stops, Rc::new(stop)),
        reload,
        hooks,
        schedule,
        watch: watch::watch(&view, draft.directory.as_deref(), problems),
        memory_limit: memory_limit(&view, problems),
        reopen: reopen(&view, problems).or(draft.reopen.filter(|_| view.own("reopen").is_none())),
        sockets: draft.sockets.clone().map(Rc::new),
        stdout: shared(&mut all.sinks, sinks::sinks(&view, "stdout", &mut all.files, problems)),
        stderr: shared(&mut all.sinks, sinks::sinks(&view, "stderr", &mut all.files, problems)),
        log: log_policy(&view, problems).unwrap_or(PLAIN_LOG),
        launch: Launch {
            command: draft.argv.clone().into(),
            environment: environment.variables.clone(),
            secrets: environment.secrets.clone(),
            own: environment.own.clone(),
            extra: launch::extra(&view, &who, problems),
        },
    };
    check_log_probe(&spec, key, problems);
    let mut service = Resolved {
        spec,
        preset,
        adjusted: draft.adjusted,
        name: key,
        command: draft.span,
        directory: view.get("directory").map(|field| field.span()),
        one_string: draft.one_string,
        requires: requires_spans,
        after: after_spans,
        ordered: ["requires", "after"]
            .iter()
            .any(|key| table.get(key).is_some() || all.defaults.get(key).is_some()),
        stop: Some(stop_span).filter(|span| matches!(all.sources.get(span.source).origin, Origin::File(_))),
        why,
        first_start: None,
    };
    if let Some(first_start) = first_start {
        require_first_start(&mut service, first_start, &view, all);
    }
    Some(service)
}

/// The service is launched when its first start is done.
fn require_first_start(service: &mut Resolved, it: init::FirstStart, view: &View<'_>, all: &mut Shared<'_>) {
    let key = it.key();
    if service.spec.instances > 1 {
        let message =
            format!("`scripts`: {} instances cannot share one data directory", service.spec.instances);
        all.problems.error(key, message);
    }
    let user = credentials::as_written(view);
    let place = all.explain.then(|| why::place(key, all.sources));
    let spec = &mut service.spec;
    let found = spec.launch.environment.clone();
    let taken = it.keep_to_itself(spec);
    if !taken.is_empty() {
        let first_start = init::name(&spec.name);
        service.adjusted.push(format!("only {first_start} has {} in its environment", taken.join(", ")));
    }
    let mut oneshot = it.oneshot(service, user, place);
    oneshot.spec.launch.environment = found;
    service.first_start = Some(Box::new(oneshot));
    if let Some((id, _)) = all.names.get(init::name(&service.spec.name).as_str()) {
        let done = Dependency { service: *id, condition: Condition::Done };
        if !service.spec.requires.contains(&done) {
            service.spec.requires = service.spec.requires.iter().copied().chain([done]).collect();
            service.requires.push(key);
        }
    }
}

const NO_BACKOFF: Backoff =
    Backoff { initial: Duration::ZERO, max: Duration::ZERO, factor: 1.0, jitter: 0.0 };
const PLAIN_LOG: LogPolicy =
    LogPolicy { prefix: false, timestamps: false, max_line: 65_536, when_full: WhenFull::Block };

fn check_name(name: &str, span: Span, problems: &mut Problems) {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(good) || name.starts_with(['-', '.']) {
        let message = "a service's name is made of letters, digits, `-`, `_` and `.`, at most 100";
        problems.error(span, message);
    } else if name == "all" {
        problems.error(span, "no service can be called `all`: commands mean every service by it");
    }
}

/// `type`, also for whoever needs it before the service is read.
pub fn kind(view: &View<'_>, problems: &mut Problems) -> Option<Kind> {
    view.get("type")?.choice(&[("longrun", Kind::Longrun), ("oneshot", Kind::Oneshot)], problems)
}

fn environment(view: &View<'_>, who: &Who<'_>, all: &mut Shared<'_>) -> Environment {
    let user = who.user.as_deref();
    let found = all.environments.of(view, user, all.sources, all.problems);
    found.unwrap_or(Environment { variables: Rc::new([]), secrets: Rc::new([]), own: None })
}

fn switch(view: &View<'_>, name: &'static str, problems: &mut Problems) -> bool {
    view.get(name).and_then(|field| field.switch(problems)).unwrap_or_default()
}

fn integer(view: &View<'_>, name: &'static str, low: u32, high: u32, problems: &mut Problems) -> u32 {
    let field = view.get(name);
    field.and_then(|f| f.integer(low.into(), high.into(), problems)).unwrap_or_default() as u32
}

/// A oneshot runs once: what `[defaults]` says of coming back is meant for longruns.
fn restart(view: &View<'_>, own: &Table, kind: Kind, problems: &mut Problems) -> Restart {
    let choices =
        [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];
    if kind == Kind::Oneshot && own.get("restart").is_none() {
        return Restart::Never;
    }
    view.get("restart").and_then(|f| f.choice(&choices, problems)).unwrap_or(Restart::Always)
}

/// A oneshot that is asked to run again has nothing to be kept.
fn rolling(view: &View<'_>, kind: Kind, problems: &mut Problems) -> bool {
    let Some(field) = view.get("restart_mode") else { return false };
    let rolling = field.choice(&[("stop-start", false), ("rolling", true)], problems) == Some(true);
    if rolling && kind == Kind::Oneshot && field.layer == 0 {
        problems.error(field.span(), "`restart_mode`: a oneshot is never replaced while it runs");
    }
    rolling && kind == Kind::Longrun
}

fn success_codes(view: &View<'_>, problems: &mut Problems) -> Rc<[u8]> {
    let read = |field: Field<'_>, problems: &mut Problems| -> Option<Vec<u8>> {
        let elements = match &field.node.value {
            Value::Integer { .. } => vec![field],
            _ => field.elements("a list of exit codes", problems)?,
        };
        elements.into_iter().map(|e| Some(e.integer(0, 255, problems)? as u8)).collect()
    };
    let mut codes = view.get("success_codes").and_then(|f| read(f, problems)).unwrap_or_default();
    sorted::sort(&mut codes);
    codes.dedup();
    codes.into()
}

fn backoff(view: &View<'_>, problems: &mut Problems) -> Option<Backoff> {
    only_table(view, "backoff", r#"a table such as { initial = "100ms", max = "30s" }"#, problems)?;
    let table = view.inside("backoff", "backoff.");
    let (initial, max) = (table.get("initial")?, table.get("max")?);
    let times = (initial.duration(problems), max.duration(problems));
    let factor = table.get("factor").and_then(|f| f.number(1.0, 1000.0, problems));
    let jitter = table.get("jitter").and_then(|f| f.number(0.0, 1.0, problems));
    let mut backoff = Backoff { initial: times.0?, max: times.1?, factor: factor?, jitter: jitter? };
    if backoff.initial > backoff.max && initial.layer != max.layer {
        // Who sets only one of them means that one: the other gives way.
        let meant = if initial.layer < max.layer { backoff.initial } else { backoff.max };
        (backoff.initial, backoff.max) = (meant, meant);
    } else if backoff.initial > backoff.max {
        let message = "`backoff.initial` is longer than `backoff.max`";
        problems.error(initial.span(), message).see(max.span(), "the limit");
    }
    Some(backoff)
}

fn log_policy(view: &View<'_>, problems: &mut Problems) -> Option<LogPolicy> {
    only_table(view, "log", "a table such as { prefix = true }", problems)?;
    let table = view.inside("log", "log.");
    let choices = [("block", WhenFull::Block), ("drop", WhenFull::Drop)];
    let max_line = table.get("max_line")?;
    let bytes = max_line.size(problems);
    let when_full = table.get("when_full").and_then(|f| f.choice(&choices, problems));
    let (prefix, timestamps) = (switch(&table, "prefix", problems), switch(&table, "timestamps", problems));
    if bytes.is_some_and(|bytes| !(64..=16 << 20).contains(&bytes)) {
        problems.error(max_line.span(), "`log.max_line` must be from 64 bytes to 16 MiB");
    }
    Some(LogPolicy { prefix, timestamps, max_line: bytes? as usize, when_full: when_full? })
}

/// Says so if the uppermost value is no table.
fn only_table(view: &View<'_>, name: &'static str, expected: &str, problems: &mut Problems) -> Option<()> {
    match view.get(name) {
        Some(field) if !matches!(field.node.value, Value::Table(_)) => field.wrong(expected, problems),
        _ => Some(()),
    }
}

fn reload(view: &View<'_>, draft: &launch::Draft<'_>, problems: &mut Problems) -> Option<Box<Reload>> {
    let field = view.get("reload")?;
    if draft.cannot_reload && view.own("reload").is_none() {
        return None;
    }
    match &field.node.value {
        Value::String(text) if text == "none" => return None,
        Value::Table(_) => {}
        _ => return field.wrong(r#"a table such as { signal = "HUP" }, or "none""#, problems),
    }
    let table = view.inside("reload", "reload.");
    let Some(layer) = table.layer_with(["signal", "exec"].into_iter()) else {
        if let Some(own) = view.own("reload") {
            problems.error(own.key, "`reload` needs `signal` or `exec`");
        }
        return None;
    };
    let how = match (layer.get("signal"), layer.get("exec")) {
        (Some(_), Some(exec)) => {
            problems.error(exec.key, "`reload` is done by a signal or by a command, not by both");
            return None;
        }
        (Some(signal), None) => ReloadHow::Signal(signal.signal(problems)?),
        (None, exec) => match exec?.command(problems) {
            Some(command) => ReloadHow::Exec(command),
            None => return exec?.wrong("a command", problems),
        },
    };
    let check = match table.get("check") {
        Some(check) => check.command(problems),
        None => draft.check.clone(),
    };
    let timeout = table.get("timeout").and_then(|timeout| probe::some_time(timeout, problems))?;
    let renews = draft.renews.filter(|_| how == ReloadHow::Signal(Signal::HUP));
    let logs = draft.logs.clone().into();
    Some(Box::new(Reload { check, how, renews, logs, timeout }))
}

fn memory_limit(view: &View<'_>, problems: &mut Problems) -> Option<u64> {
    let field = view.get("memory_limit")?;
    if matches!(&field.node.value, Value::String(text) if text == "none") {
        return None;
    }
    let bytes = field.size(problems)?;
    if bytes == 0 {
        problems.error(field.span(), "`memory_limit` must be more than nothing");
    }
    Some(bytes)
}

fn reopen(view: &View<'_>, problems: &mut Problems) -> Option<Signal> {
    let field = view.get("reopen")?;
    match &field.node.value {
        Value::String(text) if text == "none" => None,
        Value::Table(_) => match view.inside("reopen", "reopen.").get("signal") {
            Some(signal) => signal.signal(problems),
            None => {
                if let Some(own) = view.own("reopen") {
                    problems.error(own.key, "`reopen` needs `signal`");
                }
                None
            }
        },
        _ => field.wrong(r#"a table such as { signal = "USR1" }, or "none""#, problems),
    }
}

/// Whoever asks a held socket whether somebody listens is answered by us, and where there are
/// several processes, by any of them. And the numbers of its descriptors are taken.
fn check_held(
    draft: &mut launch::Draft<'_>,
    ready: Option<&Ready>,
    (rolling, has_company): (bool, bool),
    view: &View<'_>,
    problems: &mut Problems,
) {
    let mode = view.own("restart_mode").map(|entry| entry.key);
    if rolling && ready.is_none() {
        let message = "rolling, but it is ready as soon as it runs: the old one stops before it serves";
        problems.warning(mode.unwrap_or(draft.span), message).mark("say by `ready` when it does");
    }
    let Some(held) = &mut draft.sockets else { return };
    let place = view.own("ready").map_or(draft.span, |entry| entry.key);
    match sockets::asks(held, ready) {
        sockets::Asks::WhoListens => {
            let message = "minisup itself listens there: a connection tells nothing of the service";
            problems.error(place, message).mark("ask by `http` or `uwsgi`, or let it say `notify`");
        }
        sockets::Asks::WhoAnswers if draft.takes_all => held.door = has_company,
        sockets::Asks::WhoAnswers if rolling => {
            let message = "while both serve this socket the old process would answer for the new one";
            let cure = "tell them apart: `ready` by notify, fd, log, exec or file";
            problems.error(place, message).mark(cure);
        }
        sockets::Asks::WhoAnswers | sockets::Asks::Elsewhere => {}
    }
    let numbers = FIRST_FD..=FIRST_FD + held.list.len() as i32;
    if let Some(Probe::Fd(number)) = ready.map(|ready| &ready.probe)
        && numbers.contains(number)
    {
        let message = format!("descriptor {number} is one of its sockets");
        problems.error(place, message).mark(format!("from {} on they are free", numbers.end() + 1));
    }
}

/// A line of output can only be seen where it passes through.
fn check_log_probe(spec: &ServiceSpec, key: Span, problems: &mut Problems) {
    let asks = spec.ready.as_ref().is_some_and(|ready| matches!(ready.probe, Probe::Log(_)));
    let is_read = |sinks: &Sinks| sinks.iter().any(Sink::is_read);
    if asks && !is_read(&spec.stdout) && !is_read(&spec.stderr) {
        let message =
            format!("`ready.log` of {} can never match: no output passes through minisup", spec.name);
        problems.error(key, message).mark("set stdout or stderr to \"forward\"");
    }
}
