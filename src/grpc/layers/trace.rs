//! The span and the measurements of each call.

use http::{HeaderMap, Request, Response};
use opentelemetry::{KeyValue, global, metrics::Histogram, propagation::Extractor};
use tonic::body::Body;
use tracing::{Instrument, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    app::call::rule::Rule,
    grpc::layers::around::{Around, Inner},
    platform::{clock::Stopwatch, statements},
};

/// The services that are served here and are not ours.
const OTHERS: [&str; 2] = ["/grpc.health.v1.Health", "/grpc.reflection"];

/// A span around each call, under the caller's W3C trace context, and how long it takes.
#[derive(Clone)]
pub(crate) struct Trace {
    duration: Histogram<f64>,
    statements: Histogram<u64>,
}

impl Trace {
    /// Measures with the global meter.
    pub(crate) fn new() -> Self {
        Self {
            duration: global::meter("roster")
                .f64_histogram("rpc.server.duration")
                .with_unit("s")
                .with_description("Duration of each call, by method and status code.")
                .with_boundaries(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
                .build(),
            statements: global::meter("roster")
                .u64_histogram("roster.call.statements")
                .with_description(
                    "Statements that each call has sent to the database, by method: round trips of PostgreSQL.",
                )
                .with_boundaries(vec![0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 100.0])
                .build(),
        }
    }
}

impl Trace {
    /// The method's name, or the service's for those that are not ours, or one word for all that is neither: a label that callers could choose would
    /// let them fill the memory.
    fn name(path: &str) -> &'static str {
        match Rule::of(path) {
            Some(rule) => rule.method,
            None => OTHERS.iter().find(|service| path.starts_with(*service)).map_or("/unknown", |service| *service),
        }
    }
}

impl Around for Trace {
    async fn answer<S: Inner>(self, mut inner: S, request: Request<Body>) -> Result<Response<Body>, S::Error> {
        let method = Self::name(request.uri().path());
        let span = tracing::info_span!(
            "rpc",
            otel.name = method.trim_start_matches('/'),
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.method = %method,
            rpc.grpc.status_code = Empty,
        );
        let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
        // Without an exporter there is no context to set, and nothing is lost.
        let _ = span.set_parent(parent);
        let (stopwatch, outer) = (Stopwatch::start(), span.clone());
        let measured = async move {
            let (response, statements) = statements::counted(inner.call(request)).await;
            self.statements.record(statements, &[KeyValue::new("rpc.method", method)]);
            if let Ok(response) = &response {
                let code = code(response.headers());
                outer.record("rpc.grpc.status_code", code);
                let labels = [KeyValue::new("rpc.method", method), KeyValue::new("rpc.grpc.status_code", code)];
                self.duration.record(stopwatch.seconds(), &labels);
                tracing::debug!(code, seconds = stopwatch.seconds(), "answered");
            }
            response
        };
        measured.instrument(span).await
    }
}

/// A refused call has its code in the headers; one that succeeded has it behind the body.
fn code(headers: &HeaderMap) -> i64 {
    let code = headers.get("grpc-status").and_then(|code| code.to_str().ok());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
