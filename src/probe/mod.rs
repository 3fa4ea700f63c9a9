//! The satellite that asks a service how it is, in the service's own protocol.
//!
//! PID 1 never parses HTTP and never looks up a name: it launches `minisup probe …`, a
//! process that asks one question, prints one line saying what it got, and exits. So it may
//! wait (each socket has its time limit), and what a server answers cannot hurt anybody else.
//!
//! - [`address`]: `127.0.0.1:80`, `name:80`, `unix:/run/x.sock`, and connecting to it
//! - [`names`]: /etc/hosts, /etc/resolv.conf, and a question to a name server
//! - [`http`]: an HTTP/1.0 GET, and the first line of the answer
//! - [`uwsgi`]: the same request as uWSGI's own protocol packs it
#![forbid(unsafe_code)]

pub mod address;
pub mod http;
pub mod names;
pub mod uwsgi;

use crate::core::time::Moment;
use crate::sys::clock;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is no good answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The time is over; how much there was.
    TooLate(Duration),
    /// The kernel says so.
    Io(io::Error),
    /// Something else was got.
    Got(String),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        NoAnswer::Io(error)
    }
}

impl From<nix::errno::Errno> for NoAnswer {
    fn from(errno: nix::errno::Errno) -> Self {
        NoAnswer::Io(errno.into())
    }
}

impl fmt::Display for NoAnswer {
    /// One line, lower case: it is shown behind "last got".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::TooLate(within) => write!(f, "no answer in {within:?}"),
            NoAnswer::Io(error) => match error.raw_os_error() {
                Some(number) => f.write_str(&nix::errno::Errno::from_raw(number).desc().to_lowercase()),
                None => write!(f, "{error}"),
            },
            NoAnswer::Got(what) => f.write_str(what),
        }
    }
}

/// The time that all of one question may take.
#[derive(Clone, Copy)]
pub struct TimeLimit {
    until: Moment,
    within: Duration,
}

impl TimeLimit {
    /// So long from now.
    pub fn of(within: Duration) -> TimeLimit {
        TimeLimit { until: clock::now() + within, within }
    }

    /// What is left of it; never zero.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn left(self) -> Result<Duration, NoAnswer> {
        match self.until - clock::now() {
            Duration::ZERO => Err(NoAnswer::TooLate(self.within)),
            // The kernel's time limits have microseconds, and 0 would be none.
            left => Ok(left.max(Duration::from_millis(1))),
        }
    }

    /// The same error, or [`NoAnswer::TooLate`] if it means that a socket's time was over.
    pub fn explain(self, error: io::Error) -> NoAnswer {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NoAnswer::TooLate(self.within),
            _ => NoAnswer::Io(error),
        }
    }
}
