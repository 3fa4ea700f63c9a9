//! The same for programs.

use super::words::Words;
use super::{stop_waves, waves};
use crate::config::diagnostics::{Diagnostic, Severity};
use crate::config::why::Source;
use crate::config::{Diagnostics, Loaded, Reasons, Surroundings};
use crate::core::plan::*;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An object, written as in `json!` of serde_json, which has half a dozen steps and a way to fail for each
/// value: all of ours are values without more ado.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {{
        let mut object = Map::new();
        $(put(&mut object, $key, Value::from($value));)*
        Value::Object(object)
    }};
}

/// A path as text; what is none in it is shown as such.
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn put(object: &mut Map<String, Value>, key: &str, value: Value) {
    object.insert(key.to_owned(), value);
}

/// One object: whether it is valid, all findings, and the plan if it was asked for. `named` are the files
/// that were to be read, where not all could be.
pub fn answer(
    result: &Result<Loaded, Diagnostics>,
    named: &[PathBuf],
    plan: bool,
    around: &Surroundings,
) -> Value {
    match result {
        Err(errors) => {
            let mut value = verdict(false, named, &errors.list, &[]);
            value["more_errors"] = Value::from(errors.unsaid);
            value
        }
        Ok(loaded) => {
            let mut value = verdict(true, &loaded.files, &[], &loaded.warnings);
            if plan {
                value["plan"] = whole(loaded, around);
            }
            value
        }
    }
}

/// What is wrong besides what stands in files, as the one error.
pub fn refused(named: &[PathBuf], text: &str) -> Value {
    let message = text.to_owned();
    let (mark, notes) = (String::new(), Vec::new());
    let error = Diagnostic { severity: Severity::Error, path: None, place: None, message, mark, notes };
    let mut value = verdict(false, named, &[error], &[]);
    value["more_errors"] = Value::from(0);
    value
}

/// Words that run alone: nothing else is looked at.
pub fn alone(named: &[PathBuf], words: &[&str]) -> Value {
    let mut value = verdict(true, named, &[], &[]);
    value["alone"] = words.iter().copied().collect();
    value
}

fn verdict(valid: bool, files: &[PathBuf], errors: &[Diagnostic], warnings: &[Diagnostic]) -> Value {
    let findings = |list: &[Diagnostic]| list.iter().map(finding).collect::<Vec<_>>();
    object! {
        "valid": valid,
        "files": files.iter().map(|file| path(file)).collect::<Vec<_>>(),
        "errors": findings(errors),
        "warnings": findings(warnings),
    }
}

fn finding(diagnostic: &Diagnostic) -> Value {
    let place = diagnostic.place.as_ref();
    let notes: Vec<_> = diagnostic
        .notes
        .iter()
        .map(|(place, text)| match place {
            Some(place) => format!("{place}: {text}"),
            None => text.clone(),
        })
        .collect();
    object! {
        "severity": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "file": place.map(|p| &p.path).or(diagnostic.path.as_ref()).map(|file| path(file)),
        "line": place.map(|p| p.line),
        "column": place.map(|p| p.column),
        "message": &*diagnostic.message,
        "hint": &*diagnostic.mark,
        "notes": notes,
    }
}

fn whole(loaded: &Loaded, around: &Surroundings) -> Value {
    let plan = &loaded.plan;
    let names = |waves: Vec<Vec<usize>>| -> Vec<Vec<String>> {
        let name = |at: &usize| plan.services[*at].name.to_string();
        waves.iter().map(|wave| wave.iter().map(name).collect()).collect()
    };
    let signals = object(plan.signals.iter().map(|(signal, forward)| {
        let to = match forward {
            Forward::To(service, signal) => format!("{}:{signal}", plan.service(*service).name),
            Forward::All(signal) => format!("all:{signal}"),
            Forward::Swallow => String::new(),
        };
        (signal.to_string(), Value::from(to))
    }));
    let services = plan.services.iter().zip(&loaded.reasons);
    object! {
        "supervisor": object! {
            "control_socket": path(&plan.supervisor.control_socket),
            "control_group": plan.supervisor.control_group,
            "shutdown_timeout": seconds(plan.supervisor.shutdown_timeout),
            "log_level": format!("{:?}", plan.supervisor.log_level).to_lowercase(),
            "log_format": format!("{:?}", plan.supervisor.log_format).to_lowercase(),
            "timestamps": plan.supervisor.timestamps,
        },
        "signals": signals,
        "launch_order": names(waves(plan)),
        "stop_order": names(stop_waves(plan)),
        "services": services.map(|(spec, why)| service(plan, spec, why, around)).collect::<Vec<_>>(),
    }
}

/// An object of these. One by one: to collect them would bring a sort for each kind of iterator along, 4 kB of the program.
fn object(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        object.insert(name, value);
    }
    Value::Object(object)
}

