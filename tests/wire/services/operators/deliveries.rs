//! The look into the outbox: what became of a message, and trying a failed one again.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::mailbox::Fault;
use crate::support::pb::{
    DeliveryState, GetInvitationRequest, GetMessageRequest, ListMessagesRequest, Message, RetryMessageRequest,
    RevokeInvitationRequest,
};
use crate::support::scenario::{
    Scenario, accept_as_new, assert_invalid, assert_refused, call, service_key, time, traces,
};
use crate::support::world::World;

const BOB: &str = "bob@example.com";
const PATIENCE: Duration = Duration::from_secs(15);

async fn list(world: &World, request: ListMessagesRequest) -> Vec<Message> {
    call!(world, deliveries.list_messages, world.operator_key(), request).unwrap().messages
}

async fn get(world: &World, id: &str) -> Result<Message, Status> {
    let request = GetMessageRequest { message_id: id.to_owned() };
    let answer = call!(world, deliveries.get_message, world.operator_key(), request)?;
    Ok(answer.message.unwrap())
}

async fn retry(world: &World, id: &str) -> Result<Message, Status> {
    let request = RetryMessageRequest { message_id: id.to_owned(), ..RetryMessageRequest::default() };
    let answer = call!(world, deliveries.retry_message, world.operator_key(), request)?;
    Ok(answer.message.unwrap())
}

