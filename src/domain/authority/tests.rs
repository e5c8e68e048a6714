mod actions;
mod ways_out;

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::access_model::Models;

fn model(id: &str) -> Arc<AccessModel> {
    Arc::clone(Models::shipped().unwrap().get(id).unwrap())
}

fn set(ids: &[&str]) -> RoleSet {
    ids.iter().copied().collect()
}

fn user(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

const ACTOR: u128 = 1;
const OTHER: u128 = 2;

fn by<'a>(model: &'a AccessModel, roles: &'a RoleSet) -> Situation<'a> {
    let authority = Authority::Member { user_id: user(ACTOR), roles };
    Situation { model, organization_kind: None, authority, owners: Owners { active: 1 } }
}

fn by_service(model: &AccessModel) -> Situation<'_> {
    Situation {
        model,
        organization_kind: None,
        authority: Authority::Service { operator: false },
        owners: Owners { active: 1 },
    }
}

fn owners<'a>(situation: Situation<'a>, active: u64) -> Situation<'a> {
    Situation { owners: Owners { active }, ..situation }
}

fn target(number: u128, roles: &RoleSet, state: MemberState) -> Target<'_> {
    Target { user_id: user(number), roles, state, account: UserState::Active }
}

fn active(roles: &RoleSet) -> Target<'_> {
    target(OTHER, roles, MemberState::Active)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, reason: Reason) -> Refusal {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.reason, reason, "{refusal:?}");
    refusal
}

#[test]
fn js01_a_member_changes_nothing() {
    let model = model("jetstack");
    let (member, admin) = (set(&["member"]), set(&["admin"]));
    let situation = by(&model, &member);
    let other = active(&member);
    let reason = Reason::PermissionRequired;
    assert_eq!(
        refused(decide_invite(&situation, &member), reason).metadata,
        [("permission", "members.invite".to_owned())]
    );
    refused(decide_create(&situation, &member, true), reason);
    refused(decide_set_roles(&situation, &other, &admin), reason);
    refused(decide_set_roles(&situation, &target(ACTOR, &member, MemberState::Active), &admin), reason);
    refused(decide_update(&situation, &other, &["given_name"], false), reason);
    refused(decide_suspend(&situation, &other), reason);
    refused(decide_activate(&situation, &target(OTHER, &member, MemberState::Suspended)), reason);
    refused(decide_remove(&situation, &other), reason);
    refused(decide_restore(&situation, &target(OTHER, &member, MemberState::Removed)), reason);
}

#[test]
fn js02_owner_is_never_given_by_invitation() {
    let model = model("jetstack");
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    for roles in [&owner, &admin] {
        let situation = by(&model, roles);
        assert_eq!(
            refused(decide_invite(&situation, &owner), Reason::OwnerByTransferOnly).metadata,
            [("role", "owner".to_owned()), ("hint", "hand the ownership over with TransferOwnership".to_owned())]
        );
        assert_eq!(decide_invite(&situation, &admin), Ok(set(&["admin"])));
        assert_eq!(decide_invite(&situation, &set(&["member"])), Ok(set(&["member"])));
    }
    refused(decide_invite(&by_service(&model), &owner), Reason::OwnerByTransferOnly);
}

#[test]
fn founding_gives_an_organization_without_an_owner_its_first() {
    let (jetstack, portal) = (model("jetstack"), model("portal"));
    assert_eq!(founding_roles(&portal), set(&["owner"]));
    let owner = set(&["owner"]);
    assert_eq!(decide_invite(&owners(by_service(&jetstack), 0), &owner), Ok(owner.clone()));
    let admin = set(&["admin"]);
    assert_eq!(decide_set_roles(&owners(by_service(&jetstack), 0), &active(&admin), &owner), Ok(owner.clone()));
    let suspended = target(OTHER, &admin, MemberState::Suspended);
    refused(decide_set_roles(&owners(by_service(&jetstack), 0), &suspended, &owner), Reason::OwnerByTransferOnly);
    refused(decide_invite(&owners(by(&jetstack, &admin), 0), &owner), Reason::OwnerByTransferOnly);
}

