//! The log: the events of all streams, read in the order in which they become visible, from a place on.
//!
//! On PostgreSQL a place is a snapshot: what a later one sees and it did not is what is new, in whatever order transactions were committed
//! ([decision 45](../../docs/decisions/0045-events-are-in-streams.md)). On SQLite it is the row's position, because one writer commits after the other.

mod connection;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement};
use uuid::Uuid;

pub(crate) use connection::LogConnection;

use super::{EventRecord, Result, Store, StoreError, Tx, View};

/// A snapshot of PostgreSQL: which transactions it sees, as `pg_snapshot` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenTransactions {
    /// Every transaction before this one is seen.
    xmin: u64,
    /// None from this one on is seen.
    xmax: u64,
    /// Those in between that are not.
    unseen: Vec<u64>,
}

/// Transactions in between that a place names at the most; a server has fewer at work.
const MAX_UNSEEN: usize = 10_000;

impl SeenTransactions {
    /// The snapshot that sees nothing.
    const NONE: Self = Self { xmin: 1, xmax: 1, unseen: Vec::new() };

    /// Reads `xmin:xmax:x,y,..`. `None` for what PostgreSQL would not take.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let listed = parts.next()?;
        let unseen: Vec<u64> = match listed.is_empty() {
            true => Vec::new(),
            false => listed.split(',').map(|one| one.parse().ok()).collect::<Option<_>>()?,
        };
        let ordered = unseen.iter().zip(unseen.iter().skip(1)).all(|(one, next)| one < next);
        let within = unseen.iter().all(|one| (xmin..xmax).contains(one));
        let valid = xmin > 0 && xmin <= xmax && xmax <= i64::MAX as u64 && ordered && within;
        (parts.next().is_none() && valid && unseen.len() <= MAX_UNSEEN).then_some(Self { xmin, xmax, unseen })
    }
}

impl std::fmt::Display for SeenTransactions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unseen: Vec<String> = self.unseen.iter().map(ToString::to_string).collect();
        write!(out, "{}:{}:{}", self.xmin, self.xmax, unseen.join(","))
    }
}

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogPlace {
    /// Behind the row of this position.
    Position(i64),
    /// Behind what a snapshot sees.
    Seen(SeenTransactions),
    /// On the way from one snapshot to a later one: their difference is read by stream and revision, and has been up to here.
    Between {
        /// All of this has been read.
        seen: SeenTransactions,
        /// Of this, a part.
        next: SeenTransactions,
        /// The stream of the last event that was.
        stream: Uuid,
        /// Its revision.
        revision: i64,
    },
}

impl LogPlace {
    fn seen(&self) -> SeenTransactions {
        match self {
            LogPlace::Position(_) => SeenTransactions::NONE,
            LogPlace::Seen(seen) | LogPlace::Between { seen, .. } => seen.clone(),
        }
    }

    /// Whether what is behind it is found by the transactions that wrote it, however much else the log has: behind a snapshot there are few events as a rule. In the middle of a difference, and at the
    /// start, it may be all of the log: there PostgreSQL decides by the place whether it goes by the transactions or through the streams.
    fn by_transactions(&self) -> bool {
        matches!(self, LogPlace::Seen(seen) if *seen != SeenTransactions::NONE)
    }

    /// The last transaction that the place knows of.
    fn horizon(&self) -> u64 {
        match self {
            LogPlace::Position(_) => 0,
            LogPlace::Seen(seen) => seen.xmax,
            LogPlace::Between { seen, next, .. } => seen.xmax.max(next.xmax),
        }
    }
}

/// What a step through the log found.
#[derive(Debug)]
pub(crate) struct LogStep {
    /// The next events: those of a stream in order and without a gap.
    pub(crate) events: Vec<EventRecord>,
    /// The place behind them.
    pub(crate) place: LogPlace,
    /// Whether there was nothing more.
    pub(crate) up_to_date: bool,
    /// The epoch that a restored backup has begun; nil where none was restored.
    pub(crate) epoch: Uuid,
    /// Whether the place that the step began at is one of this log: not of one that got further and was lost.
    pub(crate) known: bool,
}

