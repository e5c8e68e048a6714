//! A network platform's portal: five groups, usernames, users created directly, and removal that only the platform's support undoes.

use tonic::Code;

use crate::support::runner::wire_tests;
use crate::support::scenario::{Scenario, assert_refused};

wire_tests! {
    /// pf_02: the group Sales is of the partners' portal only.
    async fn pf_02_sales_is_for_partners(world: World) {
        let customer = Scenario::with(&world, "packetfabric", "customer", "admin@customer.example.com").await;
        let refused = customer.invite(&customer.owner.session, "sales@example.com", &["sales"]).await;
        assert_refused(refused, Code::FailedPrecondition, "ROLE_NOT_IN_ORGANIZATION_KIND");
        let partner = Scenario::with(&world, "packetfabric", "partner", "admin@partner.example.com").await;
        partner.invite(&partner.owner.session, "sales@example.com", &["sales"]).await.unwrap();
    }
}
