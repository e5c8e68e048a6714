//! ab_19: a token is good for one thing, once, until its time is over, and nothing that rests anywhere can be used as one.

use roster_test_macros::wire_test;
use std::fmt::Debug;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Code, Request, Response, Status};

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
use crate::support::program::Process;
use crate::support::safety_kit::{
    PASSWORD, Team, accepting, credentials, dump, flag, refusal, sign_in, signing_up, sqlite_file,
};
use crate::support::world::World;

const INVITED: &str = "bea@example.com";

async fn preview(world: &World, token: &str) -> Result<(), Status> {
    let request = PreviewInvitationRequest { token: token.to_owned() };
    world.invitations().preview_invitation(request).await.map(drop)
}

/// Whether a session or key may be used: who may not call gets another answer than who is not known.
async fn usable(world: &World, credential: &str) -> bool {
    let request = world.as_session(credential, GetUserRequest { user_id: uuid::Uuid::nil().to_string() });
    let (code, reason) = refusal(world.users().get_user(request).await);
    if reason == "CREDENTIALS_INVALID" {
        assert_eq!(code, Code::Unauthenticated);
        return false;
    }
    assert_eq!((code, reason.as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    true
}

/// Texts that differ from a token in one place or in length.
fn nearly(token: &str) -> Vec<String> {
    let mut texts = vec![
        format!("{token}A"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}{token}"),
        token[..token.len() - 1].to_owned(),
        token[1..].to_owned(),
        token[4..].to_owned(),
        token.to_uppercase(),
        format!("{}\0{}", &token[..20], &token[21..]),
    ];
    // Each character with its lowest bit turned over, where that is a character of the alphabet, else another one.
    for at in 0..token.len() {
        let turned = char::from(token.as_bytes()[at] ^ 1);
        let turned = if turned.is_ascii_alphanumeric() { turned } else { 'Q' };
        let mut text = token.to_owned();
        text.replace_range(at..=at, turned.encode_utf8(&mut [0; 4]));
        texts.push(text);
    }
    texts.retain(|text| text != token);
    texts
}

async fn service_key(world: &World, expire_time: Option<DateTime<Utc>>) -> String {
    let request = CreateServiceAccountRequest {
        display_name: "Portal".to_owned(),
        scopes: vec!["users.read".to_owned(), "sessions.verify".to_owned()],
        ..CreateServiceAccountRequest::default()
    };
    let made = world.service_accounts().create_service_account(world.as_operator(request)).await.unwrap();
    let request = CreateServiceKeyRequest {
        service_account_id: made.into_inner().service_account.unwrap().service_account_id,
        expire_time: expire_time.map(|time| prost_types::Timestamp { seconds: time.timestamp(), nanos: 0 }),
        ..CreateServiceKeyRequest::default()
    };
    world.service_accounts().create_service_key(world.as_operator(request)).await.unwrap().into_inner().key
}

/// ab_19: an invitation's token that is guessed, cut, extended, or changed in one bit is no invitation's, and the answer does not tell which; the
/// token itself works once.
#[wire_test]
async fn ab_19_an_invitation_token_has_one_text_and_one_use(world: World) {
    let team = Team::found(&world).await;
    let (_, token) = team.invite(&world, INVITED).await;
    let guess = format!("rin_{}", "A".repeat(43));
    let mut answers = Vec::new();
    for wrong in nearly(&token).into_iter().chain([guess.clone()]) {
        let before = world.count("SELECT COUNT(*) AS n FROM users").await;
        let previewed = preview(&world, &wrong).await.unwrap_err();
        let accepted = world.invitations().accept_invitation(signing_up(&wrong, PASSWORD)).await.unwrap_err();
        for status in [previewed, accepted] {
            answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(world.count("SELECT COUNT(*) AS n FROM users").await, before, "{wrong:?}");
    }
    // Twice the token is longer than any token, and is told so.
    answers.retain(|(code, ..)| *code != Code::InvalidArgument);
    assert!(answers.len() >= 2 * token.len());
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == Code::NotFound), "{answers:?}");

    preview(&world, &token).await.unwrap();
    preview(&world, &token).await.unwrap();
    world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await.unwrap();
    let again = world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await;
    assert_eq!(refusal(again), (Code::FailedPrecondition, "INVITATION_ALREADY_USED".to_owned()));
    let session = sign_in(&world, INVITED, PASSWORD).await.unwrap();
    let again = world.invitations().accept_invitation(world.as_session(&session, accepting(&token))).await;
    assert_eq!(refusal(again), (Code::FailedPrecondition, "INVITATION_ALREADY_USED".to_owned()));
}

/// ab_19: a resent invitation's earlier link is dead, and answers as one that never was.
#[wire_test]
async fn ab_19_a_replaced_token_is_dead(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let team = Team::found(&world).await;
    let (invitation, old) = team.invite(&world, INVITED).await;
    let request = ResendInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    world.invitations().resend_invitation(world.as_session(&team.owner, request)).await.unwrap();
    let new = world.mailbox.wait_for(INVITED, 2).await[1].invitation_token();
    let refused = world.invitations().accept_invitation(signing_up(&old, PASSWORD)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "INVITATION_NOT_FOUND".to_owned()));
    preview(&world, &new).await.unwrap();
}

