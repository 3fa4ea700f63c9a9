//! Who belongs to a service, without cgroups.
//!
//! A service's process leads a group of its own, and a session if it makes one, so whoever is
//! in these belongs to it. Who has left them (setsid, as daemons do) is found
//! - by its parents, as long as these live;
//! - when they have died, it is our child, for PID 1 and subreapers adopt orphans. Then it was
//!   seen before in somebody's tree (`Tree::remember`), or its [`mark`](super::mark) says
//!   whose it is, which everybody may read and hardly anybody loses; or its environment does
//!   ([`SERVICE`], [`INSTANCE`]), if we may read it;
//! - else, where there are no marks, it belongs to the service whose process ended just when it was
//!   adopted, if that is one only. Where there are, it is nobody's.
//!
//! When a main process hands over to an heir, that one is the leader from then on, of a group whose
//! number is still its predecessor's.
//!
//! A child that we had before we launched anybody is nobody's: the script that became us by
//! exec may have left one behind, such as the `tee` that our own output goes through.
//!
//! Whoever is not found by then is found by the last [`sweep`](super::sweep), when everything is to end.
//!
//! The common case costs nearly nothing: we have no child that we did not launch (one read of one
//! kept-open file for all services that ended in the same turn), so nobody is left of their trees,
//! and none of their groups has to be asked for.

use super::proc::{self, Children, Process};
use super::{mark, pid1, signals};
use crate::core::ids::Pid;
use crate::core::signal::Signal;
use crate::core::sorted::Set;

/// The variable that holds the service's name in the environment of its processes.
pub const SERVICE: &str = "MINISUP_SERVICE";
/// The variable that holds the instance's number, from 0.
pub const INSTANCE: &str = "MINISUP_INSTANCE";

/// So many forebears are asked for. Who has more is nobody's whom we know.
const FOREBEARS_MAX: u32 = 64;

/// What the runtime knows of its own processes.
pub trait Known {
    /// Whether we launched it and have not yet reaped it: services, probes, satellites.
    fn is_launched(&self, pid: Pid) -> bool;
    /// Whether this is, or was, the main process of an instance that is not yet all gone.
    fn is_leader(&self, pid: Pid) -> bool;
    /// The main process, alive or not yet all gone, of the instance that was launched with this
    /// mark. Nobody's, where none are used.
    fn leader_by_mark(&self, _mark: u32) -> Option<Pid> {
        None
    }
    /// Whether whoever is launched is marked, where that is possible.
    fn marks(&self) -> bool {
        false
    }
    /// The main process, alive or not yet all gone, of an instance of this service.
    fn leader(&self, service: &[u8], instance: u32) -> Option<Pid>;
}

/// Whose are those that we did not launch.
#[derive(Debug)]
pub struct Tree {
    children: Children,
    /// Whom we had before we launched anybody.
    inherited: Vec<Process>,
    adopted: Vec<Adopted>,
    /// Who was seen in a tree, outside of its group: (who, of whom).
    remembered: Vec<(Process, Pid)>,
    /// Heirs that lead no group, and in which group they are: (who, which).
    groups: Vec<(Pid, Pid)>,
    /// Main processes that ended since the last look.
    ended: Vec<Pid>,
    /// Whether `adopted` is of this turn.
    looked: bool,
    /// Whether an orphan might be nobody's child that we see: it goes to another, or our list of children cannot be read.
    is_blind: bool,
    /// All processes, of this turn.
    processes: Option<Vec<Process>>,
}

/// A child that we did not launch.
#[derive(Clone, Copy, Debug)]
struct Adopted {
    pid: Pid,
    leader: Option<Pid>,
}

impl Tree {
    /// To be made by the thread that launches, before it does: whom we have now is nobody's.
    pub fn at_boot() -> Tree {
        let mut tree = Tree::new();
        let children = tree.children.list().unwrap_or_default();
        tree.inherited = children.into_iter().filter_map(proc::process).collect();
        tree
    }

    /// Whom we had before we launched anybody.
    pub fn inherited(&self) -> &[Process] {
        &self.inherited
    }

    /// To be made by the thread that launches.
    pub fn new() -> Tree {
        let children = Children::new();
        Tree {
            children,
            inherited: Vec::new(),
            adopted: Vec::new(),
            remembered: Vec::new(),
            groups: Vec::new(),
            ended: Vec::new(),
            looked: false,
            is_blind: false,
            processes: None,
        }
    }

