//! The ratios.

use std::{sync::Arc, time::Instant};

use roster::grpc::pb::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, Consistency, Decision, ListMembersRequest, PermissionCheck,
    SetMemberRolesRequest, SignInRequest, VerifySessionRequest, consistency::Requirement,
    member_service_client::MemberServiceClient, permission_service_client::PermissionServiceClient,
    session_service_client::SessionServiceClient,
};
use sqlx::Connection;
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    Effort,
    load::{Slice, run},
    site::{Database, OWNER, PASSWORD, Site, Team, with},
};

/// One figure.
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) database: String,
    pub(crate) value: f64,
    pub(crate) goal: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
}

/// Measures what was asked for, or everything, and says each as soon as it is known.
pub(crate) async fn measure(site: &Site, effort: Effort, names: &[&String]) -> Vec<Ratio> {
    let mut found = Vec::new();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|one| *one == name);
    macro_rules! ratio {
        ($name:literal, $unit:ident, $goal:literal, $measured:expr) => {
            if wanted($name) {
                let (a, b): (Vec<Slice>, Vec<Slice>) = $measured.await;
                let of = |slices: &[Slice]| slices.iter().map(|slice| slice.$unit).collect::<Vec<f64>>();
                found.push(told($name, site, stringify!($unit), $goal, of(&a), of(&b)));
            }
        };
    }
    ratio!("check_full", cost, "<= 2.5", in_turn(site, effort, 64, Kind::Check(None), Kind::Health));
    ratio!("check_full_idle", median, "<= 1.5", in_turn(site, effort, 1, Kind::Check(None), Kind::SelectAndHealth));
    ratio!(
        "check_cached",
        rate,
        ">= 0.7",
        in_turn(site, effort, 64, Kind::Check(Some(Requirement::MinimizeLatency(true))), Kind::Health)
    );
    if wanted("check_batch") {
        let (batches, checks) = in_turn(site, effort, 16, Kind::Batch, Kind::Check(None)).await;
        let rates = |slices: &[Slice], each: f64| slices.iter().map(|slice| slice.rate * each).collect();
        found.push(told("check_batch", site, "checks a second", ">= 10", rates(&batches, 100.0), rates(&checks, 1.0)));
    }
    ratio!("verify_session", rate, ">= 0.5", in_turn(site, effort, 64, Kind::VerifySession, Kind::Health));
    ratio!(
        "roster_growth",
        cost,
        "<= 1.2",
        in_turn(site, effort, 8, Kind::Roster(Page::First), Kind::Roster(Page::Small))
    );
    ratio!(
        "roster_growth_last",
        cost,
        "<= 1.2",
        in_turn(site, effort, 8, Kind::Roster(Page::Last), Kind::Roster(Page::Small))
    );
    if wanted("roster_page") && site.database == Database::Postgres {
        found.push(roster_page(site, effort).await);
    }
    if wanted("check_under_sign_in") {
        found.push(under_sign_in(site, effort).await);
    }
    if wanted("replicas") && site.database == Database::Postgres {
        found.push(replicas(site, effort).await);
    }
    if wanted("staleness") {
        found.push(staleness(site, effort).await);
    }
    found
}

fn told(name: &'static str, site: &Site, unit: &'static str, goal: &'static str, a: Vec<f64>, b: Vec<f64>) -> Ratio {
    let value = median(&a) / median(&b);
    let database = format!("{:?}", site.database).to_lowercase();
    println!("ratio {name} {value:.2} {goal} ({database}, {unit}: {:.1} against {:.1})", median(&a), median(&b));
    Ratio { name, database, value, goal, unit, a, b }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// What is called.
#[derive(Clone, Copy)]
enum Kind {
    Health,
    Check(Option<Requirement>),
    Batch,
    VerifySession,
    Roster(Page),
    /// The rows and columns of a page, by a prepared join.
    Join,
    SelectAndHealth,
}

/// A page of a roster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    /// The first of the large organization.
    First,
    /// The last of it.
    Last,
    /// The first of the small one.
    Small,
}

/// Measures two kinds of call in turn.
async fn in_turn(site: &Site, effort: Effort, at_once: usize, a: Kind, b: Kind) -> (Vec<Slice>, Vec<Slice>) {
    // Everything that is asked about has been asked about once.
    for kind in [a, b] {
        slice(site, effort, at_once, kind).await;
    }
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for _ in 0..effort.slices {
        of_a.push(slice(site, effort, at_once, a).await);
        of_b.push(slice(site, effort, at_once, b).await);
    }
    (of_a, of_b)
}

/// Eight connections, or fewer where there are fewer calls at once.
async fn channels(site: &Site, at_once: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for number in 0..at_once.min(8) {
        channels.push(site.servers[number % site.servers.len()].connect().await);
    }
    channels
}

