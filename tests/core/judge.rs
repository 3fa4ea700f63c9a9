//! The rules, and who watches that they are kept: a second, simpler opinion of what is
//! true of every instance, made only of what the supervisor was told and what it did.
//!
//! A broken rule is an error with a sentence; the simulation shows it with the seed.

mod known;
mod may;
mod rest;
mod rolls;
mod sharing;
mod updates;

use crate::process::Process;
use crate::specs::ms;
use known::{Age, Known};
use minisup::core::action::{Action, Change, Occasion, Reply};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::instance::State;
use minisup::core::phase::Phase;
use minisup::core::plan::{Hook, Plan};
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

type Verdict = Result<(), String>;
type Processes = BTreeMap<Pid, Process>;

pub struct Judge {
    /// The plan in force when what is judged was decided, and which services it has.
    plan: Rc<Plan>,
    order: Box<[ServiceId]>,
    /// The plan before the last update.
    before: Rc<Plan>,
    /// Plans that wait until it is their turn.
    waiting: VecDeque<Rc<Plan>>,
    /// Updates that have begun, but what is to be judged next was decided before.
    to_come: usize,
    service_of: Vec<ServiceId>,
    ages: Vec<Age>,
    known: Vec<Known>,
    born: BTreeMap<Pid, Moment>,
    asked: BTreeSet<RequestId>,
    answered: BTreeSet<RequestId>,
    abandoned: BTreeSet<RequestId>,
    /// The drain had begun when what is judged was decided.
    drain_began: Option<Moment>,
    /// When the drain has had its time.
    kill_due: Option<Moment>,
    /// Of the drain: how many stop after each service, and since when its time is what it is.
    behind: Vec<u32>,
    shared: Moment,
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
    /// Instances whose hand-over an update has begun, and left to the next one.
    put_off: BTreeSet<InstanceId>,
}

impl Judge {
    pub fn new(plan: &Rc<Plan>) -> Judge {
        let service_of: Vec<ServiceId> = plan.instances().map(|(_, service)| service).collect();
        Judge {
            plan: plan.clone(),
            order: (0..plan.services.len() as u32).map(ServiceId).collect(),
            before: plan.clone(),
            waiting: VecDeque::new(),
            to_come: 0,
            ages: vec![Age::Current; service_of.len()],
            known: service_of
                .iter()
                .map(|service| Known::nothing(plan.service(*service).first_want()))
                .collect(),
            service_of,
            born: BTreeMap::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            drain_began: None,
            kill_due: None,
            behind: Vec::new(),
            shared: Moment::default(),
            within: None,
            lost: Duration::ZERO,
            occasion: None,
            last_of_essential: None,
            killed: false,
            hooks: 0,
            stop_signals: 0,
            moment: (Moment::default(), 0),
            rolls_asked: BTreeSet::new(),
            put_off: BTreeSet::new(),
        }
    }

    pub fn born(&self, pid: Pid) -> Moment {
        self.born.get(&pid).copied().unwrap_or_default()
    }

    pub fn jumped(&mut self, by: Duration) {
        // Whoever comes far too late gives everybody one more second to end.
        self.lost += by + if by > ms(800) { ms(1000) } else { Duration::ZERO };
    }

    /// Nothing is under way: whatever is judged from now on follows from what is told now.
    pub fn turn_begins(&mut self, sup: &Supervisor) {
        for (index, known) in self.known.iter_mut().enumerate() {
            known.wanted = sup.instance(InstanceId(index as u32)).want;
        }
    }

    fn is_ending(&self) -> bool {
        self.drain_began.is_some()
    }

    fn instances(&self, service: ServiceId) -> impl Iterator<Item = InstanceId> + '_ {
        let all = self.service_of.iter().enumerate();
        all.filter(move |(_, of)| **of == service).map(|(i, _)| InstanceId(i as u32))
    }

    pub fn after_input(&mut self, supervisor: &Supervisor, now: Moment) -> Verdict {
        self.meet_newcomers(supervisor);
        self.look_for_updates(supervisor);
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
        if self.to_come == 0 {
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
            Action::Publish(change) => self.published(change, sup, now),
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

    fn published(&mut self, change: &Change, sup: &Supervisor, now: Moment) -> Verdict {
        match change {
            Change::State { instance, to, failures, .. } => {
                let known = &mut self.known[instance.index()];
                known.rests_with = match to {
                    State::Exited { outcome } => known.by_itself.filter(|it| it == outcome),
                    _ => None,
                };
                self.changed(*instance, to, *failures, sup, now)
            }
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
                (self.behind, self.shared) = (self.line_up(), now);
                if let Occasion::Essential(id, _) = occasion {
                    self.last_of_essential = self.known[id.index()].last;
                }
                Ok(())
            }
            Change::Updating(difference) => self.update_began(difference, sup),
            Change::Removed(id) => match self.ages[id.index()] {
                Age::Gone => Ok(()),
                age => Err(format!("{id:?} is said to be removed, and is {age:?}")),
            },
            Change::Health { instance, healthy } => {
                let known = &mut self.known[instance.index()];
                // That it has been silent for too long is said by nobody else.
                known.healthy &= healthy;
                match known.healthy == *healthy {
                    true => Ok(()),
                    false => Err(format!("{instance:?} is said to be healthy, and has not been")),
                }
            }
            Change::Phase(_)
            | Change::Waits { .. }
            | Change::TakenOver { .. }
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
                match failure {
                    Some(_) => Ok(()),
                    None => self.may_be_asked_to_end(id, sup),
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
}
