//! A client: asks, and waits for what comes back. It blocks, so it is for short-lived
//! processes, never for PID 1.

use super::wire::{self, Reply, Request};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Unreachable {
    /// Nobody listens there: no such socket, or its supervisor is gone.
    NoSupervisor(io::Error),
    /// The socket may not be opened by us.
    NotPermitted(io::Error),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreachable::NoSupervisor(error) | Unreachable::NotPermitted(error) => error.fmt(f),
        }
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or we may not.
    pub fn connect(socket: &Path) -> Result<Client, Unreachable> {
        match UnixStream::connect(socket) {
            Ok(stream) => Ok(Client { stream: BufReader::new(stream), line: Vec::new() }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Unreachable::NotPermitted(error))
            }
            Err(error) => Err(Unreachable::NoSupervisor(error)),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Whatever write(2) says; not that the supervisor has closed the connection, for it may have said
    /// why: [`next`](Self::next) tells.
    pub fn ask(&mut self, request: &Request) -> io::Result<()> {
        match self.stream.get_mut().write_all(&wire::line(request)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    /// Whether a whole reply has come that [`next`](Self::next) has not yet returned: poll(2) does
    /// not know of it.
    pub fn has_next(&self) -> bool {
        self.stream.buffer().contains(&b'\n')
    }

    /// The next reply; `None` if the supervisor has closed the connection.
    ///
    /// # Errors
    /// `TimedOut` if nothing came `within` this time (the rest of a reply that has begun is kept
    /// for the next call); `InvalidData` if it is no reply; whatever read(2) says.
    pub fn next(&mut self, within: Option<Duration>) -> io::Result<Option<Reply>> {
        // Zero would mean for ever to the kernel.
        let within = within.map(|span| span.max(Duration::from_millis(1)));
        self.stream.get_ref().set_read_timeout(within)?;
        match self.stream.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.last() == Some(&b'\n') => {
                let reply = wire::reply(&self.line);
                self.line.clear();
                Ok(Some(reply?))
            }
            // Half a line and the end: whoever wrote it is gone.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::from(io::ErrorKind::TimedOut))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}
