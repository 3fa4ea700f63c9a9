//! Asking services how they are.
//!
//! A connection is tried here: it is one system call that does not wait. Whatever needs a
//! protocol is asked by a process of its own: the service's command (`exec`), or minisup under
//! another name (`minisup probe`), which knows HTTP and uwsgi so that PID 1 need not. Such a
//! process is a child like any other, with the service's environment; all that it prints is read, and the last
//! line is what the probe "got".
//!
//! Every asking has exactly one answer, within its time.

use super::deaths::Owner;
use super::relay::{Relay, Tail};
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::plan::{HttpProbe, LaunchExtra, Probe, ProbeAddress, ServiceSpec, UwsgiProbe};
use crate::core::signal::Signal;
use crate::core::sorted::Map;
use crate::sys::launch::{Order, Stdio, Verdict, launch};
use crate::sys::words::Words;
use crate::sys::{fd, signals};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// A longer file is no pid file.
const PID_FILE_MAX: usize = 16;

/// Which of an instance's probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Ready,
    Health,
}

/// Who was asked: the instance, and which process of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    instance: InstanceId,
    pid: Pid,
}

/// What a probe got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) instance: InstanceId,
    pub(super) pid: Pid,
    pub(super) answer: Result<(), String>,
}

/// Probes under way. The channel needs no limit: each instance has one probe at a time.
pub(super) struct Probes {
    to: UnboundedSender<News>,
    from: UnboundedReceiver<News>,
    processes: Map<Pid, ProbeProcess>,
    /// Ourselves, to be executed as `minisup probe`.
    program: String,
}

enum News {
    Answer(Answer),
    /// All has been read that this process has printed.
    Read(Pid),
    /// This process has had its time.
    Overdue(Asked, Pid, Duration),
}

struct ProbeProcess {
    asked: Asked,
    verdict: Verdict,
    alarm: AbortHandle,
    reader: AbortHandle,
    /// Tells the reader that the process has ended.
    ended: watch::Sender<bool>,
    end: Option<Result<Outcome, String>>,
    is_read: bool,
    tail: Arc<Mutex<Tail>>,
}

impl Drop for ProbeProcess {
    /// Whoever it has left behind is read no more.
    fn drop(&mut self) {
        self.alarm.abort();
        self.reader.abort();
    }
}

