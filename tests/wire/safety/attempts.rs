//! Guessing, and work that anybody can ask for: what it costs others, and where it ends.

use roster_test_macros::wire_test;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tonic::{Code, Request, Response, Status};

use crate::services::credentials::mfa::{challenged, complete, guard, totp, wrong};
use crate::services::credentials::passwords::{change, reset, reset_token};
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{
    AcceptInvitationRequest, CheckPermissionRequest, CreateUserRequest, ImportUsersRequest, RevokeInvitationRequest,
    SignInRequest, SignInResponse, SignUp, UserToImport,
};
use crate::support::race::{all_told, at_once, told};
use crate::support::safety_kit::retry_delay;
use crate::support::scenario::{
    PASSWORD, Scenario, assert_invalid, assert_refused, call, create_user, new_user, service_key, sign_in,
};
use crate::support::world::{Replica, World};

/// What a hash costs where nobody says otherwise; the other tests hash so cheaply that nothing would wait.
pub(crate) const REAL_HASHES: [(&str, &str); 3] =
    [("argon2-memory-kib", "19456"), ("argon2-iterations", "2"), ("hashing-threads", "1")];

const ADA: &str = "ada@example.com";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const REFUSED: &str = "Unauthenticated SIGN_IN_FAILED";
const TOO_MANY: &str = "ResourceExhausted TOO_MANY_ATTEMPTS";

/// A sign-in that a service passes on for somebody at an address of the network.
fn from(world: &World, key: &str, address: &str, email: &str, password: &str) -> Request<SignInRequest> {
    let attempt = SignInRequest { email: email.to_owned(), password: password.to_owned(), ..SignInRequest::default() };
    let mut request = world.as_service(key, attempt);
    request.metadata_mut().insert("roster-client-ip", address.parse().unwrap());
    request
}

/// What somebody is told who signs in from there.
async fn tried(world: &World, key: &str, address: &str, email: &str, password: &str) -> String {
    let request = from(world, key, address, email, password);
    told(&world.sessions().sign_in(request).await)
}

async fn tried_at(replica: &Replica, world: &World, key: &str, address: &str, email: &str, password: &str) -> String {
    let request = from(world, key, address, email, password);
    told(&replica.sessions().sign_in(request).await)
}

/// Waits until all mail has gone out: what is on its way while the clock moves comes twice.
async fn delivered(world: &World) {
    let queued = "SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'";
    while world.count(queued).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The password that costs an estimate the most: sixty-four characters that stand for letters, in every way.
pub(crate) fn costly() -> String {
    "4@8({[<369!1|70$5+%2".chars().cycle().take(64).collect()
}

/// Somebody who behaves, and asks every few milliseconds whether a user may do something, however long the answers take.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    asking: tokio::task::JoinHandle<Vec<Duration>>,
}

impl Bystander {
    pub(crate) fn watch(team: &Scenario) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (team, stopped) = (team.clone(), stop.clone());
        let asking = tokio::spawn(async move {
            let mut answers = tokio::task::JoinSet::new();
            while !stopped.load(Ordering::Relaxed) {
                let question = CheckPermissionRequest {
                    organization_id: team.organization_id.clone(),
                    user_id: team.owner.user_id.clone(),
                    permission: "members.read".to_owned(),
                };
                let (mut permissions, request) = (team.world.permissions(), team.world.as_operator(question));
                answers.spawn(async move {
                    let start = Instant::now();
                    permissions.check_permission(request).await.unwrap();
                    start.elapsed()
                });
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            answers.join_all().await
        });
        Self { stop, asking }
    }

    /// The time that of a hundred answers ninety-nine took at most.
    pub(crate) async fn p99(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.asking.await.unwrap();
        times.sort();
        times[(times.len() * 99 / 100).min(times.len() - 1)]
    }

    /// The same while nobody asks for anything else.
    pub(crate) async fn idle(team: &Scenario) -> Duration {
        let idle = Self::watch(team);
        tokio::time::sleep(Duration::from_millis(700)).await;
        idle.p99().await
    }
}

