//! Accepting an invitation: as a new person, as somebody with an account, and by whose right it still stands.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::Code;

use crate::services::organizations::activity::{listed, of};
use crate::support::pb::{
    AcceptInvitationRequest, ActivateUserRequest, DisableServiceAccountRequest, GetInvitationRequest, GetUserRequest,
    InvitationState, ListAuditEntriesRequest, ListUserMembershipsRequest, MemberState, ResendInvitationRequest, SignUp,
    SuspendUserRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as, accept_as_new, assert_invalid, assert_refused, call, create_user, new_user,
    service_account, sign_in, texts, time, traces,
};
use crate::support::world::World;

const BOB: &str = "bob@example.com";

/// js_04: somebody without an account signs up by the link, is a member and is signed in, by one call.
#[wire_test]
async fn js_04_a_new_person_signs_up_and_belongs(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let (invitation, token) = scenario.invited_by(&scenario.owner.session, "Bob@Example.com", &["admin"]).await;
    let request = AcceptInvitationRequest {
        token,
        sign_up: Some(SignUp {
            given_name: "  Zoë ".to_owned(),
            family_name: "O’Neill".to_owned(),
            password: PASSWORD.to_owned(),
            locale: "pt-BR".to_owned(),
            ..SignUp::default()
        }),
        ..AcceptInvitationRequest::default()
    };
    let accepted = world.invitations().accept_invitation(request).await.unwrap().into_inner();
    assert_eq!((&accepted.organization_id, &accepted.roles), (&scenario.organization_id, &texts(&["admin"])));
    assert_eq!(time(accepted.session_expire_time.as_ref()), world.clock.now() + chrono::Duration::days(30));

    let me = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, me).unwrap().user.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified), ("Bob@Example.com", true), "the link came to the address");
    assert_eq!(
        (user.given_name.as_str(), user.display_name.as_str(), user.locale.as_str()),
        ("Zoë", "Zoë O’Neill", "pt-BR")
    );
    let roster = scenario.roster(&accepted.session_token).await.unwrap();
    let row = roster.iter().find(|row| row.user_id == accepted.user_id).unwrap();
    assert_eq!(row.invitation_id, invitation.invitation_id);
    assert_eq!(time(row.invitation_accepted_time.as_ref()), world.clock.now());
    sign_in(&world, BOB, PASSWORD).await.unwrap();

    let read = GetInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
    };
    let settled = call!(world, invitations.get_invitation, world.operator_key(), read).unwrap().invitation.unwrap();
    assert_eq!(
        (settled.state(), settled.accepted_user_id, settled.signup_completed),
        (InvitationState::Accepted, accepted.user_id, true)
    );
    assert_eq!(time(settled.accept_time.as_ref()), world.clock.now());
}

/// jp_07, jp_08: before acceptance there is no account to sign in to, and the answer is that of an unknown address; afterwards there is.
#[wire_test]
async fn jp_07_a_pending_person_cannot_sign_in_and_jp_08_can_once_set_up(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    let token = scenario.invited(BOB, &["customer_success"]).await;
    let pending = sign_in(&world, BOB, PASSWORD).await.unwrap_err();
    let unknown = sign_in(&world, "nobody@example.com", PASSWORD).await.unwrap_err();
    assert_eq!(
        (pending.code(), pending.message(), pending.details()),
        (unknown.code(), unknown.message(), unknown.details())
    );
    accept_as_new(&world, &token, "Bob").await.unwrap();
    sign_in(&world, BOB, PASSWORD).await.unwrap();
}

/// A link works once.
#[wire_test]
async fn a_link_works_once(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (invitation, token) = scenario.invited_by(world.operator_key(), BOB, &["member"]).await;
    let bob = accept_as_new(&world, &token, "Bob").await.unwrap();
    let accepted = bob.invitation.clone().unwrap();
    let seen = GetInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
    };
    let seen = call!(world, invitations.get_invitation, &scenario.owner.session, seen).unwrap().invitation.unwrap();
    for one in [&accepted, &seen] {
        assert_eq!((one.state(), one.accepted_user_id.as_str()), (InvitationState::Accepted, bob.user_id.as_str()));
    }
    let before = traces(&world).await;
    assert_refused(accept_as_new(&world, &token, "Eve").await, Code::FailedPrecondition, "INVITATION_ALREADY_USED");
    assert_refused(
        accept_as(&world, &bob.session_token, &token).await,
        Code::FailedPrecondition,
        "INVITATION_ALREADY_USED",
    );
    assert_eq!(traces(&world).await, before);
}

