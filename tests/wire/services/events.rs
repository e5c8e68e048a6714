//! Following the log: whole, in order, from any place on, and only as far as a key reaches.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, TransactionTrait};
use tonic::{Code, Streaming};

use crate::support::follower::Follower;
use crate::support::pb::{
    DisableServiceAccountRequest, EventStream, GetEventCursorRequest, ListEventsRequest, SuspendMemberRequest,
    WatchEventsRequest, WatchEventsResponse,
};
use crate::support::process::{Process, run};
use crate::support::scenario::{
    Scenario, assert_invalid, assert_refused, call, create_user, service_account, service_key, texts, with_credential,
};
use crate::support::world::{World, literal};

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn watch(world: &World, credential: &str, request: WatchEventsRequest) -> Streaming<WatchEventsResponse> {
    let request = with_credential(credential, request);
    world.events().watch_events(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchEventsResponse>) -> WatchEventsResponse {
    tokio::time::timeout(PATIENCE, stream.message()).await.expect("a message in time").unwrap().unwrap()
}

/// The next message with events in it.
async fn next_events(stream: &mut Streaming<WatchEventsResponse>) -> WatchEventsResponse {
    loop {
        let message = next(stream).await;
        if !message.events.is_empty() {
            return message;
        }
    }
}

async fn cursor_of_now(world: &World) -> String {
    call!(world, events.get_event_cursor, world.operator_key(), GetEventCursorRequest {}).unwrap().cursor
}

/// Whatever the size of a batch, everything that was committed arrives once, each stream without a gap and chained; and what comes later is all that comes later.
#[wire_test]
async fn everything_arrives_once_and_in_order(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    acme.set_roles(world.operator_key(), &ada.user_id, &["admin"]).await.unwrap();
    service_key(&world, &["users.read"]).await;
    let all = world.count("SELECT COUNT(*) AS n FROM events").await;
    for batch_size in [1, 2, 3, 7, 1000] {
        let mut follower = Follower::default();
        follower.catch_up(&world, world.operator_key(), batch_size).await.unwrap();
        assert_eq!(i64::try_from(follower.events.len()).unwrap(), all, "in batches of {batch_size}");
    }
    let mut follower = Follower::default();
    follower.catch_up(&world, world.operator_key(), 5).await.unwrap();
    for stream in [EventStream::Organization, EventStream::User, EventStream::Installation] {
        assert!(follower.events.iter().any(|event| event.stream() == stream), "{stream:?}");
    }
    let before = follower.events.len();
    follower.catch_up(&world, world.operator_key(), 5).await.unwrap();
    assert_eq!(follower.events.len(), before);
    acme.set_roles(&acme.owner.session, &ada.user_id, &["member"]).await.unwrap();
    follower.catch_up(&world, world.operator_key(), 5).await.unwrap();
    let [event] = &follower.events[before..] else { panic!("{:?}", follower.kinds_since(before)) };
    assert_eq!((event.kind.as_str(), event.organization_id.as_str()), ("member.roles_set", &*acme.organization_id));
    assert_eq!((event.actor_user_id.as_str(), event.subject_id.as_str()), (&*acme.owner.user_id, ada.user_id.as_str()));
    let sides = format!("{:?} {:?}", event.before, event.after);
    assert!(sides.contains("admin") && sides.contains("member") && event.data.contains("\"before\""), "{event:?}");
}

/// The first message says where the stream begins; then events arrive as they are committed, and a message without any where nothing happens.
#[wire_test]
async fn a_stream_goes_on_with_what_is_committed(world: World) {
    let acme = Scenario::acme(&world).await;
    let request = WatchEventsRequest { from_now: true, heartbeat_seconds: 1, ..Default::default() };
    let mut stream = watch(&world, world.operator_key(), request).await;
    let first = next(&mut stream).await;
    assert_eq!((first.events.len(), first.up_to_date), (0, true));
    let silence = next(&mut stream).await;
    assert_eq!((silence.events.len(), silence.up_to_date, silence.cursor.is_empty()), (0, true, false));
    let ada = acme.join("ada@example.com", &["member"]).await;
    let mut kinds: Vec<String> = Vec::new();
    let mut cursor = String::new();
    while !kinds.iter().any(|kind| kind == "invitation.accepted") {
        let message = next_events(&mut stream).await;
        kinds.extend(message.events.into_iter().map(|event| event.kind));
        cursor = message.cursor;
    }
    assert!(
        kinds.contains(&"user.created".to_owned()) && kinds.contains(&"invitation.created".to_owned()),
        "{kinds:?}"
    );
    drop(stream);

    // Taken up again behind the last cursor, and written through another server.
    let replica = world.second_server().await;
    let mut stream = watch(&world, world.operator_key(), WatchEventsRequest { cursor, ..Default::default() }).await;
    assert_eq!(next(&mut stream).await.events, []);
    let request = SuspendMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: ada.user_id.clone(),
        ..Default::default()
    };
    call!(replica, members.suspend_member, world.operator_key(), request).unwrap();
    while !next_events(&mut stream).await.events.iter().any(|event| event.kind == "member.suspended") {}
}