/// What a busy machine may add to the time of an answer under attack.
fn tolerable(idle: Duration) -> Duration {
    2 * idle + Duration::from_millis(250)
}

/// ab_31: whoever has no credential cannot have a password estimated: the token comes first, and until then nothing is done that takes time.
#[wire_test(sqlite)]
async fn ab_31_no_password_is_estimated_for_nothing(world: World) {
    let team = Scenario::acme(&world).await;
    let idle = Bystander::idle(&team).await;
    let watched = Bystander::watch(&team);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let mut credentials = world.credentials();
        calls.spawn(async move {
            let start = Instant::now();
            (credentials.reset_password(reset("x", &costly())).await, start.elapsed())
        });
    }
    let answers = calls.join_all().await;
    let longest = answers.iter().map(|(_, took)| *took).max().unwrap();
    let under_attack = watched.p99().await;
    eprintln!("ab_31: p99 {idle:?} idle, {under_attack:?} under attack; the longest answer took {longest:?}");
    for (answer, _) in answers {
        assert_refused(answer, Code::FailedPrecondition, "CHALLENGE_INVALID");
    }
    assert!(under_attack < tolerable(idle), "{under_attack:?}, idle {idle:?}");
}

/// ab_31: a link that is good for nothing any more costs no hash, and is told before the password is looked at; what is hard to guess is asked of everybody who chooses a password.
#[wire_test(sqlite)]
async fn ab_31_a_weak_password_is_told_to_whoever_may_choose_one(world: World) {
    let team = Scenario::acme(&world).await;
    let weak = "violet violet violet";
    let accept = |token: &str| AcceptInvitationRequest {
        token: token.to_owned(),
        sign_up: Some(SignUp { given_name: "Bob".to_owned(), password: weak.to_owned(), ..SignUp::default() }),
        ..AcceptInvitationRequest::default()
    };
    let (invitation, token) = team.invited_by(world.operator_key(), "bob@example.com", &["member"]).await;
    assert_invalid(world.invitations().accept_invitation(accept(&token)).await, &["sign_up.password"]);
    let revocation = RevokeInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, world.operator_key(), revocation).unwrap();
    assert_refused(
        world.invitations().accept_invitation(accept(&token)).await,
        Code::FailedPrecondition,
        "INVITATION_REVOKED",
    );
    let ada = create_user(&world, "ada@example.com").await;
    assert_invalid(
        call!(
            world,
            users.create_user,
            world.operator_key(),
            CreateUserRequest { password: weak.to_owned(), ..new_user("cyd@example.com") }
        ),
        &["password"],
    );
    assert_invalid(call!(world, credentials.change_password, &ada.session, change(PASSWORD, weak)), &["new_password"]);
    let token = reset_token(&world, "ada@example.com").await;
    assert_invalid(world.credentials().reset_password(reset(&token, weak)).await, &["new_password"]);
    world.credentials().reset_password(reset(&token, "crimson ladder over 7 rivers")).await.unwrap();
    assert_refused(
        world.credentials().reset_password(reset(&token, weak)).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    world.mailbox.wait_for("ada@example.com", 2).await;
}

