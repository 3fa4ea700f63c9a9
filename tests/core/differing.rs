//! What distinguishes two plans, and what is said of it.

use crate::rng::Rng;
use crate::specs::{health, ms, on, plan, random_plan, ready, secs, service, tcp};
use minisup::core::difference::{ChangeKind, ChangedKey, difference};
use minisup::core::ids::ServiceId;
use minisup::core::plan::*;
use minisup::core::signal::Signal;
use std::path::PathBuf;
use std::rc::Rc;

type Change = fn(&mut ServiceSpec);

/// The keys that differ when this is done to a service.
fn keys_after(change: Change) -> Vec<ChangedKey> {
    keys_from(service("web"), change)
}

fn keys_from(old: ServiceSpec, change: Change) -> Vec<ChangedKey> {
    let mut new = old.clone();
    change(&mut new);
    let mut difference = difference(&plan([old]), &plan([new]));
    assert!(difference.services.len() <= 1, "{difference:?}");
    difference.services.pop().map(|changed| changed.keys).unwrap_or_default()
}

fn with_environment(spec: &mut ServiceSpec, pairs: &[(&str, &str)]) {
    spec.launch.environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
}

fn said(keys: &[ChangedKey]) -> Vec<(&str, &str, &str, bool)> {
    keys.iter().map(|key| (&*key.key, &*key.from, &*key.to, key.needs_restart)).collect()
}

#[test]
fn a_plan_does_not_differ_from_itself() {
    for seed in 0..300 {
        let plan = random_plan(&mut Rng::new(seed));
        assert!(difference(&plan, &plan.clone()).is_empty(), "seed {seed}");
    }
}

