//! What Jetstack promises of removed members.

use std::collections::BTreeSet;
use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::Code;

use crate::services::organizations::activity::{listed, of, report, send};
use crate::services::organizations::contacts::{adding, recipients};
use crate::support::pb::{
    CheckPermissionRequest, Decision, ListMembersRequest, ListUserMembershipsRequest, MemberState, ReportOutcome,
};
use crate::support::scenario::{PASSWORD, Scenario, accept_as_new, assert_refused, call, service_key, sign_in, texts};
use crate::support::world::World;

/// js_15: a removed member loses access at once; the account goes on, can sign in, and sees no such organization.
#[wire_test]
async fn js_15_a_removed_members_account_goes_on(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let member = team.join("member@example.com", &["member"]).await;
    team.remove(&team.owner.session, &member.user_id).await.unwrap();
    assert_refused(team.roster(&member.session).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert!(!team.may(&member.user_id, "assets.import").await);
    let session = sign_in(&world, "member@example.com", PASSWORD).await.unwrap().session_token;
    let request =
        ListUserMembershipsRequest { user_id: member.user_id.clone(), ..ListUserMembershipsRequest::default() };
    assert_eq!(call!(world, members.list_user_memberships, &session, request).unwrap().memberships, []);
    assert_refused(team.roster(&session).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

/// js_16: the activity of a removed member stays in the log, with their name and their counters.
#[wire_test]
async fn js_16_activity_stays_after_removal(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let member = team.join("member@example.com", &["member"]).await;
    let platform = service_key(&world, &["activity.write"]).await;
    let deeds = [("assets.import", "imports"), ("implementations.deploy", "deployments"), ("audits.run", "audits")];
    let reports =
        deeds.iter().zip(1..).map(|((action, counter), id)| report(&team, &member.user_id, id, action, (counter, 1)));
    send(&world, &platform, reports.collect()).await;
    team.remove(&team.owner.session, &member.user_id).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    sign_in(&world, "member@example.com", PASSWORD).await.unwrap();
    let log = listed(&world, &team.owner.session, of(&team, &member.user_id)).await;
    let actions: BTreeSet<&str> =
        log.iter().filter(|one| !one.action.is_empty()).map(|one| one.action.as_str()).collect();
    assert_eq!(actions, BTreeSet::from(["assets.import", "audits.run", "implementations.deploy"]));
    assert!(log.iter().all(|one| one.user_display_name == "Given"));
    // When they sign in after that is the organization's business no more.
    assert_eq!(log.len(), 4, "{log:?}");
    let removed = team.rows(&team.owner.session, &[MemberState::Removed]).await;
    assert_eq!(removed[0].counters.len(), 3);
    assert_refused(
        call!(world, activity.list_activity, &member.session, of(&team, &member.user_id)).map(drop),
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
    );
}

/// js_17: what a member has set up for the organization goes on working when they are removed: the people whom they let in, the contacts whom they named, and the
/// service that called for them, whose key is its own. What ends is what was theirs: their session, and with it every call that the service makes for them.
#[wire_test]
async fn js_17_connections_outlive_the_member(world: World) {
    let team = Scenario::under(&world, "jetstack").await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let portal = service_key(
        &world,
        &["activity.write", "members.read", "permissions.check", "contacts.write", "invitations.write"],
    )
    .await;
    let list = || ListMembersRequest { organization_id: team.organization_id.clone(), ..ListMembersRequest::default() };
    // The admin lets somebody in, and by way of the portal names who is to be told of its incidents.
    let (_, token) = team.invited_by(&admin.session, "member@example.com", &["member"]).await;
    let member = accept_as_new(&world, &token, "Member").await.unwrap();
    let contact =
        world.on_behalf_of(&portal, &admin.session, adding(&team, "ops@example.com", "Operations", &["incidents"]));
    world.contacts().create_contact(contact).await.unwrap();
    team.remove(&team.owner.session, &admin.user_id).await.unwrap();

    let for_admin = world.on_behalf_of(&portal, &admin.session, list());
    assert_refused(world.members().list_members(for_admin).await, Code::Unauthenticated, "CREDENTIALS_INVALID");
    assert_eq!(recipients(&team, "incidents").await, texts(&["ops@example.com"]));
    assert!(team.may(&member.user_id, "assets.import").await);
    team.roster(&member.session_token).await.unwrap();
    assert_eq!(call!(world, members.list_members, &portal, list()).unwrap().members.len(), 2);
    let sent = send(&world, &portal, vec![report(&team, &member.user_id, 1, "assets.import", ("imports", 1))]).await;
    assert_eq!(sent, [ReportOutcome::Accepted]);
    let check = CheckPermissionRequest {
        organization_id: team.organization_id.clone(),
        user_id: team.owner.user_id.clone(),
        permission: "assets.import".to_owned(),
        ..Default::default()
    };
    assert_eq!(call!(world, permissions.check_permission, &portal, check).unwrap().decision(), Decision::Allow);
}
