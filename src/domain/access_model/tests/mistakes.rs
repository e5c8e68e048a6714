//! Documents that are wrong, and what is said of them.

use super::super::{AccessModel, ModelError, SERVICE_PERMISSIONS};
use super::{DEFAULT, JETSTACK, with};

pub(super) fn errors(source: &str) -> Vec<ModelError> {
    AccessModel::parse(source).err().unwrap_or_default()
}

/// The document with one text replaced has exactly this one error, on the line of the new text.
fn assert_error(source: &str, old: &str, new: &str, path: &str, message: &str) {
    let changed = with(source, old, new);
    let found = errors(&changed);
    let [error] = found.as_slice() else {
        panic!("{new:?}: one error expected, found {found:?}");
    };
    assert_eq!(error.path, path, "{error}");
    assert!(error.message.contains(message), "{error}");
    let line = changed.lines().nth(error.line - 1).unwrap();
    let at: String = line.chars().skip(error.column - 1).collect();
    assert!(!at.is_empty(), "{error}: nothing stands there");
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (DEFAULT, "id = \"default\"", "id = \"Default\"", "id", "not an id"),
        (DEFAULT, "id = \"default\"", "id = \"\"", "id", "not an id"),
        (DEFAULT, "id = \"default\"", "id = \"a..b\"", "id", "not an id"),
        (DEFAULT, "name = \"Default\"", "name = \" \"", "name", "empty"),
        (DEFAULT, "name = \"Default\"", "name = \"a\\u0000b\"", "name", "control"),
        (DEFAULT, "default_role = \"member\"", "default_role = \"guest\"", "default_role", "unknown role `guest`"),
        (DEFAULT, "default_role = \"member\"", "default_role = \"owner\"", "default_role", "cannot be the default"),
        (DEFAULT, "max_roles_per_member = 1", "max_roles_per_member = 0", "max_roles_per_member", "between 1 and 50"),
        (DEFAULT, "max_roles_per_member = 1", "max_roles_per_member = -7", "max_roles_per_member", "between 1 and 50"),
        (DEFAULT, "role = \"owner\"", "role = \"emperor\"", "ownership.role", "unknown role `emperor`"),
        (
            DEFAULT,
            "eligible_roles = [\"admin\", \"member\"]",
            "eligible_roles = [\"admin\", \"x\"]",
            "ownership.transfer.eligible_roles[1]",
            "unknown role `x`",
        ),
        (
            DEFAULT,
            "eligible_roles = [\"admin\", \"member\"]",
            "eligible_roles = [\"admin\", \"admin\"]",
            "ownership.transfer.eligible_roles[1]",
            "listed twice",
        ),
        (
            DEFAULT,
            "eligible_roles = [\"admin\", \"member\"]",
            "eligible_roles = []",
            "ownership.transfer.eligible_roles",
            "at least one",
        ),
        (
            DEFAULT,
            "eligible_roles = [\"admin\", \"member\"]",
            "eligible_roles = [\"owner\"]",
            "ownership.transfer.eligible_roles[0]",
            "cannot stand here",
        ),
        (
            DEFAULT,
            "previous_owner_role = \"admin\"",
            "replaced_roles = [\"owner\"]\nprevious_owner_role = \"admin\"",
            "ownership.transfer.replaced_roles[0]",
            "cannot stand here",
        ),
        (
            DEFAULT,
            "previous_owner_role = \"admin\"",
            "replaced_roles = [\"x\"]\nprevious_owner_role = \"admin\"",
            "ownership.transfer.replaced_roles[0]",
            "unknown role `x`",
        ),
        (
            DEFAULT,
            "previous_owner_role = \"admin\"",
            "previous_owner_role = \"owner\"",
            "ownership.transfer.previous_owner_role",
            "cannot stand here",
        ),
        (
            DEFAULT,
            "confirmation = \"none\"",
            "confirmation = \"all\"",
            "ownership.transfer.confirmation",
            "unknown variant",
        ),
        (DEFAULT, "ttl = \"7d\"", "ttl = \"7 days\"", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = \"59s\"", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = \"366d\"", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = \"99999999999999999999d\"", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = \"9223372036854775807d\"", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = 9223372036854775807", "invitations.ttl", "length of time"),
        (DEFAULT, "ttl = \"7d\"", "ttl = true", "invitations.ttl", "whole seconds"),
        (
            DEFAULT,
            "[\"given_name\", ",
            "[\"email\", ",
            "members.editable_by_others[0]",
            "unknown editable field `email`",
        ),
        (DEFAULT, "[\"given_name\", ", "[\"username\", ", "members.editable_by_others[0]", "usernames = true"),
        (DEFAULT, "removed = \"Removed\"", "removed = \"\"", "labels.removed", "empty"),
        (DEFAULT, "removed = \"Removed\"", "gone = \"Removed\"", "labels.gone", "unknown field `gone`"),
        (
            DEFAULT,
            "inherits = [\"member\"]",
            "inherits = [\"member\", \"members\"]",
            "roles[1].inherits[1]",
            "unknown role `members`",
        ),
        (
            DEFAULT,
            "inherits = [\"member\"]",
            "inherits = [\"member\", \"owner\"]",
            "roles[1].inherits[1]",
            "cannot be inherited",
        ),
        (DEFAULT, "inherits = [\"member\"]", "inherits = [\"member\", \"admin\"]", "roles[1].id", "inherits itself"),
        (
            DEFAULT,
            "inherits = [\"member\"]",
            "organization_kinds = [\"partner\"]\ninherits = [\"member\"]",
            "ownership.transfer.previous_owner_role",
            "every kind",
        ),
        (
            DEFAULT,
            "permissions = [\"*\"]",
            "permissions = [\"*\", \"members.read\"]",
            "roles[0].permissions[0]",
            "stands alone",
        ),
        (
            DEFAULT,
            "    \"members.invite\",",
            "    \"members.invites\",",
            "roles[1].permissions[0]",
            "unknown permission `members.invites`",
        ),
        (
            DEFAULT,
            "grants = [\"admin\", \"member\"]",
            "grants = [\"owner\", \"admin\", \"member\"]",
            "roles[1].grants[0]",
            "only the owner role `owner` may give itself",
        ),
        (
            DEFAULT,
            "manages = [\"admin\", \"member\"]",
            "manages = [\"owner\", \"admin\", \"member\"]",
            "roles[1].manages[0]",
            "only the owner role `owner` may change its holders",
        ),
        (
            DEFAULT,
            "permissions = [\"members.read\", ",
            "grants = [\"member\"]\npermissions = [\"members.read\", ",
            "roles[2].id",
            "needs one of the permissions members.invite",
        ),
        (
            DEFAULT,
            "permissions = [\"members.read\", ",
            "manages = [\"member\"]\npermissions = [\"members.read\", ",
            "roles[2].id",
            "needs one of the permissions members.update",
        ),
        (
            DEFAULT,
            "description = \"Belongs to the organization and sees its team.\"",
            "invitable = false\ndescription = \"x\"",
            "default_role",
            "cannot be given by invitation",
        ),
        (JETSTACK, "invitable = false", "invitable = true", "ownership.role", "needs invitable = false"),
        (
            JETSTACK,
            "invitable = false",
            "invitable = false\ngrants = [\"owner\"]",
            "roles[0].grants[0]",
            "it changes hands by transfer",
        ),
    ];
    for (source, old, new, path, message) in cases {
        // Two organization kinds, so that a role can be limited to one of them.
        let source = with(
            source,
            "max_roles_per_member",
            "organization_kinds = [\"customer\", \"partner\"]\nmax_roles_per_member",
        );
        assert_eq!(errors(&source), []);
        let found = errors(&with(&source, old, new));
        if new.contains("organization_kinds") {
            assert!(found.iter().any(|error| error.path == *path && error.message.contains(message)), "{found:?}");
        } else {
            assert_error(&source, old, new, path, message);
        }
    }
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_document() {
    let mut source = with(DEFAULT, "default_role = \"member\"", "default_role = \"guest\"");
    source = with(&source, "ttl = \"7d\"", "ttl = \"7w\"");
    source = with(&source, "inherits = [\"member\"]", "inherits = [\"member\", \"assistant\"]");
    source.push_str("\n[[roles]]\nid = \"member\"\nname = \"Again\"\ndescription = \"x\"\npermissions = [\"fly\"]\n");
    let found = errors(&source);
    let paths: Vec<&str> = found.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        ["default_role", "invitations.ttl", "roles[1].inherits[1]", "roles[3].id", "roles[3].permissions[0]"]
    );
    for (error, text) in found.iter().zip(["\"guest\"", "\"7w\"", "\"assistant\"", "\"member\"", "\"fly\""]) {
        let line = source.lines().nth(error.line - 1).unwrap();
        assert!(line.get(error.column - 1..).unwrap().starts_with(text), "{error}: {line}");
    }
}

