//! A fulfilment dashboard: four roles, invitations in the list, removal for good.

mod credentials;
mod removal;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::mfa::guard;
use crate::services::organizations::activity::{listed, of, report, send};
use crate::support::pb::{
    AcceptInvitationRequest, ActivityKind, CreateInvitationRequest, CreateRoleRequest, GetMemberRequest,
    GetUserRequest, ListMfaFactorsRequest, Member, MemberAction, PreviewInvitationRequest, ResendInvitationRequest,
    SignUp, UpdateUserRequest, User,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as_new, assert_invalid, assert_refused, call, service_key, sign_in, texts, time,
};
use crate::support::world::World;

/// jp_04: an address that is in the account, or invited to it, is not added a second time.
#[wire_test]
async fn jp_04_an_address_is_in_the_account_once(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    jetpack.invite(owner, "ada@example.com", &["client_admin"]).await.unwrap();
    let again = jetpack.invite(owner, "Ada@Example.com", &["customer_success"]).await;
    assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
    let member = jetpack.invite(owner, &jetpack.owner.email, &["customer_success"]).await;
    assert_refused(member, Code::AlreadyExists, "ALREADY_MEMBER");
}

/// jp_04: whoever adds a user writes their first and last name, which the list shows and the invited person starts from.
#[wire_test]
async fn jp_04_adding_takes_first_and_last_name(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    let request = CreateInvitationRequest {
        organization_id: jetpack.organization_id.clone(),
        email: "ada@example.com".to_owned(),
        roles: texts(&["customer_success"]),
        given_name: "Ada".to_owned(),
        family_name: "King".to_owned(),
        ..CreateInvitationRequest::default()
    };
    let made = call!(world, invitations.create_invitation, owner, request).unwrap().invitation.unwrap();
    assert_eq!((made.given_name.as_str(), made.family_name.as_str()), ("Ada", "King"));
    // Between "Aaron" and "Given", although the address begins with neither name.
    jetpack.join("zoe@example.com", &["customer_success"]).await;
    let named = async || -> Vec<(String, String, String, String)> {
        let rows = jetpack.roster(owner).await.unwrap();
        rows.into_iter().map(|row| (row.display_name, row.given_name, row.family_name, row.status_label)).collect()
    };
    let row = |display: &str, given: &str, family: &str, label: &str| {
        (display.to_owned(), given.to_owned(), family.to_owned(), label.to_owned())
    };
    assert_eq!(named().await[0], row("Ada King", "Ada", "King", "Pending Invitation"));

    let token = world.mailbox.wait_for("ada@example.com", 1).await[0].invitation_token();
    let seen = world
        .invitations()
        .preview_invitation(PreviewInvitationRequest { token: token.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((seen.given_name.as_str(), seen.family_name.as_str()), ("Ada", "King"));
    let sign_up = SignUp {
        given_name: seen.given_name,
        family_name: seen.family_name,
        password: PASSWORD.to_owned(),
        ..SignUp::default()
    };
    let request = AcceptInvitationRequest { token, sign_up: Some(sign_up), ..AcceptInvitationRequest::default() };
    let accepted = world.invitations().accept_invitation(request).await.unwrap().into_inner();
    assert_eq!(named().await[0], row("Ada King", "Ada", "King", "Active"));
    let user = call!(world, users.get_user, &accepted.session_token, GetUserRequest { user_id: accepted.user_id })
        .unwrap()
        .user
        .unwrap();
    assert_eq!((user.given_name.as_str(), user.family_name.as_str()), ("Ada", "King"));
}

/// jp_02, jp_03: four roles and three statuses are what there is: not even the Account Owner makes a fifth role, or suspends.
#[wire_test]
async fn jp_02_roles_and_statuses_are_closed(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    for session in [owner, &ada.session] {
        let role = CreateRoleRequest {
            organization_id: jetpack.organization_id.clone(),
            role: "custom.x".to_owned(),
            display_name: "X".to_owned(),
            permissions: texts(&["orders.read"]),
            ..CreateRoleRequest::default()
        };
        let refused = assert_refused(
            call!(world, roles.create_role, session, role),
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
        assert_eq!(refused.metadata["permission"], "roles.manage");
        let refused =
            assert_refused(jetpack.suspend(session, &ada.user_id).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
        assert_eq!(refused.metadata["permission"], "members.suspend");
    }
}

/// jp_01: a user has an address and a password of their own, a role, a profile, and a history: of sign-ins, and of what they did in the dashboard. All of it is read
/// back, the history and the second factor by the person too.
#[wire_test]
async fn jp_01_a_user_has_a_profile_and_a_history(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    let sign_up = SignUp {
        given_name: "Ada".to_owned(),
        family_name: "King".to_owned(),
        password: PASSWORD.to_owned(),
        phone_number: "+44 20 7946 0018".to_owned(),
        ..SignUp::default()
    };
    let request = AcceptInvitationRequest { token, sign_up: Some(sign_up), ..AcceptInvitationRequest::default() };
    let accepted = world.invitations().accept_invitation(request).await.unwrap().into_inner();
    let ada =
        Person { user_id: accepted.user_id, email: "ada@example.com".to_owned(), session: accepted.session_token };
    world.clock.advance(Duration::from_secs(60));
    sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
    let dashboard = service_key(&world, &["activity.write"]).await;
    world.clock.advance(Duration::from_secs(60));
    send(&world, &dashboard, vec![report(&jetpack, &ada.user_id, 1, "orders.viewed", ("orders", 1))]).await;
    guard(&world, &ada).await;

    let user = call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() })
        .unwrap()
        .user
        .unwrap();
    assert_eq!(
        (user.email.as_str(), user.given_name.as_str(), user.family_name.as_str(), user.phone_number.as_str()),
        ("ada@example.com", "Ada", "King", "+442079460018")
    );
    let owner = &jetpack.owner.session;
    let request = GetMemberRequest { organization_id: jetpack.organization_id.clone(), user_id: ada.user_id.clone() };
    let member = call!(world, members.get_member, owner, request).unwrap().member.unwrap();
    assert_eq!(
        (&member.roles, member.has_signed_in, member.mfa_enabled, member.display_name.as_str()),
        (&texts(&["customer_success"]), true, true, "Ada King")
    );
    let factors = call!(
        world,
        credentials.list_mfa_factors,
        &ada.session,
        ListMfaFactorsRequest { user_id: ada.user_id.clone() }
    )
    .unwrap();
    assert_eq!((factors.mfa_factors.len(), factors.recovery_codes_left), (1, 10));
    let history = listed(&world, owner, of(&jetpack, &ada.user_id)).await;
    let kinds: Vec<ActivityKind> = history.iter().map(|one| one.kind()).collect();
    assert_eq!(kinds, [ActivityKind::Action, ActivityKind::SignIn, ActivityKind::SignIn]);
    assert_eq!((history[0].action.as_str(), history[0].summary.as_str()), ("orders.viewed", "Did orders.viewed"));
    assert!(history.iter().all(|one| one.user_display_name == "Ada King" && one.time.is_some()));
    assert_eq!(listed(&world, &ada.session, of(&jetpack, &ada.user_id)).await, history);
    assert_refused(
        call!(world, activity.list_activity, &ada.session, of(&jetpack, &jetpack.owner.user_id)),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
}

/// jp_01, jp_06: contact information is part of the profile that a person sets up with the account, and theirs to change.
#[wire_test]
async fn jp_01_contact_information_is_set_up_by_the_person(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    let sign_up = |phone_number: &str| AcceptInvitationRequest {
        token: token.clone(),
        sign_up: Some(SignUp {
            given_name: "Ada".to_owned(),
            password: PASSWORD.to_owned(),
            phone_number: phone_number.to_owned(),
            ..SignUp::default()
        }),
        ..AcceptInvitationRequest::default()
    };
    assert_invalid(world.invitations().accept_invitation(sign_up("020 7946 0018")).await, &["sign_up.phone_number"]);
    let accepted = world.invitations().accept_invitation(sign_up("+44 20 7946 0018")).await.unwrap().into_inner();
    let user = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, user).unwrap().user.unwrap();
    assert_eq!(user.phone_number, "+442079460018");
    for (number, kept) in [("+1 (212) 555-0100", "+12125550100"), ("", "")] {
        let request = UpdateUserRequest {
            user: Some(User { user_id: accepted.user_id.clone(), phone_number: number.to_owned(), ..User::default() }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["phone_number"]) }),
            ..UpdateUserRequest::default()
        };
        assert!(call!(world, users.update_user, &jetpack.owner.session, request.clone()).is_err());
        let user = call!(world, users.update_user, &accepted.session_token, request).unwrap().user.unwrap();
        assert_eq!((user.phone_number.as_str(), user.given_name.as_str()), (kept, "Ada"));
    }
}

