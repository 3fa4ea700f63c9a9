//! When a client is answered.
//!
//! A request that asks for a change is answered when the change is true, or when it is
//! clear that it will not be. Every request gets exactly one reply, at the latest when the
//! supervisor is Done, unless whoever asked has gone: then it gets none.
//!
//! What a request waits for is a list of goals, each about one instance. They are looked at
//! again when that instance has changed, so that an input costs what it concerns.

use super::action::{Refusal, Reply};
use super::ids::{InstanceId, Pid, RequestId};
use super::instance::{Instance, State, Want};
use super::phase::Phase;
use super::plan::{Condition, Kind, ServiceSpec};
use super::rolling::RollId;
use super::supervisor::Supervisor;
use super::update::Age;
use crate::core::sorted;
use std::rc::Rc;

/// What is to become true of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// It is ready, or done. A process that is to be replaced is neither any more.
    Up,
    /// It has no process, and is to have none.
    Down,
    /// This holds, by itself: nobody was asked for anything.
    Holds(Condition),
    /// It has no process, whatever comes then.
    Gone,
    /// This process has read its configuration again.
    Reloaded(Pid),
    /// This roll has come to its end.
    Rolled(RollId),
}

/// A request that has not been answered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Nobody's, if whoever asked has gone.
    id: Option<RequestId>,
    /// What it waits for, in order of the instances; and whether that is true.
    goals: Box<[(InstanceId, Goal, bool)]>,
    /// How many are not true.
    missing: usize,
}

enum Progress {
    Open,
    Met,
    Failed(Refusal),
}

impl Supervisor {
    /// The request is answered when all of this is true.
    pub(super) fn await_goals(&mut self, id: impl Into<Option<RequestId>>, goals: Vec<(InstanceId, Goal)>) {
        let mut goals: Box<[_]> = goals.into_iter().map(|(id, goal)| (id, goal, false)).collect();
        sorted::sort_by_key(&mut goals, |(id, ..)| *id);
        let missing = goals.len();
        self.changed.extend(goals.iter().map(|(id, ..)| *id));
        self.pending.push(Pending { id: id.into(), goals, missing });
    }

    /// Whoever waits for the instance to be up waits for this, too.
    pub(super) fn await_too(&mut self, id: InstanceId, goal: Goal) {
        let is_up = |(of, goal, _): &(InstanceId, Goal, bool)| *of == id && *goal == Goal::Up;
        for pending in self.pending.iter_mut().filter(|pending| pending.goals.iter().any(is_up)) {
            let mut goals = std::mem::take(&mut pending.goals).into_vec();
            goals.push((id, goal, false));
            sorted::sort_by_key(&mut goals, |(id, ..)| *id);
            (pending.goals, pending.missing) = (goals.into(), pending.missing + 1);
        }
    }

    /// Whoever asked has gone. A reload that is under way still has an answer to come, which
    /// must not be taken for another one's.
    pub(super) fn abandoned(&mut self, id: RequestId) {
        self.updates.abandoned(id);
        let reloads = |pending: &Pending| pending.goals.iter().any(|(_, goal, _)| goal.is_reload());
        self.pending.retain_mut(|pending| {
            let is_it = pending.id == Some(id);
            if is_it {
                pending.id = None;
            }
            !is_it || reloads(pending)
        });
    }

    /// The oldest reload of this process that has no answer yet has it now.
    pub(super) fn reloaded(&mut self, instance: InstanceId, pid: Pid, answer: Result<(), Rc<str>>) {
        let wanted = (instance, Goal::Reloaded(pid), false);
        let open = self.pending.iter().position(|pending| pending.goals.contains(&wanted));
        let Some(index) = open else { return };
        match answer {
            Ok(()) => {
                let pending = &mut self.pending[index];
                for goal in pending.goals.iter_mut().filter(|goal| **goal == wanted) {
                    goal.2 = true;
                    pending.missing -= 1;
                }
            }
            Err(why) => {
                let mut pending = self.pending.remove(index);
                let text = format!("{} was not reloaded: {why}", self.spec_of(instance).name);
                pending.meets(wanted.1);
                self.fail(pending, Refusal { text, instance: Some(instance) });
            }
        }
    }

    /// Answers every request whose time has come.
    pub(super) fn answer_pending(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for mut pending in std::mem::take(&mut self.pending) {
            match self.progress(&mut pending, &changed) {
                Progress::Open => self.pending.push(pending),
                Progress::Met => self.answer(pending.id, Reply::Done),
                Progress::Failed(refusal) => self.answer(pending.id, Reply::Failed(refusal)),
            }
        }
        self.changed = changed;
        self.changed.clear();
    }

    /// Who was meant by an instance is another one now.
    pub(super) fn move_goals(&mut self, old: InstanceId, new: InstanceId) {
        for pending in &mut self.pending {
            let moves = |(id, goal, _): &&mut (InstanceId, Goal, bool)| *id == old && !goal.is_reload();
            pending.goals.iter_mut().filter(moves).for_each(|(id, ..)| *id = new);
            sorted::sort_by_key(&mut pending.goals, |(id, ..)| *id);
        }
    }

    /// It has failed; but those of its reloads that are under way still have answers to come.
    pub(super) fn fail(&mut self, pending: Pending, refusal: Refusal) {
        self.answer(pending.id, Reply::Failed(refusal));
        let open = pending.goals.iter().filter(|(_, goal, is_met)| goal.is_reload() && !is_met);
        let goals: Box<[_]> = open.copied().collect();
        if !goals.is_empty() {
            self.pending.push(Pending { id: None, missing: goals.len(), goals });
        }
    }

