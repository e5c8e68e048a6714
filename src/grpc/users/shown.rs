//! Users in the contract's terms.

use crate::{
    app::{etag, records::User},
    domain::user::UserState,
    grpc::{pb, wire::convert::timestamp},
};

/// The user in the contract's terms.
pub(in crate::grpc) fn user(row: User) -> pb::User {
    pb::User {
        user_id: row.id.to_string(),
        display_name: row.effective_display_name(),
        email: row.email,
        email_verified: row.email_verify_time.is_some(),
        given_name: row.given_name,
        family_name: row.family_name,
        locale: row.locale.unwrap_or_default(),
        last_sign_in_time: row.last_sign_in_time.map(timestamp),
        create_time: Some(timestamp(row.create_time)),
        update_time: Some(timestamp(row.update_time)),
        username: row.username.unwrap_or_default(),
        state: pb::UserState::from(row.state).into(),
        delete_time: row.delete_time.map(timestamp),
        etag: etag(row.revision),
        phone_number: row.phone_number.unwrap_or_default(),
        scheduled_delete_time: row.scheduled_delete_time.map(timestamp),
        erase_time: row.erase_time.map(timestamp),
        attributes: row.attributes.unwrap_or_default().into_iter().collect(),
    }
}

impl From<UserState> for pb::UserState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Active => pb::UserState::Active,
            UserState::Suspended => pb::UserState::Suspended,
            UserState::Deleted => pb::UserState::Deleted,
        }
    }
}
