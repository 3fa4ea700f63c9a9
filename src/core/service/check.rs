//! Whether a process may be depended on: readiness, and the continuing check after it.

use super::Step;
use crate::core::ids::Pid;
use crate::core::instance::{Asking, Checkup, Failure, State, Want};
use crate::core::plan::Probe;
use crate::core::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// The longest that one probe may take where the configuration does not say it.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The shortest time from one asking to the next, whatever the configuration says.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

impl Step<'_> {
    /// The program runs: is that enough, or do we wait for its readiness?
    pub(super) fn started(&mut self, pid: Pid, since: Moment) -> State {
        match &self.spec.ready {
            None => self.run(pid, since),
            Some(ready) => {
                let asking = if is_heard(&ready.probe) { Asking::Listening } else { Asking::Next(self.now) };
                State::Starting { pid, since, asking, last: None }
            }
        }
    }

    pub(super) fn run(&mut self, pid: Pid, since: Moment) -> State {
        self.welcome(pid);
        State::Running { pid, since, checkup: self.first_checkup() }
    }

    pub(super) fn first_checkup(&self) -> Option<Checkup> {
        let health = self.spec.health.as_ref()?;
        let at = if self.watches_for_life() { self.after(health.interval) } else { self.now };
        Some(Checkup { healthy: false, failed: 0, asking: Asking::Next(at) })
    }

    fn after(&self, interval: Duration) -> Moment {
        self.now + interval.max(INTERVAL_MIN)
    }

    /// Who was asked has ended: its heir is asked.
    pub(super) fn asked_anew(&self, asking: Asking) -> Asking {
        match asking {
            Asking::Pending { .. } => Asking::Next(self.now),
            Asking::Next(_) | Asking::Listening => asking,
        }
    }

    pub(super) fn watches_for_life(&self) -> bool {
        self.spec.health.as_ref().is_some_and(|health| health.probe == Probe::Notify)
    }

    /// The readiness probe has its answer.
    pub(super) fn asked(&mut self, pid: Pid, since: Moment, answer: Result<(), Rc<str>>) -> State {
        let interval = self.spec.ready.as_ref().map_or(Duration::ZERO, |ready| ready.interval);
        match answer {
            Ok(()) => self.run(pid, since),
            Err(got) => {
                let asking = Asking::Next(self.after(interval));
                State::Starting { pid, since, asking, last: Some(got) }
            }
        }
    }

    /// The continuing check has its answer. Whoever was healthy before it failed too often
    /// had a good life: failures in a row are counted from here. Whoever is to go down anyway is
    /// left in peace until its turn, for the sake of those that still need it.
    pub(super) fn checked(
        &mut self,
        pid: Pid,
        since: Moment,
        checkup: Checkup,
        answer: Result<(), Rc<str>>,
    ) -> State {
        let Some(health) = &self.spec.health else { return State::Running { pid, since, checkup: None } };
        let asking = Asking::Next(self.after(health.interval));
        let checkup = match answer {
            Ok(()) => Checkup { healthy: true, failed: 0, asking },
            Err(last) => {
                let failed = checkup.failed.saturating_add(1);
                if failed >= health.failures && health.restart && self.it.want == Want::Up {
                    if checkup.healthy && self.now.since(since) >= self.spec.min_uptime {
                        self.it.failures = 0;
                    }
                    return self.take_leave(pid, since, Some(Failure::Unhealthy { last }));
                }
                Checkup { healthy: checkup.healthy && failed < health.failures, failed, asking }
            }
        };
        State::Running { pid, since, checkup: Some(checkup) }
    }
}

/// Whether the service speaks by itself, so that nobody has to ask.
fn is_heard(probe: &Probe) -> bool {
    match probe {
        Probe::Notify | Probe::Fd(_) | Probe::Log(_) | Probe::End => true,
        Probe::Tcp(_)
        | Probe::Unix(_)
        | Probe::Http(_)
        | Probe::Uwsgi(_)
        | Probe::Exec(_)
        | Probe::File(_) => false,
    }
}

/// What a probe got that was asked longer ago than the time between two askings: nothing yet.
/// That tells more than what it got before.
pub(super) fn silence(asking: Asking, interval: Duration, now: Moment) -> Option<Rc<str>> {
    match asking {
        Asking::Pending { since } if now.since(since) >= interval => {
            Some(format!("no answer for {:.1} s", now.since(since).as_secs_f64()).into())
        }
        Asking::Pending { .. } | Asking::Next(_) | Asking::Listening => None,
    }
}