/// A filter leaves out; the cursor is behind what it leaves out, too, and is good with another filter.
#[wire_test]
async fn a_filter_leaves_out_and_moves_on(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    acme.join("bob@example.com", &["member"]).await;
    other.join("cy@example.com", &["member"]).await;
    let (mut cursor, mut found) = (String::new(), Vec::new());
    let mut calls = 0;
    loop {
        let request = ListEventsRequest {
            cursor,
            organization_ids: vec![acme.organization_id.clone()],
            kinds: texts(&["invitation.accepted"]),
            batch_size: 3,
        };
        let answer = call!(world, events.list_events, world.operator_key(), request).unwrap();
        found.extend(answer.events);
        cursor = answer.cursor;
        calls += 1;
        if answer.up_to_date {
            break;
        }
    }
    assert!(calls > 3, "{calls}");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|event| event.organization_id == acme.organization_id));
    assert_eq!(found[0].actor_user_id, ada.user_id);
    let rest = ListEventsRequest { cursor, ..Default::default() };
    assert_eq!(call!(world, events.list_events, world.operator_key(), rest).unwrap().events, []);
}

/// Followers are services with the scope of the audit log; what happened to keys is for operators.
#[wire_test]
async fn a_follower_sees_as_far_as_its_key(world: World) {
    let acme = Scenario::acme(&world).await;
    let reader = service_key(&world, &["audit.read"]).await;
    let mut follower = Follower::default();
    follower.catch_up(&world, &reader, 100).await.unwrap();
    assert!(follower.events.len() > 2);
    assert!(follower.events.iter().all(|event| event.stream() != EventStream::Installation));
    let other = service_key(&world, &["users.read"]).await;
    for (credential, reason) in [(&other, "SCOPE_REQUIRED"), (&acme.owner.session, "CALLER_NOT_ALLOWED")] {
        let list = call!(world, events.list_events, credential, ListEventsRequest::default());
        assert_refused(list, Code::PermissionDenied, reason);
        let watch = world.events().watch_events(with_credential(credential, WatchEventsRequest::default())).await;
        assert_refused(watch.map(drop), Code::PermissionDenied, reason);
        let cursor = call!(world, events.get_event_cursor, credential, GetEventCursorRequest {});
        assert_refused(cursor, Code::PermissionDenied, reason);
    }
}

/// ab_35: a stream ends with the right of who follows: nothing that is committed after the key was taken away arrives.
#[wire_test]
async fn a_stream_ends_with_the_key(world: World) {
    let acme = Scenario::acme(&world).await;
    let (account, reader) = service_account(&world, &["audit.read"]).await;
    let request = WatchEventsRequest { from_now: true, ..Default::default() };
    let mut stream = watch(&world, &reader, request).await;
    next(&mut stream).await;
    let request = DisableServiceAccountRequest { service_account_id: account, ..Default::default() };
    call!(world, service_accounts.disable_service_account, world.operator_key(), request).unwrap();
    acme.invite(world.operator_key(), "secret@example.com", &["member"]).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an end in time");
    assert_refused(ended, Code::Unauthenticated, "CREDENTIALS_INVALID");
}

