//! An access model that is put in place while organizations are under it.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::models::document;
use crate::support::pb::{
    AccessModel, ChangedMember, CreateOrganizationRequest, CreateRoleRequest, GetAccessModelRequest,
    ListAccessModelsRequest, ListInstallationAuditEntriesRequest, PutAccessModelRequest, PutAccessModelResponse,
    RightsChange, create_organization_request::Owner,
};
use crate::support::process::run;
use crate::support::race::{Endings, against, told};
use crate::support::runner::rounds;
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, service_key, texts, traces};
use crate::support::world::{Replica, World};

/// Takes the right to invite away from admins.
const NO_INVITING: (&str, &str) = ("\"members.invite\",\n", "");
/// Takes the role `member` away from everybody.
const NO_MEMBER: [(&str, &str); 8] = [
    ("default_role = \"member\"\n", ""),
    ("\"admin\", \"member\"]\nprevious", "\"admin\"]\nprevious"),
    ("inherits = [\"member\"]\n", ""),
    ("[\"owner\", \"admin\", \"member\"]\nmanages", "[\"owner\", \"admin\"]\nmanages"),
    ("manages = [\"owner\", \"admin\", \"member\"]", "manages = [\"owner\", \"admin\"]"),
    ("grants = [\"admin\", \"member\"]", "grants = [\"admin\"]"),
    ("manages = [\"admin\", \"member\"]", "manages = [\"admin\"]"),
    ("\"activity.read\",\n", "\"activity.read\", \"members.read\", \"organization.read\",\n"),
];

fn without_member(id: &str) -> String {
    let document = document(id, &NO_MEMBER);
    let before = document.split("[[roles]]\nid = \"member\"").next().unwrap();
    before.to_owned()
}

async fn put(at: &Replica, key: &str, request: PutAccessModelRequest) -> Result<PutAccessModelResponse, Status> {
    call!(at, access_models.put_access_model, key, request)
}

fn placing(document: String) -> PutAccessModelRequest {
    PutAccessModelRequest { document, ..PutAccessModelRequest::default() }
}

async fn model(world: &World, id: &str) -> Result<AccessModel, Status> {
    let request = GetAccessModelRequest { access_model: id.to_owned() };
    let answer = call!(world, access_models.get_access_model, world.operator_key(), request)?;
    Ok(answer.access_model.unwrap())
}

/// Whose rights change is counted and listed before it is done; once it is done, every server decides by it from the next call on, and the record tells of it.
/// Where the event of it did not load the models, and where it did not take for changed what was in memory, the other server went on by the one before.
#[wire_test]
async fn rights_change_everywhere_when_it_is_put(world: World) {
    for directory in ["67108864", "0"] {
        let there = world.server_with(&[("directory-bytes", directory)]).await;
        let acme = Scenario::with(&world, "default", "", &format!("owner{directory}@example.com")).await;
        let anna = acme.join(&format!("anna{directory}@example.com"), &["admin"]).await;
        acme.join(&format!("bob{directory}@example.com"), &["member"]).await;
        let operator = world.operator_key();
        let may = async || {
            let question = super::question(&acme.organization_id, &anna.user_id, "members.invite");
            let answer = call!(there, permissions.check_permission, operator, question).unwrap();
            answer.decision() == crate::support::pb::Decision::Allow
        };
        assert!(may().await);

        let narrower = document("default", &[NO_INVITING]);
        let before = traces(&world).await;
        let tried = PutAccessModelRequest { validate_only: true, ..placing(narrower.clone()) };
        let told = put(&there, operator, tried).await.unwrap();
        assert_eq!(traces(&world).await, before);
        assert!(may().await);
        let change = told.rights_changes.iter().find(|change| change.roles == ["admin"]).unwrap();
        let admins = i64::from(directory == "0") + 1;
        assert_eq!(
            *change,
            RightsChange {
                organization_kind: String::new(),
                roles: texts(&["admin"]),
                gained_permissions: vec![],
                lost_permissions: texts(&["members.invite"]),
                member_count: admins,
                organization_count: admins,
            }
        );
        assert_eq!((told.rights_changes.len(), told.changed_member_count), (1, admins));
        assert!(told.differences.contains(&"- role admin may members.invite".to_owned()), "{:?}", told.differences);
        let member = ChangedMember {
            organization_id: acme.organization_id.clone(),
            user_id: anna.user_id.clone(),
            roles: texts(&["admin"]),
            gained_permissions: vec![],
            lost_permissions: texts(&["members.invite"]),
        };
        assert!(told.changed_members.contains(&member) && told.changed_members.len() as i64 == admins, "{told:?}");

        let done = put(&world.first(), operator, placing(narrower.clone())).await.unwrap();
        assert!(!may().await, "on a server with directory-bytes {directory}");
        assert_eq!(done.rights_changes, told.rights_changes);
        assert_eq!(done.access_model.as_ref().unwrap().document, narrower);
        assert_eq!(model(&world, "default").await.unwrap(), done.access_model.unwrap());

        let request = ListInstallationAuditEntriesRequest::default();
        let entries = call!(world, audit.list_installation_audit_entries, operator, request).unwrap().entries;
        let entry = entries.iter().find(|entry| entry.kind == "access_model.put").unwrap();
        assert_eq!(entry.subject_display_name, "default");
        let (before, after) = (format!("{:?}", entry.before), format!("{:?}", entry.after));
        assert!(before.contains("etag") && !before.contains("members.invite"), "{before}");
        assert!(after.contains("default") && after.contains("- role admin may members.invite"), "{after}");

        // The same once more changes nothing; what was there before gives the right back.
        let before = traces(&world).await;
        let again = put(&there, operator, placing(narrower)).await.unwrap();
        assert_eq!((again.differences, again.changed_member_count), (vec![], 0));
        assert_eq!(traces(&world).await, before);
        put(&there, operator, placing(document("default", &[]))).await.unwrap();
        assert!(may().await);
    }
}

