//! The links of invitations: what they show, and when they work.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{BOB, DAY, SECOND, create, get, listed, preview, request, resend, revoke};
use crate::support::pb::{
    CreateInvitationRequest, InvitationState, PreviewInvitationResponse, ResendInvitationRequest,
};
use crate::support::scenario::{
    Scenario, accept_as_new, assert_refused, call, create_user, service_key, texts, time, traces,
};
use crate::support::world::World;

/// Two invitations never share a link.
#[wire_test]
async fn each_link_is_its_own(world: World) {
    let scenario = Scenario::acme(&world).await;
    let first = scenario.invited(BOB, &["member"]).await;
    let second = scenario.invited("cy@example.com", &["member"]).await;
    assert_ne!(first, second);
    assert_eq!(preview(&world, &first).await.unwrap().email, BOB);
    assert_eq!(preview(&world, &second).await.unwrap().email, "cy@example.com");
}

/// js_06: a link works for seven days less a second.
#[wire_test]
async fn js_06_a_link_works_until_the_last_second(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let (invitation, token) = scenario.invited_by(&scenario.owner.session, BOB, &["member"]).await;
    assert_eq!(time(invitation.expire_time.as_ref()) - time(invitation.sent_time.as_ref()), chrono::Duration::days(7));
    world.clock.advance(7 * DAY - SECOND);
    preview(&world, &token).await.unwrap();
    accept_as_new(&world, &token, "Bob").await.unwrap();
}

