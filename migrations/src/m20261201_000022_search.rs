//! What members, invitations, users and organizations are found by, and how far that has been brought up to the log.

use sea_orm_migration::{
    prelude::*,
    schema::{binary, integer, string, text, uuid},
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
        // A term of a row in a list; `facet` is what of the list is searched, such as the members in a state.
        let key = ["list_id", "facet", "term", "row_id"];
        let mut primary = Index::create();
        for column in key {
            primary.col(column);
        }
        let terms = Table::create()
            .table("search_terms")
            .col(uuid("list_id"))
            .col(string("facet"))
            .col(binary("term"))
            .col(uuid("row_id"))
            .primary_key(&mut primary)
            .take();
        manager.create_table(terms).await?;
        // A row's terms, to replace them.
        let of_row = Index::create()
            .name("search_terms_by_row_id_list_id")
            .table("search_terms")
            .col("row_id")
            .col("list_id")
            .take();
        manager.create_index(of_row).await?;
        // One row, made by the first who notes how far they have got.
        let progress =
            Table::create().table("search_progress").col(integer("id").primary_key()).col(text("cursor")).take();
        manager.create_table(progress).await
    }
}
