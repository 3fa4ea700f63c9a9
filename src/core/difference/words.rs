//! The values of a plan, as they could be written in its configuration.
//!
//! Each struct is taken apart completely, so that a key that is added to the plan is not
//! forgotten here: the compiler complains.

use crate::core::plan::*;
use crate::core::signal::Signal;
use crate::core::time::duration_text;
use std::path::Path;

type Pairs = Vec<(String, String)>;

/// Whether the key is about what a process is given when it is launched.
pub(super) fn is_given_at_launch(key: &str) -> bool {
    let whole = [
        "type",
        "command",
        "user",
        "group",
        "groups",
        "directory",
        "umask",
        "nice",
        "oom_score_adj",
        "no_new_privileges",
        "capabilities",
        "sockets",
    ];
    whole.contains(&key) || key.starts_with("environment.") || key.starts_with("limits.")
}

/// Whether stdout and stderr go through a pipe, as far as the sink says it.
pub(super) fn needs_pipe(spec: &ServiceSpec) -> [&'static str; 2] {
    let kind = |sinks: &Sinks| match () {
        () if sinks.iter().any(Sink::is_read) => "pipe",
        () if sinks.contains(&Sink::Null) => "null",
        () => "inherited",
    };
    [kind(&spec.stdout), kind(&spec.stderr)]
}

/// A service whose values are said.
pub(super) struct Words<'a> {
    pub(super) plan: &'a Plan,
    pub(super) spec: &'a ServiceSpec,
    /// What `${instance}` is; nothing if it is left as it is.
    pub(super) number: Option<u32>,
}

