//! Searching by the beginning of a name or an address: in a roster, among all users, among all organizations.

use futures_util::future::join_all;
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::{Code, Status};

use crate::support::pb::{
    CreateUserRequest, DeleteUserRequest, ListMembersRequest, ListMembersResponse, ListOrganizationsRequest,
    ListUsersRequest, MemberState, Organization, RemoveMemberRequest, RevokeInvitationRequest, SuspendMemberRequest,
    UpdateOrganizationRequest, UpdateUserRequest, User,
};
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, create_organization, create_user, new_user,
    service_key, settled, sign_in, texts, with_credential,
};
use crate::support::world::World;

fn searching(of: &Scenario, text: &str) -> ListMembersRequest {
    ListMembersRequest {
        organization_id: of.organization_id.clone(),
        search: text.to_owned(),
        include_total_size: true,
        ..ListMembersRequest::default()
    }
}

async fn page(of: &Scenario, request: ListMembersRequest) -> Result<ListMembersResponse, Status> {
    call!(of.world, members.list_members, &of.owner.session, request)
}

/// The addresses that a search finds, in its order.
async fn found(of: &Scenario, text: &str) -> Vec<String> {
    let answer = page(of, searching(of, text)).await.unwrap();
    assert_eq!(answer.total_size, i64::try_from(answer.members.len()).unwrap(), "{text}");
    answer.members.into_iter().map(|member| member.email).collect()
}

/// Somebody with a name, who belongs to an organization.
async fn named(of: &Scenario, email: &str, given: &str, family: &str) -> Person {
    let request = CreateUserRequest { given_name: given.to_owned(), family_name: family.to_owned(), ..new_user(email) };
    let user = call!(of.world, users.create_user, of.world.operator_key(), request).unwrap().user.unwrap();
    let session = sign_in(&of.world, email, PASSWORD).await.unwrap();
    let person = Person { user_id: user.user_id, email: email.to_owned(), session: session.session_token };
    of.join_existing(&person, &["member"]).await;
    person
}

async fn rename(world: &World, person: &Person, family: &str) {
    let request = UpdateUserRequest {
        user: Some(User { user_id: person.user_id.clone(), family_name: family.to_owned(), ..User::default() }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["family_name"]) }),
        ..UpdateUserRequest::default()
    };
    call!(world, users.update_user, &person.session, request).unwrap();
}

/// A roster is searched by the beginning of any word of a name and of the address, whatever case and accents, and what has just been written is found.
#[wire_test]
async fn a_roster_is_searched_by_the_beginnings_of_names_and_addresses(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    let zoe = named(&acme, "zm@example.com", "Zoë", "Müller").await;
    named(&acme, "muriel@example.com", "Muriel", "Spark").await;
    named(&other, "mull@example.com", "Mull", "Elsewhere").await;
    for text in ["zoe", "ZOË M", "mull", "zm@", "Mül"] {
        assert_eq!(found(&acme, text).await, ["zm@example.com"], "{text}");
    }
    // By what they are found by, each once: Muriel by her name and her address too.
    assert_eq!(found(&acme, "mu").await, ["zm@example.com", "muriel@example.com"]);
    for nobody in ["oe", "ller", "example", "elsewhere"] {
        assert_eq!(found(&acme, nobody).await, [""; 0], "{nobody}");
    }
    rename(&world, &zoe, "Nguyễn").await;
    assert_eq!((found(&acme, "mul").await.len(), found(&acme, "nguyen").await.len()), (0, 1));

    // Who is invited is found by what was written of them, until they are not any more.
    let invitation = acme.invitation("mustafa@example.com");
    let invited = call!(world, invitations.create_invitation, &acme.owner.session, invitation).unwrap();
    settled(&world).await;
    assert_eq!(found(&acme, "must").await, ["mustafa@example.com"]);
    let revoke = RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invited.invitation.unwrap().invitation_id,
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &acme.owner.session, revoke).unwrap();
    assert_eq!(found(&acme, "must").await, [""; 0]);

    assert_invalid(page(&acme, searching(&acme, &"x".repeat(65))).await, &["search"]);
    assert_invalid(page(&acme, searching(&acme, "\u{301}")).await, &["search"]);
}