/// Waits until the newest message to an address is as it should be.
async fn wait_for(world: &World, recipient: &str, right: impl Fn(&Message) -> bool) -> Message {
    let wait = async {
        loop {
            let messages = list(world, ListMessagesRequest::default()).await;
            let newest = messages.into_iter().find(|message| message.recipient == recipient);
            if let Some(message) = newest.filter(&right) {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the message never got there")
}

fn is(state: DeliveryState) -> impl Fn(&Message) -> bool {
    move |message| message.state() == state
}

async fn delivery_state(scenario: &Scenario, invitation_id: &str) -> DeliveryState {
    let request = GetInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation_id.to_owned(),
    };
    let key = scenario.world.operator_key();
    let answer = call!(scenario.world, invitations.get_invitation, key, request).unwrap();
    answer.invitation.unwrap().delivery_state()
}

/// A message that was sent says so, with its id on the wire, and never says what was in it.
#[wire_test]
async fn a_sent_message_is_seen_without_its_words(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (invitation, token) = scenario.invited_by(&scenario.owner.session, BOB, &["member"]).await;
    let message = wait_for(&world, BOB, is(DeliveryState::Sent)).await;
    assert_eq!(
        (message.kind.as_str(), &message.organization_id, message.recipient.as_str()),
        ("invitation", &scenario.organization_id, BOB)
    );
    assert_eq!((message.attempts, message.last_error.as_str(), message.next_attempt_time), (1, "", None));
    assert_eq!(time(message.create_time.as_ref()), world.clock.now());
    assert_eq!(time(message.settle_time.as_ref()), world.clock.now());
    let mail = &world.mailbox.mails_for(BOB)[0];
    assert_eq!(mail.message_id.split('@').next().unwrap(), message.message_id);
    assert_eq!(get(&world, &message.message_id).await.unwrap(), message);
    assert!(!format!("{message:?}").contains(&token[4..]));
    assert_eq!(delivery_state(&scenario, &invitation.invitation_id).await, DeliveryState::Sent);
}

/// ab_03: an address that the mail server refuses for good fails at once, with its words; a retry delivers the same message, with the same link.
#[wire_test]
async fn ab_03_a_refused_message_fails_and_can_be_retried(world: World) {
    let scenario = Scenario::acme(&world).await;
    world.mailbox.inject(Fault::Reject(BOB.to_owned()));
    let invitation = scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    let failed = wait_for(&world, BOB, is(DeliveryState::Failed)).await;
    assert!(failed.last_error.contains("550"), "{}", failed.last_error);
    assert_eq!((failed.attempts, failed.next_attempt_time), (1, None));
    assert_eq!(time(failed.settle_time.as_ref()), world.clock.now());
    assert_eq!(delivery_state(&scenario, &invitation.invitation_id).await, DeliveryState::Failed);

    // Without help it stays failed.
    world.mailbox.heal().await;
    world.clock.advance(Duration::from_secs(3600));
    scenario.invited("cy@example.com", &["member"]).await;
    assert_eq!(world.mailbox.mails_for(BOB).len(), 0);

    let queued = retry(&world, &failed.message_id).await.unwrap();
    assert_eq!((queued.state(), queued.settle_time), (DeliveryState::Queued, None));
    let mail = world.mailbox.wait_for(BOB, 1).await;
    assert!(mail[0].message_id.starts_with(&failed.message_id));
    let sent = wait_for(&world, BOB, is(DeliveryState::Sent)).await;
    assert_eq!((sent.attempts, sent.last_error.as_str()), (2, ""));
    assert_eq!(delivery_state(&scenario, &invitation.invitation_id).await, DeliveryState::Sent);
    accept_as_new(&world, &mail[0].invitation_token(), "Bob").await.unwrap();
}

/// ab_03: a passing refusal is tried again by itself, later.
#[wire_test]
async fn ab_03_a_passing_refusal_is_tried_again(world: World) {
    let scenario = Scenario::acme(&world).await;
    world.mailbox.inject_times(Fault::Greylist(BOB.to_owned()), 1);
    scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    let waiting = wait_for(&world, BOB, |message| !message.last_error.is_empty()).await;
    assert_eq!((waiting.state(), waiting.attempts), (DeliveryState::Queued, 1));
    assert!(waiting.last_error.contains("450"), "{}", waiting.last_error);
    let due = time(waiting.next_attempt_time.as_ref());
    assert!(due > world.clock.now());
    world.clock.advance((due - world.clock.now()).to_std().unwrap());
    world.mailbox.wait_for(BOB, 1).await;
    wait_for(&world, BOB, is(DeliveryState::Sent)).await;
}

/// Only a failed message is retried: not one that was sent, that waits, or that was called off.
#[wire_test]
async fn only_failed_messages_are_retried(world: World) {
    let scenario = Scenario::acme(&world).await;
    scenario.invited(BOB, &["member"]).await;
    let sent = wait_for(&world, BOB, is(DeliveryState::Sent)).await;
    world.mailbox.inject(Fault::Greylist("cy@example.com".to_owned()));
    let invitation = scenario.invite(&scenario.owner.session, "cy@example.com", &["member"]).await.unwrap();
    let waiting = wait_for(&world, "cy@example.com", |message| !message.last_error.is_empty()).await;
    let before = traces(&world).await;
    for (message, state) in [(&sent, "SENT"), (&waiting, "QUEUED")] {
        let refused =
            assert_refused(retry(&world, &message.message_id).await, Code::FailedPrecondition, "MESSAGE_NOT_FAILED");
        assert_eq!(refused.metadata["state"], state);
    }
    assert_eq!(traces(&world).await, before);
    let request = RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &scenario.owner.session, request).unwrap();
    let refused =
        assert_refused(retry(&world, &waiting.message_id).await, Code::FailedPrecondition, "MESSAGE_NOT_FAILED");
    assert_eq!(refused.metadata["state"], "CANCELLED");
    assert_refused(retry(&world, "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e").await, Code::NotFound, "MESSAGE_NOT_FOUND");
    assert_refused(get(&world, "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e").await, Code::NotFound, "MESSAGE_NOT_FOUND");
    assert_invalid(retry(&world, "").await, &["message_id"]);
}

/// A failed message of a revoked invitation is called off: nobody can send its dead link.
#[wire_test]
async fn a_failed_message_is_called_off_with_its_invitation(world: World) {
    let scenario = Scenario::acme(&world).await;
    world.mailbox.inject(Fault::Reject(BOB.to_owned()));
    let invitation = scenario.invite(&scenario.owner.session, BOB, &["member"]).await.unwrap();
    let failed = wait_for(&world, BOB, is(DeliveryState::Failed)).await;
    let request = RevokeInvitationRequest {
        organization_id: scenario.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &scenario.owner.session, request).unwrap();
    assert_eq!(get(&world, &failed.message_id).await.unwrap().state(), DeliveryState::Cancelled);
    world.mailbox.heal().await;
    assert_refused(retry(&world, &failed.message_id).await, Code::FailedPrecondition, "MESSAGE_NOT_FAILED");
}

/// The list is newest first, by state and by organization, and counts.
#[wire_test]
async fn messages_are_filtered(world: World) {
    let scenario = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    world.mailbox.inject(Fault::Reject(BOB.to_owned()));
    for (scenario, email) in [(&scenario, "1@example.com"), (&scenario, BOB), (&other, "2@example.com")] {
        world.clock.advance(Duration::from_secs(1));
        scenario.invite(world.operator_key(), email, &["member"]).await.unwrap();
    }
    wait_for(&world, BOB, is(DeliveryState::Failed)).await;
    for email in ["1@example.com", "2@example.com"] {
        wait_for(&world, email, is(DeliveryState::Sent)).await;
    }
    let states = |states: &[DeliveryState]| ListMessagesRequest {
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..ListMessagesRequest::default()
    };
    let of = |scenario: &Scenario| ListMessagesRequest {
        organization_id: scenario.organization_id.clone(),
        ..ListMessagesRequest::default()
    };
    for (request, expected) in [
        (ListMessagesRequest::default(), &["2@example.com", BOB, "1@example.com"][..]),
        (states(&[DeliveryState::Failed]), &[BOB]),
        (states(&[DeliveryState::Sent]), &["2@example.com", "1@example.com"]),
        (states(&[DeliveryState::Queued, DeliveryState::Cancelled]), &[]),
        (of(&scenario), &[BOB, "1@example.com"]),
        (of(&other), &["2@example.com"]),
        (ListMessagesRequest { states: states(&[DeliveryState::Sent]).states, ..of(&scenario) }, &["1@example.com"]),
    ] {
        let request = ListMessagesRequest { include_total_size: true, ..request };
        let answer = call!(world, deliveries.list_messages, world.operator_key(), request.clone()).unwrap();
        let recipients: Vec<&str> = answer.messages.iter().map(|message| message.recipient.as_str()).collect();
        assert_eq!(recipients, expected, "{request:?}");
        assert_eq!(answer.total_size, i64::try_from(expected.len()).unwrap());
    }
    let wrong =
        ListMessagesRequest { states: vec![0], organization_id: "x".to_owned(), ..ListMessagesRequest::default() };
    assert_invalid(
        call!(world, deliveries.list_messages, world.operator_key(), wrong),
        &["states[0]", "organization_id"],
    );
}

/// The outbox is for operators: people never see it, and each direction has its scope.
#[wire_test]
async fn the_outbox_has_its_scopes(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (reader, writer) =
        (service_key(&world, &["messages.read"]).await, service_key(&world, &["messages.write"]).await);
    call!(world, deliveries.list_messages, &reader, ListMessagesRequest::default()).unwrap();
    let retrying = || RetryMessageRequest {
        message_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned(),
        ..RetryMessageRequest::default()
    };
    for (credential, listing, retried) in [
        (&scenario.owner.session, "CALLER_NOT_ALLOWED", "CALLER_NOT_ALLOWED"),
        (&writer, "SCOPE_REQUIRED", "MESSAGE_NOT_FOUND"),
        (&reader, "", "SCOPE_REQUIRED"),
    ] {
        if !listing.is_empty() {
            assert_refused(
                call!(world, deliveries.list_messages, credential, ListMessagesRequest::default()),
                Code::PermissionDenied,
                listing,
            );
        }
        let code = if retried == "MESSAGE_NOT_FOUND" { Code::NotFound } else { Code::PermissionDenied };
        assert_refused(call!(world, deliveries.retry_message, credential, retrying()), code, retried);
    }
}
