//! What runs beside the calls: readiness, forgetting what has had its time, and sealing anew after a rotation of keys.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Platform, parts::Parts};
use crate::{
    app::resealing::reseal_factors, domain::activity::REMEMBERED_DAYS, http::Readiness, platform::shutdown::Shutdown,
    store::Store,
};

/// How often the database is asked for a sign of life.
const PING: Duration = Duration::from_secs(1);
/// How long it has to give one.
const PING_ANSWER: Duration = Duration::from_secs(2);
/// How often old answers are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How long attempts to sign in are kept, successful or not.
const SIGN_INS: TimeDelta = TimeDelta::days(90);
/// How long secrets that are used once are kept after their time: what counts requests looks back an hour.
const CHALLENGES: TimeDelta = TimeDelta::days(1);
/// How long sessions are kept that are over.
const SESSIONS: TimeDelta = TimeDelta::days(30);
/// How long messages are kept that were sent, given up or cancelled, unless an invitation tells by one how far its mail is.
const MESSAGES: TimeDelta = TimeDelta::days(90);

/// Asks the database once, and starts asking.
pub(super) async fn start(parts: &Parts, platform: &Platform, readiness: &Readiness, shutdown: &Shutdown) {
    ask(&parts.store, readiness).await;
    let (asking, ready, stop) = (parts.store.clone(), readiness.clone(), shutdown.clone());
    shutdown.spawn(async move {
        let ask_again = async {
            loop {
                tokio::time::sleep(PING).await;
                ask(&asking, &ready).await;
            }
        };
        stop.token().run_until_cancelled(ask_again).await;
        // Said here, where nothing can say otherwise any more.
        ready.not_ready("stopping");
    });
    let (forgetting, keyring, platform) = (parts.store.clone(), parts.keyring.clone(), platform.clone());
    let clock = platform.clock.clone();
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        loop {
            match forgetting.forget_replays(clock.now()).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old answers"),
                Err(error) => tracing::warn!(%error, "could not forget old answers"),
            }
            match forgetting.forget_sign_ins(clock.now() - SIGN_INS).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old attempts to sign in"),
                Err(error) => tracing::warn!(%error, "could not forget old attempts to sign in"),
            }
            match forgetting
                .forget_reports(clock.now() - TimeDelta::days(REMEMBERED_DAYS))
                .await
            {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old reports of activity"),
                Err(error) => tracing::warn!(%error, "could not forget old reports of activity"),
            }
            match forgetting.forget_challenges(clock.now() - CHALLENGES).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old secrets"),
                Err(error) => tracing::warn!(%error, "could not forget old secrets"),
            }
            match reseal_factors(&forgetting, &keyring, &platform.entropy).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "sealed second factors with the new key"),
                Err(error) => tracing::warn!(%error, "could not seal second factors with the new key"),
            }
            match forgetting.forget_sessions(clock.now() - SESSIONS).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old sessions"),
                Err(error) => tracing::warn!(%error, "could not forget old sessions"),
            }
            match forgetting.forget_messages(clock.now() - MESSAGES).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot old messages"),
                Err(error) => tracing::warn!(%error, "could not forget old messages"),
            }
            tokio::time::sleep(FORGET).await;
        }
    }));
}

async fn ask(store: &Store, readiness: &Readiness) {
    match tokio::time::timeout(PING_ANSWER, store.ping()).await {
        Ok(Ok(())) => readiness.ready(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            readiness.not_ready("the database does not answer");
        }
        Err(_) => readiness.not_ready("the database does not answer in time"),
    }
}