/// js_04: what is wrong with the sign-up leaves no half of it behind, and the link goes on working.
#[wire_test]
async fn js_04_both_or_neither(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let token = scenario.invited(BOB, &["member"]).await;
    let before = traces(&world).await;
    let accept = async |sign_up: Option<SignUp>| {
        let request = AcceptInvitationRequest { token: token.clone(), sign_up, ..AcceptInvitationRequest::default() };
        world.invitations().accept_invitation(request).await
    };
    let person = || SignUp { given_name: "Bob".to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() };
    assert_invalid(accept(Some(SignUp::default())).await, &["sign_up.given_name", "sign_up.password"]);
    for weak in ["short", "aaaaaaaaaaaaaaaaaaaa", "passwordpassword", "bob@example.com"] {
        assert_invalid(accept(Some(SignUp { password: weak.to_owned(), ..person() })).await, &["sign_up.password"]);
    }
    assert_invalid(
        accept(Some(SignUp { family_name: "x\u{7}".to_owned(), locale: "??".to_owned(), ..person() })).await,
        &["sign_up.family_name", "sign_up.locale"],
    );
    let refused = assert_refused(accept(None).await, Code::Unauthenticated, "CREDENTIALS_MISSING");
    assert_eq!(refused.hint(), "call with the account's session, or give sign_up");
    assert_eq!(traces(&world).await, before);
    accept(Some(person())).await.unwrap();
}

/// ab_18: an account is never handed to whoever holds the link: a sign-up for its address is refused, and its password stays.
#[wire_test]
async fn ab_18_a_link_does_not_open_an_account(world: World) {
    let scenario = Scenario::acme(&world).await;
    create_user(&world, BOB).await;
    let token = scenario.invited(BOB, &["member"]).await;
    let before = traces(&world).await;
    let sign_up = SignUp {
        given_name: "Eve".to_owned(),
        password: "crimson ladder over 7 rivers".to_owned(),
        ..SignUp::default()
    };
    let request = AcceptInvitationRequest { token, sign_up: Some(sign_up), ..AcceptInvitationRequest::default() };
    let refused = world.invitations().accept_invitation(request).await;
    assert_eq!(
        assert_refused(refused, Code::AlreadyExists, "ACCOUNT_EXISTS").metadata["hint"],
        "accept with the account's session"
    );
    assert_eq!(traces(&world).await, before);
    assert_refused(sign_in(&world, BOB, "crimson ladder over 7 rivers").await, Code::Unauthenticated, "SIGN_IN_FAILED");
    sign_in(&world, BOB, PASSWORD).await.unwrap();
}

/// jh_06: somebody who exists on another account, of another product even, joins with it at once. Nothing asks for a password, and theirs
/// and their place in the other organization stay as they are.
#[wire_test]
async fn jh_06_an_account_joins_and_stays_as_it_is(world: World) {
    let first = Scenario::under(&world, "jetstack").await;
    let bob = first.join(BOB, &["member"]).await;
    let second = Scenario::with(&world, "jethub", "", "other@example.com").await;
    let token = second.invited(BOB, &["billing_user", "standard_user"]).await;
    let sessions = world.count("SELECT COUNT(*) AS n FROM sessions").await;
    let accepted = accept_as(&world, &bob.session, &token).await.unwrap();
    assert_eq!(
        (&accepted.user_id, accepted.session_token.as_str(), accepted.session_expire_time),
        (&bob.user_id, "", None)
    );
    assert_eq!(accepted.roles, texts(&["billing_user", "standard_user"]), "jh_02: several roles");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sessions").await, sessions);
    sign_in(&world, BOB, PASSWORD).await.unwrap();

    let request = ListUserMembershipsRequest { user_id: bob.user_id.clone(), ..ListUserMembershipsRequest::default() };
    let memberships = call!(world, members.list_user_memberships, &bob.session, request).unwrap().memberships;
    let mut roles: Vec<(String, Vec<String>)> =
        memberships.into_iter().map(|one| (one.organization.unwrap().access_model, one.roles)).collect();
    roles.sort();
    assert_eq!(
        roles,
        [("jethub".to_owned(), texts(&["billing_user", "standard_user"])), ("jetstack".to_owned(), texts(&["member"]))]
    );
    assert!(
        second.may(&bob.user_id, "billing.read").await && second.may(&bob.user_id, "reporting.read").await,
        "the union of both roles"
    );
}

