//! A change that changes nothing, and one that asks for what nobody changes.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::contents::Watcher;
use crate::support::dynamic::{Contract, field_comment};
use crate::support::pb::{
    Contact, CreateContactRequest, CreateRoleRequest, Member, Organization, Role, UpdateContactRequest,
    UpdateMemberRequest, UpdateOrganizationRequest, UpdateRoleRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{Refused, Scenario, assert_refused, call, refusal, texts, traces};
use crate::support::tenant::{People, Seat, Tenant};
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

/// Some value of a field that is not the one of an empty field.
fn some_value(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::String => Value::String("x".to_owned()),
        Kind::Bool => Value::Bool(true),
        Kind::Int64 => Value::I64(1),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
        other => panic!("{}: {other:?}", field.full_name()),
    };
    match (field.is_map(), field.is_list()) {
        (true, _) => Value::Map([(prost_reflect::MapKey::String("x".to_owned()), Value::I64(1))].into()),
        (false, true) => Value::List(vec![one]),
        (false, false) => one,
    }
}

/// What the contract calls output only or immutable changes by no update: without a mask the request is refused, because everything that it gives would change, and so it is with a mask that names the field. With a mask
/// that names others it is passed over: so a resource can be sent back as it was read.
#[wire_test]
async fn what_cannot_be_changed_is_not_passed_over(world: World) {
    let tenant = Tenant::found(&world, People::arrive(&world).await, &["service_accounts.write"]).await;
    let watcher = Watcher::of(&world).await;
    let mut fields = 0;
    for method in Contract::load().methods() {
        let Some(mask) = method.input().get_field_by_name("update_mask") else { continue };
        let request = tenant.request(&world, &method, tenant.person(Seat::Owner)).await;
        let place =
            request.descriptor().fields().find(|field| matches!(field.kind(), Kind::Message(_)) && *field != mask);
        let place = place.unwrap();
        let mut resource = request.get_field(&place).as_message().unwrap().clone();
        for field in resource.descriptor().fields().filter(|field| !field_comment(field).contains("required")) {
            resource.clear_field(&field);
        }
        let call = async |resource: DynamicMessage, path: Option<&str>| {
            let mut request = request.clone();
            request.set_field(&place, Value::Message(resource));
            request.clear_field(&mask);
            if let (Some(path), Kind::Message(kind)) = (path, mask.kind()) {
                let mut named = DynamicMessage::new(kind);
                named.set_field_by_name("paths", Value::List(vec![Value::String(path.to_owned())]));
                request.set_field(&mask, Value::Message(named));
            }
            method.call(world.channel(), world.as_operator(()).metadata().clone(), &request).await
        };
        for field in resource.descriptor().fields() {
            let comment = field_comment(&field);
            if !comment.starts_with("Output only.") && !comment.starts_with("Immutable.") {
                continue;
            }
            fields += 1;
            let before = watcher.look().await;
            let mut given = resource.clone();
            given.set_field(&field, some_value(&field));
            for path in [None, Some(field.name())] {
                let status = call(given.clone(), path).await.expect_err(field.full_name());
                let Refused { code, reason, fields, metadata, .. } = refusal(&status);
                let named = match reason.as_str() {
                    // Which method changes it instead.
                    "FIELD_NOT_EDITABLE" => metadata["field"] == field.name(),
                    _ => {
                        code == Code::InvalidArgument
                            && fields == ["update_mask"]
                            && format!("{status:?}").contains(field.name())
                    }
                };
                assert!(named, "{} {path:?}: {status:?}", field.full_name());
            }
            let changes = before.difference(&watcher.look().await);
            assert!(changes.is_empty(), "{}: {changes:?}", field.full_name());
            given.set_field_by_name("display_name", Value::String("Somebody".to_owned()));
            if let Err(others) = call(given, Some("display_name")).await {
                assert_ne!(others.code(), Code::InvalidArgument, "{}: {others:?}", field.full_name());
            }
        }
    }
    assert!(fields > 40, "{fields}");
}
