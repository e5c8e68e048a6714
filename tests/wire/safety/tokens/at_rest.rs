//! No secret is stored as it is, in a database, an answer or a log.

use std::fmt::Debug;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roster_test_macros::wire_test;
use tonic::{Request, Response, Status};

use super::INVITED;
use crate::support::contents::dump;
use crate::support::mailbox::Fault;
use crate::support::otlp::Receiver;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::service_account_service_client::ServiceAccountServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{
    CreateInvitationRequest, CreateOrganizationRequest, CreateServiceAccountRequest, CreateServiceKeyRequest,
    CreateUserRequest, GetUserRequest, ListOrganizationsRequest, NewUser, PreviewInvitationRequest,
    ResendInvitationRequest, VerifySessionRequest,
};
use crate::support::process::Process;
use crate::support::scenario::{accepting, credentials, signing_up};
use crate::support::world::World;

/// The secrets of a flow, and every place where one must not turn up.
#[derive(Default)]
struct Canaries {
    secrets: Vec<(&'static str, String)>,
    /// What callers were told when they were refused.
    told: Vec<u8>,
}

impl Canaries {
    fn keep(&mut self, name: &'static str, secret: &str) {
        assert!(secret.len() > 8, "{name} is too short to be searched for");
        self.secrets.push((name, secret.to_owned()));
    }

    /// A refused call, whose answer is kept to be searched.
    fn told<T: Debug>(&mut self, outcome: Result<Response<T>, Status>) {
        let status = outcome.map(Response::into_inner).expect_err("the call was not refused");
        self.told.extend_from_slice(format!("{status:?}").as_bytes());
        self.told.extend_from_slice(status.details());
    }