#[test]
fn what_one_plan_adds_the_other_way_round_removes() {
    for seed in 0..300 {
        let (a, b) = (random_plan(&mut Rng::new(seed)), random_plan(&mut Rng::new(seed + 1000)));
        let (there, back) = (difference(&a, &b), difference(&b, &a));
        let named = |d: &minisup::core::difference::Difference, kind| {
            let mut names: Vec<_> =
                d.services.iter().filter(|c| c.kind == kind).map(|c| c.name.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(named(&there, ChangeKind::Added), named(&back, ChangeKind::Removed), "seed {seed}");
        assert_eq!(named(&there, ChangeKind::Removed), named(&back, ChangeKind::Added), "seed {seed}");
        for changed in &there.services {
            let other = back.services.iter().find(|it| it.name == changed.name).expect("both differ");
            let turned: Vec<_> = other.keys.iter().map(|k| (&k.key, &k.to, &k.from)).collect();
            let keys: Vec<_> = changed.keys.iter().map(|k| (&k.key, &k.from, &k.to)).collect();
            assert_eq!(keys, turned, "seed {seed}");
        }
    }
}

#[test]
fn services_are_known_by_name_wherever_they_stand() {
    let app = || ServiceSpec { requires: [on(0, Condition::Ready)].into(), ..service("app") };
    let moved = ServiceSpec { requires: [on(2, Condition::Ready)].into(), ..service("app") };
    let before = plan([service("db"), app(), service("old")]);
    let after = plan([service("new"), moved, service("db")]);
    let difference = difference(&before, &after);
    let found: Vec<_> = difference.services.iter().map(|c| (&*c.name, c.kind)).collect();
    assert_eq!(found, [("new", ChangeKind::Added), ("old", ChangeKind::Removed)]);
}

#[test]
fn what_a_process_was_given_at_its_launch_needs_a_new_one() {
    let changes: [(&str, Change); 8] = [
        ("command", |s| s.launch.command = Box::new(["/bin/y".into()])),
        ("environment.A", |s| with_environment(s, &[("A", "1")])),
        ("type", |s| s.kind = Kind::Oneshot),
        ("stdout", |s| s.stdout = std::rc::Rc::new([Sink::Null])),
        ("directory", |s| {
            let directory = Some(PathBuf::from("/srv"));
            s.launch.extra = Some(Box::new(LaunchExtra { directory, ..LaunchExtra::default() }));
        }),
        ("umask", |s| {
            s.launch.extra = Some(Box::new(LaunchExtra { umask: Some(0o22), ..LaunchExtra::default() }));
        }),
        ("user", |s| {
            let credentials = Some(Credentials { uid: 33, gid: 33, groups: Box::new([]) });
            s.launch.extra = Some(Box::new(LaunchExtra { credentials, ..LaunchExtra::default() }));
        }),
        ("limits.nofile", |s| {
            let limits = Box::new([Limit { resource: Resource::Nofile, soft: Some(9), hard: None }]);
            s.launch.extra = Some(Box::new(LaunchExtra { limits, ..LaunchExtra::default() }));
        }),
    ];
    for (key, change) in changes {
        let keys = keys_after(change);
        assert!(keys.iter().any(|k| k.key == key && k.needs_restart), "{key}: {keys:?}");
    }
}

#[test]
fn what_only_minisup_reads_changes_under_a_living_process() {
    let changes: [(&str, Change); 14] = [
        ("enabled", |s| s.enabled = false),
        ("instances", |s| s.instances = 4),
        ("ready", |s| s.ready = ready(tcp())),
        ("health", |s| s.health = health(tcp())),
        ("restart", |s| s.restart = Restart::Never),
        ("success_codes", |s| s.success_codes = Rc::new([0, 3])),
        ("min_uptime", |s| s.min_uptime = secs(9)),
        ("backoff.initial", |s| s.backoff.initial = secs(9)),
        ("max_failures", |s| s.max_failures = None),
        ("essential", |s| s.essential = false),
        ("stop.grace_period", |s| s.stop = crate::specs::stop(&[(Signal::TERM, secs(9))])),
        ("reload.signal", |s| {
            s.reload = Some(Box::new(Reload {
                logs: Box::default(),
                check: None,
                how: ReloadHow::Signal(Signal::HUP),
                renews: None,
                timeout: secs(30),
            }));
        }),
        ("reopen", |s| s.reopen = Some(Signal::USR1)),
        ("log.max_line", |s| s.log.max_line = 100),
    ];
    for (key, change) in changes {
        let keys = keys_after(change);
        assert!(keys.iter().any(|k| k.key == key), "{key}: {keys:?}");
        assert!(keys.iter().all(|k| !k.needs_restart), "{key}: {keys:?}");
    }
}

#[test]
fn a_watchdog_stands_in_the_environment_and_needs_a_new_process() {
    let keys = keys_after(|s| s.health = health(Probe::Notify));
    assert!(keys.iter().any(|k| k.key == "health" && k.needs_restart), "{keys:?}");
    let watched = ServiceSpec { health: health(Probe::Notify), ..service("web") };
    let keys = keys_from(watched.clone(), |s| {
        s.health = s.health.take().map(|h| Box::new(Health { interval: secs(1), ..*h }));
    });
    assert_eq!(said(&keys), [("health.interval", "10s", "1s", true)]);
    assert!(keys_from(watched, |s| s.health = None).iter().all(|k| !k.needs_restart));
}

#[test]
fn the_first_of_several_instances_is_the_only_one_of_before() {
    let keys = keys_from(
        ServiceSpec {
            launch: Launch { command: ["worker".into(), "0".into()].into(), ..service("w").launch },
            ..service("w")
        },
        |s| {
            s.instances = 3;
            s.launch.command = ["worker".into(), "${instance}".into()].into();
        },
    );
    assert_eq!(said(&keys), [("instances", "1", "3", false)]);
    let keys = keys_from(ServiceSpec { instances: 2, ..service("w") }, |s| {
        s.instances = 3;
        s.launch.command = ["worker".into(), "${instance}".into()].into();
    });
    assert_eq!(said(&keys)[0], ("command", "/bin/x", "worker ${instance}", true));
}

#[test]
fn values_are_said_as_they_are_written() {
    let keys = keys_after(|s| {
        s.stop = crate::specs::stop(&[(Signal::QUIT, ms(1500))]);
        s.launch.command = ["sh".into(), "-c".into(), "it's".into()].into();
        s.requires = [on(0, Condition::Ready)].into();
    });
    assert_eq!(
        said(&keys),
        [
            ("command", "/bin/x", r"sh -c 'it'\''s'", true),
            ("requires", "", "web:ready", false),
            ("stop.grace_period", "8s", "1s500ms", false),
            ("stop.signal", "TERM", "QUIT", false),
        ]
    );
}

#[test]
fn values_of_secrets_are_said_nowhere() {
    let mut old = service("web");
    with_environment(&mut old, &[("DB", "swordfish"), ("PIN", "12")]);
    old.launch.secrets = Rc::new(["DB".into(), "PIN".into()]);
    old.launch.command = ["x".into(), "--password=swordfish".into()].into();
    let keys = keys_from(old, |s| {
        with_environment(s, &[("DB", "swordfish2"), ("PIN", "34")]);
        s.launch.command = ["x".into(), "--password=swordfish2".into()].into();
    });
    assert_eq!(
        said(&keys),
        [
            ("command", "x --password=***", "x --password=***", true),
            ("environment.DB", "***", "***", true),
            ("environment.PIN", "***", "***", true),
        ]
    );
}

#[test]
fn keys_outside_of_services_say_whether_minisup_itself_must_start_anew() {
    let before = plan([service("web")]);
    let mut after = before.clone();
    after.supervisor.control_socket = PathBuf::from("/tmp/x.sock");
    after.supervisor.shutdown_timeout = secs(20);
    after.signals = Box::new([(Signal::USR2, Forward::To(ServiceId(0), Signal::HUP))]);
    let difference = difference(&before, &after);
    assert_eq!(
        said(&difference.other),
        [
            ("signals.USR2", "", "web:HUP", false),
            ("supervisor.control_socket", "/run/minisup.sock", "/tmp/x.sock", true),
            ("supervisor.shutdown_timeout", "9s", "20s", false),
        ]
    );
}
