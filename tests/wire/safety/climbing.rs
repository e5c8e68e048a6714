//! Rights that somebody would like to have: by whatever path, nobody gets more than somebody who has it could give them (ab_17). What invitations and custom roles
//! have of their own stands beside their tests, and that no sequence of commands gets around it in the properties of `domain::authority`.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{CreateRoleRequest, ResendInvitationRequest};
use crate::support::scenario::{Scenario, call, refusal, service_key, settled, texts, traces, with_credential};
use crate::support::world::World;

/// ab_17: two admins try everything, for themselves and for each other, and so does a service on behalf of one: inviting, setting roles, restoring, resending, handing over,
/// making a role. Each is refused by the one rule for it, and nothing has changed.
#[wire_test]
async fn ab_17_no_path_gives_more_than_one_has(world: World) {
    let acme = Scenario::acme(&world).await;
    let (one, other) =
        (acme.join("one@example.com", &["admin"]).await, acme.join("other@example.com", &["admin"]).await);
    let gone = acme.join("gone@example.com", &["owner"]).await;
    acme.remove(&acme.owner.session, &gone.user_id).await.unwrap();
    let pending = acme.invite(&acme.owner.session, "late@example.com", &["owner"]).await.unwrap();
    settled(&world).await;
    let resend = || ResendInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: pending.invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    let role = || CreateRoleRequest {
        organization_id: acme.organization_id.clone(),
        role: "custom.strong".to_owned(),
        display_name: "Strong".to_owned(),
        permissions: texts(&["organization.delete"]),
        ..CreateRoleRequest::default()
    };
    let before = traces(&world).await;
    for (session, accomplice) in [(&one.session, &other), (&other.session, &one)] {
        let refused: [(&str, Result<(), Status>); 9] = [
            ("ROLE_NOT_GRANTABLE", acme.set_roles(session, &one.user_id, &["owner"]).await.map(drop)),
            ("ROLE_NOT_GRANTABLE", acme.set_roles(session, &accomplice.user_id, &["owner"]).await.map(drop)),
            ("MEMBER_NOT_MANAGEABLE", acme.set_roles(session, &acme.owner.user_id, &["member"]).await.map(drop)),
            ("MEMBER_NOT_MANAGEABLE", acme.remove(session, &acme.owner.user_id).await.map(drop)),
            ("MEMBER_NOT_MANAGEABLE", acme.restore(session, &gone.user_id).await.map(drop)),
            ("ROLE_NOT_GRANTABLE", acme.invite(session, "third@example.com", &["owner"]).await.map(drop)),
            ("ROLE_NOT_GRANTABLE", call!(world, invitations.resend_invitation, session, resend()).map(drop)),
            ("PERMISSION_REQUIRED", acme.transfer(session, &accomplice.user_id).await.map(drop)),
            ("PERMISSION_REQUIRED", call!(world, roles.create_role, session, role()).map(drop)),
        ];
        for (index, (reason, answer)) in refused.into_iter().enumerate() {
            let refused = refusal(&answer.expect_err(reason));
            assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, reason), "{index}");
        }
    }
    // A key with every scope lends none of its own strength to the person that it calls for.
    let key = service_key(&world, &["operator"]).await;
    let mut request = with_credential(&key, resend());
    request.metadata_mut().insert("roster-on-behalf-of", one.session.parse().unwrap());
    let refused = refusal(&world.invitations().resend_invitation(request).await.unwrap_err());
    assert_eq!(refused.reason, "ROLE_NOT_GRANTABLE");
    let after: Vec<_> = traces(&world).await.into_iter().filter(|(table, _)| !table.starts_with("service_")).collect();
    assert_eq!(after, before.into_iter().filter(|(table, _)| !table.starts_with("service_")).collect::<Vec<_>>());
    // What they may do, they may do again: leaving and coming back raises nobody.
    acme.remove(&one.session, &other.user_id).await.unwrap();
    assert_eq!(acme.restore(&one.session, &other.user_id).await.unwrap().roles, ["admin"]);
    assert!(
        !acme.may(&other.user_id, "organization.delete").await && !acme.may(&one.user_id, "organization.delete").await
    );
}
