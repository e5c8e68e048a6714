//! What operators see of the directory.

use std::time::Duration;

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge},
};
use quick_cache::Lifecycle;

use super::entries::{Entry, Key};

/// Why an entry is used no more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// The log told of a change of what it was read from.
    Changed,
    /// It had been kept for as long as one of its kind may be.
    Outlived,
    /// There was no room for it.
    Evicted,
    /// All of them at once: the log is another one than was followed, as at the start and after a failover that lost commits.
    LogLost,
    /// All of them at once: somebody else has committed to the SQLite file.
    Foreign,
}

impl Cause {
    fn label(self) -> &'static str {
        match self {
            Cause::Changed => "changed",
            Cause::Outlived => "outlived",
            Cause::Evicted => "evicted",
            Cause::LogLost => "log_lost",
            Cause::Foreign => "foreign_commit",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) hits: Counter<u64>,
    pub(super) loads: Counter<u64>,
    drops: Counter<u64>,
    bytes: Gauge<u64>,
    entries: Gauge<u64>,
    age: Gauge<f64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let meter = global::meter("roster");
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).build()
        };
        let gauge =
            |name: &'static str, description: &'static str| meter.u64_gauge(name).with_description(description).build();
        Self {
            hits: counter("roster.directory.hits", "What authentication and checks found in memory."),
            loads: counter(
                "roster.directory.loads",
                "What they read from the database, because it was not there or had changed.",
            ),
            drops: counter("roster.directory.drops", "Entries that were used no more, by cause."),
            bytes: gauge("roster.directory.bytes", "What the entries take, about."),
            entries: gauge("roster.directory.entries", "Entries in memory."),
            age: meter
                .f64_gauge("roster.directory.age")
                .with_unit("s")
                .with_description("How long ago the last reading of the log began that told of everything.")
                .build(),
        }
    }

    pub(super) fn dropped(&self, cause: Cause) {
        self.drops.add(1, &[KeyValue::new("cause", cause.label())]);
    }

    /// Notes how large the directory is, and how old what it knows.
    pub(super) fn note(&self, bytes: u64, entries: usize, age: Option<Duration>) {
        self.bytes.record(bytes, &[]);
        self.entries.record(entries as u64, &[]);
        if let Some(age) = age {
            self.age.record(age.as_secs_f64(), &[]);
        }
    }
}

/// Counts what there was no room for.
#[derive(Debug, Clone)]
pub(super) struct Evictions(pub(super) Metrics);

impl Lifecycle<Key, Entry> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _key: Key, _entry: Entry) {
        self.0.dropped(Cause::Evicted);
    }
}
