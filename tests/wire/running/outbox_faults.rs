//! ab_03: the ways in which a mail server fails. What may pass is tried again when it is due and not before; what is final is seen by those who wait for the
//! mail; nobody's trouble is anybody else's.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::support::mailbox::{Fault, Stage};
use crate::support::pb::{
    CreateInvitationRequest, DeliveryState, GetInvitationRequest, GetMessageRequest, Invitation, ListMessagesRequest,
    Message, RetryMessageRequest,
};
use crate::support::race::told;
use crate::support::scenario::{create_organization, create_user};
use crate::support::world::World;

/// How long to wait for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait for something that must not happen: several polls.
const A_WHILE: Duration = Duration::from_millis(150);

/// A world with a server that looks often and gives mail servers a second to answer, and an organization to invite to.
struct Workers {
    world: World,
    organization_id: String,
}

impl Workers {
    async fn open(world: &World, settings: &[(&str, &str)]) -> Self {
        let smtp = format!("{}?timeout=1", world.mailbox.url());
        let mut all = vec![("outbox-poll-interval", "20ms"), ("drain-timeout", "5s"), ("smtp-url", &smtp)];
        all.extend(settings);
        world.restart_with(&all).await;
        let owner = create_user(world, "owner@example.com").await;
        Self { world: world.clone(), organization_id: create_organization(world, "default", "", &owner.user_id).await }
    }

    async fn invite(&self, email: &str) -> Invitation {
        let request = self.world.as_operator(CreateInvitationRequest {
            organization_id: self.organization_id.clone(),
            email: email.to_owned(),
            ..CreateInvitationRequest::default()
        });
        let response = self.world.invitations().create_invitation(request).await.unwrap();
        response.into_inner().invitation.unwrap()
    }

    /// How far an invitation's mail is, as whoever invited sees it.
    async fn delivery_state(&self, invitation: &Invitation) -> DeliveryState {
        let request = self.world.as_operator(GetInvitationRequest {
            organization_id: self.organization_id.clone(),
            invitation_id: invitation.invitation_id.clone(),
        });
        let response = self.world.invitations().get_invitation(request).await.unwrap();
        response.into_inner().invitation.unwrap().delivery_state()
    }

    /// The messages in a state, as an operator sees them.
    async fn messages(&self, states: &[DeliveryState]) -> Vec<Message> {
        let request = self.world.as_operator(ListMessagesRequest {
            organization_id: self.organization_id.clone(),
            states: states.iter().map(|state| i32::from(*state)).collect(),
            ..ListMessagesRequest::default()
        });
        let response = self.world.deliveries().list_messages(request).await.unwrap();
        response.into_inner().messages
    }

    async fn message_to(&self, email: &str) -> Message {
        let mut messages = self.messages(&[]).await;
        messages.retain(|message| message.recipient == email);
        messages.pop().unwrap()
    }

    async fn wait(&self, email: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let message = self.message_to(email).await;
                if wanted(&message) {
                    return message;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        match found.await {
            Ok(message) => message,
            Err(_) => panic!("not in {PATIENCE:?}: {:?}", self.message_to(email).await),
        }
    }

    async fn wait_for(&self, email: &str, state: DeliveryState) -> Message {
        self.wait(email, |message| message.state() == state).await
    }

    /// Waits until an attempt has failed and the next one has its time.
    async fn wait_for_failure(&self, email: &str, attempts: i32) -> Message {
        let over = |message: &Message| {
            let waits = message.state() == DeliveryState::Queued && !self.leased(message);
            message.attempts == attempts
                && !message.last_error.is_empty()
                && (waits || message.state() == DeliveryState::Failed)
        };
        self.wait(email, over).await
    }

    /// While an attempt runs, the next one's time is the end of its lease: a minute from now, to the microsecond.
    fn leased(&self, message: &Message) -> bool {
        self.wait_of(message) == TimeDelta::seconds(60)
    }

    /// How long until the next attempt.
    fn wait_of(&self, message: &Message) -> TimeDelta {
        next_attempt(message) - self.world.clock.now()
    }
}

fn next_attempt(message: &Message) -> DateTime<Utc> {
    let time = message.next_attempt_time.unwrap();
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap()).unwrap()
}

