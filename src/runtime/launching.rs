//! From an instance to a process: its streams, its environment, its way to say that it is
//! ready.

use super::deaths::Owner;
use super::hearing::Voice;
use super::hooks::EVENT;
use super::sockets::Given;
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::exports::{self, Exports};
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::plan::{Hook, Launch, Plan, Probe, ServiceSpec, Sink, with_instance};
use crate::core::sorted::Set;
use crate::log::{Pump, Source, Std, StreamId};
use crate::sys::launch::{LaunchError, Launched, Order, Stdio, Verdict, launch};
use crate::sys::words::Words;
use crate::sys::{fd, notify, pid1, tree};
use regex_lite::Regex;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Launches whose end is not known, and what launches have in common.
#[derive(Default)]
pub(super) struct Launches {
    under_way: Vec<UnderWay>,
    environments: Vec<Environment>,
    /// What scripts have exported so far, for everything that is launched from now on.
    exports: Exports,
    /// Where those that run now write what they export.
    exporting: Vec<(InstanceId, OwnedFd)>,
}

struct UnderWay {
    instance: InstanceId,
    pid: Pid,
    verdict: Verdict,
    /// It has said that it is ready: its word can be here before the verdict.
    is_ready: bool,
}

/// One environment of the plan, as the kernel wants it: shared by all who have the same.
struct Environment {
    of: Rc<[(String, String)]>,
    own: Option<Rc<[String]>>,
    words: Rc<Words>,
    /// Which of them name `${instance}`.
    templates: Box<[usize]>,
}

/// As what an instance is launched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// As the service.
    Service,
    /// As the hook that comes before it.
    BeforeStart,
}

/// What a service is given to speak with, besides stdout and stderr.
#[derive(Default)]
pub(super) struct Means {
    socket: Option<notify::Socket>,
    /// The read end of a pipe.
    descriptor: Option<OwnedFd>,
    /// Its write end, and the number at which the service finds it.
    childs: Option<(OwnedFd, RawFd)>,
    regex: Option<Regex>,
}

/// One stream of a service.
pub(super) struct Stream {
    id: Option<StreamId>,
    /// Ours to close once the child has it.
    pub(super) childs: Option<OwnedFd>,
    pub(super) stdio: Stdio,
}

impl Launches {
    /// The launch of this instance is no longer under way: its process if it succeeded, and whether
    /// that is ready already. A failure is kept for [`end`](Self::end).
    pub(super) fn executed(&mut self, instance: InstanceId) -> Option<(Pid, bool)> {
        let index = self.under_way.iter().position(|it| it.instance == instance)?;
        self.under_way[index].verdict.read()?.ok()?;
        let UnderWay { pid, is_ready, .. } = self.under_way.swap_remove(index);
        Some((pid, is_ready))
    }

    /// Keeps the word of a process that it is ready until its launch is known to have succeeded, if it is not yet.
    pub(super) fn keep_ready(&mut self, instance: InstanceId, pid: Pid) -> bool {
        let launch = self.under_way.iter_mut().find(|it| it.instance == instance && it.pid == pid);
        launch.map(|it| it.is_ready = true).is_some()
    }

    /// The process has ended: how its launch went, if nobody knows that yet.
    pub(super) fn end(&mut self, instance: InstanceId, pid: Pid) -> Option<Result<(), LaunchError>> {
        let index = self.under_way.iter().position(|it| it.instance == instance && it.pid == pid)?;
        Some(self.under_way.swap_remove(index).verdict.of_dead())
    }

    /// Forgets what this plan does not have: the core has gone over to it.
    pub(super) fn keep_only(&mut self, plan: &Plan) {
        let all: Set<_> = plan.services.iter().map(|spec| Rc::as_ptr(&spec.launch.environment)).collect();
        self.environments.retain(|it| all.contains(&Rc::as_ptr(&it.of)));
        self.environments.shrink_to_fit();
    }

    /// The environment of a service, without what is of one instance only.
    pub(super) fn environment(&mut self, launch: &Launch) -> Rc<Words> {
        self.known(launch).words.clone()
    }

    fn known(&mut self, launch: &Launch) -> &Environment {
        let is_same = |it: &Environment| {
            let own = it.own.as_ref().map(Rc::as_ptr) == launch.own.as_ref().map(Rc::as_ptr);
            own && Rc::ptr_eq(&it.of, &launch.environment)
        };
        let index = self.environments.iter().position(is_same);
        let index = index.unwrap_or_else(|| {
            self.environments.push(Environment::with(&self.exports, launch));
            self.environments.len() - 1
        });
        &self.environments[index]
    }

