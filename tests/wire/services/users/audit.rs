//! The record of an account: read by its user and by services, whole, and in one order.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::{Code, Status};

use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{
    AuditEntry, AuditFlaw, ChangePasswordRequest, ListAuditEntriesRequest, ListUserAuditEntriesRequest,
    RevokeUserSessionsRequest, SignOutRequest, SuspendUserRequest, UpdateUserRequest, User,
    VerifyUserAuditChainRequest, VerifyUserAuditChainResponse,
};
use crate::support::process::Process;
use crate::support::race::{Servers, at_once};
use crate::support::runner::rounds;
use crate::support::scenario::{
    PASSWORD, Person, assert_invalid, assert_refused, call, create_user, service_key, sign_in, texts, with_credential,
};
use crate::support::world::{World, literal};

const ADA: &str = "ada@example.com";

async fn listed(
    world: &World,
    credential: &str,
    request: ListUserAuditEntriesRequest,
) -> Result<Vec<AuditEntry>, Status> {
    Ok(call!(world, audit.list_user_audit_entries, credential, request)?.entries)
}

async fn verified(world: &World, user: &Person) -> VerifyUserAuditChainResponse {
    let request = VerifyUserAuditChainRequest { user_id: user.user_id.clone(), ..Default::default() };
    call!(world, audit.verify_user_audit_chain, world.operator_key(), request).unwrap()
}

fn of(user: &Person) -> ListUserAuditEntriesRequest {
    ListUserAuditEntriesRequest { user_id: user.user_id.clone(), ..Default::default() }
}

pub(crate) fn renaming(user: &Person, name: &str) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(User { user_id: user.user_id.clone(), given_name: name.to_owned(), ..User::default() }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["given_name"]) }),
        ..UpdateUserRequest::default()
    }
}

fn kinds(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.kind.as_str()).collect()
}

/// The record begins with the account, and tells of each change of it and of sessions that end, with who did it and no secret.
#[wire_test]
async fn a_user_reads_their_own_record(world: World) {
    let ada = create_user(&world, ADA).await;
    call!(world, users.update_user, &ada.session, renaming(&ada, "Augusta")).unwrap();
    let other = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    call!(world, sessions.sign_out, &other, SignOutRequest::default()).unwrap();
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    let request = ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: "crimson ladder over 7 rivers".to_owned(),
        ..ChangePasswordRequest::default()
    };
    call!(world, credentials.change_password, &ada.session, request).unwrap();
    // Nothing has ended: nothing is told.
    let request = RevokeUserSessionsRequest { user_id: ada.user_id.clone(), keep_current: true, ..Default::default() };
    call!(world, sessions.revoke_user_sessions, &ada.session, request).unwrap();

    let entries = listed(&world, &ada.session, of(&ada)).await.unwrap();
    assert_eq!(
        kinds(&entries),
        ["user.sessions_ended", "user.password_changed", "user.session_ended", "user.updated", "user.created"]
    );
    assert_eq!(entries.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert!(entries.iter().all(|entry| entry.organization_id.is_empty() && entry.subject_user_id == ada.user_id));
    let actors = |entry: &AuditEntry| (entry.actor_user_id.clone(), entry.actor_service_account_id.is_empty());
    assert_eq!(actors(&entries[3]), (ada.user_id.clone(), true));
    assert_eq!(actors(&entries[4]), (String::new(), false));
    let told = format!("{entries:?}");
    assert!(told.contains("Augusta") && told.contains(ADA), "{told}");
    assert!(!told.contains("argon2") && !told.contains(PASSWORD) && !told.contains(&ada.session), "{told}");
    assert_eq!(listed(&world, world.operator_key(), of(&ada)).await.unwrap(), entries);
    let some = ListUserAuditEntriesRequest { kinds: texts(&["user.updated"]), page_size: 1, ..of(&ada) };
    assert_eq!(kinds(&listed(&world, &ada.session, some).await.unwrap()), ["user.updated"]);
    let found = verified(&world, &ada).await;
    assert_eq!(
        (found.intact, found.verified_entries, found.hash.as_str()),
        (true, 5, entries[0].hash.as_str()),
        "{found:?}"
    );
}

