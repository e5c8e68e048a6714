//! The roles that an organization makes for itself, laid over its access model.
//!
//! A custom role is a role of the model to every rule that follows: it is given, changed, checked and shown like any other. What keeps rights from growing
//! is the same thought as in the model's validation: **nobody hands out more than they have.** Which other roles give a custom role is not said by anybody;
//! it follows. A role gives it, and changes its holders, if it gives (or changes) any role at all and *covers* it, that is, has all of its
//! permissions, `grants` and `manages`; the owner role always does. So a caller who may give a role that covers another one may give that one, too, and laying custom
//! roles over a valid model leaves it valid, whatever was stored: what a changed model no longer allows is left out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AccessModel, PermissionId, Role, RoleId};

/// What the id of every custom role begins with, and that of no role of a model: so none can ever take the place of another.
pub const CUSTOM_PREFIX: &str = "custom.";

/// Custom roles of one organization at the most. They rest on its row, which every decision reads.
pub const MAX_CUSTOM_ROLES: usize = 50;

/// Bytes of a name in one of a role's sets, and of a role without its sets, as measured.
const NAME_SIZE: usize = 64;
const ROLE_SIZE: usize = 512;

/// A role that an organization has made for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// The id, such as `custom.auditor`.
    pub id: RoleId,
    /// The name that people see.
    pub name: String,
    /// Who should have it.
    pub description: String,
    /// Its permissions.
    pub permissions: BTreeSet<PermissionId>,
    /// The roles of the access model that a holder may give.
    pub grants: BTreeSet<RoleId>,
    /// The roles of the access model whose holders a holder may change.
    pub manages: BTreeSet<RoleId>,
    /// The organization's revision at which it last changed.
    pub changed_revision: i64,
}

/// The custom roles of one organization, by id. Rests as a JSON document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomRoles(Vec<CustomRole>);

impl CustomRoles {
    /// The roles, by id.
    pub fn iter(&self) -> impl Iterator<Item = &CustomRole> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One role.
    pub fn get(&self, id: &str) -> Option<&CustomRole> {
        self.0.iter().find(|role| role.id.as_str() == id)
    }

    /// The same with this role, in place of one of the same id.
    #[must_use]
    pub fn with(&self, role: CustomRole) -> Self {
        let mut roles = self.without(&role.id);
        roles.0.push(role);
        roles.0.sort_by(|one, other| one.id.cmp(&other.id));
        roles
    }

    /// The same without this role.
    #[must_use]
    pub fn without(&self, id: &RoleId) -> Self {
        Self(self.0.iter().filter(|role| &role.id != id).cloned().collect())
    }
}

/// Whether a role has all that another one has.
pub(crate) fn covers(one: &Role, other: &Role) -> bool {
    other.permissions.is_subset(&one.permissions)
        && other.grants.is_subset(&one.grants)
        && other.manages.is_subset(&one.manages)
}

impl AccessModel {
    /// This model with an organization's own roles.
    #[must_use]
    pub fn with_custom_roles(&self, custom: &CustomRoles) -> Self {
        let mut model = self.clone();
        let own: Vec<Role> = custom.iter().map(|role| self.effective(role)).collect();
        for role in own.iter().chain(&self.roles) {
            let owner = role.id == self.ownership.role;
            let (gives, changes) = (!role.grants.is_empty(), !role.manages.is_empty());
            let covered: Vec<&RoleId> =
                own.iter().filter(|other| owner || covers(role, other)).map(|other| &other.id).collect();
            let mut extended = role.clone();
            if owner || gives {
                extended.grants.extend(covered.iter().copied().cloned());
            }
            if owner || changes {
                extended.manages.extend(covered.into_iter().cloned());
            }
            model.put(extended);
        }
        model
    }

    /// About how many bytes the model takes up, so that what is kept of them can be bounded: what the roles name is most of it where an organization has many.
    pub(crate) fn size(&self) -> usize {
        let named = |role: &Role| role.permissions.len() + role.grants.len() + role.manages.len();
        let roles: usize = self.roles.iter().map(|role| ROLE_SIZE + NAME_SIZE * named(role)).sum();
        // The document itself, and the permissions' and roles' texts out of it.
        2 * self.source.len() + roles
    }

    /// A custom role as far as this model lets it be one: without what the model does not know, without the owner role, and without roles that it could not give
    /// because it lacks something of theirs.
    pub(crate) fn effective(&self, custom: &CustomRole) -> Role {
        let known = |id: &&RoleId| *id != &self.ownership.role && self.role(id.as_str()).is_some();
        let mut role = Role {
            id: custom.id.clone(),
            name: custom.name.clone(),
            description: custom.description.clone(),
            inherits: Vec::new(),
            permissions: custom
                .permissions
                .iter()
                .filter(|id| self.permission(id.as_str()).is_some())
                .cloned()
                .collect(),
            organization_kinds: BTreeSet::new(),
            grants: custom.grants.iter().filter(known).cloned().collect(),
            manages: custom.manages.iter().filter(known).cloned().collect(),
            invitable: true,
        };
        // What is left out may be what another one needed, so until nothing is.
        loop {
            let kept: BTreeSet<RoleId> = role
                .grants
                .iter()
                .filter(|id| self.role(id.as_str()).is_some_and(|given| covers(&role, given)))
                .cloned()
                .collect();
            if kept.len() == role.grants.len() {
                return role;
            }
            role.grants = kept;
        }
    }

    fn put(&mut self, role: Role) {
        match self.role_index.get(&role.id).and_then(|index| self.roles.get_mut(*index)) {
            Some(place) => *place = role,
            None => {
                self.role_index.insert(role.id.clone(), self.roles.len());
                self.roles.push(role);
            }
        }
    }
}
