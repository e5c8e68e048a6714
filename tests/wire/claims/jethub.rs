//! A telephony hub: three roles of which one person can hold several, and a second step before inviting.

use std::time::Duration;

use tonic::Code;

use crate::step_up::{complete, start};
use crate::support::runner::wire_tests;
use crate::support::scenario::{OWNER, Scenario, assert_refused};

wire_tests! {
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
}
