//! What members did: reports of it count once, the roster shows the counters to those who may see them, and the list shows who did what, and when.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt;
use roster_test_macros::wire_test;
use tonic::Code;

use crate::support::pb::activity_service_client::ActivityServiceClient;
use crate::support::pb::{
    Activity, ActivityKind, ActivityReport, CounterIncrement, GetMemberRequest, ListActivityRequest, Member,
    ReportActivityRequest, ReportOutcome, SignInRequest,
};
use crate::support::race::{Servers, at_once};
use crate::support::runner::rounds;
use crate::support::scenario::{
    PASSWORD, Person, Scenario, assert_invalid, assert_refused, call, create_user, service_key, sign_in, texts, time,
    traces, with_credential,
};
use crate::support::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// A report of one counter and, where it is named, one action.
pub(crate) fn report(of: &Scenario, user: &str, id: u64, action: &str, counter: (&str, i64)) -> ActivityReport {
    ActivityReport {
        report_id: uuid::Uuid::from_u64_pair(1, id).to_string(),
        organization_id: of.organization_id.clone(),
        user_id: user.to_owned(),
        action: action.to_owned(),
        summary: if action.is_empty() { String::new() } else { format!("Did {action}") },
        counters: vec![CounterIncrement { counter: counter.0.to_owned(), increment: counter.1 }],
        ..ActivityReport::default()
    }
}

/// Reports, and answers with what became of each.
pub(crate) async fn send(world: &World, key: &str, reports: Vec<ActivityReport>) -> Vec<ReportOutcome> {
    let answer = call!(world, activity.report_activity, key, ReportActivityRequest { reports }).unwrap();
    answer.results.iter().map(|result| result.outcome()).collect()
}

async fn row(acme: &Scenario, credential: &str, user: &str) -> Member {
    let request = GetMemberRequest { organization_id: acme.organization_id.clone(), user_id: user.to_owned() };
    call!(acme.world, members.get_member, credential, request).unwrap().member.unwrap()
}

fn counters(pairs: &[(&str, i64)]) -> HashMap<String, i64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

pub(crate) fn of(acme: &Scenario, user: &str) -> ListActivityRequest {
    ListActivityRequest {
        organization_id: acme.organization_id.clone(),
        user_id: user.to_owned(),
        ..ListActivityRequest::default()
    }
}

pub(crate) async fn listed(world: &World, credential: &str, request: ListActivityRequest) -> Vec<Activity> {
    call!(world, activity.list_activity, credential, request).unwrap().activities
}

fn shown(activities: &[Activity]) -> Vec<String> {
    let one = |one: &Activity| match one.kind() {
        ActivityKind::Action => one.action.clone(),
        kind => kind.as_str_name().trim_start_matches("ACTIVITY_KIND_").to_owned(),
    };
    activities.iter().map(one).collect()
}

/// Two members, Bob and an admin, and a service that reports.
async fn team(world: &World) -> (Scenario, Person, Person, String) {
    let acme = Scenario::acme(world).await;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let admin = acme.join("admin@example.com", &["admin"]).await;
    (acme, bob, admin, service_key(world, &["activity.write"]).await)
}

/// Each report counts once: repeated as a whole, in part, within one batch, or to another replica, it is a duplicate and moves nothing.
#[wire_test]
async fn a_report_counts_once(world: World) {
    use ReportOutcome::*;
    let (acme, bob, _, key) = team(&world).await;
    let batch =
        |ids: &[u64]| ids.iter().map(|id| report(&acme, &bob.user_id, *id, "", ("imports", 2))).collect::<Vec<_>>();
    assert_eq!(send(&world, &key, batch(&[1, 2, 1])).await, [Accepted, Accepted, Duplicate]);
    assert_eq!(send(&world, &key, batch(&[2, 3])).await, [Duplicate, Accepted]);
    let replica = world.second_server().await;
    let again =
        call!(replica, activity.report_activity, &key, ReportActivityRequest { reports: batch(&[3, 1, 2]) }).unwrap();
    assert!(again.results.iter().all(|result| result.outcome() == Duplicate));
    assert_eq!(row(&acme, &acme.owner.session, &bob.user_id).await.counters, counters(&[("imports", 6)]));
    // The ids of another service are its own.
    let other = service_key(&world, &["activity.write"]).await;
    assert_eq!(send(&world, &other, batch(&[1])).await, [Accepted]);
    assert_eq!(row(&acme, &acme.owner.session, &bob.user_id).await.counters, counters(&[("imports", 8)]));
    // A service sees them with the scope for it, and the roster without.
    for (scopes, expected) in
        [(&["members.read", "activity.read"][..], counters(&[("imports", 8)])), (&["members.read"][..], HashMap::new())]
    {
        let reader = service_key(&world, scopes).await;
        assert_eq!(row(&acme, &reader, &bob.user_id).await.counters, expected, "{scopes:?}");
    }
}

