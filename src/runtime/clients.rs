//! What clients ask, in the core's words, and the core's answers, in theirs.
//!
//! A request that changes something becomes a [`Request`] of the core, which answers when it
//! is true. Until then it is open; if the client goes away in the meantime the core is told
//! to forget that somebody asked. What only reads is answered at once.

use super::answers;
use super::names::{self, Refused};
use super::readers::{Past, Reader};
use super::report::Line;
use super::turn::Turn;
use super::update::Answer;
use crate::config::diagnostics::did_you_mean;
use crate::control::listen::{Listener, Owner, Unusable};
use crate::control::place;
use crate::control::server::{ClientId, Heard, House, Server};
use crate::control::wire::{self, ErrorKind};
use crate::core::action::{Change, Refusal, Reply};
use crate::core::ids::{InstanceId, RequestId, ServiceId};
use crate::core::input::{Input, Request};
use crate::core::instance::State;
use crate::core::phase::Phase;
use crate::core::plan::{Kind, SupervisorSpec};
use crate::core::signal::Signal;
use crate::sys::{clock, peer, pid1};
use log::{info, warn};
use std::io;
use std::path::Path;
use std::time::Duration;

/// So many of its last lines are shown with a service's failure.
const LAST: usize = 20;
/// The same of one that was to replace another: as much as a ring holds, or nearly.
const LAST_OF_SUCCESSOR: usize = 120;

/// All clients, and what they wait for.
pub(super) struct Clients {
    pub(super) server: Server,
    open: Vec<Open>,
    /// Clients that follow events.
    followers: Vec<ClientId>,
    /// Clients that read logs.
    pub(super) readers: Vec<Reader>,
    next: u64,
}

/// A request that the core has not answered.
struct Open {
    id: RequestId,
    client: ClientId,
    /// Of `status`: who was asked for; nobody means all.
    chosen: Vec<InstanceId>,
}

/// What becomes of a request.
enum Begun {
    /// It is answered now.
    Answered(wire::Reply),
    /// It is answered later, or never.
    Open,
}

impl Clients {
    /// Listens where the configuration says, or where else we may. That nobody can reach us is a
    /// pity, but no reason not to run.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn listen(spec: &SupervisorSpec) -> io::Result<Clients> {
        let group = spec.control_group;
        let house = House {
            clock: clock::now,
            dropped: |count| answers::dropped(count, "events"),
            may_command: Box::new(move |client| peer::may_command(&client, group)),
        };
        let server = Server::new(find_place(spec), house)?;
        Ok(Clients { server, open: Vec::new(), followers: Vec::new(), readers: Vec::new(), next: 0 })
    }

    /// Returns when a client has something for us.
    pub(super) async fn ready(&self) {
        self.server.ready().await;
    }

    /// The end: see [`Server::finish`].
    pub(super) fn finish(&mut self, within: Duration) {
        self.server.finish(within);
    }

    /// Whether anybody follows events.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    fn open(&mut self, client: ClientId, chosen: Vec<InstanceId>) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.open.push(Open { id, client, chosen });
        id
    }

    fn close(&mut self, id: RequestId) -> Option<Open> {
        let index = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.swap_remove(index))
    }
}

/// The first place that can be had.
fn find_place(spec: &SupervisorSpec) -> Option<Listener> {
    let user = spec.credentials.as_ref().map(|who| (who.uid, who.gid));
    let owner = Owner { user, group: spec.control_group };
    let uid = user.map_or_else(pid1::own_uid, |(uid, _)| uid);
    let configured = spec.control_socket.as_path();
    let mut why_not = None;
    for path in place::of_supervisor(configured, uid) {
        match Listener::open(&path, owner) {
            Ok(listener) => {
                if let Some(why) = why_not {
                    info!("the control socket is {} ({why})", path.display());
                }
                return Some(listener);
            }
            Err(unusable) => {
                let why = obstacle(&path, &unusable);
                // Somebody else's supervisor is no ordinary reason.
                if matches!(unusable, Unusable::InUse(_) | Unusable::NoSocket) {
                    warn!("{why}");
                }
                why_not.get_or_insert(why);
            }
        }
    }
    warn!(
        "there is no control socket, so no command will reach this supervisor: {}",
        why_not.unwrap_or_default()
    );
    None
}

fn obstacle(path: &Path, unusable: &Unusable) -> String {
    let whose = match unusable {
        Unusable::InUse(theirs) => match peer::of(theirs) {
            Ok(peer) => format!(" (pid {}, uid {})", peer.pid, peer.uid),
            Err(_) => String::new(),
        },
        Unusable::NoSocket | Unusable::Io(_) => String::new(),
    };
    format!("cannot listen at {}: {unusable}{whose}", path.display())
}

