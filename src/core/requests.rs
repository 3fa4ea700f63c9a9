//! What clients ask for, and what is done about it. When they are answered is told in
//! [`goals`](super::goals).
//!
//! *Start* brings the named services up, each that ended anew, and what they require as far
//! as it is not up: a oneshot that succeeded is not run again because somebody needs it.
//! *Restart* does the same, but replaces the processes of the named ones. *Stop* takes down
//! the named services and all that require them. Those others stay down: to start a service
//! again does not start its dependents, as with systemd. *Reload* asks every instance that
//! runs to read its configuration again, and leaves those alone that do not: they will read it
//! when they are launched. Who runs but is not ready yet is asked when it is: nobody knows what it has read so far,
//! and servers that are still loading may not survive the signal. Who knows no way to read it again, but can be replaced without a gap, is: each of the
//! named ones goes its own way. A database's first start is refused while the database runs. *Wait* changes nothing.

use super::action::{Action, Occasion, Refusal, Reply};
use super::goals::Goal;
use super::ids::{InstanceId, RequestId, ServiceId};
use super::input::{Awaited, Request};
use super::instance::{Event, State, Want};
use super::plan::Condition;
use super::signal::Signal;
use super::supervisor::Supervisor;
use super::time::Moment;
use crate::core::sorted;

impl Supervisor {
    pub(super) fn requested(&mut self, id: RequestId, request: Request, now: Moment) {
        let ending = self.phase.is_ending();
        if let Some(gone) = request.services().find(|service| self.graph.instances(*service).next().is_none())
        {
            let name = &self.plan.service(gone).name;
            return self.refuse(id, format!("{name} has been removed"));
        }
        if let Request::Start(services) | Request::Restart(services) = &request
            && let Some(why) = self.is_in_use(services)
        {
            return self.refuse(id, why);
        }
        match request {
            Request::Status => self.reply(id, Reply::Status(self.snapshot(now))),
            Request::Shutdown(within) => {
                let within = within.unwrap_or(self.plan.supervisor.shutdown_timeout);
                self.drain_within(Occasion::Request, within, now);
                self.reply(id, Reply::Done);
            }
            Request::Signal(services, signal) => self.signal_services(id, &services, signal),
            Request::Start(_) | Request::Restart(_) if ending => {
                self.refuse(id, "cannot start: shutting down".into());
            }
            Request::Reload(_) if ending => self.refuse(id, "cannot reload: shutting down".into()),
            Request::Update(_) if ending => self.refuse(id, "cannot update: shutting down".into()),
            Request::Start(services) => {
                self.want_requirements_up(&services, now);
                self.want_up(&services, Event::Start, now);
                self.await_all(id, &services, Goal::Up);
            }
            Request::Restart(services) => {
                self.want_requirements_up(&services, now);
                self.replace_all(id, &services, now);
            }
            Request::Stop(services) => {
                let affected = self.graph.with_dependents(&services);
                affected.iter().for_each(|service| self.call_off(*service, now));
                let all = self.instances_in_order(&affected);
                for instance in &all {
                    self.want_down(*instance, now);
                }
                for instance in &all {
                    self.stop_if_free(*instance, now);
                }
                let members = self.instances_in_order(&services);
                let shadows: Vec<_> = members.iter().filter_map(|it| self.shadow_of(*it)).collect();
                let goals = members.into_iter().chain(shadows).map(|it| (it, Goal::Down)).collect();
                self.await_goals(id, goals);
            }
            Request::Reload(services) => self.reload(id, &services, now),
            Request::Wait(wishes) => self.wait(id, &wishes),
            Request::Update(plan) => self.updates.waiting.push_back((Some(id), plan)),
        }
    }

    /// What one of these has prepared may be in use: then it does not run again. Why not, if so.
    fn is_in_use(&self, services: &[ServiceId]) -> Option<String> {
        let runs = |it: &ServiceId| self.graph.instances(*it).any(|id| self.instance(id).has_process());
        let prepares = services.iter().filter(|it| self.plan.service(**it).is_satellite());
        let user = |it: &ServiceId| {
            let dependents = self.graph.dependents(*it).iter().filter(|dependent| dependent.requires);
            dependents.map(|dependent| dependent.service).find(runs)
        };
        let (service, user) = prepares.into_iter().find_map(|it| Some((*it, user(it)?)))?;
        let (name, user) = (&self.plan.service(service).name, &self.plan.service(user).name);
        Some(format!("cannot start {name}: {user}, which it prepares, is running"))
    }

    pub(super) fn reply(&mut self, id: RequestId, reply: Reply) {
        self.actions.push_back(Action::Reply(id, reply));
    }

    pub(super) fn refuse(&mut self, id: RequestId, text: String) {
        self.reply(id, Reply::Failed(Refusal { text, instance: None }));
    }

    /// The instances of these services, each once, in the order of the plan.
    pub(super) fn instances_in_order(&self, services: &[ServiceId]) -> Box<[InstanceId]> {
        let mut services = services.to_vec();
        sorted::sort(&mut services);
        services.dedup();
        services.into_iter().flat_map(|service| self.graph.instances(service)).collect()
    }

