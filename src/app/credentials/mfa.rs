//! Second factors: setting one up, using it, taking it away, and the codes that stand in for it.

pub(crate) mod removal;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
        credentials::challenges::too_many,
    },
    domain::{
        challenge::{self, MAX_ATTEMPTS, Purpose},
        error::{Reason, Refusal},
        mail::Notice,
        mfa::{
            self, FAILURE_WINDOW, FactorKind, MAX_FAILURES, MAX_FAILURES_IN_ROW, RECOVERY_CODES, TELL_AFTER,
            recovery_code, recovery_digest,
        },
        totp,
    },
    store::{Challenge, MfaFactor, Tx, User},
};

/// What somebody shows for the second factor.
#[derive(Debug)]
pub(crate) enum Code {
    /// A code of the authenticator app.
    Totp(SecretString),
    /// A recovery code.
    Recovery(SecretString),
}

/// What somebody shows before their second factor is changed.
#[derive(Debug)]
pub(crate) enum Proof {
    /// A code.
    Code(Code),
    /// The password.
    Password(SecretString),
}

/// A code that was looked at, and is used when the transaction gets there.
pub(crate) enum Checked {
    /// It is of this time step.
    Step(Uuid, i64),
    /// It has this digest.
    Recovery(Vec<u8>),
    /// It was the password, of which this is the hash: there is nothing to use up.
    Password(Option<String>),
}

/// A factor that is being set up: what the authenticator app needs, to be shown once.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The secret in base32.
    pub(crate) secret: Zeroizing<String>,
    /// The same as an address for a picture.
    pub(crate) uri: Zeroizing<String>,
}

/// A second factor with its recovery codes, which are shown once.
#[derive(Debug)]
pub(crate) struct Enrolled {
    /// The factor.
    pub(crate) factor: MfaFactor,
    /// The codes.
    pub(crate) recovery_codes: Vec<Zeroizing<String>>,
}

/// Ids and digests of recovery codes, as they rest.
type StoredCodes = Vec<(Uuid, Vec<u8>)>;