/// Two hundred wrong sign-ins a second at five accounts, from five places, and what a right one of somebody else is told meanwhile: refused, and tried.
async fn flood(
    world: &World,
    key: &str,
    seconds: u32,
) -> (usize, usize, Vec<Result<Response<SignInResponse>, Status>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (attacked, key_of_service, stopped) = (world.clone(), key.to_owned(), stop.clone());
    let attack = tokio::spawn(async move {
        let mut answers = tokio::task::JoinSet::new();
        for index in 0.. {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            let (place, email) = (format!("198.51.100.{}", index % 5), format!("victim{}@example.com", index % 5));
            let request = from(&attacked, &key_of_service, &place, &email, "crimson ladder over 7 rivers");
            let mut sessions = attacked.sessions();
            answers.spawn(async move { sessions.sign_in(request).await });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answers.join_all().await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (mut refused, mut tries) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds.into()) {
        let request = from(world, key, "203.0.113.9", "honest@example.com", PASSWORD);
        tries += 1;
        refused += usize::from(world.sessions().sign_in(request).await.is_err());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    (refused, tries, attack.await.unwrap())
}

/// ab_14, ab_54: two hundred wrong sign-ins a second at five accounts keep nobody else out and no check waiting; what is too much is refused at once, with the time to come back after.
#[wire_test(sqlite)]
async fn ab_14_a_flood_of_wrong_passwords_keeps_nobody_out(world: World) {
    world.restart_with(&REAL_HASHES).await;
    let team = Scenario::acme(&world).await;
    let key = service_key(&world, &["users.read"]).await;
    create_user(&world, "honest@example.com").await;
    for index in 0..5 {
        create_user(&world, &format!("victim{index}@example.com")).await;
    }
    let idle = Bystander::idle(&team).await;
    // Without the delays, so that the line itself is seen.
    world
        .restart_with(
            &[REAL_HASHES.as_slice(), &[("sign-in-failures", "1000000"), ("sign-in-network-failures", "1000000")]]
                .concat(),
        )
        .await;
    for delays in [false, true] {
        if delays {
            world.restart_with(&REAL_HASHES).await;
        }
        let watched = Bystander::watch(&team);
        let (refused, tries, answers) = flood(&world, &key, 2).await;
        let under_attack = watched.p99().await;
        let wrong = answers.iter().filter(|answer| told(answer) == REFUSED).count();
        eprintln!(
            "ab_14, delays {delays}: p99 {idle:?} idle, {under_attack:?} under attack; {refused} of {tries} right sign-ins refused; {wrong} of {} guesses looked at",
            answers.len()
        );
        assert_eq!(refused, 0, "of {tries}");
        assert!(under_attack < tolerable(idle), "{under_attack:?}, idle {idle:?}");
        for status in
            answers.into_iter().filter_map(Result::err).filter(|status| status.code() == Code::ResourceExhausted)
        {
            assert!(retry_delay(&status).is_some_and(|delay| delay > Duration::ZERO));
        }
        assert!(!delays || wrong <= 50, "{wrong} guesses");
    }
}

/// ab_45: of one imported hash that takes a second to compare, one is compared at a time, and others sign in meanwhile.
#[wire_test(sqlite)]
async fn ab_45_a_dear_hash_starves_nobody(world: World) {
    const DEAR: &str = "$2b$14$Nfi7wvDw1xDSBJ3hJi7KN.8kTKFNh9Sb9FWtqj5rsCVJV0/KEkmMS";
    world.restart_with(&REAL_HASHES).await;
    let team = Scenario::acme(&world).await;
    create_user(&world, "honest@example.com").await;
    let person = |index: i64| UserToImport {
        index,
        email: format!("dear{index}@example.com"),
        given_name: "Dear".to_owned(),
        password_hash: DEAR.to_owned(),
        ..UserToImport::default()
    };
    let batch = ImportUsersRequest {
        import_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned(),
        users: (0..2).map(person).collect(),
        validate_only: false,
    };
    let mut stream = call!(world, users.import_users, world.operator_key(), tokio_stream::iter([batch])).unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().created_count, 2);
    let idle = Bystander::idle(&team).await;
    let watched = Bystander::watch(&team);
    let mut attack = tokio::task::JoinSet::new();
    for index in 0..31 {
        let world = world.clone();
        // What is typed is not in the form that is hashed: it is compared twice.
        attack.spawn(async move {
            sign_in(&world, &format!("dear{}@example.com", index % 2), "cafe\u{301} au lait").await.map(drop)
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let start = Instant::now();
        sign_in(&world, "honest@example.com", PASSWORD).await.unwrap();
        longest = longest.max(start.elapsed());
    }
    let under_attack = watched.p99().await;
    eprintln!("ab_45: p99 {idle:?} idle, {under_attack:?} under attack; a right sign-in took {longest:?} at most");
    assert!(longest < Duration::from_millis(1500), "{longest:?}");
    assert!(under_attack < tolerable(idle), "{under_attack:?}, idle {idle:?}");
    // Nine for an account: one at work and eight who wait. The others have been told at once.
    let mut at_once = 0;
    while let Some(Some(answer)) = futures_util::FutureExt::now_or_never(attack.join_next()) {
        at_once += usize::from(told(&answer.unwrap()) == "ResourceExhausted OVERLOADED");
    }
    assert!(at_once >= 31 - 2 * 9, "{at_once}");
}

/// ab_25: after ten wrong passwords in a row the next one has to wait, longer each time, on every replica and over a restart; and a right one, in its time, ends that.
#[wire_test]
async fn ab_25_wrong_passwords_cost_time(world: World) {
    create_user(&world, ADA).await;
    let replica = world.second_server().await;
    let key = service_key(&world, &["users.read"]).await;
    for index in 0..10 {
        assert_eq!(tried(&world, &key, &format!("198.51.100.{index}"), ADA, "wrong").await, REFUSED);
    }
    let before = world.count("SELECT COUNT(*) AS n FROM sign_ins").await;
    for wait in [30, 60, 120] {
        let refused = world.sessions().sign_in(from(&world, &key, "198.51.100.77", ADA, PASSWORD)).await.unwrap_err();
        assert_eq!(told(&Err::<(), _>(refused.clone())), TOO_MANY);
        let delay = retry_delay(&refused).unwrap();
        assert!(delay <= Duration::from_secs(wait) && delay > Duration::from_secs(wait - 2), "{delay:?}");
        assert_eq!(tried_at(&replica, &world, &key, "198.51.100.78", ADA, PASSWORD).await, TOO_MANY);
        world.restart_with(&[]).await;
        assert_eq!(tried(&world, &key, "198.51.100.79", ADA, PASSWORD).await, TOO_MANY);
        // In any spelling of the address.
        assert_eq!(tried(&world, &key, "198.51.100.79", "Ada@EXAMPLE.com", PASSWORD).await, TOO_MANY);
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(tried(&world, &key, "198.51.100.80", ADA, "wrong").await, REFUSED);
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sign_ins").await, before + 3, "what is refused leaves nothing");
    world.clock.advance(4 * MINUTE);
    assert_eq!(tried(&world, &key, "198.51.100.81", ADA, PASSWORD).await, "OK");
    for _ in 0..10 {
        assert_eq!(tried(&world, &key, "198.51.100.82", ADA, "wrong").await, REFUSED);
    }
    // A day later it is forgotten.
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, PASSWORD).await, TOO_MANY);
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, "wrong").await, REFUSED);
    assert_eq!(tried(&world, &key, "198.51.100.83", ADA, PASSWORD).await, "OK");
}

/// ab_25: whoever fails on purpose locks nobody out: a live session goes on and changes its password, the owner signs in from where they have before, and whoever has a reset in hand
/// signs in from where they used it.
#[wire_test]
async fn ab_25_failing_on_purpose_locks_nobody_out(world: World) {
    let ada = create_user(&world, ADA).await;
    let key = service_key(&world, &["users.read"]).await;
    assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, PASSWORD).await, "OK");
    let exhaust = async || {
        while tried(&world, &key, "198.51.100.66", ADA, "wrong").await == REFUSED {}
    };
    exhaust().await;
    assert_eq!(tried(&world, &key, "198.51.100.67", ADA, PASSWORD).await, TOO_MANY, "a stranger");
    // Anywhere in their network, and with mistakes of their own, which are counted apart.
    for index in 0..9 {
        assert_eq!(tried(&world, &key, &format!("2001:db8:0:7::{index}"), ADA, "mistyped").await, REFUSED);
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:7:ffff::1", ADA, PASSWORD).await, "OK");
    assert_eq!(tried(&world, &key, "198.51.100.67", ADA, PASSWORD).await, TOO_MANY, "the stranger still waits");
    let another = "crimson ladder over 7 rivers";
    call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)).unwrap();
    world.mailbox.wait_for(ADA, 1).await;
    // At home there are no more free guesses than elsewhere.
    for _ in 0..10 {
        assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, "wrong").await, REFUSED);
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:7::1", ADA, another).await, TOO_MANY);
    let token = reset_token(&world, ADA).await;
    let mut request = world.as_service(&key, reset(&token, PASSWORD));
    request.metadata_mut().insert("roster-client-ip", "203.0.113.5".parse().unwrap());
    world.credentials().reset_password(request).await.unwrap();
    exhaust().await;
    assert_eq!(tried(&world, &key, "203.0.113.5", ADA, PASSWORD).await, "OK");
    assert_eq!(tried(&world, &key, "203.0.113.6", ADA, PASSWORD).await, TOO_MANY);
    world.mailbox.wait_for(ADA, 3).await;
}