#[test]
fn mistakes_of_form_are_reported_for_each_section_and_entry() {
    let mut source = with(DEFAULT, "step_up = false", "step_up = \"no\"");
    source = with(&source, "usernames = false\n", "");
    source = with(&source, "default_role", "defaultrole");
    source.push_str("\n[[permissions]]\nid = \"members.read\"\nname = 7\ndescription = \"x\"\n[[roles]]\nid = \"x\"\n");
    let found: Vec<String> = errors(&source).iter().map(ToString::to_string).collect();
    let expected = [
        ("defaultrole", "unknown field `defaultrole`"),
        ("invitations.step_up", "invalid type: string \"no\", expected a boolean"),
        ("members", "missing field `usernames`"),
        ("permissions[0].name", "invalid type: integer `7`, expected a string"),
        ("roles[3]", "missing field `name`"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (error, (path, message)) in found.iter().zip(expected) {
        assert!(error.contains(&format!(", {path}: ")) && error.contains(message), "{error}");
    }
}

#[test]
fn syntax_errors_are_all_reported_with_their_lines() {
    let found = errors("id = \nname = \"x\"\ndescription 7\n");
    let lines: Vec<usize> = found.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3], "{found:?}");
}

#[test]
fn missing_sections_and_wrong_ones_are_named() {
    let found = errors("");
    assert!(found.iter().any(|error| error.message.contains("missing field `id`")), "{found:?}");
    let source = format!("permissions = 7\n{}", with(DEFAULT, "[mfa]\nrequired = false\n", ""))
        .replace("[[permissions]]", "[[others]]");
    let found: Vec<String> = errors(&source).iter().map(ToString::to_string).collect();
    assert!(found.iter().any(|error| error.contains("permissions: expected an array of tables")), "{found:?}");
}

