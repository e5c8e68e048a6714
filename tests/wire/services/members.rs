//! The roster: its columns, order and filters, and the roles of its members.

mod activity_order;
mod preview;
mod role_changes;
mod roles;
mod search;
mod team_page;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    GetMemberRequest, ListMembersRequest, ListUserMembershipsRequest, Member, MemberAction, MemberState,
    ResendInvitationRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_invalid, assert_refused, call, service_key, sign_in, texts, time,
};
use crate::support::world::World;

const BOB: &str = "bob@example.com";

fn list(scenario: &Scenario) -> ListMembersRequest {
    ListMembersRequest { organization_id: scenario.organization_id.clone(), ..ListMembersRequest::default() }
}

async fn names(scenario: &Scenario, request: ListMembersRequest) -> Vec<String> {
    let key = scenario.world.operator_key();
    let answer = call!(scenario.world, members.list_members, key, request).unwrap();
    answer.members.into_iter().map(|row| row.display_name).collect()
}

async fn get(scenario: &Scenario, credential: &str, user_id: &str) -> Result<Member, Status> {
    let request = GetMemberRequest { organization_id: scenario.organization_id.clone(), user_id: user_id.to_owned() };
    let answer = call!(scenario.world, members.get_member, credential, request)?;
    Ok(answer.member.unwrap())
}

/// jp_03, jp_17: one call returns members and pending invitations in one list with the columns that the document names.
#[wire_test]
async fn jp_03_the_roster_has_its_columns(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    world.clock.advance(Duration::from_secs(60));
    let (invitation, token) = scenario.invited_by(&scenario.owner.session, BOB, &["client_admin"]).await;
    let invited_at = world.clock.now();
    world.clock.advance(Duration::from_secs(60));
    let bob = accept_as_new(&world, &token, "Bob").await.unwrap();
    let joined_at = world.clock.now();
    scenario.invite(&scenario.owner.session, "zoe@example.com", &["customer_success"]).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    sign_in(&world, BOB, PASSWORD).await.unwrap();
    let signed_in_at = world.clock.now();

    let rows = scenario.roster(&scenario.owner.session).await.unwrap();
    let [member, _owner, invited]: [Member; 3] = rows.try_into().unwrap();
    assert_eq!(
        (&member.user_id, &member.invitation_id, member.email.as_str()),
        (&bob.user_id, &invitation.invitation_id, BOB)
    );
    assert_eq!(
        (member.given_name.as_str(), member.display_name.as_str(), &member.roles),
        ("Bob", "Bob", &texts(&["client_admin"]))
    );
    assert_eq!((member.state(), member.status_label.as_str()), (MemberState::Active, "Active"));
    assert_eq!((member.has_signed_in, member.mfa_enabled), (true, false));
    assert_eq!(time(member.last_sign_in_time.as_ref()), signed_in_at);
    assert_eq!(time(member.invitation_sent_time.as_ref()), invited_at);
    assert_eq!(time(member.invitation_accepted_time.as_ref()), joined_at);
    assert_eq!(time(member.create_time.as_ref()), joined_at);
    assert_eq!(get(&scenario, &scenario.owner.session, &bob.user_id).await.unwrap(), member);

    assert_eq!(
        (invited.user_id.as_str(), invited.invitation_id.len(), invited.email.as_str()),
        ("", 36, "zoe@example.com")
    );
    assert_eq!(
        (invited.state(), invited.status_label.as_str(), &invited.roles),
        (MemberState::Invited, "Pending Invitation", &texts(&["customer_success"]))
    );
    assert_eq!(
        (invited.has_signed_in, invited.last_sign_in_time, invited.invitation_accepted_time),
        (false, None, None)
    );
    assert_eq!(time(invited.invitation_sent_time.as_ref()), joined_at);
}

/// js_14: the roster shows when somebody was last active, and not more often than once a minute.
#[wire_test]
async fn js_14_last_active_moves_with_use(world: World) {
    let scenario = Scenario::under(&world, "jetstack").await;
    let member = scenario.join(BOB, &["member"]).await;
    let seen = async || {
        get(&scenario, world.operator_key(), &member.user_id).await.unwrap().last_active_time.map(|at| time(Some(&at)))
    };
    world.clock.advance(Duration::from_secs(59));
    scenario.roster(&member.session).await.unwrap();
    assert_ne!(seen().await, Some(world.clock.now()));
    world.clock.advance(Duration::from_secs(61));
    scenario.roster(&member.session).await.unwrap();
    assert_eq!(seen().await, Some(world.clock.now()));
}

