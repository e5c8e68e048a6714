//! Guessing, and work that anybody can ask for: what it costs others, and where it ends.

pub(crate) mod hashing;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Request};

use crate::services::credentials::mfa::{challenged, complete, guard, totp, wrong};
use crate::services::credentials::passwords::{change, reset, reset_token};
use crate::support::pb::SignInRequest;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::race::{all_told, at_once, told};
use crate::support::scenario::{
    PASSWORD, Scenario, assert_refused, call, create_user, retry_delay, service_key, sign_in,
};
use crate::support::world::{Replica, World};

const ADA: &str = "ada@example.com";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const REFUSED: &str = "Unauthenticated SIGN_IN_FAILED";
const TOO_MANY: &str = "ResourceExhausted TOO_MANY_ATTEMPTS";

/// A sign-in that a service passes on for somebody at an address of the network.
fn from(world: &World, key: &str, address: &str, email: &str, password: &str) -> Request<SignInRequest> {
    let attempt = SignInRequest { email: email.to_owned(), password: password.to_owned(), ..SignInRequest::default() };
    let mut request = world.as_service(key, attempt);
    request.metadata_mut().insert("roster-client-ip", address.parse().unwrap());
    request
}

/// What somebody is told who signs in from there.
async fn tried(world: &World, key: &str, address: &str, email: &str, password: &str) -> String {
    let request = from(world, key, address, email, password);
    told(&world.sessions().sign_in(request).await)
}

async fn tried_at(replica: &Replica, world: &World, key: &str, address: &str, email: &str, password: &str) -> String {
    let request = from(world, key, address, email, password);
    told(&replica.sessions().sign_in(request).await)
}

/// Waits until all mail has gone out: what is on its way while the clock moves comes twice.
async fn delivered(world: &World) {
    let queued = "SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'";
    while world.count(queued).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// ab_25: after ten wrong passwords in a row the next one has to wait, longer each time, on every replica and over a restart; and a right one, in its time, ends that.
#[wire_test]
async fn ab_25_wrong_passwords_cost_time(world: World) {
    create_user(&world, ADA).await;
    let replica = world.second_server().await;
    let key = service_key(&world, &["users.read"]).await;
    for index in 0..10 {
        assert_eq!(tried(&world, &key, &format!("198.51.100.{index}"), ADA, "wrong").await, REFUSED);
    }
    let before = world.count("SELECT COUNT(*) AS n FROM sign_ins").await;
    for wait in [30, 60, 120] {
        let refused = world.sessions().sign_in(from(&world, &key, "198.51.100.77", ADA, PASSWORD)).await.unwrap_err();
        assert_eq!(told(&Err::<(), _>(refused.clone())), TOO_MANY);
        let delay = retry_delay(&refused).unwrap();
        assert!(delay <= Duration::from_secs(wait) && delay > Duration::from_secs(wait - 2), "{delay:?}");
        assert_eq!(tried_at(&replica, &world, &key, "198.51.100.78", ADA, PASSWORD).await, TOO_MANY);
        world.restart_with(&[]).await;
        assert_eq!(tried(&world, &key, "198.51.100.79", ADA, PASSWORD).await, TOO_MANY);
        // In any spelling of the address.
        assert_eq!(tried(&world, &key, "198.51.100.79", "Ada@EXAMPLE.com", PASSWORD).await, TOO_MANY);
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(tried(&world, &key, "198.51.100.80", ADA, "wrong").await, REFUSED);
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sign_ins").await, before + 3, "what is refused leaves nothing");
    world.clock.advance(4 * MINUTE);
    assert_eq!(tried(&world, &key, "198.51.100.81", ADA, PASSWORD).await, "OK");
    for _ in 0..10 {
        assert_eq!(tried(&world, &key, "198.51.100.82", ADA, "wrong").await, REFUSED);
    }
    // A day later it is forgotten.
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, PASSWORD).await, TOO_MANY);
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, "wrong").await, REFUSED);
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, PASSWORD).await, "OK");
}

