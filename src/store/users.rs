//! Users.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait, QueryFilter,
    QuerySelect,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{Cursor, Event, Result, Tx, User, View, entities::users, page};

impl<C: ConnectionTrait> View<C> {
    /// One user.
    pub(crate) async fn user(&self, id: Uuid) -> Result<Option<User>> {
        Ok(users::Entity::find_by_id(id).one(&self.0).await?)
    }

    /// The user with an address.
    pub(crate) async fn user_by_email(&self, email_key: &str) -> Result<Option<User>> {
        Ok(users::Entity::find().filter(users::Column::EmailKey.eq(email_key)).one(&self.0).await?)
    }

    /// The user with a username.
    pub(crate) async fn user_by_username(&self, username: &str) -> Result<Option<User>> {
        Ok(users::Entity::find().filter(users::Column::Username.eq(username)).one(&self.0).await?)
    }

    /// These users, in no order.
    pub(crate) async fn users_by_id(&self, ids: &[Uuid]) -> Result<Vec<User>> {
        self.page(users::Entity::find().filter(users::Column::Id.is_in(ids.iter().copied()))).await
    }

    /// Users, oldest first.
    pub(crate) async fn users_page(&self, after: Option<&Cursor>, limit: u64) -> Result<Vec<User>> {
        let query = page::by_id(users::Entity::find(), users::Column::Id, Order::Asc, after, limit);
        self.page(query).await
    }

    /// How many users there are.
    pub(crate) async fn users_count(&self) -> Result<u64> {
        Ok(users::Entity::find().count(&self.0).await?)
    }
}

impl Tx {
    /// Adds a user, and begins their stream. The unique address is what decides between two who sign up at once.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where the address is taken.
    pub(crate) async fn insert_user(&mut self, user: User, event: Event) -> Result<()> {
        let id = user.id;
        users::Entity::insert(user.into_active_model()).exec_without_returning(&self.view.0).await?;
        self.begin_streams(vec![(id, event)]).await
    }

    /// Locks a user and reads them: the first statement of what changes a person or ends their access, before any organization's lock.
    ///
    /// The races it prevents: somebody signs in while they are removed, suspended or deleted, and keeps the session (ab_08); somebody joins an
    /// organization while their account is deleted, and stays a member. `FOR NO KEY UPDATE` as for organizations.
    pub(crate) async fn lock_user(&mut self, id: Uuid) -> Result<Option<User>> {
        Ok(users::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(&self.view.0).await?)
    }

    /// Stores a user. Needs the user's lock.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where the address or the username is taken.
    pub(crate) async fn update_user(&mut self, user: User) -> Result<()> {
        user.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }

    /// Moves the user's revision by one, stores the user, and writes the event of it. Needs the user's lock.
    ///
    /// # Errors
    /// As [`Tx::update_user`].
    pub(crate) async fn record_user(&mut self, user: &mut User, event: Event) -> Result<()> {
        user.revision += 1;
        user.update_time = event.time;
        self.update_user(user.clone()).await?;
        self.record_of_user(user.id, event).await
    }

    /// Notes a sign-in, the next one of the user. Needs the user's lock: what interrupts a membership notes under the same one which sign-in was the last before it, so that the two
    /// have one order on all replicas, whatever their clocks (ab_57).
    pub(crate) async fn touch_last_sign_in(&mut self, user: &mut User, now: DateTime<Utc>) -> Result<()> {
        user.sign_in_count += 1;
        user.last_sign_in_time = Some(now);
        users::Entity::update_many()
            .col_expr(users::Column::LastSignInTime, Expr::value(now))
            .col_expr(users::Column::LastActiveTime, Expr::value(now))
            .col_expr(users::Column::SignInCount, Expr::value(user.sign_in_count))
            .filter(users::Column::Id.eq(user.id))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }
}
