//! Join links made, taken back and joined by.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{BOB, ID, LATER};
use crate::support::pb::{CreateJoinLinkRequest, JoinOrganizationRequest, RevokeJoinLinkRequest};
use crate::support::scenario::{Scenario, assert_refused, call, create_user, service_key, traces};
use crate::support::world::World;

/// CreateJoinLink, JoinOrganization and RevokeJoinLink.
#[wire_test]
async fn changes_of_join_links_are_repeatable(world: World) {
    let scenario = Scenario::acme(&world).await;
    let (owner, key) = (&scenario.owner.session, world.operator_key());
    let creation = |max_uses: i32| CreateJoinLinkRequest {
        organization_id: scenario.organization_id.clone(),
        max_uses,
        ..CreateJoinLinkRequest::default()
    };
    let made = hold!(world, join_links.create_join_link, owner, creation(2), creation(3), key);
    let bob = create_user(&world, BOB).await;
    let eve = create_user(&world, "eve@example.com").await;
    let joining = |token: &str| JoinOrganizationRequest { token: token.to_owned(), ..Default::default() };
    hold!(world, join_links.join_organization, &bob.session, joining(&made.token), joining("rjl_x"), &eve.session);
    let revocation = |id: &str| RevokeJoinLinkRequest {
        organization_id: scenario.organization_id.clone(),
        join_link_id: id.to_owned(),
        ..RevokeJoinLinkRequest::default()
    };
    let other = service_key(&world, &["operator"]).await;
    let id = made.join_link.unwrap().join_link_id;
    hold!(world, join_links.revoke_join_link, key, revocation(&id), revocation(ID), &other);
}
