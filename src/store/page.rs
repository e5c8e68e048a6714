//! Pages of lists: read in the order of an index, behind the last row that was seen.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, SelectModel, SelectorTrait,
    sea_query::{Expr, Func, IntoColumnRef, SelectStatement, SimpleExpr},
};
use uuid::Uuid;

use crate::{
    platform::in_steps,
    store::{Result, View},
};

/// A place in a list: the sort key and the tie-break of the last row that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// What the list is sorted by; empty where it is sorted by id alone.
    pub(crate) key: Vec<u8>,
    /// The row's id.
    pub(crate) id: Uuid,
}

impl Cursor {
    /// The place in a list that is sorted by id.
    pub(crate) fn by_id(id: Uuid) -> Self {
        Self { key: Vec::new(), id }
    }

    /// The place in a list that is sorted by time.
    pub(crate) fn at(time: DateTime<Utc>, id: Uuid) -> Self {
        Self { key: time.timestamp_micros().to_be_bytes().to_vec(), id }
    }

    /// The time that [`Self::at`] wrote.
    fn time(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(i64::from_be_bytes(self.key.as_slice().try_into().ok()?))
    }

    /// The rows behind it in the order of the two columns. The first half says nothing that the second does not, but is what an index is entered by:
    /// for the second alone, databases read the list from its beginning.
    pub(super) fn behind<K: ColumnTrait, I: ColumnTrait>(&self, key: K, id: I) -> Condition {
        let later = Condition::any().add(key.gt(self.key.clone())).add(id.gt(self.id));
        Condition::all().add(key.gte(self.key.clone())).add(later)
    }
}

/// A column that no index is entered by: rows that are named are found by what names them. Where a database has not counted its rows, and for the average of all lists where it has, it takes a large list for a small
/// one, and looks through all of it.
pub(super) fn not_by_index(column: impl IntoColumnRef + Clone) -> SimpleExpr {
    Expr::expr(Func::coalesce([Expr::col(column.clone()), Expr::col(column)]))
}

/// The page of a query's rows in the order of an id, behind the cursor.
pub(super) fn by_id<Q: QueryFilter + QueryOrder + QuerySelect>(
    query: Q,
    id: impl ColumnTrait,
    order: Order,
    after: Option<&Cursor>,
    limit: u64,
) -> Q {
    let behind = after.map(|cursor| match order {
        Order::Desc => id.lt(cursor.id),
        _ => id.gt(cursor.id),
    });
    let query = query.order_by(id, order).limit(limit);
    match behind {
        Some(behind) => QueryFilter::filter(query, behind),
        None => query,
    }
}

/// The page of a query's rows in the order of a key and an id, behind the cursor.
pub(super) fn by_key<Q: QueryFilter + QueryOrder + QuerySelect>(
    query: Q,
    key: impl ColumnTrait,
    id: impl ColumnTrait,
    after: Option<&Cursor>,
    limit: u64,
) -> Q {
    let query = query.order_by(key, Order::Asc).order_by(id, Order::Asc).limit(limit);
    match after {
        Some(cursor) => QueryFilter::filter(query, cursor.behind(key, id)),
        None => query,
    }
}

/// The page of a query's rows, newest first, behind the cursor.
pub(super) fn by_time<Q: QueryFilter + QueryOrder + QuerySelect>(
    query: Q,
    time: impl ColumnTrait,
    id: impl ColumnTrait,
    after: Option<&Cursor>,
    limit: u64,
) -> Q {
    let query = query.order_by(time, Order::Desc).order_by(id, Order::Desc).limit(limit);
    let Some((cursor, at)) = after.and_then(|cursor| Some((cursor, cursor.time()?))) else { return query };
    // As in [`Cursor::behind`]: the first half is what an index is entered by.
    let earlier = Condition::any().add(time.lt(at)).add(id.lt(cursor.id));
    QueryFilter::filter(query, Condition::all().add(time.lte(at)).add(earlier))
}

impl<C: ConnectionTrait> View<C> {
    /// The rows of a page. Reading a row takes longer than fetching it, so it is done in steps: a thousand at once would hold up whoever shares the thread (ab_54).
    pub(super) async fn page<E: EntityTrait>(&self, query: Select<E>) -> Result<Vec<E::Model>> {
        self.page_of::<SelectModel<E::Model>>(query).await
    }

    /// The same for rows of several tables.
    pub(super) async fn page_of<S: SelectorTrait>(
        &self,
        query: impl QueryTrait<QueryStatement = SelectStatement>,
    ) -> Result<Vec<S::Item>> {
        let found = self.0.query_all(query.as_query()).await?;
        let rows = in_steps(found, S::from_raw_query_result).await;
        Ok(rows.into_iter().collect::<std::result::Result<_, _>>()?)
    }
}
