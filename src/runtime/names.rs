//! Whom a client means: names, globs and `all`, turned into services and instances.
//!
//! Whoever names a service exactly gets it, or is told why not. `all` and globs are for those that it makes
//! sense for: `start all` starts nothing that is not enabled, `signal HUP all` leaves out
//! who does not run.

use crate::config::diagnostics::did_you_mean;
use crate::control::wire::ErrorKind;
use crate::core::ids::{InstanceId, ServiceId};
use crate::core::input::Awaited;
use crate::core::plan::Kind;
use crate::core::sorted;
use crate::core::supervisor::Supervisor;
use glob::Pattern;

/// Why a request is not even tried.
pub(super) type Refused = (ErrorKind, String);

/// What one name means.
enum Meaning {
    One(ServiceId),
    /// Of a service: that one instance.
    Instance(ServiceId, u32),
    /// By a pattern, perhaps none.
    Several(Vec<ServiceId>),
}

/// The services of these names, each once, in the order of the plan; none means all. `fits` is
/// asked about those that are not named exactly.
pub(super) fn services(
    supervisor: &Supervisor,
    names: &[String],
    fits: impl Fn(ServiceId) -> bool,
) -> Result<Box<[ServiceId]>, Refused> {
    let mut chosen = Vec::new();
    for name in or_all(names) {
        match meaning(supervisor, name)? {
            Meaning::One(service) => chosen.push(service),
            Meaning::Several(all) => chosen.extend(all.into_iter().filter(|service| fits(*service))),
            Meaning::Instance(service, _) => {
                let whole = &supervisor.plan().service(service).name;
                let text =
                    format!("{name} is one instance of {whole}: this can be asked of {whole} as a whole");
                return Err((ErrorKind::BadRequest, text));
            }
        }
    }
    sorted::sort(&mut chosen);
    chosen.dedup();
    Ok(chosen.into())
}

/// The instances of these names, each once, in the order of the plan; none means all.
pub(super) fn instances(supervisor: &Supervisor, names: &[String]) -> Result<Vec<InstanceId>, Refused> {
    let mut chosen = Vec::new();
    for name in or_all(names) {
        match meaning(supervisor, name)? {
            Meaning::One(service) => chosen.extend(supervisor.instances_of(service)),
            Meaning::Instance(service, number) => {
                chosen.extend(supervisor.instances_of(service).nth(number as usize));
            }
            Meaning::Several(all) => {
                chosen.extend(all.into_iter().flat_map(|service| supervisor.instances_of(service)));
            }
        }
    }
    sorted::sort(&mut chosen);
    chosen.dedup();
    Ok(chosen)
}

/// What is waited for: each name may end in `:ready` and the like. Without, a oneshot is to be
/// done and everything else ready.
pub(super) fn wishes(
    supervisor: &Supervisor,
    names: &[String],
) -> Result<Box<[(ServiceId, Awaited)]>, Refused> {
    let mut wishes = Vec::new();
    for name in or_all(names) {
        let (of, awaited) = match name.rsplit_once(':') {
            Some((of, what)) => (of, Some(awaited(what, name)?)),
            None => (name, None),
        };
        let spec = |service: ServiceId| supervisor.plan().service(service);
        let can_be =
            |service: ServiceId| spec(service).kind == Kind::Oneshot || awaited != Some(Awaited::Done);
        for service in services(supervisor, &[of.to_owned()], |it| spec(it).enabled && can_be(it))? {
            let usual = match spec(service).kind {
                Kind::Oneshot => Awaited::Done,
                Kind::Longrun => Awaited::Ready,
            };
            if !can_be(service) {
                let text = format!("cannot wait for {name}: a longrun is never done");
                return Err((ErrorKind::BadRequest, text));
            }
            wishes.push((service, awaited.unwrap_or(usual)));
        }
    }
    Ok(wishes.into())
}

fn awaited(what: &str, name: &str) -> Result<Awaited, Refused> {
    const ALL: [(&str, Awaited); 5] = [
        ("started", Awaited::Started),
        ("ready", Awaited::Ready),
        ("healthy", Awaited::Healthy),
        ("done", Awaited::Done),
        ("stopped", Awaited::Stopped),
    ];
    let found = ALL.iter().find(|(word, _)| *word == what);
    found.map(|(_, awaited)| *awaited).ok_or_else(|| {
        let meant = match did_you_mean(what, ALL.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "there are started, ready, healthy, done, stopped".to_owned(),
        };
        (ErrorKind::BadRequest, format!("cannot wait for {name}: there is no \"{what}\"; {meant}"))
    })
}

fn or_all(names: &[String]) -> impl Iterator<Item = &str> {
    let none = names.is_empty().then_some("all");
    names.iter().map(String::as_str).chain(none)
}

fn meaning(supervisor: &Supervisor, name: &str) -> Result<Meaning, Refused> {
    let plan = supervisor.plan();
    let everybody = || supervisor.order().iter().map(|service| (*service, plan.service(*service)));
    let named = |name: &str| everybody().find(|(_, spec)| *spec.name == *name).map(|(service, _)| service);
    if let Some(service) = named(name) {
        return Ok(Meaning::One(service));
    }
    if name == "all" {
        return Ok(Meaning::Several(everybody().map(|(service, _)| service).collect()));
    }
    if let Some((of, number)) = name.rsplit_once(':')
        && let (Some(service), Ok(number)) = (named(of), number.parse::<u32>())
    {
        return match plan.service(service).instances {
            count if number < count => Ok(Meaning::Instance(service, number)),
            count => {
                let text = format!("there is no {name}: {of} has {}", counted(count));
                Err((ErrorKind::UnknownName, text))
            }
        };
    }
    if name.contains(['*', '?', '[']) {
        let pattern = Pattern::new(name)
            .map_err(|error| (ErrorKind::BadRequest, format!("cannot read the pattern {name}: {error}")))?;
        let all: Vec<_> = everybody().filter(|(_, spec)| pattern.matches(&spec.name)).collect();
        return match all.is_empty() {
            true => Err((ErrorKind::UnknownName, format!("no service is called like \"{name}\""))),
            false => Ok(Meaning::Several(all.into_iter().map(|(service, _)| service).collect())),
        };
    }
    let near = did_you_mean(name, everybody().map(|(_, spec)| &*spec.name));
    let meant = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    Err((ErrorKind::UnknownName, format!("there is no service \"{name}\"{meant}")))
}

fn counted(instances: u32) -> String {
    match instances {
        1 => "one instance".into(),
        several => format!("instances 0 to {}", several - 1),
    }
}
