//! Contacts: who gets the notifications of an organization.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{
    Contact, CreateContactRequest, DeleteContactRequest, GetContactRequest, ListAuditEntriesRequest,
    ListContactRecipientsRequest, ListContactsRequest, UpdateContactRequest,
};
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, service_key, texts, traces};
use crate::support::world::World;

pub(crate) fn adding(of: &Scenario, email: &str, name: &str, roles: &[&str]) -> CreateContactRequest {
    CreateContactRequest {
        organization_id: of.organization_id.clone(),
        email: email.to_owned(),
        display_name: name.to_owned(),
        notification_roles: texts(roles),
        ..CreateContactRequest::default()
    }
}

/// Adds a contact by the owner's right.
pub(crate) async fn add(of: &Scenario, email: &str, name: &str, roles: &[&str]) -> Contact {
    let request = adding(of, email, name, roles);
    let answer = call!(of.world, contacts.create_contact, &of.owner.session, request).unwrap();
    answer.contact.unwrap()
}

/// The addresses that get a notification, as a service is told.
pub(crate) async fn recipients(of: &Scenario, role: &str) -> Vec<String> {
    let request = ListContactRecipientsRequest {
        organization_id: of.organization_id.clone(),
        notification_role: role.to_owned(),
        ..ListContactRecipientsRequest::default()
    };
    let answer = call!(of.world, contacts.list_contact_recipients, of.world.operator_key(), request).unwrap();
    answer.recipients.into_iter().map(|one| one.email).collect()
}

fn updating(contact: Contact, paths: Option<&[&str]>) -> UpdateContactRequest {
    UpdateContactRequest {
        contact: Some(contact),
        update_mask: paths.map(|paths| prost_types::FieldMask { paths: texts(paths) }),
        ..UpdateContactRequest::default()
    }
}

/// A contact is added, read, changed and deleted; each change is one entry of the audit log, with what was there before and after.
#[wire_test]
async fn a_contact_has_its_life(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let made = add(&acme, "Ops@Example.com", "Operations", &["maintenance", "billing", "maintenance"]).await;
    assert_eq!(
        (made.email.as_str(), &made.notification_roles),
        ("Ops@Example.com", &texts(&["billing", "maintenance"]))
    );
    let get = GetContactRequest { organization_id: acme.organization_id.clone(), contact_id: made.contact_id.clone() };
    assert_eq!(call!(world, contacts.get_contact, owner, get.clone()).unwrap().contact.unwrap(), made);

    let renamed = Contact { display_name: "Night shift".to_owned(), ..made.clone() };
    let changed = call!(
        world,
        contacts.update_contact,
        owner,
        UpdateContactRequest { etag: made.etag.clone(), ..updating(renamed, Some(&["display_name"])) }
    )
    .unwrap();
    let contact = changed.contact.unwrap();
    assert_eq!(
        (contact.display_name.as_str(), contact.email.as_str(), changed.revision),
        ("Night shift", "Ops@Example.com", 4)
    );
    // Without a mask, what is not empty changes; with one, roles can be taken away.
    let sparse = Contact {
        organization_id: made.organization_id.clone(),
        contact_id: made.contact_id.clone(),
        notification_roles: texts(&["incidents"]),
        ..Contact::default()
    };
    let contact =
        call!(world, contacts.update_contact, owner, updating(sparse.clone(), None)).unwrap().contact.unwrap();
    assert_eq!((contact.display_name.as_str(), &contact.notification_roles), ("Night shift", &texts(&["incidents"])));
    assert_eq!(
        (recipients(&acme, "incidents").await, recipients(&acme, "billing").await),
        (texts(&["Ops@Example.com"]), vec![])
    );
    let none = Contact { notification_roles: Vec::new(), ..sparse };
    let contact = call!(world, contacts.update_contact, owner, updating(none.clone(), Some(&["notification_roles"])))
        .unwrap()
        .contact
        .unwrap();
    assert!(contact.notification_roles.is_empty() && recipients(&acme, "incidents").await.is_empty());
    assert_invalid(call!(world, contacts.update_contact, owner, updating(none, Some(&["email"]))), &["contact.email"]);

    let deletion = DeleteContactRequest {
        organization_id: acme.organization_id.clone(),
        contact_id: made.contact_id.clone(),
        etag: made.etag,
        ..DeleteContactRequest::default()
    };
    assert_eq!(
        assert_refused(call!(world, contacts.delete_contact, owner, deletion.clone()), Code::Aborted, "ETAG_MISMATCH")
            .metadata["etag"],
        contact.etag
    );
    call!(world, contacts.delete_contact, owner, DeleteContactRequest { etag: contact.etag, ..deletion.clone() })
        .unwrap();
    assert_refused(
        call!(world, contacts.delete_contact, owner, DeleteContactRequest { etag: String::new(), ..deletion }),
        Code::NotFound,
        "CONTACT_NOT_FOUND",
    );
    assert_refused(call!(world, contacts.get_contact, owner, get), Code::NotFound, "CONTACT_NOT_FOUND");

    let log =
        ListAuditEntriesRequest { organization_id: acme.organization_id.clone(), ..ListAuditEntriesRequest::default() };
    let entries = call!(world, audit.list_audit_entries, owner, log).unwrap().entries;
    let kinds: Vec<&str> = entries.iter().take(5).map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["contact.deleted", "contact.updated", "contact.updated", "contact.updated", "contact.created"]);
    assert!(
        entries[0].before.is_some()
            && entries[0].after.is_none()
            && entries[4].before.is_none()
            && entries[4].after.is_some()
    );
    assert_eq!(
        (entries[0].subject_display_name.as_str(), entries[4].subject_display_name.as_str()),
        ("Night shift", "Operations")
    );
}

