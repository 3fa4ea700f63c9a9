//! A container without a kernel: it obeys the supervisor's actions and tells it what
//! happened, on a clock of its own. Everything it does follows from one seed.

mod lives;
mod operator;

use crate::cells::variant;
use crate::judge::Judge;
use crate::process::Process;
use crate::rng::Rng;
use crate::specs::{ms, random_plan, secs};
use minisup::core::action::{Action, Change};
use minisup::core::difference::ChangeKind;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId};
use minisup::core::input::{Input, Request};
use minisup::core::phase::Phase;
use minisup::core::plan::Plan;
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;
use std::time::Duration;

/// So many inputs are enough for any run that gets anywhere.
const MOST_INPUTS: u32 = 60_000;

/// What is wrong with the world itself: the suite must notice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// One death in three is lost.
    ReaperLosesDeaths,
    /// Nobody is ever killed.
    KillIsSwallowed,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Happening {
    Exec(Pid),
    /// By itself (then not while it is stopped), or by a signal.
    End(Pid, Outcome, bool),
    Halt(Pid),
    HandOver(Pid),
    Ready(Pid),
    Alive(Pid),
    Answer(InstanceId, Pid, bool),
    Tell(Input),
    Ask(Request),
    /// The operator asks for something.
    Wish,
    /// Somebody has changed the plan.
    Update,
}

pub struct World {
    pub supervisor: Supervisor,
    /// The plan as somebody wrote it last.
    pub written: Rc<Plan>,
    pub now: Moment,
    pub trace: Option<Vec<String>>,
    pub inputs: u32,
    /// From which state to which any instance has gone.
    pub ways: BTreeSet<(&'static str, &'static str)>,
    /// What updates have done to services.
    pub changes: Vec<ChangeKind>,
    pub processes: BTreeMap<Pid, Process>,
    /// How often a process has handed over to an heir.
    pub heirs: u32,
    rng: Rng,
    /// What it draws for heirs: dice of their own.
    dice: Rng,
    flaw: Flaw,
    judge: Judge,
    agenda: BinaryHeap<Reverse<(Moment, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    serial: u64,
    last_pid: i32,
    requests: u64,
    /// The kernel refuses so many forks from now on.
    refusals: u64,
    tempers: Vec<Option<u64>>,
    sweeping: bool,
}

/// What is said of a run that kept all the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    pub exit_code: u8,
    pub inputs: u32,
    pub launches: u32,
    pub lasted: Duration,
}

impl World {
    /// The world of this seed: a random plan, random processes, a random operator.
    pub fn of_seed(seed: u64, flaw: Flaw) -> World {
        let mut rng = Rng::new(seed);
        let plan = random_plan(&mut rng);
        let mut world = World::new(plan, rng, flaw);
        world.invite_an_operator();
        world
    }

    pub fn new(plan: Plan, mut rng: Rng, flaw: Flaw) -> World {
        let plan = Rc::new(plan);
        let tempers = plan.services.iter().map(|_| rng.percent(60).then(|| rng.next())).collect();
        World {
            supervisor: Supervisor::new(plan.clone(), rng.next()),
            judge: Judge::new(&plan),
            written: plan,
            dice: Rng::new(rng.clone().next()),
            now: Moment::from_nanos(1_000_000_000),
            trace: None,
            inputs: 0,
            ways: BTreeSet::new(),
            changes: Vec::new(),
            processes: BTreeMap::new(),
            heirs: 0,
            rng,
            flaw,
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            serial: 0,
            last_pid: 1,
            requests: 0,
            refusals: 0,
            tempers,
            sweeping: false,
        }
    }

    /// Runs to the end. The error is the first rule that was broken.
    pub fn run(&mut self) -> Result<Report, String> {
        let born = self.now;
        self.feed(Input::Boot)?;
        while self.supervisor.phase() != Phase::Done {
            self.turn()?;
        }
        self.judge.at_the_end(&self.supervisor, &self.processes, self.now)?;
        let exit_code = self.supervisor.exit_code().ok_or("there is no exit code")?;
        let launches = self.supervisor.snapshot(self.now).instances.iter().map(|i| i.launches).sum();
        Ok(Report { exit_code, inputs: self.inputs, launches, lasted: self.now - born })
    }

