//! The requests of UserService that change an account.

use uuid::Uuid;

use crate::{
    app::users::{
        profiles::ProfileChange,
        states::{ChangeUserState, Update},
    },
    domain::{
        text::{DisplayName, Locale, PersonName},
        user::UserChange,
    },
    grpc::{
        pb,
        wire::{
            fields::{ETAG, Fields, Parse},
            mask::Mask,
        },
    },
};

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
        let mask = fields.mask(self.update_mask.as_ref(), self.user.as_ref(), &["user_id"], CHANGEABLE);
        let user = fields.required("user", self.user.as_ref())?;
        let (user_id, change) = fields.within("user", |fields| {
            let user_id = fields.uuid("user_id", &user.user_id);
            (user_id, change(user, &mask, fields))
        });
        Some(Update { user_id: user_id?, change: change?, etag: etag? })
    }
}

/// The fields that a mask may name.
const CHANGEABLE: &[&str] =
    &["given_name", "family_name", "display_name", "username", "locale", "phone_number", "attributes"];

fn change(user: &pb::User, mask: &Mask, fields: &mut Fields<'_>) -> Option<ProfileChange> {
    let profile = profile(mask, [&user.given_name, &user.family_name, &user.display_name, &user.username], fields);
    let locale =
        fields.changed(mask, "locale", |fields, field| fields.optional_text(field, &user.locale, Locale::parse));
    let phone_number =
        fields.changed(mask, "phone_number", |fields, field| fields.phone_number(field, &user.phone_number));
    let attributes = fields.changed(mask, "attributes", |fields, field| fields.attributes(field, &user.attributes));
    Some(ProfileChange { locale: locale?, phone_number: phone_number?, attributes: attributes?, ..profile? })
}

/// The values of `given_name`, `family_name`, `display_name` and `username`, of those that the mask names.
pub(crate) fn profile(mask: &Mask, values: [&String; 4], fields: &mut Fields<'_>) -> Option<ProfileChange> {
    let [given_name, family_name, display_name, username] = values;
    let given_name =
        fields.changed(mask, "given_name", |fields, field| fields.text(field, given_name, PersonName::parse));
    let family_name = fields
        .changed(mask, "family_name", |fields, field| fields.optional_text(field, family_name, PersonName::parse));
    let display_name = fields
        .changed(mask, "display_name", |fields, field| fields.optional_text(field, display_name, DisplayName::parse));
    let username = fields.changed(mask, "username", |fields, field| fields.username(field, username));
    Some(ProfileChange {
        given_name: given_name?,
        family_name: family_name?,
        display_name: display_name?,
        username: username?,
        ..ProfileChange::default()
    })
}

/// Requests that name a user and change the state of the account.
macro_rules! state_changes {
    ($($request:ty => $change:expr),* $(,)?) => {
        $(impl Parse for $request {
            type Command = ChangeUserState;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let user_id = fields.uuid("user_id", &self.user_id);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                Some(ChangeUserState {
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
