//! Accounts that are suspended, deleted and brought back, and profiles that people change themselves.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{
    ActivateOrganizationRequest, ActivateUserRequest, BatchGetUsersRequest, CheckPermissionRequest,
    CreateInvitationRequest, Decision, DeleteOrganizationRequest, DeleteUserRequest, GetUserRequest, MemberAction,
    MemberState, SuspendOrganizationRequest, SuspendUserRequest, UndeleteOrganizationRequest, UndeleteUserRequest,
    User, UserState,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as, assert_refused, call, create_user, sign_in, texts,
};
use crate::support::world::World;

/// Requests that name a user and nothing else.
macro_rules! on_user {
    ($($name:ident($request:ident);)*) => {
        $(async fn $name(world: &World, user_id: &str) -> Result<User, tonic::Status> {
            let request = $request { user_id: user_id.to_owned(), ..$request::default() };
            call!(world, users.$name, world.operator_key(), request).map(|answer| answer.user.unwrap())
        })*
    };
}

mod profiles;

use profiles::profile;

on_user! {
    suspend_user(SuspendUserRequest);
    activate_user(ActivateUserRequest);
    delete_user(DeleteUserRequest);
    undelete_user(UndeleteUserRequest);
}

async fn delete_organization(world: &World, scenario: &Scenario) {
    let request = DeleteOrganizationRequest {
        organization_id: scenario.organization_id.clone(),
        ..DeleteOrganizationRequest::default()
    };
    call!(world, organizations.delete_organization, world.operator_key(), request).unwrap();
}

async fn undelete_organization(world: &World, scenario: &Scenario) {
    let request = UndeleteOrganizationRequest {
        organization_id: scenario.organization_id.clone(),
        ..UndeleteOrganizationRequest::default()
    };
    call!(world, organizations.undelete_organization, world.operator_key(), request).unwrap();
}

/// Somebody with a second owner beside them.
async fn second_owner(acme: &Scenario) -> Person {
    acme.join("second@example.com", &["owner"]).await
}

