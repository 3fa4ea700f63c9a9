//! Services to try things on: one with the documented defaults, and random plans of many.

use crate::rng::Rng;
use minisup::core::ids::ServiceId;
use minisup::core::plan::*;
use minisup::core::signal::Signal;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A service with the defaults of the reference.
pub fn service(name: &str) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        kind: Kind::Longrun,
        enabled: true,
        instances: 1,
        requires: Box::new([]),
        after: Box::new([]),
        ready: None,
        health: None,
        restart: Restart::Always,
        success_codes: Rc::new([0]),
        min_uptime: secs(1),
        backoff: Backoff { initial: ms(100), max: secs(30), factor: 2.0, jitter: 0.1 },
        max_failures: Some(5),
        essential: true,
        stop: stop(&[(Signal::TERM, secs(8))]),
        reload: None,
        hooks: None,
        schedule: None,
        watch: None,
        memory_limit: None,
        reopen: None,
        sockets: None,
        rolling: false,
        heirs: None,
        launch: Launch {
            command: Box::new(["/bin/x".into()]),
            environment: Rc::new([]),
            secrets: Rc::new([]),
            own: Some(Rc::new([])),
            extra: None,
        },
        stdout: Rc::new([Sink::Forward]),
        stderr: Rc::new([Sink::Forward]),
        log: LogPolicy { prefix: false, timestamps: false, max_line: 65_536, when_full: WhenFull::Block },
    }
}

pub fn oneshot(name: &str) -> ServiceSpec {
    ServiceSpec { kind: Kind::Oneshot, ..service(name) }
}

/// What prepares another service: a process of our own.
pub fn satellite(name: &str) -> ServiceSpec {
    let extra = LaunchExtra { satellite: true, ..LaunchExtra::default() };
    let launch = Launch { extra: Some(Box::new(extra)), ..service(name).launch };
    ServiceSpec { launch, ..oneshot(name) }
}

pub fn stop(sequence: &[(Signal, Duration)]) -> Rc<Stop> {
    Rc::new(Stop { sequence: sequence.into(), delay: Duration::ZERO, tree: true, to_tree: false })
}

/// These hooks, each with 60 seconds.
pub fn hooks(all: &[Hook]) -> Option<Box<Hooks>> {
    let command = |hook| all.contains(&hook).then(|| Box::from(["/bin/hook".to_string()]));
    Some(Box::new(Hooks {
        before_start: command(Hook::BeforeStart),
        after_ready: command(Hook::AfterReady),
        before_stop: command(Hook::BeforeStop),
        after_exit: command(Hook::AfterExit),
        timeout: secs(60),
    }))
}

pub fn tcp() -> Probe {
    Probe::Tcp("127.0.0.1:80".parse().expect("an address"))
}

pub fn ready(probe: Probe) -> Option<Box<Ready>> {
    Some(Box::new(Ready { probe, interval: ms(250), timeout: secs(60) }))
}

pub fn health(probe: Probe) -> Option<Box<Health>> {
    Some(Box::new(Health { probe, interval: secs(10), timeout: secs(3), failures: 3, restart: true }))
}

/// `service` = its place in the plan, `condition` = what must be true of it.
pub fn on(service: u32, condition: Condition) -> Dependency {
    Dependency { service: ServiceId(service), condition }
}

pub fn plan(services: impl Into<Box<[ServiceSpec]>>) -> Plan {
    Plan {
        supervisor: SupervisorSpec {
            control_socket: PathBuf::from("/run/minisup.sock"),
            control_group: None,
            shutdown_timeout: secs(9),
            log_level: LogLevel::Info,
            log_format: LogFormat::Raw,
            timestamps: false,
            credentials: None,
        },
        signals: Box::new([]),
        services: services.into(),
    }
}

/// A plan nobody would write, but that everybody may: all keys at random, no cycles.
pub fn random_plan(rng: &mut Rng) -> Plan {
    let count = 1 + rng.below(6) as u32;
    let mut services = Vec::new();
    for index in 0..count {
        let spec = random_service(rng, index, &services);
        services.push(spec);
    }
    let mut plan = plan(services);
    plan.supervisor.shutdown_timeout = rng.pick(&[Duration::ZERO, ms(500), secs(2), secs(9), secs(9)]);
    if rng.percent(30) {
        let to = ServiceId(rng.below(u64::from(count)) as u32);
        plan.signals = Box::new([
            (Signal::USR2, Forward::To(to, Signal::HUP)),
            (Signal::WINCH, Forward::All(Signal::WINCH)),
            (Signal::QUIT, Forward::Swallow),
        ]);
    }
    plan
}

