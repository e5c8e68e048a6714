//! A lock for each key: one holds it, a few wait for it, and the others are refused at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Locks = HashMap<Vec<u8>, (Arc<tokio::sync::Mutex<()>>, usize)>;

/// The locks of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct KeyedLocks {
    waiting: usize,
    locks: Arc<Mutex<Locks>>,
}

/// Holds the lock of a key until it is dropped.
#[derive(Debug)]
pub struct KeyedLockGuard {
    // In this order: who waits is let in before the key may be forgotten.
    _held: OwnedMutexGuard<()>,
    _waiter: Waiter,
}

#[derive(Debug)]
struct Waiter {
    locks: Arc<Mutex<Locks>>,
    key: Vec<u8>,
}

impl KeyedLocks {
    /// Locks for each of which so many may wait.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        Self { waiting, locks: Arc::default() }
    }

    /// Takes the lock of a key, if nobody holds it and nobody waits for it.
    #[must_use]
    pub fn try_lock(&self, key: &[u8]) -> Option<KeyedLockGuard> {
        let (mutex, waiter) = self.enter(key, 0)?;
        Some(KeyedLockGuard { _held: mutex.try_lock_owned().ok()?, _waiter: waiter })
    }

    /// Waits for the lock of a key. `None` at once where enough wait for it.
    pub async fn lock(&self, key: &[u8]) -> Option<KeyedLockGuard> {
        let (mutex, waiter) = self.enter(key, self.waiting)?;
        Some(KeyedLockGuard { _held: mutex.lock_owned().await, _waiter: waiter })
    }

    fn enter(&self, key: &[u8], most: usize) -> Option<(Arc<tokio::sync::Mutex<()>>, Waiter)> {
        let mut locks = lock(&self.locks);
        let (mutex, people) = locks.entry(key.to_vec()).or_default();
        if *people > most {
            return None;
        }
        *people += 1;
        let waiter = Waiter { locks: Arc::clone(&self.locks), key: key.to_vec() };
        Some((Arc::clone(mutex), waiter))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut locks = lock(&self.locks);
        if let Some((_, people)) = locks.get_mut(&self.key) {
            *people -= 1;
            if *people == 0 {
                locks.remove(&self.key);
            }
        }
    }
}

fn lock(locks: &Mutex<Locks>) -> MutexGuard<'_, Locks> {
    locks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_holds_the_lock_some_wait_and_others_are_refused() {
        let locks = KeyedLocks::new(1);
        let first = locks.try_lock(b"ada").unwrap();
        assert!(locks.try_lock(b"ada").is_none());
        let other = locks.lock(b"bob").await.unwrap();
        let mut second = Box::pin(locks.lock(b"ada"));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert!(locks.lock(b"ada").await.is_none(), "enough wait");
        drop(first);
        let second = second.await.unwrap();
        drop((second, other));
        assert!(lock(&locks.locks).is_empty());
    }

    #[tokio::test]
    async fn giving_up_the_wait_is_not_counted_any_more() {
        let locks = KeyedLocks::new(1);
        let first = locks.lock(b"ada").await;
        let waited = tokio::time::timeout(Duration::ZERO, locks.lock(b"ada")).await;
        assert!(waited.is_err());
        let waited = tokio::time::timeout(Duration::ZERO, locks.lock(b"ada")).await;
        assert!(waited.is_err(), "who gave up is still counted");
        drop(first);
        assert!(locks.try_lock(b"ada").is_some());
    }
}
