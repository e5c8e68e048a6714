//! The way in: TLS, what the listener refuses to carry, how much it carries at once, deadlines, health, reflection, and browsers.

mod browsers;
mod limits;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use roster_test_macros::wire_test;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{ListOrganizationsRequest, ListOrganizationsResponse};
use crate::support::process::run;
use crate::support::scenario::Scenario;
use crate::support::waiting::{hold_organizations, never_answered};
use crate::support::world::World;

/// Longer than any answer at once takes, shorter than anything that waits.
const AT_ONCE: Duration = Duration::from_secs(2);

/// An authority and what it signs, as files for the server.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), certificate };
        std::fs::write(authority.file("ca.pem"), &authority.certificate).unwrap();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate with its key, in PEM.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Restarts the world's server with TLS; with `mutual`, clients need a certificate of this authority.
    async fn serve(&self, world: &World, mutual: bool) {
        self.serve_with(world, mutual, &[]).await;
    }

    /// The same with further settings.
    pub(crate) async fn serve_with(&self, world: &World, mutual: bool, further: &[(&str, &str)]) {
        let (certificate, key) = self.sign(&["roster.test"]);
        let files = [self.file("server.pem"), self.file("server.key"), self.file("ca.pem")];
        std::fs::write(&files[0], certificate).unwrap();
        std::fs::write(&files[1], key).unwrap();
        let [certificate, key, ca] = files.each_ref().map(|path| path.to_str().unwrap());
        let mut settings = vec![("tls-cert", certificate), ("tls-key", key)];
        if mutual {
            settings.push(("tls-client-ca", ca));
        }
        settings.extend_from_slice(further);
        world.restart_with(&settings).await;
    }

    /// A connection over TLS to the world's server.
    pub(crate) async fn connection(&self, world: &World) -> Channel {
        let endpoint = Endpoint::from_shared(format!("https://{}", world.grpc_address())).unwrap();
        endpoint.tls_config(self.trusted()).unwrap().connect().await.unwrap()
    }

    /// What a client trusts who trusts this authority.
    fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.certificate)).domain_name("roster.test")
    }

    /// The same with a certificate of the client's own.
    fn trusted_with(&self, (certificate, key): (String, String)) -> ClientTlsConfig {
        self.trusted().identity(Identity::from_pem(certificate, key))
    }
}

/// Calls over TLS as the operator.
async fn call_over(world: &World, tls: ClientTlsConfig) -> Result<ListOrganizationsResponse, String> {
    let endpoint = Endpoint::from_shared(format!("https://{}", world.grpc_address())).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect_timeout(AT_ONCE).connect().await;
    let mut client = OrganizationServiceClient::new(channel.map_err(|error| error.to_string())?);
    let answer = client.list_organizations(world.as_operator(ListOrganizationsRequest::default())).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.to_string())
}

async fn health(channel: Channel) -> Result<ServingStatus, tonic::Status> {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    Ok(answer.into_inner().status())
}

async fn list(world: &World) -> Result<(), tonic::Status> {
    let request = world.as_operator(ListOrganizationsRequest::default());
    world.organizations().list_organizations(request).await.map(drop)
}

/// With a certificate the server speaks TLS and nothing else; a client that does not trust it, or wants another name, does not talk to it.
#[wire_test(sqlite)]
async fn tls_is_spoken_and_nothing_else(world: World) {
    let authority = Authority::new();
    authority.serve(&world, false).await;
    call_over(&world, authority.trusted()).await.unwrap();
    call_over(&world, Authority::new().trusted()).await.unwrap_err();
    call_over(&world, authority.trusted().domain_name("other.test")).await.unwrap_err();
    // The world's own connection is in plain text.
    let plain = tokio::time::timeout(AT_ONCE, list(&world)).await.expect("a plain connection hangs");
    assert!(never_answered(&plain.unwrap_err()));
    call_over(&world, authority.trusted()).await.unwrap();
}

/// With an authority for clients, only a client with a certificate of that authority is talked to.
#[wire_test(sqlite)]
async fn mutual_tls_wants_a_certificate_of_the_authority(world: World) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.serve(&world, true).await;
    call_over(&world, authority.trusted_with(authority.sign(&["portal.test"]))).await.unwrap();
    call_over(&world, authority.trusted()).await.unwrap_err();
    call_over(&world, authority.trusted_with(stranger.sign(&["portal.test"]))).await.unwrap_err();
}

