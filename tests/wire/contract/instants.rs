//! What a list holds at the very instant at which something begins or ends.

use std::time::Duration;

use roster_test_macros::wire_test;

use crate::services::organizations::activity::{listed, of, report, send};
use crate::support::pb::{
    InvitationState, ListActivityRequest, ListAuditEntriesRequest, ListInvitationsRequest, ListSessionsRequest,
    ListUserInvitationsRequest,
};
use crate::support::scenario::{PASSWORD, Scenario, call, create_user, service_key, settled, sign_in, time};
use crate::support::world::World;

const SECOND: Duration = Duration::from_secs(1);
/// After which time a session ends that nobody uses.
const IDLE: Duration = Duration::from_secs(7 * 24 * 3600);

async fn sessions(world: &World, user: &str) -> usize {
    let request = ListSessionsRequest { user_id: user.to_owned(), ..ListSessionsRequest::default() };
    let answer = call!(world, sessions.list_sessions, world.operator_key(), request);
    answer.unwrap().sessions.len()
}

async fn invitations(of: &Scenario, state: InvitationState) -> usize {
    let request = ListInvitationsRequest {
        organization_id: of.organization_id.clone(),
        states: vec![state.into()],
        ..ListInvitationsRequest::default()
    };
    let answer = call!(of.world, invitations.list_invitations, of.world.operator_key(), request);
    answer.unwrap().invitations.len()
}

async fn waiting(world: &World, user: &str) -> usize {
    let request = ListUserInvitationsRequest { user_id: user.to_owned(), ..ListUserInvitationsRequest::default() };
    let answer = call!(world, invitations.list_user_invitations, world.operator_key(), request);
    answer.unwrap().invitations.len()
}

/// A span of the audit log, and of activity, begins with what happened at its start and ends before what happened at its end. Sign-ins and reports keep to
/// it alike.
#[wire_test]
async fn a_span_has_its_start_and_not_its_end(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    settled(&world).await;
    let entries = async |span: ListAuditEntriesRequest| {
        let request = ListAuditEntriesRequest { organization_id: acme.organization_id.clone(), ..span };
        call!(world, audit.list_audit_entries, world.operator_key(), request).unwrap().entries
    };
    world.clock.advance(SECOND);
    acme.set_roles(world.operator_key(), &ada.user_id, &["admin"]).await.unwrap();
    world.clock.advance(SECOND);
    acme.set_roles(world.operator_key(), &ada.user_id, &["member"]).await.unwrap();
    let all = entries(ListAuditEntriesRequest::default()).await;
    let (first, second) = (all[1].create_time, all[0].create_time);
    assert_eq!(time(second.as_ref()) - time(first.as_ref()), chrono::TimeDelta::seconds(1));
    let found =
        entries(ListAuditEntriesRequest { start_time: first, end_time: second, ..ListAuditEntriesRequest::default() })
            .await;
    assert_eq!(found, &all[1..2]);

    let key = service_key(&world, &["activity.write"]).await;
    let mut times = Vec::new();
    for id in 1..=2 {
        world.clock.advance(SECOND);
        send(&world, &key, vec![report(&acme, &ada.user_id, id, "audits.run", ("audits", 1))]).await;
        world.clock.advance(SECOND);
        sign_in(&world, &ada.email, PASSWORD).await.unwrap();
    }
    let all = listed(&world, world.operator_key(), of(&acme, &ada.user_id)).await;
    times.extend(all.iter().take(4).map(|one| one.time));
    for place in 0..3 {
        let span =
            ListActivityRequest { start_time: times[place + 1], end_time: times[place], ..of(&acme, &ada.user_id) };
        let found = listed(&world, world.operator_key(), span).await;
        assert_eq!(found, &all[place + 1..place + 2], "{place}");
    }
}

/// At the instant at which it ends a session is over, an invitation has expired, and waits for nobody; a second before it is neither.
#[wire_test]
async fn what_ends_is_over_at_its_end(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = create_user(&world, "ada@example.com").await;
    let (invitation, _) = acme.invited_by(world.operator_key(), &ada.email, &["member"]).await;
    settled(&world).await;
    let left = (time(invitation.expire_time.as_ref()) - world.clock.now()).to_std().unwrap();
    world.clock.advance(left - SECOND);
    let both = async || {
        (
            invitations(&acme, InvitationState::Pending).await,
            invitations(&acme, InvitationState::Expired).await,
            waiting(&world, &ada.user_id).await,
        )
    };
    assert_eq!(both().await, (1, 0, 1));
    world.clock.advance(SECOND);
    assert_eq!(both().await, (0, 1, 0));

    sign_in(&world, &ada.email, PASSWORD).await.unwrap();
    world.clock.advance(IDLE - SECOND);
    assert_eq!(sessions(&world, &ada.user_id).await, 1);
    world.clock.advance(SECOND);
    assert_eq!(sessions(&world, &ada.user_id).await, 0);
}
