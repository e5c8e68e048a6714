//! ab_57: replicas whose clocks are minutes apart agree on what came first, and deliver each message once.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::{Code, Response};

use crate::support::mailbox::{Fault, Stage};
use crate::support::pb::{
    ActivateMemberRequest, RemoveMemberRequest, RestoreMemberRequest, SignInRequest, SuspendMemberRequest,
};
use crate::support::process::Process;
use crate::support::scenario::{PASSWORD, Person, Scenario, accept_as, assert_refused, call, settled};
use crate::support::world::{Replica, World};

const MINUTES: Duration = Duration::from_secs(180);

/// Signs in on a replica.
async fn enter(replica: &Replica, email: &str) -> String {
    let request = SignInRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..SignInRequest::default() };
    let entered = replica.sessions().sign_in(request).await.map(Response::into_inner);
    entered.unwrap().session_token
}

/// Somebody who belongs to Acme and elsewhere, so that no session ends by itself when they are removed from Acme.
async fn ada(acme: &Scenario) -> Person {
    let ada = acme.join("ada@example.com", &["admin"]).await;
    acme.join_elsewhere(&ada).await;
    settled(&acme.world).await;
    ada
}

/// Takes Ada out of Acme and lets her back in, on a replica.
async fn out_and_in(acme: &Scenario, replica: &Replica, ada: &Person, suspended: bool) {
    let (organization_id, user_id) = (acme.organization_id.clone(), ada.user_id.clone());
    let owner = acme.world.operator_key();
    if suspended {
        let request = SuspendMemberRequest {
            organization_id: organization_id.clone(),
            user_id: user_id.clone(),
            ..SuspendMemberRequest::default()
        };
        call!(replica, members.suspend_member, owner, request).unwrap();
        let request = ActivateMemberRequest { organization_id, user_id, ..ActivateMemberRequest::default() };
        call!(replica, members.activate_member, owner, request).unwrap();
    } else {
        let request = RemoveMemberRequest {
            organization_id: organization_id.clone(),
            user_id: user_id.clone(),
            ..RemoveMemberRequest::default()
        };
        call!(replica, members.remove_member, owner, request).unwrap();
        let request = RestoreMemberRequest { organization_id, user_id, ..RestoreMemberRequest::default() };
        call!(replica, members.restore_member, owner, request).unwrap();
    }
}

/// ab_57: a session from a replica that is three minutes fast is dead after a removal and a restoration on the other, and a fresh one from the other lives after those on the
/// fast one: what counts is what came first.
#[wire_test]
async fn ab_57_what_came_first_is_no_matter_of_clocks(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = ada(&acme).await;
    let (right, fast) = (world.second_server().await, world.server_ahead(MINUTES, &[]).await);
    for suspended in [false, true] {
        let old = enter(&fast, &ada.email).await;
        acme.roster(&old).await.unwrap();
        out_and_in(&acme, &right, &ada, suspended).await;
        for replica in [&right, &fast] {
            let request = crate::support::pb::ListMembersRequest {
                organization_id: acme.organization_id.clone(),
                ..Default::default()
            };
            let answer = call!(replica, members.list_members, &old, request);
            assert_refused(answer, Code::Unauthenticated, "SESSION_OUTDATED");
        }
        out_and_in(&acme, &fast, &ada, suspended).await;
        acme.roster(&enter(&right, &ada.email).await).await.unwrap();
    }
}

/// ab_57: the same for who comes back by an invitation.
#[wire_test]
async fn ab_57_who_accepts_has_signed_in_since(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = ada(&acme).await;
    let (right, fast) = (world.second_server().await, world.server_ahead(MINUTES, &[]).await);
    let remove = async |replica: &Replica| {
        let request = RemoveMemberRequest {
            organization_id: acme.organization_id.clone(),
            user_id: ada.user_id.clone(),
            ..RemoveMemberRequest::default()
        };
        call!(replica, members.remove_member, world.operator_key(), request).unwrap();
    };
    let old = enter(&fast, &ada.email).await;
    remove(&right).await;
    let token = acme.invited(&ada.email, &["member"]).await;
    assert_refused(accept_as(&world, &old, &token).await, Code::Unauthenticated, "SESSION_OUTDATED");
    let present = enter(&right, &ada.email).await;
    accept_as(&world, &present, &token).await.unwrap();
    assert_refused(acme.roster(&old).await, Code::Unauthenticated, "SESSION_OUTDATED");
    acme.roster(&present).await.unwrap();

    remove(&fast).await;
    let token = acme.invited(&ada.email, &["member"]).await;
    assert_refused(accept_as(&world, &present, &token).await, Code::Unauthenticated, "SESSION_OUTDATED");
    let fresh = enter(&right, &ada.email).await;
    accept_as(&world, &fresh, &token).await.unwrap();
    acme.roster(&fresh).await.unwrap();
}

/// ab_57: a replica that is three minutes fast, with a lease of one, takes no delivery over that is in progress elsewhere; its own mail goes out at once.
#[wire_test(postgres)]
async fn ab_57_a_fast_replica_takes_no_delivery_over(world: World) {
    world.restart_with(&[("outbox-poll-interval", "20ms"), ("drain-timeout", "5s")]).await;
    let acme = Scenario::acme(&world).await;
    world.mailbox.inject_times(Fault::Hang(Stage::FinalDot), 1);
    acme.invite(world.operator_key(), "bea@example.com", &["member"]).await.unwrap();
    while world.mailbox.attempts("bea@example.com") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fast = world.server_ahead(MINUTES, &[("outbox-poll-interval", "20ms")]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.mailbox.attempts("bea@example.com"), 1, "taken over while it was being delivered");

    let request = crate::support::pb::CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: "cyd@example.com".to_owned(),
        ..Default::default()
    };
    let start = std::time::Instant::now();
    call!(fast, invitations.create_invitation, world.operator_key(), request).unwrap();
    world.mailbox.wait_for("cyd@example.com", 1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    world.leaves_messages_behind("one delivery hangs");
}

/// ab_57: how far the process's clock is from the database's is a metric, and a warning where it is far. The database of this world is three minutes slow; no mail waits for it.
#[wire_test(postgres)]
async fn ab_57_clocks_that_are_apart_are_told(world: World) {
    let acme = Scenario::acme(&world).await;
    world.stop().await;
    let slow = [
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '3 minutes' $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$",
    ];
    let metric = async |process: &crate::support::process::Addresses| {
        let (_, page) = roster::http::probe(process.http, "/metrics", Duration::from_secs(5)).await.unwrap();
        let line =
            page.lines().find(|line| line.starts_with("roster_clock_skew_seconds")).unwrap_or_else(|| panic!("{page}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let skew = metric(&addresses).await;
    assert!(skew.abs() < 2.0, "{skew}");
    let ended = process.stop().await;
    assert!(!ended.stderr.contains("are apart"), "{}", ended.stderr);

    for statement in slow {
        world.database().execute_unprepared(statement).await.unwrap();
    }
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let skew = metric(&addresses).await;
    assert!((skew - 180.0).abs() < 2.0, "{skew}");
    process.logged("are apart").await;
    let request = crate::support::pb::CreateInvitationRequest {
        organization_id: acme.organization_id.clone(),
        email: "bea@example.com".to_owned(),
        ..Default::default()
    };
    let mut invitations =
        crate::support::pb::invitation_service_client::InvitationServiceClient::new(addresses.channel());
    invitations.create_invitation(world.as_operator(request)).await.unwrap();
    world.mailbox.wait_for("bea@example.com", 1).await;
    settled(&world).await;
    process.stop().await;
}
