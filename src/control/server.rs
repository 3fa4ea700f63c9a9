//! All clients of the supervisor, and who is heard when.
//!
//! As with the log pump, a client is a small struct, not a task: all of them hang on one epoll
//! with the socket itself, and its one descriptor wakes the loop of PID 1. There
//!
//! ```ignore
//! loop {
//!     select! {
//!         () = server.ready() => server.turn(),
//!         // signals, deaths, logs …
//!     }
//!     while let Some(heard) = server.poll_heard() { … server.answer(client, &reply) … }
//! }
//! ```
//!
//! Nothing here waits. One turn takes at most one request from each client, so ten that ask
//! without a pause keep nobody else from his turn. What a client may cost is written in
//! [`connection`](super::connection); how many there may be, and for how long they may be
//! silent, here.

use super::connection::{Connection, Fate, Line};
use super::listen::Listener;
use super::wire::{self, ErrorKind, Event, REQUEST_MAX, Reply, Request};
use crate::core::time::Moment;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// So many clients at once. One more takes the place of the one that has been idle for longest.
pub const CLIENTS_MAX: usize = 64;

/// Who asks nothing for so long, or takes nothing of what it was answered, is sent away.
pub const IDLE: Duration = Duration::from_secs(60);

/// Whoever has been there for less is not sent away to make room.
const GREETING: Duration = Duration::from_secs(1);

/// Where no descriptor is free for a client, it is tried again after this.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);

/// So many clients are let in in one turn.
const AT_ONCE: usize = 16;

/// The socket's token; clients have their place in the table.
const DOOR: u64 = u64::MAX;

/// What epoll says of this client; a later one in the same place has another.
fn token(index: u32, serial: u32) -> u64 {
    u64::from(serial) << 32 | u64::from(index)
}

/// What the server is told from above.
pub struct House {
    /// Now.
    pub clock: fn() -> Moment,
    /// What a client is told that has missed so many events.
    pub dropped: fn(u64) -> Event,
    /// Whether whoever is at the other end may command us.
    pub may_command: Box<dyn Fn(BorrowedFd<'_>) -> bool>,
}

/// A client. It keeps its number until it is [`Heard::Gone`], and nobody gets it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientId {
    index: u32,
    serial: u32,
}

/// What clients do.
#[derive(Debug)]
pub enum Heard {
    /// This client asks this, and nothing more before it has been answered.
    Asked(ClientId, Request),
    /// It has taken all that it got, and its request is still open.
    Emptied(ClientId),
    /// It has gone without waiting for the answer.
    Gone(ClientId),
}

/// See the head of this file.
pub struct Server {
    epoll: AsyncFd<EpollFd>,
    listener: Option<Listener>,
    house: House,
    clients: Vec<Option<Connection>>,
    next_serial: u32,
    heard: VecDeque<Heard>,
    /// Clients whose next request has come already.
    again: VecDeque<u32>,
    /// Clients that have more to get in the next turn.
    reminders: Vec<ClientId>,
    /// There may be more than the last turn has taken.
    has_more: bool,
    /// When somebody has been idle for too long, or the door is to be opened again.
    alarm: Option<Moment>,
    /// The door is closed until then: no descriptor was free.
    closed_until: Option<Moment>,
}

struct EpollFd(Epoll);

impl AsRawFd for EpollFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Server {
    /// Hears who comes to this listener; without one nobody does. Call it within a tokio runtime.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(listener: Option<Listener>, house: House) -> io::Result<Server> {
        let epoll = EpollFd(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        if let Some(listener) = &listener {
            epoll.0.add(listener.socket(), EpollEvent::new(EpollFlags::EPOLLIN, DOOR))?;
        }
        // Deprecated because a type might close its descriptor early; this one keeps it.
        #[expect(deprecated)]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)?;
        Ok(Server {
            epoll,
            listener,
            house,
            clients: Vec::new(),
            next_serial: 0,
            heard: VecDeque::new(),
            again: VecDeque::new(),
            reminders: Vec::new(),
            has_more: false,
            alarm: None,
            closed_until: None,
        })
    }

    /// Returns when [`turn`](Self::turn) has something to do. May be dropped at any time.
    pub async fn ready(&self) {
        if self.has_more {
            // Signals and deadlines come first: the runtime sees to them while we yield.
            tokio::task::yield_now().await;
            return;
        }
        let woken = async {
            match self.epoll.readable().await {
                // Cleared before it is read: what comes in between is told again.
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => std::future::pending().await,
            }
        };
        match self.alarm {
            None => woken.await,
            Some(at) => drop(timeout(at.since((self.house.clock)()), woken).await),
        }
    }

