//! Everything that the database holds: to hold that a call has changed nothing, and to put back what it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::waiting::all_sent;
use super::world::World;

/// Looks into a database.
pub(crate) struct Watcher {
    world: World,
    query: String,
    tables: Vec<String>,
}

impl Watcher {
    pub(crate) async fn of(world: &World) -> Self {
        let (mut queries, tables) = (Vec::new(), watched(world.database()).await);
        for table in &tables {
            let rows = rows_of(world.database(), table).await;
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
        all_sent(&self.world).await;
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

/// What is searched follows the log by itself, a while after what was written.
const FOLLOWING: [&str; 2] = ["search_terms", "search_progress"];

/// The tables whose rows a refused call must leave as they are.
async fn watched(database: &DatabaseConnection) -> Vec<String> {
    let tables = tables(database).await;
    assert!(tables.len() > 5, "where are the tables? {tables:?}");
    // That somebody tried to sign in is kept whatever came of it: it is no change that a refused call should not have made.
    let kept = |table: &String| table != "sign_ins" && table != "attempts" && !FOLLOWING.contains(&table.as_str());
    tables.into_iter().filter(kept).collect()
}

/// SQL for the table's rows, one per line, in an order of their own.
async fn rows_of(database: &DatabaseConnection, table: &str) -> String {
    match database.get_database_backend() {
        DbBackend::Postgres => {
            format!("SELECT COALESCE(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM \"{table}\" t")
        }
        _ => {
            let row = row_of(database, table).await;
            format!(
                "SELECT COALESCE(group_concat({row}, char(10)), '') FROM (SELECT * FROM \"{table}\" ORDER BY rowid)"
            )
        }
    }
}

/// SQL for one row of SQLite as text, columns as the database writes them; bytes are in hexadecimal.
async fn row_of(database: &DatabaseConnection, table: &str) -> String {
    let columns = columns(database, table).await;
    let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
    quoted.join(" || ' | ' || ")
}

/// Every row of every table but [`FOLLOWING`], columns as the database writes them; bytes are in hexadecimal.
pub(crate) async fn dump(connection: &DatabaseConnection) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for table in tables(connection).await.into_iter().filter(|table| !FOLLOWING.contains(&table.as_str())) {
        let query = match connection.get_database_backend() {
            DbBackend::Postgres => format!("SELECT CAST(t AS text) AS line FROM \"{table}\" t ORDER BY 1"),
            _ => format!("SELECT {} AS line FROM \"{table}\" ORDER BY 1", row_of(connection, &table).await),
        };
        let lines = texts(connection, &query, "line").await;
        all.insert(table, lines);
    }
    all
}

/// The tables, in the order in which they were made.
pub(crate) async fn tables(connection: &DatabaseConnection) -> Vec<String> {
    let query = match connection.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT CAST(relname AS text) AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY oid"
        }
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    };
    texts(connection, query, "name").await
}

/// The columns of a table, in order.
pub(crate) async fn columns(connection: &DatabaseConnection, table: &str) -> Vec<String> {
    let query = match connection.get_database_backend() {
        DbBackend::Postgres => format!(
            "SELECT CAST(attname AS text) AS name FROM pg_attribute WHERE attrelid = '\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        _ => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
    };
    texts(connection, &query, "name").await
}

/// One column of text.
pub(crate) async fn texts(connection: &DatabaseConnection, query: &str, column: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}
