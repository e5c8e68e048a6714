//! ab_19: a token is good for one thing, once, until its time is over, and nothing that rests anywhere can be used as one.

mod at_rest;

use chrono::{DateTime, TimeDelta, Utc};
use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    CreateServiceAccountRequest, CreateServiceKeyRequest, GetUserRequest, PreviewInvitationRequest,
    ResendInvitationRequest, VerifySessionRequest,
};
use crate::support::scenario::{
    OWNER, PASSWORD, Refused, Scenario, accepting, assert_refused, refusal, sign_in, signing_up,
};
use crate::support::world::World;

const INVITED: &str = "bea@example.com";

async fn preview(world: &World, token: &str) -> Result<(), Status> {
    let request = PreviewInvitationRequest { token: token.to_owned() };
    world.invitations().preview_invitation(request).await.map(drop)
}

/// Whether a session or key may be used: who may not call gets another answer than who is not known.
async fn usable(world: &World, credential: &str) -> bool {
    let request = world.as_session(credential, GetUserRequest { user_id: uuid::Uuid::nil().to_string() });
    let Refused { code, reason, .. } = refusal(&world.users().get_user(request).await.unwrap_err());
    if reason == "CREDENTIALS_INVALID" {
        assert_eq!(code, Code::Unauthenticated);
        return false;
    }
    assert_eq!((code, reason.as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    true
}

/// Texts that differ from a token in one place or in length.
fn nearly(token: &str) -> Vec<String> {
    let mut texts = vec![
        format!("{token}A"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}{token}"),
        token[..token.len() - 1].to_owned(),
        token[1..].to_owned(),
        token[4..].to_owned(),
        token.to_uppercase(),
        format!("{}\0{}", &token[..20], &token[21..]),
    ];
    // Each character with its lowest bit turned over, where that is a character of the alphabet, else another one.
    for at in 0..token.len() {
        let turned = char::from(token.as_bytes()[at] ^ 1);
        let turned = if turned.is_ascii_alphanumeric() { turned } else { 'Q' };
        let mut text = token.to_owned();
        text.replace_range(at..=at, turned.encode_utf8(&mut [0; 4]));
        texts.push(text);
    }
    texts.retain(|text| text != token);
    texts
}

async fn service_key(world: &World, expire_time: Option<DateTime<Utc>>) -> String {
    let request = CreateServiceAccountRequest {
        display_name: "Portal".to_owned(),
        scopes: vec!["users.read".to_owned(), "sessions.verify".to_owned()],
        ..CreateServiceAccountRequest::default()
    };
    let made = world.service_accounts().create_service_account(world.as_operator(request)).await.unwrap();
    let request = CreateServiceKeyRequest {
        service_account_id: made.into_inner().service_account.unwrap().service_account_id,
        expire_time: expire_time.map(|time| prost_types::Timestamp { seconds: time.timestamp(), nanos: 0 }),
        ..CreateServiceKeyRequest::default()
    };
    world.service_accounts().create_service_key(world.as_operator(request)).await.unwrap().into_inner().key
}

/// ab_19: an invitation's token that is guessed, cut, extended, or changed in one bit is no invitation's, and the answer does not tell which; the
/// token itself works once.
#[wire_test]
async fn ab_19_an_invitation_token_has_one_text_and_one_use(world: World) {
    let team = Scenario::acme(&world).await;
    let (_, token) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let guess = format!("rin_{}", "A".repeat(43));
    let mut answers = Vec::new();
    for wrong in nearly(&token).into_iter().chain([guess.clone()]) {
        let before = world.count("SELECT COUNT(*) AS n FROM users").await;
        let previewed = preview(&world, &wrong).await.unwrap_err();
        let accepted = world.invitations().accept_invitation(signing_up(&wrong, PASSWORD)).await.unwrap_err();
        for status in [previewed, accepted] {
            answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(world.count("SELECT COUNT(*) AS n FROM users").await, before, "{wrong:?}");
    }
    // Twice the token is longer than any token, and is told so.
    answers.retain(|(code, ..)| *code != Code::InvalidArgument);
    assert!(answers.len() >= 2 * token.len());
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == Code::NotFound), "{answers:?}");

    preview(&world, &token).await.unwrap();
    preview(&world, &token).await.unwrap();
    world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await.unwrap();
    let again = world.invitations().accept_invitation(signing_up(&token, PASSWORD)).await;
    assert_refused(again, Code::FailedPrecondition, "INVITATION_ALREADY_USED");
    let session = sign_in(&world, INVITED, PASSWORD).await.unwrap().session_token;
    let again = world.invitations().accept_invitation(world.as_session(&session, accepting(&token))).await;
    assert_refused(again, Code::FailedPrecondition, "INVITATION_ALREADY_USED");
}

/// ab_19: a resent invitation's earlier link is dead, and answers as one that never was.
#[wire_test]
async fn ab_19_a_replaced_token_is_dead(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let team = Scenario::acme(&world).await;
    let (invitation, old) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let request = ResendInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    world.invitations().resend_invitation(world.as_session(&team.owner.session, request)).await.unwrap();
    let new = world.mailbox.wait_for(INVITED, 2).await[1].invitation_token();
    let refused = world.invitations().accept_invitation(signing_up(&old, PASSWORD)).await;
    assert_refused(refused, Code::NotFound, "INVITATION_NOT_FOUND");
    preview(&world, &new).await.unwrap();
}

/// ab_19: a session's token and a service key that are cut, extended or changed in one bit are nobody's.
#[wire_test]
async fn ab_19_a_credential_has_one_text(world: World) {
    let team = Scenario::acme(&world).await;
    let key = service_key(&world, None).await;
    let request = world.as_service(&key, GetUserRequest { user_id: team.owner.user_id.clone() });
    world.users().get_user(request).await.unwrap();
    let request = world.as_session(&team.owner.session, GetUserRequest { user_id: team.owner.user_id.clone() });
    world.users().get_user(request).await.unwrap();
    for wrong in nearly(&key).into_iter().chain(nearly(&team.owner.session)) {
        // A header carries no line break and no zero byte, and the space before a token belongs to the header.
        let fit =
            wrong.chars().all(|c| c.is_ascii_graphic()) && wrong.parse::<tonic::metadata::AsciiMetadataValue>().is_ok();
        if fit {
            assert!(!usable(&world, &wrong).await, "{wrong:?}");
        }
        let request =
            world.as_service(&key, VerifySessionRequest { session_token: wrong.clone(), ..Default::default() });
        match world.sessions().verify_session(request).await {
            Ok(answer) => assert!(!answer.into_inner().valid, "{wrong:?}"),
            Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{wrong:?}"),
        }
    }
}

/// ab_19: a token of one kind is not taken for another, in any place where a token goes.
#[wire_test]
async fn ab_19_a_token_of_another_kind_is_refused(world: World) {
    let team = Scenario::acme(&world).await;
    let (_, link) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let key = service_key(&world, None).await;
    // As a link, also with the link's prefix.
    for wrong in [&team.owner.session, &key, &world.operator_key().to_owned()] {
        for text in [wrong.clone(), format!("rin_{}", &wrong[4..])] {
            assert_eq!(preview(&world, &text).await.unwrap_err().code(), Code::NotFound);
        }
    }
    // As a credential.
    for text in [link.clone(), format!("rss_{}", &link[4..]), format!("rsk_{}", &link[4..])] {
        assert!(!usable(&world, &text).await);
    }
    for text in [format!("rsk_{}", &team.owner.session[4..]), format!("rss_{}", &key[4..])] {
        assert!(!usable(&world, &text).await);
    }
    // As the session that a service was handed.
    for text in [&key, &link, &format!("rss_{}", &link[4..])] {
        let request =
            world.as_service(&key, VerifySessionRequest { session_token: text.clone(), ..Default::default() });
        assert!(!world.sessions().verify_session(request).await.unwrap().into_inner().valid);
        let request =
            world.on_behalf_of(world.operator_key(), text, GetUserRequest { user_id: team.owner.user_id.clone() });
        let refused = world.users().get_user(request).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
}

/// ab_19: expiry is looked at when a token is used: good until then, dead from that moment on, without anything that has to run in between.
#[wire_test]
async fn ab_19_a_token_is_dead_when_its_time_is_over(world: World) {
    let team = Scenario::acme(&world).await;
    let (invitation, link) = team.invited_by(&team.owner.session, INVITED, &[]).await;
    let end = invitation.expire_time.unwrap();
    let end = DateTime::from_timestamp(end.seconds, end.nanos.unsigned_abs()).unwrap();
    let before = |time: DateTime<Utc>, margin: TimeDelta| (time - margin - world.clock.now()).to_std().unwrap();
    let second = TimeDelta::seconds(1);

    let key = service_key(&world, Some(end + TimeDelta::days(1))).await;
    world.clock.advance(before(end, second));
    preview(&world, &link).await.unwrap();
    world.clock.advance(before(end, TimeDelta::zero()));
    for _ in 0..2 {
        let expired = world.invitations().accept_invitation(signing_up(&link, PASSWORD)).await;
        assert_refused(expired, Code::FailedPrecondition, "INVITATION_EXPIRED");
        assert_eq!(preview(&world, &link).await.unwrap_err().code(), Code::FailedPrecondition);
        world.clock.advance(second.to_std().unwrap());
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM users").await, 1);

    let end = DateTime::from_timestamp(end.timestamp(), 0).unwrap() + TimeDelta::days(1);
    world.clock.advance(before(end, second));
    assert!(usable(&world, &key).await);
    world.clock.advance(second.to_std().unwrap());
    assert!(!usable(&world, &key).await);

    // A session that is used lives on from then; one that is not has ended after its week.
    let session = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 - 1));
    assert!(alive(&world, &session, &team).await);
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 - 1));
    assert!(alive(&world, &session, &team).await);
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 + 1));
    assert!(!alive(&world, &session, &team).await);
}

async fn alive(world: &World, session: &str, team: &Scenario) -> bool {
    let request = world.as_session(session, GetUserRequest { user_id: team.owner.user_id.clone() });
    world.users().get_user(request).await.is_ok()
}
