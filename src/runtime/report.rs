//! What is said about it all: starts, stops, failures, and why. One line each, the same in the
//! log and in the events that clients follow.

use crate::core::action::{Change, Occasion};
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, ServiceId};
use crate::core::instance::{End, Failure, Reason, State};
use crate::core::phase::Phase;
use crate::core::plan::{Condition, Hook, Kind, Plan, Probe, ProbeAddress, Ready, ServiceSpec};
use crate::core::secrets::Secrets;
use crate::core::signal::Signal;
use crate::core::supervisor::Supervisor;
use crate::core::time::Moment;
use crate::sys::clock;
use crate::sys::pid1::Difference;
use crate::sys::signals::Sender;
use log::Level::{Debug, Error, Info, Warn};
use log::{debug, info, log_enabled};
use std::fmt;
use std::time::Duration;

/// Says what happens.
pub(super) struct Reporter {
    began: Moment,
    secrets: Secrets,
}

impl Reporter {
    pub(super) fn new(began: Moment, secrets: Secrets) -> Reporter {
        Reporter { began, secrets }
    }

    /// From now on these are the values that it does not say.
    pub(super) fn conceal(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    /// Without the values of secrets.
    pub(super) fn masked(&self, text: String) -> String {
        self.secrets.masked(text)
    }

    /// When minisup began.
    pub(super) fn began(&self) -> Moment {
        self.began
    }

    /// The first line, only if there is something unusual.
    pub(super) fn hello(&self, differences: &[Difference]) {
        if !differences.is_empty() {
            let all: Vec<_> = differences.iter().map(Difference::to_string).collect();
            info!("running with: {}", all.join(", "));
        }
    }

    /// The last line.
    pub(super) fn goodbye(&self, code: u8) {
        info!("everything has stopped; exit code {code}");
    }

    pub(super) fn signalled(&self, signal: Signal, sender: Option<Sender>) {
        match sender {
            Some(sender) => debug!("got {signal} from pid {} (uid {})", sender.pid, sender.uid),
            None => debug!("got {signal}"),
        }
    }

    /// What people call an instance: `web`, or `web:1` where there are several; `web (new)` while it is
    /// replaced beside the one that serves.
    pub(super) fn label<'a>(&self, supervisor: &'a Supervisor, instance: InstanceId) -> Label<'a> {
        Label { which: supervisor.told_apart(instance), ..self.name(supervisor, instance) }
    }

    /// The same, whichever of its processes is meant.
    pub(super) fn name<'a>(&self, supervisor: &'a Supervisor, instance: InstanceId) -> Label<'a> {
        let (service, number) = supervisor.whose(instance);
        let spec = supervisor.plan().service(service);
        Label { name: &spec.name, number: (spec.instances > 1).then_some(number), which: None }
    }

    /// The line about this change, unless nobody would read it: it is below the log's level, and
    /// nobody follows events.
    pub(super) fn line(&self, supervisor: &Supervisor, change: &Change, is_followed: bool) -> Option<Line> {
        let line = self.tell(supervisor, change, Paper { is_followed })?;
        Some(Line { text: self.masked(line.text), ..line })
    }

    fn tell(&self, supervisor: &Supervisor, change: &Change, paper: Paper) -> Option<Line> {
        match change {
            Change::State { instance, from, to, failures, last } => {
                let story = Story {
                    name: self.label(supervisor, *instance),
                    plan: supervisor.plan(),
                    spec: supervisor.spec_of(*instance),
                    failures: *failures,
                    last: *last,
                };
                story.tell(from, to, paper)
            }
            Change::Waits { instance, on, condition } => {
                let on = &supervisor.plan().service(*on).name;
                let what = match condition {
                    Condition::Started => "started",
                    Condition::Ready => "ready",
                    Condition::Healthy => "healthy",
                    Condition::Done => "done",
                };
                paper.line(
                    Info,
                    format_args!("{} waits for {on} to be {what}", self.label(supervisor, *instance)),
                )
            }
            Change::TakenOver { instance, from, to } => {
                let name = self.label(supervisor, *instance);
                paper.line(Info, format_args!("{name} goes on as pid {to}: pid {from} has handed over to it"))
            }
            Change::Health { instance, healthy: true } => {
                paper.line(Info, format_args!("{} is healthy", self.label(supervisor, *instance)))
            }
            Change::Health { instance, healthy: false } => {
                paper.line(Warn, format_args!("{} is unhealthy", self.label(supervisor, *instance)))
            }
            Change::Said(instance) => {
                let said = supervisor.said(*instance).unwrap_or("nothing");
                paper.line(Debug, format_args!("{} says: {said}", self.label(supervisor, *instance)))
            }
            Change::Phase(Phase::Up) => {
                paper.line(Info, format_args!("all is up after {}", seconds(clock::now().since(self.began))))
            }
            Change::Phase(phase) => paper.line(Debug, format_args!("{}", phase.name())),
            Change::Draining(Occasion::Signal(signal)) => {
                paper.line(Info, format_args!("got {signal}: stopping everything"))
            }
            Change::Draining(Occasion::Request) => {
                paper.line(Info, format_args!("asked to shut down: stopping everything"))
            }
            Change::Draining(Occasion::AllEnded) => paper.line(Info, format_args!("all services have ended")),
            Change::Draining(Occasion::Essential(instance, failure)) => {
                let name = self.label(supervisor, *instance);
                let why = reason(failure, supervisor.spec_of(*instance), supervisor.plan());
                paper.line(
                    Error,
                    format_args!(
                        "{name} is essential and has failed ({why}): stopping everything, exit code {}",
                        failure.code()
                    ),
                )
            }
            Change::Updating(difference) => {
                let count = difference.services.len();
                paper.line(Debug, format_args!("going over to another plan: {count} services differ"))
            }
            Change::Removed(instance) => {
                paper.line(Info, format_args!("{} is removed", self.label(supervisor, *instance)))
            }
            Change::Skipped(service) => {
                let name = &supervisor.plan().service(*service).name;
                let why = "its last run is not over: left out this time";
                paper.line(Warn, format_args!("it is time for {name}, but {why}"))
            }
            Change::Unassigned(signal) => {
                paper.line(Info, format_args!("got {signal}, which [signals] passes on to nobody"))
            }
        }
    }
}

