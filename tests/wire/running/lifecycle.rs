//! The program from start to end: how it starts, on what it waits, what it refuses, how it stops, and its smaller commands.

mod settings;
mod workers;

use std::path::Path;
use std::time::{Duration, Instant};

use roster::http::probe;
use roster::platform::{Entropy, Keyring};
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Request;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::support::contents::texts;
use crate::support::mailbox::Fault;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::service_account_service_client::ServiceAccountServiceClient;
use crate::support::pb::{CreateServiceAccountRequest, ListOrganizationsRequest};
use crate::support::postgres::{Cluster, Durability};
use crate::support::process::{Process, run};
use crate::support::scenario::Scenario;
use crate::support::waiting::{all_sent, hold_organizations, never_answered, soon};
use crate::support::world::World;

fn worker_flags(world: &World) -> Vec<String> {
    let mut flags = world.flags();
    flags.retain(|flag| !["--listen=", "--argon2-"].iter().any(|start| flag.starts_with(start)));
    flags
}

const PATIENCE: Duration = Duration::from_secs(5);

/// The world's flags with some of them changed.
fn flags_with(world: &World, changed: &[(&str, &str)]) -> Vec<String> {
    let start = |name: &str| format!("--{name}=");
    let mut flags = world.flags();
    flags.retain(|flag| !changed.iter().any(|(name, _)| flag.starts_with(&start(name))));
    flags.extend(changed.iter().map(|(name, value)| format!("{}{value}", start(name))));
    flags
}

/// The flags of a server that keeps everything in a directory, as a first start on a laptop does.
fn laptop_flags(data: &Path) -> Vec<String> {
    let data = format!("--data-dir={}", data.display());
    ["--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--argon2-memory-kib=64", "--argon2-iterations=1", &data]
        .map(str::to_owned)
        .to_vec()
}

