//! An organization with people in every standing and one of every resource, and requests about them that are valid for any method.

use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::dynamic::{Method, field_comment, is_ours};
use super::pb::{
    CreateContactRequest, CreateInvitationRequest, CreateRoleRequest, CreateServiceAccountRequest,
    CreateServiceKeyRequest, ListMessagesRequest, SetMemberRolesRequest, SuspendMemberRequest,
    SuspendOrganizationRequest, TransferOwnershipRequest,
};
use super::scenario::{PASSWORD, Person, accept_as, create_organization, create_user, sign_in};
use super::world::World;

/// Counts what has to be different each time.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// An address that nobody has.
pub(crate) fn fresh_address(name: &str) -> String {
    format!("{name}-{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A standing in an organization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seat {
    Owner,
    Admin,
    Member,
    /// An owner who is suspended.
    SuspendedOwner,
}

/// People who have accounts, one for each standing.
#[derive(Clone)]
pub(crate) struct People {
    owner: Person,
    admin: Person,
    member: Person,
    suspended: Person,
    subject: Person,
}

impl People {
    /// Opens the accounts.
    pub(crate) async fn arrive(world: &World) -> Self {
        let account = async |name: &str| create_user(world, &fresh_address(name)).await;
        let suspended = account("suspended").await;
        // Who is an active member somewhere else keeps their session when they are suspended here.
        create_organization(world, "default", "", &suspended.user_id).await;
        Self {
            owner: account("owner").await,
            admin: account("admin").await,
            member: account("member").await,
            suspended,
            subject: account("subject").await,
        }
    }
}

/// An organization under the default model.
pub(crate) struct Tenant {
    organization_id: String,
    suspended: bool,
    people: People,
    invitation_id: String,
    invitation_token: String,
    message_id: String,
    contact_id: String,
    service_account_id: String,
    service_key_id: String,
}

impl Tenant {
    /// Founds it. `scopes` are those of the service account in it.
    pub(crate) async fn found(world: &World, people: People, scopes: &[&str]) -> Self {
        let organization_id = create_organization(world, "default", "", &people.owner.user_id).await;
        let joining = [
            (&people.admin, "admin"),
            (&people.member, "member"),
            (&people.suspended, "owner"),
            (&people.subject, "member"),
        ];
        for (person, role) in joining {
            let (_, token) = invite(world, &organization_id, &person.email, role).await;
            accept_as(world, &person.session, &token).await.unwrap();
        }
        own_role(world, &organization_id).await;
        suspend_member(world, &organization_id, &people.suspended).await;
        let (invitation_id, invitation_token) =
            invite(world, &organization_id, &fresh_address("invited"), "member").await;
        let (service_account_id, service_key_id) = service(world, scopes).await;
        Self {
            message_id: newest_message(world, &organization_id).await,
            contact_id: contact(world, &organization_id).await,
            organization_id,
            suspended: false,
            people,
            invitation_id,
            invitation_token,
            service_account_id,
            service_key_id,
        }
    }

    /// Suspends the organization.
    pub(crate) async fn suspend(&mut self, world: &World) {
        let request = SuspendOrganizationRequest {
            organization_id: self.organization_id.clone(),
            ..SuspendOrganizationRequest::default()
        };
        let request = world.as_operator(request);
        world.organizations().suspend_organization(request).await.unwrap();
        self.suspended = true;
    }

    /// Who sits there.
    pub(crate) fn person(&self, seat: Seat) -> &Person {
        match seat {
            Seat::Owner => &self.people.owner,
            Seat::Admin => &self.people.admin,
            Seat::Member => &self.people.member,
            Seat::SuspendedOwner => &self.people.suspended,
        }
    }

    /// A member whom others ask about and change.
    pub(crate) fn subject(&self) -> &Person {
        &self.people.subject
    }

    /// Ownership handed over and back again, so that everybody is what they were: the first transfer's id.
    async fn transferred_and_back(&self, world: &World) -> String {
        let transfer = async |owner: &Person, nominee: &Person| {
            let request = TransferOwnershipRequest {
                organization_id: self.organization_id.clone(),
                owner_user_id: owner.user_id.clone(),
                nominee_user_id: nominee.user_id.clone(),
                ..TransferOwnershipRequest::default()
            };
            let request = world.as_operator(request);
            let answer = world.ownership().transfer_ownership(request).await.unwrap();
            answer.into_inner().transfer.unwrap().transfer_id
        };
        let (owner, subject) = (&self.people.owner, &self.people.subject);
        let id = transfer(owner, subject).await;
        transfer(subject, owner).await;
        let request = SetMemberRolesRequest {
            organization_id: self.organization_id.clone(),
            user_id: subject.user_id.clone(),
            roles: vec!["member".to_owned()],
            ..SetMemberRolesRequest::default()
        };
        world.members().set_member_roles(world.as_operator(request)).await.unwrap();
        id
    }

    /// A request of the method that is valid here and about `user`: ids of what exists, a session and a token
    /// of its own, an address that nobody has. Fields
    /// that a request may leave out and that change what it does are left out.
    pub(crate) async fn request(&self, world: &World, method: &Method, user: &Person) -> DynamicMessage {
        self.requests(world, method, user).await.remove(0)
    }

    /// As [`Self::request`], one for each choice that the request has.
    pub(crate) async fn requests(&self, world: &World, method: &Method, user: &Person) -> Vec<DynamicMessage> {
        let mut values = Values {
            tenant: self,
            user,
            scope: method.rule().scope,
            choice: 0,
            token: self.invitation_token.clone(),
            session_id: String::new(),
            session_token: String::new(),
            transfer_id: uuid::Uuid::now_v7().to_string(),
        };
        if has(method, "transfer_id") && !self.suspended {
            values.transfer_id = self.transferred_and_back(world).await;
        }
        if has(method, "token") && !self.suspended {
            values.token = invite(world, &self.organization_id, &fresh_address("invited"), "member").await.1;
        }
        if has(method, "session_id") || has(method, "session_token") {
            let session = sign_in(world, &user.email, PASSWORD).await.unwrap();
            values.session_id = session.session.unwrap().session_id;
            values.session_token = session.session_token;
        }
        let choices = method.input().oneofs().map(|oneof| oneof.fields().len()).max().unwrap_or(1);
        let request = |choice| {
            values.choice = choice;
            values.fill(&method.input())
        };
        (0..choices).map(request).collect()
    }
}

/// The role that every tenant has made for itself.
const OWN_ROLE: &str = "custom.reader";

/// Whether the field names a role of the organization itself.
fn is_role(field: &FieldDescriptor) -> bool {
    ["Role", "GetRoleRequest", "UpdateRoleRequest", "DeleteRoleRequest"].contains(&field.parent_message().name())
}

/// Whether something is made for each request of the method alone: a session, an invitation, or a transfer.
pub(crate) fn is_prepared(method: &Method) -> bool {
    ["token", "session_id", "session_token", "transfer_id"].iter().any(|field| has(method, field))
}

fn has(method: &Method, field: &str) -> bool {
    method.input().get_field_by_name(field).is_some()
}

struct Values<'a> {
    tenant: &'a Tenant,
    user: &'a Person,
    scope: String,
    /// Which field of a `oneof` is filled.
    choice: usize,
    token: String,
    session_id: String,
    session_token: String,
    transfer_id: String,
}

