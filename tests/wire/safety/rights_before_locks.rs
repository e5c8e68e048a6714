//! ab_50: whoever has no right to a change locks nothing for it, and waits for no lock.

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, TransactionTrait};
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::support::dynamic::{Contract, Method};
use crate::support::pb::{Member, SuspendMemberRequest, UpdateMemberRequest};
use crate::support::scenario::{Scenario, assert_refused, call, create_user};
use crate::support::tenant::{People, Seat, Tenant};
use crate::support::waiting::soon;
use crate::support::world::World;

/// Holds the rows that changes lock (SQLite: the one writer's place) until this is rolled back.
async fn hold(world: &World) -> DatabaseTransaction {
    let held = world.database().begin().await.unwrap();
    for table in ["users", "organizations"] {
        let touch = format!("UPDATE {table} SET revision = revision");
        held.execute_unprepared(&touch).await.unwrap();
    }
    held
}

/// Whether the method changes what a permission in the organization of the request guards.
fn changes_an_organization(method: &Method) -> bool {
    !method.rule().permission.is_empty() && method.field_names().contains("request_id")
}

/// ab_50: while every row is locked by somebody else, a stranger's calls are refused at once, by every method that changes an organization. Where they were admitted under the lock only, they
/// would wait here, each with a connection to the database.
#[wire_test]
async fn ab_50_strangers_wait_for_no_lock(world: World) {
    let home = Tenant::found(&world, People::arrive(&world).await, &["users.read"]).await;
    let other = Tenant::found(&world, People::arrive(&world).await, &["users.read"]).await;
    let contract = Contract::load();
    let mut calls = Vec::new();
    for method in contract.methods().into_iter().filter(changes_an_organization) {
        calls.push((home.request(&world, &method, home.subject()).await, method));
    }
    assert!(calls.len() > 15, "only {} methods", calls.len());
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {}", other.person(Seat::Owner).session).parse().unwrap());

    let held = hold(&world).await;
    for (request, method) in &calls {
        let answer = soon(&method.name(), method.call(world.channel(), metadata.clone(), request)).await;
        let status = answer.expect_err(&method.name());
        assert_eq!(status.code(), Code::NotFound, "{}: {status:?}", method.name());
    }
    held.rollback().await.unwrap();
}

/// ab_50: a member without the permission waits for no lock either; and an owner, who has it at home, locks nobody elsewhere.
#[wire_test]
async fn ab_50_rights_at_home_lock_nobody_elsewhere(world: World) {
    let acme = Scenario::acme(&world).await;
    let member = acme.join("mia@example.com", &["member"]).await;
    let stranger = create_user(&world, "eve@example.com").await;
    let suspend = |user_id: &str| SuspendMemberRequest {
        organization_id: acme.organization_id.clone(),
        user_id: user_id.to_owned(),
        ..SuspendMemberRequest::default()
    };
    let held = hold(&world).await;
    let answer = async { call!(world, members.suspend_member, &member.session, suspend(&acme.owner.user_id)) };
    assert_refused(
        soon("a member without the permission", answer).await,
        Code::PermissionDenied,
        "PERMISSION_REQUIRED",
    );
    held.rollback().await.unwrap();

    if world.database().get_database_backend() == DbBackend::Sqlite {
        // There is no lock of a row there.
        return;
    }
    let held = world.database().begin().await.unwrap();
    let touch = "UPDATE users SET revision = revision WHERE email = 'eve@example.com'";
    held.execute_unprepared(touch).await.unwrap();
    let answer = async { call!(world, members.suspend_member, &acme.owner.session, suspend(&stranger.user_id)) };
    assert_refused(soon("the suspension of a stranger", answer).await, Code::NotFound, "MEMBER_NOT_FOUND");
    let update = UpdateMemberRequest {
        member: Some(Member {
            organization_id: acme.organization_id.clone(),
            user_id: stranger.user_id.clone(),
            given_name: "Eve".to_owned(),
            ..Member::default()
        }),
        ..UpdateMemberRequest::default()
    };
    let answer = async { call!(world, members.update_member, &acme.owner.session, update) };
    assert_refused(soon("the change of a stranger", answer).await, Code::NotFound, "MEMBER_NOT_FOUND");
    held.rollback().await.unwrap();
}
