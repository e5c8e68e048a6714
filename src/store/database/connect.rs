//! Opens the database and brings its schema up to date.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use roster_migrations::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, SqlxSqliteConnector, Statement,
};
use sea_orm_migration::MigratorTrait;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Executor,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    platform::{Skew, statements},
    store::{
        Result, Seals, Signals, Store, StoreError, Tx, View, WalIndex,
        database::writer::{WriterState, is_between_transactions},
    },
};

/// Any number that no other program takes on the same database.
const MIGRATION_LOCK: i64 = 0x726f_7374_6572;

/// A connection that was used within that time is taken for alive. Where it is not, a call fails as if it had broken in the middle.
const TRUSTED: Duration = Duration::from_secs(1);
/// What is said once to each connection to PostgreSQL. How transactions begin ([`Store::begin`]): otherwise each says it in a statement of its own. And that nothing is compiled: that takes 300 ms, and
/// is done where the estimate is high, whatever the few rows of a call take.
const CONNECTION: &str =
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET jit = off";
/// The same for those of [`Store::planned_once`]: a plan is kept, and enters each table by an index for the few rows that are asked for.
const PLANNED_ONCE: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_material = off; SET max_parallel_workers_per_gather = 0";
/// How long to wait for a connection of the pool. A caller's deadline is usually shorter.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which database, and how much of it.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// `postgres://..` or `sqlite://..`.
    pub(crate) url: SecretString,
    /// Connections to PostgreSQL, or readers of the SQLite file, at the most.
    pub(crate) max_connections: u32,
}

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaState {
    /// Migrations of ours have not been applied yet.
    Behind,
    /// Just what this program was built with.
    Current,
    /// A newer program has migrated it; ours goes on, as a rolling upgrade needs.
    Ahead,
}

impl Store {
    /// Opens the database.
    ///
    /// # Errors
    /// The URL is malformed or the database does not answer.
    pub(crate) async fn connect(settings: &StoreSettings) -> Result<Self> {
        let url = settings.url.expose_secret();
        if url.starts_with("sqlite:") {
            Self::connect_sqlite(url, settings).await
        } else {
            Self::connect_postgres(url, settings).await
        }
    }

    async fn connect_sqlite(url: &str, settings: &StoreSettings) -> Result<Self> {
        // FULL: with NORMAL, a power loss can take an acknowledged commit in WAL mode.
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .foreign_keys(true);
        let pool = |pool: SqlitePoolOptions, connections, read_only| {
            pool.max_connections(connections)
                .min_connections(1)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_with(options.clone().pragma("query_only", if read_only { "1" } else { "0" }))
        };
        let writer = WriterState::default();
        let watching = writer.clone();
        let one = SqlitePoolOptions::new()
            .after_connect(move |connection, _| {
                let watching = watching.clone();
                Box::pin(async move { watching.watch(connection).await })
            })
            .before_acquire(|connection, _| Box::pin(async move { Ok(is_between_transactions(connection)) }));
        // The writer first: it creates the file and turns WAL on.
        let mut write = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(one, 1, false).await?);
        let many = SqlitePoolOptions::new();
        let mut read = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(many, settings.max_connections, true).await?);
        read.set_metric_callback(|_| statements::note(1));
        write.set_metric_callback(|_| statements::note(1));
        let wal_index = Some(WalIndex::of(options.get_filename()));
        Ok(Self {
            planned_once: View(read.clone()),
            read: View(read),
            write,
            writer,
            signals: Signals::new(),
            skew: Skew::default(),
            seals: Seals::default(),
            wal_index,
        })
    }

    async fn connect_postgres(url: &str, settings: &StoreSettings) -> Result<Self> {
        let planned_once = (settings.max_connections / 4).max(1);
        let others = settings.max_connections.saturating_sub(planned_once).max(1);
        let connection = postgres_pool(url, others, &[CONNECTION]).await?;
        let planned_once = postgres_pool(url, planned_once, &[CONNECTION, PLANNED_ONCE]).await?;
        let signals = Signals::new();
        signals.connect(connection.get_postgres_connection_pool());
        Ok(Self {
            read: View(connection.clone()),
            planned_once: View(planned_once),
            write: connection,
            writer: WriterState::default(),
            signals,
            skew: Skew::default(),
            seals: Seals::default(),
            wal_index: None,
        })
    }

    /// Whether the database is the embedded one, which this program migrates by itself.
    pub(crate) fn embedded(&self) -> bool {
        self.write.get_database_backend() == DbBackend::Sqlite
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn ping(&self) -> Result<()> {
        Ok(self.read.0.ping().await?)
    }

    /// Compares the applied migrations with ours.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn schema_state(&self) -> Result<SchemaState> {
        schema_state(&self.write).await
    }

    /// Applies the migrations that are missing, in one transaction.
    ///
    /// # Errors
    /// The database does not answer, or a migration fails; then nothing has changed.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        // Two programs that migrate at once would both create the first table; the second waits here and then finds nothing to do.
        tx.exclude_others(MIGRATION_LOCK).await?;
        if schema_state(&tx.0).await? == SchemaState::Behind {
            Migrator::up(tx.0.raw(), None).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// Waits until no other transaction holds the same exclusion, and holds it until this one ends. On SQLite every writing transaction excludes
    /// the others anyhow.
    pub(crate) async fn exclude_others(&mut self, lock: i64) -> Result<()> {
        if self.backend() == DbBackend::Postgres {
            let statement =
                Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_advisory_xact_lock($1)", [lock.into()]);
            self.view.0.execute_raw(statement).await?;
        }
        Ok(())
    }
}

async fn postgres_pool(
    url: &str,
    max_connections: u32,
    settings: &'static [&'static str],
) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        // Without this every statement is preceded by a round trip that asks whether the connection lives.
        .test_before_acquire_if_idle_for(TRUSTED)
        // Statements stand in our own spans; here they would carry values.
        .sqlx_logging(false)
        .set_application_name("roster")
        .map_sqlx_postgres_pool_opts(move |pool| {
            pool.after_connect(move |connection, _| {
                Box::pin(async move {
                    for set in settings {
                        connection.execute(*set).await?;
                    }
                    Ok(())
                })
            })
        });
    let mut connection = Database::connect(options).await?;
    connection.set_metric_callback(|_| statements::note(1));
    Ok(connection)
}

async fn schema_state<C: ConnectionTrait>(connection: &C) -> Result<SchemaState> {
    let applied = applied(connection).await?;
    let ours: BTreeSet<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    Ok(if !ours.is_subset(&applied) {
        SchemaState::Behind
    } else if applied.len() > ours.len() {
        SchemaState::Ahead
    } else {
        SchemaState::Current
    })
}

async fn applied<C: ConnectionTrait>(connection: &C) -> Result<BTreeSet<String>> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => {
            "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'seaql_migrations'"
        }
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'",
    };
    if connection.query_one_raw(Statement::from_string(backend, exists)).await?.is_none() {
        return Ok(BTreeSet::new());
    }
    let rows =
        connection.query_all_raw(Statement::from_string(backend, "SELECT version FROM seaql_migrations")).await?;
    rows.iter().map(|row| row.try_get::<String>("", "version").map_err(StoreError::from)).collect()
}
