//! Service accounts and their keys.

mod widening;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    CreateServiceAccountRequest, CreateServiceKeyRequest, CreateServiceKeyResponse, DisableServiceAccountRequest,
    ListServiceAccountsRequest, ListServiceKeysRequest, ListUsersRequest, RevokeServiceKeyRequest, ServiceAccount,
    ServiceKey, UpdateServiceAccountRequest,
};
use crate::support::scenario::{
    assert_invalid, assert_refused, call, create_user, service_account, service_key, texts, time, traces,
};
use crate::support::world::World;

const NOBODY: &str = "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e";

fn creation(scopes: &[&str]) -> CreateServiceAccountRequest {
    CreateServiceAccountRequest {
        display_name: "Billing".to_owned(),
        scopes: texts(scopes),
        ..CreateServiceAccountRequest::default()
    }
}

async fn new_key(world: &World, account: &str, by: &str) -> Result<CreateServiceKeyResponse, Status> {
    let request =
        CreateServiceKeyRequest { service_account_id: account.to_owned(), ..CreateServiceKeyRequest::default() };
    call!(world, service_accounts.create_service_key, by, request)
}

async fn keys(world: &World, account: &str) -> Vec<ServiceKey> {
    let request =
        ListServiceKeysRequest { service_account_id: account.to_owned(), ..ListServiceKeysRequest::default() };
    call!(world, service_accounts.list_service_keys, world.operator_key(), request).unwrap().service_keys
}

async fn disable(world: &World, account: &str) -> ServiceAccount {
    let request = DisableServiceAccountRequest {
        service_account_id: account.to_owned(),
        ..DisableServiceAccountRequest::default()
    };
    let answer = call!(world, service_accounts.disable_service_account, world.operator_key(), request).unwrap();
    answer.service_account.unwrap()
}

/// A change of a service account to this name and these scopes, of which the fields of the mask are meant.
fn change(account: &str, name: &str, scopes: &[&str], mask: &[&str]) -> UpdateServiceAccountRequest {
    UpdateServiceAccountRequest {
        service_account: Some(ServiceAccount {
            service_account_id: account.to_owned(),
            display_name: name.to_owned(),
            scopes: texts(scopes),
            ..ServiceAccount::default()
        }),
        update_mask: (!mask.is_empty()).then(|| prost_types::FieldMask { paths: texts(mask) }),
        ..UpdateServiceAccountRequest::default()
    }
}

async fn update(world: &World, by: &str, request: UpdateServiceAccountRequest) -> Result<ServiceAccount, Status> {
    let answer = call!(world, service_accounts.update_service_account, by, request)?;
    Ok(answer.service_account.unwrap())
}

async fn find(world: &World, account: &str) -> ServiceAccount {
    let request = ListServiceAccountsRequest::default();
    let all = call!(world, service_accounts.list_service_accounts, world.operator_key(), request).unwrap();
    let mut all = all.service_accounts.into_iter();
    all.find(|one| one.service_account_id == account).unwrap()
}

async fn use_it(world: &World, key: &str) -> Result<(), Status> {
    call!(world, users.list_users, key, ListUsersRequest::default()).map(drop)
}

/// A key is shown once; what is kept of it is a hint and a digest, and no answer ever carries it again.
#[wire_test]
async fn a_key_is_shown_once(world: World) {
    let account = call!(
        world,
        service_accounts.create_service_account,
        world.operator_key(),
        creation(&["users.read", "users.write", "users.read"])
    )
    .unwrap()
    .service_account
    .unwrap();
    assert_eq!(
        (account.display_name.as_str(), &account.scopes, account.disabled),
        ("Billing", &texts(&["users.read", "users.write"]), false)
    );
    let made = new_key(&world, &account.service_account_id, world.operator_key()).await.unwrap();
    let key = made.service_key.unwrap();
    assert!(
        made.key.starts_with("rsk_") && made.key.len() == 47 && made.key.starts_with(&key.hint) && key.hint.len() == 8
    );
    assert_eq!((key.expire_time, key.revoke_time), (None, None));
    use_it(&world, &made.key).await.unwrap();
    let trial = CreateServiceKeyRequest {
        service_account_id: account.service_account_id.clone(),
        validate_only: true,
        ..CreateServiceKeyRequest::default()
    };
    let trial = call!(world, service_accounts.create_service_key, world.operator_key(), trial).unwrap();
    assert!(trial.service_key.is_some() && trial.key.is_empty(), "a key that is not kept is not shown");
    let listed = keys(&world, &account.service_account_id).await;
    assert_eq!(listed, [key]);
    assert!(!format!("{listed:?}").contains(&made.key));
    let in_rows = format!("SELECT COUNT(*) AS n FROM service_keys WHERE hint LIKE '%{}%'", &made.key[9..]);
    assert_eq!(world.count(&in_rows).await, 0);
}

