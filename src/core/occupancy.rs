//! Which services somebody still stands on, so that nobody is stopped under a dependent.
//!
//! A service is *occupied* while one of its instances has a process, or while a service
//! that depends on it is occupied. So an application holds its database also when the only
//! link between them is a oneshot that ended long ago (app → migration → database).
//!
//! Only edges of `requires` count, until a drain begins; then those of `after` count too.
//! All is kept as counters that change with each process: nobody ever searches the graph.

use super::ids::ServiceId;
use super::plan::{Dependency, Plan};

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct Occupancy {
    /// How many instances of each service have a process.
    processes: Box<[u32]>,
    /// How many dependencies on each service come from an occupied one.
    holders: Box<[u32]>,
    /// How many processes there are of all services.
    total: u32,
    /// Whether `after` counts.
    in_order: bool,
}

impl Occupancy {
    pub(super) fn new(services: usize) -> Self {
        let none = vec![0; services];
        Occupancy { processes: none.clone().into(), holders: none.into(), total: 0, in_order: false }
    }

    /// Whether something that depends on the service is occupied.
    pub(super) fn is_held(&self, service: ServiceId) -> bool {
        self.holders[service.index()] > 0
    }

    /// Whether no instance of any service has a process.
    pub(super) fn is_nobody(&self) -> bool {
        self.total == 0
    }

    /// An instance of the service has got a process.
    pub(super) fn gained(&mut self, plan: &Plan, service: ServiceId) {
        self.total += 1;
        self.processes[service.index()] += 1;
        if self.processes[service.index()] == 1 && !self.is_held(service) {
            self.raise(plan, service);
        }
    }

    /// An instance of the service has lost its process. `freed` gets the services that
    /// nothing occupied depends on any more.
    pub(super) fn lost(&mut self, plan: &Plan, service: ServiceId, freed: &mut Vec<ServiceId>) {
        self.total -= 1;
        self.processes[service.index()] -= 1;
        let mut open = vec![service];
        while let Some(service) = open.pop() {
            if self.processes[service.index()] > 0 || self.is_held(service) {
                continue;
            }
            for dependency in edges(plan, service, self.in_order) {
                let on = dependency.service;
                self.holders[on.index()] -= 1;
                if !self.is_held(on) {
                    freed.push(on);
                    open.push(on);
                }
            }
        }
    }

    /// From now on `after` counts too: what came up later goes down first.
    pub(super) fn keep_order(&mut self, plan: &Plan) {
        self.in_order = true;
        self.holders.fill(0);
        for service in (0..self.processes.len() as u32).map(ServiceId) {
            if self.processes[service.index()] > 0 {
                self.raise(plan, service);
            }
        }
    }

    /// The service has become occupied.
    fn raise(&mut self, plan: &Plan, service: ServiceId) {
        let mut open = vec![service];
        while let Some(service) = open.pop() {
            for dependency in edges(plan, service, self.in_order) {
                let on = dependency.service;
                self.holders[on.index()] += 1;
                if self.holders[on.index()] == 1 && self.processes[on.index()] == 0 {
                    open.push(on);
                }
            }
        }
    }
}

fn edges(plan: &Plan, service: ServiceId, in_order: bool) -> impl Iterator<Item = &Dependency> {
    let spec = plan.service(service);
    let after: &[Dependency] = if in_order { &spec.after } else { &[] };
    spec.requires.iter().chain(after)
}
