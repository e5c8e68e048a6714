//! The limits on messages, streams, connections and time.

use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream, StreamExt};
use roster_test_macros::wire_test;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{AT_ONCE, health, list};
use crate::support::contents::dump;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{
    GetOrganizationRequest, ImportUsersRequest, ImportedMembership, ListOrganizationsRequest, UserToImport,
};
use crate::support::scenario::{PASSWORD, Scenario, credentials, refusal, retry_delay};
use crate::support::waiting::hold_organizations;
use crate::support::world::World;

/// The requests of an import that says nothing, and that ends when what comes with them is dropped.
fn silent() -> (oneshot::Sender<()>, impl Stream<Item = ImportUsersRequest>) {
    let (end, ended) = oneshot::channel();
    (end, stream::once(ended).filter_map(|_| std::future::ready(None)))
}

/// ab_13: a message of more than 256 KiB is refused before it is read, as is a header of more than 16 KiB; the connection serves others on.
#[wire_test]
async fn ab_13_oversized_messages_and_headers_are_refused(world: World) {
    let team = Scenario::acme(&world).await;
    let before = dump(world.database()).await;
    let mut request = team.invitation("bea@example.com");
    request.personal_message = "x".repeat(300 * 1024);
    let refused =
        world.invitations().create_invitation(world.as_session(&team.owner.session, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    let mut request = world.as_operator(ListOrganizationsRequest::default());
    request.metadata_mut().insert("x-huge", "x".repeat(64 * 1024).parse().unwrap());
    let refused = world.organizations().list_organizations(request).await.unwrap_err();
    assert_ne!(refused.code(), Code::Ok, "{refused}");
    assert_eq!(dump(world.database()).await, before);
    list(&world).await.unwrap();
}

/// ab_13: one connection has so many calls at once and no more: the next waits for a place, on that connection only.
#[wire_test]
async fn ab_13_a_connection_has_a_limit_of_calls(world: World) {
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("max-streams", "2")]).await;
    let held = hold_organizations(&world).await;
    // The client learns of the limit with the first answer.
    list(&world).await.unwrap();
    let mut waiting = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        let (mut client, request) =
            (world.invitations(), world.as_session(&team.owner.session, team.invitation(email)));
        waiting.push(tokio::spawn(async move { client.create_invitation(request).await }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), list(&world)).await.is_err(), "a third call got a place");
    let other = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap().connect().await.unwrap();
    let request = world.as_operator(ListOrganizationsRequest::default());
    OrganizationServiceClient::new(other).list_organizations(request).await.unwrap();
    held.rollback().await.unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    list(&world).await.unwrap();
}

/// How long a call may take that names no deadline, which no machine is too busy to stay below where it names one.
const SERVERS_OWN: Duration = Duration::from_secs(30);

/// ab_12: a call whose deadline passes while it waits for a lock ends then, changes nothing, then or later, and leaves nothing locked.
#[wire_test]
async fn ab_12_a_deadline_ends_the_work(world: World) {
    let team = Scenario::acme(&world).await;
    let before = dump(world.database()).await;
    let held = hold_organizations(&world).await;
    let start = Instant::now();
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        let mut request = world.as_session(&team.owner.session, team.invitation(email));
        request.set_timeout(Duration::from_millis(200));
        let late = world.invitations().create_invitation(request).await.unwrap_err();
        assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
    }
    assert!(start.elapsed() < SERVERS_OWN, "{:?}", start.elapsed());
    // The client has given up by its own clock, which began before the server's. What is answered on the same connection came behind the calls: by then the server has them, and their time is over
    // soon. Only then is the lock free.
    let later = GetOrganizationRequest { organization_id: team.organization_id.clone() };
    world.organizations().get_organization(world.as_session(&team.owner.session, later)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(dump(world.database()).await, before);
    let request = world.as_session(&team.owner.session, team.invitation("a@example.com"));
    tokio::time::timeout(SERVERS_OWN, world.invitations().create_invitation(request))
        .await
        .expect("something is still locked")
        .unwrap();
}

/// ab_12: the server has a time limit of its own, for callers that name none.
#[wire_test]
async fn ab_12_the_server_has_a_time_limit(world: World) {
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("request-timeout", "300ms")]).await;
    let before = dump(world.database()).await;
    let held = hold_organizations(&world).await;
    let request = world.as_session(&team.owner.session, team.invitation("bea@example.com"));
    let late = world.invitations().create_invitation(request).await.unwrap_err();
    assert_eq!((late.code(), refusal(&late).reason), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    // The lock is held until now: nothing else has ended the call.
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(dump(world.database()).await, before);
    // It is about the time until the answer begins: a stream goes on.
    let (end, silent) = silent();
    let mut stream = world.users().import_users(world.as_operator(silent)).await.unwrap().into_inner();
    assert!(tokio::time::timeout(Duration::from_millis(600), stream.message()).await.is_err(), "the stream ended");
    drop(end);
    assert_eq!(stream.message().await.unwrap(), None);
}

