//! Identities at OpenID Connect providers: signing up and in with them, linking and unlinking; forged tokens (ab_28), and what a provider could make Roster fetch (ab_29).

mod id_tokens;
mod providers;

use roster_test_macros::wire_test;
use tonic::{Code, Response, Status};

use crate::services::credentials::mfa::guard;
use crate::services::credentials::passwords::{reset, reset_token};
use crate::support::identity_provider::{IdentityProvider, Signer};
use crate::support::pb::{
    AcceptInvitationRequest, AcceptInvitationResponse, DeleteUserRequest, Identity, LinkIdentityRequest,
    ListIdentitiesRequest, OpenIdConnectToken, SignInRequest, SignInResponse, SignUp, SuspendUserRequest,
    UnlinkIdentityRequest,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, create_user, service_key, settled, sign_in,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";

/// A provider that the world's server trusts.
pub(crate) async fn provider(world: &World) -> IdentityProvider {
    let provider = IdentityProvider::start(world, Signer::es256()).await;
    provider.trusted_by(world).await;
    provider
}

/// Signs in with an ID token.
pub(crate) async fn enter(world: &World, token: OpenIdConnectToken) -> Result<SignInResponse, Status> {
    let request = SignInRequest { open_id_connect: Some(token), ..SignInRequest::default() };
    world.sessions().sign_in(request).await.map(Response::into_inner)
}

/// Accepts as a new person with an identity.
pub(crate) async fn accept_with(
    world: &World,
    invitation: &str,
    token: OpenIdConnectToken,
    request_id: &str,
) -> Result<AcceptInvitationResponse, Status> {
    let request = AcceptInvitationRequest {
        token: invitation.to_owned(),
        sign_up: Some(SignUp { given_name: "Ada".to_owned(), open_id_connect: Some(token), ..SignUp::default() }),
        request_id: request_id.to_owned(),
        ..AcceptInvitationRequest::default()
    };
    let answer = world.invitations().accept_invitation(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn link(world: &World, session: &str, token: OpenIdConnectToken) -> Result<Identity, Status> {
    let request = LinkIdentityRequest { open_id_connect: Some(token), ..LinkIdentityRequest::default() };
    let answer = call!(world, credentials.link_identity, session, request)?;
    Ok(answer.identity.unwrap())
}

async fn identities(world: &World, credential: &str, user_id: &str) -> Result<Vec<Identity>, Status> {
    let request = ListIdentitiesRequest { user_id: user_id.to_owned() };
    let answer = call!(world, credentials.list_identities, credential, request)?;
    Ok(answer.identities)
}

pub(crate) async fn unlink(world: &World, session: &str, identity_id: &str) -> Result<(), Status> {
    let request = UnlinkIdentityRequest { identity_id: identity_id.to_owned(), ..UnlinkIdentityRequest::default() };
    call!(world, credentials.unlink_identity, session, request).map(drop)
}

/// Somebody with an account and this identity.
pub(crate) async fn linked(world: &World, provider: &IdentityProvider, email: &str, subject: &str) -> Person {
    let person = create_user(world, email).await;
    link(world, &person.session, provider.token(world, subject)).await.unwrap();
    settled(world).await;
    person
}

/// Holds that a token is refused for this flaw.
#[track_caller]
fn assert_flaw<T: std::fmt::Debug>(answer: Result<T, Status>, flaw: &str) {
    let refused = assert_refused(answer, Code::Unauthenticated, "ID_TOKEN_INVALID");
    assert_eq!(refused.metadata["flaw"], flaw);
}

/// An identity is linked with the person's own session, listed, signed in with, nobody else's, and taken away again; its person is told by mail of both.
#[wire_test]
async fn an_identity_is_linked_used_and_taken_away(world: World) {
    let provider = provider(&world).await;
    let (ada, bob) = (create_user(&world, ADA).await, create_user(&world, "bob@example.com").await);
    let refused =
        assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_eq!(refused.hint(), "accept an invitation with it, or link it while signed in");
    let token = provider.token(&world, "1");
    let request =
        || LinkIdentityRequest { open_id_connect: Some(token.clone()), request_id: uuid::Uuid::nil().to_string() };
    let first = call!(world, credentials.link_identity, &ada.session, request()).unwrap();
    assert_eq!(call!(world, credentials.link_identity, &ada.session, request()).unwrap(), first);
    let found = identities(&world, &ada.session, &ada.user_id).await.unwrap();
    assert_eq!(found, vec![first.identity.clone().unwrap()]);
    assert_eq!((found[0].issuer.as_str(), found[0].subject.as_str()), (provider.issuer.as_str(), "1"));
    let refused = assert_refused(
        link(&world, &bob.session, provider.token(&world, "1")).await,
        Code::AlreadyExists,
        "IDENTITY_TAKEN",
    );
    assert_eq!(refused.hint(), "sign in with it");
    assert_refused(identities(&world, &bob.session, &ada.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    assert_refused(unlink(&world, &bob.session, &found[0].identity_id).await, Code::NotFound, "IDENTITY_NOT_FOUND");

    let entered = enter(&world, provider.token(&world, "1")).await.unwrap();
    assert_eq!(entered.user.unwrap().user_id, ada.user_id);
    let used = identities(&world, world.operator_key(), &ada.user_id).await.unwrap();
    assert!(used[0].last_used_time.is_some());
    let request = || UnlinkIdentityRequest {
        identity_id: found[0].identity_id.clone(),
        request_id: uuid::Uuid::nil().to_string(),
    };
    call!(world, credentials.unlink_identity, &ada.session, request()).unwrap();
    call!(world, credentials.unlink_identity, &ada.session, request()).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    assert_refused(
        identities(&world, &entered.session_token, &ada.user_id).await,
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
    assert_eq!(world.mailbox.wait_for(ADA, 2).await.len(), 2);
    link(&world, &bob.session, provider.token(&world, "1")).await.unwrap();
}

/// Without a password, the last identity stays; a link in a mail sets a first password, and then it can go. Deleting the account leaves the identity to others.
#[wire_test]
async fn the_last_way_in_stays(world: World) {
    let provider = provider(&world).await;
    let acme = Scenario::acme(&world).await;
    let accepted =
        accept_with(&world, &acme.invited(ADA, &["member"]).await, provider.token(&world, "1"), "").await.unwrap();
    let own = identities(&world, &accepted.session_token, &accepted.user_id).await.unwrap().remove(0);
    let refused = assert_refused(
        unlink(&world, &accepted.session_token, &own.identity_id).await,
        Code::FailedPrecondition,
        "LAST_CREDENTIAL",
    );
    assert_eq!(refused.hint(), "set a password or link another identity first");
    assert_refused(sign_in(&world, ADA, PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");

    let token = reset_token(&world, ADA).await;
    world.credentials().reset_password(reset(&token, PASSWORD)).await.unwrap();
    let session = sign_in(&world, ADA, PASSWORD).await.unwrap().session_token;
    unlink(&world, &session, &own.identity_id).await.unwrap();
    link(&world, &session, provider.token(&world, "1")).await.unwrap();

    let request = DeleteUserRequest { user_id: accepted.user_id, ..Default::default() };
    call!(world, users.delete_user, world.operator_key(), request).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
    let next =
        accept_with(&world, &acme.invited(ADA, &["member"]).await, provider.token(&world, "1"), "").await.unwrap();
    assert!(!next.session_token.is_empty());
}

/// An identity is no way around a second factor or a suspension.
#[wire_test]
async fn an_identity_opens_no_more_than_a_password(world: World) {
    let provider = provider(&world).await;
    let ada = linked(&world, &provider, ADA, "1").await;
    guard(&world, &ada).await;
    let answer = enter(&world, provider.token(&world, "1")).await.unwrap();
    assert!(answer.challenge.is_some() && answer.session_token.is_empty());
    let request = SuspendUserRequest { user_id: ada.user_id, ..Default::default() };
    call!(world, users.suspend_user, world.operator_key(), request).unwrap();
    assert_refused(enter(&world, provider.token(&world, "1")).await, Code::Unauthenticated, "SIGN_IN_FAILED");
}

/// Only a person with a session of their own links and unlinks; one password and one identity together, or neither, is no sign-in.
#[wire_test]
async fn an_identity_takes_the_place_of_a_password(world: World) {
    let provider = provider(&world).await;
    let key = service_key(&world, &["credentials.write"]).await;
    assert_refused(link(&world, &key, provider.token(&world, "1")).await, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    assert_refused(
        unlink(&world, &key, &uuid::Uuid::nil().to_string()).await,
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    let both = SignInRequest {
        email: ADA.to_owned(),
        password: PASSWORD.to_owned(),
        username: "ada".to_owned(),
        open_id_connect: Some(OpenIdConnectToken::default()),
        ..SignInRequest::default()
    };
    assert_invalid(
        world.sessions().sign_in(both).await,
        &["email", "password", "username", "open_id_connect.id_token", "open_id_connect.nonce"],
    );
    assert_invalid(world.sessions().sign_in(SignInRequest::default()).await, &["email", "password"]);
    let sign_up = |password: &str, token| AcceptInvitationRequest {
        token: "rin_x".to_owned(),
        sign_up: Some(SignUp {
            given_name: "A".to_owned(),
            password: password.to_owned(),
            open_id_connect: token,
            ..SignUp::default()
        }),
        ..AcceptInvitationRequest::default()
    };
    let both = sign_up(PASSWORD, Some(provider.token(&world, "1")));
    assert_invalid(world.invitations().accept_invitation(both).await, &["sign_up.password"]);
    assert_invalid(world.invitations().accept_invitation(sign_up("", None)).await, &["sign_up.password"]);
    let ada = create_user(&world, ADA).await;
    for subject in 0..10 {
        link(&world, &ada.session, provider.token(&world, &subject.to_string())).await.unwrap();
    }
    let eleventh = link(&world, &ada.session, provider.token(&world, "10")).await;
    assert_eq!(assert_refused(eleventh, Code::FailedPrecondition, "TOO_MANY_IDENTITIES").metadata["limit"], "10");
}
