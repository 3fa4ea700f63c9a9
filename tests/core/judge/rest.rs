//! What must be true when nothing is under way: after each turn nobody is forgotten, and at the end nothing is left.

use super::known::Age;
use super::{Judge, Processes, Verdict};
use crate::process::{Manner, Process};
use minisup::core::action::Occasion;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, ServiceId};
use minisup::core::instance::{Failure, State, Want};
use minisup::core::phase::Phase;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;

impl Judge {
    /// When all actions of one input are done: nobody is forgotten.
    pub fn after_turn(&mut self, sup: &Supervisor, now: Moment) -> Verdict {
        self.meet_newcomers(sup);
        self.knows_the_plan(sup)?;
        self.pairs_are_in_order(sup)?;
        if sup.phase() == Phase::Done {
            return Ok(());
        }
        self.leave_time(sup, now)?;
        let launching = (0..self.known.len() as u32)
            .filter(|i| {
                let state = &sup.instance(InstanceId(*i)).state;
                matches!(state, State::Launching { .. } | State::Executing { .. })
            })
            .count();
        for (index, known) in self.known.iter().enumerate() {
            let id = InstanceId(index as u32);
            let (service, instance) = (self.service_of[index], sup.instance(id));
            let spec = sup.spec_of(id);
            let name = &spec.name;
            if instance.pid() != known.pid {
                return Err(format!("{name} is believed to be {:?} but is {:?}", instance.pid(), known.pid));
            }
            if instance.has_process() != known.leader.is_some() {
                return Err(format!("whether {name} has a process is not known rightly"));
            }
            match (&instance.state, instance.want) {
                (State::Waiting { .. }, Want::Down) => return Err(format!("{name} waits for nothing")),
                (State::Waiting { .. }, Want::Up) if launching == 0 => {
                    let all = spec.requires.iter();
                    let waits = all.clone().any(|d| !self.holds(d.service, d.condition, sup))
                        || spec
                            .after
                            .iter()
                            .any(|d| !self.holds(d.service, d.condition, sup) && self.moves(sup, d.service));
                    if !waits {
                        return Err(format!("{name} waits although its turn has come"));
                    }
                    if let Some(dead) = all.clone().find(|d| self.is_given_up(sup, d.service)) {
                        return Err(format!("{name} waits for {:?}, which is given up", dead.service));
                    }
                }
                (State::Stopped, Want::Up) if !sup.phase().is_ending() => {
                    return Err(format!("{name} is stopped although it is wanted"));
                }
                (State::Launching { .. }, _) => return Err(format!("the launch of {name} was not answered")),
                _ => {}
            }
            let lives = instance.pid().is_some() && !instance.is_stopping() && !sup.phase().is_ending();
            match (self.ages[index], instance.want) {
                (Age::Leaving, _) | (Age::Outdated, Want::Up)
                    if lives && !sup.is_rolling(id) && self.needed_by(id, sup).is_none() =>
                {
                    return Err(format!("{name} is old and nobody needs it, yet it stays"));
                }
                (Age::Gone, _) if instance.has_process() => {
                    return Err(format!("{name} is removed and has a process"));
                }
                _ => {}
            }
            let asks = instance.want == Want::Down && instance.pid().is_some() && !instance.is_stopping();
            let is_current = self.ages[index] != Age::Leaving || sup.phase().is_ending();
            if asks && is_current && self.dependent_with_a_process(service, sup.phase().is_ending()).is_none()
            {
                return Err(format!("{name} was not asked to stop although nobody needs it"));
            }
            if instance.deadline(spec).is_some() && sup.deadline().is_none() {
                return Err(format!("{name} has a deadline that nobody heeds at {now:?}"));
            }
        }
        Ok(())
    }

    pub fn at_the_end(&self, sup: &Supervisor, all: &Processes, now: Moment) -> Verdict {
        let immortal = |p: &Process| matches!(p.life.manner, Manner::Sleeps);
        if let Some((pid, process)) = all.iter().find(|(_, p)| !immortal(p)) {
            let what = if process.zombie { "a zombie" } else { "alive" };
            return Err(format!("{pid} is left, {what}, at {now:?}"));
        }
        if let Some(id) = self.asked.difference(&self.answered).next() {
            return Err(format!("{id:?} was never answered"));
        }
        if sup.deadline().is_some() {
            return Err("it is Done and has a deadline".into());
        }
        let unkillable = self.known.iter().any(|known| known.leader.is_some());
        let expected = match &self.occasion {
            Some(Occasion::Essential(_, failure)) => {
                let last = self.last_of_essential;
                match (failure, last) {
                    (Failure::Ended(outcome), Some(last)) if *outcome == last => last.failure_code(),
                    (Failure::Launch(fault), Some(Outcome::Exited(code))) if fault.code == code => code,
                    (Failure::Ended(_) | Failure::Launch(_), last) => {
                        return Err(format!("the drain began by {failure:?}, but the outcome was {last:?}"));
                    }
                    (Failure::BeforeStart(Some(outcome)), Some(last)) if *outcome == last => {
                        last.failure_code()
                    }
                    (Failure::BeforeStart(Some(_)), last) => {
                        return Err(format!("the drain began by {failure:?}, but the outcome was {last:?}"));
                    }
                    (
                        Failure::NotReady { .. }
                        | Failure::Unhealthy { .. }
                        | Failure::BeforeStart(None)
                        | Failure::TooBig { .. }
                        | Failure::Requirement(_),
                        _,
                    ) => 1,
                }
            }
            _ if self.killed || unkillable => 137,
            _ => 0,
        };
        match sup.exit_code() {
            Some(code) if code == expected => Ok(()),
            other => Err(format!("the exit code is {other:?}, not {expected}")),
        }
    }

    /// Whether anything of it is on its way, so that others may wait for it.
    pub(super) fn moves(&self, sup: &Supervisor, service: ServiceId) -> bool {
        sup.instances_of(service).all(|id| {
            let instance = sup.instance(id);
            match instance.state {
                State::Exited { .. } | State::Fatal { .. } => self.has_succeeded(id),
                State::Stopped => instance.want == Want::Up,
                _ => true,
            }
        })
    }

    pub(super) fn is_given_up(&self, sup: &Supervisor, service: ServiceId) -> bool {
        sup.instances_of(service).any(|id| matches!(sup.instance(id).state, State::Fatal { .. }))
    }
}
