//! What is kept in memory for checks and authentication is as exact as the database: a right that was taken away on one server is gone on every other at the next call.

mod history;
mod traps;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    ActivateMemberRequest, ActivateOrganizationRequest, ActivateUserRequest, AtLeastAsFresh,
    BatchCheckPermissionsRequest, CheckPermissionRequest, CheckPermissionResponse, Consistency, Decision,
    DisableServiceAccountRequest, ListEffectivePermissionsRequest, ListServiceKeysRequest, PermissionCheck,
    RevokeServiceKeyRequest, RevokeUserSessionsRequest, SetMemberRolesRequest, SuspendMemberRequest,
    SuspendOrganizationRequest, SuspendUserRequest, UpdateServiceAccountRequest, VerifySessionRequest,
    consistency::Requirement,
};
use crate::support::runner::rounds;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, service_account, sign_in, texts,
};
use crate::support::world::{Replica, World};

const PERMISSION: &str = "members.invite";

fn question(organization_id: &str, user_id: &str) -> CheckPermissionRequest {
    CheckPermissionRequest {
        organization_id: organization_id.to_owned(),
        user_id: user_id.to_owned(),
        permission: PERMISSION.to_owned(),
        consistency: None,
        ..CheckPermissionRequest::default()
    }
}

fn asking(requirement: Requirement) -> Option<Consistency> {
    Some(Consistency { requirement: Some(requirement) })
}

async fn check(at: &Replica, key: &str, of: &Scenario, who: &Person) -> Result<CheckPermissionResponse, Status> {
    call!(at, permissions.check_permission, key, question(&of.organization_id, &who.user_id))
}

async fn allowed(at: &Replica, key: &str, of: &Scenario, who: &Person) -> bool {
    let one = check(at, key, of, who).await.unwrap();
    let checks = vec![PermissionCheck {
        organization_id: of.organization_id.clone(),
        user_id: who.user_id.clone(),
        permission: PERMISSION.to_owned(),
    }];
    let many =
        call!(at, permissions.batch_check_permissions, key, BatchCheckPermissionsRequest { checks, consistency: None })
            .unwrap();
    let allowed = one.decision() == Decision::Allow;
    assert_eq!(many.results, [one]);
    allowed
}

/// Whatever takes a right away on one server, the very next check on another knows it, and knows when it is given back.
#[wire_test]
async fn what_is_taken_away_here_is_gone_there(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let there = world.second_server().await;
    let key = world.operator_key();
    let (organization_id, user_id) = (|| acme.organization_id.clone(), || bob.user_id.clone());
    for round in 0..rounds() {
        assert!(allowed(&there, key, &acme, &bob).await, "round {round}");
        acme.set_roles(key, &bob.user_id, &["member"]).await.unwrap();
        assert!(!allowed(&there, key, &acme, &bob).await, "demoted, round {round}");
        acme.set_roles(key, &bob.user_id, &["admin"]).await.unwrap();
        assert!(allowed(&there, key, &acme, &bob).await, "promoted, round {round}");

        let request =
            SuspendMemberRequest { organization_id: organization_id(), user_id: user_id(), ..Default::default() };
        call!(world, members.suspend_member, key, request).unwrap();
        assert!(!allowed(&there, key, &acme, &bob).await, "suspended, round {round}");
        let request =
            ActivateMemberRequest { organization_id: organization_id(), user_id: user_id(), ..Default::default() };
        call!(world, members.activate_member, key, request).unwrap();
        assert!(allowed(&there, key, &acme, &bob).await, "activated, round {round}");

        let request = SuspendOrganizationRequest { organization_id: organization_id(), ..Default::default() };
        call!(world, organizations.suspend_organization, key, request).unwrap();
        assert!(!allowed(&there, key, &acme, &bob).await, "organization suspended, round {round}");
        let request = ActivateOrganizationRequest { organization_id: organization_id(), ..Default::default() };
        call!(world, organizations.activate_organization, key, request).unwrap();
        assert!(allowed(&there, key, &acme, &bob).await, "organization activated, round {round}");

        let request = SuspendUserRequest { user_id: user_id(), ..Default::default() };
        call!(world, users.suspend_user, key, request).unwrap();
        assert!(!allowed(&there, key, &acme, &bob).await, "account suspended, round {round}");
        let request = ActivateUserRequest { user_id: user_id(), ..Default::default() };
        call!(world, users.activate_user, key, request).unwrap();
    }
}

/// The same of what authenticates: sessions and keys.
#[wire_test]
async fn a_credential_that_is_taken_away_here_is_refused_there(world: World) {
    let acme = Scenario::acme(&world).await;
    let there = world.second_server().await;
    let owner = world.operator_key();
    for round in 0..rounds() {
        let session = sign_in(&world, &acme.owner.email, PASSWORD).await.unwrap().session_token;
        let verify = || VerifySessionRequest { session_token: session.clone(), ..Default::default() };
        assert!(call!(there, sessions.verify_session, owner, verify()).unwrap().valid, "round {round}");
        check(&there, &session, &acme, &acme.owner).await.unwrap();
        let request = RevokeUserSessionsRequest { user_id: acme.owner.user_id.clone(), ..Default::default() };
        call!(world, sessions.revoke_user_sessions, owner, request).unwrap();
        assert!(!call!(there, sessions.verify_session, owner, verify()).unwrap().valid, "round {round}");
        let refused = check(&there, &session, &acme, &acme.owner).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIALS_INVALID");

        let (account, key) = service_account(&world, &["permissions.check"]).await;
        check(&there, &key, &acme, &acme.owner).await.unwrap();
        let narrower = UpdateServiceAccountRequest {
            service_account: Some(crate::support::pb::ServiceAccount {
                service_account_id: account.clone(),
                scopes: texts(&["users.read"]),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["scopes"]) }),
            ..Default::default()
        };
        call!(world, service_accounts.update_service_account, owner, narrower).unwrap();
        let refused = check(&there, &key, &acme, &acme.owner).await;
        assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED");
        let request = ListServiceKeysRequest { service_account_id: account.clone(), ..Default::default() };
        let keys = call!(world, service_accounts.list_service_keys, owner, request).unwrap().service_keys;
        let request = RevokeServiceKeyRequest {
            service_account_id: account.clone(),
            service_key_id: keys[0].service_key_id.clone(),
            ..Default::default()
        };
        call!(world, service_accounts.revoke_service_key, owner, request).unwrap();
        let refused = check(&there, &key, &acme, &acme.owner).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIALS_INVALID");

        let (account, key) = service_account(&world, &["permissions.check"]).await;
        check(&there, &key, &acme, &acme.owner).await.unwrap();
        let request = DisableServiceAccountRequest { service_account_id: account, ..Default::default() };
        call!(world, service_accounts.disable_service_account, owner, request).unwrap();
        let refused = check(&there, &key, &acme, &acme.owner).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
}

