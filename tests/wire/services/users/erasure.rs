//! Erasing a person: nothing of them is found any more, and the records are whole.

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::{Code, Status};

use crate::services::organizations::activity::{report, send};
use crate::support::contents::dump;
use crate::support::follower::Follower;
use crate::support::pb::{
    AuditEntry, AuditFlaw, CreateContactRequest, CreateInvitationRequest, CreateUserRequest, DeleteUserRequest,
    EraseUserRequest, EraseUserResponse, GetUserRequest, InvitationState, ListInvitationsRequest,
    ListUserAuditEntriesRequest, ListUsersRequest, MemberState, UndeleteUserRequest, UpdateUserRequest, User,
    UserState, VerifyAuditChainRequest, VerifyAuditChainResponse, VerifyUserAuditChainRequest,
    VerifyUserAuditChainResponse,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_refused, call, create_user, credentials, new_user, service_key, settled,
    sign_in, texts, traces,
};
use crate::support::world::{World, literal};

const ADA: &str = "ottoline@quill.example";

fn erasing(user_id: &str) -> EraseUserRequest {
    EraseUserRequest { user_id: user_id.to_owned(), ..EraseUserRequest::default() }
}

async fn erase(world: &World, credential: &str, user_id: &str) -> Result<EraseUserResponse, Status> {
    call!(world, users.erase_user, credential, erasing(user_id))
}

async fn user_chain(world: &World, user_id: &str) -> VerifyUserAuditChainResponse {
    let request = VerifyUserAuditChainRequest { user_id: user_id.to_owned(), ..Default::default() };
    call!(world, audit.verify_user_audit_chain, world.operator_key(), request).unwrap()
}

async fn chain(of: &Scenario) -> VerifyAuditChainResponse {
    let request = VerifyAuditChainRequest { organization_id: of.organization_id.clone(), ..Default::default() };
    call!(of.world, audit.verify_audit_chain, of.world.operator_key(), request).unwrap()
}

/// Somebody who has left traces everywhere: with names, a telephone number and a language, in an organization that has invited them with a message, invited to another, active and signed in.
async fn quillfeather(world: &World, acme: &Scenario, other: &Scenario) -> Person {
    let request = CreateUserRequest {
        given_name: "Ottoline".to_owned(),
        family_name: "Quillfeather".to_owned(),
        phone_number: "+493012345678".to_owned(),
        locale: "pt-BR".to_owned(),
        ..new_user(ADA)
    };
    let user = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    let signing_in = crate::support::pb::SignInRequest {
        user_agent: "Quillfeather's browser".to_owned(),
        ..credentials(ADA, PASSWORD)
    };
    let session = world.sessions().sign_in(signing_in).await.unwrap().into_inner().session_token;
    let person = Person { user_id: user.user_id, email: ADA.to_owned(), session };
    let renamed = User {
        user_id: person.user_id.clone(),
        display_name: "Ottoline of Quillfeather".to_owned(),
        ..User::default()
    };
    let update = UpdateUserRequest {
        user: Some(renamed),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["display_name"]) }),
        ..UpdateUserRequest::default()
    };
    call!(world, users.update_user, &person.session, update).unwrap();
    acme.join_existing(&person, &["admin"]).await;
    let invitation = CreateInvitationRequest {
        given_name: "Ottoline".to_owned(),
        personal_message: "Dear Ottoline, come in".to_owned(),
        ..other.invitation(ADA)
    };
    call!(world, invitations.create_invitation, world.operator_key(), invitation).unwrap();
    settled(world).await;
    let key = service_key(world, &["activity.write"]).await;
    let summary = "Ottoline drew a plan".to_owned();
    let reported =
        crate::support::pb::ActivityReport { summary, ..report(acme, &person.user_id, 1, "plans.draw", ("plans", 1)) };
    send(world, &key, vec![reported]).await;
    person
}

