//! Waiting for what comes by itself, and holding back what would.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use tonic::Status;

use super::world::World;

/// What comes of this, which must not take long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, future).await.unwrap_or_else(|_| panic!("{what}: nothing after {patience:?}"))
}

/// Waits until every message of the outbox is sent or given up: the worker notes a little later than the mail server has a message that it is sent.
pub(crate) async fn all_sent(world: &World) {
    let empty = async {
        while world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'").await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the outbox", empty).await;
}

/// Holds every organization's row (SQLite: the one writer's place), so that whoever wants to change one waits until this is rolled back.
pub(crate) async fn hold_organizations(world: &World) -> DatabaseTransaction {
    let held = world.database().begin().await.unwrap();
    held.execute_unprepared("UPDATE organizations SET revision = revision").await.unwrap();
    held
}

/// Whether a call failed on its way, without an answer of the server.
pub(crate) fn never_answered(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(|source| source.is::<tonic::transport::Error>())
}