fn question(team: &Team, number: usize) -> CheckPermissionRequest {
    CheckPermissionRequest {
        organization_id: team.organization_id.clone(),
        user_id: team.member(number),
        permission: "members.read".to_owned(),
        consistency: None,
        ..CheckPermissionRequest::default()
    }
}

async fn slice(site: &Site, effort: Effort, at_once: usize, kind: Kind) -> Slice {
    let channels = channels(site, at_once).await;
    let (key, time) = (site.key.clone(), effort.slice);
    let at = move |number: usize| channels[number % channels.len()].clone();
    match kind {
        Kind::Health => {
            run(site, time, at_once, move |number| {
                let mut client = HealthClient::new(at(number));
                async move { drop(client.check(HealthCheckRequest::default()).await.unwrap()) }
            })
            .await
        }
        Kind::Check(requirement) => {
            let organization = question(&site.large, 1).organization_id;
            let members: Vec<String> = (1..=effort.asked).map(|number| site.large.member(number)).collect();
            run(site, time, at_once, move |number| {
                let mut client = PermissionServiceClient::new(at(number));
                let request = CheckPermissionRequest {
                    organization_id: organization.clone(),
                    user_id: members[number % members.len()].clone(),
                    permission: "members.read".to_owned(),
                    consistency: requirement.map(|requirement| Consistency { requirement: Some(requirement) }),
                    ..CheckPermissionRequest::default()
                };
                let request = with(&key, request);
                async move {
                    let answer = client.check_permission(request).await.unwrap().into_inner();
                    assert_eq!(answer.decision(), Decision::Allow);
                }
            })
            .await
        }
        Kind::Batch => {
            let checks: Vec<PermissionCheck> = (1..=100)
                .map(|number| question(&site.large, number))
                .map(|one| PermissionCheck {
                    organization_id: one.organization_id,
                    user_id: one.user_id,
                    permission: one.permission,
                })
                .collect();
            run(site, time, at_once, move |number| {
                let mut client = PermissionServiceClient::new(at(number));
                let request = with(&key, BatchCheckPermissionsRequest { checks: checks.clone(), consistency: None });
                async move {
                    let answer = client.batch_check_permissions(request).await.unwrap().into_inner();
                    assert!(answer.results.iter().all(|one| one.decision() == Decision::Allow));
                }
            })
            .await
        }
        Kind::VerifySession => {
            let session = site.session.clone();
            run(site, time, at_once, move |number| {
                let mut client = SessionServiceClient::new(at(number));
                let request = VerifySessionRequest { session_token: session.clone(), ..Default::default() };
                let request = with(&key, request);
                async move { assert!(client.verify_session(request).await.unwrap().into_inner().valid) }
            })
            .await
        }
        Kind::Roster(page) => {
            let team = if page == Page::Small { &site.small } else { &site.large };
            let organization = team.organization_id.clone();
            let token = if page == Page::Last { last_page(site).await } else { String::new() };
            run(site, time, at_once, move |number| {
                let mut client = MemberServiceClient::new(at(number));
                let request = ListMembersRequest {
                    organization_id: organization.clone(),
                    page_size: 50,
                    page_token: token.clone(),
                    ..Default::default()
                };
                let request = with(&key, request);
                async move { assert_eq!(client.list_members(request).await.unwrap().into_inner().members.len(), 50) }
            })
            .await
        }
        Kind::Join => join(site, effort, at_once).await,
        Kind::SelectAndHealth => select_and_health(site, effort, at(0)).await,
    }
}

/// The token of the last page of the large organization, found once.
async fn last_page(site: &Site) -> String {
    let find = async || {
        let mut client = MemberServiceClient::new(site.servers[0].connect().await);
        let (mut before, mut token) = (String::new(), String::new());
        loop {
            let request = ListMembersRequest {
                organization_id: site.large.organization_id.clone(),
                page_size: 1000,
                page_token: token.clone(),
                ..Default::default()
            };
            let page = client.list_members(with(&site.key, request)).await.unwrap().into_inner();
            let more = page.next_page_token;
            if more.is_empty() {
                return if page.members.len() >= 50 { token } else { before };
            }
            (before, token) = (token, more);
        }
    };
    site.last_page.get_or_init(find).await.clone()
}

/// What a page costs the database that is asked for its rows and nothing else.
async fn join(site: &Site, effort: Effort, at_once: usize) -> Slice {
    let mut connections = Vec::new();
    for _ in 0..at_once {
        connections.push(Arc::new(Mutex::new(sqlx::PgConnection::connect(&site.url).await.unwrap())));
    }
    let organization = site.large.organization_id.parse::<uuid::Uuid>().unwrap();
    run(site, effort.slice, at_once, move |number| {
        let connection = connections[number % connections.len()].clone();
        async move {
            let rows = sqlx::query(
                "SELECT m.*, u.* FROM members m JOIN users u ON u.id = m.user_id \
                 WHERE m.organization_id = $1 AND m.state = 'active' ORDER BY m.sort_key, m.user_id LIMIT 51",
            );
            let rows = rows.bind(organization).fetch_all(&mut *connection.lock().await).await.unwrap();
            assert_eq!(rows.len(), 51);
        }
    })
    .await
}