/// What an instance is called. Written down only if the line is read that it stands in: most are not.
#[derive(Clone, Copy)]
pub(super) struct Label<'a> {
    name: &'a str,
    number: Option<u32>,
    which: Option<&'a str>,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(number) = self.number {
            write!(f, ":{number}")?;
        }
        self.which.map_or(Ok(()), |which| write!(f, " ({which})"))
    }
}

/// A line, and how much it matters.
pub(super) struct Line {
    pub(super) level: log::Level,
    pub(super) text: String,
}

impl Line {
    /// Into the log.
    pub(super) fn log(&self) {
        log::log!(self.level, "{}", self.text);
    }
}

/// What lines are written on, if anybody is to read them.
#[derive(Clone, Copy)]
struct Paper {
    is_followed: bool,
}

impl Paper {
    fn line(self, level: log::Level, text: fmt::Arguments<'_>) -> Option<Line> {
        let is_read = self.is_followed || log_enabled!(level);
        is_read.then(|| Line { level, text: text.to_string() })
    }
}

/// How it ended, if it ever ran.
struct Ended(Option<Outcome>);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(outcome) => write!(f, "{outcome}"),
            None => f.write_str("it never ran"),
        }
    }
}

/// One instance's change, about to be told.
struct Story<'a> {
    name: Label<'a>,
    plan: &'a Plan,
    spec: &'a ServiceSpec,
    failures: u32,
    last: Option<Outcome>,
}

