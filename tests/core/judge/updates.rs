//! What an update may do, and what it must.

use super::{Judge, Verdict};
use crate::judge::known::{Age, Known};
use minisup::core::difference::{ChangeKind, Difference};
use minisup::core::ids::{InstanceId, ServiceId};
use minisup::core::input::Request;
use minisup::core::instance::{State, Want};
use minisup::core::phase::Phase;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::BTreeSet;

impl Judge {
    pub(super) fn asked_for(&mut self, request: &Request, sup: &Supervisor, now: Moment) {
        match request {
            Request::Restart(services) if !sup.phase().is_ending() => {
                self.rolls_asked.extend(services);
                for id in services.iter().flat_map(|service| sup.instances_of(*service)) {
                    self.known[id.index()].restarts = true;
                }
            }
            Request::Reload(services) if !sup.phase().is_ending() => self.rolls_asked.extend(services),
            Request::Shutdown(within) => {
                self.within = *within;
                let at = now + within.unwrap_or(self.plan.supervisor.shutdown_timeout);
                if matches!(sup.phase(), Phase::Draining { hurried: false, .. }) {
                    self.kill_due = self.kill_due.map(|before| before.min(at));
                }
            }
            Request::Start(_)
            | Request::Stop(_)
            | Request::Restart(_)
            | Request::Reload(_)
            | Request::Signal(..)
            | Request::Wait(_)
            | Request::Update(_)
            | Request::Status => {}
        }
    }

    pub(super) fn update_began(&mut self, difference: &Difference, sup: &Supervisor) {
        self.begun += 1;
        self.doubt = self.updating(difference, sup).err();
        if self.begun > 1 {
            self.doubt = None;
            for index in 0..self.known.len() {
                let id = InstanceId(index as u32);
                self.ages[index] = match (sup.instances().any(|(it, _)| it == id), sup.is_outdated(id)) {
                    (true, true) => Age::Outdated,
                    (true, false) => Age::Current,
                    (false, true) => Age::Leaving,
                    (false, false) => Age::Gone,
                };
            }
        }
    }

    /// All that one input brought about has been seen.
    pub fn turn_is_over(&mut self) -> Verdict {
        self.begun = 0;
        self.doubt.take().map_or(Ok(()), Err)
    }

    /// Another plan is in force: who is old now, and who must not be?
    fn updating(&mut self, difference: &Difference, sup: &Supervisor) -> Verdict {
        // Whose roll has just failed goes on, and may be old again by now.
        let rolls = |index: usize| self.plan.service(self.service_of[index]).rolling;
        let is_old = |(index, age): &(usize, &Age)| match age {
            Age::Outdated => !rolls(*index),
            Age::Leaving => true,
            Age::Current | Age::Gone => false,
        };
        if let Some((_, age)) = self.ages.iter().enumerate().find(is_old) {
            return Err(format!("an update begins while somebody is still {age:?}"));
        }
        self.before = std::mem::replace(&mut self.plan, sup.plan().clone());
        let mut next = self.known.len() as u32;
        while sup.has_instance(InstanceId(next)) {
            self.known.push(Known::default());
            self.ages.push(Age::Gone);
            self.service_of.push(sup.whose(InstanceId(next)).0);
            next += 1;
        }
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let (service, number) = sup.whose(id);
            let spec = self.plan.service(service);
            let is_there = sup.order().contains(&service) && number < spec.instances;
            let kind = difference.services.iter().find(|c| c.name == spec.name).map(|changed| changed.kind);
            if kind.is_some() {
                self.known[index].delay = None;
            }
            let known = &self.known[index];
            self.ages[index] = match (self.ages[index], is_there) {
                (Age::Gone, false) => Age::Gone,
                (Age::Gone, true) => {
                    self.known[index] = Known::default();
                    Age::Current
                }
                (_, false) if known.leader.is_some() => Age::Leaving,
                (_, false) => Age::Gone,
                (_, true) if known.leader.is_none() => Age::Current,
                (_, true) => match kind {
                    Some(ChangeKind::Replaced) => Age::Outdated,
                    // Only if it is on its way, up or down.
                    Some(ChangeKind::InPlace) if !self.is_settled(id) && sup.is_outdated(id) => Age::Outdated,
                    Some(ChangeKind::InPlace | ChangeKind::Added | ChangeKind::Removed) | None => {
                        Age::Current
                    }
                },
            };
            let is_old = matches!(self.ages[index], Age::Outdated | Age::Leaving);
            let launching = matches!(sup.instance(id).state, State::Launching { .. });
            if is_old != sup.is_outdated(id) && !launching {
                return Err(format!("{} is {:?}, which is not known rightly", spec.name, self.ages[index]));
            }
        }
        Ok(())
    }

    /// It runs, and nobody has asked it to end.
    fn is_settled(&self, id: InstanceId) -> bool {
        let known = &self.known[id.index()];
        known.pid.is_some() && known.program && known.ready && known.stopping.is_none()
    }

    /// Its process gives way to a new one: because a client or an update says so.
    pub(super) fn may_replace(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        let service = self.service_of[id.index()];
        let rolls = self.rolls_asked.contains(&service) && self.plan.service(service).rolling;
        match (self.known[id.index()].restarts || rolls, self.ages[id.index()]) {
            (true, _) => Ok(()),
            (false, Age::Outdated | Age::Leaving) => self.may_give_way(id, sup),
            (false, age) => Err(format!("{} is replaced although it is {age:?}", sup.spec_of(id).name)),
        }
    }

    /// Among the old ones, whoever is required goes after whoever requires it.
    pub(super) fn may_give_way(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        match self.needed_by(id, sup) {
            Some(other) => {
                let (name, other) = (&sup.spec_of(id).name, &sup.spec_of(other).name);
                Err(format!("{name} is to go, but {other}, which is to go too, requires it"))
            }
            None => Ok(()),
        }
    }

    /// Another old process that requires the one of this instance.
    pub(super) fn needed_by(&self, id: InstanceId, sup: &Supervisor) -> Option<InstanceId> {
        let service = self.service_of[id.index()];
        // Who has a successor, or is to have one, does not need what is only replaced.
        let is_loose = |other: InstanceId| sup.is_rolling(other) || sup.is_shadow(other);
        let is_replaced = self.ages[id.index()] == Age::Outdated;
        let others = (0..self.known.len() as u32).map(InstanceId);
        others.filter(|other| !(is_replaced && is_loose(*other))).find(|other| {
            let is_old = match self.ages[other.index()] {
                Age::Leaving => true,
                Age::Outdated => sup.instance(*other).want == Want::Up,
                Age::Current | Age::Gone => false,
            };
            let has_process = self.known[other.index()].leader.is_some();
            is_old && has_process && self.required_before(self.service_of[other.index()]).contains(&service)
        })
    }

    /// What this service required by the plan before, directly or not.
    fn required_before(&self, service: ServiceId) -> BTreeSet<ServiceId> {
        let (mut open, mut found) = (vec![service], BTreeSet::new());
        while let Some(service) = open.pop() {
            for dependency in &self.before.service(service).requires {
                if found.insert(dependency.service) {
                    open.push(dependency.service);
                }
            }
        }
        found
    }
}
