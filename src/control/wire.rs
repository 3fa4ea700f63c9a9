//! The documents: what is asked, and what is answered.
//!
//! A client sends one [`Request`] a line. The supervisor sends one or more [`Reply`]s a line:
//! any number of interim ones ([`Reply::Event`], [`Reply::Log`]) and, unless the request is to
//! go on for ever, one that ends it. Requests of one connection are answered one after the other.
//!
//! Every document carries `"version": 1`. Within a version documents only gain fields, and a
//! client skips what it does not know; an unknown field of a *request* is an error,
//! for it would otherwise be silently not done. So that a new client is understood by an older supervisor, what is
//! at its default is not sent.
//!
//! Durations are seconds as a number with fractions; moments are RFC 3339 in UTC with milliseconds.

use super::document::{Document, FromDocument};
use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The longest line a client may send, in bytes, newline included.
pub const REQUEST_MAX: usize = 64 * 1024;

/// What a client asks. `names` are names of services, `name:0` of one instance where that is
/// said, globs, or `all`; an empty list means all where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Request {
    /// Answered by [`Reply::Status`].
    Status {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    /// Answered by [`Reply::Done`] when they are ready, or at once if not `wait`; [`Reply::Failed`].
    Start {
        names: Vec<String>,
        #[serde(skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// When they are down.
    Stop {
        names: Vec<String>,
        #[serde(skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// When the new processes are ready.
    Restart {
        names: Vec<String>,
        #[serde(skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// When the check has passed and the reload was carried out.
    Reload {
        names: Vec<String>,
        #[serde(skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// `signal` as `TERM` or `15`. At once.
    Signal { names: Vec<String>, signal: String },
    /// Each of `names` may end in `:started`, `:ready`, `:healthy`, `:done` or `:stopped`.
    /// Answered when all are true.
    Wait { names: Vec<String> },
    /// The last `lines` of the rings, then, with `follow`, whatever comes: [`Reply::Log`] each, then
    /// [`Reply::Done`] (never, with `follow`, until the supervisor ends).
    Logs {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        lines: Option<u32>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        follow: bool,
        /// Of what there is already, only what was written since the last launch.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        last_launch: bool,
    },
    /// Answered by [`Reply::Updated`].
    Update {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
        #[serde(skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// [`Reply::Event`] for every change, for ever.
    Events,
    /// Answered by [`Reply::Health`].
    Health,
    /// Answered by [`Reply::Done`] when draining has begun. `timeout`: seconds, in place of
    /// `shutdown_timeout`.
    Shutdown {
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
}

fn is_yes(it: &bool) -> bool {
    *it
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Reply {
    /// It is so.
    Done,
    /// It did not come true. `log`: the last lines of the service.
    Failed {
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// It was not even tried.
    Error {
        error: ErrorKind,
        message: String,
    },
    Status(Status),
    Health(Health),
    Updated(Updated),
    Event(Event),
    Log(LogLine),
}

/// Why a request was not even tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ErrorKind {
    /// Neither the uid of the supervisor, nor root, nor in the group.
    NotPermitted,
    /// No service has this name; the message has the one that may have been meant.
    UnknownName,
    /// Not a document of this protocol: no JSON, too long, an unknown request or field.
    BadRequest,
    /// A version that this supervisor does not speak.
    BadVersion,
    /// The configuration that `update` read has errors; the message is all of them.
    BadConfiguration,
    /// Too many clients, or too many open requests.
    Busy,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// boot, up, draining, sweeping, done.
    pub phase: String,
    /// Of the supervisor.
    pub pid: i32,
    /// Of its program.
    #[serde(rename = "program_version")]
    pub version: String,
    /// Seconds since it began.
    pub uptime: f64,
    /// The instances that were asked for, in the order of the configuration.
    pub instances: Vec<Instance>,
}

/// One instance at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instance {
    /// The service's name.
    pub service: String,
    /// The number within the service, from 0; absent where there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// stopped, waiting, launching, preparing, starting, running, stopping, killing, sweeping, backoff, exited, fatal.
    pub state: String,
    /// "longrun" or "oneshot".
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is asked to be up.
    pub wanted: bool,
    /// Whether it may be depended on.
    pub ready: bool,
    /// What its continuing check says, if it has one.
    pub healthy: Option<bool>,
    /// Whether its failure ends the container.
    pub essential: bool,
    /// The main process.
    pub pid: Option<i32>,
    /// Seconds since that was forked.
    pub uptime: Option<f64>,
    /// Launches beyond the first.
    pub restarts: u32,
    /// Failures in a row.
    pub failures: u32,
    /// How the last process ended: "exit code 3", "killed by KILL".
    pub last: Option<String>,
    /// Why it is not running, or not ready, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the service said of itself (STATUS= of sd_notify).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Seconds until it is tried again, in `backoff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<f64>,
    /// When its schedule runs it next: RFC 3339 in UTC with milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<String>,
    /// Resident memory of the main process, in bytes.
    pub memory: Option<u64>,
}

/// Whether the container is well: essential services only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// All essential services that are wanted are ready, and none is unhealthy.
    pub healthy: bool,
    /// One line: "healthy: 3 of 3 essential services", or who is not, and why.
    pub message: String,
}

/// What an update changed, or would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Updated {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// In the order of the configuration; removed ones last. Unchanged ones are not in it.
    pub services: Vec<Changed>,
    /// Keys outside of services that changed; `needs_restart`: only a new start of minisup applies them.
    pub other: Vec<ChangedKey>,
}

/// What an update does to one service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Its name.
    pub service: String,
    /// What is done.
    pub change: ChangeKind,
    /// For changed services.
    pub keys: Vec<ChangedKey>,
}

/// What an update does to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ChangeKind {
    Added,
    Removed,
    /// Its processes are replaced.
    Replaced,
    /// It keeps its processes.
    InPlace,
}

/// A key whose value changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangedKey {
    /// As in the configuration: `stop.grace_period`.
    pub key: String,
    /// Before; secret values are `"***"`.
    pub from: String,
    /// After.
    pub to: String,
    /// Whether a new process is needed for it.
    pub needs_restart: bool,
}

/// Something happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub time: String,
    /// `state`, `taken-over`, `waits`, `said`, `health`, `phase`, `draining`, `signal`, `updated`, `removed`,
    /// `skipped`, `dropped` (events that the client was too slow for).
    pub event: String,
    /// Of whom; absent when it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The number of the instance, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// After: a state, a phase, `healthy` or `unhealthy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The main process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// How the last process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The line minisup itself would log of it.
    pub message: String,
}

