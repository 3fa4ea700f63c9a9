//! Services that wait for one another for ever.

use super::diagnostics::Problems;
use super::service::Resolved;
use crate::core::plan::ServiceSpec;

/// Says each cycle of `requires` and `after` with its path, once.
pub fn check(services: &[Resolved], problems: &mut Problems) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; services.len()];
    // Services on the way from the root, each with the number of its next dependency.
    let mut path: Vec<(usize, usize)> = Vec::new();
    for root in 0..services.len() {
        if marks[root] != Mark::New {
            continue;
        }
        marks[root] = Mark::Open;
        path.push((root, 0));
        while let Some((at, next)) = path.last_mut() {
            let (at, number) = (*at, *next);
            *next += 1;
            match dependency(&services[at], number) {
                None => {
                    marks[at] = Mark::Done;
                    path.pop();
                }
                Some(to) => match marks[to] {
                    Mark::New => {
                        marks[to] = Mark::Open;
                        path.push((to, 0));
                    }
                    Mark::Open => {
                        let from = path.iter().position(|(service, _)| *service == to).unwrap_or(0);
                        say(&path[from..], services, problems);
                    }
                    Mark::Done => {}
                },
            }
        }
    }
}

fn dependency(service: &Resolved, number: usize) -> Option<usize> {
    let ServiceSpec { requires, after, .. } = &service.spec;
    let found = requires.get(number).or_else(|| after.get(number - requires.len()))?;
    Some(found.service.index())
}

fn say(cycle: &[(usize, usize)], services: &[Resolved], problems: &mut Problems) {
    let mut names: Vec<&str> = cycle.iter().map(|(at, _)| &*services[*at].spec.name).collect();
    names.push(names[0]);
    let path = if names.len() > 20 {
        format!("{} → … ({} services) → {}", names[..10].join(" → "), names.len() - 1, names[0])
    } else {
        names.join(" → ")
    };
    let place = |(at, next): (usize, usize)| {
        let service = &services[at];
        let mut all = service.requires.iter().chain(&service.after);
        all.nth(next - 1).copied().unwrap_or(service.name)
    };
    let message = format!("services wait for one another: {path}");
    let problem = problems.error(place(cycle[cycle.len() - 1]), message);
    problem.mark("one of these must not wait");
    for step in cycle.iter().take(cycle.len() - 1).take(5) {
        problem.see(place(*step), format!("{} waits", services[step.0].spec.name));
    }
}
