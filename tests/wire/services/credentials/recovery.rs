//! Taking an account back: what somebody else has begun with it, planted in it, or has at work, gains them nothing afterwards (ab_20, ab_24).

use std::future::Future;
use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, TransactionTrait};
use tonic::{Code, Response, Status};

use crate::services::credentials::identities::{enter, link as link_identity, provider};
use crate::services::credentials::mfa::{begin, confirm, guard};
use crate::services::credentials::passwords::{change, reset, reset_token};
use crate::services::users::addresses::{change as change_of_address, change_by, link as address_link, verify};
use crate::support::authenticator::code;
use crate::support::pb::credential_service_client::CredentialServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{
    AcceptInvitationRequest, ChangePasswordRequest, ConfirmMfaEnrollmentRequest, LinkIdentityRequest, RemoveMfaRequest,
    RevokeUserSessionsRequest, SuspendUserRequest, UnlinkIdentityRequest, remove_mfa_request,
};
use crate::support::race::told;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_refused, call, create_user, settled, sign_in, traces,
};
use crate::support::world::World;

const ID: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a10";
const ADA: &str = "ada@example.com";
/// An address that somebody else reads.
const FOREIGN: &str = "mallory@example.net";
/// A password that the policy accepts, and that nobody has yet.
const ANOTHER: &str = "crimson ladder over 7 rivers";

/// Has the account moved to [`FOREIGN`], and answers with the link that does it.
async fn begin_to_move(world: &World, person: &Person, count: usize) -> String {
    let request = change_of_address(&person.user_id, FOREIGN, PASSWORD);
    change_by(world, &person.session, request).await.unwrap();
    address_link(world, FOREIGN, count).await
}

/// Makes a call, and changes the database after the call has begun and before it gets to the user's row. What it is told then.
async fn meanwhile<T: Send + 'static>(
    world: &World,
    changes: &[&str],
    call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
) -> String {
    let held = world.database().begin().await.unwrap();
    for change in changes {
        held.execute_unprepared(change).await.unwrap();
    }
    let call = tokio::spawn(call);
    // A call that is later than this finds the change before it begins, and is refused as well.
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.commit().await.unwrap();
    told(&call.await.unwrap())
}

/// Ends all sessions, as a reset does, and holds the users' rows until then.
const SESSIONS_END: [&str; 2] =
    ["UPDATE users SET revision = revision", "UPDATE sessions SET revoke_time = create_time WHERE revoke_time IS NULL"];
/// Changes all passwords.
const PASSWORDS_CHANGE: [&str; 1] = ["UPDATE users SET password_hash = NULL"];

/// ab_20: a change of the address that waits for its link is over with a new password, by reset or by change, with the end of all sessions, and with the suspension of the
/// account: whoever had a session or the old password does not take the account away afterwards.
#[wire_test]
async fn ab_20_a_change_of_address_ends_with_the_sessions(world: World) {
    let ada = create_user(&world, ADA).await;
    let mut links = vec![begin_to_move(&world, &ada, 1).await];
    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
    assert_refused(verify(&world, &links[0]).await, Code::FailedPrecondition, "CHALLENGE_INVALID");

    let again = |password: &'static str| {
        let world = world.clone();
        async move { sign_in(&world, ADA, password).await.unwrap().session_token }
    };
    let here = Person { session: again(ANOTHER).await, ..ada.clone() };
    call!(world, credentials.change_password, &here.session, change(ANOTHER, PASSWORD)).unwrap();
    links.push(begin_to_move(&world, &here, 2).await);
    let there = again(PASSWORD).await;
    call!(world, credentials.change_password, &there, change(PASSWORD, ANOTHER)).unwrap();
    assert_refused(verify(&world, &links[1]).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    call!(world, credentials.change_password, &there, change(ANOTHER, PASSWORD)).unwrap();

    links.push(begin_to_move(&world, &Person { session: again(PASSWORD).await, ..ada.clone() }, 3).await);
    let request = RevokeUserSessionsRequest {
        user_id: ada.user_id.clone(),
        keep_current: true,
        ..RevokeUserSessionsRequest::default()
    };
    call!(world, sessions.revoke_user_sessions, &there, request).unwrap();
    assert_refused(verify(&world, &links[2]).await, Code::FailedPrecondition, "CHALLENGE_INVALID");

    links.push(begin_to_move(&world, &Person { session: there, ..ada.clone() }, 4).await);
    let request = SuspendUserRequest { user_id: ada.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), request).unwrap();
    assert_refused(verify(&world, &links[3]).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    world.mailbox.wait_for(ADA, 5).await;
}

