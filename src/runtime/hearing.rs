//! Descriptors on which services speak to us: whether their launch succeeded, sd_notify
//! messages, the newline of a readiness descriptor.
//!
//! They are few, or short-lived, and none needs a task of its own: one epoll holds them all,
//! and its one descriptor wakes the loop.

use super::turn::Turn;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::sorted::Map;
use crate::core::time::Moment;
use crate::log::StreamId;
use crate::sys::watch::{Kept, Watched};
use crate::sys::{clock, notify};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// So many voices are taken in one turn.
const AT_ONCE: usize = 64;

/// So many messages of one service are taken in one turn.
const NOTES_AT_ONCE: usize = 64;

/// So long nobody is heard when somebody has more to say than was taken: everything else has its turn.
const PAUSE: Duration = Duration::from_millis(1);

/// So much of what a service writes on its readiness descriptor is taken in one turn: s6 ends at
/// the first newline.
const READY_BYTES: usize = 256;

/// So many characters of what a service says of itself are kept.
const SAID_MAX: usize = 200;

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voice {
    /// It is known whether the launch of this instance succeeded.
    Verdict(InstanceId),
    /// This instance sent an sd_notify message.
    Notify(InstanceId),
    /// This instance wrote on its readiness descriptor.
    Descriptor(InstanceId),
}

/// Everything we listen to.
pub(super) struct Hearing {
    epoll: Watched<Kept<Arc<Epoll>>>,
    sockets: Map<InstanceId, (Pid, notify::Socket)>,
    descriptors: Map<InstanceId, (Pid, OwnedFd)>,
    matchers: Vec<(StreamId, InstanceId, Pid)>,
    /// Set when somebody has more to say than was taken.
    pausing_until: Option<Moment>,
}

impl Voice {
    fn token(self) -> u64 {
        let (kind, instance) = match self {
            Voice::Verdict(instance) => (0, instance),
            Voice::Notify(instance) => (1, instance),
            Voice::Descriptor(instance) => (2, instance),
        };
        kind << 32 | u64::from(instance.0)
    }

    fn from_token(token: u64) -> Voice {
        let instance = InstanceId(token as u32);
        match token >> 32 {
            0 => Voice::Verdict(instance),
            1 => Voice::Notify(instance),
            _ => Voice::Descriptor(instance),
        }
    }
}

impl Hearing {
    /// Hears nobody yet. Call it within a tokio runtime.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn new() -> io::Result<Hearing> {
        let epoll = Watched::new(Kept(Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?)))?;
        Ok(Hearing {
            epoll,
            sockets: Map::new(),
            descriptors: Map::new(),
            matchers: Vec::new(),
            pausing_until: None,
        })
    }

    /// Listens to this descriptor until it is closed.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC: the kernel has no room for another one.
    pub(super) fn listen(&self, fd: impl AsFd, voice: Voice) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, voice.token()))?)
    }

    pub(super) fn add_socket(
        &mut self,
        instance: InstanceId,
        pid: Pid,
        socket: notify::Socket,
    ) -> io::Result<()> {
        self.listen(socket.as_fd(), Voice::Notify(instance))?;
        self.sockets.insert(instance, (pid, socket));
        Ok(())
    }

    pub(super) fn add_descriptor(&mut self, instance: InstanceId, pid: Pid, fd: OwnedFd) -> io::Result<()> {
        self.listen(fd.as_fd(), Voice::Descriptor(instance))?;
        self.descriptors.insert(instance, (pid, fd));
        Ok(())
    }

    pub(super) fn add_matcher(&mut self, stream: StreamId, instance: InstanceId, pid: Pid) {
        self.matchers.push((stream, instance, pid));
    }

    /// A line of this stream matched: whose readiness is that? Asked once.
    pub(super) fn matched(&mut self, stream: StreamId) -> Option<(InstanceId, Pid)> {
        let index = self.matchers.iter().position(|(of, ..)| *of == stream)?;
        let (_, instance, pid) = self.matchers.swap_remove(index);
        Some((instance, pid))
    }

    /// This instance has nothing more to tell.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        // Closing it would not do: a child between its launch and its exec has it open, too.
        if let Some((_, socket)) = self.sockets.remove(&instance) {
            let _ = self.epoll.delete(&socket);
        }
        self.close_descriptor(instance);
        self.matchers.retain(|(_, of, _)| *of != instance);
    }

    /// What one main process speaks by, its heir speaks by.
    pub(super) fn hand_over(&mut self, from: Pid, to: Pid) {
        let sockets = self.sockets.values_mut().map(|(pid, _)| pid);
        let descriptors = self.descriptors.values_mut().map(|(pid, _)| pid);
        let matchers = self.matchers.iter_mut().map(|(.., pid)| pid);
        sockets.chain(descriptors).chain(matchers).filter(|pid| **pid == from).for_each(|pid| *pid = to);
    }

    fn close_descriptor(&mut self, instance: InstanceId) {
        if let Some((_, fd)) = self.descriptors.remove(&instance) {
            let _ = self.epoll.delete(&fd);
        }
    }

    /// Returns when somebody speaks, or has more to say.
    pub(super) async fn ready(&self) {
        match self.pausing_until.map(|until| until.since(clock::now())) {
            Some(pause) if pause.is_zero() => {}
            Some(pause) => sleep(pause).await,
            None => self.epoll.ready().await,
        }
    }

    /// Not all has been taken that there was.
    fn go_on_later(&mut self) {
        self.pausing_until = Some(clock::now() + PAUSE);
    }

    /// Who speaks now.
    pub(super) fn heard(&mut self) -> Vec<Voice> {
        self.pausing_until = None;
        let mut all = Vec::new();
        let mut events = [EpollEvent::empty(); AT_ONCE];
        while let Ok(count) = self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            for event in &events[..count] {
                let voice = Voice::from_token(event.data());
                if all.contains(&voice) {
                    return all;
                }
                all.push(voice);
            }
            if count < AT_ONCE {
                break;
            }
        }
        all
    }
}

