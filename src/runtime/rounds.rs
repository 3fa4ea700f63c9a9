//! What PID 1 looks after by itself: the clock of schedules, files that are watched, memory that is
//! limited. Whoever uses none of these costs no wake-up.

use super::memory::Memory;
use super::schedules::Schedules;
use super::turn::Turn;
use super::watches::Watches;
use crate::core::plan::Plan;
use std::rc::{Rc, Weak};

/// All of it.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) schedules: Schedules,
    pub(super) watches: Watches,
    pub(super) memory: Memory,
    /// The plan that they were made for. Weak, so that the core may change it in its place.
    plan: Weak<Plan>,
}

impl Rounds {
    /// Returns when there is something to be done. May be dropped at any time.
    pub(super) async fn ready(&self) {
        tokio::select! {
            () = self.schedules.ready() => {}
            () = self.watches.ready() => {}
            () = self.memory.ready() => {}
        }
    }
}

impl Turn {
    /// Looks at what the plan in force asks for, if that is another one than before.
    pub(super) fn prepare_rounds(&mut self) {
        let plan = self.supervisor.plan();
        if std::ptr::eq(self.rounds.plan.as_ptr(), Rc::as_ptr(plan)) {
            return;
        }
        let (plan, order) = (plan.clone(), self.supervisor.order());
        self.rounds.schedules.follow(&plan, order);
        self.rounds.watches.follow(&plan, order);
        self.rounds.memory.follow(&plan, order);
        self.rounds.plan = Rc::downgrade(&plan);
    }

    /// Something of it is to be done.
    pub(super) fn make_rounds(&mut self) {
        if self.supervisor.phase().is_ending() {
            self.rounds = Rounds { plan: std::mem::take(&mut self.rounds.plan), ..Rounds::default() };
            return;
        }
        self.take_times();
        self.take_changes();
        self.weigh();
    }
}