/// js_06: at seven days a link is dead. Resending gives a new link and another seven days, and the old link stays dead.
#[wire_test]
async fn js_06_an_expired_link_has_to_be_resent(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let (invitation, old) = scenario.invited_by(world.operator_key(), BOB, &["member"]).await;
    world.clock.advance(7 * DAY);
    let before = traces(&world).await;
    assert_refused(preview(&world, &old).await, Code::FailedPrecondition, "INVITATION_EXPIRED");
    let refused =
        assert_refused(accept_as_new(&world, &old, "Bob").await, Code::FailedPrecondition, "INVITATION_EXPIRED");
    assert_eq!(refused.metadata["hint"], "ask for a new invitation");
    assert_eq!(traces(&world).await, before);
    assert_eq!(get(&scenario, &invitation.invitation_id).await.state(), InvitationState::Expired);
    assert_eq!(listed(&scenario, &[InvitationState::Pending]).await, []);
    assert_eq!(listed(&scenario, &[InvitationState::Expired]).await.len(), 1);

    let again = resend(&scenario, world.operator_key(), &invitation.invitation_id).await.unwrap().invitation.unwrap();
    assert_eq!(
        (again.state(), again.send_count, &again.invitation_id),
        (InvitationState::Pending, 2, &invitation.invitation_id)
    );
    assert_eq!(time(again.expire_time.as_ref()), world.clock.now() + chrono::Duration::days(7));
    let new = world.mailbox.wait_for(BOB, 2).await[1].invitation_token();
    assert_ne!(new, old);
    world.clock.advance(7 * DAY - SECOND);
    for result in [preview(&world, &old).await.map(drop), accept_as_new(&world, &old, "Bob").await.map(drop)] {
        assert_refused(result, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    accept_as_new(&world, &new, "Bob").await.unwrap();
}

/// js_05, js_06: a pending invitation is resent too; its first link dies at once. Whoever resends answers for it from then on.
#[wire_test]
async fn resending_kills_the_first_link(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let scenario = Scenario::under(&world, "jetstack").await;
    let (invitation, old) = scenario.invited_by(&scenario.owner.session, BOB, &["admin"]).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let again = resend(&scenario, &admin.session, &invitation.invitation_id).await.unwrap().invitation.unwrap();
    assert_eq!(again.inviter_user_id, admin.user_id);
    assert_refused(accept_as_new(&world, &old, "Bob").await, Code::NotFound, "INVITATION_NOT_FOUND");
    let new = world.mailbox.wait_for(BOB, 2).await[1].invitation_token();
    assert_eq!(preview(&world, &new).await.unwrap().inviter_display_name, "Given");
    accept_as_new(&world, &new, "Bob").await.unwrap();
    let before = traces(&world).await;
    assert_refused(
        resend(&scenario, &admin.session, &invitation.invitation_id).await,
        Code::FailedPrecondition,
        "INVITATION_ALREADY_USED",
    );
    assert_eq!(traces(&world).await, before);
}

/// jp_07, jp_15, jp_16: revoking kills the link, makes no account and leaves the pending list; then the same address can be invited with
/// another role.
#[wire_test]
async fn jp_15_a_revoked_link_is_dead_and_jp_16_can_be_replaced(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    let (invitation, old) = scenario.invited_by(&scenario.owner.session, BOB, &["client_admin"]).await;
    let revoked = revoke(&scenario, &scenario.owner.session, &invitation.invitation_id).await.unwrap();
    assert_eq!(revoked.state(), InvitationState::Revoked);
    let before = traces(&world).await;
    assert_refused(preview(&world, &old).await, Code::FailedPrecondition, "INVITATION_REVOKED");
    assert_refused(accept_as_new(&world, &old, "Bob").await, Code::FailedPrecondition, "INVITATION_REVOKED");
    assert_refused(
        revoke(&scenario, &scenario.owner.session, &invitation.invitation_id).await,
        Code::FailedPrecondition,
        "INVITATION_REVOKED",
    );
    assert_refused(
        resend(&scenario, &scenario.owner.session, &invitation.invitation_id).await,
        Code::FailedPrecondition,
        "INVITATION_REVOKED",
    );
    assert_eq!(traces(&world).await, before);
    assert_eq!(scenario.roster(&scenario.owner.session).await.unwrap().len(), 1);
    assert_eq!(listed(&scenario, &[InvitationState::Pending]).await, []);

    let (_, new) = scenario.invited_by(&scenario.owner.session, BOB, &["customer_success"]).await;
    scenario.invite(&scenario.owner.session, "bob2@example.com", &["client_admin"]).await.unwrap();
    assert_eq!(accept_as_new(&world, &new, "Bob").await.unwrap().roles, texts(&["customer_success"]));
    assert_refused(accept_as_new(&world, &old, "Bob").await, Code::FailedPrecondition, "INVITATION_REVOKED");
}

/// Previewing shows what is needed and consumes nothing, however often.
#[wire_test]
async fn preview_consumes_nothing(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let (invitation, token) = scenario.invited_by(&scenario.owner.session, BOB, &["admin"]).await;
    let before = traces(&world).await;
    for _ in 0..3 {
        let shown = preview(&world, &token).await.unwrap();
        let expected = PreviewInvitationResponse {
            organization_id: scenario.organization_id.clone(),
            organization_display_name: "Acme".to_owned(),
            email: BOB.to_owned(),
            role_display_names: texts(&["Admin"]),
            inviter_display_name: "owner".to_owned(),
            expire_time: invitation.expire_time,
            account_exists: false,
            given_name: String::new(),
            family_name: String::new(),
        };
        assert_eq!(shown, expected);
    }
    assert_eq!(traces(&world).await, before);
    create_user(&world, BOB).await;
    assert!(preview(&world, &token).await.unwrap().account_exists);
    for wrong in
        ["rin_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "rin_x", "x", &format!("{token}A"), world.operator_key()]
    {
        assert_refused(preview(&world, wrong).await, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    accept_as_new(&world, &token, "Bob").await.unwrap_err();
}

/// The link in the answer is for a caller with a scope of its own; no person gets it, nor a key without the scope.
#[wire_test]
async fn the_link_needs_its_scope(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let scenario = Scenario::acme(&world).await;
    let without = service_key(&world, &["invitations.write"]).await;
    let with = service_key(&world, &["invitations.write", "invitations.link"]).await;
    let asked = || CreateInvitationRequest { include_link: true, ..request(&scenario, BOB, &["member"]) };
    let before = traces(&world).await;
    for credential in [&scenario.owner.session, &without] {
        let refused =
            assert_refused(create(&scenario, credential, asked()).await, Code::PermissionDenied, "SCOPE_REQUIRED");
        assert_eq!(refused.metadata["scope"], "invitations.link");
    }
    assert_eq!(traces(&world).await, before);

    let answer = create(&scenario, &with, asked()).await.unwrap();
    let token = world.mailbox.wait_for(BOB, 1).await[0].invitation_token();
    assert_eq!(answer.link, format!("https://app.example.com/invitations/{token}"));
    let resending = ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: answer.invitation.unwrap().invitation_id,
        include_link: true,
        ..ResendInvitationRequest::default()
    };
    let refused = call!(world, invitations.resend_invitation, &without, resending.clone());
    assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED");
    preview(&world, &token).await.unwrap();
    let again = call!(world, invitations.resend_invitation, &with, resending).unwrap();
    let token = world.mailbox.wait_for(BOB, 2).await[1].invitation_token();
    assert_eq!(again.link, format!("https://app.example.com/invitations/{token}"));
}
