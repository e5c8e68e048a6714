//! Where the bounds of second factors lie: which code is used up by what, how many wrong ones there are and when they are forgotten, and what is left of a factor that is gone.

use std::time::{Duration, Instant};

use roster::platform::{entropy::Entropy, keyring::Keyring};
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::Code;

use crate::services::credentials::mfa::{
    STEP, begin, challenged, complete, confirm, guard, recovery, remove, sealed_secrets, totp, wrong,
};
use crate::support::authenticator::code;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{ListMfaFactorsRequest, remove_mfa_request};
use crate::support::scenario::{PASSWORD, assert_refused, call, create_user, settled};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);

/// ab_21: the code that has confirmed a factor is used by that.
#[wire_test]
async fn ab_21_the_code_of_the_set_up_signs_nobody_in(world: World) {
    let ada = create_user(&world, ADA).await;
    let begun = begin(&world, &ada.session).await.unwrap();
    let secret = begun.setup.unwrap().secret;
    let shown = || code(&secret, world.clock.now());
    confirm(&world, &ada.session, &begun.enrollment_id, &shown()).await.unwrap();
    let challenge = challenged(&world, ADA, PASSWORD).await;
    assert_refused(
        complete(&world, &challenge.token, Shown::TotpCode(shown())).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    settled(&world).await;
    world.clock.advance(STEP);
    complete(&world, &challenge.token, Shown::TotpCode(shown())).await.unwrap();
}

/// A factor that is being set up takes four wrong codes and then a right one; the fifth wrong one ends it.
#[wire_test]
async fn a_set_up_ends_with_the_fifth_wrong_code(world: World) {
    let ada = create_user(&world, ADA).await;
    for (wrong_codes, told) in [(5, Some("CHALLENGE_INVALID")), (4, None)] {
        let begun = begin(&world, &ada.session).await.unwrap();
        let secret = begun.setup.unwrap().secret;
        for _ in 0..wrong_codes {
            assert_refused(
                confirm(&world, &ada.session, &begun.enrollment_id, &wrong(&secret, &world)).await,
                Code::FailedPrecondition,
                "CODE_INVALID",
            );
        }
        let answer = confirm(&world, &ada.session, &begun.enrollment_id, &code(&secret, world.clock.now())).await;
        match told {
            Some(reason) => drop(assert_refused(answer, Code::FailedPrecondition, reason)),
            None => assert_eq!(answer.unwrap().recovery_codes.len(), 10),
        }
    }
}

/// Wrong codes count for an hour, to the second, and a right one, of the app or for recovery, forgives those before it.
#[wire_test]
async fn wrong_codes_are_forgotten_by_a_right_one_and_after_an_hour(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    for right in [None, Some(&guarded.recovery_codes[0]), Some(&guarded.recovery_codes[1])] {
        for _ in 0..9 {
            let challenge = challenged(&world, ADA, PASSWORD).await;
            assert_refused(
                complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await,
                Code::FailedPrecondition,
                "CODE_INVALID",
            );
        }
        let challenge = challenged(&world, ADA, PASSWORD).await;
        let shown = right.map_or_else(|| totp(&guarded, &world), |code| recovery(code));
        complete(&world, &challenge.token, shown).await.unwrap();
        settled(&world).await;
        world.clock.advance(STEP);
    }
    for _ in 0..10 {
        let challenge = challenged(&world, ADA, PASSWORD).await;
        assert_refused(
            complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await,
            Code::FailedPrecondition,
            "CODE_INVALID",
        );
    }
    // The hour began when the last right code was shown.
    world.clock.advance(60 * MINUTE - STEP - Duration::from_secs(1));
    let early = challenged(&world, ADA, PASSWORD).await;
    assert_refused(
        complete(&world, &early.token, totp(&guarded, &world)).await,
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
    );
    world.clock.advance(Duration::from_secs(1));
    complete(&world, &early.token, totp(&guarded, &world)).await.unwrap();
}

/// With a factor go its recovery codes.
#[wire_test]
async fn no_recovery_code_outlives_its_factor(world: World) {
    let ada = create_user(&world, ADA).await;
    guard(&world, &ada).await;
    let left = async || {
        let listing = ListMfaFactorsRequest { user_id: ada.user_id.clone() };
        let listed = call!(world, credentials.list_mfa_factors, &ada.session, listing).unwrap();
        (listed.mfa_factors.len(), listed.recovery_codes_left)
    };
    assert_eq!(left().await, (1, 10));
    remove(&world, &ada.session, remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned())).await.unwrap();
    assert_eq!(left().await, (0, 0));
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM recovery_codes").await, 0);
    world.mailbox.wait_for(ADA, 2).await;
}

/// A rotation of keys seals every second factor again but the one that no key opens, which stays as it is and keeps none of the others from it.
#[wire_test]
async fn a_factor_that_cannot_be_opened_stops_no_other(world: World) {
    for index in 0..3 {
        let person = create_user(&world, &format!("person{index}@example.com")).await;
        guard(&world, &person).await;
    }
    let broken = "UPDATE mfa_factors SET sealed_secret = (SELECT sealed_secret FROM mfa_factors ORDER BY id DESC LIMIT 1) WHERE id = (SELECT id FROM mfa_factors ORDER BY id LIMIT 1)";
    world.database().execute_unprepared(broken).await.unwrap();
    let before = sealed_secrets(&world).await;
    let old = world.flag("secret-key");
    let new = Keyring::generate(&Entropy::system());
    world.restart_with(&[("secret-key", &format!("{new},{old}"))]).await;
    let start = Instant::now();
    let mut after = before.clone();
    while after[1] == before[1] || after[2] == before[2] {
        assert!(start.elapsed() < Duration::from_secs(20), "not all were sealed anew");
        tokio::time::sleep(Duration::from_millis(10)).await;
        after = sealed_secrets(&world).await;
    }
    assert_eq!(after[0], before[0], "what cannot be opened stays");
}