/// A page against the join and a health check.
async fn roster_page(site: &Site, effort: Effort) -> Ratio {
    let (page, join) = in_turn(site, effort, 8, Kind::Roster(Page::First), Kind::Join).await;
    let health = slice(site, effort, 8, Kind::Health).await.cost;
    let costs = |slices: &[Slice], more: f64| slices.iter().map(|slice| slice.cost + more).collect();
    told("roster_page", site, "cost", "<= 3", costs(&page, 0.0), costs(&join, health))
}

/// One prepared `SELECT 1` of the database, and then one health check. On SQLite there is no round trip to the database: the health check alone.
async fn select_and_health(site: &Site, effort: Effort, channel: Channel) -> Slice {
    let database = match site.database {
        Database::Postgres => Some(sqlx::PgConnection::connect(&site.url).await.unwrap()),
        Database::Sqlite => None,
    };
    let shared = Arc::new(Mutex::new((database, HealthClient::new(channel))));
    run(site, effort.slice, 1, move |_| {
        let shared = shared.clone();
        async move {
            let mut shared = shared.lock().await;
            if let Some(database) = &mut shared.0 {
                sqlx::query("SELECT 1").execute(database).await.unwrap();
            }
            shared.1.check(HealthCheckRequest::default()).await.unwrap();
        }
    })
    .await
}

/// Checks while as many as can sign in.
async fn under_sign_in(site: &Site, effort: Effort) -> Ratio {
    let check = Kind::Check(None);
    slice(site, effort, 4, check).await;
    let (mut loaded, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..effort.slices {
        alone.push(slice(site, effort, 4, check).await.p99);
        let channel = site.servers[0].connect().await;
        let flood: Vec<_> = (0..8)
            .map(|_| {
                let mut client = SessionServiceClient::new(channel.clone());
                tokio::spawn(async move {
                    loop {
                        let request = SignInRequest {
                            email: OWNER.to_owned(),
                            password: PASSWORD.to_owned(),
                            ..Default::default()
                        };
                        // Some are refused because there are too many: that is the flood.
                        let _ = client.sign_in(request).await;
                    }
                })
            })
            .collect();
        loaded.push(slice(site, effort, 4, check).await.p99);
        for one in flood {
            one.abort();
        }
    }
    told("check_under_sign_in", site, "p99", "<= 2", loaded, alone)
}

/// The same checks over two servers and over one.
async fn replicas(site: &Site, effort: Effort) -> Ratio {
    let mut two = Site::open(Database::Postgres, Effort { members: effort.asked, ..effort }).await;
    let (mut of_two, mut of_one) = (Vec::new(), Vec::new());
    let one = slice(&two, effort, 64, Kind::Check(None)).await;
    assert!(one.rate > 0.0);
    for _ in 0..effort.slices {
        of_one.push(slice(&two, effort, 64, Kind::Check(None)).await.cost);
        two.another();
        slice(&two, effort, 64, Kind::Check(None)).await;
        of_two.push(slice(&two, effort, 64, Kind::Check(None)).await.cost);
        two.servers.pop();
    }
    two.close().await;
    told("replicas", site, "cost", "<= 1.1", of_two, of_one)
}

/// Takes a right away on one server and asks another at once, again and again: how many are told that it is still there.
async fn staleness(site: &Site, effort: Effort) -> Ratio {
    let mut two = Site::open(site.database, Effort { members: 100, ..effort }).await;
    two.another();
    let mut here = MemberServiceClient::new(two.servers[0].connect().await);
    let mut there = PermissionServiceClient::new(two.servers[1].connect().await);
    let (mut stale, start) = (0.0, Instant::now());
    for round in 0..effort.rounds {
        let role = if round % 2 == 0 { "member" } else { "admin" };
        let request = SetMemberRolesRequest {
            organization_id: two.small.organization_id.clone(),
            user_id: two.small.member(1),
            roles: vec![role.to_owned()],
            ..Default::default()
        };
        here.set_member_roles(with(&two.key, request)).await.unwrap();
        let request = CheckPermissionRequest { permission: "members.invite".to_owned(), ..question(&two.small, 1) };
        let answer = there.check_permission(with(&two.key, request)).await.unwrap().into_inner();
        if (answer.decision() == Decision::Allow) != (role == "admin") {
            stale += 1.0;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} rounds of staleness on {:?} in {seconds:.0} s", effort.rounds, site.database);
    two.close().await;
    told("staleness", site, "answers", "0 stale", vec![stale], vec![1.0])
}
