//! Roles: what each one may do, give and change, once inheritance is counted in.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::document::{RoleEntry, Text};
use super::super::{CUSTOM_PREFIX, Ownership, OwnershipRule, Permission, PermissionId, Role, RoleId};
use super::{Check, MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, MAX_ROLES};

/// In a role's `permissions`: all that the model declares.
const ALL_PERMISSIONS: &str = "*";

/// Somebody who may give roles needs one of these to do it.
pub(crate) const GIVING: &[&str] = &["members.invite", "members.create", "members.set_roles"];
/// Somebody who may change members needs one of these to do it.
pub(crate) const CHANGING: &[&str] =
    &["members.update", "members.set_roles", "members.suspend", "members.remove", "members.restore"];

/// Reads the roles and works out what each one has by inheritance.
pub(super) fn validate(
    check: &mut Check,
    entries: &[RoleEntry],
    span: &Range<usize>,
    permissions: &[Permission],
    kinds: &BTreeSet<String>,
) -> Vec<Role> {
    check.at_most(MAX_ROLES, entries.len(), "roles", span);
    for entry in entries.iter().filter(|entry| entry.id.get_ref().starts_with(CUSTOM_PREFIX)) {
        check.fault(
            entry.id.span(),
            format!(
                "ids that begin with `{CUSTOM_PREFIX}` are kept for the roles that organizations make for themselves"
            ),
        );
    }
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.id.get_ref().as_str()).collect();
    let known = |id: &str| names.contains(id);
    let mut declared = BTreeSet::new();
    let own: Vec<Role> = entries
        .iter()
        .map(|entry| Role {
            id: RoleId::from(check.declare(&entry.id, "role", &mut declared)),
            name: check.text(&entry.name, MAX_NAME_LENGTH),
            description: check.text(&entry.description, MAX_DESCRIPTION_LENGTH),
            inherits: check.references::<RoleId>(&entry.inherits, "role", known).into_iter().collect(),
            permissions: own_permissions(check, &entry.permissions, permissions),
            organization_kinds: check
                .references(&entry.organization_kinds, "organization kind", |kind| kinds.contains(kind)),
            grants: check.references(&entry.grants, "role", known),
            manages: check.references(&entry.manages, "role", known),
            invitable: entry.invitable.as_ref().is_none_or(|invitable| *invitable.get_ref()),
        })
        .collect();

    let mut roles = own.clone();
    for (role, entry) in roles.iter_mut().zip(entries) {
        let ancestors = ancestors(&role.id, &own);
        if ancestors.contains(&role.id) {
            check
                .fault(entry.id.span(), format!("`{}` inherits itself, by way of the roles that it inherits", role.id));
        }
        for ancestor in own.iter().filter(|ancestor| ancestors.contains(&ancestor.id)) {
            role.permissions.extend(ancestor.permissions.iter().cloned());
            role.grants.extend(ancestor.grants.iter().cloned());
            role.manages.extend(ancestor.manages.iter().cloned());
        }
    }
    roles
}

fn own_permissions(check: &mut Check, texts: &[Text], permissions: &[Permission]) -> BTreeSet<PermissionId> {
    if let Some(star) = texts.iter().find(|text| text.get_ref() == ALL_PERMISSIONS) {
        if texts.len() > 1 {
            check.fault(star.span(), "`*` stands for every permission, and so stands alone");
        }
        return permissions.iter().map(|permission| permission.id.clone()).collect();
    }
    let declared: BTreeSet<&str> = permissions.iter().map(|permission| permission.id.as_str()).collect();
    check.references(texts, "permission", |id| declared.contains(id))
}

/// Every role that one role inherits, by whatever way.
fn ancestors(role: &RoleId, roles: &[Role]) -> BTreeSet<RoleId> {
    let mut found = BTreeSet::new();
    let mut open = vec![role];
    while let Some(next) = open.pop() {
        for parent in roles.iter().filter(|role| &role.id == next).flat_map(|role| &role.inherits) {
            if found.insert(parent.clone()) {
                open.push(parent);
            }
        }
    }
    found
}

/// Checks who may give and change which role. The reasons stand at the top of the parent module.
///
/// Looking at what a role declares itself is enough: what it inherits is checked at the role that declares it, and the heir has no less.
pub(super) fn validate_authority(check: &mut Check, entries: &[RoleEntry], roles: &[Role], ownership: &Ownership) {
    let owner = &ownership.role;
    for (entry, role) in entries.iter().zip(roles) {
        if let Some(text) = entry.inherits.iter().find(|text| text.get_ref() == owner.as_str()) {
            check.fault(
                text.span(),
                format!(
                    "the owner role `{owner}` cannot be inherited: its holders count as owners, an heir's would not"
                ),
            );
        }
        for text in &entry.grants {
            if text.get_ref() == owner.as_str() {
                if ownership.rule == OwnershipRule::ExactlyOne {
                    check.fault(text.span(), format!("with the rule exactly_one, nobody gives the owner role `{owner}`: it changes hands by transfer"));
                } else if &role.id != owner {
                    check.fault(text.span(), format!("only the owner role `{owner}` may give itself"));
                }
            } else if &role.id != owner
                && let Some(given) = roles.iter().find(|given| given.id.as_str() == text.get_ref())
            {
                validate_grant(check, role, given, text);
            }
        }
        for text in &entry.manages {
            if text.get_ref() == owner.as_str() && &role.id != owner {
                check.fault(text.span(), format!("only the owner role `{owner}` may change its holders"));
            }
        }
        let holds_one = |ids: &[&str]| ids.iter().any(|id| role.permissions.contains(*id));
        if !role.grants.is_empty() && !holds_one(GIVING) {
            check.fault(
                entry.id.span(),
                format!("`{}` may give roles, and so needs one of the permissions {}", role.id, GIVING.join(", ")),
            );
        }
        if !role.manages.is_empty() && !holds_one(CHANGING) {
            check.fault(
                entry.id.span(),
                format!(
                    "`{}` may change members, and so needs one of the permissions {}",
                    role.id,
                    CHANGING.join(", ")
                ),
            );
        }
    }
}

/// A role other than the owner's gives nothing that it lacks.
fn validate_grant(check: &mut Check, giver: &Role, given: &Role, text: &Text) {
    let lists = [
        ("has permissions", lacking(&given.permissions, &giver.permissions)),
        ("may give roles", lacking(&given.grants, &giver.grants)),
        ("may change holders of roles", lacking(&given.manages, &giver.manages)),
    ];
    for (what, lacking) in lists {
        if !lacking.is_empty() {
            check.fault(
                text.span(),
                format!(
                    "`{}` may not give `{}`, which {what} beyond those of `{}`: {}",
                    giver.id,
                    given.id,
                    giver.id,
                    lacking.join(", ")
                ),
            );
        }
    }
}

fn lacking<T: Ord + ToString>(wanted: &BTreeSet<T>, held: &BTreeSet<T>) -> Vec<String> {
    wanted.difference(held).map(ToString::to_string).collect()
}
