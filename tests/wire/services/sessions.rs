//! Signing in, the life of a session, and its end.

pub(crate) mod authorization;
pub(crate) mod history;
pub(crate) mod step_up;

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Request};

use crate::support::pb::{
    GetUserRequest, ListSessionsRequest, RevokeSessionRequest, Session, SignInRequest, SignOutRequest,
    VerifySessionRequest, VerifySessionResponse,
};
use crate::support::scenario::{
    PASSWORD, Person, assert_invalid, assert_refused, call, create_user, service_key, sign_in, time, traces,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

async fn verify(world: &World, token: &str) -> VerifySessionResponse {
    let request = VerifySessionRequest { session_token: token.to_owned(), ..Default::default() };
    call!(world, sessions.verify_session, world.operator_key(), request).unwrap()
}

async fn use_it(world: &World, person: &Person) -> Result<(), tonic::Status> {
    let request = GetUserRequest { user_id: person.user_id.clone() };
    call!(world, users.get_user, &person.session, request).map(drop)
}

async fn live(world: &World, credential: &str, user_id: &str) -> Vec<Session> {
    let request = ListSessionsRequest { user_id: user_id.to_owned(), ..ListSessionsRequest::default() };
    call!(world, sessions.list_sessions, credential, request).unwrap().sessions
}

fn revocation(user_id: &str, session_id: &str) -> RevokeSessionRequest {
    RevokeSessionRequest { user_id: user_id.to_owned(), session_id: session_id.to_owned() }
}

/// With e-mail and password somebody is signed in; the answer has the session, its token and the user.
#[wire_test]
async fn signing_in_begins_a_session(world: World) {
    let ada = create_user(&world, ADA).await;
    world.clock.advance(SECOND);
    let key = service_key(&world, &["sessions.verify"]).await;
    let request = SignInRequest {
        open_id_connect: None,
        email: "Ada@EXAMPLE.com".to_owned(),
        password: PASSWORD.to_owned(),
        user_agent: "Firefox on Linux".to_owned(),
        username: String::new(),
    };
    let mut request = world.as_service(&key, request);
    request.metadata_mut().insert("roster-client-ip", "192.0.2.7".parse().unwrap());
    let answer = world.sessions().sign_in(request).await.unwrap().into_inner();
    let (session, user) = (answer.session.unwrap(), answer.user.unwrap());
    assert_eq!((&user.user_id, user.email.as_str(), &session.user_id), (&ada.user_id, ADA, &ada.user_id));
    assert_eq!((session.user_agent.as_str(), session.ip_address.as_str()), ("Firefox on Linux", "192.0.2.7"));
    let now = world.clock.now();
    assert_eq!(
        (
            time(session.create_time.as_ref()),
            time(session.last_used_time.as_ref()),
            time(user.last_sign_in_time.as_ref())
        ),
        (now, now, now)
    );
    assert_eq!(time(session.idle_expire_time.as_ref()), now + chrono::Duration::days(7));
    assert_eq!(time(session.expire_time.as_ref()), now + chrono::Duration::days(30));
    let verified = verify(&world, &answer.session_token).await;
    assert_eq!((verified.valid, verified.session, verified.user), (true, Some(session), Some(user)));
}

/// A person reports no network address of their own; only a service is believed.
#[wire_test]
async fn a_person_does_not_choose_their_address(world: World) {
    create_user(&world, ADA).await;
    let request = SignInRequest { email: ADA.to_owned(), password: PASSWORD.to_owned(), ..SignInRequest::default() };
    let mut request = Request::new(request);
    request.metadata_mut().insert("roster-client-ip", "192.0.2.7".parse().unwrap());
    let answer = world.sessions().sign_in(request).await.unwrap().into_inner();
    assert_eq!(answer.session.unwrap().ip_address, "");
}

/// What a service reports as a network address and is none is not kept; one that is, in the one form that it is written in.
#[wire_test]
async fn what_is_no_network_address_is_not_kept(world: World) {
    create_user(&world, ADA).await;
    let key = service_key(&world, &["sessions.verify"]).await;
    for (reported, kept) in [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("<b>here</b>", ""),
        ("192.0.2.7, 10.0.0.1", ""),
        ("192.0.2.7:443", ""),
        ("", ""),
    ] {
        let request =
            SignInRequest { email: ADA.to_owned(), password: PASSWORD.to_owned(), ..SignInRequest::default() };
        let mut request = world.as_service(&key, request);
        request.metadata_mut().insert("roster-client-ip", reported.parse().unwrap());
        let session = world.sessions().sign_in(request).await.unwrap().into_inner().session.unwrap();
        assert_eq!(session.ip_address, kept, "{reported}");
    }
}

/// ab_15: a wrong password, an unknown address and what is no address at all get the same answer, to the byte, and begin nothing.
#[wire_test]
async fn ab_15_sign_in_does_not_tell_who_exists(world: World) {
    create_user(&world, ADA).await;
    let before = traces(&world).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (ADA, "crimson ladder over 7 rivers"),
        (ADA, "violet tractor under 9 moon"),
        (ADA, " violet tractor under 9 moons"),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
    ] {
        let refused = sign_in(&world, email, password).await.unwrap_err();
        answers.push((refused.code(), refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_refused(sign_in(&world, ADA, "x").await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_invalid(sign_in(&world, "", "").await, &["email", "password"]);
    assert_eq!(traces(&world).await, before);
}

/// A password may be typed in any Unicode form of the same characters.
#[wire_test]
async fn a_password_is_compared_in_normal_form(world: World) {
    let request = crate::support::pb::CreateUserRequest {
        password: "caf\u{e9} tractor under 9 moons".to_owned(),
        ..crate::support::scenario::new_user(ADA)
    };
    call!(world, users.create_user, world.operator_key(), request).unwrap();
    sign_in(&world, ADA, "cafe\u{301} tractor under 9 moons").await.unwrap();
    sign_in(&world, ADA, "cafe tractor under 9 moons").await.unwrap_err();
}

/// A session ends when it was not used for its idle time, to the second; each use gives it another.
#[wire_test]
async fn an_unused_session_ends(world: World) {
    let ada = create_user(&world, ADA).await;
    for _ in 0..3 {
        world.clock.advance(7 * DAY - SECOND);
        use_it(&world, &ada).await.unwrap();
    }
    world.clock.advance(7 * DAY);
    assert_refused(use_it(&world, &ada).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_eq!(verify(&world, &ada.session).await, VerifySessionResponse::default());
    assert!(live(&world, world.operator_key(), &ada.user_id).await.is_empty());
}

/// Verifying counts as a use.
#[wire_test]
async fn verifying_is_a_use(world: World) {
    let ada = create_user(&world, ADA).await;
    world.clock.advance(4 * DAY);
    assert!(verify(&world, &ada.session).await.valid);
    world.clock.advance(4 * DAY);
    use_it(&world, &ada).await.unwrap();
}

/// However much it is used, a session ends with its lifetime, to the second.
#[wire_test]
async fn a_session_ends_with_its_lifetime(world: World) {
    let ada = create_user(&world, ADA).await;
    for _ in 0..5 {
        world.clock.advance(5 * DAY);
        use_it(&world, &ada).await.unwrap();
    }
    world.clock.advance(5 * DAY - SECOND);
    use_it(&world, &ada).await.unwrap();
    let session = verify(&world, &ada.session).await.session.unwrap();
    assert_eq!(session.idle_expire_time, session.expire_time, "no session outlives its lifetime by being used");
    world.clock.advance(SECOND);
    assert_refused(use_it(&world, &ada).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert!(!verify(&world, &ada.session).await.valid);
}

/// The limits are the operator's to set.
#[wire_test]
async fn the_limits_are_settings(world: World) {
    world.restart_with(&[("session-idle", "10m"), ("session-lifetime", "15m")]).await;
    let ada = create_user(&world, ADA).await;
    world.clock.advance(599 * SECOND);
    use_it(&world, &ada).await.unwrap();
    world.clock.advance(301 * SECOND);
    assert_refused(use_it(&world, &ada).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
}

/// After the parameters of hashing have changed, the next sign-in hashes the password again, once, and nobody notices.
#[wire_test]
async fn a_password_is_rehashed_when_parameters_change(world: World) {
    let ada = create_user(&world, ADA).await;
    let stored = async |parameters: &str| {
        world.count(&format!("SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '%{parameters}%'")).await
    };
    assert_eq!((stored("m=64,t=1").await, stored("m=128,t=2").await), (1, 0));
    world.restart_with(&[("argon2-memory-kib", "128"), ("argon2-iterations", "2")]).await;
    sign_in(&world, ADA, "crimson ladder over 7 rivers").await.unwrap_err();
    assert_eq!(stored("m=64,t=1").await, 1, "a wrong password changes nothing");
    use_it(&world, &ada).await.unwrap();
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    assert_eq!((stored("m=64,t=1").await, stored("m=128,t=2").await), (0, 1));
    sign_in(&world, ADA, PASSWORD).await.unwrap();
    sign_in(&world, ADA, "crimson ladder over 7 rivers").await.unwrap_err();
}

/// Signing out ends this session, at once and on every server, and no other.
#[wire_test]
async fn signing_out_ends_one_session(world: World) {
    let ada = create_user(&world, ADA).await;
    let second = world.second_server().await;
    let other = Person { session: sign_in(&world, ADA, PASSWORD).await.unwrap().session_token, ..ada.clone() };
    call!(world, sessions.sign_out, &ada.session, SignOutRequest {}).unwrap();
    assert_refused(use_it(&world, &ada).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let elsewhere =
        second.users().get_user(world.as_session(&ada.session, GetUserRequest { user_id: ada.user_id.clone() })).await;
    assert_refused(elsewhere, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_refused(
        call!(world, sessions.sign_out, &ada.session, SignOutRequest {}),
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    assert!(!verify(&world, &ada.session).await.valid);
    use_it(&world, &other).await.unwrap();
    assert_refused(
        call!(world, sessions.sign_out, world.operator_key(), SignOutRequest {}),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    assert_refused(world.sessions().sign_out(SignOutRequest {}).await, Code::Unauthenticated, "CREDENTIALS_MISSING");
}

/// A user sees their live sessions, newest first, and ends any of them; nobody else's.
#[wire_test]
async fn sessions_are_listed_and_revoked(world: World) {
    let ada = create_user(&world, ADA).await;
    let bob = create_user(&world, "bob@example.com").await;
    let mut tokens = vec![ada.session.clone()];
    for _ in 0..2 {
        world.clock.advance(SECOND);
        tokens.push(sign_in(&world, ADA, PASSWORD).await.unwrap().session_token);
    }
    let sessions = live(&world, &ada.session, &ada.user_id).await;
    let mut expected = Vec::new();
    for token in tokens.iter().rev() {
        expected.push(verify(&world, token).await.session.unwrap().session_id);
    }
    assert_eq!(sessions.iter().map(|session| session.session_id.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(live(&world, world.operator_key(), &ada.user_id).await, sessions);

    let victim = revocation(&ada.user_id, &expected[0]);
    for (request, reason) in
        [(victim.clone(), "USER_NOT_FOUND"), (revocation(&bob.user_id, &expected[0]), "SESSION_NOT_FOUND")]
    {
        assert_refused(call!(world, sessions.revoke_session, &bob.session, request), Code::NotFound, reason);
    }
    let peek = ListSessionsRequest { user_id: ada.user_id.clone(), ..ListSessionsRequest::default() };
    assert_refused(call!(world, sessions.list_sessions, &bob.session, peek), Code::NotFound, "USER_NOT_FOUND");
    assert!(verify(&world, &tokens[2]).await.valid);

    call!(world, sessions.revoke_session, &ada.session, victim.clone()).unwrap();
    assert!(!verify(&world, &tokens[2]).await.valid);
    assert_eq!(live(&world, &ada.session, &ada.user_id).await.len(), 2);
    // The same call again: what it asks for is so.
    call!(world, sessions.revoke_session, &ada.session, victim.clone()).unwrap();
    assert_refused(
        call!(world, sessions.revoke_session, &bob.session, revocation(&bob.user_id, &expected[0])),
        Code::NotFound,
        "SESSION_NOT_FOUND",
    );
    call!(world, sessions.revoke_session, world.operator_key(), revocation(&ada.user_id, &expected[1])).unwrap();
    assert!(!verify(&world, &tokens[1]).await.valid);
    use_it(&world, &ada).await.unwrap();
}

/// VerifySession is for services with its scope, and says no more than no to anything that is not a live session.
#[wire_test]
async fn verifying_says_no_more_than_no(world: World) {
    let ada = create_user(&world, ADA).await;
    let request = || VerifySessionRequest { session_token: ada.session.clone(), ..Default::default() };
    let other = service_key(&world, &["sessions.read"]).await;
    assert_refused(call!(world, sessions.verify_session, &other, request()), Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_refused(
        call!(world, sessions.verify_session, &ada.session, request()),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    for wrong in [
        "x",
        "rss_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        world.operator_key(),
        &format!("{}A", ada.session),
        &ada.session.to_uppercase(),
    ] {
        assert_eq!(verify(&world, wrong).await, VerifySessionResponse::default());
    }
}

/// What is no live credential is refused, also by methods that need none, and in the same words.
#[wire_test]
async fn bad_credentials_are_refused_alike(world: World) {
    let ada = create_user(&world, ADA).await;
    let mut answers = Vec::new();
    for value in [
        "Bearer rss_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Bearer rsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Bearer x",
        "Bearer ",
        "Bearer",
        "Basic YTpi",
        &ada.session,
    ] {
        let mut request = Request::new(GetUserRequest { user_id: ada.user_id.clone() });
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        let refused = world.users().get_user(request).await.unwrap_err();
        answers.push((refused.code(), refused.message().to_owned(), refused.details().to_vec()));
        let mut request = Request::new(SignInRequest {
            email: ADA.to_owned(),
            password: PASSWORD.to_owned(),
            ..SignInRequest::default()
        });
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        assert_refused(world.sessions().sign_in(request).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let mut request = Request::new(GetUserRequest { user_id: ada.user_id.clone() });
    request.metadata_mut().insert("authorization", format!("bEARER {}", ada.session).parse().unwrap());
    world.users().get_user(request).await.unwrap();
}