/// ab_25: one password tried on many addresses is counted by where it comes from, however the addresses in a /64 are rotated, and by who passes it on; others elsewhere sign in.
#[wire_test]
async fn ab_25_spraying_is_counted_by_its_origin(world: World) {
    world.restart_with(&[("sign-in-network-failures", "20"), ("sign-in-caller-failures", "30")]).await;
    create_user(&world, ADA).await;
    let (key, other) = (service_key(&world, &["users.read"]).await, service_key(&world, &["users.read"]).await);
    for index in 0..20 {
        assert_eq!(
            tried(&world, &key, &format!("2001:db8:0:9::{index:x}"), &format!("nobody{index}@example.com"), "wrong")
                .await,
            REFUSED
        );
    }
    assert_eq!(tried(&world, &key, "2001:db8:0:9:ffff::1", ADA, PASSWORD).await, TOO_MANY);
    assert_eq!(tried(&world, &key, "2001:db8:0:9:ffff::1", "nobody@example.com", PASSWORD).await, TOO_MANY);
    assert_eq!(tried(&world, &key, "2001:db8:0:a::1", ADA, PASSWORD).await, "OK");
    for index in 0..10 {
        assert_eq!(
            tried(&world, &key, &format!("2001:db8:1:{index}::1"), &format!("nobody{index}@example.com"), "wrong")
                .await,
            REFUSED
        );
    }
    assert_eq!(
        tried(&world, &key, "2001:db8:0:b::1", ADA, PASSWORD).await,
        TOO_MANY,
        "the service has passed on too much"
    );
    assert_eq!(
        tried(&world, &key, "2001:db8:0:a::2", ADA, PASSWORD).await,
        "OK",
        "from where they have signed in before"
    );
    assert_eq!(tried(&world, &other, "2001:db8:0:b::1", ADA, PASSWORD).await, "OK");
    // The full hour over, it begins anew.
    world.clock.advance(60 * MINUTE);
    assert_eq!(tried(&world, &key, "2001:db8:0:9::1", ADA, PASSWORD).await, "OK");
}