#[test]
fn roles_must_exist_fit_and_be_invitable() {
    let (default, jethub, packetfabric) = (model("default"), model("jethub"), model("packetfabric"));
    let owner = set(&["owner"]);
    let unknown = refused(decide_invite(&by(&default, &owner), &set(&["admiral"])), Reason::RoleUnknown);
    assert_eq!(unknown.metadata, [("role", "admiral".to_owned())]);
    let many = refused(decide_invite(&by(&default, &owner), &set(&["admin", "member"])), Reason::TooManyRoles);
    assert_eq!(many.metadata, [("limit", "1".to_owned())]);
    let hub = set(&["account_admin"]);
    assert_eq!(
        decide_invite(&by(&jethub, &hub), &set(&["account_admin", "billing_user"])),
        Ok(set(&["account_admin", "billing_user"]))
    );

    let (admin, sales) = (set(&["admin"]), set(&["sales"]));
    for (kind, allowed) in [(None, false), (Some("customer"), false), (Some("partner"), true)] {
        for authority in
            [Authority::Service { operator: false }, Authority::Member { user_id: user(ACTOR), roles: &admin }]
        {
            let situation = Situation { organization_kind: kind, authority, ..by_service(&packetfabric) };
            let invited = decide_invite(&situation, &sales);
            let created = decide_create(&situation, &sales, true);
            if allowed {
                assert_eq!((invited, created), (Ok(sales.clone()), Ok(sales.clone())));
            } else {
                let refusal = refused(invited, Reason::RoleNotInOrganizationKind);
                assert_eq!(
                    refusal.metadata,
                    [("role", "sales".to_owned()), ("organization_kinds", "partner".to_owned())]
                );
                refused(created, Reason::RoleNotInOrganizationKind);
            }
        }
    }
}

#[test]
fn a_role_that_is_not_invitable_can_still_be_given_to_a_member() {
    let source = model("default").source().replace("id = \"admin\"\nname", "id = \"admin\"\ninvitable = false\nname");
    let model = AccessModel::parse(&source).unwrap();
    let (owner, admin, member) = (set(&["owner"]), set(&["admin"]), set(&["member"]));
    refused(decide_invite(&by(&model, &owner), &admin), Reason::RoleNotInvitable);
    refused(decide_invite(&by_service(&model), &admin), Reason::RoleNotInvitable);
    assert_eq!(decide_set_roles(&by(&model, &owner), &active(&member), &admin), Ok(admin.clone()));
}

#[test]
fn jh04_no_roles_give_the_default_role() {
    let (hub, none) = (model("jethub"), RoleSet::new());
    let admin = set(&["account_admin"]);
    assert_eq!(decide_invite(&by(&hub, &admin), &none), Ok(set(&["standard_user"])));
    assert_eq!(
        decide_set_roles(&owners(by(&hub, &admin), 2), &active(&admin), &none),
        Ok(set(&["standard_user"])),
        "JH10"
    );
    let owner = set(&["account_owner"]);
    refused(decide_invite(&by(&model("jetpack"), &owner), &none), Reason::RoleUnknown);
}

#[test]
fn nobody_gives_what_they_may_not_give_or_changes_whom_they_may_not_change() {
    let model = model("jetpack");
    let (owner, admin, clerk) = (set(&["account_owner"]), set(&["client_admin"]), set(&["customer_success"]));
    let situation = by(&model, &admin);
    let grant = refused(decide_invite(&situation, &owner), Reason::RoleNotGrantable);
    assert_eq!(grant.metadata, [("role", "account_owner".to_owned())]);
    refused(decide_set_roles(&situation, &active(&clerk), &owner), Reason::RoleNotGrantable);
    refused(
        decide_set_roles(&situation, &target(ACTOR, &admin, MemberState::Active), &owner),
        Reason::RoleNotGrantable,
    );
    let manage = refused(decide_set_roles(&situation, &active(&owner), &clerk), Reason::MemberNotManageable);
    assert_eq!(manage.metadata, [("role", "account_owner".to_owned())]);
    refused(decide_update(&situation, &active(&owner), &["given_name"], false), Reason::MemberNotManageable);
    refused(decide_remove(&situation, &active(&owner)), Reason::MemberNotManageable);
    assert_eq!(decide_set_roles(&situation, &active(&admin), &clerk), Ok(clerk.clone()));
    assert_eq!(decide_remove(&situation, &active(&clerk)), Ok(MemberState::Removed));

    let model = self::model("default");
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let situation = by(&model, &admin);
    refused(decide_suspend(&situation, &active(&owner)), Reason::MemberNotManageable);
    refused(decide_activate(&situation, &target(OTHER, &owner, MemberState::Suspended)), Reason::MemberNotManageable);
}

