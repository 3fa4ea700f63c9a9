//! Carrying a reload out: its check first, then the signal or the command.
//!
//! If the check fails, nothing is touched: the service goes on with what it has read before, and
//! whoever asked gets to know what the check wrote. The answer is that the signal was sent, or how the
//! command ended; whether the service likes what it reads, it says in its own log.
//!
//! Where a preset knows that a server which has read it has new workers (`renews`), the answer waits until
//! they work ([`new_workers`](super::new_workers)). If none come in time the answer is what the service has
//! said since the signal, on its stderr or in a log file of its own ([`own_logs`](super::own_logs)). Nobody
//! tells us of somebody else's children, so we look, ever more rarely, as long as a reload is under way, and
//! never else.

use super::errands::{Errand, Over, Purpose};
use super::new_workers::NewWorkers;
use super::own_logs::OwnLogs;
use super::report::seconds;
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::ids::{InstanceId, Pid};
use crate::core::input::Input;
use crate::core::plan::{Reload, ReloadHow};
use crate::core::time::Moment;
use crate::log::{FollowerId, Std};
use crate::sys::{clock, proc, signals};
use std::collections::VecDeque;
use std::time::Duration;

/// From one look for new workers to the next, the first time.
const LOOK: Duration = Duration::from_millis(5);

/// And at most.
const LOOK_MAX: Duration = Duration::from_millis(80);

/// So long a new worker must live at least; or as long as the check took, which loads the same code.
const SETTLED: Duration = Duration::from_millis(100);

/// So many of the last lines are shown if it fails.
const LINES: usize = 10;

/// So many characters of each.
const LINE: usize = 500;

/// What servers write into lines that say why not, the worst ones first.
const COMPLAINTS: [&[&str]; 2] = [&["[emerg]", "[alert]", "[crit]"], &["[error]", "[ERROR]", "[CRITICAL]"]];

/// A reload that has not been answered.
pub(super) struct Reloading {
    instance: InstanceId,
    pid: Pid,
    /// When its check began.
    began: Moment,
    renewal: Option<Renewal>,
}

/// The signal has been sent: new workers are to come.
struct Renewal {
    since: Moment,
    limit: Duration,
    workers: NewWorkers,
    /// Who hears what it says.
    listener: FollowerId,
    /// What it writes into files.
    logs: OwnLogs,
    said: Said,
}

/// The last lines of stderr, and the last ones of each kind of complaint.
#[derive(Default)]
struct Said {
    complaints: [VecDeque<String>; 2],
    all: VecDeque<String>,
    /// Of which kind the last line was: a traceback goes on with lines that look like nothing.
    last: Option<usize>,
}

impl Turn {
    /// Begins a reload; the answer is [`Input::Reloaded`].
    ///
    /// The instances of a service reload one after the other, and each instance as often as it
    /// was asked to: nginx does not like two configurations at once.
    pub(super) fn reload(&mut self, instance: InstanceId, pid: Pid) {
        let (service, _) = self.supervisor.whose(instance);
        let is_first = !self.reloads.iter().any(|it| self.supervisor.whose(it.instance).0 == service);
        self.reloads.push(Reloading { instance, pid, began: clock::now(), renewal: None });
        if is_first {
            self.begin_reload(instance, pid);
        }
    }

    fn begin_reload(&mut self, instance: InstanceId, pid: Pid) {
        let plan = self.supervisor.plan_of(instance).clone();
        let Some(reload) = &plan.service(self.supervisor.whose(instance).0).reload else {
            return self.has_reloaded(instance, pid, Err("it has no `reload`".into()));
        };
        if let Some(it) = self.reloading(instance, pid) {
            it.began = clock::now();
        }
        match &reload.check {
            Some(check) => self.send(&errand(instance, pid, Purpose::Check, check, reload)),
            None => self.carry_out(instance, pid, reload),
        }
    }

