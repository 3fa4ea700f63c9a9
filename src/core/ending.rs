//! Stopping: one service with all that require it, or everything in order.

use super::action::{Action, Change, Occasion};
use super::exit::Outcome;
use super::ids::{InstanceId, ServiceId};
use super::instance::{Event, State, Want};
use super::phase::Phase;
use super::plan::Forward;
use super::signal::Signal;
use super::supervisor::Supervisor;
use super::time::Moment;
use std::time::Duration;

/// How long a sweep waits after TERM before it sends KILL.
const SWEEP_GRACE: Duration = Duration::from_secs(1);

/// After the last KILL so much time is given to the kernel.
const LAST_WAIT: Duration = Duration::from_millis(900);

/// A stop signal that comes so soon after one is the same wish: timeout(1) signals its child and then the
/// child's group, and so do others who stop a command.
const ECHO: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Stops an instance that is wanted down and that nobody needs any more.
    pub(super) fn stop_if_free(&mut self, id: InstanceId, now: Moment) {
        let instance = &self.slot(id).instance;
        let goes = instance.want == Want::Down && instance.pid().is_some() && !instance.is_stopping();
        if goes && !self.is_held(id) {
            self.apply(id, Event::Stop, now);
        }
    }

    /// An instance has lost its process: what it depended on may be free to go.
    pub(super) fn release_requirements(&mut self, service: ServiceId, now: Moment) {
        let mut freed = Vec::new();
        self.occupancy.lost(&self.plan, service, &mut freed);
        for service in freed {
            for id in self.graph.instances(service) {
                let both = [Some(id), self.slot(id).partner];
                both.into_iter().flatten().for_each(|id| self.stop_if_free(id, now));
            }
            // Those that an update removes are not among the service's instances any more.
            let is_its = |id: &InstanceId| self.slot(*id).service == service;
            let leaving: Vec<InstanceId> = self.updates.leaving(&self.slots).filter(is_its).collect();
            leaving.into_iter().for_each(|id| self.stop_if_free(id, now));
        }
    }

    /// The instance is wanted down: at once if it has no process, else in its turn.
    pub(super) fn want_down(&mut self, id: InstanceId, now: Moment) {
        // Stopping what had ended by itself does not keep the others' end from being the end.
        let at_rest = matches!(self.instance(id).state, State::Exited { .. } | State::Fatal { .. });
        // And what was stopped between two times of its schedule does not run at the next one.
        let parked = !at_rest || self.spec_of(id).recurs();
        self.set_want(id, Want::Down, parked && !self.phase.is_ending());
        if self.instance(id).pid().is_none() {
            self.apply(id, Event::Stop, now);
        }
    }

    pub(super) fn signalled(&mut self, signal: Signal, now: Moment) {
        let plan = self.plan.clone();
        let forward = plan.signals.iter().find(|(of, _)| *of == signal).map(|(_, forward)| forward);
        match forward {
            Some(Forward::Swallow) => {}
            Some(Forward::To(service, signal)) => self.pass_on(self.graph.instances(*service), *signal),
            Some(Forward::All(signal)) => self.pass_on(self.all(), *signal),
            None if is_stop_signal(signal) => {
                if self.stop_asked.is_none_or(|before| now.since(before) >= ECHO) {
                    self.stop_asked = Some(now);
                    self.stop_by(signal, now);
                }
            }
            None if signal == Signal::USR1 => self.reopen_logs(),
            None => self.actions.push_back(Action::Publish(Box::new(Change::Unassigned(signal)))),
        }
    }

    fn stop_by(&mut self, signal: Signal, now: Moment) {
        match self.phase {
            Phase::Boot | Phase::Up => self.drain(Occasion::Signal(signal), now),
            Phase::Draining { hurried: false, .. } => self.hurry(now),
            Phase::Sweeping { kill_at, end_at } if now < kill_at && kill_at < end_at => {
                self.sweep_with_kill(end_at.min(now + LAST_WAIT));
            }
            Phase::Draining { hurried: true, .. } | Phase::Sweeping { .. } | Phase::Done => {}
        }
    }

    /// Who has log files of its own opens them again; when it is ready, for the signal may end a server
    /// that still loads.
    fn reopen_logs(&mut self) {
        for id in self.all() {
            let Some(reopen) = self.spec_of(id).reopen else { continue };
            match self.instance(id).state {
                State::Starting { .. } => self.slots[id.index()].reopens = true,
                _ => self.pass_on(std::iter::once(id), reopen),
            }
        }
    }

    /// Only to those that are the program by now: before exec, a signal that the program
    /// would handle ends the process.
    pub(super) fn pass_on(&mut self, to: impl Iterator<Item = InstanceId>, signal: Signal) {
        for instance in to {
            if let Some(pid) = self.instance(instance).pid().filter(|_| self.is_program(instance)) {
                self.actions.push_back(Action::Signal { instance, pid, signal });
            }
        }
    }

    /// Nothing runs, and nothing is to come.
    pub(super) fn end_if_all_ended(&mut self, now: Moment) {
        if self.open == 0 && !self.has_schedules() {
            self.drain(Occasion::AllEnded, now);
        }
    }

    /// Everything is to stop, in order.
    pub(super) fn drain(&mut self, occasion: Occasion, now: Moment) {
        self.drain_within(occasion, self.plan.supervisor.shutdown_timeout, now);
    }

    /// Everything is to stop, in order, and within this time. If it is stopping already, the
    /// time can only become shorter.
    pub(super) fn drain_within(&mut self, occasion: Occasion, within: Duration, now: Moment) {
        let kill_at = now + within;
        if let Phase::Draining { kill_at: later, hurried: false, .. } = self.phase
            && kill_at < later
        {
            self.phase = Phase::Draining { kill_at, end_at: kill_at + LAST_WAIT, hurried: false };
            self.hasten(now);
        }
        if self.phase.is_ending() {
            return;
        }
        self.actions.push_back(Action::Publish(Box::new(Change::Draining(occasion))));
        self.enter(Phase::Draining { kill_at, end_at: kill_at + LAST_WAIT, hurried: false });
        self.actions.retain(|action| !matches!(action, Action::Launch { .. } | Action::Prepare { .. }));
        self.queue.clear();
        self.refuse_updates();
        self.rolls.forget_all();
        self.line_up();
        self.hasten(now);
        self.occupancy.keep_order(&self.plan);
        for id in self.all() {
            self.want_down(id, now);
            if matches!(self.instance(id).state, State::Launching { .. }) {
                self.apply(id, Event::Refused, now);
            }
        }
        for id in self.all() {
            self.stop_if_free(id, now);
        }
    }

    /// No more grace, no more order.
    fn hurry(&mut self, now: Moment) {
        self.phase = Phase::Draining { kill_at: now, end_at: now + LAST_WAIT, hurried: true };
        for id in self.all() {
            self.apply(id, Event::Hurry, now);
        }
        // Also what belongs to nobody: if a process sleeps in the kernel there is no sweep later.
        self.actions.push_back(Action::Sweep(Signal::KILL));
    }

    /// Nobody has a process any more: end whatever else is left.
    pub(super) fn begin_sweep(&mut self, now: Moment) {
        if let Phase::Draining { kill_at, end_at, hurried } = self.phase
            && self.occupancy.is_nobody()
            && (hurried || self.hooks == 0)
        {
            let signal = if hurried { Signal::KILL } else { Signal::TERM };
            let end_at = if end_at <= now { now + LAST_WAIT } else { end_at };
            let kill_at = if hurried { end_at } else { kill_at.min(now + SWEEP_GRACE) };
            self.enter(Phase::Sweeping { kill_at, end_at: end_at.min(kill_at + LAST_WAIT) });
            self.actions.push_back(Action::Sweep(signal));
        }
    }

    fn sweep_with_kill(&mut self, end_at: Moment) {
        self.phase = Phase::Sweeping { kill_at: end_at, end_at };
        self.actions.push_back(Action::Sweep(Signal::KILL));
    }

    pub(super) fn all_gone(&mut self) {
        if matches!(self.phase, Phase::Sweeping { .. }) {
            self.enter(Phase::Done);
        }
    }

    /// Something did not end within its grace period.
    pub(super) fn had_to_kill(&mut self) {
        self.verdict.get_or_insert(Outcome::Killed(Signal::KILL).code());
    }

    pub(super) fn due(&mut self, now: Moment) {
        match self.phase {
            Phase::Draining { kill_at, hurried: false, .. } if kill_at <= now => self.hurry(now),
            // Far too late, as after a pause of the whole container: nobody had time to end.
            Phase::Draining { end_at, hurried: true, .. } if end_at + LAST_WAIT <= now => self.hurry(now),
            Phase::Draining { end_at, hurried: true, .. } if end_at <= now => {
                // Not even KILL ended it: it sleeps in the kernel.
                self.had_to_kill();
                return self.enter(Phase::Done);
            }
            // However late we are told: nobody is left behind without a KILL.
            Phase::Sweeping { kill_at, end_at } if kill_at < end_at && kill_at <= now => {
                self.sweep_with_kill(now + LAST_WAIT);
            }
            Phase::Sweeping { end_at, .. } if end_at <= now => return self.enter(Phase::Done),
            Phase::Boot | Phase::Up | Phase::Draining { .. } | Phase::Sweeping { .. } | Phase::Done => {}
        }
        // Once for each: whoever is due again at once is told in the next turn.
        let due = self.alarms.up_to(&(now, InstanceId(u32::MAX)));
        for id in due.iter().map(|(_, id)| *id).collect::<Vec<_>>() {
            self.apply(id, Event::Due, now);
        }
    }
}

fn is_stop_signal(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT, Signal::PWR, Signal::RTMIN_3].contains(&signal)
}
