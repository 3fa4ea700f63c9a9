//! How a process ended, and what the container says of it.

use super::signal::Signal;
use std::fmt;

/// How a process ended. A type and not a number: a process killed by signal 9 has no
/// exit code, and whoever asks for one anyway gets 0 and believes in a success.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It called `exit` with this code.
    Exited(u8),
    /// This signal ended it.
    Killed(Signal),
}

impl Outcome {
    /// The one number a shell would show: the code, or 128 + the signal.
    pub fn code(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::Killed(signal) => 128 + signal.number() as u8,
        }
    }

    /// The container's exit code when this outcome is what ended it: never 0.
    pub fn failure_code(self) -> u8 {
        match self.code() {
            0 => 1,
            code => code,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Exited(code) => write!(f, "exit code {code}"),
            Outcome::Killed(signal) => write!(f, "killed by {signal}"),
        }
    }
}

/// Exit codes of minisup itself, after sysexits(3) where there is one.
pub mod code {
    /// A command failed.
    pub const FAILED: u8 = 1;
    /// The arguments are wrong.
    pub const USAGE: u8 = 2;
    /// No supervisor answers at the socket (EX_UNAVAILABLE).
    pub const NO_SUPERVISOR: u8 = 69;
    /// A fault of our own (EX_SOFTWARE).
    pub const INTERNAL: u8 = 70;
    /// Not permitted (EX_NOPERM).
    pub const NOT_PERMITTED: u8 = 77;
    /// The configuration is wrong (EX_CONFIG).
    pub const CONFIGURATION: u8 = 78;
    /// The program exists but cannot be executed, as shells say it.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The program was not found, as shells say it.
    pub const NOT_FOUND: u8 = 127;
}