/// ab_25: many connections at once get no more guesses than one after the other would, but for one for each further replica.
#[wire_test]
async fn ab_25_guesses_at_once_are_no_more(world: World) {
    create_user(&world, ADA).await;
    let replica = world.second_server().await;
    let key = service_key(&world, &["users.read"]).await;
    let mut looked_at = 0;
    for round in 0..8 {
        let guess = |index: usize| {
            let client = if index.is_multiple_of(2) { world.sessions() } else { replica.sessions() };
            let request = from(&world, &key, &format!("198.51.{round}.{index}"), ADA, "wrong");
            async move {
                let mut client = client;
                client.sign_in(request).await
            }
        };
        let answers = at_once((0..20).map(guess).collect()).await;
        looked_at += all_told(&answers).iter().filter(|told| *told == REFUSED).count();
    }
    eprintln!("ab_25: {looked_at} guesses of 160 were looked at");
    assert!((10..=11).contains(&looked_at), "{looked_at}");
}

/// ab_25: a wrong present password counts for whoever has the session, and for nobody else: neither does it keep the owner from signing in, nor a stranger the owner from this.
#[wire_test]
async fn ab_25_a_session_does_not_guess_passwords(world: World) {
    let ada = create_user(&world, ADA).await;
    let another = "crimson ladder over 7 rivers";
    for _ in 0..10 {
        assert_refused(
            call!(world, credentials.change_password, &ada.session, change("wrong", another)),
            Code::FailedPrecondition,
            "PASSWORD_INCORRECT",
        );
    }
    assert_refused(
        call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)),
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
    );
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    world.clock.advance(MINUTE);
    call!(world, credentials.change_password, &ada.session, change(PASSWORD, another)).unwrap();
    world.mailbox.wait_for(ADA, 1).await;
}

