//! Join links.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary, integer, integer_null, text, text_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid, uuid_null,
    },
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
        let organization = ForeignKey::create().from_col("organization_id").to("organizations", "id").take();
        let links = Table::create()
            .table("join_links")
            .col(uuid("id").primary_key())
            .col(uuid("organization_id"))
            .col(text_null("display_name"))
            .col(text("roles"))
            .col(text("email_domains"))
            .col(binary("token_digest"))
            // Null: any number.
            .col(integer_null("max_uses"))
            .col(integer("use_count"))
            .col(uuid_null("creator_user_id"))
            .col(uuid_null("creator_service_account_id"))
            .col(uuid_null("creator_service_key_id"))
            .col(text_null("creator_scopes"))
            .col(big_integer("changed_revision"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("expire_time"))
            .col(timestamp_with_time_zone_null("revoke_time"))
            .foreign_key(&mut organization.clone())
            .take();
        manager.create_table(links).await?;
        // What a token is looked up by.
        let by_token =
            Index::create().name("join_links_by_token_digest").table("join_links").col("token_digest").unique().take();
        manager.create_index(by_token).await?;
        // An organization's links, newest first.
        let of_organization = Index::create()
            .name("join_links_by_organization_id_id")
            .table("join_links")
            .col("organization_id")
            .col("id")
            .take();
        manager.create_index(of_organization).await
    }
}
