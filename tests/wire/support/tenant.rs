//! An organization with people in every standing and one of every resource, and requests about them that are valid for any method.

mod values;

use values::Values;

use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::DynamicMessage;

use super::dynamic::Method;
use super::pb::{
    CreateContactRequest, CreateInvitationRequest, CreateJoinLinkRequest, CreateRoleRequest,
    CreateServiceAccountRequest, CreateServiceKeyRequest, ListMessagesRequest, SetMemberRolesRequest,
    SuspendMemberRequest, SuspendOrganizationRequest, TransferOwnershipRequest,
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
    /// The id and the token.
    join_link: (String, String),
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
            join_link: join_link(world, &organization_id).await,
            organization_id,
            suspended: false,
            people,
            invitation_id,
            invitation_token,
            service_account_id,
            service_key_id,
        }
    }

    /// The organization.
    pub(crate) fn organization_id(&self) -> &str {
        &self.organization_id
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

/// Whether something is made for each request of the method alone: a session, an invitation, or a transfer.
pub(crate) fn is_prepared(method: &Method) -> bool {
    ["token", "session_id", "session_token", "transfer_id"].iter().any(|field| has(method, field))
}

fn has(method: &Method, field: &str) -> bool {
    method.input().get_field_by_name(field).is_some()
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

async fn join_link(world: &World, organization_id: &str) -> (String, String) {
    let request =
        CreateJoinLinkRequest { organization_id: organization_id.to_owned(), ..CreateJoinLinkRequest::default() };
    let answer = world.join_links().create_join_link(world.as_operator(request)).await.unwrap().into_inner();
    (answer.join_link.unwrap().join_link_id, answer.token)
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
