//! What writes: a transaction that cannot be committed after a failure, and a SQLite connection that is not used again once its transaction ended otherwise than we
//! asked ([decision 30](../../docs/decisions/0030-a-failed-writer-is-thrown-away.md), ab_53).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    prelude::async_trait::async_trait,
};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::{
    platform::statements,
    store::{ReplayKey, Result, Store, StoreError},
};

/// How the writing of one process goes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriterState(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// Whether a write has failed because of the database, and no trial has worked since.
    failing: AtomicBool,
    /// How many commits SQLite has begun on the writing connection.
    commits: AtomicU64,
}

impl WriterState {
    /// Whether a write has failed because of the database, and no trial has worked since.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Acquire)
    }

    /// Notes that a trial has worked. Other commits tell nothing: one that changes no row writes nothing, and works on a full disk.
    fn note_success(&self) {
        self.0.failing.store(false, Ordering::Release);
    }

    /// How many commits SQLite has begun on the writing connection.
    pub(crate) fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Acquire)
    }

    /// Notes that a part of a transaction failed, from its beginning to its end, and answers what that means.
    pub(crate) fn failure(&self, error: DbErr) -> StoreError {
        let failure = StoreError::from(error);
        self.note_failure(&failure);
        failure
    }

    fn note_failure(&self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_)) {
            self.0.failing.store(true, Ordering::Release);
        }
    }

    /// Lets SQLite tell when it commits on a new connection.
    pub(crate) async fn watch(&self, connection: &mut SqliteConnection) -> std::result::Result<(), sqlx::Error> {
        let flags = self.0.clone();
        connection.lock_handle().await?.set_commit_hook(move || {
            flags.commits.fetch_add(1, Ordering::AcqRel);
            true
        });
        Ok(())
    }
}

/// Whether SQLite's writing connection is between two transactions. After some failures SQLite takes the transaction back by itself, the driver's own ROLLBACK fails, and
/// the driver counts the transaction as open for ever: what is begun next would be a savepoint in it, and its commit would store nothing.
pub(crate) fn is_between_transactions(connection: &SqliteConnection) -> bool {
    let between = !connection.is_in_transaction();
    if !between {
        tracing::warn!("the writing connection is replaced: a transaction on it ended otherwise than it was asked to");
    }
    between
}

/// Bytes of a trial: more than what is left in a page of the database's file.
const TRIAL_SIZE: usize = 16 * 1024;

impl Store {
    /// Whether writes fail because of the database. After one has failed, a trial finds out whether they work again: a row is written that nobody reads.
    ///
    /// # Errors
    /// Why they fail.
    pub(crate) async fn try_to_write(&self, now: DateTime<Utc>) -> Result<()> {
        if !self.writer.is_failing() {
            return Ok(());
        }
        let key = ReplayKey { caller: String::new(), method: "trial".to_owned(), request_id: Uuid::nil() };
        let mut tx = self.begin().await?;
        // Its time is over: the next trial writes over it, and what forgets old answers deletes it.
        tx.keep_replay(&key, vec![0; TRIAL_SIZE], now, now).await?;
        tx.commit().await?;
        self.writer.note_success();
        Ok(())
    }
}

/// A transaction that can be committed only if everything in it has worked.
///
/// On PostgreSQL a commit after a failed statement answers that it has worked, and nothing is stored. On SQLite some failures take the transaction back at once, and each
/// later statement is committed by itself. So after the first failure no statement runs any more, and the commit is refused.
pub(crate) struct Transaction {
    inner: DatabaseTransaction,
    state: WriterState,
    failed: AtomicBool,
}

impl Transaction {
    pub(crate) fn new(inner: DatabaseTransaction, state: WriterState) -> Self {
        Self { inner, state, failed: AtomicBool::new(false) }
    }

