//! What others get to see of a person: of accounts that they only try out, in an organization's record, and by a link.

mod records;

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use crate::contract::before_and_after::{last, says};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    ActivateOrganizationRequest, ActivateUserRequest, BatchCreateInvitationsRequest, CreateInvitationRequest,
    CreateMemberRequest, CreateOrganizationRequest, DeclineInvitationRequest, DeleteOrganizationRequest,
    DeleteUserRequest, Founder, Invitation, InvitationState, Member, NewInvitation, NewUser, OrganizationState,
    SuspendOrganizationRequest, SuspendUserRequest, UndeleteOrganizationRequest, UndeleteUserRequest,
    UpdateMemberRequest, UserState, invitation_result,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, assert_refused, call, create_user, settled, sign_in, texts, traces,
};
use crate::support::world::World;

/// What stands in a column of text, all rows together.
async fn written(world: &World, query: &str) -> String {
    let connection = world.database();
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    let texts = rows.iter().map(|row| row.try_get::<String>("", "data").unwrap());
    texts.collect::<Vec<_>>().join("\n")
}

/// An invitation without what differs between any two.
fn plain(invitation: Option<Invitation>) -> Invitation {
    Invitation { invitation_id: String::new(), email: String::new(), ..invitation.unwrap() }
}

/// ab_40: whoever only tries out whether somebody could be invited or created is not told whether the address has an account, nor whether a username is somebody's.
#[wire_test]
async fn ab_40_trying_out_tells_nobody_who_has_an_account(world: World) {
    let acme = Scenario::acme(&world).await;
    let fabric = Scenario::with(&world, "packetfabric", "customer", "admin@example.com").await;
    let known = create_user(&world, "known@example.com").await;
    let named = CreateMemberRequest {
        organization_id: fabric.organization_id.clone(),
        email: "ada@example.com".to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        roles: texts(&["regular"]),
        username: "ada".to_owned(),
        ..Default::default()
    };
    let stranger = Scenario::with(&world, "packetfabric", "customer", "stranger@example.com").await;
    call!(world, members.create_member, &fabric.owner.session, named.clone()).unwrap();
    let member = stranger.create(&stranger.owner.session, "eve@example.com", &["regular"]).await.unwrap();
    let before = traces(&world).await;

    let mut invited = Vec::new();
    for email in [known.email.as_str(), "nobody@example.com"] {
        let request = CreateInvitationRequest {
            organization_id: acme.organization_id.clone(),
            email: email.to_owned(),
            validate_only: true,
            ..Default::default()
        };
        invited
            .push(plain(call!(world, invitations.create_invitation, &acme.owner.session, request).unwrap().invitation));
        let one = NewInvitation { email: email.to_owned(), ..Default::default() };
        let request = BatchCreateInvitationsRequest {
            organization_id: acme.organization_id.clone(),
            invitations: vec![one],
            validate_only: true,
            ..Default::default()
        };
        let results = call!(world, invitations.batch_create_invitations, &acme.owner.session, request).unwrap().results;
        let Some(invitation_result::Outcome::Invitation(invitation)) = results[0].outcome.clone() else {
            panic!("{results:?}")
        };
        invited.push(plain(Some(invitation)));
        let founder = Founder { email: email.to_owned(), ..Default::default() };
        let request = CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            owner: Some(Owner::Founder(founder)),
            validate_only: true,
            ..Default::default()
        };
        let founded = call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
        assert!(!founded.invitation.unwrap().user_created);
        let owner = NewUser {
            email: email.to_owned(),
            given_name: "Given".to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let request = CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            owner: Some(Owner::NewOwner(owner)),
            validate_only: true,
            ..Default::default()
        };
        call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
    }
    assert!(invited.iter().all(|one| !one.user_created && *one == invited[0]), "{invited:?}");

    let mut created = Vec::new();
    for (email, username) in [
        ("known@example.com", "free"),
        ("nobody@example.com", "free"),
        ("nobody@example.com", "ada"),
        ("ada@example.com", "ada"),
    ] {
        let request = CreateMemberRequest {
            organization_id: stranger.organization_id.clone(),
            email: email.to_owned(),
            username: username.to_owned(),
            validate_only: true,
            ..named.clone()
        };
        let member = call!(world, members.create_member, &stranger.owner.session, request).unwrap().member.unwrap();
        assert_eq!((member.email.as_str(), member.username.as_str()), (email, username));
        created.push(Member { user_id: String::new(), email: String::new(), username: String::new(), ..member });
    }
    assert!(created.iter().all(|one| *one == created[0]), "{created:?}");
    for username in ["ada", "free"] {
        let values = Member {
            organization_id: stranger.organization_id.clone(),
            user_id: member.user_id.clone(),
            username: username.to_owned(),
            ..Default::default()
        };
        let request = UpdateMemberRequest { member: Some(values), validate_only: true, ..Default::default() };
        assert_eq!(
            call!(world, members.update_member, &stranger.owner.session, request).unwrap().member.unwrap().username,
            username
        );
    }
    assert_eq!(traces(&world).await, before);
    // What is no secret to the caller is still told: who belongs to the own organization, and that it does not work when it is meant.
    let own = CreateMemberRequest {
        organization_id: stranger.organization_id.clone(),
        email: "eve@example.com".to_owned(),
        validate_only: true,
        ..named.clone()
    };
    assert_refused(
        call!(world, members.create_member, &stranger.owner.session, own),
        tonic::Code::AlreadyExists,
        "ALREADY_MEMBER",
    );
    let meant = CreateMemberRequest { organization_id: stranger.organization_id.clone(), ..named };
    assert_refused(
        call!(world, members.create_member, &stranger.owner.session, meant),
        tonic::Code::AlreadyExists,
        "ACCOUNT_EXISTS",
    );
}

