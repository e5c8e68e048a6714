//! Roles that an organization makes for itself.

use futures_util::FutureExt;
use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::role_service_client::RoleServiceClient;
use crate::support::pb::{
    CreateRoleRequest, DeleteRoleRequest, GetRoleRequest, ListAuditEntriesRequest, ListEffectivePermissionsRequest,
    ListPermissionsRequest, ListRolesRequest, Role, SetMemberRolesRequest, UpdateRoleRequest,
};
use crate::support::race::{Endings, OK, Servers, against, told};
use crate::support::runner::rounds;
use crate::support::scenario::{Person, Scenario, assert_refused, call, texts, traces, with_credential};
use crate::support::world::World;

fn making(of: &Scenario, role: &str, permissions: &[&str]) -> CreateRoleRequest {
    CreateRoleRequest {
        organization_id: of.organization_id.clone(),
        role: role.to_owned(),
        display_name: "A role of ours".to_owned(),
        permissions: texts(permissions),
        ..CreateRoleRequest::default()
    }
}

async fn make(of: &Scenario, credential: &str, role: &str, permissions: &[&str]) -> Result<Role, Status> {
    let answer = call!(of.world, roles.create_role, credential, making(of, role, permissions))?;
    Ok(answer.role.unwrap())
}

/// Replaces a role's permissions.
async fn edit(of: &Scenario, credential: &str, role: &str, permissions: &[&str]) -> Result<Role, Status> {
    let request = UpdateRoleRequest {
        organization_id: of.organization_id.clone(),
        role: Some(Role { role: role.to_owned(), permissions: texts(permissions), ..Role::default() }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["permissions"]) }),
        ..UpdateRoleRequest::default()
    };
    let answer = call!(of.world, roles.update_role, credential, request)?;
    Ok(answer.role.unwrap())
}

async fn delete(of: &Scenario, credential: &str, role: &str) -> Result<i64, Status> {
    let request = DeleteRoleRequest {
        organization_id: of.organization_id.clone(),
        role: role.to_owned(),
        ..DeleteRoleRequest::default()
    };
    Ok(call!(of.world, roles.delete_role, credential, request)?.revision)
}

async fn get(of: &Scenario, credential: &str, role: &str) -> Result<Role, Status> {
    let request = GetRoleRequest { organization_id: of.organization_id.clone(), role: role.to_owned() };
    Ok(call!(of.world, roles.get_role, credential, request)?.role.unwrap())
}

async fn effective(of: &Scenario, person: &Person) -> Vec<String> {
    let request = ListEffectivePermissionsRequest {
        organization_id: of.organization_id.clone(),
        user_id: person.user_id.clone(),
        ..Default::default()
    };
    call!(of.world, permissions.list_effective_permissions, of.world.operator_key(), request).unwrap().permissions
}

