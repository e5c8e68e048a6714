//! Transfers of ownership: at once, or after the nominee has confirmed, and who is told.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::credentials::mfa::{demand, guard};
use crate::support::models;
use crate::support::pb::{
    ActivateUserRequest, ConfirmOwnershipTransferRequest, DeleteOrganizationRequest, DeleteUserRequest, ExchangedRoles,
    GetMemberRequest, ListAuditEntriesRequest, ListOwnershipTransfersRequest, MemberAction, MemberState,
    OwnershipTransferState, SuspendUserRequest, TransferOwnershipRequest, UndeleteOrganizationRequest,
    UndeleteUserRequest,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, service_key, settled, sign_in, texts, traces,
};
use crate::support::world::World;

/// A product in which the nominee confirms: a sixth product is a sixth file.
pub(crate) const WITH_CONFIRMATION: &str = "confirmed";

/// Starts the server again with that product beside the shipped ones.
pub(crate) async fn with_confirmation(world: &World) {
    confirmed(world, "jetstack").await;
}

/// As [`with_confirmation`], made of this one of the shipped products.
async fn confirmed(world: &World, shipped: &str) {
    let file = format!("src/models/{shipped}.toml");
    let document = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let document = document
        .replace(&format!("id = \"{shipped}\""), &format!("id = \"{WITH_CONFIRMATION}\""))
        .replace("confirmation = \"none\"", "confirmation = \"nominee\"");
    let folder = models::folder(world, &[(WITH_CONFIRMATION, document)]);
    world.restart_with(&[("access-models-dir", &folder)]).await;
}

/// A team with an owner and two admins.
pub(crate) async fn team(world: &World, model: &str) -> (Scenario, Person, Person) {
    let team = Scenario::under(world, model).await;
    let one = team.join("one@example.com", &["admin"]).await;
    let two = team.join("two@example.com", &["admin"]).await;
    (team, one, two)
}

fn deletion(team: &Scenario) -> DeleteOrganizationRequest {
    DeleteOrganizationRequest { organization_id: team.organization_id.clone(), ..DeleteOrganizationRequest::default() }
}

fn undeletion(team: &Scenario) -> UndeleteOrganizationRequest {
    UndeleteOrganizationRequest {
        organization_id: team.organization_id.clone(),
        ..UndeleteOrganizationRequest::default()
    }
}

async fn states(scenario: &Scenario, credential: &str) -> Vec<OwnershipTransferState> {
    let request = ListOwnershipTransfersRequest {
        organization_id: scenario.organization_id.clone(),
        include_total_size: true,
        ..ListOwnershipTransfersRequest::default()
    };
    let answer = call!(scenario.world, ownership.list_ownership_transfers, credential, request).unwrap();
    assert_eq!(answer.total_size, i64::try_from(answer.transfers.len()).unwrap());
    answer.transfers.iter().map(|transfer| transfer.state()).collect()
}

async fn subjects(world: &World, email: &str, count: usize) -> Vec<String> {
    let mails = world.mailbox.wait_for(email, count).await;
    settled(world).await;
    mails.iter().filter_map(|mail| mail.header("Subject")).filter(|subject| !subject.contains("join")).collect()
}

