//! What clients read: the whole truth at one moment.

use super::exit::Outcome;
use super::ids::{InstanceId, Pid, ServiceId};
use super::instance::{State, Want};
use super::phase::Phase;
use super::plan::Condition;
use super::slot::Role;
use super::supervisor::{Supervisor, checkup};
use super::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// The whole truth at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// What the supervisor is doing.
    pub phase: Phase,
    /// All instances, in the order in which the services were written; those that an update is
    /// removing come last.
    pub instances: Vec<InstanceStatus>,
}

/// One instance at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct InstanceStatus {
    /// Which.
    pub instance: InstanceId,
    /// Its service.
    pub service: ServiceId,
    /// Its number within the service, from 0.
    pub number: u32,
    /// Whether it is asked to be up.
    pub wanted: bool,
    /// The name of its state.
    pub state: &'static str,
    /// Its main process.
    pub pid: Option<Pid>,
    /// For how long that process has existed.
    pub uptime: Option<Duration>,
    /// Whether it may be depended on.
    pub ready: bool,
    /// What its continuing check says, if it has one.
    pub healthy: Option<bool>,
    /// Failures in a row.
    pub failures: u32,
    /// How often it has been launched.
    pub launches: u32,
    /// How the last process ended.
    pub last: Option<Outcome>,
    /// If it waits: for whom, and for what.
    pub waits: Option<(ServiceId, Condition)>,
    /// What its process last said of itself (sd_notify's STATUS).
    pub said: Option<Rc<str>>,
}

impl Supervisor {
    /// The whole truth at one moment.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let instances = self.shown().map(|id| {
            let (service, number) = self.whose(id);
            let instance = self.instance(id);
            let lived = matches!(instance.state, State::Running { since, .. }
                if now.since(since) >= self.plan.service(service).min_uptime);
            InstanceStatus {
                instance: id,
                service,
                number,
                wanted: instance.want == Want::Up,
                state: instance.state.name(),
                pid: instance.pid(),
                uptime: instance.process().map(|(_, since)| now.since(since)),
                ready: self.instance_holds(id, Condition::Ready),
                healthy: checkup(&instance.state).map(|checkup| checkup.healthy),
                // Nobody counts them anew before the process ends; but they are over by now.
                failures: if lived { 0 } else { instance.failures },
                launches: instance.launches,
                last: instance.last,
                waits: self.waits_for(id),
                said: self.slot(id).said.clone(),
            }
        });
        Snapshot { phase: self.phase, instances: instances.collect() }
    }

    /// What an instance's process last said of itself (sd_notify's STATUS).
    pub fn said(&self, id: InstanceId) -> Option<&str> {
        self.slot(id).said.as_deref()
    }

    /// Those that people see: all that have not been removed, and those that are being removed.
    fn shown(&self) -> impl Iterator<Item = InstanceId> + '_ {
        let leaving = self.updates.leaving(&self.slots).filter(|id| self.slot(*id).role == Role::Member);
        self.instances().map(|(id, _)| id).chain(leaving).chain(self.shadows())
    }
}
