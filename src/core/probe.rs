//! How we learn how a service is: before others may depend on it, and from then on.

use super::plan::with_instance;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How we learn that a service may be depended on.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// What is asked or waited for.
    pub probe: Probe,
    /// From one asking to the next.
    pub interval: Duration,
    /// Not ready after it is a failure.
    pub timeout: Duration,
}

/// The continuing check.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked. With [`Probe::Notify`] the sd_notify watchdog: `WATCHDOG=1` must
    /// come at least once every `interval`.
    pub probe: Probe,
    /// From one asking to the next.
    pub interval: Duration,
    /// An answer later than this counts as none.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy; at least 1.
    pub failures: u32,
    /// Whether unhealthy means restart.
    pub restart: bool,
}

/// What is asked or waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// `READY=1` (or `WATCHDOG=1`) on `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// A newline on this descriptor, which the child inherits (s6's protocol).
    Fd(i32),
    /// A TCP connection is accepted.
    Tcp(SocketAddr),
    /// A connection to this unix socket is accepted.
    Unix(PathBuf),
    /// An HTTP GET is answered; made by a `minisup probe` process, never by PID 1.
    Http(HttpProbe),
    /// A request in the uwsgi protocol is answered; made by a `minisup probe` process.
    Uwsgi(UwsgiProbe),
    /// This command exits with 0; it runs with the service's user, directory and environment.
    Exec(Box<[String]>),
    /// A line of output matches this regular expression (its syntax has been checked).
    Log(String),
    /// This path exists.
    File(PathBuf),
    /// Nothing: a oneshot is to end within the time, as its `timeout` says.
    End,
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// Where the server listens.
    pub address: ProbeAddress,
    /// What `Host:` says.
    pub host: String,
    /// The path, with the query.
    pub path: String,
    /// Which statuses count as an answer.
    pub status: Statuses,
}

/// Some of HTTP's statuses: `200-399`, or `200,404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(
    /// The lowest and the highest of each range.
    pub Box<[(u16, u16)]>,
);

impl Statuses {
    /// From the lowest to the highest.
    pub fn range(low: u16, high: u16) -> Statuses {
        Statuses([(low, high)].into())
    }

    /// Whether this is one of them.
    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&status))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match low == high {
                true => write!(f, "{comma}{low}")?,
                false => write!(f, "{comma}{low}-{high}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Statuses, String> {
        let code = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is no status code"));
        let range = |text: &str| {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            let (low, high): (u16, u16) = (code(low)?, code(high)?);
            if low <= high { Ok((low, high)) } else { Err(format!("{high} comes before {low}")) }
        };
        text.split(',').map(range).collect::<Result<_, String>>().map(Statuses)
    }
}

/// A request in the uwsgi protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct UwsgiProbe {
    /// Where the server listens.
    pub address: ProbeAddress,
    /// The path, with the query.
    pub path: String,
}

impl UwsgiProbe {
    /// The path, if it is not the usual one.
    pub fn special_path(&self) -> &str {
        if self.path == "/" { "" } else { &self.path }
    }
}

/// Where a probe connects.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeAddress {
    /// `host:port`: an address, or a name that the probe process looks up.
    Tcp(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl Ready {
    /// Whether it is only the time limit of a oneshot.
    pub fn is_time_limit(&self) -> bool {
        self.probe == Probe::End
    }
}

impl Probe {
    /// The probe of the instance with this number within its service: `${instance}` may
    /// stand in paths, addresses and commands.
    pub fn of_instance(&self, number: u32) -> Probe {
        let text = |text: &str| with_instance(text, number);
        let path = |path: &PathBuf| PathBuf::from(text(&path.to_string_lossy()));
        let at = |address: &ProbeAddress| match address {
            ProbeAddress::Tcp(address) => ProbeAddress::Tcp(text(address)),
            ProbeAddress::Unix(at) => ProbeAddress::Unix(path(at)),
        };
        match self {
            Probe::Unix(at) => Probe::Unix(path(at)),
            Probe::File(at) => Probe::File(path(at)),
            Probe::Http(http) => Probe::Http(HttpProbe {
                address: at(&http.address),
                host: text(&http.host),
                path: text(&http.path),
                status: http.status.clone(),
            }),
            Probe::Uwsgi(UwsgiProbe { address, path }) => {
                Probe::Uwsgi(UwsgiProbe { address: at(address), path: text(path) })
            }
            Probe::Exec(command) => Probe::Exec(command.iter().map(|word| text(word)).collect()),
            Probe::Notify | Probe::Fd(_) | Probe::Tcp(_) | Probe::Log(_) | Probe::End => self.clone(),
        }
    }
}
