//! Identities at a provider that is not ours. Where it is not installed, these tests are left out, and the runner says so.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::identities::{accept_with, enter};
use crate::support::pb::{GetUserRequest, OpenIdConnectToken};
use crate::support::real_provider::RealProvider;
use crate::support::scenario::{Scenario, assert_refused, call};
use crate::support::world::World;

/// jh_07: a person registers with their account at a provider, by the authorization code flow, and signs in with it from then on. Each login is good once.
#[wire_test]
async fn jh_07_a_person_registers_at_a_provider_and_signs_in(world: World) {
    let provider = tokio::task::block_in_place(|| RealProvider::start(&world));
    provider.trusted_by(&world).await;
    let hub = Scenario::under(&world, "jethub").await;
    let link = hub.invited("lou@example.com", &["billing_user"]).await;
    assert_refused(enter(&world, provider.log_in("lou").await).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");

    let login = provider.log_in("lou").await;
    let accepted = accept_with(&world, &link, login.clone(), "").await.unwrap();
    let request = GetUserRequest { user_id: accepted.user_id.clone() };
    let user = call!(world, users.get_user, &accepted.session_token, request).unwrap().user.unwrap();
    assert!(user.email == "lou@example.com" && user.email_verified);
    assert!(hub.may(&accepted.user_id, "billing.manage").await);
    assert_refused(enter(&world, login).await, Code::Unauthenticated, "ID_TOKEN_USED");

    let elsewhere = OpenIdConnectToken { nonce: "of another sign-in".to_owned(), ..provider.log_in("lou").await };
    let refused = assert_refused(enter(&world, elsewhere).await, Code::Unauthenticated, "ID_TOKEN_INVALID");
    assert_eq!(refused.metadata["flaw"], "nonce");
    let begun = enter(&world, provider.log_in("lou").await).await.unwrap();
    assert_eq!(begun.user.unwrap().user_id, accepted.user_id);
    assert_refused(enter(&world, provider.log_in("max").await).await, Code::Unauthenticated, "IDENTITY_UNKNOWN");
}