/// jp_17: last login, status and role show who uses the dashboard; the last login moves with each sign-in.
#[wire_test]
async fn jp_17_last_login_status_and_role_are_shown(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
    jetpack.invite(&jetpack.owner.session, "bob@example.com", &["client_admin"]).await.unwrap();
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3600));
        sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
        let roster = jetpack.roster(&jetpack.owner.session).await.unwrap();
        let row = roster.iter().find(|row| row.user_id == ada.user_id).unwrap();
        assert_eq!((row.status_label.as_str(), &row.roles), ("Active", &texts(&["customer_success"])));
        assert_eq!(time(row.last_sign_in_time.as_ref()), world.clock.now());
        let pending = roster.iter().find(|row| row.email == "bob@example.com").unwrap();
        assert_eq!(
            (pending.status_label.as_str(), &pending.roles, pending.last_sign_in_time),
            ("Pending Invitation", &texts(&["client_admin"]), None)
        );
    }
}

/// jp_09: an administrator edits first name, last name and role of a member.
#[wire_test]
async fn jp_09_an_administrator_edits_names_and_role(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let admin = jetpack.join("admin@example.com", &["client_admin"]).await;
    let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
    let names = Member { given_name: "Ada".to_owned(), family_name: "King".to_owned(), ..Member::default() };
    let edited = jetpack.edit(&admin.session, &ada.user_id, None, names).await.unwrap();
    assert_eq!((edited.given_name.as_str(), edited.display_name.as_str()), ("Ada", "Ada King"));
    jetpack.set_roles(&admin.session, &ada.user_id, &["customer_success_supply_chain"]).await.unwrap();
    let row = jetpack.row(&jetpack.owner.session, "ada@example.com").await;
    assert_eq!((row.family_name.as_str(), &row.roles[..]), ("King", &["customer_success_supply_chain".to_owned()][..]));
    // The list is by name, also after the name has changed.
    let zoe = Member { given_name: "Zoë".to_owned(), ..Member::default() };
    jetpack.edit(&admin.session, &ada.user_id, None, zoe).await.unwrap();
    let last = jetpack.roster(&admin.session).await.unwrap().pop().unwrap();
    assert_eq!(last.email, "ada@example.com");
}