impl App {
    /// The secret of a new factor.
    pub(crate) fn new_secret(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.entropy.bytes::<{ totp::SECRET_LEN }>().to_vec())
    }

    /// What the authenticator app of a user needs for a secret.
    pub(crate) fn setup(&self, user: &User, secret: &[u8]) -> Setup {
        Setup { secret: totp::base32(secret), uri: totp::provisioning_uri(secret, &self.mfa_issuer, &user.email) }
    }

    fn recovery_codes(&self, ctx: &Ctx, user: Uuid) -> (Vec<Zeroizing<String>>, StoredCodes) {
        let code = |_| recovery_code(self.entropy.bytes());
        let shown: Vec<Zeroizing<String>> = (0..RECOVERY_CODES).map(code).collect();
        let stored = shown.iter().map(|code| (self.entropy.uuid(ctx.now), recovery_digest(user, code)));
        let stored = stored.collect();
        (shown, stored)
    }

    /// Whether any organization that a user is an active member of asks for a second factor: the first one found.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn demanded_by(&self, user: Uuid, tx: Option<&Tx>) -> Result<Option<Uuid>> {
        let demands = match tx {
            Some(tx) => tx.mfa_demands(user).await?,
            None => self.store.read().mfa_demands(user).await?,
        };
        let demanding = demands.into_iter().find(|(_, model, required)| {
            let model = self.models.get(model);
            *required || model.is_some_and(|model| mfa::enforced(&model, false))
        });
        Ok(demanding.map(|(organization, ..)| organization))
    }

    /// Looks at a code, before any transaction. It counts as tried, whatever comes of the call.
    ///
    /// # Errors
    /// `MFA_NOT_ENROLLED`, `TOO_MANY_ATTEMPTS`, `SECOND_FACTOR_EXHAUSTED`, `CODE_INVALID`.
    pub(crate) async fn check_code(&self, ctx: &Ctx, user: Uuid, code: &Code) -> Result<Checked> {
        let factor = self.store.read().mfa_factor(user).await?;
        let factor = factor.ok_or(Reason::MfaNotEnrolled)?;
        if factor.failures_in_row >= MAX_FAILURES_IN_ROW {
            return Err(Refusal::new(Reason::SecondFactorExhausted)
                .with("hint", "choose a new password by a link")
                .into());
        }
        let most = (MAX_FAILURES, MAX_FAILURES_IN_ROW);
        let since = ctx.now - FAILURE_WINDOW;
        let store = &self.store;
        if !store.take_mfa_attempt(factor.id, most, since, ctx.now).await? {
            return Err(too_many(FAILURE_WINDOW).into());
        }
        self.warn_of_wrong_codes(ctx, user, &factor).await?;
        match code {
            Code::Recovery(typed) => Ok(Checked::Recovery(recovery_digest(user, typed.expose_secret()))),
            Code::Totp(typed) => {
                let secret = self.keyring.open(factor.id.as_bytes(), &factor.sealed_secret)?;
                let step = totp::matching_step(&secret, typed.expose_secret(), ctx.now, factor.last_step);
                Ok(Checked::Step(factor.id, step.ok_or(Reason::CodeInvalid)?))
            }
        }
    }

    /// Uses a code that was looked at. Of several calls that show the same one, one gets through (ab_21, ab_22).
    ///
    /// # Errors
    /// `CODE_INVALID`; `PASSWORD_INCORRECT` where the password has changed since it was looked at.
    pub(crate) async fn use_code(&self, ctx: &Ctx, tx: &mut Tx, user: &User, checked: &Checked) -> Result<()> {
        let used = match checked {
            Checked::Step(factor, step) => tx.use_totp_step(*factor, *step, ctx.now).await?,
            Checked::Recovery(digest) => tx.use_recovery_code(user.id, digest, ctx.now).await?,
            Checked::Password(verified) if user.password_hash != *verified => {
                return Err(Reason::PasswordIncorrect.into());
            }
            Checked::Password(_) => true,
        };
        if !used {
            return Err(Reason::CodeInvalid.into());
        }
        match checked {
            Checked::Recovery(_) => self.notify(ctx, tx, user, Notice::RecoveryCodeUsed).await,
            Checked::Step(..) | Checked::Password(_) => Ok(()),
        }
    }

    /// Tells the owner of an account, now and then, that somebody has their password and is guessing at their second factor.
    async fn warn_of_wrong_codes(&self, ctx: &Ctx, user: Uuid, factor: &MfaFactor) -> Result<()> {
        // Those before this one, which is not known to be wrong yet.
        if ![TELL_AFTER, MAX_FAILURES_IN_ROW - 1].contains(&factor.failures_in_row) {
            return Ok(());
        }
        match self.store.read().user(user).await? {
            Some(user) => self.run(ctx, &Warn { user }).await,
            None => Ok(()),
        }
    }

    async fn check_proof(&self, ctx: &Ctx, user: &User, proof: &Proof) -> Result<Checked> {
        if !user.mfa_enabled {
            return Err(Reason::MfaNotEnrolled.into());
        }
        match proof {
            Proof::Code(code) => self.check_code(ctx, user.id, code).await,
            Proof::Password(typed) => {
                self.require_password_of(ctx, user, typed).await?;
                Ok(Checked::Password(user.password_hash.clone()))
            }
        }
    }

    /// Gives a user a second factor whose code of this step they have shown. Sessions that were made without one end; `spared` goes on. Needs the user's lock.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn enroll(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        user: &mut User,
        (secret, step): (&[u8], i64),
        spared: Option<Uuid>,
    ) -> Result<Enrolled> {
        let id = self.entropy.uuid(ctx.now);
        let factor = MfaFactor {
            id,
            user_id: user.id,
            kind: FactorKind::Totp,
            sealed_secret: self.keyring.seal(&self.entropy, id.as_bytes(), secret),
            // The code that confirmed it is used by that.
            last_step: Some(step),
            failures: 0,
            failures_since: ctx.now,
            failures_in_row: 0,
            create_time: ctx.now,
            last_used_time: Some(ctx.now),
        };
        let (recovery_codes, stored) = self.recovery_codes(ctx, user.id);
        tx.set_mfa_factor(factor.clone(), stored).await?;
        user.mfa_enabled = true;
        ctx.record_user(tx, user, "user.mfa_enabled", json!({ "kind": factor.kind.as_str() })).await?;
        ctx.end_sessions(tx, user.id, spared).await?;
        self.notify(ctx, tx, user, Notice::MfaEnabled).await?;
        Ok(Enrolled { factor, recovery_codes })
    }
}

/// Tells the owner of an account of wrong codes.
struct Warn {
    user: User,
}

impl Mutation for Warn {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        app.notify(ctx, tx, &self.user, Notice::WrongCodes).await
    }
}

/// Begins to set up a second factor.
#[derive(Debug)]
pub(crate) struct Begin;

/// A factor that waits for its first code.
#[derive(Debug)]
pub(crate) struct StartedEnrollment {
    /// The challenge that the code answers.
    pub(crate) challenge: Challenge,
    /// What the authenticator app needs.
    pub(crate) setup: Setup,
}

