//! A customer portal: owners, managers, and contacts that are not users.

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::organizations::contacts::{add, recipients};
use crate::support::pb::create_organization_request::Owner as FirstUser;
use crate::support::pb::{
    CreateOrganizationRequest, DeleteContactRequest, Founder, Member, MemberState, NewUser, ResendInvitationRequest,
    RevokeInvitationRequest,
};
use crate::support::race::{OK, told};
use crate::support::scenario::{
    OWNER, PASSWORD, Person, Scenario, accept_as_new, assert_refused, call, refusal, settled, sign_in, texts, time,
    traces,
};
use crate::support::world::World;

/// cp_06, cp_10: a Manager has the account, and neither invites nor edits nor disables users: every call that does is refused, and the list shows nothing to do.
#[wire_test]
async fn cp_06_a_manager_leaves_users_alone(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let (owner, manager) = (&portal.owner.session, portal.join("manager@example.com", &["manager"]).await);
    let target = portal.join("target@example.com", &["manager"]).await;
    let paused = portal.join("paused@example.com", &["manager"]).await;
    portal.suspend(owner, &paused.user_id).await.unwrap();
    let invitation = portal.invite(owner, "pending@example.com", &["manager"]).await.unwrap().invitation_id;
    assert!(portal.may(&manager.user_id, "services.manage").await);
    let rows = portal.rows(&manager.session, &[]).await;
    assert!(rows.len() == 4 && rows.iter().all(|row| row.allowed_actions.is_empty()), "{rows:?}");
    let before = traces(&world).await;
    let (by, whom) = (&manager.session, &target.user_id);
    let (organization_id, invitation_id) = (portal.organization_id.clone(), invitation.clone());
    let resend = ResendInvitationRequest {
        organization_id: organization_id.clone(),
        invitation_id: invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    let revoke = RevokeInvitationRequest { organization_id, invitation_id, ..RevokeInvitationRequest::default() };
    let named = Member { given_name: "X".to_owned(), ..Member::default() };
    for (what, answer) in [
        ("invite", portal.invite(by, "guest@example.com", &["manager"]).await.map(drop)),
        ("resend", call!(world, invitations.resend_invitation, by, resend).map(drop)),
        ("revoke", call!(world, invitations.revoke_invitation, by, revoke).map(drop)),
        ("set roles", portal.set_roles(by, &portal.owner.user_id, &["manager"]).await.map(drop)),
        ("edit", portal.edit(by, whom, None, named).await.map(drop)),
        ("disable", portal.suspend(by, whom).await.map(drop)),
        ("enable", portal.activate(by, &paused.user_id).await.map(drop)),
        ("remove", portal.remove(by, whom).await.map(drop)),
    ] {
        assert_eq!(told(&answer), "PermissionDenied PERMISSION_REQUIRED", "{what}");
    }
    assert_eq!(traces(&world).await, before);
}

/// cp_05: the first user of an account owns it, who gets an account with it and who founds it by invitation alike. An owner invites and edits, other owners too: their
/// names, their role, and whether they are in effect.
#[wire_test]
async fn cp_05_the_first_user_owns_and_owners_edit_each_other(world: World) {
    let create = async |owner: FirstUser| {
        let request = CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            access_model: "portal".to_owned(),
            owner: Some(owner),
            ..CreateOrganizationRequest::default()
        };
        call!(world, organizations.create_organization, world.operator_key(), request).unwrap()
    };
    let new_owner = NewUser {
        email: OWNER.to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: true,
        ..NewUser::default()
    };
    let created = create(FirstUser::NewOwner(new_owner)).await;
    let owner = Person {
        user_id: created.owner_user_id,
        email: OWNER.to_owned(),
        session: sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token,
    };
    let portal =
        Scenario { world: world.clone(), organization_id: created.organization.unwrap().organization_id, owner };
    let founded =
        create(FirstUser::Founder(Founder { email: "founder@example.com".to_owned(), ..Founder::default() })).await;
    let token = world.mailbox.wait_for("founder@example.com", 1).await[0].invitation_token();
    settled(&world).await;
    let founder = accept_as_new(&world, &token, "Fay").await.unwrap();
    assert_eq!(
        (&founder.roles, &founder.organization_id),
        (&texts(&["owner"]), &founded.organization.unwrap().organization_id)
    );
    assert_eq!(portal.row(&portal.owner.session, OWNER).await.roles, texts(&["owner"]));

    let by = &portal.owner.session;
    let (_, token) = portal.invited_by(by, "other@example.com", &["owner"]).await;
    let other = accept_as_new(&world, &token, "Other").await.unwrap();
    let named = Member { family_name: "Owner".to_owned(), ..Member::default() };
    assert_eq!(portal.edit(by, &other.user_id, None, named).await.unwrap().display_name, "Other Owner");
    portal.suspend(by, &other.user_id).await.unwrap();
    portal.activate(by, &other.user_id).await.unwrap();
    portal.set_roles(by, &other.user_id, &["manager"]).await.unwrap();
    assert!(!portal.may(&other.user_id, "members.invite").await);
    portal.set_roles(by, &other.user_id, &["owner"]).await.unwrap();
    // And the other way round.
    let session = sign_in(&world, "other@example.com", PASSWORD).await.unwrap().session_token;
    portal.set_roles(&session, &portal.owner.user_id, &["manager"]).await.unwrap();
    assert_eq!(portal.active_holders("owner").await, ["other@example.com"]);
}

