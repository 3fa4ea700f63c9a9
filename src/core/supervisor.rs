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
//! too, and no instance is asked to stop while one of them has a process. In a drain the same
//! goes for those that only come after. A *restart* (by hand, or because a check failed) is a
//! replacement, not a stop: what depends on the service is left in peace.
//!
//! **Draining has a limit.** After `shutdown_timeout` there is no more grace and no more
//! order: everything gets KILL. A second later we are Done, whatever the kernel still holds
//! in an uninterruptible sleep. A second stop signal brings that moment forward.
//!
//! **The verdict.** The first essential failure decides the exit code. Without one it is 0,
//! unless something had to be killed because it outlived its grace period.

use super::action::{Action, Change, Occasion};
use super::backoff;
use super::exit::Outcome;
use super::graph::Graph;
use super::ids::{InstanceId, Pid, ServiceId};
use super::input::Input;
use super::instance::{Checkup, Deed, Event, Failure, Instance, State, Want};
use super::phase::Phase;
use super::plan::{Condition, Kind, Plan, ServiceSpec};
use super::requests::Pending;
use super::service;
use super::signal::Signal;
use super::snapshot::{InstanceStatus, Snapshot};
use super::time::Moment;
use std::collections::VecDeque;
use std::rc::Rc;

/// One instance, with whose it is.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) service: ServiceId,
    pub(super) instance: Instance,
    /// It has been ready, or ended, once.
    settled: bool,
    /// A client stopped it: that it has ended does not mean that all is over.
    pub(super) parked: bool,
    /// It has said what it waits for.
    pub(super) told: bool,
}

/// Decides. See the head of this file.
#[derive(Clone, Debug)]
pub struct Supervisor {
    pub(super) plan: Rc<Plan>,
    pub(super) graph: Graph,
    pub(super) slots: Box<[Slot]>,
    pub(super) phase: Phase,
    pub(super) actions: VecDeque<Action>,
    pub(super) pending: Vec<Pending>,
    seed: u64,
    /// Waiting instances that have to be looked at.
    pub(super) queue: VecDeque<InstanceId>,
    /// Waiting instances that lack a requirement: looked at again when a service changes.
    pub(super) blocked: Vec<InstanceId>,
    /// Instances between the order to launch and exec.
    pub(super) executing: u32,
    /// Instances that have a deadline: mostly none, and then nobody looks for the earliest.
    pub(super) timed: u32,
    /// Wanted instances that have not been at rest yet: Boot lasts until there are none.
    unsettled: u32,
    /// The container's exit code, once something has decided it.
    verdict: Option<u8>,
    deeds: Vec<Deed>,
}

