//! How far it is: a bar on a terminal, a line every ten seconds in a log, and a word to whoever supervises us.
//!
//! What is counted is what clients have taken of the scripts, which is what they have done but for what a
//! pipe holds. A packed script counts by its bytes as they lie there, six times: so much larger a dump
//! usually is. That nothing moves is said, too, with the statement that is at work: an index that takes an
//! hour to be built looks like a hang, and only to somebody who is told so it does not.
//!
//! This file decides what is to be said and when; it is told the time and what happened.

use crate::core::size::size_text;
use crate::core::time::Moment;
use crate::init::voice;
use crate::sys::{clock, fd, terminal};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// A line of progress in a log, so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The bar changes at most so often: no eye follows more.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// A supervisor hears at most so often.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Nothing taken for so long is a stall; said again whenever twice that time has passed.
const STALL: Duration = Duration::from_secs(30);

/// The rate is that of so long.
const RATE_SPAN: Duration = Duration::from_secs(30);

/// What one byte of a packed script stands for.
pub const PACKED_WEIGHT: u64 = 6;

/// Something to be said, and to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    /// A line for people.
    Line(String),
    /// What stands below all lines on a terminal; `None`: nothing any more.
    Bar(Option<String>),
    /// `STATUS=` for the supervisor.
    Status(String),
}

/// Where a script is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Bytes taken of the file, as it lies there, and of those that it names.
    pub taken: u64,
    /// Bytes that the client got.
    pub given: u64,
    /// The line of the script, unpacked, from 1; 0: not known.
    pub line: u64,
    /// All has been given; the client is at the rest.
    pub is_over: bool,
}

/// How far all scripts are.
pub struct Progress {
    say: Box<dyn FnMut(Say)>,
    /// Columns of the terminal; `None`: it is a log.
    columns: Option<usize>,
    /// How many scripts there are, and what they weigh together.
    count: usize,
    total: u64,
    /// What those before this one weigh.
    done: u64,
    script: Option<Script>,
    status: String,
    status_at: Option<Moment>,
    /// What the supervisor hears that we do.
    doing: &'static str,
}

/// The script that runs.
struct Script {
    number: usize,
    name: String,
    size: u64,
    weight: u64,
    /// Whether its bytes are counted: not those of a `.sh`.
    is_counted: bool,
    began: Moment,
    place: Place,
    moved: Moment,
    told_stall: Duration,
    line_at: Moment,
    bar_at: Option<Moment>,
    samples: VecDeque<(Moment, u64)>,
}

impl Progress {
    /// For so many scripts that weigh so much together, told to people on stderr and to the supervisor
    /// that this environment names.
    pub fn new(count: usize, total: u64, environment: &[(OsString, OsString)]) -> Progress {
        let socket = environment.iter().find(|(name, value)| name == "NOTIFY_SOCKET" && !value.is_empty());
        let socket = socket.and_then(|(_, address)| Supervisor::new(address).ok());
        let stderr = io::stderr();
        let is_dumb =
            environment.iter().all(|(name, value)| name != "TERM" || value == "dumb" || value.is_empty());
        let columns = (fd::is_terminal(&stderr) && !is_dumb)
            .then(|| terminal::window(&stderr).map_or(80, |(columns, _)| usize::from(columns)));
        let say = move |said| match said {
            Say::Line(text) => voice::tell(text),
            Say::Bar(text) => voice::show_bar(text),
            Say::Status(text) => socket.iter().for_each(|socket| socket.hear(&text)),
        };
        Progress::with(count, total, columns, say)
    }

    /// With somebody else who says it.
    pub fn with(
        count: usize,
        total: u64,
        columns: Option<usize>,
        say: impl FnMut(Say) + 'static,
    ) -> Progress {
        Progress {
            say: Box::new(say),
            columns,
            count,
            total,
            done: 0,
            script: None,
            status: String::new(),
            status_at: None,
            doing: "initialising",
        }
    }

    /// The supervisor hears this word instead of `initialising`.
    pub fn called(self, doing: &'static str) -> Progress {
        Progress { doing, ..self }
    }

    /// Those before this one are done already: an interrupted start goes on.
    pub fn skip(&mut self, weight: u64) {
        self.done += weight;
    }

