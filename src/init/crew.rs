//! Our children: clients, scripts, the temporary server.
//!
//! One loop over poll(2) waits for everything at once: the bell of SIGCHLD, signals to us, the
//! pipes of the task that runs and of the temporary server. So the server's death is known at
//! once whatever we wait for, a TERM never waits for a slow script, and no output is lost
//! or reordered within its stream.
//!
//! Each child leads a process group; what ends, ends as a group. We adopt orphans, so that
//! what a script leaves behind is ours to end.

mod streams;
mod task;

use self::streams::{Input, Output};
pub use self::task::{Ended, Feed, Stdin, Task};
use super::engine::{Server, Variables};
use super::trouble::Trouble;
use super::voice::{self, Stream};
use crate::core::exit::Outcome;
use crate::core::ids::Pid;
use crate::core::plan::{Credentials, LaunchExtra};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::sys::launch::{Launched, Order, Stdio, Verdict, launch};
use crate::sys::reap::{self, Bell};
use crate::sys::signals::{self, Signals};
use crate::sys::words::Words;
use crate::sys::{clock, fd, pid1};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Between TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(10);

/// So much of each stream's end is kept, unless a task says otherwise.
pub const KEPT: usize = 64 * 1024;

/// All our children.
pub struct Crew {
    bell: Bell,
    signals: Signals,
    asked: Option<Signal>,
    server: Option<Running>,
    /// Open in every child at this number: as long as it is open anywhere, somebody of ours lives.
    lifeline: Option<OwnedFd>,
}

/// The number of the lifeline in children: out of the way of what shells use.
pub const LIFELINE: RawFd = 213;

/// What a child has on stdin.
#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    Pipe,
    /// This file, open.
    File(RawFd),
}

/// A child that runs, or has just ended.
struct Running {
    what: String,
    pid: Pid,
    verdict: Option<Verdict>,
    outcome: Option<Outcome>,
    stdout: Output,
    stderr: Output,
    stop: Signal,
}

