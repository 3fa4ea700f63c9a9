//! MariaDB, MySQL, PostgreSQL, MongoDB, Redis: what is simply known. Their first start is
//! the work of `minisup init`.

use super::{has, option, own_file};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::core::plan::Probe;
use std::path::PathBuf;

/// mariadbd(8).
pub fn mariadb(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    family(draft, "mariadbd", &["mariadb-admin", "mysqladmin"], problems)
}

/// mysqld(8).
pub fn mysql(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if has(&draft.argv, &["--daemonize", "-D"]) {
        background(draft, "leave --daemonize out", problems);
    }
    family(draft, "mysqld", &["mysqladmin"], problems)
}

/// `mysqladmin ping` succeeds as soon as the server answers, be it "access denied". Where
/// there is no client, the server tells by sd_notify, if it was built to.
fn family(draft: &Draft<'_>, server: &str, clients: &[&str], problems: &mut Problems) -> Option<Probe> {
    if matches!(draft.program(), "mysqld_safe" | "mariadbd-safe") {
        let message = format!("{} is itself a supervisor, and does not pass signals on", draft.program());
        problems.warning(draft.span, message).mark(format!("launch {server}"));
    }
    let Some(client) = clients.iter().find(|client| draft.finds(client)) else {
        return Some(Probe::Notify);
    };
    let mut words = vec![client.to_string()];
    let socket = option(&draft.argv, "--socket", None).map(str::to_owned).or_else(|| own_socket(draft));
    words.extend(socket.map(|socket| format!("--socket={socket}")));
    words.extend(["--connect-timeout=2", "--silent", "ping"].map(str::to_owned));
    Some(Probe::Exec(words.into()))
}

/// The socket that a server finds in the file it is told to read: its client would not look there.
fn own_socket(draft: &Draft<'_>) -> Option<String> {
    let file = option(&draft.argv, "--defaults-file", None)?;
    let text = own_file(&draft.resolve(file))?;
    let mut found = None;
    let mut is_servers = false;
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let family = group.split(['-', '_']).next().unwrap_or(group);
            is_servers = matches!(family, "mysqld" | "mariadb" | "mariadbd" | "server");
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_servers)
            && name.trim_end() == "socket"
        {
            found = Some(value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    found
}

/// postgres(1). A connection is accepted before recovery has ended; `pg_isready` knows.
/// Where it is missing, the socket is better than nothing, if we know where it will be.
pub fn postgres(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.program() == "pg_ctl" {
        background(draft, "launch postgres", problems);
    }
    let port = option(&draft.argv, "--port", Some('p'));
    let directory = option(&draft.argv, "--unix_socket_directories", Some('k'));
    if draft.finds("pg_isready") {
        let mut words = vec!["pg_isready".to_owned(), "--quiet".to_owned()];
        words.extend(directory.map(|directory| format!("--host={directory}")));
        words.extend(port.map(|port| format!("--port={port}")));
        return Some(Probe::Exec(words.into()));
    }
    let port = port.unwrap_or("5432");
    directory.map(|directory| Probe::Unix(PathBuf::from(format!("{directory}/.s.PGSQL.{port}"))))
}

/// mongod(1) says nothing; it listens when it is ready.
pub fn mongodb(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    let file = option(&draft.argv, "--config", Some('f')).map(|path| draft.resolve(path));
    let settings = file.and_then(|path| own_file(&path)).unwrap_or_default();
    let forks = |line: &str| line.split_whitespace().collect::<String>() == "fork:true";
    if has(&draft.argv, &["--fork"]) || settings.lines().any(forks) {
        background(draft, "take `fork` out", problems);
    }
    // As the official image has it: who asks for a root user wants nobody else to come in.
    let names = ["MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"];
    let is_given = |name: &str| {
        [name.to_owned(), format!("{name}_FILE")]
            .iter()
            .any(|name| draft.variable(name).is_some_and(|value| !value.is_empty()))
    };
    if names.into_iter().all(is_given) && !has(&draft.argv, &["--auth"]) {
        draft.argv.push("--auth".into());
        draft.adjusted.push("added --auth: there is a root user".into());
    }
    let written = settings.lines().find_map(|line| line.trim().strip_prefix("port:"));
    let port = option(&draft.argv, "--port", None).or(written).and_then(|port| port.trim().parse().ok());
    Some(Probe::Tcp(([127, 0, 0, 1], port.unwrap_or(27017)).into()))
}

/// redis-server listens while it still loads, and answers LOADING then: so its client asks, where there is
/// one; any other answer will do, also that a password is wanted. Debian's redis.conf puts it in the
/// background; the command line goes before the file.
pub fn redis(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    let file = draft.argv.get(1).filter(|word| !word.starts_with('-'));
    let settings = file.and_then(|path| own_file(&draft.resolve(path))).unwrap_or_default();
    let written = |name: &str| {
        let mut values = settings.lines().rev().filter_map(|line| line.trim().strip_prefix(name));
        values.find(|rest| rest.starts_with(char::is_whitespace)).map(str::trim)
    };
    match (option(&draft.argv, "--daemonize", None), written("daemonize")) {
        (Some("yes"), _) => background(draft, "leave --daemonize out", problems),
        (None, Some("yes")) => {
            draft.argv.extend(["--daemonize".to_owned(), "no".to_owned()]);
            draft.adjusted.push("added --daemonize no: its file puts it in the background".into());
        }
        _ => {}
    }
    let port = option(&draft.argv, "--port", None).or(written("port")).unwrap_or("6379").parse().ok()?;
    let socket = option(&draft.argv, "--unixsocket", None).or(written("unixsocket"));
    let (place, otherwise) = match (port, socket) {
        (0, None) => return None,
        (0, Some(socket)) => {
            (format!("-s {}", shlex::try_quote(socket).ok()?), Probe::Unix(draft.resolve(socket)))
        }
        (port, _) => (format!("-p {port}"), Probe::Tcp(([127, 0, 0, 1], port).into())),
    };
    if !["redis-cli", "sh", "grep"].iter().all(|program| draft.finds(program)) {
        return Some(otherwise);
    }
    let asks = format!("redis-cli {place} ping | grep -qv LOADING");
    Some(Probe::Exec(["sh".to_owned(), "-c".to_owned(), asks].into()))
}

fn background(draft: &Draft<'_>, advice: &str, problems: &mut Problems) {
    let message = format!("{} puts itself in the background, and then seems to have ended", draft.program());
    problems.warning(draft.span, message).mark(advice);
}