impl Values<'_> {
    fn fill(&self, descriptor: &MessageDescriptor) -> DynamicMessage {
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
            "user_id" | "user_ids" | "owner_user_id" | "actor_user_id" | "subject_user_id" => &self.user.user_id,
            "nominee_user_id" => &tenant.people.subject.user_id,
            "transfer_id" => &self.transfer_id,
            "invitation_id" => &tenant.invitation_id,
            "token" => &self.token,
            "session_id" => &self.session_id,
            "session_token" => &self.session_token,
            "service_account_id" => &tenant.service_account_id,
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
            "access_model" => "default",
            "permission" => "members.read",
            "role" if field.parent_message().name() == "CreateRoleRequest" => {
                return Some(format!("custom.r{}", NEXT.fetch_add(1, Ordering::Relaxed)));
            }
            "role" if is_role(field) => OWN_ROLE,
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
            "contact_id" => &tenant.contact_id,
            "notification_role" | "notification_roles" => "maintenance",
            "report_id" => {
                return Some(uuid::Uuid::from_u64_pair(7, NEXT.fetch_add(1, Ordering::Relaxed) as u64).to_string());
            }
            "action" | "actions" => "assets.import",
            "summary" => "Imported 12 assets",
            "counter" => "imports",
            "etag" | "known_hash" | "request_id" | "page_token" | "organization_kind" => return None,
            _ => panic!("{}: what is a valid value of it? Say so in support/tenant.rs.", field.full_name()),
        };
        Some(text.to_owned())
    }
}

