//! An AI platform's team page: three tiers, exactly one owner, ownership by transfer.

use roster_test_macros::wire_test;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tonic::Code;

use crate::services::organizations::activity::{listed, of, report, send};
use crate::services::organizations::contacts::{add, adding, recipients};
use crate::support::dynamic::Contract;
use crate::support::pb::{
    ActivateMemberRequest, BatchCreateInvitationsRequest, CheckPermissionRequest, Contact, CreateContactRequest,
    CreateInvitationRequest, CreateMemberRequest, CreateRoleRequest, Decision, DeleteContactRequest,
    DeleteOrganizationRequest, DeleteRoleRequest, ListMembersRequest, ListUserMembershipsRequest, Member, MemberAction,
    MemberState, NewInvitation, Organization, RemoveMemberRequest, ReportOutcome, ResendInvitationRequest,
    RestoreMemberRequest, RevokeInvitationRequest, Role, SetMemberRolesRequest, SuspendMemberRequest,
    TransferOwnershipRequest, UpdateContactRequest, UpdateMemberRequest, UpdateOrganizationRequest, UpdateRoleRequest,
};
use crate::support::race::told;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, accept_as, accept_as_new, assert_refused, call, create_user, service_key, settled,
    sign_in, texts, time, traces,
};
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
    let every_state = [MemberState::Active, MemberState::Invited, MemberState::Suspended, MemberState::Removed];
    let rows = team.rows(&member.session, &every_state).await;
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
    try_to!(
        "SetMemberRoles",
        members.set_member_roles,
        SetMemberRolesRequest { organization_id: id(), user_id: user(&member), roles: texts(&["admin"]) }
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
        assert_eq!((row.state(), row.status_label.as_str()), (MemberState::Invited, "Invited"));
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

/// js_08: there is exactly one Owner, its creator at first; nothing but a transfer gives the role or takes it.
#[wire_test]
async fn js_08_there_is_exactly_one_owner(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let (owner, key) = (&team.owner, world.operator_key());
    let admin = team.join("admin@example.com", &["admin"]).await;
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    for credential in [&*owner.session, &*admin.session, key] {
        for answer in [
            team.set_roles(credential, &admin.user_id, &["owner"]).await,
            team.set_roles(credential, &owner.user_id, &["admin"]).await,
            team.remove(credential, &owner.user_id).await,
        ] {
            assert!(answer.is_err(), "{answer:?}");
        }
        assert!(team.suspend(credential, &owner.user_id).await.is_err());
    }
    assert_refused(team.leave(&owner.session).await, Code::FailedPrecondition, "OWNER_BY_TRANSFER_ONLY");
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    team.transfer(&owner.session, &admin.user_id).await.unwrap();
    assert_eq!(team.active_holders("owner").await, [admin.email.as_str()]);
}

/// js_10: only the current Owner transfers ownership.
#[wire_test]
async fn js_10_only_the_owner_transfers(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let other = team.join("other@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    for person in [&admin, &member] {
        assert_refused(
            team.transfer(&person.session, &other.user_id).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
    }
    let outsider = Scenario::with(&world, "jetstack", "", "outsider@example.com").await;
    assert_refused(
        team.transfer(&outsider.owner.session, &other.user_id).await,
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    assert_eq!(team.active_holders("owner").await, [team.owner.email.as_str()]);
}

/// js_11: the target is an Admin now: no Member, nobody invited, no suspended Admin, nobody outside.
#[wire_test]
async fn js_11_the_target_is_an_active_admin(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let owner = &team.owner.session;
    let member = team.join("member@example.com", &["member"]).await;
    let paused = team.join("paused@example.com", &["admin"]).await;
    let gone = team.join("gone@example.com", &["admin"]).await;
    team.invite(owner, "invited@example.com", &["admin"]).await.unwrap();
    team.suspend(owner, &paused.user_id).await.unwrap();
    team.remove(owner, &gone.user_id).await.unwrap();
    let outsider = Scenario::with(&world, "jetstack", "", "outsider@example.com").await.owner;
    let invitation = team.row(owner, "invited@example.com").await.invitation_id;
    // Somebody who has an account, and is invited as an Admin, is none yet.
    let nearly = create_user(&world, "nearly@example.com").await;
    team.invite(owner, &nearly.email, &["admin"]).await.unwrap();
    for target in [
        &member.user_id,
        &paused.user_id,
        &gone.user_id,
        &outsider.user_id,
        &team.owner.user_id,
        &invitation,
        &nearly.user_id,
    ] {
        assert_refused(team.transfer(owner, target).await, Code::FailedPrecondition, "TRANSFER_TARGET_INELIGIBLE");
    }
    team.activate(owner, &paused.user_id).await.unwrap();
    team.transfer(owner, &paused.user_id).await.unwrap();
}

/// js_12, js_13: after it the previous Owner is an Admin, both by one change; only the new Owner gives it back.
#[wire_test]
async fn js_12_the_previous_owner_is_an_admin_and_js_13_cannot_take_it_back(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let (old, new) = (team.owner.clone(), team.join("new@example.com", &["admin"]).await);
    let before = team.row(&old.session, &old.email).await.etag;
    team.transfer(&old.session, &new.user_id).await.unwrap();
    let [was, is] = [team.row(&new.session, &old.email).await, team.row(&new.session, &new.email).await];
    assert_eq!((&was.roles[..], &is.roles[..]), (&["admin".to_owned()][..], &["owner".to_owned()][..]));
    let [before, is, was] = [&before, &is.etag, &was.etag].map(|etag| etag.parse::<i64>().unwrap());
    assert!(before < is && was == is + 1, "both changed in one commit, by an event each: {before} {is} {was}");
    assert_refused(team.transfer(&old.session, &old.user_id).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    team.transfer(&new.session, &old.user_id).await.unwrap();
    assert_eq!(team.active_holders("owner").await, [old.email.as_str()]);
}

/// js_15: a removed member loses access at once; the account goes on, can sign in, and sees no such organization.
#[wire_test]
async fn js_15_a_removed_members_account_goes_on(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let member = team.join("member@example.com", &["member"]).await;
    team.remove(&team.owner.session, &member.user_id).await.unwrap();
    assert_refused(team.roster(&member.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert!(!team.may(&member.user_id, "assets.import").await);
    let session = sign_in(&world, "member@example.com", PASSWORD).await.unwrap().session_token;
    let request =
        ListUserMembershipsRequest { user_id: member.user_id.clone(), ..ListUserMembershipsRequest::default() };
    assert_eq!(call!(world, members.list_user_memberships, &session, request).unwrap().memberships, []);
    assert_refused(team.roster(&session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// js_18: the Owner is not removed; after a transfer, the former one is.
#[wire_test]
async fn js_18_the_owner_is_removed_after_a_transfer_only(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    for credential in [&*admin.session, &*team.owner.session, world.operator_key()] {
        assert_refused(
            team.remove(credential, &team.owner.user_id).await,
            Code::FailedPrecondition,
            "OWNER_BY_TRANSFER_ONLY",
        );
    }
    team.transfer(&team.owner.session, &admin.user_id).await.unwrap();
    let removed = team.remove(&admin.session, &team.owner.user_id).await.unwrap();
    assert_eq!(removed.state(), MemberState::Removed);
}

/// js_20: billing, deleting the organization and handing it over are the Owner's alone, by the checks and by the calls.
#[wire_test]
async fn js_20_three_things_are_the_owners_alone(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    for permission in ["billing.manage", "organization.delete", "ownership.transfer"] {
        let who = [&team.owner, &admin, &member].map(|person| team.may(&person.user_id, permission));
        assert_eq!(futures_util::future::join_all(who).await, [true, false, false], "{permission}");
    }
    let delete = async |credential: &str| {
        let request = DeleteOrganizationRequest {
            organization_id: team.organization_id.clone(),
            ..DeleteOrganizationRequest::default()
        };
        call!(world, organizations.delete_organization, credential, request)
    };
    for person in [&admin, &member] {
        assert_refused(delete(&person.session).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
        assert_refused(
            team.transfer(&person.session, &admin.user_id).await,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
        );
    }
    delete(&team.owner.session).await.unwrap();
    assert!(!team.may(&team.owner.user_id, "billing.manage").await);
    assert_refused(team.roster(&admin.session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// js_16: the activity of a removed member stays in the log, with their name and their counters.
#[wire_test]
async fn js_16_activity_stays_after_removal(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let member = team.join("member@example.com", &["member"]).await;
    let platform = service_key(&world, &["activity.write"]).await;
    let deeds = [("assets.import", "imports"), ("implementations.deploy", "deployments"), ("audits.run", "audits")];
    let reports =
        deeds.iter().zip(1..).map(|((action, counter), id)| report(&team, &member.user_id, id, action, (counter, 1)));
    send(&world, &platform, reports.collect()).await;
    team.remove(&team.owner.session, &member.user_id).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    sign_in(&world, "member@example.com", PASSWORD).await.unwrap();
    let log = listed(&world, &team.owner.session, of(&team, &member.user_id)).await;
    let actions: BTreeSet<&str> =
        log.iter().filter(|one| !one.action.is_empty()).map(|one| one.action.as_str()).collect();
    assert_eq!(actions, BTreeSet::from(["assets.import", "audits.run", "implementations.deploy"]));
    assert!(log.iter().all(|one| one.user_display_name == "Given"));
    // When they sign in after that is the organization's business no more.
    assert_eq!(log.len(), 4, "{log:?}");
    let removed = team.rows(&team.owner.session, &[MemberState::Removed]).await;
    assert_eq!(removed[0].counters.len(), 3);
    assert_refused(
        call!(world, activity.list_activity, &member.session, of(&team, &member.user_id)).map(drop),
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
}

/// js_17: what a member has set up for the organization goes on working when they are removed: the people whom they let in, the contacts whom they named, and the
/// service that called for them, whose key is its own. What ends is what was theirs: their session, and with it every call that the service makes for them.
#[wire_test]
async fn js_17_connections_outlive_the_member(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let portal = service_key(
        &world,
        &["activity.write", "members.read", "permissions.check", "contacts.write", "invitations.write"],
    )
    .await;
    let list = || ListMembersRequest { organization_id: team.organization_id.clone(), ..ListMembersRequest::default() };
    // The admin lets somebody in, and by way of the portal names who is to be told of its incidents.
    let (_, token) = team.invited_by(&admin.session, "member@example.com", &["member"]).await;
    let member = accept_as_new(&world, &token, "Member").await.unwrap();
    let contact =
        world.on_behalf_of(&portal, &admin.session, adding(&team, "ops@example.com", "Operations", &["incidents"]));
    world.contacts().create_contact(contact).await.unwrap();
    team.remove(&team.owner.session, &admin.user_id).await.unwrap();

    let for_admin = world.on_behalf_of(&portal, &admin.session, list());
    assert_refused(world.members().list_members(for_admin).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_eq!(recipients(&team, "incidents").await, texts(&["ops@example.com"]));
    assert!(team.may(&member.user_id, "assets.import").await);
    team.roster(&member.session_token).await.unwrap();
    assert_eq!(call!(world, members.list_members, &portal, list()).unwrap().members.len(), 2);
    let sent = send(&world, &portal, vec![report(&team, &member.user_id, 1, "assets.import", ("imports", 1))]).await;
    assert_eq!(sent, [ReportOutcome::Accepted]);
    let check = CheckPermissionRequest {
        organization_id: team.organization_id.clone(),
        user_id: team.owner.user_id.clone(),
        permission: "assets.import".to_owned(),
    };
    assert_eq!(call!(world, permissions.check_permission, &portal, check).unwrap().decision(), Decision::Allow);
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
