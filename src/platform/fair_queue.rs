//! Work of which only so much is done at a time, and for which those who wait take turns.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Keys that are remembered before those that nobody has any more are looked for.
const REMEMBERED: usize = 256;

/// So many may work at a time. Who waits stands in a queue of their own key first, and of each key only as many as may work stand in the queue of all: whoever comes with another key is behind few,
/// however many one key sends. Clones share it.
pub struct FairQueue<K>(Arc<Inner<K>>);

struct Inner<K> {
    places: usize,
    all: Arc<Semaphore>,
    /// Held for a look, and never over an await.
    of: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// A permit to work; dropping it lets the next one work.
#[derive(Debug)]
pub struct QueuePermit {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl<K> Clone for FairQueue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for FairQueue<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FairQueue").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> FairQueue<K> {
    /// `places` may work at a time.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Inner { places, all: Arc::new(Semaphore::new(places)), of: Mutex::new(HashMap::new()) }))
    }

    /// Waits for a permit. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// Never: nobody closes the semaphores.
    pub async fn take(&self, key: K) -> Result<QueuePermit, AcquireError> {
        let own = self.queue(key).acquire_owned().await?;
        let all = Arc::clone(&self.0.all).acquire_owned().await?;
        Ok(QueuePermit { _all: all, _own: own })
    }

    fn queue(&self, key: K) -> Arc<Semaphore> {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = of.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        if of.len() >= REMEMBERED {
            of.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(Semaphore::new(self.0.places));
        of.insert(key, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_comes_with_another_key_is_behind_few() {
        let queue = FairQueue::new(2);
        let (one, two) = (queue.take("greedy").await.unwrap(), queue.take("greedy").await.unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for key in ["greedy", "greedy", "greedy", "greedy", "other"] {
            let (queue, order) = (queue.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                let permit = queue.take(key).await.unwrap();
                order.lock().unwrap().push(key);
                drop(permit);
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop((one, two));
        waiting.join_all().await;
        let order = order.lock().unwrap();
        assert!(order.iter().position(|key| *key == "other").unwrap() < 2, "{order:?}");
    }

    #[tokio::test]
    async fn keys_that_nobody_has_are_forgotten() {
        let queue = FairQueue::new(1);
        for key in 0..10 * REMEMBERED {
            drop(queue.take(key).await.unwrap());
        }
        assert!(queue.0.of.lock().unwrap().len() <= REMEMBERED);
    }
}
