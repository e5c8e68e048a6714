//! Organizations: three ways to found one, changing its settings, and suspending it.

pub(crate) mod activity;
pub(crate) mod audit;
pub(crate) mod contacts;
pub(crate) mod ownership;
pub(crate) mod roles;
mod slugs;
pub(crate) mod states;

use std::time::Duration;

use prost_types::FieldMask;
use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateOrganizationRequest, DeleteUserRequest, Founder, GetOrganizationRequest, ListOrganizationsRequest, NewUser,
    Organization, OrganizationState, SuspendUserRequest, UpdateOrganizationRequest,
};
use crate::support::scenario::{
    PASSWORD, Scenario, accept_as, accept_as_new, assert_invalid, assert_refused, call, create_organization,
    create_user, sign_in, texts, traces,
};
use crate::support::world::World;

fn creation(model: &str, owner: Owner) -> CreateOrganizationRequest {
    CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        access_model: model.to_owned(),
        owner: Some(owner),
        ..CreateOrganizationRequest::default()
    }
}

fn new_owner(email: &str) -> Owner {
    Owner::NewOwner(NewUser {
        email: email.to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: true,
        ..NewUser::default()
    })
}

fn founder(email: &str) -> Owner {
    Owner::Founder(Founder { email: email.to_owned(), ..Founder::default() })
}

async fn get(world: &World, credential: &str, id: &str) -> Result<Organization, tonic::Status> {
    let request = GetOrganizationRequest { organization_id: id.to_owned() };
    let answer = call!(world, organizations.get_organization, credential, request)?;
    Ok(answer.organization.unwrap())
}

fn renaming(scenario: &Scenario, name: &str) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: scenario.organization_id.clone(),
            display_name: name.to_owned(),
            ..Organization::default()
        }),
        ..UpdateOrganizationRequest::default()
    }
}

/// The first user of an organization owns it; without a model it gets the default one.
#[wire_test]
async fn an_existing_user_becomes_the_owner(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let request = creation("", Owner::OwnerUserId(ada.user_id.clone()));
    let answer = call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
    let organization = answer.organization.unwrap();
    assert_eq!((organization.display_name.as_str(), organization.access_model.as_str()), ("Acme", "default"));
    assert_eq!(organization.state(), OrganizationState::Active);
    assert_eq!((answer.owner_user_id.as_str(), answer.invitation), (ada.user_id.as_str(), None));
    assert_eq!(answer.revision, organization.revision);
    assert_eq!(get(&world, &ada.session, &organization.organization_id).await.unwrap(), organization);
    assert_eq!(get(&world, world.operator_key(), &organization.organization_id).await.unwrap(), organization);

    let scenario = Scenario { world: world.clone(), organization_id: organization.organization_id, owner: ada.clone() };
    let roster = scenario.roster(&ada.session).await.unwrap();
    assert_eq!(
        (roster.len(), roster[0].user_id.as_str(), &roster[0].roles[..]),
        (1, ada.user_id.as_str(), &texts(&["owner"])[..])
    );
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, 0);
}

/// A new owner's account is created in the same commit; no message goes out, and an address is never taken twice.
#[wire_test]
async fn a_new_owner_gets_an_account(world: World) {
    let answer = call!(
        world,
        organizations.create_organization,
        world.operator_key(),
        creation("", new_owner("ada@example.com"))
    )
    .unwrap();
    let signed_in = sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
    assert_eq!(signed_in.user.unwrap().user_id, answer.owner_user_id);
    let id = answer.organization.unwrap().organization_id;
    get(&world, &signed_in.session_token, &id).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM outbox_messages").await, 0);

    let before = traces(&world).await;
    let again = call!(
        world,
        organizations.create_organization,
        world.operator_key(),
        creation("", new_owner("ADA@example.com"))
    );
    assert_refused(again, Code::AlreadyExists, "EMAIL_TAKEN");
    assert_eq!(traces(&world).await, before);
}

/// A founder gets an invitation to the owner role, also where ownership is otherwise given by transfer only, and owns the
/// organization by accepting it.
#[wire_test]
async fn a_founder_becomes_the_owner_by_accepting(world: World) {
    for (model, role, email) in [
        ("default", "owner", "ada@example.com"),
        ("jetstack", "owner", "bob@example.com"),
        ("jethub", "account_admin", "cy@example.com"),
    ] {
        let answer =
            call!(world, organizations.create_organization, world.operator_key(), creation(model, founder(email)))
                .unwrap();
        let organization_id = answer.organization.unwrap().organization_id;
        let invitation = answer.invitation.unwrap();
        assert_eq!((answer.owner_user_id.as_str(), &invitation.roles[..]), ("", &texts(&[role])[..]), "{model}");
        let token = world.mailbox.wait_for(email, 1).await[0].invitation_token();
        let accepted = accept_as_new(&world, &token, "Fay").await.unwrap();
        assert_eq!((accepted.roles, &accepted.organization_id), (texts(&[role]), &organization_id), "{model}");
        get(&world, &accepted.session_token, &organization_id).await.unwrap();
        let scenario = Scenario {
            world: world.clone(),
            organization_id,
            owner: create_user(&world, &format!("{model}@example.com")).await,
        };
        assert!(scenario.may(&accepted.user_id, "members.invite").await, "{model}");
        assert_eq!(scenario.roster(&accepted.session_token).await.unwrap().len(), 1, "{model}");
    }
}

