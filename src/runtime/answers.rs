//! What clients read: snapshots, health and events, from the core's words to those of the wire.

use super::report::{Reporter, reason, seconds};
use super::schedules::Schedules;
use crate::control::wire;
use crate::core::action::Change;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::instance::{State, Want};
use crate::core::phase::Phase;
use crate::core::plan::{Condition, Kind, ServiceSpec};
use crate::core::snapshot::{InstanceStatus, Snapshot};
use crate::core::sorted::Set;
use crate::core::supervisor::Supervisor;
use crate::log::{RingLine, Stamp, Std};
use crate::sys::{clock, pid1, proc};
use std::time::Duration;

/// Now, as documents have it: RFC 3339 in UTC with milliseconds.
pub(super) fn stamp() -> String {
    stamp_of(clock::wall())
}

fn stamp_of(at: (i64, u32)) -> String {
    String::from_utf8_lossy(Stamp::of(at).as_bytes()).into_owned()
}

/// These instances as they are now; if none is chosen all, also those that an update is just
/// removing. In the order of the configuration, which after an update is not that of the slots.
/// What the kernel knows of them is read here and now.
pub(super) fn status(
    supervisor: &Supervisor,
    reporter: &Reporter,
    schedules: &Schedules,
    snapshot: &Snapshot,
    chosen: &[InstanceId],
) -> wire::Status {
    let chosen = Set::from_iter(chosen);
    wire::Status {
        phase: snapshot.phase.name().into(),
        pid: pid1::own_pid().0,
        version: env!("CARGO_PKG_VERSION").into(),
        uptime: clock::now().since(reporter.began()).as_secs_f64(),
        // In the order of the configuration, which after an update is not that of the numbers.
        instances: snapshot
            .instances
            .iter()
            .filter(|it| chosen.is_empty() || chosen.contains(&it.instance))
            .map(|it| instance(supervisor, reporter, schedules, it))
            .collect(),
    }
}

fn instance(
    supervisor: &Supervisor,
    reporter: &Reporter,
    schedules: &Schedules,
    it: &InstanceStatus,
) -> wire::Instance {
    let spec = supervisor.spec_of(it.instance);
    let now = supervisor.instance(it.instance);
    // What an update is removing runs no more.
    let recurs = supervisor.plan().services.get(it.service.index()).is_some_and(ServiceSpec::recurs);
    let next = schedules.next_of(it.service).filter(|_| recurs && !supervisor.is_parked(it.instance));
    wire::Instance {
        service: spec.name.to_string(),
        instance: (spec.instances > 1).then_some(it.number),
        state: it.state.into(),
        kind: match spec.kind {
            Kind::Longrun => "longrun",
            Kind::Oneshot => "oneshot",
        }
        .into(),
        wanted: it.wanted,
        ready: it.ready,
        healthy: it.healthy,
        essential: spec.essential,
        pid: it.pid.map(|pid| pid.0),
        uptime: it.uptime.map(|span| span.as_secs_f64()),
        restarts: it.launches.saturating_sub(1),
        failures: it.failures,
        last: it.last.map(|outcome| outcome.to_string()),
        reason: why(supervisor, spec, it, &now.state).map(|why| reporter.masked(why)),
        said: it.said.as_deref().map(str::to_owned),
        retry_in: match now.state {
            State::Backoff { until, .. } => Some(until.since(clock::now()).as_secs_f64()),
            _ => None,
        },
        next_run: next.map(|at| stamp_of((at, 0))),
        memory: it.pid.and_then(proc::resident),
    }
}

/// No file system takes as long, unless it is dead.
const SLOW_EXEC: Duration = Duration::from_secs(1);