/// A session of another address does not accept, however it came by the link.
#[wire_test]
async fn the_invitation_is_for_its_address(world: World) {
    let scenario = Scenario::acme(&world).await;
    let eve = create_user(&world, "eve@example.com").await;
    let token = scenario.invited(BOB, &["admin"]).await;
    let before = traces(&world).await;
    assert_refused(accept_as(&world, &eve.session, &token).await, Code::PermissionDenied, "EMAIL_MISMATCH");
    assert_refused(accept_as(&world, &scenario.owner.session, &token).await, Code::PermissionDenied, "EMAIL_MISMATCH");
    assert_eq!(traces(&world).await, before);
    assert_refused(
        accept_as(&world, "rss_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &token).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    accept_as_new(&world, &token, "Bob").await.unwrap();
}

/// The same address in another spelling is the same address.
#[wire_test]
async fn spelling_does_not_matter(world: World) {
    let scenario = Scenario::acme(&world).await;
    let bob = create_user(&world, "bob@EXAMPLE.com").await;
    let token = scenario.invited("BOB@example.com", &["member"]).await;
    assert_eq!(accept_as(&world, &bob.session, &token).await.unwrap().user_id, bob.user_id);
}

/// An account that somebody made in the invited person's name, without showing that the address is theirs, does not accept.
#[wire_test]
async fn an_unverified_account_does_not_accept(world: World) {
    let scenario = Scenario::acme(&world).await;
    let request = crate::support::pb::CreateUserRequest { email_verified: false, ..new_user(BOB) };
    call!(world, users.create_user, world.operator_key(), request).unwrap();
    let bob = sign_in(&world, BOB, PASSWORD).await.unwrap();
    let token = scenario.invited(BOB, &["member"]).await;
    let before = traces(&world).await;
    let refused =
        assert_refused(accept_as(&world, &bob.session_token, &token).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
    assert_eq!(refused.hint(), "have the account's address confirmed with ChangeUserEmail");
    assert_eq!(traces(&world).await, before);
}

/// ab_17: an invitation stands by the inviter's right at the moment of acceptance. Once the inviter may no longer give its roles, it does
/// not let anybody in; when they may again, or somebody who may resends it, it does.
#[wire_test]
async fn ab_17_the_inviters_right_is_asked_again(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let (_, token) = scenario.invited_by(&admin.session, BOB, &["admin"]).await;
    let (_, lesser) = scenario.invited_by(&admin.session, "cy@example.com", &["member"]).await;
    scenario.set_roles(&scenario.owner.session, &admin.user_id, &["member"]).await.unwrap();
    let before = traces(&world).await;
    for token in [&token, &lesser] {
        assert_refused(
            accept_as_new(&world, token, "Bob").await,
            Code::FailedPrecondition,
            "INVITER_NO_LONGER_AUTHORIZED",
        );
    }
    assert_eq!(traces(&world).await, before);
    scenario.set_roles(&scenario.owner.session, &admin.user_id, &["admin"]).await.unwrap();
    assert_eq!(accept_as_new(&world, &token, "Bob").await.unwrap().roles, texts(&["admin"]));
    accept_as_new(&world, &lesser, "Cy").await.unwrap();
}

/// ab_17: the same where the inviter is no active member any more.
#[wire_test]
async fn ab_17_a_suspended_inviter_lets_nobody_in(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let (_, token) = scenario.invited_by(&admin.session, BOB, &["member"]).await;
    for state in ["suspended", "removed"] {
        let change = format!("UPDATE members SET state = '{state}' WHERE roles LIKE '%admin%'");
        world.database().execute_unprepared(&change).await.unwrap();
        assert_refused(
            accept_as_new(&world, &token, "Bob").await,
            Code::FailedPrecondition,
            "INVITER_NO_LONGER_AUTHORIZED",
        );
    }
}

/// ab_17: the same where the inviter's account is out of use: it may do nothing, and neither may what it has sent.
#[wire_test]
async fn ab_17_an_inviter_whose_account_is_suspended_lets_nobody_in(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let (_, token) = scenario.invited_by(&admin.session, BOB, &["member"]).await;
    let suspension = SuspendUserRequest { user_id: admin.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), suspension).unwrap();
    let before = traces(&world).await;
    assert_refused(
        accept_as_new(&world, &token, "Bob").await,
        Code::FailedPrecondition,
        "INVITER_NO_LONGER_AUTHORIZED",
    );
    assert_eq!(traces(&world).await, before);
    let activation = ActivateUserRequest { user_id: admin.user_id.clone(), ..ActivateUserRequest::default() };
    call!(world, users.activate_user, world.operator_key(), activation).unwrap();
    accept_as_new(&world, &token, "Bob").await.unwrap();
}

/// ab_17: the same where a service invited whose account is disabled: a key that is taken back for having fallen into wrong hands leaves no channel open behind it.
#[wire_test]
async fn ab_17_a_disabled_service_lets_nobody_in(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let scenario = Scenario::acme(&world).await;
    let (account, key) = service_account(&world, &["invitations.write"]).await;
    let (invitation, token) = scenario.invited_by(&key, BOB, &["member"]).await;
    let disabling =
        DisableServiceAccountRequest { service_account_id: account, ..DisableServiceAccountRequest::default() };
    call!(world, service_accounts.disable_service_account, world.operator_key(), disabling).unwrap();
    let before = traces(&world).await;
    assert_refused(
        accept_as_new(&world, &token, "Bob").await,
        Code::FailedPrecondition,
        "INVITER_NO_LONGER_AUTHORIZED",
    );
    assert_eq!(traces(&world).await, before);
    // Whoever sends it again answers for it.
    let resending = ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, &scenario.owner.session, resending).unwrap();
    let again = world.mailbox.wait_for(BOB, 2).await.pop().unwrap().invitation_token();
    accept_as_new(&world, &again, "Bob").await.unwrap();
}

/// pf_10: a person who was removed comes back by a fresh invitation where the model allows it, and not where it does not; there, a link that was open all the
/// while does not let them in either. The row, and what the log and the list of activity say of them, stay.
#[wire_test]
async fn pf_10_a_removed_person_needs_the_models_leave(world: World) {
    let jetpack = Scenario::with(&world, "jetpack", "", "jetpack@example.com").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(!jetpack.may(&ada.user_id, "members.read").await);
    world.clock.advance(Duration::from_secs(60));
    let token = jetpack.invited(&ada.email, &["client_admin"]).await;
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    accept_as(&world, &session, &token).await.unwrap();
    assert!(jetpack.may(&ada.user_id, "members.read").await);

    let fabric = Scenario::with(&world, "packetfabric", "customer", OWNER).await;
    let admin = &fabric.owner.session;
    let (used, open) = (fabric.invited(BOB, &["regular"]).await, fabric.invited(BOB, &["admin"]).await);
    let bob = accept_as_new(&world, &used, "Bob").await.unwrap();
    let log = async |user: &str| {
        let request = ListAuditEntriesRequest {
            organization_id: fabric.organization_id.clone(),
            actor_user_id: user.to_owned(),
            ..ListAuditEntriesRequest::default()
        };
        call!(world, audit.list_audit_entries, admin, request).unwrap().entries
    };
    let history = (log(&bob.user_id).await, listed(&world, admin, of(&fabric, &bob.user_id)).await);
    assert_eq!((history.0.len(), history.1.len()), (1, 1));
    fabric.remove(admin, &bob.user_id).await.unwrap();
    // From then on, when they sign in is the organization's business no more.
    world.clock.advance(Duration::from_secs(60));
    let session = sign_in(&world, BOB, PASSWORD).await.unwrap().session_token;
    let before = traces(&world).await;
    let refused = assert_refused(
        fabric.invite(world.operator_key(), BOB, &["regular"]).await,
        Code::FailedPrecondition,
        "REMOVED_MEMBER",
    );
    assert_eq!(refused.metadata["hint"], "ask an operator to restore the member");
    let refused = assert_refused(accept_as(&world, &session, &open).await, Code::FailedPrecondition, "REMOVED_MEMBER");
    assert_eq!(refused.metadata["hint"], "ask an operator to restore the member");
    assert_refused(accept_as_new(&world, &open, "Bob").await, Code::AlreadyExists, "ACCOUNT_EXISTS");
    assert_eq!(traces(&world).await, before);
    assert!(!fabric.may(&bob.user_id, "services.view").await);
    let removed = fabric.rows(admin, &[MemberState::Removed]).await;
    assert_eq!(
        removed.iter().map(|row| (row.email.as_str(), row.user_id.as_str())).collect::<Vec<_>>(),
        [(BOB, bob.user_id.as_str())]
    );
    assert_eq!((log(&bob.user_id).await, listed(&world, admin, of(&fabric, &bob.user_id)).await), history);
}
