//! What clients read: the whole truth at one moment.

use super::exit::Outcome;
use super::ids::{InstanceId, Pid, ServiceId};
use super::phase::Phase;
use super::plan::Condition;
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
