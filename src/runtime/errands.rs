//! Errands: short-lived processes that run on a service's behalf, such as the check before a
//! reload, the reload itself, and most hooks.
//!
//! An errand is launched like the service: as its user, in its directory, with its environment
//! and its limits. What it writes goes where the service's output goes, with the service's name,
//! and its last lines are kept for whoever waits for it. It is a child like any other, reaped by
//! the one loop. It has a time; after that it gets KILL, and the answer is that it was too late.
//! Whoever it leaves behind belongs to the service and ends with it.
//!
//! Each errand has exactly one answer, within its time.

use super::deaths::Owner;
use super::launching::{Means, Stream};
use super::relay::{Relay, Tail};
use super::sockets::Given;
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::plan::{Hook, with_instance};
use crate::core::signal::Signal;
use crate::core::sorted::Map;
use crate::log::Std;
use crate::sys::launch::{Order, Stdio, Verdict, launch};
use crate::sys::words::Words;
use crate::sys::{fd, signals};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// What an errand is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Whether a reload may be.
    Check,
    /// The reload itself.
    Reload,
    /// A hook.
    Hook(Hook),
    /// Its pid file is written anew.
    PidFile,
}

/// What is to be done.
pub(super) struct Errand<'a> {
    /// On whose behalf.
    pub(super) instance: InstanceId,
    /// Its main process, which may be gone by now.
    pub(super) pid: Pid,
    pub(super) purpose: Purpose,
    pub(super) command: &'a [String],
    pub(super) within: Duration,
    /// Variables besides those of the service.
    pub(super) variables: &'a [(&'a str, String)],
}

/// An errand that is over.
pub(super) struct Over {
    pub(super) instance: InstanceId,
    pub(super) pid: Pid,
    pub(super) purpose: Purpose,
    /// How it ended, or why it did not come to that.
    pub(super) end: Result<Outcome, String>,
    /// Its last lines.
    pub(super) tail: Vec<String>,
}

/// Errands under way, each with its own process.
pub(super) struct Errands {
    to: UnboundedSender<News>,
    from: UnboundedReceiver<News>,
    under_way: Map<Pid, UnderWay>,
}

/// What tasks tell the loop.
pub(super) enum News {
    /// The errand with this process has had its time.
    Late(Pid),
    /// One of its streams has been read up to its end.
    Read(Pid),
    /// It is over, or has never begun.
    Over(Over),
    /// It is time to look whether this process has new workers; it was this long since the last time.
    Look(InstanceId, Pid, Duration),
}

struct UnderWay {
    over: Over,
    verdict: Verdict,
    alarm: AbortHandle,
    within: Duration,
    /// Tells the streams' readers that the process has ended.
    ended: watch::Sender<bool>,
    outcome: Option<Result<Outcome, String>>,
    /// So many streams have not been read to their end.
    unread: u32,
    tail: Arc<Mutex<Tail>>,
}

impl Errands {
    /// None yet. Call it within a tokio runtime.
    pub(super) fn new() -> Errands {
        let (to, from) = unbounded_channel();
        Errands { to, from, under_way: Map::new() }
    }

    /// The next news. May be dropped at any time.
    pub(super) async fn next(&mut self) -> News {
        match self.from.recv().await {
            Some(news) => news,
            // We hold a sender ourselves: the channel never ends.
            None => std::future::pending().await,
        }
    }

    /// [`News::Look`], after a pause.
    pub(super) fn remind(&self, instance: InstanceId, pid: Pid, pause: Duration) {
        let to = self.to.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            let _ = to.send(News::Look(instance, pid, pause));
        });
    }

    /// Whether the instance has an errand with this purpose under way.
    pub(super) fn is_under_way(&self, instance: InstanceId, purpose: Purpose) -> bool {
        self.under_way.values().any(|it| it.over.instance == instance && it.over.purpose == purpose)
    }
}

impl Turn {
    /// Sends somebody on an errand. The answer is [`News::Over`].
    pub(super) fn send(&mut self, errand: &Errand<'_>) {
        if let Err(why) = self.try_send(errand) {
            let Errand { instance, pid, purpose, .. } = *errand;
            let over = Over { instance, pid, purpose, end: Err(why), tail: Vec::new() };
            let _ = self.errands.to.send(News::Over(over));
        }
    }