/// ab_24: a suspended account is out everywhere at once, on every server, and comes back by a new sign-in only.
#[wire_test]
async fn ab_24_a_suspended_account_is_out_everywhere(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["admin"]).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    other.join_existing(&ada, &["member"]).await;
    let replica = world.second_server().await;
    let user = suspend_user(&world, &ada.user_id).await.unwrap();
    assert_eq!(user.state(), UserState::Suspended);
    for channel in [world.channel(), replica.channel()] {
        let mut users = crate::support::pb::user_service_client::UserServiceClient::new(channel);
        let request = world.as_session(&ada.session, GetUserRequest { user_id: ada.user_id.clone() });
        assert_refused(users.get_user(request).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
    assert!(!acme.may(&ada.user_id, "members.read").await && !other.may(&ada.user_id, "members.read").await);
    assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_refused(suspend_user(&world, &ada.user_id).await, Code::FailedPrecondition, "USER_STATE_CONFLICT");
    activate_user(&world, &ada.user_id).await.unwrap();
    assert_refused(acme.roster(&ada.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    acme.roster(&session).await.unwrap();
    assert!(acme.may(&ada.user_id, "members.invite").await);
}

/// ab_24: who comes back, by an invitation or by being restored, comes back with a session from after their removal: one from before is dead in that organization, accepts no
/// invitation to it, and goes on in the others.
#[wire_test]
async fn ab_24_coming_back_revives_no_old_session(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let ada = acme.join("ada@example.com", &["admin"]).await;
    acme.join_elsewhere(&ada).await;
    let second = Duration::from_secs(1);
    world.clock.advance(second);
    // Somebody else's by now, perhaps.
    let lost = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    world.clock.advance(second);
    acme.remove(owner, &ada.user_id).await.unwrap();
    world.clock.advance(second);
    let present = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    let token = acme.invited(&ada.email, &["admin"]).await;
    for old in [&ada.session, &lost] {
        assert_refused(accept_as(&world, old, &token).await, Code::Unauthenticated, "SESSION_OUTDATED");
    }
    accept_as(&world, &present, &token).await.unwrap();
    acme.roster(&present).await.unwrap();
    for old in [&ada.session, &lost] {
        let refused = assert_refused(acme.roster(old).await, Code::Unauthenticated, "SESSION_OUTDATED");
        assert_eq!(refused.hint(), "sign in again");
        assert_refused(acme.leave(old).await, Code::Unauthenticated, "SESSION_OUTDATED");
    }

    acme.remove(owner, &ada.user_id).await.unwrap();
    world.clock.advance(second);
    acme.restore(owner, &ada.user_id).await.unwrap();
    for old in [&ada.session, &present] {
        assert_refused(acme.roster(old).await, Code::Unauthenticated, "SESSION_OUTDATED");
        let request = GetUserRequest { user_id: ada.user_id.clone() };
        call!(world, users.get_user, old, request).unwrap();
    }
    world.clock.advance(second);
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    acme.roster(&session).await.unwrap();
}

/// ab_24: a demotion, a suspension and a removal hold with the next call, on the server that made them and on another one, and so does the suspension of the organization.
#[wire_test]
async fn ab_24_what_is_taken_away_is_gone_on_every_server(world: World) {
    let acme = Scenario::acme(&world).await;
    let (replica, owner) = (world.second_server().await, &acme.owner.session);
    let ada = acme.join("ada@example.com", &["admin"]).await;
    // What happens here must not end the session itself: it is good elsewhere, and for nothing here.
    acme.join_elsewhere(&ada).await;
    let invite = async |session: &str, reason: Option<(Code, &str)>| {
        let request = CreateInvitationRequest {
            organization_id: acme.organization_id.clone(),
            email: "cy@example.com".to_owned(),
            roles: texts(&["member"]),
            validate_only: true,
            ..CreateInvitationRequest::default()
        };
        let check = CheckPermissionRequest {
            organization_id: acme.organization_id.clone(),
            user_id: ada.user_id.clone(),
            permission: "members.invite".to_owned(),
            ..Default::default()
        };
        let answers = [
            call!(world, invitations.create_invitation, session, request.clone()),
            call!(replica, invitations.create_invitation, session, request),
        ];
        let decisions = [
            call!(world, permissions.check_permission, world.operator_key(), check.clone()),
            call!(replica, permissions.check_permission, world.operator_key(), check),
        ];
        for (answer, decision) in answers.into_iter().zip(decisions) {
            let allowed = decision.unwrap().decision() == Decision::Allow;
            match reason {
                None => assert!(allowed && answer.is_ok(), "{answer:?}"),
                Some((code, reason)) => drop(assert_refused(answer, code, reason)),
            }
            // Who comes back may do it by a new session alone, and is told so.
            assert_eq!(allowed, reason.is_none_or(|(_, reason)| reason == "SESSION_OUTDATED"));
        }
    };
    let session = ada.session.as_str();
    invite(session, None).await;
    acme.set_roles(owner, &ada.user_id, &["member"]).await.unwrap();
    invite(session, Some((Code::PermissionDenied, "PERMISSION_REQUIRED"))).await;
    acme.set_roles(owner, &ada.user_id, &["admin"]).await.unwrap();
    invite(session, None).await;
    acme.suspend(owner, &ada.user_id).await.unwrap();
    invite(session, Some((Code::PermissionDenied, "PERMISSION_REQUIRED"))).await;
    world.clock.advance(Duration::from_secs(1));
    acme.activate(owner, &ada.user_id).await.unwrap();
    invite(session, Some((Code::Unauthenticated, "SESSION_OUTDATED"))).await;
    world.clock.advance(Duration::from_secs(1));
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    invite(&session, None).await;
    let suspension = SuspendOrganizationRequest {
        organization_id: acme.organization_id.clone(),
        ..SuspendOrganizationRequest::default()
    };
    call!(world, organizations.suspend_organization, world.operator_key(), suspension).unwrap();
    invite(&session, Some((Code::FailedPrecondition, "ORGANIZATION_SUSPENDED"))).await;
    let activation = ActivateOrganizationRequest {
        organization_id: acme.organization_id.clone(),
        ..ActivateOrganizationRequest::default()
    };
    call!(world, organizations.activate_organization, world.operator_key(), activation).unwrap();
    invite(&session, None).await;
    acme.remove(owner, &ada.user_id).await.unwrap();
    invite(&session, Some((Code::NotFound, "ORGANIZATION_NOT_FOUND"))).await;
}

/// cp_09: an account that is the last active owner of an organization is neither suspended nor deleted; the refusal names the organizations.
#[wire_test]
async fn cp_09_an_owners_account_stays_until_there_is_another(world: World) {
    let acme = Scenario::under(&world, "portal").await;
    let owner = &acme.owner.user_id;
    for answer in [suspend_user(&world, owner).await, delete_user(&world, owner).await] {
        let refused = assert_refused(answer, Code::FailedPrecondition, "LAST_OWNER");
        assert_eq!(refused.metadata["organization_ids"], acme.organization_id);
        assert_eq!(refused.metadata["hint"], "give these organizations another owner, or delete them, first");
    }
    let second = second_owner(&acme).await;
    suspend_user(&world, owner).await.unwrap();
    // A suspended account owns nothing that counts.
    assert_refused(
        acme.set_roles(&second.session, &second.user_id, &["manager"]).await,
        Code::FailedPrecondition,
        "LAST_OWNER",
    );
    assert_refused(acme.leave(&second.session).await, Code::FailedPrecondition, "LAST_OWNER");
    activate_user(&world, owner).await.unwrap();
    acme.leave(&second.session).await.unwrap();
}

/// An owner whose account is out of use counts for nothing, and so the one owner who is left may demote, suspend or remove them.
#[wire_test]
async fn an_owner_out_of_use_can_be_taken_away(world: World) {
    let acme = Scenario::acme(&world).await;
    let (second, owner) = (second_owner(&acme).await, &acme.owner.user_id);
    suspend_user(&world, owner).await.unwrap();
    let offered = acme.row(&second.session, &acme.owner.email).await.allowed_actions;
    for action in [MemberAction::SetRoles, MemberAction::Suspend, MemberAction::Remove] {
        assert!(offered.contains(&action.into()), "{action:?} of {offered:?}");
    }
    acme.suspend(&second.session, owner).await.unwrap();
    acme.activate(&second.session, owner).await.unwrap();
    acme.set_roles(&second.session, owner, &["admin"]).await.unwrap();
    acme.set_roles(&second.session, owner, &["owner"]).await.unwrap();
    acme.remove(&second.session, owner).await.unwrap();
    assert_eq!(acme.active_holders("owner").await, [second.email.as_str()]);
    assert_refused(acme.leave(&second.session).await, Code::FailedPrecondition, "LAST_OWNER");
}

/// An account that is deleted leaves deleted organizations too: it is no member of them when they come back, and not when it comes back itself.
#[wire_test]
async fn a_deleted_account_leaves_deleted_organizations_too(world: World) {
    let acme = Scenario::acme(&world).await;
    let (ada, bob) = (acme.join("ada@example.com", &["admin"]).await, acme.join("bob@example.com", &["member"]).await);
    delete_organization(&world, &acme).await;
    delete_user(&world, &ada.user_id).await.unwrap();
    let renamed = User { user_id: bob.user_id.clone(), display_name: "Zed".to_owned(), ..User::default() };
    profile(&world, &bob.session, &["display_name"], renamed).await.unwrap();
    undelete_organization(&world, &acme).await;
    let roster = acme.roster(&acme.owner.session).await.unwrap();
    // Whoever got another name meanwhile stands where that name belongs.
    assert_eq!(roster.iter().map(|row| row.display_name.as_str()).collect::<Vec<_>>(), ["owner", "Zed"]);
    assert_eq!(acme.row_of(&acme.owner.session, &ada.user_id).await.state(), MemberState::Removed);
    undelete_user(&world, &ada.user_id).await.unwrap();
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    assert_refused(acme.roster(&session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// Who is suspended as a member does not keep an organization from coming back whose other owner is gone: what keeps it away is an owner who would count but for their account.
#[wire_test]
async fn a_suspended_owner_keeps_no_organization_away(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["owner"]).await;
    acme.suspend(&bob.session, &acme.owner.user_id).await.unwrap();
    delete_organization(&world, &acme).await;
    delete_user(&world, &bob.user_id).await.unwrap();
    undelete_organization(&world, &acme).await;
    assert!(acme.active_holders("owner").await.is_empty());
    acme.activate(world.operator_key(), &acme.owner.user_id).await.unwrap();
    assert_eq!(acme.active_holders("owner").await, [acme.owner.email.as_str()]);
}

/// A deleted account gets no membership back while it is gone, and none by coming back; nobody is shown that they could restore it.
#[wire_test]
async fn a_deleted_account_is_not_restored(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["admin"]).await;
    delete_user(&world, &ada.user_id).await.unwrap();
    let row = acme.row_of(&acme.owner.session, &ada.user_id).await;
    assert!(!row.allowed_actions.contains(&MemberAction::Restore.into()));
    let refused = assert_refused(
        acme.restore(&acme.owner.session, &ada.user_id).await,
        Code::FailedPrecondition,
        "USER_STATE_CONFLICT",
    );
    assert_eq!(
        (refused.metadata["state"].as_str(), refused.metadata["hint"].as_str()),
        ("DELETED", "undelete the account first")
    );
    undelete_user(&world, &ada.user_id).await.unwrap();
    assert_eq!(acme.row_of(&acme.owner.session, &ada.user_id).await.state(), MemberState::Removed);
    acme.restore(&acme.owner.session, &ada.user_id).await.unwrap();
}

/// A deleted organization is nowhere to belong: it keeps nobody's names from being edited, no session alive, and lets nobody sign in whom a product keeps out (jp_18).
#[wire_test]
async fn a_deleted_organization_is_nowhere_to_belong(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let jetpack = Scenario::with(&world, "jetpack", "", "jetpack@example.com").await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    for elsewhere in [&other, &jetpack] {
        elsewhere
            .join_existing(
                &ada,
                &[if elsewhere.organization_id == other.organization_id { "member" } else { "client_admin" }],
            )
            .await;
    }
    delete_organization(&world, &other).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(acme.row(&acme.owner.session, &ada.email).await.allowed_actions.contains(&MemberAction::Update.into()));
    let named = crate::support::pb::Member { given_name: "Ada".to_owned(), ..Default::default() };
    acme.edit(&acme.owner.session, &ada.user_id, None, named).await.unwrap();
    acme.remove(&acme.owner.session, &ada.user_id).await.unwrap();
    let request = GetUserRequest { user_id: ada.user_id.clone() };
    assert_refused(call!(world, users.get_user, &ada.session, request), Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(sign_in(&world, &ada.email, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    undelete_organization(&world, &other).await;
    sign_in(&world, &ada.email, PASSWORD).await.unwrap();
}

/// A deleted account leaves every organization, its name stays with what it did, and its address is free for a new one; undeleting gives the account back,
/// without its memberships, while nobody has taken the address.
#[wire_test]
async fn a_deleted_account_leaves_its_address(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["admin"]).await;
    let deleted = delete_user(&world, &ada.user_id).await.unwrap();
    assert!(deleted.state() == UserState::Deleted && deleted.delete_time.is_some());
    assert_refused(acme.roster(&ada.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let removed = acme.rows(&acme.owner.session, &[MemberState::Removed]).await;
    assert_eq!(removed.iter().map(|row| row.email.as_str()).collect::<Vec<_>>(), ["ada@example.com"]);
    undelete_user(&world, &ada.user_id).await.unwrap();
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    assert_refused(acme.roster(&session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    delete_user(&world, &ada.user_id).await.unwrap();
    let newer = create_user(&world, "ada@example.com").await;
    assert_ne!(newer.user_id, ada.user_id);
    let refused = assert_refused(undelete_user(&world, &ada.user_id).await, Code::AlreadyExists, "EMAIL_TAKEN");
    assert_eq!(refused.hint(), "give the account that has the address another one first");
    let request = BatchGetUsersRequest {
        user_ids: vec![newer.user_id.clone(), uuid::Uuid::now_v7().to_string(), ada.user_id.clone()],
    };
    let both = call!(world, users.batch_get_users, world.operator_key(), request).unwrap().users;
    assert_eq!(
        both.iter().map(|user| (user.user_id.clone(), user.state())).collect::<Vec<_>>(),
        [(newer.user_id, UserState::Active), (ada.user_id, UserState::Deleted)]
    );
}
