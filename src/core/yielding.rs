//! Who stops first leaves time to those behind.
//!
//! Everything is to stop within one time, and along a chain one after the other: nginx, then the application, then its
//! database. If each took its own grace period, the time would be over before the last one was asked at all, and KILL would be
//! the first it hears. So in a drain each service leaves [`SHARE`] to every one that can only be asked
//! after it, or an equal part where that is too much: nginx before an application has 7 of 9 s. What it does
//! not need they have besides. A grace period that somebody has named gives way, too: the end of the drain would cut it off, and
//! those behind without a word.
//!
//! A stop of one service, a restart and a roll have no such limit, and nothing to share, until a drain finds them under way.

use super::ids::{InstanceId, ServiceId};
use super::instance::{Event, State};
use super::phase::Phase;
use super::plan::{Plan, ServiceSpec, Stop};
use super::supervisor::Supervisor;
use super::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// So much is left to each one behind.
pub const SHARE: Duration = Duration::from_secs(2);

/// Of so much time, what whoever has so many behind may take.
pub fn part(left: Duration, behind: u32) -> Duration {
    left.saturating_sub(SHARE.min(left / (behind + 1)) * behind)
}

/// For each service how many others stop one after the other once it has ended: of those that count.
pub fn behind(plan: &Plan, counts: impl Fn(ServiceId) -> bool) -> Box<[u32]> {
    let mut found: Vec<Option<u32>> = vec![None; plan.services.len()];
    for root in 0..found.len() {
        let mut open = vec![root];
        while let Some(at) = open.last().copied() {
            let spec = &plan.services[at];
            let below = || spec.requires.iter().chain(&spec.after).map(|it| it.service);
            let unknown: Vec<usize> =
                below().map(ServiceId::index).filter(|it| found[*it].is_none()).collect();
            if found[at].is_some() || unknown.is_empty() {
                open.pop();
                let most = below().filter_map(|it| Some(found[it.index()]? + u32::from(counts(it)))).max();
                found[at] = Some(most.unwrap_or(0));
            } else {
                open.extend(unknown);
            }
        }
    }
    found.into_iter().map(Option::unwrap_or_default).collect()
}

impl Stop {
    /// The same, where from this signal on there is no more time than that; nothing if it fits as it is.
    fn within(&self, next: usize, left: Duration) -> Option<Stop> {
        let (_, time) = self.sequence.get(next)?;
        let most = left.saturating_sub(self.time_from(next + 1));
        (*time > most).then(|| {
            let mut stop = self.clone();
            stop.sequence[next].1 = most;
            stop
        })
    }
}

impl Supervisor {
    /// What it may take of the drain from now on, if it leaves time to anybody.
    fn time_left(&self, id: InstanceId, now: Moment) -> Option<Duration> {
        let Phase::Draining { kill_at, hurried: false, .. } = self.phase else { return None };
        let behind = *self.behind.get(self.slot(id).service.index())?;
        (behind > 0).then(|| part(kill_at - now, behind))
    }

    /// What is meant of it, with a stop that leaves time to those behind; nothing if it does so anyway.
    pub(super) fn yielding(&self, id: InstanceId, event: &Event, now: Moment) -> Option<ServiceSpec> {
        let left = self.time_left(id, now)?;
        let next = match self.instance(id).state {
            // An heir is asked anew, from the first signal on.
            State::Stopping { next, .. } if !matches!(event, Event::TakenOver(_)) => next,
            _ => 0,
        };
        let spec = self.spec_of(id);
        Some(ServiceSpec { stop: Rc::new(spec.stop.within(next, left)?), ..spec.clone() })
    }

    /// The drain begins: from now on it is known who stops before whom.
    pub(super) fn line_up(&mut self) {
        // A launch that has been ordered only is withdrawn.
        let is_launching = |id| matches!(self.instance(id).state, State::Launching { .. });
        let has_process = |id: &InstanceId| self.instance(*id).has_process() && !is_launching(*id);
        let mut alive = vec![false; self.plan.services.len()];
        for id in self.all().filter(has_process) {
            if let Some(it) = alive.get_mut(self.slot(id).service.index()) {
                *it = true;
            }
        }
        self.behind = behind(&self.plan, |service| alive[service.index()]);
    }

    /// There is less time than there was: whoever has been asked to end already leaves time to those behind, too.
    pub(super) fn hasten(&mut self, now: Moment) {
        for id in self.all() {
            let Some(left) = self.time_left(id, now) else { continue };
            let State::Stopping { next: next @ 1.., at, .. } = self.instance(id).state else { continue };
            let sooner = at.min(now + left.saturating_sub(self.spec_of(id).stop.time_from(next)));
            if let State::Stopping { at, .. } = &mut self.slots[id.index()].instance.state {
                *at = sooner;
            }
            self.rearm(id, Some(at), Some(sooner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::signal::Signal;

    #[test]
    fn each_one_behind_has_its_share_or_an_equal_part() {
        let secs = Duration::from_secs;
        assert_eq!(part(secs(9), 0), secs(9));
        assert_eq!(part(secs(9), 1), secs(7));
        assert_eq!(part(secs(9), 2), secs(5));
        assert_eq!(part(secs(3), 1), Duration::from_millis(1500));
        assert_eq!(part(secs(3), 2), secs(1));
    }

    #[test]
    fn only_the_signal_that_is_next_loses_time() {
        let secs = Duration::from_secs;
        let stop = Stop {
            sequence: [(Signal::QUIT, secs(6)), (Signal::TERM, secs(2))].into(),
            delay: Duration::ZERO,
            tree: true,
            to_tree: false,
        };
        let times = |next, left| stop.within(next, left).map(|it| (it.sequence[0].1, it.sequence[1].1));
        assert_eq!(times(0, secs(8)), None);
        assert_eq!(times(0, secs(7)), Some((secs(5), secs(2))));
        assert_eq!(times(0, secs(1)), Some((secs(0), secs(2))), "the other one gives way in its turn");
        assert_eq!(times(1, secs(1)), Some((secs(6), secs(1))));
        assert_eq!(times(2, secs(0)), None);
    }
}
