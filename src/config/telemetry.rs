//! The settings of logs, traces and metrics: our own, and those of OpenTelemetry that decide whether anything is exported.

use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};

use crate::platform::telemetry::{LogFormat, TelemetrySettings};

/// Logs, traces and metrics.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfig {
    /// What is logged and traced: levels by module, in the syntax of tracing's `EnvFilter`.
    #[arg(long, env = "ROSTER_LOG", default_value = "info,sqlx=warn,sea_orm=warn", value_name = "FILTER")]
    pub log: String,
    /// How log lines look. `auto`: for people on a terminal, JSON elsewhere.
    #[arg(long, env = "ROSTER_LOG_FORMAT", default_value = "auto", value_name = "FORMAT", value_parser = log_format())]
    pub log_format: LogFormat,
    /// Where traces and metrics are sent (OTLP over gRPC). Unset: nowhere. OpenTelemetry's other standard variables apply as well.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// Where traces are sent, if not where metrics are.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// Where metrics are sent, if not where traces are.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_metrics_endpoint: Option<String>,
    /// The service's name in traces and metrics. Unset: that of OTEL_RESOURCE_ATTRIBUTES, or `roster`.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub otel_service_name: Option<String>,
    /// Send nothing, whatever the endpoints say.
    #[arg(long, env = "OTEL_SDK_DISABLED", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub otel_sdk_disabled: bool,
}

impl TelemetryConfig {
    /// The same as the platform wants it. OpenTelemetry counts an empty variable as unset.
    #[must_use]
    pub fn settings(&self) -> TelemetrySettings {
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let endpoint = |own: &Option<String>| {
            if self.otel_sdk_disabled { None } else { given(own).or_else(|| given(&self.otel_exporter_otlp_endpoint)) }
        };
        TelemetrySettings {
            filter: self.log.clone(),
            format: self.log_format,
            traces_endpoint: endpoint(&self.otel_exporter_otlp_traces_endpoint),
            metrics_endpoint: endpoint(&self.otel_exporter_otlp_metrics_endpoint),
            service_name: given(&self.otel_service_name),
        }
    }
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["auto", "human", "json"]).map(|name| match name.as_str() {
        "human" => LogFormat::Human,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        telemetry: TelemetryConfig,
    }

    fn settings(arguments: &[&str]) -> TelemetrySettings {
        Alone::try_parse_from([&["roster"], arguments].concat()).unwrap().telemetry.settings()
    }

    #[test]
    fn nothing_is_exported_unless_asked_for() {
        let settings = settings(&[]);
        assert_eq!((settings.traces_endpoint, settings.metrics_endpoint), (None, None));
        assert_eq!((settings.format, settings.filter.as_str()), (LogFormat::Auto, "info,sqlx=warn,sea_orm=warn"));
    }

    #[test]
    fn an_endpoint_of_one_signal_goes_before_the_common_one() {
        let (common, own) = (Some("http://all:4317".to_owned()), Some("http://traces:4317".to_owned()));
        let both = settings(&[
            "--otel-exporter-otlp-endpoint=http://all:4317",
            "--otel-exporter-otlp-traces-endpoint=http://traces:4317",
        ]);
        assert_eq!((both.traces_endpoint, both.metrics_endpoint), (own.clone(), common));
        let one =
            settings(&["--otel-exporter-otlp-traces-endpoint=http://traces:4317", "--otel-exporter-otlp-endpoint="]);
        assert_eq!((one.traces_endpoint, one.metrics_endpoint), (own, None));
    }

    #[test]
    fn disabled_wins() {
        let settings =
            settings(&["--otel-sdk-disabled", "--otel-exporter-otlp-endpoint=http://all:4317", "--log-format=json"]);
        assert_eq!((settings.traces_endpoint, settings.metrics_endpoint), (None, None));
        assert_eq!(settings.format, LogFormat::Json);
    }
}
