//! Races about what may be used once: a code of an authenticator app, a recovery code, a code of a mail, a link to choose a password, an ID token. Each is shown over
//! two servers at once, from many connections in the first round and from a few in the others; one of the calls gets what it is good for.
//!
//! What protects is one statement each time: it takes what is shown where nobody has taken it, and says whether it did. Rounds of 50 that failed where that was only looked at
//! before the transaction, and no more in it:
//!
//! | race | PostgreSQL | SQLite |
//! |---|---|---|
//! | a code of the app | 45 | 49 |
//! | a recovery code | 50 | 35 |
//! | one sign-in, of 10 rounds | 9 | 9 |
//! | a code of a second step | 37 | 36 |
//! | a link to choose a password | 50 | 50 |
//! | an ID token | 50 | 50 |

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roster_test_macros::wire_test;
use tonic::{Response, Status};

use crate::services::credentials::identities::{linked, provider};
use crate::services::credentials::mfa::{challenged, completion, guard, recovery, totp};
use crate::services::credentials::passwords::{reset, reset_token};
use crate::services::sessions::step_up;
use crate::support::authenticator::code;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::credential_service_client::CredentialServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::{ListMfaFactorsRequest, SignInRequest};
use crate::support::race::{OK, Servers, all_told, at_once};
use crate::support::runner::rounds;
use crate::support::scenario::{OWNER, PASSWORD, Scenario, call, create_user, new_user, settled, sign_in};
use crate::support::world::World;

/// After this long an account is asked for codes again, whatever was shown before.
const HOUR: Duration = Duration::from_secs(3600);

/// A call of which only the outcome counts.
type Call = BoxFuture<'static, Result<(), Status>>;

fn call<T: Send + 'static>(answer: impl Future<Output = Result<Response<T>, Status>> + Send + 'static) -> Call {
    answer.map(|answer| answer.map(drop)).boxed()
}

/// From how many connections something is shown in a round.
fn width(round: usize, first: usize) -> usize {
    if round == 0 { first } else { 3 }
}

/// Makes the calls and holds that one of them is answered; the others are told one of these.
async fn one_wins(calls: Vec<Call>, others: &[&str]) {
    let told = all_told(&at_once(calls).await);
    assert_eq!(told.iter().filter(|told| *told == OK).count(), 1, "{told:?}");
    assert!(told.iter().all(|told| told == OK || others.contains(&told.as_str())), "{told:?}");
}

const WRONG: &str = "FailedPrecondition CODE_INVALID";
const OVER: &str = "FailedPrecondition CHALLENGE_INVALID";
/// Every wrong code counts, those that were right a moment ago too.
const BOUNDED: &str = "ResourceExhausted TOO_MANY_ATTEMPTS";

/// ab_21: one code from twenty connections at once, each with a sign-in of its own, begins one session.
#[wire_test]
async fn ab_21_one_code_at_once_is_taken_once(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let guarded = guard(&world, &ada).await;
    let servers = Servers::open(&world).await;
    for round in 0..rounds() {
        let mut calls = Vec::new();
        for index in 0..width(round, 20) {
            let challenge = challenged(&world, &ada.email, PASSWORD).await;
            let mut client = SessionServiceClient::new(servers.channel(index + round));
            let request = completion(&challenge.token, totp(&guarded, &world));
            calls.push(call(async move { client.complete_sign_in(request).await }));
        }
        one_wins(calls, &[WRONG, BOUNDED]).await;
        world.clock.advance(HOUR);
    }
}

/// ab_22: one recovery code from twenty connections at once begins one session, is gone then, and its owner is told.
#[wire_test]
async fn ab_22_one_recovery_code_at_once_is_taken_once(world: World) {
    let servers = Servers::open(&world).await;
    for lot in 0..rounds().div_ceil(10) {
        let ada = create_user(&world, &format!("ada{lot}@example.com")).await;
        let guarded = guard(&world, &ada).await;
        for (used, recovery_code) in guarded.recovery_codes.iter().enumerate() {
            let mut calls = Vec::new();
            for index in 0..width(10 * lot + used, 20) {
                let challenge = challenged(&world, &ada.email, PASSWORD).await;
                let mut client = SessionServiceClient::new(servers.channel(index + used));
                let request = completion(&challenge.token, recovery(&recovery_code.to_uppercase()));
                calls.push(call(async move { client.complete_sign_in(request).await }));
            }
            one_wins(calls, &[WRONG, BOUNDED]).await;
            // The other one is the notice of the set-up.
            world.mailbox.wait_for(&ada.email, used + 2).await;
            settled(&world).await;
            let notices = world.mailbox.mails_for(&ada.email);
            assert_eq!(notices.iter().filter(|mail| mail.subject == "A recovery code was used").count(), used + 1);
            world.clock.advance(HOUR);
        }
        let listing = ListMfaFactorsRequest { user_id: ada.user_id.clone() };
        let left =
            call!(world, credentials.list_mfa_factors, world.operator_key(), listing).unwrap().recovery_codes_left;
        assert_eq!(left, 0);
        let rows = crate::support::contents::dump(world.database()).await;
        let plain = guarded.recovery_codes[0].replace('-', "");
        assert!(
            !rows.values().flatten().any(|row| row.to_lowercase().contains(&plain) || row.contains(&guarded.secret)),
            "no code or secret rests in the clear"
        );
    }
}

