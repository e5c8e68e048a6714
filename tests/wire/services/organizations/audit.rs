//! The audit log: what it shows, how it is walked and exported, and what a verification finds (ab_30).

mod chain;

use std::collections::BTreeSet;
use std::time::Duration;

use prost_types::value::Kind;
use roster_test_macros::wire_test;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::support::pb::audit_service_client::AuditServiceClient;
use crate::support::pb::{
    AuditEntry, CreateInvitationRequest, ExportAuditEntriesRequest, ExportAuditEntriesResponse,
    ListAuditEntriesRequest, Organization, RevokeUserSessionsRequest, UpdateOrganizationRequest,
    VerifyAuditChainRequest, VerifyAuditChainResponse,
};
use crate::support::scenario::{
    PASSWORD, Scenario, assert_refused, call, service_key, sign_in, texts, time, with_credential,
};
use crate::support::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn asking(acme: &Scenario) -> ListAuditEntriesRequest {
    ListAuditEntriesRequest { organization_id: acme.organization_id.clone(), ..ListAuditEntriesRequest::default() }
}

async fn listed(acme: &Scenario, request: ListAuditEntriesRequest) -> Vec<AuditEntry> {
    call!(acme.world, audit.list_audit_entries, &acme.owner.session, request).unwrap().entries
}

fn kinds(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.kind.as_str()).collect()
}

/// The texts of a list.
fn words(value: Option<&prost_types::Value>) -> Vec<String> {
    let Some(Kind::ListValue(list)) = value.and_then(|value| value.kind.as_ref()) else {
        panic!("{value:?} is no list")
    };
    let word = |value: &prost_types::Value| match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    list.values.iter().map(word).collect()
}

async fn verify(acme: &Scenario, known: Option<&AuditEntry>) -> VerifyAuditChainResponse {
    let request = VerifyAuditChainRequest {
        organization_id: acme.organization_id.clone(),
        known_revision: known.map_or(0, |entry| entry.revision),
        known_hash: known.map_or(String::new(), |entry| entry.hash.clone()),
    };
    call!(acme.world, audit.verify_audit_chain, &acme.owner.session, request).unwrap()
}

/// All batches behind a revision.
async fn exported(acme: &Scenario, after_revision: i64) -> Result<Vec<Vec<AuditEntry>>, Status> {
    let request = ExportAuditEntriesRequest { organization_id: acme.organization_id.clone(), after_revision };
    let mut stream = call!(acme.world, audit.export_audit_entries, &acme.owner.session, request)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.message().await? {
        batches.push(batch.entries);
    }
    Ok(batches)
}

/// An organization with an owner, two more members, a change of roles and a revoked invitation: nine entries.
async fn busy(world: &World) -> Scenario {
    let acme = Scenario::acme(world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    acme.join("cy@example.com", &["member"]).await;
    world.clock.advance(MINUTE);
    acme.set_roles(&acme.owner.session, &bob.user_id, &["admin"]).await.unwrap();
    let invitation = acme.invite(&bob.session, "guest@example.com", &["member"]).await.unwrap();
    let request = crate::support::pb::RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..Default::default()
    };
    call!(world, invitations.revoke_invitation, &bob.session, request).unwrap();
    acme
}

/// Changes the organization so many times.
async fn rename(acme: &Scenario, times: usize) {
    for index in 0..times {
        let request = UpdateOrganizationRequest {
            organization: Some(Organization {
                organization_id: acme.organization_id.clone(),
                // Long, so that a batch of an export is more than a connection takes in advance.
                display_name: format!("{index:0>110}"),
                ..Organization::default()
            }),
            ..UpdateOrganizationRequest::default()
        };
        call!(acme.world, organizations.update_organization, acme.world.operator_key(), request).unwrap();
    }
}

