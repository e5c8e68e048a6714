//! What runs beside the calls: readiness, forgetting what has had its time, and sealing again after a rotation of keys.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::TimeDelta;

use crate::{
    app::{
        App,
        credentials::resealing::reseal_factors,
        personal_data::deletion::{delete_due, purge},
        search,
    },
    domain::activity::REMEMBERED_DAYS,
    http::Readiness,
    platform::{clock::Clock, shutdown::Shutdown},
    server::{Platform, parts::Parts},
    store::{Derived, LogPlace, Store, StoreError},
};

/// How often the database is asked for a sign of life.
const PING: Duration = Duration::from_secs(1);
/// How long it has to give one.
const PING_ANSWER: Duration = Duration::from_secs(2);
/// How often old answers are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How long attempts to sign in are kept, successful or not.
const SIGN_INS: TimeDelta = TimeDelta::days(90);
/// How long reports are kept, by which a repeated one is known.
const REPORTS: TimeDelta = TimeDelta::days(REMEMBERED_DAYS);
/// How long secrets that are used once are kept after their time: what counts requests looks back an hour.
const CHALLENGES: TimeDelta = TimeDelta::days(1);
/// How long sessions are kept that are over.
const SESSIONS: TimeDelta = TimeDelta::days(30);
/// How long messages are kept that were sent, given up or cancelled, unless an invitation tells by one how far its mail is.
const MESSAGES: TimeDelta = TimeDelta::days(90);

/// Events that are read at a time to find out which streams have moved, and streams that are told of at a time.
const LOG_STEP: usize = 1000;
const MOST_HEADS: usize = 10_000;

/// How often the size of the directory is noted.
const MEASURE: Duration = Duration::from_secs(1);

/// Notes from time to time how large the directory is, and how old what it knows.
pub(super) fn watch_directory(app: Arc<App>, shutdown: &Shutdown) {
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        loop {
            app.directory.measure();
            tokio::time::sleep(MEASURE).await;
        }
    }));
}

/// How often accounts are looked for whose time has come.
const ACCOUNTS: Duration = Duration::from_secs(60);

/// Deletes accounts when that is due, and takes out of deleted ones what nobody needs any more.
pub(super) fn look_after_accounts(app: Arc<App>, shutdown: &Shutdown) {
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        loop {
            let now = app.clock.now();
            tidy("accounts whose deletion was due", delete_due(&app, now)).await;
            tidy("what deleted accounts still held", purge(&app, now)).await;
            tokio::time::sleep(ACCOUNTS).await;
        }
    }));
}

/// How often what is searched is brought up to what was written.
const SEARCH: Duration = Duration::from_secs(5);

/// Brings what is searched up to what was written, so that searches find little to do.
pub(super) fn keep_searchable(app: Arc<App>, shutdown: &Shutdown) {
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(SEARCH).await;
            let derived = async {
                search::catch_up(&app, Derived::Terms).await?;
                search::activity::bring_up(&app).await
            };
            if let Err(error) = derived.await {
                tracing::warn!(%error, "could not bring what is searched up to what was written");
            }
        }
    }));
}