impl Supervisor {
    /// A supervisor that has not begun. `seed` is for jitter: any number, drawn outside.
    pub fn new(plan: Rc<Plan>, seed: u64) -> Self {
        let graph = Graph::new(&plan);
        let slot = |(_, service): (InstanceId, ServiceId)| {
            let want = if plan.service(service).enabled { Want::Up } else { Want::Down };
            Slot { service, instance: Instance::new(want), settled: false, parked: false, told: false }
        };
        let slots = plan.instances().map(slot).collect();
        Supervisor {
            graph,
            slots,
            phase: Phase::Boot,
            actions: VecDeque::new(),
            pending: Vec::new(),
            seed,
            queue: VecDeque::new(),
            blocked: Vec::new(),
            executing: 0,
            timed: 0,
            unsettled: 0,
            verdict: None,
            deeds: Vec::new(),
            plan,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Moment) {
        match input {
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
            Input::Said { instance, pid, text } => self.apply_to(instance, pid, Event::Said(text), now),
            Input::Alive { instance, pid } => self.apply_to(instance, pid, Event::Alive, now),
            Input::Signal(signal) => self.signalled(signal, now),
            Input::Request(id, request) => self.requested(id, request, now),
            Input::Due => self.due(now),
            Input::AllGone => self.all_gone(),
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
        if self.timed == 0 {
            return own;
        }
        let theirs = self
            .slots
            .iter()
            .filter_map(|slot| slot.instance.deadline(self.plan.service(slot.service)))
            .min();
        [own, theirs].into_iter().flatten().min()
    }

    /// The container's exit code, once everything is over.
    pub fn exit_code(&self) -> Option<u8> {
        (self.phase == Phase::Done).then(|| self.verdict.unwrap_or(0))
    }

    /// What the supervisor is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The plan it works from.
    pub fn plan(&self) -> &Rc<Plan> {
        &self.plan
    }

    /// The instance, as it is now.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.slot(id).instance
    }

    /// The service of an instance, and the instance's number within it, from 0.
    pub fn whose(&self, id: InstanceId) -> (ServiceId, u32) {
        let service = self.slot(id).service;
        (service, id.0 - self.graph.first_instance(service).0)
    }

    /// The instances of a service.
    pub fn instances_of(&self, service: ServiceId) -> impl Iterator<Item = InstanceId> + use<> {
        self.graph.instances(service)
    }

    /// The whole truth at one moment.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let instances = (0..self.slots.len() as u32).map(InstanceId).map(|id| {
            let (service, number) = self.whose(id);
            let instance = self.instance(id);
            let since = match instance.state {
                State::Executing { since, .. }
                | State::Starting { since, .. }
                | State::Running { since, .. }
                | State::Stopping { since, .. }
                | State::Killing { since, .. } => Some(since),
                State::Stopped
                | State::Waiting { .. }
                | State::Launching { .. }
                | State::Sweeping { .. }
                | State::Backoff { .. }
                | State::Exited { .. }
                | State::Fatal { .. } => None,
            };
            InstanceStatus {
                service,
                number,
                state: instance.state.name(),
                pid: instance.pid(),
                uptime: since.map(|since| now.since(since)),
                ready: self.instance_holds(id, Condition::Ready),
                healthy: checkup(&instance.state).map(|checkup| checkup.healthy),
                failures: instance.failures,
                launches: instance.launches,
                last: instance.last,
            }
        });
        Snapshot { phase: self.phase, instances: instances.collect() }
    }

    pub(super) fn slot(&self, id: InstanceId) -> &Slot {
        &self.slots[id.index()]
    }

    pub(super) fn spec_of(&self, id: InstanceId) -> &ServiceSpec {
        self.plan.service(self.slot(id).service)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.slots.len() as u32).map(InstanceId)
    }

    fn boot(&mut self, now: Moment) {
        self.unsettled = self.slots.iter().filter(|slot| slot.instance.want == Want::Up).count() as u32;
        for id in self.all() {
            if self.slot(id).instance.want == Want::Up {
                self.apply(id, Event::Start, now);
            }
        }
        self.end_if_all_ended(now);
    }

    /// An event that is about one process, not about whichever comes after it.
    fn apply_to(&mut self, id: InstanceId, pid: Pid, event: Event, now: Moment) {
        if self.slot(id).instance.pid() == Some(pid) {
            self.apply(id, event, now);
        }
    }

    /// One step of one instance, and what follows from it for the others.
    pub(super) fn apply(&mut self, id: InstanceId, event: Event, now: Moment) {
        let die = backoff::die(self.seed, id);
        let slot = &mut self.slots[id.index()];
        let spec = &self.plan.services[slot.service.index()];
        let before = slot.instance.clone();
        let instance = std::mem::replace(&mut slot.instance, Instance::new(Want::Down));
        slot.instance = service::step(spec, die, instance, event, now, &mut self.deeds);
        for deed in self.deeds.drain(..) {
            self.actions.push_back(match deed {
                Deed::Launch => Action::Launch { instance: id },
                Deed::Signal(pid, signal) => Action::Signal { instance: id, pid, signal },
                Deed::SignalTree(leader, signal) => Action::SignalTree { instance: id, leader, signal },
                Deed::AskReady(pid, within) => Action::AskReady { instance: id, pid, within },
                Deed::AskHealth(pid, within) => Action::AskHealth { instance: id, pid, within },
            });
        }
        let after = &slot.instance;
        self.timed -= u32::from(before.deadline(spec).is_some());
        self.timed += u32::from(after.deadline(spec).is_some());
        let healths = (checkup(&before.state).map(|c| c.healthy), checkup(&after.state).map(|c| c.healthy));
        if let (Some(was), Some(healthy)) = healths
            && was != healthy
        {
            self.actions.push_back(Action::Publish(Box::new(Change::Health { instance: id, healthy })));
            self.unblock(id);
        }
        if std::mem::discriminant(&before.state) != std::mem::discriminant(&self.slot(id).instance.state) {
            self.moved(id, before, now);
        }
        if self.slot(id).instance.want == Want::Down {
            self.stop_if_alone(self.slot(id).service, now);
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
        self.executing -= u32::from(is_executing(&before.state));
        self.executing += u32::from(is_executing(&after.state));
        if matches!(after.state, State::Waiting { .. }) {
            self.slots[id.index()].told = false;
            self.queue.push_back(id);
        }
        self.unblock(id);
        if before.has_process() && !after.has_process() {
            self.release_requirements(id, now);
        }
        self.settled(id, &after);
        if self.phase.is_ending() {
            self.judge_stop(id, &before, &after);
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
    }

    fn settled(&mut self, id: InstanceId, after: &Instance) {
        let kind = self.spec_of(id).kind;
        let at_rest = match &after.state {
            State::Running { .. } => kind == Kind::Longrun,
            State::Exited { .. } | State::Fatal { .. } | State::Stopped => true,
            State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
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
            self.verdict.get_or_insert(Outcome::Killed(Signal::KILL).code());
        }
    }

    fn end_if_all_ended(&mut self, now: Moment) {
        let over = |slot: &Slot| match slot.instance.want {
            Want::Up => matches!(slot.instance.state, State::Exited { .. } | State::Fatal { .. }),
            Want::Down => !slot.parked && !slot.instance.has_process(),
        };
        if !self.phase.is_ending() && self.slots.iter().all(over) {
            self.drain(Occasion::AllEnded, now);
        }
    }
}

fn checkup(state: &State) -> Option<&Checkup> {
    match state {
        State::Running { checkup, .. } => checkup.as_ref(),
        _ => None,
    }
}

fn is_executing(state: &State) -> bool {
    matches!(state, State::Launching { .. } | State::Executing { .. })
}
