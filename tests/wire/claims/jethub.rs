//! A telephony hub: three roles of which one person can hold several, and a second step before inviting.

use crate::support::runner::wire_tests;
use crate::support::scenario::Scenario;

wire_tests! {
    /// jh_02: one person can hold two roles, and may do what either lets them do.
    async fn jh_02_roles_are_a_set(world: World) {
        let hub = Scenario::under(&world, "jethub").await;
        let both = hub.join("both@example.com", &["account_admin", "billing_user"]).await;
        let billing = hub.join("billing@example.com", &["billing_user"]).await;
        assert!(hub.may(&both.user_id, "billing.manage").await && hub.may(&both.user_id, "members.invite").await);
        assert!(hub.may(&billing.user_id, "billing.manage").await && !hub.may(&billing.user_id, "members.invite").await);
    }
}
