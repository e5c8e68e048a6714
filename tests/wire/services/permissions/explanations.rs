//! Why a check is answered as it is.

use roster_test_macros::wire_test;
use tonic::Status;

use super::ask_for_a_factor;
use crate::support::pb::{
    CheckExplanation, CheckPermissionRequest, Decision, DenyReason, SuspendMemberRequest, SuspendOrganizationRequest,
};
use crate::support::scenario::{Scenario, call, create_user, service_key};
use crate::support::world::World;

async fn explained(
    team: &Scenario,
    credential: &str,
    user_id: &str,
    permission: &str,
) -> Result<(Decision, CheckExplanation), Status> {
    let request = CheckPermissionRequest {
        organization_id: team.organization_id.clone(),
        user_id: user_id.to_owned(),
        permission: permission.to_owned(),
        explain: true,
        ..Default::default()
    };
    let answer = call!(team.world, permissions.check_permission, credential, request)?;
    Ok((answer.decision(), answer.explanation.unwrap()))
}

/// The answer says which role gives the permission, or which one is missing. Who did not ask is told nothing.
#[wire_test]
async fn an_explanation_names_the_roles(world: World) {
    let team = Scenario::acme(&world).await;
    let bob = team.join("bob@example.com", &["member"]).await;
    let key = service_key(&world, &["permissions.check"]).await;

    let (decision, why) = explained(&team, &key, &bob.user_id, "members.read").await.unwrap();
    assert_eq!((decision, why.granting_roles.as_slice()), (Decision::Allow, &["member".to_owned()][..]));
    assert_eq!(why.roles_with_permission, ["owner", "admin", "member"]);
    assert!(why.obstacles.is_empty());
    assert_eq!(why.summary, "ALLOW: members.read comes with the role member.");

    let (decision, why) = explained(&team, &key, &bob.user_id, "members.invite").await.unwrap();
    assert_eq!((decision, why.member_roles.as_slice()), (Decision::Deny, &["member".to_owned()][..]));
    assert_eq!(
        (why.granting_roles.len(), why.roles_with_permission.as_slice()),
        (0, &["owner".to_owned(), "admin".to_owned()][..])
    );
    assert_eq!(why.obstacles().collect::<Vec<_>>(), [DenyReason::NotGranted]);
    assert_eq!(why.summary, "DENY: the role member does not give members.invite, which the roles owner, admin would.");

    let (decision, why) = explained(&team, &key, &bob.user_id, "fly").await.unwrap();
    assert_eq!((decision, why.roles_with_permission.len()), (Decision::Deny, 0));

    let silent = CheckPermissionRequest {
        organization_id: team.organization_id.clone(),
        user_id: bob.user_id.clone(),
        permission: "members.read".to_owned(),
        ..Default::default()
    };
    assert_eq!(call!(world, permissions.check_permission, &key, silent).unwrap().explanation, None);
}

/// Everything that is in the way is told, and what counts first comes first.
#[wire_test]
async fn an_explanation_names_every_obstacle(world: World) {
    let team = Scenario::acme(&world).await;
    let bob = team.join("bob@example.com", &["member"]).await;
    let operator = world.operator_key();
    ask_for_a_factor(&team).await;
    let request = SuspendMemberRequest {
        organization_id: team.organization_id.clone(),
        user_id: bob.user_id.clone(),
        ..Default::default()
    };
    call!(world, members.suspend_member, operator, request).unwrap();
    let request = SuspendOrganizationRequest { organization_id: team.organization_id.clone(), ..Default::default() };
    call!(world, organizations.suspend_organization, operator, request).unwrap();

    let (decision, why) = explained(&team, operator, &bob.user_id, "members.invite").await.unwrap();
    assert_eq!(decision, Decision::Deny);
    let expected = [
        DenyReason::MemberSuspended,
        DenyReason::MfaRequired,
        DenyReason::OrganizationSuspended,
        DenyReason::NotGranted,
    ];
    assert_eq!(why.obstacles().collect::<Vec<_>>(), expected);
    for part in ["the member is suspended", "a second factor", "the organization is suspended"] {
        assert!(why.summary.contains(part), "{}", why.summary);
    }
}

/// Of somebody who is no member nothing else is told, and nobody learns of roles that they may not list.
#[wire_test]
async fn an_explanation_tells_nobody_more_than_they_may_know(world: World) {
    let team = Scenario::acme(&world).await;
    let stranger = create_user(&world, "eve@example.com").await;
    let (decision, why) = explained(&team, world.operator_key(), &stranger.user_id, "members.read").await.unwrap();
    assert_eq!(decision, Decision::Deny);
    assert_eq!(why.obstacles().collect::<Vec<_>>(), [DenyReason::NotAMember]);
    assert_eq!((why.member_roles.len(), why.roles_with_permission.len()), (0, 0));

    // Under this model those who use the product do not see the roster, nor its roles.
    let shop = Scenario::with(&world, "jethub", "", "boss@example.com").await;
    let user = shop.join("user@example.com", &["standard_user"]).await;
    let (_, why) = explained(&shop, &user.session, &user.user_id, "billing.manage").await.unwrap();
    assert_eq!((why.member_roles.as_slice(), why.roles_with_permission.len()), (&["standard_user".to_owned()][..], 0));
    assert_eq!(why.summary, "DENY: the role standard_user does not give billing.manage.");
    let (_, why) = explained(&shop, world.operator_key(), &user.user_id, "billing.manage").await.unwrap();
    assert!(!why.roles_with_permission.is_empty());
}
