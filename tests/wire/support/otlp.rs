//! The receiving side of OTLP over gRPC: what the program exports is received by a server as a collector would be one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How long an export may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector. Clones are the same one; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
}

impl Receiver {
    /// Starts a collector on a free port of the loopback interface.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let server = Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        receiver
    }

    /// Where it is, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The resources of everything received.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        let received = self.lock();
        let traces =
            received.traces.iter().flat_map(|export| &export.resource_spans).filter_map(|part| part.resource.clone());
        let metrics = received
            .metrics
            .iter()
            .flat_map(|export| &export.resource_metrics)
            .filter_map(|part| part.resource.clone());
        traces.chain(metrics).collect()
    }

    /// Waits for a span.
    pub(crate) async fn span(&self, wanted: impl Fn(&Span) -> bool) -> Span {
        self.wait_for(|received| {
            let scopes =
                received.traces.iter().flat_map(|export| &export.resource_spans).flat_map(|part| &part.scope_spans);
            scopes.flat_map(|scope| &scope.spans).find(|span| wanted(span)).cloned()
        })
        .await
    }

    /// Waits for a metric.
    pub(crate) async fn metric(&self, wanted: impl Fn(&Metric) -> bool) -> Metric {
        self.wait_for(|received| {
            let scopes = received
                .metrics
                .iter()
                .flat_map(|export| &export.resource_metrics)
                .flat_map(|part| &part.scope_metrics);
            scopes.flat_map(|scope| &scope.metrics).find(|metric| wanted(metric)).cloned()
        })
        .await
    }

    /// All exports of traces, as they came.
    pub(crate) fn traces_bytes(&self) -> Vec<u8> {
        self.lock().traces.iter().flat_map(Message::encode_to_vec).collect()
    }

    /// All exports of metrics, as they came.
    pub(crate) fn metrics_bytes(&self) -> Vec<u8> {
        self.lock().metrics.iter().flat_map(Message::encode_to_vec).collect()
    }

    async fn wait_for<T>(&self, find: impl Fn(&Received) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = find(&self.lock()) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "what is waited for was not exported");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.lock().traces.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.lock().metrics.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
