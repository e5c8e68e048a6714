//! What makes a server believe that it knows the newest: each of these shows a right that was taken away for as long as nobody thought of it.

use std::time::Duration;

use chrono::TimeDelta;
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::{Code, Status};

use super::{allowed, asking, question};
use crate::support::pb::permission_service_client::PermissionServiceClient;
use crate::support::pb::{CheckPermissionRequest, Decision, consistency::Requirement};
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::scenario::{Person, Scenario, assert_refused, call, with_credential};
use crate::support::waiting::soon;
use crate::support::world::{Replica, World};

/// Longer than what `minimize_latency` may be behind.
const LATE: Duration = Duration::from_millis(1200);

fn recent(of: &Scenario, who: &Person) -> CheckPermissionRequest {
    CheckPermissionRequest {
        consistency: asking(Requirement::MinimizeLatency(true)),
        ..question(&of.organization_id, &who.user_id)
    }
}

async fn recently_allowed(at: &Replica, key: &str, of: &Scenario, who: &Person) -> Result<bool, Status> {
    let answer = call!(at, permissions.check_permission, key, recent(of, who))?;
    Ok(answer.decision() == Decision::Allow)
}

/// A process that was stopped for longer than a second and goes on does not take what it knew for recent.
#[wire_test]
async fn a_stopped_process_knows_that_time_has_passed(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let mut there = PermissionServiceClient::new(addresses.channel());
    let key = world.operator_key();
    let mut ask = async || {
        let answer = there.check_permission(with_credential(key, recent(&acme, &bob))).await.unwrap();
        answer.into_inner().decision() == Decision::Allow
    };
    assert!(ask().await);
    process.signal("STOP");
    acme.set_roles(key, &bob.user_id, &["member"]).await.unwrap();
    tokio::time::sleep(LATE).await;
    process.signal("CONT");
    assert!(!ask().await);
    process.stop().await;
}

/// Where the line to the database hangs, nobody is told what was true before: a check is refused in time, and right again when the line is.
#[wire_test(postgres)]
async fn a_hanging_line_shows_nothing_old(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let direct = world.flag("database-url");
    let port = direct.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let proxy = Proxy::before(port.parse().unwrap()).await;
    let there = world.server_with(&[("database-url", &proxy.url(&direct)), ("database-max-connections", "4")]).await;
    let key = world.operator_key();
    assert!(allowed(&there, key, &acme, &bob).await);
    proxy.hang(true);
    acme.set_roles(key, &bob.user_id, &["member"]).await.unwrap();
    let full = call!(there, permissions.check_permission, key, question(&acme.organization_id, &bob.user_id));
    assert_refused(full, Code::Unavailable, "DATABASE_UNAVAILABLE");
    assert_refused(recently_allowed(&there, key, &acme, &bob).await, Code::Unavailable, "DATABASE_UNAVAILABLE");
    proxy.hang(false);
    let again = async {
        loop {
            if let Ok(allowed) = recently_allowed(&there, key, &acme, &bob).await {
                return allowed;
            }
        }
    };
    assert!(!soon("the line", again).await);
}

/// The connection by which a server reads the log may break while nobody calls. The next call is answered all the same: without the second attempt it got DATABASE_UNAVAILABLE.
#[wire_test(postgres)]
async fn a_broken_connection_refuses_nobody(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let there = world.second_server().await;
    let key = world.operator_key();
    assert!(allowed(&there, key, &acme, &bob).await);
    // By what it says: the others stay.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%OFFSET 0%'";
    assert!(world.database().execute_unprepared(cut).await.unwrap().rows_affected() > 0);
    assert!(allowed(&there, key, &acme, &bob).await);
}

/// A failover to a standby that had not got the last commits: what they gave, nobody has. The servers' address leads to another database then, in which the log goes on from an earlier place.
/// Where a new connection was taken for a sign of that only as long as nothing failed on the way, a role was in force that nobody had.
#[wire_test(postgres)]
async fn what_a_failover_lost_counts_for_nobody(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let there = world.second_server().await;
    let key = world.operator_key();
    let url = world.flag("database-url");
    let (server, name) = url.rsplit_once('/').unwrap();
    let maintenance = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
    let alone = async |statements: &[String]| {
        let closed = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        for statement in [&closed, &cut].into_iter().chain(statements) {
            maintenance.execute_unprepared(statement).await.unwrap();
        }
        let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
        maintenance.execute_unprepared(&open).await.unwrap();
    };
    alone(&[format!("CREATE DATABASE {name}_standby TEMPLATE {name}")]).await;
    soon("the connection", async { while acme.set_roles(key, &bob.user_id, &["admin"]).await.is_err() {} }).await;
    let decision = async || {
        let question = question(&acme.organization_id, &bob.user_id);
        let answer = async {
            loop {
                if let Ok(answer) = call!(there, permissions.check_permission, key, question.clone()) {
                    return answer.decision();
                }
            }
        };
        soon("the database", answer).await
    };
    assert_eq!(decision().await, Decision::Allow);
    alone(&[
        format!("ALTER DATABASE {name} RENAME TO {name}_lost"),
        format!("ALTER DATABASE {name}_standby RENAME TO {name}"),
    ])
    .await;
    assert_eq!(decision().await, Decision::Deny);
    maintenance.execute_unprepared(&format!("DROP DATABASE {name}_lost")).await.unwrap();
}

/// A standby that answers in place of the primary may lag behind it: it is not believed. This one is a primary that calls itself a standby.
#[wire_test(postgres)]
async fn a_standby_is_not_believed(world: World) {
    let acme = Scenario::acme(&world).await;
    let statements = [
        "CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$",
    ];
    for statement in statements {
        world.database().execute_unprepared(statement).await.unwrap();
    }
    let there = world.second_server().await;
    let asked = question(&acme.organization_id, &acme.owner.user_id);
    let refused = call!(there, permissions.check_permission, world.operator_key(), asked.clone());
    assert_refused(refused, Code::Unavailable, "DATABASE_UNAVAILABLE");
    // Lines that were there before still lead to the primary.
    assert_eq!(
        call!(world, permissions.check_permission, world.operator_key(), asked).unwrap().decision(),
        Decision::Allow
    );
}

/// The clock of a server jumps, in either direction: how old its knowledge is does not go by it.
#[wire_test]
async fn a_clock_that_jumps_makes_nothing_newer(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    let key = world.operator_key();
    for (jump, role) in [(TimeDelta::hours(-2), "member"), (TimeDelta::hours(4), "admin")] {
        let there = world.second_server().await;
        let may = role == "member";
        assert_eq!(recently_allowed(&there, key, &acme, &bob).await.unwrap(), may);
        world.clock.jump(jump);
        acme.set_roles(key, &bob.user_id, &[role]).await.unwrap();
        assert_eq!(allowed(&there, key, &acme, &bob).await, !may, "at full, after a jump of {jump}");
        acme.set_roles(key, &bob.user_id, &[["admin", "member"][usize::from(!may)]]).await.unwrap();
        acme.set_roles(key, &bob.user_id, &[role]).await.unwrap();
        tokio::time::sleep(LATE).await;
        assert_eq!(recently_allowed(&there, key, &acme, &bob).await.unwrap(), !may, "a second after a jump of {jump}");
    }
}
