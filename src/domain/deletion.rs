//! When an account goes whose owner asks for it, and how long it holds what it was used with.

use chrono::{DateTime, Duration, Utc};

/// The times between a wish, a deletion, and the end of what the account still holds.
#[derive(Debug, Clone, Copy)]
pub struct DeletionPolicy {
    /// How long after a person has asked for it their account is deleted.
    pub delay: Duration,
    /// How long a deleted account holds its password, its second factor and its telephone number, in case it comes back.
    pub retention: Duration,
}

impl DeletionPolicy {
    /// When an account is deleted whose owner asks for it now.
    pub fn due(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.delay
    }

    /// Accounts that were deleted before this time hold nothing of that any more.
    pub fn purged_before(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.retention
    }
}
