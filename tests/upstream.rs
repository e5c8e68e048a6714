//! Defects of libraries that Roster works around, each in its smallest form, to be reported with. A test that fails here is good news: the library has been mended, and the
//! decision that it belongs to can be looked at again.

use sea_orm::{ConnectionTrait, DbBackend, SqliteTransactionMode, SqlxSqliteConnector, Statement};
use sea_orm::{TransactionOptions, TransactionTrait};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

/// Decision 30. SQLite takes a transaction back by itself when its disk is full. The driver's ROLLBACK then fails, and the driver counts the transaction as open. What is
/// begun next is a savepoint, with or without a mode; one that is rolled back stays on SQLite's stack, and from then on every commit answers `Ok` and stores nothing.
///
/// sqlx 0.9.0 (`sqlx-sqlite/src/connection/worker.rs`, `Command::Rollback`: the depth is counted down only where ROLLBACK succeeds), sea-orm 2.0.4
/// (`database/transaction.rs`, `begin`: the mode is dropped where the depth is not 0).
#[tokio::test]
async fn after_a_full_disk_commits_store_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let one = SqlitePoolOptions::new().max_connections(1);
    let writer = SqlxSqliteConnector::from_sqlx_sqlite_pool(one.connect_with(options.clone()).await.unwrap());
    let immediate = || TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    writer.execute_unprepared("CREATE TABLE t (data BLOB)").await.unwrap();

    // The disk is full for one transaction.
    writer.execute_unprepared("PRAGMA max_page_count = 10").await.unwrap();
    let tx = writer.begin_with_options(immediate()).await.unwrap();
    let insert = "INSERT INTO t VALUES (randomblob(100000))";
    let error = tx.execute_unprepared(insert).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert!(tx.rollback().await.is_err());
    writer.execute_unprepared("PRAGMA max_page_count = 1000000").await.unwrap();

    // One transaction is rolled back, as its user asks; the next one is committed.
    let tx = writer.begin_with_options(immediate()).await.unwrap();
    tx.rollback().await.unwrap();
    let tx = writer.begin_with_options(immediate()).await.unwrap();
    tx.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
    tx.commit().await.unwrap();

    let other = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let other = SqlxSqliteConnector::from_sqlx_sqlite_pool(other);
    let count = Statement::from_string(DbBackend::Sqlite, "SELECT count(*) AS n FROM t");
    let row = other.query_one_raw(count).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 0, "the committed row is there: mended");
}
