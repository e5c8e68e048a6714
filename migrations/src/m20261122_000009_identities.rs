//! Who people are at OpenID Connect providers.

use sea_orm_migration::{
    prelude::*,
    schema::{text, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid},
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
        let user = ForeignKey::create().from_col("user_id").to("users", "id").take();
        let identities = Table::create()
            .table("identities")
            .col(uuid("id").primary_key())
            .col(uuid("user_id"))
            .col(text("issuer"))
            .col(text("subject"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone_null("last_used_time"))
            .foreign_key(&mut user.clone())
            .take();
        manager.create_table(identities).await?;
        // An identity is one person's. It is also what finds the account.
        let one = Index::create()
            .name("identities_by_issuer_subject")
            .table("identities")
            .col("issuer")
            .col("subject")
            .unique()
            .take();
        manager.create_index(one).await?;
        // What a person has.
        let own = Index::create().name("identities_by_user_id").table("identities").col("user_id").take();
        manager.create_index(own).await
    }
}
