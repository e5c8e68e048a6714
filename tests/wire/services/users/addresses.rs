//! The address of an account: changed by its owner or by a service that answers for it, and confirmed by a link.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    ChangeUserEmailRequest, ChangeUserEmailResponse, CreateUserRequest, GetUserRequest, VerifyUserEmailRequest,
    VerifyUserEmailResponse,
};
use crate::support::scenario::{
    PASSWORD, assert_invalid, assert_refused, call, create_user, new_user, settled, sign_in, traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const NEW: &str = "Ada.Lovelace@Example.org";

pub(crate) fn change(user_id: &str, email: &str, password: &str) -> ChangeUserEmailRequest {
    ChangeUserEmailRequest {
        user_id: user_id.to_owned(),
        email: email.to_owned(),
        password: password.to_owned(),
        ..ChangeUserEmailRequest::default()
    }
}

pub(crate) async fn change_by(
    world: &World,
    credential: &str,
    request: ChangeUserEmailRequest,
) -> Result<ChangeUserEmailResponse, Status> {
    call!(world, users.change_user_email, credential, request)
}

pub(crate) async fn verify(world: &World, token: &str) -> Result<VerifyUserEmailResponse, Status> {
    let request = VerifyUserEmailRequest { token: token.to_owned(), ..VerifyUserEmailRequest::default() };
    world.users().verify_user_email(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn link(world: &World, address: &str, count: usize) -> String {
    let token = world.mailbox.wait_for_token(address, "rev_", count).await;
    settled(world).await;
    token
}

/// A person changes their address with their password; it takes effect when they follow the link that came to the new one, once, and the old one is told.
#[wire_test]
async fn a_person_changes_their_address(world: World) {
    let ada = create_user(&world, ADA).await;
    assert_invalid(change_by(&world, &ada.session, change(&ada.user_id, NEW, "")).await, &["password"]);
    let before = traces(&world).await;
    assert_refused(
        change_by(&world, &ada.session, change(&ada.user_id, NEW, "crimson ladder over 7 rivers")).await,
        Code::FailedPrecondition,
        "PASSWORD_INCORRECT",
    );
    assert_eq!(traces(&world).await, before);
    let pending = change_by(&world, &ada.session, change(&ada.user_id, NEW, PASSWORD)).await.unwrap();
    assert!(pending.verification_sent && pending.user.unwrap().email == ADA);
    let token = link(&world, NEW, 1).await;
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    let user = verify(&world, &token).await.unwrap().user.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified), (NEW, true));
    assert_refused(verify(&world, &token).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_eq!(sign_in(&world, "ada.lovelace@example.org", PASSWORD).await.unwrap().user.unwrap().email, NEW);
    let told = world.mailbox.wait_for(ADA, 2).await;
    assert_eq!(
        told.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(),
        ["Another e-mail address was asked for", "Your e-mail address was changed"]
    );
    assert!(told[0].text.contains("once a link that went there is followed") && !told[0].text.contains("example.org"));
}

/// A link works for a day, and only the newest one.
#[wire_test]
async fn a_link_that_confirms_an_address_ends(world: World) {
    let ada = create_user(&world, ADA).await;
    change_by(&world, &ada.session, change(&ada.user_id, NEW, PASSWORD)).await.unwrap();
    let replaced = link(&world, NEW, 1).await;
    change_by(&world, &ada.session, change(&ada.user_id, NEW, PASSWORD)).await.unwrap();
    let newest = link(&world, NEW, 2).await;
    assert_refused(verify(&world, &replaced).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_refused(verify(&world, &newest).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    for count in 3..8 {
        change_by(&world, &ada.session, change(&ada.user_id, NEW, PASSWORD)).await.unwrap();
        link(&world, NEW, count).await;
    }
    let refused = assert_refused(
        change_by(&world, &ada.session, change(&ada.user_id, NEW, PASSWORD)).await,
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
    );
    assert_eq!(refused.metadata["retry_after_seconds"], "3600");
}

/// With the address that they have, a person has it confirmed.
#[wire_test]
async fn a_person_has_their_address_confirmed(world: World) {
    let request = CreateUserRequest { email_verified: false, ..new_user(ADA) };
    let user = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    change_by(&world, &session, change(&user.user_id, ADA, PASSWORD)).await.unwrap();
    let token = link(&world, ADA, 1).await;
    assert!(verify(&world, &token).await.unwrap().user.unwrap().email_verified);
    settled(&world).await;
    assert_eq!(world.mailbox.mails_for(ADA).len(), 1, "nothing was changed that somebody should be told of");
}

/// An address that another account has: the person gets the same answer, and whoever reads its mail learns it at the end; a service is told at once.
#[wire_test]
async fn an_address_belongs_to_one_account(world: World) {
    let ada = create_user(&world, ADA).await;
    create_user(&world, "bob@example.com").await;
    assert!(
        change_by(&world, &ada.session, change(&ada.user_id, "BOB@example.com", PASSWORD))
            .await
            .unwrap()
            .verification_sent
    );
    let mails = world.mailbox.wait_for("BOB@example.com", 1).await;
    settled(&world).await;
    assert_refused(verify(&world, &mails[0].token("rev_")).await, Code::AlreadyExists, "EMAIL_TAKEN");
    assert_refused(
        change_by(&world, world.operator_key(), change(&ada.user_id, "bob@example.com", "")).await,
        Code::AlreadyExists,
        "EMAIL_TAKEN",
    );
}

/// A service that answers for the address changes it at once; the old one is told, and links that went there are dead. Nobody else does: another user does not exist
/// for a person, whatever their role.
#[wire_test]
async fn a_service_changes_an_address_at_once(world: World) {
    let ada = create_user(&world, ADA).await;
    let bob = create_user(&world, "bob@example.com").await;
    assert_refused(
        change_by(&world, &bob.session, change(&ada.user_id, NEW, PASSWORD)).await,
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    let request = crate::support::pb::RequestPasswordResetRequest { email: ADA.to_owned(), ..Default::default() };
    world.credentials().request_password_reset(request).await.unwrap();
    let old = world.mailbox.wait_for(ADA, 1).await[0].token("rpr_");
    let etag = call!(world, users.get_user, world.operator_key(), GetUserRequest { user_id: ada.user_id.clone() })
        .unwrap()
        .user
        .unwrap()
        .etag;
    let stale = ChangeUserEmailRequest { etag: "stale".to_owned(), ..change(&ada.user_id, NEW, "") };
    assert_eq!(
        assert_refused(change_by(&world, world.operator_key(), stale).await, Code::Aborted, "ETAG_MISMATCH").metadata["etag"],
        etag
    );
    let changed =
        change_by(&world, world.operator_key(), ChangeUserEmailRequest { etag, ..change(&ada.user_id, NEW, "") })
            .await
            .unwrap();
    let user = changed.user.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified, changed.verification_sent), (NEW, false, false));
    let request = crate::support::pb::ResetPasswordRequest {
        token: old,
        new_password: PASSWORD.to_owned(),
        ..Default::default()
    };
    assert_refused(world.credentials().reset_password(request).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    world.mailbox.wait_for(ADA, 2).await;
}
