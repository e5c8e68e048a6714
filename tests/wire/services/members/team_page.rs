//! What a team page and a switcher between organizations need, by one call each.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{
    CreateUserRequest, ListMembersRequest, ListMembersResponse, ListUserMembershipsRequest,
    ListUserMembershipsResponse, MemberAction, MemberOrder, MemberState, MembershipOrder, NamedRole, Organization,
    OrganizationActions, SuspendOrganizationRequest, UpdateOrganizationRequest,
};
use crate::support::scenario::{
    Person, Scenario, assert_invalid, assert_refused, call, create_organization, create_user, new_user, service_key,
    texts,
};
use crate::support::world::World;

async fn page(of: &Scenario, credential: &str) -> ListMembersResponse {
    let request = ListMembersRequest { organization_id: of.organization_id.clone(), ..ListMembersRequest::default() };
    call!(of.world, members.list_members, credential, request).unwrap()
}

fn invitable(actions: &OrganizationActions) -> Vec<&str> {
    actions.invitable_roles.iter().map(|role| role.role.as_str()).collect()
}

/// The page tells which buttons it has: an owner hands over, changes settings and invites admins; an admin invites; a member reads. A service is told what its scopes are good for, and nobody anything while the organization is
/// suspended.
#[wire_test]
async fn a_team_page_has_its_buttons(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    let owners = page(&team, &team.owner.session).await;
    let actions = owners.organization_actions.unwrap();
    let named = |role: &str, name: &str| NamedRole { role: role.to_owned(), display_name: name.to_owned() };
    assert_eq!(actions.invitable_roles, [named("admin", "Admin"), named("member", "Member")]);
    assert!(actions.transfer_ownership && actions.update_organization && actions.delete_organization, "{actions:?}");
    let mut rows: Vec<_> =
        owners.members.iter().map(|row| (row.email.as_str(), row.role_display_names.join(", "))).collect();
    rows.sort_unstable();
    let expected =
        [(admin.email.as_str(), "Admin"), (member.email.as_str(), "Member"), (team.owner.email.as_str(), "Owner")];
    assert_eq!(rows, expected.map(|(email, role)| (email, role.to_owned())));
    let of_admin = page(&team, &admin.session).await.organization_actions.unwrap();
    assert_eq!(invitable(&of_admin), ["admin", "member"]);
    assert!(!of_admin.transfer_ownership && !of_admin.delete_organization, "{of_admin:?}");
    let of_member = page(&team, &member.session).await.organization_actions.unwrap();
    assert_eq!(of_member, OrganizationActions::default());
    let reader = service_key(&world, &["members.read"]).await;
    assert_eq!(page(&team, &reader).await.organization_actions, Some(OrganizationActions::default()));
    let inviter = service_key(&world, &["members.read", "invitations.write", "ownership.write"]).await;
    let of_service = page(&team, &inviter).await.organization_actions.unwrap();
    assert!(of_service.transfer_ownership && !of_service.update_organization, "{of_service:?}");
    assert_eq!(invitable(&of_service), ["admin", "member"]);
    let suspension = SuspendOrganizationRequest { organization_id: team.organization_id.clone(), ..Default::default() };
    call!(world, organizations.suspend_organization, world.operator_key(), suspension).unwrap();
    assert_eq!(page(&team, &inviter).await.organization_actions, Some(OrganizationActions::default()));
}

/// What a button promises is what the call does: each role of every shipped model is invited by holders of each role, exactly where the page of the caller offers it.
#[wire_test]
async fn invitable_roles_are_those_that_can_be_invited(world: World) {
    let mut checks = 0;
    for model in ["default", "jetpack", "jetstack", "packetfabric", "portal"] {
        let kind = if model == "packetfabric" { "partner" } else { "" };
        let team = Scenario::with(&world, model, kind, &format!("owner@{model}.example.com")).await;
        let request = crate::support::pb::GetAccessModelRequest { access_model: model.to_owned() };
        let roles = call!(world, access_models.get_access_model, world.operator_key(), request).unwrap();
        let roles: Vec<String> = roles.access_model.unwrap().roles.into_iter().map(|role| role.role).collect();
        let owner_role = &team.row(&team.owner.session, &team.owner.email).await.roles[0];
        let mut callers = vec![team.owner.session.clone(), world.operator_key().to_owned()];
        for role in roles.iter().filter(|role| *role != owner_role) {
            callers.push(team.join(&format!("{role}@{model}.example.com"), &[role]).await.session);
        }
        for (number, caller) in callers.iter().enumerate() {
            let Ok(_) = team.roster(caller).await else { continue };
            let offered = page(&team, caller).await.organization_actions.unwrap();
            for role in &roles {
                let email = format!("guest{number}.{role}@{model}.example.com");
                let invited = team.invite(caller, &email, &[role]).await;
                assert_eq!(
                    invited.is_ok(),
                    invitable(&offered).contains(&role.as_str()),
                    "{model}: {number} {role}: {invited:?}"
                );
                checks += 1;
            }
        }
    }
    eprintln!("{checks} invitations, each accepted exactly where it was offered");
    assert!(checks > 60, "{checks}");
}

