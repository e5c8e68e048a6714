//! A fulfilment dashboard: four roles, invitations in the list, removal for good.

use roster_test_macros::wire_test;
use std::time::Duration;

use tonic::Code;

use crate::services::credentials::mfa::{complete, demand, guard};
use crate::services::organizations::activity::{listed, of, report, send};
use crate::support::authenticator::code;
use crate::support::dynamic::Contract;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{
    AcceptInvitationRequest, ActivityKind, ChangePasswordRequest, ChangeUserEmailRequest, CreateInvitationRequest,
    CreateRoleRequest, DeleteUserRequest, GetMemberRequest, GetUserRequest, ListAuditEntriesRequest,
    ListMfaFactorsRequest, Member, MemberAction, MemberState, PreviewInvitationRequest, ResendInvitationRequest,
    SignInChallengeKind, SignUp, UpdateUserRequest, User,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as, accept_as_new, assert_invalid, assert_refused, call, service_key, settled,
    sign_in, texts, time,
};
use crate::support::world::World;

/// jp_04: an address that is in the account, or invited to it, is not added a second time.
#[wire_test]
async fn jp_04_an_address_is_in_the_account_once(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    jetpack.invite(owner, "ada@example.com", &["client_admin"]).await.unwrap();
    let again = jetpack.invite(owner, "Ada@Example.com", &["customer_success"]).await;
    assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
    let member = jetpack.invite(owner, &jetpack.owner.email, &["customer_success"]).await;
    assert_refused(member, Code::AlreadyExists, "ALREADY_MEMBER");
}