    /// What is of one instance only: `${instance}` filled in, and our mark, by which we know
    /// its processes again when they have left its group.
    pub(super) fn own_environment(&mut self, spec: &ServiceSpec, number: u32) -> Words {
        let mut words = Words::new();
        let environment = self.known(&spec.launch);
        for (name, value) in environment.templates.iter().map(|i| &environment.of[*i]) {
            words.push_variable(name, with_instance(value, number));
        }
        words.push_variable(tree::SERVICE, &*spec.name);
        words.push_variable(tree::INSTANCE, number.to_string());
        words
    }
}

impl Environment {
    /// The plan's, and what scripts have exported, where the service's own keys say nothing of it.
    fn with(exports: &Exports, launch: &Launch) -> Environment {
        let is_free = |name: &str| match &launch.own {
            Some(own) => own.binary_search_by(|known| known.as_str().cmp(name)).is_err(),
            None => false,
        };
        let of = launch.environment.clone();
        let stays = |name: &str| !(exports.knows(name) && is_free(name));
        let mut words = Words::new();
        for (name, value) in of.iter().filter(|(name, _)| stays(name)) {
            words.push_variable(name, value);
        }
        for (name, value) in exports.values() {
            // A name that is not UTF-8 is in no key.
            if str::from_utf8(name).map_or(launch.own.is_some(), is_free) {
                words.push_variable(OsStr::from_bytes(name), OsStr::from_bytes(value));
            }
        }
        let is_template =
            |(_, (name, value)): &(usize, &(String, String))| value.contains("${instance}") && stays(name);
        let templates = of.iter().enumerate().filter(is_template).map(|(index, _)| index).collect();
        Environment { words: Rc::new(words), own: launch.own.clone(), templates, of }
    }
}

impl Turn {
    pub(super) fn spec(&self, instance: InstanceId) -> &ServiceSpec {
        self.supervisor.spec_of(instance)
    }

    /// Launches an instance and tells the supervisor its pid, or that it was refused.
    pub(super) fn launch(&mut self, instance: InstanceId, role: Role) {
        let hooks = self.spec(instance).hooks.as_deref();
        if role == Role::BeforeStart || hooks.is_none_or(|hooks| hooks.before_start.is_none()) {
            self.pump.begin_launch(instance);
            self.follow_by_name(instance);
        }
        match self.try_launch(instance, role) {
            Ok(pid) => self.tell(Input::Forked { instance, pid }),
            Err(why) => {
                ::log::warn!(
                    "cannot launch {}: {why}; trying again",
                    self.reporter.label(&self.supervisor, instance)
                );
                self.tell(Input::Refused { instance });
            }
        }
    }

    fn try_launch(&mut self, instance: InstanceId, role: Role) -> Result<Pid, String> {
        let plan = self.supervisor.plan_of(instance).clone();
        let (service, number) = self.supervisor.whose(instance);
        let spec = plan.service(service);
        let mut means = match role {
            Role::Service => Means::of(spec)?,
            Role::BeforeStart => Means::default(),
        };
        let mut stdout = self.stream(spec, instance, number, Std::Out, &means)?;
        let mut stderr =
            self.stream(spec, instance, number, Std::Err, &means).inspect_err(|_| self.forget(&stdout))?;
        let mut more_env = self.launches.own_environment(spec, number);
        let mut argv = Words::new();
        let mut given = Given::default();
        match role {
            Role::Service => {
                means.describe(spec, &mut more_env);
                given = self
                    .sockets
                    .give(spec, Some(instance), &mut more_env)
                    .inspect_err(|_| [&stdout, &stderr].into_iter().for_each(|it| self.forget(it)))?;
                let mut words = spec.launch.argv(number);
                if spec.is_satellite() {
                    words.next();
                    argv.push(pid1::own_program());
                }
                words.for_each(|word| argv.push(word));
            }
            Role::BeforeStart => {
                let command = spec.hooks.as_ref().and_then(|hooks| hooks.command(Hook::BeforeStart));
                command.into_iter().flatten().for_each(|word| argv.push(with_instance(word, number)));
                more_env.push_variable(EVENT, Hook::BeforeStart.name());
            }
        }
        let mut fds: Vec<_> =
            means.childs.iter().map(|(childs, number)| (childs.as_raw_fd(), *number)).collect();
        let exports =
            match (role, spec.launch.extra.as_ref()) {
                (Role::Service, Some(extra)) if extra.exports => {
                    let file = fd::in_memory("minisup-exports");
                    let file =
                        file.inspect_err(|_| [&stdout, &stderr].into_iter().for_each(|it| self.forget(it)));
                    Some(file.map_err(|errno| {
                        format!("no file for its exports: {}", errno.desc().to_lowercase())
                    })?)
                }
                (Role::Service | Role::BeforeStart, _) => None,
            };
        fds.extend(exports.iter().map(|file| (file.as_raw_fd(), exports::FD)));
        fds.extend(&given.fds);
        let pipes =
            [stdout.childs.take(), stderr.childs.take(), means.childs.take().map(|(childs, _)| childs)];
        let order = Order {
            argv,
            env: self.launches.environment(&spec.launch),
            more_env,
            pid_variable: given.pid_variable,
            stdin: Stdio::Null,
            stdout: stdout.stdio,
            stderr: stderr.stdio,
            fds: &fds,
            lends: pipes.into_iter().flatten().collect(),
            extra: spec.launch.extra.as_deref(),
            mark: Some(instance.0),
            ..Order::default()
        };
        let launched = launch(order).map_err(|error| {
            self.forget(&stdout);
            self.forget(&stderr);
            error.to_string()
        })?;
        let pid = launched.pid;
        self.launches.exporting.retain(|(of, _)| *of != instance);
        self.launches.exporting.extend(exports.map(|file| (instance, file)));
        self.adopt(instance, launched, means, [stdout.id, stderr.id]);
        Ok(pid)
    }

