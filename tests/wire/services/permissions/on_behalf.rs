//! For whom a service may act, and by whose rights.

use roster_test_macros::wire_test;
use tonic::{Code, Request};

use super::{BOB, NOBODY};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateInvitationRequest, CreateOrganizationRequest, Founder, ListAuditEntriesRequest, ListMembersRequest,
    SignOutRequest, SuspendOrganizationRequest,
};
use crate::support::scenario::{
    Scenario, accept_as_new, assert_refused, call, create_user, service_account, service_key, settled, texts, traces,
};
use crate::support::world::World;

fn as_actor<T>(world: &World, key: &str, user_id: &str, message: T) -> Request<T> {
    let mut request = world.as_service(key, message);
    request.metadata_mut().insert("roster-actor", user_id.parse().unwrap());
    request
}

fn invitation(scenario: &Scenario, email: &str, role: &str) -> CreateInvitationRequest {
    CreateInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        roles: texts(&[role]),
        ..CreateInvitationRequest::default()
    }
}

/// On behalf of a user a service needs both: its own scope and the user's permission. Both stand in the record.
#[wire_test]
async fn on_behalf_of_needs_both_rights(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let member = scenario.join(BOB, &["member"]).await;
    let (account, key) = service_account(&world, &["invitations.write"]).await;
    let reader = service_key(&world, &["invitations.read", "members.read"]).await;
    let before = traces(&world).await;
    let invite = async |key: &str, session: &str, role: &str| {
        let request = world.on_behalf_of(key, session, invitation(&scenario, "cy@example.com", role));
        world.invitations().create_invitation(request).await
    };
    assert_eq!(
        assert_refused(invite(&reader, &admin.session, "member").await, Code::PermissionDenied, "SCOPE_REQUIRED")
            .metadata["scope"],
        "invitations.write"
    );
    assert_refused(invite(&key, &member.session, "member").await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    assert_refused(
        invite(world.operator_key(), &member.session, "member").await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    assert_refused(
        invite(world.operator_key(), &admin.session, "owner").await,
        Code::PermissionDenied,
        "ROLE_NOT_GRANTABLE",
    );
    let stranger = create_user(&world, "stranger@example.com").await;
    assert_refused(
        invite(world.operator_key(), &stranger.session, "member").await,
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    let rest: Vec<_> =
        traces(&world).await.into_iter().filter(|(table, _)| !["users", "sessions"].contains(table)).collect();
    assert_eq!(
        rest,
        before.into_iter().filter(|(table, _)| !["users", "sessions"].contains(table)).collect::<Vec<_>>()
    );

    let made = invite(&key, &admin.session, "admin").await.unwrap().into_inner().invitation.unwrap();
    assert_eq!((made.inviter_user_id, made.inviter_service_account_id), (admin.user_id.clone(), account));
    let roster = world.on_behalf_of(
        &reader,
        &member.session,
        ListMembersRequest { organization_id: scenario.organization_id.clone(), ..ListMembersRequest::default() },
    );
    let rows = world.members().list_members(roster).await.unwrap().into_inner().members;
    assert!(rows.len() == 4 && rows.iter().all(|row| row.allowed_actions.is_empty()));
}

/// A session that is over speaks for nobody, and only a service speaks for somebody else.
#[wire_test]
async fn on_behalf_of_needs_a_live_session(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let key = service_key(&world, &["members.read"]).await;
    let roster =
        || ListMembersRequest { organization_id: scenario.organization_id.clone(), ..ListMembersRequest::default() };
    let attempt = async |request: Request<ListMembersRequest>| world.members().list_members(request).await;
    attempt(world.on_behalf_of(&key, &admin.session, roster())).await.unwrap();
    for session in [world.operator_key(), "rss_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"] {
        assert_refused(
            attempt(world.on_behalf_of(&key, session, roster())).await,
            Code::Unauthenticated,
            "CREDENTIALS_INVALID",
        );
    }
    assert_refused(
        attempt(world.on_behalf_of(&admin.session, &scenario.owner.session, roster())).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    let mut alone = Request::new(roster());
    alone.metadata_mut().insert("roster-on-behalf-of", admin.session.parse().unwrap());
    assert_refused(attempt(alone).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(attempt(Request::new(roster())).await, Code::Unauthenticated, "CREDENTIALS_MISSING");
    call!(world, sessions.sign_out, &admin.session, SignOutRequest {}).unwrap();
    assert_refused(
        attempt(world.on_behalf_of(&key, &admin.session, roster())).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
}

/// With the scope `act_as_user` a service names the user itself; the user's permission is asked all the same.
#[wire_test]
async fn acting_as_a_user_needs_its_scope(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join(BOB, &["member"]).await;
    let without = service_key(&world, &["members.read", "invitations.write"]).await;
    let with = service_key(&world, &["members.read", "invitations.write", "act_as_user"]).await;
    let invite = async |request: Request<CreateInvitationRequest>| world.invitations().create_invitation(request).await;
    let asked = || invitation(&scenario, "cy@example.com", "member");
    let before = traces(&world).await;
    let refused = assert_refused(
        invite(as_actor(&world, &without, &scenario.owner.user_id, asked())).await,
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
    assert_eq!(refused.metadata["scope"], "act_as_user");
    assert_refused(
        invite(as_actor(&world, &with, &member.user_id, asked())).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    for nobody in [NOBODY, "x", BOB] {
        assert_refused(
            invite(as_actor(&world, &with, nobody, asked())).await,
            Code::Unauthenticated,
            "CREDENTIALS_INVALID",
        );
    }
    let mut two = world.on_behalf_of(&with, &member.session, asked());
    two.metadata_mut().insert("roster-actor", scenario.owner.user_id.parse().unwrap());
    assert_refused(invite(two).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(
        invite(as_actor(&world, &member.session, &scenario.owner.user_id, asked())).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    assert_eq!(traces(&world).await, before);
    let made = invite(as_actor(&world, &with, &scenario.owner.user_id, asked())).await.unwrap().into_inner();
    assert_eq!(made.invitation.unwrap().inviter_user_id, scenario.owner.user_id);
}

/// An organization may be created for a person, who is recorded as the one who did it. Their own rights play no part: neither do they have to have any, nor do they add to the key's; and by themselves they may not call it. What
/// else is a service's own right is refused for a person, as before: a server that passes on what people ask for passes on nothing but that.
#[wire_test]
async fn a_service_names_the_person_for_whom_it_calls(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let (account, key) = service_account(&world, &["organizations.write", "organizations.suspend"]).await;
    let founding = || CreateOrganizationRequest {
        display_name: "Ada's".to_owned(),
        owner: Some(Owner::Founder(Founder { email: "founder@example.com".to_owned(), ..Founder::default() })),
        ..CreateOrganizationRequest::default()
    };
    let alone = call!(world, organizations.create_organization, &ada.session, founding());
    assert_refused(alone, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let reader = service_key(&world, &["organizations.read"]).await;
    let lacking = world.on_behalf_of(&reader, &ada.session, founding());
    let lacking = world.organizations().create_organization(lacking).await;
    assert_refused(lacking, Code::PermissionDenied, "SCOPE_REQUIRED");
    let request = world.on_behalf_of(&key, &ada.session, founding());
    let created = world.organizations().create_organization(request).await.unwrap().into_inner();
    let organization_id = created.organization.unwrap().organization_id;
    let request = SuspendOrganizationRequest { organization_id: organization_id.clone(), ..Default::default() };
    let request = world.on_behalf_of(&key, &ada.session, request);
    let refused = world.organizations().suspend_organization(request).await;
    assert_refused(refused, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let entries = ListAuditEntriesRequest { organization_id, ..Default::default() };
    let entries = call!(world, audit.list_audit_entries, world.operator_key(), entries).unwrap().entries;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind.as_str(), &entry.actor_user_id, &entry.actor_service_account_id))
        .collect();
    let by_ada = |kind| (kind, &ada.user_id, &account);
    assert_eq!(told, ["invitation.created", "organization.created"].map(by_ada));
    // The founder's invitation stands by the service's right.
    let invitation = created.invitation.unwrap();
    assert_eq!((invitation.inviter_user_id.as_str(), &invitation.inviter_service_account_id), ("", &account));
    let token = world.mailbox.wait_for("founder@example.com", 1).await[0].invitation_token();
    accept_as_new(&world, &token, "Fay").await.unwrap();
    settled(&world).await;
}
