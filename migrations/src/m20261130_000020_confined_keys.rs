//! The organizations that the keys of a service account are confined to.

use sea_orm_migration::{prelude::*, schema::text_null};

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
        // Null: they reach all.
        let organizations = Table::alter().table("service_accounts").add_column(text_null("organizations")).take();
        manager.alter_table(organizations).await
    }
}
