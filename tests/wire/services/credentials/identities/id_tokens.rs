//! Which ID tokens are taken, from whom, and how often.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roster_test_macros::wire_test;
use serde_json::{Value, json};
use tonic::Code;

use super::{ADA, accept_with, assert_flaw, enter, link, linked, provider};
use crate::support::identity_provider::{CLIENT, IdentityProvider, Signer, shown, unsigned};
use crate::support::pb::{AcceptInvitationRequest, LinkIdentityRequest, SignInRequest, SignUp};
use crate::support::scenario::{Scenario, assert_refused, call, create_user, service_key, traces};
use crate::support::world::World;

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
