//! What a member is in an organization, and what can be done to a row of the roster.

use crate::domain::text_enum::text_enum;

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