/// ab_13: whoever sends nothing, or takes nothing, holds up nobody: only what is at work has a place among the calls. With a place kept until the answer was taken, everybody
/// else was refused for as long as they liked.
#[wire_test]
async fn ab_13_who_takes_nothing_holds_up_nobody(world: World) {
    world.restart_with(&[("max-concurrent-requests", "1")]).await;
    let (end, silent) = silent();
    let mut stream = world.users().import_users(world.as_operator(silent)).await.unwrap().into_inner();
    // A client that opens no window gets the head of an answer, and nothing of its body.
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap();
    let deaf = endpoint.initial_stream_window_size(0).connect().await.unwrap();
    let request = world.as_operator(ListOrganizationsRequest::default());
    let waiting = tokio::spawn(async move { OrganizationServiceClient::new(deaf).list_organizations(request).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..20 {
        list(&world).await.unwrap();
    }
    assert!(!waiting.is_finished(), "the answer has come through no window");
    waiting.abort();
    drop(end);
    assert_eq!(stream.message().await.unwrap(), None);
}

/// ab_13: a message of a stream that is at work has a place, as a call has, and gives it back with its answer; and it waits for one, since what has begun is not refused in the middle.
#[wire_test]
async fn ab_13_a_stream_at_work_has_a_place(world: World) {
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("max-concurrent-requests", "1")]).await;
    let membership =
        ImportedMembership { organization_id: team.organization_id.clone(), roles: vec!["member".to_owned()] };
    let person = UserToImport {
        email: "bea@example.com".to_owned(),
        given_name: "Bea".to_owned(),
        memberships: vec![membership],
        ..UserToImport::default()
    };
    let batch = ImportUsersRequest {
        import_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned(),
        users: vec![person],
        validate_only: false,
    };
    let held = hold_organizations(&world).await;
    let one = world.as_operator(stream::once(std::future::ready(batch)));
    let mut answers = world.users().import_users(one).await.unwrap().into_inner();
    let answer = tokio::spawn(async move { answers.message().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        let refused = list(&world).await.unwrap_err();
        assert_eq!((refused.code(), refusal(&refused).reason), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    }
    held.rollback().await.unwrap();
    let answer = answer.await.unwrap().unwrap().unwrap();
    // The organization takes people by invitation only: the person is refused, after the wait for its lock.
    assert_eq!(answer.refused_count, 1, "{answer:?}");
    for _ in 0..20 {
        list(&world).await.unwrap();
    }
}

/// Load beyond the limit is refused at once, with the time to come back after; health is answered all the same, and a place that is free is given again.
#[wire_test]
async fn excess_calls_are_refused_at_once(world: World) {
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("max-concurrent-requests", "2")]).await;
    let held = hold_organizations(&world).await;
    let mut waiting = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        let (mut client, request) =
            (world.invitations(), world.as_session(&team.owner.session, team.invitation(email)));
        waiting.push(tokio::spawn(async move { client.create_invitation(request).await }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..20 {
        let start = Instant::now();
        let refused = list(&world).await.unwrap_err();
        assert_eq!((refused.code(), refusal(&refused).reason), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
        assert!(retry_delay(&refused).is_some_and(|delay| delay > Duration::ZERO));
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
    assert_eq!(health(world.channel()).await.unwrap(), ServingStatus::Serving);
    held.rollback().await.unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    list(&world).await.unwrap();
}

/// ab_14: sign-ins beyond what the hashing threads and their queue take are refused at once, with the time to come back after; other calls go on.
#[wire_test]
async fn ab_14_excess_sign_ins_are_refused_at_once(world: World) {
    Scenario::acme(&world).await;
    // One hash of these takes some tenths of a second.
    let costly =
        [("hashing-threads", "1"), ("hashing-queue", "1"), ("argon2-memory-kib", "65536"), ("argon2-iterations", "8")];
    world.restart_with(&costly).await;
    let mut tries = tokio::task::JoinSet::new();
    for index in 0..8 {
        let mut sessions = world.sessions();
        tries.spawn(async move {
            let start = Instant::now();
            let failed =
                sessions.sign_in(credentials(&format!("nobody{index}@example.com"), PASSWORD)).await.unwrap_err();
            (failed, start.elapsed())
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    list(&world).await.unwrap();
    let between = start.elapsed();
    let answers = tries.join_all().await;
    let (refused, tried): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| status.code() == Code::ResourceExhausted);
    assert!((1..=3).contains(&tried.len()), "{} were tried", tried.len());
    assert!(
        tried
            .iter()
            .all(|(status, _)| status.code() == Code::Unauthenticated && refusal(status).reason == "SIGN_IN_FAILED")
    );
    let hash = tried.iter().map(|(_, took)| *took).min().unwrap();
    for (status, took) in &refused {
        assert_eq!(refusal(status).reason, "OVERLOADED");
        assert!(retry_delay(status).is_some_and(|delay| delay > Duration::ZERO));
        assert!(*took < hash, "refused after {took:?}, a hash takes {hash:?}");
    }
    assert!(between < AT_ONCE, "another call took {between:?}");
}
