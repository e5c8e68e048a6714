//! What a change of roles would do.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{PreviewRoleChangeRequest, PreviewRoleChangeResponse};
use crate::support::scenario::{Scenario, assert_refused, call, texts, traces};
use crate::support::world::World;

async fn preview(
    team: &Scenario,
    credential: &str,
    user_id: &str,
    roles: &[&str],
) -> Result<PreviewRoleChangeResponse, Status> {
    let request = PreviewRoleChangeRequest {
        organization_id: team.organization_id.clone(),
        user_id: user_id.to_owned(),
        roles: texts(roles),
    };
    call!(team.world, members.preview_role_change, credential, request)
}

/// What is told is what the change does, and telling it changes nothing.
#[wire_test]
async fn a_preview_tells_what_the_change_does(world: World) {
    let team = Scenario::under(&world, "jethub").await;
    let bea = team.join("bea@example.com", &["billing_user", "standard_user"]).await;
    let effective = async || -> std::collections::BTreeSet<String> {
        let request = crate::support::pb::ListEffectivePermissionsRequest {
            organization_id: team.organization_id.clone(),
            user_id: bea.user_id.clone(),
            ..Default::default()
        };
        let answer = call!(world, permissions.list_effective_permissions, world.operator_key(), request).unwrap();
        answer.permissions.into_iter().collect()
    };
    let (had, before) = (effective().await, traces(&world).await);
    let told = preview(&team, &team.owner.session, &bea.user_id, &["account_admin"]).await.unwrap();
    assert_eq!(traces(&world).await, before);
    assert_eq!(
        (told.roles_before, told.roles_after),
        (texts(&["billing_user", "standard_user"]), texts(&["account_admin"]))
    );
    team.set_roles(&team.owner.session, &bea.user_id, &["account_admin"]).await.unwrap();
    let has = effective().await;
    assert_eq!(told.gained_permissions, has.difference(&had).cloned().collect::<Vec<_>>());
    assert_eq!(told.lost_permissions, had.difference(&has).cloned().collect::<Vec<_>>());
    assert!(!told.gained_permissions.is_empty() && !told.lost_permissions.is_empty());
}

/// What the change would be refused for, the preview is refused for.
#[wire_test]
async fn a_preview_is_refused_where_the_change_would_be(world: World) {
    let team = Scenario::acme(&world).await;
    let admin = team.join("admin@example.com", &["admin"]).await;
    let member = team.join("member@example.com", &["member"]).await;
    let owner = &team.owner.user_id;
    for (caller, user, roles, reason) in [
        (&team.owner.session, owner, "member", "LAST_OWNER"),
        (&admin.session, &member.user_id, "owner", "ROLE_NOT_GRANTABLE"),
        (&member.session, &admin.user_id, "member", "PERMISSION_REQUIRED"),
        (&team.owner.session, &member.user_id, "pilot", "UNKNOWN_ROLE"),
    ] {
        let set = team.set_roles(caller, user, &[roles]).await.unwrap_err();
        let told = preview(&team, caller, user, &[roles]).await;
        let told = assert_refused(told, set.code(), &crate::support::scenario::refusal(&set).reason);
        assert!(told.reason.contains(reason) || reason == "UNKNOWN_ROLE", "{told:?}");
    }
    let nobody = uuid::Uuid::nil().to_string();
    assert_refused(preview(&team, &team.owner.session, &nobody, &["member"]).await, Code::NotFound, "MEMBER_NOT_FOUND");
}
