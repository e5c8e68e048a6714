//! Wakes the outbox worker: in this process at once, in others through PostgreSQL's notifications.
//!
//! A notification is a hint that saves waiting; polling is what guarantees delivery.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

/// The notification channel's name on PostgreSQL.
const CHANNEL: &str = "roster_outbox";

/// How long raised signals are gathered before other processes are told, and how long a broken listener rests.
const GATHER: Duration = Duration::from_millis(100);
const REST: Duration = Duration::from_secs(5);

/// Tells that a message may have been queued.
#[derive(Clone)]
pub(crate) struct OutboxSignal {
    here: Arc<Notify>,
    elsewhere: Arc<Notify>,
}

impl OutboxSignal {
    pub(crate) fn new() -> Self {
        Self { here: Arc::new(Notify::new()), elsewhere: Arc::new(Notify::new()) }
    }

    /// Waits for the next signal; one that came since the last wait counts.
    pub(crate) async fn notified(&self) {
        self.here.notified().await;
    }

    pub(crate) fn raise(&self) {
        self.here.notify_one();
        self.elsewhere.notify_one();
    }

    /// Tells other processes, apart from any transaction: NOTIFY inside one would serialize all commits that carry it.
    pub(crate) async fn tell_others(self, pool: sqlx::PgPool) {
        loop {
            self.elsewhere.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(error) = sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&pool).await {
                tracing::debug!(%error, "could not tell other workers of a message");
            }
        }
    }

    /// Hears other processes.
    pub(crate) async fn hear_others(self, pool: sqlx::PgPool) {
        loop {
            if let Err(error) = self.listen(&pool).await {
                tracing::debug!(%error, "could not hear other processes; polling goes on");
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn listen(&self, pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
        let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            listener.recv().await?;
            self.here.notify_one();
        }
    }
}
