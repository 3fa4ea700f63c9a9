//! One instance of a service: its states, and what moves it from one to the next.
//!
//! # The model
//!
//! An instance is a process slot. At any moment it is in exactly one [`State`], and a
//! state carries exactly the facts that are true in it: whoever has no process has no
//! pid. What is *wanted* of an instance ([`Want`]) is kept apart from what *is*: an
//! instance that shall be down may still be running, because something that depends on
//! it has to stop first.
//!
//! ```text
//!            Start            Admit            Forked           Executed           Ready
//!  Stopped ────────► Waiting ───────► Launching ─────► Executing ────────► Starting ─────► Running
//!     ▲                 ▲                                                       │              │
//!     │                 │ delay over                                   not ready│      died,   │
//!     │              Backoff ◄──────────── failed, may try again ───────────────┴──── unhealthy┤
//!     │                                                                                        │ Stop
//!     └───────── Sweeping ◄─────── Killing ◄─────── Stopping ◄─────────────────────────────────┘
//!            (rest of the tree)   (grace over)     (asked politely)
//! ```
//!
//! An instance that will not come back rests in Exited (it ended as `restart` allows) or
//! Fatal (it failed too often, or what it requires will never be there).
//!
//! A launch has three steps because the kernel has: the process exists (`Forked`), it has
//! become the program (`Executed`), and it may be depended on (`Ready`). PID 1 never waits
//! for any of them. A kernel that refuses the fork (EAGAIN, ENOMEM, EMFILE) is not the
//! service's failure: the instance tries again, ever slower, and never becomes fatal by it.
//!
//! A *failure in a row* is an end before `min_uptime` or before readiness, whatever the
//! exit code; a failed launch; a readiness that does not come in time; a failed oneshot.
//! `max_failures` of them are fatal. After a longer life the count starts anew, and the
//! next launch is immediate.
//!
//! When the main process has ended but others of its tree live on (nginx workers after
//! their master was killed keep port 80), the instance is Sweeping until they are gone:
//! only then is it really down, and only then may it be launched again.

use super::backoff;
use super::exit::Outcome;
use super::ids::Pid;
use super::instance::{Asking, Checkup, Deed, End, Event, Failure, Instance, Reason, State, Want};
use super::plan::{Kind, Probe, Restart, ServiceSpec};
use super::signal::Signal;
use super::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// From one KILL to the next, for trees that fork faster than they die.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// The longest that one readiness probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// One step: what an event makes of an instance, and what is to be done about it.
///
/// Total: every event is answered in every state, and an event that cannot come in a
/// state changes nothing. `die` is the instance's share of jitter, from 0 to 1.
pub fn step(
    spec: &ServiceSpec,
    die: f64,
    from: Instance,
    event: Event,
    now: Moment,
    deeds: &mut Vec<Deed>,
) -> Instance {
    let mut step = Step { spec, die, now, deeds, it: from };
    let state = std::mem::replace(&mut step.it.state, State::Stopped);
    step.it.state = step.next(state, event);
    step.it
}

struct Step<'a> {
    spec: &'a ServiceSpec,
    die: f64,
    now: Moment,
    deeds: &'a mut Vec<Deed>,
    it: Instance,
}

