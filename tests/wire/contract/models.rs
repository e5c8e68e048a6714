//! Every shipped access model, played through with real members: each role's permissions against the golden matrix, and the actions that the
//! roster promises against what the calls do.

use std::collections::BTreeMap;
use std::path::Path;

use roster_test_macros::wire_test;

use crate::services::sessions::step_up;
use crate::support::pb::{
    AccessModel, ActivateMemberRequest, BatchCheckPermissionsRequest, Decision, GetAccessModelRequest,
    ListAccessModelsRequest, Member, MemberAction, MemberState, PermissionCheck, RemoveMemberRequest,
    ResendInvitationRequest, RestoreMemberRequest, RevokeInvitationRequest, Role, SuspendMemberRequest,
    TransferOwnershipRequest, UpdateMemberRequest,
};
use crate::support::scenario::{Person, Scenario, assert_refused, call, create_user, service_key};
use crate::support::steps::EVERY_STATE;
use crate::support::world::World;

/// A table of a golden file: row, column, answer.
type Table = Vec<(String, String, bool)>;

/// The three tables of a golden file: permissions by roles, roles to give, holders to change.
fn golden(model: &str) -> [Table; 3] {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/models/{model}.txt"));
    let text = std::fs::read_to_string(file).unwrap();
    let table = |title: &str| {
        let lines = text.lines().skip_while(|line| !line.starts_with(title));
        let mut lines = lines.take_while(|line| !line.is_empty());
        let columns: Vec<&str> = lines.next().unwrap()[title.len()..].split_whitespace().collect();
        let mut cells = Vec::new();
        for line in lines {
            // A name may have a class in brackets behind it.
            let mut words = line.split_whitespace().filter(|word| !word.starts_with('['));
            let name = words.next().unwrap();
            for column in &columns {
                cells.push((name.to_owned(), (*column).to_owned(), words.next().unwrap() == "yes"));
            }
        }
        cells
    };
    ["permission ", "role that it may give", "role whose holders it may change"].map(table)
}

async fn model(world: &World, id: &str) -> AccessModel {
    let request = GetAccessModelRequest { access_model: id.to_owned() };
    let answer = call!(world, access_models.get_access_model, world.operator_key(), request).unwrap();
    answer.access_model.unwrap()
}

async fn models(world: &World) -> Vec<String> {
    let answer = call!(world, access_models.list_access_models, world.operator_key(), ListAccessModelsRequest {});
    answer.unwrap().access_models.into_iter().map(|model| model.access_model).collect()
}

/// An organization under a model with one active holder of each role, by role. The owner is the one of the scenario.
async fn cast(world: &World, model: &AccessModel) -> (Scenario, BTreeMap<String, Person>) {
    let id = &model.access_model;
    let kind = model.roles.iter().find_map(|role| role.organization_kinds.first().cloned());
    let scenario = Scenario::with(world, id, &kind.unwrap_or_default(), &format!("owner@{id}.example.com")).await;
    let mut people = BTreeMap::from([(model.owner_role.clone(), scenario.owner.clone())]);
    for Role { role, .. } in &model.roles {
        if *role != model.owner_role {
            let person = scenario.join(&format!("{role}@{id}.example.com"), &[role]).await;
            people.insert(role.clone(), person);
        }
    }
    (scenario, people)
}

async fn resend(scenario: &Scenario, credential: &str, row: &Member) -> Result<(), tonic::Status> {
    let request = ResendInvitationRequest {
        organization_id: row.organization_id.clone(),
        invitation_id: row.invitation_id.clone(),
        ..ResendInvitationRequest::default()
    };
    call!(scenario.world, invitations.resend_invitation, credential, request).map(drop)
}

async fn revoke(scenario: &Scenario, credential: &str, row: &Member) -> Result<(), tonic::Status> {
    let request = RevokeInvitationRequest {
        organization_id: row.organization_id.clone(),
        invitation_id: row.invitation_id.clone(),
        ..RevokeInvitationRequest::default()
    };
    call!(scenario.world, invitations.revoke_invitation, credential, request).map(drop)
}

