//! What is limited and shared: places, connections, bytes that arrive.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Gives out of something limited, and to nobody more than what is left for all the others: whoever takes alone gets a half, each of two a third, each of a hundred a hundredth,
/// and there is always as much free. So no number of takers has to be guessed, and nobody is kept out by those who take most. Clones share it.
pub struct FairLimit<K>(Arc<Inner<K>>);

struct Inner<K> {
    total: usize,
    least: usize,
    /// Held for a look and a sum, and never over an await: two who take at once must not both get the last.
    taken: Mutex<Usage<K>>,
}

struct Usage<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// What one has taken. It is given back when this is dropped.
pub struct FairPermit<K: Eq + Hash> {
    limit: FairLimit<K>,
    key: K,
    amount: usize,
}

impl<K> Clone for FairLimit<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for FairLimit<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FairLimit").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> fmt::Debug for FairPermit<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FairPermit").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> FairLimit<K> {
    /// `total` to give out. Up to `least` anybody gets for as long as there is any, however little would be left.
    #[must_use]
    pub fn new(total: usize, least: usize) -> Self {
        let taken = Usage { all: 0, of: HashMap::new() };
        Self(Arc::new(Inner { total, least, taken: Mutex::new(taken) }))
    }

    /// Takes this much for `key`; `None` where that is more than its share.
    #[must_use]
    pub fn take(&self, key: &K, amount: usize) -> Option<FairPermit<K>> {
        let mut permit = FairPermit { limit: self.clone(), key: key.clone(), amount: 0 };
        permit.grow(amount).then_some(permit)
    }
}

impl<K> FairLimit<K> {
    fn taken(&self) -> MutexGuard<'_, Usage<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> FairPermit<K> {
    /// Takes this much more; `false`, and nothing taken, where that is more than its share.
    #[must_use]
    pub fn grow(&mut self, amount: usize) -> bool {
        let Inner { total, least, .. } = *self.limit.0;
        let mut taken = self.limit.taken();
        let left = total.saturating_sub(taken.all).checked_sub(amount);
        let held = taken.of.get(&self.key).copied().unwrap_or_default() + amount;
        let fits = left.is_some_and(|left| held <= least.max(left));
        if fits {
            taken.all += amount;
            taken.of.insert(self.key.clone(), held);
            self.amount += amount;
        }
        fits
    }
}

impl<K: Eq + Hash> Drop for FairPermit<K> {
    fn drop(&mut self) {
        let mut taken = self.limit.taken();
        taken.all = taken.all.saturating_sub(self.amount);
        let left = match taken.of.get_mut(&self.key) {
            Some(held) => {
                *held = held.saturating_sub(self.amount);
                *held
            }
            None => return,
        };
        // A key that has nothing must not be remembered: there is no end of addresses.
        if left == 0 {
            taken.of.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(limit: &FairLimit<u32>, key: u32) -> Vec<FairPermit<u32>> {
        std::iter::from_fn(|| limit.take(&key, 1)).collect()
    }

    #[test]
    fn nobody_gets_more_than_what_is_left_for_the_others() {
        let limit = FairLimit::new(120, 0);
        let first = most(&limit, 1);
        assert_eq!(first.len(), 60);
        let mut second = most(&limit, 2);
        assert_eq!(second.len(), 30, "half of what the first has left");
        drop(first);
        second.extend(most(&limit, 2));
        assert_eq!(second.len(), 60);
        drop(second);
        // Many who take by turns end with equal shares, and one more finds as much.
        let mut held = Vec::new();
        for _ in 0..120 {
            held.extend((1..=9).filter_map(|key| limit.take(&key, 1)));
        }
        assert_eq!(held.len(), 9 * 12);
        assert_eq!(most(&limit, 10).len(), 6);
    }

    #[test]
    fn the_least_is_anybodys_and_the_total_is_kept() {
        let limit = FairLimit::new(3, 2);
        assert_eq!(most(&limit, 1).len(), 2);
        let (first, second) = (most(&limit, 1), most(&limit, 2));
        assert_eq!((first.len(), second.len()), (2, 1));
        assert!(limit.take(&3, 1).is_none());
        drop((first, second));
        assert!(limit.take(&3, 4).is_none());
        assert!(limit.taken().of.is_empty() && limit.taken().all == 0);
    }

    #[test]
    fn a_share_grows_within_the_same_bounds() {
        let limit = FairLimit::new(100, 0);
        let mut permit = limit.take(&1, 10).unwrap();
        assert!(permit.grow(40) && !permit.grow(1));
        assert!(limit.take(&2, 25).is_some_and(|mut other| !other.grow(1)));
        drop(permit);
        assert!(limit.taken().of.is_empty());
    }
}