const COLUMNS: &str = "e.organization_id, e.revision, e.stream, e.kind, e.actor_user_id, e.actor_service_account_id, e.subject_id, e.data, e.hash, e.create_time";

impl Store {
    /// The place before the first event.
    pub(crate) fn log_start(&self) -> LogPlace {
        match self.embedded() {
            true => LogPlace::Position(0),
            false => LogPlace::Seen(SeenTransactions::NONE),
        }
    }

    /// The place behind everything that has been committed.
    pub(crate) async fn log_end(&self) -> Result<LogStep> {
        let step = match self.embedded() {
            true => self.read.read_positions(i64::MAX, 0).await?,
            false => self.read.read_snapshots(&self.log_start(), 0).await?,
        };
        Ok(LogStep { events: Vec::new(), up_to_date: true, known: true, ..step })
    }

    /// The next events behind a place, and so many at the most: one statement.
    ///
    /// A place of the other database is not known here.
    pub(crate) async fn read_log(&self, place: &LogPlace, most: usize) -> Result<LogStep> {
        match (self.embedded(), place) {
            (true, LogPlace::Position(position)) => self.read.read_positions(*position, most).await,
            (true, _) => Ok(LogStep { known: false, ..self.read.read_positions(0, 1).await? }),
            (false, LogPlace::Position(_)) => {
                Ok(LogStep { known: false, ..self.read.read_snapshots(&self.log_start(), 1).await? })
            }
            (false, place) if place.by_transactions() => {
                let mut connection = self.planned_once.0.get_postgres_connection_pool().acquire().await?;
                connection::read_by_transactions(&mut connection, place, most).await
            }
            (false, place) => self.read.read_snapshots(place, most).await,
        }
    }
}

impl<C: ConnectionTrait> View<C> {
    /// The difference between a place and now, or the rest of one, in the order of streams.
    async fn read_snapshots(&self, place: &LogPlace, most: usize) -> Result<LogStep> {
        let (target, begun) = match place {
            LogPlace::Between { next, stream, revision, .. } => (Some(next.to_string()), Some((*stream, *revision))),
            _ => (None, None),
        };
        let more = format!(
            "{} {}",
            if target.is_some() { "AND pg_visible_in_snapshot(e.tx, $3::pg_snapshot)" } else { "" },
            if begun.is_some() { "AND (e.organization_id, e.revision) > ($4, $5)" } else { "" },
        );
        let mut values = vec![place.seen().to_string().into(), rows(most).into()];
        values.extend(target.map(Into::into));
        if let Some((stream, revision)) = begun {
            values.extend([stream.into(), revision.into()]);
        }
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, difference(&more), values);
        LogStep::of_difference(place, most, &self.0.query_all_raw(statement).await?)
    }

    async fn read_positions(&self, position: i64, most: usize) -> Result<LogStep> {
        let sql = format!(
            "SELECT (SELECT MAX(position) FROM events) AS newest, (SELECT epoch FROM installation) AS epoch, e.position, {COLUMNS} \
             FROM (SELECT 1) LEFT JOIN (SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?) e ON true ORDER BY e.position"
        );
        let values = [position.into(), rows(most).into()];
        let rows = self.0.query_all_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
        let first = rows.first().ok_or_else(|| StoreError::Defect("the log answered nothing".to_owned()))?;
        let newest = first.try_get::<Option<i64>>("", "newest")?.unwrap_or(0);
        let mut events = rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<Vec<_>>>()?;
        let up_to_date = events.len() <= most;
        events.truncate(most);
        let last = match events.len().checked_sub(1).and_then(|at| rows.get(at)) {
            Some(row) => row.try_get("", "position")?,
            None => position.min(newest),
        };
        let place = LogPlace::Position(last);
        Ok(LogStep { events, place, up_to_date, epoch: epoch(first)?, known: position <= newest })
    }
}

