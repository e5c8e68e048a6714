//! Who may change whose state, and what the change makes of it.

use crate::domain::access_model::{Removal, RoleSet};
use crate::domain::error::{Reason, Refusal};
use crate::domain::member::{Action, MemberState};
use crate::domain::user::UserState;

use super::{Authority, Situation, Target};

/// The state of a member after being suspended.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `MEMBER_NOT_MANAGEABLE`, `MEMBER_STATE_CONFLICT`, `LAST_OWNER`.
pub fn decide_suspend(situation: &Situation<'_>, target: &Target<'_>) -> Result<MemberState, Refusal> {
    situation.require(Action::Suspend.permission())?;
    situation.require_manages(target.roles)?;
    situation.require_state(target, MemberState::Active)?;
    situation.require_other_owner(target)?;
    situation.refuse_self(target)?;
    Ok(MemberState::Suspended)
}

/// The state of a suspended member after being activated. It gives their roles back, and so asks for the right to give them (ab_17).
///
/// # Errors
/// `PERMISSION_REQUIRED`, `OWNER_BY_TRANSFER_ONLY`, `MEMBER_NOT_MANAGEABLE`, `ROLE_NOT_GRANTABLE`, `MEMBER_STATE_CONFLICT`.
pub fn decide_activate(situation: &Situation<'_>, target: &Target<'_>) -> Result<MemberState, Refusal> {
    situation.require(Action::Activate.permission())?;
    if !situation.is_founding_by(target, target.roles) {
        situation.refuse_owner_of_one(target.roles)?;
    }
    situation.require_manages(target.roles)?;
    situation.require_grants(target.roles.iter())?;
    situation.require_state(target, MemberState::Suspended)?;
    Ok(MemberState::Active)
}

/// The state of a member after being removed. The roles stay with the removed member, for the record and for [`decide_restore`].
///
/// # Errors
/// `PERMISSION_REQUIRED`, `OWNER_BY_TRANSFER_ONLY` (JS18), `MEMBER_NOT_MANAGEABLE`, `MEMBER_STATE_CONFLICT`, `LAST_OWNER`.
pub fn decide_remove(situation: &Situation<'_>, target: &Target<'_>) -> Result<MemberState, Refusal> {
    situation.require(Action::Remove.permission())?;
    situation.refuse_owner_of_one(target.roles)?;
    situation.require_manages(target.roles)?;
    situation.require_not_removed(target)?;
    situation.require_other_owner(target)?;
    situation.refuse_self(target)?;
    Ok(MemberState::Removed)
}

/// The state of a member after leaving of their own accord. It asks for no permission.
///
/// # Errors
/// `OWNER_BY_TRANSFER_ONLY`, `MEMBER_STATE_CONFLICT`, `LAST_OWNER` (CP09); `MEMBER_NOT_MANAGEABLE` for anybody but the member.
pub fn decide_leave(situation: &Situation<'_>, leaver: &Target<'_>) -> Result<MemberState, Refusal> {
    match situation.authority {
        Authority::Member { user_id, .. } if user_id == leaver.user_id => {}
        _ => {
            return Err(
                Refusal::new(Reason::MemberNotManageable).with("hint", "only the member can leave; others are removed")
            );
        }
    }
    situation.refuse_owner_of_one(leaver.roles)?;
    situation.require_state(leaver, MemberState::Active)?;
    situation.require_other_owner(leaver)?;
    Ok(MemberState::Removed)
}

/// The roles of a removed member after being restored: those held before. It asks for the right to change such a member and to give such roles.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `MEMBER_STATE_CONFLICT`, `USER_STATE_CONFLICT` for a deleted account, `REMOVAL_FINAL` (JP12), `RESTORE_BY_OPERATOR_ONLY` (PF10), `OWNER_BY_TRANSFER_ONLY`,
/// `MEMBER_NOT_MANAGEABLE`, `ROLE_NOT_GRANTABLE`, and those of roles that the model no longer allows.
pub fn decide_restore(situation: &Situation<'_>, target: &Target<'_>) -> Result<RoleSet, Refusal> {
    situation.require(Action::Restore.permission())?;
    situation.require_state(target, MemberState::Removed)?;
    let members = situation.model.members();
    match (members.removal, situation.authority) {
        (Removal::Final, _) if members.adding_again_after_removal => {
            return Err(Refusal::new(Reason::RemovalFinal).with("hint", "invite the person again"));
        }
        (Removal::Final, _) => return Err(Reason::RemovalFinal.into()),
        (Removal::ByOperator, Authority::Service { operator: true }) | (Removal::Restorable, _) => {}
        (Removal::ByOperator, _) => {
            return Err(
                Refusal::new(Reason::RestoreByOperatorOnly).with("hint", "ask an operator to restore the member")
            );
        }
    }
    // Deleting an account removes its memberships: they do not come back while it is gone, nor by themselves with it.
    if target.account == UserState::Deleted {
        return Err(Refusal::new(Reason::UserStateConflict)
            .with("state", "DELETED")
            .with("hint", "undelete the account first"));
    }
    let roles = situation.resolve(target.roles)?;
    if !situation.is_founding_by(target, &roles) {
        situation.refuse_owner_of_one(&roles)?;
    }
    situation.require_manages(target.roles)?;
    situation.require_grants(roles.iter())?;
    Ok(roles)
}
