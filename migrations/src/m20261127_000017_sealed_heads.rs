//! Seals of the ends of streams: digests under a key that is not in the database.

use sea_orm_migration::{prelude::*, schema::binary_null};

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
        // The version before moves an end and leaves the seal: it is that of an earlier end then, which it says itself.
        for table in ["organizations", "stream_heads"] {
            let alter = Table::alter().table(table).add_column(binary_null("chain_seal")).take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
