//! What is kept for people to look up: sign-ins, reported activity and counters, contacts, an organization's own roles; and ways into the events.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, text, text_null, timestamp_with_time_zone, uuid, uuid_null},
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
        // The roles that an organization has made for itself, as one JSON document: they are read with the row by whoever decides anything.
        let custom_roles = Table::alter().table("organizations").add_column(text_null("custom_roles")).take();
        manager.alter_table(custom_roles).await?;
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

/// The member that a row is about.
fn of_member() -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from_col("organization_id")
        .from_col("user_id")
        .to_tbl("members")
        .to_col("organization_id")
        .to_col("user_id")
        .take()
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        // `user_id` is null where the address belongs to nobody: the same row is written, so that the work does not tell (ab_15).
        table("sign_ins")
            .col(uuid("id").primary_key())
            .col(uuid_null("user_id"))
            .col(text("outcome"))
            .col(text_null("ip_address"))
            .col(text_null("user_agent"))
            .col(timestamp_with_time_zone("create_time"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
        // Which reports have been taken, so that each counts once. Forgotten after a while.
        table("activity_reports")
            .col(uuid("service_account_id"))
            .col(uuid("report_id"))
            .col(timestamp_with_time_zone("create_time"))
            .primary_key(Index::create().col("service_account_id").col("report_id"))
            .take(),
        // What people did. The id is made of the time at which they did it, so that its order is the order of the list.
        table("activities")
            .col(uuid("id").primary_key())
            .col(uuid("organization_id"))
            .col(uuid("user_id"))
            .col(text("action"))
            .col(text_null("summary"))
            .col(uuid("service_account_id"))
            .col(timestamp_with_time_zone("create_time"))
            .foreign_key(&mut of_member())
            .take(),
        table("member_activity")
            .col(uuid("organization_id"))
            .col(uuid("user_id"))
            .col(timestamp_with_time_zone("last_active_time"))
            .primary_key(Index::create().col("organization_id").col("user_id"))
            .foreign_key(&mut of_member())
            .take(),
        table("member_counters")
            .col(uuid("organization_id"))
            .col(uuid("user_id"))
            .col(text("name"))
            .col(big_integer("value"))
            .primary_key(Index::create().col("organization_id").col("user_id").col("name"))
            .foreign_key(&mut of_member())
            .take(),
        table("contacts")
            .col(uuid("id").primary_key())
            .col(uuid("organization_id"))
            .col(text("email"))
            .col(text("email_key"))
            .col(text("display_name"))
            .col(text("notification_roles"))
            .col(binary("sort_key"))
            .col(big_integer("changed_revision"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("update_time"))
            .foreign_key(&mut references("organization_id", "organizations", "id"))
            .take(),
        // `contacts.notification_roles` the other way round: who is to be told.
        table("contact_roles")
            .col(uuid("organization_id"))
            .col(text("role"))
            .col(uuid("contact_id"))
            .primary_key(Index::create().col("organization_id").col("role").col("contact_id"))
            .foreign_key(&mut references("contact_id", "contacts", "id"))
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
        // A person's history, newest first; and what has had its time.
        index("sign_ins", &["user_id", "id"]),
        index("sign_ins", &["create_time"]),
        index("activity_reports", &["create_time"]),
        // The log of an organization, of one of its members, and of a person wherever they belong.
        index("activities", &["organization_id", "id"]),
        index("activities", &["organization_id", "user_id", "id"]),
        index("activities", &["user_id", "id"]),
        // One contact for an address in an organization; their list by name; and the roles of one that changes.
        index("contacts", &["organization_id", "email_key"]).unique().take(),
        index("contacts", &["organization_id", "sort_key", "id"]),
        index("contact_roles", &["contact_id"]),
        // What somebody did, and what was done to somebody.
        index("events", &["organization_id", "actor_user_id", "revision"])
            .and_where(Expr::col("actor_user_id").is_not_null())
            .take(),
        index("events", &["organization_id", "subject_id", "revision"])
            .and_where(Expr::col("subject_id").is_not_null())
            .take(),
    ]
}
