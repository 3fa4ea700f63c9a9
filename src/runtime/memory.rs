//! How much memory services hold that have a limit of it.
//!
//! Counted is what is resident of the main process and all that belong to its tree (proc(5),
//! statm); pages that they share count for each of them. It is looked at every two seconds, and
//! only while somebody has a limit. Once above may be a moment's need: twice in a row is too
//! much, and the service is restarted as one that fails its health check would be.

use super::deaths::Known;
use super::turn::Turn;
use crate::core::ids::{InstanceId, Pid, ServiceId};
use crate::core::input::Input;
use crate::core::instance::State;
use crate::core::plan::Plan;
use crate::core::time::Moment;
use crate::sys::{clock, proc};
use std::time::Duration;
use tokio::time::sleep;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(2);

/// So many looks in a row have to find too much.
const TIMES: u32 = 2;

/// Who has a limit, and who was above it.
#[derive(Default)]
pub(super) struct Memory {
    limits: Vec<(ServiceId, u64)>,
    next: Option<Moment>,
    above: Vec<(InstanceId, Pid, u32)>,
}

impl Memory {
    /// From now on these limits hold.
    pub(super) fn follow(&mut self, plan: &Plan, order: &[ServiceId]) {
        let limit = |service: &ServiceId| Some((*service, plan.service(*service).memory_limit?));
        self.limits = order.iter().filter_map(limit).collect();
        self.next = (!self.limits.is_empty()).then(|| clock::now() + INTERVAL);
    }

    /// Returns when it is time to look.
    pub(super) async fn ready(&self) {
        match self.next {
            Some(at) => sleep(at.since(clock::now())).await,
            None => std::future::pending().await,
        }
    }
}

impl Turn {
    /// Looks, if it is time.
    pub(super) fn weigh(&mut self) {
        if self.rounds.memory.next.is_none_or(|at| at > clock::now()) {
            return;
        }
        self.rounds.memory.next = Some(clock::now() + INTERVAL);
        // What was seen of processes before is no longer so.
        self.tree.turn([]);
        let before = std::mem::take(&mut self.rounds.memory.above);
        for (service, limit) in self.rounds.memory.limits.clone() {
            for instance in self.supervisor.instances_of(service) {
                let it = self.supervisor.instance(instance);
                let (State::Starting { pid, .. } | State::Running { pid, .. }) = it.state else { continue };
                let used = self.weight(pid);
                if used <= limit {
                    continue;
                }
                let times = before.iter().find(|(of, main, _)| *of == instance && *main == pid);
                let times = times.map_or(0, |(.., times)| *times) + 1;
                if times < TIMES {
                    self.rounds.memory.above.push((instance, pid, times));
                    continue;
                }
                self.tell(Input::Exceeded { instance, pid, used, limit });
                self.perform_all();
            }
        }
    }

    /// How many bytes are resident of this main process and its tree.
    fn weight(&mut self, main: Pid) -> u64 {
        let known = Known { children: &self.children, supervisor: &self.supervisor };
        let members = self.tree.members(main, &known);
        members.iter().filter_map(|process| proc::resident(process.pid)).sum()
    }
}