impl Crew {
    /// Without children. From now on TERM, INT, QUIT and HUP ask us to stop.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Crew> {
        if !pid1::is_pid1() {
            // Where that is refused, orphans go to somebody else, and only groups are ended.
            let _ = pid1::become_subreaper();
        }
        let bell = Bell::hang()?;
        let signals = Signals::catch([Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP])?;
        Ok(Crew { bell, signals, asked: None, server: None, lifeline: None })
    }

    /// Every child from now on has this file open until it ends.
    pub fn hold(&mut self, lifeline: Option<OwnedFd>) {
        self.lifeline = lifeline;
    }

    /// Writes this into the file that is held, if there is one, for whoever finds it after we were killed.
    ///
    /// # Errors
    /// ENOSPC.
    pub fn note(&self, text: &[u8]) -> io::Result<()> {
        let Some(lifeline) = &self.lifeline else { return Ok(()) };
        File::from(lifeline.try_clone()?).write_all(text)
    }

    /// Runs a program to its end, or ends it: after its limit, when we are asked to stop, when
    /// the temporary server dies. In the end nobody of its process group is left.
    ///
    /// # Errors
    /// [`Trouble::Asked`], [`Trouble::TooLong`], [`Trouble::ServerDied`], [`Trouble::Launch`], or
    /// what the feed could not read. A program that fails is no error here: see [`Ended`].
    pub fn run(&mut self, mut task: Task<'_>) -> Result<Ended, Trouble> {
        self.take_signals();
        if let Some(signal) = self.asked
            && !task.belongs_to_stopping
        {
            return Err(Trouble::Asked(signal));
        }
        let mut stdin = Input::of(std::mem::take(&mut task.stdin));
        let (running, input) = self.launch(
            &task.what,
            &task.argv,
            &task.environment,
            task.directory.clone(),
            task.who.clone(),
            match &stdin.file {
                Some(file) => Wanted::File(file.as_raw_fd()),
                None if stdin.wants_pipe() => Wanted::Pipe,
                None => Wanted::Nothing,
            },
            [task.forward.clone(), task.forward.clone()],
            if task.keep == 0 { KEPT } else { task.keep },
        )?;
        stdin.pipe = input;
        let mut run = Run {
            running,
            stdin,
            kill_at: None,
            give_up_at: task.limit.map(|limit| clock::now() + limit),
            trouble: None,
            tick_at: clock::now() + TICK,
        };
        while run.running.outcome.is_none() {
            self.turn(Some(&mut run), None);
            self.judge(&mut run, &task);
        }
        let Run { mut running, mut stdin, mut trouble, .. } = run;
        // It may have ended, even well, as soon as its input did, which had no right end.
        if let Some(error) = stdin.error.take() {
            trouble = trouble.or(Some(unreadable(&task.what, &error)));
        }
        drop(stdin);
        self.end_group(running.pid);
        running.stdout.finish();
        running.stderr.finish();
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        if let Some(Err(error)) = running.verdict.as_mut().map(Verdict::of_dead) {
            return Err(Trouble::Launch { what: task.what, error });
        }
        let outcome = running.outcome.unwrap_or(Outcome::Exited(0));
        Ok(Ended { outcome, stdout: running.stdout.take(), stderr: running.stderr.take() })
    }

    /// Launches the temporary server. It is watched in every wait from now on; whether it
    /// answers is for the engine to ask.
    ///
    /// # Errors
    /// [`Trouble::Launch`], [`Trouble::Asked`].
    pub fn start_server(&mut self, server: Server, who: Option<Credentials>) -> Result<(), Trouble> {
        self.take_signals();
        if let Some(signal) = self.asked {
            return Err(Trouble::Asked(signal));
        }
        let what = "the temporary server";
        let forward = [server.forward.clone(), server.forward.clone()];
        let (mut running, _) = self.launch(
            what,
            &server.argv,
            &server.environment,
            server.directory.clone(),
            who,
            Wanted::Nothing,
            forward,
            KEPT,
        )?;
        running.stop = server.stop.unwrap_or(Signal::TERM);
        self.server = Some(running);
        Ok(())
    }

    /// Waits so long, unless something happens first that ends all waiting.
    ///
    /// # Errors
    /// [`Trouble::ServerDied`], [`Trouble::Asked`].
    pub fn pause(&mut self, span: Duration) -> Result<(), Trouble> {
        let end = clock::now() + span;
        loop {
            self.check()?;
            if clock::now() >= end {
                return Ok(());
            }
            self.turn(None, Some(end));
        }
    }

    /// Whether all is well with the temporary server, and nobody has asked us to stop.
    ///
    /// # Errors
    /// [`Trouble::ServerDied`], [`Trouble::Asked`].
    pub fn check(&mut self) -> Result<(), Trouble> {
        self.take_signals();
        self.reap(None);
        if let Some(trouble) = self.server_trouble() {
            return Err(trouble);
        }
        self.asked.map_or(Ok(()), |signal| Err(Trouble::Asked(signal)))
    }

    /// Stops the temporary server cleanly, if there is one, and waits until it and what it left are gone;
    /// after `limit` it is killed.
    ///
    /// # Errors
    /// [`Trouble::TooLong`]: it was killed. [`Trouble::Program`]: it ended otherwise than well, so that what it had not
    /// written is not written.
    pub fn stop_server(&mut self, limit: Duration) -> Result<(), Trouble> {
        let Some(server) = &self.server else { return Ok(()) };
        let (pid, what) = (server.pid, format!("the stop of {}", server.what));
        let end = clock::now() + limit;
        if server.outcome.is_none() {
            let _ = signals::kill(pid, server.stop);
        }
        let mut killed = false;
        while self.server.as_ref().is_some_and(|server| server.outcome.is_none()) {
            if clock::now() >= end && !killed {
                killed = true;
                let _ = signals::kill_group(pid, Signal::KILL);
            }
            let until = if killed { clock::now() + TICK } else { end };
            self.turn(None, Some(until));
        }
        self.end_group(pid);
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let tail = server.last_words();
        match server.outcome {
            _ if killed => Err(Trouble::TooLong { what, limit }),
            Some(Outcome::Exited(0)) | None => Ok(()),
            Some(outcome) => Err(Trouble::Program { what, outcome, tail }),
        }
    }

    fn server_trouble(&mut self) -> Option<Trouble> {
        let server = self.server.as_mut()?;
        if let Some(Err(error)) = server.verdict.as_mut().and_then(Verdict::read) {
            return Some(Trouble::Launch { what: server.what.clone(), error });
        }
        let outcome = server.outcome?;
        Some(Trouble::ServerDied { outcome, tail: server.last_words() })
    }

    /// What is to be done about a task that still runs: nothing, TERM or KILL.
    fn judge(&mut self, run: &mut Run<'_>, task: &Task<'_>) {
        let now = clock::now();
        if run.running.outcome.is_some() {
            return;
        }
        if run.trouble.is_none() {
            if let Some(error) = run.stdin.error.take() {
                run.trouble = Some(unreadable(&task.what, &error));
            } else if let Some(trouble) = self.server_trouble() {
                run.trouble = Some(trouble);
            } else if let Some(signal) = self.asked.filter(|_| !task.belongs_to_stopping) {
                run.trouble = Some(Trouble::Asked(signal));
            } else if let Some(limit) = task.limit.filter(|_| run.give_up_at.is_some_and(|at| now >= at)) {
                run.trouble = Some(Trouble::TooLong { what: task.what.clone(), limit });
            }
            if run.trouble.is_some() {
                let _ = signals::kill_group(run.running.pid, Signal::TERM);
                // A stopped process takes no TERM.
                let _ = signals::kill_group(run.running.pid, Signal::CONT);
                run.kill_at = Some(now + GRACE);
                run.stdin.close();
            }
        } else if run.kill_at.is_some_and(|at| now >= at) {
            let _ = signals::kill_group(run.running.pid, Signal::KILL);
            run.kill_at = Some(now + TICK);
        }
    }

    /// Nobody may be left of a group whose leader has ended: TERM, and after two seconds KILL.
    fn end_group(&mut self, group: Pid) {
        const PATIENCE: Duration = Duration::from_secs(2);
        self.reap(None);
        if !signals::group_exists(group) {
            return;
        }
        let _ = signals::kill_group(group, Signal::TERM);
        let _ = signals::kill_group(group, Signal::CONT);
        let kill_at = clock::now() + PATIENCE;
        // After KILL they are gone, or in a system call that does not end, or not ours to reap.
        let give_up_at = kill_at + PATIENCE;
        while signals::group_exists(group) && clock::now() < give_up_at {
            if clock::now() >= kill_at {
                let _ = signals::kill_group(group, Signal::KILL);
            }
            self.turn(None, Some(clock::now() + Duration::from_millis(20)));
        }
    }

    /// Waits for whatever comes next, at most until then, and takes it.
    fn turn(&mut self, mut run: Option<&mut Run<'_>>, until: Option<Moment>) {
        let now = clock::now();
        let mut end = until;
        let mut sooner = |moment: Option<Moment>| end = end.into_iter().chain(moment).min();
        if let Some(run) = &mut run {
            run.stdin.prepare();
            sooner(Some(run.tick_at));
            sooner(run.kill_at);
            sooner(run.give_up_at.filter(|_| run.trouble.is_none()));
        }
        {
            let mut polled = Vec::with_capacity(8);
            polled.push((self.bell.as_fd(), PollFlags::POLLIN));
            polled.push((self.signals.as_fd(), PollFlags::POLLIN));
            let children = self.server.iter().chain(run.as_ref().map(|run| &run.running));
            for child in children {
                for output in [&child.stdout, &child.stderr] {
                    polled.extend(output.pipe.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)));
                }
            }
            if let Some(run) = &run {
                polled.extend(run.stdin.waiting().map(|pipe| (pipe, PollFlags::POLLOUT)));
            }
            let mut polled: Vec<PollFd<'_>> =
                polled.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
            let timeout = end.map_or(PollTimeout::NONE, |end| {
                let millis = (end - now).as_micros().div_ceil(1000);
                PollTimeout::try_from(millis.min(60_000) as i32).unwrap_or(PollTimeout::ZERO)
            });
            // EINTR and all else: we look at everything anyway.
            let _ = poll(&mut polled, timeout);
        }
        self.take_signals();
        if let Some(server) = &mut self.server {
            server.stdout.read();
            server.stderr.read();
        }
        if let Some(run) = &mut run {
            run.running.stdout.read();
            run.running.stderr.read();
            run.stdin.give();
            if clock::now() >= run.tick_at {
                run.tick_at = clock::now() + TICK;
                run.stdin.tick();
            }
        }
        self.reap(run.map(|run| &mut run.running));
    }

    /// Takes all children that have ended.
    fn reap(&mut self, mut task: Option<&mut Running>) {
        self.bell.hush();
        while let Some(death) = reap::any() {
            let ours = self.server.as_mut().into_iter().chain(task.as_deref_mut());
            ours.filter(|child| child.pid == death.pid).for_each(|child| child.outcome = Some(death.outcome));
        }
    }

    fn take_signals(&mut self) {
        for (signal, _) in self.signals.pending() {
            if self.asked.is_none() {
                voice::tell(format_args!("{signal} has come: stopping cleanly"));
                self.asked = Some(signal);
            }
        }
    }

    /// Launches a child with pipes.
    #[allow(clippy::too_many_arguments, reason = "private, and called twice")]
    fn launch(
        &mut self,
        what: &str,
        argv: &[OsString],
        environment: &Variables,
        directory: Option<PathBuf>,
        who: Option<Credentials>,
        wanted: Wanted,
        forward: [Option<String>; 2],
        keep: usize,
    ) -> Result<(Running, Option<OwnedFd>), Trouble> {
        let no_pipe = |errno: Errno| Trouble::Other(format!("{what}: cannot make a pipe: {errno}"));
        let (out, out_end) = fd::pipe().map_err(no_pipe)?;
        let (err, err_end) = fd::pipe().map_err(no_pipe)?;
        let input = match wanted {
            Wanted::Nothing | Wanted::File(_) => None,
            Wanted::Pipe => {
                let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(no_pipe)?;
                fd::set_nonblocking(&write).map_err(no_pipe)?;
                Some((read, write))
            }
        };
        if let Some(who) = &who {
            // So that it may open /dev/stdout again.
            let _ = (fd::give_to(&out_end, who.uid), fd::give_to(&err_end, who.uid));
        }
        let mut env = Words::new();
        environment.iter().for_each(|(name, value)| env.push_variable(name, value));
        let extra = LaunchExtra { credentials: who, directory, ..LaunchExtra::default() };
        let fds: Vec<_> = self.lifeline.iter().map(|file| (file.as_raw_fd(), LIFELINE)).collect();
        let order = Order {
            argv: argv.iter().collect(),
            env: Rc::new(env),
            stdin: match (wanted, &input) {
                (Wanted::File(file), _) => Stdio::Fd(file),
                (_, Some((read, _))) => Stdio::Fd(read.as_raw_fd()),
                (_, None) => Stdio::Null,
            },
            stdout: Stdio::Fd(out_end.as_raw_fd()),
            stderr: Stdio::Fd(err_end.as_raw_fd()),
            fds: &fds,
            extra: Some(&extra),
            ..Order::default()
        };
        let launched = launch(order);
        let Launched { pid, verdict } =
            launched.map_err(|error| Trouble::Launch { what: what.to_owned(), error })?;
        let [forward_out, forward_err] = forward;
        let running = Running {
            what: what.to_owned(),
            pid,
            verdict: Some(verdict),
            outcome: None,
            stdout: Output::new(out, Stream::Out, forward_out, keep),
            stderr: Output::new(err, Stream::Err, forward_err, keep),
            stop: Signal::TERM,
        };
        Ok((running, input.map(|(_, write)| write)))
    }
}

impl Drop for Crew {
    /// Whoever leaves us in a hurry leaves no server behind.
    fn drop(&mut self) {
        let _ = self.stop_server(GRACE);
    }
}

fn unreadable(what: &str, error: &io::Error) -> Trouble {
    Trouble::Other(format!("{what}: cannot read its input: {error}"))
}

impl Running {
    /// The end of what one that has ended wrote to stderr, or to stdout if that was nothing.
    fn last_words(&mut self) -> String {
        self.stdout.finish();
        self.stderr.finish();
        let tail = if self.stderr.kept.is_empty() { &self.stdout.kept } else { &self.stderr.kept };
        String::from_utf8_lossy(&tail.iter().copied().collect::<Vec<u8>>()).into_owned()
    }
}

/// How often a feed hears that time passes.
const TICK: Duration = Duration::from_secs(1);

/// A task while it runs.
struct Run<'a> {
    running: Running,
    stdin: Input<'a>,
    give_up_at: Option<Moment>,
    kill_at: Option<Moment>,
    trouble: Option<Trouble>,
    tick_at: Moment,
}