/// cp_07: a user is Active, Suspended or Revoked, in the document's words; only the first has access, by the checks and by the calls.
#[wire_test]
async fn cp_07_the_three_statuses(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let owner = &portal.owner.session;
    let active = portal.join("active@example.com", &["manager"]).await;
    let paused = portal.join("paused@example.com", &["manager"]).await;
    let revoked = portal.join("revoked@example.com", &["manager"]).await;
    portal.suspend(owner, &paused.user_id).await.unwrap();
    portal.remove(owner, &revoked.user_id).await.unwrap();
    for (person, label, access) in
        [(&active, "Active", true), (&paused, "Suspended", false), (&revoked, "Revoked", false)]
    {
        assert_eq!(portal.row(owner, &person.email).await.status_label, label);
        assert_eq!(portal.may(&person.user_id, "services.read").await, access, "{label}");
        let told = told(&portal.roster(&person.session).await);
        assert_eq!(told, if access { OK } else { "Unauthenticated CREDENTIALS_INVALID" }, "{label}");
    }
    let rows = portal.rows(owner, &[MemberState::Active, MemberState::Suspended, MemberState::Removed]).await;
    assert_eq!(rows.len(), 4);
}

/// cp_09: the last active owner is given no other role, is not disabled and not removed, and does not leave.
#[wire_test]
async fn cp_09_the_last_active_owner_stays(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let owner = &portal.owner;
    let second = portal.join("second@example.com", &["owner"]).await;
    portal.suspend(&owner.session, &second.user_id).await.unwrap();
    for credential in [&*owner.session, world.operator_key()] {
        for answer in [
            portal.set_roles(credential, &owner.user_id, &["manager"]).await,
            portal.suspend(credential, &owner.user_id).await,
            portal.remove(credential, &owner.user_id).await,
        ] {
            assert_refused(answer, Code::FailedPrecondition, "LAST_OWNER");
        }
    }
    assert_refused(portal.leave(&owner.session).await, Code::FailedPrecondition, "LAST_OWNER");
    assert_eq!(portal.active_holders("owner").await, [owner.email.as_str()]);
    portal.activate(&owner.session, &second.user_id).await.unwrap();
    portal.leave(&owner.session).await.unwrap();
    assert_eq!(portal.active_holders("owner").await, ["second@example.com"]);
}

/// cp_10: an owner disables a user, whose sessions are refused at once, and enables them, which gives access back by a new sign-in only.
#[wire_test]
async fn cp_10_disabling_ends_sessions_and_enabling_gives_access_back(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let owner = &portal.owner.session;
    let manager = portal.join("manager@example.com", &["manager"]).await;
    let elsewhere = portal.join("elsewhere@example.com", &["manager"]).await;
    portal.join_elsewhere(&elsewhere).await;
    for (person, code, reason) in [
        (&manager, Code::Unauthenticated, "CREDENTIALS_INVALID"),
        (&elsewhere, Code::PermissionDenied, "PERMISSION_REQUIRED"),
    ] {
        portal.suspend(owner, &person.user_id).await.unwrap();
        assert_refused(portal.roster(&person.session).await, code, reason);
        assert!(!portal.may(&person.user_id, "services.read").await);
    }
    world.clock.advance(chrono::Duration::seconds(1).to_std().unwrap());
    for (person, reason) in [(&manager, "CREDENTIALS_INVALID"), (&elsewhere, "SESSION_OUTDATED")] {
        portal.activate(owner, &person.user_id).await.unwrap();
        assert!(portal.may(&person.user_id, "services.read").await);
        assert_refused(portal.roster(&person.session).await, Code::Unauthenticated, reason);
        let session = sign_in(&world, &person.email, PASSWORD).await.unwrap().session_token;
        portal.roster(&session).await.unwrap();
    }
}

