//! The way from a first factor to a session: at once, or over a second factor. There is no session that is half one (ab_23).

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::{Mutation, Prepare},
        },
        credentials::mfa::{Checked, Code, Setup},
    },
    domain::{
        challenge::{MAX_ATTEMPTS, Purpose},
        error::Reason,
        member::MemberState,
        organization::OrganizationState,
        sign_in::SignInOutcome,
        token::{Token, TokenKind},
        totp,
        user::{self, PastMembership},
    },
    store::{Session, SignInRecord, Tx, User},
};

/// A session that has just begun.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// The session.
    pub(crate) session: Session,
    /// Its token, which is shown once.
    pub(crate) token: Token,
    /// Whose it is.
    pub(crate) user: User,
}

/// A sign-in whose second factor is missing.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What it is completed with; good for that alone.
    pub(crate) token: Token,
    /// From when on it cannot be completed any more.
    pub(crate) expire_time: DateTime<Utc>,
    /// The factor to set up, for somebody who has none and needs one.
    pub(crate) setup: Option<Setup>,
}

/// What a first factor leads to.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A session.
    Session(Box<NewSession>),
    /// The question for the second factor.
    Pending(Box<Pending>),
}

/// What is kept, sealed, of a sign-in until it is completed.
#[derive(Serialize, Deserialize)]
struct PendingSignIn {
    user_agent: Option<String>,
    /// The secret of the factor that is being set up.
    secret: Option<Vec<u8>>,
}

impl Drop for PendingSignIn {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl App {
    /// Lets a user in who has shown a first factor: into a session, or, where they have a second factor, need one, or `wish` for one, to the question for it. Needs the
    /// user's lock.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn enter(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        mut user: User,
        user_agent: Option<&str>,
        wish: bool,
    ) -> Result<Entry> {
        let needed = !user.mfa_enabled && (wish || self.demanded_by(user.id, Some(tx)).await?.is_some());
        if !user.mfa_enabled && !needed {
            let (session, token) = self.begin_session(ctx, tx, &mut user, user_agent).await?;
            return Ok(Entry::Session(Box::new(NewSession { session, token, user })));
        }
        let secret = needed.then(|| self.new_secret());
        let setup = secret.as_ref().map(|secret| self.setup(&user, secret));
        let kept = PendingSignIn {
            user_agent: user_agent.map(ToOwned::to_owned),
            secret: secret.as_ref().map(|secret| secret.to_vec()),
        };
        let kept = Zeroizing::new(serde_json::to_vec(&kept).map_err(|error| Error::Internal(error.to_string()))?);
        let token = Token::new(TokenKind::SignIn, self.entropy.bytes());
        let challenge = self.new_challenge(ctx, Purpose::SignIn, Some(user.id), Some(&token), Some(kept.as_slice()));
        let expire_time = challenge.expire_time;
        tx.insert_challenge(challenge).await?;
        Ok(Entry::Pending(Box::new(Pending { token, expire_time, setup })))
    }
}

