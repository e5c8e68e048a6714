//! Access models that operators have put in place while the service runs: every version of each.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, string, text, timestamp_with_time_zone},
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
        // By the revision of the installation's stream that tells of the version.
        let models = Table::create()
            .table("access_models")
            .col(big_integer("revision").primary_key())
            .col(string("id"))
            .col(text("document"))
            .col(timestamp_with_time_zone("put_time"))
            .take();
        manager.create_table(models).await?;
        let by_id = Index::create()
            .name("access_models_by_id")
            .table("access_models")
            .col("id")
            .col("revision")
            .unique()
            .take();
        manager.create_index(by_id).await
    }
}
