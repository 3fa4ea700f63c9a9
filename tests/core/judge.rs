//! The rules, and who watches that they are kept: a second, simpler opinion of what is
//! true of every instance, made only of what the supervisor was told and what it did.
//!
//! A broken rule is an error with a sentence; the simulation shows it with the seed.

mod known;
mod rolls;
mod updates;

use crate::process::{Manner, Process};
use crate::specs::ms;
use known::{Age, Known};
use minisup::core::action::{Action, Change, Occasion, Reply};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::instance::{EXEC_LIMIT, Failure, State, Want};
use minisup::core::phase::Phase;
use minisup::core::plan::{Dependency, Hook, Kind, Plan};
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

type Verdict = Result<(), String>;
type Processes = BTreeMap<Pid, Process>;

pub struct Judge {
    plan: Rc<Plan>,
    /// The plan before the last update.
    before: Rc<Plan>,
    service_of: Vec<ServiceId>,
    ages: Vec<Age>,
    /// Updates that began in this turn. Of several only the last is still to be seen.
    begun: u32,
    /// What is wrong if no other update follows in this turn.
    doubt: Option<String>,
    known: Vec<Known>,
    born: BTreeMap<Pid, Moment>,
    asked: BTreeSet<RequestId>,
    answered: BTreeSet<RequestId>,
    abandoned: BTreeSet<RequestId>,
    drain_began: Option<Moment>,
    /// When the drain has had its time.
    kill_due: Option<Moment>,
    /// What the client who asked last would have it last.
    within: Option<Duration>,
    /// How much time nobody could have used since the drain began.
    lost: Duration,
    occasion: Option<Occasion>,
    /// How the last process ended of the instance whose failure began the drain.
    last_of_essential: Option<Outcome>,
    killed: bool,
    /// How many hooks are not over.
    hooks: u32,
    /// How many stop signals came; the one that began the drain counts as the first.
    stop_signals: u32,
    moment: (Moment, u32),
    /// Services that roll, and that a client has asked to be replaced.
    rolls_asked: BTreeSet<ServiceId>,
}

impl Judge {
    pub fn new(plan: &Rc<Plan>) -> Judge {
        let service_of: Vec<ServiceId> = plan.instances().map(|(_, service)| service).collect();
        Judge {
            plan: plan.clone(),
            before: plan.clone(),
            ages: vec![Age::Current; service_of.len()],
            begun: 0,
            doubt: None,
            known: vec![Known::default(); service_of.len()],
            service_of,
            born: BTreeMap::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            drain_began: None,
            kill_due: None,
            within: None,
            lost: Duration::ZERO,
            occasion: None,
            last_of_essential: None,
            killed: false,
            hooks: 0,
            stop_signals: 0,
            moment: (Moment::default(), 0),
            rolls_asked: BTreeSet::new(),
        }
    }

    pub fn born(&self, pid: Pid) -> Moment {
        self.born.get(&pid).copied().unwrap_or_default()
    }

    pub fn jumped(&mut self, by: Duration) {
        // Whoever comes far too late gives everybody one more second to end.
        self.lost += by + if by > ms(800) { ms(1000) } else { Duration::ZERO };
    }

