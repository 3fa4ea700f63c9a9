//! What images of databases are used to: a first start with scripts, and words after the image's name.

use super::{Key, free, key};

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
