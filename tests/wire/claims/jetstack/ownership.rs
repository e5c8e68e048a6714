//! What Jetstack promises of the owner and of transfers.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{DeleteOrganizationRequest, MemberState};
use crate::support::scenario::{Scenario, assert_refused, call, create_user};
use crate::support::world::World;

/// js_08: there is exactly one Owner, its creator at first; nothing but a transfer gives the role or takes it.
#[wire_test]
async fn js_08_there_is_exactly_one_owner(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let (owner, key) = (&team.owner, world.operator_key());
    let admin = team.join("admin@example.com", &["admin"]).await;
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    for credential in [&*owner.session, &*admin.session, key] {
        for answer in [
            team.set_roles(credential, &admin.user_id, &["owner"]).await,
            team.set_roles(credential, &owner.user_id, &["admin"]).await,
            team.remove(credential, &owner.user_id).await,
        ] {
            assert!(answer.is_err(), "{answer:?}");
        }
        assert!(team.suspend(credential, &owner.user_id).await.is_err());
    }
    assert_refused(team.leave(&owner.session).await, Code::FailedPrecondition, "OWNER_BY_TRANSFER_ONLY");
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    team.transfer(&owner.session, &admin.user_id).await.unwrap();
    assert_eq!(team.active_holders("owner").await, [admin.email.as_str()]);
}

/// js_10: only the current Owner transfers ownership.
#[wire_test]
async fn js_10_only_the_owner_transfers(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let other = team.join("other@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    for person in [&admin, &member] {
        assert_refused(
            team.transfer(&person.session, &other.user_id).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
    }
    let outsider = Scenario::with(&world, "jetstack", "", "outsider@example.com").await;
    assert_refused(
        team.transfer(&outsider.owner.session, &other.user_id).await,
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    assert_eq!(team.active_holders("owner").await, [team.owner.email.as_str()]);
}

/// js_11: the target is an Admin now: no Member, nobody invited, no suspended Admin, nobody outside.
#[wire_test]
async fn js_11_the_target_is_an_active_admin(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let owner = &team.owner.session;
    let member = team.join("member@example.com", &["member"]).await;
    let paused = team.join("paused@example.com", &["admin"]).await;
    let gone = team.join("gone@example.com", &["admin"]).await;
    team.invite(owner, "invited@example.com", &["admin"]).await.unwrap();
    team.suspend(owner, &paused.user_id).await.unwrap();
    team.remove(owner, &gone.user_id).await.unwrap();
    let outsider = Scenario::with(&world, "jetstack", "", "outsider@example.com").await.owner;
    let invitation = team.row(owner, "invited@example.com").await.invitation_id;
    // Somebody who has an account, and is invited as an Admin, is none yet.
    let nearly = create_user(&world, "nearly@example.com").await;
    team.invite(owner, &nearly.email, &["admin"]).await.unwrap();
    for target in [
        &member.user_id,
        &paused.user_id,
        &gone.user_id,
        &outsider.user_id,
        &team.owner.user_id,
        &invitation,
        &nearly.user_id,
    ] {
        assert_refused(team.transfer(owner, target).await, Code::FailedPrecondition, "TRANSFER_TARGET_INELIGIBLE");
    }
    team.activate(owner, &paused.user_id).await.unwrap();
    team.transfer(owner, &paused.user_id).await.unwrap();
}

/// js_12, js_13: after it the previous Owner is an Admin, both by one change; only the new Owner gives it back.
#[wire_test]
async fn js_12_the_previous_owner_is_an_admin_and_js_13_cannot_take_it_back(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let (old, new) = (team.owner.clone(), team.join("new@example.com", &["admin"]).await);
    let before = team.row(&old.session, &old.email).await.etag;
    team.transfer(&old.session, &new.user_id).await.unwrap();
    let [was, is] = [team.row(&new.session, &old.email).await, team.row(&new.session, &new.email).await];
    assert_eq!((&was.roles[..], &is.roles[..]), (&["admin".to_owned()][..], &["owner".to_owned()][..]));
    let [before, is, was] = [&before, &is.etag, &was.etag].map(|etag| etag.parse::<i64>().unwrap());
    assert!(before < is && was == is + 1, "both changed in one commit, by an event each: {before} {is} {was}");
    assert_refused(team.transfer(&old.session, &old.user_id).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    team.transfer(&new.session, &old.user_id).await.unwrap();
    assert_eq!(team.active_holders("owner").await, [old.email.as_str()]);
}

/// js_18: the Owner is not removed; after a transfer, the former one is.
#[wire_test]
async fn js_18_the_owner_is_removed_after_a_transfer_only(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    for credential in [&*admin.session, &*team.owner.session, world.operator_key()] {
        assert_refused(
            team.remove(credential, &team.owner.user_id).await,
            Code::FailedPrecondition,
            "OWNER_BY_TRANSFER_ONLY",
        );
    }
    team.transfer(&team.owner.session, &admin.user_id).await.unwrap();
    let removed = team.remove(&admin.session, &team.owner.user_id).await.unwrap();
    assert_eq!(removed.state(), MemberState::Removed);
}

/// js_20: billing, deleting the organization and handing it over are the Owner's alone, by the checks and by the calls.
#[wire_test]
async fn js_20_three_things_are_the_owners_alone(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    for permission in ["billing.manage", "organization.delete", "ownership.transfer"] {
        let who = [&team.owner, &admin, &member].map(|person| team.may(&person.user_id, permission));
        assert_eq!(futures_util::future::join_all(who).await, [true, false, false], "{permission}");
    }
    let delete = async |credential: &str| {
        let request = DeleteOrganizationRequest {
            organization_id: team.organization_id.clone(),
            ..DeleteOrganizationRequest::default()
        };
        call!(world, organizations.delete_organization, credential, request)
    };
    for person in [&admin, &member] {
        assert_refused(delete(&person.session).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
        assert_refused(
            team.transfer(&person.session, &admin.user_id).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
    }
    delete(&team.owner.session).await.unwrap();
    assert!(!team.may(&team.owner.user_id, "billing.manage").await);
    assert_refused(team.roster(&admin.session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}
