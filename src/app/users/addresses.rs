//! The address of an account: changing it, and showing that it is the person's.

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
        credentials::passwords::require_patience,
        require_etag,
        users::email_taken,
    },
    domain::{
        challenge::Purpose,
        email::EmailAddress,
        error::{Reason, Refusal},
        mail::{Notice, Payload},
        token::{Token, TokenKind},
        user::UserState,
    },
    store::{StoreError, Tx, User},
};

/// What another address ends: links that were sent to the old one.
const ENDED_BY_ADDRESS: [Purpose; 3] =
    [Purpose::PasswordReset, Purpose::EmailVerification, Purpose::StepUpInviteMembers];

/// Changes the address of an account, or has the present one confirmed.
#[derive(Debug)]
pub(crate) struct Change {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// The address that it is to be.
    pub(crate) email: EmailAddress,
    /// The person's password, where they do it themselves.
    pub(crate) password: Option<SecretString>,
    /// Whether the calling service has made sure that the address is the person's.
    pub(crate) verified: bool,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked, and nothing is changed or sent.
    pub(crate) validate_only: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The user, with the address that they have now.
    pub(crate) user: User,
    /// Whether a link is on its way to the new address, without which it does not take effect.
    pub(crate) verification_sent: bool,
}

/// Who changes the address, and so when it takes effect.
pub(crate) enum PreparedChange {
    /// By a service that answers for it: at once.
    AtOnce(Change),
    /// By the person, whose password has this hash: once they have shown that the address is theirs.
    Later(Change, Option<String>),
}

/// Changes the address of an account. A service that acts for no user answers for it, and it takes effect at once; the person themselves enters their password, and
/// it takes effect when they have followed a link that goes to the new address. The old address is told. Nobody else changes it, whatever their role (JP10).
///
/// # Errors
/// `USER_NOT_FOUND`, `EMAIL_TAKEN` for a service, `PASSWORD_INCORRECT`, `TOO_MANY_ATTEMPTS`; a violation where the person gives no password.
impl Prepare for Change {
    type Mutation = PreparedChange;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedChange> {
        ctx.require_self(self.user_id)?;
        let Some(caller) = &ctx.caller.user else {
            return Ok(PreparedChange::AtOnce(self));
        };
        let Some(password) = &self.password else {
            return Err(Error::violation("password", "is required of the person themselves"));
        };
        app.require_password_of(ctx, &caller.user, password).await?;
        let verified = caller.user.password_hash.clone();
        Ok(PreparedChange::Later(self, verified))
    }
}

impl Mutation for PreparedChange {
    type Outcome = Changed;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Changed> {
        match self {
            PreparedChange::AtOnce(command) => {
                let user = tx.lock_user(command.user_id).await?.ok_or(Reason::UserNotFound)?;
                require_etag(&command.etag, user.revision)?;
                let user = take_effect(app, ctx, tx, user, &command.email, command.verified).await?;
                Ok(Changed { user, verification_sent: false })
            }
            PreparedChange::Later(command, verified) => {
                let user = ctx.lock_caller(tx).await?;
                // What was verified may be the old password by now.
                if user.password_hash != *verified {
                    return Err(Reason::PasswordIncorrect.into());
                }
                require_etag(&command.etag, user.revision)?;
                // Only the reader of its mail is told whether somebody else has the address, and nobody who guesses.
                send_link(app, ctx, tx, &user, command.email.typed(), None).await?;
                // Told now and not only afterwards, so that the reader of the old address can still prevent it.
                if user.email_key != command.email.key() {
                    app.notify(ctx, tx, &user, Notice::EmailChangeRequested).await?;
                }
                Ok(Changed { user, verification_sent: true })
            }
        }
    }

    fn validate_only(&self) -> bool {
        let (PreparedChange::AtOnce(command) | PreparedChange::Later(command, _)) = self;
        command.validate_only
    }
}

