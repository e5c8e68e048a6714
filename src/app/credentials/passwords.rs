//! Passwords: changing one's own, and choosing a new one by a link in a mail.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            caller::UserCaller,
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
        credentials::{
            attempts::{Account, Pass},
            challenges::{has_asked_enough, too_many},
            chosen_password::ChosenPassword,
        },
    },
    domain::{
        challenge::{Purpose, REQUEST_WINDOW},
        email::EmailAddress,
        error::{Reason, Refusal},
        mail::{Notice, Payload},
        password, session,
        token::{Token, TokenKind},
        user::UserState,
    },
    platform::hashing::{Hasher, Verdict},
    store::{LinkedIdentity, Tx, User},
};

impl Ctx {
    /// The user who calls or for whom a service calls.
    ///
    /// # Errors
    /// `CALLER_NOT_ALLOWED` for a service that acts for no user.
    pub(crate) fn require_user(&self) -> Result<&UserCaller> {
        let user = self.caller.user.as_ref();
        Ok(user.ok_or_else(|| self.not_allowed())?)
    }

    /// The caller's session, which this is about.
    ///
    /// # Errors
    /// `CALLER_NOT_ALLOWED` for a caller without one: a service that acts for no user, or as one.
    pub(crate) fn require_session(&self) -> Result<(&User, Uuid)> {
        let session = self.caller.user.as_ref().and_then(|user| Some((&user.user, user.session.as_ref()?.id)));
        Ok(session.ok_or_else(|| self.not_allowed())?)
    }

    /// Refuses a caller whose session began too long ago to give the account another way in.
    ///
    /// # Errors
    /// `SESSION_NOT_RECENT`.
    pub(crate) fn require_recent_sign_in(&self) -> Result<()> {
        Ok(session::require_recent(self.session().map_or(self.now, |session| session.create_time), self.now)?)
    }

    /// Locks the user who calls, and proves that the call is still theirs: the account is in use and the session has not ended, as both are now. A call that was at
    /// work while a new password ended the sessions changes nothing after it (ab_20).
    ///
    /// # Errors
    /// `CREDENTIALS_INVALID`; `CALLER_NOT_ALLOWED` as [`Self::require_user`].
    pub(crate) async fn lock_caller(&self, tx: &mut Tx) -> Result<User> {
        let caller = self.require_user()?;
        let user = tx.lock_user(caller.user.id).await?;
        let user = user.filter(|user| user.state == UserState::Active);
        let user = user.ok_or(Reason::CredentialsInvalid)?;
        if let Some(session) = &caller.session {
            // Only now: read before the lock, it could be one that was ended while we waited.
            if !tx.session_stands(session.id).await? {
                return Err(Reason::CredentialsInvalid.into());
            }
        }
        Ok(user)
    }

    fn not_allowed(&self) -> Refusal {
        Refusal::new(Reason::CallerNotAllowed).with("method", self.rule.method)
    }
}

impl App {
    /// Compares what was typed with a stored hash: first in the form that Roster hashes, and then, where it is another, as it was typed, since a hash that was
    /// brought from another system may have been made of that. What matches only as typed is outdated. Without a stored hash it is a mismatch, for the same work:
    /// how often is compared follows from what was typed, and from nothing else.
    ///
    /// # Errors
    /// Overloaded, where too many are hashing.
    pub(crate) async fn compare(
        &self,
        hasher: &Hasher,
        typed: &SecretString,
        stored: Option<&String>,
    ) -> Result<Verdict> {
        let normal = password::normalize(typed.expose_secret());
        let verdict = hasher.verify(SecretString::from(normal.as_str()), stored.cloned());
        let verdict = verdict.await?;
        if normal.as_str() == typed.expose_secret() {
            return Ok(verdict);
        }
        let raw = hasher.verify(typed.clone(), stored.cloned()).await?;
        Ok(match (verdict, raw) {
            (Verdict::Mismatch, Verdict::Match { .. }) => Verdict::Match { outdated: true },
            (verdict, _) => verdict,
        })
    }

    /// Proves that a password is the present one of the user who calls. Without one it is not, for the same work. A wrong one counts, although the call is refused.
    ///
    /// # Errors
    /// `PASSWORD_INCORRECT`, `TOO_MANY_ATTEMPTS`; overloaded, where too many are hashing.
    pub(crate) async fn require_password_of(&self, ctx: &Ctx, user: &User, typed: &SecretString) -> Result<()> {
        let pass = self.pass(ctx, Account::Session(user.id), Some(user.id)).await?;
        let hasher = self.hasher(ctx, user.id.as_u128());
        let verdict = self.compare(&hasher, typed, user.password_hash.as_ref()).await?;
        let right = matches!(verdict, Verdict::Match { .. });
        if right && !pass.is_counted() {
            return Ok(());
        }
        self.run(ctx, &Count { pass: &pass, right }).await?;
        match right {
            true => Ok(()),
            false => Err(Reason::PasswordIncorrect.into()),
        }
    }

