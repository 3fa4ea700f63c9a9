//! What a rolling replacement may do, and what it must: there is never less of a service that is
//! ready than there was, and never more than two processes for one instance.

use super::{Judge, Processes, Verdict};
use crate::judge::known::{Age, Known};
use minisup::core::ids::InstanceId;
use minisup::core::supervisor::Supervisor;

impl Judge {
    /// Successors have slots of their own, which come when they are needed.
    pub(super) fn meet_newcomers(&mut self, sup: &Supervisor) {
        let mut next = self.known.len() as u32;
        while sup.has_instance(InstanceId(next)) {
            self.known.push(Known::nothing(sup.instance(InstanceId(next)).want));
            self.ages.push(Age::Current);
            self.service_of.push(sup.whose(InstanceId(next)).0);
            next += 1;
        }
    }

    fn is_ready(&self, id: InstanceId) -> bool {
        let known = &self.known[id.index()];
        known.pid.is_some() && known.program && known.ready && known.stopping.is_none()
    }

    /// A slot that nobody means is asked to end: either it has never served, or the one that is
    /// meant instead is ready at this moment.
    pub(super) fn may_give_way_to_successor(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        let name = &sup.spec_of(id).name;
        let Some(partner) = sup.partner_of(id) else { return Err(format!("{name} is a shadow of nobody")) };
        match self.known[id.index()].ready && !self.is_ready(partner) {
            true => Err(format!("{name} is asked to end, and its successor is not ready")),
            false => Ok(()),
        }
    }

    /// Whoever is ready and rolls is not asked to end so that another one can be launched.
    pub(super) fn may_be_replaced_at_once(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        let spec = self.plan.service(self.service_of[id.index()]);
        // Asked for in this moment: it is not known to be stopping yet.
        let was_ready = self.known[id.index()].pid.is_some() && self.known[id.index()].ready;
        match spec.rolling && was_ready && !sup.is_shadow(id) {
            true => Err(format!("{} rolls, and is asked to end before its successor is ready", spec.name)),
            false => Ok(()),
        }
    }

    /// After each turn: two processes at most for an instance, and what is old stays so only as long
    /// as it must.
    pub(super) fn pairs_are_in_order(&mut self, sup: &Supervisor) -> Verdict {
        self.follow_rolls(sup);
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let whose = sup.whose(id);
            let all = (0..self.known.len() as u32).map(InstanceId).filter(|other| sup.whose(*other) == whose);
            let alive: Vec<InstanceId> = all.filter(|id| self.known[id.index()].leader.is_some()).collect();
            let name = &sup.spec_of(id).name;
            match alive[..] {
                [] | [_] => {}
                [a, b] if sup.partner_of(a) == Some(b) && sup.is_shadow(a) != sup.is_shadow(b) => {}
                _ => return Err(format!("{name}:{} has the processes of {alive:?}", whose.1)),
            }
        }
        Ok(())
    }

    /// Whoever leads a tree and lives is the process that is known: an heir, too.
    pub fn every_leader_is_known(&self, sup: &Supervisor, all: &Processes) -> Verdict {
        for (pid, process) in all.iter().filter(|(pid, it)| it.leader == **pid && !it.zombie) {
            let known = sup.instance(process.instance).pid();
            if known != Some(*pid) {
                return Err(format!("{pid} lives, but {known:?} is the process of {:?}", process.instance));
            }
        }
        Ok(())
    }

    /// What rolls have made of the ages.
    pub(super) fn follow_rolls(&mut self, sup: &Supervisor) {
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let rolls =
                self.plan.services.get(self.service_of[index].index()).is_some_and(|spec| spec.rolling);
            match (self.ages[index], sup.is_outdated(id)) {
                // Its successor did not get ready: it goes on.
                (Age::Outdated, false) if rolls => {
                    self.ages[index] = Age::Current;
                    if !self.waiting.is_empty() {
                        self.put_off.insert(id);
                    }
                }
                // It has handed over.
                (Age::Outdated, true) if sup.is_shadow(id) => self.ages[index] = Age::Leaving,
                // It is a successor again.
                (Age::Gone, false) if sup.is_shadow(id) => self.ages[index] = Age::Current,
                _ => {}
            }
        }
    }
}