    /// Does what can be done without waiting: lets clients in, reads at most one request of each.
    pub fn turn(&mut self) {
        let now = (self.house.clock)();
        self.heard.extend(self.reminders.drain(..).map(Heard::Emptied));
        for _ in 0..self.again.len() {
            if let Some(index) = self.again.pop_front() {
                self.take_request(index);
                self.settle(index);
            }
        }
        let mut events = [EpollEvent::empty(); CLIENTS_MAX];
        let count = self.epoll().wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in &events[..count] {
            match event.data() {
                DOOR => self.let_in(now),
                token => self.serve(token, event.events(), now),
            }
        }
        // The next look finds nothing, or what this one has left.
        self.has_more = count > 0 || !self.again.is_empty();
        if self.alarm.is_some_and(|at| at <= now) {
            self.ring(now);
        }
    }

    /// What clients did since the last call.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// The last reply to what this client asked.
    pub fn answer(&mut self, client: ClientId, reply: &Reply) {
        let now = (self.house.clock)();
        self.with(client, |connection| connection.answer(reply, now));
        self.set_alarm(now + IDLE);
    }

    /// A reply that is not the last, and may not be lost.
    pub fn send(&mut self, client: ClientId, reply: &Reply) {
        self.with(client, |connection| connection.send(reply));
    }

    /// Whether this client should get more now; if not, [`Heard::Emptied`] tells when.
    pub fn has_room(&self, client: ClientId) -> bool {
        let place = self.clients.get(client.index as usize).and_then(Option::as_ref);
        place.is_some_and(|connection| connection.serial == client.serial && connection.has_room())
    }

    /// There is more for this client than one turn is to take: [`Heard::Emptied`] comes again.
    pub fn go_on_later(&mut self, client: ClientId) {
        self.reminders.push(client);
        self.has_more = true;
    }

    /// An event or a line of log, written by [`wire::line`] once for all who follow. A client
    /// that is too slow misses it, and is told later how many it missed.
    pub fn tell(&mut self, client: ClientId, line: &[u8]) {
        self.with(client, |connection| connection.tell(line));
    }

