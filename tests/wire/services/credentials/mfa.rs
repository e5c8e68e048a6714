//! Second factors: set up, asked for at sign-in, replaced by recovery codes, asked for by organizations, and taken away.

mod guesses;
mod half_finished;

use std::time::{Duration, Instant};

use roster::platform::{entropy::Entropy, keyring::Keyring};
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, Statement};
use tonic::{Code, Status};

use crate::services::credentials::passwords::reset_token;
use crate::services::organizations::activity::of;
use crate::support::authenticator::{code, code_of_step};
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{
    BeginMfaEnrollmentRequest, BeginMfaEnrollmentResponse, CheckPermissionRequest, CompleteSignInRequest,
    CompleteSignInResponse, ConfirmMfaEnrollmentRequest, ConfirmMfaEnrollmentResponse, DenyReason, GetUserRequest,
    ListEffectivePermissionsRequest, ListMfaFactorsRequest, Organization, RegenerateRecoveryCodesRequest,
    RemoveMfaRequest, ResetPasswordRequest, SignInChallenge, SignInChallengeKind, UpdateOrganizationRequest,
    regenerate_recovery_codes_request, remove_mfa_request,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, create_user, sign_in, time,
};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const ANOTHER: &str = "crimson ladder over 7 rivers";
pub(crate) const STEP: Duration = Duration::from_secs(30);

/// Somebody with a second factor.
pub(crate) struct Guarded {
    pub(crate) secret: String,
    pub(crate) recovery_codes: Vec<String>,
}

pub(crate) async fn begin(world: &World, session: &str) -> Result<BeginMfaEnrollmentResponse, Status> {
    call!(world, credentials.begin_mfa_enrollment, session, BeginMfaEnrollmentRequest::default())
}

pub(crate) async fn confirm(
    world: &World,
    session: &str,
    id: &str,
    code: &str,
) -> Result<ConfirmMfaEnrollmentResponse, Status> {
    let request = ConfirmMfaEnrollmentRequest {
        enrollment_id: id.to_owned(),
        totp_code: code.to_owned(),
        ..ConfirmMfaEnrollmentRequest::default()
    };
    call!(world, credentials.confirm_mfa_enrollment, session, request)
}

/// Sets up a second factor, and moves on to a time whose code has not been used.
pub(crate) async fn guard(world: &World, person: &Person) -> Guarded {
    let begun = begin(world, &person.session).await.unwrap();
    let secret = begun.setup.unwrap().secret;
    let shown = code(&secret, world.clock.now());
    let confirmed = confirm(world, &person.session, &begun.enrollment_id, &shown).await.unwrap();
    // The notice is on its way out: what comes after it in a test is the next mail.
    crate::support::waiting::all_sent(world).await;
    world.clock.advance(STEP);
    Guarded { secret, recovery_codes: confirmed.recovery_codes }
}

/// The question for the second factor that a right password leads to.
pub(crate) async fn challenged(world: &World, email: &str, password: &str) -> SignInChallenge {
    let answer = sign_in(world, email, password).await.unwrap();
    assert_eq!((answer.session_token.as_str(), answer.session, answer.user), ("", None, None));
    answer.challenge.unwrap()
}

pub(crate) fn completion(token: &str, shown: Shown) -> CompleteSignInRequest {
    CompleteSignInRequest { token: token.to_owned(), code: Some(shown), ..CompleteSignInRequest::default() }
}

pub(crate) async fn complete(world: &World, token: &str, shown: Shown) -> Result<CompleteSignInResponse, Status> {
    let answer = world.sessions().complete_sign_in(completion(token, shown)).await;
    answer.map(tonic::Response::into_inner)
}

pub(crate) fn totp(guarded: &Guarded, world: &World) -> Shown {
    Shown::TotpCode(code(&guarded.secret, world.clock.now()))
}

pub(crate) fn recovery(code: &str) -> Shown {
    Shown::RecoveryCode(code.to_owned())
}

/// Makes an organization ask for a second factor, by the operator's hand.
pub(crate) async fn demand(scenario: &Scenario, credential: &str, required: bool) -> Result<Organization, Status> {
    let request = UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: scenario.organization_id.clone(),
            mfa_required: required,
            ..Organization::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["mfa_required".to_owned()] }),
        ..UpdateOrganizationRequest::default()
    };
    let answer = call!(scenario.world, organizations.update_organization, credential, request)?;
    Ok(answer.organization.unwrap())
}