/// Whether any change of the member's roles is accepted, tried out: each role alone, each role in addition. What was changed is changed back.
async fn some_change_is_accepted(scenario: &Scenario, credential: &str, row: &Member, roles: &[Role]) -> bool {
    let held: Vec<&str> = row.roles.iter().map(String::as_str).collect();
    for Role { role, .. } in roles.iter().filter(|role| !held.contains(&role.role.as_str())) {
        for wanted in [vec![role.as_str()], [&held[..], &[role.as_str()]].concat()] {
            if scenario.set_roles(credential, &row.user_id, &wanted).await.is_ok() {
                let key = scenario.world.operator_key();
                scenario.set_roles(key, &row.user_id, &held).await.unwrap();
                return true;
            }
        }
    }
    false
}

/// jp_02, js_07, js_20, jh_01, cp_05, cp_06, pf_02, pf_03: a holder of each role may do exactly what the golden matrix of the model says, asked in one
/// batch and as the list of what they may.
#[wire_test]
async fn each_role_may_what_the_golden_matrix_says(world: World) {
    let ids = models(&world).await;
    assert_eq!(ids, ["default", "jethub", "jetpack", "jetstack", "packetfabric", "portal"]);
    for id in &ids {
        let model = model(&world, id).await;
        let (scenario, people) = cast(&world, &model).await;
        let [permissions, ..] = golden(id);
        assert_eq!(permissions.len(), model.permissions.len() * model.roles.len(), "{id}");
        let check = |(permission, role, _): &(String, String, bool)| PermissionCheck {
            organization_id: scenario.organization_id.clone(),
            user_id: people[role].user_id.clone(),
            permission: permission.clone(),
        };
        let checks = permissions.iter().map(check).collect();
        let answers = call!(
            world,
            permissions.batch_check_permissions,
            world.operator_key(),
            BatchCheckPermissionsRequest { checks, ..Default::default() }
        )
        .unwrap();
        let answered = permissions.iter().zip(answers.results);
        let found: Table = answered
            .map(|((permission, role, _), answer)| {
                (permission.clone(), role.clone(), answer.decision() == Decision::Allow)
            })
            .collect();
        assert_eq!(found, permissions, "{id}");
    }
}

/// The contract tells of each role what the golden file says: its permissions, what it gives and whom it changes.
#[wire_test]
async fn the_contract_tells_the_whole_matrix(world: World) {
    for id in models(&world).await {
        let model = model(&world, &id).await;
        let table = |rows: Vec<&String>, has: fn(&Role) -> &Vec<String>| -> Table {
            rows.into_iter()
                .flat_map(|row| {
                    model.roles.iter().map(move |role| (row.clone(), role.role.clone(), has(role).contains(row)))
                })
                .collect()
        };
        let permissions = || model.permissions.iter().map(|one| &one.permission).collect();
        let roles = || model.roles.iter().map(|one| &one.role).collect();
        let told = [
            table(permissions(), |role| &role.permissions),
            table(roles(), |role| &role.grants),
            table(roles(), |role| &role.manages),
        ];
        assert_eq!(told, golden(&id), "{id}");
        assert!(model.document.contains(&format!("id = \"{id}\"")), "{id}");
        assert_eq!(model.invitation_ttl.unwrap().seconds, 7 * 24 * 3600, "{id}");
    }
    let ada = create_user(&world, "ada@example.com").await;
    let missing = GetAccessModelRequest { access_model: "no_such_model".to_owned() };
    assert_refused(
        call!(world, access_models.get_access_model, &ada.session, missing),
        tonic::Code::NotFound,
        "ACCESS_MODEL_NOT_FOUND",
    );
    let listed = call!(world, access_models.list_access_models, &ada.session, ListAccessModelsRequest {}).unwrap();
    assert!(listed.access_models.len() == 6 && listed.access_models.iter().all(|model| model.document.is_empty()));
}