    pub(super) fn answer(&mut self, id: Option<RequestId>, reply: Reply) {
        if let Some(id) = id {
            self.reply(id, reply);
        }
    }

    fn progress(&self, pending: &mut Pending, changed: &[InstanceId]) -> Progress {
        for id in changed {
            let first = pending.goals.partition_point(|(of, ..)| of < id);
            for (_, goal, was_met) in pending.goals[first..].iter_mut().take_while(|(of, ..)| of == id) {
                let met = match self.progress_of(*id, *goal, *was_met) {
                    Ok(met) => met,
                    Err(text) => return Progress::Failed(Refusal { text, instance: Some(*id) }),
                };
                pending.missing += usize::from(*was_met);
                pending.missing -= usize::from(met);
                *was_met = met;
            }
        }
        let ending = self.phase.is_ending();
        match pending.missing {
            _ if ending && pending.goals.iter().any(|(_, goal, _)| *goal == Goal::Up) => {
                Progress::failed("shutting down")
            }
            0 => Progress::Met,
            _ if self.phase == Phase::Done => Progress::failed("a process would not end"),
            _ => Progress::Open,
        }
    }

    /// Whether it is true, or why it will not be.
    fn progress_of(&self, id: InstanceId, goal: Goal, was_met: bool) -> Result<bool, String> {
        let (spec, it, age) = (self.spec_of(id), self.instance(id), self.slot(id).age);
        match goal {
            Goal::Up | Goal::Holds(_) if age == Age::Leaving || age == Age::Gone => {
                Err(format!("{} is removed", spec.name))
            }
            // What is there gives way to what is meant.
            Goal::Up if age == Age::Outdated && it.want == Want::Up => Ok(false),
            Goal::Up => is_up(spec, it),
            Goal::Down if it.want == Want::Up && !self.phase.is_ending() => {
                Err(format!("{} is to be up again", spec.name))
            }
            Goal::Down | Goal::Gone => Ok(!it.has_process()),
            Goal::Holds(condition) => match self.instance_holds(id, condition) {
                true => Ok(true),
                false => self.may_come(id, condition).map(|()| false),
            },
            Goal::Rolled(_) => Ok(was_met),
            Goal::Reloaded(pid) if it.pid() == Some(pid) => Ok(was_met),
            Goal::Reloaded(_) if was_met => Ok(true),
            Goal::Reloaded(_) => Err(format!("{} ended during its reload{}", spec.name, ended(it))),
        }
    }

    /// Whether the condition may become true of the instance by itself, or why not.
    fn may_come(&self, id: InstanceId, condition: Condition) -> Result<(), String> {
        let (spec, it) = (self.spec_of(id), self.instance(id));
        if condition == Condition::Done && spec.kind == Kind::Longrun {
            return Err(format!("{} is a longrun: it is never done", spec.name));
        }
        match &it.state {
            State::Exited { .. } | State::Fatal { .. } => Err(format!("{} {}", spec.name, rests(it))),
            _ if self.phase.is_ending() => Err("shutting down".into()),
            State::Stopped if it.want == Want::Down => Err(format!("{} {}", spec.name, rests(it))),
            _ if it.want == Want::Down => Err(format!("{} is to be stopped", spec.name)),
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. } => Ok(()),
        }
    }
}

impl Pending {
    /// This goal is met from now on, if it is one of these.
    pub(super) fn meets(&mut self, met: Goal) -> bool {
        let mut is_one = false;
        for (_, goal, was_met) in self.goals.iter_mut().filter(|(_, goal, _)| *goal == met) {
            debug_assert_eq!(*goal, met);
            self.missing -= usize::from(!*was_met);
            *was_met = true;
            is_one = true;
        }
        is_one
    }
}

impl Goal {
    fn is_reload(self) -> bool {
        match self {
            Goal::Reloaded(_) => true,
            Goal::Up | Goal::Down | Goal::Holds(_) | Goal::Gone | Goal::Rolled(_) => false,
        }
    }
}

impl Progress {
    fn failed(text: &str) -> Progress {
        Progress::Failed(Refusal { text: text.into(), instance: None })
    }
}

fn is_up(spec: &ServiceSpec, it: &Instance) -> Result<bool, String> {
    match &it.state {
        State::Running { .. } => Ok(spec.kind == Kind::Longrun),
        State::Exited { outcome } if spec.is_success(*outcome) => Ok(true),
        State::Exited { .. } | State::Fatal { .. } | State::Stopped => {
            Err(format!("{} {}", spec.name, rests(it)))
        }
        State::Waiting { .. }
        | State::Launching { .. }
        | State::Executing { .. }
        | State::Preparing { .. }
        | State::Starting { .. }
        | State::Stopping { .. }
        | State::Killing { .. }
        | State::Sweeping { .. }
        | State::Backoff { .. } => Ok(false),
    }
}

/// In which state it rests, and how its last process ended: "is fatal (exit code 3)".
fn rests(it: &Instance) -> String {
    format!("is {}{}", it.state.name(), ended(it))
}

fn ended(it: &Instance) -> String {
    it.last.map(|outcome| format!(" ({outcome})")).unwrap_or_default()
}
