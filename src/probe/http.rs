//! An HTTP GET (RFC 1945: version 1.0, so that the answer ends with the connection), and
//! the first line of the answer.

use super::address::{Address, Connection};
use super::{NoAnswer, TimeLimit};
use httparse::{EMPTY_HEADER, Response};
use std::fmt;
use std::time::Duration;

/// So much of an answer is looked at before we give up finding a status line.
const HEAD_MAX: usize = 16 * 1024;
/// So much of a body is taken, and so long waited for it, only so that the server does not
/// find the connection closed under its hands and complain in its log.
const BODY_MAX: usize = 64 * 1024;
const BODY_WAIT: Duration = Duration::from_millis(250);

/// The first line of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// 200, 503 …
    pub code: u16,
    /// `OK`, `Service Unavailable` …; may be empty.
    pub reason: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.trim() {
            "" => write!(f, "HTTP {}", self.code),
            reason => write!(f, "HTTP {} {reason}", self.code),
        }
    }
}

/// Asks for this path and says what the server answers.
///
/// # Errors
/// There is no status line within the time.
pub fn get(address: &Address, host: &str, path: &str, limit: TimeLimit) -> Result<Status, NoAnswer> {
    let mut connection = address.connect(limit)?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: minisup\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    connection.send(request.as_bytes(), limit)?;
    status_line(&mut connection, limit)
}

/// Whether the status counts as good: the same status, as an answer or as the reason why not.
///
/// # Errors
/// It does not.
pub fn within(status: Status, is_good: impl Fn(u16) -> bool) -> Result<Status, NoAnswer> {
    match is_good(status.code) {
        true => Ok(status),
        false => Err(NoAnswer::Got(status.to_string())),
    }
}

/// Receives until the status line is complete.
pub(super) fn status_line(connection: &mut Connection, limit: TimeLimit) -> Result<Status, NoAnswer> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.receive(&mut buffer, limit)?;
        answer.extend_from_slice(&buffer[..count]);
        if let Some(status) = parse(&answer)? {
            hear_out(connection, limit);
            return Ok(status);
        }
        match count {
            0 if answer.is_empty() => return Err(NoAnswer::Got("closed without an answer".into())),
            0 => {
                return Err(NoAnswer::Got(format!("closed in the middle of its answer: {}", quote(&answer))));
            }
            _ if answer.len() > HEAD_MAX => return Err(not_http(&answer)),
            _ => {}
        }
    }
}

/// The status, if its line is complete.
fn parse(answer: &[u8]) -> Result<Option<Status>, NoAnswer> {
    let mut headers = [EMPTY_HEADER; 64];
    let mut response = Response::new(&mut headers);
    let result = response.parse(answer);
    match (response.code, response.reason, result) {
        // What follows the status line does not matter.
        (Some(code), Some(reason), _) => Ok(Some(Status { code, reason: reason.to_owned() })),
        (_, _, Err(_)) => Err(not_http(answer)),
        (_, _, Ok(_)) => Ok(None),
    }
}

fn not_http(answer: &[u8]) -> NoAnswer {
    NoAnswer::Got(format!("not HTTP: {}", quote(answer)))
}

/// The beginning of it, fit for a line of text.
fn quote(bytes: &[u8]) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    format!("{:?}", start.lines().next().unwrap_or_default())
}

fn hear_out(connection: &mut Connection, limit: TimeLimit) {
    let Ok(left) = limit.left() else { return };
    let limit = TimeLimit::of(left.min(BODY_WAIT));
    let mut buffer = [0; 4096];
    let mut total = 0;
    while let Ok(count @ 1..) = connection.receive(&mut buffer, limit) {
        total += count;
        if total > BODY_MAX {
            return;
        }
    }
}
