//! What the records say was there before a change and is there since, word by word: of organizations, over the wire, and of accounts, in their rows.

use std::time::Duration;

use prost_types::value::Kind;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::services::credentials::identities::{link, linked, provider, unlink};
use crate::services::credentials::mfa::{guard, remove};
use crate::services::credentials::passwords::{reset, reset_token};
use crate::services::organizations::ownership::{WITH_CONFIRMATION, team, with_confirmation};
use crate::services::users::addresses::{change, change_by};
use crate::support::pb::{
    ActivateOrganizationRequest, ActivateUserRequest, ChangePasswordRequest, Contact, CreateContactRequest,
    CreateJoinLinkRequest, CreateRoleRequest, DeclineInvitationRequest, DeleteContactRequest, DeleteRoleRequest,
    DeleteUserRequest, JoinOrganizationRequest, ListAuditEntriesRequest, Member, Organization, ResendInvitationRequest,
    RevokeInvitationRequest, RevokeJoinLinkRequest, Role, SuspendOrganizationRequest, SuspendUserRequest,
    UpdateContactRequest, UpdateOrganizationRequest, UpdateRoleRequest, UpdateUserRequest, User, remove_mfa_request,
};
use crate::support::scenario::{PASSWORD, Scenario, accept_as, call, create_user, service_key, settled, texts, time};
use crate::support::world::{World, literal};

const ANOTHER: &str = "crimson ladder over 7 rivers";

/// A value of the contract as JSON.
fn plain(value: Option<&prost_types::Value>) -> Value {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => json!(truth),
        Some(Kind::NumberValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::ListValue(list)) => list.values.iter().map(|value| plain(Some(value))).collect(),
        Some(Kind::StructValue(fields)) => {
            fields.fields.iter().map(|(name, value)| (name.clone(), plain(Some(value)))).collect()
        }
    }
}

/// Holds what the newest entry says: its kind, whom or what it is about, before and after.
#[track_caller]
pub(crate) fn says(entry: &(String, String, Value, Value), kind: &str, subject: &str, before: Value, after: Value) {
    let expected = (kind.to_owned(), subject.to_owned(), before, after);
    assert_eq!(*entry, expected);
}

/// The newest entries, newest first.
async fn newest(of: &Scenario, count: usize) -> Vec<(String, String, Value, Value)> {
    let request = ListAuditEntriesRequest {
        organization_id: of.organization_id.clone(),
        page_size: i32::try_from(count).unwrap(),
        ..ListAuditEntriesRequest::default()
    };
    let entries = call!(of.world, audit.list_audit_entries, of.world.operator_key(), request).unwrap().entries;
    let told = |entry: &crate::support::pb::AuditEntry| {
        (entry.kind.clone(), entry.subject_id.clone(), plain(entry.before.as_ref()), plain(entry.after.as_ref()))
    };
    entries.iter().map(told).collect()
}

pub(crate) async fn last(of: &Scenario) -> (String, String, Value, Value) {
    newest(of, 1).await.remove(0)
}

/// The events of an account, oldest first: kind and data.
async fn events_of(world: &World, user: &str) -> Vec<(String, Value)> {
    let connection = world.database();
    let statement = Statement::from_string(
        connection.get_database_backend(),
        format!(
            "SELECT kind, data FROM events WHERE organization_id = {} AND kind NOT IN ('user.created', 'user.sessions_ended') ORDER BY revision",
            literal(world, user)
        ),
    );
    let rows = connection.query_all_raw(statement).await.unwrap();
    let told = |row: &sea_orm::QueryResult| {
        let data: String = row.try_get("", "data").unwrap();
        (row.try_get("", "kind").unwrap(), serde_json::from_str(&data).unwrap())
    };
    rows.iter().map(told).collect()
}

