//! When a session is live.

use chrono::{DateTime, Duration, Utc};

use crate::domain::error::{Reason, Refusal};

/// How long ago a session may have begun from which somebody gives their account another way in: whoever finds a device unlocked, or has an old token, leaves none of theirs behind
/// (OWASP ASVS 5.0, 7.5.1).
pub const RECENT_SIGN_IN: Duration = Duration::minutes(15);

/// How long a session lasts (NIST SP 800-63B-4, 2.2.3: an overall and an inactivity timeout).
#[derive(Debug, Clone, Copy)]
pub struct SessionPolicy {
    /// Time without use after which a session ends.
    pub idle: Duration,
    /// Time after which a session ends whatever its use.
    pub lifetime: Duration,
}

impl SessionPolicy {
    /// When a session that begins now ends at the latest.
    pub fn expire_time(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.lifetime
    }

    /// When a session ends unless it is used before.
    pub fn idle_expire_time(&self, last_used: DateTime<Utc>, expire: DateTime<Utc>) -> DateTime<Utc> {
        (last_used + self.idle).min(expire)
    }

    /// Whether a session is live. Compared at use; no sweeper decides it.
    pub fn live(
        &self,
        last_used: DateTime<Utc>,
        expire: DateTime<Utc>,
        revoked: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> bool {
        revoked.is_none() && now < self.idle_expire_time(last_used, expire)
    }
}

/// When a session began.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// Which sign-in of the user it began with; `None` of a session from before sign-ins were counted.
    pub sign_in: Option<i64>,
    /// The time, by the clock of the process that began it.
    pub time: DateTime<Utc>,
}

/// When a membership was interrupted last: by a removal, a suspension, or the end of one.
#[derive(Debug, Clone, Copy)]
pub struct Interruption {
    /// The user's last sign-in before it; `None` where it was before sign-ins were counted, or never.
    pub after_sign_in: Option<i64>,
    /// The time, by the clock of the process that did it; `None`: never.
    pub time: Option<DateTime<Utc>>,
}

/// Whether a session is from before an interruption: when the member comes back it stays dead there (ab_24). What came first is told by the user's sign-ins, which have one order; by
/// time, which two processes may tell differently, only where they were not counted yet (ab_57).
pub fn outdated(began: Began, interrupted: Interruption) -> bool {
    match (interrupted.after_sign_in, interrupted.time) {
        (Some(last), _) => began.sign_in.unwrap_or(0) <= last,
        (None, Some(time)) => began.time < time,
        (None, None) => false,
    }
}

/// Whether a session counts as confirmed by a second step, which lasts until a time (JH03).
pub fn stepped_up(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    until.is_some_and(|until| now < until)
}

/// Refuses a session that began too long ago for what it asks.
///
/// # Errors
/// `SESSION_NOT_RECENT`, with how old a session may be.
pub fn require_recent(began: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
    match now - began < RECENT_SIGN_IN {
        true => Ok(()),
        false => Err(Refusal::new(Reason::SessionNotRecent)
            .with("max_age_seconds", RECENT_SIGN_IN.num_seconds().to_string())
            .with("hint", "sign in again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_recent_for_its_first_minutes() {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(require_recent(start, start + RECENT_SIGN_IN - Duration::microseconds(1)), Ok(()));
        let refused = require_recent(start, start + RECENT_SIGN_IN).unwrap_err();
        assert_eq!(refused.reason, Reason::SessionNotRecent);
        assert_eq!(refused.metadata, [("max_age_seconds", "900".to_owned()), ("hint", "sign in again".to_owned())]);
    }

    #[test]
    fn a_session_ends_at_the_earlier_of_its_two_limits_and_when_it_is_revoked() {
        let policy = SessionPolicy { idle: Duration::days(7), lifetime: Duration::days(30) };
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let end = policy.expire_time(start);
        let tick = Duration::microseconds(1);
        assert!(policy.live(start, end, None, start + policy.idle - tick));
        assert!(!policy.live(start, end, None, start + policy.idle));
        assert!(!policy.live(end - tick, end, None, end));
        assert!(!policy.live(start, end, Some(start), start + tick));
    }

    #[test]
    fn a_session_is_outdated_by_the_order_of_sign_ins_and_by_time_only_without_one() {
        let noon = DateTime::<Utc>::UNIX_EPOCH;
        let later = noon + Duration::minutes(3);
        let began = |sign_in, time| Began { sign_in, time };
        let interrupted = |after_sign_in, time| Interruption { after_sign_in, time };
        // Whatever the clocks say.
        for (one, other) in [(noon, later), (later, noon)] {
            assert!(outdated(began(Some(4), one), interrupted(Some(4), Some(other))));
            assert!(outdated(began(None, one), interrupted(Some(0), Some(other))));
            assert!(!outdated(began(Some(5), one), interrupted(Some(4), Some(other))));
        }
        assert!(outdated(began(Some(1), noon), interrupted(None, Some(later))));
        assert!(!outdated(began(None, later), interrupted(None, Some(noon))));
        assert!(!outdated(began(None, noon), interrupted(None, Some(noon))));
        assert!(!outdated(began(None, noon), interrupted(None, None)));
    }

    #[test]
    fn a_second_step_counts_for_its_time() {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        assert!(!stepped_up(None, start));
        assert!(stepped_up(Some(start + Duration::microseconds(1)), start));
        assert!(!stepped_up(Some(start), start));
    }
}
