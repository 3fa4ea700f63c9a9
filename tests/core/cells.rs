//! Every cell of the table: a state, an event, a kind of service, and what is wanted.

use crate::specs::{health, hooks, oneshot, ready, secs, service, stop, tcp};
use minisup::core::exit::Outcome;
use minisup::core::ids::{Pid, ServiceId};
use minisup::core::instance::{
    Asking, Checkup, Deed, End, Event, Failure, Fault, Instance, Reason, State, Want,
};
use minisup::core::plan::{Health, Hook, Probe, Restart, ServiceSpec, Stop};
use minisup::core::service::step;
use minisup::core::signal::Signal;
use minisup::core::time::Moment;
use std::rc::Rc;
use std::time::Duration;

/// The moment of every step in the table.
pub const NOW: Moment = Moment::from_nanos(100_000_000_000);

const PID: Pid = Pid(7);

/// A state in one of its forms, with the words for that form.
pub struct Form {
    pub name: &'static str,
    pub state: State,
    /// Its process is, or is to be, its `before_start` hook.
    pub is_hook: bool,
    /// That hook has succeeded.
    pub is_prepared: bool,
}

impl Form {
    /// Whether a service of this kind can be in it at all.
    pub fn can_be_in(&self, spec: &ServiceSpec) -> bool {
        let heard = spec.ready.as_ref().is_some_and(|ready| ready.probe == Probe::Notify);
        let watched = spec.health.as_ref().is_some_and(|health| health.probe == Probe::Notify);
        match &self.state {
            State::Starting { asking: Asking::Listening, .. } => heard,
            State::Starting { .. } => spec.ready.is_some() && !heard,
            State::Preparing { .. } => spec.has_hook(Hook::BeforeStart),
            _ if self.is_hook || self.is_prepared => spec.has_hook(Hook::BeforeStart),
            State::Running { checkup: None, .. } => spec.health.is_none(),
            State::Running { checkup: Some(Checkup { asking: Asking::Pending { .. }, .. }), .. } => {
                spec.health.is_some() && !watched
            }
            State::Running { checkup: Some(_), .. } => spec.health.is_some(),
            State::Stopped
            | State::Waiting { .. }
            | State::Launching { .. }
            | State::Executing { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => true,
        }
    }
}

/// A kind of service that behaves differently somewhere.
pub struct Sort {
    pub name: &'static str,
    pub spec: ServiceSpec,
    /// The kind it is compared with: its place in the list.
    pub like: usize,
}

/// All of them; the first is the usual one.
pub fn kinds() -> Vec<Sort> {
    let with = |change: fn(&mut ServiceSpec)| {
        let mut spec = service("x");
        change(&mut spec);
        spec
    };
    let sort = |name, spec| Sort { name, spec, like: 0 };
    let tree = |s: &mut ServiceSpec| s.stop = Rc::new(Stop { tree: false, ..(*s.stop).clone() });
    let delay = |s: &mut ServiceSpec| s.stop = Rc::new(Stop { delay: secs(3), ..(*s.stop).clone() });
    let no_grace = stop(&[(Signal::TERM, Duration::ZERO)]);
    let sequence = stop(&[(Signal::QUIT, secs(5)), (Signal::TERM, secs(2))]);
    let once = ServiceSpec { ready: ready(Probe::Notify), restart: Restart::Never, ..oneshot("x") };
    let speaking = with(|s| s.ready = ready(Probe::Notify));
    let few = ServiceSpec { max_failures: Some(3), ..speaking.clone() };
    let mut at_once = speaking;
    at_once.backoff.initial = Duration::ZERO;
    let no_action = health(tcp()).map(|health| Box::new(Health { restart: false, ..*health }));
    vec![
        sort("longrun, restart always", with(|_| {})),
        sort("restart on-failure", with(|s| s.restart = Restart::OnFailure)),
        sort("restart never", with(|s| s.restart = Restart::Never)),
        sort("oneshot", oneshot("x")),
        sort("oneshot, restart never", ServiceSpec { restart: Restart::Never, ..oneshot("x") }),
        sort("max_failures 3", with(|s| s.max_failures = Some(3))),
        sort("backoff 0s", with(|s| s.backoff.initial = Duration::ZERO)),
        sort("stop without tree", with(tree)),
        sort(
            "stop by signals to the whole tree",
            with(|s| s.stop = Rc::new(Stop { to_tree: true, ..(*s.stop).clone() })),
        ),
        sort("stop without grace", ServiceSpec { stop: no_grace, ..service("x") }),
        sort("stop by QUIT 5s TERM 2s", ServiceSpec { stop: sequence, ..service("x") }),
        sort("stop after a delay", with(delay)),
        sort("ready by tcp", with(|s| s.ready = ready(tcp()))),
        sort("ready by notify", with(|s| s.ready = ready(Probe::Notify))),
        Sort { like: 13, ..sort("oneshot, restart never, ready by notify", once) },
        Sort { like: 13, ..sort("ready by notify, max_failures 3", few) },
        Sort { like: 13, ..sort("ready by notify, backoff 0s", at_once) },
        sort("health by tcp", with(|s| s.health = health(tcp()))),
        Sort {
            like: 17,
            ..sort("health by tcp, action none", ServiceSpec { health: no_action, ..service("x") })
        },
        Sort { like: 17, ..sort("health by watchdog", with(|s| s.health = health(Probe::Notify))) },
        sort("before_start hook", with(|s| s.hooks = hooks(&[Hook::BeforeStart]))),
        Sort {
            like: 20,
            ..sort(
                "before_start hook, restart never",
                with(|s| {
                    s.hooks = hooks(&[Hook::BeforeStart]);
                    s.restart = Restart::Never;
                }),
            )
        },
        sort(
            "all other hooks",
            with(|s| s.hooks = hooks(&[Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit])),
        ),
        Sort {
            like: 22,
            ..sort(
                "all other hooks, stop after a delay",
                with(|s| {
                    s.hooks = hooks(&[Hook::AfterReady, Hook::BeforeStop, Hook::AfterExit]);
                    s.stop = Rc::new(Stop { delay: secs(3), ..(*s.stop).clone() });
                }),
            )
        },
    ]
}

/// All states, each in the forms that make a difference.
pub fn forms() -> Vec<Form> {
    let (young, old) = (at(99, 900), at(90, 0));
    let (past, soon) = (at(99, 999), at(103, 0));
    let unready = Failure::NotReady { waited: secs(60), last: Some("connection refused".into()) };
    let starting = |since, asking| State::Starting { pid: PID, since, asking, last: None };
    let running = |since, checkup| State::Running { pid: PID, since, checkup };
    let check = |healthy, failed, asking| Some(Checkup { healthy, failed, asking });
    let stopping = |next, at, failure| State::Stopping { pid: PID, since: old, next, at, failure };
    let killing = |at, failure| State::Killing { pid: PID, since: old, at, failure };
    let sweeping = |outcome, reason, at| State::Sweeping { leader: PID, end: End { outcome, reason }, at };
    let (zero, one) = (Outcome::Exited(0), Outcome::Exited(1));
    let form = |name, state| Form { name, state, is_hook: false, is_prepared: false };
    let hook = |name, state| Form { is_hook: true, ..form(name, state) };
    vec![
        form("Stopped", State::Stopped),
        form("Waiting", State::Waiting { refused: 0 }),
        form("Waiting, fork refused twice", State::Waiting { refused: 2 }),
        Form { is_prepared: true, ..form("Waiting, prepared", State::Waiting { refused: 0 }) },
        hook("Launching the hook", State::Launching { refused: 0 }),
        hook("Executing the hook", State::Executing { pid: PID, since: young }),
        hook("Preparing", State::Preparing { pid: PID, since: young }),
        hook("Preparing, for too long", State::Preparing { pid: PID, since: at(30, 0) }),
        hook("Stopping the hook", stopping(1, soon, None)),
        hook("Sweeping after the hook", sweeping(zero, Reason::Prepared, soon)),
        hook("Sweeping after the hook, failed", sweeping(one, Reason::Prepared, soon)),
        form("Launching", State::Launching { refused: 0 }),
        form("Launching, fork refused twice", State::Launching { refused: 2 }),
        form("Executing", State::Executing { pid: PID, since: young }),
        form("Executing, for too long", State::Executing { pid: PID, since: at(40, 0) }),
        form("Starting, probe due", starting(young, Asking::Next(past))),
        form("Starting, probe later", starting(young, Asking::Next(soon))),
        form("Starting, probe asked", starting(young, Asking::Pending { since: young })),
        form("Starting, listening", starting(young, Asking::Listening)),
        form("Starting, for too long", starting(at(40, 0), Asking::Pending { since: at(90, 0) })),
        form("Running, young", running(young, None)),
        form("Running, long", running(old, None)),
        form("Running, check due", running(old, check(true, 0, Asking::Next(past)))),
        form("Running, check later", running(old, check(true, 0, Asking::Next(soon)))),
        form("Running, check asked", running(old, check(true, 0, Asking::Pending { since: young }))),
        form(
            "Running, check asked after 2 failed",
            running(old, check(true, 2, Asking::Pending { since: young })),
        ),
        form(
            "Running, check asked, never healthy",
            running(old, check(false, 2, Asking::Pending { since: young })),
        ),
        form("Running, unhealthy, check due", running(old, check(false, 2, Asking::Next(past)))),
        form("Stopping, before the first signal", stopping(0, soon, None)),
        form("Stopping, in grace", stopping(1, soon, None)),
        form("Stopping, grace over", stopping(1, past, None)),
        form("Stopping, not ready in time", stopping(1, soon, Some(unready.clone()))),
        form("Killing", killing(soon, None)),
        form("Killing, KILL due again", killing(past, None)),
        form("Killing, not ready in time", killing(soon, Some(unready.clone()))),
        form("Sweeping, asked", sweeping(zero, Reason::Asked, soon)),
        form("Sweeping, grace over", sweeping(zero, Reason::Asked, past)),
        form("Sweeping, ended early", sweeping(one, Reason::Itself { lived: false }, soon)),
        form("Sweeping, ended after long", sweeping(one, Reason::Itself { lived: true }, soon)),
        form("Sweeping, succeeded", sweeping(zero, Reason::Itself { lived: true }, soon)),
        form("Sweeping, not ready in time", sweeping(one, Reason::Failed(unready), soon)),
        form("Backoff", State::Backoff { until: soon, cause: Some(Failure::Ended(one)), refused: 0 }),
        form("Backoff, over", State::Backoff { until: past, cause: Some(Failure::Ended(one)), refused: 0 }),
        form("Backoff, fork refused, over", State::Backoff { until: past, cause: None, refused: 2 }),
        form("Exited, well", State::Exited { outcome: zero }),
        form("Exited, failed", State::Exited { outcome: one }),
        form("Fatal", State::Fatal { cause: Failure::Requirement(ServiceId(3)) }),
    ]
}

/// All events, each in the forms that make a difference.
pub fn events() -> Vec<(&'static str, Event)> {
    let ended = |outcome, leftovers| Event::Ended { outcome, leftovers };
    vec![
        ("Start", Event::Start),
        ("Stop", Event::Stop),
        ("Replace", Event::Replace),
        ("Admit", Event::Admit),
        ("Lost", Event::Lost(ServiceId(3))),
        ("Forked", Event::Forked(Pid(8))),
        ("Refused", Event::Refused),
        ("Executed", Event::Executed),
        ("ExecFailed", Event::ExecFailed(Fault { code: 127, text: "not found".into() })),
        ("Ready", Event::Ready),
        ("Answered: well", Event::Answered(Ok(()))),
        ("Answered: badly", Event::Answered(Err("connection refused".into()))),
        ("Said", Event::Said("loading".into())),
        ("Alive", Event::Alive),
        ("Ended: 0", ended(Outcome::Exited(0), false)),
        ("Ended: 1", ended(Outcome::Exited(1), false)),
        ("Ended: KILL", ended(Outcome::Killed(Signal::KILL), false)),
        ("Ended: 0, leftovers", ended(Outcome::Exited(0), true)),
        ("TakenOver", Event::TakenOver(Pid(8))),
        ("TreeGone", Event::TreeGone),
        ("TookLeave", Event::TookLeave),
        ("Exceeded", Event::Exceeded { used: 200_000_000, limit: 100_000_000 }),
        ("Rechecked", Event::Rechecked),
        ("Hurry", Event::Hurry),
        ("Due", Event::Due),
    ]
}

/// An instance in this state that has failed twice and been launched three times.
pub fn instance(want: Want, state: State) -> Instance {
    Instance { want, state, failures: 2, launches: 3, last: None, forced: false, prepared: false }
}

/// What one cell says: the state after, what else changed, and what is to be done; or
/// nothing if nothing changes.
pub fn cell(spec: &ServiceSpec, want: Want, form: &Form, event: Event) -> (Instance, Option<String>) {
    let mut before = instance(want, form.state.clone());
    let is_at_rest = matches!(
        form.state,
        State::Stopped
            | State::Waiting { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. }
    );
    before.prepared = spec.has_hook(Hook::BeforeStart) && (form.is_prepared || !is_at_rest && !form.is_hook);
    let mut deeds = Vec::new();
    let after = step(spec, 0.0, before.clone(), event, NOW, &mut deeds);
    if after == before && deeds.is_empty() {
        return (after, None);
    }
    let mut words = vec![state(&after.state)];
    if after.failures != before.failures {
        words.push(format!("failures {}", after.failures));
    }
    if after.launches != before.launches {
        words.push("launches + 1".into());
    }
    if after.prepared && !before.prepared {
        words.push("prepared".into());
    }
    if after.forced {
        words.push("forced".into());
    }
    words.extend(deeds.iter().map(deed));
    (after, Some(words.join(" · ")))
}

fn at(seconds: u64, millis: u64) -> Moment {
    Moment::from_nanos((seconds * 1000 + millis) * 1_000_000)
}

/// The variant, without its facts.
pub fn variant(state: &State) -> &'static str {
    match state {
        State::Stopped => "Stopped",
        State::Waiting { .. } => "Waiting",
        State::Launching { .. } => "Launching",
        State::Executing { .. } => "Executing",
        State::Preparing { .. } => "Preparing",
        State::Starting { .. } => "Starting",
        State::Running { .. } => "Running",
        State::Stopping { .. } => "Stopping",
        State::Killing { .. } => "Killing",
        State::Sweeping { .. } => "Sweeping",
        State::Backoff { .. } => "Backoff",
        State::Exited { .. } => "Exited",
        State::Fatal { .. } => "Fatal",
    }
}

