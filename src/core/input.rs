//! What happened: everything the supervisor is ever told. The set is closed.

use super::exit::Outcome;
use super::ids::{InstanceId, Pid, RequestId, ServiceId};
use super::instance::Fault;
use super::signal::Signal;
use std::rc::Rc;

/// What happened.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Input {
    /// Begin.
    Boot,
    /// The answer to [`Action::Launch`]: the process exists.
    Forked { instance: InstanceId, pid: Pid },
    /// The answer to [`Action::Launch`]: not now.
    Refused { instance: InstanceId },
    /// The process has become the program.
    Executed { instance: InstanceId, pid: Pid },
    /// The process could not become the program, and has been reaped.
    ExecFailed { instance: InstanceId, pid: Pid, fault: Fault },
    /// The main process has ended. It is a zombie: its group may still be signalled.
    Ended { instance: InstanceId, pid: Pid, outcome: Outcome, leftovers: bool },
    /// Nothing is left of the tree of an instance that is Sweeping.
    TreeGone { instance: InstanceId, leader: Pid },
    /// The service said that it is ready.
    Ready { instance: InstanceId, pid: Pid },
    /// The answer to [`Action::AskReady`] or [`Action::AskHealth`].
    Answered { instance: InstanceId, pid: Pid, answer: Result<(), Rc<str>> },
    /// The service said what it is doing.
    Said { instance: InstanceId, pid: Pid, text: Rc<str> },
    /// The service said that it is alive.
    Alive { instance: InstanceId, pid: Pid },
    /// PID 1 got a signal.
    Signal(Signal),
    /// A client asks.
    Request(RequestId, Request),
    /// The deadline has come.
    Due,
    /// The answer to [`Action::Sweep`], now or later: no process is left.
    AllGone,
}

/// What clients may ask.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Request {
    /// Launch these and what they require; answered when they are ready.
    Start(Box<[ServiceId]>),
    /// Stop these and what requires them; answered when they are down.
    Stop(Box<[ServiceId]>),
    /// Replace the processes of these; answered when the new ones are ready.
    Restart(Box<[ServiceId]>),
    /// Send the main processes of these a signal.
    Signal(Box<[ServiceId]>, Signal),
    Status,
    Shutdown,
}
