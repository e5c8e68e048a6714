//! Calls that are made as fast as they are answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{machine, site::Site};

/// What a slice of calls came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// Calls a second.
    pub(crate) rate: f64,
    /// Microseconds of processor time of the servers and their database for each call.
    pub(crate) cost: f64,
    /// The time that 99 of 100 calls took less than, in microseconds.
    pub(crate) p99: f64,
    /// The median time of a call, in microseconds.
    pub(crate) median: f64,
}

/// Makes calls for a time, so many at once. Each is told its number. A call that fails ends the measurement.
pub(crate) async fn run<F, C>(site: &Site, time: Duration, at_once: usize, call: C) -> Slice
where
    C: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let call = Arc::new(call);
    let next = Arc::new(AtomicUsize::new(0));
    let before = site.used();
    let start = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (call, next) = (call.clone(), next.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let begun = Instant::now();
                    call(next.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    let (seconds, used) = (start.elapsed().as_secs_f64(), site.used() - before);
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    let calls = times.len() as f64;
    Slice { rate: calls / seconds, cost: used / calls, p99: at(99), median: at(50) }
}

impl Site {
    /// Microseconds of processor time that the servers and their database have used.
    pub(crate) fn used(&self) -> f64 {
        let servers: f64 = self.servers.iter().map(|server| machine::used(server.pid())).sum();
        servers + machine::postgres().into_iter().map(machine::used).sum::<f64>()
    }
}
