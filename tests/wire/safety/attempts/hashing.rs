//! Calls that make the server hash or estimate passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roster_test_macros::wire_test;
use tonic::{Code, Response, Status};

use super::{REFUSED, from};
use crate::services::credentials::passwords::{change, reset, reset_token};
use crate::support::pb::{
    AcceptInvitationRequest, CheckPermissionRequest, CreateUserRequest, ImportUsersRequest, RevokeInvitationRequest,
    SignInResponse, SignUp, UserToImport,
};
use crate::support::race::told;
use crate::support::scenario::{
    PASSWORD, Scenario, assert_invalid, assert_refused, call, create_user, new_user, retry_delay, service_key, sign_in,
};
use crate::support::world::World;

/// What a hash costs where nobody says otherwise; the other tests hash so cheaply that nothing would wait.
pub(crate) const REAL_HASHES: [(&str, &str); 3] =
    [("argon2-memory-kib", "19456"), ("argon2-iterations", "2"), ("hashing-threads", "1")];

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
                    ..Default::default()
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
    let at_once = async {
        let mut refused = 0;
        while refused < 31 - 2 * 9 {
            let answer = attack.join_next().await.expect("too few are refused").unwrap();
            refused += usize::from(told(&answer) == "ResourceExhausted OVERLOADED");
        }
    };
    // The comparisons that the others wait for take half a minute.
    tokio::time::timeout(Duration::from_secs(5), at_once).await.expect("those who are too many wait");
}