/// A custom role is made, given by invitation and by role change, changed with effect from the next call on, and deleted when nobody holds it. Each change is
/// one entry of the audit log.
#[wire_test]
async fn a_custom_role_has_its_life(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let made = make(&acme, owner, "custom.auditor", &["members.read", "audit.read", "audit.read"]).await.unwrap();
    assert_eq!(
        (made.role.as_str(), made.custom, made.invitable, &made.permissions),
        ("custom.auditor", true, true, &texts(&["audit.read", "members.read"]))
    );
    assert_eq!(get(&acme, owner, "custom.auditor").await.unwrap(), made);
    let admin_role = get(&acme, owner, "admin").await.unwrap();
    assert!(
        !admin_role.custom && admin_role.etag.is_empty() && admin_role.grants.contains(&"custom.auditor".to_owned())
    );

    let list = ListRolesRequest {
        organization_id: acme.organization_id.clone(),
        include_total_size: true,
        ..ListRolesRequest::default()
    };
    let listed = call!(world, roles.list_roles, owner, list).unwrap();
    assert_eq!(
        listed.roles.iter().map(|role| role.role.as_str()).collect::<Vec<_>>(),
        ["admin", "custom.auditor", "member", "owner"]
    );
    assert_eq!((listed.total_size, listed.revision), (4, 3));
    let permissions =
        ListPermissionsRequest { organization_id: acme.organization_id.clone(), ..ListPermissionsRequest::default() };
    let permissions = call!(world, roles.list_permissions, owner, permissions).unwrap().permissions;
    assert!(
        permissions.len() >= 16
            && permissions.iter().any(|one| one.permission == "roles.manage" && !one.description.is_empty())
    );

    let ada = acme.join("ada@example.com", &["custom.auditor"]).await;
    let admin = acme.join("admin@example.com", &["admin"]).await;
    assert!(acme.may(&ada.user_id, "audit.read").await && !acme.may(&ada.user_id, "members.invite").await);
    let bob = acme.join("bob@example.com", &["member"]).await;
    acme.set_roles(&admin.session, &bob.user_id, &["custom.auditor"]).await.unwrap();
    let row = acme.roster(&ada.session).await.unwrap().into_iter().find(|row| row.user_id == bob.user_id).unwrap();
    assert_eq!(row.roles, texts(&["custom.auditor"]));

    let replica = world.second_server().await;
    let changed = edit(&acme, owner, "custom.auditor", &["members.read", "activity.read"]).await.unwrap();
    assert_eq!(
        (changed.display_name.as_str(), &changed.permissions),
        ("A role of ours", &texts(&["activity.read", "members.read"]))
    );
    assert!(!acme.may(&ada.user_id, "audit.read").await && acme.may(&ada.user_id, "activity.read").await);
    let request = ListEffectivePermissionsRequest {
        organization_id: acme.organization_id.clone(),
        user_id: ada.user_id.clone(),
        ..Default::default()
    };
    let there = call!(replica, permissions.list_effective_permissions, world.operator_key(), request).unwrap();
    assert_eq!(there.permissions, texts(&["activity.read", "members.read"]));

    acme.invite(owner, "later@example.com", &["custom.auditor"]).await.unwrap();
    let used = assert_refused(delete(&acme, owner, "custom.auditor").await, Code::FailedPrecondition, "ROLE_IN_USE");
    assert_eq!((used.metadata["members"].as_str(), used.metadata["invitations"].as_str()), ("2", "1"));
    for person in [&ada, &bob] {
        acme.set_roles(owner, &person.user_id, &["member"]).await.unwrap();
    }
    let used = assert_refused(delete(&acme, owner, "custom.auditor").await, Code::FailedPrecondition, "ROLE_IN_USE");
    assert_eq!((used.metadata["members"].as_str(), used.metadata["invitations"].as_str()), ("0", "1"));
    let later = call!(
        world,
        invitations.list_invitations,
        owner,
        crate::support::pb::ListInvitationsRequest {
            organization_id: acme.organization_id.clone(),
            email: "later@example.com".to_owned(),
            ..Default::default()
        }
    )
    .unwrap();
    let revocation = crate::support::pb::RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: later.invitations[0].invitation_id.clone(),
        ..Default::default()
    };
    call!(world, invitations.revoke_invitation, owner, revocation).unwrap();
    delete(&acme, owner, "custom.auditor").await.unwrap();
    assert_refused(get(&acme, owner, "custom.auditor").await, Code::NotFound, "ROLE_NOT_FOUND");
    assert_refused(
        acme.set_roles(owner, &ada.user_id, &["custom.auditor"]).await,
        Code::FailedPrecondition,
        "ROLE_UNKNOWN",
    );

    let log = ListAuditEntriesRequest {
        organization_id: acme.organization_id.clone(),
        kinds: texts(&["role.created", "role.updated", "role.deleted"]),
        ..ListAuditEntriesRequest::default()
    };
    let entries = call!(world, audit.list_audit_entries, owner, log).unwrap().entries;
    assert_eq!(
        entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(),
        ["role.deleted", "role.updated", "role.created"]
    );
    assert!(
        entries[1].before.is_some()
            && entries[1].after.is_some()
            && entries[1].subject_display_name == "A role of ours",
        "{:?}",
        entries[1]
    );
}

