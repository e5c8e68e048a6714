//! Handing ownership over: the one way in which the owner role changes hands where there is exactly one owner.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::domain::access_model::{Confirmation, RoleId, RoleSet, TransferRules};
use crate::domain::authority::{Authority, Situation, Target};
use crate::domain::error::{Reason, Refusal};
use crate::domain::member::{Action, MemberState};
use crate::domain::text_enum::text_enum;

/// How long a nominee has to confirm.
pub const CONFIRMATION_TIME: Duration = Duration::days(7);

text_enum! {
    /// What became of a transfer. That it has expired is never stored: it follows from the time at use.
    TransferState {
        /// Waits for the nominee.
        Pending = "pending",
        /// Has happened.
        Completed = "completed",
        /// Was called off, by the owner or by the nominee.
        Cancelled = "cancelled",
    }
}

/// How far a transfer is at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferStatus {
    /// Waits for the nominee.
    Pending,
    /// Has happened.
    Completed,
    /// Was called off.
    Cancelled,
    /// Was not confirmed in time.
    Expired,
}

/// How far a transfer is: one that waits expires at an instant, which is too late.
pub fn transfer_status(state: TransferState, expire_time: DateTime<Utc>, now: DateTime<Utc>) -> TransferStatus {
    match state {
        TransferState::Pending if now >= expire_time => TransferStatus::Expired,
        TransferState::Pending => TransferStatus::Pending,
        TransferState::Completed => TransferStatus::Completed,
        TransferState::Cancelled => TransferStatus::Cancelled,
    }
}

/// Refuses to confirm or to cancel a transfer that waits for nobody.
///
/// # Errors
/// `TRANSFER_STATE_CONFLICT`.
pub fn require_pending(status: TransferStatus) -> Result<(), Refusal> {
    let (state, hint) = match status {
        TransferStatus::Pending => return Ok(()),
        TransferStatus::Completed => ("COMPLETED", "the new owner can transfer it back"),
        TransferStatus::Cancelled => ("CANCELLED", "ask the owner for a new transfer"),
        TransferStatus::Expired => ("EXPIRED", "ask the owner for a new transfer"),
    };
    Err(Refusal::new(Reason::TransferStateConflict).with("state", state).with("hint", hint))
}

/// Whether a pending transfer may be called off: by either of the two, or by a member who may transfer ownership.
///
/// # Errors
/// `PERMISSION_REQUIRED`.
pub fn decide_cancellation(situation: &Situation<'_>, owner: Uuid, nominee: Uuid) -> Result<(), Refusal> {
    match situation.authority {
        Authority::Member { user_id, .. } if user_id == owner || user_id == nominee => Ok(()),
        _ => situation.require(Action::TransferOwnership.permission()),
    }
}

/// Both halves of a transfer, to be stored in one commit (JS12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The roles of the new owner: the owner role beside those that they keep.
    pub new_owner_roles: RoleSet,
    /// The roles that they held and do not keep.
    pub replaced_roles: RoleSet,
    /// The roles of the previous owner: the owner role has become the model's role for previous owners, others stay.
    pub previous_owner_roles: RoleSet,
    /// Who has to agree before it happens.
    pub confirmation: Confirmation,
}

/// Whether ownership may go from one member to another, and with which roles.
///
/// Only the current owner hands it over (JS10), or the service itself where an owner cannot act any more.
///
/// # Errors
/// `TRANSFER_NOT_SUPPORTED`, `NOT_OWNER`, `PERMISSION_REQUIRED`; `TRANSFER_TARGET_INELIGIBLE` for a nominee who is not an active member in an eligible
/// role, whose account is out of use, or who owns the organization already (JS11); `TOO_MANY_ROLES` where the owner role would be one too many for them.
pub fn decide_transfer(
    situation: &Situation<'_>,
    owner: &Target<'_>,
    nominee: &Target<'_>,
) -> Result<Transfer, Refusal> {
    let rules = transfer_rules(situation)?;
    let owner_role = situation.model.owner_role();
    let holds_ownership = owner.roles.contains(owner_role)
        && match situation.authority {
            Authority::Service { .. } => owner.state != MemberState::Removed,
            Authority::Member { user_id, .. } => {
                user_id == owner.user_id && owner.state == MemberState::Active && owner.account_in_use()
            }
        };
    if !holds_ownership {
        return Err(Reason::NotOwner.into());
    }
    situation.require(Action::TransferOwnership.permission())?;

    let NewOwner { roles, replaced } = decide_nominee(situation, nominee)?;
    Ok(Transfer {
        new_owner_roles: roles,
        replaced_roles: replaced,
        // One role for another: as many as before at the most.
        previous_owner_roles: owner.roles.without(owner_role).with(&rules.previous_owner_role),
        confirmation: rules.confirmation,
    })
}

/// What becomes of the roles of a nominee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOwner {
    /// The owner role beside those that they keep.
    pub roles: RoleSet,
    /// Those that they held and do not keep.
    pub replaced: RoleSet,
}

/// Whether a member could receive ownership, whoever hands it over.
///
/// # Errors
/// `TRANSFER_NOT_SUPPORTED`, `TRANSFER_TARGET_INELIGIBLE` (JS11), `TOO_MANY_ROLES`.
pub fn decide_nominee(situation: &Situation<'_>, nominee: &Target<'_>) -> Result<NewOwner, Refusal> {
    let rules = transfer_rules(situation)?;
    let owner_role = situation.model.owner_role();
    let eligible = nominee.roles.iter().any(|role| rules.eligible_roles.contains(role));
    let in_use = nominee.state == MemberState::Active && nominee.account_in_use();
    if !eligible || !in_use || nominee.roles.contains(owner_role) {
        let roles: Vec<&str> = rules.eligible_roles.iter().map(|role| role.as_str()).collect();
        return Err(Refusal::new(Reason::TransferTargetIneligible).with("eligible_roles", roles.join(",")));
    }
    let limit = situation.model.max_roles_per_member();
    let gives_up = |role: &&RoleId| limit == 1 || rules.replaced_roles.contains(*role);
    let replaced: RoleSet = nominee.roles.iter().filter(gives_up).cloned().collect();
    let kept: RoleSet = nominee.roles.iter().filter(|role| !replaced.contains(role)).cloned().collect();
    let roles = kept.with(owner_role);
    if roles.len() > limit {
        return Err(Refusal::new(Reason::TooManyRoles)
            .with("limit", limit.to_string())
            .with("hint", "take a role from the nominee first"));
    }
    Ok(NewOwner { roles, replaced })
}

/// Refuses anybody but the nominee to confirm a transfer.
///
/// # Errors
/// `TRANSFER_TARGET_INELIGIBLE`.
pub fn require_nominee(caller: Option<Uuid>, nominee: Uuid) -> Result<(), Refusal> {
    match caller == Some(nominee) {
        true => Ok(()),
        false => Err(Refusal::new(Reason::TransferTargetIneligible).with("hint", "only the nominee confirms")),
    }
}

fn transfer_rules<'a>(situation: &Situation<'a>) -> Result<&'a TransferRules, Refusal> {
    situation.model.ownership().transfer.as_ref().ok_or_else(|| Reason::TransferNotSupported.into())
}
