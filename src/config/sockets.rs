//! `sockets`: addresses that PID 1 opens for a service and holds.
//!
//! `http = "tcp://0.0.0.0:80"`, `app = "unix:///run/app.sock?mode=0660&user=www-data"`. An
//! address belongs to one service. `${socket.http}` in its command is the descriptor at which it
//! finds the socket; anywhere else it means nothing, and that is said.

use super::Surroundings;
use super::diagnostics::{Problems, Span, did_you_mean};
use super::file::{Entry, Node, Table, Value};
use super::view::{Field, View};
use crate::core::plan::{
    HeldSocket, Probe, ProbeAddress, Ready, SocketAddress, SocketOptions, Sockets, Told,
};
use crate::core::socket::{BACKLOG, SOCKETS_MAX};
use crate::core::sorted::Map;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// sun_path of unix(7) has room for so many bytes and a NUL.
const UNIX_PATH_MAX: usize = 107;

/// All addresses so far, with where they are written.
pub type Addresses = Map<SocketAddress, Span>;

/// The sockets of a service, if it has any.
pub fn sockets(
    view: &View<'_>,
    around: &Surroundings,
    taken: &mut Addresses,
    problems: &mut Problems,
) -> Option<Sockets> {
    let field = view.get("sockets")?;
    let Value::Table(table) = &field.node.value else {
        return field.wrong(r#"a table such as { http = "tcp://0.0.0.0:80" }"#, problems);
    };
    let mut list: Vec<HeldSocket> = Vec::new();
    for (name, entry) in table.in_order() {
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) || name.len() > 100 {
            let message = "a socket's name is made of letters, digits, `-` and `_`, at most 100";
            problems.error(entry.key, message);
        } else if let Some(socket) = socket(name, entry, field, around, problems) {
            if let Some(first) = taken.insert(socket.address.clone(), entry.node.span) {
                let message = format!("{} is held already", socket.address);
                problems.error(entry.node.span, message).see(first, "here");
            }
            list.push(socket);
        }
    }
    if list.len() > SOCKETS_MAX {
        problems.error(field.key, format!("more than {SOCKETS_MAX} sockets for one service"));
    }
    (!list.is_empty()).then(|| Sockets { list: list.into(), told: Told::Plainly, door: false })
}

fn socket(
    name: &str,
    entry: &Entry,
    field: Field<'_>,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<HeldSocket> {
    let Value::String(text) = &entry.node.value else {
        return field.element(&entry.node).wrong(r#"addresses such as "tcp://0.0.0.0:80""#, problems);
    };
    match parse(text, around) {
        Ok((address, backlog, options)) => {
            Some(HeldSocket { name: name.to_owned(), address, backlog, options })
        }
        Err(Wrong { message, mark }) => {
            problems.error(entry.node.span, format!("`sockets.{name}`: {message}")).mark(mark);
            None
        }
    }
}

/// What is wrong with an address, and what could be meant.
struct Wrong {
    message: String,
    mark: String,
}

impl Wrong {
    fn new(message: impl Into<String>, mark: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), mark: mark.into() }
    }
}

fn parse(text: &str, around: &Surroundings) -> Result<(SocketAddress, u32, SocketOptions), Wrong> {
    let example = "\"tcp://0.0.0.0:80\", \"tcp6://[::]:80\" or \"unix:///run/app.sock\"";
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| Wrong::new(format!("\"{text}\" is not an address to listen at"), example))?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let address = match scheme {
        "tcp" => SocketAddress::Tcp(internet(place, false)?),
        "tcp6" => SocketAddress::Tcp(internet(place, true)?),
        "unix" => SocketAddress::Unix(path(place)?),
        other => {
            let known = did_you_mean(other, ["tcp", "tcp6", "unix"]);
            let mark = known.map_or(example.to_owned(), |near| format!("did you mean \"{near}://\"?"));
            return Err(Wrong::new(format!("\"{other}://\" is not known"), mark));
        }
    };
    let mut options = SocketOptions::default();
    let mut backlog = BACKLOG;
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, "1"));
        let is_unix = matches!(address, SocketAddress::Unix(_));
        let switch = || match value {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(Wrong::new(format!("{name} is 0 or 1, not \"{value}\""), "")),
        };
        match name {
            "backlog" => {
                backlog = value.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(|| {
                    Wrong::new(format!("backlog is a number from 1 to 1000000, not \"{value}\""), "")
                })?;
            }
            "mode" if is_unix => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
                options.mode = mode.ok_or_else(|| {
                    Wrong::new(format!("mode is octal, from 0000 to 0777, not \"{value}\""), "")
                })?;
            }
            "user" if is_unix => {
                let number = || value.parse().ok().filter(|uid| *uid != u32::MAX);
                let user = around.accounts.user(value).map(|user| user.uid).or_else(number);
                options.owner.0 = Some(user.ok_or_else(|| nobody("user", "passwd", value))?);
            }
            "group" if is_unix => {
                let group = around.accounts.gid(value);
                options.owner.1 = Some(group.ok_or_else(|| nobody("group", "group", value))?);
            }
            "reuseaddr" if !is_unix => options.reuse_address = switch()?,
            "reuseport" if !is_unix => options.reuse_port = switch()?,
            "v6only" if !is_unix => options.only_v6 = switch()?,
            _ => {
                let known: &[&str] = match is_unix {
                    true => &["mode", "user", "group", "backlog"],
                    false => &["backlog", "reuseaddr", "reuseport", "v6only"],
                };
                let mark = match did_you_mean(name, known.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("one of {}", known.join(", ")),
                };
                return Err(Wrong::new(format!("\"{name}\" is not an option of {scheme}://"), mark));
            }
        }
    }
    Ok((address, backlog, options))
}

