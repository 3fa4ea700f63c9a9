//! Who stops first in a drain leaves time to those behind: how much, from the rule and nothing else.
//!
//! Counted are the services with a process when the drain begins, along the longest way down through what a
//! service requires and what it comes after. To each of them 2 s are left of what there is, or an equal part
//! if that is less. Too early a KILL is wrong, and so is one too late for those behind.

use super::{Judge, Verdict};
use minisup::core::ids::{InstanceId, ServiceId};
use minisup::core::instance::State;
use minisup::core::phase::Phase;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::time::Duration;

impl Judge {
    /// For each service how many stop one after the other below it, as the drain begins.
    pub(super) fn line_up(&self) -> Vec<u32> {
        let services = &self.plan.services;
        let lives = |service: ServiceId| {
            let mut all = self.known.iter().zip(&self.service_of);
            u32::from(all.any(|(known, of)| *of == service && known.leader.is_some()))
        };
        let mut behind = vec![0; services.len()];
        // No way down is longer than there are services.
        for _ in 0..services.len() {
            for (at, spec) in services.iter().enumerate() {
                for below in spec.requires.iter().chain(&spec.after).map(|on| on.service) {
                    behind[at] = behind[at].max(behind[below.index()] + lives(below));
                }
            }
        }
        behind
    }

    /// When an instance that has its time since then has had it, if it leaves any to others.
    fn gives_way_at(&self, id: InstanceId, since: Moment) -> Option<Moment> {
        let behind = *self.behind.get(self.service_of[id.index()].index())?;
        let left = self.kill_due? - since;
        let each = (left / (behind + 1)).min(Duration::from_secs(2));
        (behind > 0).then(|| since + (left - each * behind))
    }

    /// So long an instance that was asked to end at this moment has at the least.
    pub(super) fn grace_in_a_drain(&self, id: InstanceId, began: Moment, grace: Duration) -> Duration {
        let Some(drain) = self.drain_began else { return grace };
        self.gives_way_at(id, began.max(drain)).map_or(grace, |at| grace.min(at - began))
    }

    /// Nobody means to go on beyond its time.
    pub(super) fn leave_time(&mut self, sup: &Supervisor, now: Moment) -> Verdict {
        let limited = matches!(sup.phase(), Phase::Draining { hurried: false, .. });
        for index in 0..self.known.len() {
            let id = InstanceId(index as u32);
            let State::Stopping { next: next @ 1.., at, .. } = sup.instance(id).state else {
                self.known[index].course = None;
                continue;
            };
            let since = match self.known[index].course {
                // Only whoever is told too late takes longer in all.
                Some((before, due, since)) if before == next || now <= due => since,
                Some(_) | None => now,
            };
            self.known[index].course = Some((next, at, since));
            match self.gives_way_at(id, since.max(self.shared)) {
                Some(latest) if limited && at > latest => {
                    let name = &sup.spec_of(id).name;
                    return Err(format!("{name} goes on until {at:?}, beyond its time, {latest:?}"));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}