/// An entry says who did what to whom, by name too, and what was there before and after; the list is newest first, and is narrowed by who did it, to
/// whom, what and when.
#[wire_test]
async fn entries_say_who_did_what_to_whom(world: World) {
    let acme = busy(&world).await;
    let all = listed(&acme, asking(&acme)).await;
    assert_eq!(
        kinds(&all),
        [
            "invitation.revoked",
            "invitation.created",
            "member.roles_set",
            "invitation.accepted",
            "invitation.created",
            "invitation.accepted",
            "invitation.created",
            "member.added",
            "organization.created"
        ]
    );
    assert_eq!(all.iter().map(|entry| entry.revision).collect::<Vec<_>>(), (1..=9).rev().collect::<Vec<i64>>());
    let bob = all[3 + 2].actor_user_id.clone();
    let change = &all[2];
    assert_eq!(
        (change.actor_user_id.as_str(), change.actor_display_name.as_str()),
        (acme.owner.user_id.as_str(), "owner")
    );
    assert_eq!(
        (change.subject_id.as_str(), change.subject_user_id.as_str(), change.subject_display_name.as_str()),
        (bob.as_str(), bob.as_str(), "Given")
    );
    assert_eq!((words(change.before.as_ref()), words(change.after.as_ref())), (texts(&["member"]), texts(&["admin"])));
    assert_eq!(time(change.create_time.as_ref()), world.clock.now());
    let founding = &all[8];
    assert_eq!((founding.actor_user_id.as_str(), founding.actor_display_name.as_str()), ("", "Operator"));
    assert!(founding.before.is_none() && founding.after.is_some() && founding.subject_id.is_empty());
    assert_eq!(all[5].subject_user_id, bob, "an acceptance is about whoever accepts");
    let invited = &all[1];
    assert_eq!((invited.subject_display_name.as_str(), invited.subject_user_id.as_str()), ("guest@example.com", ""));
    assert!(all.iter().all(|entry| entry.hash.len() == 64));
    assert_eq!(all.iter().map(|entry| entry.hash.as_str()).collect::<BTreeSet<_>>().len(), 9);

    let by_bob = listed(&acme, ListAuditEntriesRequest { actor_user_id: bob.clone(), ..asking(&acme) }).await;
    assert_eq!(kinds(&by_bob), ["invitation.revoked", "invitation.created", "invitation.accepted"]);
    let to_bob = listed(&acme, ListAuditEntriesRequest { subject_user_id: bob.clone(), ..asking(&acme) }).await;
    assert_eq!(kinds(&to_bob), ["member.roles_set", "invitation.accepted"]);
    let some =
        listed(&acme, ListAuditEntriesRequest { kinds: texts(&["member.added", "member.roles_set"]), ..asking(&acme) })
            .await;
    assert_eq!(kinds(&some), ["member.roles_set", "member.added"]);
    let since = prost_types::Timestamp { seconds: world.clock.now().timestamp() - 30, nanos: 0 };
    assert_eq!(listed(&acme, ListAuditEntriesRequest { start_time: Some(since), ..asking(&acme) }).await.len(), 3);
    assert_eq!(listed(&acme, ListAuditEntriesRequest { end_time: Some(since), ..asking(&acme) }).await.len(), 6);
    let counted =
        ListAuditEntriesRequest { include_total_size: true, page_size: 2, actor_user_id: bob, ..asking(&acme) };
    assert_eq!(call!(world, audit.list_audit_entries, &acme.owner.session, counted).unwrap().total_size, 3);
}

/// The log has no secrets: neither a link nor a password nor a personal message stands in any entry.
#[wire_test]
async fn entries_have_no_secrets(world: World) {
    let acme = Scenario::acme(&world).await;
    let request = CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: "bob@example.com".to_owned(),
        roles: texts(&["member"]),
        personal_message: "between the two of us".to_owned(),
        include_link: true,
        ..CreateInvitationRequest::default()
    };
    let link = call!(world, invitations.create_invitation, world.operator_key(), request).unwrap().link;
    let token = link.rsplit('/').next().unwrap();
    let shown = format!("{:?}", listed(&acme, asking(&acme)).await);
    assert!(!shown.contains(token) && !shown.contains("between the two of us"), "{shown}");
}

