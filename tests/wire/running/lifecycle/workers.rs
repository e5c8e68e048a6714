//! Workers apart from servers.

use super::worker_flags;
use roster_test_macros::wire_test;
use std::time::Duration;

use sea_orm::ConnectionTrait;

use crate::support::mailbox::Fault;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::process::Process;
use crate::support::scenario::Scenario;
use crate::support::waiting::all_sent;
use crate::support::world::World;

/// `roster worker` delivers what a server has queued that is gone since.
#[wire_test(postgres)]
async fn a_worker_delivers_what_a_server_queued(world: World) {
    let team = Scenario::acme(&world).await;
    world.mailbox.inject(Fault::Unavailable);
    for number in 0..5 {
        let request = world.as_session(&team.owner.session, team.invitation(&format!("bea{number}@example.com")));
        world.invitations().create_invitation(request).await.unwrap();
    }
    world.stop().await;
    world.mailbox.heal().await;
    // The worker is on real time, and a failed attempt is made again after a while.
    world
        .database()
        .execute_unprepared("UPDATE outbox_messages SET available_time = now() - interval '1 minute'")
        .await
        .unwrap();
    let worker = Process::start(&[&["worker".to_owned()], &worker_flags(&world)[..]].concat(), &[]);
    for number in 0..5 {
        world.mailbox.wait_for(&format!("bea{number}@example.com"), 1).await;
    }
    all_sent(&world).await;
    assert_eq!(world.mailbox.mails().len(), 5);
    worker.stop().await;
}

/// A server and a worker share the outbox: each message is delivered, once, and both have their part in it.
#[wire_test(postgres)]
async fn a_server_and_a_worker_share_the_outbox(world: World) {
    const MESSAGES: usize = 60;
    let team = Scenario::acme(&world).await;
    world.stop().await;
    let (server, addresses) = Process::serve(&world.flags(), &[]).await;
    let worker = Process::start(&[&["worker".to_owned()], &worker_flags(&world)[..]].concat(), &[]);
    worker.serving().await;
    // Long enough for both to find something.
    world.mailbox.inject(Fault::Slow(Duration::from_millis(20)));
    let mut invitations = InvitationServiceClient::new(addresses.channel());
    for number in 0..MESSAGES {
        let request = world.as_session(&team.owner.session, team.invitation(&format!("bea{number}@example.com")));
        invitations.create_invitation(request).await.unwrap();
    }
    for number in 0..MESSAGES {
        world.mailbox.wait_for(&format!("bea{number}@example.com"), 1).await;
    }
    all_sent(&world).await;
    assert_eq!(world.mailbox.mails().len(), MESSAGES);
    let shares = [server.stop().await, worker.stop().await].map(|ended| ended.stderr.matches("\"mail sent\"").count());
    assert_eq!(shares.iter().sum::<usize>(), MESSAGES);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}
