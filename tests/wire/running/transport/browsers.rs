//! gRPC-Web.

use roster_test_macros::wire_test;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{AT_ONCE, health, list};
use crate::support::pb::ListOrganizationsResponse;
use crate::support::scenario::Scenario;
use crate::support::world::World;

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
    let team = Scenario::acme(&world).await;
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
