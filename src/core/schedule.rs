//! What the clock and changed files ask for.
//!
//! A oneshot with a schedule is not wanted at boot, and nobody waits for it: it has settled before
//! it has ever run. When its time comes it is started like any other. One whose last run is not
//! over, be it that it waits for what it requires, is not started twice. Whoever stops it by hand
//! stops its schedule too, until it is started again. As long as there is a schedule, the end of
//! all others is not the end of all.

use super::action::{Action, Change};
use super::ids::{InstanceId, RequestId, ServiceId};
use super::input::Request;
use super::instance::{Event, State, Want};
use super::plan::Schedule;
use super::supervisor::Supervisor;
use super::time::Moment;

/// In whose name we ask ourselves; no client has this number.
const OURSELVES: RequestId = RequestId(u64::MAX - 1);

impl Supervisor {
    /// Those that are to run once, at boot.
    pub(super) fn begin_schedules(&mut self, now: Moment) {
        for id in self.all() {
            let spec = self.spec_of(id);
            if spec.enabled && spec.schedule.as_deref() == Some(&Schedule::Boot) {
                self.set_want(id, Want::Up, false);
                self.apply(id, Event::Start, now);
            }
        }
    }

    /// Whether the clock is going to start something.
    pub(super) fn has_schedules(&self) -> bool {
        let mut all = self.order.iter().map(|service| self.plan.service(*service));
        all.any(|spec| spec.enabled && spec.recurs())
    }

    /// Whether somebody has stopped it by hand: the clock does not start it either.
    pub fn is_parked(&self, id: InstanceId) -> bool {
        self.slot(id).parked
    }

    /// It is time for this service.
    pub(super) fn scheduled(&mut self, service: ServiceId, now: Moment) {
        let instances: Vec<InstanceId> = self.graph.instances(service).collect();
        if self.phase.is_ending() || instances.iter().any(|id| self.is_parked(*id)) {
            return;
        }
        let is_busy = |id: &InstanceId| match self.instance(*id).state {
            State::Stopped | State::Exited { .. } | State::Fatal { .. } => false,
            State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. } => true,
        };
        if instances.iter().any(is_busy) {
            self.actions.push_back(Action::Publish(Box::new(Change::Skipped(service))));
            return;
        }
        for id in instances {
            self.set_want(id, Want::Up, false);
            self.apply(id, Event::Start, now);
        }
    }

    /// Files that this service watches have changed: whoever has read them reads them again, or is
    /// replaced by one who does.
    pub(super) fn files_changed(&mut self, service: ServiceId, now: Moment) {
        let has_read = |id: &InstanceId| {
            let it = self.instance(*id);
            it.want == Want::Up && self.is_program(*id) && !it.is_stopping()
        };
        let instances: Vec<InstanceId> = self.graph.instances(service).filter(has_read).collect();
        if self.phase.is_ending() || instances.is_empty() {
            return;
        }
        if self.plan.service(service).reload.is_some() {
            self.requested(OURSELVES, Request::Reload(Box::new([service])), now);
            self.abandoned(OURSELVES);
            return;
        }
        if self.rolls_now(service) {
            self.roll(service);
            return;
        }
        for id in instances {
            self.apply(id, Event::Replace, now);
        }
    }
}