/// jp_04: whoever adds a user writes their first and last name, which the list shows and the invited person starts from.
#[wire_test]
async fn jp_04_adding_takes_first_and_last_name(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    let request = CreateInvitationRequest {
        organization_id: jetpack.organization_id.clone(),
        email: "ada@example.com".to_owned(),
        roles: texts(&["customer_success"]),
        given_name: "Ada".to_owned(),
        family_name: "King".to_owned(),
        ..CreateInvitationRequest::default()
    };
    let made = call!(world, invitations.create_invitation, owner, request).unwrap().invitation.unwrap();
    assert_eq!((made.given_name.as_str(), made.family_name.as_str()), ("Ada", "King"));
    // Between "Aaron" and "Given", although the address begins with neither name.
    jetpack.join("zoe@example.com", &["customer_success"]).await;
    let named = async || -> Vec<(String, String, String, String)> {
        let rows = jetpack.roster(owner).await.unwrap();
        rows.into_iter().map(|row| (row.display_name, row.given_name, row.family_name, row.status_label)).collect()
    };
    let row = |display: &str, given: &str, family: &str, label: &str| {
        (display.to_owned(), given.to_owned(), family.to_owned(), label.to_owned())
    };
    assert_eq!(named().await[0], row("Ada King", "Ada", "King", "Pending Invitation"));

    let token = world.mailbox.wait_for("ada@example.com", 1).await[0].invitation_token();
    let seen = world
        .invitations()
        .preview_invitation(PreviewInvitationRequest { token: token.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((seen.given_name.as_str(), seen.family_name.as_str()), ("Ada", "King"));
    let sign_up = SignUp {
        given_name: seen.given_name,
        family_name: seen.family_name,
        password: PASSWORD.to_owned(),
        ..SignUp::default()
    };
    let request = AcceptInvitationRequest { token, sign_up: Some(sign_up), ..AcceptInvitationRequest::default() };
    let accepted = world.invitations().accept_invitation(request).await.unwrap().into_inner();
    assert_eq!(named().await[0], row("Ada King", "Ada", "King", "Active"));
    let user = call!(world, users.get_user, &accepted.session_token, GetUserRequest { user_id: accepted.user_id })
        .unwrap()
        .user
        .unwrap();
    assert_eq!((user.given_name.as_str(), user.family_name.as_str()), ("Ada", "King"));
}

/// jp_02, jp_03: four roles and three statuses are what there is: not even the Account Owner makes a fifth role, or suspends.
#[wire_test]
async fn jp_02_roles_and_statuses_are_closed(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let owner = &jetpack.owner.session;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    for session in [owner, &ada.session] {
        let role = CreateRoleRequest {
            organization_id: jetpack.organization_id.clone(),
            role: "custom.x".to_owned(),
            display_name: "X".to_owned(),
            permissions: texts(&["orders.read"]),
            ..CreateRoleRequest::default()
        };
        let refused = assert_refused(
            call!(world, roles.create_role, session, role),
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
        assert_eq!(refused.metadata["permission"], "roles.manage");
        let refused =
            assert_refused(jetpack.suspend(session, &ada.user_id).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
        assert_eq!(refused.metadata["permission"], "members.suspend");
    }
}

/// jp_01: a user has an address and a password of their own, a role, a profile, and a history: of sign-ins, and of what they did in the dashboard. All of it is read
/// back, the history and the second factor by the person too.
#[wire_test]
async fn jp_01_a_user_has_a_profile_and_a_history(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    let sign_up = SignUp {
        given_name: "Ada".to_owned(),
        family_name: "King".to_owned(),
        password: PASSWORD.to_owned(),
        phone_number: "+44 20 7946 0018".to_owned(),
        ..SignUp::default()
    };
    let request = AcceptInvitationRequest { token, sign_up: Some(sign_up), ..AcceptInvitationRequest::default() };
    let accepted = world.invitations().accept_invitation(request).await.unwrap().into_inner();
    let ada =
        Person { user_id: accepted.user_id, email: "ada@example.com".to_owned(), session: accepted.session_token };
    world.clock.advance(Duration::from_secs(60));
    sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
    let dashboard = service_key(&world, &["activity.write"]).await;
    world.clock.advance(Duration::from_secs(60));
    send(&world, &dashboard, vec![report(&jetpack, &ada.user_id, 1, "orders.viewed", ("orders", 1))]).await;
    guard(&world, &ada).await;

    let user = call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() })
        .unwrap()
        .user
        .unwrap();
    assert_eq!(
        (user.email.as_str(), user.given_name.as_str(), user.family_name.as_str(), user.phone_number.as_str()),
        ("ada@example.com", "Ada", "King", "+442079460018")
    );
    let owner = &jetpack.owner.session;
    let request = GetMemberRequest { organization_id: jetpack.organization_id.clone(), user_id: ada.user_id.clone() };
    let member = call!(world, members.get_member, owner, request).unwrap().member.unwrap();
    assert_eq!(
        (&member.roles, member.has_signed_in, member.mfa_enabled, member.display_name.as_str()),
        (&texts(&["customer_success"]), true, true, "Ada King")
    );
    let factors = call!(
        world,
        credentials.list_mfa_factors,
        &ada.session,
        ListMfaFactorsRequest { user_id: ada.user_id.clone() }
    )
    .unwrap();
    assert_eq!((factors.mfa_factors.len(), factors.recovery_codes_left), (1, 10));
    let history = listed(&world, owner, of(&jetpack, &ada.user_id)).await;
    let kinds: Vec<ActivityKind> = history.iter().map(|one| one.kind()).collect();
    assert_eq!(kinds, [ActivityKind::Action, ActivityKind::SignIn, ActivityKind::SignIn]);
    assert_eq!((history[0].action.as_str(), history[0].summary.as_str()), ("orders.viewed", "Did orders.viewed"));
    assert!(history.iter().all(|one| one.user_display_name == "Ada King" && one.time.is_some()));
    assert_eq!(listed(&world, &ada.session, of(&jetpack, &ada.user_id)).await, history);
    assert_refused(
        call!(world, activity.list_activity, &ada.session, of(&jetpack, &jetpack.owner.user_id)),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
}

/// jp_01, jp_06: contact information is part of the profile that a person sets up with the account, and theirs to change.
#[wire_test]
async fn jp_01_contact_information_is_set_up_by_the_person(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    let sign_up = |phone_number: &str| AcceptInvitationRequest {
        token: token.clone(),
        sign_up: Some(SignUp {
            given_name: "Ada".to_owned(),
            password: PASSWORD.to_owned(),
            phone_number: phone_number.to_owned(),
            ..SignUp::default()
        }),
        ..AcceptInvitationRequest::default()
    };
    assert_invalid(world.invitations().accept_invitation(sign_up("020 7946 0018")).await, &["sign_up.phone_number"]);
    let accepted = world.invitations().accept_invitation(sign_up("+44 20 7946 0018")).await.unwrap().into_inner();
    let user = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, user).unwrap().user.unwrap();
    assert_eq!(user.phone_number, "+442079460018");
    for (number, kept) in [("+1 (212) 555-0100", "+12125550100"), ("", "")] {
        let request = UpdateUserRequest {
            user: Some(User { user_id: accepted.user_id.clone(), phone_number: number.to_owned(), ..User::default() }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["phone_number"]) }),
            ..UpdateUserRequest::default()
        };
        assert!(call!(world, users.update_user, &jetpack.owner.session, request.clone()).is_err());
        let user = call!(world, users.update_user, &accepted.session_token, request).unwrap().user.unwrap();
        assert_eq!((user.phone_number.as_str(), user.given_name.as_str()), (kept, "Ada"));
    }
}

