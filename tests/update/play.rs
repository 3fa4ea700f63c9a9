//! What the scenarios have in common.

use crate::stage::{Place, Run, Stage, supervise};
use crate::support::{LONG, wait_until};
use minisup::control::client::Client;
use minisup::control::wire::{Reply, Request};
use std::collections::BTreeMap;
use std::thread::JoinHandle;

/// As PID 1, with a control socket of its own.
pub fn stage(services: &str) -> Stage {
    supervise(Place::Pid1, &config(services))
}

/// The same, running, and everything is up.
pub fn up(services: &str) -> Run {
    let mut run = stage(services).start();
    run.said("all is up");
    run
}

/// A whole configuration: its first key is one of the top level.
pub fn config(services: &str) -> String {
    format!("supervisor.control_socket = \"${{DIR}}/socket\"\n{services}")
}

/// Writes this configuration over the old one, and sends HUP.
pub fn update(run: &Run, services: &str) {
    run.write("supervise.toml", &config(services));
    run.signal(libc::SIGHUP);
}

/// The same, and waits until it is done. Returns all that was said of it, in order.
pub fn updated(run: &mut Run, services: &str) -> Vec<String> {
    update(run, services);
    lines_until(run, "update: done")
}

/// All lines up to the one with this in it.
pub fn lines_until(run: &mut Run, part: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        lines.push(run.said(""));
        if lines.last().is_some_and(|line| line.contains(part)) {
            return lines;
        }
    }
}

/// The place of the first line with this in it.
pub fn place(lines: &[String], part: &str) -> usize {
    let found = lines.iter().position(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("nothing about {part:?}: {lines:#?}"))
}

/// Whether any line has this in it.
pub fn has(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

/// The pids of all services, by their words. In the middle of its exec a process has none: then
/// it is looked at again.
pub fn pids(run: &Run) -> BTreeMap<String, i32> {
    let mut all = Vec::new();
    wait_until("every process has its words", || {
        all = run.processes();
        all.retain(|process| process.state != 'Z');
        all.iter().all(|process| !process.command.is_empty())
    });
    all.into_iter().map(|process| (process.command, process.pid)).collect()
}

/// How many descriptors minisup has open.
pub fn descriptors(run: &Run) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().count()
}

/// Resident memory of minisup that is nobody else's, in kB: without the program itself.
pub fn memory(run: &Run) -> u64 {
    run.field("RssAnon").split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or_default()
}

/// Asks over the control socket, and waits for the reply.
pub fn ask(run: &Run, request: &Request) -> Reply {
    ask_later(run, request).join().unwrap()
}

/// Asks over the control socket; the reply is waited for beside.
pub fn ask_later(run: &Run, request: &Request) -> JoinHandle<Reply> {
    let mut client = Client::connect(&run.path("socket")).unwrap();
    client.ask(request).unwrap();
    std::thread::spawn(move || client.next(Some(LONG)).unwrap().expect("a reply"))
}
