//! What images of databases are used to: a first start with scripts, and words after the image's name.

use super::{Key, free, key};

/// `[scripts]`.
pub const ENTRYPOINT: &[Key] = &[
    key(
        "directory",
        "path",
        r#""/docker-entrypoint.d""#,
        "Where they are; folders in it are looked into, too.",
    ),
    key(
        "order",
        "\"version\", \"glob\"",
        r#""version""#,
        "\"version\": 2-x comes before 10-x, as `sort -V` and nginx's image have it; \"glob\": byte by byte. Neither depends on the locale.",
    ),
    key("run", "\"every-start\", \"never\"", r#""every-start""#, "When they run."),
    free("timeout", "duration", "none", r#""5m""#, "A script that takes longer is stopped and has failed."),
    free("user", "name or number", "as minisup", r#""www-data""#, "Whom they run as."),
    key(
        "requires",
        "list of names",
        "[]",
        "Services that the first script waits for; these, and whom they require, do not wait for scripts.",
    ),
];

/// `scripts` of a service.
pub const SCRIPTS: &[Key] = &[
    free(
        "directory",
        "path",
        "\"/docker-entrypoint-initdb.d\"",
        r#""/srv/first-start""#,
        "Scripts that run once, when the data directory is new.",
    ),
    free(
        "each_start",
        "path",
        "none",
        r#""/docker-entrypoint-start.d""#,
        "Migrations: at each start of the container those that have not run yet, each once.",
    ),
    free(
        "data_directory",
        "path",
        "what the server says",
        r#""/var/lib/mysql""#,
        "Where the server keeps its data.",
    ),
    key(
        "on_partial",
        "\"retry\", \"quarantine\", \"fail\"",
        r#""retry""#,
        "After a first start that was cut short: go on or begin anew, begin anew beside what there is, or stop and explain.",
    ),
    free("timeout", "duration", "none", r#""1h""#, "So long one script may take."),
    free(
        "start_timeout",
        "duration",
        "\"5m\"",
        r#""10m""#,
        "So long the server that scripts run on may take until it answers, and until it has ended.",
    ),
    free("charset", "name", "the client's", r#""utf8mb4""#, "The character set that scripts are written in."),
    key("order", "\"glob\", \"version\"", r#""glob""#, "10-a before 2-a as a shell sorts, or after it."),
];

/// `[command]`.
pub const COMMAND: &[Key] = &[free(
    "service",
    "name",
    "",
    r#""db""#,
    "Words that begin with `-`, or whose first is this service's program, are its arguments instead of those of its `command`. Any other command runs alone, as `minisup exec` does it.",
)];