/// Durations are seconds, as everywhere in our JSON.
fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn service(plan: &Plan, spec: &ServiceSpec, reasons: &Reasons, around: &Surroundings) -> Value {
    let words = Words::new(plan, spec, around);
    let mask = |argv: &[String]| argv.iter().map(|word| words.masked(word)).collect::<Vec<_>>();
    let dependencies = |list: &[Dependency]| -> Vec<String> {
        let text = |d: &Dependency| {
            format!("{}:{}", plan.service(d.service).name, format!("{:?}", d.condition).to_lowercase())
        };
        list.iter().map(text).collect()
    };
    let nothing = LaunchExtra::default();
    let extra = spec.launch.extra.as_deref().unwrap_or(&nothing);
    let from = object(reasons.keys.iter().map(|(key, source)| {
        let text = match source {
            Source::Service(place) => place.clone(),
            Source::Defaults(place) => format!("[defaults] {place}"),
            Source::Preset(name) => format!("preset {name}"),
        };
        (key.clone(), Value::from(text))
    }));
    let steps = spec.stop.sequence.iter();
    let steps: Vec<_> =
        steps.map(|(s, t)| object! { "signal": s.to_string(), "wait": seconds(*t) }).collect();
    let own = words.own_environment().into_iter();
    let environment = object(own.map(|(name, value)| (name.to_owned(), Value::from(value))));
    let sockets = spec.sockets.iter().flat_map(|sockets| &sockets.list);
    object! {
        "name": &*spec.name,
        "preset": reasons.preset,
        "adjusted": &*reasons.adjusted,
        "type": words.value("type"),
        "enabled": spec.enabled,
        "instances": spec.instances,
        "command": mask(&spec.launch.command),
        "requires": dependencies(&spec.requires),
        "after": dependencies(&spec.after),
        "user": extra.credentials.as_ref().map(|who| who.uid),
        "group": extra.credentials.as_ref().map(|who| who.gid),
        "groups": extra.credentials.as_ref().map(|who| who.groups.to_vec()),
        "directory": extra.directory.as_deref().map(path),
        "umask": extra.umask.map(|mask| format!("{mask:03o}")),
        "nice": extra.nice,
        "oom_score_adj": extra.oom_score_adj,
        "limits": object(extra.limits.iter().map(|limit| {
            let name = format!("{:?}", limit.resource).to_lowercase();
            (name, object! { "soft": limit.soft, "hard": limit.hard })
        })),
        "no_new_privileges": extra.no_new_privileges,
        "capabilities": extra.capabilities.as_ref().map(|_| words.value("capabilities")),
        "environment": environment,
        "secrets": spec.launch.secrets.to_vec(),
        "ready": spec.ready.as_ref().map(|ready| object! {
            "probe": words.probe(&ready.probe),
            "interval": seconds(ready.interval),
            "timeout": seconds(ready.timeout),
        }),
        "health": spec.health.as_ref().map(|health| object! {
            "probe": words.probe(&health.probe),
            "interval": seconds(health.interval),
            "timeout": seconds(health.timeout),
            "failures": health.failures,
            "action": if health.restart { "restart" } else { "none" },
        }),
        "restart": match spec.restart {
            Restart::Always => "always",
            Restart::OnFailure => "on-failure",
            Restart::Never => "never",
        },
        "success_codes": spec.success_codes.to_vec(),
        "min_uptime": seconds(spec.min_uptime),
        "backoff": object! {
            "initial": seconds(spec.backoff.initial),
            "max": seconds(spec.backoff.max),
            "factor": spec.backoff.factor,
            "jitter": spec.backoff.jitter,
        },
        "max_failures": spec.max_failures.unwrap_or(0),
        "essential": spec.essential,
        "stop": object! { "delay": seconds(spec.stop.delay), "sequence": steps, "tree": spec.stop.tree,
            "to": if spec.stop.to_tree { "tree" } else { "main" } },
        "reload": spec.reload.as_ref().map(|reload| object! {
            "timeout": seconds(reload.timeout),
            "check": reload.check.as_deref().map(mask),
            "signal": match &reload.how {
                ReloadHow::Signal(signal) => Some(signal.to_string()),
                ReloadHow::Exec(_) => None,
            },
            "exec": match &reload.how {
                ReloadHow::Exec(argv) => Some(mask(argv)),
                ReloadHow::Signal(_) => None,
            },
        }),
        "reopen": spec.reopen.map(|signal| signal.to_string()),
        "stdout": sinks(&spec.stdout),
        "stderr": sinks(&spec.stderr),
        "log": object! {
            "prefix": spec.log.prefix,
            "timestamps": spec.log.timestamps,
            "max_line": spec.log.max_line,
            "when_full": format!("{:?}", spec.log.when_full).to_lowercase(),
        },
        "from": from,
        "hooks": spec.hooks.as_ref().map(|hooks| object! {
            "before_start": hooks.before_start.as_deref().map(mask),
            "after_ready": hooks.after_ready.as_deref().map(mask),
            "before_stop": hooks.before_stop.as_deref().map(mask),
            "after_exit": hooks.after_exit.as_deref().map(mask),
            "timeout": seconds(hooks.timeout),
        }),
        "schedule": spec.schedule.as_deref().map(|schedule| match schedule {
            Schedule::Boot => "@reboot",
            Schedule::Cron(line) => line.as_str(),
        }),
        "watch": spec.watch.as_deref().unwrap_or_default(),
        "memory_limit": spec.memory_limit,
        "sockets": object(sockets.map(|socket| (socket.name.clone(), Value::from(socket.to_string())))),
    }
}

/// As it would be written: a word or a table, or a list of them.
fn sinks(sinks: &Sinks) -> Value {
    let one = |sink: &Sink| match sink {
        Sink::Inherit => Value::from("inherit"),
        Sink::Forward => Value::from("forward"),
        Sink::Null => Value::from("null"),
        Sink::File(file) => object! {
            "file": path(&file.path),
            "max_size": file.max_size.unwrap_or(0),
            "keep": file.keep,
            "compress": file.compress,
            "format": format!("{:?}", file.format).to_lowercase(),
            "timestamps": file.timestamps,
        },
        Sink::Ring(size) => object! { "ring": *size },
    };
    match &**sinks {
        [only] => one(only),
        several => several.iter().map(one).collect(),
    }
}
