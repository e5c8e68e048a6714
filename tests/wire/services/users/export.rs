//! What Roster holds of a person, given to them.

use prost::Message;
use roster_test_macros::wire_test;
use tonic::{Code, Status};

use super::super::credentials::mfa;
use crate::services::organizations::activity::{report, send};
use crate::support::pb::{
    self, ExportUserRequest, ListUserAuditEntriesRequest, RevokeUserSessionsRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{
    PASSWORD, Scenario, assert_refused, call, create_user, service_key, settled, sign_in, texts, with_credential,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";

/// The types of what is exported, and the records themselves.
async fn export(world: &World, credential: &str, user_id: &str) -> Result<Vec<(String, Vec<u8>)>, Status> {
    let request = with_credential(credential, ExportUserRequest { user_id: user_id.to_owned() });
    let mut pieces = world.users().export_user(request).await?.into_inner();
    let mut records = Vec::new();
    while let Some(piece) = pieces.message().await? {
        assert!(!piece.records.is_empty());
        records.extend(piece.records.into_iter().map(|record| {
            (record.type_url.trim_start_matches("type.googleapis.com/roster.v1.").to_owned(), record.value)
        }));
    }
    Ok(records)
}

fn of_type<M: Message + Default>(records: &[(String, Vec<u8>)], name: &str) -> Vec<M> {
    let of_type = records.iter().filter(|(found, _)| found == name);
    of_type.map(|(_, value)| M::decode(value.as_slice()).unwrap()).collect()
}

/// A person gets everything that is theirs: each part once, and no secret of it.
#[wire_test]
async fn a_person_gets_what_is_held_of_them(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let ada = create_user(&world, ADA).await;
    acme.join_existing(&ada, &["member"]).await;
    other.invited(ADA, &[]).await;
    let key = service_key(&world, &["activity.write"]).await;
    let reports = vec![report(&acme, &ada.user_id, 1, "plans.draw", ("plans", 1))];
    send(&world, &key, reports).await;
    mfa::guard(&world, &ada).await;
    settled(&world).await;

    let records = export(&world, &ada.session, &ada.user_id).await.unwrap();
    let types: Vec<&str> = records.iter().map(|(name, _)| name.as_str()).collect();
    let parts =
        ["User", "Membership", "Invitation", "UserInvitation", "Session", "MfaFactor", "Activity", "AuditEntry"];
    assert_eq!(types.iter().copied().collect::<std::collections::BTreeSet<_>>(), parts.into_iter().collect());
    assert_eq!((types[0], types.last().copied().unwrap()), ("User", "AuditEntry"));
    assert_eq!(of_type::<User>(&records, "User")[0].email, ADA);
    let membership = &of_type::<pb::Membership>(&records, "Membership")[0];
    assert_eq!(membership.organization.as_ref().unwrap().organization_id, acme.organization_id);
    let waiting = &of_type::<pb::UserInvitation>(&records, "UserInvitation")[0];
    assert_eq!(waiting.organization_id, other.organization_id);
    let accepted = &of_type::<pb::Invitation>(&records, "Invitation")[0];
    assert_eq!((accepted.email.as_str(), accepted.inviter_service_account_id.as_str()), (ADA, ""));
    let request = ListUserAuditEntriesRequest { user_id: ada.user_id.clone(), ..Default::default() };
    let entries = call!(world, audit.list_user_audit_entries, &ada.session, request).unwrap().entries;
    assert_eq!(of_type::<pb::AuditEntry>(&records, "AuditEntry"), entries);
    // A service that looks after accounts gets the same.
    let key = service_key(&world, &["users.export"]).await;
    let by_service = export(&world, &key, &ada.user_id).await.unwrap();
    assert_eq!(by_service.len(), records.len());
}

/// Nobody gets what is held of another person, and no service without the scope; who is not there has nothing.
#[wire_test]
async fn an_export_is_for_the_person_and_for_services_with_the_scope(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join(ADA, &["member"]).await;
    let others = export(&world, &acme.owner.session, &ada.user_id).await;
    assert_refused(others, Code::PermissionDenied, "SELF_ONLY");
    let key = service_key(&world, &["users.read", "audit.read", "sessions.read"]).await;
    assert_refused(export(&world, &key, &ada.user_id).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    let nobody = uuid::Uuid::from_u128(7).to_string();
    let nobody = export(&world, world.operator_key(), &nobody).await;
    assert_refused(nobody, Code::NotFound, "USER_NOT_FOUND");
}

/// An export goes on by pages, and ends when the session does that it was begun with.
#[wire_test]
async fn a_long_export_comes_in_pieces_and_ends_with_the_right_to_it(world: World) {
    let ada = create_user(&world, ADA).await;
    let operator = world.operator_key().to_owned();
    for number in 0..450 {
        let request = UpdateUserRequest {
            user: Some(User { user_id: ada.user_id.clone(), given_name: format!("Ada {number}"), ..User::default() }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["given_name"]) }),
            ..UpdateUserRequest::default()
        };
        call!(world, users.update_user, &operator, request).unwrap();
    }
    let records = export(&world, &ada.session, &ada.user_id).await.unwrap();
    let entries = of_type::<pb::AuditEntry>(&records, "AuditEntry");
    let revisions: Vec<i64> = entries.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=451).rev().collect::<Vec<_>>());

    let again = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    let request = with_credential(&again, ExportUserRequest { user_id: ada.user_id.clone() });
    let mut pieces = world.users().export_user(request).await.unwrap().into_inner();
    assert_eq!(pieces.message().await.unwrap().unwrap().records.len(), 1);
    let end = RevokeUserSessionsRequest { user_id: ada.user_id.clone(), ..RevokeUserSessionsRequest::default() };
    call!(world, sessions.revoke_user_sessions, &operator, end).unwrap();
    // What was on its way may still arrive.
    let ended = loop {
        match pieces.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the export went on to its end"),
            Err(status) => break Err::<(), _>(status),
        }
    };
    assert_refused(ended, Code::Unauthenticated, "CREDENTIALS_INVALID");
}
