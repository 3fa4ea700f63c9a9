//! Hooks: commands around a service's life, with the event in their environment.
//!
//! `before_start` is launched in the service's place (see `launching`); the others are errands.
//! Of each kind an instance has one at a time: one that still runs when the next is due is left
//! to run, and the next is left out. Only `before_stop` is waited for, and how the others end
//! changes nothing: a failure is said, that is all.

use super::errands::{Errand, Over, Purpose};
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::plan::Hook;
use std::time::Duration;

/// The variable that tells a hook which one it is. Beside it are MINISUP_SERVICE and
/// MINISUP_INSTANCE, as every process of the service has them.
pub(super) const EVENT: &str = "MINISUP_EVENT";

impl Turn {
    /// Runs a hook; the answer is [`Input::HookEnded`].
    pub(super) fn run_hook(
        &mut self,
        instance: InstanceId,
        pid: Pid,
        hook: Hook,
        outcome: Option<Outcome>,
        within: Duration,
    ) {
        let plan = self.supervisor.plan_of(instance).clone();
        let spec = plan.service(self.supervisor.whose(instance).0);
        let command = spec.hooks.as_ref().and_then(|hooks| hooks.command(hook));
        let purpose = Purpose::Hook(hook);
        let Some(command) = command.filter(|_| !self.errands.is_under_way(instance, purpose)) else {
            let label = self.reporter.label(&self.supervisor, instance);
            log::warn!("the {} hook of {label} still runs: left out this time", hook.name());
            return self.tell(Input::HookEnded { instance, pid, hook });
        };
        let mut variables = vec![(EVENT, hook.name().to_string()), ("MINISUP_PID", pid.to_string())];
        if let Some(outcome) = outcome {
            variables.push(("MINISUP_OUTCOME", outcome.to_string()));
            variables.push(("MINISUP_EXIT_CODE", outcome.code().to_string()));
        }
        self.send(&Errand { instance, pid, purpose, command, within, variables: &variables });
    }

    /// A hook is over.
    pub(super) fn hook_ended(&mut self, over: &Over, hook: Hook) {
        if let Err(why) = over.answer() {
            let label = self.reporter.label(&self.supervisor, over.instance);
            let why = why.lines().next().unwrap_or_default();
            log::warn!("the {} hook of {label} failed ({why})", hook.name());
        }
        self.tell(Input::HookEnded { instance: over.instance, pid: over.pid, hook });
    }
}
