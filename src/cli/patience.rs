//! Waiting for an answer that takes its time: on a terminal one line shows what is waited
//! for, in a pipe there is nothing until the outcome.
//!
//! The line is drawn anew when something happens, which a second connection tells (`events`), and
//! once a second for the clock. A third one asks how those who are waited for are (`status`).
//! Should the supervisor have no room for these two, the line says less. Ctrl-C ends the
//! waiting and not what was asked for, and is told so; hence it is taken, as a descriptor
//! (signalfd(2)).

use super::ask::{self, Socket, Trouble};
use super::text::{self, Redrawn};
use crate::control::client::Client;
use crate::control::wire::{Instance, Reply, Request};
use crate::core::exit::code;
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::sys::{clock, fd, signals};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::SignalFd;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// What is fast needs no line.
const BEFORE_THE_FIRST: Duration = Duration::from_millis(200);
/// The clock of the line goes on.
const BETWEEN_TWO: Duration = Duration::from_secs(1);
/// However much happens, nobody reads faster.
const AT_LEAST: Duration = Duration::from_millis(100);

/// Something that is asked for and waited for.
pub struct Patience<'a> {
    /// Where.
    pub socket: &'a Socket,
    /// What is asked.
    pub request: Request,
    /// "the start of web", to be put before "goes on"; `None` where nothing was begun.
    pub begun: Option<String>,
    /// Whom it is about.
    pub names: &'a [String],
    /// Whether one of them has got there, as far as can be seen.
    pub is_met: &'a dyn Fn(&Instance) -> bool,
    /// What is still to come of one that is ready and has not got there; empty: nothing need be said.
    pub yet: &'static str,
    /// After this time it is given up.
    pub timeout: Option<Duration>,
}

/// What the line shows.
struct View {
    events: Client,
    status: Client,
    drawn: Redrawn,
    /// When it is drawn again even if nothing happens.
    next: Moment,
    drawn_at: Moment,
}

impl Patience<'_> {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// It is a no; or it took too long; or there is nobody any more; or Ctrl-C.
    pub fn reply(&self) -> Result<Reply, Trouble> {
        let began = clock::now();
        let deadline = self.timeout.map(|span| began + span);
        let interrupts = take_interrupts();
        let mut client = self.socket.connect()?;
        client.ask(&self.request).map_err(|error| Trouble::lost(&error))?;
        let mut view = fd::is_terminal(&io::stderr()).then(|| View::open(self.socket, began)).flatten();
        let result = loop {
            let next = view.as_ref().map(|view| view.next);
            let until = [deadline, next].into_iter().flatten().min();
            let mut sources = vec![Some(client.as_fd())];
            sources.push(interrupts.as_ref().map(AsFd::as_fd));
            sources.push(view.as_ref().map(|view| view.events.as_fd()));
            let woken = wait(&sources, until.map(|until| until.since(clock::now())));
            if woken & 1 != 0 {
                match ask::next(&mut client, None) {
                    // An interim reply.
                    Ok(Reply::Event(_) | Reply::Log(_)) => continue,
                    settled => break settled,
                }
            }
            if woken & 2 != 0 {
                break Err(self.interrupted());
            }
            let now = clock::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                break Err(self.too_late());
            }
            if let Some(shown) = &mut view {
                let is_open = woken & 4 == 0 || shown.take_news(now);
                let goes_on = is_open && (now < shown.next || shown.draw(self, began));
                if !goes_on {
                    shown.clear();
                    view = None;
                }
            }
        };
        if let Some(view) = &mut view {
            view.clear();
        }
        result
    }

    fn interrupted(&self) -> Trouble {
        let text = match &self.begun {
            Some(begun) => format!("no longer waiting: {begun} goes on"),
            None => "no longer waiting".to_owned(),
        };
        Trouble::new(128 + Signal::INT.number() as u8, text)
    }

    fn too_late(&self) -> Trouble {
        let limit = text::duration(self.timeout.unwrap_or_default());
        let mut words = format!("not within {limit}");
        let status = self.socket.connect().and_then(|mut client| ask::status(&mut client, self.names));
        if let Ok(status) = status
            && let Some(missing) = self.missing(&status.instances)
        {
            let _ = write!(words, ": {missing}");
        }
        if let Some(begun) = &self.begun {
            let _ = write!(words, "\n{begun} goes on");
        }
        Trouble::new(code::FAILED, words)
    }

    /// The first who is waited for, and how many of how many there are.
    fn missing(&self, instances: &[Instance]) -> Option<String> {
        let missing: Vec<_> = instances.iter().filter(|it| !(self.is_met)(it)).collect();
        let mut first = text::described(missing.first()?);
        if missing[0].ready && !self.yet.is_empty() {
            let _ = write!(first, ", {}", self.yet);
        }
        Some(match missing.len() {
            1 => first,
            several => format!("{first}; and {} more", several - 1),
        })
    }
}

