//! The life of users, members and organizations: suspension and deletion of accounts, usernames, reactivated members, transfers of ownership, and the
//! history of what happened to a user.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text, text_null, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null},
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
        add(manager, "users", text("state").default("active").take()).await?;
        add(manager, "users", text_null("display_name")).await?;
        add(manager, "users", text_null("username")).await?;
        add(manager, "users", big_integer("revision").default(0).take()).await?;
        add(manager, "users", timestamp_with_time_zone_null("delete_time")).await?;
        add(manager, "members", timestamp_with_time_zone_null("admit_time")).await?;
        add(manager, "organizations", timestamp_with_time_zone_null("delete_time")).await?;
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

async fn add(manager: &SchemaManager<'_>, table: &'static str, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).take()).await
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("ownership_transfers")
            .col(uuid("id").primary_key())
            .col(uuid("organization_id"))
            .col(uuid("owner_user_id"))
            .col(uuid("nominee_user_id"))
            .col(text("state"))
            .col(uuid_null("actor_user_id"))
            .col(uuid_null("actor_service_account_id"))
            .col(big_integer("changed_revision"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("expire_time"))
            .col(timestamp_with_time_zone_null("settle_time"))
            .foreign_key(ForeignKey::create().from_col("organization_id").to("organizations", "id"))
            .take(),
        Table::create()
            .table("user_events")
            .col(uuid("user_id"))
            .col(big_integer("revision"))
            .col(text("kind"))
            .col(uuid_null("actor_user_id"))
            .col(uuid_null("actor_service_account_id"))
            .col(text("data"))
            .col(timestamp_with_time_zone("create_time"))
            .primary_key(Index::create().col("user_id").col("revision"))
            .foreign_key(ForeignKey::create().from_col("user_id").to("users", "id"))
            .take(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // Whom a username belongs to; accounts without one are in nobody's way.
        Index::create().name("users_by_username").table("users").col("username").unique().take(),
        // A person's invitations, wherever to.
        Index::create().name("invitations_by_email_key_id").table("invitations").col("email_key").col("id").take(),
        // An organization's transfers, newest first, and the one that waits.
        Index::create()
            .name("ownership_transfers_by_organization_id_id")
            .table("ownership_transfers")
            .col("organization_id")
            .col("id")
            .take(),
    ]
}
