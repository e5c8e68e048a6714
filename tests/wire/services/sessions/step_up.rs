//! A second step before inviting: a code in a mail confirms a session for a while.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    BatchCreateInvitationsRequest, CompleteStepUpRequest, CompleteStepUpResponse, CreateInvitationRequest, ErrorReason,
    InvitationResult, NewInvitation, RequestPasswordResetRequest, ResendInvitationRequest, StartStepUpRequest,
    StartStepUpResponse, StepUpPurpose, VerifySessionRequest, invitation_result::Outcome,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_refused, call, service_key, settled, sign_in, time, traces,
};
use crate::support::world::World;

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Begins a second step of a session, and answers with its id and the code out of the mail.
pub(crate) async fn start(world: &World, session: &str, address: &str) -> (String, String) {
    let before = world.mailbox.codes(address).len();
    let begun = try_start(world, session).await.unwrap();
    let code = world.mailbox.wait_for_code(address, before + 1).await;
    settled(world).await;
    (begun.step_up_id, code)
}

async fn try_start(world: &World, session: &str) -> Result<StartStepUpResponse, Status> {
    let request = StartStepUpRequest { purpose: StepUpPurpose::InviteMembers.into(), ..StartStepUpRequest::default() };
    call!(world, sessions.start_step_up, session, request)
}

pub(crate) async fn complete(
    world: &World,
    session: &str,
    id: &str,
    code: &str,
) -> Result<CompleteStepUpResponse, Status> {
    call!(world, sessions.complete_step_up, session, completion(id, code))
}

pub(crate) fn completion(id: &str, code: &str) -> CompleteStepUpRequest {
    CompleteStepUpRequest { step_up_id: id.to_owned(), code: code.to_owned(), ..CompleteStepUpRequest::default() }
}

/// A code that is not this one.
fn other_than(code: &str) -> String {
    let digit = if code.starts_with('0') { '1' } else { '0' };
    format!("{digit}{}", &code[1..])
}