fn random_service(rng: &mut Rng, index: u32, earlier: &[ServiceSpec]) -> ServiceSpec {
    let kind = if rng.percent(25) { Kind::Oneshot } else { Kind::Longrun };
    let max = rng.pick(&[Duration::ZERO, ms(300), secs(5), secs(30)]);
    ServiceSpec {
        kind,
        enabled: rng.percent(88),
        instances: rng.pick(&[1, 1, 1, 1, 2, 3]),
        requires: random_dependencies(rng, earlier, 30),
        after: random_dependencies(rng, earlier, 12),
        ready: rng.percent(45).then(|| random_ready(rng)),
        health: rng.percent(30).then(|| random_health(rng)),
        restart: rng.pick(&[Restart::Always, Restart::Always, Restart::OnFailure, Restart::Never]),
        success_codes: rng.pick(&[Rc::from([0u8]), Rc::from([0u8]), Rc::from([0u8, 3]), Rc::from([])]),
        min_uptime: rng.pick(&[Duration::ZERO, ms(100), secs(1), secs(1), secs(5)]),
        backoff: Backoff {
            initial: rng.pick(&[Duration::ZERO, ms(1), ms(100), ms(100), secs(2)]),
            max,
            factor: rng.pick(&[1.0, 1.5, 2.0, 2.0]),
            jitter: rng.pick(&[0.0, 0.1, 1.0]),
        },
        max_failures: rng.pick(&[None, Some(1), Some(2), Some(5), Some(5)]),
        essential: rng.percent(60),
        stop: random_stop(rng),
        hooks: rng.percent(40).then(|| random_hooks(rng)),
        schedule: match kind {
            Kind::Oneshot if rng.percent(15) => Some(Box::new(Schedule::Cron("* * * * *".into()))),
            Kind::Oneshot if rng.percent(5) => Some(Box::new(Schedule::Boot)),
            Kind::Oneshot | Kind::Longrun => None,
        },
        reopen: rng.percent(20).then_some(Signal::USR1),
        reload: rng.percent(40).then(|| {
            Box::new(Reload {
                logs: Box::default(),
                check: None,
                how: ReloadHow::Signal(Signal::HUP),
                renews: None,
                timeout: secs(60),
            })
        }),
        rolling: kind == Kind::Longrun && rng.percent(50),
        ..service(&format!("s{index}"))
    }
}

fn random_dependencies(rng: &mut Rng, on: &[ServiceSpec], chance: u64) -> Box<[Dependency]> {
    let mut found = Vec::new();
    for (index, spec) in on.iter().enumerate() {
        if rng.percent(chance) {
            let condition = match spec.kind {
                Kind::Oneshot => rng.pick(&[Condition::Done, Condition::Done, Condition::Started]),
                Kind::Longrun => {
                    rng.pick(&[Condition::Ready, Condition::Ready, Condition::Started, Condition::Healthy])
                }
            };
            found.push(Dependency { service: ServiceId(index as u32), condition });
        }
    }
    found.into()
}

fn random_ready(rng: &mut Rng) -> Box<Ready> {
    let probe = rng.pick(&[Probe::Notify, Probe::Fd(3), tcp(), Probe::Exec(Box::new(["x".into()]))]);
    let interval = rng.pick(&[Duration::ZERO, ms(250), secs(1)]);
    Box::new(Ready { probe, interval, timeout: rng.pick(&[Duration::ZERO, ms(300), secs(3), secs(20)]) })
}

fn random_health(rng: &mut Rng) -> Box<Health> {
    Box::new(Health {
        probe: rng.pick(&[Probe::Notify, tcp(), tcp()]),
        interval: rng.pick(&[Duration::ZERO, ms(500), secs(2), secs(10)]),
        timeout: rng.pick(&[Duration::ZERO, ms(500), secs(3)]),
        failures: rng.pick(&[1, 2, 3]),
        restart: rng.percent(70),
    })
}