    /// The hash of a password that a user has chosen for themselves.
    ///
    /// # Errors
    /// Those of [`App::hash_chosen`].
    async fn hash_own(&self, ctx: &Ctx, user: &User, chosen: &ChosenPassword) -> Result<String> {
        let mut words = vec![user.email.as_str(), &user.given_name, &user.family_name];
        words.extend(user.username.as_deref());
        words.extend(user.display_name.as_deref());
        self.hash_chosen(ctx, chosen, &words).await
    }
}

/// Counts a password that was typed by whom we know already.
struct Count<'a> {
    pass: &'a Pass,
    right: bool,
}

impl Mutation for Count<'_> {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        match self.right {
            true => app.count_right(tx, self.pass).await,
            false => app.count_wrong(ctx, tx, self.pass).await,
        }
    }
}

/// Changes one's own password.
#[derive(Debug)]
pub(crate) struct ChangePassword {
    /// The present password.
    pub(crate) old: SecretString,
    /// The new one.
    pub(crate) new: ChosenPassword,
}

/// A new password, hashed, of somebody who knew the present one.
pub(crate) struct PreparedChange {
    /// The session that goes on.
    session: Option<Uuid>,
    verified: Option<String>,
    hash: String,
}

/// Changes one's own password. Every other session ends, and so does what was begun and not finished: sign-ins, links to choose a new password, a change of the address, a
/// second factor. The person is told by mail.
///
/// # Errors
/// `PASSWORD_INCORRECT`, `CALLER_NOT_ALLOWED`; overloaded, where too many are hashing.
impl Prepare for ChangePassword {
    type Mutation = PreparedChange;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedChange> {
        let caller = ctx.require_user()?;
        app.require_password_of(ctx, &caller.user, &self.old).await?;
        Ok(PreparedChange {
            session: caller.session.as_ref().map(|session| session.id),
            verified: caller.user.password_hash.clone(),
            hash: app.hash_own(ctx, &caller.user, &self.new).await?,
        })
    }
}

impl Mutation for PreparedChange {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let mut user = ctx.lock_caller(tx).await?;
        // What was verified may be the old password by now.
        if user.password_hash != self.verified {
            return Err(Reason::PasswordIncorrect.into());
        }
        user.password_hash = Some(self.hash.clone());
        ctx.record_user(tx, &mut user, "user.password_changed", json!({})).await?;
        tx.end_challenges(user.id, &[Purpose::PasswordReset], ctx.now).await?;
        ctx.end_sessions(tx, user.id, self.session).await?;
        app.notify(ctx, tx, &user, Notice::PasswordChanged).await
    }
}

/// Asks for a link to choose a new password.
#[derive(Debug)]
pub(crate) struct RequestReset {
    /// The address of the account.
    pub(crate) email: EmailAddress,
    /// The access model of the product whose page asks.
    pub(crate) access_model: Option<String>,
}

impl Mutation for RequestReset {
    type Outcome = ();

    /// An address that is nobody's, and one that has been sent enough links for now, get the same answer for the same work (ab_15): the same rows are written, and
    /// taken out again in the same commit.
    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let found = tx.user_by_email(self.email.key()).await?;
        // Nobody is locked by the same statement, where there is nobody.
        let user = tx.lock_user(found.map(|user| user.id).unwrap_or_default()).await?;
        let user = user.filter(|user| user.state == UserState::Active && user.email_key == self.email.key());
        let known = user.as_ref().map(|user| user.id);
        let enough = has_asked_enough(ctx, tx, Purpose::PasswordReset, known.unwrap_or_default()).await?;
        let token = Token::new(TokenKind::PasswordReset, app.entropy.bytes());
        let challenge = app.new_challenge(ctx, Purpose::PasswordReset, known, Some(&token), None);
        let to = user.as_ref().map_or(self.email.typed(), |user| user.email.as_str());
        let mail = app.secret_mail(token.expose(), to, user.as_ref(), challenge.expire_time);
        let mut pointless = challenge.id;
        tx.insert_challenge(challenge).await?;
        let named = self.access_model.as_deref();
        let mut unsent = app.queue(ctx, tx, known, named, Payload::PasswordReset(mail)).await?;
        if known.is_some() && !enough {
            (pointless, unsent) = (Uuid::nil(), Uuid::nil());
        }
        tx.delete_challenge(pointless).await?;
        tx.delete_message(unsent).await?;
        Ok(())
    }
}

