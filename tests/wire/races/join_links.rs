//! Races about one join link: its last place taken by several, and joining while it is revoked.
//!
//! What protects is what protects invitations (see [`super::acceptance`]): the lock of the organization, under which the link is read, and the revision check behind it. With the link
//! read before the lock, both failed in round 0 on both databases.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roster_test_macros::wire_test;
use tonic::Status;

use crate::support::pb::join_link_service_client::JoinLinkServiceClient;
use crate::support::pb::{
    CreateJoinLinkRequest, CreateJoinLinkResponse, JoinOrganizationRequest, JoinOrganizationResponse,
    RevokeJoinLinkRequest,
};
use crate::support::race::{Endings, OK, Servers, against, all_told, at_once, message, told};
use crate::support::runner::rounds;
use crate::support::scenario::{Person, create_organization, create_user};
use crate::support::world::{World, literal};

const OVER: &str = "FailedPrecondition JOIN_LINK_NOT_OPEN";

type Answer = Result<JoinOrganizationResponse, Status>;

struct Course {
    world: World,
    servers: Servers,
    owner: Person,
    people: Vec<Person>,
}

impl Course {
    async fn new(world: &World) -> Self {
        let mut people = Vec::new();
        for name in 0..4 {
            people.push(create_user(world, &format!("guest{name}@example.com")).await);
        }
        let owner = create_user(world, "owner@example.com").await;
        Self { world: world.clone(), servers: Servers::open(world).await, owner, people }
    }

    /// A link for one person, to an organization of its own.
    async fn link(&self) -> CreateJoinLinkResponse {
        let organization_id = create_organization(&self.world, "default", "", &self.owner.user_id).await;
        let request = CreateJoinLinkRequest { organization_id, max_uses: 1, ..CreateJoinLinkRequest::default() };
        let request = self.world.as_operator(request);
        self.world.join_links().create_join_link(request).await.unwrap().into_inner()
    }

    fn join(&self, server: usize, person: &Person, link: &CreateJoinLinkResponse) -> BoxFuture<'static, Answer> {
        let request = JoinOrganizationRequest { token: link.token.clone(), ..JoinOrganizationRequest::default() };
        let request = self.world.as_session(&person.session, request);
        let mut client = JoinLinkServiceClient::new(self.servers.channel(server));
        async move { message(client.join_organization(request).await) }.boxed()
    }

    /// How many members the link's organization has, and how often the link was used.
    async fn members_and_uses(&self, link: &CreateJoinLinkResponse) -> (i64, i64) {
        let link = link.join_link.as_ref().unwrap();
        let organization = literal(&self.world, &link.organization_id);
        let members = format!("SELECT COUNT(*) AS n FROM members WHERE organization_id = {organization}");
        let id = literal(&self.world, &link.join_link_id);
        let uses = format!("SELECT CAST(use_count AS BIGINT) AS n FROM join_links WHERE id = {id}");
        (self.world.count(&members).await, self.world.count(&uses).await)
    }
}

/// The last place goes to one of four who join at once, over two servers.
#[wire_test]
async fn the_last_place_of_a_link_goes_to_one(world: World) {
    let course = Course::new(&world).await;
    for round in 0..rounds() {
        let link = course.link().await;
        let calls = course.people.iter().enumerate();
        let calls = calls.map(|(server, person)| course.join(server + round, person, &link)).collect();
        assert_eq!(all_told(&at_once(calls).await), [OVER, OVER, OVER, OK], "round {round}");
        assert_eq!(course.members_and_uses(&link).await, (2, 1), "round {round}");
    }
}

/// Either somebody joins before the link is taken back, or they are told that it was.
#[wire_test]
async fn joining_races_revoking(world: World) {
    let (course, mut endings) = (Course::new(&world).await, Endings::default());
    for round in 0..rounds() {
        let link = course.link().await;
        let named = link.join_link.as_ref().unwrap();
        let request = course.world.as_operator(RevokeJoinLinkRequest {
            organization_id: named.organization_id.clone(),
            join_link_id: named.join_link_id.clone(),
            etag: named.etag.clone(),
            ..RevokeJoinLinkRequest::default()
        });
        let mut client = JoinLinkServiceClient::new(course.servers.channel(round + 1));
        let revoke = async move { told(&client.revoke_join_link(request).await) };
        let join = course.join(round, &course.people[0], &link).map(|answer| told(&answer));
        let answers = against(round, join, revoke).await;
        // Joining changes the link, too.
        let after = course.members_and_uses(&link).await;
        let joined = ([OK, "Aborted ETAG_MISMATCH"], (2, 1));
        let revoked = ([OVER, OK], (1, 0));
        let outcome = (answers.each_ref().map(String::as_str), after);
        assert!([joined, revoked].contains(&outcome), "{outcome:?}");
        endings.note(answers[0].clone());
    }
    endings.show("join and revoke");
}
