//! Every list: walked in pages it gives each row once, in order; and what is wrong with a page request.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::{
    CreateJoinLinkRequest, CreateServiceKeyRequest, ListInvitationsRequest, ListJoinLinksRequest, ListMembersRequest,
    ListMessagesRequest, ListOrganizationsRequest, ListOwnershipTransfersRequest, ListServiceAccountsRequest,
    ListServiceKeysRequest, ListSessionsRequest, ListUserInvitationsRequest, ListUserMembershipsRequest,
    ListUsersRequest,
};
use crate::support::scenario::{
    PASSWORD, Scenario, assert_invalid, call, create_organization, create_user, service_account, settled, sign_in,
};
use crate::support::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Walks a list in pages of a size and answers with the ids in their order; no page but the last is short, and the last has no token.
macro_rules! walk {
    ($world:expr, $service:ident.$method:ident, $credential:expr, $request:expr, $rows:ident, $id:ident, $size:expr) => {{
        let mut request = $request.clone();
        request.page_size = $size;
        let mut ids = Vec::new();
        loop {
            let answer = call!($world, $service.$method, $credential, request.clone()).unwrap();
            ids.extend(answer.$rows.iter().map(|row| row.$id.clone()));
            if answer.next_page_token.is_empty() {
                break ids;
            }
            assert_eq!(answer.$rows.len(), usize::try_from($size).unwrap());
            request.page_token = answer.next_page_token;
        }
    }};
}

/// Holds that a list of `$count` rows is the same in pages of one, two and three as in one piece, and that bad page requests are refused. Answers with
/// the ids and with a token that leads on.
macro_rules! hold {
    ($world:expr, $service:ident.$method:ident, $credential:expr, $request:expr, $rows:ident, $id:ident, $count:expr) => {{
        let request = $request;
        let whole = walk!($world, $service.$method, $credential, request, $rows, $id, 1000);
        assert_eq!(whole.len(), $count, "{}", stringify!($method));
        let mut unique = whole.clone();
        unique.sort_by_key(|id| format!("{id:?}"));
        unique.dedup();
        assert_eq!(unique.len(), $count, "{}", stringify!($method));
        for size in 1..=3 {
            let pages = walk!($world, $service.$method, $credential, request, $rows, $id, size);
            assert_eq!(pages, whole, "{} in pages of {size}", stringify!($method));
        }
        let mut page = request.clone();
        (page.page_size, page.include_total_size) = (1, true);
        let counted = call!($world, $service.$method, $credential, page.clone()).unwrap();
        assert_eq!(usize::try_from(counted.total_size).unwrap(), $count, "{}", stringify!($method));
        page.include_total_size = false;
        let first = call!($world, $service.$method, $credential, page).unwrap();
        assert_eq!(first.total_size, 0, "nobody has asked: {}", stringify!($method));
        let token = first.next_page_token;
        let mut larger = request.clone();
        (larger.page_size, larger.page_token) = (100_000, token.clone());
        let rest = call!($world, $service.$method, $credential, larger).unwrap().$rows;
        assert_eq!(rest.len(), $count - 1, "a token fits another page size");
        let mut negative = request.clone();
        negative.page_size = -1;
        assert_invalid(call!($world, $service.$method, $credential, negative), &["page_size"]);
        for wrong in ["x", "AAAA", &token[1..], &format!("{token}AA"), "00000000-0000-7000-8000-000000000000"] {
            let mut request = request.clone();
            request.page_token = wrong.to_owned();
            let answer = call!($world, $service.$method, $credential, request);
            // A longer token may still be one: then it leads somewhere, but never fails otherwise.
            if let Err(status) = answer {
                assert_eq!(status.code(), Code::InvalidArgument, "{}: {wrong}", stringify!($method));
            }
        }
        (whole, token)
    }};
}

/// Holds that a token of one request is refused by another.
macro_rules! refuse_token {
    ($world:expr, $service:ident.$method:ident, $credential:expr, $request:expr, $token:expr) => {{
        let asked = $request;
        let mut request = asked.clone();
        request.page_token = $token.clone();
        assert_invalid(call!($world, $service.$method, $credential, request), &["page_token"]);
    }};
}

mod records;

