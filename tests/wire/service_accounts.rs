//! Service accounts and their keys.

use std::time::Duration;

use tonic::{Code, Status};

use crate::support::pb::{
    CreateServiceAccountRequest, CreateServiceKeyRequest, CreateServiceKeyResponse, DisableServiceAccountRequest,
    ListServiceAccountsRequest, ListServiceKeysRequest, ListUsersRequest, RevokeServiceKeyRequest, ServiceAccount,
    ServiceKey,
};
use crate::support::runner::wire_tests;
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
    let request = CreateServiceKeyRequest {
        service_account_id: account.to_owned(),
        ..CreateServiceKeyRequest::default()
    };
    call!(world, service_accounts.create_service_key, by, request)
}

async fn keys(world: &World, account: &str) -> Vec<ServiceKey> {
    let request = ListServiceKeysRequest {
        service_account_id: account.to_owned(),
        ..ListServiceKeysRequest::default()
    };
    call!(world, service_accounts.list_service_keys, world.operator_key(), request)
        .unwrap()
        .service_keys
}

async fn disable(world: &World, account: &str) -> ServiceAccount {
    let request = DisableServiceAccountRequest {
        service_account_id: account.to_owned(),
        ..DisableServiceAccountRequest::default()
    };
    let answer = call!(
        world,
        service_accounts.disable_service_account,
        world.operator_key(),
        request
    )
    .unwrap();
    answer.service_account.unwrap()
}

async fn use_it(world: &World, key: &str) -> Result<(), Status> {
    call!(world, users.list_users, key, ListUsersRequest::default()).map(drop)
}

