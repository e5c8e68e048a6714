//! Invitations in batches, those that wait for one person, and saying no to one.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::invitation_result::Outcome;
use crate::support::pb::{
    BatchCreateInvitationsRequest, BatchCreateInvitationsResponse, CreateUserRequest, DeclineInvitationRequest,
    DeclineInvitationResponse, ErrorReason, GetInvitationRequest, InvitationState, ListInvitationsRequest,
    ListUserInvitationsRequest, NewInvitation, PreviewInvitationRequest,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, assert_invalid, assert_refused, call, create_user, new_user, service_key, settled,
    sign_in, texts, traces,
};
use crate::support::world::World;

fn invite(email: &str, role: &str) -> NewInvitation {
    NewInvitation { email: email.to_owned(), roles: texts(&[role]), ..NewInvitation::default() }
}

async fn batch(
    scenario: &Scenario,
    credential: &str,
    invitations: Vec<NewInvitation>,
) -> Result<BatchCreateInvitationsResponse, tonic::Status> {
    let request = BatchCreateInvitationsRequest {
        organization_id: scenario.organization_id.clone(),
        invitations,
        ..BatchCreateInvitationsRequest::default()
    };
    call!(scenario.world, invitations.batch_create_invitations, credential, request)
}

/// `INVITED`, or the reason of the refusal, of each result.
fn told(answer: &BatchCreateInvitationsResponse) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Invitation(_) => "INVITED".to_owned(),
        Outcome::Refusal(refusal) => {
            ErrorReason::try_from(refusal.reason).unwrap().as_str_name().replace("ERROR_REASON_", "")
        }
    };
    answer.results.iter().map(|result| one(result.outcome.as_ref().unwrap())).collect()
}

async fn decline(world: &World, token: &str) -> Result<DeclineInvitationResponse, tonic::Status> {
    let request = DeclineInvitationRequest { token: token.to_owned(), ..DeclineInvitationRequest::default() };
    world.invitations().decline_invitation(request).await.map(tonic::Response::into_inner)
}

/// A batch answers for each address by itself and in the order asked for; what is refused keeps nobody else out, and each mail goes out.
#[wire_test]
async fn a_batch_answers_address_by_address(world: World) {
    let acme = Scenario::acme(&world).await;
    let admin = acme.join("admin@example.com", &["admin"]).await;
    acme.invite(&admin.session, "pending@example.com", &["member"]).await.unwrap();
    let answer = batch(
        &acme,
        &admin.session,
        vec![
            invite("one@example.com", "member"),
            invite("pending@example.com", "member"),
            invite("admin@example.com", "member"),
            invite("boss@example.com", "owner"),
            invite("two@example.com", "admin"),
            invite("ONE@example.com", "member"),
            invite("three@example.com", "no_such_role"),
        ],
    )
    .await
    .unwrap();
    assert_eq!(
        told(&answer),
        [
            "INVITED",
            "INVITATION_PENDING",
            "ALREADY_MEMBER",
            "ROLE_NOT_GRANTABLE",
            "INVITED",
            "INVITATION_PENDING",
            "ROLE_UNKNOWN"
        ]
    );
    let Some(Outcome::Refusal(refusal)) = &answer.results[3].outcome else { panic!("{answer:?}") };
    assert_eq!(refusal.metadata["role"], "owner");
    for email in ["one@example.com", "two@example.com"] {
        assert!(!world.mailbox.wait_for(email, 1).await[0].invitation_token().is_empty());
    }
    settled(&world).await;
    let request =
        ListInvitationsRequest { organization_id: acme.organization_id.clone(), ..ListInvitationsRequest::default() };
    let listed = call!(world, invitations.list_invitations, &admin.session, request).unwrap();
    let mut listed: Vec<_> = listed.invitations.iter().map(|row| row.email.as_str()).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["admin@example.com", "one@example.com", "pending@example.com", "two@example.com"]);
}

/// A batch takes 500 addresses and no more, names every field that is wrong, and gives links to those who may have them.
#[wire_test]
async fn a_batch_has_its_limits(world: World) {
    let acme = Scenario::acme(&world).await;
    let many = |count: usize| {
        (0..count).map(|index| invite(&format!("person{index}@example.com"), "member")).collect::<Vec<_>>()
    };
    assert_invalid(batch(&acme, &acme.owner.session, many(501)).await, &["invitations"]);
    assert_invalid(batch(&acme, &acme.owner.session, Vec::new()).await, &["invitations"]);
    let before = traces(&world).await;
    let broken = vec![invite("nobody", "member"), invite("fine@example.com", "Not A Role"), NewInvitation::default()];
    assert_invalid(
        batch(&acme, &acme.owner.session, broken).await,
        &["invitations[0].email", "invitations[1].roles[0]", "invitations[2].email"],
    );
    let request = |include_links, validate_only| BatchCreateInvitationsRequest {
        organization_id: acme.organization_id.clone(),
        invitations: many(2),
        include_links,
        validate_only,
        ..BatchCreateInvitationsRequest::default()
    };
    let refused = call!(world, invitations.batch_create_invitations, &acme.owner.session, request(true, false));
    assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED");
    let tried = call!(world, invitations.batch_create_invitations, &acme.owner.session, request(false, true)).unwrap();
    assert_eq!(told(&tried), ["INVITED", "INVITED"]);
    assert_eq!(traces(&world).await, before);
    let key = service_key(&world, &["invitations.write", "invitations.link"]).await;
    let linked = call!(world, invitations.batch_create_invitations, &key, request(true, false)).unwrap();
    assert!(linked.results.iter().all(|result| result.link.contains("rin_")));
    let answer = batch(&acme, &acme.owner.session, many(500)).await.unwrap();
    let invited = told(&answer).iter().filter(|one| *one == "INVITED").count();
    assert_eq!((answer.results.len(), invited), (500, 498));
    world.leaves_messages_behind("five hundred mails take longer than the test");
}

