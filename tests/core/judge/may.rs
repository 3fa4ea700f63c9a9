//! What may be done about one instance at this moment.

use super::known::Age;
use super::{Judge, Processes, Verdict};
use crate::specs::ms;
use minisup::core::ids::InstanceId;
use minisup::core::instance::{EXEC_LIMIT, Failure, State, Want};
use minisup::core::phase::Phase;
use minisup::core::plan::Dependency;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::time::Duration;

impl Judge {
    pub(super) fn may_launch(&self, id: InstanceId, supervisor: &Supervisor, all: &Processes) -> Verdict {
        let service = self.service_of[id.index()];
        let spec = self.plan.service(service);
        if supervisor.phase().is_ending() {
            return Err(format!("{} is launched although the drain began", spec.name));
        }
        if supervisor.instance(id).want == Want::Down {
            return Err(format!("{} is launched although it is wanted down", spec.name));
        }
        let known = &self.known[id.index()];
        let mut own = all.values().filter(|p| p.instance == id && !p.zombie);
        let blocking = own.any(|p| Some(p.leader) == known.leader && !p.stray);
        if known.pid.is_some() || (blocking && spec.stop.tree) {
            return Err(format!("{} is launched although it has a process", spec.name));
        }
        let holds = |d: &&Dependency| self.holds(d.service, d.condition, supervisor);
        let mut required = spec.requires.iter().filter(|d| !holds(d));
        if let Some(missing) = required.next() {
            return Err(format!("{} is launched although {missing:?} does not hold", spec.name));
        }
        let lacking = |d: &&Dependency| !holds(d) && self.moves(supervisor, d.service);
        match spec.after.iter().find(lacking) {
            Some(missing) => Err(format!("{} is launched although {missing:?} is to come", spec.name)),
            None => Ok(()),
        }
    }

    /// It is to be down, or to be replaced. Seen is what was asked of it when the turn began, or an update
    /// in this turn, and what is asked now that all is decided.
    pub(super) fn may_be_asked_to_end(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        match (self.known[id.index()].wanted, sup.instance(id).want) {
            (_, Want::Down) if sup.is_shadow(id) && !self.is_ending() => {
                self.may_give_way_to_successor(id, sup)
            }
            (Want::Down, Want::Down) => self.may_stop(id, sup),
            // Only an update that is still to come wants it up.
            (Want::Down, Want::Up) if self.to_come > 0 => self.may_stop(id, sup),
            // Its replacement may have begun before it was to be down.
            (Want::Up, Want::Down) if self.may_replace(id, sup).is_ok() => Ok(()),
            (Want::Up, Want::Down) => self.may_stop(id, sup),
            (Want::Up | Want::Down, Want::Up) => {
                self.may_be_replaced_at_once(id, sup)?;
                self.may_replace(id, sup)
            }
        }
    }

    pub(super) fn may_stop(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        if self.ages[id.index()] == Age::Leaving && !self.is_ending() {
            return self.may_give_way(id, sup);
        }
        let service = self.service_of[id.index()];
        match self.dependent_with_a_process(service, self.is_ending()) {
            Some(dependent) => {
                let (name, dependent) = (&sup.spec_of(id).name, &self.plan.service(dependent).name);
                Err(format!("{name} is asked to stop, but {dependent} has a process"))
            }
            None => Ok(()),
        }
    }

    /// Before KILL comes the whole grace period, unless there is no more grace for anybody.
    pub(super) fn may_kill(
        &self,
        id: InstanceId,
        began: Option<Moment>,
        sup: &Supervisor,
        now: Moment,
    ) -> Verdict {
        if matches!(sup.phase(), Phase::Draining { hurried: true, .. } | Phase::Sweeping { .. } | Phase::Done)
        {
            return Ok(());
        }
        let it = sup.instance(id);
        if let State::Killing { since, failure: Some(Failure::Launch(_)), .. } = it.state
            && now - since >= EXEC_LIMIT
        {
            // It has never been the program, and knows nothing of grace.
            return Ok(());
        }
        let (name, mut grace) = (&sup.spec_of(id).name, sup.spec_of(id).stop.longest());
        if let Some(began) = began {
            grace = self.grace_in_a_drain(id, began, grace);
        }
        match began.map(|began| now - began) {
            Some(had) if had >= grace => Ok(()),
            had => Err(format!("{name} is killed after {had:?} of {grace:?}")),
        }
    }

    /// A delay keeps to its limit, and does not shrink from failure to failure.
    pub(super) fn may_delay(
        &mut self,
        id: InstanceId,
        refused: bool,
        count: u32,
        delay: Duration,
        sup: &Supervisor,
    ) -> Verdict {
        let spec = sup.spec_of(id);
        let limit = if refused { spec.backoff.max.max(ms(10)) } else { spec.backoff.max };
        let (name, last) = (spec.name.clone(), self.known[id.index()].delay);
        self.known[id.index()].delay = Some((refused, count, delay));
        match last {
            _ if delay > limit => Err(format!("{name} waits {delay:?}, which is beyond its limit")),
            Some((kind, before, longer)) if kind == refused && count == before + 1 && delay < longer => {
                Err(format!("{name} waits {delay:?} after {longer:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The end of an essential service is the end of all.
    pub(super) fn may_give_up(&self, id: InstanceId, failed: bool, sup: &Supervisor) -> Verdict {
        let spec = sup.spec_of(id);
        match failed && spec.essential && !sup.phase().is_ending() && !sup.is_shadow(id) {
            true => Err(format!("{} failed for good, and nothing follows", spec.name)),
            false => Ok(()),
        }
    }
}