/// An address is a contact of an organization once, in any spelling, and of another organization as well; who is in the way is named.
#[wire_test]
async fn an_address_is_a_contact_once(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let first = add(&acme, "ops@example.com", "Operations", &[]).await;
    let before = traces(&world).await;
    let again =
        call!(world, contacts.create_contact, &acme.owner.session, adding(&acme, "OPS@Example.com", "Others", &[]));
    assert_eq!(assert_refused(again, Code::AlreadyExists, "CONTACT_EXISTS").metadata["contact_id"], first.contact_id);
    assert_eq!(traces(&world).await, before);
    add(&other, "ops@example.com", "Operations", &[]).await;
    let second = add(&acme, "noc@example.com", "Network", &[]).await;
    let taken = call!(
        world,
        contacts.update_contact,
        &acme.owner.session,
        updating(Contact { email: "Ops@example.com".to_owned(), ..second.clone() }, Some(&["email"]))
    );
    assert_refused(taken, Code::AlreadyExists, "CONTACT_EXISTS");
    // Its own address in another spelling is no other's.
    let respelled = call!(
        world,
        contacts.update_contact,
        &acme.owner.session,
        updating(Contact { email: "NOC@example.com".to_owned(), ..second }, Some(&["email"]))
    )
    .unwrap();
    assert_eq!(respelled.contact.unwrap().email, "NOC@example.com");
    let found = ListContactsRequest {
        organization_id: acme.organization_id.clone(),
        email: "noc@EXAMPLE.com".to_owned(),
        ..ListContactsRequest::default()
    };
    assert_eq!(call!(world, contacts.list_contacts, &acme.owner.session, found).unwrap().contacts.len(), 1);
}

/// Members see contacts and change none; a key that reads does not write; the contact of another organization does not exist.
#[wire_test]
async fn contacts_are_changed_by_who_may(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let member = acme.join("member@example.com", &["member"]).await;
    let contact = add(&acme, "ops@example.com", "Operations", &[]).await;
    let list = ListContactsRequest { organization_id: acme.organization_id.clone(), ..ListContactsRequest::default() };
    assert_eq!(call!(world, contacts.list_contacts, &member.session, list).unwrap().contacts.len(), 1);
    assert_refused(
        call!(world, contacts.create_contact, &member.session, adding(&acme, "x@example.com", "X", &[])),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    let key = service_key(&world, &["contacts.read"]).await;
    assert_refused(
        call!(world, contacts.create_contact, &key, adding(&acme, "x@example.com", "X", &[])),
        Code::PermissionDenied,
        "SCOPE_REQUIRED",
    );
    let theirs = Contact {
        organization_id: other.organization_id.clone(),
        contact_id: contact.contact_id.clone(),
        display_name: "Theirs".to_owned(),
        ..Contact::default()
    };
    assert_refused(
        call!(world, contacts.update_contact, &other.owner.session, updating(theirs, None)),
        Code::NotFound,
        "CONTACT_NOT_FOUND",
    );
    let deletion = DeleteContactRequest {
        organization_id: other.organization_id.clone(),
        contact_id: contact.contact_id,
        ..DeleteContactRequest::default()
    };
    assert_refused(
        call!(world, contacts.delete_contact, &other.owner.session, deletion),
        Code::NotFound,
        "CONTACT_NOT_FOUND",
    );
}
