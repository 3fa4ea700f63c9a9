//! Signals by name and number.
//!
//! The numbers are those of Linux on x86, ARM, RISC-V, POWER and s390 (signal(7)).
//! Real-time signals count from 34, as glibc counts them: it keeps 32 and 33 to itself.

use std::fmt;

/// A signal number from 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Signal(u8);

const RTMIN: u8 = 34;
const MAX: u8 = 64;

const NAMES: [(u8, &str); 31] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];

#[allow(missing_docs)]
impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const KILL: Signal = Signal(9);
    pub const USR1: Signal = Signal(10);
    pub const USR2: Signal = Signal(12);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal(17);
    pub const CONT: Signal = Signal(18);
    pub const STOP: Signal = Signal(19);
    pub const TSTP: Signal = Signal(20);
    pub const TTIN: Signal = Signal(21);
    pub const TTOU: Signal = Signal(22);
    pub const WINCH: Signal = Signal(28);
    pub const PWR: Signal = Signal(30);
    /// What systemd sends to ask a container to halt.
    pub const RTMIN_3: Signal = Signal(RTMIN + 3);
}

impl Signal {
    /// The signal of this number, if there is one.
    pub fn from_number(number: i32) -> Option<Signal> {
        u8::try_from(number).ok().filter(|n| (1..=MAX).contains(n)).map(Signal)
    }

    /// Its number, from 1 to 64.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3`, `RTMAX-1`: all the ways people write one.
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse::<i32>() {
            return Signal::from_number(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let name = match name {
            "CLD" => "CHLD",
            "POLL" => "IO",
            "IOT" => "ABRT",
            other => other,
        };
        if let Some((number, _)) = NAMES.iter().find(|(_, n)| *n == name) {
            return Some(Signal(*number));
        }
        let (base, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(""), _) => return Some(Signal(RTMIN)),
            (_, Some("")) => return Some(Signal(MAX)),
            (Some(rest), _) => (i32::from(RTMIN), rest.strip_prefix('+')?.parse::<u8>().ok()?.into()),
            (_, Some(rest)) => (i32::from(MAX), -i32::from(rest.strip_prefix('-')?.parse::<u8>().ok()?)),
            _ => return None,
        };
        Signal::from_number(base + offset).filter(|s| s.0 >= RTMIN)
    }

    /// Every name that [`parse`](Self::parse) accepts without a number, for "did you mean".
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }
}

impl fmt::Display for Signal {
    /// `TERM`, `RTMIN+3`: without the SIG, as people write it in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None if self.0 == RTMIN => f.write_str("RTMIN"),
            None if self.0 > RTMIN => write!(f, "RTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_its_own_name() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal), "{signal}");
        }
    }

    #[test]
    fn all_usual_spellings_are_read() {
        for text in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
            assert_eq!(Signal::parse(text), Some(Signal::TERM), "{text}");
        }
        assert_eq!(Signal::parse("SIGRTMIN+3"), Some(Signal::RTMIN_3));
        assert_eq!(Signal::parse("RTMAX-27"), Some(Signal::RTMIN_3));
    }

    #[test]
    fn nonsense_is_not_a_signal() {
        for text in ["", "0", "65", "-1", "TERMINATE", "RTMIN+31", "RTMIN-1", "RTMAX+1", "SIG"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
    }
}
