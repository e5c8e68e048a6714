//! What the holder of a link sees before they accept.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::digest;
use crate::{
    app::{
        App,
        call::{context::Ctx, error::Result},
        invitations::issuers::{self, Inviter},
    },
    domain::{
        authority::Owners,
        error::Reason,
        invitation::{self, Acceptance},
    },
    store::{InvitationKey, User},
};

/// What a link invites to.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Its name.
    pub(crate) organization_name: String,
    /// The invited address.
    pub(crate) email: String,
    /// The names of the roles.
    pub(crate) role_names: Vec<String>,
    /// The name of the user who invited.
    pub(crate) inviter_name: Option<String>,
    /// From when on it can no longer be accepted.
    pub(crate) expire_time: DateTime<Utc>,
    /// Whether the address has an account.
    pub(crate) account_exists: bool,
    /// The given name that the invitation has.
    pub(crate) given_name: String,
    /// The family name that the invitation has.
    pub(crate) family_name: String,
}

/// Shows what a token invites to. Consumes nothing. Who holds the token is told that the address has an account: the page has to know whether to
/// ask for a new password, and the token came to that address.
///
/// # Errors
/// `INVITATION_NOT_FOUND`, and why it cannot be accepted any more.
pub(crate) async fn preview(app: &App, ctx: &Ctx, token: SecretString) -> Result<Preview> {
    let view = app.store.read();
    let invitation = view.invitation_by(&InvitationKey::Token(digest(&token)?)).await?;
    let invitation = invitation.ok_or(Reason::InvitationNotFound)?;
    // First: an invitation that is over is told to be, whatever became of its organization.
    invitation.facts().open(ctx.now)?;
    let organization = view.organization(invitation.organization_id).await?;
    let organization = organization.ok_or(Reason::InvitationNotFound)?;
    organization.state.usable()?;
    let model = app.model_of(&organization)?;
    let inviter = match invitation.inviter_user_id {
        Some(user) => view.user(user).await?,
        None => None,
    };
    let issuer = invitation.issuer();
    let answering = issuers::inviter(&issuer, view.sender(&issuer).await?);
    let owner = model.owner_role();
    let active = match invitation.roles.contains(owner) {
        true => view.count_active_holders(organization.id, owner.as_str()).await?,
        false => 0,
    };
    // The preview tells what acceptance would tell.
    let acceptance = Acceptance {
        model: &model,
        organization_kind: organization.kind.as_deref(),
        inviter: answering.as_ref().map(Inviter::authority),
        existing: None,
        owners: Owners { active },
        now: ctx.now,
    };
    invitation::decide_accept(&acceptance, &invitation.facts())?;
    Ok(Preview {
        organization_id: organization.id,
        organization_name: organization.display_name,
        role_names: model.role_names(&invitation.roles),
        inviter_name: inviter.as_ref().map(User::effective_display_name),
        expire_time: invitation.expire_time,
        account_exists: view.user_by_email(&invitation.email_key).await?.is_some(),
        email: invitation.email,
        given_name: invitation.given_name,
        family_name: invitation.family_name,
    })
}