/// Why an instance is not what it should be, if there is more to say than its state.
fn why(supervisor: &Supervisor, spec: &ServiceSpec, it: &InstanceStatus, state: &State) -> Option<String> {
    let plan = supervisor.plan();
    match state {
        State::Waiting { .. } => {
            let (service, condition) = it.waits?;
            let name = &plan.service(service).name;
            Some(match condition {
                Condition::Started => format!("waits for {name} to be started"),
                Condition::Ready => format!("waits for {name} to be ready"),
                Condition::Healthy => format!("waits for {name} to be healthy"),
                Condition::Done => format!("waits for {name} to be done"),
            })
        }
        State::Starting { last, .. } => match spec.ready.as_deref().filter(|ready| ready.is_time_limit()) {
            Some(limit) => Some(format!("has to end within {}", seconds(limit.timeout))),
            None => last.as_ref().map(|last| format!("not ready yet: {last}")),
        },
        State::Stopping { failure, .. } | State::Killing { failure, .. } => {
            failure.as_ref().map(|failure| reason(failure, spec, plan))
        }
        State::Executing { since, .. } if clock::now().since(*since) >= SLOW_EXEC => {
            Some("is not its program yet: perhaps a file system does not answer".into())
        }
        State::Backoff { cause, .. } => cause.as_ref().map(|cause| reason(cause, spec, plan)),
        State::Fatal { cause } => Some(reason(cause, spec, plan)),
        State::Exited { outcome } if !spec.is_success(*outcome) => Some(outcome.to_string()),
        State::Stopped
        | State::Launching { .. }
        | State::Preparing { .. }
        | State::Executing { .. }
        | State::Running { .. }
        | State::Sweeping { .. }
        | State::Exited { .. } => None,
    }
}

/// What an instance adds to the container's health.
enum Wellness {
    /// It does not count: stopped by somebody, or ended well.
    Apart,
    Well,
    /// It is on its way.
    Coming,
    /// In these words.
    Ill(String),
}

/// Whether all essential services are well.
pub(super) fn health(supervisor: &Supervisor, reporter: &Reporter) -> wire::Health {
    let ill = |message: String| wire::Health { healthy: false, message };
    let phase = supervisor.phase();
    if phase.is_ending() {
        return ill(format!("{}: everything is being stopped", phase.name()));
    }
    let (mut well, mut coming) = (0, Vec::new());
    let mut last = None;
    for (id, service) in supervisor.instances() {
        let spec = supervisor.spec_of(id);
        if !spec.essential {
            continue;
        }
        match wellness(supervisor, spec, id) {
            Wellness::Apart => {}
            Wellness::Well => {
                well += u32::from(last != Some(service));
                last = Some(service);
            }
            Wellness::Coming => coming.push(id),
            Wellness::Ill(why) => {
                let label = reporter.label(supervisor, id);
                return ill(reporter.masked(format!("unhealthy: {label} {why}")));
            }
        }
    }
    match coming.is_empty() {
        false => {
            let word = if phase == Phase::Boot { "starting" } else { "unhealthy" };
            ill(reporter.masked(format!("{word}: {}", obstacle(supervisor, reporter, &coming))))
        }
        true => {
            let message = match well {
                0 => "healthy: no essential service has to run".into(),
                1 => "healthy: 1 essential service".into(),
                _ => format!("healthy: {well} essential services"),
            };
            wire::Health { healthy: true, message }
        }
    }
}

fn wellness(supervisor: &Supervisor, spec: &ServiceSpec, id: InstanceId) -> Wellness {
    let it = supervisor.instance(id);
    let is_boot = supervisor.phase() == Phase::Boot;
    if it.want == Want::Down {
        return Wellness::Apart;
    }
    match &it.state {
        State::Exited { outcome } if spec.is_success(*outcome) => Wellness::Apart,
        State::Exited { outcome } => Wellness::Ill(format!("has failed ({outcome})")),
        State::Fatal { cause } => {
            Wellness::Ill(format!("has failed ({})", reason(cause, spec, supervisor.plan())))
        }
        State::Backoff { cause: Some(cause), .. } => {
            Wellness::Ill(format!("is to be tried again ({})", reason(cause, spec, supervisor.plan())))
        }
        State::Running { checkup: Some(checkup), .. } if !checkup.healthy => {
            // A first check that has not been answered yet is no failure.
            match checkup.failed {
                0 => Wellness::Well,
                _ => Wellness::Ill("fails its check".into()),
            }
        }
        State::Running { .. } if spec.kind == Kind::Longrun => Wellness::Well,
        // A oneshot that runs again later, by hand or by the clock, is nobody's illness.
        State::Stopped
        | State::Waiting { .. }
        | State::Launching { .. }
        | State::Preparing { .. }
        | State::Executing { .. }
        | State::Starting { .. }
        | State::Running { .. }
        | State::Stopping { .. }
        | State::Killing { .. }
        | State::Sweeping { .. }
        | State::Backoff { .. } => match spec.kind {
            Kind::Oneshot if !is_boot => Wellness::Apart,
            Kind::Oneshot | Kind::Longrun => Wellness::Coming,
        },
    }
}