/// ab_25: whoever fails on purpose locks nobody out: a live session goes on and changes its password, the owner signs in from where they have before, and whoever has a reset in hand
/// signs in from where they used it.
#[wire_test]
async fn ab_25_failing_on_purpose_locks_nobody_out(world: World) {
    let ada = create_user(&world, ADA).await;
    let key = service_key(&world, &["users.read"]).await;
    assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, PASSWORD).await, "OK");
    let exhaust = async || {
        while tried(&world, &key, "198.51.100.66", ADA, "wrong").await == REFUSED {}
    };
    exhaust().await;
    assert_eq!(tried(&world, &key, "198.51.100.67", ADA, PASSWORD).await, TOO_MANY, "a stranger");
    // Anywhere in their network, and with mistakes of their own, which are counted apart.
    for index in 0..9 {
        assert_eq!(tried(&world, &key, &format!("2001:db8:0:7::{index}"), ADA, "mistyped").await, REFUSED);
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:7:ffff::1", ADA, PASSWORD).await, "OK");
    assert_eq!(tried(&world, &key, "198.51.100.67", ADA, PASSWORD).await, TOO_MANY, "the stranger still waits");
    let another = "crimson ladder over 7 rivers";
    call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)).unwrap();
    world.mailbox.wait_for(ADA, 1).await;
    // At home there are no more free guesses than elsewhere.
    for _ in 0..10 {
        assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, "wrong").await, REFUSED);
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, another).await, TOO_MANY);
    let token = reset_token(&world, ADA).await;
    let mut request = world.as_service(&key, reset(&token, PASSWORD));
    request.metadata_mut().insert("roster-client-ip", "203.0.113.5".parse().unwrap());
    world.credentials().reset_password(request).await.unwrap();
    exhaust().await;
    assert_eq!(tried(&world, &key, "203.0.113.5", ADA, PASSWORD).await, "OK");
    assert_eq!(tried(&world, &key, "203.0.113.6", ADA, PASSWORD).await, TOO_MANY);
    world.mailbox.wait_for(ADA, 3).await;
}

/// ab_25: one password tried on many addresses is counted by where it comes from, however the addresses in a /64 are rotated, and by who passes it on; others elsewhere sign in.
#[wire_test]
async fn ab_25_spraying_is_counted_by_its_origin(world: World) {
    world.restart_with(&[("sign-in-network-failures", "20"), ("sign-in-caller-failures", "30")]).await;
    create_user(&world, ADA).await;
    let (key, other) = (service_key(&world, &["users.read"]).await, service_key(&world, &["users.read"]).await);
    for index in 0..20 {
        assert_eq!(
            tried(&world, &key, &format!("2001:db8:0:9::{index:x}"), &format!("nobody{index}@example.com"), "wrong")
                .await,
            REFUSED
        );
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:9:ffff::1", ADA, PASSWORD).await, TOO_MANY);
    assert_eq!(tried(&world, &key, "2001:db8:0:9:ffff::1", "nobody@example.com", PASSWORD).await, TOO_MANY);
    assert_eq!(tried(&world, &key, "2001:db8:0:a::1", ADA, PASSWORD).await, "OK");
    for index in 0..10 {
        assert_eq!(
            tried(&world, &key, &format!("2001:db8:1:{index}::1"), &format!("nobody{index}@example.com"), "wrong")
                .await,
            REFUSED
        );
    }
    assert_eq!(
        tried(&world, &key, "2001:db8:0:b::1", ADA, PASSWORD).await,
        TOO_MANY,
        "the service has passed on too much"
    );
    assert_eq!(
        tried(&world, &key, "2001:db8:0:a::2", ADA, PASSWORD).await,
        "OK",
        "from where they have signed in before"
    );
    assert_eq!(tried(&world, &other, "2001:db8:0:b::1", ADA, PASSWORD).await, "OK");
    // The full hour over, it begins again.
    world.clock.advance(60 * MINUTE);
    assert_eq!(tried(&world, &key, "2001:db8:0:9::1", ADA, PASSWORD).await, "OK");
}

/// ab_25: many connections at once get no more guesses than one after the other would, but for one for each further replica.
#[wire_test]
async fn ab_25_guesses_at_once_are_no_more(world: World) {
    create_user(&world, ADA).await;
    let replica = world.second_server().await;
    let key = service_key(&world, &["users.read"]).await;
    let mut looked_at = 0;
    for round in 0..8 {
        let guess = |index: usize| {
            let client = if index.is_multiple_of(2) { world.sessions() } else { replica.sessions() };
            let request = from(&world, &key, &format!("198.51.{round}.{index}"), ADA, "wrong");
            async move {
                let mut client = client;
                client.sign_in(request).await
            }
        };
        let answers = at_once((0..20).map(guess).collect()).await;
        looked_at += all_told(&answers).iter().filter(|told| *told == REFUSED).count();
    }
    eprintln!("ab_25: {looked_at} guesses of 160 were looked at");
    assert!((10..=11).contains(&looked_at), "{looked_at}");
}

/// ab_25: a wrong present password counts for whoever has the session, and for nobody else: neither does it keep the owner from signing in, nor a stranger the owner from this.
#[wire_test]
async fn ab_25_a_session_does_not_guess_passwords(world: World) {
    let ada = create_user(&world, ADA).await;
    let another = "crimson ladder over 7 rivers";
    for _ in 0..10 {
        assert_refused(
            call!(world, credentials.change_password, &ada.session, change("wrong", another)),
            Code::FailedPrecondition,
            "PASSWORD_INCORRECT",
        );
    }
    assert_refused(
        call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)),
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
    );
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    world.clock.advance(MINUTE);
    call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)).unwrap();
    world.mailbox.wait_for(ADA, 1).await;
}