    /// Something other than a script is done now: `making the data directory`.
    pub fn stage(&mut self, what: &str) {
        self.tell_status(format!("{}: {what}", self.doing), clock::now(), true);
    }

    /// A script begins: the how manieth, from 1, its name, its bytes with those of the files that it names,
    /// what it weighs, and whether it will be heard how far it is.
    pub fn begin(&mut self, number: usize, name: &str, size: u64, weight: u64, is_counted: bool) {
        self.begin_at(number, name, size, weight, is_counted, clock::now());
    }

    fn begin_at(&mut self, number: usize, name: &str, size: u64, weight: u64, is_counted: bool, now: Moment) {
        self.script = Some(Script {
            number,
            name: name.to_owned(),
            size,
            weight,
            is_counted,
            began: now,
            place: Place { line: u64::from(is_counted), ..Place::default() },
            moved: now,
            told_stall: Duration::ZERO,
            line_at: now,
            bar_at: None,
            samples: VecDeque::from([(now, 0)]),
        });
        self.show(now);
    }

    /// It is here now. `statement` is asked for only if it is needed.
    pub fn reached(&mut self, place: Place, statement: impl FnOnce() -> Option<String>) {
        self.reached_at(place, statement, clock::now());
    }

    fn reached_at(&mut self, place: Place, statement: impl FnOnce() -> Option<String>, now: Moment) {
        let Some(script) = &mut self.script else { return };
        if place != script.place {
            if script.told_stall > Duration::ZERO {
                let text =
                    format!("{}: it goes on after {}", script.title(self.count), time(now - script.moved));
                (self.say)(Say::Line(text));
                script.line_at = now;
            }
            (script.place, script.moved, script.told_stall) = (place, now, Duration::ZERO);
        }
        if script.samples.back().is_none_or(|(last, _)| now - *last >= Duration::from_secs(1)) {
            script.samples.push_back((now, place.taken));
            while script.samples.len() > 2 && now - script.samples[0].0 > RATE_SPAN {
                script.samples.pop_front();
            }
        }
        let still = now - script.moved;
        if still >= STALL && still >= script.told_stall * 2 {
            script.told_stall = still;
            script.line_at = now;
            let text = format!("{}: {}", script.title(self.count), script.stall(still, statement()));
            (self.say)(Say::Line(text));
        }
        self.show(now);
    }

    /// The script ended: `true` says so with what it took, `false` says nothing.
    pub fn end(&mut self, is_success: bool) {
        self.end_at(is_success, clock::now());
    }

    fn end_at(&mut self, is_success: bool, now: Moment) {
        let Some(script) = self.script.take() else { return };
        if self.columns.is_some() {
            (self.say)(Say::Bar(None));
        }
        if is_success {
            self.done += script.weight;
            let took = now - script.began;
            let how_much = match script.is_counted && script.size > 0 {
                true => format!(
                    ", {}{}",
                    size_text(script.size),
                    rate(script.place.taken, took).unwrap_or_default()
                ),
                false => String::new(),
            };
            (self.say)(Say::Line(format!("{}: done in {}{how_much}", script.title(self.count), time(took))));
            self.tell_status(
                format!("{} {}/{}, {} %", self.doing, script.number, self.count, self.percent()),
                now,
                true,
            );
        }
    }

    /// Says what is due: a bar or a line, and the status.
    fn show(&mut self, now: Moment) {
        let percent = self.percent();
        let Some(script) = &mut self.script else { return };
        let status = format!("{} {}/{}, {percent} %", self.doing, script.number, self.count);
        let far = script.far(self.total.saturating_sub(self.done), now);
        match self.columns {
            Some(columns) if script.bar_at.is_none_or(|last| now - last >= BAR_EVERY) => {
                script.bar_at = Some(now);
                (self.say)(Say::Bar(Some(bar(percent, &script.title(self.count), &far, columns))));
            }
            None if now - script.line_at >= LINE_EVERY && script.told_stall == Duration::ZERO => {
                script.line_at = now;
                (self.say)(Say::Line(format!("{}: {far}", script.title(self.count))));
            }
            Some(_) | None => {}
        }
        self.tell_status(status, now, false);
    }

