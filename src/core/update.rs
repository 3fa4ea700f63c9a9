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
//! **What stays.** Unchanged instances, and those whose changed keys need no new process, keep it
//! with all that is known of it. What a client has stopped stays stopped. Who has been given up
//! is tried again if anything of it has changed, or of what it lacked; what ended for good
//! only if it would be launched otherwise now. An instance that is not ready yet is launched anew
//! if `ready` or its hooks have changed.
//!
//! **Turns.** An update begins when the one before has stopped all that it had to stop. What that
//! one launched may still be on its way up: whoever put a service into the configuration that never
//! gets ready can update again. The client is answered when everything that was launched is up
//! and everything that was removed is gone, or with the first failure that lasts. The plan
//! remains in force then, too; and if the one who failed is essential, everything stops, as ever.

use super::action::{Action, Change};
use super::difference::{ChangeKind, Difference, align, compare};
use super::goals::Goal;
use super::graph::Graph;
use super::ids::{InstanceId, RequestId, ServiceId};
use super::instance::{Event, Failure, State, Want};
use super::occupancy::Occupancy;
use super::phase::Phase;
use super::plan::{Plan, ServiceSpec};
use super::slot::{Role, Slot};
use super::supervisor::Supervisor;
use super::time::Moment;
use crate::core::sorted::{Map, Set};
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

/// What is to be done about instances, once everything is in its place.
#[derive(Default)]
struct Errands {
    goals: Vec<(InstanceId, Goal)>,
    starts: Vec<InstanceId>,
    rechecks: Vec<InstanceId>,
    pardons: Vec<InstanceId>,
    rolls: Set<ServiceId>,
    leaves: Vec<InstanceId>,
    disables: Vec<ServiceId>,
}

