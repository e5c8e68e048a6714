//! The requests of UserService that change an account.

use uuid::Uuid;

use super::{
    fields::{ETAG, Fields, Parse},
    pb,
};
use crate::{
    app::{
        profiles::ProfileChange,
        user_states::{ChangeState, Update},
    },
    domain::{
        text::{DisplayName, Locale, PersonName},
        user::UserChange,
    },
};

const EDITABLE: [&str; 6] = [
    "given_name",
    "family_name",
    "display_name",
    "username",
    "locale",
    "phone_number",
];

impl Parse for pb::BatchGetUsersRequest {
    type Command = Vec<Uuid>;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.items("user_ids", &self.user_ids, 1000)?;
        let read: Vec<Option<Uuid>> = self
            .user_ids
            .iter()
            .enumerate()
            .map(|(index, id)| fields.uuid(&format!("user_ids[{index}]"), id))
            .collect();
        read.into_iter().collect()
    }
}

impl Parse for pb::UpdateUserRequest {
    type Command = Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let user = fields.required("user", self.user.as_ref());
        let populated: Vec<&str> = user.map(populated).unwrap_or_default();
        let mask = fields.mask("update_mask", self.update_mask.as_ref(), &EDITABLE, &populated);
        let user = user?;
        // Of a mask that is wrong, the values beside it are looked at all the same: every violation is told at once.
        let changing = mask
            .clone()
            .unwrap_or_else(|| populated.iter().map(|path| (*path).to_owned()).collect());
        let (user_id, change) = fields.within("user", |fields| {
            let user_id = fields.uuid("user_id", &user.user_id);
            (user_id, change(user, &changing, fields))
        });
        mask?;
        Some(Update {
            user_id: user_id?,
            change: change?,
            etag: etag?,
        })
    }
}

fn populated(user: &pb::User) -> Vec<&'static str> {
    let values = [
        &user.given_name,
        &user.family_name,
        &user.display_name,
        &user.username,
        &user.locale,
        &user.phone_number,
    ];
    let named = EDITABLE.into_iter().zip(values);
    named
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name)
        .collect()
}

fn change(user: &pb::User, paths: &[String], fields: &mut Fields<'_>) -> Option<ProfileChange> {
    let profile = profile(
        paths,
        [&user.given_name, &user.family_name, &user.display_name, &user.username],
        fields,
    );
    let locale = fields.changed(paths, "locale", |fields, field| {
        fields.optional_text(field, &user.locale, Locale::parse)
    });
    let phone_number = fields.changed(paths, "phone_number", |fields, field| {
        fields.phone_number(field, &user.phone_number)
    });
    Some(ProfileChange {
        locale: locale?,
        phone_number: phone_number?,
        ..profile?
    })
}

/// The values of `given_name`, `family_name`, `display_name` and `username`, of those that the paths name.
pub(super) fn profile(paths: &[String], values: [&String; 4], fields: &mut Fields<'_>) -> Option<ProfileChange> {
    let [given_name, family_name, display_name, username] = values;
    let given_name = fields.changed(paths, "given_name", |fields, field| {
        fields.text(field, given_name, PersonName::parse)
    });
    let family_name = fields.changed(paths, "family_name", |fields, field| {
        fields.optional_text(field, family_name, PersonName::parse)
    });
    let display_name = fields.changed(paths, "display_name", |fields, field| {
        fields.optional_text(field, display_name, DisplayName::parse)
    });
    let username = fields.changed(paths, "username", |fields, field| fields.username(field, username));
    Some(ProfileChange {
        given_name: given_name?,
        family_name: family_name?,
        display_name: display_name?,
        username: username?,
        locale: None,
        phone_number: None,
    })
}

/// Requests that name a user and change the state of the account.
macro_rules! state_changes {
    ($($request:ty => $change:expr),* $(,)?) => {
        $(impl Parse for $request {
            type Command = ChangeState;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let user_id = fields.uuid("user_id", &self.user_id);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                Some(ChangeState {
                    user_id: user_id?,
                    change: $change,
                    etag: etag?,
                    validate_only: self.validate_only,
                })
            }
        })*
    };
}

state_changes!(
    pb::SuspendUserRequest => UserChange::Suspend,
    pb::ActivateUserRequest => UserChange::Activate,
    pb::DeleteUserRequest => UserChange::Delete,
    pb::UndeleteUserRequest => UserChange::Undelete,
);
