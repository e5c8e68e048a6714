//! An AI platform's team page: three tiers, exactly one owner, ownership by transfer.

mod ownership;
mod removal;

use std::collections::BTreeMap;
use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::organizations::activity::{report, send};
use crate::services::organizations::contacts::add;
use crate::support::dynamic::Contract;
use crate::support::pb::{
    ActivateMemberRequest, AddMemberRolesRequest, BatchCreateInvitationsRequest, Contact, CreateContactRequest,
    CreateInvitationRequest, CreateJoinLinkRequest, CreateMemberRequest, CreateRoleRequest, DeleteContactRequest,
    DeleteOrganizationRequest, DeleteRoleRequest, Member, MemberAction, MemberState, NewInvitation, Organization,
    PreviewRoleChangeRequest, RemoveMemberRequest, RemoveMemberRolesRequest, ResendInvitationRequest,
    RestoreMemberRequest, RevokeInvitationRequest, RevokeJoinLinkRequest, Role, SetMemberRolesRequest,
    SuspendMemberRequest, TransferOwnershipRequest, UpdateContactRequest, UpdateMemberRequest,
    UpdateOrganizationRequest, UpdateRoleRequest,
};
use crate::support::race::told;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as, accept_as_new, assert_refused, call, service_key, settled, sign_in, texts,
    time, traces,
};
use crate::support::steps::EVERY_STATE;
use crate::support::world::World;

