//! Invitations answered in the application, without the mail: by whoever has the invited address, verified.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    AcceptInvitationRequest, AcceptInvitationResponse, CreateUserRequest, DeclineInvitationRequest,
    DeclineInvitationResponse, InvitationState, ListUserInvitationsRequest, SignUp,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, assert_invalid, assert_refused, call, create_user, new_user, settled, sign_in,
    traces,
};
use crate::support::world::World;

async fn accept(world: &World, session: &str, invitation_id: &str) -> Result<AcceptInvitationResponse, Status> {
    let request = AcceptInvitationRequest { invitation_id: invitation_id.to_owned(), ..Default::default() };
    call!(world, invitations.accept_invitation, session, request)
}

async fn decline(world: &World, session: &str, invitation_id: &str) -> Result<DeclineInvitationResponse, Status> {
    let request = DeclineInvitationRequest { invitation_id: invitation_id.to_owned(), ..Default::default() };
    call!(world, invitations.decline_invitation, session, request)
}

/// Somebody who is signed in sees what waits for them and answers it: the one is accepted, the other declined, and the links in the mails are dead afterwards.
#[wire_test]
async fn a_person_answers_without_the_mail(world: World) {
    let acme = Scenario::acme(&world).await;
    let team = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    let ada = create_user(&world, "ada@example.com").await;
    let (first, link) = acme.invited_by(&acme.owner.session, "Ada@Example.com", &["admin"]).await;
    let (second, other_link) = team.invited_by(&team.owner.session, "ada@example.com", &["member"]).await;
    let request = ListUserInvitationsRequest { user_id: ada.user_id.clone(), ..ListUserInvitationsRequest::default() };
    let waiting = call!(world, invitations.list_user_invitations, &ada.session, request).unwrap().invitations;
    let mut ids: Vec<&str> = waiting.iter().map(|one| one.invitation_id.as_str()).collect();
    ids.sort_unstable();
    let mut expected = [first.invitation_id.as_str(), second.invitation_id.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let accepted = accept(&world, &ada.session, &first.invitation_id).await.unwrap();
    assert_eq!((&accepted.user_id, &accepted.roles), (&ada.user_id, &vec!["admin".to_owned()]));
    assert_eq!(accepted.session_token, "");
    assert_eq!(acme.row(&acme.owner.session, &ada.email).await.roles, ["admin"]);
    let again = accept(&world, &ada.session, &first.invitation_id).await;
    assert_refused(again, Code::FailedPrecondition, "INVITATION_ALREADY_USED");
    assert_refused(accept_as(&world, &ada.session, &link).await, Code::FailedPrecondition, "INVITATION_ALREADY_USED");
    let declined = decline(&world, &ada.session, &second.invitation_id).await.unwrap().invitation.unwrap();
    assert_eq!(declined.state(), InvitationState::Declined);
    let dead = accept_as(&world, &ada.session, &other_link).await;
    assert_refused(dead, Code::FailedPrecondition, "INVITATION_DECLINED");
    settled(&world).await;
}

/// An id is no secret: to anybody but the verified owner of the address, the invitation does not exist. Whose address is not verified is told so before anything is looked up, as the same for an invitation that
/// there never was.
#[wire_test]
async fn an_id_opens_nothing_to_others(world: World) {
    let acme = Scenario::acme(&world).await;
    let (invitation, _) = acme.invited_by(&acme.owner.session, "ada@example.com", &["admin"]).await;
    let mallory = create_user(&world, "mallory@example.com").await;
    let request = CreateUserRequest { email_verified: false, ..new_user("ada@example.com") };
    world.users().create_user(world.as_operator(request)).await.unwrap();
    let unverified = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    let nobodys = "01a2154d-d5fb-70d3-a719-4454bd6a9d59";
    settled(&world).await;
    let before = traces(&world).await;
    for id in [invitation.invitation_id.as_str(), nobodys] {
        for credential in [&*mallory.session, &*acme.owner.session] {
            assert_refused(accept(&world, credential, id).await, Code::NotFound, "INVITATION_NOT_FOUND");
            assert_refused(decline(&world, credential, id).await, Code::NotFound, "INVITATION_NOT_FOUND");
        }
        assert_refused(accept(&world, &unverified, id).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
        assert_refused(decline(&world, &unverified, id).await, Code::PermissionDenied, "EMAIL_UNVERIFIED");
        let key = world.operator_key();
        assert_refused(accept(&world, key, id).await, Code::Unauthenticated, "CREDENTIALS_MISSING");
        assert_refused(decline(&world, key, id).await, Code::Unauthenticated, "CREDENTIALS_MISSING");
    }
    let both = AcceptInvitationRequest {
        token: "rin_x".to_owned(),
        invitation_id: nobodys.to_owned(),
        ..AcceptInvitationRequest::default()
    };
    assert_invalid(call!(world, invitations.accept_invitation, &mallory.session, both), &["token"]);
    let anew = AcceptInvitationRequest {
        invitation_id: nobodys.to_owned(),
        sign_up: Some(SignUp { given_name: "Ada".to_owned(), password: PASSWORD.to_owned(), ..SignUp::default() }),
        ..AcceptInvitationRequest::default()
    };
    assert_invalid(call!(world, invitations.accept_invitation, &mallory.session, anew), &["sign_up"]);
    let neither = AcceptInvitationRequest::default();
    assert_invalid(call!(world, invitations.accept_invitation, &mallory.session, neither), &["token"]);
    assert_eq!(traces(&world).await, before);
}
