//! Service accounts and their keys.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, Order, PaginatorTrait,
    QueryFilter, QuerySelect, RelationDef, sea_query::LockType,
};
use uuid::Uuid;

use super::{
    Cursor, Result, ServiceAccount, ServiceKey, Tx, View,
    entities::{service_accounts, service_keys},
    page,
};

/// A key and the service account that holds it.
#[derive(Debug, Clone)]
pub(crate) struct KeyHolder {
    /// The key, valid or not.
    pub(crate) key: ServiceKey,
    /// Its service account.
    pub(crate) account: ServiceAccount,
}

impl<C: ConnectionTrait> View<C> {
    /// The key that a token's digest belongs to, valid or not.
    pub(crate) async fn key_by_token(&self, digest: &[u8]) -> Result<Option<KeyHolder>> {
        let holder: RelationDef = service_keys::Entity::belongs_to(service_accounts::Entity)
            .from(service_keys::Column::ServiceAccountId)
            .to(service_accounts::Column::Id)
            .into();
        let found = service_keys::Entity::find()
            .filter(service_keys::Column::TokenDigest.eq(digest))
            .join(JoinType::InnerJoin, holder)
            .select_also(service_accounts::Entity)
            .one(&self.0)
            .await?;
        Ok(found.and_then(|(key, account)| Some(KeyHolder { key, account: account? })))
    }

    /// One service account.
    pub(crate) async fn service_account(&self, id: Uuid) -> Result<Option<ServiceAccount>> {
        Ok(service_accounts::Entity::find_by_id(id).one(&self.0).await?)
    }

    /// The service account that has called with a key, and the key; `None` without a key where the call was of a version that did not keep it.
    pub(crate) async fn service_by_key(
        &self,
        account: Uuid,
        key: Option<Uuid>,
    ) -> Result<Option<(ServiceAccount, Option<ServiceKey>)>> {
        let Some(found) = self.service_account(account).await? else {
            return Ok(None);
        };
        let key = match key {
            Some(key) => self.service_key(account, key).await?,
            None => None,
        };
        Ok(Some((found, key)))
    }

    /// Service accounts, oldest first.
    pub(crate) async fn service_accounts_page(
        &self,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<ServiceAccount>> {
        let query =
            page::by_id(service_accounts::Entity::find(), service_accounts::Column::Id, Order::Asc, after, limit);
        self.page(query).await
    }

    /// How many service accounts there are.
    pub(crate) async fn service_accounts_count(&self) -> Result<u64> {
        Ok(service_accounts::Entity::find().count(&self.0).await?)
    }

    /// One key of a service account.
    pub(crate) async fn service_key(&self, account: Uuid, id: Uuid) -> Result<Option<ServiceKey>> {
        Ok(service_keys::Entity::find_by_id(id)
            .filter(service_keys::Column::ServiceAccountId.eq(account))
            .one(&self.0)
            .await?)
    }

    /// The keys of a service account that have not been revoked, expired or not.
    pub(crate) async fn standing_keys(&self, account: Uuid) -> Result<Vec<ServiceKey>> {
        Ok(service_keys::Entity::find()
            .filter(service_keys::Column::ServiceAccountId.eq(account))
            .filter(service_keys::Column::RevokeTime.is_null())
            .all(&self.0)
            .await?)
    }

    /// The keys of a service account, oldest first.
    pub(crate) async fn service_keys_page(
        &self,
        account: Uuid,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<ServiceKey>> {
        let query = page::by_id(
            service_keys::Entity::find().filter(service_keys::Column::ServiceAccountId.eq(account)),
            service_keys::Column::Id,
            Order::Asc,
            after,
            limit,
        );
        self.page(query).await
    }

    /// How many keys a service account has, dead ones included.
    pub(crate) async fn service_keys_count(&self, account: Uuid) -> Result<u64> {
        Ok(service_keys::Entity::find()
            .filter(service_keys::Column::ServiceAccountId.eq(account))
            .count(&self.0)
            .await?)
    }
}

impl Tx {
    /// Locks a service account and reads it, so that a key made while it is being disabled is either refused or dies with it.
    pub(crate) async fn lock_service_account(&mut self, id: Uuid) -> Result<Option<ServiceAccount>> {
        Ok(service_accounts::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(&self.view.0).await?)
    }

    /// Holds a service account as it is until the transaction ends, together with others who do.
    ///
    /// The race it prevents: an invitation is accepted by the right of a key that is being revoked, and the acceptance is there after the revocation was answered. Whoever revokes,
    /// disables or takes scopes away locks the account's row, and comes first or last.
    pub(crate) async fn hold_service_account(&mut self, id: Uuid) -> Result<()> {
        service_accounts::Entity::find_by_id(id).lock(LockType::Share).one(&self.view.0).await?;
        Ok(())
    }

    /// Adds a service account.
    pub(crate) async fn insert_service_account(&mut self, account: ServiceAccount) -> Result<()> {
        service_accounts::Entity::insert(account.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Stores a service account's new state.
    pub(crate) async fn update_service_account(&mut self, account: ServiceAccount) -> Result<()> {
        account.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }

    /// Adds a key.
    pub(crate) async fn insert_service_key(&mut self, key: ServiceKey) -> Result<()> {
        service_keys::Entity::insert(key.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Stores a key's new state.
    pub(crate) async fn update_service_key(&mut self, key: ServiceKey) -> Result<()> {
        key.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }
}
