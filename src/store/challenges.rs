//! Secrets that are used once. What makes a use the only one is a single statement: it changes the row where nobody has used it yet, and says whether it did.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{Challenge, Result, Store, Tx, View, entities::challenges};
use crate::domain::challenge::Purpose;

impl<C: ConnectionTrait> View<C> {
    /// The secret of a purpose that a digest belongs to, open or not.
    pub(crate) async fn challenge_by_digest(&self, purpose: Purpose, digest: &[u8]) -> Result<Option<Challenge>> {
        Ok(challenges::Entity::find()
            .filter(challenges::Column::Digest.eq(digest))
            .filter(challenges::Column::Purpose.eq(purpose))
            .one(&self.0)
            .await?)
    }

    /// The secret of a user's with an id, open or not.
    pub(crate) async fn challenge_of(&self, purpose: Purpose, user: Uuid, id: Uuid) -> Result<Option<Challenge>> {
        Ok(challenges::Entity::find_by_id(id)
            .filter(challenges::Column::UserId.eq(user))
            .filter(challenges::Column::Purpose.eq(purpose))
            .one(&self.0)
            .await?)
    }

    /// How many secrets of a purpose a user has been given since a time. Of nobody it is none, by the same question.
    pub(crate) async fn count_challenges(&self, purpose: Purpose, user: Uuid, since: DateTime<Utc>) -> Result<u64> {
        Ok(challenges::Entity::find()
            .filter(challenges::Column::UserId.eq(user))
            .filter(challenges::Column::Purpose.eq(purpose))
            .filter(challenges::Column::CreateTime.gt(since))
            .count(&self.0)
            .await?)
    }
}

impl Tx {
    /// Adds a secret.
    pub(crate) async fn insert_challenge(&mut self, challenge: Challenge) -> Result<()> {
        challenges::Entity::insert(challenge.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Uses a secret, once: `false` where somebody has used it, or its time is over. What it held is erased.
    ///
    /// The race it prevents: two calls find the secret unused and both go on. Whoever comes second waits for the row, and finds it used.
    pub(crate) async fn consume_challenge(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
        let used = open(now)
            .filter(challenges::Column::Id.eq(id))
            .filter(challenges::Column::ExpireTime.gt(now))
            .exec(&self.view.0)
            .await?;
        Ok(used.rows_affected == 1)
    }

    /// Ends every secret of these purposes that a user could still use.
    pub(crate) async fn end_challenges(&mut self, user: Uuid, purposes: &[Purpose], now: DateTime<Utc>) -> Result<()> {
        open(now)
            .filter(challenges::Column::UserId.eq(user))
            .filter(challenges::Column::Purpose.is_in(purposes.iter().copied()))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Takes a secret out altogether.
    pub(crate) async fn delete_challenge(&mut self, id: Uuid) -> Result<()> {
        challenges::Entity::delete_by_id(id).exec(&self.view.0).await?;
        Ok(())
    }
}

fn open(now: DateTime<Utc>) -> sea_orm::UpdateMany<challenges::Entity> {
    challenges::Entity::update_many()
        .col_expr(challenges::Column::ConsumeTime, Expr::value(now))
        .col_expr(challenges::Column::Sealed, Expr::value(None::<Vec<u8>>))
        .filter(challenges::Column::ConsumeTime.is_null())
}

impl Store {
    /// Takes one of the attempts that a secret allows, before it is known whether the attempt is right: `false` where none is left. In a commit of its own, so
    /// that a wrong attempt counts although the call is refused.
    ///
    /// The race it prevents: many guesses at once, each finding an attempt left. The limit is part of the statement that counts.
    pub(crate) async fn take_attempt(&self, id: Uuid, most: i32, now: DateTime<Utc>) -> Result<bool> {
        let taken = challenges::Entity::update_many()
            .col_expr(challenges::Column::Attempts, Expr::col(challenges::Column::Attempts).add(1))
            .filter(challenges::Column::Id.eq(id))
            .filter(challenges::Column::Attempts.lt(most))
            .filter(challenges::Column::ConsumeTime.is_null())
            .filter(challenges::Column::ExpireTime.gt(now))
            .exec(&self.write)
            .await?;
        Ok(taken.rows_affected == 1)
    }

    /// Forgets secrets whose time was over before a moment.
    pub(crate) async fn forget_challenges(&self, before: DateTime<Utc>) -> Result<u64> {
        let forgotten = challenges::Entity::delete_many()
            .filter(challenges::Column::ExpireTime.lt(before))
            .exec(&self.write)
            .await?;
        Ok(forgotten.rows_affected)
    }
}