/// ab_03: refused connections, 421, 450, a cut after the final dot, and a server that hangs at the greeting, the recipient or the final dot: each time the
/// message waits for 15 to 30 seconds, its invitation says QUEUED, nothing is tried before it is due, and then it arrives; after a cut a second time, under
/// the same Message-ID.
#[wire_test]
async fn ab_03_what_may_pass_is_tried_again_when_it_is_due(world: World) {
    let workers = Workers::open(&world, &[]).await;
    let faults = [
        None,
        Some(Fault::Unavailable),
        Some(Fault::Greylist("guest2@example.com".to_owned())),
        Some(Fault::CutAfterDot),
        Some(Fault::Hang(Stage::Greeting)),
        Some(Fault::Hang(Stage::Recipient)),
        Some(Fault::Hang(Stage::FinalDot)),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        // No connection is kept so long.
        world.clock.advance(Duration::from_secs(31));
        let email = format!("guest{number}@example.com");
        match fault.clone() {
            Some(fault) => world.mailbox.inject_times(fault, 1),
            None => world.mailbox.refuse().await,
        }
        let invitation = workers.invite(&email).await;
        let message = workers.wait_for_failure(&email, 1).await;
        let wait = workers.wait_of(&message);
        assert!(wait >= TimeDelta::seconds(15) && wait <= TimeDelta::seconds(30), "{fault:?}: {wait}");
        assert_eq!(workers.delivery_state(&invitation).await, DeliveryState::Queued);
        world.mailbox.heal().await;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(workers.message_to(&email).await.attempts, 1, "{fault:?}: tried before it was due");
        world.clock.advance(Duration::from_secs(30));
        let message = workers.wait_for(&email, DeliveryState::Sent).await;
        assert_eq!((message.attempts, message.last_error.as_str()), (2, ""), "{fault:?}");
        assert_eq!(workers.delivery_state(&invitation).await, DeliveryState::Sent);
        let ids: Vec<String> = world.mailbox.mails_for(&email).into_iter().map(|mail| mail.message_id).collect();
        let copies = if fault == Some(Fault::CutAfterDot) { 2 } else { 1 };
        assert_eq!(ids.len(), copies, "{fault:?}");
        assert!(ids.iter().all(|id| id.starts_with(&message.message_id)), "{fault:?}: {ids:?}");
    }
}

/// ab_03: a 550, for the recipient or for the content, is final. The invitation says FAILED, the operator sees the server's words, nothing is tried any
/// more, and RetryMessage sends it once the cause is gone.
#[wire_test]
async fn ab_03_what_is_final_is_seen_and_can_be_retried_by_an_operator(world: World) {
    let workers = Workers::open(&world, &[]).await;
    for (number, fault) in
        [Fault::Reject("guest0@example.com".to_owned()), Fault::RejectContent].into_iter().enumerate()
    {
        let email = format!("guest{number}@example.com");
        world.mailbox.inject(fault.clone());
        let invitation = workers.invite(&email).await;
        let failed = workers.wait_for(&email, DeliveryState::Failed).await;
        assert!(failed.attempts == 1 && failed.last_error.contains("550"), "{fault:?}: {failed:?}");
        assert_eq!(workers.delivery_state(&invitation).await, DeliveryState::Failed);
        assert_eq!(workers.messages(&[DeliveryState::Failed]).await, std::slice::from_ref(&failed));

        let tries = world.mailbox.attempts(&email);
        world.mailbox.heal().await;
        world.clock.advance(Duration::from_secs(3600));
        tokio::time::sleep(A_WHILE).await;
        assert_eq!((world.mailbox.attempts(&email), tries), (1, 1), "{fault:?}");

        let retry = || {
            world.as_operator(RetryMessageRequest {
                message_id: failed.message_id.clone(),
                ..RetryMessageRequest::default()
            })
        };
        world.deliveries().retry_message(retry()).await.unwrap();
        workers.wait_for(&email, DeliveryState::Sent).await;
        assert_eq!(world.mailbox.mails_for(&email).len(), 1);
        assert_eq!(told(&world.deliveries().retry_message(retry()).await), "FailedPrecondition MESSAGE_NOT_FAILED");
        let get = world.as_operator(GetMessageRequest { message_id: failed.message_id });
        assert_eq!(
            world.deliveries().get_message(get).await.unwrap().into_inner().message.unwrap().state(),
            DeliveryState::Sent
        );
    }
}

/// ab_03: twice as many messages as there are slots that fail each time they are tried, and as many that cannot even be read: all others go out at once.
#[wire_test]
async fn ab_03_poison_blocks_nobody(world: World) {
    let workers = Workers::open(&world, &[]).await;
    world.mailbox.refuse().await;
    for number in 0..8 {
        for kind in ["spoilt", "grey", "good"] {
            workers.invite(&format!("{kind}{number}@example.com")).await;
        }
        world.mailbox.inject(Fault::Greylist(format!("grey{number}@example.com")));
    }
    for number in 0..8 {
        for kind in ["spoilt", "grey", "good"] {
            workers.wait_for_failure(&format!("{kind}{number}@example.com"), 1).await;
        }
        spoil(&world, &format!("spoilt{number}@example.com")).await;
    }
    // The faults of recipients stay; only the port is open again.
    let greylisted = (0..8).map(|number| Fault::Greylist(format!("grey{number}@example.com")));
    world.mailbox.heal().await;
    greylisted.for_each(|fault| world.mailbox.inject(fault));
    world.clock.advance(Duration::from_secs(30));
    for number in 0..8 {
        workers.wait_for(&format!("good{number}@example.com"), DeliveryState::Sent).await;
        let spoilt = workers.wait_for(&format!("spoilt{number}@example.com"), DeliveryState::Failed).await;
        assert!(spoilt.last_error.contains("cannot be opened"), "{}", spoilt.last_error);
    }
    // Nor do they get in the way of what comes later.
    workers.invite("late@example.com").await;
    world.mailbox.wait_for("late@example.com", 1).await;
    world.mailbox.heal().await;
    world.clock.advance(Duration::from_secs(120));
    for number in 0..8 {
        workers.wait_for(&format!("grey{number}@example.com"), DeliveryState::Sent).await;
    }
}

