//! The first start: several processes find an empty database at the same moment.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tonic::Request;

use crate::support::pb::ListOrganizationsRequest;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::postgres;
use crate::support::process::run;
use crate::support::program::Program;
use crate::support::runner::rounds;
use crate::support::world::World;

async fn count(url: &str, query: &str) -> i64 {
    let database = postgres::connect(url).await.unwrap();
    let statement = Statement::from_string(database.get_database_backend(), query);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    let number = row.try_get("", "n").unwrap();
    database.close().await.unwrap();
    number
}

/// A database of PostgreSQL without any table.
async fn empty_database() -> postgres::TestDatabase {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let cluster = postgres::shared().await.unwrap();
    let name = format!("empty_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    let admin = postgres::connect(&cluster.url("postgres")).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    admin.close().await.unwrap();
    postgres::TestDatabase { url: cluster.url(&name), name }
}

/// Two servers start at once on a database that no server has seen: one operator, with one key, on SQLite; none on PostgreSQL, where somebody makes one. On SQLite
/// each of them also finds a database without tables.
#[wire_test]
async fn two_servers_start_at_once_and_make_one_operator_at_most(world: World) {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..rounds().div_ceil(5) {
        let (separate, url, operators) = match world.database().get_database_backend() {
            DbBackend::Postgres => {
                let database = postgres::shared().await.unwrap().create_database().await.unwrap();
                let url = database.url.clone();
                (Some(database), url, 0)
            }
            _ => (None, format!("sqlite://{}", folder.path().join(format!("{round}.db")).display()), 1),
        };
        let settings = [("database-url", url.as_str()), ("database-max-connections", "4")];
        let servers = join_all((0..2).map(|_| world.server_with(&settings))).await;
        assert_eq!(count(&url, "SELECT COUNT(*) AS n FROM service_accounts").await, operators);
        assert_eq!(count(&url, "SELECT COUNT(*) AS n FROM service_keys").await, operators);
        join_all(servers.iter().map(|server| server.stop())).await;
        if let Some(database) = separate {
            postgres::shared().await.unwrap().drop_database(&database).await.unwrap();
        }
    }
}

/// ab_42: three real processes start at once on a database that none has seen. No key is in what they write, which goes to a file, as a container's log does. On
/// SQLite one of them leaves the key in its data directory; on PostgreSQL none makes one, and each names the command that does. The key opens all three.
#[wire_test]
async fn ab_42_no_start_writes_a_key_where_it_is_kept(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let (separate, url, kept) = match world.database().get_database_backend() {
        DbBackend::Postgres => {
            let database = postgres::shared().await.unwrap().create_database().await.unwrap();
            let url = database.url.clone();
            (Some(database), url, 0)
        }
        _ => (None, format!("sqlite://{}", folder.path().join("roster.db").display()), 1),
    };
    let key = roster::platform::Keyring::generate(&roster::platform::Entropy::system());
    let settings = [("database-url", url.as_str()), ("secret-key", &key), ("database-max-connections", "4")];
    let mut programs: Vec<Program> = (0..3).map(|_| Program::new(&settings)).collect();
    join_all(programs.iter_mut().map(Program::start)).await;
    let keys: Vec<String> = programs.iter().filter_map(Program::kept_operator_key).collect();
    assert_eq!(keys.len(), kept, "{keys:?}");
    let operator = match keys.first() {
        Some(key) => key.clone(),
        None => programs[0].operator_key().await,
    };
    for program in &programs {
        let mut request = Request::new(ListOrganizationsRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {operator}").parse().unwrap());
        OrganizationServiceClient::new(program.channel()).list_organizations(request).await.unwrap();
    }
    for program in &mut programs {
        program.terminate().await;
    }
    for program in &programs {
        let log = program.log();
        // What every key of a service begins with.
        assert!(!log.contains(operator.split('_').next().unwrap()), "a key is in the log: {log}");
        assert_eq!(log.contains("roster admin bootstrap-key"), separate.is_some(), "{log}");
    }
    if let Some(database) = separate {
        postgres::shared().await.unwrap().drop_database(&database).await.unwrap();
    }
}

/// `roster migrate` runs four times at once, as four replicas of a deployment may run it: all succeed, and each migration is applied
/// once. Without the exclusion in `Store::migrate` the first round failed.
#[wire_test(postgres)]
async fn four_migrations_at_once_apply_each_once(_world: World) {
    for _ in 0..rounds().div_ceil(10) {
        let database = empty_database().await;
        let flag = format!("--database-url={}", database.url);
        let arguments = ["migrate", &flag];
        for output in join_all((0..4).map(|_| run(&arguments, &[]))).await {
            assert_eq!(output.code, Some(0), "{}", output.stderr);
        }
        let (applied, distinct) = (
            count(&database.url, "SELECT COUNT(*) AS n FROM seaql_migrations").await,
            count(&database.url, "SELECT COUNT(DISTINCT version) AS n FROM seaql_migrations").await,
        );
        assert!(applied > 0 && applied == distinct, "{applied} rows, {distinct} migrations");
        postgres::shared().await.unwrap().drop_database(&database).await.unwrap();
    }
}
