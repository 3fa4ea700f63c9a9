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
//! for any of them. An exec that does not come, as from a file system that is dead, fails after a
//! minute: whoever cannot be killed even then has at least made room for others. A kernel that refuses the fork (EAGAIN, ENOMEM, EMFILE) is not the
//! service's failure: the instance tries again, ever slower, and never becomes fatal by it.
//!
//! Where a `before_start` hook is to run first, the instance is launched twice: once as the hook
//! (it is Preparing, and stopped like any other), and when that has succeeded it waits and is
//! launched again, as the service. A hook that fails, or takes too long, is a failed start.
//! A `before_stop` hook delays the first stop signal until it is done, or has had its time.
//!
//! A *failure in a row* is an end before `min_uptime` or before readiness, whatever the
//! exit code; a failed launch; a readiness that does not come in time; a failed oneshot.
//! `max_failures` of them are fatal. After a longer life the count starts anew, and the
//! next launch is immediate. A check that fails too often is such a failure, too; but whoever
//! was healthy first has had its longer life, and only the delay is that of a first failure.
//!
//! A main process may end and leave an *heir*: a process of its own making that goes on in its
//! place (gunicorn's USR2, a new binary of nginx). Nobody has died of the instance then: it goes on
//! with another pid, as ready and as healthy as it was, and its failures stay what they are. What the
//! process that ended was asked and has not answered is asked again. If it had been asked to end, the
//! heir is asked from the beginning, and has a grace period of its own; if it got KILL, so does the heir.
//! Who is an heir is not decided here: `runtime::heirs`.
//!
//! When the main process has ended but others of its tree live on (nginx workers after
//! their master was killed keep port 80), the instance is Sweeping until they are gone:
//! only then is it really down, and only then may it be launched again.

mod check;
mod due;
mod end;
mod hooks;

