//! How long to wait before the next try.
//!
//! The delay grows with the failures in a row: `initial`, `initial * factor`, and so on,
//! never beyond `max`. Jitter makes services that failed together come back apart. It
//! only ever shortens, and by the same share for all tries of one instance: so within
//! a row of failures no delay is shorter than the one before, and none passes `max`.

use super::ids::InstanceId;
use super::plan::Backoff;
use std::time::Duration;

/// A number from 0 to 1 that belongs to one instance for the whole run. The core draws no
/// random numbers: `seed` comes from outside, once.
pub fn die(seed: u64, instance: InstanceId) -> f64 {
    // The finaliser of SplitMix64: neighbouring instances get numbers far apart.
    let mut z = seed.wrapping_add(u64::from(instance.0).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The delay after so many failures in a row (at least 1). Numbers that make no sense (a
/// factor that is not a number, a time beyond all clocks) give `max`, or no jitter: whatever
/// a configuration says, this does not panic.
pub fn delay(backoff: &Backoff, failures: u32, die: f64) -> Duration {
    if backoff.initial.is_zero() {
        return Duration::ZERO;
    }
    let grown = backoff.initial.as_secs_f64()
        * backoff.factor.max(1.0).powi(failures.saturating_sub(1).min(1000) as i32);
    let limited = grown.min(backoff.max.as_secs_f64());
    let share = backoff.jitter.clamp(0.0, 1.0) * die.clamp(0.0, 1.0);
    let kept = if share.is_nan() { 1.0 } else { 1.0 - share };
    Duration::try_from_secs_f64(limited * kept).map_or(backoff.max, |delay| delay.min(backoff.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Backoff = Backoff {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(30),
        factor: 2.0,
        jitter: 0.1,
    };

    #[test]
    fn it_doubles_up_to_the_limit() {
        let delays: Vec<_> =
            [1, 2, 3, 4, 9, 10, 1000, u32::MAX].map(|n| delay(&DEFAULT, n, 0.0).as_millis()).into();
        assert_eq!(delays, [100, 200, 400, 800, 25_600, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn jitter_only_shortens_and_by_its_share_at_most() {
        for n in 1..20 {
            assert!(delay(&DEFAULT, n, 1.0) >= delay(&DEFAULT, n, 0.0).mul_f64(0.899));
            assert!(delay(&DEFAULT, n, 0.5) <= delay(&DEFAULT, n, 0.0));
        }
    }

    #[test]
    fn every_instance_has_a_die_of_its_own() {
        let dice: Vec<f64> = (0..1000).map(|i| die(7, InstanceId(i))).collect();
        assert!(dice.iter().all(|d| (0.0..1.0).contains(d)));
        let mean = dice.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }

    #[test]
    fn no_delay_at_all_is_possible() {
        assert_eq!(delay(&Backoff { initial: Duration::ZERO, ..DEFAULT }, 5, 0.3), Duration::ZERO);
    }

    #[test]
    fn no_configuration_makes_it_panic() {
        let numbers = [0.0, -1.0, 1.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let times = [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(30), Duration::MAX];
        for (initial, max) in times.iter().flat_map(|initial| times.map(|max| (*initial, max))) {
            for (factor, jitter) in numbers.iter().flat_map(|f| numbers.map(|j| (*f, j))) {
                let backoff = Backoff { initial, max, factor, jitter };
                for (failures, die) in
                    numbers.iter().zip([0, 1, 2, 1000, 1001, u32::MAX, 7]).map(|(d, n)| (n, *d))
                {
                    assert!(delay(&backoff, failures, die) <= max, "{backoff:?} {failures} {die}");
                }
            }
        }
    }

    #[test]
    fn no_initial_delay_stays_none_however_steep_the_growth() {
        let backoff = Backoff { initial: Duration::ZERO, factor: 1e10, ..DEFAULT };
        assert_eq!(delay(&backoff, 500, 0.0), Duration::ZERO);
    }
}
