//! What PID 1 looks after by itself: the clock of schedules, files that are watched, memory that is
//! limited. Whoever uses none of these costs no wake-up.

use super::memory::Memory;
use super::schedules::Schedules;
use super::turn::Turn;
use super::watches::Watches;

/// All of it.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) schedules: Schedules,
    pub(super) watches: Watches,
    pub(super) memory: Memory,
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
    /// Looks after what the plan in force asks for: at boot, and when there is another plan.
    pub(super) fn prepare_rounds(&mut self) {
        let (plan, order) = (self.supervisor.plan(), self.supervisor.order());
        self.rounds.schedules.follow(plan, order);
        self.rounds.watches.follow(plan, order);
        self.rounds.memory.follow(plan, order);
    }

    /// Something of it is to be done.
    pub(super) fn make_rounds(&mut self) {
        if self.supervisor.phase().is_ending() {
            self.rounds = Rounds::default();
            return;
        }
        self.take_times();
        self.take_changes();
        self.weigh();
    }
}