/// Who of those that are on their way keeps the others, and how far that is, if anybody says so:
/// "db waits for db-init: initialising 3/7, 41 %".
fn obstacle(supervisor: &Supervisor, reporter: &Reporter, coming: &[InstanceId]) -> String {
    let name = |id: InstanceId| reporter.label(supervisor, id);
    let is_not = |id: InstanceId| match supervisor.spec_of(id).kind {
        Kind::Oneshot => format!("{} is not done", name(id)),
        Kind::Longrun => format!("{} is not ready", name(id)),
    };
    let mut speaks = None;
    for id in coming.iter().copied() {
        match supervisor.waits_for(id) {
            Some((service, _)) => {
                let said = |on: InstanceId| Some((on, supervisor.said(on)?));
                if let Some((on, said)) = supervisor.instances_of(service).find_map(said) {
                    return format!("{} waits for {}: {said}", name(id), name(on));
                }
            }
            None => speaks = speaks.or_else(|| Some((id, supervisor.said(id)?))),
        }
    }
    match speaks {
        Some((id, said)) => format!("{}: {said}", is_not(id)),
        None => coming.first().copied().map(is_not).unwrap_or_default(),
    }
}

/// A line of a service.
pub(super) fn log_line(supervisor: &Supervisor, line: RingLine) -> wire::LogLine {
    let (service, number) = supervisor.whose(line.instance);
    let spec = supervisor.plan().service(service);
    wire::LogLine {
        time: stamp_of(line.at),
        service: spec.name.to_string(),
        instance: (spec.instances > 1).then_some(number),
        stream: match line.stream {
            Std::Out => "stdout",
            Std::Err => "stderr",
        }
        .into(),
        message: String::from_utf8_lossy(&line.text).into_owned(),
        continues: line.continues,
    }
}

/// What a client is told that was too slow.
pub(super) fn dropped(count: u64, what: &str) -> wire::Event {
    let message = format!("{count} {what} were dropped: the client was too slow for them");
    wire::Event { time: stamp(), event: "dropped".into(), message, ..wire::Event::default() }
}

/// What followers are told of a change; `message` is the line of the log about it.
pub(super) fn event(supervisor: &Supervisor, change: &Change, message: String) -> wire::Event {
    let plain = |event: &str, to: Option<&str>| wire::Event {
        time: stamp(),
        event: event.into(),
        to: to.map(str::to_owned),
        message: message.clone(),
        ..wire::Event::default()
    };
    let about = |id: InstanceId, event: wire::Event| {
        let (service, number) = supervisor.whose(id);
        let spec = supervisor.plan().service(service);
        wire::Event {
            service: Some(spec.name.to_string()),
            instance: (spec.instances > 1).then_some(number),
            ..event
        }
    };
    match change {
        Change::State { instance, from, to, failures: _, last } => {
            let event = wire::Event {
                from: Some(from.name().into()),
                pid: pid_of(to).map(|pid| pid.0),
                outcome: last.as_ref().map(Outcome::to_string),
                ..plain("state", Some(to.name()))
            };
            about(*instance, event)
        }
        Change::Waits { instance, .. } => about(*instance, plain("waits", None)),
        Change::TakenOver { instance, to, .. } => {
            about(*instance, wire::Event { pid: Some(to.0), ..plain("taken-over", None) })
        }
        Change::Health { instance, healthy } => {
            about(*instance, plain("health", Some(if *healthy { "healthy" } else { "unhealthy" })))
        }
        Change::Said(instance) => about(*instance, plain("said", None)),
        Change::Phase(phase) => plain("phase", Some(phase.name())),
        Change::Draining(_) => plain("draining", None),
        Change::Skipped(service) => wire::Event {
            service: Some(supervisor.plan().service(*service).name.to_string()),
            ..plain("skipped", None)
        },
        Change::Unassigned(_) => plain("signal", None),
        Change::Updating(_) => plain("updated", None),
        Change::Removed(instance) => about(*instance, plain("removed", None)),
    }
}

fn pid_of(state: &State) -> Option<Pid> {
    match state {
        State::Executing { pid, .. }
        | State::Preparing { pid, .. }
        | State::Starting { pid, .. }
        | State::Running { pid, .. }
        | State::Stopping { pid, .. }
        | State::Killing { pid, .. } => Some(*pid),
        State::Stopped
        | State::Waiting { .. }
        | State::Launching { .. }
        | State::Sweeping { .. }
        | State::Backoff { .. }
        | State::Exited { .. }
        | State::Fatal { .. } => None,
    }
}
