//! Who there is: instances by number, by service, by place, and the plan that each lives by.

use super::ids::{InstanceId, ServiceId};
use super::instance::Instance;
use super::plan::{Plan, ServiceSpec};
use super::slot::Slot;
use super::supervisor::Supervisor;
use super::update::Age;
use std::rc::Rc;

impl Supervisor {
    /// All services, without those that have been removed, in the order they were written.
    pub fn order(&self) -> &[ServiceId] {
        &self.order
    }

    /// Whether there has been an instance of this number, be it that it has been removed.
    pub fn has_instance(&self, id: InstanceId) -> bool {
        id.index() < self.slots.len()
    }

    /// The instance, as it is now.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.slot(id).instance
    }

    /// The service of an instance, and the instance's number within it, from 0.
    pub fn whose(&self, id: InstanceId) -> (ServiceId, u32) {
        let slot = self.slot(id);
        (slot.service, slot.number)
    }

    /// The instances of all services, in the order in which people see them, without those that
    /// an update removes.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, ServiceId)> + '_ {
        let of = |service: &ServiceId| {
            let service = *service;
            self.graph.instances(service).map(move |id| (id, service))
        };
        self.order.iter().flat_map(of)
    }

    /// The instances of a service, in order of their numbers; none if it has been removed.
    pub fn instances_of(&self, service: ServiceId) -> impl Iterator<Item = InstanceId> + use<> {
        self.graph.instances(service)
    }

    pub(super) fn slot(&self, id: InstanceId) -> &Slot {
        #[cfg(debug_assertions)]
        self.looks.set(self.looks.get() + 1);
        &self.slots[id.index()]
    }

    /// What is meant of an instance. As long as a process is left that an update replaces or
    /// removes, that is what was meant of it before.
    pub fn spec_of(&self, id: InstanceId) -> &ServiceSpec {
        self.plan_of(id).service(self.slot(id).service)
    }

    /// Whether an update replaces or removes the instance's process, which has not ended yet.
    pub fn is_outdated(&self, id: InstanceId) -> bool {
        matches!(self.slot(id).age, Age::Outdated | Age::Leaving)
    }

    /// The plan that an instance lives by: see [`spec_of`](Self::spec_of).
    pub fn plan_of(&self, id: InstanceId) -> &Rc<Plan> {
        self.updates.plan_of(self.slot(id), &self.plan)
    }

    /// The instance of this number within its service, also while it is being removed.
    pub fn find_instance(&self, service: ServiceId, number: u32) -> Option<InstanceId> {
        let leaving = || self.updates.leaving(&self.slots).find(|id| self.whose(*id) == (service, number));
        self.graph.instances(service).nth(number as usize).or_else(leaving)
    }

    /// All instances that there have ever been.
    pub fn all_instances(&self) -> impl Iterator<Item = InstanceId> + use<> {
        self.all()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.slots.len() as u32).map(InstanceId)
    }
}
