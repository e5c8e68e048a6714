//! ab_48: a key reaches the organizations that it was given for.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;
use roster_test_macros::wire_test;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::support::contents::Watcher;
use crate::support::dynamic::{Contract, Method};
use crate::support::pb::{
    ActivityReport, BatchCheckPermissionsRequest, CheckPermissionRequest, CreateInvitationRequest,
    CreateServiceAccountRequest, CreateServiceKeyRequest, Decision, DenyReason, ListEventsRequest, PermissionCheck,
    ReportActivityRequest, ReportOutcome, ServiceAccount, UpdateServiceAccountRequest, VerifySessionRequest,
};
use crate::support::scenario::{
    Scenario, accept_as_new, assert_invalid, assert_refused, call, refusal, service_account, settled, texts, traces,
};
use crate::support::tenant::{People, Tenant};
use crate::support::world::World;

/// A new service account that is confined to these organizations, and a key of it.
pub(crate) async fn confined(world: &World, scopes: &[&str], organizations: &[&str]) -> (String, String) {
    let request = CreateServiceAccountRequest {
        display_name: "A product's server".to_owned(),
        scopes: texts(scopes),
        organization_ids: texts(organizations),
        ..CreateServiceAccountRequest::default()
    };
    let created = call!(world, service_accounts.create_service_account, world.operator_key(), request).unwrap();
    let account = created.service_account.unwrap();
    assert_eq!(account.organization_ids, texts(organizations));
    let request = CreateServiceKeyRequest {
        service_account_id: account.service_account_id.clone(),
        ..CreateServiceKeyRequest::default()
    };
    let key = call!(world, service_accounts.create_service_key, world.operator_key(), request).unwrap().key;
    (account.service_account_id, key)
}

async fn confine(world: &World, account: &str, organizations: &[&str]) -> Result<ServiceAccount, Status> {
    let account = ServiceAccount {
        service_account_id: account.to_owned(),
        organization_ids: texts(organizations),
        ..ServiceAccount::default()
    };
    let request = UpdateServiceAccountRequest {
        service_account: Some(account),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["organization_ids"]) }),
        ..UpdateServiceAccountRequest::default()
    };
    let answer = call!(world, service_accounts.update_service_account, world.operator_key(), request)?;
    Ok(answer.service_account.unwrap())
}

/// The scopes of all methods, but for the operator's.
fn all_scopes(contract: &Contract) -> Vec<String> {
    let scopes: BTreeSet<String> = contract.methods().iter().map(|method| method.rule().scope).collect();
    scopes.into_iter().filter(|scope| !scope.is_empty() && scope != "operator").collect()
}

/// What a confined key may call although no organization is named: it is shown and changes nothing of others there.
const OF_NOBODY: [&str; 6] = [
    "AccessModelService/ListAccessModels",
    "AccessModelService/GetAccessModel",
    "ActivityService/ReportActivity",
    "EventService/WatchEvents",
    "EventService/ListEvents",
    "EventService/GetEventCursor",
];