    /// Waits for whatever comes first, and tells it.
    pub fn turn(&mut self) -> Result<(), String> {
        let deadline = self.supervisor.deadline();
        let next = self.agenda.peek().map(|Reverse((at, _))| *at);
        let due = match (deadline, next) {
            (None, None) => return Err("nothing is ever going to happen, and it is not Done".into()),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(deadline), Some(next)) if deadline == next => self.rng.percent(50),
            (Some(deadline), Some(next)) => deadline < next,
        };
        let at = if due { deadline } else { next };
        self.now = self.now.max(at.unwrap_or(self.now));
        if self.rng.below(300) == 0 {
            // The machine was busy, or asleep.
            let jump = self.rng.pick(&[ms(5), ms(700), secs(5), secs(100)]);
            self.now = self.now + jump;
            self.judge.jumped(jump);
        }
        if due {
            return self.feed(Input::Due);
        }
        let Some(Reverse((_, serial))) = self.agenda.pop() else { return Ok(()) };
        match self.happenings.remove(&serial) {
            Some(happening) => self.happen(happening),
            None => Ok(()),
        }
    }

    fn later(&mut self, after: Duration, what: Happening) {
        self.serial += 1;
        self.agenda.push(Reverse((self.now + after, self.serial)));
        self.happenings.insert(self.serial, what);
    }

    fn alive(&mut self, pid: Pid) -> Option<&mut Process> {
        self.processes.get_mut(&pid).filter(|process| !process.zombie)
    }

    fn happen(&mut self, what: Happening) -> Result<(), String> {
        match what {
            Happening::Exec(pid) => self.exec(pid),
            Happening::End(pid, outcome, by_itself) => self.end(pid, outcome, by_itself),
            Happening::Halt(pid) => {
                if let Some(process) = self.alive(pid) {
                    process.stopped = true;
                }
                Ok(())
            }
            Happening::HandOver(pid) => self.hand_over(pid),
            Happening::Ready(pid) => match self.alive(pid) {
                Some(process) if !process.stopped => {
                    let instance = process.instance;
                    self.feed(Input::Said { instance, pid, text: "at your service".into() })?;
                    self.feed(Input::Ready { instance, pid })
                }
                Some(_) | None => Ok(()),
            },
            Happening::Alive(pid) => self.say_alive(pid),
            Happening::Answer(instance, pid, of_health) => {
                let well = self.processes.get(&pid).is_some_and(|process| {
                    let age = self.now.since(self.judge.born(pid));
                    let (ready, sick) = (process.life.ready, process.life.sick);
                    let in_time = if of_health { true } else { ready.is_some_and(|ready| ready <= age) };
                    !process.stopped && !process.zombie && in_time && sick.is_none_or(|sick| age < sick)
                });
                let answer = if well { Ok(()) } else { Err("connection refused".into()) };
                self.feed(Input::Answered { instance, pid, answer })
            }
            Happening::Wish => {
                let wish = self.random_wish();
                self.happen(wish)
            }
            Happening::Update => {
                let plan = self.another_plan();
                self.written = plan.clone();
                self.happen(Happening::Ask(Request::Update(plan)))
            }
            Happening::Tell(input) => self.feed(input),
            Happening::Ask(request) => {
                self.requests += 1;
                if self.rng.percent(20) {
                    self.refusals = 1 + self.rng.below(6);
                }
                self.feed(Input::Request(RequestId(self.requests), request))
            }
        }
    }

    /// Tells the supervisor, has its answer judged, and obeys.
    pub fn feed(&mut self, input: Input) -> Result<(), String> {
        self.judge.turn_begins(&self.supervisor);
        self.tell(input)?;
        while let Some(action) = self.supervisor.poll_action() {
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{:>12}    {action:?}", ""));
            }
            self.judge.judge_action(&action, &self.supervisor, &self.processes, self.now)?;
            self.perform(action)?;
        }
        self.judge.every_leader_is_known(&self.supervisor, &self.processes)?;
        self.judge.after_turn(&self.supervisor, self.now)
    }

    fn tell(&mut self, input: Input) -> Result<(), String> {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.3} s {input:?}", self.now.as_nanos() as f64 / 1e9));
        }
        self.inputs += 1;
        if self.inputs > MOST_INPUTS {
            return Err("it goes on and on".into());
        }
        self.judge.told(&input, &self.supervisor, self.now);
        self.supervisor.handle(input, self.now);
        self.judge.after_input(&self.supervisor, self.now)
    }

    fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Launch { instance } => self.launch(instance, false)?,
            Action::Prepare { instance } => self.launch(instance, true)?,
            Action::Hook { instance, pid, hook, within, .. } => {
                let after = match self.rng.below(4) {
                    0 => within,
                    _ => self.rng.upto(within),
                };
                self.later(after, Happening::Tell(Input::HookEnded { instance, pid, hook }));
            }
            Action::Signal { pid, signal, .. } => self.hit(pid, signal),
            Action::Resume { pid, .. } => self.hit(pid, Signal::CONT),
            Action::SignalTree { instance, leader, signal } => {
                let members: Vec<Pid> = self.tree(leader).collect();
                if members.is_empty() {
                    self.later(Duration::ZERO, Happening::Tell(Input::TreeGone { instance, leader }));
                }
                for pid in members {
                    self.hit(pid, signal);
                }
            }
            Action::AskReady { instance, pid, within } | Action::AskHealth { instance, pid, within } => {
                let after = match self.rng.below(5) {
                    0 => within,
                    _ => self.rng.upto(within.min(ms(40))),
                };
                let of_health = matches!(action, Action::AskHealth { .. });
                self.later(after, Happening::Answer(instance, pid, of_health));
            }
            Action::Sweep(signal) => {
                self.sweeping = true;
                let all: Vec<Pid> = self.processes.keys().copied().collect();
                for pid in &all {
                    self.hit(*pid, signal);
                    self.hit(*pid, Signal::CONT);
                }
                // The process whose death is being told is still there, as a zombie.
                if self.processes.values().all(|process| process.zombie) {
                    self.later(Duration::ZERO, Happening::Tell(Input::AllGone));
                }
            }
            Action::Publish(change) => match &*change {
                Change::State { from, to, .. } => drop(self.ways.insert((variant(from), variant(to)))),
                Change::Updating(difference) => {
                    self.changes.extend(difference.services.iter().map(|changed| changed.kind));
                }
                _ => {}
            },
            Action::Reload { instance, pid } => {
                let after = self.rng.upto(ms(500));
                let answer = if self.rng.percent(80) { Ok(()) } else { Err("the check failed".into()) };
                self.later(after, Happening::Tell(Input::Reloaded { instance, pid, answer }));
            }
            Action::Reply(..) => {}
        }
        Ok(())
    }
}
