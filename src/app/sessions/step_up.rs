//! A second step: a session is confirmed by a short code that comes to its user's own address (JH03).

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
        credentials::passwords::require_patience,
    },
    domain::{
        challenge::{self, MAX_ATTEMPTS, Purpose, STEP_UP_TIME, short_code},
        error::Reason,
        mail::Payload,
        session, totp,
    },
    store::{Challenge, Session, Tx},
};

impl Ctx {
    /// Whether the caller's session is confirmed by a second step. A service that calls for the session has what the session has; one that calls as the user has no
    /// session and has not.
    pub(crate) fn stepped_up(&self) -> bool {
        let session = self.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
        session.is_some_and(|session| session::stepped_up(session.step_up_expire_time, self.now))
    }
}

/// What a session is to be confirmed for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// What for.
    pub(crate) purpose: Purpose,
}

/// Sends a code to the address of the caller's own account. The code before it is dead from then on.
///
/// # Errors
/// `CALLER_NOT_ALLOWED` for a caller without a session, `TOO_MANY_ATTEMPTS`.
impl Mutation for Start {
    type Outcome = Challenge;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Challenge> {
        let (_, session_id) = ctx.require_session()?;
        let user = ctx.lock_caller(tx).await?;
        require_patience(ctx, tx, self.purpose, user.id).await?;
        let code = short_code(app.entropy.bytes());
        tx.end_challenges(user.id, &[self.purpose], ctx.now).await?;
        let challenge = Challenge {
            session_id: Some(session_id),
            ..app.new_challenge(ctx, self.purpose, Some(user.id), None, Some(code.as_bytes()))
        };
        tx.insert_challenge(challenge.clone()).await?;
        let mail = app.secret_mail(&code, &user.email, Some(&user), challenge.expire_time);
        app.queue(ctx, tx, Some(user.id), None, Payload::StepUp(mail)).await?;
        Ok(challenge)
    }
}

/// Confirms the session by the code.
#[derive(Debug)]
pub(crate) struct Complete {
    /// Which second step.
    pub(crate) step_up_id: Uuid,
    /// The code.
    pub(crate) code: SecretString,
}

/// A session whose code is right.
pub(crate) struct PreparedComplete {
    challenge_id: Uuid,
    session: Session,
}

/// Confirms the caller's session by the code that was sent for it. A wrong code counts, although the call is refused.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `CHALLENGE_INVALID` where it was not sent for this session, is used or over, or has had too many wrong answers; `CODE_INVALID`.
impl Prepare for Complete {
    type Mutation = PreparedComplete;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedComplete> {
        let (user, session_id) = ctx.require_session()?;
        let purpose = Purpose::StepUpInviteMembers;
        let found = app.store.read().challenge_of(purpose, user.id, self.step_up_id).await?;
        let found = found.filter(|found| found.session_id == Some(session_id)).ok_or(Reason::ChallengeInvalid)?;
        challenge::open(found.expire_time, found.consume_time, ctx.now)?;
        if !app.store.take_attempt(found.id, MAX_ATTEMPTS, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        if !totp::equal(&app.opened(&found)?, self.code.expose_secret().as_bytes()) {
            return Err(Reason::CodeInvalid.into());
        }
        let session = ctx.caller.user.as_ref().and_then(|caller| caller.session.clone());
        Ok(PreparedComplete { challenge_id: found.id, session: session.ok_or(Reason::ChallengeInvalid)? })
    }
}

impl Mutation for PreparedComplete {
    type Outcome = Session;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Session> {
        let (user, id) = (self.session.user_id, self.session.id);
        tx.lock_user(user).await?;
        if !tx.consume_challenge(self.challenge_id, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        let until = ctx.now + STEP_UP_TIME;
        if !tx.step_up_session(id, until).await? {
            return Err(Reason::CredentialsInvalid.into());
        }
        let data = json!({ "session_id": id, "until": until });
        tx.record_of_user(user, ctx.event("user.session_confirmed", Some(user), data)).await?;
        Ok(Session { step_up_expire_time: Some(until), ..self.session.clone() })
    }
}