/// js_01: an Admin manages the team; a Member sees the roster, is shown nothing to do on any row of it, and is refused every call of the contract that changes
/// something by a permission.
#[wire_test]
async fn js_01_members_see_and_change_nothing(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    let paused = team.join("paused@example.com", &["member"]).await;
    let gone = team.join("gone@example.com", &["member"]).await;
    team.suspend(&admin.session, &paused.user_id).await.unwrap();
    team.remove(&admin.session, &gone.user_id).await.unwrap();
    let invitation = team.invite(&admin.session, "guest@example.com", &["member"]).await.unwrap().invitation_id;
    let contact = add(&team, "ops@example.com", "Operations", &["incidents"]).await.contact_id;
    let rows = team.rows(&member.session, &EVERY_STATE).await;
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.allowed_actions.is_empty()), "{rows:?}");

    let before = traces(&world).await;
    let (session, id) = (&member.session, || team.organization_id.clone());
    let mut refused = BTreeMap::new();
    macro_rules! try_to {
        ($method:literal, $service:ident.$call:ident, $request:ident { $($field:ident: $value:expr),* }) => {
            let request = $request { $($field: $value,)* ..$request::default() };
            refused.insert($method.to_owned(), told(&call!(world, $service.$call, session, request)));
        };
    }
    let user = |of: &Person| of.user_id.clone();
    let email = || "other@example.com".to_owned();
    let role = || Role { role: "custom.x".to_owned(), display_name: "X".to_owned(), ..Role::default() };
    try_to!(
        "CreateInvitation",
        invitations.create_invitation,
        CreateInvitationRequest { organization_id: id(), email: email() }
    );
    try_to!(
        "BatchCreateInvitations",
        invitations.batch_create_invitations,
        BatchCreateInvitationsRequest {
            organization_id: id(),
            invitations: vec![NewInvitation { email: email(), ..NewInvitation::default() }]
        }
    );
    try_to!(
        "ResendInvitation",
        invitations.resend_invitation,
        ResendInvitationRequest { organization_id: id(), invitation_id: invitation.clone() }
    );
    try_to!(
        "RevokeInvitation",
        invitations.revoke_invitation,
        RevokeInvitationRequest { organization_id: id(), invitation_id: invitation }
    );
    try_to!("CreateJoinLink", join_links.create_join_link, CreateJoinLinkRequest { organization_id: id() });
    try_to!(
        "RevokeJoinLink",
        join_links.revoke_join_link,
        RevokeJoinLinkRequest { organization_id: id(), join_link_id: id() }
    );
    try_to!(
        "PreviewRoleChange",
        members.preview_role_change,
        PreviewRoleChangeRequest { organization_id: id(), user_id: user(&admin) }
    );
    try_to!(
        "SetMemberRoles",
        members.set_member_roles,
        SetMemberRolesRequest { organization_id: id(), user_id: user(&member), roles: texts(&["admin"]) }
    );
    try_to!(
        "AddMemberRoles",
        members.add_member_roles,
        AddMemberRolesRequest { organization_id: id(), user_id: user(&member), roles: texts(&["admin"]) }
    );
    try_to!(
        "RemoveMemberRoles",
        members.remove_member_roles,
        RemoveMemberRolesRequest { organization_id: id(), user_id: user(&admin), roles: texts(&["admin"]) }
    );
    try_to!(
        "CreateMember",
        members.create_member,
        CreateMemberRequest {
            organization_id: id(),
            email: email(),
            given_name: "X".to_owned(),
            password: PASSWORD.to_owned()
        }
    );
    try_to!(
        "UpdateMember",
        members.update_member,
        UpdateMemberRequest {
            member: Some(Member {
                organization_id: id(),
                user_id: user(&admin),
                given_name: "X".to_owned(),
                ..Member::default()
            })
        }
    );
    try_to!(
        "SuspendMember",
        members.suspend_member,
        SuspendMemberRequest { organization_id: id(), user_id: user(&admin) }
    );
    try_to!(
        "ActivateMember",
        members.activate_member,
        ActivateMemberRequest { organization_id: id(), user_id: user(&paused) }
    );
    try_to!(
        "RemoveMember",
        members.remove_member,
        RemoveMemberRequest { organization_id: id(), user_id: user(&paused) }
    );
    try_to!(
        "RestoreMember",
        members.restore_member,
        RestoreMemberRequest { organization_id: id(), user_id: user(&gone) }
    );
    try_to!(
        "UpdateOrganization",
        organizations.update_organization,
        UpdateOrganizationRequest {
            organization: Some(Organization {
                organization_id: id(),
                display_name: "X".to_owned(),
                ..Organization::default()
            })
        }
    );
    try_to!(
        "DeleteOrganization",
        organizations.delete_organization,
        DeleteOrganizationRequest { organization_id: id() }
    );
    try_to!(
        "TransferOwnership",
        ownership.transfer_ownership,
        TransferOwnershipRequest { organization_id: id(), nominee_user_id: user(&member) }
    );
    try_to!(
        "CreateContact",
        contacts.create_contact,
        CreateContactRequest { organization_id: id(), email: email(), display_name: "X".to_owned() }
    );
    try_to!(
        "UpdateContact",
        contacts.update_contact,
        UpdateContactRequest {
            contact: Some(Contact {
                organization_id: id(),
                contact_id: contact.clone(),
                display_name: "X".to_owned(),
                ..Contact::default()
            })
        }
    );
    try_to!(
        "DeleteContact",
        contacts.delete_contact,
        DeleteContactRequest { organization_id: id(), contact_id: contact }
    );
    try_to!(
        "CreateRole",
        roles.create_role,
        CreateRoleRequest { organization_id: id(), role: "custom.x".to_owned(), display_name: "X".to_owned() }
    );
    try_to!("UpdateRole", roles.update_role, UpdateRoleRequest { role: Some(role()), organization_id: id() });
    try_to!("DeleteRole", roles.delete_role, DeleteRoleRequest { organization_id: id(), role: "custom.x".to_owned() });
    // Reading is no change: every other method of the contract that asks for a permission is in the list.
    let reading = |method: &str| ["Get", "List", "Export", "Verify"].iter().any(|verb| method.starts_with(verb));
    let guarded = Contract::load().methods().into_iter().filter(|method| !method.rule().permission.is_empty());
    let changing: BTreeMap<String, String> = guarded
        .map(|method| method.name().rsplit('/').next().unwrap().to_owned())
        .filter(|method| !reading(method))
        .map(|method| (method, "PermissionDenied PERMISSION_REQUIRED".to_owned()))
        .collect();
    assert_eq!(refused, changing);
    assert_eq!(traces(&world).await, before);
}

