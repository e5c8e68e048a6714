//! Request ids: a repeated call gets the first answer and has one effect, for every method that changes something.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::mailbox::Fault;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    AcceptInvitationRequest, ActivateOrganizationRequest, Contact, CreateContactRequest, CreateInvitationRequest,
    CreateOrganizationRequest, CreateRoleRequest, CreateServiceAccountRequest, CreateServiceKeyRequest,
    DeleteContactRequest, DeleteRoleRequest, DisableServiceAccountRequest, Founder, GetUserRequest,
    ListMessagesRequest, NewUser, Organization, ResendInvitationRequest, RetryMessageRequest, RevokeInvitationRequest,
    RevokeServiceKeyRequest, Role, SetMemberRolesRequest, SignUp, SuspendOrganizationRequest, UpdateContactRequest,
    UpdateOrganizationRequest, UpdateRoleRequest,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, assert_refused, call, create_user, new_user, service_account, service_key, sign_in,
    texts, traces,
};
use crate::support::world::World;

const BOB: &str = "bob@example.com";
const ID: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a10";
/// Less than a delivery's lease: a message on its way would be taken for lost, and sent twice.
const LATER: Duration = Duration::from_secs(10);

/// Calls a method with a request id and holds what an id promises; answers with the first answer. `$other` is another request of the method, `$by` another
/// caller who may do the same.
///
/// 1. The same call again, here and on another server, later: the same answer, and no trace of it.
/// 2. Another request under the same id: refused, and no trace of it.
/// 3. The same request of another caller: a call of its own, which succeeds with a trace or is refused for what the first one did.
macro_rules! hold {
    ($world:expr, $service:ident.$method:ident, $credential:expr, $request:expr, $other:expr, $by:expr) => {{
        let second = $world.second_server().await;
        let (mut request, mut other) = ($request, $other);
        request.request_id = ID.to_owned();
        other.request_id = ID.to_owned();
        let name = stringify!($method);
        let before = traces(&$world).await;
        let first = call!($world, $service.$method, $credential, request.clone()).unwrap();
        let after = traces(&$world).await;
        assert_ne!(before, after, "{name}");
        $world.clock.advance(LATER);
        for _ in 0..2 {
            assert_eq!(call!($world, $service.$method, $credential, request.clone()).unwrap(), first, "{name}");
        }
        assert_eq!(call!(second, $service.$method, $credential, request.clone()).unwrap(), first, "{name}");
        let reused = call!($world, $service.$method, $credential, other);
        assert_refused(reused, Code::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(traces(&$world).await, after, "{name}");
        match call!($world, $service.$method, $by, request.clone()) {
            Ok(_) => assert_ne!(traces(&$world).await, after, "{name}"),
            Err(status) => {
                assert_ne!(crate::support::scenario::refusal(&status).reason, "REQUEST_ID_REUSED", "{name}");
                assert_eq!(traces(&$world).await, after, "{name}");
            }
        }
        second.stop().await;
        first
    }};
}

mod ids;
mod join_links;

fn invitation(scenario: &Scenario, email: &str) -> CreateInvitationRequest {
    CreateInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        roles: texts(&["member"]),
        ..CreateInvitationRequest::default()
    }
}

async fn count(world: &World, table: &str) -> i64 {
    world.count(&format!("SELECT COUNT(*) AS n FROM {table}")).await
}

