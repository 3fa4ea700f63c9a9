//! `ready` and `health`: from the table to a [`Probe`].

use super::diagnostics::{Problems, Span};
use super::file::Value;
use super::keys::PROBES;
use super::view::{Field, View};
use crate::core::plan::{
    Health, HttpProbe, Kind, Probe, ProbeAddress, Ready, Statuses, UwsgiProbe, with_instance,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What counts as an answer unless `status` says otherwise.
const GOOD_STATUS: (u16, u16) = (200, 399);

/// `ready`; what the preset found in the command counts if nobody gave a kind of probe.
pub fn ready(service: &View<'_>, preset: Option<Probe>, problems: &mut Problems) -> Option<Box<Ready>> {
    let field = service.get("ready")?;
    match &field.node.value {
        Value::String(text) if text == "started" => return None,
        Value::Table(_) => {}
        _ => return field.wrong(r#"a table such as { tcp = "127.0.0.1:8000" }, or "started""#, problems),
    }
    let table = service.inside("ready", "ready.");
    let probe = match (table.layer_with(kinds()), preset) {
        (Some(layer), _) => probe(&layer, problems).map(|(probe, _)| probe),
        (None, Some(probe)) => Some(probe),
        (None, None) => return says_nothing(service, "ready", problems),
    };
    let interval = table.get("interval")?.duration(problems);
    let timeout = some_time(table.get("timeout")?, problems);
    Some(Box::new(Ready { probe: probe?, interval: interval?, timeout: timeout? }))
}

/// `health`.
pub fn health(service: &View<'_>, problems: &mut Problems) -> Option<Box<Health>> {
    let field = service.get("health")?;
    match &field.node.value {
        Value::String(text) if text == "none" => return None,
        Value::Table(_) => {}
        _ => return field.wrong(r#"a table such as { tcp = "127.0.0.1:8000" }, or "none""#, problems),
    }
    let table = service.inside("health", "health.");
    let Some(layer) = table.layer_with(kinds()) else {
        return says_nothing(service, "health", problems);
    };
    let asked = probe(&layer, problems);
    if let Some((Probe::Fd(_) | Probe::Log(_), place)) = &asked {
        let message = "`health` needs something that can be asked again and again";
        problems.error(*place, message).mark("one of tcp, unix, http, uwsgi, exec, file, notify");
    }
    let interval = some_time(table.get("interval")?, problems);
    let timeout = some_time(table.get("timeout")?, problems);
    let failures = table.get("failures")?.integer(1, i64::from(u32::MAX), problems);
    let restart = table.get("action")?.choice(&[("restart", true), ("none", false)], problems);
    Some(Box::new(Health {
        probe: asked?.0,
        interval: interval?,
        timeout: timeout?,
        failures: failures? as u32,
        restart: restart?,
    }))
}

/// `timeout`: how long a oneshot may take, if it has no readiness of its own.
pub fn time_limit(
    service: &View<'_>,
    kind: Kind,
    ready: Option<Box<Ready>>,
    problems: &mut Problems,
) -> Option<Box<Ready>> {
    let Some(field) = service.get("timeout") else { return ready };
    let is_own = field.layer == 0;
    match (kind, ready) {
        (Kind::Oneshot, None) => {
            let timeout = some_time(field, problems)?;
            Some(Box::new(Ready { probe: Probe::End, interval: timeout, timeout }))
        }
        (Kind::Oneshot, ready) => {
            if is_own {
                let message = "`timeout` is for oneshots without `ready`, which has a timeout of its own";
                problems.error(field.key, message).mark("set `ready.timeout`");
            }
            ready
        }
        (Kind::Longrun, ready) => {
            if is_own {
                let message = "`timeout` is for oneshots: a longrun runs for ever";
                problems.error(field.key, message).mark("type = \"oneshot\"? or `ready.timeout`?");
            }
            some_time(field, problems);
            ready
        }
    }
}

/// A duration that is longer than nothing.
pub fn some_time(field: Field<'_>, problems: &mut Problems) -> Option<Duration> {
    let duration = field.duration(problems)?;
    if duration.is_zero() {
        problems.error(field.span(), format!("{} must be longer than nothing", field.title()));
    }
    Some(duration)
}

fn kinds() -> impl Iterator<Item = &'static str> + Clone {
    PROBES.iter().map(|key| key.name)
}

/// Times without a kind of probe are fine in `[defaults]`, but in a service of its own
/// they are half a sentence.
fn says_nothing<T>(service: &View<'_>, name: &str, problems: &mut Problems) -> Option<T> {
    let entry = service.own(name)?;
    let kinds: Vec<_> = kinds().collect();
    let message = format!("`{name}` does not say what to ask");
    problems.error(entry.key, message).mark(format!("one of {}", kinds.join(", ")));
    None
}

/// The one probe in a table, with the place of its key.
fn probe(layer: &View<'_>, problems: &mut Problems) -> Option<(Probe, Span)> {
    let given: Vec<Field<'_>> = kinds().filter_map(|kind| layer.get(kind)).collect();
    let has = |name: &str| given.iter().any(|field| field.name() == name);
    // `unix` beside `http` or `uwsgi` is no kind of its own, but where to ask.
    let via = layer.get("unix").filter(|_| has("http") || has("uwsgi"));
    let mut main = given.iter().filter(|field| field.name() != "unix" || via.is_none());
    let field = *main.next()?;
    if let Some(second) = main.next() {
        let message = format!("{} and {} are two kinds of probe", field.title(), second.title());
        problems.error(second.key, message).mark("only one can be given").see(field.key, "the other one");
        return None;
    }
    if field.name() != "http"
        && let Some(status) = layer.get("status")
    {
        problems.error(status.key, format!("{} goes with `http` only", status.title()));
    }
    let via = match via {
        Some(unix) => Some(path(unix, problems)?),
        None => None,
    };
    let probe = match field.name() {
        "notify" => match field.switch(problems)? {
            true => Probe::Notify,
            false => {
                problems.error(field.span(), format!("{} can only be true", field.title()));
                return None;
            }
        },
        "fd" => Probe::Fd(field.integer(3, 255, problems)? as i32),
        "tcp" => Probe::Tcp(socket_address(field, problems)?),
        "unix" => Probe::Unix(path(field, problems)?),
        "http" => Probe::Http(http(field, via, layer.get("status"), problems)?),
        "uwsgi" => Probe::Uwsgi(uwsgi(field, via, problems)?),
        "exec" => Probe::Exec(field.command(problems)?),
        "log" => {
            let pattern = field.text(problems)?;
            if let Err(error) = regex_lite::Regex::new(pattern) {
                problems.error(field.span(), format!("not a regular expression: {error}"));
                return None;
            }
            Probe::Log(pattern.to_owned())
        }
        _ => Probe::File(path(field, problems)?),
    };
    Some((probe, field.key))
}

fn path(field: Field<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let text = field.text(problems)?;
    Some(PathBuf::from(text.strip_prefix("unix:").map_or(text, |p| p.strip_prefix("//").unwrap_or(p))))
}

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `:8000` or a port alone. No other
/// names: PID 1 resolves none.
fn socket_address(field: Field<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = match &field.node.value {
        Value::Integer { number, .. } => number.to_string(),
        _ => field.text(problems)?.to_owned(),
    };
    let text = text.strip_prefix("tcp://").unwrap_or(&text);
    if text.contains("${instance}") {
        let message = format!("{} is the same for all instances", field.title());
        problems.error(field.span(), message).mark("use an http, unix or exec probe");
        return None;
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let numeric = match host {
        "" | "localhost" | "*" => "127.0.0.1",
        host => host,
    };
    if let Ok(address) = format!("{numeric}:{port}").parse() {
        return Some(address);
    }
    if port.parse::<u16>().is_ok_and(|p| p > 0) && !host.is_empty() {
        let message = format!("{} must be an address: names are not looked up here", field.title());
        let mark = "write the number, or use an http probe, which looks names up";
        problems.error(field.span(), message).mark(mark);
        return None;
    }
    field.wrong(r#"an address with a port, such as "127.0.0.1:8000""#, problems)
}

/// `host:port/path`, `/run/app.sock:/path`, or the path alone where `unix` beside it says where; each
/// without a path asks `/`.
fn uwsgi(field: Field<'_>, via: Option<PathBuf>, problems: &mut Problems) -> Option<UwsgiProbe> {
    let text = field.text(problems)?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return field.wrong("an address and a path without spaces", problems);
    }
    if let Some(socket) = via {
        return match text.starts_with('/') {
            true => Some(UwsgiProbe { address: ProbeAddress::Unix(socket), path: text.to_owned() }),
            false => field.wrong(r#"a path such as "/healthz", since `unix` beside it says where"#, problems),
        };
    }
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let found = match host_and_port(host, None).filter(|_| !host.is_empty()) {
        Some(address) => Some((ProbeAddress::Tcp(address), path)),
        None if text.contains('/') => {
            let bare =
                text.strip_prefix("unix:").map_or(text, |path| path.strip_prefix("//").unwrap_or(path));
            let cut = bare.find(":/").unwrap_or(bare.len());
            let (socket, path) = bare.split_at(cut);
            Some((ProbeAddress::Unix(PathBuf::from(socket)), path.trim_start_matches(':')))
        }
        None => None,
    };
    match found {
        Some((address, "")) => Some(UwsgiProbe { address, path: "/".into() }),
        Some((address, path)) => Some(UwsgiProbe { address, path: path.to_owned() }),
        None => field.wrong(r#""127.0.0.1:3031/healthz", or "/run/app.sock:/healthz""#, problems),
    }
}

/// `host:port` with loopback for an empty or a wildcard host. `${instance}` may stand in it.
pub fn host_and_port(text: &str, default: Option<u16>) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.to_owned()),
        _ => (text, default?.to_string()),
    };
    with_instance(&port, 0).parse::<u16>().ok()?;
    let host = match host {
        "" | "*" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    let good = |c: char| c.is_ascii_alphanumeric() || "-._[]:%${}".contains(c);
    (port != "0" && host.chars().all(good)).then(|| format!("{host}:{port}"))
}

fn http(
    field: Field<'_>,
    via: Option<PathBuf>,
    status: Option<Field<'_>>,
    problems: &mut Problems,
) -> Option<HttpProbe> {
    let text = field.text(problems)?;
    let status = match status {
        Some(field) => statuses(field, problems)?,
        None => Statuses::range(GOOD_STATUS.0, GOOD_STATUS.1),
    };
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return field.wrong("a URL without spaces", problems);
    }
    if text.starts_with("https:") {
        let message = format!("{} cannot speak TLS", field.title());
        problems.error(field.span(), message).mark("ask the plain port, or use exec with curl");
        return None;
    }
    let absolute = |path: &str| if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    if let Some(rest) = text.strip_prefix("http+unix://") {
        let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
        if !socket.starts_with('/') || !(path.is_empty() || path.starts_with('/')) {
            return field.wrong("like http+unix:///run/app.sock:/healthz", problems);
        }
        let address = ProbeAddress::Unix(PathBuf::from(socket));
        return Some(HttpProbe { address, host: "localhost".into(), path: absolute(path), status });
    }
    if let Some(rest) = text.strip_prefix("http://") {
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(cut);
        let path = if path.starts_with('?') { format!("/{path}") } else { absolute(path) };
        let address = match via {
            Some(socket) => ProbeAddress::Unix(socket),
            None => match host_and_port(host, Some(80)) {
                Some(address) if !host.is_empty() => ProbeAddress::Tcp(address),
                _ => return field.wrong("a URL such as http://127.0.0.1:8000/healthz", problems),
            },
        };
        let path = path.split('#').next().unwrap_or("/").to_owned();
        return Some(HttpProbe { address, host: host.to_owned(), path, status });
    }
    if text.starts_with('/') {
        if let Some(socket) = via {
            let address = ProbeAddress::Unix(socket);
            return Some(HttpProbe { address, host: "localhost".into(), path: text.to_owned(), status });
        }
        let message = format!("{} is a path without a server", field.title());
        let mark = format!("\"http://127.0.0.1:PORT{text}\", or give `unix` beside it");
        problems.error(field.span(), message).mark(mark);
        return None;
    }
    field.wrong("a URL such as http://127.0.0.1:8000/healthz", problems)
}

/// `200`, `"200-299"` or `[200, 299]`.
fn statuses(field: Field<'_>, problems: &mut Problems) -> Option<Statuses> {
    let one = |value: &Value| match value {
        Value::Integer { number, .. } => number.to_string().parse().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let all: Option<Vec<Statuses>> = match &field.node.value {
        Value::Array(list) => list.iter().map(|node| one(&node.value)).collect(),
        value => one(value).map(|statuses| vec![statuses]),
    };
    let ranges: Option<Box<[_]>> = all.map(|all| all.into_iter().flat_map(|it| it.0).collect());
    let is_possible = |range: &(u16, u16)| range.0 >= 100 && range.1 <= 599;
    match ranges.filter(|ranges| !ranges.is_empty() && ranges.iter().all(is_possible)) {
        Some(ranges) => Some(Statuses(ranges)),
        None => field.wrong("a status, a range such as \"200-299\", or a list of these", problems),
    }
}
