//! Permission checks, one by one and many at once.

mod access_models;
mod explanations;
mod holders;
mod on_behalf;

use std::collections::BTreeSet;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, CheckPermissionResponse, Decision, DenyReason,
    GetOrganizationRequest, ListEffectivePermissionsRequest, ListEffectivePermissionsResponse, ListUsersRequest,
    Organization, PermissionCheck, RemoveMemberRequest, RestoreMemberRequest, SuspendMemberRequest,
    UpdateOrganizationRequest,
};
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, create_user, service_key, texts};
use crate::support::world::World;

const BOB: &str = "bob@example.com";
const NOBODY: &str = "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e";

fn question(organization_id: &str, user_id: &str, permission: &str) -> CheckPermissionRequest {
    CheckPermissionRequest {
        organization_id: organization_id.to_owned(),
        user_id: user_id.to_owned(),
        permission: permission.to_owned(),
        ..Default::default()
    }
}

async fn check(
    world: &World,
    credential: &str,
    question: CheckPermissionRequest,
) -> Result<CheckPermissionResponse, Status> {
    call!(world, permissions.check_permission, credential, question)
}

async fn effective(scenario: &Scenario, credential: &str, user_id: &str) -> ListEffectivePermissionsResponse {
    let request = ListEffectivePermissionsRequest {
        organization_id: scenario.organization_id.clone(),
        user_id: user_id.to_owned(),
        ..Default::default()
    };
    call!(scenario.world, permissions.list_effective_permissions, credential, request).unwrap()
}

async fn revision(scenario: &Scenario) -> i64 {
    let request = GetOrganizationRequest { organization_id: scenario.organization_id.clone() };
    let key = scenario.world.operator_key();
    let answer = call!(scenario.world, organizations.get_organization, key, request).unwrap();
    answer.organization.unwrap().revision
}

/// Has the organization ask its members for a second factor.
async fn ask_for_a_factor(of: &Scenario) {
    let organization =
        Organization { organization_id: of.organization_id.clone(), mfa_required: true, ..Default::default() };
    let request = UpdateOrganizationRequest {
        organization: Some(organization),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["mfa_required"]) }),
        ..Default::default()
    };
    call!(of.world, organizations.update_organization, of.world.operator_key(), request).unwrap();
}

/// A check answers with a decision, never with an error: what does not exist is no, and which of the two does not exist is not told.
#[wire_test]
async fn a_check_is_a_decision(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join(BOB, &["member"]).await;
    let stranger = create_user(&world, "stranger@example.com").await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let now = revision(&scenario).await;
    let (acme, elsewhere) = (&scenario.organization_id, &other.organization_id);
    for (organization, user, permission, reason, revision) in [
        (acme, &member.user_id, "members.read", DenyReason::Unspecified, now),
        (acme, &member.user_id, "members.invite", DenyReason::NotGranted, now),
        (acme, &member.user_id, "no.such_permission", DenyReason::PermissionUnknown, now),
        (acme, &scenario.owner.user_id, "no.such_permission", DenyReason::PermissionUnknown, now),
        (acme, &stranger.user_id, "members.read", DenyReason::NotAMember, 0),
        (acme, &other.owner.user_id, "members.read", DenyReason::NotAMember, 0),
        (elsewhere, &member.user_id, "members.read", DenyReason::NotAMember, 0),
        (acme, &NOBODY.to_owned(), "members.read", DenyReason::NotAMember, 0),
        (&NOBODY.to_owned(), &member.user_id, "members.read", DenyReason::NotAMember, 0),
    ] {
        let answer = check(&world, world.operator_key(), question(organization, user, permission)).await.unwrap();
        let decision = if reason == DenyReason::Unspecified { Decision::Allow } else { Decision::Deny };
        assert_eq!(
            (answer.decision(), answer.deny_reason(), answer.revision),
            (decision, reason, revision),
            "{permission}"
        );
    }
    assert_invalid(
        check(&world, world.operator_key(), question("x", "", "Not An Id")).await,
        &["organization_id", "user_id", "permission"],
    );
}