impl Words<'_> {
    /// All its keys, with their values.
    pub(super) fn all(&self) -> Pairs {
        let ServiceSpec {
            name: _,
            kind,
            enabled,
            instances,
            requires,
            after,
            ready,
            health,
            restart,
            rolling,
            heirs: _,
            success_codes,
            min_uptime,
            backoff,
            max_failures,
            essential,
            stop,
            reload,
            reopen,
            hooks,
            schedule,
            watch,
            memory_limit,
            sockets,
            launch,
            stdout,
            stderr,
            log,
        } = self.spec;
        let mut out = Pairs::new();
        let mut say = |key: &str, value: String| out.push((key.to_owned(), value));
        say(
            "type",
            word(match kind {
                Kind::Longrun => "longrun",
                Kind::Oneshot => "oneshot",
            }),
        );
        say("enabled", enabled.to_string());
        say("instances", instances.to_string());
        say("requires", self.dependencies(requires));
        say("after", self.dependencies(after));
        say(
            "restart",
            word(match restart {
                Restart::Always => "always",
                Restart::OnFailure => "on-failure",
                Restart::Never => "never",
            }),
        );
        say("restart_mode", word(if *rolling { "rolling" } else { "stop-start" }));
        say("success_codes", joined(success_codes.iter()));
        say("min_uptime", duration_text(*min_uptime));
        say("max_failures", max_failures.unwrap_or(0).to_string());
        say("essential", essential.to_string());
        say("reopen", reopen.map(|signal| signal.to_string()).unwrap_or_default());
        if let Some(schedule) = schedule {
            say(
                "schedule",
                match schedule.as_ref() {
                    Schedule::Boot => word("@reboot"),
                    Schedule::Cron(line) => line.clone(),
                },
            );
        }
        say("watch", joined(watch.iter().flatten()));
        if let Some(bytes) = memory_limit {
            say("memory_limit", bytes.to_string());
        }
        let held = || sockets.iter().flat_map(|sockets| &sockets.list);
        say("sockets", joined(held().map(|socket| format!("{}={}", socket.name, socket.address))));
        held().for_each(|socket| say(&format!("sockets.{}", socket.name), socket.options_text()));
        say("stdout", joined(stdout.iter().map(sink)));
        say("stderr", joined(stderr.iter().map(sink)));
        self.checks(ready.as_deref(), health.as_deref(), &mut out);
        of_backoff(backoff, &mut out);
        of_stop(stop, &mut out);
        self.reload(reload.as_deref(), &mut out);
        self.hooks(hooks.as_deref(), &mut out);
        self.launch(launch, &mut out);
        of_log(log, &mut out);
        out
    }

    fn dependencies(&self, list: &[Dependency]) -> String {
        let one = |d: &Dependency| {
            let condition = match d.condition {
                Condition::Started => "started",
                Condition::Ready => "ready",
                Condition::Healthy => "healthy",
                Condition::Done => "done",
            };
            format!("{}:{condition}", self.plan.service(d.service).name)
        };
        joined(list.iter().map(one))
    }

    fn text(&self, text: &str) -> String {
        self.number.map_or_else(|| text.to_owned(), |number| with_instance(text, number))
    }

    fn command(&self, argv: &[String]) -> String {
        argv.iter().map(|word| quoted(&self.text(word))).collect::<Vec<_>>().join(" ")
    }

    fn checks(&self, ready: Option<&Ready>, health: Option<&Health>, out: &mut Pairs) {
        if let Some(Ready { probe, interval, timeout }) = ready {
            out.push(("ready".into(), self.probe(probe)));
            out.push(("ready.interval".into(), duration_text(*interval)));
            out.push(("ready.timeout".into(), duration_text(*timeout)));
        }
        if let Some(Health { probe, interval, timeout, failures, restart }) = health {
            let action = if *restart { "restart" } else { "none" };
            out.push(("health".into(), self.probe(probe)));
            out.push(("health.interval".into(), duration_text(*interval)));
            out.push(("health.timeout".into(), duration_text(*timeout)));
            out.push(("health.failures".into(), failures.to_string()));
            out.push(("health.action".into(), action.into()));
        }
    }

    fn probe(&self, probe: &Probe) -> String {
        let path = |path: &Path| self.text(&path.to_string_lossy());
        let at = |address: &ProbeAddress| match address {
            ProbeAddress::Tcp(address) => self.text(address),
            ProbeAddress::Unix(at) => format!("unix:{}", path(at)),
        };
        match probe {
            Probe::Notify => "notify".into(),
            Probe::Fd(number) => format!("fd {number}"),
            Probe::Tcp(address) => format!("tcp {address}"),
            Probe::Unix(at) => format!("unix {}", path(at)),
            Probe::Http(HttpProbe { address, host, path, status }) => {
                let (host, path) = (self.text(host), self.text(path));
                format!("http {} {host} {path} {status}", at(address))
            }
            Probe::Uwsgi(uwsgi) => format!("uwsgi {} {}", at(&uwsgi.address), self.text(&uwsgi.path)),
            Probe::Exec(argv) => format!("exec {}", self.command(argv)),
            Probe::Log(pattern) => format!("log {pattern}"),
            Probe::File(at) => format!("file {}", path(at)),
            Probe::End => "its end".into(),
        }
    }

    fn reload(&self, reload: Option<&Reload>, out: &mut Pairs) {
        let Some(Reload { check, how, timeout, renews: _, logs: _ }) = reload else { return };
        out.push(("reload.timeout".into(), duration_text(*timeout)));
        out.push(match how {
            ReloadHow::Signal(signal) => ("reload.signal".into(), signal.to_string()),
            ReloadHow::Exec(argv) => ("reload.exec".into(), self.command(argv)),
        });
        out.extend(check.as_ref().map(|argv| ("reload.check".into(), self.command(argv))));
    }

    fn hooks(&self, hooks: Option<&Hooks>, out: &mut Pairs) {
        let Some(hooks) = hooks else { return };
        for hook in [Hook::BeforeStart, Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit] {
            let command = hooks.command(hook).map(|argv| self.command(argv));
            out.extend(command.map(|command| (format!("hooks.{}", hook.name()), command)));
        }
        out.push(("hooks.timeout".into(), duration_text(hooks.timeout)));
    }

    fn launch(&self, launch: &Launch, out: &mut Pairs) {
        let Launch { command, environment, secrets, own: _, extra } = launch;
        out.push(("command".into(), self.command(command)));
        out.push(("secrets".into(), joined(secrets.iter())));
        out.extend(environment.iter().map(|(name, value)| (format!("environment.{name}"), self.text(value))));
        let nothing = LaunchExtra::default();
        let LaunchExtra {
            credentials,
            directory,
            umask,
            nice,
            oom_score_adj,
            limits,
            no_new_privileges,
            capabilities,
            // It has no key: who makes the service decides.
            satellite: _,
            // Of a kind of command, which is said already.
            exports: _,
        } = extra.as_deref().unwrap_or(&nothing);
        let mut say =
            |key: &str, value: Option<String>| out.extend(value.map(|value| (key.to_owned(), value)));
        if let Some(Credentials { uid, gid, groups }) = credentials {
            say("user", Some(uid.to_string()));
            say("group", Some(gid.to_string()));
            say("groups", Some(joined(groups.iter())));
        }
        say("directory", directory.as_ref().map(|path| path.display().to_string()));
        say("umask", umask.map(|mask| format!("{mask:03o}")));
        say("nice", nice.map(|nice| nice.to_string()));
        say("oom_score_adj", oom_score_adj.map(|score| score.to_string()));
        for Limit { resource, soft, hard } in limits {
            let number = |limit: &Option<u64>| limit.map_or("unlimited".into(), |n: u64| n.to_string());
            let key = format!("limits.{}", format!("{resource:?}").to_lowercase());
            say(&key, Some(format!("{}:{}", number(soft), number(hard))));
        }
        say("no_new_privileges", Some(no_new_privileges.to_string()));
        say("capabilities", capabilities.as_ref().map(|numbers| format!("[{}]", joined(numbers.iter()))));
    }
}