/// Who is no member, an organization that does not exist and a user who does not exist get one answer, and nothing is remembered of such a report: once the
/// person belongs, it counts.
#[wire_test]
async fn a_report_about_a_stranger_is_answered_for_itself(world: World) {
    use ReportOutcome::*;
    let (acme, bob, _, key) = team(&world).await;
    let eve = create_user(&world, "eve@example.com").await;
    let nowhere =
        ActivityReport { organization_id: bob.user_id.clone(), ..report(&acme, &bob.user_id, 3, "", ("imports", 1)) };
    let nobody = report(&acme, &acme.organization_id, 4, "", ("imports", 1));
    let batch = || {
        vec![
            report(&acme, &eve.user_id, 1, "assets.import", ("imports", 1)),
            report(&acme, &bob.user_id, 2, "", ("imports", 1)),
            nowhere.clone(),
            nobody.clone(),
        ]
    };
    assert_eq!(send(&world, &key, batch()).await, [NotAMember, Accepted, NotAMember, NotAMember]);
    acme.join_existing(&eve, &["member"]).await;
    assert_eq!(send(&world, &key, batch()).await, [Accepted, Duplicate, NotAMember, NotAMember]);
    assert_eq!(row(&acme, &acme.owner.session, &eve.user_id).await.counters, counters(&[("imports", 1)]));
}

/// A report is no change of the organization: no revision, no etag and no entry of the audit log moves.
#[wire_test]
async fn a_report_changes_nothing_of_the_organization(world: World) {
    let (acme, bob, _, key) = team(&world).await;
    let (before, etag) = (traces(&world).await, row(&acme, &acme.owner.session, &bob.user_id).await.etag);
    send(&world, &key, vec![report(&acme, &bob.user_id, 1, "assets.import", ("imports", 1))]).await;
    assert_eq!(traces(&world).await, before);
    assert_eq!(row(&acme, &acme.owner.session, &bob.user_id).await.etag, etag);
}

/// The time of last activity moves forward only, in whatever order reports arrive; a clock that is a little ahead means now.
#[wire_test]
async fn last_activity_moves_forward_only(world: World) {
    let (acme, bob, admin, key) = team(&world).await;
    let joined = world.clock.now();
    world.clock.advance(60 * MINUTE);
    let at = |id: u64, seconds: i64| ActivityReport {
        time: Some(prost_types::Timestamp { seconds: joined.timestamp() + seconds, nanos: 0 }),
        ..report(&acme, &bob.user_id, id, "", ("imports", 1))
    };
    let last = async || {
        time(row(&acme, &admin.session, &bob.user_id).await.last_active_time.as_ref()).timestamp() - joined.timestamp()
    };
    send(&world, &key, vec![at(1, 600), at(2, 1200)]).await;
    assert_eq!(last().await, 1200);
    send(&world, &key, vec![at(3, 900)]).await;
    assert_eq!(last().await, 1200);
    send(&world, &key, vec![at(4, 3600 + 200)]).await;
    assert_eq!(last().await, 3600);
    assert_invalid(
        call!(world, activity.report_activity, &key, ReportActivityRequest { reports: vec![at(5, 3600 + 301)] }),
        &["reports[0].time"],
    );
    // Of somebody else nothing has moved.
    assert_eq!(
        time(row(&acme, &acme.owner.session, &admin.user_id).await.last_active_time.as_ref()).timestamp(),
        world.clock.now().timestamp()
    );
    let owner = row(&acme, &acme.owner.session, &acme.owner.user_id).await;
    assert!(owner.counters.is_empty());
}

