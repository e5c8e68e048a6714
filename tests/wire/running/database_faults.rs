//! A database that is busy, loses a line at COMMIT, or restarts under load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roster::http::probe;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::ledger::Ledger;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{CreateInvitationRequest, CreateInvitationResponse, CreateUserRequest};
use crate::support::postgres::{self, Cluster, Durability};
use crate::support::process::run;
use crate::support::proxy::{Cut, Proxy};
use crate::support::runner::rounds;
use crate::support::scenario::{PASSWORD, Scenario, call, new_user, refusal, sign_in, with_credential};
use crate::support::world::{Replica, World};

/// How often the server tries a transaction in all.
const TRIES: i64 = 6;
/// How soon a server has to be ready after its database is.
const READY: Duration = Duration::from_secs(10);
/// How many clients load a server whose database restarts.
const CLIENTS: usize = 8;

async fn execute(world: &World, statement: &str) {
    world.database().execute_unprepared(statement).await.unwrap();
}

fn inviting(acme: &Scenario, email: &str, request_id: &str) -> CreateInvitationRequest {
    CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: email.to_owned(),
        request_id: request_id.to_owned(),
        ..CreateInvitationRequest::default()
    }
}

/// How many invitations of an address there are.
async fn invitations(world: &World, email: &str) -> i64 {
    world.count(&format!("SELECT COUNT(*) AS n FROM invitations WHERE email = '{email}'")).await
}

/// Holds that a failure tells the caller to come back, and with what reason.
#[track_caller]
fn assert_passing<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.expect_err("the call should fail");
    let refused = refusal(&status);
    assert_eq!((refused.code, refused.reason.as_str()), (code, reason), "{status:?}");
    assert!(status.get_error_details().retry_info().is_some(), "no RetryInfo: {status:?}");
}

/// Has PostgreSQL fail transactions with a SQLSTATE, as many as are asked for; counts all that it sees.
struct Trap<'a> {
    world: &'a World,
}

impl<'a> Trap<'a> {
    /// `deferred`: at COMMIT, otherwise at the event.
    async fn set(world: &'a World, state: &str, times: i64, deferred: bool) -> Self {
        execute(world, "CREATE SEQUENCE faults").await;
        let function = format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('faults') <= {times} THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '{state}'; END IF; \
             RETURN NEW; END $$"
        );
        execute(world, &function).await;
        let trigger = match deferred {
            true => {
                "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
            }
            false => "CREATE TRIGGER trap BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()",
        };
        execute(world, trigger).await;
        Self { world }
    }

    /// How many transactions have come by.
    async fn tries(&self) -> i64 {
        self.world.count("SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM faults").await
    }

    async fn lift(self) {
        execute(self.world, "DROP TRIGGER trap ON events").await;
        execute(self.world, "DROP SEQUENCE faults").await;
    }
}

/// What a load of clients was told while the database came and went.
struct Load {
    channel: Channel,
    key: String,
    next: AtomicUsize,
    done: AtomicBool,
    repeated: AtomicUsize,
    acknowledged: Mutex<BTreeSet<String>>,
    /// Answers that no restart explains.
    unexpected: Mutex<Vec<Status>>,
}

