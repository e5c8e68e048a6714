//! Sessions: verified, listed, ended.

pub(crate) mod first_factor;
pub(crate) mod sign_in;
pub(crate) mod step_up;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            authentication,
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
        permissions::{SessionRights, session_rights},
    },
    domain::{
        access_model::PermissionId,
        error::{Reason, Refusal},
        member::DenyReason,
    },
    store::{Cursor, Session, SessionHolder, Tx},
};

/// Whether a token is a live session's, for a service that was handed one.
#[derive(Debug)]
pub(crate) struct Verify {
    /// The token.
    pub(crate) token: SecretString,
    /// The organization that it is to be good in; `None`: any.
    pub(crate) organization_id: Option<Uuid>,
    /// What is checked of its user there.
    pub(crate) permissions: Vec<PermissionId>,
}

/// What a token is worth.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The session is live, and good in the organization that was asked about, with what was checked there.
    Good(Box<SessionHolder>, Option<SessionRights>),
    /// The session is live, and its user may not act in that organization with it.
    Denied(DenyReason),
    /// The session is over, or there never was one.
    Over,
}

/// Verifies a session, and checks what its user may do: whoever has the session could ask that by it, so that it takes no other scope.
///
/// # Errors
/// `KEY_CONFINED` where a confined key names no organization.
pub(crate) async fn verify(app: &App, ctx: &Ctx, query: Verify) -> Result<Verdict> {
    let checks = !query.permissions.is_empty();
    // Whose session it is, wherever they belong, is nothing for a key that reaches some organizations only.
    if query.organization_id.is_none() && ctx.caller.is_confined() {
        return Err(Refusal::new(Reason::KeyConfined)
            .with("method", ctx.rule.method)
            .with("hint", "name one of the key's organizations")
            .into());
    }
    let live = authentication::live_session(app, query.token.expose_secret(), ctx.now).await?;
    let Some(holder) = live else {
        return Ok(Verdict::Over);
    };
    let Some(organization) = query.organization_id else {
        return Ok(Verdict::Good(Box::new(holder), None));
    };
    let rights = session_rights(app, ctx, &holder.session, organization, query.permissions).await?;
    Ok(match rights.deny_reason {
        Some(deny_reason) => Verdict::Denied(deny_reason),
        None => Verdict::Good(Box::new(holder), Some(rights).filter(|_| checks)),
    })
}

/// The caller's own account and session.
///
/// # Errors
/// `CREDENTIALS_INVALID` for a caller without a session.
pub(crate) fn me(ctx: &Ctx) -> Result<SessionHolder> {
    let caller = ctx.caller.user.as_ref();
    let holder = caller.and_then(|caller| {
        let session = caller.session.clone()?;
        Some(SessionHolder { session, user: caller.user.clone() })
    });
    holder.ok_or_else(|| Error::from(Reason::CredentialsInvalid))
}

/// Which sessions.
#[derive(Debug)]
pub(crate) struct List {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// A user's live sessions, newest first.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<Session>> {
    ctx.require_self(query.user_id)?;
    let view = app.store.read();
    view.user(query.user_id).await?.ok_or(Reason::UserNotFound)?;
    let used_after = ctx.now - app.sessions.idle;
    let rows = view.sessions_page(query.user_id, ctx.now, used_after, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.sessions_count(query.user_id, ctx.now, used_after)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}

/// Ends one session of a user.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who names another, `SESSION_NOT_FOUND`.
pub(crate) async fn revoke(app: &App, ctx: &Ctx, user: Uuid, session: Uuid) -> Result<()> {
    ctx.require_self(user)?;
    app.run(ctx, &End { user_id: user, session_id: session }).await
}

/// Ends the sessions of a user.
#[derive(Debug)]
pub(crate) struct RevokeAll {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// Whether the caller's own session goes on.
    pub(crate) keep_current: bool,
}

/// Ends the sessions of a user, and what they have begun. Answers with how many ended.
///
/// # Errors
/// `USER_NOT_FOUND`.
impl Mutation for RevokeAll {
    type Outcome = u64;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<u64> {
        ctx.require_self(self.user_id)?;
        let user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        let session = ctx.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
        let spared = session.map(|session| session.id).filter(|_| self.keep_current);
        ctx.end_sessions(tx, user.id, spared).await
    }
}

/// Ends the caller's own session.
///
/// # Errors
/// `CREDENTIALS_INVALID` for a caller without a session.
pub(crate) async fn sign_out(app: &App, ctx: &Ctx) -> Result<()> {
    let session = ctx.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
    let session = session.ok_or_else(|| Error::from(Reason::CredentialsInvalid))?;
    app.run(ctx, &End { user_id: session.user_id, session_id: session.id }).await
}

/// Ends one session of a user.
struct End {
    user_id: Uuid,
    session_id: Uuid,
}

impl Mutation for End {
    type Outcome = ();

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        tx.lock_user(self.user_id).await?;
        if tx.revoke_session(self.user_id, self.session_id, ctx.now).await? {
            let data = json!({ "session_id": self.session_id });
            tx.record_of_user(self.user_id, ctx.event("user.session_ended", Some(self.user_id), data)).await?;
            return Ok(());
        }
        // One that has ended already is as it was asked to be: the call is safe to repeat.
        match tx.has_session(self.user_id, self.session_id).await? {
            true => Ok(()),
            false => Err(Reason::SessionNotFound.into()),
        }
    }
}
