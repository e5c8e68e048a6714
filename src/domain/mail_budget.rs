//! How much mail people can have sent to others: into one mailbox, by one organization, for one invitation (ab_43).

use chrono::{DateTime, Duration, Utc};

use crate::domain::{
    authority::Authority,
    error::{Reason, Refusal},
};

/// The time that the budget of an organization is about.
pub const ORGANIZATION_WINDOW: Duration = Duration::days(1);

/// The time that the budget of an address is about.
pub const ADDRESS_WINDOW: Duration = Duration::hours(1);

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub struct MailBudget {
    /// The least time between two sends of one invitation.
    pub resend_interval: Duration,
    /// How often one invitation is sent in all.
    pub sends: i32,
    /// Invitation mails of one organization in [`ORGANIZATION_WINDOW`].
    pub organization: u64,
    /// Mails to one address, by all callers, in [`ADDRESS_WINDOW`].
    pub address: u64,
}

/// Which budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// That of one invitation.
    Invitation,
    /// That of an organization.
    Organization,
    /// That of an address.
    Address,
}

impl Spent {
    /// The budget's name in a refusal and in the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Organization => "organization",
            Self::Address => "address",
        }
    }

    /// The refusal. `room` is when there is room for one more; `None` where waiting makes none.
    #[must_use]
    pub fn refusal(self, room: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Refusal {
        let refusal = Refusal::new(Reason::MailBudgetSpent).with("budget", self.as_str()).with(
            "hint",
            match self {
                Self::Invitation => "revoke the invitation, and invite the person again",
                Self::Organization | Self::Address => "try again later",
            },
        );
        match room {
            Some(room) => refusal.with("retry_after_seconds", seconds(room - now)),
            None => refusal,
        }
    }
}

/// Whole seconds to wait, rounded up, so that a caller who waits as long is let through.
fn seconds(wait: Duration) -> String {
    let whole = wait.num_seconds().max(0);
    (whole + i64::from(wait > Duration::seconds(whole))).max(1).to_string()
}

/// Whether the budgets bind the caller: they do not bind an operator's key that acts for no user.
#[must_use]
pub fn binds(authority: Authority<'_>) -> bool {
    !matches!(authority, Authority::Service { operator: true })
}

impl MailBudget {
    /// Whether an invitation may be sent again that was sent so often, and last at a time.
    ///
    /// # Errors
    /// `INVITATION_RECENTLY_SENT`, `MAIL_BUDGET_SPENT`.
    pub fn require_resend(
        &self,
        authority: Authority<'_>,
        sent: i32,
        last: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if !binds(authority) {
            return Ok(());
        }
        if sent >= self.sends {
            return Err(Spent::Invitation.refusal(None, now));
        }
        let next = last.checked_add_signed(self.resend_interval).unwrap_or(last);
        match now < next {
            true => Err(Refusal::new(Reason::InvitationRecentlySent).with("retry_after_seconds", seconds(next - now))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Authority<'_> = Authority::Service { operator: false };

    fn budget() -> MailBudget {
        MailBudget { resend_interval: Duration::seconds(60), sends: 3, organization: 10, address: 5 }
    }

    #[test]
    fn an_invitation_is_sent_again_after_its_interval_and_so_often() {
        let sent = DateTime::<Utc>::UNIX_EPOCH;
        let after =
            |count, millis| budget().require_resend(SERVICE, count, sent, sent + Duration::milliseconds(millis));
        let refused = after(1, 59_001).unwrap_err();
        assert_eq!(refused.reason, Reason::InvitationRecentlySent);
        assert_eq!(refused.metadata, [("retry_after_seconds", "1".to_owned())]);
        assert_eq!(after(1, 58_999).unwrap_err().metadata, [("retry_after_seconds", "2".to_owned())]);
        assert_eq!(after(2, 60_000), Ok(()));
        assert_eq!(after(3, 3_600_000).unwrap_err().reason, Reason::MailBudgetSpent);
    }

    #[test]
    fn operators_are_not_bound() {
        let sent = DateTime::<Utc>::UNIX_EPOCH;
        let operator = Authority::Service { operator: true };
        assert_eq!(budget().require_resend(operator, 100, sent, sent), Ok(()));
    }
}
