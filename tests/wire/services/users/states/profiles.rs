//! What a user changes about themselves, and where it shows.

use roster_test_macros::wire_test;
use tonic::Code;

use super::{delete_organization, undelete_organization};
use crate::support::pb::{ListMembersRequest, UpdateUserRequest, User};
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, sign_in, texts};
use crate::support::world::World;

pub(super) async fn profile(world: &World, credential: &str, mask: &[&str], user: User) -> Result<User, tonic::Status> {
    let request = UpdateUserRequest {
        user: Some(user),
        update_mask: Some(prost_types::FieldMask { paths: texts(mask) }),
        ..UpdateUserRequest::default()
    };
    call!(world, users.update_user, credential, request).map(|answer| answer.user.unwrap())
}

/// Whoever got another name while they were removed, or by another organization's hand while this one was deleted, stands where that name belongs.
#[wire_test]
async fn names_that_changed_meanwhile_are_in_order(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "packetfabric", "", "other@example.com").await;
    let owner = &acme.owner.session;
    let (ada, bob) = (acme.join("ada@example.com", &["member"]).await, acme.join("bob@example.com", &["member"]).await);
    let order =
        async || -> Vec<String> { acme.roster(owner).await.unwrap().into_iter().map(|row| row.display_name).collect() };

    acme.remove(owner, &ada.user_id).await.unwrap();
    let session = sign_in(&world, &ada.email, PASSWORD).await.unwrap().session_token;
    let renamed = User { user_id: ada.user_id.clone(), display_name: "Zed".to_owned(), ..User::default() };
    profile(&world, &session, &["display_name"], renamed).await.unwrap();
    acme.restore(owner, &ada.user_id).await.unwrap();
    assert_eq!(order().await, ["Given", "owner", "Zed"]);

    other.join_existing(&bob, &["regular"]).await;
    delete_organization(&world, &acme).await;
    let named = crate::support::pb::Member { given_name: "Yolanda".to_owned(), ..Default::default() };
    other.edit(&other.owner.session, &bob.user_id, None, named).await.unwrap();
    undelete_organization(&world, &acme).await;
    assert_eq!(order().await, ["owner", "Yolanda", "Zed"]);
    let holders = ListMembersRequest {
        organization_id: acme.organization_id.clone(),
        role: "member".to_owned(),
        ..ListMembersRequest::default()
    };
    let holders = call!(world, members.list_members, owner, holders).unwrap().members;
    assert_eq!(holders.iter().map(|row| row.display_name.as_str()).collect::<Vec<_>>(), ["Yolanda", "Zed"]);
}

/// People change their own names, which show and sort in every organization, and their username; others do not.
#[wire_test]
async fn a_person_changes_their_own_profile(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = acme.join("ada@example.com", &["member"]).await;
    let values = || User {
        user_id: ada.user_id.clone(),
        given_name: "Zoë".to_owned(),
        family_name: "King".to_owned(),
        display_name: "Zed".to_owned(),
        username: "zed".to_owned(),
        locale: "fr".to_owned(),
        ..User::default()
    };
    assert_refused(
        profile(&world, &acme.owner.session, &["given_name"], values()).await,
        Code::PermissionDenied,
        "SELF_ONLY",
    );
    let changed =
        profile(&world, &ada.session, &["given_name", "family_name", "username", "locale"], values()).await.unwrap();
    assert_eq!(
        (changed.display_name.as_str(), changed.username.as_str(), changed.locale.as_str()),
        ("Zoë King", "zed", "fr")
    );
    let last = acme.roster(&acme.owner.session).await.unwrap().pop().unwrap();
    assert_eq!((last.display_name.as_str(), last.username.as_str()), ("Zoë King", "zed"));
    assert_eq!(profile(&world, &ada.session, &["display_name"], values()).await.unwrap().display_name, "Zed");
    let cleared = profile(
        &world,
        world.operator_key(),
        &["display_name", "username"],
        User { user_id: ada.user_id.clone(), ..User::default() },
    )
    .await
    .unwrap();
    assert_eq!((cleared.display_name.as_str(), cleared.username.as_str()), ("Zoë King", ""));
    let stale = UpdateUserRequest { user: Some(values()), etag: changed.etag, ..UpdateUserRequest::default() };
    assert_refused(call!(world, users.update_user, &ada.session, stale), Code::Aborted, "ETAG_MISMATCH");
    // Administrators leave alone whoever belongs elsewhere too.
    let named = crate::support::pb::Member { given_name: "Ada".to_owned(), ..Default::default() };
    acme.edit(&acme.owner.session, &ada.user_id, None, named.clone()).await.unwrap();
    acme.join_elsewhere(&ada).await;
    let refused = acme.edit(&acme.owner.session, &ada.user_id, None, named).await;
    assert_refused(refused, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
}