/// ab_48: a key that has every scope and is confined to one organization is refused by every method that is about another one or about none, as for one that does not exist, and nothing has changed; in its own it does what
/// any key does. Methods of tomorrow are included.
#[wire_test]
async fn ab_48_a_confined_key_does_nothing_elsewhere(world: World) {
    let contract = Contract::load();
    let scopes = all_scopes(&contract);
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let home = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let other = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let (_, key) = confined(&world, &scopes, &[home.organization_id()]).await;
    let mut bearer = MetadataMap::new();
    bearer.insert("authorization", format!("Bearer {key}").parse().unwrap());
    let watcher = Watcher::of(&world).await;
    let (mut wrong, mut refused, mut at_home) = (Vec::new(), 0, 0);
    let call =
        async |method: &Method, request: &DynamicMessage| method.call(world.channel(), bearer.clone(), request).await;
    for method in contract.methods().into_iter().filter(|method| !method.rule().public) {
        let name = method.name();
        let request = other.request(&world, &method, other.subject()).await;
        let before = watcher.look().await;
        let answer = call(&method, &request).await.map(|answer| answer.to_string());
        let reason = answer.as_ref().err().map(|status| refusal(status).reason);
        match (&answer, reason.as_deref()) {
            (_, Some("ORGANIZATION_NOT_FOUND" | "KEY_CONFINED" | "CALLER_NOT_ALLOWED" | "SCOPE_REQUIRED")) => {
                refused += 1;
            }
            // A service alone leaves nothing, wherever.
            (_, Some("MEMBER_NOT_MANAGEABLE")) if name == "MemberService/LeaveOrganization" => refused += 1,
            // A check answers with a decision: nobody belongs there.
            (Ok(answer), None) if answer.contains("NOT_A_MEMBER") => refused += 1,
            (Ok(answer), None) if OF_NOBODY.contains(&name.as_str()) && !answer.contains(other.organization_id()) => {}
            _ => wrong.push(format!("{name}: {answer:?}")),
        }
        let changes = before.difference(&watcher.look().await);
        if !changes.is_empty() {
            wrong.push(format!("{name} has changed\n{changes}"));
        }
        // What reads in its own organization is answered.
        let reads = ["/Get", "/List"].iter().any(|verb| name.contains(verb));
        if reads && !method.rule().permission.is_empty() {
            at_home += 1;
            let request = home.request(&world, &method, home.subject()).await;
            if let Err(status) = call(&method, &request).await {
                wrong.push(format!("{name} at home: {status:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 80 && at_home > 10, "{refused} {at_home}");
}

/// ab_48: checks and verified sessions tell a confined key of its own organizations, and of others what they tell of those that do not exist.
#[wire_test]
async fn ab_48_checks_end_where_the_key_does(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    other.join_existing(&acme.owner, &["admin"]).await;
    let scopes = ["permissions.check", "sessions.verify"];
    let (_, key) = confined(&world, &scopes, &[&acme.organization_id]).await;
    let owner = &acme.owner;
    let check = |organization_id: &str| CheckPermissionRequest {
        organization_id: organization_id.to_owned(),
        user_id: owner.user_id.clone(),
        permission: "members.read".to_owned(),
        explain: true,
        ..CheckPermissionRequest::default()
    };
    let nowhere = "01a2154d-d5fb-70d3-a719-4454bd6a9d59";
    let ask = async |organization: &str| call!(world, permissions.check_permission, &key, check(organization)).unwrap();
    assert_eq!(ask(&acme.organization_id).await.decision(), Decision::Allow);
    let foreign = ask(&other.organization_id).await;
    assert_eq!((foreign.decision(), foreign.deny_reason()), (Decision::Deny, DenyReason::NotAMember));
    assert_eq!(foreign, ask(nowhere).await);
    let checks = [&acme.organization_id, &other.organization_id].map(|organization| PermissionCheck {
        organization_id: organization.clone(),
        user_id: owner.user_id.clone(),
        permission: "members.read".to_owned(),
    });
    let request = BatchCheckPermissionsRequest { checks: checks.to_vec(), ..Default::default() };
    let answers = call!(world, permissions.batch_check_permissions, &key, request).unwrap().results;
    let decisions: Vec<Decision> = answers.iter().map(|answer| answer.decision()).collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Deny]);
    let verify = async |organization_id: &str| {
        let request = VerifySessionRequest {
            session_token: owner.session.clone(),
            organization_id: organization_id.to_owned(),
            permissions: texts(if organization_id.is_empty() { &[] } else { &["members.read"] }),
            ..VerifySessionRequest::default()
        };
        call!(world, sessions.verify_session, &key, request)
    };
    assert!(verify(&acme.organization_id).await.unwrap().valid);
    let foreign = verify(&other.organization_id).await.unwrap();
    assert!(!foreign.valid && foreign.user.is_none() && foreign.decisions.is_empty(), "{foreign:?}");
    assert_eq!(foreign, verify(nowhere).await.unwrap());
    let refused = assert_refused(verify("").await, Code::PermissionDenied, "KEY_CONFINED");
    assert_eq!(refused.hint(), "name one of the key's organizations");
}

/// ab_48: a confinement changes from the next call on and is never lifted: not by emptying the list, not by the confined key, not by the scope of an operator; and what was begun where the key does not reach any more ends.
#[wire_test]
async fn ab_48_a_confinement_is_never_widened_by_its_key(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let (here, there) = (acme.organization_id.as_str(), other.organization_id.as_str());
    let scopes = ["invitations.write", "members.read", "service_accounts.write", "organizations.write"];
    let (account, key) = confined(&world, &scopes, &[here]).await;
    let invitation = |organization: &str| CreateInvitationRequest {
        organization_id: organization.to_owned(),
        ..acme.invitation("guest@example.com")
    };
    call!(world, invitations.create_invitation, &key, invitation(here)).unwrap();
    let token = world.mailbox.wait_for("guest@example.com", 1).await[0].invitation_token();
    let refused = call!(world, invitations.create_invitation, &key, invitation(there));
    assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    // Neither by itself: it manages no accounts.
    let widened = UpdateServiceAccountRequest {
        service_account: Some(ServiceAccount {
            service_account_id: account.clone(),
            organization_ids: texts(&[here, there]),
            ..ServiceAccount::default()
        }),
        ..UpdateServiceAccountRequest::default()
    };
    let refused = call!(world, service_accounts.update_service_account, &key, widened);
    let refused = assert_refused(refused, Code::PermissionDenied, "KEY_CONFINED");
    assert_eq!(refused.metadata["method"], "/roster.v1.ServiceAccountService/UpdateServiceAccount");
    settled(&world).await;
    let before = traces(&world).await;
    assert_invalid(confine(&world, &account, &[]).await, &["service_account.organization_ids"]);
    assert_invalid(confine(&world, &account, &["x"]).await, &["service_account.organization_ids[0]"]);
    let missing = confine(&world, &account, &["01a2154d-d5fb-70d3-a719-4454bd6a9d59"]).await;
    assert_refused(missing, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let operator = CreateServiceAccountRequest {
        display_name: "Both".to_owned(),
        scopes: texts(&["operator"]),
        organization_ids: texts(&[here]),
        ..CreateServiceAccountRequest::default()
    };
    let refused = call!(world, service_accounts.create_service_account, world.operator_key(), operator);
    assert_refused(refused, Code::FailedPrecondition, "SCOPE_NOT_GRANTABLE");
    assert_eq!(traces(&world).await, before);
    // Elsewhere from the next call on.
    assert_eq!(confine(&world, &account, &[there]).await.unwrap().organization_ids, [there]);
    assert_refused(acme.roster(&key).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_eq!(other.roster(&key).await.unwrap().len(), 1);
    let late = accept_as_new(&world, &token, "Guest").await;
    assert_refused(late, Code::FailedPrecondition, "INVITER_NO_LONGER_AUTHORIZED");
    confine(&world, &account, &[here, there]).await.unwrap();
    accept_as_new(&world, &token, "Guest").await.unwrap();
    settled(&world).await;
}

/// ab_48: who follows with a confined key is sent what happens in its organizations, all of it, and nothing of others, of accounts or of the installation; and what it reports of members elsewhere is of nobody.
#[wire_test]
async fn ab_48_a_confined_follower_sees_its_organizations(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    acme.join("bob@example.com", &["member"]).await;
    other.join("cy@example.com", &["member"]).await;
    let (_, key) = confined(&world, &["audit.read", "activity.write"], &[&acme.organization_id]).await;
    let everything = async |credential: &str| {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let request = ListEventsRequest { cursor, batch_size: 3, ..ListEventsRequest::default() };
            let answer = call!(world, events.list_events, credential, request).unwrap();
            events.extend(answer.events);
            cursor = answer.cursor;
            if answer.up_to_date {
                return events;
            }
        }
    };
    let all = everything(world.operator_key()).await;
    let seen = everything(&key).await;
    let of_acme: Vec<_> = all.iter().filter(|event| event.organization_id == acme.organization_id).cloned().collect();
    assert!(of_acme.len() > 3 && all.len() > 2 * of_acme.len(), "{} of {}", of_acme.len(), all.len());
    assert_eq!(seen, of_acme);
    let report = |of: &Scenario| ActivityReport {
        report_id: uuid::Uuid::now_v7().to_string(),
        organization_id: of.organization_id.clone(),
        user_id: of.owner.user_id.clone(),
        action: "assets.import".to_owned(),
        ..ActivityReport::default()
    };
    let request = ReportActivityRequest { reports: vec![report(&acme), report(&other)] };
    let results = call!(world, activity.report_activity, &key, request).unwrap().results;
    let outcomes: Vec<_> = results.iter().map(|result| result.outcome()).collect();
    assert_eq!(outcomes, [ReportOutcome::Accepted, ReportOutcome::NotAMember]);
}

/// ab_48: a key that expires opens no organization to keys that outlive it, as it gives them no scope; it narrows them, and a key without an end widens them.
#[wire_test]
async fn ab_48_a_key_that_ends_opens_nothing_to_keys_that_stay(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let (here, there) = (acme.organization_id.as_str(), other.organization_id.as_str());
    let (account, _) = confined(&world, &["members.read"], &[here]).await;
    let (manager, _) = service_account(&world, &["service_accounts.write", "members.read"]).await;
    let end = world.clock.now() + chrono::Duration::hours(1);
    let request = CreateServiceKeyRequest {
        service_account_id: manager,
        expire_time: Some(prost_types::Timestamp { seconds: end.timestamp(), nanos: 0 }),
        ..CreateServiceKeyRequest::default()
    };
    let ending = call!(world, service_accounts.create_service_key, world.operator_key(), request).unwrap().key;
    let change = async |organizations: &[&str]| {
        let account = ServiceAccount {
            service_account_id: account.clone(),
            organization_ids: texts(organizations),
            ..ServiceAccount::default()
        };
        let request = UpdateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        call!(world, service_accounts.update_service_account, &ending, request)
    };
    for wider in [&[here, there][..], &[there]] {
        assert_refused(change(wider).await, Code::FailedPrecondition, "SERVICE_KEY_OUTLIVES_CALLER");
    }
    confine(&world, &account, &[here, there]).await.unwrap();
    let narrowed = change(&[there]).await.unwrap().service_account.unwrap();
    assert_eq!(narrowed.organization_ids, [there]);
}
