//! Whose turn it is to be launched.
//!
//! An instance that is Waiting is looked at when it comes to wait, and again when the service
//! it lacks has changed, or when one that it requires will not come. A thousand services that
//! depend on nothing are each looked at once.

use super::action::{Action, Change};
use super::ids::{InstanceId, ServiceId};
use super::instance::{Event, State, Want};
use super::plan::{Condition, Dependency, Kind};
use super::slot::Turn;
use super::supervisor::Supervisor;
use super::time::Moment;

/// So many launches may be between fork and exec at once. Each holds a small stack and a
/// pipe; more would not be faster, since the kernel's work is the same.
pub const EXECUTING_MAX: u32 = 32;

/// What keeps an instance from being launched.
enum Obstacle {
    NotYet(ServiceId, Condition),
    Never(ServiceId),
}

impl Supervisor {
    /// Launches those whose turn has come.
    pub(super) fn admit(&mut self, now: Moment) {
        while !self.phase.is_ending() && self.executing < EXECUTING_MAX {
            let Some(id) = self.queue.pop_front() else { return };
            self.slots[id.index()].turn = Turn::None;
            if !matches!(self.slot(id).instance.state, State::Waiting { .. }) {
                continue;
            }
            match self.obstacle(id) {
                None => self.apply(id, Event::Admit, now),
                Some(Obstacle::Never(service)) => self.apply(id, Event::Lost(service), now),
                Some(Obstacle::NotYet(on, condition)) => {
                    self.slots[id.index()].turn = Turn::Blocked(on);
                    if !std::mem::replace(&mut self.slots[id.index()].told, true) {
                        let waits = Change::Waits { instance: id, on, condition };
                        self.actions.push_back(Action::Publish(Box::new(waits)));
                    }
                }
            }
        }
    }

    /// The instance waits: it will be looked at.
    pub(super) fn look_at(&mut self, id: InstanceId) {
        let turn = &mut self.slots[id.index()].turn;
        if std::mem::replace(turn, Turn::Queued) != Turn::Queued {
            self.queue.push_back(id);
        }
    }

    /// Something about the instance has changed: whoever waits for it is looked at again.
    pub(super) fn unblock(&mut self, id: InstanceId) {
        let slot = self.slot(id);
        let service = slot.service;
        let at_rest =
            matches!(slot.instance.state, State::Stopped | State::Exited { .. } | State::Fatal { .. });
        for index in 0..self.graph.dependents(service).len() {
            let dependent = self.graph.dependents(service)[index];
            for id in self.graph.instances(dependent.service) {
                for id in [Some(id), self.slot(id).partner].into_iter().flatten() {
                    match self.slot(id).turn {
                        Turn::Blocked(on) if on == service || at_rest => self.look_at(id),
                        Turn::Blocked(_) | Turn::Queued | Turn::None => {}
                    }
                }
            }
        }
    }

    /// For whom an instance waits, and for what; nothing if it does not.
    pub fn waits_for(&self, id: InstanceId) -> Option<(ServiceId, Condition)> {
        let waits = matches!(self.slot(id).instance.state, State::Waiting { .. });
        match self.obstacle(id).filter(|_| waits)? {
            Obstacle::NotYet(service, condition) => Some((service, condition)),
            Obstacle::Never(_) => None,
        }
    }

    /// What keeps an instance from being launched.
    fn obstacle(&self, id: InstanceId) -> Option<Obstacle> {
        let spec = self.spec_of(id);
        let missing = |d: &&Dependency| !self.holds(d.service, d.condition);
        let required =
            spec.requires.iter().filter(missing).map(|d| match self.may_hold(d.service, d.condition) {
                true => Obstacle::NotYet(d.service, d.condition),
                false => Obstacle::Never(d.service),
            });
        let ordered = spec.after.iter().filter(missing).filter(|d| self.may_hold(d.service, d.condition));
        let ordered = ordered.map(|d| Obstacle::NotYet(d.service, d.condition));
        let mut obstacles = required.chain(ordered);
        let first = obstacles.next()?;
        Some(obstacles.find(|o| matches!(o, Obstacle::Never(_))).unwrap_or(first))
    }

    /// Whether the condition is true of all instances of the service. Whoever is about to be replaced
    /// may not be depended on.
    pub fn holds(&self, service: ServiceId, condition: Condition) -> bool {
        let may = |id| self.instance_holds(id, condition) && !self.is_outdated(id);
        self.graph.instances(service).all(may)
    }

    pub(super) fn instance_holds(&self, id: InstanceId, condition: Condition) -> bool {
        match (&self.slot(id).instance.state, condition) {
            (State::Exited { outcome }, _) => {
                let spec = self.spec_of(id);
                spec.kind == Kind::Oneshot && spec.is_success(*outcome)
            }
            (State::Starting { .. }, Condition::Started) => true,
            (State::Running { .. }, Condition::Started) => true,
            (State::Running { .. }, Condition::Ready) => {
                self.spec_of(id).kind == Kind::Longrun || self.spec_of(id).ready.is_some()
            }
            (State::Running { checkup, .. }, Condition::Healthy) => {
                checkup.is_none_or(|checkup| checkup.healthy)
            }
            (_, Condition::Started | Condition::Ready | Condition::Healthy | Condition::Done) => false,
        }
    }

    /// Whether the condition can still become true without anybody's help.
    fn may_hold(&self, service: ServiceId, condition: Condition) -> bool {
        let spec = self.plan.service(service);
        let possible = condition != Condition::Done || spec.kind == Kind::Oneshot;
        possible
            && self.graph.instances(service).all(|id| {
                let slot = self.slot(id);
                match slot.instance.state {
                    State::Exited { .. } | State::Fatal { .. } => self.instance_holds(id, condition),
                    State::Stopped => slot.instance.want == Want::Up,
                    _ => true,
                }
            })
    }
}
