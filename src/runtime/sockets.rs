//! Sockets that are opened for services and held.
//!
//! They are opened before anything starts, while we still may: a privileged port needs no
//! privileged service. We hold them over restarts, so that whoever comes meanwhile waits in the
//! kernel's queue instead of being refused; an update opens what is new before anything changes,
//! and closes what nobody has any more when the last process that was given it has ended.
//!
//! When everything stops, our copy is closed as soon as its service is asked to end. Then the
//! service's own is the last, and with it go those who wait: nobody waits for us in vain.

use super::turn::Turn;
use crate::core::ids::{InstanceId, ServiceId};
use crate::core::plan::{
    HeldSocket, Plan, ProbeAddress, ServiceSpec, SocketAddress, SocketOptions, Sockets, Told,
};
use crate::core::socket::FIRST_FD;
use crate::core::sorted::{Map, Set};
use crate::sys::pid1;
use crate::sys::socket::Listener;
use crate::sys::words::Words;
use ::log::{debug, info, warn};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// All that are open, by their addresses.
#[derive(Default)]
pub(super) struct Held {
    open: Map<SocketAddress, (HeldSocket, Listener)>,
    /// Doors of processes that are not known to be ready yet.
    doors: Map<InstanceId, HeldSocket>,
    /// Where doors are made: folders, best first.
    folders: Vec<PathBuf>,
    serial: u64,
    /// There may be some that nobody has any more.
    has_spare: bool,
}

/// What a child is given of them.
#[derive(Default)]
pub(super) struct Given {
    /// Ours, and the numbers at which it finds them.
    pub(super) fds: Vec<(RawFd, RawFd)>,
    /// The name of a variable that is to hold its own pid.
    pub(super) pid_variable: Option<&'static str>,
    /// Its door: from now on it is the child's alone.
    door: Option<Listener>,
}

