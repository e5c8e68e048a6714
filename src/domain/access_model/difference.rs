//! What two access models decide otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::{AccessModel, Confirmation, OpenPerAddress, OwnershipRule, Removal};

/// What somebody has to know who replaces the first model by the second: one line for each thing that is decided otherwise, sorted. `+` comes, `-` goes, `~` changes. Names and descriptions decide
/// nothing, and are left out.
pub fn difference(one: &AccessModel, other: &AccessModel) -> Vec<String> {
    let (before, after) = (decisions(one), decisions(other));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let line = |name: &&String| match (before.get(*name), after.get(*name)) {
        (None, Some(value)) => Some(format!("+ {name}{}", told(value))),
        (Some(value), None) => Some(format!("- {name}{}", told(value))),
        (Some(old), Some(new)) if old != new => Some(format!("~ {name}: {old} -> {new}")),
        _ => None,
    };
    names.iter().filter_map(line).collect()
}

fn told(value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(": {value}") }
}

/// Everything that a model decides, by name. What is true of a role and nothing more has no value.
fn decisions(model: &AccessModel) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |name: String, value: String| drop(all.insert(name, value));
    for role in model.roles() {
        let id = &role.id;
        put(format!("role {id}"), String::new());
        for permission in &role.permissions {
            put(format!("role {id} may {permission}"), String::new());
        }
        for granted in &role.grants {
            put(format!("role {id} may give {granted}"), String::new());
        }
        for managed in &role.manages {
            put(format!("role {id} may change holders of {managed}"), String::new());
        }
        put(format!("role {id} by invitation"), role.invitable.to_string());
        if !role.organization_kinds.is_empty() {
            put(format!("role {id} only in"), joined(&role.organization_kinds));
        }
    }
    for permission in model.permissions() {
        put(format!("permission {}", permission.id), permission.class.clone().unwrap_or_default());
    }
    for kind in model.organization_kinds() {
        put(format!("organization kind {kind}"), String::new());
    }
    let none = || "none".to_owned();
    put("default_role".to_owned(), model.default_role().map_or_else(none, ToString::to_string));
    put("max_roles_per_member".to_owned(), model.max_roles_per_member().to_string());
    let ownership = model.ownership();
    put("ownership.role".to_owned(), ownership.role.to_string());
    let rule = match ownership.rule {
        OwnershipRule::ExactlyOne => "exactly_one",
        OwnershipRule::AtLeastOneActive => "at_least_one_active",
    };
    put("ownership.rule".to_owned(), rule.to_owned());
    if let Some(transfer) = &ownership.transfer {
        put("ownership.transfer.eligible_roles".to_owned(), joined(&transfer.eligible_roles));
        put("ownership.transfer.replaced_roles".to_owned(), joined(&transfer.replaced_roles));
        put("ownership.transfer.previous_owner_role".to_owned(), transfer.previous_owner_role.to_string());
        let confirmation = match transfer.confirmation {
            Confirmation::None => "none",
            Confirmation::Nominee => "nominee",
        };
        put("ownership.transfer.confirmation".to_owned(), confirmation.to_owned());
    }
    let invitations = model.invitations();
    put("invitations.ttl".to_owned(), format!("{} s", invitations.ttl.num_seconds()));
    let open = match invitations.open_per_address {
        OpenPerAddress::One => "one",
        OpenPerAddress::Many => "many",
        OpenPerAddress::Replace => "replace",
    };
    put("invitations.open_per_address".to_owned(), open.to_owned());
    put("invitations.in_roster".to_owned(), invitations.in_roster.to_string());
    put("invitations.step_up".to_owned(), invitations.step_up.to_string());
    let members = model.members();
    put("members.editable_by_others".to_owned(), joined(&members.editable_by_others));
    put("members.direct_creation".to_owned(), members.direct_creation.to_string());
    put("members.usernames".to_owned(), members.usernames.to_string());
    let removal = match members.removal {
        Removal::Final => "final",
        Removal::Restorable => "restorable",
        Removal::ByOperator => "by_operator",
    };
    put("members.removal".to_owned(), removal.to_owned());
    put("members.adding_again_after_removal".to_owned(), members.adding_again_after_removal.to_string());
    put("members.sign_in_after_removal".to_owned(), members.sign_in_after_removal.to_string());
    put("mfa.required".to_owned(), model.mfa_required().to_string());
    all
}

fn joined<T: ToString>(items: &BTreeSet<T>) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
