//! Load and connections: whoever sends nothing, opens much or asks for much holds up nobody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::stream;
use roster_test_macros::wire_test;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::pb::{ListOrganizationsRequest, ListOrganizationsResponse};
use crate::support::process::Process;
use crate::support::scenario::{PASSWORD, Scenario, refusal};
use crate::support::waiting::soon;
use crate::support::world::World;

/// What begins every connection of HTTP/2, with a frame of settings that changes none.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection of its own.
async fn connection(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    soon("a connection", endpoint.connect()).await.unwrap()
}

/// A call that needs no credential, whose headers come and whose message never does.
async fn header_only(channel: Channel) -> Status {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let never = Request::new(stream::pending::<ListOrganizationsRequest>());
    let path = PathAndQuery::from_static("/roster.v1.SessionService/SignIn");
    let codec = ProstCodec::<ListOrganizationsRequest, ListOrganizationsResponse>::default();
    client.client_streaming(never, path, codec).await.unwrap_err()
}

async fn list(world: &World, channel: &Channel) -> Result<(), Status> {
    let request = world.as_operator(ListOrganizationsRequest::default());
    let mut client = crate::support::pb::organization_service_client::OrganizationServiceClient::new(channel.clone());
    client.list_organizations(request).await.map(drop)
}

/// How long each of these calls took, shortest first.
async fn series(world: &World, channel: &Channel, calls: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..calls {
        let start = Instant::now();
        list(world, channel).await.unwrap();
        took.push(start.elapsed());
    }
    took.sort();
    took
}