pub(crate) async fn remove(world: &World, session: &str, proof: remove_mfa_request::Proof) -> Result<(), Status> {
    let request = RemoveMfaRequest { proof: Some(proof), ..RemoveMfaRequest::default() };
    call!(world, credentials.remove_mfa, session, request).map(drop)
}

async fn use_it(world: &World, session: &str, user_id: &str) -> Result<(), Status> {
    let request = GetUserRequest { user_id: user_id.to_owned() };
    call!(world, users.get_user, session, request).map(drop)
}

/// A code that is not right now, nor soon, nor was just now.
pub(crate) fn wrong(secret: &str, world: &World) -> String {
    let step = world.clock.now().timestamp() / 30;
    let right: Vec<String> = (step - 3..step + 4).map(|step| code_of_step(secret, step)).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !right.contains(code)).unwrap()
}

/// The sealed secrets of the second factors that there are.
pub(crate) async fn sealed_secrets(world: &World) -> Vec<Vec<u8>> {
    let connection = world.database();
    let statement =
        Statement::from_string(connection.get_database_backend(), "SELECT sealed_secret FROM mfa_factors ORDER BY id");
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "sealed_secret").unwrap()).collect()
}

/// Who has a second factor signs in after a rotation of keys as before it: while both keys are in the list, the secrets are sealed with the new one.
#[wire_test]
async fn a_rotated_key_keeps_second_factors(world: World) {
    let ada = create_user(&world, ADA).await;
    let guarded = guard(&world, &ada).await;
    let before = sealed_secrets(&world).await;
    let old = world.flag("secret-key");
    let new = Keyring::generate(&Entropy::system());
    world.restart_with(&[("secret-key", &format!("{new},{old}"))]).await;
    let start = Instant::now();
    while sealed_secrets(&world).await == before {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was sealed anew");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.restart_with(&[("secret-key", &new)]).await;
    let asked = sign_in(&world, ADA, PASSWORD).await.unwrap().challenge.unwrap();
    complete(&world, &asked.token, totp(&guarded, &world)).await.unwrap();
}

/// A person sets up an authenticator app: a code of it confirms it, recovery codes are shown once, every other session ends, and they are told. From then on the
/// password alone begins no session, a code completes it, and it is in the roster.
#[wire_test]
async fn a_factor_is_set_up_and_asked_for(world: World) {
    let team = Scenario::acme(&world).await;
    let owner = &team.owner;
    let other = sign_in(&world, &owner.email, PASSWORD).await.unwrap().session_token;
    let begun = begin(&world, &owner.session).await.unwrap();
    let setup = begun.setup.unwrap();
    assert_eq!(
        setup.otpauth_uri,
        format!(
            "otpauth://totp/Roster:owner%40example.com?secret={}&issuer=Roster&algorithm=SHA1&digits=6&period=30",
            setup.secret
        )
    );
    assert_eq!(
        (setup.secret.len(), time(begun.expire_time.as_ref())),
        (32, world.clock.now() + chrono::Duration::minutes(10))
    );
    assert!(sign_in(&world, &owner.email, PASSWORD).await.unwrap().challenge.is_none(), "it counts for nothing yet");
    assert_refused(
        confirm(&world, &owner.session, &begun.enrollment_id, &wrong(&setup.secret, &world)).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    let confirmed =
        confirm(&world, &owner.session, &begun.enrollment_id, &code(&setup.secret, world.clock.now())).await.unwrap();
    assert_eq!(confirmed.recovery_codes.len(), 10);
    assert_refused(
        confirm(&world, &owner.session, &begun.enrollment_id, &code(&setup.secret, world.clock.now())).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    assert_refused(begin(&world, &owner.session).await, Code::FailedPrecondition, "MFA_ALREADY_ENROLLED");
    use_it(&world, &owner.session, &owner.user_id).await.unwrap();
    assert_refused(use_it(&world, &other, &owner.user_id).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_eq!(world.mailbox.wait_for(&owner.email, 1).await[0].subject, "A second factor was set up");

    world.clock.advance(STEP);
    let challenge = challenged(&world, &owner.email, PASSWORD).await;
    assert_eq!(challenge.kinds().collect::<Vec<_>>(), [SignInChallengeKind::Totp, SignInChallengeKind::RecoveryCode]);
    assert_eq!(
        (time(challenge.expire_time.as_ref()), challenge.setup),
        (world.clock.now() + chrono::Duration::minutes(5), None)
    );
    let completed =
        complete(&world, &challenge.token, Shown::TotpCode(code(&setup.secret, world.clock.now()))).await.unwrap();
    assert_eq!((completed.user.unwrap().user_id.as_str(), completed.recovery_codes.len()), (owner.user_id.as_str(), 0));
    use_it(&world, &completed.session_token, &owner.user_id).await.unwrap();
    let roster = team.roster(&completed.session_token).await.unwrap();
    assert!(roster[0].mfa_enabled);
    let listed = call!(
        world,
        credentials.list_mfa_factors,
        &completed.session_token,
        ListMfaFactorsRequest { user_id: owner.user_id.clone() }
    )
    .unwrap();
    assert_eq!(
        (listed.mfa_factors[0].mfa_factor_id.clone(), listed.recovery_codes_left),
        (confirmed.mfa_factor.unwrap().mfa_factor_id, 10)
    );
    let member = team.join("member@example.com", &["member"]).await;
    assert_refused(
        call!(
            world,
            credentials.list_mfa_factors,
            &member.session,
            ListMfaFactorsRequest { user_id: owner.user_id.clone() }
        ),
        Code::PermissionDenied,
        "SELF_ONLY",
    );
}

/// ab_20: resetting the password gets nobody around the second factor, and ends the sessions. Ada has chosen her password by a link before: what was there before that is ab_34.
#[wire_test]
async fn ab_20_a_reset_keeps_the_second_factor(world: World) {
    let ada = Scenario::acme(&world).await.join(ADA, &["member"]).await;
    let guarded = guard(&world, &ada).await;
    let token = reset_token(&world, ADA).await;
    let reset = ResetPasswordRequest { token, new_password: ANOTHER.to_owned(), ..ResetPasswordRequest::default() };
    world.credentials().reset_password(reset).await.unwrap();
    assert_refused(use_it(&world, &ada.session, &ada.user_id).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    let challenge = challenged(&world, ADA, ANOTHER).await;
    complete(&world, &challenge.token, totp(&guarded, &world)).await.unwrap();
    world.mailbox.wait_for(ADA, 4).await;
}

/// A factor is taken away, and recovery codes are replaced, with a code or the password; the old codes are dead.
#[wire_test]
async fn a_factor_is_removed_with_a_proof(world: World) {
    use remove_mfa_request::Proof;
    let ada = create_user(&world, ADA).await;
    assert_refused(
        remove(&world, &ada.session, Proof::PresentPassword(PASSWORD.to_owned())).await,
        Code::FailedPrecondition,
        "MFA_NOT_ENROLLED",
    );
    let guarded = guard(&world, &ada).await;
    let regenerating =
        |proof| RegenerateRecoveryCodesRequest { proof: Some(proof), ..RegenerateRecoveryCodesRequest::default() };
    let by_password =
        |password: &str| regenerating(regenerate_recovery_codes_request::Proof::PresentPassword(password.to_owned()));
    assert_refused(
        call!(world, credentials.regenerate_recovery_codes, &ada.session, by_password(ANOTHER)),
        Code::FailedPrecondition,
        "PASSWORD_INCORRECT",
    );
    assert_invalid(
        call!(world, credentials.regenerate_recovery_codes, &ada.session, RegenerateRecoveryCodesRequest::default()),
        &["proof"],
    );
    let codes = call!(world, credentials.regenerate_recovery_codes, &ada.session, by_password(PASSWORD))
        .unwrap()
        .recovery_codes;
    assert_eq!(codes.len(), 10);
    let challenge = challenged(&world, ADA, PASSWORD).await;
    assert_refused(
        complete(&world, &challenge.token, recovery(&guarded.recovery_codes[0])).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    complete(&world, &challenge.token, recovery(&codes[0])).await.unwrap();
    assert_refused(
        remove(&world, &ada.session, Proof::TotpCode(wrong(&guarded.secret, &world))).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    assert_refused(
        remove(&world, &ada.session, Proof::PresentPassword(ANOTHER.to_owned())).await,
        Code::FailedPrecondition,
        "PASSWORD_INCORRECT",
    );
    remove(&world, &ada.session, Proof::TotpCode(code(&guarded.secret, world.clock.now()))).await.unwrap();
    assert!(sign_in(&world, ADA, PASSWORD).await.unwrap().challenge.is_none());
    assert_refused(
        remove(&world, &ada.session, Proof::PresentPassword(PASSWORD.to_owned())).await,
        Code::FailedPrecondition,
        "MFA_NOT_ENROLLED",
    );
    world.mailbox.wait_for(ADA, 4).await;
}

/// In an organization that asks for a second factor, a member without one may do nothing, by call and by check, until they have one; they then may not take it away.
#[wire_test]
async fn an_organization_asks_for_a_second_factor(world: World) {
    let team = Scenario::acme(&world).await;
    let (owner, member) = (&team.owner, team.join("member@example.com", &["member"]).await);
    assert_refused(demand(&team, &member.session, true).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    let shut_out = assert_refused(demand(&team, &owner.session, true).await, Code::PermissionDenied, "MFA_REQUIRED");
    assert_eq!(shut_out.metadata["method"], "roster.v1.CredentialService/BeginMfaEnrollment");
    assert!(demand(&team, world.operator_key(), true).await.unwrap().mfa_required);
    for person in [owner, &member] {
        let refused = assert_refused(team.roster(&person.session).await, Code::PermissionDenied, "MFA_REQUIRED");
        assert_eq!(refused.metadata["method"], "roster.v1.CredentialService/BeginMfaEnrollment");
        // Nor about themselves, which takes no permission.
        let own = call!(world, activity.list_activity, &person.session, of(&team, &person.user_id));
        assert_refused(own, Code::PermissionDenied, "MFA_REQUIRED");
        let check = CheckPermissionRequest {
            organization_id: team.organization_id.clone(),
            user_id: person.user_id.clone(),
            permission: "members.read".to_owned(),
            ..Default::default()
        };
        let answer = call!(world, permissions.check_permission, world.operator_key(), check.clone()).unwrap();
        assert_eq!(answer.deny_reason(), DenyReason::MfaRequired);
        let batch = crate::support::pb::BatchCheckPermissionsRequest {
            checks: vec![crate::support::pb::PermissionCheck {
                organization_id: check.organization_id.clone(),
                user_id: check.user_id.clone(),
                permission: check.permission.clone(),
            }],
            ..Default::default()
        };
        let answer = call!(world, permissions.batch_check_permissions, world.operator_key(), batch).unwrap();
        assert_eq!(answer.results[0].deny_reason(), DenyReason::MfaRequired);
        let effective = ListEffectivePermissionsRequest {
            organization_id: team.organization_id.clone(),
            user_id: person.user_id.clone(),
            ..Default::default()
        };
        assert!(
            call!(world, permissions.list_effective_permissions, world.operator_key(), effective)
                .unwrap()
                .permissions
                .is_empty()
        );
    }
    let guarded = guard(&world, &member).await;
    team.roster(&member.session).await.unwrap();
    assert!(team.may(&member.user_id, "members.read").await);
    let refused = assert_refused(
        remove(&world, &member.session, remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned())).await,
        Code::FailedPrecondition,
        "MFA_ENFORCED",
    );
    assert_eq!(refused.metadata["organization_id"], team.organization_id);
    // Who has none sets one up on signing in, and no session exists before.
    let challenge = challenged(&world, &owner.email, PASSWORD).await;
    assert_eq!(challenge.kinds().collect::<Vec<_>>(), [SignInChallengeKind::TotpEnrollment]);
    let secret = challenge.setup.unwrap().secret;
    assert_refused(
        complete(&world, &challenge.token, recovery("abcdef-ghijkl-mnopqr-stuvwx")).await,
        Code::FailedPrecondition,
        "CODE_INVALID",
    );
    let completed =
        complete(&world, &challenge.token, Shown::TotpCode(code(&secret, world.clock.now()))).await.unwrap();
    assert_eq!(completed.recovery_codes.len(), 10);
    assert_refused(use_it(&world, &owner.session, &owner.user_id).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    team.roster(&completed.session_token).await.unwrap();
    assert!(!demand(&team, &completed.session_token, false).await.unwrap().mfa_required);
    remove(&world, &member.session, remove_mfa_request::Proof::TotpCode(code(&guarded.secret, world.clock.now())))
        .await
        .unwrap();
}
