//! gunicorn.
//!
//! READY=1 is sent when the sockets are bound, before there is any worker, hence before
//! the application is imported: so readiness is an HTTP answer, whatever its status. HUP
//! with code that does not load takes the whole service down: so a check goes before it.
//! Its arbiter launches new workers at HUP, so it has heeded it when there are some. With `--preload` HUP reads
//! the settings again, but not the code. After USR2 a new arbiter stands beside the old one, and is its heir:
//! known by its command line, which setproctitle changes to `gunicorn: master [`.
//! After TERM it waits 30 s for its workers, longer than Docker waits: so it is told less.

use super::{has, option, options, own_file};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::config::probe::host_and_port;
use crate::core::plan::{Heirs, HttpProbe, Probe, ProbeAddress, Told};
use std::time::Duration;

/// So long new workers may take, besides loading the code.
const RENEWAL: Duration = Duration::from_secs(5);

/// Finds where it will answer, and makes the check for a reload.
pub fn adjust(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.argv.is_empty() {
        return None;
    }
    // Also `python -m gunicorn`, `poetry run gunicorn` and their like; but a script's own
    // arguments are not ours to add to.
    let itself =
        draft.argv.iter().any(|word| word.rsplit('/').next().is_some_and(|w| w.starts_with("gunicorn")));
    if !itself {
        draft.adjusted.push("the command is not gunicorn itself: nothing was added".into());
    }
    let mut words = vec![String::new()];
    words.extend(draft.variable("GUNICORN_CMD_ARGS").and_then(shlex::split).unwrap_or_default());
    words.extend(draft.argv.iter().skip(1).cloned());
    let file = option(&words, "--config", Some('c')).unwrap_or("gunicorn.conf.py");
    let file = draft.resolve(file.strip_prefix("file:").unwrap_or(file));
    let settings = own_file(&file).unwrap_or_default();

    if has(&words, &["--daemon", "-D"]) || setting(&settings, "daemon") == Some("True") {
        let message = "gunicorn puts itself in the background and seems to have ended";
        problems.warning(draft.span, message).mark("leave --daemon out");
    }
    if itself {
        graceful(draft, &words, &settings, problems);
        let mut check = draft.argv.clone();
        check.push("--check-config".into());
        draft.check = Some(check.into());
        succession(draft, &words, &settings, problems);
        preloaded(draft, &words, &settings);
    }

    let encrypted = has(&words, &["--certfile", "--keyfile"]) || setting(&settings, "certfile").is_some();
    if draft.sockets.is_some() {
        return held(draft, &words, encrypted, problems);
    }
    let bound = options(&words, "--bind", Some('b')).first().copied();
    let bind = bound.map(str::to_owned).or_else(|| quoted(setting(&settings, "bind")?));
    let bind = bind.or_else(|| draft.variable("PORT").map(|port| format!("127.0.0.1:{port}")));
    let bind = bind.or_else(|| itself.then(|| "127.0.0.1:8000".into()))?;
    let address = if let Some(path) = bind.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        ProbeAddress::Unix(draft.resolve(path))
    } else if bind.starts_with("fd://") {
        return Some(Probe::Notify);
    } else {
        ProbeAddress::Tcp(host_and_port(bind.strip_prefix("tcp://").unwrap_or(&bind), Some(8000))?)
    };
    match address {
        ProbeAddress::Unix(path) if encrypted => Some(Probe::Unix(path)),
        ProbeAddress::Tcp(address) if encrypted => address.parse().ok().map(Probe::Tcp),
        address => Some(any_answer(address)),
    }
}

fn any_answer(address: ProbeAddress) -> Probe {
    Probe::Http(HttpProbe { address, host: "localhost".into(), path: "/".into(), status: (100, 599) })
}

