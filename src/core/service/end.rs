//! How a process is brought to its end, and what comes after it.

use super::Step;
use crate::core::backoff;
use crate::core::exit::Outcome;
use crate::core::ids::Pid;
use crate::core::instance::{Deed, End, Failure, Reason, State, Want};
use crate::core::plan::{Kind, Restart};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use std::time::Duration;

/// From one KILL to the next, for trees that fork faster than they die.
const KILL_AGAIN: Duration = Duration::from_secs(1);

impl Step<'_> {
    /// Somebody wants a new process of it: why the old one ends does not matter any more.
    pub(super) fn pardon(&mut self, state: State) -> State {
        self.it.failures = 0;
        match state {
            State::Stopping { pid, since, next, at, .. } => {
                State::Stopping { pid, since, next, at, failure: None }
            }
            State::Killing { pid, since, at, .. } => State::Killing { pid, since, at, failure: None },
            State::Sweeping { leader, end, at } => {
                State::Sweeping { leader, end: End { reason: Reason::Asked, ..end }, at }
            }
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => state,
        }
    }

    pub(super) fn begin_stop(&mut self, pid: Pid, since: Moment, failure: Option<Failure>) -> State {
        let at = self.now + self.spec.stop.delay;
        self.due(State::Stopping { pid, since, next: 0, at, failure })
    }

    /// A stopped process (SIGSTOP) takes a signal only when it goes on.
    pub(super) fn ask_to_end(&mut self, pid: Pid, signal: Signal) {
        let to_tree = self.spec.stop.to_tree;
        let deed = if to_tree { Deed::SignalTree } else { Deed::Signal };
        self.deeds.push(deed(pid, signal));
        match signal {
            Signal::KILL => {}
            _ if to_tree => self.deeds.push(Deed::SignalTree(pid, Signal::CONT)),
            _ => self.deeds.push(Deed::Resume(pid)),
        }
    }

    pub(super) fn kill(&mut self, pid: Pid, since: Moment, failure: Option<Failure>) -> State {
        self.deeds.push(if self.spec.stop.tree {
            Deed::SignalTree(pid, Signal::KILL)
        } else {
            Deed::Signal(pid, Signal::KILL)
        });
        State::Killing { pid, since, at: self.now + KILL_AGAIN, failure }
    }

    /// The main process is gone. Who is left of its tree is asked to end too, and has what
    /// remains of the grace period: all of it if the process died by itself.
    pub(super) fn ended(&mut self, pid: Pid, end: End, leftovers: bool, kill_at: Moment) -> State {
        match end.reason {
            // How the service itself ended last is not forgotten because of a hook that did well.
            Reason::Prepared if end.outcome == Outcome::Exited(0) => {}
            _ => self.it.last = Some(end.outcome),
        }
        self.say_goodbye(pid, end.outcome);
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

    pub(super) fn sweep(&mut self, leader: Pid, end: End) -> State {
        self.it.forced = true;
        self.deeds.push(Deed::SignalTree(leader, Signal::KILL));
        State::Sweeping { leader, end, at: self.now + KILL_AGAIN }
    }

    /// Nothing of it is left: what now?
    pub(super) fn settle(&mut self, end: End) -> State {
        if self.it.want == Want::Down {
            return State::Stopped;
        }
        let outcome = end.outcome;
        self.it.prepared = false;
        let lived = match end.reason {
            Reason::Prepared if outcome == Outcome::Exited(0) => {
                self.it.prepared = true;
                return State::Waiting { refused: 0 };
            }
            Reason::Prepared => return self.failed(Failure::BeforeStart(Some(outcome))),
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
    pub(super) fn again(&mut self) -> State {
        self.it.failures = 0;
        State::Waiting { refused: 0 }
    }

    /// A failure in a row: wait and try again, or give up.
    pub(super) fn failed(&mut self, failure: Failure) -> State {
        if self.it.want == Want::Down {
            return State::Stopped;
        }
        self.it.prepared = false;
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
