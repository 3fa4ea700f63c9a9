//! What clients ask for, and when it is answered.
//!
//! A request that asks for a change is answered when the change is true, or when it is
//! clear that it will not be. Every request gets exactly one reply: at the latest when the
//! supervisor is Done.
//!
//! *Start* brings the named services up, each that ended anew, and what they require as far
//! as it is not up: a oneshot that succeeded is not run again because somebody needs it.
//! *Restart* does the same, but replaces the processes of the named ones. *Stop* takes down
//! the named services and all that require them. Those others stay down: to start a service
//! again does not start its dependents, as with systemd.

use super::action::{Action, Occasion, Reply};
use super::ids::{InstanceId, RequestId, ServiceId};
use super::input::Request;
use super::instance::{Event, State, Want};
use super::phase::Phase;
use super::plan::{Condition, Kind};
use super::signal::Signal;
use super::supervisor::Supervisor;
use super::time::Moment;

/// A request that has not been answered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    id: RequestId,
    goal: Goal,
    /// Of these instances, in order.
    instances: Box<[InstanceId]>,
    /// Which of them have got there.
    met: Box<[bool]>,
    /// How many have not.
    missing: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    /// All are ready, or done. A process that is to be replaced is neither any more.
    Up,
    /// None has a process.
    Down,
}

enum Progress {
    Open,
    Met,
    Failed(String),
}

impl Supervisor {
    pub(super) fn requested(&mut self, id: RequestId, request: Request, now: Moment) {
        let ending = self.phase.is_ending();
        match request {
            Request::Status => self.reply(id, Reply::Status(self.snapshot(now))),
            Request::Shutdown => {
                self.drain(Occasion::Request, now);
                self.reply(id, Reply::Done);
            }
            Request::Signal(services, signal) => self.signal_services(id, &services, signal),
            Request::Start(_) | Request::Restart(_) if ending => {
                self.reply(id, Reply::Failed("cannot start: shutting down".into()));
            }
            Request::Start(services) => {
                self.want_requirements_up(&services, now);
                self.want_up(&services, Event::Start, now);
                self.await_goal(id, Goal::Up, &services);
            }
            Request::Restart(services) => {
                self.want_requirements_up(&services, now);
                self.want_up(&services, Event::Replace, now);
                self.await_goal(id, Goal::Up, &services);
            }
            Request::Stop(services) => {
                let all = self.instances_in_order(&self.graph.with_dependents(&services));
                for instance in &all {
                    self.want_down(*instance, now);
                }
                for instance in &all {
                    self.stop_if_free(*instance, now);
                }
                self.await_goal(id, Goal::Down, &services);
            }
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.actions.push_back(Action::Reply(id, reply));
    }

    /// The instances of these services, each once, in the order of the plan.
    fn instances_in_order(&self, services: &[ServiceId]) -> Box<[InstanceId]> {
        let mut services = services.to_vec();
        services.sort();
        services.dedup();
        services.into_iter().flat_map(|service| self.graph.instances(service)).collect()
    }

    fn want_up(&mut self, services: &[ServiceId], event: Event, now: Moment) {
        for id in self.instances_in_order(services) {
            self.set_want(id, Want::Up, false);
            self.apply(id, event.clone(), now);
        }
    }

    /// What these services require is started as far as it is not up or on its way there.
    fn want_requirements_up(&mut self, services: &[ServiceId], now: Moment) {
        let plan = self.plan.clone();
        let mut required = self.graph.with_requirements(&plan, services);
        required.retain(|service| !services.contains(service));
        for id in self.instances_in_order(&required) {
            let instance = self.instance(id);
            let starts = match instance.state {
                State::Stopped | State::Backoff { .. } | State::Fatal { .. } => true,
                State::Exited { .. } => !self.instance_holds(id, Condition::Started),
                State::Waiting { .. }
                | State::Launching { .. }
                | State::Executing { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Stopping { .. }
                | State::Killing { .. }
                | State::Sweeping { .. } => instance.want == Want::Down,
            };
            self.set_want(id, Want::Up, false);
            if starts {
                self.apply(id, Event::Start, now);
            }
        }
    }

    fn signal_services(&mut self, id: RequestId, services: &[ServiceId], signal: Signal) {
        let runs = |id: InstanceId| {
            let instance = self.instance(id);
            instance.pid().is_some() && !matches!(instance.state, State::Executing { .. })
        };
        match services.iter().find(|service| !self.graph.instances(**service).any(runs)) {
            Some(service) => {
                let name = &self.plan.service(*service).name;
                let text = format!("cannot signal {name}: it is not running");
                self.reply(id, Reply::Failed(text));
            }
            None => {
                let instances = self.instances_in_order(services);
                self.pass_on(instances.into_iter(), signal);
                self.reply(id, Reply::Done);
            }
        }
    }

    /// The request is answered when all instances of these have got there.
    fn await_goal(&mut self, id: RequestId, goal: Goal, services: &[ServiceId]) {
        let instances = self.instances_in_order(services);
        let met = vec![false; instances.len()].into();
        let missing = instances.len();
        self.changed.extend(&instances);
        self.pending.push(Pending { id, goal, instances, met, missing });
    }

    /// Answers every request whose time has come.
    pub(super) fn answer_pending(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for mut pending in std::mem::take(&mut self.pending) {
            match self.progress(&mut pending, &changed) {
                Progress::Open => self.pending.push(pending),
                Progress::Met => self.reply(pending.id, Reply::Done),
                Progress::Failed(text) => self.reply(pending.id, Reply::Failed(text)),
            }
        }
        self.changed = changed;
        self.changed.clear();
    }

    fn progress(&self, pending: &mut Pending, changed: &[InstanceId]) -> Progress {
        if pending.goal == Goal::Up && self.phase.is_ending() {
            return Progress::Failed("shutting down".into());
        }
        for id in changed {
            let Ok(index) = pending.instances.binary_search(id) else { continue };
            let met = match self.progress_of(*id, pending.goal) {
                Progress::Met => true,
                Progress::Open => false,
                Progress::Failed(text) => return Progress::Failed(text),
            };
            pending.missing += usize::from(pending.met[index]);
            pending.missing -= usize::from(met);
            pending.met[index] = met;
        }
        match pending.missing {
            0 => Progress::Met,
            _ if self.phase == Phase::Done => Progress::Failed("a process would not end".into()),
            _ => Progress::Open,
        }
    }

    fn progress_of(&self, id: InstanceId, goal: Goal) -> Progress {
        let (spec, it) = (self.spec_of(id), self.instance(id));
        match goal {
            Goal::Down if it.want == Want::Up && !self.phase.is_ending() => {
                return Progress::Failed(format!("{} is to be up again", spec.name));
            }
            Goal::Down if it.has_process() => return Progress::Open,
            Goal::Down => return Progress::Met,
            Goal::Up => {}
        }
        let is_up = match &it.state {
            State::Running { .. } => spec.kind == Kind::Longrun,
            State::Exited { outcome } if spec.is_success(*outcome) => true,
            State::Exited { .. } | State::Fatal { .. } | State::Stopped => {
                let last = it.last.map(|outcome| format!(" ({outcome})")).unwrap_or_default();
                return Progress::Failed(format!("{} is {}{last}", spec.name, it.state.name()));
            }
            State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. } => false,
        };
        if is_up { Progress::Met } else { Progress::Open }
    }
}
