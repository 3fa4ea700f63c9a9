//! A mark that every descendant of a service carries, whatever it does to leave it.
//!
//! A daemon leaves its parents, its group and its session, and may change its user and clear
//! its environment. Resource limits it keeps: getrlimit(2), inherited by fork and exec. One of
//! them nobody uses at the upper end: RLIMIT_RTTIME, the microseconds for which a real-time
//! process may keep the processor. A limit of more than 60,000 years limits nobody, and has
//! room for a number. /proc/PID/limits may be read by everybody, unlike /proc/PID/environ.
//!
//! Limits can only be lowered without CAP_SYS_RESOURCE; so within another minisup, whose mark
//! we carry ourselves, ours is lower. Where there is a limit that means something, nothing is
//! marked.

use crate::core::ids::Pid;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

/// Where the outermost minisup's marks begin.
const HIGHEST: u64 = 1 << 62;

/// Marks are above this, more than 60,000 years.
const LOWEST: u64 = 1 << 61;

/// Numbers are below this.
const ROOM: u64 = 1 << 32;

/// Where our marks begin, if we may make any.
fn base() -> Option<u64> {
    static BASE: OnceLock<Option<u64>> = OnceLock::new();
    *BASE.get_or_init(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME).ok()?;
        let base = if hard == RLIM_INFINITY { HIGHEST } else { below(hard) };
        (base >= LOWEST).then_some(base)
    })
}

/// Whether what we launch is marked.
pub(super) fn is_used() -> bool {
    base().is_some()
}

/// The next base below a limit that is a mark itself: each level has its own range.
fn below(mark: u64) -> u64 {
    (mark / ROOM).saturating_sub(1).saturating_mul(ROOM)
}

/// The soft and the hard limit that are this mark.
pub(super) fn values(mark: u32) -> Option<[u64; 2]> {
    base().map(|base| [base + u64::from(mark); 2])
}

/// The mark of a process, if it carries one of ours and /proc shows it.
pub(super) fn of(pid: Pid) -> Option<u32> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/limits")).ok()?.read_to_string(&mut text).ok()?;
    number(&text, base()?)
}

/// From the line `Max realtime timeout  SOFT  HARD  us`.
fn number(text: &str, base: u64) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let hard: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    u32::try_from(hard.checked_sub(base)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_a_line_of_limits() {
        let line = |hard: &str| format!("Max cpu time  1 1 s\nMax realtime timeout      7 {hard} us\n");
        assert_eq!(number(&line(&(HIGHEST + 17).to_string()), HIGHEST), Some(17));
        assert_eq!(number(&line("unlimited"), HIGHEST), None);
        assert_eq!(number(&line("200000"), HIGHEST), None);
        assert_eq!(number("", HIGHEST), None);
    }

    #[test]
    fn within_another_minisup_the_ranges_are_apart() {
        let inner = below(HIGHEST + 17);
        assert!(inner + ROOM <= HIGHEST && inner >= LOWEST);
        assert_eq!(number(&format!("Max realtime timeout {0} {0} us", HIGHEST + 17), inner), None);
        assert!(below(200_000) < LOWEST);
    }
}
