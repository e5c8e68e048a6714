//! The requests of MemberService that change a membership or what a person is called.

use crate::{
    app::{
        members::{
            profiles,
            states::{Change, ChangeMemberState},
        },
        users::NewUser,
    },
    domain::{attributes::Attributes, text::PersonName},
    grpc::{
        pb,
        users::changes::profile,
        wire::fields::{ETAG, Fields, Parse},
    },
};

impl Parse for pb::CreateMemberRequest {
    type Command = profiles::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let email = fields.email("email", &self.email);
        let given_name = fields.text("given_name", &self.given_name, PersonName::parse);
        let family_name = fields.optional_text("family_name", &self.family_name, PersonName::parse);
        let password = fields.password("password", &self.password);
        let roles = fields.roles("roles", &self.roles);
        let username = fields.username("username", &self.username);
        let locale = fields.locale("locale", &self.locale);
        let phone_number = fields.phone_number("phone_number", &self.phone_number);
        Some(profiles::Create {
            organization_id: organization_id?,
            person: NewUser {
                email: email?,
                // That somebody typed an address does not show whose it is.
                email_verified: false,
                proven: false,
                given_name: given_name?,
                family_name: family_name?,
                password: Some(password?),
                locale: locale?,
                username: username?,
                phone_number: phone_number?,
                attributes: Attributes::default(),
            },
            roles: roles?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::UpdateMemberRequest {
    type Command = profiles::Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let mask =
            fields.mask(self.update_mask.as_ref(), self.member.as_ref(), &["organization_id", "user_id"], CHANGEABLE);
        let member = fields.required("member", self.member.as_ref())?;
        let (organization_id, user_id, change) = fields.within("member", |fields| {
            let organization_id = fields.uuid("organization_id", &member.organization_id);
            let user_id = fields.uuid("user_id", &member.user_id);
            let values = [&member.given_name, &member.family_name, &member.display_name, &member.username];
            (organization_id, user_id, profile(&mask, values, fields))
        });
        Some(profiles::Update {
            organization_id: organization_id?,
            user_id: user_id?,
            fields: mask.into_paths(),
            change: change?,
            etag: etag?,
            validate_only: self.validate_only,
        })
    }
}

/// The fields of a person that a mask may name: those that can be edited, and those for which the refusal tells what to do instead.
const CHANGEABLE: &[&str] =
    &["given_name", "family_name", "display_name", "username", "email", "password", "mfa_enabled", "roles", "state"];

/// Requests that name a member and change their state.
macro_rules! state_changes {
    ($($request:ty => $change:expr),* $(,)?) => {
        $(impl Parse for $request {
            type Command = ChangeMemberState;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let organization_id = fields.uuid("organization_id", &self.organization_id);
                let user_id = fields.uuid("user_id", &self.user_id);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                Some(ChangeMemberState {
                    organization_id: organization_id?,
                    user_id: Some(user_id?),
                    change: $change,
                    etag: etag?,
                    validate_only: self.validate_only,
                })
            }
        })*
    };
}

state_changes!(
    pb::SuspendMemberRequest => Change::Suspend,
    pb::ActivateMemberRequest => Change::Activate,
    pb::RemoveMemberRequest => Change::Remove,
    pb::RestoreMemberRequest => Change::Restore,
);

impl Parse for pb::LeaveOrganizationRequest {
    type Command = ChangeMemberState;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        Some(ChangeMemberState {
            organization_id: fields.uuid("organization_id", &self.organization_id)?,
            user_id: None,
            change: Change::Leave,
            etag: String::new(),
            validate_only: self.validate_only,
        })
    }
}
