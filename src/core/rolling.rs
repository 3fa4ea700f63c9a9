//! Rolling: a new process is ready before the old one is asked to end.
//!
//! # The model
//!
//! An instance that is replaced so has for that time two slots: its *member*, whom everybody
//! means by the instance, and its *successor*, whom nobody means yet. The successor is launched by
//! the plan in force, with one try. Both may serve the same held sockets.
//!
//! ```text
//!    member      successor                      what comes next
//!    Running     on its way                     ┬ it is ready ──────────► hand over
//!                                               ├ it fails ─────────────► the member goes on; the roll has failed
//!                                               ├ the member ends ──────► hand over, ready or not: it is the relaunch
//!                                               └ a stop, or all stops ─► the successor ends, too; the roll has failed
//! ```
//!
//! To *hand over* is to exchange the two: the successor is the member from now on, and lives by the
//! usual rules. The other one becomes the *predecessor*: it is asked to end, by its own stop
//! sequence, and nobody holds it, for whoever requires the service has the new one. When it has
//! ended its slot is a *spare*, the successor of next time. So an instance never has more than two
//! slots, and never a third process: as long as a predecessor has not ended no successor is launched.
//!
//! **A roll** takes the instances of one service one after the other: the next one begins when the
//! predecessor before it has ended. An instance that does not run has nothing to lose: it is
//! replaced as ever, at once; if others have to go first, and it has got ready by then, by a roll of its
//! own. The first hand-over that fails ends the roll. A service has one roll at a time;
//! whoever asks for another meanwhile waits for the one after it, which all who wait share.
//!
//! **Heirs.** A process that ends and leaves an heir (`service`) leaves it in its own slot, whichever of the
//! two that is. So the heir of a member is who is replaced, and the heir of a predecessor is asked to end as
//! its process was: there is never a third one.
//!
//! **Updates.** An update waits until no roll is under way, but not for one that may never be over: whose
//! successor waits for a service that it requires, or has become the member early and is not up. It may be
//! this update that mends it. Such a roll comes to nothing, and what it was to replace is replaced by the
//! update that waited. Of the services that it replaces, those
//! that roll do so: old and new stand side by side, so nobody has to go before another. If the new
//! process does not get ready the old one goes on, by the plan by which it was launched, which its
//! slot *keeps*; when it ends by itself, it is launched anew by the plan in force.

use super::action::Refusal;
use super::goals::Goal;
use super::ids::{InstanceId, ServiceId};
use super::instance::{Event, Failure, State, Want};
use super::plan::ServiceSpec;
use super::slot::{Role, Slot};
use super::supervisor::Supervisor;
use super::time::Moment;
use super::update::Age;
use std::collections::VecDeque;

/// All rolls that are not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Rolls {
    /// Of several for one service only the first is under way.
    list: Vec<Roll>,
    last: u32,
    /// Something has become of an instance that has two slots, or a roll has been asked for.
    pub(super) stirred: bool,
}

/// Names a roll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RollId(u32);

/// The replacement of all instances of a service.
#[derive(Clone, Debug)]
struct Roll {
    id: RollId,
    service: ServiceId,
    /// Whose turn is still to come; nothing before the roll has begun.
    to_come: Option<VecDeque<InstanceId>>,
    pair: Option<Pair>,
}

/// Two slots of one instance.
#[derive(Clone, Copy, Debug)]
struct Pair {
    old: InstanceId,
    new: InstanceId,
}

/// How far a pair is.
enum Step {
    /// Nothing to be done now.
    Open,
    /// The successor is ready.
    Ready,
    /// The predecessor has ended, and the new member runs.
    Over,
    /// It will come to nothing.
    Failed(String),
}

impl Rolls {
    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Everything stops.
    pub(super) fn forget_all(&mut self) {
        self.list.clear();
    }
}

impl Supervisor {
    /// Whether an asked replacement of this service rolls: some instance of it has something to lose.
    pub(super) fn rolls_now(&self, service: ServiceId) -> bool {
        let runs = |id| matches!(self.instance(id).state, State::Running { .. });
        self.plan.service(service).rolling && self.graph.instances(service).any(runs)
    }

    /// Whether a reload of this service means a roll: it knows no other, and what it listens at, if at
    /// anything, is held.
    pub fn reloads_by_roll(&self, service: ServiceId) -> bool {
        let spec = self.plan.service(service);
        let runs = |id| self.is_program(id) && !self.instance(id).is_stopping();
        let may = spec.reload.is_none() && (spec.rolling || spec.sockets.is_some());
        may && self.graph.instances(service).any(runs)
    }

