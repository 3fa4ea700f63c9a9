//! clock_gettime(2): the one clock. Everything else is told what time it is.

use crate::core::time::Moment;
use std::time::Duration;

/// Now, on CLOCK_MONOTONIC: never set back, and still while the machine sleeps.
pub fn now() -> Moment {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec we own. The call cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Moment::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Seconds and nanoseconds since 1970: for stamping lines, never for measuring.
pub fn wall() -> (i64, u32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    (time.tv_sec, time.tv_nsec as u32)
}

/// Waits, really. Only for when the loop is no more.
#[expect(clippy::disallowed_methods)]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_passes_and_never_goes_back() {
        let first = super::now();
        let mut last = first;
        while last == first {
            let next = super::now();
            assert!(next >= last);
            last = next;
        }
    }
}
