//! Accounts that change: their profile, and being suspended, activated, deleted and undeleted, with what follows for the organizations that they belong to.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
        },
        ownership, require_etag,
        users::profiles::{ChangedProfile, ProfileChange, username_taken},
    },
    domain::{
        authority::{Owners, is_last_owner},
        email::EmailAddress,
        error::{Reason, Refusal},
        member::MemberState,
        organization::OrganizationState,
        text::sort_key,
        user::{UserChange, UserState},
    },
    store::{Member, Organization, StoreError, Tx, User},
};

/// Organizations that one refusal names at the most.
const NAMED: usize = 10;

/// Changes a person's profile.
#[derive(Debug)]
pub(crate) struct Update {
    /// The user.
    pub(crate) user_id: Uuid,
    /// What changes.
    pub(crate) change: ProfileChange,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Update {
    type Outcome = User;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        ctx.require_self(self.user_id)?;
        if self.change.attributes.is_some() {
            ctx.require_service_for("attributes")?;
        }
        let mut user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        require_etag(&self.etag, user.revision)?;
        if user.state == UserState::Deleted {
            return Err(Refusal::new(Reason::UserStateConflict).with("state", "DELETED").into());
        }
        let changed = self.change.apply(&mut user);
        if changed.nothing() {
            return Ok(user);
        }
        let data = changed.values.clone();
        ctx.record_user(tx, &mut user, "user.updated", data).await.map_err(username_taken)?;
        if changed.shows() {
            let seats = seats(tx, &user).await?;
            rename(ctx, tx, &user, seats, &changed).await?;
        }
        Ok(user)
    }
}