/// Everything wrong is told at once; a contradiction too.
#[wire_test]
async fn everything_wrong_with_a_request_is_told(world: World) {
    let request = ListEventsRequest {
        cursor: "x".to_owned(),
        organization_ids: texts(&["x"]),
        kinds: texts(&["Upper"]),
        batch_size: -1,
    };
    let answer = call!(world, events.list_events, world.operator_key(), request);
    assert_invalid(answer, &["cursor", "organization_ids[0]", "kinds[0]", "batch_size"]);
    let request = WatchEventsRequest {
        cursor: cursor_of_now(&world).await,
        from_now: true,
        heartbeat_seconds: -1,
        ..Default::default()
    };
    let answer = world.events().watch_events(with_credential(world.operator_key(), request)).await;
    assert_invalid(answer.map(drop), &["from_now", "heartbeat_seconds"]);
}

/// A cursor of commits that are lost, of another kind of database, or from before a backup was restored is refused, and names where to begin.
#[wire_test]
async fn a_cursor_of_another_log_is_expired(world: World) {
    Scenario::acme(&world).await;
    let good = cursor_of_now(&world).await;
    let epoch = [0; 16];
    let position = [&[1], epoch.as_slice(), &(i64::MAX - 1).to_be_bytes()].concat();
    let snapshot = [&[2], epoch.as_slice(), b"9223372036854775000:9223372036854775001:"].concat();
    let list = async |cursor: String| {
        let request = ListEventsRequest { cursor, ..Default::default() };
        call!(world, events.list_events, world.operator_key(), request)
    };
    for lost in [position, snapshot] {
        let answer = list(URL_SAFE_NO_PAD.encode(lost)).await;
        let refused = assert_refused(answer, Code::FailedPrecondition, "CURSOR_EXPIRED");
        assert!(!list(refused.metadata["earliest_cursor"].clone()).await.unwrap().events.is_empty());
    }
    list(good.clone()).await.unwrap();
    let url = world.flags().into_iter().find(|flag| flag.starts_with("--database-url=")).unwrap();
    let ended = run(&["admin", "after-restore", &url], &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_refused(list(good).await.map(drop), Code::FailedPrecondition, "CURSOR_EXPIRED");
    let mut anew = Follower::default();
    anew.catch_up(&world, world.operator_key(), 10).await.unwrap();
    assert_eq!(anew.events.iter().filter(|event| event.kind == "installation.restored").count(), 1);
}

/// What a transaction writes that takes long is not passed over by those that are quicker, and no stream gets out of order by it: a follower who reads meanwhile finds it when it is committed.
#[wire_test(postgres)]
async fn a_slow_commit_is_not_passed_over(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let mut follower = Follower::default();
    follower.catch_up(&world, world.operator_key(), 100).await.unwrap();
    // As the service writes, in a transaction that has its number before the quicker ones, and the organization's lock only after them.
    let slow = world.database().begin().await.unwrap();
    slow.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
    for organization in [&acme, &other] {
        organization.invite(world.operator_key(), "quick@example.com", &["member"]).await.unwrap();
    }
    let before = follower.events.len();
    let mut quick = follower.clone();
    quick.catch_up(&world, world.operator_key(), 1).await.unwrap();
    assert_eq!(quick.kinds_since(before), ["invitation.created"; 2]);
    slow.execute_unprepared(&format!(
        "INSERT INTO events (organization_id, revision, stream, kind, data, hash, create_time) \
         SELECT id, revision + 1, 'organization', 'slow', '{{}}', chain_hash, now() FROM organizations WHERE id = {}",
        literal(&world, &acme.organization_id)
    ))
    .await
    .unwrap();
    let late = async |follower: &Follower| {
        let request = ListEventsRequest { cursor: follower.cursor.clone(), batch_size: 1, ..Default::default() };
        call!(world, events.list_events, world.operator_key(), request).unwrap()
    };
    assert_eq!(late(&quick).await.events, []);
    slow.commit().await.unwrap();
    // Who had read what was quicker finds the slow one now, and nothing twice.
    let answer = late(&quick).await;
    assert_eq!(answer.events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["slow"]);
    assert!(answer.up_to_date);
    // Who had not finds all three, those of one organization in the order of their revisions: by the number of the transaction it would be the other way around.
    let (mut revisions, mut cursor) = (Vec::new(), follower.cursor.clone());
    loop {
        let request = ListEventsRequest { cursor, batch_size: 1, ..Default::default() };
        let answer = call!(world, events.list_events, world.operator_key(), request).unwrap();
        let of_acme = answer.events.iter().filter(|event| event.organization_id == acme.organization_id);
        revisions.extend(of_acme.map(|event| event.revision));
        cursor = answer.cursor;
        if answer.up_to_date {
            break;
        }
    }
    assert_eq!(revisions.len(), 2);
    assert_eq!(revisions[0] + 1, revisions[1]);
}

/// Events whose transaction this cluster has not reached, as a dump brings them from another one, are found again once `after-restore` has been there.
#[wire_test(postgres)]
async fn events_of_another_cluster_are_stamped_again(world: World) {
    Scenario::acme(&world).await;
    let all = world.count("SELECT COUNT(*) AS n FROM events").await;
    world.database().execute_unprepared("UPDATE events SET tx = '4611686018427387904'").await.unwrap();
    let url = world.flags().into_iter().find(|flag| flag.starts_with("--database-url=")).unwrap();
    let ended = run(&["admin", "after-restore", &url], &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut follower = Follower::default();
    follower.catch_up(&world, world.operator_key(), 3).await.unwrap();
    assert_eq!(i64::try_from(follower.events.len()).unwrap(), all + 1);
}

/// Following what many write at once, on two servers and while others begin and end: everything arrives once, and nothing is missing at the end.
#[wire_test]
async fn many_writers_leave_no_gap(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let replica = world.second_server().await;
    let writers: Vec<_> = (0..6)
        .map(|number| {
            let at = if number % 2 == 0 { acme.clone() } else { other.clone() };
            let (world, replica) = (world.clone(), replica.clone());
            tokio::spawn(async move {
                for round in 0..8 {
                    let email = format!("w{number}-{round}@example.com");
                    at.invite(world.operator_key(), &email, &["member"]).await.unwrap();
                    let user = create_user(&world, &format!("u{number}-{round}@example.com")).await;
                    let renaming = crate::services::users::audit::renaming(&user, "Other");
                    call!(replica, users.update_user, world.operator_key(), renaming).unwrap();
                }
            })
        })
        .collect();
    let mut follower = Follower::default();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        follower.catch_up(&world, world.operator_key(), 4).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    follower.catch_up(&world, world.operator_key(), 4).await.unwrap();
    let all = world.count("SELECT COUNT(*) AS n FROM events").await;
    assert_eq!(i64::try_from(follower.events.len()).unwrap(), all);
}

/// A server that is asked to stop ends its streams well and does not wait for those who follow.
#[wire_test]
async fn a_server_that_stops_ends_its_streams(world: World) {
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let mut client = crate::support::pb::event_service_client::EventServiceClient::new(addresses.channel());
    let request = WatchEventsRequest { from_now: true, ..Default::default() };
    let mut stream = client.watch_events(with_credential(world.operator_key(), request)).await.unwrap().into_inner();
    next(&mut stream).await;
    process.terminate();
    let end = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an end in time");
    assert!(matches!(end, Ok(None)), "{end:?}");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("stopped before everything"), "{}", ended.stderr);
}
