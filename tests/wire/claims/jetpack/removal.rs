//! What Jetpack promises of removed users.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::organizations::activity::{listed, of, report, send};
use crate::support::pb::{DeleteUserRequest, ListAuditEntriesRequest, MemberState};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, accept_as_new, assert_refused, call, service_key, sign_in, texts,
};
use crate::support::world::World;

/// jp_12: removal ends access at once, for the next check and for the next call, and cannot be undone.
#[wire_test]
async fn jp_12_removal_is_final_and_at_once(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    assert!(jetpack.may(&ada.user_id, "orders.edit").await);
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(!jetpack.may(&ada.user_id, "orders.edit").await);
    assert_refused(jetpack.roster(&ada.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    for credential in [&*jetpack.owner.session, world.operator_key()] {
        let restored = jetpack.restore(credential, &ada.user_id).await;
        let refused = assert_refused(restored, Code::FailedPrecondition, "REMOVAL_FINAL");
        assert_eq!(refused.metadata["hint"], "invite the person again");
    }
}

/// jp_14: who was removed is shown as Deactivated where removed members are asked for, and otherwise not at all.
#[wire_test]
async fn jp_14_a_removed_person_is_shown_as_deactivated(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(jetpack.roster(&jetpack.owner.session).await.unwrap().iter().all(|row| row.email != ada.email));
    let removed = jetpack.rows(&jetpack.owner.session, &[MemberState::Removed]).await;
    assert_eq!(
        removed.iter().map(|row| (row.email.as_str(), row.status_label.as_str())).collect::<Vec<_>>(),
        [("ada@example.com", "Deactivated")]
    );
}

/// jp_18: a deactivated person cannot log in, with the answer of an unknown address; once invited again, they can.
#[wire_test]
async fn jp_18_a_deactivated_person_cannot_log_in(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    let known =
        assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    let unknown =
        assert_refused(sign_in(&world, "nobody@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_eq!(known, unknown);
    // Who belongs to another organization too goes on there.
    let grace = jetpack.join("grace@example.com", &["client_admin"]).await;
    jetpack.join_elsewhere(&grace).await;
    jetpack.remove(&jetpack.owner.session, &grace.user_id).await.unwrap();
    sign_in(&world, "grace@example.com", PASSWORD).await.unwrap();
    // A new invitation is a new beginning. The account is there, so that nobody signs up over it.
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    assert_refused(accept_as_new(&world, &token, "Eve").await, Code::AlreadyExists, "ACCOUNT_EXISTS");
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    accept_as(&world, &session, &token).await.unwrap();
    assert_eq!(jetpack.row(&jetpack.owner.session, "ada@example.com").await.state(), MemberState::Active);
    // An account is one account: of two products, one that keeps removed people out is enough (js_15 is the other's), until they belong somewhere again.
    let team = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    let both = jetpack.join("both@example.com", &["client_admin"]).await;
    team.join_existing(&both, &["member"]).await;
    jetpack.remove(&jetpack.owner.session, &both.user_id).await.unwrap();
    sign_in(&world, "both@example.com", PASSWORD).await.unwrap();
    team.remove(&team.owner.session, &both.user_id).await.unwrap();
    assert_refused(sign_in(&world, "both@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    team.restore(&team.owner.session, &both.user_id).await.unwrap();
    sign_in(&world, "both@example.com", PASSWORD).await.unwrap();
}

/// jp_13: what a removed user did stays: the audit log and the list of activity name them as before, also when their account is deleted.
#[wire_test]
async fn jp_13_history_stays_after_removal(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.invite(&ada.session, "bob@example.com", &["customer_success"]).await.unwrap();
    let dashboard = service_key(&world, &["activity.write"]).await;
    send(&world, &dashboard, vec![report(&jetpack, &ada.user_id, 1, "orders.edited", ("orders", 1))]).await;
    let owner = &jetpack.owner.session;
    let log = || ListAuditEntriesRequest {
        organization_id: jetpack.organization_id.clone(),
        actor_user_id: ada.user_id.clone(),
        ..ListAuditEntriesRequest::default()
    };
    let before = (
        call!(world, audit.list_audit_entries, owner, log()).unwrap().entries,
        listed(&world, owner, of(&jetpack, &ada.user_id)).await,
    );
    assert_eq!((before.0.len(), before.1.len()), (2, 2));
    jetpack.remove(owner, &ada.user_id).await.unwrap();
    call!(
        world,
        users.delete_user,
        world.operator_key(),
        DeleteUserRequest { user_id: ada.user_id.clone(), ..DeleteUserRequest::default() }
    )
    .unwrap();
    let after = (
        call!(world, audit.list_audit_entries, owner, log()).unwrap().entries,
        listed(&world, owner, of(&jetpack, &ada.user_id)).await,
    );
    assert_eq!(after, before);
    assert!(
        after.0.iter().all(|entry| entry.actor_display_name == "Given")
            && after.1.iter().all(|one| one.user_display_name == "Given")
    );
    let removal = ListAuditEntriesRequest {
        actor_user_id: String::new(),
        subject_user_id: ada.user_id.clone(),
        kinds: texts(&["member.removed"]),
        ..log()
    };
    assert_eq!(
        call!(world, audit.list_audit_entries, owner, removal).unwrap().entries[0].subject_display_name,
        "Given"
    );
    // In the list of the whole organization, too.
    assert_eq!(listed(&world, owner, of(&jetpack, "")).await.len(), 1);
}
