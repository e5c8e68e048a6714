//! How often somebody may answer wrongly, and how long they have to wait then.
//!
//! Wrong answers are counted by account, where they come in a row until a right one; by the part of the network that they come from; and by who calls. An account is never locked: the
//! wait grows, and is asked neither of where its owner has signed in from before, nor of their sessions, nor of the link in their mail.

use chrono::{DateTime, Duration, Utc};

/// How long wrong answers for one account are remembered after the last of them.
pub const MEMORY: Duration = Duration::hours(24);
/// The time that the numbers for a part of the network and for a caller are about.
pub const WINDOW: Duration = Duration::hours(1);
/// How long a place in the network counts as the owner's after they have chosen a new password there by a link.
pub const AFTER_RESET: Duration = Duration::hours(1);

/// How often somebody may answer wrongly.
#[derive(Clone, Copy, Debug)]
pub struct AttemptPolicy {
    /// Wrong answers in a row for one account that nobody has to wait after.
    pub free: u32,
    /// The wait after the next one; each further one doubles it.
    pub delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Wrong answers from one part of the network in [`WINDOW`].
    pub from_network: u32,
    /// Wrong answers by one caller in [`WINDOW`].
    pub by_caller: u32,
}

impl AttemptPolicy {
    /// From when on an account takes the next answer, after so many wrong ones in a row, the last at that time.
    #[must_use]
    pub fn next_answer(&self, failures: i32, last: DateTime<Utc>) -> DateTime<Utc> {
        let failures = u32::try_from(failures).unwrap_or_default();
        let Some(beyond) = failures.checked_sub(self.free) else {
            return last;
        };
        // Beyond that every delay is the longest.
        let doubled = 1_i32.checked_shl(beyond.min(30)).unwrap_or(i32::MAX);
        let delay = self.delay.checked_mul(doubled).unwrap_or(self.longest_delay);
        last + delay.min(self.longest_delay)
    }

    /// The hour that a wrong answer counts in, as a number, and its end.
    #[must_use]
    pub fn window(now: DateTime<Utc>) -> (i64, DateTime<Utc>) {
        let seconds = WINDOW.num_seconds();
        let number = now.timestamp().div_euclid(seconds);
        let end = DateTime::from_timestamp((number + 1) * seconds, 0).unwrap_or(now + WINDOW);
        (number, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: AttemptPolicy = AttemptPolicy {
        free: 10,
        delay: Duration::seconds(30),
        longest_delay: Duration::hours(1),
        from_network: 100,
        by_caller: 10_000,
    };

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let last = DateTime::<Utc>::UNIX_EPOCH;
        let wait = |failures| (POLICY.next_answer(failures, last) - last).num_seconds();
        assert_eq!([0, 1, 9].map(wait), [0, 0, 0]);
        assert_eq!([10, 11, 12, 16, 17].map(wait), [30, 60, 120, 1920, 3600]);
        assert_eq!([50, 1000, i32::MAX].map(wait), [3600; 3]);
    }

    #[test]
    fn an_hour_ends_at_the_full_hour() {
        let (number, end) = AttemptPolicy::window(DateTime::from_timestamp(7199, 999).unwrap());
        assert_eq!((number, end.timestamp()), (1, 7200));
        assert_eq!(AttemptPolicy::window(end).0, 2);
    }
}