/// A code is bound to the session that asked for it: another session of the same user gets nothing by it, and is not confirmed by what the first one does.
#[wire_test]
async fn a_code_is_good_for_its_session(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let other = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
    let (id, code) = start(&world, &hub.owner.session, OWNER).await;
    assert_refused(complete(&world, &other, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let colleague = hub.join("colleague@example.com", &["account_admin"]).await;
    assert_refused(
        complete(&world, &colleague.session, &id, &code).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    complete(&world, &hub.owner.session, &id, &code).await.unwrap();
    hub.invite(&hub.owner.session, "guest@example.com", &[]).await.unwrap();
    assert_refused(hub.invite(&other, "other@example.com", &[]).await, Code::FailedPrecondition, "STEP_UP_REQUIRED");
}

/// A code is over after ten minutes, replaced by a newer one, and dead after five wrong answers, however right the sixth is.
#[wire_test]
async fn a_code_ends(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let session = &hub.owner.session;
    let (replaced, old) = start(&world, session, OWNER).await;
    let (id, code) = start(&world, session, OWNER).await;
    assert_refused(complete(&world, session, &replaced, &old).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    for _ in 0..5 {
        assert_refused(
            complete(&world, session, &id, &other_than(&code)).await,
            Code::FailedPrecondition,
            "CODE_INVALID",
        );
    }
    assert_refused(complete(&world, session, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let (id, code) = start(&world, session, OWNER).await;
    world.clock.advance(TEN_MINUTES);
    assert_refused(complete(&world, session, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let rows = crate::support::contents::dump(world.database()).await;
    assert!(!rows["challenges"].iter().any(|row| row.contains(&code)), "no code rests in the clear");
}

/// jh_03: a batch and a fresh link are inviting too: without the second step each address of a batch is refused, and no new link is made of an invitation that exists. A
/// service that answers for itself is asked for none.
#[wire_test]
async fn jh_03_a_batch_and_a_fresh_link_take_a_code_too(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let hub = Scenario::under(&world, "jethub").await;
    let admin = &hub.owner.session;
    let (invitation, first_link) = hub.invited_by(world.operator_key(), "guest@example.com", &[]).await;
    let batch = || BatchCreateInvitationsRequest {
        organization_id: hub.organization_id.clone(),
        invitations: ["one@example.com", "two@example.com"]
            .map(|email| NewInvitation { email: email.to_owned(), ..NewInvitation::default() })
            .to_vec(),
        ..BatchCreateInvitationsRequest::default()
    };
    let resend = || ResendInvitationRequest {
        organization_id: hub.organization_id.clone(),
        invitation_id: invitation.invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    let before = traces(&world).await;
    let told = call!(world, invitations.batch_create_invitations, admin, batch()).unwrap();
    let reasons = |results: Vec<InvitationResult>| {
        results
            .into_iter()
            .map(|result| match result.outcome.unwrap() {
                Outcome::Refusal(refusal) => Some(refusal.reason()),
                Outcome::Invitation(_) => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(told.results), [Some(ErrorReason::StepUpRequired); 2]);
    let refused = assert_refused(
        call!(world, invitations.resend_invitation, admin, resend()),
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(refused.metadata["purpose"], "STEP_UP_PURPOSE_INVITE_MEMBERS");
    assert_eq!(traces(&world).await, before);

    let (id, code) = start(&world, admin, OWNER).await;
    complete(&world, admin, &id, &code).await.unwrap();
    let told = call!(world, invitations.batch_create_invitations, admin, batch()).unwrap();
    assert_eq!(reasons(told.results), [None; 2]);
    call!(world, invitations.resend_invitation, admin, resend()).unwrap();
    assert_refused(accept_as_new(&world, &first_link, "Guest").await, Code::NotFound, "INVITATION_NOT_FOUND");
    // What has not been sent yet is taken back by the next sending.
    world.mailbox.wait_for("guest@example.com", 2).await;
    call!(world, invitations.resend_invitation, world.operator_key(), resend()).unwrap();
    world.mailbox.wait_for("guest@example.com", 3).await;
}

/// At most five codes an hour are sent, to the second; what else is sent to the same account is counted for itself.
#[wire_test]
async fn codes_are_sent_now_and_then(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    for _ in 0..5 {
        start(&world, &hub.owner.session, OWNER).await;
    }
    let reset = RequestPasswordResetRequest { email: OWNER.to_owned(), ..RequestPasswordResetRequest::default() };
    world.credentials().request_password_reset(reset).await.unwrap();
    world.mailbox.wait_for(OWNER, 6).await;
    settled(&world).await;
    for passed in [0, 3599] {
        world.clock.advance(Duration::from_secs(passed));
        let refused =
            assert_refused(try_start(&world, &hub.owner.session).await, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        assert_eq!(refused.metadata["retry_after_seconds"], "3600");
    }
    world.clock.advance(Duration::from_secs(1));
    try_start(&world, &hub.owner.session).await.unwrap();
    world.mailbox.wait_for(OWNER, 7).await;
}

/// A service that calls for a session begins and completes its second step, and uses it; one that calls as the user, or for nobody, has no session to confirm.
#[wire_test]
async fn services_act_for_a_confirmed_session(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let service = service_key(&world, &["sessions.step_up", "invitations.write", "act_as_user"]).await;
    assert_refused(try_start(&world, &service).await, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let request =
        || StartStepUpRequest { purpose: StepUpPurpose::InviteMembers.into(), ..StartStepUpRequest::default() };
    let mut as_user = world.as_service(&service, request());
    as_user.metadata_mut().insert("roster-actor", hub.owner.user_id.parse().unwrap());
    assert_refused(world.sessions().start_step_up(as_user).await, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    let begun = world
        .sessions()
        .start_step_up(world.on_behalf_of(&service, &hub.owner.session, request()))
        .await
        .unwrap()
        .into_inner();
    let code = world.mailbox.wait_for_code(OWNER, 1).await;
    let request = world.on_behalf_of(&service, &hub.owner.session, completion(&begun.step_up_id, &code));
    let until = world.sessions().complete_step_up(request).await.unwrap().into_inner().step_up_expire_time;
    assert_eq!(time(until.as_ref()), world.clock.now() + chrono::Duration::minutes(10));
    let verified = call!(
        world,
        sessions.verify_session,
        world.operator_key(),
        VerifySessionRequest { session_token: hub.owner.session.clone(), ..Default::default() }
    )
    .unwrap();
    assert_eq!(verified.session.unwrap().step_up_expire_time, until);
    let inviting = |email: &str| CreateInvitationRequest {
        organization_id: hub.organization_id.clone(),
        email: email.to_owned(),
        ..CreateInvitationRequest::default()
    };
    let request = world.on_behalf_of(&service, &hub.owner.session, inviting("guest@example.com"));
    world.invitations().create_invitation(request).await.unwrap();
    let mut as_user = world.as_service(&service, inviting("other@example.com"));
    as_user.metadata_mut().insert("roster-actor", hub.owner.user_id.parse().unwrap());
    assert_refused(world.invitations().create_invitation(as_user).await, Code::FailedPrecondition, "STEP_UP_REQUIRED");
}
