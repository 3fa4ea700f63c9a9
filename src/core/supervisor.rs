//! Many instances, from Boot to Done.
//!
//! # The model
//!
//! The supervisor is told what happened ([`Input`]), at which moment, and answers with what
//! is to be done ([`Action`]). It knows the rules *between* services; what happens within
//! one instance is [`service::step`]'s.
//!
//! **Phases.** `Boot` until every wanted instance has come to rest once (ready, or ended).
//! `Up` from then on. `Draining` when we were asked to stop, an essential service failed, or
//! everything has ended: instances stop in reverse order of dependency. `Sweeping` when no
//! instance has a process: whatever else is left in the container is ended. `Done`.
//!
//! **Launching.** An instance that is Waiting is admitted when everything it requires holds,
//! and when what it only comes after holds or is not going to. A requirement that can never
//! hold any more makes it Fatal. At most [`EXECUTING_MAX`](super::admission::EXECUTING_MAX) launches are under way at once.
//!
//! **Stopping.** Whoever is to go down first loses all that require it: they are wanted down
//! too, and no instance is asked to stop while one of them has a process, be it through others
//! that have none (application → finished migration → database). In a drain the same goes for
//! those that only come after. A *restart* (by hand, or because a check failed) is a
//! replacement, not a stop: what depends on the service is left in peace.
//!
//! **Draining has a limit**, and whoever stops first leaves time to those behind ([`yielding`](super::yielding)). After `shutdown_timeout` there is no more grace and no more
//! order: everything gets KILL. A second later we are Done, whatever the kernel still holds
//! in an uninterruptible sleep. A second stop signal brings that moment forward.
//!
//! **The verdict.** The first essential failure decides the exit code. Without one it is 0,
//! unless something had to be killed because it outlived its grace period.
//!
//! **Cost.** What a single input costs does not grow with the number of services, but with
//! the number of those it concerns: nobody looks through all of them. So there are counters
//! (who is not at rest, who has a process), a list of alarms in order of time, and marks on
//! those that wait. Each of them changes where the instance or its `want` changes, in `apply`
//! and in `set_want`, and nowhere else.

use super::action::{Action, Change, Occasion};
use super::backoff;
use super::goals::Pending;
use super::graph::Graph;
use super::ids::{InstanceId, Pid, ServiceId};
use super::input::Input;
use super::instance::{Checkup, Deed, Event, Failure, Instance, State, Want};
use super::occupancy::Occupancy;
use super::phase::Phase;
use super::plan::{Hook, Kind, Plan};
use super::rolling::Rolls;
use super::service;
use super::slot::{Role, Slot};
use super::time::Moment;
use super::update::{Age, Updates};
use crate::core::sorted::Set;
use std::collections::VecDeque;
use std::rc::Rc;

/// Decides. See the head of this file.
#[derive(Clone, Debug)]
pub struct Supervisor {
    pub(super) plan: Rc<Plan>,
    pub(super) graph: Graph,
    /// In which order people see the services, without those that have been removed.
    pub(super) order: Box<[ServiceId]>,
    pub(super) slots: Vec<Slot>,
    pub(super) phase: Phase,
    /// When the last stop signal came, but for echoes of it.
    pub(super) stop_asked: Option<Moment>,
    pub(super) actions: VecDeque<Action>,
    pub(super) pending: Vec<Pending>,
    pub(super) updates: Updates,
    pub(super) rolls: Rolls,
    seed: u64,
    /// The latest moment we have heard of: time does not go back.
    clock: Moment,
    /// Waiting instances that have to be looked at.
    pub(super) queue: VecDeque<InstanceId>,
    /// Instances between the order to launch and exec.
    pub(super) executing: u32,
    /// When instances want to be woken, the earliest first.
    pub(super) alarms: Set<(Moment, InstanceId)>,
    pub(super) occupancy: Occupancy,
    /// Instances that have changed since the last request was looked at.
    pub(super) changed: Vec<InstanceId>,
    /// Wanted instances that have not been at rest yet: Boot lasts until there are none.
    pub(super) unsettled: u32,
    /// Instances whose end is still to come: when there are none, all is over.
    pub(super) open: u32,
    /// Hooks that have been ordered and are not over: the last sweep waits for them.
    pub(super) hooks: u32,
    /// Once everything stops: how many stop after each service, one after the other.
    pub(super) behind: Box<[u32]>,
    /// The container's exit code, once something has decided it.
    pub(super) verdict: Option<u8>,
    deeds: Vec<Deed>,
    /// How often an instance has been looked at: the measure of what an input costs.
    #[cfg(debug_assertions)]
    pub(super) looks: std::cell::Cell<u64>,
}

