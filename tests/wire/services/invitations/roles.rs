//! The roles that an invitation may give.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{BOB, create, request};
use crate::support::pb::CreateInvitationRequest;
use crate::support::scenario::{Scenario, accept_as_new, assert_invalid, assert_refused, service_key, texts, traces};
use crate::support::world::World;

/// js_01, js_02: owners and admins invite admins and members; a member invites nobody; the owner role is given to nobody.
#[wire_test]
async fn js_02_owner_is_never_given_by_invitation(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let member = scenario.join("member@example.com", &["member"]).await;
    for (index, credential) in [&scenario.owner.session, &admin.session].into_iter().enumerate() {
        for role in ["admin", "member"] {
            scenario.invite(credential, &format!("{role}-{index}@example.com"), &[role]).await.unwrap();
        }
    }
    let before = traces(&world).await;
    for credential in [scenario.owner.session.as_str(), &admin.session, world.operator_key()] {
        let refused = assert_refused(
            scenario.invite(credential, BOB, &["owner"]).await,
            Code::FailedPrecondition,
            "OWNER_BY_TRANSFER_ONLY",
        );
        assert_eq!(refused.metadata["role"], "owner");
    }
    for role in ["admin", "member"] {
        let refused = assert_refused(
            scenario.invite(&member.session, BOB, &[role]).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
        assert_eq!(refused.metadata["permission"], "members.invite");
    }
    assert_eq!(traces(&world).await, before);
}

/// Nobody gives a role that their own roles do not grant, knows unknown roles, or gives more roles than one may hold.
#[wire_test]
async fn roles_have_to_be_grantable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let before = traces(&world).await;
    let refused = assert_refused(
        scenario.invite(&admin.session, BOB, &["owner"]).await,
        Code::PermissionDenied,
        "ROLE_NOT_GRANTABLE",
    );
    assert_eq!(refused.metadata["role"], "owner");
    assert_refused(scenario.invite(&admin.session, BOB, &["admiral"]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
    let refused = assert_refused(
        scenario.invite(&admin.session, BOB, &["admin", "member"]).await,
        Code::FailedPrecondition,
        "TOO_MANY_ROLES",
    );
    assert_eq!(refused.metadata["limit"], "1");
    let refused = create(
        &scenario,
        &admin.session,
        CreateInvitationRequest { locale: "?".to_owned(), ..request(&scenario, "no address", &["Not An Id"]) },
    )
    .await;
    assert_invalid(refused, &["email", "roles[0]", "locale"]);
    assert_eq!(traces(&world).await, before);
}

/// Without a default role an invitation has to name one.
#[wire_test]
async fn a_model_without_a_default_role_wants_one(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    assert_refused(scenario.invite(&scenario.owner.session, BOB, &[]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
}

/// pf_02: the group Sales exists in a partner's organization only.
#[wire_test]
async fn pf_02_sales_is_for_partners(world: World) {
    let customer = Scenario::with(&world, "packetfabric", "customer", "one@example.com").await;
    let refused = assert_refused(
        customer.invite(&customer.owner.session, BOB, &["sales"]).await,
        Code::FailedPrecondition,
        "ROLE_NOT_IN_ORGANIZATION_KIND",
    );
    assert_eq!(refused.metadata["organization_kinds"], "partner");
    let partner = Scenario::with(&world, "packetfabric", "partner", "two@example.com").await;
    partner.invite(&partner.owner.session, BOB, &["sales"]).await.unwrap();
}

/// jh_03, jh_04: the model asks a person for a second step before inviting, so a person is refused without one, and told what to do;
/// a service invites, and an invitation without roles makes a Standard User.
#[wire_test]
async fn jh_04_no_role_gives_the_default_role(world: World) {
    let scenario = Scenario::under(&world, "jethub").await;
    let before = traces(&world).await;
    let refused = assert_refused(
        scenario.invite(&scenario.owner.session, BOB, &[]).await,
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(
        (refused.metadata["method"].as_str(), refused.metadata["purpose"].as_str()),
        ("roster.v1.SessionService/StartStepUp", "STEP_UP_PURPOSE_INVITE_MEMBERS")
    );
    let for_owner = world.on_behalf_of(world.operator_key(), &scenario.owner.session, request(&scenario, BOB, &[]));
    assert_refused(
        world.invitations().create_invitation(for_owner).await,
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(traces(&world).await, before);

    let key = service_key(&world, &["invitations.write"]).await;
    let (invitation, token) = scenario.invited_by(&key, BOB, &[]).await;
    assert_eq!(invitation.roles, texts(&["standard_user"]));
    assert_eq!((invitation.inviter_user_id.as_str(), invitation.inviter_service_account_id.len()), ("", 36));
    assert_eq!(accept_as_new(&world, &token, "Bob").await.unwrap().roles, texts(&["standard_user"]));
}
