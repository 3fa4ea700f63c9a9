//! What is to be done, and what is to be told: everything the supervisor ever answers.

use super::difference::Difference;
use super::exit::Outcome;
use super::ids::{InstanceId, Pid, RequestId, ServiceId};
use super::instance::{Failure, State};
use super::phase::Phase;
use super::plan::{Condition, Hook};
use super::signal::Signal;
use super::snapshot::Snapshot;
use std::rc::Rc;
use std::time::Duration;

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Action {
    /// Launch it; answer with Forked or Refused before anything else is handled.
    Launch { instance: InstanceId },
    /// Launch its `before_start` hook in its place; answered as Launch is.
    Prepare { instance: InstanceId },
    /// Run a hook, about this process, which has ended so, if it has; answer with HookEnded
    /// within the time.
    Hook { instance: InstanceId, pid: Pid, hook: Hook, outcome: Option<Outcome>, within: Duration },
    /// Send the main process a signal.
    Signal { instance: InstanceId, pid: Pid, signal: Signal },
    /// Send the main process CONT if it is stopped.
    Resume { instance: InstanceId, pid: Pid },
    /// Send the whole tree a signal; if a Sweeping instance has none left, answer TreeGone.
    SignalTree { instance: InstanceId, leader: Pid, signal: Signal },
    /// Ask the readiness probe; answer with Answered within the time.
    AskReady { instance: InstanceId, pid: Pid, within: Duration },
    /// Ask the health probe; answer with Answered within the time.
    AskHealth { instance: InstanceId, pid: Pid, within: Duration },
    /// Have it read its configuration again, the check first; answer with Reloaded. Several for
    /// one instance are answered in their order.
    Reload { instance: InstanceId, pid: Pid },
    /// Send every process that is left a signal; answer AllGone when there is none.
    Sweep(Signal),
    /// Answer a client.
    Reply(RequestId, Reply),
    /// Tell whoever follows.
    Publish(Box<Change>),
}

impl Action {
    /// Whether it launches something for this instance.
    pub(super) fn launches(&self, id: InstanceId) -> bool {
        match self {
            Action::Launch { instance } | Action::Prepare { instance } => *instance == id,
            _ => false,
        }
    }
}

/// What clients get.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Reply {
    Done,
    Failed(Refusal),
    Status(Snapshot),
}

/// Why it is not as the client asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// In words: "web is fatal (exit code 3)".
    pub text: String,
    /// Whose fault it is, if one instance's.
    pub instance: Option<InstanceId>,
}

/// Something that followers want to know.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// An instance went from one state to another.
    State {
        /// Which.
        instance: InstanceId,
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Failures in a row, after.
        failures: u32,
        /// How its last process ended.
        last: Option<Outcome>,
    },
    /// An instance waits for this requirement; said once for each wait.
    Waits {
        /// Which.
        instance: InstanceId,
        /// For whom.
        on: ServiceId,
        /// For what.
        condition: Condition,
    },
    /// The main process has ended, and its heir is the instance's process now.
    TakenOver {
        /// Which.
        instance: InstanceId,
        /// The process that was.
        from: Pid,
        /// The one that is.
        to: Pid,
    },
    /// A continuing check changed its mind.
    Health {
        /// Which.
        instance: InstanceId,
        /// Whether it passes now.
        healthy: bool,
    },
    /// A process says something else of itself than before.
    Said(InstanceId),
    /// The supervisor went from one phase to another.
    Phase(Phase),
    /// A drain began.
    Draining(Occasion),
    /// It is time for this service by its schedule, but its last run is not over.
    Skipped(ServiceId),
    /// A signal that nobody is to get.
    Unassigned(Signal),
    /// An update begins: from now on another plan is in force. Processes that it replaces or
    /// removes live by the old one until they have ended.
    Updating(Rc<Difference>),
    /// An instance that an update has removed has no process any more: nobody will hear of it again,
    /// unless a later update brings its service back.
    Removed(InstanceId),
}

/// Why a drain begins.
#[derive(Clone, PartialEq, Debug)]
pub enum Occasion {
    /// PID 1 got a stop signal.
    Signal(Signal),
    /// A client asked.
    Request,
    /// An essential service failed.
    Essential(InstanceId, Failure),
    /// Everything has ended.
    AllEnded,
}
