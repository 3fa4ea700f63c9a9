//! What minisup says about itself: the `log` macros, into the container's stderr.
//!
//! A message is written at once if stderr takes it, queued if not, and counted if even the
//! queue's reserve is full: to say something never makes PID 1 wait. Values of secrets are not said. The level comes from
//! `[supervisor] log_level`; `MINISUP_LOG` (`debug`, or `warn,minisup::runtime=trace`) overrides it.
//! RUST_LOG is left to the services: it is their variable as much as ours.

use super::format::Look;
use super::output::Output;
use super::pump::Wall;
use super::stamp::Stamp;
use crate::core::plan::LogLevel;
use crate::core::secrets::Secrets;
use ::log::{Level, LevelFilter, SetLoggerError};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The variable that has the last word on what is said.
const OVERRIDE: &str = "MINISUP_LOG";

/// How messages are said.
#[derive(Debug)]
pub struct Manner {
    /// What lines look like.
    pub look: Look,
    /// What is not said.
    pub secrets: Secrets,
}

/// Sends the `log` macros to this output from now on.
///
/// # Errors
/// A logger has been installed before: there can be only one in a process.
pub fn install(
    output: Arc<Mutex<Output>>,
    manner: Arc<Mutex<Manner>>,
    wall: Wall,
    level: LogLevel,
) -> Result<(), SetLoggerError> {
    let mut builder = env_logger::Builder::new();
    match std::env::var(OVERRIDE) {
        Ok(filters) => builder.filter_level(filter(level)).parse_filters(&filters),
        // The macros themselves ask for the level, which can change.
        Err(_) => builder.filter_level(LevelFilter::Trace),
    };
    builder.format(move |to, record| {
        let mut line = Vec::with_capacity(128);
        let Manner { look, secrets } = &*manner.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = if look.is_stamped() { Stamp::of(wall()) } else { Stamp::default() };
        let text = secrets.masked(record.args().to_string());
        look.own_line(&mut line, &stamp, level_word(record.level()), &text);
        to.write_all(&line)
    });
    builder.target(env_logger::Target::Pipe(Box::new(OwnMessages(output)))).try_init()?;
    set_level(level);
    Ok(())
}

/// From now on this is the least that is said, unless `MINISUP_LOG` says otherwise.
pub fn set_level(level: LogLevel) {
    if std::env::var_os(OVERRIDE).is_none() {
        ::log::set_max_level(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Takes one message a call: so env_logger hands them over.
struct OwnMessages(Arc<Mutex<Output>>);

impl Write for OwnMessages {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_own(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
