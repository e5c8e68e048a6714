//! Identities at OpenID Connect providers: linked, listed and unlinked. An identity is an issuer and a subject, and no address (ab_28).

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
        credentials::{passwords::described, providers::ShownToken},
    },
    domain::{
        challenge::Purpose,
        error::{Reason, Refusal},
        id_token::{Identity, MAX_IDENTITIES},
        mail::Notice,
    },
    store::{Challenge, LinkedIdentity, StoreError, Tx},
};

impl App {
    /// Remembers an ID token as used. Of several calls that show the same one, on whatever replica, one gets through.
    ///
    /// # Errors
    /// `ID_TOKEN_USED`.
    pub(crate) async fn use_id_token(&self, ctx: &Ctx, tx: &mut Tx, identity: &Identity) -> Result<()> {
        let used = Challenge {
            digest: Some(identity.digest.to_vec()),
            expire_time: identity.remember_until,
            consume_time: Some(ctx.now),
            ..self.new_challenge(ctx, Purpose::IdToken, None, None, None)
        };
        tx.insert_challenge(used).await.map_err(|error| match error {
            StoreError::Duplicate(_) => {
                Refusal::new(Reason::IdTokenUsed).with("hint", "begin a new sign-in at the provider").into()
            }
            other => other.into(),
        })
    }

    /// Gives a user an identity.
    ///
    /// # Errors
    /// `IDENTITY_TAKEN`.
    pub(crate) async fn add_identity(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: Uuid,
        identity: &Identity,
        used: bool,
    ) -> Result<LinkedIdentity> {
        let linked = LinkedIdentity {
            id: self.entropy.uuid(ctx.now),
            user_id: user,
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            create_time: ctx.now,
            last_used_time: used.then_some(ctx.now),
        };
        match tx.insert_identity(linked.clone()).await {
            Ok(()) => Ok(linked),
            Err(StoreError::Duplicate(_)) => {
                Err(Refusal::new(Reason::IdentityTaken).with("hint", "sign in with it").into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Links an identity.
#[derive(Debug)]
pub(crate) struct Link {
    /// The ID token.
    pub(crate) shown: ShownToken,
}

/// An identity whose token is in order.
pub(crate) struct PreparedLink {
    identity: Identity,
}

/// Lets the caller sign in with an identity as well; they are told by mail.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `SESSION_NOT_RECENT`, `ID_TOKEN_INVALID`, `ID_TOKEN_USED`, `IDENTITY_TAKEN`, `TOO_MANY_IDENTITIES`, `IDENTITY_PROVIDER_UNAVAILABLE`.
impl Prepare for Link {
    type Mutation = PreparedLink;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedLink> {
        ctx.require_session()?;
        ctx.require_recent_sign_in()?;
        Ok(PreparedLink { identity: app.identify(ctx, &self.shown).await? })
    }
}

impl Mutation for PreparedLink {
    type Outcome = LinkedIdentity;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<LinkedIdentity> {
        let mut user = ctx.lock_caller(tx).await?;
        if tx.identities_of(user.id).await?.len() >= MAX_IDENTITIES {
            return Err(Refusal::new(Reason::TooManyIdentities).with("limit", MAX_IDENTITIES.to_string()).into());
        }
        app.use_id_token(ctx, tx, &self.identity).await?;
        let linked = app.add_identity(ctx, tx, user.id, &self.identity, false).await?;
        ctx.record_user(tx, &mut user, "user.identity_linked", described(&linked)).await?;
        app.notify(ctx, tx, &user, Notice::IdentityLinked).await?;
        Ok(linked)
    }
}

/// A user's identities, oldest first.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list(app: &App, ctx: &Ctx, user: Uuid) -> Result<Vec<LinkedIdentity>> {
    ctx.require_self(user)?;
    let view = app.store.read();
    view.user(user).await?.ok_or(Reason::UserNotFound)?;
    Ok(view.identities_of(user).await?)
}

/// Takes an identity away.
#[derive(Debug)]
pub(crate) struct Unlink {
    /// The identity.
    pub(crate) identity_id: Uuid,
}

/// Takes an identity away from the caller. Every other session of theirs ends, as with a new password: somebody else may have had the way in.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `SESSION_NOT_RECENT`, `IDENTITY_NOT_FOUND`, `LAST_CREDENTIAL`.
impl Mutation for Unlink {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let (_, session_id) = ctx.require_session()?;
        ctx.require_recent_sign_in()?;
        let mut user = ctx.lock_caller(tx).await?;
        let all = tx.identities_of(user.id).await?;
        let linked = all.iter().find(|linked| linked.id == self.identity_id);
        let linked = linked.ok_or(Reason::IdentityNotFound)?;
        if user.password_hash.is_none() && all.len() == 1 {
            return Err(Refusal::new(Reason::LastCredential)
                .with("hint", "set a password or link another identity first")
                .into());
        }
        tx.delete_identity(linked.id).await?;
        ctx.record_user(tx, &mut user, "user.identity_unlinked", described(linked)).await?;
        ctx.end_sessions(tx, user.id, Some(session_id)).await?;
        app.notify(ctx, tx, &user, Notice::IdentityUnlinked).await
    }
}
