//! A fulfilment dashboard: four roles, invitations in the list, removal for good.

use std::time::Duration;

use tonic::Code;

use crate::activity::{listed, of, report, send};
use crate::support::pb::{ActivityKind, GetMemberRequest, GetUserRequest};
use crate::support::runner::wire_tests;
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, service_key, sign_in, texts, time};

wire_tests! {
    /// jp_04: an address that is in the account, or invited to it, is not added a second time.
    async fn jp_04_an_address_is_in_the_account_once(world: World) {
        let jetpack = Scenario::under(&world, "jetpack").await;
        let owner = &jetpack.owner.session;
        jetpack.invite(owner, "ada@example.com", &["client_admin"]).await.unwrap();
        let again = jetpack.invite(owner, "Ada@Example.com", &["customer_success"]).await;
        assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
        let member = jetpack.invite(owner, &jetpack.owner.email, &["customer_success"]).await;
        assert_refused(member, Code::AlreadyExists, "ALREADY_MEMBER");
    }

    /// jp_01: a user has an address and a password of their own, a role, a profile, and a history: of sign-ins, and of what they did in the dashboard.
    async fn jp_01_a_user_has_a_profile_and_a_history(world: World) {
        let jetpack = Scenario::under(&world, "jetpack").await;
        let ada = jetpack.join("ada@example.com", &["customer_success"]).await;
        world.clock.advance(Duration::from_secs(60));
        sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
        let dashboard = service_key(&world, &["activity.write"]).await;
        world.clock.advance(Duration::from_secs(60));
        send(&world, &dashboard, vec![report(&jetpack, &ada.user_id, 1, "orders.viewed", ("orders", 1))]).await;

        let user = call!(world, users.get_user, &ada.session, GetUserRequest { user_id: ada.user_id.clone() }).unwrap().user.unwrap();
        assert_eq!((user.email.as_str(), user.given_name.as_str()), ("ada@example.com", "Given"));
        let owner = &jetpack.owner.session;
        let request = GetMemberRequest { organization_id: jetpack.organization_id.clone(), user_id: ada.user_id.clone() };
        let member = call!(world, members.get_member, owner, request).unwrap().member.unwrap();
        assert_eq!((&member.roles, member.has_signed_in), (&texts(&["customer_success"]), true));
        let history = listed(&world, owner, of(&jetpack, &ada.user_id)).await;
        let kinds: Vec<ActivityKind> = history.iter().map(|one| one.kind()).collect();
        assert_eq!(kinds, [ActivityKind::Action, ActivityKind::SignIn, ActivityKind::SignIn]);
        assert_eq!((history[0].action.as_str(), history[0].summary.as_str()), ("orders.viewed", "Did orders.viewed"));
        assert!(history.iter().all(|one| one.user_display_name == "Given" && one.time.is_some()));
    }

    /// jp_17: last login, status and role show who uses the dashboard; the last login moves with each sign-in.
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
            assert_eq!((pending.status_label.as_str(), &pending.roles, pending.last_sign_in_time), ("Pending Invitation", &texts(&["client_admin"]), None));
        }
    }
}