    /// Time has passed: what was seen may no longer be so. To be called in every turn in which
    /// a child was reaped, before anything else is asked, with the main processes that ended.
    pub fn turn(&mut self, ended: impl IntoIterator<Item = Pid>) {
        self.looked = false;
        self.processes = None;
        self.ended.extend(ended);
    }

    /// The main process `leader` has ended and has been reaped: is anybody left of its tree?
    /// Zombies count until they are reaped, the leader too.
    pub fn has_leftovers(&mut self, leader: Pid, known: &impl Known) -> bool {
        self.look(known);
        // Who has lost its parent is our child: without one that we did not launch, the group is empty.
        let is_worth_asking = self.is_blind || !self.adopted.is_empty();
        let has = is_worth_asking
            && (self.adopted.iter().any(|a| a.leader == Some(leader))
                || signals::group_exists(self.group_of(leader)));
        if !has {
            self.remembered.retain(|(_, of)| *of != leader);
            self.groups.retain(|(of, _)| *of != leader);
        }
        has
    }

    /// Those of the tree of `leader`, which has ended, who were adopted: its own children among others.
    pub fn orphans_of(&mut self, leader: Pid, known: &impl Known) -> Vec<Pid> {
        self.look(known);
        self.adopted.iter().filter(|a| a.leader == Some(leader)).map(|a| a.pid).collect()
    }

