//! What is known of servers, so that nobody has to know it twice.
//!
//! A preset has two halves. Its keys are TOML, a layer below the service's own table and
//! above `[defaults]`, so that each of them can be overridden. Its `adjust` looks at the
//! command as it is written and adds what is missing (`daemon off;`), finds out where the
//! server will answer, and says what will not work.

use super::diagnostics::Problems;
use super::file::Table;
use super::launch::Draft;
use super::reading;
use super::view::View;
use crate::core::plan::{Probe, Ready};

mod databases;
mod gunicorn;
mod nginx;
mod nginx_conf;
mod order;
mod python;
mod uwsgi;
mod why;

pub use order::put_apps_first;
pub use why::why;

/// A server that is known.
#[derive(Debug)]
pub struct Preset {
    /// What stands behind `preset =`.
    pub name: &'static str,
    /// Its keys, as TOML.
    pub keys: &'static str,
    /// What its program may be called; the first one is usual.
    pub programs: &'static [&'static str],
    /// Whom it runs as if it would be root and nobody says otherwise: a server that keeps the data
    /// of others.
    pub account: Option<&'static str>,
    /// Arguments with which it says something and ends, besides `--help` and `--version`.
    pub says: &'static [&'static str],
    /// Completes the command; gives the probe that tells readiness unless the user named one.
    pub adjust: fn(&mut Draft<'_>, &mut Problems) -> Option<Probe>,
}

/// All of them.
pub const ALL: [Preset; 8] = [
    Preset {
        name: "nginx",
        keys: include_str!("nginx.toml"),
        programs: &["nginx", "nginx-debug"],
        account: None,
        says: &["-?", "-h", "-v", "-V", "-t", "-T"],
        adjust: nginx::adjust,
    },
    Preset {
        name: "uwsgi",
        keys: include_str!("uwsgi.toml"),
        programs: &["uwsgi", "uwsgi-core"],
        account: None,
        says: &["-h"],
        adjust: uwsgi::adjust,
    },
    Preset {
        name: "gunicorn",
        keys: include_str!("gunicorn.toml"),
        programs: &["gunicorn", "gunicorn3"],
        account: None,
        says: &["-h", "-v", "--check-config", "--print-config"],
        adjust: gunicorn::adjust,
    },
    Preset {
        name: "mariadb",
        keys: include_str!("mariadb.toml"),
        programs: &["mariadbd", "mysqld"],
        account: Some("mysql"),
        says: &["-?", "-V", "--print-defaults"],
        adjust: databases::mariadb,
    },
    Preset {
        name: "mysql",
        keys: include_str!("mysql.toml"),
        programs: &["mysqld"],
        account: Some("mysql"),
        says: &["-?", "-V", "--print-defaults"],
        adjust: databases::mysql,
    },
    Preset {
        name: "postgres",
        keys: include_str!("postgres.toml"),
        programs: &["postgres"],
        account: Some("postgres"),
        says: &["-?", "-V", "--describe-config"],
        adjust: databases::postgres,
    },
    Preset {
        name: "mongodb",
        keys: include_str!("mongodb.toml"),
        programs: &["mongod"],
        account: Some("mongodb"),
        says: &["-h"],
        adjust: databases::mongodb,
    },
    Preset {
        name: "redis",
        keys: include_str!("redis.toml"),
        programs: &["redis-server"],
        account: None,
        says: &["-h", "-v"],
        adjust: databases::redis,
    },
];

