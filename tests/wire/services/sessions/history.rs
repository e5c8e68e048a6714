//! Attempts to sign in are kept for a while, whatever came of them.

use std::time::Duration;

use roster_test_macros::wire_test;

use crate::support::pb::SignInRequest;
use crate::support::scenario::{PASSWORD, Scenario, create_user, service_key};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn kept(world: &World, condition: &str) -> i64 {
    world.count(&format!("SELECT COUNT(*) AS n FROM sign_ins WHERE {condition}")).await
}

/// An attempt is kept with its outcome, the reported network address and the user agent; of one for an address that nobody has, nothing is (ab_47). Who accepts an invitation as a
/// new person has signed in, too.
#[wire_test]
async fn every_attempt_leaves_one_row(world: World) {
    let acme = Scenario::acme(&world).await;
    create_user(&world, ADA).await;
    let before = kept(&world, "outcome = 'succeeded'").await;
    let key = service_key(&world, &["users.read"]).await;
    for (email, password) in
        [(ADA, PASSWORD), (ADA, "not the password"), ("nobody@example.com", PASSWORD), ("no address", PASSWORD)]
    {
        let attempt = SignInRequest {
            open_id_connect: None,
            username: String::new(),
            email: email.to_owned(),
            password: password.to_owned(),
            user_agent: "Firefox on Linux".to_owned(),
        };
        let mut request = world.as_service(&key, attempt);
        request.metadata_mut().insert("roster-client-ip", "192.0.2.7".parse().unwrap());
        let _ = world.sessions().sign_in(request).await;
    }
    let reported = "ip_address = '192.0.2.7' AND user_agent = 'Firefox on Linux'";
    assert_eq!(kept(&world, &format!("outcome = 'succeeded' AND user_id IS NOT NULL AND {reported}")).await, 1);
    assert_eq!(kept(&world, &format!("outcome = 'failed' AND user_id IS NOT NULL AND {reported}")).await, 1);
    assert_eq!(kept(&world, "outcome = 'failed' AND user_id IS NULL").await, 0);
    acme.join("bob@example.com", &["member"]).await;
    assert_eq!(kept(&world, "outcome = 'succeeded'").await, before + 2);
}

/// After ninety days an attempt is forgotten.
#[wire_test]
async fn attempts_are_forgotten_after_ninety_days(world: World) {
    create_user(&world, ADA).await;
    world.clock.advance(89 * DAY);
    let server = world.second_server().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(kept(&world, "user_id IS NOT NULL").await, 1);
    server.stop().await;
    world.clock.advance(DAY + Duration::from_secs(1));
    let _server = world.second_server().await;
    let forgotten = tokio::time::timeout(Duration::from_secs(10), async {
        while kept(&world, "user_id IS NOT NULL").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    forgotten.await.expect("a row older than ninety days is forgotten");
}