    /// Of all scripts; a hundred only when the last has ended.
    fn percent(&self) -> u64 {
        let here = self.script.as_ref().map_or(0, Script::done);
        let percent = (self.done + here).saturating_mul(100).checked_div(self.total).unwrap_or(100);
        percent.min(if self.script.is_some() { 99 } else { 100 })
    }

    fn tell_status(&mut self, text: String, now: Moment, is_due: bool) {
        let is_due = is_due || self.status_at.is_none_or(|last| now - last >= STATUS_EVERY);
        if is_due && text != self.status {
            (self.say)(Say::Status(text.clone()));
            (self.status, self.status_at) = (text, Some(now));
        }
    }
}

impl Script {
    fn title(&self, count: usize) -> String {
        format!("script {} of {count}, {}", self.number, self.name)
    }

    /// What of its weight is done.
    fn done(&self) -> u64 {
        let part = u128::from(self.weight) * u128::from(self.place.taken.min(self.size));
        part.checked_div(u128::from(self.size)).map_or(0, |done| done as u64)
    }

    /// `41 %, 68 of 167 MB, 14 MB/s, 7 s left, line 120345`.
    fn far(&self, weight_left: u64, now: Moment) -> String {
        let took = now - self.began;
        if !self.is_counted {
            return format!("runs since {}", time(took));
        }
        let (size, taken) = (self.size, self.place.taken.min(self.size));
        let percent = taken.saturating_mul(100).checked_div(size).unwrap_or(100);
        let mut text = format!("{percent} %, {} of {}", size_text(taken), size_text(size));
        let (first, last) = (self.samples.front(), self.samples.back());
        let (since, from) = first.copied().unwrap_or((self.began, 0));
        let to = last.map_or(0, |(_, taken)| *taken);
        if let Some(rate) = rate(to.saturating_sub(from), last.map_or(now, |(at, _)| *at) - since) {
            text += &rate;
            // By weight, for the scripts that follow may be packed otherwise.
            let moved = (to - from) as f64 * self.weight as f64 / size.max(1) as f64;
            let left = weight_left.saturating_sub(self.done()) as f64;
            let seconds = left / moved * (last.map_or(now, |(at, _)| *at) - since).as_secs_f64();
            if let Ok(span) = Duration::try_from_secs_f64(seconds) {
                text += &format!(", {} left", time(span));
            }
        }
        if self.place.line > 0 {
            text += &format!(", line {}", self.place.line);
        }
        text
    }

    fn stall(&self, still: Duration, statement: Option<String>) -> String {
        let still = time(still);
        if !self.is_counted {
            return format!("runs since {still}");
        }
        let what = match self.place.is_over {
            true => format!("all of it has been read; the client has been at the rest for {still}"),
            false => format!("nothing more of it was read for {still}"),
        };
        match statement {
            Some(statement) => format!("{what}, at line {}: {statement}", self.place.line),
            None => what,
        }
    }
}

/// `[=====>----] 41 %  script 3 of 7, x.sql: …`, no wider than the terminal.
fn bar(percent: u64, title: &str, far: &str, columns: usize) -> String {
    const CELLS: usize = 24;
    let full = CELLS * percent as usize / 100;
    let whole = format!("[{}{}] {percent:3} %  {title}: {far}", "#".repeat(full), "-".repeat(CELLS - full));
    // In the last column many terminals would wrap.
    whole.chars().filter(|c| !c.is_control()).take(columns.saturating_sub(1)).collect()
}

/// `, 14 MB/s`, if it is worth saying.
fn rate(bytes: u64, span: Duration) -> Option<String> {
    let seconds = span.as_secs_f64();
    (seconds >= 0.5 && bytes > 0).then(|| format!(", {}/s", size_text((bytes as f64 / seconds) as u64)))
}

/// `0.4 s`, `12 s`, `3 m 12 s`, `5 h 3 m`.
fn time(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The socket of sd_notify(3).
struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Supervisor {
    /// A path, or an abstract name behind `@`.
    fn new(address: &OsStr) -> io::Result<Supervisor> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(Path::new(address))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Supervisor { socket, address })
    }

    /// Whether anybody listens is not our business.
    fn hear(&self, status: &str) {
        let _ = self.socket.send_to_addr(format!("STATUS={status}").as_bytes(), &self.address);
    }
}

#[cfg(test)]
mod tests;
