//! `minisup check`: whether a configuration can be run, what would run and why.

mod json;
mod words;

use super::ConfigArgs;
use crate::config::command::{self, Meaning};
use crate::config::{self, Loaded, Reasons, Surroundings, presets};
use crate::core::exit::code;
use crate::core::ids::ServiceId;
use crate::core::plan::{Kind, Plan, ServiceSpec};
use crate::core::yielding;
use std::path::PathBuf;
use words::Words;

/// `minisup check`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit code: 0, also with warnings; 78 if there is an error.")]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Show what would run, in which order, and which layer each key comes from
    #[arg(long)]
    plan: bool,
    /// The same for programs: one JSON object
    #[arg(long)]
    json: bool,
    /// As if these words stood behind the image's name
    #[arg(last = true, value_name = "ARGS")]
    words: Vec<String>,
}

/// Checks a configuration and runs nothing. 0, or 78 with all errors.
pub fn run(args: Args) -> u8 {
    let mut around = Surroundings::here();
    let Some(files) = args.config.files(&around) else {
        let text = "there is no configuration to check: name one with --config FILE";
        return refuse(&args, &[], text, code::CONFIGURATION);
    };
    if !args.words.is_empty() {
        match command::meaning(&files, &around, &args.words) {
            Ok(Meaning::Arguments) => around.arguments.clone_from(&args.words),
            Ok(Meaning::Alone(before)) => {
                let words: Vec<_> = before.iter().chain(&args.words).map(String::as_str).collect();
                super::say(&match args.json {
                    true => format!("{:#}", json::alone(&files, &words)),
                    false => {
                        let shown = shlex::try_join(words.iter().copied());
                        let shown = shown.unwrap_or_else(|_| words.join(" "));
                        format!("it runs alone, as `minisup exec` does it: {shown}")
                    }
                });
                return 0;
            }
            Ok(Meaning::Nobodys) => {
                return refuse(&args, &files, &super::run::nobodys(&args.words[0]), code::USAGE);
            }
            // All that is wrong is said below.
            Err(_) => {}
        }
    }
    let result = config::explain(&files, &around);
    if args.json {
        let value = json::answer(&result, &files, args.plan, &around);
        super::say(&format!("{value:#}"));
        return if result.is_ok() { 0 } else { code::CONFIGURATION };
    }
    match result {
        Err(errors) => {
            super::complain(errors.report());
            code::CONFIGURATION
        }
        Ok(loaded) => {
            for warning in &loaded.warnings {
                super::complain(warning);
            }
            let mut text = String::new();
            match args.plan {
                true => plan(&loaded, &around, &mut text),
                false => additions(&loaded, &around, &mut text),
            }
            let names: Vec<_> = loaded.files.iter().map(|file| file.display().to_string()).collect();
            text += &format!(
                "{}: {}, {}\n",
                names.join(", "),
                counted(loaded.plan.services.len(), "service"),
                match loaded.warnings.len() {
                    0 => "no error, no warning".to_owned(),
                    n => format!("no error, {}", counted(n, "warning")),
                }
            );
            super::put(text.as_bytes());
            0
        }
    }
}