/// Whom a holder of each role may invite is what the golden matrix says, except where the model rules a role out for everybody.
#[wire_test]
async fn each_role_invites_what_the_golden_matrix_says(world: World) {
    for id in models(&world).await {
        let model = model(&world, &id).await;
        let (scenario, people) = cast(&world, &model).await;
        let [permissions, grants, _] = golden(&id);
        let may_invite = |role: &str| permissions.contains(&("members.invite".to_owned(), role.to_owned(), true));
        let invitable = |role: &str| model.roles.iter().any(|one| one.role == role && one.invitable);
        // The document of this one asks people for a second step.
        if id == "jethub" {
            for person in people.values() {
                let (step_up, code) =
                    crate::services::sessions::step_up::start(&world, &person.session, &person.email).await;
                crate::services::sessions::step_up::complete(&world, &person.session, &step_up, &code).await.unwrap();
            }
        }
        for (index, (given, giver, granted)) in grants.iter().enumerate() {
            let answer =
                scenario.invite(&people[giver].session, &format!("guest{index}@{id}.example.com"), &[given]).await;
            let expected = *granted && may_invite(giver) && invitable(given);
            assert_eq!(answer.is_ok(), expected, "{id}: {giver} gives {given}: {answer:?}");
        }
    }
}

/// Who asks what they may do, and does it.
struct Caller<'a> {
    name: &'a str,
    credential: &'a str,
    /// Whom a service that acts for no user names as the owner who hands over.
    owner: &'a str,
}

/// jh_13: for every caller under every model, the actions that the roster shows are exactly those whose calls are accepted: for holders of each role, an operator, a service that may change everything and one
/// that may read; with one owner and with two.
#[wire_test]
async fn jh_13_the_actions_are_what_the_calls_do(world: World) {
    world.restart_with(&[("invitation-resend-interval", "0s"), ("invitation-mails-per-address", "1000")]).await;
    let writer = service_key(&world, &["members.read", "members.write", "invitations.write", "ownership.write"]).await;
    let reader = service_key(&world, &["members.read"]).await;
    let mut checks = 0;
    for id in models(&world).await {
        let model = model(&world, &id).await;
        let (scenario, people) = cast(&world, &model).await;
        // Some models ask for a second step, which is no matter of who may.
        for Person { session, email, .. } in people.values() {
            let (step, code) = step_up::start(&world, session, email).await;
            step_up::complete(&world, session, &step, &code).await.unwrap();
        }
        for role in model.roles.iter().filter(|role| role.invitable) {
            scenario
                .invite(world.operator_key(), &format!("invited.{}@{id}.example.com", role.role), &[&role.role])
                .await
                .unwrap();
        }
        // Somebody suspended and somebody removed, in the last role that can be given.
        let given = model.roles.iter().rev().find(|role| role.invitable).unwrap();
        for name in ["paused", "gone"] {
            let person = scenario.join(&format!("{name}@{id}.example.com"), &[&given.role]).await;
            match name {
                "paused" => scenario.suspend(world.operator_key(), &person.user_id).await.unwrap(),
                _ => scenario.remove(world.operator_key(), &person.user_id).await.unwrap(),
            };
        }
        let owner = &*scenario.owner.user_id;
        let services = [("operator", world.operator_key()), ("service", &*writer), ("reading service", &*reader)];
        let services = services.map(|(name, credential)| Caller { name, credential, owner });
        let people = people.iter().map(|(name, person)| Caller { name, credential: &person.session, owner: "" });
        let (owners, others): (Vec<_>, Vec<_>) = people.partition(|caller| caller.name == model.owner_role);
        for caller in services.iter().chain(&owners).chain(&others) {
            checks += agree(&scenario, &model, caller).await;
        }
        // A second owner, where the model knows several, so that owners can be changed.
        let second = format!("second@{id}.example.com");
        if scenario.invite(world.operator_key(), &second, &[&model.owner_role]).await.is_ok() {
            let token = world.mailbox.wait_for(&second, 1).await[0].invitation_token();
            crate::support::scenario::accept_as_new(&world, &token, "Second").await.unwrap();
        }
        for caller in services.iter().chain(&owners) {
            checks += agree(&scenario, &model, caller).await;
        }
    }
    eprintln!("{checks} checks of an action for a caller on a row, and no disagreement");
    assert!(checks > 3000, "{checks}");
}

