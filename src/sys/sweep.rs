//! The last sweep: everything that is left is ended, but for those who read what we write.
//!
//! The script that became us by exec may have left a `tee` behind that our output goes through
//! (`exec > >(tee log)`). Ended with the rest it would take along what was said last. So it is
//! spared, with all that it has launched itself. When everything has been said our ends of its
//! pipe are closed: then it reads the end, writes what it has, and ends by itself.
//!
//! Readers are looked for among the children that we have at boot; whoever comes later was launched
//! by us. Once at boot, for later we may be another user, who may not look; and once more when the
//! sweep begins, for at boot one may have been on its way to open its end. Usually there is no
//! child at boot, and nothing is looked for.

use super::proc::Process;
use super::tree::{descendants, send, with_descendants};
use super::{clock, fd, pid1, proc, reap, signals};
use crate::core::signal::Signal;
use crate::core::sorted::Set;
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// So long the kernel may take to end whom it was told to kill.
const KILLED: Duration = Duration::from_millis(100);

/// Who is spared.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Whom we had at boot.
    inherited: Vec<Process>,
    /// Those of them who read what we write.
    readers: Vec<Process>,
    /// That is these pipes.
    pipes: Vec<Pipe>,
}

/// Device and inode.
type Pipe = (u64, u64);

impl Sweep {
    /// Spares those of our children that read our stdout or stderr.
    pub fn sparing_readers_among(children: &[Process]) -> Sweep {
        let pipes =
            if children.is_empty() { Vec::new() } else { [1, 2].into_iter().filter_map(pipe_of).collect() };
        let mut sweep = Sweep { inherited: children.into(), readers: Vec::new(), pipes };
        sweep.look();
        sweep
    }

    fn look(&mut self) {
        let Sweep { inherited, readers, pipes } = self;
        let is_there = |old: &&Process| proc::process(old.pid).is_some_and(|now| now.started == old.started);
        let reads = |child: &&Process| ends(&child.pid.to_string(), READS, pipes).next().is_some();
        let new = inherited.iter().filter(|it| !readers.contains(it)).filter(is_there).filter(reads);
        let new: Vec<Process> = new.copied().collect();
        readers.extend(new);
    }

    /// Sends a signal to every process that is left: as PID 1 to all of the namespace, else to all
    /// of our descendants. Returns whether anybody is left, alive or to be reaped.
    pub fn signal(&mut self, signal: Signal) -> bool {
        self.look();
        let own = pid1::own_pid();
        if self.readers.is_empty() {
            if signals::kill_everything(signal) == Err(Errno::EPERM) {
                descendants(own).iter().for_each(|process| send(process, signal));
            }
        } else {
            let processes = if pid1::is_pid1() { proc::all() } else { descendants(own) };
            let spared = self.spared(&processes);
            let swept = processes.iter().filter(|p| p.pid != own && !spared.contains(&p.pid.0));
            swept.for_each(|process| send(process, signal));
        }
        self.is_anybody_left()
    }

    /// Whether we have a child, alive or to be reaped, that is not spared.
    pub fn is_anybody_left(&self) -> bool {
        if self.readers.is_empty() || !reap::has_children() {
            return reap::has_children();
        }
        let processes = proc::all();
        let spared = self.spared(&processes);
        let own = pid1::own_pid().0;
        processes.iter().any(|p| p.parent == own && !spared.contains(&p.pid.0))
    }

    /// Everything has been said, and everybody else is gone: those who read it get its end, and so
    /// much time to end themselves. We can say nothing after this.
    pub fn let_readers_end(&self, within: Duration) {
        if self.readers.is_empty() {
            return;
        }
        let Ok(null) = fd::null() else { return };
        for number in ends("self", WRITES, &self.pipes).collect::<Vec<RawFd>>() {
            // SAFETY: numbers of ours; what is written to them from now on goes nowhere, as is meant.
            unsafe { libc::dup2(null, number) };
        }
        if !reap_all(within) {
            Sweep::default().signal(Signal::KILL);
            reap_all(KILLED);
        }
    }

    /// The readers that are still there, and what descends from them.
    fn spared(&self, processes: &[Process]) -> Set<i32> {
        let is_same = |p: &&Process| self.readers.iter().any(|r| r.pid == p.pid && r.started == p.started);
        let roots = Set::from_iter(processes.iter().filter(is_same).map(|p| p.pid.0));
        Set::from_iter(with_descendants(processes, roots).iter().map(|p| p.pid.0))
    }
}

/// Whether all children have ended, and have been reaped, in time.
fn reap_all(within: Duration) -> bool {
    let until = clock::now() + within;
    loop {
        while reap::any().is_some() {}
        if !reap::has_children() {
            return true;
        }
        if clock::now() >= until {
            return false;
        }
        clock::pause(Duration::from_millis(2));
    }
}

/// The pipe that stdout or stderr is, if it is one.
fn pipe_of(number: RawFd) -> Option<Pipe> {
    let stat = fstat(fd::standard(number)).ok()?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    (kind == SFlag::S_IFIFO).then_some((stat.st_dev, stat.st_ino))
}

/// What the mode of a link in /proc/PID/fd says of the descriptor (proc(5)).
const READS: u32 = 0o400;
const WRITES: u32 = 0o200;

/// The descriptors of a process that are ends of these pipes, to be used like this. None where we
/// may not look.
fn ends<'a>(process: &str, how: u32, pipes: &'a [Pipe]) -> impl Iterator<Item = RawFd> + use<'a> {
    let entries = fs::read_dir(format!("/proc/{process}/fd"));
    entries.into_iter().flatten().flatten().filter_map(move |entry| {
        let is_used_so = fs::symlink_metadata(entry.path()).ok()?.mode() & how != 0;
        let file = fs::metadata(entry.path()).ok()?;
        let is_one = is_used_so && pipes.contains(&(file.dev(), file.ino()));
        is_one.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}
