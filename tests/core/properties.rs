//! Anything at all, in any order: also what no runtime would ever say.

use crate::cells::{NOW, forms, instance, kinds};
use crate::rng::Rng;
use crate::specs::random_plan;
use minisup::core::action::Action;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::input::{Awaited, Input, Request};
use minisup::core::instance::{Deed, Event, Fault, Instance, State, Want};
use minisup::core::phase::Phase;
use minisup::core::plan::Hook;
use minisup::core::service::step;
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

fn an_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u8>().prop_map(Outcome::Exited),
        (1..=64).prop_map(|n| Outcome::Killed(Signal::from_number(n).expect("a signal"))),
    ]
}

fn an_answer() -> impl Strategy<Value = Result<(), Rc<str>>> {
    any::<bool>().prop_map(|well| if well { Ok(()) } else { Err("no".into()) })
}

fn a_fault() -> impl Strategy<Value = Fault> {
    any::<u8>().prop_map(|code| Fault { code, text: "cannot execute".into() })
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Start),
        Just(Event::Stop),
        Just(Event::Replace),
        Just(Event::Admit),
        (0..9u32).prop_map(|n| Event::Lost(ServiceId(n))),
        (1..99).prop_map(|n| Event::Forked(Pid(n))),
        Just(Event::Refused),
        Just(Event::Executed),
        a_fault().prop_map(Event::ExecFailed),
        Just(Event::Ready),
        an_answer().prop_map(Event::Answered),
        Just(Event::Said("busy".into())),
        Just(Event::Alive),
        (an_outcome(), any::<bool>()).prop_map(|(outcome, leftovers)| Event::Ended { outcome, leftovers }),
        (1..99).prop_map(|n| Event::TakenOver(Pid(n))),
        Just(Event::TreeGone),
        Just(Event::Rechecked),
        Just(Event::Hurry),
        Just(Event::Due),
    ]
}

fn an_input() -> impl Strategy<Value = Input> {
    let instance = || (0..12u32).prop_map(InstanceId);
    let pid = || (1..40).prop_map(Pid);
    let services =
        || prop::collection::vec((0..6u32).prop_map(ServiceId), 0..4).prop_map(Vec::into_boxed_slice);
    let signal = || (1..=64).prop_map(|n| Signal::from_number(n).expect("a signal"));
    let awaited = prop::sample::select(vec![
        Awaited::Started,
        Awaited::Ready,
        Awaited::Healthy,
        Awaited::Done,
        Awaited::Stopped,
    ]);
    let request = prop_oneof![
        services().prop_map(Request::Start),
        services().prop_map(Request::Stop),
        services().prop_map(Request::Restart),
        (services(), signal()).prop_map(|(services, signal)| Request::Signal(services, signal)),
        Just(Request::Status),
        (0..20u64).prop_map(|s| Request::Shutdown((s < 10).then(|| Duration::from_secs(s)))),
        services().prop_map(Request::Reload),
        prop::collection::vec(((0..6u32).prop_map(ServiceId), awaited), 0..4)
            .prop_map(|wishes| Request::Wait(wishes.into())),
    ];
    prop_oneof![
        1 => Just(Input::Boot),
        4 => (instance(), pid()).prop_map(|(instance, pid)| Input::Forked { instance, pid }),
        1 => instance().prop_map(|instance| Input::Refused { instance }),
        6 => (instance(), pid()).prop_map(|(instance, pid)| Input::Executed { instance, pid }),
        2 => (instance(), pid(), a_fault())
            .prop_map(|(instance, pid, fault)| Input::ExecFailed { instance, pid, fault }),
        6 => (instance(), pid(), an_outcome(), any::<bool>()).prop_map(
            |(instance, pid, outcome, leftovers)| Input::Ended { instance, pid, outcome, leftovers }
        ),
        2 => (instance(), pid(), pid())
            .prop_map(|(instance, pid, heir)| Input::TakenOver { instance, pid, heir }),
        2 => (instance(), pid()).prop_map(|(instance, leader)| Input::TreeGone { instance, leader }),
        2 => (instance(), pid()).prop_map(|(instance, pid)| Input::Ready { instance, pid }),
        2 => (instance(), pid(), an_answer())
            .prop_map(|(instance, pid, answer)| Input::Answered { instance, pid, answer }),
        1 => (instance(), pid()).prop_map(|(instance, pid)| Input::Alive { instance, pid }),
        2 => (instance(), pid(), an_answer())
            .prop_map(|(instance, pid, answer)| Input::Reloaded { instance, pid, answer }),
        2 => (instance(), pid()).prop_map(|(instance, pid)| Input::HookEnded {
            instance,
            pid,
            hook: Hook::BeforeStop,
        }),
        1 => (instance(), pid()).prop_map(|(instance, pid)| Input::Exceeded {
            instance,
            pid,
            used: 2,
            limit: 1,
        }),
        1 => (0..150u64).prop_map(|id| Input::Abandoned(RequestId(id))),
        1 => (0..6u32).prop_map(|service| Input::Scheduled(ServiceId(service))),
        1 => (0..6u32).prop_map(|service| Input::Changed(ServiceId(service))),
        1 => signal().prop_map(Input::Signal),
        3 => request.prop_map(|request| Input::Request(RequestId(0), request)),
        6 => Just(Input::Due),
        1 => Just(Input::AllGone),
    ]
}

