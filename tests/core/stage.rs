//! A supervisor on a stage: a test says what happens, in order, and looks at what follows.

use minisup::core::action::{Action, Change, Reply};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid, RequestId, ServiceId};
use minisup::core::input::{Awaited, Input, Request};
use minisup::core::instance::{Fault, State};
use minisup::core::phase::Phase;
use minisup::core::plan::{Kind, Plan, ServiceSpec};
use minisup::core::signal::Signal;
use minisup::core::supervisor::Supervisor;
use minisup::core::time::Moment;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub struct Stage {
    pub supervisor: Supervisor,
    pub now: Moment,
    /// The kernel refuses all forks.
    pub refuses: bool,
    last_pid: i32,
    requests: u64,
    replies: BTreeMap<RequestId, Reply>,
    actions: Vec<Action>,
}

impl Stage {
    /// The plan is booted; nothing has been executed yet.
    pub fn of(services: impl Into<Box<[ServiceSpec]>>) -> Stage {
        Stage::of_plan(crate::specs::plan(services))
    }

    pub fn of_plan(plan: Plan) -> Stage {
        let mut stage = Stage::before_boot(plan);
        stage.tell(Input::Boot);
        stage
    }

    pub fn before_boot(plan: Plan) -> Stage {
        let plan = Rc::new(plan);
        Stage {
            supervisor: Supervisor::new(plan, 1),
            now: Moment::from_nanos(1_000_000_000),
            refuses: false,
            last_pid: 100,
            requests: 0,
            replies: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    pub fn tell(&mut self, input: Input) {
        self.supervisor.handle(input, self.now);
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                Action::Launch { instance } | Action::Prepare { instance } if self.refuses => {
                    self.supervisor.handle(Input::Refused { instance }, self.now);
                }
                Action::Launch { instance } | Action::Prepare { instance } => {
                    self.last_pid += 1;
                    let pid = Pid(self.last_pid);
                    self.supervisor.handle(Input::Forked { instance, pid }, self.now);
                }
                Action::Reply(id, reply) => {
                    assert!(self.replies.insert(id, reply).is_none(), "{id:?} is answered twice");
                    continue;
                }
                Action::Signal { .. }
                | Action::Resume { .. }
                | Action::SignalTree { .. }
                | Action::AskReady { .. }
                | Action::AskHealth { .. }
                | Action::Reload { .. }
                | Action::Hook { .. }
                | Action::Sweep(_)
                | Action::Publish(_) => {}
            }
            self.actions.push(action);
        }
    }

    /// All that was ordered since the last time, except replies.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// "name", or "name:1" for the second instance.
    pub fn id(&self, name: &str) -> InstanceId {
        let (name, number) = name.split_once(':').unwrap_or((name, "0"));
        let service = self.service(name);
        let number = number.parse().expect("a number");
        self.supervisor.find_instance(service, number).expect("an instance")
    }

    pub fn service(&self, name: &str) -> ServiceId {
        let place = self.supervisor.plan().services.iter().position(|spec| *spec.name == *name);
        ServiceId(place.unwrap_or_else(|| panic!("no service {name}")) as u32)
    }

    pub fn pid(&self, name: &str) -> Pid {
        self.supervisor.instance(self.id(name)).pid().unwrap_or_else(|| panic!("{name} has no process"))
    }

