//! Who stands in front of whom: nginx is launched when the applications beside it answer, and stops before
//! them, so that nobody meets a 502. Who says `requires` or `after` of it has another order, or none.

use crate::config::service::Resolved;
use crate::core::ids::ServiceId;
use crate::core::plan::{Condition, Dependency, Kind};

/// Puts the applications before each nginx that says nothing of whom it waits for.
pub fn put_apps_first(services: &mut [Resolved]) {
    let is = |service: &Resolved, names: &[&str]| {
        let preset = service.preset.filter(|_| service.spec.kind == Kind::Longrun);
        preset.is_some_and(|preset| names.contains(&preset.name))
    };
    for at in 0..services.len() {
        if !is(&services[at], &["nginx"]) || services[at].ordered {
            continue;
        }
        let apps: Vec<usize> = (0..services.len())
            .filter(|app| is(&services[*app], &["gunicorn", "uwsgi"]) && services[*app].spec.enabled)
            .filter(|app| !waits_for(services, *app, at))
            .collect();
        if apps.is_empty() {
            continue;
        }
        let names: Vec<String> = apps.iter().map(|app| format!("\"{}\"", services[*app].spec.name)).collect();
        let web = &mut services[at];
        let place = web.name;
        web.adjusted.push(format!("added after = [{}]; `after = []` for no order", names.join(", ")));
        let one = |app: usize| Dependency { service: ServiceId(app as u32), condition: Condition::Ready };
        web.spec.after = web.spec.after.iter().copied().chain(apps.iter().map(|app| one(*app))).collect();
        web.after.extend(apps.iter().map(|_| place));
    }
}

/// Whether one waits for the other, directly or not.
fn waits_for(services: &[Resolved], one: usize, other: usize) -> bool {
    let (mut seen, mut stack) = (vec![false; services.len()], vec![one]);
    while let Some(at) = stack.pop() {
        if at == other {
            return true;
        }
        if !std::mem::replace(&mut seen[at], true) {
            let spec = &services[at].spec;
            stack.extend(spec.requires.iter().chain(&spec.after).map(|it| it.service.index()));
        }
    }
    false
}
