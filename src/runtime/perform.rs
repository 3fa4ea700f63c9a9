//! Each action, done, and its answer fed back before the next one.

use super::deaths::Known;
use super::launching::Role;
use super::probe::Which;
use super::turn::Turn;
use crate::core::action::{Action, Change};
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::instance::State;
use crate::core::phase::Phase;
use crate::core::signal::Signal;
use crate::sys::{memory, reap, signals};

impl Turn {
    /// Does all that is to be done.
    pub(super) fn perform_all(&mut self) {
        self.follow_plan();
        while let Some(action) = self.supervisor.poll_action() {
            self.perform(action);
            self.follow_plan();
        }
        self.resume();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Launch { instance } => self.launch(instance, Role::Service),
            Action::Prepare { instance } => self.launch(instance, Role::BeforeStart),
            Action::Hook { instance, pid, hook, outcome, within } => {
                self.run_hook(instance, pid, hook, outcome, within);
            }
            // A process that has just ended cannot be signalled; we shall hear of its end.
            Action::Signal { pid, signal, .. } => drop(signals::kill(pid, signal)),
            Action::Resume { pid, .. } => self.to_resume.push(pid),
            Action::SignalTree { instance, leader, signal } => self.signal_tree(instance, leader, signal),
            Action::AskReady { instance, pid, within } => self.ask(instance, pid, within, Which::Ready),
            Action::AskHealth { instance, pid, within } => self.ask(instance, pid, within, Which::Health),
            Action::Reload { instance, pid } => self.reload(instance, pid),
            Action::Sweep(signal) => self.sweep(signal),
            Action::Reply(id, reply) => self.answer(id, reply),
            Action::Publish(change) => self.publish(&change),
        }
    }

    fn publish(&mut self, change: &Change) {
        if let Change::State { instance, to, .. } = change
            && !to_is_asked(to)
        {
            self.sockets.shut_door(*instance);
        }
        if let Change::State { instance, to: State::Launching { .. }, .. } = change
            && let Some(member) = self.supervisor.partner_of(*instance)
        {
            self.pump.follow_also(member, *instance);
        }
        let is_followed = self.clients.is_followed();
        if let Some(line) = self.reporter.line(&self.supervisor, change, is_followed) {
            line.log();
            if is_followed {
                self.tell_followers(change, line);
            }
        }
        self.show_last_words(change);
        if let Change::State { instance, .. } = change {
            self.mind_pid_files(*instance);
        }
        match change {
            // All that boot needed and the loop does not.
            Change::Phase(Phase::Up) => memory::give_back_before_sleep(),
            Change::State { instance, to, .. } if !to_has_voice(to) => {
                self.hearing.forget(*instance);
                self.release_sockets();
                if self.supervisor.phase().is_ending() {
                    self.close_sockets_of_the_stopped();
                }
            }
            Change::Updating(difference) => self.update_began(difference),
            Change::Removed(instance) => self.pump.forget_lines(*instance),
            Change::Draining(_) => self.close_sockets_of_the_stopped(),
            Change::Phase(_)
            | Change::State { .. }
            | Change::Waits { .. }
            | Change::TakenOver { .. }
            | Change::Health { .. }
            | Change::Said(_)
            | Change::Skipped(_)
            | Change::Unassigned(_) => {}
        }
    }

    /// A signal costs whoever gets it a wake-up, so one that is not stopped gets none. Nor is each asked about
    /// whether it is, if nobody is.
    fn resume(&mut self) {
        let signalled = std::mem::take(&mut self.to_resume);
        if signalled.is_empty() || !reap::is_anybody_stopped() {
            return;
        }
        for pid in signalled.into_iter().filter(|pid| reap::is_stopped(*pid)) {
            let _ = signals::kill(pid, Signal::CONT);
        }
    }

    fn signal_tree(&mut self, instance: InstanceId, leader: Pid, signal: Signal) {
        let known = Known { children: &self.children, supervisor: &self.supervisor };
        let anybody = self.tree.signal(leader, signal, &known);
        if !anybody && self.supervisor.instance(instance).pid().is_none() {
            self.tree_gone(instance, leader);
        }
    }

    /// Everything that is left, whoever made it.
    fn sweep(&mut self, signal: Signal) {
        self.children.sweeping_all = true;
        if self.sweep.signal(signal) {
            self.take_deaths();
        } else {
            self.tell(Input::AllGone);
        }
    }
}

/// Whether a service in this state is on its way to be ready.
fn to_is_asked(state: &crate::core::instance::State) -> bool {
    use crate::core::instance::State::*;
    matches!(state, Launching { .. } | Executing { .. } | Preparing { .. } | Starting { .. })
}

/// Whether a service in this state may still tell us something by its own means.
fn to_has_voice(state: &crate::core::instance::State) -> bool {
    use crate::core::instance::State::*;
    match state {
        Launching { .. } | Executing { .. } | Preparing { .. } | Starting { .. } | Running { .. } => true,
        Stopped
        | Waiting { .. }
        | Stopping { .. }
        | Killing { .. }
        | Sweeping { .. }
        | Backoff { .. }
        | Exited { .. }
        | Fatal { .. } => false,
    }
}