/// Members without the permission read nothing, neither page nor stream nor verification, and a key needs the scope.
#[wire_test]
async fn reading_takes_the_permission(world: World) {
    let acme = Scenario::acme(&world).await;
    let member = acme.join("member@example.com", &["member"]).await;
    assert_refused(
        call!(world, audit.list_audit_entries, &member.session, asking(&acme)),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    let request = ExportAuditEntriesRequest { organization_id: acme.organization_id.clone(), after_revision: 0 };
    assert_refused(
        call!(world, audit.export_audit_entries, &member.session, request.clone()).map(drop),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    let key = service_key(&world, &["members.read"]).await;
    assert_refused(
        call!(world, audit.export_audit_entries, &key, request).map(drop),
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
}

/// An export has every entry once and in order, in batches, and is taken up again from any revision.
#[wire_test]
async fn an_export_is_whole_and_resumable(world: World) {
    let acme = Scenario::acme(&world).await;
    rename(&acme, 405).await;
    let batches = exported(&acme, 0).await.unwrap();
    assert!(batches.iter().all(|batch| batch.len() <= 200) && batches.len() == 3, "{} batches", batches.len());
    let whole: Vec<AuditEntry> = batches.into_iter().flatten().collect();
    assert_eq!(whole.iter().map(|entry| entry.revision).collect::<Vec<_>>(), (1..=407).collect::<Vec<i64>>());
    for after in [1, 199, 200, 406, 407, 5000] {
        let rest: Vec<AuditEntry> = exported(&acme, after).await.unwrap().into_iter().flatten().collect();
        assert_eq!(rest, whole[usize::try_from(after).unwrap().min(407)..], "behind {after}");
    }
}

/// Who loses the permission while the export goes on gets no further batch; nor does whose session ends.
#[wire_test]
async fn an_export_ends_with_the_right_to_it(world: World) {
    let acme = Scenario::acme(&world).await;
    let admin = acme.join("admin@example.com", &["admin"]).await;
    rename(&acme, 1005).await;
    let request = ExportAuditEntriesRequest { organization_id: acme.organization_id.clone(), after_revision: 0 };
    // A reader who takes little in advance, as one far away.
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap();
    let channel =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535).connect().await.unwrap();
    let client = AuditServiceClient::new(channel);
    let begun = async |session: &str| {
        let mut stream =
            client.clone().export_audit_entries(with_credential(session, request.clone())).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().entries.len(), 200);
        stream
    };
    let ended = async |mut stream: tonic::Streaming<ExportAuditEntriesResponse>, code: Code, reason: &str| {
        let mut entries = 200;
        let status = loop {
            match stream.message().await {
                Ok(batch) => entries += batch.expect("the end does not come in peace").entries.len(),
                Err(status) => break status,
            }
        };
        assert_refused(Err::<(), _>(status), code, reason);
        // What was on its way already arrives.
        assert!(entries <= 800, "{entries} entries");
    };
    let stream = begun(&admin.session).await;
    let request = RevokeUserSessionsRequest { user_id: admin.user_id.clone(), ..RevokeUserSessionsRequest::default() };
    call!(world, sessions.revoke_user_sessions, world.operator_key(), request).unwrap();
    ended(stream, Code::Unauthenticated, "CREDENTIALS_INVALID").await;
    let session = sign_in(&world, &admin.email, PASSWORD).await.unwrap().session_token;
    let stream = begun(&session).await;
    acme.set_roles(&acme.owner.session, &admin.user_id, &["member"]).await.unwrap();
    ended(stream, Code::PermissionDenied, "PERMISSION_REQUIRED").await;
}
