//! What a member is in an organization, and what can be done to a row of the roster.

use crate::domain::{organization::OrganizationState, text_enum::text_enum};

text_enum! {
    /// What a member is in an organization.
    MemberState {
        /// May act.
        Active = "active",
        /// May not act until activated again.
        Suspended = "suspended",
        /// Was a member.
        Removed = "removed",
    }
}

/// What a row of a roster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// A member, or who was one.
    Member(MemberState),
    /// A pending invitation that can be accepted.
    Invited,
    /// One that has expired unanswered.
    InvitationExpired,
}

impl RowState {
    /// The member's; `None` for an invitation.
    pub fn of_member(self) -> Option<MemberState> {
        match self {
            RowState::Member(state) => Some(state),
            RowState::Invited | RowState::InvitationExpired => None,
        }
    }
}

/// What a user is in an organization, as far as acting there goes.
#[derive(Debug, Clone, Copy)]
pub struct MembershipFacts {
    /// The organization's state.
    pub organization: OrganizationState,
    /// The membership's state; `None` without one, or where the account is out of use.
    pub member: Option<MemberState>,
    /// Whether the caller's session is from before the membership was interrupted; never without a session.
    pub session_outdated: bool,
    /// Whether a second factor is asked for here that the user does not have.
    pub factor_missing: bool,
}

/// What keeps somebody from acting in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyReason {
    /// They do not belong there, or there is none.
    NotAMember,
    /// The session is from before they were removed or suspended.
    SessionOutdated,
    /// They are suspended there.
    MemberSuspended,
    /// They have no second factor, and need one.
    MfaRequired,
    /// The organization is suspended.
    OrganizationSuspended,
}

/// What keeps somebody from acting in an organization at all, whatever their roles: the first of what does, or nothing. Calls and checks ask here alone, so that a product that asks is
/// told what Roster itself would do (ab_36).
pub fn deny_reason(facts: MembershipFacts) -> Option<DenyReason> {
    obstacles(facts).next()
}

/// Everything that keeps somebody from acting in an organization, in the order in which it counts. Of an organization that somebody does not belong to nothing else is told.
pub fn obstacles(facts: MembershipFacts) -> impl Iterator<Item = DenyReason> {
    let belongs = facts.organization != OrganizationState::Deleted
        && facts.member.is_some_and(|state| state != MemberState::Removed);
    [
        (!belongs, DenyReason::NotAMember),
        (belongs && facts.session_outdated, DenyReason::SessionOutdated),
        (belongs && facts.member == Some(MemberState::Suspended), DenyReason::MemberSuspended),
        (belongs && facts.factor_missing, DenyReason::MfaRequired),
        (belongs && facts.organization == OrganizationState::Suspended, DenyReason::OrganizationSuspended),
    ]
    .into_iter()
    .filter_map(|(applies, reason)| applies.then_some(reason))
}

/// Something that a caller may do to a row of the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Send a pending invitation again.
    ResendInvitation,
    /// Take a pending invitation back.
    RevokeInvitation,
    /// Change a member's roles.
    SetRoles,
    /// Edit a member's fields.
    Update,
    /// Suspend a member.
    Suspend,
    /// Activate a suspended member.
    Activate,
    /// Remove a member.
    Remove,
    /// Restore a removed member.
    Restore,
    /// Hand ownership over to a member.
    TransferOwnership,
}

impl Action {
    /// Every action.
    pub const ALL: &[Action] = &[
        Action::ResendInvitation,
        Action::RevokeInvitation,
        Action::SetRoles,
        Action::Update,
        Action::Suspend,
        Action::Activate,
        Action::Remove,
        Action::Restore,
        Action::TransferOwnership,
    ];

    /// The permission of [`SERVICE_PERMISSIONS`](crate::domain::access_model::SERVICE_PERMISSIONS) that guards it.
    pub fn permission(self) -> &'static str {
        match self {
            Action::ResendInvitation | Action::RevokeInvitation => "members.invite",
            Action::SetRoles => "members.set_roles",
            Action::Update => "members.update",
            Action::Suspend | Action::Activate => "members.suspend",
            Action::Remove => "members.remove",
            Action::Restore => "members.restore",
            Action::TransferOwnership => "ownership.transfer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: MembershipFacts = MembershipFacts {
        organization: OrganizationState::Active,
        member: Some(MemberState::Active),
        session_outdated: false,
        factor_missing: false,
    };

    #[test]
    fn a_member_acts_where_nothing_is_in_the_way() {
        assert_eq!(deny_reason(FACTS), None);
    }

    #[test]
    fn each_deny_reason_is_told() {
        let hindered = [
            (MembershipFacts { member: None, ..FACTS }, DenyReason::NotAMember),
            (MembershipFacts { member: Some(MemberState::Removed), ..FACTS }, DenyReason::NotAMember),
            (MembershipFacts { organization: OrganizationState::Deleted, ..FACTS }, DenyReason::NotAMember),
            (MembershipFacts { session_outdated: true, ..FACTS }, DenyReason::SessionOutdated),
            (MembershipFacts { member: Some(MemberState::Suspended), ..FACTS }, DenyReason::MemberSuspended),
            (MembershipFacts { factor_missing: true, ..FACTS }, DenyReason::MfaRequired),
            (
                MembershipFacts { organization: OrganizationState::Suspended, ..FACTS },
                DenyReason::OrganizationSuspended,
            ),
        ];
        for (facts, expected) in hindered {
            assert_eq!(deny_reason(facts), Some(expected), "{facts:?}");
        }
    }

    #[test]
    fn nobody_outside_is_told_of_anything_inside() {
        let all = MembershipFacts {
            organization: OrganizationState::Suspended,
            member: Some(MemberState::Removed),
            session_outdated: true,
            factor_missing: true,
        };
        assert_eq!(deny_reason(all), Some(DenyReason::NotAMember));
        // A session that is dead is told nothing but that.
        let outdated = MembershipFacts { member: Some(MemberState::Suspended), ..all };
        assert_eq!(deny_reason(outdated), Some(DenyReason::SessionOutdated));
    }
}