/// ab_03: a mail server that stops answering holds the deliveries that it was given and nothing else: others go out, and calls are answered.
#[wire_test]
async fn ab_03_a_hanging_delivery_holds_its_own_slot(world: World) {
    let workers = Workers::open(&world, &[("outbox-slots", "3"), ("smtp-url", &world.mailbox.url())]).await;
    world.mailbox.inject_times(Fault::Hang(Stage::FinalDot), 2);
    for email in ["stuck1@example.com", "stuck2@example.com"] {
        workers.invite(email).await;
        workers.wait(email, |message| message.attempts == 1).await;
    }
    while world.mailbox.attempts("stuck1@example.com") + world.mailbox.attempts("stuck2@example.com") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(A_WHILE).await;
    for number in 0..5 {
        workers.invite(&format!("guest{number}@example.com")).await;
    }
    for number in 0..5 {
        workers.wait_for(&format!("guest{number}@example.com"), DeliveryState::Sent).await;
    }
    for email in ["stuck1@example.com", "stuck2@example.com"] {
        assert_eq!(
            (workers.message_to(email).await.state(), world.mailbox.mails_for(email).len()),
            (DeliveryState::Queued, 0)
        );
    }
    world.leaves_messages_behind("two deliveries hang on purpose");
}

/// ab_03: a slow server gets each message once, and slowness does not reach the callers.
#[wire_test]
async fn ab_03_a_slow_server_gets_each_message_once(world: World) {
    let workers = Workers::open(&world, &[]).await;
    world.mailbox.inject(Fault::Slow(Duration::from_millis(100)));
    for number in 0..8 {
        workers.invite(&format!("guest{number}@example.com")).await;
        assert!(number > 0 || world.mailbox.mails().is_empty(), "a caller waited for the mail server");
    }
    for number in 0..8 {
        let message = workers.wait_for(&format!("guest{number}@example.com"), DeliveryState::Sent).await;
        assert_eq!(message.attempts, 1);
    }
    assert_eq!(world.mailbox.mails().len(), 8);
}

/// ab_03: a message that fails each time is tried for more than a day, with waits that double to an hour and are cut by up to a half; then it is given up,
/// and the invitation says so.
#[wire_test]
async fn ab_03_given_up_after_days_and_not_before(world: World) {
    let workers = Workers::open(&world, &[("outbox-poll-interval", "10ms")]).await;
    let email = "guest@example.com";
    world.mailbox.inject(Fault::Greylist(email.to_owned()));
    let start = world.clock.now();
    let invitation = workers.invite(email).await;
    for attempts in 1.. {
        let message = workers.wait_for_failure(email, attempts).await;
        if message.state() == DeliveryState::Failed {
            break;
        }
        let whole =
            TimeDelta::seconds(30 * 2_i64.pow(u32::try_from(attempts - 1).unwrap().min(7))).min(TimeDelta::hours(1));
        let wait = workers.wait_of(&message);
        assert!(wait * 2 >= whole && wait <= whole, "attempt {attempts}: {wait} of {whole}");
        assert_eq!(workers.delivery_state(&invitation).await, DeliveryState::Queued);
        world.clock.advance(wait.to_std().unwrap());
    }
    let tried = world.clock.now() - start;
    assert!(tried >= TimeDelta::hours(24) && tried <= TimeDelta::hours(24 * 3), "{tried}");
    assert_eq!(workers.delivery_state(&invitation).await, DeliveryState::Failed);
    eprintln!("given up after {} hours and {} attempts", tried.num_hours(), world.mailbox.attempts(email));
}

/// Damages what a message says, as a broken disk or a hand in the database would.
async fn spoil(world: &World, email: &str) {
    let database = world.database();
    let backend = database.get_database_backend();
    let select = Statement::from_sql_and_values(
        backend,
        "SELECT id, sealed FROM outbox_messages WHERE recipient = $1",
        [email.into()],
    );
    let row = database.query_one_raw(select).await.unwrap().unwrap();
    let (id, mut sealed): (Uuid, Vec<u8>) = (row.try_get("", "id").unwrap(), row.try_get("", "sealed").unwrap());
    *sealed.last_mut().unwrap() ^= 1;
    let update = "UPDATE outbox_messages SET sealed = $1 WHERE id = $2";
    let update = Statement::from_sql_and_values(backend, update, [sealed.into(), id.into()]);
    database.execute_raw(update).await.unwrap();
}
