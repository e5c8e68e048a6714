//! A roster in the order of when its members were last active.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;

use crate::support::pb::{
    ActivityReport, GetMeRequest, ListMembersRequest, MemberOrder, MemberState, RemoveMemberRequest,
    ReportActivityRequest, RevokeInvitationRequest, SuspendMemberRequest,
};
use crate::support::scenario::{PASSWORD, Person, Scenario, call, sign_in, texts};
use crate::support::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn ordered(of: &Scenario) -> ListMembersRequest {
    ListMembersRequest {
        organization_id: of.organization_id.clone(),
        order_by: MemberOrder::LastActiveTime.into(),
        include_total_size: true,
        ..ListMembersRequest::default()
    }
}

/// The names before the `@` of all rows that a service is shown, in pages of two.
async fn walked(of: &Scenario, request: ListMembersRequest) -> Vec<String> {
    let mut request = ListMembersRequest { page_size: 2, ..request };
    let mut names = Vec::new();
    loop {
        let answer = call!(of.world, members.list_members, of.world.operator_key(), request.clone()).unwrap();
        names.extend(answer.members.iter().map(|row| row.email.split('@').next().unwrap().to_owned()));
        if answer.next_page_token.is_empty() {
            assert_eq!(answer.total_size, i64::try_from(names.len()).unwrap());
            return names;
        }
        request.page_token = answer.next_page_token;
    }
}

async fn use_session(world: &World, person: &Person) {
    call!(world, sessions.get_me, &person.session, GetMeRequest::default()).unwrap();
}

async fn report(of: &Scenario, person: &Person) {
    let report = ActivityReport {
        organization_id: of.organization_id.clone(),
        user_id: person.user_id.clone(),
        report_id: uuid::Uuid::now_v7().to_string(),
        action: "assets.import".to_owned(),
        ..ActivityReport::default()
    };
    let request = ReportActivityRequest { reports: vec![report] };
    call!(of.world, activity.report_activity, of.world.operator_key(), request).unwrap();
}

/// Whoever signs in, uses a session or is reported comes first, in one organization by a report and in all by a session; whoever never was active is where they joined or were invited.
#[wire_test]
async fn whoever_was_active_last_comes_first(world: World) {
    let acme = Scenario::acme(&world).await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cyd"] {
        world.clock.advance(2 * MINUTE);
        people.push(acme.join(&format!("{name}@example.com"), &["member"]).await);
    }
    let [ada, bob, cyd] = people.try_into().unwrap_or_else(|_| unreachable!("three"));
    world.clock.advance(2 * MINUTE);
    acme.invited("guest@example.com", &["member"]).await;
    assert_eq!(walked(&acme, ordered(&acme)).await, ["guest", "cyd", "bob", "ada", "owner"]);
    world.clock.advance(2 * MINUTE);
    use_session(&world, &ada).await;
    assert_eq!(walked(&acme, ordered(&acme)).await, ["ada", "guest", "cyd", "bob", "owner"]);
    world.clock.advance(2 * MINUTE);
    report(&acme, &bob).await;
    assert_eq!(walked(&acme, ordered(&acme)).await, ["bob", "ada", "guest", "cyd", "owner"]);
    world.clock.advance(2 * MINUTE);
    sign_in(&world, &cyd.email, PASSWORD).await.unwrap();
    assert_eq!(walked(&acme, ordered(&acme)).await, ["cyd", "bob", "ada", "guest", "owner"]);
    // The order is that of the times that are shown.
    let answer = call!(world, members.list_members, world.operator_key(), ordered(&acme)).unwrap();
    let times: Vec<_> =
        answer.members.iter().filter_map(|row| row.last_active_time.as_ref()).map(|time| time.seconds).collect();
    assert!(times.is_sorted_by(|one, next| one >= next) && times.len() >= 3, "{times:?}");
    // What another server has seen is in order after its next look.
    let second = world.second_server().await;
    world.clock.advance(2 * MINUTE);
    call!(second, sessions.get_me, &bob.session, GetMeRequest::default()).unwrap();
    let answer = call!(second, members.list_members, world.operator_key(), ordered(&acme)).unwrap();
    assert_eq!(answer.members[0].email, bob.email);
    assert_eq!(walked(&acme, ordered(&acme)).await, ["bob", "cyd", "ada", "guest", "owner"]);
}

/// States, roles and what becomes of members and invitations are followed; and all of it is made anew of the rows where there is nothing.
#[wire_test]
async fn the_order_follows_what_becomes_of_members(world: World) {
    let acme = Scenario::acme(&world).await;
    let mut people = Vec::new();
    for (name, role) in [("ada", "admin"), ("bob", "member"), ("cyd", "member")] {
        world.clock.advance(2 * MINUTE);
        people.push(acme.join(&format!("{name}@example.com"), &[role]).await);
    }
    world.clock.advance(2 * MINUTE);
    let invitation = acme.invited_by(world.operator_key(), "guest@example.com", &["member"]).await.0;
    let (bob, cyd) = (&people[1], &people[2]);
    let holders = ListMembersRequest { roles: texts(&["member", "owner"]), ..ordered(&acme) };
    assert_eq!(walked(&acme, holders).await, ["guest", "cyd", "bob", "owner"]);
    let request = SuspendMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: bob.user_id.clone(),
        ..SuspendMemberRequest::default()
    };
    call!(world, members.suspend_member, &acme.owner.session, request).unwrap();
    let request = RemoveMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: cyd.user_id.clone(),
        ..RemoveMemberRequest::default()
    };
    call!(world, members.remove_member, &acme.owner.session, request).unwrap();
    let request = RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &acme.owner.session, request).unwrap();
    let of = |states: &[MemberState]| ListMembersRequest {
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..ordered(&acme)
    };
    let all = [MemberState::Active, MemberState::Suspended, MemberState::Removed, MemberState::Invited];
    for _ in 0..2 {
        // Whoever has just called was active.
        assert_eq!(walked(&acme, of(&[MemberState::Active])).await, ["owner", "ada"]);
        assert_eq!(walked(&acme, of(&[MemberState::Suspended])).await, ["bob"]);
        assert_eq!(walked(&acme, of(&all)).await, ["owner", "cyd", "bob", "ada"]);
        // An address names one, whatever the order.
        let named = ListMembersRequest { email: "ADA@example.com".to_owned(), ..ordered(&acme) };
        assert_eq!(walked(&acme, named).await, ["ada"]);
        for statement in ["DELETE FROM search_terms", "DELETE FROM search_progress"] {
            world.database().execute_unprepared(statement).await.unwrap();
        }
    }
}
