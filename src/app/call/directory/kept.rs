//! What has been read, in memory.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use quick_cache::{DefaultHashBuilder, sync::Cache};

use super::{
    entries::{Bytes, Entry, Key, Value},
    marks::Marks,
    metrics::{Cause, Evictions, Metrics},
};
use crate::platform::clock::Stopwatch;

/// Entries that room is made for at first; what bounds the directory are its bytes.
const EXPECTED_ENTRIES: usize = 10_000;

/// What has been read, and how far the log has been.
pub(super) struct Kept {
    cache: Cache<Key, Entry, Bytes, DefaultHashBuilder, Evictions>,
    marks: RwLock<Marks>,
    metrics: Metrics,
}

impl Kept {
    pub(super) fn new(bytes: u64) -> Self {
        let metrics = Metrics::new();
        let evictions = Evictions(metrics.clone());
        Self {
            cache: Cache::with(EXPECTED_ENTRIES, bytes, Bytes, DefaultHashBuilder::default(), evictions),
            marks: RwLock::default(),
            metrics,
        }
    }

    /// The values of these keys, if all are there and good at one moment.
    pub(super) fn find<const N: usize>(&self, keys: [Key; N]) -> Option<[Value; N]> {
        let entries = keys.map(|key| self.cache.get(&key).map(|entry| (key, entry)));
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let reason = |(key, entry): &(Key, Entry)| match (entry.outlived(), marks.good(key, entry)) {
            (_, false) => Some(Cause::Changed),
            (true, true) => Some(Cause::Outlived),
            (false, true) => None,
        };
        let reasons = entries.each_ref().map(|entry| entry.as_ref().and_then(reason));
        drop(marks);
        for cause in reasons.iter().flatten() {
            self.metrics.dropped(*cause);
        }
        if entries.iter().any(Option::is_none) || reasons.iter().any(Option::is_some) {
            return None;
        }
        self.metrics.hits.add(N as u64, &[]);
        let values: Vec<Value> = entries.into_iter().flatten().map(|(_, entry)| entry.value).collect();
        values.try_into().ok()
    }

    /// How far the log has been applied: to be asked before something is loaded.
    pub(super) fn applied(&self) -> u64 {
        self.metrics.loads.add(1, &[]);
        self.marks.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    pub(super) fn keep(&self, key: Key, value: Value, loaded: u64) {
        self.cache.insert(key, Entry { value, loaded, kept: Stopwatch::start() });
    }

    /// Everything that was loaded until now counts as changed.
    pub(super) fn forget(&self, cause: Cause) {
        self.metrics.dropped(cause);
        self.change(Marks::forget);
    }

    /// Notes how large this is, and how old what it knows.
    pub(super) fn measure(&self, age: Option<Duration>) {
        self.metrics.note(self.cache.weight(), self.cache.len(), age);
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.marks.write().unwrap_or_else(PoisonError::into_inner));
    }
}
