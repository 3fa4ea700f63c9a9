//! Reading the configuration again, and going over to what it says: `minisup update`, HUP.
//!
//! The same files are read as at the start, in the same world: the same arguments, the environment
//! that minisup was given, the same user; only /etc/passwd and /etc/group are read anew. If
//! anything is wrong with them, everything that is wrong is said, and nothing changes. Nor does it if no
//! service would be left. Otherwise
//! the new plan goes to the core, which knows who is to be stopped, replaced and launched, and in
//! which order; one update after the other. What the loop itself keeps of a plan changes as soon
//! as the core has gone over to it ([`Turn::follow_plan`]).
//!
//! All of this happens in the loop, as it does at boot: reading 1,000 services takes some 25 ms, 50 of
//! them 2 ms. Only regular files are read, for a pipe would keep the loop waiting.

use super::turn::Turn;
use crate::config::{self, Became, Loaded, Surroundings};
use crate::control::wire::{ChangeKind, Changed, ChangedKey, ErrorKind, Updated};
use crate::core::action::Reply;
use crate::core::difference::{self, Difference};
use crate::core::ids::RequestId;
use crate::core::input::{Input, Request};
use crate::core::plan::Plan;
use crate::core::secrets::Secrets;
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::sys::{clock, memory};
use ::log::{debug, error, info, warn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

/// Updates that nobody but a signal has asked for have numbers from here on.
const BY_SIGNAL: u64 = 1 << 63;

/// So many services are named in one line of the log.
const NAMED: usize = 20;

/// What is answered to an update after which nothing would be left.
const NOTHING: &str = "it has no service that is enabled any more: a file may be half-written, or a folder of `include` away\n\
    (to end everything: `minisup shutdown`)";

/// Where the configuration came from: what is needed to read it again.
#[derive(Debug)]
pub struct Origin {
    files: Vec<PathBuf>,
    /// Whom minisup was started as, and whom it became then. What the configuration means does not
    /// change by that, nor by another `[supervisor] user`.
    euid: u32,
    egid: u32,
    became: Became,
    /// What a service was given instead of its own arguments.
    arguments: Vec<String>,
}

impl Origin {
    /// These files, read in this world.
    pub fn new(files: Vec<PathBuf>, around: &Surroundings, became: Became) -> Origin {
        let arguments = around.arguments.clone();
        Origin { files, euid: around.euid, egid: around.egid, became, arguments }
    }

    /// Reads it again.
    fn read(&self) -> Result<Loaded, String> {
        let now = Surroundings::here();
        let uid = now.euid;
        let became = Some(self.became.clone());
        let arguments = self.arguments.clone();
        let around =
            Surroundings { euid: self.euid, egid: self.egid, only_files: true, became, arguments, ..now };
        // Whatever may be wrong with us or with it: services go on.
        let loaded = catch_unwind(AssertUnwindSafe(|| config::load(&self.files, &around)));
        let Ok(loaded) = loaded else {
            return Err("a fault of minisup itself, while it read the configuration".into());
        };
        loaded.map_err(|errors| {
            let mut report = errors.report();
            if uid != self.euid && report.contains("permission denied") {
                report += &format!(
                    "\nminisup has become user {uid} ([supervisor] user) and reads as that user now",
                );
            }
            report
        })
    }
}

/// What is known of updates.
pub(super) struct Updates {
    origin: Origin,
    /// What the loop follows. Weak, so that the core may change it in its place.
    followed: Weak<Plan>,
    /// In the order in which they were given to the core.
    open: Vec<Open>,
    /// A signal came while the update of an earlier one waited for its turn.
    again: bool,
    by_signal: u64,
}

/// An update that the core has not answered.
struct Open {
    id: RequestId,
    since: Moment,
    /// What changes, once it has its turn.
    updated: Option<Updated>,
}

impl Updates {
    pub(super) fn new(origin: Origin, plan: &Rc<Plan>) -> Updates {
        Updates {
            origin,
            followed: Rc::downgrade(plan),
            open: Vec::new(),
            again: false,
            by_signal: BY_SIGNAL,
        }
    }

    /// Whether this request is an update that is under way.
    pub(super) fn is_open(&self, id: RequestId) -> bool {
        self.open.iter().any(|open| open.id == id)
    }

    /// Those that wait for their turn.
    fn waiting(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.open.iter().filter(|open| open.updated.is_none()).map(|open| open.id)
    }
}

/// What became of a client's request at once.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing more is to come.
    Updated(Updated),
    /// It was not even tried.
    Error(ErrorKind, String),
    /// The core will reply: see [`Turn::updated`]. What is to change, as far as is known.
    Later(Updated),
}

