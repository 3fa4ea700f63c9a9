//! What is to run, as meant: validated, complete, immutable.
//!
//! `config` makes a [`Plan`] from what people wrote; everything after it only reads.
//! There are no names to look up any more: a dependency is an index, a signal a number,
//! a duration a [`Duration`], and every default has been filled in.
//!
//! A thousand services should cost little, so what few services use sits behind an
//! `Option<Box<…>>`, and lists are boxed slices.

use super::ids::{InstanceId, ServiceId};
use super::instance::Want;
pub use super::launch::{Credentials, Launch, LaunchExtra, Limit, Resource};
pub use super::probe::{Health, HttpProbe, Probe, ProbeAddress, Ready, Statuses, UwsgiProbe};
use super::signal::Signal;
pub use super::sink::{FileSink, LogPolicy, Sink, Sinks, WhenFull};
pub use super::socket::{HeldSocket, SocketAddress, SocketOptions, Sockets, Told};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Everything one run of minisup needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The supervisor's own settings.
    pub supervisor: SupervisorSpec,
    /// What PID 1 passes on, and where. At most one entry a signal.
    pub signals: Box<[(Signal, Forward)]>,
    /// All services, enabled or not, in the order they were written.
    pub services: Box<[ServiceSpec]>,
}

/// `[supervisor]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SupervisorSpec {
    /// Where clients connect.
    pub control_socket: PathBuf,
    /// Whose members may connect, too.
    pub control_group: Option<u32>,
    /// The whole drain must end within it: Docker sends KILL after 10 s.
    pub shutdown_timeout: Duration,
    /// How much minisup says about itself.
    pub log_level: LogLevel,
    /// How a child's lines look on the container's stdout.
    pub log_format: LogFormat,
    /// Whether each line is stamped.
    pub timestamps: bool,
    /// Who minisup itself becomes before it launches anything; `None`: it stays who it is.
    pub credentials: Option<Credentials>,
}

/// How much minisup says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a child's lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogFormat {
    /// As written.
    Raw,
    /// `name | line`.
    Prefix,
    /// One JSON object a line.
    Json,
}

/// Where a signal sent to PID 1 goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To the main processes of this service, perhaps as another signal.
    To(ServiceId, Signal),
    /// To the main processes of all services, perhaps as another signal.
    All(Signal),
    /// `""`: taken and ignored.
    Swallow,
}

/// One service, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSpec {
    /// Its name: letters, digits, `-`, `_`, `.`.
    pub name: Rc<str>,
    /// Runs for ever, or to completion.
    pub kind: Kind,
    /// A service that is not enabled is never launched unless asked for by name.
    pub enabled: bool,
    /// How many process slots it has; at least 1.
    pub instances: u32,
    /// What must hold before it is launched.
    pub requires: Box<[Dependency]>,
    /// What comes first if it comes at all.
    pub after: Box<[Dependency]>,
    /// How we learn that it may be depended on; `None`: as soon as it has started.
    pub ready: Option<Box<Ready>>,
    /// The continuing check.
    pub health: Option<Box<Health>>,
    /// Whether it comes back.
    pub restart: Restart,
    /// Exit codes that are no failure; sorted.
    pub success_codes: Rc<[u8]>,
    /// A run shorter than this is a failure in a row.
    pub min_uptime: Duration,
    /// How long to wait before the next try.
    pub backoff: Backoff,
    /// So many failures in a row are fatal; `None`: never.
    pub max_failures: Option<u32>,
    /// Whether its failure ends the container.
    pub essential: bool,
    /// How it is stopped.
    pub stop: Rc<Stop>,
    /// How it re-reads its configuration.
    pub reload: Option<Box<Reload>>,
    /// How it reopens its own log files.
    pub reopen: Option<Signal>,
    /// Commands around its life.
    pub hooks: Option<Box<Hooks>>,
    /// When it runs, if not once at boot; oneshots only.
    pub schedule: Option<Box<Schedule>>,
    /// Files whose change makes it reload, or restart if it has no `reload`: patterns of
    /// glob(7), absolute.
    pub watch: Option<Box<[String]>>,
    /// More than so many bytes of memory, for some time, mean restart.
    pub memory_limit: Option<u64>,
    /// How an heir of its process is known, where a preset knows that it may have one.
    pub heirs: Option<Box<Heirs>>,
    /// An asked replacement launches the new process first, and stops the old one when that is ready.
    pub rolling: bool,
    /// Sockets that are opened for it and held.
    pub sockets: Option<Rc<Sockets>>,
    /// What is launched, and as whom.
    pub launch: Launch,
    /// Where its output goes.
    pub stdout: Sinks,
    /// Where its errors go.
    pub stderr: Sinks,
    /// How its lines are handled.
    pub log: LogPolicy,
}

/// Runs for ever, or to completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Longrun,
    Oneshot,
}

/// One entry of `requires` or `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Whom.
    pub service: ServiceId,
    /// What must be true of it.
    pub condition: Condition,
}

/// What must be true of a required service: of all its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Its process exists.
    Started,
    /// Its readiness is known.
    Ready,
    /// Its continuing check passes.
    Healthy,
    /// It is a oneshot that succeeded.
    Done,
}

/// Whether a longrun comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Restart {
    Always,
    OnFailure,
    Never,
}

/// How long to wait before the next try: `initial * factor^(failures - 1)`, at most
/// `max`, plus or minus `jitter` of it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Backoff {
    pub initial: Duration,
    pub max: Duration,
    /// At least 1.
    pub factor: f64,
    /// From 0 to 1.
    pub jitter: f64,
}

