//! What a product means by its roles, as data: permissions, roles, ownership, and the rules for invitations and members.
//!
//! A model is one TOML document, validated as a whole by [`AccessModel::parse`]. Code never names a model: whatever differs between products is
//! a field here. What the document may say, and which combinations are refused, stands in [`validation`].

mod custom;
mod difference;
mod document;
mod matrix;
mod registry;
mod replacement;
mod role_set;
mod service_permissions;
#[cfg(test)]
mod tests;
mod validation;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use chrono::TimeDelta;
use data_encoding::HEXLOWER;

#[cfg(test)]
pub(crate) use custom::covers;
pub use custom::{CUSTOM_PREFIX, CustomRole, CustomRoles, MAX_CUSTOM_ROLES};
pub use difference::difference;
pub use matrix::matrix;
pub use registry::{DocumentError, Models};
pub use replacement::{Holders, Invited, Owned, PermissionChange, RightsChange, Usage, rights_changes, stranded};
pub use role_set::{PermissionId, RoleId, RoleSet};
pub use service_permissions::{SERVICE_PERMISSIONS, ServicePermission, is_service_permission};
pub(crate) use validation::{CHANGING, GIVING};
pub use validation::{EDITABLE_FIELDS, MAX_PERMISSIONS, MAX_ROLES, MAX_ROLES_PER_MEMBER, valid_id};

use crate::domain::{
    digest::sha256,
    member::{MemberState, RowState},
};

/// One mistake in a document, by place. Ordered as in the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct ModelError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field, such as `roles[1].grants[0]` (entries from 0); empty where the mistake belongs to none.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ModelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, ", {}", self.path)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// A validated access model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessModel {
    source: String,
    id: String,
    name: String,
    description: String,
    organization_kinds: BTreeSet<String>,
    permissions: Vec<Permission>,
    roles: Vec<Role>,
    role_index: HashMap<RoleId, usize>,
    default_role: Option<RoleId>,
    max_roles_per_member: usize,
    ownership: Ownership,
    invitations: InvitationRules,
    members: MemberRules,
    mfa_required: bool,
    labels: Labels,
    assertions: usize,
}

/// One thing that somebody may be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The id, such as `members.invite`.
    pub id: PermissionId,
    /// The name that people see.
    pub name: String,
    /// What it allows.
    pub description: String,
    /// A class that groups permissions, such as `financial`.
    pub class: Option<String>,
}

/// A set of permissions, grouped by its purpose. Everything inherited is already counted in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The id, such as `admin`.
    pub id: RoleId,
    /// The name that people see.
    pub name: String,
    /// Who should have it.
    pub description: String,
    /// The roles whose permissions, `grants` and `manages` it has as well, as declared.
    pub inherits: Vec<RoleId>,
    /// Every permission of a holder.
    pub permissions: BTreeSet<PermissionId>,
    /// The kinds of organization that know the role; empty: all.
    pub organization_kinds: BTreeSet<String>,
    /// The roles that a holder may give.
    pub grants: BTreeSet<RoleId>,
    /// The roles whose holders a holder may change.
    pub manages: BTreeSet<RoleId>,
    /// Whether an invitation may give it.
    pub invitable: bool,
}

impl Role {
    /// Whether organizations of this kind know the role. An organization without a kind knows only roles of all kinds.
    pub fn in_kind(&self, organization_kind: Option<&str>) -> bool {
        self.organization_kinds.is_empty()
            || organization_kind.is_some_and(|kind| self.organization_kinds.contains(kind))
    }
}

/// Who owns an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The role whose holders own it.
    pub role: RoleId,
    /// How many owners there are.
    pub rule: OwnershipRule,
    /// How ownership is handed over; `None`: it cannot be.
    pub transfer: Option<TransferRules>,
}

/// How many owners an organization has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnershipRule {
    /// One, always. The role changes hands only by transfer.
    ExactlyOne,
    /// One or more who are active.
    AtLeastOneActive,
}

/// How ownership is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRules {
    /// The nominee holds one of these roles.
    pub eligible_roles: BTreeSet<RoleId>,
    /// Of the roles that the new owner held, those that the owner role takes the place of. Where a member holds one role at the most, it takes the place of any.
    pub replaced_roles: BTreeSet<RoleId>,
    /// The role that the previous owner holds afterwards, in place of the owner role.
    pub previous_owner_role: RoleId,
    /// Who has to agree.
    pub confirmation: Confirmation,
}

/// Who has to agree to a transfer of ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nobody: it happens at once.
    None,
    /// The nominee.
    Nominee,
}

/// How people are invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRules {
    /// How long a link can be used.
    pub ttl: TimeDelta,
    /// How many invitations of one address to one organization may be open.
    pub open_per_address: OpenPerAddress,
    /// Whether pending invitations are rows of the roster.
    pub in_roster: bool,
    /// Whether the inviter confirms with a second step first (JH03).
    pub step_up: bool,
}

/// How many invitations of one address to one organization may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenPerAddress {
    /// One; another one is refused.
    One,
    /// Any number, each with its own link (PF04).
    Many,
    /// One; a new one takes the place of the open one.
    Replace,
}

/// What may be done to members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRules {
    /// The fields that others may edit, of [`EDITABLE_FIELDS`].
    pub editable_by_others: BTreeSet<String>,
    /// Whether a member can be created with a password and no invitation (PF07).
    pub direct_creation: bool,
    /// Whether members have usernames (PF09).
    pub usernames: bool,
    /// What removal means.
    pub removal: Removal,
    /// Whether a removed person can be invited or created again.
    pub adding_again_after_removal: bool,
    /// Whether a person who was removed and belongs nowhere else can still sign in, to nothing (JS15), or not at all (JP18).
    pub sign_in_after_removal: bool,
}