    fn try_send(&mut self, errand: &Errand<'_>) -> Result<(), String> {
        let Errand { instance, pid, purpose, within, .. } = *errand;
        let plan = self.supervisor.plan_of(instance).clone();
        let (service, number) = self.supervisor.whose(instance);
        let spec = plan.service(service);
        let means = Means::default();
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (ended, has_ended) = watch::channel(false);
        let mut relays = Vec::new();
        let mut stdio = [Stdio::Null; 2];
        let mut childs: Vec<OwnedFd> = Vec::new();
        for (which, stdio) in [Std::Out, Std::Err].into_iter().zip(&mut stdio) {
            let stream = self.stream(spec, instance, number, which, &means)?;
            let Stream { stdio: theirs, childs: log, .. } = stream;
            if theirs == Stdio::Inherit {
                *stdio = theirs;
                continue;
            }
            let (from, theirs) =
                fd::pipe().map_err(|errno| format!("no pipe: {}", errno.desc().to_lowercase()))?;
            *stdio = Stdio::Fd(theirs.as_raw_fd());
            childs.push(theirs);
            let to = match log {
                Some(log) => {
                    fd::set_nonblocking(&log).map_err(|errno| errno.desc().to_lowercase())?;
                    Some(pipe::Sender::from_owned_fd(log).map_err(|error| error.to_string())?)
                }
                None => None,
            };
            let from = pipe::Receiver::from_owned_fd(from).map_err(|error| error.to_string())?;
            relays.push(Relay { from, to, tail: tail.clone(), ended: has_ended.clone() });
        }
        let mut argv = Words::new();
        errand.command.iter().for_each(|word| argv.push(with_instance(word, number)));
        let mut more_env = self.launches.own_environment(spec, number);
        errand.variables.iter().for_each(|(name, value)| more_env.push_variable(name, value));
        // A server that only looks at its configuration opens what that says, if it is not given it.
        let given = match purpose {
            Purpose::Check => self.sockets.give(spec, None, &mut more_env)?,
            Purpose::Reload | Purpose::Hook(_) | Purpose::PidFile => Given::default(),
        };
        let order = Order {
            argv,
            env: self.launches.environment(&spec.launch),
            more_env,
            stdin: Stdio::Null,
            stdout: stdio[0],
            stderr: stdio[1],
            fds: &given.fds,
            pid_variable: given.pid_variable,
            extra: spec.launch.extra.as_deref(),
            mark: Some(instance.0),
            ..Order::default()
        };
        let launched = launch(order).map_err(|error| error.to_string())?;
        drop(childs);
        let process = launched.pid;
        self.children.add(process, Owner::Errand);
        let to = self.errands.to.clone();
        let alarm = tokio::spawn(async move {
            sleep(within).await;
            let _ = to.send(News::Late(process));
        });
        let unread = relays.len() as u32;
        for relay in relays {
            let to = self.errands.to.clone();
            tokio::spawn(relay.run(move || drop(to.send(News::Read(process)))));
        }
        let over = Over { instance, pid, purpose, end: Err(String::new()), tail: Vec::new() };
        let (verdict, alarm) = (launched.verdict, alarm.abort_handle());
        let under_way = UnderWay { over, verdict, alarm, within, ended, outcome: None, unread, tail };
        self.errands.under_way.insert(process, under_way);
        Ok(())
    }

    /// The process of an errand has ended: it is over once its last words have been read.
    pub(super) fn errand_ended(&mut self, process: Pid, outcome: Outcome) {
        let Some(it) = self.errands.under_way.get_mut(&process) else { return };
        it.alarm.abort();
        it.outcome = Some(match it.verdict.of_dead() {
            Err(error) => Err(error.to_string()),
            Ok(()) => Ok(outcome),
        });
        let _ = it.ended.send(true);
        self.conclude(process);
    }

    /// What the tasks of the errands have to tell.
    pub(super) fn take_news(&mut self, news: News) {
        match news {
            News::Late(process) => self.is_late(process),
            News::Read(process) => {
                if let Some(it) = self.errands.under_way.get_mut(&process) {
                    it.unread = it.unread.saturating_sub(1);
                    self.conclude(process);
                }
            }
            News::Over(over) => self.is_over(over),
            News::Look(instance, pid, pause) => self.look_for_new_workers(instance, pid, pause),
        }
    }

    fn is_late(&mut self, process: Pid) {
        let Some(it) = self.errands.under_way.get_mut(&process) else { return };
        // It leads a group: the number is that group's too.
        let _ = signals::kill_group(process, Signal::KILL);
        it.outcome = Some(Err(format!("not done within {:?}", it.within)));
        it.unread = 0;
        self.conclude(process);
    }

    fn conclude(&mut self, process: Pid) {
        let is_over = |it: &UnderWay| it.outcome.is_some() && it.unread == 0;
        if self.errands.under_way.get(&process).is_some_and(is_over)
            && let Some(it) = self.errands.under_way.remove(&process)
        {
            let end = it.outcome.unwrap_or(it.over.end);
            let tail = it.tail.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.is_over(Over { end, tail, ..it.over });
        }
    }

    fn is_over(&mut self, over: Over) {
        match over.purpose {
            Purpose::Check => self.checked(&over),
            Purpose::Reload => self.reloaded(&over),
            Purpose::Hook(hook) => self.hook_ended(&over, hook),
            Purpose::PidFile => self.pid_file_written(&over),
        }
    }
}

impl Over {
    /// Whether it succeeded; if not, what happened and what it wrote last.
    pub(super) fn answer(&self) -> Result<(), String> {
        let why = match &self.end {
            Ok(Outcome::Exited(0)) => return Ok(()),
            Ok(outcome) => outcome.to_string(),
            Err(why) => why.clone(),
        };
        match self.tail.is_empty() {
            true => Err(why),
            false => Err(format!("{why}\n{}", self.tail.join("\n"))),
        }
    }
}
