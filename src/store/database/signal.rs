//! Wakes those who wait for new rows: in this process at once, in others through PostgreSQL's notifications.
//!
//! A notification is a hint that saves waiting; polling is what guarantees that everything is found.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

/// How long raised signals are gathered before other processes are told, and how long a broken listener rests.
const GATHER: Duration = Duration::from_millis(100);
const REST: Duration = Duration::from_secs(5);

/// What a store tells of.
#[derive(Clone)]
pub(crate) struct Signals {
    /// A message may have been queued.
    pub(crate) outbox: Signal,
    /// An event may have been written.
    pub(crate) log: Signal,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self { outbox: Signal::new("roster_outbox"), log: Signal::new("roster_log") }
    }

    /// Tells other processes and hears them, for as long as the program runs.
    pub(crate) fn connect(&self, pool: &sqlx::PgPool) {
        tokio::spawn(self.outbox.clone().tell_others(pool.clone()));
        tokio::spawn(self.log.clone().tell_others(pool.clone()));
        tokio::spawn(self.clone().hear_others(pool.clone()));
    }

    async fn hear_others(self, pool: sqlx::PgPool) {
        loop {
            if let Err(error) = self.listen(&pool).await {
                tracing::debug!(%error, "could not hear other processes; polling goes on");
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn listen(&self, pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
        let signals = [&self.outbox, &self.log];
        let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
        listener.listen_all(signals.map(|signal| signal.channel)).await?;
        loop {
            let told = listener.recv().await?;
            for signal in signals.iter().filter(|signal| signal.channel == told.channel()) {
                signal.here.send_replace(());
            }
        }
    }
}

/// Tells that there may be something new.
#[derive(Clone)]
pub(crate) struct Signal {
    /// The notification channel's name on PostgreSQL.
    channel: &'static str,
    here: Arc<watch::Sender<()>>,
    elsewhere: Arc<Notify>,
}

impl Signal {
    fn new(channel: &'static str) -> Self {
        Self { channel, here: Arc::new(watch::Sender::new(())), elsewhere: Arc::new(Notify::new()) }
    }

    /// Hears the signal from now on.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter(self.here.subscribe())
    }

    pub(crate) fn raise(&self) {
        self.here.send_replace(());
        self.elsewhere.notify_one();
    }

    /// Tells other processes, apart from any transaction: NOTIFY inside one would serialize all commits that carry it.
    async fn tell_others(self, pool: sqlx::PgPool) {
        loop {
            self.elsewhere.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(error) = sqlx::query("SELECT pg_notify($1, '')").bind(self.channel).execute(&pool).await {
                tracing::debug!(%error, channel = self.channel, "could not tell other processes");
            }
        }
    }
}

/// Hears a signal.
pub(crate) struct Waiter(watch::Receiver<()>);

impl Waiter {
    /// Waits for the next signal; one that came since the last wait counts.
    pub(crate) async fn notified(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and nothing will be new any more.
            std::future::pending::<()>().await;
        }
    }
}
