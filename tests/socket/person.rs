//! A client as a test needs it: one that may also misbehave.

use crate::stage::Run;
use crate::support::{LONG, wait_until};
use minisup::control::wire::{self, ErrorKind, Event, Reply, Request, Status};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to a supervisor.
pub struct Person {
    pub stream: BufReader<UnixStream>,
}

impl Person {
    /// Connects to the socket of this run.
    pub fn of(run: &Run) -> Person {
        Person::at(&run.path("minisup.sock")).unwrap()
    }

    /// The same as soon as it is there.
    pub fn of_soon(run: &Run) -> Person {
        wait_until("the socket", || UnixStream::connect(run.path("minisup.sock")).is_ok());
        Person::of(run)
    }

    pub fn at(path: &Path) -> io::Result<Person> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        Ok(Person { stream: BufReader::new(stream) })
    }

    /// Exactly these bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn ask(&mut self, request: &Request) {
        self.write(&wire::line(request)).unwrap();
    }

    /// The next reply; nothing at the end.
    pub fn next(&mut self) -> Option<Reply> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(wire::reply(&line).unwrap()),
            // Closed before it had read all that we wrote.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }

    /// Asks, and takes one reply.
    pub fn get(&mut self, request: &Request) -> Reply {
        self.ask(request);
        self.next().expect("a reply")
    }

    pub fn status(&mut self) -> Status {
        match self.get(&Request::Status { names: Vec::new() }) {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Event {
        match self.next() {
            Some(Reply::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Follows events from now on.
    pub fn follow(&mut self) {
        self.ask(&Request::Events);
        assert_eq!(self.event().event, "phase");
    }

    /// The other side closes, having said nothing more.
    pub fn is_sent_away(&mut self) {
        let mut rest = Vec::new();
        let end = self.stream.read_to_end(&mut rest);
        let is_reset = end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        assert!(end.is_ok() || is_reset, "{end:?}");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

/// The kind of an error, which the reply must be.
pub fn kind(reply: Option<Reply>) -> ErrorKind {
    match reply {
        Some(Reply::Error { error, .. }) => error,
        other => panic!("no error: {other:?}"),
    }
}

pub fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// Does this as another user: credentials belong to a thread, and glibc, which would change
/// them for all, is not asked.
pub fn as_user<T: Send>(uid: u32, gid: u32, groups: &[u32], work: impl FnOnce() -> T + Send) -> T {
    let become_user = || {
        // SAFETY: numbers, and a list that lives.
        unsafe {
            assert_eq!(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()), 0);
            assert_eq!(libc::syscall(libc::SYS_setresgid, gid, gid, gid), 0);
            assert_eq!(libc::syscall(libc::SYS_setresuid, uid, uid, uid), 0);
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(become_user).join().unwrap())
}
