//! People who are brought in from another system, a batch at a time: many rows in few statements.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    Event, ImportedUser, Result, Tx, User, View,
    entities::{imported_users, users},
};

impl<C: ConnectionTrait> View<C> {
    /// Those of these keys of addresses that accounts have.
    pub(crate) async fn emails_taken(&self, keys: Vec<String>) -> Result<HashSet<String>> {
        let found: Vec<String> = users::Entity::find()
            .select_only()
            .column(users::Column::EmailKey)
            .filter(users::Column::EmailKey.is_in(keys))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().collect())
    }

    /// Those of these usernames that accounts have.
    pub(crate) async fn usernames_taken(&self, usernames: Vec<String>) -> Result<HashSet<String>> {
        let found: Vec<Option<String>> = users::Entity::find()
            .select_only()
            .column(users::Column::Username)
            .filter(users::Column::Username.is_in(usernames))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whom of these, by the digests of their addresses, an import has brought before.
    pub(crate) async fn imported_before(&self, import: Uuid, digests: Vec<Vec<u8>>) -> Result<Vec<ImportedUser>> {
        Ok(imported_users::Entity::find()
            .filter(imported_users::Column::ImportId.eq(import))
            .filter(imported_users::Column::AddressDigest.is_in(digests))
            .all(&self.0)
            .await?)
    }
}

impl Tx {
    /// Adds the accounts of a batch, with what happened to each and with which import it came. At most as many as a batch has, which both databases take in
    /// one statement.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where an address or a username is taken meanwhile.
    pub(crate) async fn insert_imported(&mut self, accounts: Vec<(User, Event, ImportedUser)>) -> Result<()> {
        if accounts.is_empty() {
            return Ok(());
        }
        let (mut rows, mut events, mut imported) = (Vec::new(), Vec::new(), Vec::new());
        for (user, event, origin) in accounts {
            events.push((user.id, event));
            rows.push(user.into_active_model());
            imported.push(origin.into_active_model());
        }
        users::Entity::insert_many(rows).exec_without_returning(&self.view.0).await?;
        self.begin_streams(events).await?;
        imported_users::Entity::insert_many(imported).exec_without_returning(&self.view.0).await?;
        Ok(())
    }
}
