//! What a caller may do to one row of the roster now.

use chrono::{DateTime, Utc};

use crate::domain::access_model::{Role, RoleSet};
use crate::domain::authority::{
    Authority, Situation, Target, decide_activate, decide_invite, decide_remove, decide_restore, decide_set_roles,
    decide_suspend, decide_update,
};
use crate::domain::invitation::{self, Invitation};
use crate::domain::member::{Action, MemberState};
use crate::domain::ownership;
use crate::domain::user::UserState;

/// One row of the roster.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// A member.
    Member {
        /// The facts that decisions rest on.
        target: Target<'a>,
        /// Whether the person belongs to other organizations too.
        belongs_elsewhere: bool,
    },
    /// A person who has been invited.
    Invitation(&'a Invitation),
}

/// The actions that this caller may take on the row now, found by asking the rules that the calls themselves ask (JH13).
///
/// `in_scope` says which actions come into question: those that the caller's credential is good for (for a user's own session, all of them), and that nothing beside the row is in the way of.
/// Changing roles counts as allowed where some change would be: writing the same roles again is no change.
pub fn allowed_actions(
    situation: &Situation<'_>,
    in_scope: impl Fn(Action) -> bool,
    row: &Row<'_>,
    now: DateTime<Utc>,
) -> Vec<Action> {
    let allowed = |action: &Action| in_scope(*action) && is_allowed(situation, *action, row, now);
    Action::ALL.iter().copied().filter(allowed).collect()
}

/// The roles that this caller may invite somebody into now, one by one. Where none, they may not invite.
pub fn invitable_roles<'a>(situation: &Situation<'a>) -> Vec<&'a Role> {
    let invitable = |role: &&Role| decide_invite(situation, &[role.id.clone()].into_iter().collect()).is_ok();
    situation.model.roles().iter().filter(invitable).collect()
}

fn is_allowed(situation: &Situation<'_>, action: Action, row: &Row<'_>, now: DateTime<Utc>) -> bool {
    match (row, action) {
        (Row::Invitation(invitation), Action::ResendInvitation) => {
            invitation::decide_resend(situation, invitation, now).is_ok()
        }
        (Row::Invitation(invitation), Action::RevokeInvitation) => {
            invitation::decide_revoke(situation, invitation).is_ok()
        }
        (Row::Member { target, .. }, Action::SetRoles) => can_change_roles(situation, target),
        (Row::Member { target, belongs_elsewhere }, Action::Update) => {
            can_update(situation, target, *belongs_elsewhere)
        }
        (Row::Member { target, .. }, Action::Suspend) => decide_suspend(situation, target).is_ok(),
        (Row::Member { target, .. }, Action::Activate) => decide_activate(situation, target).is_ok(),
        (Row::Member { target, .. }, Action::Remove) => decide_remove(situation, target).is_ok(),
        (Row::Member { target, .. }, Action::Restore) => decide_restore(situation, target).is_ok(),
        (Row::Member { target, .. }, Action::TransferOwnership) => can_receive_ownership(situation, target),
        _ => false,
    }
}

/// Whether any other set of roles would be accepted. It is enough to try each role alone and each role in addition: whatever larger change is
/// accepted, one of these is too, since they give and take no more.
fn can_change_roles(situation: &Situation<'_>, target: &Target<'_>) -> bool {
    let changes =
        |requested: &RoleSet| requested != target.roles && decide_set_roles(situation, target, requested).is_ok();
    situation.model.roles().iter().any(|role| {
        let alone: RoleSet = [role.id.clone()].into_iter().collect();
        changes(&alone) || changes(&target.roles.with(&role.id))
    })
}

/// Whether some field may be edited.
fn can_update(situation: &Situation<'_>, target: &Target<'_>, belongs_elsewhere: bool) -> bool {
    let fields = &situation.model.members().editable_by_others;
    fields.iter().any(|field| decide_update(situation, target, &[field], belongs_elsewhere).is_ok())
}

/// Whether the caller could hand ownership to this member. A member hands over what is theirs, a service what is anybody's.
fn can_receive_ownership(situation: &Situation<'_>, nominee: &Target<'_>) -> bool {
    let Authority::Member { user_id, roles } = situation.authority else {
        return ownership::decide_nominee(situation, nominee).is_ok();
    };
    let owner = Target {
        user_id,
        roles,
        state: MemberState::Active,
        // The caller's account is in use.
        account: UserState::Active,
    };
    ownership::decide_transfer(situation, &owner, nominee).is_ok()
}
