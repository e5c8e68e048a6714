//! Identity providers: their keys, their algorithms, and where they may be.

use std::time::Duration;

use futures_util::future::join_all;
use roster_test_macros::wire_test;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{assert_flaw, enter, linked, provider};
use crate::support::identity_provider::{DISCOVERY, IdentityProvider, KEYS, Page, Signer, shown};
use crate::support::pb::OpenIdConnectToken;
use crate::support::scenario::assert_refused;
use crate::support::world::World;

/// Holds that the provider counts as unavailable, with a time to come back.
#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("the call should be refused");
    let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| delay <= Duration::from_secs(30)), "{status:?}");
    assert_refused::<()>(Err(status), Code::Unavailable, "IDENTITY_PROVIDER_UNAVAILABLE");
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
