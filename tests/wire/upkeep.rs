//! What is forgotten once it has had its time.

use std::time::Duration;

use crate::support::pb::{DeliveryState, GetInvitationRequest, ResendInvitationRequest, SignOutRequest};
use crate::support::runner::wire_tests;
use crate::support::scenario::{PASSWORD, Scenario, call, settled, sign_in};
use crate::support::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Starts the server again, which begins with forgetting, and waits until so many rows are left. More are never forgotten than once had their time, so that
/// each step below has some that go and some that stay.
async fn left(world: &World, table: &str, expected: i64) {
    world.restart_with(&[]).await;
    let count = format!("SELECT COUNT(*) AS n FROM {table}");
    while world.count(&count).await != expected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

wire_tests! {
    /// A session is deleted 30 days after it was revoked or expired, and not before.
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
    async fn messages_are_forgotten(world: World) {
        let acme = Scenario::acme(&world).await;
        let (invitation, _) = acme.invited_by(world.operator_key(), "bob@example.com", &["member"]).await;
        for mails in [2, 3] {
            world.clock.advance(DAY * 30);
            let request = ResendInvitationRequest { organization_id: acme.organization_id.clone(), invitation_id: invitation.invitation_id.clone(), ..ResendInvitationRequest::default() };
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
        let request = GetInvitationRequest { organization_id: acme.organization_id.clone(), invitation_id: invitation.invitation_id };
        let kept = call!(world, invitations.get_invitation, world.operator_key(), request).unwrap().invitation.unwrap();
        assert_eq!(kept.delivery_state(), DeliveryState::Sent);
    }
}
