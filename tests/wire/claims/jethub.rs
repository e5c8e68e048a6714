//! A telephony hub: three roles of which one person can hold several, and a second step before inviting.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::identities::accept_with;
use crate::services::sessions::step_up::{complete, start};
use crate::support::identity_provider::{IdentityProvider, Signer};
use crate::support::pb::create_organization_request::Owner as FirstUser;
use crate::support::pb::{CreateOrganizationRequest, GetUserRequest, MemberAction, NewUser};
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_refused, call, sign_in, texts, time, traces,
};
use crate::support::world::World;

/// jh_07: a new user creates a password or signs up with an identity at a provider, such as a Google account, and is signed in at once. Somebody else's identity
/// changes nothing, and the invitation stays open.
#[wire_test]
async fn jh_07_sign_up_with_a_password_or_an_identity(world: World) {
    let provider = IdentityProvider::start(&world, Signer::rs256()).await;
    provider.trusted_by(&world).await;
    let hub = Scenario::under(&world, "jethub").await;
    hub.join("password@example.com", &[]).await;
    let link = hub.invited("google@example.com", &["billing_user"]).await;
    let token = provider.token(&world, "110169484474386276334");
    let id = uuid::Uuid::now_v7().to_string();
    let accepted = accept_with(&world, &link, token.clone(), &id).await.unwrap();
    assert_eq!(accept_with(&world, &link, token, &id).await.unwrap(), accepted);
    let request = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, request).unwrap().user.unwrap();
    assert!(user.email == "google@example.com" && user.email_verified);
    assert!(hub.may(&accepted.user_id, "billing.manage").await);

    let other = hub.invited("other@example.com", &[]).await;
    let before = traces(&world).await;
    let taken = accept_with(&world, &other, provider.token(&world, "110169484474386276334"), "").await;
    assert_refused(taken, Code::AlreadyExists, "IDENTITY_TAKEN");
    assert_eq!(traces(&world).await, before);
    accept_with(&world, &other, provider.token(&world, "2"), "").await.unwrap();
}

/// jh_02: one person can hold two roles, and may do what either lets them do.
#[wire_test]
async fn jh_02_roles_are_a_set(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let both = hub.join("both@example.com", &["account_admin", "billing_user"]).await;
    let billing = hub.join("billing@example.com", &["billing_user"]).await;
    assert!(hub.may(&both.user_id, "billing.manage").await && hub.may(&both.user_id, "members.invite").await);
    assert!(hub.may(&billing.user_id, "billing.manage").await && !hub.may(&billing.user_id, "members.invite").await);
}

/// jh_09: an Account Admin changes the permissions of others, those of other Account Admins too.
#[wire_test]
async fn jh_09_account_admins_change_each_other(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let other = hub.join("other@example.com", &["account_admin"]).await;
    let user = hub.join("user@example.com", &[]).await;
    hub.set_roles(&other.session, &user.user_id, &["billing_user"]).await.unwrap();
    hub.set_roles(&other.session, &hub.owner.user_id, &["standard_user"]).await.unwrap();
    let back = hub.set_roles(&hub.owner.session, &hub.owner.user_id, &["account_admin"]).await;
    assert_refused(back, Code::PermissionDenied, "PERMISSION_REQUIRED");
}

/// jh_03: before inviting, a person confirms by a code that comes to their own address. The code works once, in their session, for ten minutes, and what it
/// confirms lasts ten minutes.
#[wire_test]
async fn jh_03_inviting_takes_a_code_from_the_mail(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let admin = &hub.owner.session;
    let told = assert_refused(
        hub.invite(admin, "guest@example.com", &["billing_user"]).await,
        Code::FailedPrecondition,
        "STEP_UP_REQUIRED",
    );
    assert_eq!(told.metadata["method"], "roster.v1.SessionService/StartStepUp");
    let (id, code) = start(&world, admin, OWNER).await;
    let colleague = hub.join("colleague@example.com", &["account_admin"]).await;
    assert_refused(
        complete(&world, &colleague.session, &id, &code).await,
        Code::FailedPrecondition,
        "CHALLENGE_INVALID",
    );
    complete(&world, admin, &id, &code).await.unwrap();
    assert_refused(complete(&world, admin, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
    hub.invite(admin, "guest@example.com", &["billing_user"]).await.unwrap();
    world.clock.advance(Duration::from_secs(599));
    hub.invite(admin, "other@example.com", &[]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_refused(hub.invite(admin, "late@example.com", &[]).await, Code::FailedPrecondition, "STEP_UP_REQUIRED");
}

/// jh_01: three roles: Account Admin, Standard User, Billing User.
#[wire_test]
async fn jh_01_three_roles(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let standard = hub.join("standard@example.com", &[]).await;
    let billing = hub.join("billing@example.com", &["billing_user"]).await;
    for (permission, expected) in [
        ("members.set_roles", [true, false, false]),
        ("phone_numbers.manage", [true, true, false]),
        ("reporting.read", [true, true, false]),
        ("billing.read", [false, false, true]),
    ] {
        let mut answers = Vec::new();
        for person in [&hub.owner, &standard, &billing] {
            answers.push(hub.may(&person.user_id, permission).await);
        }
        assert_eq!(answers, expected, "{permission}");
    }
}

/// jh_05, jh_08: the invited address registers by the button of the mail, and is logged in by the same call.
#[wire_test]
async fn jh_05_the_link_registers_and_jh_08_logs_in(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let token = hub.invited("new@example.com", &["billing_user"]).await;
    // The mail's button; what it says is the template's, which an operator can replace.
    let html = &world.mailbox.mails_for("new@example.com")[0].html;
    let (_, button) = html.split_once(&format!("<a href=\"https://app.example.com/invitations/{token}\"")).unwrap();
    assert_eq!(button.split(['>', '<']).nth(1), Some("Accept the invitation"));
    let accepted = accept_as_new(&world, &token, "New").await.unwrap();
    let request = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, request).unwrap().user.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified), ("new@example.com", true));
    assert!(hub.may(&accepted.user_id, "billing.read").await);
}

