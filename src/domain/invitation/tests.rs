use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::domain::access_model::Models;

fn model(id: &str) -> Arc<AccessModel> {
    Arc::clone(Models::shipped().unwrap().get(id).unwrap())
}

fn set(ids: &[&str]) -> RoleSet {
    ids.iter().copied().collect()
}

fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn member(roles: &RoleSet) -> Authority<'_> {
    Authority::Member { user_id: Uuid::from_u128(1), roles }
}

fn situation<'a>(model: &'a AccessModel, authority: Authority<'a>) -> Situation<'a> {
    Situation { model, organization_kind: None, authority, owners: Owners { active: 1 } }
}

fn acceptance<'a>(model: &'a AccessModel, inviter: Option<Authority<'a>>, now: DateTime<Utc>) -> Acceptance<'a> {
    Acceptance { model, organization_kind: None, inviter, existing: None, owners: Owners { active: 1 }, now }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, reason: Reason) -> Refusal {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.reason, reason, "{refusal:?}");
    refusal
}

fn issued(model: &AccessModel, role: &str) -> Invitation {
    Invitation::issue(model, "ada@x.example".into(), set(&[role]), start())
}

#[test]
fn js06_it_expires_after_seven_days_to_the_second() {
    let model = model("jetstack");
    let admin = set(&["admin"]);
    let invitation = issued(&model, "member");
    let seven_days = start() + TimeDelta::days(7);
    let just_before = seven_days - TimeDelta::seconds(1);
    assert_eq!(
        decide_accept(&acceptance(&model, Some(member(&admin)), just_before), &invitation),
        Ok(set(&["member"]))
    );
    assert_eq!(
        decide_accept(&acceptance(&model, Some(member(&admin)), seven_days - TimeDelta::microseconds(1)), &invitation),
        Ok(set(&["member"]))
    );
    let refusal = refused(
        decide_accept(&acceptance(&model, Some(member(&admin)), seven_days), &invitation),
        Reason::InvitationExpired,
    );
    assert_eq!(refusal.metadata[0], ("expire_time", "1970-01-08T00:00:00Z".to_owned()));
    assert_eq!(invitation.status(just_before), InvitationStatus::Pending);
    assert_eq!(invitation.status(seven_days), InvitationStatus::Expired);
    refused(decide_decline(&invitation, seven_days), Reason::InvitationExpired);

    let renewed = decide_resend(&situation(&model, member(&admin)), &invitation, seven_days).unwrap();
    assert_eq!(renewed, seven_days + TimeDelta::days(7));
}

#[test]
fn a_settled_invitation_says_what_became_of_it() {
    let model = model("default");
    let owner = set(&["owner"]);
    let by_owner = situation(&model, member(&owner));
    let cases = [
        (InvitationState::Accepted, Reason::InvitationAlreadyUsed),
        (InvitationState::Declined, Reason::InvitationDeclined),
        (InvitationState::Revoked, Reason::InvitationRevoked),
    ];
    for (state, reason) in cases {
        // What the invited person does instead, what those do who send it again, and what those who take it back.
        let (invited, sending, revoking) = match state {
            InvitationState::Accepted => (
                "sign in with the account that has accepted it",
                "change or remove the member instead",
                "change or remove the member instead",
            ),
            _ => ("ask for a new invitation", "invite the person again", "nothing is left to take back"),
        };
        let says = |refusal: Refusal, hint: &str| assert_eq!(refusal.metadata, [("hint", hint.to_owned())]);
        let invitation = Invitation { state, ..issued(&model, "member") };
        says(refused(invitation.open(start()), reason), invited);
        says(refused(invitation.open(start() + TimeDelta::days(30)), reason), invited);
        says(refused(decide_resend(&by_owner, &invitation, start()), reason), sending);
        says(refused(decide_revoke(&by_owner, &invitation), reason), revoking);
        says(refused(decide_decline(&invitation, start()), reason), invited);
        refused(
            decide_accept(&acceptance(&model, Some(Authority::Service { operator: false }), start()), &invitation),
            reason,
        );
    }
    let pending = issued(&model, "member");
    assert_eq!(decide_revoke(&by_owner, &pending), Ok(()));
    assert_eq!(decide_decline(&pending, start()), Ok(InvitationState::Declined));
}

#[test]
fn resending_and_revoking_ask_for_authority_over_the_roles() {
    let model = model("default");
    let (admin, plain) = (set(&["admin"]), set(&["member"]));
    let to_owner = issued(&model, "owner");
    let by_admin = situation(&model, member(&admin));
    refused(decide_resend(&by_admin, &to_owner, start()), Reason::RoleNotGrantable);
    refused(decide_revoke(&by_admin, &to_owner), Reason::MemberNotManageable);
    let to_member = issued(&model, "member");
    assert!(decide_resend(&by_admin, &to_member, start()).is_ok());
    let by_member = situation(&model, member(&plain));
    refused(decide_resend(&by_member, &to_member, start()), Reason::PermissionRequired);
    refused(decide_revoke(&by_member, &to_member), Reason::PermissionRequired);
}

