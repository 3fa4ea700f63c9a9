//! The documents of [`wire`](super::wire) as they are read.
//!
//! What a client may leave out of a request has its default here.

use super::document::{Document, FromDocument};
use super::wire::*;
use serde::de::Error as _;
use serde_json::Error;

const REQUESTS: &[&str] = &[
    "status", "start", "stop", "restart", "reload", "signal", "wait", "logs", "update", "events", "health",
    "shutdown",
];

const REPLIES: &[&str] = &["done", "failed", "error", "status", "health", "updated", "event", "log"];

impl FromDocument for Request {
    fn take_from(it: &mut Document) -> Result<Request, Error> {
        let request: String = it.take("request")?;
        Ok(match request.as_str() {
            "status" => {
                it.only(&["names"])?;
                Request::Status { names: it.take_or("names", Vec::new())? }
            }
            "start" => {
                let (names, wait) = change(it)?;
                Request::Start { names, wait }
            }
            "stop" => {
                let (names, wait) = change(it)?;
                Request::Stop { names, wait }
            }
            "restart" => {
                let (names, wait) = change(it)?;
                Request::Restart { names, wait }
            }
            "reload" => {
                let (names, wait) = change(it)?;
                Request::Reload { names, wait }
            }
            "signal" => {
                it.only(&["names", "signal"])?;
                Request::Signal { names: it.take("names")?, signal: it.take("signal")? }
            }
            "wait" => {
                it.only(&["names"])?;
                Request::Wait { names: it.take("names")? }
            }
            "logs" => {
                it.only(&["names", "lines", "follow", "last_launch"])?;
                Request::Logs {
                    names: it.take_or("names", Vec::new())?,
                    lines: it.take("lines")?,
                    follow: it.take_or("follow", false)?,
                    last_launch: it.take_or("last_launch", false)?,
                }
            }
            "update" => {
                it.only(&["dry_run", "wait"])?;
                Request::Update { dry_run: it.take_or("dry_run", false)?, wait: it.take_or("wait", true)? }
            }
            "events" => {
                it.only(&[])?;
                Request::Events
            }
            "health" => {
                it.only(&[])?;
                Request::Health
            }
            "shutdown" => {
                it.only(&["timeout"])?;
                Request::Shutdown { timeout: it.take("timeout")? }
            }
            other => return Err(Error::unknown_variant(other, REQUESTS)),
        })
    }
}

/// Of whom, and whether to wait until it is so.
fn change(it: &mut Document) -> Result<(Vec<String>, bool), Error> {
    it.only(&["names", "wait"])?;
    Ok((it.take("names")?, it.take_or("wait", true)?))
}

impl FromDocument for Reply {
    fn take_from(it: &mut Document) -> Result<Reply, Error> {
        let reply: String = it.take("reply")?;
        Ok(match reply.as_str() {
            "done" => Reply::Done,
            "failed" => Reply::Failed {
                message: it.take("message")?,
                service: it.take("service")?,
                log: it.take_or("log", Vec::new())?,
            },
            "error" => Reply::Error { error: it.take("error")?, message: it.take("message")? },
            "status" => Reply::Status(Status::take_from(it)?),
            "health" => Reply::Health(Health { healthy: it.take("healthy")?, message: it.take("message")? }),
            "updated" => Reply::Updated(Updated {
                dry_run: it.take("dry_run")?,
                services: it.list("services")?,
                other: it.list("other")?,
            }),
            "event" => Reply::Event(Event::take_from(it)?),
            "log" => Reply::Log(LogLine::take_from(it)?),
            other => return Err(Error::unknown_variant(other, REPLIES)),
        })
    }
}

impl FromDocument for Status {
    fn take_from(it: &mut Document) -> Result<Status, Error> {
        Ok(Status {
            phase: it.take("phase")?,
            pid: it.take("pid")?,
            version: it.take("program_version")?,
            uptime: it.take("uptime")?,
            instances: it.list("instances")?,
        })
    }
}

impl FromDocument for Instance {
    fn take_from(it: &mut Document) -> Result<Instance, Error> {
        Ok(Instance {
            service: it.take("service")?,
            instance: it.take("instance")?,
            state: it.take("state")?,
            kind: it.take("type")?,
            wanted: it.take("wanted")?,
            ready: it.take("ready")?,
            healthy: it.take("healthy")?,
            essential: it.take("essential")?,
            pid: it.take("pid")?,
            uptime: it.take("uptime")?,
            restarts: it.take("restarts")?,
            failures: it.take("failures")?,
            last: it.take("last")?,
            reason: it.take("reason")?,
            said: it.take("said")?,
            retry_in: it.take("retry_in")?,
            next_run: it.take("next_run")?,
            memory: it.take("memory")?,
        })
    }
}

impl FromDocument for Changed {
    fn take_from(it: &mut Document) -> Result<Changed, Error> {
        Ok(Changed { service: it.take("service")?, change: it.take("change")?, keys: it.list("keys")? })
    }
}

impl FromDocument for ChangedKey {
    fn take_from(it: &mut Document) -> Result<ChangedKey, Error> {
        Ok(ChangedKey {
            key: it.take("key")?,
            from: it.take("from")?,
            to: it.take("to")?,
            needs_restart: it.take("needs_restart")?,
        })
    }
}

impl FromDocument for Event {
    fn take_from(it: &mut Document) -> Result<Event, Error> {
        Ok(Event {
            time: it.take("time")?,
            event: it.take("event")?,
            service: it.take("service")?,
            instance: it.take("instance")?,
            from: it.take("from")?,
            to: it.take("to")?,
            pid: it.take("pid")?,
            outcome: it.take("outcome")?,
            message: it.take("message")?,
        })
    }
}

impl FromDocument for LogLine {
    fn take_from(it: &mut Document) -> Result<LogLine, Error> {
        Ok(LogLine {
            time: it.take("time")?,
            service: it.take("service")?,
            instance: it.take("instance")?,
            stream: it.take("stream")?,
            message: it.take("message")?,
            continues: it.take_or("continues", false)?,
        })
    }
}
