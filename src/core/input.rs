//! What happened: everything the supervisor is ever told. The set is closed.

use super::exit::Outcome;
use super::ids::{InstanceId, Pid, RequestId, ServiceId};
use super::instance::Fault;
use super::plan::{Hook, Plan};
use super::signal::Signal;
use std::rc::Rc;
use std::time::Duration;

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
    /// The main process has ended, and has left this one, its heir, to go on in its place.
    TakenOver { instance: InstanceId, pid: Pid, heir: Pid },
    /// Nothing is left of the tree of an instance that is Sweeping.
    TreeGone { instance: InstanceId, leader: Pid },
    /// The service said that it is ready.
    Ready { instance: InstanceId, pid: Pid },
    /// The answer to [`Action::AskReady`] or [`Action::AskHealth`].
    Answered { instance: InstanceId, pid: Pid, answer: Result<(), Rc<str>> },
    /// The answer to [`Action::Hook`]: it is done, or has had its time.
    HookEnded { instance: InstanceId, pid: Pid, hook: Hook },
    /// It and its descendants use more memory than they may, in bytes, for some time now.
    Exceeded { instance: InstanceId, pid: Pid, used: u64, limit: u64 },
    /// The service said what it is doing.
    Said { instance: InstanceId, pid: Pid, text: Rc<str> },
    /// The service said that it is alive.
    Alive { instance: InstanceId, pid: Pid },
    /// It is time for this service by its schedule.
    Scheduled(ServiceId),
    /// Files that this service watches have changed.
    Changed(ServiceId),
    /// PID 1 got a signal.
    Signal(Signal),
    /// The answer to [`Action::Reload`]: it was carried out, or why not.
    Reloaded { instance: InstanceId, pid: Pid, answer: Result<(), Rc<str>> },
    /// A client asks.
    Request(RequestId, Request),
    /// Whoever asked has gone: nothing is answered any more. What was begun goes on.
    Abandoned(RequestId),
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
    /// Have these read their configuration again; answered when all have, or when one did not.
    Reload(Box<[ServiceId]>),
    /// Send the main processes of these a signal.
    Signal(Box<[ServiceId]>, Signal),
    /// Answered when each of these is true of all instances of its service, or when one can
    /// not become true any more as things are. Changes nothing.
    Wait(Box<[(ServiceId, Awaited)]>),
    /// Go over to this plan; answered when everything is as it says.
    Update(Rc<Plan>),
    /// Answered by a snapshot.
    Status,
    /// Stop everything, within this time in place of `shutdown_timeout`; answered when the
    /// drain has begun.
    Shutdown(Option<Duration>),
}

impl Request {
    /// The services it names.
    pub(super) fn services(&self) -> impl Iterator<Item = ServiceId> {
        let none: (&[ServiceId], &[(ServiceId, Awaited)]) = (&[], &[]);
        let (plain, awaited) = match self {
            Request::Start(services)
            | Request::Stop(services)
            | Request::Restart(services)
            | Request::Reload(services)
            | Request::Signal(services, _) => (&**services, none.1),
            Request::Wait(wishes) => (none.0, &**wishes),
            Request::Update(_) | Request::Status | Request::Shutdown(_) => none,
        };
        plain.iter().copied().chain(awaited.iter().map(|(service, _)| *service))
    }
}

/// What a client waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaited {
    /// The program runs.
    Started,
    /// It may be depended on.
    Ready,
    /// Its continuing check passes; where there is none, it is ready.
    Healthy,
    /// The oneshot has succeeded.
    Done,
    /// There is no process, whether one is to come or not.
    Stopped,
}
