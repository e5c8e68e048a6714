//! The permissions of the service itself, which every model has.

use super::Permission;

/// A permission that guards calls of the service. Every model has all of them, so that a role's list always says who may make these calls.
#[derive(Debug, Clone, Copy)]
pub struct ServicePermission {
    /// Its id, which the contract names beside each method.
    pub id: &'static str,
    /// What people read, where a model does not word it for itself.
    pub name: &'static str,
    /// What it allows, in one sentence.
    pub description: &'static str,
}

impl From<&ServicePermission> for Permission {
    fn from(permission: &ServicePermission) -> Self {
        Self {
            id: permission.id.into(),
            name: permission.name.to_owned(),
            description: permission.description.to_owned(),
            class: None,
        }
    }
}

/// All of them, in the order in which a model lists those that its document leaves out.
pub const SERVICE_PERMISSIONS: [ServicePermission; 16] = [
    ServicePermission { id: "members.read", name: "See the team", description: "See the roster and its rows." },
    ServicePermission {
        id: "members.invite",
        name: "Invite people",
        description: "Invite people, and resend and revoke their invitations.",
    },
    ServicePermission {
        id: "members.create",
        name: "Create members",
        description: "Create a member with a password and no invitation.",
    },
    ServicePermission {
        id: "members.update",
        name: "Edit members",
        description: "Edit the fields of members that the model lets others edit.",
    },
    ServicePermission { id: "members.set_roles", name: "Change roles", description: "Change the roles of members." },
    ServicePermission {
        id: "members.suspend",
        name: "Suspend members",
        description: "Suspend members and activate them again.",
    },
    ServicePermission { id: "members.remove", name: "Remove members", description: "Remove members." },
    ServicePermission { id: "members.restore", name: "Restore members", description: "Restore removed members." },
    ServicePermission {
        id: "roles.manage",
        name: "Manage custom roles",
        description: "Create, change and delete the organization's own roles.",
    },
    ServicePermission {
        id: "organization.read",
        name: "See the organization",
        description: "See the organization's settings.",
    },
    ServicePermission {
        id: "organization.update",
        name: "Change the organization",
        description: "Change the organization's settings.",
    },
    ServicePermission {
        id: "organization.delete",
        name: "Delete the organization",
        description: "Delete the organization.",
    },
    ServicePermission {
        id: "ownership.transfer",
        name: "Transfer ownership",
        description: "Hand ownership over to another member.",
    },
    ServicePermission {
        id: "contacts.manage",
        name: "Manage contacts",
        description: "Manage the contacts that get notifications.",
    },
    ServicePermission { id: "audit.read", name: "Read the audit log", description: "Read who changed what, and when." },
    ServicePermission {
        id: "activity.read",
        name: "Read member activity",
        description: "Read what members did: sign-ins, actions and counters.",
    },
];

/// Whether a permission is one of the service's own.
pub fn is_service_permission(id: &str) -> bool {
    SERVICE_PERMISSIONS.iter().any(|permission| permission.id == id)
}
