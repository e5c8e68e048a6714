//! Taking a second factor away.

use serde_json::json;
use uuid::Uuid;

use super::{Checked, Proof};
use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
        },
    },
    domain::{
        challenge::Purpose,
        error::{Reason, Refusal},
        mail::Notice,
    },
    store::Tx,
};

/// Takes the caller's second factor away.
#[derive(Debug)]
pub(crate) struct Remove {
    /// That it is they who ask.
    pub(crate) proof: Proof,
}

/// A request whose proof is right.
pub(crate) struct PreparedRemove {
    checked: Checked,
}

/// Takes the caller's second factor away, and the recovery codes.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`, `MFA_NOT_ENROLLED`, `MFA_ENFORCED` with the organization that asks for one, `CODE_INVALID`, `PASSWORD_INCORRECT`, `TOO_MANY_ATTEMPTS`.
impl Prepare for Remove {
    type Mutation = PreparedRemove;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedRemove> {
        let (user, _) = ctx.require_session()?;
        require_not_enforced(app.demanded_by(user.id, None).await?)?;
        Ok(PreparedRemove { checked: app.check_proof(ctx, user, &self.proof).await? })
    }
}

impl Mutation for PreparedRemove {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let mut user = ctx.lock_caller(tx).await?;
        if !user.mfa_enabled {
            return Err(Reason::MfaNotEnrolled.into());
        }
        require_not_enforced(app.demanded_by(user.id, Some(tx)).await?)?;
        app.use_code(ctx, tx, &user, &self.checked).await?;
        tx.remove_mfa_factor(user.id, ctx.now).await?;
        // A sign-in that waits for a code would wait for nothing.
        tx.end_challenges(user.id, &[Purpose::SignIn], ctx.now).await?;
        user.mfa_enabled = false;
        ctx.record_user(tx, &mut user, "user.mfa_removed", json!({})).await?;
        app.notify(ctx, tx, &user, Notice::MfaRemoved).await
    }
}

fn require_not_enforced(demanding: Option<Uuid>) -> Result<()> {
    match demanding {
        None => Ok(()),
        Some(organization) => {
            Err(Refusal::new(Reason::MfaEnforced).with("organization_id", organization.to_string()).into())
        }
    }
}
