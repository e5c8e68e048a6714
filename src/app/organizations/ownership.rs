//! Handing ownership over: at once, or after the nominee has confirmed.

use serde_json::json;
use uuid::Uuid;

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
        invitations::service_authorization::may_still_transfer,
        mail::queue::locale_of,
        require_etag,
    },
    domain::{
        access_model::{Confirmation, RoleSet},
        authority::{Authority, Owners, Situation, Target},
        error::{Reason, Refusal},
        mail::{OwnershipMail, OwnershipNews, Payload},
        ownership::{self, CONFIRMATION_TIME, TransferState},
    },
    store::{Cursor, Member, Transfer, Tx, User},
};

/// A transfer, and the organization's revision after the call.
pub(crate) type Outcome = (Transfer, i64);

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

/// Both sides of a transfer, as they are under the lock.
struct Sides {
    owner: Member,
    nominee: Member,
    /// The accounts: owner, nominee.
    users: [User; 2],
}

impl Sides {
    async fn load(tx: &Tx, organization: Uuid, owner: Uuid, nominee: Uuid) -> Result<Self> {
        let found: Option<(Member, User)> = tx.member_row(organization, owner).await?;
        let (owner, owner_user) = found.ok_or(Reason::NotOwner)?;
        let found: Option<(Member, User)> = tx.member_row(organization, nominee).await?;
        // Somebody outside can own as little as somebody in the wrong role (JS11).
        let (nominee, nominee_user) = found.ok_or(Reason::TransferTargetIneligible)?;
        Ok(Self { owner, nominee, users: [owner_user, nominee_user] })
    }

    /// The facts that decisions rest on: of the owner, of the nominee.
    fn targets(&self) -> [Target<'_>; 2] {
        let [owner, nominee] = &self.users;
        [self.owner.target(owner.state), self.nominee.target(nominee.state)]
    }

    /// Gives both their new roles: one commit, so that nobody ever sees two owners or none (JS12). Answers with the roles that they had: owner, nominee.
    async fn exchange(
        &mut self,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &Access,
        decided: &ownership::Transfer,
    ) -> Result<[RoleSet; 2]> {
        let before = [
            std::mem::replace(&mut self.owner.roles, decided.previous_owner_roles.clone()),
            std::mem::replace(&mut self.nominee.roles, decided.new_owner_roles.clone()),
        ];
        // Each has an event of their own, the nominee's first.
        for (member, event) in [(&mut self.nominee, 1), (&mut self.owner, 2)] {
            member.changed_revision = access.organization.revision + event;
            member.update_time = ctx.now;
            tx.update_member(member.clone()).await?;
        }
        Ok(before)
    }

    /// Records what has happened to both, one event for each, so that a search for either finds it.
    async fn record(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &mut Access,
        transfer: Uuid,
        [owner_before, nominee_before]: [RoleSet; 2],
    ) -> Result<()> {
        let (owner, nominee) = (&self.owner, &self.nominee);
        let received = json!({
            "before": { "owner_user_id": owner.user_id, "roles": nominee_before },
            "after": { "owner_user_id": nominee.user_id, "roles": nominee.roles, "transfer_id": transfer },
        });
        let handed_over = json!({
            "before": { "owner_user_id": owner.user_id, "roles": owner_before },
            "after": { "owner_user_id": nominee.user_id, "roles": owner.roles, "transfer_id": transfer },
        });
        for (kind, subject, data) in [
            ("ownership.transferred", nominee.user_id, received),
            ("ownership.handed_over", owner.user_id, handed_over),
        ] {
            ctx.record(tx, &mut access.organization, kind, Some(subject), data).await?;
        }
        Ok(())
    }
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
        if let Some(pending) = tx.pending_transfer(self.organization_id, ctx.now).await? {
            return Err(Refusal::new(Reason::TransferPending).with("transfer_id", pending.id.to_string()).into());
        }
        let [_, nominee] = &sides.users;
        // Starting and calling off in turn would fill the mailbox of a member (ab_43).
        let authority = situation.authority;
        app.mail_budgets.require_address(ctx, tx, authority, &nominee.email).await?;
        let actor = ctx.actor();
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
            actor_user_id: actor.user,
            actor_service_account_id: actor.service_account,
            changed_revision: access.organization.next_revision(),
            create_time: ctx.now,
            expire_time: ctx.now + CONFIRMATION_TIME,
            settle_time: at_once.then_some(ctx.now),
            actor_service_key_id,
            actor_scopes,
        };
        tx.insert_transfer(transfer.clone()).await?;
        if at_once {
            let before = sides.exchange(ctx, tx, &access, &decided).await?;
            tell(app, ctx, tx, &access, &sides.users, HANDED_OVER, &transfer).await?;
            sides.record(ctx, tx, &mut access, transfer.id, before).await?;
        } else {
            tell(app, ctx, tx, &access, &sides.users, OFFERED, &transfer).await?;
            record(ctx, tx, &mut access, "ownership.transfer_started", &transfer).await?;
        }
        Ok((transfer, access.organization.revision))
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// What the owner and the nominee are told.
const HANDED_OVER: [OwnershipNews; 2] = [OwnershipNews::HandedOver, OwnershipNews::Received];
const OFFERED: [OwnershipNews; 2] = [OwnershipNews::Offered, OwnershipNews::Nominated];
const CANCELLED: [OwnershipNews; 2] = [OwnershipNews::Cancelled, OwnershipNews::Cancelled];

