//! What distinguishes one plan from another, service by service and key by key.
//!
//! The same difference decides what an update does and is shown to whoever asks for it, so that
//! what is shown is what happens. Services are known by their names. A key is said as the
//! configuration has it (`stop.grace_period`), its value as it could be written there, and
//! values of secrets are never said.
//!
//! **Which keys need a new process.** What the kernel or the program was told at the launch:
//! command, environment, credentials, directory, limits and the like; the type of the service;
//! a stream that goes through a pipe and did not before, or the other way round; and a
//! watchdog, whose period stands in the environment. Everything else is only ever read by
//! minisup, and changes under a living process. `${instance}` is compared as the instances that
//! stay see it: from one instance of `worker 0` to three of `worker ${instance}` nothing changes
//! for the first. A satellite such as a database's first start has done its work by then, or is at it:
//! it is never run again because of an update.

mod words;

use super::ids::ServiceId;
use super::plan::{Dependency, Forward, Plan, Probe, ServiceSpec};
use super::secrets::Secrets;
use crate::core::sorted::{self, Map, Set};
use std::rc::Rc;
use words::Words;

/// What distinguishes one plan from another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Difference {
    /// In the order of the new plan; removed ones last. Unchanged ones are not in it.
    pub services: Vec<Changed>,
    /// Keys outside of services. `needs_restart`: only a new start of minisup applies them.
    pub other: Vec<ChangedKey>,
}

/// A service that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: Rc<str>,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// Its keys that changed; none if it was added or removed.
    pub keys: Vec<ChangedKey>,
}

/// What becomes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is no more.
    Removed,
    /// Its processes give way to new ones.
    Replaced,
    /// It keeps its processes.
    InPlace,
}

/// A key whose value changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedKey {
    /// As in the configuration: `stop.grace_period`.
    pub key: String,
    /// Before; empty if it had none. Values of secrets are `***`.
    pub from: String,
    /// After.
    pub to: String,
    /// Whether a new process is needed for it.
    pub needs_restart: bool,
}

impl Difference {
    /// Whether both plans mean the same.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.other.is_empty()
    }
}

/// What distinguishes `to` from `from`.
pub fn difference(from: &Plan, to: &Plan) -> Difference {
    let order: Vec<ServiceId> = (0..from.services.len() as u32).map(ServiceId).collect();
    let (aligned, after) = align(from, to);
    compare(from, &order, &aligned, &after)
}

/// The plan `to`, with each service at the place that it has in `from`, new ones behind them, and
/// the order in which `to` has them. What `to` has no more stays at its place.
pub fn align(from: &Plan, to: &Plan) -> (Plan, Box<[ServiceId]>) {
    let names = from.services.iter().enumerate();
    let places = Map::from_iter(names.map(|(index, spec)| (&*spec.name, ServiceId(index as u32))));
    let mut next = from.services.len() as u32;
    let place = |spec: &ServiceSpec| {
        places.get(&*spec.name).copied().unwrap_or_else(|| {
            next += 1;
            ServiceId(next - 1)
        })
    };
    let order: Box<[ServiceId]> = to.services.iter().map(place).collect();
    let mut services: Vec<Option<ServiceSpec>> = vec![None; next as usize];
    let moved = |list: &[Dependency]| {
        list.iter().map(|d| Dependency { service: order[d.service.index()], ..*d }).collect()
    };
    for (spec, place) in to.services.iter().zip(&order) {
        let (requires, after) = (moved(&spec.requires), moved(&spec.after));
        let mut spec = ServiceSpec { requires, after, ..spec.clone() };
        if let Some(old) = from.services.get(place.index()) {
            keep_shared(old, &mut spec);
        }
        services[place.index()] = Some(spec);
    }
    let forward = |forward: &Forward| match forward {
        Forward::To(service, signal) => Forward::To(order[service.index()], *signal),
        Forward::All(_) | Forward::Swallow => forward.clone(),
    };
    let signals = to.signals.iter().map(|(signal, to)| (*signal, forward(to))).collect();
    let stays =
        |(index, spec): (usize, Option<ServiceSpec>)| spec.unwrap_or_else(|| from.services[index].clone());
    let services = services.into_iter().enumerate().map(stays).collect();
    (Plan { supervisor: to.supervisor.clone(), signals, services }, order)
}

