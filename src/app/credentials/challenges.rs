//! Secrets that are used once: made here, found by what their holder shows, and used by their user.

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
        },
    },
    domain::{
        challenge::{self, MAX_REQUESTS, Purpose, REQUEST_WINDOW},
        error::{Reason, Refusal},
        token::{Token, TokenKind},
    },
    store::{Challenge, Tx},
};

impl App {
    /// A secret for a user, or for an address that is nobody's. `token` is what its holder shows, `data` what only the server reads again.
    pub(crate) fn new_challenge(
        &self,
        ctx: &Ctx,
        purpose: Purpose,
        user: Option<Uuid>,
        token: Option<&Token>,
        data: Option<&[u8]>,
    ) -> Challenge {
        let id = self.entropy.uuid(ctx.now);
        Challenge {
            id,
            user_id: user,
            session_id: None,
            purpose,
            digest: token.map(|token| token.digest().to_vec()),
            sealed: data.map(|data| self.keyring.seal(&self.entropy, id.as_bytes(), data)),
            attempts: 0,
            create_time: ctx.now,
            expire_time: ctx.now + purpose.lifetime(),
            consume_time: None,
        }
    }

    /// The secret that a token shows, and whose it is; it can still be used now.
    ///
    /// # Errors
    /// `CHALLENGE_INVALID`, whatever is wrong with it.
    pub(crate) async fn shown_challenge(
        &self,
        ctx: &Ctx,
        purpose: Purpose,
        kind: TokenKind,
        token: &str,
    ) -> Result<(Challenge, Uuid)> {
        let token = Token::parse(kind, token).ok_or(Reason::ChallengeInvalid)?;
        let found = self.store.read().challenge_by_digest(purpose, &token.digest()).await?;
        let found = found.ok_or(Reason::ChallengeInvalid)?;
        challenge::open(found.expire_time, found.consume_time, ctx.now)?;
        let user = found.user_id.ok_or(Reason::ChallengeInvalid)?;
        Ok((found, user))
    }

    /// What a secret holds sealed.
    ///
    /// # Errors
    /// Internal, where it holds nothing or the key is lost.
    pub(crate) fn opened(&self, challenge: &Challenge) -> Result<Zeroizing<Vec<u8>>> {
        let sealed = challenge.sealed.as_deref();
        let sealed = sealed.ok_or_else(|| Error::Internal(format!("the challenge {} holds nothing", challenge.id)))?;
        Ok(self.keyring.open(challenge.id.as_bytes(), sealed)?)
    }
}

/// Whether a user has been given so many secrets of a purpose lately that there are no more for now. Needs the user's lock: many who ask at once would each find room for one
/// more (ab_25).
///
/// # Errors
/// The database's.
pub(crate) async fn has_asked_enough(ctx: &Ctx, tx: &Tx, purpose: Purpose, user: Uuid) -> Result<bool> {
    let asked = tx.count_challenges(purpose, user, ctx.now - REQUEST_WINDOW).await?;
    Ok(asked >= MAX_REQUESTS)
}

/// The refusal of one request or attempt too many.
pub(crate) fn too_many(window: chrono::Duration) -> Refusal {
    Refusal::new(Reason::TooManyAttempts).with("retry_after_seconds", window.num_seconds().to_string())
}