/// A document without its tests, which say what its own roles come to.
fn untested(model: &AccessModel) -> &str {
    model.source().split("[[tests]]").next().unwrap()
}

#[test]
fn several_roles_must_all_be_manageable() {
    // Somebody who manages billing users only.
    let source = format!(
        "{}\n[[roles]]\nid = \"billing_chief\"\nname = \"x\"\ndescription = \"x\"\ninherits = [\"billing_user\"]\npermissions = [\"members.suspend\"]\nmanages = [\"billing_user\"]\n",
        untested(&model("jethub"))
    );
    let model = AccessModel::parse(&source).unwrap();
    let chief = set(&["billing_chief"]);
    assert_eq!(decide_suspend(&by(&model, &chief), &active(&set(&["billing_user"]))), Ok(MemberState::Suspended));
    refused(
        decide_suspend(&owners(by(&model, &chief), 5), &active(&set(&["billing_user", "account_admin"]))),
        Reason::MemberNotManageable,
    );
    // Activating gives the role back, which this chief may not.
    let suspended = set(&["billing_user"]);
    refused(
        decide_activate(&by(&model, &chief), &target(OTHER, &suspended, MemberState::Suspended)),
        Reason::RoleNotGrantable,
    );
}

#[test]
fn restoring_gives_roles_back_and_so_asks_for_the_right_to_give_them() {
    let source = format!(
        "{}\n[[roles]]\nid = \"helpdesk\"\nname = \"x\"\ndescription = \"x\"\npermissions = [\"members.restore\"]\nmanages = [\"admin\"]\n",
        untested(&model("default"))
    );
    let model = AccessModel::parse(&source).unwrap();
    let (helpdesk, admin) = (set(&["helpdesk"]), set(&["admin"]));
    let removed = target(OTHER, &admin, MemberState::Removed);
    refused(decide_restore(&by(&model, &helpdesk), &removed), Reason::RoleNotGrantable);
    assert_eq!(decide_restore(&by(&model, &admin), &removed), Ok(admin.clone()));
}

/// Roles are added to those held and taken from them by the rules by which they are set.
#[test]
fn roles_are_added_and_taken_away() {
    let model = model("jethub");
    let [admin, standard, billing] = [set(&["account_admin"]), set(&["standard_user"]), set(&["billing_user"])];
    let both = set(&["standard_user", "billing_user"]);
    let situation = owners(by(&model, &admin), 1);
    let holder = active(&standard);
    assert_eq!(decide_role_change(&situation, &holder, &RoleChange::Add(billing.clone())), Ok(both.clone()));
    let holder = active(&both);
    assert_eq!(decide_role_change(&situation, &holder, &RoleChange::Add(billing.clone())), Ok(both.clone()));
    assert_eq!(decide_role_change(&situation, &holder, &RoleChange::Remove(billing.clone())), Ok(standard.clone()));
    assert_eq!(decide_role_change(&situation, &holder, &RoleChange::Remove(admin.clone())), Ok(both.clone()));
    // Who is left with none gets what setting none gives.
    assert_eq!(
        decide_role_change(&situation, &holder, &RoleChange::Remove(both.clone())),
        decide_set_roles(&situation, &holder, &RoleSet::new())
    );
    for change in [RoleChange::Add(set(&["x"])), RoleChange::Remove(set(&["x"]))] {
        assert_eq!(
            refused(decide_role_change(&situation, &holder, &change), Reason::RoleUnknown).metadata,
            [("role", "x".to_owned())]
        );
    }
    for change in [RoleChange::Add(admin.clone()), RoleChange::Remove(billing.clone())] {
        refused(decide_role_change(&by(&model, &standard), &holder, &change), Reason::PermissionRequired);
    }
}

