//! One call for a request: a session verified together with what its user may do, and what somebody with a session and nothing else asks.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, Decision, DenyReason, GetMeRequest, PermissionCheck,
    VerifySessionRequest, VerifySessionResponse,
};
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, create_user, service_key, texts};
use crate::support::world::World;

async fn authorize(
    acme: &Scenario,
    key: &str,
    session: &str,
    permissions: &[&str],
) -> Result<VerifySessionResponse, Status> {
    let request = VerifySessionRequest {
        session_token: session.to_owned(),
        organization_id: acme.organization_id.clone(),
        permissions: texts(permissions),
        ..VerifySessionRequest::default()
    };
    call!(acme.world, sessions.verify_session, key, request)
}

fn decisions(answer: &VerifySessionResponse) -> Vec<(&str, Decision, DenyReason)> {
    let decided = |one: &'_ crate::support::pb::PermissionDecision| (one.decision(), one.deny_reason());
    answer.decisions.iter().map(|one| (one.permission.as_str(), decided(one).0, decided(one).1)).collect()
}

/// A service that was handed a session is told in one call whose it is and what they may do, as the checks one by one would say. What changes counts from the next call on; where the session is not good, nothing is told.
#[wire_test]
async fn a_session_is_verified_with_what_its_user_may_do(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let key = service_key(&world, &["sessions.verify", "permissions.check"]).await;
    let asked = ["members.read", "members.invite", "members.invited"];
    let answer = authorize(&acme, &key, &bob.session, &asked).await.unwrap();
    assert_eq!(
        decisions(&answer),
        [
            ("members.read", Decision::Allow, DenyReason::Unspecified),
            ("members.invite", Decision::Deny, DenyReason::NotGranted),
            ("members.invited", Decision::Deny, DenyReason::PermissionUnknown),
        ]
    );
    assert_eq!((answer.user.unwrap().user_id, &answer.roles), (bob.user_id.clone(), &texts(&["member"])));
    for (permission, decided) in asked.iter().zip(&answer.decisions) {
        let request = CheckPermissionRequest {
            organization_id: acme.organization_id.clone(),
            user_id: bob.user_id.clone(),
            permission: (*permission).to_owned(),
            ..CheckPermissionRequest::default()
        };
        let alone = call!(world, permissions.check_permission, &key, request).unwrap();
        assert_eq!(
            (alone.decision, alone.deny_reason, alone.revision),
            (decided.decision, decided.deny_reason, answer.revision)
        );
    }
    acme.set_roles(world.operator_key(), &bob.user_id, &["admin"]).await.unwrap();
    let promoted = authorize(&acme, &key, &bob.session, &asked).await.unwrap();
    assert_eq!((promoted.decisions[1].decision(), promoted.revision), (Decision::Allow, answer.revision + 1));
    acme.join_elsewhere(&bob).await;
    acme.suspend(world.operator_key(), &bob.user_id).await.unwrap();
    let suspended = authorize(&acme, &key, &bob.session, &asked).await.unwrap();
    let expected = VerifySessionResponse { deny_reason: DenyReason::MemberSuspended.into(), ..Default::default() };
    assert_eq!(suspended, expected);
    assert_eq!(authorize(&acme, &key, "rse_nothing", &asked).await.unwrap(), VerifySessionResponse::default());
}

/// Decisions take an organization to check in, and no other scope than verifying, since whoever has the session may ask by it; without permissions nothing is told beside the session.
#[wire_test]
async fn decisions_take_an_organization(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let verifying = service_key(&world, &["sessions.verify"]).await;
    let checked = authorize(&acme, &verifying, owner, &["members.read"]).await.unwrap();
    assert_eq!(decisions(&checked), [("members.read", Decision::Allow, DenyReason::Unspecified)]);
    let plain = authorize(&acme, &verifying, owner, &[]).await.unwrap();
    assert!(plain.valid && plain.roles.is_empty() && plain.revision == 0 && plain.decisions.is_empty(), "{plain:?}");
    let nowhere = VerifySessionRequest {
        session_token: owner.clone(),
        permissions: texts(&["members.read", "Not An Id"]),
        ..VerifySessionRequest::default()
    };
    let refused = call!(world, sessions.verify_session, world.operator_key(), nowhere);
    assert_invalid(refused, &["permissions[1]", "organization_id"]);
}

/// Who has a session and nothing else is told whose it is, and what its user may do, one by one and in a batch; of others nothing.
#[wire_test]
async fn a_session_alone_asks_about_itself(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner;
    let me = call!(world, sessions.get_me, &owner.session, GetMeRequest {}).unwrap();
    let (user, session) = (me.user.unwrap(), me.session.unwrap());
    assert_eq!((&user.user_id, &session.user_id, &user.email), (&owner.user_id, &owner.user_id, &owner.email));
    let by_key = call!(world, sessions.get_me, world.operator_key(), GetMeRequest {});
    assert_refused(by_key, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let check = |user_id: &str, permission: &str| PermissionCheck {
        organization_id: acme.organization_id.clone(),
        user_id: user_id.to_owned(),
        permission: permission.to_owned(),
    };
    let batch = async |checks: Vec<PermissionCheck>| {
        let request = BatchCheckPermissionsRequest { checks, ..Default::default() };
        call!(world, permissions.batch_check_permissions, &owner.session, request)
    };
    let own = vec![check(&user.user_id, "organization.delete"), check(&user.user_id, "organization.delet")];
    let answers = batch(own.clone()).await.unwrap().results;
    assert_eq!(answers[0].decision(), Decision::Allow);
    assert_eq!((answers[1].decision(), answers[1].deny_reason()), (Decision::Deny, DenyReason::PermissionUnknown));
    let other = create_user(&world, "other@example.com").await;
    let mixed = batch([own, vec![check(&other.user_id, "members.read")]].concat()).await;
    assert_refused(mixed, Code::NotFound, "USER_NOT_FOUND");
    let explained = CheckPermissionRequest {
        organization_id: acme.organization_id.clone(),
        user_id: user.user_id,
        permission: "organization.delet".to_owned(),
        explain: true,
        ..CheckPermissionRequest::default()
    };
    let explained = call!(world, permissions.check_permission, &owner.session, explained).unwrap();
    let summary = explained.explanation.unwrap().summary;
    assert!(summary.ends_with("; the access model default has no such permission."), "{summary}");
}
