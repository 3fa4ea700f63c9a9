//! Who requires whom, seen from both ends.
//!
//! The plan says what each service requires. Stopping needs the other direction: who
//! would be left without what it requires. Both are kept as flat tables of indices.

use super::ids::{InstanceId, ServiceId};
use super::plan::Plan;
use crate::core::sorted;
use std::ops::Range;
use std::rc::Rc;

/// The plan's dependencies, and which instances belong to which service.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Service `s` has the instances `members[first[s]..first[s + 1]]`, in order of their numbers.
    first: Box<[u32]>,
    members: Rc<[InstanceId]>,
    /// Service `s` has the dependents `dependents[start[s]..start[s + 1]]`.
    start: Box<[u32]>,
    dependents: Box<[Dependent]>,
}

/// A service that depends on another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dependent {
    /// Who.
    pub service: ServiceId,
    /// Whether it requires the other one, or only comes after it.
    pub requires: bool,
}

impl Graph {
    /// The graph of a plan whose instances are numbered through.
    pub fn new(plan: &Plan) -> Self {
        Graph::with_members(plan, plan.instances().map(|(id, service)| (service, id)).collect())
    }

    /// The graph of a plan with these instances, in order of their services and numbers.
    pub(super) fn with_members(plan: &Plan, members: Vec<(ServiceId, InstanceId)>) -> Self {
        let count = plan.services.len();
        let mut first = vec![0u32; count + 1];
        for (service, _) in &members {
            first[service.index() + 1] += 1;
        }
        for i in 0..count {
            first[i + 1] += first[i];
        }
        let members = members.into_iter().map(|(_, id)| id).collect();
        let mut edges: Vec<(ServiceId, Dependent)> = Vec::new();
        for (index, spec) in plan.services.iter().enumerate() {
            let service = ServiceId(index as u32);
            edges.extend(spec.requires.iter().map(|d| (d.service, Dependent { service, requires: true })));
            edges.extend(spec.after.iter().map(|d| (d.service, Dependent { service, requires: false })));
        }
        sorted::sort_by_key(&mut edges, |(on, dependent)| (*on, dependent.service));
        let mut start = vec![0u32; count + 1];
        for (on, _) in &edges {
            start[on.index() + 1] += 1;
        }
        for i in 0..count {
            start[i + 1] += start[i];
        }
        let dependents = edges.into_iter().map(|(_, dependent)| dependent).collect();
        Graph { first: first.into(), members, start: start.into(), dependents }
    }

    /// The instances of a service; none if it has been removed.
    pub fn instances(&self, service: ServiceId) -> impl Iterator<Item = InstanceId> + use<> {
        let members = Rc::clone(&self.members);
        self.range(service).map(move |index| members[index])
    }

    /// The place of one instance is another's from now on.
    pub(super) fn exchange(&mut self, service: ServiceId, old: InstanceId, new: InstanceId) {
        let range = self.range(service);
        if let Some(place) = Rc::make_mut(&mut self.members)[range].iter_mut().find(|id| **id == old) {
            *place = new;
        }
    }

    fn range(&self, service: ServiceId) -> Range<usize> {
        self.first[service.index()] as usize..self.first[service.index() + 1] as usize
    }

    /// Who depends on this service directly.
    pub fn dependents(&self, service: ServiceId) -> &[Dependent] {
        &self.dependents[self.start[service.index()] as usize..self.start[service.index() + 1] as usize]
    }

    /// These services and all that require them, directly or not.
    pub fn with_dependents(&self, services: &[ServiceId]) -> Vec<ServiceId> {
        self.closure(services, |service, out| {
            out.extend(self.dependents(service).iter().filter(|d| d.requires).map(|d| d.service));
        })
    }

    /// These services and all that they require, directly or not.
    pub fn with_requirements(&self, plan: &Plan, services: &[ServiceId]) -> Vec<ServiceId> {
        self.closure(services, |service, out| {
            out.extend(plan.service(service).requires.iter().map(|d| d.service));
        })
    }

    fn closure(&self, from: &[ServiceId], next: impl Fn(ServiceId, &mut Vec<ServiceId>)) -> Vec<ServiceId> {
        let mut seen = vec![false; self.first.len() - 1];
        let mut open = from.to_vec();
        let mut found = Vec::new();
        while let Some(service) = open.pop() {
            if !std::mem::replace(&mut seen[service.index()], true) {
                found.push(service);
                next(service, &mut open);
            }
        }
        sorted::sort(&mut found);
        found
    }
}