/// CreateOrganization, in each of its three forms.
#[wire_test]
async fn creating_organizations_is_repeatable(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let other = service_key(&world, &["operator"]).await;
    let creation = |owner: Owner, name: &str| CreateOrganizationRequest {
        display_name: name.to_owned(),
        owner: Some(owner),
        ..CreateOrganizationRequest::default()
    };
    let known = || Owner::OwnerUserId(ada.user_id.clone());
    let first = hold!(
        world,
        organizations.create_organization,
        world.operator_key(),
        creation(known(), "Acme"),
        creation(known(), "Other"),
        &other
    );
    assert_eq!(first.owner_user_id, ada.user_id);
    for (id, owner) in [
        (
            "00000000-0000-4000-8000-000000000001",
            Owner::NewOwner(NewUser {
                email: BOB.to_owned(),
                given_name: "Bob".to_owned(),
                password: PASSWORD.to_owned(),
                ..NewUser::default()
            }),
        ),
        (
            "00000000-0000-4000-8000-000000000002",
            Owner::Founder(Founder { email: "cy@example.com".to_owned(), ..Founder::default() }),
        ),
    ] {
        let request = CreateOrganizationRequest { request_id: id.to_owned(), ..creation(owner, "Acme") };
        let first = call!(world, organizations.create_organization, world.operator_key(), request.clone()).unwrap();
        let after = (
            count(&world, "organizations").await,
            count(&world, "users").await,
            count(&world, "outbox_messages").await,
        );
        assert_eq!(call!(world, organizations.create_organization, world.operator_key(), request).unwrap(), first);
        assert_eq!(
            (
                count(&world, "organizations").await,
                count(&world, "users").await,
                count(&world, "outbox_messages").await
            ),
            after
        );
    }
}

/// UpdateOrganization, SuspendOrganization and ActivateOrganization. A repeated suspension gets its first answer even after the activation.
#[wire_test]
async fn changing_organizations_is_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (key, other) = (world.operator_key(), service_key(&world, &["operator"]).await);
    let renaming = |name: &str| UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: scenario.organization_id.clone(),
            display_name: name.to_owned(),
            ..Organization::default()
        }),
        ..UpdateOrganizationRequest::default()
    };
    hold!(world, organizations.update_organization, &scenario.owner.session, renaming("One"), renaming("Two"), key);
    let elsewhere = Scenario::with(&world, "default", "", "other@example.com").await;
    let suspension = |of: &Scenario| SuspendOrganizationRequest {
        organization_id: of.organization_id.clone(),
        ..SuspendOrganizationRequest::default()
    };
    let activation = |of: &Scenario| ActivateOrganizationRequest {
        organization_id: of.organization_id.clone(),
        ..ActivateOrganizationRequest::default()
    };
    let suspended =
        hold!(world, organizations.suspend_organization, key, suspension(&scenario), suspension(&elsewhere), &other);
    hold!(world, organizations.activate_organization, key, activation(&scenario), activation(&elsewhere), &other);
    let again = SuspendOrganizationRequest { request_id: ID.to_owned(), ..suspension(&scenario) };
    assert_eq!(call!(world, organizations.suspend_organization, key, again).unwrap(), suspended);
    assert!(scenario.may(&scenario.owner.user_id, "members.read").await, "the organization stays active");
}

/// CreateInvitation, ResendInvitation and RevokeInvitation: one message for each, and the link in the answer is the same link.
#[wire_test]
async fn inviting_is_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (key, other) = (world.operator_key(), service_key(&world, &["operator"]).await);
    let linked = || CreateInvitationRequest { include_link: true, ..invitation(&scenario, BOB) };
    let made =
        hold!(world, invitations.create_invitation, key, linked(), invitation(&scenario, "cy@example.com"), &other);
    let mails = world.mailbox.wait_for(BOB, 1).await;
    assert!(made.link.ends_with(&mails[0].invitation_token()));
    let id = made.invitation.unwrap().invitation_id;
    let resending = |include_link: bool| ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: id.clone(),
        include_link,
        ..ResendInvitationRequest::default()
    };
    let again =
        hold!(world, invitations.resend_invitation, key, resending(true), resending(false), &scenario.owner.session);
    let mails = world.mailbox.wait_for(BOB, 2).await;
    assert!(again.link.ends_with(&mails[1].invitation_token()));
    assert_eq!((again.invitation.unwrap().send_count, count(&world, "outbox_messages").await), (2, 2));
    let revoking = |etag: &str| RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: id.clone(),
        etag: etag.to_owned(),
        ..RevokeInvitationRequest::default()
    };
    hold!(world, invitations.revoke_invitation, &scenario.owner.session, revoking(""), revoking("99"), key);
}

