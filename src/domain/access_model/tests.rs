use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{AccessModel, DocumentError, ModelError, Models, OwnershipRule, RoleId, RoleSet, SERVICE_PERMISSIONS};
use crate::domain::member::MemberState;

const DEFAULT: &str = include_str!("../../models/default.toml");
const JETSTACK: &str = include_str!("../../models/jetstack.toml");

fn roles(ids: &[&str]) -> RoleSet {
    ids.iter().copied().collect()
}

fn shipped(id: &str) -> AccessModel {
    let models = Models::shipped().unwrap();
    AccessModel::clone(models.get(id).unwrap())
}

/// The document with one text replaced, which must occur in it.
fn with(source: &str, old: &str, new: &str) -> String {
    assert!(source.contains(old), "{old:?} is not in the document");
    source.replacen(old, new, 1)
}

fn errors(source: &str) -> Vec<ModelError> {
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
fn the_shipped_models_are_valid() {
    let models = Models::shipped()
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    let ids: Vec<&str> = models.iter().map(|model| model.id()).collect();
    assert_eq!(ids, ["default", "jethub", "jetpack", "jetstack", "packetfabric", "portal"]);
}

#[test]
fn js07_the_fourteen_permissions_are_those_of_the_table() {
    let model = shipped("jetstack");
    let table: &[(&str, &[&str], [bool; 3])] = &[
        ("Import assets", &["assets.import"], [true, true, true]),
        ("Deploy implementations", &["implementations.deploy"], [true, true, true]),
        ("Run audits", &["audits.run"], [true, true, true]),
        ("View activity log", &["activity_log.view"], [true, true, true]),
        ("View stats & leaderboard", &["stats.view"], [true, true, true]),
        ("Manage portals", &["portals.manage"], [true, true, true]),
        ("Create brand configs", &["brand_configs.create"], [true, true, true]),
        ("Invite and remove members", &["members.invite", "members.remove"], [true, true, false]),
        ("Change member roles", &["members.set_roles"], [true, true, false]),
        ("Modify organization settings", &["organization.update"], [true, true, false]),
        ("Manage custom domains", &["domains.manage"], [true, true, false]),
        ("View and manage billing", &["billing.manage"], [true, false, false]),
        ("Delete the organization", &["organization.delete"], [true, false, false]),
        ("Transfer ownership", &["ownership.transfer"], [true, false, false]),
    ];
    for (row, permissions, expected) in table {
        for permission in *permissions {
            let answers = ["owner", "admin", "member"].map(|role| model.allows(&roles(&[role]), permission));
            assert_eq!(answers, *expected, "{row}: {permission}");
        }
    }
    let of_the_table: BTreeSet<&str> =
        table.iter().flat_map(|(_, permissions, _)| permissions.iter().copied()).collect();
    let of_the_model: BTreeSet<&str> = model.permissions().iter().map(|permission| permission.id.as_str()).collect();
    let other: Vec<&&str> =
        of_the_model.difference(&of_the_table).filter(|id| !SERVICE_PERMISSIONS.contains(id)).collect();
    assert!(other.is_empty(), "beyond the table and the service's own: {other:?}");
}

#[test]
fn jh02_permissions_of_several_roles_are_their_union() {
    let model = shipped("jethub");
    let both = roles(&["account_admin", "billing_user"]);
    assert!(!model.allows(&roles(&["account_admin"]), "billing.manage"));
    assert!(!model.allows(&roles(&["billing_user"]), "members.invite"));
    assert!(model.allows(&both, "billing.manage") && model.allows(&both, "members.invite"));
    let single: BTreeSet<_> = [roles(&["account_admin"]), roles(&["billing_user"])]
        .iter()
        .flat_map(|set| model.permissions_of(set).into_iter().cloned().collect::<Vec<_>>())
        .collect();
    assert_eq!(model.permissions_of(&both).into_iter().cloned().collect::<BTreeSet<_>>(), single);
}

#[test]
fn pf03_support_has_nothing_financial_and_read_only_changes_nothing() {
    let model = shipped("packetfabric");
    let (support, read_only, sales) = (roles(&["support"]), roles(&["read_only"]), roles(&["sales"]));
    for permission in model.permissions() {
        if permission.class.as_deref() == Some("financial") {
            assert!(!model.allows(&support, permission.id.as_str()), "{}", permission.id);
        }
    }
    let of = |set: &RoleSet| -> BTreeSet<String> {
        model.permissions_of(set).into_iter().map(ToString::to_string).collect()
    };
    let reading = [
        "services.view",
        "documents.download",
        "invoices.download",
        "billing.view",
        "members.read",
        "organization.read",
    ];
    assert_eq!(of(&read_only), reading.iter().map(ToString::to_string).collect());
    let beyond: Vec<String> = of(&sales).difference(&of(&read_only)).cloned().collect();
    assert_eq!(beyond, ["quotes.manage", "quotes.view"]);
}

#[test]
fn unknown_roles_and_permissions_give_nothing() {
    let model = shipped("default");
    assert!(!model.allows(&roles(&[]), "members.read"));
    assert!(!model.allows(&roles(&["admiral"]), "members.read"));
    assert!(!model.allows(&roles(&["owner"]), "members.fly"));
    assert!(model.permissions_of(&roles(&["admiral"])).is_empty());
    assert!(model.allows(&roles(&["admiral", "member"]), "members.read"));
}

#[test]
fn what_a_role_inherits_is_counted_in() {
    let model = shipped("jetstack");
    let owner = model.role("owner").unwrap();
    assert_eq!(owner.inherits, [RoleId::from("admin")]);
    assert!(owner.permissions.contains("assets.import"), "over two steps");
    assert_eq!(owner.grants, BTreeSet::from(["admin".into(), "member".into()]));
    assert!(!owner.invitable);
    assert_eq!(model.ownership().rule, OwnershipRule::ExactlyOne);
}

#[test]
fn labels_are_the_products_words() {
    let words = |id: &str| {
        let model = shipped(id);
        [MemberState::Active, MemberState::Suspended, MemberState::Removed].map(|state| model.label(state).to_owned())
    };
    assert_eq!(words("jetpack"), ["Active", "Suspended", "Deactivated"]);
    assert_eq!(words("portal"), ["Active", "Suspended", "Revoked"]);
    assert_eq!(shipped("jetpack").labels().invited, "Pending Invitation");
}

#[test]
fn the_source_is_kept() {
    assert_eq!(shipped("default").source(), DEFAULT);
}

#[test]
fn a_role_set_rests_as_a_list_of_strings() {
    let set = roles(&["billing_user", "account_admin", "billing_user"]);
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(text, r#"["account_admin","billing_user"]"#);
    assert_eq!(serde_json::from_str::<RoleSet>(&text).unwrap(), set);
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
        (DEFAULT, "id = \"members.create\"", "id = \"members.creates\"", "permissions", "missing: members.create"),
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
fn nobody_gives_more_than_they_have() {
    // An admin who lacks a permission of the members that it gives.
    let source = with(DEFAULT, "inherits = [\"member\"]\n", "");
    let found = errors(&source);
    let [error] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(error.path, "roles[1].grants[1]");
    assert!(error.message.contains("`admin` may not give `member`, which has permissions beyond those of `admin`: members.read, organization.read"), "{error}");

    // A role that gives somebody who may give more than it may itself, and may change more.
    let source = format!(
        "{DEFAULT}\n[[roles]]\nid = \"clerk\"\nname = \"Clerk\"\ndescription = \"x\"\npermissions = [\"*\"]\ngrants = [\"admin\"]\n"
    );
    let messages: Vec<String> =
        errors(&source).into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.iter().all(|message| message.starts_with("roles[3].grants[0]")), "{messages:?}");
    assert!(
        messages.iter().any(|message| message.contains("may give roles beyond those of `clerk`: member")),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .any(|message| message.contains("may change holders of roles beyond those of `clerk`: admin, member")),
        "{messages:?}"
    );
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
    source = with(&source, "id = \"members.read\"\nname = \"See the team\"", "id = \"members.read\"\nname = 7");
    source = with(&source, "default_role", "defaultrole");
    source.push_str("\n[[roles]]\nid = \"x\"\n");
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
fn a_model_may_ask_for_a_second_factor() {
    let asking = AccessModel::parse(&with(DEFAULT, "[mfa]\nrequired = false", "[mfa]\nrequired = true")).unwrap();
    assert!(asking.mfa_required());
    assert!(!AccessModel::parse(DEFAULT).unwrap().mfa_required());
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
    let room = super::MAX_PERMISSIONS - SERVICE_PERMISSIONS.len();
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

#[test]
fn a_document_takes_the_place_of_a_shipped_one() {
    let ours = with(DEFAULT, "name = \"Default\"", "name = \"Ours\"");
    let new = with(DEFAULT, "id = \"default\"", "id = \"sixth\"");
    let models = Models::with_documents(&[("ours.toml".into(), ours.clone()), ("new.toml".into(), new)]).unwrap();
    assert_eq!(models.get("default").unwrap().name(), "Ours");
    assert_eq!(models.get("sixth").unwrap().name(), "Default");
    assert_eq!(models.iter().count(), 7);

    let errors = Models::with_documents(&[
        ("a.toml".into(), ours.clone()),
        ("b.toml".into(), ours),
        ("c.toml".into(), "id".into()),
    ])
    .unwrap_err();
    assert!(
        matches!(&errors[0], DocumentError::DuplicateId { document, other, .. } if document == "b.toml" && other == "a.toml")
    );
    assert!(errors[1].to_string().starts_with("c.toml: line 1, column"), "{}", errors[1]);
}

proptest! {
    /// Whatever is written, reading it ends with an answer whose places are in the document.
    #[test]
    fn a_mangled_document_is_answered(at in 0..DEFAULT.len(), length in 0..40usize, insert in "\\PC{0,6}|[\\[\\]=\"\\n]{0,6}") {
        let mut source = DEFAULT.to_owned();
        let end = (at + length).min(source.len());
        source.replace_range(at..end, &insert);
        for error in errors(&source) {
            prop_assert!(error.line >= 1 && error.line <= source.matches('\n').count() + 1);
            prop_assert!(!error.message.is_empty());
        }
    }
}
