//! Inviting people: the message, who may invite whom, duplicates, expiry, resending, revoking.

pub(crate) mod acceptance;
pub(crate) mod batches;

use roster_test_macros::wire_test;
use std::time::Duration;

use tonic::{Code, Status};

use crate::support::pb::{
    CreateInvitationRequest, CreateInvitationResponse, DeliveryState, GetInvitationRequest, Invitation,
    InvitationState, ListInvitationsRequest, PreviewInvitationRequest, PreviewInvitationResponse,
    ResendInvitationRequest, ResendInvitationResponse, RevokeInvitationRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as, accept_as_new, assert_invalid, assert_refused, call, create_user,
    service_key, sign_in, texts, time, traces,
};
use crate::support::world::World;

const BOB: &str = "bob@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

fn request(scenario: &Scenario, email: &str, roles: &[&str]) -> CreateInvitationRequest {
    CreateInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        roles: texts(roles),
        ..CreateInvitationRequest::default()
    }
}

async fn create(
    scenario: &Scenario,
    credential: &str,
    request: CreateInvitationRequest,
) -> Result<CreateInvitationResponse, Status> {
    call!(scenario.world, invitations.create_invitation, credential, request)
}

async fn get(scenario: &Scenario, id: &str) -> Invitation {
    let request =
        GetInvitationRequest { organization_id: scenario.organization_id.clone(), invitation_id: id.to_owned() };
    let key = scenario.world.operator_key();
    let answer = call!(scenario.world, invitations.get_invitation, key, request).unwrap();
    answer.invitation.unwrap()
}

async fn listed(scenario: &Scenario, states: &[InvitationState]) -> Vec<Invitation> {
    let request = ListInvitationsRequest {
        organization_id: scenario.organization_id.clone(),
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..ListInvitationsRequest::default()
    };
    let key = scenario.world.operator_key();
    let answer = call!(scenario.world, invitations.list_invitations, key, request).unwrap();
    answer.invitations
}

async fn resend(scenario: &Scenario, credential: &str, id: &str) -> Result<ResendInvitationResponse, Status> {
    let request = ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: id.to_owned(),
        ..ResendInvitationRequest::default()
    };
    call!(scenario.world, invitations.resend_invitation, credential, request)
}

async fn revoke(scenario: &Scenario, credential: &str, id: &str) -> Result<Invitation, Status> {
    let request = RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: id.to_owned(),
        ..RevokeInvitationRequest::default()
    };
    let answer = call!(scenario.world, invitations.revoke_invitation, credential, request)?;
    Ok(answer.invitation.unwrap())
}

async fn preview(world: &World, token: &str) -> Result<PreviewInvitationResponse, Status> {
    let request = PreviewInvitationRequest { token: token.to_owned() };
    world.invitations().preview_invitation(request).await.map(tonic::Response::into_inner)
}

