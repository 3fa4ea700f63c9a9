//! What clients read: the whole truth at one moment.

use super::exit::Outcome;
use super::ids::{Pid, ServiceId};
use super::phase::Phase;
use std::time::Duration;

/// The whole truth at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// What the supervisor is doing.
    pub phase: Phase,
    /// All instances, in the order of the plan.
    pub instances: Vec<InstanceStatus>,
}

/// One instance at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct InstanceStatus {
    /// Its service.
    pub service: ServiceId,
    /// Its number within the service, from 0.
    pub number: u32,
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
}
