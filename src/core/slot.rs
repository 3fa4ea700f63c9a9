//! One place for one process: the instance, whose it is, and what only the supervisor knows of it.

use super::ids::InstanceId;
use super::ids::ServiceId;
use super::instance::{Instance, State, Want};
use super::plan::Plan;
use super::update::Age;
use std::rc::Rc;

/// One instance, with whose it is.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) service: ServiceId,
    /// Its number within the service.
    pub(super) number: u32,
    pub(super) age: Age,
    pub(super) instance: Instance,
    /// It has been ready, or ended, once.
    pub(super) settled: bool,
    /// A client stopped it: that it has ended does not mean that all is over.
    pub(super) parked: bool,
    /// It has said what it waits for.
    pub(super) told: bool,
    /// What its process has said of itself.
    pub(super) said: Option<Rc<str>>,
    pub(super) turn: Turn,
    pub(super) role: Role,
    /// The other slot of the same instance, if it has ever had a second one.
    pub(super) partner: Option<InstanceId>,
    /// So many reloads wait until its process is ready.
    pub(super) reloads: u32,
    /// It is to open its log files again when its process is ready.
    pub(super) reopens: bool,
    /// Its process is to be handed over to a successor.
    pub(super) rolls: bool,
    /// Its replacement has been put off until the next update.
    pub(super) put_off: bool,
    /// The plan that its process lives by, if that is neither the one in force nor the one before.
    pub(super) kept: Option<Rc<Plan>>,
}

/// What a slot is to its instance: see [`rolling`](super::rolling).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// The one that is meant.
    Member,
    /// The one that is to be meant when it is ready.
    Successor,
    /// The one that is meant no more, and ends.
    Predecessor,
    /// Empty, for the next successor.
    Spare,
}

/// Where a Waiting instance waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Nowhere: it is not Waiting.
    None,
    /// It will be looked at.
    Queued,
    /// It lacks this service, and will be looked at again when that changes.
    Blocked(ServiceId),
}

impl Slot {
    pub(super) fn new(service: ServiceId, number: u32, want: Want) -> Slot {
        Slot {
            service,
            number,
            age: Age::Current,
            instance: Instance::new(want),
            settled: want == Want::Down,
            parked: false,
            told: false,
            said: None,
            turn: Turn::None,
            role: Role::Member,
            partner: None,
            reloads: 0,
            reopens: false,
            rolls: false,
            put_off: false,
            kept: None,
        }
    }

    /// The last of what was there before an update is gone. Whether it is to be launched anew.
    pub(super) fn has_lost_its_old_process(&mut self) -> bool {
        let replaced = matches!(self.age, Age::Outdated | Age::Kept);
        self.age = if replaced { Age::Current } else { Age::Gone };
        (self.kept, self.rolls, self.put_off) = (None, false, false);
        replaced && self.instance.want == Want::Up
    }

    /// A predecessor that has ended is a spare.
    pub(super) fn becomes_spare(&mut self) {
        if self.role == Role::Predecessor && !self.instance.has_process() {
            self.role = Role::Spare;
        }
    }

    /// Whether something is still to be expected of it.
    pub(super) fn is_open(&self) -> bool {
        match self.instance.want {
            Want::Up => !matches!(self.instance.state, State::Exited { .. } | State::Fatal { .. }),
            Want::Down => self.parked || self.instance.has_process(),
        }
    }
}
