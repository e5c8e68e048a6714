//! The way in: TLS, what the listener refuses to carry, how much it carries at once, deadlines, health, reflection, and browsers.

use roster_test_macros::wire_test;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{
    ImportUsersRequest, ImportedMembership, ListOrganizationsRequest, ListOrganizationsResponse, UserToImport,
};
use crate::support::program::run;
use crate::support::safety_kit::{
    PASSWORD, Team, credentials, dump, hold_organizations, never_answered, reason, retry_delay,
};
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

/// The requests of an import that says nothing, and that ends when what comes with them is dropped.
fn silent() -> (oneshot::Sender<()>, impl Stream<Item = ImportUsersRequest>) {
    let (end, ended) = oneshot::channel();
    (end, stream::once(ended).filter_map(|_| std::future::ready(None)))
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
        crate::support::program::Process::serve(&[&flags[1..], &["--insecure".to_owned()]].concat(), &[]).await;
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

/// ab_13: a message of more than 256 KiB is refused before it is read, as is a header of more than 16 KiB; the connection serves others on.
#[wire_test]
async fn ab_13_oversized_messages_and_headers_are_refused(world: World) {
    let team = Team::found(&world).await;
    let before = dump(world.database()).await;
    let mut request = team.invitation("bea@example.com");
    request.personal_message = "x".repeat(300 * 1024);
    let refused = world.invitations().create_invitation(world.as_session(&team.owner, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    let mut request = world.as_operator(ListOrganizationsRequest::default());
    request.metadata_mut().insert("x-huge", "x".repeat(64 * 1024).parse().unwrap());
    let refused = world.organizations().list_organizations(request).await.unwrap_err();
    assert_ne!(refused.code(), Code::Ok, "{refused}");
    assert_eq!(dump(world.database()).await, before);
    list(&world).await.unwrap();
}

/// ab_13: one connection has so many calls at once and no more: the next waits for a place, on that connection only.
#[wire_test]
async fn ab_13_a_connection_has_a_limit_of_calls(world: World) {
    let team = Team::found(&world).await;
    world.restart_with(&[("max-streams", "2")]).await;
    let held = hold_organizations(&world).await;
    // The client learns of the limit with the first answer.
    list(&world).await.unwrap();
    let mut waiting = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        let (mut client, request) = (world.invitations(), world.as_session(&team.owner, team.invitation(email)));
        waiting.push(tokio::spawn(async move { client.create_invitation(request).await }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), list(&world)).await.is_err(), "a third call got a place");
    let other = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap().connect().await.unwrap();
    let request = world.as_operator(ListOrganizationsRequest::default());
    OrganizationServiceClient::new(other).list_organizations(request).await.unwrap();
    held.rollback().await.unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    list(&world).await.unwrap();
}

/// ab_12: a call whose deadline passes while it waits for a lock ends then, changes nothing, then or later, and leaves nothing locked.
#[wire_test]
async fn ab_12_a_deadline_ends_the_work(world: World) {
    let team = Team::found(&world).await;
    let before = dump(world.database()).await;
    let held = hold_organizations(&world).await;
    let start = Instant::now();
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        let mut request = world.as_session(&team.owner, team.invitation(email));
        request.set_timeout(Duration::from_millis(200));
        let late = world.invitations().create_invitation(request).await.unwrap_err();
        assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
    }
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(dump(world.database()).await, before);
    let request = world.as_session(&team.owner, team.invitation("a@example.com"));
    tokio::time::timeout(AT_ONCE, world.invitations().create_invitation(request))
        .await
        .expect("something is still locked")
        .unwrap();
}

/// ab_12: the server has a time limit of its own, for callers that name none.
#[wire_test]
async fn ab_12_the_server_has_a_time_limit(world: World) {
    let team = Team::found(&world).await;
    world.restart_with(&[("request-timeout", "300ms")]).await;
    let before = dump(world.database()).await;
    let held = hold_organizations(&world).await;
    let start = Instant::now();
    let request = world.as_session(&team.owner, team.invitation("bea@example.com"));
    let late = world.invitations().create_invitation(request).await.unwrap_err();
    assert_eq!((late.code(), reason(&late)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(dump(world.database()).await, before);
    // It is about the time until the answer begins: a stream goes on.
    let (end, silent) = silent();
    let mut stream = world.users().import_users(world.as_operator(silent)).await.unwrap().into_inner();
    assert!(tokio::time::timeout(Duration::from_millis(600), stream.message()).await.is_err(), "the stream ended");
    drop(end);
    assert_eq!(stream.message().await.unwrap(), None);
}

/// ab_13: whoever sends nothing, or takes nothing, holds up nobody: only what is at work has a place among the calls. With a place kept until the answer was taken, everybody
/// else was refused for as long as they liked.
#[wire_test]
async fn ab_13_who_takes_nothing_holds_up_nobody(world: World) {
    world.restart_with(&[("max-concurrent-requests", "1")]).await;
    let (end, silent) = silent();
    let mut stream = world.users().import_users(world.as_operator(silent)).await.unwrap().into_inner();
    // A client that opens no window gets the head of an answer, and nothing of its body.
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap();
    let deaf = endpoint.initial_stream_window_size(0).connect().await.unwrap();
    let request = world.as_operator(ListOrganizationsRequest::default());
    let waiting = tokio::spawn(async move { OrganizationServiceClient::new(deaf).list_organizations(request).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..20 {
        list(&world).await.unwrap();
    }
    assert!(!waiting.is_finished(), "the answer has come through no window");
    waiting.abort();
    drop(end);
    assert_eq!(stream.message().await.unwrap(), None);
}

/// ab_13: a message of a stream that is at work has a place, as a call has, and gives it back with its answer; and it waits for one, since what has begun is not refused in the middle.
#[wire_test]
async fn ab_13_a_stream_at_work_has_a_place(world: World) {
    let team = Team::found(&world).await;
    world.restart_with(&[("max-concurrent-requests", "1")]).await;
    let membership =
        ImportedMembership { organization_id: team.organization_id.clone(), roles: vec!["member".to_owned()] };
    let person = UserToImport {
        email: "bea@example.com".to_owned(),
        given_name: "Bea".to_owned(),
        memberships: vec![membership],
        ..UserToImport::default()
    };
    let batch = ImportUsersRequest {
        import_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned(),
        users: vec![person],
        validate_only: false,
    };
    let held = hold_organizations(&world).await;
    let one = world.as_operator(stream::once(std::future::ready(batch)));
    let mut answers = world.users().import_users(one).await.unwrap().into_inner();
    let answer = tokio::spawn(async move { answers.message().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        let refused = list(&world).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    }
    held.rollback().await.unwrap();
    let answer = answer.await.unwrap().unwrap().unwrap();
    // The organization takes people by invitation only: the person is refused, after the wait for its lock.
    assert_eq!(answer.refused_count, 1, "{answer:?}");
    for _ in 0..20 {
        list(&world).await.unwrap();
    }
}

/// Load beyond the limit is refused at once, with the time to come back after; health is answered all the same, and a place that is free is given again.
#[wire_test]
async fn excess_calls_are_refused_at_once(world: World) {
    let team = Team::found(&world).await;
    world.restart_with(&[("max-concurrent-requests", "2")]).await;
    let held = hold_organizations(&world).await;
    let mut waiting = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        let (mut client, request) = (world.invitations(), world.as_session(&team.owner, team.invitation(email)));
        waiting.push(tokio::spawn(async move { client.create_invitation(request).await }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..20 {
        let start = Instant::now();
        let refused = list(&world).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
        assert!(retry_delay(&refused).is_some_and(|delay| delay > Duration::ZERO));
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
    assert_eq!(health(world.channel()).await.unwrap(), ServingStatus::Serving);
    held.rollback().await.unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    list(&world).await.unwrap();
}

/// ab_14: sign-ins beyond what the hashing threads and their queue take are refused at once, with the time to come back after; other calls go on.
#[wire_test]
async fn ab_14_excess_sign_ins_are_refused_at_once(world: World) {
    Team::found(&world).await;
    // One hash of these takes some tenths of a second.
    let costly =
        [("hashing-threads", "1"), ("hashing-queue", "1"), ("argon2-memory-kib", "65536"), ("argon2-iterations", "8")];
    world.restart_with(&costly).await;
    let mut tries = tokio::task::JoinSet::new();
    for index in 0..8 {
        let mut sessions = world.sessions();
        tries.spawn(async move {
            let start = Instant::now();
            let failed =
                sessions.sign_in(credentials(&format!("nobody{index}@example.com"), PASSWORD)).await.unwrap_err();
            (failed, start.elapsed())
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    list(&world).await.unwrap();
    let between = start.elapsed();
    let answers = tries.join_all().await;
    let (refused, tried): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| status.code() == Code::ResourceExhausted);
    assert!((1..=3).contains(&tried.len()), "{} were tried", tried.len());
    assert!(
        tried.iter().all(|(status, _)| status.code() == Code::Unauthenticated && reason(status) == "SIGN_IN_FAILED")
    );
    let hash = tried.iter().map(|(_, took)| *took).min().unwrap();
    for (status, took) in &refused {
        assert_eq!(reason(status), "OVERLOADED");
        assert!(retry_delay(status).is_some_and(|delay| delay > Duration::ZERO));
        assert!(*took < hash, "refused after {took:?}, a hash takes {hash:?}");
    }
    assert!(between < AT_ONCE, "another call took {between:?}");
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
    let team = Team::found(&world).await;
    world.restart_with(&[("max-connection-age", "1s")]).await;
    let held = hold_organizations(&world).await;
    let (mut client, request) =
        (world.invitations(), world.as_session(&team.owner, team.invitation("bea@example.com")));
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
    list(&world).await.unwrap();
}

/// One request over HTTP/1.1, with the answer's head and body.
async fn http1(world: &World, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(world.grpc_address()).await.unwrap();
    let head = format!("{head}\r\nhost: roster\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(AT_ONCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    (head, answer.get(end + 4..).unwrap_or_default().to_vec())
}

/// The bytes of a chunked body.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap().trim(), 16).unwrap();
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}

/// The frames of a gRPC-Web body: flags and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = body {
        let (content, next) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        frames.push((*flags, content.to_vec()));
        body = next;
    }
    frames
}

/// A page in a browser calls by gRPC-Web over HTTP/1.1, after it has asked whether it may: with answer and trailers in the body, refusals with their
/// details, and the same rights as any other caller. Without the setting there is no such thing.
#[wire_test(sqlite)]
async fn browsers_call_where_the_operator_lets_them(world: World) {
    const PATH: &str = "/roster.v1.OrganizationService/ListOrganizations";
    let preflight = format!(
        "OPTIONS {PATH} HTTP/1.1\r\norigin: https://portal.example.com\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type,x-grpc-web,traceparent"
    );
    let call = |credential: &str| {
        format!(
            "POST {PATH} HTTP/1.1\r\norigin: https://portal.example.com\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nauthorization: Bearer {credential}"
        )
    };
    let empty = [0; 5];

    let mut stream = TcpStream::connect(world.grpc_address()).await.unwrap();
    stream
        .write_all(format!("{}\r\nhost: roster\r\ncontent-length: 0\r\n\r\n", call(world.operator_key())).as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(AT_ONCE, stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "HTTP/1.1 is answered without the setting");

    world.restart_with(&[("grpc-web", "true")]).await;
    let team = Team::found(&world).await;
    let (head, _) = http1(&world, &preflight, &[]).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for header in [
        "access-control-allow-origin: *",
        "access-control-allow-methods: post",
        "authorization",
        "traceparent",
        "access-control-max-age: ",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(!head.contains("access-control-allow-credentials"), "{head}");

    let (head, body) = http1(&world, &call(world.operator_key()), &empty).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: application/grpc-web+proto"), "{head}");
    assert!(head.contains("access-control-expose-headers: grpc-status,grpc-message,grpc-status-details-bin"), "{head}");
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    let [(0, message), (0x80, trailers)] = &frames(&body)[..] else { panic!("{body:?}") };
    let list: ListOrganizationsResponse = prost::Message::decode(message.as_slice()).unwrap();
    assert_eq!(list.organizations[0].organization_id, team.organization_id);
    assert!(String::from_utf8_lossy(trailers).contains("grpc-status:0"), "{trailers:?}");

    let (head, body) = http1(&world, &call("rsk_none"), &empty).await;
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    let refused = format!("{head}{}", String::from_utf8_lossy(&body));
    assert!(refused.contains("grpc-status: 16") || refused.contains("grpc-status:16"), "{refused}");
    assert!(refused.contains("grpc-status-details-bin"), "{refused}");
    // Everybody else calls as before.
    list_as_before(&world).await;
    let (head, _) = http1(&world, "GET / HTTP/1.1", &[]).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

async fn list_as_before(world: &World) {
    list(world).await.unwrap();
    assert_eq!(health(world.channel()).await.unwrap(), ServingStatus::Serving);
}