    /// Which secrets, in which form, stand in these bytes.
    fn found_in(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        assert!(!bytes.is_empty(), "{place}: nothing there to search");
        let mut found = Vec::new();
        for (name, secret) in &self.secrets {
            for (form, needle) in forms(secret) {
                if contains(bytes, &needle) {
                    found.push(format!("{place}: {name} as {form}"));
                }
            }
        }
        found
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The ways in which a secret may be written down: as it is, without its prefix, the bytes that it stands for, and each of these in hexadecimal and in
/// base64 wherever in a longer text it begins.
fn forms(secret: &str) -> Vec<(String, Vec<u8>)> {
    let mut plain = vec![("text", secret.as_bytes().to_vec())];
    if let Some(body) = ["rin_", "rss_", "rsk_"].iter().find_map(|prefix| secret.strip_prefix(prefix)) {
        plain.push(("text without its prefix", body.as_bytes().to_vec()));
        plain.push(("bytes", URL_SAFE_NO_PAD.decode(body).unwrap()));
    } else if let Ok(bytes) = STANDARD.decode(secret) {
        plain.push(("bytes", bytes));
    }
    let mut all = Vec::new();
    for (form, bytes) in plain {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        all.push((format!("{form} in hexadecimal"), hex.to_uppercase().into_bytes()));
        all.push((format!("{form} in hexadecimal"), hex.into_bytes()));
        for shift in 0..3 {
            let shifted = [vec![0; shift], bytes.clone()].concat();
            for text in [STANDARD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                // Without the characters that the neighbours decide too.
                let text = text.trim_end_matches('=');
                let inner = text.get((shift * 8).div_ceil(6)..text.len() - 1).unwrap();
                all.push((format!("{form} in base64"), inner.as_bytes().to_vec()));
            }
        }
        all.push((form.to_owned(), bytes));
    }
    all
}

/// The search finds what it is to find.
#[wire_test(once)]
async fn the_canary_search_finds_every_form() {
    let mut canaries = Canaries::default();
    let token = format!("rss_{}", URL_SAFE_NO_PAD.encode([7; 32]));
    canaries.keep("token", &token);
    for (place, text) in [
        ("text", format!("x{token}x").into_bytes()),
        ("bytes", [vec![1], vec![7; 32], vec![1]].concat()),
        ("hexadecimal", "07".repeat(32).into_bytes()),
        ("base64", STANDARD.encode(format!("ab{token}cd")).into_bytes()),
    ] {
        assert_ne!(canaries.found_in(place, &text), Vec::<String>::new(), "{place}");
    }
    assert_eq!(canaries.found_in("the prefix", b"rss_BwcHBwcHBwcH"), Vec::<String>::new());
}

fn with<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
    request
}

/// ab_19: after a whole flow with repeated calls, refused calls and failed mail, served by the real program at its most talkative, no password, token
/// or key stands in any column of any table, in the database's files, in the log, in an exported trace or metric, or in an answer to a refused call.
#[wire_test]
async fn ab_19_no_secret_rests_anywhere(world: World) {
    let receiver = Receiver::start().await;
    let mut flags = world.flags();
    let data = tempfile::tempdir().unwrap();
    flags.push(format!("--data-dir={}", data.path().display()));
    let endpoint = receiver.endpoint();
    let environment = [("ROSTER_LOG", "trace"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let (process, addresses) = Process::serve(&flags, &environment).await;
    // Its mail too is to be delivered by the process that is watched.
    world.stop().await;
    let canaries = flow(&world, addresses.channel()).await;
    // The worker has time to fail and to try.
    world.mailbox.wait_for(INVITED, 2).await;
    let table = dump(world.database()).await;
    assert!(table["outbox_messages"].iter().any(|row| row.contains("queued")), "{table:?}");
    assert!(table["outbox_messages"].iter().any(|row| row.contains("failed")), "{table:?}");
    assert!(table["replays"].len() >= 5);

    let mut found = Vec::new();
    for (name, rows) in &table {
        found.extend(canaries.found_in(&format!("table {name}"), format!("-{}", rows.join("\n")).as_bytes()));
    }
    if let Some(file) = world.sqlite_file() {
        for path in files(file.parent().unwrap()) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("roster.db")) {
                let bytes = [b"-".as_slice(), &std::fs::read(&path).unwrap()].concat();
                found.extend(canaries.found_in(&path.display().to_string(), &bytes));
            }
        }
    }
    let ended = process.stop().await;
    assert!(ended.stderr.contains("\"level\":\"TRACE\""));
    found.extend(canaries.found_in("the log", ended.stderr.as_bytes()));
    found.extend(canaries.found_in("the exported traces", &receiver.traces_bytes()));
    found.extend(canaries.found_in("the exported metrics", &receiver.metrics_bytes()));
    found.extend(canaries.found_in("the answers to refused calls", &canaries.told));
    assert_eq!(found, Vec::<String>::new());
    world.leaves_messages_behind("one message is left to be tried again, to see how it rests");
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Everything that carries a secret, most of it twice under one request id.
async fn flow(world: &World, channel: tonic::transport::Channel) -> Canaries {
    const OWNER: &str = "olga@example.com";
    let mut canaries = Canaries::default();
    let mut organizations = OrganizationServiceClient::new(channel.clone());
    let mut invitations = InvitationServiceClient::new(channel.clone());
    let mut accounts = ServiceAccountServiceClient::new(channel.clone());
    let mut sessions = SessionServiceClient::new(channel.clone());
    let mut users = UserServiceClient::new(channel);
    let operator = world.operator_key().to_owned();
    canaries.keep("the operator key", &operator);
    canaries.keep("the secret key", &world.flag("secret-key"));
    let mut request_ids = (1..).map(|n| uuid::Uuid::from_u128(n).to_string());
    let mut request_id = || request_ids.next().unwrap();

    let passwords = [
        "violet tractor under 9 moons",
        "seven quiet lanterns over 3 rivers",
        "a wrong guess by somebody else",
        "qwertyuiop12345",
    ];
    for password in passwords {
        canaries.keep("a password", password);
    }
    let request = CreateOrganizationRequest {
        display_name: "Analytical Engines".to_owned(),
        owner: Some(Owner::NewOwner(NewUser {
            email: OWNER.to_owned(),
            given_name: "Olga".to_owned(),
            password: passwords[0].to_owned(),
            email_verified: true,
            ..NewUser::default()
        })),
        request_id: request_id(),
        ..CreateOrganizationRequest::default()
    };
    organizations.create_organization(with(&operator, request.clone())).await.unwrap();
    let made = organizations.create_organization(with(&operator, request)).await.unwrap().into_inner();
    let organization_id = made.organization.unwrap().organization_id;

    let request = CreateServiceAccountRequest {
        display_name: "Portal".to_owned(),
        scopes: vec!["operator".to_owned()],
        ..Default::default()
    };
    let account =
        accounts.create_service_account(with(&operator, request)).await.unwrap().into_inner().service_account.unwrap();
    let request = CreateServiceKeyRequest {
        service_account_id: account.service_account_id,
        request_id: request_id(),
        ..Default::default()
    };
    let key = accounts.create_service_key(with(&operator, request.clone())).await.unwrap().into_inner().key;
    assert_eq!(accounts.create_service_key(with(&operator, request)).await.unwrap().into_inner().key, key);
    canaries.keep("a service key", &key);

    let session = sessions.sign_in(credentials(OWNER, passwords[0])).await.unwrap().into_inner().session_token;
    canaries.keep("a session", &session);
    canaries.told(sessions.sign_in(credentials(OWNER, passwords[2])).await);
    canaries.told(sessions.sign_in(credentials("nobody@example.com", passwords[2])).await);
    let request = VerifySessionRequest { session_token: session.clone(), ..Default::default() };
    assert!(sessions.verify_session(with(&key, request)).await.unwrap().into_inner().valid);
    let mut request = with(&key, GetUserRequest { user_id: made.owner_user_id });
    request.metadata_mut().insert("roster-on-behalf-of", session.parse().unwrap());
    users.get_user(request).await.unwrap();

    // Mail that arrives, mail that is refused for good, and mail that is left to be tried again; the links of all three are known.
    world.mailbox.inject(Fault::Reject("gone@example.com".to_owned()));
    world.mailbox.inject(Fault::Greylist("later@example.com".to_owned()));
    let mut token = String::new();
    let mut invitation_id = String::new();
    for email in ["gone@example.com", "later@example.com", INVITED] {
        let request = CreateInvitationRequest {
            organization_id: organization_id.clone(),
            email: email.to_owned(),
            include_link: true,
            request_id: request_id(),
            ..Default::default()
        };
        let made = invitations.create_invitation(with(&key, request.clone())).await.unwrap().into_inner();
        assert_eq!(invitations.create_invitation(with(&key, request)).await.unwrap().into_inner().link, made.link);
        token = made.link.rsplit('/').next().unwrap().to_owned();
        canaries.keep("a link", &token);
        invitation_id = made.invitation.unwrap().invitation_id;
    }
    world.mailbox.wait_for(INVITED, 1).await;
    let request = ResendInvitationRequest {
        organization_id,
        invitation_id,
        include_link: true,
        request_id: request_id(),
        ..Default::default()
    };
    let resent = invitations.resend_invitation(with(&key, request.clone())).await.unwrap().into_inner();
    invitations.resend_invitation(with(&key, request)).await.unwrap();
    canaries.told(invitations.accept_invitation(signing_up(&token, passwords[1])).await);
    let token = resent.link.rsplit('/').next().unwrap().to_owned();
    canaries.keep("a link", &token);
    world.mailbox.wait_for(INVITED, 2).await;

    invitations.preview_invitation(PreviewInvitationRequest { token: token.clone() }).await.unwrap();
    canaries.told(invitations.accept_invitation(signing_up(&token, passwords[3])).await);
    canaries.told(invitations.accept_invitation(with(&session, accepting(&token))).await);
    let mut request = signing_up(&token, passwords[1]);
    request.request_id = request_id();
    let accepted = invitations.accept_invitation(request.clone()).await.unwrap().into_inner();
    canaries.keep("a session", &accepted.session_token);
    let _ = invitations.accept_invitation(request).await;
    canaries.told(invitations.accept_invitation(signing_up(&token, passwords[1])).await);

    // Secrets in the wrong places.
    canaries.told(invitations.preview_invitation(PreviewInvitationRequest { token: session.clone() }).await);
    canaries.told(users.get_user(with(&token, GetUserRequest::default())).await);
    canaries.told(users.get_user(with(&session, GetUserRequest { user_id: key.clone() })).await);
    canaries.told(
        organizations
            .list_organizations(with(
                &session,
                ListOrganizationsRequest { page_token: key.clone(), ..Default::default() },
            ))
            .await,
    );
    canaries.told(
        organizations
            .list_organizations(with(
                &key,
                ListOrganizationsRequest { page_token: session.clone(), ..Default::default() },
            ))
            .await,
    );
    let request = CreateUserRequest {
        email: session.clone(),
        given_name: format!("{session}\n"),
        password: "short".to_owned(),
        locale: token.clone(),
        request_id: key.clone(),
        ..Default::default()
    };
    canaries.told(users.create_user(with(&key, request)).await);
    let request = CreateUserRequest {
        email: OWNER.to_owned(),
        given_name: "Olga".to_owned(),
        password: passwords[1].to_owned(),
        ..Default::default()
    };
    canaries.told(users.create_user(with(&key, request)).await);
    canaries
}
