//! Compares this process's clock with the database's, at the start and from time to time.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use opentelemetry::{global, metrics::Gauge};

use crate::{
    platform::{clock::Clock, shutdown::Shutdown},
    store::Store,
};

/// How often the clocks are compared.
const COMPARE: Duration = Duration::from_secs(10);
/// How far they may be apart before somebody has to look: a code of a second factor is good for half a minute.
const MOST: TimeDelta = TimeDelta::seconds(5);

/// Compares once, before anything is leased, and goes on comparing.
pub(super) async fn watch(store: &Arc<Store>, clock: &Clock, shutdown: &Shutdown) {
    let mut watch = Watch {
        store: store.clone(),
        clock: clock.clone(),
        metric: global::meter("roster")
            .f64_gauge("roster.clock.skew")
            .with_unit("s")
            .with_description("How far the clock of the process is ahead of the database's.")
            .build(),
        apart: false,
    };
    watch.compare().await;
    shutdown.spawn(shutdown.token().run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(COMPARE).await;
            watch.compare().await;
        }
    }));
}

struct Watch {
    store: Arc<Store>,
    clock: Clock,
    metric: Gauge<f64>,
    /// Whether the clocks were too far apart when they were last compared.
    apart: bool,
}

impl Watch {
    async fn compare(&mut self) {
        let ahead = match self.store.measure_skew(&self.clock).await {
            Ok(Some(ahead)) => ahead,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "could not compare the clock with the database's");
                return;
            }
        };
        self.metric.record(ahead.as_seconds_f64(), &[]);
        let apart = ahead.abs() > MOST;
        match (self.apart, apart) {
            (false, true) => tracing::warn!(
                ahead_seconds = ahead.as_seconds_f64(),
                "the clock of this process and the database's are apart: expiry and second factors go by the former"
            ),
            (true, false) => tracing::info!("the clock of this process and the database's are in step again"),
            _ => {}
        }
        self.apart = apart;
    }
}