fn state(state: &State) -> String {
    let name = variant(state);
    let facts: Vec<String> = match state {
        State::Stopped => vec![],
        State::Waiting { refused: 0 } | State::Launching { refused: 0 } => vec![],
        State::Waiting { refused } | State::Launching { refused } => vec![format!("refused {refused}")],
        State::Executing { .. } | State::Preparing { .. } => vec![],
        State::Starting { asking: how, last, .. } => {
            let last = last.as_ref().map(|last| format!("got \"{last}\""));
            [Some(asking(*how)), last].into_iter().flatten().collect()
        }
        State::Running { checkup: None, .. } => vec![],
        State::Running { checkup: Some(checkup), .. } => {
            let health = if checkup.healthy { "healthy" } else { "not healthy" };
            vec![health.into(), format!("{} failed", checkup.failed), asking(checkup.asking)]
        }
        State::Stopping { next, at, failure: why, .. } => {
            let why = why.as_ref().map(failure);
            [Some(format!("next {next}")), Some(relative(*at)), why].into_iter().flatten().collect()
        }
        State::Killing { at, failure: why, .. } => {
            [Some(relative(*at)), why.as_ref().map(failure)].into_iter().flatten().collect()
        }
        State::Sweeping { end, at, .. } => vec![reason(&end.reason), relative(*at)],
        State::Backoff { until, refused: 0, .. } => vec![relative(*until)],
        State::Backoff { until, refused, .. } => vec![relative(*until), format!("refused {refused}")],
        State::Exited { outcome } => vec![outcome.to_string()],
        State::Fatal { cause } => vec![failure(cause)],
    };
    if facts.is_empty() { name.into() } else { format!("{name} ({})", facts.join(", ")) }
}

