//! Lists and checks: whoever reads much holds up neither those who ask little nor others who read much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::support::contents::columns;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::permission_service_client::PermissionServiceClient;
use crate::support::pb::{CheckPermissionRequest, CreateInvitationRequest, Decision, ListInvitationsRequest};
use crate::support::scenario::{Scenario, call, service_key, with_credential};
use crate::support::world::{World, literal};

/// Lists that are asked for at a time, and the rows of each.
const LISTS: usize = 200;
const ROWS: usize = 800;

/// Adds copies of an invitation, written straight into the database: what it costs to make one is measured elsewhere.
async fn invite_a_crowd(world: &World, team: &Scenario) {
    let request = CreateInvitationRequest {
        organization_id: team.organization_id.clone(),
        email: "first@example.com".to_owned(),
        ..CreateInvitationRequest::default()
    };
    let made = call!(world, invitations.create_invitation, &team.owner.session, request).unwrap();
    let first = literal(world, &made.invitation.unwrap().invitation_id);
    let (series, id, digest) = match world.database().get_database_backend() {
        DbBackend::Postgres => (
            format!("generate_series(1, {ROWS}) AS s(n)"),
            "('00000001-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
            "sha256(convert_to(n::text, 'UTF8'))",
        ),
        _ => (
            format!(
                "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s)"
            ),
            "unhex(printf('00000001000070008000%012x', n))",
            "randomblob(32)",
        ),
    };
    let columns = columns(world.database(), "invitations").await;
    let values: Vec<String> = columns
        .iter()
        .map(|column| match column.as_str() {
            "id" => id.to_owned(),
            "token_digest" => digest.to_owned(),
            "email" | "email_key" => "'crowd-' || n || '@example.com'".to_owned(),
            other => format!("t.{other}"),
        })
        .collect();
    let insert = format!(
        "INSERT INTO invitations ({}) SELECT {} FROM invitations t, {series} WHERE t.id = {first}",
        columns.join(", "),
        values.join(", ")
    );
    world.database().execute_unprepared(&insert).await.unwrap();
}

/// Somebody who asks for long lists, [`LISTS`] at a time on connections of their own, until this is dropped.
struct Greedy {
    read: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    calls: JoinSet<()>,
}

impl Greedy {
    async fn begin(world: &World, team: &Scenario) -> Self {
        let (read, stopped, mut calls) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), JoinSet::new());
        let mut channels = Vec::new();
        for _ in 0..4 {
            let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap();
            channels.push(endpoint.connect().await.unwrap());
        }
        for index in 0..LISTS {
            let (channel, session, organization_id) =
                (channels[index % 4].clone(), team.owner.session.clone(), team.organization_id.clone());
            let (read, stopped) = (Arc::clone(&read), Arc::clone(&stopped));
            calls.spawn(async move {
                while !stopped.load(Ordering::SeqCst) {
                    let request = ListInvitationsRequest {
                        organization_id: organization_id.clone(),
                        page_size: 1000,
                        ..ListInvitationsRequest::default()
                    };
                    let mut client =
                        InvitationServiceClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
                    match client.list_invitations(with_credential(&session, request)).await {
                        Ok(page) => {
                            assert!(page.into_inner().invitations.len() >= ROWS);
                            read.fetch_add(1, Ordering::SeqCst);
                        }
                        // Some have waited for as long as a call may take.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            });
        }
        let greedy = Self { read, stopped, calls };
        greedy.after(5).await;
        greedy
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }

    /// Waits until so many have been read.
    async fn after(&self, lists: usize) {
        while self.read() < lists {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn end(mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.calls.abort_all();
    }
}

/// ab_54: checks do not wait for lists. With one queue for all who read, 200 lists at a time held a check for as long as they took.
#[wire_test]
async fn ab_54_checks_do_not_wait_for_lists(world: World) {
    let team = Scenario::acme(&world).await;
    invite_a_crowd(&world, &team).await;
    let key = service_key(&world, &["permissions.check"]).await;
    let greedy = Greedy::begin(&world, &team).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc_address())).unwrap();
    let mut client = PermissionServiceClient::new(endpoint.connect().await.unwrap());
    let (mut took, mut meanwhile) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let request = CheckPermissionRequest {
            organization_id: team.organization_id.clone(),
            user_id: team.owner.user_id.clone(),
            permission: "members.read".to_owned(),
            ..Default::default()
        };
        let (start, before) = (Instant::now(), greedy.read());
        let answer = client.check_permission(with_credential(&key, request)).await.unwrap().into_inner();
        assert_eq!(answer.decision(), Decision::Allow);
        took.push(start.elapsed());
        meanwhile.push(greedy.read() - before);
    }
    greedy.end();
    took.sort();
    meanwhile.sort_unstable();
    assert!(
        meanwhile[4] <= 40 && took[4] < Duration::from_secs(3),
        "checks took {took:?}, lists meanwhile {meanwhile:?}"
    );
}

/// ab_54: those who read lists take turns: whoever asks for one has it after a few of somebody's two hundred, and not behind all of them.
#[wire_test]
async fn ab_54_lists_take_turns(world: World) {
    let team = Scenario::acme(&world).await;
    invite_a_crowd(&world, &team).await;
    let key = service_key(&world, &["invitations.read"]).await;
    let greedy = Greedy::begin(&world, &team).await;
    let mut meanwhile = Vec::new();
    for _ in 0..5 {
        let request = ListInvitationsRequest {
            organization_id: team.organization_id.clone(),
            page_size: 10,
            ..ListInvitationsRequest::default()
        };
        let before = greedy.read();
        call!(world, invitations.list_invitations, &key, request).unwrap();
        meanwhile.push(greedy.read() - before);
    }
    greedy.end();
    meanwhile.sort_unstable();
    assert!(meanwhile[2] <= 40, "{meanwhile:?} lists of another between question and answer");
}
