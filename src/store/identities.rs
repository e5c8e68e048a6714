//! Who people are at OpenID Connect providers, and the tokens that have said so.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, sea_query::Expr};
use uuid::Uuid;

use super::{LinkedIdentity, Result, Tx, View, entities::identities};

impl<C: ConnectionTrait> View<C> {
    /// The identity of an issuer and a subject.
    pub(crate) async fn identity(&self, issuer: &str, subject: &str) -> Result<Option<LinkedIdentity>> {
        Ok(identities::Entity::find()
            .filter(identities::Column::Issuer.eq(issuer))
            .filter(identities::Column::Subject.eq(subject))
            .one(&self.0)
            .await?)
    }

    /// A user's identities, oldest first.
    pub(crate) async fn identities_of(&self, user: Uuid) -> Result<Vec<LinkedIdentity>> {
        Ok(identities::Entity::find()
            .filter(identities::Column::UserId.eq(user))
            .order_by_asc(identities::Column::CreateTime)
            .order_by_asc(identities::Column::Id)
            .all(&self.0)
            .await?)
    }
}

impl Tx {
    /// Adds an identity. The unique pair of issuer and subject decides between two who link it at once.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where an account has it.
    pub(crate) async fn insert_identity(&mut self, identity: LinkedIdentity) -> Result<()> {
        identities::Entity::insert(identity.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Notes that somebody signed in with an identity.
    pub(crate) async fn touch_identity(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<()> {
        identities::Entity::update_many()
            .col_expr(identities::Column::LastUsedTime, Expr::value(now))
            .filter(identities::Column::Id.eq(id))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Takes an identity away.
    pub(crate) async fn delete_identity(&mut self, id: Uuid) -> Result<()> {
        identities::Entity::delete_by_id(id).exec(&self.view.0).await?;
        Ok(())
    }

    /// Takes all identities of a user away, for others to have.
    pub(crate) async fn delete_identities(&mut self, user: Uuid) -> Result<()> {
        identities::Entity::delete_many().filter(identities::Column::UserId.eq(user)).exec(&self.view.0).await?;
        Ok(())
    }
}