/// ab_19: a session's token and a service key that are cut, extended or changed in one bit are nobody's.
#[wire_test]
async fn ab_19_a_credential_has_one_text(world: World) {
    let team = Team::found(&world).await;
    let key = service_key(&world, None).await;
    let request = world.as_service(&key, GetUserRequest { user_id: team.owner_id.clone() });
    world.users().get_user(request).await.unwrap();
    let request = world.as_session(&team.owner, GetUserRequest { user_id: team.owner_id.clone() });
    world.users().get_user(request).await.unwrap();
    for wrong in nearly(&key).into_iter().chain(nearly(&team.owner)) {
        // A header carries no line break and no zero byte, and the space before a token belongs to the header.
        let fit =
            wrong.chars().all(|c| c.is_ascii_graphic()) && wrong.parse::<tonic::metadata::AsciiMetadataValue>().is_ok();
        if fit {
            assert!(!usable(&world, &wrong).await, "{wrong:?}");
        }
        let request =
            world.as_service(&key, VerifySessionRequest { session_token: wrong.clone(), ..Default::default() });
        match world.sessions().verify_session(request).await {
            Ok(answer) => assert!(!answer.into_inner().valid, "{wrong:?}"),
            Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{wrong:?}"),
        }
    }
}

/// ab_19: a token of one kind is not taken for another, in any place where a token goes.
#[wire_test]
async fn ab_19_a_token_of_another_kind_is_refused(world: World) {
    let team = Team::found(&world).await;
    let (_, link) = team.invite(&world, INVITED).await;
    let key = service_key(&world, None).await;
    // As a link, also with the link's prefix.
    for wrong in [&team.owner, &key, &world.operator_key().to_owned()] {
        for text in [wrong.clone(), format!("rin_{}", &wrong[4..])] {
            assert_eq!(preview(&world, &text).await.unwrap_err().code(), Code::NotFound);
        }
    }
    // As a credential.
    for text in [link.clone(), format!("rss_{}", &link[4..]), format!("rsk_{}", &link[4..])] {
        assert!(!usable(&world, &text).await);
    }
    for text in [format!("rsk_{}", &team.owner[4..]), format!("rss_{}", &key[4..])] {
        assert!(!usable(&world, &text).await);
    }
    // As the session that a service was handed.
    for text in [&key, &link, &format!("rss_{}", &link[4..])] {
        let request =
            world.as_service(&key, VerifySessionRequest { session_token: text.clone(), ..Default::default() });
        assert!(!world.sessions().verify_session(request).await.unwrap().into_inner().valid);
        let request = world.on_behalf_of(world.operator_key(), text, GetUserRequest { user_id: team.owner_id.clone() });
        let refused = world.users().get_user(request).await;
        assert_eq!(refusal(refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    }
}

/// ab_19: expiry is looked at when a token is used: good until then, dead from that moment on, without anything that has to run in between.
#[wire_test]
async fn ab_19_a_token_is_dead_when_its_time_is_over(world: World) {
    let team = Team::found(&world).await;
    let (invitation, link) = team.invite(&world, INVITED).await;
    let end = invitation.expire_time.unwrap();
    let end = DateTime::from_timestamp(end.seconds, end.nanos.unsigned_abs()).unwrap();
    let before = |time: DateTime<Utc>, margin: TimeDelta| (time - margin - world.clock.now()).to_std().unwrap();
    let second = TimeDelta::seconds(1);

    let key = service_key(&world, Some(end + TimeDelta::days(1))).await;
    world.clock.advance(before(end, second));
    preview(&world, &link).await.unwrap();
    world.clock.advance(before(end, TimeDelta::zero()));
    for _ in 0..2 {
        let expired = world.invitations().accept_invitation(signing_up(&link, PASSWORD)).await;
        assert_eq!(refusal(expired), (Code::FailedPrecondition, "INVITATION_EXPIRED".to_owned()));
        assert_eq!(preview(&world, &link).await.unwrap_err().code(), Code::FailedPrecondition);
        world.clock.advance(second.to_std().unwrap());
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM users").await, 1);

    let end = DateTime::from_timestamp(end.timestamp(), 0).unwrap() + TimeDelta::days(1);
    world.clock.advance(before(end, second));
    assert!(usable(&world, &key).await);
    world.clock.advance(second.to_std().unwrap());
    assert!(!usable(&world, &key).await);

    // A session that is used lives on from then; one that is not has ended after its week.
    let session = sign_in(&world, "olga@example.com", PASSWORD).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 - 1));
    assert!(alive(&world, &session, &team).await);
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 - 1));
    assert!(alive(&world, &session, &team).await);
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 + 1));
    assert!(!alive(&world, &session, &team).await);
}

async fn alive(world: &World, session: &str, team: &Team) -> bool {
    let request = world.as_session(session, GetUserRequest { user_id: team.owner_id.clone() });
    world.users().get_user(request).await.is_ok()
}

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
    if let Some(file) = sqlite_file(&world) {
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
    canaries.keep("the secret key", &flag(world, "secret-key"));
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