impl Step<'_> {
    fn next(&mut self, state: State, event: Event) -> State {
        use State::*;
        match event {
            Event::Start => match state {
                Stopped | Exited { .. } | Fatal { .. } | Backoff { .. } => {
                    self.it.failures = 0;
                    Waiting { refused: 0 }
                }
                Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. } => state,
            },
            Event::Stop => match state {
                Waiting { .. } | Backoff { .. } => Stopped,
                Executing { pid, since } | Starting { pid, since, .. } | Running { pid, since, .. } => {
                    self.begin_stop(pid, since, None)
                }
                Stopped
                | Launching { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Replace => match state {
                Executing { pid, since } | Starting { pid, since, .. } | Running { pid, since, .. } => {
                    self.it.failures = 0;
                    self.begin_stop(pid, since, None)
                }
                Stopped | Exited { .. } | Fatal { .. } | Backoff { .. } => {
                    self.it.failures = 0;
                    Waiting { refused: 0 }
                }
                Waiting { .. } | Launching { .. } | Stopping { .. } | Killing { .. } | Sweeping { .. } => {
                    state
                }
            },
            Event::Admit => match state {
                Waiting { refused } => self.launch(refused),
                Stopped
                | Launching { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Lost(service) => match state {
                Waiting { .. } => Fatal { cause: Failure::Requirement(service) },
                Stopped
                | Launching { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Forked(pid) => match state {
                Launching { .. } => Executing { pid, since: self.now },
                Stopped
                | Waiting { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Refused => match state {
                Launching { .. } if self.it.want == Want::Down => Stopped,
                Launching { refused } => {
                    let refused = refused.saturating_add(1);
                    // Never at once, whatever the configuration says: the kernel needs air.
                    let delay =
                        backoff::delay(&self.spec.backoff, refused, self.die).max(Duration::from_millis(10));
                    Backoff { until: self.now + delay, cause: None, refused }
                }
                Stopped
                | Waiting { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Executed => match state {
                Executing { pid, since } => self.started(pid, since),
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::ExecFailed(fault) => match state {
                Executing { .. } | Starting { .. } | Running { .. } | Stopping { .. } | Killing { .. } => {
                    self.it.last = Some(Outcome::Exited(fault.code));
                    self.failed(Failure::Launch(fault))
                }
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Ready => match state {
                Starting { pid, since, .. } => self.run(pid, since),
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Answered(answer) => match (state, answer) {
                (Starting { pid, since, .. }, Ok(())) => self.run(pid, since),
                (Starting { pid, since, .. }, Err(got)) => {
                    let interval = self.spec.ready.as_ref().map_or(Duration::ZERO, |ready| ready.interval);
                    Starting { pid, since, asking: Asking::Next(self.now + interval), last: Some(got) }
                }
                (Running { pid, since, checkup: Some(checkup) }, answer) => {
                    self.checked(pid, since, checkup, answer)
                }
                (
                    state @ (Stopped
                    | Waiting { .. }
                    | Launching { .. }
                    | Executing { .. }
                    | Running { checkup: None, .. }
                    | Stopping { .. }
                    | Killing { .. }
                    | Sweeping { .. }
                    | Backoff { .. }
                    | Exited { .. }
                    | Fatal { .. }),
                    _,
                ) => state,
            },
            Event::Said(text) => match state {
                Starting { pid, since, asking, .. } => Starting { pid, since, asking, last: Some(text) },
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Alive => match state {
                Running { pid, since, checkup: Some(_) } if self.watches_for_life() => Running {
                    pid,
                    since,
                    checkup: self.first_checkup().map(|c| Checkup { healthy: true, ..c }),
                },
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Ended { outcome, leftovers } => match state {
                Executing { pid, .. } | Starting { pid, .. } => {
                    let kill_at = self.now + self.spec.stop.longest();
                    self.ended(
                        pid,
                        End { outcome, reason: Reason::Itself { lived: false } },
                        leftovers,
                        kill_at,
                    )
                }
                Running { pid, since, .. } => {
                    let lived = self.now.since(since) >= self.spec.min_uptime;
                    let kill_at = self.now + self.spec.stop.longest();
                    self.ended(pid, End { outcome, reason: Reason::Itself { lived } }, leftovers, kill_at)
                }
                Stopping { pid, at, next, failure, .. } => {
                    let rest = self.spec.stop.sequence.get(next..).unwrap_or(&[]);
                    let kill_at = rest.iter().fold(at, |at, (_, time)| at + *time);
                    self.ended(pid, End { outcome, reason: Reason::of_stop(failure) }, leftovers, kill_at)
                }
                Killing { pid, failure, .. } => {
                    self.it.forced = true;
                    self.ended(pid, End { outcome, reason: Reason::of_stop(failure) }, leftovers, self.now)
                }
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::TreeGone => match state {
                Sweeping { end, .. } => self.settle(end),
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Hurry => match state {
                Stopping { pid, since, failure, .. } | Killing { pid, since, failure, .. } => {
                    self.kill(pid, since, failure)
                }
                Sweeping { leader, end, .. } => self.sweep(leader, end),
                Executing { pid, since } | Starting { pid, since, .. } | Running { pid, since, .. } => {
                    self.kill(pid, since, None)
                }
                Waiting { .. } | Backoff { .. } => Stopped,
                Stopped | Launching { .. } | Exited { .. } | Fatal { .. } => state,
            },
            Event::Due => self.due(state),
        }
    }

    fn due(&mut self, state: State) -> State {
        use State::*;
        match state {
            Starting { pid, since, asking, last } => {
                let Some(ready) = &self.spec.ready else { return self.run(pid, since) };
                let waited = self.now.since(since);
                if waited >= ready.timeout {
                    return self.begin_stop(pid, since, Some(Failure::NotReady { waited, last }));
                }
                match asking {
                    Asking::Next(at) if at <= self.now => {
                        let limit = PROBE_LIMIT.max(ready.interval).min(ready.timeout - waited);
                        self.deeds.push(Deed::AskReady(pid, limit));
                        Starting { pid, since, asking: Asking::Pending, last }
                    }
                    Asking::Next(_) | Asking::Pending | Asking::Listening => {
                        Starting { pid, since, asking, last }
                    }
                }
            }
            Running { pid, since, checkup: Some(checkup) } => match checkup.asking {
                Asking::Next(at) if at <= self.now && self.watches_for_life() => {
                    self.checked(pid, since, checkup, Err("no WATCHDOG=1 in time".into()))
                }
                Asking::Next(at) if at <= self.now => {
                    let limit = self.spec.health.as_ref().map_or(PROBE_LIMIT, |health| health.timeout);
                    self.deeds.push(Deed::AskHealth(pid, limit));
                    Running { pid, since, checkup: Some(Checkup { asking: Asking::Pending, ..checkup }) }
                }
                Asking::Next(_) | Asking::Pending | Asking::Listening => {
                    Running { pid, since, checkup: Some(checkup) }
                }
            },
            Stopping { pid, since, next, at, failure } if at <= self.now => {
                match self.spec.stop.sequence.get(next) {
                    Some((signal, time)) => {
                        self.ask_to_end(pid, *signal);
                        Stopping { pid, since, next: next + 1, at: self.now + *time, failure }
                    }
                    None => self.kill(pid, since, failure),
                }
            }
            Killing { pid, since, at, failure } if at <= self.now => self.kill(pid, since, failure),
            Sweeping { leader, end, at } if at <= self.now => self.sweep(leader, end),
            Backoff { until, refused, .. } if until <= self.now => Waiting { refused },
            Stopped
            | Waiting { .. }
            | Launching { .. }
            | Executing { .. }
            | Running { checkup: None, .. }
            | Stopping { .. }
            | Killing { .. }
            | Sweeping { .. }
            | Backoff { .. }
            | Exited { .. }
            | Fatal { .. } => state,
        }
    }

    fn launch(&mut self, refused: u32) -> State {
        self.deeds.push(Deed::Launch);
        if refused == 0 {
            self.it.launches = self.it.launches.saturating_add(1);
        }
        State::Launching { refused }
    }

    /// The program runs: is that enough, or do we wait for its readiness?
    fn started(&mut self, pid: Pid, since: Moment) -> State {
        self.it.forced = false;
        match &self.spec.ready {
            None => self.run(pid, since),
            Some(ready) => {
                let asking = if is_heard(&ready.probe) { Asking::Listening } else { Asking::Next(self.now) };
                State::Starting { pid, since, asking, last: None }
            }
        }
    }

    fn run(&mut self, pid: Pid, since: Moment) -> State {
        State::Running { pid, since, checkup: self.first_checkup() }
    }

    fn first_checkup(&self) -> Option<Checkup> {
        let health = self.spec.health.as_ref()?;
        let at = if self.watches_for_life() { self.now + health.interval } else { self.now };
        Some(Checkup { healthy: false, failed: 0, asking: Asking::Next(at) })
    }

    fn watches_for_life(&self) -> bool {
        self.spec.health.as_ref().is_some_and(|health| health.probe == Probe::Notify)
    }

    fn checked(&mut self, pid: Pid, since: Moment, checkup: Checkup, answer: Result<(), Rc<str>>) -> State {
        let Some(health) = &self.spec.health else { return State::Running { pid, since, checkup: None } };
        let asking = Asking::Next(self.now + health.interval);
        let checkup = match answer {
            Ok(()) => Checkup { healthy: true, failed: 0, asking },
            Err(last) => {
                let failed = checkup.failed.saturating_add(1);
                if failed >= health.failures && health.restart {
                    return self.begin_stop(pid, since, Some(Failure::Unhealthy { last }));
                }
                Checkup { healthy: checkup.healthy && failed < health.failures, failed, asking }
            }
        };
        State::Running { pid, since, checkup: Some(checkup) }
    }

    fn begin_stop(&mut self, pid: Pid, since: Moment, failure: Option<Failure>) -> State {
        let at = self.now + self.spec.stop.delay;
        self.due(State::Stopping { pid, since, next: 0, at, failure })
    }

    /// A stopped process (SIGSTOP) takes a signal only when it goes on.
    fn ask_to_end(&mut self, pid: Pid, signal: Signal) {
        self.deeds.push(Deed::Signal(pid, signal));
        if signal != Signal::KILL {
            self.deeds.push(Deed::Signal(pid, Signal::CONT));
        }
    }

    fn kill(&mut self, pid: Pid, since: Moment, failure: Option<Failure>) -> State {
        self.deeds.push(if self.spec.stop.tree {
            Deed::SignalTree(pid, Signal::KILL)
        } else {
            Deed::Signal(pid, Signal::KILL)
        });
        State::Killing { pid, since, at: self.now + KILL_AGAIN, failure }
    }

    /// The main process is gone. Who is left of its tree is asked to end too, and has what
    /// remains of the grace period: all of it if the process died by itself.
    fn ended(&mut self, pid: Pid, end: End, leftovers: bool, kill_at: Moment) -> State {
        self.it.last = Some(end.outcome);
        if !(leftovers && self.spec.stop.tree) {
            return self.settle(end);
        }
        if kill_at <= self.now {
            return self.sweep(pid, end);
        }
        self.deeds.push(Deed::SignalTree(pid, Signal::TERM));
        self.deeds.push(Deed::SignalTree(pid, Signal::CONT));
        State::Sweeping { leader: pid, end, at: kill_at }
    }

    fn sweep(&mut self, leader: Pid, end: End) -> State {
        self.it.forced = true;
        self.deeds.push(Deed::SignalTree(leader, Signal::KILL));
        State::Sweeping { leader, end, at: self.now + KILL_AGAIN }
    }

    /// Nothing of it is left: what now?
    fn settle(&mut self, end: End) -> State {
        if self.it.want == Want::Down {
            return State::Stopped;
        }
        let outcome = end.outcome;
        let lived = match end.reason {
            Reason::Asked => return self.again(),
            Reason::Failed(failure) => return self.failed(failure),
            Reason::Itself { lived } => lived,
        };
        let succeeded = self.spec.is_success(outcome);
        let comes_back = match (self.spec.kind, self.spec.restart) {
            (Kind::Oneshot, _) if succeeded => false,
            (Kind::Oneshot | Kind::Longrun, Restart::Always) => true,
            (Kind::Oneshot | Kind::Longrun, Restart::OnFailure) => !succeeded,
            (Kind::Oneshot | Kind::Longrun, Restart::Never) => false,
        };
        match (comes_back, self.spec.kind) {
            (false, Kind::Oneshot | Kind::Longrun) => State::Exited { outcome },
            (true, Kind::Longrun) if lived => self.again(),
            (true, Kind::Oneshot | Kind::Longrun) => self.failed(Failure::Ended(outcome)),
        }
    }

    /// The next launch is immediate, and failures count anew.
    fn again(&mut self) -> State {
        self.it.failures = 0;
        State::Waiting { refused: 0 }
    }

    /// A failure in a row: wait and try again, or give up.
    fn failed(&mut self, failure: Failure) -> State {
        if self.it.want == Want::Down {
            return State::Stopped;
        }
        self.it.failures = self.it.failures.saturating_add(1);
        let given_up = self.spec.max_failures.is_some_and(|max| self.it.failures >= max);
        if given_up || self.spec.restart == Restart::Never {
            return State::Fatal { cause: failure };
        }
        match backoff::delay(&self.spec.backoff, self.it.failures, self.die) {
            Duration::ZERO => State::Waiting { refused: 0 },
            delay => State::Backoff { until: self.now + delay, cause: Some(failure), refused: 0 },
        }
    }
}

/// Whether the service speaks by itself, so that nobody has to ask.
fn is_heard(probe: &Probe) -> bool {
    match probe {
        Probe::Notify | Probe::Fd(_) | Probe::Log(_) => true,
        Probe::Tcp(_)
        | Probe::Unix(_)
        | Probe::Http(_)
        | Probe::Uwsgi(_)
        | Probe::Exec(_)
        | Probe::File(_) => false,
    }
}