impl View {
    fn open(socket: &Socket, now: Moment) -> Option<View> {
        let (mut events, status) = (socket.connect().ok()?, socket.connect().ok()?);
        events.ask(&Request::Events).ok()?;
        Some(View {
            events,
            status,
            drawn: Redrawn::default(),
            next: now + BEFORE_THE_FIRST,
            drawn_at: now + AT_LEAST,
        })
    }

    /// Takes what has happened: the line is to be drawn soon. Whether there may be more.
    fn take_news(&mut self, now: Moment) -> bool {
        self.next = self.next.min((self.drawn_at + AT_LEAST).max(now));
        drain(&mut self.events).is_some()
    }

    /// Draws the line. Whether it could ask.
    fn draw(&mut self, patience: &Patience, began: Moment) -> bool {
        let Ok(status) = ask::status(&mut self.status, patience.names) else { return false };
        let now = clock::now();
        let passed = text::duration(now.since(began));
        let missing = patience.missing(&status.instances);
        let words = missing.unwrap_or_else(|| "waiting".to_owned());
        let (columns, _) = text::window(&io::stderr());
        // The clock is never cut off.
        let words = text::cut(&words, columns.saturating_sub(passed.chars().count() + 4));
        let line = format!("{words} ({passed})");
        let _ = io::stderr().lock().write_all(self.drawn.draw(&[line]).as_bytes());
        self.drawn_at = now;
        self.next = now + BETWEEN_TWO;
        true
    }

    fn clear(&mut self) {
        let _ = io::stderr().lock().write_all(self.drawn.clear().as_bytes());
    }
}

/// Takes all replies that have come. `None` if there are no more to come.
pub fn drain(client: &mut Client) -> Option<Vec<Reply>> {
    let mut replies = Vec::new();
    while client.has_next() || wait(&[Some(client.as_fd())], Some(Duration::ZERO)) != 0 {
        match client.next(Some(Duration::from_secs(1))) {
            Ok(Some(reply)) => replies.push(reply),
            Ok(None) | Err(_) => return None,
        }
    }
    Some(replies)
}

/// Waits until one of these can be read, or has ended, or the time is over: bit n for the nth.
pub fn wait(sources: &[Option<BorrowedFd>], within: Option<Duration>) -> u32 {
    let present: Vec<_> = sources.iter().enumerate().filter_map(|(n, fd)| Some((n, (*fd)?))).collect();
    let mut polled: Vec<_> = present.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let within = within.map_or(PollTimeout::NONE, |span| {
        // Rounded up, so that what is waited for is over then; a day at most.
        let millis = span.as_nanos().div_ceil(1_000_000).min(86_400_000);
        PollTimeout::try_from(millis as i32).unwrap_or(PollTimeout::MAX)
    });
    while poll(&mut polled, within) == Err(Errno::EINTR) {}
    let ready = polled.iter().zip(&present).filter(|(polled, _)| polled.any() == Some(true));
    ready.fold(0, |bits, (_, (number, _))| bits | 1 << number)
}

/// Ctrl-C comes by this from now on; `None` where whoever started us has it ignored.
fn take_interrupts() -> Option<SignalFd> {
    if signals::ignored_by_parent().contains(Signal::INT) {
        return None;
    }
    let mut set = SigSet::empty();
    set.add(Number::SIGINT);
    set.thread_block().ok()?;
    SignalFd::new(&set).ok()
}
