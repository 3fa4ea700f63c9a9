//! Updates at inconvenient moments.

use crate::needs_namespaces;
use crate::play::{ask, ask_later, config, has, lines_until, pids, place, stage, up, update, updated};
use crate::support::wait_until;
use minisup::control::wire::{ChangeKind, Reply, Request};

const REST: &str = "[service.rest]\ncommand = 'sleep 1001'\n";

/// Never ready.
const SLOW: &str = "[service.slow]\ncommand = 'sleep 1002'\nready = { file = '/nowhere/at/all' }\n";

#[test]
fn a_service_that_is_starting_can_be_removed() {
    needs_namespaces!();
    let mut run = stage(&format!("{REST}{SLOW}")).start();
    run.said("slow started");
    let lines = updated(&mut run, REST);
    assert!(has(&lines, "slow removed"), "{lines:#?}");
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1001"]);
    run.stops_with(0);
}

#[test]
fn a_service_that_waits_to_be_tried_again_can_be_removed() {
    needs_namespaces!();
    let bad = "[service.bad]\ncommand = 'false'\nmax_failures = 0\nbackoff.initial = '200s'\nbackoff.max = '200s'\n";
    let mut run = stage(&format!("{REST}{bad}")).start();
    run.said("trying again in");
    updated(&mut run, REST);
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1001"]);
    run.stops_with(0);
}

#[test]
fn a_service_that_waits_to_be_tried_again_is_tried_at_once_when_it_is_mended() {
    needs_namespaces!();
    let app = |command: &str| {
        format!(
            "[service.app]\ncommand = '{command}'\nmax_failures = 0\nbackoff = {{ initial = '200s', max = '200s' }}\n"
        )
    };
    let mut run = stage(&format!("{REST}{}", app("false"))).start();
    run.said("trying again in");
    updated(&mut run, &format!("{REST}{}", app("sleep 1003")));
    run.process("sleep 1003");
    run.stops_with(0);
}

#[test]
fn a_second_update_waits_until_the_first_has_stopped_what_it_had_to() {
    needs_namespaces!();
    let old = "[service.old]\ncommand = ['sh', '-c', \"trap 'echo asked; read line < ${DIR}/go; exit' TERM; echo up; while :; do sleep 0.02; done\"]\nstop.grace_period = '200s'\n";
    let more = |n: u32| format!("[service.more{n}]\ncommand = 'sleep 200{n}'\n");
    let mut run = stage(&format!("{REST}{old}")).gate("go").start();
    run.heard("up");
    run.said("all is up");
    update(&run, REST);
    run.heard("asked");
    // HUP and HUP and HUP: the last file counts.
    update(&run, &format!("{REST}{}", more(1)));
    run.signal(libc::SIGHUP);
    let second = ask_later(&run, &Request::Update { dry_run: false, wait: true });
    update(&run, &format!("{REST}{}{}", more(1), more(2)));
    run.open("go");
    let lines = lines_until(&mut run, "more2 started");
    assert!(place(&lines, "update: old removed, 1 unchanged") < place(&lines, "old stopped"), "{lines:#?}");
    // Who was first read with which file is anybody's guess; but nobody was before the first update.
    assert!(place(&lines, "old stopped") < place(&lines, " started"), "{lines:#?}");
    assert!(matches!(second.join().unwrap(), Reply::Updated(_)));
    wait_until("all are there", || pids(&run).len() == 3);
    run.stops_with(0);
}

#[test]
fn an_update_behind_others_says_what_it_will_change_when_its_turn_comes() {
    needs_namespaces!();
    let old = "[service.old]\ncommand = ['sh', '-c', \"trap 'echo asked; read line < ${DIR}/go; exit' TERM; echo up; while :; do sleep 0.02; done\"]\nstop.grace_period = '200s'\n";
    let more = "[service.more]\ncommand = 'sleep 2001'\n";
    let mut run = stage(&format!("{REST}{old}")).gate("go").start();
    run.heard("up");
    run.said("all is up");
    update(&run, REST);
    run.heard("asked");
    let asked = |services: &str, dry_run| {
        run.write("supervise.toml", &config(services));
        match ask(&run, &Request::Update { dry_run, wait: false }) {
            Reply::Updated(it) => {
                it.services.into_iter().map(|it| (it.service, it.change)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked(&format!("{REST}{more}"), false), [("more".to_owned(), ChangeKind::Added)]);
    for dry_run in [true, false] {
        assert_eq!(asked(REST, dry_run), [("more".to_owned(), ChangeKind::Removed)]);
    }
    assert_eq!(asked(REST, false), []);
    run.open("go");
    let lines = lines_until(&mut run, "update: more removed");
    assert!(place(&lines, "update: more added") > place(&lines, "old stopped"), "{lines:#?}");
    run.stops_with(0);
}

#[test]
fn what_never_gets_ready_does_not_keep_the_next_update_from_mending_it() {
    needs_namespaces!();
    let mut run = up(REST);
    update(&run, &format!("{REST}{SLOW}"));
    run.said("slow started");
    let lines = updated(&mut run, &format!("{REST}{}", SLOW.replace("/nowhere/at/all", "/etc/passwd")));
    assert!(has(&lines, "slow in place (ready"), "{lines:#?}");
    run.said("update: done");
    run.stops_with(0);
}

#[test]
fn while_everything_stops_nothing_is_updated() {
    needs_namespaces!();
    let deaf = "[service.deaf]\ncommand = ['sh', '-c', \"trap 'echo asked' TERM; echo deaf; while :; do read line < ${DIR}/go && exit 0; done\"]\nstop.grace_period = '8s'\n";
    let mut run = stage(deaf).gate("go").start();
    run.heard("deaf");
    run.said("all is up");
    run.signal(libc::SIGTERM);
    run.heard("asked");
    update(&run, &format!("{deaf}{REST}"));
    run.said("cannot update: shutting down");
    run.open("go");
    run.ends_with(0);
}

#[test]
fn a_drain_ends_an_update_that_is_under_way() {
    needs_namespaces!();
    let mut run = up(REST);
    update(&run, &format!("{REST}{SLOW}"));
    run.said("slow started");
    run.signal(libc::SIGTERM);
    run.said("update: shutting down");
    run.ends_with(0);
}

#[test]
fn an_update_while_everything_boots() {
    needs_namespaces!();
    let mut run = stage(&format!("{REST}{SLOW}")).start();
    run.said("slow started");
    let lines = updated(&mut run, &format!("{REST}{}", SLOW.replace("/nowhere/at/all", "/etc/passwd")));
    assert!(has(&lines, "slow in place (ready)"), "{lines:#?}");
    run.stops_with(0);
}

#[test]
fn who_was_stopped_by_the_configuration_and_came_back_is_a_new_process() {
    needs_namespaces!();
    let mut run = up(&format!("{REST}[service.app]\ncommand = 'sleep 1002'"));
    let before = pids(&run);
    updated(&mut run, REST);
    updated(&mut run, &format!("{REST}[service.app]\ncommand = 'sleep 1002'"));
    let after = pids(&run);
    assert_ne!(after.get("sleep 1002"), before.get("sleep 1002"));
    assert_eq!(after.len(), 2);
    run.stops_with(0);
}