    /// It runs and is to go on.
    pub(super) fn can_roll(&self, id: InstanceId) -> bool {
        let it = self.instance(id);
        it.want == Want::Up && matches!(it.state, State::Running { .. })
    }

    /// All instances of the service are replaced, in their turn.
    pub(super) fn roll(&mut self, service: ServiceId) -> RollId {
        self.rolls.stirred = true;
        let waits = |roll: &&Roll| roll.service == service && roll.to_come.is_none();
        if let Some(roll) = self.rolls.list.iter().find(waits) {
            return roll.id;
        }
        self.rolls.last = self.rolls.last.wrapping_add(1);
        let id = RollId(self.rolls.last);
        self.rolls.list.push(Roll { id, service, to_come: None, pair: None });
        id
    }

    /// This instance alone is replaced, in its turn. Whoever waits for it to be up waits for that, too.
    pub(super) fn roll_one(&mut self, id: InstanceId) {
        self.rolls.last = self.rolls.last.wrapping_add(1);
        let (roll, service) = (RollId(self.rolls.last), self.slot(id).service);
        self.rolls.list.push(Roll { id: roll, service, to_come: Some([id].into()), pair: None });
        self.slots[id.index()].rolls = true;
        (self.rolls.stirred, self.updates.stirred) = (true, true);
        self.await_too(id, Goal::Rolled(roll));
    }

    /// The roll of this service, if there is one, comes to nothing: something else is wanted of it.
    pub(super) fn call_off(&mut self, service: ServiceId, now: Moment) {
        let name = self.plan.service(service).name.clone();
        while let Some(index) = self.rolls.list.iter().position(|roll| roll.service == service) {
            let roll = self.rolls.list.remove(index);
            if let Some(Pair { new, .. }) =
                roll.pair.filter(|pair| self.slot(pair.new).role == Role::Successor)
            {
                self.give_way(new, now);
            }
            self.end_roll(&roll, Err((format!("{name} is to be stopped"), None)));
        }
    }

    /// An update waits for its turn: rolls that may never be over are put off until then.
    pub(super) fn put_off_rolls(&mut self, now: Moment) {
        while let Some(index) = self.rolls.list.iter().position(|roll| self.may_never_be_over(roll)) {
            let roll = self.rolls.list.remove(index);
            let members: Vec<InstanceId> = self.graph.instances(roll.service).collect();
            for id in members {
                let slot = &mut self.slots[id.index()];
                slot.put_off |= slot.age == Age::Outdated;
            }
            let successor =
                roll.pair.map(|pair| pair.new).filter(|new| self.slot(*new).role == Role::Successor);
            if let Some(new) = successor {
                self.give_way(new, now);
            }
            let name = &self.plan.service(roll.service).name;
            let why = format!("{name} was not replaced: another update has come, which does");
            self.end_roll(&roll, Err((why, None)));
        }
    }

    fn may_never_be_over(&self, roll: &Roll) -> bool {
        let Some(Pair { old, new }) = roll.pair else { return false };
        let state = &self.instance(new).state;
        match self.slot(new).role {
            Role::Successor => matches!(state, State::Waiting { .. }),
            Role::Member => !self.instance(old).has_process() && !matches!(state, State::Running { .. }),
            Role::Predecessor | Role::Spare => false,
        }
    }

    /// The slot beside this one, if that has a process: of a pair the one that nobody means.
    pub(super) fn shadow_of(&self, id: InstanceId) -> Option<InstanceId> {
        self.slot(id).partner.filter(|other| self.instance(*other).has_process())
    }

    /// The other slot of this instance, if it has ever had one: what its processes wrote before.
    pub fn partner_of(&self, id: InstanceId) -> Option<InstanceId> {
        self.slot(id).partner
    }

    /// Slots that nobody means and that have a process.
    pub(super) fn shadows(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.all().filter(|id| {
            let slot = self.slot(*id);
            matches!(slot.role, Role::Successor | Role::Predecessor) && slot.instance.has_process()
        })
    }

    /// Whether nobody means this slot: it is a successor, a predecessor or a spare.
    pub fn is_shadow(&self, id: InstanceId) -> bool {
        self.slot(id).role != Role::Member
    }