/// With LISTEN_FDS it heeds no `--bind`; told of the same sockets by both, it stumbles.
fn held(draft: &mut Draft<'_>, words: &[String], encrypted: bool, problems: &mut Problems) -> Option<Probe> {
    draft.takes_all = true;
    let sockets = draft.sockets.as_mut()?;
    let bound = options(words, "--bind", Some('b'));
    if bound.iter().any(|address| address.starts_with("fd://")) {
        sockets.told = Told::ByNumber;
        draft.takes_all = false;
    } else if let Some(address) = bound.first() {
        let message = format!("gunicorn listens at its sockets, not at --bind {address}");
        problems.warning(draft.span, message).mark("leave --bind out");
    }
    if encrypted { Some(Probe::Notify) } else { sockets.first_reached().map(any_answer) }
}

/// How its new workers and its new arbiter are known, unless another program stands before it.
fn succession(draft: &mut Draft<'_>, words: &[String], settings: &str, problems: &mut Problems) {
    let program = draft.program();
    if !program.starts_with("gunicorn") && !program.starts_with("python") {
        return;
    }
    draft.renews = Some(RENEWAL);
    let log = option(words, "--error-logfile", None).or(option(words, "--log-file", None)).map(str::to_owned);
    let log = log.or_else(|| quoted(setting(settings, "errorlog")?)).filter(|path| path != "-");
    draft.logs.extend(log.map(|path| draft.resolve(&path)));
    let mut titles = vec!["gunicorn: master [".to_owned()];
    // As long as nobody changes the title, only an arbiter executes gunicorn, with these arguments.
    let is_itself = |word: &String| word.rsplit('/').next().is_some_and(|w| w.starts_with("gunicorn"));
    if let Some(at) = draft.argv.iter().position(is_itself)
        && draft.argv.len() > at + 1
    {
        titles.push(draft.argv[at + 1..].join(" "));
    }
    let written = option(words, "--pid", Some('p')).map(str::to_owned);
    let written = written.or_else(|| quoted(setting(settings, "pidfile")?));
    if let Some(file) = written.as_ref().filter(|_| draft.rolling) {
        let message = format!(
            "gunicorn refuses to start beside the one that it is to replace, because of its pid file {file}"
        );
        problems.warning(draft.span, message).mark("leave it out: minisup needs none");
    }
    let pid_files = written.map(|path| draft.resolve(&path)).into_iter().collect();
    draft.heirs = Some(Heirs { pid_files, titles: titles.into() });
}

/// With --preload only a new process has new code: with held sockets a reload is a replacement then.
fn preloaded(draft: &mut Draft<'_>, words: &[String], settings: &str) {
    if !has(words, &["--preload"]) && setting(settings, "preload_app") != Some("True") {
        return;
    }
    let text = match draft.sockets.is_some() {
        true => {
            draft.cannot_reload = true;
            "a reload is a rolling replacement: with --preload HUP does not read the code again"
        }
        false => "HUP does not read the code again because of --preload: restart it to get new code",
    };
    draft.adjusted.push(text.into());
}

/// gunicorn must have ended before it is killed.
fn graceful(draft: &mut Draft<'_>, words: &[String], settings: &str, problems: &mut Problems) {
    let written = option(words, "--graceful-timeout", None).or(setting(settings, "graceful_timeout"));
    let grace = draft.grace.as_secs();
    match written.map(|text| text.trim().parse::<u64>().ok()) {
        None if (2..31).contains(&grace) => {
            let seconds = (grace - 1).to_string();
            draft.adjusted.push(format!(
                "added --graceful-timeout {seconds}: its own 30 s are longer than the grace period"
            ));
            draft.argv.extend(["--graceful-timeout".to_owned(), seconds]);
        }
        Some(Some(seconds)) if seconds > grace => {
            let message = format!(
                "gunicorn takes up to {seconds}s to end (graceful_timeout), but is killed after {grace}s"
            );
            problems.warning(draft.span, message).mark("give it a longer stop.grace_period");
        }
        _ => {}
    }
}

/// The right side of `name = …` in a Python file, at the beginning of a line.
fn setting<'a>(settings: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let rest = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
        (!rest.starts_with('=')).then(|| rest.split('#').next().unwrap_or("").trim())
    };
    settings.lines().rev().find_map(value)
}

/// The first string in a Python expression, if it is nothing but a string or a list.
fn quoted(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['[', '(']).trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(text[1..].split(quote).next()?.to_owned())
}
