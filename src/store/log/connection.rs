//! The connection of a reader who reads all the time.

use std::sync::LazyLock;

use sea_orm::QueryResult;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{LogPlace, LogStep, difference, rows};
use crate::{
    platform::statements,
    store::{Result, Store},
};

/// What is found by its transactions is put in order afterwards. Without the `OFFSET` the streams are read from their beginning, because they are in order.
static BY_TRANSACTIONS: LazyLock<String> = LazyLock::new(|| difference("OFFSET 0"));

/// A connection that a reader keeps. A pool asks each connection that is given back whether it lives, which costs as much as reading the log when there is nothing new.
#[derive(Default)]
pub(crate) struct LogConnection(Option<PgConnection>);

impl Store {
    /// As [`Store::read_log`], by the reader's own connection to PostgreSQL. Says also whether that is a new one: of which it is not known whether it leads to the same database, or after a failover to one in
    /// which what was read before never happened.
    pub(crate) async fn read_log_by(
        &self,
        connection: &mut LogConnection,
        place: &LogPlace,
        most: usize,
    ) -> Result<(LogStep, bool)> {
        if self.embedded() || !place.by_transactions() {
            return Ok((self.read_log(place, most).await?, false));
        }
        // Not kept while it is used: a reading that is given up leaves the rest of an answer behind.
        if let Some(mut kept) = connection.0.take()
            && let Ok(step) = read_by_transactions(&mut kept, place, most).await
        {
            connection.0 = Some(kept);
            return Ok((step, false));
        }
        // None was kept, or it broke since it was used. Reading once more by a new one changes nothing.
        let mut opened = self.planned_once.0.get_postgres_connection_pool().acquire().await?.detach();
        let step = read_by_transactions(&mut opened, place, most).await?;
        connection.0 = Some(opened);
        Ok((step, true))
    }
}

/// What is behind a snapshot, found by the transactions that wrote it.
pub(super) async fn read_by_transactions(
    connection: &mut PgConnection,
    place: &LogPlace,
    most: usize,
) -> Result<LogStep> {
    statements::note(1);
    let found = sqlx::query(AssertSqlSafe(BY_TRANSACTIONS.as_str()))
        .bind(place.seen().to_string())
        .bind(rows(most))
        .fetch_all(connection)
        .await?;
    let found: Vec<QueryResult> = found.into_iter().map(Into::into).collect();
    LogStep::of_difference(place, most, &found)
}