/// The other changes of a member that are accepted, asked without making them.
async fn accepted_when_asked(scenario: &Scenario, credential: &str, row: &Member, owner: &str) -> Vec<MemberAction> {
    let mut accepted = Vec::new();
    let (organization_id, user_id) = (scenario.organization_id.clone(), row.user_id.clone());
    macro_rules! ask {
        ($action:ident, $service:ident.$method:ident, $request:ident { $($field:ident: $value:expr),* }) => {
            let request = $request { $($field: $value,)* validate_only: true, ..$request::default() };
            if call!(scenario.world, $service.$method, credential, request).is_ok() {
                accepted.push(MemberAction::$action);
            }
        };
    }
    let mut edited = false;
    for field in ["given_name", "family_name", "display_name", "username"] {
        let value = || "somebody".to_owned();
        let member = Member {
            organization_id: organization_id.clone(),
            user_id: user_id.clone(),
            given_name: value(),
            family_name: value(),
            display_name: value(),
            username: value(),
            ..Member::default()
        };
        let mask = prost_types::FieldMask { paths: vec![field.to_owned()] };
        let request = UpdateMemberRequest {
            member: Some(member),
            update_mask: Some(mask),
            validate_only: true,
            ..UpdateMemberRequest::default()
        };
        edited |= call!(scenario.world, members.update_member, credential, request).is_ok();
    }
    accepted.extend(edited.then_some(MemberAction::Update));
    ask!(
        Suspend,
        members.suspend_member,
        SuspendMemberRequest { organization_id: organization_id.clone(), user_id: user_id.clone() }
    );
    ask!(
        Activate,
        members.activate_member,
        ActivateMemberRequest { organization_id: organization_id.clone(), user_id: user_id.clone() }
    );
    ask!(
        Remove,
        members.remove_member,
        RemoveMemberRequest { organization_id: organization_id.clone(), user_id: user_id.clone() }
    );
    ask!(
        Restore,
        members.restore_member,
        RestoreMemberRequest { organization_id: organization_id.clone(), user_id: user_id.clone() }
    );
    ask!(
        TransferOwnership,
        ownership.transfer_ownership,
        TransferOwnershipRequest {
            organization_id: organization_id.clone(),
            nominee_user_id: user_id.clone(),
            owner_user_id: owner.to_owned()
        }
    );
    accepted
}

/// Holds the promise of each row against the calls. What is tried is taken back, so that the first reading holds to the end. A caller without the right to list has no promise to hold, but must not be able to act either. Answers with
/// the number of promises.
async fn agree(scenario: &Scenario, model: &AccessModel, caller: &Caller<'_>) -> usize {
    let key = scenario.world.operator_key();
    let Caller { name, credential, owner } = caller;
    let complete = scenario.rows(key, &EVERY_STATE).await;
    let seen = match scenario.roster(credential).await {
        Ok(_) => Ok(scenario.rows(credential, &EVERY_STATE).await),
        Err(status) => Err(status),
    };
    let checks = complete.len() * ACTIONS;
    for row in complete {
        let same = |other: &&Member| (&other.user_id, &other.email) == (&row.user_id, &row.email);
        let promised: Vec<MemberAction> = match &seen {
            Ok(rows) => rows.iter().find(same).unwrap().allowed_actions().collect(),
            Err(_) => Vec::new(),
        };
        let mut accepted = Vec::new();
        if row.state() == MemberState::Invited {
            if resend(scenario, credential, &row).await.is_ok() {
                accepted.push(MemberAction::ResendInvitation);
            }
            if revoke(scenario, credential, &row).await.is_ok() {
                accepted.push(MemberAction::RevokeInvitation);
                let roles: Vec<&str> = row.roles.iter().map(String::as_str).collect();
                scenario.invite(key, &row.email, &roles).await.unwrap();
            }
        } else {
            if some_change_is_accepted(scenario, credential, &row, &model.roles).await {
                accepted.push(MemberAction::SetRoles);
            }
            accepted.extend(accepted_when_asked(scenario, credential, &row, owner).await);
        }
        let who = format!("{}: {name} on {:?} {:?}", model.access_model, row.email, row.roles);
        assert_eq!(promised, accepted, "{who}");
    }
    checks
}

/// The actions that a row can show.
const ACTIONS: usize = 9;