/// Of an organization and of its members.
#[wire_test]
async fn entries_of_members_say_what_was_there(world: World) {
    let acme = Scenario::acme(&world).await;
    let key = world.operator_key();
    let id = || acme.organization_id.clone();
    let organization =
        Organization { organization_id: id(), display_name: "Beta".to_owned(), ..Organization::default() };
    call!(
        world,
        organizations.update_organization,
        key,
        UpdateOrganizationRequest { organization: Some(organization), ..Default::default() }
    )
    .unwrap();
    let settings = |name: &str| json!({ "display_name": name, "mfa_required": false, "locale": null, "attributes": null, "slug": null });
    says(&last(&acme).await, "organization.updated", "", settings("Acme"), settings("Beta"));
    call!(
        world,
        organizations.suspend_organization,
        key,
        SuspendOrganizationRequest { organization_id: id(), ..Default::default() }
    )
    .unwrap();
    says(&last(&acme).await, "organization.suspended", "", json!("active"), json!("suspended"));
    call!(
        world,
        organizations.activate_organization,
        key,
        ActivateOrganizationRequest { organization_id: id(), ..Default::default() }
    )
    .unwrap();
    says(&last(&acme).await, "organization.activated", "", json!("suspended"), json!("active"));

    let bob = acme.join("bob@example.com", &["member"]).await;
    let user = bob.user_id.as_str();
    let joined = json!({ "user_id": user, "state": "active", "roles": ["member"] });
    assert_eq!((last(&acme).await.2, last(&acme).await.3), (Value::Null, joined.clone()));
    let state = |state: &str| json!({ "state": state });
    acme.suspend(key, user).await.unwrap();
    says(&last(&acme).await, "member.suspended", user, state("active"), state("suspended"));
    acme.activate(key, user).await.unwrap();
    says(&last(&acme).await, "member.activated", user, state("suspended"), state("active"));
    acme.set_roles(key, user, &["admin"]).await.unwrap();
    says(&last(&acme).await, "member.roles_set", user, json!(["member"]), json!(["admin"]));
    acme.edit(key, user, None, Member { given_name: "Bobby".to_owned(), ..Member::default() }).await.unwrap();
    says(&last(&acme).await, "member.updated", user, Value::Null, json!({ "fields": ["given_name"] }));
    for (suspended, kind, before, after) in [
        (true, "member.account_suspended", "active", "suspended"),
        (false, "member.account_activated", "suspended", "active"),
    ] {
        match suspended {
            true => drop(
                call!(
                    world,
                    users.suspend_user,
                    key,
                    SuspendUserRequest { user_id: user.to_owned(), ..Default::default() }
                )
                .unwrap(),
            ),
            false => drop(
                call!(
                    world,
                    users.activate_user,
                    key,
                    ActivateUserRequest { user_id: user.to_owned(), ..Default::default() }
                )
                .unwrap(),
            ),
        }
        says(&last(&acme).await, kind, user, json!(before), json!(after));
    }
    acme.remove(key, user).await.unwrap();
    says(&last(&acme).await, "member.removed", user, state("active"), state("removed"));
    acme.restore(key, user).await.unwrap();
    says(&last(&acme).await, "member.restored", user, state("removed"), state("active"));
    acme.remove(key, user).await.unwrap();
    let link = acme.invited(&bob.email, &["member"]).await;
    let session = crate::support::scenario::sign_in(&world, &bob.email, PASSWORD).await.unwrap().session_token;
    accept_as(&world, &session, &link).await.unwrap();
    let (kind, _, before, after) = last(&acme).await;
    assert_eq!(
        (kind.as_str(), before, after),
        ("invitation.accepted", json!({ "state": "removed", "roles": ["admin"] }), joined)
    );
    acme.leave(&session).await.unwrap();
    says(&last(&acme).await, "member.left", user, state("active"), state("removed"));
}

