//! Whether a server that was told to read its configuration again has new workers, and they work.
//!
//! A worker that cannot work ends before it begins: it loads the application, fails and is gone, and with
//! gunicorn the whole service is. So it does not count until it has begun, and nobody tells us of that
//! either. What there is to see: who loads code runs, or waits for its disk in a sleep that no signal
//! ends; who serves sleeps until somebody asks. Therefore a new worker works if it has lived as long as
//! the check took, which loads the same code, and was found asleep twice in a row. The time alone would
//! not do: on a busy machine loading takes longer than it did in the check.
//!
//! A worker that is never found asleep may have a whole site to serve. It works if it has had the
//! processor several times as long as the check took.

use crate::core::ids::Pid;
use crate::core::time::Moment;
use crate::sys::proc::Activity;
use std::time::Duration;

/// Looks, one after the other, at which it must be asleep.
const ASLEEP: u32 = 2;

/// So many times the processor time that loading may take: the check has loaded within its whole time.
const BUSY: u32 = 3;

/// The children of a process that it did not have before.
pub(super) struct NewWorkers {
    before: Vec<Pid>,
    /// So long each must live.
    settled: Duration,
    seen: Vec<Seen>,
}

struct Seen {
    pid: Pid,
    since: Moment,
    /// Looks in a row at which it was asleep.
    asleep: u32,
}

impl NewWorkers {
    /// Of a process that has such children `before` it is told.
    pub(super) fn besides(before: Vec<Pid>, settled: Duration) -> NewWorkers {
        NewWorkers { before, settled, seen: Vec::new() }
    }

    /// Looks at the children that there are now; whether a new one works.
    pub(super) fn work(
        &mut self,
        children: &[Pid],
        now: Moment,
        activity: impl Fn(Pid) -> Option<Activity>,
    ) -> bool {
        self.seen.retain(|worker| children.contains(&worker.pid));
        for pid in children.iter().copied().filter(|pid| !self.before.contains(pid)) {
            if !self.seen.iter().any(|worker| worker.pid == pid) {
                self.seen.push(Seen { pid, since: now, asleep: 0 });
            }
        }
        let mut works = false;
        for worker in &mut self.seen {
            let Some(activity) = activity(worker.pid) else { continue };
            worker.asleep = if activity.is_asleep { worker.asleep + 1 } else { 0 };
            let has_begun = worker.asleep >= ASLEEP || activity.ran >= BUSY * self.settled;
            works |= has_begun && now.since(worker.since) >= self.settled;
        }
        works
    }

    /// Whether there is one of the last look that has lived long enough, whatever it does.
    pub(super) fn live(&self, now: Moment) -> bool {
        self.seen.iter().any(|worker| now.since(worker.since) >= self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Pid = Pid(10);
    const NEW: Pid = Pid(11);
    const SETTLED: Duration = Duration::from_millis(300);

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    fn asleep(ran: u64) -> Option<Activity> {
        Some(Activity { is_asleep: true, ran: Duration::from_millis(ran) })
    }

    fn awake(ran: u64) -> Option<Activity> {
        Some(Activity { is_asleep: false, ran: Duration::from_millis(ran) })
    }

    #[test]
    fn one_that_has_lived_as_long_as_the_check_and_sleeps_works() {
        let mut workers = NewWorkers::besides(vec![OLD], SETTLED);
        assert!(!workers.work(&[OLD], at(0), |_| asleep(900)), "the old one");
        assert!(!workers.work(&[OLD, NEW], at(10), |_| awake(0)));
        assert!(!workers.work(&[OLD, NEW], at(100), |_| asleep(200)));
        assert!(!workers.work(&[OLD, NEW], at(200), |_| asleep(200)), "not yet so long");
        assert!(workers.work(&[OLD, NEW], at(310), |_| asleep(200)));
    }

    #[test]
    fn one_that_still_loads_does_not_work_however_long_it_takes() {
        let mut workers = NewWorkers::besides(vec![OLD], SETTLED);
        assert!(!workers.work(&[NEW], at(0), |_| awake(0)));
        assert!(!workers.work(&[NEW], at(400), |_| awake(100)));
        assert!(!workers.work(&[NEW], at(5000), |_| awake(899)));
        assert!(!workers.work(&[NEW], at(5080), |_| asleep(899)), "once may be a lock");
        assert!(!workers.work(&[NEW], at(5160), |_| awake(899)));
        assert!(!workers.work(&[NEW], at(5240), |_| asleep(899)));
        assert!(workers.work(&[NEW], at(5320), |_| asleep(899)));
    }

    #[test]
    fn one_that_serves_without_a_pause_works_by_what_it_has_run() {
        let mut workers = NewWorkers::besides(vec![OLD], SETTLED);
        assert!(!workers.work(&[NEW], at(0), |_| awake(0)));
        assert!(workers.work(&[NEW], at(1000), |_| awake(900)));
    }

    #[test]
    fn one_that_ended_is_forgotten_and_its_successor_begins_anew() {
        let mut workers = NewWorkers::besides(vec![OLD], SETTLED);
        assert!(!workers.work(&[NEW], at(0), |_| asleep(0)));
        assert!(!workers.work(&[NEW], at(80), |_| asleep(0)));
        assert!(!workers.work(&[Pid(12)], at(400), |_| asleep(0)));
        assert!(!workers.work(&[Pid(12)], at(480), |_| asleep(0)));
        assert!(workers.work(&[Pid(12)], at(700), |_| asleep(0)));
    }

    #[test]
    fn at_the_end_of_patience_one_counts_that_lives() {
        let mut workers = NewWorkers::besides(vec![OLD], SETTLED);
        assert!(!workers.work(&[NEW], at(0), |_| awake(0)));
        assert!(!workers.live(at(299)));
        assert!(workers.live(at(300)));
        assert!(!workers.work(&[], at(400), |_| None));
        assert!(!workers.live(at(400)));
    }
}