/// Where the model asks for no confirmation, ownership changes hands by the call, and both sides are told by mail.
#[wire_test]
async fn a_transfer_at_once_tells_both(world: World) {
    let (team, one, _) = team(&world, "jetstack").await;
    let request = |validate_only| TransferOwnershipRequest {
        organization_id: team.organization_id.clone(),
        nominee_user_id: one.user_id.clone(),
        validate_only,
        ..TransferOwnershipRequest::default()
    };
    let before = traces(&world).await;
    call!(world, ownership.transfer_ownership, &team.owner.session, request(true)).unwrap();
    assert_eq!(traces(&world).await, before);
    // Who is based on what the nominee was before, and not on what they are, has another one in mind.
    let seen = GetMemberRequest { organization_id: team.organization_id.clone(), user_id: one.user_id.clone() };
    let seen = call!(world, members.get_member, &team.owner.session, seen).unwrap().member.unwrap().etag;
    let stale = TransferOwnershipRequest { etag: "1".to_owned(), ..request(false) };
    assert_eq!(
        assert_refused(
            call!(world, ownership.transfer_ownership, &team.owner.session, stale),
            Code::Aborted,
            "ETAG_MISMATCH"
        )
        .metadata["etag"],
        seen
    );
    let fitting = TransferOwnershipRequest { etag: seen, ..request(false) };
    let transfer = call!(world, ownership.transfer_ownership, &team.owner.session, fitting).unwrap().transfer.unwrap();
    assert_eq!((transfer.state(), transfer.expire_time), (OwnershipTransferState::Completed, None));
    assert!(transfer.settle_time.is_some());
    assert_eq!(subjects(&world, "one@example.com", 2).await, ["You own Acme now"]);
    assert_eq!(subjects(&world, "owner@example.com", 1).await, ["You have handed Acme over"]);
    assert_eq!(states(&team, &one.session).await, [OwnershipTransferState::Completed]);
    // The log tells of either side, and whoever looks for one of them finds it, with the roles before and after.
    for (person, kind, roles) in [
        (&one, "ownership.transferred", ["admin", "owner"]),
        (&team.owner, "ownership.handed_over", ["owner", "admin"]),
    ] {
        let request = ListAuditEntriesRequest {
            organization_id: team.organization_id.clone(),
            subject_user_id: person.user_id.clone(),
            ..ListAuditEntriesRequest::default()
        };
        let entry = call!(world, audit.list_audit_entries, world.operator_key(), request).unwrap().entries.remove(0);
        assert_eq!((entry.kind.as_str(), &entry.actor_user_id), (kind, &team.owner.user_id));
        assert_eq!(
            team.row(&one.session, &person.email).await.etag,
            entry.revision.to_string(),
            "the row names another change than its last"
        );
        for (side, role, owner) in [(&entry.before, roles[0], &team.owner), (&entry.after, roles[1], &one)] {
            let told = format!("{side:?}");
            assert!(told.contains(&format!("{role:?}")) && told.contains(&owner.user_id), "{told}");
        }
    }
    assert_refused(
        team.confirm(&one.session, &transfer.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    assert_refused(
        team.cancel(&one.session, &transfer.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
}

/// Where the model asks the nominee, nothing changes until they confirm; nobody else can; a second transfer waits for the first.
#[wire_test]
async fn a_nominee_confirms(world: World) {
    with_confirmation(&world).await;
    let (team, one, two) = team(&world, WITH_CONFIRMATION).await;
    let owner = &team.owner;
    let row = async |credential: &str| team.row(credential, &two.email).await.allowed_actions;
    for credential in [&*owner.session, world.operator_key()] {
        assert!(row(credential).await.contains(&MemberAction::TransferOwnership.into()));
    }
    let transfer = team.transfer(&owner.session, &one.user_id).await.unwrap();
    assert_eq!(transfer.state(), OwnershipTransferState::Pending);
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    assert_eq!(subjects(&world, "one@example.com", 2).await, ["You are asked to own Acme"]);
    assert_eq!(subjects(&world, "owner@example.com", 1).await, ["You have offered Acme"]);
    let second =
        assert_refused(team.transfer(&owner.session, &two.user_id).await, Code::AlreadyExists, "TRANSFER_PENDING");
    assert_eq!(second.metadata["transfer_id"], transfer.transfer_id);
    // While it waits, nobody is shown that another can begin.
    for credential in [&*owner.session, world.operator_key()] {
        assert!(!row(credential).await.contains(&MemberAction::TransferOwnership.into()));
    }
    for credential in [&*owner.session, &*two.session, world.operator_key()] {
        let refused = assert_refused(
            team.confirm(credential, &transfer.transfer_id).await,
            Code::FailedPrecondition,
            "TRANSFER_TARGET_INELIGIBLE",
        );
        assert_eq!(refused.hint(), "only the nominee confirms");
    }
    let confirmed = team.confirm(&one.session, &transfer.transfer_id).await.unwrap();
    assert_eq!(confirmed.state(), OwnershipTransferState::Completed);
    assert_eq!(team.active_holders("owner").await, ["one@example.com"]);
    assert_eq!(team.row(&one.session, &owner.email).await.roles, ["admin"]);
    assert_eq!(subjects(&world, "one@example.com", 3).await, ["You are asked to own Acme", "You own Acme now"]);
    assert_refused(
        team.confirm(&one.session, &transfer.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    settled(&world).await;
}

/// A transfer that waits is called off by either side and by nobody else, and expires after seven days.
#[wire_test]
async fn a_transfer_that_waits_ends_in_other_ways_too(world: World) {
    with_confirmation(&world).await;
    let (team, one, two) = team(&world, WITH_CONFIRMATION).await;
    let owner = team.owner.session.clone();
    let first = team.transfer(&owner, &one.user_id).await.unwrap();
    assert_refused(team.cancel(&two.session, &first.transfer_id).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    team.cancel(&owner, &first.transfer_id).await.unwrap();
    assert_refused(
        team.confirm(&one.session, &first.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    world.clock.advance(Duration::from_secs(1));
    let second = team.transfer(&owner, &one.user_id).await.unwrap();
    team.cancel(&one.session, &second.transfer_id).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let third = team.transfer(&owner, &one.user_id).await.unwrap();
    settled(&world).await;
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    let one = sign_in(&world, &one.email, PASSWORD).await.unwrap().session_token;
    let late = assert_refused(
        team.confirm(&one, &third.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    assert_eq!(late.metadata["state"], "EXPIRED");
    use OwnershipTransferState::{Cancelled, Expired};
    assert_eq!(states(&team, &one).await, [Expired, Cancelled, Cancelled]);
    assert_eq!(team.active_holders("owner").await, [team.owner.email.as_str()]);
}

/// ab_17: a transfer that waits stands by the owner's right at the moment of confirmation: while the owner's account is out of use, it hands nothing over.
#[wire_test]
async fn ab_17_an_owner_whose_account_is_suspended_hands_nothing_over(world: World) {
    confirmed(&world, "default").await;
    let (team, one, two) = team(&world, WITH_CONFIRMATION).await;
    team.set_roles(&team.owner.session, &two.user_id, &["owner"]).await.unwrap();
    let transfer = team.transfer(&team.owner.session, &one.user_id).await.unwrap();
    let suspension = SuspendUserRequest { user_id: team.owner.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), suspension).unwrap();
    settled(&world).await;
    let before = traces(&world).await;
    let over = assert_refused(
        team.confirm(&one.session, &transfer.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    assert_eq!(over.metadata["state"], "CANCELLED");
    assert_eq!(traces(&world).await, before);
    // It does not come back with the account.
    let activation = ActivateUserRequest { user_id: team.owner.user_id.clone(), ..ActivateUserRequest::default() };
    call!(world, users.activate_user, world.operator_key(), activation).unwrap();
    assert_refused(
        team.confirm(&one.session, &transfer.transfer_id).await,
        Code::FailedPrecondition,
        "TRANSFER_STATE_CONFLICT",
    );
    let owner = sign_in(&world, &team.owner.email, PASSWORD).await.unwrap().session_token;
    let again = team.transfer(&owner, &one.user_id).await.unwrap();
    team.confirm(&one.session, &again.transfer_id).await.unwrap();
    settled(&world).await;
}

/// A transfer that waits ends with what makes it impossible, whoever does that and however: both sides are told, the log says why, and the next transfer begins at once. What becomes of others is no end.
#[wire_test]
async fn a_transfer_that_has_become_impossible_is_in_nobodys_way(world: World) {
    with_confirmation(&world).await;
    let (team, _, two) = team(&world, WITH_CONFIRMATION).await;
    let (owner, key) = (&team.owner.session, world.operator_key());
    let (mut ended, mut expected) = (0, Vec::new());
    for (index, way) in
        ["role", "suspended", "removed", "left", "account suspended", "account deleted"].iter().enumerate()
    {
        let email = format!("nominee{index}@example.com");
        let nominee = team.join(&email, &["admin"]).await;
        let transfer = team.transfer(owner, &nominee.user_id).await.unwrap();
        team.set_roles(owner, &two.user_id, &["member"]).await.unwrap();
        team.set_roles(owner, &two.user_id, &["admin"]).await.unwrap();
        assert_refused(team.transfer(owner, &two.user_id).await, Code::AlreadyExists, "TRANSFER_PENDING");
        let user_id = nominee.user_id.clone();
        match *way {
            "role" => drop(team.set_roles(owner, &user_id, &["member"]).await.unwrap()),
            "suspended" => drop(team.suspend(&two.session, &user_id).await.unwrap()),
            "removed" => drop(team.remove(owner, &user_id).await.unwrap()),
            "left" => team.leave(&nominee.session).await.unwrap(),
            "account suspended" => {
                let request = SuspendUserRequest { user_id, ..SuspendUserRequest::default() };
                call!(world, users.suspend_user, key, request).unwrap();
            }
            _ => {
                let request = DeleteUserRequest { user_id, ..DeleteUserRequest::default() };
                call!(world, users.delete_user, key, request).unwrap();
            }
        }
        let request = ListAuditEntriesRequest {
            organization_id: team.organization_id.clone(),
            kinds: vec!["ownership.transfer_cancelled".to_owned()],
            ..ListAuditEntriesRequest::default()
        };
        let entries = call!(world, audit.list_audit_entries, key, request).unwrap().entries;
        ended += 1;
        assert_eq!(entries.len(), ended, "{way}");
        let told = format!("{:?}", entries[0].after);
        assert!(told.contains("TRANSFER_TARGET_INELIGIBLE") && told.contains(&transfer.transfer_id), "{way}: {told}");
        assert_eq!(entries[0].subject_user_id, nominee.user_id, "{way}");
        assert_eq!(subjects(&world, &email, 3).await, ["You are asked to own Acme", "A transfer was called off"]);
        expected.insert(0, OwnershipTransferState::Cancelled);
        assert_eq!(states(&team, owner).await, expected, "{way}");
    }
    let transfer = team.transfer(owner, &two.user_id).await.unwrap();
    team.confirm(&two.session, &transfer.transfer_id).await.unwrap();
    settled(&world).await;
}

/// The answer says what becomes of the roles of both: the new owner keeps those that the model does not replace, and nobody loses one in silence.
#[wire_test]
async fn a_new_owner_keeps_other_roles(world: World) {
    let replace = [
        ("confirmation = \"none\"", "confirmation = \"nominee\""),
        ("max_roles_per_member = 1", "max_roles_per_member = 3"),
        ("previous_owner_role = \"admin\"", "replaced_roles = [\"member\"]\nprevious_owner_role = \"member\""),
    ];
    let folder = models::folder(&world, &[("several", models::document("several", &replace))]);
    world.restart_with(&[("access-models-dir", &folder)]).await;
    let team = Scenario::under(&world, "several").await;
    let one = team.join("one@example.com", &["admin", "member"]).await;
    let request = TransferOwnershipRequest {
        organization_id: team.organization_id.clone(),
        nominee_user_id: one.user_id.clone(),
        ..TransferOwnershipRequest::default()
    };
    let exchanged = ExchangedRoles {
        new_owner_roles: texts(&["admin", "owner"]),
        replaced_roles: texts(&["member"]),
        previous_owner_roles: texts(&["member"]),
    };
    let offered = call!(world, ownership.transfer_ownership, &team.owner.session, request).unwrap();
    assert_eq!(offered.roles.as_ref(), Some(&exchanged));
    let request = ConfirmOwnershipTransferRequest {
        organization_id: team.organization_id.clone(),
        transfer_id: offered.transfer.unwrap().transfer_id,
        ..ConfirmOwnershipTransferRequest::default()
    };
    let confirmed = call!(world, ownership.confirm_ownership_transfer, &one.session, request).unwrap();
    assert_eq!(confirmed.roles.as_ref(), Some(&exchanged));
    assert_eq!(team.row(&one.session, &one.email).await.roles, exchanged.new_owner_roles);
    assert_eq!(team.row(&one.session, &team.owner.email).await.roles, exchanged.previous_owner_roles);
    settled(&world).await;
}

/// Where the organization asks for a second factor, nobody becomes its owner without one; giving up what was offered, and leaving, take none.
#[wire_test]
async fn a_nominee_without_a_second_factor_does_not_become_the_owner(world: World) {
    with_confirmation(&world).await;
    let (team, one, two) = team(&world, WITH_CONFIRMATION).await;
    let owner = &team.owner;
    let first = team.transfer(&owner.session, &one.user_id).await.unwrap();
    demand(&team, world.operator_key(), true).await.unwrap();
    let refused =
        assert_refused(team.confirm(&one.session, &first.transfer_id).await, Code::PermissionDenied, "MFA_REQUIRED");
    assert_eq!(refused.metadata["method"], "roster.v1.CredentialService/BeginMfaEnrollment");
    assert_eq!(team.active_holders("owner").await, [owner.email.as_str()]);
    team.cancel(&one.session, &first.transfer_id).await.unwrap();
    settled(&world).await;
    guard(&world, owner).await;
    let second = team.transfer(&owner.session, &one.user_id).await.unwrap();
    settled(&world).await;
    guard(&world, &one).await;
    team.confirm(&one.session, &second.transfer_id).await.unwrap();
    assert_eq!(team.active_holders("owner").await, ["one@example.com"]);
    team.leave(&two.session).await.unwrap();
    settled(&world).await;
}

/// A service hands over for an owner it names, where the owner cannot act any more.
#[wire_test]
async fn a_service_names_the_owner(world: World) {
    let (team, one, _) = team(&world, "jetstack").await;
    let key = service_key(&world, &["ownership.write"]).await;
    assert_invalid(team.transfer(&key, &one.user_id).await, &["owner_user_id"]);
    let request = |owner: &str| TransferOwnershipRequest {
        organization_id: team.organization_id.clone(),
        nominee_user_id: one.user_id.clone(),
        owner_user_id: owner.to_owned(),
        ..TransferOwnershipRequest::default()
    };
    assert_refused(
        call!(world, ownership.transfer_ownership, &key, request(&one.user_id)),
        Code::PermissionDenied,
        "NOT_OWNER",
    );
    call!(world, ownership.transfer_ownership, &key, request(&team.owner.user_id)).unwrap();
    assert_eq!(team.active_holders("owner").await, ["one@example.com"]);
    settled(&world).await;
}

/// A deleted organization does not exist for its members, and comes back whole.
#[wire_test]
async fn a_deleted_organization_comes_back_with_its_owner(world: World) {
    let (team, one, _) = team(&world, "jetstack").await;
    let (delete, undelete) = (|| deletion(&team), || undeletion(&team));
    assert_refused(
        call!(world, organizations.undelete_organization, world.operator_key(), undelete()),
        Code::FailedPrecondition,
        "ORGANIZATION_STATE_CONFLICT",
    );
    call!(world, organizations.delete_organization, &team.owner.session, delete()).unwrap();
    assert_refused(team.roster(&one.session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_refused(
        team.set_roles(world.operator_key(), &one.user_id, &["member"]).await,
        Code::FailedPrecondition,
        "ORGANIZATION_DELETED",
    );
    // An owner whose account is out of use is still the owner, and comes first.
    let suspension = SuspendUserRequest { user_id: team.owner.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), suspension).unwrap();
    let refused = assert_refused(
        call!(world, organizations.undelete_organization, world.operator_key(), undelete()),
        Code::FailedPrecondition,
        "LAST_OWNER",
    );
    assert_eq!(refused.metadata["hint"], "activate the account of an owner first");
    let activation = ActivateUserRequest { user_id: team.owner.user_id.clone(), ..ActivateUserRequest::default() };
    call!(world, users.activate_user, world.operator_key(), activation).unwrap();
    call!(world, organizations.undelete_organization, world.operator_key(), undelete()).unwrap();
    assert_eq!(team.active_holders("owner").await, [team.owner.email.as_str()]);
    team.roster(&one.session).await.unwrap();
}

/// What is deleted has no owner to keep: the account can go, and leaves this organization as any other. The organization comes back without an owner then,
/// and the service names one, as when an organization is founded.
#[wire_test]
async fn a_deleted_organization_whose_owner_is_gone_gets_a_new_one(world: World) {
    let (team, one, two) = team(&world, "jetstack").await;
    call!(world, organizations.delete_organization, &team.owner.session, deletion(&team)).unwrap();
    let request = DeleteUserRequest { user_id: team.owner.user_id.clone(), ..Default::default() };
    call!(world, users.delete_user, world.operator_key(), request).unwrap();
    call!(world, organizations.undelete_organization, world.operator_key(), undeletion(&team)).unwrap();
    assert!(team.active_holders("owner").await.is_empty());
    assert_eq!(team.row_of(&one.session, &team.owner.user_id).await.state(), MemberState::Removed);
    assert_refused(
        team.set_roles(&one.session, &one.user_id, &["owner"]).await,
        Code::FailedPrecondition,
        "OWNER_BY_TRANSFER_ONLY",
    );
    team.set_roles(world.operator_key(), &one.user_id, &["owner"]).await.unwrap();
    assert_refused(
        team.set_roles(world.operator_key(), &two.user_id, &["owner"]).await,
        Code::FailedPrecondition,
        "OWNER_BY_TRANSFER_ONLY",
    );
    let request = UndeleteUserRequest { user_id: team.owner.user_id.clone(), ..Default::default() };
    call!(world, users.undelete_user, world.operator_key(), request).unwrap();
    assert_eq!(team.active_holders("owner").await, ["one@example.com"]);
}
