//! `requires` and `after`: whom a service waits for, and for what.

use super::diagnostics::{Problems, Span, did_you_mean};
use super::view::View;
use crate::core::ids::ServiceId;
use crate::core::plan::{Condition, Dependency, Kind};
use crate::core::sorted::Map;

/// `requires` or `after`: the same service once, at its strongest.
pub(super) fn dependencies(
    view: &View<'_>,
    key: &'static str,
    own: &str,
    names: &Map<&str, (ServiceId, Kind)>,
    problems: &mut Problems,
) -> (Vec<Dependency>, Vec<Span>) {
    let mut found: Vec<(Dependency, Span)> = Vec::new();
    let mut places: Map<Dependency, usize> = Map::new();
    let field = view.get(key);
    for (text, element) in field.and_then(|field| field.texts(problems)).unwrap_or_default() {
        let (name, condition) = match text.split_once(':') {
            Some((name, condition)) => (name, Some(condition)),
            None => (text, None),
        };
        let Some((service, kind)) = names.get(name).copied() else {
            problems.no_service(element.span(), name, names.keys().copied());
            continue;
        };
        if name == own && element.layer > 0 {
            // `requires` in [defaults] is meant for all the others.
            continue;
        }
        if name == own {
            problems.error(element.span(), format!("`{key}`: a service cannot wait for itself"));
            continue;
        }
        let condition = match (condition, kind) {
            (None, Kind::Longrun) | (Some("ready"), _) => Condition::Ready,
            (None, Kind::Oneshot) | (Some("done"), Kind::Oneshot) => Condition::Done,
            (Some("started"), _) => Condition::Started,
            (Some("healthy"), _) => Condition::Healthy,
            (Some("done"), Kind::Longrun) => {
                let message = format!("\"{name}\" is a longrun: it is never done");
                problems.error(element.span(), message).mark(format!("\"{name}:ready\"?"));
                continue;
            }
            (Some(wrong), _) => {
                let known = ["started", "ready", "healthy", "done"];
                let message = format!("\"{wrong}\" is none of {}", known.join(", "));
                let problem = problems.error(element.span(), message);
                if let Some(near) = did_you_mean(wrong, known) {
                    problem.mark(format!("did you mean \"{name}:{near}\"?"));
                }
                continue;
            }
        };
        let dependency = Dependency { service, condition };
        if places.insert(dependency, found.len()).is_none() {
            found.push((dependency, element.span()));
        }
    }
    found.into_iter().unzip()
}
