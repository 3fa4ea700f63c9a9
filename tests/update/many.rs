//! Many services in one update, and many updates of one container.

use crate::needs_namespaces;
use crate::play::{descriptors, has, memory, pids, up, updated};
use crate::support::wait_until;
use std::time::{Duration, Instant};

/// So many services in a chain of tens; `change` may say something else of one of them.
fn many(count: usize, change: impl Fn(usize) -> String) -> String {
    let service = |n: usize| {
        let requires =
            if n.is_multiple_of(10) { String::new() } else { format!("requires = ['s{}']\n", n - 1) };
        format!("[service.s{n}]\ncommand = 'sleep {}'\n{requires}{}\n", 100_000 + n, change(n))
    };
    (0..count).map(service).collect()
}

#[test]
fn one_of_fifty_changes_and_the_others_keep_their_pids() {
    needs_namespaces!();
    let same = many(50, |_| String::new());
    let mut run = up(&same);
    let before = pids(&run);
    assert_eq!(before.len(), 50);
    let lines = updated(&mut run, &same.replace("sleep 100013", "sleep 200013"));
    assert!(has(&lines, "update: s13 replaced (command), 49 unchanged"), "{lines:#?}");
    let after = pids(&run);
    assert_eq!(after.len(), 50);
    let kept = before.iter().filter(|(words, pid)| after.get(*words) == Some(pid)).count();
    assert_eq!(kept, 49);
    assert!(after.contains_key("sleep 200013"));
    // Only about it there was something to say.
    assert!(!lines.iter().any(|line| line.contains("s14") || line.contains("s12")), "{lines:#?}");
    run.stops_with(0);
}

#[test]
fn a_thousand_services_in_one_update_leave_no_descriptor_behind() {
    needs_namespaces!();
    let few = many(10, |_| String::new());
    let mut run = up(&few);
    let descriptors_before = descriptors(&run);
    let first = pids(&run);
    let mut memory_after = Vec::new();
    for _ in 0..8 {
        let began = Instant::now();
        updated(&mut run, &many(1000, |_| String::new()));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(pids(&run).len(), 1000);
        let began = Instant::now();
        updated(&mut run, &few);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(pids(&run), first);
        wait_until("no more descriptors than before", || descriptors(&run) <= descriptors_before);
        memory_after.push(memory(&run));
    }
    // The first times make room for the thousand, which is kept: some 3.7 MB from the sixth time on.
    assert!(memory_after[7] <= memory_after[5] + 200, "{memory_after:?} kB");
    run.stops_with(0);
}

#[test]
fn a_thousand_services_of_which_one_changes_take_no_time() {
    needs_namespaces!();
    let mut run = up(&many(1000, |_| String::new()));
    let before = pids(&run);
    let began = Instant::now();
    updated(&mut run, &many(1000, |n| if n == 500 { "nice = 1".into() } else { String::new() }));
    let took = began.elapsed();
    let kept = pids(&run).iter().filter(|(words, pid)| before.get(*words) == Some(pid)).count();
    assert_eq!(kept, 999);
    assert!(took < Duration::from_secs(5), "{took:?}");
    run.stops_with(0);
}

#[test]
fn fifty_updates_leave_nothing_behind() {
    needs_namespaces!();
    let mut run = up(&many(20, |_| String::new()));
    let before = descriptors(&run);
    let mut seen = Vec::new();
    for round in 0..50 {
        let other = round % 2 + 1;
        // One changes, one in place, one comes or goes.
        let mut text = many(20, |n| match n {
            3 => format!("nice = {other}"),
            4 => format!("stop.grace_period = '{other}s'"),
            _ => String::new(),
        });
        if other == 2 {
            text += "[service.guest]\ncommand = 'sleep 7'\n";
        }
        updated(&mut run, &text.replace("sleep 7", "sleep 7000"));
        if round % 2 == 1 {
            seen.push(memory(&run));
        }
    }
    updated(&mut run, &many(20, |_| String::new()));
    // The pipes of those that were replaced last are closed when they have been read to their end.
    wait_until("no more descriptors than in the beginning", || descriptors(&run) <= before);
    let (early, late) = (seen[4], seen[seen.len() - 1]);
    assert!(late <= early + 128, "kB: {seen:?}");
    run.stops_with(0);
}
