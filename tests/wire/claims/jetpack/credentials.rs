//! What Jetpack promises of passwords, second factors and addresses.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::mfa::{complete, demand, guard};
use crate::support::authenticator::code;
use crate::support::dynamic::Contract;
use crate::support::pb::complete_sign_in_request::Code as Shown;
use crate::support::pb::{
    AcceptInvitationRequest, ChangePasswordRequest, ChangeUserEmailRequest, ListMfaFactorsRequest, Member,
    SignInChallengeKind, SignUp,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as_new, assert_refused, call, service_key, settled, sign_in,
};
use crate::support::world::World;

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
    // Elsewhere, who names a user and gives a secret is that user.
    let secret = |name: &String| ["password", "totp", "recovery", "code"].iter().any(|word| name.contains(word));
    for method in methods
        .iter()
        .filter(|method| method.field_names().contains("user_id") && method.field_names().iter().any(secret))
    {
        assert!(["UserService/ChangeUserEmail", "UserService/ScheduleUserDeletion"].contains(&method.name().as_str()));
        assert_eq!((method.rule().self_field.as_str(), method.rule().permission.as_str()), ("user_id", ""));
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
    assert_refused(call!(world, users.change_user_email, admin, changing()), Code::PermissionDenied, "SELF_ONLY");
    assert_refused(call!(world, credentials.list_mfa_factors, admin, factors()), Code::PermissionDenied, "SELF_ONLY");
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
