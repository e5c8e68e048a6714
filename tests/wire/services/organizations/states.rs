//! The states of an organization.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{get, renaming};
use crate::support::pb::{
    ActivateOrganizationRequest, CheckPermissionRequest, DenyReason, GetUserRequest, Organization, OrganizationState,
    PreviewInvitationRequest, SuspendOrganizationRequest, VerifySessionRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_refused, call, create_organization, sign_in, traces,
};
use crate::support::world::World;

async fn suspend(world: &World, id: &str) -> Organization {
    let request =
        SuspendOrganizationRequest { organization_id: id.to_owned(), ..SuspendOrganizationRequest::default() };
    let answer = call!(world, organizations.suspend_organization, world.operator_key(), request).unwrap();
    answer.organization.unwrap()
}

/// Suspending and activating are guarded by the etag, too: whoever has read the organization as it is gets through, and whoever has read it before does not.
#[wire_test]
async fn states_change_on_a_condition(world: World) {
    let scenario = Scenario::acme(&world).await;
    let start = get(&world, world.operator_key(), &scenario.organization_id).await.unwrap().etag;
    let (id, key) = (|| scenario.organization_id.clone(), world.operator_key());
    let suspending = |etag: &str| SuspendOrganizationRequest {
        organization_id: id(),
        etag: etag.to_owned(),
        ..SuspendOrganizationRequest::default()
    };
    let activating = |etag: &str| ActivateOrganizationRequest {
        organization_id: id(),
        etag: etag.to_owned(),
        ..ActivateOrganizationRequest::default()
    };
    let suspended =
        call!(world, organizations.suspend_organization, key, suspending(&start)).unwrap().organization.unwrap();
    let refused = assert_refused(
        call!(world, organizations.activate_organization, key, activating(&start)),
        Code::Aborted,
        "ETAG_MISMATCH",
    );
    assert_eq!(refused.metadata["etag"], suspended.etag);
    let active = call!(world, organizations.activate_organization, key, activating(&suspended.etag))
        .unwrap()
        .organization
        .unwrap();
    assert_refused(
        call!(world, organizations.suspend_organization, key, suspending(&suspended.etag)),
        Code::Aborted,
        "ETAG_MISMATCH",
    );
    assert_eq!(get(&world, key, &scenario.organization_id).await.unwrap(), active);
}

/// In a suspended organization nobody may do anything: checks say so, members and services are refused, links are dead. Its
/// people keep their accounts, sessions and other organizations, and activating it brings everything back.
#[wire_test]
async fn a_suspended_organization_stands_still(world: World) {
    let scenario = Scenario::acme(&world).await;
    let ada = scenario.owner.clone();
    let other = create_organization(&world, "default", "", &ada.user_id).await;
    let token = scenario.invited("bob@example.com", &["member"]).await;
    let member = scenario.join("member@example.com", &["member"]).await;
    let check = async |organization_id: &str| {
        let request = CheckPermissionRequest {
            organization_id: organization_id.to_owned(),
            user_id: ada.user_id.clone(),
            permission: "members.invite".to_owned(),
            ..Default::default()
        };
        call!(world, permissions.check_permission, world.operator_key(), request).unwrap().deny_reason()
    };

    let suspended = suspend(&world, &scenario.organization_id).await;
    assert_eq!(suspended.state(), OrganizationState::Suspended);
    assert_eq!(suspend(&world, &scenario.organization_id).await, suspended, "suspending twice is suspending once");
    assert_eq!(check(&scenario.organization_id).await, DenyReason::OrganizationSuspended);
    assert_eq!(check(&other).await, DenyReason::Unspecified);

    let before = traces(&world).await;
    let stopped = "ORGANIZATION_SUSPENDED";
    for credential in [&ada.session, &member.session] {
        assert_refused(get(&world, credential, &scenario.organization_id).await, Code::FailedPrecondition, stopped);
        assert_refused(scenario.roster(credential).await, Code::FailedPrecondition, stopped);
    }
    let own = call!(world, activity.list_activity, &member.session, super::activity::of(&scenario, &member.user_id));
    assert_refused(own, Code::FailedPrecondition, stopped);
    for credential in [ada.session.as_str(), world.operator_key()] {
        assert_refused(
            scenario.invite(credential, "cy@example.com", &["member"]).await,
            Code::FailedPrecondition,
            stopped,
        );
        assert_refused(
            scenario.set_roles(credential, &member.user_id, &["admin"]).await,
            Code::FailedPrecondition,
            stopped,
        );
        let refused = call!(world, organizations.update_organization, credential, renaming(&scenario, "Other"));
        assert_refused(refused, Code::FailedPrecondition, stopped);
    }
    let preview = call!(
        world,
        invitations.preview_invitation,
        world.operator_key(),
        PreviewInvitationRequest { token: token.clone() }
    );
    assert_refused(preview, Code::FailedPrecondition, stopped);
    assert_refused(accept_as_new(&world, &token, "Bob").await, Code::FailedPrecondition, stopped);
    assert_eq!(traces(&world).await, before);

    // A service still sees it, and sees that nothing can be done.
    let rows = scenario.roster(world.operator_key()).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.allowed_actions.is_empty()));
    // The session is alive, here and elsewhere.
    let verified = call!(
        world,
        sessions.verify_session,
        world.operator_key(),
        VerifySessionRequest { session_token: ada.session.clone(), ..Default::default() }
    )
    .unwrap();
    assert!(verified.valid);
    call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() }).unwrap();
    get(&world, &ada.session, &other).await.unwrap();
    sign_in(&world, OWNER, PASSWORD).await.unwrap();

    let request = ActivateOrganizationRequest {
        organization_id: scenario.organization_id.clone(),
        ..ActivateOrganizationRequest::default()
    };
    let active = call!(world, organizations.activate_organization, world.operator_key(), request).unwrap();
    assert_eq!(active.organization.unwrap().state(), OrganizationState::Active);
    assert_eq!(check(&scenario.organization_id).await, DenyReason::Unspecified);
    accept_as_new(&world, &token, "Bob").await.unwrap();
    assert_eq!(scenario.roster(&member.session).await.unwrap().len(), 3);
}

/// Suspending is the operator's: not even an owner may, nor a key without the scope.
#[wire_test]
async fn only_operators_suspend(world: World) {
    let scenario = Scenario::acme(&world).await;
    let key = crate::support::scenario::service_key(&world, &["organizations.write"]).await;
    let before = traces(&world).await;
    for (credential, reason) in [(&scenario.owner.session, "CALLER_NOT_ALLOWED"), (&key, "SCOPE_REQUIRED")] {
        let request = SuspendOrganizationRequest {
            organization_id: scenario.organization_id.clone(),
            ..SuspendOrganizationRequest::default()
        };
        let refused = call!(world, organizations.suspend_organization, credential, request);
        assert_refused(refused, Code::PermissionDenied, reason);
    }
    assert_eq!(traces(&world).await, before);
}