impl Probes {
    /// No probes yet. `program` is where our own executable is found.
    pub(super) fn new(program: String) -> Probes {
        let (to, from) = unbounded_channel();
        Probes { to, from, processes: Map::new(), program }
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Answer {
        loop {
            match self.from.recv().await {
                Some(News::Answer(answer)) => return answer,
                Some(News::Read(process)) => {
                    if let Some(it) = self.processes.get_mut(&process) {
                        it.is_read = true;
                        self.conclude(process);
                    }
                }
                Some(News::Overdue(asked, process, within)) => {
                    // Who has ended meanwhile has an answer on its way.
                    if self.processes.get(&process).is_some_and(|it| it.end.is_none()) {
                        self.processes.remove(&process);
                        // It leads a group: the number is that group's too.
                        let _ = signals::kill_group(process, Signal::KILL);
                        return asked.answered(Err(format!("no answer in {within:?}")));
                    }
                }
                // We hold a sender ourselves: the channel never ends.
                None => std::future::pending().await,
            }
        }
    }

    /// Answers once a process has ended and all has been read that it has printed.
    fn conclude(&mut self, process: Pid) {
        let is_over = |it: &ProbeProcess| it.is_read && it.end.is_some();
        if self.processes.get(&process).is_some_and(is_over)
            && let Some(mut it) = self.processes.remove(&process)
        {
            let _ = self.to.send(News::Answer(it.asked.answered(it.answer())));
        }
    }

    fn later(
        &self,
        asked: Asked,
        question: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> AbortHandle {
        let to = self.to.clone();
        let task = async move { drop(to.send(News::Answer(asked.answered(question.await)))) };
        tokio::spawn(task).abort_handle()
    }
}

impl ProbeProcess {
    fn answer(&mut self) -> Result<(), String> {
        match self.end.take() {
            Some(Ok(Outcome::Exited(0))) | None => Ok(()),
            Some(Ok(outcome)) => {
                let last = self.tail.lock().unwrap_or_else(PoisonError::into_inner).take().pop();
                Err(last.map_or_else(|| outcome.to_string(), |line| line.trim_start().to_owned()))
            }
            Some(Err(why)) => Err(why),
        }
    }
}

impl Asked {
    fn answered(self, answer: Result<(), String>) -> Answer {
        Answer { instance: self.instance, pid: self.pid, answer }
    }
}

impl Turn {
    /// Asks an instance's probe.
    pub(super) fn ask(&mut self, instance: InstanceId, pid: Pid, within: Duration, which: Which) {
        let asked = Asked { instance, pid };
        let plan = self.supervisor.plan_of(instance).clone();
        let (service, number) = self.supervisor.whose(instance);
        let spec = plan.service(service);
        let probe = match which {
            Which::Ready => spec.ready.as_ref().map(|ready| &ready.probe),
            Which::Health => spec.health.as_ref().map(|health| &health.probe),
        };
        // Who serves the same sockets as others is asked by its own door.
        let door = if which == Which::Ready { self.sockets.door_of(instance) } else { None };
        let probe = probe.map(|probe| match (probe.of_instance(number), door) {
            (Probe::Http(http), Some(address)) => Probe::Http(HttpProbe { address, ..http }),
            (Probe::Uwsgi(uwsgi), Some(address)) => Probe::Uwsgi(UwsgiProbe { address, ..uwsgi }),
            (probe, _) => probe,
        });
        match probe.as_ref() {
            Some(Probe::Tcp(address)) => {
                let address = *address;
                self.probes.later(
                    asked,
                    in_time(within, async move {
                        let stream = TcpStream::connect(address).await?;
                        // A port in the range for outgoing connections may connect to itself.
                        match stream.local_addr()? == address {
                            true => Err(io::ErrorKind::ConnectionRefused.into()),
                            false => Ok(()),
                        }
                    }),
                );
            }
            Some(Probe::Unix(path)) => {
                let path = path.clone();
                self.probes
                    .later(asked, in_time(within, async move { UnixStream::connect(path).await.map(drop) }));
            }
            Some(Probe::File(path)) => {
                let answer = self.look_for(path, pid);
                self.probes.later(asked, std::future::ready(answer));
            }
            Some(Probe::Exec(command)) => {
                let mut argv = Words::new();
                command.iter().for_each(|word| argv.push(word));
                self.ask_process(asked, spec, argv, within);
            }
            Some(Probe::Http(http)) => {
                let argv = self.http_command(http, within);
                self.ask_process(asked, spec, argv, within);
            }
            Some(Probe::Uwsgi(UwsgiProbe { address, path })) => {
                let mut argv = self.probe_command("uwsgi", address, within);
                ["--path", path].into_iter().for_each(|word| argv.push(word));
                self.ask_process(asked, spec, argv, within);
            }
            // Nobody asks where the service speaks by itself.
            Some(Probe::Notify | Probe::Fd(_) | Probe::Log(_) | Probe::End) | None => {}
        }
    }

    fn probe_command(&self, kind: &str, address: &ProbeAddress, within: Duration) -> Words {
        let address = match address {
            ProbeAddress::Tcp(address) => address.clone(),
            ProbeAddress::Unix(path) => format!("unix:{}", path.display()),
        };
        let mut argv = Words::new();
        let timeout = format!("{}ms", within.as_millis().max(1));
        for word in
            [self.probes.program.as_str(), "probe", kind, "--address", &address, "--timeout", &timeout]
        {
            argv.push(word);
        }
        argv
    }

    fn http_command(&self, http: &HttpProbe, within: Duration) -> Words {
        let mut argv = self.probe_command("http", &http.address, within);
        let status = http.status.to_string();
        for word in ["--host", &http.host, "--path", &http.path, "--status", &status] {
            argv.push(word);
        }
        argv
    }

    fn ask_process(&mut self, asked: Asked, spec: &ServiceSpec, argv: Words, within: Duration) {
        if let Err(why) = self.launch_probe(asked, spec, argv, within) {
            self.probes.later(asked, std::future::ready(Err(why)));
        }
    }

    fn launch_probe(
        &mut self,
        asked: Asked,
        spec: &ServiceSpec,
        argv: Words,
        within: Duration,
    ) -> Result<(), String> {
        let (output, childs) =
            fd::pipe().map_err(|errno| format!("no pipe: {}", errno.desc().to_lowercase()))?;
        let from = pipe::Receiver::from_owned_fd(output).map_err(|error| error.to_string())?;
        let number = self.supervisor.whose(asked.instance).1;
        let more_env = self.launches.own_environment(spec, number);
        let extra = spec.launch.extra.as_ref().map(|extra| LaunchExtra {
            credentials: extra.credentials.clone(),
            directory: extra.directory.clone(),
            ..LaunchExtra::default()
        });
        let order = Order {
            argv,
            env: self.launches.environment(&spec.launch),
            more_env,
            stdin: Stdio::Null,
            stdout: Stdio::Fd(childs.as_raw_fd()),
            stderr: Stdio::Fd(childs.as_raw_fd()),
            extra: extra.as_ref(),
            ..Order::default()
        };
        let launched = launch(order).map_err(|error| error.to_string())?;
        let pid = launched.pid;
        let to = self.probes.to.clone();
        let alarm = tokio::spawn(async move {
            sleep(within).await;
            let _ = to.send(News::Overdue(asked, pid, within));
        });
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (ended, has_ended) = watch::channel(false);
        let relay = Relay { from, to: None, tail: tail.clone(), ended: has_ended };
        let to = self.probes.to.clone();
        let reader = tokio::spawn(relay.run(move || drop(to.send(News::Read(pid)))));
        let process = ProbeProcess {
            asked,
            verdict: launched.verdict,
            alarm: alarm.abort_handle(),
            reader: reader.abort_handle(),
            ended,
            end: None,
            is_read: false,
            tail,
        };
        self.probes.processes.insert(pid, process);
        self.children.add(pid, Owner::Probe);
        Ok(())
    }

    /// Whether the path is there. A pid file must name a process of the service: one that a killed
    /// predecessor has left behind says nothing of its successor.
    fn look_for(&self, path: &Path, pid: Pid) -> Result<(), String> {
        path.metadata().map_err(|error| words(&error))?;
        match number_in(path) {
            Some(number) if !is_near(pid, number) && self.main_of(Pid(number)) != Some(pid) => {
                Err(format!("a pid file of another process ({number})"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A probe's process has ended: that is the answer, unless it came too late.
    pub(super) fn probe_ended(&mut self, process: Pid, outcome: Outcome) {
        let Some(probe) = self.probes.processes.get_mut(&process) else { return };
        probe.alarm.abort();
        probe.end = Some(probe.verdict.of_dead().map(|()| outcome).map_err(|error| error.to_string()));
        let _ = probe.ended.send(true);
        self.probes.conclude(process);
    }
}

/// What a pid file says.
pub(super) fn number_in(path: &Path) -> Option<i32> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = [0u8; PID_FILE_MAX];
    let count = File::open(path).ok()?.read(&mut text).ok()?;
    let number = std::str::from_utf8(&text[..count]).ok()?.trim().parse::<i32>().ok();
    number.filter(|number| *number > 0)
}

/// Whether this number is the service's main process, or one in its group or session: the kernel tells.
fn is_near(main: Pid, number: i32) -> bool {
    let other = Some(nix::unistd::Pid::from_raw(number));
    let leads = |leader: nix::Result<nix::unistd::Pid>| leader.is_ok_and(|leader| leader.as_raw() == main.0);
    number == main.0 || leads(nix::unistd::getpgid(other)) || leads(nix::unistd::getsid(other))
}

async fn in_time(within: Duration, question: impl Future<Output = io::Result<()>>) -> Result<(), String> {
    match timeout(within, question).await {
        Ok(result) => result.map_err(|error| words(&error)),
        Err(_) => Err(format!("no answer in {within:?}")),
    }
}

/// An error of the kernel as we write it: lower case, without its number.
fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_lowercase(),
        None => error.to_string(),
    }
}