/// Says what is wrong besides what stands in files. Returns the exit code.
fn refuse(args: &Args, files: &[PathBuf], text: &str, code: u8) -> u8 {
    match args.json {
        true => super::say(&format!("{:#}", json::refused(files, text))),
        false => super::complain(format_args!("minisup: {text}")),
    }
    code
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Enabled services in waves: those of one wave wait only for earlier ones, and are
/// launched together. Without those that the clock launches.
fn waves(plan: &Plan) -> Vec<Vec<usize>> {
    let services = &plan.services;
    let needs = |at: usize| -> Vec<usize> {
        let spec: &ServiceSpec = &services[at];
        let after = spec.after.iter().filter(|d| services[d.service.index()].enabled);
        spec.requires.iter().chain(after).map(|d| d.service.index()).collect()
    };
    let mut depth: Vec<Option<usize>> = vec![None; services.len()];
    for root in 0..services.len() {
        let mut stack = vec![root];
        while let Some(at) = stack.last().copied() {
            let needs = needs(at);
            let unknown: Vec<usize> = needs.iter().copied().filter(|n| depth[*n].is_none()).collect();
            if depth[at].is_some() || unknown.is_empty() {
                stack.pop();
                let below = needs.iter().filter_map(|n| depth[*n]).max();
                depth[at] = Some(below.map_or(0, |deepest| deepest + 1));
            } else {
                stack.extend(unknown);
            }
        }
    }
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (at, depth) in
        depth.iter().enumerate().filter(|(at, _)| services[*at].enabled && !services[*at].recurs())
    {
        let depth = depth.unwrap_or(0);
        if waves.len() <= depth {
            waves.resize(depth + 1, Vec::new());
        }
        waves[depth].push(at);
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// The order in which services stop: who is required stops after those who require it.
fn stop_waves(plan: &Plan) -> Vec<Vec<usize>> {
    let mut waves = waves(plan);
    waves.reverse();
    for wave in &mut waves {
        wave.retain(|at| plan.services[*at].kind == Kind::Longrun);
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// Why its preset gives a service this key, if it does.
fn reason(key: &str, spec: &ServiceSpec, reasons: &Reasons) -> Option<&'static str> {
    let preset = reasons.preset?;
    let from = words::origin(key, spec, reasons);
    let is_its = from.split(", ").any(|word| word.strip_prefix("preset ") == Some(preset));
    presets::why(preset, key, spec).filter(|_| is_its)
}

/// What presets have added to what is written, and why.
fn additions(loaded: &Loaded, around: &Surroundings, text: &mut String) {
    for (spec, reasons) in loaded.plan.services.iter().zip(&loaded.reasons) {
        let Some(preset) = reasons.preset else { continue };
        let words = Words::new(&loaded.plan, spec, around);
        *text += &format!("{}, by its preset {preset}:\n", spec.name);
        for adjusted in &reasons.adjusted {
            *text += &format!("  {adjusted}\n");
        }
        for key in ["user", "ready", "stop", "reload", "reopen"] {
            if let (Some(why), Some(value)) = (reason(key, spec, reasons), words.value(key)) {
                *text += &format!("  {key}: {value} ({why})\n");
            }
        }
    }
    if !text.is_empty() {
        *text += "\n";
    }
}

fn plan(loaded: &Loaded, around: &Surroundings, text: &mut String) {
    let plan = &loaded.plan;
    let width = plan.services.iter().map(|s| s.name.len()).max().unwrap_or(0).min(30);
    *text += "launch order\n";
    for (number, wave) in waves(plan).iter().enumerate() {
        for at in wave {
            let words = Words::new(plan, &plan.services[*at], around);
            let waits = words.waits();
            let line = format!("  {:>2}  {:width$}  {}", number + 1, words.spec.name, words.command());
            *text += line.trim_end();
            if !waits.is_empty() {
                *text += &format!("\n      {:width$}  after {waits}", "");
            }
            *text += "\n";
        }
    }
    for spec in plan.services.iter().filter(|spec| spec.enabled && spec.recurs()) {
        let words = Words::new(plan, spec, around);
        let schedule = words.value("schedule").unwrap_or_default();
        *text += &format!(
            "   -  {:width$}  {}\n      {:width$}  by its schedule: {schedule}\n",
            spec.name,
            words.command(),
            ""
        );
    }
    *text += "\nstop order\n";
    let runs = |it: ServiceId| {
        let spec = plan.service(it);
        spec.enabled && spec.kind == Kind::Longrun
    };
    let behind = yielding::behind(plan, runs);
    for (number, wave) in stop_waves(plan).iter().enumerate() {
        for at in wave {
            let words = Words::new(plan, &plan.services[*at], around);
            *text += &format!("  {:>2}  {:width$}  {}", number + 1, words.spec.name, words.stop());
            if behind[*at] > 0 {
                let by = yielding::part(plan.supervisor.shutdown_timeout, behind[*at]);
                *text += &format!("; after {} at the latest", config::values::duration_text(by));
            }
            *text += "\n";
        }
    }
    let timeout = config::values::duration_text(plan.supervisor.shutdown_timeout);
    *text += &format!("      all of it within {timeout} (supervisor.shutdown_timeout)\n");
    for (spec, reasons) in plan.services.iter().zip(&loaded.reasons) {
        let words = Words::new(plan, spec, around);
        *text += &format!("\n[service.{}]  {}\n", spec.name, words.headline(reasons.preset));
        for (key, value) in words.lines(reasons) {
            let mut from = words::origin(&key, spec, reasons);
            if let Some(why) = reason(&key, spec, reasons) {
                from += &format!(": {why}");
            }
            let line = format!("  {key:17} {value}");
            *text += &match from.is_empty() {
                true => format!("{line}\n"),
                false if line.chars().count() <= 70 => format!("{line:70} # {from}\n"),
                false => format!("{line}\n{:70} # {from}\n", ""),
            };
        }
        for adjusted in &reasons.adjusted {
            *text += &format!("  {:17} preset {}: {adjusted}\n", "", reasons.preset.unwrap_or(""));
        }
    }
    *text += "\n";
}
