//! What is only for a person themselves, asked about a colleague and about others.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    ExportUserRequest, GetUserRequest, ListSessionsRequest, RemoveMemberRequest, ScheduleUserDeletionRequest,
    SuspendOrganizationRequest,
};
use crate::support::scenario::{Person, Scenario, assert_refused, call, create_user, traces};
use crate::support::world::World;

/// A caller who sees somebody in a roster is told that this is not for them; of anybody else, that there is no such user, whether there is or not.
#[wire_test]
async fn a_colleague_is_no_stranger(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    let stranger = create_user(&world, "stranger@example.com").await;
    let session = &acme.owner.session;
    let ask = async |user: &str| -> [Result<(), Status>; 4] {
        let user_id = user.to_owned();
        let get = GetUserRequest { user_id: user_id.clone() };
        let list = ListSessionsRequest { user_id: user_id.clone(), ..Default::default() };
        let delete = ScheduleUserDeletionRequest { user_id: user_id.clone(), ..Default::default() };
        [
            call!(world, users.get_user, session, get).map(drop),
            call!(world, sessions.list_sessions, session, list).map(drop),
            call!(world, users.schedule_user_deletion, session, delete).map(drop),
            call!(world, users.export_user, session, ExportUserRequest { user_id }).map(drop),
        ]
    };
    let before = traces(&world).await;
    for answer in ask(&ada.user_id).await {
        assert_refused(answer, Code::PermissionDenied, "SELF_ONLY");
    }
    for nobody in [stranger.user_id.as_str(), "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e"] {
        for answer in ask(nobody).await {
            assert_refused(answer, Code::NotFound, "USER_NOT_FOUND");
        }
    }
    assert_eq!(traces(&world).await, before);
    let request = RemoveMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: ada.user_id.clone(),
        ..RemoveMemberRequest::default()
    };
    call!(world, members.remove_member, session, request).unwrap();
    for answer in ask(&ada.user_id).await {
        assert_refused(answer, Code::NotFound, "USER_NOT_FOUND");
    }
}

/// Whoever does not see the roster sees no colleagues: without the permission, and in an organization that is out of use.
#[wire_test]
async fn whoever_sees_no_roster_has_strangers_only(world: World) {
    let about = async |caller: &Person, other: &Person| {
        call!(world, users.get_user, &caller.session, GetUserRequest { user_id: other.user_id.clone() })
    };
    let partner = Scenario::under(&world, "jethub").await;
    let blind = partner.join("blind@example.com", &["standard_user"]).await;
    assert_refused(about(&blind, &partner.owner).await, Code::NotFound, "USER_NOT_FOUND");
    assert_refused(about(&partner.owner, &blind).await, Code::PermissionDenied, "SELF_ONLY");
    let request = SuspendOrganizationRequest { organization_id: partner.organization_id.clone(), ..Default::default() };
    world.organizations().suspend_organization(world.as_operator(request)).await.unwrap();
    assert_refused(about(&partner.owner, &blind).await, Code::NotFound, "USER_NOT_FOUND");
}
