//! To whom a request id belongs, and for how long.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use super::{BOB, ID, invitation};
use crate::support::pb::{
    CreateInvitationRequest, CreateUserRequest, Organization, RevokeInvitationRequest, UpdateOrganizationRequest,
};
use crate::support::scenario::{OWNER, PASSWORD, Scenario, assert_invalid, assert_refused, call, new_user, sign_in};
use crate::support::world::World;

/// A call that was refused, or only validated, leaves its id free: once the reason is gone, the same id has its effect.
#[wire_test]
async fn a_refused_call_leaves_its_id_free(world: World) {
    let request = || CreateUserRequest { request_id: ID.to_owned(), ..new_user(BOB) };
    call!(world, users.create_user, world.operator_key(), CreateUserRequest { validate_only: true, ..request() })
        .unwrap();
    let scenario = Scenario::acme(&world).await;
    let invite = || CreateInvitationRequest { request_id: ID.to_owned(), ..invitation(&scenario, OWNER) };
    for _ in 0..2 {
        assert_refused(
            call!(world, invitations.create_invitation, world.operator_key(), invite()),
            Code::AlreadyExists,
            "ALREADY_MEMBER",
        );
    }
    let other = CreateInvitationRequest { email: BOB.to_owned(), ..invite() };
    call!(world, invitations.create_invitation, world.operator_key(), other).unwrap();
    call!(world, users.create_user, world.operator_key(), request()).unwrap();
}

/// An id belongs to one method and one user: another method may use it too, and the same user's other session neither sees the answer nor has a second effect.
#[wire_test]
async fn an_id_belongs_to_a_caller_and_a_method(world: World) {
    let scenario = Scenario::acme(&world).await;
    let request = || CreateInvitationRequest { request_id: ID.to_owned(), ..invitation(&scenario, BOB) };
    let first = call!(world, invitations.create_invitation, &scenario.owner.session, request()).unwrap();
    let session = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
    assert_refused(
        call!(world, invitations.create_invitation, &session, request()),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
    let for_owner = world.on_behalf_of(world.operator_key(), &scenario.owner.session, request());
    assert_refused(world.invitations().create_invitation(for_owner).await, Code::AlreadyExists, "INVITATION_PENDING");
    let id = first.invitation.unwrap().invitation_id;
    let revoking = RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: id,
        request_id: ID.to_owned(),
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &scenario.owner.session, revoking).unwrap();
    assert_invalid(
        call!(
            world,
            invitations.create_invitation,
            &session,
            CreateInvitationRequest { request_id: "x".to_owned(), ..request() }
        ),
        &["request_id"],
    );
}

/// Of those for whom one service calls, each has ids of their own, and so has the service by itself: nobody gets the answer of another.
#[wire_test]
async fn an_id_of_a_service_belongs_to_whom_it_calls_for(world: World) {
    let scenario = Scenario::acme(&world).await;
    let grace = scenario.join("grace@example.com", &["admin"]).await;
    let (key, owner) = (world.operator_key(), &scenario.owner.session);
    let request = || CreateInvitationRequest { request_id: ID.to_owned(), ..invitation(&scenario, BOB) };
    let for_owner = async || {
        world.invitations().create_invitation(world.on_behalf_of(key, owner, request())).await.unwrap().into_inner()
    };
    assert_eq!(for_owner().await, for_owner().await);
    for other in [world.on_behalf_of(key, &grace.session, request()), world.as_service(key, request())] {
        assert_refused(world.invitations().create_invitation(other).await, Code::AlreadyExists, "INVITATION_PENDING");
    }
}

/// An answer is kept for a day.
#[wire_test]
async fn an_answer_is_kept_for_a_day(world: World) {
    let request = || CreateUserRequest { request_id: ID.to_owned(), ..new_user(BOB) };
    let first = call!(world, users.create_user, world.operator_key(), request()).unwrap();
    world.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(call!(world, users.create_user, world.operator_key(), request()).unwrap(), first);
    world.clock.advance(Duration::from_secs(1));
    assert_refused(
        call!(world, users.create_user, world.operator_key(), request()),
        Code::AlreadyExists,
        "EMAIL_TAKEN",
    );
}

/// After that day the id is free, whether or not the old answer has been cleared away: the call is a call again, and its answer is kept again.
#[wire_test]
async fn an_id_is_free_after_a_day(world: World) {
    let scenario = Scenario::acme(&world).await;
    let renaming = |name: &str| UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: scenario.organization_id.clone(),
            display_name: name.to_owned(),
            ..Organization::default()
        }),
        request_id: ID.to_owned(),
        ..UpdateOrganizationRequest::default()
    };
    call!(world, organizations.update_organization, world.operator_key(), renaming("First")).unwrap();
    world.clock.advance(Duration::from_secs(24 * 3600));
    let second = call!(world, organizations.update_organization, world.operator_key(), renaming("Second")).unwrap();
    assert_eq!(second.organization.as_ref().unwrap().display_name, "Second");
    assert_eq!(
        call!(world, organizations.update_organization, world.operator_key(), renaming("Second")).unwrap(),
        second
    );
    assert_refused(
        call!(world, organizations.update_organization, world.operator_key(), renaming("Third")),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
}