/// Nothing in the database says any more who somebody was who was erased, and every record can be verified as before.
#[wire_test]
async fn an_erased_person_is_nowhere_and_the_records_are_whole(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let ada = quillfeather(&world, &acme, &other).await;
    let known = chain(&acme).await;
    let of_ada = user_chain(&world, &ada.user_id).await;
    let found = ListUsersRequest { search: "quill".to_owned(), ..ListUsersRequest::default() };
    assert_eq!(call!(world, users.list_users, world.operator_key(), found).unwrap().users.len(), 1);
    let terms = format!("SELECT COUNT(*) AS n FROM search_terms WHERE row_id = {}", literal(&world, &ada.user_id));
    assert!(traces_of_ada(&world).await.len() > 10 && world.count(&terms).await > 3);

    let key = service_key(&world, &["users.erase"]).await;
    let tried = EraseUserRequest { validate_only: true, ..erasing(&ada.user_id) };
    let before = traces(&world).await;
    let would = call!(world, users.erase_user, &key, tried).unwrap().report.unwrap();
    assert_eq!((traces(&world).await, would.memberships), (before, 1));
    let answer = erase(&world, &key, &ada.user_id).await.unwrap();
    let (user, report) = (answer.user.unwrap(), answer.report.unwrap());
    assert_eq!(report, would);
    assert_eq!((report.memberships, report.sessions, report.sign_ins, report.activities), (1, 1, 1, 1));
    // Two invitations, each with its message; and the account's and the invitations' entries with names or addresses in them.
    assert_eq!((report.invitations, report.messages, report.audit_entries), (2, 2, 5));
    assert_eq!((user.state(), user.email.as_str(), user.display_name.as_str()), (UserState::Deleted, "", ""));
    assert!(user.erase_time.is_some() && user.locale.is_empty() && user.phone_number.is_empty());
    assert_eq!((traces_of_ada(&world).await, world.count(&terms).await), (Vec::new(), 0));
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");

    // Whole, also for who has kept an earlier end, and sealed.
    for of in [&acme, &other] {
        let sound = chain(of).await;
        assert!(sound.intact && sound.sealed_entries == sound.verified_entries, "{sound:?}");
    }
    let since = VerifyAuditChainRequest {
        organization_id: acme.organization_id.clone(),
        known_revision: known.verified_entries,
        known_hash: known.hash,
    };
    assert!(call!(world, audit.verify_audit_chain, &acme.owner.session, since).unwrap().intact);
    let since = VerifyUserAuditChainRequest {
        user_id: ada.user_id.clone(),
        known_revision: of_ada.verified_entries,
        known_hash: of_ada.hash,
    };
    assert!(call!(world, audit.verify_user_audit_chain, world.operator_key(), since).unwrap().intact);
    let mut follower = Follower::default();
    follower.catch_up(&world, world.operator_key(), 100).await.unwrap();
    follower.assert_erasures_are_told();

    // What organizations show: somebody was a member, and somebody was invited.
    let roster = crate::support::pb::ListMembersRequest {
        organization_id: acme.organization_id.clone(),
        states: vec![MemberState::Removed.into()],
        ..Default::default()
    };
    let removed = call!(world, members.list_members, &acme.owner.session, roster).unwrap().members;
    assert_eq!(removed.len(), 1);
    assert_eq!((removed[0].user_id.as_str(), removed[0].email.as_str()), (ada.user_id.as_str(), ""));
    let invited = ListInvitationsRequest { organization_id: other.organization_id.clone(), ..Default::default() };
    let invited = call!(world, invitations.list_invitations, &other.owner.session, invited).unwrap().invitations;
    assert_eq!((invited[0].state(), invited[0].email.as_str()), (InvitationState::Revoked, ""));
    let entries = entries_of(&world, &ada.user_id).await;
    let created = entries.iter().find(|entry| entry.kind == "user.created").unwrap();
    assert!(format!("{:?}", created.after).contains("NullValue") && entries[0].kind == "user.erased", "{entries:?}");
}

async fn entries_of(world: &World, user_id: &str) -> Vec<AuditEntry> {
    let request = ListUserAuditEntriesRequest { user_id: user_id.to_owned(), ..Default::default() };
    call!(world, audit.list_user_audit_entries, world.operator_key(), request).unwrap().entries
}

/// Where the database says something of her: a name, her address, her number, her language, the bytes that she was sorted by.
async fn traces_of_ada(world: &World) -> Vec<String> {
    let hex: String = "ottoline".bytes().map(|octet| format!("{octet:02x}")).collect();
    let words = ["ottoline", "quillfeather", "quill.example", "493012345678", "pt-br", "browser", &hex];
    let all = dump(world.database()).await;
    let lines =
        all.into_iter().flat_map(|(table, lines)| lines.into_iter().map(move |line| format!("{table}: {line}")));
    lines.filter(|line| words.iter().any(|word| line.to_lowercase().contains(word))).collect()
}

/// Who edits what is left of an erased entry is found, and so is who erases one by hand.
#[wire_test]
async fn what_is_left_of_an_erased_entry_cannot_be_edited(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let ada = quillfeather(&world, &acme, &other).await;
    erase(&world, world.operator_key(), &ada.user_id).await.unwrap();
    let of_ada = format!("organization_id = {}", literal(&world, &ada.user_id));
    let execute = async |statement: String| {
        let done = world.database().execute_unprepared(&statement).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{statement}");
    };
    let kept = "CREATE TABLE kept AS SELECT * FROM events";
    world.database().execute_unprepared(kept).await.unwrap();
    let edits = [
        "kind = 'user.seen'",
        "data = '{\"after\":{\"email\":null,\"state\":\"suspended\"},\"erased\":true}'",
        "actor_service_account_id = NULL",
    ];
    for edit in edits {
        execute(format!("UPDATE events SET {edit} WHERE {of_ada} AND revision = 1")).await;
        let found = user_chain(&world, &ada.user_id).await;
        assert_eq!((found.intact, found.broken_revision, found.flaw()), (false, 1, AuditFlaw::EntryChanged), "{edit}");
        let back =
            |column: &str| format!("{column} = (SELECT k.{column} FROM kept k WHERE k.{of_ada} AND k.revision = 1)");
        let columns = ["kind", "data", "actor_service_account_id"].map(back).join(", ");
        execute(format!("UPDATE events SET {columns} WHERE {of_ada} AND revision = 1")).await;
        assert!(user_chain(&world, &ada.user_id).await.intact);
    }
    // An entry that nobody has erased.
    let roles = format!("organization_id = {} AND kind = 'member.added'", literal(&world, &acme.organization_id));
    execute(format!("UPDATE events SET data = '{{\"erased\":true}}' WHERE {roles}")).await;
    let found = chain(&acme).await;
    assert_eq!((found.intact, found.flaw()), (false, AuditFlaw::EntryChanged));
}