/// ab_38: what was suspended before it was deleted is suspended when it comes back; activating is a step of its own.
#[wire_test]
async fn ab_38_deleting_lifts_no_suspension(world: World) {
    let acme = Scenario::acme(&world).await;
    let key = world.operator_key();
    let id = || acme.organization_id.clone();
    call!(
        world,
        organizations.suspend_organization,
        key,
        SuspendOrganizationRequest { organization_id: id(), ..Default::default() }
    )
    .unwrap();
    // Twice: the second deletion has nothing to do, and forgets nothing.
    for _ in 0..2 {
        call!(
            world,
            organizations.delete_organization,
            key,
            DeleteOrganizationRequest { organization_id: id(), ..Default::default() }
        )
        .unwrap();
    }
    let undelete = || UndeleteOrganizationRequest { organization_id: id(), ..Default::default() };
    let back = call!(world, organizations.undelete_organization, key, undelete()).unwrap().organization.unwrap();
    assert_eq!((back.state(), back.delete_time), (OrganizationState::Suspended, None));
    says(&last(&acme).await, "organization.undeleted", "", json!("deleted"), json!("suspended"));
    assert_refused(acme.roster(&acme.owner.session).await, tonic::Code::FailedPrecondition, "ORGANIZATION_SUSPENDED");
    call!(
        world,
        organizations.activate_organization,
        key,
        ActivateOrganizationRequest { organization_id: id(), ..Default::default() }
    )
    .unwrap();
    acme.roster(&acme.owner.session).await.unwrap();
    call!(
        world,
        organizations.delete_organization,
        key,
        DeleteOrganizationRequest { organization_id: id(), ..Default::default() }
    )
    .unwrap();
    let back = call!(world, organizations.undelete_organization, key, undelete()).unwrap().organization.unwrap();
    assert_eq!(back.state(), OrganizationState::Active);

    let ada = create_user(&world, "ada@example.com").await;
    let user_id = || ada.user_id.clone();
    call!(world, users.suspend_user, key, SuspendUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    call!(world, users.delete_user, key, DeleteUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    let back = call!(world, users.undelete_user, key, UndeleteUserRequest { user_id: user_id(), ..Default::default() })
        .unwrap()
        .user
        .unwrap();
    assert_eq!((back.state(), back.delete_time), (UserState::Suspended, None));
    assert_refused(sign_in(&world, &ada.email, PASSWORD).await, tonic::Code::Unauthenticated, "SIGN_IN_FAILED");
    call!(world, users.activate_user, key, ActivateUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    sign_in(&world, &ada.email, PASSWORD).await.unwrap();
    call!(world, users.delete_user, key, DeleteUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    let back = call!(world, users.undelete_user, key, UndeleteUserRequest { user_id: user_id(), ..Default::default() })
        .unwrap()
        .user
        .unwrap();
    assert_eq!(back.state(), UserState::Active);
}

/// ab_52: whoever holds a link is shown of the invitation, by declining and by accepting it, what its preview shows and what they have done themselves.
#[wire_test]
async fn ab_52_a_link_shows_its_preview_and_no_more(world: World) {
    let acme = Scenario::acme(&world).await;
    let invite = async |email: &str| {
        let request = CreateInvitationRequest {
            organization_id: acme.organization_id.clone(),
            email: email.to_owned(),
            roles: texts(&["member"]),
            locale: "de".to_owned(),
            given_name: "Ada".to_owned(),
            family_name: "King".to_owned(),
            ..Default::default()
        };
        let sent =
            call!(world, invitations.create_invitation, &acme.owner.session, request).unwrap().invitation.unwrap();
        let token = world.mailbox.wait_for(email, 1).await[0].invitation_token();
        settled(&world).await;
        (sent, token)
    };
    let previewed = |sent: &Invitation, state: InvitationState| Invitation {
        organization_id: acme.organization_id.clone(),
        email: sent.email.clone(),
        given_name: "Ada".to_owned(),
        family_name: "King".to_owned(),
        state: state.into(),
        expire_time: sent.expire_time,
        ..Default::default()
    };
    let (sent, token) = invite("declining@example.com").await;
    assert!(!sent.inviter_user_id.is_empty());
    let answer = world
        .invitations()
        .decline_invitation(DeclineInvitationRequest { token, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.invitation.unwrap(), previewed(&sent, InvitationState::Declined));
    assert_eq!(answer.organization_id, acme.organization_id);

    let (sent, token) = invite("new@example.com").await;
    let accepted = crate::support::scenario::accept_as_new(&world, &token, "Ada").await.unwrap();
    let invitation = accepted.invitation.unwrap();
    let own = Invitation {
        accepted_user_id: accepted.user_id,
        accept_time: invitation.accept_time,
        signup_completed: true,
        user_created: true,
        ..previewed(&sent, InvitationState::Accepted)
    };
    assert_eq!((invitation.accept_time.is_some(), &invitation), (true, &own));

    let known = create_user(&world, "known@example.com").await;
    let (sent, token) = invite("known@example.com").await;
    let accepted = accept_as(&world, &known.session, &token).await.unwrap();
    let invitation = accepted.invitation.unwrap();
    let own = Invitation {
        accepted_user_id: known.user_id,
        accept_time: invitation.accept_time,
        user_created: true,
        ..previewed(&sent, InvitationState::Accepted)
    };
    assert_eq!(invitation, own);
}
