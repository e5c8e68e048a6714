//! Changes of members' roles.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{BOB, get};
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{CreateInvitationRequest, Organization, SetMemberRolesRequest, UpdateOrganizationRequest};
use crate::support::race::{OK, told};
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, create_user, texts, traces};
use crate::support::world::World;

/// js_09: a role change holds from the next call on, for rights given and rights taken, without a new sign-in, on every server: who was an Admin no longer
/// manages the team or its settings.
#[wire_test]
async fn js_09_a_demoted_admin_loses_the_team_at_once(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let second = world.second_server().await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let member = scenario.join("member@example.com", &["member"]).await;
    let id = || scenario.organization_id.clone();
    // What each of the three calls is told, on both servers.
    let told_everywhere = async |round: usize| {
        let mut all = Vec::new();
        for (server, channel) in [world.channel(), second.channel()].into_iter().enumerate() {
            let invite = CreateInvitationRequest {
                organization_id: id(),
                email: format!("guest{round}{server}@example.com"),
                ..CreateInvitationRequest::default()
            };
            all.push(told(
                &InvitationServiceClient::new(channel.clone())
                    .create_invitation(world.as_session(&admin.session, invite))
                    .await,
            ));
            let roles = SetMemberRolesRequest {
                organization_id: id(),
                user_id: member.user_id.clone(),
                roles: texts(&["member"]),
                ..SetMemberRolesRequest::default()
            };
            all.push(told(
                &MemberServiceClient::new(channel.clone())
                    .set_member_roles(world.as_session(&admin.session, roles))
                    .await,
            ));
            let named = Organization {
                organization_id: id(),
                display_name: format!("Acme {round}{server}"),
                ..Organization::default()
            };
            let rename =
                UpdateOrganizationRequest { organization: Some(named), ..UpdateOrganizationRequest::default() };
            all.push(told(
                &OrganizationServiceClient::new(channel)
                    .update_organization(world.as_session(&admin.session, rename))
                    .await,
            ));
        }
        all
    };
    assert_eq!(told_everywhere(0).await, [OK; 6]);
    let changed = scenario.set_roles(&scenario.owner.session, &admin.user_id, &["member"]).await.unwrap();
    assert_eq!(changed.roles, texts(&["member"]));
    let before = traces(&world).await;
    assert_eq!(told_everywhere(1).await, ["PermissionDenied PERMISSION_REQUIRED"; 6]);
    assert_eq!(traces(&world).await, before);
    assert!(!scenario.may(&admin.user_id, "members.invite").await);
    scenario.set_roles(&scenario.owner.session, &admin.user_id, &["admin"]).await.unwrap();
    assert_eq!(told_everywhere(2).await, [OK; 6]);
}

/// cp_09: the last active owner is given no other role, by nobody; with a second one it works.
#[wire_test]
async fn cp_09_the_last_owner_stays(world: World) {
    for (model, owner_role, other) in [
        ("portal", "owner", "manager"),
        ("default", "owner", "member"),
        ("jetpack", "account_owner", "client_admin"),
        ("jethub", "account_admin", "billing_user"),
    ] {
        let scenario = Scenario::with(&world, model, "", &format!("{model}@example.com")).await;
        let owner = &scenario.owner;
        let before = traces(&world).await;
        for credential in [owner.session.as_str(), world.operator_key()] {
            let refused = assert_refused(
                scenario.set_roles(credential, &owner.user_id, &[other]).await,
                Code::FailedPrecondition,
                "LAST_OWNER",
            );
            assert_eq!(refused.metadata["role"], owner_role, "{model}");
        }
        assert_eq!(traces(&world).await, before);

        let second = scenario.join(&format!("second@{model}.example.com"), &[owner_role]).await;
        scenario.set_roles(&owner.session, &owner.user_id, &[other]).await.unwrap();
        assert_refused(
            scenario.set_roles(&second.session, &second.user_id, &[other]).await,
            Code::FailedPrecondition,
            "LAST_OWNER",
        );
    }
}

/// cp_09: a suspended owner does not count.
#[wire_test]
async fn cp_09_a_suspended_owner_does_not_count(world: World) {
    let scenario = Scenario::under(&world, "portal").await;
    let second = scenario.join(BOB, &["owner"]).await;
    scenario.suspend(&second.session, &scenario.owner.user_id).await.unwrap();
    assert_refused(
        scenario.set_roles(&second.session, &second.user_id, &["manager"]).await,
        Code::FailedPrecondition,
        "LAST_OWNER",
    );
}

