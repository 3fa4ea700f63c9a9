//! The loop. Whoever reads these lines knows where everything else must be.
//!
//! One turn: do all that is to be done, then wait for the next thing to happen, and tell the
//! supervisor. Nothing in here fails: what can go wrong is an input.

use super::clients::Clients;
use super::deaths::Children;
use super::errands::{Errands, News};
use super::hearing::{Hearing, Voice};
use super::launching::Launches;
use super::pid_files::PidFiles;
use super::probe::{Answer, Probes};
use super::reload::Reloading;
use super::report::Reporter;
use super::rounds::Rounds;
use super::sockets::Held;
use super::update::Updates;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::signal::Signal;
use crate::core::supervisor::Supervisor;
use crate::log;
use crate::log::Pump;
use crate::sys::clock;
use crate::sys::launch::Verdict;
use crate::sys::reap::Bell;
use crate::sys::signals::Signals;
use crate::sys::sweep::Sweep;
use crate::sys::tree::Tree;
use crate::sys::watch::Watched;
use std::time::Duration;
use tokio::time::sleep;

/// The last lines of those who ended last: how long the container's log has to take them.
pub(super) const LAST_LINES: Duration = Duration::from_millis(500);

/// Those who read that log and were there before us, such as a `tee`: how long they have to write it down.
pub(super) const LAST_READERS: Duration = Duration::from_millis(500);

/// The last answers: how long clients have to take them.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// PID 1, running.
pub(super) struct Turn {
    pub(super) supervisor: Supervisor,
    pub(super) signals: Watched<Signals>,
    pub(super) bell: Watched<Bell>,
    pub(super) pump: Pump,
    pub(super) hearing: Hearing,
    pub(super) probes: Probes,
    pub(super) clients: Clients,
    pub(super) errands: Errands,
    pub(super) rounds: Rounds,
    /// Reloads that have not been answered, in the order in which they were asked for.
    pub(super) reloads: Vec<Reloading>,
    pub(super) launches: Launches,
    pub(super) children: Children,
    /// Who got a signal to end by, and is to wake up for it.
    pub(super) to_resume: Vec<Pid>,
    pub(super) tree: Tree,
    pub(super) sweep: Sweep,
    pub(super) reporter: Reporter,
    /// Whether the process that compresses an old log file has become it.
    pub(super) compressing: Option<Verdict>,
    /// Whether clients have had their turn, and logs have not had theirs since.
    pub(super) logs_are_next: bool,
    /// Whether the deadline was what woke us last.
    pub(super) was_due: bool,
    pub(super) updates: Updates,
    pub(super) sockets: Held,
    pub(super) pid_files: PidFiles,
}

/// What woke us.
enum Wake {
    Signal,
    Death,
    Voice,
    Log,
    Client,
    Answer(Answer),
    News(News),
    Rounds,
    Deadline,
}

impl Turn {
    /// Runs everything from boot to end. Returns the container's exit code.
    pub(super) async fn run(&mut self) -> u8 {
        self.prepare_rounds();
        self.tell(Input::Boot);
        loop {
            self.perform_all();
            if let Some(code) = self.supervisor.exit_code() {
                self.clients.finish(LAST_ANSWERS);
                self.sockets.close_all();
                self.reporter.goodbye(code);
                self.pump.finish(LAST_LINES);
                self.sweep.let_readers_end(LAST_READERS);
                return code;
            }
            let wake = self.wait().await;
            self.logs_are_next = matches!(wake, Wake::Client);
            self.was_due = matches!(wake, Wake::Deadline);
            match wake {
                Wake::Signal => self.take_signals(),
                Wake::Death => self.take_deaths(),
                Wake::Voice => self.hear_all(),
                Wake::Log => self.pump_logs(),
                Wake::Client => self.take_clients(),
                Wake::Answer(answer) => self.take_answer(answer),
                Wake::News(news) => self.take_news(news),
                Wake::Rounds => self.make_rounds(),
                Wake::Deadline => self.tell(Input::Due),
            }
        }
    }

    /// Tells the supervisor what happened, now.
    pub(super) fn tell(&mut self, input: Input) {
        self.supervisor.handle(input, clock::now());
    }

    async fn wait(&mut self) -> Wake {
        if self.children.has_more {
            return Wake::Death;
        }
        // Whoever asks without a pause shares the rest with the logs, turn by turn.
        if std::mem::take(&mut self.logs_are_next) && self.pump.is_due() {
            return Wake::Log;
        }
        let deadline = self.supervisor.deadline();
        let pause = deadline.map(|at| at.since(clock::now()));
        // A timer of the runtime has a millisecond's patience; who never sleeps would never see it.
        if pause.is_some_and(|pause| pause.is_zero()) && !self.was_due {
            return Wake::Deadline;
        }
        tokio::select! {
            biased;
            () = self.signals.ready() => Wake::Signal,
            () = self.bell.ready() => Wake::Death,
            () = self.hearing.ready() => Wake::Voice,
            answer = self.probes.next() => Wake::Answer(answer),
            news = self.errands.next() => Wake::News(news),
            () = self.rounds.ready() => Wake::Rounds,
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => Wake::Deadline,
            () = self.clients.ready() => Wake::Client,
            () = self.pump.ready() => Wake::Log,
        }
    }

    fn take_signals(&mut self) {
        let pending: Vec<_> = self.signals.pending().collect();
        for (signal, sender) in pending {
            self.reporter.signalled(signal, sender);
            let is_ours = !self.supervisor.plan().signals.iter().any(|(passed_on, _)| *passed_on == signal);
            if signal == Signal::USR1 && is_ours {
                self.pump.reopen_files();
            }
            match self.means_update(signal) {
                true => self.update_by_signal(),
                false => self.tell(Input::Signal(signal)),
            }
            self.perform_all();
        }
    }

    fn hear_all(&mut self) {
        for voice in self.hearing.heard() {
            match voice {
                Voice::Verdict(instance) => self.take_verdict(instance),
                Voice::Notify(instance) => self.take_notes(instance),
                Voice::Descriptor(instance) => self.take_newline(instance),
            }
        }
    }

    fn pump_logs(&mut self) {
        self.pump.turn();
        while let Some(event) = self.pump.poll_event() {
            match event {
                log::Event::Matched(stream) => {
                    if let Some((instance, pid)) = self.hearing.matched(stream) {
                        self.ready(instance, pid);
                    }
                }
                log::Event::Closed(stream) => drop(self.hearing.matched(stream)),
                log::Event::Followed(follower) => self.pour_followed(follower),
            }
        }
        self.compress_logs();
    }

    /// The service has said, in whatever way it was to say it, that it is ready.
    pub(super) fn ready(&mut self, instance: InstanceId, pid: Pid) {
        // Its word may reach us before the news that it is the program by now: it cannot be both ready
        // and not there.
        self.take_verdict(instance);
        if !self.launches.keep_ready(instance, pid) {
            self.tell(Input::Ready { instance, pid });
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        let Answer { instance, pid, answer } = answer;
        self.tell(Input::Answered { instance, pid, answer: answer.map_err(Into::into) });
    }
}