/// Chooses a new password by a link in a mail.
#[derive(Debug)]
pub(crate) struct Reset {
    /// The token of the link.
    pub(crate) token: SecretString,
    /// The new password.
    pub(crate) new: ChosenPassword,
}

/// A new password, hashed, for whoever showed an open link.
pub(crate) struct PreparedReset {
    challenge_id: Uuid,
    user_id: Uuid,
    hash: String,
}

/// Chooses a new password by a link in a mail. Every session ends, and no new one begins: who has a second factor still needs it (ab_20). The link came to the
/// account's address, which is thereby shown to be the person's; where they choose a password by a link for the first time, what others may have planted goes. Its owner is told by
/// mail.
///
/// # Errors
/// `CHALLENGE_INVALID`; overloaded, where too many are hashing.
impl Prepare for Reset {
    type Mutation = PreparedReset;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedReset> {
        // Looked at before the transaction, so that a token that is none costs no password hash.
        let (challenge, user_id) = app
            .shown_challenge(ctx, Purpose::PasswordReset, TokenKind::PasswordReset, self.token.expose_secret())
            .await?;
        let user = app.store.read().user(user_id).await?.ok_or(Reason::ChallengeInvalid)?;
        Ok(PreparedReset { challenge_id: challenge.id, user_id, hash: app.hash_own(ctx, &user, &self.new).await? })
    }
}

impl Mutation for PreparedReset {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let user = tx.lock_user(self.user_id).await?;
        let mut user = user.filter(|user| user.state == UserState::Active).ok_or(Reason::ChallengeInvalid)?;
        if !tx.consume_challenge(self.challenge_id, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        user.password_hash = Some(self.hash.clone());
        user.email_verify_time = user.email_verify_time.or(Some(ctx.now));
        let proven_before = user.proof_time.replace(user.proof_time.unwrap_or(ctx.now));
        ctx.record_user(tx, &mut user, "user.password_reset", json!({})).await?;
        if proven_before.is_none() {
            take_planted_away(app, ctx, tx, &mut user).await?;
        }
        tx.end_challenges(user.id, &[Purpose::PasswordReset], ctx.now).await?;
        ctx.end_sessions(tx, user.id, None).await?;
        app.begin_anew(ctx, tx, &user).await?;
        app.notify(ctx, tx, &user, Notice::PasswordReset).await
    }
}

/// Takes every other way into an account away for which somebody has just chosen a password by a link for the first time: whoever made the account for that address may have left an
/// identity or a second factor of theirs in it, to come back by or to keep its owner out (ab_34). It does not ask who has answered for the address: that says who reads its mail, and
/// not who had the password.
async fn take_planted_away(app: &App, ctx: &Ctx, tx: &mut Tx, user: &mut User) -> Result<()> {
    let identities = tx.identities_of(user.id).await?;
    for linked in &identities {
        tx.delete_identity(linked.id).await?;
        ctx.record_user(tx, user, "user.identity_unlinked", described(linked)).await?;
    }
    if !identities.is_empty() {
        app.notify(ctx, tx, user, Notice::IdentityUnlinked).await?;
    }
    if user.mfa_enabled {
        tx.remove_mfa_factor(user.id, ctx.now).await?;
        user.mfa_enabled = false;
        ctx.record_user(tx, user, "user.mfa_removed", json!({})).await?;
        app.notify(ctx, tx, user, Notice::MfaRemoved).await?;
    }
    Ok(())
}

/// What an event tells of an identity.
pub(crate) fn described(linked: &LinkedIdentity) -> Value {
    json!({ "identity_id": linked.id, "issuer": linked.issuer, "subject": linked.subject })
}

/// Refuses somebody who has asked for enough of these lately. Needs the user's lock.
///
/// # Errors
/// `TOO_MANY_ATTEMPTS`.
pub(crate) async fn require_patience(ctx: &Ctx, tx: &Tx, purpose: Purpose, user: Uuid) -> Result<()> {
    match has_asked_enough(ctx, tx, purpose, user).await? {
        true => Err(too_many(REQUEST_WINDOW).into()),
        false => Ok(()),
    }
}