/// A session that another server has seen in use is not refused as idle by one that has not.
#[wire_test]
async fn a_session_that_was_used_there_is_not_idle_here(world: World) {
    let acme = Scenario::acme(&world).await;
    let there = world.server_with(&[("session-idle", "1h")]).await;
    let here = world.server_with(&[("session-idle", "1h")]).await;
    check(&here, &acme.owner.session, &acme, &acme.owner).await.unwrap();
    for _ in 0..3 {
        world.clock.advance(std::time::Duration::from_secs(1800));
        check(&there, &acme.owner.session, &acme, &acme.owner).await.unwrap();
    }
    check(&here, &acme.owner.session, &acme, &acme.owner).await.unwrap();
}

/// Whoever names the revision that a change has answered with is told of that change, on every server; and who takes what is there is told of it a second later at the latest.
#[wire_test]
async fn an_answer_is_as_fresh_as_it_is_asked_to_be(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let there = world.second_server().await;
    let key = world.operator_key();
    let ask = async |requirement: Requirement| {
        let one = CheckPermissionRequest {
            consistency: asking(requirement),
            ..question(&acme.organization_id, &bob.user_id)
        };
        let answer = call!(there, permissions.check_permission, key, one)?;
        let checks = vec![PermissionCheck {
            organization_id: acme.organization_id.clone(),
            user_id: bob.user_id.clone(),
            permission: PERMISSION.to_owned(),
        }];
        let many = BatchCheckPermissionsRequest { checks, consistency: asking(requirement) };
        let many = call!(there, permissions.batch_check_permissions, key, many)?;
        let listed = ListEffectivePermissionsRequest {
            organization_id: acme.organization_id.clone(),
            user_id: bob.user_id.clone(),
            consistency: asking(requirement),
        };
        let listed = call!(there, permissions.list_effective_permissions, key, listed)?;
        let allowed = answer.decision() == Decision::Allow;
        assert_eq!(listed.permissions.iter().any(|permission| permission == PERMISSION), allowed);
        assert_eq!(many.results[0].decision(), answer.decision());
        Ok::<_, Status>((allowed, answer.revision))
    };
    for round in 0..rounds() {
        let role = if round % 2 == 0 { "member" } else { "admin" };
        ask(Requirement::MinimizeLatency(true)).await.unwrap();
        let request = SetMemberRolesRequest {
            organization_id: acme.organization_id.clone(),
            user_id: bob.user_id.clone(),
            roles: texts(&[role]),
            ..Default::default()
        };
        let revision = call!(world, members.set_member_roles, key, request).unwrap().revision;
        let fresh = ask(Requirement::AtLeastAsFresh(AtLeastAsFresh { revision })).await.unwrap();
        assert_eq!(fresh, (role == "admin", revision), "round {round}");
        assert_eq!(ask(Requirement::Full(true)).await.unwrap(), fresh);
    }
    acme.set_roles(key, &bob.user_id, &["admin"]).await.unwrap();
    assert!(ask(Requirement::Full(true)).await.unwrap().0);
    acme.set_roles(key, &bob.user_id, &["member"]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1010)).await;
    assert!(!ask(Requirement::MinimizeLatency(true)).await.unwrap().0);
    // A revision that is not there yet is no reason to wait: the answer is the newest there is.
    let newest = ask(Requirement::AtLeastAsFresh(AtLeastAsFresh { revision: i64::MAX })).await.unwrap();
    assert_eq!(newest, ask(Requirement::Full(true)).await.unwrap());
    let wrong = ask(Requirement::AtLeastAsFresh(AtLeastAsFresh { revision: -1 })).await;
    assert_invalid(wrong, &["consistency.at_least_as_fresh.revision"]);
}

/// Without the directory the answers are the same.
#[wire_test]
async fn it_can_be_switched_off(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let off = world.server_with(&[("directory-bytes", "0")]).await;
    let key = world.operator_key();
    assert!(allowed(&off, key, &acme, &bob).await);
    acme.set_roles(key, &bob.user_id, &["member"]).await.unwrap();
    assert!(!allowed(&off, key, &acme, &bob).await);
    // A small one holds nothing for long, and is as exact.
    let small = world.server_with(&[("directory-bytes", "2000")]).await;
    for role in ["admin", "member", "admin"] {
        acme.set_roles(key, &bob.user_id, &[role]).await.unwrap();
        assert_eq!(allowed(&small, key, &acme, &bob).await, role == "admin");
    }
}
