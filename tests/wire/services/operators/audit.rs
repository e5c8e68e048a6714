//! The record of the installation: service accounts, their keys, restored backups.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::Code;

use crate::support::pb::service_account_service_client::ServiceAccountServiceClient;
use crate::support::pb::{
    AuditEntry, AuditFlaw, CreateServiceAccountRequest, CreateServiceKeyRequest, DisableServiceAccountRequest,
    ListAuditEntriesRequest, ListInstallationAuditEntriesRequest, RevokeServiceKeyRequest, ServiceAccount,
    UpdateServiceAccountRequest, VerifyInstallationAuditChainRequest, VerifyInstallationAuditChainResponse,
};
use crate::support::process::run;
use crate::support::race::{Servers, at_once};
use crate::support::runner::rounds;
use crate::support::scenario::{Scenario, assert_refused, call, service_key, texts, with_credential};
use crate::support::world::World;

async fn listed(world: &World, request: ListInstallationAuditEntriesRequest) -> Vec<AuditEntry> {
    call!(world, audit.list_installation_audit_entries, world.operator_key(), request).unwrap().entries
}

async fn verified(world: &World) -> VerifyInstallationAuditChainResponse {
    let request = VerifyInstallationAuditChainRequest::default();
    call!(world, audit.verify_installation_audit_chain, world.operator_key(), request).unwrap()
}

fn making(name: &str, scopes: &[&str]) -> CreateServiceAccountRequest {
    CreateServiceAccountRequest {
        display_name: name.to_owned(),
        scopes: texts(scopes),
        ..CreateServiceAccountRequest::default()
    }
}

fn of(entries: &[AuditEntry]) -> Vec<(&str, &str)> {
    entries.iter().map(|entry| (entry.kind.as_str(), entry.subject_id.as_str())).collect()
}

/// ab_37: who made, widened and disabled an account, and who made and revoked a key, with what was there before and after, and no secret.
#[wire_test]
async fn ab_37_who_made_and_widened_a_key_is_told(world: World) {
    let operator = world.operator_key();
    let made =
        call!(world, service_accounts.create_service_account, operator, making("Shop", &["users.read"])).unwrap();
    let account = made.service_account.unwrap().service_account_id;
    let request = CreateServiceKeyRequest { service_account_id: account.clone(), ..Default::default() };
    let key = call!(world, service_accounts.create_service_key, operator, request).unwrap();
    let key_id = key.service_key.unwrap().service_key_id;
    let widening = UpdateServiceAccountRequest {
        service_account: Some(ServiceAccount {
            service_account_id: account.clone(),
            scopes: texts(&["users.read", "users.write"]),
            ..ServiceAccount::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["scopes"]) }),
        ..Default::default()
    };
    call!(world, service_accounts.update_service_account, operator, widening.clone()).unwrap();
    // What changes nothing is not told, nor what is only tried.
    call!(world, service_accounts.update_service_account, operator, widening).unwrap();
    let tried = CreateServiceAccountRequest { validate_only: true, ..making("Never", &["users.read"]) };
    call!(world, service_accounts.create_service_account, operator, tried).unwrap();
    let request = RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: key_id.clone(),
        ..Default::default()
    };
    call!(world, service_accounts.revoke_service_key, operator, request.clone()).unwrap();
    call!(world, service_accounts.revoke_service_key, operator, request).unwrap();
    let request = DisableServiceAccountRequest { service_account_id: account.clone(), ..Default::default() };
    call!(world, service_accounts.disable_service_account, operator, request).unwrap();

    let entries = listed(&world, ListInstallationAuditEntriesRequest { page_size: 5, ..Default::default() }).await;
    assert_eq!(
        of(&entries),
        [
            ("service_account.disabled", account.as_str()),
            ("service_key.revoked", &key_id),
            ("service_account.updated", &account),
            ("service_key.created", &key_id),
            ("service_account.created", &account),
        ]
    );
    let revisions: Vec<i64> = entries.iter().map(|entry| entry.revision).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] == pair[1] + 1), "{revisions:?}");
    let widened = &entries[2];
    assert!(
        !format!("{:?}", widened.before).contains("users.write")
            && format!("{:?}", widened.after).contains("users.write")
    );
    assert_eq!((widened.organization_id.as_str(), widened.subject_display_name.as_str()), ("", "Shop"));
    // A key by its account, and by what it is recognized by.
    for told in [&entries[1], &entries[3]] {
        assert_eq!(told.subject_display_name, format!("Shop ({})", &key.key[..8]));
    }
    assert!(
        entries
            .iter()
            .all(|entry| !entry.actor_service_account_id.is_empty() && entry.actor_display_name == "Operator")
    );
    assert!(!format!("{entries:?}").contains(&key.key));

    let of_key = ListInstallationAuditEntriesRequest { subject_id: key_id.clone(), ..Default::default() };
    assert_eq!(
        of(&listed(&world, of_key).await),
        [("service_key.revoked", key_id.as_str()), ("service_key.created", &key_id)]
    );
    let kinds =
        ListInstallationAuditEntriesRequest { kinds: texts(&["service_account.updated"]), ..Default::default() };
    assert_eq!(listed(&world, kinds).await.len(), 1);
    let by_shop = ListInstallationAuditEntriesRequest { actor_service_account_id: account, ..Default::default() };
    assert_eq!(listed(&world, by_shop).await, []);
    // The first operator came by nobody who called. By pages it is the same record, and by times its parts.
    let all = listed(&world, ListInstallationAuditEntriesRequest { page_size: 1000, ..Default::default() }).await;
    assert!(all.last().is_some_and(|first| first.revision == 1 && first.actor_service_account_id.is_empty()));
    let (mut walked, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListInstallationAuditEntriesRequest {
            page_size: 3,
            page_token,
            include_total_size: true,
            ..Default::default()
        };
        let page = call!(world, audit.list_installation_audit_entries, operator, request).unwrap();
        assert_eq!(usize::try_from(page.total_size).unwrap(), all.len());
        walked.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(walked, all);
    // The operator was made by the machine's clock, which on a busy machine may be a while ahead of this world's.
    world.clock.advance(Duration::from_secs(600));
    call!(world, service_accounts.create_service_account, operator, making("Late", &["users.read"])).unwrap();
    let now = world.clock.now();
    let between = Some(prost_types::Timestamp { seconds: now.timestamp() - 60, nanos: 0 });
    let late = ListInstallationAuditEntriesRequest { start_time: between, ..Default::default() };
    assert_eq!(listed(&world, late).await.len(), 1);
    let early = ListInstallationAuditEntriesRequest { end_time: between, page_size: 1000, ..Default::default() };
    assert_eq!(listed(&world, early).await.len(), all.len());
}

