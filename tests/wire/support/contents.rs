//! Everything that the database holds: to hold that a call has changed nothing, and to put back what it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::world::World;

/// How long the messages that were queued may take until they are sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks into a database.
pub(crate) struct Watcher {
    world: World,
    query: String,
    tables: Vec<String>,
}

impl Watcher {
    pub(crate) async fn of(world: &World) -> Self {
        let (mut queries, tables) = (Vec::new(), tables_of(world).await);
        for table in &tables {
            let rows = rows_of(world, table).await;
            queries.push(format!("SELECT '{table}' AS name, ({rows}) AS rows_of"));
        }
        Self { world: world.clone(), query: queries.join(" UNION ALL "), tables }
    }

    /// Keeps a copy of everything, for [`Self::put_back`].
    pub(crate) async fn keep(&self) -> Contents {
        let now = self.look().await;
        for table in &self.tables {
            let copy = format!("CREATE TABLE \"kept_{table}\" AS SELECT * FROM \"{table}\"");
            self.world.database().execute_unprepared(&copy).await.unwrap();
        }
        now
    }

    /// Makes the tables in which the two differ what they were when [`Self::keep`] was called.
    pub(crate) async fn put_back(&self, kept: &Contents, now: &Contents) {
        let tables: Vec<&String> = kept.changed(now).collect();
        if tables.is_empty() {
            return;
        }
        let database = self.world.database();
        // Rows that refer to others go and come back in any order, and none goes because another does.
        let (mut script, end) = match database.get_database_backend() {
            DbBackend::Postgres => ("BEGIN; SET LOCAL session_replication_role = replica;".to_owned(), "COMMIT;"),
            _ => ("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE;".to_owned(), "COMMIT; PRAGMA foreign_keys = ON;"),
        };
        for table in tables {
            let _ = write!(script, "DELETE FROM \"{table}\"; INSERT INTO \"{table}\" SELECT * FROM \"kept_{table}\";");
        }
        // One script runs on one connection.
        database.execute_unprepared(&format!("{script} {end}")).await.unwrap();
    }

    /// What the database holds once no message is on its way any more: from then on nothing changes by itself.
    pub(crate) async fn look(&self) -> Contents {
        let queued = "SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'";
        let settled = tokio::time::timeout(PATIENCE, async {
            while self.world.count(queued).await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        settled.await.expect("the outbox never settles");
        let database = self.world.database();
        let statement = Statement::from_string(database.get_database_backend(), &self.query);
        let tables = database.query_all_raw(statement).await.unwrap();
        let tables = tables.iter().map(|row| (row.try_get("", "name").unwrap(), row.try_get("", "rows_of").unwrap()));
        Contents(tables.collect())
    }
}

/// Every row of every table as text.
#[derive(PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<String, String>);

impl Contents {
    /// The tables that differ.
    pub(crate) fn changed<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = &'a String> {
        let tables = self.0.iter().filter(|(table, rows)| later.0[*table] != **rows);
        tables.map(|(table, _)| table)
    }

    /// The rows that only one of the two has; empty where nothing has changed.
    pub(crate) fn difference(&self, later: &Self) -> String {
        let mut text = String::new();
        for table in self.changed(later) {
            let [before, after]: [BTreeSet<&str>; 2] =
                [self, later].map(|contents| contents.0[table].lines().collect());
            for row in before.difference(&after) {
                let _ = writeln!(text, "  - {table}: {row}");
            }
            for row in after.difference(&before) {
                let _ = writeln!(text, "  + {table}: {row}");
            }
        }
        text
    }
}

async fn tables_of(world: &World) -> Vec<String> {
    let query = match world.database().get_database_backend() {
        DbBackend::Postgres => "SELECT tablename AS n FROM pg_tables WHERE schemaname = current_schema()",
        _ => "SELECT name AS n FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    };
    let tables = texts(world, query).await;
    assert!(tables.len() > 5, "where are the tables? {tables:?}");
    // That somebody tried to sign in is kept whatever came of it: it is no change that a refused call should not have made.
    let kept = |table: &String| table != "sign_ins" && table != "attempts";
    tables.into_iter().filter(kept).collect()
}

/// SQL for the table's rows, one per line, in an order of their own.
async fn rows_of(world: &World, table: &str) -> String {
    match world.database().get_database_backend() {
        DbBackend::Postgres => {
            format!("SELECT COALESCE(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM \"{table}\" t")
        }
        _ => {
            let columns = texts(world, &format!("SELECT name AS n FROM pragma_table_info('{table}')")).await;
            let row: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
            format!(
                "SELECT COALESCE(group_concat({}, char(10)), '') FROM (SELECT * FROM \"{table}\" ORDER BY rowid)",
                row.join(" || ',' || ")
            )
        }
    }
}

async fn texts(world: &World, query: &str) -> Vec<String> {
    let statement = Statement::from_string(world.database().get_database_backend(), query);
    let rows = world.database().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "n").unwrap()).collect()
}
