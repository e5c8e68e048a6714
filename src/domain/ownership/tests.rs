use std::sync::Arc;

use super::*;
use crate::domain::access_model::{AccessModel, Models};
use crate::domain::authority::Owners;
use crate::domain::user::UserState;

fn model(id: &str) -> Arc<AccessModel> {
    Arc::clone(Models::shipped().unwrap().get(id).unwrap())
}

fn set(ids: &[&str]) -> RoleSet {
    ids.iter().copied().collect()
}

fn member(number: u128, roles: &RoleSet, state: MemberState) -> Target<'_> {
    Target { user_id: Uuid::from_u128(number), roles, state, account: UserState::Active }
}

fn by<'a>(model: &'a AccessModel, who: &Target<'a>) -> Situation<'a> {
    let authority = Authority::Member { user_id: who.user_id, roles: who.roles };
    Situation { model, organization_kind: None, authority, owners: Owners { active: 1 } }
}

#[track_caller]
fn refused(result: Result<Transfer, Refusal>, reason: Reason) -> Refusal {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.reason, reason, "{refusal:?}");
    refusal
}

#[test]
fn js12_the_previous_owner_becomes_an_admin() {
    let model = model("jetstack");
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let (from, to) = (member(1, &owner, MemberState::Active), member(2, &admin, MemberState::Active));
    let transfer = decide_transfer(&by(&model, &from), &from, &to).unwrap();
    assert_eq!(transfer.new_owner_roles, owner);
    assert_eq!(transfer.previous_owner_roles, admin);
    assert_eq!(transfer.confirmation, Confirmation::None);

    // JS13: what was the owner now tries to take it back; the new owner can give it back.
    let (previous, current) = (
        member(1, &transfer.previous_owner_roles, MemberState::Active),
        member(2, &transfer.new_owner_roles, MemberState::Active),
    );
    refused(decide_transfer(&by(&model, &previous), &current, &previous), Reason::NotOwner);
    refused(decide_transfer(&by(&model, &previous), &previous, &current), Reason::NotOwner);
    assert!(decide_transfer(&by(&model, &current), &current, &previous).is_ok());
}

#[test]
fn js10_only_the_current_owner_transfers() {
    let model = model("jetstack");
    let (owner, admin, plain) = (set(&["owner"]), set(&["admin"]), set(&["member"]));
    let the_owner = member(1, &owner, MemberState::Active);
    let nominee = member(2, &admin, MemberState::Active);
    for roles in [&admin, &plain] {
        let actor = member(3, roles, MemberState::Active);
        refused(decide_transfer(&by(&model, &actor), &the_owner, &nominee), Reason::NotOwner);
        refused(decide_transfer(&by(&model, &actor), &actor, &nominee), Reason::NotOwner);
    }
    let service = Situation { authority: Authority::Service { operator: false }, ..by(&model, &the_owner) };
    assert!(decide_transfer(&service, &the_owner, &nominee).is_ok());
    refused(decide_transfer(&service, &nominee, &nominee), Reason::NotOwner);
}

#[test]
fn js11_the_nominee_is_an_active_admin() {
    let model = model("jetstack");
    let (owner, admin, plain) = (set(&["owner"]), set(&["admin"]), set(&["member"]));
    let from = member(1, &owner, MemberState::Active);
    let ineligible = [
        member(2, &plain, MemberState::Active),
        member(2, &admin, MemberState::Suspended),
        member(2, &admin, MemberState::Removed),
        from,
    ];
    for nominee in ineligible {
        let refusal = refused(decide_transfer(&by(&model, &from), &from, &nominee), Reason::TransferTargetIneligible);
        assert_eq!(refusal.metadata, [("eligible_roles", "admin".to_owned())]);
    }
}

#[test]
fn a_model_without_transfer_refuses_it() {
    let model = model("portal");
    let (owner, manager) = (set(&["owner"]), set(&["manager"]));
    let from = member(1, &owner, MemberState::Active);
    let nominee = member(2, &manager, MemberState::Active);
    refused(decide_transfer(&by(&model, &from), &from, &nominee), Reason::TransferNotSupported);
}

#[test]
fn an_owner_hands_over_their_own_ownership_only() {
    let model = model("default");
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let (first, second) = (member(1, &owner, MemberState::Active), member(2, &owner, MemberState::Active));
    let nominee = member(3, &admin, MemberState::Active);
    refused(decide_transfer(&by(&model, &first), &second, &nominee), Reason::NotOwner);
    refused(decide_transfer(&by(&model, &first), &first, &second), Reason::TransferTargetIneligible);
}

