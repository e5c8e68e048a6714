//! What a person proves themselves by beside the password: secrets that are used once, second factors, recovery codes, and a second step of a session.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer_null, binary, binary_null, boolean, integer, text, timestamp_with_time_zone,
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
        for column in columns() {
            manager.alter_table(column).await?;
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
        // One mechanism for everything that is used once. `digest` is of what its holder shows; `sealed` is what only the server reads again: a short
        // code, a new address, the secret of a factor that is not confirmed yet. `user_id` is null for an address that is nobody's: the same row is
        // written, so that the work does not tell (ab_15).
        table("challenges")
            .col(uuid("id").primary_key())
            .col(uuid_null("user_id"))
            .col(uuid_null("session_id"))
            .col(text("purpose"))
            .col(binary_null("digest").unique_key())
            .col(binary_null("sealed"))
            .col(integer("attempts"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone("expire_time"))
            .col(timestamp_with_time_zone_null("consume_time"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
        // `last_step` is the time step of the last code that was taken: no code of it or before is taken again (RFC 6238, section 5.2). `failures` counts
        // the codes that were tried since `failures_since` and not taken.
        table("mfa_factors")
            .col(uuid("id").primary_key())
            .col(uuid("user_id").unique_key())
            .col(text("kind"))
            .col(binary("sealed_secret"))
            .col(big_integer_null("last_step"))
            .col(integer("failures"))
            .col(timestamp_with_time_zone("failures_since"))
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone_null("last_used_time"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
        table("recovery_codes")
            .col(uuid("id").primary_key())
            .col(uuid("user_id"))
            .col(binary("digest").unique_key())
            .col(timestamp_with_time_zone("create_time"))
            .col(timestamp_with_time_zone_null("use_time"))
            .foreign_key(&mut references("user_id", "users", "id"))
            .take(),
    ]
}

fn columns() -> Vec<TableAlterStatement> {
    let add = |table: &'static str, mut column: ColumnDef| Table::alter().table(table).add_column(&mut column).take();
    vec![
        // Until when the session counts as confirmed by a second step.
        add("sessions", timestamp_with_time_zone_null("step_up_expire_time")),
        // Whether the user has a second factor: `mfa_factors` once more, so that neither the roster nor a check needs a join.
        add("users", boolean("mfa_enabled").default(false).take()),
        // Whether the organization asks for a second factor where its access model does not.
        add("organizations", boolean("mfa_required").default(false).take()),
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
        // How many a person has been given lately, and which are still open; and what has had its time.
        index("challenges", &["user_id", "purpose", "create_time"]),
        index("challenges", &["expire_time"]),
        index("recovery_codes", &["user_id"]),
    ]
}
