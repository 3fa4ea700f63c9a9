//! What is true of every instance, concluded from what the supervisor was told and did.

use super::Judge;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, ServiceId};
use minisup::core::input::Input;
use minisup::core::instance::{State, Want};
use minisup::core::plan::{Condition, Kind};
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::BTreeSet;
use std::time::Duration;

/// What the judge knows of an instance.
#[derive(Clone)]
pub(super) struct Known {
    /// What was asked of it when the turn began, or by an update since.
    pub(super) wanted: Want,
    pub(super) pid: Option<Pid>,
    pub(super) program: bool,
    pub(super) ready: bool,
    pub(super) healthy: bool,
    pub(super) failed_checks: u32,
    /// How its program ended by itself, if it did.
    pub(super) by_itself: Option<Outcome>,
    /// It is not to come back, and that is how it ended.
    pub(super) rests_with: Option<Outcome>,
    /// Its process is, or is to be, its `before_start` hook.
    pub(super) hook: bool,
    /// That hook has succeeded, and nothing has been launched since.
    pub(super) prepared: bool,
    /// Whose `before_stop` hook runs, and how long it may.
    pub(super) leave: Option<(Pid, Moment)>,
    /// When it was asked to stop, or killed.
    pub(super) stopping: Option<Moment>,
    /// How it is being stopped: how many signals it had, when the next is due, since when it has its time.
    pub(super) course: Option<(usize, Moment, Moment)>,
    /// The answer that is awaited is the health probe's.
    pub(super) asked_health: bool,
    pub(super) asked_ready: bool,
    /// Its last process, which may be gone while its tree is not.
    pub(super) leader: Option<Pid>,
    /// We sent it KILL because its grace was over.
    pub(super) forced: bool,
    pub(super) last: Option<Outcome>,
    /// The delay before the last try, with the failures (or refusals) in a row it was for.
    pub(super) delay: Option<(bool, u32, Duration)>,
    /// A client wants a new process in its place.
    pub(super) restarts: bool,
}

impl Known {
    /// Nothing is known, but what is asked of it.
    pub(super) fn nothing(wanted: Want) -> Known {
        Known {
            wanted,
            pid: None,
            program: false,
            ready: false,
            healthy: false,
            failed_checks: 0,
            by_itself: None,
            rests_with: None,
            hook: false,
            prepared: false,
            leave: None,
            stopping: None,
            course: None,
            asked_health: false,
            asked_ready: false,
            leader: None,
            forced: false,
            last: None,
            delay: None,
            restarts: false,
        }
    }
}

/// By which plan an instance lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    Current,
    /// An update replaces its process.
    Outdated,
    /// An update removes it.
    Leaving,
    Gone,
}

impl Judge {
    pub(super) fn about(&mut self, instance: InstanceId, pid: Pid) -> Option<&mut Known> {
        self.known
            .get_mut(instance.index())
            .filter(|known| known.pid == Some(pid) && known.stopping.is_none())
    }

