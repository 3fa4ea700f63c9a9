//! proc(5): who there is. Every answer may be that we cannot know: /proc may be missing,
//! hidden (hidepid), or another namespace's.

use crate::core::ids::Pid;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::str::SplitAsciiWhitespace;
use std::time::Duration;

/// One process, as /proc/PID/stat has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its parent's, 0 if that is outside of our namespace.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Whether it has ended and waits to be reaped.
    pub is_zombie: bool,
    /// When it started, in clock ticks since boot: with the pid it names a process for ever.
    pub started: u64,
}

/// Whether /proc is there and shows our own namespace.
pub fn is_usable() -> bool {
    let own = fs::read_link("/proc/self");
    own.is_ok_and(|path| path.to_str() == Some(&super::pid1::own_pid().to_string()))
}

/// A process, if it is there.
pub fn process(pid: Pid) -> Option<Process> {
    let mut bytes = [0u8; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut bytes).ok()?;
    parse_stat(pid, &bytes[..length])
}

/// Whether a process has executed a program since it was forked (PF_FORKNOEXEC in /proc/PID/stat):
/// workers usually have not. Nobody has of whom the kernel does not tell.
pub fn has_executed(pid: Pid) -> bool {
    const FORKED_ONLY: u64 = 0x40;
    const FLAGS: usize = 6;
    let Ok(text) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let flags = fields(&text).and_then(|mut fields| fields.nth(FLAGS)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & FORKED_ONLY == 0)
}

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activity {
    /// Whether its first thread sleeps until something happens (`S`; who waits for a disk is `D`).
    pub is_asleep: bool,
    /// The processor time that it has had, all its threads together, in steps of 10 ms.
    pub ran: Duration,
}

/// What a process does, if it is there.
pub fn activity(pid: Pid) -> Option<Activity> {
    parse_activity(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `utime` and `stime` are in ticks of USER_HZ, 100 in a second on all machines that we are built for.
fn parse_activity(stat: &[u8]) -> Option<Activity> {
    const USER_TIME: usize = 11;
    const TICK: Duration = Duration::from_millis(10);
    let mut fields = fields(stat)?;
    let is_asleep = fields.next()? == "S";
    let user: u32 = fields.nth(USER_TIME - 1)?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    Some(Activity { is_asleep, ran: TICK.saturating_mul(user.saturating_add(kernel)) })
}

/// The words of a process's command line, or what it has made of them, with one space between any two.
pub fn command_line(pid: Pid) -> Option<String> {
    const MOST: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline")).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    let words = bytes.split(|b| *b == 0).map(String::from_utf8_lossy);
    Some(words.collect::<Vec<_>>().join(" ").trim_end().to_owned())
}

/// The children of a process that have not ended.
pub fn children(of: Pid) -> Vec<Process> {
    // /proc/PID/task/PID/children has those of one thread only, and not everywhere.
    let mut all = all();
    all.retain(|process| process.parent == of.0 && !process.is_zombie);
    all
}

/// The memory of a process that is in RAM, in bytes (the second field of /proc/PID/statm).
pub fn resident(pid: Pid) -> Option<u64> {
    let mut bytes = [0u8; 128];
    let length = File::open(format!("/proc/{pid}/statm")).ok()?.read(&mut bytes).ok()?;
    let pages: u64 = std::str::from_utf8(&bytes[..length]).ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * super::memory::page_size() as u64)
}

/// All processes of our namespace, in the order of their pids. Empty without /proc.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().map(Pid);
    entries.flatten().filter_map(pid).filter_map(process).collect()
}

/// The value of a variable in the environment that a process was started with, if we may
/// read it: that needs its uid, or CAP_SYS_PTRACE, which Docker does not give.
pub fn variables<const N: usize>(pid: Pid, names: [&str; N]) -> Option<[Option<Vec<u8>>; N]> {
    // An environment may be megabytes long; the mark is looked for in its first part.
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(names.map(|name| {
        let value = |word: &[u8]| Some(word.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
        bytes.split(|b| *b == 0).find_map(value)
    }))
}

/// Our own children, without a walk through /proc.
#[derive(Debug)]
pub struct Children {
    /// Kept open: /proc/self/task/TID/children (Linux 3.5, and always compiled in by
    /// distributions since 4.2).
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Children {
    /// To be made by the thread that launches.
    pub fn new() -> Children {
        let path = format!("/proc/self/task/{}/children", super::pid1::own_pid());
        let file = if is_usable() { File::open(path).ok() } else { None };
        Children { file, buffer: Vec::new() }
    }

    /// All children that there are, zombies too. `None`: not to be known.
    pub fn list(&mut self) -> Option<Vec<Pid>> {
        if let Some(file) = &self.file {
            let length = read_all(file, &mut self.buffer)?;
            let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok().map(Pid);
            return Some(self.buffer[..length].split(|b| *b == b' ').filter_map(number).collect());
        }
        let own = super::pid1::own_pid().0;
        is_usable().then(|| all().into_iter().filter(|p| p.parent == own).map(|p| p.pid).collect())
    }
}

impl Default for Children {
    fn default() -> Children {
        Children::new()
    }
}

/// A whole file of /proc from its beginning; returns how much of the buffer it filled.
fn read_all(file: &File, buffer: &mut Vec<u8>) -> Option<usize> {
    let mut length = 0;
    loop {
        if length == buffer.len() {
            buffer.resize((2 * length).max(1024), 0);
        }
        match file.read_at(&mut buffer[length..], length as u64).ok()? {
            0 => return Some(length),
            count => length += count,
        }
    }
}

/// What /proc/PID/stat has from the state on: `pid (name) state ppid pgrp session …`; the name may hold
/// anything, also a `)`.
fn fields(stat: &[u8]) -> Option<SplitAsciiWhitespace<'_>> {
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    Some(std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace())
}

fn parse_stat(pid: Pid, bytes: &[u8]) -> Option<Process> {
    const STARTED: usize = 19;
    let mut fields = fields(bytes)?;
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Four fields are gone, counted from the state as the first.
    let started = fields.nth(STARTED - 4)?.parse().ok()?;
    Some(Process { pid, parent, group, session, is_zombie, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_confuses_nobody() {
        let line = b"42 (a) S 1 (b) Z 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n";
        let process = parse_stat(Pid(42), line).unwrap();
        assert_eq!((process.parent, process.group, process.session), (7, 42, 43));
        assert!(process.is_zombie);
        assert_eq!(process.started, 987_654);
    }

    #[test]
    fn what_it_does_is_its_state_and_both_its_times() {
        let line = b"42 (a) R b) S 1 2 3 0 -1 64 0 0 0 0 150 25 7 8 20 0 1 0 987654 1 2\n";
        let activity = parse_activity(line).unwrap();
        assert_eq!(activity, Activity { is_asleep: true, ran: Duration::from_millis(1750) });
        let line = b"42 (a) D 1 2 3 0 -1 64 0 0 0 0 0 0 7 8 20 0 1 0 987654 1 2\n";
        assert_eq!(parse_activity(line), Some(Activity { is_asleep: false, ran: Duration::ZERO }));
        assert_eq!(parse_activity(b"42 (a) S 1 2 3"), None);
    }

    #[test]
    fn we_find_ourselves() {
        let own = super::super::pid1::own_pid();
        let seen = process(own).unwrap();
        assert!(!seen.is_zombie && seen.started > 0);
        assert!(all().contains(&seen));
    }

    #[test]
    fn half_a_line_is_no_process() {
        assert_eq!(parse_stat(Pid(1), b"1 (init) S 0 1"), None);
        assert_eq!(parse_stat(Pid(1), b""), None);
    }
}
