//! Inviting people: the message, who may invite whom, duplicates, expiry, resending, revoking.

pub(crate) mod acceptance;
pub(crate) mod batches;
pub(crate) mod by_address;
pub(crate) mod join_links;
pub(crate) mod languages;
pub(crate) mod links;
pub(crate) mod roles;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    CreateInvitationRequest, CreateInvitationResponse, DeliveryState, GetInvitationRequest, Invitation,
    InvitationState, ListInvitationsRequest, PreviewInvitationRequest, PreviewInvitationResponse,
    ResendInvitationRequest, ResendInvitationResponse, RevokeInvitationRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as, accept_as_new, assert_refused, call, sign_in, texts, traces,
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

/// After its time an address is invited again; the expired invitation is then out of the way for good.
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
