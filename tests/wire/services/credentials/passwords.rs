//! Passwords: changing one's own, choosing a new one by a link in a mail, and what both end.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::mailbox::Mail;
use crate::support::pb::{
    ChangePasswordRequest, CreateServiceKeyRequest, CreateUserRequest, DisableServiceAccountRequest, GetUserRequest,
    RequestPasswordResetRequest, ResetPasswordRequest, RevokeServiceKeyRequest, RevokeUserSessionsRequest,
};
use crate::support::scenario::{
    PASSWORD, Person, assert_invalid, assert_refused, call, create_user, new_user, refusal, service_account,
    service_key, settled, sign_in, traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
/// A password that the policy accepts, and that nobody has yet.
const ANOTHER: &str = "crimson ladder over 7 rivers";
const ID: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a11";

pub(crate) fn change(old: &str, new: &str) -> ChangePasswordRequest {
    ChangePasswordRequest {
        old_password: old.to_owned(),
        new_password: new.to_owned(),
        ..ChangePasswordRequest::default()
    }
}

pub(crate) fn reset(token: &str, new: &str) -> ResetPasswordRequest {
    ResetPasswordRequest { token: token.to_owned(), new_password: new.to_owned(), ..ResetPasswordRequest::default() }
}

pub(crate) async fn ask_for_reset(world: &World, email: &str) -> Result<(), Status> {
    let request = RequestPasswordResetRequest { email: email.to_owned(), ..RequestPasswordResetRequest::default() };
    world.credentials().request_password_reset(request).await.map(drop)
}

/// The token of a link to choose a new password, out of the mail.
pub(crate) async fn reset_token(world: &World, email: &str) -> String {
    let before = world.mailbox.tokens(email, "rpr_").len();
    ask_for_reset(world, email).await.unwrap();
    let token = world.mailbox.wait_for_token(email, "rpr_", before + 1).await;
    settled(world).await;
    token
}

/// Whether a session is live, on the first server and on another one.
async fn live(world: &World, other: &crate::support::world::Replica, person: &Person) -> bool {
    let request = || GetUserRequest { user_id: person.user_id.clone() };
    let here = call!(world, users.get_user, &person.session, request());
    let there = call!(other, users.get_user, &person.session, request());
    assert_eq!(here.is_ok(), there.is_ok(), "replicas agree");
    if let Err(status) = &here {
        assert_eq!(refusal(status).reason, "CREDENTIALS_INVALID");
    }
    here.is_ok()
}

async fn again(world: &World, person: &Person, password: &str) -> Person {
    Person { session: sign_in(world, &person.email, password).await.unwrap().session_token, ..person.clone() }
}

fn subjects(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.subject.as_str()).collect()
}

/// A person is written to in the language of their own; of one that no mail speaks, in English.
#[wire_test]
async fn mails_speak_the_language_of_the_person(world: World) {
    let expected = [
        ("de-CH", "Neues Passwort wählen"),
        ("fr", "Choisissez un nouveau mot de passe"),
        ("es-MX", "Elija una nueva contraseña"),
        ("ja", "新しいパスワードの設定"),
        ("it", "Choose a new password"),
    ];
    for (locale, subject) in expected {
        let email = format!("{}@example.com", locale.to_lowercase());
        let request = CreateUserRequest { locale: locale.to_owned(), ..new_user(&email) };
        call!(world, users.create_user, world.operator_key(), request).unwrap();
        ask_for_reset(&world, &email).await.unwrap();
        assert_eq!(world.mailbox.wait_for(&email, 1).await[0].subject, subject);
    }
    settled(&world).await;
}

/// ab_24: a person changes their password with the old one. Their other sessions end at once, on every server; the one that called goes on; the old
/// password is dead; and they are told by mail.
#[wire_test]
async fn ab_24_a_password_change_ends_the_other_sessions(world: World) {
    let here = create_user(&world, ADA).await;
    let (there, replica) = (again(&world, &here, PASSWORD).await, world.second_server().await);
    assert!(live(&world, &replica, &there).await);
    call!(world, credentials.change_password, &here.session, change(PASSWORD, ANOTHER)).unwrap();
    assert!(live(&world, &replica, &here).await);
    assert!(!live(&world, &replica, &there).await);
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    sign_in(&world, ADA, ANOTHER).await.unwrap();
    assert_eq!(subjects(&world.mailbox.wait_for(ADA, 1).await), ["Your password was changed"]);
}