impl Turn {
    /// Whether the signal is our own to heed, and means an update.
    pub(super) fn means_update(&self, signal: Signal) -> bool {
        signal == Signal::HUP && self.supervisor.plan().signals.iter().all(|(of, _)| *of != signal)
    }

    /// HUP: whoever sent it reads the log. While the update of one waits for its turn, all others
    /// are one.
    pub(super) fn update_by_signal(&mut self) {
        if self.updates.waiting().any(|id| id.0 >= BY_SIGNAL) {
            self.updates.again = true;
            return;
        }
        self.updates.by_signal += 1;
        match self.update(RequestId(self.updates.by_signal), false) {
            Answer::Error(_, text) => {
                error!("got HUP, but the configuration cannot be used; nothing has changed");
                text.lines().filter(|line| !line.is_empty()).for_each(|line| error!("{line}"));
            }
            // What becomes of it is said there.
            Answer::Updated(_) | Answer::Later(_) => {}
        }
    }

    /// Reads the configuration again and, unless it is a `dry_run`, goes over to it.
    pub(super) fn update(&mut self, id: RequestId, dry_run: bool) -> Answer {
        let since = clock::now();
        let loaded = self.updates.origin.read();
        debug!("the configuration has been read in {:?}", clock::now().since(since));
        let answer = match loaded {
            Err(text) => Answer::Error(ErrorKind::BadConfiguration, text),
            Ok(loaded) if self.loses_all(&loaded.plan) => {
                Answer::Error(ErrorKind::BadConfiguration, NOTHING.into())
            }
            Ok(loaded) if dry_run => Answer::Updated(self.changes(&loaded.plan, dry_run)),
            Ok(loaded) => self.go_over(id, loaded, since),
        };
        memory::give_back_before_sleep();
        answer
    }

    /// A file that is just being written is empty for a moment, a folder is away with its volume: an update
    /// to nothing is not meant, and would end the container with 0.
    fn loses_all(&self, plan: &Plan) -> bool {
        let has_any = |plan: &Plan| plan.services.iter().any(|spec| spec.enabled);
        has_any(self.supervisor.plan()) && !has_any(plan)
    }

    fn go_over(&mut self, id: RequestId, Loaded { plan, warnings, .. }: Loaded, since: Moment) -> Answer {
        for warning in &warnings {
            warning.to_string().lines().for_each(|line| warn!("{line}"));
        }
        let updated = self.changes(&plan, false);
        if self.updates.waiting().next().is_none() && is_nothing(&updated) {
            info!("update: nothing has changed");
            return Answer::Updated(updated);
        }
        if let Err(why) = self.sockets.open(&plan) {
            return Answer::Error(ErrorKind::BadConfiguration, why);
        }
        self.updates.open.push(Open { id, since, updated: None });
        self.tell(Input::Request(id, Request::Update(Rc::new(plan))));
        Answer::Later(updated)
    }

    fn changes(&self, plan: &Plan, dry_run: bool) -> Updated {
        on_the_wire(&self.supervisor.difference(plan), dry_run)
    }

    /// The core has begun with the first of those that waited.
    pub(super) fn update_began(&mut self, difference: &Difference) {
        let services = self.supervisor.order().len();
        let Some(open) = self.updates.open.iter_mut().find(|open| open.updated.is_none()) else { return };
        let updated = on_the_wire(difference, false);
        tell(&updated, services);
        open.updated = Some(updated);
        if open.id.0 >= BY_SIGNAL && std::mem::take(&mut self.updates.again) {
            self.update_by_signal();
        }
    }

    /// The core has answered a request: what was updated, if it was about that.
    pub(super) fn updated(&mut self, id: RequestId, reply: &Reply) -> Option<Updated> {
        let index = self.updates.open.iter().position(|open| open.id == id)?;
        let open = self.updates.open.remove(index);
        match reply {
            Reply::Failed(refusal) => error!("update: {}", refusal.text),
            Reply::Done | Reply::Status(_) => {
                info!("update: done after {:.1} s", clock::now().since(open.since).as_secs_f64());
            }
        }
        memory::give_back_before_sleep();
        open.updated
    }

