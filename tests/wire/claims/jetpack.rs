//! A fulfilment dashboard: four roles, invitations in the list, removal for good.

use tonic::Code;

use crate::support::runner::wire_tests;
use crate::support::scenario::{Scenario, assert_refused};
use crate::support::world::World;

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
}
