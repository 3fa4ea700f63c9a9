//! One stream of a child: whose it is, where it leads, how it is read.

use super::cut::Cutter;
use super::files::{FileId, Files};
use super::follow::FollowerId;
use super::format::Look;
use crate::core::ids::{InstanceId, Pid};
use crate::core::plan::WhenFull;
use regex_lite::Regex;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// One stream, for as long as it is open. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamId {
    pub(super) index: u32,
    pub(super) serial: u32,
}

/// Stdout or stderr.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Std {
    Out,
    Err,
}

/// Whose lines these are.
#[derive(Clone, Debug)]
pub struct Source {
    service: Rc<str>,
    label: Rc<str>,
    slot: InstanceId,
    /// `u32::MAX`: the only one.
    number: u32,
    /// 0: not known yet.
    pid: i32,
    colour: u8,
    stream: Std,
}

impl Source {
    /// `slot` is the instance, `number` its number within the service: `None` if it is the only one.
    pub fn new(service: Rc<str>, slot: InstanceId, number: Option<u32>, stream: Std) -> Source {
        let label = match number {
            None => Rc::clone(&service),
            Some(number) => format!("{service}:{number}").into(),
        };
        Source { service, label, slot, number: number.unwrap_or(u32::MAX), pid: 0, colour: 0, stream }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What stands before its lines: `web`, or `web:1` where there are several.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The same with the colour of this number.
    pub fn coloured(self, colour: u8) -> Source {
        Source { colour, ..self }
    }

    /// The number of its colour.
    pub fn colour(&self) -> u8 {
        self.colour
    }

    /// The instance.
    pub fn slot(&self) -> InstanceId {
        self.slot
    }

    /// Its main process, once that is known.
    pub fn pid(&self) -> Option<Pid> {
        Some(Pid(self.pid)).filter(|pid| pid.0 != 0)
    }

    pub(super) fn set_pid(&mut self, pid: Pid) {
        self.pid = pid.0;
    }

    /// There are several instances now, or only this one.
    pub(super) fn set_number(&mut self, number: Option<u32>) {
        if self.instance() != number {
            let pid = self.pid;
            *self = Source::new(Rc::clone(&self.service), self.slot, number, self.stream);
            self.pid = pid;
        }
    }

    /// The number of the instance, where there are several.
    pub fn instance(&self) -> Option<u32> {
        Some(self.number).filter(|number| *number != u32::MAX)
    }

    /// Which of its streams.
    pub fn stream(&self) -> Std {
        self.stream
    }
}

/// What the pump has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A line of it matched; told once a [`watch`](Pump::watch).
    Matched(StreamId),
    /// Its last writer has closed it, and everything has been read. Not the same as the
    /// process's end: it may close its stdout and live, and its children may keep it open.
    Closed(StreamId),
    /// There is something for this follower: [`Pump::take_followed`](super::Pump::take_followed). Told
    /// again only after everything has been taken.
    Followed(FollowerId),
}

/// How a stream is read: see the head of `pump`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Armed,
    Polled,
    Filling,
    Waiting,
}

/// What the pump knows of one pipe: about 130 bytes.
pub(super) struct Stream {
    pub(super) fd: OwnedFd,
    pub(super) serial: u32,
    /// Which of the container's outputs it leads to, if any.
    pub(super) container: Option<Std>,
    pub(super) mode: Mode,
    /// How lines look there.
    pub(super) look: Look,
    pub(super) when_full: WhenFull,
    pub(super) is_grown: bool,
    pub(super) max_line: u32,
    /// How large the ring of its instance may get.
    pub(super) ring: u32,
    /// When it was last read, in milliseconds since the pump began.
    pub(super) last_read: u32,
    pub(super) dropped: u64,
    pub(super) source: Source,
    pub(super) cutter: Cutter,
    pub(super) watch: Option<Box<Regex>>,
    /// Files that it leads to as well.
    pub(super) files: Box<[FileId]>,
}

impl Stream {
    /// Whether its lines go everywhere exactly as they come.
    pub(super) fn is_verbatim(&self, files: &mut Files) -> bool {
        let mut looks = self.files.iter().filter_map(|id| Some(files.get(*id)?.look()));
        (self.container.is_none() || self.look.is_verbatim()) && looks.all(Look::is_verbatim)
    }
}
