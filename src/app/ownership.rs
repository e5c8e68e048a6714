//! Ownership of an organization: both sides of a transfer, and the transfer that waits for its nominee.

pub(crate) mod transfers;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::Access,
            context::Ctx,
            error::{Error, Result},
            service_authorization::may_still_transfer,
        },
    },
    domain::{
        access_model::{AccessModel, Confirmation, RoleSet},
        authority::{Authority, Owners, Situation, Target},
        error::{Reason, Refusal},
        mail::{OwnershipMail, OwnershipNews, Payload},
        member::Action,
        ownership::{self, TransferState},
    },
    store::{AskedTransfer, Member, Organization, Transfer, Tx, User},
};

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
        organization: &Organization,
        decided: &ownership::Transfer,
    ) -> Result<[RoleSet; 2]> {
        let before = [
            std::mem::replace(&mut self.owner.roles, decided.previous_owner_roles.clone()),
            std::mem::replace(&mut self.nominee.roles, decided.new_owner_roles.clone()),
        ];
        // Each has an event of their own, the nominee's first.
        for (member, event) in [(&mut self.nominee, 1), (&mut self.owner, 2)] {
            member.changed_revision = organization.revision + event;
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
        organization: &mut Organization,
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
            ctx.record(tx, organization, kind, Some(subject), data).await?;
        }
        Ok(())
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
    organization: &Organization,
    users: &[User; 2],
    news: [OwnershipNews; 2],
    transfer: &Transfer,
) -> Result<()> {
    let [owner, nominee] = users;
    for ((reader, other), news) in [(owner, nominee), (nominee, owner)].into_iter().zip(news) {
        let payload = Payload::Ownership(OwnershipMail {
            news,
            email: reader.email.clone(),
            organization_name: organization.display_name.clone(),
            other_name: other.effective_display_name(),
            time: ctx.now,
            expire_time: transfer.expire_time,
            locale: app.language([&reader.locale, &organization.locale]),
        });
        let id = app.entropy.uuid(ctx.now);
        let message = app.message_of(ctx, id, organization, payload)?;
        tx.insert_message(message).await?;
    }
    Ok(())
}

/// Tells both sides of a transfer that it is called off. Either may have left meanwhile; their accounts stay, and so do their addresses.
async fn tell_cancelled(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &Organization,
    transfer: &Transfer,
) -> Result<()> {
    let owner = tx.user(transfer.owner_user_id).await?;
    let nominee = tx.user(transfer.nominee_user_id).await?;
    match owner.zip(nominee) {
        Some((owner, nominee)) => tell(app, ctx, tx, organization, &[owner, nominee], CANCELLED, transfer).await,
        None => Ok(()),
    }
}

/// What an event tells of a transfer that changes no roles.
fn told(transfer: &Transfer) -> Value {
    json!({
        "state": transfer.state.as_str(),
        "transfer_id": transfer.id,
        "owner_user_id": transfer.owner_user_id,
        "nominee_user_id": transfer.nominee_user_id,
    })
}

/// Calls off a transfer that waits, with the reason where no person did.
async fn cancel(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    mut transfer: Transfer,
    reason: Option<Reason>,
) -> Result<Transfer> {
    transfer.state = TransferState::Cancelled;
    transfer.settle_time = Some(ctx.now);
    transfer.changed_revision = organization.next_revision();
    tx.update_transfer(transfer.clone()).await?;
    tell_cancelled(app, ctx, tx, organization, &transfer).await?;
    let mut after = told(&transfer);
    if let Some((reason, after)) = reason.zip(after.as_object_mut()) {
        after.insert("reason".to_owned(), reason.as_str().into());
    }
    let data = json!({ "before": { "state": TransferState::Pending.as_str() }, "after": after });
    ctx.record(tx, organization, "ownership.transfer_cancelled", Some(transfer.nominee_user_id), data).await?;
    Ok(transfer)
}

/// What a transfer that waits would do if its nominee confirmed it now: every rule is applied again, by the right of the caller who started it, to both members as they are.
///
/// # Errors
/// `TRANSFER_NO_LONGER_AUTHORIZED`, and those of [`ownership::decide_transfer`].
async fn decide_pending(
    tx: &mut Tx,
    organization: &Organization,
    model: &AccessModel,
    transfer: &Transfer,
) -> Result<(Sides, ownership::Transfer)> {
    if let Some(account) = transfer.actor_service_account_id {
        tx.hold_service_account(account).await?;
        let service = tx.service_by_key(account, transfer.actor_service_key_id).await?;
        if !may_still_transfer(transfer, service.as_ref()) {
            return Err(Refusal::new(Reason::TransferNoLongerAuthorized)
                .with("hint", "ask the owner for a new transfer")
                .into());
        }
    }
    let sides = Sides::load(tx, organization.id, transfer.owner_user_id, transfer.nominee_user_id).await?;
    let authority = match transfer.actor_user_id {
        Some(user_id) => Authority::Member { user_id, roles: &sides.owner.roles },
        None => Authority::Service { operator: false },
    };
    let situation =
        Situation { model, organization_kind: organization.kind.as_deref(), authority, owners: Owners { active: 1 } };
    let [owner, nominee] = sides.targets();
    let decided = ownership::decide_transfer(&situation, &owner, &nominee)?;
    Ok((sides, decided))
}

/// The transfer that waits for its nominee, if it still can happen. One that cannot is called off here, with an event that says why: it would be in the way of the next one.
///
/// # Errors
/// The database's.
async fn pending(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    model: &AccessModel,
) -> Result<Option<Transfer>> {
    let Some(transfer) = tx.pending_transfer(organization.id, ctx.now).await? else { return Ok(None) };
    match decide_pending(tx, organization, model, &transfer).await {
        Ok(_) => Ok(Some(transfer)),
        Err(Error::Refused(refusal)) => {
            cancel(app, ctx, tx, organization, transfer, Some(refusal.reason)).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Calls off the transfer that waits for its nominee where what has just become of its members makes it impossible. Under the organization's lock, after each change that takes somebody's roles, state
/// or account.
///
/// # Errors
/// The database's.
pub(crate) async fn call_off_impossible(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    model: &AccessModel,
) -> Result<()> {
    if waits_for_nominees(model) {
        pending(app, ctx, tx, organization, model).await?;
    }
    Ok(())
}

fn waits_for_nominees(model: &AccessModel) -> bool {
    model.ownership().transfer.as_ref().is_some_and(|rules| rules.confirmation == Confirmation::Nominee)
}

/// What has to be found out about an organization before its ownership can be offered to anybody; `None` where this caller cannot hand it over.
pub(crate) fn asked(ctx: &Ctx, access: &Access) -> Option<AskedTransfer> {
    let situation = access.situation(ctx, Owners { active: 0 });
    let model = situation.model;
    model.ownership().transfer.as_ref()?;
    situation.require(Action::TransferOwnership.permission()).ok()?;
    let by_service = match situation.authority {
        Authority::Member { roles, .. } if !roles.contains(model.owner_role()) => return None,
        Authority::Member { .. } => false,
        Authority::Service { .. } => true,
    };
    Some(AskedTransfer { by_service, waits: waits_for_nominees(model) })
}
