//! Properties of custom roles over random roles and random histories.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::*;
use crate::domain::access_model::{Models, Role, RoleSet, covers};
use crate::domain::authority::{Owners, Target, decide_invite, decide_set_roles};
use crate::domain::member::MemberState;
use crate::domain::user::UserState;

fn shipped() -> impl Strategy<Value = Arc<AccessModel>> {
    let models: Vec<Arc<AccessModel>> = Models::shipped().unwrap().iter().cloned().collect();
    prop::sample::select(models)
}

/// The shape of a random custom role: bits over the model's permissions and roles.
#[derive(Debug, Clone)]
struct Shape {
    number: u8,
    permissions: u64,
    grants: u8,
    manages: u8,
}

fn shape() -> impl Strategy<Value = Shape> {
    let bits = (0..4_u8, any::<[u64; 2]>(), any::<[u8; 2]>(), any::<[u8; 2]>());
    bits.prop_map(|(number, permissions, grants, manages)| Shape {
        number,
        permissions: permissions[0] | permissions[1],
        grants: grants[0] & grants[1],
        manages: manages[0] & manages[1],
    })
}

fn bit(bits: u64, index: usize) -> bool {
    bits >> (index % 64) & 1 == 1
}

/// With what the roles that it gives have, or most shapes would be no role at all.
fn build(model: &AccessModel, shape: &Shape) -> CustomRole {
    let chosen = |bits: u8| {
        let roles = model.roles().iter().enumerate();
        let ordinary = roles.filter(|(_, role)| &role.id != model.owner_role());
        ordinary.filter(move |(index, _)| bit(bits.into(), *index)).map(|(_, role)| role)
    };
    let permissions = model.permissions().iter().enumerate();
    let mut role = CustomRole {
        id: format!("custom.r{}", shape.number).into(),
        name: "A role".to_owned(),
        description: "A role".to_owned(),
        permissions: permissions
            .filter(|(index, _)| bit(shape.permissions, *index))
            .map(|(_, permission)| permission.id.clone())
            .collect(),
        grants: chosen(shape.grants).map(|role| role.id.clone()).collect(),
        manages: chosen(shape.manages).map(|role| role.id.clone()).collect(),
        changed_revision: 0,
    };
    for given in chosen(shape.grants) {
        role.permissions.extend(given.permissions.iter().cloned());
        role.grants.extend(given.grants.iter().cloned());
        role.manages.extend(given.manages.iter().cloned());
    }
    role
}