impl Turn {
    /// Hears all clients once.
    pub(super) fn take_clients(&mut self) {
        self.clients.server.turn();
        while let Some(heard) = self.clients.server.poll_heard() {
            match heard {
                Heard::Asked(client, request) => self.asked(client, request),
                Heard::Emptied(client) => self.pour(client),
                Heard::Gone(client) => self.gone(client),
            }
            self.perform_all();
        }
    }

    fn asked(&mut self, client: ClientId, request: wire::Request) {
        match self.begin(client, request) {
            Ok(Begun::Open) => {}
            Ok(Begun::Answered(reply)) => self.clients.server.answer(client, &reply),
            Err((error, message)) => {
                let message = self.reporter.masked(message);
                self.clients.server.answer(client, &wire::Reply::Error { error, message });
            }
        }
    }

    fn gone(&mut self, client: ClientId) {
        self.clients.followers.retain(|follower| *follower != client);
        self.stop_reading(client);
        let open = self.clients.open.iter().find(|open| open.client == client).map(|open| open.id);
        if let Some(id) = open {
            self.clients.close(id);
            // An update goes on, and its end is said in the log.
            if !self.updates.is_open(id) {
                self.tell(Input::Abandoned(id));
            }
        }
    }

    fn begin(&mut self, client: ClientId, request: wire::Request) -> Result<Begun, Refused> {
        match request {
            wire::Request::Status { names } => {
                let chosen = match names.is_empty() {
                    true => Vec::new(),
                    false => names::instances(&self.supervisor, &names)?,
                };
                let id = self.clients.open(client, chosen);
                self.tell(Input::Request(id, Request::Status));
                Ok(Begun::Open)
            }
            wire::Request::Start { names, wait } => {
                let services = names::services(&self.supervisor, &names, |it| self.is_to_start(it))?;
                Ok(self.ask_core(client, Request::Start(services), wait))
            }
            wire::Request::Restart { names, wait } => {
                let services = names::services(&self.supervisor, &names, |it| self.is_to_start(it))?;
                Ok(self.ask_core(client, Request::Restart(services), wait))
            }
            wire::Request::Stop { names, wait } => {
                let services = names::services(&self.supervisor, &names, |_| true)?;
                Ok(self.ask_core(client, Request::Stop(services), wait))
            }
            wire::Request::Reload { names, wait } => {
                let reloads = |it| {
                    self.supervisor.plan().service(it).reload.is_some() || self.supervisor.reloads_by_roll(it)
                };
                let can = |it| self.runs(it) && reloads(it);
                let services = names::services(&self.supervisor, &names, can)?;
                if services.is_empty() {
                    return Ok(failed("there is no service that runs and has `reload`"));
                }
                Ok(self.ask_core(client, Request::Reload(services), wait))
            }
            wire::Request::Signal { names, signal } => {
                let signal = parse_signal(&signal)?;
                let services = names::services(&self.supervisor, &names, |it| self.runs(it))?;
                if services.is_empty() {
                    return Ok(failed("there is no service that runs"));
                }
                Ok(self.ask_core(client, Request::Signal(services, signal), true))
            }
            wire::Request::Wait { names } => {
                let wishes = names::wishes(&self.supervisor, &names)?;
                Ok(self.ask_core(client, Request::Wait(wishes), true))
            }
            wire::Request::Shutdown { timeout } => {
                let within = timeout.map(|seconds| Duration::from_secs(seconds.into()));
                Ok(self.ask_core(client, Request::Shutdown(within), true))
            }
            wire::Request::Health => {
                Ok(Begun::Answered(wire::Reply::Health(answers::health(&self.supervisor, &self.reporter))))
            }
            wire::Request::Events => {
                let phase = self.supervisor.phase();
                let is = if phase == Phase::Boot { "starting" } else { phase.name() };
                let message = format!("following; the supervisor is {is}");
                let event = answers::event(&self.supervisor, &Change::Phase(phase), message);
                self.clients.server.send(client, &wire::Reply::Event(event));
                self.clients.followers.push(client);
                Ok(Begun::Open)
            }
            wire::Request::Logs { names, lines, follow, last_launch } => {
                let mut chosen = names::instances(&self.supervisor, &names)?;
                // Also what its processes before wrote, if they had another slot.
                let other = |id: InstanceId| self.supervisor.partner_of(id).filter(|_| !last_launch);
                chosen.extend(chosen.clone().into_iter().filter_map(other));
                self.read_logs(client, &chosen, names, Past { lines, last_launch }, follow);
                Ok(Begun::Open)
            }
            wire::Request::Update { dry_run, wait } => {
                let id = self.clients.open(client, Vec::new());
                let begun = match self.update(id, dry_run) {
                    Answer::Later(_) if wait => return Ok(Begun::Open),
                    Answer::Later(updated) => {
                        self.perform_all();
                        Ok(match self.clients.close(id) {
                            Some(_) => Begun::Answered(wire::Reply::Updated(updated)),
                            None => Begun::Open,
                        })
                    }
                    Answer::Updated(updated) => Ok(Begun::Answered(wire::Reply::Updated(updated))),
                    Answer::Error(error, message) => Err((error, message)),
                };
                self.clients.close(id);
                begun
            }
        }
    }