fn percent(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// ab_32: a message that does not arrive is waited for so long and no longer, and its caller is told.
#[wire_test(sqlite)]
async fn ab_32_a_message_has_its_time(world: World) {
    world.restart_with(&[("message-timeout", "300ms")]).await;
    let start = Instant::now();
    let ended = header_only(connection(world.grpc_address()).await).await;
    assert_eq!((ended.code(), refusal(&ended).reason), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// ab_32: calls whose message does not arrive have no place among the calls at work: 1,250 of them on five connections, again and again, hold up nobody. With a place taken when the headers
/// were there, everybody was told OVERLOADED for as long as they liked.
#[wire_test(sqlite)]
async fn ab_32_messages_that_do_not_arrive_hold_up_nobody(world: World) {
    Scenario::acme(&world).await;
    let own = connection(world.grpc_address()).await;
    series(&world, &own, 20).await;
    let idle = series(&world, &own, 200).await;
    let mut attack = JoinSet::new();
    for _ in 0..5 {
        let channel = connection(world.grpc_address()).await;
        for _ in 0..250 {
            let channel = channel.clone();
            attack.spawn(async move {
                loop {
                    drop(header_only(channel.clone()).await);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Beyond the time that a message has, so that the second wave is seen as well.
    let (begin, mut under, mut refused) = (Instant::now(), Vec::new(), 0);
    while begin.elapsed() < Duration::from_secs(4) {
        let start = Instant::now();
        match list(&world, &own).await {
            Ok(()) => under.push(start.elapsed()),
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 0, "were refused, of {}", refused + under.len());
    under.sort();
    drop(attack);
    let figures = format!(
        "idle p50 {:?} p99 {:?}, under attack p50 {:?} p99 {:?}",
        percent(&idle, 50),
        percent(&idle, 99),
        percent(&under, 50),
        percent(&under, 99)
    );
    assert!(percent(&under, 50) < percent(&idle, 50) * 4 + Duration::from_millis(50), "{figures}");
}

/// ab_32: one connection has no more of the places than are left to the others.
#[wire_test(sqlite)]
async fn ab_32_a_connection_has_a_share_of_the_places(world: World) {
    let team = Scenario::acme(&world).await;
    world.restart_with(&[("max-concurrent-requests", "9")]).await;
    let held = crate::support::waiting::hold_organizations(&world).await;
    let (greedy, own) = (connection(world.grpc_address()).await, connection(world.grpc_address()).await);
    let mut calls = JoinSet::new();
    for index in 0..20 {
        let request = world.as_session(&team.owner.session, team.invitation(&format!("{index}@example.com")));
        let mut client = crate::support::pb::invitation_service_client::InvitationServiceClient::new(greedy.clone());
        calls.spawn(async move { client.create_invitation(request).await.map(drop) });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..20 {
        list(&world, &own).await.unwrap();
    }
    held.rollback().await.unwrap();
    let answers = calls.join_all().await;
    let (fine, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!((2..=5).contains(&fine.len()), "{} had a place", fine.len());
    assert!(refused.iter().all(|one| one.as_ref().is_err_and(|status| refusal(status).reason == "OVERLOADED")));
}

/// ab_46: a connection that does not say in time what it speaks is ended, silent or slow, in plain text and in TLS; one that does stays.
#[wire_test(sqlite)]
async fn ab_46_a_silent_connection_is_ended(world: World) {
    let authority = crate::running::transport::Authority::new();
    for tls in [false, true] {
        let settings = [("handshake-timeout", "500ms")];
        match tls {
            false => world.restart_with(&settings).await,
            true => authority.serve_with(&world, false, &settings).await,
        }
        let mut silent = Vec::new();
        for index in 0..60 {
            let mut stream = TcpStream::connect(world.grpc_address()).await.unwrap();
            // Nothing, the beginning of HTTP/2, the beginning of TLS.
            let said: &[u8] = match index % 3 {
                0 => b"",
                1 => &PREFACE[..20],
                _ => b"\x16\x03\x01\x02\0\x01",
            };
            stream.write_all(said).await.unwrap();
            silent.push(stream);
        }
        let own = match tls {
            false => connection(world.grpc_address()).await,
            true => authority.connection(&world).await,
        };
        let start = Instant::now();
        for stream in &mut silent {
            let mut rest = Vec::new();
            let ended = soon("the end of a silent connection", stream.read_to_end(&mut rest)).await;
            drop(ended);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(600)).await;
        list(&world, &own).await.unwrap();
    }
}

/// ab_46: the process has so many connections and no more, and an address no more of them than are left to the others.
#[wire_test(sqlite)]
async fn ab_46_an_address_has_a_share_of_the_connections(world: World) {
    world.restart_with(&[("max-connections", "40")]).await;
    let own = connection(world.grpc_address()).await;
    list(&world, &own).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(speaking(world.grpc_address(), Ipv4Addr::LOCALHOST).await);
    }
    let (kept, refused) = kept(open).await;
    assert!((10..=20).contains(&kept.len()), "{} are open, {refused} were refused", kept.len());
    list(&world, &own).await.unwrap();
    // Somebody else gets in.
    assert!(lives(&mut speaking(world.grpc_address(), Ipv4Addr::new(127, 0, 0, 2)).await).await);
    // What is closed is free again.
    drop(kept);
    tokio::time::sleep(Duration::from_millis(200)).await;
    list(&world, &connection(world.grpc_address()).await).await.unwrap();
}

/// ab_58: more connections than the process has descriptors for: it goes on answering, those who are connected and whoever asks whether it lives, and burns nothing meanwhile.
#[wire_test(sqlite)]
async fn ab_58_descriptors_that_are_used_up_stop_nobody(world: World) {
    world.stop().await;
    let (process, addresses) = Process::serve_limited(&world.flags(), 192).await;
    let own = addresses.channel();
    list(&world, &own).await.unwrap();
    let mut open = Vec::new();
    for index in 0..500_usize {
        open.push(speaking(addresses.grpc(), Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(index % 8).unwrap())).await);
    }
    for _ in 0..100 {
        let stream = TcpStream::connect(addresses.http).await.unwrap();
        open.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = process.seconds_of_work();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        list(&world, &own).await.unwrap();
    }
    let worked = process.seconds_of_work() - before;
    assert!(worked < 1.0, "{worked} s of work within two seconds, with nothing to do");
    // An orchestrator asks from an address of its own.
    let asked = soon("/livez", page_from(addresses.http, Ipv4Addr::new(127, 0, 0, 9), "/livez")).await;
    assert_eq!(asked.unwrap().0, 200);
    let metrics = page_from(addresses.http, Ipv4Addr::new(127, 0, 0, 9), "/metrics").await.unwrap().1;
    for line in ["roster_connections_refused_total{listener=\"grpc\"", "roster_connections{listener=\"grpc\""] {
        assert!(metrics.lines().any(|one| one.starts_with(line) && !one.ends_with(" 0")), "{line} in {metrics}");
    }
    // A write needs descriptors too.
    let made = crate::support::pb::user_service_client::UserServiceClient::new(own.clone())
        .create_user(world.as_operator(crate::support::pb::CreateUserRequest {
            email: "ada@example.com".to_owned(),
            given_name: "Ada".to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        }))
        .await;
    made.unwrap();
    drop(open);
    tokio::time::sleep(Duration::from_millis(500)).await;
    list(&world, &connection(addresses.grpc()).await).await.unwrap();
    process.stop().await;
}

/// ab_58: whoever asks for a page and does not say which is not waited for.
#[wire_test(sqlite)]
async fn ab_58_a_silent_question_for_a_page_is_ended(world: World) {
    let mut silent = Vec::new();
    for index in 0..40 {
        let mut stream = TcpStream::connect(world.http_address()).await.unwrap();
        stream.write_all(if index % 2 == 0 { b"" } else { b"GET /livez HTTP/1.1\r\nhost: " }).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(page_from(world.http_address(), Ipv4Addr::new(127, 0, 0, 9), "/livez").await.unwrap().0, 200);
    let ended = async {
        for stream in &mut silent {
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
    };
    tokio::time::timeout(Duration::from_secs(9), ended).await.expect("a silent connection is not ended");
}

/// A connection that says that it speaks HTTP/2, from this address.
async fn speaking(to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = soon("a connection", socket.connect(to)).await.unwrap();
    // A connection that is refused may be closed by now.
    let _ = stream.write_all(PREFACE).await;
    stream
}

/// Whether the server has said that it speaks HTTP/2 too, and goes on.
async fn lives(stream: &mut TcpStream) -> bool {
    let mut said = [0; 64];
    matches!(tokio::time::timeout(Duration::from_secs(2), stream.read(&mut said)).await, Ok(Ok(1..)))
}

/// Those that are open, and how many are not.
async fn kept(streams: Vec<TcpStream>) -> (Vec<TcpStream>, usize) {
    let (mut kept, mut refused) = (Vec::new(), 0);
    for mut stream in streams {
        match lives(&mut stream).await {
            true => kept.push(stream),
            false => refused += 1,
        }
    }
    (kept, refused)
}

/// A page over HTTP, asked for from this address: status and text.
async fn page_from(address: SocketAddr, from: Ipv4Addr, path: &str) -> std::io::Result<(u16, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.get(9..12).and_then(|text| text.parse().ok());
    Ok((status.unwrap_or_default(), answer))
}