/// ab_25: after a hundred wrong codes in a row no code is looked at until a new password has been chosen by a link; the owner is told by mail before and then.
#[wire_test]
async fn ab_25_a_hundred_wrong_codes_need_a_reset(world: World) {
    // Who has come by a link keeps their second factor through a reset (ab_34).
    let ada = Scenario::acme(&world).await.join(ADA, &["member"]).await;
    let guarded = guard(&world, &ada).await;
    world.mailbox.wait_for(ADA, 2).await;
    let mut wrong_codes = 0;
    while wrong_codes < 100 {
        let challenge = challenged(&world, ADA, PASSWORD).await;
        let answer = complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await;
        match told(&answer).as_str() {
            "FailedPrecondition CODE_INVALID" => wrong_codes += 1,
            _ => {
                assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
                delivered(&world).await;
                world.clock.advance(60 * MINUTE);
            }
        }
    }
    delivered(&world).await;
    world.clock.advance(24 * 60 * MINUTE);
    let challenge = challenged(&world, ADA, PASSWORD).await;
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "SECOND_FACTOR_EXHAUSTED",
    );
    let warnings = world.mailbox.wait_for(ADA, 4).await;
    assert!(
        warnings[2..].iter().all(|mail| mail.subject == "Wrong codes for your account"),
        "{:?}",
        warnings[2].subject
    );
    let token = reset_token(&world, ADA).await;
    let another = "crimson ladder over 7 rivers";
    world.credentials().reset_password(reset(&token, another)).await.unwrap();
    let challenge = challenged(&world, ADA, another).await;
    complete(&world, &challenge.token, totp(&guarded, &world)).await.unwrap();
    world.mailbox.wait_for(ADA, 6).await;
}

/// ab_47: of a sign-in to an address that nobody has nothing is kept that its caller chose; it is counted, and what is counted does not tell whom.
#[wire_test]
async fn ab_47_what_strangers_say_is_not_kept(world: World) {
    let key = service_key(&world, &["users.read"]).await;
    let long = "x".repeat(300);
    for index in 0..3 {
        if index == 1 {
            world.clock.advance(SECOND);
        }
        let mut request = from(&world, &key, "192.0.2.7", &format!("nobody{index}@example.com"), "wrong");
        request.get_mut().user_agent.clone_from(&long);
        assert_eq!(told(&world.sessions().sign_in(request).await), REFUSED);
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sign_ins").await, 0);
    // One for each address, one for the network, one for the caller.
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM attempts").await, 5);
    let rows = crate::support::contents::dump(world.database()).await;
    assert!(!rows.values().flatten().any(|row| row.contains("xxxx") || row.contains("nobody")));
    // Each is forgotten after a day, and not a second before.
    let count = async || world.count("SELECT COUNT(*) AS n FROM attempts").await;
    let young = "SELECT COUNT(*) AS n FROM attempts WHERE forget_time = (SELECT MAX(forget_time) FROM attempts)";
    let young = world.count(young).await;
    assert!((1..5).contains(&young), "{young}");
    for (passed, left) in [(Duration::from_secs(24 * 3600) - SECOND, young), (SECOND, 0)] {
        world.clock.advance(passed);
        world.restart_with(&[]).await;
        let forgotten = tokio::time::timeout(Duration::from_secs(20), async {
            while count().await > left {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        forgotten.await.expect("a count is forgotten after a day");
        assert_eq!(count().await, left);
    }
}