/// Begins to set up a second factor for the caller. It counts for nothing until a code of it has been shown.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `SESSION_NOT_RECENT`, `MFA_ALREADY_ENROLLED`.
impl Mutation for Begin {
    type Outcome = StartedEnrollment;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<StartedEnrollment> {
        ctx.require_session()?;
        ctx.require_recent_sign_in()?;
        let user = ctx.lock_caller(tx).await?;
        if user.mfa_enabled {
            return Err(Reason::MfaAlreadyEnrolled.into());
        }
        let secret = app.new_secret();
        let purpose = Purpose::MfaEnrollment;
        tx.end_challenges(user.id, &[purpose], ctx.now).await?;
        let challenge = app.new_challenge(ctx, purpose, Some(user.id), None, Some(secret.as_slice()));
        tx.insert_challenge(challenge.clone()).await?;
        Ok(StartedEnrollment { setup: app.setup(&user, &secret), challenge })
    }
}

/// Confirms a second factor by a code of it.
#[derive(Debug)]
pub(crate) struct Confirm {
    /// The challenge.
    pub(crate) enrollment_id: Uuid,
    /// The code.
    pub(crate) code: SecretString,
}

/// A factor of which a right code was shown.
pub(crate) struct PreparedConfirm {
    challenge_id: Uuid,
    session_id: Uuid,
    secret: Zeroizing<Vec<u8>>,
    step: i64,
}

/// Confirms the caller's second factor by a code of it. Every other session of theirs ends: who has a factor has only sessions that were made with it, or this one.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `CHALLENGE_INVALID`, `CODE_INVALID`, `MFA_ALREADY_ENROLLED`.
impl Prepare for Confirm {
    type Mutation = PreparedConfirm;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedConfirm> {
        let (user, session_id) = ctx.require_session()?;
        let view = app.store.read();
        let found = view.challenge_of(Purpose::MfaEnrollment, user.id, self.enrollment_id).await?;
        let found = found.ok_or(Reason::ChallengeInvalid)?;
        challenge::open(found.expire_time, found.consume_time, ctx.now)?;
        if !app.store.take_attempt(found.id, MAX_ATTEMPTS, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        let secret = app.opened(&found)?;
        let step = totp::matching_step(&secret, self.code.expose_secret(), ctx.now, None);
        Ok(PreparedConfirm { challenge_id: found.id, session_id, step: step.ok_or(Reason::CodeInvalid)?, secret })
    }
}

impl Mutation for PreparedConfirm {
    type Outcome = Enrolled;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Enrolled> {
        let mut user = ctx.lock_caller(tx).await?;
        if user.mfa_enabled {
            return Err(Reason::MfaAlreadyEnrolled.into());
        }
        if !tx.consume_challenge(self.challenge_id, ctx.now).await? {
            return Err(Reason::ChallengeInvalid.into());
        }
        app.enroll(ctx, tx, &mut user, (&self.secret, self.step), Some(self.session_id)).await
    }
}

/// Gives the caller new recovery codes in place of the old ones.
#[derive(Debug)]
pub(crate) struct Regenerate {
    /// That it is they who ask.
    pub(crate) proof: Proof,
}

/// A request whose proof is right.
pub(crate) struct PreparedRegenerate {
    checked: Checked,
}

/// Gives the caller new recovery codes in place of the old ones, which are dead from then on.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `MFA_NOT_ENROLLED`, `CODE_INVALID`, `PASSWORD_INCORRECT`, `TOO_MANY_ATTEMPTS`.
impl Prepare for Regenerate {
    type Mutation = PreparedRegenerate;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedRegenerate> {
        let (user, _) = ctx.require_session()?;
        Ok(PreparedRegenerate { checked: app.check_proof(ctx, user, &self.proof).await? })
    }
}

impl Mutation for PreparedRegenerate {
    type Outcome = Vec<Zeroizing<String>>;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut user = ctx.lock_caller(tx).await?;
        if !user.mfa_enabled {
            return Err(Reason::MfaNotEnrolled.into());
        }
        app.use_code(ctx, tx, &user, &self.checked).await?;
        let (shown, stored) = app.recovery_codes(ctx, user.id);
        tx.set_recovery_codes(user.id, stored, ctx.now).await?;
        ctx.record_user(tx, &mut user, "user.recovery_codes_replaced", json!({})).await?;
        app.notify(ctx, tx, &user, Notice::RecoveryCodesReplaced).await?;
        Ok(shown)
    }
}

/// What a user has for a second factor.
#[derive(Debug)]
pub(crate) struct Factors {
    /// The factors.
    pub(crate) factors: Vec<MfaFactor>,
    /// How many recovery codes are left.
    pub(crate) recovery_codes_left: u64,
}

/// The second factors of a user; no secret of them.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list(app: &App, ctx: &Ctx, user: Uuid) -> Result<Factors> {
    ctx.require_self(user)?;
    let view = app.store.read();
    view.user(user).await?.ok_or(Reason::UserNotFound)?;
    Ok(Factors {
        factors: view.mfa_factor(user).await?.into_iter().collect(),
        recovery_codes_left: view.count_recovery_codes(user).await?,
    })
}