/// jh_02, jh_09, jh_10: an Account Admin changes others, other Account Admins too; roles are a set, and none at all makes a Standard User.
#[wire_test]
async fn jh_10_no_roles_give_the_default_role(world: World) {
    let scenario = Scenario::under(&world, "jethub").await;
    let admin = scenario.join("admin@example.com", &["account_admin"]).await;
    let user = scenario.join(BOB, &["standard_user"]).await;
    let both = scenario
        .set_roles(&admin.session, &user.user_id, &["billing_user", "account_admin", "billing_user"])
        .await
        .unwrap();
    assert_eq!(both.roles, texts(&["account_admin", "billing_user"]));
    for permission in ["billing.manage", "members.set_roles"] {
        assert!(scenario.may(&user.user_id, permission).await, "{permission}");
    }
    let none = scenario.set_roles(&admin.session, &user.user_id, &[]).await.unwrap();
    assert_eq!(none.roles, texts(&["standard_user"]));
    scenario.set_roles(&admin.session, &scenario.owner.user_id, &["billing_user"]).await.unwrap();
    let jetpack = Scenario::with(&world, "jetpack", "", "other@example.com").await;
    let member = jetpack.join("cy@example.com", &["customer_success"]).await;
    assert_refused(
        jetpack.set_roles(&jetpack.owner.session, &member.user_id, &[]).await,
        Code::FailedPrecondition,
        "ROLE_UNKNOWN",
    );
}

/// js_08: where there is exactly one owner, the role is neither given nor taken by a role change, whoever asks.
#[wire_test]
async fn js_08_ownership_moves_by_transfer_only(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let before = traces(&world).await;
    for credential in [scenario.owner.session.as_str(), &admin.session, world.operator_key()] {
        for (user, role) in
            [(&admin.user_id, "owner"), (&scenario.owner.user_id, "admin"), (&scenario.owner.user_id, "member")]
        {
            assert_refused(
                scenario.set_roles(credential, user, &[role]).await,
                Code::FailedPrecondition,
                "OWNER_BY_TRANSFER_ONLY",
            );
        }
    }
    assert_eq!(traces(&world).await, before);
    assert!(
        scenario.may(&scenario.owner.user_id, "billing.manage").await
            && !scenario.may(&admin.user_id, "billing.manage").await
    );
}

/// Who may not change a member, or not give a role, is refused, and so is what the model does not know.
#[wire_test]
async fn role_changes_have_their_limits(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let member = scenario.join(BOB, &["member"]).await;
    let stranger = create_user(&world, "stranger@example.com").await;
    let nobody = "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e";
    let before = traces(&world).await;
    for (credential, user, roles, code, reason) in [
        (&admin.session, &scenario.owner.user_id, &["member"][..], Code::PermissionDenied, "MEMBER_NOT_MANAGEABLE"),
        (&admin.session, &member.user_id, &["owner"], Code::PermissionDenied, "ROLE_NOT_GRANTABLE"),
        (&admin.session, &admin.user_id, &["owner"], Code::PermissionDenied, "ROLE_NOT_GRANTABLE"),
        (&member.session, &member.user_id, &["admin"], Code::PermissionDenied, "PERMISSION_REQUIRED"),
        (&member.session, &admin.user_id, &["member"], Code::PermissionDenied, "PERMISSION_REQUIRED"),
        (&stranger.session, &member.user_id, &["admin"], Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (&scenario.owner.session, &stranger.user_id, &["admin"], Code::NotFound, "MEMBER_NOT_FOUND"),
        (&scenario.owner.session, &nobody.to_owned(), &["admin"], Code::NotFound, "MEMBER_NOT_FOUND"),
        (&scenario.owner.session, &member.user_id, &["admiral"], Code::FailedPrecondition, "ROLE_UNKNOWN"),
        (&scenario.owner.session, &member.user_id, &["admin", "member"], Code::FailedPrecondition, "TOO_MANY_ROLES"),
    ] {
        assert_refused(scenario.set_roles(credential, user, roles).await, code, reason);
    }
    assert_invalid(scenario.set_roles(world.operator_key(), "x", &["Not An Id"]).await, &["user_id", "roles[0]"]);
    assert_eq!(traces(&world).await, before);
}

/// The etag guards a role change, and moves with each.
#[wire_test]
async fn the_etag_guards_a_role_change(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join(BOB, &["member"]).await;
    let old = get(&scenario, &scenario.owner.session, &member.user_id).await.unwrap().etag;
    let change = |etag: &str, role: &str| SetMemberRolesRequest {
        organization_id: scenario.organization_id.clone(),
        user_id: member.user_id.clone(),
        roles: texts(&[role]),
        etag: etag.to_owned(),
        ..SetMemberRolesRequest::default()
    };
    let set = async |request| call!(world, members.set_member_roles, &scenario.owner.session, request);
    let changed = set(change(&old, "admin")).await.unwrap();
    let before = traces(&world).await;
    assert_refused(set(change(&old, "member")).await, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(traces(&world).await, before);
    let again = set(change(&changed.member.unwrap().etag, "member")).await.unwrap();
    assert_eq!(again.revision, changed.revision + 1);
}
