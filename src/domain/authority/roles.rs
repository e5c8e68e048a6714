//! Changing the roles of a member.

use super::{Situation, Target};
use crate::domain::access_model::RoleSet;
use crate::domain::error::{Reason, Refusal};
use crate::domain::member::{Action, MemberState};

/// How a member's roles change.
#[derive(Debug, Clone)]
pub enum RoleChange {
    /// To these, or to the default role where there are none.
    Set(RoleSet),
    /// To those held and these.
    Add(RoleSet),
    /// To those held without these, or to the default role where none are left.
    Remove(RoleSet),
}

impl RoleChange {
    /// The roles that it names.
    pub fn named(&self) -> &RoleSet {
        match self {
            RoleChange::Set(roles) | RoleChange::Add(roles) | RoleChange::Remove(roles) => roles,
        }
    }
}

/// The roles that a member holds after a change of them.
///
/// # Errors
/// Those of [`decide_set_roles`].
pub fn decide_role_change(
    situation: &Situation<'_>,
    target: &Target<'_>,
    change: &RoleChange,
) -> Result<RoleSet, Refusal> {
    let requested = match change {
        RoleChange::Set(roles) => roles.clone(),
        RoleChange::Add(roles) => target.roles.iter().chain(roles.iter()).cloned().collect(),
        RoleChange::Remove(roles) => {
            situation.require(Action::SetRoles.permission())?;
            // One that is not held takes nothing away; one that does not exist is a mistake.
            if let Some(unknown) = roles.iter().find(|role| situation.model.role(role.as_str()).is_none()) {
                return Err(Refusal::new(Reason::RoleUnknown).with("role", unknown.as_str()));
            }
            target.roles.iter().filter(|role| !roles.contains(role)).cloned().collect()
        }
    };
    decide_set_roles(situation, target, &requested)
}

/// The roles that a member holds after a role change: those requested, or the default role where none are (JH10).
///
/// The roles that are added have to be ones that the authority may give, and the member has to be one whom it may change: oneself is no
/// exception (CP09).
///
/// # Errors
/// `PERMISSION_REQUIRED`, `ROLE_UNKNOWN`, `TOO_MANY_ROLES`, `ROLE_NOT_IN_ORGANIZATION_KIND`, `OWNER_BY_TRANSFER_ONLY`, `MEMBER_NOT_MANAGEABLE`,
/// `ROLE_NOT_GRANTABLE`, `MEMBER_STATE_CONFLICT`, `LAST_OWNER`.
pub fn decide_set_roles(
    situation: &Situation<'_>,
    target: &Target<'_>,
    requested: &RoleSet,
) -> Result<RoleSet, Refusal> {
    situation.require(Action::SetRoles.permission())?;
    let roles = situation.resolve(requested)?;
    let owner = situation.model.owner_role();
    let (was_owner, is_owner) = (target.roles.contains(owner), roles.contains(owner));
    let founding = target.state == MemberState::Active && situation.is_founding_by(target, &roles);
    if was_owner && !is_owner {
        situation.refuse_owner_of_one(target.roles)?;
    } else if is_owner && !was_owner && !founding {
        situation.refuse_owner_of_one(&roles)?;
    }
    situation.require_manages(target.roles)?;
    situation.require_grants(roles.iter().filter(|role| !target.roles.contains(role)))?;
    situation.require_not_removed(target)?;
    if was_owner && !is_owner {
        situation.require_other_owner(target)?;
    }
    Ok(roles)
}