/// The list is by name, without regard to case or accents' form, members and invitations together.
#[wire_test]
async fn the_roster_is_by_name(world: World) {
    let scenario = Scenario::acme(&world).await;
    for (email, name) in [
        ("1@example.com", "berta"),
        ("2@example.com", "Zoë"),
        ("3@example.com", "Adam"),
        ("4@example.com", "ZOE\u{308}"),
        ("5@example.com", "Émile"),
        ("6@example.com", "adam"),
    ] {
        let token = scenario.invited(email, &["member"]).await;
        accept_as_new(&world, &token, name).await.unwrap();
    }
    scenario.invite(&scenario.owner.session, "Carl@example.com", &["member"]).await.unwrap();
    let found = names(&scenario, list(&scenario)).await;
    let folded: Vec<String> = found.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded, ["adam", "adam", "berta", "carl@example.com", "émile", "owner", "zoë", "zoë"]);
}

/// Filters by state, role and address; removed members are shown only where they are asked for (jp_14).
#[wire_test]
async fn jp_14_the_roster_is_filtered(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    for (email, name, role) in [
        (BOB, "Bob", "client_admin"),
        ("cy@example.com", "Cy", "customer_success"),
        ("di@example.com", "Di", "customer_success_supply_chain"),
    ] {
        let token = scenario.invited(email, &[role]).await;
        let user_id = accept_as_new(&world, &token, name).await.unwrap().user_id;
        match name {
            "Bob" => drop(scenario.remove(&scenario.owner.session, &user_id).await.unwrap()),
            "Di" => drop(scenario.suspend(world.operator_key(), &user_id).await.unwrap()),
            _ => {}
        }
    }
    scenario.invite(&scenario.owner.session, "ed@example.com", &["customer_success"]).await.unwrap();
    let states = |states: &[MemberState]| ListMembersRequest {
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..list(&scenario)
    };
    let role = |role: &str| ListMembersRequest { role: role.to_owned(), ..list(&scenario) };
    let email = |email: &str| ListMembersRequest { email: email.to_owned(), ..list(&scenario) };
    for (request, expected) in [
        (list(&scenario), &["Cy", "Di", "ed@example.com", "owner"][..]),
        (states(&[MemberState::Active]), &["Cy", "owner"]),
        (states(&[MemberState::Invited]), &["ed@example.com"]),
        (states(&[MemberState::Suspended]), &["Di"]),
        (states(&[MemberState::Removed]), &["Bob"]),
        (
            states(&[MemberState::Removed, MemberState::Active, MemberState::Invited, MemberState::Suspended]),
            &["Bob", "Cy", "Di", "ed@example.com", "owner"],
        ),
        (role("customer_success"), &["Cy", "ed@example.com"]),
        (role("customer_success_supply_chain"), &["Di"]),
        (role("client_admin"), &[]),
        (email("CY@Example.COM"), &["Cy"]),
        (email("ED@example.com"), &["ed@example.com"]),
        (email("nobody@example.com"), &[]),
        (ListMembersRequest { states: vec![MemberState::Active.into()], ..role("customer_success") }, &["Cy"]),
    ] {
        let counted = ListMembersRequest { include_total_size: true, ..request.clone() };
        assert_eq!(names(&scenario, request).await, expected, "{counted:?}");
        let answer = call!(world, members.list_members, world.operator_key(), counted).unwrap();
        assert_eq!(answer.total_size, i64::try_from(expected.len()).unwrap());
    }
    let rows =
        call!(world, members.list_members, world.operator_key(), states(&[MemberState::Removed])).unwrap().members;
    assert_eq!(rows[0].status_label, "Deactivated");

    let wrong = ListMembersRequest {
        states: vec![0, 99],
        role: "Not An Id".to_owned(),
        email: "x".to_owned(),
        page_size: -1,
        ..list(&scenario)
    };
    let refused = call!(world, members.list_members, world.operator_key(), wrong);
    assert_invalid(refused, &["page_size", "states[0]", "states[1]", "role", "email"]);
}