/// How a service is stopped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    /// Signals in order, each with the time until the next one; after the last comes KILL.
    /// Never empty.
    pub sequence: Box<[(Signal, Duration)]>,
    /// Time before the first signal, for load balancers to notice.
    pub delay: Duration,
    /// Stopped only when its whole process tree is gone, also what did setsid.
    pub tree: bool,
    /// Each signal goes to the whole tree; else to the main process.
    pub to_tree: bool,
}

impl Stop {
    /// The longest a stop may take before KILL.
    pub fn longest(&self) -> Duration {
        self.delay.saturating_add(self.time_from(0))
    }

    /// The time from when this one of its signals is due until KILL.
    pub fn time_from(&self, next: usize) -> Duration {
        let rest = self.sequence.get(next..).unwrap_or_default();
        rest.iter().fold(Duration::ZERO, |sum, (_, time)| sum.saturating_add(*time))
    }
}

/// How a service re-reads its configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// Runs first; if it fails nothing is touched.
    pub check: Option<Box<[String]>>,
    /// What is done.
    pub how: ReloadHow,
    /// It is done only when its process has children that it did not have before: a preset knows that
    /// this is how they read anything again. Within this time, and twice what the check took.
    pub renews: Option<Duration>,
    /// Files in which the server may say why not, instead of on its stderr.
    pub logs: Box<[PathBuf]>,
    /// So long the check may take, and so long the command.
    pub timeout: Duration,
}

/// How one knows the process that another one has left to go on in its place, besides by its
/// environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Heirs {
    /// The file that names it; where nobody says which it is, those that it may be.
    pub pid_files: Box<[PathBuf]>,
    /// What its command line has, and that of no other process of the service that has executed a program.
    pub titles: Box<[String]>,
}

/// What a reload does.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ReloadHow {
    Signal(Signal),
    Exec(Box<[String]>),
}

/// Commands around a service's life; all of them run as the service does.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Hooks {
    /// Must succeed before each launch.
    pub before_start: Option<Box<[String]>>,
    /// When it may be depended on.
    pub after_ready: Option<Box<[String]>>,
    /// Before the first stop signal, which waits for it.
    pub before_stop: Option<Box<[String]>>,
    /// When its main process has ended, however that came.
    pub after_exit: Option<Box<[String]>>,
    /// So long each of them may take; `before_stop` not longer than the grace period either.
    pub timeout: Duration,
}

/// Which of a service's hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Hook {
    BeforeStart,
    AfterReady,
    BeforeStop,
    AfterExit,
}

/// When a oneshot runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Once, at boot, but nobody waits for it.
    Boot,
    /// At the times of this line of five fields as in crontab(5), which has been checked.
    Cron(String),
}

impl Plan {
    /// The instances of all services at boot, in order: which service each belongs to. What there
    /// is later, the supervisor knows.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, ServiceId)> + '_ {
        let services = self.services.iter().enumerate();
        services
            .flat_map(|(s, spec)| std::iter::repeat_n(ServiceId(s as u32), spec.instances as usize))
            .enumerate()
            .map(|(i, service)| (InstanceId(i as u32), service))
    }

    /// The service.
    pub fn service(&self, id: ServiceId) -> &ServiceSpec {
        &self.services[id.index()]
    }
}

impl Heirs {
    /// Its pid files, for the instance with this number.
    pub fn pid_files_of(&self, number: u32) -> impl Iterator<Item = PathBuf> {
        self.pid_files.iter().map(move |path| PathBuf::from(with_instance(&path.to_string_lossy(), number)))
    }
}

impl Hooks {
    /// The command of this hook.
    pub fn command(&self, hook: Hook) -> Option<&[String]> {
        match hook {
            Hook::BeforeStart => self.before_start.as_deref(),
            Hook::AfterReady => self.after_ready.as_deref(),
            Hook::BeforeStop => self.before_stop.as_deref(),
            Hook::AfterExit => self.after_exit.as_deref(),
        }
    }
}

impl Hook {
    /// As its key is called.
    pub fn name(self) -> &'static str {
        match self {
            Hook::BeforeStart => "before_start",
            Hook::AfterReady => "after_ready",
            Hook::BeforeStop => "before_stop",
            Hook::AfterExit => "after_exit",
        }
    }
}

impl ServiceSpec {
    /// What is asked of its instances before anybody has asked for anything.
    pub fn first_want(&self) -> Want {
        if self.enabled && self.schedule.is_none() { Want::Up } else { Want::Down }
    }

    /// Whether it is a process of our own, such as the first start of a database.
    pub fn is_satellite(&self) -> bool {
        self.launch.extra.as_ref().is_some_and(|extra| extra.satellite)
    }

    /// Whether it has this hook.
    pub fn has_hook(&self, hook: Hook) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.command(hook).is_some())
    }

    /// So long the first stop signal may wait for the `before_stop` hook.
    pub fn leave(&self) -> Duration {
        match &self.hooks {
            Some(hooks) if hooks.before_stop.is_some() => {
                hooks.timeout.min(self.stop.longest().saturating_sub(self.stop.delay))
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    /// Whether it runs again and again by its schedule.
    pub fn recurs(&self) -> bool {
        self.schedule.as_deref().is_some_and(|schedule| matches!(schedule, Schedule::Cron(_)))
    }

    /// Whether this outcome is no failure.
    pub fn is_success(&self, outcome: super::exit::Outcome) -> bool {
        match outcome {
            super::exit::Outcome::Exited(code) => self.success_codes.contains(&code),
            super::exit::Outcome::Killed(_) => false,
        }
    }
}

/// `${instance}` replaced by a number.
pub fn with_instance(text: &str, number: u32) -> String {
    text.replace("${instance}", &number.to_string())
}
