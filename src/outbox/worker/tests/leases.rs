//! Slots, leases and their end.

use chrono::TimeDelta;

use super::super::*;
use super::{Bench, quick};
use crate::{
    domain::delivery::DeliveryState,
    outbox::smtp::sink::{Act, Script, Sink},
};

#[tokio::test]
async fn ab_03_a_hanging_delivery_holds_one_slot_and_no_more_run_than_there_are_slots() {
    let bench = Bench::new().await;
    let hangs = Script { rcpt: Act::Hang, ..Script::default() };
    let sink = Sink::start(vec![hangs, Script::default()]).await;
    let _worker = bench.start(bench.smtp(&sink), Settings { slots: 2, ..quick() });
    let hanging = bench.queue_invitation().await;
    bench.wait(hanging, |row| row.attempts == 1).await;
    sleep(Duration::from_millis(100)).await;
    for _ in 0..5 {
        let id = bench.queue_invitation().await;
        bench.wait_for(id, DeliveryState::Sent).await;
    }
    assert_eq!(bench.row(hanging).await.state, DeliveryState::Queued);

    let sink = Sink::start(vec![hangs]).await;
    let crowded = Bench::new().await;
    let _crowd = crowded.start(crowded.smtp(&sink), Settings { slots: 3, ..quick() });
    for _ in 0..10 {
        crowded.queue_invitation().await;
    }
    sleep(Duration::from_millis(300)).await;
    sink.with(|seen| assert_eq!(seen.connections, 3));
}

#[tokio::test]
async fn ab_01_heartbeats_keep_a_slow_delivery_from_being_claimed_again() {
    let mut bench = Bench::new().await;
    bench.clock = Clock::system();
    let sink = Sink::start(vec![Script { end: Act::Hang, ..Script::default() }]).await;
    let settings = Settings { lease: Duration::from_millis(400), heartbeat: Duration::from_millis(50), ..quick() };
    let _one = bench.start(bench.smtp(&sink), settings);
    let _two = bench.start(bench.smtp(&sink), settings);
    let id = bench.queue_invitation().await;
    sleep(Duration::from_millis(1500)).await;
    let row = bench.row(id).await;
    assert_eq!((row.attempts, row.fence), (1, 1));
    sink.with(|seen| assert_eq!(seen.messages.len(), 1));
}

#[tokio::test]
async fn ab_01_a_worker_that_lost_its_lease_stops_and_records_nothing() {
    let bench = Bench::new().await;
    let hangs = Script { rcpt: Act::Hang, ..Script::default() };
    let sink = Sink::start(vec![hangs, Script::default()]).await;
    let settings = Settings { slots: 1, heartbeat: Duration::from_millis(200), ..quick() };
    let _worker = bench.start(bench.smtp(&sink), settings);
    let id = bench.queue_invitation().await;
    bench.wait(id, |row| row.attempts == 1).await;
    let now = bench.clock.now() + TimeDelta::seconds(61);
    let lease = now + TimeDelta::hours(1);
    let taken = bench.store.claim_messages(now, lease, 10).await.unwrap();
    assert_eq!(taken.len(), 1, "the lease of 60 s has ended by then");

    let next = bench.queue_invitation().await;
    bench.wait_for(next, DeliveryState::Sent).await;
    let row = bench.row(id).await;
    assert_eq!((row.fence, row.attempts, row.last_error), (2, 2, None));
    assert_eq!(row.available_time, lease, "the other's lease is as it was made");
}

#[tokio::test]
async fn ab_10_at_the_end_deliveries_finish_or_give_their_lease_back() {
    let bench = Bench::new().await;
    let sink = Sink::start(vec![Script { rcpt: Act::Hang, ..Script::default() }]).await;
    let (stop, worker) = bench.start(bench.smtp(&sink), quick());
    let id = bench.queue_invitation().await;
    bench.wait(id, |row| row.attempts == 1).await;
    stop.cancel();
    timeout(Duration::from_secs(2), worker).await.unwrap().unwrap();
    let row = bench.row(id).await;
    assert_eq!((row.state, row.attempts, row.available_time), (DeliveryState::Queued, 0, bench.clock.now()));

    let later = bench.queue_invitation().await;
    sleep(Duration::from_millis(150)).await;
    assert_eq!(bench.row(later).await.attempts, 0, "a stopped worker claims nothing");
}