impl Story<'_> {
    fn tell(&self, from: &State, to: &State, paper: Paper) -> Option<Line> {
        let name = &self.name;
        match to {
            State::Starting { pid, .. } => match &self.spec.ready {
                Some(ready) if ready.is_time_limit() => {
                    paper.line(Info, format_args!("{name} started (pid {pid})"))
                }
                Some(ready) => paper.line(
                    Info,
                    format_args!("{name} started (pid {pid}); waiting for {}", describe(&ready.probe)),
                ),
                None => paper.line(Info, format_args!("{name} started (pid {pid})")),
            },
            State::Running { pid, since, .. } => match from {
                State::Starting { .. } => paper.line(
                    Info,
                    format_args!("{name} is ready after {}", seconds(clock::now().since(*since))),
                ),
                _ => paper.line(Info, format_args!("{name} started (pid {pid})")),
            },
            State::Stopping { failure: None, .. } => paper.line(Info, format_args!("stopping {name}")),
            State::Stopping { failure: Some(failure), .. } => {
                paper.line(Warn, format_args!("{name} {}: stopping it", self.why(failure)))
            }
            State::Killing { failure: Some(failure), .. } if matches!(from, State::Executing { .. }) => {
                paper.line(Warn, format_args!("{name} {}: KILL", self.why(failure)))
            }
            State::Killing { .. } => match from {
                State::Stopping { at, .. } if *at <= clock::now() => {
                    paper.line(Warn, format_args!("{name} has not ended within its grace period: KILL"))
                }
                _ => paper.line(Warn, format_args!("{name} gets no more time to end: KILL")),
            },
            State::Sweeping { end, .. } => self.tell_sweep(end, paper),
            State::Stopped => match from {
                State::Waiting { .. } | State::Backoff { .. } | State::Launching { .. } => {
                    paper.line(Info, format_args!("{name} will not start"))
                }
                _ => paper.line(Info, format_args!("{name} stopped ({})", self.ended())),
            },
            State::Preparing { pid, .. } => {
                paper.line(Debug, format_args!("{name} runs its before_start hook (pid {pid})"))
            }
            State::Waiting { .. } => match from {
                State::Sweeping { end: End { reason: Reason::Prepared, .. }, .. }
                | State::Preparing { .. } => paper.line(Debug, format_args!("{name} is prepared")),
                State::Executing { .. } if self.spec.has_hook(Hook::BeforeStart) => {
                    paper.line(Debug, format_args!("{name} is prepared"))
                }
                State::Stopping { .. }
                | State::Killing { .. }
                | State::Sweeping { end: End { reason: Reason::Asked, .. }, .. } => {
                    paper.line(Info, format_args!("{name} stopped ({})", self.ended()))
                }
                State::Running { .. }
                | State::Executing { .. }
                | State::Starting { .. }
                | State::Sweeping { .. } => {
                    paper.line(Warn, format_args!("{name} ended ({}): launching it again", self.ended()))
                }
                _ => paper.line(Debug, format_args!("{name} is to be launched")),
            },
            State::Backoff { until, cause: Some(cause), .. } => {
                let delay = seconds(until.since(clock::now()));
                paper.line(
                    Warn,
                    format_args!("{name} {}: trying again in {delay}{}", self.why(cause), self.count()),
                )
            }
            State::Exited { outcome }
                if self.spec.is_success(*outcome) && self.spec.kind == Kind::Oneshot =>
            {
                paper.line(Info, format_args!("{name} is done"))
            }
            State::Exited { outcome } if self.spec.is_success(*outcome) => {
                paper.line(Info, format_args!("{name} ended ({outcome})"))
            }
            State::Exited { outcome } => paper.line(Error, format_args!("{name} failed ({outcome})")),
            State::Fatal { cause } => match self.failures {
                0 | 1 => paper.line(Error, format_args!("{name} {}: given up", self.why(cause))),
                failures => paper.line(
                    Error,
                    format_args!("{name} {}: given up after {failures} failures in a row", self.why(cause)),
                ),
            },
            State::Launching { .. } | State::Executing { .. } | State::Backoff { .. } => {
                paper.line(Debug, format_args!("{name} is {}", to.name()))
            }
        }
    }

    fn tell_sweep(&self, end: &End, paper: Paper) -> Option<Line> {
        let name = &self.name;
        match &end.reason {
            Reason::Prepared => {
                paper.line(Debug, format_args!("{name}: ending what its before_start hook has left behind"))
            }
            Reason::Itself { .. } => paper.line(
                Warn,
                format_args!(
                    "{name} ended ({}), but others of its tree live on: ending them first",
                    end.outcome
                ),
            ),
            Reason::Asked | Reason::Failed(_) => {
                paper.line(Info, format_args!("{name} ended ({}); ending the rest of its tree", end.outcome))
            }
        }
    }

    fn count(&self) -> String {
        match self.spec.max_failures {
            Some(max) => format!(" (failure {} of {max})", self.failures),
            None => format!(" (failure {})", self.failures),
        }
    }

    fn has_time_limit(&self) -> bool {
        self.spec.ready.as_deref().is_some_and(Ready::is_time_limit)
    }

    fn ended(&self) -> Ended {
        Ended(self.last)
    }

    /// A failure, as what the instance did: "x ended with…", "x was not ready…".
    fn why(&self, failure: &Failure) -> String {
        match failure {
            Failure::NotReady { waited, .. } if self.has_time_limit() => {
                format!("has not ended after {} (`timeout`)", seconds(*waited))
            }
            Failure::NotReady { waited, last } => {
                let probe =
                    self.spec.ready.as_ref().map_or("readiness".into(), |ready| describe(&ready.probe));
                let got = last.as_deref().unwrap_or("nothing");
                format!("was not ready after {}: waited for {probe}, last got: {got}", seconds(*waited))
            }
            Failure::Unhealthy { last } => {
                let probe =
                    self.spec.health.as_ref().map_or("its check".into(), |health| describe(&health.probe));
                format!("is unhealthy: {probe}, last got: {last}")
            }
            Failure::TooBig { .. } => reason(failure, self.spec, self.plan),
            Failure::Ended(_) | Failure::Launch(_) | Failure::BeforeStart(_) | Failure::Requirement(_) => {
                format!("failed ({})", reason(failure, self.spec, self.plan))
            }
        }
    }
}

