//! Which documents are valid access models.
//!
//! Two thoughts stand behind the rules on roles:
//!
//! - **Nobody hands out more than they have.** A role may give another one only if it has all of that role's permissions, and may give and change
//!   everyone whom that role may give and change. Then no chain of invitations and role changes, by however many members, yields a permission
//!   that none of them could give (abuse case ab_17).
//! - **The owner role is the source of authority and the one exception.** It may give roles with permissions that it does not use itself, such as
//!   a billing role. So only the owner role may give itself or change its holders, and no role inherits it.

mod assertions;
mod roles;

pub(crate) use roles::{CHANGING, GIVING};

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::TimeDelta;

use super::document::{
    ConfirmationWord, Document, Fault, Head, InvitationsSection, LabelsSection, MembersSection, OpenWord,
    OwnershipSection, PermissionEntry, RemovalWord, RuleWord, Text, TransferSection, TtlWord,
};
use super::{
    AccessModel, Confirmation, InvitationRules, Labels, MemberRules, OpenPerAddress, Ownership, OwnershipRule,
    Permission, PermissionId, Removal, Role, RoleId, SERVICE_PERMISSIONS, TransferRules,
};

/// The most permissions that one model declares.
pub const MAX_PERMISSIONS: usize = 500;
/// The most roles that one model declares.
pub const MAX_ROLES: usize = 100;
/// The most roles that a model may let one member hold.
pub const MAX_ROLES_PER_MEMBER: usize = 50;

/// The fields of a member that a model may let others edit. Address, password and second factor are never among them (JP10): whoever can change
/// those can take the account over.
pub const EDITABLE_FIELDS: &[&str] = &["given_name", "family_name", "display_name", "username"];

const MAX_KINDS: usize = 50;
const MAX_ID_LENGTH: usize = 64;
const MAX_NAME_LENGTH: usize = 100;
const MAX_DESCRIPTION_LENGTH: usize = 1000;
const MIN_TTL: TimeDelta = TimeDelta::minutes(1);
const MAX_TTL: TimeDelta = TimeDelta::days(365);

/// Validates a document as a whole.
pub(super) fn validate(source: &str, document: Document) -> Result<AccessModel, Vec<Fault>> {
    let mut check = Check::default();
    let head = document.head;
    let id = check.id(&head.id);
    let name = check.text(&head.name, MAX_NAME_LENGTH);
    let description = check.text(&head.description, MAX_DESCRIPTION_LENGTH);
    let max_roles_per_member = check.max_roles_per_member(&head);

    if let Some(kind) = head.organization_kinds.get(MAX_KINDS) {
        check.fault(kind.span(), format!("at most {MAX_KINDS} organization kinds are allowed"));
    }
    let mut organization_kinds = BTreeSet::new();
    for kind in &head.organization_kinds {
        check.declare(kind, "organization kind", &mut organization_kinds);
    }

    let permissions = check.permissions(&document.permissions, &document.permissions_span);
    let roles = roles::validate(&mut check, &document.roles, &document.roles_span, &permissions, &organization_kinds);
    let default_role = head.default_role.as_ref().map(|role| RoleId::from(role.get_ref().as_str()));
    let ownership = check.ownership(&document.ownership, &roles);
    roles::validate_authority(&mut check, &document.roles, &roles, &ownership);
    if let Some(role) = &head.default_role {
        check.default_role(role, &roles, &ownership);
    }
    let invitations = check.invitations(&document.invitations);
    let members = check.members(&document.members);
    let labels = check.labels(&document.labels);
    // Of roles that are wrong by themselves nothing is asserted.
    if check.faults.is_empty() {
        assertions::validate(&mut check, &document.assertions, &roles, &permissions);
    }

    if !check.faults.is_empty() {
        return Err(check.faults);
    }
    Ok(AccessModel {
        source: source.to_owned(),
        id,
        name,
        description,
        organization_kinds,
        permissions,
        role_index: roles.iter().enumerate().map(|(index, role)| (role.id.clone(), index)).collect(),
        roles,
        default_role,
        max_roles_per_member,
        ownership,
        invitations,
        members,
        mfa_required: *document.mfa.required.get_ref(),
        labels,
        assertions: document.assertions.len(),
    })
}

/// The faults found so far, and the checks that find them.
#[derive(Default)]
struct Check {
    faults: Vec<Fault>,
}