/// The record is for operators: another key is refused whatever else it may read, and so is a user.
#[wire_test]
async fn ab_37_the_record_is_for_operators(world: World) {
    let acme = Scenario::acme(&world).await;
    let key = service_key(&world, &["audit.read", "service_accounts.read"]).await;
    let (list, verify) =
        (ListInstallationAuditEntriesRequest::default(), VerifyInstallationAuditChainRequest::default());
    for (credential, reason) in [(&key, "SCOPE_REQUIRED"), (&acme.owner.session, "CALLER_NOT_ALLOWED")] {
        let answer = call!(world, audit.list_installation_audit_entries, credential, list.clone());
        assert_refused(answer, Code::PermissionDenied, reason);
        let answer = call!(world, audit.verify_installation_audit_chain, credential, verify.clone());
        assert_refused(answer, Code::PermissionDenied, reason);
    }
    // Its stream has the nil id, under which no organization is found.
    let nil = ListAuditEntriesRequest { organization_id: uuid::Uuid::nil().to_string(), ..Default::default() };
    for credential in [key.as_str(), world.operator_key(), &acme.owner.session] {
        let answer = call!(world, audit.list_audit_entries, credential, nil.clone());
        assert_refused(answer, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
}

/// ab_37: the verification names the first entry that was edited, deleted or added with SQL.
#[wire_test]
async fn ab_37_an_edited_entry_of_the_installation_is_named(world: World) {
    for name in ["One", "Two", "Three"] {
        service_key_named(&world, name).await;
    }
    let whole = verified(&world).await;
    assert!(whole.intact && whole.verified_entries >= 6 && !whole.hash.is_empty(), "{whole:?}");
    // What a caller has kept outside is compared.
    for (known_hash, intact) in [(whole.hash.clone(), true), ("00".repeat(32), false)] {
        let request = VerifyInstallationAuditChainRequest { known_revision: whole.verified_entries, known_hash };
        let found = call!(world, audit.verify_installation_audit_chain, world.operator_key(), request).unwrap();
        assert_eq!((found.intact, found.flaw() == AuditFlaw::ChainReplaced), (intact, !intact), "{found:?}");
    }
    let execute = async |statement: &str| world.database().execute_unprepared(statement).await.unwrap();
    let last = whole.verified_entries;
    execute(&format!("UPDATE events SET data = '{{}}' WHERE stream = 'installation' AND revision = {}", last - 1))
        .await;
    let found = verified(&world).await;
    assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, last - 1, AuditFlaw::EntryChanged));
    execute(&format!("DELETE FROM events WHERE stream = 'installation' AND revision >= {}", last - 1)).await;
    let found = verified(&world).await;
    assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, last - 1, AuditFlaw::EndMissing));
    let told = run(
        &["admin", &format!("--endpoint=http://{}", world.grpc_address()), "verify"],
        &[("ROSTER_OPERATOR_KEY", world.operator_key())],
    )
    .await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.stdout.contains(&format!("installation\tBROKEN\t{}\t{}\tEND_MISSING", last - 2, last - 1)),
        "{told:?}"
    );
}

async fn service_key_named(world: &World, name: &str) {
    let request = making(name, &["users.read"]);
    let made = call!(world, service_accounts.create_service_account, world.operator_key(), request).unwrap();
    let account = made.service_account.unwrap().service_account_id;
    let request = CreateServiceKeyRequest { service_account_id: account, ..Default::default() };
    call!(world, service_accounts.create_service_key, world.operator_key(), request).unwrap();
}

/// Changes at once, on two servers, are one history: without a gap and with one chain.
#[wire_test]
async fn ab_37_changes_at_once_are_one_history(world: World) {
    let servers = Servers::open(&world).await;
    for round in 0..rounds() {
        let before = verified(&world).await.verified_entries;
        let calls = (0..6).map(|number| {
            let mut client = ServiceAccountServiceClient::new(servers.channel(number));
            let request = with_credential(world.operator_key(), making(&format!("{round} {number}"), &["users.read"]));
            async move { client.create_service_account(request).await }
        });
        for answer in at_once(calls.collect()).await {
            answer.unwrap();
        }
        let found = verified(&world).await;
        assert_eq!((found.intact, found.verified_entries), (true, before + 6), "{found:?}");
    }
}