#[test]
fn the_inviters_authority_is_checked_again_at_acceptance() {
    let model = model("default");
    let invitation = issued(&model, "admin");
    let (admin, plain, owner) = (set(&["admin"]), set(&["member"]), set(&["owner"]));
    assert!(decide_accept(&acceptance(&model, Some(member(&admin)), start()), &invitation).is_ok());
    assert!(
        decide_accept(&acceptance(&model, Some(Authority::Service { operator: false }), start()), &invitation).is_ok()
    );
    refused(
        decide_accept(&acceptance(&model, Some(member(&plain)), start()), &invitation),
        Reason::InviterNoLongerAuthorized,
    );
    let gone =
        refused(decide_accept(&acceptance(&model, None, start()), &invitation), Reason::InviterNoLongerAuthorized);
    let send_again = "ask somebody who may give these roles to send it again";
    assert_eq!(gone.metadata, [("hint", send_again.to_owned())]);
    let to_owner = Invitation { roles: owner, ..invitation };
    let refusal = refused(
        decide_accept(&acceptance(&model, Some(member(&admin)), start()), &to_owner),
        Reason::InviterNoLongerAuthorized,
    );
    assert_eq!(refusal.metadata, [("role", "owner".to_owned()), ("hint", send_again.to_owned())]);
}

#[test]
fn two_founding_invitations_make_one_owner() {
    let model = model("jetstack");
    let invitation = issued(&model, "owner");
    let facts = acceptance(&model, Some(Authority::Service { operator: false }), start());
    let first = Acceptance { owners: Owners { active: 0 }, ..facts };
    assert_eq!(decide_accept(&first, &invitation), Ok(set(&["owner"])));
    refused(decide_accept(&facts, &invitation), Reason::OwnerByTransferOnly);
}

#[test]
fn members_are_not_added_twice() {
    let (default, packetfabric) = (model("default"), model("packetfabric"));
    let facts = acceptance(&default, Some(Authority::Service { operator: false }), start());
    for state in [MemberState::Active, MemberState::Suspended] {
        let again = Acceptance { existing: Some(state), ..facts };
        refused(decide_accept(&again, &issued(&default, "member")), Reason::AlreadyMember);
    }
    let again = Acceptance { existing: Some(MemberState::Removed), ..facts };
    assert!(decide_accept(&again, &issued(&default, "member")).is_ok());
    let again = Acceptance { model: &packetfabric, ..again };
    refused(decide_accept(&again, &issued(&packetfabric, "regular")), Reason::RemovedMember);
}

#[test]
fn how_many_may_be_open_is_the_models_to_say() {
    let (one, many) = (model("default"), model("packetfabric"));
    let replace = one.source().replace("open_per_address = \"one\"", "open_per_address = \"replace\"");
    let replace = AccessModel::parse(&replace).unwrap();
    let later = start() + TimeDelta::days(7);
    let pending = issued(&one, "member");
    let revoked = Invitation { state: InvitationState::Revoked, ..pending.clone() };
    let refusal = refused(decide_opening(&one, [&revoked, &pending], start()), Reason::InvitationPending);
    assert_eq!(refusal.metadata, [("hint", "resend or revoke the pending invitation".to_owned())]);
    assert_eq!(decide_opening(&one, [&revoked], start()), Ok(Opening::Add), "JP16");
    assert_eq!(decide_opening(&one, [], start()), Ok(Opening::Add));
    assert_eq!(decide_opening(&one, [&pending], later), Ok(Opening::Replace), "expired");
    assert_eq!(decide_opening(&replace, [&pending], start()), Ok(Opening::Replace));
    assert_eq!(decide_opening(&many, [&pending, &pending], start()), Ok(Opening::Add), "PF04");
}

#[test]
fn jh03_a_person_steps_up_before_inviting() {
    let (hub, default) = (model("jethub"), model("default"));
    let admin = set(&["account_admin"]);
    let refusal = require_step_up(&situation(&hub, member(&admin)), false).unwrap_err();
    assert_eq!(refusal.reason, Reason::StepUpRequired);
    let facts: Vec<&str> = refusal.metadata.iter().map(|(key, _)| *key).collect();
    assert_eq!(facts, ["method", "purpose"]);
    assert_eq!(require_step_up(&situation(&hub, member(&admin)), true), Ok(()));
    assert_eq!(require_step_up(&situation(&hub, Authority::Service { operator: false }), false), Ok(()));
    assert_eq!(require_step_up(&situation(&default, member(&admin)), false), Ok(()));
}