/// A key does what its scopes name and nothing else.
#[wire_test]
async fn a_key_does_what_its_scopes_name(world: World) {
    let key = service_key(&world, &["users.read"]).await;
    use_it(&world, &key).await.unwrap();
    let refused = call!(world, service_accounts.list_service_accounts, &key, ListServiceAccountsRequest::default());
    assert_eq!(
        assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED").metadata["scope"],
        "service_accounts.read"
    );
    let other = service_key(&world, &["users.write"]).await;
    assert_refused(use_it(&world, &other).await, Code::PermissionDenied, "SCOPE_REQUIRED");
}

/// A key with an end is refused from that instant on.
#[wire_test]
async fn a_key_expires(world: World) {
    let (account, _) = service_account(&world, &["users.read"]).await;
    let ends = |seconds: i64| {
        let at = world.clock.now() + chrono::Duration::seconds(seconds);
        CreateServiceKeyRequest {
            service_account_id: account.clone(),
            expire_time: Some(prost_types::Timestamp {
                seconds: at.timestamp(),
                nanos: at.timestamp_subsec_nanos().cast_signed(),
            }),
            ..CreateServiceKeyRequest::default()
        }
    };
    let made = call!(world, service_accounts.create_service_key, world.operator_key(), ends(3600)).unwrap();
    assert_eq!(time(made.service_key.unwrap().expire_time.as_ref()), world.clock.now() + chrono::Duration::hours(1));
    world.clock.advance(Duration::from_secs(3599));
    use_it(&world, &made.key).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_refused(use_it(&world, &made.key).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let before = traces(&world).await;
    for past in [0, -1] {
        assert_invalid(
            call!(world, service_accounts.create_service_key, world.operator_key(), ends(past)),
            &["expire_time"],
        );
    }
    assert_eq!(traces(&world).await, before);
}

/// A revoked key is refused from the next call on, on every server; the account's other keys go on working.
#[wire_test]
async fn a_key_is_revoked(world: World) {
    let second = world.second_server().await;
    let (account, first) = service_account(&world, &["users.read"]).await;
    world.clock.advance(Duration::from_secs(1));
    let other = new_key(&world, &account, world.operator_key()).await.unwrap().key;
    let id = keys(&world, &account).await[0].service_key_id.clone();
    let request = RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: id,
        ..RevokeServiceKeyRequest::default()
    };
    let revoked = call!(world, service_accounts.revoke_service_key, world.operator_key(), request.clone())
        .unwrap()
        .service_key
        .unwrap();
    assert_eq!(time(revoked.revoke_time.as_ref()), world.clock.now());
    assert_refused(use_it(&world, &first).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let elsewhere = second.users().list_users(world.as_service(&first, ListUsersRequest::default())).await;
    assert_refused(elsewhere, Code::Unauthenticated, "CREDENTIALS_INVALID");
    use_it(&world, &other).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    let again = call!(world, service_accounts.revoke_service_key, world.operator_key(), request.clone())
        .unwrap()
        .service_key
        .unwrap();
    assert_eq!(again, revoked, "revoking twice leaves the first time");
    let (elsewhere, _) = service_account(&world, &["users.read"]).await;
    let request = RevokeServiceKeyRequest { service_account_id: elsewhere, ..request };
    assert_refused(
        call!(world, service_accounts.revoke_service_key, world.operator_key(), request),
        Code::NotFound,
        "SERVICE_KEY_NOT_FOUND",
    );
}

/// A disabled account's keys are refused, and it gets no new ones.
#[wire_test]
async fn an_account_is_disabled(world: World) {
    let (account, key) = service_account(&world, &["users.read"]).await;
    assert!(disable(&world, &account).await.disabled);
    assert!(disable(&world, &account).await.disabled, "disabling twice is disabling once");
    assert_refused(use_it(&world, &key).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let before = traces(&world).await;
    assert_refused(
        new_key(&world, &account, world.operator_key()).await,
        Code::FailedPrecondition,
        "SERVICE_ACCOUNT_DISABLED",
    );
    assert_refused(new_key(&world, NOBODY, world.operator_key()).await, Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND");
    assert_eq!(traces(&world).await, before);
}

/// A service account gets another name and other scopes, by what the mask names or by what is filled. Its keys go on, with the new scopes from the next call on, on every server.
#[wire_test]
async fn an_account_is_changed(world: World) {
    let second = world.second_server().await;
    let operator = world.operator_key();
    let (account, key) = service_account(&world, &["users.read", "users.write"]).await;
    use_it(&world, &key).await.unwrap();
    let validated = update(
        &world,
        operator,
        UpdateServiceAccountRequest { validate_only: true, ..change(&account, "", &["users.write"], &[]) },
    )
    .await
    .unwrap();
    assert_eq!(
        (validated.scopes, find(&world, &account).await.scopes),
        (texts(&["users.write"]), texts(&["users.read", "users.write"]))
    );
    let narrowed = update(&world, operator, change(&account, "", &["users.write"], &[])).await.unwrap();
    assert_eq!((narrowed.display_name.as_str(), &narrowed.scopes), ("A service", &texts(&["users.write"])));
    assert_eq!(narrowed, find(&world, &account).await);
    for refused in [
        use_it(&world, &key).await,
        second.users().list_users(world.as_service(&key, ListUsersRequest::default())).await.map(drop),
    ] {
        assert_eq!(assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED").metadata["scope"], "users.read");
    }
    let renamed =
        update(&world, operator, change(&account, "Billing", &["users.read"], &["display_name"])).await.unwrap();
    assert_eq!((renamed.display_name.as_str(), &renamed.scopes), ("Billing", &narrowed.scopes));
    update(&world, operator, change(&account, "", &["users.read"], &["scopes"])).await.unwrap();
    use_it(&world, &key).await.unwrap();
    assert_refused(
        update(&world, operator, change(NOBODY, "Billing", &[], &[])).await,
        Code::NotFound,
        "SERVICE_ACCOUNT_NOT_FOUND",
    );
    let before = find(&world, &account).await;
    assert_invalid(
        update(&world, operator, change(&account, "", &[], &["display_name", "scopes"])).await,
        &["service_account.display_name", "service_account.scopes"],
    );
    assert_invalid(
        update(&world, operator, change(&account, "Other", &["*"], &[])).await,
        &["service_account.scopes[0]"],
    );
    assert_invalid(
        update(&world, operator, change(&account, "two\nlines", &[], &["display_name", "disabled"])).await,
        &["update_mask", "service_account.display_name"],
    );
    assert_eq!(find(&world, &account).await, before);
}

/// A change that is based on another state than the present one is refused, and of two that are based on the same one comes about.
#[wire_test]
async fn an_account_is_changed_on_a_condition(world: World) {
    let (account, _) = service_account(&world, &["users.read"]).await;
    let operator = world.operator_key();
    let read = find(&world, &account).await.etag;
    let based = |name: &str, etag: &str| UpdateServiceAccountRequest {
        etag: etag.to_owned(),
        ..change(&account, name, &[], &[])
    };
    let (one, two) =
        tokio::join!(update(&world, operator, based("One", &read)), update(&world, operator, based("Two", &read)));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
    let present = find(&world, &account).await.etag;
    assert_ne!(present, read);
    let disabling = |etag: &str| DisableServiceAccountRequest {
        service_account_id: account.clone(),
        etag: etag.to_owned(),
        ..DisableServiceAccountRequest::default()
    };
    for refused in [
        update(&world, operator, based("Three", &read)).await.map(drop),
        call!(world, service_accounts.disable_service_account, operator, disabling(&read)).map(drop),
    ] {
        assert_eq!(assert_refused(refused, Code::Aborted, "ETAG_MISMATCH").metadata["etag"], present);
    }
    let scoped = update(
        &world,
        operator,
        UpdateServiceAccountRequest { etag: present.clone(), ..change(&account, "", &["users.write"], &[]) },
    )
    .await
    .unwrap()
    .etag;
    let disabled = call!(world, service_accounts.disable_service_account, operator, disabling(&scoped))
        .unwrap()
        .service_account
        .unwrap();
    let mut etags = vec![read, present, scoped, disabled.etag];
    etags.dedup();
    assert_eq!(etags.len(), 4);
}

/// What is no scope is refused, and people manage no service accounts.
#[wire_test]
async fn a_bad_account_is_refused(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let before = traces(&world).await;
    let create = async |request| call!(world, service_accounts.create_service_account, world.operator_key(), request);
    assert_invalid(create(creation(&[])).await, &["scopes"]);
    assert_invalid(create(creation(&["users.read", "users.everything", "*"])).await, &["scopes[1]", "scopes[2]"]);
    assert_invalid(
        create(CreateServiceAccountRequest { display_name: "two\nlines".to_owned(), ..creation(&["users.read"]) })
            .await,
        &["display_name"],
    );
    assert_invalid(create(creation(&["users.read"; 51])).await, &["scopes"]);
    let refused = call!(world, service_accounts.create_service_account, &ada.session, creation(&["users.read"]));
    assert_refused(refused, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    assert_eq!(traces(&world).await, before);
}

/// Accounts stand in one list, oldest first; the first of them is the operator of the first start.
#[wire_test]
async fn accounts_are_listed(world: World) {
    world.clock.advance(Duration::from_secs(1));
    let (account, _) = service_account(&world, &["users.read"]).await;
    let listed = call!(
        world,
        service_accounts.list_service_accounts,
        world.operator_key(),
        ListServiceAccountsRequest::default()
    )
    .unwrap()
    .service_accounts;
    assert_eq!(listed.len(), 2);
    assert_eq!((listed[0].scopes.clone(), listed[1].service_account_id.clone()), (texts(&["operator"]), account));
    let request = ListServiceKeysRequest { service_account_id: NOBODY.to_owned(), ..ListServiceKeysRequest::default() };
    assert_refused(
        call!(world, service_accounts.list_service_keys, world.operator_key(), request),
        Code::NotFound,
        "SERVICE_ACCOUNT_NOT_FOUND",
    );
}
