//! MariaDB, MySQL, PostgreSQL, MongoDB, Redis: what is simply known. Their first start is
//! the work of `minisup init`.

use super::{has, option, own_file};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::core::plan::Probe;
use std::net::IpAddr;
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
    let (mut directory, mut port, mut listens) = (None, None, None);
    for (name, value) in postgres_settings(&draft.argv) {
        match name.as_str() {
            "unix_socket_directories" => directory = Some(value),
            "port" => port = Some(value),
            "listen_addresses" => listens = Some(value),
            _ => {}
        }
    }
    // Of several the first; without any it listens at addresses only.
    let socket = directory.map(first_of);
    let host = match socket {
        Some("") => Some(reached(listens.map_or("localhost", first_of))),
        socket => socket,
    };
    if draft.finds("pg_isready") {
        let mut words = vec!["pg_isready".to_owned(), "--quiet".to_owned()];
        words.extend(host.map(|host| format!("--host={host}")));
        words.extend(port.map(|port| format!("--port={port}")));
        return Some(Probe::Exec(words.into()));
    }
    let (host, port) = (host?, port.unwrap_or("5432"));
    match host.starts_with('/') {
        true => Some(Probe::Unix(PathBuf::from(format!("{host}/.s.PGSQL.{port}")))),
        false => tcp(host, port.parse().ok()?),
    }
}

/// What a command of PostgreSQL sets, in its order: `-c name=value`, `--name=value`, and letters for some.
fn postgres_settings(argv: &[String]) -> Vec<(String, &str)> {
    const LETTERS: [(&str, &str); 3] =
        [("-p", "port"), ("-k", "unix_socket_directories"), ("-h", "listen_addresses")];
    let mut found = Vec::new();
    let mut words = argv.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        let mut behind = |letter: &str| match word.strip_prefix(letter)? {
            "" => words.next(),
            value => Some(value),
        };
        if let Some((name, value)) =
            word.strip_prefix("--").or_else(|| behind("-c")).and_then(|w| w.split_once('='))
        {
            found.push((name.to_ascii_lowercase().replace('-', "_"), value));
        } else if let Some(pair) =
            LETTERS.iter().find_map(|(letter, name)| Some((name.to_string(), behind(letter)?)))
        {
            found.push(pair);
        }
    }
    found
}

/// The first of several with commas between them.
fn first_of(list: &str) -> &str {
    list.split(',').next().unwrap_or("").trim().trim_matches('"')
}

/// Where to ask whoever listens there.
fn reached(address: &str) -> &str {
    match address {
        "*" | "0.0.0.0" => "127.0.0.1",
        "::" | "::*" => "::1",
        address => address,
    }
}

/// A connection to an address; names are not looked up here.
fn tcp(host: &str, port: u16) -> Option<Probe> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    Some(Probe::Tcp((host.parse::<IpAddr>().ok()?, port).into()))
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
    // Its keywords are the same in small and in capital letters.
    let written = |name: &str| {
        let mut lines = settings.lines().rev().filter_map(|line| line.trim().split_once(char::is_whitespace));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let on_line = |name: &str| {
        let is_it =
            |word: &String| word.strip_prefix("--").is_some_and(|known| known.eq_ignore_ascii_case(name));
        let at = draft.argv.iter().rposition(is_it)?;
        let values = draft.argv[at + 1..].iter().take_while(|word| !word.starts_with("--"));
        Some(values.map(String::as_str).collect::<Vec<_>>().join(" "))
    };
    let said = |name: &str| on_line(name).or_else(|| written(name).map(str::to_owned));
    let port = said("port").map_or(Ok(6379), |port| port.parse()).ok()?;
    let (socket, bind) = (said("unixsocket"), said("bind").unwrap_or_default());
    let is_yes = |value: &str| value.eq_ignore_ascii_case("yes");
    match (on_line("daemonize"), written("daemonize")) {
        (Some(value), _) if is_yes(&value) => background(draft, "leave --daemonize out", problems),
        (None, Some(value)) if is_yes(value) => {
            draft.argv.extend(["--daemonize".to_owned(), "no".to_owned()]);
            draft.adjusted.push("added --daemonize no: its file puts it in the background".into());
        }
        _ => {}
    }
    let host = redis_host(&bind);
    let (place, otherwise) = match (port, socket) {
        (0, None) => return None,
        (0, Some(socket)) => {
            (format!("-s {}", shlex::try_quote(&socket).ok()?), Some(Probe::Unix(draft.resolve(&socket))))
        }
        (port, _) if host == "127.0.0.1" => (format!("-p {port}"), tcp(host, port)),
        (port, _) => (format!("-h {} -p {port}", shlex::try_quote(host).ok()?), tcp(host, port)),
    };
    if !["redis-cli", "sh", "grep"].iter().all(|program| draft.finds(program)) {
        return otherwise;
    }
    let asks = format!("redis-cli {place} ping | grep -qv LOADING");
    Some(Probe::Exec(["sh".to_owned(), "-c".to_owned(), asks].into()))
}

/// Where Redis answers that is bound to these: here, if it does so here; else at the first that it must be able to bind.
fn redis_host(bind: &str) -> &str {
    let all = || bind.split_whitespace().map(|address| address.trim_matches(['"', '\'']));
    // One behind a hyphen may be missing.
    let sure = || all().filter(|address| !address.starts_with('-'));
    let here = sure().map(reached).find(|address| *address == "127.0.0.1");
    let any = here.or_else(|| sure().next()).or_else(|| all().next());
    any.map_or("127.0.0.1", |address| reached(address.trim_start_matches('-')))
}

fn background(draft: &Draft<'_>, advice: &str, problems: &mut Problems) {
    let message = format!("{} puts itself in the background, and then seems to have ended", draft.program());
    problems.warning(draft.span, message).mark(advice);
}
