//! What people read: our own words, the lines of our children, and a bar that is always last.
//!
//! Our words go to stderr behind `minisup init: `; a child's lines go where the child wrote
//! them, behind a prefix of their own. On a terminal there may be a bar below all that: every
//! line takes it away first and puts it back after, so the two never mix.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Which of our streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// stdout
    Out,
    /// stderr
    Err,
}

/// The line that stands below all others, if there is one now.
static BAR: Mutex<Option<String>> = Mutex::new(None);

/// Says something of our own. Each line of it gets our name in front.
pub fn tell(text: impl Display) {
    for line in text.to_string().lines() {
        put(Stream::Err, b"minisup init: ", line.as_bytes());
    }
}

/// Passes on one line of a child, without its end.
pub fn pass_on(stream: Stream, prefix: &str, line: &[u8]) {
    put(stream, prefix.as_bytes(), line);
}

/// Shows this text as the last line of the terminal, instead of what was there; `None`: nothing.
/// Only for a terminal: who calls knows that stderr is one.
pub fn show_bar(text: Option<String>) {
    let mut bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut err = io::stderr().lock();
    // A reader who has gone is no reason to fail.
    let _ = match &text {
        Some(text) => write!(err, "\r\x1b[K{text}"),
        None if bar.is_some() => write!(err, "\r\x1b[K"),
        None => Ok(()),
    };
    let _ = err.flush();
    *bar = text;
}

fn put(stream: Stream, prefix: &[u8], line: &[u8]) {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut whole = Vec::with_capacity(prefix.len() + line.len() + 1);
    whole.extend_from_slice(prefix);
    whole.extend_from_slice(line);
    whole.push(b'\n');
    let mut err = io::stderr().lock();
    if bar.is_some() {
        let _ = err.write_all(b"\r\x1b[K");
    }
    let _ = match stream {
        Stream::Out => io::stdout().lock().write_all(&whole).and_then(|()| io::stdout().lock().flush()),
        Stream::Err => err.write_all(&whole),
    };
    if let Some(bar) = &*bar {
        let _ = err.write_all(bar.as_bytes());
    }
}
