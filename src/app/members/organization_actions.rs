//! What a caller may do in an organization, beside what they may do to its members: which buttons a team page has.

use crate::{
    app::call::{access::Access, context::Ctx},
    domain::{access_model::RoleId, actions::invitable_roles, authority::Owners},
    store::RosterFacts,
};

/// The actions, found by asking the rules that the calls ask.
#[derive(Debug, Default)]
pub(crate) struct OrganizationActions {
    /// The roles that the caller may invite somebody into, each with its name.
    pub(crate) invitable_roles: Vec<(RoleId, String)>,
    /// Whether they may make and change the organization's own roles.
    pub(crate) manage_roles: bool,
    /// Whether they may hand ownership over.
    pub(crate) transfer_ownership: bool,
    /// Whether they may change the organization's settings.
    pub(crate) update_organization: bool,
    /// Whether they may delete the organization.
    pub(crate) delete_organization: bool,
}

impl OrganizationActions {
    /// Asks the rules. In an organization that is out of use, no method changes anything, whatever they say.
    pub(super) fn of(ctx: &Ctx, access: &Access, facts: &RosterFacts) -> Self {
        if access.organization.state.usable().is_err() {
            return Self::default();
        }
        let may_call = |method: &str| access.require_call(ctx, method).is_ok();
        let situation = access.situation(ctx, Owners { active: facts.owners });
        let invitable = match may_call("/roster.v1.InvitationService/CreateInvitation") {
            true => invitable_roles(&situation),
            false => Vec::new(),
        };
        Self {
            invitable_roles: invitable.into_iter().map(|role| (role.id.clone(), role.name.clone())).collect(),
            manage_roles: may_call("/roster.v1.RoleService/CreateRole"),
            transfer_ownership: facts.transferable && may_call("/roster.v1.OwnershipService/TransferOwnership"),
            update_organization: may_call("/roster.v1.OrganizationService/UpdateOrganization"),
            delete_organization: may_call("/roster.v1.OrganizationService/DeleteOrganization"),
        }
    }
}
