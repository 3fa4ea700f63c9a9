//! The processes of the simulated world: how they live, and how they take a signal.

use crate::rng::Rng;
use crate::specs::{ms, secs};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid};
use minisup::core::plan::Kind;
use minisup::core::signal::Signal;
use std::time::Duration;

/// A process, from fork until it is reaped.
pub struct Process {
    pub instance: InstanceId,
    /// The main process of its tree: itself, or an ancestor.
    pub leader: Pid,
    /// It did setsid twice and nobody knows any more whose it was.
    pub stray: bool,
    /// It has become the program.
    pub program: bool,
    /// It stopped (SIGSTOP): signals wait until it goes on.
    pub stopped: bool,
    /// The signal that waits.
    pub waiting: Option<Signal>,
    /// It ended, and has not been reaped.
    pub zombie: bool,
    /// It got KILL: it does nothing any more but end, when it wakes from its sleep in the kernel.
    pub doomed: bool,
    pub life: Life,
}

/// What a process is going to do if nobody disturbs it.
#[derive(Clone)]
pub struct Life {
    /// It becomes the program after so long, if at all.
    pub exec: Duration,
    pub exec_fails: Option<u8>,
    /// It ends so soon that its end is heard before its exec.
    pub flash: bool,
    /// It ends by itself after so long.
    pub end: Option<(Duration, Outcome)>,
    /// It gets ready after so long.
    pub ready: Option<Duration>,
    /// It stops answering after so long.
    pub sick: Option<Duration>,
    /// It stops itself after so long.
    pub halt: Option<Duration>,
    /// It hands over to an heir after so long.
    pub heir: Option<Duration>,
    /// How it takes a stop signal.
    pub manner: Manner,
    /// Processes it forks, and how each of them takes a stop signal.
    pub children: Vec<(Manner, bool)>,
}

/// How a process takes a stop signal.
#[derive(Clone, Copy)]
pub enum Manner {
    /// The signal ends it.
    Dies,
    /// It cleans up and exits.
    Leaves(Duration, u8),
    /// Only KILL ends it.
    Ignores,
    /// It sleeps in the kernel: not even KILL ends it.
    Sleeps,
}

impl Life {
    pub fn random(rng: &mut Rng, kind: Kind) -> Life {
        let code = rng.pick(&[0, 0, 1, 3, 42, 42]);
        let crash = rng.pick(&[
            Outcome::Exited(code),
            Outcome::Exited(1),
            Outcome::Killed(Signal::KILL),
            Outcome::Killed(Signal::from_number(11).expect("SEGV")),
        ]);
        let end = match kind {
            Kind::Oneshot if rng.percent(75) => Some((rng.upto(secs(3)), Outcome::Exited(0))),
            Kind::Oneshot if rng.percent(80) => Some((rng.upto(secs(2)), crash)),
            Kind::Oneshot => None,
            Kind::Longrun if rng.percent(50) => None,
            Kind::Longrun if rng.percent(50) => Some((rng.upto(ms(200)), crash)),
            Kind::Longrun => Some((rng.upto(secs(20)), crash)),
        };
        let children = match rng.below(10) {
            0..=6 => 0,
            7 | 8 => 1,
            _ => 2,
        };
        Life {
            exec: match rng.percent(2) {
                true => secs(100),
                false => rng.pick(&[Duration::ZERO, ms(1), ms(1), ms(30), ms(30), secs(2)]),
            },
            flash: rng.percent(5),
            exec_fails: rng.percent(4).then(|| rng.pick(&[126, 127, 1])),
            end,
            ready: (!rng.percent(10)).then(|| rng.pick(&[Duration::ZERO, ms(20), secs(1), secs(5)])),
            sick: rng.percent(25).then(|| rng.upto(secs(15))),
            halt: rng.percent(5).then(|| rng.upto(secs(5))),
            heir: None,
            manner: Manner::random(rng),
            children: (0..children).map(|_| (Manner::random(rng), rng.percent(15))).collect(),
        }
    }

    /// Of a process that another process has forked.
    pub fn of_child(manner: Manner) -> Life {
        Life {
            exec: Duration::ZERO,
            exec_fails: None,
            flash: false,
            end: None,
            ready: None,
            sick: None,
            halt: None,
            heir: None,
            manner,
            children: Vec::new(),
        }
    }
}

impl Manner {
    fn random(rng: &mut Rng) -> Manner {
        match rng.below(100) {
            0..=39 => Manner::Dies,
            40..=79 => Manner::Leaves(rng.upto(secs(3)), rng.pick(&[0, 0, 143, 1])),
            80..=98 => Manner::Ignores,
            _ => Manner::Sleeps,
        }
    }
}

/// What a signal does to a process now.
pub enum Effect {
    None,
    Ends(Duration, Outcome),
}

impl Process {
    pub fn take(&mut self, signal: Signal, rng: &mut Rng) -> Effect {
        let deadly = [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal);
        match signal {
            Signal::KILL if matches!(self.life.manner, Manner::Sleeps) => {
                self.doomed = true;
                Effect::None
            }
            _ if matches!(self.life.manner, Manner::Sleeps) => Effect::None,
            Signal::KILL => {
                self.doomed = true;
                Effect::Ends(rng.upto(ms(50)), Outcome::Killed(signal))
            }
            Signal::STOP => {
                self.stopped = true;
                Effect::None
            }
            Signal::CONT => {
                self.stopped = false;
                match self.waiting.take() {
                    Some(signal) => self.take(signal, rng),
                    None => Effect::None,
                }
            }
            _ if self.stopped => {
                self.waiting = Some(signal);
                Effect::None
            }
            // Before exec every signal has its default action.
            _ if !self.program => Effect::Ends(Duration::ZERO, Outcome::Killed(signal)),
            _ if !deadly => Effect::None,
            _ => match self.life.manner {
                Manner::Dies => Effect::Ends(Duration::ZERO, Outcome::Killed(signal)),
                Manner::Leaves(after, code) => Effect::Ends(after, Outcome::Exited(code)),
                Manner::Ignores | Manner::Sleeps => Effect::None,
            },
        }
    }
}