    /// The core may have gone over to another plan: then what the loop keeps of it follows.
    pub(super) fn follow_plan(&mut self) {
        let plan = self.supervisor.plan();
        if std::ptr::eq(self.updates.followed.as_ptr(), Rc::as_ptr(plan)) {
            return;
        }
        self.updates.followed = Rc::downgrade(plan);
        let plan = Rc::clone(plan);
        for (signal, _) in &plan.signals {
            if let Err(error) = self.signals.add(*signal) {
                warn!("cannot catch {signal}: {error}");
            }
        }
        self.launches.keep_only(&plan);
        self.sockets.follow(&plan);
        self.release_sockets();
        let spec = &plan.supervisor;
        let look = super::boot::look(&plan);
        let supervisor = &self.supervisor;
        let secrets = Secrets::of(&plan.services);
        self.reporter.conceal(secrets.clone());
        self.pump.restyle(spec.log_level, look, secrets, |instance| {
            let (_, number) = supervisor.whose(instance);
            let spec = supervisor.spec_of(instance);
            let sinks = [spec.stdout.clone(), spec.stderr.clone()];
            Some(((spec.instances > 1).then_some(number), sinks, spec.log))
        });
        // Before anybody is told that the update is done: from then on no change is missed.
        self.prepare_rounds();
    }
}

fn is_nothing(updated: &Updated) -> bool {
    updated.services.is_empty() && updated.other.is_empty()
}

/// The difference, as clients get it.
fn on_the_wire(difference: &Difference, dry_run: bool) -> Updated {
    let keys = |all: &[difference::ChangedKey]| {
        let key = |it: &difference::ChangedKey| ChangedKey {
            key: it.key.clone(),
            from: it.from.clone(),
            to: it.to.clone(),
            needs_restart: it.needs_restart,
        };
        all.iter().map(key).collect()
    };
    let service = |it: &difference::Changed| Changed {
        service: it.name.to_string(),
        change: match it.kind {
            difference::ChangeKind::Added => ChangeKind::Added,
            difference::ChangeKind::Removed => ChangeKind::Removed,
            difference::ChangeKind::Replaced => ChangeKind::Replaced,
            difference::ChangeKind::InPlace => ChangeKind::InPlace,
        },
        keys: keys(&it.keys),
    };
    Updated {
        dry_run,
        services: difference.services.iter().map(service).collect(),
        other: keys(&difference.other),
    }
}

/// Says what is about to change, in one line, and what cannot.
fn tell(updated: &Updated, services: usize) {
    if is_nothing(updated) {
        return info!("update: nothing has changed");
    }
    info!("update: {}", summary(updated, services));
    for key in updated.other.iter().filter(|key| key.needs_restart) {
        warn!("{} has changed: only a new start of minisup applies it", key.key);
    }
}

/// "web replaced (command), api in place (backoff.max), old removed, 48 unchanged".
fn summary(updated: &Updated, services: usize) -> String {
    let keys = |keys: &[ChangedKey]| keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>().join(", ");
    let one = |changed: &Changed| match changed.change {
        ChangeKind::Added => format!("{} added", changed.service),
        ChangeKind::Removed => format!("{} removed", changed.service),
        ChangeKind::Replaced => format!("{} replaced ({})", changed.service, keys(&changed.keys)),
        ChangeKind::InPlace => format!("{} in place ({})", changed.service, keys(&changed.keys)),
    };
    let mut parts: Vec<String> = updated.services.iter().take(NAMED).map(one).collect();
    if updated.services.len() > NAMED {
        parts.push(format!("{} more", updated.services.len() - NAMED));
    }
    if !updated.other.is_empty() {
        parts.push(keys(&updated.other));
    }
    let removed = updated.services.iter().filter(|it| it.change == ChangeKind::Removed).count();
    match (services + removed).saturating_sub(updated.services.len()) {
        0 => {}
        unchanged => parts.push(format!("{unchanged} unchanged")),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(service: &str, change: ChangeKind, keys: &[&str]) -> Changed {
        let key = |key: &&str| ChangedKey {
            key: key.to_string(),
            from: "1".into(),
            to: "2".into(),
            needs_restart: false,
        };
        Changed { service: service.into(), change, keys: keys.iter().map(key).collect() }
    }

    #[test]
    fn what_changes_is_said_in_one_line() {
        let services = vec![
            changed("web", ChangeKind::Replaced, &["command", "user"]),
            changed("api", ChangeKind::InPlace, &["backoff.max"]),
            changed("new", ChangeKind::Added, &[]),
            changed("old", ChangeKind::Removed, &[]),
        ];
        let updated = Updated { dry_run: false, services, other: Vec::new() };
        let said =
            "web replaced (command, user), api in place (backoff.max), new added, old removed, 48 unchanged";
        assert_eq!(summary(&updated, 51), said);
    }

    #[test]
    fn a_line_about_many_services_stays_a_line() {
        let services = (0..1000).map(|n| changed(&format!("s{n}"), ChangeKind::Added, &[])).collect();
        let updated = Updated { dry_run: false, services, other: Vec::new() };
        let said = summary(&updated, 1000);
        assert!(said.ends_with("s19 added, 980 more") && said.len() < 400, "{said}");
    }
}