/// A suspended member is denied everything, and so is a removed one, who counts as nobody.
#[wire_test]
async fn a_check_tells_why_not(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join(BOB, &["member"]).await;
    let operator = world.operator_key();
    let (organization_id, user_id) = (|| scenario.organization_id.clone(), || member.user_id.clone());
    for (state, reason) in [
        ("suspended", DenyReason::MemberSuspended),
        ("removed", DenyReason::NotAMember),
        ("active", DenyReason::Unspecified),
    ] {
        let changed = match state {
            "suspended" => {
                let request = SuspendMemberRequest {
                    organization_id: organization_id(),
                    user_id: user_id(),
                    ..Default::default()
                };
                call!(world, members.suspend_member, operator, request).map(drop)
            }
            "removed" => {
                let request = RemoveMemberRequest {
                    organization_id: organization_id(),
                    user_id: user_id(),
                    ..Default::default()
                };
                call!(world, members.remove_member, operator, request).map(drop)
            }
            _ => {
                let request = RestoreMemberRequest {
                    organization_id: organization_id(),
                    user_id: user_id(),
                    ..Default::default()
                };
                call!(world, members.restore_member, operator, request).map(drop)
            }
        };
        changed.unwrap();
        let answer =
            check(&world, world.operator_key(), question(&scenario.organization_id, &member.user_id, "members.read"))
                .await
                .unwrap();
        assert_eq!(answer.deny_reason(), reason, "{state}");
        let listed = effective(&scenario, world.operator_key(), &member.user_id).await;
        assert_eq!(
            (listed.permissions.is_empty(), listed.roles.is_empty()),
            (state != "active", state == "removed"),
            "{state}"
        );
    }
}

/// js_09: a right that was taken away is gone on the next check, on every server.
#[wire_test]
async fn js_09_a_check_is_fresh(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let second = world.second_server().await;
    let member = scenario.join(BOB, &["member"]).await;
    let asked = || question(&scenario.organization_id, &member.user_id, "members.invite");
    for (role, decision) in
        [("admin", Decision::Allow), ("member", Decision::Deny), ("admin", Decision::Allow), ("member", Decision::Deny)]
    {
        scenario.set_roles(&scenario.owner.session, &member.user_id, &[role]).await.unwrap();
        assert_eq!(check(&world, world.operator_key(), asked()).await.unwrap().decision(), decision, "{role}");
        let elsewhere = second.permissions().check_permission(world.as_operator(asked())).await.unwrap().into_inner();
        assert_eq!((elsewhere.decision(), elsewhere.revision), (decision, revision(&scenario).await), "{role}");
    }
}

/// A user asks about themselves only, one by one and in batches.
#[wire_test]
async fn a_user_asks_about_themselves(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join(BOB, &["member"]).await;
    let acme = &scenario.organization_id;
    let own = check(&world, &member.session, question(acme, &member.user_id, "members.read")).await.unwrap();
    assert_eq!(own.decision(), Decision::Allow);
    assert_refused(
        check(&world, &member.session, question(acme, &scenario.owner.user_id, "members.read")).await,
        Code::PermissionDenied,
        "SELF_ONLY",
    );
    assert_refused(
        check(&world, &member.session, question(acme, NOBODY, "members.read")).await,
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    assert_eq!(effective(&scenario, &member.session, &member.user_id).await.roles, texts(&["member"]));
    let others = ListEffectivePermissionsRequest {
        organization_id: acme.clone(),
        user_id: scenario.owner.user_id.clone(),
        ..Default::default()
    };
    assert_refused(
        call!(world, permissions.list_effective_permissions, &member.session, others),
        Code::PermissionDenied,
        "SELF_ONLY",
    );
    let about = |user_id: &str| PermissionCheck {
        organization_id: acme.clone(),
        user_id: user_id.to_owned(),
        permission: "members.read".to_owned(),
    };
    let batch = async |checks: Vec<PermissionCheck>| {
        let request = BatchCheckPermissionsRequest { checks, ..Default::default() };
        call!(world, permissions.batch_check_permissions, &member.session, request)
    };
    assert_eq!(batch(vec![about(&member.user_id)]).await.unwrap().results[0].decision(), Decision::Allow);
    let mixed = batch(vec![about(&member.user_id), about(&scenario.owner.user_id)]).await;
    assert_refused(mixed, Code::NotFound, "USER_NOT_FOUND");
}

/// A batch answers each question like a single check would, in their order, also where they repeat.
#[wire_test]
async fn a_batch_keeps_the_order(world: World) {
    let scenario = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "jetstack", "", "other@example.com").await;
    let member = scenario.join(BOB, &["member"]).await;
    let mut checks = Vec::new();
    for permission in ["members.read", "members.invite", "assets.import", "billing.manage", "no.such"] {
        for user in [&scenario.owner.user_id, &member.user_id, &other.owner.user_id, &NOBODY.to_owned()] {
            for organization in [&scenario.organization_id, &other.organization_id, &NOBODY.to_owned()] {
                checks.push(PermissionCheck {
                    organization_id: organization.clone(),
                    user_id: user.clone(),
                    permission: permission.to_owned(),
                });
            }
        }
    }
    let repeated: Vec<PermissionCheck> = checks.iter().chain(checks.iter().skip(7)).cloned().collect();
    let batch = BatchCheckPermissionsRequest { checks: repeated.clone(), ..Default::default() };
    let answers = call!(world, permissions.batch_check_permissions, world.operator_key(), batch).unwrap().results;
    assert_eq!(answers.len(), repeated.len());
    for (asked, answer) in repeated.into_iter().zip(answers) {
        let single =
            check(&world, world.operator_key(), question(&asked.organization_id, &asked.user_id, &asked.permission))
                .await
                .unwrap();
        assert_eq!(answer, single, "{asked:?}");
    }
}

