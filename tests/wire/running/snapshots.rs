//! What claims a revision is what the organization was at that revision.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use roster_test_macros::wire_test;
use tonic::Request;
use tonic::transport::Channel;

use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::permission_service_client::PermissionServiceClient;
use crate::support::pb::{
    BatchCheckPermissionsRequest, Decision, ListMembersRequest, PermissionCheck, SetMemberRolesRequest,
};
use crate::support::runner::rounds;
use crate::support::scenario::{Scenario, texts, with_credential};
use crate::support::world::World;

/// How many change, and how many read.
const WRITERS: usize = 2;
const READERS: usize = 4;

/// Somebody whose roles change with every revision, and what they were at each.
struct Team {
    organization_id: String,
    key: String,
    channel: Channel,
    users: Vec<String>,
    /// By revision: who had just become an admin, or ceased to be one.
    history: Mutex<BTreeMap<i64, (String, bool)>>,
    done: AtomicBool,
}

impl Team {
    fn request<T>(&self, message: T) -> Request<T> {
        with_credential(&self.key, message)
    }

    async fn change(self: Arc<Self>, user: usize) {
        let mut admin = false;
        while !self.done.load(Ordering::SeqCst) {
            admin = !admin;
            let request = self.request(SetMemberRolesRequest {
                organization_id: self.organization_id.clone(),
                user_id: self.users[user].clone(),
                roles: texts(&[if admin { "admin" } else { "member" }]),
                ..SetMemberRolesRequest::default()
            });
            let answer = MemberServiceClient::new(self.channel.clone()).set_member_roles(request).await;
            let revision = answer.unwrap().into_inner().revision;
            self.history.lock().unwrap().insert(revision, (self.users[user].clone(), admin));
        }
    }

    /// How many rows of a roster are newer than the revision that it claims.
    async fn newer_rows(&self) -> usize {
        let request = self.request(ListMembersRequest {
            organization_id: self.organization_id.clone(),
            ..ListMembersRequest::default()
        });
        let answer = MemberServiceClient::new(self.channel.clone()).list_members(request).await;
        let roster = answer.unwrap().into_inner();
        let changed = |etag: &str| etag.parse::<i64>().unwrap();
        roster.members.iter().filter(|row| changed(&row.etag) > roster.revision).count()
    }

    /// What a batch says of whom, and at which revision.
    async fn checks(&self) -> Vec<(String, i64, bool)> {
        let ask = |user: &String| PermissionCheck {
            organization_id: self.organization_id.clone(),
            user_id: user.clone(),
            permission: "members.invite".to_owned(),
        };
        let checks = self.users.iter().map(ask).collect();
        let request = self.request(BatchCheckPermissionsRequest { checks, ..Default::default() });
        let answer = PermissionServiceClient::new(self.channel.clone()).batch_check_permissions(request).await;
        let results = answer.unwrap().into_inner().results;
        let told = self.users.iter().zip(&results);
        told.map(|(user, one)| (user.clone(), one.revision, one.decision() == Decision::Allow)).collect()
    }

    /// Whether a user was an admin at a revision; `None` where their first change came later.
    fn was_admin(&self, user: &str, revision: i64) -> Option<bool> {
        let history = self.history.lock().unwrap();
        let mut until = history.range(..=revision).rev();
        until.find(|(_, (changed, _))| changed == user).map(|(_, (_, admin))| *admin)
    }
}

/// ab_56: while two members' roles change without a pause, no row of a roster is newer than the revision that the roster claims, and no decision of a batch is
/// that of another revision than the one beside it.
///
/// It fails where the organization is read by a statement of its own, before the rows.
#[wire_test]
async fn ab_56_what_claims_a_revision_is_of_that_revision(world: World) {
    let acme = Scenario::acme(&world).await;
    let mut users = Vec::new();
    for name in ["ada@example.com", "bob@example.com"] {
        users.push(acme.join(name, &["member"]).await.user_id);
    }
    let team = Arc::new(Team {
        organization_id: acme.organization_id.clone(),
        key: world.operator_key().to_owned(),
        channel: world.channel(),
        users,
        history: Mutex::default(),
        done: AtomicBool::default(),
    });
    let writers: Vec<_> = (0..WRITERS).map(|user| tokio::spawn(team.clone().change(user))).collect();
    let read = |team: Arc<Team>| async move {
        let (mut newer, mut told) = (0, Vec::new());
        for _ in 0..rounds() {
            newer += team.newer_rows().await;
            told.extend(team.checks().await);
        }
        (newer, told)
    };
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(team.clone()))).collect();
    let (mut newer, mut told) = (0, Vec::new());
    for reader in readers {
        let (rows, decisions) = reader.await.unwrap();
        newer += rows;
        told.extend(decisions);
    }
    team.done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let other = |(user, revision, allowed): &&(String, i64, bool)| {
        team.was_admin(user, *revision).is_some_and(|admin| admin != *allowed)
    };
    let wrong = told.iter().filter(other).count();
    let changes = team.history.lock().unwrap().len();
    eprintln!("{} rosters and {} decisions during {changes} changes", READERS * rounds(), told.len());
    assert_eq!((newer, wrong), (0, 0), "rows newer than their roster, decisions of another revision");
}
