//! Identities at OpenID Connect providers: signing up and in with them, linking and unlinking; forged tokens (ab_28), and what a provider could make Roster fetch (ab_29).

use roster_test_macros::wire_test;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::services::credentials::mfa::guard;
use crate::services::credentials::passwords::{reset, reset_token};
use crate::support::identity_provider::{CLIENT, DISCOVERY, IdentityProvider, KEYS, Page, Signer, shown, unsigned};
use crate::support::pb::{
    AcceptInvitationRequest, AcceptInvitationResponse, DeleteUserRequest, Identity, LinkIdentityRequest,
    ListIdentitiesRequest, OpenIdConnectToken, SignInRequest, SignInResponse, SignUp, SuspendUserRequest,
    UnlinkIdentityRequest,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, create_user, service_key, settled, sign_in,
    traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";

/// A provider that the world's server trusts.
pub(crate) async fn provider(world: &World) -> IdentityProvider {
    let provider = IdentityProvider::start(world, Signer::es256()).await;
    provider.trusted_by(world).await;
    provider
}

/// Signs in with an ID token.
pub(crate) async fn enter(world: &World, token: OpenIdConnectToken) -> Result<SignInResponse, Status> {
    let request = SignInRequest { open_id_connect: Some(token), ..SignInRequest::default() };
    world.sessions().sign_in(request).await.map(Response::into_inner)
}

/// Accepts as a new person with an identity.
pub(crate) async fn accept_with(
    world: &World,
    invitation: &str,
    token: OpenIdConnectToken,
    request_id: &str,
) -> Result<AcceptInvitationResponse, Status> {
    let request = AcceptInvitationRequest {
        token: invitation.to_owned(),
        sign_up: Some(SignUp { given_name: "Ada".to_owned(), open_id_connect: Some(token), ..SignUp::default() }),
        request_id: request_id.to_owned(),
    };
    let answer = world.invitations().accept_invitation(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn link(world: &World, session: &str, token: OpenIdConnectToken) -> Result<Identity, Status> {
    let request = LinkIdentityRequest { open_id_connect: Some(token), ..LinkIdentityRequest::default() };
    let answer = call!(world, credentials.link_identity, session, request)?;
    Ok(answer.identity.unwrap())
}

async fn identities(world: &World, credential: &str, user_id: &str) -> Result<Vec<Identity>, Status> {
    let request = ListIdentitiesRequest { user_id: user_id.to_owned() };
    let answer = call!(world, credentials.list_identities, credential, request)?;
    Ok(answer.identities)
}

pub(crate) async fn unlink(world: &World, session: &str, identity_id: &str) -> Result<(), Status> {
    let request = UnlinkIdentityRequest { identity_id: identity_id.to_owned(), ..UnlinkIdentityRequest::default() };
    call!(world, credentials.unlink_identity, session, request).map(drop)
}

/// Somebody with an account and this identity.
pub(crate) async fn linked(world: &World, provider: &IdentityProvider, email: &str, subject: &str) -> Person {
    let person = create_user(world, email).await;
    link(world, &person.session, provider.token(world, subject)).await.unwrap();
    settled(world).await;
    person
}

/// Holds that a token is refused for this flaw.
#[track_caller]
fn assert_flaw<T: std::fmt::Debug>(answer: Result<T, Status>, flaw: &str) {
    let refused = assert_refused(answer, Code::Unauthenticated, "ID_TOKEN_INVALID");
    assert_eq!(refused.metadata["flaw"], flaw);
}

/// Holds that the provider counts as unavailable, with a time to come back.
#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("the call should be refused");
    let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| delay <= Duration::from_secs(30)), "{status:?}");
    assert_refused::<()>(Err(status), Code::Unavailable, "IDENTITY_PROVIDER_UNAVAILABLE");
}

