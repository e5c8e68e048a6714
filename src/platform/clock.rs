//! Time: the wall clock of the process, and a manual one for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Where `now` comes from. Clones share the same time.
///
/// All times that Roster stores or compares come from here and have microsecond precision: PostgreSQL cuts anything finer and SQLite does not, so a finer
/// time would not compare equal to itself after a round trip.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// How far it is set wrong; nothing but in tests.
    ahead: TimeDelta,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Microseconds since the Unix epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The wall clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock that stands at `start` until it is [advanced](Clock::advance).
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::of(Source::Manual(Arc::new(AtomicI64::new(start.timestamp_micros()))))
    }

    fn of(source: Source) -> Self {
        Self { source, ahead: TimeDelta::zero() }
    }

    /// The same clock set wrong: ahead by so much, for a replica whose clock is not in step with the others'.
    #[must_use]
    pub fn set_ahead(&self, by: TimeDelta) -> Self {
        Self { source: self.source.clone(), ahead: by }
    }

    /// The time now, cut to microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let right = match &self.source {
            Source::System => system_now(),
            Source::Manual(micros) => from_micros(micros.load(Ordering::SeqCst)),
        };
        right.checked_add_signed(self.ahead).unwrap_or(right)
    }

    /// How far this clock is ahead of another one, which was read at some time between `before`, on this clock, and now. A manual clock stands in for both, and is
    /// ahead by what it was set wrong.
    #[must_use]
    pub fn ahead_of(&self, other: DateTime<Utc>, before: DateTime<Utc>) -> TimeDelta {
        match &self.source {
            Source::System => before + (self.now() - before) / 2 - other,
            Source::Manual(_) => self.ahead,
        }
    }

    /// Moves a manual clock forward, for all its clones, and answers whether it did: the system clock cannot be moved.
    pub fn advance(&self, by: Duration) -> bool {
        self.jump(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX))
    }

    /// The same in either direction, as a machine's clock is set.
    pub fn jump(&self, by: TimeDelta) -> bool {
        match &self.source {
            Source::System => false,
            Source::Manual(micros) => {
                let by = by.num_microseconds().unwrap_or(i64::MAX);
                // The closure always answers Some, so the update always happens.
                let _ = micros.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |at| Some(at.saturating_add(by)));
                true
            }
        }
    }
}

/// How far a process's clock is ahead of another one that all processes share. Clones share what was measured; nothing measured yet is no difference.
#[derive(Clone, Debug, Default)]
pub struct Skew(Arc<AtomicI64>);

impl Skew {
    /// Takes what was measured.
    pub fn set(&self, ahead: TimeDelta) {
        let micros = ahead.num_microseconds().unwrap_or_default();
        self.0.store(micros, Ordering::SeqCst);
    }

    /// A time of the process's clock, as the shared one tells it.
    #[must_use]
    pub fn to_shared(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time.checked_sub_signed(self.get()).unwrap_or(time)
    }

    /// A time of the shared clock, as the process's own tells it.
    #[must_use]
    pub fn to_own(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time.checked_add_signed(self.get()).unwrap_or(time)
    }

    fn get(&self) -> TimeDelta {
        TimeDelta::microseconds(self.0.load(Ordering::SeqCst))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Saturates at the ends of chrono's calendar, some 260,000 years away.
fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}

/// Measures how long something takes, for metrics and logs. It is monotonic and has nothing to do with [`Clock`]: it must not decide an expiry.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start, the unit of OpenTelemetry's duration metrics.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_stands_still_until_advanced_for_all_clones() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let clone = clock.clone();
        assert_eq!(clock.now(), start);
        assert!(clone.advance(Duration::from_micros(1)));
        assert_eq!(clock.now(), start + Duration::from_micros(1));
        assert_eq!(clone.now(), clock.now());
    }

    #[test]
    fn times_are_cut_to_microseconds() {
        let start = DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap();
        assert_eq!(Clock::manual(start).now().timestamp_subsec_nanos(), 123_456_000);
        assert!((0..100).all(|_| { Clock::system().now().timestamp_subsec_nanos().is_multiple_of(1000) }));
    }

    #[test]
    fn the_system_clock_runs_and_cannot_be_moved() {
        let clock = Clock::system();
        let before = clock.now();
        assert!(!clock.advance(Duration::from_secs(3600)));
        assert!(clock.now() - before < chrono::TimeDelta::seconds(60));
    }

    #[test]
    fn a_clock_that_is_set_wrong_says_by_how_much() {
        let three = TimeDelta::minutes(3);
        let right = Clock::manual(DateTime::UNIX_EPOCH);
        let fast = right.set_ahead(three);
        assert_eq!(fast.now(), right.now() + three);
        assert!(right.advance(Duration::from_secs(1)));
        assert_eq!(fast.now(), right.now() + three);
        let read = DateTime::UNIX_EPOCH;
        assert_eq!([right.ahead_of(read, read), fast.ahead_of(read, read)], [TimeDelta::zero(), three]);
        let system = Clock::system().set_ahead(three);
        let before = system.now();
        let ahead = system.ahead_of(Clock::system().now(), before);
        assert!((ahead - three).abs() < TimeDelta::seconds(1), "{ahead}");
    }

    #[test]
    fn a_skew_turns_times_both_ways() {
        let (skew, time) = (Skew::default(), DateTime::UNIX_EPOCH);
        assert_eq!((skew.to_shared(time), skew.to_own(time)), (time, time));
        skew.clone().set(TimeDelta::seconds(180));
        assert_eq!(skew.to_shared(time), time - TimeDelta::seconds(180));
        assert_eq!(skew.to_own(skew.to_shared(time)), time);
    }

    #[test]
    fn an_absurd_step_saturates() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        assert!(clock.advance(Duration::MAX));
        assert!(clock.advance(Duration::MAX));
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
    }

    #[test]
    fn a_stopwatch_measures() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(2));
        assert!(watch.elapsed() >= Duration::from_millis(2));
        assert!(watch.seconds() >= 0.002);
    }
}
