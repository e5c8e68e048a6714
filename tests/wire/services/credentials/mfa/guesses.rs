//! Codes that are guessed or used twice.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use super::{ADA, challenged, complete, guard, totp, wrong};
use crate::support::authenticator::code_of_step;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::race::told;
use crate::support::scenario::{PASSWORD, assert_refused, create_user};
use crate::support::world::World;

/// ab_21: a code is taken once, at the present step and one beside it; nothing older than what was taken is.
#[wire_test]
async fn ab_21_an_older_code_is_refused(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    let present = world.clock.now().timestamp() / 30;
    let mut told_all = Vec::new();
    for step in [present + 2, present + 1, present + 1, present, present - 1] {
        let challenge = challenged(&world, ADA, PASSWORD).await;
        told_all.push(told(
            &complete(&world, &challenge.token, Shown::TotpCode(code_of_step(&guarded.secret, step))).await,
        ));
    }
    let refused = "FailedPrecondition CODE_INVALID";
    assert_eq!(told_all, [refused, "OK", refused, refused, refused]);
}

/// After ten wrong codes within an hour an account takes none at all, however many sign-ins they are spread over; the hour over, it does again.
#[wire_test]
async fn guessing_codes_is_bounded(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    for _ in 0..10 {
        let challenge = challenged(&world, ADA, PASSWORD).await;
        assert_refused(
            complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await,
            Code::FailedPrecondition,
            "CODE_INVALID",
        );
    }
    let challenge = challenged(&world, ADA, PASSWORD).await;
    let refused = assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
    );
    assert_eq!(refused.metadata["retry_after_seconds"], "3600");
    world.clock.advance(Duration::from_secs(3600));
    let challenge = challenged(&world, ADA, PASSWORD).await;
    for _ in 0..5 {
        assert_refused(
            complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await,
            Code::FailedPrecondition,
            "CODE_INVALID",
        );
    }
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
}