/// AcceptInvitation: the new person's session token is the same one, and there is one person and one session.
#[wire_test]
async fn accepting_is_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let token = scenario.invited(BOB, &["member"]).await;
    let acceptance = |name: &str| {
        let sign_up = SignUp { given_name: name.to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() };
        AcceptInvitationRequest {
            token: token.clone(),
            sign_up: Some(sign_up),
            request_id: ID.to_owned(),
            ..AcceptInvitationRequest::default()
        }
    };
    let first = world.invitations().accept_invitation(acceptance("Bob")).await.unwrap().into_inner();
    let after = traces(&world).await;
    world.clock.advance(LATER);
    let second = world.second_server().await;
    for answer in [
        world.invitations().accept_invitation(acceptance("Bob")).await,
        second.invitations().accept_invitation(acceptance("Bob")).await,
    ] {
        assert_eq!(answer.unwrap().into_inner(), first);
    }
    assert_refused(
        world.invitations().accept_invitation(acceptance("Eve")).await,
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
    // Somebody else with the same words is no repetition.
    assert_refused(
        call!(world, invitations.accept_invitation, &scenario.owner.session, acceptance("Bob")),
        Code::FailedPrecondition,
        "INVITATION_ALREADY_USED",
    );
    assert_eq!(traces(&world).await, after);
    call!(world, users.get_user, &first.session_token, GetUserRequest { user_id: first.user_id.clone() }).unwrap();
    // The token does not rest in the clear: the kept answer is sealed.
    let stored =
        format!("SELECT COUNT(*) AS n FROM replays WHERE CAST(sealed AS TEXT) LIKE '%{}%'", &first.session_token[4..]);
    assert_eq!(world.count(&stored).await, 0);
}

/// AcceptInvitation with an account, and SetMemberRoles.
#[wire_test]
async fn members_changes_are_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let bob = create_user(&world, BOB).await;
    let token = scenario.invited(BOB, &["member"]).await;
    let acceptance = |sign_up: Option<SignUp>| AcceptInvitationRequest {
        token: token.clone(),
        sign_up,
        ..AcceptInvitationRequest::default()
    };
    let eve = create_user(&world, "eve@example.com").await;
    let sign_up = SignUp { given_name: "Bob".to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() };
    hold!(
        world,
        invitations.accept_invitation,
        &bob.session,
        acceptance(None),
        acceptance(Some(sign_up.clone())),
        &eve.session
    );
    assert_refused(accept_as(&world, &bob.session, &token).await, Code::FailedPrecondition, "INVITATION_ALREADY_USED");

    let change = |role: &str| SetMemberRolesRequest {
        organization_id: scenario.organization_id.clone(),
        user_id: bob.user_id.clone(),
        roles: texts(&[role]),
        ..SetMemberRolesRequest::default()
    };
    hold!(
        world,
        members.set_member_roles,
        &scenario.owner.session,
        change("admin"),
        change("owner"),
        world.operator_key()
    );
}

/// CreateUser, CreateServiceAccount, DisableServiceAccount, CreateServiceKey (the same key), RevokeServiceKey.
#[wire_test]
async fn creating_accounts_and_keys_is_repeatable(world: World) {
    let (key, other) = (world.operator_key(), service_key(&world, &["operator"]).await);
    hold!(world, users.create_user, key, new_user(BOB), new_user("cy@example.com"), &other);
    sign_in(&world, BOB, PASSWORD).await.unwrap();

    let creation = |name: &str| CreateServiceAccountRequest {
        display_name: name.to_owned(),
        scopes: texts(&["users.read"]),
        ..CreateServiceAccountRequest::default()
    };
    let account = hold!(world, service_accounts.create_service_account, key, creation("One"), creation("Two"), &other)
        .service_account
        .unwrap()
        .service_account_id;
    let (elsewhere, _) = service_account(&world, &["users.read"]).await;
    let new_key =
        |of: &str| CreateServiceKeyRequest { service_account_id: of.to_owned(), ..CreateServiceKeyRequest::default() };
    let made = hold!(world, service_accounts.create_service_key, key, new_key(&account), new_key(&elsewhere), &other);
    call!(world, users.get_user, &made.key, GetUserRequest { user_id: ID.to_owned() }).unwrap_err();
    let revoking = |id: &str| RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: id.to_owned(),
        ..RevokeServiceKeyRequest::default()
    };
    hold!(
        world,
        service_accounts.revoke_service_key,
        key,
        revoking(&made.service_key.unwrap().service_key_id),
        revoking(ID),
        &other
    );
    let disabling = |of: &str| DisableServiceAccountRequest {
        service_account_id: of.to_owned(),
        ..DisableServiceAccountRequest::default()
    };
    hold!(world, service_accounts.disable_service_account, key, disabling(&account), disabling(&elsewhere), &other);
}

