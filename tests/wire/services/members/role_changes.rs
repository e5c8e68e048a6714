//! Roles added to those that a member holds, and taken from them.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::support::pb::{AddMemberRolesRequest, Member, MemberState, RemoveMemberRolesRequest, SetMemberRolesRequest};
use crate::support::scenario::{Scenario, assert_invalid, assert_refused, call, texts, traces};
use crate::support::world::World;

async fn add(of: &Scenario, credential: &str, user_id: &str, roles: &[&str]) -> Result<Member, Status> {
    let request = AddMemberRolesRequest {
        organization_id: of.organization_id.clone(),
        user_id: user_id.to_owned(),
        roles: texts(roles),
        ..AddMemberRolesRequest::default()
    };
    Ok(call!(of.world, members.add_member_roles, credential, request)?.member.unwrap())
}

async fn take(of: &Scenario, credential: &str, user_id: &str, roles: &[&str]) -> Result<Member, Status> {
    let request = RemoveMemberRolesRequest {
        organization_id: of.organization_id.clone(),
        user_id: user_id.to_owned(),
        roles: texts(roles),
        ..RemoveMemberRolesRequest::default()
    };
    Ok(call!(of.world, members.remove_member_roles, credential, request)?.member.unwrap())
}

/// What one colleague gives and another takes away at the same time does not undo the other's change, as setting all roles would. What changes nothing writes nothing; who is left with no role gets the default one.
#[wire_test]
async fn roles_come_and_go_one_by_one(world: World) {
    let hub = Scenario::under(&world, "jethub").await;
    let owner = &hub.owner.session;
    let bob = hub.join("bob@example.com", &["standard_user"]).await;
    let both = add(&hub, owner, &bob.user_id, &["billing_user"]).await.unwrap();
    assert_eq!(both.roles, ["billing_user", "standard_user"]);
    assert_eq!(both.role_display_names, ["Billing User", "Standard User"]);
    let before = traces(&world).await;
    assert_eq!(add(&hub, owner, &bob.user_id, &["billing_user"]).await.unwrap(), both);
    assert_eq!(take(&hub, owner, &bob.user_id, &["account_admin"]).await.unwrap(), both);
    assert_eq!(traces(&world).await, before);
    let one = take(&hub, owner, &bob.user_id, &["standard_user"]).await.unwrap();
    assert_eq!(one.roles, ["billing_user"]);
    let fallen_back = take(&hub, owner, &bob.user_id, &["billing_user"]).await.unwrap();
    assert_eq!(fallen_back.roles, ["standard_user"]);
    // By the rules of SetMemberRoles: what does not exist, what is nobody's to give, and who would be the last owner.
    for refused in [add(&hub, owner, &bob.user_id, &["x"]).await, take(&hub, owner, &bob.user_id, &["x"]).await] {
        assert_eq!(assert_refused(refused, Code::FailedPrecondition, "ROLE_UNKNOWN").metadata["role"], "x");
    }
    let by_member = add(&hub, &bob.session, &bob.user_id, &["account_admin"]).await;
    assert_refused(by_member, Code::PermissionDenied, "PERMISSION_REQUIRED");
    let last = take(&hub, owner, &hub.owner.user_id, &["account_admin"]).await;
    assert_refused(last, Code::FailedPrecondition, "LAST_OWNER");
    assert_invalid(add(&hub, owner, &bob.user_id, &[]).await, &["roles"]);
    assert_invalid(take(&hub, owner, &bob.user_id, &[]).await, &["roles"]);
}

/// A change of roles can be tried out: the answer is the one that the change would have, or its refusal, and nothing has changed.
#[wire_test]
async fn a_change_of_roles_can_be_tried_out(world: World) {
    let acme = Scenario::acme(&world).await;
    let owner = &acme.owner.session;
    let bob = acme.join("bob@example.com", &["member"]).await;
    let request = |roles: &[&str], validate_only| SetMemberRolesRequest {
        organization_id: acme.organization_id.clone(),
        user_id: bob.user_id.clone(),
        roles: texts(roles),
        validate_only,
        ..SetMemberRolesRequest::default()
    };
    let before = traces(&world).await;
    let tried = call!(world, members.set_member_roles, owner, request(&["admin"], true)).unwrap();
    let refused = call!(world, members.set_member_roles, owner, request(&["admin", "member"], true));
    assert_refused(refused, Code::FailedPrecondition, "TOO_MANY_ROLES");
    assert_eq!(traces(&world).await, before);
    assert_eq!(acme.row(owner, &bob.email).await.roles, ["member"]);
    let changed = call!(world, members.set_member_roles, owner, request(&["admin"], false)).unwrap();
    assert_eq!(tried, changed);
    assert_eq!(changed.member.unwrap().state(), MemberState::Active);
}