use super::backoff;
use super::exit::Outcome;
use super::instance::{Asking, Checkup, Deed, End, Event, Failure, Instance, Reason, State, Want};
use super::plan::ServiceSpec;
use super::time::Moment;
use std::time::Duration;

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
    step.it.prepared &= !matches!(step.it.state, State::Stopped | State::Exited { .. } | State::Fatal { .. });
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
                Stopping { .. } | Killing { .. } | Sweeping { .. } => self.pardon(state),
                Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
                | Starting { .. }
                | Running { .. } => state,
            },
            Event::Stop => match state {
                Waiting { .. } | Backoff { .. } => Stopped,
                Executing { pid, since } | Preparing { pid, since } => self.begin_stop(pid, since, None),
                Starting { pid, since, .. } | Running { pid, since, .. } => self.take_leave(pid, since, None),
                Stopped
                | Launching { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Replace => match state {
                Executing { pid, since } | Preparing { pid, since } => {
                    self.it.failures = 0;
                    self.begin_stop(pid, since, None)
                }
                Starting { pid, since, .. } | Running { pid, since, .. } => {
                    self.it.failures = 0;
                    self.take_leave(pid, since, None)
                }
                Stopped | Exited { .. } | Fatal { .. } | Backoff { .. } => {
                    self.it.failures = 0;
                    Waiting { refused: 0 }
                }
                Stopping { .. } | Killing { .. } | Sweeping { .. } => self.pardon(state),
                Waiting { .. } | Launching { .. } => state,
            },
            Event::Admit => match state {
                Waiting { refused } => {
                    self.deeds.push(if self.prepares() { Deed::Prepare } else { Deed::Launch });
                    Launching { refused }
                }
                Stopped
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
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
                | Preparing { .. }
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
                Launching { .. } => {
                    self.it.launches = self.it.launches.saturating_add(u32::from(!self.prepares()));
                    self.it.forced = false;
                    Executing { pid, since: self.now }
                }
                Stopped
                | Waiting { .. }
                | Executing { .. }
                | Preparing { .. }
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
                | Preparing { .. }
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
                Executing { pid, since } if self.prepares() => Preparing { pid, since },
                Executing { pid, since } => self.started(pid, since),
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Preparing { .. }
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
                Executing { .. } | Preparing { .. } | Starting { .. } | Running { .. } => {
                    self.it.last = Some(Outcome::Exited(fault.code));
                    self.failed(Failure::Launch(fault))
                }
                Stopping { failure, .. } | Killing { failure, .. } => {
                    let outcome = Outcome::Exited(fault.code);
                    self.it.last = Some(outcome);
                    self.settle(End { outcome, reason: Reason::of_stop(failure) })
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
                | Preparing { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Answered(answer) => match state {
                Starting { pid, since, asking: Asking::Pending { .. }, .. } => self.asked(pid, since, answer),
                Running { pid, since, checkup: Some(checkup) }
                    if matches!(checkup.asking, Asking::Pending { .. }) =>
                {
                    self.checked(pid, since, checkup, answer)
                }
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Said(text) => match state {
                Starting { pid, since, asking, .. } => Starting { pid, since, asking, last: Some(text) },
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
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
                | Preparing { .. }
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
                Executing { pid, .. } | Preparing { pid, .. } | Starting { pid, .. } => {
                    let kill_at = self.now + self.spec.stop.longest();
                    let reason =
                        if self.prepares() { Reason::Prepared } else { Reason::Itself { lived: false } };
                    self.ended(pid, End { outcome, reason }, leftovers, kill_at)
                }
                Running { pid, since, .. } => {
                    let lived = self.now.since(since) >= self.spec.min_uptime;
                    let kill_at = self.now + self.spec.stop.longest();
                    self.ended(pid, End { outcome, reason: Reason::Itself { lived } }, leftovers, kill_at)
                }
                Stopping { pid, at, next, failure, .. } => {
                    let kill_at = at + self.spec.stop.time_from(next);
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
            Event::TakenOver(heir) => match state {
                Executing { since, .. } => self.started(heir, since),
                Preparing { since, .. } => Preparing { pid: heir, since },
                Starting { since, asking, last, .. } => {
                    Starting { pid: heir, since, asking: self.asked_anew(asking), last }
                }
                Running { since, checkup, .. } => {
                    if self.now.since(since) >= self.spec.min_uptime {
                        self.it.failures = 0;
                    }
                    let anew = |c: Checkup| Checkup { asking: self.asked_anew(c.asking), ..c };
                    Running { pid: heir, since: self.now, checkup: checkup.map(anew) }
                }
                Stopping { since, next: 0, at, failure, .. } => {
                    Stopping { pid: heir, since, next: 0, at, failure }
                }
                Stopping { since, failure, .. } => {
                    self.due(Stopping { pid: heir, since, next: 0, at: self.now, failure })
                }
                Killing { since, failure, .. } => self.kill(heir, since, failure),
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
                | Preparing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Rechecked => match state {
                Running { pid, since, checkup } => {
                    let healthy = checkup.is_some_and(|checkup| checkup.healthy);
                    Running { pid, since, checkup: self.first_checkup().map(|c| Checkup { healthy, ..c }) }
                }
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
                | Starting { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Hurry => match state {
                Stopping { pid, since, failure, .. } | Killing { pid, since, failure, .. } => {
                    self.kill(pid, since, failure)
                }
                Sweeping { leader, end, .. } => self.sweep(leader, end),
                Executing { pid, since }
                | Preparing { pid, since }
                | Starting { pid, since, .. }
                | Running { pid, since, .. } => self.kill(pid, since, None),
                Waiting { .. } | Backoff { .. } => Stopped,
                Stopped | Launching { .. } | Exited { .. } | Fatal { .. } => state,
            },
            Event::TookLeave => match state {
                Stopping { pid, since, next: 0, at, failure } => self.left(pid, since, at, failure),
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Exceeded { used, limit } => match state {
                Starting { pid, since, .. } if self.it.want == Want::Up => {
                    self.take_leave(pid, since, Some(Failure::TooBig { used, limit }))
                }
                Running { pid, since, .. } if self.it.want == Want::Up => {
                    if self.now.since(since) >= self.spec.min_uptime {
                        self.it.failures = 0;
                    }
                    self.take_leave(pid, since, Some(Failure::TooBig { used, limit }))
                }
                Stopped
                | Waiting { .. }
                | Launching { .. }
                | Executing { .. }
                | Preparing { .. }
                | Starting { .. }
                | Running { .. }
                | Stopping { .. }
                | Killing { .. }
                | Sweeping { .. }
                | Backoff { .. }
                | Exited { .. }
                | Fatal { .. } => state,
            },
            Event::Due => self.due(state),
        }
    }
}