/// Changes the state of an account.
#[derive(Debug)]
pub(crate) struct ChangeUserState {
    /// The user.
    pub(crate) user_id: Uuid,
    /// What is done.
    pub(crate) change: UserChange,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for ChangeUserState {
    type Outcome = User;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        let mut user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        require_etag(&self.etag, user.revision)?;
        let before = user.state;
        let after = self.change.apply(before, user.state_before_deletion, user.erase_time.is_some())?;
        let seats = seats(tx, &user).await?;
        if self.change.ends_use() && before == UserState::Active {
            require_other_owners(app, tx, &user, &seats).await?;
        }
        user.state = after;
        user.state_before_deletion = (after == UserState::Deleted).then_some(before);
        self.claim_names(tx, &mut user, ctx).await?;
        let kind = match self.change {
            UserChange::Suspend => "user.suspended",
            UserChange::Activate => "user.activated",
            UserChange::Delete => "user.deleted",
            UserChange::Undelete => "user.undeleted",
        };
        let data = json!({ "before": before.as_str(), "after": after.as_str() });
        ctx.record_user(tx, &mut user, kind, data).await.map_err(|error| match error {
            // Another account took the address since we looked.
            StoreError::Duplicate(_) => address_in_use(),
            other => Error::from(other),
        })?;
        for (mut organization, mut member) in seats {
            // A deleted organization shows nobody its members; but a deleted user is not among them when it comes back.
            if organization.state == OrganizationState::Deleted && self.change != UserChange::Delete {
                continue;
            }
            let data = json!({ "before": before.as_str(), "after": after.as_str() });
            let kind = match self.change {
                UserChange::Delete => {
                    member.state = MemberState::Removed;
                    member.interrupted_after_sign_in = Some(user.sign_in_count);
                    "member.account_deleted"
                }
                UserChange::Suspend => "member.account_suspended",
                UserChange::Activate | UserChange::Undelete => "member.account_activated",
            };
            record(ctx, tx, &mut organization, member, kind, data).await?;
            if self.change.ends_use() && organization.state != OrganizationState::Deleted {
                let model = app.model_of(&organization)?;
                ownership::call_off_impossible(app, ctx, tx, &mut organization, &model).await?;
            }
        }
        if self.change == UserChange::Delete {
            // As the address: the person can come back with it.
            tx.delete_identities(user.id).await?;
        }
        if self.change.ends_use() {
            ctx.end_sessions(tx, user.id, None).await?;
        }
        Ok(user)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

impl ChangeUserState {
    /// A deleted account frees its address and its username; an undeleted one claims its address again.
    async fn claim_names(&self, tx: &Tx, user: &mut User, ctx: &Ctx) -> Result<()> {
        match self.change {
            UserChange::Delete => {
                // No address has this form, so that nothing finds the account by it.
                user.email_key = format!("deleted:{}", user.id);
                user.username = None;
                user.delete_time = Some(ctx.now);
                user.scheduled_delete_time = None;
            }
            UserChange::Undelete => {
                let email = EmailAddress::parse(&user.email)
                    .map_err(|flaw| Error::Internal(format!("the stored address of a user {flaw}")))?;
                if tx.user_by_email(email.key()).await?.is_some() {
                    return Err(address_in_use());
                }
                email.key().clone_into(&mut user.email_key);
                user.delete_time = None;
            }
            UserChange::Suspend | UserChange::Activate => {}
        }
        Ok(())
    }
}

/// Refuses to bring an account back whose address somebody else has by now.
fn address_in_use() -> Error {
    Refusal::new(Reason::EmailTaken).with("hint", "give the account that has the address another one first").into()
}

/// The user's memberships, those in deleted organizations too, each under its organization's lock. The locks are taken by ascending id: two who each hold
/// what the other wants would wait for ever.
pub(crate) async fn seats(tx: &mut Tx, user: &User) -> Result<Vec<(Organization, Member)>> {
    let mut seats = Vec::new();
    for (_, member) in tx.memberships(user.id).await? {
        if member.state == MemberState::Removed {
            continue;
        }
        let Some(organization) = tx.lock_organization(member.organization_id).await? else {
            continue;
        };
        // Only now: the membership may have changed while we waited.
        let member = tx.member(organization.id, user.id).await?;
        if let Some(member) = member.filter(|member| member.state != MemberState::Removed) {
            seats.push((organization, member));
        }
    }
    Ok(seats)
}

/// Tells organizations that what they show of a person is another now, and lists the person by it.
pub(crate) async fn rename(
    ctx: &Ctx,
    tx: &mut Tx,
    user: &User,
    seats: impl IntoIterator<Item = (Organization, Member)>,
    changed: &ChangedProfile,
) -> Result<()> {
    for (mut organization, mut member) in seats {
        member.sort_key = sort_key(&user.effective_display_name());
        record(ctx, tx, &mut organization, member, "member.updated", changed.fields()).await?;
    }
    Ok(())
}

/// Refuses to take an account out of use that is the last active owner of an organization (CP09, JS08). What is deleted has no owner to keep.
pub(crate) async fn require_other_owners(
    app: &App,
    tx: &Tx,
    user: &User,
    seats: &[(Organization, Member)],
) -> Result<()> {
    let mut owned = Vec::new();
    let existing = seats.iter().filter(|(organization, _)| organization.state != OrganizationState::Deleted);
    for (organization, member) in existing {
        let model = app.model_of(organization)?;
        let owners = Owners { active: tx.count_active_holders(organization.id, model.owner_role().as_str()).await? };
        if is_last_owner(&model, &member.target(user.state), owners) {
            owned.push(organization.id.to_string());
        }
    }
    if owned.is_empty() {
        return Ok(());
    }
    owned.truncate(NAMED);
    Err(Refusal::new(Reason::LastOwner)
        .with("organization_ids", owned.join(","))
        .with("hint", "give these organizations another owner, or delete them, first")
        .into())
}

async fn record(
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    mut member: Member,
    kind: &'static str,
    data: serde_json::Value,
) -> Result<()> {
    member.changed_revision = organization.next_revision();
    member.update_time = ctx.now;
    let subject = Some(member.user_id);
    tx.update_member(member).await?;
    ctx.record(tx, organization, kind, subject, data).await
}
