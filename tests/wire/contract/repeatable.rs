//! Request ids, held for every method that the contract has: those of tomorrow included. What an id promises beyond being repeated stands in `idempotency`.

use std::time::Duration;

use prost_reflect::{DynamicMessage, Value};
use roster_test_macros::wire_test;
use tonic::Status;

use crate::services::credentials::mfa::{Guarded, begin, challenged, totp};
use crate::services::credentials::passwords::reset_token;
use crate::services::organizations::ownership::{WITH_CONFIRMATION, team, with_confirmation};
use crate::services::sessions::step_up::start;
use crate::services::users::addresses::{change, change_by, link};
use crate::support::authenticator::code as code_at;

use crate::support::callers::{House, Scopes, Stage, Who};
use crate::support::contents::{Contents, Watcher};
use crate::support::dynamic::{Contract, Method};
use crate::support::pb::{
    ActivateMemberRequest, ActivateUserRequest, CancelOwnershipTransferRequest, CompleteSignInRequest,
    CompleteStepUpRequest, ConfirmMfaEnrollmentRequest, ConfirmOwnershipTransferRequest, CreateMemberRequest,
    DeleteOrganizationRequest, DeleteUserRequest, Member, RegenerateRecoveryCodesRequest, RemoveMfaRequest,
    ResetPasswordRequest, RestoreMemberRequest, SuspendUserRequest, UndeleteOrganizationRequest, UndeleteUserRequest,
    UpdateMemberRequest, VerifyUserEmailRequest, regenerate_recovery_codes_request, remove_mfa_request,
};
use crate::support::scenario::{PASSWORD, Scenario, call, create_organization, create_user, settled, sign_in, texts};
use crate::support::tenant::Seat;
use crate::support::world::World;

/// As long as a code of an authenticator is shown.
const STEP: Duration = Duration::from_secs(30);

const ID: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a10";

/// Who tries a method, in turn, until one of them is let in and gets what they ask for.
const CALLERS: [Who; 5] = [
    Who::Key(Scopes::Operator),
    Who::Session(House::Home, Seat::Owner),
    Who::KeyFor(Scopes::Operator, House::Home, Seat::Owner),
    Who::Session(House::Home, Seat::Member),
    Who::Nobody,
];

/// Methods with an id whose plain request is refused, because they take a code or a state that other calls bring about. They are repeated in
/// [`what_needs_a_code_or_a_state_is_repeatable`], and RetryMessage and JoinOrganization in `idempotency`, and identities in `identities`.
const OF_THEIR_OWN: [&str; 20] = [
    "CredentialService/ConfirmMfaEnrollment",
    "CredentialService/LinkIdentity",
    "CredentialService/RegenerateRecoveryCodes",
    "CredentialService/RemoveMfa",
    "CredentialService/ResetPassword",
    "CredentialService/UnlinkIdentity",
    "DeliveryService/RetryMessage",
    "JoinLinkService/JoinOrganization",
    "MemberService/ActivateMember",
    "MemberService/CreateMember",
    "MemberService/RestoreMember",
    "MemberService/UpdateMember",
    "OrganizationService/UndeleteOrganization",
    "OwnershipService/CancelOwnershipTransfer",
    "OwnershipService/ConfirmOwnershipTransfer",
    "SessionService/CompleteSignIn",
    "SessionService/CompleteStepUp",
    "UserService/ActivateUser",
    "UserService/UndeleteUser",
    "UserService/VerifyUserEmail",
];

/// Methods that change something and take no id: those that know what they have seen by ids of their own, and those that begin or end a session, of which
/// the first begins another one each time and the second has nothing left to do.
const WITHOUT_ID: [&str; 5] = [
    "ActivityService/ReportActivity",
    "SessionService/RevokeSession",
    "SessionService/SignIn",
    "SessionService/SignOut",
    "UserService/ImportUsers",
];

/// Who leaves the last organization that they belong to is signed out by it, and whoever repeats the call has no session any more.
const ENDS_THE_CALLER: &str = "MemberService/LeaveOrganization";

/// A call that succeeded.
struct Done {
    who: Who,
    message: DynamicMessage,
    answer: DynamicMessage,
    /// What there was before it.
    before: Contents,
}

/// The first caller's call that succeeds.
async fn let_in(world: &World, stage: &mut Stage, watcher: &Watcher, method: &Method) -> Result<Done, Vec<Status>> {
    let mut refusals = Vec::new();
    for who in CALLERS {
        let mut message = stage.request(who, method, false).await;
        if method.input().get_field_by_name("request_id").is_some() {
            message.set_field_by_name("request_id", Value::String(ID.to_owned()));
        }
        let before = watcher.look().await;
        match method.call(world.channel(), stage.credentials(who, method), &message).await {
            Ok(answer) => {
                return Ok(Done { who, message, answer, before });
            }
            Err(status) => refusals.push(status),
        }
    }
    Err(refusals)
}

