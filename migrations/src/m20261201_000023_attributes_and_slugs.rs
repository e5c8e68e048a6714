//! Attributes that products keep with organizations and users, and slugs of organizations.

use sea_orm_migration::{
    prelude::*,
    schema::{string, text_null, timestamp_with_time_zone_null, uuid},
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
        // One column for each statement: SQLite adds no two at once.
        for (table, column) in [("organizations", "attributes"), ("users", "attributes"), ("organizations", "slug")] {
            let alter = Table::alter().table(table).add_column(text_null(column)).take();
            manager.alter_table(alter).await?;
        }
        // Present and former ones: the key decides between two who take the same.
        let slugs = Table::create()
            .table("organization_slugs")
            .col(string("slug").primary_key())
            .col(uuid("organization_id"))
            .col(timestamp_with_time_zone_null("release_time"))
            .take();
        manager.create_table(slugs).await?;
        let of_organization = Index::create()
            .name("organization_slugs_by_organization_id_release_time")
            .table("organization_slugs")
            .col("organization_id")
            .col("release_time")
            .take();
        manager.create_index(of_organization).await
    }
}