/// The services are described to whoever asks, unless the operator wants it otherwise.
#[wire_test(sqlite)]
async fn reflection_can_be_turned_off(world: World) {
    assert_eq!(describe(&world).await, Code::Ok);
    world.restart_with(&[("reflection", "false")]).await;
    assert_eq!(describe(&world).await, Code::Unimplemented);
    list(&world).await.unwrap();
}

/// A listener that others can reach does not start without TLS, unless the operator says that the network encrypts; the sentence names every setting.
#[wire_test(sqlite)]
async fn a_reachable_listener_wants_tls(world: World) {
    let mut flags = vec!["serve".to_owned()];
    flags.extend(world.flags().into_iter().filter(|flag| !flag.starts_with("--listen=")));
    flags.push("--listen=0.0.0.0:0".to_owned());
    flags.push(format!("--data-dir={}", tempfile::tempdir().unwrap().path().display()));
    let ended = run(&flags, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for word in ["ROSTER_LISTEN is 0.0.0.0:0", "ROSTER_TLS_CERT", "ROSTER_TLS_KEY", "ROSTER_INSECURE=true"] {
        assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("serving"));
    let (process, _) =
        crate::support::process::Process::serve(&[&flags[1..], &["--insecure".to_owned()]].concat(), &[]).await;
    process.stop().await;
}

/// Asks for a description, as grpcurl does, and answers with the code.
async fn describe(world: &World) -> Code {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("roster.v1.OrganizationService".to_owned())),
    };
    let answers =
        ServerReflectionClient::new(world.channel()).server_reflection_info(tokio_stream::iter([request])).await;
    match answers {
        Ok(answers) => answers
            .into_inner()
            .message()
            .await
            .map_or_else(|status| status.code(), |answer| if answer.is_some() { Code::Ok } else { Code::Unknown }),
        Err(status) => status.code(),
    }
}

/// When the server stops, whoever watches its health is told first, and the watcher keeps nobody from stopping.
#[wire_test]
async fn health_says_that_the_server_stops(world: World) {
    let replica = world.second_server().await;
    assert_eq!(health(replica.channel()).await.unwrap(), ServingStatus::Serving);
    let watch = HealthClient::new(replica.channel()).watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let start = Instant::now();
    let stopping = tokio::spawn({
        let replica = replica.clone();
        async move { replica.stop().await }
    });
    let told = tokio::time::timeout(AT_ONCE, watch.message()).await.expect("the watcher is not told");
    assert_eq!(told.unwrap().unwrap().status(), ServingStatus::NotServing);
    stopping.await.unwrap();
    assert!(start.elapsed() < AT_ONCE, "a watcher of its health kept the server for {:?}", start.elapsed());
    health(replica.channel()).await.unwrap_err();
}

/// A connection that has reached its age is asked to go (GOAWAY), so that clients spread over new replicas, and the call at work on it is answered.
#[wire_test(sqlite)]
async fn an_old_connection_is_asked_to_go(world: World) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("max-connection-age", "1s")]).await;
    let held = hold_organizations(&world).await;
    let (mut client, request) =
        (world.invitations(), world.as_session(&team.owner.session, team.invitation("bea@example.com")));
    let at_work = tokio::spawn(async move { client.create_invitation(request).await });
    let mut stream = TcpStream::connect(world.grpc_address()).await.unwrap();
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &SETTINGS].concat()).await.unwrap();
    let told = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("the connection ends without a word");
            if head[3] == GOAWAY {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(4), told).await.expect("an old connection is not asked to go");
    held.rollback().await.unwrap();
    at_work.await.unwrap().unwrap();
    // A call that the client has not sent by then ends as cancelled, and goes over a new connection when it is made again.
    let again = async {
        while let Err(status) = list(&world).await {
            assert_eq!(status.code(), Code::Cancelled, "{status}");
        }
    };
    tokio::time::timeout(AT_ONCE, again).await.expect("no new connection is made");
}