/// The roles of the access model are not the organization's to change, and another organization's role does not exist.
#[wire_test]
async fn only_an_organizations_own_roles_are_changed(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    make(&other, &other.owner.session, "custom.theirs", &["members.read"]).await.unwrap();
    let owner = &acme.owner.session;
    let before = traces(&world).await;
    for role in ["owner", "member"] {
        assert_refused(edit(&acme, owner, role, &["members.read"]).await, Code::FailedPrecondition, "ROLE_OF_MODEL");
        assert_refused(delete(&acme, owner, role).await, Code::FailedPrecondition, "ROLE_OF_MODEL");
    }
    for role in ["custom.theirs", "custom.nobodys"] {
        assert_refused(get(&acme, owner, role).await, Code::NotFound, "ROLE_NOT_FOUND");
        assert_refused(edit(&acme, owner, role, &["members.read"]).await, Code::NotFound, "ROLE_NOT_FOUND");
        assert_refused(delete(&acme, owner, role).await, Code::NotFound, "ROLE_NOT_FOUND");
        assert_refused(acme.invite(owner, "x@example.com", &[role]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
    }
    assert_eq!(traces(&world).await, before);
    // The same id is each organization's own.
    make(&acme, owner, "custom.theirs", &["audit.read"]).await.unwrap();
    assert_eq!(get(&other, &other.owner.session, "custom.theirs").await.unwrap().permissions, texts(&["members.read"]));
    assert_refused(make(&acme, owner, "custom.theirs", &[]).await, Code::AlreadyExists, "ROLE_EXISTS");
}

/// A change is based on the state that was read; a role that the model could not have is refused with what is wrong; and where nobody may manage
/// roles, the owner may not either.
#[wire_test]
async fn changes_are_checked(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let made = make(&acme, owner, "custom.x", &["members.read"]).await.unwrap();
    edit(&acme, owner, "custom.x", &["members.read", "audit.read"]).await.unwrap();
    let request = DeleteRoleRequest {
        organization_id: acme.organization_id.clone(),
        role: "custom.x".to_owned(),
        etag: made.etag,
        ..DeleteRoleRequest::default()
    };
    assert_refused(call!(world, roles.delete_role, owner, request), Code::Aborted, "ETAG_MISMATCH");
    let wrong = assert_refused(
        make(&acme, owner, "custom.y", &["no.such", "members.read", "nor.this"]).await,
        Code::FailedPrecondition,
        "ROLE_INVALID",
    );
    assert_eq!([&wrong.metadata["permission"], &wrong.metadata["permissions"]], ["no.such", "no.such, nor.this"]);
    let giving = CreateRoleRequest { grants: texts(&["owner"]), ..making(&acme, "custom.y", &["members.invite"]) };
    let wrong =
        assert_refused(call!(world, roles.create_role, owner, giving), Code::FailedPrecondition, "ROLE_INVALID");
    assert_eq!(wrong.metadata["role"], "owner");
    let checked = CreateRoleRequest { validate_only: true, ..making(&acme, "custom.y", &["members.read"]) };
    call!(world, roles.create_role, owner, checked).unwrap();
    assert_refused(get(&acme, owner, "custom.y").await, Code::NotFound, "ROLE_NOT_FOUND");

    let tiers = Scenario::with(&world, "jetstack", "", "tiers@example.com").await;
    assert_refused(
        make(&tiers, &tiers.owner.session, "custom.x", &["members.read"]).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    make(&tiers, world.operator_key(), "custom.x", &["audits.run"]).await.unwrap();
    let member = tiers.join("runner@example.com", &["custom.x"]).await;
    assert!(tiers.may(&member.user_id, "audits.run").await && !tiers.may(&member.user_id, "assets.import").await);
}

/// ab_17: a holder of roles.manage and an accomplice make, change, give and take roles as they like, and neither of them ever gets a permission that they
/// had not: no role beyond one's own, none by its own strength, none by way of the other or of an invitation.
#[wire_test]
async fn ab_17_managing_roles_raises_nobody(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let maker = CreateRoleRequest {
        grants: texts(&["member"]),
        manages: texts(&["member"]),
        ..making(
            &acme,
            "custom.maker",
            &["roles.manage", "members.read", "organization.read", "members.set_roles", "members.invite"],
        )
    };
    call!(world, roles.create_role, owner, maker).unwrap();
    make(&acme, owner, "custom.reader", &["members.read"]).await.unwrap();
    make(&acme, owner, "custom.strong", &["audit.read", "members.read"]).await.unwrap();
    let eve = acme.join("eve@example.com", &["custom.maker"]).await;
    let mal = acme.join("mal@example.com", &["custom.reader"]).await;
    let (eves, mals) = (effective(&acme, &eve).await, effective(&acme, &mal).await);
    let session = &eve.session;

    // A role with more than she has, to give or to keep.
    let beyond = assert_refused(
        make(&acme, session, "custom.mine", &["audit.read", "members.read", "members.remove"]).await,
        Code::PermissionDenied,
        "ROLE_BEYOND_CALLER",
    );
    assert_eq!(beyond.metadata["permission"], "audit.read");
    assert_eq!(beyond.metadata["permissions"], "audit.read, members.remove");
    let giving = CreateRoleRequest { grants: texts(&["admin"]), ..making(&acme, "custom.mine", &["members.invite"]) };
    assert_refused(call!(world, roles.create_role, session, giving), Code::FailedPrecondition, "ROLE_INVALID");
    // Her own role, the accomplice's, and one that is stronger than she is.
    let stronger: Vec<&str> = eves.iter().map(String::as_str).chain(["audit.read"]).collect();
    for (role, permissions) in [("custom.maker", &stronger[..]), ("custom.reader", &["members.read", "audit.read"][..])]
    {
        assert_refused(edit(&acme, session, role, permissions).await, Code::PermissionDenied, "ROLE_BEYOND_CALLER");
    }
    assert_refused(
        edit(&acme, session, "custom.strong", &["members.read"]).await,
        Code::PermissionDenied,
        "ROLE_BEYOND_CALLER",
    );
    assert_refused(delete(&acme, session, "custom.strong").await, Code::PermissionDenied, "ROLE_BEYOND_CALLER");
    // By role change, to herself and to the accomplice; by invitation.
    for (person, role) in
        [(&eve, "custom.strong"), (&mal, "custom.strong"), (&mal, "admin"), (&mal, "owner"), (&eve, "owner")]
    {
        assert_refused(
            acme.set_roles(session, &person.user_id, &[role]).await,
            Code::PermissionDenied,
            "ROLE_NOT_GRANTABLE",
        );
    }
    assert_refused(
        acme.invite(session, "third@example.com", &["custom.strong"]).await,
        Code::PermissionDenied,
        "ROLE_NOT_GRANTABLE",
    );
    assert_eq!((effective(&acme, &eve).await, effective(&acme, &mal).await), (eves.clone(), mals));
    // What she has she may hand on, and nothing else comes of it.
    make(&acme, session, "custom.mine", &["members.read", "members.invite"]).await.unwrap();
    acme.set_roles(session, &mal.user_id, &["custom.mine"]).await.unwrap();
    assert!(effective(&acme, &mal).await.iter().all(|permission| eves.contains(permission)));
    assert_refused(
        edit(&acme, &mal.session, "custom.mine", &["members.read"]).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
}

/// A role is given and deleted at once: either it is gone and nobody holds it, or it is there and somebody does. Without the organization's lock and the revision check behind
/// it, 24 of 50 rounds failed on PostgreSQL.
#[wire_test]
async fn ab_17_a_deleted_role_is_held_by_nobody(world: World) {
    let acme = Scenario::acme(&world).await;
    let servers = Servers::open(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let key = world.operator_key().to_owned();
    let mut endings = Endings::default();
    for round in 0..rounds() {
        make(&acme, &key, "custom.x", &["members.read"]).await.unwrap();
        let deletion = with_credential(
            &key,
            DeleteRoleRequest {
                organization_id: acme.organization_id.clone(),
                role: "custom.x".to_owned(),
                ..DeleteRoleRequest::default()
            },
        );
        let change = with_credential(
            &key,
            SetMemberRolesRequest {
                organization_id: acme.organization_id.clone(),
                user_id: bob.user_id.clone(),
                roles: texts(&["custom.x"]),
                ..SetMemberRolesRequest::default()
            },
        );
        let (mut roles, mut members) =
            (RoleServiceClient::new(servers.channel(round)), MemberServiceClient::new(servers.channel(round + 1)));
        let answers = against(
            round,
            async move { told(&roles.delete_role(deletion).await) }.boxed(),
            async move { told(&members.set_member_roles(change).await) }.boxed(),
        )
        .await;
        let row = acme.roster(&key).await.unwrap().into_iter().find(|row| row.user_id == bob.user_id).unwrap();
        let there = get(&acme, &key, "custom.x").await.is_ok();
        match [answers[0].as_str(), answers[1].as_str()] {
            [OK, "FailedPrecondition ROLE_UNKNOWN"] => assert!(!there && row.roles == texts(&["member"]), "{row:?}"),
            ["FailedPrecondition ROLE_IN_USE", OK] => {
                assert!(there && row.roles == texts(&["custom.x"]), "{row:?}");
                acme.set_roles(&key, &bob.user_id, &["member"]).await.unwrap();
                delete(&acme, &key, "custom.x").await.unwrap();
            }
            other => panic!("round {round}: {other:?}"),
        }
        endings.note(answers[0].clone());
    }
    endings.show("a role that is given and deleted");
}