impl Supervisor {
    /// What an update to this plan would change, if it had its turn now.
    pub fn difference(&self, new: &Plan) -> Difference {
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

    /// Forgets what was meant of services that are long gone. It is kept until the next update for
    /// the last that they have to do, their `after_exit` hooks.
    fn clear_up(&mut self) {
        let present = Set::from_iter(self.order.iter().copied());
        let is_litter = |(index, spec): (usize, &ServiceSpec)| {
            !present.contains(&ServiceId(index as u32)) && !spec.launch.command.is_empty()
        };
        if self.plan.services.iter().enumerate().any(is_litter) {
            let plan = Rc::make_mut(&mut self.plan);
            for (index, spec) in plan.services.iter_mut().enumerate() {
                if !present.contains(&ServiceId(index as u32)) {
                    *spec = spec.remains();
                }
            }
        }
    }

    fn update(&mut self, id: Option<RequestId>, new: &Plan, now: Moment) {
        self.clear_up();
        let before = Rc::clone(&self.plan);
        let (plan, order) = align(&before, new);
        let difference = Rc::new(compare(&before, &self.order, &plan, &order));
        self.plan = Rc::new(plan);
        self.order = order;
        self.updates.before = Some(Rc::clone(&before));
        self.actions.push_back(Action::Publish(Box::new(Change::Updating(Rc::clone(&difference)))));
        let mut errands = Errands::default();
        self.move_in(&mut errands);
        self.change(&before, &difference, &mut errands);
        self.try_again(&difference, &mut errands);
        self.run(errands, id, now);
    }

    /// Gives every instance of the new plan its place, and takes away those that it does not have.
    fn move_in(&mut self, errands: &mut Errands) {
        // A spare is nobody's.
        let known = self.all().filter(|id| self.slot(*id).role == Role::Member);
        let known = Map::from_iter(known.map(|id| (self.whose(id), id)));
        let mut members = Map::new();
        for service in self.order.clone() {
            let spec = self.plan.service(service);
            let (count, want) = (spec.instances, spec.first_want());
            for number in 0..count {
                let id = known.get(&(service, number)).copied();
                let id = id.unwrap_or(InstanceId(self.slots.len() as u32));
                members.insert((service, number), id);
                let is_there = self.slots.get(id.index()).is_some_and(|slot| slot.age != Age::Gone);
                if is_there {
                    continue;
                }
                let settled = want == Want::Down || self.phase != Phase::Boot;
                let slot = Slot { settled, ..Slot::new(service, number, want) };
                self.unsettled += u32::from(!settled);
                self.open += u32::from(slot.is_open());
                match self.slots.get_mut(id.index()) {
                    Some(place) => *place = Slot { partner: place.partner, ..slot },
                    None => self.slots.push(slot),
                }
                if want == Want::Up {
                    errands.starts.push(id);
                }
            }
        }
        let leaves = |id: &InstanceId| {
            let slot = self.slot(*id);
            let is_there = matches!(slot.age, Age::Current | Age::Kept) && slot.role == Role::Member;
            is_there && !members.contains_key(&self.whose(*id))
        };
        errands.leaves = self.all().filter(leaves).collect();
        let members = members.into_iter().map(|((service, _), id)| (service, id)).collect();
        self.graph = Graph::with_members(&self.plan, members);
        self.occupancy = Occupancy::new(self.plan.services.len());
        for slot in self.slots.iter().filter(|slot| slot.instance.has_process()) {
            self.occupancy.gained(&self.plan, slot.service);
        }
    }

    /// What becomes of the instances of services that were there before.
    fn change(&mut self, before: &Plan, difference: &Difference, errands: &mut Errands) {
        let kinds = Map::from_iter(difference.services.iter().map(|changed| (&*changed.name, changed.kind)));
        let plan = Rc::clone(&self.plan);
        for service in self.order.clone() {
            let spec = plan.service(service);
            let replaced = match kinds.get(&*spec.name) {
                Some(ChangeKind::Replaced) => true,
                Some(ChangeKind::InPlace) => false,
                Some(ChangeKind::Added | ChangeKind::Removed) | None => continue,
            };
            let old = before.service(service);
            for id in self.graph.instances(service) {
                if !errands.starts.contains(&id) {
                    self.change_one(id, (old, spec), replaced, errands);
                }
            }
            if old.first_want() == Want::Up && spec.first_want() == Want::Down {
                errands.disables.push(service);
            }
        }
    }

    fn change_one(
        &mut self,
        id: InstanceId,
        (old, spec): (&ServiceSpec, &ServiceSpec),
        replaced: bool,
        errands: &mut Errands,
    ) {
        if old.first_want() == Want::Down && spec.first_want() == Want::Up {
            self.set_want(id, Want::Up, false);
        }
        let is_kept = self.slot(id).age == Age::Kept;
        if is_kept && !replaced {
            // It lives by another plan anyway.
            return;
        }
        let it = self.instance(id).clone();
        let is_wanted = it.want == Want::Up && spec.first_want() == Want::Up;
        let (outdated, starts) = match it.state {
            State::Running { .. } => (replaced, false),
            // What it was to do on its way up is different now.
            State::Executing { .. } | State::Preparing { .. } | State::Starting { .. } => {
                (replaced || old.ready != spec.ready || old.hooks != spec.hooks, false)
            }
            // It ends by the rules by which it began to.
            State::Stopping { .. } | State::Killing { .. } | State::Sweeping { .. } => (true, false),
            // It is not known to the kernel yet: it will be what the new plan says.
            State::Launching { .. } => (false, false),
            State::Stopped | State::Waiting { .. } | State::Fatal { .. } => (false, true),
            State::Backoff { .. } | State::Exited { .. } => (false, replaced),
        };
        if outdated {
            self.slots[id.index()].age = Age::Outdated;
            self.updates.old.push(id);
            let is_disabled = old.first_want() == Want::Up && spec.first_want() == Want::Down;
            if spec.rolling && !is_disabled && self.can_roll(id) {
                self.slots[id.index()].rolls = true;
                errands.rolls.insert(self.slot(id).service);
            }
            if it.is_stopping() && is_wanted {
                errands.pardons.push(id);
            }
        } else {
            self.rearm(id, it.deadline(old), it.deadline(spec));
            if old.health != spec.health {
                errands.rechecks.push(id);
            }
        }
        if starts && is_wanted {
            errands.starts.push(id);
        } else if outdated && is_wanted {
            errands.goals.push((id, Goal::Up));
        }
    }

    /// Who was given up for want of something that is different now is tried again.
    fn try_again(&mut self, difference: &Difference, errands: &mut Errands) {
        let names = Set::from_iter(difference.services.iter().map(|changed| &*changed.name));
        let is_touched = |service: &ServiceId| names.contains(&*self.plan.service(*service).name);
        let mut touched = Set::from_iter(self.order.iter().copied().filter(is_touched));
        let lacks = |id: InstanceId| match self.instance(id).state {
            State::Fatal { cause: Failure::Requirement(service) } => Some(service),
            _ => None,
        };
        let mut given_up: Vec<(InstanceId, ServiceId)> = self
            .order
            .iter()
            .flat_map(|service| self.graph.instances(*service))
            .filter_map(|id| Some((id, lacks(id)?)))
            .filter(|(id, _)| self.instance(*id).want == Want::Up && !errands.starts.contains(id))
            .collect();
        loop {
            let (again, still): (Vec<_>, Vec<_>) =
                given_up.into_iter().partition(|(_, lacks)| touched.contains(lacks));
            if again.is_empty() {
                return;
            }
            touched.extend(again.iter().map(|(id, _)| self.slot(*id).service));
            errands.starts.extend(again.into_iter().map(|(id, _)| id));
            given_up = still;
        }
    }

    fn run(&mut self, errands: Errands, id: Option<RequestId>, now: Moment) {
        let Errands { mut goals, starts, rechecks, pardons, rolls, leaves, disables } = errands;
        for service in rolls {
            let roll = Goal::Rolled(self.roll(service));
            goals.extend(self.graph.instances(service).next().map(|id| (id, roll)));
        }
        for id in leaves {
            self.leave(id, &mut goals, now);
        }
        self.find_held();
        for (id, event) in pardons
            .into_iter()
            .map(|id| (id, Event::Replace))
            .chain(rechecks.into_iter().map(|id| (id, Event::Rechecked)))
            .chain(starts.iter().map(|id| (*id, Event::Start)))
        {
            self.apply(id, event, now);
        }
        goals.extend(starts.into_iter().map(|id| (id, Goal::Up)));
        for service in &disables {
            for id in self.graph.instances(*service) {
                self.want_down(id, now);
                self.set_want(id, Want::Down, false);
                goals.push((id, Goal::Gone));
            }
        }
        let affected = self.instances_in_order(&self.graph.with_dependents(&disables));
        for id in affected {
            if self.instance(id).want == Want::Up {
                self.want_down(id, now);
            }
        }
        // Who requires whom is different now: somebody may be free to go, somebody's turn may have come.
        for id in self.all() {
            self.stop_if_free(id, now);
            if matches!(self.instance(id).state, State::Waiting { .. }) {
                self.look_at(id);
            }
        }
        self.updates.stirred = true;
        if id.is_some() {
            self.await_goals(id, goals);
        }
    }

    /// The instance is in the plan no more.
    fn leave(&mut self, id: InstanceId, goals: &mut Vec<(InstanceId, Goal)>, now: Moment) {
        let slot = &mut self.slots[id.index()];
        self.unsettled -= u32::from(!std::mem::replace(&mut slot.settled, true));
        let has_process = slot.instance.has_process();
        slot.age = if has_process { Age::Leaving } else { Age::Gone };
        slot.rolls = false;
        self.set_want(id, Want::Down, false);
        self.updates.old.push(id);
        match has_process {
            true => goals.push((id, Goal::Gone)),
            false => self.apply(id, Event::Stop, now),
        }
    }
}

impl ServiceSpec {
    /// What is kept of a service that has been removed: its name.
    fn remains(&self) -> ServiceSpec {
        let mut spec = self.clone();
        spec.launch.command = Box::new([]);
        spec.launch.environment = Rc::new([]);
        spec.launch.secrets = Rc::new([]);
        spec.launch.extra = None;
        (spec.requires, spec.after) = (Box::new([]), Box::new([]));
        (spec.ready, spec.health, spec.reload) = (None, None, None);
        (spec.hooks, spec.schedule, spec.watch, spec.sockets) = (None, None, None, None);
        spec
    }
}