wire_tests! {
    /// A key is shown once; what is kept of it is a hint and a digest, and no answer ever carries it again.
    async fn a_key_is_shown_once(world: World) {
        let account = call!(world, service_accounts.create_service_account, world.operator_key(), creation(&["users.read", "users.write", "users.read"])).unwrap().service_account.unwrap();
        assert_eq!((account.display_name.as_str(), &account.scopes, account.disabled), ("Billing", &texts(&["users.read", "users.write"]), false));
        let made = new_key(&world, &account.service_account_id, world.operator_key()).await.unwrap();
        let key = made.service_key.unwrap();
        assert!(made.key.starts_with("rsk_") && made.key.len() == 47 && made.key.starts_with(&key.hint) && key.hint.len() == 8);
        assert_eq!((key.expire_time, key.revoke_time), (None, None));
        use_it(&world, &made.key).await.unwrap();
        let listed = keys(&world, &account.service_account_id).await;
        assert_eq!(listed, [key]);
        assert!(!format!("{listed:?}").contains(&made.key));
        let in_rows = format!("SELECT COUNT(*) AS n FROM service_keys WHERE hint LIKE '%{}%'", &made.key[9..]);
        assert_eq!(world.count(&in_rows).await, 0);
    }

    /// A key does what its scopes name and nothing else.
    async fn a_key_does_what_its_scopes_name(world: World) {
        let key = service_key(&world, &["users.read"]).await;
        use_it(&world, &key).await.unwrap();
        let refused = call!(world, service_accounts.list_service_accounts, &key, ListServiceAccountsRequest::default());
        assert_eq!(assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED").metadata["scope"], "service_accounts.read");
        let other = service_key(&world, &["users.write"]).await;
        assert_refused(use_it(&world, &other).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    }

    /// A key with an end is refused from that instant on.
    async fn a_key_expires(world: World) {
        let (account, _) = service_account(&world, &["users.read"]).await;
        let ends = |seconds: i64| {
            let at = world.clock.now() + chrono::Duration::seconds(seconds);
            CreateServiceKeyRequest { service_account_id: account.clone(), expire_time: Some(prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }), ..CreateServiceKeyRequest::default() }
        };
        let made = call!(world, service_accounts.create_service_key, world.operator_key(), ends(3600)).unwrap();
        assert_eq!(time(made.service_key.unwrap().expire_time.as_ref()), world.clock.now() + chrono::Duration::hours(1));
        world.clock.advance(Duration::from_secs(3599));
        use_it(&world, &made.key).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        assert_refused(use_it(&world, &made.key).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
        let before = traces(&world).await;
        for past in [0, -1] {
            assert_invalid(call!(world, service_accounts.create_service_key, world.operator_key(), ends(past)), &["expire_time"]);
        }
        assert_eq!(traces(&world).await, before);
    }

    /// A revoked key is refused from the next call on, on every server; the account's other keys go on working.
    async fn a_key_is_revoked(world: World) {
        let second = world.second_server().await;
        let (account, first) = service_account(&world, &["users.read"]).await;
        world.clock.advance(Duration::from_secs(1));
        let other = new_key(&world, &account, world.operator_key()).await.unwrap().key;
        let id = keys(&world, &account).await[0].service_key_id.clone();
        let request = RevokeServiceKeyRequest { service_account_id: account.clone(), service_key_id: id, ..RevokeServiceKeyRequest::default() };
        let revoked = call!(world, service_accounts.revoke_service_key, world.operator_key(), request.clone()).unwrap().service_key.unwrap();
        assert_eq!(time(revoked.revoke_time.as_ref()), world.clock.now());
        assert_refused(use_it(&world, &first).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
        let elsewhere = second.users().list_users(world.as_service(&first, ListUsersRequest::default())).await;
        assert_refused(elsewhere, Code::Unauthenticated, "CREDENTIALS_INVALID");
        use_it(&world, &other).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let again = call!(world, service_accounts.revoke_service_key, world.operator_key(), request.clone()).unwrap().service_key.unwrap();
        assert_eq!(again, revoked, "revoking twice leaves the first time");
        let (elsewhere, _) = service_account(&world, &["users.read"]).await;
        let request = RevokeServiceKeyRequest { service_account_id: elsewhere, ..request };
        assert_refused(call!(world, service_accounts.revoke_service_key, world.operator_key(), request), Code::NotFound, "SERVICE_KEY_NOT_FOUND");
    }

    /// A disabled account's keys are refused, and it gets no new ones.
    async fn an_account_is_disabled(world: World) {
        let (account, key) = service_account(&world, &["users.read"]).await;
        assert!(disable(&world, &account).await.disabled);
        assert!(disable(&world, &account).await.disabled, "disabling twice is disabling once");
        assert_refused(use_it(&world, &key).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
        let before = traces(&world).await;
        assert_refused(new_key(&world, &account, world.operator_key()).await, Code::FailedPrecondition, "SERVICE_ACCOUNT_DISABLED");
        assert_refused(new_key(&world, NOBODY, world.operator_key()).await, Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND");
        assert_eq!(traces(&world).await, before);
    }

    /// Nobody passes on a scope that they lack: not to a new account, not by a key of an account that may do more, and not `operator`.
    async fn nobody_passes_on_what_they_lack(world: World) {
        let manager = service_key(&world, &["service_accounts.write", "users.read"]).await;
        let (greater, _) = service_account(&world, &["users.read", "users.write"]).await;
        let before = traces(&world).await;
        for (scopes, lacking) in [(&["users.read", "users.write"][..], "users.write"), (&["operator"], "operator"), (&["act_as_user"], "act_as_user")] {
            let refused = call!(world, service_accounts.create_service_account, &manager, creation(scopes));
            assert_eq!(assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE").metadata["scope"], lacking);
        }
        let refused = assert_refused(new_key(&world, &greater, &manager).await, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE");
        assert_eq!(refused.metadata["scope"], "users.write");
        assert_eq!(traces(&world).await, before);

        let account = call!(world, service_accounts.create_service_account, &manager, creation(&["users.read"])).unwrap().service_account.unwrap();
        let key = new_key(&world, &account.service_account_id, &manager).await.unwrap().key;
        use_it(&world, &key).await.unwrap();
    }

    /// A key that manages service accounts takes nothing away from those who may do more: it disables no operator, and revokes no key of one.
    async fn nobody_takes_away_from_those_who_may_do_more(world: World) {
        let manager = service_key(&world, &["service_accounts.write", "users.read"]).await;
        let all = call!(world, service_accounts.list_service_accounts, world.operator_key(), ListServiceAccountsRequest::default()).unwrap().service_accounts;
        let operator = all.into_iter().find(|one| one.scopes == ["operator"]).unwrap().service_account_id;
        let key = keys(&world, &operator).await.remove(0).service_key_id;
        let before = traces(&world).await;
        let disabling = |id: &str| DisableServiceAccountRequest { service_account_id: id.to_owned(), ..DisableServiceAccountRequest::default() };
        let revoking = RevokeServiceKeyRequest { service_account_id: operator.clone(), service_key_id: key, ..RevokeServiceKeyRequest::default() };
        for refused in [call!(world, service_accounts.disable_service_account, &manager, disabling(&operator)).map(drop), call!(world, service_accounts.revoke_service_key, &manager, revoking).map(drop)] {
            assert_eq!(assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE").metadata["scope"], "operator");
        }
        assert_eq!(traces(&world).await, before);
        use_it(&world, world.operator_key()).await.unwrap();
        let (lesser, _) = service_account(&world, &["users.read"]).await;
        call!(world, service_accounts.disable_service_account, &manager, disabling(&lesser)).unwrap();
    }

    /// A key that was given for a time makes none that goes on after it.
    async fn a_key_makes_none_that_outlives_it(world: World) {
        let (account, _) = service_account(&world, &["service_accounts.write", "users.read"]).await;
        let at = |hours: i64| {
            let time = world.clock.now() + chrono::Duration::hours(hours);
            Some(prost_types::Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() })
        };
        let ending = |expire_time| CreateServiceKeyRequest { service_account_id: account.clone(), expire_time, ..CreateServiceKeyRequest::default() };
        let short = call!(world, service_accounts.create_service_key, world.operator_key(), ending(at(2))).unwrap().key;
        let before = traces(&world).await;
        for longer in [None, at(3)] {
            let refused = assert_refused(call!(world, service_accounts.create_service_key, &short, ending(longer)), Code::FailedPrecondition, "SERVICE_KEY_OUTLIVES_CALLER");
            assert!(!refused.metadata["expire_time"].is_empty() && refused.metadata["hint"].contains("expire"));
        }
        assert_eq!(traces(&world).await, before);
        for shorter in [at(1), at(2)] {
            let key = call!(world, service_accounts.create_service_key, &short, ending(shorter)).unwrap().key;
            use_it(&world, &key).await.unwrap();
        }
    }

    /// What is no scope is refused, and people manage no service accounts.
    async fn a_bad_account_is_refused(world: World) {
        let ada = create_user(&world, "ada@example.com").await;
        let before = traces(&world).await;
        let create = async |request| call!(world, service_accounts.create_service_account, world.operator_key(), request);
        assert_invalid(create(creation(&[])).await, &["scopes"]);
        assert_invalid(create(creation(&["users.read", "users.everything", "*"])).await, &["scopes[1]", "scopes[2]"]);
        assert_invalid(create(CreateServiceAccountRequest { display_name: "two\nlines".to_owned(), ..creation(&["users.read"]) }).await, &["display_name"]);
        assert_invalid(create(creation(&["users.read"; 51])).await, &["scopes"]);
        let refused = call!(world, service_accounts.create_service_account, &ada.session, creation(&["users.read"]));
        assert_refused(refused, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
        assert_eq!(traces(&world).await, before);
    }

    /// Accounts stand in one list, oldest first; the first of them is the operator of the first start.
    async fn accounts_are_listed(world: World) {
        world.clock.advance(Duration::from_secs(1));
        let (account, _) = service_account(&world, &["users.read"]).await;
        let listed = call!(world, service_accounts.list_service_accounts, world.operator_key(), ListServiceAccountsRequest::default()).unwrap().service_accounts;
        assert_eq!(listed.len(), 2);
        assert_eq!((listed[0].scopes.clone(), listed[1].service_account_id.clone()), (texts(&["operator"]), account));
        let request = ListServiceKeysRequest { service_account_id: NOBODY.to_owned(), ..ListServiceKeysRequest::default() };
        assert_refused(call!(world, service_accounts.list_service_keys, world.operator_key(), request), Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND");
    }
}
