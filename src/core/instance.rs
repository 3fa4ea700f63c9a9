//! One instance of a service: what can be true of it, what can happen to it, and what can
//! be done about it. How these hang together is told in [`service`](super::service).

use super::exit::Outcome;
use super::ids::{Pid, ServiceId};
use super::plan::{Hook, ServiceSpec};
use super::signal::Signal;
use super::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// So long may a process take to become the program. Reading one from a slow disk takes
/// milliseconds; a file system that answers after a minute will not answer at all.
pub const EXEC_LIMIT: Duration = Duration::from_secs(60);

/// What is asked of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Want {
    Up,
    Down,
}

/// What is true of an instance.
#[derive(Clone, PartialEq, Debug)]
pub enum State {
    /// No process, and none to come.
    Stopped,
    /// To be launched as soon as what it requires is there.
    Waiting {
        /// How often in a row the kernel has refused the fork.
        refused: u32,
    },
    /// The launch has been ordered; the answer comes within the same turn.
    Launching {
        /// How often in a row the kernel has refused the fork.
        refused: u32,
    },
    /// The process exists, but is not the program yet.
    Executing {
        /// The process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
    },
    /// Its `before_start` hook runs in its place.
    Preparing {
        /// The hook's process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
    },
    /// The program runs, but may not be depended on yet.
    Starting {
        /// The process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// The readiness probe.
        asking: Asking,
        /// What the probe last got, if anything.
        last: Option<Rc<str>>,
    },
    /// The program runs and may be depended on.
    Running {
        /// The process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// The continuing check, if it has one.
        checkup: Option<Checkup>,
    },
    /// It has been asked to end.
    Stopping {
        /// The process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// Which signal of the sequence comes next.
        next: usize,
        /// When it comes.
        at: Moment,
        /// Why we stop it, if not because we were asked to.
        failure: Option<Failure>,
    },
    /// KILL was sent to the whole tree, and is sent again from time to time.
    Killing {
        /// The process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// When KILL is sent again.
        at: Moment,
        /// Why we stop it, if not because we were asked to.
        failure: Option<Failure>,
    },
    /// The main process has ended, others of its tree have not.
    Sweeping {
        /// The process that was, whose number its group and session bear.
        leader: Pid,
        /// How it ended.
        end: End,
        /// When KILL is sent (again).
        at: Moment,
    },
    /// It failed and will be tried again.
    Backoff {
        /// When.
        until: Moment,
        /// What failed; nothing if the kernel refused the fork.
        cause: Option<Failure>,
        /// How often in a row the kernel has refused the fork.
        refused: u32,
    },
    /// It ended, and is not to come back.
    Exited {
        /// How.
        outcome: Outcome,
    },
    /// It is given up.
    Fatal {
        /// Why.
        cause: Failure,
    },
}

/// A probe that is asked again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// The next time is at this moment.
    Next(Moment),
    /// The answer is on its way.
    Pending {
        /// When it was asked.
        since: Moment,
    },
    /// Nobody is asked: the service speaks by itself (sd_notify, a descriptor, a line of log).
    Listening,
}

/// The continuing check of a running instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkup {
    /// Whether it has passed, and has not failed `failures` times in a row since.
    pub healthy: bool,
    /// Failed checks in a row.
    pub failed: u32,
    /// The next one. For the sd_notify watchdog: when it must have been fed.
    pub asking: Asking,
}

/// How a process ended, and what that is to mean.
#[derive(Clone, PartialEq, Debug)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// By whose will.
    pub reason: Reason,
}

/// Why a process ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Reason {
    /// By itself.
    Itself {
        /// Whether it had been ready and had lived for `min_uptime`.
        lived: bool,
    },
    /// By itself, and it was the `before_start` hook.
    Prepared,
    /// We stopped it because we were asked to.
    Asked,
    /// We stopped it because it failed.
    Failed(Failure),
}

