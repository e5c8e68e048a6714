//! The actions that a row offers.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::*;
use super::{ACTOR, OTHER, active, by, model, owners, refused, set, target};
use crate::domain::actions::{Row, allowed_actions};
use crate::domain::invitation::Invitation;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn actions(situation: &Situation<'_>, row: &Row<'_>) -> Vec<Action> {
    allowed_actions(situation, |_| true, row, at(0))
}

#[test]
fn jh13_each_row_names_the_actions_of_the_document() {
    let model = model("jethub");
    let (admin, standard) = (set(&["account_admin"]), set(&["standard_user"]));
    let invitation = Invitation::issue(&model, "a@x.example".into(), standard.clone(), at(0));
    let situation = by(&model, &admin);
    assert_eq!(
        actions(&situation, &Row::Invitation(&invitation)),
        [Action::ResendInvitation, Action::RevokeInvitation]
    );
    assert_eq!(actions(&situation, &row(active(&standard))), [Action::SetRoles, Action::Remove]);
    assert_eq!(actions(&situation, &row(target(OTHER, &standard, MemberState::Removed))), []);
    for roles in [&standard, &set(&["billing_user"])] {
        assert_eq!(actions(&by(&model, roles), &row(active(&standard))), []);
        assert_eq!(actions(&by(&model, roles), &Row::Invitation(&invitation)), []);
    }
}

#[test]
fn actions_depend_on_row_caller_and_credential() {
    let model = model("jetstack");
    let (owner, admin, member) = (set(&["owner"]), set(&["admin"]), set(&["member"]));
    let me = target(ACTOR, &owner, MemberState::Active);
    let situation = by(&model, &owner);
    assert_eq!(actions(&situation, &row(me)), [], "the one owner's own row");
    let manage = [Action::SetRoles, Action::Suspend, Action::Remove];
    assert_eq!(actions(&situation, &row(active(&admin))), [&manage[..], &[Action::TransferOwnership]].concat());
    assert_eq!(actions(&situation, &row(active(&member))), manage);
    assert_eq!(actions(&by(&model, &admin), &row(active(&admin))), manage);
    assert_eq!(actions(&by(&model, &admin), &row(target(OTHER, &owner, MemberState::Active))), []);
    let suspended = target(OTHER, &member, MemberState::Suspended);
    assert_eq!(actions(&situation, &row(suspended)), [Action::SetRoles, Action::Activate, Action::Remove]);
    let removed = target(OTHER, &member, MemberState::Removed);
    assert_eq!(actions(&situation, &row(removed)), [Action::Restore]);
    let in_scope = |action: Action| action.permission() == "members.remove";
    assert_eq!(allowed_actions(&situation, in_scope, &row(active(&member)), at(0)), [Action::Remove]);
}

#[test]
fn the_last_owners_row_offers_what_its_calls_allow() {
    let model = model("portal");
    let owner = set(&["owner"]);
    let me = target(ACTOR, &owner, MemberState::Active);
    assert_eq!(actions(&by(&model, &owner), &row(me)), [Action::Update]);
    let two = owners(by(&model, &owner), 2);
    assert_eq!(actions(&two, &row(me)), [Action::SetRoles, Action::Update]);
}

#[test]
fn every_action_is_guarded_by_a_permission_of_the_service() {
    for action in Action::ALL {
        assert!(crate::domain::access_model::is_service_permission(action.permission()));
    }
}

fn row(target: Target<'_>) -> Row<'_> {
    Row::Member { target, belongs_elsewhere: false }
}

/// JP09, JP10, JP11, PF09: others edit what the model names, of people who belong nowhere else, and the refusal says what to do instead.
#[test]
fn others_edit_the_fields_that_the_model_names() {
    let (jetpack, packetfabric) = (model("jetpack"), model("packetfabric"));
    let clerk = set(&["customer_success"]);
    let admin = set(&["client_admin"]);
    let situation = by(&jetpack, &admin);
    let target = active(&clerk);
    let update = |fields: &[&str], elsewhere| decide_update(&situation, &target, fields, elsewhere);
    assert_eq!(update(&["given_name", "family_name"], false), Ok(()));
    for field in ["email", "password", "mfa_enabled", "username", "display_name", "roles"] {
        let refusal = refused(update(&["given_name", field], false), Reason::FieldNotEditable);
        assert_eq!(refusal.metadata.first(), Some(&("field", field.to_owned())));
        assert!(refusal.metadata.iter().any(|(key, _)| *key == "hint"), "{field}");
    }
    let email = refused(update(&["email"], false), Reason::FieldNotEditable);
    assert_eq!(email.metadata[1].1, "remove the member and invite the new address");
    refused(update(&["given_name"], true), Reason::FieldNotEditable);

    let admin = set(&["admin"]);
    let regular = set(&["regular"]);
    let situation = by(&packetfabric, &admin);
    assert_eq!(decide_update(&situation, &active(&regular), &["username"], false), Ok(()));
}

/// PF10: what the model leaves to operators, no other service does.
#[test]
fn only_an_operator_restores_where_the_model_says_so() {
    let packetfabric = model("packetfabric");
    let regular = set(&["regular"]);
    let removed = target(OTHER, &regular, MemberState::Removed);
    let service = |operator| Situation { authority: Authority::Service { operator }, ..by(&packetfabric, &regular) };
    refused(decide_restore(&service(false), &removed), Reason::RestoreByOperatorOnly);
    assert_eq!(decide_restore(&service(true), &removed), Ok(regular.clone()));
    let gone = Target { account: UserState::Deleted, ..removed };
    refused(decide_restore(&service(true), &gone), Reason::UserStateConflict);
    refused(decide_restore(&service(false), &gone), Reason::RestoreByOperatorOnly);
}
