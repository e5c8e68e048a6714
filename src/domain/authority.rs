//! Who may do what to whom in an organization.
//!
//! Every path on which a person gains, changes or loses roles goes through the functions of this module: inviting, resending and accepting
//! (by way of [`super::invitation`]), direct creation, role changes, suspending, activating, removing, restoring, leaving, and transfers of ownership
//! (by way of [`super::ownership`]). Each asks, in this order:
//!
//! 1. May this authority do it at all (the permission)?
//! 2. Does the access model rule it out for everybody (the owner role of an exactly-one model)?
//! 3. May this authority change this member (`manages`) and give these roles (`grants`)?
//! 4. Is the member in a state that allows it?
//! 5. Does an active owner remain?
//!
//! The caller holds the organization's lock, and brings facts read under it.

#[cfg(test)]
mod properties;
mod roles;
mod states;
#[cfg(test)]
mod tests;

pub use roles::{RoleChange, decide_role_change, decide_set_roles};
pub use states::{decide_activate, decide_leave, decide_remove, decide_restore, decide_suspend};
use uuid::Uuid;

use crate::domain::access_model::{AccessModel, OwnershipRule, Removal, RoleId, RoleSet};
use crate::domain::error::{Reason, Refusal};
use crate::domain::member::{Action, MemberState};
use crate::domain::user::UserState;

/// By whose right something is done.
#[derive(Debug, Clone, Copy)]
pub enum Authority<'a> {
    /// The service itself: a service key acting for no user. Its scopes are checked where it calls. It is not limited by `grants` and `manages`,
    /// but by every other rule of the model.
    Service {
        /// Whether it is an operator's key, which may do what a model leaves to operators.
        operator: bool,
    },
    /// An active member of the organization, with their roles of this moment.
    Member {
        /// The member's user.
        user_id: Uuid,
        /// The roles that they hold now.
        roles: &'a RoleSet,
    },
}

/// The member that something is done to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The member's user.
    pub user_id: Uuid,
    /// The roles that they hold; of a removed member, those that they held.
    pub roles: &'a RoleSet,
    /// The state that they are in.
    pub state: MemberState,
    /// The state of their account. One that is suspended or deleted may do nothing, whatever the member's state.
    pub account: UserState,
}

impl Target<'_> {
    /// Whether their account is in use.
    pub fn account_in_use(&self) -> bool {
        self.account == UserState::Active
    }
}

/// How many active holders of the owner role, whose accounts are in use, the organization has before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    /// Their number.
    pub active: u64,
}

/// In which organization, and by whose right, something is decided.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The organization's access model.
    pub model: &'a AccessModel,
    /// The organization's kind, where it has one.
    pub organization_kind: Option<&'a str>,
    /// By whose right.
    pub authority: Authority<'a>,
    /// The organization's owners.
    pub owners: Owners,
}

/// Whether an organization would be without an active owner if this member went, by whatever path: a role change, a suspension, a removal, leaving, or the
/// end of their account (CP09, JS08). A member who is not an active owner now can go: one whose account is out of use does not count.
pub fn is_last_owner(model: &AccessModel, target: &Target<'_>, owners: Owners) -> bool {
    let counted = target.state == MemberState::Active && target.account_in_use();
    counted && target.roles.contains(model.owner_role()) && owners.active <= 1
}

/// Refuses a username where the access model knows none.
///
/// # Errors
/// `FIELD_NOT_EDITABLE`.
pub fn require_usernames(model: &AccessModel) -> Result<(), Refusal> {
    if model.members().usernames {
        return Ok(());
    }
    Err(Refusal::new(Reason::FieldNotEditable)
        .with("field", "username")
        .with("hint", "the access model knows no usernames"))
}

/// The roles of the first member, who founds the organization: the owner role (CP05).
pub fn founding_roles(model: &AccessModel) -> RoleSet {
    [model.owner_role().clone()].into_iter().collect()
}

/// Whether a person may be added, given what they already are in the organization.
///
/// # Errors
/// `ALREADY_MEMBER`; `REMOVED_MEMBER` where the model does not let a removed person be added again (PF10).
pub fn decide_addition(model: &AccessModel, existing: Option<MemberState>) -> Result<(), Refusal> {
    match existing {
        None => Ok(()),
        Some(MemberState::Active) => {
            Err(Refusal::new(Reason::AlreadyMember).with("hint", "set the member's roles instead"))
        }
        Some(MemberState::Suspended) => {
            Err(Refusal::new(Reason::AlreadyMember).with("hint", "activate the suspended member instead"))
        }
        Some(MemberState::Removed) if model.members().adding_again_after_removal => Ok(()),
        Some(MemberState::Removed) => {
            let refusal = Refusal::new(Reason::RemovedMember);
            Err(match model.members().removal {
                Removal::Final => refusal,
                Removal::Restorable => refusal.with("hint", "restore the member"),
                Removal::ByOperator => refusal.with("hint", "ask an operator to restore the member"),
            })
        }
    }
}