    /// A process has ended: if it was to export, and has ended well, what it has exported holds for
    /// everything that is launched from now on. Values are said nowhere.
    pub(super) fn take_exports(&mut self, instance: InstanceId, outcome: Outcome) {
        let Some(index) = self.launches.exporting.iter().position(|(of, _)| *of == instance) else { return };
        let (_, file) = self.launches.exporting.swap_remove(index);
        if outcome != Outcome::Exited(0) {
            return;
        }
        let name = self.reporter.label(&self.supervisor, instance);
        let bytes = fd::content(&file, exports::LARGEST);
        match bytes.ok().and_then(|bytes| Exports::from_bytes(&bytes)) {
            Some(more) => {
                ::log::debug!("{name} has changed {} variables", more.len());
                self.launches.exports.extend(more);
                self.launches.environments.clear();
            }
            None => ::log::warn!("{name} has ended before its end: what it has exported is not known"),
        }
    }

    /// There is a process: listens to it from now on.
    fn adopt(
        &mut self,
        instance: InstanceId,
        launched: Launched,
        means: Means,
        streams: [Option<StreamId>; 2],
    ) {
        let Launched { pid, verdict } = launched;
        self.children.add(pid, Owner::Main(instance));
        streams.into_iter().flatten().for_each(|id| self.pump.set_pid(id, pid));
        self.hearing.forget(instance);
        let mut heard = self.hearing.listen(verdict.as_fd(), Voice::Verdict(instance));
        self.launches.under_way.push(UnderWay { instance, pid, verdict, is_ready: false });
        if let Some(socket) = means.socket {
            heard = heard.and(self.hearing.add_socket(instance, pid, socket));
        }
        if let Some(read) = means.descriptor {
            heard = heard.and(self.hearing.add_descriptor(instance, pid, read));
        }
        if means.regex.is_some() {
            streams.into_iter().flatten().for_each(|id| self.hearing.add_matcher(id, instance, pid));
        }
        if let Err(error) = heard {
            ::log::warn!("cannot listen to {}: {error}", self.reporter.label(&self.supervisor, instance));
        }
    }

    pub(super) fn stream(
        &mut self,
        spec: &ServiceSpec,
        instance: InstanceId,
        number: u32,
        which: Std,
        means: &Means,
    ) -> Result<Stream, String> {
        let sinks = match which {
            Std::Out => &spec.stdout,
            Std::Err => &spec.stderr,
        };
        if Pump::needs_pipe(sinks, means.regex.is_some()) {
            let number = (spec.instances > 1).then_some(number);
            let colour = self.supervisor.whose(instance).0.index() as u8;
            let source = Source::new(spec.name.clone(), instance, number, which).coloured(colour);
            let opened = self.pump.open(source, sinks, &spec.log, means.regex.clone());
            let (id, childs) = opened.map_err(|error| format!("no pipe for its output: {error}"))?;
            if let Some(who) = spec.launch.extra.as_ref().and_then(|extra| extra.credentials.as_ref()) {
                // So that it can open /dev/stdout. Who is not root stays who he is anyway.
                let _ = fd::give_to(&childs, who.uid);
            }
            return Ok(Stream { id: Some(id), stdio: Stdio::Fd(childs.as_raw_fd()), childs: Some(childs) });
        }
        let stdio = if sinks.contains(&Sink::Null) { Stdio::Null } else { Stdio::Inherit };
        Ok(Stream { id: None, childs: None, stdio })
    }

