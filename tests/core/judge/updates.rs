//! What an update may do, and what it must.

use super::{Judge, Verdict};
use crate::judge::known::{Age, Known};
use minisup::core::action::{Action, Change};
use minisup::core::difference::{ChangeKind, Difference, align};
use minisup::core::ids::{InstanceId, ServiceId};
use minisup::core::input::Request;
use minisup::core::instance::{State, Want};
use minisup::core::phase::Phase;
use minisup::core::plan::ServiceSpec;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::BTreeSet;
use std::rc::Rc;

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
                let limited = matches!(sup.phase(), Phase::Draining { hurried: false, .. });
                if limited && self.kill_due.is_some_and(|before| at < before) {
                    (self.kill_due, self.shared) = (Some(at), now);
                }
            }
            Request::Update(plan) if !sup.phase().is_ending() => self.waiting.push_back(Rc::clone(plan)),
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

    /// How many updates have begun of which nothing has been judged yet.
    pub(super) fn look_for_updates(&mut self, sup: &Supervisor) {
        if self.waiting.is_empty() || self.is_ending() {
            return;
        }
        let mut ahead = sup.clone();
        let decided = std::iter::from_fn(|| ahead.poll_action());
        let begins = |action: &Action| matches!(action, Action::Publish(change) if matches!(**change, Change::Updating(_)));
        self.to_come = decided.filter(begins).count();
    }

    /// Another plan is in force: who is old now, and who must not be?
    pub(super) fn update_began(&mut self, difference: &Difference, sup: &Supervisor) -> Verdict {
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
        self.to_come -= 1;
        let new = self.waiting.pop_front().ok_or("an update begins that nobody asked for")?;
        let (plan, order) = align(&self.plan, &new);
        self.before = std::mem::replace(&mut self.plan, Rc::new(plan));
        let old = std::mem::replace(&mut self.order, order);
        self.follow_wants(&old, sup)?;
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let (service, number) = sup.whose(id);
            let spec = self.plan.services.get(service.index());
            let is_there = spec.is_some_and(|spec| self.order.contains(&service) && number < spec.instances);
            let changed = |spec: &ServiceSpec| difference.services.iter().find(|c| c.name == spec.name);
            let kind = spec.and_then(changed).map(|changed| changed.kind);
            if kind.is_some() {
                self.known[index].delay = None;
            }
            self.ages[index] = self.age_after(id, is_there, kind, sup);
            if kind == Some(ChangeKind::Replaced) && self.ages[index] == Age::Current && self.rolled(id) {
                self.put_off.insert(id);
            } else if self.waiting.is_empty() {
                self.put_off.remove(&id);
            }
            if is_there && self.ages[index] == Age::Gone {
                self.ages[index] = Age::Current;
                self.known[index] = Known::nothing(self.known[index].wanted);
            }
            let was = self.before.services.get(service.index());
            if let (Age::Current, Some(was), Some(spec)) = (self.ages[index], was, spec)
                && was.health != spec.health
            {
                // Nobody waits for what was asked before, and what it said is nothing to whoever asks anew.
                self.known[index].asked_health = false;
                self.known[index].healthy &= was.health.is_some() && spec.health.is_some();
            }
            let is_old = matches!(self.ages[index], Age::Outdated | Age::Leaving);
            let launching = matches!(sup.instance(id).state, State::Launching { .. });
            // Of several updates only what the last has made is to be seen.
            if is_old != sup.is_outdated(id) && !launching && self.to_come == 0 {
                let name = &sup.spec_of(id).name;
                return Err(format!("{name} is {:?}, which is not known rightly", self.ages[index]));
            }
        }
        Ok(())
    }

    /// What an update asks of those that it enables or disables. Whoever requires what is disabled goes, too.
    fn follow_wants(&mut self, old: &[ServiceId], sup: &Supervisor) -> Verdict {
        let was = |service: &ServiceId| {
            let spec = old.contains(service).then(|| self.before.service(*service));
            spec.map(ServiceSpec::first_want)
        };
        let is = |service: &ServiceId| self.plan.service(*service).first_want();
        let turns = |from, to| {
            let all = self.order.iter().copied();
            all.filter(|it| was(it) == Some(from) && is(it) == to).collect::<Vec<ServiceId>>()
        };
        let (enabled, mut disabled) = (turns(Want::Down, Want::Up), turns(Want::Up, Want::Down));
        let mut next = 0;
        while let Some(on) = disabled.get(next).copied() {
            let requires = |it: &&ServiceId| self.plan.service(**it).requires.iter().any(|d| d.service == on);
            let more = self.order.iter().filter(requires).copied();
            disabled.extend(more.filter(|it| !disabled.contains(it)).collect::<Vec<ServiceId>>());
            next += 1;
        }
        let mut is_kept_up = None;
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let service = sup.whose(id).0;
            if disabled.contains(&service) {
                self.known[index].wanted = Want::Down;
                is_kept_up = is_kept_up.or((sup.instance(id).want == Want::Up).then_some(id));
            } else if enabled.contains(&service) {
                self.known[index].wanted = Want::Up;
            }
        }
        match is_kept_up.filter(|_| self.to_come == 0) {
            Some(id) => Err(format!("{} is wanted, but what it requires is not", sup.spec_of(id).name)),
            None => Ok(()),
        }
    }

    /// Whether its service hands over, by this plan or the one before.
    fn rolled(&self, id: InstanceId) -> bool {
        let service = self.service_of[id.index()].index();
        [&self.plan, &self.before].iter().any(|plan| plan.services.get(service).is_some_and(|it| it.rolling))
    }

    /// By which plan an instance lives when an update has begun that means this for its service.
    fn age_after(&self, id: InstanceId, is_there: bool, kind: Option<ChangeKind>, sup: &Supervisor) -> Age {
        let has_process = self.known[id.index()].leader.is_some();
        let as_it_is = if sup.is_outdated(id) { Age::Outdated } else { Age::Current };
        match (self.ages[id.index()], is_there) {
            (Age::Gone, _) => Age::Gone,
            (_, false) if has_process => Age::Leaving,
            (_, false) => Age::Gone,
            (_, true) if !has_process => Age::Current,
            // A roll may have been put off: until this update, or already until the next one.
            (age, true) if self.rolled(id) && kind != Some(ChangeKind::Replaced) => {
                let moves = kind.is_some() && self.to_come == 0 && !self.is_settled(id);
                if moves || age == Age::Outdated || self.put_off.contains(&id) {
                    as_it_is
                } else {
                    Age::Current
                }
            }
            (_, true) if self.rolled(id) && !self.waiting.is_empty() => as_it_is,
            (_, true) => match kind {
                Some(ChangeKind::Replaced) => Age::Outdated,
                // Only if it is on its way, up or down; and if this is the last update, for the next one
                // does not begin before what is old has gone.
                Some(ChangeKind::InPlace) if self.to_come == 0 && !self.is_settled(id) => as_it_is,
                Some(ChangeKind::InPlace | ChangeKind::Added | ChangeKind::Removed) | None => Age::Current,
            },
        }
    }

    /// After each turn the plan that is known is the one in force.
    pub(super) fn knows_the_plan(&self, sup: &Supervisor) -> Verdict {
        let same = |service: &ServiceId| self.plan.service(*service) == sup.plan().service(*service);
        match *self.order == *sup.order() && self.order.iter().all(same) && self.to_come == 0 {
            true => Ok(()),
            false => Err("another plan is in force than the one that was asked for".into()),
        }
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
