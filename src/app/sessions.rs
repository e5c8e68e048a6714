//! Signing in and out.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    App, authentication,
    context::Ctx,
    error::{Error, Result},
    identities,
    mutation::{Answer, Mutation},
    paging::{Page, PageRequest},
    service_accounts::by_id,
    sign_in::Entry,
};
use crate::{
    domain::{
        challenge::Purpose,
        email::EmailAddress,
        error::Reason,
        member::MemberState,
        password,
        sign_in::SignInOutcome,
        text::Username,
        token::{Token, TokenKind},
        user::{self, Standing},
    },
    platform::hashing::Verdict,
    store::{Session, SessionHolder, SignInRecord, Tx, User},
};

/// A session that has just begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The session.
    pub(crate) session: Session,
    /// Its token, which is shown once.
    pub(crate) token: Token,
    /// Whose it is.
    pub(crate) user: User,
}

impl App {
    /// Begins a session in a transaction, and keeps in the person's history that they have signed in.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn begin_session(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: Uuid,
        user_agent: Option<&str>,
    ) -> Result<(Session, Token)> {
        tx.insert_sign_in(self.sign_in_record(ctx, Some(user), SignInOutcome::Succeeded, user_agent))
            .await?;
        let token = Token::new(TokenKind::Session, self.entropy.bytes());
        let session = Session {
            id: self.entropy.uuid(ctx.now),
            user_id: user,
            token_digest: token.digest().to_vec(),
            ip_address: ctx.client_ip.clone(),
            user_agent: user_agent.map(ToOwned::to_owned),
            create_time: ctx.now,
            last_used_time: ctx.now,
            expire_time: self.sessions.expire_time(ctx.now),
            revoke_time: None,
            step_up_expire_time: None,
        };
        tx.insert_session(session.clone()).await?;
        Ok((session, token))
    }

    /// What is kept of an attempt to sign in.
    fn sign_in_record(
        &self,
        ctx: &Ctx,
        user: Option<Uuid>,
        outcome: SignInOutcome,
        user_agent: Option<&str>,
    ) -> SignInRecord {
        SignInRecord {
            id: self.entropy.uuid(ctx.now),
            user_id: user,
            outcome,
            ip_address: ctx.client_ip.clone(),
            user_agent: user_agent.map(ToOwned::to_owned),
            create_time: ctx.now,
        }
    }

    /// Keeps that an attempt to sign in was refused. Without a user, the same row is written: whether an address is known must not show in the time
    /// that a refusal takes (ab_15).
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn note_refused_sign_in(
        &self,
        ctx: &Ctx,
        user: Option<Uuid>,
        user_agent: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.insert_sign_in(self.sign_in_record(ctx, user, SignInOutcome::Failed, user_agent))
            .await?;
        Ok(tx.commit().await?)
    }
}

/// By what a person says who they are.
#[derive(Debug)]
pub(crate) enum Identifier {
    /// The address, as it was typed: one that is none gets the answer of an unknown one.
    Email(String),
    /// The username (PF09).
    Username(Username),
}

/// Signs in, one way or the other.
#[derive(Debug)]
pub(crate) enum AnySignIn {
    /// With a password.
    Password(SignIn),
    /// With an identity at a provider.
    Identity(identities::SignIn),
}

/// Signs in, one way or the other.
///
/// # Errors
/// Those of [`sign_in`] and of [`identities::sign_in`].
pub(crate) async fn sign_in_either_way(app: &App, ctx: &Ctx, command: AnySignIn) -> Result<Entry> {
    match command {
        AnySignIn::Password(command) => sign_in(app, ctx, command).await,
        AnySignIn::Identity(command) => identities::sign_in(app, ctx, command).await,
    }
}

/// Signs in with a password.
#[derive(Debug)]
pub(crate) struct SignIn {
    /// Who.
    pub(crate) identifier: Identifier,
    /// The password.
    pub(crate) password: SecretString,
    /// The person's user agent.
    pub(crate) user_agent: Option<String>,
}

