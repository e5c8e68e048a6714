//! What the mail that people have sent to others costs them: budgets for each organization and each address, counted in the outbox, so that all replicas count alike (ab_43).

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, global, metrics::Counter};

use crate::{
    app::{
        App,
        call::{access::Access, context::Ctx, error::Result},
        mail::queue::mailbox_key,
    },
    domain::{
        authority::{Authority, Owners},
        error::Refusal,
        mail_budget::{ADDRESS_WINDOW, MailBudget, ORGANIZATION_WINDOW, Spent, binds},
    },
    store::{MailOf, Tx},
};

/// The budgets, and what counts how often one was spent.
pub(crate) struct Budgets {
    /// The budgets.
    pub(crate) budget: MailBudget,
    refused: Counter<u64>,
}

impl Budgets {
    /// Counts refusals with the global meter.
    pub(crate) fn new(budget: MailBudget) -> Self {
        Self {
            budget,
            refused: global::meter("roster")
                .u64_counter("roster.mail.refused")
                .with_description("Mails that a budget kept from being sent.")
                .build(),
        }
    }

    /// As [`MailBudget::require_resend`], counted.
    ///
    /// # Errors
    /// `INVITATION_RECENTLY_SENT`, `MAIL_BUDGET_SPENT`.
    pub(crate) fn require_resend(
        &self,
        authority: Authority<'_>,
        sent: i32,
        last: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> std::result::Result<(), Refusal> {
        let allowed = self.budget.require_resend(authority, sent, last, now);
        if allowed.is_err() {
            self.count(Spent::Invitation);
        }
        allowed
    }

    /// Refuses a mail to an address that has had its share within the window, whoever caused it. Two organizations that ask at the same moment do not wait for each other, and may both
    /// find the last place: the budget is exceeded by no more than calls are at work.
    ///
    /// # Errors
    /// `MAIL_BUDGET_SPENT`.
    pub(crate) async fn require_address(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        authority: Authority<'_>,
        address: &str,
    ) -> Result<()> {
        let Some(key) = mailbox_key(address).filter(|_| binds(authority)) else {
            return Ok(());
        };
        let since = ctx.now - ADDRESS_WINDOW;
        let of = MailOf::Recipient(key);
        match tx.mail_before(&of, since, self.budget.address - 1).await? {
            Some(time) => Err(self.spent(Spent::Address, time + ADDRESS_WINDOW, ctx.now).into()),
            None => Ok(()),
        }
    }

    fn spent(&self, which: Spent, room: DateTime<Utc>, now: DateTime<Utc>) -> Refusal {
        self.count(which);
        which.refusal(Some(room), now)
    }

    fn count(&self, which: Spent) {
        self.refused.add(1, &[KeyValue::new("budget", which.as_str())]);
    }
}

/// That a mail may be sent. Made here and nowhere else: without one, no invitation is sent.
#[derive(Debug)]
pub(crate) struct MailPermit(());

/// The permits that one call may take. What is left to the organization is counted once, under its lock.
#[derive(Debug, Default)]
pub(crate) struct MailPermits {
    left: Option<u64>,
    spent: Option<Refusal>,
}

impl MailPermits {
    /// A permit for an invitation to an address. Nothing has been written when there is none.
    ///
    /// # Errors
    /// `MAIL_BUDGET_SPENT`.
    pub(crate) async fn permit(
        &mut self,
        app: &App,
        ctx: &Ctx,
        tx: &Tx,
        access: &Access,
        address: &str,
        validate_only: bool,
    ) -> Result<MailPermit> {
        // Whose right it is plays a part; how many owners there are does not.
        let authority = access.situation(ctx, Owners { active: 0 }).authority;
        if !binds(authority) {
            return Ok(MailPermit(()));
        }
        let budgets = &app.mail_budgets;
        let since = ctx.now - ORGANIZATION_WINDOW;
        let of = MailOf::Organization(access.organization.id);
        let left = match self.left {
            Some(left) => left,
            None => budgets.budget.organization.saturating_sub(tx.count_mail(&of, since).await?),
        };
        self.left = Some(left);
        if left == 0 {
            let refusal = match self.spent.take() {
                Some(refusal) => refusal,
                None => {
                    let first = tx.mail_before(&of, since, budgets.budget.organization - 1).await?;
                    let room = first.unwrap_or(ctx.now) + ORGANIZATION_WINDOW;
                    budgets.spent(Spent::Organization, room, ctx.now)
                }
            };
            self.spent = Some(refusal.clone());
            return Err(refusal.into());
        }
        // A caller who only tries it out is not told what others have sent to the address (ab_40).
        if !validate_only {
            budgets.require_address(ctx, tx, authority, address).await?;
        }
        self.left = Some(left - 1);
        Ok(MailPermit(()))
    }
}
