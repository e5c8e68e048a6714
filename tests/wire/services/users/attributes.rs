//! Attributes: what products keep with users and organizations, set by services alone.

use std::collections::HashMap;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateOrganizationRequest, CreateUserRequest, GetOrganizationRequest, ListAuditEntriesRequest,
    ListUserMembershipsRequest, ListUsersRequest, Organization, UpdateOrganizationRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{PASSWORD, assert_refused, call, new_user, service_key, sign_in, texts, traces};
use crate::support::world::World;

fn attributes(entries: &[(&str, &str)]) -> HashMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_user(user_id: &str, entries: &[(&str, &str)]) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(User { user_id: user_id.to_owned(), attributes: attributes(entries), ..User::default() }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["attributes"]) }),
        ..UpdateUserRequest::default()
    }
}

fn of_organization(id: &str, entries: &[(&str, &str)]) -> UpdateOrganizationRequest {
    let organization =
        Organization { organization_id: id.to_owned(), attributes: attributes(entries), ..Organization::default() };
    UpdateOrganizationRequest {
        organization: Some(organization),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["attributes"]) }),
        ..UpdateOrganizationRequest::default()
    }
}

async fn update(world: &World, credential: &str, request: UpdateUserRequest) -> Result<User, Status> {
    Ok(call!(world, users.update_user, credential, request)?.user.unwrap())
}

/// A service keeps attributes with a user and an organization: they are in lists and events, a change replaces all, and people read them and do not change them.
#[wire_test]
async fn services_keep_attributes_and_people_read_them(world: World) {
    let key = service_key(&world, &["users.write", "users.read", "organizations.write", "organizations.read"]).await;
    let create = CreateUserRequest { attributes: attributes(&[("crm.id", "4711")]), ..new_user("ada@example.com") };
    let ada = call!(world, users.create_user, &key, create).unwrap().user.unwrap();
    assert_eq!(ada.attributes, attributes(&[("crm.id", "4711")]));
    let create = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        attributes: attributes(&[("plan", "gold")]),
        owner: Some(Owner::OwnerUserId(ada.user_id.clone())),
        ..CreateOrganizationRequest::default()
    };
    let acme = call!(world, organizations.create_organization, &key, create).unwrap().organization.unwrap();
    let session = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap().session_token;

    let changed = update(&world, &key, of_user(&ada.user_id, &[("plan", "silver"), ("seat", "7")])).await.unwrap();
    assert_eq!(changed.attributes, attributes(&[("plan", "silver"), ("seat", "7")]));
    let listed = call!(world, users.list_users, &key, ListUsersRequest::default()).unwrap().users;
    assert!(listed.iter().any(|user| user.attributes == changed.attributes));
    let before = traces(&world).await;
    let unchanged = update(&world, &key, of_user(&ada.user_id, &[("seat", "7"), ("plan", "silver")])).await.unwrap();
    assert_eq!((unchanged.etag, traces(&world).await), (changed.etag, before.clone()));

    let refused = assert_refused(
        update(&world, &session, of_user(&ada.user_id, &[("plan", "gold")])).await,
        Code::FailedPrecondition,
        "FIELD_NOT_EDITABLE",
    );
    assert_eq!(refused.metadata["field"], "attributes");
    let by_owner = of_organization(&acme.organization_id, &[("plan", "platinum")]);
    let refused = call!(world, organizations.update_organization, &session, by_owner.clone());
    assert_refused(refused, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
    let on_behalf = world.on_behalf_of(world.operator_key(), &session, by_owner);
    let refused = world.organizations().update_organization(on_behalf).await;
    assert_refused(refused, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
    assert_eq!(traces(&world).await, before);

    // Members read them, alone and in a switcher; a change is in the record.
    let get = GetOrganizationRequest { organization_id: acme.organization_id.clone() };
    let read = call!(world, organizations.get_organization, &session, get).unwrap().organization.unwrap();
    assert_eq!(read.attributes, attributes(&[("plan", "gold")]));
    call!(world, organizations.update_organization, &key, of_organization(&acme.organization_id, &[])).unwrap();
    let memberships = ListUserMembershipsRequest { user_id: ada.user_id.clone(), ..Default::default() };
    let memberships = call!(world, members.list_user_memberships, &session, memberships).unwrap().memberships;
    assert_eq!(memberships[0].organization.as_ref().unwrap().attributes, HashMap::new());
    let entries = ListAuditEntriesRequest { organization_id: acme.organization_id, ..Default::default() };
    let entries = call!(world, audit.list_audit_entries, &session, entries).unwrap().entries;
    let told = format!("{:?}", entries[0].before);
    assert!(entries[0].kind == "organization.updated" && told.contains("gold"), "{told}");
}
