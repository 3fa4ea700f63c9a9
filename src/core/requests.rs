//! What clients ask for, and when it is answered.
//!
//! A request that asks for a change is answered when the change is true, or when it is
//! clear that it will not be. Every request gets exactly one reply: at the latest when the
//! supervisor is Done.

use super::action::{Action, Occasion, Reply};
use super::ids::{RequestId, ServiceId};
use super::input::Request;
use super::instance::{Event, State, Want};
use super::phase::Phase;
use super::plan::Kind;
use super::signal::Signal;
use super::supervisor::Supervisor;
use super::time::Moment;

/// A request that has not been answered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    id: RequestId,
    goal: Goal,
    services: Box<[ServiceId]>,
}

#[derive(Clone, Debug)]
enum Goal {
    /// All are ready, by a launch later than the one each had then.
    Up { launches: Box<[u32]> },
    /// None has a process.
    Down,
}

enum Progress {
    Open,
    Done,
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
                let plan = self.plan.clone();
                for service in self.graph.with_requirements(&plan, &services) {
                    self.want_up(service, Event::Start, now);
                }
                let launches = services.iter().flat_map(|s| self.graph.instances(*s)).map(|_| 0).collect();
                self.pending.push(Pending { id, goal: Goal::Up { launches }, services });
            }
            Request::Restart(services) => {
                let instances = services.iter().flat_map(|s| self.graph.instances(*s));
                let launches = instances.map(|i| self.instance(i).launches).collect();
                for service in &services {
                    self.want_up(*service, Event::Replace, now);
                }
                self.pending.push(Pending { id, goal: Goal::Up { launches }, services });
            }
            Request::Stop(services) => {
                let all = self.graph.with_dependents(&services);
                let instances: Vec<_> = all.iter().flat_map(|s| self.graph.instances(*s)).collect();
                for instance in instances {
                    self.slots[instance.index()].parked = true;
                    self.want_down(instance, now);
                }
                for service in all {
                    self.stop_if_alone(service, now);
                }
                self.pending.push(Pending { id, goal: Goal::Down, services });
            }
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.actions.push_back(Action::Reply(id, reply));
    }

    fn want_up(&mut self, service: ServiceId, event: Event, now: Moment) {
        for instance in self.graph.instances(service) {
            let slot = &mut self.slots[instance.index()];
            slot.parked = false;
            slot.instance.want = Want::Up;
            self.apply(instance, event.clone(), now);
        }
    }

    fn signal_services(&mut self, id: RequestId, services: &[ServiceId], signal: Signal) {
        let has_pid = |s: &ServiceId| self.graph.instances(*s).any(|i| self.instance(i).pid().is_some());
        match services.iter().find(|s| !has_pid(s)) {
            Some(service) => {
                let name = &self.plan.service(*service).name;
                let text = format!("cannot signal {name}: it is not running");
                self.reply(id, Reply::Failed(text));
            }
            None => {
                let instances: Vec<_> = services.iter().flat_map(|s| self.graph.instances(*s)).collect();
                self.pass_on(instances.into_iter(), signal);
                self.reply(id, Reply::Done);
            }
        }
    }

    /// Answers every request whose time has come.
    pub(super) fn answer_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for pending in std::mem::take(&mut self.pending) {
            match self.progress(&pending) {
                Progress::Open => self.pending.push(pending),
                Progress::Done => self.reply(pending.id, Reply::Done),
                Progress::Failed(text) => self.reply(pending.id, Reply::Failed(text)),
            }
        }
    }

    fn progress(&self, pending: &Pending) -> Progress {
        let instances = pending.services.iter().flat_map(|s| self.graph.instances(*s));
        match &pending.goal {
            Goal::Up { .. } if self.phase.is_ending() => Progress::Failed("shutting down".into()),
            Goal::Up { launches } => {
                let mut done = true;
                for (instance, before) in instances.zip(launches) {
                    let (service, _) = self.whose(instance);
                    let spec = self.plan.service(service);
                    let it = self.instance(instance);
                    done &= match &it.state {
                        State::Running { .. } => spec.kind == Kind::Longrun && it.launches > *before,
                        State::Exited { outcome } if spec.is_success(*outcome) => it.launches > *before,
                        State::Exited { .. } | State::Fatal { .. } | State::Stopped => {
                            let last = it.last.map(|outcome| format!(" ({outcome})")).unwrap_or_default();
                            return Progress::Failed(format!("{} is {}{last}", spec.name, it.state.name()));
                        }
                        _ => false,
                    };
                }
                if done { Progress::Done } else { Progress::Open }
            }
            Goal::Down => {
                let mut instances = instances;
                if !instances.any(|i| self.instance(i).has_process()) {
                    Progress::Done
                } else if self.phase == Phase::Done {
                    Progress::Failed("a process would not end".into())
                } else {
                    Progress::Open
                }
            }
        }
    }
}