/// jp_17: last login, status and role show who uses the dashboard; the last login moves with each sign-in.
#[wire_test]
async fn jp_17_last_login_status_and_role_are_shown(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
    jetpack.invite(&jetpack.owner.session, "bob@example.com", &["client_admin"]).await.unwrap();
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3600));
        sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
        let roster = jetpack.roster(&jetpack.owner.session).await.unwrap();
        let row = roster.iter().find(|row| row.user_id == ada.user_id).unwrap();
        assert_eq!((row.status_label.as_str(), &row.roles), ("Active", &texts(&["customer_success"])));
        assert_eq!(time(row.last_sign_in_time.as_ref()), world.clock.now());
        let pending = roster.iter().find(|row| row.email == "bob@example.com").unwrap();
        assert_eq!(
            (pending.status_label.as_str(), &pending.roles, pending.last_sign_in_time),
            ("Pending Invitation", &texts(&["client_admin"]), None)
        );
    }
}

/// jp_09: an administrator edits first name, last name and role of a member.
#[wire_test]
async fn jp_09_an_administrator_edits_names_and_role(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let admin = jetpack.join("admin@example.com", &["client_admin"]).await;
    let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
    let names = Member { given_name: "Ada".to_owned(), family_name: "King".to_owned(), ..Member::default() };
    let edited = jetpack.edit(&admin.session, &ada.user_id, None, names).await.unwrap();
    assert_eq!((edited.given_name.as_str(), edited.display_name.as_str()), ("Ada", "Ada King"));
    jetpack.set_roles(&admin.session, &ada.user_id, &["customer_success_supply_chain"]).await.unwrap();
    let row = jetpack.row(&jetpack.owner.session, "ada@example.com").await;
    assert_eq!((row.family_name.as_str(), &row.roles[..]), ("King", &["customer_success_supply_chain".to_owned()][..]));
    // The list is by name, also after the name has changed.
    let zoe = Member { given_name: "Zoë".to_owned(), ..Member::default() };
    jetpack.edit(&admin.session, &ada.user_id, None, zoe).await.unwrap();
    let last = jetpack.roster(&admin.session).await.unwrap().pop().unwrap();
    assert_eq!(last.email, "ada@example.com");
}