/// A batch has 500 questions at the most, and at least one; a bad one is named by its place.
#[wire_test]
async fn a_batch_has_its_limits(world: World) {
    let scenario = Scenario::acme(&world).await;
    let one = PermissionCheck {
        organization_id: scenario.organization_id.clone(),
        user_id: scenario.owner.user_id.clone(),
        permission: "members.read".to_owned(),
    };
    let batch = async |checks: Vec<PermissionCheck>| {
        call!(
            world,
            permissions.batch_check_permissions,
            world.operator_key(),
            BatchCheckPermissionsRequest { checks, ..Default::default() }
        )
    };
    let answers = batch(vec![one.clone(); 500]).await.unwrap().results;
    assert!(answers.len() == 500 && answers.iter().all(|answer| answer.decision() == Decision::Allow));
    assert_invalid(batch(vec![one.clone(); 501]).await, &["checks"]);
    assert_invalid(batch(Vec::new()).await, &["checks"]);
    let bad = PermissionCheck { user_id: "x".to_owned(), permission: String::new(), ..one.clone() };
    assert_invalid(batch(vec![one, bad]).await, &["checks[1].user_id", "checks[1].permission"]);
}

/// jh_02: the effective permissions are the union of the roles', sorted, and agree with the checks.
#[wire_test]
async fn effective_permissions_are_the_union(world: World) {
    let scenario = Scenario::under(&world, "jethub").await;
    let person = scenario.join(BOB, &["billing_user", "standard_user"]).await;
    let answer = effective(&scenario, world.operator_key(), &person.user_id).await;
    let expected = [
        "billing.manage",
        "billing.read",
        "callflows.manage",
        "organization.read",
        "phone_numbers.manage",
        "reporting.read",
    ];
    assert_eq!((answer.permissions, answer.roles), (texts(&expected), texts(&["billing_user", "standard_user"])));
    assert_eq!(answer.revision, revision(&scenario).await);
    for user in [create_user(&world, "stranger@example.com").await.user_id, NOBODY.to_owned()] {
        let nothing = ListEffectivePermissionsResponse {
            deny_reason: DenyReason::NotAMember.into(),
            ..ListEffectivePermissionsResponse::default()
        };
        assert_eq!(effective(&scenario, world.operator_key(), &user).await, nothing);
    }
    let all: BTreeSet<String> =
        effective(&scenario, world.operator_key(), &scenario.owner.user_id).await.permissions.into_iter().collect();
    assert!(all.contains("members.invite") && !all.contains("billing.read"));
}

/// jh_14: a support tool with a service key finds a person by address and checks what they may do in the organization.
#[wire_test]
async fn jh_14_support_finds_and_checks(world: World) {
    let scenario = Scenario::under(&world, "jethub").await;
    scenario.join(BOB, &["billing_user"]).await;
    let support = service_key(&world, &["users.read", "permissions.check"]).await;
    let request = ListUsersRequest { email: "Bob@EXAMPLE.com".to_owned(), ..ListUsersRequest::default() };
    let found = call!(world, users.list_users, &support, request).unwrap().users;
    for (permission, decision) in [("billing.read", Decision::Allow), ("phone_numbers.manage", Decision::Deny)] {
        let answer =
            check(&world, &support, question(&scenario.organization_id, &found[0].user_id, permission)).await.unwrap();
        assert_eq!(answer.decision(), decision, "{permission}");
    }
    assert_refused(scenario.roster(&support).await, Code::PermissionDenied, "SCOPE_REQUIRED");
}