/// The preset that a service asks for.
pub fn of(service: &View<'_>, problems: &mut Problems) -> Option<&'static Preset> {
    let choices: Vec<(&str, &'static Preset)> = ALL.iter().map(|preset| (preset.name, preset)).collect();
    service.get("preset")?.choice(&choices, problems)
}

/// A preset as layers of a service.
pub struct Layers {
    /// Its keys.
    pub keys: Table,
    /// Only `user`; `None` if there is nobody to become, or it cannot be done.
    pub account: Option<Table>,
}

impl Layers {
    /// The layer with `user`, for a service that nobody gives another and that is the server
    /// itself: a script around it may have something to do as root, and a server that is told
    /// `--user` becomes that by itself.
    pub fn account(
        &self,
        preset: &Preset,
        service: &View<'_>,
        arguments: Option<&[String]>,
    ) -> Option<&Table> {
        let account = self.account.as_ref()?;
        let is_given = ["user", "group", "groups"].iter().any(|key| service.get(key).is_some());
        let words = service.get("command").map(|command| command.words_as_written());
        let mut words =
            words.unwrap_or_else(|| preset.programs[..1].iter().map(|word| word.to_string()).collect());
        words.extend(arguments.unwrap_or_default().iter().cloned());
        let tells = words.iter().any(|word| word == "--user" || word.starts_with("--user="));
        (!is_given && preset.is_program(words.first()?) && !tells).then_some(account)
    }
}

impl Preset {
    /// Whether this is its server, wherever it lies.
    pub fn is_program(&self, word: &str) -> bool {
        self.programs.contains(&file_name(word))
    }
}

/// What a preset could not read is said, unless somebody else says when the service is ready.
pub fn say_unread(draft: &Draft<'_>, ready: Option<&Ready>, service: &View<'_>, problems: &mut Problems) {
    let is_guess = ready.is_some_and(|ready| ready.probe == Probe::Notify)
        && service.inside("ready", "ready.").get("notify").is_none();
    if let Some(what) = draft.unread.filter(|_| is_guess) {
        let message = format!("where it answers is not known, since {what} cannot be read here");
        problems
            .warning(draft.span, message)
            .mark("give `ready`; without it only its READY=1 counts (gunicorn has that from 20.0 on)");
    }
}

/// Whoever gets a command in one word.
const SHELLS: [&str; 7] = ["ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"];

/// Nothing is known of a command that is not the server itself, but that a shell which stays before it gets its signals.
fn not_itself(draft: &mut Draft<'_>, server: &str, problems: &mut Problems) {
    draft.adjusted.push(format!("the command is not {server} itself: nothing was added"));
    if let [shell, option, script, ..] = &draft.argv[..]
        && SHELLS.contains(&file_name(shell))
        && option.starts_with('-')
        && option.ends_with('c')
        && script.contains(server)
        && !script.contains("exec ")
    {
        let message = format!("signals reach the shell, not {server}: HUP ends it instead of a reload");
        problems
            .warning(draft.span, message)
            .mark(format!("leave the shell out, or say `exec {server} …` in it"));
    }
}

/// Whether a program is called like a script: `uwsgi-start.sh` takes what it likes.
fn is_script(name: &str) -> bool {
    name.ends_with(".sh") || name.ends_with(".py")
}

/// A word without the folder before it.
fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The value of a long or short option: `--bind X`, `--bind=X`, `-b X`, `-bX`. The last
/// one wins, as it does for the servers.
fn option<'a>(argv: &'a [String], long: &str, short: Option<char>) -> Option<&'a str> {
    options(argv, long, short).pop()
}

/// All values of an option.
fn options<'a>(argv: &'a [String], long: &str, short: Option<char>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, word) in argv.iter().enumerate().skip(1) {
        let next = || argv.get(at + 1).map(String::as_str);
        if let Some(rest) = word.strip_prefix(long) {
            match rest.strip_prefix('=') {
                Some(value) => found.push(value),
                None if rest.is_empty() => found.extend(next()),
                None => {}
            }
        } else if let Some(short) = short
            && !word.starts_with("--")
            && let Some(rest) = word.strip_prefix('-').and_then(|word| word.strip_prefix(short))
        {
            match rest {
                "" => found.extend(next()),
                value => found.push(value),
            }
        }
    }
    found
}

/// Whether one of these words is among the arguments, alone or with `=`.
fn has(argv: &[String], words: &[&str]) -> bool {
    let is = |argument: &String| {
        let name = argument.split('=').next().unwrap_or("");
        words.contains(&name)
    };
    argv.iter().skip(1).any(is)
}

/// A file that belongs to a server's own configuration; `None` if it cannot be read.
fn own_file(path: &std::path::Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = reading::open(path, true).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(1 << 20).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