#[test]
fn cp09_the_last_active_owner_stays() {
    let model = model("portal");
    let (owner, manager) = (set(&["owner"]), set(&["manager"]));
    let me = target(ACTOR, &owner, MemberState::Active);
    for situation in [by(&model, &owner), by_service(&model)] {
        refused(decide_set_roles(&situation, &me, &manager), Reason::LastOwner);
        refused(decide_suspend(&situation, &me), Reason::LastOwner);
        assert_eq!(
            refused(decide_remove(&situation, &me), Reason::LastOwner).metadata,
            [("role", "owner".to_owned()), ("hint", "give the organization another owner first".to_owned())]
        );
    }
    refused(decide_leave(&by(&model, &owner), &me), Reason::LastOwner);

    let two = owners(by(&model, &owner), 2);
    let other = active(&owner);
    for who in [me, other] {
        assert_eq!(decide_set_roles(&two, &who, &manager), Ok(manager.clone()));
    }
    assert_eq!(decide_suspend(&two, &other), Ok(MemberState::Suspended));
    assert_eq!(decide_remove(&two, &other), Ok(MemberState::Removed));
    // Whoever wants to go leaves.
    for refusal in
        [decide_suspend(&two, &me), decide_remove(&two, &me)].map(|own| refused(own, Reason::MemberNotManageable))
    {
        assert_eq!(refusal.metadata, [("hint", "leave with LeaveOrganization".to_owned())]);
    }
    assert_eq!(decide_leave(&two, &me), Ok(MemberState::Removed));
    // A suspended owner does not count, so may go while one active owner remains.
    let suspended = target(OTHER, &owner, MemberState::Suspended);
    assert_eq!(decide_remove(&by(&model, &owner), &suspended), Ok(MemberState::Removed));
    assert_eq!(decide_set_roles(&by(&model, &owner), &suspended, &manager), Ok(manager));
}

#[test]
fn js18_the_one_owner_goes_only_by_transfer() {
    let model = model("jetstack");
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let the_owner = target(OTHER, &owner, MemberState::Active);
    for situation in [by(&model, &admin), by_service(&model)] {
        refused(decide_remove(&situation, &the_owner), Reason::OwnerByTransferOnly);
        refused(decide_set_roles(&situation, &the_owner, &admin), Reason::OwnerByTransferOnly);
        refused(decide_set_roles(&situation, &active(&admin), &owner), Reason::OwnerByTransferOnly);
    }
    refused(decide_suspend(&by_service(&model), &the_owner), Reason::LastOwner);
    refused(decide_suspend(&by(&model, &admin), &the_owner), Reason::MemberNotManageable);
    let me = target(ACTOR, &owner, MemberState::Active);
    refused(decide_leave(&by(&model, &owner), &me), Reason::OwnerByTransferOnly);
}

#[test]
fn leaving_needs_no_permission_and_is_for_oneself() {
    let model = model("default");
    let member = set(&["member"]);
    let situation = by(&model, &member);
    assert_eq!(decide_leave(&situation, &target(ACTOR, &member, MemberState::Active)), Ok(MemberState::Removed));
    refused(decide_leave(&situation, &active(&member)), Reason::MemberNotManageable);
    refused(decide_leave(&by_service(&model), &active(&member)), Reason::MemberNotManageable);
}

#[test]
fn states_move_only_along_their_ways() {
    let model = model("default");
    let (owner, member) = (set(&["owner"]), set(&["member"]));
    let situation = by(&model, &owner);
    let in_state = |state| target(OTHER, &member, state);
    let (active, suspended, removed) =
        (in_state(MemberState::Active), in_state(MemberState::Suspended), in_state(MemberState::Removed));
    assert_eq!(decide_suspend(&situation, &active), Ok(MemberState::Suspended));
    assert_eq!(decide_activate(&situation, &suspended), Ok(MemberState::Active));
    assert_eq!(decide_remove(&situation, &suspended), Ok(MemberState::Removed));
    assert_eq!(decide_restore(&situation, &removed), Ok(member.clone()));
    assert_eq!(decide_set_roles(&situation, &suspended, &member), Ok(member.clone()));
    let conflict = refused(decide_suspend(&situation, &suspended), Reason::MemberStateConflict);
    assert_eq!(conflict.metadata, [("state", "SUSPENDED".to_owned())]);
    let conflict = refused(decide_suspend(&situation, &removed), Reason::MemberStateConflict);
    assert_eq!(conflict.metadata, [("state", "REMOVED".to_owned()), ("hint", "restore the member first".to_owned())]);
    refused(decide_suspend(&situation, &removed), Reason::MemberStateConflict);
    refused(decide_activate(&situation, &active), Reason::MemberStateConflict);
    refused(decide_activate(&situation, &removed), Reason::MemberStateConflict);
    refused(decide_remove(&situation, &removed), Reason::MemberStateConflict);
    refused(decide_set_roles(&situation, &removed, &member), Reason::MemberStateConflict);
    refused(decide_update(&situation, &removed, &["given_name"], false), Reason::MemberStateConflict);
    refused(decide_restore(&situation, &active), Reason::MemberStateConflict);
    refused(decide_restore(&situation, &suspended), Reason::MemberStateConflict);
}