/// Of invitations, contacts and roles.
#[wire_test]
async fn entries_of_invitations_contacts_and_roles_say_what_was_there(world: World) {
    let acme = Scenario::acme(&world).await;
    let key = world.operator_key();
    let id = || acme.organization_id.clone();
    let (invitation, token) = acme.invited_by(key, "guest@example.com", &["member"]).await;
    let invited = json!({ "email": "guest@example.com", "roles": ["member"] });
    says(&last(&acme).await, "invitation.created", &invitation.invitation_id, Value::Null, invited.clone());
    world.invitations().decline_invitation(DeclineInvitationRequest { token, ..Default::default() }).await.unwrap();
    let over = |state: &str| json!({ "state": state, "email": "guest@example.com" });
    let pending = || json!({ "state": "pending" });
    says(&last(&acme).await, "invitation.declined", &invitation.invitation_id, pending(), over("declined"));
    let first = acme.invited_by(key, "guest@example.com", &["member"]).await.0.invitation_id;
    // In the place of one that has expired.
    world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    let second = acme.invited_by(key, "guest@example.com", &["member"]).await.0.invitation_id;
    let entries = newest(&acme, 2).await;
    let replaced = json!({ "state": "revoked", "email": "guest@example.com", "replaced": true });
    says(&entries[1], "invitation.revoked", &first, pending(), replaced);
    says(&entries[0], "invitation.created", &second, Value::Null, invited.clone());
    let resend = ResendInvitationRequest { organization_id: id(), invitation_id: second.clone(), ..Default::default() };
    call!(world, invitations.resend_invitation, key, resend).unwrap();
    world.mailbox.wait_for("guest@example.com", 4).await;
    settled(&world).await;
    says(&last(&acme).await, "invitation.resent", &second, Value::Null, invited);
    let revoke = RevokeInvitationRequest { organization_id: id(), invitation_id: second.clone(), ..Default::default() };
    call!(world, invitations.revoke_invitation, key, revoke).unwrap();
    says(&last(&acme).await, "invitation.revoked", &second, pending(), over("revoked"));

    let request = CreateContactRequest {
        organization_id: id(),
        email: "ops@example.com".to_owned(),
        display_name: "Operations".to_owned(),
        notification_roles: texts(&["billing"]),
        ..Default::default()
    };
    let contact = call!(world, contacts.create_contact, key, request).unwrap().contact.unwrap();
    let facts = |name: &str, roles: &[&str]| json!({ "email": "ops@example.com", "display_name": name, "notification_roles": roles });
    says(&last(&acme).await, "contact.created", &contact.contact_id, Value::Null, facts("Operations", &["billing"]));
    let changed = Contact {
        display_name: "Night shift".to_owned(),
        notification_roles: texts(&["incidents"]),
        contact_id: contact.contact_id.clone(),
        organization_id: id(),
        ..Contact::default()
    };
    call!(world, contacts.update_contact, key, UpdateContactRequest { contact: Some(changed), ..Default::default() })
        .unwrap();
    says(
        &last(&acme).await,
        "contact.updated",
        &contact.contact_id,
        facts("Operations", &["billing"]),
        facts("Night shift", &["incidents"]),
    );
    let deletion =
        DeleteContactRequest { organization_id: id(), contact_id: contact.contact_id.clone(), ..Default::default() };
    call!(world, contacts.delete_contact, key, deletion).unwrap();
    says(&last(&acme).await, "contact.deleted", &contact.contact_id, facts("Night shift", &["incidents"]), Value::Null);

    let request = CreateJoinLinkRequest {
        organization_id: id(),
        max_uses: 2,
        email_domains: texts(&["example.com"]),
        display_name: "Workshop".to_owned(),
        ..Default::default()
    };
    let made = call!(world, join_links.create_join_link, key, request).unwrap();
    let link = made.join_link.unwrap();
    let facts = json!({
        "display_name": "Workshop",
        "roles": ["member"],
        "email_domains": ["example.com"],
        "max_uses": 2.0,
        "expire_time": time(link.expire_time.as_ref()),
    });
    says(&last(&acme).await, "join_link.created", &link.join_link_id, Value::Null, facts.clone());
    let ada = create_user(&world, "ada@example.com").await;
    let request = JoinOrganizationRequest { token: made.token, ..Default::default() };
    call!(world, join_links.join_organization, &ada.session, request).unwrap();
    let joined = json!({ "state": "active", "roles": ["member"], "join_link_id": link.join_link_id, "use_count": 1.0 });
    says(&last(&acme).await, "member.joined", &ada.user_id, Value::Null, joined);
    let request =
        RevokeJoinLinkRequest { organization_id: id(), join_link_id: link.join_link_id.clone(), ..Default::default() };
    let revoked = call!(world, join_links.revoke_join_link, key, request).unwrap().join_link.unwrap();
    let after = json!({ "revoke_time": time(revoked.revoke_time.as_ref()) });
    says(&last(&acme).await, "join_link.revoked", &link.join_link_id, facts, after);

    let request = CreateRoleRequest {
        organization_id: id(),
        role: "custom.guide".to_owned(),
        display_name: "Guide".to_owned(),
        description: "Shows around".to_owned(),
        permissions: texts(&["members.read", "members.invite", "members.suspend"]),
        grants: Vec::new(),
        manages: texts(&["member"]),
        ..Default::default()
    };
    call!(world, roles.create_role, key, request).unwrap();
    let facts = |name: &str, manages: &[&str]| {
        json!({
            "role": "custom.guide", "display_name": name, "description": "Shows around", "permissions": ["members.invite", "members.read", "members.suspend"], "grants": [], "manages": manages,
        })
    };
    says(&last(&acme).await, "role.created", "", Value::Null, facts("Guide", &["member"]));
    let role = Role { role: "custom.guide".to_owned(), display_name: "Scout".to_owned(), ..Role::default() };
    let mask = prost_types::FieldMask { paths: texts(&["display_name", "manages"]) };
    call!(
        world,
        roles.update_role,
        key,
        UpdateRoleRequest { organization_id: id(), role: Some(role), update_mask: Some(mask), ..Default::default() }
    )
    .unwrap();
    says(&last(&acme).await, "role.updated", "", facts("Guide", &["member"]), facts("Scout", &[]));
    call!(
        world,
        roles.delete_role,
        key,
        DeleteRoleRequest { organization_id: id(), role: "custom.guide".to_owned(), ..Default::default() }
    )
    .unwrap();
    says(&last(&acme).await, "role.deleted", "", facts("Scout", &[]), Value::Null);
}