/// What is equal and shared stays the same in memory, so that the old one's place does not become
/// a hole, and what was prepared of it may be kept.
fn keep_shared(old: &ServiceSpec, new: &mut ServiceSpec) {
    fn keep<T: PartialEq + ?Sized>(old: &Rc<T>, new: &mut Rc<T>) {
        if old == new {
            new.clone_from(old);
        }
    }
    keep(&old.name, &mut new.name);
    keep(&old.success_codes, &mut new.success_codes);
    keep(&old.stop, &mut new.stop);
    keep(&old.launch.environment, &mut new.launch.environment);
    keep(&old.launch.secrets, &mut new.launch.secrets);
    if let (Some(old), Some(new)) = (&old.launch.own, &mut new.launch.own) {
        keep(old, new);
    }
}

/// What distinguishes two plans of which every service has the same place in both.
pub(super) fn compare(from: &Plan, before: &[ServiceId], to: &Plan, after: &[ServiceId]) -> Difference {
    let (was, is) = (Set::from_iter(before), Set::from_iter(after));
    let whole = |service: &ServiceId, plan: &Plan, kind| {
        let name = plan.service(*service).name.clone();
        Changed { name, kind, keys: Vec::new() }
    };
    let mut services = Vec::new();
    let secrets = Secrets::of(from.services.iter().chain(&to.services));
    for service in after {
        if !was.contains(service) {
            services.push(whole(service, to, ChangeKind::Added));
        } else if from.service(*service) != to.service(*service) {
            services.extend(changed(from, to, *service, &secrets));
        }
    }
    let removed = before.iter().filter(|service| !is.contains(service));
    services.extend(removed.map(|service| whole(service, from, ChangeKind::Removed)));
    let words = |plan: &Plan| Map::from_iter(words::of_supervisor(plan));
    let in_place = ["shutdown_timeout", "log_level", "log_format", "timestamps"];
    let needs = |key: &str| match key.strip_prefix("supervisor.") {
        Some(key) => !in_place.contains(&key),
        None => !key.starts_with("signals."),
    };
    let other = keys(words(from), words(to), |text| secrets.masked(text.to_owned()), needs);
    Difference { services, other }
}

/// What distinguishes a service that both have, if anything does.
fn changed(from: &Plan, to: &Plan, service: ServiceId, secrets: &Secrets) -> Option<Changed> {
    let (old, new) = (from.service(service), to.service(service));
    let number = (old.instances.min(new.instances) == 1).then_some(0);
    let words = |plan, spec| Map::from_iter(Words { plan, spec, number }.all());
    let pipes = (words::needs_pipe(old), words::needs_pipe(new));
    let watched =
        |spec: &ServiceSpec| spec.health.as_ref().is_some_and(|health| health.probe == Probe::Notify);
    // What has prepared a service's data is not run again beneath it.
    let prepares = old.is_satellite() && new.is_satellite();
    let needs = |key: &str| match key {
        _ if prepares => false,
        "stdout" => pipes.0[0] != pipes.1[0],
        "stderr" => pipes.0[1] != pipes.1[1],
        "health" | "health.interval" => watched(new),
        _ => words::is_given_at_launch(key),
    };
    let keys = keys(words(from, old), words(to, new), |text| secrets.masked(text.to_owned()), needs);
    let kind = match keys.iter().any(|key| key.needs_restart) {
        true => ChangeKind::Replaced,
        false => ChangeKind::InPlace,
    };
    (!keys.is_empty()).then(|| Changed { name: new.name.clone(), kind, keys })
}

/// The keys whose values are not the same.
fn keys(
    mut from: Map<String, String>,
    to: Map<String, String>,
    said: impl Fn(&str) -> String,
    needs: impl Fn(&str) -> bool,
) -> Vec<ChangedKey> {
    let mut keys = Vec::new();
    let mut push = |key: String, from: &str, to: &str| {
        if from != to {
            let needs_restart = needs(&key);
            keys.push(ChangedKey { from: said(from), to: said(to), key, needs_restart });
        }
    };
    for (key, to) in to {
        let from = from.remove(&key).unwrap_or_default();
        push(key, &from, &to);
    }
    for (key, from) in from {
        push(key, &from, "");
    }
    sorted::sort_by(&mut keys, |a, b| a.key.cmp(&b.key));
    keys
}
