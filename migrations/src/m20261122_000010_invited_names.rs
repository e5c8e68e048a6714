//! The names of invited people, as whoever invited wrote them.

use sea_orm_migration::{prelude::*, schema::text};

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
        // One column at a time: SQLite adds no more.
        for name in ["given_name", "family_name"] {
            let alter = Table::alter().table("invitations").add_column(text(name).default("")).take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