#[test]
fn removal_means_what_the_model_says() {
    let removed = |roles| target(OTHER, roles, MemberState::Removed);
    let (jetpack, packetfabric, default) = (model("jetpack"), model("packetfabric"), model("default"));

    let (owner, clerk) = (set(&["account_owner"]), set(&["customer_success"]));
    for situation in [by(&jetpack, &owner), by_service(&jetpack)] {
        let refusal = refused(decide_restore(&situation, &removed(&clerk)), Reason::RemovalFinal);
        assert_eq!(refusal.metadata, [("hint", "invite the person again".to_owned())], "JP12");
    }
    assert_eq!(decide_addition(&jetpack, Some(MemberState::Removed)), Ok(()));

    let (admin, regular) = (set(&["admin"]), set(&["regular"]));
    refused(decide_restore(&by(&packetfabric, &admin), &removed(&regular)), Reason::RestoreByOperatorOnly);
    let again = refused(decide_addition(&packetfabric, Some(MemberState::Removed)), Reason::RemovedMember);
    assert_eq!(again.metadata, [("hint", "ask an operator to restore the member".to_owned())]);

    // Restoring gives roles back, and so asks for the right to give them.
    let admin = set(&["admin"]);
    let owner = set(&["owner"]);
    refused(decide_restore(&by(&default, &admin), &removed(&owner)), Reason::MemberNotManageable);
    assert_eq!(decide_restore(&by(&default, &owner), &removed(&owner)), Ok(owner.clone()));

    assert_eq!(decide_addition(&default, None), Ok(()));
    refused(decide_addition(&default, Some(MemberState::Active)), Reason::AlreadyMember);
    refused(decide_addition(&default, Some(MemberState::Suspended)), Reason::AlreadyMember);
}

#[test]
fn pf07_only_admins_create_users_and_only_where_the_model_lets_them() {
    let (packetfabric, default) = (model("packetfabric"), model("default"));
    let (admin, regular, support) = (set(&["admin"]), set(&["regular"]), set(&["support"]));
    assert_eq!(decide_create(&by(&packetfabric, &admin), &regular, true), Ok(regular.clone()));
    for roles in [&regular, &support] {
        refused(decide_create(&by(&packetfabric, roles), &regular, true), Reason::PermissionRequired);
    }
    refused(decide_create(&by(&default, &set(&["owner"])), &set(&["member"]), true), Reason::DirectCreationNotAllowed);
    refused(decide_create(&by_service(&default), &set(&["member"]), true), Reason::DirectCreationNotAllowed);
}

#[test]
fn whoever_is_out_of_use_counts_for_nothing_and_founds_nothing() {
    let (default, jetstack) = (model("default"), model("jetstack"));
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let out_of_use = |roles, state| Target { account: UserState::Suspended, ..target(OTHER, roles, state) };
    // One active owner is left, and the other one's account is out of use.
    let (situation, idle) = (by(&default, &owner), out_of_use(&owner, MemberState::Active));
    assert_eq!(decide_set_roles(&situation, &idle, &admin), Ok(admin.clone()));
    assert_eq!(decide_suspend(&situation, &idle), Ok(MemberState::Suspended));
    assert_eq!(decide_remove(&situation, &idle), Ok(MemberState::Removed));
    refused(decide_remove(&situation, &active(&owner)), Reason::LastOwner);

    let founding = owners(by_service(&jetstack), 0);
    let reason = Reason::OwnerByTransferOnly;
    assert_eq!(decide_set_roles(&founding, &active(&admin), &owner), Ok(owner.clone()));
    refused(decide_set_roles(&founding, &out_of_use(&admin, MemberState::Active), &owner), reason);
    refused(decide_activate(&founding, &out_of_use(&owner, MemberState::Suspended)), reason);
    refused(decide_restore(&founding, &out_of_use(&owner, MemberState::Removed)), reason);
    let source = jetstack.source().replace("direct_creation = false", "direct_creation = true");
    let direct = AccessModel::parse(&source).unwrap();
    let founding = owners(by_service(&direct), 0);
    assert_eq!(decide_create(&founding, &owner, true), Ok(owner.clone()));
    refused(decide_create(&founding, &owner, false), reason);
}
