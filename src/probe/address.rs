//! Where a server listens, and connecting to it within a time limit.

use super::{NoAnswer, TimeLimit, names};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `127.0.0.1:80`, `[::1]:80`, `name:80`.
    Tcp(String, u16),
    /// `unix:/run/x.sock`, or a path.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x.sock` is written as often as `unix:/run/x.sock`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Address::Unix(path.into()));
        }
        if text.starts_with('/') {
            return Ok(Address::Unix(text.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or("it has no port: write HOST:PORT or unix:/path")?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match host {
            "" => Err("it has no host: write HOST:PORT or unix:/path".into()),
            host => Ok(Address::Tcp(host.into(), port)),
        }
    }
}

/// A connection, of either kind.
pub enum Connection {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Address {
    /// Connects. A name's addresses are tried in order.
    ///
    /// # Errors
    /// Nobody listens there, the name is not known, or the time is over.
    pub fn connect(&self, limit: TimeLimit) -> Result<Connection, NoAnswer> {
        match self {
            Address::Unix(path) => connect_unix(path, limit).map(Connection::Unix),
            Address::Tcp(host, port) => {
                let addresses = names::look_up(host, limit)?;
                let mut last = NoAnswer::Got(format!("no address of {host}"));
                for (number, address) in addresses.iter().enumerate() {
                    // Who does not answer must not use up the time of those after it.
                    let share = limit.left()? / (addresses.len() - number) as u32;
                    match connect_tcp(*address, *port, share, limit) {
                        Ok(stream) => return Ok(Connection::Tcp(stream)),
                        Err(why) => last = why,
                    }
                }
                Err(last)
            }
        }
    }
}

fn connect_tcp(
    address: IpAddr,
    port: u16,
    share: std::time::Duration,
    limit: TimeLimit,
) -> Result<TcpStream, NoAnswer> {
    let address = SocketAddr::new(address, port);
    let stream = TcpStream::connect_timeout(&address, share).map_err(|error| limit.explain(error))?;
    // A port in the range for outgoing connections may connect to itself.
    match stream.local_addr()? == address {
        true => Err(io::Error::from_raw_os_error(nix::errno::Errno::ECONNREFUSED as i32).into()),
        false => Ok(stream),
    }
}

/// std's connect waits for as long as the server's queue is full; SO_SNDTIMEO bounds it (socket(7)).
fn connect_unix(path: &PathBuf, limit: TimeLimit) -> Result<UnixStream, NoAnswer> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let left = limit.left()?;
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::microseconds(left.as_micros() as i64))?;
    let address = UnixAddr::new(path)?;
    connect(fd.as_raw_fd(), &address).map_err(|errno| limit.explain(errno.into()))?;
    Ok(UnixStream::from(fd))
}

impl Connection {
    /// Sends all of it.
    ///
    /// # Errors
    /// The server has gone, or the time is over.
    pub fn send(&mut self, bytes: &[u8], limit: TimeLimit) -> Result<(), NoAnswer> {
        let left = Some(limit.left()?);
        let result = match self {
            Connection::Tcp(stream) => stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes)),
            Connection::Unix(stream) => stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes)),
        };
        result.map_err(|error| limit.explain(error))
    }

    /// Receives once; 0 is the end.
    ///
    /// # Errors
    /// The server has gone, or the time is over.
    pub fn receive(&mut self, buffer: &mut [u8], limit: TimeLimit) -> Result<usize, NoAnswer> {
        loop {
            let left = Some(limit.left()?);
            let result = match self {
                Connection::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(buffer)),
                Connection::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(buffer)),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| limit.explain(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_usual_spellings_are_read() {
        let tcp = |host: &str, port| Ok(Address::Tcp(host.into(), port));
        assert_eq!("127.0.0.1:80".parse(), tcp("127.0.0.1", 80));
        assert_eq!("[::1]:8000".parse(), tcp("::1", 8000));
        assert_eq!("db:5432".parse(), tcp("db", 5432));
        for text in ["unix:/run/x.sock", "unix:///run/x.sock", "/run/x.sock"] {
            assert_eq!(text.parse(), Ok(Address::Unix("/run/x.sock".into())), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_address() {
        for text in ["", "localhost", ":80", "localhost:http", "localhost:65536", "localhost:"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