/// jh_11: the document grants itself fifteen minutes and a new login; here a change holds for the next call of the same session.
#[wire_test]
async fn jh_11_a_change_holds_from_the_next_call(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let other = hub.join("other@example.com", &["account_admin"]).await;
    hub.roster(&other.session).await.unwrap();
    hub.set_roles(&hub.owner.session, &other.user_id, &["billing_user"]).await.unwrap();
    assert_refused(hub.roster(&other.session).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    hub.set_roles(&hub.owner.session, &other.user_id, &["account_admin"]).await.unwrap();
    hub.roster(&other.session).await.unwrap();
}

/// jh_12: the list has address, active or not, roles, invitation sent, invitation accepted and last logged in. Whether somebody is active is whether they have ever
/// logged in, also of an Account Admin who was created with the account and never did.
#[wire_test]
async fn jh_12_the_columns_of_the_list(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let sent = world.clock.now();
    let token = hub.invited("new@example.com", &["billing_user"]).await;
    let before = hub.row(&hub.owner.session, "new@example.com").await;
    assert_eq!(
        (before.has_signed_in, before.status_label.as_str(), &before.roles),
        (false, "Inactive", &texts(&["billing_user"]))
    );
    assert_eq!(
        (time(before.invitation_sent_time.as_ref()), before.invitation_accepted_time, before.last_sign_in_time),
        (sent, None, None)
    );
    world.clock.advance(Duration::from_secs(60));
    accept_as_new(&world, &token, "New").await.unwrap();
    let accepted = world.clock.now();
    world.clock.advance(Duration::from_secs(60));
    sign_in(&world, "new@example.com", PASSWORD).await.unwrap();
    let after = hub.row(&hub.owner.session, "new@example.com").await;
    assert_eq!((after.has_signed_in, after.status_label.as_str()), (true, "Active"));
    let times = [after.invitation_sent_time, after.invitation_accepted_time, after.last_sign_in_time]
        .map(|one| time(one.as_ref()));
    assert_eq!(times, [sent, accepted, world.clock.now()]);

    let first = NewUser {
        email: "first@example.com".to_owned(),
        given_name: "First".to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: true,
        ..NewUser::default()
    };
    let request = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        access_model: "jethub".to_owned(),
        owner: Some(FirstUser::NewOwner(first)),
        ..CreateOrganizationRequest::default()
    };
    let created = call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
    let account = Scenario { organization_id: created.organization.unwrap().organization_id, ..hub.clone() };
    let never = account.row(world.operator_key(), "first@example.com").await;
    assert_eq!((never.has_signed_in, never.last_sign_in_time, never.invitation_sent_time), (false, None, None));
    let session = sign_in(&world, "first@example.com", PASSWORD).await.unwrap().session_token;
    assert!(account.row(&session, "first@example.com").await.has_signed_in);
}

/// jh_13: the document's icons: an inactive row is resent and cancelled, an active one is edited and deleted, and there is nothing else; from the last Account Admin,
/// nothing is taken.
#[wire_test]
async fn jh_13_inactive_rows_are_resent_and_active_ones_edited(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let hub = Scenario::under(&world, "jethub").await;
    assert_eq!(
        hub.row(&hub.owner.session, OWNER).await.allowed_actions().collect::<Vec<_>>(),
        [MemberAction::SetRoles]
    );
    hub.invite(world.operator_key(), "invited@example.com", &["billing_user"]).await.unwrap();
    let colleague = hub.join("colleague@example.com", &["account_admin"]).await;
    hub.join("standard@example.com", &[]).await;
    for viewer in [&hub.owner, &colleague] {
        let rows = hub.roster(&viewer.session).await.unwrap();
        assert_eq!(rows.len(), 4);
        for row in rows {
            let icons = match row.status_label.as_str() {
                "Inactive" => [MemberAction::ResendInvitation, MemberAction::RevokeInvitation],
                "Active" => [MemberAction::SetRoles, MemberAction::Remove],
                other => panic!("{other}"),
            };
            // Nobody removes themselves: they leave.
            let icons = if row.user_id == viewer.user_id { &icons[..1] } else { &icons[..] };
            assert_eq!(row.allowed_actions().collect::<Vec<_>>(), icons, "{} on {}", viewer.email, row.email);
        }
    }
}