/// Without the old password nothing changes; a new one that the policy refuses, or that is made of the person's own words, is a violation of its field.
#[wire_test]
async fn a_password_is_not_changed_without_the_old_one(world: World) {
    let ada = create_user(&world, ADA).await;
    let before = traces(&world).await;
    let refused = call!(world, credentials.change_password, &ada.session, change(ANOTHER, ANOTHER));
    assert_refused(refused, Code::FailedPrecondition, "PASSWORD_INCORRECT");
    assert_invalid(
        call!(world, credentials.change_password, &ada.session, change("", "short")),
        &["old_password", "new_password"],
    );
    assert_invalid(
        call!(world, credentials.change_password, &ada.session, change(PASSWORD, "ada@example.com ada!")),
        &["new_password"],
    );
    let service = service_key(&world, &["credentials.write"]).await;
    assert_refused(
        call!(world, credentials.change_password, &service, change(PASSWORD, ANOTHER)),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    assert_eq!(
        traces(&world).await.iter().find(|(table, _)| *table == "outbox_messages"),
        before.iter().find(|(table, _)| *table == "outbox_messages")
    );
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    let request = world.on_behalf_of(&service, &ada.session, change(PASSWORD, ANOTHER));
    world.credentials().change_password(request).await.unwrap();
    sign_in(&world, ADA, ANOTHER).await.unwrap();
    world.mailbox.wait_for(ADA, 1).await;
}

/// A repeated change has one effect and the first answer, although the old password is wrong by then.
#[wire_test]
async fn a_password_change_is_repeatable(world: World) {
    let ada = create_user(&world, ADA).await;
    let request = || ChangePasswordRequest { request_id: ID.to_owned(), ..change(PASSWORD, ANOTHER) };
    for _ in 0..2 {
        call!(world, credentials.change_password, &ada.session, request()).unwrap();
    }
    let reused = ChangePasswordRequest { request_id: ID.to_owned(), ..change(ANOTHER, PASSWORD) };
    assert_refused(
        call!(world, credentials.change_password, &ada.session, reused),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
    assert_eq!(world.mailbox.wait_for(ADA, 1).await.len(), 1);
}

/// ab_20: a link in a mail lets the owner of the address choose a new password, once. Every session ends, none begins, and the owner is told.
#[wire_test]
async fn ab_20_a_reset_ends_every_session_and_is_told(world: World) {
    let ada = create_user(&world, ADA).await;
    let replica = world.second_server().await;
    // In any spelling of the address; the mail goes to the one that the account has.
    ask_for_reset(&world, "Ada@EXAMPLE.com").await.unwrap();
    let token = world.mailbox.wait_for(ADA, 1).await[0].token("rpr_");
    assert!(live(&world, &replica, &ada).await, "asking changes nothing");
    assert_invalid(world.credentials().reset_password(reset(&token, "short")).await, &["new_password"]);
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
    assert!(!live(&world, &replica, &ada).await);
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    sign_in(&world, ADA, ANOTHER).await.unwrap();
    assert_refused(
        world.credentials().reset_password(reset(&token, PASSWORD)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    let mails = world.mailbox.wait_for(ADA, 2).await;
    assert_eq!(subjects(&mails), ["Choose a new password", "Your password was changed"]);
    assert!(mails[1].text.contains("by a link that came to this address"), "{}", mails[1].text);
}

/// A link works until its hour is over, and not at it; a new password, by whatever way, ends all links.
#[wire_test]
async fn a_link_to_choose_a_password_ends(world: World) {
    let ada = create_user(&world, ADA).await;
    let tokens = [reset_token(&world, ADA).await, reset_token(&world, ADA).await, reset_token(&world, ADA).await];
    world.clock.advance(Duration::from_secs(3599));
    world.credentials().reset_password(reset(&tokens[0], ANOTHER)).await.unwrap();
    assert_refused(
        world.credentials().reset_password(reset(&tokens[1], PASSWORD)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    world.mailbox.wait_for(ADA, 4).await;
    let late = reset_token(&world, ADA).await;
    world.clock.advance(Duration::from_secs(3600));
    assert_refused(
        world.credentials().reset_password(reset(&late, PASSWORD)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    let ended = reset_token(&world, ADA).await;
    let ada = again(&world, &ada, ANOTHER).await;
    call!(world, credentials.change_password, &ada.session, change(ANOTHER, PASSWORD)).unwrap();
    assert_refused(
        world.credentials().reset_password(reset(&ended, ANOTHER)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
}

/// ab_19: what is no such token is refused in the same words, and no usable one is in the database.
#[wire_test]
async fn ab_19_a_reset_token_has_one_text(world: World) {
    create_user(&world, ADA).await;
    let token = reset_token(&world, ADA).await;
    for wrong in [
        &token[4..],
        &format!("{token}A"),
        &token.to_uppercase(),
        &format!("rin_{}", &token[4..]),
        &format!("rpr_{}", "A".repeat(43)),
    ] {
        assert_refused(
            world.credentials().reset_password(reset(wrong, ANOTHER)).await,
            Code::FailedPrecondition,
            "CHALLENGE_INVALID",
        );
    }
    let rows = crate::support::contents::dump(world.database()).await;
    assert!(!rows.values().flatten().any(|row| row.contains(&token[4..])));
    assert_refused(
        call!(world, users.get_user, &token, GetUserRequest { user_id: ID.to_owned() }),
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
}

/// ab_15: an address that nobody has gets the same answer, no mail, and leaves nothing; and nobody's mailbox is filled.
#[wire_test]
async fn ab_15_asking_for_a_reset_does_not_tell_who_exists(world: World) {
    create_user(&world, ADA).await;
    let before = traces(&world).await;
    ask_for_reset(&world, "nobody@example.com").await.unwrap();
    assert_eq!(traces(&world).await, before);
    for _ in 0..7 {
        ask_for_reset(&world, ADA).await.unwrap();
    }
    world.mailbox.wait_for(ADA, 5).await;
    settled(&world).await;
    assert_eq!((world.mailbox.mails_for(ADA).len(), world.mailbox.mails().len()), (5, 5));
    world.clock.advance(Duration::from_secs(3600));
    ask_for_reset(&world, ADA).await.unwrap();
    world.mailbox.wait_for(ADA, 6).await;
}

/// Whoever resets the password of an account has shown that its address is theirs: they read its mail.
#[wire_test]
async fn a_reset_verifies_the_address(world: World) {
    let request = crate::support::pb::CreateUserRequest { email_verified: false, ..new_user(ADA) };
    let user = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    assert!(!user.email_verified);
    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, ANOTHER)).await.unwrap();
    assert!(sign_in(&world, ADA, ANOTHER).await.unwrap().user.unwrap().email_verified);
    world.mailbox.wait_for(ADA, 2).await;
}

/// ab_24: all sessions of a user end at once, on every server; the calling one is spared where that is asked for. A service may do it for anybody, a user for
/// themselves.
#[wire_test]
async fn ab_24_all_sessions_of_a_user_end(world: World) {
    let ada = create_user(&world, ADA).await;
    let bob = create_user(&world, "bob@example.com").await;
    let (replica, other) = (world.second_server().await, again(&world, &ada, PASSWORD).await);
    let revoking = |keep_current: bool| RevokeUserSessionsRequest {
        user_id: ada.user_id.clone(),
        keep_current,
        ..RevokeUserSessionsRequest::default()
    };
    assert_refused(
        call!(world, sessions.revoke_user_sessions, &bob.session, revoking(false)),
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    assert_eq!(call!(world, sessions.revoke_user_sessions, &ada.session, revoking(true)).unwrap().revoked_count, 1);
    assert!(live(&world, &replica, &ada).await && !live(&world, &replica, &other).await);
    let service = service_key(&world, &["sessions.write"]).await;
    assert_eq!(call!(world, sessions.revoke_user_sessions, &service, revoking(true)).unwrap().revoked_count, 1);
    assert!(!live(&world, &replica, &ada).await && live(&world, &replica, &bob).await);
    let nobody = RevokeUserSessionsRequest { user_id: ID.to_owned(), ..RevokeUserSessionsRequest::default() };
    assert_refused(call!(world, sessions.revoke_user_sessions, &service, nobody), Code::NotFound, "USER_NOT_FOUND");
}

/// ab_24: a key that was revoked, and every key of an account that is disabled, is refused by the next call, on every server.
#[wire_test]
async fn ab_24_a_revoked_key_is_dead_everywhere(world: World) {
    let (account, key) = service_account(&world, &["users.read"]).await;
    let replica = world.second_server().await;
    let creation =
        CreateServiceKeyRequest { service_account_id: account.clone(), ..CreateServiceKeyRequest::default() };
    let other = call!(world, service_accounts.create_service_key, world.operator_key(), creation).unwrap();
    let dead = async |key: &str| {
        let request = || GetUserRequest { user_id: ID.to_owned() };
        let answers = [call!(world, users.get_user, key, request()), call!(replica, users.get_user, key, request())];
        let reasons = answers.map(|answer| refusal(&answer.unwrap_err()).reason);
        assert_eq!(reasons[0], reasons[1], "replicas agree");
        reasons[0] == "CREDENTIALS_INVALID"
    };
    assert!(!dead(&key).await && !dead(&other.key).await);
    let revocation = RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: other.service_key.unwrap().service_key_id,
        ..RevokeServiceKeyRequest::default()
    };
    call!(world, service_accounts.revoke_service_key, world.operator_key(), revocation).unwrap();
    assert!(dead(&other.key).await && !dead(&key).await);
    let disabling =
        DisableServiceAccountRequest { service_account_id: account, ..DisableServiceAccountRequest::default() };
    call!(world, service_accounts.disable_service_account, world.operator_key(), disabling).unwrap();
    assert!(dead(&key).await);
}
