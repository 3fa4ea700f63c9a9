//! A container without a kernel: it obeys the supervisor's actions and tells it what
//! happened, on a clock of its own. Everything it does follows from one seed.

use crate::cells::variant;
use crate::judge::Judge;
use crate::process::{Effect, Life, Manner, Process};
use crate::rng::Rng;
use crate::specs::{ms, mutate, random_plan, secs, with_other_names};
use minisup::core::action::{Action, Change};
use minisup::core::difference::ChangeKind;
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::input::{Awaited, Input, Request};
use minisup::core::instance::{Fault, State};
use minisup::core::phase::Phase;
use minisup::core::plan::{Kind, Plan, Probe};
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

    /// Requests and signals at random moments; in the end somebody asks it to stop.
    fn invite_an_operator(&mut self) {
        let horizon = self.rng.pick(&[secs(2), secs(10), secs(25)]);
        for _ in 0..self.rng.below(9) {
            let at = self.rng.upto(horizon);
            self.later(at, Happening::Wish);
        }
        if self.rng.percent(40) {
            for _ in 0..=self.rng.below(4) {
                let at = self.rng.upto(horizon);
                self.later(at, Happening::Update);
            }
        }
        let stop = match self.rng.below(4) {
            0 => {
                let within = self.rng.pick(&[None, Some(secs(1)), Some(secs(30))]);
                Happening::Ask(Request::Shutdown(within))
            }
            1 => Happening::Tell(Input::Signal(Signal::RTMIN_3)),
            _ => Happening::Tell(Input::Signal(Signal::TERM)),
        };
        self.later(horizon, stop);
        if self.rng.percent(15) {
            let again = horizon + self.rng.upto(secs(4));
            self.later(again, Happening::Tell(Input::Signal(Signal::TERM)));
        }
    }

    fn random_wish(&mut self) -> Happening {
        let mut services = Vec::new();
        for service in 0..self.supervisor.plan().services.len() as u32 {
            if self.rng.percent(40) {
                services.push(ServiceId(service));
            }
        }
        let services: Box<[ServiceId]> = services.into();
        let signals = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::QUIT, Signal::CHLD];
        let one = ServiceId(self.rng.below(self.supervisor.plan().services.len() as u64) as u32);
        match self.rng.below(44) {
            20..=25 => Happening::Update,
            26..=30 => {
                let all =
                    [Awaited::Started, Awaited::Ready, Awaited::Healthy, Awaited::Done, Awaited::Stopped];
                let wishes = services.iter().map(|service| (*service, self.rng.pick(&all))).collect();
                Happening::Ask(Request::Wait(wishes))
            }
            31..=34 => Happening::Ask(Request::Reload(services)),
            35..=39 => Happening::Tell(Input::Abandoned(RequestId(1 + self.rng.below(self.requests + 1)))),
            40 | 41 => Happening::Tell(Input::Scheduled(one)),
            42 | 43 => Happening::Tell(Input::Changed(one)),
            0..=4 => Happening::Ask(Request::Stop(services)),
            5..=8 => Happening::Ask(Request::Start(services)),
            9..=12 => Happening::Ask(Request::Restart(services)),
            13 => Happening::Ask(Request::Status),
            14 | 15 => {
                let signal = self.rng.pick(&[Signal::HUP, Signal::TERM, Signal::KILL, Signal::STOP]);
                Happening::Ask(Request::Signal(services, signal))
            }
            16 => Happening::Tell(self.stray_input()),
            _ => Happening::Tell(Input::Signal(self.rng.pick(&signals))),
        }
    }

    /// What somebody makes of the plan that he wrote last.
    fn another_plan(&mut self) -> Rc<Plan> {
        let rng = &mut self.rng;
        match rng.below(10) {
            0 => self.written.clone(),
            1 => Rc::new(with_other_names(rng, random_plan)),
            _ => {
                let mut plan = (*self.written).clone();
                for _ in 0..=rng.below(3) {
                    mutate(rng, &mut plan);
                }
                Rc::new(plan)
            }
        }
    }

    /// An answer that comes too late, from a process long gone.
    fn stray_input(&mut self) -> Input {
        let instances = (0..).find(|id| !self.supervisor.has_instance(InstanceId(*id))).unwrap_or(1);
        let instance = InstanceId(self.rng.below(u64::from(instances)) as u32);
        let pid = Pid(90_000 + self.rng.below(9) as i32);
        match self.rng.below(6) {
            0 => Input::Ready { instance, pid },
            1 => Input::Answered { instance, pid, answer: Ok(()) },
            2 => Input::Answered { instance, pid, answer: Err("late".into()) },
            3 => Input::Alive { instance, pid },
            4 => Input::Said { instance, pid, text: "late".into() },
            _ => Input::TreeGone { instance, leader: pid },
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

    fn exec(&mut self, pid: Pid) -> Result<(), String> {
        let Some(process) = self.alive(pid).filter(|process| !process.doomed) else { return Ok(()) };
        let (instance, life) = (process.instance, process.life.clone());
        if let Some(code) = life.exec_fails {
            self.processes.remove(&pid);
            let fault = Fault { code, text: "cannot execute x: no such file or directory".into() };
            return self.feed(Input::ExecFailed { instance, pid, fault });
        }
        process.program = true;
        let leader = pid;
        for (manner, stray) in &life.children {
            let child = self.fork(instance, Some(leader), Life::of_child(*manner));
            let child = self.processes.get_mut(&child).expect("just forked");
            (child.program, child.stray) = (true, *stray);
        }
        if life.flash {
            return self.end(pid, life.end.map_or(Outcome::Exited(0), |(_, outcome)| outcome), true);
        }
        self.feed(Input::Executed { instance, pid })?;
        if let Some((after, outcome)) = life.end {
            self.later(after, Happening::End(pid, outcome, true));
        }
        if let Some(after) = life.halt {
            self.later(after, Happening::Halt(pid));
        }
        self.expect(pid, instance, &life);
        Ok(())
    }

    /// What the program is going to say, and to whom it is going to hand over.
    fn expect(&mut self, pid: Pid, instance: InstanceId, life: &Life) {
        if let Some(after) = life.heir {
            self.later(after, Happening::HandOver(pid));
        }
        let spec = self.supervisor.spec_of(instance);
        let speaks = spec.ready.as_ref().is_some_and(|r| matches!(r.probe, Probe::Notify | Probe::Fd(_)));
        let watched = spec.health.as_ref().filter(|h| h.probe == Probe::Notify).map(|h| h.interval);
        if let Some(after) = life.ready.filter(|_| speaks) {
            self.later(after, Happening::Ready(pid));
        }
        if let Some(interval) = watched {
            self.later(interval / 2, Happening::Alive(pid));
        }
    }

    /// A service's process ends and leaves an heir, which executes its program anew; and all of its tree.
    fn hand_over(&mut self, pid: Pid) -> Result<(), String> {
        let able = |process: &&mut Process| process.program && !process.stopped && !process.doomed;
        let Some(process) = self.alive(pid).filter(able) else { return Ok(()) };
        let (instance, mut life) = (process.instance, process.life.clone());
        let it = self.supervisor.instance(instance);
        let is_service = matches!(
            it.state,
            State::Starting { .. } | State::Running { .. } | State::Stopping { .. } | State::Killing { .. }
        );
        if !is_service || it.pid() != Some(pid) {
            return Ok(());
        }
        life.heir = life.heir.filter(|_| self.dice.percent(30));
        let heir = self.fork(instance, None, life.clone());
        for (member, process) in &mut self.processes {
            process.program |= *member == heir;
            process.leader = if process.leader == pid { heir } else { process.leader };
        }
        self.processes.remove(&pid);
        self.heirs += 1;
        self.feed(Input::TakenOver { instance, pid, heir })?;
        if let Some((after, outcome)) = life.end {
            self.later(after, Happening::End(heir, outcome, true));
        }
        self.expect(heir, instance, &life);
        Ok(())
    }

    fn say_alive(&mut self, pid: Pid) -> Result<(), String> {
        let age = self.now.since(self.judge.born(pid));
        let Some(process) = self.alive(pid) else { return Ok(()) };
        let (instance, sick) = (process.instance, process.life.sick.is_some_and(|sick| sick <= age));
        if !process.stopped && !sick {
            self.feed(Input::Alive { instance, pid })?;
        }
        let spec = self.supervisor.spec_of(instance);
        let interval = spec.health.as_ref().map_or(secs(1), |h| h.interval);
        self.later((interval / 2).max(ms(20)), Happening::Alive(pid));
        Ok(())
    }

    fn end(&mut self, pid: Pid, outcome: Outcome, by_itself: bool) -> Result<(), String> {
        let Some(process) = self.alive(pid) else { return Ok(()) };
        if by_itself && process.stopped {
            return Ok(());
        }
        process.zombie = true;
        let (instance, leader) = (process.instance, process.leader);
        if leader == pid {
            let leftovers = self.tree(leader).any(|member| member != pid);
            if self.flaw == Flaw::ReaperLosesDeaths && self.rng.percent(33) {
                return Ok(());
            }
            self.feed(Input::Ended { instance, pid, outcome, leftovers })?;
            self.processes.remove(&pid);
        } else {
            self.processes.remove(&pid);
            let led = self.processes.contains_key(&leader);
            if !led && self.tree(leader).next().is_none() {
                self.feed(Input::TreeGone { instance, leader })?;
            }
        }
        if self.sweeping && self.processes.is_empty() {
            self.feed(Input::AllGone)?;
        }
        Ok(())
    }

    /// Who is alive of a tree, without those that nobody can tell apart any more.
    pub fn tree(&self, leader: Pid) -> impl Iterator<Item = Pid> + '_ {
        let all = self.processes.iter();
        all.filter(move |(_, p)| p.leader == leader && !p.zombie && !p.stray).map(|(pid, _)| *pid)
    }

    fn fork(&mut self, instance: InstanceId, leader: Option<Pid>, life: Life) -> Pid {
        self.last_pid += 1;
        let pid = Pid(self.last_pid);
        let leader = leader.unwrap_or(pid);
        let process = Process {
            instance,
            leader,
            stray: false,
            program: false,
            stopped: false,
            waiting: None,
            zombie: false,
            doomed: false,
            life,
        };
        self.processes.insert(pid, process);
        pid
    }

    /// Tells the supervisor, has its answer judged, and obeys.
    pub fn feed(&mut self, input: Input) -> Result<(), String> {
        self.tell(input)?;
        while let Some(action) = self.supervisor.poll_action() {
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{:>12}    {action:?}", ""));
            }
            self.judge.judge_action(&action, &self.supervisor, &self.processes, self.now)?;
            self.perform(action)?;
        }
        self.judge.turn_is_over()?;
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

    fn launch(&mut self, instance: InstanceId, as_hook: bool) -> Result<(), String> {
        if self.refusals > 0 || self.rng.percent(2) {
            self.refusals = self.refusals.saturating_sub(1);
            return self.tell(Input::Refused { instance });
        }
        let (service, _) = self.supervisor.whose(instance);
        let kind = if as_hook { Kind::Oneshot } else { self.supervisor.spec_of(instance).kind };
        while self.tempers.len() <= service.index() {
            let temper = self.rng.percent(60).then(|| self.rng.next());
            self.tempers.push(temper);
        }
        let mut life = match self.tempers[service.index()] {
            _ if as_hook && self.rng.percent(60) => {
                let end = Some((self.rng.upto(secs(5)), Outcome::Exited(0)));
                Life { end, ..Life::of_child(Manner::Dies) }
            }
            Some(temper) => Life::random(&mut Rng::new(temper), kind),
            None => Life::random(&mut self.rng, kind),
        };
        if self.rng.percent(5) {
            // Its program is being replaced right now.
            life.exec_fails = Some(126);
        }
        life.heir = (kind == Kind::Longrun && self.dice.percent(20)).then(|| self.dice.upto(secs(4)));
        let exec = life.exec;
        let pid = self.fork(instance, None, life);
        self.later(exec, Happening::Exec(pid));
        self.tell(Input::Forked { instance, pid })
    }

    fn hit(&mut self, pid: Pid, signal: Signal) {
        if self.flaw == Flaw::KillIsSwallowed && signal == Signal::KILL {
            return;
        }
        let Some(process) = self.processes.get_mut(&pid).filter(|process| !process.zombie) else { return };
        match process.take(signal, &mut self.rng) {
            Effect::None => {}
            Effect::Ends(after, outcome) => self.later(after, Happening::End(pid, outcome, false)),
        }
    }
}