fn nobody(what: &str, file: &str, name: &str) -> Wrong {
    Wrong::new(format!("there is no {what} \"{name}\" in /etc/{file}"), "")
}

/// `0.0.0.0:80`, `[::]:80`, `*:80`, `:80`, `localhost:80`. PID 1 looks no name up.
fn internet(place: &str, six: bool) -> Result<SocketAddr, Wrong> {
    let wrong = |message: &str| {
        let mark = if six { "tcp6://[::]:80" } else { "tcp://0.0.0.0:80" };
        Wrong::new(message, format!("such as \"{mark}\""))
    };
    let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("the address has no port"))?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        wrong(&format!("\"{port}\" is no port: it is a number from 1 to 65535, for it is told to others"))
    })?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip = match (inner, six) {
        ("" | "*", false) => Ipv4Addr::UNSPECIFIED.into(),
        ("" | "*", true) => Ipv6Addr::UNSPECIFIED.into(),
        ("localhost", false) => Ipv4Addr::LOCALHOST.into(),
        ("localhost", true) => Ipv6Addr::LOCALHOST.into(),
        (text, _) => {
            text.parse().map_err(|_| wrong(&format!("\"{text}\" is no address: names are not looked up")))?
        }
    };
    let address = SocketAddr::new(ip, port);
    match six && address.is_ipv4() {
        true => Err(wrong(&format!("{ip} is not an address of IPv6"))),
        false => Ok(address),
    }
}

fn path(place: &str) -> Result<PathBuf, Wrong> {
    match place {
        _ if !place.starts_with('/') => {
            let mark = format!("unix:///{}?", place.trim_start_matches("./"));
            Err(Wrong::new(format!("\"{place}\" is no absolute path"), mark))
        }
        _ if place.ends_with('/') => Err(Wrong::new(format!("\"{place}\" is a folder"), "")),
        _ if place.len() > UNIX_PATH_MAX => {
            let message = format!("the path has {} bytes; a socket's may have {UNIX_PATH_MAX}", place.len());
            Err(Wrong::new(message, "a shorter one"))
        }
        _ => Ok(PathBuf::from(place)),
    }
}

/// `${socket.NAME}` in the words of a command, replaced by descriptors.
pub fn fill_in(words: &mut [String], sockets: Option<&Sockets>, span: Span, problems: &mut Problems) {
    for word in words {
        let mut at = 0;
        while let Some(found) = word[at..].find(REFERENCE) {
            let start = at + found;
            let Some(length) = word[start..].find('}') else { break };
            let name = &word[start + REFERENCE.len()..start + length];
            match sockets.and_then(|sockets| sockets.descriptor(name)) {
                Some(number) => {
                    let number = number.to_string();
                    word.replace_range(start..=start + length, &number);
                    at = start + number.len();
                }
                None => {
                    let names = sockets.iter().flat_map(|sockets| &sockets.list);
                    let names: Vec<&str> = names.map(|socket| socket.name.as_str()).collect();
                    let problem = problems.error(span, format!("there is no socket \"{name}\""));
                    match did_you_mean(name, names.iter().copied()) {
                        Some(near) => problem.mark(format!("did you mean ${{socket.{near}}}?")),
                        None if names.is_empty() => {
                            problem.mark(format!("sockets = {{ {name} = \"tcp://…\" }}?"))
                        }
                        None => problem.mark(format!("its sockets: {}", names.join(", "))),
                    };
                    at = start + length;
                }
            }
        }
    }
}

const REFERENCE: &str = "${socket.";

