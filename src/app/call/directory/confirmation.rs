//! Makes sure that the directory knows of everything that was committed before a call arrived: the call waits for a reading of the log that begins after it, and one reading serves all that
//! wait. The first that waits reads for all.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{MutexGuard, Notify, watch};
use uuid::Uuid;

use super::{kept::Kept, metrics::Cause};
use crate::{
    app::call::{
        error::{Error, Result},
        models::{self, LoadedModels},
    },
    platform::{clock::Stopwatch, statements},
    store::{CommitMark, LogConnection, LogPlace, Store, StoreError},
};

/// Events that are read at a time.
const STEP: usize = 1000;
/// How long a reading may take: a connection that hangs must not hold up every call for longer.
const READING: Duration = Duration::from_secs(5);
/// How old what a call of [`Freshness::Recent`](super::Freshness::Recent) is told may be.
const RECENT: Duration = Duration::from_secs(1);
/// A reading for so many calls is followed by a pause in which more of them gather. Readings without a pause would serve few calls each, and cost more than the calls.
const CROWD: u64 = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// The last reading that has ended.
#[derive(Debug, Clone, Default)]
struct Reading {
    /// The calls that had arrived when it began, counted.
    arrived: u64,
    /// How many of them it was for.
    served: u64,
    /// Why it failed.
    failure: Option<Arc<str>>,
    /// Since when nothing that was committed before has been missing.
    complete_since: Option<Stopwatch>,
}

/// How far the log has been read, and by which connection.
#[derive(Default)]
struct Reader {
    place: Option<(LogPlace, Uuid)>,
    connection: LogConnection,
}

/// Reads the log for those who wait.
pub(super) struct Confirmation {
    store: Arc<Store>,
    models: Arc<LoadedModels>,
    kept: Arc<Kept>,
    arrived: AtomicU64,
    read: watch::Sender<Reading>,
    /// Whoever holds this reads.
    reader: tokio::sync::Mutex<Reader>,
    /// Tells one of those who wait that nobody reads.
    free: Notify,
    /// SQLite: the commits that the directory knows of.
    known: Mutex<Option<CommitMark>>,
}

impl Confirmation {
    pub(super) fn new(store: Arc<Store>, models: Arc<LoadedModels>, kept: Arc<Kept>) -> Self {
        Self {
            store,
            models,
            kept,
            arrived: AtomicU64::new(0),
            read: watch::Sender::new(Reading::default()),
            reader: tokio::sync::Mutex::default(),
            free: Notify::new(),
            known: Mutex::default(),
        }
    }

    /// Waits until what was committed before now has been applied.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn wait(&self) -> Result<()> {
        // SQLite says in its own memory whether anything has been committed since; then no statement is needed.
        if let Some(now) = self.store.commit_mark()
            && self.known.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|known| known.same(&now))
        {
            return Ok(());
        }
        let arrived = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        let mut read = self.read.subscribe();
        loop {
            if let Ok(reader) = self.reader.try_lock() {
                let mut turn = Turn { reader: Some(reader), free: &self.free };
                if read.borrow().arrived < arrived
                    && let Some(reader) = &mut turn.reader
                {
                    self.read_for_all(reader).await;
                }
            }
            tokio::select! {
                biased;
                ended = read.wait_for(|reading| reading.arrived >= arrived) => {
                    return match ended.map(|reading| reading.failure.clone()) {
                        Ok(None) => Ok(()),
                        Ok(Some(failure)) => Err(Error::Unavailable(failure.to_string())),
                        Err(_) => Err(Error::Unavailable("the directory has been closed".to_owned())),
                    };
                }
                () = self.free.notified() => {}
            }
        }
    }

    /// The same for what was committed until a second ago: nobody waits as long as somebody's reading has begun since.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(super) async fn wait_recent(&self) -> Result<()> {
        let recent = self.read.borrow().complete_since.is_some_and(|since| since.elapsed() < RECENT);
        match recent {
            true => Ok(()),
            false => self.wait().await,
        }
    }

    /// How long ago the last reading began that told of everything.
    pub(super) fn age(&self) -> Option<Duration> {
        self.read.borrow().complete_since.map(|since| since.elapsed())
    }

    /// One reading for all calls that have arrived by now.
    async fn read_for_all(&self, reader: &mut Reader) {
        let last = self.read.borrow().clone();
        if last.served >= CROWD {
            tokio::time::sleep(PAUSE).await;
        }
        // Whoever has arrived by now, and has only to be let in, is not left for another reading.
        tokio::task::yield_now().await;
        // Counted before the reading begins: who arrives later waits for the next one.
        let arrived = self.arrived.load(Ordering::SeqCst);
        let begun = Stopwatch::start();
        // Not of the call that happens to read: it reads for all.
        let (outcome, _) = statements::counted(tokio::time::timeout(READING, self.catch_up(reader))).await;
        let failure: Option<Arc<str>> = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string().into()),
            Err(_) => Some("the log could not be read in time".into()),
        };
        let complete_since = if failure.is_none() { Some(begun) } else { last.complete_since };
        self.read.send_replace(Reading { arrived, served: arrived - last.arrived, failure, complete_since });
    }

    /// Applies what has been committed since the last time.
    async fn catch_up(&self, Reader { place, connection }: &mut Reader) -> std::result::Result<(), StoreError> {
        let mark = self.store.commit_mark();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loop {
            let (step, new_connection) = match &*place {
                Some((from, _)) => self.store.read_log_by(connection, from, STEP).await?,
                None => (self.store.log_end().await?, true),
            };
            // Perhaps another log than the one that was followed, or none yet: nothing is known of what was loaded before.
            let followed = place.as_ref().is_some_and(|(_, epoch)| step.known && *epoch == step.epoch);
            let same = followed && !new_connection;
            if !same {
                // Until everything has been forgotten: where loading the models fails, the next reading does not go on from here.
                *place = None;
            }
            // Before what was resolved by the models until now counts as changed: nothing is to be resolved by them afterwards.
            if !same || step.events.iter().any(|event| event.kind == models::PUT) {
                self.models.load(&self.store).await?;
            }
            match same {
                true => self.kept.change(|marks| marks.apply(&step.events)),
                false => self.kept.forget(Cause::LogLost),
            }
            let done = step.up_to_date && step.known;
            *place = step.known.then_some((step.place, step.epoch));
            if done {
                break;
            }
        }
        // What somebody else has committed may have no event: a person with a SQL prompt, or another program.
        if let (Some(known), Some(mark)) = (known.take(), &mark)
            && mark.foreign_since(&known)
        {
            self.models.catch_up(&self.store).await?;
            self.kept.forget(Cause::Foreign);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = mark;
        Ok(())
    }
}

/// The right to read. When it ends, also because the call is given up in the middle, another one that waits is told that it may read.
struct Turn<'a> {
    reader: Option<MutexGuard<'a, Reader>>,
    free: &'a Notify,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // In this order: who is told before the turn is over would find it taken, and wait for ever.
        self.reader = None;
        self.free.notify_one();
    }
}