/// Sends a link to an address, by which the reader of its mail shows that it is the account's. Needs the user's lock. An earlier link ends.
///
/// # Errors
/// `TOO_MANY_ATTEMPTS`.
async fn send_link(app: &App, ctx: &Ctx, tx: &mut Tx, user: &User, address: &str, named: Option<&str>) -> Result<()> {
    let purpose = Purpose::EmailVerification;
    require_patience(ctx, tx, purpose, user.id).await?;
    let token = Token::new(TokenKind::EmailVerification, app.entropy.bytes());
    tx.end_challenges(user.id, &[purpose], ctx.now).await?;
    let challenge = app.new_challenge(ctx, purpose, Some(user.id), Some(&token), Some(address.as_bytes()));
    let mail = app.secret_mail(token.expose(), address, Some(user), challenge.expire_time);
    tx.insert_challenge(challenge).await?;
    app.queue(ctx, tx, Some(user.id), named, Payload::EmailVerification(mail)).await.map(drop)
}

/// Sends a link to the present address of an account. It changes nothing but who is known to read it, so that it takes no password.
#[derive(Debug)]
pub(crate) struct SendVerification {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// The access model of the product that asks.
    pub(crate) access_model: Option<String>,
}

impl Mutation for SendVerification {
    /// Whether a link was sent: not where the address is known to be the person's.
    type Outcome = bool;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<bool> {
        ctx.require_self(self.user_id)?;
        let user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        if user.state != UserState::Active {
            let state = user.state.as_str().to_uppercase();
            return Err(Refusal::new(Reason::UserStateConflict).with("state", state).into());
        }
        if user.email_verify_time.is_some() {
            return Ok(false);
        }
        send_link(app, ctx, tx, &user, &user.email, self.access_model.as_deref()).await?;
        Ok(true)
    }
}

/// Confirms an address by the link that came to it.
#[derive(Debug)]
pub(crate) struct Verify {
    /// The token of the link.
    pub(crate) token: SecretString,
}

impl Mutation for Verify {
    type Outcome = User;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        let invalid = || Refusal::new(Reason::ChallengeInvalid);
        let token = Token::parse(TokenKind::EmailVerification, self.token.expose_secret()).ok_or_else(invalid)?;
        let found = tx.challenge_by_digest(Purpose::EmailVerification, &token.digest()).await?.ok_or_else(invalid)?;
        let user = found.user_id.ok_or_else(invalid)?;
        let user = tx.lock_user(user).await?;
        let user = user.filter(|user| user.state == UserState::Active).ok_or_else(invalid)?;
        if !tx.consume_challenge(found.id, ctx.now).await? {
            return Err(invalid().into());
        }
        let address = String::from_utf8(app.opened(&found)?.to_vec()).unwrap_or_default();
        let email = EmailAddress::parse(&address)
            .map_err(|flaw| Error::Internal(format!("the address of a challenge {flaw}")))?;
        take_effect(app, ctx, tx, user, &email, true).await
    }
}

/// Gives the account the address. Sessions stay, and so does every way in: following a link chooses no password. The first reset by a link removes them (ab_34).
async fn take_effect(
    app: &App,
    ctx: &Ctx,
    tx: &mut Tx,
    old: User,
    email: &EmailAddress,
    verified: bool,
) -> Result<User> {
    if old.state == UserState::Deleted {
        return Err(Refusal::new(Reason::UserStateConflict).with("state", "DELETED").into());
    }
    let moved = old.email_key != email.key();
    let other = tx.user_by_email(email.key()).await?;
    if other.is_some_and(|other| other.id != old.id) {
        return Err(email_taken());
    }
    let verify_time = match (verified, moved) {
        (true, _) => Some(ctx.now),
        (false, true) => None,
        (false, false) => old.email_verify_time,
    };
    if email.typed() == old.email && verify_time.is_some() == old.email_verify_time.is_some() {
        return Ok(old);
    }
    let mut user = User {
        email: email.typed().to_owned(),
        email_key: email.key().to_owned(),
        email_verify_time: verify_time,
        // Another mailbox, perhaps another person: what was shown for the old one says nothing of who reads this one (ab_34).
        proof_time: old.proof_time.filter(|_| !moved),
        ..old.clone()
    };
    let data = json!({ "before": { "email": old.email }, "after": { "email": user.email } });
    match ctx.record_user(tx, &mut user, "user.email_changed", data).await {
        Ok(()) => {}
        // Another transaction added the address since we looked.
        Err(StoreError::Duplicate(_)) => return Err(email_taken()),
        Err(error) => return Err(error.into()),
    }
    if moved {
        tx.end_challenges(old.id, &ENDED_BY_ADDRESS, ctx.now).await?;
        app.notify(ctx, tx, &old, Notice::EmailChanged).await?;
    }
    Ok(user)
}
