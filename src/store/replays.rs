//! The answers of mutations, kept for a while so that a repeated call gets the first answer and has one effect.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set, TryInsertResult,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use uuid::Uuid;

use super::{Result, Store, Tx, View, entities::replays};

/// Whose call of which method it was.
#[derive(Debug, Clone)]
pub(crate) struct ReplayKey {
    /// The caller, so that nobody reads another's answers.
    pub(crate) caller: String,
    /// The method.
    pub(crate) method: String,
    /// The id that the caller gave the call.
    pub(crate) request_id: Uuid,
}

impl ReplayKey {
    /// What the answer is sealed for: this caller, this method, this id. In another row it does not open.
    pub(crate) fn context(&self) -> Vec<u8> {
        let (caller, method) = (self.caller.as_bytes(), self.method.as_bytes());
        // Neither text has a zero in it.
        [caller, &[0], method, &[0], self.request_id.as_bytes()].concat()
    }
}

impl<C: ConnectionTrait> View<C> {
    /// The sealed answer that was kept for a call.
    pub(crate) async fn replay(&self, key: &ReplayKey, now: DateTime<Utc>) -> Result<Option<Vec<u8>>> {
        let id = (key.caller.clone(), key.method.clone(), key.request_id);
        let found = replays::Entity::find_by_id(id).filter(replays::Column::ExpireTime.gt(now)).one(&self.0).await?;
        Ok(found.map(|row| row.sealed))
    }
}

impl Tx {
    /// Keeps an answer, in the same commit as what it answers for, also in place of one whose time is over and that nobody has cleared away. `false` where another call with the
    /// same id has kept its own meanwhile: this one must then be taken back.
    pub(crate) async fn keep_replay(
        &mut self,
        key: &ReplayKey,
        sealed: Vec<u8>,
        now: DateTime<Utc>,
        expire_time: DateTime<Utc>,
    ) -> Result<bool> {
        let row = replays::ActiveModel {
            caller: Set(key.caller.clone()),
            method: Set(key.method.clone()),
            request_id: Set(key.request_id),
            sealed: Set(sealed),
            expire_time: Set(expire_time),
        };
        let conflict =
            OnConflict::columns([replays::Column::Caller, replays::Column::Method, replays::Column::RequestId])
                .update_columns([replays::Column::Sealed, replays::Column::ExpireTime])
                .action_and_where(Expr::col((replays::Entity, replays::Column::ExpireTime)).lte(now))
                .to_owned();
        let inserted = replays::Entity::insert(row)
            .on_conflict(conflict)
            .try_insert()
            .exec_without_returning(&self.view.0)
            .await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
    }
}

impl Store {
    /// Forgets answers whose time is over.
    pub(crate) async fn forget_replays(&self, now: DateTime<Utc>) -> Result<u64> {
        let forgotten =
            replays::Entity::delete_many().filter(replays::Column::ExpireTime.lte(now)).exec(&self.write).await?;
        Ok(forgotten.rows_affected)
    }
}
