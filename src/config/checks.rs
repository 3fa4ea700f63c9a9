//! Known traps: what can be run, but is hardly meant.
//!
//! Each check looks at resolved services and says only what can be known without running
//! anything. What concerns one server alone is said by its preset.

use super::diagnostics::Problems;
use super::init;
use super::launch::{USUAL_PATH, find};
use super::service::Resolved;
use super::values::duration_text;
use crate::core::plan::*;
use crate::core::sorted::Map;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// All of them. The services wait for one another in no circle.
pub fn check(services: &[Resolved], supervisor: &SupervisorSpec, problems: &mut Problems) {
    let mut found = Map::new();
    // What a first start shares with its service is said of the service.
    for service in services.iter().filter(|service| !service.spec.is_satellite()) {
        backgrounds(service, problems);
        shell_words(service, problems);
        let has_directory = directory_is_there(service, services, problems);
        program_is_there(service, has_directory, &mut found, problems);
        dependencies_can_hold(service, services, problems);
        secrets_stay_secret(service, problems);
        both_can_serve(service, problems);
        one_stop_fits(service, supervisor, problems);
    }
    usual_stops_fit(services, supervisor, problems);
    all_stops_fit(services, supervisor, problems);
    none_enabled(services, problems);
}

/// Whether a program puts itself in the background, and what to do about it. A preset
/// has looked at its own server already.
fn backgrounds(service: &Resolved, problems: &mut Problems) {
    if service.preset.is_some() {
        return;
    }
    let argv = &service.spec.launch.command;
    let Some(program) = argv.first() else { return };
    let program = program.rsplit('/').next().unwrap_or(program);
    let has = |words: &[&str]| argv.iter().skip(1).any(|a| words.contains(&a.as_str()));
    let mentions = |text: &str| argv.iter().skip(1).any(|a| a.contains(text));
    let after = |option: &str, value: &str| argv.windows(2).any(|w| w[0] == option && w[1] == value);
    let advice = match program {
        "nginx" if has(&["-t", "-T", "-v", "-V", "-s"]) => None,
        "nginx" if !mentions("daemon off") => {
            Some("add `preset = \"nginx\"`, or say -g 'daemon off;' if nginx.conf does not")
        }
        "gunicorn" if has(&["-D", "--daemon"]) => Some("leave --daemon out"),
        "uwsgi" if mentions("--daemonize") || has(&["-d"]) => Some("leave --daemonize out"),
        "redis-server" if after("--daemonize", "yes") => Some("leave --daemonize out"),
        "mongod" if has(&["--fork"]) => Some("leave --fork out"),
        "mysqld_safe" | "mariadbd-safe" => Some("launch the server itself: mysqld or mariadbd"),
        "pg_ctl" | "pg_ctlcluster" => Some("launch postgres itself"),
        "apachectl" | "apache2ctl" if !has(&["-DFOREGROUND", "FOREGROUND"]) => Some("add -D FOREGROUND"),
        "apache2" | "httpd" if !has(&["-DFOREGROUND", "FOREGROUND"]) => Some("add -D FOREGROUND"),
        "php-fpm" if !has(&["-F", "--nodaemonize"]) => Some("add --nodaemonize"),
        "sshd" if !argv.iter().skip(1).any(|a| a.starts_with('-') && a.contains('D')) => Some("add -D"),
        "cron" | "crond" if !has(&["-f", "-n"]) => Some("add -f"),
        "service" | "systemctl" | "initctl" => Some("launch the server itself, in the foreground"),
        "supervisord" if !has(&["-n", "--nodaemon"]) => Some("add --nodaemon"),
        "haproxy" if has(&["-D"]) => Some("leave -D out"),
        _ => None,
    };
    if let Some(advice) = advice {
        let message = format!("{program} puts itself in the background, and then seems to have ended");
        problems.warning(service.command, message).mark(advice);
    }
    if program == "uwsgi" && !mentions("master") && !has(&["-M"]) && !mentions(".ini") && !mentions("emperor")
    {
        let message = "uWSGI without a master: TERM cuts requests off, and workers that die stay dead";
        problems.warning(service.command, message).mark("add --master, or `preset = \"uwsgi\"`");
    }
}