/// An identity is linked with the person's own session, listed, signed in with, nobody else's, and taken away again; its person is told by mail of both.
#[wire_test]
async fn an_identity_is_linked_used_and_taken_away(world: World) {
    let provider = provider(&world).await;
    let (ada, bob) = (create_user(&world, ADA).await, create_user(&world, "bob@example.com").await);
    let refused =
        assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_eq!(refused.hint(), "accept an invitation with it, or link it while signed in");
    let token = provider.token(&world, "1");
    let request =
        || LinkIdentityRequest { open_id_connect: Some(token.clone()), request_id: uuid::Uuid::nil().to_string() };
    let first = call!(world, credentials.link_identity, &ada.session, request()).unwrap();
    assert_eq!(call!(world, credentials.link_identity, &ada.session, request()).unwrap(), first);
    let found = identities(&world, &ada.session, &ada.user_id).await.unwrap();
    assert_eq!(found, vec![first.identity.clone().unwrap()]);
    assert_eq!((found[0].issuer.as_str(), found[0].subject.as_str()), (provider.issuer.as_str(), "1"));
    let refused = assert_refused(
        link(&world, &bob.session, provider.token(&world, "1")).await,
        Code::AlreadyExists,
        "IDENTITY_TAKEN",
    );
    assert_eq!(refused.hint(), "sign in with it");
    assert_refused(identities(&world, &bob.session, &ada.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    assert_refused(unlink(&world, &bob.session, &found[0].identity_id).await, Code::NotFound, "IDENTITY_NOT_FOUND");

    let entered = enter(&world, provider.token(&world, "1")).await.unwrap();
    assert_eq!(entered.user.unwrap().user_id, ada.user_id);
    let used = identities(&world, world.operator_key(), &ada.user_id).await.unwrap();
    assert!(used[0].last_used_time.is_some());
    let request = || UnlinkIdentityRequest {
        identity_id: found[0].identity_id.clone(),
        request_id: uuid::Uuid::nil().to_string(),
    };
    call!(world, credentials.unlink_identity, &ada.session, request()).unwrap();
    call!(world, credentials.unlink_identity, &ada.session, request()).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_refused(
        identities(&world, &entered.session_token, &ada.user_id).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    assert_eq!(world.mailbox.wait_for(ADA, 2).await.len(), 2);
    link(&world, &bob.session, provider.token(&world, "1")).await.unwrap();
}

/// Without a password, the last identity stays; a link in a mail sets a first password, and then it can go. Deleting the account leaves the identity to others.
#[wire_test]
async fn the_last_way_in_stays(world: World) {
    let provider = provider(&world).await;
    let acme = Scenario::acme(&world).await;
    let accepted =
        accept_with(&world, &acme.invited(ADA, &["member"]).await, provider.token(&world, "1"), "").await.unwrap();
    let own = identities(&world, &accepted.session_token, &accepted.user_id).await.unwrap().remove(0);
    let refused = assert_refused(
        unlink(&world, &accepted.session_token, &own.identity_id).await,
        Code::FailedPrecondition,
        "LAST_CREDENTIAL",
    );
    assert_eq!(refused.hint(), "set a password or link another identity first");
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");

    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, PASSWORD)).await.unwrap();
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    unlink(&world, &session, &own.identity_id).await.unwrap();
    link(&world, &session, provider.token(&world, "1")).await.unwrap();

    let request = DeleteUserRequest { user_id: accepted.user_id, ..Default::default() };
    call!(world, users.delete_user, world.operator_key(), request).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    let next =
        accept_with(&world, &acme.invited(ADA, &["member"]).await, provider.token(&world, "1"), "").await.unwrap();
    assert!(!next.session_token.is_empty());
}

/// An identity is no way around a second factor or a suspension.
#[wire_test]
async fn an_identity_opens_no_more_than_a_password(world: World) {
    let provider = provider(&world).await;
    let ada = linked(&world, &provider, ADA, "1").await;
    guard(&world, &ada).await;
    let answer = enter(&world, provider.token(&world, "1")).await.unwrap();
    assert!(answer.challenge.is_some() && answer.session_token.is_empty());
    let request = SuspendUserRequest { user_id: ada.user_id, ..Default::default() };
    call!(world, users.suspend_user, world.operator_key(), request).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "SIGN_IN_FAILED");
}