/// A failure in few words.
pub(super) fn reason(failure: &Failure, spec: &ServiceSpec, plan: &Plan) -> String {
    let name = |service: &ServiceId| plan.service(*service).name.clone();
    match failure {
        Failure::Ended(outcome) => outcome.to_string(),
        Failure::NotReady { waited, .. } if spec.ready.as_deref().is_some_and(Ready::is_time_limit) => {
            format!("not done after {}", seconds(*waited))
        }
        Failure::NotReady { waited, .. } => format!("not ready after {}", seconds(*waited)),
        Failure::Unhealthy { .. } => "unhealthy".into(),
        Failure::Launch(fault) => fault.text.to_string(),
        Failure::BeforeStart(Some(outcome)) => format!("before_start hook: {outcome}"),
        Failure::BeforeStart(None) => "before_start hook: not done in time".into(),
        Failure::TooBig { used, limit } => {
            format!("uses {}, more than memory_limit {}", megabytes(*used), megabytes(*limit))
        }
        Failure::Requirement(service) => format!("it requires {}, which will not come", name(service)),
    }
}

/// A probe as its configuration has it.
fn describe(probe: &Probe) -> String {
    let at = |address: &ProbeAddress| match address {
        ProbeAddress::Tcp(address) => address.clone(),
        ProbeAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    match probe {
        Probe::Notify => "READY=1 on its notify socket".into(),
        Probe::Fd(number) => format!("a newline on descriptor {number}"),
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Unix(path) => format!("unix socket {}", path.display()),
        Probe::Http(http) => format!("http {}{}", at(&http.address), http.path),
        Probe::Uwsgi(uwsgi) => format!("uwsgi {}{}", at(&uwsgi.address), uwsgi.special_path()),
        Probe::Exec(command) => format!("exec {}", command.join(" ")),
        Probe::Log(pattern) => format!("a line of log like {pattern:?}"),
        Probe::File(path) => format!("file {}", path.display()),
        Probe::End => "its end".into(),
    }
}

/// Bytes for people: `512 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// A duration for people: `80 ms`, `1.5 s`, `60 s`.
pub(super) fn seconds(span: Duration) -> String {
    match span.as_secs_f64() {
        short if short < 0.9995 => format!("{:.0} ms", short * 1000.0),
        some if some < 9.95 => format!("{some:.1} s"),
        long => format!("{long:.0} s"),
    }
}
