//! ab_15: neither an answer nor the time that it takes tells whether an address has an account, by whichever path it is asked.

use std::time::{Duration, Instant};

use prost::Message;
use tonic::{Code, Response, Status};

use crate::support::pb::{Invitation, RequestPasswordResetRequest, StartStepUpRequest, StepUpPurpose};
use crate::support::runner::{rounds, wire_tests};
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, create_user, sign_in};
use crate::support::world::World;

/// What a difference of medians may be (ab_15), where the machine is quiet enough to tell: of a slow machine, a quarter of the time itself.
const NOTICEABLE: Duration = Duration::from_millis(2);

/// Everything that an answer says.
fn said<T: Message>(answer: Result<Response<T>, Status>) -> (Code, String, Vec<u8>) {
    match answer {
        Ok(answer) => (Code::Ok, String::new(), answer.into_inner().encode_to_vec()),
        Err(status) => (status.code(), status.message().to_owned(), status.details().to_vec()),
    }
}

async fn ask_for_reset(world: &World, email: &str) -> Result<(), Status> {
    let request = RequestPasswordResetRequest {
        email: email.to_owned(),
        ..RequestPasswordResetRequest::default()
    };
    world.credentials().request_password_reset(request).await.map(drop)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Holds that the medians of the two do not differ noticeably.
fn hold(path: &str, known: Vec<Duration>, unknown: Vec<Duration>) {
    let (known, unknown) = (median(known), median(unknown));
    eprintln!("{path}: {known:?} of a known address, {unknown:?} of an unknown one");
    assert!(
        known.abs_diff(unknown) < NOTICEABLE.max(known / 4),
        "{path}: {known:?} and {unknown:?}"
    );
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

wire_tests! {
    /// ab_15: signing in with a wrong password takes as long for an address that is nobody's. 2,000 tries in the long form, 40 otherwise.
    async fn ab_15_the_time_of_a_sign_in_does_not_tell(world: World) {
        create_user(&world, "ada@example.com").await;
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for index in 0..tries() {
            known.push(timed(async { drop(sign_in(&world, "ada@example.com", "crimson ladder over 7 rivers").await.unwrap_err()) }).await);
            let nobody = format!("nobody{index}@example.com");
            unknown.push(timed(async { drop(sign_in(&world, &nobody, "crimson ladder over 7 rivers").await.unwrap_err()) }).await);
        }
        hold("sign-in", known, unknown);
    }

    /// ab_15: asking for a link to choose a password takes as long for an address that is nobody's, although only the other one is written to.
    async fn ab_15_the_time_of_a_reset_does_not_tell(world: World) {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for index in 0..tries() {
            // Five an hour go to one account; the sixth would do the work of an unknown one.
            let somebody = format!("somebody{}@example.com", index / 5);
            if index % 5 == 0 {
                create_user(&world, &somebody).await;
            }
            known.push(timed(async { ask_for_reset(&world, &somebody).await.unwrap() }).await);
            let nobody = format!("nobody{index}@example.com");
            unknown.push(timed(async { ask_for_reset(&world, &nobody).await.unwrap() }).await);
        }
        hold("reset", known, unknown);
    }

    /// ab_15: by sign-in, reset, invitation and step-up, an address that has an account gets the answer of one that has none.
    async fn ab_15_no_path_tells_who_has_an_account(world: World) {
        let team = Scenario::acme(&world).await;
        let ada = create_user(&world, "ada@example.com").await;
        let reset = |email: &str| RequestPasswordResetRequest { email: email.to_owned(), ..RequestPasswordResetRequest::default() };
        let known = said(world.credentials().request_password_reset(reset("ada@example.com")).await);
        assert_eq!(known, said(world.credentials().request_password_reset(reset("nobody@example.com")).await));
        let refused = [sign_in(&world, "ada@example.com", "x").await, sign_in(&world, "nobody@example.com", PASSWORD).await];
        let [one, other] = refused.map(|answer| assert_refused(answer, Code::Unauthenticated, "SIGN_IN_FAILED"));
        assert_eq!(one, other);
        // Who invites is told of the invitation, and the same of both but for `user_created`, which the product's list has (PF05).
        let stripped = |invitation: Invitation| (invitation.state, invitation.delivery_state, invitation.send_count, invitation.roles);
        let known = team.invite(&team.owner.session, "ada@example.com", &["member"]).await.unwrap();
        let unknown = team.invite(&team.owner.session, "nobody@example.com", &["member"]).await.unwrap();
        assert_eq!(stripped(known), stripped(unknown));
        // A second step is about the caller's own address alone: no address can be asked about.
        let request = StartStepUpRequest { purpose: StepUpPurpose::InviteMembers.into(), ..StartStepUpRequest::default() };
        call!(world, sessions.start_step_up, &ada.session, request).unwrap();
    }
}