/// ab_20: a second factor that waits for its first code does not survive a new password: who scanned it before would have it for good.
#[wire_test]
async fn ab_20_a_factor_in_the_making_ends_with_the_password(world: World) {
    let ada = create_user(&world, ADA).await;
    let begun = begin(&world, &ada.session).await.unwrap();
    call!(world, credentials.change_password, &ada.session, change(PASSWORD, ANOTHER)).unwrap();
    let shown = code(&begun.setup.unwrap().secret, world.clock.now());
    assert_refused(
        confirm(&world, &ada.session, &begun.enrollment_id, &shown).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    world.mailbox.wait_for(ADA, 1).await;
}

/// ab_20: a call that is at work while the sessions end, or the password changes, lands behind it and changes nothing. Without the look at the session under the user's lock
/// the identity was linked, the invitation accepted and the factor set up every time; without the look at the password the link was sent and the factor taken away.
#[wire_test]
async fn ab_20_a_call_at_work_does_not_outlive_its_session(world: World) {
    let provider = provider(&world).await;
    let ada = create_user(&world, ADA).await;
    let mut session = ada.session.clone();
    let (credentials, users) =
        (|| CredentialServiceClient::new(world.channel()), || UserServiceClient::new(world.channel()));
    let dead = "Unauthenticated CREDENTIALS_INVALID";

    let (mut client, request) = (
        credentials(),
        world.as_session(
            &session,
            LinkIdentityRequest {
                open_id_connect: Some(provider.token(&world, "1")),
                ..LinkIdentityRequest::default()
            },
        ),
    );
    assert_eq!(meanwhile(&world, &SESSIONS_END, async move { client.link_identity(request).await }).await, dead);

    let acme = Scenario::acme(&world).await;
    let token = acme.invited(ADA, &["member"]).await;
    session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    let (mut client, request) = (
        world.invitations(),
        world.as_session(&session, AcceptInvitationRequest { token, ..AcceptInvitationRequest::default() }),
    );
    assert_eq!(meanwhile(&world, &SESSIONS_END, async move { client.accept_invitation(request).await }).await, dead);

    session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    let begun = begin(&world, &session).await.unwrap();
    let shown = code(&begun.setup.unwrap().secret, world.clock.now());
    let request = ConfirmMfaEnrollmentRequest {
        enrollment_id: begun.enrollment_id,
        totp_code: shown,
        ..ConfirmMfaEnrollmentRequest::default()
    };
    let (mut client, request) = (credentials(), world.as_session(&session, request));
    assert_eq!(
        meanwhile(&world, &SESSIONS_END, async move { client.confirm_mfa_enrollment(request).await }).await,
        dead
    );

    session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    let request = ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: ANOTHER.to_owned(),
        ..ChangePasswordRequest::default()
    };
    let (mut client, request) = (credentials(), world.as_session(&session, request));
    assert_eq!(meanwhile(&world, &SESSIONS_END, async move { client.change_password(request).await }).await, dead);

    session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    guard(&world, &Person { session: session.clone(), ..ada.clone() }).await;
    let by_password = RemoveMfaRequest {
        proof: Some(remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned())),
        ..RemoveMfaRequest::default()
    };
    let wrong = "FailedPrecondition PASSWORD_INCORRECT";
    let (mut client, request) = (credentials(), world.as_session(&session, by_password));
    let token = reset_token(&world, ADA).await;
    assert_eq!(meanwhile(&world, &PASSWORDS_CHANGE, async move { client.remove_mfa(request).await }).await, wrong);
    world.credentials().reset_password(reset(&token, PASSWORD)).await.unwrap();
    settled(&world).await;

    let bob = create_user(&world, "bob@example.com").await;
    let (mut client, request) =
        (users(), world.as_session(&bob.session, change_of_address(&bob.user_id, FOREIGN, PASSWORD)));
    assert_eq!(
        meanwhile(&world, &PASSWORDS_CHANGE, async move { client.change_user_email(request).await }).await,
        wrong
    );
}

