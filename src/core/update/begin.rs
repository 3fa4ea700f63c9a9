//! An update begins: the new plan is laid over the one before, and each instance learns what becomes of it.
//!
//! First everything gets its place ([`move_in`](Supervisor::move_in)), then it is looked at what differs, and
//! what is to be done about it is gathered ([`Errands`]); only then is anything told to do it. From then
//! on the update goes its way: `super`.
//!
//! **What stays.** Unchanged instances, and those whose changed keys need no new process, keep it
//! with all that is known of it. What a client has stopped stays stopped, and so does what is new of it or
//! requires it. Who has been given up
//! is tried again if anything of it has changed, or of what it lacked; what ended for good
//! only if it would be launched otherwise now. An instance that is not ready yet is launched anew
//! if `ready` or its hooks have changed.

use super::Age;
use crate::core::action::{Action, Change};
use crate::core::difference::{ChangeKind, Difference, align, compare};
use crate::core::goals::Goal;
use crate::core::graph::Graph;
use crate::core::ids::{InstanceId, RequestId, ServiceId};
use crate::core::instance::{Event, Failure, State, Want};
use crate::core::occupancy::Occupancy;
use crate::core::phase::Phase;
use crate::core::plan::{Plan, ServiceSpec};
use crate::core::slot::{Role, Slot};
use crate::core::sorted::{Map, Set};
use crate::core::supervisor::Supervisor;
use crate::core::time::Moment;
use std::rc::Rc;

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
    pub(super) fn update(&mut self, id: Option<RequestId>, new: &Plan, now: Moment) {
        self.clear_up();
        let before = Rc::clone(&self.plan);
        let (plan, order) = align(&before, new);
        let difference = Rc::new(compare(&before, &self.order, &plan, &order));
        self.plan = Rc::new(plan);
        self.order = order;
        self.updates.before = Some(Rc::clone(&before));
        self.actions.push_back(Action::Publish(Box::new(Change::Updating(Rc::clone(&difference)))));
        let mut errands = Errands::default();
        self.move_in(&before, &mut errands);
        self.change(&before, &difference, &mut errands);
        self.try_again(&difference, &mut errands);
        self.run(errands, id, now);
    }

    /// Gives every instance of the new plan its place, and takes away those that it does not have.
    fn move_in(&mut self, before: &Plan, errands: &mut Errands) {
        // A spare is nobody's.
        let known = self.all().filter(|id| self.slot(*id).role == Role::Member);
        let known = Map::from_iter(known.map(|id| (self.whose(id), id)));
        let stopped = self.stopped_by_hand(before, &known);
        let mut members = Map::new();
        for service in self.order.clone() {
            let spec = self.plan.service(service);
            let want = if stopped.contains(&service) { Want::Down } else { spec.first_want() };
            let count = spec.instances;
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

    /// Services that a client has stopped, all of each, and those that require them: whatever is new of
    /// these is not to run either.
    fn stopped_by_hand(&self, before: &Plan, known: &Map<(ServiceId, u32), InstanceId>) -> Set<ServiceId> {
        let mut wanted = Set::new();
        let mut there = Set::new();
        for ((service, _), id) in known.iter().filter(|(_, id)| self.slot(**id).age != Age::Gone) {
            there.insert(*service);
            if self.instance(*id).want == Want::Up {
                wanted.insert(*service);
            }
        }
        let was_enabled = |service: &ServiceId| {
            before.services.get(service.index()).is_some_and(|it| it.first_want() == Want::Up)
        };
        let is_stopped = |service: &&ServiceId| {
            there.contains(*service) && !wanted.contains(*service) && was_enabled(service)
        };
        let stopped: Vec<ServiceId> = self.order.iter().filter(is_stopped).copied().collect();
        match stopped.is_empty() {
            true => Set::new(),
            false => Set::from_iter(Graph::with_members(&self.plan, Vec::new()).with_dependents(&stopped)),
        }
    }

    /// What becomes of the instances of services that were there before.
    fn change(&mut self, before: &Plan, difference: &Difference, errands: &mut Errands) {
        let kinds = Map::from_iter(difference.services.iter().map(|changed| (&*changed.name, changed.kind)));
        let plan = Rc::clone(&self.plan);
        for service in self.order.clone() {
            let spec = plan.service(service);
            // Of what did not change only who was to be replaced already, and was put off until now.
            let (replaced, changed) = match kinds.get(&*spec.name) {
                Some(ChangeKind::Replaced) => (true, true),
                Some(ChangeKind::InPlace) => (false, true),
                Some(ChangeKind::Added | ChangeKind::Removed) | None => (false, false),
            };
            let Some(old) = before.services.get(service.index()) else { continue };
            for id in self.graph.instances(service) {
                let put_off = std::mem::take(&mut self.slots[id.index()].put_off);
                if (changed || put_off) && !errands.starts.contains(&id) {
                    self.change_one(id, (old, spec), replaced || put_off, errands);
                }
            }
            if changed && old.first_want() == Want::Up && spec.first_want() == Want::Down {
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
