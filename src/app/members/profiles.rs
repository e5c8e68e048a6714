//! Members who are created without an invitation, and the fields of members that others edit.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Asked},
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
        members::{RosterEntry, changed_entry},
        require_etag,
        users::{
            HashedUser, NewUser,
            profiles::{ProfileChange, username_taken},
            states::{rename, seats},
        },
    },
    domain::{
        access_model::RoleSet,
        authority::{decide_addition, decide_create, decide_update, require_usernames},
        error::{Reason, Refusal},
        text::sort_key,
    },
    store::{Member, Tx},
};

/// Creates an account and makes it a member (PF07).
#[derive(Debug)]
pub(crate) struct Create {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The person.
    pub(crate) person: NewUser,
    /// The roles to hold; none gives the default role.
    pub(crate) roles: RoleSet,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

/// A person whose password is hashed.
pub(crate) struct PreparedCreate {
    organization_id: Uuid,
    person: HashedUser,
    username: bool,
    email_key: String,
    roles: RoleSet,
    validate_only: bool,
}

/// Creates an account and makes it a member, in one commit. No message is sent.
///
/// # Errors
/// `DIRECT_CREATION_NOT_ALLOWED`, `ALREADY_MEMBER`, `REMOVED_MEMBER`, `ACCOUNT_EXISTS`, `USERNAME_TAKEN`, `FIELD_NOT_EDITABLE` for a username where
/// the access model knows none, and those of roles.
impl Prepare for Create {
    type Mutation = PreparedCreate;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedCreate> {
        // Refused before a password is hashed: hashing is work that only who may create members can ask for.
        access::enter(app, ctx, self.organization_id).await?;
        Ok(PreparedCreate {
            organization_id: self.organization_id,
            username: self.person.username.is_some(),
            email_key: self.person.email.key().to_owned(),
            person: app.hashed(ctx, self.person, &[]).await?,
            roles: self.roles,
            validate_only: self.validate_only,
        })
    }
}

impl Mutation for PreparedCreate {
    type Outcome = (RosterEntry, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let owners = access::owners_where_it_matters(tx, &access, &[&self.roles]).await?;
        let roles = decide_create(&access.situation(ctx, owners), &self.roles, true)?;
        if self.username {
            require_usernames(&access.model)?;
        }
        let person = tx.person(self.organization_id, &self.email_key).await?;
        let existing = person.and_then(|(_, member)| member).map(|member| member.state);
        decide_addition(&access.model, existing)?;
        // Nobody gets an account of somebody else's, or a password on it (ab_18).
        let taken = Refusal::new(Reason::AccountExists).with("hint", "invite the address instead");
        let user = match self.validate_only {
            true => self.person.try_out(app, ctx, tx).await?,
            false => self.person.insert(app, ctx, tx, taken.into()).await?,
        };

        let member = Member::new(&access.organization, &user, roles, ctx.now);
        tx.insert_member(member.clone()).await?;
        ctx.record(tx, &mut access.organization, "member.created", Some(user.id), json!({ "roles": member.roles }))
            .await?;
        changed_entry(app, ctx, tx, &mut access, member, user).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Edits the fields of a member that others may edit (JP09, PF09).
#[derive(Debug)]
pub(crate) struct Update {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The member's user.
    pub(crate) user_id: Uuid,
    /// The names of the fields that the caller asks to change, editable or not.
    pub(crate) fields: Vec<String>,
    /// Their new values, of those that can be edited at all.
    pub(crate) change: ProfileChange,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for Update {
    type Outcome = (RosterEntry, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        // Looked at first: a caller locks no user of another organization (ab_50).
        tx.member(self.organization_id, self.user_id).await?.ok_or(Reason::MemberNotFound)?;
        let user = tx.lock_user(self.user_id).await?;
        // A person who can be edited here may have memberships in deleted organizations too. Locked first, since locks of organizations are taken by ascending id.
        let seats = match &user {
            Some(user) => seats(tx, user).await?,
            None => Vec::new(),
        };
        let mut access = self.lock(app, ctx, tx).await?;
        let member = tx.member(self.organization_id, self.user_id).await?;
        let (mut member, mut user) = member.zip(user).ok_or(Reason::MemberNotFound)?;
        require_etag(&self.etag, member.changed_revision)?;
        let owners = access::owners_where_it_matters(tx, &access, &[]).await?;
        let elsewhere = tx.who_belong_elsewhere(self.organization_id, &[self.user_id]).await?;
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        decide_update(&access.situation(ctx, owners), &member.target(user.state), &fields, !elsewhere.is_empty())?;

        let username = user.username.clone();
        let changed = self.change.apply(&mut user);
        if changed.nothing() {
            return changed_entry(app, ctx, tx, &mut access, member, user).await;
        }
        let data = changed.values.clone();
        if self.validate_only {
            // A caller who only tries it out is not told whether somebody has the username (ab_40).
            let wanted = std::mem::replace(&mut user.username, username);
            ctx.record_user(tx, &mut user, "user.updated", data).await?;
            user.username = wanted;
        } else {
            ctx.record_user(tx, &mut user, "user.updated", data).await.map_err(username_taken)?;
        }
        let seats = seats.into_iter().filter(|(organization, _)| organization.id != self.organization_id);
        rename(ctx, tx, &user, seats, &changed).await?;
        member.sort_key = sort_key(&user.effective_display_name());
        member.changed_revision = access.organization.next_revision();
        member.update_time = ctx.now;
        tx.update_member(member.clone()).await?;
        ctx.record(tx, &mut access.organization, "member.updated", Some(user.id), changed.fields()).await?;
        changed_entry(app, ctx, tx, &mut access, member, user).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}