/// No shell is started for a command: its operators are words like others.
fn shell_words(service: &Resolved, problems: &mut Problems) {
    if !service.one_string {
        return;
    }
    let argv = &service.spec.launch.command;
    let is_shell = argv.first().is_some_and(|p| {
        let program = p.rsplit('/').next().unwrap_or(p);
        matches!(program, "sh" | "bash" | "dash" | "ash" | "zsh" | "busybox" | "eval")
    });
    if is_shell {
        return;
    }
    let operator = |word: &&String| {
        matches!(word.as_str(), "&&" | "||" | "|" | ";" | ">" | ">>" | "<" | "&" | "2>&1" | "2>" | "&>")
            || word.starts_with("2>")
            || word.ends_with(';') && word.len() > 1 && !word.contains(' ')
    };
    if let Some(word) = argv.iter().find(operator) {
        let message = format!("no shell is started for a command: `{word}` is given to the program as it is");
        problems.warning(service.command, message).mark("[\"sh\", \"-c\", \"exec …\"] if a shell is meant");
    }
    let variable = |word: &&String| {
        word.strip_prefix('$').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    if let Some(word) = argv.iter().find(variable) {
        let message = format!("`{word}` is given to the program as it is: only ${{…}} is replaced");
        problems.warning(service.command, message).mark(format!("${{{}}}", &word[1..]));
    }
}

/// Whether there is the directory in which it is to run, as far as can be seen.
fn directory_is_there(service: &Resolved, services: &[Resolved], problems: &mut Problems) -> bool {
    let extra = service.spec.launch.extra.as_deref();
    let Some(path) = extra.and_then(|extra| extra.directory.as_deref()) else { return true };
    let message = match path.metadata() {
        Ok(found) if !found.is_dir() => format!("{} is no directory", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("there is no directory {}", path.display())
        }
        Ok(_) | Err(_) => return true,
    };
    // Its own first start runs there, too.
    let first_start = init::name(&service.spec.name);
    let makes = |dependency: &Dependency| {
        let other = &services[dependency.service.index()].spec;
        other.kind == Kind::Oneshot && *other.name != *first_start
    };
    let problem = problems.warning(service.directory.unwrap_or(service.name), message);
    problem.mark(match service.spec.requires.iter().any(makes) {
        true => "no launch succeeds unless a oneshot that it requires makes it",
        false => "no launch succeeds before it is there",
    });
    false
}

/// The program can be found, as its launch will look for it. A thousand services may share
/// one program: each is looked for once.
fn program_is_there<'a>(
    service: &'a Resolved,
    has_directory: bool,
    found: &mut Map<(&'a str, Option<&'a str>), bool>,
    problems: &mut Problems,
) {
    let launch = &service.spec.launch;
    let Some(program) = launch.command.first().filter(|program| !program.contains('$')) else { return };
    let directory = launch.extra.as_deref().and_then(|extra| extra.directory.as_deref());
    if program.contains('/') {
        let path = directory.unwrap_or(Path::new("")).join(program);
        let there = match program.starts_with('/') {
            true => *found.get_or_insert_with((program, None), || path.exists()),
            false => !has_directory || path.exists(),
        };
        if !there {
            problems.warning(service.command, format!("there is no {}", path.display()));
        }
        return;
    }
    let path = launch.environment.binary_search_by(|(name, _)| name.as_str().cmp("PATH"));
    let path = path.ok().map(|at| launch.environment[at].1.as_str());
    if !*found.get_or_insert_with((program, Some(path.unwrap_or_default())), || find(program, path).is_some())
    {
        let problem = problems.warning(service.command, format!("there is no `{program}` in PATH"));
        problem.mark(format!("looked in {}", path.unwrap_or(USUAL_PATH)));
    }
}

