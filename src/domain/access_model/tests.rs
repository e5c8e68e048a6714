mod mistakes;

use mistakes::errors;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    AccessModel, DocumentError, Models, OwnershipRule, RoleId, RoleSet, SERVICE_PERMISSIONS, is_service_permission,
};
use crate::domain::member::{MemberState, RowState};

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
    let other: Vec<&&str> = of_the_model.difference(&of_the_table).filter(|id| !is_service_permission(id)).collect();
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
        [MemberState::Active, MemberState::Suspended, MemberState::Removed]
            .map(|state| model.label(RowState::Member(state)).to_owned())
    };
    assert_eq!(words("jetpack"), ["Active", "Suspended", "Deactivated"]);
    assert_eq!(words("portal"), ["Active", "Suspended", "Revoked"]);
    assert_eq!(shipped("jetpack").label(RowState::Invited), "Pending Invitation");
    assert_eq!(shipped("jetpack").label(RowState::InvitationExpired), "Invitation Expired");
    // Without a word of its own.
    assert_eq!(shipped("jethub").label(RowState::InvitationExpired), "Inactive");
}

/// A document that lists all of the service's permissions, as all had to once, is still one; it may word them for itself.
#[test]
fn the_services_permissions_are_there_whether_listed_or_not() {
    let bare = shipped("default");
    let ids = |model: &AccessModel| -> Vec<String> {
        model.permissions().iter().map(|permission| permission.id.to_string()).collect()
    };
    assert_eq!(ids(&bare), SERVICE_PERMISSIONS.map(|permission| permission.id));
    let mut source = DEFAULT.to_owned();
    for id in SERVICE_PERMISSIONS.iter().rev().map(|permission| permission.id) {
        source.push_str(&format!("\n[[permissions]]\nid = \"{id}\"\nname = \"Ours\"\ndescription = \"x\"\n"));
    }
    let listed = AccessModel::parse(&source).unwrap();
    assert_eq!(ids(&listed), ids(&bare).into_iter().rev().collect::<Vec<_>>());
    assert!(listed.permissions().iter().all(|permission| permission.name == "Ours"));
    let some = "\n[[permissions]]\nid = \"audit.read\"\nname = \"Ours\"\ndescription = \"x\"\n[[permissions]]\nid = \"a\"\nname = \"A\"\ndescription = \"x\"\n";
    let mixed = AccessModel::parse(&format!("{DEFAULT}{some}")).unwrap();
    assert_eq!(ids(&mixed)[..3], ["audit.read", "a", "members.read"]);
    assert_eq!(ids(&mixed).len(), SERVICE_PERMISSIONS.len() + 1);
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
fn a_model_may_ask_for_a_second_factor() {
    let asking = AccessModel::parse(&with(DEFAULT, "[mfa]\nrequired = false", "[mfa]\nrequired = true")).unwrap();
    assert!(asking.mfa_required());
    assert!(!AccessModel::parse(DEFAULT).unwrap().mfa_required());
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
