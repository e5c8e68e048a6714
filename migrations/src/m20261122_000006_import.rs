//! Who came with which import, so that an import can be taken up again.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, timestamp_with_time_zone, uuid},
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
        // One row for each account that an import has created. `address_digest` is the SHA-256 of the address's key as it came: the person may have
        // another address by now, and a repetition is recognized all the same. `place` is the person's index in the import, which tells a repetition from a second
        // person with the address. The primary key is what is looked up.
        let table = Table::create()
            .table("imported_users")
            .col(uuid("import_id"))
            .col(binary("address_digest"))
            .col(big_integer("place"))
            .col(uuid("user_id"))
            .col(timestamp_with_time_zone("create_time"))
            .primary_key(Index::create().col("import_id").col("address_digest"))
            .foreign_key(ForeignKey::create().from_col("user_id").to("users", "id"))
            .take();
        manager.create_table(table).await
    }
}