    /// The check is over.
    pub(super) fn checked(&mut self, over: &Over) {
        let plan = self.supervisor.plan_of(over.instance).clone();
        let reload = &plan.service(self.supervisor.whose(over.instance).0).reload;
        match (over.answer(), reload) {
            (Ok(()), Some(reload)) => self.carry_out(over.instance, over.pid, reload),
            (Ok(()), None) => self.has_reloaded(over.instance, over.pid, Err("it has no `reload`".into())),
            (Err(why), _) => {
                self.has_reloaded(over.instance, over.pid, Err(format!("its check failed: {why}")))
            }
        }
    }

    /// The command is over.
    pub(super) fn reloaded(&mut self, over: &Over) {
        let answer = over.answer().map_err(|why| format!("its command failed: {why}"));
        self.has_reloaded(over.instance, over.pid, answer);
    }

    fn carry_out(&mut self, instance: InstanceId, pid: Pid, reload: &Reload) {
        if self.supervisor.instance(instance).pid() != Some(pid) {
            return self.has_reloaded(instance, pid, Err("it has ended meanwhile".into()));
        }
        match &reload.how {
            ReloadHow::Exec(command) => self.send(&errand(instance, pid, Purpose::Reload, command, reload)),
            ReloadHow::Signal(signal) => {
                if let Some(limit) = reload.renews {
                    self.expect_new_workers(instance, pid, limit);
                }
                let sent = signals::kill(pid, *signal);
                let answer =
                    sent.map_err(|errno| format!("cannot signal it: {}", errno.desc().to_lowercase()));
                if answer.is_err() || reload.renews.is_none() {
                    self.has_reloaded(instance, pid, answer);
                }
            }
        }
    }

    fn reloading(&mut self, instance: InstanceId, pid: Pid) -> Option<&mut Reloading> {
        self.reloads.iter_mut().find(|it| (it.instance, it.pid) == (instance, pid))
    }

    fn expect_new_workers(&mut self, instance: InstanceId, pid: Pid, limit: Duration) {
        // What it has said by now was said before.
        self.pump.last_lines(instance, 0);
        let listener = self.pump.follow(Some([instance].into()));
        let before = proc::children(pid).iter().map(|child| child.pid).collect();
        let logs = self.spec(instance).reload.as_ref().map_or(&[][..], |reload| &reload.logs);
        let logs = OwnLogs::of(pid, logs);
        let since = clock::now();
        if let Some(it) = self.reloading(instance, pid) {
            let check = since.since(it.began);
            let (limit, settled, said) = (limit + 2 * check, check.max(SETTLED), Said::default());
            let workers = NewWorkers::besides(before, settled);
            it.renewal = Some(Renewal { since, limit, workers, listener, logs, said });
        }
        self.errands.remind(instance, pid, LOOK);
    }

    /// Whether the process has new workers by now.
    pub(super) fn look_for_new_workers(&mut self, instance: InstanceId, pid: Pid, pause: Duration) {
        let runs = self.supervisor.instance(instance).pid() == Some(pid);
        let Some(renewal) = self.hear_renewal(instance, pid) else { return };
        let now = clock::now();
        let waited = now.since(renewal.since);
        let answer = if !runs {
            Some(Err(renewal.reason("it has ended meanwhile".into())))
        } else if renewal.has_new_workers(pid, now) {
            Some(Ok(()))
        } else if waited >= renewal.limit {
            let why = format!("no new worker after {}: the old ones go on", seconds(waited));
            Some(Err(renewal.reason(why)))
        } else {
            None
        };
        match answer {
            Some(answer) => self.has_reloaded(instance, pid, answer),
            None => self.errands.remind(instance, pid, (2 * pause).min(LOOK_MAX)),
        }
    }

    /// A renewal that is under way, with all that was said until now.
    fn hear_renewal(&mut self, instance: InstanceId, pid: Pid) -> Option<&mut Renewal> {
        // Up to what it has written by now.
        self.pump.last_lines(instance, 0);
        let of_it = |it: &&mut Reloading| (it.instance, it.pid) == (instance, pid);
        let renewal = self.reloads.iter_mut().find(of_it)?.renewal.as_mut()?;
        for line in self.pump.take_followed(renewal.listener, usize::MAX).lines {
            if line.stream == Std::Err {
                renewal.said.hear(&String::from_utf8_lossy(&line.text));
            }
        }
        Some(renewal)
    }

