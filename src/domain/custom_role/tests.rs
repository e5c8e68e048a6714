//! The decisions about custom roles, one by one.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::access_model::{Models, RoleSet};
use crate::domain::authority::{Owners, Target, decide_set_roles};
use crate::domain::user::UserState;

fn default() -> Arc<AccessModel> {
    Models::shipped().unwrap().get("default").unwrap().clone()
}

fn role(id: &str, permissions: &[&str], grants: &[&str], manages: &[&str]) -> CustomRole {
    CustomRole {
        id: id.into(),
        name: id.to_owned(),
        description: "A role".to_owned(),
        permissions: permissions.iter().map(|id| (*id).into()).collect(),
        grants: grants.iter().map(|id| (*id).into()).collect(),
        manages: manages.iter().map(|id| (*id).into()).collect(),
        changed_revision: 1,
    }
}

fn set(roles: &[&str]) -> RoleSet {
    roles.iter().copied().collect()
}

/// Decides something by the right of a holder of roles, or of the service where there are none.
fn by<T>(
    base: &AccessModel,
    present: &CustomRoles,
    roles: &[&str],
    decide: impl FnOnce(&CustomRoleRules<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let model = base.with_custom_roles(present);
    let held = set(roles);
    let authority = match roles.is_empty() {
        true => Authority::Service { operator: true },
        false => Authority::Member { user_id: Uuid::nil(), roles: &held },
    };
    decide(&CustomRoleRules {
        situation: Situation { model: &model, organization_kind: None, authority, owners: Owners { active: 1 } },
        base,
        present,
    })
}

fn refused<T: std::fmt::Debug>(decision: Result<T, Refusal>) -> (Reason, Vec<(&'static str, String)>) {
    let refusal = decision.unwrap_err();
    (refusal.reason, refusal.metadata)
}

#[test]
fn an_owner_makes_a_role_and_whoever_covers_it_gives_it() {
    let base = default();
    let auditor = role("custom.auditor", &["members.read", "audit.read"], &[], &[]);
    let none = CustomRoles::default();
    let roles = by(&base, &none, &["owner"], |rules| rules.decide_create(auditor)).unwrap();
    let model = base.with_custom_roles(&roles);
    let id = "custom.auditor".into();
    assert!(model.allows(&set(&["custom.auditor"]), "audit.read"));
    assert!(!model.allows(&set(&["custom.auditor"]), "members.invite"));
    assert!(model.may_grant(&set(&["owner"]), &id) && model.may_manage(&set(&["owner"]), &id));
    // An admin has both permissions and gives roles; a member has one and gives none.
    assert!(model.may_grant(&set(&["admin"]), &id) && model.may_manage(&set(&["admin"]), &id));
    assert!(!model.may_grant(&set(&["member"]), &id) && !model.may_grant(&set(&["custom.auditor"]), &id));
    let deleter = role("custom.deleter", &["organization.delete"], &[], &[]);
    let roles = by(&base, &roles, &["owner"], |rules| rules.decide_create(deleter)).unwrap();
    let model = base.with_custom_roles(&roles);
    assert!(!model.may_grant(&set(&["admin"]), &"custom.deleter".into()));
}

#[test]
fn nobody_makes_more_than_they_have() {
    let base = default();
    let maker = role("custom.maker", &["roles.manage", "members.read"], &[], &[]);
    let roles = CustomRoles::default().with(maker);
    let make = |new: CustomRole| by(&base, &roles, &["custom.maker"], |rules| rules.decide_create(new));
    assert!(make(role("custom.reader", &["members.read"], &[], &[])).is_ok());
    let beyond = refused(make(role("custom.x", &["members.read", "audit.read", "members.remove"], &[], &["member"])));
    let named = [
        ("permission", "audit.read"),
        ("permissions", "audit.read, members.remove"),
        ("role", "member"),
        ("roles", "member"),
    ];
    assert_eq!(beyond, (Reason::RoleBeyondCaller, named.map(|(key, value)| (key, value.to_owned())).to_vec()));
    let admin = by(&base, &roles, &["admin"], |rules| rules.decide_create(role("custom.x", &[], &[], &[])));
    assert_eq!(refused(admin).0, Reason::PermissionRequired);
    // Both halves of what a giving role needs, but not the right to give.
    let both = ["custom.maker", "admin"];
    let inviter = role("custom.inviter", &["members.read", "organization.read", "members.invite"], &["member"], &[]);
    assert!(by(&base, &roles, &both, |rules| rules.decide_create(inviter.clone())).is_ok());
    assert_eq!(refused(make(inviter)).0, Reason::RoleBeyondCaller);
    // The service is bound by the model only.
    assert!(by(&base, &roles, &[], |rules| rules.decide_create(role("custom.x", &["audit.read"], &[], &[]))).is_ok());
}

#[test]
fn a_role_is_one_that_the_model_could_have() {
    let base = default();
    let make = |new: CustomRole| {
        let refusal = refused(by(&base, &CustomRoles::default(), &["owner"], |rules| rules.decide_create(new)));
        assert_eq!(refusal.0, Reason::RoleInvalid, "{refusal:?}");
        refusal.1.first().cloned().unwrap()
    };
    let of = |key: &'static str, value: &str| (key, value.to_owned());
    assert_eq!(make(role("auditor", &[], &[], &[])), of("role", "auditor"));
    assert_eq!(make(role("custom.x", &["no.such"], &[], &[])), of("permission", "no.such"));
    assert_eq!(make(role("custom.x", &["members.invite"], &["owner"], &[])), of("role", "owner"));
    assert_eq!(make(role("custom.x", &["members.remove"], &[], &["owner"])), of("role", "owner"));
    assert_eq!(make(role("custom.x", &["members.invite"], &["no_such"], &[])), of("role", "no_such"));
    // It would give what it lacks.
    assert_eq!(make(role("custom.x", &["members.invite"], &["member"], &[])), of("role", "member"));
    assert_eq!(
        make(role("custom.x", &["members.read", "organization.read"], &["member"], &[])),
        of("permission", "members.invite")
    );
    assert_eq!(make(role("custom.x", &["members.read"], &[], &["member"])), of("permission", "members.set_roles"));
}

#[test]
fn an_id_is_taken_once_and_their_number_is_limited() {
    let base = default();
    let full = (0..MAX_CUSTOM_ROLES)
        .fold(CustomRoles::default(), |roles, number| roles.with(role(&format!("custom.r{number}"), &[], &[], &[])));
    let make = |id: &str| refused(by(&base, &full, &["owner"], |rules| rules.decide_create(role(id, &[], &[], &[])))).0;
    assert_eq!(make("custom.r7"), Reason::RoleExists);
    assert_eq!(make("custom.one_more"), Reason::TooManyCustomRoles);
}

#[test]
fn a_role_that_somebody_holds_is_changed_by_who_could_change_their_roles() {
    let base = default();
    let maker = role("custom.maker", &["roles.manage", "members.read", "audit.read"], &[], &[]);
    let reader = role("custom.reader", &["members.read"], &[], &[]);
    let wider = role("custom.reader", &["members.read", "audit.read"], &[], &[]);
    let roles = CustomRoles::default().with(maker.clone()).with(reader.clone());
    let held = Holders { members: 1, invitations: 0 };
    let edit = |by_roles: &[&str], old: &CustomRole, new: &CustomRole, holders| {
        by(&base, &roles, by_roles, |rules| rules.decide_update(old, new.clone(), holders))
    };
    assert!(edit(&["custom.maker"], &reader, &wider, Holders::default()).is_ok());
    assert_eq!(refused(edit(&["custom.maker"], &reader, &wider, held)).0, Reason::PermissionRequired);
    assert!(edit(&["custom.maker", "admin"], &reader, &wider, held).is_ok());
    assert!(edit(&["owner"], &reader, &wider, held).is_ok());
    // Nobody raises themselves: neither beyond what they have, nor by their own role's strength.
    let raised = role("custom.maker", &["roles.manage", "members.read", "audit.read", "organization.delete"], &[], &[]);
    assert_eq!(
        refused(edit(&["custom.maker"], &maker, &raised, Holders { members: 1, invitations: 0 })).0,
        Reason::RoleBeyondCaller
    );
    // A role with more than the caller has is out of reach also where it would lose it.
    let deleter = role("custom.deleter", &["organization.delete"], &[], &[]);
    let roles = roles.with(deleter.clone());
    let harmless = role("custom.deleter", &[], &[], &[]);
    let shrink = by(&base, &roles, &["custom.maker", "admin"], |rules| {
        rules.decide_update(&deleter, harmless, Holders::default())
    });
    assert_eq!(refused(shrink).0, Reason::RoleBeyondCaller);
}

#[test]
fn a_role_does_not_become_stronger_by_its_own_strength() {
    let base = default();
    // One role gives, the other has what it lacks; together they have all, and no role of theirs covers all.
    let captain = role(
        "custom.captain",
        &["roles.manage", "members.set_roles", "members.read", "organization.read"],
        &["member"],
        &["member"],
    );
    let treasurer = role("custom.treasurer", &["audit.read"], &[], &[]);
    let roles = CustomRoles::default().with(captain.clone()).with(treasurer);
    let mut stronger = captain.clone();
    stronger.permissions.insert("audit.read".into());
    let decision = by(&base, &roles, &["custom.captain", "custom.treasurer"], |rules| {
        rules.decide_update(&captain, stronger, Holders { members: 2, invitations: 0 })
    });
    assert_eq!(refused(decision).0, Reason::RoleNotGrantable);
}

#[test]
fn a_role_in_use_is_not_deleted() {
    let base = default();
    let reader = role("custom.reader", &["members.read"], &[], &[]);
    let roles = CustomRoles::default().with(reader.clone());
    let delete = |holders| by(&base, &roles, &["owner"], |rules| rules.decide_delete(&reader, holders));
    let used = refused(delete(Holders { members: 2, invitations: 1 }));
    assert_eq!(
        used,
        (
            Reason::RoleInUse,
            vec![
                ("members", "2".to_owned()),
                ("invitations", "1".to_owned()),
                ("hint", "give the members other roles and revoke the invitations first".to_owned())
            ]
        )
    );
    assert!(delete(Holders::default()).unwrap().is_empty());
}

#[test]
fn what_a_changed_model_no_longer_allows_is_left_out() {
    let base = default();
    let stale = role(
        "custom.x",
        &["members.read", "members.invite", "gone.permission"],
        &["member", "gone", "owner"],
        &["owner", "gone"],
    );
    let model = base.with_custom_roles(&CustomRoles::default().with(stale));
    let role = model.role("custom.x").unwrap();
    assert!(role.permissions.contains("members.invite") && !role.permissions.contains("gone.permission"));
    // `member` has organization.read, which this role lacks.
    assert!(role.grants.is_empty() && role.manages.is_empty());
}

#[test]
fn a_custom_role_is_given_and_taken_as_any_other() {
    let base = default();
    let roles = CustomRoles::default().with(role("custom.reader", &["members.read"], &[], &[]));
    let model = base.with_custom_roles(&roles);
    let (admin, member) = (set(&["admin"]), set(&["member"]));
    let situation = Situation {
        model: &model,
        organization_kind: None,
        authority: Authority::Member { user_id: Uuid::nil(), roles: &admin },
        owners: Owners { active: 1 },
    };
    let target = Target {
        user_id: Uuid::max(),
        roles: &member,
        state: crate::domain::member::MemberState::Active,
        account: UserState::Active,
    };
    let given = decide_set_roles(&situation, &target, &set(&["custom.reader"])).unwrap();
    assert_eq!(given, set(&["custom.reader"]));
    let target = Target { roles: &given, ..target };
    assert!(decide_set_roles(&situation, &target, &member).is_ok());
    assert_eq!(decide_set_roles(&situation, &target, &set(&["custom.nope"])).unwrap_err().reason, Reason::RoleUnknown);
}
