//! No key gives more than it has.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{change, creation, find, keys, new_key, update, use_it};
use crate::support::pb::{
    CreateServiceKeyRequest, DisableServiceAccountRequest, ListServiceAccountsRequest, RevokeServiceKeyRequest,
};
use crate::support::scenario::{assert_refused, call, service_account, service_key, texts, traces};
use crate::support::world::World;

/// Nobody gives an account a scope that they lack, and nobody changes an account that has one: neither what it may do, nor its name. Among equals everything goes, to oneself too.
#[wire_test]
async fn nobody_changes_those_who_may_do_more(world: World) {
    let (own, manager) = service_account(&world, &["service_accounts.write", "users.read"]).await;
    let (lesser, _) = service_account(&world, &["users.read"]).await;
    let (greater, _) = service_account(&world, &["users.read", "users.write"]).await;
    for (account, name, scopes, lacking) in [
        (&lesser, "", &["users.read", "users.write"][..], "users.write"),
        (&lesser, "", &["operator"], "operator"),
        (&own, "", &["service_accounts.write", "users.read", "act_as_user"], "act_as_user"),
        (&greater, "", &["users.read"], "users.write"),
        (&greater, "Weak", &[], "users.write"),
    ] {
        let before = find(&world, account).await;
        let refused = update(&world, &manager, change(account, name, scopes, &[])).await;
        assert_eq!(assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE").metadata["scope"], lacking);
        assert_eq!(find(&world, account).await, before);
    }
    update(&world, &manager, change(&lesser, "", &["service_accounts.write"], &[])).await.unwrap();
    update(&world, &manager, change(&own, "", &["users.read"], &[])).await.unwrap();
    assert_refused(
        update(&world, &manager, change(&own, "Back", &[], &[])).await,
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
}

/// A key that was given for a time widens no account whose keys go on after it; taking away, and giving to keys that end before it, it may.
#[wire_test]
async fn an_expiring_key_widens_nothing_that_outlives_it(world: World) {
    let (manager, _) = service_account(&world, &["service_accounts.write", "users.read", "users.write"]).await;
    let ending = |account: &str, hours: i64| {
        let time = world.clock.now() + chrono::Duration::hours(hours);
        let expire_time = Some(prost_types::Timestamp {
            seconds: time.timestamp(),
            nanos: time.timestamp_subsec_nanos().cast_signed(),
        });
        CreateServiceKeyRequest {
            service_account_id: account.to_owned(),
            expire_time,
            ..CreateServiceKeyRequest::default()
        }
    };
    let short =
        call!(world, service_accounts.create_service_key, world.operator_key(), ending(&manager, 2)).unwrap().key;
    let (account, _) = service_account(&world, &["users.read"]).await;
    let widening = change(&account, "", &["users.read", "users.write"], &[]);
    let refused = assert_refused(
        update(&world, &short, widening.clone()).await,
        Code::FailedPrecondition,
        "SERVICE_KEY_OUTLIVES_CALLER",
    );
    assert!(!refused.metadata["expire_time"].is_empty() && refused.metadata["hint"].contains("revoke"));
    assert_eq!(find(&world, &account).await.scopes, texts(&["users.read"]));
    update(&world, &short, change(&account, "Renamed", &["users.read"], &[])).await.unwrap();

    let endless = keys(&world, &account).await.remove(0).service_key_id;
    let revoking = RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: endless,
        ..RevokeServiceKeyRequest::default()
    };
    call!(world, service_accounts.revoke_service_key, &short, revoking).unwrap();
    call!(world, service_accounts.create_service_key, &short, ending(&account, 1)).unwrap();
    update(&world, &short, widening).await.unwrap();
}

/// Nobody passes on a scope that they lack: not to a new account, not by a key of an account that may do more, and not `operator`.
#[wire_test]
async fn nobody_passes_on_what_they_lack(world: World) {
    let manager = service_key(&world, &["service_accounts.write", "users.read"]).await;
    let (greater, _) = service_account(&world, &["users.read", "users.write"]).await;
    let before = traces(&world).await;
    for (scopes, lacking) in [
        (&["users.read", "users.write"][..], "users.write"),
        (&["operator"], "operator"),
        (&["act_as_user"], "act_as_user"),
    ] {
        let refused = call!(world, service_accounts.create_service_account, &manager, creation(scopes));
        assert_eq!(assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE").metadata["scope"], lacking);
    }
    let refused =
        assert_refused(new_key(&world, &greater, &manager).await, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE");
    assert_eq!(refused.metadata["scope"], "users.write");
    assert_eq!(traces(&world).await, before);

    let account = call!(world, service_accounts.create_service_account, &manager, creation(&["users.read"]))
        .unwrap()
        .service_account
        .unwrap();
    let key = new_key(&world, &account.service_account_id, &manager).await.unwrap().key;
    use_it(&world, &key).await.unwrap();
}

/// A key that manages service accounts takes nothing away from those who may do more: it disables no operator, and revokes no key of one.
#[wire_test]
async fn nobody_takes_away_from_those_who_may_do_more(world: World) {
    let manager = service_key(&world, &["service_accounts.write", "users.read"]).await;
    let all = call!(
        world,
        service_accounts.list_service_accounts,
        world.operator_key(),
        ListServiceAccountsRequest::default()
    )
    .unwrap()
    .service_accounts;
    let operator = all.into_iter().find(|one| one.scopes == ["operator"]).unwrap().service_account_id;
    let key = keys(&world, &operator).await.remove(0).service_key_id;
    let before = traces(&world).await;
    let disabling = |id: &str| DisableServiceAccountRequest {
        service_account_id: id.to_owned(),
        ..DisableServiceAccountRequest::default()
    };
    let revoking = RevokeServiceKeyRequest {
        service_account_id: operator.clone(),
        service_key_id: key,
        ..RevokeServiceKeyRequest::default()
    };
    for refused in [
        call!(world, service_accounts.disable_service_account, &manager, disabling(&operator)).map(drop),
        call!(world, service_accounts.revoke_service_key, &manager, revoking).map(drop),
    ] {
        assert_eq!(
            assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE").metadata["scope"],
            "operator"
        );
    }
    assert_eq!(traces(&world).await, before);
    use_it(&world, world.operator_key()).await.unwrap();
    let (lesser, _) = service_account(&world, &["users.read"]).await;
    call!(world, service_accounts.disable_service_account, &manager, disabling(&lesser)).unwrap();
}

/// A key that was given for a time makes none that goes on after it.
#[wire_test]
async fn a_key_makes_none_that_outlives_it(world: World) {
    let (account, _) = service_account(&world, &["service_accounts.write", "users.read"]).await;
    let at = |hours: i64| {
        let time = world.clock.now() + chrono::Duration::hours(hours);
        Some(prost_types::Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() })
    };
    let ending = |expire_time| CreateServiceKeyRequest {
        service_account_id: account.clone(),
        expire_time,
        ..CreateServiceKeyRequest::default()
    };
    let short = call!(world, service_accounts.create_service_key, world.operator_key(), ending(at(2))).unwrap().key;
    let before = traces(&world).await;
    for longer in [None, at(3)] {
        let refused = assert_refused(
            call!(world, service_accounts.create_service_key, &short, ending(longer)),
            Code::FailedPrecondition,
            "SERVICE_KEY_OUTLIVES_CALLER",
        );
        assert!(!refused.metadata["expire_time"].is_empty() && refused.metadata["hint"].contains("expire"));
    }
    assert_eq!(traces(&world).await, before);
    for shorter in [at(1), at(2)] {
        let key = call!(world, service_accounts.create_service_key, &short, ending(shorter)).unwrap().key;
        use_it(&world, &key).await.unwrap();
    }
}