async fn suspend_member(world: &World, organization_id: &str, person: &Person) {
    let request = SuspendMemberRequest {
        organization_id: organization_id.to_owned(),
        user_id: person.user_id.clone(),
        ..SuspendMemberRequest::default()
    };
    world.members().suspend_member(world.as_operator(request)).await.unwrap();
}

async fn invite(world: &World, organization_id: &str, email: &str, role: &str) -> (String, String) {
    let request = CreateInvitationRequest {
        organization_id: organization_id.to_owned(),
        email: email.to_owned(),
        roles: vec![role.to_owned()],
        include_link: true,
        ..CreateInvitationRequest::default()
    };
    let request = world.as_operator(request);
    let answer = world.invitations().create_invitation(request).await.unwrap().into_inner();
    let token = answer.link.rsplit('/').next().unwrap().to_owned();
    (answer.invitation.unwrap().invitation_id, token)
}

async fn own_role(world: &World, organization_id: &str) {
    let request = CreateRoleRequest {
        organization_id: organization_id.to_owned(),
        role: OWN_ROLE.to_owned(),
        display_name: "Reader".to_owned(),
        permissions: vec!["members.read".to_owned()],
        ..CreateRoleRequest::default()
    };
    world.roles().create_role(world.as_operator(request)).await.unwrap();
}

async fn contact(world: &World, organization_id: &str) -> String {
    let request = CreateContactRequest {
        organization_id: organization_id.to_owned(),
        email: fresh_address("contact"),
        display_name: "Operations".to_owned(),
        notification_roles: vec!["maintenance".to_owned()],
        ..CreateContactRequest::default()
    };
    let request = world.as_operator(request);
    let answer = world.contacts().create_contact(request).await.unwrap().into_inner();
    answer.contact.unwrap().contact_id
}

async fn newest_message(world: &World, organization_id: &str) -> String {
    let request = ListMessagesRequest {
        organization_id: organization_id.to_owned(),
        page_size: 1,
        ..ListMessagesRequest::default()
    };
    let request = world.as_operator(request);
    let mut answer = world.deliveries().list_messages(request).await.unwrap().into_inner();
    answer.messages.remove(0).message_id
}

async fn service(world: &World, scopes: &[&str]) -> (String, String) {
    let request = CreateServiceAccountRequest {
        display_name: "A service".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..CreateServiceAccountRequest::default()
    };
    let mut accounts = world.service_accounts();
    let request = world.as_operator(request);
    let account = accounts.create_service_account(request).await.unwrap().into_inner();
    let id = account.service_account.unwrap().service_account_id;
    let request = CreateServiceKeyRequest { service_account_id: id.clone(), ..CreateServiceKeyRequest::default() };
    let request = world.as_operator(request);
    let key = accounts.create_service_key(request).await.unwrap().into_inner();
    (id, key.service_key.unwrap().service_key_id)
}
