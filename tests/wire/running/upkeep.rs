//! What is forgotten once it has had its time.

use std::time::{Duration, Instant};

use roster_test_macros::wire_test;

use crate::services::organizations::activity::{report, send};
use crate::support::pb::{
    CreateUserRequest, DeliveryState, GetInvitationRequest, RequestPasswordResetRequest, ResendInvitationRequest,
    SignOutRequest,
};
use crate::support::scenario::{PASSWORD, Scenario, call, create_user, new_user, service_key, settled, sign_in};
use crate::support::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);
/// How long to wait for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the server again, which begins with forgetting, and waits until so many rows are left. More are never forgotten than once had their time, so that
/// each step below has some that go and some that stay.
async fn left(world: &World, table: &str, expected: i64) {
    world.restart_with(&[]).await;
    forgotten(world, table, expected).await;
}

/// Waits until so many rows are left, which there is time for, and never fewer.
async fn forgotten(world: &World, rows: &str, expected: i64) {
    let query = format!("SELECT COUNT(*) AS n FROM {rows}");
    let start = Instant::now();
    loop {
        let left = world.count(&query).await;
        assert!(left >= expected, "{left} are left of {rows}");
        if left == expected {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{left} are still there of {rows}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A session is deleted 30 days after it was revoked or expired, and not before.
#[wire_test]
async fn sessions_are_forgotten(world: World) {
    let acme = Scenario::acme(&world).await;
    sign_in(&world, &acme.owner.email, PASSWORD).await.unwrap();
    world.clock.advance(DAY * 40);
    let ended = sign_in(&world, &acme.owner.email, PASSWORD).await.unwrap().session_token;
    call!(world, sessions.sign_out, &ended, SignOutRequest {}).unwrap();
    sign_in(&world, &acme.owner.email, PASSWORD).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sessions").await, 4);
    // The first two expired 31 days ago, and the third was revoked 21 days ago.
    world.clock.advance(DAY * 21);
    left(&world, "sessions", 2).await;
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sessions WHERE revoke_time IS NOT NULL").await, 1);
    // Now it is 31 days ago, and the fourth expired yesterday.
    world.clock.advance(DAY * 10);
    left(&world, "sessions", 1).await;
}

/// A message is deleted 90 days after it was settled, unless it is the one by which an invitation tells how far its mail is.
#[wire_test]
async fn messages_are_forgotten(world: World) {
    let acme = Scenario::acme(&world).await;
    let (invitation, _) = acme.invited_by(world.operator_key(), "bob@example.com", &["member"]).await;
    for mails in [2, 3] {
        world.clock.advance(DAY * 30);
        let request = ResendInvitationRequest {
            organization_id: acme.organization_id.clone(),
            invitation_id: invitation.invitation_id.clone(),
            ..ResendInvitationRequest::default()
        };
        call!(world, invitations.resend_invitation, world.operator_key(), request).unwrap();
        world.mailbox.wait_for("bob@example.com", mails).await;
        settled(&world).await;
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'sent'").await, 3);
    // The first was sent 91 days ago, the second 61.
    world.clock.advance(DAY * 31);
    left(&world, "outbox_messages", 2).await;
    // By now all were sent more than 90 days ago.
    world.clock.advance(DAY * 90);
    left(&world, "outbox_messages", 1).await;
    let request =
        GetInvitationRequest { organization_id: acme.organization_id.clone(), invitation_id: invitation.invitation_id };
    let kept = call!(world, invitations.get_invitation, world.operator_key(), request).unwrap().invitation.unwrap();
    assert_eq!(kept.delivery_state(), DeliveryState::Sent);
}

/// Each kind of row is kept to the last second of its time. Of two that are a second apart, the older one goes when the younger one is just as old as it may become.
#[wire_test]
async fn what_has_its_time_left_stays(world: World) {
    let acme = Scenario::acme(&world).await;
    let key = service_key(&world, &["activity.write"]).await;
    let people = [create_user(&world, "ada@example.com").await, create_user(&world, "bob@example.com").await];
    for (index, person) in people.iter().enumerate() {
        if index > 0 {
            world.clock.advance(SECOND);
        }
        assert!(sign_in(&world, &person.email, "not the password").await.is_err());
        send(&world, &key, vec![report(&acme, &acme.owner.user_id, index as u64, "assets.import", ("imports", 1))])
            .await;
        let request =
            RequestPasswordResetRequest { email: person.email.clone(), ..RequestPasswordResetRequest::default() };
        world.credentials().request_password_reset(request).await.unwrap();
        world.mailbox.wait_for(&person.email, 1).await;
        settled(&world).await;
        call!(world, sessions.sign_out, &person.session, SignOutRequest {}).unwrap();
        let request = CreateUserRequest {
            request_id: uuid::Uuid::now_v7().to_string(),
            ..new_user(&format!("other{index}@example.com"))
        };
        call!(world, users.create_user, world.operator_key(), request).unwrap();
    }
    // How old the younger one is then. An answer is gone at the end of its day, and a link is good for an hour.
    let kept = [
        ("replays", DAY - SECOND),
        ("challenges", DAY + 3600 * SECOND),
        ("activity_reports", 30 * DAY),
        ("sessions WHERE revoke_time IS NOT NULL", 30 * DAY),
        ("sign_ins WHERE outcome = 'failed'", 90 * DAY),
        ("outbox_messages", 90 * DAY),
    ];
    for (rows, _) in kept {
        assert_eq!(world.count(&format!("SELECT COUNT(*) AS n FROM {rows}")).await, 2, "{rows}");
    }
    let mut age = Duration::ZERO;
    for (rows, then) in kept {
        if then > age {
            world.clock.advance(then - age);
            age = then;
            world.restart_with(&[]).await;
        }
        forgotten(&world, rows, 1).await;
    }
}
