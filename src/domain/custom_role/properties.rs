//! Properties of custom roles over random roles and random histories.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::*;
use crate::domain::access_model::{Models, Role, RoleSet, covers};
use crate::domain::member::MemberState;
use crate::domain::roster::{Owners, Target, decide_invite, decide_set_roles};

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

fn build(model: &AccessModel, shape: &Shape) -> CustomRole {
    let permissions = model.permissions().iter().enumerate();
    let roles = |bits: u8| {
        let chosen = model
            .roles()
            .iter()
            .enumerate()
            .filter(move |(index, _)| bit(bits.into(), *index));
        chosen.map(|(_, role)| role.id.clone()).collect()
    };
    CustomRole {
        id: format!("custom.r{}", shape.number).into(),
        name: "A role".to_owned(),
        description: "A role".to_owned(),
        permissions: permissions
            .filter(|(index, _)| bit(shape.permissions, *index))
            .map(|(_, permission)| permission.id.clone())
            .collect(),
        grants: roles(shape.grants),
        manages: roles(shape.manages),
        changed_revision: 0,
    }
}

fn all(model: &AccessModel, shapes: &[Shape]) -> CustomRoles {
    shapes
        .iter()
        .fold(CustomRoles::default(), |roles, shape| roles.with(build(model, shape)))
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Deed {
    Create(Shape),
    /// Beside the shape: whether it is cut down to what the caller has, so that it has a chance.
    Update(Shape, bool),
    Delete(u8),
    SetRoles(Index, Vec<Index>),
    Invite(Vec<Index>),
}

fn deed() -> impl Strategy<Value = (Index, Deed)> {
    let roles = || prop::collection::vec(any::<Index>(), 1..3);
    let deed = prop_oneof![
        2 => shape().prop_map(Deed::Create),
        4 => (shape(), any::<bool>()).prop_map(|(shape, cut)| Deed::Update(shape, cut)),
        1 => (0..4_u8).prop_map(Deed::Delete),
        4 => (any::<Index>(), roles()).prop_map(|(target, roles)| Deed::SetRoles(target, roles)),
        2 => roles().prop_map(Deed::Invite),
    ];
    (any::<Index>(), deed)
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
        Holders {
            members: count(&self.people),
            invitations: count(&self.given),
        }
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

    fn run(&mut self, caller: usize, deed: &Deed) {
        let model = self.model();
        let roles = self.people[caller].clone();
        let situation = Situation {
            model: &model,
            organization_kind: Some("partner"),
            authority: Authority::Member {
                user_id: Uuid::from_u128(caller as u128),
                roles: &roles,
            },
            owners: Owners { active: 1 },
        };
        let shop = Workshop {
            situation,
            base: &self.base,
            present: &self.custom,
        };
        let changed = match deed {
            Deed::Create(shape) => shop
                .decide_create(Self::cut(&model, &roles, build(&self.base, shape)))
                .ok(),
            Deed::Update(shape, cut) => {
                let mut new = build(&self.base, shape);
                if *cut {
                    new = Self::cut(&model, &roles, new);
                }
                let old = self.custom.get(new.id.as_str()).cloned();
                old.and_then(|old| shop.decide_update(&old, new, self.holders(&old.id)).ok())
            }
            Deed::Delete(number) => {
                let old = self.custom.get(&format!("custom.r{number}"));
                old.and_then(|old| shop.decide_delete(old, self.holders(&old.id)).ok())
            }
            Deed::SetRoles(target, indexes) => {
                let index = target.index(self.people.len());
                let target = Target {
                    user_id: Uuid::from_u128(index as u128),
                    roles: &self.people[index],
                    state: MemberState::Active,
                };
                if let Ok(roles) = decide_set_roles(&situation, &target, &Self::choose(&model, indexes)) {
                    self.people[index] = roles;
                }
                None
            }
            Deed::Invite(indexes) => {
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

    /// What anybody has, or will have when they accept, and beside it what anybody could give.
    fn reach(&self) -> BTreeSet<String> {
        let model = self.model();
        let everybody: Vec<&RoleSet> = self.people.iter().chain(&self.given).collect();
        let own = everybody.iter().flat_map(|roles| model.permissions_of(roles));
        let mut reach: BTreeSet<String> = own.map(ToString::to_string).collect();
        for roles in everybody {
            let could = model.roles().iter().filter(|role| model.may_grant(roles, &role.id));
            reach.extend(could.flat_map(|role| role.permissions.iter().map(ToString::to_string)));
        }
        reach
    }
}

/// Whether nobody hands out more than they have, as the model's own validation asks.
fn assert_sound(model: &AccessModel) {
    let owner = model.owner_role();
    for role in model.roles().iter().filter(|role| &role.id != owner) {
        assert!(
            !role.grants.contains(owner) && !role.manages.contains(owner),
            "{role:?}"
        );
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
    /// that none of them had or could give before.
    #[test]
    fn ab_17_nobody_climbs_by_custom_roles(
        model in shipped(),
        shapes in prop::collection::vec(shape(), 1..5),
        people in prop::collection::vec(prop::collection::vec(any::<Index>(), 1..3), 1..4),
        deeds in prop::collection::vec(deed(), 1..40),
    ) {
        let custom = all(&model, &shapes);
        let overlaid = model.with_custom_roles(&custom);
        let people = people
            .iter()
            .map(|roles| World::choose(&overlaid, roles).without(model.owner_role()))
            .collect();
        let mut world = World { base: model, custom, people, given: Vec::new() };
        let before = world.reach();
        for (caller, deed) in &deeds {
            let caller = caller.index(world.people.len());
            world.run(caller, deed);
            let now = world.reach();
            prop_assert!(now.is_subset(&before), "{:?} by {caller}: {:?}", deed, now.difference(&before).collect::<Vec<_>>());
        }
    }
}