/// An invitation that has expired is a row of its own kind, and sending it again makes it pending.
#[wire_test]
async fn an_expired_invitation_is_told_from_a_pending_one(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    let key = world.operator_key();
    let (old, _) = scenario.invited_by(key, "ed@example.com", &["customer_success"]).await;
    world.clock.advance(Duration::from_secs(365 * 24 * 3600));
    let (new, _) = scenario.invited_by(key, "flo@example.com", &["customer_success"]).await;
    let rows = async |states: &[MemberState]| {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let request = ListMembersRequest { states, include_total_size: true, ..list(&scenario) };
        let answer = call!(world, members.list_members, key, request).unwrap();
        assert_eq!(answer.total_size, i64::try_from(answer.members.len()).unwrap());
        answer.members
    };
    let [expired, pending] = [MemberState::InvitationExpired, MemberState::Invited];
    for (states, expected) in [
        (&[expired][..], &[(expired, "Invitation Expired", &old)][..]),
        (&[pending], &[(pending, "Pending Invitation", &new)]),
        (&[pending, expired], &[(expired, "Invitation Expired", &old), (pending, "Pending Invitation", &new)]),
    ] {
        let found = rows(states).await;
        let found: Vec<_> = found
            .iter()
            .map(|row| (row.state(), row.status_label.as_str(), &row.invitation_id, row.expire_time))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(state, label, invitation)| (*state, *label, &invitation.invitation_id, invitation.expire_time))
            .collect();
        assert_eq!(found, expected);
    }
    let owner = rows(&[]).await.into_iter().find(|row| !row.user_id.is_empty()).unwrap();
    assert_eq!(owner.expire_time, None);
    assert_eq!(rows(&[]).await.len(), 3);
    let row = scenario.row(key, "ed@example.com").await;
    assert_eq!(
        row.allowed_actions().collect::<Vec<_>>(),
        [MemberAction::ResendInvitation, MemberAction::RevokeInvitation]
    );
    let request = ResendInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: row.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, key, request).unwrap();
    assert_eq!((rows(&[expired]).await.len(), rows(&[pending]).await.len()), (0, 2));
}

/// A suspended member may do nothing here, and is told so; a removed one is not even told that the organization exists (jp_12).
#[wire_test]
async fn jp_12_who_is_suspended_or_removed_is_out_at_once(world: World) {
    let scenario = Scenario::under(&world, "jetpack").await;
    let member = scenario.join(BOB, &["client_admin"]).await;
    let memberships = async || {
        let request =
            ListUserMembershipsRequest { user_id: member.user_id.clone(), ..ListUserMembershipsRequest::default() };
        call!(world, members.list_user_memberships, &member.session, request).unwrap().memberships.len()
    };
    scenario.join_elsewhere(&member).await;
    scenario.suspend(world.operator_key(), &member.user_id).await.unwrap();
    let refused = assert_refused(scenario.roster(&member.session).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    assert_eq!(refused.metadata["state"], "SUSPENDED");
    assert_refused(
        scenario.invite(&member.session, "cy@example.com", &["customer_success"]).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    assert_eq!(memberships().await, 2);
    scenario.remove(&scenario.owner.session, &member.user_id).await.unwrap();
    assert_refused(scenario.roster(&member.session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_refused(
        scenario.set_roles(&member.session, &scenario.owner.user_id, &["client_admin"]).await,
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    assert_refused(
        scenario.set_roles(world.operator_key(), &member.user_id, &["customer_success"]).await,
        Code::FailedPrecondition,
        "MEMBER_STATE_CONFLICT",
    );
    assert_eq!(memberships().await, 1);
    sign_in(&world, BOB, PASSWORD).await.unwrap();
}

/// A key is shown the actions that its scopes are good for.
#[wire_test]
async fn actions_are_those_of_the_scopes(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let scenario = Scenario::acme(&world).await;
    scenario.join(BOB, &["member"]).await;
    scenario.invite(&scenario.owner.session, "cy@example.com", &["member"]).await.unwrap();
    let (set, resend, revoke) =
        (MemberAction::SetRoles, MemberAction::ResendInvitation, MemberAction::RevokeInvitation);
    let (update, suspend, remove) = (MemberAction::Update, MemberAction::Suspend, MemberAction::Remove);
    let transfer = MemberAction::TransferOwnership;
    for (scopes, of_member, of_invitation) in [
        (&["members.read"][..], &[][..], &[][..]),
        (&["members.read", "members.write"], &[set, update, suspend, remove], &[]),
        (&["members.read", "invitations.write"], &[], &[resend, revoke]),
        (&["members.read", "ownership.write"], &[transfer], &[]),
        (&["operator"], &[set, update, suspend, remove, transfer], &[resend, revoke]),
    ] {
        let key = service_key(&world, scopes).await;
        let rows = scenario.roster(&key).await.unwrap();
        let of =
            |email: &str| rows.iter().find(|row| row.email == email).unwrap().allowed_actions().collect::<Vec<_>>();
        assert_eq!((of(BOB), of("cy@example.com")), (of_member.to_vec(), of_invitation.to_vec()), "{scopes:?}");
        let of_owner: &[MemberAction] = if of_member.contains(&update) { &[update] } else { &[] };
        assert_eq!(of(OWNER), of_owner, "the last owner stays what they are");
    }
}
