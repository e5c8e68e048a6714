//! Deletion that people ask for: with a delay and a way back; and what a deleted account holds until its time has come.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use super::super::credentials::mfa;
use crate::support::pb::{
    CancelUserDeletionRequest, CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUserAuditEntriesRequest,
    ScheduleUserDeletionRequest, UndeleteUserRequest, User, UserState,
};
use crate::support::scenario::{
    PASSWORD, Scenario, assert_invalid, assert_refused, call, create_user, new_user, settled, sign_in, time, traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn asking(user_id: &str, password: &str) -> ScheduleUserDeletionRequest {
    ScheduleUserDeletionRequest {
        user_id: user_id.to_owned(),
        password: password.to_owned(),
        ..ScheduleUserDeletionRequest::default()
    }
}

async fn schedule(world: &World, credential: &str, request: ScheduleUserDeletionRequest) -> Result<User, Status> {
    Ok(call!(world, users.schedule_user_deletion, credential, request)?.user.unwrap())
}

async fn cancel(world: &World, credential: &str, user_id: &str) -> Result<User, Status> {
    let request = CancelUserDeletionRequest { user_id: user_id.to_owned(), ..Default::default() };
    Ok(call!(world, users.cancel_user_deletion, credential, request)?.user.unwrap())
}

async fn user(world: &World, user_id: &str) -> User {
    let request = GetUserRequest { user_id: user_id.to_owned() };
    call!(world, users.get_user, world.operator_key(), request).unwrap().user.unwrap()
}

async fn kinds(world: &World, user_id: &str) -> Vec<String> {
    let request = ListUserAuditEntriesRequest { user_id: user_id.to_owned(), ..Default::default() };
    let entries = call!(world, audit.list_user_audit_entries, world.operator_key(), request).unwrap().entries;
    entries.into_iter().map(|entry| entry.kind).collect()
}

/// A person has their account deleted with their password; it works until then, and is gone two weeks later. They are told by mail, and named as who did it.
#[wire_test]
async fn a_person_has_their_account_deleted_later(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = create_user(&world, ADA).await;
    acme.join_existing(&ada, &["member"]).await;
    let before = traces(&world).await;
    assert_invalid(schedule(&world, &ada.session, asking(&ada.user_id, "")).await, &["password"]);
    let tried = ScheduleUserDeletionRequest { validate_only: true, ..asking(&ada.user_id, PASSWORD) };
    assert!(schedule(&world, &ada.session, tried).await.unwrap().scheduled_delete_time.is_some());
    assert_eq!(traces(&world).await, before);
    let wrong = schedule(&world, &ada.session, asking(&ada.user_id, "crimson ladder over 7 rivers")).await;
    assert_refused(wrong, Code::FailedPrecondition, "PASSWORD_INCORRECT");
    let others = schedule(&world, &acme.owner.session, asking(&ada.user_id, PASSWORD)).await;
    assert_refused(others, Code::PermissionDenied, "SELF_ONLY");

    let scheduled = schedule(&world, &ada.session, asking(&ada.user_id, PASSWORD)).await.unwrap();
    let due = time(scheduled.scheduled_delete_time.as_ref());
    assert_eq!(due, world.clock.now() + 14 * DAY);
    let mails = world.mailbox.wait_for(ADA, 2).await;
    assert_eq!(mails[1].subject, "Your account is to be deleted");
    settled(&world).await;
    // Asked again it stays as it is, and nobody is told twice.
    world.clock.advance(DAY);
    let again = schedule(&world, &ada.session, asking(&ada.user_id, PASSWORD)).await.unwrap();
    assert_eq!(again.scheduled_delete_time, scheduled.scheduled_delete_time);
    assert!(acme.may(&ada.user_id, "members.read").await);

    world.clock.advance(13 * DAY - Duration::from_secs(1));
    world.restart_with(&[]).await;
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    assert_eq!(user(&world, &ada.user_id).await.state(), UserState::Active);
    world.clock.advance(Duration::from_secs(1));
    world.restart_with(&[]).await;
    let gone = deleted(&world, &ada.user_id).await;
    assert!(gone.scheduled_delete_time.is_none());
    assert!(!acme.may(&ada.user_id, "members.read").await);
    let request = ListUserAuditEntriesRequest { user_id: ada.user_id.clone(), ..Default::default() };
    let entries = call!(world, audit.list_user_audit_entries, world.operator_key(), request).unwrap().entries;
    let deletion = entries.iter().find(|entry| entry.kind == "user.deleted").unwrap();
    assert_eq!(deletion.actor_user_id, ada.user_id);
}

/// Waits until an account is deleted, which the server does by itself when it starts, and each minute.
async fn deleted(world: &World, user_id: &str) -> User {
    loop {
        let user = user(world, user_id).await;
        if user.state() == UserState::Deleted {
            return user;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Until then there is a way back.
#[wire_test]
async fn a_person_takes_their_deletion_back(world: World) {
    let ada = create_user(&world, ADA).await;
    // Nothing to take back: nothing happens.
    let before = traces(&world).await;
    cancel(&world, &ada.session, &ada.user_id).await.unwrap();
    assert_eq!(traces(&world).await, before);
    schedule(&world, &ada.session, asking(&ada.user_id, PASSWORD)).await.unwrap();
    let other = create_user(&world, "other@example.com").await;
    assert_refused(cancel(&world, &other.session, &ada.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    assert!(cancel(&world, &ada.session, &ada.user_id).await.unwrap().scheduled_delete_time.is_none());
    settled(&world).await;
    // By then another one's is due, which is deleted after hers would have been.
    schedule(&world, world.operator_key(), asking(&other.user_id, "")).await.unwrap();
    settled(&world).await;
    world.clock.advance(15 * DAY);
    world.restart_with(&[]).await;
    deleted(&world, &other.user_id).await;
    assert_eq!(user(&world, &ada.user_id).await.state(), UserState::Active);
    assert_eq!(
        kinds(&world, &ada.user_id).await,
        ["user.deletion_cancelled", "user.deletion_scheduled", "user.created"]
    );
    let gone = cancel(&world, world.operator_key(), &other.user_id).await;
    assert_refused(gone, Code::FailedPrecondition, "USER_STATE_CONFLICT");
}

/// Who owns something alone is told what, when they ask; who does by the time it is due is kept for another day.
#[wire_test]
async fn the_last_owner_of_something_is_not_deleted(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner;
    let refused = assert_refused(
        schedule(&world, &owner.session, asking(&owner.user_id, PASSWORD)).await,
        Code::FailedPrecondition,
        "LAST_OWNER",
    );
    assert_eq!(refused.metadata["organization_ids"], acme.organization_id);

    let second = acme.join("second@example.com", &["owner"]).await;
    schedule(&world, &second.session, asking(&second.user_id, PASSWORD)).await.unwrap();
    settled(&world).await;
    acme.set_roles(&second.session, &owner.user_id, &["member"]).await.unwrap();
    world.clock.advance(14 * DAY);
    world.restart_with(&[]).await;
    let postponed = loop {
        let postponed = user(&world, &second.user_id).await;
        if time(postponed.scheduled_delete_time.as_ref()) > world.clock.now() {
            break postponed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(postponed.state(), UserState::Active);
    assert_eq!(time(postponed.scheduled_delete_time.as_ref()), world.clock.now() + DAY);
    assert_eq!(kinds(&world, &second.user_id).await[0], "user.deletion_postponed");
    acme.set_roles(world.operator_key(), &owner.user_id, &["owner"]).await.unwrap();
    world.clock.advance(DAY);
    world.restart_with(&[]).await;
    deleted(&world, &second.user_id).await;
}

/// A deleted account holds its password, second factor and telephone number for as long as the setting says, in case it comes back; then they are gone.
#[wire_test]
async fn a_deleted_account_is_purged_after_its_time(world: World) {
    let request = CreateUserRequest { phone_number: "+493012345678".to_owned(), ..new_user(ADA) };
    let ada = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    let person = crate::support::scenario::Person { user_id: ada.user_id.clone(), email: ADA.to_owned(), session };
    mfa::guard(&world, &person).await;
    settled(&world).await;
    let delete = DeleteUserRequest { user_id: ada.user_id.clone(), ..DeleteUserRequest::default() };
    call!(world, users.delete_user, world.operator_key(), delete).unwrap();
    let back = UndeleteUserRequest { user_id: ada.user_id.clone(), ..UndeleteUserRequest::default() };
    let held = async || {
        let users = "SELECT COUNT(*) AS n FROM users WHERE password_hash IS NOT NULL AND phone_number IS NOT NULL";
        let factors = "SELECT COUNT(*) AS n FROM mfa_factors";
        let codes = "SELECT COUNT(*) AS n FROM recovery_codes";
        (world.count(users).await, world.count(factors).await, world.count(codes).await)
    };
    world.clock.advance(30 * DAY - Duration::from_secs(1));
    world.restart_with(&[]).await;
    call!(world, users.undelete_user, world.operator_key(), back.clone()).unwrap();
    assert_eq!(held().await, (1, 1, 10));

    let delete = DeleteUserRequest { user_id: ada.user_id.clone(), ..DeleteUserRequest::default() };
    call!(world, users.delete_user, world.operator_key(), delete).unwrap();
    world.clock.advance(3 * DAY);
    world.restart_with(&[("deleted-retention", "3d")]).await;
    while kinds(&world, &ada.user_id).await[0] != "user.purged" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(held().await, (0, 0, 0));
    // It comes back without them.
    let user = call!(world, users.undelete_user, world.operator_key(), back).unwrap().user.unwrap();
    assert_eq!((user.email.as_str(), user.phone_number.as_str()), (ADA, ""));
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
}