/// Says where `${socket.NAME}` stands and means nothing: it is a number in commands only.
pub fn check_references(tree: &Table, problems: &mut Problems) {
    let services = tree.table("service").into_iter().flat_map(|services| services.0.values());
    let services = services.filter_map(|entry| match &entry.node.value {
        Value::Table(table) => Some(table),
        _ => None,
    });
    for table in services.chain(tree.table("defaults")) {
        for (_, entry) in table.0.iter().filter(|(name, _)| &***name != "command") {
            walk(&entry.node, problems);
        }
    }
    for (_, entry) in tree.0.iter().filter(|(name, _)| !["service", "defaults"].contains(&&***name)) {
        walk(&entry.node, problems);
    }
}

fn walk(node: &Node, problems: &mut Problems) {
    match &node.value {
        Value::String(text) if text.contains(REFERENCE) => {
            let message = "`${socket.…}` is a descriptor's number, which only `command` knows";
            problems.error(node.span, message);
        }
        Value::Array(list) => list.iter().for_each(|node| walk(node, problems)),
        Value::Table(table) => table.0.values().for_each(|entry| walk(&entry.node, problems)),
        _ => {}
    }
}

impl Sockets {
    /// Where somebody within the container reaches the first of them.
    pub fn first_reached(&self) -> Option<ProbeAddress> {
        Some(match &self.list.first()?.address {
            SocketAddress::Unix(path) => ProbeAddress::Unix(path.clone()),
            SocketAddress::Tcp(address) if address.ip().is_unspecified() => {
                let loopback = match address {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                ProbeAddress::Tcp(SocketAddr::new(loopback, address.port()).to_string())
            }
            SocketAddress::Tcp(address) => ProbeAddress::Tcp(address.to_string()),
        })
    }

    /// Whether whoever asks there asks one of them.
    fn is_reached_by(&self, asked: &ProbeAddress) -> bool {
        self.list.iter().any(|socket| match (&socket.address, asked) {
            (SocketAddress::Unix(path), ProbeAddress::Unix(asked)) => path == asked,
            (SocketAddress::Tcp(address), ProbeAddress::Tcp(asked)) => {
                let Some((host, port)) = asked.rsplit_once(':') else { return false };
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let is_here = address.ip().is_unspecified() || host == "localhost";
                port.parse() == Ok(address.port()) && (is_here || host.parse() == Ok(address.ip()))
            }
            _ => false,
        })
    }
}

/// What of its own sockets a service's readiness asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// Nothing: it is told otherwise.
    Elsewhere,
    /// Whether somebody listens, which minisup itself does.
    WhoListens,
    /// Whether whoever accepts gives an answer.
    WhoAnswers,
}

/// What of these sockets the probe asks.
pub fn asks(sockets: &Sockets, ready: Option<&Ready>) -> Asks {
    let (address, asks) = match ready.map(|ready| &ready.probe) {
        Some(Probe::Tcp(address)) => (ProbeAddress::Tcp(address.to_string()), Asks::WhoListens),
        Some(Probe::Unix(path)) => (ProbeAddress::Unix(path.clone()), Asks::WhoListens),
        Some(Probe::Http(http)) => (http.address.clone(), Asks::WhoAnswers),
        Some(Probe::Uwsgi(uwsgi)) => (uwsgi.address.clone(), Asks::WhoAnswers),
        _ => return Asks::Elsewhere,
    };
    if sockets.is_reached_by(&address) { asks } else { Asks::Elsewhere }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let found = parse(text, &Surroundings::default());
        found.map(|(address, ..)| address.to_string()).map_err(|wrong| wrong.message)
    }

    #[test]
    fn all_usual_spellings_are_read() {
        for (text, meant) in [
            ("tcp://0.0.0.0:80", "tcp://0.0.0.0:80"),
            ("tcp://:80", "tcp://0.0.0.0:80"),
            ("tcp://localhost:8000?backlog=5", "tcp://127.0.0.1:8000"),
            ("tcp://[::1]:80", "tcp6://[::1]:80"),
            ("tcp6://:80", "tcp6://[::]:80"),
            ("unix:///run/x.sock?mode=0600&user=0", "unix:///run/x.sock"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn nonsense_is_said() {
        for text in [
            "80",
            "tcp://80",
            "tcp://db:80",
            "tcp://0.0.0.0:0",
            "tcp6://0.0.0.0:80",
            "unix://run/x",
            "unix:///x?mode=9",
            "unix:///x?backlog=0",
            "tcp://:80?mode=0600",
            "udp://:53",
            "unix:///x?user=nobody-of-this-name",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_probe_is_known_to_ask_a_held_socket_however_it_is_written() {
        let (address, backlog, options) = parse("tcp://:80", &Surroundings::default()).ok().unwrap();
        let socket = HeldSocket { name: "http".into(), address, backlog, options };
        let sockets = Sockets { list: [socket].into(), told: Told::Plainly, door: false };
        let asked = |text: &str| sockets.is_reached_by(&ProbeAddress::Tcp(text.into()));
        assert!(asked("127.0.0.1:80") && asked("localhost:80") && !asked("127.0.0.1:8080"));
    }
}
