//! What a boot and a drain cost does not grow with the square of the number of services.
//!
//! Counted in looks at an instance, not in seconds: neither a slow nor a busy machine matters.

use crate::specs::{on, oneshot, plan, ready, service, tcp};
use crate::stage::Stage;
use minisup::core::plan::{Condition, Dependency, ServiceSpec};
use minisup::core::signal::Signal;

fn named(number: u32, requires: Vec<Dependency>) -> ServiceSpec {
    ServiceSpec { requires: requires.into(), ..service(&format!("s{number}")) }
}

/// Boots all of them and drains them; returns how many inputs that took, and how many looks
/// at an instance.
fn a_whole_life(services: Vec<ServiceSpec>) -> (u64, u64) {
    let count = services.len() as u32;
    let mut stage = Stage::of_plan(plan(services));
    let mut inputs = 1;
    let mut rest: Vec<u32> = (0..count).collect();
    while !rest.is_empty() {
        let before = rest.len();
        rest.retain(|number| !stage.gets_up(*number, &mut inputs));
        assert!(rest.len() < before, "{before} services never get up");
    }
    assert_eq!(stage.phase(), "up");
    stage.signal(Signal::TERM);
    let mut rest: Vec<u32> = (0..count).rev().collect();
    while !rest.is_empty() {
        let before = rest.len();
        rest.retain(|number| !stage.goes_down(*number, &mut inputs));
        assert!(rest.len() < before, "{before} services never go down");
    }
    let looks = stage.supervisor.looks();
    assert_eq!(stage.exit_code(), 0);
    (inputs, looks)
}

fn grows_only_in_proportion(shape: fn(u32) -> Vec<ServiceSpec>) {
    let looks_for_an_input = |count| {
        let (inputs, looks) = a_whole_life(shape(count));
        looks as f64 / inputs as f64
    };
    let (small, large) = (looks_for_an_input(500), looks_for_an_input(5_000));
    assert!(large < small * 1.1, "{small:.1} looks for an input with 500 services, {large:.1} with 5,000");
    assert!(large < 60.0, "{large:.1} looks for an input");
}

#[test]
fn five_thousand_services_without_dependencies() {
    grows_only_in_proportion(|count| (0..count).map(|n| named(n, vec![])).collect());
}

#[test]
fn five_thousand_services_in_a_chain() {
    grows_only_in_proportion(|count| {
        let link = |n: u32| n.checked_sub(1).map(|before| on(before, Condition::Ready));
        (0..count).map(|n| named(n, link(n).into_iter().collect())).collect()
    });
}

#[test]
fn five_thousand_services_on_one_oneshot() {
    grows_only_in_proportion(|count| {
        let dependents = (1..count).map(|n| named(n, vec![on(0, Condition::Done)]));
        std::iter::once(oneshot("s0")).chain(dependents).collect()
    });
}

#[test]
fn five_thousand_services_with_a_probe_each_in_layers_of_a_hundred() {
    grows_only_in_proportion(|count| {
        let layer = |n: u32| n.checked_sub(100).map(|below| on(below, Condition::Ready));
        let probed = |spec| ServiceSpec { ready: ready(tcp()), ..spec };
        (0..count).map(|n| probed(named(n, layer(n).into_iter().collect()))).collect()
    });
}