/// jp_05: a message with a unique link and instructions goes out, as text and as HTML, and no row holds the token.
#[wire_test]
async fn jp_05_the_message_has_the_link(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    let message = "Welcome <b>Bob</b>!\n.See you\nhttps://example.org/x".to_owned();
    let asked = CreateInvitationRequest {
        personal_message: message,
        ..request(&scenario, "Bob.Example@Example.COM", &["client_admin"])
    };
    let answer = create(&scenario, &scenario.owner.session, asked).await.unwrap();
    let invitation = answer.invitation.unwrap();
    assert_eq!(
        (invitation.email.as_str(), &invitation.roles[..]),
        ("Bob.Example@Example.COM", &texts(&["client_admin"])[..])
    );
    assert_eq!(
        (invitation.state(), invitation.delivery_state(), invitation.send_count),
        (InvitationState::Pending, DeliveryState::Queued, 1)
    );
    assert_eq!(
        (invitation.inviter_user_id.as_str(), invitation.inviter_service_account_id.as_str()),
        (scenario.owner.user_id.as_str(), "")
    );
    assert_eq!(answer.link, "", "the link is for the invited person only");

    while world.mailbox.mails().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let [mail]: [_; 1] = world.mailbox.mails().try_into().unwrap();
    let token = mail.invitation_token();
    assert!(mail.recipients[0].eq_ignore_ascii_case("Bob.Example@Example.COM"));
    assert!(mail.message_id.contains('@') && mail.header("date").is_some());
    assert!(mail.header("from").unwrap().contains(&mail.sender));
    assert!(mail.header("content-type").unwrap().starts_with("multipart/alternative"));
    assert_eq!(mail.header("auto-submitted").as_deref(), Some("auto-generated"), "RFC 3834: no vacation answers");
    assert!(mail.subject.contains("Acme"), "{}", mail.subject);
    let link = format!("https://app.example.com/invitations/{token}");
    for part in [&mail.text, &mail.html] {
        for words in [
            link.as_str(),
            "Acme",
            "Client Admin",
            OWNER,
            "See you",
            "The link works once, until ",
            "If you did not expect this invitation, you can ignore it.",
        ] {
            assert!(part.contains(words), "{words} is missing in {part}");
        }
    }
    assert!(mail.text.contains("To accept, open this link:"), "{}", mail.text);
    assert!(mail.html.contains("&lt;b&gt;Bob"), "what people write is text, not markup: {}", mail.html);

    let columns = "SELECT COUNT(*) AS n FROM outbox_messages WHERE sealed IS NOT NULL";
    while world.count(columns).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let data = format!("SELECT COUNT(*) AS n FROM events WHERE data LIKE '%{token}%'");
    assert_eq!(world.count(&data).await, 0);
    assert_eq!(get(&scenario, &invitation.invitation_id).await.delivery_state(), DeliveryState::Sent);
}

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

