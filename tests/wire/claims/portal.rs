//! A customer portal: owners, managers, and contacts that are not users.

use tonic::Code;

use crate::support::runner::wire_tests;
use crate::support::scenario::{Scenario, assert_refused};

wire_tests! {
    /// cp_06: a Manager has the account, and neither invites nor edits users.
    async fn cp_06_a_manager_leaves_users_alone(world: World) {
        let portal = Scenario::under(&world, "portal").await;
        let manager = portal.join("manager@example.com", &["manager"]).await;
        assert!(portal.may(&manager.user_id, "services.manage").await);
        let invited = portal.invite(&manager.session, "guest@example.com", &["manager"]).await;
        assert_refused(invited, Code::PermissionDenied, "PERMISSION_REQUIRED");
        let edited = portal.set_roles(&manager.session, &portal.owner.user_id, &["manager"]).await;
        assert_refused(edited, Code::PermissionDenied, "PERMISSION_REQUIRED");
    }
}
