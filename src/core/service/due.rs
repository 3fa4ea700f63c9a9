//! What the time alone makes of an instance: the moment has come that its state waits for.
//!
//! Each arm has its counterpart in `Instance::deadline`, which says when that is. Whoever is told too early
//! stays what it is.

use super::Step;
use super::check::{PROBE_LIMIT, silence};
use crate::core::instance::{Asking, Checkup, Deed, EXEC_LIMIT, Failure, Fault, State};

impl Step<'_> {
    pub(super) fn due(&mut self, state: State) -> State {
        use State::*;
        match state {
            Executing { pid, since } if since + EXEC_LIMIT <= self.now => {
                self.kill(pid, since, Some(Failure::Launch(Fault::late())))
            }
            Preparing { pid, since } if self.prepared_by(since).is_some_and(|at| at <= self.now) => {
                self.begin_stop(pid, since, Some(Failure::BeforeStart(None)))
            }
            Starting { pid, since, asking, last } => {
                let Some(ready) = &self.spec.ready else { return self.run(pid, since) };
                let waited = self.now.since(since);
                if waited >= ready.timeout {
                    let last = silence(asking, ready.interval, self.now).or(last);
                    return self.take_leave(pid, since, Some(Failure::NotReady { waited, last }));
                }
                match asking {
                    Asking::Next(at) if at <= self.now => {
                        let limit = PROBE_LIMIT.max(ready.interval).min(ready.timeout - waited);
                        self.deeds.push(Deed::AskReady(pid, limit));
                        Starting { pid, since, asking: Asking::Pending { since: self.now }, last }
                    }
                    Asking::Next(_) | Asking::Pending { .. } | Asking::Listening => {
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
                    Running {
                        pid,
                        since,
                        checkup: Some(Checkup { asking: Asking::Pending { since: self.now }, ..checkup }),
                    }
                }
                Asking::Next(_) | Asking::Pending { .. } | Asking::Listening => {
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
            | Preparing { .. }
            | Running { checkup: None, .. }
            | Stopping { .. }
            | Killing { .. }
            | Sweeping { .. }
            | Backoff { .. }
            | Exited { .. }
            | Fatal { .. } => state,
        }
    }
}
