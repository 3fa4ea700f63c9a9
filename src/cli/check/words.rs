//! A service in words.

use crate::config::values::{CAPABILITIES, duration_text};
use crate::config::why::Source;
use crate::config::{Reasons, Surroundings, keys};
use crate::core::plan::*;
use crate::core::secrets::{MASK, Secrets};
use crate::core::socket::FIRST_FD;
use crate::core::sorted::Set;

/// A service that can be spoken of.
pub struct Words<'a> {
    plan: &'a Plan,
    /// The service.
    pub spec: &'a ServiceSpec,
    around: &'a Surroundings,
}

impl<'a> Words<'a> {
    /// Of one service of the plan.
    pub fn new(plan: &'a Plan, spec: &'a ServiceSpec, around: &'a Surroundings) -> Words<'a> {
        Words { plan, spec, around }
    }

    /// A command as it could be typed into a shell, without secrets.
    pub fn shell(&self, argv: &[String]) -> String {
        let masked: Vec<String> = argv.iter().map(|word| self.masked(word)).collect();
        let quoted = shlex::try_join(masked.iter().map(String::as_str));
        quoted.unwrap_or_else(|_| masked.join(" "))
    }

    /// A text with the values of all secrets replaced.
    pub fn masked(&self, text: &str) -> String {
        Secrets::of(&self.plan.services).masked(text.to_owned())
    }

    /// Its command.
    pub fn command(&self) -> String {
        self.shell(&self.spec.launch.command)
    }

    /// What it waits for.
    pub fn waits(&self) -> String {
        let all = self.spec.requires.iter().chain(&self.spec.after);
        all.map(|d| self.dependency(d)).collect::<Vec<_>>().join(", ")
    }

    fn dependency(&self, dependency: &Dependency) -> String {
        let name = &self.plan.service(dependency.service).name;
        match dependency.condition {
            Condition::Started => format!("{name} has started"),
            Condition::Ready => format!("{name} is ready"),
            Condition::Healthy => format!("{name} is healthy"),
            Condition::Done => format!("{name} is done"),
        }
    }

    /// How it is stopped.
    pub fn stop(&self) -> String {
        let stop = &self.spec.stop;
        let mut steps: Vec<String> = Vec::new();
        if !stop.delay.is_zero() {
            steps.push(format!("wait {}", duration_text(stop.delay)));
        }
        steps.extend(stop.sequence.iter().map(|(signal, time)| format!("{signal} {}", duration_text(*time))));
        steps.push("KILL".into());
        let tree = match (stop.to_tree, stop.tree) {
            (true, _) => " (to all of its processes)",
            (false, true) => "",
            (false, false) => " (its main process only)",
        };
        format!("{}{tree}", steps.join(", then "))
    }

    /// Type, preset, instances.
    pub fn headline(&self, preset: Option<&str>) -> String {
        let mut parts = vec![match self.spec.kind {
            Kind::Longrun => "longrun".to_owned(),
            Kind::Oneshot => "oneshot".to_owned(),
        }];
        parts.extend(preset.map(|name| format!("preset {name}")));
        if self.spec.instances > 1 {
            parts.push(format!("{} instances", self.spec.instances));
        }
        if !self.spec.enabled {
            parts.push("not enabled".into());
        }
        parts.join(", ")
    }

    /// The keys that are worth a line: those that somebody set, and the few that everybody
    /// asks about.
    pub fn lines(&self, reasons: &Reasons) -> Vec<(String, String)> {
        let set = |name: &str| {
            let inner = format!("{name}.");
            reasons.keys.keys().any(|key| key == name || key.starts_with(&inner))
        };
        let always = ["command", "ready", "restart", "stop"];
        let hidden = ["preset", "type", "enabled", "instances"];
        let names = keys::SERVICE.iter().map(|key| key.name).filter(|name| !hidden.contains(name));
        let shown = names.filter(|name| set(name) || always.contains(name));
        shown.filter_map(|name| Some((name.to_owned(), self.value(name)?))).collect()
    }

    /// The value of a key in words; `None` for keys that have none of their own.
    pub fn value(&self, key: &str) -> Option<String> {
        let spec = self.spec;
        let nothing = LaunchExtra::default();
        let extra = spec.launch.extra.as_deref().unwrap_or(&nothing);
        let inherited = || "as minisup".to_owned();
        let who = extra.credentials.as_ref();
        let number = |n: Option<i32>| n.map_or_else(inherited, |n| n.to_string());
        let list = |all: &[Dependency]| all.iter().map(|d| self.dependency(d)).collect::<Vec<_>>().join(", ");
        Some(match key {
            "command" => self.command(),
            "type" => match spec.kind {
                Kind::Longrun => "longrun".into(),
                Kind::Oneshot => "oneshot".into(),
            },
            "enabled" => spec.enabled.to_string(),
            "instances" => spec.instances.to_string(),
            "requires" => list(&spec.requires),
            "after" => list(&spec.after),
            "user" => who.map_or_else(inherited, |who| match self.around.accounts.user_of(who.uid) {
                Some(user) => format!("{} ({})", user.name, who.uid),
                None => who.uid.to_string(),
            }),
            "group" => who.map_or_else(inherited, |who| who.gid.to_string()),
            "groups" => who.map_or_else(inherited, |who| {
                who.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
            }),
            "directory" => extra.directory.as_ref().map_or_else(inherited, |path| path.display().to_string()),
            "umask" => extra.umask.map_or_else(inherited, |mask| format!("{mask:03o}")),
            "nice" => number(extra.nice),
            "oom_score_adj" => number(extra.oom_score_adj),
            "limits" => extra.limits.iter().map(limit).collect::<Vec<_>>().join(", "),
            "no_new_privileges" => extra.no_new_privileges.to_string(),
            "capabilities" => extra.capabilities.as_ref().map_or_else(inherited, |numbers| {
                let names = numbers.iter().filter_map(|n| CAPABILITIES.get(usize::from(*n)).copied());
                let names: Vec<_> = names.collect();
                if names.is_empty() { "none".into() } else { names.join(", ") }
            }),
            "environment" => {
                let pairs = self.own_environment();
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
            "secrets" => spec.launch.secrets.join(", "),
            "environment_files" | "preset" => return None,
            "clear_environment" => "only what is set here".into(),
            "ready" => match &spec.ready {
                Some(ready) if ready.is_time_limit() => "when it is done".into(),
                None if spec.kind == Kind::Oneshot => "when it is done".into(),
                None => "as soon as it has started".into(),
                Some(ready) if matches!(ready.probe, Probe::Notify | Probe::Fd(_) | Probe::Log(_)) => {
                    format!("{}, within {}", self.probe(&ready.probe), duration_text(ready.timeout))
                }
                Some(ready) => format!(
                    "{}; asked every {}, for {}",
                    self.probe(&ready.probe),
                    duration_text(ready.interval),
                    duration_text(ready.timeout)
                ),
            },
            "health" => match &spec.health {
                None => "none".into(),
                Some(health) => format!(
                    "{}; asked every {}, {} without an answer within {}: {}",
                    self.probe(&health.probe),
                    duration_text(health.interval),
                    health.failures,
                    duration_text(health.timeout),
                    if health.restart { "restart" } else { "unhealthy, no more" }
                ),
            },
            "restart" => match spec.restart {
                Restart::Always => "always".into(),
                Restart::OnFailure => "on failure".into(),
                Restart::Never => "never".into(),
            },
            "success_codes" => spec.success_codes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "),
            "min_uptime" => duration_text(spec.min_uptime),
            "backoff" => format!(
                "{} times {} up to {}, ± {}%",
                duration_text(spec.backoff.initial),
                spec.backoff.factor,
                duration_text(spec.backoff.max),
                (spec.backoff.jitter * 100.0).round()
            ),
            "max_failures" => match spec.max_failures {
                Some(failures) => format!("{failures} in a row"),
                None => "never fatal".into(),
            },
            "essential" => spec.essential.to_string(),
            "stop" => self.stop(),
            "reload" => match &spec.reload {
                None => "none".into(),
                Some(reload) => {
                    let how = match &reload.how {
                        ReloadHow::Signal(signal) => signal.to_string(),
                        ReloadHow::Exec(argv) => self.shell(argv),
                    };
                    match &reload.check {
                        Some(check) => format!("{how}, if this succeeds: {}", self.shell(check)),
                        None => how,
                    }
                }
            },
            "timeout" => match spec.ready.as_deref() {
                Some(Ready { probe: Probe::End, timeout, .. }) => duration_text(*timeout),
                Some(_) | None => "none".into(),
            },
            "schedule" => match spec.schedule.as_deref() {
                None => "none".into(),
                Some(Schedule::Boot) => "at boot; nobody waits for it".into(),
                Some(Schedule::Cron(line)) => line.clone(),
            },
            "watch" => match &spec.watch {
                None => "nothing".into(),
                Some(patterns) => patterns.join(", "),
            },
            "memory_limit" => match spec.memory_limit {
                None => "none".into(),
                Some(bytes) => format!("{bytes} bytes"),
            },
            "sockets" => {
                let all = spec.sockets.iter().flat_map(|sockets| &sockets.list);
                let one = |(index, socket): (usize, &HeldSocket)| {
                    format!("{} = {socket} (descriptor {})", socket.name, FIRST_FD as usize + index)
                };
                all.enumerate().map(one).collect::<Vec<_>>().join(", ")
            }
            "hooks" => match &spec.hooks {
                None => "none".into(),
                Some(hooks) => {
                    let all = [Hook::BeforeStart, Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit];
                    let word =
                        |hook: Hook| Some(format!("{} {}", hook.name(), self.shell(hooks.command(hook)?)));
                    let all: Vec<String> = all.into_iter().filter_map(word).collect();
                    format!("{}; each within {}", all.join(", "), duration_text(hooks.timeout))
                }
            },
            "reopen" => spec.reopen.map_or("none".into(), |signal| signal.to_string()),
            "stdout" => sinks(&spec.stdout),
            "stderr" => sinks(&spec.stderr),
            "log" => {
                let when_full = match spec.log.when_full {
                    WhenFull::Block => "waits",
                    WhenFull::Drop => "drops lines",
                };
                let prefix = if spec.log.prefix { "with its name, " } else { "" };
                let stamp = if spec.log.timestamps { "with the time, " } else { "" };
                format!("{prefix}{stamp}lines up to {} bytes, {when_full} when full", spec.log.max_line)
            }
            _ => return None,
        })
    }

    /// A probe.
    pub fn probe(&self, probe: &Probe) -> String {
        let at = |address: &ProbeAddress| match address {
            ProbeAddress::Tcp(address) => address.clone(),
            ProbeAddress::Unix(path) => format!("unix:{}", path.display()),
        };
        match probe {
            Probe::Notify => "it says so itself (sd_notify)".into(),
            Probe::Fd(fd) => format!("a newline on descriptor {fd}"),
            Probe::Tcp(address) => format!("a connection to {address}"),
            Probe::Unix(path) => format!("a connection to unix:{}", path.display()),
            Probe::Http(http) => {
                let status = &http.status;
                let path = self.masked(&http.path);
                format!("GET {path} at {} answers {status}", at(&http.address))
            }
            Probe::Uwsgi(uwsgi) => match uwsgi.special_path() {
                "" => format!("a uwsgi answer at {}", at(&uwsgi.address)),
                path => format!("a uwsgi answer for {} at {}", self.masked(path), at(&uwsgi.address)),
            },
            Probe::Exec(argv) => format!("`{}` succeeds", self.shell(argv)),
            Probe::Log(pattern) => format!("a line that matches /{pattern}/"),
            Probe::File(path) => format!("{} exists", path.display()),
            Probe::End => "its end".into(),
        }
    }

    /// The variables that are not just handed on, without the values of secrets.
    pub fn own_environment(&self) -> Vec<(&'a str, String)> {
        let launch = &self.spec.launch;
        let handed_on = self.around.environment.iter();
        let handed_on = Set::from_iter(handed_on.map(|(name, value)| (name.as_str(), value.as_str())));
        let secret = |name: &String| launch.secrets.binary_search(name).is_ok();
        let pairs = launch.environment.iter();
        let own = pairs.filter(|(n, v)| secret(n) || !handed_on.contains(&(n.as_str(), v.as_str())));
        own.map(|(n, v)| (n.as_str(), if secret(n) { MASK.to_owned() } else { self.masked(v) })).collect()
    }
}

/// Who gave a key its value, in words; nothing for a default.
pub fn origin(key: &str, spec: &ServiceSpec, reasons: &Reasons) -> String {
    let inner = format!("{key}.");
    let given = reasons.keys.iter().filter(|(name, _)| *name == key || name.starts_with(&inner));
    let mut words: Vec<String> = Vec::new();
    for (_, source) in given {
        let word = match source {
            Source::Service(place) => place.clone(),
            Source::Defaults(place) => format!("[defaults] {place}"),
            Source::Preset(name) => format!("preset {name}"),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    // Where a server answers was found in its command.
    if key == "ready" && words.is_empty() && spec.ready.is_some() {
        words.extend(reasons.preset.map(|name| format!("preset {name}")));
    }
    words.join(", ")
}

fn limit(limit: &Limit) -> String {
    let amount = |n: Option<u64>| n.map_or("unlimited".to_owned(), |n| n.to_string());
    let name = format!("{:?}", limit.resource).to_lowercase();
    match limit.soft == limit.hard {
        true => format!("{name} {}", amount(limit.soft)),
        false => format!("{name} {} to {}", amount(limit.soft), amount(limit.hard)),
    }
}

fn sinks(sinks: &Sinks) -> String {
    let words = |sink: &Sink| match sink {
        Sink::Inherit => "the container's own".to_owned(),
        Sink::Forward => "the container's, line by line".to_owned(),
        Sink::Null => "nowhere".to_owned(),
        Sink::File(file) => {
            let path = file.path.display();
            match file.max_size {
                None => format!("{path}, never rotated"),
                Some(size) => {
                    let gz = if file.compress { ", compressed" } else { "" };
                    format!("{path}, rotated at {size} bytes, {} old ones{gz}", file.keep)
                }
            }
        }
        Sink::Ring(0) => "nowhere, not even a ring".to_owned(),
        Sink::Ring(size) => format!("a ring of {size} bytes"),
    };
    sinks.iter().map(words).collect::<Vec<_>>().join("; ")
}
