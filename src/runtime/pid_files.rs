//! Pid files of servers that are replaced while they serve.
//!
//! nginx writes its pid file when it begins and removes it when it ends, whoever's number is in it by then.
//! So where two of them have stood beside each other, the one that ends takes the file of the other one along,
//! and `nginx -s reload` finds nobody any more. Then it is written anew: by a process of our own (`minisup
//! pid-file`) that runs as the service does, for whoever could write it there before can do so again, and no more.
//!
//! A file is written only if it was seen to name one of the two: so it is this one, also where its path is built into the
//! server and we only guess it. And only for a process that is ready, or the file would say too early that it is.

use super::errands::{Errand, Over, Purpose};
use super::probe::number_in;
use super::turn::Turn;
use crate::core::ids::{InstanceId, Pid};
use crate::core::instance::State;
use crate::core::sorted::Set;
use crate::sys::{pid1, proc};
use std::path::PathBuf;
use std::time::Duration;

/// So long it may take: one line.
const WITHIN: Duration = Duration::from_secs(5);

/// Those that name a process of an instance that has had two.
pub(super) type PidFiles = Set<PathBuf>;

impl Turn {
    /// Something has become of an instance: if it is one of two, the pid file of the other one may be gone.
    pub(super) fn mind_pid_files(&mut self, instance: InstanceId) {
        let Some(other) = self.supervisor.partner_of(instance) else { return };
        let Some(heirs) = &self.spec(instance).heirs else { return };
        let files: Vec<PathBuf> = heirs.pid_files_of(self.supervisor.whose(instance).1).collect();
        let both = [instance, other].map(|id| (id, self.supervisor.instance(id)));
        let alive: Vec<(InstanceId, Pid, bool)> = both
            .into_iter()
            .filter_map(|(id, it)| Some((id, it.pid()?, matches!(it.state, State::Running { .. }))))
            .collect();
        for file in files {
            let named = number_in(&file);
            if alive.iter().any(|(_, pid, _)| named == Some(pid.0)) {
                self.pid_files.insert(file);
            } else if let [(id, pid, true)] = alive[..]
                && named.is_none_or(|named| proc::process(Pid(named)).is_none())
                && self.pid_files.remove(&file)
                && !self.supervisor.phase().is_ending()
            {
                let mut command: Vec<String> = vec![pid1::own_program(), "pid-file".into()];
                command.extend([file.to_string_lossy().into_owned(), pid.to_string()]);
                command.extend(named.map(|gone| format!("--instead-of={gone}")));
                let purpose = Purpose::PidFile;
                self.send(&Errand {
                    instance: id,
                    pid,
                    purpose,
                    command: &command,
                    within: WITHIN,
                    variables: &[],
                });
            }
        }
    }

    /// It is there again, or cannot be.
    pub(super) fn pid_file_written(&mut self, over: &Over) {
        let label = self.reporter.label(&self.supervisor, over.instance);
        match over.answer() {
            Ok(()) => log::debug!("{label} has its pid file again: its predecessor had removed it"),
            Err(why) => {
                let why = why.lines().last().unwrap_or_default();
                log::warn!("{label} has no pid file any more: its predecessor has removed it ({why})");
            }
        }
    }
}
