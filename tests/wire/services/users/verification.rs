//! The link by which a person shows that an address is theirs, sent when somebody asks for it.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use super::addresses::{link, verify};
use crate::support::pb::{CreateUserRequest, GetUserRequest, SendEmailVerificationRequest, SuspendUserRequest};
use crate::support::scenario::{
    PASSWORD, assert_refused, call, create_user, new_user, service_key, settled, sign_in, traces,
};
use crate::support::world::World;

async fn send(world: &World, credential: &str, user_id: &str) -> Result<bool, Status> {
    let request = SendEmailVerificationRequest { user_id: user_id.to_owned(), ..Default::default() };
    call!(world, users.send_email_verification, credential, request).map(|answer| answer.verification_sent)
}

/// A person, and a service for them, have a link sent to an address that was never shown to be theirs. The last link counts, once; of an address that is verified nothing is sent.
#[wire_test]
async fn an_address_is_verified_afterwards(world: World) {
    let request = CreateUserRequest { email_verified: false, ..new_user("ada@example.com") };
    let ada = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    assert!(!ada.email_verified);
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    assert!(send(&world, &session, &ada.user_id).await.unwrap());
    let first = link(&world, &ada.email, 1).await;
    let key = service_key(&world, &["users.write"]).await;
    assert!(send(&world, &key, &ada.user_id).await.unwrap());
    let second = link(&world, &ada.email, 2).await;
    assert_refused(verify(&world, &first).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    assert!(verify(&world, &second).await.unwrap().user.unwrap().email_verified);
    assert_refused(verify(&world, &second).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let read = GetUserRequest { user_id: ada.user_id.clone() };
    assert!(call!(world, users.get_user, &session, read).unwrap().user.unwrap().email_verified);
    let before = traces(&world).await;
    assert!(!send(&world, &session, &ada.user_id).await.unwrap());
    assert_eq!(traces(&world).await, before);
}

/// Nobody has a link sent to somebody else, a key needs its scope, an account out of use gets none, and five an hour are enough.
#[wire_test]
async fn links_have_their_limits(world: World) {
    let request = CreateUserRequest { email_verified: false, ..new_user("ada@example.com") };
    let ada = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    let bob = create_user(&world, "bob@example.com").await;
    assert_refused(send(&world, &bob.session, &ada.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    let reader = service_key(&world, &["users.read"]).await;
    assert_refused(send(&world, &reader, &ada.user_id).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    for _ in 0..5 {
        assert!(send(&world, world.operator_key(), &ada.user_id).await.unwrap());
    }
    let refused = send(&world, world.operator_key(), &ada.user_id).await;
    assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
    let suspension = SuspendUserRequest { user_id: ada.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), suspension).unwrap();
    let refused = send(&world, world.operator_key(), &ada.user_id).await;
    assert_refused(refused, Code::FailedPrecondition, "USER_STATE_CONFLICT");
    settled(&world).await;
}