/// Why a start or a run counts as failed.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// It ended by itself.
    Ended(Outcome),
    /// It did not become ready in time.
    NotReady {
        /// How long we waited.
        waited: Duration,
        /// What the probe last got.
        last: Option<Rc<str>>,
    },
    /// Its continuing check failed too often.
    Unhealthy {
        /// What the check last got.
        last: Rc<str>,
    },
    /// It could not be launched.
    Launch(Fault),
    /// Its `before_start` hook ended with this, or not in time.
    BeforeStart(Option<Outcome>),
    /// It and its descendants use more memory than `memory_limit`, in bytes.
    TooBig {
        /// So much.
        used: u64,
        /// So much it may.
        limit: u64,
    },
    /// What it requires will never be there.
    Requirement(ServiceId),
}

impl Reason {
    /// Why we stopped it.
    pub fn of_stop(failure: Option<Failure>) -> Reason {
        failure.map_or(Reason::Asked, Reason::Failed)
    }
}

impl Failure {
    /// The container's exit code when this failure ends it: never 0.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Ended(outcome) | Failure::BeforeStart(Some(outcome)) => outcome.failure_code(),
            Failure::Launch(fault) => fault.code.max(1),
            Failure::NotReady { .. }
            | Failure::Unhealthy { .. }
            | Failure::BeforeStart(None)
            | Failure::TooBig { .. }
            | Failure::Requirement(_) => super::exit::code::FAILED,
        }
    }
}

/// Why a launch failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The exit code a shell would give: 127 not found, 126 not executable, else 1.
    pub code: u8,
    /// "cannot execute x: no such file or directory".
    pub text: Rc<str>,
}

impl Fault {
    /// The process has not become the program within [`EXEC_LIMIT`].
    pub fn late() -> Fault {
        let limit = EXEC_LIMIT.as_secs();
        let text =
            format!("cannot execute its program within {limit} s: perhaps a file system does not answer");
        Fault { code: super::exit::code::NOT_EXECUTABLE, text: text.into() }
    }
}

/// One process slot of a service.
#[derive(Clone, PartialEq, Debug)]
pub struct Instance {
    /// What is asked of it.
    pub want: Want,
    /// What is true of it.
    pub state: State,
    /// Failures in a row.
    pub failures: u32,
    /// How often it has been launched.
    pub launches: u32,
    /// How the last process ended.
    pub last: Option<Outcome>,
    /// Whether the last process was ended by our KILL, its grace period being over.
    pub forced: bool,
    /// Whether its `before_start` hook has succeeded for this launch: the process is the service's.
    pub prepared: bool,
}

/// What can happen to an instance.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// It shall be launched.
    Start,
    /// It shall be stopped now.
    Stop,
    /// Its process shall be replaced by a new one.
    Replace,
    /// What it requires is there.
    Admit,
    /// What it requires will never be there.
    Lost(ServiceId),
    /// Its process exists.
    Forked(Pid),
    /// The kernel refused the fork for now (EAGAIN, ENOMEM, EMFILE).
    Refused,
    /// Its process has become the program.
    Executed,
    /// Its process could not become the program, and is gone.
    ExecFailed(Fault),
    /// It says that it may be depended on.
    Ready,
    /// Its probe has an answer: all is well, or what it got instead.
    Answered(Result<(), Rc<str>>),
    /// It says what it is doing (sd_notify's STATUS).
    Said(Rc<str>),
    /// It says that it is alive (sd_notify's WATCHDOG).
    Alive,
    /// Its main process has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// Whether others of its tree live on.
        leftovers: bool,
    },
    /// Its main process has ended, and this one goes on in its place.
    TakenOver(Pid),
    /// The last of its tree is gone.
    TreeGone,
    /// Its `before_stop` hook is done, or has had its time.
    TookLeave,
    /// It and its descendants use more memory than they may, in bytes, for some time now.
    Exceeded {
        /// So much.
        used: u64,
        /// So much it may.
        limit: u64,
    },
    /// Its continuing check is meant otherwise than before.
    Rechecked,
    /// No more grace.
    Hurry,
    /// Its deadline has come.
    Due,
}