/// Signs in: into a session, or to the question for the second factor. An unknown address, an account without a password and a wrong password get the same answer for the
/// same work (ab_15).
///
/// # Errors
/// `SIGN_IN_FAILED`; overloaded, where too many are signing in.
async fn sign_in(app: &App, ctx: &Ctx, command: SignIn) -> Result<Entry> {
    let user = find(app, &command.identifier).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let verdict = app.compare(&command.password, stored).await?;
    let known = user.as_ref().map(|user| user.id);
    let (Some(user), Verdict::Match { outdated }) = (user, verdict) else {
        app.note_refused_sign_in(ctx, known, command.user_agent.as_deref())
            .await?;
        return Err(Reason::SignInFailed.into());
    };
    let rehashed = match outdated {
        true => {
            let normal = SecretString::from(password::normalize(command.password.expose_secret()).as_str());
            Some(app.hasher.hash(normal, app.entropy.bytes()).await?)
        }
        false => None,
    };
    let mut tx = app.store.begin().await?;
    // Read anew under the lock: whoever is being removed, suspended or deleted meanwhile keeps no session (ab_08). And what was verified may be the old
    // password by now: the sessions that it began have ended, and so must this one.
    let now = tx.lock_user(user.id).await?.ok_or(Reason::SignInFailed)?;
    let unchanged = now.password_hash == user.password_hash;
    let mut user = now;
    if !unchanged || !may_sign_in(app, &tx, &user, ctx.now).await? {
        tx.rollback().await?;
        app.note_refused_sign_in(ctx, Some(user.id), command.user_agent.as_deref())
            .await?;
        return Err(Reason::SignInFailed.into());
    }
    if rehashed.is_some() {
        user.password_hash = rehashed;
        tx.update_user(user.clone()).await?;
    }
    let entry = app
        .enter(ctx, &mut tx, user, command.user_agent.as_deref(), false)
        .await?;
    tx.commit().await?;
    Ok(entry)
}

async fn find(app: &App, identifier: &Identifier) -> Result<Option<User>> {
    let view = app.store.read();
    Ok(match identifier {
        Identifier::Email(text) => match EmailAddress::parse(text) {
            Ok(email) => view.user_by_email(email.key()).await?,
            Err(_) => None,
        },
        Identifier::Username(username) => view.user_by_username(username.as_str()).await?,
    })
}

/// Whether the account is in use, and no access model keeps the person out because they were removed (JP18).
pub(super) async fn may_sign_in(app: &App, tx: &Tx, user: &User, now: DateTime<Utc>) -> Result<bool> {
    let members = tx.memberships(user.id).await?;
    let mut standings = Vec::new();
    for member in &members {
        let kept_out = match member.state {
            MemberState::Removed => {
                let organization = tx.organization(member.organization_id).await?;
                let organization = organization.ok_or(Reason::SignInFailed)?;
                !app.model_of(&organization)?.members().sign_in_after_removal
            }
            _ => false,
        };
        standings.push(Standing {
            removed: member.state == MemberState::Removed,
            kept_out,
        });
    }
    let kept_out = standings.iter().any(|standing| standing.kept_out);
    let invited = kept_out && tx.is_invited(&user.email_key, now).await?;
    Ok(user::may_sign_in(user.state, &standings, invited))
}

/// The live session of a token, for a service that was handed one.
///
/// # Errors
/// The database's.
pub(crate) async fn verify(app: &App, ctx: &Ctx, token: SecretString) -> Result<Option<SessionHolder>> {
    authentication::live_session(app, token.expose_secret(), ctx.now).await
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
    let rows = view
        .sessions_page(
            query.user_id,
            ctx.now,
            used_after,
            query.page.after(),
            query.page.limit(),
        )
        .await?;
    Ok(query.page.page(rows, None, |row| by_id(row.id)))
}

/// Ends one session of a user.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who names another, `SESSION_NOT_FOUND`.
pub(crate) async fn revoke(app: &App, ctx: &Ctx, user: Uuid, session: Uuid) -> Result<()> {
    ctx.require_self(user)?;
    end(app, user, session, ctx.now).await
}

/// Ends the sessions of a user.
#[derive(Debug)]
pub(crate) struct RevokeAll {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// Whether the caller's own session goes on.
    pub(crate) keep_current: bool,
}

/// Ends the sessions of a user, and what was begun of new ones. Answers with how many ended.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn revoke_all<A: Answer<u64>>(app: &App, ctx: &Ctx, command: RevokeAll) -> Result<A> {
    ctx.require_self(command.user_id)?;
    app.execute(ctx, &command).await
}

impl Mutation for RevokeAll {
    type Outcome = u64;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<u64> {
        let user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        tx.end_challenges(user.id, &[Purpose::SignIn], ctx.now).await?;
        let session = ctx.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
        let spared = session.map(|session| session.id).filter(|_| self.keep_current);
        Ok(tx.revoke_sessions(user.id, spared, ctx.now).await?)
    }
}

/// Ends the caller's own session.
///
/// # Errors
/// `CREDENTIALS_INVALID` for a caller without a session.
pub(crate) async fn sign_out(app: &App, ctx: &Ctx) -> Result<()> {
    let session = ctx.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
    let session = session.ok_or_else(|| Error::from(Reason::CredentialsInvalid))?;
    end(app, session.user_id, session.id, ctx.now).await
}

async fn end(app: &App, user: Uuid, session: Uuid, now: DateTime<Utc>) -> Result<()> {
    let mut tx = app.store.begin().await?;
    if !tx.revoke_session(user, session, now).await? {
        return Err(Reason::SessionNotFound.into());
    }
    Ok(tx.commit().await?)
}
