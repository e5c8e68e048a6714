//! Imports as streams: what ends one, and what is done by then.

use std::time::Duration;

use roster_test_macros::wire_test;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{Feed, answers, batch, counts, crowd, import, person, users};
use crate::support::pb::{
    DisableServiceAccountRequest, ImportUsersRequest, ImportedMembership, ServiceAccount, UpdateServiceAccountRequest,
    UserToImport,
};
use crate::support::race::at_once;
use crate::support::scenario::{
    Scenario, assert_invalid, assert_refused, call, refusal, service_account, service_key, texts, traces,
    with_credential,
};
use crate::support::world::World;

/// What is wrong with the batch itself ends the stream, with everything that is wrong in it; what was committed before stays.
#[wire_test]
async fn a_batch_that_is_none_ends_the_stream(world: World) {
    let mut feed = Feed::open(&world, world.operator_key()).await;
    feed.send(crowd(0..2)).await.unwrap();
    assert_invalid(feed.send(Vec::new()).await, &["users"]);
    assert!(feed.answers.message().await.unwrap().is_none());
    let wrong =
        ImportUsersRequest { import_id: "x".to_owned(), ..batch(vec![person(0, "a@example.com"), person(1, "a@b@c")]) };
    assert_invalid(answers(&world, world.operator_key(), vec![wrong]).await, &["import_id", "users[1].email"]);
    let many = batch(crowd(0..501));
    assert_invalid(answers(&world, world.operator_key(), vec![many]).await, &["users"]);
    let full = answers(&world, world.operator_key(), vec![batch(crowd(0..500))]).await.unwrap();
    assert_eq!((counts(&full[0]), users(&world).await), ((498, 2, 0), 500));
    // No batch at all is an import of nobody.
    assert!(answers(&world, world.operator_key(), Vec::new()).await.unwrap().is_empty());
}

