//! What has been read, in memory.

use std::sync::{PoisonError, RwLock};

use opentelemetry::{global, metrics::Counter};
use quick_cache::sync::Cache;

use super::{
    entries::{Bytes, Entry, Key, Value},
    marks::Marks,
};
use crate::platform::clock::Stopwatch;

/// Entries that room is made for at first; what bounds the directory are its bytes.
const EXPECTED_ENTRIES: usize = 10_000;

/// What has been read, and how far the log has been.
pub(super) struct Kept {
    cache: Cache<Key, Entry, Bytes>,
    marks: RwLock<Marks>,
    hits: Counter<u64>,
    loads: Counter<u64>,
}

impl Kept {
    pub(super) fn new(bytes: u64) -> Self {
        let counter = |name: &'static str, description: &'static str| {
            global::meter("roster").u64_counter(name).with_description(description).build()
        };
        Self {
            cache: Cache::with_weighter(EXPECTED_ENTRIES, bytes, Bytes),
            marks: RwLock::default(),
            hits: counter("roster.directory.hits", "What authentication and checks found in memory."),
            loads: counter(
                "roster.directory.loads",
                "What they read from the database, because it was not there or had changed.",
            ),
        }
    }

    /// The values of these keys, if all are there and good at one moment.
    pub(super) fn find<const N: usize>(&self, keys: [Key; N]) -> Option<[Value; N]> {
        let entries = keys.map(|key| self.cache.get(&key).map(|entry| (key, entry)));
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let good = entries.iter().flatten().filter(|(key, entry)| !entry.outlived() && marks.good(key, entry)).count();
        drop(marks);
        if good < N {
            return None;
        }
        self.hits.add(N as u64, &[]);
        let values: Vec<Value> = entries.into_iter().flatten().map(|(_, entry)| entry.value).collect();
        values.try_into().ok()
    }

    /// How far the log has been applied: to be asked before something is loaded.
    pub(super) fn applied(&self) -> u64 {
        self.loads.add(1, &[]);
        self.marks.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    pub(super) fn keep(&self, key: Key, value: Value, loaded: u64) {
        self.cache.insert(key, Entry { value, loaded, kept: Stopwatch::start() });
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.marks.write().unwrap_or_else(PoisonError::into_inner));
    }
}
