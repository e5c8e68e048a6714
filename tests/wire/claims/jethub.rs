//! A telephony hub: three roles of which one person can hold several, and a second step before inviting.

use std::time::Duration;

use tonic::Code;

use crate::identities::accept_with;
use crate::step_up::{complete, start};
use crate::support::identity_provider::{IdentityProvider, Signer};
use crate::support::pb::GetUserRequest;
use crate::support::runner::wire_tests;
use crate::support::scenario::{
    OWNER, PASSWORD, Scenario, accept_as_new, assert_refused, call, sign_in, texts, time, traces,
};

wire_tests! {
    /// jh_07: a new user creates a password or signs up with an identity at a provider, such as a Google account, and is signed in at once. Somebody else's identity
    /// changes nothing, and the invitation stays open.
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
    async fn jh_02_roles_are_a_set(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let both = hub.join("both@example.com", &["account_admin", "billing_user"]).await;
        let billing = hub.join("billing@example.com", &["billing_user"]).await;
        assert!(hub.may(&both.user_id, "billing.manage").await && hub.may(&both.user_id, "members.invite").await);
        assert!(hub.may(&billing.user_id, "billing.manage").await && !hub.may(&billing.user_id, "members.invite").await);
    }

    /// jh_09: an Account Admin changes the permissions of others, those of other Account Admins too.
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
    async fn jh_03_inviting_takes_a_code_from_the_mail(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let admin = &hub.owner.session;
        let told = assert_refused(hub.invite(admin, "guest@example.com", &["billing_user"]).await, Code::FailedPrecondition, "STEP_UP_REQUIRED");
        assert_eq!(told.metadata["method"], "roster.v1.SessionService/StartStepUp");
        let (id, code) = start(&world, admin, OWNER).await;
        let colleague = hub.join("colleague@example.com", &["account_admin"]).await;
        assert_refused(complete(&world, &colleague.session, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
        complete(&world, admin, &id, &code).await.unwrap();
        assert_refused(complete(&world, admin, &id, &code).await, Code::FailedPrecondition, "CHALLENGE_INVALID");
        hub.invite(admin, "guest@example.com", &["billing_user"]).await.unwrap();
        world.clock.advance(Duration::from_secs(599));
        hub.invite(admin, "other@example.com", &[]).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        assert_refused(hub.invite(admin, "late@example.com", &[]).await, Code::FailedPrecondition, "STEP_UP_REQUIRED");
    }

    /// jh_01: three roles: Account Admin, Standard User, Billing User.
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

    /// jh_05, jh_08: the invited address registers by the link in the mail, and is logged in by the same call.
    async fn jh_05_the_link_registers_and_jh_08_logs_in(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let token = hub.invited("new@example.com", &["billing_user"]).await;
        let accepted = accept_as_new(&world, &token, "New").await.unwrap();
        let request = GetUserRequest { user_id: accepted.user_id.clone() };
        let user = call!(world, users.get_user, &accepted.session_token, request).unwrap().user.unwrap();
        assert_eq!((user.email.as_str(), user.email_verified), ("new@example.com", true));
        assert!(hub.may(&accepted.user_id, "billing.read").await);
    }

    /// jh_11: the document grants itself fifteen minutes and a new login; here a change holds for the next call of the same session.
    async fn jh_11_a_change_holds_from_the_next_call(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let other = hub.join("other@example.com", &["account_admin"]).await;
        hub.roster(&other.session).await.unwrap();
        hub.set_roles(&hub.owner.session, &other.user_id, &["billing_user"]).await.unwrap();
        assert_refused(hub.roster(&other.session).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
        hub.set_roles(&hub.owner.session, &other.user_id, &["account_admin"]).await.unwrap();
        hub.roster(&other.session).await.unwrap();
    }

    /// jh_12: the list has address, active or not, roles, invitation sent, invitation accepted and last logged in.
    async fn jh_12_the_columns_of_the_list(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let sent = world.clock.now();
        let token = hub.invited("new@example.com", &["billing_user"]).await;
        let before = hub.row(&hub.owner.session, "new@example.com").await;
        assert_eq!((before.has_signed_in, before.status_label.as_str(), &before.roles), (false, "Inactive", &texts(&["billing_user"])));
        assert_eq!((time(before.invitation_sent_time.as_ref()), before.invitation_accepted_time, before.last_sign_in_time), (sent, None, None));
        world.clock.advance(Duration::from_secs(60));
        accept_as_new(&world, &token, "New").await.unwrap();
        let accepted = world.clock.now();
        world.clock.advance(Duration::from_secs(60));
        sign_in(&world, "new@example.com", PASSWORD).await.unwrap();
        let after = hub.row(&hub.owner.session, "new@example.com").await;
        assert_eq!((after.has_signed_in, after.status_label.as_str()), (true, "Active"));
        let times = [after.invitation_sent_time, after.invitation_accepted_time, after.last_sign_in_time].map(|one| time(one.as_ref()));
        assert_eq!(times, [sent, accepted, world.clock.now()]);
    }
}