    /// Where clients find us, if they do.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.listener.as_ref().map(Listener::path)
    }

    /// The end: nobody is let in any more, the file is removed, and who was answered gets his
    /// answer, but does not make us wait for longer than this. Those who follow have got what
    /// they could take.
    pub fn finish(&mut self, within: Duration) {
        if let Some(listener) = self.listener.take() {
            let _ = self.epoll().delete(listener.socket());
            listener.remove();
        }
        let until = (self.house.clock)() + within;
        let waits = |client: &Connection| client.owes() && !client.is_asking;
        while self.clients.iter().flatten().any(waits) {
            let left = until.since((self.house.clock)());
            let left = EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO);
            let mut events = [EpollEvent::empty(); CLIENTS_MAX];
            match self.epoll().wait(&mut events, left) {
                Ok(0) => break,
                Ok(count) => {
                    let now = (self.house.clock)();
                    for event in &events[..count] {
                        self.serve(event.data(), event.events() & !EpollFlags::EPOLLIN, now);
                    }
                    if now >= until {
                        break;
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.clients.clear();
    }

    fn epoll(&self) -> &Epoll {
        &self.epoll.get_ref().0
    }

    /// Does something with a client that is still there.
    fn with(&mut self, client: ClientId, work: impl FnOnce(&mut Connection) -> Fate) {
        let place = self.clients.get_mut(client.index as usize).and_then(Option::as_mut);
        let Some(connection) = place.filter(|connection| connection.serial == client.serial) else { return };
        match work(connection) {
            Fate::Stays => self.settle(client.index),
            Fate::Ends => self.close(client.index),
        }
    }

    /// New clients.
    fn let_in(&mut self, now: Moment) {
        for _ in 0..AT_ONCE {
            let Some(listener) = &self.listener else { return };
            match listener.socket().accept() {
                Ok((stream, _)) => self.greet(stream, now),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        return self.close_door(now);
                    }
                    // The client has gone again.
                    Some(libc::ECONNABORTED | libc::EINTR) => {}
                    _ => return,
                },
            }
        }
    }

    fn greet(&mut self, stream: UnixStream, now: Moment) {
        use std::os::fd::AsFd;
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let mut connection = Connection::new(stream, self.next_serial, now);
        if !(self.house.may_command)(connection.stream.as_fd()) {
            let why = "only the supervisor's own user, root and control_group may command it";
            connection.refuse(ErrorKind::NotPermitted, why);
            return;
        }
        let Some(index) = self.place(now) else {
            connection.refuse(ErrorKind::Busy, &format!("there are {CLIENTS_MAX} clients already"));
            return;
        };
        connection.watched = connection.wanted();
        let event = EpollEvent::new(connection.watched, token(index as u32, connection.serial));
        if self.epoll().add(&connection.stream, event).is_ok() {
            self.next_serial = self.next_serial.wrapping_add(1);
            self.clients[index] = Some(connection);
            self.set_alarm(now + IDLE);
        }
    }

    /// A free place; if there is none, that of the client that has been idle for longest.
    fn place(&mut self, now: Moment) -> Option<usize> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        if self.clients.len() < CLIENTS_MAX {
            self.clients.push(None);
            return Some(self.clients.len() - 1);
        }
        let idle = self.clients.iter().enumerate().filter_map(|(index, client)| {
            let client = client.as_ref().filter(|client| client.is_idle())?;
            (now.since(client.quiet_since) >= GREETING).then_some((client.quiet_since, index))
        });
        let (_, index) = idle.min()?;
        self.close(index as u32);
        Some(index)
    }

    /// Nobody is let in for a while: the kernel would tell us of whoever waits again and again.
    fn close_door(&mut self, now: Moment) {
        if let Some(listener) = &self.listener {
            let _ = self.epoll().delete(listener.socket());
        }
        self.closed_until = Some(now + NO_DESCRIPTOR);
        self.set_alarm(now + NO_DESCRIPTOR);
    }

    /// A client has something for us, or room for something, or has gone.
    fn serve(&mut self, event: u64, flags: EpollFlags, now: Moment) {
        let index = event as u32;
        let place = self.clients.get_mut(index as usize).and_then(Option::as_mut);
        // It may be about whoever had this place before.
        let Some(connection) = place.filter(|one| event == token(index, one.serial)) else { return };
        let is_gone = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        let mut fate = Fate::Stays;
        if flags.contains(EpollFlags::EPOLLOUT) {
            fate = connection.flush(now);
            if connection.is_asking && !connection.owes() {
                self.heard.push_back(Heard::Emptied(ClientId { index, serial: connection.serial }));
            }
        }
        if fate == Fate::Stays && flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP) {
            fate = connection.read(now);
        }
        if fate == Fate::Ends {
            return self.close(index);
        }
        // Who asks and leaves at once has asked all the same.
        self.take_request(index);
        if is_gone { self.close(index) } else { self.settle(index) }
    }

    /// The next request of a client, if it is complete.
    fn take_request(&mut self, index: u32) {
        let Some(connection) = self.clients[index as usize].as_mut() else { return };
        let fate = match connection.next_line() {
            Line::None => Fate::Stays,
            Line::TooLong => {
                let why = format!("a request has at most {REQUEST_MAX} bytes");
                connection.refuse(ErrorKind::BadRequest, &why)
            }
            Line::Whole(line) => match wire::request(&line) {
                Ok(request) => {
                    connection.is_asking = true;
                    let client = ClientId { index, serial: connection.serial };
                    self.heard.push_back(Heard::Asked(client, request));
                    Fate::Stays
                }
                Err((error, message)) => connection.send(&Reply::Error { error, message }),
            },
        };
        if fate == Fate::Ends {
            self.close(index);
        }
    }

    /// After something was done with a client: what is to be watched for now, whether its next
    /// request is there already, whether it is over.
    fn settle(&mut self, index: u32) {
        let Some(connection) = self.clients[index as usize].as_mut() else { return };
        if let Some(count) = connection.take_dropped() {
            let event = (self.house.dropped)(count);
            if connection.tell(&wire::line(&Reply::Event(event))) == Fate::Ends {
                return self.close(index);
            }
        }
        if connection.is_over() {
            return self.close(index);
        }
        if connection.has_more() && !self.again.contains(&index) {
            self.again.push_back(index);
            self.has_more = true;
        }
        let wanted = connection.wanted();
        if wanted != connection.watched {
            connection.watched = wanted;
            let mut event = EpollEvent::new(wanted, token(index, connection.serial));
            let changed = self.epoll.get_ref().0.modify(&connection.stream, &mut event);
            if changed.is_err() {
                self.close(index);
            }
        }
    }

    fn close(&mut self, index: u32) {
        if let Some(connection) = self.clients[index as usize].take() {
            // Closing it would not do: a child between its launch and its exec has it open, too.
            let _ = self.epoll().delete(&connection.stream);
            if connection.is_asking {
                self.heard.push_back(Heard::Gone(ClientId { index, serial: connection.serial }));
                // It may have been found out while somebody was told something.
                self.has_more = true;
            }
        }
        self.again.retain(|other| *other != index);
        // Nobody is left to be watched.
        if self.closed_until.is_none() && self.clients.iter().all(Option::is_none) {
            self.alarm = None;
        }
    }

    fn set_alarm(&mut self, at: Moment) {
        self.alarm = Some(self.alarm.map_or(at, |before| before.min(at)));
    }

    /// The alarm: sends away whoever has been idle for too long, and opens the door again.
    fn ring(&mut self, now: Moment) {
        self.alarm = None;
        if let (Some(at), Some(listener)) = (self.closed_until, &self.listener) {
            if at <= now {
                self.closed_until = None;
                let _ = self.epoll().add(listener.socket(), EpollEvent::new(EpollFlags::EPOLLIN, DOOR));
            } else {
                self.set_alarm(at);
            }
        }
        for index in 0..self.clients.len() {
            let Some(client) = self.clients[index].as_ref().filter(|client| client.is_idle()) else {
                continue;
            };
            match client.quiet_since + IDLE {
                at if at <= now => self.close(index as u32),
                at => self.set_alarm(at),
            }
        }
    }
}

#[cfg(test)]
mod tests;