/// Only a person with a session of their own links and unlinks; one password and one identity together, or neither, is no sign-in.
#[wire_test]
async fn an_identity_takes_the_place_of_a_password(world: World) {
    let provider = provider(&world).await;
    let key = service_key(&world, &["credentials.write"]).await;
    assert_refused(link(&world, &key, provider.token(&world, "1")).await, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    assert_refused(
        unlink(&world, &key, &uuid::Uuid::nil().to_string()).await,
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    let both = SignInRequest {
        email: ADA.to_owned(),
        password: PASSWORD.to_owned(),
        username: "ada".to_owned(),
        open_id_connect: Some(OpenIdConnectToken::default()),
        ..SignInRequest::default()
    };
    assert_invalid(
        world.sessions().sign_in(both).await,
        &["email", "password", "username", "open_id_connect.id_token", "open_id_connect.nonce"],
    );
    assert_invalid(world.sessions().sign_in(SignInRequest::default()).await, &["email", "password"]);
    let sign_up = |password: &str, token| AcceptInvitationRequest {
        token: "rin_x".to_owned(),
        sign_up: Some(SignUp {
            given_name: "A".to_owned(),
            password: password.to_owned(),
            open_id_connect: token,
            ..SignUp::default()
        }),
        ..AcceptInvitationRequest::default()
    };
    let both = sign_up(PASSWORD, Some(provider.token(&world, "1")));
    assert_invalid(world.invitations().accept_invitation(both).await, &["sign_up.password"]);
    assert_invalid(world.invitations().accept_invitation(sign_up("", None)).await, &["sign_up.password"]);
    let ada = create_user(&world, ADA).await;
    for subject in 0..10 {
        link(&world, &ada.session, provider.token(&world, &subject.to_string())).await.unwrap();
    }
    let eleventh = link(&world, &ada.session, provider.token(&world, "10")).await;
    assert_eq!(assert_refused(eleventh, Code::FailedPrecondition, "TOO_MANY_IDENTITIES").metadata["limit"], "10");
}

/// ab_28: whatever is forged, borrowed or out of its time is refused with its flaw, whoever it claims to be, and nothing has changed.
#[wire_test]
async fn ab_28_a_forged_token_is_nobodys(world: World) {
    let provider = provider(&world).await;
    linked(&world, &provider, ADA, "1").await;
    let other = Signer::es256();
    let good = |changes: Value| {
        let mut claims = provider.claims(&world, "1");
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let signed = |changes: Value| provider.signer.token(&provider.header(), &good(changes));
    let headed = |changes: Value| {
        let mut header = provider.header();
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let now = world.clock.now().timestamp();
    // The public key as the secret of an HMAC.
    let text = unsigned(&headed(json!({"alg": "HS256"})), &good(json!({})));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, provider.signer.jwk("ES256").to_string().as_bytes());
    let swapped = format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&secret, text.as_bytes())));
    let mut changed = signed(json!({}));
    let signature = changed.split_off(changed.rfind('.').unwrap());
    let elsewhere = unsigned(&provider.header(), &good(json!({"sub": "2"})));
    let forged = [
        (format!("{}.", unsigned(&headed(json!({"alg": "none"})), &good(json!({})))), "algorithm"),
        (format!("{}.", unsigned(&provider.header(), &good(json!({})))), "signature"),
        (swapped, "algorithm"),
        (provider.signer.token(&headed(json!({"alg": "RS256"})), &good(json!({}))), "algorithm"),
        (other.token(&provider.header(), &good(json!({}))), "signature"),
        (other.token(&headed(json!({"jwk": other.jwk("x")})), &good(json!({}))), "header"),
        (other.token(&headed(json!({"jku": "https://evil.example/keys"})), &good(json!({}))), "header"),
        (other.token(&headed(json!({"x5u": "https://evil.example/keys"})), &good(json!({}))), "header"),
        (other.token(&headed(json!({"kid": "../../etc/passwd"})), &good(json!({}))), "key"),
        (format!("{elsewhere}{signature}"), "signature"),
        (provider.signer.token(&headed(json!({"typ": "at+jwt"})), &good(json!({}))), "type"),
        (signed(json!({"iss": "https://evil.example"})), "issuer"),
        (signed(json!({"iss": format!("{}/", provider.issuer)})), "issuer"),
        (signed(json!({"aud": "another-client"})), "audience"),
        (signed(json!({"aud": null})), "audience"),
        (signed(json!({"aud": [CLIENT, "another-client"]})), "authorized_party"),
        (signed(json!({"azp": "another-client"})), "authorized_party"),
        (signed(json!({"exp": now - 61})), "expired"),
        (signed(json!({"exp": null})), "expired"),
        (signed(json!({"iat": null})), "issued_at"),
        (signed(json!({"iat": now + 120})), "issued_at"),
        (signed(json!({"nbf": now + 120})), "not_yet_valid"),
        (signed(json!({"nonce": "another"})), "nonce"),
        (signed(json!({"nonce": null})), "nonce"),
        (signed(json!({"sub": null})), "subject"),
        (signed(json!({"sub": "x".repeat(256)})), "subject"),
        ("a.b.c".to_owned(), "malformed"),
    ];
    let before = traces(&world).await;
    for (token, flaw) in forged {
        assert_flaw(enter(&world, shown(token)).await, flaw);
    }
    assert_eq!(traces(&world).await, before);
    // The same by a token that was good a moment ago.
    let token = shown(signed(json!({})));
    world.clock.advance(Duration::from_secs(600 + 60));
    assert_flaw(enter(&world, token).await, "expired");
    enter(&world, provider.token(&world, "1")).await.unwrap();
}

