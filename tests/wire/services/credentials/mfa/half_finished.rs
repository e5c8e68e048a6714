//! Sign-ins that wait for a second factor.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use super::{ADA, ANOTHER, STEP, begin, challenged, complete, guard, remove, totp, use_it, wrong};
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{GetUserRequest, ResetPasswordRequest, remove_mfa_request};
use crate::support::scenario::{PASSWORD, assert_invalid, assert_refused, call, create_user, service_key, sign_in};
use crate::support::world::World;

/// ab_23: a half-finished sign-in is good for one call, for five minutes: it is no credential, no link, and no session.
#[wire_test]
async fn ab_23_a_half_finished_sign_in_is_good_for_one_thing(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    let before = call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() })
        .unwrap()
        .user
        .unwrap()
        .last_sign_in_time;
    let challenge = challenged(&world, ADA, PASSWORD).await;
    assert!(challenge.token.starts_with("rsc_"));
    assert_refused(use_it(&world, &challenge.token, &ada.user_id).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let service = service_key(&world, &["users.read"]).await;
    let request = world.on_behalf_of(&service, &challenge.token, GetUserRequest { user_id: ada.user_id.clone() });
    assert_refused(world.users().get_user(request).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(begin(&world, &challenge.token).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let verified = call!(
        world,
        sessions.verify_session,
        world.operator_key(),
        crate::support::pb::VerifySessionRequest { session_token: challenge.token.clone(), ..Default::default() }
    );
    assert!(!verified.unwrap().valid);
    let reset = ResetPasswordRequest {
        token: challenge.token.clone(),
        new_password: ANOTHER.to_owned(),
        ..ResetPasswordRequest::default()
    };
    assert_refused(world.credentials().reset_password(reset).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let after = call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() })
        .unwrap()
        .user
        .unwrap()
        .last_sign_in_time;
    assert_eq!(before, after, "nobody has signed in");
    assert_refused(
        complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    complete(&world, &challenge.token, totp(&guarded, &world)).await.unwrap();
    world.clock.advance(STEP);
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    let late = challenged(&world, ADA, PASSWORD).await;
    world.clock.advance(Duration::from_secs(300));
    assert_refused(
        complete(&world, &late.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    for nonsense in ["", "rsc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let refused = complete(&world, nonsense, totp(&guarded, &world)).await;
        match nonsense {
            "" => assert_invalid(refused, &["token"]),
            _ => drop(assert_refused(refused, Code::FailedPrecondition, "CHALLENGE_INVALID")),
        }
    }
}

/// ab_23: a password that changes meanwhile ends the half-finished sign-ins that were begun with the old one.
#[wire_test]
async fn ab_23_a_new_password_ends_half_finished_sign_ins(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    let challenge = challenged(&world, ADA, PASSWORD).await;
    let request = crate::support::pb::ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: ANOTHER.to_owned(),
        ..Default::default()
    };
    call!(world, credentials.change_password, &ada.session, request).unwrap();
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    let challenge = challenged(&world, ADA, ANOTHER).await;
    complete(&world, &challenge.token, totp(&guarded, &world)).await.unwrap();
}

/// A second factor that is taken away ends the half-finished sign-ins that wait for a code of it: the person begins again.
#[wire_test]
async fn a_removed_factor_ends_half_finished_sign_ins(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    let challenge = challenged(&world, ADA, PASSWORD).await;
    remove(&world, &ada.session, remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned())).await.unwrap();
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    assert!(sign_in(&world, ADA, PASSWORD).await.unwrap().user.is_some());
    world.mailbox.wait_for(ADA, 2).await;
}
