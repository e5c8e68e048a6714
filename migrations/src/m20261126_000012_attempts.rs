//! Wrong answers, counted by what they have in common; and how many wrong codes a second factor was shown in a row.

use sea_orm_migration::{
    prelude::*,
    schema::{binary, integer, timestamp_with_time_zone},
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
        let attempts = Table::create()
            .table("attempts")
            // A keyed digest of what is counted: an account, a part of the network, a caller. It tells nobody which.
            .col(binary("digest").primary_key())
            .col(integer("failures"))
            .col(timestamp_with_time_zone("last_time"))
            // From then on the row says nothing.
            .col(timestamp_with_time_zone("forget_time"))
            .take();
        manager.create_table(attempts).await?;
        // What is forgotten is looked for by this.
        let old = Index::create().name("attempts_by_forget_time").table("attempts").col("forget_time").take();
        manager.create_index(old).await?;
        let alter = Table::alter().table("mfa_factors").add_column(integer("failures_in_row").default(0)).take();
        manager.alter_table(alter).await
    }
}
