//! Inviting people: create, resend, revoke. Looking at invitations and accepting them have files of their own.

pub(crate) mod acceptance;
pub(crate) mod batches;
pub(crate) mod issuers;
pub(crate) mod join_links;
pub(crate) mod lists;

use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::Result,
            mutation::Mutation,
        },
        mail::budgets::{MailPermit, MailPermits},
        require_etag,
    },
    domain::{
        access_model::RoleSet,
        authority::{Owners, decide_addition, decide_invite},
        delivery::DeliveryState,
        email::EmailAddress,
        error::Reason,
        invitation::{self, InvitationState, Opening},
        mail::{InvitationMail, Payload},
        scope,
        text::{Locale, PersonName, sort_key},
        token::{Token, TokenKind},
        user::full_name,
    },
    store::{Invitation, InvitationRow, Message, Organization, Tx, User},
};

/// An invitation that was sent or sent again.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The invitation.
    pub(crate) row: InvitationRow,
    /// The organization's revision afterwards.
    pub(crate) revision: i64,
    /// The link, where it was asked for.
    pub(crate) link: Option<SecretString>,
}

/// Invites an address.
#[derive(Debug)]
pub(crate) struct Create {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The address.
    pub(crate) email: EmailAddress,
    /// The invited person's given name.
    pub(crate) given_name: Option<PersonName>,
    /// The invited person's family name.
    pub(crate) family_name: Option<PersonName>,
    /// The roles to give; none gives the default role.
    pub(crate) roles: RoleSet,
    /// A few words of the inviter.
    pub(crate) personal_message: Option<String>,
    /// The language of the message.
    pub(crate) locale: Option<Locale>,
    /// Whether the caller wants the link.
    pub(crate) include_link: bool,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

impl Mutation for Create {
    type Outcome = Issued;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Issued> {
        if self.include_link {
            ctx.require_scope(scope::INVITATION_LINK)?;
        }
        let mut access = self.lock(app, ctx, tx).await?;
        self.invite(app, ctx, tx, &mut access, &mut MailPermits::default()).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

impl Create {
    /// Invites, under the organization's lock. What is refused has written nothing.
    async fn invite(
        &self,
        app: &App,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &mut Access,
        permits: &mut MailPermits,
    ) -> Result<Issued> {
        let owners = access::owners_where_it_matters(tx, access, &[&self.roles]).await?;
        let situation = access.situation(ctx, owners);
        invitation::require_step_up(&situation, ctx.stepped_up())?;
        let roles = decide_invite(&situation, &self.roles)?;

        let person = tx.person(self.organization_id, self.email.key()).await?;
        let (known, member) = person.unzip();
        let existing = member.flatten().map(|member| member.state);
        decide_addition(&access.model, existing)?;
        let earlier = tx.pending_invitations(self.organization_id, self.email.key()).await?;
        let facts: Vec<_> = earlier.iter().map(Invitation::facts).collect();
        let opening = invitation::decide_opening(&access.model, &facts, ctx.now)?;
        let validate_only = self.validate_only;
        let permit = permits.permit(app, ctx, tx, access, self.email.typed(), validate_only).await?;
        if opening == Opening::Replace {
            for old in earlier {
                take_back(ctx, tx, &mut access.organization, old, true).await?;
            }
        }
        let cleared = Cleared { roles, known, permit };
        issue(app, ctx, tx, access, self, cleared).await
    }
}

/// Takes a pending invitation back: calls its message off, and records it. `replaced`: because a newer one takes its place. Needs the organization's lock.
///
/// # Errors
/// The database's.
pub(crate) async fn take_back(
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    mut invitation: Invitation,
    replaced: bool,
) -> Result<Invitation> {
    tx.cancel_message(invitation.message_id, ctx.now).await?;
    let before = std::mem::replace(&mut invitation.state, InvitationState::Revoked);
    invitation.changed_revision = organization.next_revision();
    tx.update_invitation(invitation.clone()).await?;
    let (state, email) = (invitation.state.as_str(), &invitation.email);
    let after = match replaced {
        true => json!({ "state": state, "email": email, "replaced": true }),
        false => json!({ "state": state, "email": email }),
    };
    let data = json!({ "before": { "state": before.as_str() }, "after": after });
    ctx.record(tx, organization, "invitation.revoked", Some(invitation.id), data).await?;
    Ok(invitation)
}

/// What has been decided and found out of an invitation that may be given.
pub(super) struct Cleared {
    /// The roles that it gives.
    pub(super) roles: RoleSet,
    /// The account of the address.
    pub(super) known: Option<User>,
    /// That its mail may be sent.
    pub(super) permit: MailPermit,
}

/// Writes a new invitation with its event and its message. That it may be given has been decided.
pub(super) async fn issue(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    access: &mut Access,
    command: &Create,
    cleared: Cleared,
) -> Result<Issued> {
    let Cleared { roles, known, permit } = cleared;
    let token = Token::new(TokenKind::Invitation, app.entropy.bytes());
    let decided = invitation::Invitation::issue(&access.model, command.email.key().to_owned(), roles, ctx.now);
    let actor = ctx.actor();
    let (inviter_service_key_id, inviter_scopes) = ctx.service_authorization();
    let given_name = written(command.given_name.as_ref());
    let family_name = written(command.family_name.as_ref());
    let invitation = Invitation {
        id: app.entropy.uuid(ctx.now),
        organization_id: access.organization.id,
        email: command.email.typed().to_owned(),
        email_key: decided.email_key,
        roles: decided.roles,
        state: decided.state,
        token_digest: token.digest().to_vec(),
        // By whose right it stands: somebody who is only recorded gives none.
        inviter_user_id: ctx.caller.user_id(),
        inviter_service_account_id: actor.service_account,
        personal_message: command.personal_message.clone(),
        locale: command.locale.as_ref().map(|locale| locale.as_str().to_owned()),
        send_count: 1,
        message_id: app.entropy.uuid(ctx.now),
        sort_key: sort_key(&invited_name(&given_name, &family_name, command.email.typed())),
        changed_revision: access.organization.next_revision(),
        create_time: ctx.now,
        sent_time: ctx.now,
        expire_time: decided.expire_time,
        accept_time: None,
        accepted_user_id: None,
        signup_completed: false,
        given_name,
        family_name,
        inviter_service_key_id,
        inviter_scopes,
    };
    tx.insert_invitation(invitation.clone()).await?;
    let message = compose(app, ctx, access, &invitation, known.as_ref(), &token)?;
    let revision = dispatch(ctx, tx, access, &invitation, message, ("invitation.created", permit)).await?;
    Ok(Issued {
        // A caller who only tries an address out leaves no trace, and is not told whether it has an account (ab_40).
        row: queued(invitation, known.filter(|_| !command.validate_only).map(|user| user.id)),
        revision,
        link: command.include_link.then(|| link(app, &access.organization, &token)),
    })
}

fn written(name: Option<&PersonName>) -> String {
    name.map_or_else(String::new, |name| name.as_str().to_owned())
}

/// What an invited person is listed as: the name that the inviter wrote (JP04), or the address.
pub(crate) fn invited_name(given_name: &str, family_name: &str, email: &str) -> String {
    match full_name(given_name, family_name) {
        name if name.is_empty() => email.to_owned(),
        name => name,
    }
}

/// Queues the invitation's message and records what happened: the last steps of sending and of sending again. Answers with the organization's revision.
async fn dispatch(
    ctx: &Ctx,
    tx: &mut Tx,
    access: &mut Access,
    invitation: &Invitation,
    message: Message,
    (event, MailPermit { .. }): (&'static str, MailPermit),
) -> Result<i64> {
    tx.insert_message(message).await?;
    let data = json!({ "email": invitation.email, "roles": invitation.roles });
    ctx.record(tx, &mut access.organization, event, Some(invitation.id), data).await?;
    Ok(access.organization.revision)
}

/// The invitation's message, in the language of the account that has the address, where the invitation names none.
fn compose(
    app: &App,
    ctx: &Ctx,
    access: &Access,
    invitation: &Invitation,
    account: Option<&User>,
    token: &Token,
) -> Result<Message> {
    let inviter = ctx.caller.user.as_ref().map(|caller| &caller.user);
    let organization = &access.organization;
    let languages = [
        Some(&invitation.locale),
        account.map(|user| &user.locale),
        Some(&organization.locale),
        inviter.map(|user| &user.locale),
    ];
    let payload = Payload::Invitation(InvitationMail {
        token: token.expose().to_owned(),
        inviter_name: inviter.map(User::effective_display_name),
        inviter_email: inviter.map(|user| user.email.clone()),
        organization_name: organization.display_name.clone(),
        role_names: access.model.role_names(&invitation.roles),
        invitee_email: invitation.email.clone(),
        expire_time: invitation.expire_time,
        locale: app.language(languages.into_iter().flatten()),
        message: invitation.personal_message.clone(),
    });
    app.message_of(ctx, invitation.message_id, organization, payload)
}

fn link(app: &App, organization: &Organization, token: &Token) -> SecretString {
    app.brands.of(&organization.access_model).links.invitation.with_token(token.expose()).into()
}

fn queued(invitation: Invitation, known_user_id: Option<Uuid>) -> InvitationRow {
    InvitationRow { invitation, delivery_state: Some(DeliveryState::Queued), known_user_id }
}

/// Sends an invitation again, with a new link and its full time.
#[derive(Debug)]
pub(crate) struct Resend {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The invitation.
    pub(crate) invitation_id: Uuid,
    /// Whether the caller wants the link.
    pub(crate) include_link: bool,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Resend {
    type Outcome = Issued;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Issued> {
        if self.include_link {
            ctx.require_scope(scope::INVITATION_LINK)?;
        }
        let mut access = self.lock(app, ctx, tx).await?;
        let row = find(tx, self.organization_id, self.invitation_id).await?;
        let mut invitation = row.invitation;
        require_etag(&self.etag, invitation.changed_revision)?;
        let owners = access::owners_where_it_matters(tx, &access, &[&invitation.roles]).await?;
        let situation = access.situation(ctx, owners);
        // A new link counts as a new invitation (JH03).
        invitation::require_step_up(&situation, ctx.stepped_up())?;
        let expire_time = invitation::decide_resend(&situation, &invitation.facts(), ctx.now)?;
        let (sent, last) = (invitation.send_count, invitation.sent_time);
        app.mail_budgets.require_resend(situation.authority, sent, last, ctx.now)?;
        let mut permits = MailPermits::default();
        let permit = permits.permit(app, ctx, tx, &access, &invitation.email, false).await?;

        let token = Token::new(TokenKind::Invitation, app.entropy.bytes());
        tx.cancel_message(invitation.message_id, ctx.now).await?;
        invitation.token_digest = token.digest().to_vec();
        invitation.inviter_user_id = ctx.caller.user_id();
        invitation.inviter_service_account_id = ctx.actor().service_account;
        (invitation.inviter_service_key_id, invitation.inviter_scopes) = ctx.service_authorization();
        invitation.send_count += 1;
        invitation.message_id = app.entropy.uuid(ctx.now);
        invitation.sent_time = ctx.now;
        invitation.expire_time = expire_time;
        invitation.changed_revision = access.organization.next_revision();
        tx.update_invitation(invitation.clone()).await?;
        let account = match row.known_user_id {
            Some(user) => tx.user(user).await?,
            None => None,
        };
        let message = compose(app, ctx, &access, &invitation, account.as_ref(), &token)?;
        let revision = dispatch(ctx, tx, &mut access, &invitation, message, ("invitation.resent", permit)).await?;
        Ok(Issued {
            row: queued(invitation, row.known_user_id),
            revision,
            link: self.include_link.then(|| link(app, &access.organization, &token)),
        })
    }
}

/// Takes an invitation back.
#[derive(Debug)]
pub(crate) struct Revoke {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The invitation.
    pub(crate) invitation_id: Uuid,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Revoke {
    type Outcome = (InvitationRow, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let row = find(tx, self.organization_id, self.invitation_id).await?;
        require_etag(&self.etag, row.invitation.changed_revision)?;
        // Taking back gives nobody anything, so no owner has to be counted.
        let situation = access.situation(ctx, Owners { active: 0 });
        invitation::decide_revoke(&situation, &row.invitation.facts())?;
        take_back(ctx, tx, &mut access.organization, row.invitation, false).await?;
        // The message may have been called off just now.
        let row = find(tx, self.organization_id, self.invitation_id).await?;
        Ok((row, access.organization.revision))
    }
}

/// An invitation of an organization, as it is now.
pub(super) async fn find(tx: &Tx, organization: Uuid, id: Uuid) -> Result<InvitationRow> {
    let row = tx.invitation_row(organization, id).await?;
    Ok(row.ok_or(Reason::InvitationNotFound)?)
}
