//! Taking connections: within limits, in fair shares, and without burning the processor when there are no descriptors.

use std::{fs, io, net::SocketAddr, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, UpDownCounter},
};
use tokio::net::{TcpListener, TcpStream};

use super::{
    fair_limit::{FairLimit, FairPermit},
    network::Network,
};

/// How long nothing is accepted after accepting has failed, at first and at the longest. Without a pause, a process without descriptors asks for the next connection for ever (ab_58).
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Connections that an address may have for as long as there is any place, however many others there are.
const LEAST: usize = 2;

/// A listener that takes so many connections at a time and of each address no more than its share.
#[derive(Debug)]
pub struct LimitedListener {
    listener: TcpListener,
    connections: FairLimit<Network>,
    metrics: Metrics,
}

/// Permission for one open connection; dropping it gives the permission back.
#[derive(Debug)]
pub struct ConnectionPermit {
    _permit: FairPermit<Network>,
    open: UpDownCounter<i64>,
    name: KeyValue,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.open.add(-1, std::slice::from_ref(&self.name));
    }
}

impl LimitedListener {
    /// Takes at most `connections` at a time. `name` tells the listener's measurements from those of others.
    #[must_use]
    pub fn new(name: &'static str, listener: TcpListener, connections: usize) -> Self {
        Self { listener, connections: FairLimit::new(connections, LEAST), metrics: Metrics::new(name) }
    }

    /// The next connection that has a place. Others are closed at once: a client that hears so can go elsewhere, one that waits in a queue cannot.
    pub async fn accept(&self) -> (TcpStream, SocketAddr, ConnectionPermit) {
        let mut pause = FIRST_PAUSE;
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                // That one client has gone again.
                Err(error) if is_of_the_client(&error) => continue,
                Err(error) => {
                    self.metrics.refused("error");
                    tracing::error!(%error, listener = %self.metrics.name.value, "cannot take connections; trying again after a pause");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            };
            pause = FIRST_PAUSE;
            let Some(permit) = self.connections.take(&Network::of(peer.ip()), 1) else {
                self.metrics.refused("limit");
                tracing::debug!("a connection is refused: its address has its share of them");
                continue;
            };
            // Small answers are not to wait for more. Without it they are slower, and as right.
            let _ = stream.set_nodelay(true);
            return (stream, peer, self.metrics.permit(permit));
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Counts a connection that did not say in time what it speaks.
    pub fn silent(&self) -> impl Fn() + Send + 'static + use<> {
        let metrics = self.metrics.clone();
        move || metrics.refused("silent")
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | BrokenPipe | Interrupted | TimedOut
    )
}

/// How many files and connections this process may have open; `None` where the system does not say.
#[must_use]
pub fn descriptors() -> Option<usize> {
    // The soft limit is the one that counts.
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Instruments of the global meter.
#[derive(Debug, Clone)]
struct Metrics {
    name: KeyValue,
    open: UpDownCounter<i64>,
    refused: Counter<u64>,
}

impl Metrics {
    fn new(name: &'static str) -> Self {
        let meter = global::meter("roster");
        Self {
            name: KeyValue::new("listener", name),
            open: meter
                .i64_up_down_counter("roster.connections")
                .with_description("Connections that are open.")
                .build(),
            refused: meter
                .u64_counter("roster.connections.refused")
                .with_description(
                    "Connections that were not taken: beyond their share, silent, or for lack of descriptors.",
                )
                .build(),
        }
    }

    fn permit(&self, permit: FairPermit<Network>) -> ConnectionPermit {
        self.open.add(1, std::slice::from_ref(&self.name));
        ConnectionPermit { _permit: permit, open: self.open.clone(), name: self.name.clone() }
    }

    fn refused(&self, reason: &'static str) {
        self.refused.add(1, &[self.name.clone(), KeyValue::new("reason", reason)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_how_many_descriptors_there_are() {
        assert!(descriptors().is_some_and(|number| number > 3));
    }

    #[tokio::test]
    async fn a_listener_takes_permits_and_gives_them_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = LimitedListener::new("test", listener, 8);
        let address = listener.local_addr().unwrap();
        let connect = async || TcpStream::connect(address).await.unwrap();
        let mut inside = Vec::new();
        for _ in 0..4 {
            let _client = connect().await;
            inside.push(listener.accept().await);
        }
        let _client = connect().await;
        let fifth = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(fifth.is_err(), "a fifth of eight");
        inside.pop();
        let _client = connect().await;
        tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.unwrap();
    }
}
