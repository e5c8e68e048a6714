//! ab_36: a session from before a suspension or a removal is as dead in the products that ask as it is in Roster.

use roster_test_macros::wire_test;
use tonic::Request;

use crate::support::pb::{
    CheckPermissionRequest, CheckPermissionResponse, Decision, DenyReason, ListEffectivePermissionsRequest,
    ListEffectivePermissionsResponse, VerifySessionRequest, VerifySessionResponse,
};
use crate::support::scenario::{PASSWORD, Person, Scenario, call, service_key, settled, sign_in};
use crate::support::world::World;

const PERMISSION: &str = "members.invite";

/// Whoever asks, with a session in hand or not.
fn asking<T>(world: &World, key: &str, session: Option<&str>, message: T) -> Request<T> {
    match session {
        Some(session) => world.on_behalf_of(key, session, message),
        None => world.as_service(key, message),
    }
}

async fn check(acme: &Scenario, user_id: &str, key: &str, session: Option<&str>) -> CheckPermissionResponse {
    let request = CheckPermissionRequest {
        organization_id: acme.organization_id.clone(),
        user_id: user_id.to_owned(),
        permission: PERMISSION.to_owned(),
        ..Default::default()
    };
    let request = asking(&acme.world, key, session, request);
    acme.world.permissions().check_permission(request).await.unwrap().into_inner()
}

async fn effective(
    acme: &Scenario,
    user_id: &str,
    key: &str,
    session: Option<&str>,
) -> ListEffectivePermissionsResponse {
    let request = ListEffectivePermissionsRequest {
        organization_id: acme.organization_id.clone(),
        user_id: user_id.to_owned(),
        ..Default::default()
    };
    let request = asking(&acme.world, key, session, request);
    let answer = acme.world.permissions().list_effective_permissions(request).await;
    answer.unwrap().into_inner()
}

/// Somebody with a session from before they were suspended and activated, who belongs elsewhere too.
async fn returned(world: &World) -> (Scenario, Person, String) {
    let acme = Scenario::acme(world).await;
    let ada = acme.join("ada@example.com", &["admin"]).await;
    acme.join_elsewhere(&ada).await;
    settled(world).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    acme.suspend(&acme.owner.session, &ada.user_id).await.unwrap();
    acme.activate(&acme.owner.session, &ada.user_id).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    let fresh = sign_in(world, &ada.email, PASSWORD).await.unwrap().session_token;
    (acme, ada, fresh)
}

/// ab_36: after a suspension and an activation, the old session is told DENY on every way to ask with it, and a fresh one ALLOW. Without a session in hand the question is about the user.
#[wire_test]
async fn ab_36_an_outdated_session_is_denied(world: World) {
    let (acme, ada, fresh) = returned(&world).await;
    let key = service_key(&world, &["permissions.check"]).await;
    let answers = [
        (&key, Some(ada.session.as_str()), Decision::Deny),
        (&ada.session, None, Decision::Deny),
        (&key, Some(fresh.as_str()), Decision::Allow),
        (&fresh, None, Decision::Allow),
        (&key, None, Decision::Allow),
    ];
    for (credential, session, expected) in answers {
        let answer = check(&acme, &ada.user_id, credential, session).await;
        assert_eq!(answer.decision(), expected);
        let reason = match expected {
            Decision::Deny => DenyReason::SessionOutdated,
            _ => DenyReason::Unspecified,
        };
        assert_eq!(answer.deny_reason(), reason);
        let answer = effective(&acme, &ada.user_id, credential, session).await;
        assert_eq!((answer.permissions.is_empty(), answer.deny_reason()), (expected == Decision::Deny, reason));
    }
    // Somebody else's session says nothing of Ada, and asks nothing about her.
    let answer = check(&acme, &acme.owner.user_id, &key, Some(&acme.owner.session)).await;
    assert_eq!(answer.decision(), Decision::Allow);
}

/// ab_36: VerifySession tells whether a session is good in an organization: the old one is live and not good there, and good where nothing interrupted it.
#[wire_test]
async fn ab_36_a_session_is_verified_for_an_organization(world: World) {
    let (acme, ada, fresh) = returned(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let key = service_key(&world, &["sessions.verify"]).await;
    let verify = async |session: &str, organization_id: &str| -> VerifySessionResponse {
        let request = VerifySessionRequest {
            session_token: session.to_owned(),
            organization_id: organization_id.to_owned(),
            ..Default::default()
        };
        call!(world, sessions.verify_session, &key, request).unwrap()
    };
    let acme_id = acme.organization_id.as_str();
    for (session, organization, reason) in [
        (&fresh, acme_id, None),
        (&ada.session, "", None),
        (&ada.session, acme_id, Some(DenyReason::SessionOutdated)),
        (&fresh, other.organization_id.as_str(), Some(DenyReason::NotAMember)),
        (&fresh, "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e", Some(DenyReason::NotAMember)),
    ] {
        let answer = verify(session, organization).await;
        assert_eq!((answer.valid, answer.deny_reason()), (reason.is_none(), reason.unwrap_or_default()));
        assert_eq!((answer.user.is_some(), answer.session.is_some()), (reason.is_none(), reason.is_none()));
    }
    acme.suspend(&acme.owner.session, &ada.user_id).await.unwrap();
    assert_eq!(verify(&fresh, acme_id).await.deny_reason(), DenyReason::MemberSuspended);
    let dead = verify("rss_none", acme_id).await;
    assert_eq!((dead.valid, dead.deny_reason()), (false, DenyReason::Unspecified));
}
