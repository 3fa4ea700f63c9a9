//! What a service wrote before it failed, said with the reason.
//!
//! Lines that went to the container's output are there already; the others (of a service that
//! writes to a file, or whose lines were dropped) are shown here, each once.

use super::turn::Turn;
use crate::core::action::Change;
use crate::core::ids::InstanceId;
use crate::core::instance::State;
use log::{log_enabled, warn};

/// So many lines are shown.
const LINES: usize = 20;
/// And so many bytes of each.
const LINE_MAX: usize = 1000;

impl Turn {
    /// Says what the instance wrote before this failure, if it is one.
    pub(super) fn show_last_words(&mut self, change: &Change) {
        let Change::State { instance, to, from, last, .. } = change else { return };
        let has_failed = match to {
            State::Backoff { cause, .. } => cause.is_some(),
            State::Stopping { failure, .. } => failure.is_some(),
            State::Fatal { .. } => true,
            State::Exited { outcome } => !self.spec(*instance).is_success(*outcome),
            State::Waiting { .. } => {
                matches!(from, State::Running { .. })
                    && last.is_some_and(|outcome| !self.spec(*instance).is_success(outcome))
            }
            State::Stopped
            | State::Preparing { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Killing { .. }
            | State::Sweeping { .. } => false,
        };
        if has_failed && log_enabled!(log::Level::Warn) {
            self.show(*instance);
        }
    }

    fn show(&mut self, instance: InstanceId) {
        let lines = self.pump.last_lines(instance, LINES);
        let label = self.reporter.label(&self.supervisor, instance);
        let hidden: Vec<_> = lines.iter().filter(|line| !line.shown).collect();
        if hidden.is_empty() {
            return;
        }
        warn!("the last lines of {label}:");
        for line in hidden {
            let cut = line.text.len() > LINE_MAX;
            let text = String::from_utf8_lossy(&line.text[..line.text.len().min(LINE_MAX)]);
            warn!("{label} | {text}{}", if cut { "…" } else { "" });
        }
        self.pump.mark_shown(instance);
    }
}