impl Held {
    /// Opens all that the plan's enabled services have and that are not open yet.
    ///
    /// # Errors
    /// Which one cannot be opened, and why; then none has been.
    pub(super) fn open(&mut self, plan: &Plan) -> Result<(), String> {
        let mut opened = Vec::new();
        for spec in plan.services.iter().filter(|spec| spec.enabled) {
            for socket in of(spec) {
                match self.open_one(spec, socket) {
                    Ok(false) => {}
                    Ok(true) => opened.push(socket.address.clone()),
                    Err(why) => {
                        opened.iter().for_each(|address| self.close(address));
                        return Err(why);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether it was not open before.
    fn open_one(&mut self, spec: &ServiceSpec, socket: &HeldSocket) -> Result<bool, String> {
        if self.open.contains_key(&socket.address) {
            return Ok(false);
        }
        let (address, name) = (&socket.address, &socket.name);
        let listener = Listener::open(socket)
            .map_err(|why| format!("cannot listen at {address} (sockets.{name} of {}): {why}", spec.name))?;
        debug!("{}: {address} is open", spec.name);
        self.open.insert(address.clone(), (socket.clone(), listener));
        Ok(true)
    }

    fn close(&mut self, address: &SocketAddress) {
        if let Some((_, listener)) = self.open.remove(address) {
            listener.remove_file(address);
        }
    }

    /// The core has gone over to this plan.
    pub(super) fn follow(&mut self, plan: &Plan) {
        self.has_spare = !self.open.is_empty();
        for socket in plan.services.iter().flat_map(of) {
            let Some((held, listener)) = self.open.get_mut(&socket.address) else { continue };
            if held == socket {
                continue;
            }
            if let Err(why) = listener.adjust(socket) {
                warn!("cannot change {}: {why}", socket.address);
            }
            let fixed =
                |it: &HeldSocket| (it.options.reuse_address, it.options.reuse_port, it.options.only_v6);
            if fixed(held) != fixed(socket) {
                warn!("{}: only a new start of minisup applies its other options", socket.address);
            }
            *held = socket.clone();
        }
    }

    /// Doors are made in these folders, best first.
    pub(super) fn with_doors_in(mut self, folders: Vec<PathBuf>) -> Held {
        self.folders = folders;
        self
    }

    /// What a child is given, and what it is told of it; a door, too, if this is an instance.
    pub(super) fn give(
        &mut self,
        spec: &ServiceSpec,
        instance: Option<InstanceId>,
        environment: &mut Words,
    ) -> Result<Given, String> {
        let Some(sockets) = spec.sockets.as_deref() else { return Ok(Given::default()) };
        let mut given = Given::default();
        for (index, socket) in sockets.list.iter().enumerate() {
            // Of a service that is not enabled, but has been asked for.
            self.open_one(spec, socket)?;
            let listener = self.open.get(&socket.address).map(|(_, listener)| listener);
            if let Some(listener) = listener.filter(|_| sockets.told == Told::AsNginx) {
                // It believes that a predecessor of its own has set this, and its workers race for each
                // connection: the loser would wait in accept(2), for ever, with all its clients.
                listener.let_nobody_wait().map_err(|why| why.to_string())?;
            }
            let fd = listener.and_then(Listener::descriptor);
            let fd = fd.ok_or_else(|| format!("{} is closed", socket.address))?;
            given.fds.push((fd, FIRST_FD + index as i32));
        }
        if let Some(instance) = instance.filter(|_| sockets.door) {
            let door = self.make_door(instance, spec)?;
            given.fds.extend(door.descriptor().map(|fd| (fd, FIRST_FD + sockets.list.len() as i32)));
            given.door = Some(door);
        }
        describe(sockets, &mut given, environment);
        Ok(given)
    }

    /// A socket of this process alone, for the question whether it is ready.
    fn make_door(&mut self, instance: InstanceId, spec: &ServiceSpec) -> Result<Listener, String> {
        self.shut_door(instance);
        self.serial += 1;
        let owner = spec.launch.extra.as_ref().and_then(|extra| extra.credentials.as_ref());
        let options = SocketOptions {
            mode: 0o600,
            owner: (owner.map(|who| who.uid), owner.map(|who| who.gid)),
            ..SocketOptions::default()
        };
        let mut last = String::new();
        for folder in &self.folders {
            let path = folder.join(format!("minisup-door-{}-{}.sock", pid1::own_pid(), self.serial));
            let address = SocketAddress::Unix(path);
            let door = HeldSocket { name: DOOR.into(), address, backlog: 8, options };
            match Listener::open(&door) {
                Ok(listener) => {
                    self.doors.insert(instance, door);
                    return Ok(listener);
                }
                Err(why) => last = format!("cannot make {} to ask whether it is ready: {why}", door.address),
            }
        }
        Err(last)
    }

    /// Where to ask this instance whether it is ready, if it has a door.
    pub(super) fn door_of(&self, instance: InstanceId) -> Option<ProbeAddress> {
        match &self.doors.get(&instance)?.address {
            SocketAddress::Unix(path) => Some(ProbeAddress::Unix(path.clone())),
            SocketAddress::Tcp(_) => None,
        }
    }

    /// Nobody comes by this door any more.
    pub(super) fn shut_door(&mut self, instance: InstanceId) {
        if let Some(HeldSocket { address: SocketAddress::Unix(path), .. }) = self.doors.remove(&instance) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Everything stops: these are closed, but their files stay until the end.
    fn close_for(&mut self, spec: &ServiceSpec) {
        for socket in of(spec) {
            if let Some((_, listener)) = self.open.get_mut(&socket.address) {
                listener.close();
            }
        }
    }

    /// The end: no file is left behind.
    pub(super) fn close_all(&mut self) {
        self.doors.keys().copied().collect::<Vec<_>>().into_iter().for_each(|it| self.shut_door(it));
        for (address, (_, listener)) in std::mem::take(&mut self.open) {
            listener.remove_file(&address);
        }
    }
}

/// What a door is called in LISTEN_FDNAMES.
const DOOR: &str = "minisup-door";

/// The sockets of a service.
fn of(spec: &ServiceSpec) -> impl Iterator<Item = &HeldSocket> {
    spec.sockets.iter().flat_map(|sockets| &sockets.list)
}

/// The variables that tell a child of its sockets.
fn describe(sockets: &Sockets, given: &mut Given, environment: &mut Words) {
    match sockets.told {
        Told::Plainly => {
            let names = sockets.list.iter().map(|socket| socket.name.as_str());
            let names: Vec<&str> = names.chain(given.door.iter().map(|_| DOOR)).collect();
            environment.push_variable("LISTEN_FDS", given.fds.len().to_string());
            environment.push_variable("LISTEN_FDNAMES", names.join(":"));
            given.pid_variable = Some("LISTEN_PID");
        }
        Told::AsNginx => {
            let numbers: String = given.fds.iter().map(|(_, number)| format!("{number};")).collect();
            environment.push_variable("NGINX", numbers);
        }
        Told::ByNumber => {}
    }
}

impl Turn {
    /// An instance has got another state: some sockets may have lost their last user.
    pub(super) fn release_sockets(&mut self) {
        if !std::mem::take(&mut self.sockets.has_spare) {
            return;
        }
        let supervisor = &self.supervisor;
        let mut wanted = Set::new();
        let current = supervisor.order().iter().map(|service| supervisor.plan().service(*service));
        let to_come = supervisor.plans_to_come().flat_map(|plan| &plan.services);
        wanted.extend(current.chain(to_come).flat_map(of).map(|socket| &socket.address));
        let alive = supervisor.all_instances().filter(|id| supervisor.instance(*id).has_process());
        let older = alive.flat_map(|id| of(supervisor.spec_of(id))).map(|socket| &socket.address);
        let older: Vec<&SocketAddress> = older.filter(|address| !wanted.contains(address)).collect();
        self.sockets.has_spare = !older.is_empty();
        wanted.extend(older);
        let spare: Vec<SocketAddress> =
            self.sockets.open.keys().filter(|address| !wanted.contains(address)).cloned().collect();
        for address in spare {
            info!("{address} is closed: nobody has it any more");
            self.sockets.close(&address);
        }
    }

    /// Everything is to stop: whoever is not served by anybody any more is not kept waiting.
    pub(super) fn close_sockets_of_the_stopped(&mut self) {
        if self.sockets.open.is_empty() {
            return;
        }
        let plan = self.supervisor.plan().clone();
        for (index, spec) in plan.services.iter().enumerate().filter(|(_, spec)| spec.sockets.is_some()) {
            let service = ServiceId(index as u32);
            let serves = |id: InstanceId| {
                let it = self.supervisor.instance(id);
                self.supervisor.whose(id).0 == service && it.pid().is_some() && !it.is_stopping()
            };
            if !self.supervisor.all_instances().any(serves) {
                self.sockets.close_for(spec);
            }
        }
    }
}