fn asking(asking: Asking) -> String {
    match asking {
        Asking::Next(at) => format!("asks {}", relative(at)),
        Asking::Pending { .. } => "asked".into(),
        Asking::Listening => "listening".into(),
    }
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Itself { lived: true } => "by itself after long".into(),
        Reason::Itself { lived: false } => "by itself early".into(),
        Reason::Prepared => "its hook".into(),
        Reason::Asked => "asked".into(),
        Reason::Failed(cause) => failure(cause),
    }
}

fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Ended(outcome) => format!("ended: {outcome}"),
        Failure::NotReady { .. } => "not ready in time".into(),
        Failure::Unhealthy { .. } => "unhealthy".into(),
        Failure::Launch(fault) => format!("cannot launch: {}", fault.code),
        Failure::BeforeStart(Some(outcome)) => format!("its hook ended: {outcome}"),
        Failure::BeforeStart(None) => "its hook took too long".into(),
        Failure::TooBig { .. } => "too big".into(),
        Failure::Requirement(_) => "lost a requirement".into(),
    }
}

fn deed(deed: &Deed) -> String {
    match deed {
        Deed::Launch => "launch".into(),
        Deed::Prepare => "launch the hook".into(),
        Deed::Hook(hook, _, None, within) => format!("run {} within {within:?}", hook.name()),
        Deed::Hook(hook, _, Some(outcome), within) => {
            format!("run {} ({outcome}) within {within:?}", hook.name())
        }
        Deed::Signal(_, signal) => signal.to_string(),
        Deed::Resume(_) => "CONT if stopped".into(),
        Deed::SignalTree(_, signal) => format!("{signal} to the tree"),
        Deed::AskReady(_, within) => format!("ask whether ready within {within:?}"),
        Deed::AskHealth(_, within) => format!("ask for health within {within:?}"),
    }
}

fn relative(moment: Moment) -> String {
    if moment >= NOW { format!("in {:?}", moment - NOW) } else { format!("{:?} ago", NOW - moment) }
}