/// jp_07: while the invitation is pending it is resent: the roster goes on to say so, the first link is dead, and the second one lets the person in.
#[wire_test]
async fn jp_07_a_pending_invitation_is_resent(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let jetpack = Scenario::under(&world, "jetpack").await;
    let admin = jetpack.join("admin@example.com", &["client_admin"]).await;
    let (invitation, first) = jetpack.invited_by(&admin.session, "ada@example.com", &["customer_success"]).await;
    let pending = jetpack.row(&admin.session, "ada@example.com").await;
    assert_eq!(
        pending.allowed_actions().collect::<Vec<_>>(),
        [MemberAction::ResendInvitation, MemberAction::RevokeInvitation]
    );
    world.clock.advance(Duration::from_secs(3600));
    let request = ResendInvitationRequest {
        organization_id: jetpack.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, &admin.session, request).unwrap();
    let second = world.mailbox.wait_for("ada@example.com", 2).await[1].invitation_token();
    let row = jetpack.row(&admin.session, "ada@example.com").await;
    assert_eq!(
        (row.status_label.as_str(), time(row.invitation_sent_time.as_ref())),
        ("Pending Invitation", world.clock.now())
    );
    assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_refused(accept_as_new(&world, &first, "Ada").await, Code::NotFound, "INVITATION_NOT_FOUND");
    accept_as_new(&world, &second, "Ada").await.unwrap();
    assert_eq!(jetpack.row(&admin.session, "ada@example.com").await.status_label, "Active");
}

/// jp_02: four roles, each with its permissions: a holder of each may do exactly what the model says, from tracking orders up to everything.
#[wire_test]
async fn jp_02_four_roles_and_what_they_may(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let mut people = vec![("account_owner", jetpack.owner.clone())];
    for role in ["client_admin", "customer_success_supply_chain", "customer_success"] {
        people.push((role, jetpack.join(&format!("{role}@example.com"), &[role]).await));
    }
    for (permission, expected) in [
        ("orders.read", [true, true, true, true]),
        ("orders.edit", [true, true, true, false]),
        ("inventory.manage", [true, true, true, false]),
        ("members.invite", [true, true, false, false]),
        ("integrations.manage", [true, true, false, false]),
        ("billing.manage", [true, false, false, false]),
    ] {
        let mut answers = Vec::new();
        for (_, person) in &people {
            answers.push(jetpack.may(&person.user_id, permission).await);
        }
        assert_eq!(answers, expected, "{permission}");
    }
}
