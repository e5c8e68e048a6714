//! What stands in the fields of a request.

use std::sync::atomic::Ordering;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::super::dynamic::{field_comment, is_ours};
use super::super::models::document;
use super::super::scenario::{PASSWORD, Person};
use super::{NEXT, OWN_ROLE, Tenant, fresh_address};

/// Whether the field names a role of the organization itself.
fn is_role(field: &FieldDescriptor) -> bool {
    ["Role", "GetRoleRequest", "UpdateRoleRequest", "DeleteRoleRequest"].contains(&field.parent_message().name())
}

pub(super) struct Values<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) user: &'a Person,
    pub(super) scope: String,
    /// Which field of a `oneof` is filled.
    pub(super) choice: usize,
    pub(super) token: String,
    pub(super) session_id: String,
    pub(super) session_token: String,
    pub(super) transfer_id: String,
}

impl Values<'_> {
    pub(super) fn fill(&self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            let chosen =
                field.containing_oneof().is_none_or(|oneof| oneof.fields().nth(self.choice) == Some(field.clone()));
            if let Some(value) = self.value(&field).filter(|_| chosen) {
                let value = if field.is_list() { Value::List(vec![value]) } else { value };
                message.set_field(&field, value);
            }
        }
        if descriptor.get_field_by_name("grants").is_some() {
            // What a role needs that gives and changes members.
            let needed = ["members.read", "organization.read", "members.set_roles"];
            let needed = needed.map(|permission| Value::String(permission.to_owned()));
            message.set_field_by_name("permissions", Value::List(needed.to_vec()));
        }
        message
    }

    fn value(&self, field: &FieldDescriptor) -> Option<Value> {
        let comment = field_comment(field);
        // What is not read is not sent.
        if comment.starts_with("Output only.") || comment.starts_with("Immutable.") {
            return None;
        }
        match field.kind() {
            // Takes the place of the password, which everybody here has.
            Kind::Message(inner)
                if inner.name() == "OpenIdConnectToken" && field.parent_message().name() != "LinkIdentityRequest" =>
            {
                None
            }
            // They need a scope of their own.
            Kind::Message(inner) if inner.name() == "ImportedMembership" => None,
            Kind::Message(inner) if is_ours(&inner) => Some(Value::Message(self.fill(&inner))),
            Kind::String => self.text(field).map(Value::String),
            Kind::Int64 if field.name() == "increment" => Some(Value::I64(1)),
            Kind::Enum(_) if field.name() == "purpose" => Some(Value::EnumNumber(1)),
            // Times, masks, flags, sizes and filters can all be left out.
            _ => None,
        }
    }

    fn text(&self, field: &FieldDescriptor) -> Option<String> {
        let tenant = self.tenant;
        let text = match field.name() {
            "organization_id" => &tenant.organization_id,
            "owner_user_id" if field.parent_message().name() == "TransferOwnershipRequest" => {
                &tenant.people.owner.user_id
            }
            // Whom it is about, and not whom a key is made for.
            "organization_ids" if field.parent_message().name().contains("ServiceAccount") => return None,
            "organization_ids" => &tenant.organization_id,
            "user_id" | "user_ids" | "owner_user_id" | "actor_user_id" | "subject_user_id" => &self.user.user_id,
            "nominee_user_id" => &tenant.people.subject.user_id,
            "transfer_id" => &self.transfer_id,
            // In place of the token.
            "invitation_id"
                if ["AcceptInvitationRequest", "DeclineInvitationRequest"].contains(&field.parent_message().name()) =>
            {
                return None;
            }
            "invitation_id" => &tenant.invitation_id,
            "join_link_id" => &tenant.join_link.0,
            "token" if is_of_join_link(field.parent_message()) => &tenant.join_link.1,
            "token" => &self.token,
            "session_id" => &self.session_id,
            "session_token" => &self.session_token,
            "service_account_id" | "actor_service_account_id" | "subject_id" => &tenant.service_account_id,
            "service_key_id" => &tenant.service_key_id,
            "message_id" => &tenant.message_id,
            // Whoever is given another address could not be invited at theirs any more.
            "email" if ["SignInRequest", "ChangeUserEmailRequest"].contains(&field.parent_message().name()) => {
                &self.user.email
            }
            "username" if field.parent_message().name() == "SignInRequest" => return None,
            "username" => return Some(format!("name-{}", uuid::Uuid::now_v7().simple())),
            "email" => return Some(fresh_address("somebody")),
            "password" | "old_password" | "new_password" | "present_password" => PASSWORD,
            "import_id" => return Some(uuid::Uuid::now_v7().to_string()),
            "password_hash" => "$2b$04$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS",
            "display_name" => "Analytical Engines",
            "given_name" => "Ada",
            "family_name" => "Lovelace",
            "locale" => "en",
            "slug" => return Some(format!("acme-{}", uuid::Uuid::now_v7().simple())),
            "access_model" => "default",
            "permission" => "members.read",
            "role" if field.parent_message().name() == "CreateRoleRequest" => {
                return Some(format!("custom.r{}", NEXT.fetch_add(1, Ordering::Relaxed)));
            }
            "role" if is_role(field) => OWN_ROLE,
            // Another one than the subject has.
            "roles" if field.parent_message().name() == "SetMemberRolesRequest" => "admin",
            // The subject has the other one, and can have no second.
            "roles" if field.parent_message().name() == "RemoveMemberRolesRequest" => "admin",
            "role" | "roles" | "grants" | "manages" => "member",
            "permissions" => "members.read",
            "description" => "Keeps an eye on things.",
            "scopes" => &self.scope,
            "personal_message" => "Welcome!",
            "code" => "12345678",
            "totp_code" => "123456",
            "recovery_code" => "abcdef-ghijkl-mnopqr-stuvwx",
            // Nobody's.
            "step_up_id" | "enrollment_id" => "00000000-0000-7000-8000-000000000000",
            "id_token" => "a.b.c",
            "nonce" => "n",
            "identity_id" => "00000000-0000-7000-8000-000000000000",
            "user_agent" => "curl/8",
            "phone_number" => "+44 20 7946 0018",
            "kinds" => "member.added",
            "email_domains" => "example.com",
            "contact_id" => &tenant.contact_id,
            "notification_role" | "notification_roles" => "maintenance",
            "report_id" => {
                return Some(uuid::Uuid::from_u64_pair(7, NEXT.fetch_add(1, Ordering::Relaxed) as u64).to_string());
            }
            "document" => return Some(document(&format!("model{}", NEXT.fetch_add(1, Ordering::Relaxed)), &[])),
            "action" | "actions" => "assets.import",
            "summary" => "Imported 12 assets",
            "counter" => "imports",
            "etag" | "known_hash" | "request_id" | "page_token" | "cursor" | "organization_kind" | "search" => {
                return None;
            }
            _ => panic!("{}: what is a valid value of it? Say so in support/tenant.rs.", field.full_name()),
        };
        Some(text.to_owned())
    }
}

/// Whether a message's token is that of a join link, and not of an invitation.
fn is_of_join_link(message: &MessageDescriptor) -> bool {
    ["PreviewJoinLinkRequest", "JoinOrganizationRequest"].contains(&message.name())
}