impl App {
    /// Begins a session in a transaction, and keeps in the person's history that they have signed in. Needs the user's lock.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn begin_session(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: &mut User,
        user_agent: Option<&str>,
    ) -> Result<(Session, Token)> {
        tx.touch_last_sign_in(user, ctx.now).await?;
        self.active.note(user.id);
        tx.insert_sign_in_attempt(self.sign_in_record(ctx, Some(user.id), SignInOutcome::Succeeded, user_agent))
            .await?;
        let token = Token::new(TokenKind::Session, self.entropy.bytes());
        let session = Session {
            id: self.entropy.uuid(ctx.now),
            user_id: user.id,
            token_digest: token.digest().to_vec(),
            ip_address: ctx.client_ip.clone(),
            user_agent: user_agent.map(ToOwned::to_owned),
            create_time: ctx.now,
            last_used_time: ctx.now,
            expire_time: self.sessions.expire_time(ctx.now),
            revoke_time: None,
            step_up_expire_time: None,
            sign_in_number: Some(user.sign_in_count),
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

    /// Keeps that an attempt to sign in was refused, for the user to see. Of nobody nothing is kept: it would be for the caller to choose what (ab_47). But the same is written, and
    /// taken out again in the same commit: whether an address is known must not show in the time that a refusal takes (ab_15).
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn note_refused_sign_in(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: Option<Uuid>,
        user_agent: Option<&str>,
    ) -> Result<()> {
        let record = self.sign_in_record(ctx, user, SignInOutcome::Failed, user_agent);
        let pointless = match user {
            Some(_) => Uuid::nil(),
            None => record.id,
        };
        tx.insert_sign_in_attempt(record).await?;
        Ok(tx.delete_sign_in(pointless).await?)
    }
}

/// Whether the account is in use, and no access model keeps the person out because they were removed (JP18).
pub(crate) async fn may_sign_in(app: &App, tx: &Tx, user: &User, now: DateTime<Utc>) -> Result<bool> {
    let mut past_memberships = Vec::new();
    for (organization, member) in &tx.memberships(user.id).await? {
        let removed = member.state == MemberState::Removed;
        // A membership in a deleted organization does not count; a removal from one does.
        if organization.state == OrganizationState::Deleted && !removed {
            continue;
        }
        past_memberships.push(PastMembership {
            removed,
            kept_out: removed && !app.model_of(organization)?.members().sign_in_after_removal,
        });
    }
    let kept_out = past_memberships.iter().any(|past_membership| past_membership.kept_out);
    let invited = kept_out && tx.is_invited(&user.email_key, now).await?;
    Ok(user::may_sign_in(user.state, &past_memberships, invited))
}

/// Completes a sign-in by the second factor.
#[derive(Debug)]
pub(crate) struct Complete {
    /// The token of the half-finished sign-in.
    pub(crate) token: SecretString,
    /// The code.
    pub(crate) code: Code,
}

/// A sign-in that is complete.
#[derive(Debug)]
pub(crate) struct Completed {
    /// The session.
    pub(crate) begun: NewSession,
    /// When the session ends unless it is used before.
    pub(crate) idle_expire_time: DateTime<Utc>,
    /// The recovery codes of a factor that was set up by this, to be shown once.
    pub(crate) recovery_codes: Vec<Zeroizing<String>>,
}

/// A sign-in whose second factor is right.
pub(crate) struct PreparedComplete {
    challenge_id: Uuid,
    user_id: Uuid,
    kept: PendingSignIn,
    factor: SecondFactor,
}

enum SecondFactor {
    /// By the factor that the user has.
    Prove(Checked),
    /// By the first code of the factor that they set up, which is of this time step.
    Enroll(i64),
}

/// Completes a sign-in by the second factor, or by the first code of one that is set up with it. A wrong code counts, although the call is refused.
///
/// # Errors
/// `CHALLENGE_INVALID` where the sign-in is unknown, completed, over, or has had too many wrong answers; `CODE_INVALID`, `TOO_MANY_ATTEMPTS`; `SIGN_IN_FAILED` where the account
/// may no longer sign in.
impl Prepare for Complete {
    type Mutation = PreparedComplete;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedComplete> {
        let token = self.token.expose_secret();
        let (found, user_id) = app.shown_challenge(ctx, Purpose::SignIn, TokenKind::SignIn, token).await?;
        app.require_quiet(ctx, user_id).await?;
        if !app.store.take_attempt(found.id, MAX_ATTEMPTS, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        let kept: PendingSignIn = serde_json::from_slice(&app.opened(&found)?)
            .map_err(|_| Error::Internal(format!("the challenge {} is not understood", found.id)))?;
        let factor = match (&kept.secret, &self.code) {
            (Some(secret), Code::Totp(typed)) => totp::matching_step(secret, typed.expose_secret(), ctx.now, None)
                .map(SecondFactor::Enroll)
                .ok_or_else(|| Reason::CodeInvalid.into()),
            // Who has no factor yet has no recovery codes.
            (Some(_), Code::Recovery(_)) => Err(Reason::CodeInvalid.into()),
            (None, code) => app.check_code(ctx, user_id, code).await.map(SecondFactor::Prove),
        };
        let factor = match factor {
            Ok(factor) => factor,
            Err(refused) => {
                app.run(ctx, &RefusedCode { user_id, user_agent: kept.user_agent.as_deref() }).await?;
                return Err(refused);
            }
        };
        Ok(PreparedComplete { challenge_id: found.id, user_id, kept, factor })
    }
}

/// What is kept of a code that did not let anybody in.
struct RefusedCode<'a> {
    user_id: Uuid,
    user_agent: Option<&'a str>,
}

impl Mutation for RefusedCode<'_> {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        app.note_refused_sign_in(ctx, tx, Some(self.user_id), self.user_agent).await?;
        app.count_wrong_factor(ctx, tx).await
    }
}

impl Mutation for PreparedComplete {
    type Outcome = Completed;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Completed> {
        let user = tx.lock_user(self.user_id).await?;
        let mut user = user.ok_or(Reason::ChallengeInvalid)?;
        // Ended, where the password or the factor has changed since.
        if !tx.consume_challenge(self.challenge_id, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        if !may_sign_in(app, tx, &user, ctx.now).await? {
            return Err(Reason::SignInFailed.into());
        }
        let recovery_codes = match (&self.factor, &self.kept.secret) {
            (SecondFactor::Enroll(step), Some(secret)) => {
                app.enroll(ctx, tx, &mut user, (secret, *step), None).await?.recovery_codes
            }
            (SecondFactor::Enroll(_), None) => return Err(Error::Internal("a factor without a secret".to_owned())),
            (SecondFactor::Prove(checked), _) => {
                app.use_code(ctx, tx, &user, checked).await?;
                Vec::new()
            }
        };
        let (session, token) = app.begin_session(ctx, tx, &mut user, self.kept.user_agent.as_deref()).await?;
        let idle_expire_time = app.sessions.idle_expire_time(session.last_used_time, session.expire_time);
        Ok(Completed { begun: NewSession { session, token, user }, idle_expire_time, recovery_codes })
    }
}