/// Founding by invitation works for somebody who has an account, and only until there is an owner: from then on the owner role
/// of an exactly-one model goes to nobody by invitation (js_02).
#[wire_test]
async fn a_founder_may_have_an_account(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let answer = call!(
        world,
        organizations.create_organization,
        world.operator_key(),
        creation("jetstack", founder("ada@example.com"))
    )
    .unwrap();
    assert!(answer.invitation.unwrap().user_created);
    let token = world.mailbox.wait_for("ada@example.com", 1).await[0].invitation_token();
    let accepted = accept_as(&world, &ada.session, &token).await.unwrap();
    assert_eq!((accepted.user_id.as_str(), accepted.session_token.as_str()), (ada.user_id.as_str(), ""));
    let scenario = Scenario { world: world.clone(), organization_id: accepted.organization_id, owner: ada };
    let before = traces(&world).await;
    assert_refused(
        scenario.invite(world.operator_key(), "bob@example.com", &["owner"]).await,
        Code::FailedPrecondition,
        "OWNER_BY_TRANSFER_ONLY",
    );
    assert_eq!(traces(&world).await, before);
}

/// An account that is out of use owns nothing: no organization is founded for it.
#[wire_test]
async fn an_account_out_of_use_founds_nothing(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let suspension = SuspendUserRequest { user_id: ada.user_id.clone(), ..SuspendUserRequest::default() };
    call!(world, users.suspend_user, world.operator_key(), suspension).unwrap();
    let request = || creation("", Owner::OwnerUserId(ada.user_id.clone()));
    let before = traces(&world).await;
    let refused = assert_refused(
        call!(world, organizations.create_organization, world.operator_key(), request()),
        Code::FailedPrecondition,
        "USER_STATE_CONFLICT",
    );
    assert_eq!(refused.metadata["state"], "SUSPENDED");
    let deletion = DeleteUserRequest { user_id: ada.user_id.clone(), ..DeleteUserRequest::default() };
    call!(world, users.delete_user, world.operator_key(), deletion).unwrap();
    let refused = assert_refused(
        call!(world, organizations.create_organization, world.operator_key(), request()),
        Code::FailedPrecondition,
        "USER_STATE_CONFLICT",
    );
    assert_eq!(refused.metadata["state"], "DELETED");
    let after = traces(&world).await;
    assert_eq!(
        after.iter().filter(|(table, _)| *table == "organizations").collect::<Vec<_>>(),
        before.iter().filter(|(table, _)| *table == "organizations").collect::<Vec<_>>()
    );
}

/// Everything is checked and nothing is created, whoever is to own the organization.
#[wire_test]
async fn validate_only_changes_nothing(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let before = traces(&world).await;
    for owner in [Owner::OwnerUserId(ada.user_id.clone()), new_owner("new@example.com"), founder("new@example.com")] {
        let request = CreateOrganizationRequest { validate_only: true, ..creation("", owner) };
        let answer = call!(world, organizations.create_organization, world.operator_key(), request).unwrap();
        assert_eq!(answer.organization.unwrap().display_name, "Acme");
    }
    // Whether somebody has the address is told when it is meant (ab_40).
    let request =
        |validate_only| CreateOrganizationRequest { validate_only, ..creation("", new_owner("ada@example.com")) };
    call!(world, organizations.create_organization, world.operator_key(), request(true)).unwrap();
    let refused = call!(world, organizations.create_organization, world.operator_key(), request(false));
    assert_refused(refused, Code::AlreadyExists, "EMAIL_TAKEN");
    assert_eq!(traces(&world).await, before);
    assert_eq!(world.mailbox.mails().len(), 0);
}