#[test]
fn limits_hold() {
    let many = |count: usize| -> String {
        (0..count).map(|i| format!("[[permissions]]\nid = \"x{i}\"\nname = \"x\"\ndescription = \"x\"\n")).collect()
    };
    let room = super::super::MAX_PERMISSIONS - SERVICE_PERMISSIONS.len();
    assert_eq!(errors(&format!("{DEFAULT}\n{}", many(room))), []);
    let found = errors(&format!("{DEFAULT}\n{}", many(room + 1)));
    assert!(found.len() == 1 && found[0].message.contains("501 permissions, at most 500"), "{found:?}");
    let roles: String =
        (0..98).map(|i| format!("[[roles]]\nid = \"x{i}\"\nname = \"x\"\ndescription = \"x\"\n")).collect();
    let found = errors(&format!("{DEFAULT}\n{roles}"));
    assert!(found.len() == 1 && found[0].message.contains("101 roles, at most 100"), "{found:?}");
    let found = errors(&format!("# {}\n{DEFAULT}", "x".repeat(1024 * 1024)));
    assert!(found.len() == 1 && found[0].message.contains("longer than"), "{found:?}");
    let id = "a".repeat(65);
    assert_error(DEFAULT, "id = \"default\"", &format!("id = \"{id}\""), "id", "at most 64");
}

#[test]
fn a_cycle_over_several_roles_is_found() {
    let source =
        with(DEFAULT, "permissions = [\"members.read\", ", "inherits = [\"admin\"]\npermissions = [\"members.read\", ");
    let found = errors(&source);
    let paths: Vec<&str> = found.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["roles[1].id", "roles[2].id"]);
}