/// ab_21, ab_22: the code of the moment and a recovery code at once, for one sign-in: it begins one session.
#[wire_test]
async fn ab_21_one_sign_in_is_completed_once(world: World) {
    let servers = Servers::open(&world).await;
    for round in 0..rounds().div_ceil(10) {
        // Somebody else each time: a recovery code that has won once is wrong from then on, and there are ten.
        let ada = create_user(&world, &format!("ada{round}@example.com")).await;
        let guarded = guard(&world, &ada).await;
        let challenge = challenged(&world, &ada.email, PASSWORD).await;
        let shown = [Shown::TotpCode(code(&guarded.secret, world.clock.now())), recovery(&guarded.recovery_codes[0])];
        let calls = shown.into_iter().enumerate().map(|(index, shown)| {
            let mut client = SessionServiceClient::new(servers.channel(round + index));
            let request = completion(&challenge.token, shown);
            call(async move { client.complete_sign_in(request).await })
        });
        one_wins(calls.collect(), &[OVER]).await;
        settled(&world).await;
        world.clock.advance(HOUR);
    }
}

/// One code of a second step over several connections at once confirms once.
#[wire_test]
async fn a_code_is_used_once(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let servers = Servers::open(&world).await;
    for round in 0..rounds() {
        // A session does not last as long as the rounds do.
        let session = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
        let (id, code) = step_up::start(&world, &session, OWNER).await;
        let calls = (0..width(round, 10)).map(|index| {
            let mut client = SessionServiceClient::new(servers.channel(index + round));
            let request = world.as_session(&session, step_up::completion(&id, &code));
            call(async move { client.complete_step_up(request).await })
        });
        one_wins(calls.collect(), &[OVER]).await;
        hub.invite(&session, &format!("guest{round}@example.com"), &[]).await.unwrap();
        settled(&world).await;
        world.clock.advance(HOUR);
    }
}

/// ab_19: one link to choose a password over several connections at once chooses one password.
#[wire_test]
async fn ab_19_a_reset_token_is_used_once(world: World) {
    let servers = Servers::open(&world).await;
    for round in 0..rounds() {
        let email = format!("ada{round}@example.com");
        call!(world, users.create_user, world.operator_key(), new_user(&email)).unwrap();
        let token = reset_token(&world, &email).await;
        let calls = (0..width(round, 10)).map(|index| {
            let mut client = CredentialServiceClient::new(servers.channel(index + round));
            let request = reset(&token, &format!("crimson ladder over {index} rivers"));
            call(async move { client.reset_password(request).await })
        });
        one_wins(calls.collect(), &[OVER]).await;
        world.mailbox.wait_for(&email, 2).await;
        settled(&world).await;
        assert_eq!(world.mailbox.mails_for(&email).len(), 2, "the link, and one notice");
    }
}

/// ab_28: of sixteen calls that show the same ID token at once, one gets a session.
#[wire_test]
async fn ab_28_an_id_token_at_once_signs_in_once(world: World) {
    let provider = provider(&world).await;
    linked(&world, &provider, "ada@example.com", "1").await;
    let settings = provider.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let second = world.server_with(&settings).await;
    for round in 0..rounds() {
        let token = provider.token(&world, "1");
        let calls = (0..width(round, 16)).map(|index| {
            let mut client = if (index + round).is_multiple_of(2) { world.sessions() } else { second.sessions() };
            let request = SignInRequest { open_id_connect: Some(token.clone()), ..SignInRequest::default() };
            call(async move { client.sign_in(request).await })
        });
        one_wins(calls.collect(), &["Unauthenticated ID_TOKEN_USED"]).await;
    }
}