/// The list of a member has what services reported and when they signed in, newest first; it is narrowed by kind, action and time.
#[wire_test]
async fn a_members_list_has_actions_and_sign_ins(world: World) {
    let (acme, bob, admin, key) = team(&world).await;
    for (id, action) in [(1, "assets.import"), (2, "audits.run")] {
        world.clock.advance(MINUTE);
        send(&world, &key, vec![report(&acme, &bob.user_id, id, action, ("imports", 1))]).await;
    }
    world.clock.advance(MINUTE);
    sign_in(&world, &bob.email, "not the password").await.unwrap_err();
    world.clock.advance(MINUTE);
    sign_in(&world, &bob.email, PASSWORD).await.unwrap();
    let all = listed(&world, &admin.session, of(&acme, &bob.user_id)).await;
    assert_eq!(shown(&all), ["SIGN_IN", "FAILED_SIGN_IN", "audits.run", "assets.import", "SIGN_IN"]);
    assert_eq!(
        (all[2].user_display_name.as_str(), all[2].summary.as_str(), time(all[0].time.as_ref())),
        ("Given", "Did audits.run", world.clock.now())
    );
    assert!(all.iter().all(|one| one.user_id == bob.user_id));
    let kinds = ListActivityRequest { kinds: vec![ActivityKind::SignIn.into()], ..of(&acme, &bob.user_id) };
    assert_eq!(shown(&listed(&world, &admin.session, kinds).await), ["SIGN_IN", "SIGN_IN"]);
    let actions =
        ListActivityRequest { actions: texts(&["audits.run"]), include_total_size: true, ..of(&acme, &bob.user_id) };
    assert_eq!(shown(&listed(&world, &admin.session, actions.clone()).await), ["audits.run"]);
    assert_eq!(call!(world, activity.list_activity, &admin.session, actions).unwrap().total_size, 1);
    let span = ListActivityRequest { start_time: all[3].time, end_time: all[1].time, ..of(&acme, &bob.user_id) };
    assert_eq!(shown(&listed(&world, &admin.session, span).await), ["audits.run", "assets.import"]);
    let counted = ListActivityRequest { include_total_size: true, page_size: 1, ..of(&acme, &bob.user_id) };
    assert_eq!(call!(world, activity.list_activity, &admin.session, counted).unwrap().total_size, 5);
    // In pages it is the same list.
    for size in 1..=3 {
        let (mut ids, mut request) = (Vec::new(), ListActivityRequest { page_size: size, ..of(&acme, &bob.user_id) });
        loop {
            let page = call!(world, activity.list_activity, &admin.session, request.clone()).unwrap();
            ids.extend(page.activities.into_iter().map(|one| one.activity_id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(ids, all.iter().map(|one| one.activity_id.clone()).collect::<Vec<_>>());
    }
    // Of the whole organization: what everybody did.
    send(&world, &key, vec![report(&acme, &admin.user_id, 3, "audits.run", ("audits", 1))]).await;
    assert_eq!(
        shown(&listed(&world, &admin.session, of(&acme, "")).await),
        ["audits.run", "audits.run", "assets.import"]
    );
}

/// A member sees their own without the permission, and nobody else's; from where somebody signs in is shown to them and to services, and not to admins.
#[wire_test]
async fn a_member_sees_their_own(world: World) {
    let (acme, bob, admin, _) = team(&world).await;
    world.clock.advance(MINUTE);
    let web = service_key(&world, &["sessions.verify"]).await;
    let mut request = with_credential(
        &web,
        SignInRequest {
            open_id_connect: None,
            username: String::new(),
            email: bob.email.clone(),
            password: PASSWORD.to_owned(),
            user_agent: "Firefox on Linux".to_owned(),
        },
    );
    request.metadata_mut().insert("roster-client-ip", "192.0.2.7".parse().unwrap());
    world.sessions().sign_in(request).await.unwrap();
    let origin = |list: &[Activity]| (list[0].ip_address.clone(), list[0].user_agent.clone());
    let known = ("192.0.2.7".to_owned(), "Firefox on Linux".to_owned());
    assert_eq!(origin(&listed(&world, &bob.session, of(&acme, &bob.user_id)).await), known);
    let everywhere = ListActivityRequest { organization_id: String::new(), ..of(&acme, &bob.user_id) };
    assert_eq!(origin(&listed(&world, &bob.session, everywhere.clone()).await), known);
    let support = service_key(&world, &["activity.read"]).await;
    assert_eq!(origin(&listed(&world, &support, everywhere.clone()).await), known);
    assert_eq!(origin(&listed(&world, &admin.session, of(&acme, &bob.user_id)).await), Default::default());
    assert_refused(
        call!(world, activity.list_activity, &bob.session, of(&acme, &admin.user_id)),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    assert_refused(
        call!(world, activity.list_activity, &bob.session, of(&acme, "")),
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    assert_refused(call!(world, activity.list_activity, &admin.session, everywhere), Code::NotFound, "USER_NOT_FOUND");
    let eve = create_user(&world, "eve@example.com").await;
    assert_refused(
        call!(world, activity.list_activity, &admin.session, of(&acme, &eve.user_id)),
        Code::NotFound,
        "MEMBER_NOT_FOUND",
    );
    assert_refused(
        call!(world, activity.list_activity, &eve.session, of(&acme, &eve.user_id)),
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    assert_invalid(
        call!(world, activity.list_activity, &support, ListActivityRequest::default()),
        &["organization_id"],
    );
}

/// An organization sees the sign-ins of somebody's time in it, and not those before.
#[wire_test]
async fn sign_ins_before_joining_are_nobodys_business(world: World) {
    let acme = Scenario::acme(&world).await;
    let bob = create_user(&world, "bob@example.com").await;
    world.clock.advance(MINUTE);
    acme.join_existing(&bob, &["member"]).await;
    assert!(listed(&world, &acme.owner.session, of(&acme, &bob.user_id)).await.is_empty());
    sign_in(&world, &bob.email, PASSWORD).await.unwrap();
    assert_eq!(listed(&world, &acme.owner.session, of(&acme, &bob.user_id)).await.len(), 1);
    let everywhere = ListActivityRequest { organization_id: String::new(), ..of(&acme, &bob.user_id) };
    assert_eq!(listed(&world, &bob.session, everywhere).await.len(), 2);
}

/// A batch of the largest size is taken in one piece.
#[wire_test]
async fn five_hundred_reports_are_one_batch(world: World) {
    let (acme, bob, admin, key) = team(&world).await;
    let many = |index: u64| {
        let user = if index.is_multiple_of(2) { &bob.user_id } else { &admin.user_id };
        let counters =
            (0..20).map(|name| CounterIncrement { counter: format!("counter_{name}"), increment: 1 }).collect();
        ActivityReport { counters, ..report(&acme, user, index, "assets.import", ("x", 1)) }
    };
    assert!(
        send(&world, &key, (0..500).map(many).collect())
            .await
            .iter()
            .all(|outcome| *outcome == ReportOutcome::Accepted)
    );
    let all = row(&acme, &acme.owner.session, &bob.user_id).await.counters;
    assert!(all.len() == 20 && all.values().all(|count| *count == 250), "{all:?}");
    let request = ListActivityRequest { include_total_size: true, ..of(&acme, "") };
    assert_eq!(call!(world, activity.list_activity, &admin.session, request).unwrap().total_size, 500);
    assert_invalid(
        call!(world, activity.report_activity, &key, ReportActivityRequest { reports: (0..501).map(many).collect() }),
        &["reports"],
    );
}

/// What is remembered of reports is forgotten after thirty days; what they added up to stays.
#[wire_test]
async fn ids_of_reports_are_forgotten_after_thirty_days(world: World) {
    let (acme, bob, _, key) = team(&world).await;
    send(&world, &key, vec![report(&acme, &bob.user_id, 1, "assets.import", ("imports", 1))]).await;
    world.clock.advance(Duration::from_secs(30 * 24 * 3600 + 1));
    let _replica = world.second_server().await;
    let forgotten = tokio::time::timeout(Duration::from_secs(10), async {
        while world.count("SELECT COUNT(*) AS n FROM activity_reports").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    forgotten.await.expect("an id older than thirty days is forgotten");
    assert_eq!(row(&acme, world.operator_key(), &bob.user_id).await.counters, counters(&[("imports", 1)]));
    assert_eq!(listed(&world, world.operator_key(), of(&acme, "")).await.len(), 1);
}

/// The same reports, sent eight times at once over two servers, count once; and batches about the same members in another order do not get into each
/// other's way. Where the ids were looked up before they were written, four instead of two were accepted in the second round on PostgreSQL.
#[wire_test]
async fn the_same_reports_at_once_count_once(world: World) {
    let (acme, bob, admin, key) = team(&world).await;
    let servers = Servers::open(&world).await;
    let rounds = u64::try_from(rounds()).unwrap();
    for round in 0..rounds {
        let batch = |server: usize| {
            let people = if server.is_multiple_of(2) { [&bob, &admin] } else { [&admin, &bob] };
            let one = |index: usize| {
                report(
                    &acme,
                    &people[index].user_id,
                    1000 + 2 * round + u64::from(people[index].user_id == bob.user_id),
                    "assets.import",
                    ("imports", 1),
                )
            };
            let request = with_credential(&key, ReportActivityRequest { reports: vec![one(0), one(1)] });
            let mut client = ActivityServiceClient::new(servers.channel(server));
            async move { client.report_activity(request).await.unwrap().into_inner() }.boxed()
        };
        let answers = at_once((0..8).map(batch).collect()).await;
        let accepted = answers
            .iter()
            .flat_map(|answer| &answer.results)
            .filter(|result| result.outcome() == ReportOutcome::Accepted)
            .count();
        assert_eq!(accepted, 2, "round {round}");
    }
    for person in [&bob, &admin] {
        let counted = row(&acme, &acme.owner.session, &person.user_id).await.counters;
        assert_eq!(counted, counters(&[("imports", i64::try_from(rounds).unwrap())]));
    }
    assert_eq!(world.count("SELECT COUNT(*) AS n FROM activities").await, i64::try_from(2 * rounds).unwrap());
}
