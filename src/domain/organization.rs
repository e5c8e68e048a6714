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
    }
}

impl OrganizationState {
    /// Refuses what a suspended organization does not allow.
    ///
    /// # Errors
    /// `ORGANIZATION_SUSPENDED`.
    pub fn usable(self) -> Result<(), Refusal> {
        match self {
            OrganizationState::Active => Ok(()),
            OrganizationState::Suspended => Err(Reason::OrganizationSuspended.into()),
        }
    }
}
