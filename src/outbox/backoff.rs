//! When a failed delivery is tried again.

use std::time::Duration;

/// Waits that double from `base` to `cap`, each cut at random to between a half and the whole, so that a thousand messages that failed
/// together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The first wait, at most.
    pub(crate) base: Duration,
    /// No wait is longer.
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The wait after `attempts` failed attempts (1 for the first); `random` decides between its half and its whole.
    #[must_use]
    pub(crate) fn delay(self, attempts: i32, random: u32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(31);
        let whole = self.base.saturating_mul(1 << doublings).min(self.cap);
        let half = whole / 2;
        let wait = half + half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        // Whole microseconds, as every time has that is stored: SQLite would keep the rest and PostgreSQL would not.
        Duration::from_micros(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(30), cap: Duration::from_secs(3600) };

    #[test]
    fn waits_double_up_to_the_cap_and_are_cut_by_no_more_than_half() {
        for (attempts, whole) in [
            (1, 30),
            (2, 60),
            (3, 120),
            (7, 1920),
            (8, 3600),
            (9, 3600),
            (10_000, 3600),
            (i32::MAX, 3600),
            (0, 30),
            (-1, 30),
        ] {
            let whole = Duration::from_secs(whole);
            assert_eq!(BACKOFF.delay(attempts, 0), whole / 2, "{attempts}");
            assert_eq!(BACKOFF.delay(attempts, u32::MAX), whole, "{attempts}");
            let middle = BACKOFF.delay(attempts, u32::MAX / 2);
            assert!(middle > whole / 2 && middle < whole, "{attempts}");
        }
    }
}
