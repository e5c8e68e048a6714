//! The gRPC listener: services, limits, TLS, health, reflection.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{HeaderName, Method, header};
use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server as Grpc};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::GrpcWebLayer;
use tower::util::option_layer;
use tower_http::cors::{Any, CorsLayer};

use super::{
    StartError,
    connections::{Opening, incoming},
    tls,
};
use crate::{
    app::App,
    config::{DatabaseConfig, ServeConfig},
    grpc::{
        AroundLayer, Authenticate, BufferRequest, DESCRIPTOR_SET, Deadline, Edge, Trace,
        pb::{
            access_model_service_server::AccessModelServiceServer, activity_service_server::ActivityServiceServer,
            audit_service_server::AuditServiceServer, contact_service_server::ContactServiceServer,
            credential_service_server::CredentialServiceServer, delivery_service_server::DeliveryServiceServer,
            event_service_server::EventServiceServer, invitation_service_server::InvitationServiceServer,
            join_link_service_server::JoinLinkServiceServer, member_service_server::MemberServiceServer,
            organization_service_server::OrganizationServiceServer, ownership_service_server::OwnershipServiceServer,
            permission_service_server::PermissionServiceServer, role_service_server::RoleServiceServer,
            service_account_service_server::ServiceAccountServiceServer, session_service_server::SessionServiceServer,
            user_service_server::UserServiceServer,
        },
    },
    http::{MAX_PAGES, Readiness},
    platform::{
        limited_listener::{LimitedListener, descriptors},
        shutdown::Shutdown,
    },
};

/// Bytes of a call's headers at the most.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams that a peer has reset and that are not cleaned up yet, at the most (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 50;
/// How often a silent connection is asked for a sign of life, and how long it has to give one.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// Descriptors that a connection to the database takes at the most: an SQLite file has a journal and an index beside it.
const DESCRIPTORS_OF_DATABASE: usize = 4;
/// Descriptors for logs, mail, providers and telemetry.
const OTHER_DESCRIPTORS: usize = 32;
/// Connections that are taken however few descriptors there are.
const FEWEST_CONNECTIONS: usize = 8;
/// How long a browser may remember which pages may call.
const CORS_MAX_AGE: Duration = Duration::from_secs(3600);

/// Every service of the contract, each with the message limit.
macro_rules! services {
    ($router:expr, $edge:expr, $limit:expr, [$($server:ident),* $(,)?]) => {
        $router$(.add_service($server::new($edge.clone()).max_decoding_message_size($limit)))*
    };
}

