//! The examples of docs/control-protocol.md are of this protocol, and all of it has one.

use minisup::control::wire::{self, Reply, Request};
use std::collections::BTreeSet;

/// Lines of the code blocks: from the client (`→`) and from the supervisor (`←`).
fn examples(arrow: char) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/control-protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(arrow));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_request_of_the_manual_is_one_and_every_request_is_in_it() {
    let mut seen = BTreeSet::new();
    for line in examples('→') {
        let request = wire::request(line.as_bytes()).unwrap_or_else(|(_, why)| panic!("{line}: {why}"));
        seen.insert(match request {
            Request::Status { .. } => "status",
            Request::Start { .. } => "start",
            Request::Stop { .. } => "stop",
            Request::Restart { .. } => "restart",
            Request::Reload { .. } => "reload",
            Request::Signal { .. } => "signal",
            Request::Wait { .. } => "wait",
            Request::Logs { .. } => "logs",
            Request::Update { .. } => "update",
            Request::Events => "events",
            Request::Health => "health",
            Request::Shutdown { .. } => "shutdown",
        });
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
}

#[test]
fn every_reply_of_the_manual_is_one_and_every_reply_is_in_it() {
    let mut seen = BTreeSet::new();
    for line in examples('←') {
        let reply = wire::reply(line.as_bytes()).unwrap_or_else(|why| panic!("{line}: {why}"));
        // Nothing stands there that the supervisor would not say.
        let sent: serde_json::Value = serde_json::from_slice(&wire::line(&reply)).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), sent);
        seen.insert(match reply {
            Reply::Done => "done",
            Reply::Failed { .. } => "failed",
            Reply::Error { .. } => "error",
            Reply::Status(_) => "status",
            Reply::Health(_) => "health",
            Reply::Updated(_) => "updated",
            Reply::Event(_) => "event",
            Reply::Log(_) => "log",
        });
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}