/// A search is narrowed by states and roles as the list is, and goes on page by page.
#[wire_test]
async fn a_search_is_narrowed_and_paged_as_the_list_is(world: World) {
    let acme = Scenario::acme(&world).await;
    let mut people = Vec::new();
    for number in 0..7 {
        let email = format!("ann{number}@example.com");
        people.push(named(&acme, &email, "Ann", &format!("Anders{number}")).await);
    }
    acme.set_roles(world.operator_key(), &people[3].user_id, &["admin"]).await.unwrap();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMembersRequest { page_size: 3, page_token, ..searching(&acme, "an") };
        let answer = page(&acme, request).await.unwrap();
        assert_eq!(answer.total_size, 7);
        seen.extend(answer.members.into_iter().map(|member| member.email));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut each = seen.clone();
    each.sort();
    each.dedup();
    assert_eq!((seen.len(), each.len()), (7, 7));
    let admins = ListMembersRequest { roles: texts(&["admin"]), ..searching(&acme, "an") };
    assert_eq!(page(&acme, admins).await.unwrap().members[0].user_id, people[3].user_id);

    let member = |person: &Person| (acme.organization_id.clone(), person.user_id.clone());
    let (organization_id, user_id) = member(&people[0]);
    let suspend = SuspendMemberRequest { organization_id, user_id, ..Default::default() };
    call!(world, members.suspend_member, &acme.owner.session, suspend).unwrap();
    let (organization_id, user_id) = member(&people[1]);
    let remove = RemoveMemberRequest { organization_id, user_id, ..Default::default() };
    call!(world, members.remove_member, &acme.owner.session, remove).unwrap();
    assert_eq!(found(&acme, "an").await.len(), 6);
    for (state, person) in [(MemberState::Suspended, 0), (MemberState::Removed, 1)] {
        let request = ListMembersRequest { states: vec![state.into()], ..searching(&acme, "an") };
        let members = page(&acme, request).await.unwrap().members;
        assert_eq!(members.iter().map(|member| &member.user_id).collect::<Vec<_>>(), [&people[person].user_id]);
    }
    // Somebody who may not read the roster finds nobody in it.
    let stranger = create_user(&world, "stranger@example.com").await;
    let refused = call!(world, members.list_members, &stranger.session, searching(&acme, "an"));
    assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// A support desk finds people and organizations by the beginnings of their names.
#[wire_test]
async fn a_support_desk_searches_all_users_and_all_organizations(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = named(&acme, "ada@lovelace.example", "Ada", "Lovelace").await;
    let organization = create_organization(&world, "default", "", &ada.user_id).await;
    let update = UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: organization.clone(),
            display_name: "Analytical Engines".to_owned(),
            ..Organization::default()
        }),
        ..UpdateOrganizationRequest::default()
    };
    call!(world, organizations.update_organization, &ada.session, update).unwrap();
    let key = service_key(&world, &["users.read", "organizations.read"]).await;
    let users = async |text: &str| {
        let request = ListUsersRequest { search: text.to_owned(), include_total_size: true, ..Default::default() };
        let answer = call!(world, users.list_users, &key, request).unwrap();
        assert_eq!(answer.total_size, i64::try_from(answer.users.len()).unwrap());
        answer.users.into_iter().map(|user| user.user_id).collect::<Vec<_>>()
    };
    for text in ["love", "ada l", "ada@"] {
        assert_eq!(users(text).await, [ada.user_id.as_str()], "{text}");
    }
    // A deleted account has a name still.
    let gone = create_user(&world, "gone@lovelace.example").await;
    let delete = DeleteUserRequest { user_id: gone.user_id.clone(), ..DeleteUserRequest::default() };
    call!(world, users.delete_user, world.operator_key(), delete).unwrap();
    assert_eq!(users("gone@").await, [gone.user_id]);
    for text in ["engines", "ANALYTICAL e"] {
        let request = ListOrganizationsRequest { search: text.to_owned(), ..Default::default() };
        let found = call!(world, organizations.list_organizations, &key, request).unwrap().organizations;
        assert_eq!(found.iter().map(|one| &one.organization_id).collect::<Vec<_>>(), [&organization], "{text}");
    }
    let long = ListUsersRequest { search: "x".repeat(65), ..Default::default() };
    assert_invalid(call!(world, users.list_users, &key, long), &["search"]);
}

/// What was written by a version that knew no search is found, and so is everything after a log has begun anew: the terms are made of the log, from its beginning.
#[wire_test]
async fn what_is_searched_is_made_of_the_log(world: World) {
    let acme = Scenario::acme(&world).await;
    named(&acme, "ada@lovelace.example", "Ada", "Lovelace").await;
    acme.invited("linus@lovelace.example", &[]).await;
    assert_eq!(found(&acme, "l").await.len(), 2);
    for statement in ["DELETE FROM search_terms", "UPDATE search_progress SET cursor = ''"] {
        world.database().execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(found(&acme, "l").await.len(), 2);
    // A place that this log has not got to.
    let beyond = "UPDATE search_progress SET cursor = 'AQAAAAAAAAAAAAAAAAAAAAB__________w'";
    world.database().execute_unprepared("DELETE FROM search_terms").await.unwrap();
    world.database().execute_unprepared(beyond).await.unwrap();
    assert_eq!(found(&acme, "l").await.len(), 2);
}

/// Searches that come at once on several servers, behind many changes, all find the same.
#[wire_test]
async fn searches_at_once_bring_the_terms_up_once(world: World) {
    let acme = Scenario::acme(&world).await;
    let second = world.second_server().await;
    for round in 0..6 {
        for number in 0..5 {
            named(&acme, &format!("ann{round}{number}@example.com"), "Ann", "Anders").await;
        }
        let key = world.operator_key().to_owned();
        let search = async |client: crate::support::pb::member_service_client::MemberServiceClient<_>| {
            let mut client = client;
            let request = with_credential(&key, searching(&acme, "ann"));
            client.list_members(request).await.unwrap().into_inner().total_size
        };
        let clients = (0..8).map(|number| if number % 2 == 0 { world.members() } else { second.members() });
        let counts = join_all(clients.map(search)).await;
        assert_eq!(counts, vec![(round + 1) * 5; 8]);
    }
}
