//! Attempts to sign in. Rows are added and forgotten, and never changed; none of it is a change of any organization.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::{Result, SignInRecord, Store, Tx, entities::sign_ins};

impl Tx {
    /// Adds an attempt.
    pub(crate) async fn insert_sign_in(&mut self, attempt: SignInRecord) -> Result<()> {
        sign_ins::Entity::insert(attempt.into_active_model())
            .exec_without_returning(&self.view.0)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Forgets attempts from before a time.
    pub(crate) async fn forget_sign_ins(&self, before: DateTime<Utc>) -> Result<u64> {
        let forgotten = sign_ins::Entity::delete_many()
            .filter(sign_ins::Column::CreateTime.lt(before))
            .exec(&self.write)
            .await?;
        Ok(forgotten.rows_affected)
    }
}
