//! Organizations, users, members, invitations, sessions, service accounts, events, replays and the outbox.
//!
//! Ids are UUIDs of version 7, times are UTC with microseconds, states are words, and lists of roles or scopes are JSON. Text that is looked up or
//! sorted has a key made in Rust beside it (`email_key`, `sort_key`), because the two databases compare text differently.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary, binary_null, boolean, integer, text, text_null, timestamp_with_time_zone,
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
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).take()
}

fn references(from: &'static str, to: &'static str, key: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(from).to(to, key).take()
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("organizations")
            .col(uuid("id").primary_key())
            .col(text("display_name"))
            .col(text("access_model"))
            .col(text_null("kind"))
            .col(text("state"))
            .col(big_integer("revision"))
            .col(big_integer("changed_revision"))
            .col(binary("chain_hash"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("update_time"))
            .take(),
        table("users")
            .col(uuid("id").primary_key())
            .col(text("email"))
            .col(text("email_key").unique_key())
            .col(timestamp_with_time_zone_null("email_verify_time"))
            .col(text("given_name"))
            .col(text("family_name"))
            .col(text_null("locale"))
            .col(text_null("password_hash"))
            .col(timestamp_with_time_zone_null("last_sign_in_time"))
            .col(timestamp_with_time_zone_null("last_active_time"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("update_time"))
            .take(),
        table("invitations")
            .col(uuid("id").primary_key())
            .col(uuid("organization_id"))
            .col(text("email"))
            .col(text("email_key"))
            .col(text("roles"))
            .col(text("state"))
            .col(binary("token_digest").unique_key())
            .col(uuid_null("inviter_user_id"))
            .col(uuid_null("inviter_service_account_id"))
            .col(text_null("personal_message"))
            .col(text_null("locale"))
            .col(integer("send_count"))
            .col(uuid("message_id"))
            .col(binary("sort_key"))
            .col(big_integer("changed_revision"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("sent_time"))
            .col(timestamp_with_time_zone("expire_time"))
            .col(timestamp_with_time_zone_null("accept_time"))
            .col(uuid_null("accepted_user_id"))
            .col(boolean("signup_completed"))
            .foreign_key(&mut references("organization_id", "organizations", "id"))
            .take(),
        table("members")
            .col(uuid("organization_id"))
            .col(uuid("user_id"))
            .col(text("state"))
            .col(text("roles"))
            .col(binary("sort_key"))
            .col(uuid_null("invitation_id"))
            .col(timestamp_with_time_zone_null("invitation_sent_time"))
            .col(timestamp_with_time_zone_null("invitation_accepted_time"))
            .col(big_integer("changed_revision"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("update_time"))
            .primary_key(Index::create().col("organization_id").col("user_id"))
            .foreign_key(&mut references("organization_id", "organizations", "id"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
        table("role_holders")
            .col(uuid("organization_id"))
            .col(text("role"))
            .col(uuid("user_id"))
            .primary_key(Index::create().col("organization_id").col("role").col("user_id"))
            .foreign_key(
                ForeignKey::create()
                    .from_col("organization_id")
                    .from_col("user_id")
                    .to_tbl("members")
                    .to_col("organization_id")
                    .to_col("user_id"),
            )
            .take(),
        table("sessions")
            .col(uuid("id").primary_key())
            .col(uuid("user_id"))
            .col(binary("token_digest").unique_key())
            .col(text_null("ip_address"))
            .col(text_null("user_agent"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("last_used_time"))
            .col(timestamp_with_time_zone("expire_time"))
            .col(timestamp_with_time_zone_null("revoke_time"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
        table("service_accounts")
            .col(uuid("id").primary_key())
            .col(text("display_name"))
            .col(text("scopes"))
            .col(boolean("disabled"))
            .col(timestamp_with_time_zone("create_time"))
            .take(),
        table("service_keys")
            .col(uuid("id").primary_key())
            .col(uuid("service_account_id"))
            .col(binary("token_digest").unique_key())
            .col(text("hint"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone_null("expire_time"))
            .col(timestamp_with_time_zone_null("revoke_time"))
            .foreign_key(&mut references("service_account_id", "service_accounts", "id"))
            .take(),
        table("events")
            .col(uuid("organization_id"))
            .col(big_integer("revision"))
            .col(text("kind"))
            .col(uuid_null("actor_user_id"))
            .col(uuid_null("actor_service_account_id"))
            .col(uuid_null("subject_id"))
            .col(text("data"))
            .col(binary("hash"))
            .col(timestamp_with_time_zone("create_time"))
            .primary_key(Index::create().col("organization_id").col("revision"))
            .foreign_key(&mut references("organization_id", "organizations", "id"))
            .take(),
        table("replays")
            .col(text("caller"))
            .col(text("method"))
            .col(uuid("request_id"))
            .col(binary("sealed"))
            .col(timestamp_with_time_zone("expire_time"))
            .primary_key(Index::create().col("caller").col("method").col("request_id"))
            .take(),
        table("outbox_messages")
            .col(uuid("id").primary_key())
            .col(text("kind"))
            .col(uuid_null("organization_id"))
            .col(text("recipient"))
            .col(text("state"))
            .col(binary_null("sealed"))
            .col(integer("attempts"))
            .col(timestamp_with_time_zone("available_time"))
            .col(big_integer("fence"))
            .col(text_null("last_error"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("queue_time"))
            .col(timestamp_with_time_zone_null("settle_time"))
            .take(),
    ]
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_by_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // The roster, page by page; and a person's organizations.
        index("members", &["organization_id", "sort_key", "user_id"]),
        index("members", &["user_id", "organization_id"]),
        index("role_holders", &["organization_id", "user_id"]),
        // The pending rows of the roster; the list of all, newest first; and the pending ones of an address.
        index("invitations", &["organization_id", "sort_key", "id"]).and_where(Expr::col("state").eq("pending")).take(),
        index("invitations", &["organization_id", "id"]),
        index("invitations", &["organization_id", "email_key"]),
        index("sessions", &["user_id", "id"]),
        index("service_keys", &["service_account_id", "id"]),
        index("replays", &["expire_time"]),
        // What the worker claims next.
        index("outbox_messages", &["available_time"]).and_where(Expr::col("state").eq("queued")).take(),
        index("outbox_messages", &["organization_id", "id"]),
    ]
}