/// A person sees what waits for them, wherever to: not what they have answered, what has expired, and not before their address is verified.
#[wire_test]
async fn a_person_sees_what_waits_for_them(world: World) {
    let acme = Scenario::acme(&world).await;
    let team = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    let ada = create_user(&world, "ada@example.com").await;
    let waiting = async |credential: &str, user_id: &str| {
        let request =
            ListUserInvitationsRequest { user_id: user_id.to_owned(), ..ListUserInvitationsRequest::default() };
        call!(world, invitations.list_user_invitations, credential, request)
    };
    assert_eq!(waiting(&ada.session, &ada.user_id).await.unwrap().invitations, []);
    let (_, token) = acme.invited_by(&acme.owner.session, "Ada@example.com", &["admin"]).await;
    world.clock.advance(Duration::from_secs(1));
    team.invited_by(&team.owner.session, "ada@example.com", &["member"]).await;
    let seen = waiting(&ada.session, &ada.user_id).await.unwrap().invitations;
    let what: Vec<_> = seen
        .iter()
        .map(|one| (one.organization_id.clone(), one.role_display_names.join(","), one.inviter_display_name.clone()))
        .collect();
    assert_eq!(
        what,
        [
            (team.organization_id.clone(), "Member".to_owned(), "lead".to_owned()),
            (acme.organization_id.clone(), "Admin".to_owned(), "owner".to_owned()),
        ]
    );
    assert_refused(waiting(&acme.owner.session, &ada.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    accept_as(&world, &ada.session, &token).await.unwrap();
    assert_eq!(waiting(world.operator_key(), &ada.user_id).await.unwrap().invitations.len(), 1);
    world.clock.advance(Duration::from_secs(6 * 24 * 3600 + 23 * 3600));
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    assert_eq!(waiting(&session, &ada.user_id).await.unwrap().invitations.len(), 1);
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(waiting(&session, &ada.user_id).await.unwrap().invitations, []);
    // Anybody can type an address.
    let request = CreateUserRequest { email_verified: false, ..new_user("grace@example.com") };
    let grace = world.users().create_user(world.as_operator(request)).await.unwrap().into_inner().user.unwrap();
    assert_refused(waiting(world.operator_key(), &grace.user_id).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
}

/// Who declines leaves a dead link and an invitation that says so; the same address can be invited again.
#[wire_test]
async fn an_invitation_is_declined(world: World) {
    let acme = Scenario::acme(&world).await;
    let (invitation, token) = acme.invited_by(&acme.owner.session, "ada@example.com", &["admin"]).await;
    let declined = decline(&world, &token).await.unwrap();
    assert_eq!((declined.organization_id.as_str(), declined.revision), (acme.organization_id.as_str(), 4));
    let seen = GetInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation.invitation_id.clone(),
    };
    let seen = call!(world, invitations.get_invitation, &acme.owner.session, seen).unwrap().invitation.unwrap();
    assert_eq!(
        (declined.invitation.unwrap().state(), seen.state()),
        (InvitationState::Declined, InvitationState::Declined)
    );
    assert_refused(decline(&world, &token).await, Code::FailedPrecondition, "INVITATION_DECLINED");
    let preview = PreviewInvitationRequest { token: token.clone() };
    assert_refused(
        world.invitations().preview_invitation(preview).await,
        Code::FailedPrecondition,
        "INVITATION_DECLINED",
    );
    let request = ListInvitationsRequest {
        organization_id: acme.organization_id.clone(),
        states: vec![InvitationState::Declined.into()],
        ..ListInvitationsRequest::default()
    };
    let listed = call!(world, invitations.list_invitations, &acme.owner.session, request).unwrap().invitations;
    assert_eq!(listed.iter().map(|row| &row.invitation_id).collect::<Vec<_>>(), [&invitation.invitation_id]);
    assert!(acme.roster(&acme.owner.session).await.unwrap().iter().all(|row| row.email != "ada@example.com"));
    acme.invited_by(&acme.owner.session, "ada@example.com", &["member"]).await;
    assert_refused(decline(&world, &format!("rin_{}", "A".repeat(43))).await, Code::NotFound, "INVITATION_NOT_FOUND");
}
