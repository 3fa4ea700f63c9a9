//! From one plan to the next.
//!
//! # The model
//!
//! A service keeps its number over an update, and an instance keeps its own: processes are
//! marked with it. So the new plan is laid over the old one: services of the same name stand
//! at the same place, new ones behind them, and removed ones keep their places. A place is taken
//! again only by a service of the same name: what a stray process of it may still be marked with
//! never means somebody else.
//!
//! The new plan is in force at once; only processes that it replaces or removes live by the old one
//! until they have ended, with their old stop signals and grace periods. They are
//! *outdated* or *leaving* ([`Age`]), and their end means one thing only: an outdated instance is
//! launched anew by the new plan, a leaving one is gone.
//!
//! **Order.** Among those, whoever was required goes after whoever required it: no outdated or
//! leaving process is asked to end while another one of them requires it, directly or not. What did
//! not change is left in peace, also if it requires what is replaced: as in a restart.
//! Whatever is launched is admitted by the usual rules, so a replaced application waits for
//! its replaced database.
//!
//! **Turns.** An update begins when the one before has stopped all that it had to stop. What that
//! one launched may still be on its way up: whoever put a service into the configuration that never
//! gets ready can update again. The client is answered when everything that was launched is up
//! and everything that was removed is gone, or with the first failure that lasts. The plan
//! remains in force then, too; and if the one who failed is essential, everything stops, as ever.

mod begin;

use super::action::{Action, Change};
use super::difference::{self, Difference, align, compare};
use super::ids::{InstanceId, RequestId, ServiceId};
use super::instance::{Event, Want};
use super::plan::Plan;
use super::slot::{Role, Slot};
use super::supervisor::Supervisor;
use super::time::Moment;
use std::collections::VecDeque;
use std::rc::Rc;

/// By which plan an instance lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// By the plan in force.
    Current,
    /// By the one before: its process is replaced by one of the plan in force.
    Outdated,
    /// By the one before: it is removed when its process has ended.
    Leaving,
    /// It is removed.
    Gone,
    /// By an older one: its successor did not get ready, so it goes on.
    Kept,
}

/// Updates that wait for their turn, and what is left of the one that has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Updates {
    /// With whoever asked, if he is still there.
    pub(super) waiting: VecDeque<(Option<RequestId>, Rc<Plan>)>,
    /// The plan before, as long as any process lives by it.
    before: Option<Rc<Plan>>,
    /// Whose these are.
    old: Vec<InstanceId>,
    /// For each service, how one of those processes requires it.
    held: Vec<Hold>,
    /// Something has become of one of them.
    pub(super) stirred: bool,
}

impl Updates {
    /// The plan that an instance of this age lives by.
    pub(super) fn plan_of<'a>(&'a self, slot: &'a Slot, current: &'a Rc<Plan>) -> &'a Rc<Plan> {
        match slot.age {
            _ if slot.kept.is_some() => slot.kept.as_ref().unwrap_or(current),
            Age::Current | Age::Kept => current,
            Age::Outdated | Age::Leaving | Age::Gone => self.before.as_ref().unwrap_or(current),
        }
    }

    /// The plan before, as long as an update is not over.
    pub(super) fn before(&self) -> Option<Rc<Plan>> {
        self.before.clone()
    }

    /// Whoever asked has gone. What he asked for is done.
    pub(super) fn abandoned(&mut self, id: RequestId) {
        for (of, _) in self.waiting.iter_mut().filter(|(of, _)| *of == Some(id)) {
            *of = None;
        }
    }

    /// Those that are being removed.
    pub(super) fn leaving<'a>(&'a self, slots: &'a [Slot]) -> impl Iterator<Item = InstanceId> + 'a {
        self.old.iter().copied().filter(|id| slots[id.index()].age == Age::Leaving)
    }

    /// Whether anybody at all who is old requires the service.
    fn is_held(&self, service: ServiceId) -> bool {
        self.held.get(service.index()).is_some_and(|held| *held != Hold::Nobody)
    }

    /// Whether somebody requires it who has to go before it is replaced.
    fn is_in_the_way(&self, service: ServiceId) -> bool {
        self.held.get(service.index()).is_some_and(|held| *held == Hold::Firmly)
    }
}

/// How the old processes hold a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Hold {
    Nobody,
    /// Only those require it that are handed over to successors: it may be replaced beneath them,
    /// but not removed.
    Loosely,
    Firmly,
}

impl Supervisor {
    /// What an update to this plan would change when it has its turn: after those that wait for theirs.
    pub fn difference(&self, new: &Plan) -> Difference {
        if let Some((_, before)) = self.updates.waiting.back() {
            return difference::difference(before, new);
        }
        let (plan, order) = align(&self.plan, new);
        compare(&self.plan, &self.order, &plan, &order)
    }