    pub fn state(&self, name: &str) -> &'static str {
        crate::cells::variant(&self.supervisor.instance(self.id(name)).state)
    }

    pub fn launches(&self, name: &str) -> u32 {
        self.supervisor.instance(self.id(name)).launches
    }

    pub fn exec(&mut self, name: &str) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.tell(Input::Executed { instance, pid });
    }

    pub fn cannot_exec(&mut self, name: &str) {
        let (instance, pid) = (self.id(name), self.pid(name));
        let fault = Fault { code: 127, text: "not found".into() };
        self.tell(Input::ExecFailed { instance, pid, fault });
    }

    pub fn is_ready(&mut self, name: &str) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.tell(Input::Ready { instance, pid });
    }

    pub fn answers(&mut self, name: &str, answer: Result<(), &str>) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.tell(Input::Answered { instance, pid, answer: answer.map_err(Rc::from) });
    }

    pub fn exits(&mut self, name: &str, code: u8) {
        self.ends(name, Outcome::Exited(code), false);
    }

    pub fn ends(&mut self, name: &str, outcome: Outcome, leftovers: bool) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.tell(Input::Ended { instance, pid, outcome, leftovers });
    }

    /// Its process ends and leaves an heir in its place. Returns both.
    pub fn hands_over(&mut self, name: &str) -> (Pid, Pid) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.last_pid += 1;
        let heir = Pid(self.last_pid);
        self.tell(Input::TakenOver { instance, pid, heir });
        (pid, heir)
    }

    pub fn tree_is_gone(&mut self, name: &str) {
        let instance = self.id(name);
        let State::Sweeping { leader, .. } = self.supervisor.instance(instance).state else {
            panic!("{name} is {}", self.state(name));
        };
        self.tell(Input::TreeGone { instance, leader });
    }

    pub fn signal(&mut self, signal: Signal) {
        self.tell(Input::Signal(signal));
    }

    pub fn ask(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.tell(Input::Request(id, request));
        id
    }

    pub fn start(&mut self, name: &str) -> RequestId {
        let services = [self.service(name)].into();
        self.ask(Request::Start(services))
    }

    pub fn stop(&mut self, name: &str) -> RequestId {
        let services = [self.service(name)].into();
        self.ask(Request::Stop(services))
    }

    pub fn restart(&mut self, name: &str) -> RequestId {
        let services = [self.service(name)].into();
        self.ask(Request::Restart(services))
    }

    pub fn send(&mut self, name: &str, signal: Signal) -> RequestId {
        let services = [self.service(name)].into();
        self.ask(Request::Signal(services, signal))
    }

    pub fn update(&mut self, services: impl Into<Box<[ServiceSpec]>>) -> RequestId {
        self.ask(Request::Update(Rc::new(crate::specs::plan(services))))
    }

    pub fn await_that(&mut self, name: &str, awaited: Awaited) -> RequestId {
        let wishes = [(self.service(name), awaited)].into();
        self.ask(Request::Wait(wishes))
    }

    pub fn reload(&mut self, name: &str) -> RequestId {
        let services = [self.service(name)].into();
        self.ask(Request::Reload(services))
    }

    pub fn has_reloaded(&mut self, name: &str, answer: Result<(), &str>) {
        let (instance, pid) = (self.id(name), self.pid(name));
        self.tell(Input::Reloaded { instance, pid, answer: answer.map_err(Rc::from) });
    }

    /// The names of the services that there are, as people see them.
    pub fn names(&self) -> Vec<&str> {
        let plan = self.supervisor.plan();
        self.supervisor.order().iter().map(|service| &*plan.service(*service).name).collect()
    }

    pub fn is_done(&self, id: RequestId) -> bool {
        self.replies.get(&id) == Some(&Reply::Done)
    }

    pub fn is_open(&self, id: RequestId) -> bool {
        !self.replies.contains_key(&id)
    }

    /// Whose fault it was that the request failed.
    pub fn culprit(&self, id: RequestId) -> Option<InstanceId> {
        match self.replies.get(&id) {
            Some(Reply::Failed(refusal)) => refusal.instance,
            other => panic!("the reply is {other:?}"),
        }
    }

    /// Why the request failed.
    pub fn refusal(&self, id: RequestId) -> &str {
        match self.replies.get(&id) {
            Some(Reply::Failed(refusal)) => &refusal.text,
            other => panic!("the reply is {other:?}"),
        }
    }

    /// Time passes, and the supervisor is told when it wants to be.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut told = 0;
        while let Some(deadline) = self.supervisor.deadline().filter(|at| *at <= until) {
            told += 1;
            assert!(told < 100_000, "it wants to be told for ever");
            self.now = deadline.max(self.now);
            self.tell(Input::Due);
        }
        self.now = until;
    }

    /// Time passes, and nobody tells the supervisor.
    pub fn oversleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// The signals the main process or its tree has been sent since it was last asked, without CONT.
    pub fn signals_to(&mut self, name: &str) -> Vec<Signal> {
        let id = self.id(name);
        let mut found = Vec::new();
        self.actions.retain(|action| match action {
            Action::Signal { instance, signal, .. } | Action::SignalTree { instance, signal, .. }
                if *instance == id =>
            {
                found.push(*signal);
                false
            }
            _ => true,
        });
        found.retain(|signal| *signal != Signal::CONT);
        found
    }

    pub fn has_swept(&self, with: Signal) -> bool {
        self.actions.contains(&Action::Sweep(with))
    }

    pub fn asked_health(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::AskHealth { .. })).count()
    }

    /// How often the service has said that it waits for another one.
    pub fn waits_said(&self, name: &str) -> usize {
        let id = self.id(name);
        let says = |action: &&Action| {
            matches!(action, Action::Publish(change)
                if matches!(**change, Change::Waits { instance, .. } if instance == id))
        };
        self.actions.iter().filter(says).count()
    }

    pub fn phase(&self) -> &'static str {
        self.supervisor.phase().name()
    }

    /// Everything that is left ends, and the container's exit code is this.
    pub fn exit_code(&mut self) -> u8 {
        if matches!(self.supervisor.phase(), Phase::Sweeping { .. }) {
            self.tell(Input::AllGone);
        }
        self.supervisor.exit_code().unwrap_or_else(|| panic!("it is still {}", self.phase()))
    }

    /// The first instance of this service takes its next step up, if it has its process;
    /// whether it is up (or done) then.
    pub fn gets_up(&mut self, service: u32, inputs: &mut u64) -> bool {
        let instance = self.first(service);
        let Some(pid) = self.supervisor.instance(instance).pid() else { return false };
        self.tell(Input::Executed { instance, pid });
        *inputs += 1;
        if matches!(self.supervisor.instance(instance).state, State::Starting { .. }) {
            self.wait(Duration::ZERO);
            self.tell(Input::Answered { instance, pid, answer: Ok(()) });
            *inputs += 2;
        }
        if self.supervisor.plan().service(ServiceId(service)).kind == Kind::Oneshot {
            self.tell(Input::Ended { instance, pid, outcome: Outcome::Exited(0), leftovers: false });
            *inputs += 1;
        }
        true
    }

    /// The first instance of this service ends if it has been asked to; whether it is down then.
    pub fn goes_down(&mut self, service: u32, inputs: &mut u64) -> bool {
        let instance = self.first(service);
        let it = self.supervisor.instance(instance);
        let Some(pid) = it.pid() else { return true };
        let asked = it.is_stopping();
        if asked {
            self.tell(Input::Ended { instance, pid, outcome: Outcome::Exited(0), leftovers: false });
            *inputs += 1;
        }
        asked
    }

    fn first(&self, service: u32) -> InstanceId {
        self.supervisor.instances_of(ServiceId(service)).next().expect("an instance")
    }
}
