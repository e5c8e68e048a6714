//! Who has a permission.

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            paging::Page,
        },
        members::{self, List},
    },
    domain::{
        access_model::RoleId,
        member::{DenyReason, MembershipFacts, deny_reason},
        mfa,
        user::UserState,
    },
    store::{Profile, RosterRow},
};

/// Somebody whose roles give the permission.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The user.
    pub(crate) user: Profile,
    /// The roles that give it.
    pub(crate) roles: Vec<RoleId>,
    /// What keeps the user from using it all the same.
    pub(crate) deny_reason: Option<DenyReason>,
}

/// A page of those who have a permission.
#[derive(Debug)]
pub(crate) struct Holders {
    /// The page.
    pub(crate) page: Page<Holder>,
    /// The roles that give it.
    pub(crate) roles: Vec<RoleId>,
    /// The revision that the answer holds for.
    pub(crate) revision: i64,
}

/// Lists who has a permission in an organization. `query` names the permission, and active members only.
///
/// # Errors
/// Those of [`crate::app::call::access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Holders> {
    let (access, page, _) = members::read(app, ctx, &query).await?;
    let permission =
        query.permission.as_ref().ok_or_else(|| Error::Internal("a list of holders names no permission".to_owned()))?;
    let (organization, model) = (&access.organization, &access.model);
    let factor_asked = mfa::enforced(model, organization.mfa_required);
    let holder = |row| {
        let RosterRow::Member(member, user) = row else { return None };
        let facts = MembershipFacts {
            organization: organization.state,
            member: (user.state == UserState::Active).then_some(member.state),
            session_outdated: false,
            factor_missing: factor_asked && !user.mfa_enabled,
        };
        let roles = model.granting(&member.roles, permission.as_str());
        Some(Holder { roles, deny_reason: deny_reason(facts), user })
    };
    let Page { items, next_page_token, total_size } = page;
    let page = Page { items: items.into_iter().filter_map(holder).collect(), next_page_token, total_size };
    Ok(Holders { page, roles: access.roles_with(permission.as_str()), revision: organization.revision })
}
