//! Who calls: headers that name a caller twice, or in bytes that nobody can read, name nobody; and what one caller was told, no other is.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request};

use crate::support::pb::{
    CreateInvitationRequest, CreateServiceKeyRequest, ListMembersRequest, ListUserAuditEntriesRequest,
    ResendInvitationRequest, RevokeInvitationRequest, SignInRequest, SuspendUserRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_refused, call, create_user, credentials, refusal, service_account,
    service_key, settled, sign_in,
};
use crate::support::world::World;

/// A header's value out of these bytes, whether they are text or not.
fn value(bytes: &[u8]) -> MetadataValue<Ascii> {
    MetadataValue::try_from(bytes).unwrap()
}

/// The request with these headers, as often as they are given.
fn with<T>(message: T, headers: &[(&'static str, &[u8])]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, bytes) in headers {
        request.metadata_mut().append(*name, value(bytes));
    }
    request
}

/// ab_33: a header that says who calls is there once and can be read, or the call is refused: never does the first of two count, and never does what cannot be read count as absent. A
/// service that passes on what a browser sent would call as itself, and read what its user may not.
#[wire_test]
async fn ab_33_a_doubled_or_unreadable_credential_is_none(world: World) {
    let team = Scenario::acme(&world).await;
    create_user(&world, "eve@example.com").await;
    let eve = sign_in(&world, "eve@example.com", PASSWORD).await.unwrap().session_token;
    let key = format!("Bearer {}", service_key(&world, &["members.read", "act_as_user"]).await);
    let (key, owner, eve) = (key.as_bytes(), team.owner.session.as_bytes(), eve.as_bytes());
    let roster =
        || ListMembersRequest { organization_id: team.organization_id.clone(), ..ListMembersRequest::default() };

    // What each of them may do alone.
    let alone = with(roster(), &[("authorization", key), ("roster-on-behalf-of", owner)]);
    world.members().list_members(alone).await.unwrap();
    let stranger = with(roster(), &[("authorization", key), ("roster-on-behalf-of", eve)]);
    assert_eq!(world.members().list_members(stranger).await.unwrap_err().code(), Code::NotFound);

    let [behalf, actor] = ["roster-on-behalf-of", "roster-actor"];
    let tried: [&[(&'static str, &[u8])]; 9] = [
        &[("authorization", key), (behalf, b"rss_\xff")],
        &[("authorization", key), (behalf, b"\xff")],
        &[("authorization", key), (actor, b"\xff")],
        &[("authorization", key), (behalf, owner), (behalf, eve)],
        &[("authorization", key), (behalf, owner), (behalf, b"\xff")],
        &[("authorization", key), (actor, team.owner.user_id.as_bytes()), (actor, team.owner.user_id.as_bytes())],
        &[("authorization", key), ("authorization", key)],
        &[("authorization", key), ("authorization", b"\xff")],
        &[("authorization", b"Bearer rsk_\xff")],
    ];
    for headers in tried {
        let outcome = world.members().list_members(with(roster(), headers)).await;
        assert_refused(outcome, Code::Unauthenticated, "CREDENTIALS_INVALID");
        // The same where no credential is needed: what is shown has to hold.
        let outcome = world.sessions().sign_in(with(credentials("eve@example.com", PASSWORD), headers)).await;
        assert_refused(outcome, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
}

/// A service that does something by its own right tells who asked for it: the record names the person and the service, and the person's rights play no part, neither then nor later.
#[wire_test]
async fn who_asked_a_service_is_recorded_and_gives_no_right(world: World) {
    const ASKED: &str = "roster-requested-by";
    let team = Scenario::acme(&world).await;
    let desk = create_user(&world, "desk@example.com").await;
    let troubled = create_user(&world, "troubled@example.com").await;
    let key = format!("Bearer {}", service_key(&world, &["users.suspend", "invitations.write"]).await);
    let (key, desk_id) = (key.as_bytes(), desk.user_id.as_bytes());
    let suspension = || SuspendUserRequest { user_id: troubled.user_id.clone(), ..SuspendUserRequest::default() };
    let asked: &[(&'static str, &[u8])] = &[("authorization", key), (ASKED, desk_id)];
    world.users().suspend_user(with(suspension(), asked)).await.unwrap();
    let request = ListUserAuditEntriesRequest { user_id: troubled.user_id.clone(), ..Default::default() };
    let entries = call!(world, audit.list_user_audit_entries, world.operator_key(), request).unwrap().entries;
    let entry = entries.iter().find(|entry| entry.kind == "user.suspended").unwrap();
    assert_eq!(entry.actor_user_id, desk.user_id);
    assert_ne!(entry.actor_service_account_id, "");
    // The invitation stands by the service's right: the person has none there.
    let invited = with(team.invitation("guest@example.com"), asked);
    let answer = world.invitations().create_invitation(invited).await.unwrap().into_inner();
    let invitation = answer.invitation.unwrap();
    assert_eq!(invitation.inviter_user_id, "");
    // Otherwise the first mail may come last, on a busy machine.
    settled(&world).await;
    world.mailbox.wait_for_token("guest@example.com", "rin_", 1).await;
    world.clock.advance(Duration::from_secs(3600));
    let again = ResendInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    let again = world.invitations().resend_invitation(with(again, asked)).await.unwrap().into_inner();
    assert_eq!(again.invitation.unwrap().inviter_user_id, "");
    let token = world.mailbox.wait_for_token("guest@example.com", "rin_", 2).await;
    accept_as_new(&world, &token, "Guest").await.unwrap();

    let owner = format!("Bearer {}", team.owner.session);
    let tried: [&[(&'static str, &[u8])]; 8] = [
        &[(ASKED, desk_id)],
        &[("authorization", owner.as_bytes()), (ASKED, desk_id)],
        &[("authorization", key), (ASKED, b"desk")],
        &[("authorization", key), (ASKED, b"\xff")],
        &[("authorization", key), (ASKED, desk_id), (ASKED, desk_id)],
        &[("authorization", key), (ASKED, b"0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e")],
        &[("authorization", key), (ASKED, troubled.user_id.as_bytes())],
        &[("authorization", key), (ASKED, desk_id), ("roster-on-behalf-of", team.owner.session.as_bytes())],
    ];
    for headers in tried {
        let outcome = world.users().suspend_user(with(suspension(), headers)).await;
        assert_refused(outcome, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
}

/// ab_33: a person's network address that is reported twice, or in bytes that nobody can read, is not kept, as one that is no address is not: it never is the first of the two.
#[wire_test]
async fn ab_33_a_doubled_address_is_none(world: World) {
    create_user(&world, "eve@example.com").await;
    let key = format!("Bearer {}", service_key(&world, &["sessions.verify"]).await);
    let reported: [&[&[u8]]; 3] = [&[b"192.0.2.7", b"192.0.2.8"], &[b"192.0.2.7", b"\xff"], &[b"192.0.2.7\xff"]];
    for addresses in reported {
        let mut request: Request<SignInRequest> =
            with(credentials("eve@example.com", PASSWORD), &[("authorization", key.as_bytes())]);
        for address in addresses {
            request.metadata_mut().append("roster-client-ip", value(address));
        }
        let answer = world.sessions().sign_in(request).await.unwrap().into_inner();
        assert_eq!(answer.session.unwrap().ip_address, "", "{addresses:?}");
    }
}

/// An id that a caller gives a call.
const ID: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a51";

/// ab_51: a kept answer, with the secret in it, is for the credential that the call came with. Another key of the same service account, or another session of the same user, is told that
/// the id is used, and has no second effect either.
#[wire_test]
async fn ab_51_an_answer_is_kept_for_one_credential(world: World) {
    let team = Scenario::acme(&world).await;
    let (account, first) = service_account(&world, &["service_accounts.write", "users.read"]).await;
    let second = another_key(&world, &account).await;
    let creation = CreateServiceKeyRequest {
        service_account_id: account.clone(),
        request_id: ID.to_owned(),
        ..CreateServiceKeyRequest::default()
    };
    let answer = call!(world, service_accounts.create_service_key, &first, creation.clone()).unwrap();
    assert_eq!(call!(world, service_accounts.create_service_key, &first, creation.clone()).unwrap(), answer);
    let keys = world.count("SELECT COUNT(*) AS n FROM service_keys").await;
    let other = call!(world, service_accounts.create_service_key, &second, creation.clone());
    assert_refused(other, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM service_keys").await, keys);

    let again = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
    let invitation = CreateInvitationRequest { request_id: ID.to_owned(), ..team.invitation("bea@example.com") };
    let answer = call!(world, invitations.create_invitation, &team.owner.session, invitation.clone()).unwrap();
    assert_eq!(call!(world, invitations.create_invitation, &team.owner.session, invitation.clone()).unwrap(), answer);
    assert_refused(
        call!(world, invitations.create_invitation, &again, invitation.clone()),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
    // A service for the same session is another caller.
    let key = service_key(&world, &["invitations.write"]).await;
    let through =
        world.invitations().create_invitation(world.on_behalf_of(&key, &team.owner.session, invitation)).await;
    assert_ne!(refusal(&through.unwrap_err()).reason, "REQUEST_ID_REUSED");
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM invitations").await, 1);
}

/// ab_51: a kept answer opens for its caller, its method and its id alone, wherever its row is moved to.
#[wire_test]
async fn ab_51_an_answer_opens_for_its_caller_and_method(world: World) {
    let team = Scenario::acme(&world).await;
    let (own, victim) = (
        service_account(&world, &["service_accounts.write"]).await,
        service_account(&world, &["service_accounts.write"]).await,
    );
    // The victim's key makes another key of an account that both may manage.
    let shared = service_account(&world, &["service_accounts.write"]).await.0;
    let creation = CreateServiceKeyRequest {
        service_account_id: shared,
        request_id: ID.to_owned(),
        ..CreateServiceKeyRequest::default()
    };
    call!(world, service_accounts.create_service_key, &victim.1, creation.clone()).unwrap();
    let moved = format!("UPDATE replays SET caller = 'service:{}'", own.0);
    world.database().execute_unprepared(&moved).await.unwrap();
    assert_refused(
        call!(world, service_accounts.create_service_key, &own.1, creation),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );

    world.database().execute_unprepared("DELETE FROM replays").await.unwrap();
    let invited = call!(world, invitations.create_invitation, &team.owner.session, team.invitation("bea@example.com"))
        .unwrap()
        .invitation
        .unwrap();
    let (organization_id, invitation_id) = (invited.organization_id, invited.invitation_id);
    let resending = ResendInvitationRequest {
        organization_id: organization_id.clone(),
        invitation_id: invitation_id.clone(),
        request_id: ID.to_owned(),
        ..ResendInvitationRequest::default()
    };
    world.clock.advance(std::time::Duration::from_secs(3600));
    call!(world, invitations.resend_invitation, &team.owner.session, resending).unwrap();
    let moved = "UPDATE replays SET method = '/roster.v1.InvitationService/RevokeInvitation'";
    world.database().execute_unprepared(moved).await.unwrap();
    let revoking = RevokeInvitationRequest {
        organization_id,
        invitation_id,
        request_id: ID.to_owned(),
        ..RevokeInvitationRequest::default()
    };
    assert_refused(
        call!(world, invitations.revoke_invitation, &team.owner.session, revoking),
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
    );
}

async fn another_key(world: &World, account: &str) -> String {
    let request =
        CreateServiceKeyRequest { service_account_id: account.to_owned(), ..CreateServiceKeyRequest::default() };
    call!(world, service_accounts.create_service_key, world.operator_key(), request).unwrap().key
}