/// js_01, js_02: owners and admins invite admins and members; a member invites nobody; the owner role is given to nobody.
#[wire_test]
async fn js_02_owner_is_never_given_by_invitation(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let member = scenario.join("member@example.com", &["member"]).await;
    for (index, credential) in [&scenario.owner.session, &admin.session].into_iter().enumerate() {
        for role in ["admin", "member"] {
            scenario.invite(credential, &format!("{role}-{index}@example.com"), &[role]).await.unwrap();
        }
    }
    let before = traces(&world).await;
    for credential in [scenario.owner.session.as_str(), &admin.session, world.operator_key()] {
        let refused = assert_refused(
            scenario.invite(credential, BOB, &["owner"]).await,
            Code::FailedPrecondition,
            "OWNER_BY_TRANSFER_ONLY",
        );
        assert_eq!(refused.metadata["role"], "owner");
    }
    for role in ["admin", "member"] {
        let refused = assert_refused(
            scenario.invite(&member.session, BOB, &[role]).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
        assert_eq!(refused.metadata["permission"], "members.invite");
    }
    assert_eq!(traces(&world).await, before);
}

/// Nobody gives a role that their own roles do not grant, knows unknown roles, or gives more roles than one may hold.
#[wire_test]
async fn roles_have_to_be_grantable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let admin = scenario.join("admin@example.com", &["admin"]).await;
    let before = traces(&world).await;
    let refused = assert_refused(
        scenario.invite(&admin.session, BOB, &["owner"]).await,
        Code::PermissionDenied,
        "ROLE_NOT_GRANTABLE",
    );
    assert_eq!(refused.metadata["role"], "owner");
    assert_refused(scenario.invite(&admin.session, BOB, &["admiral"]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
    let refused = assert_refused(
        scenario.invite(&admin.session, BOB, &["admin", "member"]).await,
        Code::FailedPrecondition,
        "TOO_MANY_ROLES",
    );
    assert_eq!(refused.metadata["limit"], "1");
    let refused = create(
        &scenario,
        &admin.session,
        CreateInvitationRequest { locale: "?".to_owned(), ..request(&scenario, "no address", &["Not An Id"]) },
    )
    .await;
    assert_invalid(refused, &["email", "roles[0]", "locale"]);
    assert_eq!(traces(&world).await, before);
}

/// Without a default role an invitation has to name one.
#[wire_test]
async fn a_model_without_a_default_role_wants_one(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    assert_refused(scenario.invite(&scenario.owner.session, BOB, &[]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
}

/// pf_02: the group Sales exists in a partner's organization only.
#[wire_test]
async fn pf_02_sales_is_for_partners(world: World) {
    let customer = Scenario::with(&world, "packetfabric", "customer", "one@example.com").await;
    let refused = assert_refused(
        customer.invite(&customer.owner.session, BOB, &["sales"]).await,
        Code::FailedPrecondition,
        "ROLE_NOT_IN_ORGANIZATION_KIND",
    );
    assert_eq!(refused.metadata["organization_kinds"], "partner");
    let partner = Scenario::with(&world, "packetfabric", "partner", "two@example.com").await;
    partner.invite(&partner.owner.session, BOB, &["sales"]).await.unwrap();
}

/// jp_04: a pending or active address is not invited again, however it is spelled; the refusal says what to do instead.
#[wire_test]
async fn jp_04_an_address_is_invited_once(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    scenario.join("member@example.com", &["customer_success"]).await;
    scenario.invite(&scenario.owner.session, BOB, &["customer_success"]).await.unwrap();
    let before = traces(&world).await;
    for spelling in [BOB, "BOB@EXAMPLE.COM", " Bob@Example.com "] {
        let refused = assert_refused(
            scenario.invite(&scenario.owner.session, spelling.trim(), &["client_admin"]).await,
            Code::AlreadyExists,
            "INVITATION_PENDING",
        );
        assert_eq!(refused.metadata["hint"], "resend or revoke the pending invitation");
    }
    for spelling in ["member@example.com", "Member@EXAMPLE.com", OWNER] {
        assert_refused(
            scenario.invite(&scenario.owner.session, spelling, &["client_admin"]).await,
            Code::AlreadyExists,
            "ALREADY_MEMBER",
        );
    }
    assert_eq!(traces(&world).await, before);
    // Another organization may invite all of them.
    let other = Scenario::with(&world, "jetpack", "", "other@example.com").await;
    for email in [BOB, "member@example.com", OWNER] {
        other.invite(&other.owner.session, email, &["customer_success"]).await.unwrap();
    }
}

/// pf_04, pf_05: several invitations to one address may be open, each with its own link. Signup Completed is true for the link that
/// was used, User Created for all of them.
#[wire_test]
async fn pf_04_several_may_be_open_and_pf_05_one_is_used(world: World) {
    let scenario = Scenario::with(&world, "packetfabric", "customer", OWNER).await;
    let (first, first_token) = scenario.invited_by(&scenario.owner.session, BOB, &["regular"]).await;
    world.clock.advance(SECOND);
    let (second, second_token) = scenario.invited_by(&scenario.owner.session, BOB, &["read_only"]).await;
    assert_ne!(first_token, second_token);
    let columns = async || {
        let rows = listed(&scenario, &[]).await;
        let columns =
            |row: &Invitation| (row.invitation_id.clone(), row.state(), row.signup_completed, row.user_created);
        rows.iter().map(columns).collect::<Vec<_>>()
    };
    let pending = InvitationState::Pending;
    let (first, second) = (first.invitation_id, second.invitation_id);
    assert_eq!(columns().await, [(second.clone(), pending, false, false), (first.clone(), pending, false, false)]);

    let accepted = accept_as_new(&world, &second_token, "Bob").await.unwrap();
    assert_eq!(accepted.roles, texts(&["read_only"]));
    assert_eq!(columns().await, [(second, InvitationState::Accepted, true, true), (first, pending, false, true)]);
    // The other link still stands, but leads nowhere: the person is a member.
    let before = traces(&world).await;
    assert_refused(
        accept_as(&world, &accepted.session_token, &first_token).await,
        Code::AlreadyExists,
        "ALREADY_MEMBER",
    );
    assert_eq!(traces(&world).await, before);
}

/// pf_06: an address that is invited, and whose user is then created directly, counts as User Created and not as Signup Completed; the link leads to no second
/// account.
#[wire_test]
async fn pf_06_a_user_created_otherwise(world: World) {
    let scenario = Scenario::with(&world, "packetfabric", "customer", OWNER).await;
    let admin = &scenario.owner.session;
    let (invitation, token) = scenario.invited_by(admin, BOB, &["regular"]).await;
    assert_eq!((invitation.signup_completed, invitation.user_created), (false, false));
    scenario.create(admin, BOB, &["regular"]).await.unwrap();
    let seen = get(&scenario, &invitation.invitation_id).await;
    assert_eq!((seen.state(), seen.signup_completed, seen.user_created), (InvitationState::Pending, false, true));
    let before = traces(&world).await;
    assert_refused(accept_as_new(&world, &token, "Bob").await, Code::AlreadyExists, "ACCOUNT_EXISTS");
    assert_eq!(traces(&world).await, before);
    let bob = sign_in(&world, BOB, PASSWORD).await.unwrap().session_token;
    // The Admin typed the address, and nobody has shown yet that it is theirs.
    assert_refused(accept_as(&world, &bob, &token).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
    assert!(!get(&scenario, &invitation.invitation_id).await.signup_completed);
}

/// cp_08: the model hides pending invitations from the roster; they stand in the invitation list.
#[wire_test]
async fn cp_08_an_invited_person_is_not_in_the_roster(world: World) {
    let scenario = Scenario::under(&world, "portal").await;
    let token = scenario.invited(BOB, &["manager"]).await;
    for credential in [scenario.owner.session.as_str(), world.operator_key()] {
        assert_eq!(scenario.roster(credential).await.unwrap().len(), 1);
    }
    assert_eq!(listed(&scenario, &[InvitationState::Pending]).await.len(), 1);
    accept_as_new(&world, &token, "Bob").await.unwrap();
    assert_eq!(scenario.roster(&scenario.owner.session).await.unwrap().len(), 2);
}

/// jh_03, jh_04: the model asks a person for a second step before inviting, so a person is refused without one, and told what to do;
/// a service invites, and an invitation without roles makes a Standard User.
#[wire_test]
async fn jh_04_no_role_gives_the_default_role(world: World) {
    let scenario = Scenario::under(&world, "jethub").await;
    let before = traces(&world).await;
    let refused = assert_refused(
        scenario.invite(&scenario.owner.session, BOB, &[]).await,
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(
        (refused.metadata["method"].as_str(), refused.metadata["purpose"].as_str()),
        ("roster.v1.SessionService/StartStepUp", "STEP_UP_PURPOSE_INVITE_MEMBERS")
    );
    let for_owner = world.on_behalf_of(world.operator_key(), &scenario.owner.session, request(&scenario, BOB, &[]));
    assert_refused(
        world.invitations().create_invitation(for_owner).await,
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(traces(&world).await, before);

    let key = service_key(&world, &["invitations.write"]).await;
    let (invitation, token) = scenario.invited_by(&key, BOB, &[]).await;
    assert_eq!(invitation.roles, texts(&["standard_user"]));
    assert_eq!((invitation.inviter_user_id.as_str(), invitation.inviter_service_account_id.len()), ("", 36));
    assert_eq!(accept_as_new(&world, &token, "Bob").await.unwrap().roles, texts(&["standard_user"]));
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

/// After its time an address is invited anew; the expired invitation is then out of the way for good.
#[wire_test]
async fn an_expired_invitation_is_in_nobodys_way(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (first, old) = scenario.invited_by(world.operator_key(), BOB, &["member"]).await;
    world.clock.advance(8 * DAY);
    let (_, new) = scenario.invited_by(world.operator_key(), BOB, &["admin"]).await;
    assert_eq!(get(&scenario, &first.invitation_id).await.state(), InvitationState::Revoked);
    assert_refused(preview(&world, &old).await, Code::FailedPrecondition, "INVITATION_REVOKED");
    assert_eq!(accept_as_new(&world, &new, "Bob").await.unwrap().roles, texts(&["admin"]));
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

/// Revoking calls off a message that still waits.
#[wire_test]
async fn revoking_calls_off_the_message(world: World) {
    let scenario = Scenario::acme(&world).await;
    world.mailbox.refuse().await;
    let invitation = scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    let revoked = revoke(&scenario, &scenario.owner.session, &invitation.invitation_id).await.unwrap();
    assert_eq!(revoked.delivery_state(), DeliveryState::Cancelled);
    world.mailbox.heal().await;
    world.clock.advance(DAY);
    scenario.invited("cy@example.com", &["member"]).await;
    assert_eq!(world.mailbox.mails_for(BOB).len(), 0);
    let sealed = "SELECT COUNT(*) AS n FROM outbox_messages WHERE sealed IS NOT NULL AND state = 'cancelled'";
    assert_eq!(world.count(sealed).await, 0, "what it says is erased");
}

/// The etag guards resending and revoking.
#[wire_test]
async fn etags_guard_changes(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let scenario = Scenario::acme(&world).await;
    let invitation = scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    let again =
        resend(&scenario, &scenario.owner.session, &invitation.invitation_id).await.unwrap().invitation.unwrap();
    world.mailbox.wait_for(BOB, 1).await;
    let before = traces(&world).await;
    let stale = RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id.clone(),
        etag: invitation.etag.clone(),
        ..RevokeInvitationRequest::default()
    };
    let refused = call!(world, invitations.revoke_invitation, &scenario.owner.session, stale.clone());
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    let resending = ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        etag: invitation.etag,
        ..ResendInvitationRequest::default()
    };
    let refused = call!(world, invitations.resend_invitation, &scenario.owner.session, resending);
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(traces(&world).await, before);
    let fresh = RevokeInvitationRequest { etag: again.etag, ..stale };
    call!(world, invitations.revoke_invitation, &scenario.owner.session, fresh).unwrap();
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

/// A validated invitation is refused like a real one, and otherwise leaves nothing behind.
#[wire_test]
async fn validate_only_invites_nobody(world: World) {
    let scenario = Scenario::acme(&world).await;
    let before = traces(&world).await;
    let asked = |email: &str| CreateInvitationRequest { validate_only: true, ..request(&scenario, email, &["admin"]) };
    let answer = create(&scenario, &scenario.owner.session, asked(BOB)).await.unwrap();
    assert_eq!(answer.invitation.unwrap().email, BOB);
    assert_refused(
        create(&scenario, &scenario.owner.session, asked(OWNER)).await,
        Code::AlreadyExists,
        "ALREADY_MEMBER",
    );
    assert_eq!(traces(&world).await, before);
}

/// Invitations of another organization are not there.
#[wire_test]
async fn another_organization_sees_nothing(world: World) {
    let scenario = Scenario::acme(&world).await;
    let stranger = Scenario::with(&world, "default", "", "stranger@example.com").await;
    let invitation = scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    world.mailbox.wait_for(BOB, 1).await;
    let id = invitation.invitation_id.as_str();
    assert_refused(revoke(&stranger, &stranger.owner.session, id).await, Code::NotFound, "INVITATION_NOT_FOUND");
    assert_refused(resend(&stranger, &stranger.owner.session, id).await, Code::NotFound, "INVITATION_NOT_FOUND");
    assert_refused(revoke(&scenario, &stranger.owner.session, id).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_refused(revoke(&stranger, world.operator_key(), id).await, Code::NotFound, "INVITATION_NOT_FOUND");
    assert_eq!(get(&scenario, id).await.state(), InvitationState::Pending);
}
