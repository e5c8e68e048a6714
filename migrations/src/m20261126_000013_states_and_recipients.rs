//! The state that undeleting brings back, and to whom mail has gone, in a form that can be counted.

use sea_orm_migration::{prelude::*, schema::text_null};

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
        for (table, column) in [
            ("organizations", "state_before_deletion"),
            ("users", "state_before_deletion"),
            ("outbox_messages", "recipient_key"),
        ] {
            let alter = Table::alter().table(table).add_column(text_null(column)).take();
            manager.alter_table(alter).await?;
        }
        // Of what is deleted already, the record of the deletion says it.
        for (table, events, owner) in
            [("organizations", "events", "organization_id"), ("users", "user_events", "user_id")]
        {
            let kind = format!("{}.deleted", table.trim_end_matches('s'));
            let last =
                format!("SELECT MAX(l.revision) FROM {events} l WHERE l.{owner} = {table}.id AND l.kind = '{kind}'");
            let suspended = format!(
                "SELECT 1 FROM {events} e WHERE e.{owner} = {table}.id AND e.revision = ({last}) AND e.data LIKE '%\"before\":\"suspended\"%'"
            );
            let known = format!(
                "UPDATE {table} SET state_before_deletion = CASE WHEN EXISTS ({suspended}) THEN 'suspended' ELSE 'active' END WHERE state = 'deleted'"
            );
            manager.get_connection().execute_unprepared(&known).await?;
        }
        // How much has been sent lately, of an organization and to an address, is asked before each invitation.
        for column in ["organization_id", "recipient_key"] {
            let index = Index::create()
                .name(format!("outbox_messages_by_{column}_create_time"))
                .table("outbox_messages")
                .col(column)
                .col("create_time")
                .take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
