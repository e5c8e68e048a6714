//! Slugs of organizations: taken, given up, and looked up.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access,
            context::Ctx,
            error::{Error, Result},
        },
    },
    domain::{
        error::{Reason, Refusal},
        slug::{MOST_FORMER, RELEASE, Slug},
    },
    store::{Organization, StoreError, Tx},
};

/// Gives an organization another slug, or none; the former one leads to it for a while. Needs the organization's lock, and leaves its row to be stored.
///
/// # Errors
/// `SLUG_TAKEN`.
pub(super) async fn change(ctx: &Ctx, tx: &mut Tx, organization: &mut Organization, slug: Option<&Slug>) -> Result<()> {
    let slug = slug.map(Slug::as_str);
    if organization.slug.as_deref() == slug {
        return Ok(());
    }
    if let Some(former) = &organization.slug {
        tx.give_up_slug(former, organization.id, ctx.now + RELEASE, MOST_FORMER).await?;
    }
    if let Some(slug) = slug {
        tx.take_slug(slug, organization.id, ctx.now).await.map_err(|error| match error {
            StoreError::Duplicate(_) => {
                Error::from(Refusal::new(Reason::SlugTaken).with("hint", "choose another slug"))
            }
            other => other.into(),
        })?;
    }
    organization.slug = slug.map(str::to_owned);
    Ok(())
}

/// Where a slug leads.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Its present slug.
    pub(crate) slug: Option<String>,
}

/// The organization that a slug leads to, for those who belong to it and for services.
///
/// # Errors
/// `ORGANIZATION_NOT_FOUND`, and those of [`access::enter_as_member`].
pub(crate) async fn lookup(app: &App, ctx: &Ctx, slug: Slug) -> Result<Lookup> {
    let found = app.store.read().organization_of_slug(slug.as_str(), ctx.now).await?;
    let organization =
        access::enter_as_member(app, ctx, found.ok_or(Reason::OrganizationNotFound)?).await?.organization;
    Ok(Lookup { organization_id: organization.id, slug: organization.slug })
}
