//! The account of a person: what state it is in and what that allows.

use crate::domain::{
    error::{Reason, Refusal},
    text_enum::text_enum,
};

text_enum! {
    /// Whether an account may be used.
    UserState {
        /// In use.
        Active = "active",
        /// Nobody signs in with it, and it may do nothing in any organization, until it is activated again.
        Suspended = "suspended",
        /// Deleted. The row stays, so that what the person did keeps a name; the address is free for a new account.
        Deleted = "deleted",
    }
}

/// What is done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserChange {
    /// Takes it out of use.
    Suspend,
    /// Ends a suspension.
    Activate,
    /// Deletes it.
    Delete,
    /// Takes a deletion back.
    Undelete,
}

impl UserChange {
    /// The state of an account after the change. Undeleting brings back the state from before the deletion, and a suspension where nobody knows it: it lifts none (ab_38).
    ///
    /// # Errors
    /// `USER_STATE_CONFLICT` where the account is in a state that the change does not begin with. An erased account has no change before it.
    pub fn apply(
        self,
        state: UserState,
        before_deletion: Option<UserState>,
        erased: bool,
    ) -> Result<UserState, Refusal> {
        if erased {
            return Err(already_erased());
        }
        match (self, state) {
            (UserChange::Suspend, UserState::Active) => Ok(UserState::Suspended),
            (UserChange::Activate, UserState::Suspended) => Ok(UserState::Active),
            (UserChange::Undelete, UserState::Deleted) => Ok(before_deletion.unwrap_or(UserState::Suspended)),
            (UserChange::Delete, UserState::Active | UserState::Suspended) => Ok(UserState::Deleted),
            _ => Err(Refusal::new(Reason::UserStateConflict).with("state", state.as_str().to_uppercase())),
        }
    }

    /// Whether the account is out of use afterwards: what it owned needs another owner first.
    pub fn ends_use(self) -> bool {
        matches!(self, UserChange::Suspend | UserChange::Delete)
    }
}

/// Refuses a change of an account that nothing is left of.
pub fn already_erased() -> Refusal {
    Refusal::new(Reason::UserStateConflict).with("state", "ERASED")
}

/// What a person is, or was, in one organization, as far as signing in goes.
#[derive(Debug, Clone, Copy)]
pub struct PastMembership {
    /// Whether they were removed.
    pub removed: bool,
    /// Whether the access model keeps removed people from signing in.
    pub kept_out: bool,
}

/// Whether somebody may sign in: with an account in use, unless they were removed from everywhere and an access model keeps such people out (JP18). Who is
/// invited again may sign in to accept.
pub fn may_sign_in(state: UserState, past_memberships: &[PastMembership], invited: bool) -> bool {
    let removed_from_everywhere = past_memberships.iter().all(|past_membership| past_membership.removed);
    let kept_out = past_memberships.iter().any(|past_membership| past_membership.kept_out);
    state == UserState::Active && (invited || !(removed_from_everywhere && kept_out))
}

/// Given and family name, of those that there are.
#[must_use]
pub fn full_name(given_name: &str, family_name: &str) -> String {
    [given_name, family_name].join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_removed_everywhere_signs_in_only_where_no_model_minds() {
        let past_membership = |removed, kept_out| PastMembership { removed, kept_out };
        let active = |past_memberships: &[PastMembership]| may_sign_in(UserState::Active, past_memberships, false);
        assert!(active(&[]));
        assert!(active(&[past_membership(true, false)]));
        assert!(!active(&[past_membership(true, true)]));
        assert!(!active(&[past_membership(true, true), past_membership(true, false)]));
        assert!(active(&[past_membership(true, true), past_membership(false, false)]));
        assert!(may_sign_in(UserState::Active, &[past_membership(true, true)], true));
        assert!(!may_sign_in(UserState::Suspended, &[], true));
        assert!(!may_sign_in(UserState::Deleted, &[past_membership(false, false)], false));
    }

    #[test]
    fn each_change_begins_with_the_states_that_it_makes_sense_in() {
        use UserChange::{Activate, Delete, Suspend, Undelete};
        use UserState::{Active, Deleted, Suspended};
        let table = [
            (Suspend, [Some(Suspended), None, None]),
            (Activate, [None, Some(Active), None]),
            (Delete, [Some(Deleted), Some(Deleted), None]),
            (Undelete, [None, None, Some(Suspended)]),
        ];
        for (change, expected) in table {
            let found = [Active, Suspended, Deleted].map(|state| change.apply(state, None, false).ok());
            assert_eq!(found, expected, "{change:?}");
        }
        for before in [Active, Suspended] {
            assert_eq!(Undelete.apply(Deleted, Some(before), false), Ok(before));
            assert_eq!(Undelete.apply(Deleted, Some(before), true), Err(already_erased()));
        }
    }
}