/// Of a transfer of ownership: called off, and confirmed, for either side with the roles that were and are theirs.
#[wire_test]
async fn entries_of_transfers_say_what_was_there(world: World) {
    with_confirmation(&world).await;
    let (team, one, _) = team(&world, WITH_CONFIRMATION).await;
    let (owner, nominee) = (team.owner.user_id.clone(), one.user_id.clone());
    let started = team.transfer(&team.owner.session, &nominee).await.unwrap().transfer_id;
    let offer = |id: &str, state: &str| json!({ "state": state, "transfer_id": id, "owner_user_id": owner, "nominee_user_id": nominee });
    says(&last(&team).await, "ownership.transfer_started", &nominee, Value::Null, offer(&started, "pending"));
    team.cancel(&team.owner.session, &started).await.unwrap();
    says(
        &last(&team).await,
        "ownership.transfer_cancelled",
        &nominee,
        json!({ "state": "pending" }),
        offer(&started, "cancelled"),
    );
    let second = team.transfer(&team.owner.session, &nominee).await.unwrap().transfer_id;
    team.confirm(&one.session, &second).await.unwrap();
    let entries = newest(&team, 2).await;
    let before = |role: &str| json!({ "owner_user_id": owner, "roles": [role] });
    let after = |role: &str| json!({ "owner_user_id": nominee, "roles": [role], "transfer_id": second });
    says(&entries[1], "ownership.transferred", &nominee, before("admin"), after("owner"));
    says(&entries[0], "ownership.handed_over", &owner, before("owner"), after("admin"));
    world.mailbox.wait_for("one@example.com", 4).await;
    settled(&world).await;
}