/// cp_01: a user signs in and has permissions; a contact gets notifications of its contact role, and nothing else: it is no row of the roster.
#[wire_test]
async fn cp_01_a_contact_only_gets_notifications(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let manager = portal.join("manager@example.com", &["manager"]).await;
    add(&portal, "billing@example.com", "Accounting", &["billing"]).await;
    assert!(portal.may(&manager.user_id, "services.manage").await);
    assert_eq!(recipients(&portal, "billing").await, texts(&["billing@example.com"]));
    assert!(recipients(&portal, "maintenance").await.is_empty());
    let roster = portal.roster(&portal.owner.session).await.unwrap();
    assert!(roster.iter().all(|row| row.email != "billing@example.com"), "{roster:?}");
}

/// cp_02: a contact's address cannot be used to sign in, and gets the answer of an address that nobody knows.
#[wire_test]
async fn cp_02_a_contact_does_not_sign_in(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    add(&portal, "billing@example.com", "Accounting", &["billing"]).await;
    let contact = sign_in(&world, "billing@example.com", PASSWORD).await;
    let unknown = sign_in(&world, "nobody@example.com", PASSWORD).await;
    assert_eq!(refusal(contact.as_ref().unwrap_err()), refusal(unknown.as_ref().unwrap_err()));
    assert_eq!(contact.as_ref().unwrap_err().message(), unknown.unwrap_err().message());
    assert_refused(contact, Code::Unauthenticated, "SIGN_IN_FAILED");
}

/// cp_03: one person can be both, with the same address; neither knows of the other.
#[wire_test]
async fn cp_03_one_person_can_be_both(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let manager = portal.join("manager@example.com", &["manager"]).await;
    let contact = add(&portal, "manager@example.com", "The manager", &["maintenance"]).await;
    sign_in(&world, "manager@example.com", PASSWORD).await.unwrap();
    assert_eq!(recipients(&portal, "maintenance").await, texts(&["manager@example.com"]));
    add(&portal, "later@example.com", "Later", &[]).await;
    portal.join("later@example.com", &["manager"]).await;
    let deletion = DeleteContactRequest {
        organization_id: portal.organization_id.clone(),
        contact_id: contact.contact_id,
        ..DeleteContactRequest::default()
    };
    call!(world, contacts.delete_contact, &portal.owner.session, deletion).unwrap();
    assert!(portal.may(&manager.user_id, "services.manage").await);
    sign_in(&world, "manager@example.com", PASSWORD).await.unwrap();
}

/// cp_04: the list has name, address, last login, whether there is a second factor, role and status.
#[wire_test]
async fn cp_04_the_list_has_its_columns(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let owner = &portal.owner.session;
    let guarded = portal.join("guarded@example.com", &["manager"]).await;
    let paused = portal.join("paused@example.com", &["manager"]).await;
    let joined = world.clock.now();
    crate::services::credentials::mfa::guard(&world, &guarded).await;
    portal.suspend(owner, &paused.user_id).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(60));
    let owner = sign_in(&world, OWNER, PASSWORD).await.unwrap().session_token;
    let rows = portal.roster(&owner).await.unwrap();
    let columns = |row: &Member| {
        (
            row.display_name.clone(),
            row.email.clone(),
            time(row.last_sign_in_time.as_ref()),
            row.mfa_enabled,
            row.roles.clone(),
            row.status_label.clone(),
        )
    };
    let expected = |name: &str, email: &str, at, mfa, role: &str, status: &str| {
        (name.to_owned(), email.to_owned(), at, mfa, texts(&[role]), status.to_owned())
    };
    let mut found: Vec<_> = rows.iter().map(columns).collect();
    found.sort();
    assert_eq!(
        found,
        [
            expected("Given", "guarded@example.com", joined, true, "manager", "Active"),
            expected("Given", "paused@example.com", joined, false, "manager", "Suspended"),
            expected("owner", OWNER, world.clock.now(), false, "owner", "Active"),
        ]
    );
}
