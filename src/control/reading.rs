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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire;

    fn comes_back(sent: Reply) {
        let line = wire::line(&sent);
        assert_eq!(wire::reply(&line[..line.len() - 1]).unwrap(), sent);
    }

    #[test]
    fn every_request_comes_back_as_it_was_sent() {
        let names = || vec!["web*".to_owned(), "db:1".to_owned()];
        let all = [
            Request::Status { names: names() },
            Request::Start { names: names(), wait: false },
            Request::Stop { names: names(), wait: false },
            Request::Restart { names: names(), wait: false },
            Request::Reload { names: names(), wait: false },
            Request::Signal { names: names(), signal: "HUP".into() },
            Request::Wait { names: names() },
            Request::Logs { names: names(), lines: Some(3), follow: true, last_launch: true },
            Request::Update { dry_run: true, wait: false },
            Request::Events,
            Request::Health,
            Request::Shutdown { timeout: Some(9) },
        ];
        assert_eq!(all.len(), REQUESTS.len());
        for sent in all {
            let line = wire::line(&sent);
            assert_eq!(wire::request(&line[..line.len() - 1]), Ok(sent));
        }
    }

    #[test]
    fn what_may_be_left_out_of_a_request_has_its_default() {
        let read = |fields: &str| wire::request(format!(r#"{{"version":1,"request":{fields}}}"#).as_bytes());
        assert_eq!(read(r#""status""#), Ok(Request::Status { names: vec![] }));
        let logs = Request::Logs { names: vec![], lines: None, follow: false, last_launch: false };
        assert_eq!(read(r#""logs","lines":null"#), Ok(logs));
        assert_eq!(read(r#""stop","names":[]"#), Ok(Request::Stop { names: vec![], wait: true }));
        assert_eq!(read(r#""update""#), Ok(Request::Update { dry_run: false, wait: true }));
        assert_eq!(read(r#""shutdown""#), Ok(Request::Shutdown { timeout: None }));
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let wrong = |fields: &str| {
            let why = wire::request(format!(r#"{{"version":1,{fields}}}"#).as_bytes()).unwrap_err().1;
            why.strip_prefix("cannot read the request: ").unwrap().to_owned()
        };
        assert_eq!(wrong(r#""names":[]"#), "missing field `request`");
        assert_eq!(wrong(r#""request":"start""#), "missing field `names`");
        assert_eq!(
            wrong(r#""request":"start","nmaes":[]"#),
            "unknown field `nmaes`, expected `names` or `wait`"
        );
        assert_eq!(
            wrong(r#""request":"start","names":"web""#),
            "invalid type: string \"web\", expected a sequence"
        );
        assert_eq!(wrong(r#""request":"health","really":true"#), "it has no fields");
        let unknown = wrong(r#""request":"dance""#);
        assert!(
            unknown.starts_with("unknown variant `dance`, expected one of `status`, `start`, "),
            "{unknown}"
        );
    }

    #[test]
    fn every_reply_comes_back_as_it_was_sent() {
        let text = || Some("text".to_owned());
        let instance = Instance {
            service: "web".into(),
            instance: Some(1),
            state: "running".into(),
            kind: "longrun".into(),
            wanted: true,
            ready: true,
            healthy: Some(false),
            essential: true,
            pid: Some(7),
            uptime: Some(1.5),
            restarts: 2,
            failures: 3,
            last: text(),
            reason: text(),
            said: text(),
            retry_in: Some(0.25),
            next_run: text(),
            memory: Some(1 << 40),
        };
        let nothing = Instance {
            instance: None,
            healthy: None,
            pid: None,
            uptime: None,
            last: None,
            reason: None,
            said: None,
            retry_in: None,
            next_run: None,
            memory: None,
            ..instance.clone()
        };
        let key = ChangedKey { key: "stop".into(), from: "1".into(), to: "2".into(), needs_restart: true };
        let services = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Replaced, ChangeKind::InPlace]
            .map(|change| Changed { service: "web".into(), change, keys: vec![key.clone()] });
        comes_back(Reply::Done);
        comes_back(Reply::Failed { message: "no".into(), service: text(), log: vec!["line".into()] });
        comes_back(Reply::Failed { message: "no".into(), service: None, log: vec![] });
        for error in [ErrorKind::NotPermitted, ErrorKind::BadConfiguration, ErrorKind::Busy] {
            comes_back(Reply::Error { error, message: "no".into() });
        }
        comes_back(Reply::Status(Status {
            phase: "up".into(),
            pid: 1,
            version: "0.1.0".into(),
            uptime: 3.0,
            instances: vec![instance, nothing],
        }));
        comes_back(Reply::Health(Health { healthy: false, message: "no".into() }));
        comes_back(Reply::Updated(Updated { dry_run: true, services: services.into(), other: vec![key] }));
        comes_back(Reply::Event(Event {
            service: text(),
            pid: Some(7),
            outcome: text(),
            ..Event::default()
        }));
        comes_back(Reply::Event(Event { instance: Some(0), from: text(), to: text(), ..Event::default() }));
        comes_back(Reply::Log(LogLine {
            time: "now".into(),
            service: "web".into(),
            instance: None,
            stream: "stdout".into(),
            message: "\u{fffd}".into(),
            continues: true,
        }));
    }
}