/// A requirement that can never be met makes a service fail.
fn dependencies_can_hold(service: &Resolved, services: &[Resolved], problems: &mut Problems) {
    let spec = &service.spec;
    for (dependency, span) in spec.requires.iter().zip(&service.requires) {
        let other = &services[dependency.service.index()].spec;
        if !other.enabled && spec.enabled {
            let message = format!("\"{}\" is not enabled, and so \"{}\" fails", other.name, spec.name);
            problems.warning(*span, message).mark("`after` waits only for what is enabled");
        }
    }
    for (dependency, span) in spec.requires.iter().zip(&service.requires) {
        let other = &services[dependency.service.index()].spec;
        if other.recurs() {
            let message = format!("\"{}\" runs by its schedule: nobody can require it", other.name);
            problems.error(*span, message).mark("`after` waits only for a run that is under way");
        }
    }
    let required = spec.requires.iter().zip(&service.requires);
    for (dependency, span) in required.chain(spec.after.iter().zip(&service.after)) {
        let other = &services[dependency.service.index()].spec;
        if dependency.condition == Condition::Healthy && other.health.is_none() {
            let message = format!("\"{0}\" has no `health`: \"{0}:healthy\" means \"{0}:ready\"", other.name);
            problems.warning(*span, message).mark("say that, or give it a health check");
        }
    }
    if spec.kind == Kind::Oneshot && spec.restart == Restart::Always {
        let message = format!("{} is a oneshot that is launched again for ever", spec.name);
        problems.warning(service.name, message).mark("restart = \"on-failure\"?");
    }
}

/// Everybody can read a command line.
fn secrets_stay_secret(service: &Resolved, problems: &mut Problems) {
    let spec = &service.spec;
    if spec.launch.secrets.is_empty() {
        return;
    }
    let probe = |probe: Option<&Probe>| match probe {
        Some(Probe::Exec(command)) => command.to_vec(),
        _ => Vec::new(),
    };
    let hooks =
        spec.hooks.iter().flat_map(|it| [&it.before_start, &it.after_ready, &it.before_stop, &it.after_exit]);
    let places = [
        ("the command", spec.launch.command.to_vec()),
        ("the command of `ready`", probe(spec.ready.as_ref().map(|it| &it.probe))),
        ("the command of `health`", probe(spec.health.as_ref().map(|it| &it.probe))),
        ("a hook", hooks.flatten().flat_map(|command| command.to_vec()).collect()),
    ];
    for name in spec.launch.secrets.iter() {
        let value = spec.launch.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let Some(value) = value.filter(|value| value.len() >= 6) else { continue };
        for (place, words) in &places {
            if words.iter().any(|word| word.contains(value.as_str())) {
                let message = format!("the secret {name} stands in {place}, where every process can read it");
                problems
                    .warning(service.command, message)
                    .mark("let the program take it from its environment");
            }
        }
    }
}

/// While it is replaced there are two of it: of a tcp address the second one is refused; a unix socket it
/// takes over, and the first one removes it when it ends.
fn both_can_serve(service: &Resolved, problems: &mut Problems) {
    let spec = &service.spec;
    let binds = service.preset.is_some_and(|preset| ["nginx", "gunicorn", "uwsgi"].contains(&preset.name));
    let shares = spec.launch.command.iter().any(|word| word.contains("reuse-port"));
    if binds && spec.rolling && spec.sockets.is_none() && !shares {
        let message =
            format!("{} is to be replaced while it serves, but two cannot bind the same address", spec.name);
        problems.warning(service.command, message).mark("let minisup hold it: `sockets`");
    }
}

/// Neither it nor its preset says anything of its stop.
fn stops_as_usual(service: &Resolved) -> bool {
    service.stop.is_none() && service.preset.is_none() && !service.spec.is_satellite()
}

/// Those that stop as usual all take as long: that is said once.
fn usual_stops_fit(services: &[Resolved], supervisor: &SupervisorSpec, problems: &mut Problems) {
    let too_long = |service: &&Resolved| service.spec.stop.longest() > supervisor.shutdown_timeout;
    let mut found = services.iter().filter(|service| stops_as_usual(service)).filter(too_long);
    let Some(first) = found.next() else { return };
    let and = match found.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "{}{and} may take {} to stop, for nothing else is said, but the whole shutdown ends after {}",
        first.spec.name,
        duration_text(first.spec.stop.longest()),
        duration_text(supervisor.shutdown_timeout)
    );
    let mark = "[defaults] stop = { grace_period = … }, or a longer supervisor.shutdown_timeout";
    problems.warning(first.name, message).mark(mark);
}

