//! Who may make, change and delete an organization's own roles.
//!
//! Each decision asks: may this authority manage roles at all; is the role one that the access model allows; does the authority have everything that the role
//! has, before and after (ab_17)? A change of a role that somebody holds is a change of the roles of all who hold it, and so asks for the right to that, too.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::domain::access_model::{
    AccessModel, CHANGING, CUSTOM_PREFIX, CustomRole, CustomRoles, GIVING, MAX_CUSTOM_ROLES, PermissionId, RoleId,
};
use crate::domain::authority::{Authority, Situation};
use crate::domain::error::{Reason, Refusal};

/// The permission that guards all of it.
const MANAGE: &str = "roles.manage";

/// The permission that a change of a role needs that somebody holds.
const SET_ROLES: &str = "members.set_roles";

/// The names of one thing that is in the way of a role, and of all of them.
const PERMISSIONS: (&str, &str) = ("permission", "permissions");
const ROLES: (&str, &str) = ("role", "roles");

/// Who has a role now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holders {
    /// Members, suspended ones included.
    pub members: u64,
    /// Pending invitations that would give it.
    pub invitations: u64,
}

impl Holders {
    fn any(self) -> bool {
        self.members + self.invitations > 0
    }
}

/// An organization's roles, and by whose right they are changed.
#[derive(Debug, Clone, Copy)]
pub struct CustomRoleRules<'a> {
    /// By whose right, in the model with the present custom roles.
    pub situation: Situation<'a>,
    /// The access model without custom roles.
    pub base: &'a AccessModel,
    /// The present custom roles.
    pub present: &'a CustomRoles,
}

impl CustomRoleRules<'_> {
    /// The custom roles once this one has been added.
    ///
    /// # Errors
    /// `PERMISSION_REQUIRED`, `ROLE_EXISTS`, `TOO_MANY_CUSTOM_ROLES`, `ROLE_INVALID`, `ROLE_BEYOND_CALLER`.
    pub fn decide_create(&self, role: CustomRole) -> Result<CustomRoles, Refusal> {
        self.situation.require(MANAGE)?;
        if self.present.get(role.id.as_str()).is_some() {
            return Err(Refusal::new(Reason::RoleExists).with("role", role.id.as_str()));
        }
        if self.present.len() >= MAX_CUSTOM_ROLES {
            return Err(Refusal::new(Reason::TooManyCustomRoles).with("limit", MAX_CUSTOM_ROLES.to_string()));
        }
        self.require_valid(&role)?;
        self.require_within(&role)?;
        Ok(self.present.with(role))
    }

    /// The custom roles once one has been changed.
    ///
    /// # Errors
    /// `PERMISSION_REQUIRED`, `ROLE_INVALID`, `ROLE_BEYOND_CALLER`; where somebody holds it, also `MEMBER_NOT_MANAGEABLE` and `ROLE_NOT_GRANTABLE`.
    pub fn decide_update(&self, old: &CustomRole, new: CustomRole, holders: Holders) -> Result<CustomRoles, Refusal> {
        self.situation.require(MANAGE)?;
        self.require_valid(&new)?;
        self.require_within(old)?;
        self.require_within(&new)?;
        let id = new.id.clone();
        let changed = self.present.with(new);
        if holders.any() {
            self.situation.require(SET_ROLES)?;
            self.situation.require_manages(&[id.clone()].into_iter().collect())?;
            self.require_grants(&self.base.with_custom_roles(&changed), &id)?;
        }
        Ok(changed)
    }

    /// The custom roles once one has been deleted.
    ///
    /// # Errors
    /// `PERMISSION_REQUIRED`, `ROLE_BEYOND_CALLER`, `ROLE_IN_USE`.
    pub fn decide_delete(&self, old: &CustomRole, holders: Holders) -> Result<CustomRoles, Refusal> {
        self.situation.require(MANAGE)?;
        self.require_within(old)?;
        if holders.any() {
            return Err(Refusal::new(Reason::RoleInUse)
                .with("members", holders.members.to_string())
                .with("invitations", holders.invitations.to_string())
                .with("hint", "give the members other roles and revoke the invitations first"));
        }
        Ok(self.present.without(&old.id))
    }

    /// A role that the access model allows: the rules of its validation, for one role.
    fn require_valid(&self, role: &CustomRole) -> Result<(), Refusal> {
        let invalid = |key: &'static str, value: &str, hint: &str| {
            Err(Refusal::new(Reason::RoleInvalid).with(key, value).with("hint", hint))
        };
        if !role.id.as_str().starts_with(CUSTOM_PREFIX) {
            return invalid("role", role.id.as_str(), "the id has to begin with custom.");
        }
        let unknown = role.permissions.iter().filter(|id| self.base.permission(id.as_str()).is_none());
        let refusal = Refusal::new(Reason::RoleInvalid).naming(PERMISSIONS, unknown.map(PermissionId::as_str));
        if refusal.states_facts() {
            return Err(refusal.with("hint", "the access model has no such permission"));
        }
        for id in role.grants.iter().chain(&role.manages) {
            if id == self.base.owner_role() {
                return invalid("role", id.as_str(), "only the owner role gives itself and changes its holders");
            }
            if self.base.role(id.as_str()).is_none() {
                return invalid("role", id.as_str(), "the access model has no such role");
            }
        }
        let kept = self.base.effective(role).grants;
        if let Some(id) = role.grants.difference(&kept).next() {
            return invalid("role", id.as_str(), "a role gives only roles that have nothing beyond it");
        }
        let lacks = |ids: &[&str]| !ids.iter().any(|id| role.permissions.contains(*id));
        if !role.grants.is_empty() && lacks(GIVING) {
            return invalid(
                "permission",
                GIVING.first().unwrap_or(&""),
                "a role that gives roles needs a permission to do it",
            );
        }
        if !role.manages.is_empty() && lacks(CHANGING) {
            return invalid("permission", SET_ROLES, "a role that changes members needs a permission to do it");
        }
        Ok(())
    }

    /// A member makes and changes only roles that have nothing beyond what they have themselves.
    fn require_within(&self, role: &CustomRole) -> Result<(), Refusal> {
        let Authority::Member { roles, .. } = self.situation.authority else {
            return Ok(());
        };
        let model = self.situation.model;
        let lacking = role.permissions.iter().filter(|id| !model.allows(roles, id.as_str()));
        let not_given = role.grants.iter().filter(|id| !model.may_grant(roles, id));
        let not_managed = role.manages.iter().filter(|id| !model.may_manage(roles, id));
        let beyond: BTreeSet<&str> = not_given.chain(not_managed).map(RoleId::as_str).collect();
        let refusal = Refusal::new(Reason::RoleBeyondCaller)
            .naming(PERMISSIONS, lacking.map(PermissionId::as_str))
            .naming(ROLES, beyond.into_iter());
        if refusal.states_facts() { Err(refusal) } else { Ok(()) }
    }

    /// A member could give the role as it will be, by another role than that itself: by its own strength it could be made to give everything that the member has
    /// by different roles, which no role of theirs could give before.
    fn require_grants(&self, changed: &AccessModel, id: &RoleId) -> Result<(), Refusal> {
        match self.situation.authority {
            Authority::Member { roles, .. } if !changed.may_grant(&roles.without(id), id) => {
                Err(Refusal::new(Reason::RoleNotGrantable).with("role", id.as_str()))
            }
            _ => Ok(()),
        }
    }
}
