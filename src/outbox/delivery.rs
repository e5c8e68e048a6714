//! One message's way from the claim to its settlement.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use crate::{
    domain::mail::StoredMail,
    outbox::{
        context::Context,
        mail::text::{tidy, without_addresses},
        outcome::DeliveryError,
    },
    platform::{KeyringError, Stopwatch},
    store::{ClaimedMessage, Settlement},
};

/// However old a message is, it gets this many attempts: after an outage of days the first failure is not the last.
const MIN_ATTEMPTS: i32 = 8;

/// How an attempt ended.
enum Outcome {
    Sent,
    /// May be tried again.
    Transient(String),
    /// Will not be tried again.
    Permanent(String),
    /// The process is going; somebody else will try.
    Released,
}

/// Delivers a claimed message and settles it. While the attempt runs, the lease is extended; when the fence is lost, another worker has the
/// message, so the attempt is broken off and nothing is recorded. `abort` gives the lease back.
pub(super) async fn deliver(context: Arc<Context>, message: ClaimedMessage, abort: CancellationToken) {
    let span = tracing::info_span!("outbox.deliver", message.id = %message.id, message.kind = %message.kind, message.attempt = message.attempts);
    async {
        let watch = Stopwatch::start();
        let Some(outcome) = supervise(&context, &message, &abort).await else {
            tracing::warn!("the claim was lost: another worker has the message, or it was called off");
            return;
        };
        context.metrics.attempt(&message.kind, watch.elapsed());
        let settlement = judge(&context, &message, outcome);
        settle(&context, &message, settlement).await;
    }
    .instrument(span)
    .await;
}

/// Runs the attempt in a task of its own, so that a panic in it is an outcome and a slow database does not stall it. `None` when the lease is lost.
async fn supervise(context: &Arc<Context>, message: &ClaimedMessage, abort: &CancellationToken) -> Option<Outcome> {
    let settings = &context.settings;
    let attempt = attempt(Arc::clone(context), message.clone()).in_current_span();
    let mut attempt = AbortOnDropHandle::new(tokio::spawn(attempt));
    let mut missed = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            outcome = &mut attempt => {
                return Some(outcome.unwrap_or_else(|error| Outcome::Transient(format!("the delivery broke off: {error}"))));
            }
            () = abort.cancelled() => return Some(Outcome::Released),
            () = sleep(settings.heartbeat) => {}
        }
        let until = context.clock.now() + settings.lease;
        match timeout(settings.heartbeat, context.store.extend_message_lease(message.id, message.fence, until)).await {
            Ok(Ok(true)) => missed = Duration::ZERO,
            Ok(Ok(false)) => return None,
            unheard => {
                missed += settings.heartbeat;
                match unheard {
                    Ok(Err(error)) => tracing::warn!(%error, "the lease could not be extended"),
                    _ => tracing::warn!("the lease could not be extended in time"),
                }
                if missed >= settings.lease {
                    return None;
                }
            }
        }
    }
}

async fn attempt(context: Arc<Context>, message: ClaimedMessage) -> Outcome {
    let id = message.id;
    let bytes = match context.keyring.open(id.as_bytes(), &message.sealed) {
        Ok(bytes) => bytes,
        // A key that is missing here is an operator's mistake, perhaps on this replica alone; the message is sound.
        Err(error @ KeyringError::UnknownKey(_)) => {
            return Outcome::Transient(format!("the stored payload cannot be opened: {error}"));
        }
        Err(error) => {
            return Outcome::Permanent(format!("the stored payload cannot be opened: {error}"));
        }
    };
    let StoredMail { brand, payload } = match StoredMail::from_bytes(&bytes) {
        Ok(mail) => mail,
        Err(error) => return Outcome::Permanent(error.to_string()),
    };
    let secrets: Vec<&str> = payload.secret().into_iter().collect();
    let now = context.clock.now();
    if payload.expire_time() <= now {
        return Outcome::Permanent("it expired before it could be delivered".into());
    }
    let branding = context.mailer.branding(brand.as_deref());
    let words = match branding.renderer.render(&payload) {
        Ok(words) => words,
        Err(error) => return Outcome::Permanent(tidy(&error.to_string(), &secrets)),
    };
    // The sealed address, not the row's: nobody who writes to the table can have the token sent elsewhere.
    let email = match branding.sender.compose(id, payload.recipient(), &words, now) {
        Ok(email) => email,
        Err(error) => return Outcome::Permanent(tidy(&error.to_string(), &secrets)),
    };
    match context.mailer.transport.deliver(&email).await {
        Ok(accepted) => {
            tracing::debug!(reply = %without_addresses(&tidy(&accepted.reply, &secrets)), "the server took the message");
            Outcome::Sent
        }
        Err(DeliveryError::Transient(reason)) => Outcome::Transient(tidy(&reason, &secrets)),
        Err(DeliveryError::Permanent(reason)) => Outcome::Permanent(tidy(&reason, &secrets)),
    }
}

/// Says what the outcome means for the row, and tells those who watch.
fn judge(context: &Context, message: &ClaimedMessage, outcome: Outcome) -> Settlement {
    let Context { clock, entropy, metrics, settings, .. } = context;
    match outcome {
        Outcome::Sent => {
            metrics.delivered(&message.kind);
            tracing::info!("mail sent");
            Settlement::Sent
        }
        Outcome::Released => {
            tracing::info!("lease given back");
            Settlement::Released
        }
        Outcome::Transient(error) => {
            let now = clock.now();
            let age = (now - message.queue_time).to_std().unwrap_or_default();
            if age >= settings.give_up_after && message.attempts >= MIN_ATTEMPTS {
                metrics.failed(&message.kind);
                tracing::warn!(reason = %without_addresses(&error), "mail given up");
                return Settlement::Failed { error };
            }
            metrics.retried(&message.kind);
            let wait = settings.backoff.delay(message.attempts, u32::from_le_bytes(entropy.bytes()));
            tracing::info!(reason = %without_addresses(&error), wait_seconds = wait.as_secs(), "mail not taken, will be tried again");
            Settlement::Retry { at: now + wait, error }
        }
        Outcome::Permanent(error) => {
            metrics.failed(&message.kind);
            tracing::warn!(reason = %without_addresses(&error), "mail cannot be delivered");
            Settlement::Failed { error }
        }
    }
}

/// Records the outcome; a database that is away for a moment must not cost a second mail, so this insists while the lease may hold.
async fn settle(context: &Context, message: &ClaimedMessage, settlement: Settlement) {
    let settings = &context.settings;
    let mut wait = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    loop {
        match context.store.settle_message(message.id, message.fence, settlement.clone(), context.clock.now()).await {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!("the outcome came too late: another worker has the message, or it was called off");
                return;
            }
            Err(error) if waited >= settings.lease => {
                tracing::error!(%error, "the outcome could not be recorded: the message will be sent again");
                return;
            }
            Err(error) => tracing::warn!(%error, "the outcome could not be recorded yet"),
        }
        sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}