/// ab_18, ab_20: an account that somebody else has made for an address, with an identity and a second factor of theirs, belongs to whoever reads the address's mail once
/// they choose a password: the identity and the factor are gone, and they are told.
#[wire_test]
async fn ab_20_the_first_reset_takes_planted_ways_in_away(world: World) {
    let provider = provider(&world).await;
    let team = Scenario::under(&world, "packetfabric").await;
    team.create(&team.owner.session, ADA, &["regular"]).await.unwrap();
    let planted = sign_in(&world, ADA, PASSWORD).await.unwrap();
    let user = planted.user.unwrap();
    assert!(!user.email_verified);
    let person = Person { user_id: user.user_id.clone(), email: ADA.to_owned(), session: planted.session_token };
    link_identity(&world, &person.session, provider.token(&world, "1")).await.unwrap();
    guard(&world, &person).await;

    crate::support::waiting::all_sent(&world).await;
    let before = world.mailbox.mails_for(ADA).len();
    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
    let user = sign_in(&world, ADA, ANOTHER).await.unwrap().user.expect("no factor is asked for that is not theirs");
    assert!(user.email_verified);
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    let mails = world.mailbox.wait_for(ADA, before + 4).await;
    let mut subjects: Vec<&str> = mails[before + 1..].iter().map(|mail| mail.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        ["A provider to sign in by was taken away", "Your password was changed", "Your second factor was removed"]
    );
    let events = "SELECT COUNT(*) AS n FROM events WHERE kind IN ('user.identity_unlinked', 'user.mfa_removed', 'user.password_reset')";
    assert_eq!(world.count(events).await, 3);
}

/// ab_20: an old session gives its account no other way in: the person signs in again first. A repeated call still gets the first answer.
#[wire_test]
async fn ab_20_an_old_session_adds_no_way_in(world: World) {
    let provider = provider(&world).await;
    let ada = create_user(&world, ADA).await;
    world.clock.advance(Duration::from_secs(15 * 60 - 1));
    let request = LinkIdentityRequest {
        open_id_connect: Some(provider.token(&world, "1")),
        request_id: uuid::Uuid::nil().to_string(),
    };
    let first = call!(world, credentials.link_identity, &ada.session, request.clone()).unwrap();
    begin(&world, &ada.session).await.unwrap();
    settled(&world).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(call!(world, credentials.link_identity, &ada.session, request).unwrap(), first);
    let refused = assert_refused(
        link_identity(&world, &ada.session, provider.token(&world, "2")).await,
        Code::FailedPrecondition,
        "SESSION_NOT_RECENT",
    );
    assert_eq!(refused.metadata["max_age_seconds"], "900");
    assert_refused(begin(&world, &ada.session).await, Code::FailedPrecondition, "SESSION_NOT_RECENT");
    // Nor does it take one away, by which the others would end.
    let identity_id = first.identity.unwrap().identity_id;
    let unlinking = UnlinkIdentityRequest { identity_id: identity_id.clone(), request_id: ID.to_owned() };
    let before = traces(&world).await;
    assert_refused(
        call!(world, credentials.unlink_identity, &ada.session, unlinking.clone()),
        Code::FailedPrecondition,
        "SESSION_NOT_RECENT",
    );
    assert_eq!(traces(&world).await, before);
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    link_identity(&world, &session, provider.token(&world, "2")).await.unwrap();
    call!(world, credentials.unlink_identity, &session, unlinking.clone()).unwrap();
    settled(&world).await;
    world.clock.advance(Duration::from_secs(15 * 60));
    call!(world, credentials.unlink_identity, &session, unlinking).unwrap();
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    guard(&world, &Person { session, ..ada }).await;
}

/// A reset of an account whose password had been chosen by a link before leaves identities and the second factor: reading the mail is one factor and gets nobody around another.
#[wire_test]
async fn a_later_reset_leaves_the_other_ways_in(world: World) {
    let provider = provider(&world).await;
    let ada = create_user(&world, ADA).await;
    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, PASSWORD)).await.unwrap();
    let ada = Person { session: sign_in(&world, ADA, PASSWORD).await.unwrap().session_token, ..ada };
    link_identity(&world, &ada.session, provider.token(&world, "1")).await.unwrap();
    guard(&world, &ada).await;
    settled(&world).await;
    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
    assert!(enter(&world, provider.token(&world, "1")).await.unwrap().challenge.is_some());
    assert!(sign_in(&world, ADA, ANOTHER).await.unwrap().challenge.is_some());
    world.mailbox.wait_for(ADA, 4).await;
}
