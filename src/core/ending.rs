//! Stopping: one service with all that require it, or everything in order.

use super::action::{Action, Change, Occasion};
use super::ids::{InstanceId, ServiceId};
use super::instance::{Event, State, Want};
use super::phase::Phase;
use super::plan::Forward;
use super::signal::Signal;
use super::supervisor::Supervisor;
use super::time::Moment;
use std::time::Duration;

/// How long a sweep waits after TERM before it sends KILL.
const SWEEP_GRACE: Duration = Duration::from_secs(1);

/// After the last KILL so much time is given to the kernel.
const LAST_WAIT: Duration = Duration::from_millis(900);

impl Supervisor {
    /// Stops the instances of a service that are wanted down, if nobody needs them any more.
    pub(super) fn stop_if_alone(&mut self, service: ServiceId, now: Moment) {
        let idle = |id: InstanceId, this: &Self| {
            let instance = this.instance(id);
            instance.want == Want::Up || instance.is_stopping() || instance.pid().is_none()
        };
        if self.graph.instances(service).all(|id| idle(id, self)) || self.is_needed(service) {
            return;
        }
        for id in self.graph.instances(service) {
            if !idle(id, self) {
                self.apply(id, Event::Stop, now);
            }
        }
    }

    fn is_needed(&self, service: ServiceId) -> bool {
        let draining = self.phase.is_ending();
        let depends = self.graph.dependents(service).iter().filter(|d| d.requires || draining);
        depends.flat_map(|d| self.graph.instances(d.service)).any(|id| self.instance(id).has_process())
    }

    /// An instance has lost its process: what it depended on may be free to go.
    pub(super) fn release_requirements(&mut self, id: InstanceId, now: Moment) {
        let plan = self.plan.clone();
        let spec = plan.service(self.slot(id).service);
        for dependency in spec.requires.iter().chain(spec.after.iter()) {
            self.stop_if_alone(dependency.service, now);
        }
    }

    /// The instance is wanted down: at once if it has no process, else in its turn.
    pub(super) fn want_down(&mut self, id: InstanceId, now: Moment) {
        self.slots[id.index()].instance.want = Want::Down;
        if self.instance(id).pid().is_none() {
            self.apply(id, Event::Stop, now);
        }
    }

    pub(super) fn signalled(&mut self, signal: Signal, now: Moment) {
        let plan = self.plan.clone();
        let forward = plan.signals.iter().find(|(of, _)| *of == signal).map(|(_, forward)| forward);
        match forward {
            Some(Forward::Swallow) => {}
            Some(Forward::To(service, signal)) => self.pass_on(self.graph.instances(*service), *signal),
            Some(Forward::All(signal)) => self.pass_on(self.all(), *signal),
            None if is_stop_signal(signal) => match self.phase {
                Phase::Boot | Phase::Up => self.drain(Occasion::Signal(signal), now),
                Phase::Draining { hurried: false, .. } => self.hurry(now),
                Phase::Draining { hurried: true, .. } | Phase::Sweeping { .. } | Phase::Done => {}
            },
            None if signal == Signal::USR1 => {
                for id in self.all() {
                    if let Some(reopen) = self.spec_of(id).reopen {
                        self.pass_on(std::iter::once(id), reopen);
                    }
                }
            }
            None => self.actions.push_back(Action::Publish(Box::new(Change::Unassigned(signal)))),
        }
    }

    pub(super) fn pass_on(&mut self, to: impl Iterator<Item = InstanceId>, signal: Signal) {
        for instance in to {
            if let Some(pid) = self.instance(instance).pid() {
                self.actions.push_back(Action::Signal { instance, pid, signal });
            }
        }
    }

    /// Everything is to stop, in order.
    pub(super) fn drain(&mut self, occasion: Occasion, now: Moment) {
        if self.phase.is_ending() {
            return;
        }
        self.actions.push_back(Action::Publish(Box::new(Change::Draining(occasion))));
        let kill_at = now + self.plan.supervisor.shutdown_timeout;
        self.enter(Phase::Draining { kill_at, end_at: kill_at + LAST_WAIT, hurried: false });
        self.actions.retain(|action| !matches!(action, Action::Launch { .. }));
        self.queue.clear();
        self.blocked.clear();
        for id in self.all() {
            self.want_down(id, now);
            if matches!(self.instance(id).state, State::Launching { .. }) {
                self.apply(id, Event::Refused, now);
            }
        }
        for service in 0..self.plan.services.len() as u32 {
            self.stop_if_alone(ServiceId(service), now);
        }
    }

    /// No more grace, no more order.
    fn hurry(&mut self, now: Moment) {
        self.phase = Phase::Draining { kill_at: now, end_at: now + LAST_WAIT, hurried: true };
        for id in self.all() {
            self.apply(id, Event::Hurry, now);
        }
    }

    /// Nobody has a process any more: end whatever else is left.
    pub(super) fn begin_sweep(&mut self, now: Moment) {
        if let Phase::Draining { kill_at, end_at, hurried } = self.phase
            && !self.slots.iter().any(|slot| slot.instance.has_process())
        {
            let signal = if hurried { Signal::KILL } else { Signal::TERM };
            let kill_at = if hurried { end_at } else { kill_at.min(now + SWEEP_GRACE) };
            self.enter(Phase::Sweeping { kill_at, end_at: end_at.min(kill_at + LAST_WAIT) });
            self.actions.push_back(Action::Sweep(signal));
        }
    }

    pub(super) fn all_gone(&mut self) {
        if matches!(self.phase, Phase::Sweeping { .. }) {
            self.enter(Phase::Done);
        }
    }

    pub(super) fn due(&mut self, now: Moment) {
        match self.phase {
            Phase::Draining { kill_at, hurried: false, .. } if kill_at <= now => self.hurry(now),
            Phase::Draining { end_at, hurried: true, .. } if end_at <= now => self.enter(Phase::Done),
            Phase::Sweeping { end_at, .. } if end_at <= now => self.enter(Phase::Done),
            Phase::Sweeping { kill_at, end_at } if kill_at <= now => {
                self.phase = Phase::Sweeping { kill_at: end_at, end_at };
                self.actions.push_back(Action::Sweep(Signal::KILL));
            }
            Phase::Boot | Phase::Up | Phase::Draining { .. } | Phase::Sweeping { .. } | Phase::Done => {}
        }
        if self.timed == 0 {
            return;
        }
        for id in self.all() {
            if self.instance(id).deadline(self.spec_of(id)).is_some_and(|at| at <= now) {
                self.apply(id, Event::Due, now);
            }
        }
    }
}

fn is_stop_signal(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT, Signal::PWR, Signal::RTMIN_3].contains(&signal)
}
