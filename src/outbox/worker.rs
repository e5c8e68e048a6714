//! Takes due messages as slots become free, and knows when to look again.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    context::{Context, Mailer, Settings},
    delivery::deliver,
    metrics::Metrics,
};
use crate::{
    platform::{Clock, Entropy, Keyring},
    store::{ClaimedMessage, Store, StoreError},
};

/// The wait after a look that found a due row and could not have it.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// What a broken-off delivery has to give its lease back.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);
/// How often idle connections are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Drains the outbox. Any number of workers, in any number of processes, share one table.
pub(crate) struct Worker {
    context: Arc<Context>,
}

impl Worker {
    /// A worker that does nothing until it is run.
    #[must_use]
    pub(crate) fn new(
        store: Arc<Store>,
        keyring: Arc<Keyring>,
        clock: Clock,
        entropy: Entropy,
        mailer: Mailer,
        settings: Settings,
    ) -> Self {
        let context = Context { store, keyring, clock, entropy, mailer, settings, metrics: Metrics::new() };
        Self { context: Arc::new(context) }
    }

    /// Delivers until `stop` is cancelled. Then nothing new is claimed, running deliveries get [`Settings::drain`] to finish, and what is left
    /// gives its lease back. Trouble with the database is logged and waited out, so this returns only when it was asked to.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let context = self.context;
        let abort = CancellationToken::new();
        let mut running = JoinSet::new();
        let mut signal = context.store.outbox_signal().waiter();
        let housekeeping = AbortOnDropHandle::new(tokio::spawn(run_maintenance(Arc::clone(&context))));
        let slots = context.settings.slots.max(1);
        let mut in_vain = 0;
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let pause = match slots.saturating_sub(running.len()) {
                0 => None,
                free => match context.claim(free).await {
                    ClaimResult::Claimed(messages) => {
                        in_vain = 0;
                        for message in messages {
                            running.spawn(deliver(Arc::clone(&context), message, abort.clone()));
                        }
                        continue;
                    }
                    ClaimResult::InVain => {
                        in_vain += 1;
                        Some(context.pause_after(in_vain))
                    }
                    ClaimResult::Nothing(pause) => Some(pause),
                },
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = running.join_next() => {}
                () = signal.notified(), if pause.is_some() => {}
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
        if timeout(context.settings.drain, all(&mut running)).await.is_err() {
            abort.cancel();
            if timeout(RELEASE_LIMIT, all(&mut running)).await.is_err() {
                tracing::warn!(deliveries = running.len(), "deliveries were dropped; their leases end by themselves");
            }
        }
        drop(housekeeping);
        context.mailer.transport.close().await;
    }
}

/// What a claim found.
enum ClaimResult {
    /// Messages that are ours now.
    Claimed(Vec<ClaimedMessage>),
    /// Something is due, but others were quicker.
    InVain,
    /// Nothing is due for so long; or the database does not answer, and this is how long to leave it alone.
    Nothing(Duration),
}

impl Context {
    /// Claims what is due. It reads first: an idle worker must not take SQLite's one writer every few seconds.
    ///
    /// The due time is read on our clock and the wait is in real time, never longer than the poll interval: a clock that a test moves
    /// by hand is noticed with the next poll.
    async fn claim(&self, free: usize) -> ClaimResult {
        let poll = self.settings.poll_interval;
        let looked = async {
            let Some(due) = self.store.next_message_due().await? else {
                return Ok(ClaimResult::Nothing(poll));
            };
            let now = self.clock.now();
            if due > now {
                let wait = (due - now).to_std().unwrap_or(poll);
                return Ok(ClaimResult::Nothing(wait.min(poll)));
            }
            let lease_until = now + self.settings.lease;
            let limit = u64::try_from(free).unwrap_or(u64::MAX);
            let messages = self.store.claim_messages(now, lease_until, limit).await?;
            Ok(if messages.is_empty() { ClaimResult::InVain } else { ClaimResult::Claimed(messages) })
        };
        looked.await.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "the outbox does not answer");
            ClaimResult::Nothing(poll)
        })
    }

    /// The wait after that many looks in vain, growing up to the poll interval: a row that looks due and cannot be had must not spin us.
    fn pause_after(&self, in_vain: u32) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << in_vain.saturating_sub(1).min(16)).min(self.settings.poll_interval)
    }
}

async fn all(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

async fn run_maintenance(context: Arc<Context>) {
    loop {
        sleep(HOUSEKEEPING).await;
        context.mailer.transport.close_idle().await;
    }
}

#[cfg(test)]
mod tests;