/// js_03: a person who has an account is added at once on following the link: their session goes on to be the same one, nothing asks for a password, and their
/// next call works in the organization, with the role that the invitation named.
#[wire_test]
async fn js_03_an_account_is_added_at_once(world: World) {
    let home = Scenario::with(&world, "jetstack", "", "home@example.com").await;
    let ada = home.join("ada@example.com", &["member"]).await;
    let team = Scenario::under(&world, "jetstack").await;
    let (_, token) = team.invited_by(&team.owner.session, "Ada@example.com", &["admin"]).await;
    assert_refused(team.roster(&ada.session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let sessions = world.count("SELECT COUNT(*) AS n FROM sessions").await;
    let accepted = accept_as(&world, &ada.session, &token).await.unwrap();
    assert_eq!(
        (&accepted.user_id, &accepted.organization_id, accepted.roles),
        (&ada.user_id, &team.organization_id, texts(&["admin"]))
    );
    assert_eq!((accepted.session_token.as_str(), accepted.session_expire_time, accepted.challenge), ("", None, None));
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM sessions").await, sessions);
    let emails: Vec<String> = team.roster(&ada.session).await.unwrap().into_iter().map(|row| row.email).collect();
    assert_eq!(emails, ["ada@example.com", "owner@example.com"]);
    team.invite(&ada.session, "guest@example.com", &["member"]).await.unwrap();
    assert_eq!(home.row(&ada.session, "ada@example.com").await.roles, texts(&["member"]));
    sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
}

/// js_05, js_06: at seven days a pending invitation stays in the roster with its badge, and an Owner and an Admin resend it from there, which lets the person in.
#[wire_test]
async fn js_06_an_expired_invitation_is_resent_from_the_roster(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    for guest in ["one@example.com", "two@example.com"] {
        team.invited_by(&team.owner.session, guest, &["member"]).await;
    }
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    for (email, guest) in [(&team.owner.email, "one@example.com"), (&admin.email, "two@example.com")] {
        let session = sign_in(&world, email, PASSWORD).await.unwrap().session_token;
        let row = team.row(&session, guest).await;
        assert_eq!((row.state(), row.status_label.as_str()), (MemberState::InvitationExpired, "Invitation expired"));
        assert_eq!(
            row.allowed_actions().collect::<Vec<_>>(),
            [MemberAction::ResendInvitation, MemberAction::RevokeInvitation]
        );
        let old = world.mailbox.mails_for(guest)[0].invitation_token();
        assert_refused(accept_as_new(&world, &old, "Guest").await, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let request = ResendInvitationRequest {
            organization_id: team.organization_id.clone(),
            invitation_id: row.invitation_id,
            ..ResendInvitationRequest::default()
        };
        call!(world, invitations.resend_invitation, &session, request).unwrap();
        let new = world.mailbox.wait_for(guest, 2).await[1].invitation_token();
        accept_as_new(&world, &new, "Guest").await.unwrap();
        assert_eq!(team.row(&session, guest).await.state(), MemberState::Active);
    }
}

/// js_14: the roster has name, address, role, last activity, imports, deployments and audits; the last three are for Owner and Admins. Other services report
/// them in batches, and what is reported twice counts once.
#[wire_test]
async fn js_14_the_roster_counts_what_members_did(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    world.clock.advance(Duration::from_secs(600));
    let platform = service_key(&world, &["activity.write"]).await;
    let reports = || {
        vec![
            report(&team, &member.user_id, 1, "assets.import", ("imports", 12)),
            report(&team, &member.user_id, 2, "implementations.deploy", ("deployments", 2)),
            report(&team, &member.user_id, 3, "audits.run", ("audits", 1)),
            report(&team, &member.user_id, 4, "assets.import", ("imports", 3)),
        ]
    };
    send(&world, &platform, reports()).await;
    send(&world, &platform, reports()).await;
    for viewer in [&team.owner, &admin] {
        let roster = team.roster(&viewer.session).await.unwrap();
        let row = roster.iter().find(|row| row.user_id == member.user_id).unwrap();
        assert_eq!(
            (row.display_name.as_str(), row.email.as_str(), &row.roles),
            ("Given", "member@example.com", &texts(&["member"]))
        );
        assert_eq!(time(row.last_active_time.as_ref()), world.clock.now());
        let counters: BTreeMap<&str, i64> = row.counters.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(counters, BTreeMap::from([("audits", 1), ("deployments", 2), ("imports", 15)]));
    }
    let roster = team.roster(&member.session).await.unwrap();
    assert!(roster.len() == 3 && roster.iter().all(|row| row.counters.is_empty()), "{roster:?}");
}

/// js_05: a pending invitation stands in the roster with the Invited badge, and is resent or revoked from there.
#[wire_test]
async fn js_05_pending_invitations_stand_in_the_roster(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s")]).await;
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    team.invited_by(&admin.session, "guest@example.com", &["member"]).await;
    let row = team.row(&admin.session, "guest@example.com").await;
    assert_eq!((row.state(), row.status_label.as_str()), (MemberState::Invited, "Invited"));
    let actions: Vec<MemberAction> = row.allowed_actions().collect();
    assert_eq!(actions, [MemberAction::ResendInvitation, MemberAction::RevokeInvitation]);
    let (organization_id, invitation_id) = (team.organization_id.clone(), row.invitation_id.clone());
    let resend = ResendInvitationRequest {
        organization_id: organization_id.clone(),
        invitation_id: invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    call!(world, invitations.resend_invitation, &admin.session, resend).unwrap();
    assert_eq!(world.mailbox.wait_for("guest@example.com", 2).await.len(), 2);
    settled(&world).await;
    let revoke = RevokeInvitationRequest { organization_id, invitation_id, ..RevokeInvitationRequest::default() };
    call!(world, invitations.revoke_invitation, &admin.session, revoke).unwrap();
    assert!(team.roster(&admin.session).await.unwrap().iter().all(|row| row.email != "guest@example.com"));
}

/// js_07: the document's table of fourteen permissions and three roles, cell by cell. A row that the service itself guards by two permissions stands for both.
#[wire_test]
async fn js_07_the_table_of_the_document(world: World) {
    const TABLE: [(&str, &[&str], [bool; 3]); 14] = [
        ("Import assets", &["assets.import"], [true, true, true]),
        ("Deploy implementations", &["implementations.deploy"], [true, true, true]),
        ("Run audits", &["audits.run"], [true, true, true]),
        ("View activity log", &["activity_log.view"], [true, true, true]),
        ("View stats & leaderboard", &["stats.view"], [true, true, true]),
        ("Manage portals (add, edit, remove)", &["portals.manage"], [true, true, true]),
        ("Create brand configs", &["brand_configs.create"], [true, true, true]),
        ("Invite and remove members", &["members.invite", "members.remove"], [true, true, false]),
        ("Change member roles", &["members.set_roles"], [true, true, false]),
        ("Modify organization settings", &["organization.update"], [true, true, false]),
        ("Manage custom domains", &["domains.manage"], [true, true, false]),
        ("View and manage billing", &["billing.manage"], [true, false, false]),
        ("Delete the organization", &["organization.delete"], [true, false, false]),
        ("Transfer ownership", &["ownership.transfer"], [true, false, false]),
    ];
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    for (row, permissions, expected) in TABLE {
        for permission in permissions {
            let mut answers = Vec::new();
            for person in [&team.owner, &admin, &member] {
                answers.push(team.may(&person.user_id, permission).await);
            }
            assert_eq!(answers, expected, "{row}: {permission}");
        }
    }
}