/// Organizations, users, service accounts and their keys: oldest first.
#[wire_test]
async fn what_grows_is_oldest_first(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let (mut organizations, mut accounts) = (Vec::new(), Vec::new());
    for index in 0..5 {
        world.clock.advance(SECOND);
        organizations.push(create_organization(&world, "default", "", &ada.user_id).await);
        create_user(&world, &format!("user{index}@example.com")).await;
        accounts.push(service_account(&world, &["users.read"]).await.0);
    }
    let key = world.operator_key();
    let (listed, token) = hold!(
        world,
        organizations.list_organizations,
        key,
        ListOrganizationsRequest::default(),
        organizations,
        organization_id,
        5
    );
    assert_eq!(listed, organizations);
    refuse_token!(world, users.list_users, key, ListUsersRequest::default(), token);
    let (users, token) = hold!(world, users.list_users, key, ListUsersRequest::default(), users, user_id, 6);
    assert_eq!(users[0], ada.user_id);
    refuse_token!(
        world,
        users.list_users,
        key,
        ListUsersRequest { email: "ada@example.com".to_owned(), ..ListUsersRequest::default() },
        token
    );
    refuse_token!(world, service_accounts.list_service_accounts, key, ListServiceAccountsRequest::default(), token);
    let (listed, _) = hold!(
        world,
        service_accounts.list_service_accounts,
        key,
        ListServiceAccountsRequest::default(),
        service_accounts,
        service_account_id,
        6
    );
    assert_eq!(listed[1..], accounts);

    let of = |account: &str| ListServiceKeysRequest {
        service_account_id: account.to_owned(),
        ..ListServiceKeysRequest::default()
    };
    for _ in 0..4 {
        world.clock.advance(SECOND);
        let request =
            CreateServiceKeyRequest { service_account_id: accounts[0].clone(), ..CreateServiceKeyRequest::default() };
        call!(world, service_accounts.create_service_key, key, request).unwrap();
    }
    let (_, token) =
        hold!(world, service_accounts.list_service_keys, key, of(&accounts[0]), service_keys, service_key_id, 5);
    refuse_token!(world, service_accounts.list_service_keys, key, of(&accounts[1]), token);
    let found = ListUsersRequest {
        include_total_size: true,
        email: "ada@example.com".to_owned(),
        ..ListUsersRequest::default()
    };
    assert_eq!(call!(world, users.list_users, key, found).unwrap().total_size, 1);
}

/// The roster: members and invitations in one order, by name, through all pages, also where names are the same.
#[wire_test]
async fn the_roster_is_walked_in_order(world: World) {
    let scenario = Scenario::acme(&world).await;
    // Everybody who joins is named alike, and so is one of the invited.
    for index in 0..3 {
        scenario.join(&format!("joined{index}@example.com"), &["member"]).await;
    }
    for index in 0..4 {
        scenario
            .invite(
                &scenario.owner.session,
                &format!("{}{index}@example.com", ["a", "given", "p", "z"][index]),
                &["admin"],
            )
            .await
            .unwrap();
    }
    let of = |role: &str| ListMembersRequest {
        organization_id: scenario.organization_id.clone(),
        role: role.to_owned(),
        ..ListMembersRequest::default()
    };
    let (listed, token) = hold!(world, members.list_members, &scenario.owner.session, of(""), members, email, 8);
    assert_eq!(
        (listed[0].as_str(), listed[4].as_str(), listed[7].as_str()),
        ("a0@example.com", "given1@example.com", "z3@example.com")
    );
    refuse_token!(world, members.list_members, &scenario.owner.session, of("admin"), token);
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    refuse_token!(
        world,
        members.list_members,
        world.operator_key(),
        ListMembersRequest { organization_id: other.organization_id.clone(), ..ListMembersRequest::default() },
        token
    );
    hold!(world, members.list_members, world.operator_key(), of("member"), members, email, 3);
    hold!(world, members.list_members, world.operator_key(), of("admin"), members, email, 4);
    let states = ListMembersRequest { states: vec![2], ..of("") };
    hold!(world, members.list_members, world.operator_key(), states, members, email, 4);
}

/// A row that appears behind the walk's place is met once, and one that appears before it moves nothing.
#[wire_test]
async fn a_walk_survives_additions(world: World) {
    let scenario = Scenario::acme(&world).await;
    for email in ["b@example.com", "d@example.com"] {
        scenario.invite(&scenario.owner.session, email, &["member"]).await.unwrap();
    }
    let mut request = ListMembersRequest {
        organization_id: scenario.organization_id.clone(),
        page_size: 1,
        ..ListMembersRequest::default()
    };
    let mut seen = Vec::new();
    for added in ["c@example.com", "a@example.com", "e@example.com", "aa@example.com"] {
        let answer = call!(world, members.list_members, &scenario.owner.session, request.clone()).unwrap();
        seen.push(answer.members[0].email.clone());
        request.page_token = answer.next_page_token;
        scenario.invite(&scenario.owner.session, added, &["member"]).await.unwrap();
    }
    assert_eq!(seen, ["b@example.com", "c@example.com", "d@example.com", "e@example.com"]);
}