    /// What tells the slot from the one that is meant: it is "new", or "old"; nothing if it is that.
    pub fn told_apart(&self, id: InstanceId) -> Option<&'static str> {
        let slot = self.slot(id);
        let has_failed = matches!(slot.instance.state, State::Fatal { .. } | State::Exited { .. });
        match slot.role {
            Role::Member => None,
            Role::Successor => Some("new"),
            Role::Predecessor | Role::Spare if has_failed => Some("new"),
            Role::Predecessor | Role::Spare => Some("old"),
        }
    }

    /// Whether the instance's process is to be handed over to a successor, now or soon.
    pub fn is_rolling(&self, id: InstanceId) -> bool {
        self.slot(id).rolls
    }

    /// The next step of each roll that is under way.
    pub(super) fn go_on_rolling(&mut self, now: Moment) {
        while std::mem::take(&mut self.rolls.stirred) && !self.phase.is_ending() {
            let ids: Vec<RollId> = self.rolls.list.iter().map(|roll| roll.id).collect();
            let mut busy: Vec<ServiceId> = Vec::new();
            for id in ids {
                let Some(index) = self.rolls.list.iter().position(|roll| roll.id == id) else { continue };
                let service = self.rolls.list[index].service;
                if !busy.contains(&service) {
                    busy.push(service);
                    self.go_on_with(index, now);
                }
            }
        }
    }

    fn go_on_with(&mut self, index: usize, now: Moment) {
        let service = self.rolls.list[index].service;
        if self.rolls.list[index].to_come.is_none() {
            let all: VecDeque<InstanceId> = self.graph.instances(service).collect();
            all.iter().for_each(|id| self.slots[id.index()].rolls = self.can_roll(*id));
            self.rolls.list[index].to_come = Some(all);
        }
        if let Some(pair) = self.rolls.list[index].pair {
            match self.look_at_pair(pair) {
                Step::Open => return,
                Step::Ready => return self.hand_over(pair.old, pair.new, Some(now)),
                Step::Over => self.rolls.list[index].pair = None,
                Step::Failed(why) => {
                    let roll = self.rolls.list.remove(index);
                    if self.slot(pair.new).role == Role::Successor {
                        self.give_way(pair.new, now);
                    }
                    return self.end_roll(&roll, Err((why, Some(pair.new))));
                }
            }
        }
        let next = self.rolls.list[index].to_come.as_mut().and_then(VecDeque::pop_front);
        let Some(old) = next else {
            let roll = self.rolls.list.remove(index);
            self.rolls.stirred = true;
            return self.end_roll(&roll, Ok(()));
        };
        if !self.can_roll(old) || !self.is_rolling(old) {
            self.rolls.stirred = true;
            // It may have a new process already, be it that the old one ended by itself.
            if std::mem::take(&mut self.slots[old.index()].rolls) {
                self.replace_at_once(old, now);
            }
            return;
        }
        if self.shadow_of(old).is_some() {
            // Its predecessor of last time has not ended.
            return self.rolls.list[index].to_come.iter_mut().for_each(|all| all.push_front(old));
        }
        let new = self.successor_of(old);
        self.rolls.list[index].pair = Some(Pair { old, new });
        self.apply(new, Event::Start, now);
    }

    /// It does not run: there is nothing to be kept.
    fn replace_at_once(&mut self, id: InstanceId, now: Moment) {
        if self.slot(id).age == Age::Outdated {
            return self.replace_if_free(id, now);
        }
        self.set_want(id, Want::Up, false);
        self.apply(id, Event::Replace, now);
    }

    /// A slot for the successor of this instance: the spare one, or a new one.
    fn successor_of(&mut self, old: InstanceId) -> InstanceId {
        let new = self.slot(old).partner.unwrap_or(InstanceId(self.slots.len() as u32));
        let before = self.slot(old);
        let mut slot = Slot::new(before.service, before.number, Want::Down);
        slot.instance.launches = before.instance.launches;
        slot.instance.last = before.instance.last;
        (slot.role, slot.partner) = (Role::Successor, Some(old));
        match self.slots.get_mut(new.index()) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.slots[old.index()].partner = Some(new);
        self.set_want(new, Want::Up, false);
        new
    }

    /// Nobody means it any more: it ends, and its slot is a spare then.
    fn give_way(&mut self, id: InstanceId, now: Moment) {
        self.slots[id.index()].role = Role::Predecessor;
        self.set_want(id, Want::Down, false);
        if matches!(self.instance(id).state, State::Launching { .. }) {
            // The order has not been carried out yet, and will not be.
            self.actions.retain(|action| !action.launches(id));
            self.apply(id, Event::Refused, now);
        } else {
            self.apply(id, Event::Stop, now);
        }
        self.slots[id.index()].becomes_spare();
    }

    /// From now on everybody means the new one. The old one is asked to end, at this moment; if it
    /// has just ended by itself, there is none.
    pub(super) fn hand_over(&mut self, old: InstanceId, new: InstanceId, stop_at: Option<Moment>) {
        self.graph.exchange(self.slot(old).service, old, new);
        let settled = std::mem::replace(&mut self.slots[old.index()].settled, true);
        let (before, after) = (&mut self.slots[old.index()], Role::Member);
        before.role = Role::Predecessor;
        before.rolls = false;
        if before.age == Age::Outdated {
            before.age = Age::Leaving;
        }
        self.slots[new.index()].role = after;
        self.slots[new.index()].settled = settled;
        self.move_goals(old, new);
        self.updates.stirred = true;
        self.rolls.stirred = true;
        if matches!(self.instance(new).state, State::Running { .. }) && !settled {
            self.slots[new.index()].settled = true;
            self.unsettled = self.unsettled.saturating_sub(1);
        }
        self.set_want(old, Want::Down, false);
        self.changed.push(new);
        if let Some(now) = stop_at {
            self.apply(old, Event::Stop, now);
        }
        self.unblock(new);
    }

    /// The member ends by itself while its successor is on its way: that is its relaunch.
    pub(super) fn succeeds_early(&mut self, old: InstanceId) {
        let Some(new) = self.slot(old).partner else { return };
        let is_coming = self.slot(old).role == Role::Member && self.slot(new).role == Role::Successor;
        if is_coming && !self.phase.is_ending() {
            self.hand_over(old, new, None);
        }
    }

    fn look_at_pair(&self, Pair { old, new }: Pair) -> Step {
        let (role, it) = (self.slot(new).role, self.instance(new));
        let name = &self.plan.service(self.slot(new).service).name;
        match &it.state {
            State::Fatal { cause } => Step::Failed(format!("{name} was not replaced: {}", self.words(cause))),
            State::Exited { outcome } => {
                Step::Failed(format!("{name} was not replaced: its new process ended ({outcome})"))
            }
            State::Stopped => Step::Failed(format!("{name} was not replaced: its new process was stopped")),
            State::Running { .. } if role == Role::Successor => Step::Ready,
            State::Running { .. } if !self.instance(old).has_process() => Step::Over,
            State::Running { .. }
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. } => Step::Open,
        }
    }

    /// The roll is over, well or not. Whoever asked for it gets to know, and those whose turn did not
    /// come go on as they are.
    fn end_roll(&mut self, roll: &Roll, result: Result<(), (String, Option<InstanceId>)>) {
        self.rolls.stirred = true;
        let members: Vec<InstanceId> = self.graph.instances(roll.service).collect();
        for id in members {
            let before = self.updates.before();
            let slot = &mut self.slots[id.index()];
            slot.rolls = false;
            if slot.age == Age::Outdated && result.is_err() {
                slot.age = Age::Kept;
                slot.kept = slot.kept.take().or(before);
                self.updates.stirred = true;
                self.unblock(id);
            }
        }
        let refusal = result.err().map(|(text, instance)| Refusal { text, instance });
        self.rolled(roll.id, refusal);
    }

    fn words(&self, failure: &Failure) -> String {
        match failure {
            Failure::Ended(outcome) => format!("its new process ended before it was ready ({outcome})"),
            Failure::NotReady { waited, last } => {
                let last = last.as_ref().map(|last| format!(" (last got: {last})")).unwrap_or_default();
                format!("its new process was not ready after {:.1} s{last}", waited.as_secs_f64())
            }
            Failure::Unhealthy { last } => format!("its new process was not healthy ({last})"),
            Failure::Launch(fault) => fault.text.to_string(),
            Failure::BeforeStart(Some(outcome)) => format!("its before_start hook failed ({outcome})"),
            Failure::BeforeStart(None) => "its before_start hook took too long".into(),
            Failure::TooBig { .. } => "its new process uses too much memory".into(),
            Failure::Requirement(service) => {
                format!("{}, which it requires, will not be there", self.plan.service(*service).name)
            }
        }
    }

    /// Marks the roll as done for whoever waits for it, or says why it was not.
    fn rolled(&mut self, id: RollId, refusal: Option<Refusal>) {
        let goal = Goal::Rolled(id);
        let mut failed = Vec::new();
        let mut kept = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            match (pending.meets(goal), &refusal) {
                (true, Some(refusal)) => failed.push((pending, refusal.clone())),
                (true, None) | (false, _) => kept.push(pending),
            }
        }
        self.pending = kept;
        for (pending, refusal) in failed {
            self.fail(pending, refusal);
        }
    }
}

impl ServiceSpec {
    /// The same, with one try.
    pub(super) fn with_one_try(&self) -> ServiceSpec {
        ServiceSpec { max_failures: Some(1), ..self.clone() }
    }
}
