//! The settings of an organization: its name, its slug, the language of its mail, what it asks of members and what services keep with it.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{Access, Asked},
            context::Ctx,
            error::Result,
            mutation::Mutation,
        },
        organizations::{slugs, store_change},
        require_etag,
    },
    domain::{
        attributes::Attributes,
        error::{Reason, Refusal},
        mfa,
        slug::Slug,
        text::{Locale, OrganizationName},
    },
    store::{Organization, Tx},
};

/// Changes an organization's settings.
#[derive(Debug)]
pub(crate) struct Update {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The new name, where it changes.
    pub(crate) display_name: Option<OrganizationName>,
    /// Whether members need a second factor, where it changes.
    pub(crate) mfa_required: Option<bool>,
    /// The new language, where it changes; `Some(None)`: none any more.
    pub(crate) locale: Option<Option<Locale>>,
    /// What services keep with it, where that changes.
    pub(crate) attributes: Option<Attributes>,
    /// The new slug, where it changes; `Some(None)`: none any more.
    pub(crate) slug: Option<Option<Slug>>,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Update {
    type Outcome = Organization;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Organization> {
        let mut access = self.lock(app, ctx, tx).await?;
        require_etag(&self.etag, access.organization.changed_revision)?;
        self.decide_mfa(ctx, &access)?;
        if self.attributes.is_some() {
            ctx.require_service_for("attributes")?;
        }
        let organization = &mut access.organization;
        let settings = |organization: &Organization| {
            json!({
                "display_name": organization.display_name,
                "mfa_required": organization.mfa_required,
                "locale": organization.locale,
                "attributes": organization.attributes,
                "slug": organization.slug,
            })
        };
        let before = settings(organization);
        if let Some(name) = &self.display_name {
            organization.display_name = name.as_str().to_owned();
        }
        if let Some(required) = self.mfa_required {
            organization.mfa_required = required;
        }
        if let Some(locale) = &self.locale {
            organization.locale = locale.as_ref().map(|locale| locale.as_str().to_owned());
        }
        if let Some(attributes) = &self.attributes {
            organization.attributes = attributes.stored();
        }
        if let Some(slug) = &self.slug {
            slugs::change(ctx, tx, organization, slug.as_ref()).await?;
        }
        let after = settings(organization);
        if after != before {
            let data = json!({ "before": before, "after": after });
            store_change(ctx, tx, organization, "organization.updated", data).await?;
        }
        Ok(access.organization)
    }
}

impl Update {
    /// An organization asks for more than its access model, and never for less; and nobody asks of others what they would be shut out by themselves.
    fn decide_mfa(&self, ctx: &Ctx, access: &Access) -> Result<()> {
        let factorless = ctx.caller.user.as_ref().is_some_and(|caller| !caller.user.mfa_enabled);
        match self.mfa_required {
            Some(false) if access.model.mfa_required() => {
                Err(Refusal::new(Reason::MfaEnforced).with("access_model", access.model.id()).into())
            }
            Some(true) if factorless => Err(Refusal::new(Reason::MfaRequired).with("method", mfa::ENROLLING).into()),
            _ => Ok(()),
        }
    }
}