/// Invitations and messages: newest first.
#[wire_test]
async fn what_was_sent_is_newest_first(world: World) {
    let scenario = Scenario::acme(&world).await;
    let mut sent = Vec::new();
    for index in 0..5 {
        world.clock.advance(SECOND);
        let email = format!("guest{index}@example.com");
        sent.insert(0, scenario.invite(&scenario.owner.session, &email, &["member"]).await.unwrap().invitation_id);
        world.mailbox.wait_for(&email, 1).await;
    }
    let of = |email: &str| ListInvitationsRequest {
        organization_id: scenario.organization_id.clone(),
        email: email.to_owned(),
        ..ListInvitationsRequest::default()
    };
    let (listed, token) =
        hold!(world, invitations.list_invitations, &scenario.owner.session, of(""), invitations, invitation_id, 5);
    assert_eq!(listed, sent);
    refuse_token!(world, invitations.list_invitations, &scenario.owner.session, of("guest1@example.com"), token);
    let found = call!(
        world,
        invitations.list_invitations,
        &scenario.owner.session,
        ListInvitationsRequest { include_total_size: true, ..of("GUEST1@example.com") }
    )
    .unwrap();
    assert_eq!((found.invitations.len(), found.total_size), (1, 1));

    for _ in 0..4 {
        world.clock.advance(SECOND);
        let request = CreateJoinLinkRequest { organization_id: scenario.organization_id.clone(), ..Default::default() };
        call!(world, join_links.create_join_link, &scenario.owner.session, request).unwrap();
    }
    let links = |open_only: bool| ListJoinLinksRequest {
        organization_id: scenario.organization_id.clone(),
        open_only,
        ..Default::default()
    };
    let (_, token) =
        hold!(world, join_links.list_join_links, &scenario.owner.session, links(false), join_links, join_link_id, 4);
    refuse_token!(world, join_links.list_join_links, &scenario.owner.session, links(true), token);

    let key = world.operator_key();
    let (_, token) =
        hold!(world, deliveries.list_messages, key, ListMessagesRequest::default(), messages, message_id, 5);
    let filtered =
        ListMessagesRequest { organization_id: scenario.organization_id.clone(), ..ListMessagesRequest::default() };
    refuse_token!(world, deliveries.list_messages, key, filtered, token);
}

/// A user's memberships and sessions.
#[wire_test]
async fn what_a_user_has_is_walked(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let bob = create_user(&world, "bob@example.com").await;
    let mut organizations = Vec::new();
    for _ in 0..5 {
        world.clock.advance(SECOND);
        organizations.push(create_organization(&world, "default", "", &ada.user_id).await);
        sign_in(&world, "ada@example.com", PASSWORD).await.unwrap();
    }
    let of = |user: &str| ListSessionsRequest { user_id: user.to_owned(), ..ListSessionsRequest::default() };
    let (_, token) = hold!(world, sessions.list_sessions, &ada.session, of(&ada.user_id), sessions, session_id, 6);
    refuse_token!(world, sessions.list_sessions, world.operator_key(), of(&bob.user_id), token);

    let of =
        |user: &str| ListUserMembershipsRequest { user_id: user.to_owned(), ..ListUserMembershipsRequest::default() };
    let (_, token) =
        hold!(world, members.list_user_memberships, &ada.session, of(&ada.user_id), memberships, create_time, 5);
    refuse_token!(world, members.list_user_memberships, world.operator_key(), of(&bob.user_id), token);
    let all = call!(world, members.list_user_memberships, &ada.session, of(&ada.user_id)).unwrap().memberships;
    assert_eq!(all.into_iter().map(|one| one.organization.unwrap().organization_id).collect::<Vec<_>>(), organizations);
}

/// The invitations that wait for a person, and the transfers of an organization: newest first.
#[wire_test]
async fn what_waits_for_a_person_and_who_owned_is_walked(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let grace = create_user(&world, "grace@example.com").await;
    let (mut inviting, mut organization) = (Vec::new(), String::new());
    for index in 0..5 {
        world.clock.advance(SECOND);
        let team = Scenario::with(&world, "jetstack", "", &format!("owner{index}@example.com")).await;
        let (invitation, _) = team.invited_by(&team.owner.session, "ada@example.com", &["member"]).await;
        inviting.insert(0, invitation.invitation_id);
        organization = team.organization_id;
    }
    let of =
        |user: &str| ListUserInvitationsRequest { user_id: user.to_owned(), ..ListUserInvitationsRequest::default() };
    let (listed, token) =
        hold!(world, invitations.list_user_invitations, &ada.session, of(&ada.user_id), invitations, invitation_id, 5);
    assert_eq!(listed, inviting);
    refuse_token!(world, invitations.list_user_invitations, world.operator_key(), of(&grace.user_id), token);

    let team = Scenario { organization_id: organization.clone(), world: world.clone(), owner: ada };
    let one = team.join("one@example.com", &["admin"]).await;
    let two = team.join("two@example.com", &["admin"]).await;
    let lead = sign_in(&world, "owner4@example.com", PASSWORD).await.unwrap();
    let lead_id = lead.user.unwrap().user_id;
    let mut transfers = Vec::new();
    for (from, to) in [
        (&lead.session_token, &one.user_id),
        (&one.session, &two.user_id),
        (&two.session, &one.user_id),
        (&one.session, &lead_id),
        (&lead.session_token, &two.user_id),
    ] {
        world.clock.advance(SECOND);
        transfers.insert(0, team.transfer(from, to).await.unwrap().transfer_id);
        settled(&world).await;
    }
    let of = |organization: &str| ListOwnershipTransfersRequest {
        organization_id: organization.to_owned(),
        ..ListOwnershipTransfersRequest::default()
    };
    let (listed, token) =
        hold!(world, ownership.list_ownership_transfers, &two.session, of(&organization), transfers, transfer_id, 5);
    assert_eq!(listed, transfers);
    let other = Scenario::with(&world, "jetstack", "", "other@example.com").await;
    refuse_token!(world, ownership.list_ownership_transfers, world.operator_key(), of(&other.organization_id), token);
}
