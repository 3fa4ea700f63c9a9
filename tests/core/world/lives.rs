//! Its processes, from fork until they are reaped.

use super::{Flaw, Happening, World};
use crate::process::{Effect, Life, Manner, Process};
use crate::rng::Rng;
use crate::specs::{ms, secs};
use minisup::core::exit::Outcome;
use minisup::core::ids::{InstanceId, Pid};
use minisup::core::input::Input;
use minisup::core::instance::{Fault, State};
use minisup::core::plan::{Kind, Probe};
use minisup::core::signal::Signal;

impl World {
    pub(super) fn exec(&mut self, pid: Pid) -> Result<(), String> {
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
    pub(super) fn hand_over(&mut self, pid: Pid) -> Result<(), String> {
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

    pub(super) fn say_alive(&mut self, pid: Pid) -> Result<(), String> {
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

    pub(super) fn end(&mut self, pid: Pid, outcome: Outcome, by_itself: bool) -> Result<(), String> {
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

    pub(super) fn launch(&mut self, instance: InstanceId, as_hook: bool) -> Result<(), String> {
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

    pub(super) fn hit(&mut self, pid: Pid, signal: Signal) {
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
