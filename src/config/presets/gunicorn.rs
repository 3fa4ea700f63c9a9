//! gunicorn.
//!
//! READY=1 is sent when the sockets are bound, before there is any worker, hence before
//! the application is imported: so readiness is an HTTP answer, whatever its status, and READY=1 only
//! where nobody can tell without Python where it will answer (and a warning). HUP
//! with code that does not load takes the whole service down: so a check goes before it.
//! Its arbiter launches new workers at HUP, so it has heeded it when there are some. With `--preload` HUP reads
//! the settings again, but not the code. After USR2 a new arbiter stands beside the old one, and is its heir:
//! known by its command line, which setproctitle changes to `gunicorn: master [`.
//! After TERM it waits 30 s for its workers, longer than Docker waits: so it is told less.

use super::python::{Said, said, setting};
use super::{SHELLS, file_name, has, is_script, not_itself, option, options, own_file};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::config::probe::host_and_port;
use crate::core::plan::{Heirs, HttpProbe, Probe, ProbeAddress, Statuses, Told};
use std::path::PathBuf;
use std::time::Duration;

/// So long new workers may take, besides loading the code.
const RENEWAL: Duration = Duration::from_secs(5);

/// Programs that launch what follows them, as it stands there.
const LAUNCHERS: [&str; 25] = [
    "chamber",
    "conda",
    "coverage",
    "ddtrace-run",
    "doppler",
    "dotenv",
    "dumb-init",
    "env",
    "exec",
    "gosu",
    "hatch",
    "ionice",
    "newrelic-admin",
    "nice",
    "opentelemetry-instrument",
    "pdm",
    "pipenv",
    "poetry",
    "rye",
    "setpriv",
    "stdbuf",
    "su-exec",
    "tini",
    "uv",
    "uvx",
];

/// What these say before it: `poetry run`, `newrelic-admin run-program`.
const SUBCOMMANDS: [&str; 3] = ["exec", "run", "run-program"];

/// Finds where it will answer, and makes the check for a reload.
pub fn adjust(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.argv.is_empty() {
        return None;
    }
    let place = place(&draft.argv);
    if place.is_none() {
        not_itself(draft, "gunicorn", problems);
    }
    let own = &draft.argv[place.unwrap_or(0)..];
    let mut words = vec![String::new()];
    words.extend(draft.variable("GUNICORN_CMD_ARGS").and_then(shlex::split).unwrap_or_default());
    // The command's addresses stand in the place of the variable's.
    let bound =
        [own, &words[..]].into_iter().find_map(|words| options(words, "--bind", Some('b')).first().copied());
    let bound = bound.map(str::to_owned);
    words.extend(own.iter().skip(1).cloned());
    let settings = Settings::read(draft, &words);

    if has(&words, &["--daemon", "-D"]) || setting(&settings.text, "daemon") == Some("True") {
        let message = "gunicorn puts itself in the background and seems to have ended";
        problems.warning(draft.span, message).mark("leave --daemon out");
    }
    if let Some(at) = place {
        graceful(draft, &words, &settings.text, problems);
        let mut check = draft.argv.clone();
        check.push("--check-config".into());
        draft.check = Some(check.into());
        succession(draft, at, &words, &settings, problems);
        preloaded(draft, &words, &settings.text);
    }

    let encrypted =
        has(&words, &["--certfile", "--keyfile"]) || said(&settings.text, "certfile") != Said::Nothing;
    if draft.sockets.is_some() {
        return held(draft, &words, encrypted, problems);
    }
    place?;
    let address = match bound.map_or_else(|| settings.said("bind"), Said::Text) {
        Said::Text(bind) if bind.starts_with("fd://") => return Some(Probe::Notify),
        // In its file it may be several, with commas between them.
        Said::Text(bind) => address(bind.split(',').next().unwrap_or(""), &settings),
        Said::Nothing => {
            let port = draft.variable("PORT").unwrap_or("8000");
            address(&format!("127.0.0.1:{port}"), &settings)
        }
        Said::Unread => None,
    };
    Some(match address {
        // Its master listens when it says READY=1: less than an answer, but never wrong.
        None => {
            draft.unread = Some("gunicorn's `bind`");
            Probe::Notify
        }
        Some(ProbeAddress::Unix(path)) if encrypted => Probe::Unix(path),
        Some(ProbeAddress::Tcp(address)) if encrypted => Probe::Tcp(address.parse().ok()?),
        Some(address) => any_answer(address),
    })
}

