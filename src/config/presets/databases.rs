//! MariaDB, MySQL, PostgreSQL, MongoDB, Redis: what is simply known. Their first start is
//! the work of `minisup init`.

use super::{has, option};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::core::plan::Probe;
use std::path::PathBuf;

/// mariadbd(8) tells systemd when it is ready; mariadbd-safe hides signals from it.
pub fn mariadb(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    not_safe(draft, "mariadbd", problems);
    Some(Probe::Notify)
}

/// mysqld(8): sd_notify since 5.7.
pub fn mysql(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    not_safe(draft, "mysqld", problems);
    if has(&draft.argv, &["--daemonize", "-D"]) {
        background(draft, "--daemonize", problems);
    }
    Some(Probe::Notify)
}

fn not_safe(draft: &Draft<'_>, server: &str, problems: &mut Problems) {
    if matches!(draft.program(), "mysqld_safe" | "mariadbd-safe") {
        let message = format!("{} is itself a supervisor, and does not pass signals on", draft.program());
        problems.warning(draft.span, message).mark(format!("launch {server}"));
    }
}

fn background(draft: &Draft<'_>, option: &str, problems: &mut Problems) {
    let message = format!("{} puts itself in the background", draft.program());
    problems.warning(draft.span, message).mark(format!("leave {option} out"));
}

/// postgres(1) makes its socket only when it can be asked; `pg_isready` is not in every
/// image, and a connection is accepted before recovery has ended, but then answered with
/// "the database system is starting up", which clients know.
pub fn postgres(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.program() == "pg_ctl" {
        let message = "pg_ctl puts the server in the background";
        problems.warning(draft.span, message).mark("launch postgres");
    }
    let port = option(&draft.argv, "--port", Some('p')).unwrap_or("5432");
    let directory = option(&draft.argv, "--unix_socket_directories", Some('k'));
    let directory = directory.unwrap_or("/var/run/postgresql");
    Some(Probe::Unix(PathBuf::from(format!("{directory}/.s.PGSQL.{port}"))))
}

/// mongod(1) says nothing; it listens when it is ready.
pub fn mongodb(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if has(&draft.argv, &["--fork"]) {
        background(draft, "--fork", problems);
    }
    let port = option(&draft.argv, "--port", None).and_then(|port| port.parse().ok()).unwrap_or(27017);
    Some(Probe::Tcp(([127, 0, 0, 1], port).into()))
}

/// redis-server listens while it still loads, and then answers LOADING.
pub fn redis(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if option(&draft.argv, "--daemonize", None) == Some("yes") {
        background(draft, "--daemonize", problems);
    }
    let port = option(&draft.argv, "--port", None).and_then(|port| port.parse().ok()).unwrap_or(6379);
    (port != 0).then(|| Probe::Tcp(([127, 0, 0, 1], port).into()))
}