/// ab_28: a provider that vouches for the address of an account gets nobody into it, not even by an invitation to that address.
#[wire_test]
async fn ab_28_an_address_links_nothing(world: World) {
    let provider = provider(&world).await;
    let acme = Scenario::acme(&world).await;
    create_user(&world, ADA).await;
    let invitation = acme.invited(ADA, &["member"]).await;
    let vouching = || {
        let mut claims = provider.claims(&world, "mallory");
        claims["email"] = json!(ADA);
        claims["email_verified"] = json!(true);
        shown(provider.signer.token(&provider.header(), &claims))
    };
    let before = traces(&world).await;
    assert_refused(enter(&world, vouching()).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_refused(accept_with(&world, &invitation, vouching(), "").await, Code::AlreadyExists, "ACCOUNT_EXISTS");
    assert_eq!(traces(&world).await, before);
    // The same subject at another issuer is somebody else.
    linked(&world, &provider, "mia@example.com", "7").await;
    let second = IdentityProvider::start(&world, Signer::es256()).await;
    second.trusted_by(&world).await;
    assert_refused(enter(&world, second.token(&world, "7")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_flaw(enter(&world, provider.token(&world, "7")).await, "issuer");
}

/// ab_28: an ID token is good for one call, and what is signed is what counts: another valid signature over it changes nothing.
#[wire_test]
async fn ab_28_an_id_token_signs_in_once(world: World) {
    let provider = provider(&world).await;
    linked(&world, &provider, ADA, "1").await;
    let token = provider.token(&world, "1");
    enter(&world, token.clone()).await.unwrap();
    let refused = assert_refused(enter(&world, token.clone()).await, Code::Unauthenticated, "ID_TOKEN_USED");
    assert_eq!(refused.hint(), "begin a new sign-in at the provider");
    let text = token.id_token.rsplit_once('.').unwrap().0;
    let parts: Vec<Value> =
        text.split('.').map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()).collect();
    let again = shown(provider.signer.token(&parts[0], &parts[1]));
    assert_ne!(again.id_token, token.id_token);
    assert_refused(enter(&world, again).await, Code::Unauthenticated, "ID_TOKEN_USED");
}

/// Tokens of each algorithm that proves something are taken.
#[wire_test(sqlite)]
async fn each_algorithm_signs_in(world: World) {
    for signer in [Signer::es256(), Signer::rs256(), Signer::ps256(), Signer::ed_dsa()] {
        let provider = IdentityProvider::start(&world, signer).await;
        provider.trusted_by(&world).await;
        let email = format!("{}@example.com", provider.key_id().to_lowercase());
        let person = linked(&world, &provider, &email, "1").await;
        let entered = enter(&world, provider.token(&world, "1")).await.unwrap();
        assert_eq!(entered.user.unwrap().user_id, person.user_id);
    }
}

/// Many who sign in first at once make one fetch; a new key is noticed; and made-up keys do not make Roster ask again and again.
#[wire_test(sqlite)]
async fn keys_are_fetched_when_they_are_needed(world: World) {
    let mut provider = provider(&world).await;
    let tokens: Vec<OpenIdConnectToken> = (0..8).map(|_| provider.token(&world, "1")).collect();
    let answers = join_all(tokens.into_iter().map(|token| enter(&world, token))).await;
    for answer in answers {
        assert_refused(answer, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    }
    assert_eq!(provider.asked(), 2, "the discovery document and the keys, once each");
    let forged = |index: usize| {
        let mut header = provider.header();
        header["kid"] = json!(format!("made-up-{index}"));
        shown(provider.signer.token(&header, &provider.claims(&world, "1")))
    };
    for index in 0..20 {
        assert_flaw(enter(&world, forged(index)).await, "key");
    }
    assert_eq!(provider.asked(), 2);
    world.clock.advance(Duration::from_secs(30));
    for index in 0..20 {
        assert_flaw(enter(&world, forged(index)).await, "key");
    }
    assert_eq!(provider.asked(), 4);
    // Another key, half a minute later.
    provider.signer = Signer::rs256();
    provider.publish();
    assert_flaw(enter(&world, provider.token(&world, "1")).await, "key");
    world.clock.advance(Duration::from_secs(30));
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
}

/// A provider that is down is said to be, and is asked again after half a minute; keys that are there go on working for a day after their time.
#[wire_test(sqlite)]
async fn a_provider_that_is_down_comes_back(world: World) {
    let provider = provider(&world).await;
    provider.break_down();
    assert_unavailable(enter(&world, provider.token(&world, "1")).await);
    provider.publish();
    let asked = provider.asked();
    assert_unavailable(enter(&world, provider.token(&world, "1")).await);
    assert_eq!(provider.asked(), asked);
    world.clock.advance(Duration::from_secs(30));
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    provider.break_down();
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    world.clock.advance(Duration::from_secs(3600));
    assert_unavailable(enter(&world, provider.token(&world, "1")).await);
}

/// ab_29: neither by a redirect, nor by what a discovery document names, nor by its size, nor by an issuer's own host that is inside, does anything inside hear of
/// Roster.
#[wire_test(sqlite)]
async fn ab_29_nothing_inside_is_fetched(world: World) {
    let provider = provider(&world).await;
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let discovery = |issuer: &str, keys: &str| Page::of(&json!({"issuer": issuer, "jwks_uri": keys}));
    let own = |keys: &str| discovery(&provider.issuer, keys);
    let elsewhere = |path: &str| Page {
        status: "302 Found",
        headers: format!("Location: {}{path}\r\n", provider.issuer),
        body: String::new(),
    };
    let huge =
        Page { status: "200 OK", headers: String::new(), body: format!("{{\"pad\": \"{}\"}}", "x".repeat(300_000)) };
    let keys = format!("{}{KEYS}", provider.issuer);
    let good = Page::of(&json!({"keys": [provider.signer.jwk(provider.key_id())]}));
    for (found, there) in [
        (own(&format!("https://127.0.0.1:{port}/")), good.clone()),
        (own(&format!("https://localhost:{port}/")), good.clone()),
        (own(&format!("https://[::1]:{port}/")), good.clone()),
        (own(&format!("http://localhost:{port}/")), good.clone()),
        (own(&keys.replace("https", "http")), good.clone()),
        (own("https://169.254.169.254/latest/meta-data/"), good.clone()),
        (own("file:///etc/passwd"), good.clone()),
        (discovery("https://evil.example", &keys), good.clone()),
        (elsewhere("/moved"), good.clone()),
        (huge.clone(), good.clone()),
        (own(&keys), elsewhere("/moved")),
        (own(&keys), huge),
        (own(&keys), Page::of(&json!({"keys": []}))),
    ] {
        provider.answer(DISCOVERY, found);
        provider.answer(KEYS, there);
        provider.answer("/moved", good.clone());
        assert_unavailable(enter(&world, provider.token(&world, "1")).await);
        world.clock.advance(Duration::from_secs(30));
    }
    provider.publish();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");

    // Without the operator's word, the issuer's own host may not be inside either.
    let asked = provider.asked();
    let settings = provider.settings();
    world.restart_with(&[("oidc-issuers", settings[0].1.as_str()), ("oidc-ca", settings[1].1.as_str())]).await;
    assert_unavailable(enter(&world, provider.token(&world, "1")).await);
    assert_eq!(provider.asked(), asked);
    let heard = tokio::time::timeout(Duration::from_millis(1), inside.accept()).await;
    assert!(heard.is_err(), "something inside was connected to");
}

/// With ROSTER_OIDC_REQUIRE_SERVICE, an ID token is worth nothing to whoever has no service key: not to sign in, not to sign up, not to link. It is not used up by the attempt.
#[wire_test(sqlite)]
async fn an_id_token_is_taken_from_services_only(world: World) {
    let provider = IdentityProvider::start(&world, Signer::es256()).await;
    let mut settings = provider.settings().to_vec();
    settings.push(("oidc-require-service", "true".to_owned()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.restart_with(&settings).await;
    let acme = Scenario::acme(&world).await;
    let key = service_key(&world, &["credentials.write"]).await;
    let token = provider.token(&world, "1");
    let invitation = acme.invited(ADA, &["member"]).await;
    let before = traces(&world).await;
    let refused = assert_refused(
        accept_with(&world, &invitation, token.clone(), "").await,
        Code::PermissionDenied,
        "SERVICE_REQUIRED",
    );
    assert!(refused.hint().contains("service key"));
    assert_eq!(traces(&world).await, before);
    let request = AcceptInvitationRequest {
        token: invitation,
        sign_up: Some(SignUp { given_name: "Ada".to_owned(), open_id_connect: Some(token), ..SignUp::default() }),
        ..AcceptInvitationRequest::default()
    };
    let accepted = call!(world, invitations.accept_invitation, &key, request).unwrap();

    let token = provider.token(&world, "1");
    assert_refused(enter(&world, token.clone()).await, Code::PermissionDenied, "SERVICE_REQUIRED");
    let request = SignInRequest { open_id_connect: Some(token), ..SignInRequest::default() };
    call!(world, sessions.sign_in, &key, request).unwrap();

    let token = provider.token(&world, "2");
    let session = &accepted.session_token;
    assert_refused(link(&world, session, token.clone()).await, Code::PermissionDenied, "SERVICE_REQUIRED");
    let request = LinkIdentityRequest { open_id_connect: Some(token), ..LinkIdentityRequest::default() };
    let request = world.on_behalf_of(&key, session, request);
    world.credentials().link_identity(request).await.unwrap();
}

/// An ID token is a secret: it rests nowhere.
#[wire_test(sqlite)]
async fn an_id_token_rests_nowhere(world: World) {
    let provider = provider(&world).await;
    linked(&world, &provider, ADA, "1").await;
    let token = provider.token(&world, "1");
    enter(&world, token.clone()).await.unwrap();
    let signature = token.id_token.rsplit('.').next().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(world.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            seen += 1;
            assert!(!bytes.windows(signature.len()).any(|window| window == signature.as_bytes()), "{}", path.display());
        }
    }
    assert!(seen > 0);
}