impl Supervisor {
    /// A supervisor that has not begun. `seed` is for jitter: any number, drawn outside.
    pub fn new(plan: Rc<Plan>, seed: u64) -> Self {
        let graph = Graph::new(&plan);
        let order: Box<[_]> = (0..plan.services.len() as u32).map(ServiceId).collect();
        let instances = order.iter().flat_map(|service| {
            let spec = plan.service(*service);
            (0..spec.instances).map(|number| Slot::new(*service, number, spec.first_want()))
        });
        let slots: Vec<Slot> = instances.collect();
        let wanted = slots.iter().filter(|slot| slot.instance.want == Want::Up).count() as u32;
        Supervisor {
            graph,
            order,
            slots,
            phase: Phase::Boot,
            stop_asked: None,
            actions: VecDeque::new(),
            pending: Vec::new(),
            updates: Updates::default(),
            rolls: Rolls::default(),
            seed,
            clock: Moment::default(),
            queue: VecDeque::new(),
            executing: 0,
            alarms: Set::new(),
            occupancy: Occupancy::new(plan.services.len()),
            changed: Vec::new(),
            unsettled: wanted,
            open: wanted,
            hooks: 0,
            behind: Box::default(),
            verdict: None,
            deeds: Vec::new(),
            #[cfg(debug_assertions)]
            looks: std::cell::Cell::new(0),
            plan,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Moment) {
        let now = self.clock.max(now);
        self.clock = now;
        match input {
            Input::Request(id, request) => self.requested(id, request, now),
            Input::Abandoned(id) => self.abandoned(id),
            // Nothing is left to decide, and nobody would obey.
            _ if self.phase == Phase::Done => return,
            Input::Boot => self.boot(now),
            Input::Forked { instance, pid } => self.apply(instance, Event::Forked(pid), now),
            Input::Refused { instance } => self.apply(instance, Event::Refused, now),
            Input::Executed { instance, pid } => self.apply_to(instance, pid, Event::Executed, now),
            Input::ExecFailed { instance, pid, fault } => {
                self.apply_to(instance, pid, Event::ExecFailed(fault), now)
            }
            Input::Ended { instance, pid, outcome, leftovers } => {
                self.apply_to(instance, pid, Event::Ended { outcome, leftovers }, now);
            }
            Input::TakenOver { instance, pid, heir } => {
                if self.slot(instance).instance.pid() == Some(pid) {
                    self.apply(instance, Event::TakenOver(heir), now);
                    self.changed.push(instance);
                    let change = Change::TakenOver { instance, from: pid, to: heir };
                    self.actions.push_back(Action::Publish(Box::new(change)));
                }
            }
            Input::TreeGone { instance, leader } => {
                if matches!(self.slot(instance).instance.state, State::Sweeping { leader: of, .. } if of == leader)
                {
                    self.apply(instance, Event::TreeGone, now);
                }
            }
            Input::Ready { instance, pid } => self.apply_to(instance, pid, Event::Ready, now),
            Input::Answered { instance, pid, answer } => {
                self.apply_to(instance, pid, Event::Answered(answer), now)
            }
            Input::HookEnded { instance, pid, hook } => {
                self.hooks = self.hooks.saturating_sub(1);
                if hook == Hook::BeforeStop {
                    self.apply_to(instance, pid, Event::TookLeave, now);
                }
            }
            Input::Exceeded { instance, pid, used, limit } => {
                self.apply_to(instance, pid, Event::Exceeded { used, limit }, now);
            }
            Input::Said { instance, pid, text } => {
                self.said_now(instance, pid, &text);
                self.apply_to(instance, pid, Event::Said(text), now);
            }
            Input::Alive { instance, pid } => self.apply_to(instance, pid, Event::Alive, now),
            Input::Reloaded { instance, pid, answer } => self.reloaded(instance, pid, answer),
            Input::Scheduled(service) => self.scheduled(service, now),
            Input::Changed(service) => self.files_changed(service, now),
            Input::Signal(signal) => self.signalled(signal, now),
            Input::Due => self.due(now),
            Input::AllGone => self.all_gone(),
        }
        loop {
            self.go_on_rolling(now);
            self.go_on_updating(now);
            if !self.rolls.stirred || self.phase.is_ending() {
                break;
            }
        }
        self.admit(now);
        self.leave_boot();
        self.begin_sweep(now);
        self.answer_pending();
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When `handle(Input::Due)` is wanted at the latest. Never before the last `now`.
    pub fn deadline(&self) -> Option<Moment> {
        let own = match self.phase {
            Phase::Boot | Phase::Up => None,
            Phase::Draining { kill_at, hurried: false, .. } => Some(kill_at),
            Phase::Draining { end_at, hurried: true, .. } => Some(end_at),
            Phase::Sweeping { kill_at, end_at } => Some(kill_at.min(end_at)),
            Phase::Done => return None,
        };
        let theirs = self.alarms.first().map(|(at, _)| *at);
        // Whoever is overdue wants to be told now.
        [own, theirs].into_iter().flatten().min().map(|at| at.max(self.clock))
    }

    /// The container's exit code, once everything is over.
    pub fn exit_code(&self) -> Option<u8> {
        (self.phase == Phase::Done).then(|| self.verdict.unwrap_or(0))
    }

    /// What the supervisor is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The plan it works from. After an update it may have services at the places of
    /// [`order`](Self::order) only, and others that have been removed, at theirs.
    pub fn plan(&self) -> &Rc<Plan> {
        &self.plan
    }

    /// How often an instance has been looked at so far, for the tests of scale. Not there in
    /// a release.
    #[cfg(debug_assertions)]
    pub fn looks(&self) -> u64 {
        self.looks.get()
    }

    fn boot(&mut self, now: Moment) {
        for id in self.all() {
            if self.slot(id).instance.want == Want::Up {
                self.apply(id, Event::Start, now);
            }
        }
        self.begin_schedules(now);
        self.end_if_all_ended(now);
    }

    /// What is asked of an instance changes; what is true of it does not, yet.
    pub(super) fn set_want(&mut self, id: InstanceId, want: Want, parked: bool) {
        let slot = &mut self.slots[id.index()];
        self.open -= u32::from(slot.is_open());
        slot.instance.want = want;
        slot.parked = parked;
        self.open += u32::from(slot.is_open());
        self.updates.stirred |= slot.age != Age::Current;
        self.changed.push(id);
    }

    /// An event that is about one process, not about whichever comes after it.
    fn apply_to(&mut self, id: InstanceId, pid: Pid, event: Event, now: Moment) {
        if self.slot(id).instance.pid() == Some(pid) {
            self.apply(id, event, now);
        }
    }

    /// One step of one instance, and what follows from it for the others.
    pub(super) fn apply(&mut self, id: InstanceId, event: Event, now: Moment) {
        if matches!(event, Event::Ended { .. } | Event::ExecFailed(_)) {
            self.succeeds_early(id);
        }
        let die = backoff::die(self.seed, id);
        let yielding = self.yielding(id, &event, now);
        let slot = &mut self.slots[id.index()];
        let plan = Rc::clone(self.updates.plan_of(slot, &self.plan));
        let spec = yielding.as_ref().unwrap_or_else(|| plan.service(slot.service));
        let one_try = (slot.role == Role::Successor).then(|| spec.with_one_try());
        let spec = one_try.as_ref().unwrap_or(spec);
        let before = slot.instance.clone();
        self.open -= u32::from(slot.is_open());
        let instance = std::mem::replace(&mut slot.instance, Instance::new(Want::Down));
        slot.instance = service::step(spec, die, instance, event, now, &mut self.deeds);
        if slot.age != Age::Current && before.has_process() && !slot.instance.has_process() {
            self.updates.stirred = true;
            let begins_anew = slot.has_lost_its_old_process() && !self.phase.is_ending();
            let mut instance = std::mem::replace(&mut slot.instance, Instance::new(Want::Down));
            // Whatever its end would have meant: now there is another meaning.
            slot.instance = match begins_anew {
                true => {
                    instance.prepared = false;
                    let spec = self.plan.service(slot.service);
                    service::step(spec, die, instance, Event::Start, now, &mut self.deeds)
                }
                false => instance,
            };
        }
        self.open += u32::from(slot.is_open());
        self.rolls.stirred |= slot.partner.is_some() || slot.rolls;
        // Whatever comes after is new already.
        slot.rolls &= slot.instance.has_process() || !before.has_process();
        slot.becomes_spare();
        for deed in self.deeds.drain(..) {
            let is_over = matches!(
                self.phase,
                Phase::Draining { hurried: true, .. } | Phase::Sweeping { .. } | Phase::Done
            );
            self.actions.push_back(match deed {
                // Once draining began nothing is launched but what belongs to stopping.
                Deed::Hook(Hook::AfterReady, ..) if self.phase.is_ending() => continue,
                Deed::Hook(..) if is_over => continue,
                Deed::Hook(hook, pid, outcome, within) => {
                    self.hooks += 1;
                    Action::Hook { instance: id, pid, hook, outcome, within }
                }
                Deed::Prepare => Action::Prepare { instance: id },
                Deed::Launch => Action::Launch { instance: id },
                Deed::Signal(pid, signal) => Action::Signal { instance: id, pid, signal },
                Deed::Resume(pid) => Action::Resume { instance: id, pid },
                Deed::SignalTree(leader, signal) => Action::SignalTree { instance: id, leader, signal },
                Deed::AskReady(pid, within) => Action::AskReady { instance: id, pid, within },
                Deed::AskHealth(pid, within) => Action::AskHealth { instance: id, pid, within },
            });
        }
        let after = &slot.instance;
        let alarms = (before.deadline(spec), after.deadline(spec));
        let healths = (checkup(&before.state).map(|c| c.healthy), checkup(&after.state).map(|c| c.healthy));
        self.rearm(id, alarms.0, alarms.1);
        if let (Some(was), Some(healthy)) = healths
            && was != healthy
        {
            self.actions.push_back(Action::Publish(Box::new(Change::Health { instance: id, healthy })));
            self.changed.push(id);
            self.unblock(id);
        }
        if std::mem::discriminant(&before.state) != std::mem::discriminant(&self.slot(id).instance.state) {
            self.moved(id, before, now);
        }
        self.stop_if_free(id, now);
        self.replace_if_free(id, now);
    }

    /// The instance wants to be woken at another moment.
    pub(super) fn rearm(&mut self, id: InstanceId, from: Option<Moment>, to: Option<Moment>) {
        if from != to {
            from.map(|at| self.alarms.remove(&(at, id)));
            to.map(|at| self.alarms.insert((at, id)));
        }
    }

    /// What a process says of itself; nothing takes back what it has said before.
    fn said_now(&mut self, id: InstanceId, pid: Pid, text: &Rc<str>) {
        let slot = &mut self.slots[id.index()];
        let text = Some(text).filter(|text| !text.is_empty());
        if slot.instance.pid() == Some(pid) && slot.said.as_ref() != text {
            slot.said = text.cloned();
            self.actions.push_back(Action::Publish(Box::new(Change::Said(id))));
        }
    }

    /// An instance has come into another state.
    fn moved(&mut self, id: InstanceId, before: Instance, now: Moment) {
        let after = self.slot(id).instance.clone();
        self.actions.push_back(Action::Publish(Box::new(Change::State {
            instance: id,
            from: before.state.clone(),
            to: after.state.clone(),
            failures: after.failures,
            last: after.last,
        })));
        // What was to be read again is read now; or by another process anyway.
        let slot = &mut self.slots[id.index()];
        let (reloads, reopens) = (std::mem::take(&mut slot.reloads), std::mem::take(&mut slot.reopens));
        if let State::Running { pid, .. } = after.state {
            (0..reloads).for_each(|_| self.actions.push_back(Action::Reload { instance: id, pid }));
            let reopen = if reopens { self.spec_of(id).reopen } else { None };
            self.actions.extend(reopen.map(|signal| Action::Signal { instance: id, pid, signal }));
        }
        self.executing -= u32::from(is_executing(&before.state));
        self.executing += u32::from(is_executing(&after.state));
        self.changed.push(id);
        if !after.has_process() {
            self.slots[id.index()].said = None;
        }
        if matches!(after.state, State::Waiting { .. }) {
            self.slots[id.index()].told = false;
            self.look_at(id);
        }
        self.unblock(id);
        self.settled(id, &after);
        if self.phase.is_ending() {
            self.judge_stop(id, &before, &after);
        } else if self.slot(id).role != Role::Member {
            // Nobody depends on it, and that it fails is its roll's matter.
        } else if let Some(failure) = self.lasting_failure(id) {
            if self.spec_of(id).essential {
                self.verdict.get_or_insert(failure.code());
                self.drain(Occasion::Essential(id, failure), now);
            } else {
                self.end_if_all_ended(now);
            }
        } else if matches!(after.state, State::Exited { .. }) {
            self.end_if_all_ended(now);
        }
        let service = self.slot(id).service;
        match (before.has_process(), after.has_process()) {
            (false, true) => self.occupancy.gained(&self.plan, service),
            (true, false) => self.release_requirements(service, now),
            (false, false) | (true, true) => {}
        }
    }

    fn settled(&mut self, id: InstanceId, after: &Instance) {
        let kind = self.spec_of(id).kind;
        let at_rest = match &after.state {
            State::Running { .. } => kind == Kind::Longrun,
            State::Exited { .. } | State::Fatal { .. } | State::Stopped => true,
            State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. } => false,
        };
        let slot = &mut self.slots[id.index()];
        if at_rest && !slot.settled {
            slot.settled = true;
            self.unsettled = self.unsettled.saturating_sub(1);
        }
    }

    fn leave_boot(&mut self) {
        if self.phase == Phase::Boot && self.unsettled == 0 {
            self.enter(Phase::Up);
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.actions.push_back(Action::Publish(Box::new(Change::Phase(phase))));
    }

    /// Why an instance is down for good although it is wanted, if it is.
    fn lasting_failure(&self, id: InstanceId) -> Option<Failure> {
        match &self.slot(id).instance.state {
            State::Fatal { cause } => Some(cause.clone()),
            State::Exited { outcome } if !self.spec_of(id).is_success(*outcome) => {
                Some(Failure::Ended(*outcome))
            }
            _ => None,
        }
    }

    /// In a drain: whoever had to be killed after an asked stop spoils the exit code.
    fn judge_stop(&mut self, id: InstanceId, before: &Instance, after: &Instance) {
        if before.has_process()
            && !after.has_process()
            && after.forced
            && self.slot(id).instance.want == Want::Down
        {
            self.had_to_kill();
        }
    }
}

pub(super) fn checkup(state: &State) -> Option<&Checkup> {
    match state {
        State::Running { checkup, .. } => checkup.as_ref(),
        _ => None,
    }
}

fn is_executing(state: &State) -> bool {
    matches!(state, State::Launching { .. } | State::Executing { .. })
}
