//! The span and the measurements of each call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use opentelemetry::{KeyValue, global, metrics::Histogram, propagation::Extractor};
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{app::call::rule::Rule, platform::clock::Stopwatch};

/// The services that are served here and are not ours.
const OTHERS: [&str; 2] = ["/grpc.health.v1.Health", "/grpc.reflection"];

/// Puts a span around each call, under the caller's W3C trace context, and measures it.
#[derive(Clone)]
pub(crate) struct TraceLayer {
    duration: Histogram<f64>,
}

impl TraceLayer {
    /// A layer that measures with the global meter.
    pub(crate) fn new() -> Self {
        Self {
            duration: global::meter("roster")
                .f64_histogram("rpc.server.duration")
                .with_unit("s")
                .with_description("Duration of each call, by method and status code.")
                .with_boundaries(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
                .build(),
        }
    }
}

impl TraceLayer {
    /// The method's name, or the service's for those that are not ours, or one word for all that is neither: a label that callers could choose would
    /// let them fill the memory.
    fn name(path: &str) -> &'static str {
        match Rule::of(path) {
            Some(rule) => rule.method,
            None => OTHERS.iter().find(|service| path.starts_with(*service)).map_or("/unknown", |service| *service),
        }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, layer: self.clone() }
    }
}

/// A service with a span around each call.
#[derive(Clone)]
pub(crate) struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = TraceLayer::name(request.uri().path());
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
        let answer = {
            let _entered = span.enter();
            self.inner.call(request)
        };
        let (duration, stopwatch, outer) = (self.layer.duration.clone(), Stopwatch::start(), span.clone());
        let measured = async move {
            let response = answer.await;
            if let Ok(response) = &response {
                let code = code(response.headers());
                outer.record("rpc.grpc.status_code", code);
                let labels = [KeyValue::new("rpc.method", method), KeyValue::new("rpc.grpc.status_code", code)];
                duration.record(stopwatch.seconds(), &labels);
                tracing::debug!(code, seconds = stopwatch.seconds(), "answered");
            }
            response
        };
        Box::pin(measured.instrument(span))
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