/// The roles that an invitation gives: those requested, or the default role where none are (JH04).
///
/// While the organization has no active owner, the service may invite one: that is how an organization is founded by invitation.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `ROLE_UNKNOWN`, `TOO_MANY_ROLES`, `ROLE_NOT_IN_ORGANIZATION_KIND`, `OWNER_BY_TRANSFER_ONLY` (JS02), `ROLE_NOT_INVITABLE`,
/// `ROLE_NOT_GRANTABLE`.
pub fn decide_invite(situation: &Situation<'_>, requested: &RoleSet) -> Result<RoleSet, Refusal> {
    situation.require(Action::ResendInvitation.permission())?;
    let roles = situation.resolve(requested)?;
    let founding = situation.is_founding(&roles);
    if !founding {
        situation.refuse_owner_of_one(&roles)?;
        for role in roles.iter() {
            if !situation.model.role(role.as_str()).is_some_and(|role| role.invitable) {
                return Err(Refusal::new(Reason::RoleNotInvitable).with("role", role.as_str()));
            }
        }
    }
    situation.require_grants(roles.iter())?;
    Ok(roles)
}

/// The roles of a member who is created with no invitation (PF07): with a password, or brought in from elsewhere, perhaps with an account that is out of use.
///
/// # Errors
/// `DIRECT_CREATION_NOT_ALLOWED`, and those of [`decide_invite`] except `ROLE_NOT_INVITABLE`.
pub fn decide_create(situation: &Situation<'_>, requested: &RoleSet, account_in_use: bool) -> Result<RoleSet, Refusal> {
    situation.require("members.create")?;
    if !situation.model.members().direct_creation {
        return Err(Refusal::new(Reason::DirectCreationNotAllowed).with("hint", "invite the person"));
    }
    let roles = situation.resolve(requested)?;
    if !(account_in_use && situation.is_founding(&roles)) {
        situation.refuse_owner_of_one(&roles)?;
    }
    situation.require_grants(roles.iter())?;
    Ok(roles)
}

/// Whether these fields of a member may be changed by this authority. The fields are the person's own and show wherever they belong, so that others edit
/// them only while the person belongs to this organization alone.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `MEMBER_NOT_MANAGEABLE`, `MEMBER_STATE_CONFLICT`; `FIELD_NOT_EDITABLE` with what to do instead (JP10, JP11).
pub fn decide_update(
    situation: &Situation<'_>,
    target: &Target<'_>,
    fields: &[&str],
    belongs_elsewhere: bool,
) -> Result<(), Refusal> {
    situation.require(Action::Update.permission())?;
    situation.require_manages(target.roles)?;
    situation.require_not_removed(target)?;
    let not_editable =
        |field: &str, hint: &str| Err(Refusal::new(Reason::FieldNotEditable).with("field", field).with("hint", hint));
    let members = situation.model.members();
    for field in fields {
        if !members.editable_by_others.contains(*field) {
            return not_editable(field, instead_of_editing(field));
        }
        if *field == "username" {
            require_usernames(situation.model)?;
        }
    }
    match fields.first() {
        Some(field) if belongs_elsewhere => {
            not_editable(field, "the person belongs to other organizations too, and edits their own profile")
        }
        _ => Ok(()),
    }
}

/// What leads to the wanted end where a field is not for others to edit.
fn instead_of_editing(field: &str) -> &'static str {
    match field {
        "email" => "remove the member and invite the new address",
        "password" => "the person changes it themselves, or resets it by e-mail",
        "mfa_enabled" => "the person manages their second factor themselves",
        "roles" => "set the member's roles with SetMemberRoles",
        "state" => "suspend, activate, remove or restore the member",
        _ => "the person edits their own profile",
    }
}