/// RetryMessage: one retry queues once.
#[wire_test]
async fn retrying_a_message_is_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    world.mailbox.inject_times(Fault::Reject(BOB.to_owned()), 1);
    scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    while world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'failed'").await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let listed =
        call!(world, deliveries.list_messages, world.operator_key(), ListMessagesRequest::default()).unwrap().messages;
    let retrying = |id: &str| RetryMessageRequest { message_id: id.to_owned(), ..RetryMessageRequest::default() };
    let other = service_key(&world, &["operator"]).await;
    hold!(world, deliveries.retry_message, world.operator_key(), retrying(&listed[0].message_id), retrying(ID), &other);
    assert_eq!(world.mailbox.wait_for(BOB, 1).await.len(), 1);
}

/// CreateContact, UpdateContact and DeleteContact.
#[wire_test]
async fn changes_of_contacts_are_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (key, other) = (world.operator_key(), service_key(&world, &["operator"]).await);
    let creation = |email: &str| CreateContactRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        display_name: "Operations".to_owned(),
        ..CreateContactRequest::default()
    };
    let made = hold!(
        world,
        contacts.create_contact,
        &scenario.owner.session,
        creation("ops@example.com"),
        creation("noc@example.com"),
        key
    );
    let id = made.contact.unwrap().contact_id;
    let renaming = |name: &str| {
        let contact = Contact {
            organization_id: scenario.organization_id.clone(),
            contact_id: id.clone(),
            display_name: name.to_owned(),
            ..Contact::default()
        };
        UpdateContactRequest { contact: Some(contact), ..UpdateContactRequest::default() }
    };
    hold!(world, contacts.update_contact, &scenario.owner.session, renaming("One"), renaming("Two"), key);
    let deletion = |id: &str| DeleteContactRequest {
        organization_id: scenario.organization_id.clone(),
        contact_id: id.to_owned(),
        ..DeleteContactRequest::default()
    };
    hold!(world, contacts.delete_contact, key, deletion(&id), deletion(ID), &other);
}

/// CreateRole, UpdateRole and DeleteRole.
#[wire_test]
async fn changes_of_roles_are_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (key, other) = (world.operator_key(), service_key(&world, &["operator"]).await);
    let creation = |role: &str| CreateRoleRequest {
        organization_id: scenario.organization_id.clone(),
        role: role.to_owned(),
        display_name: "Ours".to_owned(),
        ..CreateRoleRequest::default()
    };
    hold!(world, roles.create_role, &scenario.owner.session, creation("custom.one"), creation("custom.two"), key);
    let renaming = |name: &str| {
        let role = Role { role: "custom.one".to_owned(), display_name: name.to_owned(), ..Role::default() };
        UpdateRoleRequest {
            organization_id: scenario.organization_id.clone(),
            role: Some(role),
            ..UpdateRoleRequest::default()
        }
    };
    hold!(world, roles.update_role, &scenario.owner.session, renaming("One"), renaming("Two"), key);
    let deletion = |role: &str| DeleteRoleRequest {
        organization_id: scenario.organization_id.clone(),
        role: role.to_owned(),
        ..DeleteRoleRequest::default()
    };
    hold!(world, roles.delete_role, key, deletion("custom.one"), deletion("custom.two"), &other);
}