/// It takes the scope, with memberships that of CreateMember as well, and a key that is still good with each batch.
#[wire_test]
async fn the_right_to_import_is_asked_for_with_each_batch(world: World) {
    let acme = Scenario::acme(&world).await;
    let joining = |index| UserToImport {
        memberships: vec![ImportedMembership { organization_id: acme.organization_id.clone(), roles: Vec::new() }],
        ..person(index, "joins@example.com")
    };
    let writer = service_key(&world, &["users.write", "members.write"]).await;
    assert_refused(answers(&world, &writer, vec![batch(crowd(0..1))]).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_refused(
        answers(&world, &acme.owner.session, vec![batch(crowd(0..1))]).await,
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    let (account, importer) = service_account(&world, &["users.import"]).await;
    let before = traces(&world).await;
    let refused = refusal(
        &answers(&world, &importer, vec![batch(vec![person(0, "a@example.com"), joining(1)])]).await.unwrap_err(),
    );
    assert_eq!((refused.reason.as_str(), refused.metadata["scope"].as_str()), ("SCOPE_REQUIRED", "members.write"));
    assert_eq!(traces(&world).await, before);

    let mut feed = Feed::open(&world, &importer).await;
    assert_eq!(counts(&feed.send(crowd(0..2)).await.unwrap()), (2, 0, 0));
    let request =
        DisableServiceAccountRequest { service_account_id: account, ..DisableServiceAccountRequest::default() };
    call!(world, service_accounts.disable_service_account, world.operator_key(), request).unwrap();
    assert_refused(feed.send(crowd(2..4)).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM imported_users").await, 2);
}

/// A scope that is taken away while a stream is open is missed by its next batch; so is, where people come with memberships, that of CreateMember. What was committed
/// before stays.
#[wire_test]
async fn a_scope_that_is_taken_away_ends_the_stream(world: World) {
    let acme = Scenario::acme(&world).await;
    let (account, importer) = service_account(&world, &["users.import", "members.write", "users.read"]).await;
    let keep = async |scopes: &[&str]| {
        let request = UpdateServiceAccountRequest {
            service_account: Some(ServiceAccount {
                service_account_id: account.clone(),
                scopes: texts(scopes),
                ..ServiceAccount::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["scopes"]) }),
            ..UpdateServiceAccountRequest::default()
        };
        call!(world, service_accounts.update_service_account, world.operator_key(), request).unwrap();
    };
    let joining = |index| UserToImport {
        memberships: vec![ImportedMembership { organization_id: acme.organization_id.clone(), roles: Vec::new() }],
        ..person(index, "joins@example.com")
    };
    let mut feed = Feed::open(&world, &importer).await;
    feed.send(crowd(0..2)).await.unwrap();
    keep(&["users.import", "users.read"]).await;
    assert_eq!(counts(&feed.send(crowd(2..4)).await.unwrap()), (4, 0, 0));
    let refused = assert_refused(feed.send(vec![joining(4)]).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_eq!(refused.metadata["scope"], "members.write");

    let mut feed = Feed::open(&world, &importer).await;
    feed.send(crowd(0..4)).await.unwrap();
    keep(&["users.read"]).await;
    let refused = assert_refused(feed.send(crowd(4..6)).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_eq!(refused.metadata["scope"], "users.import");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM imported_users").await, 4);
}

/// The same batch from four connections at once: each person exists once, and everybody is told the same accounts. In its five rounds it failed on PostgreSQL
/// both without the second try of what met another transaction (`meanwhile` in app/imports.rs), and where the addresses were read after who had come before.
#[wire_test]
async fn one_batch_from_four_connections_is_one(world: World) {
    for round in 0..crate::support::runner::rounds().div_ceil(10) as i64 {
        let people = || {
            (round * 20..round * 20 + 20)
                .map(|index| person(index, &format!("r{index}@example.com")))
                .collect::<Vec<_>>()
        };
        let told = at_once(
            (0..4)
                .map(|_| {
                    let (world, people) = (world.clone(), people());
                    async move { answers(&world, world.operator_key(), vec![batch(people)]).await }
                })
                .collect(),
        )
        .await;
        let mut created = 0;
        let mut ids = Vec::new();
        for answer in told {
            let answer = answer.unwrap().remove(0);
            assert_eq!(
                (answer.created_count + answer.already_imported_count, answer.refused_count),
                (20, 0),
                "{answer:?}"
            );
            created += answer.created_count;
            ids.push(answer.users.into_iter().map(|one| one.user_id).collect::<Vec<_>>());
        }
        assert_eq!(created, 20);
        assert!(ids.iter().all(|other| *other == ids[0]));
    }
}

/// A client that goes away in the middle of a batch leaves all of it or nothing.
#[wire_test]
async fn a_client_that_goes_leaves_whole_batches(world: World) {
    for round in 0..10_i64 {
        let (sender, receiver) = mpsc::channel(4);
        let request = with_credential(world.operator_key(), ReceiverStream::new(receiver));
        let mut client = world.users();
        let answers = client.import_users(request).await.unwrap();
        sender.send(batch(crowd(round * 100..round * 100 + 100))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3 * round as u64)).await;
        drop((sender, answers));
    }
    // The next batch waits for whoever still writes.
    assert_eq!(import(&world, crowd(5000..5001)).await.created_count, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let of = |round: i64| {
        format!("SELECT COUNT(*) AS n FROM imported_users WHERE place BETWEEN {} AND {}", round * 100, round * 100 + 99)
    };
    for round in 0..10 {
        let there = world.count(&of(round)).await;
        assert!(there == 0 || there == 100, "{there} of the hundred of round {round}");
    }
    let all = import(&world, crowd(0..500)).await;
    assert_eq!((all.created_count + all.already_imported_count, all.refused_count), (500, 0));
    assert_eq!(users(&world).await, world.count("SELECT COUNT(*) AS n FROM imported_users").await);
}
