//! What the worker counts.

use std::time::Duration;

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};

/// Instruments of the global meter. They count nothing until the process has installed a provider.
#[derive(Debug)]
pub(super) struct Metrics {
    delivered: Counter<u64>,
    failed: Counter<u64>,
    retried: Counter<u64>,
    duration: Histogram<f64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let meter = global::meter("roster");
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).build()
        };
        Self {
            delivered: counter("roster.outbox.delivered", "Messages that were handed over."),
            failed: counter("roster.outbox.failed", "Messages that were given up."),
            retried: counter("roster.outbox.retried", "Attempts that failed and will be made again."),
            duration: meter
                .f64_histogram("roster.outbox.delivery.duration")
                .with_unit("s")
                .with_description("Time from the claim of a message to the outcome of the attempt.")
                .with_boundaries(vec![0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0])
                .build(),
        }
    }

    pub(super) fn attempt(&self, kind: &str, took: Duration) {
        self.duration.record(took.as_secs_f64(), &[of_kind(kind)]);
    }

    pub(super) fn delivered(&self, kind: &str) {
        self.delivered.add(1, &[of_kind(kind)]);
    }

    pub(super) fn failed(&self, kind: &str) {
        self.failed.add(1, &[of_kind(kind)]);
    }

    pub(super) fn retried(&self, kind: &str) {
        self.retried.add(1, &[of_kind(kind)]);
    }
}

fn of_kind(kind: &str) -> KeyValue {
    KeyValue::new("kind", kind.to_owned())
}