/// Starts serving on the listener until the stop is requested.
pub(super) fn serve(
    app: Arc<App>,
    config: &ServeConfig,
    listener: TcpListener,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<(), StartError> {
    let grpc = &config.grpc;
    let most = connections(config);
    let opening = Opening { tls: tls::acceptor(grpc)?, limit: grpc.handshake_timeout, most };
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut builder = Grpc::builder()
        .max_concurrent_streams(grpc.max_streams)
        // Without a grace period: with one, tonic 0.14 does not ask the client to go and only cuts the connection at its end, calls at work included.
        .max_connection_age(grpc.max_connection_age)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .accept_http1(grpc.grpc_web)
        .layer(option_layer(grpc.grpc_web.then(cors)))
        // Outside of the others: to them a call from a browser is one like any other.
        .layer(option_layer(grpc.grpc_web.then(GrpcWebLayer::new)))
        .layer(AroundLayer(Trace::new()))
        .layer(AroundLayer(Deadline(grpc.request_timeout)))
        .layer(AroundLayer(BufferRequest::new(grpc.message_timeout, grpc.max_message_bytes)))
        .layer(AroundLayer(Authenticate::new(app.clone(), grpc.max_concurrent_requests, readers(&config.database))));
    let reflection = match grpc.reflection {
        true => REFLECTION.clone().map_err(StartError::Installation)?,
        false => Routes::default(),
    };
    let router = builder.add_routes(reflection).add_service(health_service);
    let edge = Edge::new(app, shutdown.token());
    let router = services!(
        router,
        edge,
        grpc.max_message_bytes,
        [
            OrganizationServiceServer,
            OwnershipServiceServer,
            AccessModelServiceServer,
            CredentialServiceServer,
            UserServiceServer,
            MemberServiceServer,
            InvitationServiceServer,
            PermissionServiceServer,
            SessionServiceServer,
            ServiceAccountServiceServer,
            DeliveryServiceServer,
            AuditServiceServer,
            EventServiceServer,
            ActivityServiceServer,
            ContactServiceServer,
            JoinLinkServiceServer,
            RoleServiceServer,
        ]
    );
    let incoming = incoming(LimitedListener::new("grpc", listener, most), opening);
    let (stop, mut ready) = (shutdown.clone(), readiness.subscribe());
    shutdown.spawn(async move {
        let stopping = async move {
            stop.requested().await;
            // NOT_SERVING first, so that whoever watches the health has gone before connections are told to.
            let _ = ready.wait_for(Result::is_err).await;
        };
        let served = router.serve_with_incoming_shutdown(incoming, stopping).await;
        if let Err(error) = served {
            tracing::error!(%error, "the gRPC listener failed");
        }
    });
    tokio::spawn(report(health, readiness.clone(), shutdown.clone()));
    Ok(())
}

/// Both versions of reflection. The contract is compiled in: it is indexed once.
static REFLECTION: LazyLock<Result<Routes, String>> = LazyLock::new(|| {
    let reflect = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors, or a client of reflection could not show them.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |error: tonic_reflection::server::Error| format!("reflection: {error}");
    let alpha = reflect().build_v1alpha().map_err(broken)?;
    Ok(Routes::new(reflect().build_v1().map_err(broken)?).add_service(alpha))
});

/// How many connections are taken. Fewer than there are descriptors: the database, the pages and what is sent need some too, and a process that has none left cannot even say that it lives
/// (ab_58).
fn connections(config: &ServeConfig) -> usize {
    let wanted = config.grpc.max_connections;
    let Some(descriptors) = descriptors() else {
        return wanted;
    };
    let database = usize::try_from(config.database.database_max_connections).unwrap_or(usize::MAX);
    let others = database.saturating_mul(DESCRIPTORS_OF_DATABASE).saturating_add(MAX_PAGES + OTHER_DESCRIPTORS);
    let left = descriptors.saturating_sub(others).max(FEWEST_CONNECTIONS);
    if left < wanted {
        tracing::info!(
            connections = left,
            descriptors,
            "fewer connections than ROSTER_MAX_CONNECTIONS: the process may open no more files"
        );
    }
    wanted.min(left)
}

/// How many calls that read much are at it at a time: with half of the connections to the database, so that the other half is there for checks.
fn readers(database: &DatabaseConfig) -> usize {
    usize::try_from(database.database_max_connections / 2).map_or(usize::MAX, |half| half.max(1))
}

/// Follows the readiness into `grpc.health.v1`, for the service "", which Kubernetes asks for.
async fn report(health: HealthReporter, readiness: Readiness, shutdown: Shutdown) {
    let mut changes = readiness.subscribe();
    loop {
        let ready = changes.borrow_and_update().is_ok();
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status("", status).await;
        if shutdown.is_requested() && !ready {
            break;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
    // Ends the streams of those who watch, now that they have been told: they would keep the process for the whole drain time.
    let mut health = health;
    health.clear_service_status("").await;
    health.set_service_status("", ServingStatus::NotServing).await;
}

/// Lets pages of every origin call. That gives nobody anything: no cookie goes with such a call, so a page has the rights of the token that it holds.
fn cors() -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            name("x-grpc-web"),
            name("x-user-agent"),
            name("grpc-timeout"),
            name("traceparent"),
            name("tracestate"),
        ])
        .expose_headers([name("grpc-status"), name("grpc-message"), name("grpc-status-details-bin")])
        .max_age(CORS_MAX_AGE)
}
