//! The tables that stand inside a service: its probes, its stop, its logs, and so on.

use super::{Key, free, key};

/// Kinds of probes, in `ready` and `health`: exactly one of them.
pub const PROBES: &[Key] = &[
    free(
        "notify",
        "true",
        "",
        "true",
        "The service says READY=1 itself (sd_notify). As `health`: the watchdog, WATCHDOG=1 once an interval.",
    ),
    free(
        "fd",
        "number",
        "",
        "3",
        "The service writes a newline to this descriptor (s6's protocol). Not for `health`.",
    ),
    free("tcp", "address", "", r#""127.0.0.1:8000""#, "A connection is accepted."),
    free(
        "unix",
        "path",
        "",
        r#""/run/app.sock""#,
        "A connection is accepted; with `http` or `uwsgi`: where to ask.",
    ),
    free(
        "http",
        "URL",
        "",
        r#""http://127.0.0.1:8000/healthz""#,
        "A GET is answered with a good status; over a unix socket: \"http+unix:///run/app.sock:/healthz\".",
    ),
    free(
        "uwsgi",
        "address or path",
        "",
        r#""127.0.0.1:3031""#,
        "A request in the uwsgi protocol is answered; for a path: \"127.0.0.1:3031/healthz\", \"/run/app.sock:/healthz\".",
    ),
    free(
        "exec",
        "command",
        "",
        r#"["pg_isready", "-q"]"#,
        "A command exits with 0; it runs as the service does.",
    ),
    free(
        "log",
        "regular expression",
        "",
        r#""ready for connections""#,
        "A line of its output matches. Not for `health`.",
    ),
    free("file", "path", "", r#""/run/app.pid""#, "The file exists."),
];

/// The rest of `ready`.
pub const READY: &[Key] = &[
    free(
        "status",
        "number, range or list",
        "\"200-399\"",
        r#""200-299""#,
        "With `http`: which answers count.",
    ),
    key("interval", "duration", r#""250ms""#, "From one question to the next."),
    key("timeout", "duration", r#""60s""#, "Not ready after it is a failure."),
];

/// The rest of `health`.
pub const HEALTH: &[Key] = &[
    free(
        "status",
        "number, range or list",
        "\"200-399\"",
        r#""200-299""#,
        "With `http`: which answers count.",
    ),
    key("interval", "duration", r#""10s""#, "From one question to the next."),
    key("timeout", "duration", r#""3s""#, "An answer later than this counts as none."),
    key("failures", "number", "3", "So many in a row make it unhealthy."),
    key("action", "\"restart\", \"none\"", r#""restart""#, "What is done then."),
];

/// `backoff`.
pub const BACKOFF: &[Key] = &[
    key(
        "initial",
        "duration",
        r#""100ms""#,
        "Before the second try; the first one after a long life is immediate.",
    ),
    key("max", "duration", r#""30s""#, "It never gets longer than this."),
    key("factor", "number", "2", "From one wait to the next."),
    key("jitter", "number", "0.1", "So much is added or taken away by chance, as a part of the wait."),
];

/// `stop`.
pub const STOP: &[Key] = &[
    key(
        "signal",
        "name or list",
        r#""TERM""#,
        "What asks it to end. A list goes on if it does not: [\"QUIT\", \"5s\", \"TERM\", \"2s\"]. One signal may stand without a time: it gets what the grace period leaves.",
    ),
    key("grace_period", "duration", r#""8s""#, "From the first signal to KILL."),
    key("delay", "duration", r#""0s""#, "Before the first signal, for load balancers to notice."),
    key("tree", "switch", "true", "Whether it has stopped only when every process it started has."),
    key(
        "to",
        "\"main\", \"tree\"",
        r#""main""#,
        "Whom the signals ask: the main process, or at once every process it started, as for a shell that waits for its child.",
    ),
];

/// `reload`.
pub const RELOAD: &[Key] = &[
    free("signal", "name", "", r#""HUP""#, "This signal makes it read its configuration again; or `exec`."),
    free("exec", "command", "", r#"["nginx", "-s", "reload"]"#, "This command does."),
    free("check", "command", "none", r#"["nginx", "-t"]"#, "Runs first; if it fails, nothing is touched."),
    key("timeout", "duration", r#""30s""#, "The check, and the command, get KILL after it."),
];

/// `hooks`.
pub const HOOKS: &[Key] = &[
    free(
        "before_start",
        "command",
        "none",
        r#"["./migrate"]"#,
        "Must succeed before each launch; if it fails, so has the start.",
    ),
    free("after_ready", "command", "none", r#"["./announce"]"#, "When others may depend on it."),
    free(
        "before_stop",
        "command",
        "none",
        r#"["./leave-the-pool"]"#,
        "Before the first stop signal, which waits for it, but not longer than the grace period.",
    ),
    free("after_exit", "command", "none", r#"["./clean-up"]"#, "When its main process has ended."),
    key("timeout", "duration", r#""60s""#, "A hook that takes longer gets KILL and has failed."),
];

/// `reopen`.
pub const REOPEN: &[Key] =
    &[free("signal", "name", "", r#""USR1""#, "This signal makes it open its log files again.")];

/// `log`.
pub const LOG: &[Key] = &[
    key("prefix", "switch", "false", "Whether its name stands before each line."),
    key("timestamps", "switch", "false", "Whether each line is stamped with the time."),
    key("max_line", "size", r#""64KiB""#, "A longer line is cut."),
    key(
        "when_full",
        "\"block\", \"drop\"",
        r#""block""#,
        "When nobody takes its output: it waits, or lines are dropped and counted.",
    ),
];

/// `stdout` and `stderr`, where they are tables: exactly one of `file` and `ring`.
pub const SINK: &[Key] = &[
    free(
        "file",
        "path",
        "",
        r#""/var/log/x.log""#,
        "Lines are appended to this file; `${instance}` may stand in it.",
    ),
    key("max_size", "size", r#""50MB""#, "It is rotated before it gets larger; 0: never."),
    key("keep", "number", "10", "So many old ones stay: x.log.1 is the youngest."),
    key("compress", "switch", "false", "Whether old ones are compressed: x.log.1.gz."),
    key("format", "\"raw\", \"prefix\", \"json\"", r#""raw""#, "How lines look in the file."),
    key("timestamps", "switch", "false", "Whether each line in the file is stamped with the time."),
    free(
        "ring",
        "size",
        "",
        r#""16KiB""#,
        "Only kept in memory, up to this size, for `minisup logs`; 0: not even that.",
    ),
];

/// `limits`: names of getrlimit(2).
pub const LIMITS: &[Key] = &[
    free("as", "size", "", "\"2GiB\"", "Address space."),
    free("core", "size", "", "0", "Core files."),
    free("cpu", "duration, or seconds", "", "\"1h\"", "Processor time."),
    free("data", "size", "", "\"1GiB\"", "Data segment."),
    free("fsize", "size", "", "\"unlimited\"", "The largest file it may write."),
    free("memlock", "size", "", "\"64MiB\"", "Locked memory."),
    free("msgqueue", "size", "", "\"800KiB\"", "POSIX message queues."),
    free("nice", "number", "", "20", "How far nice may be lowered (20 minus the value)."),
    free("nofile", "number", "", "65536", "Open files."),
    free("nproc", "number", "", "4096", "Processes of this user."),
    free("rtprio", "number", "", "0", "Real-time priority."),
    free("sigpending", "number", "", "4096", "Queued signals."),
    free("stack", "size", "", "\"8MiB\"", "Stack of the main thread."),
];

/// A limit with two values.
pub const LIMIT: &[Key] = &[
    free("soft", "number", "", "1024", "What holds; the service may raise it up to the hard limit."),
    free("hard", "number", "", "4096", "The ceiling."),
];

/// What a value of `environment` may be besides a string.
pub const FILE_VALUE: &[Key] = &[free(
    "file",
    "path",
    "",
    r#""/run/secrets/x""#,
    "The value is the content of this file, without newlines at its end.",
)];
