//! ab_15: neither an answer nor the time that it takes tells whether an address has an account, by whichever path it is asked.

use std::time::{Duration, Instant};

use prost::Message;
use roster_test_macros::wire_test;
use tonic::{Code, Response, Status};

use crate::support::pb::{Invitation, RequestPasswordResetRequest, StartStepUpRequest, StepUpPurpose};
use crate::support::runner::rounds;
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, create_user, sign_in};
use crate::support::world::World;

/// What a difference of medians may be (ab_15).
const NOTICEABLE: Duration = Duration::from_millis(2);

/// What a difference may be here: of a busy machine a quarter of the time itself; in the long form, for which it has to be quiet, no more than that.
fn noticeable(known: Duration) -> Duration {
    match rounds() {
        rounds if rounds >= 1000 => NOTICEABLE,
        _ => NOTICEABLE.max(known / 4),
    }
}

/// How many series have to differ in the same way before the difference counts as Roster's.
const SERIES: usize = 4;

/// Everything that an answer says.
fn said<T: Message>(answer: Result<Response<T>, Status>) -> (Code, String, Vec<u8>) {
    match answer {
        Ok(answer) => (Code::Ok, String::new(), answer.into_inner().encode_to_vec()),
        Err(status) => (status.code(), status.message().to_owned(), status.details().to_vec()),
    }
}

async fn ask_for_reset(world: &World, email: &str) -> Result<(), Status> {
    let request = RequestPasswordResetRequest { email: email.to_owned(), ..RequestPasswordResetRequest::default() };
    world.credentials().request_password_reset(request).await.map(drop)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Takes `series` of the times of a known and of an unknown address, and holds that they do not differ noticeably. A machine that is busy with other tests
/// shows differences that come and go; one that Roster makes shows in every series, and to the same side.
async fn hold<F>(path: &str, mut series: impl FnMut(usize) -> F)
where
    F: Future<Output = (Vec<Duration>, Vec<Duration>)>,
{
    let mut slower = Vec::new();
    for round in 0..SERIES {
        let (known, unknown) = series(round).await;
        let (known, unknown) = (median(known), median(unknown));
        eprintln!("{path}: {known:?} of a known address, {unknown:?} of an unknown one");
        if known.abs_diff(unknown) < noticeable(known) {
            return;
        }
        slower.push(known.cmp(&unknown));
    }
    slower.dedup();
    assert!(slower.len() > 1, "{path}: {SERIES} series tell the known from the unknown, see the times above");
}

/// Does first the one and then the other, or the other way round: what the server still does after a call must not count for the same side each time.
async fn in_turn(
    swap: bool,
    known: impl Future<Output = Duration>,
    unknown: impl Future<Output = Duration>,
) -> (Duration, Duration) {
    if swap {
        let unknown = unknown.await;
        (known.await, unknown)
    } else {
        (known.await, unknown.await)
    }
}

/// How often each is tried: 2,000 times in the long form.
fn tries() -> usize {
    match rounds() {
        rounds if rounds >= 1000 => 2 * rounds,
        _ => 40,
    }
}

async fn timed(call: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    call.await;
    start.elapsed()
}

/// ab_15: signing in with a wrong password takes as long for an address that is nobody's. 2,000 tries in the long form, 40 otherwise.
#[wire_test]
async fn ab_15_the_time_of_a_sign_in_does_not_tell(world: World) {
    // The other tests hash so cheaply that it would not be missed.
    world
        .restart_with(&[("argon2-memory-kib", "19456"), ("argon2-iterations", "2"), ("sign-in-failures", "1000000")])
        .await;
    create_user(&world, "ada@example.com").await;
    let world = &world;
    let refused = async |email: &str| {
        timed(async { drop(sign_in(world, email, "crimson ladder over 7 rivers").await.unwrap_err()) }).await
    };
    let series = async |round: usize| {
        let mut times = Vec::new();
        for index in 0..tries() {
            let nobody = format!("nobody{round}.{index}@example.com");
            times.push(in_turn(index % 2 == 1, refused("ada@example.com"), refused(&nobody)).await);
        }
        times.into_iter().unzip()
    };
    hold("sign-in", series).await;
}

/// ab_15: asking for a link to choose a password takes as long for an address that is nobody's, although only the other one is written to.
#[wire_test]
async fn ab_15_the_time_of_a_reset_does_not_tell(world: World) {
    let world = &world;
    let asked = async |email: &str| timed(async { ask_for_reset(world, email).await.unwrap() }).await;
    let series = async |round: usize| {
        let mut times = Vec::new();
        for index in 0..tries() {
            // Five an hour go to one account; the sixth would do the work of an unknown one.
            let somebody = format!("somebody{round}.{}@example.com", index / 5);
            if index % 5 == 0 {
                create_user(world, &somebody).await;
            }
            let nobody = format!("nobody{round}.{index}@example.com");
            times.push(in_turn(index % 2 == 1, asked(&somebody), asked(&nobody)).await);
        }
        times.into_iter().unzip()
    };
    hold("reset", series).await;
}

/// ab_15: by sign-in, reset, invitation and step-up, an address that has an account gets the answer of one that has none.
#[wire_test]
async fn ab_15_no_path_tells_who_has_an_account(world: World) {
    let team = Scenario::acme(&world).await;
    let ada = create_user(&world, "ada@example.com").await;
    let reset =
        |email: &str| RequestPasswordResetRequest { email: email.to_owned(), ..RequestPasswordResetRequest::default() };
    let known = said(world.credentials().request_password_reset(reset("ada@example.com")).await);
    assert_eq!(known, said(world.credentials().request_password_reset(reset("nobody@example.com")).await));
    let refused =
        [sign_in(&world, "ada@example.com", "x").await, sign_in(&world, "nobody@example.com", PASSWORD).await];
    let [one, other] = refused.map(|answer| assert_refused(answer, Code::Unauthenticated, "SIGN_IN_FAILED"));
    assert_eq!(one, other);
    // Who invites is told of the invitation, and the same of both but for `user_created`, which the product's list has (PF05).
    let stripped =
        |invitation: Invitation| (invitation.state, invitation.delivery_state, invitation.send_count, invitation.roles);
    let known = team.invite(&team.owner.session, "ada@example.com", &["member"]).await.unwrap();
    let unknown = team.invite(&team.owner.session, "nobody@example.com", &["member"]).await.unwrap();
    assert_eq!(stripped(known), stripped(unknown));
    // A second step is about the caller's own address alone: no address can be asked about.
    let request = StartStepUpRequest { purpose: StepUpPurpose::InviteMembers.into(), ..StartStepUpRequest::default() };
    call!(world, sessions.start_step_up, &ada.session, request).unwrap();
}