    /// The main process `from` has ended, and its tree is that of `to` now, one of its orphans.
    pub fn hand_over(&mut self, from: Pid, to: Pid) {
        let group = self.group_of(from);
        self.groups.retain(|(of, _)| *of != from);
        // As long as the heir is in it, the kernel gives its number to nobody else.
        let own = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(to.0)));
        if group != to && own.is_ok_and(|own| own.as_raw() == group.0) {
            self.groups.push((to, group));
        }
        self.adopted.retain(|a| a.pid != to);
        self.ended.retain(|ended| *ended != from);
        for leader in self.adopted.iter_mut().filter_map(|a| a.leader.as_mut()).filter(|of| **of == from) {
            *leader = to;
        }
        for (_, leader) in self.remembered.iter_mut().filter(|(_, of)| *of == from) {
            *leader = to;
        }
    }

    /// The group that a main process leads, or that its predecessor led.
    pub fn group_of(&self, leader: Pid) -> Pid {
        self.groups.iter().find(|(of, _)| *of == leader).map_or(leader, |(_, group)| *group)
    }

    /// Sends a signal to everybody of the tree of `leader`, who may be alive or gone. Returns
    /// whether there was anybody.
    pub fn signal(&mut self, leader: Pid, signal: Signal, known: &impl Known) -> bool {
        // Before anybody dies of it, and leaves children whose parent nobody can see any more.
        let others = self.remember(leader, known);
        // Who is in the group is found by the kernel, all at once.
        let mut in_group =
            signals::kill_group(self.group_of(leader), signal) != Err(nix::errno::Errno::ESRCH);
        if !in_group && known.is_launched(leader) {
            // It is so young that it has not yet made its session.
            in_group = signals::kill(leader, signal).is_ok();
        }
        for process in &others {
            send(process, signal);
        }
        in_group || !others.is_empty()
    }

    /// Notes who belongs to the tree of `leader` and has left its group, before anything
    /// happens to it: later it may be too late to see whose child they were. Looks through
    /// /proc, once a turn.
    fn remember(&mut self, leader: Pid, known: &impl Known) -> Vec<Process> {
        let mut others = self.members(leader, known);
        let group = self.group_of(leader);
        others.retain(|process| process.group != group.0);
        self.remembered.retain(|(_, of)| *of != leader);
        self.remembered.extend(others.iter().map(|process| (*process, leader)));
        others
    }

    /// Everybody of the tree of `leader`: its descendants, its session, and what was adopted.
    pub fn members(&mut self, leader: Pid, known: &impl Known) -> Vec<Process> {
        self.look(known);
        let group = self.group_of(leader);
        let mut roots = Set::from([leader.0]);
        roots.extend(self.adopted.iter().filter(|a| a.leader == Some(leader)).map(|a| a.pid.0));
        if roots.len() == 1 && !known.is_launched(leader) && !signals::group_exists(group) {
            return Vec::new();
        }
        let processes = self.processes.get_or_insert_with(proc::all);
        let belongs = |p: &Process| [p.session, p.group].iter().any(|of| *of == leader.0 || *of == group.0);
        roots.extend(processes.iter().filter(|p| belongs(p)).map(|p| p.pid.0));
        with_descendants(processes, roots)
    }

    /// The main process to whose tree somebody belongs, as far as that can be known of one who may be
    /// anybody: by its mark, or by whom it descends from. Reads some files of /proc.
    pub fn whose(&self, pid: Pid, known: &impl Known) -> Option<Pid> {
        if let Some(leader) = mark::of(pid).and_then(|mark| known.leader_by_mark(mark)) {
            return Some(leader);
        }
        let heir = |number: Pid| self.groups.iter().find(|(_, group)| *group == number).map(|(of, _)| *of);
        let leader = |number| heir(number).or_else(|| known.is_leader(number).then_some(number));
        let mut at = proc::process(pid)?;
        for _ in 0..FOREBEARS_MAX {
            let found = [at.pid.0, at.group, at.session].map(Pid).into_iter().find_map(leader);
            if found.is_some() {
                return found;
            }
            if at.parent == pid1::own_pid().0 {
                return if known.is_launched(at.pid) { None } else { self.owner(at.pid, known) };
            }
            at = proc::process(Pid(at.parent))?;
        }
        None
    }

    /// Finds out whose the children are that we did not launch; once a turn.
    fn look(&mut self, known: &impl Known) {
        if self.looked {
            return;
        }
        self.looked = true;
        let children = self.children.list();
        self.is_blind = children.is_none() || !pid1::adopts_orphans();
        let Some(children) = children else { return };
        let before = std::mem::take(&mut self.adopted);
        for pid in children.into_iter().filter(|pid| !known.is_launched(*pid)) {
            let seen = before.iter().find(|a| a.pid == pid && a.leader.is_some()).copied();
            let adopted = seen.unwrap_or_else(|| Adopted { pid, leader: self.owner(pid, known) });
            self.adopted.push(adopted);
        }
        self.ended.clear();
    }

    /// Whose is an orphan?
    fn owner(&self, pid: Pid, known: &impl Known) -> Option<Pid> {
        let is_same = |old: &Process| proc::process(pid).is_some_and(|now| now.started == old.started);
        if self.inherited.iter().any(|old| old.pid == pid && is_same(old)) {
            return None;
        }
        let numbers = nix::unistd::Pid::from_raw(pid.0);
        let session = nix::unistd::getsid(Some(numbers)).map(|s| Pid(s.as_raw()));
        let group = nix::unistd::getpgid(Some(numbers)).map(|g| Pid(g.as_raw()));
        let heir = |number: Pid| self.groups.iter().find(|(_, group)| *group == number).map(|(of, _)| *of);
        let leader = |number| heir(number).or_else(|| known.is_leader(number).then_some(number));
        if let Some(leader) = [session, group].into_iter().flatten().find_map(leader) {
            return Some(leader);
        }
        let seen = self.remembered.iter().find(|(process, _)| process.pid == pid);
        if let Some((process, leader)) = seen
            && is_same(process)
        {
            return Some(*leader);
        }
        if let Some(mark) = mark::of(pid) {
            return known.leader_by_mark(mark);
        }
        match proc::variables(pid, [SERVICE, INSTANCE]) {
            Some([Some(service), Some(instance)]) => {
                let instance = std::str::from_utf8(&instance).ok()?.parse().ok()?;
                known.leader(&service, instance)
            }
            // Such as what somebody has left in the background who came by `docker exec`.
            Some(_) | None if known.marks() && mark::is_used() => None,
            Some(_) | None => match self.ended.as_slice() {
                [one] => Some(*one),
                _ => None,
            },
        }
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

/// All descendants of a process, from one look at /proc. Empty without it.
pub fn descendants(pid: Pid) -> Vec<Process> {
    let processes = proc::all();
    let mut found = with_descendants(&processes, Set::from([pid.0]));
    found.retain(|process| process.pid != pid);
    found
}

/// Signals one process of a list that may have aged: our own children keep their pids until
/// we reap them, others are looked at again.
pub(super) fn send(process: &Process, signal: Signal) {
    let is_child = process.parent == pid1::own_pid().0;
    if is_child || proc::process(process.pid).is_some_and(|now| now.started == process.started) {
        let _ = signals::kill(process.pid, signal);
    }
}

/// Those of the list that are among the roots or descend from one.
pub(super) fn with_descendants(processes: &[Process], mut roots: Set<i32>) -> Vec<Process> {
    // A child may come before its parent in the list: pids wrap around.
    loop {
        let before = roots.len();
        roots.extend(
            processes.iter().filter(|p| roots.contains(&p.parent)).map(|p| p.pid.0).collect::<Vec<_>>(),
        );
        if roots.len() == before {
            break;
        }
    }
    processes.iter().filter(|p| roots.contains(&p.pid.0)).copied().collect()
}