impl Check {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault { span, message: message.into() });
    }

    fn at_most(&mut self, limit: usize, count: usize, what: &str, span: &Range<usize>) {
        if count > limit {
            self.fault(span.clone(), format!("{count} {what}, at most {limit} are allowed"));
        }
    }

    fn text(&mut self, text: &Text, max: usize) -> String {
        let value = text.get_ref();
        let length = value.chars().count();
        if value.trim().is_empty() {
            self.fault(text.span(), "must not be empty");
        } else if length > max {
            self.fault(text.span(), format!("{length} characters, at most {max} are allowed"));
        } else if value.chars().any(char::is_control) {
            self.fault(text.span(), "must be one line without control characters");
        }
        value.clone()
    }

    fn id(&mut self, text: &Text) -> String {
        let value = text.get_ref();
        if !valid_id(value) {
            self.fault(
                text.span(),
                format!("`{}` is not an id: words of a-z, 0-9 and _ that begin with a letter, joined by dots, at most {MAX_ID_LENGTH} characters", value.escape_debug()),
            );
        }
        value.clone()
    }

    /// An id that must not have been declared before.
    fn declare(&mut self, text: &Text, what: &str, declared: &mut BTreeSet<String>) -> String {
        let id = self.id(text);
        if !declared.insert(id.clone()) {
            self.fault(text.span(), format!("the {what} `{id}` is declared twice"));
        }
        id
    }

    /// Ids that must have been declared, each once.
    fn references<T: From<String> + Ord>(
        &mut self,
        texts: &[Text],
        what: &str,
        known: impl Fn(&str) -> bool,
    ) -> BTreeSet<T> {
        let mut found = BTreeSet::new();
        for text in texts {
            let id = text.get_ref();
            if !known(id) {
                self.fault(text.span(), format!("unknown {what} `{}`", id.escape_debug()));
            } else if !found.insert(T::from(id.clone())) {
                self.fault(text.span(), format!("the {what} `{id}` is listed twice"));
            }
        }
        found
    }

    fn max_roles_per_member(&mut self, head: &Head) -> usize {
        let value = *head.max_roles_per_member.get_ref();
        let limit = usize::try_from(value).unwrap_or(0);
        if limit == 0 || limit > MAX_ROLES_PER_MEMBER {
            self.fault(
                head.max_roles_per_member.span(),
                format!("{value} is not between 1 and {MAX_ROLES_PER_MEMBER}"),
            );
        }
        limit
    }

    fn permissions(&mut self, entries: &[PermissionEntry], span: &Range<usize>) -> Vec<Permission> {
        let mut declared = BTreeSet::new();
        let mut permissions: Vec<Permission> = entries
            .iter()
            .map(|entry| Permission {
                id: PermissionId::from(self.declare(&entry.id, "permission", &mut declared)),
                name: self.text(&entry.name, MAX_NAME_LENGTH),
                description: self.text(&entry.description, MAX_DESCRIPTION_LENGTH),
                class: entry.class.as_ref().map(|class| self.id(class)),
            })
            .collect();
        // A document names only those of the service's own that it words otherwise.
        let own = SERVICE_PERMISSIONS.iter().filter(|permission| !declared.contains(permission.id));
        permissions.extend(own.map(Permission::from));
        self.at_most(MAX_PERMISSIONS, permissions.len(), "permissions", span);
        permissions
    }

    /// A role that a section names, and where it must exist in every organization.
    fn role<'r>(&mut self, text: &Text, roles: &'r [Role]) -> Option<&'r Role> {
        let role = roles.iter().find(|role| role.id.as_str() == text.get_ref());
        if role.is_none() {
            self.fault(text.span(), format!("unknown role `{}`", text.get_ref().escape_debug()));
        }
        role
    }

    fn role_of_every_kind<'r>(&mut self, text: &Text, roles: &'r [Role]) -> Option<&'r Role> {
        let role = self.role(text, roles)?;
        if !role.organization_kinds.is_empty() {
            self.fault(text.span(), format!("`{}` must exist in every kind of organization to be used here", role.id));
        }
        Some(role)
    }

    fn ownership(&mut self, section: &OwnershipSection, roles: &[Role]) -> Ownership {
        let owner = self.role_of_every_kind(&section.role, roles);
        let rule = match section.rule {
            RuleWord::ExactlyOne => OwnershipRule::ExactlyOne,
            RuleWord::AtLeastOneActive => OwnershipRule::AtLeastOneActive,
        };
        if let Some(owner) = owner {
            if rule == OwnershipRule::ExactlyOne && owner.invitable {
                self.fault(
                    section.role.span(),
                    format!("with the rule exactly_one, `{}` needs invitable = false", owner.id),
                );
            }
            if section.transfer.is_some() && !owner.permissions.contains("ownership.transfer") {
                self.fault(
                    section.role.span(),
                    format!("`{}` transfers ownership, and so needs the permission `ownership.transfer`", owner.id),
                );
            }
        }
        Ownership {
            role: RoleId::from(section.role.get_ref().as_str()),
            rule,
            transfer: section.transfer.as_ref().map(|transfer| self.transfer(transfer, &section.role, roles)),
        }
    }

    fn transfer(&mut self, section: &TransferSection, owner: &Text, roles: &[Role]) -> TransferRules {
        let eligible = section.eligible_roles.get_ref();
        if eligible.is_empty() {
            self.fault(
                section.eligible_roles.span(),
                "at least one role has to be eligible; leave the section out if ownership cannot be transferred",
            );
        }
        for text in eligible.iter().chain(&section.replaced_roles).chain([&section.previous_owner_role]) {
            if text.get_ref() == owner.get_ref() {
                self.fault(text.span(), format!("the owner role `{}` cannot stand here", owner.get_ref()));
            }
        }
        self.role_of_every_kind(&section.previous_owner_role, roles);
        let known = |id: &str| roles.iter().any(|role| role.id.as_str() == id);
        TransferRules {
            eligible_roles: self.references(eligible, "role", known),
            replaced_roles: self.references(&section.replaced_roles, "role", known),
            previous_owner_role: RoleId::from(section.previous_owner_role.get_ref().as_str()),
            confirmation: match section.confirmation {
                ConfirmationWord::None => Confirmation::None,
                ConfirmationWord::Nominee => Confirmation::Nominee,
            },
        }
    }

    /// The default role goes to whomever nobody chose a role for, so it has to be an ordinary one that can be given everywhere.
    fn default_role(&mut self, text: &Text, roles: &[Role], ownership: &Ownership) {
        let Some(role) = self.role_of_every_kind(text, roles) else {
            return;
        };
        if role.id == ownership.role {
            self.fault(text.span(), format!("the owner role `{}` cannot be the default", role.id));
            return;
        }
        if !role.invitable {
            self.fault(
                text.span(),
                format!("`{}` cannot be given by invitation, and so cannot be the default", role.id),
            );
        }
        let owner = roles.iter().find(|owner| owner.id == ownership.role);
        if owner.is_some_and(|owner| !owner.grants.contains(&role.id)) {
            self.fault(
                text.span(),
                format!("the owner role `{}` has to be able to give the default role `{}`", ownership.role, role.id),
            );
        }
    }

    fn invitations(&mut self, section: &InvitationsSection) -> InvitationRules {
        let ttl = match section.ttl.get_ref() {
            TtlWord::Seconds(seconds) => TimeDelta::try_seconds(*seconds),
            TtlWord::Text(text) => parse_duration(text),
        };
        let ttl = ttl.filter(|ttl| (MIN_TTL..=MAX_TTL).contains(ttl));
        if ttl.is_none() {
            self.fault(
                section.ttl.span(),
                "not a length of time between 1m and 365d: whole seconds, or a text such as \"7d\" (s, m, h, d)",
            );
        }
        InvitationRules {
            ttl: ttl.unwrap_or_default(),
            open_per_address: match section.open_per_address {
                OpenWord::One => OpenPerAddress::One,
                OpenWord::Many => OpenPerAddress::Many,
                OpenWord::Replace => OpenPerAddress::Replace,
            },
            in_roster: section.in_roster,
            step_up: section.step_up,
        }
    }

    fn members(&mut self, section: &MembersSection) -> MemberRules {
        for field in &section.editable_by_others {
            if field.get_ref() == "username" && !section.usernames {
                self.fault(field.span(), "`username` can be edited only where usernames = true");
            }
        }
        MemberRules {
            editable_by_others: self
                .references(&section.editable_by_others, "editable field", |field| EDITABLE_FIELDS.contains(&field)),
            direct_creation: section.direct_creation,
            usernames: section.usernames,
            removal: match section.removal {
                RemovalWord::Final => Removal::Final,
                RemovalWord::Restorable => Removal::Restorable,
                RemovalWord::ByOperator => Removal::ByOperator,
            },
            adding_again_after_removal: section.adding_again_after_removal,
            sign_in_after_removal: section.sign_in_after_removal,
        }
    }

    fn labels(&mut self, section: &LabelsSection) -> Labels {
        Labels {
            active: self.text(&section.active, MAX_NAME_LENGTH),
            invited: self.text(&section.invited, MAX_NAME_LENGTH),
            // A product that has no word of its own for it goes on calling it invited.
            expired: self.text(section.expired.as_ref().unwrap_or(&section.invited), MAX_NAME_LENGTH),
            suspended: self.text(&section.suspended, MAX_NAME_LENGTH),
            removed: self.text(&section.removed, MAX_NAME_LENGTH),
        }
    }
}

/// Whether the text can be the id of a model, role, permission or kind: `[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*`, at most 64 characters.
pub fn valid_id(text: &str) -> bool {
    text.len() <= MAX_ID_LENGTH
        && text.split('.').all(|word| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
}

/// A number with one of the units s, m, h and d.
fn parse_duration(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    TimeDelta::try_seconds(number.parse::<i64>().ok()?.checked_mul(seconds)?)
}