/// jp_10: e-mail, password and second factor of a member are nothing that an administrator edits; the refusal says what to do instead.
#[wire_test]
async fn jp_10_address_password_and_second_factor_are_the_persons_own(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
    for (field, instead) in [
        ("email", "remove the member and invite the new address"),
        ("password", "resets it"),
        ("mfa_enabled", "themselves"),
    ] {
        let values = Member { email: "other@example.com".to_owned(), mfa_enabled: true, ..Member::default() };
        for credential in [&*jetpack.owner.session, world.operator_key()] {
            let answer = jetpack.edit(credential, &ada.user_id, Some(&[field]), values.clone()).await;
            let refused = assert_refused(answer, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
            assert_eq!(refused.metadata["field"], field);
            assert!(refused.metadata["hint"].contains(instead), "{refused:?}");
        }
    }
    let address_alone = Member { email: "other@example.com".to_owned(), ..Member::default() };
    let answer = jetpack.edit(&jetpack.owner.session, &ada.user_id, None, address_alone).await;
    assert_refused(answer, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
    sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
}

/// jp_11: a person gets another address by being removed and invited at the new one.
#[wire_test]
async fn jp_11_an_address_changes_by_remove_and_invite(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let old = jetpack.join("ada@old.example.com", &["customer_success"]).await;
    jetpack.remove(&jetpack.owner.session, &old.user_id).await.unwrap();
    let new = jetpack.join("ada@new.example.com", &["customer_success"]).await;
    assert_ne!(old.user_id, new.user_id);
    let rows = jetpack.rows(&jetpack.owner.session, &[]).await;
    assert_eq!(
        rows.iter().filter(|row| row.email.starts_with("ada@")).map(|row| row.email.as_str()).collect::<Vec<_>>(),
        ["ada@new.example.com"]
    );
    assert!(jetpack.may(&new.user_id, "orders.read").await && !jetpack.may(&old.user_id, "orders.read").await);
}

/// jp_12: removal ends access at once, for the next check and for the next call, and cannot be undone.
#[wire_test]
async fn jp_12_removal_is_final_and_at_once(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    assert!(jetpack.may(&ada.user_id, "orders.edit").await);
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(!jetpack.may(&ada.user_id, "orders.edit").await);
    assert_refused(jetpack.roster(&ada.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    for credential in [&*jetpack.owner.session, world.operator_key()] {
        let restored = jetpack.restore(credential, &ada.user_id).await;
        let refused = assert_refused(restored, Code::FailedPrecondition, "REMOVAL_FINAL");
        assert_eq!(refused.metadata["hint"], "invite the person again");
    }
}

/// jp_14: who was removed is shown as Deactivated where removed members are asked for, and otherwise not at all.
#[wire_test]
async fn jp_14_a_removed_person_is_shown_as_deactivated(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    assert!(jetpack.roster(&jetpack.owner.session).await.unwrap().iter().all(|row| row.email != ada.email));
    let removed = jetpack.rows(&jetpack.owner.session, &[MemberState::Removed]).await;
    assert_eq!(
        removed.iter().map(|row| (row.email.as_str(), row.status_label.as_str())).collect::<Vec<_>>(),
        [("ada@example.com", "Deactivated")]
    );
}

/// jp_18: a deactivated person cannot log in, with the answer of an unknown address; once invited again, they can.
#[wire_test]
async fn jp_18_a_deactivated_person_cannot_log_in(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.remove(&jetpack.owner.session, &ada.user_id).await.unwrap();
    let known =
        assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    let unknown =
        assert_refused(sign_in(&world, "nobody@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_eq!(known, unknown);
    // Who belongs to another organization too goes on there.
    let grace = jetpack.join("grace@example.com", &["client_admin"]).await;
    jetpack.join_elsewhere(&grace).await;
    jetpack.remove(&jetpack.owner.session, &grace.user_id).await.unwrap();
    sign_in(&world, "grace@example.com", PASSWORD).await.unwrap();
    // A new invitation is a new beginning. The account is there, so that nobody signs up over it.
    let token = jetpack.invited("ada@example.com", &["customer_success"]).await;
    assert_refused(accept_as_new(&world, &token, "Eve").await, Code::AlreadyExists, "ACCOUNT_EXISTS");
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;
    accept_as(&world, &session, &token).await.unwrap();
    assert_eq!(jetpack.row(&jetpack.owner.session, "ada@example.com").await.state(), MemberState::Active);
    // An account is one account: of two products, one that keeps removed people out is enough (js_15 is the other's), until they belong somewhere again.
    let team = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    let both = jetpack.join("both@example.com", &["client_admin"]).await;
    team.join_existing(&both, &["member"]).await;
    jetpack.remove(&jetpack.owner.session, &both.user_id).await.unwrap();
    sign_in(&world, "both@example.com", PASSWORD).await.unwrap();
    team.remove(&team.owner.session, &both.user_id).await.unwrap();
    assert_refused(sign_in(&world, "both@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    team.restore(&team.owner.session, &both.user_id).await.unwrap();
    sign_in(&world, "both@example.com", PASSWORD).await.unwrap();
}

/// jp_13: what a removed user did stays: the audit log and the list of activity name them as before, also when their account is deleted.
#[wire_test]
async fn jp_13_history_stays_after_removal(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let ada = jetpack.join("ada@example.com", &["client_admin"]).await;
    jetpack.invite(&ada.session, "bob@example.com", &["customer_success"]).await.unwrap();
    let dashboard = service_key(&world, &["activity.write"]).await;
    send(&world, &dashboard, vec![report(&jetpack, &ada.user_id, 1, "orders.edited", ("orders", 1))]).await;
    let owner = &jetpack.owner.session;
    let log = || ListAuditEntriesRequest {
        organization_id: jetpack.organization_id.clone(),
        actor_user_id: ada.user_id.clone(),
        ..ListAuditEntriesRequest::default()
    };
    let before = (
        call!(world, audit.list_audit_entries, owner, log()).unwrap().entries,
        listed(&world, owner, of(&jetpack, &ada.user_id)).await,
    );
    assert_eq!((before.0.len(), before.1.len()), (2, 2));
    jetpack.remove(owner, &ada.user_id).await.unwrap();
    call!(
        world,
        users.delete_user,
        world.operator_key(),
        DeleteUserRequest { user_id: ada.user_id.clone(), ..DeleteUserRequest::default() }
    )
    .unwrap();
    let after = (
        call!(world, audit.list_audit_entries, owner, log()).unwrap().entries,
        listed(&world, owner, of(&jetpack, &ada.user_id)).await,
    );
    assert_eq!(after, before);
    assert!(
        after.0.iter().all(|entry| entry.actor_display_name == "Given")
            && after.1.iter().all(|one| one.user_display_name == "Given")
    );
    let removal = ListAuditEntriesRequest {
        actor_user_id: String::new(),
        subject_user_id: ada.user_id.clone(),
        kinds: texts(&["member.removed"]),
        ..log()
    };
    assert_eq!(
        call!(world, audit.list_audit_entries, owner, removal).unwrap().entries[0].subject_display_name,
        "Given"
    );
    // In the list of the whole organization, too.
    assert_eq!(listed(&world, owner, of(&jetpack, "")).await.len(), 1);
}

/// jp_06: where the product itself enforces a second factor, nobody has a session without one, who joins and who was there before, and no organization loosens it.
#[wire_test]
async fn jp_06_a_product_may_enforce_the_second_factor(world: World) {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/models/jetpack.toml");
    let document = std::fs::read_to_string(shipped).unwrap();
    let enforcing = document
        .replace("id = \"jetpack\"", "id = \"enforcing\"")
        .replace("[mfa]\nrequired = false", "[mfa]\nrequired = true");
    let folder = world.folder().join("models");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("enforcing.toml"), enforcing).unwrap();
    world.restart_with(&[("access-models-dir", folder.to_str().unwrap())]).await;

    let product = Scenario::under(&world, "enforcing").await;
    let listing = product.roster(&product.owner.session).await;
    assert_refused(listing, Code::PermissionDenied, "MFA_REQUIRED");
    assert!(!product.may(&product.owner.user_id, "orders.read").await);
    for loosened in
        [demand(&product, world.operator_key(), false).await, demand(&product, &product.owner.session, false).await]
    {
        assert!(loosened.is_err(), "{loosened:?}");
    }
    let challenge = sign_in(&world, &product.owner.email, PASSWORD).await.unwrap().challenge.unwrap();
    assert_eq!(challenge.kinds().collect::<Vec<_>>(), [SignInChallengeKind::TotpEnrollment]);
    let shown = code(&challenge.setup.unwrap().secret, world.clock.now());
    let session = complete(&world, &challenge.token, Shown::TotpCode(shown)).await.unwrap().session_token;
    assert!(product.roster(&session).await.unwrap()[0].mfa_enabled);
    assert!(product.may(&product.owner.user_id, "orders.read").await);

    let token = product.invited("ada@example.com", &["customer_success"]).await;
    let accepted = accept_as_new(&world, &token, "Ada").await.unwrap();
    assert_eq!(accepted.session_token, "");
    let challenge = accepted.challenge.unwrap();
    let shown = code(&challenge.setup.unwrap().secret, world.clock.now());
    let session = complete(&world, &challenge.token, Shown::TotpCode(shown)).await.unwrap().session_token;
    assert_eq!(product.roster(&session).await.unwrap().len(), 2);
}

/// jp_06: on accepting, a person creates a password, sets the profile and may enable a second factor; where the account enforces one, they must, and there is no
/// session before.
#[wire_test]
async fn jp_06_acceptance_takes_a_second_factor(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let acceptance = |token: &str, enroll_mfa: bool| {
        let sign_up = SignUp {
            given_name: "Ada".to_owned(),
            family_name: "Lovelace".to_owned(),
            password: PASSWORD.to_owned(),
            enroll_mfa,
            ..SignUp::default()
        };
        AcceptInvitationRequest {
            token: token.to_owned(),
            sign_up: Some(sign_up),
            ..AcceptInvitationRequest::default()
        }
    };
    let without = jetpack.invited("without@example.com", &["customer_success"]).await;
    let accepted = world.invitations().accept_invitation(acceptance(&without, false)).await.unwrap().into_inner();
    assert!(!accepted.session_token.is_empty() && accepted.challenge.is_none());
    let mut asked = vec![("wanting@example.com", true)];
    for round in 0..2 {
        for (email, wish) in asked.drain(..) {
            let token = jetpack.invited(email, &["customer_success"]).await;
            let accepted = world.invitations().accept_invitation(acceptance(&token, wish)).await.unwrap().into_inner();
            assert_eq!((accepted.session_token.as_str(), accepted.session_expire_time), ("", None));
            assert_eq!(
                world.count("SELECT COUNT(*) AS n FROM sessions").await,
                2 + round,
                "the owner's, and those of who is through"
            );
            let challenge = accepted.challenge.unwrap();
            assert_eq!(challenge.kinds().collect::<Vec<_>>(), [SignInChallengeKind::TotpEnrollment]);
            let shown = code(&challenge.setup.unwrap().secret, world.clock.now());
            let completed = complete(&world, &challenge.token, Shown::TotpCode(shown)).await.unwrap();
            assert_eq!((completed.recovery_codes.len(), completed.user.unwrap().given_name.as_str()), (10, "Ada"));
            assert!(jetpack.may(&accepted.user_id, "orders.read").await);
            settled(&world).await;
        }
        demand(&jetpack, world.operator_key(), true).await.unwrap();
        asked.push(("enforced@example.com", false));
    }
    assert!(!jetpack.may(&accepted.user_id, "orders.read").await, "who has none may do nothing from then on");
}

/// jp_10: no call of an administrator reaches the address, the password or the second factor of anybody else: the methods that change them name nobody but
/// the caller, also where a service calls for the administrator. People change them themselves.
#[wire_test]
async fn jp_10_credentials_are_a_persons_own(world: World) {
    let methods = Contract::load().methods();
    let about_oneself: Vec<_> = methods.iter().filter(|method| method.rule().scope == "credentials.write").collect();
    assert_eq!(about_oneself.len(), 7, "passwords, second factors, recovery codes and identities");
    for method in about_oneself {
        let (rule, names) = (method.rule(), method.field_names());
        assert!(
            rule.signed_in && rule.permission.is_empty() && rule.self_field.is_empty(),
            "{}: {rule:?}",
            method.name()
        );
        let others = ["user", "member", "email", "organization", "session", "actor"];
        assert!(
            !names.iter().any(|name| others.iter().any(|other| name.contains(other))),
            "{} names somebody: {names:?}",
            method.name()
        );
    }
    // Elsewhere, who names a user and gives a secret is that user (ChangeUserEmail).
    let secret = |name: &String| ["password", "totp", "recovery", "code"].iter().any(|word| name.contains(word));
    for method in methods
        .iter()
        .filter(|method| method.field_names().contains("user_id") && method.field_names().iter().any(secret))
    {
        assert_eq!(
            (method.name().as_str(), method.rule().self_field.as_str(), method.rule().permission.as_str()),
            ("UserService/ChangeUserEmail", "user_id", "")
        );
    }

    let jetpack = Scenario::under(&world, "jetpack").await;
    let (admin, user) = (&jetpack.owner.session, jetpack.join("user@example.com", &["customer_success"]).await);
    let service = service_key(&world, &["credentials.write", "credentials.read", "users.write"]).await;
    let changing = || ChangeUserEmailRequest {
        user_id: user.user_id.clone(),
        email: "new@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        ..ChangeUserEmailRequest::default()
    };
    let factors = || ListMfaFactorsRequest { user_id: user.user_id.clone() };
    assert_refused(call!(world, users.change_user_email, admin, changing()), Code::NotFound, "USER_NOT_FOUND");
    assert_refused(call!(world, credentials.list_mfa_factors, admin, factors()), Code::NotFound, "USER_NOT_FOUND");
    assert_refused(
        world.users().change_user_email(world.on_behalf_of(&service, admin, changing())).await,
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    assert_refused(
        world.credentials().list_mfa_factors(world.on_behalf_of(&service, admin, factors())).await,
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    // Both have the same password, and a service calls for the administrator: what changes is the administrator's.
    let another = "crimson ladder over 7 rivers";
    let request = || ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: another.to_owned(),
        ..ChangePasswordRequest::default()
    };
    assert_refused(
        call!(world, credentials.change_password, &service, request()),
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
    );
    world.credentials().change_password(world.on_behalf_of(&service, admin, request())).await.unwrap();
    sign_in(&world, &jetpack.owner.email, another).await.unwrap();
    assert_refused(sign_in(&world, &user.email, another).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    sign_in(&world, &user.email, PASSWORD).await.unwrap();
    // The person's own call does it.
    call!(world, credentials.change_password, &user.session, request()).unwrap();
    sign_in(&world, &user.email, another).await.unwrap();
    settled(&world).await;
    guard(&world, &user).await;
    assert!(
        jetpack.row(admin, &user.email).await.mfa_enabled
            && !jetpack.row(admin, &jetpack.owner.email).await.mfa_enabled
    );
}

/// jp_07: while the invitation is pending it is resent: the roster goes on to say so, the first link is dead, and the second one lets the person in.
#[wire_test]
async fn jp_07_a_pending_invitation_is_resent(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let jetpack = Scenario::under(&world, "jetpack").await;
    let admin = jetpack.join("admin@example.com", &["client_admin"]).await;
    let (invitation, first) = jetpack.invited_by(&admin.session, "ada@example.com", &["customer_success"]).await;
    let pending = jetpack.row(&admin.session, "ada@example.com").await;
    assert_eq!(
        pending.allowed_actions().collect::<Vec<_>>(),
        [MemberAction::ResendInvitation, MemberAction::RevokeInvitation]
    );
    world.clock.advance(Duration::from_secs(3600));
    let request = ResendInvitationRequest {
        organization_id: jetpack.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, &admin.session, request).unwrap();
    let second = world.mailbox.wait_for("ada@example.com", 2).await[1].invitation_token();
    let row = jetpack.row(&admin.session, "ada@example.com").await;
    assert_eq!(
        (row.status_label.as_str(), time(row.invitation_sent_time.as_ref())),
        ("Pending Invitation", world.clock.now())
    );
    assert_refused(sign_in(&world, "ada@example.com", PASSWORD).await, Code::Unauthenticated, "SIGN_IN_FAILED");
    assert_refused(accept_as_new(&world, &first, "Ada").await, Code::NotFound, "INVITATION_NOT_FOUND");
    accept_as_new(&world, &second, "Ada").await.unwrap();
    assert_eq!(jetpack.row(&admin.session, "ada@example.com").await.status_label, "Active");
}

/// jp_02: four roles, each with its permissions: a holder of each may do exactly what the model says, from tracking orders up to everything.
#[wire_test]
async fn jp_02_four_roles_and_what_they_may(world: World) {
    let jetpack = Scenario::under(&world, "jetpack").await;
    let mut people = vec![("account_owner", jetpack.owner.clone())];
    for role in ["client_admin", "customer_success_supply_chain", "customer_success"] {
        people.push((role, jetpack.join(&format!("{role}@example.com"), &[role]).await));
    }
    for (permission, expected) in [
        ("orders.read", [true, true, true, true]),
        ("orders.edit", [true, true, true, false]),
        ("inventory.manage", [true, true, true, false]),
        ("members.invite", [true, true, false, false]),
        ("integrations.manage", [true, true, false, false]),
        ("billing.manage", [true, false, false, false]),
    ] {
        let mut answers = Vec::new();
        for (_, person) in &people {
            answers.push(jetpack.may(&person.user_id, permission).await);
        }
        assert_eq!(answers, expected, "{permission}");
    }
}