/// A new model is there for organizations at once, on every server and after a restart; in the place of one of the server's documents, too.
#[wire_test]
async fn a_new_model_is_there_at_once_and_stays(world: World) {
    let there = world.second_server().await;
    let operator = world.operator_key();
    assert_refused(model(&world, "acme").await, Code::NotFound, "ACCESS_MODEL_NOT_FOUND");
    let placed = put(&there, operator, placing(document("acme", &[]))).await.unwrap();
    assert_eq!((placed.differences.len(), placed.changed_member_count), (0, 0));
    let team = Scenario::under(&world, "acme").await;
    team.join("anna@example.com", &["admin"]).await;
    world.restart_with(&[]).await;
    assert_eq!(model(&world, "acme").await.unwrap(), placed.access_model.unwrap());
    assert_eq!(team.roster(&team.owner.session).await.unwrap().len(), 2);
    let listed = call!(world, access_models.list_access_models, operator, ListAccessModelsRequest {}).unwrap();
    let ids: Vec<&str> = listed.access_models.iter().map(|model| model.access_model.as_str()).collect();
    assert!(ids.contains(&"acme") && ids.contains(&"default") && ids.is_sorted(), "{ids:?}");
}

/// Nobody is left with what the model does not know: roles that are held or offered, and what an owner is.
#[wire_test]
async fn it_is_refused_where_somebody_would_be_stranded(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    acme.invited("eve@example.com", &["member"]).await;
    let operator = world.operator_key();
    let before = traces(&world).await;
    for validate_only in [true, false] {
        let request = PutAccessModelRequest { validate_only, ..placing(without_member("default")) };
        let refused = put(&world.first(), operator, request).await;
        let refused = assert_refused(refused, Code::FailedPrecondition, "ACCESS_MODEL_IN_USE");
        assert_eq!(
            refused.metadata["stranded"],
            "1 members of 1 organizations hold the role member; 1 pending invitations of organizations offer the role member"
        );
    }
    let other_owner = document("default", &[("[ownership]\nrole = \"owner\"", "[ownership]\nrole = \"president\"")]);
    let other_owner =
        other_owner.replacen("id = \"owner\"", "id = \"president\"", 1).replace("\"owner\", ", "\"president\", ");
    let refused = put(&world.first(), operator, placing(other_owner)).await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "ACCESS_MODEL_IN_USE");
    assert!(refused.metadata["stranded"].contains("hold the role owner"), "{refused:?}");
    assert!(refused.metadata["stranded"].contains("would have no owner: nobody holds president"), "{refused:?}");
    assert_eq!(traces(&world).await, before);
    // With nobody in it, the role can go.
    acme.set_roles(operator, &bob.user_id, &["admin"]).await.unwrap();
    let pending = acme.roster(operator).await.unwrap().into_iter().find(|row| row.email == "eve@example.com").unwrap();
    let request = crate::support::pb::RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: pending.invitation_id,
        ..Default::default()
    };
    call!(world, invitations.revoke_invitation, operator, request).unwrap();
    put(&world.first(), operator, placing(without_member("default"))).await.unwrap();
    assert_refused(acme.set_roles(operator, &bob.user_id, &["member"]).await, Code::FailedPrecondition, "ROLE_UNKNOWN");
}

