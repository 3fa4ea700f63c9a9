//! Every child that ended, ours or adopted, and whose it was.
//!
//! There is one table of all processes that we launched ourselves. A child that is not in it
//! is an orphan of somebody's tree: it is reaped, and that is all, unless somebody is waiting
//! for the last of his tree to go, or it is the heir of a main process (`heirs`).
//!
//! The main process of a service is taken out of the kernel's table before the supervisor
//! hears of its end. Its group may still be signalled then: while anybody is in a process
//! group, the kernel gives its number to nobody else, and whoever is left of it comes to us
//! sooner or later to be reaped.

use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::instance::Fault;
use crate::core::sorted::Map;
use crate::core::supervisor::Supervisor;
use crate::sys::{reap, tree};

/// So many deaths are taken in one turn: a storm of them must not keep us from all else.
const AT_ONCE: usize = 4096;

/// Whose a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// The main process of this instance.
    Main(InstanceId),
    /// A process that asks an instance how it is.
    Probe,
    /// A process that does something on a service's behalf.
    Errand,
    /// It compresses an old log file.
    Compressor,
}

/// All processes that we launched ourselves, and whose trees are not gone yet.
#[derive(Default)]
pub(super) struct Children {
    owners: Map<Pid, Owner>,
    /// Main processes that have ended, but perhaps not the rest of their trees.
    leaders: Vec<(InstanceId, Pid)>,
    /// The last sweep has begun: we wait for the last child.
    pub(super) sweeping_all: bool,
    /// There may be deaths that nobody will tell us of again.
    pub(super) has_more: bool,
}

impl Children {
    /// None of ours yet. Somebody else's may have ended before the bell hung.
    pub(super) fn new() -> Self {
        Children { has_more: true, ..Children::default() }
    }

    pub(super) fn add(&mut self, pid: Pid, owner: Owner) {
        self.owners.insert(pid, owner);
    }

    /// The instance's main process, which has ended, has an heir: that one's end is its end.
    pub(super) fn hand_over(&mut self, instance: InstanceId, from: Pid, to: Pid) {
        self.leaders.retain(|(_, leader)| *leader != from);
        self.owners.insert(to, Owner::Main(instance));
    }
}

/// What `tree` has to know of our processes.
pub(super) struct Known<'a> {
    pub(super) children: &'a Children,
    pub(super) supervisor: &'a Supervisor,
}

impl tree::Known for Known<'_> {
    fn is_launched(&self, pid: Pid) -> bool {
        self.children.owners.contains_key(&pid)
    }

    fn is_leader(&self, pid: Pid) -> bool {
        matches!(self.children.owners.get(&pid), Some(Owner::Main(_)))
            || self.children.leaders.iter().any(|(_, leader)| *leader == pid)
    }

    fn marks(&self) -> bool {
        true
    }

    fn leader_by_mark(&self, mark: u32) -> Option<Pid> {
        let instance = InstanceId(mark);
        self.supervisor.has_instance(instance).then(|| self.leader_of(instance))?
    }

    fn leader(&self, service: &[u8], number: u32) -> Option<Pid> {
        let plan = self.supervisor.plan();
        let index = plan.services.iter().position(|spec| spec.name.as_bytes() == service)?;
        let service = crate::core::ids::ServiceId(index as u32);
        self.leader_of(self.supervisor.find_instance(service, number)?)
    }
}

impl Known<'_> {
    fn leader_of(&self, instance: InstanceId) -> Option<Pid> {
        let gone = self.children.leaders.iter().find(|(of, _)| *of == instance).map(|(_, leader)| *leader);
        gone.or_else(|| self.supervisor.instance(instance).pid())
    }
}

impl Turn {
    /// The main process of the instance to which a process belongs, if that can be known.
    pub(super) fn main_of(&self, process: Pid) -> Option<Pid> {
        self.tree.whose(process, &Known { children: &self.children, supervisor: &self.supervisor })
    }

    /// Reaps all who ended.
    pub(super) fn take_deaths(&mut self) {
        let mut adopted = false;
        let mut ended = Vec::new();
        self.children.has_more = true;
        self.bell.hush();
        for _ in 0..AT_ONCE {
            let Some(death) = reap::any() else {
                self.children.has_more = false;
                break;
            };
            match self.children.owners.remove(&death.pid) {
                Some(Owner::Main(instance)) => {
                    self.children.leaders.push((instance, death.pid));
                    ended.push((instance, death));
                }
                Some(Owner::Probe) => self.probe_ended(death.pid, death.outcome),
                Some(Owner::Errand) => self.errand_ended(death.pid, death.outcome),
                Some(Owner::Compressor) => self.compressor_ended(death.outcome),
                None => adopted = true,
            }
        }
        self.tree.turn(ended.iter().map(|(_, death)| death.pid));
        if adopted {
            self.look_after_trees(&ended);
        }
        for (instance, death) in ended {
            self.main_ended(instance, death.pid, death.outcome);
            self.perform_all();
        }
        if self.children.sweeping_all && !self.sweep.is_anybody_left() {
            self.tell(Input::AllGone);
        }
    }

    fn main_ended(&mut self, instance: InstanceId, pid: Pid, outcome: Outcome) {
        match self.launches.end(instance, pid) {
            Some(Err(error)) => {
                self.children.leaders.retain(|(_, leader)| *leader != pid);
                let fault = Fault { code: error.exit_code(), text: error.to_string().into() };
                return self.tell(Input::ExecFailed { instance, pid, fault });
            }
            Some(Ok(())) => self.tell(Input::Executed { instance, pid }),
            None => {}
        }
        if let Some(heir) = self.heir_of(instance, pid) {
            return self.hand_over(instance, pid, heir);
        }
        self.take_exports(instance, outcome);
        self.cut_reload_short(instance, pid, outcome);
        let leftovers = self.spec(instance).stop.tree && self.has_leftovers(pid);
        if !leftovers {
            self.children.leaders.retain(|(_, leader)| *leader != pid);
        }
        self.tell(Input::Ended { instance, pid, outcome, leftovers });
    }

    /// Somebody's orphan is gone: was it the last of its tree?
    fn look_after_trees(&mut self, just_ended: &[(InstanceId, reap::Death)]) {
        for (instance, leader) in self.children.leaders.clone() {
            let is_old = !just_ended.iter().any(|(_, death)| death.pid == leader);
            if is_old && !self.has_leftovers(leader) {
                self.tree_gone(instance, leader);
                self.perform_all();
            }
        }
    }

    /// Nobody is left of the tree of this main process.
    pub(super) fn tree_gone(&mut self, instance: InstanceId, leader: Pid) {
        self.children.leaders.retain(|(_, of)| *of != leader);
        self.tell(Input::TreeGone { instance, leader });
    }

    fn has_leftovers(&mut self, leader: Pid) -> bool {
        self.tree.has_leftovers(leader, &Known { children: &self.children, supervisor: &self.supervisor })
    }
}