fn of_backoff(Backoff { initial, max, factor, jitter }: &Backoff, out: &mut Pairs) {
    out.push(("backoff.initial".into(), duration_text(*initial)));
    out.push(("backoff.max".into(), duration_text(*max)));
    out.push(("backoff.factor".into(), factor.to_string()));
    out.push(("backoff.jitter".into(), jitter.to_string()));
}

/// One signal has its grace period as a key of its own; a sequence has all in one.
fn of_stop(Stop { sequence, delay, tree, to_tree }: &Stop, out: &mut Pairs) {
    match sequence.as_ref() {
        [(signal, grace)] => {
            out.push(("stop.signal".into(), signal.to_string()));
            out.push(("stop.grace_period".into(), duration_text(*grace)));
        }
        steps => {
            let step = |(signal, time): &(Signal, _)| format!("{signal}, {}", duration_text(*time));
            out.push(("stop.signal".into(), joined(steps.iter().map(step))));
        }
    }
    out.push(("stop.delay".into(), duration_text(*delay)));
    out.push(("stop.tree".into(), tree.to_string()));
    out.push(("stop.to".into(), if *to_tree { "tree" } else { "main" }.to_owned()));
}

fn of_log(LogPolicy { prefix, timestamps, max_line, when_full }: &LogPolicy, out: &mut Pairs) {
    let when_full = match when_full {
        WhenFull::Block => "block",
        WhenFull::Drop => "drop",
    };
    out.push(("log.prefix".into(), prefix.to_string()));
    out.push(("log.timestamps".into(), timestamps.to_string()));
    out.push(("log.max_line".into(), max_line.to_string()));
    out.push(("log.when_full".into(), when_full.into()));
}

/// What stands outside of the services.
pub(super) fn of_supervisor(plan: &Plan) -> Pairs {
    let SupervisorSpec {
        control_socket,
        control_group,
        shutdown_timeout,
        log_level,
        log_format,
        timestamps,
        credentials,
    } = &plan.supervisor;
    let mut out = Pairs::new();
    let mut say = |key: &str, value: String| out.push((format!("supervisor.{key}"), value));
    say("control_socket", control_socket.display().to_string());
    say("control_group", control_group.map(|gid| gid.to_string()).unwrap_or_default());
    say("shutdown_timeout", duration_text(*shutdown_timeout));
    say("log_level", format!("{log_level:?}").to_lowercase());
    say("log_format", format!("{log_format:?}").to_lowercase());
    say("timestamps", timestamps.to_string());
    if let Some(Credentials { uid, gid, groups }) = credentials {
        say("user", format!("{uid}:{gid} ({})", joined(groups.iter())));
    }
    for (signal, forward) in &plan.signals {
        let to = match forward {
            Forward::To(service, signal) => format!("{}:{signal}", plan.service(*service).name),
            Forward::All(signal) => format!("all:{signal}"),
            Forward::Swallow => "\"\"".into(),
        };
        out.push((format!("signals.{signal}"), to));
    }
    out
}

fn sink(sink: &Sink) -> String {
    match sink {
        Sink::Inherit => word("inherit"),
        Sink::Forward => word("forward"),
        Sink::Null => word("null"),
        Sink::Ring(size) => format!("ring of {size}"),
        Sink::File(FileSink { path, max_size, keep, compress, format, timestamps }) => {
            let size = max_size.map_or("never".into(), |size| size.to_string());
            let gz = if *compress { ", compressed" } else { "" };
            let stamped = if *timestamps { ", stamped" } else { "" };
            let format = format!("{format:?}").to_lowercase();
            format!("{} (max_size {size}, keep {keep}{gz}, {format}{stamped})", path.display())
        }
    }
}

fn word(text: &str) -> String {
    text.to_owned()
}

fn joined(list: impl Iterator<Item = impl ToString>) -> String {
    list.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,${}".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