/// A role of an organization's own loses what the model no longer has, and its holders are told of among the others.
#[wire_test]
async fn holders_of_an_organizations_own_role_are_counted(world: World) {
    let owner = "[[roles]]\nid = \"owner\"";
    let reports = "[[permissions]]\nid = \"reports.read\"\nname = \"See reports\"\ndescription = \"See reports.\"\n\n";
    let wider = document("default", &[(owner, &format!("{reports}{owner}"))]);
    put(&world.first(), world.operator_key(), placing(wider)).await.unwrap();
    let acme = Scenario::acme(&world).await;
    let request = CreateRoleRequest {
        organization_id: acme.organization_id.clone(),
        role: "custom.auditor".to_owned(),
        display_name: "Auditor".to_owned(),
        permissions: texts(&["members.read", "reports.read"]),
        ..CreateRoleRequest::default()
    };
    call!(world, roles.create_role, &acme.owner.session, request).unwrap();
    let anna = acme.join("anna@example.com", &["custom.auditor"]).await;
    assert!(acme.may(&anna.user_id, "reports.read").await);
    let told = put(&world.first(), world.operator_key(), placing(document("default", &[]))).await.unwrap();
    let mut who: Vec<(&str, &[String])> =
        told.changed_members.iter().map(|member| (member.user_id.as_str(), &member.roles[..])).collect();
    who.sort_unstable();
    let roles = [texts(&["owner"]), texts(&["custom.auditor"])];
    let mut expected = [(&*acme.owner.user_id, &roles[0][..]), (&*anna.user_id, &roles[1][..])];
    expected.sort_unstable();
    assert_eq!((told.changed_member_count, who), (2, expected.to_vec()));
    assert!(told.changed_members.iter().all(|member| member.lost_permissions == ["reports.read"]), "{told:?}");
    assert!(!acme.may(&anna.user_id, "reports.read").await);
    assert!(acme.may(&anna.user_id, "members.read").await);
}

/// Who may, on which document, and what is wrong with a document.
#[wire_test]
async fn a_document_with_mistakes_or_of_another_state_is_refused(world: World) {
    let at = world.first();
    let reader = service_key(&world, &["access_models.read"]).await;
    let refused = put(&at, &reader, placing(document("acme", &[]))).await;
    assert_refused(refused, Code::PermissionDenied, "SCOPE_REQUIRED");
    let writer = service_key(&world, &["access_models.write"]).await;
    let wrong = document("acme", &[("default_role = \"member\"", "default_role = \"nobody\"\nspeed = 9")]);
    assert_invalid(put(&at, &writer, placing(wrong)).await, &["document"]);
    assert_invalid(put(&at, &writer, placing(String::new())).await, &["document"]);
    let stale = PutAccessModelRequest { etag: "x".to_owned(), ..placing(document("acme", &[])) };
    assert_refused(put(&at, &writer, stale).await, Code::Aborted, "ETAG_MISMATCH");
    let placed = put(&at, &writer, placing(document("acme", &[]))).await.unwrap().access_model.unwrap();
    let next = PutAccessModelRequest { etag: placed.etag, ..placing(document("acme", &[NO_INVITING])) };
    put(&at, &writer, next.clone()).await.unwrap();
    let next = PutAccessModelRequest { document: document("acme", &[]), ..next };
    assert_refused(put(&at, &writer, next).await, Code::Aborted, "ETAG_MISMATCH");
}

