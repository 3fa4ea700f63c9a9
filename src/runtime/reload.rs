//! Carrying a reload out: its check first, then the signal or the command.
//!
//! If the check fails, nothing is touched: the service goes on with what it has read before, and
//! whoever asked gets to know what the check wrote. The answer is that the signal was sent, or how the
//! command ended; whether the service likes what it reads, it says in its own log.

use super::errands::{Errand, Over, Purpose};
use super::turn::Turn;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::plan::{Reload, ReloadHow};
use crate::sys::signals;

impl Turn {
    /// Begins a reload; the answer is [`Input::Reloaded`].
    ///
    /// The instances of a service reload one after the other, and each instance as often as it
    /// was asked to: nginx does not like two configurations at once.
    pub(super) fn reload(&mut self, instance: InstanceId, pid: Pid) {
        let (service, _) = self.supervisor.whose(instance);
        let is_first = !self.reloads.iter().any(|(of, _)| self.supervisor.whose(*of).0 == service);
        self.reloads.push((instance, pid));
        if is_first {
            self.begin_reload(instance, pid);
        }
    }

    fn begin_reload(&mut self, instance: InstanceId, pid: Pid) {
        let plan = self.supervisor.plan_of(instance).clone();
        let Some(reload) = &plan.service(self.supervisor.whose(instance).0).reload else {
            return self.has_reloaded(instance, pid, Err("it has no `reload`".into()));
        };
        match &reload.check {
            Some(check) => self.send(&errand(instance, pid, Purpose::Check, check, reload)),
            None => self.carry_out(instance, pid, reload),
        }
    }

    /// The check is over.
    pub(super) fn checked(&mut self, over: &Over) {
        let plan = self.supervisor.plan_of(over.instance).clone();
        let reload = &plan.service(self.supervisor.whose(over.instance).0).reload;
        match (over.answer(), reload) {
            (Ok(()), Some(reload)) => self.carry_out(over.instance, over.pid, reload),
            (Ok(()), None) => self.has_reloaded(over.instance, over.pid, Err("it has no `reload`".into())),
            (Err(why), _) => {
                self.has_reloaded(over.instance, over.pid, Err(format!("its check failed: {why}")))
            }
        }
    }

    /// The command is over.
    pub(super) fn reloaded(&mut self, over: &Over) {
        let answer = over.answer().map_err(|why| format!("its command failed: {why}"));
        self.has_reloaded(over.instance, over.pid, answer);
    }

    fn carry_out(&mut self, instance: InstanceId, pid: Pid, reload: &Reload) {
        if self.supervisor.instance(instance).pid() != Some(pid) {
            return self.has_reloaded(instance, pid, Err("it has ended meanwhile".into()));
        }
        match &reload.how {
            ReloadHow::Exec(command) => self.send(&errand(instance, pid, Purpose::Reload, command, reload)),
            ReloadHow::Signal(signal) => {
                let sent = signals::kill(pid, *signal);
                let answer =
                    sent.map_err(|errno| format!("cannot signal it: {}", errno.desc().to_lowercase()));
                self.has_reloaded(instance, pid, answer);
            }
        }
    }

    fn has_reloaded(&mut self, instance: InstanceId, pid: Pid, answer: Result<(), String>) {
        let label = self.reporter.label(&self.supervisor, instance);
        match &answer {
            Ok(()) => ::log::info!("{label} has been told to read its configuration again"),
            Err(why) => ::log::warn!("cannot reload {label}: {}", why.lines().next().unwrap_or_default()),
        }
        self.tell(Input::Reloaded { instance, pid, answer: answer.map_err(Into::into) });
        if let Some(done) = self.reloads.iter().position(|it| *it == (instance, pid)) {
            self.reloads.remove(done);
        }
        let (service, _) = self.supervisor.whose(instance);
        let next = self.reloads.iter().find(|(of, _)| self.supervisor.whose(*of).0 == service);
        if let Some((instance, pid)) = next.copied() {
            self.begin_reload(instance, pid);
        }
    }
}

fn errand<'a>(
    instance: InstanceId,
    pid: Pid,
    purpose: Purpose,
    command: &'a [String],
    reload: &Reload,
) -> Errand<'a> {
    Errand { instance, pid, purpose, command, within: reload.timeout, variables: &[] }
}
