//! The tenant: what state it is in and what that allows.

use crate::domain::{
    error::{Reason, Refusal},
    text_enum::text_enum,
};

text_enum! {
    /// Whether an organization may be used.
    OrganizationState {
        /// In use.
        Active = "active",
        /// Suspended by an operator: nothing is checked, read or changed by its members.
        Suspended = "suspended",
        /// Deleted: to its members it does not exist, until it is undeleted.
        Deleted = "deleted",
    }
}

impl OrganizationState {
    /// Refuses what an organization that is not in use does not allow.
    ///
    /// # Errors
    /// `ORGANIZATION_SUSPENDED`, `ORGANIZATION_DELETED`.
    pub fn usable(self) -> Result<(), Refusal> {
        match self {
            OrganizationState::Active => Ok(()),
            OrganizationState::Suspended => Err(Reason::OrganizationSuspended.into()),
            OrganizationState::Deleted => Err(Reason::OrganizationDeleted.into()),
        }
    }
}

/// What is done to an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationChange {
    /// Takes it out of use.
    Suspend,
    /// Ends a suspension.
    Activate,
    /// Deletes it.
    Delete,
    /// Takes a deletion back.
    Undelete,
}

impl OrganizationChange {
    /// The state afterwards. A change that has happened already is no error: nothing is left to do. Undeleting brings back the state from before the deletion, and a suspension
    /// where nobody knows it: it lifts none (ab_38).
    ///
    /// # Errors
    /// `ORGANIZATION_DELETED` for a deleted organization, which is undeleted first; `ORGANIZATION_STATE_CONFLICT` for undeleting another one.
    pub fn apply(
        self,
        state: OrganizationState,
        before_deletion: Option<OrganizationState>,
    ) -> Result<OrganizationState, Refusal> {
        use OrganizationState::{Active, Deleted, Suspended};
        match (self, state) {
            (OrganizationChange::Delete, _) => Ok(Deleted),
            (OrganizationChange::Undelete, Deleted) => Ok(before_deletion.unwrap_or(Suspended)),
            (OrganizationChange::Undelete, _) => {
                Err(Refusal::new(Reason::OrganizationStateConflict).with("state", state.as_str().to_uppercase()))
            }
            (_, Deleted) => Err(Reason::OrganizationDeleted.into()),
            (OrganizationChange::Suspend, _) => Ok(Suspended),
            (OrganizationChange::Activate, _) => Ok(Active),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_organization_comes_back_by_undeleting_only() {
        use OrganizationChange::{Activate, Delete, Suspend, Undelete};
        use OrganizationState::{Active, Deleted, Suspended};
        let table = [
            (Suspend, [Some(Suspended), Some(Suspended), None]),
            (Activate, [Some(Active), Some(Active), None]),
            (Delete, [Some(Deleted), Some(Deleted), Some(Deleted)]),
            (Undelete, [None, None, Some(Suspended)]),
        ];
        for (change, expected) in table {
            let found = [Active, Suspended, Deleted].map(|state| change.apply(state, None).ok());
            assert_eq!(found, expected, "{change:?}");
        }
        for before in [Active, Suspended] {
            assert_eq!(Undelete.apply(Deleted, Some(before)), Ok(before));
        }
    }
}
