//! Many invitations by one call.

use uuid::Uuid;

use super::{Create, Issued};
use crate::{
    app::{
        App,
        call::{
            access::Asked,
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
        },
        mail::budgets::MailPermits,
    },
    domain::{error::Refusal, scope},
    store::Tx,
};

/// Invites many addresses at once.
#[derive(Debug)]
pub(crate) struct CreateBatch {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Whom.
    pub(crate) invitations: Vec<Create>,
    /// Whether the caller wants the links.
    pub(crate) include_links: bool,
    /// Whether everything is checked and nobody is invited.
    pub(crate) validate_only: bool,
}

/// What became of each address, and the organization's revision afterwards.
#[derive(Debug)]
pub(crate) struct IssuedBatch {
    /// In the order asked for.
    pub(crate) results: Vec<std::result::Result<Issued, Refusal>>,
    /// The organization's revision afterwards.
    pub(crate) revision: i64,
}

impl Mutation for CreateBatch {
    type Outcome = IssuedBatch;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<IssuedBatch> {
        if self.include_links {
            ctx.require_scope(scope::INVITATION_LINK)?;
        }
        let mut access = self.lock(app, ctx, tx).await?;
        let (mut results, mut permits) = (Vec::new(), MailPermits::default());
        for one in &self.invitations {
            results.push(match one.invite(app, ctx, tx, &mut access, &mut permits).await {
                Ok(issued) => Ok(issued),
                Err(Error::Refused(refusal)) => Err(refusal),
                // Not about this address: nothing of the batch happens.
                Err(error) => return Err(error),
            });
        }
        Ok(IssuedBatch { results, revision: access.organization.revision })
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}
