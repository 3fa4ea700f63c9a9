//! When gunicorn can be stopped in good time.
//!
//! A worker that was forked this moment still has its master's handlers. They put a TERM into the worker's copy of
//! the master's queue, which nobody reads: the worker goes on, and its master waits for it for all of
//! `--graceful-timeout`. A test that wants a quick stop waits until that moment is over for each worker.
//! A worker's own handlers leave CHLD alone, its master's do not: that is what tells.

use std::fs;

/// Are all of gunicorn's masters among the descendants of this process done with launching workers?
pub fn has_settled(pid: i32) -> bool {
    let mut todo = vec![pid];
    let mut masters = Vec::new();
    while let Some(pid) = todo.pop() {
        todo.extend(children(pid));
        if read(pid, "comm").trim() == "gunicorn" && catches_chld(pid) {
            masters.push(pid);
        }
    }
    masters.into_iter().all(|master| {
        let workers = children(master);
        workers.len() >= wanted(master) && !workers.into_iter().any(catches_chld)
    })
}

/// How many workers it was told to have.
fn wanted(master: i32) -> usize {
    let line = read(master, "cmdline");
    let count = line.split('\0').skip_while(|word| *word != "--workers").nth(1);
    count.map_or(1, |count| count.parse().expect("a number of workers"))
}

/// proc(5): `SigCgt`, a bit for each signal from 1 on, in hexadecimal.
fn catches_chld(pid: i32) -> bool {
    let status = read(pid, "status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (libc::SIGCHLD - 1) & 1 == 1)
}

/// The children of a process (proc(5): CONFIG_PROC_CHILDREN).
pub fn children(pid: i32) -> Vec<i32> {
    read(pid, &format!("task/{pid}/children")).split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Empty if the process has gone.
fn read(pid: i32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