fn one_stop_fits(service: &Resolved, supervisor: &SupervisorSpec, problems: &mut Problems) {
    let longest = service.spec.stop.longest();
    if !stops_as_usual(service) && longest > supervisor.shutdown_timeout {
        let message = format!(
            "{} may take {} to stop, but the whole shutdown ends after {}",
            service.spec.name,
            duration_text(longest),
            duration_text(supervisor.shutdown_timeout)
        );
        let mark = "raise supervisor.shutdown_timeout, and what the container's engine waits";
        problems.warning(service.stop.unwrap_or(service.name), message).mark(mark);
    }
}

/// Services stop in reverse order of `requires` and `after`, one after the other along a
/// chain. The
/// defaults alone are no reason to warn: few services use up their grace period.
fn all_stops_fit(services: &[Resolved], supervisor: &SupervisorSpec, problems: &mut Problems) {
    // The longest way down from each service, and the next step on it.
    let mut longest: Vec<Option<(Duration, Option<usize>)>> = vec![None; services.len()];
    for root in 0..services.len() {
        let mut stack = vec![root];
        while let Some(at) = stack.last().copied() {
            let spec = &services[at].spec;
            let below = spec.requires.iter().chain(&spec.after).map(|d| d.service.index());
            let below: Vec<usize> = below.filter(|b| services[*b].spec.enabled).collect();
            let unknown: Vec<usize> = below.iter().copied().filter(|b| longest[*b].is_none()).collect();
            if longest[at].is_some() || unknown.is_empty() {
                stack.pop();
                let own = match spec.kind {
                    Kind::Longrun if spec.enabled => spec.stop.longest(),
                    // By then it has ended long ago.
                    Kind::Longrun | Kind::Oneshot => Duration::ZERO,
                };
                let best = below.iter().filter_map(|b| Some((longest[*b]?.0, Some(*b)))).max();
                let (rest, next) = best.unwrap_or((Duration::ZERO, None));
                longest[at] = Some((own.saturating_add(rest), next));
            } else {
                stack.extend(unknown);
            }
        }
    }
    let all = longest.iter().enumerate().filter_map(|(at, found)| Some((found.as_ref()?.0, at)));
    let Some((total, top)) = all.max_by_key(|(total, at)| (*total, std::cmp::Reverse(*at))) else { return };
    let mut chain = vec![top];
    while let Some(next) = longest[chain[chain.len() - 1]].and_then(|(_, next)| next) {
        chain.push(next);
    }
    let fits_alone = |at: &usize| services[*at].spec.stop.longest() <= supervisor.shutdown_timeout;
    let written = chain.iter().any(|at| services[*at].stop.is_some());
    if total <= supervisor.shutdown_timeout || !written || chain.len() < 2 || !chain.iter().all(fits_alone) {
        return;
    }
    let part = |at: &usize| {
        let spec = &services[*at].spec;
        format!("{} {}", spec.name, duration_text(spec.stop.longest()))
    };
    let shown: Vec<String> = chain.iter().take(6).map(part).collect();
    let more = if chain.len() > 6 { ", …" } else { "" };
    let message = format!(
        "one after the other these may take {} to stop, but the whole shutdown ends after {}: {}{more}",
        duration_text(total),
        duration_text(supervisor.shutdown_timeout),
        shown.join(", then ")
    );
    let mark = "shorter grace periods, or a longer supervisor.shutdown_timeout";
    problems.warning(services[top].name, message).mark(mark);
}

fn none_enabled(services: &[Resolved], problems: &mut Problems) {
    if services.iter().all(|service| !service.spec.enabled) {
        problems.warn("no service is enabled: there is nothing to run");
    }
}