/// The roster is filtered by several roles at once, and by one beside them, as it always was.
#[wire_test]
async fn a_roster_is_filtered_by_several_roles(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    hub.join("both@example.com", &["billing_user", "standard_user"]).await;
    hub.join("standard@example.com", &["standard_user"]).await;
    let list = async |role: &str, roles: &[&str]| {
        let request = ListMembersRequest {
            organization_id: hub.organization_id.clone(),
            role: role.to_owned(),
            roles: texts(roles),
            include_total_size: true,
            ..ListMembersRequest::default()
        };
        let answer = call!(world, members.list_members, &hub.owner.session, request)?;
        assert_eq!(answer.total_size, i64::try_from(answer.members.len()).unwrap());
        let mut emails: Vec<_> = answer.members.into_iter().map(|row| row.email).collect();
        emails.sort_unstable();
        Ok::<_, Status>(emails)
    };
    assert_eq!(list("", &["billing_user", "account_admin"]).await.unwrap(), ["both@example.com", "owner@example.com"]);
    let all = ["both@example.com", "owner@example.com", "standard@example.com"];
    assert_eq!(list("standard_user", &["account_admin", "standard_user"]).await.unwrap(), all);
    assert_eq!(list("", &["nobody_has_it"]).await.unwrap(), Vec::<String>::new());
    assert_invalid(list("", &["Not An Id"]).await, &["roles[0]"]);
}

/// Where the model keeps pending invitations out of the roster, whoever may read them gets them as rows where they ask, with what can be done to them; whoever may not is refused.
#[wire_test]
async fn hidden_invitations_are_rows_where_they_are_asked_for(world: World) {
    let portal = Scenario::under(&world, "portal").await;
    let owner = &portal.owner.session;
    portal.invite(owner, "guest@example.com", &["manager"]).await.unwrap();
    let plain = portal.join("plain@example.com", &["manager"]).await;
    let list = async |credential: &str, include_invitations| {
        let request = ListMembersRequest {
            organization_id: portal.organization_id.clone(),
            include_invitations,
            ..ListMembersRequest::default()
        };
        call!(world, members.list_members, credential, request)
    };
    let names = |answer: ListMembersResponse| answer.members.into_iter().map(|row| row.email).collect::<Vec<_>>();
    let mut shown = names(list(owner, false).await.unwrap());
    shown.sort_unstable();
    assert_eq!(shown, ["owner@example.com", "plain@example.com"]);
    let shown = list(owner, true).await.unwrap();
    let guest = shown.members.iter().find(|row| row.email == "guest@example.com").unwrap();
    assert_eq!((guest.state(), guest.role_display_names.join(",").as_str()), (MemberState::Invited, "Manager"));
    assert_eq!(guest.allowed_actions().collect::<Vec<_>>(), [MemberAction::RevokeInvitation], "it was sent just now");
    assert_eq!(names(shown).len(), 3);
    let refused = assert_refused(list(&plain.session, true).await, Code::PermissionDenied, "PERMISSION_REQUIRED");
    assert_eq!(refused.metadata["permission"], "members.invite");
    let reader = service_key(&world, &["members.read"]).await;
    let refused = assert_refused(list(&reader, true).await, Code::PermissionDenied, "SCOPE_REQUIRED");
    assert_eq!(refused.metadata["scope"], "invitations.read");
    let both = service_key(&world, &["members.read", "invitations.read"]).await;
    assert_eq!(names(list(&both, true).await.unwrap()).len(), 3);
}

async fn switcher(
    world: &World,
    of: &Person,
    page_size: i32,
    page_token: &str,
) -> Result<ListUserMembershipsResponse, Status> {
    let request = ListUserMembershipsRequest {
        user_id: of.user_id.clone(),
        order_by: MembershipOrder::DisplayName.into(),
        include_invitations: true,
        include_total_size: true,
        page_size,
        page_token: page_token.to_owned(),
    };
    call!(world, members.list_user_memberships, &of.session, request)
}

async fn rename(world: &World, organization_id: &str, name: &str) {
    let organization = Organization {
        organization_id: organization_id.to_owned(),
        display_name: name.to_owned(),
        ..Organization::default()
    };
    let request = UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
    call!(world, organizations.update_organization, world.operator_key(), request).unwrap();
}

