//! Main processes that end and leave another one to go on in their place.
//!
//! A server that replaces itself (gunicorn at USR2, nginx at a change of its binary) forks, executes its
//! program anew, and has its child take over; then somebody ends the old one. The child is
//! ours at that moment: orphans come to PID 1. It is the instance's *heir*, unless it is a
//! worker that a master has left behind when it was killed. An heir
//!
//! - belongs to the tree of the process that has ended, and is our own child now;
//! - has executed a program since it was forked, which the workers of these servers have not;
//! - is named by the pid file of the service (or by that with `.2`, where gunicorn's new master writes while
//!   the old one lives); or has the title that a preset knows; or, where none is known, is in the old one's group and
//!   has `GUNICORN_PID` with its number in the environment.
//!
//! The environment may be read only with the process's own uid, or CAP_SYS_PTRACE, some servers write
//! their titles over it, and whatever the heir launches has it too: so a title, if one is known, tells more.
//!
//! That nobody has died is told to the core; all else of the old process is the heir's from then on: what it
//! speaks by, its output, its tree. A process that has ended before it became the program, or that is a hook,
//! has no heir, nor has a oneshot.
//!
//! Nobody is looked at unless a main process has left an orphan.

use super::deaths::Known;
use super::probe;
use super::turn::Turn;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::instance::State;
use crate::core::plan::{Kind, Probe, ServiceSpec, with_instance};
use crate::sys::proc;
use std::path::{Path, PathBuf};

/// The variable in which gunicorn tells its new master who the old one is.
const GUNICORN_PID: &str = "GUNICORN_PID";

impl Turn {
    /// Who goes on in the place of this main process, which has just been reaped; usually nobody.
    pub(super) fn heir_of(&mut self, instance: InstanceId, pid: Pid) -> Option<Pid> {
        let it = self.supervisor.instance(instance);
        let was_program = match it.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Killing { .. } => it.pid() == Some(pid),
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => false,
        };
        if !was_program || self.spec(instance).kind == Kind::Oneshot {
            return None;
        }
        let known = Known { children: &self.children, supervisor: &self.supervisor };
        let orphans = self.tree.orphans_of(pid, &known);
        let mut heirs: Vec<_> = orphans.into_iter().filter_map(proc::process).collect();
        let (spec, number) = (self.spec(instance), self.supervisor.whose(instance).1);
        let group = self.tree.group_of(pid);
        heirs.retain(|orphan| {
            let may_be = !orphan.is_zombie && proc::has_executed(orphan.pid);
            may_be && is_heir(orphan.pid, (pid, orphan.group == group.0), spec, number)
        });
        // Whatever is like it was launched by it.
        heirs.into_iter().min_by_key(|heir| (heir.started, heir.pid)).map(|heir| heir.pid)
    }

    /// From now on this is the instance's main process.
    pub(super) fn hand_over(&mut self, instance: InstanceId, pid: Pid, heir: Pid) {
        self.tree.hand_over(pid, heir);
        self.children.hand_over(instance, pid, heir);
        self.hearing.hand_over(pid, heir);
        self.pump.hand_over(pid, heir);
        self.tell(Input::TakenOver { instance, pid, heir });
    }
}

/// Whether an orphan of this process, in its group or not, goes on in its place.
fn is_heir(orphan: Pid, (of, is_near): (Pid, bool), spec: &ServiceSpec, number: u32) -> bool {
    let names_it = |path: &Path| probe::number_in(path) == Some(orphan.0);
    let file = spec.ready.as_ref().and_then(|ready| match ready.probe.of_instance(number) {
        Probe::File(path) => Some(path),
        _ => None,
    });
    let known = spec.heirs.iter().flat_map(|heirs| heirs.pid_files_of(number));
    if file.into_iter().chain(known).any(|path| names_it(&path) || names_it(&second(&path))) {
        return true;
    }
    let Some(heirs) = &spec.heirs else {
        let before = if is_near { proc::variables(orphan, [GUNICORN_PID]) } else { None };
        return before.is_some_and(|[before]| before.is_some_and(|it| it == of.to_string().as_bytes()));
    };
    let has = |line: String| heirs.titles.iter().any(|title| line.contains(&*with_instance(title, number)));
    proc::command_line(orphan).is_some_and(has)
}

/// Where the new one writes its number as long as the old one has the file.
fn second(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".2");
    name.into()
}