    /// Asks the core. Without `wait` the client is only told of what fails at once.
    fn ask_core(&mut self, client: ClientId, request: Request, wait: bool) -> Begun {
        let id = self.clients.open(client, Vec::new());
        self.tell(Input::Request(id, request));
        if wait {
            return Begun::Open;
        }
        self.perform_all();
        match self.clients.close(id) {
            Some(_) => {
                self.tell(Input::Abandoned(id));
                Begun::Answered(wire::Reply::Done)
            }
            None => Begun::Open,
        }
    }

    /// Whether `start all` means it: it is enabled, and no oneshot that has done its work.
    fn is_to_start(&self, service: ServiceId) -> bool {
        let spec = self.supervisor.plan().service(service);
        let is_done = |id: InstanceId| match self.supervisor.instance(id).state {
            State::Exited { outcome } => spec.is_success(outcome),
            _ => false,
        };
        let mut instances = self.supervisor.instances_of(service);
        spec.enabled && !(spec.kind == Kind::Oneshot && instances.all(is_done))
    }

    /// Whether it has a process.
    fn runs(&self, service: ServiceId) -> bool {
        self.supervisor.instances_of(service).any(|id| self.supervisor.instance(id).pid().is_some())
    }

    /// The core has answered.
    pub(super) fn answer(&mut self, id: RequestId, reply: Reply) {
        let updated = self.updated(id, &reply);
        let Some(open) = self.clients.close(id) else { return };
        let reply = match reply {
            Reply::Done => updated.map_or(wire::Reply::Done, wire::Reply::Updated),
            Reply::Status(snapshot) => wire::Reply::Status(answers::status(
                &self.supervisor,
                &self.reporter,
                &self.rounds.schedules,
                &snapshot,
                &open.chosen,
            )),
            Reply::Failed(Refusal { text, instance }) => wire::Reply::Failed {
                message: self.reporter.masked(text),
                service: instance.map(|id| self.reporter.name(&self.supervisor, id).to_string()),
                log: instance.map(|id| self.last_lines(id, self.worth_telling(id))).unwrap_or_default(),
            },
        };
        self.clients.server.answer(open.client, &reply);
    }

    /// Tells whoever follows; `line` is what the log has of it.
    pub(super) fn tell_followers(&mut self, change: &Change, line: Line) {
        if matches!(change, Change::State { from, to, .. } if from.name() == to.name()) {
            // One step to people: a launch and its exec.
            return;
        }
        let event = wire::Reply::Event(answers::event(&self.supervisor, change, line.text));
        let bytes = wire::line(&event);
        for follower in &self.clients.followers {
            self.clients.server.tell(*follower, &bytes);
        }
    }

    /// How many of the last lines tell why it failed. Whoever was to replace another has written nothing
    /// else, and when each of its workers has said the same, the place of the fault stands far above.
    fn worth_telling(&self, instance: InstanceId) -> usize {
        if self.supervisor.is_shadow(instance) { LAST_OF_SUCCESSOR } else { LAST }
    }

    /// The last lines that an instance printed since it was launched: what it said before is no reason.
    fn last_lines(&mut self, instance: InstanceId, count: usize) -> Vec<String> {
        let lines = self.pump.last_lines_of_launch(instance, count);
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }
}

fn failed(message: &str) -> Begun {
    Begun::Answered(wire::Reply::Failed { message: message.into(), service: None, log: Vec::new() })
}

fn parse_signal(text: &str) -> Result<Signal, Refused> {
    Signal::parse(text).ok_or_else(|| {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let near = did_you_mean(bare, Signal::names());
        let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        (ErrorKind::BadRequest, format!("\"{text}\" is not a signal{meant}"))
    })
}