    /// Before the supervisor hears it.
    pub fn told(&mut self, input: &Input, supervisor: &Supervisor, now: Moment) {
        self.meet_newcomers(supervisor);
        match input {
            Input::Forked { instance, pid } => {
                self.born.insert(*pid, now);
                let old = &self.known[instance.index()];
                let (last, delay, hook) = (old.last, old.delay, old.hook);
                let (pid, leader, nothing) = (Some(*pid), Some(*pid), Known::nothing(old.wanted));
                self.known[instance.index()] = Known { pid, leader, last, delay, hook, ..nothing };
            }
            Input::HookEnded { instance, pid, .. } => {
                self.hooks = self.hooks.saturating_sub(1);
                let known = &mut self.known[instance.index()];
                known.leave = known.leave.filter(|(of, _)| of != pid);
            }
            Input::Changed(service) => {
                self.rolls_asked.insert(*service);
                for id in supervisor.instances_of(*service) {
                    self.known[id.index()].restarts = true;
                }
            }
            Input::Exceeded { .. } | Input::Scheduled(_) => {}
            Input::Executed { instance, pid } => {
                let needs_no_word = supervisor.spec_of(*instance).ready.is_none();
                if let Some(known) = self.about(*instance, *pid).filter(|known| !known.hook) {
                    (known.program, known.ready) = (true, needs_no_word);
                }
            }
            Input::Ready { instance, pid } => {
                if let Some(known) = self.about(*instance, *pid).filter(|known| known.program) {
                    known.ready = true;
                }
            }
            Input::Answered { instance, pid, answer } => {
                self.answered(*instance, *pid, answer.is_ok(), supervisor)
            }
            Input::Alive { instance, pid } => {
                if let Some(known) = self.about(*instance, *pid) {
                    known.healthy = known.ready;
                }
            }
            Input::ExecFailed { instance, pid, fault } => {
                self.ended(*instance, *pid, Outcome::Exited(fault.code), false, supervisor);
            }
            Input::Ended { instance, pid, outcome, leftovers } => {
                self.ended(*instance, *pid, *outcome, *leftovers, supervisor);
            }
            Input::TakenOver { instance, pid, heir } => {
                self.born.insert(*heir, now);
                let known = &mut self.known[instance.index()];
                if known.pid == Some(*pid) {
                    (known.pid, known.leader) = (Some(*heir), Some(*heir));
                    (known.asked_ready, known.asked_health) = (false, false);
                    known.course = None;
                }
            }
            Input::TreeGone { instance, leader } => {
                let sweeping = matches!(supervisor.instance(*instance).state, State::Sweeping { .. });
                if sweeping && self.known[instance.index()].leader == Some(*leader) {
                    self.gone(*instance, supervisor);
                }
            }
            Input::Request(id, request) => {
                self.asked.insert(*id);
                self.asked_for(request, supervisor, now);
            }
            Input::Signal(signal) => {
                let stops = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::PWR, Signal::RTMIN_3];
                self.stop_signals += u32::from(stops.contains(signal));
            }
            Input::Abandoned(id) => {
                if self.asked.contains(id) && !self.answered.contains(id) {
                    self.asked.remove(id);
                    self.abandoned.insert(*id);
                }
            }
            Input::Boot
            | Input::Reloaded { .. }
            | Input::Refused { .. }
            | Input::Said { .. }
            | Input::Due
            | Input::AllGone => {}
        }
    }

    pub(super) fn answered(&mut self, instance: InstanceId, pid: Pid, well: bool, supervisor: &Supervisor) {
        let spec = supervisor.spec_of(instance);
        let most = spec.health.as_ref().map_or(1, |health| health.failures);
        let Some(known) = self.about(instance, pid) else { return };
        if known.asked_ready {
            known.asked_ready = false;
            known.ready |= well;
        } else if known.asked_health {
            known.asked_health = false;
            known.failed_checks = if well { 0 } else { known.failed_checks + 1 };
            known.healthy = well || (known.healthy && known.failed_checks < most);
        }
    }

    pub(super) fn ended(
        &mut self,
        id: InstanceId,
        pid: Pid,
        outcome: Outcome,
        leftovers: bool,
        supervisor: &Supervisor,
    ) {
        let spec = supervisor.spec_of(id);
        let tree = spec.stop.tree;
        let known = &mut self.known[id.index()];
        if known.pid != Some(pid) {
            return;
        }
        let long = supervisor.instance(id);
        let lived = spec.kind == Kind::Longrun
            && matches!(long.state, State::Running { since, .. } if self.moment.0.since(since) >= spec.min_uptime);
        *known = Known {
            leader: known.leader,
            forced: known.forced,
            by_itself: (known.stopping.is_none() && !known.hook).then_some(outcome),
            prepared: known.hook && known.stopping.is_none() && outcome == Outcome::Exited(0),
            leave: known.leave,
            last: Some(outcome),
            delay: known.delay.filter(|_| !lived),
            ..Known::nothing(known.wanted)
        };
        if !(leftovers && tree) {
            self.gone(id, supervisor);
        }
    }

    /// The last of an instance's processes is gone.
    pub(super) fn gone(&mut self, id: InstanceId, supervisor: &Supervisor) {
        let known = &mut self.known[id.index()];
        known.leader = None;
        let age = &mut self.ages[id.index()];
        *age = match age {
            Age::Leaving | Age::Gone => Age::Gone,
            Age::Current | Age::Outdated => Age::Current,
        };
        if supervisor.phase().is_ending() && known.forced {
            self.killed = true;
        }
    }

    pub(super) fn note_kill(&mut self, instance: InstanceId, signal: Signal, supervisor: &Supervisor) {
        let state = &supervisor.instance(instance).state;
        if signal == Signal::KILL && matches!(state, State::Killing { .. } | State::Sweeping { .. }) {
            self.known[instance.index()].forced = true;
        }
    }

    pub(super) fn holds(&self, service: ServiceId, condition: Condition, sup: &Supervisor) -> bool {
        sup.instances_of(service).all(|id| {
            // The one by which its process lives.
            let (known, spec) = (&self.known[id.index()], sup.spec_of(id));
            if self.ages[id.index()] == Age::Outdated {
                return false;
            }
            let up = known.pid.is_some() && known.program && known.stopping.is_none();
            self.has_succeeded(id)
                || match condition {
                    Condition::Started => up,
                    Condition::Ready => {
                        up && known.ready && (spec.kind == Kind::Longrun || spec.ready.is_some())
                    }
                    Condition::Healthy => up && known.ready && (spec.health.is_none() || known.healthy),
                    Condition::Done => false,
                }
        })
    }

    /// A oneshot that has ended as its service may, by the plan in force.
    pub(super) fn has_succeeded(&self, id: InstanceId) -> bool {
        let spec = self.plan.service(self.service_of[id.index()]);
        let rests_with = self.known[id.index()].rests_with;
        spec.kind == Kind::Oneshot && rests_with.is_some_and(|outcome| spec.is_success(outcome))
    }

    /// Whether any process is left of whoever depends on the service, directly or through
    /// others. In a drain those that only come after it count too.
    pub(super) fn dependent_with_a_process(&self, service: ServiceId, ending: bool) -> Option<ServiceId> {
        let mut open = vec![service];
        let mut seen = BTreeSet::new();
        while let Some(on) = open.pop() {
            for (index, spec) in self.plan.services.iter().enumerate() {
                let after: &[_] = if ending { &spec.after } else { &[] };
                let dependent = ServiceId(index as u32);
                if spec.requires.iter().chain(after).any(|d| d.service == on) && seen.insert(dependent) {
                    open.push(dependent);
                    if self.instances(dependent).any(|id| self.known[id.index()].leader.is_some()) {
                        return Some(dependent);
                    }
                }
            }
        }
        None
    }
}
