//! Users.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use super::{Cursor, Result, Tx, User, View, entities::users};

impl<C: ConnectionTrait> View<C> {
    /// One user.
    pub(crate) async fn user(&self, id: Uuid) -> Result<Option<User>> {
        Ok(users::Entity::find_by_id(id).one(&self.0).await?)
    }

    /// The user with an address.
    pub(crate) async fn user_by_email(&self, email_key: &str) -> Result<Option<User>> {
        Ok(users::Entity::find()
            .filter(users::Column::EmailKey.eq(email_key))
            .one(&self.0)
            .await?)
    }

    /// Users, oldest first.
    pub(crate) async fn users_page(&self, after: Option<&Cursor>, limit: u64) -> Result<Vec<User>> {
        let mut query = users::Entity::find().order_by_asc(users::Column::Id).limit(limit);
        if let Some(cursor) = after {
            query = query.filter(users::Column::Id.gt(cursor.id));
        }
        Ok(query.all(&self.0).await?)
    }

    /// How many users there are.
    pub(crate) async fn users_count(&self) -> Result<u64> {
        Ok(users::Entity::find().count(&self.0).await?)
    }
}

impl Tx {
    /// Adds a user. The unique address is what decides between two who sign up at once.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where the address is taken.
    pub(crate) async fn insert_user(&mut self, user: User) -> Result<()> {
        users::Entity::insert(user.into_active_model())
            .exec_without_returning(&self.view.0)
            .await?;
        Ok(())
    }

    /// Notes a sign-in, and stores the password's hash where its parameters were outdated.
    pub(crate) async fn record_sign_in(
        &mut self,
        user: Uuid,
        now: DateTime<Utc>,
        rehashed: Option<String>,
    ) -> Result<()> {
        let mut update = users::Entity::update_many()
            .col_expr(users::Column::LastSignInTime, Expr::value(now))
            .col_expr(users::Column::LastActiveTime, Expr::value(now));
        if let Some(hash) = rehashed {
            update = update.col_expr(users::Column::PasswordHash, Expr::value(hash));
        }
        update.filter(users::Column::Id.eq(user)).exec(&self.view.0).await?;
        Ok(())
    }
}
