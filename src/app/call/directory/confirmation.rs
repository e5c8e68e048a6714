//! Makes sure that the directory knows of everything that was committed before a call arrived: the call waits for a reading of the log that begins after it, and one reading serves all that
//! wait.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::kept::Kept;
use crate::{
    app::call::error::{Error, Result},
    platform::clock::Stopwatch,
    store::{CommitMark, LogPlace, Store, StoreError},
};

/// Events that are read at a time.
const STEP: usize = 1000;
/// How long a reading may take: a connection that hangs must not hold up every call for longer.
const READING: Duration = Duration::from_secs(5);
/// How old what a call of [`Freshness::Recent`](super::Freshness::Recent) is told may be.
const RECENT: Duration = Duration::from_secs(1);

/// The last reading that has ended.
#[derive(Debug, Clone, Default)]
struct Reading {
    /// The calls that had arrived when it began, counted.
    arrived: u64,
    /// Why it failed.
    failure: Option<Arc<str>>,
    /// Since when nothing that was committed before has been missing.
    complete_since: Option<Stopwatch>,
}

struct Shared {
    store: Arc<Store>,
    arrived: AtomicU64,
    wake: Notify,
    read: watch::Sender<Reading>,
    /// SQLite: the commits that the directory knows of.
    known: Mutex<Option<CommitMark>>,
}

/// Reads the log for those who wait.
pub(super) struct Confirmation {
    shared: Arc<Shared>,
    _reader: AbortOnDropHandle<()>,
}

impl Confirmation {
    /// Starts reading when the first call waits.
    pub(super) fn start(store: Arc<Store>, kept: Arc<Kept>) -> Self {
        let shared = Arc::new(Shared {
            store,
            arrived: AtomicU64::new(0),
            wake: Notify::new(),
            read: watch::Sender::new(Reading::default()),
            known: Mutex::default(),
        });
        let reader = tokio::spawn(read(shared.clone(), kept));
        Self { shared, _reader: AbortOnDropHandle::new(reader) }
    }

    /// Waits until what was committed before now has been applied.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn wait(&self) -> Result<()> {
        let shared = &self.shared;
        // SQLite says in its own memory whether anything has been committed since; then no statement is needed.
        if let Some(now) = shared.store.commit_mark()
            && shared
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_some_and(|known| known.same(&now))
        {
            return Ok(());
        }
        let mut reading = shared.read.subscribe();
        let arrived = shared.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        shared.wake.notify_one();
        let ended = reading.wait_for(|reading| reading.arrived >= arrived).await;
        match ended.map(|reading| reading.failure.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(failure)) => Err(Error::Unavailable(failure.to_string())),
            Err(_) => Err(Error::Unavailable("the directory has been closed".to_owned())),
        }
    }
}

impl Confirmation {
    /// The same for what was committed until a second ago: nobody waits as long as somebody's reading has begun since.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(super) async fn wait_recent(&self) -> Result<()> {
        let recent = self.shared.read.borrow().complete_since.is_some_and(|since| since.elapsed() < RECENT);
        match recent {
            true => Ok(()),
            false => self.wait().await,
        }
    }
}

async fn read(shared: Arc<Shared>, kept: Arc<Kept>) {
    let mut place: Option<(LogPlace, Uuid)> = None;
    loop {
        shared.wake.notified().await;
        // Counted before the reading begins: who arrives later waits for the next one.
        let arrived = shared.arrived.load(Ordering::SeqCst);
        if shared.read.borrow().arrived >= arrived {
            continue;
        }
        let begun = Stopwatch::start();
        let reading = tokio::time::timeout(READING, catch_up(&shared, &kept, &mut place)).await;
        let failure: Option<Arc<str>> = match reading {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string().into()),
            Err(_) => Some("the log could not be read in time".into()),
        };
        shared.read.send_modify(|last| {
            let complete_since = if failure.is_none() { Some(begun) } else { last.complete_since };
            *last = Reading { arrived, failure, complete_since };
        });
    }
}

/// Applies what has been committed since the last time.
async fn catch_up(
    shared: &Shared,
    kept: &Kept,
    place: &mut Option<(LogPlace, Uuid)>,
) -> std::result::Result<(), StoreError> {
    let mark = shared.store.commit_mark();
    let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
    loop {
        let step = match &*place {
            Some((from, _)) => shared.store.read().read_log(from, STEP).await?,
            None => shared.store.read().log_end().await?,
        };
        // Another log than the one that was followed, or none yet: nothing is known of what was loaded before.
        let same = place.as_ref().is_some_and(|(_, epoch)| step.known && *epoch == step.epoch);
        kept.change(|marks| match same {
            true => marks.apply(&step.events),
            false => marks.forget(),
        });
        let next = match step.known {
            true => Some((step.place, step.epoch)),
            false => None,
        };
        let done = step.up_to_date && step.known;
        *place = next;
        if done {
            break;
        }
    }
    // What somebody else has committed may have no event: a person with a SQL prompt, or another program.
    if let (Some(known), Some(mark)) = (known.take(), &mark)
        && mark.foreign_since(&known)
    {
        kept.change(|marks| marks.forget());
    }
    *shared.known.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    Ok(())
}