    fn await_all(&mut self, id: RequestId, services: &[ServiceId], goal: Goal) {
        let instances = self.instances_in_order(services);
        self.await_goals(id, instances.into_iter().map(|instance| (instance, goal)).collect());
    }

    fn wait(&mut self, id: RequestId, wishes: &[(ServiceId, Awaited)]) {
        let mut goals = Vec::new();
        for (service, awaited) in wishes {
            let goal = match awaited {
                Awaited::Started => Goal::Holds(Condition::Started),
                Awaited::Ready => Goal::Holds(Condition::Ready),
                Awaited::Healthy => Goal::Holds(Condition::Healthy),
                Awaited::Done => Goal::Holds(Condition::Done),
                Awaited::Stopped => Goal::Gone,
            };
            goals.extend(self.graph.instances(*service).map(|instance| (instance, goal)));
        }
        self.await_goals(id, goals);
    }

    /// New processes for these services: where that is meant, each before the old one ends.
    fn replace_all(&mut self, id: RequestId, services: &[ServiceId], now: Moment) {
        let (rolling, plain) = services.iter().partition(|service| self.rolls_now(**service));
        self.replace_each(id, services, (rolling, plain), now);
    }

    fn replace_each(
        &mut self,
        id: RequestId,
        services: &[ServiceId],
        (rolling, plain): (Vec<ServiceId>, Vec<ServiceId>),
        now: Moment,
    ) {
        self.want_up(&plain, Event::Replace, now);
        let mut goals: Vec<(InstanceId, Goal)> =
            self.instances_in_order(services).into_iter().map(|instance| (instance, Goal::Up)).collect();
        goals.extend(self.roll_all(&rolling, now));
        self.await_goals(id, goals);
    }

    /// All instances of these are replaced in their turn; that is true when these goals are met.
    fn roll_all(&mut self, services: &[ServiceId], now: Moment) -> Vec<(InstanceId, Goal)> {
        let mut goals = Vec::new();
        for service in services.iter().copied() {
            for instance in self.graph.instances(service) {
                self.set_want(instance, Want::Up, false);
                if !self.can_roll(instance) {
                    // It has nothing to lose.
                    self.apply(instance, Event::Replace, now);
                }
            }
            let roll = Goal::Rolled(self.roll(service));
            goals.extend(self.graph.instances(service).next().map(|instance| (instance, roll)));
        }
        goals
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
                | State::Preparing { .. }
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

    /// The instance is the program: before exec, a signal that the program would handle ends
    /// the process, and its `before_start` hook is another program.
    pub(super) fn is_program(&self, id: InstanceId) -> bool {
        let instance = self.instance(id);
        instance.pid().is_some()
            && !matches!(instance.state, State::Executing { .. } | State::Preparing { .. })
    }

    fn signal_services(&mut self, id: RequestId, services: &[ServiceId], signal: Signal) {
        let runs = |service: ServiceId| self.graph.instances(service).any(|id| self.is_program(id));
        match services.iter().find(|service| !runs(**service)) {
            Some(service) => {
                let name = &self.plan.service(*service).name;
                self.refuse(id, format!("cannot signal {name}: it is not running"));
            }
            None => {
                let instances = self.instances_in_order(services);
                self.pass_on(instances.into_iter(), signal);
                self.reply(id, Reply::Done);
            }
        }
    }

    fn reload(&mut self, id: RequestId, services: &[ServiceId], now: Moment) {
        let (rolling, plain): (Vec<_>, Vec<_>) =
            services.iter().partition(|service| self.reloads_by_roll(**service));
        let can = |id: InstanceId| self.is_program(id) && !self.instance(id).is_stopping();
        let obstacle = |service: &ServiceId| {
            if self.plan.service(*service).reload.is_none() {
                Some("it has no `reload`; a restart replaces its process")
            } else if !self.graph.instances(*service).any(can) {
                Some("it is not running")
            } else {
                None
            }
        };
        if let Some((service, why)) = plain.iter().find_map(|it| Some((it, obstacle(it)?))) {
            let name = &self.plan.service(*service).name;
            return self.refuse(id, format!("cannot reload {name}: {why}"));
        }
        let mut goals = Vec::new();
        for instance in self.instances_in_order(&plain).into_iter().filter(|id| can(*id)) {
            if let Some(pid) = self.instance(instance).pid() {
                goals.push((instance, Goal::Reloaded(pid)));
            }
        }
        for (instance, goal) in &goals {
            if let Goal::Reloaded(pid) = *goal {
                match self.instance(*instance).state {
                    State::Running { .. } => {
                        self.actions.push_back(Action::Reload { instance: *instance, pid });
                    }
                    _ => self.slots[instance.index()].reloads += 1,
                }
            }
        }
        goals.extend(self.instances_in_order(&rolling).into_iter().map(|instance| (instance, Goal::Up)));
        goals.extend(self.roll_all(&rolling, now));
        self.await_goals(id, goals);
    }
}