/// Where gunicorn's own word stands: first, or behind an interpreter and what launches the words behind it.
/// A script may do with its words what it likes, but for an entrypoint, whose first one is gunicorn; a shell's `-c` has
/// them in one word.
fn place(argv: &[String]) -> Option<usize> {
    let mut in_python = false;
    for (at, word) in argv.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| argv[before].as_str());
        let name = file_name(word);
        let is_module = before == "-m" && name.starts_with("gunicorn.app.");
        if before != "-c" && (is_server(name) || is_module) {
            return Some(at);
        }
        let is_python = name.starts_with("python") || name.starts_with("pypy");
        let is_value = match in_python {
            true => matches!(before, "-W" | "-X"),
            false => {
                let is_script = SHELLS.contains(&name) || is_script(name);
                before.starts_with('-') && before != "--" && !is_script
                    || matches!(file_name(before), "gosu" | "su-exec")
            }
        };
        // `docker-entrypoint.sh gunicorn …`: it launches its words, as entrypoints do.
        let is_entrypoint =
            at == 0 && is_script(name) && argv.get(1).is_some_and(|next| is_server(file_name(next)));
        let is_known = LAUNCHERS.contains(&name) || is_entrypoint || is_python && !name.ends_with(".py");
        let passes = at > 0 && (word.starts_with('-') || is_value || SUBCOMMANDS.contains(&name))
            || at > 0 && !in_python && word.contains('=')
            || is_known;
        if !passes {
            return None;
        }
        in_python |= is_python;
    }
    None
}

/// `gunicorn`, `gunicorn3`, `gunicorn-3.11`; but not `gunicorn.conf.py`.
fn is_server(name: &str) -> bool {
    let version = name.strip_prefix("gunicorn");
    version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.')))
}

/// Its own file. It is looked for where gunicorn is launched; what is named in it, and on the command line, is
/// below the folder that it goes to.
struct Settings {
    text: String,
    /// There is one, but only Python finds or reads it.
    hidden: bool,
    /// Where it goes to; `None` if only Python could tell.
    folder: Option<PathBuf>,
}

impl Settings {
    fn read(draft: &Draft<'_>, words: &[String]) -> Settings {
        let named = option(words, "--config", Some('c'));
        let file = named.unwrap_or("gunicorn.conf.py");
        let text = match file.starts_with("python:") {
            true => None,
            false => own_file(&draft.resolve(file.strip_prefix("file:").unwrap_or(file))),
        };
        let hidden = named.is_some() && text.is_none();
        let mut settings = Settings { text: text.unwrap_or_default(), hidden, folder: None };
        settings.folder = match (option(words, "--chdir", None), settings.said("chdir")) {
            (Some(folder), _) => Some(draft.resolve(folder)),
            (None, Said::Text(folder)) => Some(draft.resolve(&folder)),
            (None, Said::Nothing) => Some(draft.resolve("")),
            (None, Said::Unread) => None,
        };
        settings
    }

    fn said(&self, name: &str) -> Said {
        if self.hidden { Said::Unread } else { said(&self.text, name) }
    }

    /// A path as gunicorn sees it.
    fn resolve(&self, path: &str) -> Option<PathBuf> {
        if path.starts_with('/') { Some(path.into()) } else { Some(self.folder.as_ref()?.join(path)) }
    }
}

/// Where it will answer; `None` if that cannot be told.
fn address(bind: &str, settings: &Settings) -> Option<ProbeAddress> {
    match bind.strip_prefix("unix:") {
        Some(path) => settings.resolve(path.strip_prefix("//").unwrap_or(path)).map(ProbeAddress::Unix),
        None => {
            let bind = bind.trim().strip_prefix("tcp://").unwrap_or(bind.trim());
            host_and_port(bind, Some(8000)).map(ProbeAddress::Tcp)
        }
    }
}

fn any_answer(address: ProbeAddress) -> Probe {
    Probe::Http(HttpProbe {
        address,
        host: "localhost".into(),
        path: "/".into(),
        status: Statuses::range(100, 599),
    })
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
fn succession(
    draft: &mut Draft<'_>,
    at: usize,
    words: &[String],
    settings: &Settings,
    problems: &mut Problems,
) {
    let program = draft.program();
    if !program.starts_with("gunicorn") && !program.starts_with("python") {
        return;
    }
    draft.renews = Some(RENEWAL);
    let log = option(words, "--error-logfile", None).or(option(words, "--log-file", None)).map(str::to_owned);
    let log = log.or_else(|| settings.said("errorlog").text()).filter(|path| path != "-");
    draft.logs.extend(log.and_then(|path| settings.resolve(&path)));
    let mut titles = vec!["gunicorn: master [".to_owned()];
    // As long as nobody changes the title, only an arbiter executes gunicorn, with these arguments.
    if draft.argv.len() > at + 1 {
        titles.push(draft.argv[at + 1..].join(" "));
    }
    let written = option(words, "--pid", Some('p')).map(str::to_owned);
    let written = written.or_else(|| settings.said("pidfile").text());
    if let Some(file) = written.as_ref().filter(|_| draft.rolling) {
        let message = format!(
            "gunicorn refuses to start beside the one that it is to replace, because of its pid file {file}"
        );
        problems.warning(draft.span, message).mark("leave it out: minisup needs none");
    }
    let pid_files = written.and_then(|path| settings.resolve(&path)).into_iter().collect();
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