/// What must be true of every instance, whatever has happened to it.
fn is_sound(before: &Instance, event: &Event, after: &Instance, deeds: &[Deed]) -> Result<(), TestCaseError> {
    let heir = match event {
        Event::TakenOver(heir) if before.pid().is_some() => Some(*heir),
        _ => None,
    };
    let launches = deeds.iter().filter(|deed| matches!(deed, Deed::Launch | Deed::Prepare)).count();
    let launching = matches!(after.state, State::Launching { .. });
    prop_assert_eq!(launches == 1, launching && before.state != after.state, "a launch is Launching");
    let born = before.pid().is_none() && after.pid().is_some();
    prop_assert!(!born || matches!(before.state, State::Launching { .. }), "a process without a launch");
    if let (Some(old), Some(new)) = (before.pid(), after.pid()) {
        prop_assert_eq!(heir.unwrap_or(old), new, "a process turned into another one");
    }
    for deed in deeds {
        let about = match deed {
            Deed::Launch | Deed::Prepare => continue,
            Deed::Hook(_, pid, ..)
            | Deed::Signal(pid, _)
            | Deed::Resume(pid)
            | Deed::AskReady(pid, _)
            | Deed::AskHealth(pid, _) => [before.pid(), heir].contains(&Some(*pid)),
            Deed::SignalTree(pid, _) => {
                [before.pid(), heir].contains(&Some(*pid))
                    || matches!(before.state, State::Sweeping { leader, .. } if leader == *pid)
            }
        };
        prop_assert!(about, "{:?} is about somebody else's process", deed);
    }
    let rests = matches!(after.state, State::Backoff { .. } | State::Exited { .. } | State::Fatal { .. });
    let caused_by_an_end = before.has_process() && !after.has_process();
    prop_assert!(
        !(rests && caused_by_an_end && after.want == Want::Down),
        "wanted down, yet {:?}",
        after.state
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_instance_stays_sound_whatever_happens_to_it(
        kind in 0..kinds().len(),
        form in 0..forms().len(),
        want_up in any::<bool>(),
        events in prop::collection::vec((an_event(), 0..20_000u64, any::<bool>()), 1..40),
    ) {
        let spec = &kinds()[kind].spec;
        let mut it = instance(if want_up { Want::Up } else { Want::Down }, forms().swap_remove(form).state);
        let mut now = NOW;
        for (event, millis, toggle) in events {
            now = now + Duration::from_millis(millis);
            if toggle {
                it.want = if it.want == Want::Up { Want::Down } else { Want::Up };
            }
            let mut deeds = Vec::new();
            let after = step(spec, 0.5, it.clone(), event.clone(), now, &mut deeds);
            is_sound(&it, &event, &after, &deeds)?;
            it = after;
        }
    }

    #[test]
    fn an_instance_that_is_wanted_down_and_told_of_every_death_ends_stopped(
        kind in 0..kinds().len(),
        form in 0..forms().len(),
        events in prop::collection::vec(an_event(), 0..20),
    ) {
        let spec = &kinds()[kind].spec;
        let mut it = instance(Want::Down, forms().swap_remove(form).state);
        let end = Event::Ended { outcome: Outcome::Exited(0), leftovers: true };
        let last = [Event::Refused, Event::Stop, Event::Hurry, end, Event::TreeGone, Event::Stop];
        for event in events.into_iter().filter(|e| !matches!(e, Event::Start | Event::Replace)).chain(last) {
            it = step(spec, 0.5, it, event, NOW, &mut Vec::new());
        }
        let rests = matches!(it.state, State::Stopped | State::Exited { .. } | State::Fatal { .. });
        prop_assert!(rests, "{:?}", it.state);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn the_supervisor_bears_anything_in_any_order(
        seed in any::<u64>(),
        inputs in prop::collection::vec((an_input(), 0..3_000u64), 1..150),
    ) {
        let mut rng = Rng::new(seed);
        let plan = Rc::new(random_plan(&mut rng));
        let instances = plan.instances().count() as u32;
        let services = plan.services.len() as u32;
        let mut supervisor = Supervisor::new(plan, seed);
        let mut now = Moment::from_nanos(1);
        let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
        let mut last_pid = 1;
        for (serial, (input, millis)) in inputs.into_iter().enumerate() {
            now = now + Duration::from_millis(millis);
            let Some(input) = within(input, instances, services, RequestId(serial as u64)) else { continue };
            match &input {
                Input::Request(id, _) => drop(asked.insert(*id)),
                Input::Abandoned(id) if !answered.contains(id) => drop(asked.remove(id)),
                _ => {}
            }
            let was_ending = supervisor.phase().is_ending();
            supervisor.handle(input, now);
            while let Some(action) = supervisor.poll_action() {
                match action {
                    Action::Launch { instance } | Action::Prepare { instance } => {
                        prop_assert!(!was_ending && !supervisor.phase().is_ending());
                        last_pid += 1;
                        let answer = match last_pid % 5 {
                            0 => Input::Refused { instance },
                            _ => Input::Forked { instance, pid: Pid(last_pid % 40) },
                        };
                        supervisor.handle(answer, now);
                    }
                    Action::Reply(id, _) => {
                        prop_assert!(asked.contains(&id) && answered.insert(id), "{:?} is answered twice", id);
                    }
                    Action::Signal { .. }
                    | Action::Resume { .. }
                    | Action::SignalTree { .. }
                    | Action::AskReady { .. }
                    | Action::AskHealth { .. }
                    | Action::Reload { .. }
                    | Action::Hook { .. }
                    | Action::Sweep(_)
                    | Action::Publish(_) => {}
                }
            }
            prop_assert!(supervisor.deadline().is_none_or(|at| at >= now));
        }
        // However it began, a stop signal and time are enough to end it.
        supervisor.handle(Input::Request(RequestId(u64::MAX), Request::Shutdown(None)), now);
        for _ in 0..200 {
            now = supervisor.deadline().unwrap_or(now);
            supervisor.handle(Input::Due, now);
        }
        prop_assert_eq!(supervisor.phase(), Phase::Done);
        prop_assert!(supervisor.exit_code().is_some());
        while let Some(action) = supervisor.poll_action() {
            if let Action::Reply(id, _) = action {
                answered.insert(id);
            }
        }
        answered.remove(&RequestId(u64::MAX));
        prop_assert_eq!(asked, answered, "every request is answered in the end");
    }
}

/// The input, about things that exist, as far as a runtime can promise that.
fn within(mut input: Input, instances: u32, services: u32, request: RequestId) -> Option<Input> {
    match &mut input {
        // Only ever the answer to a launch.
        Input::Forked { .. } | Input::Refused { .. } => return None,
        Input::Executed { instance, .. }
        | Input::ExecFailed { instance, .. }
        | Input::Ended { instance, .. }
        | Input::TakenOver { instance, .. }
        | Input::TreeGone { instance, .. }
        | Input::Ready { instance, .. }
        | Input::Answered { instance, .. }
        | Input::Said { instance, .. }
        | Input::Reloaded { instance, .. }
        | Input::HookEnded { instance, .. }
        | Input::Exceeded { instance, .. }
        | Input::Alive { instance, .. } => instance.0 %= instances,
        Input::Scheduled(service) | Input::Changed(service) => service.0 %= services,
        Input::Request(id, what) => {
            *id = request;
            match what {
                Request::Start(list)
                | Request::Stop(list)
                | Request::Restart(list)
                | Request::Reload(list)
                | Request::Signal(list, _) => list.iter_mut().for_each(|service| service.0 %= services),
                Request::Wait(list) => list.iter_mut().for_each(|(service, _)| service.0 %= services),
                Request::Status | Request::Shutdown(_) | Request::Update(_) => {}
            }
        }
        Input::Boot | Input::Abandoned(_) | Input::Signal(_) | Input::Due | Input::AllGone => {}
    }
    Some(input)
}
