//! One after the other, by name: whoever has the turn of a name has it alone, a few wait, and the others are turned away at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Named = HashMap<Vec<u8>, (Arc<tokio::sync::Mutex<()>>, usize)>;

/// The turns of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    waiting: usize,
    named: Arc<Mutex<Named>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    // In this order: who waits is let in before the name may be forgotten.
    _held: OwnedMutexGuard<()>,
    _place: Place,
}

#[derive(Debug)]
struct Place {
    named: Arc<Mutex<Named>>,
    name: Vec<u8>,
}

impl Turns {
    /// Turns for which so many may wait, of each name.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        Self {
            waiting,
            named: Arc::default(),
        }
    }

    /// The turn of a name, if nobody has it and nobody waits for it.
    #[must_use]
    pub fn try_take(&self, name: &[u8]) -> Option<Turn> {
        let (mutex, place) = self.enter(name, 0)?;
        Some(Turn {
            _held: mutex.try_lock_owned().ok()?,
            _place: place,
        })
    }

    /// The turn of a name, once it comes. `None` at once where enough wait for it.
    pub async fn take(&self, name: &[u8]) -> Option<Turn> {
        let (mutex, place) = self.enter(name, self.waiting)?;
        Some(Turn {
            _held: mutex.lock_owned().await,
            _place: place,
        })
    }

    fn enter(&self, name: &[u8], most: usize) -> Option<(Arc<tokio::sync::Mutex<()>>, Place)> {
        let mut named = lock(&self.named);
        let (mutex, people) = named.entry(name.to_vec()).or_default();
        if *people > most {
            return None;
        }
        *people += 1;
        let place = Place {
            named: Arc::clone(&self.named),
            name: name.to_vec(),
        };
        Some((Arc::clone(mutex), place))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut named = lock(&self.named);
        if let Some((_, people)) = named.get_mut(&self.name) {
            *people -= 1;
            if *people == 0 {
                named.remove(&self.name);
            }
        }
    }
}

fn lock(named: &Mutex<Named>) -> MutexGuard<'_, Named> {
    named.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_some_wait_and_others_are_turned_away() {
        let turns = Turns::new(1);
        let first = turns.try_take(b"ada").unwrap();
        assert!(turns.try_take(b"ada").is_none());
        let other = turns.take(b"bob").await.unwrap();
        let mut second = Box::pin(turns.take(b"ada"));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert!(turns.take(b"ada").await.is_none(), "enough wait");
        drop(first);
        let second = second.await.unwrap();
        drop((second, other));
        assert!(lock(&turns.named).is_empty());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_leaves_their_place() {
        let turns = Turns::new(1);
        let first = turns.take(b"ada").await;
        let waited = tokio::time::timeout(Duration::ZERO, turns.take(b"ada")).await;
        assert!(waited.is_err());
        let waited = tokio::time::timeout(Duration::ZERO, turns.take(b"ada")).await;
        assert!(waited.is_err(), "the place was not given back");
        drop(first);
        assert!(turns.try_take(b"ada").is_some());
    }
}