/// Calls a method with a request id, and then again, here and on a replica: the same answer, and nothing has changed. Answers with it.
macro_rules! again {
    ($world:expr, $replica:expr, $watcher:expr, $service:ident.$method:ident, $credential:expr, $request:expr) => {{
        let mut request = $request;
        request.request_id = ID.to_owned();
        let first = call!($world, $service.$method, $credential, request.clone()).unwrap();
        let after = $watcher.look().await;
        let here = call!($world, $service.$method, $credential, request.clone()).unwrap();
        let there = call!($replica, $service.$method, $credential, request).unwrap();
        let changes = after.difference(&$watcher.look().await);
        assert!(changes.is_empty(), "{}\n{changes}", stringify!($method));
        assert_eq!((&here, &there), (&first, &first), "{}", stringify!($method));
        first
    }};
}

/// A call that is repeated under its id gets the first answer, here and on another server, and changes nothing.
#[wire_test]
async fn every_method_with_a_request_id_is_repeatable(world: World) {
    let contract = Contract::load();
    // Rows are put back behind the servers: they have to ask the database each time.
    let direct = [("directory-bytes", "0")];
    world.restart_with(&direct).await;
    let replica = world.server_with(&direct).await;
    let mut stage = Stage::set(&world, &contract).await;
    let watcher = Watcher::of(&world).await;
    let kept = watcher.keep().await;
    let (mut wrong, mut refused, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for method in contract.methods() {
        let has_id = method.input().get_field_by_name("request_id").is_some();
        match let_in(&world, &mut stage, &watcher, &method).await {
            Ok(Done { who, message, answer, .. }) if has_id && method.name() != ENDS_THE_CALLER => {
                let after = watcher.look().await;
                for channel in [world.channel(), replica.channel()] {
                    match method.call(channel, stage.credentials(who, &method), &message).await {
                        Ok(again) if again == answer => {}
                        Ok(again) => wrong.push(format!("{}: {answer} and then {again}", method.name())),
                        Err(status) => wrong.push(format!("{}: refused the second time: {status}", method.name())),
                    }
                }
                let changes = after.difference(&watcher.look().await);
                if !changes.is_empty() {
                    wrong.push(format!("{}: the second call has changed\n{changes}", method.name()));
                }
            }
            Ok(Done { before, .. }) => {
                let changes = before.difference(&watcher.look().await);
                if !changes.is_empty() && !has_id {
                    without.push(method.name());
                }
            }
            Err(_) if has_id => refused.push(method.name()),
            Err(_) => {}
        }
        watcher.put_back(&kept, &watcher.look().await).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    refused.sort();
    without.sort();
    assert_eq!(refused, OF_THEIR_OWN, "refused to everybody");
    assert_eq!(without, WITHOUT_ID, "has changed something, and takes no request id");
}

/// The same of the methods whose request needs a code or a state.
#[wire_test]
async fn what_needs_a_code_or_a_state_is_repeatable(world: World) {
    let replica = world.second_server().await;
    let watcher = Watcher::of(&world).await;
    let key = world.operator_key();
    let ada = create_user(&world, "ada@example.com").await;
    let user = || ada.user_id.clone();
    call!(world, users.suspend_user, key, SuspendUserRequest { user_id: user(), ..SuspendUserRequest::default() })
        .unwrap();
    again!(
        world,
        replica,
        watcher,
        users.activate_user,
        key,
        ActivateUserRequest { user_id: user(), ..ActivateUserRequest::default() }
    );
    call!(world, users.delete_user, key, DeleteUserRequest { user_id: user(), ..DeleteUserRequest::default() })
        .unwrap();
    again!(
        world,
        replica,
        watcher,
        users.undelete_user,
        key,
        UndeleteUserRequest { user_id: user(), ..UndeleteUserRequest::default() }
    );

    let token = reset_token(&world, "ada@example.com").await;
    again!(
        world,
        replica,
        watcher,
        credentials.reset_password,
        key,
        ResetPasswordRequest { token, new_password: PASSWORD.to_owned(), ..ResetPasswordRequest::default() }
    );
    settled(&world).await;
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    change_by(&world, &session, change(&ada.user_id, "ada@example.org", PASSWORD)).await.unwrap();
    let token = link(&world, "ada@example.org", 1).await;
    again!(
        world,
        replica,
        watcher,
        users.verify_user_email,
        key,
        VerifyUserEmailRequest { token, ..VerifyUserEmailRequest::default() }
    );
    settled(&world).await;

    let organization = || create_organization(&world, "default", "", &ada.user_id);
    let organization_id = organization().await;
    let deletion =
        DeleteOrganizationRequest { organization_id: organization_id.clone(), ..DeleteOrganizationRequest::default() };
    call!(world, organizations.delete_organization, key, deletion).unwrap();
    again!(
        world,
        replica,
        watcher,
        organizations.undelete_organization,
        key,
        UndeleteOrganizationRequest { organization_id, ..UndeleteOrganizationRequest::default() }
    );
}

/// The same of the methods of members, under a model that lets others create and edit them.
#[wire_test]
async fn changes_of_members_are_repeatable(world: World) {
    let replica = world.second_server().await;
    let watcher = Watcher::of(&world).await;
    let team = Scenario::with(&world, "packetfabric", "customer", "owner@example.com").await;
    let (key, organization) = (world.operator_key(), || team.organization_id.clone());
    let creation = CreateMemberRequest {
        organization_id: organization(),
        email: "ada@example.com".to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        roles: texts(&["regular"]),
        ..CreateMemberRequest::default()
    };
    let user_id =
        again!(world, replica, watcher, members.create_member, &team.owner.session, creation).member.unwrap().user_id;
    let edited = Member {
        organization_id: organization(),
        user_id: user_id.clone(),
        username: "ada".to_owned(),
        ..Member::default()
    };
    again!(
        world,
        replica,
        watcher,
        members.update_member,
        &team.owner.session,
        UpdateMemberRequest { member: Some(edited), ..UpdateMemberRequest::default() }
    );
    team.suspend(&team.owner.session, &user_id).await.unwrap();
    again!(
        world,
        replica,
        watcher,
        members.activate_member,
        &team.owner.session,
        ActivateMemberRequest {
            organization_id: organization(),
            user_id: user_id.clone(),
            ..ActivateMemberRequest::default()
        }
    );
    team.remove(&team.owner.session, &user_id).await.unwrap();
    again!(
        world,
        replica,
        watcher,
        members.restore_member,
        key,
        RestoreMemberRequest { organization_id: organization(), user_id, ..RestoreMemberRequest::default() }
    );
}

/// The same of transfers that their nominees confirm.
#[wire_test]
async fn transfers_are_repeatable(world: World) {
    with_confirmation(&world).await;
    // Another server would not know of this product.
    let replica = world.clone();
    let watcher = Watcher::of(&world).await;
    let (team, one, two) = team(&world, WITH_CONFIRMATION).await;
    let organization_id = || team.organization_id.clone();
    let transfer_id = team.transfer(&team.owner.session, &one.user_id).await.unwrap().transfer_id;
    settled(&world).await;
    again!(
        world,
        replica,
        watcher,
        ownership.cancel_ownership_transfer,
        &team.owner.session,
        CancelOwnershipTransferRequest {
            organization_id: organization_id(),
            transfer_id,
            ..CancelOwnershipTransferRequest::default()
        }
    );
    let transfer_id = team.transfer(&team.owner.session, &two.user_id).await.unwrap().transfer_id;
    settled(&world).await;
    again!(
        world,
        replica,
        watcher,
        ownership.confirm_ownership_transfer,
        &two.session,
        ConfirmOwnershipTransferRequest {
            organization_id: organization_id(),
            transfer_id,
            ..ConfirmOwnershipTransferRequest::default()
        }
    );
}

/// The same of second steps and second factors: a code is used up once, and the answer to it can be asked for again.
#[wire_test]
async fn codes_are_repeatable(world: World) {
    let replica = world.second_server().await;
    let watcher = Watcher::of(&world).await;
    let ada = create_user(&world, "ada@example.com").await;
    let (step_up_id, code) = start(&world, &ada.session, &ada.email).await;
    again!(
        world,
        replica,
        watcher,
        sessions.complete_step_up,
        &ada.session,
        CompleteStepUpRequest { step_up_id, code, ..CompleteStepUpRequest::default() }
    );

    let begun = begin(&world, &ada.session).await.unwrap();
    let secret = begun.setup.unwrap().secret;
    let totp_code = code_at(&secret, world.clock.now());
    let confirmed = again!(
        world,
        replica,
        watcher,
        credentials.confirm_mfa_enrollment,
        &ada.session,
        ConfirmMfaEnrollmentRequest {
            enrollment_id: begun.enrollment_id,
            totp_code,
            ..ConfirmMfaEnrollmentRequest::default()
        }
    );
    settled(&world).await;
    let guarded = Guarded { secret, recovery_codes: confirmed.recovery_codes };
    world.clock.advance(STEP);
    let token = challenged(&world, &ada.email, PASSWORD).await.token;
    let completed = again!(
        world,
        replica,
        watcher,
        sessions.complete_sign_in,
        &ada.session,
        CompleteSignInRequest { token, code: Some(totp(&guarded, &world)), ..CompleteSignInRequest::default() }
    );
    let session = completed.session_token;
    let proof = regenerate_recovery_codes_request::Proof::PresentPassword(PASSWORD.to_owned());
    let renewed = again!(
        world,
        replica,
        watcher,
        credentials.regenerate_recovery_codes,
        &session,
        RegenerateRecoveryCodesRequest { proof: Some(proof), ..RegenerateRecoveryCodesRequest::default() }
    );
    settled(&world).await;
    assert!(guarded.recovery_codes.iter().all(|code| !renewed.recovery_codes.contains(code)));
    let proof = remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned());
    again!(
        world,
        replica,
        watcher,
        credentials.remove_mfa,
        &session,
        RemoveMfaRequest { proof: Some(proof), ..RemoveMfaRequest::default() }
    );
    settled(&world).await;
}
