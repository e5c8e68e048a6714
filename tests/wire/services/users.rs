//! Users: created with a password, read by services and by themselves.

pub(crate) mod addresses;
mod attributes;
pub(crate) mod audit;
mod colleagues;
mod deletion;
mod erasure;
mod export;
pub(crate) mod imports;
pub(crate) mod states;
pub(crate) mod verification;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{CreateUserRequest, GetUserRequest, ListUsersRequest, User};
use crate::support::scenario::{
    PASSWORD, assert_invalid, assert_refused, call, create_user, new_user, service_key, sign_in, time, traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";

async fn create(world: &World, request: CreateUserRequest) -> Result<User, Status> {
    let answer = call!(world, users.create_user, world.operator_key(), request)?;
    Ok(answer.user.unwrap())
}

async fn get(world: &World, credential: &str, user_id: &str) -> Result<User, Status> {
    let request = GetUserRequest { user_id: user_id.to_owned() };
    let answer = call!(world, users.get_user, credential, request)?;
    Ok(answer.user.unwrap())
}

async fn found(world: &World, email: &str) -> Vec<String> {
    let request = ListUsersRequest { email: email.to_owned(), ..ListUsersRequest::default() };
    let answer = call!(world, users.list_users, world.operator_key(), request).unwrap();
    answer.users.into_iter().map(|user| user.email).collect()
}

/// A user is created with address, names and password, and can sign in; no message goes out.
#[wire_test]
async fn a_user_is_created(world: World) {
    let request = CreateUserRequest {
        given_name: " Ada ".to_owned(),
        family_name: "Lovelace".to_owned(),
        locale: "en-GB".to_owned(),
        email_verified: false,
        phone_number: "+44 20 7946-0018".to_owned(),
        ..new_user("Ada@Example.com")
    };
    let user = create(&world, request).await.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified, user.locale.as_str()), ("Ada@Example.com", false, "en-GB"));
    assert_eq!(
        (user.given_name.as_str(), user.family_name.as_str(), user.display_name.as_str()),
        ("Ada", "Lovelace", "Ada Lovelace")
    );
    assert_eq!((time(user.create_time.as_ref()), user.last_sign_in_time), (world.clock.now(), None));
    assert_eq!(user.phone_number, "+442079460018");
    assert_eq!(get(&world, world.operator_key(), &user.user_id).await.unwrap(), user);
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, 0);
}

/// The password is kept as a hash, and no answer has it.
#[wire_test]
async fn the_password_is_kept_as_a_hash(world: World) {
    let user = create(&world, new_user(ADA)).await.unwrap();
    assert!(!format!("{user:?}").contains(PASSWORD));
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '$argon2id$%'").await, 1);
    assert_eq!(
        world.count(&format!("SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '%{PASSWORD}%'")).await,
        0
    );
}

/// The last sign-in moves with each sign-in.
#[wire_test]
async fn the_last_sign_in_moves(world: World) {
    let ada = create_user(&world, ADA).await;
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3600));
        sign_in(&world, ADA, PASSWORD).await.unwrap();
        let user = get(&world, &ada.session, &ada.user_id).await.unwrap();
        assert_eq!(time(user.last_sign_in_time.as_ref()), world.clock.now());
    }
    let before = get(&world, world.operator_key(), &ada.user_id).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    sign_in(&world, ADA, "crimson ladder over 7 rivers").await.unwrap_err();
    assert_eq!(get(&world, world.operator_key(), &ada.user_id).await.unwrap(), before);
}

/// An address belongs to one account, however it is spelled.
#[wire_test]
async fn an_address_is_unique(world: World) {
    create(&world, new_user(ADA)).await.unwrap();
    let before = traces(&world).await;
    for spelling in ["ada@example.com", "ADA@example.com", "Ada@EXAMPLE.COM"] {
        let refused = assert_refused(create(&world, new_user(spelling)).await, Code::AlreadyExists, "EMAIL_TAKEN");
        assert_eq!(refused.hint(), "use the account that has the address, or another address");
    }
    assert_eq!(traces(&world).await, before);
    // An address that a mail server may well tell apart is another one.
    for other in ["a.da@example.com", "ada+team@example.com"] {
        create(&world, new_user(other)).await.unwrap();
    }
    assert_eq!(found(&world, "ADA@EXAMPLE.com").await, [ADA]);
    assert_eq!(found(&world, "nobody@example.com").await, Vec::<String>::new());
}

/// Everything that is wrong is told at once, and nothing is created.
#[wire_test]
async fn everything_wrong_is_told_at_once(world: World) {
    let before = traces(&world).await;
    assert_invalid(create(&world, CreateUserRequest::default()).await, &["email", "given_name", "password"]);
    let wrong = CreateUserRequest {
        email: "a@b@c".to_owned(),
        given_name: "x".repeat(101),
        family_name: "a\u{202e}b".to_owned(),
        password: "short".to_owned(),
        locale: "??".to_owned(),
        request_id: "x".to_owned(),
        ..CreateUserRequest::default()
    };
    assert_invalid(
        create(&world, wrong).await,
        &["request_id", "email", "given_name", "family_name", "password", "locale"],
    );
    for weak in ["violet tractor", "aaaaaaaaaaaaaaaaaaaaaaaa", "123456789012345678", "ada@example.com ada"] {
        assert_invalid(
            create(&world, CreateUserRequest { password: weak.to_owned(), ..new_user(ADA) }).await,
            &["password"],
        );
    }
    assert_eq!(traces(&world).await, before);
}

/// Validating creates nobody.
#[wire_test]
async fn validate_only_creates_nobody(world: World) {
    let before = traces(&world).await;
    let user = create(&world, CreateUserRequest { validate_only: true, ..new_user(ADA) }).await.unwrap();
    assert_eq!(user.email, ADA);
    assert_eq!(traces(&world).await, before);
    assert_refused(get(&world, world.operator_key(), &user.user_id).await, Code::NotFound, "USER_NOT_FOUND");
}

/// A user reads themselves; others are not there for them, nor is the list. A service reads all, with its scope.
#[wire_test]
async fn a_user_reads_themselves(world: World) {
    let ada = create_user(&world, ADA).await;
    let bob = create_user(&world, "bob@example.com").await;
    assert_eq!(get(&world, &ada.session, &ada.user_id).await.unwrap().email, ADA);
    for other in [bob.user_id.as_str(), "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e"] {
        assert_refused(get(&world, &ada.session, other).await, Code::NotFound, "USER_NOT_FOUND");
    }
    assert_refused(
        call!(world, users.list_users, &ada.session, ListUsersRequest::default()),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    assert_refused(
        call!(world, users.create_user, &ada.session, new_user("cy@example.com")),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    let reader = service_key(&world, &["users.read"]).await;
    assert_eq!(get(&world, &reader, &bob.user_id).await.unwrap().email, "bob@example.com");
    assert_refused(
        call!(world, users.create_user, &reader, new_user("cy@example.com")),
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
    assert_invalid(get(&world, world.operator_key(), "x").await, &["user_id"]);
}