fn all(model: &AccessModel, shapes: &[Shape]) -> CustomRoles {
    shapes.iter().fold(CustomRoles::default(), |roles, shape| roles.with(build(model, shape)))
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Operation {
    Create(Shape),
    Update(Shape),
    /// Adds what the caller has, and the shape asks for, to one of the caller's own roles.
    Grow(Shape),
    Delete(u8),
    SetRoles(Index, Vec<Index>),
    Invite(Vec<Index>),
}

fn operation() -> impl Strategy<Value = (Index, Operation)> {
    let roles = || prop::collection::vec(any::<Index>(), 1..3);
    let operation = prop_oneof![
        2 => shape().prop_map(Operation::Create),
        3 => shape().prop_map(Operation::Update),
        3 => shape().prop_map(Operation::Grow),
        1 => (0..4_u8).prop_map(Operation::Delete),
        4 => (any::<Index>(), roles()).prop_map(|(target, roles)| Operation::SetRoles(target, roles)),
        2 => roles().prop_map(Operation::Invite),
    ];
    (any::<Index>(), operation)
}

struct World {
    base: Arc<AccessModel>,
    custom: CustomRoles,
    people: Vec<RoleSet>,
    given: Vec<RoleSet>,
}

impl World {
    fn model(&self) -> AccessModel {
        self.base.with_custom_roles(&self.custom)
    }

    fn holders(&self, id: &RoleId) -> Holders {
        let count = |sets: &[RoleSet]| sets.iter().filter(|roles| roles.contains(id)).count() as u64;
        Holders { members: count(&self.people), invitations: count(&self.given) }
    }

    fn choose(model: &AccessModel, indexes: &[Index]) -> RoleSet {
        let chosen = indexes.iter().take(model.max_roles_per_member());
        chosen.map(|index| index.get(model.roles()).id.clone()).collect()
    }

    /// Cuts a role down to what the caller has.
    fn cut(model: &AccessModel, roles: &RoleSet, mut role: CustomRole) -> CustomRole {
        role.permissions.retain(|id| model.allows(roles, id.as_str()));
        role.grants.retain(|id| model.may_grant(roles, id));
        role.manages.retain(|id| model.may_manage(roles, id));
        role
    }

    fn run(&mut self, caller: usize, operation: &Operation) {
        let model = self.model();
        let roles = self.people[caller].clone();
        let situation = Situation {
            model: &model,
            organization_kind: Some("partner"),
            authority: Authority::Member { user_id: Uuid::from_u128(caller as u128), roles: &roles },
            owners: Owners { active: 1 },
        };
        let rules = CustomRoleRules { situation, base: &self.base, present: &self.custom };
        let changed = match operation {
            Operation::Create(shape) => rules.decide_create(Self::cut(&model, &roles, build(&self.base, shape))).ok(),
            Operation::Update(shape) => {
                let new = Self::cut(&model, &roles, build(&self.base, shape));
                let old = self.custom.get(new.id.as_str());
                old.and_then(|old| rules.decide_update(old, new, self.holders(&old.id)).ok())
            }
            Operation::Grow(shape) => {
                let old = roles.iter().find_map(|id| self.custom.get(id.as_str()));
                old.and_then(|old| {
                    let mut new = old.clone();
                    let more = Self::cut(&model, &roles, build(&self.base, shape));
                    new.permissions.extend(more.permissions);
                    rules.decide_update(old, new, self.holders(&old.id)).ok()
                })
            }
            Operation::Delete(number) => {
                let old = self.custom.get(&format!("custom.r{number}"));
                old.and_then(|old| rules.decide_delete(old, self.holders(&old.id)).ok())
            }
            Operation::SetRoles(target, indexes) => {
                let index = target.index(self.people.len());
                let target = Target {
                    user_id: Uuid::from_u128(index as u128),
                    roles: &self.people[index],
                    state: MemberState::Active,
                    account: UserState::Active,
                };
                if let Ok(roles) = decide_set_roles(&situation, &target, &Self::choose(&model, indexes)) {
                    self.people[index] = roles;
                }
                None
            }
            Operation::Invite(indexes) => {
                if let Ok(roles) = decide_invite(&situation, &Self::choose(&model, indexes)) {
                    self.given.push(roles);
                }
                None
            }
        };
        if let Some(changed) = changed {
            self.custom = changed;
        }
    }

    /// What somebody with these roles may do.
    fn may(model: &AccessModel, roles: &RoleSet) -> BTreeSet<String> {
        model.permissions_of(roles).into_iter().map(ToString::to_string).collect()
    }

    /// Everything that anybody could hand out: what each one role has that gives any role at all. What somebody has by another role is not among it.
    fn strength(&self) -> BTreeSet<String> {
        let model = self.model();
        let held = self.people.iter().chain(&self.given).flat_map(RoleSet::iter);
        let giving = held.filter_map(|id| model.role(id.as_str())).filter(|role| !role.grants.is_empty());
        giving.flat_map(|role| role.permissions.iter().map(ToString::to_string)).collect()
    }
}

/// Whether nobody hands out more than they have, as the model's own validation asks.
fn assert_sound(model: &AccessModel) {
    let owner = model.owner_role();
    for role in model.roles().iter().filter(|role| &role.id != owner) {
        assert!(!role.grants.contains(owner) && !role.manages.contains(owner), "{role:?}");
        for given in &role.grants {
            let given: &Role = model.role(given.as_str()).unwrap();
            assert!(covers(role, given), "{} gives {}, which has more", role.id, given.id);
        }
    }
}

proptest! {
    /// Whatever is stored, laying it over a valid model leaves it valid, takes nothing from the model's roles, and never makes a second owner role.
    #[test]
    fn an_overlay_is_as_sound_as_the_model(model in shipped(), shapes in prop::collection::vec(shape(), 0..5)) {
        let custom = all(&model, &shapes);
        let overlaid = model.with_custom_roles(&custom);
        assert_sound(&overlaid);
        prop_assert_eq!(overlaid.owner_role(), model.owner_role());
        for role in model.roles() {
            let now = overlaid.role(role.id.as_str()).unwrap();
            prop_assert_eq!(&now.permissions, &role.permissions);
            prop_assert!(role.grants.is_subset(&now.grants) && role.manages.is_subset(&now.manages));
            prop_assert!(now.grants.difference(&role.grants).all(|id| id.as_str().starts_with(CUSTOM_PREFIX)));
        }
        for role in custom.iter() {
            prop_assert!(overlaid.may_grant(&[model.owner_role().clone()].into_iter().collect(), &role.id));
        }
    }

    /// ab_17: however members who are no owners make, change, delete and give roles, nobody among them, and nobody whom they invite, gets a permission
    /// that no single role of any of them could hand out before. With roles given that are not covered it fails at once, with a role's own strength counted in
    /// `require_grants` within 20,000 cases.
    #[test]
    fn ab_17_nobody_climbs_by_custom_roles(
        model in shipped(),
        shapes in prop::collection::vec(shape(), 1..5),
        people in prop::collection::vec(prop::collection::vec(any::<Index>(), 1..3), 1..4),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let custom = all(&model, &shapes);
        let overlaid = model.with_custom_roles(&custom);
        let people: Vec<RoleSet> = people
            .iter()
            // Two roles each, also where the model lets members hold one: what it allows may have been more.
            .map(|roles| roles.iter().map(|index| index.get(overlaid.roles()).id.clone()).collect::<RoleSet>())
            .map(|roles| roles.without(model.owner_role()))
            .collect();
        let had: Vec<BTreeSet<String>> = people.iter().map(|roles| World::may(&overlaid, roles)).collect();
        let mut world = World { base: model, custom, people, given: Vec::new() };
        let strength = world.strength();
        for (caller, operation) in &operations {
            let caller = caller.index(world.people.len());
            world.run(caller, operation);
            let model = world.model();
            let nothing = BTreeSet::new();
            let before = had.iter().chain(std::iter::repeat(&nothing));
            for (roles, had) in world.people.iter().chain(&world.given).zip(before) {
                let gained: Vec<String> = World::may(&model, roles).difference(had).cloned().collect();
                prop_assert!(gained.iter().all(|one| strength.contains(one)), "{:?} by {caller}: {:?}", operation, gained);
            }
        }
    }
}