    /// As the library knows it, for migrations. Their failures are not noted: a program whose migrations fail does not start.
    pub(crate) fn raw(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Makes it durable, and answers when the database has seen to it.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self { inner, state, failed } = self;
        if failed.into_inner() {
            return Err(StoreError::Defect(AFTER_FAILURE.to_owned()));
        }
        let (on_sqlite, before) = (inner.get_database_backend() == DbBackend::Sqlite, state.commits());
        statements::note(1);
        inner.commit().await.map_err(|error| state.failure(error))?;
        // The driver answers "committed" without a word to SQLite where it believes that no transaction is open, and releases a savepoint where it believes that two are.
        if on_sqlite && state.commits() == before {
            let error = StoreError::Unavailable("SQLite saw no commit".to_owned());
            state.note_failure(&error);
            return Err(error);
        }
        Ok(())
    }

    /// Takes everything back.
    pub(crate) async fn rollback(self) -> Result<()> {
        let Self { inner, state, .. } = self;
        statements::note(1);
        inner.rollback().await.map_err(|error| state.failure(error))
    }

    /// Refuses what would follow a failure.
    fn guard(&self) -> std::result::Result<(), DbErr> {
        match self.failed.load(Ordering::Acquire) {
            true => Err(DbErr::Custom(AFTER_FAILURE.to_owned())),
            false => Ok(()),
        }
    }

    fn note<T>(&self, outcome: std::result::Result<T, DbErr>) -> std::result::Result<T, DbErr> {
        if let Err(error) = &outcome {
            self.failed.store(true, Ordering::Release);
            self.state.note_failure(&StoreError::of(error));
        }
        outcome
    }
}

const AFTER_FAILURE: &str = "a statement of this transaction has failed before";

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> std::result::Result<ExecResult, DbErr> {
        self.guard()?;
        self.note(self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> std::result::Result<ExecResult, DbErr> {
        self.guard()?;
        self.note(self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> std::result::Result<Option<QueryResult>, DbErr> {
        self.guard()?;
        self.note(self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> std::result::Result<Vec<QueryResult>, DbErr> {
        self.guard()?;
        self.note(self.inner.query_all_raw(statement).await)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::store::StoreSettings;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let settings = StoreSettings { url: SecretString::from(url), max_connections: 1 };
        let store = Store::connect(&settings).await.unwrap();
        let tx = store.begin().await.unwrap();
        tx.0.execute_unprepared("CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
        tx.commit().await.unwrap();
        store
    }

    async fn rows(store: &Store) -> usize {
        let statement = Statement::from_string(DbBackend::Sqlite, "SELECT id FROM t");
        store.read().0.query_all_raw(statement).await.unwrap().len()
    }

    #[tokio::test]
    async fn what_follows_a_failure_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let tx = store.begin().await.unwrap();
        tx.0.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
        // A failure that SQLite would go on after.
        tx.0.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap_err();
        tx.0.execute_unprepared("INSERT INTO t VALUES (2)").await.unwrap_err();
        assert!(matches!(tx.commit().await, Err(StoreError::Defect(_))));
        assert_eq!(rows(&store).await, 0);
        let tx = store.begin().await.unwrap();
        tx.0.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(rows(&store).await, 1);
    }

    #[tokio::test]
    async fn a_commit_that_sqlite_does_not_see_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let tx = store.begin().await.unwrap();
        // Ended behind the driver's back, and begun again in the way that the driver takes for a transaction in a transaction.
        tx.0.execute_unprepared("ROLLBACK").await.unwrap();
        tx.0.execute_unprepared("SAVEPOINT outer_one").await.unwrap();
        let nested = sea_orm::TransactionTrait::begin(tx.0.raw()).await.unwrap();
        let nested = Transaction::new(nested, store.writer.clone());
        nested.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
        assert!(matches!(nested.commit().await, Err(StoreError::Unavailable(_))));
        assert!(store.writer.is_failing());
        drop(tx);
        assert_eq!(rows(&store).await, 0);
    }

    #[tokio::test]
    async fn a_trial_ends_the_failing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        store.migrate().await.unwrap();
        let now = crate::platform::clock::Clock::system().now();
        store.writer.0.failing.store(true, Ordering::Release);
        store.begin().await.unwrap().commit().await.unwrap();
        assert!(store.writer.is_failing(), "a commit that writes nothing is no sign");
        store.try_to_write(now).await.unwrap();
        store.try_to_write(now).await.unwrap();
        assert!(!store.writer.is_failing());
    }
}
