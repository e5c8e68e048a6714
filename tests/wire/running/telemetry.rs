//! What an operator sees of the running program: logs, metrics, traces, and whether it lives and is ready.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use roster::http::probe;
use roster_test_macros::wire_test;
use tonic::{Code, Request};

use crate::support::otlp::Receiver;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::{ListOrganizationsRequest, SignInRequest};
use crate::support::process::Process;
use crate::support::scenario::Scenario;
use crate::support::waiting::soon;
use crate::support::world::World;

const PATIENCE: Duration = Duration::from_secs(5);

/// A call is a span under the caller's W3C trace context, with the method's name and the status code, and it is exported over OTLP to whoever listens;
/// so are the metrics. Where the exporter is off, nothing is.
#[wire_test]
async fn a_call_is_a_span_of_the_callers_trace(world: World) {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";
    let receiver = Receiver::start().await;
    let endpoint = receiver.endpoint();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let (process, addresses) = Process::serve(&world.flags(), &environment).await;
    let mut organizations = OrganizationServiceClient::new(addresses.channel());
    let mut request = world.as_operator(ListOrganizationsRequest::default());
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    organizations.list_organizations(request).await.unwrap();
    let mut request = Request::new(ListOrganizationsRequest::default());
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    assert_eq!(organizations.list_organizations(request).await.unwrap_err().code(), Code::Unauthenticated);

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let code = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == "rpc.grpc.status_code");
        attribute.and_then(|attribute| attribute.value.clone()?.value)
    };
    for status in [Code::Ok, Code::Unauthenticated] {
        let wanted = Some(Value::IntValue(status as i64));
        let span = receiver.span(|span| span.name.ends_with("ListOrganizations") && code(span) == wanted).await;
        assert_eq!(span.name, "roster.v1.OrganizationService/ListOrganizations");
        assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
        assert_eq!(span.kind(), SpanKind::Server);
    }
    let metric = receiver.metric(|metric| metric.name == "rpc.server.duration").await;
    let Some(Data::Histogram(histogram)) = metric.data else { panic!("no histogram: {metric:?}") };
    assert!(histogram.data_points.iter().any(|point| point.count >= 1));
    for resource in receiver.resources() {
        let has = |key: &str, value: &str| {
            resource.attributes.iter().any(|attribute| {
                attribute.key == key
                    && attribute
                        .value
                        .as_ref()
                        .is_some_and(|found| found.value == Some(Value::StringValue(value.to_owned())))
            })
        };
        assert!(has("service.name", "roster") && has("deployment.environment.name", "test"), "{resource:?}");
    }
    process.stop().await;
}

/// What was measured last leaves with the process: nobody waits for the next interval.
#[wire_test]
async fn the_last_spans_are_exported_at_the_end(world: World) {
    let receiver = Receiver::start().await;
    let endpoint = receiver.endpoint();
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let (process, addresses) = Process::serve(&world.flags(), &environment).await;
    let request = world.as_operator(ListOrganizationsRequest::default());
    OrganizationServiceClient::new(addresses.channel()).list_organizations(request).await.unwrap();
    assert!(receiver.traces_bytes().is_empty());
    process.stop().await;
    assert!(!receiver.traces_bytes().is_empty() && !receiver.metrics_bytes().is_empty());
}

/// A collector that is not there costs nothing: the server starts, answers, and stops in time.
#[wire_test]
async fn an_absent_collector_costs_nothing(world: World) {
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let (process, addresses) = Process::serve(&world.flags(), &environment).await;
    let request = world.as_operator(ListOrganizationsRequest::default());
    OrganizationServiceClient::new(addresses.channel()).list_organizations(request).await.unwrap();
    process.stop().await;
}

/// `/livez`, `/readyz` and `/metrics` answer whoever asks, and the metrics count calls by method and code, mail, and nothing with a name in it.
#[wire_test]
async fn the_pages_show_life_and_measurements(world: World) {
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let page = async |path: &str| probe(addresses.http, path, PATIENCE).await.unwrap();
    assert_eq!(page("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(page("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(page("/").await.0, 404);

    let request =
        SignInRequest { email: "nobody@example.com".to_owned(), password: "x".to_owned(), ..SignInRequest::default() };
    SessionServiceClient::new(addresses.channel()).sign_in(request).await.unwrap_err();
    let request = world.as_operator(ListOrganizationsRequest::default());
    OrganizationServiceClient::new(addresses.channel()).list_organizations(request).await.unwrap();
    // A path of the caller's making must not become a label.
    let mut client = tonic::client::Grpc::new(addresses.channel());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = "/evil.Service/secret-of-somebody".parse().unwrap();
    client.unary(Request::new(()), path, codec).await.unwrap_err();

    let (status, text) = page("/metrics").await;
    assert_eq!(status, 200);
    let counted = |method: &str, code: i32| {
        text.lines().any(|line| {
            line.starts_with("rpc_server_duration_seconds_count{")
                && line.contains(&format!("rpc_method=\"{method}\""))
                && line.contains(&format!("rpc_grpc_status_code=\"{code}\""))
                && line.ends_with(" 1")
        })
    };
    assert!(counted("/roster.v1.SessionService/SignIn", 16), "{text}");
    assert!(counted("/roster.v1.OrganizationService/ListOrganizations", 0), "{text}");
    assert!(!text.contains("evil") && !text.contains("nobody@example.com"), "{text}");
    process.stop().await;
}

/// Operators see whether the directory serves: what it found, what it read and why, how large it is and how old what it knows; and how many statements calls send.
#[wire_test]
async fn the_directory_is_measured(world: World) {
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    world.stop().await;
    world.answered_by(&addresses);
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["admin"]).await;
    for _ in 0..3 {
        assert!(acme.may(&bob.user_id, "members.invite").await);
    }
    acme.set_roles(world.operator_key(), &bob.user_id, &["member"]).await.unwrap();
    assert!(!acme.may(&bob.user_id, "members.invite").await);
    // Sizes are noted once a second.
    let measured = async |start: &str| -> f64 {
        let look = async {
            loop {
                let (_, page) = probe(addresses.http, "/metrics", PATIENCE).await.unwrap();
                if let Some(line) = page.lines().find(|line| line.starts_with(start)) {
                    return line.rsplit(' ').next().unwrap().parse().unwrap();
                }
            }
        };
        soon(start, look).await
    };
    for start in ["roster_directory_hits_total", "roster_directory_loads_total"] {
        assert!(measured(start).await > 0.0, "{start}");
    }
    assert!(measured("roster_directory_drops_total{cause=\"changed\"").await > 0.0);
    assert!(measured("roster_directory_age_seconds").await < 60.0);
    for start in ["roster_directory_bytes", "roster_directory_entries", "roster_call_statements_sum"] {
        measured(start).await;
    }
    process.stop().await;
}

/// Each line of the log is one JSON object with a time, a level, a target and a message; addresses, names and tokens are not in it at the usual level.
#[wire_test]
async fn the_log_is_structured(world: World) {
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    world.stop().await;
    world.answered_by(&addresses);
    let team = Scenario::acme(&world).await;
    let (_, token) = team.invited_by(&team.owner.session, "ada@example.com", &[]).await;
    let ended = process.stop().await;
    let lines: Vec<serde_json::Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key} in {line}");
        }
    }
    for message in ["serving", "mail sent"] {
        assert!(lines.iter().any(|line| line["message"] == message), "{message} in {}", ended.stderr);
    }
    for kept_out in [&*token, "example.com", "Acme", &team.owner.session] {
        assert!(!ended.stderr.contains(kept_out), "{kept_out} in {}", ended.stderr);
    }
}
