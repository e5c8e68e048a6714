//! Wrong answers, counted. A row is written where an answer was wrong, by one statement for all that it counts for; a right one takes it away.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{CaseStatement, Expr, ExprTrait, OnConflict},
};

use super::{Attempts, Result, Store, Tx, View, entities::attempts};

impl<C: ConnectionTrait> View<C> {
    /// What is counted under these digests and not forgotten yet.
    pub(crate) async fn attempts(&self, digests: &[Vec<u8>], now: DateTime<Utc>) -> Result<Vec<Attempts>> {
        Ok(attempts::Entity::find()
            .filter(attempts::Column::Digest.is_in(digests.iter().map(Vec::as_slice)))
            .filter(attempts::Column::ForgetTime.gt(now))
            .all(&self.0)
            .await?)
    }
}

impl Tx {
    /// Counts one more wrong answer under each of these digests, which are remembered until the time beside them.
    pub(crate) async fn count_attempts(
        &mut self,
        mut digests: Vec<(Vec<u8>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        use attempts::Column;

        if digests.is_empty() {
            return Ok(());
        }
        // In one order, or two who count the same rows would wait for each other.
        digests.sort();
        let rows = digests.into_iter().map(|(digest, forget_time)| {
            let row = Attempts { digest, failures: 1, last_time: now, forget_time };
            row.into_active_model()
        });
        let stored = |column: Column| Expr::col((attempts::Entity, column));
        let failures =
            CaseStatement::new().case(stored(Column::ForgetTime).lte(now), 1).finally(stored(Column::Failures).add(1));
        let again = OnConflict::column(Column::Digest)
            .value(Column::Failures, failures)
            .update_columns([Column::LastTime, Column::ForgetTime])
            .to_owned();
        attempts::Entity::insert_many(rows).on_conflict(again).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Lets whoever counts under this digest begin again, and remembers until a time that they have.
    pub(crate) async fn begin_attempts(&mut self, row: Attempts) -> Result<()> {
        use attempts::Column;

        let again = OnConflict::column(Column::Digest)
            .update_columns([Column::Failures, Column::LastTime, Column::ForgetTime])
            .to_owned();
        attempts::Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(&self.view.0)
            .await?;
        Ok(())
    }

    /// Forgets what was counted under these digests.
    pub(crate) async fn clear_attempts(&mut self, digests: &[Vec<u8>]) -> Result<()> {
        if digests.is_empty() {
            return Ok(());
        }
        attempts::Entity::delete_many()
            .filter(attempts::Column::Digest.is_in(digests.iter().map(Vec::as_slice)))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Forgets what has had its time.
    pub(crate) async fn forget_attempts(&self, now: DateTime<Utc>) -> Result<u64> {
        let forgotten =
            attempts::Entity::delete_many().filter(attempts::Column::ForgetTime.lte(now)).exec(&self.write).await?;
        Ok(forgotten.rows_affected)
    }
}