    fn instances(&self, service: ServiceId) -> impl Iterator<Item = InstanceId> + '_ {
        let all = self.service_of.iter().enumerate();
        all.filter(move |(_, of)| **of == service).map(|(i, _)| InstanceId(i as u32))
    }

    pub fn after_input(&mut self, supervisor: &Supervisor, now: Moment) -> Verdict {
        self.meet_newcomers(supervisor);
        self.moment = if self.moment.0 == now { (now, self.moment.1 + 1) } else { (now, 0) };
        if self.moment.1 > 2_000 {
            return Err("time stands still".into());
        }
        let hurried = matches!(supervisor.phase(), Phase::Draining { hurried: true, .. });
        let over = self.kill_due.is_some_and(|at| at <= now);
        if hurried && !over && self.stop_signals < 2 {
            return Err("the shutdown timeout is not over yet, and nobody is impatient".into());
        }
        let instances = (0..self.known.len() as u32).map(InstanceId);
        let theirs =
            instances.filter_map(|id| supervisor.instance(id).deadline(supervisor.spec_of(id))).min();
        let deadline = supervisor.deadline();
        if deadline.is_some_and(|at| at < now) {
            return Err(format!("the deadline {deadline:?} is over at {now:?}"));
        }
        if supervisor.phase() != Phase::Done
            && theirs.is_some_and(|theirs| deadline.is_none_or(|at| at > theirs.max(now)))
        {
            return Err(format!("an instance wants to be woken at {theirs:?}, not at {deadline:?}"));
        }
        Ok(())
    }

    pub fn judge_action(
        &mut self,
        action: &Action,
        sup: &Supervisor,
        all: &Processes,
        now: Moment,
    ) -> Verdict {
        self.meet_newcomers(sup);
        if self.begun == 0 {
            self.follow_rolls(sup);
        }
        match action {
            Action::Launch { instance } => {
                let known = &mut self.known[instance.index()];
                known.hook = false;
                let has_hook =
                    self.plan.service(self.service_of[instance.index()]).has_hook(Hook::BeforeStart);
                if has_hook && !known.prepared {
                    return Err(format!("{instance:?} is launched although its hook has not succeeded"));
                }
                self.may_launch(*instance, sup, all)
            }
            Action::Prepare { instance } => {
                let known = &mut self.known[instance.index()];
                (known.hook, known.prepared) = (true, false);
                self.may_launch(*instance, sup, all)
            }
            Action::Hook { instance, pid, hook, within, .. } => {
                self.hooks += 1;
                match hook {
                    Hook::BeforeStart => return Err("before_start runs in its service's place".into()),
                    Hook::AfterReady if sup.phase().is_ending() => {
                        return Err(format!("after_ready of {instance:?} although the drain began"));
                    }
                    Hook::BeforeStop => self.known[instance.index()].leave = Some((*pid, now + *within)),
                    Hook::AfterReady | Hook::AfterExit => {}
                }
                Ok(())
            }
            Action::Signal { instance, pid, signal } => {
                if !all.contains_key(pid) {
                    return Err(format!("{signal} is sent to {pid}, which has been reaped"));
                }
                let takes_leave = self.known[instance.index()].leave;
                let takes_leave = takes_leave.is_some_and(|(of, until)| of == *pid && now < until);
                let state = &sup.instance(*instance).state;
                if takes_leave && matches!(state, State::Stopping { next: 1.., .. }) {
                    return Err(format!("{signal} is sent to {pid} before its before_stop hook is done"));
                }
                if matches!(state, State::Executing { .. } | State::Preparing { .. }) {
                    return Err(format!("{signal} is sent to {pid}, which is not the program yet"));
                }
                self.note_kill(*instance, *signal, sup);
                Ok(())
            }
            Action::Resume { pid, .. } => match all.contains_key(pid) {
                true => Ok(()),
                false => Err(format!("{pid} is to go on, and has been reaped")),
            },
            Action::SignalTree { instance, leader, signal } => {
                let known = &self.known[instance.index()];
                if known.leader != Some(*leader) {
                    return Err(format!("{signal} is sent to the tree of {leader}, which is gone"));
                }
                self.note_kill(*instance, *signal, sup);
                Ok(())
            }
            Action::AskReady { instance, pid, .. } => {
                match self.about(*instance, *pid) {
                    Some(known) => known.asked_ready = true,
                    None => {
                        return Err(format!("{instance:?} is asked whether it is ready without a process"));
                    }
                }
                Ok(())
            }
            Action::AskHealth { instance, pid, .. } => {
                match self.about(*instance, *pid) {
                    Some(known) => known.asked_health = true,
                    None => return Err(format!("{instance:?} is asked for its health without a process")),
                }
                Ok(())
            }
            Action::Reload { instance, pid } => match self.about(*instance, *pid) {
                Some(_) if matches!(sup.instance(*instance).state, State::Starting { .. }) => {
                    Err(format!("{instance:?} is to reload before it is ready"))
                }
                Some(known) if known.program => Ok(()),
                Some(_) | None => Err(format!("{instance:?} is to reload without a program")),
            },
            Action::Sweep(Signal::TERM) if self.hooks > 0 => Err("a sweep while a hook runs".into()),
            Action::Sweep(_) => match sup.phase() {
                Phase::Sweeping { .. } | Phase::Draining { hurried: true, .. } => Ok(()),
                other => Err(format!("a sweep while {}", other.name())),
            },
            Action::Reply(id, reply) => self.replied(*id, reply),
            Action::Publish(change) => match self.published(change, sup, now) {
                Err(why) if self.doubt.is_some() => {
                    self.doubt = Some(why);
                    Ok(())
                }
                verdict => verdict,
            },
        }
    }

    fn replied(&mut self, id: RequestId, _: &Reply) -> Verdict {
        if self.abandoned.contains(&id) {
            return Err(format!("{id:?} is answered although nobody is there any more"));
        }
        match (self.asked.contains(&id), self.answered.insert(id)) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("{id:?} is answered but was never asked")),
            (true, false) => Err(format!("{id:?} is answered twice")),
        }
    }

    fn may_launch(&self, id: InstanceId, supervisor: &Supervisor, all: &Processes) -> Verdict {
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

    fn published(&mut self, change: &Change, sup: &Supervisor, now: Moment) -> Verdict {
        match change {
            Change::State { instance, to, failures, .. } => self.changed(*instance, to, *failures, sup, now),
            Change::Phase(Phase::Draining { .. }) => {
                self.drain_began = Some(now);
                self.lost = Duration::ZERO;
                Ok(())
            }
            Change::Phase(Phase::Done) => {
                let began = self.drain_began.ok_or("it is Done without a drain")?;
                let due = self.kill_due.ok_or("it is Done without a limit")?;
                match due + Duration::from_secs(1) + self.lost {
                    limit if now > limit => Err(format!("the drain took {:?}", now - began)),
                    _ => Ok(()),
                }
            }
            Change::Draining(occasion) => {
                if let Some(first) = self.occasion.replace(occasion.clone()) {
                    return Err(format!("a second drain, {occasion:?}, after {first:?}"));
                }
                self.stop_signals = 1;
                let asked = if *occasion == Occasion::Request { self.within } else { None };
                self.kill_due = Some(now + asked.unwrap_or(self.plan.supervisor.shutdown_timeout));
                if let Occasion::Essential(id, _) = occasion {
                    self.last_of_essential = self.known[id.index()].last;
                }
                Ok(())
            }
            Change::Updating(difference) => {
                self.update_began(difference, sup);
                Ok(())
            }
            Change::Removed(id) => match self.ages[id.index()] {
                Age::Gone => Ok(()),
                // A second update of this turn may have brought it back.
                Age::Current if self.begun == 1 => {
                    self.doubt = Some(format!("{id:?} is said to be removed"));
                    Ok(())
                }
                Age::Current | Age::Outdated | Age::Leaving => Err(format!("{id:?} is said to be removed")),
            },
            Change::Phase(_)
            | Change::Waits { .. }
            | Change::TakenOver { .. }
            | Change::Health { .. }
            | Change::Said(_)
            | Change::Skipped(_)
            | Change::Unassigned(_) => Ok(()),
        }
    }

    fn changed(
        &mut self,
        id: InstanceId,
        to: &State,
        failures: u32,
        sup: &Supervisor,
        now: Moment,
    ) -> Verdict {
        match to {
            State::Stopping { failure, .. } => {
                self.known[id.index()].stopping = Some(now);
                match (failure, sup.instance(id).want) {
                    // Its replacement may have begun before everything was to stop.
                    (None, Want::Down) if sup.is_shadow(id) && !sup.phase().is_ending() => {
                        self.may_give_way_to_successor(id, sup)
                    }
                    (None, Want::Down) if self.may_replace(id, sup).is_ok() => Ok(()),
                    (None, Want::Down) => self.may_stop(id, sup),
                    (None, Want::Up) => {
                        self.may_be_replaced_at_once(id, sup)?;
                        self.may_replace(id, sup)
                    }
                    (Some(_), Want::Up | Want::Down) => Ok(()),
                }
            }
            State::Killing { .. } => {
                let began = self.known[id.index()].stopping.replace(now);
                self.may_kill(id, began, sup, now)
            }
            State::Backoff { until, refused: 0, .. } => {
                self.may_delay(id, false, failures, *until - now, sup)
            }
            State::Backoff { until, refused, .. } => self.may_delay(id, true, *refused, *until - now, sup),
            State::Fatal { .. } => self.may_give_up(id, true, sup),
            State::Exited { outcome } => {
                let failed = !sup.spec_of(id).is_success(*outcome);
                self.may_give_up(id, failed, sup)
            }
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Sweeping { .. } => Ok(()),
        }
    }

    fn may_stop(&self, id: InstanceId, sup: &Supervisor) -> Verdict {
        if self.ages[id.index()] == Age::Leaving && !sup.phase().is_ending() {
            return self.may_give_way(id, sup);
        }
        let service = self.service_of[id.index()];
        match self.dependent_with_a_process(service, sup.phase().is_ending()) {
            Some(dependent) => {
                let (name, dependent) = (&sup.spec_of(id).name, &self.plan.service(dependent).name);
                Err(format!("{name} is asked to stop, but {dependent} has a process"))
            }
            None => Ok(()),
        }
    }

    /// Before KILL comes the whole grace period, unless there is no more grace for anybody.
    fn may_kill(&self, id: InstanceId, began: Option<Moment>, sup: &Supervisor, now: Moment) -> Verdict {
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
            // In a drain it leaves time to those behind it.
            grace = sup.may_take(id, began);
        }
        match began.map(|began| now - began) {
            Some(had) if had >= grace => Ok(()),
            had => Err(format!("{name} is killed after {had:?} of {grace:?}")),
        }
    }

    /// A delay keeps to its limit, and does not shrink from failure to failure.
    fn may_delay(
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
    fn may_give_up(&self, id: InstanceId, failed: bool, sup: &Supervisor) -> Verdict {
        let spec = sup.spec_of(id);
        match failed && spec.essential && !sup.phase().is_ending() && !sup.is_shadow(id) {
            true => Err(format!("{} failed for good, and nothing follows", spec.name)),
            false => Ok(()),
        }
    }

    /// When all actions of one input are done: nobody is forgotten.
    pub fn after_turn(&mut self, sup: &Supervisor, now: Moment) -> Verdict {
        self.meet_newcomers(sup);
        self.pairs_are_in_order(sup)?;
        if sup.phase() == Phase::Done {
            return Ok(());
        }
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
                    let waits = all.clone().any(|d| !sup.holds(d.service, d.condition))
                        || spec
                            .after
                            .iter()
                            .any(|d| !sup.holds(d.service, d.condition) && self.moves(sup, d.service));
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

    /// Whether anything of it is on its way, so that others may wait for it.
    fn moves(&self, sup: &Supervisor, service: ServiceId) -> bool {
        sup.instances_of(service).all(|id| {
            let instance = sup.instance(id);
            match instance.state {
                State::Exited { .. } | State::Fatal { .. } => {
                    self.known[id.index()].succeeded && self.plan.service(service).kind == Kind::Oneshot
                }
                State::Stopped => instance.want == Want::Up,
                _ => true,
            }
        })
    }

    fn is_given_up(&self, sup: &Supervisor, service: ServiceId) -> bool {
        sup.instances_of(service).any(|id| matches!(sup.instance(id).state, State::Fatal { .. }))
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
}
