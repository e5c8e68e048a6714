//! The small HTTP listener beside gRPC: liveness, readiness and metrics. It is meant for the orchestrator and the scraper, not for the internet: it speaks
//! no TLS and asks nobody who they are.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::platform::limited_listener::{ConnectionPermit, LimitedListener};
use crate::platform::telemetry::Metrics;

/// Connections for pages at the most. Those who ask are an orchestrator and a scraper.
pub const MAX_PAGES: usize = 64;
/// How long a connection for pages may last. A client that wants another page later connects again.
const PAGE_TIME: Duration = Duration::from_secs(5);

/// More than any answer that [`probe`] is made for, in bytes.
const PROBE_LIMIT: u64 = 4 * 1024 * 1024;

/// Whether this process should get calls, and if not, why. Clones share it.
///
/// Readiness may depend on the database; liveness must not, or an outage of the database would restart every replica (ab_11).
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Result<(), String>>>);

impl Readiness {
    /// Not ready yet: starting.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Err("starting".into()))))
    }

    /// From now on calls are welcome.
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// From now on calls should go elsewhere. `/readyz` shows the reason: no secrets, no addresses.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    /// The state now; an error is the reason for not being ready.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), String> {
        self.0.borrow().clone()
    }

    /// Follows the state, for example into `grpc.health.v1`. Wakes up only when it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Result<(), String>> {
        self.0.subscribe()
    }

    fn set(&self, state: Result<(), String>) {
        self.0.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

/// What the pages show.
#[derive(Clone, Debug)]
pub struct HttpState {
    /// Shown at `/readyz`.
    pub readiness: Readiness,
    /// Shown at `/metrics`.
    pub metrics: Metrics,
}

/// The pages: `/livez`, `/readyz` and `/metrics`.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// Serves [`router`] on `listener` until `stop` is done, then lets the requests at work finish.
///
/// `stop` should be the end of the drain, not its beginning: while the process drains, `/readyz` has to go on saying so.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    state: HttpState,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let pages = Pages(LimitedListener::new("http", listener, MAX_PAGES));
    axum::serve(pages, router(state)).with_graceful_shutdown(stop).await
}

/// The connections for pages, each with a place and an end.
struct Pages(LimitedListener);

impl Listener for Pages {
    type Io = Page;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Page, SocketAddr) {
        let (stream, peer, place) = self.0.accept().await;
        let page = Page { stream, end: Box::pin(tokio::time::sleep(PAGE_TIME)), _place: place };
        (page, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that ends when its time is over, whatever it waits for then: axum would wait for the rest of a request for ever.
struct Page {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: ConnectionPermit,
}

impl Page {
    fn poll_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Page {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Page {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_end(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Asks an HTTP listener for a page and answers its status and text: what `roster healthcheck` does, with no HTTP client.
///
/// # Errors
/// When nobody answers within `limit`, or not in HTTP.
pub async fn probe(address: SocketAddr, path: &str, limit: Duration) -> std::io::Result<(u16, String)> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(PROBE_LIMIT).read_to_string(&mut answer).await?;
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        match (status, answer.split_once("\r\n\r\n")) {
            (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
            _ => Err(std::io::Error::other("the answer is not HTTP")),
        }
    };
    tokio::time::timeout(limit, ask).await?
}

/// 200 for as long as the process turns.
async fn livez() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "alive\n")
}

/// 200 when calls are welcome, 503 with the reason otherwise.
async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let (status, text) = match state.readiness.check() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    };
    (status, [(CACHE_CONTROL, "no-store")], text)
}

async fn metrics(State(state): State<HttpState>) -> Response {
    match state.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Shutdown, Telemetry};

    struct Server {
        address: std::net::SocketAddr,
        readiness: Readiness,
        telemetry: Telemetry,
        stop: Shutdown,
        task: tokio::task::JoinHandle<std::io::Result<()>>,
    }

    async fn start() -> Server {
        let (telemetry, readiness, stop) = (Telemetry::for_tests().unwrap(), Readiness::new(), Shutdown::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = HttpState { readiness: readiness.clone(), metrics: telemetry.metrics() };
        let task = tokio::spawn(serve(listener, state, stop.token().cancelled_owned()));
        Server { address, readiness, telemetry, stop, task }
    }

    async fn request(server: &Server, line: &str) -> String {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(format!("{line} HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn liveness_does_not_depend_on_readiness() {
        let server = start().await;
        assert!(request(&server, "GET /livez").await.starts_with("HTTP/1.1 200"));
        server.readiness.ready();
        assert!(request(&server, "GET /livez").await.ends_with("\r\n\r\nalive\n"));
    }

    #[tokio::test]
    async fn readiness_names_its_reason() {
        let server = start().await;
        let answer = request(&server, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready: starting\n"), "{answer}");
        server.readiness.ready();
        assert!(request(&server, "GET /readyz").await.starts_with("HTTP/1.1 200"));
        assert!(request(&server, "HEAD /readyz").await.starts_with("HTTP/1.1 200"));
        server.readiness.not_ready("draining");
        assert!(request(&server, "GET /readyz").await.ends_with("not ready: draining\n"));
    }

    #[tokio::test]
    async fn followers_wake_up_for_changes_only() {
        let readiness = Readiness::default();
        let mut follower = readiness.subscribe();
        readiness.not_ready("starting");
        assert!(!follower.has_changed().unwrap());
        readiness.ready();
        follower.changed().await.unwrap();
        assert_eq!(*follower.borrow_and_update(), Ok(()));
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let server = start().await;
        server.telemetry.meter().u64_counter("answers").build().add(42, &[]);
        let answer = request(&server, "GET /metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("answers_total 42\n"), "{answer}");
    }

    #[tokio::test]
    async fn anything_else_is_not_found() {
        let server = start().await;
        assert!(request(&server, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(request(&server, "POST /readyz").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn it_serves_until_it_is_stopped() {
        let server = start().await;
        server.stop.request();
        server.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_probe_answers_status_and_text() {
        let server = start().await;
        let limit = Duration::from_secs(5);
        let (status, text) = probe(server.address, "/readyz", limit).await.unwrap();
        assert_eq!((status, text.as_str()), (503, "not ready: starting\n"));
        server.readiness.ready();
        assert_eq!(probe(server.address, "/readyz", limit).await.unwrap().0, 200);
    }

    #[tokio::test]
    async fn a_probe_does_not_wait_for_ever() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        assert!(probe(address, "/livez", Duration::from_millis(50)).await.is_err());
        drop(silent);
        assert!(probe(address, "/livez", Duration::from_secs(5)).await.is_err());
    }
}