/// What does not fit is refused, all wrong fields at once, and nothing is left behind.
#[wire_test]
async fn a_bad_creation_leaves_nothing_behind(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let before = traces(&world).await;
    let owner = || Owner::OwnerUserId(ada.user_id.clone());
    let create = async |request| call!(world, organizations.create_organization, world.operator_key(), request);
    assert_refused(create(creation("no_such_model", owner())).await, Code::NotFound, "ACCESS_MODEL_NOT_FOUND");
    let request = CreateOrganizationRequest { organization_kind: "partner".to_owned(), ..creation("default", owner()) };
    assert_refused(create(request).await, Code::FailedPrecondition, "ORGANIZATION_KIND_UNKNOWN");
    let nobody = Owner::OwnerUserId("0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned());
    assert_refused(create(creation("", nobody)).await, Code::NotFound, "USER_NOT_FOUND");
    assert_invalid(create(CreateOrganizationRequest::default()).await, &["display_name", "owner"]);
    let weak = Owner::NewOwner(NewUser { email: "x".to_owned(), password: "short".to_owned(), ..NewUser::default() });
    assert_invalid(
        create(creation("", weak)).await,
        &["new_owner.email", "new_owner.given_name", "new_owner.password"],
    );
    let by_a_person = call!(world, organizations.create_organization, &ada.session, creation("", owner()));
    assert_refused(by_a_person, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
    assert_eq!(traces(&world).await, before);
}

/// Update changes what the mask names, or what is given; the etag guards it.
#[wire_test]
async fn update_takes_mask_and_etag(world: World) {
    let scenario = Scenario::acme(&world).await;
    let start = get(&world, world.operator_key(), &scenario.organization_id).await.unwrap();
    let update = async |credential: &str, request| call!(world, organizations.update_organization, credential, request);

    let request = UpdateOrganizationRequest { etag: start.etag.clone(), ..renaming(&scenario, "  Acme Ltd ") };
    let answer = update(&scenario.owner.session, request).await.unwrap();
    let renamed = answer.organization.unwrap();
    assert_eq!(renamed.display_name, "Acme Ltd");
    assert_eq!((answer.revision, renamed.revision), (start.revision + 1, start.revision + 1));
    assert_ne!(renamed.etag, start.etag);
    assert_eq!(get(&world, world.operator_key(), &scenario.organization_id).await.unwrap(), renamed);

    let before = traces(&world).await;
    let stale = UpdateOrganizationRequest { etag: start.etag, ..renaming(&scenario, "Other") };
    let refused = assert_refused(update(&scenario.owner.session, stale).await, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(refused.metadata["etag"], renamed.etag);
    for path in ["state", "access_model", "no_such_field", "*"] {
        let mask = Some(FieldMask { paths: texts(&["display_name", path]) });
        let request = UpdateOrganizationRequest { update_mask: mask, ..renaming(&scenario, "Other") };
        assert_invalid(update(&scenario.owner.session, request).await, &["update_mask"]);
    }
    let mask = Some(FieldMask { paths: texts(&["display_name"]) });
    let request = UpdateOrganizationRequest { update_mask: mask, ..renaming(&scenario, "") };
    assert_invalid(update(&scenario.owner.session, request).await, &["organization.display_name"]);
    assert_invalid(update(world.operator_key(), UpdateOrganizationRequest::default()).await, &["organization"]);
    assert_eq!(traces(&world).await, before);
    assert_eq!(get(&world, world.operator_key(), &scenario.organization_id).await.unwrap(), renamed);
}

/// Who lacks the permission is refused; who does not belong is not even told that the organization exists.
#[wire_test]
async fn update_is_for_those_who_may(world: World) {
    let scenario = Scenario::acme(&world).await;
    let member = scenario.join("member@example.com", &["member"]).await;
    let stranger = Scenario::with(&world, "default", "", "stranger@example.com").await;
    let before = traces(&world).await;
    let refused = call!(world, organizations.update_organization, &member.session, renaming(&scenario, "Mine"));
    assert_eq!(
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_REQUIRED").metadata["permission"],
        "organization.update"
    );
    let refused = call!(world, organizations.update_organization, &stranger.owner.session, renaming(&scenario, "Mine"));
    assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_refused(
        get(&world, &stranger.owner.session, &scenario.organization_id).await,
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    let nowhere = GetOrganizationRequest { organization_id: "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e".to_owned() };
    let refused = call!(world, organizations.get_organization, &stranger.owner.session, nowhere);
    assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_eq!(traces(&world).await, before);
}

/// All organizations stand in one list, oldest first, for services only.
#[wire_test]
async fn organizations_are_listed(world: World) {
    let scenario = Scenario::acme(&world).await;
    // Ids of one and the same moment have no order.
    world.clock.advance(Duration::from_millis(1));
    let second = create_organization(&world, "portal", "", &scenario.owner.user_id).await;
    let request = ListOrganizationsRequest { include_total_size: true, ..ListOrganizationsRequest::default() };
    let answer = call!(world, organizations.list_organizations, world.operator_key(), request).unwrap();
    let ids: Vec<&str> = answer.organizations.iter().map(|one| one.organization_id.as_str()).collect();
    assert_eq!((ids, answer.total_size), (vec![scenario.organization_id.as_str(), second.as_str()], 2));
    let refused =
        call!(world, organizations.list_organizations, &scenario.owner.session, ListOrganizationsRequest::default());
    assert_refused(refused, Code::PermissionDenied, "CALLER_NOT_ALLOWED");
}