/// What is to be done about an instance.
#[derive(Clone, PartialEq, Debug)]
pub enum Deed {
    /// Launch it. Answered by Forked or Refused.
    Launch,
    /// Launch its `before_start` hook in its place. Answered as Launch is.
    Prepare,
    /// Run this hook, about this process, which ended so, if it has. Answered within the time.
    Hook(Hook, Pid, Option<Outcome>, Duration),
    /// Send the main process this signal.
    Signal(Pid, Signal),
    /// Make the main process go on if it is stopped (SIGSTOP): else it takes no signal but KILL.
    Resume(Pid),
    /// Send all of the tree this signal. Answered by TreeGone if it has no member left.
    SignalTree(Pid, Signal),
    /// Ask the readiness probe. Answered within the time given.
    AskReady(Pid, Duration),
    /// Ask the health probe. Answered within the time given.
    AskHealth(Pid, Duration),
}

impl State {
    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Waiting { .. } => "waiting",
            State::Launching { .. } | State::Executing { .. } => "launching",
            State::Preparing { .. } => "preparing",
            State::Starting { .. } => "starting",
            State::Running { .. } => "running",
            State::Stopping { .. } => "stopping",
            State::Killing { .. } => "killing",
            State::Sweeping { .. } => "sweeping",
            State::Backoff { .. } => "backoff",
            State::Exited { .. } => "exited",
            State::Fatal { .. } => "fatal",
        }
    }
}

impl Instance {
    /// An instance before its first launch.
    pub fn new(want: Want) -> Self {
        Instance {
            want,
            state: State::Stopped,
            failures: 0,
            launches: 0,
            last: None,
            forced: false,
            prepared: false,
        }
    }

    /// Its main process and when that was forked, if there is one.
    pub fn process(&self) -> Option<(Pid, Moment)> {
        match self.state {
            State::Executing { pid, since, .. }
            | State::Preparing { pid, since, .. }
            | State::Starting { pid, since, .. }
            | State::Running { pid, since, .. }
            | State::Stopping { pid, since, .. }
            | State::Killing { pid, since, .. } => Some((pid, since)),
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => None,
        }
    }

    /// Its main process, if there is one.
    pub fn pid(&self) -> Option<Pid> {
        self.process().map(|(pid, _)| pid)
    }

    /// Whether anything of it is alive or being made.
    pub fn has_process(&self) -> bool {
        self.pid().is_some() || matches!(self.state, State::Launching { .. } | State::Sweeping { .. })
    }

    /// Whether it is on its way down.
    pub fn is_stopping(&self) -> bool {
        matches!(self.state, State::Stopping { .. } | State::Killing { .. } | State::Sweeping { .. })
    }

    /// When it wants to be told that time has passed.
    pub fn deadline(&self, spec: &ServiceSpec) -> Option<Moment> {
        match &self.state {
            State::Starting { since, asking, .. } => {
                let limit = spec.ready.as_ref().map(|ready| *since + ready.timeout);
                match (asking, limit) {
                    (Asking::Next(at), Some(limit)) => Some(limit.min(*at)),
                    (Asking::Next(at), None) => Some(*at),
                    (Asking::Pending { .. } | Asking::Listening, limit) => limit,
                }
            }
            State::Executing { since, .. } => Some(*since + EXEC_LIMIT),
            State::Preparing { since, .. } => spec.hooks.as_ref().map(|hooks| *since + hooks.timeout),
            State::Running { checkup: Some(Checkup { asking: Asking::Next(at), .. }), .. } => Some(*at),
            State::Stopping { at, .. } | State::Killing { at, .. } | State::Sweeping { at, .. } => Some(*at),
            State::Backoff { until, .. } => Some(*until),
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Running { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => None,
        }
    }
}
