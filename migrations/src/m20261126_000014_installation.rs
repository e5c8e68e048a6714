//! What there is one of: the installation itself, with the epoch that a restored backup begins.

use sea_orm_migration::{
    prelude::*,
    schema::{small_integer, timestamp_with_time_zone, uuid},
};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // On SQLite a failed migration would otherwise stay half applied.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One row, with the id 1, once a backup has been restored; none before.
        let installation = Table::create()
            .table("installation")
            .col(small_integer("id").primary_key())
            .col(uuid("epoch"))
            .col(timestamp_with_time_zone("restore_time"))
            .take();
        manager.create_table(installation).await
    }
}
