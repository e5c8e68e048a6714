//! What the refusals say to do instead: whoever is refused follows it, so that a wrong way out costs more than none.

use super::*;

const ACTIVATE: &str = "activate the suspended member instead";
const SET_ROLES: &str = "set the member's roles instead";
const RESTORE: &str = "restore the member";
const RESTORE_FIRST: &str = "restore the member first";
const ASK_OPERATOR: &str = "ask an operator to restore the member";
const INVITE_AGAIN: &str = "invite the person again";
const PROFILE: &str = "the person edits their own profile";

/// A shipped model with something else in it.
fn changed(id: &str, from: &str, to: &str) -> AccessModel {
    let source = model(id).source().to_owned();
    assert!(source.contains(from));
    AccessModel::parse(&source.replace(from, to)).unwrap()
}

fn somebody(roles: &RoleSet, state: MemberState) -> Target<'_> {
    target(OTHER, roles, state)
}

/// The reason, and the way out where there is one.
fn way_out<T>(result: Result<T, Refusal>) -> (Reason, Option<String>) {
    let refusal = result.err().unwrap();
    let hint = refusal.metadata.into_iter().find(|(key, _)| *key == "hint");
    (refusal.reason, hint.map(|(_, hint)| hint))
}

#[track_caller]
fn says<T>(result: Result<T, Refusal>, reason: Reason, hint: &str) {
    assert_eq!(way_out(result), (reason, Some(hint.to_owned())));
}

#[test]
fn who_is_there_already_is_changed_and_who_is_suspended_is_activated() {
    let model = model("default");
    let add = |state| decide_addition(&model, Some(state));
    says(add(MemberState::Active), Reason::AlreadyMember, SET_ROLES);
    says(add(MemberState::Suspended), Reason::AlreadyMember, ACTIVATE);
}

/// Whom nobody adds again: the way back is the one that the model has.
#[test]
fn who_was_removed_comes_back_as_the_model_says() {
    for (removal, hint) in [("restorable", Some(RESTORE)), ("by_operator", Some(ASK_OPERATOR)), ("final", None)] {
        let changed = changed("packetfabric", "removal = \"by_operator\"", &format!("removal = \"{removal}\""));
        let refused = way_out(decide_addition(&changed, Some(MemberState::Removed)));
        assert_eq!(refused, (Reason::RemovedMember, hint.map(ToOwned::to_owned)), "{removal}");
    }
}

/// Nothing is done to a removed member but what brings them back, and each model has its own way.
#[test]
fn what_is_refused_of_a_removed_member_says_how_they_come_back() {
    for (id, role, hint) in [
        ("default", "member", RESTORE_FIRST),
        ("packetfabric", "regular", ASK_OPERATOR),
        ("jetpack", "customer_success", INVITE_AGAIN),
    ] {
        let (model, roles) = (model(id), set(&[role]));
        let situation = by_service(&model);
        let removed = somebody(&roles, MemberState::Removed);
        says(decide_suspend(&situation, &removed), Reason::MemberStateConflict, hint);
        says(decide_remove(&situation, &removed), Reason::MemberStateConflict, hint);
    }
    let never = changed("jetpack", "adding_again_after_removal = true", "adding_again_after_removal = false");
    let roles = set(&["customer_success"]);
    let removed = somebody(&roles, MemberState::Removed);
    let conflict = (Reason::MemberStateConflict, None);
    assert_eq!(way_out(decide_suspend(&by_service(&never), &removed)), conflict);
    assert_eq!(way_out(decide_restore(&by_service(&never), &removed)), (Reason::RemovalFinal, None));
}

#[test]
fn who_may_not_restore_is_told_who_may() {
    let fabric = model("packetfabric");
    let regular = set(&["regular"]);
    let removed = somebody(&regular, MemberState::Removed);
    let refused = decide_restore(&by_service(&fabric), &removed);
    says(refused, Reason::RestoreByOperatorOnly, ASK_OPERATOR);
}

/// Of each field that others do not edit, what leads to the same end.
#[test]
fn a_field_that_others_do_not_edit_names_what_leads_to_the_same_end() {
    let clerk = set(&["customer_success"]);
    let jetpack = model("jetpack");
    let situation = by_service(&jetpack);
    let update =
        |field: &str, elsewhere| decide_update(&situation, &somebody(&clerk, MemberState::Active), &[field], elsewhere);
    for (field, hint) in [
        ("email", "remove the member and invite the new address"),
        ("password", "the person changes it themselves, or resets it by e-mail"),
        ("mfa_enabled", "the person manages their second factor themselves"),
        ("roles", "set the member's roles with SetMemberRoles"),
        ("state", "suspend, activate, remove or restore the member"),
        ("locale", PROFILE),
    ] {
        says(update(field, false), Reason::FieldNotEditable, hint);
    }
    says(
        update("given_name", true),
        Reason::FieldNotEditable,
        "the person belongs to other organizations too, and edits their own profile",
    );
    says(require_usernames(&jetpack), Reason::FieldNotEditable, "the access model knows no usernames");
}

#[test]
fn who_is_not_created_is_invited_and_who_does_not_leave_is_removed() {
    let model = model("default");
    let default = by_service(&model);
    let member = set(&["member"]);
    let create = decide_create(&default, &member, true);
    says(create, Reason::DirectCreationNotAllowed, "invite the person");
    let leave = decide_leave(&default, &somebody(&member, MemberState::Active));
    says(leave, Reason::MemberNotManageable, "only the member can leave; others are removed");
}

/// Where a model has no role for those of whom nobody says, somebody says.
#[test]
fn without_a_default_role_one_is_named() {
    let jetpack = model("jetpack");
    let refused = decide_invite(&by_service(&jetpack), &RoleSet::default());
    says(refused, Reason::RoleUnknown, "name a role: the access model has no default role");
}
