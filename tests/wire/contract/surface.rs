//! What is there and what is not: methods, unknown methods, health, reflection, and the reasons that the contract documents.

use std::collections::BTreeSet;

use futures_util::stream;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, DynamicMessage};
use roster::domain::error::Reason;
use roster_test_macros::wire_test;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_types::pb::{ErrorInfo, Status as WireStatus};

use crate::support::dynamic::{Contract, Method, unary};
use crate::support::scenario::refusal;
use crate::support::world::World;

/// Where no method is.
const NOWHERE: [&str; 7] = [
    "/roster.v1.UserService/NoSuchMethod",
    "/roster.v1.UserService/getUser",
    "/roster.v1.UserService",
    "/roster.v1.NoSuchService/GetUser",
    "/roster.v2.UserService/GetUser",
    "/no.such.Service/Method",
    "/",
];

/// A client of one version of reflection that reads, as others do, the descriptors of all services of a package with all that they import.
macro_rules! reflected {
    ($version:ident, $world:expr, $package:expr) => {{
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        use tonic_reflection::pb::$version::{ServerReflectionRequest, ServerReflectionResponse};

        let client = ServerReflectionClient::new($world.channel());
        let ask = async |question: MessageRequest| {
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let mut client = client.clone();
            let mut answers = client.server_reflection_info(stream::iter([request])).await.unwrap().into_inner();
            let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
            answer.message_response.unwrap()
        };
        let listed = match ask(MessageRequest::ListServices(String::new())).await {
            MessageResponse::ListServicesResponse(listed) => listed.service,
            other => panic!("{other:?}"),
        };
        let services: BTreeSet<String> = listed.into_iter().map(|service| service.name).collect();
        let ours = services.iter().filter(|name| name.starts_with($package));
        let mut questions: Vec<MessageRequest> = ours.cloned().map(MessageRequest::FileContainingSymbol).collect();
        let mut files: Vec<Vec<u8>> = Vec::new();
        let mut asked = BTreeSet::new();
        while let Some(question) = questions.pop() {
            let answer = match ask(question).await {
                MessageResponse::FileDescriptorResponse(answer) => answer.file_descriptor_proto,
                other => panic!("{other:?}"),
            };
            for file in answer {
                let imports = FileDescriptorProto::decode(file.as_slice()).unwrap().dependency;
                let new = imports.into_iter().filter(|name| asked.insert(name.clone()));
                questions.extend(new.map(MessageRequest::FileByFilename));
                files.push(file);
            }
        }
        (services, Contract::from_pool(pool(files)))
    }};
}

/// The files in the order that their imports ask for.
fn pool(mut files: Vec<Vec<u8>>) -> DescriptorPool {
    let mut pool = DescriptorPool::new();
    while !files.is_empty() {
        let before = files.len();
        files.retain(|file| pool.decode_file_descriptor_proto(file.as_slice()).is_err());
        assert!(files.len() < before, "some imports are missing");
    }
    pool
}

fn rules(contract: &Contract) -> Vec<String> {
    let rule = |method: &Method| format!("{} {:?}", method.name(), method.rule());
    contract.methods().iter().map(rule).collect()
}

fn credentials(text: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if !text.is_empty() {
        metadata.insert("authorization", format!("Bearer {text}").parse().unwrap());
    }
    metadata
}

/// Every reason that a refusal can have stands in the contract with a code of gRPC and an example of its facts. That the code is the one
/// that the server gives is tested beside the mapping.
#[wire_test(once)]
async fn every_reason_is_documented_with_its_code_and_an_example() {
    let codes: BTreeSet<String> = (1..=16).map(|code| format!("{:?}", Code::from_i32(code)).to_uppercase()).collect();
    let documented = Contract::load().reasons();
    for (reason, what) in &documented {
        assert!(codes.contains(&what.code.replace('_', "")), "{reason}: {}", what.code);
    }
    let given: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(documented.keys().map(String::as_str).collect::<BTreeSet<_>>(), given);
}

/// Every method of the contract is served.
#[wire_test(sqlite)]
async fn no_method_is_unimplemented(world: World) {
    for method in Contract::load().methods() {
        let nothing = DynamicMessage::new(method.input());
        if let Err(status) = method.call(world.channel(), credentials(world.operator_key()), &nothing).await {
            assert_ne!(status.code(), Code::Unimplemented, "{}", method.name());
            refusal(&status);
        }
    }
}

/// Where no method is, everybody gets one answer, which tells nothing and repeats nothing: neither whether the service exists nor
/// whether the credential is good.
#[wire_test(sqlite)]
async fn an_unknown_method_is_refused_without_detail(world: World) {
    let long = format!("/roster.v1.UserService/{}", "x".repeat(10_000));
    for credential in ["", "not-a-credential", world.operator_key()] {
        for path in NOWHERE.iter().copied().chain([long.as_str()]) {
            let mut request = Request::new(vec![0xff; 10]);
            *request.metadata_mut() = credentials(credential);
            let status = unary(world.channel(), path, request).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{path}: {status:?}");
            assert_eq!(status.message(), "This kind of caller may not call the method.");
            let details = WireStatus::decode(status.details()).unwrap().details;
            let [info] = &details[..] else { panic!("{path}: {details:?}") };
            let info = ErrorInfo::decode(info.value.as_slice()).unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CALLER_NOT_ALLOWED", "roster.v1"));
            assert!(info.metadata.is_empty(), "{path}: {info:?}");
        }
    }
}

/// Under the names that need no credential there is nothing but health and reflection.
#[wire_test(sqlite)]
async fn nothing_else_is_open(world: World) {
    let paths = [
        "/grpc.health.v1.Health/Nope",
        "/grpc.health.v1.Nope/Check",
        "/grpc.reflection.v2.X/Y",
        "/grpc.health.v1./roster.v1.UserService/ListUsers",
    ];
    for path in paths {
        let status = unary(world.channel(), path, Request::new(Vec::new())).await.unwrap_err();
        assert_eq!((status.code(), status.details()), (Code::Unimplemented, &[][..]), "{path}: {status:?}");
    }
}

/// Health answers without a credential, and with one that is none: probes have their own ideas.
#[wire_test(sqlite)]
async fn health_needs_no_credential(world: World) {
    for credential in ["", "not-a-credential"] {
        let ask = |service: &str| {
            let mut request = Request::new(HealthCheckRequest { service: service.to_owned() });
            *request.metadata_mut() = credentials(credential);
            request
        };
        let mut client = HealthClient::new(world.channel());
        let answer = client.check(ask("")).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
        let mut watched = client.watch(ask("")).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        let status = client.check(ask("no.such.Service")).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
    }
}

/// Both versions of reflection answer without a credential, with every service of the contract and with the access rule of each
/// method, which generic tools lose easily.
#[wire_test(sqlite)]
async fn reflection_shows_the_access_rules(world: World) {
    let contract = Contract::load();
    let expected: BTreeSet<String> = contract.methods().iter().map(Method::service).collect();
    let (services, v1) = reflected!(v1, world, "roster.v1.");
    assert!(expected.is_subset(&services), "{services:?}");
    assert_eq!(rules(&v1), rules(&contract));
    let (services, v1alpha) = reflected!(v1alpha, world, "roster.v1.");
    assert!(expected.is_subset(&services), "{services:?}");
    assert_eq!(rules(&v1alpha), rules(&contract));
    assert!(rules(&contract).iter().any(|rule| rule.contains("users.read")), "{:?}", rules(&contract));
}
