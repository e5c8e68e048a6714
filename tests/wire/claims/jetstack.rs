//! An AI platform's team page: three tiers, exactly one owner, ownership by transfer.

use tonic::Code;

use crate::support::runner::wire_tests;
use crate::support::scenario::{Scenario, assert_refused};
use crate::support::world::World;

wire_tests! {
    /// js_01: an Admin manages the team; a Member sees the roster and changes nothing.
    async fn js_01_members_see_and_change_nothing(world: World) {
        let team = Scenario::under(&world, "jetstack").await;
        let admin = team.join("admin@example.com", &["admin"]).await;
        let member = team.join("member@example.com", &["member"]).await;
        team.invite(&admin.session, "guest@example.com", &["member"]).await.unwrap();
        assert_eq!(team.roster(&member.session).await.unwrap().len(), 4);
        let invited = team.invite(&member.session, "other@example.com", &["member"]).await;
        assert_refused(invited, Code::PermissionDenied, "PERMISSION_REQUIRED");
        let promoted = team.set_roles(&member.session, &member.user_id, &["admin"]).await;
        assert_refused(promoted, Code::PermissionDenied, "PERMISSION_REQUIRED");
    }
}