/// Asks the database once, and starts asking.
pub(super) async fn start(parts: &Parts, platform: &Platform, readiness: &Readiness, shutdown: &Shutdown) {
    let clock = platform.clock.clone();
    ask(&parts.store, &clock, readiness).await;
    let (asking, ready, stop) = (parts.store.clone(), readiness.clone(), shutdown.clone());
    shutdown.spawn(async move {
        let ask_again = async {
            loop {
                tokio::time::sleep(PING).await;
                ask(&asking, &clock, &ready).await;
            }
        };
        stop.token().run_until_cancelled(ask_again).await;
        // Said here, where nothing can say otherwise any more.
        ready.not_ready("stopping");
    });
    let (forgetting, keyring, platform) = (parts.store.clone(), parts.keyring.clone(), platform.clone());
    let clock = platform.clock.clone();
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        let mut place = None;
        match forgetting.seal_heads_once().await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                count,
                "sealed the ends of streams that had no seal, as after the upgrade that brings seals"
            ),
            Err(error) => tracing::warn!(%error, "could not seal the ends of streams"),
        }
        loop {
            let now = clock.now();
            tidy("answers", forgetting.forget_replays(now)).await;
            tidy("attempts to sign in", forgetting.forget_sign_ins(now - SIGN_INS)).await;
            tidy("wrong attempts", forgetting.forget_attempts(now)).await;
            tidy("reports of activity", forgetting.forget_reports(now - REPORTS)).await;
            tidy("secrets", forgetting.forget_challenges(now - CHALLENGES)).await;
            tidy("sessions", forgetting.forget_sessions(now - SESSIONS)).await;
            tidy("messages", forgetting.forget_messages(now - MESSAGES)).await;
            match take_over_user_events(&forgetting).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "took over what the version before recorded of users"),
                Err(error) => tracing::warn!(%error, "could not take over what the version before recorded of users"),
            }
            if let Err(error) = log_heads(&forgetting, &mut place).await {
                tracing::warn!(%error, "could not tell how far the records are");
            }
            match reseal_factors(&forgetting, &keyring, &platform.entropy).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "sealed second factors with the new key"),
                Err(error) => tracing::warn!(%error, "could not seal second factors with the new key"),
            }
            tokio::time::sleep(FORGET).await;
        }
    }));
}

/// Tells in the log how far each stream is that has moved since the last time: who keeps the log elsewhere has what `known_revision` and `known_hash` ask for, out of reach of whoever
/// writes to the database (ab_49).
async fn log_heads(store: &Store, place: &mut Option<LogPlace>) -> Result<(), StoreError> {
    let Some(mut from) = place.take() else {
        *place = Some(store.log_end().await?.place);
        return Ok(());
    };
    let mut heads = BTreeMap::new();
    loop {
        let step = store.read_log(&from, LOG_STEP).await?;
        heads.extend(step.events.into_iter().map(|event| (event.stream_id, (event.revision, event.hash))));
        from = step.place;
        if step.up_to_date || heads.len() >= MOST_HEADS {
            break;
        }
    }
    *place = Some(from);
    for (stream, (revision, hash)) in heads {
        let hash = data_encoding::HEXLOWER.encode(&hash);
        tracing::info!(%stream, revision, hash, "the end of a record");
    }
    Ok(())
}

/// Moves what the version before has recorded of users, while it was replaced, into their streams: user by user, each in a transaction.
async fn take_over_user_events(store: &Store) -> Result<u64, StoreError> {
    let mut moved = 0;
    loop {
        let mut tx = store.begin().await?;
        match tx.take_over_user_events().await? {
            0 => return Ok(moved),
            more => moved += more,
        }
        tx.commit().await?;
    }
}

/// Waits until what is old has been deleted, and says how much it was.
async fn tidy<E: std::fmt::Display>(what: &'static str, deleted: impl Future<Output = Result<u64, E>>) {
    match deleted.await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(what, count, "forgot what is old"),
        Err(error) => tracing::warn!(what, %error, "could not forget what is old"),
    }
}

/// Asks whether the database answers and takes writes.
async fn ask(store: &Store, clock: &Clock, readiness: &Readiness) {
    let asked = async {
        store.ping().await.map_err(|error| ("the database does not answer", error))?;
        let written = store.try_to_write(clock.now()).await;
        written.map_err(|error| ("the database takes no writes", error))
    };
    match tokio::time::timeout(PING_ANSWER, asked).await {
        Ok(Ok(())) => readiness.ready(),
        Ok(Err((reason, error))) => {
            tracing::warn!(%error, reason, "not ready");
            readiness.not_ready(reason);
        }
        Err(_) => readiness.not_ready("the database does not answer in time"),
    }
}
