//! What the records of organizations have of a profile.

use roster_test_macros::wire_test;
use serde_json::json;

use super::written;
use crate::contract::before_and_after::{last, says};
use crate::support::pb::{
    AcceptInvitationRequest, CreateMemberRequest, ImportUsersRequest, ImportedMembership, Member, SignUp,
    UpdateUserRequest, User, UserToImport,
};
use crate::support::scenario::{PASSWORD, Scenario, call, create_user, texts};
use crate::support::world::World;

/// ab_39: no organization's record holds a person's name, username, telephone number or address, however they come to be known or change; it holds which of the fields that its roster
/// shows have changed. The values are in the person's own record.
#[wire_test]
async fn ab_39_profiles_stay_out_of_the_records_of_organizations(world: World) {
    let acme = Scenario::acme(&world).await;
    let fabric = Scenario::with(&world, "packetfabric", "customer", "admin@example.com").await;
    let ada = create_user(&world, "ada@example.com").await;
    acme.join_existing(&ada, &["member"]).await;
    let update = async |values: User| {
        let user = User { user_id: ada.user_id.clone(), ..values };
        call!(world, users.update_user, &ada.session, UpdateUserRequest { user: Some(user), ..Default::default() })
            .unwrap()
    };
    update(User {
        given_name: "Zaphodella".to_owned(),
        phone_number: "+41791234567".to_owned(),
        locale: "de".to_owned(),
        username: "zaphod42".to_owned(),
        ..Default::default()
    })
    .await;
    says(
        &last(&acme).await,
        "member.updated",
        &ada.user_id,
        serde_json::Value::Null,
        json!({ "fields": ["given_name", "username"] }),
    );
    let revision = acme.roster(world.operator_key()).await.unwrap();
    // What no roster shows is no news to it.
    update(User { phone_number: "+41797654321".to_owned(), locale: "fr".to_owned(), ..Default::default() }).await;
    assert_eq!(acme.roster(world.operator_key()).await.unwrap(), revision);
    update(User { display_name: "Trillian Beeblebrox".to_owned(), ..Default::default() }).await;
    says(
        &last(&acme).await,
        "member.updated",
        &ada.user_id,
        serde_json::Value::Null,
        json!({ "fields": ["display_name"] }),
    );
    // Shown beside another name.
    update(User { family_name: "Slartibartfast".to_owned(), ..Default::default() }).await;
    says(
        &last(&acme).await,
        "member.updated",
        &ada.user_id,
        serde_json::Value::Null,
        json!({ "fields": ["family_name"] }),
    );
    acme.edit(
        &acme.owner.session,
        &ada.user_id,
        None,
        Member { given_name: "Deepthought".to_owned(), ..Default::default() },
    )
    .await
    .unwrap();
    says(
        &last(&acme).await,
        "member.updated",
        &ada.user_id,
        serde_json::Value::Null,
        json!({ "fields": ["given_name"] }),
    );

    let request = CreateMemberRequest {
        organization_id: fabric.organization_id.clone(),
        email: "marvinus@example.com".to_owned(),
        given_name: "Marvinus".to_owned(),
        password: PASSWORD.to_owned(),
        roles: texts(&["regular"]),
        username: "marvin".to_owned(),
        phone_number: "+41791111111".to_owned(),
        ..Default::default()
    };
    call!(world, members.create_member, &fabric.owner.session, request).unwrap();
    let membership = ImportedMembership { organization_id: fabric.organization_id.clone(), roles: texts(&["regular"]) };
    let person = UserToImport {
        email: "marvinetta@example.com".to_owned(),
        given_name: "Marvinetta".to_owned(),
        memberships: vec![membership],
        ..Default::default()
    };
    let batch = ImportUsersRequest {
        import_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned(),
        users: vec![person],
        validate_only: false,
    };
    let mut stream =
        call!(world, users.import_users, world.operator_key(), futures_util::stream::iter([batch])).unwrap();
    while stream.message().await.unwrap().is_some() {}
    let token = acme.invited("prefect@example.com", &["member"]).await;
    let sign_up = SignUp {
        given_name: "Fordlike".to_owned(),
        password: PASSWORD.to_owned(),
        phone_number: "+41792222222".to_owned(),
        ..Default::default()
    };
    world
        .invitations()
        .accept_invitation(AcceptInvitationRequest { token, sign_up: Some(sign_up), ..Default::default() })
        .await
        .unwrap();

    let events = written(&world, "SELECT data FROM events WHERE stream = 'organization'").await;
    for value in ["Zaphodella", "4179", "zaphod42", "Trillian", "Slartibartfast", "Deepthought", "arvin", "Fordlike"] {
        assert!(!events.contains(value), "{value} is in the record of an organization: {events}");
    }
    // The address that an organization invites is its own word.
    assert!(events.contains("prefect@example.com"));
    let own = written(&world, "SELECT data FROM events WHERE stream = 'user'").await;
    for value in ["Zaphodella", "+41791234567", "+41797654321", "zaphod42", "Trillian", "Slartibartfast", "Deepthought"]
    {
        assert!(own.contains(value), "{value} is not in the person's own record: {own}");
    }
}