impl Turn {
    pub(super) fn take_verdict(&mut self, instance: InstanceId) {
        // A failed launch is told by the death that follows it.
        if let Some((pid, is_ready)) = self.launches.executed(instance) {
            self.tell(Input::Executed { instance, pid });
            if is_ready {
                self.tell(Input::Ready { instance, pid });
            }
            self.perform_all();
        }
    }

    /// What sd_notify(3) knows and we heed: READY, STATUS, WATCHDOG. A message is one or more
    /// `NAME=value` lines.
    pub(super) fn take_notes(&mut self, instance: InstanceId) {
        let Some((pid, socket)) = self.hearing.sockets.get_mut(&instance) else { return };
        let pid = *pid;
        let mut messages = Vec::new();
        while messages.len() < NOTES_AT_ONCE
            && let Some(message) = socket.receive()
        {
            messages.push(message);
        }
        if messages.len() == NOTES_AT_ONCE {
            self.hearing.go_on_later();
        }
        // Whoever has sent one message sends the next.
        let mut last = (pid, true);
        for message in messages {
            // Not of our PID namespace: another container's, in the same network namespace.
            let Some(from) = message.from else { continue };
            if last.0 != from {
                last = (from, self.may_speak(from, pid));
            }
            if !last.1 {
                continue;
            }
            for line in message.text.split(|b| *b == b'\n') {
                match line {
                    b"READY=1" => self.ready(instance, pid),
                    b"WATCHDOG=1" => self.tell(Input::Alive { instance, pid }),
                    _ => {
                        if let Some(text) = line.strip_prefix(b"STATUS=") {
                            self.tell(Input::Said { instance, pid, text: one_line(text) });
                        }
                    }
                }
            }
        }
        self.perform_all();
    }

    /// Whether a process is heard as one of the service with this main process. One that has ended by now (a
    /// short `systemd-notify`) may have been anybody's; only who is known to be another service's is not heard.
    fn may_speak(&self, from: Pid, main: Pid) -> bool {
        let may = self.main_of(from).is_none_or(|of| of == main);
        if !may {
            log::debug!("pid {from} of another service speaks to the socket of pid {main}: not heeded");
        }
        may
    }

    /// s6's protocol: everything up to the first newline is ignored, the newline is the news.
    pub(super) fn take_newline(&mut self, instance: InstanceId) {
        let Some((pid, fd)) = self.hearing.descriptors.get(&instance) else { return };
        let pid = *pid;
        let mut bytes = [0u8; READY_BYTES];
        match nix::unistd::read(fd, &mut bytes) {
            Ok(0) => self.hearing.close_descriptor(instance),
            Ok(count) if bytes[..count].contains(&b'\n') => {
                self.hearing.close_descriptor(instance);
                self.ready(instance, pid);
                self.perform_all();
            }
            // Of what is left in there the kernel does not tell again.
            Ok(READY_BYTES) => self.hearing.go_on_later(),
            Ok(_) | Err(_) => {}
        }
    }
}

/// What a service says of itself, as it may be shown to people: without anything that a terminal
/// would obey, and not longer than a line.
fn one_line(text: &[u8]) -> Rc<str> {
    let text = String::from_utf8_lossy(text);
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    let all = text.trim().chars().map(tame);
    match all.clone().nth(SAID_MAX) {
        None => all.collect::<String>().into(),
        Some(_) => all.take(SAID_MAX - 1).chain(['…']).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_a_line_that_moves_no_cursor() {
        assert_eq!(&*one_line("initialising 3/7, 41 %".as_bytes()), "initialising 3/7, 41 %");
        assert_eq!(&*one_line(b" a\x1b[2J\tb\r"), "a [2J b");
        assert_eq!(&*one_line(b"\xff"), "\u{fffd}");
        assert_eq!(&*one_line(b"  "), "");
        let long = one_line("ü".repeat(4000).as_bytes());
        assert_eq!((long.chars().count(), long.chars().last()), (SAID_MAX, Some('…')));
        assert_eq!(&*one_line("ü".repeat(SAID_MAX).as_bytes()), "ü".repeat(SAID_MAX));
    }
}
