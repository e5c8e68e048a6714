//! A change that changes nothing.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{
    Contact, CreateContactRequest, CreateRoleRequest, Member, Organization, Role, UpdateContactRequest,
    UpdateMemberRequest, UpdateOrganizationRequest, UpdateRoleRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{Scenario, assert_refused, call, texts, traces};
use crate::support::world::World;

/// Who writes what is there already gets it back as it is: no revision moves, nothing is recorded, and what names its state stays what it was.
#[wire_test]
async fn what_changes_nothing_writes_nothing(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let key = world.operator_key();
    let organization_id = acme.organization_id.clone();
    let request = CreateContactRequest {
        organization_id: organization_id.clone(),
        email: "desk@example.com".to_owned(),
        display_name: "Desk".to_owned(),
        ..Default::default()
    };
    let contact = call!(world, contacts.create_contact, key, request).unwrap().contact.unwrap();
    let request = CreateRoleRequest {
        organization_id: organization_id.clone(),
        role: "custom.reader".to_owned(),
        display_name: "Reader".to_owned(),
        permissions: texts(&["members.read"]),
        ..Default::default()
    };
    call!(world, roles.create_role, key, request).unwrap();
    let organization = Organization {
        organization_id: organization_id.clone(),
        display_name: "Other".to_owned(),
        ..Default::default()
    };
    let change_organization =
        UpdateOrganizationRequest { organization: Some(organization), ..UpdateOrganizationRequest::default() };
    let user = User { user_id: bob.user_id.clone(), given_name: "Robert".to_owned(), ..User::default() };
    let change_user = UpdateUserRequest { user: Some(user), ..UpdateUserRequest::default() };
    let member = Member {
        organization_id: organization_id.clone(),
        user_id: bob.user_id.clone(),
        display_name: "Bobby".to_owned(),
        ..Member::default()
    };
    let change_member = UpdateMemberRequest { member: Some(member.clone()), ..UpdateMemberRequest::default() };
    let contact = Contact {
        contact_id: contact.contact_id,
        organization_id: organization_id.clone(),
        display_name: "Front desk".to_owned(),
        ..Contact::default()
    };
    let change_contact = UpdateContactRequest { contact: Some(contact), ..UpdateContactRequest::default() };
    let role = Role { role: "custom.reader".to_owned(), display_name: "Looker".to_owned(), ..Role::default() };
    let change_role = UpdateRoleRequest { organization_id, role: Some(role), ..UpdateRoleRequest::default() };
    let mut seen = Vec::new();
    for _ in 0..2 {
        let organization = call!(world, organizations.update_organization, key, change_organization.clone()).unwrap();
        let member = call!(world, members.update_member, key, change_member.clone()).unwrap();
        let user = call!(world, users.update_user, key, change_user.clone()).unwrap();
        let contact = call!(world, contacts.update_contact, key, change_contact.clone()).unwrap();
        let role = call!(world, roles.update_role, key, change_role.clone()).unwrap();
        acme.set_roles(key, &bob.user_id, &["admin"]).await.unwrap();
        assert_eq!(member.member.unwrap().display_name, "Bobby");
        let etags = [
            organization.organization.unwrap().etag,
            user.user.unwrap().etag,
            contact.contact.unwrap().etag,
            role.role.unwrap().etag,
        ];
        seen.push((etags, acme.row(key, "bob@example.com").await, traces(&world).await));
    }
    assert_eq!(seen[0], seen[1]);
    // Others change roles by another method: they are not passed over in silence.
    let with_roles = Member { roles: texts(&["member"]), ..member };
    let request = UpdateMemberRequest { member: Some(with_roles), ..UpdateMemberRequest::default() };
    let refused = call!(world, members.update_member, key, request);
    let refused = assert_refused(refused, Code::FailedPrecondition, "FIELD_NOT_EDITABLE");
    assert_eq!(refused.metadata["field"], "roles");
    assert_eq!(traces(&world).await, seen[1].2);
}