/// What removal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It cannot be undone (JP12).
    Final,
    /// A caller who may restore members can undo it.
    Restorable,
    /// Only the service itself, on an operator's behalf, can undo it (PF10).
    ByOperator,
}

/// The product's words for the states of a roster row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Of an active member.
    pub active: String,
    /// Of a pending invitation that is in time.
    pub invited: String,
    /// Of one that has expired.
    pub expired: String,
    /// Of a suspended member.
    pub suspended: String,
    /// Of a removed member.
    pub removed: String,
}

impl AccessModel {
    /// Reads and validates a document.
    ///
    /// # Errors
    /// Every mistake, in the order of the document. Rules that span the document are checked once it has the right form: a document with
    /// syntax errors reports those, one with unknown, missing or ill-typed fields reports the first of each section, permission and role.
    pub fn parse(source: &str) -> Result<Self, Vec<ModelError>> {
        let (reading, document) = document::Reading::new(source)?;
        validation::validate(source, document).map_err(|faults| reading.errors(faults))
    }

    /// The document that the model was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names the document that the model was read from: another one has another name.
    pub fn etag(&self) -> String {
        HEXLOWER.encode(sha256(self.source.as_bytes()).first_chunk::<16>().map_or(&[], |first| first))
    }

    /// The model's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name that people see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The kinds of organization that the model tells apart; empty where it tells none apart.
    pub fn organization_kinds(&self) -> &BTreeSet<String> {
        &self.organization_kinds
    }

    /// The permissions, as declared.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// One permission.
    pub fn permission(&self, id: &str) -> Option<&Permission> {
        self.permissions.iter().find(|permission| permission.id.as_str() == id)
    }

    /// The roles, as declared.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// One role.
    pub fn role(&self, id: &str) -> Option<&Role> {
        self.role_index.get(id).and_then(|index| self.roles.get(*index))
    }

    /// The names of roles, in their order; of one that the model has no more, its id.
    pub fn role_names(&self, roles: &RoleSet) -> Vec<String> {
        let name = |role: &RoleId| self.role(role.as_str()).map_or(role.as_str(), |role| &role.name).to_owned();
        roles.iter().map(name).collect()
    }

    /// The role of a member to whom none was given.
    pub fn default_role(&self) -> Option<&RoleId> {
        self.default_role.as_ref()
    }

    /// How many roles one member may hold.
    pub fn max_roles_per_member(&self) -> usize {
        self.max_roles_per_member
    }

    /// Who owns an organization.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The role whose holders own an organization.
    pub fn owner_role(&self) -> &RoleId {
        &self.ownership.role
    }

    /// How people are invited.
    pub fn invitations(&self) -> &InvitationRules {
        &self.invitations
    }

    /// What may be done to members.
    pub fn members(&self) -> &MemberRules {
        &self.members
    }

    /// Whether every member has to have a second factor. An organization may ask for one where its model does not, and never the other way round.
    pub fn mfa_required(&self) -> bool {
        self.mfa_required
    }

    /// How many assertions the document makes about its roles. They hold, or it would not be a model.
    pub fn assertions(&self) -> usize {
        self.assertions
    }

    /// The product's word for the state of a roster row.
    pub fn label(&self, state: RowState) -> &str {
        match state {
            RowState::Member(MemberState::Active) => &self.labels.active,
            RowState::Member(MemberState::Suspended) => &self.labels.suspended,
            RowState::Member(MemberState::Removed) => &self.labels.removed,
            RowState::Invited => &self.labels.invited,
            RowState::InvitationExpired => &self.labels.expired,
        }
    }

    /// Whether a holder of these roles has the permission. A role or permission that the model does not know gives nothing. Allocates nothing.
    pub fn allows(&self, roles: &RoleSet, permission: &str) -> bool {
        self.known(roles).any(|role| role.permissions.contains(permission))
    }

    /// Every permission of a holder of these roles.
    pub fn permissions_of<'a>(&'a self, roles: &'a RoleSet) -> BTreeSet<&'a PermissionId> {
        self.known(roles).flat_map(|role| &role.permissions).collect()
    }

    /// The roles that give a permission in organizations of this kind.
    pub fn roles_with(&self, permission: &str, organization_kind: Option<&str>) -> Vec<RoleId> {
        let giving = |role: &&Role| role.in_kind(organization_kind) && role.permissions.contains(permission);
        self.roles.iter().filter(giving).map(|role| role.id.clone()).collect()
    }

    /// Those of somebody's roles that give a permission.
    pub fn granting<'a>(&'a self, roles: &'a RoleSet, permission: &str) -> Vec<RoleId> {
        self.known(roles).filter(|role| role.permissions.contains(permission)).map(|role| role.id.clone()).collect()
    }

    /// Whether a holder of these roles may give the role.
    pub fn may_grant(&self, roles: &RoleSet, role: &RoleId) -> bool {
        self.known(roles).any(|held| held.grants.contains(role))
    }

    /// Whether a holder of these roles may change a holder of the role.
    pub fn may_manage(&self, roles: &RoleSet, role: &RoleId) -> bool {
        self.known(roles).any(|held| held.manages.contains(role))
    }

    fn known<'a>(&'a self, roles: &'a RoleSet) -> impl Iterator<Item = &'a Role> {
        roles.iter().filter_map(|role| self.role(role.as_str()))
    }
}