impl Load {
    /// Creates one user after the other, and repeats each call under its request id until it is acknowledged.
    async fn insist(self: Arc<Self>) {
        while !self.done.load(Ordering::SeqCst) {
            let email = format!("user{}@example.com", self.next.fetch_add(1, Ordering::SeqCst));
            let request = CreateUserRequest { request_id: Uuid::now_v7().to_string(), ..new_user(&email) };
            loop {
                let mut call = with_credential(&self.key, request.clone());
                call.set_timeout(Duration::from_secs(10));
                let Err(status) = UserServiceClient::new(self.channel.clone()).create_user(call).await else {
                    break;
                };
                let retry = status.get_error_details().retry_info().is_some();
                if !retry && status.code() != Code::DeadlineExceeded {
                    self.unexpected.lock().unwrap().push(status);
                    return;
                }
                self.repeated.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            self.acknowledged.lock().unwrap().insert(email);
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn goes_on(&self) {
        let (before, start) = (self.count(), Instant::now());
        while self.count() < before + 5 * CLIENTS {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "no call is acknowledged any more: {} of {}, {} repeated, {:?}",
                self.count(),
                self.next.load(Ordering::SeqCst),
                self.repeated.load(Ordering::SeqCst),
                self.unexpected.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Asks for liveness all the time, until told to stop: how often it was asked, and what was not 200.
async fn watch_liveness(replica: Replica, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut asked, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        asked += 1;
        match probe(replica.http_address(), "/livez", Duration::from_secs(2)).await {
            Ok((200, _)) => {}
            other => wrong.push(format!("{other:?}")),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (asked, wrong)
}

/// Waits until readiness answers with a status, and says how long that took.
async fn until_ready(replica: &Replica, status: u16, patience: Duration) -> Duration {
    let start = Instant::now();
    loop {
        match probe(replica.http_address(), "/readyz", Duration::from_secs(2)).await {
            Ok((found, _)) if found == status => return start.elapsed(),
            other => assert!(start.elapsed() < patience, "/readyz is not {status} after {patience:?}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// ab_09: the database says five times that another transaction got in the way, by 40001 or 40P01, at a statement or at COMMIT: the whole transaction is repeated, and
/// has one effect. It says so for ever: after six tries the caller is told ABORTED and when to come back, nothing has changed, and the same call works
/// once the database does.
#[wire_test(postgres)]
async fn ab_09_a_transaction_that_others_got_in_the_way_of_is_repeated(world: World) {
    let acme = Scenario::acme(&world).await;
    for (number, (state, deferred)) in
        [("40001", false), ("40P01", false), ("40001", true), ("40P01", true)].into_iter().enumerate()
    {
        let trap = Trap::set(&world, state, TRIES - 1, deferred).await;
        let email = format!("guest{number}@example.com");
        call!(world, invitations.create_invitation, world.operator_key(), inviting(&acme, &email, "")).unwrap();
        assert_eq!((trap.tries().await, invitations(&world, &email).await), (TRIES, 1), "{state}");
        trap.lift().await;

        let trap = Trap::set(&world, state, i64::MAX, deferred).await;
        let (email, id) = (format!("late{number}@example.com"), Uuid::now_v7().to_string());
        let again = || inviting(&acme, &email, &id);
        assert_passing(
            call!(world, invitations.create_invitation, world.operator_key(), again()),
            Code::Aborted,
            "CONFLICT",
        );
        assert_eq!((trap.tries().await, invitations(&world, &email).await), (TRIES, 0), "{state}");
        trap.lift().await;
        let made = call!(world, invitations.create_invitation, world.operator_key(), again()).unwrap();
        assert_eq!(call!(world, invitations.create_invitation, world.operator_key(), again()).unwrap(), made);
        assert_eq!(invitations(&world, &email).await, 1);
        world.mailbox.wait_for(&email, 1).await;
    }
    Ledger::read(world.database(), &acme.organization_id).await;
}

/// ab_09: the line to the database is cut at COMMIT, before or after it is done, which the server cannot tell. Without a request id the caller is told UNAVAILABLE and when to
/// come back. With one it is told the answer where the commit was done, or UNAVAILABLE; the same call finds or has one effect. The next call is not
/// disturbed, and one mail goes out for each invitation.
#[wire_test(postgres)]
async fn ab_09_a_line_that_is_cut_at_commit_has_one_effect(world: World) {
    let acme = Scenario::acme(&world).await;
    let direct = world.flag("database-url");
    let port = direct.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let proxy = Proxy::before(port.parse().unwrap()).await;
    let there = world.server_with(&[("database-url", &proxy.url(&direct)), ("database-max-connections", "4")]).await;
    let invite = async |request: CreateInvitationRequest| -> Result<CreateInvitationResponse, Status> {
        call!(there, invitations.create_invitation, world.operator_key(), request)
    };
    for round in 0..6 {
        let cut = if round % 2 == 0 { Cut::Before } else { Cut::After };
        let done = i64::from(cut == Cut::After);
        let email = format!("once{round}@example.com");
        proxy.cut_next(cut, &email);
        assert_passing(invite(inviting(&acme, &email, "")).await, Code::Unavailable, "DATABASE_UNAVAILABLE");
        assert!(!proxy.waits());
        assert_eq!(invitations(&world, &email).await, done, "{cut:?}");

        let (email, id) = (format!("again{round}@example.com"), Uuid::now_v7().to_string());
        proxy.cut_next(cut, &email);
        let first = invite(inviting(&acme, &email, &id)).await;
        assert!(!proxy.waits());
        if let Err(status) = &first {
            assert_passing(Err::<(), _>(status.clone()), Code::Unavailable, "DATABASE_UNAVAILABLE");
        }
        let second = invite(inviting(&acme, &email, &id)).await.unwrap();
        assert!(first.is_err() || first.unwrap() == second, "{cut:?}");
        assert_eq!(invitations(&world, &email).await, 1, "{cut:?}");
        world.mailbox.wait_for(&email, 1).await;
    }
    Ledger::read(world.database(), &acme.organization_id).await;
    there.stop().await;
}

/// ab_11: PostgreSQL is killed, in the long form twenty times, while eight clients create users, each call repeated under its request id until it is acknowledged. Liveness never falters. Readiness falls,
/// and comes back within ten seconds of the database. Every failure tells the client to come back. Nothing that was acknowledged is lost, and nothing is there twice.
#[wire_test(postgres)]
async fn ab_11_a_database_that_restarts_loses_nothing_acknowledged(world: World) {
    // Not the one that other tests share, which loses what it has acknowledged when it is killed.
    let cluster = Cluster::start(Durability::Written).await.unwrap();
    let database = cluster.create_database().await.unwrap();
    let made = run(&["admin", "bootstrap-key", &format!("--database-url={}", database.url)], &[]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let there = world.server_with(&[("database-url", &database.url)]).await;
    let load = Arc::new(Load {
        channel: there.channel(),
        key: made.stdout.trim().to_owned(),
        next: AtomicUsize::default(),
        done: AtomicBool::default(),
        repeated: AtomicUsize::default(),
        acknowledged: Mutex::default(),
        unexpected: Mutex::default(),
    });
    let stop = Arc::new(AtomicBool::default());
    let alive = tokio::spawn(watch_liveness(there.clone(), stop.clone()));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(load.clone().insist())).collect();
    let mut took = Vec::new();
    for _ in 0..rounds().div_ceil(50) {
        load.goes_on().await;
        cluster.crash().await.unwrap();
        until_ready(&there, 503, READY).await;
        cluster.resume().await.unwrap();
        took.push(until_ready(&there, 200, READY).await);
        load.goes_on().await;
    }
    load.done.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let (asked, wrong) = alive.await.unwrap();
    assert!(wrong.is_empty(), "{} of {asked} questions whether it is alive: {wrong:?}", wrong.len());
    assert!(load.unexpected.lock().unwrap().is_empty(), "{:?}", load.unexpected.lock().unwrap());
    assert!(load.repeated.load(Ordering::SeqCst) > 0, "no call met a restart");

    let connection = postgres::connect(&database.url).await.unwrap();
    let rows = connection
        .query_all_raw(Statement::from_string(DbBackend::Postgres, "SELECT email FROM users ORDER BY email"))
        .await
        .unwrap();
    let found: Vec<String> = rows.iter().map(|row| row.try_get("", "email").unwrap()).collect();
    let acknowledged: Vec<String> = load.acknowledged.lock().unwrap().iter().cloned().collect();
    assert_eq!(found, acknowledged);
    eprintln!(
        "{} users, {} calls repeated, ready again after {took:?}, {asked} times alive",
        found.len(),
        load.repeated.load(Ordering::SeqCst)
    );
    connection.close().await.unwrap();
    there.stop().await;
    cluster.stop().await;
}

/// ab_09: another program holds the file of the embedded database for a moment: the call waits for it, and has one effect.
#[wire_test(sqlite)]
async fn ab_09_a_file_that_is_busy_is_waited_for(world: World) {
    let acme = Scenario::acme(&world).await;
    let held = world.database().begin().await.unwrap();
    held.execute_unprepared("UPDATE organizations SET revision = revision").await.unwrap();
    let request = world.as_operator(inviting(&acme, "guest@example.com", ""));
    let mut client = world.invitations();
    let call = tokio::spawn(async move { client.create_invitation(request).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!call.is_finished());
    held.rollback().await.unwrap();
    call.await.unwrap().unwrap();
    assert_eq!(invitations(&world, "guest@example.com").await, 1);
}

/// ab_09: a sign-in that PostgreSQL ends to resolve a deadlock is tried again, as every other change is: it locks the user and then waits for the table of sessions, whose holder wants the user.
#[wire_test(postgres)]
async fn ab_09_a_sign_in_is_tried_again(world: World) {
    let acme = Scenario::acme(&world).await;
    let held = world.database().begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (there, email) = (world.clone(), acme.owner.email.clone());
    let call = tokio::spawn(async move { sign_in(&there, &email, PASSWORD).await });
    // Until it waits for the sessions, and so has the user.
    let waits = "SELECT count(*) AS count FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = 'sessions' AND NOT granted";
    let waiting = async || {
        let row = held.query_one_raw(Statement::from_string(DbBackend::Postgres, waits)).await.unwrap().unwrap();
        row.try_get::<i64>("", "count").unwrap() > 0
    };
    while !waiting().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    held.execute_unprepared("SELECT * FROM users FOR UPDATE").await.unwrap();
    held.rollback().await.unwrap();
    call.await.unwrap().unwrap();
}
