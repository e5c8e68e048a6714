//! What a roster shows of an account.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::user::UserState,
    store::{User, entities::users::Column, rows::display_name},
};

/// An account, as far as rosters show it and decide by it.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// The user.
    pub(crate) user_id: Uuid,
    /// Whether the account is in use.
    pub(crate) state: UserState,
    /// The address.
    pub(crate) email: String,
    /// The name to sign in with.
    pub(crate) username: Option<String>,
    /// The given name.
    pub(crate) given_name: String,
    /// The family name.
    pub(crate) family_name: String,
    /// The name that people see, where it is one of its own.
    pub(crate) display_name: Option<String>,
    /// When the user signed in last.
    pub(crate) last_sign_in_time: Option<DateTime<Utc>>,
    /// When the user was active last.
    pub(crate) last_active_time: Option<DateTime<Utc>>,
    /// Whether a second factor is asked for.
    pub(crate) mfa_enabled: bool,
}

impl Profile {
    /// Where its fields rest, in their order.
    pub(super) const COLUMNS: [Column; 10] = [
        Column::Id,
        Column::State,
        Column::Email,
        Column::Username,
        Column::GivenName,
        Column::FamilyName,
        Column::DisplayName,
        Column::LastSignInTime,
        Column::LastActiveTime,
        Column::MfaEnabled,
    ];

    /// The name that people see.
    pub(crate) fn effective_display_name(&self) -> String {
        display_name(self.display_name.as_deref(), &self.given_name, &self.family_name)
    }
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id,
            state: user.state,
            email: user.email,
            username: user.username,
            given_name: user.given_name,
            family_name: user.family_name,
            display_name: user.display_name,
            last_sign_in_time: user.last_sign_in_time,
            last_active_time: user.last_active_time,
            mfa_enabled: user.mfa_enabled,
        }
    }
}
