//! What the ways into an account and what services have begun rest on: who has chosen a password by a link, the order of sign-ins and removals, and the keys that invited.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, text_null, timestamp_with_time_zone_null, uuid_null},
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
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        for statement in [PROVEN_BY_SIGN_UP, PROVEN_BY_RESET] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// One column at a time: SQLite adds no more. None has an index: each is read with a row that was found otherwise.
fn columns() -> Vec<(&'static str, ColumnDef)> {
    vec![
        ("users", timestamp_with_time_zone_null("proof_time")),
        // Counts the sign-ins. A session keeps its number, a membership that of the last one before it was interrupted: what came first is then no matter of clocks.
        ("users", big_integer("sign_in_count").default(0).take()),
        ("sessions", big_integer_null("sign_in_number")),
        ("members", big_integer_null("interrupted_after_sign_in")),
        // The key and the scopes that a service called with; null where none did, and in rows from before.
        ("invitations", uuid_null("inviter_service_key_id")),
        ("invitations", text_null("inviter_scopes")),
        ("ownership_transfers", uuid_null("actor_service_key_id")),
        ("ownership_transfers", text_null("actor_scopes")),
    ]
}

/// Whoever signed up by an invitation's link, and still has that address, has chosen the password by it: nothing can have been there before.
const PROVEN_BY_SIGN_UP: &str = "UPDATE users SET proof_time = (SELECT MIN(i.accept_time) FROM invitations i \
    WHERE i.accepted_user_id = users.id AND i.signup_completed AND i.email_key = users.email_key)";

/// Whoever reset the password by a link, kept the address since, and has neither an identity nor a second factor from before it: what the first proof takes away is not there. Of all
/// others it is not known, and their next reset is the first.
const PROVEN_BY_RESET: &str = "UPDATE users SET proof_time = (SELECT MAX(r.create_time) FROM user_events r \
    WHERE r.user_id = users.id AND r.kind = 'user.password_reset' \
    AND NOT EXISTS (SELECT 1 FROM user_events m WHERE m.user_id = users.id AND m.kind = 'user.email_changed' AND m.revision > r.revision) \
    AND NOT EXISTS (SELECT 1 FROM identities o WHERE o.user_id = users.id AND o.create_time < r.create_time) \
    AND NOT EXISTS (SELECT 1 FROM mfa_factors f WHERE f.user_id = users.id AND f.create_time < r.create_time)) \
    WHERE proof_time IS NULL";