    /// The process has just been reaped: it will have no new workers, but may have said why.
    pub(super) fn cut_reload_short(&mut self, instance: InstanceId, pid: Pid, outcome: Outcome) {
        if self.reloading(instance, pid).is_none() {
            return;
        }
        let why = format!("it has ended meanwhile ({outcome})");
        let Some(why) = self.hear_renewal(instance, pid).map(|it| it.reason(why)) else { return };
        // Nobody signals it for those who come after, either.
        while self.reloading(instance, pid).is_some() {
            self.answer_reload(instance, pid, Err(why.clone()));
        }
        self.begin_next_reload(instance);
    }

    fn has_reloaded(&mut self, instance: InstanceId, pid: Pid, answer: Result<(), String>) {
        self.answer_reload(instance, pid, answer);
        self.begin_next_reload(instance);
    }

    fn answer_reload(&mut self, instance: InstanceId, pid: Pid, answer: Result<(), String>) {
        let label = self.reporter.label(&self.supervisor, instance);
        let done = self.reloads.iter().position(|it| (it.instance, it.pid) == (instance, pid));
        let renewal = done.and_then(|done| self.reloads.remove(done).renewal);
        if let Some(renewal) = &renewal {
            self.pump.unfollow(renewal.listener);
        }
        match &answer {
            Ok(()) if renewal.is_some() => ::log::info!("{label} has new workers, by what it has read again"),
            Ok(()) => ::log::info!("{label} has been told to read its configuration again"),
            Err(why) => ::log::warn!("cannot reload {label}: {}", why.lines().next().unwrap_or_default()),
        }
        self.tell(Input::Reloaded { instance, pid, answer: answer.map_err(Into::into) });
    }

    /// Of another instance of the same service, or of this one once more.
    fn begin_next_reload(&mut self, after: InstanceId) {
        let (service, _) = self.supervisor.whose(after);
        let next = self.reloads.iter().find(|it| self.supervisor.whose(it.instance).0 == service);
        if let Some((instance, pid)) = next.map(|it| (it.instance, it.pid)) {
            self.begin_reload(instance, pid);
        }
    }
}

impl Renewal {
    /// What has happened, and what was said of it.
    fn reason(&mut self, why: String) -> String {
        self.logs.new_lines().iter().for_each(|line| self.said.hear(line));
        self.said.after(why)
    }

    /// Whether they work, or at the end of our patience whether there are any.
    fn has_new_workers(&mut self, of: Pid, now: Moment) -> bool {
        let children: Vec<Pid> = proc::children(of).iter().map(|child| child.pid).collect();
        let work = self.workers.work(&children, now, proc::activity);
        work || now.since(self.since) >= self.limit && self.workers.live(now)
    }
}

impl Said {
    fn hear(&mut self, line: &str) {
        let kind = COMPLAINTS.iter().position(|words| words.iter().any(|word| line.contains(word)));
        let is_stamped = line.starts_with(|first: char| first == '[' || first.is_ascii_digit());
        let kind = kind.or(self.last.filter(|_| !is_stamped));
        self.last = kind;
        let places = kind.map(|kind| &mut self.complaints[kind]).into_iter().chain([&mut self.all]);
        for place in places {
            place.push_back(line.chars().take(LINE).collect());
            if place.len() > LINES {
                place.pop_front();
            }
        }
    }

    /// The reason, and behind it what was said of it.
    fn after(&self, why: String) -> String {
        let worst = self.complaints.iter().chain([&self.all]).find(|lines| !lines.is_empty());
        match worst {
            Some(lines) => format!("{why}\n{}", lines.iter().cloned().collect::<Vec<_>>().join("\n")),
            None => format!("{why}; it has said nothing, neither on its stderr nor in a log that is known"),
        }
    }
}

fn errand<'a>(
    instance: InstanceId,
    pid: Pid,
    purpose: Purpose,
    command: &'a [String],
    reload: &Reload,
) -> Errand<'a> {
    Errand { instance, pid, purpose, command, within: reload.timeout, variables: &[] }
}
