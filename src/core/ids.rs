//! Names and numbers of things, each a type of its own.

use std::fmt;

/// A service, by its place in [`Plan::services`](super::plan::Plan). Kept over updates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceId(pub u32);

/// One process slot of a service. At boot they are numbered through the whole plan: the instances
/// of service 0 come first, then those of service 1, and so on. Kept over updates, which number new
/// ones behind all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId(pub u32);

/// A process id, always positive. Valid from the launch until the process is reaped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pid(pub i32);

/// A client's question, answered exactly once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

impl ServiceId {
    /// The index into [`Plan::services`](super::plan::Plan).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl InstanceId {
    /// The index into the table of all instances.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
