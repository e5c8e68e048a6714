//! Accounts that are to be deleted, and accounts that have been erased.

use sea_orm_migration::{prelude::*, schema::timestamp_with_time_zone_null};

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
        for column in ["scheduled_delete_time", "erase_time"] {
            let alter = Table::alter().table("users").add_column(timestamp_with_time_zone_null(column)).take();
            manager.alter_table(alter).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn indexes() -> [IndexCreateStatement; 3] {
    let index = |name: &'static str, table: &'static str, column: &'static str| {
        Index::create().name(name).table(table).col(column).take()
    };
    [
        // Accounts whose deletion is due.
        index("users_by_scheduled_delete_time", "users", "scheduled_delete_time")
            .and_where(Expr::col("scheduled_delete_time").is_not_null())
            .take(),
        // Deleted accounts that still hold what nobody needs any more.
        index("users_to_purge_by_delete_time", "users", "delete_time")
            .and_where(Expr::col("delete_time").is_not_null())
            .and_where(
                Expr::col("password_hash")
                    .is_not_null()
                    .or(Expr::col("phone_number").is_not_null())
                    .or(Expr::col("mfa_enabled").eq(true)),
            )
            .take(),
        // The invitations that a person has accepted.
        index("invitations_by_accepted_user_id", "invitations", "accepted_user_id")
            .and_where(Expr::col("accepted_user_id").is_not_null())
            .take(),
    ]
}
