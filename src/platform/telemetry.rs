//! Logs, traces and metrics.
//!
//! Logs go to standard error: for people when it is a terminal, one JSON object a line otherwise. Traces and metrics leave through OTLP (gRPC) when an
//! endpoint is configured. The same metrics are always there to be scraped as Prometheus text, see [`Metrics::render`].
//!
//! OpenTelemetry's own variables that are not in [`TelemetrySettings`] (headers, time limits, sampler, batch sizes, resource attributes) are read by its SDK.

use std::io::IsTerminal;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Registry, TextEncoder};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The service name when nobody gives another one.
const SERVICE: &str = "roster";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Human`] on a terminal, [`LogFormat::Json`] elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What [`Telemetry::init`] needs to know.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySettings {
    /// Which spans and events are logged and traced, in the syntax of tracing-subscriber's `EnvFilter`: `info,sqlx=warn`.
    pub filter: String,
    /// How log lines look.
    pub format: LogFormat,
    /// Where traces go (OTLP over gRPC); `None`: nowhere.
    pub traces_endpoint: Option<String>,
    /// Where metrics go (OTLP over gRPC); `None`: nowhere. They can be scraped all the same.
    pub metrics_endpoint: Option<String>,
    /// The `service.name` of what is exported; `None`: what the resource attributes say, or `roster`.
    pub service_name: Option<String>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of `EnvFilter`.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// An OTLP exporter was asked for where no tokio runtime is.
    #[error("exporters can only be started inside a tokio runtime")]
    NoRuntime,
    /// An OTLP exporter refused its configuration.
    #[error("the OTLP exporter cannot be set up: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics registry refused the exporter.
    #[error("the metrics registry cannot be set up: {0}")]
    Registry(String),
    /// The process has a subscriber for logs already.
    #[error("logging is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The last traces or metrics could not be handed over.
    #[error("the last telemetry was lost: {0}")]
    Shutdown(String),
}

/// What keeps exporting until [`Telemetry::shutdown`].
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    meters: SdkMeterProvider,
    tracer: Option<SdkTracerProvider>,
}

/// The metrics of the process as Prometheus scrapes them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Registry);

impl Telemetry {
    /// Sets up logs, the W3C propagator, and the exporters that `settings` ask for. Once per process; inside a tokio runtime if anything is exported.
    ///
    /// # Errors
    /// See [`TelemetryError`]. An endpoint that does not answer is none: exports are retried in the background.
    pub fn init(settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&settings.filter)?;
        let telemetry = Self::start(settings)?;
        let spans = telemetry
            .tracer
            .as_ref()
            .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)));
        tracing_subscriber::registry().with(filter).with(spans).with(log_lines(settings.format)).try_init()?;
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_meter_provider(telemetry.meters.clone());
        if let Some(provider) = &telemetry.tracer {
            global::set_tracer_provider(provider.clone());
        }
        Ok(telemetry)
    }

    /// Metrics only, nothing exported and nothing global: several may live in one process.
    ///
    /// # Errors
    /// [`TelemetryError::Registry`].
    pub fn for_tests() -> Result<Self, TelemetryError> {
        Self::start(&TelemetrySettings::default())
    }

    fn start(settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        // tonic's channel panics elsewhere.
        if (settings.traces_endpoint.is_some() || settings.metrics_endpoint.is_some())
            && tokio::runtime::Handle::try_current().is_err()
        {
            return Err(TelemetryError::NoRuntime);
        }
        let registry = Registry::new();
        // Every metric of ours has one scope, which says nothing to a scraper.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| TelemetryError::Registry(error.to_string()))?;
        let mut meters = SdkMeterProvider::builder().with_resource(resource(settings)).with_reader(exporter);
        if let Some(endpoint) = &settings.metrics_endpoint {
            meters =
                meters.with_periodic_exporter(MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?);
        }
        let tracer = match &settings.traces_endpoint {
            Some(endpoint) => {
                let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
                Some(
                    SdkTracerProvider::builder()
                        .with_resource(resource(settings))
                        .with_batch_exporter(exporter)
                        .build(),
                )
            }
            None => None,
        };
        Ok(Self { metrics: Metrics(registry), meters: meters.build(), tracer })
    }

    /// The meter from which all of Roster's instruments are made.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.meters
            .meter_with_scope(InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION")).build())
    }

    /// The metrics, to be shown to a scraper.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Hands over what has not been exported yet; takes at most some ten seconds. Spans and metrics recorded later are lost.
    ///
    /// # Errors
    /// [`TelemetryError::Shutdown`], for the log: there is nothing left to do.
    pub async fn shutdown(self) -> Result<(), TelemetryError> {
        // The providers block their thread until their exports are through, and the exports need the runtime.
        let done = tokio::task::spawn_blocking(move || {
            let traces = self.tracer.map_or(Ok(()), |provider| provider.shutdown());
            let metrics = self.meters.shutdown();
            traces.and(metrics)
        });
        done.await
            .map_err(|error| TelemetryError::Shutdown(error.to_string()))?
            .map_err(|error| TelemetryError::Shutdown(error.to_string()))
    }
}

impl Metrics {
    /// The content type of [`Metrics::render`].
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// All metrics in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// [`TelemetryError::Registry`] when two instruments contradict each other.
    pub fn render(&self) -> Result<String, TelemetryError> {
        TextEncoder::new()
            .encode_to_string(&self.0.gather())
            .map_err(|error| TelemetryError::Registry(error.to_string()))
    }
}

/// Who we are: our own name and version, overridden by OTEL_RESOURCE_ATTRIBUTES, overridden by OTEL_SERVICE_NAME.
fn resource(settings: &TelemetrySettings) -> Resource {
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", SERVICE),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match &settings.service_name {
        Some(name) => resource.with_service_name(name.clone()).build(),
        None => resource.build(),
    }
}

fn log_lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let terminal = std::io::stderr().is_terminal();
    let human = match format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if human {
        layer.with_ansi(terminal).boxed()
    } else {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use opentelemetry::trace::Tracer;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::platform::Stopwatch;

    #[test]
    fn instruments_show_in_the_prometheus_text() {
        let telemetry = Telemetry::for_tests().unwrap();
        let meter = telemetry.meter();
        meter
            .u64_counter("roster.mails.sent")
            .with_description("Mails handed over")
            .build()
            .add(3, &[KeyValue::new("kind", "invitation")]);
        meter.f64_histogram("rpc.server.duration").with_unit("s").build().record(0.2, &[]);
        let text = telemetry.metrics().render().unwrap();
        assert!(text.contains("roster_mails_sent_total{kind=\"invitation\"} 3\n"), "{text}");
        assert!(text.contains("# HELP roster_mails_sent_total Mails handed over\n"), "{text}");
        assert!(text.contains("rpc_server_duration_seconds_count 1\n"), "{text}");
        assert!(text.contains("target_info{") && text.contains("service_name=\"roster\""), "{text}");
    }

    #[test]
    fn several_in_one_process_do_not_meet() {
        let (one, other) = (Telemetry::for_tests().unwrap(), Telemetry::for_tests().unwrap());
        one.meter().u64_counter("only.here").build().add(1, &[]);
        assert!(one.metrics().render().unwrap().contains("only_here_total 1\n"));
        assert!(!other.metrics().render().unwrap().contains("only_here"));
    }

    #[test]
    fn a_service_name_given_wins() {
        let settings = TelemetrySettings { service_name: Some("members".into()), ..TelemetrySettings::default() };
        let text = Telemetry::start(&settings).unwrap().metrics().render().unwrap();
        assert!(text.contains("target_info") || text.is_empty());
        let name = resource(&settings).get(&"service.name".into());
        assert_eq!(name, Some("members".into()));
        assert_eq!(
            resource(&TelemetrySettings::default()).get(&"service.version".into()),
            Some(env!("CARGO_PKG_VERSION").into())
        );
    }

    #[test]
    fn an_exporter_outside_a_runtime_is_an_error_and_no_panic() {
        let settings =
            TelemetrySettings { traces_endpoint: Some("http://127.0.0.1:1".into()), ..TelemetrySettings::default() };
        assert!(matches!(Telemetry::start(&settings), Err(TelemetryError::NoRuntime)));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let settings = TelemetrySettings { filter: "info,roster=loud".into(), ..TelemetrySettings::default() };
        assert!(matches!(Telemetry::init(&settings), Err(TelemetryError::Filter(_))));
    }

    #[tokio::test]
    async fn an_endpoint_that_is_no_address_is_an_error() {
        let settings =
            TelemetrySettings { metrics_endpoint: Some("not an address".into()), ..TelemetrySettings::default() };
        assert!(matches!(Telemetry::start(&settings), Err(TelemetryError::Exporter(_))));
    }

    /// A collector that takes what it is sent and hangs up once it has seen `last`, or never answers at all.
    async fn collector(last: Option<&'static [u8]>) -> (String, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut own = Vec::new();
                    while stream.read_buf(&mut own).await.is_ok_and(|read| read > 0) {
                        if last.is_some_and(|last| contains(&own, last)) {
                            break;
                        }
                    }
                    all.lock().unwrap().extend(own);
                });
            }
        });
        (address, seen)
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[tokio::test]
    async fn what_was_recorded_is_handed_over_at_the_end() {
        let (traces, spans) = collector(Some(b"accept invitation")).await;
        let (metrics, points) = collector(Some(b"mails.sent")).await;
        let settings = TelemetrySettings {
            traces_endpoint: Some(traces),
            metrics_endpoint: Some(metrics),
            service_name: Some("members".into()),
            ..TelemetrySettings::default()
        };
        let telemetry = Telemetry::start(&settings).unwrap();
        telemetry.meter().u64_counter("mails.sent").build().add(1, &[]);
        let tracer = telemetry.tracer.as_ref().unwrap().tracer(SERVICE);
        tracer.in_span("accept invitation", |_| ());
        // The collectors hang up without an answer, so the end is an error; what counts is what they got.
        let _ = telemetry.shutdown().await;
        for (seen, part) in [(spans, &b"accept invitation"[..]), (points, b"mails.sent")] {
            let seen = seen.lock().unwrap();
            assert!(contains(&seen, part) && contains(&seen, b"members"), "{}", String::from_utf8_lossy(&seen));
        }
    }

    /// On a runtime of one worker, where the exports need the thread that waits for them.
    #[tokio::test]
    async fn shutdown_ends_although_the_collector_does_not_answer() {
        let (endpoint, _seen) = collector(None).await;
        let settings = TelemetrySettings { metrics_endpoint: Some(endpoint), ..TelemetrySettings::default() };
        let telemetry = Telemetry::start(&settings).unwrap();
        telemetry.meter().u64_counter("c").build().add(1, &[]);
        let watch = Stopwatch::start();
        let _ = telemetry.shutdown().await;
        assert!(watch.elapsed() < Duration::from_secs(15), "{:?}", watch.elapsed());
    }
}