    /// Plans that wait until it is their turn to be in force.
    pub fn plans_to_come(&self) -> impl Iterator<Item = &Plan> {
        self.updates.waiting.iter().map(|(_, plan)| &**plan)
    }

    /// The next step of the update that has its turn, and the next update when that is over.
    pub(super) fn go_on_updating(&mut self, now: Moment) {
        loop {
            if !self.updates.waiting.is_empty() && !self.phase.is_ending() {
                self.put_off_rolls(now);
            }
            while std::mem::take(&mut self.updates.stirred) {
                self.advance(now);
            }
            let is_busy = self.updates.before.is_some() || !self.rolls.is_empty() || self.phase.is_ending();
            if is_busy || self.updates.waiting.is_empty() || self.shadows().next().is_some() {
                return;
            }
            let Some((id, plan)) = self.updates.waiting.pop_front() else { return };
            // What the one before has reached is not forgotten in what this one begins.
            self.answer_pending();
            self.update(id, &plan, now);
        }
    }

    /// Nothing is updated any more.
    pub(super) fn refuse_updates(&mut self) {
        for (id, _) in std::mem::take(&mut self.updates.waiting) {
            if let Some(id) = id {
                self.refuse(id, "shutting down".into());
            }
        }
    }

    /// Whether somebody who is still there needs the instance's service.
    pub(super) fn is_held(&self, id: InstanceId) -> bool {
        let slot = self.slot(id);
        match slot.age {
            _ if slot.role == Role::Predecessor => false,
            Age::Leaving if !self.phase.is_ending() => self.updates.is_held(slot.service),
            Age::Current | Age::Outdated | Age::Leaving | Age::Gone | Age::Kept => {
                self.occupancy.is_held(slot.service)
            }
        }
    }

    /// Replaces the process of an instance that is outdated, and that no other such process needs.
    pub(super) fn replace_if_free(&mut self, id: InstanceId, now: Moment) {
        let Slot { age: Age::Outdated, service, instance, .. } = self.slot(id) else { return };
        let goes = instance.want == Want::Up && instance.pid().is_some() && !instance.is_stopping();
        // Who needs whom is about to be looked at anew: then it has its turn.
        if self.updates.stirred || !goes || self.is_rolling(id) || self.phase.is_ending() {
            return;
        }
        match self.updates.is_in_the_way(*service) {
            true => {}
            // It has got ready since the update began: now it has something to lose.
            false if self.plan.service(*service).rolling && self.can_roll(id) => self.roll_one(id),
            false => self.apply(id, Event::Replace, now),
        }
    }

    /// One of the processes that live by the old plan has ended, or is asked for something else.
    fn advance(&mut self, now: Moment) {
        if self.updates.before.is_none() {
            return;
        }
        let old = std::mem::take(&mut self.updates.old);
        let (left, done): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|id| matches!(self.slot(*id).age, Age::Outdated | Age::Leaving));
        for id in done {
            if self.slot(id).age == Age::Gone && self.slot(id).role == Role::Member {
                self.actions.push_back(Action::Publish(Box::new(Change::Removed(id))));
            }
        }
        self.updates.old.clone_from(&left);
        if left.is_empty() {
            return self.end_update(now);
        }
        self.find_held();
        for id in left {
            self.stop_if_free(id, now);
            self.replace_if_free(id, now);
        }
    }

    /// For each service of the plan before, whether any of these requires it, directly or not.
    /// Whoever is down by a client's wish does not keep others from leaving.
    fn find_held(&mut self) {
        let Some(before) = &self.updates.before else { return };
        let counts = |slot: &&Slot| slot.age == Age::Leaving || slot.instance.want == Want::Up;
        let is_loose = |slot: &Slot| slot.rolls || slot.role == Role::Predecessor;
        let slots = self.updates.old.iter().map(|id| self.slot(*id)).filter(counts);
        let hold = |slot: &Slot| if is_loose(slot) { Hold::Loosely } else { Hold::Firmly };
        let mut open: Vec<(ServiceId, Hold)> = slots.map(|slot| (slot.service, hold(slot))).collect();
        let mut held = vec![Hold::Nobody; before.services.len()];
        while let Some((service, hold)) = open.pop() {
            for dependency in &before.service(service).requires {
                let known = &mut held[dependency.service.index()];
                if *known < hold {
                    *known = hold;
                    open.push((dependency.service, hold));
                }
            }
        }
        self.updates.held = held;
    }

    fn end_update(&mut self, now: Moment) {
        self.updates.before = None;
        self.updates.held = Vec::new();
        if !self.phase.is_ending() {
            self.end_if_all_ended(now);
        }
    }
}