/// Who did it: the person, the service, and both where a service calls for a person.
#[wire_test]
async fn entries_say_who_did_it(world: World) {
    let acme = Scenario::acme(&world).await;
    let service = service_key(&world, &["organizations.write"]).await;
    let request = |name: &str| {
        let organization = Organization {
            organization_id: acme.organization_id.clone(),
            display_name: name.to_owned(),
            ..Organization::default()
        };
        UpdateOrganizationRequest { organization: Some(organization), ..UpdateOrganizationRequest::default() }
    };
    call!(world, organizations.update_organization, &acme.owner.session, request("One")).unwrap();
    call!(world, organizations.update_organization, &service, request("Two")).unwrap();
    let both = world.on_behalf_of(&service, &acme.owner.session, request("Three"));
    world.organizations().update_organization(both).await.unwrap();
    let listing =
        ListAuditEntriesRequest { organization_id: acme.organization_id.clone(), page_size: 3, ..Default::default() };
    let entries = call!(world, audit.list_audit_entries, world.operator_key(), listing).unwrap().entries;
    let actors: Vec<(bool, bool)> = entries
        .iter()
        .map(|entry| (entry.actor_user_id == acme.owner.user_id, !entry.actor_service_account_id.is_empty()))
        .collect();
    assert_eq!(actors, [(true, true), (false, true), (true, false)]);
}

/// Of accounts: what the person and others did to it, and no secret.
#[wire_test]
async fn events_of_accounts_say_what_was_there(world: World) {
    let provider = provider(&world).await;
    let key = world.operator_key();
    let ada = create_user(&world, "ada@example.com").await;
    let user_id = || ada.user_id.clone();
    let user = User { user_id: user_id(), given_name: "Augusta".to_owned(), ..User::default() };
    call!(world, users.update_user, key, UpdateUserRequest { user: Some(user), ..Default::default() }).unwrap();
    change_by(&world, key, change(&ada.user_id, "augusta@example.com", "")).await.unwrap();
    call!(world, users.suspend_user, key, SuspendUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    call!(world, users.activate_user, key, ActivateUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    call!(world, users.delete_user, key, DeleteUserRequest { user_id: user_id(), ..Default::default() }).unwrap();
    let events = events_of(&world, &ada.user_id).await;
    let told = |kind: &str, before: Value, after: Value| (kind.to_owned(), json!({ "before": before, "after": after }));
    assert_eq!(
        events,
        [
            told("user.updated", json!({ "given_name": "ada" }), json!({ "given_name": "Augusta" })),
            told(
                "user.email_changed",
                json!({ "email": "ada@example.com" }),
                json!({ "email": "augusta@example.com" })
            ),
            told("user.suspended", json!("active"), json!("suspended")),
            told("user.activated", json!("suspended"), json!("active")),
            told("user.deleted", json!("active"), json!("deleted")),
        ]
    );

    let grace = linked(&world, &provider, "grace@example.com", "1").await;
    let second = link(&world, &grace.session, provider.token(&world, "2")).await.unwrap();
    unlink(&world, &grace.session, &second.identity_id).await.unwrap();
    guard(&world, &grace).await;
    remove(&world, &grace.session, remove_mfa_request::Proof::PresentPassword(PASSWORD.to_owned())).await.unwrap();
    let request = ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: ANOTHER.to_owned(),
        ..Default::default()
    };
    call!(world, credentials.change_password, &grace.session, request).unwrap();
    world.mailbox.wait_for("grace@example.com", 6).await;
    settled(&world).await;
    let token = reset_token(&world, "grace@example.com").await;
    world.credentials().reset_password(reset(&token, PASSWORD)).await.unwrap();
    let events = events_of(&world, &grace.user_id).await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "user.identity_linked",
            "user.identity_linked",
            "user.identity_unlinked",
            "user.mfa_enabled",
            "user.mfa_removed",
            "user.password_changed",
            "user.password_reset",
            "user.identity_unlinked"
        ]
    );
    let identity = json!({ "identity_id": second.identity_id, "issuer": provider.issuer, "subject": "2" });
    assert_eq!((&events[1].1, &events[2].1), (&identity, &identity));
    assert_eq!(events[3].1, json!({ "kind": "totp" }));
    assert!(events[4..7].iter().all(|(_, data)| *data == json!({})), "{events:?}");
    // The first password that she chooses by a link takes away what was there before it (ab_34).
    assert_eq!(events[7].1, events[0].1);
    settled(&world).await;
}
