//! What a boot and a drain cost does not grow with the square of the number of services.
//!
//! Only the ratio of a large plan to a small one counts, and the best of many tries: so
//! neither a slow nor a busy machine matters, while a square would show in every try.

use crate::specs::{on, oneshot, plan, ready, service, tcp};
use crate::stage::Stage;
use minisup::core::plan::{Condition, Dependency, ServiceSpec};
use minisup::core::signal::Signal;
use std::time::Instant;

/// So often is it tried to get an undisturbed measurement.
const TRIES: u32 = 20;

fn named(number: u32, requires: Vec<Dependency>) -> ServiceSpec {
    ServiceSpec { requires: requires.into(), ..service(&format!("s{number}")) }
}

/// Boots all of them and drains them; returns the number of inputs.
fn a_whole_life(services: Vec<ServiceSpec>) -> u64 {
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
    assert_eq!(stage.exit_code(), 0);
    inputs
}

/// The cost of one input for so many services, in microseconds.
fn cost(shape: fn(u32) -> Vec<ServiceSpec>, count: u32) -> f64 {
    let services = shape(count);
    let begin = Instant::now();
    let inputs = a_whole_life(services);
    begin.elapsed().as_secs_f64() * 1e6 / inputs as f64
}

fn grows_only_in_proportion(shape: fn(u32) -> Vec<ServiceSpec>) {
    let (mut small, mut large) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TRIES {
        small = small.min(cost(shape, 500));
        large = large.min(cost(shape, 5_000));
        // Ten times the services: 10 would be a square. Caches and sorted lists cost a little.
        if large < small * 4.0 {
            return;
        }
    }
    panic!("an input costs {small:.1} µs with 500 services, {large:.1} µs with 5,000");
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