async fn list(channel: Channel, key: &str) -> Result<(), tonic::Status> {
    let mut request = Request::new(ListOrganizationsRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    OrganizationServiceClient::new(channel).list_organizations(request).await.map(drop)
}

/// For whoever reads the run.
fn tell(line: &str) {
    eprintln!("{line}");
}

/// ab_10: SIGTERM while a call is at work and others keep coming: the call at work is answered, what was answered is stored and nothing else is, and
/// the process ends with status 0 long before its drain time is over.
#[wire_test]
async fn ab_10_sigterm_lets_calls_at_work_finish(world: World) {
    let team = Scenario::acme(&world).await;
    world.stop().await;
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let mut load = tokio::task::JoinSet::new();
    for caller in 0..4 {
        let mut accounts = ServiceAccountServiceClient::new(addresses.channel());
        let world = world.clone();
        load.spawn(async move {
            let mut answered = Vec::new();
            for number in 0.. {
                let name = format!("load {caller} {number}");
                let request = CreateServiceAccountRequest {
                    display_name: name.clone(),
                    scopes: vec!["users.read".to_owned()],
                    ..Default::default()
                };
                let call = accounts.create_service_account(world.as_operator(request));
                match tokio::time::timeout(Duration::from_secs(10), call).await {
                    Ok(Ok(_)) => answered.push(name),
                    Ok(Err(status)) => return (answered, Some(status)),
                    // The process has ended by then, and a connection to its port may have met another program.
                    Err(_) => return (answered, None),
                }
            }
            unreachable!()
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = hold_organizations(&world).await;
    let request = world.as_session(&team.owner.session, team.invitation("bea@example.com"));
    let mut invitations = InvitationServiceClient::new(addresses.channel());
    let at_work = tokio::spawn(async move { invitations.create_invitation(request).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    process.terminate();
    process.logged("stopping").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = soon("a call after the order to stop", list(addresses.channel(), world.operator_key())).await;
    assert!(never_answered(&refused.unwrap_err()));
    held.rollback().await.unwrap();
    soon("the call at work", at_work).await.unwrap().expect("the call at work is lost");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(start.elapsed() < PATIENCE, "stopped after {:?}", start.elapsed());
    assert!(!ended.stderr.contains("stopped before everything"), "{}", ended.stderr);

    let mut answered = Vec::new();
    for (names, last) in load.join_all().await {
        // The connection was gone or going; an answer would have told of a call that was begun and not finished.
        assert!(last.as_ref().is_none_or(never_answered), "{last:?}");
        answered.extend(names);
    }
    answered.sort();
    let query = "SELECT display_name AS n FROM service_accounts WHERE display_name LIKE 'load %'";
    let mut stored = texts(world.database(), query, "n").await;
    stored.sort();
    assert!(!answered.is_empty());
    assert_eq!(stored, answered);
    world.leaves_messages_behind("the server stopped before it could send the invitation");
}

/// ab_10: stopping has an end whatever there is: a call that waits for a lock, a stream, connections that have not said a word. What did not end in the
/// drain time is broken off and has changed nothing.
#[wire_test]
async fn ab_10_stopping_has_an_end(world: World) {
    let team = Scenario::acme(&world).await;
    world.stop().await;
    let (process, addresses) = Process::serve(&flags_with(&world, &[("drain-timeout", "1s")]), &[]).await;
    let _silent = TcpStream::connect(addresses.grpc()).await.unwrap();
    let mut reflection = ServerReflectionClient::new(addresses.channel());
    let _answers = reflection.server_reflection_info(tokio_stream::pending()).await.unwrap();
    let held = hold_organizations(&world).await;
    let request = world.as_session(&team.owner.session, team.invitation("bea@example.com"));
    let mut invitations = InvitationServiceClient::new(addresses.channel());
    let stuck = tokio::spawn(async move { invitations.create_invitation(request).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    let ended = process.stop().await;
    assert!(start.elapsed() < Duration::from_secs(8), "stopped after {:?}", start.elapsed());
    assert!(ended.stderr.contains("stopped before everything at work had ended"));
    soon("the call at work", stuck).await.unwrap().unwrap_err();
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM invitations").await, 0);
}

/// A database that a newer version has migrated is served, with a warning: during a rolling upgrade both run.
#[wire_test]
async fn a_newer_schema_is_served_with_a_warning(world: World) {
    world.stop().await;
    world
        .database()
        .execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_later', 0)")
        .await
        .unwrap();
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    process.logged("newer than this program").await;
    list(addresses.channel(), world.operator_key()).await.unwrap();
    process.stop().await;
}

/// Rotated keys: what the old key has sealed is opened while it stands in the list, behind the new one. Without it a message waits, is not lost, and
/// says why.
#[wire_test]
async fn a_rotated_key_still_opens(world: World) {
    const BEA: &str = "bea@example.com";
    const CID: &str = "cid@example.com";
    let team = Scenario::acme(&world).await;
    let old = world.flag("secret-key");
    let new = Keyring::generate(&Entropy::system());
    let waits_because = async |why: &str| {
        let start = Instant::now();
        loop {
            let query = "SELECT last_error AS e FROM outbox_messages WHERE state = 'queued' AND last_error IS NOT NULL";
            let errors = texts(world.database(), query, "e").await;
            assert!(errors.iter().all(|error| !error.contains(&old) && !error.contains(&new)), "{errors:?}");
            if errors.len() == 1 && errors[0].contains(why) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{why:?} is not in {errors:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let invite = async |email: &str| {
        world.mailbox.inject_times(Fault::Greylist(email.to_owned()), 1);
        let request = world.as_session(&team.owner.session, team.invitation(email));
        world.invitations().create_invitation(request).await.unwrap();
        waits_because("greylisted").await;
    };
    let later = async || world.clock.advance(Duration::from_secs(3600));

    invite(BEA).await;
    world.restart_with(&[("secret-key", &new)]).await;
    later().await;
    waits_because("key").await;
    world.restart_with(&[("secret-key", &format!("{new},{old}"))]).await;
    later().await;
    world.mailbox.wait_for(BEA, 1).await;
    all_sent(&world).await;

    // What is sealed from now on is sealed with the new one: the old one can go.
    invite(CID).await;
    world.restart_with(&[("secret-key", &new)]).await;
    later().await;
    world.mailbox.wait_for(CID, 1).await;
}

/// `roster healthcheck` answers by its exit status, and says what is wrong.
#[wire_test]
async fn healthcheck_answers_by_exit_status(world: World) {
    let address = format!("--http-listen={}", world.http_address());
    let well = run(&["healthcheck", &address], &[]).await;
    assert_eq!((well.code, well.stderr.as_str()), (Some(0), ""));
    world.stop().await;
    let gone = run(&["healthcheck", &address], &[]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.starts_with("roster: "), "{}", gone.stderr);
}

/// `roster admin bootstrap-key` makes an operator's key directly in the database, beside a running server, which takes it at once.
#[wire_test]
async fn bootstrap_key_makes_a_key_that_works(world: World) {
    let url = format!("--database-url={}", world.flag("database-url"));
    let made = run(&["admin", "bootstrap-key", &url], &[]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let key = made.stdout.trim();
    assert_ne!(key, world.operator_key());
    list(world.channel(), key).await.unwrap();
    list(world.channel(), world.operator_key()).await.unwrap();
}

/// PostgreSQL that is not there when the server starts is waited for: alive, not ready, and serving as soon as the database is.
#[wire_test(postgres)]
async fn postgres_is_waited_for(world: World) {
    let cluster = Cluster::start(Durability::Fast).await.unwrap();
    let database = cluster.create_database().await.unwrap();
    cluster.crash().await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flags = flags_with(&world, &[("database-url", &database.url), ("http-listen", &port.to_string())]);
    let process = Process::start(&[&["serve".to_owned()], &flags[..]].concat(), &[]);
    process.logged("waiting for the database").await;
    let page = async |path: &str| probe(port, path, PATIENCE).await.unwrap();
    assert_eq!(page("/livez").await.0, 200);
    assert_eq!(page("/readyz").await, (503, "not ready: starting\n".to_owned()));
    cluster.resume().await.unwrap();
    process.serving().await;
    assert_eq!(page("/readyz").await.0, 200);
    process.stop().await;

    // Asked to stop while it waits, it goes.
    cluster.crash().await.unwrap();
    let process = Process::start(&[&["serve".to_owned()], &flags[..]].concat(), &[]);
    process.logged("waiting for the database").await;
    process.stop().await;
    cluster.stop().await;
}

/// A schema older than the program is not migrated behind the operator's back: the server refuses and names the command, and so does the worker.
#[wire_test(postgres)]
async fn an_older_schema_is_refused(world: World) {
    world.stop().await;
    world.database().execute_unprepared("DELETE FROM seaql_migrations").await.unwrap();
    for (command, flags) in [("serve", world.flags()), ("worker", worker_flags(&world))] {
        let ended = run(&[&[command.to_owned()], &flags[..]].concat(), &[]).await;
        assert_eq!(ended.code, Some(1), "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains("roster migrate"), "{command}: {}", ended.stderr);
    }
}

/// The first start on an empty directory makes an operator's key, and keeps it where only the owner of the process can read it; the log says where. The second
/// start makes none, and is quick.
#[wire_test(once)]
async fn a_second_start_keeps_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let flags = laptop_flags(&data);
    let (first, addresses) = Process::serve(&flags, &[]).await;
    let kept = std::fs::read_to_string(data.join("operator-key")).unwrap();
    let key = kept.trim();
    assert!(first.log().contains(data.join("operator-key").to_str().unwrap()), "{}", first.log());
    list(addresses.channel(), key).await.unwrap();
    for file in ["operator-key", "secret-key"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(data.join(file)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let sealing = std::fs::read_to_string(data.join("secret-key")).unwrap();
    let ended = first.stop().await;
    assert!(ended.stdout.is_empty() && !ended.stderr.contains(key), "{ended:?}");

    let start = Instant::now();
    let second = Process::start(&[&["serve".to_owned()], &flags[..]].concat(), &[]);
    let addresses = second.serving().await;
    let health = HealthClient::new(addresses.channel()).check(HealthCheckRequest::default()).await.unwrap();
    let took = start.elapsed();
    assert_eq!(health.into_inner().status, 1);
    tell(&format!("from the start to SERVING on an existing file: {} ms", took.as_millis()));
    assert!(took < Duration::from_secs(2), "{took:?}");
    list(addresses.channel(), key).await.unwrap();
    let ended = second.stop().await;
    assert_eq!(ended.stdout, "");
    assert_eq!(std::fs::read_to_string(data.join("operator-key")).unwrap(), kept);
    assert_eq!(std::fs::read_to_string(data.join("secret-key")).unwrap(), sealing);
}

/// Idle connections, and half a request for a page, keep nobody from stopping.
#[wire_test(once)]
async fn idle_connections_keep_nobody_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let (process, addresses) = Process::serve(&laptop_flags(folder.path()), &[]).await;
    let mut half = TcpStream::connect(addresses.http).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let _silent = TcpStream::connect(addresses.http).await.unwrap();
    let idle = addresses.channel();
    HealthClient::new(idle.clone()).check(HealthCheckRequest::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    process.stop().await;
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

/// A second signal ends the process at once, with status 1: whoever presses Ctrl-C twice means it.
#[wire_test(once)]
async fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (process, addresses) = Process::serve(&laptop_flags(folder.path()), &[]).await;
    // A stream that nobody ends would keep it for its drain time.
    let endless = tokio_stream::pending();
    let _answers = ServerReflectionClient::new(addresses.channel()).server_reflection_info(endless).await.unwrap();
    process.terminate();
    process.logged("\"signal\":\"SIGTERM\"").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    process.terminate();
    assert_eq!(process.ended().await.code, Some(1));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