/// The record of somebody else is not there for a user; a service needs the scope. An account's stream is no organization's.
#[wire_test]
async fn the_record_of_an_account_is_for_its_user_and_for_services(world: World) {
    let ada = create_user(&world, ADA).await;
    let bob = create_user(&world, "bob@example.com").await;
    assert_refused(listed(&world, &bob.session, of(&ada)).await, Code::NotFound, "USER_NOT_FOUND");
    let verify = VerifyUserAuditChainRequest { user_id: ada.user_id.clone(), ..Default::default() };
    assert_refused(
        call!(world, audit.verify_user_audit_chain, &bob.session, verify.clone()),
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    let reader = service_key(&world, &["audit.read"]).await;
    assert_eq!(kinds(&listed(&world, &reader, of(&ada)).await.unwrap()), ["user.created"]);
    let other = service_key(&world, &["users.read"]).await;
    assert_refused(listed(&world, &other, of(&ada)).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_refused(
        call!(world, audit.verify_user_audit_chain, &other, verify),
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
    let nobody = ListUserAuditEntriesRequest { user_id: uuid::Uuid::nil().to_string(), ..Default::default() };
    assert_refused(listed(&world, &reader, nobody).await, Code::NotFound, "USER_NOT_FOUND");
    let wrong = ListUserAuditEntriesRequest { user_id: "x".to_owned(), page_size: -1, ..Default::default() };
    assert_invalid(listed(&world, &reader, wrong).await, &["user_id", "page_size"]);
    let stream = ListAuditEntriesRequest { organization_id: ada.user_id.clone(), ..Default::default() };
    assert_refused(call!(world, audit.list_audit_entries, &reader, stream), Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// An entry that was edited or deleted with SQL is named.
#[wire_test]
async fn an_edited_entry_of_an_account_is_named(world: World) {
    let ada = create_user(&world, ADA).await;
    for name in ["One", "Two", "Three"] {
        call!(world, users.update_user, &ada.session, renaming(&ada, name)).unwrap();
    }
    assert!(verified(&world, &ada).await.intact);
    let of_ada = format!("organization_id = {}", literal(&world, &ada.user_id));
    let execute = async |statement: String| world.database().execute_unprepared(&statement).await.unwrap();
    execute(format!("UPDATE events SET kind = 'user.seen' WHERE {of_ada} AND revision = 3")).await;
    let found = verified(&world, &ada).await;
    assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, 3, AuditFlaw::EntryChanged));
    execute(format!("DELETE FROM events WHERE {of_ada} AND revision >= 3")).await;
    let found = verified(&world, &ada).await;
    assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, 3, AuditFlaw::EndMissing));
}

/// What the version before writes to its own table while it is replaced is taken over, in its order and once.
#[wire_test]
async fn what_the_version_before_recorded_is_taken_over(world: World) {
    let ada = create_user(&world, ADA).await;
    for (revision, kind) in [(7, "user.suspended"), (8, "user.activated")] {
        let row = format!(
            "INSERT INTO user_events (user_id, revision, kind, data, create_time) SELECT id, {revision}, '{kind}', '{{\"after\":\"x\"}}', create_time FROM users"
        );
        world.database().execute_unprepared(&row).await.unwrap();
    }
    // The next process to start looks for it first.
    let (process, _) = Process::serve(&world.flags(), &[]).await;
    while world.count("SELECT COUNT(*) AS n FROM user_events").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = listed(&world, &ada.session, of(&ada)).await.unwrap();
    assert_eq!(kinds(&entries), ["user.activated", "user.suspended", "user.created"]);
    let found = verified(&world, &ada).await;
    assert_eq!((found.intact, found.verified_entries), (true, 3), "{found:?}");
    drop(process);
}

/// Changes of an account at once, on two servers, are one history: without a gap and with one chain.
#[wire_test]
async fn changes_of_an_account_at_once_are_one_history(world: World) {
    let servers = Servers::open(&world).await;
    let ada = create_user(&world, ADA).await;
    for round in 0..rounds() {
        let before = verified(&world, &ada).await.verified_entries;
        let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
        let leaving = with_credential(&session, SignOutRequest::default());
        let mut sessions = SessionServiceClient::new(servers.channel(0));
        let renames = (1..5).map(|number| {
            let mut client = UserServiceClient::new(servers.channel(number));
            let request = with_credential(world.operator_key(), renaming(&ada, &format!("N{round} {number}")));
            async move { client.update_user(request).await.map(drop) }
        });
        let (left, renamed) = tokio::join!(sessions.sign_out(leaving), at_once(renames.collect()));
        left.unwrap();
        for answer in renamed {
            answer.unwrap();
        }
        let found = verified(&world, &ada).await;
        assert_eq!((found.intact, found.verified_entries), (true, before + 5), "{found:?}");
    }
}

/// A user who is suspended by a service finds it in their record, and what ended.
#[wire_test]
async fn a_suspension_tells_of_the_sessions_it_ends(world: World) {
    let ada = create_user(&world, ADA).await;
    let request = SuspendUserRequest { user_id: ada.user_id.clone(), ..Default::default() };
    call!(world, users.suspend_user, world.operator_key(), request).unwrap();
    let entries = listed(&world, world.operator_key(), of(&ada)).await.unwrap();
    assert_eq!(kinds(&entries), ["user.sessions_ended", "user.suspended", "user.created"]);
}