    fn forget(&mut self, stream: &Stream) {
        if let Some(id) = stream.id {
            self.pump.forget(id);
        }
    }
}

impl Means {
    fn of(spec: &ServiceSpec) -> Result<Means, String> {
        let mut means = Means::default();
        match spec.ready.as_ref().map(|ready| &ready.probe) {
            Some(Probe::Notify) => means.socket = Some(new_socket()?),
            Some(Probe::Fd(number)) => {
                let (read, childs) = fd::pipe()
                    .map_err(|errno| format!("no pipe for its readiness: {}", errno.desc().to_lowercase()))?;
                (means.descriptor, means.childs) = (Some(read), Some((childs, *number)));
            }
            Some(Probe::Log(pattern)) => {
                let regex =
                    Regex::new(pattern).map_err(|error| format!("the pattern {pattern:?}: {error}"))?;
                means.regex = Some(regex);
            }
            Some(
                Probe::Tcp(_)
                | Probe::Unix(_)
                | Probe::Http(_)
                | Probe::Uwsgi(_)
                | Probe::Exec(_)
                | Probe::File(_)
                | Probe::End,
            )
            | None => {}
        }
        if means.socket.is_none() && (watches_for_life(spec) || spec.is_satellite()) {
            means.socket = Some(new_socket()?);
        }
        Ok(means)
    }

    /// What the service has to know of them.
    fn describe(&self, spec: &ServiceSpec, environment: &mut Words) {
        if let Some(socket) = &self.socket {
            environment.push_variable("NOTIFY_SOCKET", socket.address());
        }
        if let Some(health) = spec.health.as_ref().filter(|_| watches_for_life(spec)) {
            environment.push_variable("WATCHDOG_USEC", health.interval.as_micros().to_string());
        }
    }
}

fn watches_for_life(spec: &ServiceSpec) -> bool {
    spec.health.as_ref().is_some_and(|health| health.probe == Probe::Notify)
}

fn new_socket() -> Result<notify::Socket, String> {
    notify::Socket::new().map_err(|error| format!("no socket for sd_notify: {}", error.desc().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load};

    #[test]
    fn a_word_that_comes_before_the_verdict_is_kept_for_it() {
        let mut argv = Words::new();
        argv.push("/bin/true");
        let Launched { pid, verdict } = launch(Order { argv, ..Order::default() }).unwrap();
        let instance = InstanceId(7);
        let mut launches = Launches::default();
        launches.under_way.push(UnderWay { instance, pid, verdict, is_ready: false });
        assert!(!launches.keep_ready(InstanceId(8), pid), "another one");
        assert!(!launches.keep_ready(instance, Pid(pid.0 + 1)), "an earlier one");
        assert!(launches.keep_ready(instance, pid));
        let executed = std::iter::repeat_with(|| {
            std::thread::yield_now();
            launches.executed(instance)
        });
        assert_eq!(executed.flatten().next(), Some((pid, true)));
        assert!(!launches.keep_ready(instance, pid), "from now on it is told at once");
        crate::sys::reap::wait_for(pid).unwrap();
    }

    #[test]
    fn a_first_start_can_say_how_far_it_is_and_its_service_need_not() {
        let file = std::env::temp_dir().join(format!("minisup-means-{}.toml", std::process::id()));
        std::fs::write(&file, "[service.db]\npreset = \"mongodb\"\nscripts = {}\n").unwrap();
        let loaded = load(std::slice::from_ref(&file), &Surroundings::default());
        std::fs::remove_file(&file).unwrap();
        let plan = loaded.unwrap_or_else(|errors| panic!("{errors}")).plan;
        let names = |spec: &ServiceSpec| {
            let mut told = Words::new();
            Means::of(spec).unwrap().describe(spec, &mut told);
            told.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
        };
        let [init, db] = &plan.services[..] else { panic!("{plan:?}") };
        let told = names(init);
        assert!(matches!(&told[..], [only] if only.starts_with("NOTIFY_SOCKET=@")), "{told:?}");
        assert!(names(db).is_empty());
    }
}
