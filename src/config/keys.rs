//! The one table of all keys: name, type, default, meaning.
//!
//! Everything that speaks of keys rests on it: which keys are known, what "did you mean"
//! offers, the lowest layer of every service (the defaults are read from here and from
//! nowhere else), conf/reference.toml and the tables of docs/configuration.md.

mod containers;
mod inside;
pub use containers::{COMMAND, ENTRYPOINT, SCRIPTS};
pub use inside::{
    BACKOFF, FILE_VALUE, HEALTH, HOOKS, LIMIT, LIMITS, LOG, PROBES, READY, RELOAD, REOPEN, SINK, STOP,
};

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written before the `=`.
    pub name: &'static str,
    /// What may stand behind it, in words.
    pub kind: &'static str,
    /// What holds without it.
    pub default: Default,
    /// A value for it in TOML, for the reference, if the default cannot be written.
    pub example: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

/// What holds without a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Default {
    /// This TOML value.
    Value(&'static str),
    /// Something that is no value, in words.
    Words(&'static str),
    /// The key is known, but this version cannot do it yet; what to say of it.
    Later(&'static str),
}

const fn key(name: &'static str, kind: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, default: Default::Value(default), example: "", meaning }
}

const fn free(
    name: &'static str,
    kind: &'static str,
    words: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, kind, default: Default::Words(words), example, meaning }
}

const fn later(name: &'static str, meaning: &'static str) -> Key {
    Key { name, kind: "", default: Default::Later("this version of minisup"), example: "", meaning }
}

/// The top level of a file.
pub const TOP: &[Key] = &[
    free(
        "include",
        "list of paths",
        "none",
        r#"["conf.d/*.toml"]"#,
        "More files to read, as patterns relative to this file. What two files of one configuration both say is an error.",
    ),
    free("supervisor", "table", "", "", "Settings of minisup itself."),
    free("environment", "table", "", "", "Variables for every service."),
    free(
        "defaults",
        "table",
        "",
        "",
        "Any key of a service: holds for every service that does not say otherwise.",
    ),
    free("signals", "table", "", "", "What PID 1 passes on."),
    free("service", "table", "", "", "The services, each a table of its own."),
    free("scripts", "table", "", "", "A folder of scripts that run before all services."),
    free("command", "table", "", "", "What the words after the image's name mean."),
    later("gateway", "The dashboard, the JSON API and the metrics."),
];

/// `[supervisor]`.
pub const SUPERVISOR: &[Key] = &[
    key(
        "control_socket",
        "path",
        r#""${MINISUP_SOCKET:-/run/minisup.sock}""#,
        "Where `minisup status` and the other commands find the supervisor.",
    ),
    free(
        "control_group",
        "name or number",
        "none",
        r#""adm""#,
        "Members of this group may command the supervisor, too; otherwise only its own user and root.",
    ),
    key(
        "shutdown_timeout",
        "duration",
        r#""9s""#,
        "The whole shutdown ends within it: Docker kills after 10 seconds.",
    ),
    key(
        "log_level",
        "\"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        r#""info""#,
        "How much minisup says about itself.",
    ),
    key(
        "log_format",
        "\"raw\", \"prefix\", \"json\"",
        r#""raw""#,
        "How the services' lines look: as they are, with the service's name before them, or as one JSON object each.",
    ),
    key("timestamps", "switch", "false", "Whether each line is stamped with the time."),
    free(
        "user",
        "name or number",
        "none",
        r#""www-data""#,
        "Minisup itself becomes this user before it launches anything, and so does every service. Its HOME, USER and LOGNAME are what services inherit.",
    ),
];

/// `[service.NAME]` and `[defaults]`.
pub const SERVICE: &[Key] = &[
    free(
        "preset",
        "name",
        "none",
        r#""gunicorn""#,
        "Fills in what is known of a server: nginx, uwsgi, gunicorn, mariadb, mysql, postgres, mongodb, redis.",
    ),
    free(
        "command",
        "string or list",
        "from the preset",
        r#"["gunicorn", "app:app"]"#,
        "What is launched. A string is split as a shell splits words, but no shell is started.",
    ),
    key("type", "\"longrun\", \"oneshot\"", r#""longrun""#, "Runs for ever, or runs to completion."),
    key(
        "enabled",
        "switch",
        "true",
        "Whether it is launched at all; also \"true\", \"false\", \"1\", \"0\" … from a variable.",
    ),
    key("instances", "number", "1", "How many processes of it run; `${instance}` counts them from 0."),
    key(
        "requires",
        "list of names",
        "[]",
        "Services that must be ready before it is launched, and that stop after it: \"name\", \"name:started\", \"name:ready\", \"name:healthy\" or \"name:done\".",
    ),
    key("after", "list of names", "[]", "The same order, but only if the other service runs at all."),
    free(
        "user",
        "name or number",
        "as minisup",
        r#""www-data""#,
        "Whom it runs as; sets HOME, USER, LOGNAME and the supplementary groups.",
    ),
    free("group", "name or number", "the user's", r#""www-data""#, "Its group."),
    free("groups", "list of names or numbers", "the user's", r#"["adm"]"#, "Its supplementary groups."),
    free("directory", "path", "as minisup", r#""/srv/app""#, "Its working directory."),
    free(
        "umask",
        "octal string",
        "as minisup",
        r#""022""#,
        "Which permissions new files do not get; \"022\" or 0o022.",
    ),
    free("nice", "number", "as minisup", "5", "From -20 (first) to 19 (last)."),
    free(
        "oom_score_adj",
        "number",
        "as minisup",
        "500",
        "From -1000 (never) to 1000 (first) when the kernel runs out of memory.",
    ),
    free(
        "limits",
        "table",
        "as minisup",
        "{ nofile = 65536 }",
        "Resource limits: a number, \"unlimited\", or `{ soft = 1024, hard = 4096 }`.",
    ),
    key("no_new_privileges", "switch", "false", "Whether setuid programs give it nothing."),
    free(
        "capabilities",
        "list of names",
        "as minisup",
        r#"["net_bind_service"]"#,
        "It keeps only these, also as an ordinary user.",
    ),
    free(
        "environment",
        "table",
        "none",
        r#"{ WORKERS = "2" }"#,
        "Its variables. A value is a string, a number, a switch, or `{ file = \"…\" }` whose content is taken.",
    ),
    key(
        "environment_files",
        "list of paths",
        "[]",
        "Files of lines `NAME=value`; a path that begins with `-` may be missing.",
    ),
    key(
        "clear_environment",
        "switch",
        "false",
        "Whether it starts without the variables that minisup itself was given.",
    ),
    key(
        "secrets",
        "list of names",
        "[]",
        "Variables that are taken from NAME, or from the file that NAME_FILE names; their values are shown nowhere.",
    ),
    free(
        "ready",
        "table",
        "\"started\"",
        r#"{ tcp = "127.0.0.1:8000" }"#,
        "How it is known that others may depend on it.",
    ),
    free(
        "health",
        "table",
        "\"none\"",
        r#"{ http = "http://127.0.0.1:8000/healthz" }"#,
        "The same question, asked for ever.",
    ),
    key(
        "restart",
        "\"always\", \"on-failure\", \"never\"",
        r#""always""#,
        "Whether it is launched again when it ended. A oneshot: \"never\", unless it says otherwise itself.",
    ),
    key("success_codes", "list of numbers", "[0]", "Exit codes that are no failure."),
    key(
        "min_uptime",
        "duration",
        r#""1s""#,
        "A run that ends before it, or before it was ready, is a failure in a row.",
    ),
    free("backoff", "table", "", "", "How long to wait before the next try."),
    key("max_failures", "number", "5", "So many failures in a row are fatal; 0: never."),
    key("essential", "switch", "true", "Whether its failure stops everything and ends the container."),
    free("stop", "table", "", "", "How it is stopped."),
    free(
        "reload",
        "table",
        "none",
        r#"{ signal = "HUP", check = ["nginx", "-t"] }"#,
        "How it reads its configuration again.",
    ),
    free("reopen", "table", "none", r#"{ signal = "USR1" }"#, "How it opens its own log files again."),
    key(
        "stdout",
        "\"inherit\", \"forward\", \"null\", table or list",
        r#""forward""#,
        "Where its output goes: the container's own descriptor, the same through minisup line by line, nowhere, `{ file = \"/var/log/x.log\", max_size = \"50MB\", keep = 10, compress = false, format = \"raw\", timestamps = false }`, only what `minisup logs` shows: `{ ring = \"16KiB\" }`; a list means several.",
    ),
    key("stderr", "as `stdout`", r#""forward""#, "Where its errors go."),
    free("log", "table", "", "", "How its lines are handled."),
    key(
        "restart_mode",
        "\"stop-start\", \"rolling\"",
        r#""stop-start""#,
        "How an asked restart or an update replaces it. Rolling: the new process must be ready before the old one is asked to stop; if it does not get ready the old one stays, and the command fails. What both listen at belongs into `sockets`.",
    ),
    free(
        "sockets",
        "table",
        "none",
        r#"{ http = "tcp://0.0.0.0:80", app = "unix:///run/app.sock?mode=0660&user=www-data" }"#,
        "Sockets that minisup opens before anything starts, holds over restarts and updates, and passes on from descriptor 3 (LISTEN_FDS; nginx: NGINX): tcp, tcp6, unix. `${socket.http}` in the command is its descriptor. Options: mode, user, group, backlog, reuseaddr, reuseport, v6only.",
    ),
    free("hooks", "table", "", "", "Commands around its life."),
    free(
        "timeout",
        "duration",
        "none",
        r#""5m""#,
        "A oneshot that has not ended after it is stopped and has failed.",
    ),
    free(
        "schedule",
        "line of crontab",
        "once, at boot",
        r#""30 3 * * *""#,
        "When a oneshot runs: minute, hour, day, month, weekday; or @hourly, @daily, @weekly, @monthly, @yearly; or @reboot: at boot, but nobody waits for it. It is not essential unless it says so itself.",
    ),
    free(
        "watch",
        "list of paths",
        "none",
        r#"["/etc/app/*.conf"]"#,
        "Files, folders and patterns: when one changes, the service reloads, or restarts if it has no `reload`.",
    ),
    free(
        "memory_limit",
        "size",
        "none",
        r#""512MiB""#,
        "When it and its descendants hold more memory than this for some seconds, it is restarted.",
    ),
    free(
        "scripts",
        "table",
        "none",
        "",
        "A database's first start: makes the oneshot `NAME-init` (`minisup init`) that the service requires. For the presets mariadb, mysql, postgres and mongodb.",
    ),
];

/// The tables that stand inside a service, with their keys.
pub const INSIDE: &[(&str, &[&[Key]])] = &[
    ("ready", &[PROBES, READY]),
    ("health", &[PROBES, HEALTH]),
    ("backoff", &[BACKOFF]),
    ("stop", &[STOP]),
    ("reload", &[RELOAD]),
    ("hooks", &[HOOKS]),
    ("reopen", &[REOPEN]),
    ("log", &[LOG]),
    ("limits", &[LIMITS]),
    ("scripts", &[SCRIPTS]),
];

/// The defaults as TOML: the lowest layer of every service, and of `[supervisor]`.
pub fn defaults() -> String {
    let mut text = String::new();
    let mut table = |header: &str, keys: &[&[Key]]| {
        if keys.iter().copied().flatten().any(|key| matches!(key.default, Default::Value(_))) {
            text += &format!("[{header}]\n");
        }
        for key in keys.iter().copied().flatten() {
            if let Default::Value(value) = key.default {
                text += &format!("{} = {value}\n", key.name);
            }
        }
    };
    table("supervisor", &[SUPERVISOR]);
    table("scripts", &[ENTRYPOINT]);
    table("service", &[SERVICE]);
    for (name, keys) in INSIDE {
        table(&format!("service.{name}"), keys);
    }
    text
}