fn random_hooks(rng: &mut Rng) -> Box<Hooks> {
    let mut all = [Hook::BeforeStart, Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit].to_vec();
    all.retain(|_| rng.percent(60));
    let timeout = rng.pick(&[ms(50), secs(1), secs(5)]);
    let hooks = hooks(&all).unwrap_or_default();
    Box::new(Hooks { timeout, ..*hooks })
}

fn random_stop(rng: &mut Rng) -> Rc<Stop> {
    let grace = rng.pick(&[Duration::ZERO, ms(200), secs(2), secs(8)]);
    let sequence: Box<[(Signal, Duration)]> = match rng.below(10) {
        0 => Box::new([(Signal::QUIT, grace), (Signal::TERM, secs(1))]),
        1 => Box::new([(Signal::INT, Duration::ZERO), (Signal::QUIT, grace), (Signal::TERM, ms(300))]),
        2 => Box::new([(Signal::KILL, secs(1))]),
        _ => Box::new([(Signal::TERM, grace)]),
    };
    let delay = rng.pick(&[Duration::ZERO, Duration::ZERO, Duration::ZERO, ms(400)]);
    Rc::new(Stop { sequence, delay, tree: rng.percent(75), to_tree: !delay.is_zero() })
}

/// The plan as somebody might change it: one thing of it, no cycles.
pub fn mutate(rng: &mut Rng, plan: &mut Plan) {
    let count = plan.services.len() as u64;
    let which = rng.below(count) as usize;
    let fresh = format!("n{}", rng.below(4));
    let earlier = plan.services[..which].to_vec();
    match rng.below(12) {
        10 if plan.services[which].kind == Kind::Longrun => plan.services[which].rolling ^= true,
        0 if count > 1 => remove(plan, which),
        0 | 1 if plan.services.iter().all(|spec| *spec.name != *fresh) => {
            let spec = random_service(rng, 0, &plan.services);
            let mut services = plan.services.to_vec();
            services.push(ServiceSpec { name: fresh.into(), ..spec });
            plan.services = services.into();
        }
        2 if plan.services.iter().all(|spec| *spec.name != *fresh) => {
            plan.services[which].name = fresh.into()
        }
        3 => plan.supervisor.shutdown_timeout = rng.pick(&[secs(1), secs(9)]),
        4 => plan.services[which].stop = random_stop(rng),
        5 => plan.services[which].enabled ^= true,
        6 => plan.services[which].instances = rng.pick(&[1, 2, 3]),
        7 => {
            plan.services[which].requires = random_dependencies(rng, &earlier, 30);
            plan.services[which].after = random_dependencies(rng, &earlier, 12);
        }
        8 => {
            plan.services[which].ready = rng.percent(60).then(|| random_ready(rng));
            plan.services[which].health = rng.percent(50).then(|| random_health(rng));
        }
        9 => {
            let other = random_service(rng, 0, &earlier);
            plan.services[which] = ServiceSpec { name: plan.services[which].name.clone(), ..other };
        }
        _ => plan.services[which].launch.command = [format!("/bin/{}", rng.below(5))].into(),
    }
    let kinds: Vec<Kind> = plan.services.iter().map(|spec| spec.kind).collect();
    for spec in &mut plan.services {
        for dependency in spec.requires.iter_mut().chain(&mut spec.after) {
            if kinds[dependency.service.index()] == Kind::Longrun && dependency.condition == Condition::Done {
                dependency.condition = Condition::Ready;
            }
        }
    }
}

fn remove(plan: &mut Plan, which: usize) {
    let moved = |list: &[Dependency]| {
        let others = list.iter().filter(|d| d.service.index() != which);
        let place = |d: &Dependency| d.service.0 - u32::from(d.service.index() > which);
        others.map(|d| Dependency { service: ServiceId(place(d)), ..*d }).collect()
    };
    let mut services = plan.services.to_vec();
    services.remove(which);
    for spec in &mut services {
        (spec.requires, spec.after) = (moved(&spec.requires), moved(&spec.after));
    }
    plan.services = services.into();
    plan.signals = Box::new([]);
}

/// A plan whose services are called like others of such plans: what required is required now.
pub fn with_other_names(rng: &mut Rng, plan: fn(&mut Rng) -> Plan) -> Plan {
    let mut plan = plan(rng);
    for index in 0..plan.services.len() {
        let other = rng.below(plan.services.len() as u64) as usize;
        let name = plan.services[index].name.clone();
        plan.services[index].name = std::mem::replace(&mut plan.services[other].name, name);
    }
    plan
}
