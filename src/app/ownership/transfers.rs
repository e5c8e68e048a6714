//! Handing ownership over: at once, or after the nominee has confirmed.

use serde_json::json;
use uuid::Uuid;

use super::{HANDED_OVER, OFFERED, Sides, cancel, decide_pending, pending, tell, told};
use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
        require_etag,
    },
    domain::{
        access_model::Confirmation,
        authority::Owners,
        error::{Reason, Refusal},
        ownership::{self, CONFIRMATION_TIME, TransferState},
    },
    store::{Cursor, Transfer, Tx},
};

/// What a call about a transfer answers with.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The transfer.
    pub(crate) transfer: Transfer,
    /// What it does to the roles of both; `None` where it is called off.
    pub(crate) decided: Option<ownership::Transfer>,
    /// The organization's revision after the call.
    pub(crate) revision: i64,
}

/// Hands ownership over, or asks the nominee.
#[derive(Debug)]
pub(crate) struct Start {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Who is to own it.
    pub(crate) nominee_user_id: Uuid,
    /// Who hands it over; `None`: the caller.
    pub(crate) owner_user_id: Option<Uuid>,
    /// The nominee's state that the transfer is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for Start {
    type Outcome = Outcome;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Outcome> {
        let caller = ctx.caller.user.as_ref().map(|caller| caller.user.id);
        let owner_id = self
            .owner_user_id
            .or(caller)
            .ok_or_else(|| Error::violation("owner_user_id", "is required from a service that acts for no user"))?;
        // The lock is what lets one of two transfers at once come first, and the other find another owner (ab_07).
        let mut access = self.lock(app, ctx, tx).await?;
        let mut sides = Sides::load(tx, self.organization_id, owner_id, self.nominee_user_id).await?;
        require_etag(&self.etag, sides.nominee.changed_revision)?;
        // How many owners there are plays no part: one hands over to one.
        let situation = access.situation(ctx, Owners { active: 1 });
        let [owner, nominee] = sides.targets();
        let decided = ownership::decide_transfer(&situation, &owner, &nominee)?;
        if let Some(pending) = pending(app, ctx, tx, &mut access.organization, &access.model).await? {
            return Err(Refusal::new(Reason::TransferPending).with("transfer_id", pending.id.to_string()).into());
        }
        let [_, nominee] = &sides.users;
        // Starting and calling off in turn would fill the mailbox of a member (ab_43).
        let authority = access.situation(ctx, Owners { active: 1 }).authority;
        app.mail_budgets.require_address(ctx, tx, authority, &nominee.email).await?;
        let (actor_service_key_id, actor_scopes) = ctx.service_authorization();
        let at_once = decided.confirmation == Confirmation::None;
        let transfer = Transfer {
            id: app.entropy.uuid(ctx.now),
            organization_id: self.organization_id,
            owner_user_id: owner_id,
            nominee_user_id: self.nominee_user_id,
            state: match at_once {
                true => TransferState::Completed,
                false => TransferState::Pending,
            },
            // By whose right it stands: somebody who is only recorded gives none.
            actor_user_id: ctx.caller.user_id(),
            actor_service_account_id: ctx.actor().service_account,
            changed_revision: access.organization.next_revision(),
            create_time: ctx.now,
            expire_time: ctx.now + CONFIRMATION_TIME,
            settle_time: at_once.then_some(ctx.now),
            actor_service_key_id,
            actor_scopes,
        };
        tx.insert_transfer(transfer.clone()).await?;
        let organization = &mut access.organization;
        if at_once {
            let before = sides.exchange(ctx, tx, organization, &decided).await?;
            tell(app, ctx, tx, organization, &sides.users, HANDED_OVER, &transfer).await?;
            sides.record(ctx, tx, organization, transfer.id, before).await?;
        } else {
            tell(app, ctx, tx, organization, &sides.users, OFFERED, &transfer).await?;
            let data = json!({ "before": null, "after": told(&transfer) });
            ctx.record(tx, organization, "ownership.transfer_started", Some(transfer.nominee_user_id), data).await?;
        }
        Ok(Outcome { transfer, decided: Some(decided), revision: access.organization.revision })
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Answers a transfer that waits for its nominee.
#[derive(Debug)]
pub(crate) struct Settle {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The transfer.
    pub(crate) transfer_id: Uuid,
    /// What becomes of it: completed or cancelled.
    pub(crate) outcome: TransferAnswer,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

/// What becomes of a transfer that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferAnswer {
    /// The nominee confirms.
    Confirm,
    /// One of the two calls it off.
    Cancel,
}

impl Mutation for Settle {
    type Outcome = Outcome;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Membership))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let found = tx.transfer(self.organization_id, self.transfer_id).await?;
        let transfer = found.ok_or(Reason::TransferNotFound)?;
        require_etag(&self.etag, transfer.changed_revision)?;
        let (transfer, decided) = match self.outcome {
            TransferAnswer::Confirm => {
                access.require_factor(ctx)?;
                let (transfer, decided) = confirm(app, ctx, tx, &mut access, transfer).await?;
                (transfer, Some(decided))
            }
            TransferAnswer::Cancel => {
                let situation = access.situation(ctx, Owners { active: 1 });
                ownership::decide_cancellation(&situation, transfer.owner_user_id, transfer.nominee_user_id)?;
                ownership::require_pending(transfer.status(ctx.now))?;
                (cancel(app, ctx, tx, &mut access.organization, transfer, None).await?, None)
            }
        };
        Ok(Outcome { transfer, decided, revision: access.organization.revision })
    }
}

/// Confirms a transfer as its nominee.
async fn confirm(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    access: &mut Access,
    mut transfer: Transfer,
) -> Result<(Transfer, ownership::Transfer)> {
    ownership::require_nominee(ctx.caller.user_id(), transfer.nominee_user_id)?;
    ownership::require_pending(transfer.status(ctx.now))?;
    let organization = &mut access.organization;
    let (mut sides, decided) = decide_pending(tx, organization, &access.model, &transfer).await?;
    let before = sides.exchange(ctx, tx, organization, &decided).await?;
    transfer.state = TransferState::Completed;
    transfer.settle_time = Some(ctx.now);
    transfer.changed_revision = organization.next_revision();
    tx.update_transfer(transfer.clone()).await?;
    tell(app, ctx, tx, organization, &sides.users, HANDED_OVER, &transfer).await?;
    sides.record(ctx, tx, organization, transfer.id, before).await?;
    Ok((transfer, decided))
}

/// Which transfers.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// An organization's transfers, newest first.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<Transfer>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let view = app.store.read();
    let id = access.organization.id;
    let rows = view.transfers_page(id, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.transfers_count(id)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}