/// ab_25: after a hundred wrong codes in a row no code is looked at until a new password has been chosen by a link; the owner is told by mail before and then.
#[wire_test]
async fn ab_25_a_hundred_wrong_codes_need_a_reset(world: World) {
    // Who has come by a link keeps their second factor through a reset (ab_34).
    let ada = Scenario::acme(&world).await.join(ADA, &["member"]).await;
    let guarded = guard(&world, &ada).await;
    world.mailbox.wait_for(ADA, 2).await;
    let mut wrong_codes = 0;
    while wrong_codes < 100 {
        let challenge = challenged(&world, ADA, PASSWORD).await;
        let answer = complete(&world, &challenge.token, Shown::TotpCode(wrong(&guarded.secret, &world))).await;
        match told(&answer).as_str() {
            "FailedPrecondition CODE_INVALID" => wrong_codes += 1,
            _ => {
                assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
                delivered(&world).await;
                world.clock.advance(60 * MINUTE);
            }
        }
    }
    delivered(&world).await;
    world.clock.advance(24 * 60 * MINUTE);
    let challenge = challenged(&world, ADA, PASSWORD).await;
    assert_refused(
        complete(&world, &challenge.token, totp(&guarded, &world)).await,
        Code::FailedPrecondition,
        "SECOND_FACTOR_EXHAUSTED",
    );
    let warnings = world.mailbox.wait_for(ADA, 4).await;
    assert!(
        warnings[2..].iter().all(|mail| mail.subject == "Wrong codes for your account"),
        "{:?}",
        warnings[2].subject
    );
    let token = reset_token(&world, ADA).await;
    let another = "crimson ladder over 7 rivers";
    world.credentials().reset_password(reset(&token, another)).await.unwrap();
    let challenge = challenged(&world, ADA, another).await;
    complete(&world, &challenge.token, totp(&guarded, &world)).await.unwrap();
    world.mailbox.wait_for(ADA, 6).await;
}

/// ab_47: of a sign-in to an address that nobody has nothing is kept that its caller chose; it is counted, and what is counted does not tell whom.
#[wire_test]
async fn ab_47_what_strangers_say_is_not_kept(world: World) {
    let key = service_key(&world, &["users.read"]).await;
    let long = "x".repeat(300);
    for index in 0..3 {
        if index == 1 {
            world.clock.advance(SECOND);
        }
        let mut request = from(&world, &key, "192.0.2.7", &format!("nobody{index}@example.com"), "wrong");
        request.get_mut().user_agent.clone_from(&long);
        assert_eq!(told(&world.sessions().sign_in(request).await), REFUSED);
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sign_ins").await, 0);
    // One for each address, one for the network, one for the caller.
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM attempts").await, 5);
    let rows = crate::support::safety_kit::dump(world.database()).await;
    assert!(!rows.values().flatten().any(|row| row.contains("xxxx") || row.contains("nobody")));
    // Each is forgotten after a day, and not a second before.
    let count = async || world.count("SELECT COUNT(*) AS n FROM attempts").await;
    let young = "SELECT COUNT(*) AS n FROM attempts WHERE forget_time = (SELECT MAX(forget_time) FROM attempts)";
    let young = world.count(young).await;
    assert!((1..5).contains(&young), "{young}");
    for (passed, left) in [(Duration::from_secs(24 * 3600) - SECOND, young), (SECOND, 0)] {
        world.clock.advance(passed);
        world.restart_with(&[]).await;
        let forgotten = tokio::time::timeout(Duration::from_secs(20), async {
            while count().await > left {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        forgotten.await.expect("a count is forgotten after a day");
        assert_eq!(count().await, left);
    }
}
