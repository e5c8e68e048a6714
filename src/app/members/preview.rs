//! What a change of roles would do.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{access, context::Ctx, error::Result},
    },
    domain::{
        access_model::{PermissionChange, RoleSet},
        authority::{Owners, decide_set_roles},
        error::Reason,
    },
};

/// Asks what a change of roles would do.
#[derive(Debug)]
pub(crate) struct PreviewRoles {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The member's user.
    pub(crate) user_id: Uuid,
    /// The roles to hold; none gives the default role.
    pub(crate) roles: RoleSet,
}

/// What a change of roles would do.
#[derive(Debug)]
pub(crate) struct RolePreview {
    /// The roles that the member holds.
    pub(crate) before: RoleSet,
    /// Those that the member would hold.
    pub(crate) after: RoleSet,
    /// Permissions that come and go with the change.
    pub(crate) change: PermissionChange,
    /// The revision that the answer holds for.
    pub(crate) revision: i64,
}

/// Says what a change of roles would do, and decides about it as the change does.
///
/// # Errors
/// Those of the change.
pub(crate) async fn preview_roles(app: &App, ctx: &Ctx, asked: PreviewRoles) -> Result<RolePreview> {
    let view = app.store.snapshot().await?;
    let access = access::enter_at(app, ctx, &view, asked.organization_id).await?;
    let (organization, model) = (&access.organization, &access.model);
    let found = view.member_row(organization.id, asked.user_id).await?;
    let (member, user) = found.ok_or(Reason::MemberNotFound)?;
    let active = view.count_active_holders(organization.id, model.owner_role().as_str()).await?;
    let situation = access.situation(ctx, Owners { active });
    let after = decide_set_roles(&situation, &member.target(user.state), &asked.roles)?;
    let [had, has] = [&member.roles, &after].map(|roles| model.permissions_of(roles));
    let change = PermissionChange::between(&had, &has);
    Ok(RolePreview { revision: organization.revision, before: member.roles, after, change })
}
