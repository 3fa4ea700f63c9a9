//! What the supervisor as a whole is doing.

use super::time::Moment;

/// What the supervisor is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Not every wanted instance has come to rest once.
    Boot,
    /// The long middle.
    Up,
    /// Instances are stopping, in reverse order of dependency.
    Draining {
        /// When everything left gets KILL, in no order.
        kill_at: Moment,
        /// When we are Done whatever is left.
        end_at: Moment,
        /// Whether that KILL has been sent.
        hurried: bool,
    },
    /// No instance has a process; what else is left is being ended.
    Sweeping {
        /// When it gets KILL.
        kill_at: Moment,
        /// When we are Done whatever is left.
        end_at: Moment,
    },
    /// Nothing is left to decide.
    Done,
}

impl Phase {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Boot => "boot",
            Phase::Up => "up",
            Phase::Draining { .. } => "draining",
            Phase::Sweeping { .. } => "sweeping",
            Phase::Done => "done",
        }
    }

    /// Whether nothing is launched any more.
    pub fn is_ending(self) -> bool {
        match self {
            Phase::Boot | Phase::Up => false,
            Phase::Draining { .. } | Phase::Sweeping { .. } | Phase::Done => true,
        }
    }
}
