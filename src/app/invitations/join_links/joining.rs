//! Joining by a link, and what its holder sees before.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::{Mutation, Prepare},
        },
        invitations::{
            issuers::{Inviter, inviter},
            take_back,
        },
        users::email_unverified,
    },
    domain::{
        access_model::RoleSet,
        email::EmailAddress,
        error::Reason,
        join_link::{self, Joining},
        token::{Token, TokenKind},
    },
    store::{JoinLink, Member, Tx, User},
};

fn digest(token: &SecretString) -> Result<[u8; 32]> {
    let token = Token::parse(TokenKind::JoinLink, token.expose_secret());
    Ok(token.ok_or(Reason::JoinLinkNotFound)?.digest())
}

async fn find(app: &App, digest: &[u8; 32]) -> Result<JoinLink> {
    Ok(app.store.read().join_link_by_token(digest).await?.ok_or(Reason::JoinLinkNotFound)?)
}

/// What a link lets people join.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The link.
    pub(crate) link: JoinLink,
    /// The organization's name.
    pub(crate) organization_name: String,
    /// The names of the roles.
    pub(crate) role_names: Vec<String>,
}

/// Shows what a token lets people join: what joining would tell, as far as it does not depend on who joins. Consumes nothing.
///
/// # Errors
/// `JOIN_LINK_NOT_FOUND`, and why nobody joins by it any more.
pub(crate) async fn preview(app: &App, ctx: &Ctx, token: SecretString) -> Result<Preview> {
    let view = app.store.read();
    let link = find(app, &digest(&token)?).await?;
    // First: a link that is over is told to be, whatever became of its organization.
    link.facts().open(ctx.now)?;
    let organization = view.organization(link.organization_id).await?.ok_or(Reason::JoinLinkNotFound)?;
    organization.state.usable()?;
    let model = app.model_of(&organization)?;
    let issuer = link.issuer();
    let creator = inviter(&issuer, view.sender(&issuer).await?);
    let joining = Joining {
        model: &model,
        organization_kind: organization.kind.as_deref(),
        creator: creator.as_ref().map(Inviter::authority),
        now: ctx.now,
    };
    join_link::decide_offer(&joining, &link.facts())?;
    Ok(Preview { organization_name: organization.display_name, role_names: model.role_names(&link.roles), link })
}

/// Joins an organization by a link.
#[derive(Debug)]
pub(crate) struct Join {
    /// The token of the link.
    pub(crate) token: SecretString,
}

/// A person who joined.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The user.
    pub(crate) user_id: Uuid,
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Its name.
    pub(crate) organization_name: String,
    /// The roles that the user now holds.
    pub(crate) roles: RoleSet,
    /// The organization's revision afterwards.
    pub(crate) revision: i64,
}

/// Joining by a link that is known to be there.
pub(crate) struct PreparedJoin {
    digest: [u8; 32],
    organization_id: Uuid,
}

impl Prepare for Join {
    type Mutation = PreparedJoin;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedJoin> {
        ctx.require_user()?;
        // Looked at before the lock, so that a token that is none costs no transaction.
        let digest = digest(&self.token)?;
        let link = find(app, &digest).await?;
        Ok(PreparedJoin { digest, organization_id: link.organization_id })
    }
}

impl Mutation for PreparedJoin {
    type Outcome = Joined;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Joined> {
        // Before the organization, as everywhere: an account that is being deleted either joins first and is removed with it, or is gone.
        let user = ctx.lock_caller(tx).await?;
        let address = verified(&user)?;
        // The race it prevents: the last place of a link is taken by two, or by one after the link was taken back.
        let mut organization = tx.lock_organization(self.organization_id).await?.ok_or(Reason::JoinLinkNotFound)?;
        organization.state.usable()?;
        let model = app.model_of(&organization)?;
        let mut link = tx.join_link_by_token(&self.digest).await?.ok_or(Reason::JoinLinkNotFound)?;
        if let Some(account) = link.creator_service_account_id {
            tx.hold_service_account(account).await?;
        }
        let issuer = link.issuer();
        let creator = inviter(&issuer, tx.sender(&issuer).await?);
        let existing = tx.member(organization.id, user.id).await?;
        let joining = Joining {
            model: &model,
            organization_kind: organization.kind.as_deref(),
            creator: creator.as_ref().map(Inviter::authority),
            now: ctx.now,
        };
        let existing = existing.map(|member| member.state);
        let roles = join_link::decide_join(&joining, &link.facts(), &address, existing)?;
        // Nobody is both a member and invited.
        for waiting in tx.pending_invitations(organization.id, &user.email_key).await? {
            take_back(ctx, tx, &mut organization, waiting, true).await?;
        }
        let member = Member::new(&organization, &user, roles.clone(), ctx.now);
        link.use_count += 1;
        link.changed_revision = organization.next_revision();
        let data = json!({
            "after": { "state": member.state.as_str(), "roles": member.roles, "join_link_id": link.id, "use_count": link.use_count },
        });
        tx.insert_member(member).await?;
        tx.update_join_link(link).await?;
        ctx.record(tx, &mut organization, "member.joined", Some(user.id), data).await?;
        Ok(Joined {
            user_id: user.id,
            organization_id: organization.id,
            organization_name: organization.display_name,
            roles,
            revision: organization.revision,
        })
    }
}

/// The address of an account, where somebody has shown that it is theirs: what a domain says of a person rests on that.
fn verified(user: &User) -> Result<EmailAddress> {
    if user.email_verify_time.is_none() {
        return Err(email_unverified());
    }
    EmailAddress::parse(&user.email).map_err(|flaw| Error::Internal(format!("the stored address of a user {flaw}")))
}