/// A role is given here while it is taken out of the model there: one of the two is refused. Without the lock of all organizations in `PutAccessModel`, and without the question in each change whether
/// the models are still those that it was decided by, somebody held a role that is not there.
#[wire_test]
async fn a_role_that_goes_is_held_by_nobody(world: World) {
    let there = world.second_server().await;
    let operator = world.operator_key().to_owned();
    let mut endings = Endings::default();
    for round in 0..rounds() {
        let id = format!("race{round}");
        put(&there, &operator, placing(document(&id, &[]))).await.unwrap();
        let team = Scenario::with(&world, &id, "", &format!("owner{round}@example.com")).await;
        let bob = team.join(&format!("bob{round}@example.com"), &["admin"]).await;
        let (giving, taking) = (team.clone(), there.clone());
        let (key, other_key, user_id) = (operator.clone(), operator.clone(), bob.user_id.clone());
        let answers =
            against(round, async move { told(&giving.set_roles(&key, &user_id, &["member"]).await) }, async move {
                told(&put(&taking, &other_key, placing(without_member(&id))).await)
            })
            .await;
        let held = team.roster(&operator).await.unwrap();
        let held = held.into_iter().find(|row| row.user_id == bob.user_id).unwrap().roles;
        match answers.each_ref().map(String::as_str) {
            ["OK", "FailedPrecondition ACCESS_MODEL_IN_USE"] => assert_eq!(held, ["member"]),
            ["FailedPrecondition ROLE_UNKNOWN", "OK"] => assert_eq!(held, ["admin"]),
            // Given up after several tries.
            [_, "Aborted CONFLICT"] => {}
            other => panic!("{other:?} with {held:?} in round {round}"),
        }
        endings.note(answers.join(", "));
    }
    endings.show("a role that goes");
}

/// An organization of a kind is founded here while the kind is taken out of the model there: one of the two is refused. Where founding did not ask whether the models are still those that it was decided
/// by, an organization was of a kind that is not there.
#[wire_test]
async fn a_kind_that_goes_is_nobodys(world: World) {
    let there = world.second_server().await;
    let operator = world.operator_key().to_owned();
    let kinds =
        ("max_roles_per_member = 1\n", "max_roles_per_member = 1\norganization_kinds = [\"clinic\", \"praxis\"]\n");
    let fewer = (kinds.0, "max_roles_per_member = 1\norganization_kinds = [\"praxis\"]\n");
    let owner = Scenario::acme(&world).await.owner;
    let mut endings = Endings::default();
    for round in 0..rounds() {
        let id = format!("kinds{round}");
        put(&there, &operator, placing(document(&id, &[kinds]))).await.unwrap();
        let request = CreateOrganizationRequest {
            display_name: id.clone(),
            access_model: id.clone(),
            organization_kind: "clinic".to_owned(),
            owner: Some(Owner::OwnerUserId(owner.user_id.clone())),
            ..Default::default()
        };
        let (founding, taking) = (world.first(), there.clone());
        let (key, other_key) = (operator.clone(), operator.clone());
        let answers = against(
            round,
            async move { told(&call!(founding, organizations.create_organization, &key, request)) },
            async move { told(&put(&taking, &other_key, placing(document(&id, &[fewer]))).await) },
        )
        .await;
        match answers.each_ref().map(String::as_str) {
            ["OK", "FailedPrecondition ACCESS_MODEL_IN_USE"]
            | ["FailedPrecondition ORGANIZATION_KIND_UNKNOWN", "OK"]
            // Given up after several tries.
            | [_, "Aborted CONFLICT"] => {}
            other => panic!("{other:?} in round {round}"),
        }
        endings.note(answers.join(", "));
    }
    endings.show("a kind that goes");
}

/// An operator asks first what would come of it, and then does it, from the command line.
#[wire_test]
async fn an_operator_puts_a_document_in_place(world: World) {
    let acme = Scenario::acme(&world).await;
    acme.join("anna@example.com", &["admin"]).await;
    let file = world.folder().join("narrower.toml");
    std::fs::write(&file, document("default", &[NO_INVITING])).unwrap();
    let (endpoint, file) = (format!("--endpoint=http://{}", world.grpc_address()), file.display().to_string());
    let key = [("ROSTER_OPERATOR_KEY", world.operator_key())];
    let tried = run(&["admin", &endpoint, "put-model", &file, "--validate-only"], &key).await;
    let lines: Vec<&str> = tried.stdout.lines().collect();
    assert!(tried.code == Some(0) && lines.contains(&"- role admin may members.invite"), "{tried:?}");
    assert!(lines.contains(&"\tadmin\t1 members, 1 organizations\t\t-members.invite"), "{tried:?}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("default\tVALID\t") && last.ends_with("\t1 members' rights change"), "{tried:?}");
    let done = run(&["admin", &endpoint, "put-model", &file], &key).await;
    assert_eq!(done.stdout, tried.stdout.replace("VALID", "IN PLACE"));
    assert_eq!(model(&world, "default").await.unwrap().document, document("default", &[NO_INVITING]));
    std::fs::write(&file, "id = 7").unwrap();
    let wrong = run(&["admin", &endpoint, "put-model", &file], &key).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("document: line 1"), "{wrong:?}");
}
