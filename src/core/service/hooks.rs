//! When hooks run: before the launch, when it is ready, before it is asked to end, after its end.

use super::Step;
use crate::core::exit::Outcome;
use crate::core::ids::Pid;
use crate::core::instance::{Deed, Failure, State};
use crate::core::plan::Hook;
use crate::core::time::Moment;
use std::time::Duration;

impl Step<'_> {
    /// Whether what is launched next, or has been launched, is the `before_start` hook.
    pub(super) fn prepares(&self) -> bool {
        !self.it.prepared && self.spec.has_hook(Hook::BeforeStart)
    }

    /// When the `before_start` hook that was forked then has had its time.
    pub(super) fn prepared_by(&self, since: Moment) -> Option<Moment> {
        self.spec.hooks.as_ref().map(|hooks| since + hooks.timeout)
    }

    /// It may be depended on.
    pub(super) fn welcome(&mut self, pid: Pid) {
        if let Some(hooks) = self.spec.hooks.as_ref().filter(|hooks| hooks.after_ready.is_some()) {
            self.deeds.push(Deed::Hook(Hook::AfterReady, pid, None, hooks.timeout));
        }
    }

    /// Its main process has ended; a `before_start` hook has none of its own.
    pub(super) fn say_goodbye(&mut self, pid: Pid, outcome: Outcome) {
        let hooks = self.spec.hooks.as_ref().filter(|hooks| hooks.after_exit.is_some());
        if let Some(hooks) = hooks.filter(|_| !self.prepares()) {
            self.deeds.push(Deed::Hook(Hook::AfterExit, pid, Some(outcome), hooks.timeout));
        }
    }

    /// It is to be asked to end; its `before_stop` hook comes first.
    pub(super) fn take_leave(&mut self, pid: Pid, since: Moment, failure: Option<Failure>) -> State {
        match self.spec.leave() {
            Duration::ZERO => self.begin_stop(pid, since, failure),
            limit => {
                self.deeds.push(Deed::Hook(Hook::BeforeStop, pid, None, limit));
                let at = self.now + limit.max(self.spec.stop.delay);
                State::Stopping { pid, since, next: 0, at, failure }
            }
        }
    }

    /// The `before_stop` hook is done: what is left of the delay, and then the first signal.
    pub(super) fn left(&mut self, pid: Pid, since: Moment, at: Moment, failure: Option<Failure>) -> State {
        let delay = self.spec.stop.delay;
        let early = self.spec.leave().saturating_sub(delay);
        let at = Moment::from_nanos(at.as_nanos().saturating_sub(early.as_nanos() as u64));
        self.due(State::Stopping { pid, since, next: 0, at: at.max(self.now), failure })
    }
}
