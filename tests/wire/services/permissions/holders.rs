//! Who has a permission.

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use super::ask_for_a_factor;
use crate::support::pb::{
    DenyReason, ListPermissionHoldersRequest, ListPermissionHoldersResponse, SuspendMemberRequest,
};
use crate::support::scenario::{Scenario, assert_refused, call, create_user};
use crate::support::world::World;

async fn holders(
    team: &Scenario,
    credential: &str,
    permission: &str,
    page: (i32, &str),
) -> Result<ListPermissionHoldersResponse, Status> {
    let request = ListPermissionHoldersRequest {
        organization_id: team.organization_id.clone(),
        permission: permission.to_owned(),
        page_size: page.0,
        page_token: page.1.to_owned(),
        include_total_size: true,
    };
    call!(team.world, permissions.list_permission_holders, credential, request)
}

fn told(answer: &ListPermissionHoldersResponse) -> Vec<(&str, Vec<&str>)> {
    assert!(answer.holders.is_sorted_by_key(|one| one.display_name.as_str()), "{answer:?}");
    let told = answer.holders.iter().map(|one| (one.email.as_str(), one.roles.iter().map(String::as_str).collect()));
    // Those who are called the same are in no order that a test knows.
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

/// Everybody whose roles give the permission is in the list once, by name, with the roles that give it; who holds two of them is there once.
#[wire_test]
async fn holders_are_listed_by_name_with_the_roles_that_give_it(world: World) {
    // A member may hold several roles here.
    let team = Scenario::under(&world, "jethub").await;
    team.join("anna@example.com", &["standard_user"]).await;
    team.join("bea@example.com", &["standard_user", "billing_user"]).await;
    team.join("carl@example.com", &["billing_user"]).await;
    let operator = world.operator_key();

    let all = holders(&team, operator, "organization.read", (0, "")).await.unwrap();
    assert_eq!(all.total_size as usize, all.holders.len());
    assert_eq!(
        told(&all),
        [
            ("anna@example.com", vec!["standard_user"]),
            ("bea@example.com", vec!["billing_user", "standard_user"]),
            ("carl@example.com", vec!["billing_user"]),
            ("owner@example.com", vec!["account_admin"]),
        ]
    );
    let bills = holders(&team, operator, "billing.read", (0, "")).await.unwrap();
    assert_eq!(told(&bills), [("bea@example.com", vec!["billing_user"]), ("carl@example.com", vec!["billing_user"])]);
    assert_eq!(bills.roles, ["billing_user"]);

    // By pages, which join without a gap and without a row twice.
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = holders(&team, operator, "organization.read", (1, &token)).await.unwrap();
        assert_eq!((page.holders.len(), page.total_size), (1, 4));
        found.extend(page.holders.into_iter().map(|holder| holder.email));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, all.holders.iter().map(|holder| holder.email.clone()).collect::<Vec<_>>());

    let none = holders(&team, operator, "fly", (0, "")).await.unwrap();
    assert_eq!((none.holders.len(), none.roles.len(), none.total_size), (0, 0, 0));
    assert_eq!(none.revision, all.revision);
}

/// The suspended are no holders; who lacks the second factor that the organization asks for is told so.
#[wire_test]
async fn what_keeps_a_holder_from_it_is_told(world: World) {
    let team = Scenario::acme(&world).await;
    let bob = team.join("bob@example.com", &["member"]).await;
    let operator = world.operator_key();
    ask_for_a_factor(&team).await;
    let found = holders(&team, operator, "members.read", (0, "")).await.unwrap();
    let reasons: Vec<DenyReason> = found.holders.iter().map(|holder| holder.deny_reason()).collect();
    assert_eq!(reasons, [DenyReason::MfaRequired; 2]);

    let request = SuspendMemberRequest {
        organization_id: team.organization_id.clone(),
        user_id: bob.user_id.clone(),
        ..Default::default()
    };
    call!(world, members.suspend_member, operator, request).unwrap();
    let found = holders(&team, operator, "members.read", (0, "")).await.unwrap();
    assert_eq!(told(&found), [("owner@example.com", vec!["owner"])]);
}

/// Who may list members may ask; everybody else learns nothing, not even that the organization exists.
#[wire_test]
async fn who_may_list_members_may_ask(world: World) {
    let team = Scenario::acme(&world).await;
    let bob = team.join("bob@example.com", &["member"]).await;
    let eve = create_user(&world, "eve@example.com").await;
    assert_eq!(holders(&team, &bob.session, "members.invite", (0, "")).await.unwrap().holders.len(), 1);
    let refused = holders(&team, &eve.session, "members.invite", (0, "")).await;
    assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let shop = Scenario::with(&world, "jethub", "", "boss@example.com").await;
    let user = shop.join("user@example.com", &["standard_user"]).await;
    let refused = holders(&shop, &user.session, "billing.manage", (0, "")).await;
    assert_refused(refused, Code::PermissionDenied, "PERMISSION_REQUIRED");
}
