//! Somebody who asks for anything at any moment, and changes the plan.

use super::{Happening, World};
use crate::specs::{mutate, random_plan, secs, with_other_names};
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::input::{Awaited, Input, Request};
use minisup::core::plan::Plan;
use minisup::core::signal::Signal;
use std::rc::Rc;

impl World {
    /// Requests and signals at random moments; in the end somebody asks it to stop.
    pub(super) fn invite_an_operator(&mut self) {
        let horizon = self.rng.pick(&[secs(2), secs(10), secs(25)]);
        for _ in 0..self.rng.below(9) {
            let at = self.rng.upto(horizon);
            self.later(at, Happening::Wish);
        }
        if self.rng.percent(40) {
            for _ in 0..=self.rng.below(4) {
                let at = self.rng.upto(horizon);
                self.later(at, Happening::Update);
            }
        }
        let stop = match self.rng.below(4) {
            0 => {
                let within = self.rng.pick(&[None, Some(secs(1)), Some(secs(30))]);
                Happening::Ask(Request::Shutdown(within))
            }
            1 => Happening::Tell(Input::Signal(Signal::RTMIN_3)),
            _ => Happening::Tell(Input::Signal(Signal::TERM)),
        };
        self.later(horizon, stop);
        if self.rng.percent(15) {
            let again = horizon + self.rng.upto(secs(4));
            self.later(again, Happening::Tell(Input::Signal(Signal::TERM)));
        }
    }

    pub(super) fn random_wish(&mut self) -> Happening {
        let mut services = Vec::new();
        for service in 0..self.supervisor.plan().services.len() as u32 {
            if self.rng.percent(40) {
                services.push(ServiceId(service));
            }
        }
        let services: Box<[ServiceId]> = services.into();
        let signals = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::QUIT, Signal::CHLD];
        let one = ServiceId(self.rng.below(self.supervisor.plan().services.len() as u64) as u32);
        match self.rng.below(44) {
            20..=25 => Happening::Update,
            26..=30 => {
                let all =
                    [Awaited::Started, Awaited::Ready, Awaited::Healthy, Awaited::Done, Awaited::Stopped];
                let wishes = services.iter().map(|service| (*service, self.rng.pick(&all))).collect();
                Happening::Ask(Request::Wait(wishes))
            }
            31..=34 => Happening::Ask(Request::Reload(services)),
            35..=39 => Happening::Tell(Input::Abandoned(RequestId(1 + self.rng.below(self.requests + 1)))),
            40 | 41 => Happening::Tell(Input::Scheduled(one)),
            42 | 43 => Happening::Tell(Input::Changed(one)),
            0..=4 => Happening::Ask(Request::Stop(services)),
            5..=8 => Happening::Ask(Request::Start(services)),
            9..=12 => Happening::Ask(Request::Restart(services)),
            13 => Happening::Ask(Request::Status),
            14 | 15 => {
                let signal = self.rng.pick(&[Signal::HUP, Signal::TERM, Signal::KILL, Signal::STOP]);
                Happening::Ask(Request::Signal(services, signal))
            }
            16 => Happening::Tell(self.stray_input()),
            _ => Happening::Tell(Input::Signal(self.rng.pick(&signals))),
        }
    }

    /// What somebody makes of the plan that he wrote last.
    pub(super) fn another_plan(&mut self) -> Rc<Plan> {
        let rng = &mut self.rng;
        match rng.below(10) {
            0 => self.written.clone(),
            1 => Rc::new(with_other_names(rng, random_plan)),
            _ => {
                let mut plan = (*self.written).clone();
                for _ in 0..=rng.below(3) {
                    mutate(rng, &mut plan);
                }
                Rc::new(plan)
            }
        }
    }

    /// An answer that comes too late, from a process long gone.
    pub(super) fn stray_input(&mut self) -> Input {
        let instances = (0..).find(|id| !self.supervisor.has_instance(InstanceId(*id))).unwrap_or(1);
        let instance = InstanceId(self.rng.below(u64::from(instances)) as u32);
        let pid = Pid(90_000 + self.rng.below(9) as i32);
        match self.rng.below(6) {
            0 => Input::Ready { instance, pid },
            1 => Input::Answered { instance, pid, answer: Ok(()) },
            2 => Input::Answered { instance, pid, answer: Err("late".into()) },
            3 => Input::Alive { instance, pid },
            4 => Input::Said { instance, pid, text: "late".into() },
            _ => Input::TreeGone { instance, leader: pid },
        }
    }
}
