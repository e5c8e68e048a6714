//! Attempts to sign in. Rows are added and forgotten, and never changed; none of it is a change of any organization.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use super::{Cursor, Result, SignInRecord, Store, Tx, View, entities::sign_ins, page};
use crate::domain::sign_in::SignInOutcome;

/// Which attempts of a user.
#[derive(Debug, Clone)]
pub(crate) struct SignInFilter {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// Only those that ended like this.
    pub(crate) outcome: Option<SignInOutcome>,
    /// Only from this time on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl<C: ConnectionTrait> View<C> {
    /// A user's attempts to sign in, newest first.
    pub(crate) async fn sign_ins_page(
        &self,
        filter: &SignInFilter,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<SignInRecord>> {
        let query = page::by_id(filtered(filter), sign_ins::Column::Id, Order::Desc, after, limit);
        self.page(query).await
    }

    /// The network addresses from which a user has signed in last, newest first. Of nobody there are none, by the same question.
    pub(crate) async fn sign_in_addresses(&self, user: Uuid, limit: u64) -> Result<Vec<String>> {
        let found: Vec<Option<String>> = sign_ins::Entity::find()
            .select_only()
            .column(sign_ins::Column::IpAddress)
            .filter(sign_ins::Column::UserId.eq(user))
            .filter(sign_ins::Column::Outcome.eq(SignInOutcome::Succeeded))
            .filter(sign_ins::Column::IpAddress.is_not_null())
            .order_by_desc(sign_ins::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// How many attempts the filter leaves.
    pub(crate) async fn sign_ins_count(&self, filter: &SignInFilter) -> Result<u64> {
        Ok(filtered(filter).count(&self.0).await?)
    }
}

fn filtered(filter: &SignInFilter) -> Select<sign_ins::Entity> {
    let column = sign_ins::Column::CreateTime;
    sign_ins::Entity::find().filter(sign_ins::Column::UserId.eq(filter.user_id)).filter(
        Condition::all()
            .add_option(filter.outcome.map(|outcome| sign_ins::Column::Outcome.eq(outcome)))
            .add_option(filter.from.map(|from| column.gte(from)))
            .add_option(filter.until.map(|until| column.lt(until))),
    )
}

impl Tx {
    /// Adds an attempt.
    pub(crate) async fn insert_sign_in_attempt(&mut self, attempt: SignInRecord) -> Result<()> {
        sign_ins::Entity::insert(attempt.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Takes an attempt out altogether.
    pub(crate) async fn delete_sign_in(&mut self, id: Uuid) -> Result<()> {
        sign_ins::Entity::delete_by_id(id).exec(&self.view.0).await?;
        Ok(())
    }
}

impl Store {
    /// Forgets attempts from before a time.
    pub(crate) async fn forget_sign_ins(&self, before: DateTime<Utc>) -> Result<u64> {
        let forgotten =
            sign_ins::Entity::delete_many().filter(sign_ins::Column::CreateTime.lt(before)).exec(&self.write).await?;
        Ok(forgotten.rows_affected)
    }
}
