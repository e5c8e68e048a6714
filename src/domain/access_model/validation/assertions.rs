//! What a document asserts about its own roles. An assertion that does not hold is a mistake of the document: of the role or of the assertion.

use std::collections::BTreeSet;

use super::Check;
use crate::domain::access_model::{
    Permission, Role,
    document::{AssertionEntry, Text},
};

/// Stands for everything that the other list of an assertion does not name.
const REST: &str = "*";
/// Assertions of one document at the most.
const MAX_ASSERTIONS: usize = 500;

/// Holds every assertion against the roles.
pub(super) fn validate(check: &mut Check, entries: &[AssertionEntry], roles: &[Role], permissions: &[Permission]) {
    if let Some(entry) = entries.get(MAX_ASSERTIONS) {
        check.fault(entry.role.span(), format!("at most {MAX_ASSERTIONS} tests are allowed"));
        return;
    }
    let permission_ids: BTreeSet<&str> = permissions.iter().map(|permission| permission.id.as_str()).collect();
    let role_ids: BTreeSet<&str> = roles.iter().map(|role| role.id.as_str()).collect();
    for entry in entries {
        let Some(role) = roles.iter().find(|role| role.id.as_str() == entry.role.get_ref()) else {
            check.fault(entry.role.span(), format!("there is no role `{}`", entry.role.get_ref().escape_debug()));
            continue;
        };
        let may = |id: &str| role.permissions.contains(id);
        let lists = (entry.may.as_slice(), entry.may_not.as_slice());
        compare(check, lists, &permission_ids, may, |id, not| format!("`{}` may {not}`{id}`", role.id));
        let gives = |id: &str| role.grants.iter().any(|granted| granted.as_str() == id);
        let lists = (entry.grants.as_slice(), entry.grants_not.as_slice());
        compare(check, lists, &role_ids, gives, |id, not| format!("`{}` may {not}give `{id}`", role.id));
        let changes = |id: &str| role.manages.iter().any(|managed| managed.as_str() == id);
        let lists = (entry.manages.as_slice(), entry.manages_not.as_slice());
        compare(check, lists, &role_ids, changes, |id, not| format!("`{}` may {not}change holders of `{id}`", role.id));
    }
}

/// Holds what the two lists name against what is. `sentence` says what is asserted of an id, with `not ` or without.
fn compare(
    check: &mut Check,
    (positive, negative): (&[Text], &[Text]),
    known: &BTreeSet<&str>,
    holds: impl Fn(&str) -> bool,
    sentence: impl Fn(&str, &str) -> String,
) {
    let named = |list: &[Text]| -> BTreeSet<String> { list.iter().map(|text| text.get_ref().clone()).collect() };
    for (list, others, expected) in [(positive, named(negative), true), (negative, named(positive), false)] {
        for text in list {
            let told: Vec<&str> = match text.get_ref().as_str() {
                REST => known.iter().copied().filter(|id| !others.contains(*id)).collect(),
                id if known.contains(id) => vec![id],
                id => {
                    check.fault(text.span(), format!("the document has no `{}`", id.escape_debug()));
                    continue;
                }
            };
            for id in told.into_iter().filter(|id| holds(id) != expected) {
                let not = if expected { "" } else { "not " };
                check.fault(text.span(), format!("the test does not hold: {}", sentence(id, not)));
            }
        }
    }
}