/// The statement that reads what is behind the snapshot `$1`, `$2` rows at the most, and of those what a further condition says.
///
/// Sorted by stream and revision: of two transactions that wrote to one stream, the one with the lower number may have come second, since it takes its number before the lock.
fn difference(more: &str) -> String {
    format!(
        "SELECT now.seen::text AS now_seen, pg_is_in_recovery() AS standby, (SELECT epoch FROM installation) AS epoch, {COLUMNS} \
         FROM (SELECT pg_current_snapshot() AS seen) now LEFT JOIN LATERAL ( \
           SELECT * FROM (SELECT * FROM events e WHERE e.tx >= pg_snapshot_xmin($1::pg_snapshot) \
             AND NOT pg_visible_in_snapshot(e.tx, $1::pg_snapshot) {more}) e \
           ORDER BY e.organization_id, e.revision LIMIT $2) e ON true"
    )
}

/// One more than so many: whether there are more.
fn rows(most: usize) -> i64 {
    i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX)
}

impl LogStep {
    /// The step from a place by the rows of a [`difference`].
    fn of_difference(place: &LogPlace, most: usize, rows: &[QueryResult]) -> Result<Self> {
        let first = rows.first().ok_or_else(|| StoreError::Defect("the log answered nothing".to_owned()))?;
        refuse_standby(first)?;
        let text: String = first.try_get("", "now_seen")?;
        let now = SeenTransactions::parse(&text).ok_or_else(|| StoreError::Defect(format!("a snapshot {text}")))?;
        let epoch = epoch(first)?;
        let known = place.horizon() <= now.xmax;
        let mut events = rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<Vec<_>>>()?;
        let more = events.len() > most;
        events.truncate(most);
        let next = match place {
            LogPlace::Between { next, .. } => next.clone(),
            _ => now.clone(),
        };
        let up_to_date = !more && next == now;
        let place = match events.last().filter(|_| more) {
            Some(last) => {
                LogPlace::Between { seen: place.seen(), next, stream: last.stream_id, revision: last.revision }
            }
            None => LogPlace::Seen(next),
        };
        Ok(Self { events, place, up_to_date, epoch, known })
    }
}

impl Tx {
    /// Gives events that came with a dump from another PostgreSQL cluster the number of this transaction: theirs mean nothing here, and nobody would see the events for as long as this cluster
    /// has not got as far.
    pub(crate) async fn restamp_events(&mut self) -> Result<()> {
        if self.backend() == DbBackend::Postgres {
            let foreign =
                "UPDATE events SET tx = pg_current_xact_id() WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())";
            self.view.0.execute_unprepared(foreign).await?;
        }
        Ok(())
    }
}

/// A standby may lag: what it calls the newest event may be an old one, and a right be taken away that it still shows.
fn refuse_standby(row: &QueryResult) -> Result<()> {
    match row.try_get("", "standby")? {
        true => Err(StoreError::Unavailable("a standby answers in place of the primary".to_owned())),
        false => Ok(()),
    }
}

fn epoch(row: &QueryResult) -> Result<Uuid> {
    Ok(row.try_get::<Option<Uuid>>("", "epoch")?.unwrap_or_default())
}

/// The event of a row; `None` in the one row of a log that has nothing more.
fn event(row: &QueryResult) -> Result<Option<EventRecord>> {
    Ok(EventRecord::from_query_result_optional(row, "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_read_as_postgresql_writes_them() {
        for text in ["1:1:", "10:20:", "10:20:10,14,19", "5:6:5"] {
            assert_eq!(SeenTransactions::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1:2",
            "0:1:",
            "3:2:",
            "10:20:9",
            "10:20:20",
            "10:20:12,12",
            "10:20:13,12",
            "10:20:,",
            "1:2::",
            "-1:2:",
            "1:9223372036854775808:",
            "a:b:",
        ] {
            assert_eq!(SeenTransactions::parse(text), None, "{text}");
        }
    }
}