/// An erasure needs its own scope, another owner, and somebody who is still there; there is no way back.
#[wire_test]
async fn an_erasure_is_refused_where_a_deletion_is(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner;
    let other_key = service_key(&world, &["users.delete", "users.write"]).await;
    assert_refused(erase(&world, &other_key, &owner.user_id).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_refused(erase(&world, &owner.session, &owner.user_id).await, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let before = traces(&world).await;
    let refused = assert_refused(
        erase(&world, world.operator_key(), &owner.user_id).await,
        Code::FailedPrecondition,
        "LAST_OWNER",
    );
    assert_eq!(refused.metadata["organization_ids"], acme.organization_id);
    let stale = EraseUserRequest { etag: "77".to_owned(), ..erasing(&owner.user_id) };
    assert_refused(call!(world, users.erase_user, world.operator_key(), stale), Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(traces(&world).await, before);
    let nobody = uuid::Uuid::from_u128(7).to_string();
    assert_refused(erase(&world, world.operator_key(), &nobody).await, Code::NotFound, "USER_NOT_FOUND");

    let ada = create_user(&world, ADA).await;
    erase(&world, world.operator_key(), &ada.user_id).await.unwrap();
    let again = assert_refused(
        erase(&world, world.operator_key(), &ada.user_id).await,
        Code::FailedPrecondition,
        "USER_STATE_CONFLICT",
    );
    assert_eq!(again.metadata["state"], "ERASED");
    let back = UndeleteUserRequest { user_id: ada.user_id.clone(), ..UndeleteUserRequest::default() };
    let refused = assert_refused(
        call!(world, users.undelete_user, world.operator_key(), back),
        Code::FailedPrecondition,
        "USER_STATE_CONFLICT",
    );
    assert_eq!(refused.metadata["state"], "ERASED");
    // The address is free.
    create_user(&world, ADA).await;
}

/// What went to an address is erased only with the account of whoever has it: neither with one that had it before, nor with one that has only typed it.
#[wire_test]
async fn an_address_is_erased_with_its_account_alone(world: World) {
    let acme = Scenario::acme(&world).await;
    let before = create_user(&world, ADA).await;
    let delete = DeleteUserRequest { user_id: before.user_id.clone(), ..DeleteUserRequest::default() };
    call!(world, users.delete_user, world.operator_key(), delete).unwrap();
    let now = create_user(&world, ADA).await;
    let unverified = CreateUserRequest { email_verified: false, ..new_user("typed@example.com") };
    let typed = call!(world, users.create_user, world.operator_key(), unverified).unwrap().user.unwrap();
    acme.invited(ADA, &[]).await;
    acme.invited("typed@example.com", &[]).await;
    let contact = CreateContactRequest {
        organization_id: acme.organization_id.clone(),
        email: ADA.to_owned(),
        display_name: "Billing".to_owned(),
        ..CreateContactRequest::default()
    };
    let contact = call!(world, contacts.create_contact, &acme.owner.session, contact).unwrap().contact.unwrap();

    for user in [&before.user_id, &typed.user_id] {
        let report = erase(&world, world.operator_key(), user).await.unwrap().report.unwrap();
        assert_eq!((report.invitations, report.messages, report.remaining_contacts.len()), (0, 0, 0));
    }
    let pending = ListInvitationsRequest { organization_id: acme.organization_id.clone(), ..Default::default() };
    let invited = call!(world, invitations.list_invitations, &acme.owner.session, pending).unwrap().invitations;
    assert!(invited.iter().all(|one| one.state() == InvitationState::Pending && !one.email.is_empty()));
    let report = erase(&world, world.operator_key(), &now.user_id).await.unwrap().report.unwrap();
    assert_eq!((report.invitations, report.messages), (1, 1));
    // The organization's own is named, and stays.
    assert_eq!(report.remaining_contacts[0].contact_id, contact.contact_id);
    let gone = GetUserRequest { user_id: now.user_id };
    assert!(call!(world, users.get_user, world.operator_key(), gone).unwrap().user.unwrap().erase_time.is_some());
}