/// A line of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogLine {
    /// When it was read.
    pub time: String,
    /// Whose.
    pub service: String,
    /// The number of the instance, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// `stdout`, `stderr`.
    pub stream: String,
    /// The line without its newline; bytes that are no UTF-8 become U+FFFD.
    pub message: String,
    /// The rest of the line comes in the next one, or is not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// A document with its version.
#[derive(Serialize)]
struct Outgoing<'a, T> {
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// The document as one line, newline included.
pub fn line(document: &impl Serialize) -> Vec<u8> {
    // Fails only for maps whose keys are no strings, and there are none here.
    let mut line = serde_json::to_vec(&Outgoing { version: VERSION, body: document }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A client's line, without the newline.
///
/// # Errors
/// [`ErrorKind::BadVersion`] or [`ErrorKind::BadRequest`], with what is wrong.
pub fn request(line: &[u8]) -> Result<Request, (ErrorKind, String)> {
    let bad = |error: Error| (ErrorKind::BadRequest, format!("cannot read the request: {error}"));
    let mut document: Document = serde_json::from_slice(line).map_err(bad)?;
    match document.remove("version").as_ref().map(Value::as_u64) {
        Some(Some(version)) if version == u64::from(VERSION) => {}
        None => {
            return Err((
                ErrorKind::BadVersion,
                format!("\"version\" is missing: this is version {VERSION}"),
            ));
        }
        Some(_) => return Err((ErrorKind::BadVersion, format!("only version {VERSION} is spoken here"))),
    }
    Request::take_from(&mut document).map_err(bad)
}

/// A supervisor's line, without the newline.
///
/// # Errors
/// It is not one of this protocol.
pub fn reply(line: &[u8]) -> Result<Reply, Error> {
    Reply::take_from(&mut serde_json::from_slice(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_its_default_is_not_sent_for_an_older_supervisor_may_not_know_it() {
        let sent = |asked: Request| String::from_utf8(line(&asked)).unwrap();
        let names = || vec!["web".to_owned()];
        let logs = |lines, follow, last_launch| Request::Logs { names: names(), lines, follow, last_launch };
        for (asked, bytes) in [
            (Request::Status { names: vec![] }, r#""request":"status""#),
            (Request::Start { names: names(), wait: true }, r#""request":"start","names":["web"]"#),
            (Request::Stop { names: names(), wait: true }, r#""request":"stop","names":["web"]"#),
            (Request::Restart { names: names(), wait: true }, r#""request":"restart","names":["web"]"#),
            (
                Request::Reload { names: names(), wait: false },
                r#""request":"reload","names":["web"],"wait":false"#,
            ),
            (logs(None, false, false), r#""request":"logs","names":["web"]"#),
            (
                logs(Some(5), true, true),
                r#""request":"logs","names":["web"],"lines":5,"follow":true,"last_launch":true"#,
            ),
            (Request::Update { dry_run: false, wait: true }, r#""request":"update""#),
            (
                Request::Update { dry_run: true, wait: false },
                r#""request":"update","dry_run":true,"wait":false"#,
            ),
            (Request::Shutdown { timeout: None }, r#""request":"shutdown""#),
        ] {
            assert_eq!(sent(asked.clone()), format!("{{\"version\":1,{bytes}}}\n"));
            assert_eq!(request(sent(asked.clone()).trim_end().as_bytes()), Ok(asked));
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let kind = |line: &str| request(line.as_bytes()).unwrap_err().0;
        assert_eq!(kind(r#"{"request":"health"}"#), ErrorKind::BadVersion);
        assert_eq!(kind(r#"{"version":2,"request":"health"}"#), ErrorKind::BadVersion);
        assert_eq!(kind(r#"{"version":1,"request":"dance"}"#), ErrorKind::BadRequest);
        assert_eq!(kind(r#"{"version":1,"request":"start","names":[],"wiat":true}"#), ErrorKind::BadRequest);
        assert_eq!(kind("{"), ErrorKind::BadRequest);
    }
}
