//! Ten thousand containers, from boot to the end, without a kernel.
//!
//! Each seed is a random plan, random processes and a random operator. A seed that breaks a
//! rule is printed with the command that replays it.

use crate::world::{Flaw, Report, World};
use minisup::core::difference::ChangeKind;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn run(seed: u64, flaw: Flaw) -> Result<Report, String> {
    let run = AssertUnwindSafe(|| World::of_seed(seed, flaw).run());
    match catch_unwind(run) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("a panic: {}", text.unwrap_or_default()))
        }
    }
}

fn trace_of(seed: u64) -> (Vec<String>, Result<Report, String>) {
    let mut world = World::of_seed(seed, Flaw::None);
    world.trace = Some(vec![format!("{:#?}", world.written.services)]);
    let result = world.run();
    if let (Err(_), Some(trace)) = (&result, &mut world.trace) {
        // What was decided with what broke the rule.
        let rest = std::iter::from_fn(|| world.supervisor.poll_action());
        trace.extend(rest.map(|action| format!("{:>12}    and then {action:?}", "")));
    }
    (world.trace.take().unwrap_or_default(), result)
}

fn seeds_keep_the_rules(seeds: std::ops::Range<u64>) {
    let mut broken = Vec::new();
    for seed in seeds {
        if let Err(why) = run(seed, Flaw::None) {
            broken.push(format!("  SEED={seed} cargo test --test core replay -- --nocapture   # {why}"));
        }
    }
    let shown = broken.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(broken.is_empty(), "{} seeds break a rule. The first:\n{shown}", broken.len());
}

/// By itself, and with another number of seeds:
/// `SOAK_SEEDS=1000000 cargo test --profile simulation --test core -- --ignored`.
#[test]
#[ignore = "takes minutes; `make soak`"]
fn a_hundred_thousand_seeds_keep_all_the_rules() {
    let count = std::env::var("SOAK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::thread::scope(|scope| {
        for core in 0..cores {
            scope.spawn(move || seeds_keep_the_rules(count * core / cores..count * (core + 1) / cores));
        }
    });
}

// Halves, so that two cores share the work.

#[test]
fn the_first_five_thousand_seeds_keep_all_the_rules() {
    seeds_keep_the_rules(0..5_000);
}

#[test]
fn the_second_five_thousand_seeds_keep_all_the_rules() {
    seeds_keep_the_rules(5_000..10_000);
}

#[test]
fn replay_shows_one_seed_with_its_trace() {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let (trace, result) = trace_of(seed.unwrap_or(1));
    if seed.is_some() {
        let mut out = std::io::stderr().lock();
        for line in &trace {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "{result:?}");
    }
    if let Err(why) = result {
        let last = trace.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n");
        panic!("{why}\n{last}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..150 {
        assert_eq!(trace_of(seed), trace_of(seed), "seed {seed}");
    }
}

#[test]
fn a_reaper_that_loses_deaths_is_noticed() {
    let broken = (0..100).filter(|seed| run(*seed, Flaw::ReaperLosesDeaths).is_err()).count();
    assert!(broken > 50, "only {broken} of 100 worlds were found broken");
}

#[test]
fn a_kill_that_nobody_sends_is_noticed() {
    let broken = (0..300).filter(|seed| run(*seed, Flaw::KillIsSwallowed).is_err()).count();
    assert!(broken > 50, "only {broken} of 300 worlds were found broken");
}

#[test]
fn the_worlds_are_as_wild_as_they_should_be() {
    let reports: Vec<Report> = (0..1500).filter_map(|seed| run(seed, Flaw::None).ok()).collect();
    let codes = |code: u8| reports.iter().filter(|r| r.exit_code == code).count();
    let launches: u32 = reports.iter().map(|r| r.launches).sum();
    assert!(launches > 5_000, "{launches} launches");
    for code in [0, 1, 42, 126, 127, 137, 139] {
        assert!(codes(code) > 4, "only {} runs ended with {code}", codes(code));
    }
}

#[test]
fn in_the_worlds_heirs_take_over() {
    let heirs = |seed| {
        let mut world = World::of_seed(seed, Flaw::None);
        let _ = world.run();
        world.heirs
    };
    let count: u32 = (0..500).map(heirs).sum();
    assert!(count > 100, "only {count} processes have handed over to an heir");
}

#[test]
fn the_worlds_are_updated_in_every_way() {
    let mut changes = Vec::new();
    for seed in 0..500 {
        let mut world = World::of_seed(seed, Flaw::None);
        let _ = world.run();
        changes.append(&mut world.changes);
    }
    for kind in [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Replaced, ChangeKind::InPlace] {
        let count = changes.iter().filter(|it| **it == kind).count();
        assert!(count > 60, "only {count} services were {kind:?}");
    }
}