#[test]
fn only_the_nominee_confirms() {
    let source = model("jetstack").source().replace("confirmation = \"none\"", "confirmation = \"nominee\"");
    let model = AccessModel::parse(&source).unwrap();
    let (owner, admin) = (set(&["owner"]), set(&["admin"]));
    let (from, to) = (member(1, &owner, MemberState::Active), member(2, &admin, MemberState::Active));
    let situation = by(&model, &from);
    for other in [Some(from.user_id), None] {
        let refusal = require_nominee(other, to.user_id).unwrap_err();
        assert_eq!(refusal.reason, Reason::TransferTargetIneligible);
    }
    assert_eq!(require_nominee(Some(to.user_id), to.user_id), Ok(()));
    let transfer = decide_transfer(&situation, &from, &to).unwrap();
    assert_eq!(transfer.confirmation, Confirmation::Nominee);
    // Whoever stopped being the owner in between hands nothing over.
    let demoted = member(1, &admin, MemberState::Active);
    refused(decide_transfer(&by(&model, &demoted), &demoted, &to), Reason::NotOwner);
}

/// The model of several roles a member, whose owner role replaces these.
fn with_several_roles(limit: usize, replaced: &str) -> AccessModel {
    let source =
        model("default").source().replace("max_roles_per_member = 1", &format!("max_roles_per_member = {limit}"));
    AccessModel::parse(
        &source.replace("confirmation = \"none\"", &format!("replaced_roles = [{replaced}]\nconfirmation = \"none\"")),
    )
    .unwrap()
}

#[test]
fn other_roles_stay_with_their_holders() {
    let (owner, both) = (set(&["member", "owner"]), set(&["admin", "member"]));
    let (from, to) = (member(1, &owner, MemberState::Active), member(2, &both, MemberState::Active));
    for (replaced, roles, given_up) in [
        ("", set(&["admin", "member", "owner"]), set(&[])),
        ("\"admin\"", set(&["member", "owner"]), set(&["admin"])),
        ("\"admin\", \"member\"", set(&["owner"]), both.clone()),
    ] {
        let model = with_several_roles(3, replaced);
        let transfer = decide_transfer(&by(&model, &from), &from, &to).unwrap();
        assert_eq!(transfer.new_owner_roles, roles, "{replaced}");
        assert_eq!(transfer.replaced_roles, given_up, "{replaced}");
        assert_eq!(transfer.previous_owner_roles, both, "{replaced}");
    }
    let model = with_several_roles(3, "");
    let co_owner = set(&["admin", "owner"]);
    let to = member(3, &co_owner, MemberState::Active);
    refused(decide_transfer(&by(&model, &from), &from, &to), Reason::TransferTargetIneligible);
}

/// Where a member holds one role, the owner role takes its place; where several, one too many is refused, and none is lost in silence.
#[test]
fn the_owner_role_finds_a_place() {
    let (owner, one, both) = (set(&["owner"]), set(&["member"]), set(&["admin", "member"]));
    let from = member(1, &owner, MemberState::Active);
    let model = with_several_roles(1, "");
    let transfer = decide_transfer(&by(&model, &from), &from, &member(2, &one, MemberState::Active)).unwrap();
    assert_eq!((transfer.new_owner_roles, transfer.replaced_roles), (owner.clone(), one));
    let nominee = member(2, &both, MemberState::Active);
    let model = with_several_roles(2, "");
    let refusal = refused(decide_transfer(&by(&model, &from), &from, &nominee), Reason::TooManyRoles);
    let hint = "take a role from the nominee first".to_owned();
    assert_eq!(refusal.metadata, [("limit", "2".to_owned()), ("hint", hint)]);
    let model = with_several_roles(2, "\"member\"");
    let transfer = decide_transfer(&by(&model, &from), &from, &nominee).unwrap();
    assert_eq!(transfer.new_owner_roles, set(&["admin", "owner"]));
}

/// A transfer that is over says what became of it, and how ownership changes hands from here.
#[test]
fn a_transfer_that_is_over_says_what_leads_on() {
    assert_eq!(require_pending(TransferStatus::Pending), Ok(()));
    let again = "ask the owner for a new transfer";
    for (status, state, hint) in [
        (TransferStatus::Completed, "COMPLETED", "the new owner can transfer it back"),
        (TransferStatus::Cancelled, "CANCELLED", again),
        (TransferStatus::Expired, "EXPIRED", again),
    ] {
        let refusal = require_pending(status).unwrap_err();
        assert_eq!(refusal.reason, Reason::TransferStateConflict);
        assert_eq!(refusal.metadata, [("state", state.to_owned()), ("hint", hint.to_owned())]);
    }
}

/// JS11: who cannot receive it is told in which roles somebody can.
#[test]
fn js11_a_refused_nominee_is_told_the_eligible_roles() {
    let model = model("jetstack");
    let (owner, plain) = (set(&["owner"]), set(&["member"]));
    let (from, to) = (member(1, &owner, MemberState::Active), member(2, &plain, MemberState::Active));
    let refusal = refused(decide_transfer(&by(&model, &from), &from, &to), Reason::TransferTargetIneligible);
    assert_eq!(refusal.metadata, [("eligible_roles", "admin".to_owned())]);
}
