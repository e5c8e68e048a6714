//! ab_18: the holder of a link gets in with the account of the invited address or a new one, and takes over nobody's.

use roster_test_macros::wire_test;
use tonic::{Code, Request};

use crate::support::contents::dump;
use crate::support::pb::{
    AcceptInvitationRequest, CreateUserRequest, GetInvitationRequest, Invitation, InvitationState,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accepting, assert_refused, call, create_user, new_user, sign_in, signing_up,
};
use crate::support::world::World;

const INVITED: &str = "ada@example.com";
const OTHER_PASSWORD: &str = "seven quiet lanterns over 3 rivers";

/// Calls, and asserts that it is refused with this code and reason, changes no row of any table, and leaves the invitation pending.
async fn refused(
    (world, team, invitation): (&World, &Scenario, &Invitation),
    request: Request<AcceptInvitationRequest>,
    code: Code,
    reason: &str,
) {
    let before = dump(world.database()).await;
    let outcome = world.invitations().accept_invitation(request).await;
    assert_refused(outcome, code, reason);
    assert_eq!(dump(world.database()).await, before);
    let request = GetInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id.clone(),
    };
    let found = world.invitations().get_invitation(world.as_operator(request)).await.unwrap().into_inner();
    assert_eq!(found.invitation.unwrap().state(), InvitationState::Pending);
}

/// ab_18: a session of another address is no way in, whoever's it is: a stranger's, or the inviting owner's own.
#[wire_test]
async fn ab_18_a_session_of_another_address_accepts_nothing(world: World) {
    let team = Scenario::acme(&world).await;
    let (invitation, token) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    create_user(&world, "eve@example.com").await;
    let eve = sign_in(&world, "eve@example.com", PASSWORD).await.unwrap().session_token;
    for session in [&eve, &team.owner.session] {
        let request = world.as_session(session, accepting(&token));
        refused((&world, &team, &invitation), request, Code::PermissionDenied, "EMAIL_MISMATCH").await;
    }
    // The link is as good as before for whom it is meant.
    world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await.unwrap();
}

/// ab_18: an account that somebody made in the invited person's name, and whose address nobody has shown to be theirs, does not get in.
#[wire_test]
async fn ab_18_an_unverified_account_accepts_nothing(world: World) {
    let team = Scenario::acme(&world).await;
    let (invitation, token) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let unverified = CreateUserRequest { email_verified: false, ..new_user(INVITED) };
    call!(world, users.create_user, world.operator_key(), unverified).unwrap();
    let squatter = sign_in(&world, INVITED, PASSWORD).await.unwrap().session_token;
    let request = world.as_session(&squatter, accepting(&token));
    refused((&world, &team, &invitation), request, Code::PermissionDenied, "EMAIL_UNVERIFIED").await;
    let request = Request::new(signing_up(&token, OTHER_PASSWORD));
    refused((&world, &team, &invitation), request, Code::AlreadyExists, "ACCOUNT_EXISTS").await;
}

/// ab_18: `sign_up` never sets a password over an existing account, not even with that account's session beside it; the account signs in itself.
#[wire_test]
async fn ab_18_signing_up_over_an_account_keeps_its_password(world: World) {
    let team = Scenario::acme(&world).await;
    create_user(&world, INVITED).await;
    let (invitation, token) = team.invited_by(&team.owner.session, "Ada@Example.com", &[]).await;
    let session = sign_in(&world, INVITED, PASSWORD).await.unwrap().session_token;
    let request = Request::new(signing_up(&token, OTHER_PASSWORD));
    refused((&world, &team, &invitation), request, Code::AlreadyExists, "ACCOUNT_EXISTS").await;
    let request = world.as_session(&session, signing_up(&token, OTHER_PASSWORD));
    refused((&world, &team, &invitation), request, Code::AlreadyExists, "ACCOUNT_EXISTS").await;

    let failed = sign_in(&world, INVITED, OTHER_PASSWORD).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unauthenticated);
    sign_in(&world, INVITED, PASSWORD).await.unwrap();
    let accepted = world.invitations().accept_invitation(world.as_session(&session, accepting(&token))).await;
    let accepted = accepted.unwrap().into_inner();
    assert_eq!((accepted.organization_id, accepted.session_token.as_str()), (team.organization_id, ""));
}

/// ab_18: with neither a session nor `sign_up` nobody accepts; with a session that is none, not even a good link helps.
#[wire_test]
async fn ab_18_nobody_accepts_nothing(world: World) {
    let team = Scenario::acme(&world).await;
    let (invitation, token) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let request = Request::new(accepting(&token));
    refused((&world, &team, &invitation), request, Code::Unauthenticated, "CREDENTIALS_MISSING").await;
    let forged = format!("rss_{}", "A".repeat(43));
    let request = world.as_session(&forged, accepting(&token));
    refused((&world, &team, &invitation), request, Code::Unauthenticated, "CREDENTIALS_INVALID").await;
}