impl Situation<'_> {
    /// Refuses a member without a permission. A service's scopes are checked where it calls.
    ///
    /// # Errors
    /// `PERMISSION_REQUIRED`.
    pub fn require(&self, permission: &'static str) -> Result<(), Refusal> {
        match self.authority {
            Authority::Member { roles, .. } if !self.model.allows(roles, permission) => {
                Err(Refusal::new(Reason::PermissionRequired).with("permission", permission))
            }
            _ => Ok(()),
        }
    }

    /// The requested roles, or the default role where none are; each one must exist here, and one member must be able to hold all of them.
    fn resolve(&self, requested: &RoleSet) -> Result<RoleSet, Refusal> {
        if requested.is_empty() {
            return match self.model.default_role() {
                Some(role) => Ok([role.clone()].into_iter().collect()),
                None => {
                    Err(Refusal::new(Reason::RoleUnknown)
                        .with("hint", "name a role: the access model has no default role"))
                }
            };
        }
        for id in requested.iter() {
            let Some(role) = self.model.role(id.as_str()) else {
                return Err(Refusal::new(Reason::RoleUnknown).with("role", id.as_str()));
            };
            if !role.in_kind(self.organization_kind) {
                let kinds: Vec<&str> = role.organization_kinds.iter().map(String::as_str).collect();
                return Err(Refusal::new(Reason::RoleNotInOrganizationKind)
                    .with("role", id.as_str())
                    .with("organization_kinds", kinds.join(",")));
            }
        }
        let limit = self.model.max_roles_per_member();
        if requested.len() > limit {
            return Err(Refusal::new(Reason::TooManyRoles).with("limit", limit.to_string()));
        }
        Ok(requested.clone())
    }

    /// Whether this gives an organization without an active owner its owner, by the service's right.
    fn is_founding(&self, roles: &RoleSet) -> bool {
        matches!(self.authority, Authority::Service { .. })
            && self.owners.active == 0
            && roles.contains(self.model.owner_role())
    }

    /// As [`Self::is_founding`], of somebody who is a member, or was. An account that is out of use founds nothing: the organization would still have no
    /// active owner, and a second one as soon as the account came back.
    fn is_founding_by(&self, target: &Target<'_>, roles: &RoleSet) -> bool {
        target.account_in_use() && self.is_founding(roles)
    }

    /// Where there is exactly one owner, the owner role is neither given nor taken but by transfer (JS08).
    fn refuse_owner_of_one(&self, roles: &RoleSet) -> Result<(), Refusal> {
        let ownership = self.model.ownership();
        if ownership.rule == OwnershipRule::ExactlyOne && roles.contains(&ownership.role) {
            let refusal = Refusal::new(Reason::OwnerByTransferOnly).with("role", ownership.role.as_str());
            return Err(match ownership.transfer {
                Some(_) => refusal.with("hint", "hand the ownership over with TransferOwnership"),
                None => refusal,
            });
        }
        Ok(())
    }

    /// A member changes only those all of whose roles are among the ones that their own roles manage.
    pub(super) fn require_manages(&self, target: &RoleSet) -> Result<(), Refusal> {
        let Authority::Member { roles, .. } = self.authority else {
            return Ok(());
        };
        match target.iter().find(|role| !self.model.may_manage(roles, role)) {
            Some(role) => Err(Refusal::new(Reason::MemberNotManageable).with("role", role.as_str())),
            None => Ok(()),
        }
    }

    /// Nobody suspends or removes themselves: whoever wants to go leaves, which says so in the audit log and asks for no permission.
    pub(super) fn refuse_self(&self, target: &Target<'_>) -> Result<(), Refusal> {
        match self.authority {
            Authority::Member { user_id, .. } if user_id == target.user_id => {
                Err(Refusal::new(Reason::MemberNotManageable).with("hint", "leave with LeaveOrganization"))
            }
            _ => Ok(()),
        }
    }

    /// A member gives only roles that their own roles grant.
    fn require_grants<'r>(&self, mut given: impl Iterator<Item = &'r RoleId>) -> Result<(), Refusal> {
        let Authority::Member { roles, .. } = self.authority else {
            return Ok(());
        };
        match given.find(|role| !self.model.may_grant(roles, role)) {
            Some(role) => Err(Refusal::new(Reason::RoleNotGrantable).with("role", role.as_str())),
            None => Ok(()),
        }
    }

    /// Taking an active owner away must leave another one (CP09, JS08).
    fn require_other_owner(&self, target: &Target<'_>) -> Result<(), Refusal> {
        if is_last_owner(self.model, target, self.owners) {
            return Err(Refusal::new(Reason::LastOwner)
                .with("role", self.model.owner_role().as_str())
                .with("hint", "give the organization another owner first"));
        }
        Ok(())
    }

    /// The member must be in the state.
    fn require_state(&self, target: &Target<'_>, state: MemberState) -> Result<(), Refusal> {
        match target.state == state {
            true => Ok(()),
            false => Err(self.state_conflict(target)),
        }
    }

    fn require_not_removed(&self, target: &Target<'_>) -> Result<(), Refusal> {
        match target.state {
            MemberState::Removed => Err(self.state_conflict(target)),
            MemberState::Active | MemberState::Suspended => Ok(()),
        }
    }

    /// The refusal says how a removed member comes back, where the model lets them. An active or suspended member needs nothing else.
    fn state_conflict(&self, target: &Target<'_>) -> Refusal {
        let refusal = Refusal::new(Reason::MemberStateConflict).with("state", target.state.as_str().to_uppercase());
        let members = self.model.members();
        match (target.state, members.removal) {
            (MemberState::Removed, Removal::Restorable) => refusal.with("hint", "restore the member first"),
            (MemberState::Removed, Removal::ByOperator) => {
                refusal.with("hint", "ask an operator to restore the member")
            }
            (MemberState::Removed, Removal::Final) if members.adding_again_after_removal => {
                refusal.with("hint", "invite the person again")
            }
            _ => refusal,
        }
    }
}