/// Tells both sides by mail. `users` and `news` are those of the owner and of the nominee.
async fn tell(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    access: &Access,
    users: &[User; 2],
    news: [OwnershipNews; 2],
    transfer: &Transfer,
) -> Result<()> {
    let [owner, nominee] = users;
    for ((reader, other), news) in [(owner, nominee), (nominee, owner)].into_iter().zip(news) {
        let payload = Payload::Ownership(OwnershipMail {
            news,
            email: reader.email.clone(),
            organization_name: access.organization.display_name.clone(),
            other_name: other.effective_display_name(),
            time: ctx.now,
            expire_time: transfer.expire_time,
            locale: locale_of(reader),
        });
        let id = app.entropy.uuid(ctx.now);
        let message = app.message(ctx, id, Some(access.organization.id), &payload)?;
        tx.insert_message(message).await?;
    }
    Ok(())
}

/// Records what happens to a transfer that changes no roles.
async fn record(ctx: &Ctx, tx: &mut Tx, access: &mut Access, kind: &'static str, transfer: &Transfer) -> Result<()> {
    let cancelled = transfer.state == TransferState::Cancelled;
    let data = json!({
        "before": cancelled.then(|| json!({ "state": TransferState::Pending.as_str() })),
        "after": {
            "state": transfer.state.as_str(),
            "transfer_id": transfer.id,
            "owner_user_id": transfer.owner_user_id,
            "nominee_user_id": transfer.nominee_user_id,
        },
    });
    ctx.record(tx, &mut access.organization, kind, Some(transfer.nominee_user_id), data).await
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
        let mut transfer = found.ok_or(Reason::TransferNotFound)?;
        require_etag(&self.etag, transfer.changed_revision)?;
        let exchanged = match self.outcome {
            TransferAnswer::Confirm => {
                access.require_factor(ctx)?;
                Some(self.confirm(ctx, tx, &access, &transfer).await?)
            }
            TransferAnswer::Cancel => {
                let situation = access.situation(ctx, Owners { active: 1 });
                ownership::decide_cancellation(&situation, transfer.owner_user_id, transfer.nominee_user_id)?;
                ownership::require_pending(transfer.status(ctx.now))?;
                None
            }
        };
        transfer.state = match exchanged {
            Some(_) => TransferState::Completed,
            None => TransferState::Cancelled,
        };
        transfer.settle_time = Some(ctx.now);
        transfer.changed_revision = access.organization.next_revision();
        tx.update_transfer(transfer.clone()).await?;
        if let Some((sides, before)) = exchanged {
            tell(app, ctx, tx, &access, &sides.users, HANDED_OVER, &transfer).await?;
            sides.record(ctx, tx, &mut access, transfer.id, before).await?;
        } else {
            // Either may have left meanwhile; their accounts stay, and so do their addresses.
            let owner = tx.user(transfer.owner_user_id).await?;
            let nominee = tx.user(transfer.nominee_user_id).await?;
            if let Some((owner, nominee)) = owner.zip(nominee) {
                tell(app, ctx, tx, &access, &[owner, nominee], CANCELLED, &transfer).await?;
            }
            record(ctx, tx, &mut access, "ownership.transfer_cancelled", &transfer).await?;
        }
        Ok((transfer, access.organization.revision))
    }
}

impl Settle {
    /// Every rule is applied again, by the right of the caller who started it, to both members as they are now.
    async fn confirm(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &Access,
        transfer: &Transfer,
    ) -> Result<(Sides, [RoleSet; 2])> {
        let nobody = || Refusal::new(Reason::TransferTargetIneligible).with("hint", "only the nominee confirms");
        let caller = ctx.caller.user.as_ref().ok_or_else(nobody)?.user.id;
        if caller != transfer.nominee_user_id {
            return Err(nobody().into());
        }
        ownership::require_pending(transfer.status(ctx.now))?;
        if let Some(account) = transfer.actor_service_account_id {
            tx.hold_service_account(account).await?;
            let service = tx.service_by_key(account, transfer.actor_service_key_id).await?;
            if !may_still_transfer(transfer, service.as_ref()) {
                return Err(Refusal::new(Reason::TransferNoLongerAuthorized)
                    .with("hint", "ask the owner for a new transfer")
                    .into());
            }
        }
        let mut sides = Sides::load(tx, self.organization_id, transfer.owner_user_id, transfer.nominee_user_id).await?;
        let authority = match transfer.actor_user_id {
            Some(user_id) => Authority::Member { user_id, roles: &sides.owner.roles },
            None => Authority::Service { operator: false },
        };
        let situation = Situation {
            model: &access.model,
            organization_kind: access.organization.kind.as_deref(),
            authority,
            owners: Owners { active: 1 },
        };
        let [owner, nominee] = sides.targets();
        let decided = ownership::decide_confirmation(&situation, &owner, &nominee, caller)?;
        let before = sides.exchange(ctx, tx, access, &decided).await?;
        Ok((sides, before))
    }
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