/// A switcher shows the organizations of a person by name, with what they are there, and on its first page what waits for them: in one call, whatever the size of its pages.
#[wire_test]
async fn a_switcher_is_one_call(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    for name in ["zebra", "Apple", "Éclair", "apple"] {
        let id = create_organization(&world, "default", "", &ada.user_id).await;
        rename(&world, &id, name).await;
    }
    let inviting = Scenario::with(&world, "jetstack", "", "lead@example.com").await;
    inviting.invite(&inviting.owner.session, &ada.email, &["admin"]).await.unwrap();
    let whole = switcher(&world, &ada, 0, "").await.unwrap();
    let names = |answer: &ListUserMembershipsResponse| -> Vec<String> {
        answer.memberships.iter().map(|one| one.organization.as_ref().unwrap().display_name.clone()).collect()
    };
    let sorted = names(&whole);
    assert_eq!(
        sorted.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(),
        ["apple", "apple", "éclair", "zebra"]
    );
    assert!(
        whole.memberships.iter().all(|one| one.role_display_names == ["Owner"] && one.state() == MemberState::Active)
    );
    let waiting: Vec<_> = whole
        .invitations
        .iter()
        .map(|one| (one.role_display_names.join(","), one.inviter_display_name.as_str()))
        .collect();
    assert_eq!(waiting, [("Admin".to_owned(), "lead")]);
    let (mut paged, mut token) = (Vec::new(), String::new());
    for number in 0.. {
        let page = switcher(&world, &ada, 1, &token).await.unwrap();
        assert_eq!((page.total_size, page.invitations.len()), (4, usize::from(number == 0)));
        paged.extend(names(&page));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, sorted);
    let request = ListUserMembershipsRequest { user_id: ada.user_id.clone(), order_by: 7, ..Default::default() };
    assert_invalid(call!(world, members.list_user_memberships, &ada.session, request), &["order_by"]);
    // Whose address is not verified is told of no invitation.
    let request = CreateUserRequest { email_verified: false, ..new_user("grace@example.com") };
    let grace = call!(world, users.create_user, world.operator_key(), request).unwrap().user.unwrap();
    inviting.invite(&inviting.owner.session, &grace.email, &["admin"]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let grace = Person { user_id: grace.user_id, email: grace.email, session: world.operator_key().to_owned() };
    assert_eq!(switcher(&world, &grace, 0, "").await.unwrap().invitations, []);
}

/// A roster comes newest first where that is asked for: members and who is invited in one list, page by page, narrowed as by name.
#[wire_test]
async fn a_roster_comes_newest_first(world: World) {
    let acme = Scenario::acme(&world).await;
    let mut joined = vec![acme.owner.email.clone()];
    for name in ["zoe", "ada", "mia"] {
        world.clock.advance(Duration::from_secs(1));
        joined.push(acme.join(&format!("{name}@example.com"), &["admin"]).await.email);
    }
    world.clock.advance(Duration::from_secs(1));
    acme.invited("bob@example.com", &["member"]).await;
    joined.push("bob@example.com".to_owned());
    let request = |page_token: &str| ListMembersRequest {
        organization_id: acme.organization_id.clone(),
        order_by: MemberOrder::CreateTime.into(),
        page_size: 2,
        page_token: page_token.to_owned(),
        include_total_size: true,
        ..ListMembersRequest::default()
    };
    let ask = async |request| call!(world, members.list_members, &acme.owner.session, request);
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let answer = ask(request(&page_token)).await.unwrap();
        assert!(answer.total_size == 5 && answer.members.len() <= 2);
        listed.extend(answer.members.into_iter().map(|member| member.email));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    joined.reverse();
    assert_eq!(listed, joined);
    let admins = ListMembersRequest { roles: texts(&["admin", "owner"]), page_size: 10, ..request("") };
    let admins = ask(admins).await.unwrap().members;
    assert_eq!(admins.iter().map(|member| member.email.as_str()).collect::<Vec<_>>(), &joined[1..]);
    let searched = ListMembersRequest { search: "a".to_owned(), ..request("") };
    assert_invalid(ask(searched).await, &["order_by"]);
    assert_invalid(ask(ListMembersRequest { order_by: 7, ..request("") }).await, &["order_by"]);
    // Those who joined at the same moment come once each.
    let same = Scenario::with(&world, "default", "", "same@example.com").await;
    for number in 0..5 {
        same.join(&format!("same{number}@example.com"), &["member"]).await;
    }
    let (mut seen, mut page_token) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let request = ListMembersRequest { organization_id: same.organization_id.clone(), ..request(&page_token) };
        let answer = call!(world, members.list_members, &same.owner.session, request).unwrap();
        assert!(answer.members.into_iter().all(|member| seen.insert(member.user_id)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 6);
}
