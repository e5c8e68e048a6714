//! Lists of records, roles and permissions.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{
    CreateContactRequest, CreateRoleRequest, ListAuditEntriesRequest, ListContactRecipientsRequest,
    ListContactsRequest, ListPermissionsRequest, ListRolesRequest,
};
use crate::support::scenario::{Scenario, assert_invalid, call};
use crate::support::world::World;

/// Contacts by name, also where names are the same; recipients of a notification; and the entries of the audit log, newest first.
#[wire_test]
async fn records_are_walked(world: World) {
    let scenario = Scenario::acme(&world).await;
    for (index, name) in ["Zoe", "Ops", "Ops", "ada", "Ops"].into_iter().enumerate() {
        let request = CreateContactRequest {
            organization_id: scenario.organization_id.clone(),
            email: format!("contact{index}@example.com"),
            display_name: name.to_owned(),
            notification_roles: vec!["maintenance".to_owned()],
            ..CreateContactRequest::default()
        };
        call!(world, contacts.create_contact, &scenario.owner.session, request).unwrap();
    }
    let of = |email: &str| ListContactsRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        ..ListContactsRequest::default()
    };
    let (listed, token) = hold!(world, contacts.list_contacts, &scenario.owner.session, of(""), contacts, email, 5);
    assert_eq!((listed[0].as_str(), listed[4].as_str()), ("contact3@example.com", "contact0@example.com"));
    refuse_token!(world, contacts.list_contacts, &scenario.owner.session, of("contact1@example.com"), token);
    let to = |role: &str| ListContactRecipientsRequest {
        organization_id: scenario.organization_id.clone(),
        notification_role: role.to_owned(),
        ..ListContactRecipientsRequest::default()
    };
    let (_, token) = hold!(
        world,
        contacts.list_contact_recipients,
        &scenario.owner.session,
        to("maintenance"),
        recipients,
        contact_id,
        5
    );
    refuse_token!(world, contacts.list_contact_recipients, &scenario.owner.session, to("billing"), token);
    let entries = |kinds: &[&str]| ListAuditEntriesRequest {
        organization_id: scenario.organization_id.clone(),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..ListAuditEntriesRequest::default()
    };
    let (revisions, token) =
        hold!(world, audit.list_audit_entries, &scenario.owner.session, entries(&[]), entries, revision, 7);
    assert_eq!(revisions, [7, 6, 5, 4, 3, 2, 1]);
    refuse_token!(world, audit.list_audit_entries, &scenario.owner.session, entries(&["member.added"]), token);
}

/// The roles of an organization, its own among them, and the permissions that they are made of: by id.
#[wire_test]
async fn roles_and_permissions_are_walked(world: World) {
    let scenario = Scenario::acme(&world).await;
    for role in ["custom.b", "custom.a"] {
        let request = CreateRoleRequest {
            organization_id: scenario.organization_id.clone(),
            role: role.to_owned(),
            display_name: "Ours".to_owned(),
            ..CreateRoleRequest::default()
        };
        call!(world, roles.create_role, &scenario.owner.session, request).unwrap();
    }
    let roles = ListRolesRequest { organization_id: scenario.organization_id.clone(), ..ListRolesRequest::default() };
    let (listed, token) = hold!(world, roles.list_roles, &scenario.owner.session, roles.clone(), roles, role, 5);
    assert_eq!(listed, ["admin", "custom.a", "custom.b", "member", "owner"]);
    let permissions = ListPermissionsRequest {
        organization_id: scenario.organization_id.clone(),
        include_total_size: true,
        ..ListPermissionsRequest::default()
    };
    refuse_token!(world, roles.list_permissions, &scenario.owner.session, permissions.clone(), token);
    let all = call!(world, roles.list_permissions, &scenario.owner.session, permissions.clone()).unwrap();
    assert_eq!(usize::try_from(all.total_size).unwrap(), all.permissions.len());
    let (listed, _) = hold!(
        world,
        roles.list_permissions,
        &scenario.owner.session,
        permissions,
        permissions,
        permission,
        all.permissions.len()
    );
    assert!(listed.is_sorted());
}
