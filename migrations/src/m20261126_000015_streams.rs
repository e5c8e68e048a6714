//! Events in streams: of organizations, as before, and of the installation; with the place at which a reader meets them.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, uuid},
    sea_orm::{ConnectionTrait, DbBackend},
};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What an event is an event of stands in `organization_id`, whose name the version before goes on writing; so it refers to organizations no more. `tx` is the transaction that wrote it:
/// what a reader has seen is a snapshot, and no event slips past it that commits late. Rows from before get the transaction of this migration, in one stroke and without being written anew.
const POSTGRES: [&str; 4] = [
    "ALTER TABLE events DROP CONSTRAINT events_organization_id_fkey",
    "ALTER TABLE events ADD COLUMN stream text NOT NULL DEFAULT 'organization'",
    "ALTER TABLE events ADD COLUMN tx xid8 NOT NULL DEFAULT pg_current_xact_id()",
    "CREATE INDEX events_by_tx ON events (tx)",
];

/// SQLite neither drops a constraint nor adds a key: the table is made again. `position` is never given twice, and not moved by VACUUM as a row id without a name is. One writer commits
/// after the other, so that it grows in the order of commits.
const SQLITE: [&str; 6] = [
    "CREATE TABLE events_in_streams (
        position integer PRIMARY KEY AUTOINCREMENT,
        stream text NOT NULL DEFAULT 'organization',
        organization_id uuid_text NOT NULL,
        revision integer NOT NULL,
        kind text NOT NULL,
        actor_user_id uuid_text NULL,
        actor_service_account_id uuid_text NULL,
        subject_id uuid_text NULL,
        data text NOT NULL,
        hash blob NOT NULL,
        create_time timestamp_with_timezone_text NOT NULL,
        UNIQUE (organization_id, revision)
    )",
    "INSERT INTO events_in_streams (organization_id, revision, kind, actor_user_id, actor_service_account_id, subject_id, data, hash, create_time)
        SELECT organization_id, revision, kind, actor_user_id, actor_service_account_id, subject_id, data, hash, create_time FROM events ORDER BY rowid",
    "DROP TABLE events",
    "ALTER TABLE events_in_streams RENAME TO events",
    "CREATE INDEX events_by_organization_id_actor_user_id_revision ON events (organization_id, actor_user_id, revision) WHERE actor_user_id IS NOT NULL",
    "CREATE INDEX events_by_organization_id_subject_id_revision ON events (organization_id, subject_id, revision) WHERE subject_id IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // On SQLite a failed migration would otherwise stay half applied.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let (statements, nil): (&[&str], _) = match connection.get_database_backend() {
            DbBackend::Postgres => {
                (&POSTGRES, "'00000000-0000-0000-0000-000000000000', 0, decode(repeat('00', 32), 'hex')")
            }
            _ => (&SQLITE, "zeroblob(16), 0, zeroblob(32)"),
        };
        for statement in statements {
            connection.execute_unprepared(statement).await?;
        }
        // How far a stream is that has no row of its own: the installation's, under the nil id. Whoever writes to it locks this row.
        let heads = Table::create()
            .table("stream_heads")
            .col(uuid("stream_id").primary_key())
            .col(big_integer("revision"))
            .col(binary("chain_hash"))
            .take();
        manager.create_table(heads).await?;
        let first = format!("INSERT INTO stream_heads (stream_id, revision, chain_hash) VALUES ({nil})");
        connection.execute_unprepared(&first).await?;
        Ok(())
    }
}
